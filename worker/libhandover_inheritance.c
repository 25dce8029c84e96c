#include "worker/libhandover_inheritance.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/base.h"

/* The first descriptor of LISTEN_FDS, see sd_listen_fds(3). */
enum { LISTEN_FDS_START = 3 };

static const char *const OURS_ALONE[] = {
	"HANDOVER_FD",	 "LISTEN_FDS",	  "LISTEN_FDNAMES", "LISTEN_PID",
	"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
};

/* Reads a decimal number from @variable. Returns 1, 0 when it is not set, or -EINVAL. */
static int number_from(const char *variable, uint64_t maximum, uint64_t *ret_value)
{
	const char *text = getenv(variable);
	if (!text)
		return 0;
	char *end;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	/* strtoull takes signs and leading blanks, which nobody writes on purpose. */
	if (!isdigit((unsigned char)text[0]) || *end != '\0' || errno != 0 || value > maximum)
		return -EINVAL;
	*ret_value = value;
	return 1;
}

/* Whether @variable holds this process's number. @if_unset is the answer where it is not set. */
static int names_us(const char *variable, int if_unset)
{
	uint64_t pid;
	int r = number_from(variable, INT_MAX, &pid);
	if (r <= 0)
		return r < 0 ? r : if_unset;
	return pid == (uint64_t)getpid();
}

static int copy_from(const char *variable, char **ret_text)
{
	const char *text = getenv(variable);
	if (!text)
		return 0;
	*ret_text = strdup(text);
	return *ret_text ? 0 : -ENOMEM;
}

int inheritance_add_socket(struct inheritance *inheritance, const char *name, int fd)
{
	struct inherited_socket *sockets = reallocarray(
		inheritance->sockets, inheritance->n_sockets + 1, sizeof(*sockets));
	if (!sockets)
		return -ENOMEM;
	inheritance->sockets = sockets;
	char *copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	sockets[inheritance->n_sockets++] = (struct inherited_socket){ .fd = fd, .name = copy };
	return 0;
}

static int read_sockets(struct inheritance *inheritance)
{
	int ours = names_us("LISTEN_PID", 0);
	if (ours <= 0)
		return ours;
	uint64_t count = 0;
	int r = number_from("LISTEN_FDS", INT_MAX - LISTEN_FDS_START, &count);
	if (r <= 0)
		return r;
	CLEANUP(freep) char *names = NULL;
	r = copy_from("LISTEN_FDNAMES", &names);
	if (r < 0)
		return r;

	char *rest = names;
	for (uint64_t i = 0; i < count; i++) {
		int fd = LISTEN_FDS_START + (int)i;
		if (fcntl(fd, F_GETFD) < 0)
			return -EBADF;
		const char *name = names ? strsep(&rest, ":") : "unknown";
		if (!name)
			return -EINVAL; /* fewer names than sockets */
		r = inheritance_add_socket(inheritance, name, fd);
		if (r < 0)
			return r;
	}
	return count > 0 && rest ? -EINVAL : 0; /* more names than sockets */
}

static int read_channel(struct inheritance *inheritance)
{
	int ours = names_us("LISTEN_PID", 1);
	if (ours <= 0)
		return ours;
	uint64_t fd;
	int r = number_from("HANDOVER_FD", INT_MAX, &fd);
	if (r <= 0)
		return r;
	int type;
	socklen_t size = sizeof(type);
	if (getsockopt((int)fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
		return -errno; /* EBADF, ENOTSOCK */
	if (type != SOCK_SEQPACKET)
		return -EPROTOTYPE;
	inheritance->channel_fd = (int)fd;

	uint64_t slot;
	r = number_from("HANDOVER_SLOT", INT_MAX, &slot);
	if (r < 0)
		return r;
	inheritance->slot = r > 0 ? (int)slot : -1;
	r = number_from("HANDOVER_GENERATION", UINT64_MAX, &inheritance->generation);
	if (r < 0)
		return r;
	return copy_from("HANDOVER_NAME", &inheritance->name);
}

static int read_watchdog(struct inheritance *inheritance)
{
	int ours = names_us("WATCHDOG_PID", 1);
	if (ours <= 0)
		return ours;
	int r = number_from("WATCHDOG_USEC", INT64_MAX / 2, &inheritance->watchdog_usec);
	return r < 0 ? r : 0;
}

int inheritance_read(struct inheritance *ret)
{
	*ret = (struct inheritance){ .channel_fd = -1, .slot = -1 };
	int r = read_sockets(ret);
	if (r >= 0)
		r = read_channel(ret);
	if (r >= 0)
		r = read_watchdog(ret);
	if (r >= 0 && ret->channel_fd < 0)
		r = copy_from("NOTIFY_SOCKET", &ret->notify_socket);
	if (r < 0)
		inheritance_forget(ret);
	return r;
}

static void set_cloexec(int fd)
{
	int flags = fcntl(fd, F_GETFD);
	if (flags >= 0)
		(void)fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
}

void inheritance_take(struct inheritance *inheritance)
{
	if (inheritance->channel_fd >= 0)
		set_cloexec(inheritance->channel_fd);
	for (size_t i = 0; i < inheritance->n_sockets; i++)
		set_cloexec(inheritance->sockets[i].fd);
}

void inheritance_unset_environment(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(OURS_ALONE); i++)
		(void)unsetenv(OURS_ALONE[i]);
}

void inheritance_forget(struct inheritance *inheritance)
{
	for (size_t i = 0; i < inheritance->n_sockets; i++)
		free(inheritance->sockets[i].name);
	free(inheritance->sockets);
	free(inheritance->notify_socket);
	free(inheritance->name);
	*inheritance = (struct inheritance){ .channel_fd = -1, .slot = -1 };
}

void inheritance_finish(struct inheritance *inheritance)
{
	(void)fd_close(inheritance->channel_fd);
	for (size_t i = 0; i < inheritance->n_sockets; i++)
		(void)fd_close(inheritance->sockets[i].fd);
	inheritance_forget(inheritance);
}
