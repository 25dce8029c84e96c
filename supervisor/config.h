/*
 * The configuration: what the file, its drop-ins and the command line say, checked and with all
 * defaults in place. Read anew at each reload; immutable once loaded. Owned by whoever loaded it.
 *
 *   config_load()   file → FILE.d drop-ins (*.conf) → command line, later over earlier;
 *                   all errors at once
 *   config_print()  what was understood, in the same syntax
 *
 * The table of directives (config_directives) is the one list of sections, keys, defaults and
 * help; reading, printing, suggestions for near names and the manual's test come from it.
 */
#ifndef HANDOVER_SUPERVISOR_CONFIG_H
#define HANDOVER_SUPERVISOR_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "proto/error.h"
#include "supervisor/address.h"
#include "supervisor/problems.h"

#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_PER_SEC  UINT64_C(1000000)
#define USEC_INFINITY UINT64_MAX

enum nonblocking { NONBLOCKING_AUTO, NONBLOCKING_YES, NONBLOCKING_NO };
enum worker_type { WORKER_TYPE_AUTO, WORKER_TYPE_NATIVE, WORKER_TYPE_NOTIFY, WORKER_TYPE_SIMPLE };
enum notify_access { NOTIFY_ACCESS_ALL, NOTIFY_ACCESS_MAIN };
enum max_draining_action { MAX_DRAINING_WAIT, MAX_DRAINING_HURRY };

enum {
	CONFIG_SLOTS_MAX = 1024,
	CONFIG_LISTENERS_MAX = 64,
	CONFIG_ADDRESSES_MAX = 64, /* of one listener */
	CONFIG_NAME_MAX = 64,
};

struct config_listener {
	char *name;
	struct address *addresses; /* ListenStream=, in order */
	size_t n_addresses;
	bool reuse_port;
	int backlog; /* default: net.core.somaxconn */
	enum nonblocking nonblocking;
	mode_t socket_mode;
	char *socket_user, *socket_group; /* NULL: handoverd's */
};

struct config_worker {
	char **argv;	/* ExecStart=, NULL-terminated; argv[0] as written */
	unsigned count; /* Count=, `auto` already resolved to the CPUs allowed */
	enum worker_type type;
	uint64_t timeout_start_usec, timeout_stop_usec;
	uint64_t settle_usec; /* meant for programs; native workers settle only if settle_set */
	bool settle_set;
	int kill_signal;
	char *working_directory; /* NULL: handoverd's; `~` stays, for the spec to resolve */
	/* NAME=VALUE strings, NULL-terminated: Environment= and then what EnvironmentFile= said
	 * when the configuration was loaded, as systemd orders them. */
	char **environment;
	char *user, *group;	     /* NULL: handoverd's */
	char **supplementary_groups; /* NULL-terminated, or NULL */
	bool umask_set;
	mode_t umask;
	struct rlimit limit_nofile; /* default 1024:524288 */
	enum notify_access notify_access;
	unsigned max_draining;
	enum max_draining_action max_draining_action;
	uint64_t watchdog_usec; /* 0: off */
};

struct config_control {
	char *socket; /* Socket=: a name in the control directory, or an absolute path */
};

struct config {
	char *name;
	struct config_listener *listeners;
	size_t n_listeners;
	struct config_worker worker;
	struct config_control control;
};

/* One assignment from the command line: `--listen http=…` becomes section "Listener http", key
 * "ListenStream". @origin is what errors call it: "--listen http=0.0.0.0:80" or
 * "-o Worker.Count=x". */
struct config_override {
	const char *origin, *section, *key, *value;
};

/* Where configuration comes from; kept by the supervisor for each reload. Borrows everything. */
struct config_sources {
	const char *name; /* --name, or NULL: from the file's name */
	const char *file; /* --config, or NULL */
	const struct config_override *overrides;
	size_t n_overrides;
	char **argv; /* -- PROG ARGS…: over ExecStart=, taken as it stands; NULL: none */
};

/* Splits "Listener http.ReusePort=yes" (up to the last dot before the first '=') in place of a
 * copy. Returns 0, -EINVAL with what is wrong, or -ENOMEM. *ret_buffer owns what @ret_override
 * borrows. */
int config_override_parse(const char *text, struct config_override *ret_override, char **ret_buffer,
			  struct error *error);

/* Loads. Returns 0; -EINVAL with @problems holding every error; another negative errno. */
int config_load(const struct config_sources *sources, struct config **ret_config,
		struct problems *problems);
void config_free(struct config *config);
static inline void config_freep(struct config **config)
{
	config_free(*config);
}

int config_print(const struct config *config, FILE *out);

/* What differs between the two that a running supervisor cannot change: each listener and key, one
 * line a difference into @problems. Count= and Backlog= may change. Returns true when nothing
 * differs. */
bool config_same_sockets(const struct config *running, const struct config *wanted,
			 struct problems *problems);

struct config_kind; /* config_kind.h */

/* One directive: what the manual, messages, reading and printing know of a key. */
struct config_directive {
	const char *section; /* "Listener", "Worker", "Control" */
	const char *key;
	const char *default_text; /* as it would be written; "": see @help */
	const char *help; /* what is allowed, for messages: "a time span such as 90s or 2min" */
	bool is_list;	  /* several assignments add up, an empty one starts anew */
	/* How a value is read and written, and where it is in its section's struct. */
	const struct config_kind *kind;
	size_t offset;
	unsigned min, max;
	const char *const *choices;
};
extern const struct config_directive config_directives[];
extern const size_t config_n_directives;

#endif
