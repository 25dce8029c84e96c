/* A configuration frozen: environment, directory, identity, program. */
#include "supervisor/spec.h"

#include <grp.h>
#include <pwd.h>
#include <sys/wait.h>

#include "tests/unit/fixture.h"

enum { NOBODY = 65534 };

static struct scratch scratch;
static struct config config;
static char *argv_true[] = { "true", "--flag", NULL };

static struct spec *freeze(void)
{
	struct spec *spec = NULL;
	struct error error;
	if (spec_freeze(&config, &spec, &error) < 0)
		fail_msg("%s", error.text);
	return spec;
}

static void assert_refused(int code, const char *text)
{
	struct spec *spec = NULL;
	struct error error;
	unsigned before = count_descriptors();
	int r = spec_freeze(&config, &spec, &error);
	if (r != code || !strstr(error.text, text))
		fail_msg("%s: %s", strerror(-r), error.text);
	assert_null(spec);
	assert_int_equal(count_descriptors(), before);
	assert_int_equal(spec_freeze(&config, &spec, NULL), code);
}

static const char *variable(const struct spec *spec, const char *name)
{
	size_t length = strlen(name), found = 0;
	const char *value = NULL;
	for (char **entry = spec->environment; *entry; entry++)
		if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=') {
			value = *entry + length + 1;
			found++;
		}
	assert_true(found <= 1);
	return value;
}

static void test_plain(void **state)
{
	struct spec *spec;
	char directory[PATH_MAX];
	(void)state;
	config.worker.count = 4;
	config.worker.kill_signal = 3;
	config.worker.type = WORKER_TYPE_NOTIFY;
	config.worker.timeout_start_usec = 1;
	config.worker.timeout_stop_usec = 2;
	config.worker.settle_usec = 3;
	config.worker.settle_set = true;
	config.worker.watchdog_usec = 4;
	config.worker.notify_access = NOTIFY_ACCESS_MAIN;
	config.worker.umask_set = true;
	config.worker.umask = 027;
	config.worker.limit_nofile = (struct rlimit){ .rlim_cur = 5, .rlim_max = 6 };
	spec = freeze();
	assert_int_equal(spec->n_slots, 4);
	assert_int_equal(spec->kill_signal, 3);
	assert_int_equal(spec->type, WORKER_TYPE_NOTIFY);
	assert_int_equal(spec->timeout_start_usec, 1);
	assert_int_equal(spec->timeout_stop_usec, 2);
	assert_int_equal(spec->settle_usec, 3);
	assert_true(spec->settle_set);
	assert_int_equal(spec->watchdog_usec, 4);
	assert_int_equal(spec->notify_access, NOTIFY_ACCESS_MAIN);
	assert_true(spec->umask_set);
	assert_int_equal(spec->umask, 027);
	assert_int_equal(spec->limit_nofile.rlim_max, 6);
	assert_false(spec->set_identity);
	assert_string_equal(spec->argv[0], "true");
	assert_string_equal(spec->argv[1], "--flag");
	assert_null(spec->argv[2]);
	assert_true(spec->executable.path[0] == '/');
	assert_non_null(getcwd(directory, sizeof(directory)));
	assert_string_equal(spec->directory, directory);
	spec_free(spec);
	spec_free(NULL);
}

/* Our own, less what is ours alone; then the configuration's. */
static void test_environment(void **state)
{
	static const char *const ours[] = {
		"LISTEN_FDS",	"LISTEN_ANYTHING",   "NOTIFY_SOCKET",  "WATCHDOG_USEC",
		"WATCHDOG_PID", "RUNTIME_DIRECTORY", "JOURNAL_STREAM", "INVOCATION_ID",
		"MAINPID",	"HANDOVER_FD",	     "HANDOVER_X"
	};
	static const char *const others[] = { "LISTEN", "NOTIFY_SOCKETS", "MAINPID2",
					      "XHANDOVER_" };
	char *said[] = { "COLOUR=red", "EMPTY=", "COLOUR=green", "INVOCATION_ID=mine", NULL };
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		setenv(ours[i], "1", 1);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		setenv(others[i], "1", 1);
	setenv("COLOUR", "blue", 1);
	config.worker.environment = said;
	struct spec *spec = freeze();
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
		const char *value = variable(spec, ours[i]);
		if (value && strcmp(ours[i], "INVOCATION_ID") != 0)
			fail_msg("%s was inherited", ours[i]);
		unsetenv(ours[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		assert_string_equal(variable(spec, others[i]), "1");
		unsetenv(others[i]);
	}
	assert_string_equal(variable(spec, "COLOUR"), "green");
	assert_string_equal(variable(spec, "EMPTY"), "");
	assert_string_equal(variable(spec, "INVOCATION_ID"), "mine");
	unsetenv("COLOUR");
	spec_free(spec);
}

/* The program is looked for where the worker itself would. */
static void test_search_path(void **state)
{
	char *argv[] = { "prog", NULL };
	char path[PATH_MAX];
	char *said[] = { path, NULL };
	(void)state;
	file_write_text(scratch_file(&scratch, "prog"), "#!/bin/sh\n", 0755);
	config.worker.argv = argv;
	assert_refused(-ENOENT, "cannot execute prog: not found in PATH=");
	(void)snprintf(path, sizeof(path), "PATH=%s", scratch.path);
	config.worker.environment = said;
	struct spec *spec = freeze();
	assert_string_equal(spec->executable.path, scratch_file(&scratch, "prog"));
	spec_free(spec);
}

/* A relative program is relative to us, wherever the worker starts. */
static void test_relative_program(void **state)
{
	char *argv[] = { "./prog", NULL };
	char before[PATH_MAX];
	(void)state;
	assert_non_null(getcwd(before, sizeof(before)));
	file_write_text(scratch_file(&scratch, "prog"), "#!/bin/sh\n", 0755);
	config.worker.argv = argv;
	config.worker.working_directory = "/";
	assert_int_equal(chdir(scratch.path), 0);
	struct spec *spec = freeze();
	assert_int_equal(chdir(before), 0);
	assert_string_equal(spec->executable.path, scratch_file(&scratch, "prog"));
	assert_string_equal(spec->directory, "/");
	spec_free(spec);
}

static void test_no_program(void **state)
{
	char *argv[] = { NULL };
	(void)state;
	config.worker.argv = argv;
	assert_refused(-EINVAL, "ExecStart=");
	config.worker.argv = NULL;
	assert_refused(-EINVAL, "ExecStart=");
}

static void test_directory(void **state)
{
	const char *real = scratch_file(&scratch, "real"), *link = scratch_file(&scratch, "link");
	(void)state;
	assert_int_equal(mkdir(real, 0755), 0);
	assert_int_equal(symlink("real", link), 0);
	config.worker.working_directory = (char *)(uintptr_t)link;
	struct spec *spec = freeze();
	assert_string_equal(spec->directory, real);
	assert_true(fcntl(spec->directory_fd, F_GETFD) & FD_CLOEXEC);
	spec_free(spec);
	config.worker.working_directory = "/etc/passwd";
	assert_refused(-ENOTDIR, "WorkingDirectory=/etc/passwd: Not a directory");
	config.worker.working_directory = "/nowhere";
	assert_refused(-ENOENT, "WorkingDirectory=/nowhere: No such file");
}

static void test_home(void **state)
{
	CLEANUP(freep) char *home = strdup(getenv("HOME") ? getenv("HOME") : "/");
	char within[PATH_MAX];
	(void)state;
	setenv("HOME", scratch.path, 1);
	config.worker.working_directory = "~";
	struct spec *spec = freeze();
	assert_string_equal(spec->directory, scratch.path);
	spec_free(spec);
	(void)snprintf(within, sizeof(within), "%s", scratch_file(&scratch, "app"));
	assert_int_equal(mkdir(within, 0755), 0);
	config.worker.working_directory = "~/app";
	spec = freeze();
	assert_string_equal(spec->directory, within);
	spec_free(spec);
	setenv("HOME", home, 1);
}

static void skip_unless_root(void)
{
	if (geteuid() != 0)
		skip();
}

static void test_user(void **state)
{
	const struct passwd *entry = getpwnam("daemon");
	(void)state;
	skip_unless_root();
	assert_non_null(entry);
	config.worker.user = "daemon";
	config.worker.working_directory = "~";
	struct spec *spec = freeze();
	assert_true(spec->set_identity);
	assert_int_equal(spec->uid, entry->pw_uid);
	assert_int_equal(spec->gid, entry->pw_gid);
	assert_int_equal(spec->n_groups, 1);
	assert_int_equal(spec->groups[0], entry->pw_gid);
	assert_string_equal(variable(spec, "HOME"), entry->pw_dir);
	assert_string_equal(variable(spec, "USER"), "daemon");
	assert_string_equal(variable(spec, "LOGNAME"), "daemon");
	assert_string_equal(variable(spec, "SHELL"), entry->pw_shell);
	assert_string_equal(spec->directory, entry->pw_dir);
	spec_free(spec);
	char number[16], *said[] = { "HOME=/elsewhere", NULL };
	(void)snprintf(number, sizeof(number), "%u", entry->pw_uid);
	config.worker.user = number;
	config.worker.working_directory = NULL;
	config.worker.environment = said;
	spec = freeze();
	assert_int_equal(spec->uid, entry->pw_uid);
	assert_string_equal(variable(spec, "USER"), "daemon");
	assert_string_equal(variable(spec, "HOME"), "/elsewhere");
	spec_free(spec);
}

static void test_groups(void **state)
{
	char *groups[] = { "mail", "4711", NULL };
	(void)state;
	skip_unless_root();
	config.worker.user = "daemon";
	config.worker.group = "games";
	config.worker.supplementary_groups = groups;
	struct spec *spec = freeze();
	gid_t mail = getgrnam("mail")->gr_gid, games = getgrnam("games")->gr_gid;
	assert_int_equal(spec->gid, games);
	assert_int_equal(spec->n_groups, 3);
	assert_int_equal(spec->groups[0], games);
	assert_int_equal(spec->groups[1], mail);
	assert_int_equal(spec->groups[2], 4711);
	spec_free(spec);
}

static void test_group_alone(void **state)
{
	(void)state;
	skip_unless_root();
	config.worker.group = "games";
	struct spec *spec = freeze();
	assert_true(spec->set_identity);
	assert_int_equal(spec->uid, 0);
	assert_int_equal(spec->gid, getgrnam("games")->gr_gid);
	spec_free(spec);
}

static void test_unknown_names(void **state)
{
	char *groups[] = { "no-such-group", NULL };
	(void)state;
	config.worker.user = "no-such-user";
	assert_refused(-ESRCH, "User=no-such-user: no such user");
	config.worker.user = "4711";
	assert_refused(-ESRCH, "User=4711: no user has this number");
	config.worker.user = "4294967295"; /* -1: "leave it" to the kernel */
	assert_refused(-ESRCH, "User=4294967295: no such user");
	config.worker.user = NULL;
	config.worker.group = "no-such-group";
	assert_refused(-ESRCH, "Group=no-such-group: no such group");
	config.worker.group = NULL;
	config.worker.supplementary_groups = groups;
	assert_refused(-ESRCH, "SupplementaryGroups=no-such-group: no such group");
}

/* Without rights: refused, unless it is who we are already. */
static void test_not_root(void **state)
{
	(void)state;
	skip_unless_root();
	pid_t pid = fork();
	if (pid == 0) {
		if (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
			_exit(2);
		config.worker.user = "nobody";
		struct spec *spec = freeze();
		assert_false(spec->set_identity);
		assert_string_equal(variable(spec, "USER"), "nobody");
		spec_free(spec);
		config.worker.user = "daemon";
		assert_refused(-EPERM, "need root");
		config.worker.user = NULL;
		config.worker.group = "games";
		assert_refused(-EPERM, "handoverd runs as uid 65534");
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static int setup(void **state)
{
	(void)state;
	config = (struct config){ .name = "test" };
	config.worker.argv = argv_true;
	config.worker.count = 1;
	scratch_make(&scratch);
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
		TEST(test_plain),	  TEST(test_environment),
		TEST(test_search_path),	  TEST(test_relative_program),
		TEST(test_no_program),	  TEST(test_directory),
		TEST(test_home),	  TEST(test_user),
		TEST(test_groups),	  TEST(test_group_alone),
		TEST(test_unknown_names), TEST(test_not_root),
	};
	return cmocka_run_group_tests_name("spec", tests, NULL, NULL);
}
