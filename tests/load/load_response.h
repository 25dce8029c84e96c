/*
 * Reads one HTTP/1.x answer to a GET: bytes in, verdict out, no I/O and no allocation. Strict: what
 * RFC 9112 does not allow is broken, since a server under test must not be helped.
 *
 *     status line → headers → body by length ─┐
 *        ↑ 1xx ────────┘ ├──→ body by chunks → trailer ─┤
 *                        ├──→ body until EOF ───────────┤
 *                        └──→ no body ──────────────────┴→ complete
 *
 * Owned in place by its client; response_begin() makes it fit for the next answer.
 */
#ifndef HANDOVER_TESTS_LOAD_RESPONSE_H
#define HANDOVER_TESTS_LOAD_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	RESPONSE_LINE_MAX = 4096,
	RESPONSE_HEAD_MAX = 65536,
	RESPONSE_GENERATION_MAX = 64,
};

enum response_state {
	RESPONSE_STATUS_LINE,
	RESPONSE_HEADER,
	RESPONSE_BODY_BY_LENGTH,
	RESPONSE_BODY_UNTIL_EOF,
	RESPONSE_CHUNK_SIZE,
	RESPONSE_CHUNK_DATA,
	RESPONSE_CHUNK_END,
	RESPONSE_TRAILER,
	RESPONSE_COMPLETE,
};

/* What to compare with; must outlive the responses that point to it. */
struct response_wanted {
	const char *body;     /* NULL: any */
	int64_t length_bytes; /* -1: any */
	const char *generation_header;
};

struct response {
	const struct response_wanted *wanted;
	enum response_state state;
	int status;
	int minor_version;
	bool says_close;
	bool says_keep_alive;
	bool has_length;
	bool chunked;
	bool until_eof;
	bool body_differs;
	uint64_t left_bytes; /* of the body, or of the chunk */
	uint64_t body_bytes;
	size_t head_bytes;
	size_t line_bytes;
	char generation
		[RESPONSE_GENERATION_MAX]; /* "" where the answer does not say, cut if long */
	char line[RESPONSE_LINE_MAX];
};

void response_begin(struct response *response, const struct response_wanted *wanted);

/* Returns how many of the bytes belong to this answer (all, until it is complete), or -EBADMSG. */
ssize_t response_feed(struct response *response, const char *bytes, size_t size);

/* The connection has ended. 0: that completes the answer, or it was complete; -ENODATA: cut off. */
int response_end(struct response *response);

/* Of a complete answer: may the connection carry another request? */
bool response_keeps_alive(const struct response *response);

/* Of a complete answer: is the body the wanted one? */
bool response_has_wanted_body(const struct response *response);

#endif
