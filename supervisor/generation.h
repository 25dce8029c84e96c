/*
 * Generations: the workers started from one spec, numbered from 1, never reused.
 *
 * struct generations owns them all, from the making of a spec until the last worker of it has gone;
 * then the generation is freed. generation_event() alone changes a state (generation_state.h).
 */
#ifndef HANDOVER_SUPERVISOR_GENERATION_H
#define HANDOVER_SUPERVISOR_GENERATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/generation_state.h"

struct generation;
struct spec;

/* How long a dead worker of one slot is held back before it is started again. */
struct backoff {
	unsigned n_early_deaths; /* in a row, each before it had served BACKOFF_PROVEN_SEC */
};
#define BACKOFF_PROVEN_USEC UINT64_C(3000000)
#define BACKOFF_FIRST_USEC  UINT64_C(100000)
#define BACKOFF_MAX_USEC    UINT64_C(30000000)

/* Counts one more death of a worker that had served @served_usec; returns how long to hold back.
 * The first is not held back; one that follows before the service was proven again is. */
uint64_t backoff_after_death(struct backoff *backoff, uint64_t served_usec);

struct generations {
	struct generation *newest; /* linked from new to old */
	unsigned last_number;
	void (*changed)(void *owner, struct generation *generation, enum generation_state old);
	void *owner;
};

struct generation {
	struct generations *generations;
	struct generation *older;
	unsigned number;
	enum generation_state state;
	uint64_t since_usec; /* CLOCK_REALTIME: when it entered this state */
	struct spec *spec;   /* owned */
	unsigned n_workers;  /* that have not gone */
	bool simple; /* what the last of its workers that got ready or was lost was taken for */
	struct backoff *backoffs; /* one a slot */
	size_t n_backoffs;
};

/* A new one in state starting; takes over @spec when it succeeds. @n_slots: slots that there
 * are. */
int generation_new(struct generations *generations, struct spec *spec, size_t n_slots,
		   struct generation **ret_generation);

/* Moves it on; an event that its state refuses is our bug. */
void generation_event(struct generation *generation, enum generation_event event);

/* The same for the worker that died in @slot. */
uint64_t generation_hold_after_death(struct generation *generation, size_t slot,
				     uint64_t served_usec);

/* A worker of it was started; one has gone. The last to go from a generation that drains or was
 * aborted ends and frees it; generation_release() looks whether that is so already. */
void generation_worker_started(struct generation *generation);
void generation_worker_gone(struct generation *generation);
void generation_release(struct generation *generation);

/* Frees all, at the end. */
void generations_finish(struct generations *generations);

/* The newest in @state, or NULL. */
struct generation *generations_find(const struct generations *generations,
				    enum generation_state state);
/* Those that drain or were aborted and have not gone: what MaxDraining= counts. */
size_t generations_n_draining(const struct generations *generations);
struct generation *generations_oldest_draining(const struct generations *generations);

#endif
