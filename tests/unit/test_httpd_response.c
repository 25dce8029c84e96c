/* Answers as they go over the wire. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "worker/httpd_response.h"

static const time_t THEN = 784111777; /* the example of RFC 9110, 5.6.7 */

static const struct response_content CONTENT = {
	.status = 200,
	.type = "text/plain",
	.extra_fields = "X-Generation: 4\r\n",
	.body = "hello\n",
	.body_bytes = 6,
};

static const char *const FIELDS[RESPONSE_CONNECTIONS] = {
	[RESPONSE_KEEPS_OPEN] = "",
	[RESPONSE_KEEPS_OPEN_HTTP10] = "Connection: keep-alive\r\n",
	[RESPONSE_CLOSES] = "Connection: close\r\n",
};

static void check(const struct response *response, const char *date, const char *connection)
{
	char expected[512];
	int head = snprintf(expected, sizeof(expected),
			    "HTTP/1.1 200 OK\r\nDate: %s\r\nServer: handover-httpd/%s\r\n"
			    "Content-Type: text/plain\r\nContent-Length: 6\r\n"
			    "X-Generation: 4\r\n%s\r\n",
			    date, HANDOVER_VERSION, connection);
	assert_int_equal(response->head_bytes, head);
	(void)strcat(expected, "hello\n");
	assert_int_equal(response->bytes_total, strlen(expected));
	assert_memory_equal(response->bytes, expected, strlen(expected));
}

static void test_forms_and_dates(void **state)
{
	(void)state;
	static const struct {
		time_t now;
		const char *date;
	} DATES[] = {
		{ THEN, "Sun, 06 Nov 1994 08:49:37 GMT" },
		{ THEN + 1, "Sun, 06 Nov 1994 08:49:38 GMT" },
		{ 0, "Thu, 01 Jan 1970 00:00:00 GMT" }, /* the clock may be set back */
		{ 1709251199, "Thu, 29 Feb 2024 23:59:59 GMT" },
	};
	struct response_set set;
	assert_int_equal(response_set_init(&set, &CONTENT, THEN), 0);
	for (size_t i = 0; i < ARRAY_SIZE(DATES); i++) {
		for (enum response_connection form = 0; form < RESPONSE_CONNECTIONS; form++)
			check(response_set_get(&set, form, DATES[i].now), DATES[i].date,
			      FIELDS[form]);
	}
	response_set_finish(&set);
}

static void test_refusals(void **state)
{
	(void)state;
	static const unsigned int STATUSES[] = { 400, 405, 408, 413, 414, 417, 431, 501, 505 };
	for (size_t i = 0; i < ARRAY_SIZE(STATUSES); i++) {
		struct response response;
		assert_int_equal(
			response_init_refusal(&response, STATUSES[i], CONTENT.extra_fields, THEN),
			0);
		char first[16];
		(void)snprintf(first, sizeof(first), "HTTP/1.1 %u ", STATUSES[i]);
		assert_memory_equal(response.bytes, first, strlen(first));
		assert_non_null(memmem(response.bytes, response.head_bytes,
				       "\r\nConnection: close\r\n", 21));
		assert_non_null(
			memmem(response.bytes, response.head_bytes, "\r\nX-Generation: 4\r\n", 19));
		bool allows = memmem(response.bytes, response.head_bytes,
				     "\r\nAllow: GET, HEAD, POST\r\n", 26) != NULL;
		assert_int_equal(allows, STATUSES[i] == 405);
		response_finish(&response);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms_and_dates),
		cmocka_unit_test(test_refusals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
