/*
 * Notices a straggler: a connection that arrives in the queue of a shard whose slot has no worker
 * to accept it (a handshake that was in flight when the shard was parked). One ev_io a watched
 * shard; it fires once and must be armed anew. Owner: the supervisor. Borrows the listeners.
 */
#ifndef HANDOVER_SUPERVISOR_SHARD_WATCH_H
#define HANDOVER_SUPERVISOR_SHARD_WATCH_H

#include <stddef.h>

struct ev_loop;
struct listeners;
struct shard_watch;

int shard_watch_new(struct ev_loop *loop, struct listeners *listeners,
		    void (*straggler)(void *owner, size_t slot), void *owner,
		    struct shard_watch **ret_watch);
void shard_watch_free(struct shard_watch *watch);

/* Watches (or no longer watches) the shards that are slot @slot's own. Idempotent. */
int shard_watch_arm(struct shard_watch *watch, size_t slot);
void shard_watch_disarm(struct shard_watch *watch, size_t slot);

#endif
