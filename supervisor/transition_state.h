/*
 * The states of a transition, as data: a pure table, state × event → state.
 *
 *             ROOM            ALL_READY            SETTLED
 *   waiting ────────▶ starting ────────▶ settling ────────▶ done
 *      │                 │       serve       │      drain
 *      │                 │       gate        │      gate
 *      └─────────────────┴──────FAILED───────┴──▶ failed
 *
 * A cell that is not named is refused: nothing leads out of done and failed.
 */
#ifndef HANDOVER_SUPERVISOR_TRANSITION_STATE_H
#define HANDOVER_SUPERVISOR_TRANSITION_STATE_H

enum transition_state {
	TRANSITION_INVALID,  /* no such cell */
	TRANSITION_WAITING,  /* for one of MaxDraining= generations to go */
	TRANSITION_STARTING, /* incoming workers start and get ready */
	TRANSITION_SETTLING, /* they serve, and are watched */
	TRANSITION_DONE,     /* every slot has passed its drain gate */
	TRANSITION_FAILED,   /* the incoming workers are being taken away */
	TRANSITION_STATES
};

enum transition_event {
	TRANSITION_ON_ROOM,
	TRANSITION_ON_ALL_READY,
	TRANSITION_ON_SETTLED,
	TRANSITION_ON_FAILED,
	TRANSITION_EVENTS
};

/* The state that follows, or TRANSITION_INVALID. */
enum transition_state transition_state_after(enum transition_state state,
					     enum transition_event event);

/* "starting", …: the word of the control interface (its type Phase). */
const char *transition_state_name(enum transition_state state);

#endif
