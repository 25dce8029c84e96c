#include "supervisor/steering.h"

#include <stdlib.h>

#include "proto/base.h"

/*
 * A random number below the count of live shards is a live shard's index already, unless that place
 * is a hole. There are as many holes below the count as live shards at or above it, so each hole is
 * given one of those: a bijection, hence even, with the fewest mappings there can be (n/2 at most,
 * which keeps the largest group's program within net.core.optmem_max).
 */
enum {
	HEAD_LENGTH = 2,    /* load, modulo */
	MAPPING_LENGTH = 2, /* compare, return */
	TAIL_LENGTH = 1,    /* return what was drawn */
};

static size_t count_live(const bool *live, size_t n)
{
	size_t count = 0;
	for (size_t i = 0; i < n; i++)
		count += live[i];
	return count;
}

int steering_program(const bool *live, size_t n_shards, struct sock_filter **ret_program)
{
	size_t n_live = count_live(live, n_shards);
	if (n_live == 0 || n_live == n_shards)
		return 0;
	size_t n_holes = n_live - count_live(live, n_live);
	size_t length = HEAD_LENGTH + n_holes * MAPPING_LENGTH + TAIL_LENGTH;
	if (length > BPF_MAXINSNS)
		return -E2BIG;
	struct sock_filter *program = calloc(length, sizeof(*program));
	if (!program)
		return -ENOMEM;

	struct sock_filter *next = program;
	*next++ = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					       (__u32)(SKF_AD_OFF + SKF_AD_RANDOM));
	*next++ = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, (__u32)n_live);
	size_t substitute = n_live;
	for (size_t hole = 0; hole < n_live; hole++) {
		if (live[hole])
			continue;
		while (!live[substitute])
			substitute++;
		*next++ = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (__u32)hole, 0,
						       1);
		*next++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, (__u32)substitute++);
	}
	*next = (struct sock_filter)BPF_STMT(BPF_RET | BPF_A, 0);
	*ret_program = program;
	return (int)length;
}
