/*
 * One packet on a worker's channel: an AF_UNIX SOCK_SEQPACKET socket, see unix(7). A packet is one
 * JSON object, optionally a NUL and raw bytes behind it, and descriptors beside it (SCM_RIGHTS).
 * Stateless: whoever owns the descriptor owns the channel.
 */
#ifndef HANDOVER_PROTO_CHANNEL_H
#define HANDOVER_PROTO_CHANNEL_H

#include <jansson.h>
#include <stddef.h>

#include "proto/limits.h"

/* A packet that was received. All of it belongs to the receiver, until channel_packet_finish(). */
struct channel_packet {
	json_t *message;
	void *bytes; /* what came after the JSON's NUL, or NULL */
	size_t n_bytes;
	int fds[CHANNEL_PACKET_MAX_FDS];
	size_t n_fds;
};
void channel_packet_finish(struct channel_packet *packet);

/* A pair of ends, close-on-exec; the first is non-blocking. Returns 0 or a negative errno. */
int channel_pair(int ret_fds[static 2]);

/* Sends @message (borrowed), @bytes and @fds (borrowed; the receiver gets copies) as one packet,
 * without blocking and without SIGPIPE. Returns 0, -EAGAIN when the peer does not read, -EPIPE or
 * -ECONNRESET when it is gone, -EMSGSIZE beyond the limits, -ETOOMANYREFS (facts: unprivileged
 * senders, see unix(7)). */
int channel_send(int fd, json_t *message, const void *bytes, size_t n_bytes, const int *fds,
		 size_t n_fds);

/* Receives one packet without blocking. Returns 1, 0 at the end (peer closed), -EAGAIN when there
 * is none, -EBADMSG when it was no JSON object (the packet is consumed, its descriptors closed),
 * -EMFILE when descriptors were lost for want of room (MSG_CTRUNC), or another negative errno. An
 * empty packet cannot be told from the end: both read as 0. */
int channel_receive(int fd, struct channel_packet *ret_packet);

#endif
