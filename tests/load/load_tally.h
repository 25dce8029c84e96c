/*
 * The accounts: every request that was issued ends as exactly one outcome, and beside those are
 * counted the things that happen to connections between requests.
 *
 *     issued == ok + lost + local + in flight;  at the end nothing is in flight
 *
 * Owned by the run; tally_finish() releases it.
 */
#ifndef HANDOVER_TESTS_LOAD_TALLY_H
#define HANDOVER_TESTS_LOAD_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/load/load_histogram.h"
#include "tests/load/load_response.h"

enum outcome {
	OUTCOME_OK,
	OUTCOME_REFUSED,       /* no listener: ECONNREFUSED, or no such Unix socket */
	OUTCOME_RESET_CONNECT, /* reset before a byte of the request was sent */
	OUTCOME_RESET,	       /* reset while sending or reading */
	OUTCOME_CLOSED_EARLY,  /* EOF before the whole answer */
	OUTCOME_TIMEOUT_CONNECT,
	OUTCOME_TIMEOUT,
	OUTCOME_UNSENT, /* due, but all clients were busy for the whole timeout */
	OUTCOME_BAD_STATUS,
	OUTCOME_WRONG_BODY,
	OUTCOME_BAD_RESPONSE, /* not HTTP, or more bytes than the answer has */
	OUTCOME_LOCAL,	      /* our own machine failed us: no port, no descriptor, no route */
	OUTCOMES,
};

struct generation_count {
	char name[RESPONSE_GENERATION_MAX];
	uint64_t ok;
	uint64_t ok_reported; /* as of the last line of progress */
};

struct tally {
	uint64_t issued;
	uint64_t outcomes[OUTCOMES];
	uint64_t connects;    /* attempts */
	uint64_t closed_idle; /* an idle connection, unannounced: no request was lost with it */
	uint64_t reset_after; /* reset instead of closed, but after the whole answer: not lost */
	uint64_t unsolicited; /* bytes on an idle connection */
	uint64_t slow;
	uint64_t slow_threshold_usec;
	int local_error;	       /* the last errno behind an OUTCOME_LOCAL */
	struct histogram latency_usec; /* of those that are ok, from when they were due */
	struct generation_count *generations;
	size_t generation_count;
	size_t generation_last; /* most answers come from where the last one came from */
};

const char *outcome_name(enum outcome outcome);

/* Counts an outcome; latency and generation are only looked at if it is ok. */
void tally_outcome(struct tally *tally, enum outcome outcome, uint64_t latency_usec,
		   const char *generation);

uint64_t tally_ended(const struct tally *tally);
uint64_t tally_lost(const struct tally *tally);

void tally_finish(struct tally *tally);

#endif
