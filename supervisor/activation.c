#include "supervisor/activation.h"

#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "proto/base.h"

struct activation_socket {
	int fd; /* -1 once it was taken */
	char *name;
	struct address address;
	const char *unfit; /* why no listener can have it, or NULL */
};

struct activation {
	struct activation_socket *sockets;
	size_t n_sockets;
};

static bool option_is(int fd, int option, int wanted)
{
	int value;
	socklen_t length = sizeof(value);
	return getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 && value == wanted;
}

static const char *why_unfit(int fd, const struct address *address)
{
	int family = address_family(address);
	if (family != AF_INET && family != AF_INET6 && family != AF_UNIX)
		return "it is no TCP or Unix socket";
	if (!option_is(fd, SO_TYPE, SOCK_STREAM))
		return "it is no stream socket (ListenStream=)";
	if (!option_is(fd, SO_ACCEPTCONN, 1))
		return "it does not listen (Accept=yes in the socket unit?)";
	return NULL;
}

static void socket_examine(struct activation_socket *socket)
{
	if (address_of_socket(socket->fd, &socket->address) < 0)
		socket->unfit = "it is no socket";
	else
		socket->unfit = why_unfit(socket->fd, &socket->address);
}

int activation_new(struct activation **ret_activation, struct error *error)
{
	char **names = NULL;
	CLEANUP(activation_freep) struct activation *activation = calloc(1, sizeof(*activation));
	if (!activation)
		return error_set(error, -ENOMEM, "out of memory");
	int n = sd_listen_fds_with_names(1, &names);
	if (n < 0)
		return error_set(error, n, "LISTEN_FDS or LISTEN_FDNAMES cannot be used: %s",
				 strerror(-n));
	if (n > 0)
		activation->sockets = calloc((size_t)n, sizeof(*activation->sockets));
	for (int i = 0; i < n; i++) {
		if (!activation->sockets) {
			(void)fd_close(SD_LISTEN_FDS_START + i);
			free(names[i]);
			continue;
		}
		struct activation_socket *socket = &activation->sockets[activation->n_sockets++];
		socket->fd = SD_LISTEN_FDS_START + i;
		socket->name = names[i];
		socket_examine(socket);
	}
	free(names);
	if (n > 0 && !activation->sockets)
		return error_set(error, -ENOMEM, "out of memory");
	*ret_activation = TAKE_PTR(activation);
	return 0;
}

void activation_free(struct activation *activation)
{
	if (!activation)
		return;
	for (size_t i = 0; i < activation->n_sockets; i++) {
		(void)fd_close(activation->sockets[i].fd);
		free(activation->sockets[i].name);
	}
	free(activation->sockets);
	free(activation);
}

size_t activation_count(const struct activation *activation)
{
	return activation->n_sockets;
}

/* Whether the name was given by nobody: what sd_listen_fds_with_names(3) puts where there are no
 * names, or the unit's own, which systemd passes where FileDescriptorName= is not set. */
static bool is_no_name(const char *name)
{
	size_t length = strlen(name), suffix = strlen(".socket");
	return length == 0 || strcmp(name, "unknown") == 0 ||
	       (length > suffix && strcmp(name + length - suffix, ".socket") == 0);
}

static bool address_matches(const struct address *passed, const struct address *wanted)
{
	struct address any_port = *passed;
	if (address_family(wanted) == AF_UNIX || address_port(wanted) != 0)
		return address_equal(passed, wanted);
	address_set_port(&any_port, 0);
	return address_equal(&any_port, wanted);
}

static int take_first(struct activation *activation, const char *listener_name,
		      const struct address *address)
{
	for (size_t i = 0; i < activation->n_sockets; i++) {
		struct activation_socket *socket = &activation->sockets[i];
		bool named = listener_name ? strcmp(socket->name, listener_name) == 0
					   : is_no_name(socket->name);
		if (socket->fd >= 0 && !socket->unfit && named &&
		    address_matches(&socket->address, address))
			return TAKE_FD(socket->fd);
	}
	return -1;
}

int activation_take(struct activation *activation, const char *listener_name,
		    const struct address *address)
{
	int fd = take_first(activation, listener_name, address);
	bool chosen_port = address_family(address) != AF_UNIX && address_port(address) == 0;
	return fd >= 0 || chosen_port ? fd : take_first(activation, NULL, address);
}

void activation_report_left_over(const struct activation *activation, struct problems *notices)
{
	for (size_t i = 0; i < activation->n_sockets; i++) {
		const struct activation_socket *socket = &activation->sockets[i];
		char text[ADDRESS_TEXT_MAX];
		if (socket->fd < 0)
			continue;
		if (socket->unfit)
			problems_add(
				notices,
				"descriptor %d (%s) from systemd is not used: %s; remove it from "
				"the socket unit",
				socket->fd, socket->name, socket->unfit);
		else
			problems_add(
				notices,
				"socket %s (%s) from systemd is not used: no listener of that "
				"name has this address; add ListenStream=%s to [Listener %s], or "
				"remove it from the socket unit",
				address_format(&socket->address, text), socket->name, text,
				is_no_name(socket->name) ? "NAME" : socket->name);
	}
}
