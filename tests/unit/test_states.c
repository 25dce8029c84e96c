/* The three state tables, every cell: what each state makes of each event, told here once more as
 * rows that can be read beside the diagrams, "-" being refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base.h"
#include "supervisor/generation_state.h"
#include "supervisor/transition_state.h"
#include "supervisor/worker_state.h"

enum { EVENTS_MAX = 8 };

struct row {
	const char *state;
	const char *after[EVENTS_MAX];
};

struct machine {
	const char *name;
	const struct row *rows;
	int n_rows, n_events;
	int (*after)(int state, int event);
	const char *(*state_name)(int state);
};

static int worker_after(int state, int event)
{
	return (int)worker_state_after((enum worker_state)state, (enum worker_event)event);
}

static const char *worker_name(int state)
{
	return worker_state_name((enum worker_state)state);
}

static int generation_after(int state, int event)
{
	return (int)generation_state_after((enum generation_state)state,
					   (enum generation_event)event);
}

static const char *generation_name(int state)
{
	return generation_state_name((enum generation_state)state);
}

static int transition_after(int state, int event)
{
	return (int)transition_state_after((enum transition_state)state,
					   (enum transition_event)event);
}

static const char *transition_name(int state)
{
	return transition_state_name((enum transition_state)state);
}

/* clang-format off */
static const struct row worker_rows[] = {
	/*               READY    SERVE      DRAIN       RESUME     KILL        ENDED */
	{ "invalid",  { "-",     "-",       "-",        "-",       "-",        "-" } },
	{ "starting", { "ready", "-",       "draining", "-",       "stopping", "gone" } },
	{ "ready",    { "-",     "serving", "draining", "-",       "stopping", "gone" } },
	{ "serving",  { "-",     "-",       "draining", "-",       "stopping", "gone" } },
	{ "draining", { "-",     "-",       "-",        "serving", "stopping", "gone" } },
	{ "stopping", { "-",     "-",       "-",        "-",       "-",        "gone" } },
	{ "gone",     { "-",     "-",       "-",        "-",       "-",        "-" } },
};

static const struct row generation_rows[] = {
	/*               ALL_READY   SETTLED    REPLACED    RESUME     FAILED     EMPTY */
	{ "invalid",  { "-",        "-",       "-",        "-",       "-",       "-" } },
	{ "starting", { "settling", "-",       "-",        "-",       "aborted", "-" } },
	{ "settling", { "-",        "serving", "-",        "-",       "aborted", "-" } },
	{ "serving",  { "-",        "-",       "draining", "-",       "-",       "-" } },
	{ "draining", { "-",        "-",       "-",        "serving", "-",       "gone" } },
	{ "aborted",  { "-",        "-",       "-",        "-",       "-",       "gone" } },
	{ "gone",     { "-",        "-",       "-",        "-",       "-",       "-" } },
};

static const struct row transition_rows[] = {
	/*               ROOM        ALL_READY   SETTLED  FAILED */
	{ "invalid",  { "-",        "-",        "-",     "-" } },
	{ "waiting",  { "starting", "-",        "-",     "failed" } },
	{ "starting", { "-",        "settling", "-",     "failed" } },
	{ "settling", { "-",        "-",        "done",  "failed" } },
	{ "done",     { "-",        "-",        "-",     "-" } },
	{ "failed",   { "-",        "-",        "-",     "-" } },
};
/* clang-format on */

static void check_machine(const struct machine *machine)
{
	for (int state = 0; state < machine->n_rows; state++) {
		const struct row *row = &machine->rows[state];
		assert_string_equal(machine->state_name(state), row->state);
		for (int event = 0; event < machine->n_events; event++) {
			int after = machine->after(state, event);
			const char *name = after ? machine->state_name(after) : "-";
			if (strcmp(name, row->after[event]) != 0)
				fail_msg("%s: %s × event %d → %s, expected %s", machine->name,
					 row->state, event, name, row->after[event]);
		}
		assert_null(row->after[machine->n_events]); /* the row has no event too many */
	}
}

static void test_worker(void **state)
{
	(void)state;
	_Static_assert(ARRAY_SIZE(worker_rows) == WORKER_STATES, "a row for each state");
	const struct machine machine = { "worker",	worker_rows,  WORKER_STATES,
					 WORKER_EVENTS, worker_after, worker_name };
	check_machine(&machine);
}

static void test_generation(void **state)
{
	(void)state;
	_Static_assert(ARRAY_SIZE(generation_rows) == GENERATION_STATES, "a row for each state");
	const struct machine machine = { "generation",	    generation_rows,  GENERATION_STATES,
					 GENERATION_EVENTS, generation_after, generation_name };
	check_machine(&machine);
}

static void test_transition(void **state)
{
	(void)state;
	_Static_assert(ARRAY_SIZE(transition_rows) == TRANSITION_STATES, "a row for each state");
	const struct machine machine = { "transition",	    transition_rows,  TRANSITION_STATES,
					 TRANSITION_EVENTS, transition_after, transition_name };
	check_machine(&machine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_worker),
		cmocka_unit_test(test_generation),
		cmocka_unit_test(test_transition),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
