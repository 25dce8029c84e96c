#include "supervisor/failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/json_text.h"
#include "supervisor/slot.h"
#include "supervisor/worker.h"

static void failure_vinit(struct failure *failure, const char *reason, const char *format,
			  va_list arguments)
{
	*failure = (struct failure){ .reason = reason, .slot = -1 };
	(void)vsnprintf(failure->detail.text, sizeof(failure->detail.text), format, arguments);
}

void failure_init(struct failure *failure, const char *reason, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	failure_vinit(failure, reason, format, arguments);
	va_end(arguments);
}

static void failure_add_worker(struct failure *failure, const struct worker *worker)
{
	failure->slot = (int)worker->slot->number;
	failure->pid = worker->pid;
	failure->last_lines = json_array();
	for (size_t i = 0; i < output_n_kept(&worker->output); i++) {
		const char *line = output_kept(&worker->output, i);
		json_array_append_new(failure->last_lines, json_text(line, strlen(line)));
	}
}

void failure_of_worker(struct failure *failure, const struct worker *worker, const char *reason,
		       const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	failure_vinit(failure, reason, format, arguments);
	va_end(arguments);
	failure_add_worker(failure, worker);
}

void failure_of_exit(struct failure *failure, const struct worker *worker,
		     const struct exit_status *status)
{
	char text[EXIT_STATUS_TEXT_MAX];
	bool left = status->code == 0 && !worker->served_usec;
	failure_of_worker(failure, worker, status->signal ? "killed" : "exited",
			  "worker %u (pid %d) %s%s", worker->slot->number, (int)worker->pid,
			  exit_status_format(status, text),
			  left ? " before it served (it has to stay in the foreground)" : "");
	failure->status = *status;
	failure->has_status = true;
}

void failure_finish(struct failure *failure)
{
	json_decref(failure->last_lines);
	failure->last_lines = NULL;
}

json_t *failure_json(const struct failure *failure, const char *phase, unsigned generation)
{
	char name[SIGNAL_NAME_MAX];
	const char *detail = failure->detail.text;
	json_t *parameters = json_pack(
		"{s:s, s:s, s:o, s:o}", "phase", phase, "reason", failure->reason, "detail",
		json_text(detail, strlen(detail)), "last_lines",
		failure->last_lines ? json_incref(failure->last_lines) : json_array());
	if (generation)
		json_object_set_new(parameters, "generation", json_integer(generation));
	if (failure->slot >= 0)
		json_object_set_new(parameters, "slot", json_integer(failure->slot));
	if (failure->pid)
		json_object_set_new(parameters, "pid", json_integer(failure->pid));
	if (failure->has_status && failure->status.code >= 0)
		json_object_set_new(parameters, "exit_code", json_integer(failure->status.code));
	if (failure->has_status && failure->status.signal)
		json_object_set_new(parameters, "signal",
				    json_string(signal_name(failure->status.signal, name)));
	return parameters;
}
