#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/base.h"
#include "tests/load/load_histogram.h"

static void test_empty(void **state)
{
	static const struct histogram histogram;

	(void)state;
	assert_int_equal(histogram_quantile(&histogram, 0.5), 0);
	assert_int_equal(histogram_quantile(&histogram, 1), 0);
	assert_true(histogram_mean(&histogram) == 0.0);
}

static void test_one_to_a_hundred_is_exact(void **state)
{
	static struct histogram histogram;
	static const struct {
		double fraction;
		uint64_t value;
	} rows[] = {
		{ 0, 1 },    { 0.001, 1 }, { 0.01, 1 },	   { 0.011, 2 }, { 0.5, 50 },
		{ 0.9, 90 }, { 0.99, 99 }, { 0.999, 100 }, { 1, 100 },
	};

	(void)state;
	for (uint64_t value = 100; value > 0; value--)
		histogram_add(&histogram, value);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(histogram_quantile(&histogram, rows[i].fraction), rows[i].value);
	assert_true(histogram_mean(&histogram) == 50.5);
}

static void check_alone(uint64_t value)
{
	static struct histogram histogram;
	static const struct histogram empty;

	histogram = empty;
	histogram_add(&histogram, value);
	histogram_add(&histogram, UINT64_C(1)
					  << 50); /* so that the maximum does not hide an error */
	uint64_t quantile = histogram_quantile(&histogram, 0.5);
	assert_true(quantile >= value);
	assert_true(quantile - value <= value / 128);
}

/* Around every power of two, and at random places between: never below, never over 1 % above. */
static void test_error_is_bounded_everywhere(void **state)
{
	(void)state;
	for (uint64_t value = 0; value < 2000; value++)
		check_alone(value);
	for (unsigned int bit = 11; bit < HISTOGRAM_VALUE_BITS; bit++) {
		uint64_t power = UINT64_C(1) << bit;
		for (uint64_t near = 0; near < 3; near++) {
			check_alone(power + near);
			check_alone(2 * power - 1 - near);
			check_alone(power + power / 7 * (near + 1));
		}
	}
}

static void test_beyond_the_range_counts_in_the_last_bucket(void **state)
{
	static struct histogram histogram;

	(void)state;
	histogram_add(&histogram, 5);
	histogram_add(&histogram, UINT64_MAX / 4);
	assert_int_equal(histogram.count, 2);
	assert_int_equal(histogram.max, UINT64_MAX / 4);
	assert_int_equal(histogram.buckets[HISTOGRAM_BUCKETS - 1], 1);
	assert_int_equal(histogram_quantile(&histogram, 0.5), 5);
	assert_int_equal(histogram_quantile(&histogram, 1), UINT64_MAX / 4);
}

static void test_the_tail_is_not_lost_among_many(void **state)
{
	static struct histogram histogram;

	(void)state;
	for (int i = 0; i < 9999; i++)
		histogram_add(&histogram, 100);
	histogram_add(&histogram, 1000000);
	assert_int_equal(histogram_quantile(&histogram, 0.9999), 100);
	assert_int_equal(histogram_quantile(&histogram, 0.99995), 1000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_one_to_a_hundred_is_exact),
		cmocka_unit_test(test_error_is_bounded_everywhere),
		cmocka_unit_test(test_beyond_the_range_counts_in_the_last_bucket),
		cmocka_unit_test(test_the_tail_is_not_lost_among_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
