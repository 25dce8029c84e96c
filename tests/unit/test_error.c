/* Errors for people: set, prefixed, cut at a character. */
#include "proto/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_set(void **state)
{
	struct error error;
	(void)state;
	assert_int_equal(error_set(&error, -EINVAL, "%s:%d", "web.conf", 12), -EINVAL);
	assert_string_equal(error.text, "web.conf:12");
}

static void test_no_error_wanted(void **state)
{
	(void)state;
	assert_int_equal(error_set(NULL, -EINVAL, "%d", 1), -EINVAL);
	assert_int_equal(error_prefix(NULL, -EPERM, "%d", 1), -EPERM);
}

static void test_prefix(void **state)
{
	struct error error;
	(void)state;
	error_set(&error, -EINVAL, "address in use");
	assert_int_equal(error_prefix(&error, -EADDRINUSE, "listener %s", "http"), -EADDRINUSE);
	assert_string_equal(error.text, "listener http: address in use");
}

/* An error may be set from its own text. */
static void test_set_from_itself_by_prefix(void **state)
{
	struct error error;
	(void)state;
	error_set(&error, -EINVAL, "c");
	error_prefix(&error, -EINVAL, "b");
	error_prefix(&error, -EINVAL, "a");
	assert_string_equal(error.text, "a: b: c");
}

static void test_longest(void **state)
{
	char text[ERROR_TEXT_MAX];
	struct error error;
	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	error_set(&error, -EINVAL, "%s", text);
	assert_string_equal(error.text, text);
}

/* However the characters lie, the cut is between two of them, and the mark is whole. */
static void test_cut(void **state)
{
	(void)state;
	for (int shift = 0; shift < 4; shift++) {
		char text[2 * ERROR_TEXT_MAX] = "aaaa";
		struct error error;
		for (size_t i = (size_t)shift; i + 4 < sizeof(text); i += 3)
			memcpy(text + i, "\xe2\x82\xac", 4);
		error_set(&error, -EINVAL, "%s", text);

		size_t length = strlen(error.text);
		assert_in_range(length, ERROR_TEXT_MAX - 4, ERROR_TEXT_MAX - 1);
		assert_string_equal(error.text + length - 3, "\xe2\x80\xa6");
		assert_int_equal((length - 3 - (size_t)shift) % 3, 0);
	}
}

static void test_prefix_cuts(void **state)
{
	char text[ERROR_TEXT_MAX];
	struct error error;
	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	error_set(&error, -EINVAL, "%s", text);
	error_prefix(&error, -EINVAL, "where");
	assert_memory_equal(error.text, "where: xxx", 10);
	assert_string_equal(error.text + strlen(error.text) - 3, "\xe2\x80\xa6");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_no_error_wanted),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_set_from_itself_by_prefix),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_prefix_cuts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
