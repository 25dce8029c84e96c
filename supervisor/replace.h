/*
 * The one primitive: everything that ever happens to workers is a replace in one slot.
 *
 *   replace_begin   the incoming worker is started on the slot's shards, and watched until it is
 *                   ready or its deadline passes                     → ops->ready, ops->failed
 *   replace_serve   the serve gate has opened: the incoming worker may accept
 *   replace_drain   the drain gate has opened: whoever else is active in the slot is drained
 *                   (deadline, then kill). The replace is over; the worker stays
 *   replace_over    the same where nobody is outgoing (a crash): nobody else is touched
 *   replace_abort   the incoming worker is taken away: killed if it cannot have accepted, drained
 *                   otherwise. The replace is over
 *
 * When gates open is for the owner to say: a transition (all slots at once), or the supervisor for
 * a crash (at once). A drain with nobody incoming is replace_empty(). No other code starts or ends
 * workers.
 *
 * A replace frees itself when it is over: by _drain, by _over, by _abort, and after ops->failed.
 * Its owner keeps a pointer until then.
 */
#ifndef HANDOVER_SUPERVISOR_REPLACE_H
#define HANDOVER_SUPERVISOR_REPLACE_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct failure;
struct generation;
struct replace;
struct slot;
struct slots;
struct worker;

struct replace_ops {
	void (*started)(void *owner, struct replace *replace); /* may be NULL */
	void (*ready)(void *owner, struct replace *replace);
	/* The incoming worker could not be started, ended, withdrew or was late. If it lives it is
	 * being taken away. @replace is freed when this returns. */
	void (*failed)(void *owner, struct replace *replace, struct failure *failure);
};

struct replace {
	struct slot *slot;
	struct generation *generation;
	struct worker *incoming; /* NULL: not started yet */
	ev_timer hold;
	const struct replace_ops *ops;
	void *owner;
	struct replace *next;	  /* in its slot */
	struct replace *next_due; /* among those that wait for their turn to start */
	bool due;
};

/* Begins, after @hold_usec; never calls back before it has returned. NULL without memory. */
struct replace *replace_begin(struct slot *slot, struct generation *generation, uint64_t hold_usec,
			      const struct replace_ops *ops, void *owner);
void replace_serve(struct replace *replace);
void replace_drain(struct replace *replace);
void replace_over(struct replace *replace);
void replace_abort(struct replace *replace);

/* Drains (or kills) whoever is active in @slot and ends the replaces that are under way there.
 * Those must not be a transition's: it is aborted first. */
void replace_empty(struct slot *slot);
void replace_kill_all(struct slot *slot);

/* Prepares what all replaces share in @slots. */
void replace_init(struct slots *slots);

/* The drain deadline of all of @generation's draining workers is now. */
void replace_hurry(struct slots *slots, const struct generation *generation);

#endif
