#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/spawn.h"

const char *exit_status_format(const struct exit_status *status,
			       char text[static EXIT_STATUS_TEXT_MAX])
{
	char name[SIGNAL_NAME_MAX];
	if (status->signal == 0)
		(void)snprintf(text, EXIT_STATUS_TEXT_MAX, "exited with status %d", status->code);
	else
		(void)snprintf(text, EXIT_STATUS_TEXT_MAX, "killed by %s%s",
			       signal_name(status->signal, name),
			       status->core_dumped ? " (core dumped)" : "");
	return text;
}

const char *signal_name(int signal, char text[static SIGNAL_NAME_MAX])
{
	const char *name = sigabbrev_np(signal);
	if (name)
		(void)snprintf(text, SIGNAL_NAME_MAX, "SIG%s", name);
	else if (signal == SIGRTMIN)
		(void)snprintf(text, SIGNAL_NAME_MAX, "SIGRTMIN");
	else if (signal > SIGRTMIN && signal <= SIGRTMAX)
		(void)snprintf(text, SIGNAL_NAME_MAX, "SIGRTMIN+%d", signal - SIGRTMIN);
	else
		(void)snprintf(text, SIGNAL_NAME_MAX, "signal %d", signal);
	return text;
}
