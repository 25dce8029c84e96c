#include "proto/varlink_client.h"

#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

#include "proto/envelope.h"
#include "proto/framing.h"
#include "proto/limits.h"

enum { READ_BYTES = 16 * 1024 };

struct varlink_client {
	int fd;
	struct framing input;
};

void varlink_client_free(struct varlink_client *client)
{
	if (!client)
		return;
	(void)fd_close(client->fd);
	framing_finish(&client->input);
	free(client);
}

static int address_from_path(const char *path, struct sockaddr_un *ret_address,
			     socklen_t *ret_length)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t length = strlen(path);

	if (length >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	if (length == 0)
		return -ENOENT;
	memcpy(address.sun_path, path, length);
	bool abstract = path[0] == '@';
	if (abstract)
		address.sun_path[0] = '\0';
	/* An abstract name ends where the length says, a path with its NUL; see unix(7). */
	*ret_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + !abstract);
	*ret_address = address;
	return 0;
}

/* The send timeout holds for connect(2) too, which waits for room in the listener's queue. */
static int connect_with_timeout(const struct sockaddr_un *address, socklen_t length, int *ret_fd)
{
	CLEANUP(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct timeval timeout = {
		.tv_sec = CONTROL_CLIENT_TIMEOUT_MS / 1000,
		.tv_usec = CONTROL_CLIENT_TIMEOUT_MS % 1000 * 1000,
	};
	int r;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0)
		return -errno;
	do
		r = connect(fd, (const struct sockaddr *)address, length);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int varlink_client_connect(const char *path, struct varlink_client **ret_client,
			   struct error *error)
{
	struct sockaddr_un address;
	socklen_t length;
	CLEANUP(varlink_client_freep) struct varlink_client *client = calloc(1, sizeof(*client));

	if (!client)
		return error_set(error, -ENOMEM, "out of memory");
	client->fd = -1;
	int r = address_from_path(path, &address, &length);
	if (r == 0)
		r = connect_with_timeout(&address, length, &client->fd);
	if (r < 0)
		return error_set(error, r, "%s: %s", path, strerror(-r));
	*ret_client = TAKE_PTR(client);
	return 0;
}

int varlink_client_call(struct varlink_client *client, const char *method, json_t *parameters,
			bool more)
{
	struct envelope_call call = { .method = method, .parameters = parameters, .more = more };
	CLEANUP(byte_queue_finish) struct byte_queue output = { 0 };
	json_auto_t *message = envelope_encode_call(&call);

	if (!message || byte_queue_append_json(&output, message) < 0 ||
	    byte_queue_append(&output, "", 1) < 0)
		return -ENOMEM;
	while (byte_queue_length(&output) > 0) {
		ssize_t n = send(client->fd, byte_queue_data(&output), byte_queue_length(&output),
				 MSG_NOSIGNAL);
		if (n >= 0)
			byte_queue_consume(&output, (size_t)n);
		else if (errno == EAGAIN)
			return -ETIMEDOUT;
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

void varlink_reply_finish(struct varlink_reply *reply)
{
	json_decref(reply->message);
	*reply = (struct varlink_reply){ 0 };
}

static int64_t now_ms(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until there is something to read. @deadline_ms < 0: for ever. */
static int client_wait(const struct varlink_client *client, int64_t deadline_ms)
{
	struct pollfd readable = { client->fd, POLLIN, 0 };
	for (;;) {
		int timeout_ms = -1;
		if (deadline_ms >= 0) {
			int64_t left_ms = deadline_ms - now_ms();
			timeout_ms = left_ms <= 0 ? 0 : left_ms > INT_MAX ? INT_MAX : (int)left_ms;
		}
		int r = poll(&readable, 1, timeout_ms);
		if (r == 0)
			return -ETIMEDOUT;
		if (r > 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

static int client_read(struct varlink_client *client)
{
	char bytes[READ_BYTES];
	ssize_t n = recv(client->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n == 0)
		return -ECONNRESET;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	return framing_push(&client->input, bytes, (size_t)n);
}

static int reply_decode(const char *bytes, size_t n_bytes, struct varlink_reply *ret_reply)
{
	json_auto_t *message = NULL;
	struct envelope_reply reply;

	int r = envelope_parse(bytes, n_bytes, &message, NULL);
	if (r == 0)
		r = envelope_decode_reply(message, &reply, NULL);
	if (r < 0)
		return r;
	if (!reply.parameters) {
		reply.parameters = json_object();
		if (json_object_set_new(message, "parameters", reply.parameters) < 0)
			return -ENOMEM;
	}
	*ret_reply = (struct varlink_reply){
		.message = TAKE_PTR(message),
		.parameters = reply.parameters,
		.error = reply.error,
		.continues = reply.continues,
	};
	return 0;
}

int varlink_client_receive(struct varlink_client *client, int timeout_ms,
			   struct varlink_reply *ret_reply)
{
	int64_t deadline_ms = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
	const char *message;
	size_t n_bytes;

	for (;;) {
		int r = framing_next(&client->input, &message, &n_bytes);
		if (r > 0)
			return reply_decode(message, n_bytes, ret_reply);
		if (r < 0)
			return r;
		r = client_wait(client, deadline_ms);
		if (r == 0)
			r = client_read(client);
		if (r < 0)
			return r;
	}
}
