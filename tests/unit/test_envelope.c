/* The envelope of calls and replies, text for JSON, and each allocation failing once. */
#include "proto/envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "proto/json_text.h"
#include "proto/limits.h"

/* "call" or "reply", the message, and what decoding says: a part of its error, or NULL for none. */
static const struct strictness_case {
	bool is_call;
	const char *message, *error;
} CASES[] = {
	{ true, "{\"method\":\"a.B\"}", NULL },
	{ true, " {\"method\":\"a.B\"}\n ", NULL },
	{ true, "{\"method\":\"a.B\",\"parameters\":{}}", NULL },
	{ true, "{\"method\":\"a.B\",\"parameters\":null}", NULL },
	{ true, "{\"method\":\"a.B\",\"oneway\":true,\"more\":false}", NULL },
	{ true, "{\"method\":\"a.B\",\"oneway\":false,\"more\":true,\"upgrade\":true}", NULL },
	{ true, "", "" },
	{ true, "{", "" },
	{ true, "{}x", "" },
	{ true, "[]", "object" },
	{ true, "1", "" },
	{ true, "{}", "method" },
	{ true, "{\"method\":null}", "string" },
	{ true, "{\"method\":1}", "string" },
	{ true, "{\"method\":\"a.B\",\"method\":\"a.B\"}", "duplicate" },
	{ true, "{\"method\":\"a.B\",\"parameters\":{\"x\":1,\"x\":1}}", "duplicate" },
	{ true, "{\"method\":\"a.B\",\"parameters\":[]}", "parameters" },
	{ true, "{\"method\":\"a.B\",\"parameters\":\"\"}", "parameters" },
	{ true, "{\"method\":\"a.B\",\"oneway\":1}", "true or false" },
	{ true, "{\"method\":\"a.B\",\"oneway\":null}", "true or false" },
	{ true, "{\"method\":\"a.B\",\"more\":\"yes\"}", "true or false" },
	{ true, "{\"method\":\"a.B\",\"upgrade\":{}}", "true or false" },
	{ true, "{\"method\":\"a.B\",\"oneway\":true,\"more\":true}", "exclude" },
	{ true, "{\"method\":\"a.B\",\"extra\":1}", "extra" },
	{ true, "{\"method\":\"a.B\",\"continues\":true}", "continues" },
	{ true, "{\"method\":\"\xff\"}", "" },
	{ true, "{\"method\":\"\\u0000\"}", "" },
	{ false, "{}", NULL },
	{ false, "{\"parameters\":{}}", NULL },
	{ false, "{\"parameters\":null}", NULL },
	{ false, "{\"parameters\":{},\"continues\":true}", NULL },
	{ false, "{\"error\":\"a.E\",\"parameters\":{\"x\":1},\"continues\":false}", NULL },
	{ false, "{\"error\":null}", "string" },
	{ false, "{\"error\":\"a.E\",\"continues\":true}", "continue" },
	{ false, "{\"continues\":0}", "true or false" },
	{ false, "{\"parameters\":1}", "parameters" },
	{ false, "{\"method\":\"a.B\"}", "method" },
};

static int decode(const struct strictness_case *c, struct error *error)
{
	struct envelope_call call;
	struct envelope_reply reply;
	json_auto_t *message = NULL;

	int r = envelope_parse(c->message, strlen(c->message), &message, error);
	if (r < 0)
		return r;
	return c->is_call ? envelope_decode_call(message, &call, error)
			  : envelope_decode_reply(message, &reply, error);
}

static void test_strictness(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		struct error error = { "" };
		int r = decode(&CASES[i], &error);
		if (r != (CASES[i].error ? -EBADMSG : 0))
			fail_msg("%s: %d, \"%s\"", CASES[i].message, r, error.text);
		if (CASES[i].error && (!error.text[0] || !strstr(error.text, CASES[i].error)))
			fail_msg("%s: \"%s\"", CASES[i].message, error.text);
	}
}

/* An object of @depth levels, itself included. */
static int parse_nested(size_t depth)
{
	char text[2 * MESSAGE_MAX_DEPTH + 16] = "{\"x\":";
	json_auto_t *message = NULL;

	memset(text + 5, '[', depth - 1);
	memset(text + 5 + depth - 1, ']', depth - 1);
	if (depth == 1)
		text[5] = '1';
	strcat(text, "}");
	return envelope_parse(text, strlen(text), &message, NULL);
}

static void test_depth(void **state)
{
	(void)state;
	assert_int_equal(parse_nested(1), 0);
	assert_int_equal(parse_nested(MESSAGE_MAX_DEPTH), 0);
	assert_int_equal(parse_nested(MESSAGE_MAX_DEPTH + 1), -EBADMSG);
}

static void test_call_fields(void **state)
{
	static const char text[] = "{\"method\":\"a.b.C\",\"parameters\":{\"x\":7},\"more\":true}";
	json_auto_t *message = NULL;
	struct envelope_call call;

	(void)state;
	assert_int_equal(envelope_parse(text, strlen(text), &message, NULL), 0);
	assert_int_equal(envelope_decode_call(message, &call, NULL), 0);
	assert_string_equal(call.method, "a.b.C");
	assert_int_equal(json_integer_value(json_object_get(call.parameters, "x")), 7);
	assert_true(call.more && !call.oneway && !call.upgrade);
}

static void assert_json(json_t *taken, const char *expected)
{
	json_auto_t *json = taken;
	assert_non_null(json);
	char *text = json_dumps(json, JSON_COMPACT);
	assert_string_equal(text, expected);
	free(text);
}

static void test_encode(void **state)
{
	json_auto_t *parameters = json_pack("{s:i}", "x", 1);
	struct envelope_call plain = { .method = "a.B" };
	struct envelope_call full = { "a.B", parameters, .more = true, .upgrade = true };
	struct envelope_call oneway = { .method = "a.B", .oneway = true };
	struct envelope_reply empty = { 0 };
	struct envelope_reply step = { .parameters = parameters, .continues = true };
	struct envelope_reply error = { .error = "a.E" };

	(void)state;
	assert_json(envelope_encode_call(&plain), "{\"method\":\"a.B\"}");
	assert_json(envelope_encode_call(&full),
		    "{\"method\":\"a.B\",\"parameters\":{\"x\":1},\"more\":true,\"upgrade\":true}");
	assert_json(envelope_encode_call(&oneway), "{\"method\":\"a.B\",\"oneway\":true}");
	assert_json(envelope_encode_reply(&empty), "{\"parameters\":{}}");
	assert_json(envelope_encode_reply(&step), "{\"parameters\":{\"x\":1},\"continues\":true}");
	assert_json(envelope_encode_reply(&error), "{\"error\":\"a.E\",\"parameters\":{}}");
	assert_int_equal(parameters->refcount, 1);
}

#define R "\xef\xbf\xbd"

static const struct text_case {
	const char *bytes;
	size_t n_bytes;
	const char *text;
} TEXTS[] = {
	{ "", 0, "" },
	{ "plain", 5, "plain" },
	{ "a\0b", 3, "a" R "b" },
	{ "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
	{ "\x80", 1, R },
	{ "\xff\xfe", 2, R R },
	{ "\xc0\xaf", 2, R R },			       /* overlong */
	{ "\xe0\x80\xaf", 3, R R R },		       /* overlong */
	{ "\xed\xa0\x80", 3, R R R },		       /* surrogate */
	{ "\xf4\x90\x80\x80", 4, R R R R },	       /* beyond U+10FFFF */
	{ "\xf4\x8f\xbf\xbf", 4, "\xf4\x8f\xbf\xbf" }, /* U+10FFFF */
	{ "\xe2\x82", 2, R },			       /* cut short: one */
	{ "\xf0\x9f\x98x", 4, R "x" },
	{ "\xe2\x82\xe2\x82\xac", 5, R "\xe2\x82\xac" },
	{ "\xc3", 1, R },
	{ "a\xc3(", 3, "a" R "(" },
};

static void test_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(TEXTS); i++) {
		json_auto_t *json = json_text(TEXTS[i].bytes, TEXTS[i].n_bytes);
		assert_non_null(json);
		assert_string_equal(json_string_value(json), TEXTS[i].text);
		assert_int_equal(json_string_length(json), strlen(TEXTS[i].text));
	}
}

/* Whatever one or two bytes come: jansson takes the result as UTF-8. */
static void test_text_is_utf8(void **state)
{
	(void)state;
	for (unsigned int pair = 0; pair < 0x10000; pair++) {
		const char bytes[] = { (char)(pair >> 8), (char)pair, '\x80', '\x80' };
		json_auto_t *json = json_text(bytes, sizeof(bytes));
		json_auto_t *checked = json_string(json_string_value(json));
		assert_non_null(checked);
	}
}

static void test_text_fit(void **state)
{
	static const char text[] = "a\xe2\x82\xac"
				   "b";
	static const size_t FIT[] = { 0, 1, 1, 1, 4, 5, 5 };

	(void)state;
	for (size_t max_bytes = 0; max_bytes < ARRAY_SIZE(FIT); max_bytes++)
		assert_int_equal(json_text_fit(text, 5, max_bytes), FIT[max_bytes]);
	assert_int_equal(json_text_fit("\x80\x80\x80\x80\x80\x80", 6, 5), 2);
}

/* As jansson's test_chaos.c: the n-th allocation fails, for each n until all of it succeeds. */
static int allocations_left;

static void *failing_malloc(size_t n_bytes)
{
	if (allocations_left == 0)
		return NULL;
	allocations_left--;
	return malloc(n_bytes);
}

static int run_codec(void)
{
	static const char text[] = "{\"method\":\"a.B\",\"parameters\":{\"x\":[1,2,\"three\"],"
				   "\"y\":{\"z\":null}},\"more\":true}";
	json_auto_t *message = NULL;
	struct envelope_call call;

	int r = envelope_parse(text, strlen(text), &message, NULL);
	if (r == 0)
		r = envelope_decode_call(message, &call, NULL);
	if (r < 0)
		return r;
	json_auto_t *again = envelope_encode_call(&call);
	json_auto_t *empty_reply = envelope_encode_reply(&(struct envelope_reply){ 0 });
	json_auto_t *reply = envelope_encode_reply(
		&(struct envelope_reply){ .parameters = call.parameters, .continues = true });
	json_auto_t *converted = json_text("\xff", 1);
	return again && empty_reply && reply && converted ? 0 : -ENOMEM;
}

static void test_allocation_failures(void **state)
{
	int n = 0, r;

	(void)state;
	json_set_alloc_funcs(failing_malloc, free);
	do {
		allocations_left = n++;
		r = run_codec();
		/* jansson calls a token that it could not store an invalid one. */
	} while ((r == -ENOMEM || r == -EBADMSG) && n < 1000);
	json_set_alloc_funcs(malloc, free);
	assert_int_equal(r, 0);
	assert_true(n > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strictness),  cmocka_unit_test(test_depth),
		cmocka_unit_test(test_call_fields), cmocka_unit_test(test_encode),
		cmocka_unit_test(test_text),	    cmocka_unit_test(test_text_is_utf8),
		cmocka_unit_test(test_text_fit),    cmocka_unit_test(test_allocation_failures),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
