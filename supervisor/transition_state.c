#include "supervisor/transition_state.h"

static const enum transition_state transitions[TRANSITION_STATES][TRANSITION_EVENTS] = {
	[TRANSITION_WAITING] = {
		[TRANSITION_ON_ROOM] = TRANSITION_STARTING,
		[TRANSITION_ON_FAILED] = TRANSITION_FAILED,
	},
	[TRANSITION_STARTING] = {
		[TRANSITION_ON_ALL_READY] = TRANSITION_SETTLING,
		[TRANSITION_ON_FAILED] = TRANSITION_FAILED,
	},
	[TRANSITION_SETTLING] = {
		[TRANSITION_ON_SETTLED] = TRANSITION_DONE,
		[TRANSITION_ON_FAILED] = TRANSITION_FAILED,
	},
};

static const char *const names[TRANSITION_STATES] = {
	[TRANSITION_INVALID] = "invalid",   [TRANSITION_WAITING] = "waiting",
	[TRANSITION_STARTING] = "starting", [TRANSITION_SETTLING] = "settling",
	[TRANSITION_DONE] = "done",	    [TRANSITION_FAILED] = "failed",
};

enum transition_state transition_state_after(enum transition_state state,
					     enum transition_event event)
{
	return transitions[state][event];
}

const char *transition_state_name(enum transition_state state)
{
	return names[state];
}
