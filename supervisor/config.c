#include "supervisor/config.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/config_directives.h"
#include "supervisor/config_kind.h"
#include "supervisor/config_layers.h"
#include "supervisor/config_value.h"
#include "supervisor/config_words.h"
#include "supervisor/environment_file.h"

static const char SUFFIX[] = ".conf";

int config_override_parse(const char *text, struct config_override *ret_override, char **ret_buffer,
			  struct error *error)
{
	const char *equals = strchr(text, '=');
	const char *dot = equals ? memrchr(text, '.', (size_t)(equals - text)) : NULL;
	if (!dot || dot == text || dot + 1 == equals)
		return error_set(error, -EINVAL,
				 "-o %s: Section.Key=Value is needed, such as Worker.Count=4 or "
				 "'Listener http.ReusePort=yes'",
				 text);
	char *buffer;
	int length = asprintf(&buffer, "-o %s%c%s", text, '\0', text);
	if (length < 0)
		return error_set(error, -ENOMEM, "-o %s: out of memory", text);
	char *copy = buffer + length - strlen(text);
	copy[dot - text] = copy[equals - text] = '\0';
	*ret_override = (struct config_override){
		.origin = buffer,
		.section = copy,
		.key = copy + (dot - text) + 1,
		.value = copy + (equals - text) + 1,
	};
	*ret_buffer = buffer;
	return 0;
}

static void *object_of(struct config *config, const struct config_directive *directive,
		       const char *listener)
{
	if (strcmp(directive->section, "Worker") == 0)
		return &config->worker;
	if (strcmp(directive->section, "Control") == 0)
		return &config->control;
	assert(listener);
	for (size_t i = 0; i < config->n_listeners; i++)
		if (strcmp(config->listeners[i].name, listener) == 0)
			return &config->listeners[i];
	return NULL;
}

static int apply_defaults(struct config *config, const char *section, const char *listener)
{
	for (size_t i = 0; i < config_n_directives; i++) {
		const struct config_directive *directive = &config_directives[i];
		if (strcmp(directive->section, section) != 0 || !directive->default_text[0])
			continue;
		int r = directive->kind->apply(directive, object_of(config, directive, listener),
					       directive->default_text, NULL);
		if (r < 0)
			return r;
	}
	return 0;
}

static int fill_defaults(struct config *config, char *const *listeners, size_t n_listeners)
{
	config->listeners = calloc(n_listeners + 1, sizeof(*config->listeners));
	if (!config->listeners)
		return -ENOMEM;
	int r = apply_defaults(config, "Worker", NULL);
	if (r == 0)
		r = apply_defaults(config, "Control", NULL);
	config->worker.settle_set = false;
	for (size_t i = 0; r == 0 && i < n_listeners; i++) {
		config->listeners[i].name = strdup(listeners[i]);
		if (!config->listeners[i].name)
			return -ENOMEM;
		config->n_listeners++;
		r = apply_defaults(config, "Listener", listeners[i]);
	}
	return r;
}

static int config_new(const struct layers *layers, struct config **ret_config)
{
	CLEANUP(config_freep) struct config *config = calloc(1, sizeof(*config));
	if (!config)
		return -ENOMEM;
	int r = fill_defaults(config, layers->listeners, layers->n_listeners);
	if (r != 0)
		return r;
	*ret_config = TAKE_PTR(config);
	return 0;
}

/* What does not stand is checked as well, on a configuration that nobody uses. */
static int apply_all(struct config *config, struct config *unused, const struct layers *layers,
		     struct problems *problems)
{
	for (size_t i = 0; i < layers->n_assignments; i++) {
		const struct assignment *assignment = &layers->assignments[i];
		const struct config_directive *directive = assignment->directive;
		struct error error;
		if (!assignment->value[0])
			continue;
		void *object = object_of(assignment->stands ? config : unused, directive,
					 assignment->listener);
		int r = directive->kind->apply(directive, object, assignment->value, &error);
		if (r == -ENOMEM)
			return r;
		if (r < 0 && directive->kind->explains)
			problems_add(problems, "%s: %s", assignment->where, error.text);
		else if (r < 0)
			problems_add(problems, "%s: %s; allowed: %s", assignment->where, error.text,
				     directive->help);
	}
	return 0;
}

static bool is_key(const struct assignment *assignment, const char *key)
{
	return strcmp(assignment->directive->key, key) == 0;
}

static int read_environment_file(struct config *config, const struct assignment *assignment,
				 struct problems *problems)
{
	CLEANUP(freep) char *path = NULL;
	CLEANUP(words_freep) char **words = NULL;
	bool may_be_missing;
	struct error error;
	int r = kind_environment_file_path(assignment->value, &path, &may_be_missing, &error);
	if (r == -EINVAL)
		return 0; /* reported when it was applied */
	if (r == 0)
		r = environment_file_read(path, &words, &error);
	if (r == -ENOENT && may_be_missing)
		return 0;
	if (r < 0 && r != -ENOMEM) {
		problems_add(problems, "%s: %s", assignment->where, error.text);
		return 0;
	}
	if (r == 0)
		r = words_append(&config->worker.environment, words);
	if (r == 0)
		words = NULL;
	return r;
}

static int read_environment_files(struct config *config, const struct layers *layers,
				  struct problems *problems)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < layers->n_assignments; i++)
		if (layers->assignments[i].stands &&
		    is_key(&layers->assignments[i], "EnvironmentFile"))
			r = read_environment_file(config, &layers->assignments[i], problems);
	return r;
}

/* The name to the file's own: /etc/handover/web.conf is "web". */
static int take_name(struct config *config, const struct config_sources *sources,
		     struct problems *problems)
{
	struct error error;
	const char *from = sources->name ? sources->name : sources->file;
	if (!from) {
		problems_add(problems, "the service has no name; give one by --name");
		return 0;
	}
	if (!sources->name && strrchr(from, '/'))
		from = strrchr(from, '/') + 1;
	size_t length = strlen(from), suffix = strlen(SUFFIX);
	if (!sources->name && length > suffix && strcmp(from + length - suffix, SUFFIX) == 0)
		length -= suffix;
	config->name = strndup(from, length);
	if (!config->name)
		return -ENOMEM;
	if (value_check_name(config->name, &error) < 0)
		problems_add(problems, "%s: %s%s",
			     sources->name ? "--name" : "the service's name, from its file",
			     error.text, sources->name ? "" : "; give one by --name");
	return 0;
}

static int take_argv(struct config *config, char *const *argv)
{
	words_free(config->worker.argv);
	config->worker.argv = NULL;
	for (size_t i = 0; argv[i]; i++) {
		int r = words_push(&config->worker.argv, i, argv[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool is_given(const struct layers *layers, const char *key, const char *listener)
{
	for (size_t i = 0; i < layers->n_assignments; i++) {
		const struct assignment *assignment = &layers->assignments[i];
		if (assignment->stands && is_key(assignment, key) &&
		    (!listener || strcmp(listener, assignment->listener) == 0))
			return true;
	}
	return false;
}

/* Of an assignment to ListenStream= that stands; false where there is none, or not one alone: the
 * kernel chooses another port for each port 0. */
static bool take_address(const struct assignment *assignment, struct address *ret_address)
{
	CLEANUP(freep) char *text = NULL;
	if (!assignment->stands || !is_key(assignment, "ListenStream") ||
	    percent_expand(assignment->value, &text, NULL) < 0 ||
	    address_parse(text, ret_address, NULL) < 0)
		return false;
	return address_family(ret_address) == AF_UNIX || address_port(ret_address) != 0;
}

/* Two sockets cannot be bound to one address. */
static int check_addresses(const struct layers *layers, struct problems *problems)
{
	CLEANUP(freep) struct address *addresses = NULL;
	CLEANUP(freep) const struct assignment **origins = NULL;
	size_t n = 0;
	addresses = calloc(layers->n_assignments + 1, sizeof(*addresses));
	origins = calloc(layers->n_assignments + 1, sizeof(*origins));
	if (!addresses || !origins)
		return -ENOMEM;
	for (size_t i = 0; i < layers->n_assignments; i++) {
		if (!take_address(&layers->assignments[i], &addresses[n]))
			continue;
		origins[n] = &layers->assignments[i];
		size_t same = 0;
		while (!address_equal(&addresses[same], &addresses[n]))
			same++;
		if (same < n)
			problems_add(problems, "%s: the same address as in %s", origins[n]->where,
				     origins[same]->where);
		n++;
	}
	return 0;
}

/* What no directive can see by itself. */
static void check_whole(const struct config *config, const struct layers *layers,
			const struct config_sources *sources, struct problems *problems)
{
	const char *file = sources->file ? sources->file : "command line";
	if (config->n_listeners == 0)
		problems_add(problems,
			     "%s: no listener; give [Listener NAME] with ListenStream=ADDRESS, or "
			     "--listen NAME=ADDRESS",
			     file);
	if (config->n_listeners > CONFIG_LISTENERS_MAX)
		problems_add(problems, "%s: %zu listeners; allowed: up to %d", file,
			     config->n_listeners, CONFIG_LISTENERS_MAX);
	for (size_t i = 0; i < config->n_listeners; i++)
		if (!is_given(layers, "ListenStream", config->listeners[i].name))
			problems_add(problems,
				     "%s: [Listener %s]: no address; give ListenStream=ADDRESS",
				     file, config->listeners[i].name);
	if (!config->worker.argv && !is_given(layers, "ExecStart", NULL))
		problems_add(problems,
			     "%s: no program; give ExecStart=PROGRAM ARGUMENTS… in [Worker], or -- "
			     "PROGRAM ARGUMENTS…",
			     file);
}

int config_load(const struct config_sources *sources, struct config **ret_config,
		struct problems *problems)
{
	size_t n_before = problems->n_lines;
	CLEANUP(layers_finish) struct layers layers = { 0 };
	CLEANUP(config_freep) struct config *config = NULL, *unused = NULL;
	int r = layers_collect(sources, &layers, problems);
	if (r == 0)
		r = config_new(&layers, &config);
	if (r == 0)
		r = config_new(&layers, &unused);
	if (r == 0)
		r = apply_all(config, unused, &layers, problems);
	if (r == 0)
		r = read_environment_files(config, &layers, problems);
	if (r == 0)
		r = take_name(config, sources, problems);
	if (r == 0 && sources->argv && sources->argv[0])
		r = take_argv(config, sources->argv);
	if (r == 0)
		r = check_addresses(&layers, problems);
	if (r != 0)
		return r;
	/* Where nothing could be read, what is missing is no news. */
	if (layers.n_assignments > 0 || problems->n_lines == n_before)
		check_whole(config, &layers, sources, problems);
	if (problems->n_lines > n_before)
		return -EINVAL;
	*ret_config = TAKE_PTR(config);
	return 0;
}

static void listener_finish(struct config_listener *listener)
{
	free(listener->name);
	free(listener->addresses);
	free(listener->socket_user);
	free(listener->socket_group);
}

static void worker_finish(struct config_worker *worker)
{
	words_free(worker->argv);
	words_free(worker->environment);
	words_free(worker->supplementary_groups);
	free(worker->working_directory);
	free(worker->user);
	free(worker->group);
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->n_listeners; i++)
		listener_finish(&config->listeners[i]);
	free(config->listeners);
	worker_finish(&config->worker);
	free(config->control.socket);
	free(config->name);
	free(config);
}
