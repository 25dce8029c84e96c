/* A spec made by hand around tests/programs/inspect.c, and what it says when it runs. */
#ifndef HANDOVER_TESTS_UNIT_SPAWN_FIXTURE_H
#define HANDOVER_TESTS_UNIT_SPAWN_FIXTURE_H

#include <poll.h>
#include <sys/wait.h>

#include "supervisor/spawn.h"
#include "supervisor/spec.h"
#include "tests/unit/fixture.h"

enum { SAID_MAX_BYTES = 256 * 1024, NOBODY = 65534 };

struct bench {
	struct scratch scratch;
	struct spec spec;
	struct error error;
	struct exit_status status;
	pid_t pid;
	char *argv[4];
	char *environment[8];
	char said[SAID_MAX_BYTES];
};

static inline void bench_use(struct bench *bench, const char *program)
{
	executable_finish(&bench->spec.executable);
	int r = executable_open(program, NULL, AT_FDCWD, &bench->spec.executable, &bench->error);
	if (r < 0)
		fail_msg("%s", bench->error.text);
	bench->argv[0] = bench->spec.executable.path;
}

/* The helper is copied, so that it can be replaced, and reached by any user. */
static inline void bench_init(struct bench *bench)
{
	static char no_leak_check[] = "ASAN_OPTIONS=detect_leaks=0";
	memset(bench, 0, sizeof(*bench));
	bench->spec.executable.fd = -1;
	scratch_make(&bench->scratch);
	file_copy(helper_program("inspect"), scratch_file(&bench->scratch, "inspect"), 0755);
	bench_use(bench, scratch_file(&bench->scratch, "inspect"));
	bench->environment[0] = no_leak_check;
	bench->spec.argv = bench->argv;
	bench->spec.environment = bench->environment;
	bench->spec.directory_fd = open(bench->scratch.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	bench->spec.directory = bench->scratch.path;
	bench->spec.limit_nofile = (struct rlimit){ .rlim_cur = 1024, .rlim_max = 4096 };
}

static inline void bench_finish(struct bench *bench)
{
	executable_finish(&bench->spec.executable);
	bench->spec.directory_fd = fd_close(bench->spec.directory_fd);
	scratch_remove(&bench->scratch);
}

static inline void await(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	assert_int_equal(poll(&poll_fd, 1, 30000), 1);
}

/* Starts @plan, its output into @bench->said until all have closed it. Returns what spawn() did. */
static inline int bench_run_plan(struct bench *bench, struct spawn_plan *plan)
{
	CLEANUP(fd_closep) int out = -1;
	CLEANUP(fd_closep) int in = -1;
	int fds[2];
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	out = fds[0];
	in = fds[1];
	plan->spec = &bench->spec;
	plan->output_fd = in;
	struct spawned spawned;
	int r = spawn(plan, &spawned, &bench->error);
	if (r < 0)
		return r;
	in = fd_close(in);
	bench->pid = spawned.pid;
	size_t length = 0;
	for (ssize_t n = 1; n > 0; length += (size_t)n) {
		n = read(out, bench->said + length, sizeof(bench->said) - 1 - length);
		assert_true(n >= 0);
	}
	bench->said[length] = '\0';
	await(spawned.pidfd);
	assert_int_equal(spawn_reap(spawned.pidfd, &bench->status), 0);
	fd_close(spawned.pidfd);
	return 0;
}

static inline void bench_run(struct bench *bench)
{
	struct spawn_plan plan = { .channel_fd = -1 };
	if (bench_run_plan(bench, &plan) < 0)
		fail_msg("%s", bench->error.text);
	assert_int_equal(bench->status.code, 0);
}

/* What stands after "@name " in the first line that begins so; NULL: no line does. */
static inline const char *fact(const struct bench *bench, const char *name)
{
	static char values[4][8192];
	static unsigned turn;
	size_t length = strlen(name);
	for (const char *line = bench->said; *line; line = strchr(line, '\n') + 1)
		if (strncmp(line, name, length) == 0 &&
		    (line[length] == ' ' || line[length] == '=')) {
			char *value = values[turn++ % ARRAY_SIZE(values)];
			(void)snprintf(value, sizeof(values[0]), "%.*s",
				       (int)strcspn(line + length + 1, "\n"), line + length + 1);
			return value;
		}
	return NULL;
}

static inline void assert_fact(const struct bench *bench, const char *name, const char *wanted)
{
	const char *value = fact(bench, name);
	if (!value || strcmp(value, wanted) != 0)
		fail_msg("%s is \"%s\", not \"%s\"", name, value ? value : "(nothing)", wanted);
}

static inline void assert_fact_number(const struct bench *bench, const char *name, long wanted)
{
	char text[32];
	(void)snprintf(text, sizeof(text), "%ld", wanted);
	assert_fact(bench, name, text);
}

static inline void assert_no_child(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

#endif
