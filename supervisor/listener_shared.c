#include <assert.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>

#include "proto/base.h"
#include "supervisor/listener.h"
#include "supervisor/listener_bind.h"
#include "supervisor/listener_group.h"

/* The shard of @endpoint that a worker in @slot holds. */
static struct shard *shard_of(const struct endpoint *endpoint, size_t slot)
{
	size_t index = endpoint->sharded ? slot : 0;
	assert(index < endpoint->n_shards);
	return &endpoint->shards[index];
}

int listeners_for_slot(const struct listeners *listeners, size_t slot, int **ret_fds,
		       const char ***ret_names, size_t *ret_n)
{
	size_t n = 0;
	for (size_t i = 0; i < listeners->n_items; i++)
		n += listeners->items[i].n_endpoints;
	/* One more than needed: calloc(0) may return NULL. */
	CLEANUP(freep) int *fds = calloc(n + 1, sizeof(*fds));
	CLEANUP(freep) const char **names = calloc(n + 1, sizeof(*names));
	if (!fds || !names)
		return -ENOMEM;
	n = 0;
	for (size_t i = 0; i < listeners->n_items; i++) {
		const struct listener *listener = &listeners->items[i];
		for (size_t j = 0; j < listener->n_endpoints; j++, n++) {
			fds[n] = shard_of(&listener->endpoints[j], slot)->fd;
			names[n] = listener->name;
		}
	}
	*ret_fds = TAKE_PTR(fds);
	*ret_names = TAKE_PTR(names);
	*ret_n = n;
	return 0;
}

bool listeners_is_shut_down(int fd)
{
	/* A Unix socket of which only the reading half was shut down refuses all the same, and tells
	 * by POLLRDHUP alone. */
	struct pollfd state = { .fd = fd, .events = POLLRDHUP };
	return poll(&state, 1, 0) > 0 && (state.revents & (POLLHUP | POLLRDHUP)) != 0;
}

static int shard_tend(struct shard *shard, const struct listener *listener,
		      bool may_set_nonblocking, bool *cleared)
{
	int flags = fcntl(shard->fd, F_GETFL);
	if (flags < 0)
		return -errno;
	bool is_nonblocking = (flags & O_NONBLOCK) != 0, wanted = is_nonblocking;
	if (shard->nonblocking && !is_nonblocking)
		*cleared = true;
	if (listener->nonblocking != NONBLOCKING_AUTO)
		wanted = listener->nonblocking == NONBLOCKING_YES;
	else if (may_set_nonblocking)
		wanted = true;
	int r = wanted != is_nonblocking ? listener_bind_nonblocking(shard->fd, wanted) : 0;
	shard->nonblocking = r == 0 ? wanted : is_nonblocking;
	if (!listeners_is_shut_down(shard->fd) && listen(shard->fd, listener->backlog) < 0 &&
	    r == 0)
		r = -errno;
	return r;
}

void listeners_reconfigure(struct listeners *listeners, const struct config *config)
{
	for (size_t i = 0; i < listeners->n_items; i++)
		for (size_t j = 0; j < config->n_listeners; j++)
			if (strcmp(listeners->items[i].name, config->listeners[j].name) == 0)
				listeners->items[i].backlog = config->listeners[j].backlog;
}

int listeners_tend(struct listeners *listeners, size_t slot, bool may_set_nonblocking,
		   bool *ret_cleared)
{
	bool cleared = false;
	int first_error = 0;
	for (size_t i = 0; i < listeners->n_items; i++) {
		struct listener *listener = &listeners->items[i];
		for (size_t j = 0; j < listener->n_endpoints; j++) {
			int r = shard_tend(shard_of(&listener->endpoints[j], slot), listener,
					   may_set_nonblocking, &cleared);
			if (first_error == 0)
				first_error = r;
		}
	}
	*ret_cleared = cleared;
	return first_error;
}

bool listeners_nonblocking(const struct listeners *listeners, size_t slot)
{
	for (size_t i = 0; i < listeners->n_items; i++)
		for (size_t j = 0; j < listeners->items[i].n_endpoints; j++) {
			int fd = shard_of(&listeners->items[i].endpoints[j], slot)->fd;
			int flags = fcntl(fd, F_GETFL);
			if (flags < 0 || (flags & O_NONBLOCK) == 0)
				return false;
		}
	return true;
}

static bool shard_tcp_info(const struct shard *shard, struct tcp_info *ret_info)
{
	socklen_t length = sizeof(*ret_info);
	*ret_info = (struct tcp_info){ 0 };
	return getsockopt(shard->fd, IPPROTO_TCP, TCP_INFO, ret_info, &length) == 0 &&
	       ret_info->tcpi_state == TCP_LISTEN;
}

unsigned listeners_queued(const struct listeners *listeners, size_t slot)
{
	unsigned queued = 0;
	for (size_t i = 0; i < listeners->n_items; i++)
		for (size_t j = 0; j < listeners->items[i].n_endpoints; j++) {
			const struct endpoint *endpoint = &listeners->items[i].endpoints[j];
			struct tcp_info info;
			if (endpoint->sharded && shard_tcp_info(shard_of(endpoint, slot), &info))
				queued += info.tcpi_unacked;
		}
	return queued;
}

void shard_figures(const struct shard *shard, struct shard_figures *ret_figures)
{
	struct shard_figures figures = { .queue = -1, .queue_limit = -1, .drops = -1 };
	uint32_t memory[SK_MEMINFO_VARS];
	socklen_t length = sizeof(memory);
	struct tcp_info info;
	if (shard_tcp_info(shard, &info)) {
		figures.queue = info.tcpi_unacked;
		figures.queue_limit = info.tcpi_sacked;
		if (getsockopt(shard->fd, SOL_SOCKET, SO_MEMINFO, memory, &length) == 0 &&
		    length > SK_MEMINFO_DROPS * sizeof(memory[0]))
			figures.drops = memory[SK_MEMINFO_DROPS];
	}
	*ret_figures = figures;
}

static struct endpoint *endpoint_of(const struct listeners *listeners, const struct shard_id *id)
{
	assert(id->listener < listeners->n_items);
	struct listener *listener = &listeners->items[id->listener];
	assert(id->endpoint < listener->n_endpoints);
	assert(id->shard < listener->endpoints[id->endpoint].n_shards);
	return &listener->endpoints[id->endpoint];
}

/* A port that was not bound by name, as one from systemd may be, is lost by shutdown(2). */
static bool listens_again(const struct endpoint *endpoint, const struct shard *shard, int backlog)
{
	struct address address;
	return listen(shard->fd, backlog) == 0 && !listeners_is_shut_down(shard->fd) &&
	       address_of_socket(shard->fd, &address) == 0 &&
	       address_equal(&address, &endpoint->address);
}

int listeners_revive(struct listeners *listeners, const struct shard_id *ids, size_t n_ids)
{
	int first_error = 0;
	for (size_t i = 0; i < n_ids; i++)
		group_left(endpoint_of(listeners, &ids[i]), ids[i].shard);
	for (size_t i = 0; i < n_ids; i++) {
		struct endpoint *endpoint = endpoint_of(listeners, &ids[i]);
		struct shard *shard = &endpoint->shards[ids[i].shard];
		shard->deaf = !listens_again(endpoint, shard,
					     listeners->items[ids[i].listener].backlog);
		if (!shard->deaf && endpoint->sharded)
			group_joined(endpoint, ids[i].shard);
	}
	for (size_t i = 0; i < n_ids; i++) {
		struct endpoint *endpoint = endpoint_of(listeners, &ids[i]);
		int r = endpoint->sharded ? group_steer(endpoint, 0) : 0;
		if (first_error == 0)
			first_error = r;
	}
	return first_error;
}
