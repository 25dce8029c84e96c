#include "supervisor/ctl_error.h"

#include <inttypes.h>
#include <string.h>

#include "proto/base.h"
#include "supervisor/ctl_screen.h"
#include "supervisor/ctl_text.h"

static void put(FILE *out, const char *text)
{
	(void)text_print(out, text, SIZE_MAX);
}

/* Each string of an array on a line of its own. */
static void put_lines(FILE *out, const char *indent, json_t *lines)
{
	size_t i;
	json_t *line;
	json_array_foreach(lines, i, line)
	{
		(void)fputs(indent, out);
		put(out, json_is_string(line) ? json_string_value(line) : "?");
		(void)fputc('\n', out);
	}
}

static void print_reload_failed(FILE *out, json_t *parameters)
{
	int64_t generation = reply_integer(parameters, "generation", 0);
	int64_t slot = reply_integer(parameters, "slot", -1);
	int64_t pid = reply_integer(parameters, "pid", 0);
	int64_t exit_code = reply_integer(parameters, "exit_code", -1);
	const char *signal = reply_string(parameters, "signal", NULL);
	json_t *last_lines = json_object_get(parameters, "last_lines");

	(void)fputs("reload failed", out);
	if (generation > 0)
		(void)fprintf(out, ", generation %" PRId64 " does not serve", generation);
	(void)fputs(": ", out);
	put(out, reply_string(parameters, "detail", "no detail given"));
	(void)fputs("\n  phase   ", out);
	put(out, reply_string(parameters, "phase", "unknown"));
	(void)fputs("\n  reason  ", out);
	put(out, reply_string(parameters, "reason", "unknown"));
	if (exit_code >= 0)
		(void)fprintf(out, ", exit code %" PRId64, exit_code);
	if (signal) {
		(void)fputs(", ", out);
		put(out, signal);
	}
	(void)fputc('\n', out);
	if (slot >= 0)
		(void)fprintf(out, "  worker  slot %" PRId64, slot);
	if (slot >= 0 && pid > 0)
		(void)fprintf(out, ", pid %" PRId64, pid);
	if (slot >= 0)
		(void)fputc('\n', out);
	if (json_array_size(last_lines) > 0) {
		(void)fputs("  its last lines:\n", out);
		put_lines(out, "    ", last_lines);
	}
	(void)fputs("The workers from before serve on.\n", out);
}

static void print_configuration(FILE *out, json_t *parameters)
{
	(void)fputs("the configuration has errors; nothing was changed:\n", out);
	put_lines(out, "  ", json_object_get(parameters, "problems"));
}

static void print_busy(FILE *out, json_t *parameters)
{
	(void)fprintf(out, "another transition is under way, to generation %" PRId64 " (",
		      reply_integer(parameters, "generation", 0));
	put(out, reply_string(parameters, "phase", "unknown"));
	(void)fputs("): queue behind it with `handoverctl reload --wait`, or end it with "
		    "`handoverctl abort`\n",
		    out);
}

static void print_refused(FILE *out, json_t *parameters)
{
	(void)fputs("refused: ", out);
	put(out, reply_string(parameters, "reason", "no reason given"));
	(void)fputc('\n', out);
}

static void print_not_permitted(FILE *out, json_t *parameters)
{
	(void)parameters;
	(void)fputs(
		"not permitted: only root and the user that the supervisor runs as may ask this\n",
		out);
}

static void print_other_version(FILE *out, json_t *parameters)
{
	const char *what = reply_string(parameters, "method", NULL);
	what = what ? what : reply_string(parameters, "parameter", NULL);
	what = what ? what : reply_string(parameters, "interface", "this");
	(void)fputs("the supervisor does not know ", out);
	put(out, what);
	(void)fputs(": it is of another version than handoverctl (see `handoverctl status`)\n",
		    out);
}

static const struct {
	const char *name;
	enum exit_status status;
	void (*print)(FILE *out, json_t *parameters);
} errors[] = {
	{ "io.handover.Control.ReloadFailed", EXIT_FAILED, print_reload_failed },
	{ "io.handover.Control.ConfigurationInvalid", EXIT_FAILED, print_configuration },
	{ "io.handover.Control.Busy", EXIT_FAILED, print_busy },
	{ "io.handover.Control.Refused", EXIT_FAILED, print_refused },
	{ "org.varlink.service.PermissionDenied", EXIT_NOT_PERMITTED, print_not_permitted },
	{ "org.varlink.service.InterfaceNotFound", EXIT_FAILED, print_other_version },
	{ "org.varlink.service.MethodNotFound", EXIT_FAILED, print_other_version },
	{ "org.varlink.service.MethodNotImplemented", EXIT_FAILED, print_other_version },
	{ "org.varlink.service.InvalidParameter", EXIT_FAILED, print_other_version },
};

enum exit_status error_reply_status(const char *error)
{
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
		if (!strcmp(error, errors[i].name))
			return errors[i].status;
	return EXIT_FAILED;
}

void error_reply_print(FILE *out, const char *error, json_t *parameters)
{
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		if (!strcmp(error, errors[i].name)) {
			errors[i].print(out, parameters);
			return;
		}
	}
	CLEANUP(freep) char *text = json_dumps(parameters, JSON_COMPACT);
	(void)fputs("the supervisor answered ", out);
	put(out, error);
	(void)fputc(' ', out);
	put(out, text ? text : "");
	(void)fputc('\n', out);
}
