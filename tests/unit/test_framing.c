/* The push parser, fed with every split of its input; the limit is shrunk so that it is reached. */
#define CONTROL_MESSAGE_MAX_BYTES 64
#define CONTROL_OUTPUT_MAX_BYTES  128
#include "proto/framing.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* A string and its length, NULs within included. */
#define BYTES(text) text, sizeof(text) - 1

/* Two braces with it make the longest message. */
#define SPACES_10 "          "
#define SPACES_62 SPACES_10 SPACES_10 SPACES_10 SPACES_10 SPACES_10 SPACES_10 "  "

static const struct framing_case {
	const char *name, *input;
	size_t n_input;
	/* The messages, each ended by '|'; behind the last what becomes of the stream. */
	const char *messages;
	int end; /* 0, or why the stream is broken */
	char terminator;
} CASES[] = {
	{ "nothing", BYTES(""), "", 0, 0 },
	{ "one", BYTES("{}\0"), "{}|", 0, 0 },
	{ "pipelined", BYTES("{\"a\":1}\0{\"b\":[2]}\0"), "{\"a\":1}|{\"b\":[2]}|", 0, 0 },
	{ "unfinished", BYTES("{}\0{\"a\":"), "{}|", 0, 0 },
	{ "no terminator yet", BYTES("{}"), "", 0, 0 },
	{ "newline", BYTES("{}\n{\"a\":1}\n"), "{}|{\"a\":1}|", 0, '\n' },
	{ "carriage return", BYTES("{}\r\n{}\r\n"), "{}\r|{}\r|", 0, '\n' },
	{ "newline within", BYTES("{\n\"a\":\n[\n1]\n}\n"), "{\n\"a\":\n[\n1]\n}|", 0, '\n' },
	{ "newlines between", BYTES("\n \n{}\n\n\t\n{}\n"), "{}|{}|", 0, '\n' },
	{ "newline after NUL was used", BYTES("{}\0{}\n\0{} \n \0"), "{}|{}\n|{} \n |", 0, 0 },
	{ "newline first, then NUL", BYTES("{}\n{}\0"), "{}|", -EBADMSG, '\n' },
	{ "newline first, NUL at once", BYTES("{}\n\0"), "{}|", -EBADMSG, '\n' },
	{ "space before NUL", BYTES("{} \t\r\0"), "{} \t\r|", 0, 0 },
	{ "braces in strings", BYTES("{\"}]{[\":\"}\"}\n"), "{\"}]{[\":\"}\"}|", 0, '\n' },
	{ "escapes", BYTES("{\"a\\\"}\\\\\":1}\n{}\n"), "{\"a\\\"}\\\\\":1}|{}|", 0, '\n' },
	{ "newline in a string", BYTES("{\"\n\"}\n"), "{\"\n\"}|", 0, '\n' },
	{ "NUL in a string", BYTES("{\"\0\"}\0"), "", -EBADMSG, 0 },
	{ "NUL in an object", BYTES("{\"a\":\0"), "", -EBADMSG, 0 },
	{ "empty message", BYTES("\0"), "", -EBADMSG, 0 },
	{ "empty message later", BYTES("{}\0\0"), "{}|", -EBADMSG, 0 },
	{ "space alone", BYTES(" \0"), "", -EBADMSG, 0 },
	{ "array", BYTES("[]\0"), "", -EBADMSG, 0 },
	{ "word", BYTES("hello\n"), "", -EBADMSG, 0 },
	{ "string", BYTES("\"{}\"\n"), "", -EBADMSG, 0 },
	{ "two objects", BYTES("{}{}\0"), "", -EBADMSG, 0 },
	{ "two objects with a space", BYTES("{} {}\n"), "", -EBADMSG, 0 },
	{ "closing bracket", BYTES("}\0"), "", -EBADMSG, 0 },
	{ "garbage behind", BYTES("{}\0{}x\0"), "{}|", -EBADMSG, 0 },
	{ "mixed brackets are for the decoder", BYTES("{]\0"), "{]|", 0, 0 },
	{ "nothing after broken", BYTES("x{}\0"), "", -EBADMSG, 0 },
	{ "longest", BYTES("{" SPACES_62 "}\0{}\0"), "{" SPACES_62 "}|{}|", 0, 0 },
	{ "too long by one", BYTES("{" SPACES_62 " }\0"), "", -EMSGSIZE, 0 },
	{ "too long without an end", BYTES("{" SPACES_62 SPACES_62), "", -EMSGSIZE, 0 },
	{ "space between is free", BYTES("{}\n" SPACES_62 SPACES_62 "{}\n"), "{}|{}|", 0, '\n' },
	{ "space behind is counted", BYTES("{}" SPACES_62 " \n"), "", -EMSGSIZE, 0 },
};

struct collected {
	char messages[512];
	size_t n_messages;
	int end;
};

static void collect(struct framing *framing, struct collected *collected)
{
	const char *message;
	size_t n_bytes;
	int r;

	while ((r = framing_next(framing, &message, &n_bytes)) > 0) {
		assert_true(collected->n_messages + n_bytes + 2 < sizeof(collected->messages));
		memcpy(collected->messages + collected->n_messages, message, n_bytes);
		collected->n_messages += n_bytes;
		collected->messages[collected->n_messages++] = '|';
	}
	collected->end = r;
}

/* Three pieces: cut at @first and at @second. */
static void check_split(const struct framing_case *c, size_t first, size_t second)
{
	struct framing framing = { 0 };
	struct collected collected = { .end = 0 };

	assert_int_equal(framing_push(&framing, c->input, first), 0);
	collect(&framing, &collected);
	assert_int_equal(framing_push(&framing, c->input + first, second - first), 0);
	collect(&framing, &collected);
	assert_int_equal(framing_push(&framing, c->input + second, c->n_input - second), 0);
	collect(&framing, &collected);

	if (strcmp(collected.messages, c->messages) != 0 || collected.end != c->end)
		fail_msg("%s, cut at %zu and %zu: \"%s\", %d", c->name, first, second,
			 collected.messages, collected.end);
	assert_int_equal(framing_terminator(&framing), c->terminator);
	framing_finish(&framing);
}

static void test_every_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		for (size_t first = 0; first <= CASES[i].n_input; first++) {
			for (size_t second = first; second <= CASES[i].n_input; second++)
				check_split(&CASES[i], first, second);
		}
	}
}

static void test_byte_by_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		struct framing framing = { 0 };
		struct collected collected = { .end = 0 };
		for (size_t at = 0; at < CASES[i].n_input; at++) {
			assert_int_equal(framing_push(&framing, CASES[i].input + at, 1), 0);
			collect(&framing, &collected);
		}
		assert_string_equal(collected.messages, CASES[i].messages);
		assert_int_equal(collected.end, CASES[i].end);
		framing_finish(&framing);
	}
}

static void check_depth(unsigned int depth, int expected)
{
	struct framing framing = { 0 };
	char input[2 * (MESSAGE_MAX_DEPTH + 1) + 1] = { 0 };
	const char *message;
	size_t n_bytes;

	memset(input, '[', depth);
	input[0] = '{';
	memset(input + depth, ']', depth);
	assert_int_equal(framing_push(&framing, input, 2 * depth + 1), 0);
	assert_int_equal(framing_next(&framing, &message, &n_bytes), expected);
	framing_finish(&framing);
}

static void test_depth(void **state)
{
	(void)state;
	check_depth(MESSAGE_MAX_DEPTH, 1);
	check_depth(MESSAGE_MAX_DEPTH + 1, -EBADMSG);
}

/* What is broken stays broken, and holds no memory. */
static void test_broken_stays(void **state)
{
	struct framing framing = { 0 };
	const char *message;
	size_t n_bytes;

	(void)state;
	assert_int_equal(framing_push(&framing, "x", 1), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(framing_next(&framing, &message, &n_bytes), -EBADMSG);
		assert_int_equal(framing_push(&framing, BYTES("{}\0")), 0);
	}
	framing_finish(&framing);
}

/* Many messages through one parser, one of them always unfinished: memory does not grow. */
static void test_memory_is_bounded(void **state)
{
	struct framing framing = { 0 };
	const char *message;
	size_t n_bytes, n_messages = 0;

	(void)state;
	assert_int_equal(framing_push(&framing, BYTES("{\"a\":")), 0);
	for (int i = 0; i < 10000; i++) {
		assert_int_equal(framing_push(&framing, BYTES("1}\0{}\0{\"a\":")), 0);
		while (framing_next(&framing, &message, &n_bytes) > 0)
			n_messages++;
		assert_true(framing.input.capacity <= 1024);
	}
	assert_int_equal(n_messages, 2 * 10000);
	framing_finish(&framing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_split),
		cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_broken_stays),
		cmocka_unit_test(test_memory_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
