/*
 * What the tests of libhandover share: a clean environment, and an owner that writes down which
 * callbacks it gets.
 */
#ifndef HANDOVER_TESTS_LIBHANDOVER_FIXTURE_H
#define HANDOVER_TESTS_LIBHANDOVER_FIXTURE_H

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base.h"
#include "worker/handover.h"

struct owner {
	char calls[64]; /* a letter each: s, d, r, o */
	uint64_t deadline_usec;
};

static inline void owner_note(void *data, const char *call)
{
	struct owner *owner = data;
	assert_true(strlen(owner->calls) + 1 < sizeof(owner->calls));
	(void)strcat(owner->calls, call);
}

static inline void owner_serve(struct handover *handover, void *data)
{
	(void)handover;
	owner_note(data, "s");
}

static inline void owner_drain(struct handover *handover, uint64_t deadline_usec, void *data)
{
	(void)handover;
	((struct owner *)data)->deadline_usec = deadline_usec;
	owner_note(data, "d");
}

static inline void owner_resume(struct handover *handover, void *data)
{
	(void)handover;
	owner_note(data, "r");
}

static inline void owner_orphaned(struct handover *handover, void *data)
{
	(void)handover;
	owner_note(data, "o");
}

static const struct handover_callbacks OWNER_CALLBACKS = {
	.serve = owner_serve,
	.drain = owner_drain,
	.resume = owner_resume,
	.orphaned = owner_orphaned,
};

static inline void clear_environment(void)
{
	static const char *const NAMES[] = {
		"HANDOVER_FD",	 "HANDOVER_NAME", "HANDOVER_GENERATION", "HANDOVER_SLOT",
		"LISTEN_FDS",	 "LISTEN_PID",	  "LISTEN_FDNAMES",	 "NOTIFY_SOCKET",
		"WATCHDOG_USEC", "WATCHDOG_PID",
	};
	for (size_t i = 0; i < ARRAY_SIZE(NAMES); i++)
		assert_int_equal(unsetenv(NAMES[i]), 0);
}

static inline void set_number(const char *name, long value)
{
	char text[24];
	(void)snprintf(text, sizeof(text), "%ld", value);
	assert_int_equal(setenv(name, text, 1), 0);
}

static inline bool is_readable(int fd, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	return poll(&poll_fd, 1, timeout_ms) == 1;
}

/* Waits for the one descriptor, as an event loop does, and dispatches. */
static inline void turn(struct handover *handover)
{
	assert_true(is_readable(handover_fd(handover), 5000));
	assert_int_equal(handover_dispatch(handover), 0);
}

#endif
