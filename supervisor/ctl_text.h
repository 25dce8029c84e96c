/*
 * Text for people: durations in their words, time spans as they type them, and whatever came from
 * the other side made harmless before a terminal sees it. Pure: no state, no locale (output is
 * UTF-8 always, so that a deploy script's LC_ALL=C changes nothing).
 */
#ifndef HANDOVER_SUPERVISOR_CTL_TEXT_H
#define HANDOVER_SUPERVISOR_CTL_TEXT_H

#include <stdint.h>
#include <stdio.h>

enum { DURATION_TEXT_MAX = 48 };

/* "0.3 ms", "350 ms", "1.4 s", "42 s", "5 min 3 s", "2 h 13 min", "3 d 4 h". Returns @text. */
const char *text_duration(uint64_t duration_usec, char text[static DURATION_TEXT_MAX]);

/* From @since_usec to @now_usec in the same words; a clock that was set back gives 0. */
const char *text_elapsed(uint64_t now_usec, int64_t since_usec,
			 char text[static DURATION_TEXT_MAX]);

/* A time span as in systemd.time(7): "20", "1.5", "500ms", "2min", "1h 30min". Returns 0, -EINVAL
 * when it is none, -ERANGE when it is more than 2^63 - 1 microseconds. */
int text_parse_span(const char *text, uint64_t *ret_usec);

/*
 * Prints @text with everything that could steer a terminal as an escape such as \x1b (printable.h;
 * a tab too), and at most @columns_max columns of it, cut with "…". Returns the columns printed.
 */
size_t text_print(FILE *out, const char *text, size_t columns_max);

/* The columns that text_print() would take for all of it. */
size_t text_width(const char *text);

#endif
