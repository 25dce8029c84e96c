/* A dead worker is replaced at once; one that died again before it had served 3 s is held back,
 * doubling from 100 ms to 30 s; having served 3 s forgives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/base.h"
#include "supervisor/generation.h"

static void test_doubling(void **state)
{
	static const uint64_t expected_ms[] = { 0,    100,  200,   400,	  800,	 1600,
						3200, 6400, 12800, 25600, 30000, 30000 };
	struct backoff backoff = { 0 };
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(expected_ms); i++)
		assert_int_equal(backoff_after_death(&backoff, 2999999), expected_ms[i] * 1000);
	for (int i = 0; i < 100; i++)
		assert_int_equal(backoff_after_death(&backoff, 0), 30000000);
}

static void test_forgiven(void **state)
{
	struct backoff backoff = { .n_early_deaths = 30 };
	(void)state;
	assert_int_equal(backoff_after_death(&backoff, 3000000), 0);
	assert_int_equal(backoff_after_death(&backoff, 0), 100000);
	assert_int_equal(backoff_after_death(&backoff, 60000000), 0);
	assert_int_equal(backoff_after_death(&backoff, 60000000), 0);
}

/* A slot that was made after the generation ended the supervisor by an assertion. */
static void test_a_later_slot(void **state)
{
	struct generation generation = { .backoffs = NULL };
	(void)state;
	assert_int_equal(generation_hold_after_death(&generation, 5, 0), 0);
	assert_int_equal(generation_hold_after_death(&generation, 2, 0), 0);
	assert_int_equal(generation_hold_after_death(&generation, 5, 0), 100000);
	assert_int_equal(generation.n_backoffs, 6);
	free(generation.backoffs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_doubling),
		cmocka_unit_test(test_forgiven),
		cmocka_unit_test(test_a_later_slot),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
