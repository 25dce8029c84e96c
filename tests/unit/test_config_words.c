/* Quoting: what is read as which words, what is refused, and that what is printed is read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/config_words.h"

static const struct {
	const char *text;
	enum words_syntax syntax;
	const char *words[5];
} good[] = {
	{ "", WORDS_PLAIN, { NULL } },
	{ " \t ", WORDS_PLAIN, { NULL } },
	{ "a b  c", WORDS_PLAIN, { "a", "b", "c" } },
	{ "\"a b\" 'c d'", WORDS_PLAIN, { "a b", "c d" } },
	{ "\"\" ''", WORDS_PLAIN, { "", "" } },
	{ "FOO=\"a b\"c", WORDS_PLAIN, { "FOO=a bc" } },
	{ "'a\"b' \"c'd\"", WORDS_PLAIN, { "a\"b", "c'd" } },
	{ "\\a\\b\\f\\n\\r\\t\\v\\s\\\\\\\"\\'", WORDS_PLAIN, { "\a\b\f\n\r\t\v \\\"'" } },
	{ "'\\x41' \\101 \\u00e9 \\U0001F600", WORDS_PLAIN, { "A", "A", "é", "😀" } },
	{ "\\xff\\x01", WORDS_PLAIN, { "\xff\x01" } },
	{ "100%% %%%%", WORDS_PLAIN, { "100%", "%%" } },
	{ "$A $$", WORDS_PLAIN, { "$A", "$$" } },
	{ "a;b ;", WORDS_PLAIN, { "a;b", ";" } },
	{ "-x", WORDS_PLAIN, { "-x" } },
	{ "/bin/sh -c 'exec a --port $PORT'",
	  WORDS_COMMAND,
	  { "/bin/sh", "-c", "exec a --port $PORT" } },
	{ "a $$HOME b$$c $$$$ $", WORDS_COMMAND, { "a", "$HOME", "b$c", "$$", "$" } },
	{ "a x$HOME ${ $1 ${a-b}", WORDS_COMMAND, { "a", "x$HOME", "${", "$1", "${a-b}" } },
	{ "a \\; \";\" b;", WORDS_COMMAND, { "a", ";", ";", "b;" } },
	{ "\"-a\" -b", WORDS_COMMAND, { "-a", "-b" } },
};

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		CLEANUP(words_freep) char **words = NULL;
		struct error error;
		assert_int_equal(words_split(good[i].text, good[i].syntax, &words, &error), 0);
		for (size_t j = 0; j < ARRAY_SIZE(good[i].words); j++) {
			if (!good[i].words[j]) {
				assert_null(words[j]);
				break;
			}
			assert_non_null(words[j]);
			assert_string_equal(words[j], good[i].words[j]);
		}
	}
}

static void test_bad(void **state)
{
	static const struct {
		const char *text;
		enum words_syntax syntax;
		const char *error;
	} cases[] = {
		{ "\"a", WORDS_PLAIN, "a quote (\") is not closed" },
		{ "a 'b", WORDS_PLAIN, "a quote (') is not closed" },
		{ "a\\", WORDS_PLAIN, "a backslash at the end" },
		{ "\\q", WORDS_PLAIN,
		  "no escape begins with \"\\q\"; \\\\ stands for a backslash" },
		{ "\\x4", WORDS_PLAIN, "\\x needs 2 hexadecimal digits" },
		{ "\\u12", WORDS_PLAIN, "\\u needs 4 hexadecimal digits" },
		{ "\\18", WORDS_PLAIN,
		  "no escape begins with \"\\1\"; \\\\ stands for a backslash" },
		{ "\\x00", WORDS_PLAIN, "\\x00 stands for no character" },
		{ "\\000", WORDS_PLAIN, "\\000 stands for no character" },
		{ "\\777", WORDS_PLAIN, "\\777 stands for no character" },
		{ "\\ud800", WORDS_PLAIN, "\\ud800 stands for no character" },
		{ "\\U00110000", WORDS_PLAIN, "\\U00110000 stands for no character" },
		{ "a%i", WORDS_PLAIN,
		  "\"%i\": there are no specifiers here; %% stands for a percent sign" },
		{ "a%", WORDS_PLAIN,
		  "\"%\": there are no specifiers here; %% stands for a percent sign" },
		{ "a $PORT", WORDS_COMMAND,
		  "$PORT: variables are not expanded here; $$ stands for a dollar sign, and "
		  "/bin/sh -c '…' expands" },
		{ "a x${PORT}y", WORDS_COMMAND,
		  "${PORT}: variables are not expanded here; $$ stands for a dollar sign, and "
		  "/bin/sh -c '…' expands" },
		{ "-a", WORDS_COMMAND,
		  "the prefix \"-\" is not supported; quote it if it belongs to the name" },
		{ "!a", WORDS_COMMAND,
		  "the prefix \"!\" is not supported; quote it if it belongs to the name" },
		{ "a ; b", WORDS_COMMAND,
		  "only one command can be given; quote \";\" to pass it on" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char **words = NULL;
		struct error error;
		assert_int_equal(words_split(cases[i].text, cases[i].syntax, &words, &error),
				 -EINVAL);
		assert_null(words);
		assert_string_equal(error.text, cases[i].error);
	}
}

/* Prints @word and reads it back. */
static void check_round_trip(const char *word, enum words_syntax syntax)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	words_print(word, syntax, true, out);
	assert_int_equal(fclose(out), 0);
	CLEANUP(words_freep) char **words = NULL;
	struct error error;
	assert_int_equal(words_split(text, syntax, &words, &error), 0);
	assert_non_null(words[0]);
	assert_string_equal(words[0], word);
	assert_null(words[1]);
	/* A line of text whatever the bytes: nothing that a file would not take. */
	for (const char *c = text; *c; c++)
		assert_true((unsigned char)*c >= ' ' && *c != '\x7f');
	assert_true(text[0] && text[strlen(text) - 1] != '\\');
	free(text);
}

static void test_round_trip(void **state)
{
	(void)state;
	static const char *const words[] = {
		"",
		"a",
		"-a",
		";",
		"$HOME",
		"${HOME}",
		"%",
		"%%",
		"a b",
		"\"",
		"'",
		"\\",
		"a\\",
		"\n",
		"\t",
		"\x7f",
		"é",
		"\xff\xfe",
		"é\xff",
		"#",
		"$$",
		"+x",
		"=",
		"A=b c",
		"@x",
		"\x01"
		"1",
		"a;b",
	};
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		check_round_trip(words[i], WORDS_PLAIN);
		check_round_trip(words[i], WORDS_COMMAND);
	}
	for (int first = 1; first < 256; first++) {
		for (int second = 0; second < 256; second++) {
			char word[3] = { (char)first, (char)second, '\0' };
			check_round_trip(word, WORDS_COMMAND);
		}
	}
}

static void test_append(void **state)
{
	char **words = NULL, **more = NULL;
	struct error error;
	(void)state;
	assert_int_equal(words_split("a b", WORDS_PLAIN, &more, &error), 0);
	assert_int_equal(words_append(&words, more), 0);
	assert_int_equal(words_split("c", WORDS_PLAIN, &more, &error), 0);
	assert_int_equal(words_append(&words, more), 0);
	assert_string_equal(words[0], "a");
	assert_string_equal(words[2], "c");
	assert_null(words[3]);
	words_free(words);
	words_free(NULL);
}

static void test_percent(void **state)
{
	char *text = NULL;
	struct error error;
	(void)state;
	assert_int_equal(percent_expand("a%%b \"c\"", &text, &error), 0);
	assert_string_equal(text, "a%b \"c\"");
	free(text);
	assert_int_equal(percent_expand("a%b", &text, &error), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),	   cmocka_unit_test(test_bad),
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_append),
		cmocka_unit_test(test_percent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
