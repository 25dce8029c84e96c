#include <stdlib.h>

#include "supervisor/activation.h"

#include "listener_fixture.h"

enum { FIRST = 3 }; /* SD_LISTEN_FDS_START */

/* Puts the descriptors where systemd would, in order, and the environment around them. */
static struct activation *activate(const int *fds, size_t n, const char *names)
{
	struct activation *activation;
	struct error error;
	char text[32];
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(dup2(fds[i], FIRST + (int)i), FIRST + (int)i);
		(void)close(fds[i]);
	}
	(void)snprintf(text, sizeof(text), "%zu", n);
	(void)setenv("LISTEN_FDS", text, 1);
	(void)snprintf(text, sizeof(text), "%d", getpid());
	(void)setenv("LISTEN_PID", text, 1);
	if (names)
		(void)setenv("LISTEN_FDNAMES", names, 1);
	else
		(void)unsetenv("LISTEN_FDNAMES");
	if (activation_new(&activation, &error) < 0)
		fail_msg("%s", error.text);
	assert_null(getenv("LISTEN_FDS"));
	assert_null(getenv("LISTEN_PID"));
	assert_null(getenv("LISTEN_FDNAMES"));
	assert_int_equal(activation_count(activation), n);
	for (size_t i = 0; i < n; i++)
		assert_true(fcntl(FIRST + (int)i, F_GETFD) & FD_CLOEXEC);
	return activation;
}

/* A socket out of the way of those numbers. */
static int high(int fd)
{
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, 64);
	assert_true(moved >= 64);
	(void)close(fd);
	return moved;
}

static int socket_of(const char *text, int type, bool listening)
{
	struct address address;
	assert_int_equal(address_parse(text, &address, NULL), 0);
	int fd = socket_at(&address, type);
	assert_true(fd >= 0);
	if (listening)
		assert_int_equal(listen(fd, 5), 0);
	return high(fd);
}

static struct address address_from(const char *text)
{
	struct address address;
	assert_int_equal(address_parse(text, &address, NULL), 0);
	return address;
}

static int take(struct activation *activation, const char *name, const struct address *address)
{
	return activation_take(activation, name, address);
}

static void without_any_it_is_empty(void **state)
{
	struct activation *activation;
	struct problems notices = { 0 };
	struct address address = address_from("127.0.0.1:80");
	(void)state;
	(void)unsetenv("LISTEN_FDS");
	assert_int_equal(activation_new(&activation, NULL), 0);
	assert_int_equal(activation_count(activation), 0);
	assert_int_equal(take(activation, "http", &address), -1);
	activation_report_left_over(activation, &notices);
	assert_int_equal(notices.n_lines, 0);
	activation_free(activation);

	/* Meant for another process: not ours, and gone from the environment. */
	(void)setenv("LISTEN_FDS", "2", 1);
	(void)setenv("LISTEN_PID", "1", 1);
	assert_int_equal(activation_new(&activation, NULL), 0);
	assert_int_equal(activation_count(activation), 0);
	assert_null(getenv("LISTEN_FDS"));
	activation_free(activation);
}

static void a_broken_environment_is_an_error(void **state)
{
	struct activation *activation = NULL;
	struct error error;
	char pid[32];
	(void)state;
	(void)snprintf(pid, sizeof(pid), "%d", getpid());
	(void)setenv("LISTEN_PID", pid, 1);
	(void)setenv("LISTEN_FDS", "x", 1);
	assert_int_equal(activation_new(&activation, &error), -EINVAL);
	assert_text(&error, "LISTEN_FDS");
	assert_null(activation);
}

static void each_is_taken_by_name_and_address(void **state)
{
	const int fds[] = {
		socket_of("127.0.0.1:0", SOCK_STREAM, true),
		socket_of("[::1]:0", SOCK_STREAM, true),
		socket_of("@handover-test-activation", SOCK_STREAM, true),
		socket_of("127.0.0.1:0", SOCK_STREAM, true),
	};
	struct address addresses[4], other;
	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(address_of_socket(fds[i], &addresses[i]), 0);
	struct activation *activation = activate(fds, 4, "http:http:http:admin");
	other = addresses[0];
	address_set_port(&other, (in_port_t)(address_port(&other) ^ 1));
	assert_int_equal(take(activation, "http", &other), -1);
	assert_int_equal(take(activation, "admin", &addresses[0]), -1);
	assert_int_equal(take(activation, "http", &addresses[3]), -1);
	for (size_t i = 4; i-- > 0;) {
		const char *name = i == 3 ? "admin" : "http";
		assert_int_equal(take(activation, name, &addresses[i]), FIRST + (int)i);
		assert_int_equal(take(activation, name, &addresses[i]), -1);
		(void)close(FIRST + (int)i);
	}
	activation_free(activation);
}

/* Names that are none: the address alone decides; a real one that fits goes first. */
static void names_that_are_no_names(void **state)
{
	static const struct {
		const char *names;
		int taken;
	} cases[] = {
		{ NULL, FIRST },
		{ "unknown:unknown", FIRST },
		{ "web.socket:web.socket", FIRST },
		{ ":", FIRST },
		{ "other:web.socket", FIRST + 1 },
		{ "unknown:http", FIRST + 1 },
		{ "other:another", -1 },
		{ ".socket:.socket", -1 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int first = socket_of("127.0.0.1:0", SOCK_STREAM, true);
		const int fds[] = { first, fcntl(first, F_DUPFD_CLOEXEC, 64) };
		struct address address;
		assert_int_equal(address_of_socket(first, &address), 0);
		struct activation *activation = activate(fds, 2, cases[i].names);
		int taken = take(activation, "http", &address);
		assert_int_equal(taken, cases[i].taken);
		(void)fd_close(taken);
		activation_free(activation);
	}
}

static void a_port_of_zero_goes_by_name(void **state)
{
	const int fds[] = { socket_of("127.0.0.1:0", SOCK_STREAM, true),
			    socket_of("[::1]:0", SOCK_STREAM, true) };
	struct address ipv4 = address_from("127.0.0.1:0"), ipv6 = address_from("[::1]:0"),
		       wildcard = address_from("0.0.0.0:0");
	(void)state;
	struct activation *activation = activate(fds, 2, "unknown:http");
	assert_int_equal(take(activation, "http", &wildcard), -1);
	assert_int_equal(take(activation, "http", &ipv4), -1);
	int taken = take(activation, "http", &ipv6);
	assert_int_equal(taken, FIRST + 1);
	(void)close(taken);
	activation_free(activation);
}

static void left_overs_are_named_and_closed(void **state)
{
	static const char *const expected[] = {
		"is not used: no listener of that name has this address; add ListenStream=127.0.0.1:",
		"descriptor 4 (http) from systemd is not used: it is no stream socket",
		"descriptor 5 (http) from systemd is not used: it does not listen",
		"descriptor 6 (http) from systemd is not used: it is no socket",
		"add ListenStream=@handover-test-activation to [Listener NAME]",
		"descriptor 8 (http) from systemd is not used: it is no TCP or Unix socket",
	};
	const int fds[] = {
		socket_of("127.0.0.1:0", SOCK_STREAM, true),
		socket_of("127.0.0.1:0", SOCK_DGRAM, false),
		socket_of("127.0.0.1:0", SOCK_STREAM, false),
		high(open("/dev/null", O_RDONLY | O_CLOEXEC)),
		socket_of("@handover-test-activation", SOCK_STREAM, true),
		high(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0)),
	};
	struct problems notices = { 0 };
	struct address addresses[6];
	(void)state;
	for (size_t i = 0; i < 6; i++)
		if (i != 3)
			assert_int_equal(address_of_socket(fds[i], &addresses[i]), 0);
	struct activation *activation = activate(fds, 6, "http:http:http:http:app.socket:http");
	/* What is unfit is not taken, though name and address are right. */
	assert_int_equal(take(activation, "http", &addresses[1]), -1);
	assert_int_equal(take(activation, "http", &addresses[2]), -1);
	activation_report_left_over(activation, &notices);
	assert_int_equal(notices.n_lines, ARRAY_SIZE(expected));
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
		if (!strstr(notices.lines[i], expected[i]))
			fail_msg("%s", notices.lines[i]);
	problems_finish(&notices);
	activation_free(activation);
	for (int fd = FIRST; fd < FIRST + 6; fd++)
		assert_int_equal(fcntl(fd, F_GETFD), -1);
}

/* systemd's one socket is shard 0, without SO_REUSEPORT when it came; it may also grow alone. */
static void listeners_adopt_it(void **state)
{
	(void)state;
	for (size_t n_slots = 1; n_slots <= 3; n_slots++) {
		const int fds[] = { socket_of("127.0.0.1:0", SOCK_STREAM, true) };
		struct listeners *listeners;
		struct setup setup;
		struct shard_figures figures;
		unsigned counts[4];
		setup_init(&setup, "127.0.0.1:0", true);
		struct activation *activation = activate(fds, 1, "http");
		assert_int_equal(listeners_open(&setup.config, n_slots, activation, &listeners,
						&setup.notices, &setup.error),
				 0);
		assert_int_equal(setup.notices.n_lines, 0);
		const struct endpoint *endpoint = &listeners->items[0].endpoints[0];
		assert_int_equal(listeners->items[0].source, LISTENER_SYSTEMD);
		assert_int_equal(endpoint->shards[0].fd, FIRST);
		assert_int_equal(endpoint->n_shards, n_slots);
		assert_true(listeners_nonblocking(listeners, 0));
		shard_figures(&endpoint->shards[0], &figures);
		assert_int_equal(figures.queue_limit, 4096);
		spread(endpoint, 1000, counts);
		for (size_t i = 0; i < n_slots; i++)
			assert_true(counts[i] > 200);
		assert_int_equal(listeners_grow(listeners, 4, &setup.error), 0);
		spread(endpoint, 1000, counts);
		for (size_t i = 0; i < 4; i++)
			assert_int_equal(counts[i] == 0, i >= n_slots);
		listeners_free(listeners);
		activation_free(activation);
	}
}

/* What systemd did not pass is bound here, and said; what it made is not unlinked. */
static void a_miss_is_said_and_bound(void **state)
{
	char path[96];
	struct setup setup;
	struct address both[2];
	struct listeners *listeners;
	(void)state;
	(void)snprintf(path, sizeof(path), "%s/handover-activation-%d", P_tmpdir, getpid());
	const int fds[] = { socket_of(path, SOCK_STREAM, true) };
	setup_init(&setup, path, false);
	both[0] = address_from("127.0.0.1:0");
	both[1] = setup.address;
	setup.listener.addresses = both;
	setup.listener.n_addresses = 2;
	setup.listener.nonblocking = NONBLOCKING_NO;
	(void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
	struct activation *activation = activate(fds, 1, "http.socket");
	assert_int_equal(listeners_open(&setup.config, 1, activation, &listeners, &setup.notices,
					&setup.error),
			 0);
	assert_int_equal(setup.notices.n_lines, 1);
	assert_non_null(strstr(setup.notices.lines[0],
			       "Listener http: 127.0.0.1:0: systemd passed no such socket"));
	problems_finish(&setup.notices);
	assert_int_equal(listeners->items[0].endpoints[1].shards[0].fd, FIRST);
	assert_false(listeners_nonblocking(listeners, 0));
	listeners_free(listeners);
	activation_free(activation);
	assert_int_equal(unlink(path), 0);
}

/* The kernel lets no socket of one user join another's. */
static void a_socket_of_another_user_cannot_be_joined(void **state)
{
	const int fds[] = { socket_of("127.0.0.1:0", SOCK_STREAM, true) };
	struct listeners *listeners;
	struct setup setup;
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(fchown(fds[0], 12345, (gid_t)-1), 0);
	setup_init(&setup, "127.0.0.1:0", true);
	struct activation *activation = activate(fds, 1, "http");
	assert_int_equal(listeners_open(&setup.config, 2, activation, &listeners, &setup.notices,
					&setup.error),
			 -EADDRINUSE);
	assert_text(&setup.error, "the socket belongs to uid 12345");
	activation_free(activation);
}

static void a_socket_passed_under_another_name_is_explained(void **state)
{
	const int fds[] = { socket_of("127.0.0.1:0", SOCK_STREAM, true) };
	struct listeners *listeners;
	struct setup setup;
	(void)state;
	setup_init(&setup, "127.0.0.1:0", false);
	assert_int_equal(address_of_socket(fds[0], &setup.address), 0);
	struct activation *activation = activate(fds, 1, "htpt");
	assert_int_equal(listeners_open(&setup.config, 1, activation, &listeners, &setup.notices,
					&setup.error),
			 -EADDRINUSE);
	assert_text(&setup.error, "was it passed under another name?");
	problems_finish(&setup.notices);
	activation_free(activation);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		socket_test(without_any_it_is_empty),
		socket_test(a_broken_environment_is_an_error),
		socket_test(each_is_taken_by_name_and_address),
		socket_test(names_that_are_no_names),
		socket_test(a_port_of_zero_goes_by_name),
		socket_test(left_overs_are_named_and_closed),
		socket_test(listeners_adopt_it),
		socket_test(a_miss_is_said_and_bound),
		socket_test(a_socket_of_another_user_cannot_be_joined),
		socket_test(a_socket_passed_under_another_name_is_explained),
	};
	/* What was inherited there (make's job server, a terminal) would be overwritten. */
	for (int fd = FIRST; fd < FIRST + 8; fd++)
		(void)close(fd);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
