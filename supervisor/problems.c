#include "supervisor/problems.h"

#include <stdarg.h>
#include <stdio.h>

void problems_finish(struct problems *problems)
{
	for (size_t i = 0; i < problems->n_lines; i++)
		free(problems->lines[i]);
	free(problems->lines);
	*problems = (struct problems){ 0 };
}

void problems_add(struct problems *problems, const char *format, ...)
{
	char *line;
	va_list arguments;
	va_start(arguments, format);
	int length = vasprintf(&line, format, arguments);
	va_end(arguments);
	if (length < 0)
		return;
	/* A line each: what was quoted in it must not break it, nor steer a terminal. */
	for (char *c = line; *c; c++)
		if ((unsigned char)*c < ' ' || *c == '\x7f')
			*c = '?';
	char **larger = reallocarray(problems->lines, problems->n_lines + 1, sizeof(*larger));
	if (!larger) {
		free(line);
		return;
	}
	problems->lines = larger;
	problems->lines[problems->n_lines++] = line;
}
