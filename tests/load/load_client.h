/*
 * One client: at most one connection and at most one request at a time.
 *
 *     FREE ──→ CONNECTING ──→ SENDING ──→ READING ──→ LINGERING ──→ FREE
 *                  │             ↑           │
 *                  └──→ IDLE ────┘ ←─────────┘   (keep-alive)
 *
 * LINGERING: the answer is there and the connection will not be used again; the server's EOF is
 * waited for, since it is for the server to close first (it then has the TIME_WAIT), and since only
 * then it is certain that no byte too many follows. A connection is never reset by us.
 *
 * A request begins in client_start() and ends in exactly one outcome, reported to the tally and to
 * request_over(). A connection opened ahead of its request (client_open()) that fails takes the
 * request it was for with it: that is issued and lost at once.
 *
 * Owned by the run, in one array; client_init() once, client_drop() at the end.
 */
#ifndef HANDOVER_TESTS_LOAD_CLIENT_H
#define HANDOVER_TESTS_LOAD_CLIENT_H

#include "tests/load/load_options.h"
#include "tests/load/load_response.h"
#include "tests/load/load_tally.h"
#include "tests/load/load_timer.h"

enum { CLIENT_BUFFER_BYTES = 65536, CLIENT_REQUEST_MAX = 4096 };

enum client_state {
	CLIENT_FREE,
	CLIENT_CONNECTING,
	CLIENT_SENDING,
	CLIENT_READING,
	CLIENT_LINGERING,
	CLIENT_IDLE,
};

struct client;

/* What goes up to whoever sets the pace. Neither may start a request from inside. */
struct client_ops {
	void (*request_over)(struct client *client, enum outcome outcome);
	void (*idle_lost)(struct client *client, bool was_used);
};

/* What all clients share. */
struct client_context {
	const struct load_options *options;
	const struct client_ops *ops;
	struct target target;
	struct response_wanted wanted;
	struct tally tally;
	int epoll_fd;
	uint64_t active;	      /* requests in flight */
	struct timer_queue deadlines; /* of a request */
	struct timer_queue retries;   /* of a connect to a Unix socket whose queue is full */
	struct timer_queue pieces;    /* of a slow request */
	struct timer_queue graces;    /* of lingering */
	size_t request_bytes;
	char request[CLIENT_REQUEST_MAX];
	char buffer[CLIENT_BUFFER_BYTES];
};

struct client {
	struct client_context *context;
	enum client_state state;
	int fd;
	uint32_t watched; /* epoll events asked for; 0: not in the set */
	bool has_request;
	bool used;	       /* this connection has answered before */
	enum outcome outcome;  /* while lingering */
	uint64_t latency_usec; /* while lingering */
	uint64_t due_usec;
	size_t sent_bytes;
	struct timer deadline;
	struct timer step;	       /* retry, piece or grace */
	struct timer idle;	       /* the run's, for --mode idle */
	TAILQ_ENTRY(client) free_link; /* the run's */
	struct response response;
};

/* -ENAMETOOLONG: the request does not fit. The options must outlive the context. */
int client_context_init(struct client_context *context, const struct load_options *options,
			const struct client_ops *ops, int epoll_fd);
void client_context_finish(struct client_context *context);

void client_init(struct client *client, struct client_context *context);

/* Begins a request that was due at @due_usec. The client must have none. */
void client_start(struct client *client, uint64_t due_usec, uint64_t now_usec);

/* Connects ahead of the next request. The client must be FREE. */
void client_open(struct client *client);

/* Closes the connection, if there is one, without an account: for clients without a request. */
void client_drop(struct client *client);

void client_event(struct client *client, uint32_t events);

#endif
