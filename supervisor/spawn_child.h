/*
 * What happens in a new process between clone(2) and execve(2); private to spawn.c. The child runs
 * in its parent's memory while the parent waits for it (CLONE_VM | CLONE_VFORK), so everything is
 * prepared before, and here are only raw system calls: glibc's setuid(3) would signal threads that
 * are not ours, malloc(3) could find its lock taken, a sanitizer would take our stack for another.
 * What goes wrong is written to a pipe that closes on exec: right also where memory is not shared
 * after all, as under valgrind(1), which makes a fork(2) of this.
 */
#ifndef HANDOVER_SUPERVISOR_SPAWN_CHILD_H
#define HANDOVER_SUPERVISOR_SPAWN_CHILD_H

#include <stdbool.h>
#include <stddef.h>

struct spec;

enum spawn_step {
	SPAWN_STEP_GROUP,
	SPAWN_STEP_DESCRIPTORS,
	SPAWN_STEP_LIMITS,
	SPAWN_STEP_GROUPS,
	SPAWN_STEP_GID,
	SPAWN_STEP_UID,
	SPAWN_STEP_DIRECTORY,
	SPAWN_STEP_EXEC,
};

/* Digits of a pid, with the NUL; PID_MAX_LIMIT is 4194304. */
enum { SPAWN_PID_MAX = 12 };

struct spawn_child {
	const struct spec *spec;
	/* Source of each descriptor 0 … n_fds - 1, any numbers in any order; changed here. */
	int *fds;
	size_t n_fds;
	int executable_fd, directory_fd, report_fd;
	bool by_descriptor; /* the path names another file by now */
	char **argv, **environment;
	char *pid_texts[2]; /* in @environment, to be filled in here; NULL: none */
};

/* What is written to @report_fd. */
struct spawn_report {
	enum spawn_step step;
	int failed_errno;
};

/* For clone(3); @data is a struct spawn_child. Does not return. */
int spawn_child(void *data);

#endif
