/* What a started process has: exactly what its plan says. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "tests/unit/spawn_fixture.h"

static void skip_unless_root(void)
{
	if (geteuid() != 0)
		skip();
}

static int new_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	return fd;
}

static unsigned long inode_of(int fd)
{
	struct stat status;
	assert_int_equal(fstat(fd, &status), 0);
	return (unsigned long)status.st_ino;
}

/* That the child had descriptor @number, and that it was our @fd. */
static void assert_descriptor(const struct bench *bench, int number, unsigned long inode)
{
	char name[32], wanted[64];
	(void)snprintf(name, sizeof(name), "descriptor %d", number);
	(void)snprintf(wanted, sizeof(wanted), "socket %lu", inode);
	assert_fact(bench, name, wanted);
}

static unsigned count_lines(const struct bench *bench, const char *start)
{
	unsigned n = 0;
	for (const char *line = bench->said; *line; line = strchr(line, '\n') + 1)
		n += strncmp(line, start, strlen(start)) == 0;
	return n;
}

static void test_descriptors(void **state)
{
	struct bench *bench = *state;
	int listeners[] = { new_socket(), new_socket() }, channel = new_socket();
	const char *names[] = { "http", "admin" };
	struct spawn_plan plan = { .listen_fds = listeners,
				   .listen_names = names,
				   .n_listen_fds = 2,
				   .channel_fd = channel };
	int stray = fcntl(channel, F_DUPFD, 20); /* without FD_CLOEXEC: still nobody's */
	assert_int_equal(bench_run_plan(bench, &plan), 0);
	assert_memory_equal(fact(bench, "descriptor 0"), "device", 6);
	assert_memory_equal(fact(bench, "descriptor 1"), "pipe", 4);
	assert_string_equal(fact(bench, "descriptor 1"), fact(bench, "descriptor 2"));
	assert_descriptor(bench, 3, inode_of(listeners[0]));
	assert_descriptor(bench, 4, inode_of(listeners[1]));
	assert_descriptor(bench, 5, inode_of(channel));
	assert_int_equal(count_lines(bench, "descriptor "), 6);
	assert_fact_number(bench, "variable LISTEN_FDS", 2);
	assert_fact_number(bench, "variable LISTEN_PID", bench->pid);
	assert_fact(bench, "variable LISTEN_FDNAMES", "http:admin");
	assert_fact_number(bench, "variable HANDOVER_FD", 5);
	assert_null(fact(bench, "variable WATCHDOG_PID"));
	fd_close(stray);
	fd_close(channel);
	fd_close(listeners[0]);
	fd_close(listeners[1]);
}

static void test_without_descriptors(void **state)
{
	struct bench *bench = *state;
	bench_run(bench);
	assert_int_equal(count_lines(bench, "descriptor "), 3);
	assert_null(fact(bench, "variable LISTEN_FDS"));
	assert_null(fact(bench, "variable LISTEN_PID"));
	assert_null(fact(bench, "variable LISTEN_FDNAMES"));
	assert_null(fact(bench, "variable HANDOVER_FD"));
}

enum { N_PLACES = 6, FIRST_PLACE = 3 };

/* Starts a child whose listeners, channel, executable and directory are at the numbers @places here,
 * which are among those that they take there. */
static void run_at(struct bench *bench, const int places[static N_PLACES])
{
	int sockets[4], at[4];
	unsigned long inodes[4];
	for (int i = 0; i < 4; i++) {
		int made = new_socket();
		sockets[i] = fcntl(made, F_DUPFD_CLOEXEC, 30);
		inodes[i] = inode_of(made);
		fd_close(made);
	}
	for (int i = 0; i < 4; i++)
		at[i] = dup3(sockets[i], places[i], O_CLOEXEC);
	int executable_fd = bench->spec.executable.fd, directory_fd = bench->spec.directory_fd;
	bench->spec.executable.fd = dup3(executable_fd, places[4], O_CLOEXEC);
	bench->spec.directory_fd = dup3(directory_fd, places[5], O_CLOEXEC);
	const char *names[] = { "a", "b", "c" };
	struct spawn_plan plan = {
		.listen_fds = at, .listen_names = names, .n_listen_fds = 3, .channel_fd = at[3]
	};
	assert_int_equal(bench_run_plan(bench, &plan), 0);
	for (int i = 0; i < 4; i++)
		assert_descriptor(bench, 3 + i, inodes[i]);
	assert_int_equal(count_lines(bench, "descriptor "), 7);
	assert_fact(bench, "directory", bench->scratch.path);
	for (int i = 0; i < N_PLACES; i++)
		fd_close(places[i]);
	for (int i = 0; i < 4; i++)
		fd_close(sockets[i]);
	bench->spec.executable.fd = executable_fd;
	bench->spec.directory_fd = directory_fd;
}

/* In every rotation and its mirror image, by path and (its file deleted) by descriptor. */
static void test_overlapping_numbers(void **state)
{
	struct bench *bench = *state;
	bench->spec.executable.fd = fcntl(bench->spec.executable.fd, F_DUPFD_CLOEXEC, 40);
	bench->spec.directory_fd = fcntl(bench->spec.directory_fd, F_DUPFD_CLOEXEC, 40);
	assert_int_equal(close_range(FIRST_PLACE, 29, 0), 0);
	for (int turn = 0; turn < 2 * N_PLACES; turn++) {
		int places[N_PLACES];
		for (int i = 0; i < N_PLACES; i++)
			places[i] = FIRST_PLACE +
				    (turn < N_PLACES ? i + turn : 2 * N_PLACES + turn - i) %
					    N_PLACES;
		if (turn == N_PLACES / 2)
			assert_int_equal(unlink(bench->spec.executable.path), 0);
		run_at(bench, places);
	}
}

static void test_signals(void **state)
{
	struct bench *bench = *state;
	sigset_t blocked, before, after;
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigprocmask(SIG_SETMASK, &blocked, &before);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGRTMAX, SIG_IGN);
	bench_run(bench);
	assert_fact(bench, "blocked", "0000000000000000");
	assert_fact(bench, "ignored", "0000000000000000");
	sigprocmask(SIG_SETMASK, &before, &after);
	for (int number = 1; number <= SIGRTMAX; number++)
		assert_int_equal(sigismember(&after, number), sigismember(&blocked, number));
	assert_true(signal(SIGPIPE, SIG_DFL) == SIG_IGN);
	signal(SIGHUP, SIG_DFL);
	signal(SIGRTMAX, SIG_DFL);
}

static void test_errno_is_kept(void **state)
{
	struct bench *bench = *state;
	struct spawned spawned;
	CLEANUP(fd_closep) int sink = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct spawn_plan plan = { .spec = &bench->spec, .output_fd = sink, .channel_fd = -1 };
	errno = 77;
	assert_int_equal(spawn(&plan, &spawned, NULL), 0);
	assert_int_equal(errno, 77);
	await(spawned.pidfd);
	assert_int_equal(spawn_reap(spawned.pidfd, &bench->status), 0);
	fd_close(spawned.pidfd);
}

static void test_group(void **state)
{
	struct bench *bench = *state;
	bench_run(bench);
	assert_fact_number(bench, "pid", bench->pid);
	assert_fact_number(bench, "group", bench->pid);
	assert_fact_number(bench, "session", getsid(0));
}

static void test_environment(void **state)
{
	struct bench *bench = *state;
	const char *variables[] = { "NOTIFY_SOCKET=/n", "COLOUR=red" };
	bench->environment[1] = (char[]){ "COLOUR=blue" };
	bench->environment[2] = (char[]){ "COLOUR_2=green" };
	bench->environment[3] = (char[]){ "WATCHDOG_PID=1" };
	struct spawn_plan plan = {
		.channel_fd = -1, .variables = variables, .n_variables = 2, .watchdog = true
	};
	bench->argv[1] = (char[]){ "one two" };
	assert_int_equal(bench_run_plan(bench, &plan), 0);
	assert_fact(bench, "variable COLOUR", "red");
	assert_fact(bench, "variable COLOUR_2", "green");
	assert_fact(bench, "variable NOTIFY_SOCKET", "/n");
	assert_fact_number(bench, "variable WATCHDOG_PID", bench->pid);
	assert_int_equal(count_lines(bench, "variable COLOUR="), 1);
	assert_int_equal(count_lines(bench, "variable WATCHDOG_PID="), 1);
	assert_non_null(strstr(bench->said, "argument one two\n"));
}

static void test_directory_is_the_held_one(void **state)
{
	struct bench *bench = *state;
	const char *old = scratch_file(&bench->scratch, "old");
	const char *new = scratch_file(&bench->scratch, "new");
	assert_int_equal(mkdir(old, 0755), 0);
	fd_close(bench->spec.directory_fd);
	bench->spec.directory_fd = open(old, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(rename(old, new), 0);
	assert_int_equal(mkdir(old, 0755), 0);
	bench_run(bench);
	assert_fact(bench, "directory", new);
}

static void test_limits(void **state)
{
	struct bench *bench = *state;
	struct rlimit own;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &own), 0);
	char wanted[64];
	bench->spec.umask_set = true;
	bench->spec.umask = 027;
	bench->spec.limit_nofile = (struct rlimit){ .rlim_cur = 111, .rlim_max = 222 };
	bench_run(bench);
	assert_fact(bench, "nofile", "111 222");
	assert_fact(bench, "umask", "0027");
	/* More than anybody may have. */
	bench->spec.limit_nofile = (struct rlimit){ .rlim_cur = 333, .rlim_max = RLIM_INFINITY };
	bench_run(bench);
	(void)snprintf(wanted, sizeof(wanted), "333 %llu", (unsigned long long)own.rlim_max);
	assert_fact(bench, "nofile", wanted);
	bench->spec.limit_nofile = (struct rlimit){ .rlim_cur = RLIM_INFINITY,
						    .rlim_max = RLIM_INFINITY };
	bench_run(bench);
	(void)snprintf(wanted, sizeof(wanted), "%llu %llu", (unsigned long long)own.rlim_max,
		       (unsigned long long)own.rlim_max);
	assert_fact(bench, "nofile", wanted);
	struct rlimit after;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
	assert_memory_equal(&own, &after, sizeof(own));
}

static void test_identity(void **state)
{
	struct bench *bench = *state;
	gid_t groups[] = { 7, NOBODY };
	skip_unless_root();
	bench->spec.set_identity = true;
	bench->spec.uid = bench->spec.gid = NOBODY;
	bench->spec.groups = groups;
	bench->spec.n_groups = 2;
	assert_int_equal(prctl(PR_GET_DUMPABLE), 1);
	bench_run(bench);
	assert_fact(bench, "uid", "65534 65534 65534");
	assert_fact(bench, "gid", "65534 65534 65534");
	assert_fact(bench, "group_of", "7 65534");
	assert_int_equal(prctl(PR_GET_DUMPABLE), 1);
	assert_int_equal(getuid(), 0);
}

/* Renamed over, the path names a stranger; deleted, nothing. */
static void test_held_executable(void **state)
{
	struct bench *bench = *state;
	const char *other = scratch_file(&bench->scratch, "other");
	file_write_text(other, "#!/bin/false\n", 0755);
	assert_int_equal(rename(other, bench->spec.executable.path), 0);
	bench_run(bench);
	assert_non_null(strstr(bench->said, "\nend\n"));
	assert_int_equal(unlink(bench->spec.executable.path), 0);
	bench_run(bench);
	assert_non_null(strstr(bench->said, "\nend\n"));
	assert_int_equal(count_lines(bench, "descriptor "), 3);
}

static void test_script(void **state)
{
	struct bench *bench = *state;
	const char *path = scratch_file(&bench->scratch, "script");
	file_write_text(path, "#!/bin/sh\necho \"hello from $0\"\n", 0755);
	bench_use(bench, path);
	bench_run(bench);
	assert_memory_equal(bench->said, "hello from /tmp/handover-test.", 30);
}

static void test_nothing_is_left_over(void **state)
{
	struct bench *bench = *state;
	bench_use(bench, "/bin/true");
	unsigned before = count_descriptors();
	for (int i = 0; i < 200; i++)
		bench_run(bench);
	assert_int_equal(count_descriptors(), before);
	assert_no_child();
}

/* A worker's own children go with its group, while it is still a zombie. */
static void test_kill_group(void **state)
{
	struct bench *bench = *state;
	int fds[2];
	struct spawned spawned;
	char text[64];
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	bench_use(bench, "/bin/sh");
	bench->argv[1] = (char[]){ "-c" };
	bench->argv[2] = (char[]){ "sleep 1000 & echo started; kill -TERM $$" };
	struct spawn_plan plan = { .spec = &bench->spec, .output_fd = fds[1], .channel_fd = -1 };
	assert_int_equal(spawn(&plan, &spawned, &bench->error), 0);
	fd_close(fds[1]);
	assert_int_equal(read(fds[0], text, sizeof(text)), 8);
	await(spawned.pidfd);
	assert_int_equal(spawn_kill_group(spawned.pid, SIGKILL), 0);
	await(fds[0]);
	assert_int_equal(read(fds[0], text, sizeof(text)), 0);
	assert_int_equal(spawn_reap(spawned.pidfd, &bench->status), 0);
	assert_int_equal(bench->status.signal, SIGTERM);
	assert_int_equal(bench->status.code, -1);
	assert_int_equal(spawn_kill_group(spawned.pid, SIGKILL), 0); /* nobody */
	assert_int_equal(spawn_reap(spawned.pidfd, &bench->status), -ECHILD);
	fd_close(spawned.pidfd);
	fd_close(fds[0]);
}

static void test_reap(void **state)
{
	struct bench *bench = *state;
	CLEANUP(fd_closep) int sink = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct spawned spawned;
	struct spawn_plan plan = { .spec = &bench->spec, .output_fd = sink, .channel_fd = -1 };
	bench->argv[1] = (char[]){ "wait" };
	assert_int_equal(spawn(&plan, &spawned, &bench->error), 0);
	assert_int_equal(spawn_reap(spawned.pidfd, &bench->status), -EAGAIN);
	assert_int_equal(spawn_kill_group(spawned.pid, SIGKILL), 0);
	await(spawned.pidfd);
	assert_int_equal(spawn_reap(spawned.pidfd, &bench->status), 0);
	assert_int_equal(bench->status.signal, SIGKILL);
	fd_close(spawned.pidfd);
	bench->argv[1] = (char[]){ "exit=3" };
	struct spawn_plan again = { .channel_fd = -1 };
	assert_int_equal(bench_run_plan(bench, &again), 0);
	assert_int_equal(bench->status.code, 3);
	assert_int_equal(bench->status.signal, 0);
}

static void test_texts(void **state)
{
	const struct {
		struct exit_status status;
		const char *text;
	} statuses[] = {
		{ { .code = 0 }, "exited with status 0" },
		{ { .code = 255 }, "exited with status 255" },
		{ { .code = -1, .signal = SIGKILL }, "killed by SIGKILL" },
		{ { .code = -1, .signal = SIGSEGV, .core_dumped = true },
		  "killed by SIGSEGV (core dumped)" },
	};
	char text[EXIT_STATUS_TEXT_MAX], name[SIGNAL_NAME_MAX];
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
		assert_string_equal(exit_status_format(&statuses[i].status, text),
				    statuses[i].text);
	assert_string_equal(signal_name(SIGUSR1, name), "SIGUSR1");
	assert_string_equal(signal_name(SIGRTMIN, name), "SIGRTMIN");
	assert_string_equal(signal_name(SIGRTMIN + 3, name), "SIGRTMIN+3");
	assert_string_equal(signal_name(4711, name), "signal 4711");
	assert_string_equal(signal_name(-1, name), "signal -1");
}

static int setup(void **state)
{
	static struct bench bench;
	bench_init(&bench);
	*state = &bench;
	return 0;
}

static int teardown(void **state)
{
	bench_finish(*state);
	return 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_descriptors),
		TEST(test_without_descriptors),
		TEST(test_overlapping_numbers),
		TEST(test_signals),
		TEST(test_errno_is_kept),
		TEST(test_group),
		TEST(test_environment),
		TEST(test_directory_is_the_held_one),
		TEST(test_limits),
		TEST(test_identity),
		TEST(test_held_executable),
		TEST(test_script),
		TEST(test_nothing_is_left_over),
		TEST(test_kill_group),
		TEST(test_reap),
		TEST(test_texts),
	};
	return cmocka_run_group_tests_name("spawn", tests, NULL, NULL);
}
