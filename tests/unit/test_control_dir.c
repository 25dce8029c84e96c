/* The control directory: where it is, whose it is, what is left of it. */
#define CONTROL_DIR_SYSTEM system_directory
static char system_directory[128];

/* What a rival does between our open(2) and our flock(2). */
#include <stddef.h>
#include <sys/file.h>
static void (*before_lock)(void);
static int flock_after_rival(int fd, int operation)
{
	void (*rival)(void) = before_lock;
	before_lock = NULL;
	if (rival)
		rival();
	return flock(fd, operation);
}
#define flock flock_after_rival
#include "supervisor/control_dir.c"
#undef flock
#include "supervisor/control_dir_list.c"

#include <sys/wait.h>

#include "tests/unit/fixture.h"

enum { NOBODY = 65534 };

static struct scratch scratch;

static struct control_dir open_dir(const char *name)
{
	struct control_dir dir;
	struct error error;
	if (control_dir_open(name, &dir, &error) < 0)
		fail_msg("%s", error.text);
	return dir;
}

static void assert_path(const char *name, const char *wanted)
{
	CLEANUP(freep) char *path = NULL;
	assert_int_equal(control_dir_path(name, &path, NULL), 0);
	assert_string_equal(path, wanted);
}

static bool exists(const char *path)
{
	struct stat status;
	return lstat(path, &status) == 0;
}

static mode_t mode_of(const char *path)
{
	struct stat status;
	assert_int_equal(lstat(path, &status), 0);
	return status.st_mode & 07777;
}

static void test_path(void **state)
{
	static const char *const bad_names[] = { "", ".", "..", "a/b", "/" };
	struct error error;
	char *path = NULL;
	(void)state;
	setenv("RUNTIME_DIRECTORY", "/run/a:/run/b", 1);
	assert_path("web", "/run/a");
	setenv("RUNTIME_DIRECTORY", "/run/a", 1);
	assert_path("web", "/run/a");
	setenv("RUNTIME_DIRECTORY", "a", 1);
	assert_int_equal(control_dir_path("web", &path, &error), -EINVAL);
	setenv("RUNTIME_DIRECTORY", "", 1);
	if (geteuid() == 0)
		assert_path("web", scratch_file(&scratch, "run/web"));
	for (size_t i = 0; i < ARRAY_SIZE(bad_names); i++)
		assert_int_equal(control_dir_path(bad_names[i], &path, &error), -EINVAL);
}

/* Runs @test as another user; a failed assertion there is an exit status here. */
static void as_nobody(void (*test)(void))
{
	int status;
	if (geteuid() != 0)
		skip();
	pid_t pid = fork();
	if (pid == 0) {
		if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
			_exit(2);
		test();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void paths_of_nobody(void)
{
	struct error error;
	char *path = NULL;
	setenv("XDG_RUNTIME_DIR", "/run/user/65534", 1);
	assert_path("web", "/run/user/65534/handover/web");
	unsetenv("XDG_RUNTIME_DIR");
	assert_int_equal(control_dir_path("web", &path, &error), -ENOENT);
	assert_non_null(strstr(error.text, "set XDG_RUNTIME_DIR"));
	assert_null(path);
}

static void test_path_of_others(void **state)
{
	(void)state;
	as_nobody(paths_of_nobody);
}

static void test_made_and_removed(void **state)
{
	(void)state;
	setenv("RUNTIME_DIRECTORY", scratch_file(&scratch, "above/web"), 1);
	mode_t before = umask(077);
	struct control_dir dir = open_dir("web");
	umask(before);
	assert_true(dir.made);
	assert_string_equal(dir.path, scratch_file(&scratch, "above/web"));
	assert_string_equal(dir.notify_path, scratch_file(&scratch, "above/web/notify"));
	assert_int_equal(mode_of(scratch_file(&scratch, "above")), 0755);
	assert_int_equal(mode_of(dir.path), 0755);
	assert_int_equal(mode_of(dir.notify_path), 0755);
	assert_true(fcntl(dir.fd, F_GETFD) & FD_CLOEXEC);
	control_dir_close(&dir, NULL);
	control_dir_close(&dir, NULL);
	assert_false(exists(scratch_file(&scratch, "above/web")));
}

/* What exists is used as it is, and stays. */
static void test_found(void **state)
{
	const char *path = scratch_file(&scratch, "web");
	(void)state;
	assert_int_equal(mkdir(path, 0750), 0);
	setenv("RUNTIME_DIRECTORY", path, 1);
	struct control_dir dir = open_dir("web");
	assert_false(dir.made);
	assert_int_equal(mode_of(path), 0750);
	control_dir_close(&dir, NULL);
	assert_true(exists(scratch_file(&scratch, "web")));
	assert_false(exists(scratch_file(&scratch, "web/notify")));
}

static int make_socket(const char *path, bool listening)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	if (listening)
		assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void test_leftovers(void **state)
{
	(void)state;
	setenv("RUNTIME_DIRECTORY", scratch_file(&scratch, "web"), 1);
	assert_int_equal(mkdir(scratch_file(&scratch, "web"), 0755), 0);
	assert_int_equal(mkdir(scratch_file(&scratch, "web/notify"), 0755), 0);
	fd_close(make_socket(scratch_file(&scratch, "web/notify/1.0"), false));
	file_write_text(scratch_file(&scratch, "web/notify/note"), "", 0600);
	struct control_dir dir = open_dir("web");
	assert_false(exists(scratch_file(&scratch, "web/notify/1.0")));
	fd_close(make_socket(scratch_file(&scratch, "web/notify/2.0"), false));
	control_dir_close(&dir, NULL);
	assert_false(exists(scratch_file(&scratch, "web/notify/2.0")));
	assert_true(exists(scratch_file(&scratch, "web/notify/note"))); /* not ours */
}

static void test_two_at_once(void **state)
{
	struct control_dir second;
	struct error error;
	(void)state;
	setenv("RUNTIME_DIRECTORY", scratch_file(&scratch, "web"), 1);
	struct control_dir first = open_dir("web");
	unsigned before = count_descriptors();
	assert_int_equal(control_dir_open("web", &second, &error), -EWOULDBLOCK);
	assert_non_null(strstr(error.text, "another supervisor runs in "));
	assert_int_equal(count_descriptors(), before);
	control_dir_close(&first, NULL);
	second = open_dir("web");
	control_dir_close(&second, NULL);
}

static void rival_ends(void)
{
	assert_int_equal(rmdir(getenv("RUNTIME_DIRECTORY")), 0);
}

static void rival_begins_anew(void)
{
	rival_ends();
	assert_int_equal(mkdir(getenv("RUNTIME_DIRECTORY"), 0755), 0);
}

/* The lock of a directory that is no longer there, or no longer that one, is worth nothing. */
static void test_removed_before_locked(void **state)
{
	void (*const rivals[])(void) = { rival_ends, rival_begins_anew };
	(void)state;
	setenv("RUNTIME_DIRECTORY", scratch_file(&scratch, "web"), 1);
	for (size_t i = 0; i < ARRAY_SIZE(rivals); i++) {
		before_lock = rivals[i];
		struct control_dir dir = open_dir("web"), second;
		assert_null(before_lock);
		assert_int_equal(control_dir_open("web", &second, NULL), -EWOULDBLOCK);
		control_dir_close(&dir, NULL);
		(void)rmdir(getenv("RUNTIME_DIRECTORY"));
	}
}

/* Many begin and end at the same moments: never two inside, and none fails for another reason. */
static void test_race(void **state)
{
	enum { RIVALS = 4, ROUNDS = 200 };
	(void)state;
	setenv("RUNTIME_DIRECTORY", scratch_file(&scratch, "web"), 1);
	for (int i = 0; i < RIVALS; i++)
		if (fork() == 0) {
			for (int done = 0; done < ROUNDS;) {
				struct control_dir dir;
				int r = control_dir_open("web", &dir, NULL);
				if (r < 0 && r != -EWOULDBLOCK)
					_exit(1);
				if (r < 0)
					continue;
				char inside[PATH_MAX];
				(void)snprintf(inside, sizeof(inside), "%s/inside", dir.path);
				if (mkdir(inside, 0700) < 0 || rmdir(inside) < 0)
					_exit(2);
				control_dir_close(&dir, NULL);
				done++;
			}
			_exit(0);
		}
	for (int i = 0; i < RIVALS; i++) {
		int status;
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	/* It may be there still: made by one that then came too late to lock it. */
	assert_false(exists(scratch_file(&scratch, "web/notify")));
}

static void test_too_long(void **state)
{
	char path[256];
	struct control_dir dir;
	struct error error;
	(void)state;
	size_t most = 107 - strlen("/notify/") - CONTROL_DIR_NOTIFY_NAME_MAX;
	int n = snprintf(path, sizeof(path), "%s/", scratch.path);
	memset(path + n, 'x', sizeof(path) - (size_t)n);
	path[most + 1] = '\0';
	setenv("RUNTIME_DIRECTORY", path, 1);
	assert_int_equal(control_dir_open("web", &dir, &error), -ENAMETOOLONG);
	assert_non_null(strstr(error.text, "set RUNTIME_DIRECTORY to a shorter one"));
	assert_false(exists(path));
	path[most] = '\0';
	setenv("RUNTIME_DIRECTORY", path, 1);
	dir = open_dir("web");
	control_dir_close(&dir, NULL);
}

static void test_cannot_be_made(void **state)
{
	struct control_dir dir;
	struct error error;
	(void)state;
	setenv("RUNTIME_DIRECTORY", "/nowhere/at/all", 1);
	assert_int_equal(control_dir_open("web", &dir, &error), -ENOENT);
	assert_non_null(strstr(error.text, "cannot make the directory /nowhere/at"));
	file_write_text(scratch_file(&scratch, "file"), "", 0600);
	setenv("RUNTIME_DIRECTORY", scratch_file(&scratch, "file"), 1);
	assert_int_equal(control_dir_open("web", &dir, &error), -ENOTDIR);
}

static void test_listen(void **state)
{
	CLEANUP(fd_closep) int fd = -1;
	CLEANUP(freep) char *path = NULL;
	struct error error;
	(void)state;
	setenv("RUNTIME_DIRECTORY", scratch_file(&scratch, "web"), 1);
	struct control_dir dir = open_dir("web");
	/* A dead owner's is replaced. */
	fd_close(make_socket(scratch_file(&scratch, "web/control.sock"), true));
	assert_int_equal(control_dir_listen(&dir, "control.sock", &fd, &path, &error), 0);
	assert_string_equal(path, scratch_file(&scratch, "web/control.sock"));
	assert_int_equal(mode_of(path), 0600);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	int on = 0;
	socklen_t size = sizeof(on);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &size), 0);
	assert_int_equal(on, 1);
	control_dir_close(&dir, path);
	assert_false(exists(scratch_file(&scratch, "web")));
}

static void test_listen_elsewhere(void **state)
{
	CLEANUP(fd_closep) int fd = -1;
	CLEANUP(freep) char *path = NULL;
	struct error error;
	char wanted[PATH_MAX], long_name[128];
	(void)state;
	setenv("RUNTIME_DIRECTORY", scratch_file(&scratch, "web"), 1);
	struct control_dir dir = open_dir("web");
	(void)snprintf(wanted, sizeof(wanted), "%s", scratch_file(&scratch, "other.sock"));
	int alive = make_socket(wanted, true);
	unsigned before = count_descriptors();
	assert_int_equal(control_dir_listen(&dir, wanted, &fd, &path, &error), -EADDRINUSE);
	assert_non_null(strstr(error.text, "somebody's who is alive"));
	assert_true(exists(wanted));
	fd_close(alive);
	assert_int_equal(count_descriptors(), before - 1);
	assert_int_equal(control_dir_listen(&dir, wanted, &fd, &path, &error), 0);
	assert_string_equal(path, wanted);
	assert_int_equal(count_descriptors(), before);
	file_write_text(scratch_file(&scratch, "file"), "precious", 0600);
	int none = -1;
	char *no_path = NULL;
	assert_int_equal(
		control_dir_listen(&dir, scratch_file(&scratch, "file"), &none, &no_path, &error),
		-EEXIST);
	assert_true(exists(scratch_file(&scratch, "file")));
	memset(long_name, 'x', sizeof(long_name));
	long_name[sizeof(long_name) - 1] = '\0';
	assert_int_equal(control_dir_listen(&dir, long_name, &none, &no_path, &error),
			 -ENAMETOOLONG);
	/* A directory that another supervisor has locked is left to it. */
	CLEANUP(fd_closep) int rival = open(scratch.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(rival, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(control_dir_listen(&dir, wanted, &none, &no_path, &error), -EWOULDBLOCK);
	assert_int_equal(none, -1);
	control_dir_close(&dir, path);
	assert_false(exists(wanted));
}

struct found {
	char text[1024];
	size_t length;
};

static void on_found(void *data, const char *name, const char *socket_path)
{
	struct found *found = data;
	assert_int_equal(strncmp(socket_path, scratch.path, strlen(scratch.path)), 0);
	found->length += (size_t)snprintf(found->text + found->length,
					  sizeof(found->text) - found->length, "%s %s|", name,
					  socket_path + strlen(scratch.path));
}

static void assert_found(const char *wanted)
{
	struct found found = { .length = 0 };
	control_dir_list(on_found, &found);
	assert_string_equal(found.text, wanted);
}

static void test_list(void **state)
{
	static const char *const directories[] = { "run/web", "run/api",       "run/empty",
						   "user",    "user/handover", "user/handover/mine",
						   "own" };
	(void)state;
	setenv("XDG_RUNTIME_DIR", scratch_file(&scratch, "user"), 1);
	assert_found(""); /* nothing is there */
	assert_int_equal(mkdir(system_directory, 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++)
		assert_int_equal(mkdir(scratch_file(&scratch, directories[i]), 0755), 0);
	assert_found("");
	fd_close(make_socket(scratch_file(&scratch, "run/web/control.sock"), true));
	fd_close(make_socket(scratch_file(&scratch, "run/api/control.sock"), true));
	file_write_text(scratch_file(&scratch, "run/empty/control.sock"), "", 0600);
	fd_close(make_socket(scratch_file(&scratch, "user/handover/mine/control.sock"), true));
	fd_close(make_socket(scratch_file(&scratch, "own/control.sock"), true));
	assert_found("api /run/api/control.sock|web /run/web/control.sock|"
		     "mine /user/handover/mine/control.sock|");
	setenv("RUNTIME_DIRECTORY", scratch_file(&scratch, "own"), 1);
	assert_found("own /own/control.sock|api /run/api/control.sock|web /run/web/control.sock|"
		     "mine /user/handover/mine/control.sock|");
	setenv("RUNTIME_DIRECTORY", scratch_file(&scratch, "run/web"), 1);
	assert_found("web /run/web/control.sock|api /run/api/control.sock|"
		     "mine /user/handover/mine/control.sock|");
}

static int setup(void **state)
{
	(void)state;
	scratch_make(&scratch);
	(void)snprintf(system_directory, sizeof(system_directory), "%s/run", scratch.path);
	unsetenv("RUNTIME_DIRECTORY");
	unsetenv("XDG_RUNTIME_DIR");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	scratch_remove(&scratch);
	return 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_path),
		TEST(test_path_of_others),
		TEST(test_made_and_removed),
		TEST(test_found),
		TEST(test_leftovers),
		TEST(test_two_at_once),
		TEST(test_removed_before_locked),
		TEST(test_race),
		TEST(test_too_long),
		TEST(test_cannot_be_made),
		TEST(test_listen),
		TEST(test_listen_elsewhere),
		TEST(test_list),
	};
	return cmocka_run_group_tests_name("control_dir", tests, NULL, NULL);
}
