#include "supervisor/transition.h"

#include <assert.h>
#include <stdio.h>

#include "proto/base.h"
#include "supervisor/clock.h"
#include "supervisor/generation.h"
#include "supervisor/leave.h"
#include "supervisor/replace.h"
#include "supervisor/slot.h"
#include "supervisor/spec.h"

static const char *const kind_names[] = {
	[TRANSITION_START] = "start",
	[TRANSITION_RELOAD] = "reload",
};

static const char *const step_names[TRANSITION_STEPS] = {
	[STEP_WAITING] = "waiting",   [STEP_SPEC] = "spec",	  [STEP_STARTED] = "started",
	[STEP_READY] = "ready",	      [STEP_SERVING] = "serving", [STEP_SETTLING] = "settling",
	[STEP_DRAINING] = "draining", [STEP_DONE] = "done",
};

const char *transition_kind_name(enum transition_kind kind)
{
	return kind_names[kind];
}

const char *transition_step_name(enum transition_step step)
{
	return step_names[step];
}

/* The one writer of transition->state. */
static void transition_event(struct transition *transition, enum transition_event event)
{
	enum transition_state next = transition_state_after(transition->state, event);
	assert(next != TRANSITION_INVALID);
	transition->state = next;
}

static void transition_step(struct transition *transition, enum transition_step step,
			    const struct worker *worker, const char *detail)
{
	transition->ops->step(transition->owner, transition, step, worker, detail);
}

static void transition_end(struct transition *transition, struct failure *failure)
{
	ev_timer_stop(transition->slots->loop, &transition->begin);
	ev_timer_stop(transition->slots->loop, &transition->settle);
	ev_timer_stop(transition->slots->loop, &transition->timeout);
	transition->ops->ended(transition->owner, transition, failure);
	free(transition->replaces);
	free(transition);
}

/* Failing, from any state before the drain gate. */

/* A slot that the outgoing generation does not have leaves again, and whoever serves there already
 * goes on until its queue is empty. */
static void transition_give_up_slot(struct transition *transition, unsigned i)
{
	struct replace *replace = transition->replaces[i];
	struct slot *slot = transition->slots->items[i];
	bool leaves = transition->outgoing && i >= transition->outgoing->spec->n_slots;
	if (replace && leaves && slot_serves(slot))
		replace_over(replace);
	else if (replace)
		replace_abort(replace);
	if (leaves)
		leave_begin(slot, 0);
}

static void transition_fail(struct transition *transition, struct failure *failure)
{
	struct generation *incoming = transition->incoming;
	transition->failed_in = transition->state;
	transition_event(transition, TRANSITION_ON_FAILED);
	generation_event(incoming, GENERATION_ON_FAILED);
	for (unsigned i = 0; i < transition->n_replaces; i++)
		transition_give_up_slot(transition, i);
	generation_release(incoming);
	transition_end(transition, failure);
}

void transition_abort(struct transition *transition, const char *reason, const char *detail)
{
	struct failure failure;
	failure_init(&failure, reason, "%s", detail);
	transition_fail(transition, &failure);
}

static void on_timeout(EV_P_ ev_timer *timer, int revents)
{
	(void)loop, (void)revents;
	transition_abort(container_of(timer, struct transition, timeout), "timeout",
			 "it took longer than its caller would wait");
}

static void on_failed(void *owner, struct replace *replace, struct failure *failure)
{
	struct transition *transition = owner;
	transition->replaces[replace->slot->number] = NULL;
	transition_fail(transition, failure);
}

/* Start: a worker in every slot. */

static const struct replace_ops replace_ops;

static void transition_start(struct transition *transition)
{
	struct slots *slots = transition->slots;
	transition_event(transition, TRANSITION_ON_ROOM);
	for (unsigned i = 0; i < transition->n_replaces; i++) {
		leave_cancel(slots->items[i]);
		transition->replaces[i] = replace_begin(slots->items[i], transition->incoming, 0,
							&replace_ops, transition);
		if (!transition->replaces[i]) {
			transition_abort(transition, "memory", "out of memory");
			return;
		}
	}
}

static void on_started(void *owner, struct replace *replace)
{
	transition_step(owner, STEP_STARTED, replace->incoming, NULL);
}

/* One that is dead already fails the transition as soon as its end is handled: timers and messages
 * may come first, and no gate opens on the word of the dead. */
static bool transition_all_live(const struct transition *transition)
{
	for (unsigned i = 0; i < transition->n_replaces; i++)
		if (worker_has_exited(transition->replaces[i]->incoming))
			return false;
	return true;
}

/* The drain gate: those from before leave. */

static void transition_drain(struct transition *transition)
{
	struct slots *slots = transition->slots;
	struct generation *outgoing = transition->outgoing;
	transition_event(transition, TRANSITION_ON_SETTLED);
	generation_event(transition->incoming, GENERATION_ON_SETTLED);
	if (outgoing)
		generation_event(outgoing, GENERATION_ON_REPLACED);
	for (unsigned i = 0; i < transition->n_replaces; i++)
		replace_drain(transition->replaces[i]);
	for (size_t i = transition->n_replaces; i < slots->n_items; i++)
		if (!slots->items[i]->leaving || slots->items[i]->for_stragglers)
			leave_begin(slots->items[i], 0);
	if (outgoing) {
		char detail[48];
		snprintf(detail, sizeof(detail), "generation %u", outgoing->number);
		transition_step(transition, STEP_DRAINING, NULL, detail);
		generation_release(outgoing);
	}
	transition_step(transition, STEP_DONE, NULL, NULL);
	transition_end(transition, NULL);
}

static void on_settled(EV_P_ ev_timer *timer, int revents)
{
	struct transition *transition = container_of(timer, struct transition, settle);
	(void)loop, (void)revents;
	if (transition_all_live(transition))
		transition_drain(transition);
}

/* The serve gate: all are ready. */

static uint64_t transition_settle_usec(const struct transition *transition)
{
	const struct spec *spec = transition->incoming->spec;
	if (spec->settle_set)
		return spec->settle_usec;
	for (unsigned i = 0; i < transition->n_replaces; i++)
		if (transition->replaces[i]->incoming->kind != WORKER_NATIVE)
			return spec->settle_usec;
	return 0;
}

/* A worker that cannot be told to serve fails the transition from within replace_serve(), which
 * frees it: this returns false then. */
static bool transition_serve_all(struct transition *transition)
{
	for (unsigned i = 0; i < transition->n_replaces; i++) {
		struct worker *worker = transition->replaces[i]->incoming;
		replace_serve(transition->replaces[i]);
		if (worker->state != WORKER_SERVING)
			return false;
		transition_step(transition, STEP_SERVING, worker, NULL);
	}
	return true;
}

static void transition_serve(struct transition *transition)
{
	char detail[48];
	uint64_t settle_usec = transition_settle_usec(transition);
	if (!transition_all_live(transition))
		return;
	transition_event(transition, TRANSITION_ON_ALL_READY);
	generation_event(transition->incoming, GENERATION_ON_ALL_READY);
	if (!transition_serve_all(transition))
		return;
	if (settle_usec == 0) {
		transition_drain(transition);
		return;
	}
	snprintf(detail, sizeof(detail), "watched for %g s", clock_seconds(settle_usec));
	transition_step(transition, STEP_SETTLING, NULL, detail);
	ev_now_update(transition->slots->loop);
	ev_timer_set(&transition->settle, clock_seconds(settle_usec), 0);
	ev_timer_start(transition->slots->loop, &transition->settle);
}

static void on_ready(void *owner, struct replace *replace)
{
	struct transition *transition = owner;
	transition_step(transition, STEP_READY, replace->incoming, NULL);
	if (++transition->n_ready == transition->n_replaces)
		transition_serve(transition);
}

static const struct replace_ops replace_ops = {
	.started = on_started,
	.ready = on_ready,
	.failed = on_failed,
};

/* The beginning, and the wait for room. */

static bool transition_has_room(const struct transition *transition)
{
	/* The generation that serves is about to drain too, and may be the last that is allowed. */
	return !transition->outgoing ||
	       generations_n_draining(transition->generations) < transition->max_draining;
}

static void transition_wait(struct transition *transition)
{
	struct generation *oldest = generations_oldest_draining(transition->generations);
	bool hurry = transition->max_draining_action == MAX_DRAINING_HURRY;
	char detail[160];
	snprintf(detail, sizeof(detail),
		 "for generation %u to go: %zu generations drain, MaxDraining=%u%s", oldest->number,
		 generations_n_draining(transition->generations), transition->max_draining,
		 hurry ? "; it is hurried" : "");
	transition_step(transition, STEP_WAITING, NULL, detail);
	if (hurry)
		replace_hurry(transition->slots, oldest);
}

/* Each generation that goes may leave another to wait for, and to hurry. */
void transition_consider(struct transition *transition)
{
	if (transition->state != TRANSITION_WAITING)
		return;
	if (transition_has_room(transition))
		transition_start(transition);
	else
		transition_wait(transition);
}

static void on_begin(EV_P_ ev_timer *timer, int revents)
{
	(void)loop, (void)revents;
	transition_consider(container_of(timer, struct transition, begin));
}

static struct transition *transition_new(const struct transition_plan *plan, unsigned n_replaces)
{
	struct transition *transition = calloc(1, sizeof(*transition));
	if (!transition)
		return NULL;
	transition->replaces = calloc(n_replaces, sizeof(struct replace *));
	if (!transition->replaces) {
		free(transition);
		return NULL;
	}
	transition->kind = plan->kind;
	transition->state = TRANSITION_WAITING;
	transition->started_usec = clock_realtime_usec();
	transition->began_usec = clock_monotonic_usec();
	transition->slots = plan->slots;
	transition->generations = plan->generations;
	transition->max_draining = plan->max_draining;
	transition->max_draining_action = plan->max_draining_action;
	transition->n_replaces = n_replaces;
	return transition;
}

int transition_begin(const struct transition_plan *plan, struct spec *spec,
		     const struct transition_ops *ops, void *owner,
		     struct transition **ret_transition, struct error *error)
{
	struct ev_loop *loop = plan->slots->loop;
	struct transition *transition = transition_new(plan, spec->n_slots);
	if (!transition)
		return error_set(error, -ENOMEM, "out of memory");
	transition->outgoing = generations_find(plan->generations, GENERATION_SERVING);
	int r = generation_new(plan->generations, spec, plan->slots->n_items,
			       &transition->incoming);
	if (r < 0) {
		free(transition->replaces);
		free(transition);
		return error_set(error, r, "out of memory");
	}
	transition->incoming_number = transition->incoming->number;
	transition->ops = ops;
	transition->owner = owner;
	ev_now_update(loop);
	ev_timer_init(&transition->begin, on_begin, 0, 0);
	ev_timer_init(&transition->settle, on_settled, 0, 0);
	ev_timer_init(&transition->timeout, on_timeout, clock_seconds(plan->timeout_usec), 0);
	ev_timer_start(loop, &transition->begin);
	if (plan->timeout_usec != USEC_INFINITY)
		ev_timer_start(loop, &transition->timeout);
	*ret_transition = transition;
	transition_step(transition, STEP_SPEC, NULL, spec->executable.path);
	return 0;
}
