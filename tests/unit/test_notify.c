/* One worker's NOTIFY_SOCKET: what it says, who may say it, what becomes of descriptors. */
#include "supervisor/notify.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>

#include "tests/unit/fixture.h"

enum { NOBODY = 65534 };

struct bench {
	struct ev_loop *loop;
	struct scratch scratch;
	struct notify notify;
	unsigned n_messages, n_refused;
	struct notify_message last;
	char status[NOTIFY_DATAGRAM_MAX_BYTES + 1];
	pid_t refused_pid;
	bool close_at_once;
};

static void on_message(void *owner, const struct notify_message *message)
{
	struct bench *bench = owner;
	bench->n_messages++;
	bench->last = *message;
	bench->status[0] = '\0';
	if (message->status)
		(void)snprintf(bench->status, sizeof(bench->status), "%s", message->status);
	if (bench->close_at_once)
		notify_close(&bench->notify);
}

static void on_refused(void *owner, pid_t sender)
{
	struct bench *bench = owner;
	bench->n_refused++;
	bench->refused_pid = sender;
}

static void open_notify(struct bench *bench, uid_t uid, enum notify_access access)
{
	struct error error;
	if (notify_open(&bench->notify, bench->loop, bench->scratch.path, "7.0", uid, access,
			&error) < 0)
		fail_msg("%s", error.text);
	bench->notify.message = on_message;
	bench->notify.refused = on_refused;
	bench->notify.owner = bench;
	bench->notify.main_pid = getpid();
	setenv("NOTIFY_SOCKET", bench->notify.path, 1);
}

static void turn(struct bench *bench)
{
	ev_run(bench->loop, EVRUN_NOWAIT);
}

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		struct notify_message wanted;
	} cases[] = {
		{ "", { 0 } },
		{ "\n\n", { 0 } },
		{ "READY=1", { .ready = true } },
		{ "READY=1\n", { .ready = true } },
		{ "READY=0", { 0 } },
		{ "READY=12", { 0 } },
		{ "READY", { 0 } },
		{ " READY=1", { 0 } },
		{ "XREADY=1", { 0 } },
		{ "STOPPING=1", { .stopping = true } },
		{ "RELOADING=1\nMONOTONIC_USEC=5", { .reloading = true } },
		{ "WATCHDOG=1", { .watchdog = true } },
		{ "WATCHDOG=trigger", { .watchdog_trigger = true } },
		{ "WATCHDOG=2", { 0 } },
		{ "WATCHDOG_USEC=250000", { .watchdog_usec = 250000 } },
		{ "WATCHDOG_USEC=", { 0 } },
		{ "WATCHDOG_USEC=5s", { 0 } },
		{ "WATCHDOG_USEC=-1", { 0 } },
		{ "WATCHDOG_USEC= 1", { 0 } },
		{ "EXTEND_TIMEOUT_USEC=18446744073709551615",
		  { .extend_timeout_usec = UINT64_MAX } },
		{ "EXTEND_TIMEOUT_USEC=18446744073709551616", { 0 } },
		{ "EXTEND_TIMEOUT_USEC=0x10", { 0 } },
		{ "STATUS=loading\nnext", { .status = "loading" } },
		{ "STATUS=", { .status = "" } },
		{ "STATUS=a=b", { .status = "a=b" } },
		{ "STATUS=old\nSTATUS=new", { .status = "new" } },
		{ "MAINPID=1\nFDSTORE=1\nERRNO=2\nREADY=1", { .ready = true } },
		{ "READY=1\nSTATUS=up\nWATCHDOG=1",
		  { .ready = true, .watchdog = true, .status = "up" } },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		/* Exactly as large as is promised, so that a sanitizer sees one byte more. */
		size_t n = strlen(cases[i].text);
		CLEANUP(freep) char *text = malloc(n + 1);
		struct notify_message got;
		const struct notify_message *wanted = &cases[i].wanted;
		memcpy(text, cases[i].text, n);
		text[n] = '!';
		notify_parse(text, n, &got);
		if (got.ready != wanted->ready || got.stopping != wanted->stopping ||
		    got.reloading != wanted->reloading || got.watchdog != wanted->watchdog ||
		    got.watchdog_trigger != wanted->watchdog_trigger ||
		    got.watchdog_usec != wanted->watchdog_usec ||
		    got.extend_timeout_usec != wanted->extend_timeout_usec ||
		    !got.status != !wanted->status ||
		    (got.status && strcmp(got.status, wanted->status) != 0))
			fail_msg("\"%s\"", cases[i].text);
	}
}

static void test_parse_nul(void **state)
{
	struct notify_message message;
	char within[] = "READY=1\0READY=1", after[] = "READY=1\0\0";
	(void)state;
	notify_parse(within, sizeof(within) - 1, &message);
	assert_false(message.ready);
	notify_parse(after, sizeof(after) - 1, &message);
	assert_true(message.ready);
}

static void test_datagrams(void **state)
{
	struct bench *bench = *state;
	struct stat status;
	open_notify(bench, (uid_t)-1, NOTIFY_ACCESS_ALL);
	assert_int_equal(stat(bench->notify.path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_true(fcntl(bench->notify.fd, F_GETFD) & FD_CLOEXEC);
	turn(bench);
	assert_int_equal(bench->n_messages, 0);
	assert_true(sd_notify(0, "READY=1\nSTATUS=serving") > 0);
	turn(bench);
	assert_int_equal(bench->n_messages, 1);
	assert_true(bench->last.ready);
	assert_string_equal(bench->status, "serving");
	assert_true(sd_notify(0, "STOPPING=1") > 0);
	notify_drain(&bench->notify);
	assert_int_equal(bench->n_messages, 2);
	assert_true(bench->last.stopping);
	notify_drain(&bench->notify);
	assert_int_equal(bench->n_messages, 2);
	notify_close(&bench->notify);
	assert_int_equal(stat(getenv("NOTIFY_SOCKET"), &status), -1);
	notify_close(&bench->notify);
}

/* What is cut is not what was said. */
static void test_too_long(void **state)
{
	struct bench *bench = *state;
	char text[NOTIFY_DATAGRAM_MAX_BYTES + 2] = "READY=1\nSTATUS=";
	memset(text + strlen(text), 'x', sizeof(text) - 1 - strlen(text));
	open_notify(bench, (uid_t)-1, NOTIFY_ACCESS_ALL);
	text[sizeof(text) - 1] = '\0';
	assert_true(sd_notify(0, text) > 0);
	turn(bench);
	assert_int_equal(bench->n_messages, 0);
	assert_int_equal(bench->n_refused, 1);
	text[sizeof(text) - 2] = '\0'; /* just fits */
	assert_true(sd_notify(0, text) > 0);
	turn(bench);
	assert_int_equal(bench->n_messages, 1);
	assert_true(bench->last.ready);
}

/* Sends from a process of its own, perhaps as another user. Returns whether it could. */
static bool send_from_child(uid_t uid, const char *text, pid_t *ret_pid)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (uid != (uid_t)-1 && setuid(uid) < 0)
			_exit(2);
		_exit(sd_notify(0, text) > 0 ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
	*ret_pid = pid;
	return WEXITSTATUS(status) == 0;
}

static void test_access(void **state)
{
	struct bench *bench = *state;
	pid_t pid;
	open_notify(bench, (uid_t)-1, NOTIFY_ACCESS_ALL);
	assert_true(send_from_child((uid_t)-1, "READY=1", &pid));
	turn(bench);
	assert_int_equal(bench->n_messages, 1);
	notify_close(&bench->notify);
	open_notify(bench, (uid_t)-1, NOTIFY_ACCESS_MAIN);
	assert_true(send_from_child((uid_t)-1, "READY=1", &pid));
	turn(bench);
	assert_int_equal(bench->n_messages, 1);
	assert_int_equal(bench->n_refused, 1);
	assert_int_equal(bench->refused_pid, pid);
	assert_true(sd_notify(0, "READY=1") > 0);
	turn(bench);
	assert_int_equal(bench->n_messages, 2);
}

static void test_users(void **state)
{
	struct bench *bench = *state;
	struct stat status;
	pid_t pid;
	if (geteuid() != 0)
		skip();
	open_notify(bench, (uid_t)-1, NOTIFY_ACCESS_ALL);
	assert_false(send_from_child(NOBODY, "READY=1", &pid));
	notify_close(&bench->notify);
	open_notify(bench, NOBODY, NOTIFY_ACCESS_ALL);
	assert_int_equal(stat(bench->notify.path, &status), 0);
	assert_int_equal(status.st_uid, NOBODY);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_true(send_from_child(NOBODY, "READY=1", &pid));
	assert_false(send_from_child(1, "READY=1", &pid));
	turn(bench);
	assert_int_equal(bench->n_messages, 1);
}

/* sd_notify_barrier(3): its end of the pipe closes when all that was sent before it is handled. */
static void test_barrier(void **state)
{
	struct bench *bench = *state;
	int pipe_fds[2];
	open_notify(bench, (uid_t)-1, NOTIFY_ACCESS_ALL);
	unsigned before = count_descriptors();
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	assert_true(sd_notify(0, "READY=1") > 0);
	assert_true(sd_pid_notify_with_fds(0, 0, "BARRIER=1", &pipe_fds[1], 1) > 0);
	fd_close(pipe_fds[1]);
	struct pollfd end = { .fd = pipe_fds[0] };
	assert_int_equal(poll(&end, 1, 0), 0);
	turn(bench);
	assert_int_equal(bench->n_messages, 2);
	assert_int_equal(poll(&end, 1, 0), 1);
	assert_true(end.revents & POLLHUP);
	fd_close(pipe_fds[0]);
	assert_int_equal(count_descriptors(), before);
}

/* Descriptors are never kept, also those of messages that are not believed. */
static void test_descriptors(void **state)
{
	struct bench *bench = *state;
	static const enum notify_access accesses[] = { NOTIFY_ACCESS_ALL, NOTIFY_ACCESS_MAIN };
	int fds[253];
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = STDIN_FILENO;
	for (size_t i = 0; i < ARRAY_SIZE(accesses); i++) {
		open_notify(bench, (uid_t)-1, accesses[i]);
		bench->notify.main_pid = 1;
		unsigned before = count_descriptors();
		assert_true(sd_pid_notify_with_fds(0, 0, "FDSTORE=1", fds, ARRAY_SIZE(fds)) > 0);
		turn(bench);
		assert_int_equal(count_descriptors(), before);
		notify_close(&bench->notify);
	}
	assert_int_equal(bench->n_messages, 1);
	assert_int_equal(bench->n_refused, 1);
}

/* An empty datagram is no end. */
static void test_empty(void **state)
{
	struct bench *bench = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	CLEANUP(fd_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	open_notify(bench, (uid_t)-1, NOTIFY_ACCESS_ALL);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", bench->notify.path);
	assert_int_equal(sendto(fd, "", 0, 0, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_true(sd_notify(0, "READY=1") > 0);
	turn(bench);
	assert_int_equal(bench->n_messages, 2);
	assert_true(bench->last.ready);
}

static void test_closed_by_its_owner(void **state)
{
	struct bench *bench = *state;
	open_notify(bench, (uid_t)-1, NOTIFY_ACCESS_ALL);
	bench->close_at_once = true;
	assert_true(sd_notify(0, "READY=1") > 0);
	assert_true(sd_notify(0, "STOPPING=1") > 0);
	turn(bench);
	assert_int_equal(bench->n_messages, 1);
	assert_int_equal(bench->notify.fd, -1);
}

static void test_errors(void **state)
{
	struct bench *bench = *state;
	struct error error;
	char name[128];
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	unsigned before = count_descriptors();
	assert_int_equal(notify_open(&bench->notify, bench->loop, bench->scratch.path, name,
				     (uid_t)-1, NOTIFY_ACCESS_ALL, &error),
			 -ENAMETOOLONG);
	assert_non_null(strstr(error.text, "107 bytes at most"));
	assert_int_equal(notify_open(&bench->notify, bench->loop, "/nowhere", "1", (uid_t)-1,
				     NOTIFY_ACCESS_ALL, &error),
			 -ENOENT);
	assert_non_null(strstr(error.text, "/nowhere/1: No such file"));
	assert_int_equal(count_descriptors(), before);
	/* A dead supervisor's socket is in nobody's way. */
	file_write_text(scratch_file(&bench->scratch, "7.0"), "", 0600);
	open_notify(bench, (uid_t)-1, NOTIFY_ACCESS_ALL);
}

static int setup(void **state)
{
	static struct bench bench;
	memset(&bench, 0, sizeof(bench));
	bench.notify.fd = -1;
	bench.loop = ev_loop_new(EVFLAG_AUTO);
	scratch_make(&bench.scratch);
	*state = &bench;
	return bench.loop ? 0 : -1;
}

static int teardown(void **state)
{
	struct bench *bench = *state;
	notify_close(&bench->notify);
	ev_loop_destroy(bench->loop);
	scratch_remove(&bench->scratch);
	unsetenv("NOTIFY_SOCKET");
	return 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_parse),     TEST(test_parse_nul),
		TEST(test_datagrams), TEST(test_too_long),
		TEST(test_access),    TEST(test_users),
		TEST(test_barrier),   TEST(test_descriptors),
		TEST(test_empty),     TEST(test_closed_by_its_owner),
		TEST(test_errors),
	};
	return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
