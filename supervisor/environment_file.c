#include "supervisor/environment_file.h"

#include <stdbool.h>
#include <string.h>

#include "supervisor/config_file.h"
#include "supervisor/config_value.h"
#include "supervisor/config_words.h"

static const char BLANKS[] = " \t\r";

/* Where reading is, and the assignment that is being written: never longer than its source. */
struct cursor {
	const char *path, *text;
	unsigned line;
	char *out;
};

static char take(struct cursor *cursor)
{
	char c = *cursor->text++;
	cursor->line += c == '\n';
	return c;
}

static void skip_line(struct cursor *cursor)
{
	while (*cursor->text && take(cursor) != '\n')
		;
}

/* A continued line's end at the cursor, which is on a backslash. */
static bool skip_continuation(struct cursor *cursor)
{
	size_t length = cursor->text[1] == '\r' ? 3 : 2;
	if (cursor->text[length - 1] != '\n')
		return false;
	cursor->text += length;
	cursor->line++;
	return true;
}

/* The cursor is behind the opening quote. */
static int take_quoted(struct cursor *cursor, char quote, struct error *error)
{
	unsigned first_line = cursor->line;
	while (*cursor->text != quote) {
		if (!*cursor->text)
			return error_set(error, -EINVAL, "%s:%u: a quote (%c) is not closed",
					 cursor->path, first_line, quote);
		if (quote == '"' && *cursor->text == '\\') {
			if (skip_continuation(cursor))
				continue;
			if (cursor->text[1] && strchr("\"\\`$", cursor->text[1]))
				(void)take(cursor);
		}
		*cursor->out++ = take(cursor);
	}
	(void)take(cursor);
	return 0;
}

/* Up to the end of the line; blanks at the end go, unless a backslash keeps them. */
static void take_plain(struct cursor *cursor)
{
	char *end = cursor->out;
	while (*cursor->text && *cursor->text != '\n') {
		if (*cursor->text == '\\') {
			if (skip_continuation(cursor))
				continue;
			(void)take(cursor);
			if (!*cursor->text)
				break;
			*cursor->out++ = take(cursor);
			end = cursor->out;
			continue;
		}
		bool is_blank = strchr(BLANKS, *cursor->text) != NULL;
		*cursor->out++ = take(cursor);
		if (!is_blank)
			end = cursor->out;
	}
	cursor->out = end;
}

/* What follows "NAME=": quoted parts first, then plain text. */
static int take_value(struct cursor *cursor, struct error *error)
{
	for (;;) {
		while (*cursor->text && strchr(BLANKS, *cursor->text))
			(void)take(cursor);
		if (*cursor->text != '"' && *cursor->text != '\'')
			break;
		int r = take_quoted(cursor, take(cursor), error);
		if (r < 0)
			return r;
	}
	take_plain(cursor);
	return 0;
}

/* One line, and those that belong to it. *ret_found: there is an assignment at @out. */
static int take_assignment(struct cursor *cursor, char *out, bool *ret_found, struct error *error)
{
	*ret_found = false;
	while (*cursor->text && strchr(" \t\r\n", *cursor->text))
		(void)take(cursor);
	unsigned line = cursor->line;
	size_t n_name = strcspn(cursor->text, "=\n");
	if (cursor->text[0] == '#' || cursor->text[0] == ';' || cursor->text[n_name] != '=') {
		skip_line(cursor);
		return 0;
	}
	const char *value = cursor->text + n_name + 1;
	while (n_name > 0 && strchr(BLANKS, cursor->text[n_name - 1]))
		n_name--;
	cursor->out = mempcpy(out, cursor->text, n_name);
	*cursor->out++ = '=';
	cursor->text = value;
	int r = take_value(cursor, error);
	if (r < 0)
		return r;
	*cursor->out = '\0';
	r = value_check_assignment(out, error);
	if (r < 0)
		return error_prefix(error, r, "%s:%u", cursor->path, line);
	*ret_found = true;
	return 0;
}

int environment_file_parse(const char *path, const char *text, char ***ret_words,
			   struct error *error)
{
	CLEANUP(words_freep) char **words = calloc(1, sizeof(*words));
	CLEANUP(freep) char *out = malloc(strlen(text) + 1);
	if (!words || !out)
		return error_set(error, -ENOMEM, "%s: out of memory", path);
	struct cursor cursor = { .path = path, .text = text, .line = 1 };
	size_t n_words = 0;
	while (*cursor.text) {
		bool found;
		int r = take_assignment(&cursor, out, &found, error);
		if (r == 0 && found)
			r = words_push(&words, n_words++, out);
		if (r == -ENOMEM)
			return error_set(error, r, "%s: out of memory", path);
		if (r < 0)
			return r;
	}
	*ret_words = TAKE_PTR(words);
	return 0;
}

int environment_file_read(const char *path, char ***ret_words, struct error *error)
{
	CLEANUP(freep) char *text = NULL;
	size_t length;
	int r = config_file_read(path, &text, &length, error);
	if (r < 0)
		return r;
	return environment_file_parse(path, text, ret_words, error);
}
