/*
 * The classic BPF program that keeps parked shards out of their SO_REUSEPORT group's share of new
 * connections, see SO_ATTACH_REUSEPORT_CBPF in socket(7). Pure: flags in, program out.
 *
 * For TCP: a random number modulo the count of live shards, mapped onto their places in the group;
 * holes are mapped where they are fewer than the rest. RXHASH, source port and CPU do not spread.
 */
#ifndef HANDOVER_SUPERVISOR_STEERING_H
#define HANDOVER_SUPERVISOR_STEERING_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>

/* The program that returns, evenly, the index of a live shard. *ret_program belongs to the caller
 * (free). Returns its length in instructions; 0 when no program is needed (all live, or none);
 * -ENOMEM; -E2BIG beyond BPF_MAXINSNS (4096). */
int steering_program(const bool *live, size_t n_shards, struct sock_filter **ret_program);

#endif
