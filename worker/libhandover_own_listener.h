/*
 * A listening socket of our own making, for a program that nobody handed one to.
 */
#ifndef HANDOVER_WORKER_LIBHANDOVER_OWN_LISTENER_H
#define HANDOVER_WORKER_LIBHANDOVER_OWN_LISTENER_H

#include <sys/socket.h>

/* Reads tcp:127.0.0.1:80, tcp:[::1]:80, unix:/path, unix:@abstract. Returns 0 or -EINVAL. */
int own_listener_parse(const char *text, struct sockaddr_storage *ret_address,
		       socklen_t *ret_address_bytes);

/* Binds to @text and listens. Returns 0, or a negative errno as handover_listen() documents it. */
int own_listener_open(const char *text, int *ret_fd);

#endif
