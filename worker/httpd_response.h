/*
 * Answers, rendered as they go over the wire. The one that everybody gets is rendered once in each
 * of its three forms (`Connection:` differs), and dated anew at most once a second, by overwriting
 * the date where it stands: a request costs no formatting and no allocation.
 */
#ifndef HANDOVER_WORKER_HTTPD_RESPONSE_H
#define HANDOVER_WORKER_HTTPD_RESPONSE_H

#include <stddef.h>
#include <time.h>

#include "proto/base.h"

enum response_connection {
	RESPONSE_KEEPS_OPEN,	    /* HTTP/1.1: nothing to say */
	RESPONSE_KEEPS_OPEN_HTTP10, /* Connection: keep-alive */
	RESPONSE_CLOSES,	    /* Connection: close */
	RESPONSE_CONNECTIONS
};

struct response {
	char *bytes; /* head and body, on the heap */
	size_t head_bytes, bytes_total, date_offset;
};

struct response_content {
	unsigned int status;
	const char *type;
	const char *extra_fields; /* header fields, each with its CRLF */
	const char *body;
	size_t body_bytes;
};

/* Renders @content, dated @now. Returns 0 or -ENOMEM. */
int response_init(struct response *response, const struct response_content *content,
		  enum response_connection connection, time_t now);

/* What @status says by itself: its name as body, and `Allow` with 405. Closes the connection. */
int response_init_refusal(struct response *response, unsigned int status, const char *extra_fields,
			  time_t now);

void response_finish(struct response *response);

/* The answer in all its forms. */
struct response_set {
	struct response responses[RESPONSE_CONNECTIONS];
	time_t dated;
};

int response_set_init(struct response_set *set, const struct response_content *content, time_t now);
void response_set_finish(struct response_set *set);

/* The form for @connection, with the date of @now. Borrowed. */
const struct response *response_set_get(struct response_set *set,
					enum response_connection connection, time_t now);

#endif
