#include <string.h>

#include "supervisor/config_kind.h"

static const struct config_listener *find(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_listeners; i++)
		if (strcmp(config->listeners[i].name, name) == 0)
			return &config->listeners[i];
	return NULL;
}

/* What a directive prints of @object, on one line: "ReusePort=yes". NULL without memory. */
static char *printed(const struct config_directive *directive, const void *object)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	directive->kind->print(directive, object, out);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	for (char *end = text; (end = strchr(end, '\n')) != NULL;)
		*end = end[1] ? ' ' : '\0';
	return text;
}

/* As they are written, so that every key of the table is compared, and none can be forgotten. */
static void compare(const struct config_directive *directive, const char *section,
		    const void *running, const void *wanted, struct problems *problems)
{
	CLEANUP(freep) char *was = printed(directive, running);
	CLEANUP(freep) char *is = printed(directive, wanted);
	if (was && is && strcmp(was, is) == 0)
		return;
	problems_add(problems, "[%s] %s= cannot be changed while the service runs: %s, now %s",
		     section, directive->key, was ? was : "?", is ? is : "?");
}

static void compare_listeners(const struct config_listener *running,
			      const struct config_listener *wanted, struct problems *problems)
{
	char section[sizeof("Listener ") + CONFIG_NAME_MAX];
	(void)snprintf(section, sizeof(section), "Listener %s", running->name);
	/* All but Backlog=, which listen(2) takes again at any time. */
	for (size_t i = 0; i < config_n_directives; i++)
		if (strcmp(config_directives[i].section, "Listener") == 0 &&
		    strcmp(config_directives[i].key, "Backlog") != 0)
			compare(&config_directives[i], section, running, wanted, problems);
}

bool config_same_sockets(const struct config *running, const struct config *wanted,
			 struct problems *problems)
{
	size_t n_before = problems->n_lines;
	if (strcmp(running->name, wanted->name) != 0)
		problems_add(problems,
			     "the service's name cannot be changed while it runs: %s, now %s",
			     running->name, wanted->name);
	for (size_t i = 0; i < running->n_listeners; i++) {
		const struct config_listener *was = &running->listeners[i];
		const struct config_listener *is = find(wanted, was->name);
		if (is)
			compare_listeners(was, is, problems);
		else
			problems_add(problems,
				     "[Listener %s] cannot be removed while the service runs",
				     was->name);
	}
	for (size_t i = 0; i < wanted->n_listeners; i++)
		if (!find(running, wanted->listeners[i].name))
			problems_add(problems,
				     "[Listener %s] cannot be added while the service runs",
				     wanted->listeners[i].name);
	for (size_t i = 0; i < config_n_directives; i++)
		if (strcmp(config_directives[i].section, "Control") == 0)
			compare(&config_directives[i], "Control", &running->control,
				&wanted->control, problems);
	return problems->n_lines == n_before;
}
