/* Requests as handover-httpd reads them: each in one piece, byte by byte, and cut at every place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base.h"
#include "worker/httpd_request.h"

#define HOST "Host: x\r\n"

static const struct expectation {
	const char *bytes;
	unsigned int refusal; /* 0: complete */
	bool keeps_alive, is_head;
} REQUESTS[] = {
	{ "GET / HTTP/1.1\r\n" HOST "\r\n", 0, true, false },
	{ "\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", 0, true, false },
	{ "GET / HTTP/1.1\r\nhOST:x\r\n\r\n", 0, true, false },
	{ "GET / HTTP/1.1\r\nHost:\r\n\r\n", 0, true, false },
	{ "GET http://x/y HTTP/1.1\r\n" HOST "\r\n", 0, true, false },
	{ "HEAD / HTTP/1.1\r\n" HOST "\r\n", 0, true, true },
	{ "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", 0, false, false },
	{ "GET / HTTP/1.1\r\n" HOST "Connection: x, Close\r\n\r\n", 0, false, false },
	{ "GET / HTTP/1.0\r\n\r\n", 0, false, false },
	{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 0, true, false },
	{ "GET / HTTP/1.0\r\nExpect: nonsense\r\n\r\n", 0, false, false },
	{ "GET / HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 0, true, false },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", 0, true, false },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", 0, true, false },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n",
	  0, true, false },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n\r\n", 0,
	  true, false },
	{ "POST / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\na", 0, true,
	  false },

	{ "GET / HTTP/1.1\r\n\r\n", 400, false, false },
	{ "GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400, false, false },
	{ "GET / HTTP/1.1\r\nHosts: x\r\nHos: x\r\n\r\n", 400, false, false },
	{ "GET / HTTP/1.1\r\n" HOST "Bad Name: x\r\n\r\n", 400, false, false },
	{ "GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400, false, false },
	{ "GET / HTTP/x.1\r\n" HOST "\r\n", 400, false, false },
	{ "GET / FTP/1.1\r\n" HOST "\r\n", 400, false, false },
	{ "GET \x01 HTTP/1.1\r\n" HOST "\r\n", 400, false, false },
	{ "\x16\x03\x01\x02", 400, false, false },
	{ "{\"method\"", 400, false, false },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: x\r\n\r\n", 400, false, false },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, false,
	  false },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
	  false, false },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nx\r\n", 400, false, false },
	{ "DELETE / HTTP/1.1\r\n" HOST "\r\n", 405, false, false },
	{ "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 405, false, false },
	{ "CONNECT x:1 HTTP/1.1\r\n" HOST "\r\n", 405, false, false },
	{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 1048577\r\n\r\n", 413, false, false },
	{ "POST / HTTP/1.1\r\n" HOST "Expect: miracles\r\n\r\n", 417, false, false },
	{ "POST / HTTP/1.1\r\n" HOST "Expect: 100-continued\r\n\r\n", 417, false, false },
	{ "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, false, false },
	{ "BREW / HTTP/1.1\r\n" HOST "\r\n", 501, false, false },
	{ "get / HTTP/1.1\r\n" HOST "\r\n", 501, false, false },
	{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 501, false, false },
	{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n", 501, false, false },
	{ "GET / HTTP/2.0\r\n" HOST "\r\n", 505, false, false },
	{ "GET / HTTP/0.9\r\n" HOST "\r\n", 505, false, false },
};

/* Feeds pieces of @bytes, the first one @first long, the others @step. */
static enum request_event feed(struct request *request, const char *bytes, size_t first,
			       size_t step, size_t *ret_used)
{
	size_t length = strlen(bytes), offset = 0, piece = first;
	enum request_event event = REQUEST_MORE;
	while (offset < length && event == REQUEST_MORE) {
		size_t used, rest = length - offset;
		if (piece > rest)
			piece = rest;
		event = request_feed(request, bytes + offset, piece, &used);
		assert_true(used <= piece);
		assert_true(event != REQUEST_MORE || used == piece);
		offset += used;
		piece = step;
	}
	*ret_used = offset;
	return event;
}

static void check(const struct expectation *expected, size_t first, size_t step)
{
	struct request request;
	request_init(&request);
	assert_false(request.is_begun);
	size_t used;
	enum request_event event = feed(&request, expected->bytes, first, step, &used);
	if (expected->refusal) {
		assert_int_equal(event, REQUEST_REFUSED);
		assert_int_equal(request.refusal, expected->refusal);
		return;
	}
	assert_int_equal(event, REQUEST_COMPLETE);
	assert_int_equal(used, strlen(expected->bytes));
	assert_int_equal(request.keeps_alive, expected->keeps_alive);
	assert_int_equal(request_is_head(&request), expected->is_head);
	assert_int_equal(request_is_chunked(&request), strstr(expected->bytes, "chunked") != NULL);
}

static void test_every_request_cut_everywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(REQUESTS); i++) {
		size_t length = strlen(REQUESTS[i].bytes);
		for (size_t first = 1; first <= length; first++)
			check(&REQUESTS[i], first, length);
		check(&REQUESTS[i], 1, 1);
	}
}

static void test_pipelining(void **state)
{
	(void)state;
	static const char BYTES[] = "GET /a HTTP/1.1\r\n" HOST "\r\n"
				    "POST /b HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nxy"
				    "HEAD /c HTTP/1.1\r\n" HOST "\r\n";
	static const char *const PATHS[] = { "/a", "/b", "/c" };
	for (size_t step = 1; step < sizeof(BYTES); step++) {
		struct request request;
		request_init(&request);
		size_t offset = 0, used;
		for (size_t i = 0; i < ARRAY_SIZE(PATHS); i++) {
			assert_int_equal(feed(&request, BYTES + offset, step, step, &used),
					 REQUEST_COMPLETE);
			offset += used;
			assert_true(request_has_path(&request, PATHS[i]));
			assert_int_equal(request_is_head(&request), i == 2);
			request_next(&request);
			assert_false(request.is_begun);
			assert_false(request_is_head(&request));
		}
		assert_int_equal(offset, sizeof(BYTES) - 1);
	}
}

static void test_continue_is_awaited_until_the_body_comes(void **state)
{
	(void)state;
	struct request request;
	request_init(&request);
	size_t used;
	assert_int_equal(feed(&request,
			      "POST / HTTP/1.1\r\n" HOST
			      "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n",
			      1, 1, &used),
			 REQUEST_MORE);
	assert_true(request.awaits_continue);
	assert_int_equal(request_feed(&request, "x", 1, &used), REQUEST_MORE);
	assert_false(request.awaits_continue);
	assert_int_equal(request_feed(&request, "y", 1, &used), REQUEST_COMPLETE);
}

static unsigned int refusal_of_long(const char *before, char fill, size_t count, const char *after)
{
	struct request request;
	request_init(&request);
	size_t used;
	char piece[1000];
	memset(piece, fill, sizeof(piece));
	enum request_event event = request_feed(&request, before, strlen(before), &used);
	while (event == REQUEST_MORE && count > 0) {
		size_t length = count < sizeof(piece) ? count : sizeof(piece);
		event = request_feed(&request, piece, length, &used);
		count -= length;
	}
	if (event == REQUEST_MORE)
		event = request_feed(&request, after, strlen(after), &used);
	assert_true(event != REQUEST_MORE);
	return event == REQUEST_REFUSED ? request.refusal : 200;
}

static unsigned int refusal_of_padded_chunks(const char *before)
{
	struct request request;
	request_init(&request);
	size_t used;
	enum request_event event = request_feed(&request, before, strlen(before), &used);
	char piece[1000];
	memset(piece, 'a', sizeof(piece));
	memcpy(piece, "1;", 2);
	memcpy(piece + sizeof(piece) - 5, "\r\nx\r\n", 5);
	size_t sent = 0;
	for (; event == REQUEST_MORE; sent += used)
		event = request_feed(&request, piece, sizeof(piece), &used);
	assert_in_range(sent, HTTPD_BODY_WIRE_MAX_BYTES, HTTPD_BODY_WIRE_MAX_BYTES + 1000);
	return request.refusal;
}

static void test_limits(void **state)
{
	(void)state;
	request_set_limits();
	static const char END[] = " HTTP/1.1\r\n" HOST "\r\n";
	assert_int_equal(refusal_of_long("GET /", 'a', HTTPD_TARGET_MAX_BYTES - 1, END), 200);
	assert_int_equal(refusal_of_long("GET /", 'a', HTTPD_TARGET_MAX_BYTES, END), 414);

	static const char FIELD[] = "GET / HTTP/1.1\r\n" HOST "A: ";
	size_t room = HTTPD_HEAD_MAX_BYTES - sizeof(FIELD) - 4;
	assert_int_equal(refusal_of_long(FIELD, 'a', room, "\r\n\r\n"), 200);
	assert_int_equal(refusal_of_long(FIELD, 'a', HTTPD_HEAD_MAX_BYTES, "\r\n\r\n"), 431);
	assert_int_equal(refusal_of_long("", '\n', (size_t)HTTPD_HEAD_MAX_BYTES * 2, END), 431);

	static const char CHUNKED[] = "POST / HTTP/1.1\r\n" HOST
				      "Transfer-Encoding: chunked\r\n\r\n";
	char chunk[200];
	(void)snprintf(chunk, sizeof(chunk), "%s%x\r\n", CHUNKED, HTTPD_BODY_MAX_BYTES);
	assert_int_equal(refusal_of_long(chunk, 'a', HTTPD_BODY_MAX_BYTES, "\r\n0\r\n\r\n"), 200);
	(void)snprintf(chunk, sizeof(chunk), "%s%x\r\n", CHUNKED, HTTPD_BODY_MAX_BYTES + 1);
	assert_int_equal(refusal_of_long(chunk, 'a', HTTPD_BODY_MAX_BYTES + 1, "\r\n0\r\n\r\n"),
			 413);
	/* An extension of a chunk that never ends, and chunks that are nearly nothing else. */
	(void)snprintf(chunk, sizeof(chunk), "%s1;", CHUNKED);
	assert_int_equal(refusal_of_long(chunk, 'a', HTTPD_HEAD_MAX_BYTES + 1, ""), 431);
	assert_int_equal(refusal_of_padded_chunks(CHUNKED), 413);
}

static const struct {
	const char *target;
	bool is_status; /* of --status-path /status */
	unsigned long delay_ms;
} TARGETS[] = {
	{ "/status", true, 0 },
	{ "/status?x", true, 0 },
	{ "/statuses", false, 0 },
	{ "/statu", false, 0 },
	{ "/x/status", false, 0 },
	{ "http://host:80/status", true, 0 },
	{ "http://host", false, 0 },
	{ "/?delay_ms=250", false, 250 },
	{ "/?a=b&delay_ms=7&c", false, 7 },
	{ "/?delay_ms=", false, 0 },
	{ "/?undelay_ms=5", false, 0 },
	{ "/?delay_ms=99999999999999999999999", false, HTTPD_DELAY_MAX_MS },
};

static void test_targets(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(TARGETS); i++) {
		char bytes[256];
		(void)snprintf(bytes, sizeof(bytes), "GET %s HTTP/1.1\r\n" HOST "\r\n",
			       TARGETS[i].target);
		struct request request;
		request_init(&request);
		size_t used;
		assert_int_equal(feed(&request, bytes, 1, 1, &used), REQUEST_COMPLETE);
		assert_int_equal(request_has_path(&request, "/status"), TARGETS[i].is_status);
		assert_int_equal(request_delay_ms(&request), TARGETS[i].delay_ms);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_request_cut_everywhere),
		cmocka_unit_test(test_pipelining),
		cmocka_unit_test(test_continue_is_awaited_until_the_body_comes),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_targets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
