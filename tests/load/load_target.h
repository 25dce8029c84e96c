/*
 * Where the load goes: a loopback TCP address or a Unix socket, and nothing else, so that no
 * mistyped option can ever burden another machine.
 *
 * Connections to 127.0.0.0/8 come from several source addresses in turn: one alone has 28,000
 * ephemeral ports, which ten thousand connections a second use up whenever it is we who end with
 * the TIME_WAIT. Plain data, owned in place.
 */
#ifndef HANDOVER_TESTS_LOAD_TARGET_H
#define HANDOVER_TESTS_LOAD_TARGET_H

#include <stdbool.h>
#include <sys/socket.h>

enum { TARGET_SOURCES_MAX = 200 };

struct target {
	struct sockaddr_storage address;
	socklen_t address_bytes;
	unsigned int sources; /* 127.0.0.1 to 127.0.0.sources; 0: the kernel chooses */
	unsigned int next_source;
};

/* Understands tcp:127.x.y.z:PORT, tcp:[::1]:PORT, unix:/PATH and unix:@NAME. -EINVAL with
 * *@ret_reason, a constant, for anything else. */
int target_parse(struct target *target, const char *text, const char **ret_reason);

/* A socket, not blocking, bound to the next source address. */
int target_socket(struct target *target, int *ret_fd);

/* 0, -EINPROGRESS, or why not. -EAGAIN means that a Unix listener's queue is full, for which the
 * kernel has no event: try again. */
int target_connect(const struct target *target, int fd);

#endif
