#include "supervisor/config_lines.h"

#include <stdio.h>
#include <string.h>

#include "supervisor/config.h"
#include "supervisor/config_file.h"

enum { SHOWN_BYTES = 60 }; /* of a broken line, in its message */

void config_lines_finish(struct config_lines *lines)
{
	free(lines->text);
	free(lines->starts);
	free(lines->broken);
	free(lines->headers);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_comment(const char *line)
{
	return line[0] == '#' || line[0] == ';';
}

/* Whether an odd number of backslashes ends the line, as systemd counts. */
static bool is_continued(const char *line, size_t length)
{
	size_t backslashes = 0;
	while (backslashes < length && line[length - 1 - backslashes] == '\\')
		backslashes++;
	return backslashes % 2 == 1;
}

/* Cuts the next line out of *text, without blanks before it and a carriage return after it. */
static char *next_line(char **text, size_t *ret_length)
{
	char *line = *text, *end = strchr(line, '\n');
	*text = end ? end + 1 : line + strlen(line);
	if (end)
		*end = '\0';
	while (is_blank(*line))
		line++;
	size_t length = strlen(line);
	if (length > 0 && line[length - 1] == '\r')
		line[--length] = '\0';
	*ret_length = length;
	return line;
}

/* Joins into lines->text, which is as large as @text: "\⏎" becomes " " there and "⏎" later. */
static void join_lines(struct config_lines *lines, char *text)
{
	char *out = lines->text;
	unsigned owed = 0; /* newlines of the lines that went into the present one */
	bool continues = false;
	while (*text) {
		size_t length;
		const char *line = next_line(&text, &length);
		if (!continues)
			lines->starts[lines->n_lines] = out;
		bool skipped = continues && is_comment(line);
		if (!skipped) {
			continues = (continues || !is_comment(line)) && is_continued(line, length);
			out = mempcpy(out, line, length);
			if (continues)
				out[-1] = ' ';
		}
		if (continues && *text) {
			owed++;
			continue;
		}
		*out++ = '\n';
		lines->n_lines++;
		for (; owed > 0; owed--) {
			lines->starts[lines->n_lines++] = out;
			*out++ = '\n';
		}
	}
	*out = '\0';
	lines->length = (size_t)(out - lines->text);
}

int config_lines_init(struct config_lines *lines, const char *path, char *text, size_t length,
		      struct problems *problems)
{
	size_t newlines = 0;
	for (size_t i = 0; i < length; i++)
		newlines += text[i] == '\n';
	*lines = (struct config_lines){
		.path = path,
		.text = malloc(length + 2), /* a last newline, and NUL */
		.starts = calloc(newlines + 1, sizeof(*lines->starts)),
		.broken = calloc(newlines + 1, sizeof(*lines->broken)),
		.headers = calloc(newlines + 1, sizeof(*lines->headers)),
		.problems = problems,
	};
	if (!lines->text || !lines->starts || !lines->broken || !lines->headers)
		return -ENOMEM;
	join_lines(lines, text);
	return 0;
}

static size_t line_length(const char *line)
{
	return strcspn(line, "\n");
}

void config_lines_blank(struct config_lines *lines, unsigned line)
{
	bool is_header = lines->starts[line - 1][0] == '[';
	do {
		lines->broken[line - 1] = true;
		if (line_length(lines->starts[line - 1]) > 0)
			lines->starts[line - 1][0] = '#';
		line++;
	} while (is_header && line <= lines->n_lines && lines->starts[line - 1][0] != '[');
}

void config_lines_report(struct config_lines *lines, unsigned line, const char *what)
{
	const char *text = lines->starts[line - 1];
	size_t length = line_length(text), shown = length < SHOWN_BYTES ? length : SHOWN_BYTES;
	problems_add(lines->problems, "%s:%u: %.*s%s: %s", lines->path, line,
		     (int)utf8_prefix(text, shown), text, shown < length ? "…" : "", what);
}

static bool has_control_character(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (((unsigned char)text[i] < ' ' && text[i] != '\t') || text[i] == '\x7f')
			return true;
	return false;
}

/* The inside of a header, without blanks around it. False when the line is none. */
static bool header_name(const char *line, const char **ret_name, size_t *ret_length)
{
	const char *end = memrchr(line, ']', line_length(line));
	if (line[0] != '[' || !end)
		return false;
	const char *name = line + 1;
	while (is_blank(*name))
		name++;
	while (end > name && is_blank(end[-1]))
		end--;
	*ret_name = name;
	*ret_length = (size_t)(end - name);
	return true;
}

/* The library refuses a whole file, without a line, for a name with one of these. */
static bool has_strange_name(const char *line, size_t length)
{
	const char *name = line;
	size_t n_name;
	if (!header_name(line, &name, &n_name)) {
		const char *equals = memchr(line, '=', length);
		n_name = equals ? (size_t)(equals - line) : 0; /* the library will say */
		while (n_name > 0 && is_blank(name[n_name - 1]))
			n_name--;
	}
	for (size_t i = 0; i < n_name; i++)
		if (name[i] < ' ' || name[i] > '~' || name[i] == '!')
			return true;
	return false;
}

/* The line of the header with this name, 0 when there is none. */
static unsigned find_header(const struct config_lines *lines, const char *name, size_t length,
			    int (*compare)(const char *, const char *, size_t))
{
	const char *found;
	size_t found_length;
	for (unsigned i = 0; i < lines->n_headers; i++)
		if (header_name(lines->starts[lines->headers[i] - 1], &found, &found_length) &&
		    found_length == length && compare(found, name, length) == 0)
			return lines->headers[i];
	return 0;
}

/* The library takes names for the same whatever their case, and merges such sections. */
static void add_header(struct config_lines *lines, unsigned line)
{
	const char *name;
	size_t length;
	char what[64];
	if (!header_name(lines->starts[line - 1], &name, &length))
		return;
	unsigned first = find_header(lines, name, length, strncasecmp);
	if (first == 0) {
		lines->headers[lines->n_headers++] = line;
		return;
	}
	(void)snprintf(what, sizeof(what), "given twice, first on line %u", first);
	config_lines_report(lines, line, what);
}

/* What is wrong with a line, NULL when nothing is that the library would not see. */
static const char *check_line(const char *text, bool in_section)
{
	size_t length = line_length(text);
	if (has_control_character(text, length))
		return "a control character in a line of text";
	if (has_strange_name(text, length))
		return "no section or key has such a name";
	if (text[0] != '[' && !in_section)
		return "before any [Section]";
	return NULL;
}

bool config_lines_check(struct config_lines *lines)
{
	bool in_section = false;
	if (lines->n_lines > CONFIG_MAX_LINES) {
		problems_add(lines->problems, "%s: %u lines; allowed: up to %d", lines->path,
			     lines->n_lines, CONFIG_MAX_LINES);
		return false;
	}
	for (unsigned line = 1; line <= lines->n_lines; line++) {
		const char *text = lines->starts[line - 1];
		if (line_length(text) == 0 || is_comment(text))
			continue;
		in_section |= text[0] == '[';
		const char *wrong = check_line(text, in_section);
		if (wrong) {
			config_lines_report(lines, line, wrong);
			config_lines_blank(lines, line);
		} else {
			add_header(lines, line);
		}
	}
	return true;
}

unsigned config_lines_find_section(const struct config_lines *lines, const char *name)
{
	return find_header(lines, name, strlen(name), strncmp);
}
