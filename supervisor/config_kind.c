#include "supervisor/config_kind.h"

#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>

#include "supervisor/config_value.h"
#include "supervisor/config_words.h"

#define APPLY_ARGUMENTS                                                            \
	const struct config_directive *directive, void *object, const char *value, \
		struct error *error
#define PRINT_ARGUMENTS const struct config_directive *directive, const void *object, FILE *out

static void *field_of(const struct config_directive *directive, void *object)
{
	return (char *)object + directive->offset;
}

static const void *const_field_of(const struct config_directive *directive, const void *object)
{
	return (const char *)object + directive->offset;
}

static int boolean_apply(APPLY_ARGUMENTS)
{
	return value_boolean(value, field_of(directive, object), error);
}

static void boolean_print(PRINT_ARGUMENTS)
{
	const bool *field = const_field_of(directive, object);
	fprintf(out, "%s=%s\n", directive->key, *field ? "yes" : "no");
}

const struct config_kind kind_boolean = { boolean_apply, boolean_print, false };

static int unsigned_apply(APPLY_ARGUMENTS)
{
	return value_unsigned(value, directive->min, directive->max, field_of(directive, object),
			      error);
}

static void unsigned_print(PRINT_ARGUMENTS)
{
	const unsigned *field = const_field_of(directive, object);
	fprintf(out, "%s=%u\n", directive->key, *field);
}

const struct config_kind kind_unsigned = { unsigned_apply, unsigned_print, false };

static unsigned cpus_allowed(unsigned max)
{
	cpu_set_t cpus;
	CPU_ZERO(&cpus);
	/* EINVAL: a machine with more than CPU_SETSIZE. */
	int n = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? CPU_COUNT(&cpus) : CPU_SETSIZE;
	return n < 1 ? 1 : (unsigned)n > max ? max : (unsigned)n;
}

static int count_apply(APPLY_ARGUMENTS)
{
	if (strcmp(value, "auto") != 0)
		return unsigned_apply(directive, object, value, error);
	unsigned *field = field_of(directive, object);
	*field = cpus_allowed(directive->max);
	return 0;
}

const struct config_kind kind_count = { count_apply, unsigned_print, false };

static unsigned somaxconn(void)
{
	unsigned value = SOMAXCONN;
	FILE *file = fopen("/proc/sys/net/core/somaxconn", "re");
	if (!file)
		return value;
	if (fscanf(file, "%u", &value) != 1 || value > INT_MAX)
		value = SOMAXCONN;
	(void)fclose(file);
	return value;
}

static int backlog_apply(APPLY_ARGUMENTS)
{
	unsigned backlog = 0;
	int r = 0;
	if (strcmp(value, "somaxconn") == 0)
		backlog = somaxconn();
	else
		r = value_unsigned(value, directive->min, directive->max, &backlog, error);
	if (r < 0)
		return r;
	int *field = field_of(directive, object);
	*field = (int)backlog;
	return 0;
}

static void backlog_print(PRINT_ARGUMENTS)
{
	const int *field = const_field_of(directive, object);
	fprintf(out, "%s=%d\n", directive->key, *field);
}

const struct config_kind kind_backlog = { backlog_apply, backlog_print, false };

/* Enumerations are read and written as the int that they are as wide as. */
_Static_assert(sizeof(enum worker_type) == sizeof(int), "an enum is as wide as an int");

static int choice_apply(APPLY_ARGUMENTS)
{
	return value_choice(value, directive->choices, field_of(directive, object), error);
}

static void choice_print(PRINT_ARGUMENTS)
{
	const int *field = const_field_of(directive, object);
	fprintf(out, "%s=%s\n", directive->key, directive->choices[*field]);
}

const struct config_kind kind_choice = { choice_apply, choice_print, false };

static int mode_apply(APPLY_ARGUMENTS)
{
	return value_mode(value, directive->max, field_of(directive, object), error);
}

static void mode_print(PRINT_ARGUMENTS)
{
	const mode_t *field = const_field_of(directive, object);
	fprintf(out, "%s=%04o\n", directive->key, *field);
}

const struct config_kind kind_mode = { mode_apply, mode_print, false };

static int umask_apply(APPLY_ARGUMENTS)
{
	struct config_worker *worker = object;
	int r = value_mode(value, directive->max, &worker->umask, error);
	if (r < 0)
		return r;
	worker->umask_set = true;
	return 0;
}

static void umask_print(PRINT_ARGUMENTS)
{
	const struct config_worker *worker = object;
	if (worker->umask_set)
		fprintf(out, "%s=%04o\n", directive->key, worker->umask);
	else
		fprintf(out, "%s=\n", directive->key);
}

const struct config_kind kind_umask = { umask_apply, umask_print, false };

static void time_span_print(PRINT_ARGUMENTS)
{
	const uint64_t *field = const_field_of(directive, object);
	char text[VALUE_TEXT_MAX];
	fprintf(out, "%s=%s\n", directive->key, value_format_time_span(*field, text));
}

static int timeout_apply(APPLY_ARGUMENTS)
{
	uint64_t usec = 0, *field = field_of(directive, object);
	int r = value_time_span(value, &usec, error);
	if (r < 0)
		return r;
	*field = usec == 0 ? USEC_INFINITY : usec;
	return 0;
}

const struct config_kind kind_timeout = { timeout_apply, time_span_print, false };

static int settle_apply(APPLY_ARGUMENTS)
{
	struct config_worker *worker = object;
	uint64_t usec = 0;
	(void)directive;
	int r = value_time_span(value, &usec, error);
	if (r < 0)
		return r;
	if (usec == USEC_INFINITY)
		return error_set(error, -EINVAL, "no reload would ever be over");
	worker->settle_usec = usec;
	worker->settle_set = true;
	return 0;
}

static void settle_print(PRINT_ARGUMENTS)
{
	const struct config_worker *worker = object;
	if (worker->settle_set)
		time_span_print(directive, object, out);
	else
		fprintf(out, "# %s for programs, 0 for native workers\n%s=\n",
			directive->default_text, directive->key);
}

const struct config_kind kind_settle = { settle_apply, settle_print, false };

static int watchdog_apply(APPLY_ARGUMENTS)
{
	uint64_t usec = 0, *field = field_of(directive, object);
	int r = value_time_span(value, &usec, error);
	if (r < 0)
		return r;
	*field = usec == USEC_INFINITY ? 0 : usec;
	return 0;
}

const struct config_kind kind_watchdog = { watchdog_apply, time_span_print, false };

static int signal_apply(APPLY_ARGUMENTS)
{
	return value_signal(value, field_of(directive, object), error);
}

static void signal_print(PRINT_ARGUMENTS)
{
	const int *field = const_field_of(directive, object);
	char text[VALUE_TEXT_MAX];
	fprintf(out, "%s=%s\n", directive->key, value_format_signal(*field, text));
}

const struct config_kind kind_signal = { signal_apply, signal_print, false };

static int limit_apply(APPLY_ARGUMENTS)
{
	return value_limit(value, field_of(directive, object), error);
}

static void limit_print(PRINT_ARGUMENTS)
{
	char text[VALUE_TEXT_MAX];
	fprintf(out, "%s=%s\n", directive->key,
		value_format_limit(const_field_of(directive, object), text));
}

const struct config_kind kind_limit = { limit_apply, limit_print, false };

/* Takes @text over into the field. */
static void text_set(const struct config_directive *directive, void *object, char *text)
{
	char **field = field_of(directive, object);
	free(*field);
	*field = text;
}

static void text_print(PRINT_ARGUMENTS)
{
	char *const *field = const_field_of(directive, object);
	fprintf(out, "%s=", directive->key);
	if (*field)
		percent_print(*field, out);
	fputc('\n', out);
}

static int account_apply(APPLY_ARGUMENTS)
{
	int r = value_check_account(value, error);
	if (r < 0)
		return r;
	char *text = strdup(value);
	if (!text)
		return -ENOMEM;
	text_set(directive, object, text);
	return 0;
}

const struct config_kind kind_account = { account_apply, text_print, false };

static int directory_apply(APPLY_ARGUMENTS)
{
	CLEANUP(freep) char *path = NULL;
	int r = percent_expand(value, &path, error);
	if (r < 0)
		return r;
	if (path[0] != '/' && strcmp(path, "~") != 0)
		return error_set(error, -EINVAL, "not an absolute path");
	if (strlen(path) >= PATH_MAX)
		return error_set(error, -EINVAL, "too long");
	text_set(directive, object, TAKE_PTR(path));
	return 0;
}

const struct config_kind kind_directory = { directory_apply, text_print, false };

static int socket_apply(APPLY_ARGUMENTS)
{
	CLEANUP(freep) char *path = NULL;
	int r = percent_expand(value, &path, error);
	if (r < 0)
		return r;
	if (path[0] != '/' && strchr(path, '/'))
		return error_set(error, -EINVAL, "a path, but not an absolute one");
	if (strcmp(path, ".") == 0 || strcmp(path, "..") == 0 || path[0] == '@' ||
	    path[strlen(path) - 1] == '/')
		return error_set(error, -EINVAL, "no name of a file");
	if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return error_set(error, -EINVAL, "too long");
	text_set(directive, object, TAKE_PTR(path));
	return 0;
}

const struct config_kind kind_socket = { socket_apply, text_print, false };
