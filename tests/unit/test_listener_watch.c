#include <ev.h>

#include "listener_fixture.h"
/* For a look at its epoll set, which is readable when the loop would be woken. */
#include "supervisor/listener_watch.c"

/* The loop under a microscope: what was reported, and how often the loop did anything at all. */
struct bench {
	struct setup setup;
	struct ev_loop *loop;
	struct listeners *listeners;
	struct listener_watch *watch;
	struct ev_timer limit;
	unsigned n_reports, wanted;
	size_t slots[8];
	bool healed[8];
	bool timed_out;
};

static void on_report(void *owner, const struct listener *listener, const struct endpoint *endpoint,
		      size_t slot, bool healed)
{
	struct bench *bench = owner;
	assert_string_equal(listener->name, "http");
	assert_ptr_equal(endpoint, &listener->endpoints[0]);
	assert_true(bench->n_reports < ARRAY_SIZE(bench->slots));
	bench->slots[bench->n_reports] = slot;
	bench->healed[bench->n_reports++] = healed;
	if (bench->n_reports == bench->wanted)
		ev_break(bench->loop, EVBREAK_ALL);
}

static void on_limit(EV_P_ ev_timer *timer, int revents)
{
	struct bench *bench = container_of(timer, struct bench, limit);
	(void)revents;
	bench->timed_out = true;
	ev_break(EV_A, EVBREAK_ALL);
}

static void bench_start(struct bench *bench, const char *address, size_t n_slots)
{
	*bench = (struct bench){ .loop = ev_loop_new(EVFLAG_AUTO) };
	setup_init(&bench->setup, address, true);
	bench->listeners = setup_open(&bench->setup, n_slots);
	assert_int_equal(
		listener_watch_new(bench->loop, bench->listeners, on_report, bench, &bench->watch),
		0);
}

static void bench_end(struct bench *bench)
{
	listener_watch_free(bench->watch);
	listeners_free(bench->listeners);
	ev_loop_destroy(bench->loop);
}

/* Runs until there are @n reports altogether. */
static void expect_reports(struct bench *bench, unsigned n)
{
	bench->wanted = n;
	bench->timed_out = false;
	ev_timer_init(&bench->limit, on_limit, 5, 0);
	ev_timer_start(bench->loop, &bench->limit);
	ev_run(bench->loop, 0);
	ev_timer_stop(bench->loop, &bench->limit);
	assert_false(bench->timed_out);
	assert_int_equal(bench->n_reports, n);
}

/* Nothing is to be done: the loop would not wake, and reports nothing. */
static void expect_quiet(struct bench *bench)
{
	unsigned before = bench->n_reports;
	struct pollfd state = { .fd = bench->watch->io.fd, .events = POLLIN };
	for (int i = 0; i < 3; i++)
		ev_run(bench->loop, EVRUN_NOWAIT);
	assert_int_equal(poll(&state, 1, 0), 0);
	assert_int_equal(bench->n_reports, before);
}

static struct shard *shard_at(struct bench *bench, size_t index)
{
	return &bench->listeners->items[0].endpoints[0].shards[index];
}

static void a_shut_down_socket_is_healed(void **state)
{
	static const char *const addresses[] = { "127.0.0.1:0", "[::1]:0" };
	static const int ways[] = { SHUT_RD, SHUT_RDWR };
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(addresses) * ARRAY_SIZE(ways); i++) {
		struct bench bench;
		bench_start(&bench, addresses[i % 2], 1);
		struct address address = bench.listeners->items[0].endpoints[0].address;
		expect_quiet(&bench);
		/* More than once: what was healed is watched again. */
		for (unsigned round = 1; round <= 3; round++) {
			assert_int_equal(shutdown(shard_at(&bench, 0)->fd, ways[i / 2]), 0);
			assert_int_equal(dial(&address), -ECONNREFUSED);
			expect_reports(&bench, round);
			assert_int_equal(bench.slots[round - 1], 0);
			assert_true(bench.healed[round - 1]);
			int fd = dial(&address);
			assert_true(fd >= 0);
			(void)accept_from_any(&bench.listeners->items[0].endpoints[0]);
			hang_up(fd);
			expect_quiet(&bench);
		}
		bench_end(&bench);
	}
}

/* A worker's shutdown reaches us by way of another process and its own descriptor. */
static void by_another_process(void **state)
{
	struct bench bench;
	(void)state;
	bench_start(&bench, "127.0.0.1:0", 3);
	pid_t pid = fork_helper();
	if (pid == 0) {
		(void)shutdown(shard_at(&bench, 1)->fd, SHUT_RDWR);
		_exit(0);
	}
	expect_reports(&bench, 1);
	assert_int_equal(bench.slots[0], 1);
	assert_true(bench.healed[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	bench_end(&bench);
}

static void all_at_once_with_some_parked(void **state)
{
	struct bench bench;
	unsigned counts[4];
	const bool live[] = { true, false, true, true };
	(void)state;
	bench_start(&bench, "127.0.0.1:0", 4);
	assert_int_equal(listeners_steer(bench.listeners, live, 4, NULL), 0);
	static const size_t order[] = { 2, 0, 3, 1 };
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(shutdown(shard_at(&bench, order[i])->fd, SHUT_RDWR), 0);
	expect_reports(&bench, 4);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(bench.slots[i], order[i]);
	spread(&bench.listeners->items[0].endpoints[0], 2000, counts);
	assert_int_equal(counts[1], 0);
	assert_true(counts[0] > 400 && counts[2] > 400 && counts[3] > 400);
	expect_quiet(&bench);
	bench_end(&bench);
}

/* Tending leaves it for the watch, which must know that the group's order has changed. */
static void tending_does_not_hide_it(void **state)
{
	struct bench bench;
	bool cleared;
	(void)state;
	bench_start(&bench, "127.0.0.1:0", 2);
	assert_int_equal(shutdown(shard_at(&bench, 0)->fd, SHUT_RDWR), 0);
	assert_int_equal(listeners_tend(bench.listeners, 0, true, &cleared), 0);
	expect_reports(&bench, 1);
	assert_int_equal(shard_at(&bench, 0)->place, 1);
	assert_int_equal(shard_at(&bench, 1)->place, 0);
	bench_end(&bench);
}

static void connections_do_not_wake_it(void **state)
{
	static const char *const addresses[] = { "127.0.0.1:0", "@handover-test-watch" };
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		struct bench bench;
		bench_start(&bench, addresses[i], 1);
		const struct endpoint *endpoint = &bench.listeners->items[0].endpoints[0];
		expect_quiet(&bench);
		for (int n = 0; n < 2000; n++) {
			struct pollfd set = { bench.watch->io.fd, POLLIN, 0 };
			int fd = dial(&endpoint->address);
			assert_int_equal(poll(&set, 1, 0), 0);
			(void)accept_from_any(endpoint);
			hang_up(fd);
			assert_int_equal(poll(&set, 1, 0), 0);
		}
		bench_end(&bench);
	}
}

/* listen(2) does not help a Unix socket: said once, and no loop spins on it. */
static void a_unix_socket_is_reported_once(void **state)
{
	static const int ways[] = { SHUT_RD, SHUT_RDWR };
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct bench bench;
		bench_start(&bench, "@handover-test-watch", 2);
		assert_int_equal(shutdown(shard_at(&bench, 0)->fd, ways[i]), 0);
		expect_reports(&bench, 1);
		assert_true(bench.slots[0] == SIZE_MAX);
		assert_false(bench.healed[0]);
		assert_true(shard_at(&bench, 0)->deaf);
		expect_quiet(&bench);
		assert_int_equal(listener_watch_refresh(bench.watch), 0);
		expect_quiet(&bench);
		bench_end(&bench);
	}
}

static void new_shards_are_watched_after_a_refresh(void **state)
{
	struct bench bench;
	(void)state;
	bench_start(&bench, "127.0.0.1:0", 1);
	assert_int_equal(listeners_grow(bench.listeners, 3, NULL), 0);
	assert_int_equal(listener_watch_refresh(bench.watch), 0);
	assert_int_equal(listener_watch_refresh(bench.watch), 0);
	expect_quiet(&bench);
	assert_int_equal(shutdown(shard_at(&bench, 2)->fd, SHUT_RDWR), 0);
	expect_reports(&bench, 1);
	assert_int_equal(bench.slots[0], 2);
	assert_true(bench.healed[0]);
	bench_end(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		socket_test(a_shut_down_socket_is_healed),
		socket_test(by_another_process),
		socket_test(all_at_once_with_some_parked),
		socket_test(tending_does_not_hide_it),
		socket_test(connections_do_not_wake_it),
		socket_test(a_unix_socket_is_reported_once),
		socket_test(new_shards_are_watched_after_a_refresh),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
