/* The two clocks, in microseconds: one for durations and deadlines, one for people. */
#ifndef HANDOVER_SUPERVISOR_CLOCK_H
#define HANDOVER_SUPERVISOR_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_usec(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* CLOCK_MONOTONIC: what durations and deadlines are reckoned in. */
static inline uint64_t clock_monotonic_usec(void)
{
	return clock_usec(CLOCK_MONOTONIC);
}

/* CLOCK_REALTIME: since the epoch. */
static inline uint64_t clock_realtime_usec(void)
{
	return clock_usec(CLOCK_REALTIME);
}

/* libev's unit. */
static inline double clock_seconds(uint64_t usec)
{
	return (double)usec / 1e6;
}

#endif
