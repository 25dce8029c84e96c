/*
 * A slot that leaves: its shards are parked, a grace passes for what was on its way, its queue runs
 * empty, and then its worker is drained. No shard is closed. A straggler that arrives on one
 * afterwards (a handshake that was in flight when it was parked) is served by a worker that is
 * started for it, in the slot, and leaves again.
 *
 * Owner of the state: the slot itself. leave_begin() and leave_cancel() may be called at any time.
 */
#ifndef HANDOVER_SUPERVISOR_LEAVE_H
#define HANDOVER_SUPERVISOR_LEAVE_H

#include <stdint.h>

struct generation;
struct slot;
struct slots;

#define LEAVE_GRACE_SEC 0.02
/* A worker that lets its queue wait for longer is drained nevertheless: stragglers are what is in
 * it. */
#define LEAVE_QUEUE_MAX_USEC UINT64_C(5000000)

/* Nobody is started in it any more, but for stragglers, and for these not before @hold_usec. */
void leave_begin(struct slot *slot, uint64_t hold_usec);

/* The slot is among those that serve again (or everything ends). */
void leave_cancel(struct slot *slot);

/* Handles a straggler in @slot with a worker of @generation. */
void leave_straggler(struct slot *slot, struct generation *generation);

#endif
