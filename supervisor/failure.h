/*
 * Why a worker or a transition failed, told once and in full: for the log, for the answer to
 * whoever asked, for `handoverctl status`. Owner: whoever has it, in place; failure_finish().
 */
#ifndef HANDOVER_SUPERVISOR_FAILURE_H
#define HANDOVER_SUPERVISOR_FAILURE_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "proto/error.h"
#include "supervisor/spawn.h"

struct worker;

struct failure {
	const char
		*reason; /* a word for programs; static: "exited", "killed", "exec", "timeout", … */
	struct error detail; /* a sentence for people */
	int slot;	     /* -1: no worker is at fault */
	pid_t pid;	     /* 0: none */
	struct exit_status status;
	bool has_status;
	json_t *last_lines; /* what the worker wrote last; NULL: nothing */
};

/* Nothing of a worker in it. */
void failure_init(struct failure *failure, const char *reason, const char *format, ...)
	PRINTF(3, 4);
/* @worker did something other than ending: its number, pid and last lines are kept. */
void failure_of_worker(struct failure *failure, const struct worker *worker, const char *reason,
		       const char *format, ...) PRINTF(4, 5);
/* @worker ended. */
void failure_of_exit(struct failure *failure, const struct worker *worker,
		     const struct exit_status *status);
void failure_finish(struct failure *failure);

/* The parameters of the control interface's ReloadFailed; @generation 0: it has none yet. */
json_t *failure_json(const struct failure *failure, const char *phase, unsigned generation);

#endif
