#include "worker/httpd_server.h"

#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "proto/base.h"
#include "worker/httpd_connection.h"

static void complain(const char *what, int error)
{
	(void)fprintf(stderr, "handover-httpd: %s: %s\n", what, strerror(-error));
}

/* Accepting. */

static void start_accepting(struct server *server)
{
	server->is_accepting = true;
	for (size_t i = 0; i < server->n_listeners; i++) {
		struct listener *listener = &server->listeners[i];
		/* Whoever shares a blocking listener may take the connection that woke us, and we
		 * would then hang in accept4(). */
		int flags = fcntl(listener->watcher.fd, F_GETFL);
		if (flags >= 0 && !(flags & O_NONBLOCK))
			(void)fcntl(listener->watcher.fd, F_SETFL, flags | O_NONBLOCK);
		ev_io_start(server->loop, &listener->watcher);
	}
}

static void stop_accepting(struct server *server)
{
	server->is_accepting = false;
	ev_timer_stop(server->loop, &server->pause_timer);
	for (size_t i = 0; i < server->n_listeners; i++)
		ev_io_stop(server->loop, &server->listeners[i].watcher);
}

/* Without descriptors or memory a listener stays readable, and one that somebody has shut down
 * does so too (until the supervisor has listen() heal it): the loop would spin. */
static void pause_accepting(struct server *server, int error)
{
	if (!server->is_accept_failing)
		complain("accept pauses", error);
	server->is_accept_failing = true;
	stop_accepting(server);
	ev_timer_set(&server->pause_timer, HTTPD_ACCEPT_PAUSE_S, 0);
	ev_timer_start(server->loop, &server->pause_timer);
}

static void on_pause_over(EV_P_ ev_timer *timer, int revents)
{
	struct server *server = container_of(timer, struct server, pause_timer);
	(void)loop, (void)revents;
	start_accepting(server);
}

/* Errors of the connection and not of the listener: accept(2), "Error handling". */
static bool is_of_the_connection(int error)
{
	switch (error) {
	case EINTR:
	case ECONNABORTED:
	case EPROTO:
	case EPERM:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENONET:
	case ENOPROTOOPT:
		return true;
	default:
		return false;
	}
}

static void on_listener(EV_P_ ev_io *watcher, int revents)
{
	struct listener *listener = container_of(watcher, struct listener, watcher);
	struct server *server = listener->server;
	(void)loop, (void)revents;
	for (int i = 0; i < HTTPD_ACCEPT_BATCH; i++) {
		int fd = accept4(watcher->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && is_of_the_connection(errno))
			continue;
		if (fd < 0 && errno == EAGAIN)
			return;
		if (fd < 0) {
			pause_accepting(server, -errno);
			return;
		}
		server->is_accept_failing = false;
		server->n_accepted++;
		if (!connection_start(server, fd, listener->is_tcp))
			complain("a connection is lost", -ENOMEM);
	}
}

/* Draining. */

static void report_open(struct server *server)
{
	server->is_report_due = false;
	(void)handover_draining(server->handover, server->n_connections);
	ev_timer_stop(server->loop, &server->report_timer);
	ev_timer_set(&server->report_timer, HTTPD_REPORT_INTERVAL_S, 0);
	ev_timer_start(server->loop, &server->report_timer);
}

static void on_report_timer(EV_P_ ev_timer *timer, int revents)
{
	struct server *server = container_of(timer, struct server, report_timer);
	(void)loop, (void)revents;
	if (server->is_report_due)
		report_open(server);
}

static void end_if_drained(struct server *server)
{
	if (server->is_draining && server->n_connections == 0)
		ev_break(server->loop, EVBREAK_ALL);
}

void server_connection_closed(struct server *server)
{
	server->n_connections--;
	if (!server->is_draining)
		return;
	if (ev_is_active(&server->report_timer))
		server->is_report_due = true;
	else
		report_open(server);
	end_if_drained(server);
}

static void on_deadline(EV_P_ ev_timer *timer, int revents)
{
	struct server *server = container_of(timer, struct server, deadline_timer);
	(void)loop, (void)revents;
	server->closes_idle = true;
	struct connection *next;
	for (struct connection *connection = LIST_FIRST(&server->connections); connection;
	     connection = next) {
		next = LIST_NEXT(connection, entry);
		connection_close_idle(connection);
	}
}

static double seconds_until(uint64_t deadline_usec)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	uint64_t now_usec = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	return deadline_usec > now_usec ? (double)(deadline_usec - now_usec) / 1e6 : 0;
}

/* What libhandover asks for. */

static void on_serve(struct handover *handover, void *owner)
{
	struct server *server = owner;
	(void)handover;
	server->is_draining = server->closes_idle = false;
	ev_timer_stop(server->loop, &server->deadline_timer);
	ev_timer_stop(server->loop, &server->report_timer);
	start_accepting(server);
}

static void on_drain(struct handover *handover, uint64_t deadline_usec, void *owner)
{
	struct server *server = owner;
	stop_accepting(server);
	server->is_draining = true;
	server->closes_idle = false;

	ev_timer_stop(server->loop, &server->deadline_timer);
	bool is_by_signal = deadline_usec == HANDOVER_NO_DEADLINE && !handover_supervised(handover);
	if (is_by_signal || deadline_usec != HANDOVER_NO_DEADLINE) {
		ev_now_update(server->loop);
		ev_timer_set(&server->deadline_timer,
			     is_by_signal ? server->options->drain_timeout_s
					  : seconds_until(deadline_usec),
			     0);
		ev_timer_start(server->loop, &server->deadline_timer);
	}
	report_open(server);
	end_if_drained(server);
}

static void on_orphaned(struct handover *handover, void *owner)
{
	struct server *server = owner;
	(void)handover;
	bool is_useless = !server->is_accepting && !server->is_draining &&
			  !ev_is_active(&server->pause_timer);
	(void)fprintf(stderr, "handover-httpd: the supervisor is gone%s\n",
		      is_useless ? " before it said serve" : "; going on");
	if (is_useless) {
		server->exit_status = EXIT_FAILURE;
		ev_break(server->loop, EVBREAK_ALL);
	}
}

static void on_handover(EV_P_ ev_io *watcher, int revents)
{
	struct server *server = container_of(watcher, struct server, handover_watcher);
	(void)loop, (void)revents;
	int r = handover_dispatch(server->handover);
	if (r < 0 && r != -EPIPE)
		complain("handover", r);
}

/* Making and running. */

static int socket_option(int fd, int option)
{
	int value = -1;
	socklen_t size = sizeof(value);
	return getsockopt(fd, SOL_SOCKET, option, &value, &size) < 0 ? -1 : value;
}

static int add_listeners(struct server *server, struct error *error)
{
	size_t n = 0;
	while (handover_socket(server->handover, NULL, n) >= 0)
		n++;
	if (n == 0)
		return error_set(error, -ENOENT,
				 "no socket was handed over, and there is no --listen");
	server->listeners = calloc(n, sizeof(*server->listeners));
	if (!server->listeners)
		return error_set(error, -ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		int fd = handover_socket(server->handover, NULL, i);
		int domain = socket_option(fd, SO_DOMAIN);
		if (socket_option(fd, SO_TYPE) != SOCK_STREAM ||
		    socket_option(fd, SO_ACCEPTCONN) != 1)
			return error_set(error, -EPROTOTYPE,
					 "%s (descriptor %d) is no listening stream socket",
					 handover_socket_name(server->handover, fd), fd);
		struct listener *listener = &server->listeners[server->n_listeners++];
		listener->server = server;
		listener->is_tcp = domain == AF_INET || domain == AF_INET6;
		ev_io_init(&listener->watcher, on_listener, fd, EV_READ);
	}
	return 0;
}

static int render_answer(struct server *server)
{
	const struct options *options = server->options;
	if (options->generation_header)
		(void)snprintf(server->extra_fields, sizeof(server->extra_fields), "%s: %s\r\n",
			       options->generation_header, options->generation);
	struct response_content content = {
		.status = HTTP_STATUS_OK,
		.type = "text/plain; charset=utf-8",
		.extra_fields = server->extra_fields,
		.body = options->body,
		.body_bytes = strlen(options->body),
	};
	return response_set_init(&server->answer, &content, time(NULL));
}

static int open_sockets(struct server *server, struct error *error)
{
	static const struct handover_callbacks CALLBACKS = {
		.serve = on_serve,
		.drain = on_drain,
		.resume = on_serve,
		.orphaned = on_orphaned,
	};
	int r = handover_attach(&server->handover, &CALLBACKS, server,
				HANDOVER_CATCH_SIGTERM | HANDOVER_UNSET_ENVIRONMENT);
	if (r < 0)
		return error_set(error, r, "what the environment hands over is broken: %s",
				 strerror(-r));
	const char *address = server->options->listen;
	if (address && handover_socket(server->handover, NULL, 0) < 0) {
		r = handover_listen(server->handover, "http", address);
		if (r < 0)
			return error_set(error, r, "--listen %s: %s", address, strerror(-r));
	}
	return add_listeners(server, error);
}

int server_init(struct server *server, const struct options *options, struct error *error)
{
	memset(server, 0, sizeof(*server));
	server->options = options;
	LIST_INIT(&server->connections);
	request_set_limits();
	/* Not the default loop: its SIGCHLD handler is none of a server's business. */
	server->loop = ev_loop_new(EVFLAG_AUTO);
	if (!server->loop)
		return error_set(error, -ENOMEM, "cannot make an event loop");
	int r = render_answer(server);
	if (r < 0)
		return error_set(error, r, "out of memory");
	r = open_sockets(server, error);
	if (r < 0)
		return r;

	ev_init(&server->pause_timer, on_pause_over);
	ev_init(&server->deadline_timer, on_deadline);
	ev_init(&server->report_timer, on_report_timer);
	ev_io_init(&server->handover_watcher, on_handover, handover_fd(server->handover), EV_READ);
	ev_io_start(server->loop, &server->handover_watcher);
	r = handover_ready(server->handover);
	if (r < 0)
		complain("cannot say that it is ready", r);
	return 0;
}

int server_run(struct server *server)
{
	(void)ev_run(server->loop, 0);
	return server->exit_status;
}

void server_finish(struct server *server)
{
	struct connection *connection;
	while ((connection = LIST_FIRST(&server->connections)))
		connection_free(connection);
	free(server->listeners);
	handover_free(server->handover);
	response_set_finish(&server->answer);
	if (server->loop)
		ev_loop_destroy(server->loop);
}

int server_render_status(struct server *server, enum response_connection connection,
			 struct response *ret_response)
{
	json_auto_t *status = json_pack("{s:s, s:s, s:i, s:I, s:I, s:I}", "state",
					server->is_draining ? "draining" : "serving", "generation",
					server->options->generation, "pid", (int)getpid(),
					"connections", (json_int_t)server->n_connections,
					"accepted", (json_int_t)server->n_accepted, "requests",
					(json_int_t)server->n_requests);
	CLEANUP(freep) char *body = status ? json_dumps(status, JSON_COMPACT) : NULL;
	if (!body)
		return -ENOMEM;
	struct response_content content = {
		.status = HTTP_STATUS_OK,
		.type = "application/json",
		.extra_fields = server->extra_fields,
		.body = body,
		.body_bytes = strlen(body),
	};
	return response_init(ret_response, &content, connection, (time_t)ev_now(server->loop));
}
