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

size_t printable(const char *text, char *buffer, size_t size)
{
	assert(size >= PRINTABLE_MIN_SIZE);
	const unsigned char *in = (const unsigned char *)text;
	size_t n = 0, cut = 0; /* @cut: the last length after which the ellipsis still fits */
	while (*in) {
		uint32_t character = 0;
		size_t taken = utf8_decode(in, &character), made;
		char piece[16];
		if (taken > 0 && is_harmless(character)) {
			memcpy(piece, in, taken);
			made = taken;
		} else if (*in == '\n' || *in == '\r') {
			memcpy(piece, *in == '\n' ? "\\n" : "\\r", 2);
			made = 2;
			taken = 1;
		} else { /* byte by byte, so that nothing of a doubtful character is left */
			made = (size_t)snprintf(piece, sizeof(piece), "\\x%02x", *in);
			taken = 1;
		}
		if (n + made >= size) {
			memcpy(buffer + cut, ELLIPSIS, sizeof(ELLIPSIS));
			return cut + sizeof(ELLIPSIS) - 1;
		}
		memcpy(buffer + n, piece, made);
		n += made;
		in += taken;
		if (n + sizeof(ELLIPSIS) <= size)
			cut = n;
	}
	buffer[n] = '\0';
	return n;
}
