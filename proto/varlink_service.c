#include "proto/varlink_service_internal.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "proto/limits.h"

enum { REPORT_MAX_BYTES = 512, HANGUPS_PER_TURN = 16 };

void varlink_service_report(struct varlink_service *service, const struct varlink_peer *peer,
			    const char *format, ...)
{
	char text[REPORT_MAX_BYTES];
	va_list arguments;

	if (!service->config.report)
		return;
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	service->config.report(service->config.owner, peer, text);
}

void varlink_service_room(struct varlink_service *service)
{
	if (!ev_is_active(&service->accept_resume))
		ev_io_start(service->loop, &service->acceptable);
}

/* Whoever has been silent for longest, and waits for nothing. */
static struct varlink_connection *find_idle(struct varlink_service *service)
{
	struct varlink_connection *connection;
	TAILQ_FOREACH(connection, &service->connections, next)
	{
		if (connection->n_calls == 0)
			return connection;
	}
	return NULL;
}

static void report_full(struct varlink_service *service)
{
	if (!service->full_reported)
		varlink_service_report(
			service, NULL,
			"%zu control connections are the most: for each new one, the "
			"longest idle is closed",
			service->n_connections);
	service->full_reported = true;
}

static void service_add(struct varlink_service *service, int accepted_fd)
{
	CLEANUP(fd_closep) int fd = accepted_fd;
	struct ucred credentials;
	socklen_t length = sizeof(credentials);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0) {
		varlink_service_report(service, NULL, "refused: no credentials: %s",
				       strerror(errno));
		return;
	}
	struct varlink_peer peer = { credentials.pid, credentials.uid, credentials.gid };
	int r = varlink_connection_new(service, fd, &peer);
	if (r < 0)
		varlink_service_report(service, &peer, "refused: %s", strerror(-r));
	else
		(void)TAKE_FD(fd);
}

/* Without descriptors or memory the listener stays readable: trying on would spin. */
static void pause_accepting(struct varlink_service *service, int error)
{
	if (!service->exhaustion_reported)
		varlink_service_report(service, NULL, "accepting pauses: %s", strerror(error));
	service->exhaustion_reported = true;
	ev_io_stop(service->loop, &service->acceptable);
	ev_timer_set(&service->accept_resume, CONTROL_ACCEPT_PAUSE_MS / 1000.0, 0.0);
	ev_timer_start(service->loop, &service->accept_resume);
}

/* Returns false when no more can be accepted for now. */
static bool service_accept_one(struct varlink_service *service)
{
	struct varlink_connection *leaving = NULL;

	if (service->n_connections >= CONTROL_MAX_CONNECTIONS) {
		leaving = find_idle(service);
		if (!leaving) {
			ev_io_stop(service->loop, &service->acceptable);
			return false;
		}
	}
	int fd = accept4(service->acceptable.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno == EINTR || errno == ECONNABORTED)
			return true;
		if (errno != EAGAIN)
			pause_accepting(service, errno);
		return false;
	}
	service->exhaustion_reported = false;
	if (leaving) {
		report_full(service);
		varlink_connection_free(leaving);
	} else if (service->n_connections < CONTROL_MAX_CONNECTIONS / 2) {
		service->full_reported = false;
	}
	service_add(service, fd);
	return true;
}

static void on_acceptable(EV_P_ ev_io *watcher, int revents)
{
	struct varlink_service *service = container_of(watcher, struct varlink_service, acceptable);
	(void)loop, (void)revents;
	for (int i = 0; i < CONTROL_TURN_ACCEPTS; i++) {
		if (!service_accept_one(service))
			return;
	}
}

static void on_accept_resume(EV_P_ ev_timer *watcher, int revents)
{
	struct varlink_service *service = container_of(watcher, struct varlink_service,
						       accept_resume);
	(void)loop, (void)revents;
	varlink_service_room(service);
}

static void on_hangups(EV_P_ ev_io *watcher, int revents)
{
	struct epoll_event events[HANGUPS_PER_TURN];
	int n_events = epoll_wait(watcher->fd, events, HANGUPS_PER_TURN, 0);
	(void)loop, (void)revents;
	for (int i = 0; i < n_events; i++)
		varlink_connection_hung_up(events[i].data.ptr);
}

int varlink_service_new(struct ev_loop *loop, int listen_fd,
			const struct varlink_service_config *config,
			struct varlink_service **ret_service)
{
	CLEANUP(freep) struct varlink_service *service = calloc(1, sizeof(*service));
	if (!service)
		return -ENOMEM;
	service->hangup_fd = epoll_create1(EPOLL_CLOEXEC);
	if (service->hangup_fd < 0)
		return -errno;
	service->loop = loop;
	service->config = *config;
	TAILQ_INIT(&service->connections);
	ev_io_init(&service->acceptable, on_acceptable, listen_fd, EV_READ);
	ev_io_init(&service->hangups, on_hangups, service->hangup_fd, EV_READ);
	ev_timer_init(&service->accept_resume, on_accept_resume, 0.0, 0.0);
	ev_io_start(loop, &service->acceptable);
	ev_io_start(loop, &service->hangups);
	*ret_service = TAKE_PTR(service);
	return 0;
}

void varlink_service_free(struct varlink_service *service)
{
	struct varlink_connection *connection;

	if (!service)
		return;
	while ((connection = TAILQ_FIRST(&service->connections)))
		varlink_connection_free(connection);
	ev_io_stop(service->loop, &service->acceptable);
	ev_io_stop(service->loop, &service->hangups);
	ev_timer_stop(service->loop, &service->accept_resume);
	(void)fd_close(service->hangup_fd);
	free(service);
}

static int64_t now_ms(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static nfds_t service_write_all(struct varlink_service *service,
				struct pollfd fds[static CONTROL_MAX_CONNECTIONS])
{
	struct varlink_connection *connection;
	nfds_t n_fds = 0;
	TAILQ_FOREACH(connection, &service->connections, next)
	{
		(void)varlink_connection_write(connection);
		if (byte_queue_length(&connection->output) > 0)
			fds[n_fds++] = (struct pollfd){ connection->fd, POLLOUT, 0 };
	}
	return n_fds;
}

void varlink_service_flush(struct varlink_service *service, int timeout_ms)
{
	struct pollfd fds[CONTROL_MAX_CONNECTIONS];
	int64_t deadline_ms = now_ms() + timeout_ms;
	nfds_t n_fds;

	while ((n_fds = service_write_all(service, fds)) > 0) {
		int64_t left_ms = deadline_ms - now_ms();
		if (left_ms <= 0)
			return;
		if (poll(fds, n_fds, (int)left_ms) < 0 && errno != EINTR)
			return;
	}
}
