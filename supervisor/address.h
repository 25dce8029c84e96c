/*
 * An address as systemd.socket(5) writes it in ListenStream=, and as a socket address.
 *
 *   8080                 [::]:8080, which takes IPv4 too (unless net.ipv6.bindv6only says no, as in
 *                        systemd); 0.0.0.0:8080 on a machine without IPv6
 *   0.0.0.0:8080         IPv4           [::1]:8080   IPv6          tcp:… before either is taken too
 *   /run/app.sock        Unix           @name        Unix, abstract
 *
 * Port 0 is allowed: the kernel chooses when the socket is bound, and what it chose is kept for as
 * long as the listener lives. Value type: copied freely, owns nothing.
 */
#ifndef HANDOVER_SUPERVISOR_ADDRESS_H
#define HANDOVER_SUPERVISOR_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "proto/error.h"

enum { ADDRESS_TEXT_MAX = 160 };

struct address {
	struct sockaddr_storage storage;
	socklen_t length;
};

/* Reads @text. Returns 0, or -EINVAL with what is wrong and what is allowed. */
int address_parse(const char *text, struct address *ret_address, struct error *error);

/* The local address of a socket. Returns 0 or a negative errno. */
int address_of_socket(int fd, struct address *ret_address);

/* As people write it: 0.0.0.0:8080, [::]:8080, /run/app.sock, @name. Returns @text. */
const char *address_format(const struct address *address, char text[static ADDRESS_TEXT_MAX]);

bool address_equal(const struct address *a, const struct address *b);
int address_family(const struct address *address);
/* The path of a Unix socket in the file system, else NULL (also when abstract). Borrowed. */
const char *address_unix_path(const struct address *address);

/* The port in the host's byte order; 0 where there is none. Setting one: TCP addresses only. */
in_port_t address_port(const struct address *address);
void address_set_port(struct address *address, in_port_t port);
/* Whether it is 0.0.0.0 or [::]. */
bool address_is_wildcard(const struct address *address);
/* What stands for [::]:PORT on a machine without IPv6: 0.0.0.0:PORT. False for all others. */
bool address_without_ipv6(const struct address *address, struct address *ret_address);

#endif
