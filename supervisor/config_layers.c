#include "supervisor/config_layers.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/config_directives.h"
#include "supervisor/config_file.h"
#include "supervisor/config_ini.h"

static const char SUFFIX[] = ".conf";
static const char BLANKS[] = " \t\r\n";

enum { SHOWN_BYTES = 200 }; /* of a value, in messages */

/* What is being collected, and from where. */
struct collecting {
	struct layers *layers;
	struct problems *problems;
	unsigned layer;
};

static int listener_add(struct layers *layers, const char *name)
{
	for (size_t i = 0; i < layers->n_listeners; i++)
		if (strcmp(layers->listeners[i], name) == 0)
			return 0;
	char **larger = reallocarray(layers->listeners, layers->n_listeners + 1, sizeof(*larger));
	if (!larger)
		return -ENOMEM;
	layers->listeners = larger;
	larger[layers->n_listeners] = strdup(name);
	if (!larger[layers->n_listeners])
		return -ENOMEM;
	layers->n_listeners++;
	return 0;
}

static bool same_field(const struct assignment *a, const struct assignment *b)
{
	return a->directive == b->directive &&
	       (!a->listener || strcmp(a->listener, b->listener) == 0);
}

static void assignment_finish(struct assignment *assignment)
{
	free(assignment->where);
	free(assignment->listener);
	free(assignment->value);
}

static void report_twice(struct collecting *collecting, const struct assignment *now,
			 const struct assignment *first)
{
	if (now->line)
		problems_add(collecting->problems, "%s: given twice, first on line %u", now->where,
			     first->line);
	else
		problems_add(collecting->problems, "%s: given twice, first by %s", now->where,
			     first->where);
}

/* Settles what @now leaves of the assignments before it. */
static void override_earlier(struct collecting *collecting, struct assignment *now)
{
	bool is_list = now->directive->is_list, from_command_line = now->line == 0;
	struct layers *layers = collecting->layers;
	for (size_t i = 0; i < layers->n_assignments; i++) {
		struct assignment *before = &layers->assignments[i];
		if (!same_field(now, before))
			continue;
		bool same_layer = before->layer == now->layer;
		if (same_layer && !is_list) {
			report_twice(collecting, now, before);
			break;
		}
		if (!is_list || !now->value[0] || (from_command_line && !same_layer))
			before->stands = false;
	}
	now->stands = now->value[0] != '\0';
}

/* Takes over @where. */
static int assign(struct collecting *collecting, char *where, const char *listener,
		  const struct config_directive *directive, const char *value, unsigned line)
{
	struct layers *layers = collecting->layers;
	value += strspn(value, BLANKS);
	size_t length = strlen(value);
	while (length > 0 && strchr(BLANKS, value[length - 1]))
		length--;
	struct assignment assignment = {
		.where = TAKE_PTR(where),
		.directive = directive,
		.listener = listener ? strdup(listener) : NULL,
		.value = strndup(value, length),
		.layer = collecting->layer,
		.line = line,
	};
	struct assignment *larger = reallocarray(layers->assignments, layers->n_assignments + 1,
						 sizeof(*larger));
	if (larger)
		layers->assignments = larger;
	if (!larger || !assignment.value || (listener && !assignment.listener)) {
		assignment_finish(&assignment);
		return -ENOMEM;
	}
	override_earlier(collecting, &assignment);
	layers->assignments[layers->n_assignments++] = assignment;
	return 0;
}

static char *where_is(const char *path, const struct ini_entry *entry)
{
	size_t length = strlen(entry->value), shown = length < SHOWN_BYTES ? length : SHOWN_BYTES;
	char *where;
	int r = asprintf(&where, "%s:%u: %s=%.*s%s", path, entry->line, entry->key,
			 (int)utf8_prefix(entry->value, shown), entry->value,
			 shown < length ? "…" : "");
	return r < 0 ? NULL : where;
}

static int collect_entry(struct collecting *collecting, const char *path, const char *section,
			 const char *listener, const struct ini_entry *entry)
{
	const struct config_directive *directive;
	struct error error;
	CLEANUP(freep) char *where = where_is(path, entry);
	if (!where)
		return -ENOMEM;
	if (config_find_directive(section, entry->key, &directive, &error) < 0) {
		problems_add(collecting->problems, "%s: %s", where, error.text);
		return 0;
	}
	return assign(collecting, TAKE_PTR(where), listener, directive, entry->value, entry->line);
}

static int collect_section(struct collecting *collecting, const char *path,
			   const struct ini_section *ini_section)
{
	const char *section, *listener;
	struct error error;
	if (config_find_section(ini_section->name, &section, &listener, &error) < 0) {
		problems_add(collecting->problems, "%s:%u: [%s]: %s", path, ini_section->line,
			     ini_section->name, error.text);
		return 0;
	}
	int r = listener ? listener_add(collecting->layers, listener) : 0;
	for (size_t i = 0; r == 0 && i < ini_section->n_entries; i++)
		r = collect_entry(collecting, path, section, listener, &ini_section->entries[i]);
	return r;
}

static int collect_file(struct collecting *collecting, const char *path)
{
	CLEANUP(config_ini_freep) struct config_ini *ini = NULL;
	int r = config_ini_read(path, &ini, collecting->problems);
	for (size_t i = 0; r == 0 && i < ini->n_sections; i++)
		r = collect_section(collecting, path, &ini->sections[i]);
	collecting->layer++;
	return r;
}

static int is_drop_in(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name), suffix = strlen(SUFFIX);
	return entry->d_name[0] != '.' && length > suffix &&
	       strcmp(entry->d_name + length - suffix, SUFFIX) == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int collect_drop_ins(struct collecting *collecting, const char *file)
{
	CLEANUP(freep) char *folder = NULL;
	if (asprintf(&folder, "%s.d", file) < 0) {
		folder = NULL;
		return -ENOMEM;
	}
	struct dirent **entries = NULL;
	int n_entries = scandir(folder, &entries, is_drop_in, by_bytes);
	if (n_entries < 0) {
		if (errno == ENOMEM)
			return -ENOMEM;
		if (errno != ENOENT)
			problems_add(collecting->problems, "%s: %s", folder, strerror(errno));
		return 0;
	}
	int r = 0;
	for (int i = 0; i < n_entries; i++) {
		CLEANUP(freep) char *path = NULL;
		if (r == 0 && asprintf(&path, "%s/%s", folder, entries[i]->d_name) < 0) {
			path = NULL;
			r = -ENOMEM;
		}
		if (r == 0)
			r = collect_file(collecting, path);
		free(entries[i]);
	}
	free(entries);
	return r;
}

static int collect_override(struct collecting *collecting, const struct config_override *override)
{
	const struct config_directive *directive;
	const char *section, *listener;
	struct error error;
	int r = config_find_section(override->section, &section, &listener, &error);
	if (r == 0)
		r = config_find_directive(section, override->key, &directive, &error);
	if (r == 0 &&
	    utf8_prefix(override->value, strlen(override->value)) != strlen(override->value))
		r = error_set(&error, -EINVAL, "not UTF-8");
	if (r != 0) {
		problems_add(collecting->problems, "%s: %s", override->origin, error.text);
		return 0;
	}
	r = listener ? listener_add(collecting->layers, listener) : 0;
	if (r < 0)
		return r;
	char *where = strdup(override->origin);
	if (!where)
		return -ENOMEM;
	return assign(collecting, where, listener, directive, override->value, 0);
}

int layers_collect(const struct config_sources *sources, struct layers *ret_layers,
		   struct problems *problems)
{
	CLEANUP(layers_finish) struct layers layers = { 0 };
	struct collecting collecting = { .layers = &layers, .problems = problems };
	int r = 0;
	if (sources->file)
		r = collect_file(&collecting, sources->file);
	if (r == 0 && sources->file)
		r = collect_drop_ins(&collecting, sources->file);
	for (size_t i = 0; r == 0 && i < sources->n_overrides; i++)
		r = collect_override(&collecting, &sources->overrides[i]);
	if (r < 0)
		return r;
	*ret_layers = layers;
	layers = (struct layers){ 0 };
	return 0;
}

void layers_finish(struct layers *layers)
{
	for (size_t i = 0; i < layers->n_assignments; i++)
		assignment_finish(&layers->assignments[i]);
	free(layers->assignments);
	for (size_t i = 0; i < layers->n_listeners; i++)
		free(layers->listeners[i]);
	free(layers->listeners);
	*layers = (struct layers){ 0 };
}
