/*
 * A file of environment variables, in the format of EnvironmentFile= in systemd.exec(5):
 *
 *   NAME=value           blanks around the value go, those within stay; \x is x
 *   NAME='value'         as it stands, over several lines if need be
 *   NAME="value"         \" \\ \` \$ lose their backslash; over several lines if need be
 *   # or ; …             a comment; a line without `=` means nothing
 *
 * A backslash at the end of a line continues it. Unlike systemd, which skips them with a warning,
 * names that are none and quotes that nobody closes are errors.
 */
#ifndef HANDOVER_SUPERVISOR_ENVIRONMENT_FILE_H
#define HANDOVER_SUPERVISOR_ENVIRONMENT_FILE_H

#include "proto/error.h"

/* Reads the file into a NULL-terminated list of "NAME=VALUE" (words_free()). Returns 0; -ENOENT
 * when there is none; -EINVAL or another negative errno; @error begins with "PATH: " or
 * "PATH:LINE: ". */
int environment_file_read(const char *path, char ***ret_words, struct error *error);

/* The same from @text, a string. */
int environment_file_parse(const char *path, const char *text, char ***ret_words,
			   struct error *error);

#endif
