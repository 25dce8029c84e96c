/*
 * The inside of libhandover: one struct that owns everything, made and asked in libhandover.c,
 * moved by events in libhandover_dispatch.c.
 */
#ifndef HANDOVER_WORKER_LIBHANDOVER_INTERNAL_H
#define HANDOVER_WORKER_LIBHANDOVER_INTERNAL_H

#include "worker/handover.h"
#include "worker/libhandover_inheritance.h"
#include "worker/libhandover_notifier.h"
#include "worker/libhandover_outbox.h"

/* What the descriptor wakes for; the value is in the epoll event. */
enum source {
	SOURCE_CHANNEL,	 /* the supervisor speaks, has gone, or reads again */
	SOURCE_NOTIFIER, /* systemd reads again */
	SOURCE_SIGNAL,
	SOURCE_WATCHDOG,
	SOURCE_SELF, /* nobody else will say Serve, so we do */
	SOURCES
};

enum phase { PHASE_WAITING, PHASE_SERVING, PHASE_DRAINING };

struct handover {
	struct handover_callbacks callbacks;
	void *owner;
	unsigned int flags;
	struct inheritance inheritance;
	struct notifier notifier;
	struct outbox outbox;
	enum phase phase;
	bool was_ready;	 /* handover_ready() was called */
	bool was_served; /* serve was called */
	bool is_orphan;
	bool wants_write; /* the full socket is watched */
	bool unblocks_sigterm;
	uint64_t watchdog_deadline_usec;
	int epoll_fd, signal_fd, watchdog_fd, self_fd;
};

/* Puts @kind into the outbox and sends what can be sent. Returns as handover_ready() documents. */
int handover_say(struct handover *handover, enum outbox_kind kind);

/* Sets when the next ping is due, and the timer that wakes for it. */
int handover_arm_watchdog(struct handover *handover);

#endif
