/* The Varlink client against a listener whose other end the test plays by hand. */
#define CONTROL_CLIENT_TIMEOUT_MS 50
#include "proto/varlink_client.c"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

enum { BACKLOG = 2 };

struct fixture {
	char folder[32];
	char path[64];
	int listen_fd, peer;
	struct varlink_client *client;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct sockaddr_un address;
	socklen_t length;

	strcpy(fixture->folder, "/tmp/test-client-XXXXXX");
	assert_non_null(mkdtemp(fixture->folder));
	(void)snprintf(fixture->path, sizeof(fixture->path), "%s/socket", fixture->folder);
	assert_int_equal(address_from_path(fixture->path, &address, &length), 0);
	fixture->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fixture->listen_fd, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(fixture->listen_fd, BACKLOG), 0);
	assert_int_equal(varlink_client_connect(fixture->path, &fixture->client, NULL), 0);
	fixture->peer = accept4(fixture->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fixture->peer >= 0);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	varlink_client_free(fixture->client);
	(void)fd_close(fixture->peer);
	(void)fd_close(fixture->listen_fd);
	(void)unlink(fixture->path);
	(void)rmdir(fixture->folder);
	free(fixture);
	return 0;
}

/* Sends @text, in which '|' stands for NUL, as the service would. */
static void peer_send(struct fixture *fixture, const char *text)
{
	char bytes[1024];
	size_t n_bytes = strlen(text);
	assert_true(n_bytes <= sizeof(bytes));
	for (size_t i = 0; i < n_bytes; i++)
		bytes[i] = text[i] == '|' ? '\0' : text[i];
	assert_int_equal(send(fixture->peer, bytes, n_bytes, MSG_NOSIGNAL), n_bytes);
}

static void assert_connect_fails(const char *path, int code)
{
	struct varlink_client *client = NULL;
	struct error error = { "" };
	assert_int_equal(varlink_client_connect(path, &client, &error), code);
	assert_null(client);
	assert_non_null(strstr(error.text, path));
	assert_non_null(strstr(error.text, strerror(-code)));
}

static void test_nobody_listens(void **state)
{
	struct fixture *fixture = *state;
	char long_path[256];
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	assert_connect_fails(long_path, -ENAMETOOLONG);
	assert_connect_fails("", -ENOENT);
	assert_connect_fails("/nonexistent/control.sock", -ENOENT);
	assert_connect_fails("@handover-test-nobody-listens-here", -ECONNREFUSED);
	fixture->listen_fd = fd_close(fixture->listen_fd);
	assert_connect_fails(fixture->path, -ECONNREFUSED);
}

static void test_not_permitted(void **state)
{
	struct fixture *fixture = *state;
	uid_t uid = geteuid();
	assert_int_equal(chmod(fixture->path, 0), 0);
	assert_int_equal(chmod(fixture->folder, 0755), 0);
	if (uid == 0)
		assert_int_equal(seteuid(65534), 0);
	assert_connect_fails(fixture->path, -EACCES);
	if (uid == 0)
		assert_int_equal(seteuid(uid), 0);
}

/* A supervisor that is stopped: its queue fills, and the client does not wait for ever. */
static void test_nobody_accepts(void **state)
{
	struct fixture *fixture = *state;
	struct varlink_client *waiting[BACKLOG + 1];
	for (size_t i = 0; i < ARRAY_SIZE(waiting); i++)
		assert_int_equal(varlink_client_connect(fixture->path, &waiting[i], NULL), 0);
	assert_connect_fails(fixture->path, -ETIMEDOUT);
	for (size_t i = 0; i < ARRAY_SIZE(waiting); i++)
		varlink_client_free(waiting[i]);
}

static void test_abstract(void **state)
{
	char name[64];
	struct sockaddr_un address;
	socklen_t length;
	CLEANUP(varlink_client_freep) struct varlink_client *client = NULL;
	CLEANUP(fd_closep) int listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	(void)snprintf(name, sizeof(name), "@handover-test-client-%d", getpid());
	assert_int_equal(address_from_path(name, &address, &length), 0);
	assert_int_equal(length, sizeof(sa_family_t) + strlen(name));
	assert_int_equal(bind(listen_fd, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(listen_fd, 1), 0);
	assert_int_equal(varlink_client_connect(name, &client, NULL), 0);
	int flags = fcntl(client->fd, F_GETFD);
	assert_int_equal(flags, FD_CLOEXEC);
}

static void test_call(void **state)
{
	static const char expected[] =
		"{\"method\":\"a.B\"}\0"
		"{\"method\":\"a.C\",\"parameters\":{\"x\":1},\"more\":true}";
	struct fixture *fixture = *state;
	json_auto_t *parameters = json_pack("{s:i}", "x", 1);
	char bytes[256] = "";

	assert_int_equal(varlink_client_call(fixture->client, "a.B", NULL, false), 0);
	assert_int_equal(varlink_client_call(fixture->client, "a.C", parameters, true), 0);
	assert_int_equal(recv(fixture->peer, bytes, sizeof(bytes), 0), sizeof(expected));
	assert_memory_equal(bytes, expected, sizeof(expected));
	assert_int_equal(parameters->refcount, 1);
}

static void test_replies(void **state)
{
	struct fixture *fixture = *state;
	struct varlink_reply reply;

	peer_send(fixture, "{\"parameters\":{\"n\":1},\"continues\":true}|{}|{\"error\":\"a.E\","
			   "\"parameters\":{\"n\":3}}|{\"parameters\":null}|");
	assert_int_equal(varlink_client_receive(fixture->client, -1, &reply), 0);
	assert_int_equal(json_integer_value(json_object_get(reply.parameters, "n")), 1);
	assert_true(reply.continues && !reply.error);
	varlink_reply_finish(&reply);
	assert_null(reply.message);

	assert_int_equal(varlink_client_receive(fixture->client, 0, &reply), 0);
	assert_true(json_is_object(reply.parameters) && !reply.continues && !reply.error);
	varlink_reply_finish(&reply);

	assert_int_equal(varlink_client_receive(fixture->client, 1000, &reply), 0);
	assert_string_equal(reply.error, "a.E");
	assert_int_equal(json_integer_value(json_object_get(reply.parameters, "n")), 3);
	varlink_reply_finish(&reply);

	/* A reply outlives its client. */
	assert_int_equal(varlink_client_receive(fixture->client, 1000, &reply), 0);
	varlink_client_free(TAKE_PTR(fixture->client));
	assert_true(json_is_object(reply.parameters));
	varlink_reply_finish(&reply);
}

static void test_timeout(void **state)
{
	struct fixture *fixture = *state;
	struct varlink_reply reply;

	assert_int_equal(varlink_client_receive(fixture->client, 0, &reply), -ETIMEDOUT);
	peer_send(fixture, "{\"parameters\":");
	assert_int_equal(varlink_client_receive(fixture->client, 10, &reply), -ETIMEDOUT);
	peer_send(fixture, "{}}|");
	assert_int_equal(varlink_client_receive(fixture->client, 10, &reply), 0);
	varlink_reply_finish(&reply);
}

static void test_peer_goes(void **state)
{
	struct fixture *fixture = *state;
	struct varlink_reply reply;

	peer_send(fixture, "{}|{\"parameters\":");
	fixture->peer = fd_close(fixture->peer);
	assert_int_equal(varlink_client_receive(fixture->client, -1, &reply), 0);
	varlink_reply_finish(&reply);
	assert_int_equal(varlink_client_receive(fixture->client, -1, &reply), -ECONNRESET);
	assert_int_equal(varlink_client_call(fixture->client, "a.B", NULL, false), -EPIPE);
}

/* With a call unread, the peer's end is a reset; what it had said before is heard. */
static void test_peer_goes_unread(void **state)
{
	struct fixture *fixture = *state;
	struct varlink_reply reply;

	assert_int_equal(varlink_client_call(fixture->client, "a.B", NULL, false), 0);
	peer_send(fixture, "{}|");
	fixture->peer = fd_close(fixture->peer);
	assert_int_equal(varlink_client_receive(fixture->client, -1, &reply), 0);
	varlink_reply_finish(&reply);
	assert_int_equal(varlink_client_receive(fixture->client, -1, &reply), -ECONNRESET);
}

static void test_peer_does_not_read(void **state)
{
	struct fixture *fixture = *state;
	int r;
	while ((r = varlink_client_call(fixture->client, "a.B", NULL, false)) == 0)
		;
	assert_int_equal(r, -ETIMEDOUT);
}

static const char *const BAD[] = {
	"x",
	"|",
	"[]|",
	"{]|",
	"{\"error\":1}|",
	"{\"extra\":1}|",
	"{\"parameters\":[]}|",
	"{\"error\":\"a.E\",\"continues\":true}|",
	"{\"error\":\"a.E\",\"error\":\"a.E\"}|",
};

static void test_no_varlink(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(BAD); i++) {
		struct fixture *fixture = *state;
		struct varlink_reply reply;
		peer_send(fixture, BAD[i]);
		assert_int_equal(varlink_client_receive(fixture->client, -1, &reply), -EBADMSG);
		teardown(state);
		setup(state);
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nobody_listens),
		TEST(test_not_permitted),
		TEST(test_nobody_accepts),
		TEST(test_abstract),
		TEST(test_call),
		TEST(test_replies),
		TEST(test_timeout),
		TEST(test_peer_goes),
		TEST(test_peer_goes_unread),
		TEST(test_peer_does_not_read),
		TEST(test_no_varlink),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
