/*
 * What `status`, `workers`, `listeners` and `list` show, made from the parameters of a reply. Pure
 * but for the stream: the time is an argument. A field that is missing or of a wrong type (another
 * version on the other side) is shown as unknown, never an error.
 */
#ifndef HANDOVER_SUPERVISOR_CTL_SCREEN_H
#define HANDOVER_SUPERVISOR_CTL_SCREEN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct screen {
	FILE *out;
	bool colour;
	uint64_t now_usec; /* since the epoch */
};

/* One screen: is all well, what serves, what changed last and why. */
void screen_status(const struct screen *screen, json_t *status);

/* The first line of it alone, without its end:
 * "serving — generation 7, 4 of 4 workers, for 3 s". */
void screen_verdict(const struct screen *screen, json_t *status);

/* Both return 0 or -ENOMEM. */
int screen_workers(const struct screen *screen, json_t *reply);
int screen_listeners(const struct screen *screen, json_t *reply);

/* A member of a reply, or @otherwise where it is missing, null or of another type. */
const char *reply_string(json_t *object, const char *key, const char *otherwise);
int64_t reply_integer(json_t *object, const char *key, int64_t otherwise);

#endif
