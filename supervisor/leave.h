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

#include <stddef.h>

struct generation;
struct slot;
struct slots;

#define LEAVE_GRACE_SEC 0.02

void leave_begin(struct slot *slot);

/* The slot is among those that serve again (or everything ends). */
void leave_cancel(struct slot *slot);

/* Handles a straggler in @slot with a worker of @generation. */
void leave_straggler(struct slot *slot, struct generation *generation);

#endif
