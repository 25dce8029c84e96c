/* handoverctl: the operator's and the deploy script's side of a supervisor. See handoverctl(1). */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/error.h"
#include "supervisor/ctl_command.h"
#include "supervisor/ctl_text.h"

/* Options that not every command takes. */
enum { TAKES_WAIT = 1, TAKES_NO_BLOCK = 2, TAKES_TIMEOUT = 4, TAKES_NOW = 8 };

enum option_code {
	OPTION_SOCKET = 256,
	OPTION_JSON,
	OPTION_WAIT,
	OPTION_NO_BLOCK,
	OPTION_TIMEOUT,
	OPTION_NOW,
	OPTION_VERSION,
};

static const struct command {
	const char *name;
	enum exit_status (*run)(const struct request *request);
	unsigned takes;
	const char *arguments;
	const char *summary;
	const char *help;
} commands[] = {
	{ "status", command_status, 0, "", "is all well, what serves, what changed last and why",
	  "Exits with 0 whenever the supervisor answered, also when it is not well: scripts read\n"
	  "slots_serving and slots from --json.\n" },
	{ "workers", command_workers, 0, "", "a line for each worker process", "" },
	{ "listeners", command_listeners, 0, "", "a line for each socket: its queue and its slot",
	  "" },
	{ "reload", command_reload, TAKES_WAIT | TAKES_NO_BLOCK | TAKES_TIMEOUT,
	  " [--wait] [--no-block] [--timeout TIME]",
	  "start a new generation and drain the present one",
	  "Reads the configuration anew. Ends when the new generation serves alone; the present\n"
	  "one serves until then, and goes on serving if the new one fails.\n\n"
	  "  --wait          queue behind a reload that is under way, instead of failing\n"
	  "  --no-block      return as soon as the reload has been accepted\n"
	  "  --timeout TIME  abort the reload after this time: 30, 500ms, 2min\n" },
	{ "abort", command_abort, 0, "", "abort the reload under way; the present workers serve on",
	  "" },
	{ "stop", command_stop, TAKES_NOW, " [--now]", "drain all workers and end the supervisor",
	  "  --now           kill the workers instead of draining them\n" },
	{ "ping", command_ping, 0, "", "does the supervisor answer, and how fast", "" },
	{ "list", command_list, 0, "", "the supervisors that run here for this user", "" },
};

static const char common_options[] =
	"  -n, --name NAME  which supervisor; not needed where one runs alone\n"
	"  --socket PATH    its control socket, wherever it is\n"
	"  --json           print the replies, one JSON object a line\n"
	"  -h, --help       this, or with a command that command's help\n"
	"  --version        print the version\n";

static void print_help(void)
{
	puts("Usage: handoverctl [OPTIONS] COMMAND\n\n"
	     "Asks a running handoverd supervisor, or tells it what to do.\n\nCommands:");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-10s  %s\n", commands[i].name, commands[i].summary);
	printf("\nOptions:\n%s\n"
	       "Exit status: 0 done, 1 the operation failed, 2 wrong use, 3 no such supervisor,\n"
	       "4 not permitted. See handoverctl(1).\n",
	       common_options);
}

static void print_command_help(const struct command *command)
{
	printf("Usage: handoverctl [OPTIONS] %s%s\n\n%s.\n\n%s%sOptions:\n%s", command->name,
	       command->arguments, command->summary, command->help, *command->help ? "\n" : "",
	       common_options);
}

static enum exit_status wrong_use(const char *format, ...) PRINTF(1, 2);
static enum exit_status wrong_use(const char *format, ...)
{
	struct error error;
	va_list arguments;
	va_start(arguments, format);
	(void)vsnprintf(error.text, sizeof(error.text), format, arguments);
	va_end(arguments);
	(void)fputs("handoverctl: ", stderr);
	(void)text_print(stderr, error.text, SIZE_MAX);
	(void)fputs(" (see handoverctl --help)\n", stderr);
	return EXIT_USAGE;
}

static const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(name, commands[i].name))
			return &commands[i];
	return NULL;
}

/* What the command line says, before it is known for which command. */
struct arguments {
	struct request request;
	bool help, version;
	unsigned taken; /* TAKES_* */
	const char *command;
};

static enum exit_status read_timeout(const char *text, uint64_t *ret_usec)
{
	uint64_t usec;
	int r = text_parse_span(text, &usec);
	if (r == 0 && usec > 0) {
		*ret_usec = usec;
		return EXIT_DONE;
	}
	return wrong_use("--timeout %s: not a time span above 0, such as 30, 500ms or 2min", text);
}

static enum exit_status read_option(int code, struct arguments *arguments)
{
	struct request *request = &arguments->request;

	switch (code) {
	case 'n':
		request->name = optarg;
		return *optarg ? EXIT_DONE : wrong_use("-n: the name is empty");
	case OPTION_SOCKET:
		request->socket_path = optarg;
		return *optarg ? EXIT_DONE : wrong_use("--socket: the path is empty");
	case OPTION_JSON:
		request->json = true;
		return EXIT_DONE;
	case OPTION_WAIT:
		request->wait = true;
		arguments->taken |= TAKES_WAIT;
		return EXIT_DONE;
	case OPTION_NO_BLOCK:
		request->no_block = true;
		arguments->taken |= TAKES_NO_BLOCK;
		return EXIT_DONE;
	case OPTION_TIMEOUT:
		arguments->taken |= TAKES_TIMEOUT;
		return read_timeout(optarg, &request->timeout_usec);
	case OPTION_NOW:
		request->now = true;
		arguments->taken |= TAKES_NOW;
		return EXIT_DONE;
	case OPTION_VERSION:
		arguments->version = true;
		return EXIT_DONE;
	case 'h':
		arguments->help = true;
		return EXIT_DONE;
	default: /* getopt_long(3) has said what is wrong */
		return EXIT_USAGE;
	}
}

static enum exit_status read_arguments(int argc, char **argv, struct arguments *arguments)
{
	static const struct option options[] = {
		{ "name", required_argument, NULL, 'n' },
		{ "socket", required_argument, NULL, OPTION_SOCKET },
		{ "json", no_argument, NULL, OPTION_JSON },
		{ "wait", no_argument, NULL, OPTION_WAIT },
		{ "no-block", no_argument, NULL, OPTION_NO_BLOCK },
		{ "timeout", required_argument, NULL, OPTION_TIMEOUT },
		{ "now", no_argument, NULL, OPTION_NOW },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, OPTION_VERSION },
		{ NULL, 0, NULL, 0 },
	};
	int code;
	while ((code = getopt_long(argc, argv, "n:h", options, NULL)) != -1) {
		enum exit_status status = read_option(code, arguments);
		if (status != EXIT_DONE)
			return status;
	}
	if (optind < argc)
		arguments->command = argv[optind++];
	if (optind < argc)
		return wrong_use("one command at a time: \"%s\" after \"%s\"", argv[optind],
				 arguments->command);
	return EXIT_DONE;
}

static enum exit_status run(const struct arguments *arguments)
{
	const struct request *request = &arguments->request;

	if (arguments->version) {
		puts("handoverctl " HANDOVER_VERSION);
		return EXIT_DONE;
	}
	if (!arguments->command) {
		if (!arguments->help)
			return wrong_use("no command given");
		print_help();
		return EXIT_DONE;
	}
	const struct command *command = command_find(arguments->command);
	if (!command)
		return wrong_use("\"%s\" is no command", arguments->command);
	if (arguments->help) {
		print_command_help(command);
		return EXIT_DONE;
	}
	if (arguments->taken & ~command->takes)
		return wrong_use("`%s` takes no --wait, --no-block, --timeout or --now but:%s",
				 command->name,
				 *command->arguments ? command->arguments : " none of these");
	if (request->name && request->socket_path)
		return wrong_use("-n and --socket both say which supervisor: one is enough");
	return command->run(request);
}

/* The control socket must not become a standard stream that was closed: what we print would go to
 * the supervisor. Opened so that using it fails, as it would have. */
static bool occupy_standard_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		int useless = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;
		int taken = fcntl(fd, F_GETFD) < 0 ? open("/dev/null", useless) : fd;
		if (taken < 0)
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct arguments arguments = { 0 };

	if (!occupy_standard_streams())
		return EXIT_FAILED;
	/* A reader that went away is a failed write, reported like a full disk. */
	(void)signal(SIGPIPE, SIG_IGN);
	enum exit_status status = read_arguments(argc, argv, &arguments);
	if (status == EXIT_DONE)
		status = run(&arguments);
	if ((fflush(stdout) != 0 || ferror(stdout)) && status == EXIT_DONE) {
		(void)fputs("handoverctl: cannot write to standard output: its reader has gone, "
			    "or the disk is full\n",
			    stderr);
		status = EXIT_FAILED;
	}
	return (int)status;
}
