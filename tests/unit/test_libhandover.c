/* libhandover with a supervisor: the other end of its channel is ours. */
#include "tests/unit/libhandover_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

#include "proto/channel.h"
#include "proto/worker_message.h"

/* What libhandover's sending fails with. */
static int shortage;
static int channel_send_short(int fd, json_t *message, const void *bytes, size_t n_bytes,
			      const int *fds, size_t n_fds)
{
	return shortage ? shortage : channel_send(fd, message, bytes, n_bytes, fds, n_fds);
}
#define channel_send channel_send_short
#include "worker/libhandover_outbox.c"
#undef channel_send

struct fixture {
	int supervisor_fd;
	struct handover *handover;
	struct owner owner;
};

static void attach(struct fixture *fixture, unsigned int flags)
{
	int fds[2];
	assert_int_equal(channel_pair(fds), 0);
	fixture->supervisor_fd = fds[0];
	set_number("HANDOVER_FD", fds[1]);
	assert_int_equal(
		handover_attach(&fixture->handover, &OWNER_CALLBACKS, &fixture->owner, flags), 0);
}

static int set_up(void **state)
{
	clear_environment();
	shortage = 0;
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	fixture->supervisor_fd = -1;
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	handover_free(fixture->handover);
	(void)fd_close(fixture->supervisor_fd);
	free(fixture);
	return 0;
}

static void tell(struct fixture *fixture, enum worker_message_type type, uint64_t deadline_usec)
{
	struct worker_message message = { .type = type, .deadline_usec = deadline_usec };
	json_t *json = worker_message_encode(&message);
	assert_non_null(json);
	assert_int_equal(channel_send(fixture->supervisor_fd, json, NULL, 0, NULL, 0), 0);
	json_decref(json);
	turn(fixture->handover);
}

/* The next message of the worker, which must be a @type. Its status is copied. */
static void expect(struct fixture *fixture, enum worker_message_type type, int64_t open,
		   const char *status)
{
	struct channel_packet packet = { .n_fds = 0 };
	assert_int_equal(channel_receive(fixture->supervisor_fd, &packet), 1);
	struct worker_message message;
	assert_int_equal(worker_message_decode(packet.message, &message, NULL), 0);
	assert_int_equal(message.type, type);
	if (type == WORKER_MESSAGE_DRAINING)
		assert_int_equal(message.open, open);
	if (type == WORKER_MESSAGE_STATUS)
		assert_string_equal(message.status, status);
	channel_packet_finish(&packet);
}

static void expect_nothing(struct fixture *fixture)
{
	struct channel_packet packet = { .n_fds = 0 };
	assert_int_equal(channel_receive(fixture->supervisor_fd, &packet), -EAGAIN);
}

static void test_life(void **state)
{
	struct fixture *fixture = *state;
	set_number("HANDOVER_GENERATION", 7);
	set_number("HANDOVER_SLOT", 2);
	assert_int_equal(setenv("HANDOVER_NAME", "web", 1), 0);
	attach(fixture, 0);
	assert_true(handover_supervised(fixture->handover));
	assert_int_equal(handover_generation(fixture->handover), 7);
	assert_int_equal(handover_slot(fixture->handover), 2);
	assert_string_equal(handover_name(fixture->handover), "web");
	assert_false(is_readable(handover_fd(fixture->handover), 0));

	assert_int_equal(handover_ready(fixture->handover), 0);
	assert_int_equal(handover_ready(fixture->handover), 0);
	expect(fixture, WORKER_MESSAGE_READY, 0, NULL);
	expect_nothing(fixture);
	assert_int_equal(handover_dispatch(fixture->handover), 0);
	assert_string_equal(fixture->owner.calls, ""); /* nobody serves before it is told to */

	tell(fixture, WORKER_MESSAGE_SERVE, 0);
	assert_string_equal(fixture->owner.calls, "s");
	tell(fixture, WORKER_MESSAGE_DRAIN, 123456789);
	assert_string_equal(fixture->owner.calls, "sd");
	assert_int_equal(fixture->owner.deadline_usec, 123456789);
	assert_int_equal(handover_draining(fixture->handover, 3), 0);
	expect(fixture, WORKER_MESSAGE_DRAINING, 3, NULL);
	tell(fixture, WORKER_MESSAGE_DRAIN, HANDOVER_NO_DEADLINE);
	assert_true(fixture->owner.deadline_usec == HANDOVER_NO_DEADLINE);
	tell(fixture, WORKER_MESSAGE_RESUME, 0);
	assert_string_equal(fixture->owner.calls, "sddr");
}

static const struct sequence {
	const char *told;  /* S, D, R */
	const char *calls; /* what the owner hears */
} SEQUENCES[] = {
	{ "S", "s" },	  { "SS", "s" },   { "R", "" },	      { "SR", "s" },	  { "D", "d" },
	{ "DS", "d" },	  { "DR", "ds" },  { "DRS", "ds" },   { "DRDR", "dsdr" }, { "SDR", "sdr" },
	{ "SDD", "sdd" }, { "SDS", "sd" }, { "SDRR", "sdr" }, { "SDRD", "sdrd" },
};

static void test_sequences(void **state)
{
	struct fixture *fixture = *state;
	for (size_t i = 0; i < ARRAY_SIZE(SEQUENCES); i++) {
		fixture->owner = (struct owner){ .deadline_usec = 0 };
		attach(fixture, 0);
		for (const char *told = SEQUENCES[i].told; *told; told++)
			tell(fixture,
			     *told == 'S'   ? WORKER_MESSAGE_SERVE
			     : *told == 'D' ? WORKER_MESSAGE_DRAIN
					    : WORKER_MESSAGE_RESUME,
			     1);
		assert_string_equal(fixture->owner.calls, SEQUENCES[i].calls);
		handover_free(TAKE_PTR(fixture->handover));
		fixture->supervisor_fd = fd_close(fixture->supervisor_fd);
	}
}

static void test_supervisor_gone(void **state)
{
	struct fixture *fixture = *state;
	set_number("WATCHDOG_USEC", 2000);
	attach(fixture, 0);
	assert_int_equal(handover_ready(fixture->handover), 0); /* unread: the end is a reset */
	tell(fixture, WORKER_MESSAGE_SERVE, 0);

	/* Its last words are heard before its end. */
	struct worker_message message = { .type = WORKER_MESSAGE_DRAIN, .deadline_usec = 5 };
	json_t *json = worker_message_encode(&message);
	assert_int_equal(channel_send(fixture->supervisor_fd, json, NULL, 0, NULL, 0), 0);
	json_decref(json);
	fixture->supervisor_fd = fd_close(fixture->supervisor_fd);
	assert_true(is_readable(handover_fd(fixture->handover), 5000));
	(void)handover_dispatch(fixture->handover);
	assert_string_equal(fixture->owner.calls, "sdo");

	assert_false(handover_supervised(fixture->handover));
	assert_int_equal(handover_status(fixture->handover, "alone"), -EPIPE);
	assert_int_equal(handover_draining(fixture->handover, 1), -EPIPE);
	assert_int_equal(handover_watchdog(fixture->handover), -EPIPE);
	assert_true(handover_watchdog_deadline_usec(fixture->handover) == HANDOVER_NO_DEADLINE);
	assert_false(is_readable(handover_fd(fixture->handover), 20)); /* and it does not spin */
	assert_int_equal(handover_dispatch(fixture->handover), 0);
	assert_string_equal(fixture->owner.calls, "sdo");
}

/* A child that was forked holds copies of our descriptors: the end is heard once all the same. dup()
 * is such a copy. */
static void test_supervisor_gone_for_a_copy(void **state)
{
	struct fixture *fixture = *state;
	attach(fixture, 0);
	CLEANUP(fd_closep) int copy = dup(atoi(getenv("HANDOVER_FD")));
	assert_true(copy >= 0);
	fixture->supervisor_fd = fd_close(fixture->supervisor_fd);
	turn(fixture->handover);
	assert_string_equal(fixture->owner.calls, "o");
	assert_false(is_readable(handover_fd(fixture->handover), 20));
}

static void test_garbage_is_skipped(void **state)
{
	static const struct {
		const char *packet;
		int result;
	} PACKETS[] = {
		{ "no JSON", -EBADMSG },
		{ "[]", -EBADMSG },
		{ "{\"method\":\"io.handover.Worker.Drain\",\"parameters\":{\"deadline_usec\":\"x\"}}",
		  -EBADMSG },
		{ "{\"method\":\"io.handover.Worker.FromTheFuture\"}", 0 },
		{ "{\"method\":\"io.handover.Worker.Ready\"}", 0 },
	};
	struct fixture *fixture = *state;
	attach(fixture, 0);
	for (size_t i = 0; i < ARRAY_SIZE(PACKETS); i++) {
		const char *packet = PACKETS[i].packet;
		assert_int_equal(send(fixture->supervisor_fd, packet, strlen(packet), 0),
				 strlen(packet));
		assert_true(is_readable(handover_fd(fixture->handover), 5000));
		assert_int_equal(handover_dispatch(fixture->handover), PACKETS[i].result);
		assert_string_equal(fixture->owner.calls, "");
	}
	tell(fixture, WORKER_MESSAGE_SERVE, 0);
	assert_string_equal(fixture->owner.calls, "s");
}

/* Descriptors that come unasked are not kept. */
static void test_descriptors_are_closed(void **state)
{
	struct fixture *fixture = *state;
	attach(fixture, 0);
	int pipe_fds[2];
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
	json_t *json = json_pack("{s:s}", "method", "io.handover.Worker.Serve");
	assert_int_equal(channel_send(fixture->supervisor_fd, json, NULL, 0, &pipe_fds[1], 1), 0);
	json_decref(json);
	turn(fixture->handover);
	(void)fd_close(pipe_fds[1]);
	char byte;
	assert_int_equal(read(pipe_fds[0], &byte, 1), 0); /* the last writer is gone */
	(void)fd_close(pipe_fds[0]);
}

/* Readiness that met a full socket waits, and is sent when the supervisor reads again. */
static void test_full_channel(void **state)
{
	struct fixture *fixture = *state;
	attach(fixture, 0);
	for (int i = 0; i < 2000; i++)
		assert_int_equal(handover_status(fixture->handover, "filling"), 0);
	assert_int_equal(handover_ready(fixture->handover), 0);
	assert_int_equal(handover_draining(fixture->handover, 9), 0);
	assert_int_equal(handover_draining(fixture->handover, 8), 0);
	assert_int_equal(handover_status(fixture->handover, "newest"), 0);
	assert_false(is_readable(handover_fd(fixture->handover), 20)); /* nothing to do yet */

	int r, n_filling = 0;
	do {
		struct channel_packet packet = { .n_fds = 0 };
		r = channel_receive(fixture->supervisor_fd, &packet);
		channel_packet_finish(&packet);
		n_filling += r == 1;
	} while (r == 1);
	assert_int_equal(r, -EAGAIN);
	assert_in_range(n_filling, 1, 1999);

	turn(fixture->handover);
	expect(fixture, WORKER_MESSAGE_READY, 0, NULL);
	expect(fixture, WORKER_MESSAGE_STATUS, 0, "newest");
	expect(fixture, WORKER_MESSAGE_DRAINING, 8, NULL);
	expect_nothing(fixture);
	assert_false(is_readable(handover_fd(fixture->handover), 20)); /* writable wakes no more */
}

/* Ready was once lost with the memory that it did not get, and saying it again does nothing. */
static void test_ready_outlasts_a_shortage(void **state)
{
	struct fixture *fixture = *state;
	static const int SHORTAGES[] = { -ENOMEM, -ENOBUFS };
	for (size_t i = 0; i < ARRAY_SIZE(SHORTAGES); i++) {
		attach(fixture, 0);
		shortage = SHORTAGES[i];
		assert_int_equal(handover_ready(fixture->handover), 0);
		turn(fixture->handover);
		expect_nothing(fixture);
		shortage = 0;
		turn(fixture->handover);
		expect(fixture, WORKER_MESSAGE_READY, 0, NULL);
		expect_nothing(fixture);
		assert_false(is_readable(handover_fd(fixture->handover), 20));
		handover_free(TAKE_PTR(fixture->handover));
		fixture->supervisor_fd = fd_close(fixture->supervisor_fd);
	}
}

static void test_watchdog(void **state)
{
	struct fixture *fixture = *state;
	set_number("WATCHDOG_USEC", 20000);
	set_number("WATCHDOG_PID", getpid());
	attach(fixture, 0);
	uint64_t first = handover_watchdog_deadline_usec(fixture->handover);
	assert_true(first != HANDOVER_NO_DEADLINE);
	turn(fixture->handover);
	expect(fixture, WORKER_MESSAGE_WATCHDOG, 0, NULL);
	assert_true(handover_watchdog_deadline_usec(fixture->handover) >= first + 10000);
	turn(fixture->handover);
	expect(fixture, WORKER_MESSAGE_WATCHDOG, 0, NULL);
}

static void test_manual_watchdog(void **state)
{
	struct fixture *fixture = *state;
	set_number("WATCHDOG_USEC", 2000);
	attach(fixture, HANDOVER_MANUAL_WATCHDOG);
	assert_false(is_readable(handover_fd(fixture->handover), 20));
	assert_int_equal(handover_watchdog(fixture->handover), 0);
	expect(fixture, WORKER_MESSAGE_WATCHDOG, 0, NULL);
}

static void test_foreign_watchdog(void **state)
{
	struct fixture *fixture = *state;
	set_number("WATCHDOG_USEC", 2000);
	set_number("WATCHDOG_PID", getpid() + 1);
	attach(fixture, 0);
	assert_true(handover_watchdog_deadline_usec(fixture->handover) == HANDOVER_NO_DEADLINE);
	assert_int_equal(handover_watchdog(fixture->handover), 0);
	expect_nothing(fixture);
}

/* handoverd does not send it, but others may. */
static void test_sigterm(void **state)
{
	struct fixture *fixture = *state;
	attach(fixture, HANDOVER_CATCH_SIGTERM);
	assert_int_equal(kill(getpid(), SIGTERM), 0);
	turn(fixture->handover);
	assert_string_equal(fixture->owner.calls, "d");
	assert_true(fixture->owner.deadline_usec == HANDOVER_NO_DEADLINE);
	expect(fixture, WORKER_MESSAGE_DRAINING, 0, NULL);
	assert_int_equal(kill(getpid(), SIGTERM), 0);
	turn(fixture->handover);
	assert_string_equal(fixture->owner.calls, "dd");
	assert_true(fixture->owner.deadline_usec < HANDOVER_NO_DEADLINE);
}

static const struct status_text {
	const char *text, *clean;
} STATUS_TEXTS[] = {
	{ "", "" },
	{ "12 sessions", "12 sessions" },
	{ "line\nREADY=1\ttab", "line READY=1 tab" },
	{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
	{ "latin \xfc!", "latin \xef\xbf\xbd!" },
};

static void test_status_text(void **state)
{
	struct fixture *fixture = *state;
	attach(fixture, 0);
	for (size_t i = 0; i < ARRAY_SIZE(STATUS_TEXTS); i++) {
		assert_int_equal(handover_status(fixture->handover, STATUS_TEXTS[i].text), 0);
		expect(fixture, WORKER_MESSAGE_STATUS, 0, STATUS_TEXTS[i].clean);
	}
	/* Cut before a character that does not fit. */
	char text[300], cut[300] = { 0 };
	memset(text, 'a', sizeof(text));
	(void)strcpy(text + WORKER_STATUS_MAX_BYTES - 1, "\xc3\xbc and more");
	memset(cut, 'a', WORKER_STATUS_MAX_BYTES - 1);
	assert_int_equal(handover_status(fixture->handover, text), 0);
	expect(fixture, WORKER_MESSAGE_STATUS, 0, cut);
}

static void test_refused_channels(void **state)
{
	(void)state;
	struct handover *handover = NULL;
	int pipe_fds[2], stream_fds[2];
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream_fds), 0);
	const struct {
		int fd, result;
	} CASES[] = {
		{ 999, -EBADF },
		{ pipe_fds[0], -ENOTSOCK },
		{ stream_fds[0], -EPROTOTYPE },
	};
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		set_number("HANDOVER_FD", CASES[i].fd);
		assert_int_equal(handover_attach(&handover, &OWNER_CALLBACKS, NULL, 0),
				 CASES[i].result);
	}
	static const char *const NUMBERS[] = { "", "-1", " 3", "3x", "99999999999999999999" };
	for (size_t i = 0; i < ARRAY_SIZE(NUMBERS); i++) {
		assert_int_equal(setenv("HANDOVER_FD", NUMBERS[i], 1), 0);
		assert_int_equal(handover_attach(&handover, &OWNER_CALLBACKS, NULL, 0), -EINVAL);
	}
	assert_int_equal(handover_attach(&handover, &OWNER_CALLBACKS, NULL, 0x80), -EINVAL);
	assert_null(handover);
	for (int i = 0; i < 2; i++) {
		assert_true(fcntl(stream_fds[i], F_GETFD) >= 0); /* failing closed nothing */
		(void)fd_close(pipe_fds[i]);
		(void)fd_close(stream_fds[i]);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_life),
		TEST(test_sequences),
		TEST(test_supervisor_gone),
		TEST(test_supervisor_gone_for_a_copy),
		TEST(test_garbage_is_skipped),
		TEST(test_descriptors_are_closed),
		TEST(test_full_channel),
		TEST(test_ready_outlasts_a_shortage),
		TEST(test_watchdog),
		TEST(test_manual_watchdog),
		TEST(test_foreign_watchdog),
		TEST(test_sigterm),
		TEST(test_status_text),
		TEST(test_refused_channels),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
