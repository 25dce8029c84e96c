/*
 * Bytes that came from anywhere (a worker's output, argv, a path) as text that JSON can carry.
 * Stateless.
 */
#ifndef HANDOVER_PROTO_JSON_TEXT_H
#define HANDOVER_PROTO_JSON_TEXT_H

#include <jansson.h>
#include <stddef.h>

/* A JSON string of the @n_bytes at @bytes, in which U+FFFD stands for each NUL and for each
 * sequence that is not UTF-8 (a maximal part of one that is cut short counts as one, as in the
 * Unicode Standard 3.9, table 3-8). NULL without memory. */
json_t *json_text(const char *bytes, size_t n_bytes);

/* How much of the @n_bytes at @text fits into @max_bytes without cutting a character in two. */
size_t json_text_fit(const char *text, size_t n_bytes, size_t max_bytes);

#endif
