#include "supervisor/printable.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const char ELLIPSIS[] = "…";

/* Returns how many bytes the character at @text takes, 0 when it is not UTF-8 (RFC 3629: shortest
 * form, no surrogates, at most U+10FFFF). Stops at the NUL, which continues nothing. */
static size_t utf8_decode(const unsigned char *text, uint32_t *ret_character)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char first = text[0];
	size_t length = first < 0x80		 ? 1
			: (first & 0xe0) == 0xc0 ? 2
			: (first & 0xf0) == 0xe0 ? 3
			: (first & 0xf8) == 0xf0 ? 4
						 : 0;
	if (length == 0)
		return 0;
	uint32_t character = length == 1 ? first : first & (0xffu >> (length + 1));
	for (size_t i = 1; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		character = character << 6 | (text[i] & 0x3fu);
	}
	if (length > 1 && character < least[length])
		return 0;
	if (character > 0x10ffff || (character >= 0xd800 && character <= 0xdfff))
		return 0;
	*ret_character = character;
	return length;
}

static bool is_harmless(uint32_t character)
{
	if (character == '\t')
		return true;
	if (character < 0x20 || (character >= 0x7f && character <= 0x9f))
		return false;
	/* Line and paragraph separators, and marks that reorder what stands around them. */
	return !(character == 0x200e || character == 0x200f || character == 0x061c ||
		 (character >= 0x2028 && character <= 0x202e) ||
		 (character >= 0x2066 && character <= 0x2069));
}

struct printable_piece printable_next(const char *text)
{
	const unsigned char *in = (const unsigned char *)text;
	struct printable_piece piece = { .n_taken = 1, .n_bytes = 2 };
	uint32_t character = 0;
	size_t taken = utf8_decode(in, &character);
	if (taken > 0 && is_harmless(character)) {
		memcpy(piece.bytes, in, taken);
		piece.n_bytes = piece.n_taken = taken;
		piece.character = character;
	} else if (*in == '\n' || *in == '\r') {
		memcpy(piece.bytes, *in == '\n' ? "\\n" : "\\r", 2);
	} else { /* byte by byte, so that nothing of a doubtful character is left */
		piece.n_bytes = (size_t)snprintf(piece.bytes, sizeof(piece.bytes), "\\x%02x", *in);
	}
	return piece;
}

size_t printable(const char *text, char *buffer, size_t size)
{
	assert(size >= PRINTABLE_MIN_SIZE);
	size_t n = 0, cut = 0; /* @cut: the last length after which the ellipsis still fits */
	while (*text) {
		struct printable_piece piece = printable_next(text);
		if (n + piece.n_bytes >= size) {
			memcpy(buffer + cut, ELLIPSIS, sizeof(ELLIPSIS));
			return cut + sizeof(ELLIPSIS) - 1;
		}
		memcpy(buffer + n, piece.bytes, piece.n_bytes);
		n += piece.n_bytes;
		text += piece.n_taken;
		if (n + sizeof(ELLIPSIS) <= size)
			cut = n;
	}
	buffer[n] = '\0';
	return n;
}
