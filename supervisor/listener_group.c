#include "supervisor/listener_group.h"

#include <assert.h>
#include <string.h>

#include "proto/base.h"
#include "supervisor/listener.h"
#include "supervisor/steering.h"

size_t group_size(const struct endpoint *endpoint)
{
	size_t size = 0;
	for (size_t i = 0; i < endpoint->n_shards; i++)
		size += endpoint->shards[i].place >= 0;
	return size;
}

void group_joined(struct endpoint *endpoint, size_t index)
{
	if (endpoint->shards[index].place < 0)
		endpoint->shards[index].place = (int)group_size(endpoint);
}

void group_left(struct endpoint *endpoint, size_t index)
{
	int hole = endpoint->shards[index].place;
	int last = (int)group_size(endpoint) - 1;
	if (hole < 0)
		return;
	for (size_t i = 0; i < endpoint->n_shards; i++)
		if (endpoint->shards[i].place == last)
			endpoint->shards[i].place = hole;
	endpoint->shards[index].place = -1;
	if (last == 0)
		endpoint->steered = false;
}

static const struct shard *any_member(const struct endpoint *endpoint)
{
	for (size_t i = 0; i < endpoint->n_shards; i++)
		if (endpoint->shards[i].place >= 0)
			return &endpoint->shards[i];
	return NULL;
}

static int program_attach(int fd, struct sock_filter *filter, int length)
{
	struct sock_fprog program;
	memset(&program, 0, sizeof(program)); /* its padding too: the kernel is given all of it */
	program.len = (unsigned short)length;
	program.filter = filter;
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) < 0
		       ? -errno
		       : 0;
}

static int program_detach(int fd)
{
	int unused = 0;
	return setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &unused, sizeof(unused)) < 0 &&
			       errno != ENOENT
		       ? -errno
		       : 0;
}

int group_steer(struct endpoint *endpoint, size_t n_joining)
{
	const struct shard *member = any_member(endpoint);
	size_t n_places = group_size(endpoint) + n_joining;
	if (!member)
		return 0;
	CLEANUP(freep) bool *live_places = calloc(n_places, sizeof(*live_places));
	CLEANUP(freep) struct sock_filter *filter = NULL;
	if (!live_places)
		return -ENOMEM;
	for (size_t i = 0; i < endpoint->n_shards; i++) {
		const struct shard *shard = &endpoint->shards[i];
		assert(shard->place < (int)n_places);
		if (shard->place >= 0)
			live_places[shard->place] = !shard->parked;
	}
	int length = steering_program(live_places, n_places, &filter);
	if (length < 0)
		return length;
	if (length == 0 && !endpoint->steered)
		return 0;
	int r = length == 0 ? program_detach(member->fd)
			    : program_attach(member->fd, filter, length);
	if (r == 0)
		endpoint->steered = length > 0;
	return r;
}

/* Sets the parked flags as the endpoint should have them; @before keeps what they were. Returns
 * whether any changed. */
static bool set_parked(struct endpoint *endpoint, const bool *live, size_t n_slots, bool *before)
{
	bool any_live = false, changed = false;
	for (size_t i = 0; i < n_slots && i < endpoint->n_shards; i++)
		any_live |= live[i];
	for (size_t i = 0; i < endpoint->n_shards; i++) {
		bool parked = i >= n_slots || (any_live && !live[i]);
		before[i] = endpoint->shards[i].parked;
		changed |= parked != before[i];
		endpoint->shards[i].parked = parked;
	}
	return changed;
}

static int endpoint_steer(struct endpoint *endpoint, const bool *live, size_t n_slots,
			  struct error *error)
{
	CLEANUP(freep) bool *before = calloc(endpoint->n_shards, sizeof(*before));
	int r = before ? 0 : -ENOMEM;
	if (r == 0 && set_parked(endpoint, live, n_slots, before))
		r = group_steer(endpoint, 0);
	if (r < 0 && before)
		for (size_t i = 0; i < endpoint->n_shards; i++)
			endpoint->shards[i].parked = before[i];
	if (r < 0) {
		char text[ADDRESS_TEXT_MAX];
		return error_set(error, r, "%s: new connections cannot be steered: %s",
				 address_format(&endpoint->address, text), strerror(-r));
	}
	return 0;
}

int listeners_steer(struct listeners *listeners, const bool *live, size_t n_slots,
		    struct error *error)
{
	int first_error = 0;
	for (size_t i = 0; i < listeners->n_items; i++) {
		struct listener *listener = &listeners->items[i];
		for (size_t j = 0; j < listener->n_endpoints; j++) {
			struct endpoint *endpoint = &listener->endpoints[j];
			if (!endpoint->sharded)
				continue;
			struct error *wanted = first_error == 0 ? error : NULL;
			int r = endpoint_steer(endpoint, live, n_slots, wanted);
			if (r < 0 && first_error == 0)
				first_error = error_prefix(error, r, "Listener %s", listener->name);
		}
	}
	return first_error;
}
