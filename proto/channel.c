#include "proto/channel.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "proto/base.h"
#include "proto/byte_queue.h"
#include "proto/envelope.h"

/* Aligned as a header must be, see cmsg(3). */
union control_buffer {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(CHANNEL_PACKET_MAX_FDS * sizeof(int))];
};

void channel_packet_finish(struct channel_packet *packet)
{
	json_decref(packet->message);
	free(packet->bytes);
	for (size_t i = 0; i < packet->n_fds; i++)
		(void)fd_close(packet->fds[i]);
	packet->message = NULL;
	packet->bytes = NULL;
	packet->n_bytes = 0;
	packet->n_fds = 0;
}

int channel_pair(int ret_fds[static 2])
{
	int fds[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0) {
		int r = -errno;
		(void)fd_close(fds[0]);
		(void)fd_close(fds[1]);
		return r;
	}
	memcpy(ret_fds, fds, sizeof(fds));
	return 0;
}

/* JSON, and a NUL before the raw bytes where there are any. */
static int packet_encode(struct byte_queue *packet, const json_t *message, const void *bytes,
			 size_t n_bytes)
{
	int r = byte_queue_append_json(packet, message);
	if (r < 0)
		return r;
	size_t n_json = byte_queue_length(packet);
	if (n_json > CHANNEL_PACKET_MAX_BYTES ||
	    (n_bytes > 0 && n_bytes >= CHANNEL_PACKET_MAX_BYTES - n_json))
		return -EMSGSIZE;
	if (n_bytes == 0)
		return 0;
	r = byte_queue_append(packet, "", 1);
	return r < 0 ? r : byte_queue_append(packet, bytes, n_bytes);
}

static void put_fds(struct msghdr *header, union control_buffer *control, const int *fds,
		    size_t n_fds)
{
	size_t n_bytes = n_fds * sizeof(int);
	memset(control, 0, sizeof(*control));
	header->msg_control = control;
	header->msg_controllen = CMSG_SPACE(n_bytes);
	struct cmsghdr *part = CMSG_FIRSTHDR(header);
	part->cmsg_level = SOL_SOCKET;
	part->cmsg_type = SCM_RIGHTS;
	part->cmsg_len = CMSG_LEN(n_bytes);
	memcpy(CMSG_DATA(part), fds, n_bytes);
}

int channel_send(int fd, json_t *message, const void *bytes, size_t n_bytes, const int *fds,
		 size_t n_fds)
{
	if (n_fds > CHANNEL_PACKET_MAX_FDS)
		return -EMSGSIZE;
	CLEANUP(byte_queue_finish) struct byte_queue packet = { 0 };
	int r = packet_encode(&packet, message, bytes, n_bytes);
	if (r < 0)
		return r;
	struct iovec data = { packet.bytes, byte_queue_length(&packet) };
	struct msghdr header = { .msg_iov = &data, .msg_iovlen = 1 };
	union control_buffer control;
	if (n_fds > 0)
		put_fds(&header, &control, fds, n_fds);
	while (sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/* Every descriptor is in our table from now on, wanted or not: all of them are taken into @packet,
 * whose owner closes them. */
static void take_fds(struct channel_packet *packet, struct msghdr *header)
{
	for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part)) {
		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n_bytes = part->cmsg_len - CMSG_LEN(0);
		/* The control buffer has no room for more than the array has. */
		memcpy(packet->fds + packet->n_fds, CMSG_DATA(part), n_bytes);
		packet->n_fds += n_bytes / sizeof(int);
	}
}

static int packet_decode(struct channel_packet *packet, const char *buffer, size_t n_bytes)
{
	const char *end = memchr(buffer, '\0', n_bytes);
	size_t n_json = end ? (size_t)(end - buffer) : n_bytes;
	int r = envelope_parse(buffer, n_json, &packet->message, NULL);
	if (r < 0 || n_bytes - n_json <= 1)
		return r;
	packet->n_bytes = n_bytes - n_json - 1;
	packet->bytes = malloc(packet->n_bytes);
	if (!packet->bytes)
		return -ENOMEM;
	memcpy(packet->bytes, end + 1, packet->n_bytes);
	return 0;
}

/* A peer that died without having read all of ours leaves ECONNRESET once, before its own last
 * words, which are still in the queue: so that error is read away. */
static ssize_t receive_packet(int fd, struct msghdr *header)
{
	ssize_t n;
	do
		n = recvmsg(fd, header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	return n < 0 ? -errno : n;
}

int channel_receive(int fd, struct channel_packet *ret_packet)
{
	CLEANUP(freep) char *buffer = malloc(CHANNEL_PACKET_MAX_BYTES);
	if (!buffer)
		return -ENOMEM;
	CLEANUP(channel_packet_finish) struct channel_packet packet = { .n_fds = 0 };
	union control_buffer control;
	struct iovec data = { buffer, CHANNEL_PACKET_MAX_BYTES };
	struct msghdr header = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = receive_packet(fd, &header);
	if (n < 0)
		return (int)n;
	take_fds(&packet, &header);
	if (header.msg_flags & MSG_CTRUNC)
		return -EMFILE;
	if (n == 0 && packet.n_fds == 0)
		return 0;
	if (header.msg_flags & MSG_TRUNC)
		return -EBADMSG;
	int r = packet_decode(&packet, buffer, (size_t)n);
	if (r < 0)
		return r;
	*ret_packet = packet;
	packet.n_fds = 0;
	packet.message = NULL;
	packet.bytes = NULL;
	return 1;
}
