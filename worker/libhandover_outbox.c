#include "worker/libhandover_outbox.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "proto/base.h"
#include "proto/channel.h"
#include "proto/worker_message.h"

static int send_to_channel(struct outbox *outbox, enum outbox_kind kind)
{
	struct worker_message message = { .deadline_usec = UINT64_MAX };
	switch (kind) {
	case OUTBOX_READY:
		message.type = WORKER_MESSAGE_READY;
		break;
	case OUTBOX_STATUS:
		message.type = WORKER_MESSAGE_STATUS;
		message.status = outbox->status;
		break;
	case OUTBOX_STOPPING:
		return 0; /* the count of what is still open says it on a channel */
	case OUTBOX_OPEN:
		message.type = WORKER_MESSAGE_DRAINING;
		message.open = outbox->open;
		break;
	case OUTBOX_WATCHDOG:
		message.type = WORKER_MESSAGE_WATCHDOG;
		break;
	case OUTBOX_KINDS:
		return 0;
	}
	json_t *json = worker_message_encode(&message);
	if (!json)
		return -ENOMEM;
	int r = channel_send(outbox->channel_fd, json, NULL, 0, NULL, 0);
	json_decref(json);
	return r == -ECONNRESET ? -EPIPE : r;
}

static int send_to_notifier(struct outbox *outbox, enum outbox_kind kind)
{
	char text[sizeof("STATUS=") + WORKER_STATUS_MAX_BYTES];
	switch (kind) {
	case OUTBOX_READY:
		return notifier_send(outbox->notifier, "READY=1");
	case OUTBOX_STATUS:
		(void)snprintf(text, sizeof(text), "STATUS=%s", outbox->status);
		return notifier_send(outbox->notifier, text);
	case OUTBOX_STOPPING:
		return notifier_send(outbox->notifier, "STOPPING=1");
	case OUTBOX_OPEN:
		(void)snprintf(text, sizeof(text), "STATUS=draining, %" PRId64 " open",
			       outbox->open);
		return notifier_send(outbox->notifier, text);
	case OUTBOX_WATCHDOG:
		return notifier_send(outbox->notifier, "WATCHDOG=1");
	case OUTBOX_KINDS:
		break;
	}
	return 0;
}

/* Of the socket's buffer or of memory: there is more later. */
static bool is_shortage(int r)
{
	return r == -EAGAIN || r == -ENOMEM || r == -ENOBUFS;
}

int outbox_flush(struct outbox *outbox)
{
	int result = 0;
	for (enum outbox_kind kind = 0; kind < OUTBOX_KINDS; kind++) {
		if (!outbox->waiting[kind])
			continue;
		int r = outbox->channel_fd >= 0 ? send_to_channel(outbox, kind)
						: send_to_notifier(outbox, kind);
		if (is_shortage(r))
			return -EAGAIN;
		outbox->waiting[kind] = false;
		if (r < 0 && result == 0)
			result = r;
	}
	return result;
}
