#include "tests/load/load_tally.h"

#include <stdio.h>
#include <string.h>

#include "proto/base.h"

static const char *const outcome_names[] = {
	[OUTCOME_OK] = "ok",
	[OUTCOME_REFUSED] = "refused",
	[OUTCOME_RESET_CONNECT] = "reset_connect",
	[OUTCOME_RESET] = "reset",
	[OUTCOME_CLOSED_EARLY] = "closed_early",
	[OUTCOME_TIMEOUT_CONNECT] = "timeout_connect",
	[OUTCOME_TIMEOUT] = "timeout",
	[OUTCOME_UNSENT] = "unsent",
	[OUTCOME_BAD_STATUS] = "bad_status",
	[OUTCOME_WRONG_BODY] = "wrong_body",
	[OUTCOME_BAD_RESPONSE] = "bad_response",
	[OUTCOME_LOCAL] = "local",
};
_Static_assert(ARRAY_SIZE(outcome_names) == OUTCOMES, "every outcome has a name");

const char *outcome_name(enum outcome outcome)
{
	return outcome_names[outcome];
}

static struct generation_count *generation_find(struct tally *tally, const char *name)
{
	struct generation_count *known = tally->generations;

	if (tally->generation_count && strcmp(known[tally->generation_last].name, name) == 0)
		return &known[tally->generation_last];
	for (size_t i = tally->generation_count; i-- > 0;) {
		if (strcmp(known[i].name, name) == 0) {
			tally->generation_last = i;
			return &known[i];
		}
	}
	return NULL;
}

static struct generation_count *generation_add(struct tally *tally, const char *name)
{
	size_t count = tally->generation_count;
	struct generation_count *grown = reallocarray(tally->generations, count + 1,
						      sizeof(*grown));

	/* Accounts with a hole in them would be worse than none. */
	if (!grown) {
		fprintf(stderr, "load: out of memory\n");
		abort();
	}
	tally->generations = grown;
	memset(&grown[count], 0, sizeof(grown[count]));
	(void)snprintf(grown[count].name, sizeof(grown[count].name), "%s", name);
	tally->generation_last = count;
	tally->generation_count = count + 1;
	return &grown[count];
}

void tally_outcome(struct tally *tally, enum outcome outcome, uint64_t latency_usec,
		   const char *generation)
{
	tally->outcomes[outcome]++;
	if (outcome != OUTCOME_OK)
		return;
	histogram_add(&tally->latency_usec, latency_usec);
	if (latency_usec > tally->slow_threshold_usec)
		tally->slow++;
	if (generation[0]) {
		struct generation_count *count = generation_find(tally, generation);
		if (!count)
			count = generation_add(tally, generation);
		count->ok++;
	}
}

uint64_t tally_ended(const struct tally *tally)
{
	uint64_t ended = 0;

	for (size_t i = 0; i < OUTCOMES; i++)
		ended += tally->outcomes[i];
	return ended;
}

uint64_t tally_lost(const struct tally *tally)
{
	return tally_ended(tally) - tally->outcomes[OUTCOME_OK] - tally->outcomes[OUTCOME_LOCAL];
}

void tally_finish(struct tally *tally)
{
	free(tally->generations);
	tally->generations = NULL;
	tally->generation_count = 0;
}
