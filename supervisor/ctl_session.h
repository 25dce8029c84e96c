/*
 * One conversation of a command with a supervisor: chosen, connected, and every way in which it can
 * fail reported once, where it happens. Owner: the command.
 */
#ifndef HANDOVER_SUPERVISOR_CTL_SESSION_H
#define HANDOVER_SUPERVISOR_CTL_SESSION_H

#include "proto/varlink_client.h"
#include "supervisor/ctl_command.h"
#include "supervisor/ctl_instance.h"

/* A supervisor never blocks: one that does not answer a simple question in this time is stopped or
 * hung. */
enum { SESSION_TIMEOUT_MS = 5000 };

struct session {
	const struct request *request;
	struct instances instances;
	const char *name;	 /* as far as known: never NULL */
	const char *socket_path; /* borrowed */
	struct varlink_client *client;
};

/* These return EXIT_DONE, or the exit status with the failure already reported. */
enum exit_status session_open(struct session *session, const struct request *request);
enum exit_status session_call(struct session *session, const char *method, json_t *parameters,
			      bool more);
/* An error reply is reported too, and *ret_reply set only for success. */
enum exit_status session_receive(struct session *session, int timeout_ms,
				 struct varlink_reply *ret_reply);
/* One call and its one reply, which with --json is printed as well. */
enum exit_status session_ask(struct session *session, const char *method, json_t *parameters,
			     struct varlink_reply *ret_reply);

void session_finish(struct session *session);

/* One line of JSON. Escaped down to ASCII: nothing in it can drive a terminal. */
void session_print_json(json_t *object);

/* Tells a failure that no reply described. @error_name is what --json calls it. Returns @status. */
enum exit_status session_fail(const struct request *request, enum exit_status status,
			      const char *error_name, const char *format, ...) PRINTF(4, 5);

#endif
