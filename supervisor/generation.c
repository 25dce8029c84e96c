#include "supervisor/generation.h"

#include <assert.h>

#include "proto/base.h"
#include "supervisor/clock.h"
#include "supervisor/spec.h"

uint64_t backoff_after_death(struct backoff *backoff, uint64_t served_usec)
{
	if (served_usec >= BACKOFF_PROVEN_USEC)
		backoff->n_early_deaths = 0;
	unsigned before = backoff->n_early_deaths++;
	if (before == 0)
		return 0;
	if (before > 20)
		return BACKOFF_MAX_USEC;
	uint64_t delay_usec = BACKOFF_FIRST_USEC << (before - 1);
	return delay_usec < BACKOFF_MAX_USEC ? delay_usec : BACKOFF_MAX_USEC;
}

static void generation_free(struct generation *generation)
{
	spec_free(generation->spec);
	free(generation->backoffs);
	free(generation);
}

int generation_new(struct generations *generations, struct spec *spec, size_t n_slots,
		   struct generation **ret_generation)
{
	struct generation *generation = calloc(1, sizeof(*generation));
	if (!generation)
		return -ENOMEM;
	generation->backoffs = calloc(n_slots, sizeof(*generation->backoffs));
	if (!generation->backoffs) {
		free(generation);
		return -ENOMEM;
	}
	generation->n_backoffs = n_slots;
	generation->generations = generations;
	generation->number = ++generations->last_number;
	generation->state = GENERATION_STARTING;
	generation->since_usec = clock_realtime_usec();
	generation->spec = spec;
	generation->older = generations->newest;
	generations->newest = generation;
	*ret_generation = generation;
	return 0;
}

void generation_event(struct generation *generation, enum generation_event event)
{
	struct generations *generations = generation->generations;
	enum generation_state old = generation->state;
	enum generation_state next = generation_state_after(old, event);
	assert(next != GENERATION_INVALID);
	generation->state = next;
	generation->since_usec = clock_realtime_usec();
	generations->changed(generations->owner, generation, old);
}

/* A later generation may have made more slots, where this one handles stragglers. */
static struct backoff *generation_backoff(struct generation *generation, size_t slot)
{
	if (slot >= generation->n_backoffs) {
		struct backoff *backoffs = reallocarray(generation->backoffs, slot + 1,
							sizeof(*backoffs));
		if (!backoffs)
			return NULL;
		for (; generation->n_backoffs <= slot; generation->n_backoffs++)
			backoffs[generation->n_backoffs] = (struct backoff){ 0 };
		generation->backoffs = backoffs;
	}
	return &generation->backoffs[slot];
}

uint64_t generation_hold_after_death(struct generation *generation, size_t slot,
				     uint64_t served_usec)
{
	struct backoff *backoff = generation_backoff(generation, slot);
	return backoff ? backoff_after_death(backoff, served_usec) : BACKOFF_MAX_USEC;
}

void generation_worker_started(struct generation *generation)
{
	generation->n_workers++;
}

void generation_worker_gone(struct generation *generation)
{
	assert(generation->n_workers > 0);
	generation->n_workers--;
	generation_release(generation);
}

static bool generation_is_leaving(const struct generation *generation)
{
	return generation->state == GENERATION_DRAINING || generation->state == GENERATION_ABORTED;
}

void generation_release(struct generation *generation)
{
	if (generation->n_workers > 0 || !generation_is_leaving(generation))
		return;
	struct generation **link = &generation->generations->newest;
	while (*link != generation)
		link = &(*link)->older;
	*link = generation->older;
	generation_event(generation, GENERATION_ON_EMPTY);
	generation_free(generation);
}

void generations_finish(struct generations *generations)
{
	while (generations->newest) {
		struct generation *generation = generations->newest;
		generations->newest = generation->older;
		generation_free(generation);
	}
}

struct generation *generations_find(const struct generations *generations,
				    enum generation_state state)
{
	struct generation *generation = generations->newest;
	while (generation && generation->state != state)
		generation = generation->older;
	return generation;
}

size_t generations_n_draining(const struct generations *generations)
{
	size_t n = 0;
	for (struct generation *g = generations->newest; g; g = g->older)
		n += generation_is_leaving(g);
	return n;
}

struct generation *generations_oldest_draining(const struct generations *generations)
{
	struct generation *oldest = NULL;
	for (struct generation *g = generations->newest; g; g = g->older)
		if (generation_is_leaving(g))
			oldest = g;
	return oldest;
}
