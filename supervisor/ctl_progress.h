/*
 * A reload as it happens: each step that the supervisor reports becomes a line, or, on a terminal,
 * changes its slot's line in a block that is drawn anew. The last line is always plain:
 * "generation 8 serves".
 *
 * Owner: the reload command, for one reload. Pure but for the stream.
 */
#ifndef HANDOVER_SUPERVISOR_CTL_PROGRESS_H
#define HANDOVER_SUPERVISOR_CTL_PROGRESS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { PROGRESS_HEADING_MAX = 256 };

/* Where one slot has got to. Named steps: the control interface's. */
struct progress_slot {
	int64_t slot, pid;
	enum { SLOT_STARTED, SLOT_READY, SLOT_SERVING, SLOT_STEPS } step;
};

struct progress {
	FILE *out;
	bool live; /* draw a block: @rows and @columns are the terminal's, set before each step */
	size_t rows, columns;
	size_t lines_drawn;
	char heading[PROGRESS_HEADING_MAX];
	struct progress_slot *slots;
	size_t n_slots;
};

void progress_init(struct progress *progress, FILE *out, bool live);
void progress_finish(struct progress *progress);

/* Shows one step: the parameters of a reply to Reload. */
void progress_step(struct progress *progress, json_t *step);

#endif
