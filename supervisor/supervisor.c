#include "supervisor/supervisor.h"

#include <assert.h>
#include <string.h>

#include "proto/base.h"
#include "proto/varlink_service.h"
#include "supervisor/activation.h"
#include "supervisor/clock.h"
#include "supervisor/leave.h"
#include "supervisor/listener.h"
#include "supervisor/listener_watch.h"
#include "supervisor/log.h"
#include "supervisor/reload.h"
#include "supervisor/replace.h"
#include "supervisor/shard_watch.h"
#include "supervisor/systemd.h"

/* Wall-clock time, in seconds since the epoch, that no service lives to see. */
#define NEVER 1e12

/* How long the last answers may take to leave when everything has stopped. */
enum { LAST_ANSWERS_MS = 1000 };

static void on_generation_changed(void *owner, struct generation *generation,
				  enum generation_state old)
{
	struct supervisor *supervisor = owner;
	log_debug("generation %u: %s → %s", generation->number, generation_state_name(old),
		  generation_state_name(generation->state));
	if (generation->state != GENERATION_GONE)
		return;
	log_info("generation %u is gone", generation->number);
	if (supervisor->transition)
		transition_consider(supervisor->transition);
}

static void on_shut_down(void *owner, const struct listener *listener,
			 const struct endpoint *endpoint, size_t slot, bool healed)
{
	char address[ADDRESS_TEXT_MAX];
	(void)owner;
	address_format(&endpoint->address, address);
	const char *whose = slot == SIZE_MAX ? "" : " of its slot";
	if (healed)
		log_warning(
			"listener %s: a worker%s called shutdown() on %s: healed by listen(); a "
			"worker should close() its copy instead",
			listener->name, whose, address);
	else
		log_error("listener %s: a worker%s called shutdown() on %s, which cannot be "
			  "healed: restart the service",
			  listener->name, whose, address);
}

static void on_straggler(void *owner, size_t slot)
{
	struct supervisor *supervisor = owner;
	struct generation *serving = generations_find(&supervisor->generations, GENERATION_SERVING);
	if (!serving || supervisor->state != SUPERVISOR_SERVING)
		return;
	if (listeners_queued(supervisor->listeners, slot) == 0) {
		/* It was shut down, or has gone again. */
		leave_begin(supervisor->slots.items[slot], 0);
		return;
	}
	log_info("slot %zu: a connection arrived after its worker left: one is started for it",
		 slot);
	leave_straggler(supervisor->slots.items[slot], serving);
}

static int supervisor_open_sockets(struct supervisor *supervisor, struct activation *activation,
				   struct error *error)
{
	CLEANUP(problems_finish) struct problems notices = { 0 };
	size_t n_slots = supervisor->config->worker.count;
	int r = listeners_open(supervisor->config, n_slots, activation, &supervisor->listeners,
			       &notices, error);
	activation_report_left_over(activation, &notices);
	for (size_t i = 0; i < notices.n_lines; i++)
		log_notice("%s", notices.lines[i]);
	if (r < 0)
		return r;
	r = listener_watch_new(supervisor->loop, supervisor->listeners, on_shut_down, supervisor,
			       &supervisor->listener_watch);
	if (r == 0)
		r = shard_watch_new(supervisor->loop, supervisor->listeners, on_straggler,
				    supervisor, &supervisor->slots.shard_watch);
	if (r < 0)
		return error_set(error, r, "cannot watch the listeners: %s", strerror(-r));
	return 0;
}

static int supervisor_open_control(struct supervisor *supervisor, struct error *error)
{
	const struct config *config = supervisor->config;
	int r = control_dir_listen(&supervisor->dir, config->control.socket,
				   &supervisor->control_fd, &supervisor->control_path, error);
	if (r < 0)
		return r;
	r = commands_serve(supervisor);
	return r < 0 ? error_set(error, r, "cannot serve %s: %s", supervisor->control_path,
				 strerror(-r))
		     : 0;
}

static void on_never(EV_P_ ev_periodic *watcher, int revents)
{
	(void)loop, (void)watcher, (void)revents;
}

static struct supervisor *supervisor_alloc(const struct config_sources *sources)
{
	struct supervisor *supervisor = calloc(1, sizeof(*supervisor));
	if (!supervisor)
		return NULL;
	supervisor->sources = sources;
	supervisor->control_fd = supervisor->dir.fd = -1;
	supervisor->since_usec = clock_realtime_usec();
	supervisor->generations.changed = on_generation_changed;
	supervisor->generations.owner = supervisor;
	/* Not the default loop: its SIGCHLD handler would reap the workers behind our back. */
	supervisor->loop = ev_loop_new(EVFLAG_NOENV);
	if (!supervisor->loop) {
		free(supervisor);
		return NULL;
	}
	/* libev wakes once a minute to look whether the clock jumped, unless a periodic watcher made
	 * it ask the kernel (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET) to say so. */
	ev_periodic_init(&supervisor->never, on_never, NEVER, 0, NULL);
	ev_periodic_start(supervisor->loop, &supervisor->never);
	signals_watch(supervisor);
	return supervisor;
}

static int supervisor_open_slots(struct supervisor *supervisor, struct error *error)
{
	struct slots *slots = &supervisor->slots;
	slots->loop = supervisor->loop;
	slots->listeners = supervisor->listeners;
	slots->service_name = supervisor->config->name;
	slots->notify_directory = supervisor->dir.notify_path;
	slots->ops = &supervisor_slots_ops;
	slots->owner = supervisor;
	replace_init(slots);
	int r = slots_grow(slots, supervisor->config->worker.count);
	return r < 0 ? error_set(error, r, "out of memory") : 0;
}

int supervisor_new(const struct config_sources *sources, struct config *config,
		   struct activation *activation, struct supervisor **ret_supervisor,
		   struct error *error)
{
	CLEANUP(supervisor_freep) struct supervisor *supervisor = supervisor_alloc(sources);
	if (!supervisor)
		return error_set(error, -ENOMEM, "out of memory");
	supervisor->config = config;
	int r = control_dir_open(config->name, &supervisor->dir, error);
	if (r == 0)
		r = supervisor_open_sockets(supervisor, activation, error);
	if (r == 0)
		r = supervisor_open_control(supervisor, error);
	if (r == 0)
		r = supervisor_open_slots(supervisor, error);
	if (r == 0 && systemd_new(supervisor->loop, &supervisor->systemd) < 0)
		r = error_set(error, -ENOMEM, "out of memory");
	if (r < 0) {
		supervisor->config = NULL; /* the caller's still */
		return r;
	}
	*ret_supervisor = TAKE_PTR(supervisor);
	return 0;
}

void supervisor_free(struct supervisor *supervisor)
{
	if (!supervisor)
		return;
	signals_unwatch(supervisor);
	varlink_service_free(supervisor->service);
	systemd_free(supervisor->systemd);
	shard_watch_free(supervisor->slots.shard_watch);
	listener_watch_free(supervisor->listener_watch);
	slots_finish(&supervisor->slots);
	generations_finish(&supervisor->generations);
	listeners_free(supervisor->listeners);
	fd_close(supervisor->control_fd);
	control_dir_close(&supervisor->dir, supervisor->control_path);
	free(supervisor->control_path);
	config_free(supervisor->config);
	ev_loop_destroy(supervisor->loop);
	free(supervisor);
}

int supervisor_run(struct supervisor *supervisor)
{
	log_notice("control socket %s", supervisor->control_path);
	reload_first(supervisor);
	if (supervisor->state != SUPERVISOR_STOPPING || slots_n_workers(&supervisor->slots) > 0)
		ev_run(supervisor->loop, 0);
	varlink_service_flush(supervisor->service, LAST_ANSWERS_MS);
	log_notice("stopped%s", supervisor->exit_status ? ": the first start failed" : "");
	return supervisor->exit_status;
}

static void supervisor_stop_slots(struct supervisor *supervisor, bool now)
{
	for (size_t i = 0; i < supervisor->slots.n_items; i++) {
		struct slot *slot = supervisor->slots.items[i];
		leave_cancel(slot);
		if (now)
			replace_kill_all(slot);
		else
			replace_empty(slot);
	}
}

void supervisor_stop(struct supervisor *supervisor, bool now)
{
	bool again = supervisor->state == SUPERVISOR_STOPPING;
	if (!again) {
		supervisor->state = SUPERVISOR_STOPPING;
		systemd_stopping(supervisor->systemd);
		reload_stop(supervisor);
		struct generation *serving = generations_find(&supervisor->generations,
							      GENERATION_SERVING);
		if (serving)
			generation_event(serving, GENERATION_ON_REPLACED);
	}
	supervisor->stopping_now = now || again;
	supervisor_stop_slots(supervisor, supervisor->stopping_now);
	if (slots_n_workers(&supervisor->slots) == 0)
		ev_break(supervisor->loop, EVBREAK_ALL);
}
