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
