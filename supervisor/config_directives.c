#include "supervisor/config_directives.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>

#include "supervisor/config_kind.h"
#include "supervisor/config_value.h"

enum { NAME_COMPARED_MAX = 32 }; /* longer than any key, for near names */

static const char *const nonblocking_choices[] = {
	[NONBLOCKING_AUTO] = "auto", [NONBLOCKING_YES] = "yes", [NONBLOCKING_NO] = "no", NULL
};
static const char *const type_choices[] = { [WORKER_TYPE_AUTO] = "auto",
					    [WORKER_TYPE_NATIVE] = "native",
					    [WORKER_TYPE_NOTIFY] = "notify",
					    [WORKER_TYPE_SIMPLE] = "simple",
					    NULL };
static const char *const notify_access_choices[] = {
	[NOTIFY_ACCESS_ALL] = "all", [NOTIFY_ACCESS_MAIN] = "main", NULL
};
static const char *const max_draining_choices[] = {
	[MAX_DRAINING_WAIT] = "wait", [MAX_DRAINING_HURRY] = "hurry", NULL
};

#define ACCOUNT_HELP	   "a name or a number; empty: handoverd's"
#define SPAN_HELP	   "a time span such as 90s, 1min 30s or infinity"
#define AT(section, field) .offset = offsetof(struct config_##section, field)

/* clang-format off */
const struct config_directive config_directives[] = {
	{ "Listener", "ListenStream", "", "PORT, IPV4:PORT, [IPV6]:PORT, /path or @name", true,
	  &kind_addresses, AT(listener, addresses) },
	{ "Listener", "ReusePort", "no", "yes or no", false, &kind_boolean, AT(listener, reuse_port) },
	{ "Listener", "Backlog", "somaxconn", "1 to 2147483647, or somaxconn", false, &kind_backlog,
	  AT(listener, backlog), .min = 1, .max = INT_MAX },
	{ "Listener", "NonBlocking", "auto", "auto, yes or no", false, &kind_choice,
	  AT(listener, nonblocking), .choices = nonblocking_choices },
	{ "Listener", "SocketMode", "0666", "an octal mode up to 0777", false, &kind_mode,
	  AT(listener, socket_mode), .max = 0777 },
	{ "Listener", "SocketUser", "", ACCOUNT_HELP, false, &kind_account, AT(listener, socket_user) },
	{ "Listener", "SocketGroup", "", ACCOUNT_HELP, false, &kind_account, AT(listener, socket_group) },

	{ "Worker", "ExecStart", "", "a command line, quoted as in systemd.service(5)", false,
	  &kind_command, AT(worker, argv) },
	{ "Worker", "Count", "1", "1 to 1024, or auto", false, &kind_count, AT(worker, count),
	  .min = 1, .max = CONFIG_SLOTS_MAX },
	{ "Worker", "Type", "auto", "auto, native, notify or simple", false, &kind_choice,
	  AT(worker, type), .choices = type_choices },
	{ "Worker", "TimeoutStartSec", "90s", SPAN_HELP, false, &kind_timeout,
	  AT(worker, timeout_start_usec) },
	{ "Worker", "TimeoutStopSec", "90s", SPAN_HELP, false, &kind_timeout,
	  AT(worker, timeout_stop_usec) },
	{ "Worker", "SettleSec", "2s", "a time span such as 2s or 500ms; empty: 2s, native workers 0",
	  false, &kind_settle, AT(worker, settle_usec) },
	{ "Worker", "KillSignal", "SIGTERM", "a signal such as SIGTERM, TERM or 15", false, &kind_signal,
	  AT(worker, kill_signal) },
	{ "Worker", "WorkingDirectory", "", "an absolute path, or ~; empty: handoverd's", false,
	  &kind_directory, AT(worker, working_directory) },
	{ "Worker", "Environment", "", "NAME=VALUE …, quoted as in systemd.exec(5)", true,
	  &kind_environment, AT(worker, environment) },
	{ "Worker", "EnvironmentFile", "", "an absolute path, with - before it if it may be missing", true,
	  &kind_environment_file, AT(worker, environment) },
	{ "Worker", "User", "", ACCOUNT_HELP, false, &kind_account, AT(worker, user) },
	{ "Worker", "Group", "", ACCOUNT_HELP, false, &kind_account, AT(worker, group) },
	{ "Worker", "SupplementaryGroups", "", "names or numbers, blanks between; empty: handoverd's",
	  true, &kind_accounts, AT(worker, supplementary_groups) },
	{ "Worker", "UMask", "", "an octal mode up to 0777; empty: handoverd's", false, &kind_umask,
	  .max = 0777 },
	{ "Worker", "LimitNOFILE", "1024:524288", "SOFT:HARD, or one for both; infinity", false,
	  &kind_limit, AT(worker, limit_nofile) },
	{ "Worker", "NotifyAccess", "all", "all or main", false, &kind_choice,
	  AT(worker, notify_access), .choices = notify_access_choices },
	{ "Worker", "MaxDraining", "16", "1 to 1000", false, &kind_unsigned, AT(worker, max_draining),
	  .min = 1, .max = 1000 },
	{ "Worker", "MaxDrainingAction", "wait", "wait or hurry", false, &kind_choice,
	  AT(worker, max_draining_action), .choices = max_draining_choices },
	{ "Worker", "WatchdogSec", "0", "a time span such as 30s; 0: off", false, &kind_watchdog,
	  AT(worker, watchdog_usec) },

	{ "Control", "Socket", "control.sock", "a name in the control directory, or an absolute path",
	  false, &kind_socket, AT(control, socket) },
};
/* clang-format on */
const size_t config_n_directives = ARRAY_SIZE(config_directives);

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Levenshtein's distance without regard to case, by rows. */
static size_t distance(const char *a, const char *b)
{
	size_t row[NAME_COMPARED_MAX + 1], n_b = strlen(b);
	if (strlen(a) > NAME_COMPARED_MAX || n_b > NAME_COMPARED_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= n_b; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= n_b; j++) {
			bool same = tolower((unsigned char)a[i - 1]) ==
				    tolower((unsigned char)b[j - 1]);
			size_t replaced = diagonal + !same;
			diagonal = row[j];
			row[j] = smaller(replaced, smaller(row[j], row[j - 1]) + 1);
		}
	}
	return row[n_b];
}

static bool is_near(size_t apart, const char *name)
{
	return apart <= 2 || (apart != SIZE_MAX && apart * 4 <= strlen(name));
}

static const struct config_directive *nearest(const char *section, const char *key)
{
	const struct config_directive *best = NULL;
	size_t best_apart = SIZE_MAX;
	for (size_t i = 0; i < config_n_directives; i++) {
		const struct config_directive *directive = &config_directives[i];
		size_t apart = distance(key, directive->key);
		bool here = strcmp(directive->section, section) == 0;
		/* In another section only its very name counts. */
		bool counts = here ? is_near(apart, directive->key) : apart == 0;
		if (counts && apart < best_apart) {
			best = directive;
			best_apart = apart;
		}
	}
	return best;
}

int config_find_directive(const char *section, const char *key,
			  const struct config_directive **ret_directive, struct error *error)
{
	for (size_t i = 0; i < config_n_directives; i++) {
		const struct config_directive *directive = &config_directives[i];
		if (strcmp(directive->section, section) == 0 && strcmp(directive->key, key) == 0) {
			*ret_directive = directive;
			return 0;
		}
	}
	const struct config_directive *near = nearest(section, key);
	if (!near)
		return error_set(error, -EINVAL, "unknown key in [%s]", section);
	if (strcmp(near->section, section) != 0)
		return error_set(error, -EINVAL, "unknown key in [%s], %s= belongs to [%s]",
				 section, near->key, near->section);
	return error_set(error, -EINVAL, "unknown key in [%s], did you mean %s=?", section,
			 near->key);
}

int config_find_section(const char *text, const char **ret_section, const char **ret_name,
			struct error *error)
{
	static const char LISTENER[] = "Listener";
	static const char *const sections[] = { "Worker", "Control" };
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		if (strcmp(text, sections[i]) == 0) {
			*ret_section = sections[i];
			*ret_name = NULL;
			return 0;
		}
	}
	size_t length = strcspn(text, " \t");
	if (length == strlen(LISTENER) && strncmp(text, LISTENER, length) == 0) {
		const char *name = text + length + (text[length] != '\0');
		int r = value_check_name(name, error);
		if (r < 0)
			return error_prefix(error, r, "a listener is named [Listener NAME]");
		*ret_section = LISTENER;
		*ret_name = name;
		return 0;
	}
	char first[NAME_COMPARED_MAX + 1] = "";
	if (length < sizeof(first))
		memcpy(first, text, length);
	if (is_near(distance(first, LISTENER), LISTENER))
		return error_set(error, -EINVAL, "unknown section, did you mean [Listener NAME]?");
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		if (is_near(distance(text, sections[i]), sections[i]))
			return error_set(error, -EINVAL, "unknown section, did you mean [%s]?",
					 sections[i]);
	return error_set(error, -EINVAL,
			 "unknown section; there are [Listener NAME], [Worker] and [Control]");
}
