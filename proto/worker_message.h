/*
 * What a supervisor and a native worker say to each other on the channel. One envelope, Varlink's,
 * always one-way:
 *
 *   worker → supervisor   io.handover.Worker.Ready {}          can serve; does not accept yet
 *                         io.handover.Worker.Status {status}   a line for `handoverctl workers`
 *                         io.handover.Worker.Draining {open}   connections that are still open;
 *                                                  without a Drain before it: replace me
 *                         io.handover.Worker.Watchdog {}       still alive
 *   supervisor → worker   io.handover.Worker.Serve {}          accept from now on
 *                         io.handover.Worker.Drain {deadline_usec?}  stop accepting, finish, exit;
 *                                                  CLOCK_MONOTONIC, absent: no deadline
 *                         io.handover.Worker.Resume {}         a drain is taken back: accept again
 */
#ifndef HANDOVER_PROTO_WORKER_MESSAGE_H
#define HANDOVER_PROTO_WORKER_MESSAGE_H

#include <jansson.h>
#include <stdint.h>

#include "proto/error.h"

enum worker_message_type {
	WORKER_MESSAGE_READY,
	WORKER_MESSAGE_STATUS,
	WORKER_MESSAGE_DRAINING,
	WORKER_MESSAGE_WATCHDOG,
	WORKER_MESSAGE_SERVE,
	WORKER_MESSAGE_DRAIN,
	WORKER_MESSAGE_RESUME,
	WORKER_MESSAGE_TYPES
};

struct worker_message {
	enum worker_message_type type;
	const char *status;	/* STATUS: borrowed from the JSON when decoded */
	int64_t open;		/* DRAINING: connections still open, >= 0 */
	uint64_t deadline_usec; /* DRAIN: CLOCK_MONOTONIC; UINT64_MAX: none */
};

/* The JSON of @message, or NULL without memory. */
json_t *worker_message_encode(const struct worker_message *message);

/* Reads @json. Unknown parameters are ignored (a newer peer), a missing or mistyped one is not.
 * Returns 0, -EOPNOTSUPP for an unknown method (to be reported and skipped), -EBADMSG with
 * @error's text. */
int worker_message_decode(json_t *json, struct worker_message *ret_message, struct error *error);

#endif
