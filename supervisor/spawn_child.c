#include "supervisor/spawn_child.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/base.h"
#include "supervisor/spec.h"

/* On 32-bit machines the plain names are the calls with 16-bit ids. */
#ifdef SYS_setresuid32
#define RAW_SETGROUPS SYS_setgroups32
#define RAW_SETRESGID SYS_setresgid32
#define RAW_SETRESUID SYS_setresuid32
#else
#define RAW_SETGROUPS SYS_setgroups
#define RAW_SETRESGID SYS_setresgid
#define RAW_SETRESUID SYS_setresuid
#endif

/* The stack is not the one that the sanitizer knows, and is never unwound. */
#define IN_CHILD __attribute__((no_sanitize("address", "undefined"), noinline))

enum { KERNEL_SIGSET_BYTES = (NSIG - 1) / 8 };

IN_CHILD static void fail(const struct spawn_child *child, enum spawn_step step)
{
	const struct spawn_report report = { .step = step, .failed_errno = errno };
	(void)syscall(SYS_write, child->report_fd, &report, sizeof(report));
	/* Not _exit(): a sanitizer would unpoison "the stack" before it. */
	for (;;)
		(void)syscall(SYS_exit_group, 127);
}

/* All signals are blocked now. Handlers must be gone before the mask is emptied, since they would
 * run in the parent's memory; ignored signals would stay ignored across execve(2). */
IN_CHILD static void reset_dispositions(void)
{
	/* struct sigaction as the kernel has it: SIG_DFL, no flags, an empty mask, in any layout. */
	static const unsigned long defaults[8];
	for (int number = 1; number < NSIG; number++)
		(void)syscall(SYS_rt_sigaction, number, defaults, NULL, KERNEL_SIGSET_BYTES);
}

IN_CHILD static void empty_mask(void)
{
	static const unsigned long empty[2];
	(void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, empty, NULL, KERNEL_SIGSET_BYTES);
}

/* Moves @fd out of the way of the numbers below @first. */
IN_CHILD static int move_up(struct spawn_child *child, int fd, size_t first)
{
	if (fd < 0 || (size_t)fd >= first)
		return fd;
	long moved = syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, first);
	if (moved < 0 && errno == EINVAL) /* @first itself is beyond RLIMIT_NOFILE */
		errno = EMFILE;
	if (moved < 0)
		fail(child, SPAWN_STEP_DESCRIPTORS);
	return (int)moved;
}

/* First every source is moved above all targets, so that no target overwrites a source. */
IN_CHILD static void arrange_descriptors(struct spawn_child *child)
{
	child->report_fd = move_up(child, child->report_fd, child->n_fds);
	child->executable_fd = move_up(child, child->executable_fd, child->n_fds);
	child->directory_fd = move_up(child, child->directory_fd, child->n_fds);
	for (size_t i = 0; i < child->n_fds; i++)
		child->fds[i] = move_up(child, child->fds[i], child->n_fds);
	for (size_t i = 0; i < child->n_fds; i++)
		if (syscall(SYS_dup3, child->fds[i], i, 0) < 0)
			fail(child, SPAWN_STEP_DESCRIPTORS);
	/* What nobody listed, though it lost its O_CLOEXEC. Not closed at once: the executable. */
	if (syscall(SYS_close_range, (unsigned)child->n_fds, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		fail(child, SPAWN_STEP_DESCRIPTORS);
}

IN_CHILD static int set_limit(const struct rlimit *limit)
{
	struct rlimit64 wanted = { .rlim_cur = limit->rlim_cur, .rlim_max = limit->rlim_max };
	return (int)syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &wanted, NULL);
}

/* What is beyond the hard limit becomes it, as systemd does where it has not the right. */
IN_CHILD static void limit_descriptors(struct spawn_child *child)
{
	struct rlimit limit = child->spec->limit_nofile;
	if (set_limit(&limit) == 0)
		return;
	struct rlimit64 present;
	if (errno != EPERM || syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &present) < 0)
		fail(child, SPAWN_STEP_LIMITS);
	if (limit.rlim_max > present.rlim_max)
		limit.rlim_max = present.rlim_max;
	if (limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	if (set_limit(&limit) == 0)
		return;
	/* valgrind(1) lets nobody change the hard limit: the soft one is what matters. */
	limit.rlim_max = present.rlim_max;
	if (set_limit(&limit) < 0)
		fail(child, SPAWN_STEP_LIMITS);
}

IN_CHILD static void set_identity(struct spawn_child *child)
{
	const struct spec *spec = child->spec;
	if (!spec->set_identity)
		return;
	if (syscall(RAW_SETGROUPS, spec->n_groups, spec->groups) < 0)
		fail(child, SPAWN_STEP_GROUPS);
	if (syscall(RAW_SETRESGID, spec->gid, spec->gid, spec->gid) < 0)
		fail(child, SPAWN_STEP_GID);
	if (syscall(RAW_SETRESUID, spec->uid, spec->uid, spec->uid) < 0)
		fail(child, SPAWN_STEP_UID);
}

IN_CHILD static void write_pid(char *text, unsigned long pid)
{
	char digits[SPAWN_PID_MAX];
	size_t n = 0;
	if (!text)
		return;
	do
		digits[n++] = (char)('0' + pid % 10);
	while ((pid /= 10) > 0 && n < sizeof(digits) - 1);
	while (n > 0)
		*text++ = digits[--n];
	*text = '\0';
}

IN_CHILD static void execute(struct spawn_child *child)
{
	const struct executable *executable = &child->spec->executable;
	if (child->by_descriptor)
		(void)syscall(SYS_execveat, child->executable_fd, "", child->argv,
			      child->environment, AT_EMPTY_PATH);
	else
		(void)syscall(SYS_execve, executable->path, child->argv, child->environment);
	fail(child, SPAWN_STEP_EXEC);
}

IN_CHILD int spawn_child(void *data)
{
	struct spawn_child *child = data;
	reset_dispositions();
	if (syscall(SYS_setpgid, 0, 0) < 0)
		fail(child, SPAWN_STEP_GROUP);
	if (child->spec->umask_set)
		(void)syscall(SYS_umask, child->spec->umask);
	arrange_descriptors(child);
	limit_descriptors(child);
	set_identity(child);
	/* After the identity, so that it is the worker's right that counts. */
	if (syscall(SYS_fchdir, child->directory_fd) < 0)
		fail(child, SPAWN_STEP_DIRECTORY);
	for (size_t i = 0; i < ARRAY_SIZE(child->pid_texts); i++)
		write_pid(child->pid_texts[i], (unsigned long)syscall(SYS_getpid));
	empty_mask();
	execute(child);
	return 127;
}
