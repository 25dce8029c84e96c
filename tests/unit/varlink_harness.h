/*
 * For the tests of the Varlink service: one on an abstract socket, with an interface that does what
 * a test needs, on a loop that the test drives; and peers, plain sockets in the same process.
 */
#ifndef HANDOVER_TESTS_UNIT_VARLINK_HARNESS_H
#define HANDOVER_TESTS_UNIT_VARLINK_HARNESS_H

#include <ev.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "proto/base.h"
#include "proto/varlink_service.h"

enum { KEPT_MAX = 256, RECEIVED_MAX_BYTES = 4096, GUARD_SEC = 10 };

struct kept_call {
	struct varlink_call *call;
	bool cancelled;
};

struct harness {
	struct ev_loop *loop;
	ev_timer guard;
	struct varlink_service *service;
	int listen_fd;
	struct sockaddr_un address;
	socklen_t address_length;
	bool allow;
	struct kept_call kept[KEPT_MAX];
	size_t n_kept, n_cancelled, n_echoed;
	size_t n_reports;
	char last_report[512];
};

static inline void on_cancelled(void *data)
{
	struct kept_call *kept = data;
	kept->cancelled = true;
	kept->call = NULL;
}

static inline void handle_echo(void *owner, struct varlink_call *call, json_t *parameters)
{
	struct harness *harness = owner;
	harness->n_echoed++;
	varlink_call_reply(call, json_incref(parameters));
}

static inline void handle_keep(void *owner, struct varlink_call *call, json_t *parameters)
{
	struct harness *harness = owner;
	(void)parameters;
	assert_true(harness->n_kept < KEPT_MAX);
	struct kept_call *kept = &harness->kept[harness->n_kept++];
	kept->call = call;
	varlink_call_keep(call, on_cancelled, kept);
}

static inline void handle_count(void *owner, struct varlink_call *call, json_t *parameters)
{
	json_int_t to = json_integer_value(json_object_get(parameters, "to"));
	(void)owner;
	for (json_int_t i = 1; i < to; i++)
		varlink_call_continue(call, json_pack("{s:I}", "n", i));
	varlink_call_reply(call, json_pack("{s:I}", "n", to));
}

static inline void handle_fail(void *owner, struct varlink_call *call, json_t *parameters)
{
	(void)owner, (void)parameters;
	varlink_call_error(call, "Busy", json_pack("{s:i}", "generation", 7));
}

static inline void handle_wrong(void *owner, struct varlink_call *call, json_t *parameters)
{
	(void)owner, (void)parameters;
	varlink_call_invalid_parameter(call, "x");
}

/* A reply with a text of as many bytes. */
static inline void handle_large(void *owner, struct varlink_call *call, json_t *parameters)
{
	size_t n_bytes = (size_t)json_integer_value(json_object_get(parameters, "bytes"));
	char *text = calloc(1, n_bytes + 1);
	(void)owner;
	memset(text, 'x', n_bytes);
	varlink_call_reply(call, json_pack("{s:s}", "text", text));
	free(text);
}

static inline bool allow_as_told(void *owner, const struct varlink_peer *peer)
{
	struct harness *harness = owner;
	assert_int_equal(peer->pid, getpid());
	assert_int_equal(peer->uid, getuid());
	assert_int_equal(peer->gid, getgid());
	return harness->allow;
}

static inline void keep_report(void *owner, const struct varlink_peer *peer, const char *text)
{
	struct harness *harness = owner;
	(void)peer;
	harness->n_reports++;
	(void)snprintf(harness->last_report, sizeof(harness->last_report), "%s", text);
}

static inline void on_guard(EV_P_ ev_timer *watcher, int revents)
{
	(void)loop, (void)watcher, (void)revents;
	fail_msg("nothing happens any more");
}

static const struct varlink_method METHODS[] = {
	{ "Echo", handle_echo }, { "Keep", handle_keep },   { "Count", handle_count },
	{ "Fail", handle_fail }, { "Wrong", handle_wrong }, { "Large", handle_large },
};

static inline int harness_setup(void **state)
{
	struct harness *harness = calloc(1, sizeof(*harness));
	const struct varlink_service_config config = {
		.vendor = "the vendor",
		.product = "the product",
		.version = "1",
		.url = "https://example.org/",
		.interface = "org.example.test",
		.description = "interface org.example.test\n",
		.methods = METHODS,
		.n_methods = ARRAY_SIZE(METHODS),
		.allow = allow_as_told,
		.report = keep_report,
		.owner = harness,
	};
	harness->allow = true;
	harness->loop = ev_loop_new(EVFLAG_AUTO);
	ev_timer_init(&harness->guard, on_guard, GUARD_SEC, 0.);
	ev_timer_start(harness->loop, &harness->guard);
	harness->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Bound without a name, the kernel chooses an abstract one; see unix(7). */
	harness->address.sun_family = AF_UNIX;
	assert_int_equal(
		bind(harness->listen_fd, (struct sockaddr *)&harness->address, sizeof(sa_family_t)),
		0);
	harness->address_length = sizeof(harness->address);
	assert_int_equal(getsockname(harness->listen_fd, (struct sockaddr *)&harness->address,
				     &harness->address_length),
			 0);
	assert_int_equal(listen(harness->listen_fd, 64), 0);
	assert_int_equal(
		varlink_service_new(harness->loop, harness->listen_fd, &config, &harness->service),
		0);
	*state = harness;
	return 0;
}

static inline int harness_teardown(void **state)
{
	struct harness *harness = *state;
	varlink_service_free(harness->service);
	(void)fd_close(harness->listen_fd);
	ev_loop_destroy(harness->loop);
	free(harness);
	return 0;
}

/* A new peer; not accepted yet. */
static inline int peer_connect(struct harness *harness)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&harness->address, harness->address_length),
			 0);
	return fd;
}

static inline void peer_send_bytes(int fd, const char *bytes, size_t n_bytes)
{
	assert_int_equal(send(fd, bytes, n_bytes, MSG_NOSIGNAL), n_bytes);
}

/* Sends @text, in which '|' stands for NUL. */
static inline void peer_send(int fd, const char *text)
{
	char bytes[RECEIVED_MAX_BYTES];
	size_t n_bytes = strlen(text);
	assert_true(n_bytes <= sizeof(bytes));
	for (size_t i = 0; i < n_bytes; i++)
		bytes[i] = text[i] == '|' ? '\0' : text[i];
	peer_send_bytes(fd, bytes, n_bytes);
}

#define RUN_UNTIL(harness, condition)                        \
	do {                                                 \
		while (!(condition))                         \
			ev_run((harness)->loop, EVRUN_ONCE); \
	} while (0)

/* Lets happen what can happen without anything new from outside. */
static inline void run_dry(struct harness *harness)
{
	for (int i = 0; i < 32; i++)
		ev_run(harness->loop, EVRUN_NOWAIT);
}

/* Receives exactly @text, in which '|' stands for NUL; what comes behind it is left. */
static inline void peer_expect(struct harness *harness, int fd, const char *text)
{
	char received[RECEIVED_MAX_BYTES] = "";
	size_t n_received = 0, n_expected = strlen(text);

	assert_true(n_expected < sizeof(received));
	while (n_received < n_expected) {
		ssize_t n = recv(fd, received + n_received, n_expected - n_received, 0);
		if (n < 0 && errno == EAGAIN) {
			ev_run(harness->loop, EVRUN_ONCE);
			continue;
		}
		if (n <= 0)
			fail_msg("closed after \"%s\", expected \"%s\"", received, text);
		for (size_t i = n_received; i < n_received + (size_t)n; i++)
			received[i] = received[i] ? received[i] : '|';
		n_received += (size_t)n;
	}
	assert_string_equal(received, text);
}

static inline void peer_expect_nothing(struct harness *harness, int fd)
{
	char byte;
	run_dry(harness);
	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
}

/* The service closes the connection, without another byte. */
static inline void peer_expect_closed(struct harness *harness, int fd)
{
	char byte;
	ssize_t n;
	while ((n = recv(fd, &byte, 1, 0)) < 0 && errno == EAGAIN)
		ev_run(harness->loop, EVRUN_ONCE);
	/* Unread input makes it a reset; see unix(7). */
	assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
}

#define METHOD(name)  "{\"method\":\"org.example.test." name "\""
#define ECHO(number)  METHOD("Echo") ",\"parameters\":{\"n\":" #number "}}"
#define REPLY(number) "{\"parameters\":{\"n\":" #number "}}"

#endif
