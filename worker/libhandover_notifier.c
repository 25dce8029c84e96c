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
	notifier->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return notifier->fd < 0 ? -errno : 0;
}

static bool is_worth_connecting(int error)
{
	return error != EAGAIN && error != ENOMEM && error != ENOBUFS;
}

int notifier_send(struct notifier *notifier, const char *text)
{
	if (notifier->fd < 0)
		return 0;
	for (bool is_fresh = false;; is_fresh = true) {
		if (send(notifier->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return 0;
		if (is_fresh || !is_worth_connecting(errno))
			return -errno;
		/* The first time, or the receiver may have been started anew. */
		if (connect(notifier->fd, (const struct sockaddr *)&notifier->address,
			    notifier->address_bytes) < 0)
			return -errno;
	}
}

void notifier_finish(struct notifier *notifier)
{
	notifier->fd = fd_close(notifier->fd);
}
