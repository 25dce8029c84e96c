/* handoverctl's words: durations, time spans, escapes and columns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base.h"
#include "supervisor/ctl_text.h"

#define SEC UINT64_C(1000000)

static void test_duration(void **state)
{
	static const struct {
		uint64_t usec;
		const char *text;
	} cases[] = {
		{ 0, "0 ms" },
		{ 99, "0 ms" },
		{ 300, "0.3 ms" },
		{ 9999, "9.9 ms" },
		{ 10000, "10 ms" },
		{ SEC - 1, "999 ms" },
		{ SEC, "1 s" },
		{ 1430000, "1.4 s" },
		{ 10 * SEC, "10 s" },
		{ 60 * SEC - 1, "59 s" },
		{ 60 * SEC, "1 min" },
		{ 303 * SEC, "5 min 3 s" },
		{ 3600 * SEC, "1 h" },
		{ 7980 * SEC, "2 h 13 min" },
		{ 86400 * SEC - 1, "23 h 59 min" },
		{ 86400 * SEC, "1 d" },
		{ 100 * 3600 * SEC, "4 d 4 h" },
		{ UINT64_MAX, "213503982 d 8 h" },
	};
	char text[DURATION_TEXT_MAX];
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(text_duration(cases[i].usec, text), cases[i].text);
}

static void test_elapsed_never_runs_backwards(void **state)
{
	char text[DURATION_TEXT_MAX];
	(void)state;
	assert_string_equal(text_elapsed(5 * SEC, 2 * SEC, text), "3 s");
	assert_string_equal(text_elapsed(5 * SEC, 9 * SEC, text), "0 ms");
	assert_string_equal(text_elapsed(5 * SEC, -1, text), "5 s");
}

static void test_span(void **state)
{
	static const struct {
		const char *text;
		int result;
		uint64_t usec;
	} cases[] = {
		{ "20", 0, 20 * SEC },
		{ "0", 0, 0 },
		{ "1.5", 0, 1500000 },
		{ ".5s", 0, 500000 },
		{ "0.0000019", 0, 1 },
		{ "500ms", 0, 500000 },
		{ "7us", 0, 7 },
		{ "2min", 0, 120 * SEC },
		{ "2 min", 0, 120 * SEC },
		{ "1h 30min", 0, 5400 * SEC },
		{ "1h30min", 0, 5400 * SEC },
		{ " 1d ", 0, 86400 * SEC },
		{ "1.5d", 0, 129600 * SEC },
		{ "9223372036854", 0, 9223372036854 * SEC },
		{ "9223372036855", -ERANGE, 0 },
		{ "99999999999999999999", -ERANGE, 0 },
		{ "9223372036854775807us 1us", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ " ", -EINVAL, 0 },
		{ "soon", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ "1x", -EINVAL, 0 },
		{ "1.2.3", -EINVAL, 0 },
		{ ".", -EINVAL, 0 },
		{ "1 s s", -EINVAL, 0 },
		{ "infinity", -EINVAL, 0 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t usec = 42;
		int r = text_parse_span(cases[i].text, &usec);
		if (r != cases[i].result || usec != (r ? 42 : cases[i].usec))
			fail_msg("\"%s\": %d, %llu", cases[i].text, r, (unsigned long long)usec);
	}
}

static const struct {
	const char *text, *shown;
	size_t columns;
} shown_cases[] = {
	{ "", "", 0 },
	{ "plain", "plain", 5 },
	{ "größer", "größer", 6 },
	{ "漢字", "漢字", 4 },
	{ "e\xcc\x81", "e\xcc\x81", 1 }, /* a combining accent */
	{ "a\nb\tc", "a\\nb\\tc", 7 },
	{ "\033[2J", "\\x1b[2J", 7 },
	{ "\x7f\r", "\\x7f\\r", 6 },
	{ "\xc2\x9b"
	  "31m",
	  "\\xc2\\x9b31m", 11 },		       /* C1: CSI */
	{ "\xe2\x80\xae", "\\xe2\\x80\\xae", 12 },     /* turns the direction */
	{ "\xff|\xc0\x9b|", "\\xff|\\xc0\\x9b|", 14 }, /* stray, overlong */
	{ "\xe6\xbc", "\\xe6\\xbc", 8 },	       /* cut at the end */
};

static char *printed(const char *text, size_t columns_max, size_t *ret_columns)
{
	char *result = NULL;
	size_t size;
	FILE *out = open_memstream(&result, &size);
	assert_non_null(out);
	*ret_columns = text_print(out, text, columns_max);
	assert_int_equal(fclose(out), 0);
	return result;
}

static void test_print_escapes_what_drives_a_terminal(void **state)
{
	size_t columns;
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(shown_cases); i++) {
		CLEANUP(freep) char *result = printed(shown_cases[i].text, SIZE_MAX, &columns);
		assert_string_equal(result, shown_cases[i].shown);
		assert_int_equal(columns, shown_cases[i].columns);
		assert_int_equal(text_width(shown_cases[i].text), columns);
	}
}

static void test_print_never_passes_its_width(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(shown_cases); i++) {
		for (size_t max = 0; max <= shown_cases[i].columns; max++) {
			size_t columns;
			CLEANUP(freep) char *result = printed(shown_cases[i].text, max, &columns);
			assert_true(columns <= max);
			if (max > 0 && max < shown_cases[i].columns)
				assert_non_null(strstr(result, "…"));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_duration),
		cmocka_unit_test(test_elapsed_never_runs_backwards),
		cmocka_unit_test(test_span),
		cmocka_unit_test(test_print_escapes_what_drives_a_terminal),
		cmocka_unit_test(test_print_never_passes_its_width),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
