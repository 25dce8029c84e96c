/*
 * handover-httpd as a whole: the listeners, the connections, and what libhandover asks for.
 *
 *	           serve                drain                 the last connection closes
 *	  waiting ───────→ serving ───────────→ draining ──────────────────────────────→ end
 *	     │                ↑       resume        ↑ │
 *	     │                └─────────────────────┼─┘
 *	     └──────────────────────────────────────┘ drain
 *
 * Draining loses no request: listeners are taken out of the loop but stay open; connections stay
 * open too, are answered once more, with `Connection: close`, and only at the deadline are those
 * closed that are idle even then. Closing them at once would race with requests on their way.
 */
#ifndef HANDOVER_WORKER_HTTPD_SERVER_H
#define HANDOVER_WORKER_HTTPD_SERVER_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include "worker/handover.h"
#include "worker/httpd_limits.h"
#include "worker/httpd_options.h"
#include "worker/httpd_response.h"

struct connection;

struct listener {
	struct ev_io watcher;
	struct server *server;
	bool is_tcp;
};

struct server {
	struct ev_loop *loop;
	struct handover *handover;
	const struct options *options;
	struct ev_io handover_watcher;
	struct ev_timer pause_timer, deadline_timer, report_timer;

	struct listener *listeners;
	size_t n_listeners;
	LIST_HEAD(, connection) connections;
	uint64_t n_connections, n_accepted, n_requests;

	bool is_accepting, is_draining;
	bool closes_idle;	/* the drain's deadline has passed */
	bool is_accept_failing; /* said once, until one succeeds */
	bool is_report_due;
	int exit_status;

	struct response_set answer;
	char extra_fields[128];

	/* For whichever connection is being served just now. */
	char input[HTTPD_INPUT_BYTES];
	struct iovec batch[HTTPD_BATCH_ANSWERS];
	size_t n_batch;
};

/* Attaches to the supervisor, or does without, and says ready. Returns 0, or a negative errno with
 * @error's text; to be finished either way. @options is borrowed. */
int server_init(struct server *server, const struct options *options, struct error *error);

/* Runs until drained. Returns the exit status. */
int server_run(struct server *server);

void server_finish(struct server *server);

/* A connection was closed. */
void server_connection_closed(struct server *server);

/* The server's state, as --status-path shows it. Returns 0 or -ENOMEM. */
int server_render_status(struct server *server, enum response_connection connection,
			 struct response *ret_response);

#endif
