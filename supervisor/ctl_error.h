/*
 * Failures, told: exit statuses of handoverctl, and what an error reply means in words.
 */
#ifndef HANDOVER_SUPERVISOR_CTL_ERROR_H
#define HANDOVER_SUPERVISOR_CTL_ERROR_H

#include <jansson.h>
#include <stdio.h>

/* handoverctl(1) promises these to scripts. */
enum exit_status {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NO_SUPERVISOR = 3,
	EXIT_NOT_PERMITTED = 4,
	EXIT_INTERRUPTED = 130, /* 128 + SIGINT, as a shell would say it */
};

/* The status that belongs to @error, an error reply's full name. */
enum exit_status error_reply_status(const char *error);

/* Says on @out what the error reply means and what to do. */
void error_reply_print(FILE *out, const char *error, json_t *parameters);

#endif
