#include "supervisor/ctl_command.h"

#include <stdio.h>
#include <string.h>

#include "supervisor/clock.h"
#include "supervisor/ctl_screen.h"
#include "supervisor/ctl_session.h"
#include "supervisor/ctl_table.h"
#include "supervisor/ctl_text.h"

/* `list` asks every supervisor; one that hangs must not hide the others for long. */
enum { LIST_TIMEOUT_MS = 2000 };

/* https://no-color.org */
static bool wants_colour(void)
{
	const char *terminal = getenv("TERM"), *refused = getenv("NO_COLOR");
	return isatty(STDOUT_FILENO) && terminal && strcmp(terminal, "dumb") != 0 &&
	       !(refused && *refused);
}

static struct screen screen_now(void)
{
	return (struct screen){
		.out = stdout,
		.colour = wants_colour(),
		.now_usec = clock_realtime_usec(),
	};
}

/* A call whose answer is shown by @show. */
static enum exit_status ask_and_show(const struct request *request, const char *method,
				     int (*show)(const struct screen *screen, json_t *reply))
{
	CLEANUP(session_finish) struct session session;
	CLEANUP(varlink_reply_finish) struct varlink_reply reply = { 0 };

	enum exit_status status = session_open(&session, request);
	if (status == EXIT_DONE)
		status = session_ask(&session, method, NULL, &reply);
	if (status != EXIT_DONE || request->json)
		return status;
	struct screen screen = screen_now();
	int r = show(&screen, reply.parameters);
	return r < 0 ? session_fail(request, EXIT_FAILED, "io.handover.ctl.Failed", "%s",
				    strerror(-r))
		     : EXIT_DONE;
}

static int show_status(const struct screen *screen, json_t *reply)
{
	screen_status(screen, reply);
	return 0;
}

enum exit_status command_status(const struct request *request)
{
	return ask_and_show(request, "io.handover.Control.Status", show_status);
}

enum exit_status command_workers(const struct request *request)
{
	return ask_and_show(request, "io.handover.Control.Workers", screen_workers);
}

enum exit_status command_listeners(const struct request *request)
{
	return ask_and_show(request, "io.handover.Control.Listeners", screen_listeners);
}

enum exit_status command_abort(const struct request *request)
{
	CLEANUP(session_finish) struct session session;
	CLEANUP(varlink_reply_finish) struct varlink_reply reply = { 0 };

	enum exit_status status = session_open(&session, request);
	if (status == EXIT_DONE)
		status = session_ask(&session, "io.handover.Control.Abort", NULL, &reply);
	if (status == EXIT_DONE && !request->json)
		printf("generation %lld aborted; the workers from before serve on\n",
		       (long long)reply_integer(reply.parameters, "generation", 0));
	return status;
}

enum exit_status command_stop(const struct request *request)
{
	CLEANUP(session_finish) struct session session;
	CLEANUP(varlink_reply_finish) struct varlink_reply reply = { 0 };
	CLEANUP(json_decrefp) json_t *parameters = NULL;

	enum exit_status status = session_open(&session, request);
	if (status != EXIT_DONE)
		return status;
	if (request->now)
		parameters = json_pack("{s:b}", "now", true);
	status = session_ask(&session, "io.handover.Control.Stop", parameters, &reply);
	if (status == EXIT_DONE && !request->json)
		puts(request->now ? "stopping: the workers are killed"
				  : "stopping: the workers drain, then the supervisor ends");
	return status;
}

static void print_ping(const char *name, const char *elapsed)
{
	(void)text_print(stdout, name, SIZE_MAX);
	printf(" answers after %s\n", elapsed);
}

enum exit_status command_ping(const struct request *request)
{
	CLEANUP(session_finish) struct session session;
	CLEANUP(varlink_reply_finish) struct varlink_reply reply = { 0 };
	char text[DURATION_TEXT_MAX];

	enum exit_status status = session_open(&session, request);
	if (status != EXIT_DONE)
		return status;
	uint64_t asked_usec = clock_monotonic_usec();
	status = session_ask(&session, "io.handover.Control.Ping", NULL, &reply);
	if (status == EXIT_DONE && !request->json)
		print_ping(session.name,
			   text_elapsed(clock_monotonic_usec(), (int64_t)asked_usec, text));
	return status;
}

/* The verdict of one instance, or why there is none. The caller frees. */
static char *verdict_of(const struct instance *instance)
{
	CLEANUP(varlink_client_freep) struct varlink_client *client = NULL;
	CLEANUP(varlink_reply_finish) struct varlink_reply reply = { 0 };
	struct error error = { 0 };

	int r = varlink_client_connect(instance->socket_path, &client, &error);
	if (r == -EACCES || r == -EPERM)
		return strdup("not permitted to ask");
	if (r == 0)
		r = varlink_client_call(client, "io.handover.Control.Status", NULL, false);
	if (r == 0)
		r = varlink_client_receive(client, LIST_TIMEOUT_MS, &reply);
	if (r < 0)
		return strdup("does not answer");
	if (reply.error)
		return strdup(error_reply_status(reply.error) == EXIT_NOT_PERMITTED
				      ? "not permitted to ask"
				      : "unknown");

	char *text = NULL;
	size_t size;
	struct screen screen = { .out = open_memstream(&text, &size),
				 .now_usec = clock_realtime_usec() };
	if (!screen.out)
		return NULL;
	screen_verdict(&screen, reply.parameters);
	(void)fclose(screen.out);
	return text;
}

static int list_table(const struct instances *instances)
{
	static const struct table_column columns[] = {
		{ "NAME", false },
		{ "STATE", false },
		{ "SOCKET", false },
	};
	CLEANUP(table_finish) struct table table;

	table_init(&table, columns, ARRAY_SIZE(columns));
	for (size_t i = 0; i < instances->n_items; i++) {
		CLEANUP(freep) char *verdict = verdict_of(&instances->items[i]);
		table_add(&table, "%s", instances->items[i].name);
		table_add(&table, "%s", verdict ? verdict : "unknown");
		table_add(&table, "%s", instances->items[i].socket_path);
	}
	return table_print(&table, stdout);
}

enum exit_status command_list(const struct request *request)
{
	CLEANUP(instances_finish) struct instances instances = { 0 };

	int r = instances_find(&instances);
	for (size_t i = 0; r == 0 && request->json && i < instances.n_items; i++) {
		CLEANUP(json_decrefp)
		json_t *line = json_pack("{s:s, s:s}", "name", instances.items[i].name, "socket",
					 instances.items[i].socket_path);
		if (line)
			session_print_json(line);
	}
	if (r == 0 && !request->json && instances.n_items == 0)
		puts("no supervisor runs here for this user");
	if (r == 0 && !request->json && instances.n_items > 0)
		r = list_table(&instances);
	return r < 0 ? session_fail(request, EXIT_FAILED, "io.handover.ctl.Failed", "%s",
				    strerror(-r))
		     : EXIT_DONE;
}
