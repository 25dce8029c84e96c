#include "worker/httpd_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "proto/base.h"
#include "worker/httpd_server.h"

static const char CONTINUE[] = "HTTP/1.1 100 Continue\r\n\r\n";

/* Not ev_now(), which is the time of day: whoever sets that would lengthen or end every wait. */
static double now_s(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void set_deadline(struct connection *connection, double after_s)
{
	connection->deadline = now_s() + after_s;
}

/* Sending. */

/* Keeps what the socket did not take: the batch from @skip on. */
static void keep_output(struct connection *connection, size_t skip)
{
	struct server *server = connection->server;
	size_t more = 0;
	for (size_t i = 0; i < server->n_batch; i++)
		more += server->batch[i].iov_len;
	more -= skip;
	char *output = realloc(connection->output, connection->output_bytes + more);
	if (!output) {
		connection->phase = CONNECTION_DEAD;
		return;
	}
	connection->output = output;
	for (size_t i = 0; i < server->n_batch; i++) {
		struct iovec part = server->batch[i];
		size_t skipped = skip < part.iov_len ? skip : part.iov_len;
		skip -= skipped;
		memcpy(output + connection->output_bytes, (char *)part.iov_base + skipped,
		       part.iov_len - skipped);
		connection->output_bytes += part.iov_len - skipped;
	}
}

/* Sends the answers that were gathered, in one system call. */
static void flush(struct connection *connection)
{
	struct server *server = connection->server;
	if (server->n_batch == 0)
		return;
	size_t total = 0;
	for (size_t i = 0; i < server->n_batch; i++)
		total += server->batch[i].iov_len;
	ssize_t sent = 0;
	if (!connection->output) {
		struct msghdr message = { .msg_iov = server->batch, .msg_iovlen = server->n_batch };
		sent = sendmsg(connection->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && (errno == EAGAIN || errno == EINTR))
			sent = 0;
	}
	if (sent < 0) {
		connection->phase = CONNECTION_DEAD;
	} else if ((size_t)sent < total) {
		keep_output(connection, (size_t)sent);
		set_deadline(connection, HTTPD_WRITE_TIMEOUT_S);
	}
	server->n_batch = 0;
}

static void gather(struct connection *connection, const char *bytes, size_t length)
{
	struct server *server = connection->server;
	if (server->n_batch == HTTPD_BATCH_ANSWERS)
		flush(connection);
	server->batch[server->n_batch++] = (struct iovec){ .iov_base = (void *)(uintptr_t)bytes,
							   .iov_len = length };
}

/* An answer that was rendered for this request alone goes out before it is freed. */
static void send_own(struct connection *connection, struct response *response)
{
	gather(connection, response->bytes,
	       request_is_head(&connection->request) ? response->head_bytes
						     : response->bytes_total);
	flush(connection);
	response_finish(response);
}

static void refuse(struct connection *connection, unsigned int status)
{
	struct server *server = connection->server;
	struct response response;
	connection->is_last = true;
	if (response_init_refusal(&response, status, server->extra_fields,
				  (time_t)ev_now(server->loop)) < 0)
		connection->phase = CONNECTION_DEAD;
	else
		send_own(connection, &response);
}

/* Answering. */

/* A connection that waits for more than one answer is worth a system call: without it, an answer
 * could wait for the client's acknowledgement of the one before, tcp(7). */
static void set_nodelay(struct connection *connection)
{
	int on = 1;
	if (connection->is_tcp)
		(void)setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	connection->has_nodelay = true;
}

static void answer_status(struct connection *connection, enum response_connection form)
{
	struct response response;
	if (server_render_status(connection->server, form, &response) < 0)
		connection->phase = CONNECTION_DEAD;
	else
		send_own(connection, &response);
}

/* What the client has sent, and the loop has not told us of yet. */
static bool has_input(const struct connection *connection)
{
	char byte;
	return recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* @has_more: bytes of a next request are here already. Then a drain ends the connection only after
 * the last of them, or a client that pipelines would have sent them for nothing. What stands behind
 * a body in chunks is never read: it may be part of that body, smuggled past a proxy. */
static void answer(struct connection *connection, bool has_more)
{
	struct server *server = connection->server;
	struct request *request = &connection->request;
	connection->client_closes = !request->keeps_alive;
	connection->is_last = !request->keeps_alive || request_is_chunked(request) ||
			      (server->is_draining && !has_more && !has_input(connection));
	enum response_connection form = connection->is_last	     ? RESPONSE_CLOSES
					: request_is_http10(request) ? RESPONSE_KEEPS_OPEN_HTTP10
								     : RESPONSE_KEEPS_OPEN;
	server->n_requests++;
	if (server->options->status_path &&
	    request_has_path(request, server->options->status_path)) {
		answer_status(connection, form);
	} else {
		const struct response *response = response_set_get(&server->answer, form,
								   (time_t)ev_now(server->loop));
		gather(connection, response->bytes,
		       request_is_head(request) ? response->head_bytes : response->bytes_total);
	}
	if (!connection->is_last && !connection->has_nodelay)
		set_nodelay(connection);
	connection->wait = WAITS_FOR_NOTHING;
	connection->has_continued = false;
	request_next(request);
}

static bool takes_requests(const struct connection *connection)
{
	return connection->phase == CONNECTION_READING && !connection->output &&
	       !connection->is_last;
}

static bool is_idle(const struct connection *connection)
{
	return takes_requests(connection) && !connection->request.is_begun &&
	       !has_input(connection);
}

/* A time is set when what is waited for changes, so that a client that sends a byte now and then
 * gains nothing; only an idle connection gets a new one with each answer, and none once the drain's
 * deadline has passed. */
static void await_client(struct connection *connection)
{
	const struct options *options = connection->server->options;
	const struct request *request = &connection->request;
	enum connection_wait wait = !request->is_begun		? WAITS_FOR_REQUEST
				    : request->is_head_complete ? WAITS_FOR_BODY
								: WAITS_FOR_HEAD;
	if (connection->server->closes_idle && is_idle(connection)) {
		connection->phase = CONNECTION_DEAD;
		return;
	}
	if (wait == connection->wait)
		return;
	connection->wait = wait;
	set_deadline(connection, wait == WAITS_FOR_REQUEST ? options->keepalive_timeout_s
				 : wait == WAITS_FOR_HEAD  ? options->header_timeout_s
							   : HTTPD_BODY_TIMEOUT_S);
}

static void on_request(struct connection *connection, bool has_more)
{
	unsigned long delay_ms = connection->server->options->allows_delay
					 ? request_delay_ms(&connection->request)
					 : 0;
	if (delay_ms == 0) {
		answer(connection, has_more);
		return;
	}
	flush(connection); /* what was asked before need not wait */
	if (connection->phase == CONNECTION_DEAD)
		return;
	connection->phase = CONNECTION_DELAYED;
	set_deadline(connection, (double)delay_ms / 1000);
}

/* Keeps what came behind a request that is not answered yet. */
static void hold(struct connection *connection, const char *data, size_t length)
{
	connection->held = malloc(length);
	if (!connection->held) {
		connection->phase = CONNECTION_DEAD;
		return;
	}
	memcpy(connection->held, data, length);
	connection->held_bytes = length;
}

static void consume(struct connection *connection, const char *data, size_t length)
{
	struct request *request = &connection->request;
	size_t offset = 0;
	while (offset < length && takes_requests(connection)) {
		size_t used;
		switch (request_feed(request, data + offset, length - offset, &used)) {
		case REQUEST_MORE:
			if (request->awaits_continue && !connection->has_continued) {
				gather(connection, CONTINUE, sizeof(CONTINUE) - 1);
				connection->has_continued = true;
			}
			break;
		case REQUEST_COMPLETE:
			on_request(connection, offset + used < length);
			break;
		case REQUEST_REFUSED:
			refuse(connection, request->refusal);
			break;
		}
		offset += used;
	}
	flush(connection);
	if (offset < length && !connection->is_last && connection->phase != CONNECTION_DEAD)
		hold(connection, data + offset, length - offset);
}

/* Whatever was held up goes on: the rest of a batch, then the end. */
static void proceed(struct connection *connection)
{
	while (connection->held && takes_requests(connection)) {
		CLEANUP(freep) char *held = TAKE_PTR(connection->held);
		consume(connection, held, connection->held_bytes);
	}
	if (takes_requests(connection))
		await_client(connection);
}

/* Receiving. */

static void read_requests(struct connection *connection)
{
	struct server *server = connection->server;
	ssize_t n = recv(connection->fd, server->input, sizeof(server->input), MSG_DONTWAIT);
	if (n > 0) {
		consume(connection, server->input, (size_t)n);
		proceed(connection);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		connection->phase = CONNECTION_DEAD;
	}
}

static void write_output(struct connection *connection)
{
	ssize_t n = send(connection->fd, connection->output + connection->output_sent,
			 connection->output_bytes - connection->output_sent,
			 MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			connection->phase = CONNECTION_DEAD;
		return;
	}
	connection->output_sent += (size_t)n;
	if (connection->phase == CONNECTION_READING)
		set_deadline(connection, HTTPD_WRITE_TIMEOUT_S);
	if (connection->output_sent < connection->output_bytes)
		return;
	free(TAKE_PTR(connection->output));
	connection->output_bytes = connection->output_sent = 0;
	connection->wait = WAITS_FOR_NOTHING; /* its time passed while we waited for the client */
	proceed(connection);
}

static void discard(struct connection *connection)
{
	struct server *server = connection->server;
	ssize_t n = recv(connection->fd, server->input, sizeof(server->input), MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		connection->phase = CONNECTION_DEAD;
}

/* Bytes that arrive after close() are answered with RST, which can destroy our last answer in the
 * client's receive buffer: so only our direction is shut, and what it still sends is read away
 * until it closes (RFC 9112, 9.6). A client that asked to close sends nothing more. */
static void linger(struct connection *connection)
{
	if (connection->client_closes || shutdown(connection->fd, SHUT_WR) < 0) {
		connection->phase = CONNECTION_DEAD;
		return;
	}
	connection->phase = CONNECTION_LINGERING;
	set_deadline(connection, HTTPD_LINGER_TIMEOUT_S);
}

/* Events. */

static void on_timer(EV_P_ ev_timer *timer, int revents);
static void on_io(EV_P_ ev_io *watcher, int revents);

void connection_free(struct connection *connection)
{
	ev_io_stop(connection->server->loop, &connection->watcher);
	ev_timer_stop(connection->server->loop, &connection->timer);
	LIST_REMOVE(connection, entry);
	(void)fd_close(connection->fd);
	free(connection->output);
	free(connection->held);
	free(connection);
}

/* Most deadlines move later with each request: the timer is left alone then, and looks at the
 * deadline when it fires. */
static void arm_timer(struct connection *connection)
{
	struct ev_loop *loop = connection->server->loop;
	if (ev_is_active(&connection->timer) && connection->timer_at <= connection->deadline)
		return;
	double after_s = connection->deadline - now_s();
	ev_timer_stop(loop, &connection->timer);
	ev_timer_set(&connection->timer, after_s > 0 ? after_s : 0, 0);
	ev_timer_start(loop, &connection->timer);
	connection->timer_at = connection->deadline;
}

static void connection_settle(struct connection *connection)
{
	struct server *server = connection->server;
	if (connection->phase == CONNECTION_READING && connection->is_last && !connection->output)
		linger(connection);
	if (connection->phase == CONNECTION_DEAD) {
		connection_free(connection);
		server_connection_closed(server);
		return;
	}
	int events = connection->output			       ? EV_WRITE
		     : connection->phase == CONNECTION_DELAYED ? EV_NONE
							       : EV_READ;
	int watched = ev_is_active(&connection->watcher)
			      ? connection->watcher.events & (EV_READ | EV_WRITE)
			      : EV_NONE;
	if (events != watched) {
		ev_io_stop(server->loop, &connection->watcher);
		ev_io_set(&connection->watcher, connection->fd, events);
		if (events != EV_NONE)
			ev_io_start(server->loop, &connection->watcher);
	}
	arm_timer(connection);
}

static void on_io(EV_P_ ev_io *watcher, int revents)
{
	struct connection *connection = container_of(watcher, struct connection, watcher);
	(void)loop, (void)revents;
	if (connection->output)
		write_output(connection);
	else if (connection->phase == CONNECTION_LINGERING)
		discard(connection);
	else
		read_requests(connection);
	connection_settle(connection);
}

static void on_deadline(struct connection *connection)
{
	if (connection->phase == CONNECTION_DELAYED) {
		connection->phase = CONNECTION_READING;
		answer(connection, connection->held != NULL);
		flush(connection);
		proceed(connection);
	} else if (connection->phase == CONNECTION_READING && connection->request.is_begun &&
		   !connection->output) {
		refuse(connection, HTTP_STATUS_REQUEST_TIMEOUT);
	} else if (takes_requests(connection) && !is_idle(connection)) {
		read_requests(connection);
	} else {
		connection->phase = CONNECTION_DEAD;
	}
}

static void on_timer(EV_P_ ev_timer *timer, int revents)
{
	struct connection *connection = container_of(timer, struct connection, timer);
	(void)loop, (void)revents;
	if (now_s() >= connection->deadline)
		on_deadline(connection);
	connection_settle(connection);
}

bool connection_start(struct server *server, int fd, bool is_tcp)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	if (!connection) {
		(void)fd_close(fd);
		return false;
	}
	connection->server = server;
	connection->fd = fd;
	connection->is_tcp = is_tcp;
	request_init(&connection->request);
	ev_init(&connection->watcher, on_io);
	ev_init(&connection->timer, on_timer);
	LIST_INSERT_HEAD(&server->connections, connection, entry);
	server->n_connections++;
	await_client(connection);
	read_requests(connection);
	connection_settle(connection);
	return true;
}

void connection_close_idle(struct connection *connection)
{
	if (!is_idle(connection))
		return;
	connection->phase = CONNECTION_DEAD;
	connection_settle(connection);
}
