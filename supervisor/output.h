/*
 * What a worker writes to stdout and stderr, line by line: a pipe's reading end, an assembler of
 * lines (cut at a maximum length, so that nobody's endless line grows us), and the last lines kept
 * for error messages. Invalid UTF-8 is kept as it came; whoever makes JSON of it mends it.
 *
 * Owner: the worker, in place. The callback gets each line without its end, NUL-terminated.
 */
#ifndef HANDOVER_SUPERVISOR_OUTPUT_H
#define HANDOVER_SUPERVISOR_OUTPUT_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

enum {
	OUTPUT_LINE_MAX_BYTES = 2048,
	OUTPUT_KEPT_LINES = 20,
	/* Read in one turn of the loop at most, so that a chatterbox delays nobody. */
	OUTPUT_TURN_MAX_BYTES = 64 * 1024,
};

struct output {
	struct ev_loop *loop;
	ev_io watcher;
	int fd;
	char *partial; /* the line that has not ended yet */
	size_t n_partial;
	char *kept[OUTPUT_KEPT_LINES]; /* a ring; the oldest at kept[first] */
	size_t first_kept, n_kept;
	bool cut; /* the present line was too long; its rest is skipped */
	void (*line)(void *owner, const char *line);
	void *owner;
};

/* Takes over @fd (non-blocking). */
void output_init(struct output *output, struct ev_loop *loop, int fd,
		 void (*line)(void *owner, const char *line), void *owner);
/* Reads what is there now, not waiting for the end (grandchildren may hold the other end), reports
 * an unfinished last line, and closes. The kept lines stay. */
void output_close(struct output *output);
void output_finish(struct output *output);

/* The kept lines, oldest first: index 0 … output_n_kept() - 1. */
size_t output_n_kept(const struct output *output);
const char *output_kept(const struct output *output, size_t index);

/* Makes the pipe: [0] to read (non-blocking), [1] to write (blocking, for the worker); both
 * close-on-exec. */
int output_pipe(int ret_fds[static 2]);

#endif
