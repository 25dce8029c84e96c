/*
 * Text from workers, peers and files, made fit for an operator's terminal and for one line of a
 * log: control characters (also C1 and those that turn the direction of text) and bytes that are
 * not UTF-8 become escapes such as \n and \x1b; all else stays. Pure.
 */
#ifndef HANDOVER_SUPERVISOR_PRINTABLE_H
#define HANDOVER_SUPERVISOR_PRINTABLE_H

#include <stddef.h>
#include <stdint.h>

enum { PRINTABLE_MIN_SIZE = 8, PRINTABLE_PIECE_MAX = 8 };

/* One character of a text, or one byte of what is no harmless character, as it is shown. */
struct printable_piece {
	char bytes[PRINTABLE_PIECE_MAX];
	size_t n_bytes, n_taken; /* bytes shown, bytes of the text that they stand for */
	uint32_t character;	 /* 0: it was escaped, in as many columns as bytes */
};

/* The first piece of @text, which is not empty. */
struct printable_piece printable_next(const char *text);

/* Writes @text into @buffer (@size bytes, at least PRINTABLE_MIN_SIZE), NUL-terminated; what does
 * not fit is cut with "…". Returns the length written. */
size_t printable(const char *text, char *buffer, size_t size);

#endif
