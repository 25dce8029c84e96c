/*
 * What the supervisor says to its own service manager, see sd_notify(3): by one non-blocking socket
 * of its own with a bounded queue, because sd_notify(3) blocks when PID 1 does not read. Nothing
 * when NOTIFY_SOCKET is not set. Also its own watchdog (sd_watchdog_enabled(3)).
 *
 * Owner: the supervisor. Knows nothing of it.
 */
#ifndef HANDOVER_SUPERVISOR_SYSTEMD_H
#define HANDOVER_SUPERVISOR_SYSTEMD_H

#include "proto/base.h"

struct ev_loop;
struct systemd;

/* Reads and clears NOTIFY_SOCKET and WATCHDOG_* from the environment. Feeds the watchdog by itself
 * from @loop at half its interval. Returns 0 or a negative errno (only -ENOMEM and the like: a
 * manager that is not there is no error). */
int systemd_new(struct ev_loop *loop, struct systemd **ret_systemd);
void systemd_free(struct systemd *systemd);

void systemd_ready(struct systemd *systemd);	 /* READY=1 */
void systemd_reloading(struct systemd *systemd); /* RELOADING=1, MONOTONIC_USEC= */
void systemd_stopping(struct systemd *systemd);	 /* STOPPING=1 */
/* STATUS=: one line; the newest replaces one that still waits to be sent. */
void systemd_status(struct systemd *systemd, const char *format, ...) PRINTF(2, 3);
/* EXTEND_TIMEOUT_USEC=: while a start, reload or stop makes progress. */
void systemd_extend_timeout(struct systemd *systemd, unsigned long long usec);

#endif
