#include <sys/stat.h>

#include "listener_fixture.h"

/* A process of its own that listens on a TCP port of 127.0.0.1 until it is told to end. */
struct other_process {
	pid_t pid;
	int end; /* closing it ends the process */
	struct address address;
};

static void other_process_run(int report, int end, bool reuse_port)
{
	struct address address;
	char byte;
	int on = reuse_port;
	(void)address_parse("127.0.0.1:0", &address, NULL);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	(void)bind(fd, (struct sockaddr *)&address.storage, address.length);
	(void)listen(fd, 10);
	(void)address_of_socket(fd, &address);
	(void)!write(report, &address, sizeof(address));
	(void)!read(end, &byte, 1);
	_exit(0);
}

static void other_process_start(struct other_process *other, bool reuse_port)
{
	int report[2], end[2];
	assert_int_equal(pipe2(report, O_CLOEXEC), 0);
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	other->pid = fork_helper();
	if (other->pid == 0) {
		(void)close(end[1]);
		other_process_run(report[1], end[0], reuse_port);
	}
	assert_int_equal(read(report[0], &other->address, sizeof(other->address)),
			 sizeof(other->address));
	other->end = end[1];
	(void)close(report[0]);
	(void)close(report[1]);
	(void)close(end[0]);
}

static void other_process_end(struct other_process *other)
{
	(void)close(other->end);
	assert_int_equal(waitpid(other->pid, NULL, 0), other->pid);
}

static bool option(int fd, int name)
{
	int value = 0;
	socklen_t length = sizeof(value);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, name, &value, &length), 0);
	return value != 0;
}

static void tcp_is_bound_as_configured(void **state)
{
	static const char *const addresses[] = { "127.0.0.1:0", "[::1]:0", "0", "0.0.0.0:0" };
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
		for (int sharded = 0; sharded < 2; sharded++) {
			struct setup setup;
			setup_init(&setup, addresses[i], sharded);
			struct listeners *listeners = setup_open(&setup, 4);
			struct endpoint *endpoint = &listeners->items[0].endpoints[0];
			assert_int_equal(endpoint->n_shards, sharded ? 4 : 1);
			assert_int_not_equal(address_port(&endpoint->address), 0);
			for (size_t j = 0; j < endpoint->n_shards; j++) {
				const struct shard *shard = &endpoint->shards[j];
				struct address address;
				assert_int_equal(address_of_socket(shard->fd, &address), 0);
				assert_true(address_equal(&address, &endpoint->address));
				assert_true(option(shard->fd, SO_REUSEADDR));
				assert_int_equal(option(shard->fd, SO_REUSEPORT), sharded);
				assert_true(option(shard->fd, SO_ACCEPTCONN));
				assert_true(fcntl(shard->fd, F_GETFD) & FD_CLOEXEC);
				assert_int_equal(shard->place, sharded ? (int)j : -1);
				assert_false(shard->parked);
			}
			hang_up(dial(&endpoint->address));
			listeners_free(listeners);
		}
}

static void a_bare_port_takes_ipv4_too(void **state)
{
	struct setup setup;
	struct address ipv4;
	(void)state;
	setup_init(&setup, "0", true);
	struct listeners *listeners = setup_open(&setup, 2);
	struct endpoint *endpoint = &listeners->items[0].endpoints[0];
	assert_int_equal(address_parse("127.0.0.1:0", &ipv4, NULL), 0);
	address_set_port(&ipv4, address_port(&endpoint->address));
	int fd = dial(&ipv4);
	assert_true(fd >= 0);
	(void)accept_from_any(endpoint);
	hang_up(fd);
	listeners_free(listeners);
}

static void a_port_in_use_names_the_process(void **state)
{
	static const struct {
		const char *address;
		bool other_reuses, we_reuse;
	} cases[] = {
		{ "127.0.0.1:0", false, false }, { "127.0.0.1:0", false, true },
		{ "127.0.0.1:0", true, false },	 { "127.0.0.1:0", true, true },
		{ "0.0.0.0:0", true, true },	 { "[::]:0", true, true },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct other_process other;
		struct setup setup;
		char pid[32];
		other_process_start(&other, cases[i].other_reuses);
		setup_init(&setup, cases[i].address, cases[i].we_reuse);
		address_set_port(&setup.address, address_port(&other.address));
		setup_must_fail(&setup, 4, -EADDRINUSE);
		(void)snprintf(pid, sizeof(pid), "pid %d (test_listener)", other.pid);
		assert_text(&setup.error, "Listener http: ");
		assert_text(&setup.error, "address in use");
		assert_text(&setup.error, pid);
		other_process_end(&other);
	}
}

static void an_address_given_twice_is_our_own_fault(void **state)
{
	struct setup setup;
	struct address twice[2];
	(void)state;
	setup_init(&setup, "127.0.0.1:0", false);
	struct listeners *listeners = setup_open(&setup, 1);
	twice[0] = twice[1] = listeners->items[0].endpoints[0].address;
	listeners_free(listeners);
	setup.listener.addresses = twice;
	setup.listener.n_addresses = 2;
	/* Both bind, for neither listens yet and both have SO_REUSEADDR; listen(2) finds it out. */
	setup_must_fail(&setup, 1, -EADDRINUSE);
	assert_text(&setup.error, "this handoverd itself");
}

static void a_restart_binds_over_time_wait(void **state)
{
	struct setup setup;
	(void)state;
	setup_init(&setup, "127.0.0.1:0", true);
	struct listeners *listeners = setup_open(&setup, 2);
	struct endpoint *endpoint = &listeners->items[0].endpoints[0];
	setup.address = endpoint->address;
	int client = dial(&setup.address), server = -1;
	for (size_t i = 0; i < 2 && server < 0; i++)
		server = accept4(endpoint->shards[i].fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(server >= 0);
	(void)close(server); /* first: TIME_WAIT is on the side that closes first */
	(void)close(client);
	listeners_free(listeners);
	assert_int_equal(socket_at(&setup.address, SOCK_STREAM), -EADDRINUSE);
	listeners_free(setup_open(&setup, 2));
}

static void what_cannot_be_bound_says_why(void **state)
{
	static const struct {
		const char *address, *text;
		int code;
	} cases[] = {
		{ "198.51.100.1:0", "no network interface", -EADDRNOTAVAIL },
		{ "/nonexistent/handover/app.sock", "directory of the socket does not exist",
		  -ENOENT },
	};
	struct setup setup;
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		setup_init(&setup, cases[i].address, false);
		setup_must_fail(&setup, 1, cases[i].code);
		assert_text(&setup.error, cases[i].text);
		assert_text(&setup.error, cases[i].address);
	}
}

/* The first address is free and the second is not: nothing may stay open, and nobody was let in. */
static void all_addresses_or_none(void **state)
{
	struct other_process other;
	struct setup setup;
	struct address both[2];
	(void)state;
	other_process_start(&other, false);
	setup_init(&setup, "127.0.0.1:0", true);
	struct listeners *listeners = setup_open(&setup, 1);
	both[0] = listeners->items[0].endpoints[0].address;
	both[1] = other.address;
	listeners_free(listeners);
	setup.listener.addresses = both;
	setup.listener.n_addresses = 2;
	setup_must_fail(&setup, 3, -EADDRINUSE);
	assert_int_equal(dial(&both[0]), -ECONNREFUSED);
	other_process_end(&other);
}

static void a_slot_gets_its_descriptors_in_order(void **state)
{
	struct setup setup;
	struct address addresses[3];
	struct config_listener both[2];
	struct listeners *listeners;
	int *fds;
	const char **names;
	size_t n;
	(void)state;
	setup_init(&setup, "127.0.0.1:0", true);
	addresses[0] = addresses[2] = setup.address;
	assert_int_equal(address_parse("@handover-test-slot", &addresses[1], NULL), 0);
	both[0] = both[1] = setup.listener;
	both[0].addresses = addresses;
	both[0].n_addresses = 2;
	both[1].name = (char[]){ "admin" };
	both[1].addresses = &addresses[2];
	both[1].reuse_port = false;
	setup.config.listeners = both;
	setup.config.n_listeners = 2;
	assert_int_equal(
		listeners_open(&setup.config, 3, NULL, &listeners, &setup.notices, &setup.error),
		0);
	assert_int_equal(setup.notices.n_lines, 1);
	assert_non_null(strstr(setup.notices.lines[0], "@handover-test-slot: one socket for all"));
	problems_finish(&setup.notices);
	for (size_t slot = 0; slot < 3; slot++) {
		assert_int_equal(listeners_for_slot(listeners, slot, &fds, &names, &n), 0);
		assert_int_equal(n, 3);
		assert_int_equal(fds[0], listeners->items[0].endpoints[0].shards[slot].fd);
		assert_int_equal(fds[1], listeners->items[0].endpoints[1].shards[0].fd);
		assert_int_equal(fds[2], listeners->items[1].endpoints[0].shards[0].fd);
		assert_string_equal(names[0], "http");
		assert_string_equal(names[1], "http");
		assert_string_equal(names[2], "admin");
		free(fds);
		free(names);
	}
	listeners_free(listeners);
}

/* What NonBlocking= says × what a worker did × whether it may be undone. */
static void nonblocking_is_looked_after(void **state)
{
	static const struct {
		enum nonblocking policy;
		bool worker_sets, may_set; /* the worker sets O_NONBLOCK, or else clears it */
		bool at_first, after, cleared;
	} cases[] = {
		{ NONBLOCKING_AUTO, true, true, true, true, false },
		{ NONBLOCKING_AUTO, true, false, true, true, false },
		{ NONBLOCKING_AUTO, false, true, true, true, true },
		{ NONBLOCKING_AUTO, false, false, true, false, true },
		{ NONBLOCKING_YES, true, true, true, true, false },
		{ NONBLOCKING_YES, true, false, true, true, false },
		{ NONBLOCKING_YES, false, true, true, true, true },
		{ NONBLOCKING_YES, false, false, true, true, true },
		{ NONBLOCKING_NO, true, true, false, false, false },
		{ NONBLOCKING_NO, true, false, false, false, false },
		{ NONBLOCKING_NO, false, true, false, false, false },
		{ NONBLOCKING_NO, false, false, false, false, false },
	};
	static const char *const addresses[] = { "127.0.0.1:0", "@handover-test-nonblocking" };
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases) * 2; i++) {
		size_t row = i / 2;
		struct setup setup;
		bool cleared;
		setup_init(&setup, addresses[i % 2], true);
		setup.listener.nonblocking = cases[row].policy;
		struct listeners *listeners = setup_open(&setup, 2);
		int fd = listeners->items[0].endpoints[0].shards[0].fd;
		assert_int_equal(listeners_nonblocking(listeners, 0), cases[row].at_first);
		assert_int_equal(fcntl(fd, F_SETFL, cases[row].worker_sets ? O_NONBLOCK : 0), 0);
		assert_int_equal(listeners_tend(listeners, 0, cases[row].may_set, &cleared), 0);
		assert_int_equal(listeners_nonblocking(listeners, 0), cases[row].after);
		assert_int_equal(cleared, cases[row].cleared);
		/* Reported once, where it stays cleared. */
		assert_int_equal(listeners_tend(listeners, 0, cases[row].may_set, &cleared), 0);
		assert_false(cleared);
		listeners_free(listeners);
	}
}

static void the_backlog_is_restored(void **state)
{
	struct setup setup;
	struct shard_figures figures;
	bool cleared;
	(void)state;
	setup_init(&setup, "127.0.0.1:0", true);
	struct listeners *listeners = setup_open(&setup, 2);
	const struct shard *shards = listeners->items[0].endpoints[0].shards;
	shard_figures(&shards[1], &figures);
	assert_int_equal(figures.queue_limit, 4096);
	assert_int_equal(listen(shards[1].fd, 1), 0);
	shard_figures(&shards[1], &figures);
	assert_int_equal(figures.queue_limit, 1);
	assert_int_equal(listeners_tend(listeners, 0, true, &cleared), 0);
	shard_figures(&shards[1], &figures);
	assert_int_equal(figures.queue_limit, 1); /* not the slot's */
	assert_int_equal(listeners_tend(listeners, 1, true, &cleared), 0);
	shard_figures(&shards[1], &figures);
	assert_int_equal(figures.queue_limit, 4096);
	listeners_free(listeners);
}

static void queues_are_counted(void **state)
{
	struct setup setup;
	struct shard_figures figures;
	int clients[8];
	unsigned queued = 0;
	(void)state;
	setup_init(&setup, "127.0.0.1:0", true);
	struct listeners *listeners = setup_open(&setup, 2);
	const struct endpoint *endpoint = &listeners->items[0].endpoints[0];
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		clients[i] = dial(&endpoint->address);
	for (size_t slot = 0; slot < 2; slot++) {
		shard_figures(&endpoint->shards[slot], &figures);
		assert_int_equal(listeners_queued(listeners, slot), figures.queue);
		assert_int_equal(figures.drops, 0);
		queued += listeners_queued(listeners, slot);
	}
	assert_int_equal(queued, ARRAY_SIZE(clients));
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		hang_up(clients[i]);
	listeners_free(listeners);

	setup_init(&setup, "@handover-test-queue", true);
	listeners = setup_open(&setup, 2);
	shard_figures(&listeners->items[0].endpoints[0].shards[0], &figures);
	assert_int_equal(figures.queue, -1);
	assert_int_equal(figures.queue_limit, -1);
	assert_int_equal(figures.drops, -1);
	assert_int_equal(listeners_queued(listeners, 1), 0);
	listeners_free(listeners);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		socket_test(tcp_is_bound_as_configured),
		socket_test(a_bare_port_takes_ipv4_too),
		socket_test(a_port_in_use_names_the_process),
		socket_test(an_address_given_twice_is_our_own_fault),
		socket_test(a_restart_binds_over_time_wait),
		socket_test(what_cannot_be_bound_says_why),
		socket_test(all_addresses_or_none),
		socket_test(a_slot_gets_its_descriptors_in_order),
		socket_test(nonblocking_is_looked_after),
		socket_test(the_backlog_is_restored),
		socket_test(queues_are_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
