#include <stdio.h>
#include <string.h>

#include "proto/channel.h"
#include "proto/json_text.h"
#include "proto/limits.h"
#include "proto/worker_message.h"
#include "supervisor/clock.h"
#include "supervisor/spec.h"
#include "supervisor/worker_internal.h"

/* Packets read from one worker in one turn of the loop, so that none holds up the others. */
enum { CHANNEL_TURN_MAX_PACKETS = 32 };

static void worker_set_status(struct worker *worker, const char *status)
{
	size_t length = json_text_fit(status, strlen(status), WORKER_STATUS_MAX_BYTES);
	char *copy = strndup(status, length);
	if (!copy)
		return;
	free(worker->status);
	worker->status = copy;
}

static void worker_hear(struct worker *worker, const struct worker_message *message)
{
	char text[WORKER_STATUS_MAX_BYTES + 1];
	switch (message->type) {
	case WORKER_MESSAGE_READY:
		worker_is_ready(worker, WORKER_NATIVE);
		return;
	case WORKER_MESSAGE_STATUS:
		worker_set_status(worker, message->status);
		return;
	case WORKER_MESSAGE_DRAINING:
		snprintf(text, sizeof(text), "draining, %lld connections open",
			 (long long)message->open);
		worker_set_status(worker, text);
		worker_withdraws(worker, WORKER_STOPS,
				 "drains, and not because it was asked to (SIGTERM?)");
		return;
	case WORKER_MESSAGE_WATCHDOG:
		worker_pulse(worker, 0);
		return;
	case WORKER_MESSAGE_SERVE:
	case WORKER_MESSAGE_DRAIN:
	case WORKER_MESSAGE_RESUME:
	case WORKER_MESSAGE_TYPES:
		worker_complain(worker, "sent a message that only a supervisor sends");
		return;
	}
}

static void worker_hear_packet(struct worker *worker, const struct channel_packet *packet)
{
	struct worker_message message;
	struct error error;
	if (packet->n_fds > 0)
		worker_complain(worker, "sent descriptors that nobody asked for; closed");
	int r = worker_message_decode(packet->message, &message, &error);
	if (r < 0) {
		(void)error_prefix(&error, r, "sent a message that is not understood");
		worker_complain(worker, error.text);
		return;
	}
	worker_hear(worker, &message);
}

/* Returns false when there is nothing more to read, now or ever. */
static bool worker_read_packet(struct worker *worker)
{
	struct channel_packet packet;
	int r = channel_receive(worker->channel_watcher.fd, &packet);
	if (r == 1) {
		worker_hear_packet(worker, &packet);
		channel_packet_finish(&packet);
		return true;
	}
	if (r == -EAGAIN)
		return false;
	if (r == -EBADMSG || r == -EMFILE) {
		worker_complain(worker, r == -EBADMSG
						? "sent a packet that is no JSON object; ignored"
						: "sent more descriptors than there is room for");
		return true;
	}
	/* The end: it closed its side, or never meant to speak here. */
	worker_close_channel(worker);
	return false;
}

void worker_read_channel(struct worker *worker)
{
	for (int i = 0; i < CHANNEL_TURN_MAX_PACKETS; i++)
		if (worker->channel_watcher.fd < 0 || !worker_read_packet(worker))
			return;
}

static void on_channel(EV_P_ ev_io *watcher, int revents)
{
	(void)loop, (void)revents;
	worker_read_channel(container_of(watcher, struct worker, channel_watcher));
}

void worker_init_channel(struct worker *worker)
{
	ev_io_init(&worker->channel_watcher, on_channel, -1, EV_READ);
}

void worker_watch_channel(struct worker *worker, int fd)
{
	ev_io_set(&worker->channel_watcher, fd, EV_READ);
	ev_io_start(worker->loop, &worker->channel_watcher);
}

void worker_close_channel(struct worker *worker)
{
	ev_io_stop(worker->loop, &worker->channel_watcher);
	worker->channel_watcher.fd = fd_close(worker->channel_watcher.fd);
}

static int worker_tell(struct worker *worker, const struct worker_message *message)
{
	json_t *json = worker_message_encode(message);
	int r = !json ? -ENOMEM
		: worker->channel_watcher.fd < 0
			? -EPIPE
			: channel_send(worker->channel_watcher.fd, json, NULL, 0, NULL, 0);
	json_decref(json);
	/* An end that is closed is mostly that of a worker whose death we have not seen yet. */
	if (r < 0 && r != -EPIPE && r != -ECONNRESET) {
		char text[128];
		snprintf(text, sizeof(text), "cannot be told on its channel: %s", strerror(-r));
		worker_complain(worker, text);
	}
	return r;
}

int worker_tell_serve(struct worker *worker)
{
	struct worker_message message = { .type = WORKER_MESSAGE_SERVE };
	return worker_tell(worker, &message);
}

/* A little before the kill, so that what a worker does at its deadline is done by then. */
static uint64_t drain_deadline_usec(uint64_t timeout_usec)
{
	uint64_t margin_usec = timeout_usec / 20;
	if (margin_usec > USEC_PER_SEC)
		margin_usec = USEC_PER_SEC;
	return clock_monotonic_usec() + timeout_usec - margin_usec;
}

int worker_tell_drain(struct worker *worker, uint64_t timeout_usec)
{
	struct worker_message message = {
		.type = WORKER_MESSAGE_DRAIN,
		.deadline_usec = timeout_usec > WORKER_TIMEOUT_MAX_USEC
					 ? UINT64_MAX
					 : drain_deadline_usec(timeout_usec),
	};
	return worker_tell(worker, &message);
}

static void on_notify(void *owner, const struct notify_message *message)
{
	struct worker *worker = owner;
	if (message->status)
		worker_set_status(worker, message->status);
	if (message->extend_timeout_usec)
		worker_extend_deadline(worker, message->extend_timeout_usec);
	if (message->watchdog || message->watchdog_usec)
		worker_pulse(worker, message->watchdog_usec);
	if (message->ready && worker->spec->type != WORKER_TYPE_NATIVE)
		worker_is_ready(worker, WORKER_NOTIFY);
	if (message->watchdog_trigger)
		worker_withdraws(worker, WORKER_HANGS, "says that it hangs (WATCHDOG=trigger)");
	else if (message->stopping)
		worker_withdraws(worker, WORKER_STOPS, "says that it stops (STOPPING=1)");
}

static void on_notify_refused(void *owner, pid_t sender)
{
	char text[96];
	snprintf(text, sizeof(text), "a notification from pid %d was not believed", (int)sender);
	worker_complain(owner, text);
}

void worker_watch_notify(struct worker *worker)
{
	worker->notify.message = on_notify;
	worker->notify.refused = on_notify_refused;
	worker->notify.owner = worker;
}
