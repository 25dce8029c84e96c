/* What supervisor and worker say to each other, there and back, and each way of saying it wrong. */
#include "proto/worker_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "proto/limits.h"

#define METHOD(name) "{\"method\":\"io.handover.Worker." name "\""

static const struct message_case {
	struct worker_message message;
	const char *json;
} MESSAGES[] = {
	{ { .type = WORKER_MESSAGE_READY }, METHOD("Ready") ",\"parameters\":{}}" },
	{ { .type = WORKER_MESSAGE_STATUS, .status = "fine" },
	  METHOD("Status") ",\"parameters\":{\"status\":\"fine\"}}" },
	{ { .type = WORKER_MESSAGE_DRAINING, .open = 17 },
	  METHOD("Draining") ",\"parameters\":{\"open\":17}}" },
	{ { .type = WORKER_MESSAGE_WATCHDOG }, METHOD("Watchdog") ",\"parameters\":{}}" },
	{ { .type = WORKER_MESSAGE_SERVE }, METHOD("Serve") ",\"parameters\":{}}" },
	{ { .type = WORKER_MESSAGE_DRAIN, .deadline_usec = 1234567890123 },
	  METHOD("Drain") ",\"parameters\":{\"deadline_usec\":1234567890123}}" },
	{ { .type = WORKER_MESSAGE_DRAIN, .deadline_usec = UINT64_MAX },
	  METHOD("Drain") ",\"parameters\":{}}" },
	{ { .type = WORKER_MESSAGE_RESUME }, METHOD("Resume") ",\"parameters\":{}}" },
};

static void test_round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(MESSAGES); i++) {
		const struct worker_message *message = &MESSAGES[i].message;
		struct worker_message decoded;
		json_auto_t *json = worker_message_encode(message);
		char *text = json_dumps(json, JSON_COMPACT);
		assert_string_equal(text, MESSAGES[i].json);
		free(text);

		assert_int_equal(worker_message_decode(json, &decoded, NULL), 0);
		assert_int_equal(decoded.type, message->type);
		assert_int_equal(decoded.open, message->open);
		assert_int_equal(decoded.deadline_usec, message->deadline_usec);
		if (message->status)
			assert_string_equal(decoded.status, message->status);
	}
}

static const struct decode_case {
	const char *json;
	int result;
} DECODES[] = {
	{ METHOD("Ready") "}", 0 },
	{ METHOD("Ready") ",\"parameters\":null}", 0 },
	{ METHOD("Ready") ",\"oneway\":true}", 0 },
	{ METHOD("Ready") ",\"parameters\":{\"later\":1}}", 0 },
	{ METHOD("Drain") ",\"parameters\":{\"deadline_usec\":null}}", 0 },
	{ METHOD("Status") ",\"parameters\":{\"status\":\"\"}}", 0 },
	{ METHOD("Unheard") "}", -EOPNOTSUPP },
	{ METHOD("Read") "}", -EOPNOTSUPP },
	{ "{\"method\":\"Ready\"}", -EOPNOTSUPP },
	{ METHOD("Ready") ",\"more\":true}", -EBADMSG },
	{ METHOD("Ready") ",\"upgrade\":true}", -EBADMSG },
	{ METHOD("Ready") ",\"extra\":1}", -EBADMSG },
	{ METHOD("Ready") ",\"parameters\":[]}", -EBADMSG },
	{ METHOD("Status") "}", -EBADMSG },
	{ METHOD("Status") ",\"parameters\":{\"status\":1}}", -EBADMSG },
	{ METHOD("Draining") "}", -EBADMSG },
	{ METHOD("Draining") ",\"parameters\":{\"open\":-1}}", -EBADMSG },
	{ METHOD("Draining") ",\"parameters\":{\"open\":1.5}}", -EBADMSG },
	{ METHOD("Drain") ",\"parameters\":{\"deadline_usec\":-1}}", -EBADMSG },
	{ METHOD("Drain") ",\"parameters\":{\"deadline_usec\":\"soon\"}}", -EBADMSG },
	{ "{}", -EBADMSG },
};

static void test_decode(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(DECODES); i++) {
		struct worker_message decoded;
		struct error error = { "" };
		json_auto_t *json = json_loads(DECODES[i].json, 0, NULL);
		int r = worker_message_decode(json, &decoded, &error);
		if (r != DECODES[i].result)
			fail_msg("%s: %d, \"%s\"", DECODES[i].json, r, error.text);
		assert_int_equal(error.text[0] != '\0', r < 0);
	}
}

/* What does not fit is cut between characters; what is no UTF-8 is replaced. */
static void test_status_is_made_to_fit(void **state)
{
	char status[WORKER_STATUS_MAX_BYTES + 8];
	struct worker_message message = { .type = WORKER_MESSAGE_STATUS, .status = status };
	struct worker_message decoded;

	(void)state;
	memset(status, 'a', sizeof(status));
	memcpy(status + WORKER_STATUS_MAX_BYTES - 1, "\xc3\xa4", 3);
	status[0] = '\xff';
	json_auto_t *json = worker_message_encode(&message);
	assert_int_equal(worker_message_decode(json, &decoded, NULL), 0);
	assert_memory_equal(decoded.status,
			    "\xef\xbf\xbd"
			    "aaa",
			    6);
	assert_int_equal(strlen(decoded.status), WORKER_STATUS_MAX_BYTES - 1 + 2);
}

static int allocations_left;

static void *failing_malloc(size_t n_bytes)
{
	if (allocations_left == 0)
		return NULL;
	allocations_left--;
	return malloc(n_bytes);
}

static void test_allocation_failures(void **state)
{
	(void)state;
	json_set_alloc_funcs(failing_malloc, free);
	for (size_t i = 0; i < ARRAY_SIZE(MESSAGES); i++) {
		json_t *json = NULL;
		int n = 0;
		while (!json && n < 100) {
			allocations_left = n++;
			json = worker_message_encode(&MESSAGES[i].message);
		}
		assert_non_null(json);
		assert_true(n > 3);
		json_decref(json);
	}
	json_set_alloc_funcs(malloc, free);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_status_is_made_to_fit),
		cmocka_unit_test(test_allocation_failures),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
