/*
 * Makes one socket for one address: created, its options set, bound, and not listening yet.
 * Internal to the listener: with listener_group.c the only places that call bind(2) and listen(2).
 *
 * A Unix socket is bound to its own name, not to another that is renamed: the name that it was
 * bound to is what getsockname(2) tells the workers. Nobody can connect before listen(2), so it has
 * its mode (from the umask) and owner in time. What is at the path already is removed only if it is
 * a socket that refuses connections and that the kernel knows nobody to be bound to. Between the
 * look and the bind another handoverd is kept out by a lock on PATH.lock, a file that is there no
 * longer than that. (Moving the dead file aside and looking again was tried: of two at once,
 * neither won.)
 */
#ifndef HANDOVER_SUPERVISOR_LISTENER_BIND_H
#define HANDOVER_SUPERVISOR_LISTENER_BIND_H

#include <stdbool.h>
#include <sys/types.h>

#include "supervisor/address.h"
#include "supervisor/config.h"

/* Which file a Unix socket's bind made, to know it again before removing it. */
struct socket_file {
	dev_t device;
	ino_t inode;
};

/* Binds @address with SO_REUSEADDR and without SO_REUSEPORT. *ret_bound has the port that the
 * kernel chose; where there is no IPv6, [::] becomes 0.0.0.0. */
int listener_bind_tcp(const struct address *address, bool nonblocking, int *ret_fd,
		      struct address *ret_bound, struct error *error);

/* Lets others join @fd's address from now on. */
int listener_bind_share(int fd, struct error *error);

/* Binds another socket to the address of @first_fd, for which listener_bind_share() was called. */
int listener_bind_join(int first_fd, bool nonblocking, int *ret_fd, struct error *error);

/* Binds a Unix socket with the mode and owner of @config. *ret_file is all zero when abstract. */
int listener_bind_unix(const struct config_listener *config, const struct address *address,
		       bool nonblocking, int *ret_fd, struct socket_file *ret_file,
		       struct error *error);

/* Sets or clears O_NONBLOCK of the open file description, for all who hold it. */
int listener_bind_nonblocking(int fd, bool on);

/* Removes the socket's file if it is still the one that was made. */
void listener_bind_unlink(const struct address *address, const struct socket_file *file);

/* The text for a bind or listen at @address that failed with @code, a negative errno,
 * which is returned. */
int listener_bind_failed(const struct address *address, int code, struct error *error);

#endif
