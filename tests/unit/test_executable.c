/* A program is resolved and judged once, and noticed when it changes. */
#include "supervisor/executable.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "tests/unit/fixture.h"

static struct scratch scratch;

static int open_program(const char *program, struct executable *ret_executable)
{
	struct error error;
	int r = executable_open(program, NULL, AT_FDCWD, ret_executable, &error);
	if (r < 0)
		print_message("%s\n", error.text);
	return r;
}

/* What is wrong with a program is known when its generation is made. */
static void test_refused(void **state)
{
	static char long_line[400] = "#!/";
	(void)state;
	memset(long_line + 3, 'x', sizeof(long_line) - 4);
	const struct {
		const char *name, *content; /* NULL: it is not made */
		mode_t mode;
		int code;
		const char *text;
	} cases[] = {
		{ "missing", NULL, 0, -ENOENT, "/missing: no such file" },
		{ "plain", "#!/bin/sh\n", 0644, -EACCES, "/plain: permission denied (chmod +x?)" },
		{ "empty", "", 0755, -ENOEXEC, "/empty: the file is empty" },
		{ "text", "hello\n", 0755, -ENOEXEC, "/text: exec format error (neither an ELF" },
		{ "half", "#", 0755, -ENOEXEC, "exec format error" },
		{ "bare", "#!", 0755, -ENOEXEC, "no interpreter stands after its #!" },
		{ "blank", "#! \t \n", 0755, -ENOEXEC, "no interpreter stands after its #!" },
		{ "gone", "#!/nowhere/sh -e\n", 0755, -ENOENT,
		  "/gone: its interpreter /nowhere/sh: no such file" },
		{ "gone2", "#! /nowhere/sh", 0755, -ENOENT, "interpreter /nowhere/sh: no such" },
		{ "denied", "#!/etc/passwd\n", 0755, -EACCES,
		  "its interpreter /etc/passwd: Permission denied" },
		{ "dos", "#!/bin/sh\r\n", 0755, -ENOENT, "carriage return" },
		{ "long", long_line, 0755, -ENOEXEC, "the line of its interpreter is too long" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct executable executable;
		struct error error;
		const char *path = scratch_file(&scratch, cases[i].name);
		if (cases[i].content)
			file_write_text(path, cases[i].content, cases[i].mode);
		unsigned before = count_descriptors();
		int r = executable_open(path, NULL, AT_FDCWD, &executable, &error);
		if (r != cases[i].code || !strstr(error.text, cases[i].text))
			fail_msg("%s: %s: %s", cases[i].name, strerror(-r), error.text);
		assert_int_equal(count_descriptors(), before);
		assert_int_equal(executable_open(path, NULL, AT_FDCWD, &executable, NULL), r);
	}
}

static void test_not_a_file(void **state)
{
	struct executable executable;
	struct error error;
	const char *fifo = scratch_file(&scratch, "fifo");
	(void)state;
	assert_int_equal(executable_open("/", NULL, AT_FDCWD, &executable, &error), -EISDIR);
	assert_non_null(strstr(error.text, "cannot execute /: is a directory"));
	assert_int_equal(mkfifo(fifo, 0755), 0); /* and nobody writes to it: must not wait */
	assert_int_equal(executable_open(fifo, NULL, AT_FDCWD, &executable, &error), -EACCES);
	assert_non_null(strstr(error.text, "not a regular file"));
	assert_int_equal(executable_open("", NULL, AT_FDCWD, &executable, &error), -ENOENT);
	assert_int_equal(executable_open("/etc/passwd/x", NULL, AT_FDCWD, &executable, &error),
			 -ENOTDIR);
}

static void test_resolved(void **state)
{
	struct executable executable;
	const char *link = scratch_file(&scratch, "link"), *file = scratch_file(&scratch, "script");
	(void)state;
	file_write_text(file, "#!/bin/sh\n", 0755);
	assert_int_equal(symlink("script", link), 0);
	assert_int_equal(open_program(link, &executable), 0);
	assert_string_equal(executable.path, file);
	assert_true(executable.script);
	assert_true(fcntl(executable.fd, F_GETFD) & FD_CLOEXEC);
	executable_finish(&executable);
	executable_finish(&executable);
	assert_int_equal(open_program("/proc/self/exe", &executable), 0);
	assert_false(executable.script);
	executable_finish(&executable);
}

/* The error names both what was written and what it turned out to be. */
static void test_error_names_both(void **state)
{
	struct executable executable;
	struct error error;
	const char *link = scratch_file(&scratch, "link"), *file = scratch_file(&scratch, "file");
	char wanted[PATH_MAX];
	(void)state;
	file_write_text(file, "?", 0755);
	assert_int_equal(symlink("file", link), 0);
	assert_int_equal(executable_open(link, NULL, AT_FDCWD, &executable, &error), -ENOEXEC);
	(void)snprintf(wanted, sizeof(wanted), "cannot execute %s (%s): ", link, file);
	assert_memory_equal(error.text, wanted, strlen(wanted));
}

static void test_relative(void **state)
{
	struct executable executable;
	CLEANUP(fd_closep) int directory = open(scratch.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void)state;
	file_write_text(scratch_file(&scratch, "script"), "#!/bin/sh\n", 0755);
	assert_int_equal(executable_open("./script", NULL, directory, &executable, NULL), 0);
	assert_string_equal(executable.path, scratch_file(&scratch, "script"));
	executable_finish(&executable);
}

static void test_search(void **state)
{
	struct executable executable;
	struct error error;
	char path[PATH_MAX];
	CLEANUP(fd_closep) int directory = open(scratch.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void)state;
	for (const char *name = "abcd"; *name; name++) {
		(void)snprintf(path, sizeof(path), "%s/%c", scratch.path, *name);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	assert_int_equal(mkdir(scratch_file(&scratch, "a/prog"), 0755), 0);
	file_write_text(scratch_file(&scratch, "b/prog"), "#!/bin/sh\n", 0644);
	(void)snprintf(path, sizeof(path), "/nowhere:%s/a:%s/b", scratch.path, scratch.path);
	assert_int_equal(executable_open("prog", path, AT_FDCWD, &executable, &error), -EACCES);
	assert_non_null(strstr(error.text, "cannot execute prog: not executable"));
	file_write_text(scratch_file(&scratch, "c/prog"), "#!/bin/sh\n", 0755);
	file_write_text(scratch_file(&scratch, "d/prog"), "#!/bin/sh\n", 0755);
	(void)snprintf(path, sizeof(path), "%s/a:%s/b:%s/c:%s/d", scratch.path, scratch.path,
		       scratch.path, scratch.path);
	assert_int_equal(executable_open("prog", path, AT_FDCWD, &executable, &error), 0);
	assert_string_equal(executable.path, scratch_file(&scratch, "c/prog"));
	executable_finish(&executable);
	/* An empty entry is the present directory. */
	file_write_text(scratch_file(&scratch, "here"), "#!/bin/sh\n", 0755);
	assert_int_equal(executable_open("here", "/nowhere:", directory, &executable, NULL), 0);
	executable_finish(&executable);
	assert_int_equal(executable_open("here", "/nowhere", directory, &executable, &error),
			 -ENOENT);
	assert_string_equal(error.text, "cannot execute here: not found in PATH=/nowhere");
	assert_int_equal(executable_open("sh", NULL, AT_FDCWD, &executable, NULL), 0);
	executable_finish(&executable);
}

static void test_noexec(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	pid_t pid = fork();
	if (pid == 0) {
		struct executable executable;
		struct error error;
		if (unshare(CLONE_NEWNS) < 0 ||
		    mount("none", "/", "none", MS_REC | MS_PRIVATE, "") < 0 ||
		    mount("none", scratch.path, "tmpfs", MS_NOEXEC, "") < 0)
			_exit(77);
		const char *file = scratch_file(&scratch, "script");
		file_write_text(file, "#!/bin/sh\n", 0755);
		int r = executable_open(file, NULL, AT_FDCWD, &executable, &error);
		_exit(r == -EACCES && strstr(error.text, "is mounted noexec") ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status == 77 << 8)
		skip();
	assert_int_equal(status, 0);
}

static void make_and_open(struct executable *executable)
{
	file_write_text(scratch_file(&scratch, "prog"), "#!/bin/sh\nexit 1\n", 0755);
	assert_int_equal(open_program(scratch_file(&scratch, "prog"), executable), 0);
	assert_int_equal(executable_check(executable), EXECUTABLE_SAME);
}

static void change_nothing(const char *path)
{
	(void)path;
}

static void change_rename_over(const char *path)
{
	file_write_text(scratch_file(&scratch, "new"), "#!/bin/sh\nexit 2\n", 0755);
	assert_int_equal(rename(scratch_file(&scratch, "new"), path), 0);
}

static void change_rename_away(const char *path)
{
	assert_int_equal(rename(path, scratch_file(&scratch, "away")), 0);
}

static void change_delete(const char *path)
{
	assert_int_equal(unlink(path), 0);
}

static void change_overwrite(const char *path)
{
	file_write_text(path, "#!/bin/sh\nexit 22\n", 0755);
}

static void change_overwrite_and_move(const char *path)
{
	change_overwrite(path);
	change_rename_away(path);
}

/* The same length, and the time of writing put back as rsync --times does. */
static void change_in_secret(const char *path)
{
	struct stat before;
	assert_int_equal(stat(path, &before), 0);
	const struct timespec times[] = { before.st_atim, before.st_mtim };
	struct stat after = before;
	while (after.st_ctim.tv_sec == before.st_ctim.tv_sec &&
	       after.st_ctim.tv_nsec == before.st_ctim.tv_nsec) {
		file_write_text(path, "#!/bin/sh\nexit 2\n", 0755);
		assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
		assert_int_equal(stat(path, &after), 0);
	}
}

static void change_mode(const char *path)
{
	assert_int_equal(chmod(path, 0700), 0);
}

/* As backups by hard links do. */
static void change_links(const char *path)
{
	assert_int_equal(link(path, scratch_file(&scratch, "backup")), 0);
}

static void test_changes(void **state)
{
	const struct {
		void (*change)(const char *path);
		enum executable_change wanted;
	} cases[] = {
		{ change_nothing, EXECUTABLE_SAME },
		{ change_rename_over, EXECUTABLE_MOVED },
		{ change_rename_away, EXECUTABLE_MOVED },
		{ change_delete, EXECUTABLE_MOVED },
		{ change_overwrite, EXECUTABLE_OVERWRITTEN },
		{ change_overwrite_and_move, EXECUTABLE_OVERWRITTEN },
		{ change_in_secret, EXECUTABLE_OVERWRITTEN },
		{ change_mode, EXECUTABLE_SAME },
		{ change_links, EXECUTABLE_SAME },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct executable executable;
		make_and_open(&executable);
		cases[i].change(executable.path);
		if (executable_check(&executable) != cases[i].wanted)
			fail_msg("case %zu gives %d", i, executable_check(&executable));
		(void)unlink(executable.path);
		executable_finish(&executable);
	}
}

/* A `current` symlink that moves on changes nothing for what was resolved through it. */
static void test_symlink_moves(void **state)
{
	struct executable executable;
	(void)state;
	assert_int_equal(mkdir(scratch_file(&scratch, "v1"), 0755), 0);
	assert_int_equal(mkdir(scratch_file(&scratch, "v2"), 0755), 0);
	file_write_text(scratch_file(&scratch, "v1/prog"), "#!/bin/sh\n", 0755);
	file_write_text(scratch_file(&scratch, "v2/prog"), "#!/bin/sh\n", 0755);
	assert_int_equal(symlink("v1", scratch_file(&scratch, "current")), 0);
	assert_int_equal(open_program(scratch_file(&scratch, "current/prog"), &executable), 0);
	assert_string_equal(executable.path, scratch_file(&scratch, "v1/prog"));
	assert_int_equal(unlink(scratch_file(&scratch, "current")), 0);
	assert_int_equal(symlink("v2", scratch_file(&scratch, "current")), 0);
	assert_int_equal(executable_check(&executable), EXECUTABLE_SAME);
	executable_finish(&executable);
}

static int setup(void **state)
{
	(void)state;
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
		TEST(test_refused),	     TEST(test_not_a_file), TEST(test_resolved),
		TEST(test_error_names_both), TEST(test_relative),   TEST(test_search),
		TEST(test_noexec),	     TEST(test_changes),    TEST(test_symlink_moves),
	};
	return cmocka_run_group_tests_name("executable", tests, NULL, NULL);
}
