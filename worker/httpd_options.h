/*
 * The command line of handover-httpd, and of the environment what its answers show.
 */
#ifndef HANDOVER_WORKER_HTTPD_OPTIONS_H
#define HANDOVER_WORKER_HTTPD_OPTIONS_H

#include <stdbool.h>

#include "proto/error.h"

enum options_action { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION };

struct options {
	enum options_action action;
	const char *body;
	const char *generation_header; /* NULL: not said */
	const char *generation;
	const char *status_path; /* NULL: there is none */
	const char *listen;	 /* NULL: only what is handed over */
	double keepalive_timeout_s, header_timeout_s, drain_timeout_s;
	bool allows_delay;
};

extern const char options_usage[];

/* Reads @argv; the strings stay borrowed from it and from the environment. Returns 0, or -EINVAL
 * with @error's text. */
int options_parse(int argc, char *argv[], struct options *ret_options, struct error *error);

#endif
