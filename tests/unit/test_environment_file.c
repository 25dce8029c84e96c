/* Files of environment variables, as systemd.exec(5) describes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/config_words.h"
#include "supervisor/environment_file.h"

static const struct {
	const char *text;
	const char *words[4];
	const char *error; /* instead */
} cases[] = {
	{ "", { NULL }, NULL },
	{ "A=1\nB=2", { "A=1", "B=2" }, NULL },
	{ "# c=1\n; d=2\n\n  \n no assignment\nA=1\n", { "A=1" }, NULL },
	{ "A= 1  2 \t\n", { "A=1  2" }, NULL },
	{ " A = 1\r\nB=2\r\n", { "A=1", "B=2" }, NULL },
	{ "A=\nB=2\n", { "A=", "B=2" }, NULL },
	{ "A=x\\ \nB=\\a\\\\\n", { "A=x ", "B=a\\" }, NULL },
	{ "A=1\\\n2\nB=3\\", { "A=12", "B=3" }, NULL },
	{ "A=1\\\r\n2\n", { "A=12" }, NULL },
	{ "A='a \\n \"b\"'  \n", { "A=a \\n \"b\"" }, NULL },
	{ "A='two\nlines'\nB=1\n", { "A=two\nlines", "B=1" }, NULL },
	{ "A=\"a \\\" \\\\ \\` \\$ \\n 'b'\"\n", { "A=a \" \\ ` $ \\n 'b'" }, NULL },
	{ "A=\"one\\\nline\"\n", { "A=oneline" }, NULL },
	{ "A=\"a\"'b'c\n", { "A=abc" }, NULL },
	{ "A=it's \"so\"\n", { "A=it's \"so\"" }, NULL },
	{ "A=a=b %d $X #no comment\n", { "A=a=b %d $X #no comment" }, NULL },
	{ "A=1\nA=2\n", { "A=1", "A=2" }, NULL },
	{ "A=1\n\n2B=1\n", { NULL }, "f:3: \"2B\" is no name of a variable" },
	{ "export A=1\n", { NULL }, "f:1: \"export A\" is no name of a variable" },
	{ "=1\n", { NULL }, "f:1: \"\" is no name of a variable" },
	{ "A=1\nB=\"x\n\n", { NULL }, "f:2: a quote (\") is not closed" },
	{ "A='x\\'", { "A=x\\" }, NULL },
	{ "A=\"x\\", { NULL }, "f:1: a quote (\") is not closed" },
	{ "A='x", { NULL }, "f:1: a quote (') is not closed" },
	{ "A='a\nb'\nB-C=1", { NULL }, "f:3: \"B-C\" is no name of a variable" },
	{ "A=a\\\nb\nB-C=1", { NULL }, "f:3: \"B-C\" is no name of a variable" },
};

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(words_freep) char **words = NULL;
		struct error error = { "" };
		int r = environment_file_parse("f", cases[i].text, &words, &error);
		assert_string_equal(error.text, cases[i].error ? cases[i].error : "");
		assert_int_equal(r, cases[i].error ? -EINVAL : 0);
		for (size_t j = 0; r == 0 && j < ARRAY_SIZE(cases[i].words); j++) {
			if (!cases[i].words[j]) {
				assert_null(words[j]);
				break;
			}
			assert_non_null(words[j]);
			assert_string_equal(words[j], cases[i].words[j]);
		}
	}
}

static void test_every_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (size_t length = strlen(cases[i].text); length > 0; length--) {
			CLEANUP(freep) char *text = strndup(cases[i].text, length);
			CLEANUP(words_freep) char **words = NULL;
			struct error error;
			int r = environment_file_parse("f", text, &words, &error);
			assert_true(r == 0 || r == -EINVAL);
		}
	}
}

static void test_missing(void **state)
{
	char **words = NULL;
	struct error error;
	(void)state;
	assert_int_equal(environment_file_read("/nonexistent/env", &words, &error), -ENOENT);
	assert_string_equal(error.text, "/nonexistent/env: No such file or directory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_every_end),
		cmocka_unit_test(test_missing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
