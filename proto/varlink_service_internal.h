/*
 * What the parts of the Varlink service share (varlink_service.h): the listening side owns the
 * connections, a connection owns its calls.
 *
 *   varlink_service.c                accepting, and who must go when there are too many
 *   varlink_service_connection.c     one peer: reading, writing, when it is over
 *   varlink_service_call.c           calls: routing, answers in order, cancelling
 *   varlink_service_introspection.c  org.varlink.service
 *
 * A connection does everything in turns, from the loop: take a bounded number of calls, write once,
 * then be freed or watch for what comes next. Answers that come outside of a turn only queue bytes
 * and ask for a turn; so nothing is ever freed below a handler that is still running.
 */
#ifndef HANDOVER_PROTO_VARLINK_SERVICE_INTERNAL_H
#define HANDOVER_PROTO_VARLINK_SERVICE_INTERNAL_H

#include <ev.h>
#include <sys/queue.h>

#include "proto/byte_queue.h"
#include "proto/error.h"
#include "proto/framing.h"
#include "proto/varlink_service.h"

struct varlink_call {
	STAILQ_ENTRY(varlink_call) next;
	struct varlink_connection *connection;
	struct byte_queue held; /* replies that wait until earlier calls are answered */
	bool oneway, more;
	bool ended; /* answered for good */
	void (*cancelled)(void *data);
	void *data;
};

struct varlink_connection {
	TAILQ_ENTRY(varlink_connection) next;
	struct varlink_service *service;
	int fd;
	struct varlink_peer peer;
	bool allowed;
	struct framing input;
	struct byte_queue output;
	STAILQ_HEAD(varlink_calls, varlink_call) calls; /* in the order in which they came */
	size_t n_calls;
	size_t n_held_bytes; /* in all the calls' held replies */
	ev_io readable, writable;
	ev_timer turn; /* at once: what is left over for the next iteration */
	ev_timer idle;
	bool drained;	   /* no whole message is left in the input */
	bool end_of_calls; /* the peer sends no more */
	bool gone;	   /* the peer takes no more either */
	bool cut;	   /* we are done with the peer */
	bool watching_hangup;
	bool refusal_reported;
};

struct varlink_service {
	struct ev_loop *loop;
	struct varlink_service_config config;
	TAILQ_HEAD(varlink_connections, varlink_connection) connections; /* longest idle first */
	size_t n_connections;
	ev_io acceptable;
	ev_timer accept_resume;
	/* Watches for nothing but EPOLLHUP, which libev cannot: connections that are not read
	 * from. */
	int hangup_fd;
	ev_io hangups;
	bool exhaustion_reported, full_reported;
};

void varlink_service_report(struct varlink_service *service, const struct varlink_peer *peer,
			    const char *format, ...) PRINTF(3, 4);
/* A connection went or became idle: there may be room for another. */
void varlink_service_room(struct varlink_service *service);

/* Takes over @fd on success. */
int varlink_connection_new(struct varlink_service *service, int fd,
			   const struct varlink_peer *peer);
void varlink_connection_free(struct varlink_connection *connection);
void varlink_connection_hung_up(struct varlink_connection *connection);
/* One write of what is queued; true when the peer took some of it. */
bool varlink_connection_write(struct varlink_connection *connection);
/* Has something to do in the next iteration. */
void varlink_connection_wake(struct varlink_connection *connection);
/* Reports @reason; the connection goes at its next turn, and takes nothing any more. */
void varlink_connection_cut(struct varlink_connection *connection, const char *reason);
/* The call whose answer is due now: the oldest, but for oneway ones that go on, for which nobody
 * waits. NULL: none. */
struct varlink_call *varlink_connection_first_call(struct varlink_connection *connection);
/* The first call is answered: it goes, and what others after it held back goes out. */
void varlink_connection_advance(struct varlink_connection *connection);

/* Decodes one message and has it handled. Returns 0, -EBADMSG or -ENOMEM with @error's text. */
int varlink_call_take(struct varlink_connection *connection, const char *message, size_t n_bytes,
		      struct error *error);
void varlink_call_cancel(struct varlink_call *call);
void varlink_call_free(struct varlink_call *call);
/* An error with one parameter, its name and value being strings. */
void varlink_call_error_with(struct varlink_call *call, const char *error, const char *name,
			     const char *value);

/* A call to org.varlink.service; @method is its full name. */
void varlink_introspection_handle(struct varlink_service *service, struct varlink_call *call,
				  const char *method, json_t *parameters);

#define VARLINK_SERVICE_INTERFACE "org.varlink.service"

#endif
