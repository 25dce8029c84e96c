#include "supervisor/worker_state.h"

static const enum worker_state transitions[WORKER_STATES][WORKER_EVENTS] = {
	[WORKER_STARTING] = {
		[WORKER_ON_READY] = WORKER_READY,
		[WORKER_ON_DRAIN] = WORKER_DRAINING,
		[WORKER_ON_KILL] = WORKER_STOPPING,
		[WORKER_ON_ENDED] = WORKER_GONE,
	},
	[WORKER_READY] = {
		[WORKER_ON_SERVE] = WORKER_SERVING,
		[WORKER_ON_DRAIN] = WORKER_DRAINING,
		[WORKER_ON_KILL] = WORKER_STOPPING,
		[WORKER_ON_ENDED] = WORKER_GONE,
	},
	[WORKER_SERVING] = {
		[WORKER_ON_DRAIN] = WORKER_DRAINING,
		[WORKER_ON_KILL] = WORKER_STOPPING,
		[WORKER_ON_ENDED] = WORKER_GONE,
	},
	[WORKER_DRAINING] = {
		[WORKER_ON_RESUME] = WORKER_SERVING,
		[WORKER_ON_KILL] = WORKER_STOPPING,
		[WORKER_ON_ENDED] = WORKER_GONE,
	},
	[WORKER_STOPPING] = {
		[WORKER_ON_ENDED] = WORKER_GONE,
	},
};

static const char *const names[WORKER_STATES] = {
	[WORKER_INVALID] = "invalid",	[WORKER_STARTING] = "starting",
	[WORKER_READY] = "ready",	[WORKER_SERVING] = "serving",
	[WORKER_DRAINING] = "draining", [WORKER_STOPPING] = "stopping",
	[WORKER_GONE] = "gone",
};

enum worker_state worker_state_after(enum worker_state state, enum worker_event event)
{
	return transitions[state][event];
}

const char *worker_state_name(enum worker_state state)
{
	return names[state];
}
