/*
 * Requests for a reload: from a control call, a signal, or the first start. One runs at a time;
 * those that wait do so in order. Each is answered exactly once, if its caller is still there.
 */
#ifndef HANDOVER_SUPERVISOR_RELOAD_H
#define HANDOVER_SUPERVISOR_RELOAD_H

#include <stdbool.h>
#include <stdint.h>

struct supervisor;
struct varlink_call;

/* The first start, with the configuration that is in force. When it cannot even begin, the
 * supervisor stops with exit status 1. */
void reload_first(struct supervisor *supervisor);

/* From a control call: answered with its steps and its end, or at once with Busy. */
void reload_by_call(struct supervisor *supervisor, struct varlink_call *call, bool wait,
		    uint64_t timeout_usec);

/* From a signal: while another is under way, one more is remembered. */
void reload_by_signal(struct supervisor *supervisor);

/* Aborts the transition under way and refuses all that wait, since the supervisor stops. */
void reload_stop(struct supervisor *supervisor);

#endif
