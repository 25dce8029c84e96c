/*
 * The text of a configuration file as libini_config is to see it: one logical line each, at its
 * place in the file.
 *
 * Lines that `\` continues are joined (systemd.syntax(7): the backslash and the newline become a
 * space, comments in between are skipped), leaving as many empty ones, so that line numbers stay.
 * Blanks before a line and carriage returns after it go.
 *
 * Lives while its file is parsed. Borrows the path and the problems.
 */
#ifndef HANDOVER_SUPERVISOR_CONFIG_LINES_H
#define HANDOVER_SUPERVISOR_CONFIG_LINES_H

#include <stdbool.h>
#include <stddef.h>

struct problems;

/* In one file. The library's time grows with the square of the sections, and its memory with each
 * line, be it empty. */
#ifndef CONFIG_MAX_LINES
#define CONFIG_MAX_LINES 2000
#endif

struct config_lines {
	const char *path;
	char *text;
	size_t length;
	char **starts; /* into text; [0] is line 1 */
	bool *broken;  /* reported already */
	unsigned n_lines;
	unsigned *headers; /* the lines of section headers, once checked */
	unsigned n_headers;
	struct problems *problems;
};

/* Joins the lines of @text (@length bytes without a NUL, and one after them), which is cut up.
 * Returns 0 or -ENOMEM. */
int config_lines_init(struct config_lines *lines, const char *path, char *text, size_t length,
		      struct problems *problems);
void config_lines_finish(struct config_lines *lines);

/* Reports what the library would not, or not by its line: sections given twice, assignments before
 * any section, names and characters that it chokes on. What is broken is blanked. Returns false
 * when there are far too many lines: nothing is to be parsed. */
bool config_lines_check(struct config_lines *lines);

/* Adds the problem "PATH:LINE: its text: @what". */
void config_lines_report(struct config_lines *lines, unsigned line, const char *what);

/* Makes a comment of the line, and of all that follows a broken section header: what stands there
 * must not count as the section's before. */
void config_lines_blank(struct config_lines *lines, unsigned line);

/* The line of the header "[@name]", 0 when there is none. */
unsigned config_lines_find_section(const struct config_lines *lines, const char *name);

#endif
