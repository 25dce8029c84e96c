/*
 * A run: the loop, the pace, and the end.
 *
 * Closed loop: whoever is free begins the next request. Open loop: request i is due at
 * start + i / rate, whatever happened to those before it; the first free client takes it, and its
 * latency counts from when it was due, so that a server's pause is felt by all whom it made wait.
 * What was due before the end is sent after it; nothing else is.
 *
 * Owned by main, in place: run_init(), run_go(), run_finish().
 */
#ifndef HANDOVER_TESTS_LOAD_RUN_H
#define HANDOVER_TESTS_LOAD_RUN_H

#include <signal.h>

#include "tests/load/load_client.h"

TAILQ_HEAD(client_list, client);

struct run {
	struct client_context context;
	struct client *clients;
	struct client_list free;
	struct timer_queue idle; /* in idle mode, the next request of each client */
	int epoll_fd;
	int signal_fd;
	sigset_t old_mask;
	bool stopping;
	uint64_t start_usec;
	uint64_t stop_usec;
	uint64_t end_usec;
	uint64_t progress_usec; /* when the next line is due; 0: no answer yet */
};

/* 0 or -errno; SIGTERM and SIGINT are blocked from here to the first of them or run_finish(). The
 * options must outlive the run. */
int run_init(struct run *run, const struct load_options *options);

/* Returns when every request has its outcome. */
void run_go(struct run *run);

/* How long it took, until now while it goes on. */
double run_seconds(const struct run *run);

void run_finish(struct run *run);

#endif
