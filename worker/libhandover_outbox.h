/*
 * What has to be said to the supervisor and could not be said yet. A full socket never blocks us,
 * and neither that nor a want of memory loses anything that matters: readiness waits, of status and
 * counts only the newest is worth sending, pings are all alike. So there is one place for each
 * kind, and no queue to bound.
 *
 * Owned by struct handover; the channel's descriptor and the notifier are borrowed from it.
 */
#ifndef HANDOVER_WORKER_LIBHANDOVER_OUTBOX_H
#define HANDOVER_WORKER_LIBHANDOVER_OUTBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/limits.h"
#include "worker/libhandover_notifier.h"

enum outbox_kind {
	OUTBOX_READY,
	OUTBOX_STATUS,
	OUTBOX_STOPPING,
	OUTBOX_OPEN,
	OUTBOX_WATCHDOG,
	OUTBOX_KINDS
};

struct outbox {
	int channel_fd;		   /* -1: speak to the notifier */
	struct notifier *notifier; /* knows itself whether anybody listens */
	bool waiting[OUTBOX_KINDS];
	char status[WORKER_STATUS_MAX_BYTES + 1];
	int64_t open;
};

/* Sends what waits, in the order of the kinds. Returns 0 when nothing waits any more, -EAGAIN when
 * something does because the socket is full or memory is short (wait until it is writable: in the
 * second case at once), or the first other error: -EPIPE when the channel's other end is gone, or
 * as notifier_send(). What such an error met is not kept. */
int outbox_flush(struct outbox *outbox);

#endif
