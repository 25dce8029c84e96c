#include "supervisor/spawn.h"

#include <assert.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "supervisor/spawn_child.h"
#include "supervisor/spawn_error.h"
#include "supervisor/spec.h"

enum {
	STACK_BYTES = 64 * 1024,
	FIRST_LISTEN_FD = 3, /* SD_LISTEN_FDS_START */
	MAX_OWN_VARIABLES = 5,
};

/* Everything that is made for one child, in one place, so that nothing of it is lost. */
struct preparation {
	struct spawn_child child;
	char *own_variables[MAX_OWN_VARIABLES];
	size_t n_own_variables;
	int null_fd;
	int report_fds[2];
	void *stack;
};

static void preparation_finish(struct preparation *preparation)
{
	for (size_t i = 0; i < preparation->n_own_variables; i++)
		free(preparation->own_variables[i]);
	free(preparation->child.fds);
	free(preparation->child.environment);
	(void)fd_close(preparation->null_fd);
	(void)fd_close(preparation->report_fds[0]);
	(void)fd_close(preparation->report_fds[1]);
	if (preparation->stack)
		(void)munmap(preparation->stack, STACK_BYTES);
}

static bool same_name(const char *variable, const char *other)
{
	size_t length = strcspn(variable, "=");
	return strncmp(variable, other, length) == 0 && other[length] == '=';
}

/* Adds @variable, in place of one with its name. */
static size_t environment_set(char **environment, size_t n, const char *variable)
{
	for (size_t i = 0; i < n; i++)
		if (same_name(variable, environment[i])) {
			environment[i] = (char *)(uintptr_t)variable;
			return n;
		}
	environment[n] = (char *)(uintptr_t)variable;
	return n + 1;
}

/* Returns the text after the '=', or NULL when there is no memory. */
static char *own_variable(struct preparation *preparation, const char *name, const char *value,
			  size_t room)
{
	assert(preparation->n_own_variables < MAX_OWN_VARIABLES);
	size_t head = strlen(name) + 1, tail = strlen(value) + 1;
	char *text = calloc(1, head + (tail > room ? tail : room));
	if (!text)
		return NULL;
	(void)sprintf(text, "%s=%s", name, value);
	preparation->own_variables[preparation->n_own_variables++] = text;
	return text + head;
}

static int set_listen_variables(struct preparation *preparation, const struct spawn_plan *plan)
{
	size_t length = 1;
	for (size_t i = 0; i < plan->n_listen_fds; i++)
		length += strlen(plan->listen_names[i]) + 1;
	CLEANUP(freep) char *names = calloc(1, length);
	if (!names)
		return -ENOMEM;
	for (size_t i = 0, n = 0; i < plan->n_listen_fds; i++)
		n += (size_t)sprintf(names + n, "%s%s", i > 0 ? ":" : "", plan->listen_names[i]);
	char number[16];
	(void)snprintf(number, sizeof(number), "%zu", plan->n_listen_fds);
	char **pid_text = &preparation->child.pid_texts[0];
	if (!own_variable(preparation, "LISTEN_FDS", number, 0) ||
	    !own_variable(preparation, "LISTEN_FDNAMES", names, 0) ||
	    !(*pid_text = own_variable(preparation, "LISTEN_PID", "", SPAWN_PID_MAX)))
		return -ENOMEM;
	return 0;
}

static int prepare_environment(struct preparation *preparation, const struct spawn_plan *plan)
{
	int r = plan->n_listen_fds > 0 ? set_listen_variables(preparation, plan) : 0;
	if (r < 0)
		return r;
	if (plan->channel_fd >= 0) {
		char number[16];
		(void)snprintf(number, sizeof(number), "%zu", FIRST_LISTEN_FD + plan->n_listen_fds);
		if (!own_variable(preparation, "HANDOVER_FD", number, 0))
			return -ENOMEM;
	}
	char **pid_text = &preparation->child.pid_texts[1];
	if (plan->watchdog &&
	    !(*pid_text = own_variable(preparation, "WATCHDOG_PID", "", SPAWN_PID_MAX)))
		return -ENOMEM;
	size_t n_inherited = 0;
	while (plan->spec->environment && plan->spec->environment[n_inherited])
		n_inherited++;
	size_t room = n_inherited + plan->n_variables + preparation->n_own_variables + 1;
	char **environment = calloc(room, sizeof(*environment));
	if (!environment)
		return -ENOMEM;
	size_t n = 0;
	for (; n < n_inherited; n++)
		environment[n] = plan->spec->environment[n];
	for (size_t i = 0; i < plan->n_variables; i++)
		n = environment_set(environment, n, plan->variables[i]);
	for (size_t i = 0; i < preparation->n_own_variables; i++)
		n = environment_set(environment, n, preparation->own_variables[i]);
	preparation->child.environment = environment;
	return 0;
}

static int prepare_descriptors(struct preparation *preparation, const struct spawn_plan *plan)
{
	struct spawn_child *child = &preparation->child;
	child->fds = calloc(FIRST_LISTEN_FD + plan->n_listen_fds + 1, sizeof(*child->fds));
	if (!child->fds)
		return -ENOMEM;
	preparation->null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (preparation->null_fd < 0)
		return -errno;
	if (pipe2(preparation->report_fds, O_CLOEXEC) < 0)
		return -errno;
	child->report_fd = preparation->report_fds[1];
	child->fds[0] = preparation->null_fd;
	child->fds[1] = child->fds[2] = plan->output_fd;
	child->n_fds = FIRST_LISTEN_FD;
	for (size_t i = 0; i < plan->n_listen_fds; i++)
		child->fds[child->n_fds++] = plan->listen_fds[i];
	if (plan->channel_fd >= 0)
		child->fds[child->n_fds++] = plan->channel_fd;
	return 0;
}

/* A script is always started by its path: its interpreter opens that, and could not open a
 * descriptor that is closed on exec. */
static bool path_names_other_file(const struct executable *executable)
{
	struct stat status;
	return !executable->script && (stat(executable->path, &status) < 0 ||
				       status.st_dev != executable->identity.st_dev ||
				       status.st_ino != executable->identity.st_ino);
}

static int prepare(struct preparation *preparation, const struct spawn_plan *plan)
{
	struct spawn_child *child = &preparation->child;
	child->spec = plan->spec;
	child->argv = plan->spec->argv;
	child->executable_fd = plan->spec->executable.fd;
	child->directory_fd = plan->spec->directory_fd;
	child->by_descriptor = path_names_other_file(&plan->spec->executable);
	int r = prepare_descriptors(preparation, plan);
	if (r == 0)
		r = prepare_environment(preparation, plan);
	if (r < 0)
		return r;
	void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		return -errno;
	preparation->stack = stack;
	return 0;
}

/* Returns the pid or a negative errno. What the child's share of our memory changes behind our back
 * (its setuid(2) makes us undumpable) is put back. */
static pid_t start(struct preparation *preparation, int *ret_pidfd)
{
	sigset_t all, before;
	(void)sigfillset(&all);
	int dumpable = prctl(PR_GET_DUMPABLE);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	/* Stacks grow down on every machine that Debian has. */
	pid_t pid = clone(spawn_child, (char *)preparation->stack + STACK_BYTES,
			  CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &preparation->child,
			  ret_pidfd);
	if (pid < 0)
		pid = -errno;
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	if (dumpable == 1 && prctl(PR_GET_DUMPABLE) != 1)
		(void)prctl(PR_SET_DUMPABLE, 1);
	return pid;
}

/* @flags: WNOHANG or 0. */
static int reap(int pidfd, int flags, struct exit_status *ret_status)
{
	siginfo_t info = { .si_pid = 0 };
	int r;
	do
		r = waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | flags);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	if (info.si_pid == 0)
		return -EAGAIN;
	if (info.si_code == CLD_EXITED)
		*ret_status = (struct exit_status){ .code = info.si_status };
	else
		*ret_status = (struct exit_status){ .code = -1,
						    .signal = info.si_status,
						    .core_dumped = info.si_code == CLD_DUMPED };
	return 0;
}

/* Returns whether the child left word of a failure. Its end of the pipe closes as it executes its
 * program or exits, which it has done when clone(2) returns. */
static bool read_report(struct preparation *preparation, struct spawn_report *ret_report)
{
	ssize_t n;
	preparation->report_fds[1] = fd_close(preparation->report_fds[1]);
	do
		n = read(preparation->report_fds[0], ret_report, sizeof(*ret_report));
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(*ret_report);
}

static int spawn_prepared(struct preparation *preparation, const struct spawn_plan *plan,
			  struct spawned *ret_spawned, struct error *error)
{
	int r = prepare(preparation, plan);
	if (r < 0)
		return error_set(error, r, "cannot prepare to start %s: %s",
				 plan->spec->executable.path, strerror(-r));
	CLEANUP(fd_closep) int pidfd = -1;
	pid_t pid = start(preparation, &pidfd);
	if (pid < 0)
		return spawn_error_clone(error, plan->spec, pid);
	struct spawn_report report;
	if (read_report(preparation, &report)) {
		struct exit_status status;
		/* It has called exit, and so is waited for but an instant. */
		(void)reap(pidfd, 0, &status);
		return spawn_error_child(error, &preparation->child, &report);
	}
	*ret_spawned = (struct spawned){ .pid = pid, .pidfd = TAKE_FD(pidfd) };
	return 0;
}

int spawn(const struct spawn_plan *plan, struct spawned *ret_spawned, struct error *error)
{
	int saved = errno;
	struct preparation preparation = { .null_fd = -1, .report_fds = { -1, -1 } };
	int r = spawn_prepared(&preparation, plan, ret_spawned, error);
	preparation_finish(&preparation);
	errno = saved;
	return r;
}

int spawn_kill_group(pid_t pid, int signal)
{
	assert(pid > 1);
	return kill(-pid, signal) < 0 && errno != ESRCH ? -errno : 0;
}

int spawn_reap(int pidfd, struct exit_status *ret_status)
{
	return reap(pidfd, WNOHANG, ret_status);
}
