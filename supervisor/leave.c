#include "supervisor/leave.h"

#include "proto/base.h"
#include "supervisor/clock.h"
#include "supervisor/failure.h"
#include "supervisor/generation.h"
#include "supervisor/listener.h"
#include "supervisor/replace.h"
#include "supervisor/shard_watch.h"
#include "supervisor/slot.h"

/* Whoever is active in the slot still accepts; it is drained once its queue has run empty, or if it
 * hangs. */
static void on_grace(EV_P_ ev_timer *timer, int revents)
{
	struct slot *slot = container_of(timer, struct slot, grace);
	struct slots *slots = slot->slots;
	(void)revents;
	if (slot_serves(slot) && listeners_queued(slots->listeners, slot->number) > 0 &&
	    clock_monotonic_usec() < slot->leave_by_usec) {
		ev_timer_again(EV_A_ timer);
		return;
	}
	ev_timer_stop(EV_A_ timer);
	replace_empty(slot);
	(void)shard_watch_arm(slots->shard_watch, slot->number);
}

static void leave_after(struct slot *slot, uint64_t hold_usec)
{
	slot->leave_by_usec = clock_monotonic_usec() + hold_usec + LEAVE_QUEUE_MAX_USEC;
	ev_now_update(slot->slots->loop);
	ev_timer_stop(slot->slots->loop, &slot->grace);
	ev_timer_init(&slot->grace, on_grace, LEAVE_GRACE_SEC + clock_seconds(hold_usec),
		      LEAVE_GRACE_SEC);
	ev_timer_start(slot->slots->loop, &slot->grace);
}

/* The replaces under way are of a generation that may be gone before they would start a worker. */
void leave_begin(struct slot *slot, uint64_t hold_usec)
{
	slot->leaving = true;
	shard_watch_disarm(slot->slots->shard_watch, slot->number);
	slot->for_stragglers = NULL;
	while (slot->replaces)
		replace_abort(slot->replaces);
	slots_steer(slot->slots);
	leave_after(slot, hold_usec);
}

void leave_cancel(struct slot *slot)
{
	if (!slot->leaving)
		return;
	slot->leaving = false;
	ev_timer_stop(slot->slots->loop, &slot->grace);
	shard_watch_disarm(slot->slots->shard_watch, slot->number);
	if (slot->for_stragglers) {
		struct replace *replace = slot->for_stragglers;
		slot->for_stragglers = NULL;
		replace_abort(replace);
	}
	slots_steer(slot->slots);
}

static void on_ready(void *owner, struct replace *replace)
{
	struct slot *slot = owner;
	struct worker *worker = replace->incoming;
	replace_serve(replace);
	if (worker->state != WORKER_SERVING)
		return; /* it could not be told: on_failed has seen to it */
	slot->for_stragglers = NULL;
	replace_over(replace);
	leave_after(slot, 0);
}

/* The straggler still waits: it is tried again, held back as after any death. */
static void on_failed(void *owner, struct replace *replace, struct failure *failure)
{
	struct slot *slot = owner;
	uint64_t hold_usec = generation_hold_after_death(replace->generation, slot->number, 0);
	(void)failure;
	slot->for_stragglers = NULL;
	leave_after(slot, hold_usec);
}

static const struct replace_ops straggler_ops = { .ready = on_ready, .failed = on_failed };

void leave_straggler(struct slot *slot, struct generation *generation)
{
	if (slot->leaving && !slot->for_stragglers)
		slot->for_stragglers = replace_begin(slot, generation, 0, &straggler_ops, slot);
}
