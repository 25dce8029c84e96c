#include "worker/httpd_options.h"

#include <ctype.h>
#include <getopt.h>
#include <math.h>
#include <string.h>

#include "worker/httpd_limits.h"

const char options_usage[] =
	"usage: handover-httpd [OPTION]...\n"
	"\n"
	"Answers every HTTP/1.1 request with one body, on the sockets that it is handed.\n"
	"\n"
	"  --body TEXT               the body of every answer\n"
	"  --generation-header NAME  say HANDOVER_GENERATION in this header field\n"
	"  --status-path PATH        answer PATH with the server's own state (JSON)\n"
	"  --listen ADDRESS          where no socket is handed over: tcp:127.0.0.1:8080,\n"
	"                            tcp:[::1]:8080, unix:/path, unix:@abstract\n"
	"  --keepalive-timeout S     close a connection that is idle for S seconds (75)\n"
	"  --header-timeout S        408 when a request's head takes longer than S seconds (30)\n"
	"  --drain-timeout S         after SIGTERM, close idle connections after S seconds (10)\n"
	"  --allow-delay             answer /?delay_ms=N after N milliseconds\n"
	"  --help, --version\n";

enum option_code {
	OPTION_BODY = 256,
	OPTION_GENERATION_HEADER,
	OPTION_STATUS_PATH,
	OPTION_LISTEN,
	OPTION_KEEPALIVE_TIMEOUT,
	OPTION_HEADER_TIMEOUT,
	OPTION_DRAIN_TIMEOUT,
	OPTION_ALLOW_DELAY,
	OPTION_HELP,
	OPTION_VERSION,
};

static const struct option OPTIONS[] = {
	{ "body", required_argument, NULL, OPTION_BODY },
	{ "generation-header", required_argument, NULL, OPTION_GENERATION_HEADER },
	{ "status-path", required_argument, NULL, OPTION_STATUS_PATH },
	{ "listen", required_argument, NULL, OPTION_LISTEN },
	{ "keepalive-timeout", required_argument, NULL, OPTION_KEEPALIVE_TIMEOUT },
	{ "header-timeout", required_argument, NULL, OPTION_HEADER_TIMEOUT },
	{ "drain-timeout", required_argument, NULL, OPTION_DRAIN_TIMEOUT },
	{ "allow-delay", no_argument, NULL, OPTION_ALLOW_DELAY },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ NULL, 0, NULL, 0 },
};

static int parse_seconds(const char *name, const char *text, double *ret_seconds,
			 struct error *error)
{
	char *end;
	double seconds = strtod(text, &end);
	if (!isdigit((unsigned char)text[0]) || *end != '\0' || !isfinite(seconds) ||
	    seconds <= 0 || seconds > HTTPD_TIMEOUT_MAX_S)
		return error_set(error, -EINVAL, "--%s %s: needs seconds, above 0 and at most %.0f",
				 name, text, HTTPD_TIMEOUT_MAX_S);
	*ret_seconds = seconds;
	return 0;
}

/* A header field's name is a token, RFC 9110, 5.1. */
static int check_field_name(const char *name, struct error *error)
{
	size_t length = strlen(name);
	if (length > 0 && length <= 64) {
		while (length > 0 && (isalnum((unsigned char)name[length - 1]) ||
				      strchr("!#$%&'*+-.^_`|~", name[length - 1])))
			length--;
		if (length == 0)
			return 0;
	}
	return error_set(error, -EINVAL, "--generation-header %s: is no header field's name", name);
}

static int check_path(const char *path, struct error *error)
{
	if (path[0] == '/' && strlen(path) < HTTPD_TARGET_KEPT_BYTES && !strpbrk(path, "?# "))
		return 0;
	return error_set(error, -EINVAL,
			 "--status-path %s: needs a path from /, without query, below %d bytes",
			 path, HTTPD_TARGET_KEPT_BYTES);
}

static int apply(struct options *options, int option, const char *value, struct error *error)
{
	switch (option) {
	case OPTION_BODY:
		options->body = value;
		return 0;
	case OPTION_GENERATION_HEADER:
		options->generation_header = value;
		return check_field_name(value, error);
	case OPTION_STATUS_PATH:
		options->status_path = value;
		return check_path(value, error);
	case OPTION_LISTEN:
		options->listen = value;
		return 0;
	case OPTION_KEEPALIVE_TIMEOUT:
		return parse_seconds("keepalive-timeout", value, &options->keepalive_timeout_s,
				     error);
	case OPTION_HEADER_TIMEOUT:
		return parse_seconds("header-timeout", value, &options->header_timeout_s, error);
	case OPTION_DRAIN_TIMEOUT:
		return parse_seconds("drain-timeout", value, &options->drain_timeout_s, error);
	case OPTION_ALLOW_DELAY:
		options->allows_delay = true;
		return 0;
	case OPTION_HELP:
		options->action = OPTIONS_HELP;
		return 0;
	case OPTION_VERSION:
		options->action = OPTIONS_VERSION;
		return 0;
	default:
		return -EINVAL;
	}
}

int options_parse(int argc, char *argv[], struct options *ret_options, struct error *error)
{
	struct options options = {
		.body = "Hello from handover-httpd\n",
		.generation = getenv("HANDOVER_GENERATION"),
		.keepalive_timeout_s = HTTPD_KEEPALIVE_TIMEOUT_S,
		.header_timeout_s = HTTPD_HEADER_TIMEOUT_S,
		.drain_timeout_s = HTTPD_DRAIN_TIMEOUT_S,
	};
	/* It ends up in a header field: anything but a number could end that. */
	if (!options.generation || !isdigit((unsigned char)options.generation[0]) ||
	    strspn(options.generation, "0123456789") != strlen(options.generation) ||
	    strlen(options.generation) > 20)
		options.generation = "0";
	optind = 0; /* also reads a second command line, as tests give it */
	opterr = 0;
	for (;;) {
		int option = getopt_long(argc, argv, ":", OPTIONS, NULL);
		if (option == -1)
			break;
		if (option == '?')
			return error_set(error, -EINVAL, "%s: no such option (see --help)",
					 argv[optind - 1]);
		if (option == ':')
			return error_set(error, -EINVAL, "%s: needs a value", argv[optind - 1]);
		int r = apply(&options, option, optarg, error);
		if (r < 0)
			return r;
	}
	if (optind < argc)
		return error_set(error, -EINVAL, "%s: takes no arguments (see --help)",
				 argv[optind]);
	*ret_options = options;
	return 0;
}
