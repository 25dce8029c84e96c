/*
 * Latencies, counted in buckets that grow with the value: each power of two is cut into 128, so
 * that a quantile is never more than 1 % above the truth, from a microsecond to twelve days.
 *
 * Owned in place by the tally; needs no init but zero bytes and no finish.
 */
#ifndef HANDOVER_TESTS_LOAD_HISTOGRAM_H
#define HANDOVER_TESTS_LOAD_HISTOGRAM_H

#include <stdint.h>

enum {
	HISTOGRAM_STEP_BITS = 7,
	HISTOGRAM_VALUE_BITS = 40,
	/* and one for what is beyond */
	HISTOGRAM_BUCKETS = ((HISTOGRAM_VALUE_BITS - HISTOGRAM_STEP_BITS + 1)
			     << HISTOGRAM_STEP_BITS) +
			    1,
};

struct histogram {
	uint64_t count;
	uint64_t sum;
	uint64_t max;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* What is beyond HISTOGRAM_VALUE_BITS counts in the last bucket; max and sum stay true. */
void histogram_add(struct histogram *histogram, uint64_t value);

/* The smallest bucket's upper end that at least @fraction (0 to 1) of the values do not exceed,
 * never above the greatest value; 0 when there are none. */
uint64_t histogram_quantile(const struct histogram *histogram, double fraction);

double histogram_mean(const struct histogram *histogram);

#endif
