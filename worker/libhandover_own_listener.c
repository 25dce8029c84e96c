#include "worker/libhandover_own_listener.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/un.h>

#include "proto/base.h"

static int parse_port(const char *text, in_port_t *ret_port)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || *end != '\0' || port > UINT16_MAX)
		return -EINVAL;
	*ret_port = htons((uint16_t)port);
	return 0;
}

static int parse_tcp(const char *text, struct sockaddr_storage *address, socklen_t *ret_bytes)
{
	char host[INET6_ADDRSTRLEN + 2]; /* brackets */
	const char *colon = strrchr(text, ':');
	if (!colon || (size_t)(colon - text) >= sizeof(host))
		return -EINVAL;
	size_t length = (size_t)(colon - text);
	memcpy(host, text, length);
	host[length] = '\0';

	struct sockaddr_in *v4 = (struct sockaddr_in *)address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
	if (length > 2 && host[0] == '[' && host[length - 1] == ']') {
		host[length - 1] = '\0';
		v6->sin6_family = AF_INET6;
		*ret_bytes = sizeof(*v6);
		return inet_pton(AF_INET6, host + 1, &v6->sin6_addr) == 1
			       ? parse_port(colon + 1, &v6->sin6_port)
			       : -EINVAL;
	}
	v4->sin_family = AF_INET;
	*ret_bytes = sizeof(*v4);
	return inet_pton(AF_INET, host, &v4->sin_addr) == 1 ? parse_port(colon + 1, &v4->sin_port)
							    : -EINVAL;
}

static int parse_unix(const char *text, struct sockaddr_storage *address, socklen_t *ret_bytes)
{
	struct sockaddr_un *local = (struct sockaddr_un *)address;
	size_t length = strlen(text);
	if ((text[0] != '/' && text[0] != '@') || length < 2 || length >= sizeof(local->sun_path))
		return -EINVAL;
	local->sun_family = AF_UNIX;
	memcpy(local->sun_path, text, length);
	if (text[0] == '@')
		local->sun_path[0] = '\0';
	*ret_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length +
				 (text[0] == '/' ? 1 : 0));
	return 0;
}

int own_listener_parse(const char *text, struct sockaddr_storage *ret_address,
		       socklen_t *ret_address_bytes)
{
	struct sockaddr_storage address = { 0 };
	socklen_t bytes = 0;
	int r = -EINVAL;
	if (strncmp(text, "tcp:", 4) == 0)
		r = parse_tcp(text + 4, &address, &bytes);
	else if (strncmp(text, "unix:", 5) == 0)
		r = parse_unix(text + 5, &address, &bytes);
	if (r < 0)
		return r;
	*ret_address = address;
	*ret_address_bytes = bytes;
	return 0;
}

/* Whether @address is a socket file that no socket listens behind any more. */
static bool is_left_behind(const struct sockaddr_storage *address, socklen_t bytes)
{
	const struct sockaddr_un *local = (const struct sockaddr_un *)address;
	if (address->ss_family != AF_UNIX || local->sun_path[0] == '\0')
		return false;
	CLEANUP(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return fd >= 0 && connect(fd, (const struct sockaddr *)address, bytes) < 0 &&
	       errno == ECONNREFUSED;
}

int own_listener_open(const char *text, int *ret_fd)
{
	struct sockaddr_storage address;
	socklen_t bytes;
	int r = own_listener_parse(text, &address, &bytes);
	if (r < 0)
		return r;
	CLEANUP(fd_closep)
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	int on = 1;
	if (address.ss_family != AF_UNIX &&
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	r = bind(fd, (const struct sockaddr *)&address, bytes) < 0 ? -errno : 0;
	if (r == -EADDRINUSE && is_left_behind(&address, bytes) &&
	    unlink(((const struct sockaddr_un *)&address)->sun_path) == 0)
		r = bind(fd, (const struct sockaddr *)&address, bytes) < 0 ? -errno : 0;
	if (r < 0)
		return r;
	if (listen(fd, SOMAXCONN) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}
