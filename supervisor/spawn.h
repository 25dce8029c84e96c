/*
 * Starts one process: clone(2) with CLONE_VM | CLONE_VFORK | CLONE_PIDFD on a stack of its own
 * (from a large parent this is far cheaper than fork(2), and works under RestrictNamespaces=, where
 * clone3 does not). Signals are blocked across it; in the child only raw system calls, since it
 * shares our memory until it execs. One struct spawn_plan lists all that the child will own: it
 * gets these descriptors, default signal dispositions, an empty mask, a process group of its own,
 * and nothing else.
 */
#ifndef HANDOVER_SUPERVISOR_SPAWN_H
#define HANDOVER_SUPERVISOR_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "proto/error.h"

struct spec;

struct spawn_plan {
	const struct spec *spec;
	int output_fd;	       /* becomes 1 and 2; 0 is /dev/null */
	const int *listen_fds; /* become 3, 4, … without O_CLOEXEC */
	const char **listen_names;
	size_t n_listen_fds;
	int channel_fd; /* the next number after them: HANDOVER_FD */
	/* NAME=VALUE strings that differ from worker to worker, over the spec's environment:
	 * NOTIFY_SOCKET, HANDOVER_*, WATCHDOG_USEC. LISTEN_FDS, LISTEN_FDNAMES, LISTEN_PID,
	 * WATCHDOG_PID and HANDOVER_FD are added by spawn() itself (the pids in the child). */
	const char *const *variables;
	size_t n_variables;
	bool watchdog; /* WATCHDOG_PID is wanted */
};

struct spawned {
	pid_t pid;
	int pidfd; /* owned by the caller */
};

/* Returns 0 once the child has exec'ed. When it could not (exec format, interpreter, limits,
 * identity, …) the child is reaped here, and a negative errno is returned with @error's text that
 * names the step and what to do. The parent's dumpable flag, signal mask and errno are as
 * before. */
int spawn(const struct spawn_plan *plan, struct spawned *ret_spawned, struct error *error);

/* Signals the process group of a child that has not been reaped yet (also a zombie's, so that
 * nothing that it left behind lives on). Returns 0 or a negative errno; -ESRCH is 0. */
int spawn_kill_group(pid_t pid, int signal);

/* How a child ended. */
struct exit_status {
	int code;   /* exit status, or -1 when a signal ended it */
	int signal; /* 0, or the signal */
	bool core_dumped;
};
/* Reaps (waitid(2), P_PIDFD). Returns 0, -EAGAIN while it lives, or another negative errno. */
int spawn_reap(int pidfd, struct exit_status *ret_status);

/* "exited with status 3", "killed by SIGSEGV (core dumped)". Returns @text. */
enum { EXIT_STATUS_TEXT_MAX = 64 };
const char *exit_status_format(const struct exit_status *status,
			       char text[static EXIT_STATUS_TEXT_MAX]);
/* "SIGSEGV", "SIGRTMIN+3"; for any number. Returns @text. */
enum { SIGNAL_NAME_MAX = 32 };
const char *signal_name(int signal, char text[static SIGNAL_NAME_MAX]);

#endif
