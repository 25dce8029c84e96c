#include "supervisor/spec.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/identity.h"

const char *const spec_private_variables[] = {
	"LISTEN_*",	     "NOTIFY_SOCKET",  "WATCHDOG_*",
	"RUNTIME_DIRECTORY", "JOURNAL_STREAM", "INVOCATION_ID",
	"MAINPID",	     "HANDOVER_*",     NULL,
};

static bool is_private(const char *variable)
{
	size_t length = strcspn(variable, "=");
	for (size_t i = 0; spec_private_variables[i]; i++) {
		const char *name = spec_private_variables[i];
		size_t n = strlen(name);
		if (name[n - 1] == '*' ? strncmp(variable, name, n - 1) == 0
				       : n == length && strncmp(variable, name, n) == 0)
			return true;
	}
	return false;
}

static void strings_free(char **strings)
{
	for (size_t i = 0; strings && strings[i]; i++)
		free(strings[i]);
	free(strings);
}

static size_t strings_count(char *const *strings)
{
	size_t n = 0;
	while (strings && strings[n])
		n++;
	return n;
}

static int strings_copy(char *const *strings, char ***ret_copy)
{
	size_t n = strings_count(strings);
	char **copy = calloc(n + 1, sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (!(copy[i] = strdup(strings[i]))) {
			strings_free(copy);
			return -ENOMEM;
		}
	*ret_copy = copy;
	return 0;
}

/* The variable in @environment that has the name of @variable, up to its '='. */
static char **environment_find(char **environment, const char *variable)
{
	size_t length = strcspn(variable, "=");
	for (; *environment; environment++)
		if (strncmp(*environment, variable, length) == 0 && (*environment)[length] == '=')
			return environment;
	return NULL;
}

/* @environment has room. Takes @variable over, NULL being a lack of memory. */
static int environment_put(char **environment, char *variable)
{
	if (!variable)
		return -ENOMEM;
	char **place = environment_find(environment, variable);
	if (place)
		free(*place);
	else
		place = environment + strings_count(environment);
	*place = variable;
	return 0;
}

static int environment_put_user(char **environment, const struct identity *identity)
{
	const struct {
		const char *name, *value;
	} variables[] = { { "HOME", identity->home },
			  { "USER", identity->user },
			  { "LOGNAME", identity->user },
			  { "SHELL", identity->shell } };
	for (size_t i = 0; i < ARRAY_SIZE(variables); i++) {
		char *variable = NULL;
		if (!variables[i].value || !*variables[i].value)
			continue;
		if (asprintf(&variable, "%s=%s", variables[i].name, variables[i].value) < 0)
			variable = NULL;
		int r = environment_put(environment, variable);
		if (r < 0)
			return r;
	}
	return 0;
}

enum { USER_VARIABLES = 4 };

static int freeze_environment(struct spec *spec, const struct config_worker *worker,
			      const struct identity *identity)
{
	size_t room = strings_count(environ) + USER_VARIABLES + strings_count(worker->environment) +
		      1;
	spec->environment = calloc(room, sizeof(*spec->environment));
	int r = spec->environment ? 0 : -ENOMEM;
	for (char **own = environ; r == 0 && own && *own; own++)
		if (strchr(*own, '=') && !is_private(*own))
			r = environment_put(spec->environment, strdup(*own));
	if (r == 0)
		r = environment_put_user(spec->environment, identity);
	for (char **said = worker->environment; r == 0 && said && *said; said++)
		r = environment_put(spec->environment, strdup(*said));
	return r;
}

/* "~" and "~/…" are the home of User=, or our own. */
static int directory_as_written(const char *written, const struct identity *identity,
				char path[static PATH_MAX], struct error *error)
{
	int n;
	if (!written) {
		n = snprintf(path, PATH_MAX, ".");
	} else if (written[0] == '~' && (written[1] == '/' || written[1] == '\0')) {
		if (!identity->home)
			return error_set(error, -ENOENT,
					 "WorkingDirectory=%s: no home directory is known for uid "
					 "%ld",
					 written, (long)identity->uid);
		n = snprintf(path, PATH_MAX, "%s%s", identity->home, written + 1);
	} else {
		n = snprintf(path, PATH_MAX, "%s", written);
	}
	if (n < 0 || n >= PATH_MAX)
		return error_set(error, -ENAMETOOLONG, "WorkingDirectory=%s: path is too long",
				 written);
	return 0;
}

static int freeze_directory(struct spec *spec, const char *written, const struct identity *identity,
			    struct error *error)
{
	char path[PATH_MAX], link[32], resolved[PATH_MAX];
	int r = directory_as_written(written, identity, path, error);
	if (r < 0)
		return r;
	spec->directory_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (spec->directory_fd < 0)
		return error_set(error, -errno, "WorkingDirectory=%s: %s", path, strerror(errno));
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", spec->directory_fd);
	ssize_t n = readlink(link, resolved, sizeof(resolved) - 1);
	if (n < 0)
		return error_set(error, -errno, "WorkingDirectory=%s: %s", path, strerror(errno));
	resolved[n] = '\0';
	spec->directory = strdup(resolved);
	return spec->directory ? 0 : -ENOMEM;
}

static int freeze_identity(struct spec *spec, const struct config_worker *worker,
			   struct identity *ret_identity, struct error *error)
{
	int r = identity_resolve(worker->user, worker->group, worker->supplementary_groups,
				 ret_identity, error);
	if (r < 0)
		return r;
	spec->set_identity = ret_identity->differs;
	spec->uid = ret_identity->uid;
	spec->gid = ret_identity->gid;
	spec->n_groups = ret_identity->n_groups;
	spec->groups = TAKE_PTR(ret_identity->groups);
	return 0;
}

static void copy_plain(struct spec *spec, const struct config_worker *worker)
{
	spec->umask_set = worker->umask_set;
	spec->umask = worker->umask;
	spec->limit_nofile = worker->limit_nofile;
	spec->type = worker->type;
	spec->timeout_start_usec = worker->timeout_start_usec;
	spec->timeout_stop_usec = worker->timeout_stop_usec;
	spec->settle_usec = worker->settle_usec;
	spec->settle_set = worker->settle_set;
	spec->watchdog_usec = worker->watchdog_usec;
	spec->kill_signal = worker->kill_signal;
	spec->notify_access = worker->notify_access;
	spec->n_slots = worker->count;
}

/* In this order: what names need is known before they are looked up. */
static int freeze(struct spec *spec, const struct config_worker *worker, struct error *error)
{
	CLEANUP(identity_finish) struct identity identity = { .uid = 0 };
	if (!worker->argv || !worker->argv[0])
		return error_set(error, -EINVAL, "no program is named (ExecStart=)");
	copy_plain(spec, worker);
	int r = freeze_identity(spec, worker, &identity, error);
	if (r == 0)
		r = freeze_environment(spec, worker, &identity);
	if (r == 0)
		r = freeze_directory(spec, worker->working_directory, &identity, error);
	if (r == 0)
		r = strings_copy(worker->argv, &spec->argv);
	if (r < 0)
		return r;
	char **path = environment_find(spec->environment, "PATH=");
	return executable_open(spec->argv[0], path ? *path + strlen("PATH=") : NULL, AT_FDCWD,
			       &spec->executable, error);
}

int spec_freeze(const struct config *config, struct spec **ret_spec, struct error *error)
{
	CLEANUP(spec_freep) struct spec *spec = calloc(1, sizeof(*spec));
	if (!spec)
		return error_set(error, -ENOMEM, "%s", strerror(ENOMEM));
	spec->directory_fd = spec->executable.fd = -1;
	if (error)
		error->text[0] = '\0';
	int r = freeze(spec, &config->worker, error);
	if (r < 0 && error && !error->text[0]) /* what has nothing to add to its errno */
		(void)error_set(error, r, "%s", strerror(-r));
	if (r < 0)
		return r;
	*ret_spec = TAKE_PTR(spec);
	return 0;
}

void spec_free(struct spec *spec)
{
	if (!spec)
		return;
	executable_finish(&spec->executable);
	(void)fd_close(spec->directory_fd);
	free(spec->directory);
	strings_free(spec->argv);
	strings_free(spec->environment);
	free(spec->groups);
	free(spec);
}
