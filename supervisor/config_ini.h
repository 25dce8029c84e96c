/*
 * One configuration file as libini_config reads it: sections, and in each the assignments in the
 * order of the file, every one with its line. Knows nothing of what the keys mean.
 *
 * What the library leaves to us is done before it sees the text (config_lines.h). Its names are
 * case-insensitive and it merges sections: here names are as written, and a section given twice is
 * an error.
 *
 * Owner: whoever read it; freed by config_ini_free().
 */
#ifndef HANDOVER_SUPERVISOR_CONFIG_INI_H
#define HANDOVER_SUPERVISOR_CONFIG_INI_H

#include <stddef.h>

struct problems;

struct ini_entry {
	char *key, *value;
	unsigned line;
};

struct ini_section {
	char *name;
	unsigned line;
	struct ini_entry *entries;
	size_t n_entries;
};

struct config_ini {
	struct ini_section *sections;
	size_t n_sections;
};

/*
 * Reads the file at @path. Whatever is wrong goes to @problems, all of it, each "PATH:LINE: …";
 * what could be read is returned all the same, so that its values can be checked too. Returns 0, or
 * -ENOMEM.
 */
int config_ini_read(const char *path, struct config_ini **ret_ini, struct problems *problems);

/* The same from @length bytes at @text (changed in place; without NUL bytes, ending in one). */
int config_ini_parse(const char *path, char *text, size_t length, struct config_ini **ret_ini,
		     struct problems *problems);

void config_ini_free(struct config_ini *ini);
static inline void config_ini_freep(struct config_ini **ini)
{
	config_ini_free(*ini);
}

#endif
