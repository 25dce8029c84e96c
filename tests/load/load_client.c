#include "tests/load/load_client.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "proto/base.h"

enum {
	CONNECT_RETRY_USEC = 1000,
	LINGER_USEC = 1000000,
	SLOW_PIECES = 8,
};

static const uint32_t events_in = EPOLLIN | EPOLLRDHUP;

static enum outcome outcome_of_connect(int error)
{
	switch (error) {
	case ECONNREFUSED:
	case ENOENT:
		return OUTCOME_REFUSED;
	case ECONNRESET:
	case ECONNABORTED:
	case EPIPE:
		return OUTCOME_RESET_CONNECT;
	case ETIMEDOUT:
		return OUTCOME_TIMEOUT_CONNECT;
	default:
		return OUTCOME_LOCAL;
	}
}

static enum outcome outcome_of_transfer(int error)
{
	switch (error) {
	case ECONNRESET:
	case ECONNABORTED:
	case EPIPE:
		return OUTCOME_RESET;
	case ETIMEDOUT:
		return OUTCOME_TIMEOUT;
	default:
		return OUTCOME_LOCAL;
	}
}

static bool mode_reuses(const struct client *client)
{
	enum load_mode mode = client->context->options->mode;
	return mode == LOAD_KEEPALIVE || mode == LOAD_IDLE;
}

void client_drop(struct client *client)
{
	timer_disarm(&client->deadline);
	timer_disarm(&client->step);
	client->fd = fd_close(client->fd);
	client->watched = 0;
	client->used = false;
	client->state = CLIENT_FREE;
}

static void client_over(struct client *client, enum outcome outcome, uint64_t latency_usec)
{
	timer_disarm(&client->deadline);
	client->has_request = false;
	client->context->active--;
	tally_outcome(&client->context->tally, outcome, latency_usec, client->response.generation);
	client->context->ops->request_over(client, outcome);
}

static void client_lose(struct client *client, enum outcome outcome)
{
	if (!client->has_request) {
		client->context->tally.issued++;
		client->context->active++;
	}
	client_drop(client);
	client_over(client, outcome, 0);
}

static void client_idle_lost(struct client *client)
{
	bool was_used = client->used;
	client_drop(client);
	client->context->ops->idle_lost(client, was_used);
}

static void client_linger_over(struct client *client)
{
	client_drop(client);
	client_over(client, client->outcome, client->latency_usec);
}

static void client_lose_for(struct client *client, enum outcome outcome, int error)
{
	if (outcome == OUTCOME_LOCAL)
		client->context->tally.local_error = error;
	client_lose(client, outcome);
}

static void client_reconnect(struct client *client);

/* The kernel says that the connection is broken, or that there will be none. */
static void client_broken(struct client *client, int error)
{
	switch (client->state) {
	case CLIENT_IDLE:
		client->context->tally.closed_idle++;
		if (client->has_request)
			client_reconnect(client); /* broke between our look and our first byte */
		else
			client_idle_lost(client);
		break;
	case CLIENT_LINGERING:
		client->context->tally.reset_after++;
		client_linger_over(client);
		break;
	case CLIENT_FREE:
	case CLIENT_CONNECTING:
		client_lose_for(client, outcome_of_connect(error), error);
		break;
	case CLIENT_SENDING:
	case CLIENT_READING:
		client_lose_for(client, outcome_of_transfer(error), error);
		break;
	}
}

static void client_watch(struct client *client, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = client };
	int operation = client->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (client->watched == events)
		return;
	client->watched = events;
	if (epoll_ctl(client->context->epoll_fd, operation, client->fd, &event) < 0)
		client_lose_for(client, OUTCOME_LOCAL, errno);
}

/* How much of the request may have been sent by now: in slow mode one more piece each time. */
static size_t client_piece_end(const struct client *client)
{
	size_t total = client->context->request_bytes;
	size_t piece = total / SLOW_PIECES;

	if (client->context->options->mode != LOAD_SLOW)
		return total;
	size_t end = (client->sent_bytes / piece + 1) * piece;
	return end + piece > total ? total : end;
}

static void client_send(struct client *client)
{
	struct client_context *context = client->context;
	size_t end = client_piece_end(client);

	while (client->sent_bytes < end) {
		ssize_t n = send(client->fd, context->request + client->sent_bytes,
				 end - client->sent_bytes, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			client_watch(client, events_in | EPOLLOUT);
			return;
		}
		if (n < 0) {
			client_broken(client, errno);
			return;
		}
		client->state = CLIENT_SENDING;
		client->sent_bytes += (size_t)n;
	}
	if (end == context->request_bytes)
		client->state = CLIENT_READING;
	else
		timer_arm(&client->step, &context->pieces,
			  clock_usec() + context->options->slow_usec / (SLOW_PIECES - 1));
	client_watch(client, events_in);
}

static void client_try_connect(struct client *client)
{
	struct client_context *context = client->context;
	int r = target_connect(&context->target, client->fd);

	if (r == -EAGAIN && context->target.address.ss_family == AF_UNIX)
		timer_arm(&client->step, &context->retries, clock_usec() + CONNECT_RETRY_USEC);
	else if (r < 0 && r != -EINPROGRESS)
		client_broken(client, -r);
	else if (client->has_request)
		client_send(client); /* on loopback it is mostly established by now */
	else
		client_watch(client, events_in | EPOLLOUT);
}

static void client_connect(struct client *client)
{
	int r = target_socket(&client->context->target, &client->fd);

	if (r < 0) {
		client_lose_for(client, OUTCOME_LOCAL, -r);
		return;
	}
	client->context->tally.connects++;
	client->state = CLIENT_CONNECTING;
	client_try_connect(client);
}

/* For a request of which no byte has been sent: its deadline stays. */
static void client_reconnect(struct client *client)
{
	uint64_t deadline_usec = client->deadline.due_usec;

	client_drop(client);
	timer_arm(&client->deadline, &client->context->deadlines, deadline_usec);
	client_connect(client);
}

/* An idle connection that the server has closed already must not cost a request. */
static void client_reuse(struct client *client)
{
	char byte;
	ssize_t n = recv(client->fd, &byte, 1, MSG_PEEK);

	if (n < 0 && errno == EAGAIN) {
		client_send(client);
		return;
	}
	if (n > 0)
		client->context->tally.unsolicited++;
	else
		client->context->tally.closed_idle++;
	client_reconnect(client);
}

void client_start(struct client *client, uint64_t due_usec, uint64_t now_usec)
{
	struct client_context *context = client->context;

	client->has_request = true;
	client->due_usec = due_usec;
	client->sent_bytes = 0;
	context->tally.issued++;
	context->active++;
	response_begin(&client->response, &context->wanted);
	timer_arm(&client->deadline, &context->deadlines,
		  now_usec + context->options->timeout_usec);

	if (client->state == CLIENT_FREE)
		client_connect(client);
	else if (client->state == CLIENT_IDLE)
		client_reuse(client);
	/* else the connection is being opened ahead, and the request goes out as soon as it is */
}

void client_open(struct client *client)
{
	client->sent_bytes = 0;
	response_begin(&client->response, &client->context->wanted);
	timer_arm(&client->deadline, &client->context->deadlines,
		  clock_usec() + client->context->options->timeout_usec);
	client_connect(client);
}

static enum outcome client_judge(const struct client *client)
{
	if (client->response.status != 200)
		return OUTCOME_BAD_STATUS;
	if (client->sent_bytes < client->context->request_bytes)
		return OUTCOME_BAD_RESPONSE; /* it cannot know what it says yes to */
	return response_has_wanted_body(&client->response) ? OUTCOME_OK : OUTCOME_WRONG_BODY;
}

/* The answer is whole; @ended: and so is the connection. */
static void client_answered(struct client *client, bool ended)
{
	uint64_t now_usec = clock_usec();

	client->outcome = client_judge(client);
	client->latency_usec = now_usec > client->due_usec ? now_usec - client->due_usec : 0;
	if (ended || client->state == CLIENT_SENDING) {
		client_linger_over(client);
	} else if (mode_reuses(client) && response_keeps_alive(&client->response)) {
		client->state = CLIENT_IDLE;
		client->used = true;
		client_over(client, client->outcome, client->latency_usec);
	} else {
		client->state = CLIENT_LINGERING;
		timer_disarm(&client->deadline);
		timer_arm(&client->step, &client->context->graces, now_usec + LINGER_USEC);
	}
}

static void client_take(struct client *client, size_t size)
{
	ssize_t taken;

	switch (client->state) {
	case CLIENT_FREE:
	case CLIENT_CONNECTING:
	case CLIENT_IDLE:
		client->context->tally.unsolicited++;
		client_idle_lost(client);
		break;
	case CLIENT_LINGERING:
		client_lose(client, OUTCOME_BAD_RESPONSE);
		break;
	case CLIENT_SENDING:
	case CLIENT_READING:
		taken = response_feed(&client->response, client->context->buffer, size);
		if (taken < 0 || (size_t)taken < size)
			client_lose(client, OUTCOME_BAD_RESPONSE);
		else if (client->response.state == RESPONSE_COMPLETE)
			client_answered(client, false);
		break;
	}
}

static void client_eof(struct client *client)
{
	switch (client->state) {
	case CLIENT_FREE:
	case CLIENT_CONNECTING:
	case CLIENT_IDLE:
		client->context->tally.closed_idle++;
		client_idle_lost(client);
		break;
	case CLIENT_LINGERING:
		client_linger_over(client);
		break;
	case CLIENT_SENDING:
	case CLIENT_READING:
		if (response_end(&client->response) == 0)
			client_answered(client, true);
		else
			client_lose(client, OUTCOME_CLOSED_EARLY);
		break;
	}
}

/* @ending: the EOF or the error has been seen already, so read on until it comes. */
static void client_read(struct client *client, bool ending)
{
	do {
		ssize_t n = recv(client->fd, client->context->buffer, CLIENT_BUFFER_BYTES, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			client_broken(client, errno);
		else if (n == 0)
			client_eof(client);
		else
			client_take(client, (size_t)n);
	} while (ending && client->state >= CLIENT_SENDING);
}

static void client_opened(struct client *client)
{
	int error = 0;
	socklen_t size = sizeof(error);

	(void)getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error) {
		client_broken(client, error);
		return;
	}
	timer_disarm(&client->deadline);
	client->state = CLIENT_IDLE;
	client_watch(client, events_in);
}

void client_event(struct client *client, uint32_t events)
{
	if (client->state == CLIENT_CONNECTING && !client->has_request)
		client_opened(client);
	else if (client->state == CLIENT_CONNECTING ||
		 (client->state == CLIENT_SENDING && events & EPOLLOUT))
		client_send(client);
	else if (client->state != CLIENT_FREE)
		client_read(client, events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
}

static void on_deadline(struct timer *timer)
{
	struct client *client = container_of(timer, struct client, deadline);
	bool connected = client->state != CLIENT_CONNECTING;

	client_lose(client, connected ? OUTCOME_TIMEOUT : OUTCOME_TIMEOUT_CONNECT);
}

static void on_retry(struct timer *timer)
{
	client_try_connect(container_of(timer, struct client, step));
}

static void on_piece(struct timer *timer)
{
	client_send(container_of(timer, struct client, step));
}

static void on_grace(struct timer *timer)
{
	client_linger_over(container_of(timer, struct client, step));
}

int client_context_init(struct client_context *context, const struct load_options *options,
			const struct client_ops *ops, int epoll_fd)
{
	bool reuses = options->mode == LOAD_KEEPALIVE || options->mode == LOAD_IDLE;

	memset(context, 0, offsetof(struct client_context, request));
	context->options = options;
	context->ops = ops;
	context->target = options->target;
	context->wanted = (struct response_wanted){
		.body = options->expect_body,
		.length_bytes = options->expect_length_bytes,
		.generation_header = options->generation_header,
	};
	context->tally.slow_threshold_usec = options->slow_threshold_usec;
	context->epoll_fd = epoll_fd;
	timer_queue_init(&context->deadlines, on_deadline);
	timer_queue_init(&context->retries, on_retry);
	timer_queue_init(&context->pieces, on_piece);
	timer_queue_init(&context->graces, on_grace);
	int n = snprintf(context->request, sizeof(context->request),
			 "GET %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: handover-load\r\n"
			 "Accept: */*\r\nConnection: %s\r\n\r\n",
			 options->path, reuses ? "keep-alive" : "close");
	if (n < 0 || (size_t)n >= sizeof(context->request))
		return -ENAMETOOLONG;
	context->request_bytes = (size_t)n;
	return 0;
}

void client_context_finish(struct client_context *context)
{
	tally_finish(&context->tally);
}

void client_init(struct client *client, struct client_context *context)
{
	memset(client, 0, offsetof(struct client, response));
	client->context = context;
	client->fd = -1;
}
