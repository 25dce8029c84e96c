/*
 * A listener: one named address set of the service, and the sockets behind it.
 *
 *   listener ── endpoint (one address) ── shard 0, 1, … (one socket each)
 *
 * A sharded listener (ReusePort=yes) has for each TCP address one shard per slot, all in one
 * SO_REUSEPORT group; an unsharded one, and every Unix address, has a single shard that all slots
 * share. Owner: the supervisor (through struct listeners), for the whole life of the service. No
 * shard is closed before its listener is: nothing but listener*.c calls bind(2), listen(2) or
 * close(2) on them, and nothing anywhere calls shutdown(2) or accept(2).
 *
 * What the workers share through a shard is its open file description: O_NONBLOCK and the backlog.
 * listeners_tend() looks after both.
 *
 *   listener.c         opening, growing, closing; who gets which
 *   listener_bind*.c   one socket for one address
 *   listener_group.c   the SO_REUSEPORT group: its order, its program
 *   listener_shared.c  looking after what listens already
 */
#ifndef HANDOVER_SUPERVISOR_LISTENER_H
#define HANDOVER_SUPERVISOR_LISTENER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "supervisor/address.h"
#include "supervisor/config.h"

struct activation; /* activation.h */

/* Of a listener whose addresses came both ways: LISTENER_SYSTEMD. */
enum listener_source { LISTENER_BOUND, LISTENER_SYSTEMD };

struct shard {
	int fd;
	/* Its index in the kernel's group (listener_group.h); -1 while it is in none. */
	int place;
	bool parked;
	/* O_NONBLOCK as last seen; where it went missing it was a worker that cleared it. */
	bool nonblocking;
	bool deaf; /* shut down by somebody, and listen() did not heal it */
};

/* All sockets of one address. Where it is sharded, shards[i] belongs to slot i. */
struct endpoint {
	struct address address; /* as bound: a chosen port is filled in */
	bool sharded;
	struct shard *shards;
	size_t n_shards;
	bool steered;	    /* a program is attached to the group */
	bool unlink_at_end; /* a Unix socket's file that handoverd made itself */
	dev_t file_device;  /* that file, to know it again */
	ino_t file_inode;
};

struct listener {
	char *name;
	enum listener_source source;
	bool reuse_port;
	int backlog;
	enum nonblocking nonblocking;
	struct endpoint *endpoints;
	size_t n_endpoints;
};

struct listeners {
	struct listener *items;
	size_t n_items;
	size_t n_slots; /* shards that each sharded endpoint has */
};

/*
 * Opens every listener of @config for @n_slots slots: what systemd passed (@activation, taken from
 * by name and local address) or else bound here, as design says: SO_REUSEADDR (TCP); the first
 * shard bound before SO_REUSEPORT is set on it, so that a foreign listener on the port is an error;
 * then the others join; all listen before this returns. A stale Unix socket file is replaced, a
 * live owner's never. With ReusePort=yes systemd's one socket is shard 0 and the others join its
 * group. On failure nothing stays open, @error names the listener, the address, the cause, and for
 * an address in use the pid and program that has it if /proc can tell. Notices that are no errors
 * (a Unix address of a sharded listener has one socket for all) go to @notices.
 */
int listeners_open(const struct config *config, size_t n_slots, struct activation *activation,
		   struct listeners **ret_listeners, struct problems *notices, struct error *error);
/* Closes everything; removes the socket files that were made here. */
void listeners_free(struct listeners *listeners);
static inline void listeners_freep(struct listeners **listeners)
{
	listeners_free(*listeners);
}

/*
 * Grows each sharded endpoint to @n_slots shards. A new shard is born parked: first the program
 * that leaves it out, then listen(). Fewer than there are: nothing happens (shards stay, parked).
 * On failure what was there before is as it was.
 */
int listeners_grow(struct listeners *listeners, size_t n_slots, struct error *error);

/*
 * Parks the shards of every slot that is not in @live (an array of n_slots flags) and unparks the
 * others, by one program a group; where all are live no program is attached, and when none is live
 * all of @n_slots count as live, for connections to wait. Shards beyond @n_slots are parked.
 * Idempotent: system calls only where something changes. A group that fails stays as it was, the
 * others are steered all the same, and the first failure is returned.
 */
int listeners_steer(struct listeners *listeners, const bool *live, size_t n_slots,
		    struct error *error);

/* Takes over what may change while they live: Backlog=, in force from the next listeners_tend(). */
void listeners_reconfigure(struct listeners *listeners, const struct config *config);

/* The sum of accept queues of slot @slot's own shards (TCP: tcpi_unacked), 0 where none is its
 * own. */
unsigned listeners_queued(const struct listeners *listeners, size_t slot);

/*
 * The descriptors that a worker in @slot gets, in order of listeners and addresses; borrowed.
 * @ret_names has one name each (borrowed). The arrays belong to the caller (free).
 */
int listeners_for_slot(const struct listeners *listeners, size_t slot, int **ret_fds,
		       const char ***ret_names, size_t *ret_n);

/* Called whenever a worker got ready, drains or ended: repeats listen(backlog) on the shards that a
 * worker in the slot holds and looks after O_NONBLOCK (`yes` and `no` are restored always). A shard
 * that was shut down is left for listener_watch, which learns from it what became of the group.
 * @may_set_nonblocking: whether all workers that now hold the slot's shards are native or left it
 * set (`NonBlocking=auto` puts it back only then).
 * @ret_cleared: set when O_NONBLOCK was found missing that was there at the last look. */
int listeners_tend(struct listeners *listeners, size_t slot, bool may_set_nonblocking,
		   bool *ret_cleared);

/* Names one shard: its places in listeners->items, in endpoints and in shards. */
struct shard_id {
	uint32_t listener, endpoint, shard;
};
/*
 * Listens again on shards that somebody shut down, given in the order in which that happened: the
 * kernel took them out of their groups in that order, which decides where the others are now.
 * Programs are attached anew. A shard that it does not help is marked deaf. Returns 0, or the first
 * error of a program that could not be attached.
 */
int listeners_revive(struct listeners *listeners, const struct shard_id *ids, size_t n_ids);
/* True when @fd, a listening socket, was shut down. */
bool listeners_is_shut_down(int fd);

/* True when every shard that a worker in @slot holds has O_NONBLOCK set now. */
bool listeners_nonblocking(const struct listeners *listeners, size_t slot);

/* Figures of one shard for people; -1 where the kernel does not tell. */
struct shard_figures {
	int64_t queue, queue_limit, drops;
};
void shard_figures(const struct shard *shard, struct shard_figures *ret_figures);

#endif
