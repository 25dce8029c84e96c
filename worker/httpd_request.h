/*
 * One request after another, read from the bytes of a connection by libhttp-parser. Bytes in,
 * requests out: no I/O, no allocation. Of a request only what an answer depends on is kept; its
 * body is counted and discarded. In a connection, and as long-lived as it.
 *
 *	           request_feed                   request_next
 *	  idle ──────────────→ begun → complete ───────────────→ idle
 *	                         └───→ refused                   (the connection ends)
 */
#ifndef HANDOVER_WORKER_HTTPD_REQUEST_H
#define HANDOVER_WORKER_HTTPD_REQUEST_H

#include <http_parser.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/httpd_limits.h"

enum request_event {
	REQUEST_MORE,	  /* all bytes were taken, and more are needed */
	REQUEST_COMPLETE, /* answer it, then request_next() */
	REQUEST_REFUSED,  /* answer with the refusal's status, then close */
};

struct request {
	http_parser parser;
	unsigned int refusal;  /* an HTTP status, when refused */
	bool is_begun;	       /* its first byte is there */
	bool is_head_complete; /* the header fields are there, the body may follow */
	bool keeps_alive;      /* the client wants another one after it (valid with its head) */
	bool awaits_continue;  /* it wants 100 before it sends its body */
	bool is_in_value;
	uint8_t n_hosts; /* two are as wrong as a thousand */
	uint8_t n_name, n_expect, n_target;
	char name[8];	 /* the beginning of a header field's name */
	char expect[16]; /* the value of Expect */
	char target[HTTPD_TARGET_KEPT_BYTES];
	uint32_t target_bytes;
	uint64_t body_bytes, body_wire_bytes;
};

void request_init(struct request *request);

/* Reads on with @data. *ret_used says how much of it belongs to this request. */
enum request_event request_feed(struct request *request, const char *data, size_t length,
				size_t *ret_used);

/* Makes ready for the next request, after a complete one. */
void request_next(struct request *request);

/* Whether the answer has no body. */
bool request_is_head(const struct request *request);

/* Whether it came as HTTP/1.0, where staying open must be said. */
bool request_is_http10(const struct request *request);

/* Whether its body came in chunks. The parser is lax about what stands between them (RFC 9112,
 * 7.1): where such a request ends, and the next one begins, is not to be relied on. */
bool request_is_chunked(const struct request *request);

/* Whether its path (without query) is @path. */
bool request_has_path(const struct request *request, const char *path);

/* The number in `delay_ms=` of its query, at most HTTPD_DELAY_MAX_MS; 0 if there is none. */
unsigned long request_delay_ms(const struct request *request);

/* Once for a process: libhttp-parser keeps this bound in a global variable. */
void request_set_limits(void);

#endif
