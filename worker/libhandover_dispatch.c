#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>

#include "proto/base.h"
#include "proto/channel.h"
#include "proto/worker_message.h"
#include "worker/libhandover_internal.h"

/* Packets read in one dispatch, so that a babbling supervisor cannot hold up the owner's loop. */
enum { PACKETS_PER_DISPATCH = 16 };

static uint64_t now_usec(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* The phases; what is out of place is ignored: the two sides' messages may cross. */

static void begin_serving(struct handover *handover)
{
	bool is_first = !handover->was_served;
	handover->phase = PHASE_SERVING;
	handover->was_served = true;
	if (is_first && handover->callbacks.serve)
		handover->callbacks.serve(handover, handover->owner);
	else if (!is_first && handover->callbacks.resume)
		handover->callbacks.resume(handover, handover->owner);
}

static void begin_draining(struct handover *handover, uint64_t deadline_usec)
{
	handover->phase = PHASE_DRAINING;
	if (handover->callbacks.drain)
		handover->callbacks.drain(handover, deadline_usec, handover->owner);
}

/* Out of the epoll set first: where a child that was forked has a copy, a descriptor that is only
 * closed stays in the set, and wakes us for ever. */
static int unwatch_and_close(struct handover *handover, int fd)
{
	if (fd >= 0)
		(void)epoll_ctl(handover->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	return fd_close(fd);
}

static void become_orphan(struct handover *handover)
{
	handover->inheritance.channel_fd = unwatch_and_close(handover,
							     handover->inheritance.channel_fd);
	handover->outbox.channel_fd = -1;
	handover->watchdog_fd = unwatch_and_close(handover, handover->watchdog_fd);
	handover->watchdog_deadline_usec = HANDOVER_NO_DEADLINE;
	handover->is_orphan = true;
	if (handover->callbacks.orphaned)
		handover->callbacks.orphaned(handover, handover->owner);
}

/* Sends what waits, and has the descriptor wake when a full socket takes more; for want of memory
 * at the loop's next turn, and each until there is some. */
static int flush(struct handover *handover)
{
	if (handover->is_orphan)
		return -EPIPE;
	int r = outbox_flush(&handover->outbox);
	bool is_full = r == -EAGAIN;
	if (is_full != handover->wants_write) {
		bool is_channel = handover->outbox.channel_fd >= 0;
		int fd = is_channel ? handover->outbox.channel_fd : handover->notifier.fd;
		struct epoll_event event = {
			.events = (is_channel ? EPOLLIN : 0u) | (is_full ? EPOLLOUT : 0u),
			.data.u32 = is_channel ? SOURCE_CHANNEL : SOURCE_NOTIFIER,
		};
		/* Nothing else is of interest on the notifier's socket: it is watched only then. */
		int operation = is_channel ? EPOLL_CTL_MOD
				: is_full  ? EPOLL_CTL_ADD
					   : EPOLL_CTL_DEL;
		if (epoll_ctl(handover->epoll_fd, operation, fd, &event) < 0 && is_full)
			return -errno;
		handover->wants_write = is_full;
	}
	return is_full ? 0 : r;
}

int handover_say(struct handover *handover, enum outbox_kind kind)
{
	handover->outbox.waiting[kind] = true;
	return flush(handover);
}

int handover_arm_watchdog(struct handover *handover)
{
	uint64_t interval_usec = handover->inheritance.watchdog_usec / 2;
	handover->watchdog_deadline_usec = now_usec() + interval_usec;
	if (handover->watchdog_fd < 0)
		return 0;
	struct itimerspec when = {
		.it_value.tv_sec = (time_t)(handover->watchdog_deadline_usec / 1000000),
		.it_value.tv_nsec = (long)(handover->watchdog_deadline_usec % 1000000) * 1000,
	};
	return timerfd_settime(handover->watchdog_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0 ? -errno
											  : 0;
}

static int on_message(struct handover *handover, json_t *json)
{
	struct worker_message message;
	int r = worker_message_decode(json, &message, NULL);
	if (r == -EOPNOTSUPP)
		return 0; /* a newer supervisor */
	if (r < 0)
		return r;
	if (message.type == WORKER_MESSAGE_DRAIN)
		begin_draining(handover, message.deadline_usec);
	else if ((message.type == WORKER_MESSAGE_SERVE && handover->phase == PHASE_WAITING) ||
		 (message.type == WORKER_MESSAGE_RESUME && handover->phase == PHASE_DRAINING))
		begin_serving(handover);
	return 0;
}

static int on_channel_readable(struct handover *handover)
{
	int result = 0;
	for (int i = 0; i < PACKETS_PER_DISPATCH; i++) {
		CLEANUP(channel_packet_finish) struct channel_packet packet = { 0 };
		int r = channel_receive(handover->inheritance.channel_fd, &packet);
		if (r == 0) {
			become_orphan(handover);
			return result;
		}
		if (r == -EAGAIN)
			return result;
		if (r > 0)
			r = on_message(handover, packet.message);
		if (r < 0 && result == 0)
			result = r;
	}
	return result;
}

static int on_signal(struct handover *handover)
{
	struct signalfd_siginfo info;
	if (read(handover->signal_fd, &info, sizeof(info)) < 0)
		return errno == EAGAIN ? 0 : -errno;
	bool is_again = handover->phase == PHASE_DRAINING;
	/* Nobody told us to on the channel: whoever gives us work has to hear of it. */
	enum outbox_kind kind = handover_supervised(handover) ? OUTBOX_OPEN : OUTBOX_STOPPING;
	if (!is_again)
		(void)handover_say(handover, kind);
	begin_draining(handover, is_again ? now_usec() : HANDOVER_NO_DEADLINE);
	return 0;
}

static int on_self(struct handover *handover)
{
	eventfd_t ignored;
	(void)eventfd_read(handover->self_fd, &ignored);
	if (handover->phase == PHASE_WAITING)
		begin_serving(handover);
	return 0;
}

static int on_source(struct handover *handover, enum source source, uint32_t events)
{
	switch (source) {
	case SOURCE_CHANNEL: {
		int r = events & ~(uint32_t)EPOLLOUT ? on_channel_readable(handover) : 0;
		if (events & EPOLLOUT)
			(void)flush(handover); /* that the peer is gone is learnt by reading */
		return r;
	}
	case SOURCE_NOTIFIER:
		return flush(handover);
	case SOURCE_SIGNAL:
		return on_signal(handover);
	case SOURCE_WATCHDOG:
		return handover_watchdog(handover);
	case SOURCE_SELF:
		return on_self(handover);
	case SOURCES:
		break;
	}
	return 0;
}

int handover_dispatch(struct handover *handover)
{
	struct epoll_event events[SOURCES];
	int n = epoll_wait(handover->epoll_fd, events, SOURCES, 0);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	int result = 0;
	for (int i = 0; i < n; i++) {
		/* A callback before may have ended this source. */
		if (handover->is_orphan && events[i].data.u32 == SOURCE_WATCHDOG)
			continue;
		int r = on_source(handover, events[i].data.u32, events[i].events);
		if (r < 0 && result == 0)
			result = r;
	}
	return result;
}
