/* What signals ask for. Each is taken by an ev_signal of the supervisor's own loop. */
#include <signal.h>

#include "proto/base.h"
#include "supervisor/log.h"
#include "supervisor/reload.h"
#include "supervisor/report.h"
#include "supervisor/supervisor.h"

static void on_stop(EV_P_ ev_signal *watcher, int revents)
{
	struct supervisor *supervisor = watcher->data;
	(void)loop, (void)revents;
	log_notice("%s: %s", watcher->signum == SIGINT ? "SIGINT" : "SIGTERM",
		   supervisor->state == SUPERVISOR_STOPPING
			   ? "a second time: stopping at once"
			   : "draining, then stopping (once more: at once)");
	supervisor_stop(supervisor, false);
}

static void on_reload(EV_P_ ev_signal *watcher, int revents)
{
	struct supervisor *supervisor = watcher->data;
	(void)loop, (void)revents;
	if (supervisor->state == SUPERVISOR_STOPPING)
		log_notice("SIGHUP: not while stopping");
	else
		reload_by_signal(supervisor);
}

static void on_status(EV_P_ ev_signal *watcher, int revents)
{
	struct supervisor *supervisor = watcher->data;
	char line[REPORT_LINE_MAX];
	(void)loop, (void)revents;
	log_notice("%s", report_line(supervisor, line));
	for (size_t i = 0; i < supervisor->slots.n_items; i++)
		for (const struct worker *w = supervisor->slots.items[i]->workers; w; w = w->next)
			log_notice("slot %zu: generation %u, pid %d, %s, %s%s%s", i,
				   w->generation->number, (int)w->pid, worker_state_name(w->state),
				   worker_kind_name(w->kind), w->status ? ": " : "",
				   w->status ? w->status : "");
}

static void on_refused(EV_P_ ev_signal *watcher, int revents)
{
	char name[SIGNAL_NAME_MAX];
	(void)loop, (void)revents;
	log_warning("%s: this version does not act on it; nothing was changed",
		    signal_name(watcher->signum, name));
}

static const struct {
	int signal;
	void (*callback)(EV_P_ ev_signal *watcher, int revents);
} signals[SIGNALS_WATCHED] = {
	{ SIGTERM, on_stop },	 { SIGINT, on_stop },	  { SIGHUP, on_reload },
	{ SIGUSR1, on_status },	 { SIGUSR2, on_refused }, { SIGTTIN, on_refused },
	{ SIGTTOU, on_refused },
};

void signals_watch(struct supervisor *supervisor)
{
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		ev_signal *watcher = &supervisor->signals[i];
		ev_signal_init(watcher, signals[i].callback, signals[i].signal);
		watcher->data = supervisor;
		ev_signal_start(supervisor->loop, watcher);
	}
}

void signals_unwatch(struct supervisor *supervisor)
{
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		ev_signal_stop(supervisor->loop, &supervisor->signals[i]);
}
