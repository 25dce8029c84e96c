/* handoverd: its command line, and what a process needs before it can supervise. */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "proto/base.h"
#include "supervisor/activation.h"
#include "supervisor/config.h"
#include "supervisor/log.h"
#include "supervisor/spec.h"
#include "supervisor/supervisor.h"

enum { EXIT_STOPPED = 0, EXIT_START_FAILED = 1, EXIT_USAGE = 2, EXIT_CONFIG = 78 };

/* Beyond this many descriptors of its own there is no use for more; epoll(7) does not mind. */
enum { NOFILE_WANTED = 65536 };

static const char usage[] =
	"Usage: handoverd [--name NAME] --config FILE [OPTION…]\n"
	"       handoverd --name NAME --listen LISTENER=ADDRESS [OPTION…] -- PROGRAM [ARGUMENT…]\n"
	"\n"
	"Owns the listening sockets of a service and replaces the program behind them without\n"
	"losing a connection: start, prove, then drain the old.\n"
	"\n"
	"  -n, --name NAME               the service's name (default: FILE's, without .conf)\n"
	"  -c, --config FILE             read FILE and FILE.d/*.conf, see handover.conf(5)\n"
	"  -l, --listen LISTENER=ADDRESS ListenStream= of a listener; may be repeated\n"
	"  -w, --workers N               Count=: how many workers, or `auto`\n"
	"  -o, --option SECTION.KEY=VALUE  any other directive: -o 'Listener http.ReusePort=yes'\n"
	"      --check                   read configuration and program, say what is wrong, exit\n"
	"      --print-config            print what was understood, defaults included, exit\n"
	"  -v, --verbose                 log each step of each worker\n"
	"  -V, --version                 print the version\n"
	"  -h, --help                    print this\n"
	"\n"
	"Reload: `handoverctl reload` or SIGHUP. Stop: SIGTERM; twice: at once. See handoverd(8).\n";

struct command_line {
	const char *name, *config;
	struct config_override *overrides;
	char **buffers; /* what the overrides borrow */
	size_t n_overrides;
	char **argv;
	bool check, print_config, verbose;
};

static void command_line_finish(struct command_line *line)
{
	for (size_t i = 0; i < line->n_overrides; i++)
		free(line->buffers[i]);
	free(line->buffers);
	free(line->overrides);
}

static int usage_error(const char *format, const char *argument)
{
	fprintf(stderr, "handoverd: ");
	fprintf(stderr, format, argument);
	fprintf(stderr, "\nTry `handoverd --help`.\n");
	return -EINVAL;
}

static int add_override(struct command_line *line, struct config_override override, char *buffer)
{
	size_t n = line->n_overrides + 1;
	struct config_override *overrides = reallocarray(line->overrides, n, sizeof(*overrides));
	if (!overrides)
		return -ENOMEM;
	line->overrides = overrides;
	char **buffers = reallocarray(line->buffers, n, sizeof(*buffers));
	if (!buffers)
		return -ENOMEM;
	line->buffers = buffers;
	overrides[line->n_overrides] = override;
	buffers[line->n_overrides] = buffer;
	line->n_overrides = n;
	return 0;
}

/* One buffer holds both what errors call it and the section: "--listen http=…\0Listener http". */
static int add_listen(struct command_line *line, const char *argument)
{
	const char *equals = strchr(argument, '=');
	char *buffer;
	if (!equals || equals == argument || !equals[1])
		return usage_error(
			"--listen %s: a listener's name, `=`, and an address are needed, "
			"such as --listen http=0.0.0.0:8080",
			argument);
	int name_length = (int)(equals - argument);
	int origin_length = asprintf(&buffer, "--listen %s%cListener %.*s", argument, '\0',
				     name_length, argument);
	if (origin_length < 0)
		return -ENOMEM;
	struct config_override override = {
		.origin = buffer,
		.section = buffer + strlen(buffer) + 1,
		.key = "ListenStream",
		.value = equals + 1,
	};
	int r = add_override(line, override, buffer);
	if (r < 0)
		free(buffer);
	return r;
}

static int add_workers(struct command_line *line, const char *argument)
{
	char *buffer;
	if (asprintf(&buffer, "--workers %s", argument) < 0)
		return -ENOMEM;
	struct config_override override = { buffer, "Worker", "Count", argument };
	int r = add_override(line, override, buffer);
	if (r < 0)
		free(buffer);
	return r;
}

static int add_option(struct command_line *line, const char *argument)
{
	struct config_override override;
	struct error error;
	char *buffer;
	int r = config_override_parse(argument, &override, &buffer, &error);
	if (r == -EINVAL)
		return usage_error("%s", error.text);
	if (r == 0) {
		r = add_override(line, override, buffer);
		if (r < 0)
			free(buffer);
	}
	return r;
}

enum { OPTION_CHECK = 256, OPTION_PRINT_CONFIG };

static const struct option options[] = {
	{ "name", required_argument, NULL, 'n' },
	{ "config", required_argument, NULL, 'c' },
	{ "listen", required_argument, NULL, 'l' },
	{ "workers", required_argument, NULL, 'w' },
	{ "option", required_argument, NULL, 'o' },
	{ "check", no_argument, NULL, OPTION_CHECK },
	{ "print-config", no_argument, NULL, OPTION_PRINT_CONFIG },
	{ "verbose", no_argument, NULL, 'v' },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* Returns 0; 1 when all was said (--help); a negative errno after saying what is wrong. */
static int command_line_option(struct command_line *line, int option)
{
	switch (option) {
	case 'n':
		line->name = optarg;
		return 0;
	case 'c':
		line->config = optarg;
		return 0;
	case 'l':
		return add_listen(line, optarg);
	case 'w':
		return add_workers(line, optarg);
	case 'o':
		return add_option(line, optarg);
	case OPTION_CHECK:
		line->check = true;
		return 0;
	case OPTION_PRINT_CONFIG:
		line->print_config = true;
		return 0;
	case 'v':
		line->verbose = true;
		return 0;
	case 'V':
		puts("handoverd " HANDOVER_VERSION);
		return 1;
	case 'h':
		fputs(usage, stdout);
		return 1;
	default:
		fprintf(stderr, "Try `handoverd --help`.\n");
		return -EINVAL;
	}
}

static int command_line_parse(struct command_line *line, int argc, char **argv)
{
	int option;
	while ((option = getopt_long(argc, argv, "+n:c:l:w:o:vVh", options, NULL)) != -1) {
		int r = command_line_option(line, option);
		if (r != 0)
			return r;
	}
	if (optind < argc && strcmp(argv[optind - 1], "--") != 0)
		return usage_error("%s: the program and its arguments go behind `--`",
				   argv[optind]);
	if (optind < argc)
		line->argv = argv + optind;
	if (!line->config && !line->argv && line->n_overrides == 0)
		return usage_error("%s", "what to run? --config FILE, or --name, --listen and "
					 "`-- PROGRAM`");
	return 0;
}

/* Descriptors 0, 1 and 2 must be something, or a socket would get their number. */
static void open_standard_descriptors(void)
{
	int fd;
	do {
		fd = open("/dev/null", O_RDWR); /* inherited on purpose: no O_CLOEXEC */
	} while (fd >= 0 && fd <= STDERR_FILENO);
	fd_close(fd);
}

static void raise_descriptor_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= NOFILE_WANTED)
		return;
	limit.rlim_cur = limit.rlim_max < NOFILE_WANTED ? limit.rlim_max : NOFILE_WANTED;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* What is inherited: with SIGCHLD ignored the kernel would reap the workers, and a blocked signal
 * would ask for nothing. */
static void reset_signals(void)
{
	sigset_t none;
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGCHLD, SIG_DFL);
	(void)signal(SIGPIPE, SIG_IGN);
}

static int check(const struct config *config)
{
	CLEANUP(spec_freep) struct spec *spec = NULL;
	struct error error;
	if (spec_freeze(config, &spec, &error) < 0) {
		fprintf(stderr, "handoverd: %s\n", error.text);
		return EXIT_CONFIG;
	}
	printf("%s: no errors found: %zu listener%s, %u worker%s of %s\n", config->name,
	       config->n_listeners, config->n_listeners == 1 ? "" : "s", config->worker.count,
	       config->worker.count == 1 ? "" : "s", spec->executable.path);
	return EXIT_STOPPED;
}

static int supervise(const struct config_sources *sources, struct config *config, bool verbose)
{
	CLEANUP(activation_freep) struct activation *activation = NULL;
	CLEANUP(supervisor_freep) struct supervisor *supervisor = NULL;
	struct error error;
	log_open(config->name, STDERR_FILENO);
	log_set_level(verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	raise_descriptor_limit();
	reset_signals();
	if (activation_new(&activation, &error) < 0 ||
	    supervisor_new(sources, config, activation, &supervisor, &error) < 0) {
		log_error("%s", error.text);
		config_free(config);
		return EXIT_START_FAILED;
	}
	activation_free(TAKE_PTR(activation));
	return supervisor_run(supervisor);
}

static int run(const struct command_line *line)
{
	CLEANUP(problems_finish) struct problems problems = { 0 };
	struct config *config = NULL;
	struct config_sources sources = {
		.name = line->name,
		.file = line->config,
		.overrides = line->overrides,
		.n_overrides = line->n_overrides,
		.argv = line->argv,
	};
	if (config_load(&sources, &config, &problems) < 0) {
		for (size_t i = 0; i < problems.n_lines; i++)
			fprintf(stderr, "%s\n", problems.lines[i]);
		return EXIT_CONFIG;
	}
	if (!line->print_config && !line->check)
		return supervise(&sources, config, line->verbose);

	int status = EXIT_STOPPED;
	if (line->print_config && (config_print(config, stdout) < 0 || fflush(stdout) != 0))
		status = EXIT_START_FAILED;
	if (line->check)
		status = check(config);
	config_free(config);
	return status;
}

int main(int argc, char **argv)
{
	struct command_line line = { 0 };
	open_standard_descriptors();
	int r = command_line_parse(&line, argc, argv);
	int status = r == 0 ? run(&line) : r > 0 ? EXIT_STOPPED : EXIT_USAGE;
	if (r == -ENOMEM)
		fprintf(stderr, "handoverd: out of memory\n");
	command_line_finish(&line);
	return status;
}
