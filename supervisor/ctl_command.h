/*
 * The commands of handoverctl: each makes its call, shows the answer, and returns the exit status.
 * Answers go to stdout; failures to stderr, or with --json to stdout too, as
 * {"error":…,"parameters":…}.
 */
#ifndef HANDOVER_SUPERVISOR_CTL_COMMAND_H
#define HANDOVER_SUPERVISOR_CTL_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/base.h"
#include "supervisor/ctl_error.h"

/* What the command line asks for. Borrows its strings. */
struct request {
	const char *name;	 /* -n, or NULL */
	const char *socket_path; /* --socket, or NULL */
	bool json;
	bool wait, no_block;   /* reload */
	uint64_t timeout_usec; /* reload; 0: none */
	bool now;	       /* stop */
};

enum exit_status command_status(const struct request *request);
enum exit_status command_workers(const struct request *request);
enum exit_status command_listeners(const struct request *request);
enum exit_status command_reload(const struct request *request);
enum exit_status command_abort(const struct request *request);
enum exit_status command_stop(const struct request *request);
enum exit_status command_ping(const struct request *request);
enum exit_status command_list(const struct request *request);

#endif
