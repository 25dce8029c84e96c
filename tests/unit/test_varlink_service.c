/* The Varlink service with real peers: who gets which answer, when, and who is hung up on. */
#include "tests/unit/varlink_harness.h"

static void test_call(void **state)
{
	struct harness *harness = *state;
	CLEANUP(fd_closep) int peer = peer_connect(harness);
	peer_send(peer, ECHO(1) "|");
	peer_expect(harness, peer, REPLY(1) "|");
	peer_send(peer, METHOD("Echo") ",\"parameters\":null}|");
	peer_expect(harness, peer, "{\"parameters\":{}}|");
	peer_send(peer, METHOD("Echo") "}|");
	peer_expect(harness, peer, "{\"parameters\":{}}|");
	peer_expect_nothing(harness, peer);
	assert_int_equal(harness->n_reports, 0);
}

/* A shell's way: answered with newlines, too. */
static void test_newlines(void **state)
{
	struct harness *harness = *state;
	CLEANUP(fd_closep) int peer = peer_connect(harness);
	peer_send(peer, "\n" ECHO(1) "\n\n" METHOD("Count") ",\"more\":true,\n\"parameters\":\n"
							    "{\"to\":2}}\r\n");
	peer_expect(harness, peer, REPLY(1) "\n");
	peer_expect(harness, peer, "{\"parameters\":{\"n\":1},\"continues\":true}\n" REPLY(2) "\n");
}

static void test_byte_by_byte(void **state)
{
	static const char calls[] = ECHO(1) "\0" ECHO(2);
	struct harness *harness = *state;
	CLEANUP(fd_closep) int peer = peer_connect(harness);
	for (size_t i = 0; i < sizeof(calls); i++) {
		peer_send_bytes(peer, calls + i, 1);
		run_dry(harness);
	}
	peer_expect(harness, peer, REPLY(1) "|" REPLY(2) "|");
}

static const struct answer_case {
	const char *call, *answer;
} ANSWERS[] = {
	{ METHOD("Fail") "}",
	  "{\"error\":\"org.example.test.Busy\",\"parameters\":{\"generation\":7}}" },
	{ METHOD("Wrong") "}", "{\"error\":\"org.varlink.service.InvalidParameter\","
			       "\"parameters\":{\"parameter\":\"x\"}}" },
	{ METHOD("Nothing") "}", "{\"error\":\"org.varlink.service.MethodNotFound\","
				 "\"parameters\":{\"method\":\"org.example.test.Nothing\"}}" },
	{ METHOD("Echo") ",\"upgrade\":true}",
	  "{\"error\":\"org.varlink.service.MethodNotImplemented\","
	  "\"parameters\":{\"method\":\"org.example.test.Echo\"}}" },
	{ "{\"method\":\"org.example.tes.Echo\"}",
	  "{\"error\":\"org.varlink.service.InterfaceNotFound\","
	  "\"parameters\":{\"interface\":\"org.example.tes\"}}" },
	{ "{\"method\":\"org.example.test.more.Echo\"}",
	  "{\"error\":\"org.varlink.service.InterfaceNotFound\","
	  "\"parameters\":{\"interface\":\"org.example.test.more\"}}" },
	{ "{\"method\":\"Echo\"}", "{\"error\":\"org.varlink.service.InvalidParameter\","
				   "\"parameters\":{\"parameter\":\"method\"}}" },
	{ "{\"method\":\".Echo\"}", "{\"error\":\"org.varlink.service.InvalidParameter\","
				    "\"parameters\":{\"parameter\":\"method\"}}" },
	{ "{\"method\":\"org.example.test.\"}",
	  "{\"error\":\"org.varlink.service.InvalidParameter\","
	  "\"parameters\":{\"parameter\":\"method\"}}" },
	{ "{\"method\":\"org.varlink.service.GetInfo\"}",
	  "{\"parameters\":{\"vendor\":\"the vendor\",\"product\":\"the product\","
	  "\"version\":\"1\",\"url\":\"https://example.org/\","
	  "\"interfaces\":[\"org.varlink.service\",\"org.example.test\"]}}" },
	{ "{\"method\":\"org.varlink.service.GetInfo\",\"parameters\":{\"x\":1}}",
	  "{\"error\":\"org.varlink.service.InvalidParameter\","
	  "\"parameters\":{\"parameter\":\"x\"}}" },
	{ "{\"method\":\"org.varlink.service.Nothing\"}",
	  "{\"error\":\"org.varlink.service.MethodNotFound\","
	  "\"parameters\":{\"method\":\"org.varlink.service.Nothing\"}}" },
	{ "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
	  "\"parameters\":{\"interface\":\"org.example.test\"}}",
	  "{\"parameters\":{\"description\":\"interface org.example.test\\n\"}}" },
	{ "{\"method\":\"org.varlink.service.GetInterfaceDescription\"}",
	  "{\"error\":\"org.varlink.service.InvalidParameter\","
	  "\"parameters\":{\"parameter\":\"interface\"}}" },
	{ "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
	  "\"parameters\":{\"interface\":1}}",
	  "{\"error\":\"org.varlink.service.InvalidParameter\","
	  "\"parameters\":{\"parameter\":\"interface\"}}" },
	{ "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
	  "\"parameters\":{\"interface\":\"a.b\"}}",
	  "{\"error\":\"org.varlink.service.InterfaceNotFound\","
	  "\"parameters\":{\"interface\":\"a.b\"}}" },
};

static void test_answers(void **state)
{
	struct harness *harness = *state;
	CLEANUP(fd_closep) int peer = peer_connect(harness);
	for (size_t i = 0; i < ARRAY_SIZE(ANSWERS); i++) {
		peer_send(peer, ANSWERS[i].call);
		peer_send(peer, "|");
		peer_expect(harness, peer, ANSWERS[i].answer);
		peer_expect(harness, peer, "|");
	}
}

static void test_description_of_service(void **state)
{
	struct harness *harness = *state;
	CLEANUP(fd_closep) int peer = peer_connect(harness);
	peer_send(peer, "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
			"\"parameters\":{\"interface\":\"org.varlink.service\"}}|");
	peer_expect(harness, peer, "{\"parameters\":{\"description\":\"#");
}

/* Whatever it asks, and reported once. */
static void test_permission_denied(void **state)
{
	static const char denied[] = "{\"error\":\"org.varlink.service.PermissionDenied\","
				     "\"parameters\":{}}|";
	struct harness *harness = *state;
	CLEANUP(fd_closep) int peer = peer_connect(harness);
	harness->allow = false;
	peer_send(
		peer,
		ECHO(1) "|" METHOD("Keep") "}|{\"method\":\"org.varlink.service.GetInfo\"}|" METHOD(
			"Echo") ",\"oneway\":true}|x");
	for (int i = 0; i < 3; i++)
		peer_expect(harness, peer, denied);
	peer_expect_closed(harness, peer);
	assert_int_equal(harness->n_kept + harness->n_echoed, 0);
	assert_int_equal(harness->n_reports, 2);
}

static void test_oneway_has_no_reply(void **state)
{
	struct harness *harness = *state;
	CLEANUP(fd_closep) int peer = peer_connect(harness);
	peer_send(
		peer,
		METHOD("Echo") ",\"oneway\":true}|" METHOD("Fail") ",\"oneway\":true}|" METHOD("Nothing") ",\"oneway\":true}|" METHOD(
			"Count") ",\"oneway\":true,\"parameters\":{\"to\":3}}|" METHOD("Keep") ",\"oneway\":true}|" ECHO(1) "|");
	/* Nor does one that goes on hold up the answers to later calls. */
	peer_expect(harness, peer, REPLY(1) "|");
	assert_int_equal(harness->n_kept, 1);
	varlink_call_reply(harness->kept[0].call, NULL);
	peer_expect_nothing(harness, peer);
	assert_int_equal(harness->n_echoed, 2);
}

static void test_more(void **state)
{
	struct harness *harness = *state;
	CLEANUP(fd_closep) int peer = peer_connect(harness);
	peer_send(peer, METHOD("Count") ",\"parameters\":{\"to\":3},\"more\":true}|");
	peer_expect(harness, peer,
		    "{\"parameters\":{\"n\":1},\"continues\":true}|"
		    "{\"parameters\":{\"n\":2},\"continues\":true}|" REPLY(3) "|");
	/* Without it, steps are dropped. */
	peer_send(peer, METHOD("Count") ",\"parameters\":{\"to\":3}}|");
	peer_expect(harness, peer, REPLY(3) "|");
}

/* Answered from last to first, with steps in between: sent in the order of the calls. */
static void test_out_of_order(void **state)
{
	struct harness *harness = *state;
	CLEANUP(fd_closep) int peer = peer_connect(harness);
	peer_send(peer, METHOD("Keep") "}|" METHOD("Keep") ",\"more\":true}|" METHOD(
				"Keep") "}|" ECHO(4) "|");
	RUN_UNTIL(harness, harness->n_kept == 3 && harness->n_echoed == 1);
	varlink_call_reply(harness->kept[2].call, json_pack("{s:i}", "n", 3));
	varlink_call_continue(harness->kept[1].call, json_pack("{s:i}", "n", 20));
	peer_expect_nothing(harness, peer);
	varlink_call_reply(harness->kept[0].call, json_pack("{s:i}", "n", 1));
	peer_expect(harness, peer, REPLY(1) "|{\"parameters\":{\"n\":20},\"continues\":true}|");
	peer_expect_nothing(harness, peer);
	varlink_call_continue(harness->kept[1].call, json_pack("{s:i}", "n", 21));
	peer_expect(harness, peer, "{\"parameters\":{\"n\":21},\"continues\":true}|");
	varlink_call_error(harness->kept[1].call, "Busy", NULL);
	peer_expect(harness, peer,
		    "{\"error\":\"org.example.test.Busy\",\"parameters\":{}}|" REPLY(3) "|" REPLY(
			    4) "|");
	peer_expect_nothing(harness, peer);
}

static void test_two_peers(void **state)
{
	struct harness *harness = *state;
	CLEANUP(fd_closep) int first = peer_connect(harness);
	CLEANUP(fd_closep) int second = peer_connect(harness);
	peer_send(first, METHOD("Keep") "}|");
	RUN_UNTIL(harness, harness->n_kept == 1);
	peer_send(second, ECHO(2) "|" METHOD("Keep") "}|");
	peer_expect(harness, second, REPLY(2) "|");
	second = fd_close(second);
	RUN_UNTIL(harness, harness->n_kept == 2 && harness->kept[1].cancelled);
	assert_false(harness->kept[0].cancelled);
	varlink_call_reply(harness->kept[0].call, NULL);
	peer_expect(harness, first, "{\"parameters\":{}}|");
}

/* `echo … | socat` closes its half at once: it still gets all its answers, and then the end. */
static void test_half_close(void **state)
{
	struct harness *harness = *state;
	CLEANUP(fd_closep) int peer = peer_connect(harness);
	peer_send(peer, METHOD("Keep") "}|" ECHO(2) "|");
	assert_int_equal(shutdown(peer, SHUT_WR), 0);
	RUN_UNTIL(harness, harness->n_kept == 1);
	peer_expect_nothing(harness, peer);
	assert_false(harness->kept[0].cancelled);
	varlink_call_reply(harness->kept[0].call, json_pack("{s:i}", "n", 1));
	peer_expect(harness, peer, REPLY(1) "|" REPLY(2) "|");
	peer_expect_closed(harness, peer);
	assert_int_equal(harness->n_reports, 0);
}

static void on_pause(EV_P_ ev_timer *watcher, int revents)
{
	(void)revents;
	*(bool *)watcher->data = true;
	ev_break(EV_A_ EVBREAK_ALL);
}

/* A half-closed peer that waits is readable for ever; the loop sleeps all the same. */
static void test_half_close_does_not_spin(void **state)
{
	struct harness *harness = *state;
	CLEANUP(fd_closep) int peer = peer_connect(harness);
	ev_timer pause;
	bool paused = false;

	peer_send(peer, METHOD("Keep") "}|");
	assert_int_equal(shutdown(peer, SHUT_WR), 0);
	RUN_UNTIL(harness, harness->n_kept == 1);
	run_dry(harness);
	unsigned int before = ev_iteration(harness->loop);
	ev_timer_init(&pause, on_pause, 0.05, 0.);
	pause.data = &paused;
	ev_timer_start(harness->loop, &pause);
	RUN_UNTIL(harness, paused);
	assert_in_range(ev_iteration(harness->loop) - before, 1, 3);
}

static void test_half_then_full_close(void **state)
{
	struct harness *harness = *state;
	int peer = peer_connect(harness);
	peer_send(peer, METHOD("Keep") "}|");
	assert_int_equal(shutdown(peer, SHUT_WR), 0);
	RUN_UNTIL(harness, harness->n_kept == 1);
	peer_expect_nothing(harness, peer);
	(void)fd_close(peer);
	RUN_UNTIL(harness, harness->kept[0].cancelled);
}

/* What was sent before the close is heard all the same. */
static void test_close_at_once(void **state)
{
	struct harness *harness = *state;
	int peer = peer_connect(harness);
	peer_send(peer, ECHO(1) "|" ECHO(2) "|" METHOD("Keep") "}|" ECHO(4) "|");
	(void)fd_close(peer);
	RUN_UNTIL(harness, harness->n_kept == 1 && harness->kept[0].cancelled);
	assert_int_equal(harness->n_echoed, 3);
	assert_int_equal(harness->n_reports, 0);
}

/* Many calls, more than one turn takes, and then gone. */
static void test_close_after_many(void **state)
{
	struct harness *harness = *state;
	int peer = peer_connect(harness);
	char calls[50 * sizeof(METHOD("Echo") ",\"oneway\":true}|")] = "";
	for (int i = 0; i < 50; i++)
		strcat(calls, METHOD("Echo") ",\"oneway\":true}|");
	for (int i = 0; i < 10; i++)
		peer_send(peer, calls);
	(void)fd_close(peer);
	RUN_UNTIL(harness, harness->n_echoed == 500);
}

/* The same, with answers that it does not take: writing them fails, and the rest is still heard. */
static void test_close_without_taking_answers(void **state)
{
	struct harness *harness = *state;
	int peer = peer_connect(harness);
	char calls[50 * sizeof(METHOD("Echo") "}|")] = "";
	for (int i = 0; i < 50; i++)
		strcat(calls, METHOD("Echo") "}|");
	for (int i = 0; i < 10; i++)
		peer_send(peer, calls);
	(void)fd_close(peer);
	RUN_UNTIL(harness, harness->n_echoed == 500);
	assert_int_equal(harness->n_reports, 0);
}

static const char *const BAD[] = {
	"|",
	"x",
	"[]|",
	"1|",
	"{}|",
	"{\"method\":1}|",
	"{]|",
	"{\"method\":\"a.B\"|",
	METHOD("Echo") ",\"method\":\"a.B\"}|",
	METHOD("Echo") ",\"extra\":1}|",
	METHOD("Echo") ",\"oneway\":true,\"more\":true}|",
	METHOD("Echo") ",\"parameters\":1}|",
	METHOD("Echo") ",\"more\":1}|",
	METHOD("Echo") "}x|",
	METHOD("Echo") "}{}|",
};

/* Each ends its connection and nothing else; what was asked before it is answered. */
static void test_bad_input(void **state)
{
	struct harness *harness = *state;
	CLEANUP(fd_closep) int bystander = peer_connect(harness);
	for (size_t i = 0; i < ARRAY_SIZE(BAD); i++) {
		CLEANUP(fd_closep) int peer = peer_connect(harness);
		peer_send(peer, ECHO(1) "|");
		peer_send(peer, BAD[i]);
		peer_send(peer, ECHO(2) "|");
		peer_expect(harness, peer, REPLY(1) "|");
		peer_expect_closed(harness, peer);
		assert_int_equal(harness->n_reports, i + 1);
		assert_memory_equal(harness->last_report, "cut off: no Varlink call: ", 26);
	}
	peer_send(bystander, ECHO(3) "|");
	peer_expect(harness, bystander, REPLY(3) "|");
}

static void test_bad_input_cancels(void **state)
{
	struct harness *harness = *state;
	CLEANUP(fd_closep) int peer = peer_connect(harness);
	peer_send(peer, METHOD("Keep") "}|" METHOD("Keep") "}|x");
	peer_expect_closed(harness, peer);
	assert_true(harness->kept[0].cancelled && harness->kept[1].cancelled);
}

/* Half a message and then the end is no call. */
static void test_half_a_message(void **state)
{
	struct harness *harness = *state;
	CLEANUP(fd_closep) int peer = peer_connect(harness);
	peer_send(peer, ECHO(1));
	assert_int_equal(shutdown(peer, SHUT_WR), 0);
	peer_expect_closed(harness, peer);
	assert_int_equal(harness->n_echoed, 0);
}

static void answer_another(void *data)
{
	struct harness *harness = data;
	harness->n_cancelled++;
	varlink_call_reply(harness->kept[1].call, NULL);
}

/* While its calls are cancelled, one of them is answered by who hears of another. */
static void test_answer_while_cancelled(void **state)
{
	struct harness *harness = *state;
	int peer = peer_connect(harness);
	peer_send(peer, METHOD("Keep") "}|" METHOD("Keep") "}|" METHOD("Keep") "}|");
	RUN_UNTIL(harness, harness->n_kept == 3);
	varlink_call_keep(harness->kept[0].call, answer_another, harness);
	(void)fd_close(peer);
	RUN_UNTIL(harness, harness->kept[2].cancelled);
	assert_int_equal(harness->n_cancelled, 1);
	assert_false(harness->kept[1].cancelled);
}

static void test_free_cancels(void **state)
{
	struct harness *harness = *state;
	CLEANUP(fd_closep) int peer = peer_connect(harness);
	peer_send(peer, METHOD("Keep") "}|");
	RUN_UNTIL(harness, harness->n_kept == 1);
	varlink_service_free(TAKE_PTR(harness->service));
	assert_true(harness->kept[0].cancelled);
	peer_expect_closed(harness, peer);
}

/* The last answers before an exit: without the loop, and as long as the peer takes them. */
static void test_flush(void **state)
{
	struct harness *harness = *state;
	CLEANUP(fd_closep) int peer = peer_connect(harness);
	CLEANUP(fd_closep) int other = peer_connect(harness);
	peer_send(peer, METHOD("Keep") "}|");
	peer_send(other, METHOD("Keep") "}|");
	RUN_UNTIL(harness, harness->n_kept == 2);
	varlink_call_reply(harness->kept[0].call, NULL);
	varlink_call_reply(harness->kept[1].call, NULL);
	varlink_service_flush(harness->service, 1000);
	varlink_service_free(TAKE_PTR(harness->service));
	peer_expect(harness, peer, "{\"parameters\":{}}|");
	peer_expect(harness, other, "{\"parameters\":{}}|");
	peer_expect_closed(harness, peer);
}

static void test_flush_gives_up(void **state)
{
	struct harness *harness = *state;
	CLEANUP(fd_closep) int peer = peer_connect(harness);
	peer_send(peer, METHOD("Large") ",\"parameters\":{\"bytes\":1000000}}|");
	peer_expect(harness, peer, "{");
	varlink_service_flush(harness->service, 10);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, harness_setup, harness_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_call),
		TEST(test_newlines),
		TEST(test_byte_by_byte),
		TEST(test_answers),
		TEST(test_description_of_service),
		TEST(test_permission_denied),
		TEST(test_oneway_has_no_reply),
		TEST(test_more),
		TEST(test_out_of_order),
		TEST(test_two_peers),
		TEST(test_half_close),
		TEST(test_half_close_does_not_spin),
		TEST(test_half_then_full_close),
		TEST(test_close_at_once),
		TEST(test_close_after_many),
		TEST(test_close_without_taking_answers),
		TEST(test_bad_input),
		TEST(test_bad_input_cancels),
		TEST(test_half_a_message),
		TEST(test_answer_while_cancelled),
		TEST(test_free_cancels),
		TEST(test_flush),
		TEST(test_flush_gives_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
