/* What the service manager is told: in order, never waiting for it, the newest status only. */
#include "supervisor/systemd.h"

#include <ev.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "tests/unit/fixture.h"

struct bench {
	struct ev_loop *loop;
	struct scratch scratch;
	struct systemd *systemd;
	int manager; /* what PID 1 reads from */
	char text[8192];
};

static int manager_bind(const struct sockaddr_un *address, socklen_t length)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)address, length), 0);
	return fd;
}

static int manager_at_path(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return manager_bind(&address, sizeof(address));
}

static void begin(struct bench *bench)
{
	bench->manager = manager_at_path(scratch_file(&bench->scratch, "notify"));
	setenv("NOTIFY_SOCKET", scratch_file(&bench->scratch, "notify"), 1);
	assert_int_equal(systemd_new(bench->loop, &bench->systemd), 0);
	assert_null(getenv("NOTIFY_SOCKET"));
}

/* One datagram, or NULL when there is none. */
static const char *heard(struct bench *bench)
{
	ssize_t n = recv(bench->manager, bench->text, sizeof(bench->text) - 1, 0);
	if (n < 0)
		return NULL;
	bench->text[n] = '\0';
	return bench->text;
}

static void assert_heard(struct bench *bench, const char *wanted)
{
	const char *text = heard(bench);
	if (!text || strcmp(text, wanted) != 0)
		fail_msg("\"%s\", not \"%s\"", text ? text : "(nothing)", wanted);
}

static void test_messages(void **state)
{
	struct bench *bench = *state;
	struct timespec now;
	unsigned long long usec = 0;
	begin(bench);
	systemd_status(bench->systemd, "generation %d serves", 7);
	systemd_ready(bench->systemd);
	systemd_reloading(bench->systemd);
	systemd_extend_timeout(bench->systemd, 5000000);
	systemd_stopping(bench->systemd);
	assert_heard(bench, "STATUS=generation 7 serves");
	assert_heard(bench, "READY=1");
	assert_int_equal(sscanf(heard(bench), "RELOADING=1\nMONOTONIC_USEC=%llu", &usec), 1);
	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
	unsigned long long now_usec = (unsigned long long)now.tv_sec * 1000000 +
				      (unsigned long long)now.tv_nsec / 1000;
	assert_in_range(usec, now_usec - 60000000, now_usec);
	assert_heard(bench, "EXTEND_TIMEOUT_USEC=5000000");
	assert_heard(bench, "STOPPING=1");
	assert_null(heard(bench));
}

/* No assignment can be smuggled in, and none is too long. */
static void test_status_is_one_line(void **state)
{
	struct bench *bench = *state;
	static char longest[4000];
	begin(bench);
	systemd_status(bench->systemd, "%s", "all well\nMAINPID=1");
	assert_heard(bench, "STATUS=all well");
	memset(longest, 'x', sizeof(longest) - 1);
	systemd_status(bench->systemd, "%s", longest);
	assert_int_equal(strlen(heard(bench)), 511);
}

/* Fills the manager's queue; returns how many it took. */
static unsigned fill(struct bench *bench)
{
	struct sockaddr_un address;
	socklen_t length = sizeof(address);
	unsigned n = 0;
	CLEANUP(fd_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(getsockname(bench->manager, (struct sockaddr *)&address, &length), 0);
	while (sendto(fd, "X", 1, 0, (struct sockaddr *)&address, length) > 0)
		n++;
	assert_int_equal(errno, EAGAIN);
	assert_true(n > 0);
	return n;
}

static void empty(struct bench *bench, unsigned n)
{
	while (n-- > 0)
		assert_heard(bench, "X");
}

/* A manager that does not read stops nobody; what it missed comes when it reads, in order, and of
 * what is outdated nothing. */
static void test_manager_does_not_read(void **state)
{
	struct bench *bench = *state;
	begin(bench);
	unsigned n = fill(bench);
	alarm(20); /* one that waits is ended */
	systemd_reloading(bench->systemd);
	for (int i = 0; i < 1000; i++) {
		systemd_status(bench->systemd, "%d", i);
		systemd_extend_timeout(bench->systemd, (unsigned long long)i);
		if (i == 500)
			systemd_ready(bench->systemd);
	}
	ev_run(bench->loop, EVRUN_NOWAIT);
	empty(bench, n);
	assert_null(heard(bench));
	for (int turns = 0; turns < 10; turns++)
		ev_run(bench->loop, EVRUN_NOWAIT);
	alarm(0);
	assert_memory_equal(heard(bench), "RELOADING=1\n", 12);
	assert_heard(bench, "READY=1");
	assert_heard(bench, "STATUS=999");
	assert_heard(bench, "EXTEND_TIMEOUT_USEC=999");
	assert_null(heard(bench));
}

static void test_queue_is_bounded(void **state)
{
	struct bench *bench = *state;
	begin(bench);
	unsigned n = fill(bench), waiting = 0;
	alarm(20);
	for (int i = 0; i < 1000; i++)
		systemd_reloading(bench->systemd);
	systemd_ready(bench->systemd);
	empty(bench, n);
	const char *text, *last = NULL;
	do {
		ev_run(bench->loop, EVRUN_NOWAIT);
		while ((text = heard(bench))) {
			last = text;
			waiting++;
		}
	} while (!last || strcmp(last, "READY=1") != 0);
	alarm(0);
	assert_int_equal(waiting, 32);
}

/* Ended while something waits: nothing is left (a sanitizer looks on). */
static void test_free_while_waiting(void **state)
{
	struct bench *bench = *state;
	begin(bench);
	(void)fill(bench);
	systemd_ready(bench->systemd);
	systemd_free(bench->systemd);
	bench->systemd = NULL;
	systemd_free(NULL);
}

static void test_manager_comes_back(void **state)
{
	struct bench *bench = *state;
	const char *path = scratch_file(&bench->scratch, "notify");
	begin(bench);
	fd_close(bench->manager);
	bench->manager = -1;
	systemd_status(bench->systemd, "nobody hears"); /* and nobody is harmed */
	assert_int_equal(unlink(path), 0);
	bench->manager = manager_at_path(path);
	systemd_status(bench->systemd, "again");
	assert_heard(bench, "STATUS=again");
}

static void test_abstract(void **state)
{
	struct bench *bench = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char name[100];
	int n = snprintf(name, sizeof(name), "@handover-test-%d", (int)getpid());
	memcpy(address.sun_path + 1, name + 1, (size_t)n - 1);
	bench->manager = manager_bind(
		&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n));
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(systemd_new(bench->loop, &bench->systemd), 0);
	systemd_ready(bench->systemd);
	assert_heard(bench, "READY=1");
}

/* Without a manager, or with one that cannot be reached, all is silent. */
static void test_no_manager(void **state)
{
	struct bench *bench = *state;
	static const char *const addresses[] = { NULL,	     "",	  "@",
						 "relative", "vsock:2:1", "/nowhere/at/all" };
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		unsigned before = count_descriptors();
		if (addresses[i])
			setenv("NOTIFY_SOCKET", addresses[i], 1);
		setenv("WATCHDOG_USEC", "1000", 1);
		assert_int_equal(systemd_new(bench->loop, &bench->systemd), 0);
		assert_null(getenv("NOTIFY_SOCKET"));
		assert_null(getenv("WATCHDOG_USEC"));
		systemd_ready(bench->systemd);
		systemd_status(bench->systemd, "x");
		assert_int_equal(ev_pending_count(bench->loop), 0);
		assert_int_equal(count_descriptors(), before);
		systemd_free(bench->systemd);
		bench->systemd = NULL;
	}
}

static void test_watchdog(void **state)
{
	struct bench *bench = *state;
	char pid[16];
	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("WATCHDOG_USEC", "20000", 1);
	setenv("WATCHDOG_PID", pid, 1);
	begin(bench);
	assert_null(getenv("WATCHDOG_PID"));
	for (int i = 0; i < 3; i++) {
		ev_run(bench->loop, EVRUN_ONCE);
		assert_heard(bench, "WATCHDOG=1");
		assert_null(heard(bench));
	}
	/* Those that wait are one. */
	unsigned n = fill(bench);
	for (int i = 0; i < 5; i++)
		ev_run(bench->loop, EVRUN_ONCE);
	empty(bench, n);
	ev_run(bench->loop, EVRUN_ONCE);
	assert_heard(bench, "WATCHDOG=1");
	assert_null(heard(bench));
}

static void test_watchdog_of_another(void **state)
{
	struct bench *bench = *state;
	setenv("WATCHDOG_USEC", "1000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	begin(bench);
	assert_null(getenv("WATCHDOG_USEC"));
	ev_run(bench->loop, EVRUN_NOWAIT);
	assert_null(heard(bench));
}

static int setup(void **state)
{
	static struct bench bench;
	memset(&bench, 0, sizeof(bench));
	bench.manager = -1;
	bench.loop = ev_loop_new(EVFLAG_AUTO);
	/* So that its own descriptors are there before any are counted. */
	ev_run(bench.loop, EVRUN_NOWAIT);
	scratch_make(&bench.scratch);
	*state = &bench;
	return bench.loop ? 0 : -1;
}

static int teardown(void **state)
{
	struct bench *bench = *state;
	systemd_free(bench->systemd);
	fd_close(bench->manager);
	ev_loop_destroy(bench->loop);
	scratch_remove(&bench->scratch);
	return 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_messages),
		TEST(test_status_is_one_line),
		TEST(test_manager_does_not_read),
		TEST(test_queue_is_bounded),
		TEST(test_free_while_waiting),
		TEST(test_manager_comes_back),
		TEST(test_abstract),
		TEST(test_no_manager),
		TEST(test_watchdog),
		TEST(test_watchdog_of_another),
	};
	return cmocka_run_group_tests_name("systemd", tests, NULL, NULL);
}
