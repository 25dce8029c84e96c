#include "supervisor/systemd.h"

#include <ev.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <time.h>

/* Of changes of state; each other kind waits at most once. */
enum { QUEUE_MAX_MESSAGES = 32, STATUS_MAX_BYTES = 512 };

enum kind { KIND_STATE, KIND_STATUS, KIND_EXTEND, KIND_WATCHDOG };

struct message {
	enum kind kind;
	char *text;
};

struct systemd {
	struct ev_loop *loop;
	int fd; /* connected; -1: there is no manager */
	struct sockaddr_un address;
	socklen_t address_length;
	ev_io writable;
	ev_timer watchdog;
	struct message queue[QUEUE_MAX_MESSAGES]; /* oldest first */
	size_t n_queue;
};

static void forget(struct systemd *systemd, size_t index)
{
	free(systemd->queue[index].text);
	systemd->n_queue--;
	memmove(&systemd->queue[index], &systemd->queue[index + 1],
		(systemd->n_queue - index) * sizeof(systemd->queue[0]));
}

/* A manager that executed itself anew may have made its socket anew. */
static int reconnect(struct systemd *systemd)
{
	return connect(systemd->fd, (const struct sockaddr *)&systemd->address,
		       systemd->address_length);
}

/* Returns false when it has to wait. What cannot be said to anybody counts as said. */
static bool send_text(struct systemd *systemd, const char *text)
{
	for (int attempt = 0; attempt < 2; attempt++) {
		if (send(systemd->fd, text, strlen(text), MSG_NOSIGNAL) >= 0)
			return true;
		if (errno == EAGAIN || errno == ENOBUFS)
			return false;
		if (reconnect(systemd) < 0)
			return true;
	}
	return true;
}

static void flush(struct systemd *systemd)
{
	while (systemd->n_queue > 0 && send_text(systemd, systemd->queue[0].text))
		forget(systemd, 0);
	if (systemd->n_queue > 0)
		ev_io_start(systemd->loop, &systemd->writable);
	else
		ev_io_stop(systemd->loop, &systemd->writable);
}

static void on_writable(EV_P_ ev_io *watcher, int revents)
{
	(void)loop, (void)revents;
	flush(container_of(watcher, struct systemd, writable));
}

/* What is newer replaces what still waits, but for changes of state, whose order tells a story. Of
 * those, the oldest goes when there are too many. */
static void say(struct systemd *systemd, enum kind kind, const char *text)
{
	if (systemd->fd < 0)
		return;
	char *copy = strdup(text);
	if (!copy)
		return;
	for (size_t i = 0; kind != KIND_STATE && i < systemd->n_queue; i++)
		if (systemd->queue[i].kind == kind)
			forget(systemd, i--);
	if (systemd->n_queue == QUEUE_MAX_MESSAGES)
		forget(systemd, 0);
	systemd->queue[systemd->n_queue++] = (struct message){ .kind = kind, .text = copy };
	flush(systemd);
}

static void on_watchdog(EV_P_ ev_timer *timer, int revents)
{
	(void)loop, (void)revents;
	say(container_of(timer, struct systemd, watchdog), KIND_WATCHDOG, "WATCHDOG=1");
}

/* See sd_notify(3): a path, or an abstract name written with '@'. */
static bool parse_address(const char *text, struct systemd *systemd)
{
	size_t n = strlen(text);
	if ((text[0] != '/' && text[0] != '@') || n < 2 || n >= sizeof(systemd->address.sun_path))
		return false;
	systemd->address.sun_family = AF_UNIX;
	memcpy(systemd->address.sun_path, text, n + 1);
	systemd->address_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	if (text[0] == '@')
		systemd->address.sun_path[0] = '\0';
	else
		systemd->address_length++;
	return true;
}

/* Returns 0 also where there is no manager to be reached. */
static int open_socket(struct systemd *systemd)
{
	const char *text = getenv("NOTIFY_SOCKET");
	if (!text || !parse_address(text, systemd))
		return 0;
	systemd->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (systemd->fd < 0)
		return -errno;
	if (reconnect(systemd) < 0)
		systemd->fd = fd_close(systemd->fd);
	return 0;
}

int systemd_new(struct ev_loop *loop, struct systemd **ret_systemd)
{
	uint64_t interval_usec = 0;
	struct systemd *systemd = calloc(1, sizeof(*systemd));
	if (!systemd)
		return -ENOMEM;
	systemd->loop = loop;
	systemd->fd = -1;
	int r = open_socket(systemd);
	if (r < 0) {
		free(systemd);
		return r;
	}
	(void)unsetenv("NOTIFY_SOCKET");
	ev_io_init(&systemd->writable, on_writable, systemd->fd, EV_WRITE);
	ev_timer_init(&systemd->watchdog, on_watchdog, 0, 0);
	if (sd_watchdog_enabled(1, &interval_usec) > 0 && systemd->fd >= 0) {
		ev_timer_set(&systemd->watchdog, 0, (double)interval_usec / 2 / 1e6);
		ev_timer_start(loop, &systemd->watchdog);
	}
	*ret_systemd = systemd;
	return 0;
}

void systemd_free(struct systemd *systemd)
{
	if (!systemd)
		return;
	ev_timer_stop(systemd->loop, &systemd->watchdog);
	ev_io_stop(systemd->loop, &systemd->writable);
	while (systemd->n_queue > 0)
		forget(systemd, 0);
	(void)fd_close(systemd->fd);
	free(systemd);
}

void systemd_ready(struct systemd *systemd)
{
	say(systemd, KIND_STATE, "READY=1");
}

/* Both in one datagram, as Type=notify-reload wants it. */
void systemd_reloading(struct systemd *systemd)
{
	struct timespec now;
	char text[80];
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	(void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
		       (unsigned long long)now.tv_sec * 1000000 +
			       (unsigned long long)now.tv_nsec / 1000);
	say(systemd, KIND_STATE, text);
}

void systemd_stopping(struct systemd *systemd)
{
	say(systemd, KIND_STATE, "STOPPING=1");
}

void systemd_status(struct systemd *systemd, const char *format, ...)
{
	char text[STATUS_MAX_BYTES] = "STATUS=";
	size_t head = strlen(text);
	va_list arguments;
	va_start(arguments, format);
	(void)vsnprintf(text + head, sizeof(text) - head, format, arguments);
	va_end(arguments);
	text[strcspn(text, "\n")] = '\0'; /* what follows would be another assignment */
	say(systemd, KIND_STATUS, text);
}

void systemd_extend_timeout(struct systemd *systemd, unsigned long long usec)
{
	char text[64];
	(void)snprintf(text, sizeof(text), "EXTEND_TIMEOUT_USEC=%llu", usec);
	say(systemd, KIND_EXTEND, text);
}
