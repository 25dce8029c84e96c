/*
 * All that is wrong with something that was read, a line each, ready to print: so that whoever mends it
 * learns everything at once. Owner: whoever asked for the reading; problems_finish().
 */
#ifndef HANDOVER_SUPERVISOR_PROBLEMS_H
#define HANDOVER_SUPERVISOR_PROBLEMS_H

#include <stddef.h>

#include "proto/base.h"

struct problems {
	char **lines;
	size_t n_lines;
};
void problems_finish(struct problems *problems);

/* Appends one formatted line; silently keeps what it has when there is no memory. */
void problems_add(struct problems *problems, const char *format, ...) PRINTF(2, 3);

#endif
