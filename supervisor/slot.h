/*
 * Slots: the places for workers, numbered from 0, and what all of them share.
 *
 * A slot owns shard i of every sharded listener, whoever works in it. Besides those that drain or
 * stop it holds at most one worker of each generation. struct slots is owned by the supervisor; a
 * slot, once made, stays (as its shards do), and may be left empty.
 */
#ifndef HANDOVER_SUPERVISOR_SLOT_H
#define HANDOVER_SUPERVISOR_SLOT_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#include "proto/error.h"
#include "supervisor/worker.h"

struct failure;
struct listeners;
struct replace;
struct slots;

struct slot {
	struct slots *slots;
	unsigned number;
	struct worker *workers;	  /* all that have not gone */
	struct replace *replaces; /* those under way */
	/* It is no longer among those that serve (leave.c): its shards are parked. */
	bool leaving;
	ev_timer grace;
	uint64_t leave_by_usec; /* CLOCK_MONOTONIC: its queue is waited for no longer */
	struct replace *for_stragglers;
};

/* What the slots tell their owner. */
struct slots_ops {
	void (*worker_changed)(void *owner, struct worker *worker, enum worker_state old);
	/* A worker that served, unasked, does so no longer: it ended, or withdrew and drains. */
	void (*worker_lost)(void *owner, struct worker *worker, const struct failure *failure);
	void (*worker_line)(void *owner, struct worker *worker, const char *line);
	void (*worker_complaint)(void *owner, struct worker *worker, const char *text);
	/* It ended, as asked or not. Last call about this worker. */
	void (*worker_ended)(void *owner, struct worker *worker, const struct exit_status *status);
	/* Something about the shared sockets, for the log. */
	void (*sockets_complaint)(void *owner, const char *text);
};

struct slots {
	struct ev_loop *loop;
	struct listeners *listeners;
	struct shard_watch *shard_watch;
	const char *service_name;
	const char *notify_directory;
	struct slot **items;
	size_t n_items;
	unsigned n_starts;   /* of workers, so far */
	bool readiness_told; /* some worker, of whatever generation, has said that it is ready */
	bool steering_failed;
	/* Replaces that are due to start a worker; one is started in each turn of the loop. */
	struct replace *due, **due_end;
	ev_timer start_timer;
	const struct slots_ops *ops;
	void *owner;
};

/* Makes slots until there are @n. */
int slots_grow(struct slots *slots, size_t n);
/* When no worker is left. */
void slots_finish(struct slots *slots);

/* True when a worker in it serves. */
bool slot_serves(const struct slot *slot);
size_t slots_n_serving(const struct slots *slots);
size_t slots_n_workers(const struct slots *slots);

/* Parks the shards of slots that do not serve, unparks those of slots that do. */
void slots_steer(struct slots *slots);
/* Looks after the backlog and O_NONBLOCK of what a worker in @slot holds. @by: who may have changed
 * them just now; NULL: nobody in particular. */
void slots_tend(struct slot *slot, const struct worker *by);

#endif
