/*
 * A Varlink service on one listening Unix socket (varlink.org), on libev.
 *
 *   varlink_service            owns the listening watcher and all connections
 *     varlink_connection       one peer: input parser, pending calls in order, output queue
 *       varlink_call           one call: made when a request was decoded, freed by its last reply
 *
 * Calls of one connection may be answered at any time and in any order by the handler; replies go
 * out in the order of the calls. A peer that sends EOF makes no more calls and still gets its
 * answers; one that is gone for good (error, or writing fails) has its calls cancelled. A peer that
 * breaks the protocol, or reads too slowly (limits.h), is cut off. Nothing here ever blocks, and
 * each connection is given a bounded share of one loop iteration. A connection that is silent while
 * none of its calls is pending is closed after CONTROL_IDLE_TIMEOUT_MS, and before that where it
 * has been silent for longest and another peer finds no room.
 *
 * org.varlink.service (GetInfo, GetInterfaceDescription) is answered here.
 */
#ifndef HANDOVER_PROTO_VARLINK_SERVICE_H
#define HANDOVER_PROTO_VARLINK_SERVICE_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

struct ev_loop;
struct varlink_service;
struct varlink_call;

/* One method of the interface. @handle gets the call and its parameters (an object, borrowed) and
 * either answers before it returns or keeps the call and answers later. */
struct varlink_method {
	const char *name; /* without the interface: "Reload" */
	void (*handle)(void *owner, struct varlink_call *call, json_t *parameters);
};

struct varlink_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};

struct varlink_service_config {
	const char *vendor, *product, *version, *url;
	const char *interface;	 /* "io.handover.Control" */
	const char *description; /* the interface's text */
	const struct varlink_method *methods;
	size_t n_methods;
	/* Says whether the peer may speak at all; one that may not gets PermissionDenied to each
	 * call. */
	bool (*allow)(void *owner, const struct varlink_peer *peer);
	/* A line for the log when a peer was cut off or refused; may be NULL. @peer is NULL where
	 * it is about all of them. */
	void (*report)(void *owner, const struct varlink_peer *peer, const char *text);
	void *owner;
};

/* Serves on @listen_fd (a non-blocking listening AF_UNIX stream socket; borrowed). @config is
 * copied, what it points to must outlive the service. Returns 0, -ENOMEM, -EMFILE or -ENFILE. */
int varlink_service_new(struct ev_loop *loop, int listen_fd,
			const struct varlink_service_config *config,
			struct varlink_service **ret_service);

/* Closes all connections, cancelling their calls. Not from within a handler. */
void varlink_service_free(struct varlink_service *service);
static inline void varlink_service_freep(struct varlink_service **service)
{
	varlink_service_free(*service);
}

/* Writes what is queued, waiting at most @timeout_ms in all: for the last answers before exit. */
void varlink_service_flush(struct varlink_service *service, int timeout_ms);

/* True when the caller asked for several replies. */
bool varlink_call_wants_more(const struct varlink_call *call);
const struct varlink_peer *varlink_call_peer(const struct varlink_call *call);

/* The handler that keeps a call learns by @cancelled that the peer is gone; the call is freed
 * after it returns and must not be used any more. */
void varlink_call_keep(struct varlink_call *call, void (*cancelled)(void *data), void *data);

/* Each of these takes over @parameters (NULL: an empty object). varlink_call_continue sends one
 * of several replies and leaves the call open (only where varlink_call_wants_more; otherwise it is
 * dropped); the other two end and free it. @error is a name without interface for this service's
 * own errors ("Busy"), or a full one with a dot before it is ended ("org.varlink.service.…"). */
void varlink_call_continue(struct varlink_call *call, json_t *parameters);
void varlink_call_reply(struct varlink_call *call, json_t *parameters);
void varlink_call_error(struct varlink_call *call, const char *error, json_t *parameters);
void varlink_call_invalid_parameter(struct varlink_call *call, const char *parameter);

#endif
