#include "worker/libhandover_notifier.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "proto/base.h"

int notifier_init(struct notifier *notifier, const char *path)
{
	*notifier = (struct notifier){ .fd = -1, .address = { .sun_family = AF_UNIX } };
	if (!path)
		return 0;
	size_t length = strlen(path);
	if ((path[0] != '/' && path[0] != '@') || length < 2 ||
	    length >= sizeof(notifier->address.sun_path))
		return -EINVAL;
	memcpy(notifier->address.sun_path, path, length);
	size_t bytes = offsetof(struct sockaddr_un, sun_path) + length;
	if (path[0] == '@')
		notifier->address.sun_path[0] = '\0'; /* every byte counts: no terminator */
	else
		bytes++;
	notifier->address_bytes = (socklen_t)bytes;
	return 0;
}

static int notifier_connect(struct notifier *notifier)
{
	CLEANUP(fd_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&notifier->address, notifier->address_bytes) < 0)
		return -errno;
	notifier->fd = TAKE_FD(fd);
	return 0;
}

int notifier_send(struct notifier *notifier, const char *text)
{
	if (notifier->address_bytes == 0)
		return 0;
	bool is_fresh = notifier->fd < 0;
	for (;;) {
		if (notifier->fd < 0) {
			int r = notifier_connect(notifier);
			if (r < 0)
				return r;
		}
		if (send(notifier->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return 0;
		if (errno == EAGAIN)
			return -EAGAIN;
		int error = -errno;
		notifier->fd = fd_close(notifier->fd);
		if (is_fresh)
			return error;
		is_fresh = true; /* the receiver may have been started anew: once more */
	}
}

void notifier_finish(struct notifier *notifier)
{
	notifier->fd = fd_close(notifier->fd);
}
