#include "supervisor/notify.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* Before more than this is there, the kernel makes a sender wait (net.unix.max_dgram_qlen). */
enum { DRAIN_MAX_DATAGRAMS = 1024, PACKET_MAX_FDS = 253 /* SCM_MAX_FD */ };

struct datagram {
	char text[NOTIFY_DATAGRAM_MAX_BYTES + 1];
	size_t n;
	pid_t sender; /* 0: not said */
	bool truncated;
	int fds[PACKET_MAX_FDS];
	size_t n_fds;
};

static uint64_t parse_usec(const char *text)
{
	char *end;
	if (text[0] < '0' || text[0] > '9')
		return 0;
	errno = 0;
	unsigned long long usec = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0' ? usec : 0;
}

static const char *value_of(const char *line, const char *name)
{
	size_t length = strlen(name);
	return strncmp(line, name, length) == 0 && line[length] == '=' ? line + length + 1 : NULL;
}

static void parse_line(const char *line, struct notify_message *message)
{
	const char *value;
	if (strcmp(line, "READY=1") == 0)
		message->ready = true;
	else if (strcmp(line, "STOPPING=1") == 0)
		message->stopping = true;
	else if (strcmp(line, "RELOADING=1") == 0)
		message->reloading = true;
	else if (strcmp(line, "WATCHDOG=1") == 0)
		message->watchdog = true;
	else if (strcmp(line, "WATCHDOG=trigger") == 0)
		message->watchdog_trigger = true;
	else if ((value = value_of(line, "WATCHDOG_USEC")))
		message->watchdog_usec = parse_usec(value);
	else if ((value = value_of(line, "EXTEND_TIMEOUT_USEC")))
		message->extend_timeout_usec = parse_usec(value);
	else if ((value = value_of(line, "STATUS")))
		message->status = value;
}

void notify_parse(char *text, size_t n, struct notify_message *ret_message)
{
	*ret_message = (struct notify_message){ .ready = false };
	while (n > 0 && text[n - 1] == '\0')
		n--;
	text[n] = '\0';
	if (strlen(text) != n) /* a NUL within it: no text at all */
		return;
	for (char *line = text; line;) {
		char *end = strchr(line, '\n');
		if (end)
			*end++ = '\0';
		parse_line(line, ret_message);
		line = end;
	}
}

static void take_ancillary(struct msghdr *header, struct datagram *datagram)
{
	for (struct cmsghdr *item = CMSG_FIRSTHDR(header); item; item = CMSG_NXTHDR(header, item)) {
		if (item->cmsg_level != SOL_SOCKET)
			continue;
		size_t n = item->cmsg_len - CMSG_LEN(0);
		if (item->cmsg_type == SCM_RIGHTS && datagram->n_fds == 0) {
			memcpy(datagram->fds, CMSG_DATA(item), n);
			datagram->n_fds = n / sizeof(int);
		} else if (item->cmsg_type == SCM_CREDENTIALS && n == sizeof(struct ucred)) {
			struct ucred credentials;
			memcpy(&credentials, CMSG_DATA(item), n);
			datagram->sender = credentials.pid;
		}
	}
}

/* Returns false when there is none. */
static bool receive(int fd, struct datagram *datagram)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct ucred)) +
			   CMSG_SPACE(sizeof(int) * PACKET_MAX_FDS)];
	} control;
	struct iovec piece = { .iov_base = datagram->text, .iov_len = NOTIFY_DATAGRAM_MAX_BYTES };
	struct msghdr header = { .msg_iov = &piece,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control) };
	ssize_t n;
	do
		n = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return false;
	datagram->n = (size_t)n;
	datagram->n_fds = 0;
	datagram->sender = 0;
	datagram->truncated = header.msg_flags & MSG_TRUNC;
	take_ancillary(&header, datagram);
	return true;
}

static void handle(struct notify *notify, struct datagram *datagram)
{
	bool stranger = notify->access == NOTIFY_ACCESS_MAIN &&
			datagram->sender != notify->main_pid;
	if (stranger || datagram->truncated) {
		if (notify->refused)
			notify->refused(notify->owner, datagram->sender);
		return;
	}
	struct notify_message message;
	notify_parse(datagram->text, datagram->n, &message);
	if (notify->message)
		notify->message(notify->owner, &message);
}

static void take(struct notify *notify, int limit)
{
	struct datagram datagram;
	/* A callback may close us. */
	while (limit-- > 0 && notify->fd >= 0 && receive(notify->fd, &datagram)) {
		handle(notify, &datagram);
		/* Not before: the end of BARRIER=1's descriptor says that all sent before it has
		 * been handled, see sd_notify_barrier(3). */
		for (size_t i = 0; i < datagram.n_fds; i++)
			(void)fd_close(datagram.fds[i]);
	}
}

static void on_readable(EV_P_ ev_io *watcher, int revents)
{
	struct notify *notify = container_of(watcher, struct notify, watcher);
	(void)loop, (void)revents;
	take(notify, NOTIFY_TURN_MAX_DATAGRAMS);
}

/* At no moment can others than @uid and root write to it. */
static int bind_socket(int fd, const struct sockaddr_un *address, uid_t uid, struct error *error)
{
	const char *path = address->sun_path;
	(void)unlink(path); /* a dead supervisor's: names are ours alone, by the directory's lock */
	mode_t before = umask(0177);
	int r = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
	(void)umask(before);
	if (r < 0)
		return error_set(error, r, "cannot bind the notify socket %s: %s", path,
				 strerror(-r));
	if (uid != (uid_t)-1 && lchown(path, uid, (gid_t)-1) < 0) {
		r = -errno;
		(void)unlink(path);
		return error_set(error, r, "cannot give the notify socket %s to uid %ld: %s", path,
				 (long)uid, strerror(-r));
	}
	return 0;
}

int notify_open(struct notify *notify, struct ev_loop *loop, const char *directory,
		const char *name, uid_t uid, enum notify_access access, struct error *error)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int length = snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", directory, name);
	if (length < 0 || (size_t)length >= sizeof(address.sun_path))
		return error_set(error, -ENAMETOOLONG,
				 "%s/%s is too long for a notify socket (%zu bytes at most)",
				 directory, name, sizeof(address.sun_path) - 1);
	CLEANUP(freep) char *path = strdup(address.sun_path);
	CLEANUP(fd_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;
	if (!path || fd < 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		return error_set(error, path ? -errno : -ENOMEM, "cannot make a notify socket: %s",
				 strerror(path ? errno : ENOMEM));
	int r = bind_socket(fd, &address, uid, error);
	if (r < 0)
		return r;
	*notify = (struct notify){
		.loop = loop, .fd = TAKE_FD(fd), .path = TAKE_PTR(path), .access = access
	};
	ev_io_init(&notify->watcher, on_readable, notify->fd, EV_READ);
	ev_io_start(loop, &notify->watcher);
	return 0;
}

void notify_drain(struct notify *notify)
{
	take(notify, DRAIN_MAX_DATAGRAMS);
}

void notify_close(struct notify *notify)
{
	if (notify->fd < 0)
		return;
	ev_io_stop(notify->loop, &notify->watcher);
	notify->fd = fd_close(notify->fd);
	(void)unlink(notify->path);
	free(notify->path);
	notify->path = NULL;
}
