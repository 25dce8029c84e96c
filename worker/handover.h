/*
 * libhandover: the worker's side of handover. A program that uses it can be replaced under load
 * without losing a connection, and runs just as well where there is no handover: under systemd
 * (socket activation and sd_notify(3)), or started by hand.
 *
 *	struct handover *handover;
 *	handover_attach(&handover, &callbacks, me, HANDOVER_CATCH_SIGTERM);
 *	handover_listen(handover, "http", "tcp:127.0.0.1:8080");      only if none was handed over
 *	for (size_t i = 0; (fd = handover_socket(handover, "http", i)) >= 0; i++)
 *		remember(fd);                                         do not accept yet
 *	handover_ready(handover);
 *	… in any event loop: when handover_fd(handover) is readable, handover_dispatch(handover),
 *	which calls back:
 *
 *	            serve                 drain                  your exit(0)
 *	  starting ───────→ accepting ───────────→ draining ────────────────→
 *	       │                ↑       resume        │ ↑
 *	       │                └─────────────────────┘ │
 *	       └────────────────────────────────────────┘ drain
 *
 * serve:  accept from now on, and not before: a generation that fails half-way has then never
 *         answered a request.
 * drain:  stop accepting, finish what is in flight, exit. Take the listeners out of the event loop
 *         (EPOLL_CTL_DEL) but do not close them, so that resume works, and never shutdown() them:
 *         the socket belongs to other processes too. Connections that are idle are better answered
 *         once more, with `Connection: close` or the like, than closed while a request is on its
 *         way.
 * resume: the drain is taken back: accept again.
 *
 * No threads, no signal handlers, no event library. One `struct handover` belongs to one thread at
 * a time. No function blocks; none sends SIGPIPE. Functions return 0 or a negative errno.
 *
 * Environment read: LISTEN_FDS and LISTEN_FDNAMES, if LISTEN_PID names this process; HANDOVER_FD,
 * unless LISTEN_PID names another one (then it was inherited by mistake); NOTIFY_SOCKET where there
 * is no HANDOVER_FD; WATCHDOG_USEC, WATCHDOG_PID; HANDOVER_NAME, HANDOVER_GENERATION,
 * HANDOVER_SLOT.
 *
 * Since handover 0.1; Linux 4.5. See libhandover(3).
 */
#ifndef HANDOVER_H
#define HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HANDOVER_API __attribute__((visibility("default")))

struct handover; /* opaque */

/* A drain without a deadline, a watchdog that nobody wants. */
#define HANDOVER_NO_DEADLINE UINT64_MAX

/*
 * What the owner wants to be told, always from within handover_dispatch(). Any may be NULL. A
 * callback may call every function here except handover_free() and handover_dispatch().
 */
struct handover_callbacks {
	/* Accept from now on. Called once at most. */
	void (*serve)(struct handover *handover, void *owner);

	/* Stop accepting, finish and exit, @deadline_usec being when the supervisor loses patience:
	 * CLOCK_MONOTONIC, in microseconds, HANDOVER_NO_DEADLINE if there is none. Called again
	 * when the deadline changes. May come before serve, even before handover_ready(). */
	void (*drain)(struct handover *handover, uint64_t deadline_usec, void *owner);

	/* Accept again. Never called before serve (then serve itself is called). */
	void (*resume)(struct handover *handover, void *owner);

	/* The supervisor is gone, called once. Without this callback, and also with it unless the
	 * owner decides otherwise, the worker goes on with what it does: one that serves keeps
	 * serving, one that drains keeps draining. A later version will end an orphan after a time
	 * that its supervisor has set; until then it serves until it is told to end by a signal.
	 * One that has not been told to serve never will be: it should exit. */
	void (*orphaned)(struct handover *handover, void *owner);
};

/* Take SIGTERM as a drain. Blocks it in the calling thread, so call handover_attach() before any
 * other thread is started, and unblock it in what you fork. A second SIGTERM is a drain whose
 * deadline is now. handoverd does not drain native workers by signals; systemd and people do: it is
 * told of such a drain, and replaces the worker. */
#define HANDOVER_CATCH_SIGTERM 0x1u

/* Remove from the environment what is meant for this process alone (HANDOVER_FD, LISTEN_FDS,
 * LISTEN_FDNAMES, LISTEN_PID, NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID), so that children do not
 * take it for theirs. Not safe while another thread reads the environment: see unsetenv(3). */
#define HANDOVER_UNSET_ENVIRONMENT 0x2u

/* Do not ping the watchdog from handover_dispatch(): the owner calls handover_watchdog() itself,
 * because a turning event loop is not what proves that this program is well. */
#define HANDOVER_MANUAL_WATCHDOG 0x4u

/*
 * Takes the channel to the supervisor and the sockets that this process was given, and makes them
 * close-on-exec. Nothing being there is no error. @callbacks is copied, @owner is handed to them.
 *
 * Returns 0 and *ret_handover, to be given to handover_free(); or
 *   -EINVAL        an unknown flag, or one of the variables has a value that makes no sense
 *   -EBADF         a variable promises a descriptor that is not open
 *   -ENOTSOCK      HANDOVER_FD is no socket; -EPROTOTYPE: not of type SOCK_SEQPACKET
 *   -ENOMEM, -EMFILE, -ENFILE
 * and then the environment and all descriptors are as they were. sd_listen_fds(3), unix(7).
 */
HANDOVER_API int handover_attach(struct handover **ret_handover,
				 const struct handover_callbacks *callbacks, void *owner,
				 unsigned int flags);

/* Closes all that handover_attach() and handover_listen() took, the sockets too, and lets SIGTERM
 * through again where it was so before. NULL is allowed. errno is kept. */
HANDOVER_API void handover_free(struct handover *handover);

/* The one descriptor for the event loop: wait until it is readable (poll(2), epoll(7), a libev
 * ev_io with EV_READ), level-triggered. It is an epoll descriptor: do not read it. Never fails; it
 * stays the same, and belongs to @handover. */
HANDOVER_API int handover_fd(const struct handover *handover);

/*
 * Does whatever is due, without blocking: reads what the supervisor says, sends what could not be
 * sent before, pings the watchdog. Cheap when nothing is due; may be called at any time.
 *
 * Returns 0, or
 *   -EBADMSG   a packet from the supervisor made no sense; it was skipped
 *   -EMFILE    a packet came with descriptors for which this process had no room; it was skipped
 *   another negative errno of epoll_wait(2) or recvmsg(2)
 * An error is for the log: go on calling.
 */
HANDOVER_API int handover_dispatch(struct handover *handover);

/* The @index-th socket of the listener @name, or of all listeners where @name is NULL, in the
 * order in which they came; -ENOENT beyond the last. The descriptor belongs to @handover. It may be
 * blocking or not: the open file description is shared with other processes, see fcntl(2). A
 * program that sets O_NONBLOCK leaves it set. Where LISTEN_FDNAMES is missing, the name of all is
 * "unknown", as in sd_listen_fds_with_names(3). */
HANDOVER_API int handover_socket(const struct handover *handover, const char *name, size_t index);

/* The listener's name of socket @fd, or NULL if it is none of ours. Valid until handover_free(). */
HANDOVER_API const char *handover_socket_name(const struct handover *handover, int fd);

/*
 * Unless there is a socket of the listener @name already, makes one: bound to @address, listening
 * (backlog SOMAXCONN, see listen(2)), close-on-exec, non-blocking. For a program that is started by
 * hand. @address is tcp:127.0.0.1:8080, tcp:[::1]:8080, unix:/path or unix:@abstract; numbers only,
 * no names. TCP sockets get SO_REUSEADDR. A socket file that nobody listens on any more (connect(2)
 * says ECONNREFUSED) is replaced; no socket file is removed at the end.
 *
 * Returns 1 when it made a socket, 0 when there was one; or -EINVAL for an address or a name that
 * is none (a name has no ':' and is not empty), -EADDRINUSE, -EACCES, -EADDRNOTAVAIL, -ENOMEM, or
 * what else socket(2), bind(2) and listen(2) say.
 */
HANDOVER_API int handover_listen(struct handover *handover, const char *name, const char *address);

/*
 * Says that this process can serve. Under handover, `serve` is called when the supervisor says so;
 * elsewhere systemd is told READY=1 and `serve` is called by the next handover_dispatch(), for
 * which the descriptor wakes. Said once, it is not lost: if it cannot be sent now,
 * handover_dispatch() sends it as soon as it can. Saying it again does nothing.
 *
 * Returns 0; -EPIPE when the supervisor is gone; or, under systemd, what sendto(2) says
 * (`serve` will be called all the same).
 */
HANDOVER_API int handover_ready(struct handover *handover);

/* A line of text for people: `handoverctl workers` or `systemctl status` shows it. Copied; cut at
 * 256 bytes; line breaks and other control characters become spaces, what is not UTF-8 becomes
 * U+FFFD. If it cannot be sent now it is sent later, unless a newer one has replaced it by then.
 * Returns as handover_ready() does, and -ENOMEM. */
HANDOVER_API int handover_status(struct handover *handover, const char *text);

/* While draining: how many connections, or whatever is drained, are still @open. Only the newest
 * number matters, so tell when it changes, but not a thousand times a second. systemd is shown a
 * status line instead. Said while nobody has asked for a drain, it announces one: the supervisor
 * replaces this worker. Returns as handover_ready() does, and -EINVAL beyond INT64_MAX. */
HANDOVER_API int handover_draining(struct handover *handover, uint64_t open);

/* Pings the watchdog now; does nothing where nobody wants that. Returns as handover_ready()
 * does. */
HANDOVER_API int handover_watchdog(struct handover *handover);

/* When the next ping is due: CLOCK_MONOTONIC, in microseconds; HANDOVER_NO_DEADLINE if never. Half
 * of the interval that the supervisor asked for is left then. Without HANDOVER_MANUAL_WATCHDOG
 * nobody needs to look: the descriptor wakes, and handover_dispatch() pings.
 * sd_watchdog_enabled(3) */
HANDOVER_API uint64_t handover_watchdog_deadline_usec(const struct handover *handover);

/* Whether a supervisor is there that speaks handover's own protocol. False once it is gone. */
HANDOVER_API bool handover_supervised(const struct handover *handover);

/* The service's name (HANDOVER_NAME), NULL where there is no handover. Valid until
 * handover_free(). */
HANDOVER_API const char *handover_name(const struct handover *handover);

/* The number of this process's generation (from 1), 0 where there is no handover. */
HANDOVER_API uint64_t handover_generation(const struct handover *handover);

/* The slot that this process works in (from 0), -1 where there is no handover. */
HANDOVER_API int handover_slot(const struct handover *handover);

#ifdef __cplusplus
}
#endif

#endif
