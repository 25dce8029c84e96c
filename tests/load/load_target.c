#include "tests/load/load_target.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "proto/base.h"

static int parse_port(const char *text, in_port_t *ret_port)
{
	char *end = NULL;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	unsigned long port = strtoul(text, &end, 10);
	if (errno || *end || port == 0 || port > 65535)
		return -EINVAL;
	*ret_port = htons((in_port_t)port);
	return 0;
}

static int refuse(const char **ret_reason, const char *reason)
{
	*ret_reason = reason;
	return -EINVAL;
}

static int parse_tcp(struct target *target, const char *text, const char **ret_reason)
{
	struct sockaddr_in *inet = (struct sockaddr_in *)&target->address;
	struct sockaddr_in6 *inet6 = (struct sockaddr_in6 *)&target->address;
	char host[INET6_ADDRSTRLEN + 2];
	const char *colon = strrchr(text, ':');
	in_port_t port;

	if (!colon || (size_t)(colon - text) >= sizeof(host) || parse_port(colon + 1, &port) < 0)
		return refuse(ret_reason, "is not tcp:ADDRESS:PORT");
	size_t size = (size_t)(colon - text);
	memcpy(host, text, size);
	host[size] = '\0';

	if (inet_pton(AF_INET, host, &inet->sin_addr) == 1) {
		if (ntohl(inet->sin_addr.s_addr) >> 24 != IN_LOOPBACKNET)
			return refuse(ret_reason,
				      "is not a loopback address: only 127.0.0.0/8, [::1] "
				      "and Unix sockets are");
		inet->sin_family = AF_INET;
		inet->sin_port = port;
		target->address_bytes = sizeof(*inet);
		return 0;
	}
	if (size < 2 || host[0] != '[' || host[size - 1] != ']')
		return refuse(ret_reason,
			      "is not a numeric address (tcp:127.0.0.1:80, tcp:[::1]:80)");
	host[size - 1] = '\0';
	if (inet_pton(AF_INET6, host + 1, &inet6->sin6_addr) != 1)
		return refuse(ret_reason,
			      "is not a numeric address (tcp:127.0.0.1:80, tcp:[::1]:80)");
	if (!IN6_IS_ADDR_LOOPBACK(&inet6->sin6_addr))
		return refuse(ret_reason,
			      "is not a loopback address: only 127.0.0.0/8, [::1] and Unix "
			      "sockets are");
	inet6->sin6_family = AF_INET6;
	inet6->sin6_port = port;
	target->address_bytes = sizeof(*inet6);
	return 0;
}

static int parse_unix(struct target *target, const char *text, const char **ret_reason)
{
	struct sockaddr_un *local = (struct sockaddr_un *)&target->address;
	size_t size = strlen(text);

	if ((text[0] != '/' && text[0] != '@') || size < 2)
		return refuse(ret_reason, "is neither unix:/PATH nor unix:@NAME");
	if (size >= sizeof(local->sun_path))
		return refuse(ret_reason, "is longer than a Unix socket's address may be");
	local->sun_family = AF_UNIX;
	memcpy(local->sun_path, text, size + 1);
	target->address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + 1);
	if (text[0] == '@') {
		local->sun_path[0] = '\0';
		target->address_bytes--; /* an abstract name ends where its length says, without NUL */
	}
	return 0;
}

int target_parse(struct target *target, const char *text, const char **ret_reason)
{
	memset(target, 0, sizeof(*target));
	if (strncmp(text, "tcp:", 4) == 0)
		return parse_tcp(target, text + 4, ret_reason);
	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(target, text + 5, ret_reason);
	return refuse(ret_reason, "is neither tcp:ADDRESS:PORT nor unix:PATH");
}

int target_socket(struct target *target, int *ret_fd)
{
	const int on = 1;
	int family = target->address.ss_family;
	CLEANUP(fd_closep) int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (family != AF_UNIX && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		return -errno;
	if (family == AF_INET && target->sources > 1) {
		struct sockaddr_in source = { .sin_family = AF_INET };
		source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + target->next_source);
		target->next_source = (target->next_source + 1) % target->sources;
		/* Without this the port would be chosen at bind(), unique among all destinations. */
		if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) < 0)
			return -errno;
		if (bind(fd, (const struct sockaddr *)&source, sizeof(source)) < 0)
			return -errno;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int target_connect(const struct target *target, int fd)
{
	int r = connect(fd, (const struct sockaddr *)&target->address, target->address_bytes);
	return r < 0 ? -errno : 0;
}
