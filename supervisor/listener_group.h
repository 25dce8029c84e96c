/*
 * The SO_REUSEPORT group of a sharded endpoint as the kernel has it, modelled by shard->place.
 * Internal to the listener.
 *
 * A socket joins its group at listen(2), behind all others. One that leaves it (closed, or shut
 * down by a worker) leaves a hole into which the last member moves. The program belongs to the
 * group, is attached through any member, and goes when the last member leaves.
 */
#ifndef HANDOVER_SUPERVISOR_LISTENER_GROUP_H
#define HANDOVER_SUPERVISOR_LISTENER_GROUP_H

#include <stdbool.h>
#include <stddef.h>

struct endpoint;

/* To be called after listen() on shard @index; no-op for one that is a member. */
void group_joined(struct endpoint *endpoint, size_t index);
/* To be called after shard @index left; no-op for one that is no member. */
void group_left(struct endpoint *endpoint, size_t index);
size_t group_size(const struct endpoint *endpoint);

/*
 * Gives the kernel the program for the present shard->parked, one that leaves out the next
 * @n_joining members as well, or takes it away where none is needed. Returns 0; -EINVAL where the
 * one member listened before SO_REUSEPORT was set on it: the kernel makes its group when a second
 * one joins;
 * -ENOMEM, -E2BIG. On failure the kernel has what it had.
 */
int group_steer(struct endpoint *endpoint, size_t n_joining);

#endif
