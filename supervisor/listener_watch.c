#include "supervisor/listener_watch.h"

#include <ev.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "proto/base.h"
#include "supervisor/listener.h"

enum { BATCH_MAX = 64 };

struct listener_watch {
	struct ev_loop *loop;
	struct ev_io io; /* on the epoll set: readable while a socket in it is shut down */
	struct listeners *listeners;
	listener_watch_shut_down shut_down;
	void *owner;
};

/* A shard's name travels in the 64 bits that epoll keeps for us. */
_Static_assert(CONFIG_LISTENERS_MAX <= 1 << 16 && CONFIG_ADDRESSES_MAX <= 1 << 16,
	       "16 bits each are enough");

static uint64_t id_pack(size_t listener, size_t endpoint, size_t shard)
{
	return (uint64_t)listener << 48 | (uint64_t)endpoint << 32 | (uint32_t)shard;
}

static struct shard_id id_unpack(uint64_t packed)
{
	return (struct shard_id){
		.listener = (uint32_t)(packed >> 48),
		.endpoint = (uint32_t)(packed >> 32) & 0xffff,
		.shard = (uint32_t)packed,
	};
}

static const struct shard *shard_named(const struct listeners *listeners, const struct shard_id *id)
{
	return &listeners->items[id->listener].endpoints[id->endpoint].shards[id->shard];
}

static void on_shut_down(EV_P_ ev_io *io, int revents)
{
	struct listener_watch *watch = container_of(io, struct listener_watch, io);
	struct listeners *listeners = watch->listeners;
	struct epoll_event events[BATCH_MAX];
	struct shard_id ids[BATCH_MAX];
	(void)loop, (void)revents;
	/* The events come in the order in which the sockets were shut down, or very nearly; if two
	 * were confused, parked shards would be taken for each other until the next change. */
	int n = epoll_wait(io->fd, events, BATCH_MAX, 0);
	if (n <= 0)
		return;
	for (int i = 0; i < n; i++)
		ids[i] = id_unpack(events[i].data.u64);
	(void)listeners_revive(listeners, ids, (size_t)n);
	/* All of them are out of the set or healed before the owner hears of the first. */
	for (int i = 0; i < n; i++) {
		const struct shard *shard = shard_named(listeners, &ids[i]);
		if (shard->deaf)
			(void)epoll_ctl(io->fd, EPOLL_CTL_DEL, shard->fd, NULL);
	}
	for (int i = 0; i < n; i++) {
		const struct listener *listener = &listeners->items[ids[i].listener];
		const struct endpoint *endpoint = &listener->endpoints[ids[i].endpoint];
		watch->shut_down(watch->owner, listener, endpoint,
				 endpoint->sharded ? ids[i].shard : SIZE_MAX,
				 !endpoint->shards[ids[i].shard].deaf);
	}
}

int listener_watch_new(struct ev_loop *loop, struct listeners *listeners,
		       listener_watch_shut_down shut_down, void *owner,
		       struct listener_watch **ret_watch)
{
	CLEANUP(fd_closep) int set = epoll_create1(EPOLL_CLOEXEC);
	if (set < 0)
		return -errno;
	struct listener_watch *watch = calloc(1, sizeof(*watch));
	if (!watch)
		return -ENOMEM;
	*watch = (struct listener_watch){
		.loop = loop,
		.listeners = listeners,
		.shut_down = shut_down,
		.owner = owner,
	};
	ev_io_init(&watch->io, on_shut_down, TAKE_FD(set), EV_READ);
	int r = listener_watch_refresh(watch);
	if (r < 0) {
		listener_watch_free(watch);
		return r;
	}
	ev_io_start(loop, &watch->io);
	*ret_watch = watch;
	return 0;
}

/* EPOLLHUP comes unasked; EPOLLRDHUP is for a Unix socket shut down by half, and connections raise
 * neither. What is watched already stays. */
static int watch_shard(int set, const struct shard *shard, uint64_t name)
{
	struct epoll_event event = { .events = EPOLLRDHUP, .data.u64 = name };
	if (shard->deaf || epoll_ctl(set, EPOLL_CTL_ADD, shard->fd, &event) == 0)
		return 0;
	return errno == EEXIST ? 0 : -errno;
}

int listener_watch_refresh(struct listener_watch *watch)
{
	const struct listeners *listeners = watch->listeners;
	for (size_t i = 0; i < listeners->n_items; i++)
		for (size_t j = 0; j < listeners->items[i].n_endpoints; j++) {
			const struct endpoint *endpoint = &listeners->items[i].endpoints[j];
			for (size_t k = 0; k < endpoint->n_shards; k++) {
				int r = watch_shard(watch->io.fd, &endpoint->shards[k],
						    id_pack(i, j, k));
				if (r < 0)
					return r;
			}
		}
	return 0;
}

void listener_watch_free(struct listener_watch *watch)
{
	if (!watch)
		return;
	ev_io_stop(watch->loop, &watch->io);
	(void)fd_close(watch->io.fd);
	free(watch);
}
