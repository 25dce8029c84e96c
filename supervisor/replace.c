#include "supervisor/replace.h"

#include <assert.h>
#include <stdio.h>

#include "proto/base.h"
#include "supervisor/failure.h"
#include "supervisor/generation.h"
#include "supervisor/listener.h"
#include "supervisor/slot.h"
#include "supervisor/spec.h"

static const struct worker_ops worker_ops;

/* Starting. */

static int replace_start_worker(struct replace *replace, struct error *error)
{
	struct slot *slot = replace->slot;
	struct slots *slots = slot->slots;
	CLEANUP(freep) int *fds = NULL;
	CLEANUP(freep) const char **names = NULL;
	size_t n_fds;
	int r = listeners_for_slot(slots->listeners, slot->number, &fds, &names, &n_fds);
	if (r < 0)
		return error_set(error, r, "out of memory");
	struct worker_plan plan = {
		.loop = slots->loop,
		.spec = replace->generation->spec,
		.slot = slot,
		.generation = replace->generation,
		.service_name = slots->service_name,
		.notify_directory = slots->notify_directory,
		.slot_number = slot->number,
		.generation_number = replace->generation->number,
		.serial = slots->n_starts++,
		.listen_fds = fds,
		.listen_names = names,
		.n_listen_fds = n_fds,
		.readiness_told = &slots->readiness_told,
		.proven_simple = replace->generation->state == GENERATION_SERVING &&
				 replace->generation->simple,
	};
	return worker_start(&plan, &worker_ops, slots, &replace->incoming, error);
}

static void replace_unlink(struct replace *replace)
{
	struct slot *slot = replace->slot;
	struct replace **link = &slot->replaces;
	while (*link != replace)
		link = &(*link)->next;
	*link = replace->next;
	if (replace->incoming)
		replace->incoming->replace = NULL;
	ev_timer_stop(slot->slots->loop, &replace->hold);
}

static void replace_free(struct replace *replace)
{
	replace_unlink(replace);
	free(replace);
}

/* Unlinked first: its owner may empty the slot when it hears of the failure. */
static void replace_fail(struct replace *replace, struct failure *failure)
{
	replace_unlink(replace);
	replace->ops->failed(replace->owner, replace, failure);
	failure_finish(failure);
	free(replace);
}

static void replace_start(struct replace *replace)
{
	struct slot *slot = replace->slot;
	struct error error;
	struct failure failure;
	if (replace_start_worker(replace, &error) < 0) {
		failure_init(&failure, "exec", "worker %u could not be started: %s", slot->number,
			     error.text);
		failure.slot = (int)slot->number;
		replace_fail(replace, &failure);
		return;
	}
	struct worker *worker = replace->incoming;
	worker->replace = replace;
	worker->next = slot->workers;
	slot->workers = worker;
	generation_worker_started(replace->generation);
	slot->slots->ops->worker_changed(slot->slots->owner, worker, WORKER_INVALID);
	if (replace->ops->started)
		replace->ops->started(replace->owner, replace);
}

/* One start a turn of the loop: deaths, answers and requests are handled between any two. */

static void slots_schedule_start(struct slots *slots)
{
	if (!slots->due || ev_is_active(&slots->start_timer))
		return;
	ev_timer_set(&slots->start_timer, 0, 0);
	ev_timer_start(slots->loop, &slots->start_timer);
}

static void on_start_timer(EV_P_ ev_timer *timer, int revents)
{
	struct slots *slots = container_of(timer, struct slots, start_timer);
	struct replace *replace = slots->due;
	(void)loop, (void)revents;
	if (!replace)
		return;
	slots->due = replace->next_due;
	if (!slots->due)
		slots->due_end = &slots->due;
	replace->due = false;
	replace_start(replace);
	slots_schedule_start(slots);
}

static void on_hold(EV_P_ ev_timer *timer, int revents)
{
	struct replace *replace = container_of(timer, struct replace, hold);
	struct slots *slots = replace->slot->slots;
	(void)loop, (void)revents;
	replace->due = true;
	*slots->due_end = replace;
	slots->due_end = &replace->next_due;
	slots_schedule_start(slots);
}

static void replace_not_due(struct replace *replace)
{
	struct slots *slots = replace->slot->slots;
	if (!replace->due)
		return;
	struct replace **link = &slots->due;
	while (*link != replace)
		link = &(*link)->next_due;
	*link = replace->next_due;
	if (!*link)
		slots->due_end = link;
	replace->due = false;
}

void replace_init(struct slots *slots)
{
	slots->due_end = &slots->due;
	ev_timer_init(&slots->start_timer, on_start_timer, 0, 0);
}

struct replace *replace_begin(struct slot *slot, struct generation *generation, uint64_t hold_usec,
			      const struct replace_ops *ops, void *owner)
{
	struct replace *replace = calloc(1, sizeof(*replace));
	if (!replace)
		return NULL;
	replace->slot = slot;
	replace->generation = generation;
	replace->ops = ops;
	replace->owner = owner;
	replace->next = slot->replaces;
	slot->replaces = replace;
	ev_now_update(slot->slots->loop);
	ev_timer_init(&replace->hold, on_hold, (double)hold_usec / 1e6, 0);
	ev_timer_start(slot->slots->loop, &replace->hold);
	return replace;
}

/* Taking away. */

static void worker_take_away(struct worker *worker)
{
	if (!worker_is_active(worker))
		return;
	if (worker_cannot_have_accepted(worker))
		worker_kill(worker);
	else
		worker_drain(worker);
}

void replace_abort(struct replace *replace)
{
	struct worker *worker = replace->incoming;
	replace_not_due(replace);
	replace_free(replace);
	if (worker)
		worker_take_away(worker);
}

void replace_serve(struct replace *replace)
{
	worker_serve(replace->incoming);
}

void replace_drain(struct replace *replace)
{
	struct slot *slot = replace->slot;
	struct worker *incoming = replace->incoming;
	replace_free(replace);
	while (slot->replaces)
		replace_abort(slot->replaces);
	for (struct worker *worker = slot->workers; worker; worker = worker->next)
		if (worker != incoming)
			worker_take_away(worker);
}

void replace_over(struct replace *replace)
{
	replace_free(replace);
}

void replace_empty(struct slot *slot)
{
	while (slot->replaces)
		replace_abort(slot->replaces);
	for (struct worker *worker = slot->workers; worker; worker = worker->next)
		worker_take_away(worker);
}

void replace_kill_all(struct slot *slot)
{
	while (slot->replaces)
		replace_abort(slot->replaces);
	for (struct worker *worker = slot->workers; worker; worker = worker->next)
		worker_kill(worker);
}

void replace_hurry(struct slots *slots, const struct generation *generation)
{
	for (size_t i = 0; i < slots->n_items; i++)
		for (struct worker *w = slots->items[i]->workers; w; w = w->next)
			if (w->generation == generation && w->state == WORKER_DRAINING)
				worker_hurry(w);
}

/* What workers say of themselves. */

/* Whoever replaces it is judged by what it turned out to be in the end, slow to speak or silent. */
static void worker_is_lost(struct worker *worker, const struct failure *failure)
{
	struct slots *slots = worker->slot->slots;
	worker->generation->simple = worker->kind == WORKER_SIMPLE;
	slots->ops->worker_lost(slots->owner, worker, failure);
}

static void on_worker_changed(void *owner, struct worker *worker, enum worker_state old)
{
	struct slots *slots = owner;
	slots_steer(slots);
	slots->ops->worker_changed(slots->owner, worker, old);
	if (worker->state == WORKER_DRAINING)
		slots_tend(worker->slot, NULL);
}

static void on_worker_ready(void *owner, struct worker *worker)
{
	struct slots *slots = owner;
	worker->generation->simple = worker->kind == WORKER_SIMPLE;
	worker->left_nonblocking = listeners_nonblocking(slots->listeners, worker->slot->number);
	slots_tend(worker->slot, worker);
	assert(worker->replace);
	worker->replace->ops->ready(worker->replace->owner, worker->replace);
}

static void on_worker_late(void *owner, struct worker *worker)
{
	struct failure failure;
	(void)owner;
	if (worker->state == WORKER_DRAINING) {
		worker_kill(worker);
		return;
	}
	if (!worker->replace)
		return;
	failure_of_worker(&failure, worker, "timeout",
			  "worker %u (pid %d) did not get ready within %g s (TimeoutStartSec=)%s",
			  worker->slot->number, (int)worker->pid,
			  (double)worker->spec->timeout_start_usec / 1e6,
			  worker->spec->type == WORKER_TYPE_AUTO
				  ? "; a program that never says so needs Type=simple"
				  : "");
	struct replace *replace = worker->replace;
	worker_take_away(worker);
	replace_fail(replace, &failure);
}

static void on_worker_withdrew(void *owner, struct worker *worker, enum worker_withdrawal how,
			       const char *why)
{
	struct replace *replace = worker->replace;
	struct failure failure;
	(void)owner;
	failure_of_worker(&failure, worker, "withdrew", "worker %u (pid %d) %s",
			  worker->slot->number, (int)worker->pid, why);
	worker_drain_withdrawn(worker, how);
	if (replace) {
		replace_fail(replace, &failure);
		return;
	}
	worker_is_lost(worker, &failure);
	failure_finish(&failure);
}

static void on_worker_line(void *owner, struct worker *worker, const char *line)
{
	struct slots *slots = owner;
	slots->ops->worker_line(slots->owner, worker, line);
}

static void on_worker_complaint(void *owner, struct worker *worker, const char *text)
{
	struct slots *slots = owner;
	slots->ops->worker_complaint(slots->owner, worker, text);
}

static void slot_remove(struct slot *slot, struct worker *worker)
{
	struct worker **link = &slot->workers;
	while (*link != worker)
		link = &(*link)->next;
	*link = worker->next;
}

static void on_worker_ended(void *owner, struct worker *worker, enum worker_state before,
			    const struct exit_status *status)
{
	struct slots *slots = owner;
	struct slot *slot = worker->slot;
	struct generation *generation = worker->generation;
	struct replace *replace = worker->replace;
	bool unasked = before != WORKER_DRAINING && before != WORKER_STOPPING;
	struct failure failure;

	slot_remove(slot, worker);
	slots_steer(slots);
	slots_tend(slot, NULL);
	slots->ops->worker_ended(slots->owner, worker, status);
	if (unasked) {
		failure_of_exit(&failure, worker, status);
		if (replace)
			replace_fail(replace, &failure);
		else
			worker_is_lost(worker, &failure);
		failure_finish(&failure);
	}
	worker_free(worker);
	generation_worker_gone(generation);
}

static const struct worker_ops worker_ops = {
	.state_changed = on_worker_changed,
	.ready = on_worker_ready,
	.late = on_worker_late,
	.withdrew = on_worker_withdrew,
	.line = on_worker_line,
	.complaint = on_worker_complaint,
	.ended = on_worker_ended,
};
