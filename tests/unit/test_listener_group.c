/* Who gets the connections: steering, growth, and the model of the group's order, by the kernel. */
#include <linux/filter.h>
#include <sys/resource.h>

#include "listener_fixture.h"
#include "supervisor/listener_group.h"

enum { MANY = 20000, SOME = 2000 };

static struct endpoint *only_endpoint(struct listeners *listeners)
{
	return &listeners->items[0].endpoints[0];
}

static void steer(struct listeners *listeners, const char *flags)
{
	bool live[64];
	struct error error;
	size_t n = strlen(flags);
	for (size_t i = 0; i < n; i++)
		live[i] = flags[i] == '1';
	if (listeners_steer(listeners, live, n, &error) < 0)
		fail_msg("%s", error.text);
}

/* Each shard that has a share got it, within six standard deviations; each other got none. */
static void assert_shares(const unsigned *counts, const char *expected)
{
	size_t n = strlen(expected), n_live = 0;
	unsigned total = 0;
	for (size_t i = 0; i < n; i++) {
		total += counts[i];
		n_live += expected[i] == '1';
	}
	for (size_t i = 0; i < n; i++) {
		double share = expected[i] == '1' ? (double)total / (double)n_live : 0;
		double off = (double)counts[i] - share;
		if (off * off > 36 * share)
			fail_msg("%s: shard %zu got %u of %u", expected, i, counts[i], total);
	}
}

static void parked_shards_get_nothing(void **state)
{
	/* flags for the slots → who gets a share; fewer flags: slots that left */
	static const char *const cases[][2] = {
		{ "1010", "1010" }, { "0001", "0001" }, { "1111", "1111" },
		{ "0000", "1111" }, { "11", "1100" },	{ "00", "1100" },
	};
	static const char *const addresses[] = { "127.0.0.1:0", "[::1]:0" };
	(void)state;
	for (size_t a = 0; a < ARRAY_SIZE(addresses); a++) {
		struct setup setup;
		unsigned counts[4];
		setup_init(&setup, addresses[a], true);
		struct listeners *listeners = setup_open(&setup, 4);
		struct endpoint *endpoint = only_endpoint(listeners);
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			steer(listeners, cases[i][0]);
			spread(endpoint, i == 0 ? MANY : SOME, counts);
			assert_shares(counts, cases[i][1]);
			assert_int_equal(endpoint->steered, strchr(cases[i][1], '0') != NULL);
		}
		listeners_free(listeners);
	}
}

/* A thousand changes: not one connection goes to a shard that was parked when it was made. */
static void steering_takes_effect_at_once(void **state)
{
	struct setup setup;
	unsigned seed = 7;
	(void)state;
	setup_init(&setup, "127.0.0.1:0", true);
	struct listeners *listeners = setup_open(&setup, 4);
	struct endpoint *endpoint = only_endpoint(listeners);
	for (int change = 0; change < 1000; change++) {
		unsigned counts[4], set = 1 + (unsigned)rand_r(&seed) % 15;
		bool live[4];
		for (size_t i = 0; i < 4; i++)
			live[i] = set >> i & 1;
		assert_int_equal(listeners_steer(listeners, live, 4, &setup.error), 0);
		spread(endpoint, MANY / 1000, counts);
		for (size_t i = 0; i < 4; i++)
			assert_true(live[i] || counts[i] == 0);
	}
	listeners_free(listeners);
}

/* Says how many of @n requests were not answered by the byte that was sent. */
static unsigned hammer(const struct address *address, unsigned n)
{
	unsigned lost = 0;
	for (unsigned i = 0; i < n; i++) {
		char sent = (char)i, got = (char)~i;
		int fd = dial(address);
		if (fd < 0 || write(fd, &sent, 1) != 1 || read(fd, &got, 1) != 1 || got != sent)
			lost++;
		if (fd >= 0)
			hang_up(fd);
	}
	return lost;
}

static void answer(int listener)
{
	int fd;
	char byte;
	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		if (read(fd, &byte, 1) == 1)
			(void)!write(fd, &byte, 1);
		(void)close(fd);
	}
}

static pid_t hammer_start(const struct address *address, int *ret_report)
{
	int report[2];
	assert_int_equal(pipe2(report, O_CLOEXEC), 0);
	pid_t pid = fork_helper();
	if (pid == 0) {
		unsigned lost = hammer(address, MANY / 2);
		(void)!write(report[1], &lost, sizeof(lost));
		_exit(0);
	}
	(void)close(report[1]);
	*ret_report = report[0];
	return pid;
}

static unsigned hammer_end(pid_t pid, int report)
{
	unsigned lost = UINT32_MAX;
	assert_int_equal(read(report, &lost, sizeof(lost)), sizeof(lost));
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	(void)close(report);
	return lost;
}

/* Two processes connect as fast as they can while the program changes all the time. */
static void nothing_is_lost_while_steering(void **state)
{
	struct setup setup;
	struct pollfd states[6] = { 0 };
	pid_t clients[2];
	int reports[2];
	unsigned changes = 0, seed = 3;
	(void)state;
	setup_init(&setup, "127.0.0.1:0", true);
	struct listeners *listeners = setup_open(&setup, 4);
	struct endpoint *endpoint = only_endpoint(listeners);
	for (size_t i = 0; i < 2; i++)
		clients[i] = hammer_start(&endpoint->address, &reports[i]);
	for (size_t i = 0; i < 6; i++)
		states[i] = (struct pollfd){
			.fd = i < 4 ? endpoint->shards[i].fd : reports[i - 4],
			.events = POLLIN,
		};
	while (!states[4].revents || !states[5].revents) {
		unsigned set = (unsigned)rand_r(&seed) % 16;
		bool live[4];
		assert_true(poll(states, 6, 10000) > 0);
		for (size_t i = 0; i < 4; i++) {
			live[i] = set >> i & 1;
			if (states[i].revents)
				answer(states[i].fd);
		}
		if (listeners_steer(listeners, live, 4, &setup.error) < 0)
			fail_msg("%s", setup.error.text);
		changes++;
	}
	assert_true(changes > 1000);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(hammer_end(clients[i], reports[i]), 0);
	listeners_free(listeners);
}

static void a_failed_program_changes_nothing(void **state)
{
	struct setup setup;
	unsigned counts[4];
	(void)state;
	setup_init(&setup, "127.0.0.1:0", true);
	struct listeners *listeners = setup_open(&setup, 4);
	struct endpoint *endpoint = only_endpoint(listeners);
	steer(listeners, "0111");
	/* A descriptor that is no socket stands for a kernel that refuses. */
	int real = endpoint->shards[0].fd;
	endpoint->shards[0].fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	const bool live[] = { true, true, false, false };
	assert_int_equal(listeners_steer(listeners, live, 4, &setup.error), -ENOTSOCK);
	assert_text(&setup.error, "Listener http: 127.0.0.1:");
	assert_text(&setup.error, "cannot be steered");
	(void)close(endpoint->shards[0].fd);
	endpoint->shards[0].fd = real;
	assert_true(endpoint->steered);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(endpoint->shards[i].parked, i == 0);
	spread(endpoint, 1000, counts);
	assert_int_equal(counts[0], 0);
	listeners_free(listeners);
}

static void grown_shards_are_born_parked(void **state)
{
	static const struct {
		size_t from, to;
		const char *before, *born, *all;
	} cases[] = {
		{ 2, 4, "11", "1100", "1111" },
		{ 1, 3, "1", "100", "111" },
		{ 4, 6, "0101", "010100", "111111" },
		{ 2, 3, "00", "110", "111" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct setup setup;
		unsigned counts[6];
		setup_init(&setup, "127.0.0.1:0", true);
		struct listeners *listeners = setup_open(&setup, cases[i].from);
		struct endpoint *endpoint = only_endpoint(listeners);
		steer(listeners, cases[i].before);
		assert_int_equal(listeners_grow(listeners, cases[i].to, &setup.error), 0);
		assert_int_equal(listeners->n_slots, cases[i].to);
		assert_int_equal(endpoint->n_shards, cases[i].to);
		for (size_t j = 0; j < cases[i].to; j++)
			assert_int_equal(endpoint->shards[j].parked, cases[i].born[j] == '0');
		spread(endpoint, SOME, counts);
		assert_shares(counts, cases[i].born);
		steer(listeners, cases[i].all);
		spread(endpoint, SOME, counts);
		assert_shares(counts, cases[i].all);
		/* Fewer than there are: nothing happens. */
		assert_int_equal(listeners_grow(listeners, 1, &setup.error), 0);
		assert_int_equal(endpoint->n_shards, cases[i].to);
		listeners_free(listeners);
	}
}

static void nothing_is_lost_while_growing(void **state)
{
	struct setup setup;
	(void)state;
	setup_init(&setup, "127.0.0.1:0", true);
	struct listeners *listeners = setup_open(&setup, 1);
	struct endpoint *endpoint = only_endpoint(listeners);
	int report;
	pid_t client = hammer_start(&endpoint->address, &report);
	for (;;) {
		struct pollfd states[33];
		size_t n = endpoint->n_shards;
		for (size_t i = 0; i < n; i++)
			states[i] = (struct pollfd){ endpoint->shards[i].fd, POLLIN, 0 };
		states[n] = (struct pollfd){ report, POLLIN, 0 };
		assert_true(poll(states, (nfds_t)n + 1, 10000) > 0);
		if (states[n].revents)
			break;
		for (size_t i = 0; i < n; i++) {
			assert_false(endpoint->shards[i].parked && states[i].revents);
			if (states[i].revents)
				answer(states[i].fd);
		}
		if (n < 32)
			assert_int_equal(listeners_grow(listeners, n + 1, &setup.error), 0);
	}
	assert_int_equal(endpoint->n_shards, 32);
	assert_int_equal(hammer_end(client, report), 0);
	listeners_free(listeners);
}

static void growth_that_fails_changes_nothing(void **state)
{
	struct setup setup;
	struct rlimit before, few;
	unsigned counts[2];
	(void)state;
	setup_init(&setup, "127.0.0.1:0", true);
	struct listeners *listeners = setup_open(&setup, 2);
	struct endpoint *endpoint = only_endpoint(listeners);
	unsigned n_before = count_descriptors();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = (rlim_t)endpoint->shards[1].fd + 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(listeners_grow(listeners, 8, &setup.error), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_text(&setup.error, "Too many open files");
	assert_int_equal(count_descriptors(), n_before);
	assert_int_equal(endpoint->n_shards, 2);
	assert_int_equal(listeners->n_slots, 2);
	assert_false(endpoint->steered);
	spread(endpoint, SOME, counts);
	assert_shares(counts, "11");
	assert_int_equal(listeners_grow(listeners, 8, &setup.error), 0);
	listeners_free(listeners);
}

/* Asks the kernel, with a program for each place in turn, whether the model is right. */
static void assert_places(struct endpoint *endpoint)
{
	for (int place = 0; place < (int)endpoint->n_shards; place++) {
		struct sock_filter filter = BPF_STMT(BPF_RET | BPF_K, (__u32)place);
		struct sock_fprog program = { .len = 1, .filter = &filter };
		assert_int_equal(setsockopt(endpoint->shards[0].fd, SOL_SOCKET,
					    SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)),
				 0);
		int fd = dial(&endpoint->address);
		assert_true(fd >= 0);
		assert_int_equal(endpoint->shards[accept_from_any(endpoint)].place, place);
		hang_up(fd);
	}
	endpoint->steered = true;
	assert_int_equal(group_steer(endpoint, 0), 0);
}

/* Which shards are shut down, in which order. */
static void the_order_is_known_after_a_revival(void **state)
{
	static const char *const orders[] = { "0",  "1",   "3",	   "01",   "10",  "30",
					      "03", "213", "0123", "3210", "2013" };
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		struct setup setup;
		struct shard_id ids[4] = { 0 };
		unsigned counts[4];
		size_t n = strlen(orders[i]);
		setup_init(&setup, "127.0.0.1:0", true);
		struct listeners *listeners = setup_open(&setup, 4);
		struct endpoint *endpoint = only_endpoint(listeners);
		assert_places(endpoint);
		steer(listeners, "1101");
		for (size_t j = 0; j < n; j++) {
			ids[j].shard = (uint32_t)(orders[i][j] - '0');
			int fd = endpoint->shards[ids[j].shard].fd;
			assert_int_equal(shutdown(fd, SHUT_RDWR), 0);
			assert_true(listeners_is_shut_down(fd));
		}
		assert_int_equal(listeners_revive(listeners, ids, n), 0);
		for (size_t j = 0; j < 4; j++) {
			assert_false(endpoint->shards[j].deaf);
			assert_false(listeners_is_shut_down(endpoint->shards[j].fd));
		}
		spread(endpoint, 1000, counts);
		assert_int_equal(counts[2], 0);
		for (size_t j = 0; j < 4; j++)
			assert_true(j == 2 || counts[j] > 200);
		assert_places(endpoint);
		assert_int_equal(listeners_grow(listeners, 5, &setup.error), 0);
		assert_places(endpoint);
		listeners_free(listeners);
	}
}

static void the_largest_group(void **state)
{
	static bool live[CONFIG_SLOTS_MAX];
	struct rlimit limit, before;
	struct setup setup;
	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = limit.rlim_max;
	if (limit.rlim_max < CONFIG_SLOTS_MAX + 64)
		skip();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	setup_init(&setup, "127.0.0.1:0", true);
	setup.listener.backlog = 16;
	struct listeners *listeners = setup_open(&setup, CONFIG_SLOTS_MAX);
	for (size_t i = 0; i < CONFIG_SLOTS_MAX; i++)
		live[i] = i >= CONFIG_SLOTS_MAX / 2;
	if (listeners_steer(listeners, live, CONFIG_SLOTS_MAX, &setup.error) < 0)
		fail_msg("%s", setup.error.text);
	int clients[256];
	unsigned parked = 0, queued = 0;
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		assert_true((clients[i] = dial(&only_endpoint(listeners)->address)) >= 0);
	for (size_t slot = 0; slot < CONFIG_SLOTS_MAX; slot++)
		*(live[slot] ? &queued : &parked) += listeners_queued(listeners, slot);
	assert_int_equal(parked, 0);
	assert_int_equal(queued, ARRAY_SIZE(clients));
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		hang_up(clients[i]);
	listeners_free(listeners);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		socket_test(parked_shards_get_nothing),
		socket_test(steering_takes_effect_at_once),
		socket_test(nothing_is_lost_while_steering),
		socket_test(a_failed_program_changes_nothing),
		socket_test(grown_shards_are_born_parked),
		socket_test(nothing_is_lost_while_growing),
		socket_test(growth_that_fails_changes_nothing),
		socket_test(the_order_is_known_after_a_revival),
		socket_test(the_largest_group),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
