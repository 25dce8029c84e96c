#include <ev.h>

#include "listener_fixture.h"
#include "supervisor/shard_watch.h"

struct bench {
	struct setup setup;
	struct ev_loop *loop;
	struct listeners *listeners;
	struct endpoint *endpoint;
	struct shard_watch *watch;
	unsigned counts[4];
};

static void on_straggler(void *owner, size_t slot)
{
	struct bench *bench = owner;
	assert_true(slot < ARRAY_SIZE(bench->counts));
	bench->counts[slot]++;
}

static void bench_start(struct bench *bench, const char *address, size_t n_slots)
{
	*bench = (struct bench){ .loop = ev_loop_new(EVFLAG_AUTO) };
	setup_init(&bench->setup, address, true);
	bench->listeners = setup_open(&bench->setup, n_slots);
	bench->endpoint = &bench->listeners->items[0].endpoints[0];
	assert_int_equal(
		shard_watch_new(bench->loop, bench->listeners, on_straggler, bench, &bench->watch),
		0);
}

static void bench_end(struct bench *bench)
{
	shard_watch_free(bench->watch);
	listeners_free(bench->listeners);
	ev_loop_destroy(bench->loop);
}

/* A connection in the queue of shard @index, which is the only one that is not parked. */
static int straggle(struct bench *bench, size_t index)
{
	bool live[4] = { false };
	live[index] = true;
	assert_int_equal(listeners_steer(bench->listeners, live, bench->listeners->n_slots, NULL),
			 0);
	int fd = dial(&bench->endpoint->address);
	assert_true(fd >= 0);
	assert_int_equal(listeners_queued(bench->listeners, index), 1);
	return fd;
}

static void run(struct bench *bench, unsigned first, unsigned second)
{
	for (int i = 0; i < 5; i++)
		ev_run(bench->loop, EVRUN_NOWAIT);
	assert_int_equal(bench->counts[0], first);
	assert_int_equal(bench->counts[1], second);
}

static void it_fires_once_for_each_arming(void **state)
{
	struct bench bench;
	(void)state;
	bench_start(&bench, "127.0.0.1:0", 2);
	assert_int_equal(shard_watch_arm(bench.watch, 1), 0);
	assert_int_equal(shard_watch_arm(bench.watch, 1), 0);
	run(&bench, 0, 0);
	int client = straggle(&bench, 1);
	run(&bench, 0, 1);
	/* Still queued, and no longer watched: the loop has nothing to wait for and returns. */
	ev_run(bench.loop, 0);
	run(&bench, 0, 1);
	assert_int_equal(shard_watch_arm(bench.watch, 1), 0);
	run(&bench, 0, 2);
	/* Somebody accepted it meanwhile. */
	assert_int_equal(accept_from_any(bench.endpoint), 1);
	assert_int_equal(shard_watch_arm(bench.watch, 1), 0);
	run(&bench, 0, 2);
	hang_up(client);
	bench_end(&bench);
}

static void only_armed_slots_fire(void **state)
{
	struct bench bench;
	(void)state;
	bench_start(&bench, "127.0.0.1:0", 2);
	assert_int_equal(shard_watch_arm(bench.watch, 0), 0);
	assert_int_equal(shard_watch_arm(bench.watch, 1), 0);
	shard_watch_disarm(bench.watch, 0);
	shard_watch_disarm(bench.watch, 0);
	shard_watch_disarm(bench.watch, 77);
	int first = straggle(&bench, 0), second = straggle(&bench, 1);
	run(&bench, 0, 1);
	assert_int_equal(shard_watch_arm(bench.watch, 0), 0);
	run(&bench, 1, 1);
	hang_up(first);
	hang_up(second);
	bench_end(&bench);
}

static void slots_that_came_later(void **state)
{
	struct bench bench;
	(void)state;
	bench_start(&bench, "127.0.0.1:0", 1);
	assert_int_equal(shard_watch_arm(bench.watch, 1), 0); /* has no shard yet */
	assert_int_equal(listeners_grow(bench.listeners, 2, NULL), 0);
	assert_int_equal(shard_watch_arm(bench.watch, 1), 0);
	int client = straggle(&bench, 1);
	run(&bench, 0, 1);
	hang_up(client);
	bench_end(&bench);
}

static void what_all_slots_share_is_not_watched(void **state)
{
	struct bench bench;
	(void)state;
	bench_start(&bench, "@handover-test-shard-watch", 2);
	assert_int_equal(shard_watch_arm(bench.watch, 0), 0);
	int client = dial(&bench.endpoint->address);
	run(&bench, 0, 0);
	hang_up(client);
	bench_end(&bench);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		socket_test(it_fires_once_for_each_arming),
		socket_test(only_armed_slots_fire),
		socket_test(slots_that_came_later),
		socket_test(what_all_slots_share_is_not_watched),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
