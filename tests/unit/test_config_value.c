/* Values of the configuration: every form that is allowed, and what is said of those that are not. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/config.h"
#include "supervisor/config_value.h"

#define NO UINT64_C(12345678901234567) /* no value: an error is expected */

static void test_boolean(void **state)
{
	static const struct {
		const char *text;
		int value; /* -1: an error */
	} cases[] = {
		{ "yes", 1 },	{ "no", 0 },	{ "1", 1 },   { "0", 0 },      { "TRUE", 1 },
		{ "False", 0 }, { "on", 1 },	{ "off", 0 }, { "y", 1 },      { "n", 0 },
		{ "t", 1 },	{ "f", 0 },	{ "", -1 },   { "maybe", -1 }, { "yess", -1 },
		{ "2", -1 },	{ " yes", -1 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool value = false;
		struct error error;
		int r = value_boolean(cases[i].text, &value, &error);
		assert_int_equal(r, cases[i].value < 0 ? -EINVAL : 0);
		if (r == 0)
			assert_int_equal(value, cases[i].value);
	}
}

static void test_unsigned(void **state)
{
	static const struct {
		const char *text;
		int r;
		unsigned value;
	} cases[] = {
		{ "1", 0, 1 },
		{ "1024", 0, 1024 },
		{ "007", 0, 7 },
		{ "0", -EINVAL, 0 },
		{ "1025", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 },
		{ " 1", -EINVAL, 0 },
		{ "1 ", -EINVAL, 0 },
		{ "", -EINVAL, 0 },
		{ "0x10", -EINVAL, 0 },
		{ "1.5", -EINVAL, 0 },
		{ "99999999999999999999999", -EINVAL, 0 },
		{ "18446744073709551617", -EINVAL, 0 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned value = 0;
		struct error error;
		assert_int_equal(value_unsigned(cases[i].text, 1, 1024, &value, &error),
				 cases[i].r);
		assert_int_equal(value, cases[i].value);
	}
}

static void test_time_span(void **state)
{
	static const struct {
		const char *text;
		uint64_t usec;
		const char *written; /* NULL: as @text */
	} cases[] = {
		{ "0", 0, NULL },
		{ "90", 90000000, "1min 30s" },
		{ "1min 30s", 90000000, NULL },
		{ "1min30s", 90000000, "1min 30s" },
		{ "1 min  30 s", 90000000, "1min 30s" },
		{ "500ms", 500000, NULL },
		{ "1.5s", 1500000, "1s 500ms" },
		{ "0.000001", 1, "1us" },
		{ "0.0000001", 0, "0" },
		{ "2.5h", UINT64_C(9000000000), "2h 30min" },
		{ "1us", 1, NULL },
		{ "1µs", 1, "1us" },
		{ "3 μs", 3, "3us" },
		{ "2usec", 2, "2us" },
		{ "2msec", 2000, "2ms" },
		{ "2 seconds", 2000000, "2s" },
		{ "1sec", 1000000, "1s" },
		{ "1second", 1000000, "1s" },
		{ "5m", 300000000, "5min" },
		{ "5 minutes", 300000000, "5min" },
		{ "1hr", UINT64_C(3600000000), "1h" },
		{ "1hour", UINT64_C(3600000000), "1h" },
		{ "2d", UINT64_C(172800000000), NULL },
		{ "1week", UINT64_C(604800000000), "1w" },
		{ "1M", UINT64_C(2629800000000), "4w 2d 10h 30min" },
		{ "1y", UINT64_C(31557600000000), "52w 1d 6h" },
		{ "infinity", USEC_INFINITY, NULL },
		{ "9223372036854775807us", INT64_MAX, "15250284w 3d 4h 54s 775ms 807us" },
		/* More digits than are read. */
		{ "18446744073709551615us", NO, NULL },
		{ "999999999999999999y", NO, NULL },
		{ "9223372036854775807us 9223372036854775807us 1us", NO, NULL },
		{ "9223372036854775807us 9223372036854775807us 2us", NO, NULL },
		{ "", NO, NULL },
		{ " ", NO, NULL },
		{ "s", NO, NULL },
		{ "-1", NO, NULL },
		{ "+1", NO, NULL },
		{ "1.", NO, NULL },
		{ ".5", NO, NULL },
		{ "1..5", NO, NULL },
		{ "1 fortnight", NO, NULL },
		{ "1S", NO, NULL },
		{ "1s,", NO, NULL },
		{ "1min 30s x", NO, NULL },
		{ "infinity 1s", NO, NULL },
		{ "Infinity", NO, NULL },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t usec = NO, again = NO;
		char text[VALUE_TEXT_MAX];
		struct error error = { "" };
		int r = value_time_span(cases[i].text, &usec, &error);
		assert_int_equal(r, cases[i].usec == NO ? -EINVAL : 0);
		assert_true(usec == cases[i].usec);
		if (r < 0) {
			assert_true(error.text[0]);
			continue;
		}
		value_format_time_span(usec, text);
		assert_string_equal(text, cases[i].written ? cases[i].written : cases[i].text);
		assert_int_equal(value_time_span(text, &again, &error), 0);
		assert_true(again == usec);
	}
}

static void test_mode(void **state)
{
	static const struct {
		const char *text;
		int r;
		mode_t mode;
	} cases[] = {
		{ "0666", 0, 0666 },  { "600", 0, 0600 },     { "0", 0, 0 },
		{ "777", 0, 0777 },   { "1000", -EINVAL, 0 }, { "8", -EINVAL, 0 },
		{ "rw", -EINVAL, 0 }, { "", -EINVAL, 0 },     { "-1", -EINVAL, 0 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		mode_t mode = 0;
		struct error error;
		assert_int_equal(value_mode(cases[i].text, 0777, &mode, &error), cases[i].r);
		assert_int_equal(mode, cases[i].mode);
	}
}

static void test_signal(void **state)
{
	static const struct {
		const char *text;
		int signal; /* 0: an error */
	} cases[] = {
		{ "SIGTERM", SIGTERM },
		{ "TERM", SIGTERM },
		{ "term", SIGTERM },
		{ "15", 15 },
		{ "SIGUSR2", SIGUSR2 },
		{ "QUIT", SIGQUIT },
		{ "WINCH", SIGWINCH },
		{ "HUP", SIGHUP },
		{ "SIGKILL", 0 },
		{ "9", 0 },
		{ "STOP", 0 },
		{ "0", 0 },
		{ "32", 0 },
		{ "33", 0 },
		{ "64", 64 },
		{ "65", 0 },
		{ "", 0 },
		{ "SIG", 0 },
		{ "SIGFOO", 0 },
		{ "TERM ", 0 },
		{ "RTMIN+99", 0 },
		{ "RTMIN+", 0 },
		{ "RTMAX-99", 0 },
		{ "-15", 0 },
	};
	(void)state;
	char text[VALUE_TEXT_MAX];
	struct error error;
	int signal, again;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		signal = 0;
		int r = value_signal(cases[i].text, &signal, &error);
		assert_int_equal(r, cases[i].signal ? 0 : -EINVAL);
		assert_int_equal(signal, cases[i].signal);
		if (r < 0)
			continue;
		assert_int_equal(value_signal(value_format_signal(signal, text), &again, &error),
				 0);
		assert_int_equal(again, signal);
	}
	assert_int_equal(value_signal("SIGRTMIN+3", &signal, &error), 0);
	assert_int_equal(signal, SIGRTMIN + 3);
	assert_string_equal(value_format_signal(signal, text), "RTMIN+3");
	assert_int_equal(value_signal("RTMAX-1", &signal, &error), 0);
	assert_int_equal(signal, SIGRTMAX - 1);
	assert_int_equal(value_signal("RTMIN", &signal, &error), 0);
	assert_int_equal(signal, SIGRTMIN);
}

static void test_limit(void **state)
{
	static const struct {
		const char *text;
		int r;
		rlim_t soft, hard;
		const char *written;
	} cases[] = {
		{ "1024:524288", 0, 1024, 524288, "1024:524288" },
		{ "4096", 0, 4096, 4096, "4096:4096" },
		{ "infinity", 0, RLIM_INFINITY, RLIM_INFINITY, "infinity:infinity" },
		{ "1024:infinity", 0, 1024, RLIM_INFINITY, "1024:infinity" },
		{ "0:0", 0, 0, 0, "0:0" },
		{ "infinity:1024", -EINVAL, 0, 0, NULL },
		{ "2:1", -EINVAL, 0, 0, NULL },
		{ "", -EINVAL, 0, 0, NULL },
		{ ":", -EINVAL, 0, 0, NULL },
		{ "1:", -EINVAL, 0, 0, NULL },
		{ ":1", -EINVAL, 0, 0, NULL },
		{ "1:2:3", -EINVAL, 0, 0, NULL },
		{ "-1", -EINVAL, 0, 0, NULL },
		{ "18446744073709551615", -EINVAL, 0, 0, NULL },
		{ "99999999999999999999999", -EINVAL, 0, 0, NULL },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rlimit limit = { 0, 0 };
		struct error error;
		char text[VALUE_TEXT_MAX];
		assert_int_equal(value_limit(cases[i].text, &limit, &error), cases[i].r);
		assert_true(limit.rlim_cur == cases[i].soft && limit.rlim_max == cases[i].hard);
		if (cases[i].written)
			assert_string_equal(value_format_limit(&limit, text), cases[i].written);
	}
}

static void test_choice(void **state)
{
	static const char *const choices[] = { "wait", "hurry", NULL };
	struct error error;
	int index = -1;
	(void)state;
	assert_int_equal(value_choice("hurry", choices, &index, &error), 0);
	assert_int_equal(index, 1);
	assert_int_equal(value_choice("Wait", choices, &index, &error), -EINVAL);
	assert_int_equal(value_choice("", choices, &index, &error), -EINVAL);
	assert_int_equal(index, 1);
}

static void test_names(void **state)
{
	static const char *const good[] = { "web", "a", "A_b.c-9", "9" };
	static const char *const bad[] = {
		"", ".web", "-web", "we b", "we:b", "we/b", "wéb", "a\n"
	};
	char longest[CONFIG_NAME_MAX + 2];
	struct error error;
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(value_check_name(good[i], &error), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(value_check_name(bad[i], &error), -EINVAL);
	memset(longest, 'x', sizeof(longest));
	longest[CONFIG_NAME_MAX + 1] = '\0';
	assert_int_equal(value_check_name(longest, &error), -EINVAL);
	longest[CONFIG_NAME_MAX] = '\0';
	assert_int_equal(value_check_name(longest, &error), 0);
}

static void test_accounts_and_assignments(void **state)
{
	struct error error;
	(void)state;
	assert_int_equal(value_check_account("www-data", &error), 0);
	assert_int_equal(value_check_account("1000", &error), 0);
	assert_int_equal(value_check_account("machine$", &error), 0);
	assert_int_equal(value_check_account("", &error), -EINVAL);
	assert_int_equal(value_check_account("-x", &error), -EINVAL);
	assert_int_equal(value_check_account("a:b", &error), -EINVAL);
	assert_int_equal(value_check_assignment("A=", &error), 0);
	assert_int_equal(value_check_assignment("_a1=b=c", &error), 0);
	assert_int_equal(value_check_assignment("A", &error), -EINVAL);
	assert_int_equal(value_check_assignment("=x", &error), -EINVAL);
	assert_int_equal(value_check_assignment("1A=x", &error), -EINVAL);
	assert_int_equal(value_check_assignment("A B=x", &error), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_boolean),
		cmocka_unit_test(test_unsigned),
		cmocka_unit_test(test_time_span),
		cmocka_unit_test(test_mode),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_choice),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_accounts_and_assignments),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
