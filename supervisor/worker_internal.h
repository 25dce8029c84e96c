/* What worker.c (its life) and worker_speech.c (what it says and is told) know of each other. */
#ifndef HANDOVER_SUPERVISOR_WORKER_INTERNAL_H
#define HANDOVER_SUPERVISOR_WORKER_INTERNAL_H

#include "supervisor/worker.h"

/* worker.c: what a message means for the worker's life. */
void worker_is_ready(struct worker *worker, enum worker_kind kind);
void worker_pulse(struct worker *worker, uint64_t watchdog_usec);
void worker_withdraws(struct worker *worker, enum worker_withdrawal how, const char *why);
void worker_extend_deadline(struct worker *worker, uint64_t timeout_usec);
void worker_complain(struct worker *worker, const char *text);

/* worker_speech.c: the channel and the notify socket. */
void worker_init_channel(struct worker *worker);
void worker_watch_channel(struct worker *worker, int fd);
void worker_read_channel(struct worker *worker);
void worker_close_channel(struct worker *worker);
void worker_watch_notify(struct worker *worker);
/* Each returns 0; -EPIPE or -ECONNRESET when nobody listens any more, mostly because it has just
 * died; another negative errno after complaining. */
int worker_tell_serve(struct worker *worker);
int worker_tell_drain(struct worker *worker, uint64_t timeout_usec);

#endif
