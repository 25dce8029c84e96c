/*
 * Looking up sections and directives by name, and near names for messages. Over the constant table
 * config_directives (config.h).
 */
#ifndef HANDOVER_SUPERVISOR_CONFIG_DIRECTIVES_H
#define HANDOVER_SUPERVISOR_CONFIG_DIRECTIVES_H

#include "supervisor/config.h"

/* Takes "[Listener http]"'s inside apart: *ret_section is "Listener" (of the table), *ret_name
 * points to "http" in @text, and is NULL in sections that have no names. -EINVAL says what the
 * sections are. */
int config_find_section(const char *text, const char **ret_section, const char **ret_name,
			struct error *error);

/* The directive, or -EINVAL with a near name or the section where it belongs. */
int config_find_directive(const char *section, const char *key,
			  const struct config_directive **ret_directive, struct error *error);

#endif
