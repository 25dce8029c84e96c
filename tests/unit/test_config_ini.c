/* One configuration file: what is read from it, line by line, and everything that is wrong with it. */
#define CONFIG_MAX_LINES 20
#include "supervisor/config_lines.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "supervisor/config_ini.h"

/* What was read, as "section@line key@line=value|key@line=value", and the problems after it. */
static char *read_text(const char *text)
{
	CLEANUP(freep) char *copy = strdup(text);
	CLEANUP(config_ini_freep) struct config_ini *ini = NULL;
	CLEANUP(problems_finish) struct problems problems = { 0 };
	char *summary = NULL;
	size_t size;
	FILE *out = open_memstream(&summary, &size);
	assert_non_null(copy);
	assert_non_null(out);
	assert_int_equal(config_ini_parse("f", copy, strlen(copy), &ini, &problems), 0);
	for (size_t i = 0; i < ini->n_sections; i++) {
		const struct ini_section *section = &ini->sections[i];
		fprintf(out, "[%s]@%u\n", section->name, section->line);
		for (size_t j = 0; j < section->n_entries; j++)
			fprintf(out, "%s@%u=%s|\n", section->entries[j].key,
				section->entries[j].line, section->entries[j].value);
	}
	for (size_t i = 0; i < problems.n_lines; i++)
		fprintf(out, "%s\n", problems.lines[i]);
	assert_int_equal(fclose(out), 0);
	return summary;
}

static const struct {
	const char *name, *text, *read;
} cases[] = {
	{ "nothing", "", "" },
	{ "comments only", "# a\n; b\n  # c\n\n", "" },
	{ "no last newline", "[A]\nk=1", "[A]@1\nk@2=1|\n" },
	{ "order and repeated keys", "[A]\nb=1\na=2\nb=3\n\n[B]\nb=4\n",
	  "[A]@1\nb@2=1|\na@3=2|\nb@4=3|\n[B]@6\nb@7=4|\n" },
	{ "blanks", "  [A]  \n\tk \t= a  b \t\n", "[A]@1\nk@2=a  b|\n" },
	{ "empty value", "[A]\nk=\n", "[A]@1\nk@2=|\n" },
	{ "marks in values", "[A]\nk=a=b#c;d \"e\" [f] //g /*h*/\n",
	  "[A]@1\nk@2=a=b#c;d \"e\" [f] //g /*h*/|\n" },
	{ "CRLF", "[A]\r\nk=1\r\n\r\n", "[A]@1\nk@2=1|\n" },
	{ "indented is no continuation", "[A]\nk=1 \\\n  B=2\n  l=3\n",
	  "[A]@1\nk@2=1  B=2|\nl@4=3|\n" },
	{ "continued, lines stay", "[A]\nk=1 \\\n2 \\\n3\nl=4\n", "[A]@1\nk@2=1  2  3|\nl@5=4|\n" },
	{ "continued over CRLF", "[A]\r\nk=1\\\r\n2\r\nl=3\r\n", "[A]@1\nk@2=1 2|\nl@4=3|\n" },
	{ "comments within", "[A]\nk=1 \\\n# no\n; no\\\n2\nl=3\n", "[A]@1\nk@2=1  2|\nl@6=3|\n" },
	{ "an empty line ends it", "[A]\nk=1\\\n\nl=2\n", "[A]@1\nk@2=1|\nl@4=2|\n" },
	{ "two backslashes do not continue", "[A]\nk=1\\\\\nl=2\n", "[A]@1\nk@2=1\\\\|\nl@3=2|\n" },
	{ "three do", "[A]\nk=1\\\\\\\n2\n", "[A]@1\nk@2=1\\\\ 2|\n" },
	{ "comments do not continue", "[A]\n# c \\\nk=1\n", "[A]@1\nk@3=1|\n" },
	{ "continued to the end", "[A]\nk=1\\", "[A]@1\nk@2=1|\n" },
	{ "continued to the last newline", "[A]\nk=1\\\n", "[A]@1\nk@2=1|\n" },
	{ "continued header", "[A\\\nB]\nk=1\n", "[A B]@1\nk@3=1|\n" },
	{ "case of keys", "[A]\nKey=1\nkey=2\nKEY=3\n", "[A]@1\nKey@2=1|\nkey@3=2|\nKEY@4=3|\n" },
	{ "section with blanks", "[ A b ]\nk=1\n", "[A b]@1\nk@2=1|\n" },
	{ "long value",
	  "[A]\nk=0123456789012345678901234567890123456789012345678901234567890123456789012345678901234"
	  " 56789\n",
	  "[A]@1\nk@2=0123456789012345678901234567890123456789012345678901234567890123456789012345678"
	  "901234 56789|\n" },
	{ "before any section", "k=1\n[A]\n", "[A]@2\nf:1: k=1: before any [Section]\n" },
	{ "the name of the section that the library has for what is before any", "[default]\nk=1\n",
	  "[default]@1\nk@2=1|\n" },
	{ "all errors at once", "[A]\nno\n=1\nk=1\n[]\nx=1\n[B]\nalso no\nk=2\n",
	  "[A]@1\nk@4=1|\n[B]@7\nk@9=2|\n"
	  "f:2: no: equal sign is missing\n"
	  "f:3: =1: property name is missing\n"
	  "f:5: []: section name is missing\n"
	  "f:8: also no: equal sign is missing\n" },
	{ "broken header takes its keys along", "[A]\nk=1\n[B\nl=2\n[C]\nm=3\n",
	  "[A]@1\nk@2=1|\n[C]@5\nm@6=3|\nf:3: [B: no closing bracket\n" },
	{ "section twice", "[A]\nk=1\n[B]\n[A]\nk=2\n",
	  "[A]@1\nk@2=1|\nk@5=2|\n[B]@3\nf:4: [A]: given twice, first on line 1\n" },
	{ "section twice, other case, and an error", "[A]\nk=1\n[a]\nno\n",
	  "[A]@1\nk@2=1|\nf:3: [a]: given twice, first on line 1\nf:4: no: equal sign is missing\n" },
	{ "sections many times", "[A]\n[a]\n[ A ]\n[A]\nk=1\n[B]\n[B]\n",
	  "[A]@1\nk@5=1|\n[B]@6\n"
	  "f:2: [a]: given twice, first on line 1\nf:3: [ A ]: given twice, first on line 1\n"
	  "f:4: [A]: given twice, first on line 1\nf:7: [B]: given twice, first on line 6\n" },
	{ "control characters", "[A]\nk=a\001b\nl=1\n\x7f\n",
	  "[A]@1\nl@3=1|\nf:2: k=a?b: a control character in a line of text\n"
	  "f:4: ?: a control character in a line of text\n" },
	{ "a carriage return within", "[A]\nk=a\rb\n",
	  "[A]@1\nf:2: k=a?b: a control character in a line of text\n" },
	{ "names that the library chokes on",
	  "[A]\nna\xc3\xafve=1\na!b=1\n[B\tc]\nk=1\n[C]\nk=\xc3\xaf!\n",
	  "[A]@1\n[C]@6\nk@7=\xc3\xaf!|\nf:2: na\xc3\xafve=1: no section or key has such a name\n"
	  "f:3: a!b=1: no section or key has such a name\n"
	  "f:4: [B?c]: no section or key has such a name\n" },
	{ "C comments are none", "[A]\n/* a\nk=1\n*/\n",
	  "[A]@1\nk@3=1|\nf:2: /* a: equal sign is missing\nf:4: */: equal sign is missing\n" },
	{ "cut where a character ends",
	  "[A]\n0123456789012345678901234567890123456789012345678901234567\xc3\xa9\xc3\xa9 too long\n",
	  "[A]@1\nf:2: 0123456789012345678901234567890123456789012345678901234567\xc3\xa9…: "
	  "equal sign is missing\n" },
};

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(freep) char *read = read_text(cases[i].text);
		if (strcmp(read, cases[i].read) != 0)
			print_message("%s:\n", cases[i].name);
		assert_string_equal(read, cases[i].read);
	}
}

static void test_too_many_lines(void **state)
{
	char text[256] = "[A]\n";
	(void)state;
	for (int i = 0; i < CONFIG_MAX_LINES - 2; i++)
		strcat(text, i % 2 ? "# comment\n" : "k=1\n");
	strcat(text, "l=1");
	CLEANUP(freep) char *within = read_text(text);
	assert_non_null(strstr(within, "l@20=1|"));
	strcat(text, "\n\n");
	CLEANUP(freep) char *beyond = read_text(text);
	assert_string_equal(beyond, "f: 21 lines; allowed: up to 20\n");
}

/* Every byte of it may be the last, and any byte may stand anywhere. */
static void test_any_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(freep) char *text = strdup(cases[i].text);
		size_t length = strlen(text);
		while (length > 0) {
			static const char bytes[] = "[]=\\\n\r\t#! \x80";
			for (const char *byte = bytes; *byte; byte++) {
				text[length - 1] = *byte;
				free(read_text(text));
			}
			text[--length] = '\0';
		}
	}
}

static void write_file(const char *path, const char *bytes, size_t length)
{
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

/* The only problem of the file at @path is "PATH@problem"; with NULL there is none. */
static void check_file(const char *path, const char *problem)
{
	CLEANUP(config_ini_freep) struct config_ini *ini = NULL;
	CLEANUP(problems_finish) struct problems problems = { 0 };
	char expected[256];
	assert_int_equal(config_ini_read(path, &ini, &problems), 0);
	assert_int_equal(problems.n_lines, problem ? 1 : 0);
	if (!problem)
		return;
	(void)snprintf(expected, sizeof(expected), "%s%s", path, problem);
	assert_string_equal(problems.lines[0], expected);
	assert_int_equal(ini->n_sections, 0);
}

static void test_files(void **state)
{
	static char large[1024 * 1024 + 1];
	char folder[] = "/tmp/test_config_ini.XXXXXX", path[64];
	(void)state;
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/f", folder);
	check_file(path, ": No such file or directory");
	check_file(folder, ": not a regular file");
	assert_int_equal(mkfifo(path, 0600), 0);
	check_file(path, ": not a regular file");
	assert_int_equal(unlink(path), 0);

	write_file(path, "", 0);
	check_file(path, NULL);
	write_file(path, "\xef\xbb\xbf[A]\nk=1\n", 11);
	check_file(path, NULL);
	write_file(path, "[A]\nk=1\0x\n", 10);
	check_file(path, ":2: a NUL byte: this is no text file");
	static const char *const not_utf8[] = { "\xff",		"\xc0\xaf",
						"\xed\xa0\x80", "\xf4\x90\x80\x80",
						"\xe2\x82",	"\x80" };
	for (size_t i = 0; i < ARRAY_SIZE(not_utf8); i++) {
		char text[64], problem[64];
		(void)snprintf(text, sizeof(text), "[A]\n# é€😀\nk=%s\n", not_utf8[i]);
		(void)snprintf(problem, sizeof(problem), ":3: the byte 0x%02x here is not UTF-8",
			       (unsigned char)not_utf8[i][0]);
		write_file(path, text, strlen(text));
		check_file(path, problem);
	}
	memset(large, '#', sizeof(large));
	write_file(path, large, sizeof(large));
	check_file(path, ": larger than 1048576 bytes");
	write_file(path, large, sizeof(large) - 1);
	check_file(path, NULL);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_too_many_lines),
		cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
