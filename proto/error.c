#include "proto/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char ELLIPSIS[] = "…";

static void error_vformat(char text[ERROR_TEXT_MAX], const char *format, va_list arguments)
{
	int length = vsnprintf(text, ERROR_TEXT_MAX, format, arguments);
	if (length < ERROR_TEXT_MAX)
		return;
	/* Cut at a character, not within one: step back over UTF-8 continuation bytes. */
	size_t cut = ERROR_TEXT_MAX - sizeof(ELLIPSIS);
	while (cut > 0 && ((unsigned char)text[cut] & 0xc0) == 0x80)
		cut--;
	memcpy(text + cut, ELLIPSIS, sizeof(ELLIPSIS));
}

int error_set(struct error *error, int code, const char *format, ...)
{
	if (!error)
		return code;
	va_list arguments;
	va_start(arguments, format);
	error_vformat(error->text, format, arguments);
	va_end(arguments);
	return code;
}

int error_prefix(struct error *error, int code, const char *format, ...)
{
	if (!error)
		return code;
	struct error prefix, before = *error;
	va_list arguments;
	va_start(arguments, format);
	error_vformat(prefix.text, format, arguments);
	va_end(arguments);
	return error_set(error, code, "%s: %s", prefix.text, before.text);
}
