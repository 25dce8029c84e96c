/*
 * The states of a worker, as data: a pure table, state × event → state.
 *
 *              READY          SERVE            DRAIN              KILL             ENDED
 *   starting ────────▶ ready ────────▶ serving ────────▶ draining ────────▶ stopping ────────▶ gone
 *       │                │                ▲                  │
 *       │                │                └──────RESUME──────┘
 *       └─────DRAIN──────┴──▶ draining          (an aborted one that may hold clients)
 *
 * KILL leads to stopping from starting, ready, serving and draining; ENDED to gone from anywhere.
 * A cell that is not named is refused: nothing changes.
 */
#ifndef HANDOVER_SUPERVISOR_WORKER_STATE_H
#define HANDOVER_SUPERVISOR_WORKER_STATE_H

enum worker_state {
	WORKER_INVALID, /* no such cell */
	WORKER_STARTING,
	WORKER_READY,	 /* has said that it can serve */
	WORKER_SERVING,	 /* may accept */
	WORKER_DRAINING, /* finishes what is in flight */
	WORKER_STOPPING, /* was sent the kill signals */
	WORKER_GONE,	 /* its process has ended and was reaped */
	WORKER_STATES
};

enum worker_event {
	WORKER_ON_READY,
	WORKER_ON_SERVE,
	WORKER_ON_DRAIN,
	WORKER_ON_RESUME,
	WORKER_ON_KILL,
	WORKER_ON_ENDED,
	WORKER_EVENTS
};

/* The state that follows, or WORKER_INVALID. */
enum worker_state worker_state_after(enum worker_state state, enum worker_event event);

/* "starting", …: the word of the control interface. */
const char *worker_state_name(enum worker_state state);

#endif
