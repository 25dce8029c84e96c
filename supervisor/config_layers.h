/*
 * What each layer of the configuration says, in order, and what of it stands: the file, its
 * drop-ins (those of FILE.d that end in .conf, by name), the command line. As in systemd, a
 * scalar's last assignment counts, a list's add up, and an empty assignment puts back the default.
 * A list that the command line mentions is wholly its own.
 *
 * Lives while a configuration is loaded; borrows the sources.
 */
#ifndef HANDOVER_SUPERVISOR_CONFIG_LAYERS_H
#define HANDOVER_SUPERVISOR_CONFIG_LAYERS_H

#include "supervisor/config.h"

struct assignment {
	char *where; /* what errors begin with: "web.conf:12: Count=abc", "-o Worker.Count=abc" */
	const struct config_directive *directive;
	char *listener; /* in a section of such: its name */
	char *value;
	unsigned layer, line; /* line 0: from the command line */
	bool stands;	      /* not overridden, and not empty */
};

struct layers {
	struct assignment *assignments;
	size_t n_assignments;
	char **listeners; /* the names, as they came up */
	size_t n_listeners;
};

/* Reads all layers. What is wrong goes to @problems. Returns 0 or -ENOMEM. */
int layers_collect(const struct config_sources *sources, struct layers *ret_layers,
		   struct problems *problems);
void layers_finish(struct layers *layers);

#endif
