#include "tests/load/load_options.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "proto/base.h"

enum {
	CLIENTS_CLOSED_LOOP = 64,
	CLIENTS_OPEN_LOOP = 1024,
	CLIENTS_MAX = 1000000,
	SOURCES_DEFAULT = 16,
	USEC_PER_MSEC = 1000,
	USEC_PER_SEC = 1000000,
};

static const char usage[] =
	"load --target tcp:127.0.0.1:PORT|tcp:[::1]:PORT|unix:/PATH|unix:@NAME [OPTION]…\n"
	"\n"
	"Sends HTTP/1.1 requests to a server on this machine and accounts for each of them.\n"
	"\n"
	"  --mode MODE             connection: a connection a request (default)\n"
	"                          keepalive: --clients connections, each used again and again\n"
	"                          idle: --clients connections, a request on each --idle-interval\n"
	"                          slow: a connection a request, sent in pieces over --slow-ms\n"
	"  --rate R                R requests a second, due at fixed times whatever the server does;\n"
	"                          latency counts from when a request was due. 0: closed loop (default)\n"
	"  --clients N             at most N at once (default 64; with --rate 1024)\n"
	"  --requests N            end after N requests\n"
	"  --duration S            end after S seconds\n"
	"  --until-eof             end at EOF on stdin (SIGTERM and SIGINT end it always)\n"
	"  --timeout S             of one request (default 10)\n"
	"  --idle-interval S       (default 1)\n"
	"  --slow-ms MS            (default 200)\n"
	"  --slow-threshold MS     count answers slower than this (default 500)\n"
	"  --path PATH             (default /)\n"
	"  --expect-body TEXT      any other body is wrong\n"
	"  --expect-length N       a body of any other length is wrong\n"
	"  --generation-header H   count answers by the value of this header (default X-Generation)\n"
	"  --sources N             source addresses 127.0.0.1 to 127.0.0.N (default 16)\n"
	"  --progress MS           from the first answer on, a line of JSON so often\n"
	"  --json                  the result as one JSON object\n"
	"\n"
	"Exit status: 0 nothing lost, 1 something lost, 2 wrong use.\n";

static int wrong(const char *name, const char *value, const char *reason)
{
	fprintf(stderr, "load: --%s %s: %s\n", name, value, reason);
	return -EINVAL;
}

static int parse_number(const char *name, const char *value, double min, double max, double *ret)
{
	char *end = NULL;

	errno = 0;
	double number = strtod(value, &end);
	if (errno || end == value || *end || !isfinite(number) || number < min || number > max) {
		fprintf(stderr, "load: --%s %s: not a number from %g to %g\n", name, value, min,
			max);
		return -EINVAL;
	}
	*ret = number;
	return 0;
}

static int parse_usec(const char *name, const char *value, double unit_usec, uint64_t *ret_usec)
{
	double number;
	int r = parse_number(name, value, 0.001, 1e6, &number);

	if (r == 0)
		*ret_usec = (uint64_t)llround(number * unit_usec);
	return r;
}

static int parse_count(const char *name, const char *value, double min, double max, uint64_t *ret)
{
	double number;
	int r = parse_number(name, value, min, max, &number);

	if (r == 0 && number != floor(number))
		r = wrong(name, value, "not a whole number");
	if (r == 0)
		*ret = (uint64_t)number;
	return r;
}

static int parse_mode(const char *value, enum load_mode *ret_mode)
{
	static const char *const names[] = {
		[LOAD_CONNECTION] = "connection",
		[LOAD_KEEPALIVE] = "keepalive",
		[LOAD_IDLE] = "idle",
		[LOAD_SLOW] = "slow",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(value, names[i]) == 0) {
			*ret_mode = (enum load_mode)i;
			return 0;
		}
	}
	return wrong("mode", value, "not one of connection, keepalive, idle, slow");
}

static int parse_target(const char *value, struct target *target)
{
	const char *reason = NULL;
	unsigned int sources = target->sources;
	int r = target_parse(target, value, &reason);

	target->sources = sources;
	return r < 0 ? wrong("target", value, reason) : 0;
}

/* Whatever ends up in the request must not be able to break it. */
static int parse_word(const char *name, const char *value, const char **ret_word)
{
	for (const char *c = value; *c; c++)
		if (*c <= ' ' || *c == 127)
			return wrong(name, value, "blanks and control characters are not allowed");
	if (!*value)
		return wrong(name, value, "is empty");
	*ret_word = value;
	return 0;
}

enum option_name {
	OPT_TARGET = 256,
	OPT_MODE,
	OPT_RATE,
	OPT_CLIENTS,
	OPT_REQUESTS,
	OPT_DURATION,
	OPT_UNTIL_EOF,
	OPT_TIMEOUT,
	OPT_IDLE_INTERVAL,
	OPT_SLOW_MS,
	OPT_SLOW_THRESHOLD,
	OPT_PATH,
	OPT_EXPECT_BODY,
	OPT_EXPECT_LENGTH,
	OPT_GENERATION_HEADER,
	OPT_SOURCES,
	OPT_PROGRESS,
	OPT_JSON,
	OPT_HELP,
};

static const struct option long_options[] = {
	{ "target", required_argument, NULL, OPT_TARGET },
	{ "mode", required_argument, NULL, OPT_MODE },
	{ "rate", required_argument, NULL, OPT_RATE },
	{ "clients", required_argument, NULL, OPT_CLIENTS },
	{ "requests", required_argument, NULL, OPT_REQUESTS },
	{ "duration", required_argument, NULL, OPT_DURATION },
	{ "until-eof", no_argument, NULL, OPT_UNTIL_EOF },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "idle-interval", required_argument, NULL, OPT_IDLE_INTERVAL },
	{ "slow-ms", required_argument, NULL, OPT_SLOW_MS },
	{ "slow-threshold", required_argument, NULL, OPT_SLOW_THRESHOLD },
	{ "path", required_argument, NULL, OPT_PATH },
	{ "expect-body", required_argument, NULL, OPT_EXPECT_BODY },
	{ "expect-length", required_argument, NULL, OPT_EXPECT_LENGTH },
	{ "generation-header", required_argument, NULL, OPT_GENERATION_HEADER },
	{ "sources", required_argument, NULL, OPT_SOURCES },
	{ "progress", required_argument, NULL, OPT_PROGRESS },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static int parse_option(struct load_options *o, int option, const char *name, const char *value)
{
	uint64_t count = 0;
	int r;

	switch ((enum option_name)option) {
	case OPT_TARGET:
		return parse_target(value, &o->target);
	case OPT_MODE:
		return parse_mode(value, &o->mode);
	case OPT_RATE:
		return parse_number(name, value, 0, 1e7, &o->rate_per_sec);
	case OPT_CLIENTS:
		return parse_count(name, value, 1, CLIENTS_MAX, &o->clients);
	case OPT_REQUESTS:
		return parse_count(name, value, 1, 1e15, &o->requests);
	case OPT_DURATION:
		return parse_usec(name, value, USEC_PER_SEC, &o->duration_usec);
	case OPT_UNTIL_EOF:
		o->until_eof = true;
		return 0;
	case OPT_TIMEOUT:
		return parse_usec(name, value, USEC_PER_SEC, &o->timeout_usec);
	case OPT_IDLE_INTERVAL:
		return parse_usec(name, value, USEC_PER_SEC, &o->idle_interval_usec);
	case OPT_SLOW_MS:
		return parse_usec(name, value, USEC_PER_MSEC, &o->slow_usec);
	case OPT_SLOW_THRESHOLD:
		return parse_usec(name, value, USEC_PER_MSEC, &o->slow_threshold_usec);
	case OPT_PATH:
		return *value == '/' ? parse_word(name, value, &o->path)
				     : wrong(name, value, "does not begin with /");
	case OPT_EXPECT_BODY:
		o->expect_body = value;
		return 0;
	case OPT_EXPECT_LENGTH:
		r = parse_count(name, value, 0, 1e15, &count);
		o->expect_length_bytes = (int64_t)count;
		return r;
	case OPT_GENERATION_HEADER:
		return parse_word(name, value, &o->generation_header);
	case OPT_SOURCES:
		r = parse_count(name, value, 1, TARGET_SOURCES_MAX, &count);
		o->target.sources = (unsigned int)count;
		return r;
	case OPT_PROGRESS:
		return parse_usec(name, value, USEC_PER_MSEC, &o->progress_usec);
	case OPT_JSON:
		o->json = true;
		return 0;
	case OPT_HELP:
		fputs(usage, stdout);
		exit(EXIT_SUCCESS);
	}
	fprintf(stderr, "load: try --help\n"); /* getopt has said what is wrong */
	return -EINVAL;
}

static int check(struct load_options *options)
{
	if (options->target.address_bytes == 0) {
		fprintf(stderr, "load: --target is needed (try --help)\n");
		return -EINVAL;
	}
	if (options->mode == LOAD_IDLE && options->rate_per_sec > 0) {
		fprintf(stderr,
			"load: --mode idle has its pace from --idle-interval, not --rate\n");
		return -EINVAL;
	}
	if (options->clients == 0)
		options->clients = options->rate_per_sec > 0 ? CLIENTS_OPEN_LOOP
							     : CLIENTS_CLOSED_LOOP;
	return 0;
}

int load_options_parse(struct load_options *options, int argc, char **argv)
{
	int option, index = 0;

	*options = (struct load_options){
		.target.sources = SOURCES_DEFAULT,
		.requests = UINT64_MAX,
		.duration_usec = UINT64_MAX,
		.timeout_usec = UINT64_C(10) * USEC_PER_SEC,
		.idle_interval_usec = USEC_PER_SEC,
		.slow_usec = UINT64_C(200) * USEC_PER_MSEC,
		.slow_threshold_usec = UINT64_C(500) * USEC_PER_MSEC,
		.path = "/",
		.expect_length_bytes = -1,
		.generation_header = "X-Generation",
	};
	optind = 1;
	while ((option = getopt_long(argc, argv, "", long_options, &index)) != -1) {
		const char *name = option == '?' ? "" : long_options[index].name;
		int r = parse_option(options, option, name, optarg);
		if (r < 0)
			return r;
	}
	if (optind < argc) {
		fprintf(stderr, "load: %s: not an option (try --help)\n", argv[optind]);
		return -EINVAL;
	}
	return check(options);
}
