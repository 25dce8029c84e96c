#include "proto/varlink_service_internal.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "proto/limits.h"

void varlink_connection_wake(struct varlink_connection *connection)
{
	if (ev_is_active(&connection->turn))
		return;
	ev_timer_set(&connection->turn, 0.0, 0.0);
	ev_timer_start(connection->service->loop, &connection->turn);
}

void varlink_connection_cut(struct varlink_connection *connection, const char *reason)
{
	if (connection->cut)
		return;
	connection->cut = true;
	varlink_service_report(connection->service, &connection->peer, "cut off: %s", reason);
	varlink_connection_wake(connection);
}

/* The peer did something: it is now the last in line to be closed for being idle. */
static void connection_touch(struct varlink_connection *connection)
{
	struct varlink_service *service = connection->service;
	TAILQ_REMOVE(&service->connections, connection, next);
	TAILQ_INSERT_TAIL(&service->connections, connection, next);
	ev_timer_again(service->loop, &connection->idle);
}

static size_t connection_output_bytes(const struct varlink_connection *connection)
{
	return byte_queue_length(&connection->output) + connection->n_held_bytes;
}

/* It has had enough for now: calls that wait, or answers that it has not read. */
static bool connection_is_paused(const struct varlink_connection *connection)
{
	return connection->n_calls >= CONTROL_MAX_PENDING_CALLS ||
	       connection_output_bytes(connection) >= CONTROL_OUTPUT_PAUSE_BYTES;
}

static bool connection_is_over(const struct varlink_connection *connection)
{
	if (connection->cut)
		return true;
	bool heard_out = connection->end_of_calls && connection->drained;
	if (connection->gone)
		return heard_out || connection_is_paused(connection);
	return heard_out && connection->n_calls == 0 && connection_output_bytes(connection) == 0;
}

static void connection_read(struct varlink_connection *connection)
{
	char bytes[CONTROL_TURN_READ_BYTES];
	ssize_t n = recv(connection->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		connection->end_of_calls = true;
		connection->gone |= n < 0;
		return;
	}
	connection_touch(connection);
	if (framing_push(&connection->input, bytes, (size_t)n) < 0)
		varlink_connection_cut(connection, "out of memory");
}

/* @error says why, but for what framing_next() found. */
static void cut_for_message(struct varlink_connection *connection, int code, struct error *error)
{
	if (code == -EMSGSIZE)
		(void)error_set(error, code, "a message of more than %d bytes",
				CONTROL_MESSAGE_MAX_BYTES);
	else
		(void)error_prefix(error, code, "no Varlink call");
	varlink_connection_cut(connection, error->text);
}

/* Calls that have arrived, as many as one turn may have. */
static void connection_take_calls(struct varlink_connection *connection)
{
	const char *message;
	size_t n_bytes;

	connection->drained = false;
	for (int i = 0; i < CONTROL_TURN_CALLS; i++) {
		if (connection->cut || connection_is_paused(connection))
			return;
		struct error error = { .text = "not an object, or nested too deep" };
		int r = framing_next(&connection->input, &message, &n_bytes);
		if (r == 0) {
			connection->drained = true;
			return;
		}
		if (r > 0)
			r = varlink_call_take(connection, message, n_bytes, &error);
		if (r < 0)
			cut_for_message(connection, r, &error);
	}
}

bool varlink_connection_write(struct varlink_connection *connection)
{
	struct byte_queue *output = &connection->output;
	size_t length = byte_queue_length(output);
	if (length == 0)
		return false;
	ssize_t n = send(connection->fd, byte_queue_data(output), length,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n >= 0) {
		byte_queue_consume(output, (size_t)n);
		return true;
	}
	if (errno == EAGAIN || errno == EINTR)
		return false;
	if (errno == EPIPE || errno == ECONNRESET)
		connection->gone = true;
	else
		varlink_connection_cut(connection, strerror(errno));
	byte_queue_consume(output, length);
	return false;
}

struct varlink_call *varlink_connection_first_call(struct varlink_connection *connection)
{
	struct varlink_call *call = STAILQ_FIRST(&connection->calls);
	while (call && call->oneway && !call->ended)
		call = STAILQ_NEXT(call, next);
	return call;
}

void varlink_connection_advance(struct varlink_connection *connection)
{
	struct varlink_call *call;

	while ((call = varlink_connection_first_call(connection))) {
		size_t n_bytes = byte_queue_length(&call->held);
		connection->n_held_bytes -= n_bytes;
		if (byte_queue_append(&connection->output, byte_queue_data(&call->held), n_bytes) <
		    0)
			varlink_connection_cut(connection, "out of memory");
		byte_queue_consume(&call->held, n_bytes);
		if (!call->ended)
			return;
		STAILQ_REMOVE(&connection->calls, call, varlink_call, next);
		connection->n_calls--;
		varlink_call_free(call);
	}
	if (connection->n_calls > 0)
		return;
	/* Silent from now on, it may have to make room. */
	connection_touch(connection);
	varlink_service_room(connection->service);
}

static void watch_io(struct varlink_connection *connection, ev_io *watcher, bool wanted)
{
	if (wanted)
		ev_io_start(connection->service->loop, watcher);
	else
		ev_io_stop(connection->service->loop, watcher);
}

/* At the end of its calls, or paused, a connection would be readable for ever; that the peer has
 * gone altogether is still to be noticed. */
static void watch_hangup(struct varlink_connection *connection, bool wanted)
{
	if (wanted == connection->watching_hangup)
		return;
	struct epoll_event event = { .events = 0, .data.ptr = connection };
	if (epoll_ctl(connection->service->hangup_fd, wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL,
		      connection->fd, &event) < 0)
		varlink_connection_cut(connection, strerror(errno));
	else
		connection->watching_hangup = wanted;
}

static void connection_watch(struct varlink_connection *connection)
{
	struct ev_loop *loop = connection->service->loop;
	bool paused = connection_is_paused(connection);
	bool output = byte_queue_length(&connection->output) > 0;

	if (!connection->drained && !paused)
		varlink_connection_wake(connection);
	watch_io(connection, &connection->readable,
		 connection->drained && !paused && !connection->end_of_calls);
	watch_io(connection, &connection->writable, output);
	watch_hangup(connection, (paused || connection->end_of_calls) && !connection->gone);
	if (connection->n_calls > 0 && !output)
		ev_timer_stop(loop, &connection->idle);
	else if (!ev_is_active(&connection->idle))
		ev_timer_again(loop, &connection->idle);
}

static void connection_turn(struct varlink_connection *connection)
{
	connection_take_calls(connection);
	if (varlink_connection_write(connection))
		connection_touch(connection);
	if (connection_is_over(connection))
		varlink_connection_free(connection);
	else
		connection_watch(connection);
}

void varlink_connection_hung_up(struct varlink_connection *connection)
{
	connection->gone = true;
	connection_turn(connection);
}

static void on_readable(EV_P_ ev_io *watcher, int revents)
{
	struct varlink_connection *connection = container_of(watcher, struct varlink_connection,
							     readable);
	(void)loop, (void)revents;
	connection_read(connection);
	connection_turn(connection);
}

static void on_writable(EV_P_ ev_io *watcher, int revents)
{
	struct varlink_connection *connection = container_of(watcher, struct varlink_connection,
							     writable);
	(void)loop, (void)revents;
	connection_turn(connection);
}

static void on_turn(EV_P_ ev_timer *watcher, int revents)
{
	struct varlink_connection *connection = container_of(watcher, struct varlink_connection,
							     turn);
	(void)loop, (void)revents;
	connection_turn(connection);
}

static void on_idle(EV_P_ ev_timer *watcher, int revents)
{
	struct varlink_connection *connection = container_of(watcher, struct varlink_connection,
							     idle);
	(void)loop, (void)revents;
	if (byte_queue_length(&connection->output) > 0)
		varlink_connection_cut(connection, "reads nothing");
	varlink_connection_free(connection);
}

int varlink_connection_new(struct varlink_service *service, int fd, const struct varlink_peer *peer)
{
	struct varlink_connection *connection = calloc(1, sizeof(*connection));
	if (!connection)
		return -ENOMEM;
	connection->service = service;
	connection->fd = fd;
	connection->peer = *peer;
	connection->allowed = service->config.allow(service->config.owner, peer);
	STAILQ_INIT(&connection->calls);
	ev_io_init(&connection->readable, on_readable, fd, EV_READ);
	ev_io_init(&connection->writable, on_writable, fd, EV_WRITE);
	ev_timer_init(&connection->turn, on_turn, 0.0, 0.0);
	ev_timer_init(&connection->idle, on_idle, 0.0, CONTROL_IDLE_TIMEOUT_MS / 1000.0);
	TAILQ_INSERT_TAIL(&service->connections, connection, next);
	service->n_connections++;
	ev_io_start(service->loop, &connection->readable);
	ev_timer_again(service->loop, &connection->idle);
	return 0;
}

void varlink_connection_free(struct varlink_connection *connection)
{
	struct varlink_service *service = connection->service;
	struct varlink_call *call;

	connection->cut = true;
	while ((call = STAILQ_FIRST(&connection->calls))) {
		varlink_call_cancel(call);
		STAILQ_REMOVE_HEAD(&connection->calls, next);
		varlink_call_free(call);
	}
	watch_hangup(connection, false);
	ev_io_stop(service->loop, &connection->readable);
	ev_io_stop(service->loop, &connection->writable);
	ev_timer_stop(service->loop, &connection->turn);
	ev_timer_stop(service->loop, &connection->idle);
	TAILQ_REMOVE(&service->connections, connection, next);
	service->n_connections--;
	(void)fd_close(connection->fd);
	framing_finish(&connection->input);
	byte_queue_finish(&connection->output);
	free(connection);
	varlink_service_room(service);
}
