#include "proto/json_text.h"

#include <stdbool.h>
#include <string.h>

#include "proto/base.h"

static const char REPLACEMENT[] = "\xef\xbf\xbd";

/* The allowed second byte depends on the first: no overlong forms, no surrogates, nothing beyond
 * U+10FFFF (Unicode Standard 3.9, table 3-7). */
static const struct utf8_lead {
	unsigned char first, last, second_first, second_last;
	size_t length;
} UTF8_LEADS[] = {
	{ 0x01, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
	{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
	{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
};

/* The length of the character at @text, or of what can be no part of one. */
static size_t utf8_next(const unsigned char *text, size_t n_bytes, bool *ret_valid)
{
	*ret_valid = false;
	for (size_t i = 0; i < ARRAY_SIZE(UTF8_LEADS); i++) {
		const struct utf8_lead *lead = &UTF8_LEADS[i];
		if (text[0] < lead->first || text[0] > lead->last)
			continue;
		size_t length = 1;
		unsigned char first = lead->second_first, last = lead->second_last;
		while (length < lead->length && length < n_bytes && text[length] >= first &&
		       text[length] <= last) {
			length++;
			first = 0x80;
			last = 0xbf;
		}
		*ret_valid = length == lead->length;
		return length;
	}
	return 1;
}

json_t *json_text(const char *bytes, size_t n_bytes)
{
	if (n_bytes >= SIZE_MAX / (sizeof(REPLACEMENT) - 1))
		return NULL;
	/* Each replacement is three bytes and replaces at least one. */
	CLEANUP(freep) char *text = malloc(n_bytes * (sizeof(REPLACEMENT) - 1) + 1);
	if (!text)
		return NULL;
	size_t n_text = 0;
	for (size_t i = 0; i < n_bytes;) {
		bool valid;
		size_t length = utf8_next((const unsigned char *)bytes + i, n_bytes - i, &valid);
		const char *from = valid ? bytes + i : REPLACEMENT;
		size_t n_from = valid ? length : sizeof(REPLACEMENT) - 1;
		memcpy(text + n_text, from, n_from);
		n_text += n_from;
		i += length;
	}
	return json_stringn_nocheck(text, n_text);
}

size_t json_text_fit(const char *text, size_t n_bytes, size_t max_bytes)
{
	if (n_bytes <= max_bytes)
		return n_bytes;
	/* At most three continuation bytes belong to one character; more are no text anyway. */
	size_t fit = max_bytes;
	while (fit > 0 && max_bytes - fit < 3 && ((unsigned char)text[fit] & 0xc0) == 0x80)
		fit--;
	return fit;
}
