/*
 * One client's connection. Made by the server when it accepts, it lives in the server's list and
 * frees itself when it ends, telling the server. In memory it costs some 500 bytes while idle.
 *
 *	            request complete            the time is up
 *	  reading ───────────────────→ delayed ────────────────→ reading    (delay_ms only)
 *	     │  answered with `Connection: close`, which the client did not ask for
 *	     └────────────→ lingering ──→ dead                              (its end, error, time)
 *
 * Every event ends in connection_settle(), which alone closes, and derives from the state what the
 * loop watches.
 */
#ifndef HANDOVER_WORKER_HTTPD_CONNECTION_H
#define HANDOVER_WORKER_HTTPD_CONNECTION_H

#include <ev.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "worker/httpd_request.h"

struct server;

enum connection_phase {
	CONNECTION_READING,
	CONNECTION_DELAYED,
	CONNECTION_LINGERING,
	CONNECTION_DEAD,
};

/* What the client has a limited time for. */
enum connection_wait { WAITS_FOR_NOTHING, WAITS_FOR_REQUEST, WAITS_FOR_HEAD, WAITS_FOR_BODY };

struct connection {
	LIST_ENTRY(connection) entry;
	struct server *server;
	struct ev_io watcher;
	struct ev_timer timer;
	double deadline; /* CLOCK_MONOTONIC; the timer may fire earlier and then waits on */
	double timer_at;
	int fd;
	enum connection_phase phase;
	enum connection_wait wait;
	bool is_tcp, has_nodelay;
	bool is_last;	    /* after this answer it is closed */
	bool client_closes; /* the client said so itself, and sends no more */
	bool has_continued; /* 100 was sent for this request */
	struct request request;

	/* Only while the client is slower than we: what it has not taken, and what it sent behind a
	 * request that is not answered yet. */
	char *output, *held;
	size_t output_bytes, output_sent, held_bytes;
};

/* Takes @fd, and reads at once what may have come with the connection. Without memory it is closed,
 * and false returned. */
bool connection_start(struct server *server, int fd, bool is_tcp);

/* The drain's deadline has come: closes the connection if it is idle even now. */
void connection_close_idle(struct connection *connection);

/* Closes and frees, whatever it does, without telling the server. */
void connection_free(struct connection *connection);

#endif
