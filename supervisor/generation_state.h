/*
 * The states of a generation, as data: a pure table, state × event → state.
 *
 *              ALL_READY          SETTLED          REPLACED            EMPTY
 *   starting ────────────▶ settling ──────▶ serving ──────▶ draining ────────▶ gone
 *       │                     │                ▲               │                ▲
 *       │                     │                └────RESUME─────┘                │
 *       └───────FAILED────────┴──▶ aborted ─────────────────────────EMPTY───────┘
 *
 * At most one generation is starting or settling. A cell that is not named is refused.
 */
#ifndef HANDOVER_SUPERVISOR_GENERATION_STATE_H
#define HANDOVER_SUPERVISOR_GENERATION_STATE_H

enum generation_state {
	GENERATION_INVALID, /* no such cell */
	GENERATION_STARTING,
	GENERATION_SETTLING, /* serves side by side with the one before, watched */
	GENERATION_SERVING,
	GENERATION_DRAINING,
	GENERATION_ABORTED, /* its transition failed; its workers are being taken away */
	GENERATION_GONE,
	GENERATION_STATES
};

enum generation_event {
	GENERATION_ON_ALL_READY,
	GENERATION_ON_SETTLED,
	GENERATION_ON_REPLACED,
	GENERATION_ON_RESUME,
	GENERATION_ON_FAILED,
	GENERATION_ON_EMPTY,
	GENERATION_EVENTS
};

/* The state that follows, or GENERATION_INVALID. */
enum generation_state generation_state_after(enum generation_state state,
					     enum generation_event event);

/* "starting", …: the word of the control interface. */
const char *generation_state_name(enum generation_state state);

#endif
