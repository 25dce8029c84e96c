/*
 * What a failed start is called: the step and errno that a child left behind, made into text that
 * says what is wrong and what to do. Private to spawn.c.
 */
#ifndef HANDOVER_SUPERVISOR_SPAWN_ERROR_H
#define HANDOVER_SUPERVISOR_SPAWN_ERROR_H

#include "proto/error.h"
#include "supervisor/spawn_child.h"

/* @code: what clone(2) gave, negative. Both return a negative errno. */
int spawn_error_clone(struct error *error, const struct spec *spec, int code);
int spawn_error_child(struct error *error, const struct spawn_child *child,
		      const struct spawn_report *report);

#endif
