#include "supervisor/config_ini.h"

#include <ini_configobj.h>
#include <ini_valueobj.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/config.h"
#include "supervisor/config_file.h"
#include "supervisor/config_lines.h"

enum {
	/* Repeated keys are kept, in order. Sections given twice are found by config_lines_check():
	 * for them ini_config_get_errors() in 0.6.2 writes behind what it allocated. */
	COLLISIONS = INI_MS_MERGE | INI_MV1S_ALLOW | INI_MV2S_ALLOW,
	/* No folding of indented lines, no C comments: systemd.syntax(7) has neither. */
	SYNTAX = INI_PARSE_NOWRAP | INI_PARSE_NO_C_COMMENTS,
};

/* "Error (5) on line 10: Equal sign is missing." is all that the library tells. Returns whether the
 * line was blanked, so that parsing again makes sense. */
static bool report_error(struct config_lines *lines, const char *text)
{
	const char *on_line = strstr(text, "on line ");
	unsigned line = 0;
	int colon = 0;
	if (on_line)
		(void)sscanf(on_line, "on line %u: %n", &line, &colon);
	if (line == 0 || line > lines->n_lines || colon == 0) {
		problems_add(lines->problems, "%s: %s", lines->path, text);
		return false;
	}
	if (lines->broken[line - 1])
		return false;

	char what[128];
	(void)snprintf(what, sizeof(what), "%s", on_line + colon);
	what[strcspn(what, ".")] = '\0';
	if (what[0] >= 'A' && what[0] <= 'Z')
		what[0] = (char)(what[0] - 'A' + 'a');
	config_lines_report(lines, line, what);
	config_lines_blank(lines, line);
	return true;
}

static void cfgobj_destroyp(struct ini_cfgobj **object)
{
	ini_config_destroy(*object);
}

static void cfgfile_destroyp(struct ini_cfgfile **file)
{
	ini_config_file_destroy(*file);
}

/* One pass. *ret_object is NULL when there is nothing in it; *ret_again when a line was blanked. */
static int parse_once(struct config_lines *lines, struct ini_cfgobj **ret_object, bool *ret_again)
{
	CLEANUP(cfgfile_destroyp) struct ini_cfgfile *file = NULL;
	CLEANUP(cfgobj_destroyp) struct ini_cfgobj *object = NULL;
	*ret_object = NULL;
	*ret_again = false;
	int r = ini_config_file_from_mem(lines->text, (uint32_t)lines->length, &file);
	if (r == 0)
		r = ini_config_create(&object);
	if (r == ENOMEM)
		return -ENOMEM;
	if (r != 0) {
		problems_add(lines->problems, "%s: cannot be parsed: %s", lines->path, strerror(r));
		return 0;
	}
	r = ini_config_parse(file, INI_STOP_ON_NONE, COLLISIONS, SYNTAX, object);
	if (r == ENOMEM)
		return -ENOMEM;
	char **errors = NULL;
	unsigned n_errors = ini_config_error_count(object);
	if (n_errors > 0 && ini_config_get_errors(object, &errors) == ENOMEM)
		return -ENOMEM;
	for (unsigned i = 0; errors && i < n_errors; i++)
		*ret_again |= report_error(lines, errors[i]);
	if (errors)
		ini_config_free_errors(errors);
	if (r != 0 && n_errors == 0)
		problems_add(lines->problems, "%s: cannot be parsed: %s", lines->path, strerror(r));
	if (r == 0)
		*ret_object = TAKE_PTR(object);
	return 0;
}

static int entry_fill(struct ini_entry *entry, const char *key, struct value_obj *value)
{
	uint32_t line;
	if (value_get_line(value, &line) == 0)
		entry->line = line;
	entry->key = strdup(key);
	const char *text = ini_get_const_string_config_value(value, NULL);
	entry->value = strdup(text ? text : "");
	return entry->key && entry->value ? 0 : -ENOMEM;
}

/* The names come in the order of the file, values only by name, without regard to case: the k-th
 * of a name has the k-th value of it. */
static int section_fill(struct ini_section *section, struct ini_cfgobj *object, char **keys)
{
	for (size_t i = 0; i < section->n_entries; i++) {
		if (section->entries[i].key)
			continue;
		int mode = INI_GET_FIRST_VALUE;
		for (size_t j = i; j < section->n_entries; j++) {
			if (strcasecmp(keys[i], keys[j]) != 0)
				continue;
			struct value_obj *value = NULL;
			int r = ini_get_config_valueobj(section->name, keys[i], object, mode,
							&value);
			if (r != 0 || !value)
				return r == ENOMEM ? -ENOMEM : -EINVAL;
			r = entry_fill(&section->entries[j], keys[j], value);
			if (r < 0)
				return r;
			mode = INI_GET_NEXT_VALUE;
		}
	}
	return 0;
}

static void attribute_listp(char ***list)
{
	if (*list)
		ini_free_attribute_list(*list);
}

static void section_listp(char ***list)
{
	if (*list)
		ini_free_section_list(*list);
}

static int section_read(struct ini_section *section, const struct config_lines *lines,
			const char *name, struct ini_cfgobj *object)
{
	section->name = strdup(name);
	if (!section->name)
		return -ENOMEM;
	section->line = config_lines_find_section(lines, name);
	int n_keys = 0;
	CLEANUP(attribute_listp) char **keys = ini_get_attribute_list(object, name, &n_keys, NULL);
	if (!keys)
		return -ENOMEM;
	section->entries = calloc((size_t)n_keys + 1, sizeof(*section->entries));
	if (!section->entries)
		return -ENOMEM;
	section->n_entries = (size_t)n_keys;
	return section_fill(section, object, keys);
}

static int ini_fill(struct config_ini *ini, const struct config_lines *lines,
		    struct ini_cfgobj *object)
{
	int n_sections = 0;
	CLEANUP(section_listp) char **names = ini_get_section_list(object, &n_sections, NULL);
	if (!names)
		return -ENOMEM;
	ini->sections = calloc((size_t)n_sections + 1, sizeof(*ini->sections));
	if (!ini->sections)
		return -ENOMEM;
	for (int i = 0; i < n_sections; i++) {
		int r = section_read(&ini->sections[ini->n_sections++], lines, names[i], object);
		if (r < 0)
			return r;
	}
	return 0;
}

int config_ini_parse(const char *path, char *text, size_t length, struct config_ini **ret_ini,
		     struct problems *problems)
{
	CLEANUP(config_lines_finish) struct config_lines lines;
	int r = config_lines_init(&lines, path, text, length, problems);
	if (r < 0)
		return r;
	CLEANUP(config_ini_freep) struct config_ini *ini = calloc(1, sizeof(*ini));
	if (!ini)
		return -ENOMEM;
	CLEANUP(cfgobj_destroyp) struct ini_cfgobj *object = NULL;
	/* One syntax error leaves the object empty: blank what is broken and parse again. */
	for (bool again = config_lines_check(&lines); again;) {
		ini_config_destroy(object);
		object = NULL;
		r = parse_once(&lines, &object, &again);
		if (r < 0)
			return r;
	}
	r = object ? ini_fill(ini, &lines, object) : 0;
	if (r < 0)
		return r;
	*ret_ini = TAKE_PTR(ini);
	return 0;
}

int config_ini_read(const char *path, struct config_ini **ret_ini, struct problems *problems)
{
	CLEANUP(freep) char *text = NULL;
	size_t length;
	struct error error;
	int r = config_file_read(path, &text, &length, &error);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		problems_add(problems, "%s", error.text);
		text = calloc(1, 1);
		length = 0;
		if (!text)
			return -ENOMEM;
	}
	return config_ini_parse(path, text, length, ret_ini, problems);
}

void config_ini_free(struct config_ini *ini)
{
	if (!ini)
		return;
	for (size_t i = 0; i < ini->n_sections; i++) {
		struct ini_section *section = &ini->sections[i];
		for (size_t j = 0; j < section->n_entries; j++) {
			free(section->entries[j].key);
			free(section->entries[j].value);
		}
		free(section->entries);
		free(section->name);
	}
	free(ini->sections);
	free(ini);
}
