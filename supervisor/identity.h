/*
 * Who a worker is to be: User=, Group= and SupplementaryGroups= as numbers. Resolved once, when a
 * generation is made, since names are looked up by NSS, which may block (see getpwnam(3)).
 *
 * Owner: spec_freeze(), for its duration.
 */
#ifndef HANDOVER_SUPERVISOR_IDENTITY_H
#define HANDOVER_SUPERVISOR_IDENTITY_H

#include <stdbool.h>
#include <sys/types.h>

#include "proto/error.h"

struct identity {
	bool differs; /* from ours: it has to be set */
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* all of them, as setgroups(2) takes them */
	size_t n_groups;
	char *user, *shell; /* NULL unless User= was given */
	char *home;	    /* of User=, else ours; may be NULL */
};

/* @user and @group: a name, a number or NULL (ours; @group: that of @user). @groups is
 * NULL-terminated, or NULL. Returns 0; -ESRCH for a name that nobody has; -EPERM when we may not
 * become that; another negative errno; with @error's text. */
int identity_resolve(const char *user, const char *group, char *const *groups,
		     struct identity *ret_identity, struct error *error);
void identity_finish(struct identity *identity);

#endif
