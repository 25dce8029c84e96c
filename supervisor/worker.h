/*
 * A worker: one process in one slot, from clone to reaped.
 *
 * Owns its process (by pidfd), its channel, its notify socket, its output and its timers. Says what
 * happens to it through struct worker_ops and decides nothing: who is started, serves, drains or is
 * killed is for replace.c to say, the only caller of worker_start, _serve, _drain and _kill. States
 * and diagram: worker_state.h; worker_set_state() alone sets one.
 *
 * When the process ends, what it still had to say is read first (channel, notifications, output,
 * not waiting for their end, since grandchildren may hold them), its process group is killed while
 * the leader is a zombie, then it is reaped and `ended` is called, once, as the last call.
 */
#ifndef HANDOVER_SUPERVISOR_WORKER_H
#define HANDOVER_SUPERVISOR_WORKER_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "supervisor/notify.h"
#include "supervisor/output.h"
#include "supervisor/spawn.h"
#include "supervisor/worker_state.h"

struct generation;
struct replace;
struct slot;
struct spec;
struct worker;

/* What it turned out to be. */
enum worker_kind { WORKER_UNKNOWN, WORKER_NATIVE, WORKER_NOTIFY, WORKER_SIMPLE };

/* How a worker stops serving though nobody asked it to. */
enum worker_withdrawal {
	WORKER_HANGS, /* missed its watchdog, or cannot be told anything */
	WORKER_STOPS, /* says so itself */
};

struct worker_ops {
	void (*state_changed)(void *owner, struct worker *worker, enum worker_state old);
	/* It can serve: it said so, or is taken for simple. Called in state ready. */
	void (*ready)(void *owner, struct worker *worker);
	/* A deadline passed: of its start (state starting) or of its drain (state draining). */
	void (*late)(void *owner, struct worker *worker);
	/* It serves no longer though it lives. */
	void (*withdrew)(void *owner, struct worker *worker, enum worker_withdrawal how,
			 const char *why);
	/* A line that it wrote. */
	void (*line)(void *owner, struct worker *worker, const char *line);
	/* Something to tell the operator: a broken message, a neighbour's datagram. */
	void (*complaint)(void *owner, struct worker *worker, const char *text);
	/* It is gone and reaped; @before is the state in which that met it. The owner frees it. */
	void (*ended)(void *owner, struct worker *worker, enum worker_state before,
		      const struct exit_status *status);
};

struct worker {
	struct slot *slot;
	struct generation *generation;
	struct replace *replace; /* the one that it is the incoming of, until its drain gate */
	struct worker *next;	 /* in its slot */
	const struct spec *spec;

	enum worker_state state;
	enum worker_kind kind;
	uint64_t started_usec, since_usec; /* CLOCK_REALTIME: its start, its present state */
	uint64_t served_usec;		   /* CLOCK_MONOTONIC; 0: has not served */
	uint64_t deadline_usec;		   /* CLOCK_REALTIME; 0: none */
	char *status;			   /* what it last said of itself */
	bool left_nonblocking; /* when it got ready, O_NONBLOCK was set on its sockets */

	pid_t pid;
	struct ev_loop *loop;
	ev_io exit_watcher; /* its pidfd */
	bool exiting;	    /* the process has ended; what it left unread is being read */
	unsigned complaints;
	ev_io channel_watcher;
	struct notify notify;
	struct output output;
	ev_timer deadline;
	ev_timer simple; /* alive after WORKER_SIMPLE_SEC and has said nothing */
	ev_timer watchdog;
	uint64_t watchdog_usec;
	bool *readiness_told;
	bool proven_simple;

	const struct worker_ops *ops;
	void *owner;
};

#define WORKER_SIMPLE_SEC 1.0
/* A timeout beyond it (some 146,000 years) is as good as none, and no sum with a clock
 * overflows. */
#define WORKER_TIMEOUT_MAX_USEC (UINT64_MAX / 4)
/* What a worker that hangs gets to come to itself, whatever TimeoutStopSec= says. */
#define WORKER_HANGS_MAX_USEC UINT64_C(90000000)
/* Complaints about one worker that are passed on; it must not fill the log. */
#define WORKER_COMPLAINTS_MAX 10

/* What a worker is started with beyond its spec. All borrowed during the call. */
struct worker_plan {
	struct ev_loop *loop;
	const struct spec *spec;
	struct slot *slot;
	struct generation *generation;
	const char *service_name;
	const char *notify_directory;
	unsigned slot_number, generation_number;
	unsigned serial; /* tells the notify sockets of one slot's workers apart */
	const int *listen_fds;
	const char **listen_names;
	size_t n_listen_fds;
	/* Whether some worker of this service has told of its readiness: from then on it is
	 * expected of all. Set when this one does; looked at when it is silent and might be
	 * simple. */
	bool *readiness_told;
	/* Its generation serves, and the last worker that it had there was simple: this one may be,
	 * too, whatever has been said in other generations. */
	bool proven_simple;
};

/* Starts the process. On failure nothing is left behind and @error's text says what and why. */
int worker_start(const struct worker_plan *plan, const struct worker_ops *ops, void *owner,
		 struct worker **ret_worker, struct error *error);
/* Only in state gone. */
void worker_free(struct worker *worker);

/* ready → serving; tells a native worker so. */
void worker_serve(struct worker *worker);

/* → draining, with the deadline of its spec: tells a native worker on its channel, sends any other
 * KillSignal=. */
void worker_drain(struct worker *worker);

/* The same for one that withdrew: it need not be told when it stops by itself, and when it hangs
 * its deadline is WORKER_HANGS_MAX_USEC at the latest. */
void worker_drain_withdrawn(struct worker *worker, enum worker_withdrawal how);

/* Its drain deadline is now. Only in state draining. */
void worker_hurry(struct worker *worker);

/* → stopping: SIGKILL to its process group. */
void worker_kill(struct worker *worker);

/* True as long as it is meant to serve: not draining, stopping or gone. */
static inline bool worker_is_active(const struct worker *worker)
{
	return worker->state == WORKER_STARTING || worker->state == WORKER_READY ||
	       worker->state == WORKER_SERVING;
}

/* True when its process has ended, though that may not have been handled yet. */
bool worker_has_exited(const struct worker *worker);

/* True when it cannot have accepted a connection: native, and not told to serve. */
bool worker_cannot_have_accepted(const struct worker *worker);

const char *worker_kind_name(enum worker_kind kind);

#endif
