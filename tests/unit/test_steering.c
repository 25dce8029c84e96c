#include "supervisor/steering.h"

#include "listener_fixture.h"

/* The kernel's machine, as far as the program uses it. Returns the index, or -1 on anything else. */
static long run(const struct sock_filter *program, int length, uint32_t random)
{
	uint32_t accumulator = 0;
	for (int at = 0; at < length; at++) {
		const struct sock_filter *step = &program[at];
		switch (step->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (step->k != (uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM))
				return -1;
			accumulator = random;
			break;
		case BPF_ALU | BPF_MOD | BPF_K:
			if (step->k == 0)
				return -1;
			accumulator %= step->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			at += accumulator == step->k ? step->jt : step->jf;
			break;
		case BPF_RET | BPF_K:
			return step->k;
		case BPF_RET | BPF_A:
			return accumulator;
		default:
			return -1;
		}
	}
	return -1;
}

static size_t count(const bool *live, size_t n)
{
	size_t n_live = 0;
	for (size_t i = 0; i < n; i++)
		n_live += live[i];
	return n_live;
}

/* As many numbers in a row as there are live shards must hit each of them exactly once. */
static void assert_even(const bool *live, size_t n)
{
	size_t n_live = count(live, n);
	struct sock_filter *program = NULL;
	int length = steering_program(live, n, &program);
	if (n_live == 0 || n_live == n) {
		assert_int_equal(length, 0);
		assert_null(program);
		return;
	}
	assert_true(length > 0);
	size_t fewest = n_live < n - n_live ? n_live : n - n_live;
	assert_true((size_t)length <= 3 + 2 * fewest);
	bool *hit = calloc(n, sizeof(*hit));
	uint32_t base = (uint32_t)(UINT32_MAX / n_live * n_live - n_live);
	for (size_t i = 0; i < n_live; i++) {
		long index = run(program, length, base + (uint32_t)i);
		assert_true(index >= 0 && (size_t)index < n);
		assert_true(live[index]);
		assert_false(hit[index]);
		hit[index] = true;
	}
	free(hit);
	free(program);
}

static void every_set_of_up_to_eight(void **state)
{
	(void)state;
	for (size_t n = 0; n <= 8; n++)
		for (unsigned set = 0; set < 1U << n; set++) {
			bool live[8] = { false };
			for (size_t i = 0; i < n; i++)
				live[i] = set >> i & 1;
			assert_even(live, n);
		}
}

static void random_sets_of_up_to_1024(void **state)
{
	static bool live[1024];
	unsigned seed = 1;
	(void)state;
	for (int round = 0; round < 60; round++) {
		size_t n = 1 + (size_t)rand_r(&seed) % ARRAY_SIZE(live);
		int share = rand_r(&seed) % 101;
		for (size_t i = 0; i < n; i++)
			live[i] = rand_r(&seed) % 100 < share;
		assert_even(live, n);
	}
}

static void the_most_mappings_there_can_be(void **state)
{
	static bool live[1024];
	struct sock_filter *filter = NULL;
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(live); i++)
		live[i] = i >= ARRAY_SIZE(live) / 2;
	assert_even(live, ARRAY_SIZE(live));

	/* The kernel takes it, within the optmem_max that older ones have. */
	int length = steering_program(live, ARRAY_SIZE(live), &filter);
	assert_true((size_t)length * sizeof(*filter) < 20480 / 2);
	struct sock_fprog program = { .len = (unsigned short)length, .filter = filter };
	CLEANUP(fd_closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
	assert_int_equal(
		setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)), 0);
	free(filter);
}

static void too_many_for_the_kernel(void **state)
{
	static bool live[5000];
	struct sock_filter *program = NULL;
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(live); i++)
		live[i] = i >= ARRAY_SIZE(live) / 2;
	assert_int_equal(steering_program(live, ARRAY_SIZE(live), &program), -E2BIG);
	assert_null(program);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_set_of_up_to_eight),
		cmocka_unit_test(random_sets_of_up_to_1024),
		socket_test(the_most_mappings_there_can_be),
		cmocka_unit_test(too_many_for_the_kernel),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
