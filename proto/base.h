/*
 * The few idioms that every file uses: ownership by scope, explicit takes, container_of.
 *
 * A descriptor variable starts at -1 and a pointer at NULL; what CLEANUP releases is what is still
 * there when the scope ends. TAKE_PTR and TAKE_FD hand the value on and leave the variable empty.
 */
#ifndef HANDOVER_PROTO_BASE_H
#define HANDOVER_PROTO_BASE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(function)	      __attribute__((cleanup(function)))
#define PRINTF(format_arg, first_arg) __attribute__((format(printf, format_arg, first_arg)))

#define ARRAY_SIZE(array)	      (sizeof(array) / sizeof((array)[0]))

/* clang-format off */
#define container_of(pointer, type, member) __extension__({ \
	const __typeof__(((type *)0)->member) *member_pointer_ = (pointer); \
	(type *)(void *)((char *)(uintptr_t)member_pointer_ - offsetof(type, member)); })

#define TAKE_PTR(pointer) __extension__({ \
	__typeof__(pointer) *taken_from_ = &(pointer), taken_ = *taken_from_; \
	*taken_from_ = NULL; \
	taken_; })

#define TAKE_FD(fd) __extension__({ \
	int *taken_from_ = &(fd), taken_ = *taken_from_; \
	*taken_from_ = -1; \
	taken_; })
/* clang-format on */

/* Closes @fd unless it is negative; errno is kept. Returns -1, to be assigned back. */
static inline int fd_close(int fd)
{
	if (fd >= 0) {
		int saved = errno;
		(void)close(fd);
		errno = saved;
	}
	return -1;
}

/* For CLEANUP: `CLEANUP(fd_closep) int fd = -1;` */
static inline void fd_closep(const int *fd)
{
	(void)fd_close(*fd);
}

/* For CLEANUP on any heap pointer: `CLEANUP(freep) char *text = NULL;` */
static inline void freep(void *pointer)
{
	free(*(void **)pointer);
}

#endif
