/* libhandover without a supervisor: socket activation, sd_notify(3), or neither. */
#include "tests/unit/libhandover_fixture.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "worker/libhandover_notifier.h"
#include "worker/libhandover_own_listener.h"

enum { FIRST_FD = 3 };

struct fixture {
	struct handover *handover;
	struct owner owner;
	int notify_fd;
	char notify_name[64];
};

static int set_up(void **state)
{
	clear_environment();
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	fixture->notify_fd = -1;
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	handover_free(fixture->handover);
	(void)fd_close(fixture->notify_fd);
	free(fixture);
	return 0;
}

static int attach(struct fixture *fixture, unsigned int flags)
{
	return handover_attach(&fixture->handover, &OWNER_CALLBACKS, &fixture->owner, flags);
}

/* Sockets at 3, 4, …, as systemd passes them. */
static void open_sockets(int count)
{
	for (int i = 0; i < count; i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);
		assert_true(fd >= 0);
		if (fd != FIRST_FD + i) {
			assert_int_equal(dup2(fd, FIRST_FD + i), FIRST_FD + i);
			(void)fd_close(fd);
		}
	}
}

static void close_sockets(int count)
{
	for (int i = 0; i < count; i++)
		(void)close(FIRST_FD + i);
}

static void test_sockets_by_name(void **state)
{
	struct fixture *fixture = *state;
	open_sockets(4);
	set_number("LISTEN_PID", getpid());
	set_number("LISTEN_FDS", 4);
	assert_int_equal(setenv("LISTEN_FDNAMES", "http:admin:http:", 1), 0);
	assert_int_equal(attach(fixture, HANDOVER_UNSET_ENVIRONMENT), 0);
	assert_null(getenv("LISTEN_FDS"));
	assert_null(getenv("LISTEN_FDNAMES"));
	assert_null(getenv("LISTEN_PID"));

	assert_int_equal(handover_socket(fixture->handover, "http", 0), 3);
	assert_int_equal(handover_socket(fixture->handover, "http", 1), 5);
	assert_int_equal(handover_socket(fixture->handover, "http", 2), -ENOENT);
	assert_int_equal(handover_socket(fixture->handover, "admin", 0), 4);
	assert_int_equal(handover_socket(fixture->handover, "", 0), 6);
	assert_int_equal(handover_socket(fixture->handover, "other", 0), -ENOENT);
	assert_int_equal(handover_socket(fixture->handover, NULL, 3), 6);
	assert_int_equal(handover_socket(fixture->handover, NULL, 4), -ENOENT);
	assert_string_equal(handover_socket_name(fixture->handover, 5), "http");
	assert_null(handover_socket_name(fixture->handover, 7));
	for (int fd = 3; fd < 7; fd++)
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);

	handover_free(TAKE_PTR(fixture->handover));
	for (int fd = 3; fd < 7; fd++)
		assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static const struct activation {
	const char *pid, *fds, *names;
	int result;
	size_t n_sockets;
	const char *first_name;
} ACTIVATIONS[] = {
	/* "us" stands for our own number */
	{ "us", "2", NULL, 0, 2, "unknown" },
	{ "us", "2", "a:b", 0, 2, "a" },
	{ "us", "2", "a:a", 0, 2, "a" },
	{ "us", "2", "a", -EINVAL, 0, NULL },
	{ "us", "2", "a:b:c", -EINVAL, 0, NULL },
	{ "us", "1", "", 0, 1, "" },
	{ "us", "0", "", 0, 0, NULL },
	{ "us", "3", NULL, -EBADF, 0, NULL },
	{ "us", "-1", NULL, -EINVAL, 0, NULL },
	{ "us", "two", NULL, -EINVAL, 0, NULL },
	{ "us", "2147483647", NULL, -EINVAL, 0, NULL },
	{ "us", NULL, NULL, 0, 0, NULL },
	{ "1", "2", "a:b", 0, 0, NULL },
	{ "1", "junk", NULL, 0, 0, NULL },
	{ "x", "2", NULL, -EINVAL, 0, NULL },
	{ NULL, "2", NULL, 0, 0, NULL },
};

static void test_activations(void **state)
{
	struct fixture *fixture = *state;
	for (size_t i = 0; i < ARRAY_SIZE(ACTIVATIONS); i++) {
		const struct activation *activation = &ACTIVATIONS[i];
		clear_environment();
		open_sockets(2);
		if (activation->pid && strcmp(activation->pid, "us") == 0)
			set_number("LISTEN_PID", getpid());
		else if (activation->pid)
			assert_int_equal(setenv("LISTEN_PID", activation->pid, 1), 0);
		if (activation->fds)
			assert_int_equal(setenv("LISTEN_FDS", activation->fds, 1), 0);
		if (activation->names)
			assert_int_equal(setenv("LISTEN_FDNAMES", activation->names, 1), 0);
		assert_int_equal(attach(fixture, 0), activation->result);
		if (activation->result == 0) {
			size_t n = 0;
			while (handover_socket(fixture->handover, NULL, n) >= 0)
				n++;
			assert_int_equal(n, activation->n_sockets);
		}
		if (activation->first_name)
			assert_string_equal(handover_socket_name(fixture->handover, FIRST_FD),
					    activation->first_name);
		/* What was not taken is as it was. */
		if (activation->n_sockets == 0)
			assert_int_equal(fcntl(FIRST_FD, F_GETFD), 0);
		handover_free(TAKE_PTR(fixture->handover));
		close_sockets(2);
	}
}

/* A channel that was inherited by mistake, with the whole environment, is left alone. */
static void test_environment_of_another(void **state)
{
	struct fixture *fixture = *state;
	set_number("HANDOVER_FD", 0);
	set_number("LISTEN_PID", 1);
	assert_int_equal(attach(fixture, 0), 0);
	assert_false(handover_supervised(fixture->handover));
	assert_null(handover_name(fixture->handover));
	assert_int_equal(handover_generation(fixture->handover), 0);
	assert_int_equal(handover_slot(fixture->handover), -1);
}

static void listen_for_notifications(struct fixture *fixture)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int length = snprintf(fixture->notify_name, sizeof(fixture->notify_name),
			      "@handover-test-%d", (int)getpid());
	memcpy(address.sun_path + 1, fixture->notify_name + 1, (size_t)length - 1);
	fixture->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(fixture->notify_fd >= 0);
	socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length);
	assert_int_equal(bind(fixture->notify_fd, (struct sockaddr *)&address, bytes), 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", fixture->notify_name, 1), 0);
}

static void expect(struct fixture *fixture, const char *text)
{
	char datagram[512];
	ssize_t n = recv(fixture->notify_fd, datagram, sizeof(datagram) - 1, 0);
	assert_true(n >= 0);
	datagram[n] = '\0';
	assert_string_equal(datagram, text);
}

static void test_notify(void **state)
{
	struct fixture *fixture = *state;
	listen_for_notifications(fixture);
	set_number("WATCHDOG_USEC", 1000000);
	assert_int_equal(attach(fixture, HANDOVER_CATCH_SIGTERM), 0);
	assert_false(is_readable(handover_fd(fixture->handover), 0));
	assert_int_equal(handover_ready(fixture->handover), 0);
	assert_string_equal(fixture->owner.calls, ""); /* not from within handover_ready() */
	expect(fixture, "READY=1");
	turn(fixture->handover);
	assert_string_equal(fixture->owner.calls, "s");
	assert_int_equal(handover_status(fixture->handover, "well\nREADY=1"), 0);
	expect(fixture, "STATUS=well READY=1");
	assert_int_equal(handover_watchdog(fixture->handover), 0);
	expect(fixture, "WATCHDOG=1");

	assert_int_equal(kill(getpid(), SIGTERM), 0);
	turn(fixture->handover);
	assert_string_equal(fixture->owner.calls, "sd");
	expect(fixture, "STOPPING=1");
	assert_int_equal(handover_draining(fixture->handover, 12), 0);
	expect(fixture, "STATUS=draining, 12 open");
	assert_int_equal(recv(fixture->notify_fd, &(char){ 0 }, 1, 0), -1);
}

/* sd_notify() blocks here; we wait for the receiver in the loop, and READY=1 is not lost. */
static void test_full_notify_socket(void **state)
{
	struct fixture *fixture = *state;
	listen_for_notifications(fixture);
	assert_int_equal(attach(fixture, 0), 0);
	for (int i = 0; i < 3000; i++)
		assert_int_equal(handover_status(fixture->handover, "filling"), 0);
	assert_int_equal(handover_ready(fixture->handover), 0);
	turn(fixture->handover);
	assert_string_equal(fixture->owner.calls, "s"); /* serving waits for nobody */
	assert_false(is_readable(handover_fd(fixture->handover), 20));

	char datagram[512];
	while (recv(fixture->notify_fd, datagram, sizeof(datagram), 0) > 0)
		;
	turn(fixture->handover);
	expect(fixture, "READY=1");
	expect(fixture, "STATUS=filling");
	assert_false(is_readable(handover_fd(fixture->handover), 20));
}

/* systemd may come back with another socket of the same name, or not at all. */
static void test_notify_socket_comes_and_goes(void **state)
{
	struct fixture *fixture = *state;
	listen_for_notifications(fixture);
	assert_int_equal(attach(fixture, 0), 0);
	assert_int_equal(handover_status(fixture->handover, "one"), 0);
	expect(fixture, "STATUS=one");
	fixture->notify_fd = fd_close(fixture->notify_fd);
	assert_int_equal(handover_ready(fixture->handover), -ECONNREFUSED);
	turn(fixture->handover);
	assert_string_equal(fixture->owner.calls, "s");
	listen_for_notifications(fixture);
	assert_int_equal(handover_status(fixture->handover, "two"), 0);
	expect(fixture, "STATUS=two");
}

static void fill_notifications(struct fixture *fixture)
{
	CLEANUP(notifier_finish) struct notifier filler;
	assert_int_equal(notifier_init(&filler, fixture->notify_name), 0);
	int r;
	do
		r = notifier_send(&filler, "filling");
	while (r == 0);
	assert_int_equal(r, -EAGAIN);
}

static void empty_notifications(struct fixture *fixture)
{
	char datagram[512];
	while (recv(fixture->notify_fd, datagram, sizeof(datagram), 0) > 0)
		;
}

/* Its successor may be full as well: it was once not watched, and READY=1 waited for ever. */
static void test_full_notify_socket_comes_and_goes(void **state)
{
	struct fixture *fixture = *state;
	listen_for_notifications(fixture);
	assert_int_equal(attach(fixture, 0), 0);
	fill_notifications(fixture);
	assert_int_equal(handover_ready(fixture->handover), 0);
	turn(fixture->handover);
	assert_false(is_readable(handover_fd(fixture->handover), 20));

	fixture->notify_fd = fd_close(fixture->notify_fd);
	listen_for_notifications(fixture);
	fill_notifications(fixture);
	assert_int_equal(handover_status(fixture->handover, "newest"), 0);
	assert_false(is_readable(handover_fd(fixture->handover), 20));

	empty_notifications(fixture);
	turn(fixture->handover);
	expect(fixture, "READY=1");
	expect(fixture, "STATUS=newest");
	assert_false(is_readable(handover_fd(fixture->handover), 20));
}

static void test_neither(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(attach(fixture, HANDOVER_CATCH_SIGTERM), 0);
	assert_int_equal(handover_status(fixture->handover, "x"), 0);
	assert_int_equal(handover_ready(fixture->handover), 0);
	turn(fixture->handover);
	assert_string_equal(fixture->owner.calls, "s");
	assert_int_equal(kill(getpid(), SIGTERM), 0);
	turn(fixture->handover);
	assert_string_equal(fixture->owner.calls, "sd");
	handover_free(TAKE_PTR(fixture->handover));
	sigset_t blocked;
	assert_int_equal(sigprocmask(SIG_BLOCK, NULL, &blocked), 0);
	assert_false(sigismember(&blocked, SIGTERM));
}

/* A drain before readiness: serve does not come after it. */
static void test_sigterm_before_ready(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(attach(fixture, HANDOVER_CATCH_SIGTERM), 0);
	assert_int_equal(kill(getpid(), SIGTERM), 0);
	turn(fixture->handover);
	assert_int_equal(handover_ready(fixture->handover), 0);
	turn(fixture->handover);
	assert_string_equal(fixture->owner.calls, "d");
}

static const struct {
	const char *text;
	int family;
} ADDRESSES[] = {
	{ "tcp:127.0.0.1:8080", AF_INET },
	{ "tcp:[::1]:80", AF_INET6 },
	{ "tcp:[::]:0", AF_INET6 },
	{ "unix:/run/x", AF_UNIX },
	{ "unix:@x", AF_UNIX },
	{ "tcp:127.0.0.1", 0 },
	{ "tcp:127.0.0.1:", 0 },
	{ "tcp:127.0.0.1:65536", 0 },
	{ "tcp:127.0.0.1:+1", 0 },
	{ "tcp:localhost:80", 0 },
	{ "tcp:::1:80", 0 },
	{ "tcp:[::1:80", 0 },
	{ "tcp:", 0 },
	{ "unix:", 0 },
	{ "unix:/", 0 },
	{ "unix:relative", 0 },
	{ "udp:127.0.0.1:1", 0 },
	{ "", 0 },
};

static void test_addresses(void **state)
{
	(void)state;
	struct sockaddr_storage address;
	socklen_t bytes;
	for (size_t i = 0; i < ARRAY_SIZE(ADDRESSES); i++) {
		int r = own_listener_parse(ADDRESSES[i].text, &address, &bytes);
		assert_int_equal(r, ADDRESSES[i].family ? 0 : -EINVAL);
		if (r == 0)
			assert_int_equal(address.ss_family, ADDRESSES[i].family);
	}
	char text[200] = "unix:/";
	memset(text + 6, 'x', sizeof(text) - 7);
	assert_int_equal(own_listener_parse(text, &address, &bytes), -EINVAL);
}

static void test_own_listener(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(attach(fixture, 0), 0);
	assert_int_equal(handover_listen(fixture->handover, "a:b", "tcp:127.0.0.1:0"), -EINVAL);
	assert_int_equal(handover_listen(fixture->handover, "http", "nowhere"), -EINVAL);
	assert_int_equal(handover_listen(fixture->handover, "http", "tcp:127.0.0.1:0"), 1);
	assert_int_equal(handover_listen(fixture->handover, "http", "tcp:127.0.0.1:0"), 0);
	int fd = handover_socket(fixture->handover, "http", 0);
	struct sockaddr_in address;
	socklen_t bytes = sizeof(address);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&address, bytes), 0);
	(void)fd_close(client);

	char taken[64];
	(void)snprintf(taken, sizeof(taken), "tcp:127.0.0.1:%u", ntohs(address.sin_port));
	assert_int_equal(handover_listen(fixture->handover, "other", taken), -EADDRINUSE);
}

/* A socket file that its owner left is replaced; one whose owner lives is not. */
static void test_own_unix_listener(void **state)
{
	struct fixture *fixture = *state;
	char path[64], text[80];
	(void)snprintf(path, sizeof(path), "/tmp/handover-test-%d.sock", (int)getpid());
	(void)snprintf(text, sizeof(text), "unix:%s", path);
	CLEANUP(fd_closep) int first = -1;
	assert_int_equal(own_listener_open(text, &first), 0);
	assert_int_equal(attach(fixture, 0), 0);
	assert_int_equal(handover_listen(fixture->handover, "http", text), -EADDRINUSE);
	first = fd_close(first);
	assert_int_equal(handover_listen(fixture->handover, "http", text), 1);
	assert_int_equal(unlink(path), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_sockets_by_name),
		TEST(test_activations),
		TEST(test_environment_of_another),
		TEST(test_notify),
		TEST(test_full_notify_socket),
		TEST(test_notify_socket_comes_and_goes),
		TEST(test_full_notify_socket_comes_and_goes),
		TEST(test_neither),
		TEST(test_sigterm_before_ready),
		TEST(test_addresses),
		TEST(test_own_listener),
		TEST(test_own_unix_listener),
	};
	if (close_range(FIRST_FD, ~0u, 0) < 0)
		return 1; /* whatever the runner left open is in the way of ours */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
