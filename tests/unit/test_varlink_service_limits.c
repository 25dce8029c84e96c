/* Every limit of the Varlink service, shrunk so that it is reached. */
#define CONTROL_MESSAGE_MAX_BYTES 1000
#define CONTROL_MAX_CONNECTIONS	  4
#define CONTROL_MAX_PENDING_CALLS 3
#define CONTROL_OUTPUT_MAX_BYTES  (256 * 1024)
#define CONTROL_IDLE_TIMEOUT_MS	  idle_timeout_ms
#define CONTROL_ACCEPT_PAUSE_MS	  10

/* Short only where a test waits for it. */
static int idle_timeout_ms = 60 * 1000;

#include "proto/framing.c"
#include "proto/varlink_service.c"
#include "proto/varlink_service_call.c"
#include "proto/varlink_service_connection.c"
#include "proto/varlink_service_introspection.c"

#include <sys/resource.h>

#include "tests/unit/varlink_harness.h"

static const char LARGE[] = METHOD("Large") ",\"parameters\":{\"bytes\":20000}}|";

static size_t service_connections(const struct harness *harness)
{
	return harness->service->n_connections;
}

static void test_longest_message(void **state)
{
	struct harness *harness = *state;
	CLEANUP(fd_closep) int peer = peer_connect(harness);
	char text[CONTROL_MESSAGE_MAX_BYTES + 3];

	memset(text, ' ', sizeof(text));
	memcpy(text, ECHO(1), strlen(ECHO(1)));
	text[CONTROL_MESSAGE_MAX_BYTES] = '|';
	text[CONTROL_MESSAGE_MAX_BYTES + 1] = '\0';
	peer_send(peer, text);
	peer_expect(harness, peer, REPLY(1) "|");
	text[CONTROL_MESSAGE_MAX_BYTES] = ' ';
	text[CONTROL_MESSAGE_MAX_BYTES + 1] = '|';
	text[CONTROL_MESSAGE_MAX_BYTES + 2] = '\0';
	peer_send(peer, text);
	peer_expect_closed(harness, peer);
	assert_string_equal(harness->last_report, "cut off: a message of more than 1000 bytes");
}

/* Steps that nobody reads: cut off at the limit, and the call cancelled, but not from within. */
static void test_slow_reader_is_cut_off(void **state)
{
	struct harness *harness = *state;
	CLEANUP(fd_closep) int peer = peer_connect(harness);
	char text[1024];
	int n = 0;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	peer_send(peer, METHOD("Keep") ",\"more\":true}|");
	RUN_UNTIL(harness, harness->n_kept == 1);
	while (harness->n_reports == 0) {
		assert_false(harness->kept[0].cancelled);
		varlink_call_continue(harness->kept[0].call, json_pack("{s:s}", "text", text));
		n++;
	}
	assert_in_range(n, 200, 260);
	assert_string_equal(harness->last_report, "cut off: reads too slowly");
	assert_false(harness->kept[0].cancelled);
	varlink_call_continue(harness->kept[0].call, NULL);
	RUN_UNTIL(harness, harness->kept[0].cancelled);
	assert_int_equal(service_connections(harness), 0);
	assert_int_equal(harness->n_reports, 1);
}

/* Held back behind an earlier call, replies count as well. */
static void test_held_replies_count(void **state)
{
	struct harness *harness = *state;
	CLEANUP(fd_closep) int peer = peer_connect(harness);
	peer_send(peer, METHOD("Keep") "}|" METHOD("Keep") ",\"more\":true}|");
	RUN_UNTIL(harness, harness->n_kept == 2);
	for (int i = 0; i < CONTROL_OUTPUT_MAX_BYTES / 16 && harness->n_reports == 0; i++)
		varlink_call_continue(harness->kept[1].call, NULL);
	assert_string_equal(harness->last_report, "cut off: reads too slowly");
	RUN_UNTIL(harness, harness->kept[0].cancelled && harness->kept[1].cancelled);
}

static size_t drain_replies(int peer)
{
	char bytes[65536];
	size_t n_replies = 0;
	ssize_t n;
	while ((n = recv(peer, bytes, sizeof(bytes), 0)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			n_replies += bytes[i] == '\0';
	}
	return n_replies;
}

/* One who asks for much at once, and reads, is never cut off: its calls wait. */
static void test_pipelining_waits_for_the_reader(void **state)
{
	struct harness *harness = *state;
	CLEANUP(fd_closep) int peer = peer_connect(harness);
	size_t n_replies = 0;

	for (int i = 0; i < 100; i++)
		peer_send(peer, LARGE);
	run_dry(harness);
	while ((n_replies += drain_replies(peer)) < 100)
		ev_run(harness->loop, EVRUN_ONCE);
	assert_int_equal(n_replies, 100);
	assert_int_equal(harness->n_reports, 0);
}

/* One who asks and never reads is closed when it has been idle too long. */
static void test_never_reads(void **state)
{
	struct harness *harness = *state;
	CLEANUP(fd_closep) int peer = peer_connect(harness);
	for (int i = 0; i < 100; i++)
		peer_send(peer, LARGE);
	RUN_UNTIL(harness, harness->n_reports == 1);
	assert_string_equal(harness->last_report, "cut off: reads nothing");
	assert_int_equal(service_connections(harness), 0);
}

static void test_idle_is_closed(void **state)
{
	struct harness *harness = *state;
	CLEANUP(fd_closep) int silent = peer_connect(harness);
	CLEANUP(fd_closep) int half = peer_connect(harness);
	CLEANUP(fd_closep) int waiting = peer_connect(harness);
	peer_send(half, "{\"method\":");
	peer_send(waiting, METHOD("Keep") "}|");
	peer_expect_closed(harness, silent);
	peer_expect_closed(harness, half);
	assert_int_equal(service_connections(harness), 1);
	varlink_call_reply(harness->kept[0].call, NULL);
	peer_expect(harness, waiting, "{\"parameters\":{}}|");
	peer_expect_closed(harness, waiting);
	assert_int_equal(harness->n_reports, 0);
}

/* Calls beyond the limit wait until one of those before is answered. */
static void test_pending_calls(void **state)
{
	struct harness *harness = *state;
	CLEANUP(fd_closep) int peer = peer_connect(harness);
	for (int i = 0; i < 5; i++)
		peer_send(peer, METHOD("Keep") "}|");
	run_dry(harness);
	assert_int_equal(harness->n_kept, 3);
	varlink_call_reply(harness->kept[2].call, NULL); /* not the first: still pending */
	run_dry(harness);
	assert_int_equal(harness->n_kept, 3);
	varlink_call_reply(harness->kept[0].call, NULL);
	RUN_UNTIL(harness, harness->n_kept == 4);
	varlink_call_reply(harness->kept[1].call, NULL);
	RUN_UNTIL(harness, harness->n_kept == 5);
	varlink_call_reply(harness->kept[3].call, NULL);
	varlink_call_reply(harness->kept[4].call, NULL);
	for (int i = 0; i < 5; i++)
		peer_expect(harness, peer, "{\"parameters\":{}}|");
}

/* Nothing is read from it, and its end is noticed all the same. */
static void test_gone_while_paused(void **state)
{
	struct harness *harness = *state;
	int peer = peer_connect(harness);
	for (int i = 0; i < 5; i++)
		peer_send(peer, METHOD("Keep") "}|");
	run_dry(harness);
	(void)fd_close(peer);
	RUN_UNTIL(harness, harness->kept[2].cancelled);
	assert_int_equal(harness->n_kept, 3);
	assert_int_equal(service_connections(harness), 0);
}

/* The silent ones make room, the one that was silent for longest first. */
static void test_idle_make_room(void **state)
{
	struct harness *harness = *state;
	int peers[CONTROL_MAX_CONNECTIONS];

	for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
		peers[i] = peer_connect(harness);
		peer_send(peers[i], ECHO(1) "|");
		peer_expect(harness, peers[i], REPLY(1) "|");
	}
	peer_send(peers[0], ECHO(1) "|");
	peer_expect(harness, peers[0], REPLY(1) "|");
	CLEANUP(fd_closep) int another = peer_connect(harness);
	peer_send(another, ECHO(2) "|");
	peer_expect(harness, another, REPLY(2) "|");
	assert_int_equal(service_connections(harness), CONTROL_MAX_CONNECTIONS);
	peer_expect_closed(harness, peers[1]);
	peer_send(peers[0], ECHO(3) "|");
	peer_expect(harness, peers[0], REPLY(3) "|");
	assert_int_equal(harness->n_reports, 1);
	for (size_t i = 0; i < ARRAY_SIZE(peers); i++)
		(void)fd_close(peers[i]);
}

/* When all wait for answers, a new one waits for the first of them to have its own. */
static void test_busy_make_no_room(void **state)
{
	struct harness *harness = *state;
	int peers[CONTROL_MAX_CONNECTIONS];

	for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
		peers[i] = peer_connect(harness);
		peer_send(peers[i], METHOD("Keep") "}|");
	}
	RUN_UNTIL(harness, harness->n_kept == CONTROL_MAX_CONNECTIONS);
	CLEANUP(fd_closep) int another = peer_connect(harness);
	peer_send(another, ECHO(2) "|");
	peer_expect_nothing(harness, another);
	varlink_call_reply(harness->kept[2].call, NULL);
	peer_expect(harness, another, REPLY(2) "|");
	for (size_t i = 0; i < ARRAY_SIZE(peers); i++)
		(void)fd_close(peers[i]);
}

/* So does one that goes without having had its answer. */
static void test_leaving_makes_room(void **state)
{
	struct harness *harness = *state;
	int peers[CONTROL_MAX_CONNECTIONS];

	for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
		peers[i] = peer_connect(harness);
		peer_send(peers[i], METHOD("Keep") "}|");
	}
	RUN_UNTIL(harness, harness->n_kept == CONTROL_MAX_CONNECTIONS);
	CLEANUP(fd_closep) int another = peer_connect(harness);
	peer_send(another, ECHO(2) "|");
	peer_expect_nothing(harness, another);
	peers[0] = fd_close(peers[0]);
	peer_expect(harness, another, REPLY(2) "|");
	for (size_t i = 0; i < ARRAY_SIZE(peers); i++)
		(void)fd_close(peers[i]);
}

/* Without descriptors, accepting pauses, says so once, and goes on when there are some again. */
static void test_no_descriptors(void **state)
{
	struct harness *harness = *state;
	struct rlimit before, tight;
	const char *preload = getenv("LD_PRELOAD");
	if (preload && strstr(preload, "vgpreload"))
		skip(); /* valgrind keeps the limit to itself, and the kernel never hears of it */
	CLEANUP(fd_closep) int peer = peer_connect(harness);
	CLEANUP(fd_closep) int highest = dup(0);

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	tight = before;
	tight.rlim_cur = (rlim_t)highest + 1;
	/* What is free below is taken, too. */
	int fillers[64], n_fillers = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	while ((fillers[n_fillers] = dup(0)) >= 0)
		n_fillers++;
	peer_send(peer, ECHO(1) "|");
	RUN_UNTIL(harness, harness->n_reports == 1);
	assert_string_equal(harness->last_report, "accepting pauses: Too many open files");
	unsigned int iteration = ev_iteration(harness->loop);
	RUN_UNTIL(harness, ev_iteration(harness->loop) >= iteration + 6);
	assert_int_equal(harness->n_reports, 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	peer_expect(harness, peer, REPLY(1) "|");
	while (n_fillers > 0)
		(void)fd_close(fillers[--n_fillers]);
}

/* One who sends without end has only its turn: another is answered in between. */
static void test_turns(void **state)
{
	struct harness *harness = *state;
	CLEANUP(fd_closep) int flood = peer_connect(harness);
	CLEANUP(fd_closep) int other = peer_connect(harness);
	char calls[RECEIVED_MAX_BYTES] = "";

	run_dry(harness);
	for (int i = 0; i < 80; i++)
		strcat(calls, METHOD("Echo") ",\"oneway\":true}|");
	peer_send(flood, calls);
	peer_send(other, ECHO(1) "|");
	ev_run(harness->loop, EVRUN_ONCE);
	assert_int_equal(harness->n_echoed, CONTROL_TURN_CALLS + 1);
	peer_expect(harness, other, REPLY(1) "|");
	RUN_UNTIL(harness, harness->n_echoed == 81);
}

static int setup_with_short_idle(void **state)
{
	idle_timeout_ms = 50;
	return harness_setup(state);
}

static int teardown(void **state)
{
	idle_timeout_ms = 60 * 1000;
	return harness_teardown(state);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, harness_setup, teardown)
#define TEST_SHORT_IDLE(function) \
	cmocka_unit_test_setup_teardown(function, setup_with_short_idle, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_longest_message),
		TEST(test_slow_reader_is_cut_off),
		TEST(test_held_replies_count),
		TEST(test_pipelining_waits_for_the_reader),
		TEST_SHORT_IDLE(test_never_reads),
		TEST_SHORT_IDLE(test_idle_is_closed),
		TEST(test_pending_calls),
		TEST(test_gone_while_paused),
		TEST(test_idle_make_room),
		TEST(test_busy_make_no_room),
		TEST(test_leaving_makes_room),
		TEST(test_no_descriptors),
		TEST(test_turns),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
