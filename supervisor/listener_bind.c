#include "supervisor/listener_bind.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base.h"
#include "supervisor/port_owner.h"

static int address_in_use(const struct address *address, struct error *error)
{
	struct port_owner owner;
	if (port_owner_find(address, &owner) < 0)
		return error_set(error, -EADDRINUSE,
				 "address in use, /proc does not tell by whom (another user's "
				 "process, or another container's?)");
	if (owner.pid == getpid())
		return error_set(
			error, -EADDRINUSE,
			"address in use by this handoverd itself (is it configured twice, or "
			"was it passed under another name?)");
	return error_set(error, -EADDRINUSE,
			 "address in use by pid %d (%s) (is another instance running? handoverctl "
			 "list)",
			 owner.pid, owner.program);
}

int listener_bind_failed(const struct address *address, int code, struct error *error)
{
	switch (-code) {
	case EADDRINUSE:
		return address_in_use(address, error);
	case EADDRNOTAVAIL:
		return error_set(error, code, "no network interface here has this address");
	case EAFNOSUPPORT:
		return error_set(error, code, "this machine has no IPv6");
	case EACCES:
		if (address_family(address) != AF_UNIX)
			return error_set(
				error, code,
				"permission denied: port %u needs root or "
				"CAP_NET_BIND_SERVICE (see net.ipv4.ip_unprivileged_port_start)",
				address_port(address));
		break;
	case ENOENT:
		return error_set(error, code, "the directory of the socket does not exist");
	}
	return error_set(error, code, "cannot be listened on: %s", strerror(-code));
}

static int socket_new(int family, bool nonblocking)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0);
	return fd < 0 ? -errno : fd;
}

static int socket_bind(int fd, const struct address *address)
{
	return bind(fd, (const struct sockaddr *)&address->storage, address->length) < 0 ? -errno
											 : 0;
}

static int option_set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* Without SO_REUSEADDR a restart could not bind while old connections are in TIME_WAIT. */
static int tcp_bound(const struct address *address, bool nonblocking)
{
	CLEANUP(fd_closep) int fd = socket_new(address_family(address), nonblocking);
	if (fd < 0)
		return fd;
	int r = option_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (r == 0)
		r = socket_bind(fd, address);
	return r < 0 ? r : TAKE_FD(fd);
}

/* A port that the kernel chose is given back when somebody shuts the socket down, and listen(2) would
 * then get another; one that bind(2) named is kept. So it is chosen by a socket of its own, which
 * holds it until it has been bound by name: neither listens, and both have SO_REUSEADDR. */
static int tcp_bound_by_name(struct address *address, bool nonblocking)
{
	if (address_port(address) != 0)
		return tcp_bound(address, nonblocking);
	CLEANUP(fd_closep) int chooser = tcp_bound(address, nonblocking);
	if (chooser < 0)
		return chooser;
	int r = address_of_socket(chooser, address);
	return r < 0 ? r : tcp_bound(address, nonblocking);
}

int listener_bind_tcp(const struct address *address, bool nonblocking, int *ret_fd,
		      struct address *ret_bound, struct error *error)
{
	struct address bound = *address;
	int fd = tcp_bound_by_name(&bound, nonblocking);
	if (fd == -EAFNOSUPPORT && address_without_ipv6(address, &bound))
		fd = tcp_bound_by_name(&bound, nonblocking);
	if (fd < 0)
		return listener_bind_failed(&bound, fd, error);
	*ret_bound = bound;
	*ret_fd = fd;
	return 0;
}

int listener_bind_share(int fd, struct error *error)
{
	/* Of a socket from systemd, connections may have been accepted: without SO_REUSEADDR on both
	 * sides they would block the others' bind. */
	int r = option_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (r == 0)
		r = option_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	return r < 0 ? error_set(error, r, "cannot set SO_REUSEPORT: %s", strerror(-r)) : 0;
}

/* Members of a group agree on it; systemd may have set what is not the kernel's default. */
static int copy_v6only(int from, int to)
{
	int v6only;
	socklen_t length = sizeof(v6only);
	if (getsockopt(from, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, &length) < 0)
		return -errno;
	return option_set(to, IPPROTO_IPV6, IPV6_V6ONLY, v6only);
}

static int join_failed(int first_fd, const struct address *address, int code, struct error *error)
{
	struct stat first;
	if (code == -EADDRINUSE && fstat(first_fd, &first) == 0 && first.st_uid != geteuid())
		return error_set(
			error, code,
			"the socket belongs to uid %u, so that the kernel lets no socket of "
			"uid %u join it for ReusePort=yes; set ReusePort=no, or let handoverd "
			"bind the address",
			first.st_uid, geteuid());
	return listener_bind_failed(address, code, error);
}

int listener_bind_join(int first_fd, bool nonblocking, int *ret_fd, struct error *error)
{
	struct address address;
	int r = address_of_socket(first_fd, &address);
	if (r < 0)
		return error_set(error, r, "cannot read the socket's address: %s", strerror(-r));
	CLEANUP(fd_closep) int fd = socket_new(address_family(&address), nonblocking);
	if (fd < 0)
		return listener_bind_failed(&address, fd, error);
	r = listener_bind_share(fd, error);
	if (r < 0)
		return r;
	if (address_family(&address) == AF_INET6)
		r = copy_v6only(first_fd, fd);
	if (r == 0)
		r = socket_bind(fd, &address);
	if (r < 0)
		return join_failed(first_fd, &address, r, error);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int listener_bind_nonblocking(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return -errno;
	flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}
