/*
 * A text file that configuration comes from, read whole. Stateless; the caller owns the text.
 */
#ifndef HANDOVER_SUPERVISOR_CONFIG_FILE_H
#define HANDOVER_SUPERVISOR_CONFIG_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/error.h"

#ifndef CONFIG_FILE_MAX_BYTES
#define CONFIG_FILE_MAX_BYTES (1024 * 1024)
#endif

/*
 * Reads the regular file at @path: text in UTF-8 without NUL bytes, at most CONFIG_FILE_MAX_BYTES;
 * a byte order mark is left out. Never waits (a FIFO is refused). Returns 0; -ENOENT when there is
 * none; -EINVAL or another negative errno; @error begins with "PATH: " or "PATH:LINE: ".
 * *ret_text ends in a NUL that *ret_length does not count.
 */
int config_file_read(const char *path, char **ret_text, size_t *ret_length, struct error *error);

/* How many of the @length bytes at @text are well-formed UTF-8 (Unicode Standard, table 3-7). */
size_t utf8_prefix(const char *text, size_t length);

#endif
