/*
 * Notices, without polling, that somebody called shutdown(2) on a listening socket, which kills it
 * for all who hold it: an epoll set of its own holds the sockets with no events asked for (EPOLLHUP
 * comes all the same) and is itself watched for reading. Connections do not wake it. Healed by
 * listen(2) where that helps (TCP); a Unix socket cannot be healed and is reported once.
 *
 * Owner: the supervisor. Borrows the listeners, which must outlive it.
 */
#ifndef HANDOVER_SUPERVISOR_LISTENER_WATCH_H
#define HANDOVER_SUPERVISOR_LISTENER_WATCH_H

#include <stdbool.h>
#include <stddef.h>

struct ev_loop;
struct listeners;
struct listener;
struct endpoint;
struct listener_watch;

/* @shut_down is called for each shard that was found shut down; @slot is SIZE_MAX for a shard that
 * all slots share. */
typedef void (*listener_watch_shut_down)(void *owner, const struct listener *listener,
					 const struct endpoint *endpoint, size_t slot, bool healed);

int listener_watch_new(struct ev_loop *loop, struct listeners *listeners,
		       listener_watch_shut_down shut_down, void *owner,
		       struct listener_watch **ret_watch);
/* Adds the shards that came since (listeners_grow). */
int listener_watch_refresh(struct listener_watch *watch);
void listener_watch_free(struct listener_watch *watch);

#endif
