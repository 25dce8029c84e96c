#include "supervisor/generation_state.h"

static const enum generation_state transitions[GENERATION_STATES][GENERATION_EVENTS] = {
	[GENERATION_STARTING] = {
		[GENERATION_ON_ALL_READY] = GENERATION_SETTLING,
		[GENERATION_ON_FAILED] = GENERATION_ABORTED,
	},
	[GENERATION_SETTLING] = {
		[GENERATION_ON_SETTLED] = GENERATION_SERVING,
		[GENERATION_ON_FAILED] = GENERATION_ABORTED,
	},
	[GENERATION_SERVING] = {
		[GENERATION_ON_REPLACED] = GENERATION_DRAINING,
	},
	[GENERATION_DRAINING] = {
		[GENERATION_ON_RESUME] = GENERATION_SERVING,
		[GENERATION_ON_EMPTY] = GENERATION_GONE,
	},
	[GENERATION_ABORTED] = {
		[GENERATION_ON_EMPTY] = GENERATION_GONE,
	},
};

static const char *const names[GENERATION_STATES] = {
	[GENERATION_INVALID] = "invalid",   [GENERATION_STARTING] = "starting",
	[GENERATION_SETTLING] = "settling", [GENERATION_SERVING] = "serving",
	[GENERATION_DRAINING] = "draining", [GENERATION_ABORTED] = "aborted",
	[GENERATION_GONE] = "gone",
};

enum generation_state generation_state_after(enum generation_state state,
					     enum generation_event event)
{
	return transitions[state][event];
}

const char *generation_state_name(enum generation_state state)
{
	return names[state];
}
