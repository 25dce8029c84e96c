/*
 * An error for people: bounded text that says what, where and what to do, beside the errno for
 * programs. Filled by the function that knows the circumstances, printed by whoever has a reader.
 */
#ifndef HANDOVER_PROTO_ERROR_H
#define HANDOVER_PROTO_ERROR_H

#include "proto/base.h"

enum { ERROR_TEXT_MAX = 1024 };

struct error {
	char text[ERROR_TEXT_MAX];
};

/* Sets @error's text (@error may be NULL; what is too long is cut with "…") and returns @code, a
 * negative errno, so that a caller can `return error_set(error, -EINVAL, "…")`. */
int error_set(struct error *error, int code, const char *format, ...) PRINTF(3, 4);

/* Puts "prefix: " before the text that is there already. Returns @code. */
int error_prefix(struct error *error, int code, const char *format, ...) PRINTF(3, 4);

#endif
