/*
 * The supervisor: the one struct that owns everything, and the loop.
 *
 *   supervisor.c   its assembly, its run and its end
 *   reload.c       requests for a reload, one after the other, and what becomes of them
 *   repair.c       workers that are lost are replaced
 *   signals.c      what signals ask for
 *   commands.c     what control messages ask for
 *   report.c       its state as JSON
 *
 * States: starting (the first start is under way) → serving → stopping. A first start that fails
 * leads to stopping too, with exit status 1. Once it serves it ends for no error of the world's.
 */
#ifndef HANDOVER_SUPERVISOR_SUPERVISOR_H
#define HANDOVER_SUPERVISOR_SUPERVISOR_H

#include <ev.h>
#include <stdbool.h>

#include "supervisor/config.h"
#include "supervisor/control_dir.h"
#include "supervisor/generation.h"
#include "supervisor/slot.h"
#include "supervisor/transition.h"

struct activation;
struct listener_watch;
struct reload_request;
struct systemd;
struct varlink_call;
struct varlink_service;

enum supervisor_state { SUPERVISOR_STARTING, SUPERVISOR_SERVING, SUPERVISOR_STOPPING };

enum { SIGNALS_WATCHED = 7 };

/* How the last transition ended. */
struct outcome {
	bool any;
	enum transition_kind kind;
	bool done;
	unsigned generation; /* 0: it did not get as far as having one */
	uint64_t since_usec; /* CLOCK_REALTIME */
	uint64_t took_usec;
	struct error reason; /* why it failed */
};

struct supervisor {
	struct ev_loop *loop;
	enum supervisor_state state;
	int exit_status;
	uint64_t since_usec; /* CLOCK_REALTIME */
	bool stopping_now;

	const struct config_sources *sources; /* borrowed: read anew at each reload */
	struct config *config;		      /* what is in force */
	struct config *incoming_config;	      /* that of the reload under way, or NULL */

	struct control_dir dir;
	int control_fd;
	char *control_path;
	struct varlink_service *service;
	struct systemd *systemd;
	ev_signal signals[SIGNALS_WATCHED];
	ev_periodic never; /* keeps an idle loop asleep: see supervisor_alloc() */

	struct listeners *listeners;
	struct listener_watch *listener_watch;
	struct slots slots;
	struct generations generations;

	struct transition *transition;	/* under way, or NULL */
	struct reload_request *request; /* whose transition it is, or NULL */
	struct reload_request *queue;	/* those that wait for their turn */
	struct outcome last;

	unsigned crashes;
	struct error last_crash;
};

/*
 * Assembles it: control directory, sockets, control service; nothing is started yet. @config is
 * taken over when it succeeds; @sources and @activation are borrowed (the latter for the call).
 * Returns 0, or a negative errno with @error's text.
 */
int supervisor_new(const struct config_sources *sources, struct config *config,
		   struct activation *activation, struct supervisor **ret_supervisor,
		   struct error *error);
void supervisor_free(struct supervisor *supervisor);
static inline void supervisor_freep(struct supervisor **supervisor)
{
	supervisor_free(*supervisor);
}

/* Starts the service and runs until it has stopped. Returns the exit status: 0 or 1. */
int supervisor_run(struct supervisor *supervisor);

/* Drains all workers and ends; @now, or asked a second time: kills them. */
void supervisor_stop(struct supervisor *supervisor, bool now);

/* repair.c: the ops of the slots, which tell of lost workers among other things. */
extern const struct slots_ops supervisor_slots_ops;

/* signals.c: caught from the beginning, acted on when the loop runs. */
void signals_watch(struct supervisor *supervisor);
void signals_unwatch(struct supervisor *supervisor);

/* commands.c: the control service on control_fd. */
int commands_serve(struct supervisor *supervisor);

#endif
