/*
 * Included before each file that clang-tidy reads, never compiled: what its analyzer cannot know by
 * itself, so that "0 or -errno" is no riddle to it. After a failed call errno is above 0, and what
 * error_set() returns is the code that it was given.
 */
#ifndef HANDOVER_TESTS_ANALYSIS_H
#define HANDOVER_TESTS_ANALYSIS_H

#include <errno.h>

#include "proto/error.h"

static inline int *analysis_errno(void)
{
	int *location = __errno_location();
	if (*location <= 0)
		__builtin_unreachable();
	return location;
}

#undef errno
#define errno			       (*analysis_errno())
#define error_set(error, code, ...)    ((void)error_set(error, code, __VA_ARGS__), (code))
#define error_prefix(error, code, ...) ((void)error_prefix(error, code, __VA_ARGS__), (code))

#endif
