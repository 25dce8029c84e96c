/* The command line of handover-httpd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base.h"
#include "worker/httpd_limits.h"
#include "worker/httpd_options.h"

enum { MAX_ARGUMENTS = 4 };

static int parse(const char *const arguments[MAX_ARGUMENTS], struct options *options,
		 struct error *error)
{
	char *argv[MAX_ARGUMENTS + 2] = { strdup("handover-httpd") };
	int argc = 1;
	for (int i = 0; i < MAX_ARGUMENTS && arguments[i]; i++)
		argv[argc++] = (char *)(uintptr_t)arguments[i];
	char *name = argv[0];
	int r = options_parse(argc, argv, options, error);
	free(name);
	return r;
}

static void test_refused(void **state)
{
	static const char *const LINES[][MAX_ARGUMENTS] = {
		{ "--nonsense" },
		{ "-x" },
		{ "argument" },
		{ "--body" },
		{ "--keepalive-timeout", "0" },
		{ "--keepalive-timeout", "-1" },
		{ "--keepalive-timeout", "1s" },
		{ "--keepalive-timeout", "" },
		{ "--keepalive-timeout", "1e99" },
		{ "--header-timeout", "nan" },
		{ "--drain-timeout", "86401" },
		{ "--generation-header", "" },
		{ "--generation-header", "X Y" },
		{ "--generation-header", "X:\r\nSet-Cookie" },
		{ "--status-path", "status" },
		{ "--status-path", "/a?b" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(LINES); i++) {
		struct options options = { .body = "untouched" };
		struct error error = { .text = "" };
		assert_int_equal(parse(LINES[i], &options, &error), -EINVAL);
		assert_string_equal(options.body, "untouched");
		/* It names what is wrong. */
		assert_non_null(strstr(error.text, LINES[i][0]));
	}
}

static void test_taken(void **state)
{
	(void)state;
	struct options options;
	static const char *const NONE[MAX_ARGUMENTS] = { NULL };
	assert_int_equal(unsetenv("HANDOVER_GENERATION"), 0);
	assert_int_equal(parse(NONE, &options, NULL), 0);
	assert_int_equal(options.action, OPTIONS_RUN);
	assert_string_equal(options.generation, "0");
	assert_null(options.generation_header);
	assert_null(options.status_path);
	assert_true(options.keepalive_timeout_s == HTTPD_KEEPALIVE_TIMEOUT_S);
	assert_false(options.allows_delay);

	static const char *const SOME[MAX_ARGUMENTS] = { "--keepalive-timeout=0.5", "--body", "x",
							 "--allow-delay" };
	assert_int_equal(setenv("HANDOVER_GENERATION", "17", 1), 0);
	assert_int_equal(parse(SOME, &options, NULL), 0);
	assert_true(options.keepalive_timeout_s == 0.5);
	assert_string_equal(options.body, "x");
	assert_true(options.allows_delay);
	assert_string_equal(options.generation, "17");

	assert_int_equal(setenv("HANDOVER_GENERATION", "1\r\nSet-Cookie: x", 1), 0);
	assert_int_equal(parse(NONE, &options, NULL), 0);
	assert_string_equal(options.generation, "0");

	static const char *const HELP[MAX_ARGUMENTS] = { "--help" };
	assert_int_equal(parse(HELP, &options, NULL), 0);
	assert_int_equal(options.action, OPTIONS_HELP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_taken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
