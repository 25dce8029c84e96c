/* Every answer of the table is fed whole, cut in two at every place, and byte by byte: the verdict
 * must be the same each time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "proto/base.h"
#include "tests/load/load_response.h"

enum verdict {
	COMPLETE, /* by itself */
	COMPLETE_AT_EOF,
	CUT_OFF, /* neither broken nor complete, even at EOF */
	BROKEN,
};

struct row {
	const char *bytes;
	enum verdict verdict;
	int status;
	size_t surplus_bytes;
	bool keeps_alive;
	bool has_wanted_body;
};

static const struct response_wanted wanted = { .body = "hello",
					       .length_bytes = 5,
					       .generation_header = "X-Generation" };

#define OK_LINE	 "HTTP/1.1 200 OK\r\n"
#define LENGTH_5 "Content-Length: 5\r\n"
#define CHUNKED	 OK_LINE "Transfer-Encoding: chunked\r\n\r\n"

static const struct row rows[] = {
	/* by length */
	{ OK_LINE LENGTH_5 "\r\nhello", COMPLETE, 200, 0, true, true },
	{ OK_LINE LENGTH_5 "\r\nhellohe", COMPLETE, 200, 2, true, true },
	{ OK_LINE LENGTH_5 "\r\nhelLo", COMPLETE, 200, 0, true, false },
	{ OK_LINE "Content-Length: 4\r\n\r\nhell", COMPLETE, 200, 0, true, false },
	{ OK_LINE "Content-Length: 6\r\n\r\nhello!", COMPLETE, 200, 0, true, false },
	{ OK_LINE "Content-Length: 0\r\n\r\n", COMPLETE, 200, 0, true, false },
	{ OK_LINE "content-LENGTH:5\r\n\r\nhello", COMPLETE, 200, 0, true, true },
	{ OK_LINE "Content-Length:\t 5 \t\r\n\r\nhello", COMPLETE, 200, 0, true, true },
	{ "HTTP/1.1 200 \r\n" LENGTH_5 "\r\nhello", COMPLETE, 200, 0, true, true },
	{ "HTTP/1.1 503 Not Now\r\n" LENGTH_5 "\r\nhello", COMPLETE, 503, 0, true, true },
	{ "HTTP/1.1 204 No\r\n\r\n", COMPLETE, 204, 0, true, false },
	{ "HTTP/1.1 304 No\r\n" LENGTH_5 "\r\n", COMPLETE, 304, 0, true, false },
	/* who closes */
	{ OK_LINE LENGTH_5 "Connection: close\r\n\r\nhello", COMPLETE, 200, 0, false, true },
	{ OK_LINE LENGTH_5 "connection: Upgrade ,CLOSE\r\n\r\nhello", COMPLETE, 200, 0, false,
	  true },
	{ OK_LINE LENGTH_5 "Connection: closed\r\n\r\nhello", COMPLETE, 200, 0, true, true },
	{ OK_LINE LENGTH_5 "Connection: keep-alive\r\n\r\nhello", COMPLETE, 200, 0, true, true },
	{ "HTTP/1.0 200 OK\r\n" LENGTH_5 "\r\nhello", COMPLETE, 200, 0, false, true },
	{ "HTTP/1.0 200 OK\r\n" LENGTH_5 "Connection: keep-alive\r\n\r\nhello", COMPLETE, 200, 0,
	  true, true },
	/* by chunks */
	{ CHUNKED "5\r\nhello\r\n0\r\n\r\n", COMPLETE, 200, 0, true, true },
	{ CHUNKED "1;name=x\r\nh\r\n0004\r\nello\r\n0\r\nTrailer: 1\r\n\r\n", COMPLETE, 200, 0,
	  true, true },
	{ CHUNKED "5\r\nhello\r\n0\r\n\r\nx", COMPLETE, 200, 1, true, true },
	{ CHUNKED "0\r\n\r\n", COMPLETE, 200, 0, true, false },
	{ CHUNKED "A\r\n0123456789\r\n0\r\n\r\n", COMPLETE, 200, 0, true, false },
	{ CHUNKED "0\r\nContent-Length: 9\r\n\r\n", COMPLETE, 200, 0, true, false },
	/* until EOF */
	{ OK_LINE "\r\nhello", COMPLETE_AT_EOF, 200, 0, false, true },
	{ OK_LINE "\r\n", COMPLETE_AT_EOF, 200, 0, false, false },
	{ OK_LINE "\r\nhello and more", COMPLETE_AT_EOF, 200, 0, false, false },
	/* interim answers */
	{ "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" OK_LINE LENGTH_5 "\r\nhello", COMPLETE, 200, 0,
	  true, true },
	{ "HTTP/1.1 100 C\r\nConnection: close\r\n\r\n" OK_LINE LENGTH_5 "\r\nhello", COMPLETE, 200,
	  0, true, true },
	{ "HTTP/1.1 100 Continue\r\n\r\n", CUT_OFF, 0, 0, false, false },
	/* cut off */
	{ "H", CUT_OFF, 0, 0, false, false },
	{ OK_LINE, CUT_OFF, 200, 0, false, false },
	{ OK_LINE LENGTH_5, CUT_OFF, 200, 0, false, false },
	{ OK_LINE LENGTH_5 "\r\nhell", CUT_OFF, 200, 0, false, false },
	{ CHUNKED "5\r\nhello\r\n", CUT_OFF, 200, 0, false, false },
	{ CHUNKED "5\r\nhello\r\n0\r\n", CUT_OFF, 200, 0, false, false },
	/* broken status lines */
	{ "HTTP/1.1 200 OK\n", BROKEN, 0, 0, false, false },
	{ "\r\n" OK_LINE LENGTH_5 "\r\nhello", BROKEN, 0, 0, false, false },
	{ "HTTP/1.1 200\r\n\r\n", BROKEN, 0, 0, false, false },
	{ "HTTP/1.1 2OO OK\r\n\r\n", BROKEN, 0, 0, false, false },
	{ "HTTP/1.1 20 OK\r\n\r\n", BROKEN, 0, 0, false, false },
	{ "HTTP/1.1 2000 OK\r\n\r\n", BROKEN, 0, 0, false, false },
	{ "HTTP/1.1 099 OK\r\n\r\n", BROKEN, 0, 0, false, false },
	{ "HTTP/1.1 600 OK\r\n\r\n", BROKEN, 0, 0, false, false },
	{ "HTTP/1.1 101 Switch\r\n\r\n", BROKEN, 0, 0, false, false },
	{ "HTTP/1.1  200 OK\r\n\r\n", BROKEN, 0, 0, false, false },
	{ "HTTP/1.2 200 OK\r\n\r\n", BROKEN, 0, 0, false, false },
	{ "HTTP/2.0 200 OK\r\n\r\n", BROKEN, 0, 0, false, false },
	{ "http/1.1 200 OK\r\n\r\n", BROKEN, 0, 0, false, false },
	{ "HTTP/1.1 200 O\x01K\r\n\r\n", BROKEN, 0, 0, false, false },
	/* broken headers */
	{ OK_LINE "No colon\r\n\r\n", BROKEN, 0, 0, false, false },
	{ OK_LINE ": no name\r\n\r\n", BROKEN, 0, 0, false, false },
	{ OK_LINE "Blank : x\r\n\r\n", BROKEN, 0, 0, false, false },
	{ OK_LINE "A: b\r\n folded\r\n\r\n", BROKEN, 0, 0, false, false },
	{ OK_LINE "A: b\n\r\n", BROKEN, 0, 0, false, false },
	{ OK_LINE "A: b\rc\r\n\r\n", BROKEN, 0, 0, false, false },
	{ OK_LINE LENGTH_5 LENGTH_5 "\r\nhello", BROKEN, 0, 0, false, false },
	{ OK_LINE "Content-Length: +5\r\n\r\nhello", BROKEN, 0, 0, false, false },
	{ OK_LINE "Content-Length: -5\r\n\r\nhello", BROKEN, 0, 0, false, false },
	{ OK_LINE "Content-Length: 5, 5\r\n\r\nhello", BROKEN, 0, 0, false, false },
	{ OK_LINE "Content-Length: 0x5\r\n\r\nhello", BROKEN, 0, 0, false, false },
	{ OK_LINE "Content-Length: \r\n\r\n", BROKEN, 0, 0, false, false },
	{ OK_LINE "Content-Length: 18446744073709551621\r\n\r\nhello", BROKEN, 0, 0, false, false },
	{ OK_LINE "Transfer-Encoding: gzip\r\n\r\n", BROKEN, 0, 0, false, false },
	{ OK_LINE LENGTH_5 "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BROKEN, 0, 0, false,
	  false },
	{ "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BROKEN, 0, 0, false,
	  false },
	{ "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BROKEN, 0, 0, false,
	  false },
	{ "HTTP/1.1 103 Early\r\n" LENGTH_5 "\r\nhello", BROKEN, 0, 0, false, false },
	/* broken chunks */
	{ CHUNKED "\r\n", BROKEN, 0, 0, false, false },
	{ CHUNKED "g\r\n", BROKEN, 0, 0, false, false },
	{ CHUNKED "5 \r\nhello\r\n", BROKEN, 0, 0, false, false },
	{ CHUNKED "5\nhello\r\n", BROKEN, 0, 0, false, false },
	{ CHUNKED "5\r\nhello!\r\n", BROKEN, 0, 0, false, false },
	{ CHUNKED "5\r\nhello\n0\r\n\r\n", BROKEN, 0, 0, false, false },
	{ CHUNKED "1000000000000000\r\n", BROKEN, 0, 0, false, false },
	{ CHUNKED "0\r\nno colon\r\n\r\n", BROKEN, 0, 0, false, false },
};

/* Feeds pieces of @step bytes, after a first one of @first, as a connection would bring them. */
static enum verdict feed(struct response *response, const char *bytes, size_t size, size_t first,
			 size_t step, size_t *ret_surplus_bytes)
{
	size_t at = 0, piece = first;

	response_begin(response, &wanted);
	while (at < size) {
		if (piece > size - at)
			piece = size - at;
		ssize_t n = response_feed(response, bytes + at, piece);
		if (n < 0)
			return BROKEN;
		at += (size_t)n;
		if (response->state == RESPONSE_COMPLETE)
			break;
		assert_int_equal(n, piece);
		piece = step;
	}
	*ret_surplus_bytes = size - at;
	if (response->state == RESPONSE_COMPLETE) {
		assert_int_equal(response_end(response), 0);
		return COMPLETE;
	}
	return response_end(response) == 0 ? COMPLETE_AT_EOF : CUT_OFF;
}

static void check(const struct row *row, size_t first, size_t step)
{
	static struct response response;
	size_t surplus_bytes = 0;
	enum verdict verdict = feed(&response, row->bytes, strlen(row->bytes), first, step,
				    &surplus_bytes);

	if (verdict != row->verdict)
		fail_msg("verdict %d, not %d, cut after %zu, then every %zu: %s", verdict,
			 row->verdict, first, step, row->bytes);
	if (verdict == BROKEN)
		return;
	assert_int_equal(response.status, row->status);
	assert_int_equal(surplus_bytes, row->surplus_bytes);
	if (verdict == CUT_OFF)
		return;
	assert_int_equal(response_keeps_alive(&response), row->keeps_alive);
	assert_int_equal(response_has_wanted_body(&response), row->has_wanted_body);
}

static void test_every_answer_at_every_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t size = strlen(rows[i].bytes);
		for (size_t first = 1; first <= size; first++)
			check(&rows[i], first, size);
		for (size_t step = 1; step < 8; step++)
			check(&rows[i], step, step);
	}
}

/* A whole answer that is cut anywhere is cut off, never complete and never broken. */
static void test_every_prefix_is_cut_off(void **state)
{
	static const char *const whole[] = {
		OK_LINE LENGTH_5 "Connection: close\r\n\r\nhello",
		CHUNKED "1;a=b\r\nh\r\n4\r\nello\r\n0\r\nTrailer: 1\r\n\r\n",
		"HTTP/1.1 100 C\r\n\r\n" OK_LINE LENGTH_5 "\r\nhello",
	};
	static struct response response;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(whole); i++) {
		size_t size = strlen(whole[i]), surplus_bytes;
		for (size_t end = 0; end < size; end++)
			assert_int_equal(feed(&response, whole[i], end, end, end, &surplus_bytes),
					 CUT_OFF);
		assert_int_equal(feed(&response, whole[i], size, size, size, &surplus_bytes),
				 COMPLETE);
	}
}

static void test_a_nul_byte_is_broken(void **state)
{
	static const char head[] = OK_LINE "A: b\0c\r\n\r\n", line[] = "HTTP/1.1 200 O\0K\r\n";
	static struct response response;
	size_t surplus_bytes;

	(void)state;
	assert_int_equal(feed(&response, head, sizeof(head) - 1, 99, 99, &surplus_bytes), BROKEN);
	assert_int_equal(feed(&response, line, sizeof(line) - 1, 99, 99, &surplus_bytes), BROKEN);
}

static void test_generation(void **state)
{
	static const char plain[] = OK_LINE "x-generation:  12 \r\n" LENGTH_5 "\r\nhello";
	static struct response response;
	char text[512], name[200];
	size_t surplus_bytes;

	(void)state;
	assert_int_equal(feed(&response, plain, strlen(plain), 3, 3, &surplus_bytes), COMPLETE);
	assert_string_equal(response.generation, "12");

	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	int size = snprintf(text, sizeof(text), OK_LINE "X-Generation: %s\r\n" LENGTH_5 "\r\nhello",
			    name);
	assert_int_equal(feed(&response, text, (size_t)size, 7, 7, &surplus_bytes), COMPLETE);
	assert_int_equal(strlen(response.generation), RESPONSE_GENERATION_MAX - 1);

	response_begin(&response, &wanted);
	assert_string_equal(response.generation, "");
}

/* Lines just within their limit pass, one byte more does not; heads and interim answers end. */
static void test_limits(void **state)
{
	static char line[RESPONSE_LINE_MAX + 1];
	static struct response response;

	(void)state;
	for (size_t size = RESPONSE_LINE_MAX; size <= sizeof(line); size++) {
		memset(line, 'v', sizeof(line));
		line[4] = ':';
		line[size - 2] = '\r';
		line[size - 1] = '\n';
		response_begin(&response, &wanted);
		assert_true(response_feed(&response, OK_LINE, strlen(OK_LINE)) > 0);
		ssize_t n = response_feed(&response, line, size);
		assert_int_equal(n, size > RESPONSE_LINE_MAX ? -EBADMSG : (ssize_t)size);
	}

	static const char *const endless[] = { "Name: value\r\n", "\r\nHTTP/1.1 100 C\r\n" };
	for (size_t i = 0; i < ARRAY_SIZE(endless); i++) {
		size_t size = strlen(endless[i]), fed = 0;
		ssize_t n = 0;
		response_begin(&response, &wanted);
		assert_true(response_feed(&response, "HTTP/1.1 100 C\r\n", 16) > 0);
		for (; n >= 0 && fed < (size_t)2 * RESPONSE_HEAD_MAX; fed += size)
			n = response_feed(&response, endless[i], size);
		assert_int_equal(n, -EBADMSG);
		assert_in_range(fed, RESPONSE_HEAD_MAX - 100, RESPONSE_HEAD_MAX + 100);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_answer_at_every_split),
		cmocka_unit_test(test_every_prefix_is_cut_off),
		cmocka_unit_test(test_a_nul_byte_is_broken),
		cmocka_unit_test(test_generation),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
