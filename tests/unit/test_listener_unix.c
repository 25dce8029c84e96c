/* Unix sockets in the file system: whose file may be replaced, whose removed, who may connect. */
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>

#include "listener_fixture.h"

static char directory[64];
static char path[96];

static int make_directory(void **state)
{
	(void)state;
	(void)snprintf(directory, sizeof(directory), "%s/handover-unix-XXXXXX", P_tmpdir);
	if (!mkdtemp(directory))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/app.sock", directory);
	return 0;
}

static int remove_directory(void **state)
{
	(void)state;
	return rmdir(directory); /* fails when anything was left in it */
}

static int nothing_left(void **state)
{
	if (access(path, F_OK) == 0) {
		print_error("%s was left\n", path);
		return -1;
	}
	return no_descriptor_leaked(state);
}

static struct stat stat_of(const char *name)
{
	struct stat found;
	assert_int_equal(lstat(name, &found), 0);
	return found;
}

static void a_new_one_is_made_and_removed(void **state)
{
	static const mode_t modes[] = { 0666, 0600, 0660, 0000 };
	(void)state;
	mode_t before = umask(077);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		struct setup setup;
		setup_init(&setup, path, false);
		setup.listener.socket_mode = modes[i];
		struct listeners *listeners = setup_open(&setup, 3);
		const struct endpoint *endpoint = &listeners->items[0].endpoints[0];
		assert_int_equal(endpoint->n_shards, 1);
		assert_int_equal(stat_of(path).st_mode, S_IFSOCK | modes[i]);
		assert_int_equal(umask(077), 077);
		if (modes[i] == 0666) {
			int fd = dial(&endpoint->address);
			assert_true(fd >= 0);
			(void)close(fd);
		}
		listeners_free(listeners);
		assert_int_equal(access(path, F_OK), -1);
	}
	(void)umask(before);
}

static void it_is_given_to_its_owner(void **state)
{
	static const struct {
		char *user, *group;
		uid_t uid;
		gid_t gid;
	} cases[] = {
		{ "nobody", NULL, 65534, 65534 }, { NULL, "daemon", 0, 1 },
		{ "nobody", "daemon", 65534, 1 }, { "12345", NULL, 12345, 0 },
		{ NULL, "12345", 0, 12345 },
	};
	(void)state;
	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct setup setup;
		setup_init(&setup, path, false);
		setup.listener.socket_user = cases[i].user;
		setup.listener.socket_group = cases[i].group;
		struct listeners *listeners = setup_open(&setup, 1);
		assert_int_equal(stat_of(path).st_uid, cases[i].uid);
		assert_int_equal(stat_of(path).st_gid, cases[i].gid);
		listeners_free(listeners);
	}
}

static void an_unknown_owner_is_an_error(void **state)
{
	static char *const unknown[] = { "no-such-user", "-1", "4294967295", "12x", "" };
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(unknown) * 2; i++) {
		struct setup setup;
		setup_init(&setup, path, false);
		*(i % 2 ? &setup.listener.socket_group
			: &setup.listener.socket_user) = unknown[i / 2];
		setup_must_fail(&setup, 1, -EINVAL);
		assert_text(&setup.error, i % 2 ? "no such group" : "no such user");
	}
}

static void a_dead_owners_file_is_replaced(void **state)
{
	struct setup setup;
	(void)state;
	setup_init(&setup, path, false);
	int dead = socket_at(&setup.address, SOCK_STREAM);
	assert_int_equal(listen(dead, 1), 0);
	/* A connection that outlives its listener carries the name on, and listens for nothing. */
	CLEANUP(fd_closep) int client = dial(&setup.address);
	CLEANUP(fd_closep) int server = accept4(dead, NULL, NULL, SOCK_CLOEXEC);
	assert_true(server >= 0);
	(void)close(dead);
	assert_int_equal(dial(&setup.address), -ECONNREFUSED);
	struct listeners *listeners = setup_open(&setup, 1);
	int fd = dial(&setup.address);
	assert_true(fd >= 0);
	(void)close(fd);
	listeners_free(listeners);
}

/* Listening; with a full queue; bound and about to listen; of another type. */
static void a_live_owners_file_is_not(void **state)
{
	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		struct setup setup;
		int client = -1;
		setup_init(&setup, path, false);
		CLEANUP(fd_closep)
		int owner = socket_at(&setup.address, kind == 3 ? SOCK_DGRAM : SOCK_STREAM);
		if (kind < 2)
			assert_int_equal(listen(owner, kind == 0 ? 10 : 0), 0);
		if (kind == 1)
			client = dial(&setup.address);
		ino_t inode = stat_of(path).st_ino;
		setup_must_fail(&setup, 1, -EADDRINUSE);
		assert_text(&setup.error, "this handoverd itself");
		assert_true(stat_of(path).st_ino == inode);
		(void)fd_close(client);
		assert_int_equal(unlink(path), 0);
	}
}

static void a_file_that_is_no_socket_is_never_removed(void **state)
{
	struct setup setup;
	char content[8] = "";
	(void)state;
	setup_init(&setup, path, false);
	int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_int_equal(write(file, "keep me", 7), 7);
	(void)close(file);
	setup_must_fail(&setup, 1, -EEXIST);
	assert_text(&setup.error, "no socket");
	file = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(file, content, 7), 7);
	assert_string_equal(content, "keep me");
	(void)close(file);
	assert_int_equal(unlink(path), 0);
}

static void a_successors_file_is_left_alone_at_the_end(void **state)
{
	struct setup setup;
	(void)state;
	setup_init(&setup, path, false);
	struct listeners *listeners = setup_open(&setup, 1);
	assert_int_equal(unlink(path), 0);
	CLEANUP(fd_closep) int successor = socket_at(&setup.address, SOCK_STREAM);
	assert_true(successor >= 0);
	listeners_free(listeners);
	assert_int_equal(unlink(path), 0);
}

/* Says over @report whether it could open; stays until @end is closed. */
static void contender_run(int start, int report, int end)
{
	struct setup setup;
	struct listeners *listeners;
	char byte, won;
	setup_init(&setup, path, false);
	(void)!read(start, &byte, 1);
	won = listeners_open(&setup.config, 1, NULL, &listeners, &setup.notices, &setup.error) == 0;
	(void)!write(report, &won, 1);
	(void)!read(end, &byte, 1);
	_exit(0);
}

/* Two find the same dead file at the same moment: one gets the address, and can be reached there. */
static void two_at_once(void **state)
{
	(void)state;
	for (int round = 0; round < 100; round++) {
		struct setup setup;
		int start[2], report[2], end[2];
		pid_t pids[2];
		char won[2];
		setup_init(&setup, path, false);
		(void)close(socket_at(&setup.address, SOCK_STREAM));
		assert_int_equal(pipe2(start, O_CLOEXEC), 0);
		assert_int_equal(pipe2(report, O_CLOEXEC), 0);
		assert_int_equal(pipe2(end, O_CLOEXEC), 0);
		for (size_t i = 0; i < 2; i++) {
			pids[i] = fork_helper();
			if (pids[i] == 0) {
				(void)close(start[1]);
				(void)close(end[1]);
				contender_run(start[0], report[1], end[0]);
			}
		}
		(void)close(start[1]);
		for (size_t i = 0; i < 2; i++)
			assert_int_equal(read(report[0], &won[i], 1), 1);
		assert_int_equal(won[0] + won[1], 1);
		int fd = dial(&setup.address);
		assert_true(fd >= 0);
		(void)close(fd);
		(void)close(end[1]);
		for (size_t i = 0; i < 2; i++)
			assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
		(void)close(start[0]);
		(void)close(report[0]);
		(void)close(report[1]);
		(void)close(end[0]);
		assert_int_equal(unlink(path), 0);
	}
}

static void an_abstract_name_in_use(void **state)
{
	struct setup setup;
	(void)state;
	setup_init(&setup, "@handover-test-in-use", false);
	CLEANUP(fd_closep) int owner = socket_at(&setup.address, SOCK_STREAM);
	assert_int_equal(listen(owner, 1), 0);
	setup_must_fail(&setup, 1, -EADDRINUSE);
	assert_text(&setup.error, "@handover-test-in-use: address in use");
}

#define unix_test(function) \
	cmocka_unit_test_setup_teardown(function, remember_descriptors, nothing_left)

int main(void)
{
	/* The databases open descriptors of their own at their first use. */
	(void)getpwnam("nobody");
	(void)getgrnam("daemon");
	const struct CMUnitTest tests[] = {
		unix_test(a_new_one_is_made_and_removed),
		unix_test(it_is_given_to_its_owner),
		unix_test(an_unknown_owner_is_an_error),
		unix_test(a_dead_owners_file_is_replaced),
		unix_test(a_live_owners_file_is_not),
		unix_test(a_file_that_is_no_socket_is_never_removed),
		unix_test(a_successors_file_is_left_alone_at_the_end),
		unix_test(two_at_once),
		unix_test(an_abstract_name_in_use),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
