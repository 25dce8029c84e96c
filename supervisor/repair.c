/* Workers that are lost are replaced, and what workers say is logged. */
#include <string.h>

#include "supervisor/clock.h"
#include "supervisor/failure.h"
#include "supervisor/leave.h"
#include "supervisor/log.h"
#include "supervisor/replace.h"
#include "supervisor/report.h"
#include "supervisor/spec.h"
#include "supervisor/supervisor.h"
#include "supervisor/systemd.h"

static const struct replace_ops repair_ops;

static void repair_begin(struct supervisor *supervisor, struct slot *slot,
			 struct generation *generation, uint64_t served_usec)
{
	uint64_t hold_usec = generation_hold_after_death(generation, slot->number, served_usec);
	if (!replace_begin(slot, generation, hold_usec, &repair_ops, supervisor))
		log_error("slot %u: no memory to replace its worker", slot->number);
	else if (hold_usec)
		log_warning("slot %u: died again too soon; started again in %g s", slot->number,
			    clock_seconds(hold_usec));
}

/* Both gates are open for a repair: there is nobody to wait for, and nobody outgoing. */
static void on_ready(void *owner, struct replace *replace)
{
	struct slot *slot = replace->slot;
	struct worker *worker = replace->incoming;
	(void)owner;
	replace_serve(replace);
	if (worker->state != WORKER_SERVING)
		return; /* it could not be told: on_failed has seen to it */
	log_notice("slot %u: worker (pid %d) replaces the one that was lost", slot->number,
		   (int)worker->pid);
	replace_over(replace);
}

static void on_failed(void *owner, struct replace *replace, struct failure *failure)
{
	log_warning("%s", failure->detail.text);
	repair_begin(owner, replace->slot, replace->generation, 0);
}

static const struct replace_ops repair_ops = { .ready = on_ready, .failed = on_failed };

/* What no held descriptor helps against: the same file with something else in it, and a script, which
 * its interpreter opens by its path. */
static void repair_look_at_executable(const struct generation *generation)
{
	const struct executable *executable = &generation->spec->executable;
	enum executable_change change = executable_check(executable);
	if (change == EXECUTABLE_OVERWRITTEN || (change == EXECUTABLE_MOVED && executable->script))
		log_warning("%s is not any more what generation %u began with, and is started all "
			    "the same (give each release a file of its own)",
			    executable->path, generation->number);
}

static void on_worker_lost(void *owner, struct worker *worker, const struct failure *failure)
{
	struct supervisor *supervisor = owner;
	struct slot *slot = worker->slot;
	uint64_t served_usec = clock_monotonic_usec() - worker->served_usec;
	supervisor->crashes++;
	supervisor->last_crash = failure->detail;
	log_warning("%s", failure->detail.text);
	repair_look_at_executable(worker->generation);
	/* One of a generation that drains was in a slot that left and is wanted again: its successor
	 * starts already. */
	if (slot->leaving)
		leave_begin(slot, generation_hold_after_death(worker->generation, slot->number,
							      served_usec));
	else if (worker->generation->state == GENERATION_SERVING)
		repair_begin(supervisor, slot, worker->generation, served_usec);
}

static void on_worker_changed(void *owner, struct worker *worker, enum worker_state old)
{
	struct supervisor *supervisor = owner;
	char line[REPORT_LINE_MAX];
	log_debug("generation %u worker %u (pid %d): %s → %s", worker->generation->number,
		  worker->slot->number, (int)worker->pid, worker_state_name(old),
		  worker_state_name(worker->state));
	if (old == WORKER_DRAINING && worker->state == WORKER_STOPPING && !supervisor->stopping_now)
		log_warning("generation %u worker %u (pid %d) has not drained in time: killed",
			    worker->generation->number, worker->slot->number, (int)worker->pid);
	systemd_status(supervisor->systemd, "%s", report_line(supervisor, line));
}

static void on_worker_line(void *owner, struct worker *worker, const char *line)
{
	(void)owner;
	log_info("%u/%u[%d]: %s", worker->generation->number, worker->slot->number,
		 (int)worker->pid, line);
}

static void on_worker_complaint(void *owner, struct worker *worker, const char *text)
{
	(void)owner;
	log_warning("generation %u worker %u (pid %d): %s", worker->generation->number,
		    worker->slot->number, (int)worker->pid, text);
}

static void on_worker_ended(void *owner, struct worker *worker, const struct exit_status *status)
{
	struct supervisor *supervisor = owner;
	char text[EXIT_STATUS_TEXT_MAX];
	log_debug("generation %u worker %u (pid %d) %s", worker->generation->number,
		  worker->slot->number, (int)worker->pid, exit_status_format(status, text));
	if (supervisor->state == SUPERVISOR_STOPPING && slots_n_workers(&supervisor->slots) == 0)
		ev_break(supervisor->loop, EVBREAK_ALL);
}

static void on_sockets_complaint(void *owner, const char *text)
{
	(void)owner;
	log_warning("%s", text);
}

const struct slots_ops supervisor_slots_ops = {
	.worker_changed = on_worker_changed,
	.worker_lost = on_worker_lost,
	.worker_line = on_worker_line,
	.worker_complaint = on_worker_complaint,
	.worker_ended = on_worker_ended,
	.sockets_complaint = on_sockets_complaint,
};
