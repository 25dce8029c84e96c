#include "supervisor/ctl_progress.h"

#include <inttypes.h>
#include <string.h>

#include "proto/base.h"
#include "supervisor/ctl_screen.h"
#include "supervisor/ctl_text.h"

static const char *const slot_steps[SLOT_STEPS] = {
	[SLOT_STARTED] = "started",
	[SLOT_READY] = "ready",
	[SLOT_SERVING] = "serving",
};

void progress_init(struct progress *progress, FILE *out, bool live)
{
	*progress = (struct progress){ .out = out, .live = live, .rows = 24, .columns = 80 };
}

void progress_finish(struct progress *progress)
{
	free(progress->slots);
	progress_init(progress, progress->out, progress->live);
}

/* One line saying what @step says, without its end. */
static void print_step(FILE *out, json_t *step, size_t columns_max)
{
	const char *name = reply_string(step, "step", "?");
	const char *detail = reply_string(step, "detail", NULL);
	int64_t generation = reply_integer(step, "generation", 0);
	int64_t slot = reply_integer(step, "slot", -1), pid = reply_integer(step, "pid", 0);
	char prefix[96] = "", suffix[48] = "";

	if (slot >= 0)
		(void)snprintf(prefix, sizeof(prefix), "slot %" PRId64 " ", slot);
	else if (generation > 0)
		(void)snprintf(prefix, sizeof(prefix), "generation %" PRId64 " ", generation);
	if (slot >= 0 && pid > 0)
		(void)snprintf(suffix, sizeof(suffix), ", pid %" PRId64, pid);

	/* The generation's number and what it runs: the one step that is no verb. */
	bool spec = !strcmp(name, "spec");
	const char *const parts[] = { prefix, spec ? "made" : name, suffix, detail ? ": " : "",
				      detail ? detail : "" };
	for (size_t i = 0; i < ARRAY_SIZE(parts) && columns_max > 0; i++) {
		size_t columns = text_print(out, parts[i], columns_max);
		columns_max -= columns_max == SIZE_MAX ? 0 : columns;
	}
}

static void note_slot(struct progress *progress, json_t *step)
{
	const char *name = reply_string(step, "step", "");
	int64_t slot = reply_integer(step, "slot", -1), pid = reply_integer(step, "pid", 0);
	size_t reached = 0, place = 0;

	while (reached < SLOT_STEPS && strcmp(name, slot_steps[reached]) != 0)
		reached++;
	if (slot < 0 || reached == SLOT_STEPS)
		return;
	while (place < progress->n_slots && progress->slots[place].slot < slot)
		place++;
	if (place == progress->n_slots || progress->slots[place].slot != slot) {
		struct progress_slot *slots = reallocarray(progress->slots, progress->n_slots + 1,
							   sizeof(*slots));
		if (!slots)
			return; /* one line less on a screen */
		memmove(slots + place + 1, slots + place,
			(progress->n_slots - place) * sizeof(*slots));
		slots[place] = (struct progress_slot){ .slot = slot };
		progress->slots = slots;
		progress->n_slots++;
	}
	progress->slots[place].step = (typeof(progress->slots[place].step))reached;
	if (pid > 0)
		progress->slots[place].pid = pid;
}

/* A line that wraps would be two, and the block be drawn anew in the wrong place. */
static size_t line_columns(const struct progress *progress)
{
	return progress->columns > 1 ? progress->columns - 1 : 1;
}

static void draw_line(struct progress *progress, const char *line)
{
	(void)text_print(progress->out, line, line_columns(progress));
	(void)fputc('\n', progress->out);
	progress->lines_drawn++;
}

/* The step that belongs to no slot heads the block. */
static void note_heading(struct progress *progress, json_t *step)
{
	if (reply_integer(step, "slot", -1) >= 0)
		return;
	FILE *heading = fmemopen(progress->heading, sizeof(progress->heading), "w");
	if (!heading)
		return;
	print_step(heading, step, line_columns(progress));
	(void)fclose(heading);
	progress->heading[sizeof(progress->heading) - 1] = '\0';
}

/* More slots than the screen has lines: how many have got how far. */
static void draw_counts(struct progress *progress)
{
	size_t counts[SLOT_STEPS] = { 0 };
	char line[128];
	for (size_t i = 0; i < progress->n_slots; i++)
		counts[progress->slots[i].step]++;
	(void)snprintf(line, sizeof(line), "  %zu slots: %zu %s, %zu %s, %zu %s", progress->n_slots,
		       counts[SLOT_STARTED], slot_steps[SLOT_STARTED], counts[SLOT_READY],
		       slot_steps[SLOT_READY], counts[SLOT_SERVING], slot_steps[SLOT_SERVING]);
	draw_line(progress, line);
}

static void draw(struct progress *progress)
{
	/* A heading, the slots, and the line where the cursor rests. */
	bool fits = progress->n_slots + 2 <= progress->rows;

	if (progress->lines_drawn)
		(void)fprintf(progress->out, "\r\033[%zuA\033[J", progress->lines_drawn);
	(void)fprintf(progress->out, "%s\n", progress->heading);
	progress->lines_drawn = 1;
	if (progress->n_slots == 0)
		return;
	if (!fits) {
		draw_counts(progress);
		return;
	}
	for (size_t i = 0; i < progress->n_slots; i++) {
		const struct progress_slot *slot = &progress->slots[i];
		char line[96];
		(void)snprintf(line, sizeof(line), "  slot %-4" PRId64 " %-8s pid %" PRId64,
			       slot->slot, slot_steps[slot->step], slot->pid);
		draw_line(progress, line);
	}
}

void progress_step(struct progress *progress, json_t *step)
{
	bool done = !strcmp(reply_string(step, "step", ""), "done");

	if (progress->live) {
		note_slot(progress, step);
		note_heading(progress, step);
		draw(progress);
	}
	if (done)
		(void)fprintf(progress->out, "generation %" PRId64 " serves\n",
			      reply_integer(step, "generation", 0));
	else if (!progress->live) {
		print_step(progress->out, step, SIZE_MAX);
		(void)fputc('\n', progress->out);
	}
	(void)fflush(progress->out);
}
