/* Who listens on an address that is in use, as far as /proc can tell: for an error message. */
#ifndef HANDOVER_SUPERVISOR_PORT_OWNER_H
#define HANDOVER_SUPERVISOR_PORT_OWNER_H

#include <stdbool.h>
#include <sys/types.h>

#include "supervisor/address.h"

struct port_owner {
	pid_t pid;
	char program[64];
};

/* Returns 0, or -ENOENT when /proc does not tell (another user's process, or none). */
int port_owner_find(const struct address *address, struct port_owner *ret_owner);

/* Whether the kernel knows of a socket there, whosever it is (of this network namespace). */
bool port_owner_exists(const struct address *address);

#endif
