/*
 * A transition: from one generation to the next, all slots at once. It reads in time order:
 *
 *   transition_begin    a generation is made of a spec; it waits while MaxDraining= generations
 *                       drain already
 *   start               a replace begins in every slot of the new generation
 *   serve gate          all are ready: they serve, beside those from before
 *   settle              they are watched for as long as the spec says
 *   drain gate          those from before drain; slots beyond the new count leave. Done
 *
 * Until the drain gate anything that goes wrong with an incoming worker, a request to abort, or the
 * caller's timeout makes it fail: the incoming workers are taken away, those from before go on as
 * if nothing had been asked. States and diagram: transition_state.h.
 *
 * Owner: the supervisor; one at a time. ops->ended is the last call, then it is freed.
 */
#ifndef HANDOVER_SUPERVISOR_TRANSITION_H
#define HANDOVER_SUPERVISOR_TRANSITION_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "supervisor/config.h"
#include "supervisor/failure.h"
#include "supervisor/transition_state.h"

struct generation;
struct generations;
struct slots;
struct spec;
struct transition;
struct worker;

enum transition_kind { TRANSITION_START, TRANSITION_RELOAD };

/* What happens on its way, for whoever watches. The words are the interface's Step. */
enum transition_step {
	STEP_WAITING,
	STEP_SPEC,
	STEP_STARTED,
	STEP_READY,
	STEP_SERVING,
	STEP_SETTLING,
	STEP_DRAINING,
	STEP_DONE,
	TRANSITION_STEPS
};

struct transition_ops {
	/* @worker: whose step it is, or NULL; @detail: a few words, or NULL. */
	void (*step)(void *owner, struct transition *transition, enum transition_step step,
		     const struct worker *worker, const char *detail);
	/* In state done or failed (then with @failure). */
	void (*ended)(void *owner, struct transition *transition, struct failure *failure);
};

struct transition {
	enum transition_kind kind;
	enum transition_state state;
	uint64_t started_usec; /* CLOCK_REALTIME */
	uint64_t began_usec;   /* CLOCK_MONOTONIC */
	struct generation *incoming;
	struct generation *outgoing; /* NULL at the first start */
	unsigned incoming_number;
	/* The state in which it failed. */
	enum transition_state failed_in;
	struct slots *slots;
	struct generations *generations;
	unsigned max_draining;
	enum max_draining_action max_draining_action;
	struct replace **replaces; /* one a slot of the new generation; NULL once over */
	unsigned n_replaces, n_ready;
	ev_timer begin;
	ev_timer settle;
	ev_timer timeout; /* the caller's */
	const struct transition_ops *ops;
	void *owner;
};

struct transition_plan {
	enum transition_kind kind;
	struct slots *slots; /* already grown to the spec's count */
	struct generations *generations;
	unsigned max_draining;
	enum max_draining_action max_draining_action;
	uint64_t timeout_usec; /* USEC_INFINITY: none */
};

/* Takes over @spec when it succeeds. Calls back with STEP_SPEC, and with nothing else before it has
 * returned. */
int transition_begin(const struct transition_plan *plan, struct spec *spec,
		     const struct transition_ops *ops, void *owner,
		     struct transition **ret_transition, struct error *error);

/* Fails it, for @reason ("aborted", "timeout", "stopped"). It ends before this returns. */
void transition_abort(struct transition *transition, const char *reason, const char *detail);

/* Some generation has gone: one that waits for room may go on. */
void transition_consider(struct transition *transition);

const char *transition_kind_name(enum transition_kind kind);
const char *transition_step_name(enum transition_step step);

#endif
