#include "supervisor/shard_watch.h"

#include <ev.h>
#include <stdbool.h>
#include <stdlib.h>

#include "proto/base.h"
#include "supervisor/listener.h"

/* The watchers of one slot: one for each sharded endpoint. On the heap, for libev keeps pointers. */
struct slot_watch {
	struct shard_watch *watch;
	size_t slot;
	bool armed;
	size_t n_ios;
	struct ev_io ios[];
};

struct shard_watch {
	struct ev_loop *loop;
	struct listeners *listeners;
	void (*straggler)(void *owner, size_t slot);
	void *owner;
	struct slot_watch **slots; /* NULL for one that was never armed */
	size_t n_slots;
};

int shard_watch_new(struct ev_loop *loop, struct listeners *listeners,
		    void (*straggler)(void *owner, size_t slot), void *owner,
		    struct shard_watch **ret_watch)
{
	struct shard_watch *watch = calloc(1, sizeof(*watch));
	if (!watch)
		return -ENOMEM;
	*watch = (struct shard_watch){
		.loop = loop,
		.listeners = listeners,
		.straggler = straggler,
		.owner = owner,
	};
	*ret_watch = watch;
	return 0;
}

void shard_watch_free(struct shard_watch *watch)
{
	if (!watch)
		return;
	for (size_t slot = 0; slot < watch->n_slots; slot++) {
		shard_watch_disarm(watch, slot);
		free(watch->slots[slot]);
	}
	free(watch->slots);
	free(watch);
}

static void on_readable(EV_P_ ev_io *io, int revents)
{
	struct slot_watch *slot_watch = io->data;
	struct shard_watch *watch = slot_watch->watch;
	(void)loop, (void)revents;
	/* Nobody accepts it here, so the socket stays readable: to go on watching would spin. */
	shard_watch_disarm(watch, slot_watch->slot);
	watch->straggler(watch->owner, slot_watch->slot);
}

static int slot_watch_new(struct shard_watch *watch, size_t slot, struct slot_watch **ret_slot)
{
	const struct listeners *listeners = watch->listeners;
	size_t n_endpoints = 0, n = 0;
	for (size_t i = 0; i < listeners->n_items; i++)
		n_endpoints += listeners->items[i].n_endpoints;
	struct slot_watch *created = calloc(1, sizeof(*created) +
						       n_endpoints * sizeof(created->ios[0]));
	if (!created)
		return -ENOMEM;
	created->watch = watch;
	created->slot = slot;
	for (size_t i = 0; i < listeners->n_items; i++)
		for (size_t j = 0; j < listeners->items[i].n_endpoints; j++) {
			const struct endpoint *endpoint = &listeners->items[i].endpoints[j];
			if (!endpoint->sharded || slot >= endpoint->n_shards)
				continue;
			ev_io_init(&created->ios[n], on_readable, endpoint->shards[slot].fd,
				   EV_READ);
			created->ios[n++].data = created;
		}
	created->n_ios = n;
	*ret_slot = created;
	return 0;
}

static int make_room(struct shard_watch *watch, size_t n_slots)
{
	if (n_slots <= watch->n_slots)
		return 0;
	struct slot_watch **slots = reallocarray(watch->slots, n_slots, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (size_t slot = watch->n_slots; slot < n_slots; slot++)
		slots[slot] = NULL;
	watch->slots = slots;
	watch->n_slots = n_slots;
	return 0;
}

int shard_watch_arm(struct shard_watch *watch, size_t slot)
{
	/* A slot without shards of its own yet is not remembered: it may get some. */
	if (slot >= watch->listeners->n_slots)
		return 0;
	int r = make_room(watch, slot + 1);
	if (r == 0 && !watch->slots[slot])
		r = slot_watch_new(watch, slot, &watch->slots[slot]);
	if (r < 0)
		return r;
	struct slot_watch *armed = watch->slots[slot];
	for (size_t i = 0; i < armed->n_ios; i++)
		ev_io_start(watch->loop, &armed->ios[i]);
	armed->armed = true;
	return 0;
}

void shard_watch_disarm(struct shard_watch *watch, size_t slot)
{
	if (slot >= watch->n_slots || !watch->slots[slot] || !watch->slots[slot]->armed)
		return;
	struct slot_watch *armed = watch->slots[slot];
	for (size_t i = 0; i < armed->n_ios; i++)
		ev_io_stop(watch->loop, &armed->ios[i]);
	armed->armed = false;
}
