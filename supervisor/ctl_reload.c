#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "supervisor/clock.h"
#include "supervisor/ctl_command.h"
#include "supervisor/ctl_progress.h"
#include "supervisor/ctl_screen.h"
#include "supervisor/ctl_session.h"

/* A supervisor that was given a time to abort by says so itself; this much later it is hung. */
#define TIMEOUT_GRACE_USEC UINT64_C(5000000)

/* What a Ctrl-C says, under way and while queued. Set before the handler is installed and never
 * again: a signal handler has nothing but globals to read. Empty with --json. */
static char under_way_text[ERROR_TEXT_MAX], queued_text[ERROR_TEXT_MAX];
static volatile sig_atomic_t is_queued;

static void interrupted(int signal_number)
{
	(void)signal_number;
	/* Every step was flushed: leaving at once loses no output. */
	const char *text = is_queued ? queued_text : under_way_text;
	ssize_t written = write(STDERR_FILENO, text, strlen(text));
	(void)written;
	_exit(EXIT_INTERRUPTED);
}

static void watch_interrupt(const struct session *session)
{
	const struct request *request = session->request;
	const char *option = request->name ? " -n " : request->socket_path ? " --socket " : "";
	const char *value = request->name	   ? request->name
			    : request->socket_path ? request->socket_path
						   : "";
	if (!request->json) {
		(void)snprintf(
			under_way_text, sizeof(under_way_text),
			"\nhandoverctl: the reload goes on without us; "
			"`handoverctl%s%s status` shows it, `handoverctl%s%s abort` ends it\n",
			option, value, option, value);
		(void)snprintf(
			queued_text, sizeof(queued_text),
			"\nhandoverctl: the reload stays queued and will run without us; until then "
			"`handoverctl%s%s status` shows the one before it, and `handoverctl%s%s "
			"abort` would end that one\n",
			option, value, option, value);
	}
	struct sigaction action = { .sa_handler = interrupted };
	(void)sigaction(SIGINT, &action, NULL);
}

/* How long to wait for the next step: for ever, unless a timeout was given. */
static int wait_ms(const struct request *request, uint64_t called_usec)
{
	if (!request->timeout_usec)
		return -1;
	uint64_t limit_usec = called_usec + request->timeout_usec + TIMEOUT_GRACE_USEC;
	uint64_t now_usec = clock_monotonic_usec();
	uint64_t left_ms = now_usec < limit_usec ? (limit_usec - now_usec) / 1000 : 0;
	return left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}

static bool on_terminal(void)
{
	const char *terminal = getenv("TERM");
	return isatty(STDOUT_FILENO) && terminal && strcmp(terminal, "dumb") != 0;
}

static void show_step(struct progress *progress, json_t *step)
{
	struct winsize size;
	if (progress->live && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0) {
		progress->rows = size.ws_row;
		progress->columns = size.ws_col;
	}
	progress_step(progress, step);
}

static enum exit_status follow(struct session *session, struct progress *progress)
{
	const struct request *request = session->request;
	uint64_t called_usec = clock_monotonic_usec();
	bool more = true;

	while (more) {
		CLEANUP(varlink_reply_finish) struct varlink_reply reply = { 0 };
		enum exit_status status = session_receive(session, wait_ms(request, called_usec),
							  &reply);
		if (status != EXIT_DONE)
			return status;
		is_queued = !strcmp(reply_string(reply.parameters, "step", ""), "queued");
		if (request->json)
			session_print_json(reply.parameters);
		else
			show_step(progress, reply.parameters);
		more = reply.continues && !request->no_block;
	}
	return EXIT_DONE;
}

static json_t *reload_parameters(const struct request *request)
{
	json_t *parameters = json_object();
	int r = parameters ? 0 : -1;
	if (r == 0 && request->wait)
		r = json_object_set_new(parameters, "wait", json_true());
	if (r == 0 && request->timeout_usec)
		r = json_object_set_new(parameters, "timeout_usec",
					json_integer((json_int_t)request->timeout_usec));
	if (r == 0)
		return parameters;
	json_decref(parameters);
	return NULL;
}

enum exit_status command_reload(const struct request *request)
{
	CLEANUP(session_finish) struct session session;
	CLEANUP(progress_finish) struct progress progress;
	CLEANUP(json_decrefp) json_t *parameters = reload_parameters(request);

	progress_init(&progress, stdout, !request->no_block && on_terminal());
	enum exit_status status = session_open(&session, request);
	if (status != EXIT_DONE)
		return status;
	if (!parameters)
		return session_fail(request, EXIT_FAILED, "io.handover.ctl.Failed", "%s",
				    strerror(ENOMEM));
	status = session_call(&session, "io.handover.Control.Reload", parameters, true);
	if (status != EXIT_DONE)
		return status;
	watch_interrupt(&session);
	return follow(&session, &progress);
}
