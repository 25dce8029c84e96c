/*
 * Text from workers, peers and files, made fit for an operator's terminal and for one line of a
 * log: control characters (also C1 and those that turn the direction of text) and bytes that are
 * not UTF-8 become escapes such as \n and \x1b; all else stays. Pure.
 */
#ifndef HANDOVER_SUPERVISOR_PRINTABLE_H
#define HANDOVER_SUPERVISOR_PRINTABLE_H

#include <stddef.h>

enum { PRINTABLE_MIN_SIZE = 8 };

/* Writes @text into @buffer (@size bytes, at least PRINTABLE_MIN_SIZE), NUL-terminated; what does
 * not fit is cut with "…". Returns the length written. */
size_t printable(const char *text, char *buffer, size_t size);

#endif
