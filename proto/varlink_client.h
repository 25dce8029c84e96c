/*
 * A Varlink client on one connection, for programs that wait: handoverctl and tests. No loop, no
 * threads; waiting is poll(2) with a deadline.
 */
#ifndef HANDOVER_PROTO_VARLINK_CLIENT_H
#define HANDOVER_PROTO_VARLINK_CLIENT_H

#include <jansson.h>
#include <stdbool.h>

#include "proto/error.h"

struct varlink_client;

/* Connects to the Unix socket at @path ('@' first: abstract). Returns 0 or a negative errno with
 * @error's text set: -ENOENT and -ECONNREFUSED when nobody listens, -EACCES when it is not allowed,
 * -ETIMEDOUT when the listener does not accept, -ENAMETOOLONG. */
int varlink_client_connect(const char *path, struct varlink_client **ret_client,
			   struct error *error);
void varlink_client_free(struct varlink_client *client);
static inline void varlink_client_freep(struct varlink_client **client)
{
	varlink_client_free(*client);
}

/* Sends one call. @parameters is borrowed, NULL for none. Returns 0, -ETIMEDOUT when the peer does
 * not read, -EPIPE or -ECONNRESET when it is gone, or another negative errno; after each of these
 * the client is of no more use. */
int varlink_client_call(struct varlink_client *client, const char *method, json_t *parameters,
			bool more);

/* One reply. @error is NULL for success, else the error's full name; it lives as long as
 * @message, which the caller owns (json_decref). */
struct varlink_reply {
	json_t *message;
	json_t *parameters; /* borrowed from message; never NULL */
	const char *error;
	bool continues;
};
void varlink_reply_finish(struct varlink_reply *reply);

/* Waits for the next reply for at most @timeout_ms (-1: for ever). Returns 0, -ETIMEDOUT,
 * -ECONNRESET when the peer is gone, -EBADMSG when it does not speak Varlink, -EMSGSIZE when the
 * reply is longer than CONTROL_MESSAGE_MAX_BYTES, -ENOMEM. */
int varlink_client_receive(struct varlink_client *client, int timeout_ms,
			   struct varlink_reply *ret_reply);

#endif
