#include "tests/load/load_histogram.h"

#include <math.h>
#include <stddef.h>

/* Below two full steps a bucket is one value wide; from there each doubling has 128 buckets. */
static unsigned int bucket_shift(uint64_t value)
{
	if (value >> (HISTOGRAM_STEP_BITS + 1) == 0)
		return 0;
	return (unsigned int)(63 - __builtin_clzll(value)) - HISTOGRAM_STEP_BITS;
}

static size_t bucket_of(uint64_t value)
{
	if (value >> HISTOGRAM_VALUE_BITS)
		return HISTOGRAM_BUCKETS - 1;
	unsigned int shift = bucket_shift(value);
	return ((size_t)shift << HISTOGRAM_STEP_BITS) + (size_t)(value >> shift);
}

static uint64_t bucket_last_value(size_t bucket)
{
	const size_t steps = (size_t)1 << HISTOGRAM_STEP_BITS;
	if (bucket < 2 * steps)
		return bucket;
	size_t shift = bucket / steps - 1;
	return ((uint64_t)(bucket - shift * steps + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
	histogram->count++;
	histogram->sum += value;
	if (value > histogram->max)
		histogram->max = value;
	histogram->buckets[bucket_of(value)]++;
}

uint64_t histogram_quantile(const struct histogram *histogram, double fraction)
{
	uint64_t wanted = (uint64_t)ceil(fraction * (double)histogram->count);
	uint64_t seen = 0;

	for (size_t i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
		seen += histogram->buckets[i];
		if (seen > 0 && seen >= wanted) {
			uint64_t value = bucket_last_value(i);
			return value < histogram->max ? value : histogram->max;
		}
	}
	return histogram->max;
}

double histogram_mean(const struct histogram *histogram)
{
	return histogram->count ? (double)histogram->sum / (double)histogram->count : 0.0;
}
