/*
 * A stream of bytes into messages: a push parser. Bytes in, messages out, no I/O; any split of the
 * bytes gives the same messages.
 *
 *                 '{'              depth 0                 NUL, or newline
 *   BETWEEN ───────────▶ INSIDE ───────────▶ COMPLETE ───────────────────▶ BETWEEN
 *   (white space is skipped)                 (only white space may follow)
 *
 * A message is one JSON object. NUL ends it; so does a newline after a complete object (nesting
 * depth 0), for a shell and socat. The first terminator that a connection uses is the one it keeps:
 * with NUL a newline is white space, with newline a NUL is an error. What is between the braces is
 * not judged here: envelope.h does that. Too long (CONTROL_MESSAGE_MAX_BYTES), too deep
 * (MESSAGE_MAX_DEPTH) or no object: the stream is broken, and stays so.
 *
 * Embedded in its owner; all zero is the beginning of a stream.
 */
#ifndef HANDOVER_PROTO_FRAMING_H
#define HANDOVER_PROTO_FRAMING_H

#include <stdbool.h>

#include "proto/byte_queue.h"

enum framing_state {
	FRAMING_BETWEEN,
	FRAMING_INSIDE,
	FRAMING_COMPLETE,
	FRAMING_BROKEN,
};

struct framing {
	struct byte_queue input;
	enum framing_state state;
	size_t n_scanned;    /* bytes of the present message that were looked at */
	size_t n_handed_out; /* bytes of the last message and its terminator, still in the queue */
	unsigned int depth;  /* of objects and arrays that are open */
	bool in_string;
	bool escaped; /* the byte before was a backslash, in a string */
	bool terminator_known;
	char terminator; /* '\0' until it is known */
	int broken;	 /* why, a negative errno */
};
void framing_finish(struct framing *framing);

/* Takes @bytes in. Memory stays bounded as long as framing_next() has returned 0 before, which
 * leaves no more than one unfinished message. Returns 0 or -ENOMEM. */
int framing_push(struct framing *framing, const void *bytes, size_t n_bytes);

/* The next message, without its terminator, valid until the next call of either function. Returns
 * 1, 0 when more bytes are needed, -EMSGSIZE when one is too long, -EBADMSG when it is no object or
 * too deep. */
int framing_next(struct framing *framing, const char **ret_message, size_t *ret_n_bytes);

/* The terminator to answer with. */
static inline char framing_terminator(const struct framing *framing)
{
	return framing->terminator;
}

#endif
