#include "supervisor/listener.h"

#include <assert.h>
#include <string.h>

#include "proto/base.h"
#include "supervisor/activation.h"
#include "supervisor/listener_bind.h"
#include "supervisor/listener_group.h"

static bool starts_nonblocking(const struct listener *listener)
{
	return listener->nonblocking != NONBLOCKING_NO;
}

/* Gives the endpoint another shard; it is parked once the endpoint has been opened. */
static int endpoint_add(struct endpoint *endpoint, int fd, bool nonblocking, bool parked)
{
	struct shard *shards = reallocarray(endpoint->shards, endpoint->n_shards + 1,
					    sizeof(*endpoint->shards));
	if (!shards)
		return -ENOMEM;
	endpoint->shards = shards;
	shards[endpoint->n_shards++] = (struct shard){
		.fd = fd,
		.place = -1,
		.parked = parked,
		.nonblocking = nonblocking,
	};
	return 0;
}

/* Adds the shards that are missing, bound and not listening: they are in no group yet. */
static int endpoint_extend(struct endpoint *endpoint, const struct listener *listener,
			   size_t n_shards, bool parked, struct error *error)
{
	while (endpoint->n_shards < n_shards) {
		CLEANUP(fd_closep) int fd = -1;
		int r = listener_bind_join(endpoint->shards[0].fd, starts_nonblocking(listener),
					   &fd, error);
		if (r < 0)
			return r;
		r = endpoint_add(endpoint, fd, starts_nonblocking(listener), parked);
		if (r < 0)
			return error_set(error, r, "out of memory");
		(void)TAKE_FD(fd);
	}
	return 0;
}

static int endpoint_listen(struct endpoint *endpoint, const struct listener *listener, size_t index,
			   struct error *error)
{
	if (listen(endpoint->shards[index].fd, listener->backlog) < 0)
		return listener_bind_failed(&endpoint->address, -errno, error);
	if (endpoint->sharded)
		group_joined(endpoint, index);
	return 0;
}

/* Closes the last shards, newest first, so that no other member of the group changes its place. */
static void endpoint_truncate(struct endpoint *endpoint, size_t n_shards)
{
	while (endpoint->n_shards > n_shards) {
		size_t last = endpoint->n_shards - 1;
		(void)fd_close(endpoint->shards[last].fd);
		group_left(endpoint, last);
		endpoint->n_shards = last;
	}
}

static int take_from_systemd(struct activation *activation, const char *name,
			     const struct address *address)
{
	struct address without_ipv6;
	int fd = activation_take(activation, name, address);
	if (fd < 0 && address_without_ipv6(address, &without_ipv6))
		fd = activation_take(activation, name, &without_ipv6);
	return fd;
}

/* What systemd passed becomes shard 0, and listens already. */
static int endpoint_adopt(struct endpoint *endpoint, const struct listener *listener, int fd,
			  struct error *error)
{
	int r = listener_bind_nonblocking(fd, starts_nonblocking(listener));
	if (r == 0)
		r = address_of_socket(fd, &endpoint->address);
	if (r == 0)
		r = endpoint_add(endpoint, fd, starts_nonblocking(listener), false);
	if (r < 0) {
		(void)fd_close(fd);
		return error_set(error, r, "%s", strerror(-r));
	}
	return 0;
}

static int endpoint_bind(struct endpoint *endpoint, const struct listener *listener,
			 const struct config_listener *config, struct error *error)
{
	CLEANUP(fd_closep) int fd = -1;
	bool nonblocking = starts_nonblocking(listener);
	struct socket_file file = { 0 };
	bool is_unix = address_family(&endpoint->address) == AF_UNIX;
	int r = is_unix ? listener_bind_unix(config, &endpoint->address, nonblocking, &fd, &file,
					     error)
			: listener_bind_tcp(&endpoint->address, nonblocking, &fd,
					    &endpoint->address, error);
	if (r < 0)
		return r;
	endpoint->unlink_at_end = is_unix && address_unix_path(&endpoint->address);
	endpoint->file_device = file.device;
	endpoint->file_inode = file.inode;
	r = endpoint_add(endpoint, fd, nonblocking, false);
	if (r < 0)
		return error_set(error, r, "out of memory");
	(void)TAKE_FD(fd);
	return 0;
}

/* Everything but listen(), so that no client is let in before all addresses are known to be free. */
static int endpoint_open(struct endpoint *endpoint, struct listener *listener,
			 const struct config_listener *config, size_t n_slots,
			 struct activation *activation, struct problems *notices,
			 struct error *error)
{
	char text[ADDRESS_TEXT_MAX];
	(void)address_format(&endpoint->address, text);
	int fd = activation ? take_from_systemd(activation, listener->name, &endpoint->address)
			    : -1;
	if (fd < 0 && activation && activation_count(activation) > 0)
		problems_add(notices, "Listener %s: %s: systemd passed no such socket, bound here",
			     listener->name, text);
	if (fd >= 0)
		listener->source = LISTENER_SYSTEMD;
	int r = fd >= 0 ? endpoint_adopt(endpoint, listener, fd, error)
			: endpoint_bind(endpoint, listener, config, error);
	if (r < 0)
		return r;

	endpoint->sharded = listener->reuse_port && address_family(&endpoint->address) != AF_UNIX;
	if (listener->reuse_port && !endpoint->sharded)
		problems_add(notices,
			     "Listener %s: %s: one socket for all workers, because ReusePort= is "
			     "not for Unix sockets",
			     listener->name, text);
	if (!endpoint->sharded)
		return 0;
	r = listener_bind_share(endpoint->shards[0].fd, error);
	return r < 0 ? r : endpoint_extend(endpoint, listener, n_slots, false, error);
}

static int listener_open(struct listener *listener, const struct config_listener *config,
			 size_t n_slots, struct activation *activation, struct problems *notices,
			 struct error *error)
{
	*listener = (struct listener){
		.name = strdup(config->name),
		.reuse_port = config->reuse_port,
		.backlog = config->backlog,
		.nonblocking = config->nonblocking,
		.endpoints = calloc(config->n_addresses, sizeof(*listener->endpoints)),
	};
	if (!listener->name || !listener->endpoints)
		return error_set(error, -ENOMEM, "out of memory");
	for (size_t i = 0; i < config->n_addresses; i++) {
		struct endpoint *endpoint = &listener->endpoints[listener->n_endpoints++];
		endpoint->address = config->addresses[i];
		int r = endpoint_open(endpoint, listener, config, n_slots, activation, notices,
				      error);
		if (r < 0) {
			char text[ADDRESS_TEXT_MAX];
			return error_prefix(error, r, "Listener %s: %s", config->name,
					    address_format(&config->addresses[i], text));
		}
	}
	return 0;
}

static int listener_listen(struct listener *listener, struct error *error)
{
	for (size_t i = 0; i < listener->n_endpoints; i++)
		for (size_t j = 0; j < listener->endpoints[i].n_shards; j++) {
			char text[ADDRESS_TEXT_MAX];
			int r = endpoint_listen(&listener->endpoints[i], listener, j, error);
			if (r < 0)
				return error_prefix(
					error, r, "Listener %s: %s", listener->name,
					address_format(&listener->endpoints[i].address, text));
		}
	return 0;
}

int listeners_open(const struct config *config, size_t n_slots, struct activation *activation,
		   struct listeners **ret_listeners, struct problems *notices, struct error *error)
{
	assert(n_slots > 0);
	CLEANUP(listeners_freep) struct listeners *listeners = calloc(1, sizeof(*listeners));
	if (!listeners)
		return error_set(error, -ENOMEM, "out of memory");
	listeners->n_slots = n_slots;
	listeners->items = calloc(config->n_listeners + 1, sizeof(*listeners->items));
	if (!listeners->items)
		return error_set(error, -ENOMEM, "out of memory");
	for (size_t i = 0; i < config->n_listeners; i++) {
		int r = listener_open(&listeners->items[listeners->n_items++],
				      &config->listeners[i], n_slots, activation, notices, error);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < listeners->n_items; i++) {
		int r = listener_listen(&listeners->items[i], error);
		if (r < 0)
			return r;
	}
	*ret_listeners = TAKE_PTR(listeners);
	return 0;
}

static void endpoint_finish(struct endpoint *endpoint)
{
	/* The name goes first, so that nobody connects to a socket that is about to close. */
	if (endpoint->unlink_at_end)
		listener_bind_unlink(&endpoint->address,
				     &(struct socket_file){ .device = endpoint->file_device,
							    .inode = endpoint->file_inode });
	endpoint_truncate(endpoint, 0);
	free(endpoint->shards);
}

void listeners_free(struct listeners *listeners)
{
	if (!listeners)
		return;
	for (size_t i = 0; i < listeners->n_items; i++) {
		struct listener *listener = &listeners->items[i];
		for (size_t j = 0; j < listener->n_endpoints; j++)
			endpoint_finish(&listener->endpoints[j]);
		free(listener->endpoints);
		free(listener->name);
	}
	free(listeners->items);
	free(listeners);
}

/* Lets the shards from @first on listen, left out by the group's program from the beginning. */
static int endpoint_grow(struct endpoint *endpoint, const struct listener *listener, size_t first,
			 struct error *error)
{
	/* A program that is there already returns the old places only. */
	int steered = endpoint->steered ? 0 : group_steer(endpoint, endpoint->n_shards - first);
	/* Only systemd's own socket, alone, can have no group yet. Until the second one has made
	 * it, which it does by listening, the new shard may be given a connection: a straggler. */
	bool late = steered == -EINVAL && group_size(endpoint) == 1;
	if (steered < 0 && !late)
		return error_set(error, steered, "new sockets cannot be parked: %s",
				 strerror(-steered));
	for (size_t i = first; i < endpoint->n_shards; i++) {
		int r = endpoint_listen(endpoint, listener, i, error);
		if (r < 0)
			return r;
		if (late && (r = group_steer(endpoint, endpoint->n_shards - i - 1)) < 0)
			return error_set(error, r, "a new socket cannot be parked: %s",
					 strerror(-r));
		late = false;
	}
	return 0;
}

typedef int (*endpoint_step)(struct endpoint *endpoint, const struct listener *listener,
			     size_t n_slots, struct error *error);

static int extend_step(struct endpoint *endpoint, const struct listener *listener, size_t n_slots,
		       struct error *error)
{
	return endpoint_extend(endpoint, listener, n_slots, true, error);
}

static int for_each_sharded(struct listeners *listeners, endpoint_step step, size_t n_slots,
			    struct error *error)
{
	for (size_t i = 0; i < listeners->n_items; i++) {
		struct listener *listener = &listeners->items[i];
		for (size_t j = 0; j < listener->n_endpoints; j++) {
			struct endpoint *endpoint = &listener->endpoints[j];
			char text[ADDRESS_TEXT_MAX];
			int r = endpoint->sharded ? step(endpoint, listener, n_slots, error) : 0;
			if (r < 0)
				return error_prefix(error, r, "Listener %s: %s", listener->name,
						    address_format(&endpoint->address, text));
		}
	}
	return 0;
}

static int shrink_step(struct endpoint *endpoint, const struct listener *listener, size_t n_slots,
		       struct error *error)
{
	(void)listener, (void)error;
	endpoint_truncate(endpoint, n_slots);
	/* Where this fails, the program that is left names old places only, and all of those that
	 * are live. */
	(void)group_steer(endpoint, 0);
	return 0;
}

int listeners_grow(struct listeners *listeners, size_t n_slots, struct error *error)
{
	size_t n_before = listeners->n_slots;
	if (n_slots <= n_before)
		return 0;
	int r = for_each_sharded(listeners, extend_step, n_slots, error);
	if (r == 0)
		r = for_each_sharded(listeners, endpoint_grow, n_before, error);
	if (r < 0) {
		(void)for_each_sharded(listeners, shrink_step, n_before, NULL);
		return r;
	}
	listeners->n_slots = n_slots;
	return 0;
}
