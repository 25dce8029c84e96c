/*
 * handover-httpd: an HTTP/1.1 server that answers every request with the same body, and can be
 * replaced under load without losing one. See handover-httpd(8).
 */
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "proto/base.h"
#include "worker/httpd_options.h"
#include "worker/httpd_server.h"

enum { EXIT_USAGE = 2 };

/* The soft limit is 1024 for the sake of select(2), which we do not use. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int serve(const struct options *options)
{
	struct error error;
	CLEANUP(freep) struct server *server = malloc(sizeof(*server));
	if (!server) {
		(void)fputs("handover-httpd: out of memory\n", stderr);
		return EXIT_FAILURE;
	}
	raise_descriptor_limit();
	(void)signal(SIGPIPE, SIG_IGN);
	int status = EXIT_FAILURE;
	if (server_init(server, options, &error) < 0)
		(void)fprintf(stderr, "handover-httpd: %s\n", error.text);
	else
		status = server_run(server);
	server_finish(server);
	return status;
}

int main(int argc, char *argv[])
{
	struct options options;
	struct error error;
	if (options_parse(argc, argv, &options, &error) < 0) {
		(void)fprintf(stderr, "handover-httpd: %s\n", error.text);
		return EXIT_USAGE;
	}
	switch (options.action) {
	case OPTIONS_HELP:
		(void)fputs(options_usage, stdout);
		return EXIT_SUCCESS;
	case OPTIONS_VERSION:
		(void)puts("handover-httpd " HANDOVER_VERSION);
		return EXIT_SUCCESS;
	case OPTIONS_RUN:
		break;
	}
	return serve(&options);
}
