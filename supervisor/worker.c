#include "supervisor/worker.h"

#include <assert.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "proto/channel.h"
#include "supervisor/clock.h"
#include "supervisor/spec.h"
#include "supervisor/worker_internal.h"

static const char *const kind_names[] = {
	[WORKER_UNKNOWN] = "unknown",
	[WORKER_NATIVE] = "native",
	[WORKER_NOTIFY] = "notify",
	[WORKER_SIMPLE] = "simple",
};

const char *worker_kind_name(enum worker_kind kind)
{
	return kind_names[kind];
}

/* The one writer of worker->state. A refused event changes nothing and returns false. */
static bool worker_set_state(struct worker *worker, enum worker_event event)
{
	enum worker_state old = worker->state, next = worker_state_after(old, event);
	if (next == WORKER_INVALID)
		return false;
	worker->state = next;
	worker->since_usec = clock_realtime_usec();
	worker->ops->state_changed(worker->owner, worker, old);
	return true;
}

static void worker_set_deadline(struct worker *worker, uint64_t timeout_usec)
{
	ev_timer_stop(worker->loop, &worker->deadline);
	worker->deadline_usec = 0;
	if (timeout_usec > WORKER_TIMEOUT_MAX_USEC)
		return;
	ev_now_update(worker->loop);
	ev_timer_set(&worker->deadline, clock_seconds(timeout_usec), 0);
	ev_timer_start(worker->loop, &worker->deadline);
	worker->deadline_usec = clock_realtime_usec() + timeout_usec;
}

void worker_extend_deadline(struct worker *worker, uint64_t timeout_usec)
{
	if (worker->deadline_usec && (timeout_usec > WORKER_TIMEOUT_MAX_USEC ||
				      clock_realtime_usec() + timeout_usec > worker->deadline_usec))
		worker_set_deadline(worker, timeout_usec);
}

static void worker_watch_pulse(struct worker *worker)
{
	ev_timer_stop(worker->loop, &worker->watchdog);
	if (!worker->watchdog_usec || worker->kind == WORKER_SIMPLE)
		return;
	ev_timer_set(&worker->watchdog, clock_seconds(worker->watchdog_usec), 0);
	ev_timer_start(worker->loop, &worker->watchdog);
}

void worker_pulse(struct worker *worker, uint64_t watchdog_usec)
{
	if (watchdog_usec)
		worker->watchdog_usec = watchdog_usec;
	if (worker->state == WORKER_READY || worker->state == WORKER_SERVING)
		worker_watch_pulse(worker);
}

void worker_complain(struct worker *worker, const char *text)
{
	if (worker->complaints++ < WORKER_COMPLAINTS_MAX)
		worker->ops->complaint(worker->owner, worker, text);
}

/* A worker may say that it is ready and be dead by the time we read it. */
bool worker_has_exited(const struct worker *worker)
{
	struct pollfd pidfd = { .fd = worker->exit_watcher.fd, .events = POLLIN };
	return worker->exiting || poll(&pidfd, 1, 0) != 0;
}

/* It was taken for simple because it was slow to speak. */
static void worker_is_ready_after_all(struct worker *worker, enum worker_kind kind)
{
	worker->kind = kind;
	worker_watch_pulse(worker);
	if (kind == WORKER_NATIVE && worker->state == WORKER_SERVING &&
	    worker_tell_serve(worker) < 0)
		worker_withdraws(worker, WORKER_HANGS, "cannot be told to serve");
}

void worker_is_ready(struct worker *worker, enum worker_kind kind)
{
	if (worker_has_exited(worker))
		return;
	if (kind != WORKER_SIMPLE)
		*worker->readiness_told = true;
	if (worker->kind == WORKER_SIMPLE && worker_is_active(worker)) {
		worker_is_ready_after_all(worker, kind);
		return;
	}
	if (worker->state != WORKER_STARTING)
		return;
	worker->kind = kind;
	ev_timer_stop(worker->loop, &worker->simple);
	worker_set_deadline(worker, USEC_INFINITY);
	worker_set_state(worker, WORKER_ON_READY);
	worker_watch_pulse(worker);
	worker->ops->ready(worker->owner, worker);
}

void worker_withdraws(struct worker *worker, enum worker_withdrawal how, const char *why)
{
	if (worker_is_active(worker) && !worker_has_exited(worker))
		worker->ops->withdrew(worker->owner, worker, how, why);
}

/* When we could not run for a while (SIGSTOP, an overloaded machine) timers are due before what was
 * said in time has been read. */
static void worker_catch_up(struct worker *worker)
{
	worker_read_channel(worker);
	notify_drain(&worker->notify);
}

static void on_deadline(EV_P_ ev_timer *timer, int revents)
{
	struct worker *worker = container_of(timer, struct worker, deadline);
	enum worker_state state = worker->state;
	(void)loop, (void)revents;
	worker_catch_up(worker);
	if (worker->state != state || ev_is_active(timer) || worker_has_exited(worker))
		return;
	worker->deadline_usec = 0;
	worker->ops->late(worker->owner, worker);
}

static bool worker_may_be_simple(const struct worker *worker)
{
	enum worker_type type = worker->spec->type;
	return type == WORKER_TYPE_SIMPLE ||
	       (type == WORKER_TYPE_AUTO && (worker->proven_simple || !*worker->readiness_told));
}

static void on_simple(EV_P_ ev_timer *timer, int revents)
{
	struct worker *worker = container_of(timer, struct worker, simple);
	(void)loop, (void)revents;
	if (worker_may_be_simple(worker))
		worker_is_ready(worker, WORKER_SIMPLE);
}

static void on_watchdog(EV_P_ ev_timer *timer, int revents)
{
	struct worker *worker = container_of(timer, struct worker, watchdog);
	(void)loop, (void)revents;
	worker_catch_up(worker);
	if (!ev_is_active(timer))
		worker_withdraws(worker, WORKER_HANGS, "missed its watchdog");
}

static void worker_stop_watching(struct worker *worker)
{
	ev_timer_stop(worker->loop, &worker->deadline);
	ev_timer_stop(worker->loop, &worker->simple);
	ev_timer_stop(worker->loop, &worker->watchdog);
	ev_io_stop(worker->loop, &worker->exit_watcher);
	worker->exit_watcher.fd = fd_close(worker->exit_watcher.fd);
	worker_close_channel(worker);
	notify_close(&worker->notify);
}

static void on_exit_watcher(EV_P_ ev_io *watcher, int revents)
{
	struct worker *worker = container_of(watcher, struct worker, exit_watcher);
	struct exit_status status;
	(void)loop, (void)revents;

	worker->exiting = true;
	worker_read_channel(worker);
	notify_drain(&worker->notify);
	output_close(&worker->output);
	(void)spawn_kill_group(worker->pid, SIGKILL);
	if (spawn_reap(watcher->fd, &status) < 0)
		return; /* a pidfd that polls readable and has no status: looked at again */
	worker_stop_watching(worker);
	worker->deadline_usec = 0;
	enum worker_state before = worker->state;
	worker_set_state(worker, WORKER_ON_ENDED);
	worker->ops->ended(worker->owner, worker, before, &status);
}

static void on_line(void *owner, const char *line)
{
	struct worker *worker = owner;
	worker->ops->line(worker->owner, worker, line);
}

static struct worker *worker_new(const struct worker_plan *plan, const struct worker_ops *ops,
				 void *owner)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	if (!worker)
		return NULL;
	worker->slot = plan->slot;
	worker->generation = plan->generation;
	worker->spec = plan->spec;
	worker->state = WORKER_STARTING;
	worker->loop = plan->loop;
	worker->watchdog_usec = plan->spec->watchdog_usec;
	worker->readiness_told = plan->readiness_told;
	worker->proven_simple = plan->proven_simple;
	worker->ops = ops;
	worker->owner = owner;
	worker->notify.fd = -1;
	worker->output.fd = -1;
	ev_io_init(&worker->exit_watcher, on_exit_watcher, -1, EV_READ);
	worker_init_channel(worker);
	ev_timer_init(&worker->deadline, on_deadline, 0, 0);
	ev_timer_init(&worker->simple, on_simple, 0, 0);
	ev_timer_init(&worker->watchdog, on_watchdog, 0, 0);
	return worker;
}

/* What a half-made one holds is released too; a process that runs is not. */
void worker_free(struct worker *worker)
{
	if (!worker)
		return;
	worker_stop_watching(worker);
	output_finish(&worker->output);
	free(worker->status);
	free(worker);
}

static void worker_freep(struct worker **worker)
{
	worker_free(*worker);
}

static int worker_spawn(struct worker *worker, const struct worker_plan *plan, int output_fd,
			int channel_fd, struct error *error)
{
	char notify[160], name[CONFIG_NAME_MAX + 32], generation[48], slot[48], watchdog[48];
	snprintf(notify, sizeof(notify), "NOTIFY_SOCKET=%s", worker->notify.path);
	snprintf(name, sizeof(name), "HANDOVER_NAME=%s", plan->service_name);
	snprintf(generation, sizeof(generation), "HANDOVER_GENERATION=%u", plan->generation_number);
	snprintf(slot, sizeof(slot), "HANDOVER_SLOT=%u", plan->slot_number);
	snprintf(watchdog, sizeof(watchdog), "WATCHDOG_USEC=%llu",
		 (unsigned long long)worker->watchdog_usec);
	const char *variables[] = { notify, name, generation, slot, watchdog };
	bool watched = worker->watchdog_usec != 0;
	struct spawn_plan spawn_plan = {
		.spec = plan->spec,
		.output_fd = output_fd,
		.listen_fds = plan->listen_fds,
		.listen_names = plan->listen_names,
		.n_listen_fds = plan->n_listen_fds,
		.channel_fd = channel_fd,
		.variables = variables,
		.n_variables = ARRAY_SIZE(variables) - (watched ? 0 : 1),
		.watchdog = watched,
	};
	struct spawned spawned;
	int r = spawn(&spawn_plan, &spawned, error);
	if (r < 0)
		return r;
	worker->pid = worker->notify.main_pid = spawned.pid;
	ev_io_set(&worker->exit_watcher, spawned.pidfd, EV_READ);
	ev_io_start(worker->loop, &worker->exit_watcher);
	return 0;
}

static void worker_await_ready(struct worker *worker)
{
	worker->started_usec = worker->since_usec = clock_realtime_usec();
	worker_set_deadline(worker, worker->spec->timeout_start_usec);
	if (!worker_may_be_simple(worker))
		return;
	ev_timer_set(&worker->simple, WORKER_SIMPLE_SEC, 0);
	ev_timer_start(worker->loop, &worker->simple);
}

int worker_start(const struct worker_plan *plan, const struct worker_ops *ops, void *owner,
		 struct worker **ret_worker, struct error *error)
{
	CLEANUP(worker_freep) struct worker *worker = worker_new(plan, ops, owner);
	if (!worker)
		return error_set(error, -ENOMEM, "out of memory");

	CLEANUP(fd_closep) int output_fd = -1;
	CLEANUP(fd_closep) int channel_fd = -1;
	int output[2], channel[2];
	int r = output_pipe(output);
	if (r < 0)
		return error_set(error, r, "cannot make its output pipe: %s", strerror(-r));
	output_fd = output[1];
	output_init(&worker->output, plan->loop, output[0], on_line, worker);

	r = channel_pair(channel);
	if (r < 0)
		return error_set(error, r, "cannot make its channel: %s", strerror(-r));
	channel_fd = channel[1];
	worker_watch_channel(worker, channel[0]);

	char socket_name[64];
	snprintf(socket_name, sizeof(socket_name), "%u.%u.%u", plan->generation_number,
		 plan->slot_number, plan->serial);
	uid_t uid = plan->spec->set_identity ? plan->spec->uid : (uid_t)-1;
	r = notify_open(&worker->notify, plan->loop, plan->notify_directory, socket_name, uid,
			plan->spec->notify_access, error);
	if (r < 0)
		return r;
	worker_watch_notify(worker);

	r = worker_spawn(worker, plan, output_fd, channel_fd, error);
	if (r < 0)
		return r;
	worker_await_ready(worker);
	*ret_worker = TAKE_PTR(worker);
	return 0;
}

void worker_serve(struct worker *worker)
{
	if (!worker_set_state(worker, WORKER_ON_SERVE))
		return;
	worker->served_usec = clock_monotonic_usec();
	if (worker->kind == WORKER_NATIVE && worker_tell_serve(worker) < 0)
		worker_withdraws(worker, WORKER_HANGS, "cannot be told to serve");
}

/* Its pid cannot be a stranger's: nobody but on_exit_watcher() reaps it. */
static void worker_signal(const struct worker *worker, int signal)
{
	(void)kill(worker->pid, signal);
}

/* False when it was draining or stopping already. */
static bool worker_begin_drain(struct worker *worker, uint64_t timeout_usec)
{
	ev_timer_stop(worker->loop, &worker->simple);
	ev_timer_stop(worker->loop, &worker->watchdog);
	if (!worker_set_state(worker, WORKER_ON_DRAIN))
		return false;
	worker_set_deadline(worker, timeout_usec);
	return true;
}

static void worker_ask_to_drain(struct worker *worker, uint64_t timeout_usec)
{
	/* A stopped one could not hear it. Not afterwards: it would meet the worker while it exits, and
	 * LeakSanitizer, which stops the process then, hangs on it. */
	worker_signal(worker, SIGCONT);
	if (worker->kind != WORKER_NATIVE || worker_tell_drain(worker, timeout_usec) < 0)
		worker_signal(worker, worker->spec->kill_signal);
}

void worker_drain(struct worker *worker)
{
	uint64_t timeout_usec = worker->spec->timeout_stop_usec;
	if (worker_begin_drain(worker, timeout_usec))
		worker_ask_to_drain(worker, timeout_usec);
}

void worker_drain_withdrawn(struct worker *worker, enum worker_withdrawal how)
{
	uint64_t timeout_usec = worker->spec->timeout_stop_usec;
	if (how == WORKER_HANGS && timeout_usec > WORKER_HANGS_MAX_USEC)
		timeout_usec = WORKER_HANGS_MAX_USEC;
	if (worker_begin_drain(worker, timeout_usec) && how == WORKER_HANGS)
		worker_ask_to_drain(worker, timeout_usec);
}

void worker_hurry(struct worker *worker)
{
	worker_set_deadline(worker, 0);
	worker->deadline_usec = 0; /* which EXTEND_TIMEOUT_USEC= does not undo */
}

void worker_kill(struct worker *worker)
{
	ev_timer_stop(worker->loop, &worker->simple);
	ev_timer_stop(worker->loop, &worker->watchdog);
	worker_set_deadline(worker, USEC_INFINITY);
	if (!worker_set_state(worker, WORKER_ON_KILL))
		return;
	worker_signal(worker, SIGKILL); /* by itself too: it may have left its group */
	(void)spawn_kill_group(worker->pid, SIGKILL);
}

bool worker_cannot_have_accepted(const struct worker *worker)
{
	bool native = worker->kind == WORKER_NATIVE || worker->spec->type == WORKER_TYPE_NATIVE;
	return native && !worker->served_usec;
}
