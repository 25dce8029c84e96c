/*
 * The supervisor's end of one worker's NOTIFY_SOCKET, see sd_notify(3): a datagram socket in the
 * control directory, one a worker, so that the socket says whose message it is, whichever helper
 * process sent it. Only the worker's user (and root) can write to it; with NotifyAccess=main only
 * the worker's main process is believed (SCM_CREDENTIALS).
 *
 * Owner: the worker, in place. Descriptors that a worker sends (FDSTORE=1) are closed, except that
 * of BARRIER=1, whose closing is its answer.
 */
#ifndef HANDOVER_SUPERVISOR_NOTIFY_H
#define HANDOVER_SUPERVISOR_NOTIFY_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/error.h"
#include "supervisor/config.h"

enum { NOTIFY_DATAGRAM_MAX_BYTES = 4096, NOTIFY_TURN_MAX_DATAGRAMS = 64 };

/* What one datagram said. Several may be set. */
struct notify_message {
	bool ready, stopping, reloading;
	bool watchdog, watchdog_trigger;
	uint64_t watchdog_usec;	      /* WATCHDOG_USEC=, 0: not said */
	uint64_t extend_timeout_usec; /* EXTEND_TIMEOUT_USEC=, 0: not said */
	const char *status;	      /* STATUS=, NULL: not said; borrowed */
};

/* Pure: reads @text (@n bytes, and room for one more). Unknown and malformed lines are passed over,
 * and a text with a NUL in it altogether, as systemd does. The text is changed (lines are ended in
 * place). */
void notify_parse(char *text, size_t n, struct notify_message *ret_message);

struct notify {
	struct ev_loop *loop;
	ev_io watcher;
	int fd;
	char *path; /* the value of NOTIFY_SOCKET */
	enum notify_access access;
	pid_t main_pid; /* set when the worker was started */
	void (*message)(void *owner, const struct notify_message *message);
	/* A datagram that was not believed, or was longer than NOTIFY_DATAGRAM_MAX_BYTES: whose,
	 * for the log; may be NULL. */
	void (*refused)(void *owner, pid_t sender);
	void *owner;
};

/* Makes the socket `@directory/@name`, mode 0600, owned by @uid (-1: ours). Returns 0 or a negative
 * errno with @error's text. The callbacks are set by the owner after it. */
int notify_open(struct notify *notify, struct ev_loop *loop, const char *directory,
		const char *name, uid_t uid, enum notify_access access, struct error *error);
/* Handles what has arrived until now; for when the worker has ended. */
void notify_drain(struct notify *notify);
/* Closes and unlinks. NULL-safe on what notify_open never made (fd -1). */
void notify_close(struct notify *notify);

#endif
