/*
 * The sockets that systemd (or systemd-socket-activate) passed: LISTEN_FDS, LISTEN_PID,
 * LISTEN_FDNAMES, see sd_listen_fds(3). Each is taken once, by name and local address, by address
 * alone where the name is no name (`unknown`, or a unit's own such as `web.socket`). Owner: main,
 * until the listeners took theirs; what is left over is named and closed with it.
 *
 * Beside systemd.c the one module that includes sd-daemon.h.
 */
#ifndef HANDOVER_SUPERVISOR_ACTIVATION_H
#define HANDOVER_SUPERVISOR_ACTIVATION_H

#include <stdbool.h>

#include "supervisor/address.h"
#include "supervisor/problems.h"

struct activation;

/* Takes the descriptors from the environment (which is left without LISTEN_*); sets FD_CLOEXEC.
 * Without any, an empty one. Returns 0 or a negative errno with @error's text. */
int activation_new(struct activation **ret_activation, struct error *error);
void activation_free(struct activation *activation);
static inline void activation_freep(struct activation **activation)
{
	activation_free(*activation);
}

size_t activation_count(const struct activation *activation);

/* Takes the stream socket that is meant for @listener_name at @address out; -1 if there is none.
 * One that listens for something else under that name is left. A port 0 matches by name alone. */
int activation_take(struct activation *activation, const char *listener_name,
		    const struct address *address);

/* A line for each descriptor that nobody took: its name, address, and what to do. */
void activation_report_left_over(const struct activation *activation, struct problems *notices);

#endif
