/*
 * A spec: everything that is needed to start a worker, frozen when its generation is made and never
 * changed after: executable and working directory held open, argv, environment, limits, identity
 * (names already resolved). Reference counted by hand: one owner, its generation.
 *
 * A program without a slash is searched for in the PATH that the worker will have; a relative one
 * with a slash is relative to our own directory, as a command line means it, whatever
 * WorkingDirectory= says.
 */
#ifndef HANDOVER_SUPERVISOR_SPEC_H
#define HANDOVER_SUPERVISOR_SPEC_H

#include <stdbool.h>
#include <sys/types.h>

#include "supervisor/config.h"
#include "supervisor/executable.h"

struct spec {
	struct executable executable;
	int directory_fd; /* O_PATH | O_DIRECTORY: where the worker starts */
	char *directory;  /* its resolved path, for people */
	char **argv;
	/* The whole environment but for what differs from worker to worker (spawn adds that): the
	 * supervisor's own, less what was meant for it alone, then what the configuration says. */
	char **environment;
	bool set_identity; /* uid, gid and groups are to be set */
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t n_groups;
	bool umask_set;
	mode_t umask;
	struct rlimit limit_nofile;
	/* What governs its workers' lives; copied from the configuration. */
	enum worker_type type;
	uint64_t timeout_start_usec, timeout_stop_usec, settle_usec, watchdog_usec;
	bool settle_set;
	int kill_signal;
	enum notify_access notify_access;
	unsigned n_slots; /* Count= */
};

/* Freezes @config: opens executable and directory, resolves names. Blocks on NSS (see
 * getpwnam(3)): called once per reload, never per worker. Returns 0 or a negative errno with
 * @error's text. `User=` and its like need root: -EPERM says so. */
int spec_freeze(const struct config *config, struct spec **ret_spec, struct error *error);
void spec_free(struct spec *spec);
static inline void spec_freep(struct spec **spec)
{
	spec_free(*spec);
}

/* The names of environment variables that are meant for the supervisor alone: "LISTEN_*" (prefix),
 * "NOTIFY_SOCKET", … NULL-terminated; for spec_freeze, the manual and tests. */
extern const char *const spec_private_variables[];

#endif
