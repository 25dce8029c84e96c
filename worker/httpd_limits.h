/*
 * Every bound that handover-httpd sets to what a client may send, and how long it may take. What a
 * client exceeds is answered with the status named here. Connections are bounded by RLIMIT_NOFILE
 * alone. Tests shrink some of them with -D or by an option.
 */
#ifndef HANDOVER_WORKER_HTTPD_LIMITS_H
#define HANDOVER_WORKER_HTTPD_LIMITS_H

/* Request line and header fields together: 431. Also trailers. */
#define HTTPD_HEAD_MAX_BYTES (32 * 1024)

/* The request's target: 414. */
#define HTTPD_TARGET_MAX_BYTES (8 * 1024)

/* As much of the target as is kept, to be compared with --status-path and searched for delay_ms. */
#define HTTPD_TARGET_KEPT_BYTES 120

/* A request's body, which is read and discarded: 413. */
#ifndef HTTPD_BODY_MAX_BYTES
#define HTTPD_BODY_MAX_BYTES (1024 * 1024)
#endif

/* A body with its chunk sizes and extensions, as it was on the wire: 413. */
#define HTTPD_BODY_WIRE_MAX_BYTES (2 * HTTPD_BODY_MAX_BYTES + 64 * 1024)

/* --header-timeout: from the first byte of a request to the end of its head: 408. */
#define HTTPD_HEADER_TIMEOUT_S 30.0

/* From the end of the head to the end of the body: 408. */
#define HTTPD_BODY_TIMEOUT_S 60.0

/* --keepalive-timeout: without a byte of a request. Closed without a word. */
#define HTTPD_KEEPALIVE_TIMEOUT_S 75.0

/* Without the client taking a byte of an answer. Closed. */
#define HTTPD_WRITE_TIMEOUT_S 60.0

/* After `Connection: close`, for the client to close too (see connection_linger()). */
#define HTTPD_LINGER_TIMEOUT_S 5.0

/* --drain-timeout: for a drain by SIGTERM, which brings no deadline. */
#define HTTPD_DRAIN_TIMEOUT_S 10.0

/* Any time given by an option, and the delay_ms of a request. */
#define HTTPD_TIMEOUT_MAX_S 86400.0
#define HTTPD_DELAY_MAX_MS  600000ul

/* Read at a time, into one buffer for all connections. */
#define HTTPD_INPUT_BYTES (16 * 1024)

/* Answers of one connection that go out in one system call; beyond, in several. */
#define HTTPD_BATCH_ANSWERS 64

/* Connections accepted in one turn of the loop, so that those that are open get theirs. */
#define HTTPD_ACCEPT_BATCH 16

/* How long accepting pauses after an error such as EMFILE. */
#define HTTPD_ACCEPT_PAUSE_S 0.1

/* The least time between two reports of how many connections are still open. */
#define HTTPD_REPORT_INTERVAL_S 0.1

_Static_assert(HTTPD_TARGET_KEPT_BYTES < HTTPD_TARGET_MAX_BYTES &&
		       HTTPD_TARGET_MAX_BYTES < HTTPD_HEAD_MAX_BYTES,
	       "a long target is 414 before the head is 431");

#endif
