#include "worker/handover.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>

#include "proto/base.h"
#include "proto/json_text.h"
#include "worker/libhandover_internal.h"
#include "worker/libhandover_own_listener.h"

static const unsigned int ALL_FLAGS = HANDOVER_CATCH_SIGTERM | HANDOVER_UNSET_ENVIRONMENT |
				      HANDOVER_MANUAL_WATCHDOG;

/* Watches @fd for @source, -1 standing for the descriptor that could not be made. */
static int watch(struct handover *handover, enum source source, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u32 = source };
	if (fd < 0 || epoll_ctl(handover->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return -errno;
	return 0;
}

/* Attaching and freeing. */

static int catch_sigterm(struct handover *handover)
{
	sigset_t terminate, before;
	(void)sigemptyset(&terminate);
	(void)sigaddset(&terminate, SIGTERM);
	handover->signal_fd = signalfd(-1, &terminate, SFD_CLOEXEC | SFD_NONBLOCK);
	int r = watch(handover, SOURCE_SIGNAL, handover->signal_fd, EPOLLIN);
	if (r < 0)
		return r;
	r = pthread_sigmask(SIG_BLOCK, &terminate, &before);
	if (r != 0)
		return -r;
	handover->unblocks_sigterm = !sigismember(&before, SIGTERM);
	return 0;
}

/* All that can fail and changes nothing outside of @handover. */
static int prepare(struct handover *handover)
{
	struct inheritance *inheritance = &handover->inheritance;
	int r = inheritance_read(inheritance);
	if (r < 0)
		return r;
	r = notifier_init(&handover->notifier, inheritance->notify_socket);
	if (r < 0)
		return r;
	handover->outbox.channel_fd = inheritance->channel_fd;

	handover->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (handover->epoll_fd < 0)
		return -errno;
	if (inheritance->channel_fd >= 0) {
		r = watch(handover, SOURCE_CHANNEL, inheritance->channel_fd, EPOLLIN);
	} else {
		handover->self_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		r = watch(handover, SOURCE_SELF, handover->self_fd, EPOLLIN);
	}
	if (r < 0 || inheritance->watchdog_usec == 0)
		return r;
	if (!(handover->flags & HANDOVER_MANUAL_WATCHDOG)) {
		handover->watchdog_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
		r = watch(handover, SOURCE_WATCHDOG, handover->watchdog_fd, EPOLLIN);
		if (r < 0)
			return r;
	}
	return handover_arm_watchdog(handover);
}

/* Frees what is ours alone, leaving what was inherited. */
static void finish_own(struct handover *handover)
{
	notifier_finish(&handover->notifier);
	(void)fd_close(handover->signal_fd);
	(void)fd_close(handover->watchdog_fd);
	(void)fd_close(handover->self_fd);
	(void)fd_close(handover->epoll_fd);
	free(handover);
}

int handover_attach(struct handover **ret_handover, const struct handover_callbacks *callbacks,
		    void *owner, unsigned int flags)
{
	if (flags & ~ALL_FLAGS)
		return -EINVAL;
	struct handover *handover = malloc(sizeof(*handover));
	if (!handover)
		return -ENOMEM;
	*handover = (struct handover){
		.callbacks = *callbacks,
		.owner = owner,
		.flags = flags,
		.inheritance = { .channel_fd = -1, .slot = -1 },
		.notifier = { .fd = -1 },
		.outbox = { .channel_fd = -1, .notifier = &handover->notifier },
		.watchdog_deadline_usec = HANDOVER_NO_DEADLINE,
		.epoll_fd = -1,
		.signal_fd = -1,
		.watchdog_fd = -1,
		.self_fd = -1,
	};
	int r = prepare(handover);
	if (r >= 0 && flags & HANDOVER_CATCH_SIGTERM)
		r = catch_sigterm(handover);
	if (r < 0) {
		inheritance_forget(&handover->inheritance);
		finish_own(handover);
		return r;
	}
	inheritance_take(&handover->inheritance);
	if (flags & HANDOVER_UNSET_ENVIRONMENT)
		inheritance_unset_environment();
	*ret_handover = handover;
	return 0;
}

void handover_free(struct handover *handover)
{
	if (!handover)
		return;
	int saved = errno;
	if (handover->unblocks_sigterm) {
		sigset_t terminate;
		(void)sigemptyset(&terminate);
		(void)sigaddset(&terminate, SIGTERM);
		(void)pthread_sigmask(SIG_UNBLOCK, &terminate, NULL);
	}
	inheritance_finish(&handover->inheritance);
	finish_own(handover);
	errno = saved;
}

/* What the owner says. */

int handover_ready(struct handover *handover)
{
	if (handover->was_ready)
		return 0;
	handover->was_ready = true;
	if (handover->self_fd >= 0)
		(void)eventfd_write(handover->self_fd, 1);
	return handover_say(handover, OUTBOX_READY);
}

int handover_status(struct handover *handover, const char *text)
{
	json_auto_t *string = json_text(text, strlen(text));
	if (!string)
		return -ENOMEM;
	char *status = handover->outbox.status;
	size_t length = json_text_fit(json_string_value(string), json_string_length(string),
				      sizeof(handover->outbox.status) - 1);
	memcpy(status, json_string_value(string), length);
	status[length] = '\0';
	/* A line break in a notification would begin a new assignment. Not iscntrl(3): in the
	 * owner's locale it may take a byte out of the middle of a character. */
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)status[i] < ' ' || status[i] == '\x7f')
			status[i] = ' ';
	}
	return handover_say(handover, OUTBOX_STATUS);
}

int handover_draining(struct handover *handover, uint64_t open)
{
	if (open > INT64_MAX)
		return -EINVAL;
	handover->outbox.open = (int64_t)open;
	return handover_say(handover, OUTBOX_OPEN);
}

int handover_watchdog(struct handover *handover)
{
	if (handover->inheritance.watchdog_usec == 0)
		return 0;
	if (handover->is_orphan)
		return -EPIPE;
	int armed = handover_arm_watchdog(handover), said = handover_say(handover, OUTBOX_WATCHDOG);
	return said < 0 ? said : armed;
}

/* What the owner asks. */

int handover_fd(const struct handover *handover)
{
	return handover->epoll_fd;
}

int handover_socket(const struct handover *handover, const char *name, size_t index)
{
	const struct inheritance *inheritance = &handover->inheritance;
	for (size_t i = 0; i < inheritance->n_sockets; i++) {
		if ((!name || strcmp(inheritance->sockets[i].name, name) == 0) && index-- == 0)
			return inheritance->sockets[i].fd;
	}
	return -ENOENT;
}

const char *handover_socket_name(const struct handover *handover, int fd)
{
	const struct inheritance *inheritance = &handover->inheritance;
	for (size_t i = 0; i < inheritance->n_sockets; i++) {
		if (inheritance->sockets[i].fd == fd)
			return inheritance->sockets[i].name;
	}
	return NULL;
}

int handover_listen(struct handover *handover, const char *name, const char *address)
{
	if (name[0] == '\0' || strchr(name, ':'))
		return -EINVAL;
	if (handover_socket(handover, name, 0) >= 0)
		return 0;
	CLEANUP(fd_closep) int fd = -1;
	int r = own_listener_open(address, &fd);
	if (r < 0)
		return r;
	r = inheritance_add_socket(&handover->inheritance, name, fd);
	if (r < 0)
		return r;
	fd = -1;
	return 1;
}

uint64_t handover_watchdog_deadline_usec(const struct handover *handover)
{
	return handover->watchdog_deadline_usec;
}

bool handover_supervised(const struct handover *handover)
{
	return handover->inheritance.channel_fd >= 0;
}

const char *handover_name(const struct handover *handover)
{
	return handover->inheritance.name;
}

uint64_t handover_generation(const struct handover *handover)
{
	return handover->inheritance.generation;
}

int handover_slot(const struct handover *handover)
{
	return handover->inheritance.slot;
}
