/*
 * Which supervisor is meant: the instances that run, found in the control directories, and the one
 * that -n names or that is alone. Owner: main.
 */
#ifndef HANDOVER_SUPERVISOR_CTL_INSTANCE_H
#define HANDOVER_SUPERVISOR_CTL_INSTANCE_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/error.h"

struct instance {
	char *name;
	char *socket_path;
	bool permitted; /* this user may connect to it */
};

struct instances {
	struct instance *items;
	size_t n_items;
};

/* Those that somebody listens for: the socket of a dead supervisor is passed over. Returns 0 or
 * -ENOMEM. */
int instances_find(struct instances *ret_instances);
void instances_finish(struct instances *instances);

/*
 * The one called @name, or, where @name is NULL, the only one; what this user may not connect to is
 * chosen only where nothing else is. A supervisor whose directory has another name than itself
 * (RuntimeDirectory=) is found by its own. Returns 0 with *ret_instance
 * borrowed from @instances; -ENOENT when there is none; -ENOTUNIQ when there are several. The
 * errors name those that run.
 */
int instances_choose(const struct instances *instances, const char *name,
		     const struct instance **ret_instance, struct error *error);

#endif
