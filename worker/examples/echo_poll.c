/*
 * A worker in C with nothing but libhandover and poll(2): answers each HTTP request with its first
 * line, and closes. What makes it replaceable under load is marked with arrows.
 *
 *	handoverd --name echo --listen http=127.0.0.1:8080 -- echo_poll
 *	echo_poll [ADDRESS]                          alone, at tcp:127.0.0.1:8080 or ADDRESS
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "worker/handover.h"

enum { MAX_LISTENERS = 16, MAX_CLIENTS = 1000, REQUEST_BYTES = 4096 };

struct client {
	int fd;
	size_t used;
	char request[REQUEST_BYTES];
};

struct service {
	bool is_accepting, is_draining;
	uint64_t deadline_usec;
	struct client *clients[MAX_CLIENTS];
	size_t n_clients;
};

/* → Serve and resume are the same for us: accept. */
static void on_serve(struct handover *handover, void *owner)
{
	struct service *service = owner;
	(void)handover;
	service->is_accepting = true;
	service->is_draining = false;
}

/* → Drain: accept no more, finish what is open. The listeners stay open. */
static void on_drain(struct handover *handover, uint64_t deadline_usec, void *owner)
{
	struct service *service = owner;
	service->is_accepting = false;
	service->is_draining = true;
	service->deadline_usec = deadline_usec;
	(void)handover_draining(handover, service->n_clients);
}

/* → Whoever has not been told to serve by now never will be: nothing is left to do. */
static void on_orphaned(struct handover *handover, void *owner)
{
	struct service *service = owner;
	(void)handover;
	if (!service->is_accepting)
		service->is_draining = true;
}

static void accept_client(struct service *service, int listener_fd)
{
	int fd = accept4(listener_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return; /* a neighbour was faster */
	struct client *client = calloc(1, sizeof(*client));
	if (!client) {
		(void)close(fd);
		return;
	}
	client->fd = fd;
	service->clients[service->n_clients++] = client;
}

static void answer(struct client *client)
{
	const char *generation = getenv("HANDOVER_GENERATION");
	char text[REQUEST_BYTES + 256];
	size_t line = strcspn(client->request, "\r\n");
	int length = snprintf(text, sizeof(text),
			      "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n"
			      "Content-Length: %zu\r\nX-Generation: %s\r\n"
			      "Connection: close\r\n\r\n%.*s\n",
			      line + 1, generation ? generation : "0", (int)line, client->request);
	/* It fits into the empty buffer of a new connection. */
	(void)send(client->fd, text, (size_t)length, MSG_NOSIGNAL);
}

/* Returns whether the client is done with. */
static bool read_client(struct client *client)
{
	ssize_t n = recv(client->fd, client->request + client->used,
			 sizeof(client->request) - 1 - client->used, 0);
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0)
		return true; /* gone, or its request is too long for us */
	client->used += (size_t)n;
	if (!strstr(client->request, "\r\n\r\n"))
		return false;
	answer(client);
	return true;
}

static void drop_client(struct service *service, struct handover *handover, size_t index)
{
	(void)close(service->clients[index]->fd);
	free(service->clients[index]);
	service->clients[index] = service->clients[--service->n_clients];
	if (service->is_draining)
		(void)handover_draining(handover, service->n_clients);
}

/* How long to wait for poll(2): until the drain's deadline, if there is one. */
static int timeout_ms(const struct service *service)
{
	if (!service->is_draining || service->deadline_usec == HANDOVER_NO_DEADLINE)
		return -1;
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	uint64_t now_usec = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	if (now_usec >= service->deadline_usec)
		return 0;
	uint64_t left_ms = (service->deadline_usec - now_usec) / 1000 + 1;
	return left_ms > 60000 ? 60000 : (int)left_ms;
}

static void serve(struct service *service, struct handover *handover)
{
	while (!service->is_draining || service->n_clients > 0) {
		struct pollfd fds[1 + MAX_CLIENTS + MAX_LISTENERS];
		nfds_t n = 0;
		fds[n++] = (struct pollfd){ handover_fd(handover), POLLIN, 0 };
		for (size_t i = 0; i < service->n_clients; i++)
			fds[n++] = (struct pollfd){ service->clients[i]->fd, POLLIN, 0 };
		nfds_t first_listener = n;
		int fd;
		for (size_t i = 0; (fd = handover_socket(handover, NULL, i)) >= 0; i++) {
			if (service->is_accepting && service->n_clients + i < MAX_CLIENTS &&
			    i < MAX_LISTENERS)
				fds[n++] = (struct pollfd){ fd, POLLIN, 0 };
		}
		int wait_ms = timeout_ms(service);
		if (poll(fds, n, wait_ms) == 0 && wait_ms == 0)
			return; /* the deadline has come, and nobody has said anything */
		for (nfds_t i = first_listener; i < n; i++) {
			if (fds[i].revents)
				accept_client(service, fds[i].fd);
		}
		/* From the end, since dropping one moves the last into its place. */
		for (nfds_t i = first_listener - 1; i >= 1; i--) {
			if (fds[i].revents && read_client(service->clients[i - 1]))
				drop_client(service, handover, i - 1);
		}
		if (fds[0].revents)
			(void)handover_dispatch(handover); /* → calls on_serve and on_drain */
	}
}

int main(int argc, char *argv[])
{
	static const struct handover_callbacks CALLBACKS = {
		.serve = on_serve,
		.drain = on_drain,
		.resume = on_serve,
		.orphaned = on_orphaned,
	};
	static struct service service;
	struct handover *handover;
	int r = handover_attach(&handover, &CALLBACKS, &service, HANDOVER_CATCH_SIGTERM); /* → */
	/* → Only if nothing was handed over. */
	if (r >= 0 && handover_socket(handover, NULL, 0) < 0)
		r = handover_listen(handover, "http", argc > 1 ? argv[1] : "tcp:127.0.0.1:8080");
	if (r < 0) {
		(void)fprintf(stderr, "echo_poll: %s\n", strerror(-r));
		return EXIT_FAILURE;
	}
	/* Others accept from the same queue: a blocking accept4() could wait for ever. */
	int fd;
	for (size_t i = 0; (fd = handover_socket(handover, NULL, i)) >= 0; i++)
		(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	(void)handover_ready(handover); /* → */
	serve(&service, handover);
	handover_free(handover);
	return EXIT_SUCCESS;
}
