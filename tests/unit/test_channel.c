/* Packets over a real socket pair: messages, bytes and descriptors, and no descriptor leaked. */
#include "proto/channel.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "proto/base.h"

static int count_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int n = 0;
	assert_non_null(directory);
	while (readdir(directory))
		n++;
	closedir(directory);
	return n;
}

struct fixture {
	int fds[2];
	int n_fds_before;
	json_t *message;
};

static int setup(void **state)
{
	static struct fixture fixture;
	fixture.n_fds_before = count_fds();
	fixture.message = json_pack("{s:s}", "method", "a.B");
	*state = &fixture;
	return channel_pair(fixture.fds);
}

/* After every test: no descriptor is left but those that were there before. */
static int teardown(void **state)
{
	struct fixture *fixture = *state;
	fixture->fds[0] = fd_close(fixture->fds[0]);
	fixture->fds[1] = fd_close(fixture->fds[1]);
	json_decref(fixture->message);
	return count_fds() == fixture->n_fds_before ? 0 : -1;
}

static void test_pair(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(fcntl(fixture->fds[0], F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(fixture->fds[1], F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(fixture->fds[0], F_GETFL) & O_NONBLOCK);
	assert_false(fcntl(fixture->fds[1], F_GETFL) & O_NONBLOCK);
}

static void test_message(void **state)
{
	struct fixture *fixture = *state;
	struct channel_packet packet;
	assert_int_equal(channel_send(fixture->fds[0], fixture->message, NULL, 0, NULL, 0), 0);
	assert_int_equal(channel_receive(fixture->fds[1], &packet), 1);
	assert_true(json_equal(packet.message, fixture->message));
	assert_null(packet.bytes);
	assert_int_equal(packet.n_fds, 0);
	channel_packet_finish(&packet);
	/* The other end is a blocking socket: reading it does not block all the same. */
	assert_int_equal(channel_receive(fixture->fds[1], &packet), -EAGAIN);
	assert_int_equal(channel_receive(fixture->fds[0], &packet), -EAGAIN);
}

static void test_bytes(void **state)
{
	static const char bytes[] = "GET / HTTP/1.1\r\n\0\xff{}";
	struct fixture *fixture = *state;
	struct channel_packet packet;
	assert_int_equal(
		channel_send(fixture->fds[0], fixture->message, bytes, sizeof(bytes), NULL, 0), 0);
	assert_int_equal(channel_receive(fixture->fds[1], &packet), 1);
	assert_true(json_equal(packet.message, fixture->message));
	assert_int_equal(packet.n_bytes, sizeof(bytes));
	assert_memory_equal(packet.bytes, bytes, sizeof(bytes));
	channel_packet_finish(&packet);
}

static void test_fds(void **state)
{
	struct fixture *fixture = *state;
	struct channel_packet packet;
	CLEANUP(fd_closep) int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int fds[CHANNEL_PACKET_MAX_FDS + 1];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = fd;
	assert_int_equal(channel_send(fixture->fds[0], fixture->message, "x", 1, fds,
				      CHANNEL_PACKET_MAX_FDS),
			 0);
	assert_int_equal(channel_receive(fixture->fds[1], &packet), 1);
	assert_int_equal(packet.n_fds, CHANNEL_PACKET_MAX_FDS);
	for (size_t i = 0; i < packet.n_fds; i++)
		assert_int_equal(fcntl(packet.fds[i], F_GETFD), FD_CLOEXEC);
	channel_packet_finish(&packet);
	channel_packet_finish(&packet);

	assert_int_equal(channel_send(fixture->fds[0], fixture->message, NULL, 0, fds,
				      CHANNEL_PACKET_MAX_FDS + 1),
			 -EMSGSIZE);
	assert_int_equal(channel_receive(fixture->fds[1], &packet), -EAGAIN);
}

static void test_size_limit(void **state)
{
	struct fixture *fixture = *state;
	struct channel_packet packet;
	char *text = json_dumps(fixture->message, JSON_COMPACT);
	size_t n_json = strlen(text), longest = CHANNEL_PACKET_MAX_BYTES - n_json - 1;
	char *bytes = calloc(1, longest + 1);

	free(text);
	assert_int_equal(
		channel_send(fixture->fds[0], fixture->message, bytes, longest + 1, NULL, 0),
		-EMSGSIZE);
	assert_int_equal(channel_send(fixture->fds[0], fixture->message, bytes, SIZE_MAX, NULL, 0),
			 -EMSGSIZE);
	assert_int_equal(channel_send(fixture->fds[0], fixture->message, bytes, longest, NULL, 0),
			 0);
	assert_int_equal(channel_receive(fixture->fds[1], &packet), 1);
	assert_int_equal(packet.n_bytes, longest);
	channel_packet_finish(&packet);
	free(bytes);

	json_auto_t *large = json_object();
	char *value = calloc(1, CHANNEL_PACKET_MAX_BYTES + 1);
	memset(value, 'x', CHANNEL_PACKET_MAX_BYTES);
	json_object_set_new(large, "x", json_string(value));
	free(value);
	assert_int_equal(channel_send(fixture->fds[0], large, NULL, 0, NULL, 0), -EMSGSIZE);
}

/* A packet as a faulty peer sends it: @n_bytes of raw bytes and @n_fds copies of a descriptor. */
static void send_raw(int fd, const void *bytes, size_t n_bytes, size_t n_fds)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(CHANNEL_PACKET_MAX_FDS * sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec data = { (void *)(uintptr_t)bytes, n_bytes };
	struct msghdr header = { .msg_iov = &data, .msg_iovlen = 1 };

	if (n_fds > 0) {
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		struct cmsghdr *part = CMSG_FIRSTHDR(&header);
		part->cmsg_level = SOL_SOCKET;
		part->cmsg_type = SCM_RIGHTS;
		part->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		for (size_t i = 0; i < n_fds; i++)
			memcpy(CMSG_DATA(part) + i * sizeof(int), &fd, sizeof(int));
	}
	assert_int_equal(sendmsg(fd, &header, MSG_NOSIGNAL), n_bytes);
}

/* Bad packets are consumed, with whatever came beside them. */
static void test_bad_packets(void **state)
{
	static const char *const BAD[] = {
		"x", "[]", "{", "{} {}", "\"\"", "{\"a\":1,\"a\":1}", "{\"a\":\"\xff\"}", "\n", " ",
	};
	struct fixture *fixture = *state;
	struct channel_packet packet;

	for (size_t i = 0; i < ARRAY_SIZE(BAD); i++) {
		int n_fds = count_fds();
		send_raw(fixture->fds[1], BAD[i], strlen(BAD[i]), 3);
		assert_int_equal(channel_receive(fixture->fds[0], &packet), -EBADMSG);
		assert_int_equal(count_fds(), n_fds);
	}
	send_raw(fixture->fds[1], "\0{}", 3, 1); /* bytes without a message */
	assert_int_equal(channel_receive(fixture->fds[0], &packet), -EBADMSG);
	send_raw(fixture->fds[1], "", 0, 2); /* empty, but not the end: it has descriptors */
	assert_int_equal(channel_receive(fixture->fds[0], &packet), -EBADMSG);
	send_raw(fixture->fds[1], "", 0, 0);
	assert_int_equal(channel_receive(fixture->fds[0], &packet), 0);
	send_raw(fixture->fds[1], "{}\0", 3, 0); /* a NUL and nothing behind it */
	assert_int_equal(channel_receive(fixture->fds[0], &packet), 1);
	assert_null(packet.bytes);
	channel_packet_finish(&packet);
}

static void test_too_large_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct channel_packet packet;
	char *bytes = calloc(1, CHANNEL_PACKET_MAX_BYTES + 1);
	memcpy(bytes, "{}", 2);
	send_raw(fixture->fds[1], bytes, CHANNEL_PACKET_MAX_BYTES + 1, 2);
	free(bytes);
	assert_int_equal(channel_receive(fixture->fds[0], &packet), -EBADMSG);
	assert_int_equal(channel_receive(fixture->fds[0], &packet), -EAGAIN);
}

static void test_no_room_for_fds(void **state)
{
	struct fixture *fixture = *state;
	struct channel_packet packet;
	struct rlimit before, tight;
	const char *preload = getenv("LD_PRELOAD");
	if (preload && strstr(preload, "vgpreload"))
		skip(); /* valgrind keeps the limit to itself, and the kernel never hears of it */
	int n_fds = count_fds();
	CLEANUP(fd_closep) int highest = dup(0);

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	send_raw(fixture->fds[1], "{}", 2, 5);
	tight = before;
	tight.rlim_cur = (rlim_t)highest + 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	int r = channel_receive(fixture->fds[0], &packet);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(r, -EMFILE);
	highest = fd_close(highest);
	assert_int_equal(count_fds(), n_fds);
}

static void test_full(void **state)
{
	struct fixture *fixture = *state;
	struct channel_packet packet;
	int n = 0, n_received = 0, r;

	while ((r = channel_send(fixture->fds[1], fixture->message, NULL, 0, NULL, 0)) == 0)
		n++;
	assert_int_equal(r, -EAGAIN);
	while (channel_receive(fixture->fds[0], &packet) == 1) {
		channel_packet_finish(&packet);
		n_received++;
	}
	assert_int_equal(n_received, n);
}

static void test_end(void **state)
{
	struct fixture *fixture = *state;
	struct channel_packet packet;
	fixture->fds[1] = fd_close(fixture->fds[1]);
	assert_int_equal(channel_receive(fixture->fds[0], &packet), 0);
	assert_int_equal(channel_send(fixture->fds[0], fixture->message, NULL, 0, NULL, 0), -EPIPE);
	assert_int_equal(channel_receive(fixture->fds[0], &packet), 0);
}

/* A worker that dies with a message unread still has its last words heard. */
static void test_last_words(void **state)
{
	struct fixture *fixture = *state;
	struct channel_packet packet;
	assert_int_equal(channel_send(fixture->fds[0], fixture->message, NULL, 0, NULL, 0), 0);
	assert_int_equal(channel_send(fixture->fds[1], fixture->message, NULL, 0, NULL, 0), 0);
	fixture->fds[1] = fd_close(fixture->fds[1]);
	assert_int_equal(channel_receive(fixture->fds[0], &packet), 1);
	channel_packet_finish(&packet);
	assert_int_equal(channel_receive(fixture->fds[0], &packet), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_pair),
		TEST(test_message),
		TEST(test_bytes),
		TEST(test_fds),
		TEST(test_size_limit),
		TEST(test_bad_packets),
		TEST(test_too_large_is_refused),
		TEST(test_no_room_for_fds),
		TEST(test_full),
		TEST(test_end),
		TEST(test_last_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
