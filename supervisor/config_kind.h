/*
 * The kinds of values that directives have: how each is read into the struct of its section and
 * written back. Stateless; the table of directives (config_directives.c) is the only user.
 */
#ifndef HANDOVER_SUPERVISOR_CONFIG_KIND_H
#define HANDOVER_SUPERVISOR_CONFIG_KIND_H

#include "supervisor/config.h"

struct config_kind {
	/* Sets the field of @object (the section's struct), or appends to it where the directive is
	 * a list. Returns 0; -EINVAL with what is wrong with @value; -ENOMEM. */
	int (*apply)(const struct config_directive *directive, void *object, const char *value,
		     struct error *error);
	/* Writes whole lines, "Key=value", that apply() reads back. */
	void (*print)(const struct config_directive *directive, const void *object, FILE *out);
	bool explains; /* its errors say already what is allowed */
};

/* Scalars: config_kind.c. */
extern const struct config_kind kind_boolean;  /* bool */
extern const struct config_kind kind_unsigned; /* unsigned, min to max */
extern const struct config_kind kind_count;   /* the same, or `auto`: as many as CPUs are allowed */
extern const struct config_kind kind_backlog; /* int, or `somaxconn` */
extern const struct config_kind kind_choice;  /* an enum that counts the choices */
extern const struct config_kind kind_mode;    /* mode_t, up to max */
extern const struct config_kind kind_umask;   /* config_worker's */
extern const struct config_kind kind_timeout; /* uint64_t; 0 is infinity, as in systemd */
extern const struct config_kind kind_settle;  /* config_worker's */
extern const struct config_kind kind_watchdog;	/* uint64_t; infinity is 0: off */
extern const struct config_kind kind_signal;	/* int */
extern const struct config_kind kind_limit;	/* struct rlimit */
extern const struct config_kind kind_account;	/* char *, NULL: handoverd's */
extern const struct config_kind kind_directory; /* char *, NULL: handoverd's */
extern const struct config_kind kind_socket;	/* char * */

/* Lists of words, and what is like them: config_kind_list.c. */
extern const struct config_kind kind_command;	       /* char **, replaced */
extern const struct config_kind kind_environment;      /* char **, appended */
extern const struct config_kind kind_environment_file; /* only checked: config.c reads the file */
extern const struct config_kind kind_accounts;	       /* char **, appended */
extern const struct config_kind kind_addresses;	       /* config_listener's */

/* The path in a value of EnvironmentFile=, and whether it may be missing ("-" before it). */
int kind_environment_file_path(const char *value, char **ret_path, bool *ret_may_be_missing,
			       struct error *error);

#endif
