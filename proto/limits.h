/*
 * Every bound on what a peer may send, ask for or leave unread. A test reaches each of them,
 * some with a smaller value given by -D.
 */
#ifndef HANDOVER_PROTO_LIMITS_H
#define HANDOVER_PROTO_LIMITS_H

/* One message on a control socket, without its terminator. */
#ifndef CONTROL_MESSAGE_MAX_BYTES
#define CONTROL_MESSAGE_MAX_BYTES (1024 * 1024)
#endif

/* One packet on a worker's channel, JSON and raw bytes together. */
#ifndef CHANNEL_PACKET_MAX_BYTES
#define CHANNEL_PACKET_MAX_BYTES (64 * 1024)
#endif

/* Descriptors beside one packet: the kernel's SCM_MAX_FD, see unix(7). */
#define CHANNEL_PACKET_MAX_FDS 253

/* Nesting of objects and arrays in any message. jansson itself stops at 2048. */
#define MESSAGE_MAX_DEPTH 32

/* Control connections at a time; one more is accepted when another has gone. */
#ifndef CONTROL_MAX_CONNECTIONS
#define CONTROL_MAX_CONNECTIONS 128
#endif

/* A connection without a pending call that neither sends nor takes anything for so long is
 * closed. */
#ifndef CONTROL_IDLE_TIMEOUT_MS
#define CONTROL_IDLE_TIMEOUT_MS (60 * 1000)
#endif

/* How long a client waits for a supervisor to take its connection or its call. One never blocks: it
 * is stopped, or stuck. */
#ifndef CONTROL_CLIENT_TIMEOUT_MS
#define CONTROL_CLIENT_TIMEOUT_MS (5 * 1000)
#endif

/* How long accepting pauses when there are no descriptors left. */
#ifndef CONTROL_ACCEPT_PAUSE_MS
#define CONTROL_ACCEPT_PAUSE_MS 200
#endif

/* What one connection is given in one loop iteration, and how many new ones are accepted in one. */
#define CONTROL_TURN_READ_BYTES (16 * 1024)
#define CONTROL_TURN_CALLS	16
#define CONTROL_TURN_ACCEPTS	16

/* While so much waits to be read by a peer, none of its further calls are taken. */
#define CONTROL_OUTPUT_PAUSE_BYTES (CONTROL_OUTPUT_MAX_BYTES / 4)

/* Replies that a slow reader has not taken yet; beyond, it is cut off. */
#ifndef CONTROL_OUTPUT_MAX_BYTES
#define CONTROL_OUTPUT_MAX_BYTES (4 * 1024 * 1024)
#endif

/* Calls of one connection that wait for their answer; beyond, reading from it pauses. */
#ifndef CONTROL_MAX_PENDING_CALLS
#define CONTROL_MAX_PENDING_CALLS 64
#endif

/* A status text that a worker reports; the rest is cut. */
#define WORKER_STATUS_MAX_BYTES 256

_Static_assert(CONTROL_OUTPUT_MAX_BYTES >= 2 * CONTROL_MESSAGE_MAX_BYTES,
	       "a reader must be able to fall one whole message behind");

#endif
