/* Every way in which a start can fail: its errno, a text that names the cause, and nothing left. */
#include <elf.h>
#include <grp.h>
#include <signal.h>

#include "tests/unit/spawn_fixture.h"

static int start(struct bench *bench)
{
	struct spawn_plan plan = { .channel_fd = -1 };
	return bench_run_plan(bench, &plan);
}

/* That a start fails with @code and a text that has all of @parts, and leaves nothing behind. */
static void assert_fails(struct bench *bench, struct spawn_plan *plan, int code,
			 const char *const parts[])
{
	unsigned before = count_descriptors();
	errno = 77;
	int r = bench_run_plan(bench, plan);
	if (r != code)
		fail_msg("%s, not %s: %s", strerror(-r), strerror(-code), bench->error.text);
	for (; *parts; parts++)
		if (!strstr(bench->error.text, *parts))
			fail_msg("\"%s\" does not say \"%s\"", bench->error.text, *parts);
	assert_int_equal(count_descriptors(), before);
	assert_no_child();
}

#define FAILS(bench, code, ...)                                             \
	assert_fails(bench, &(struct spawn_plan){ .channel_fd = -1 }, code, \
		     (const char *const[]){ __VA_ARGS__, NULL })

static void use_script(struct bench *bench, const char *interpreter)
{
	char text[PATH_MAX + 8];
	const char *path = scratch_file(&bench->scratch, "script");
	(void)snprintf(text, sizeof(text), "#!%s\n", interpreter);
	file_write_text(path, text, 0755);
	bench_use(bench, path);
}

static void test_script_is_gone(void **state)
{
	struct bench *bench = *state;
	use_script(bench, "/bin/sh");
	assert_int_equal(unlink(bench->spec.executable.path), 0);
	FAILS(bench, -ENOENT, "/script: no such file");
}

static void test_interpreter_is_gone(void **state)
{
	struct bench *bench = *state;
	const char *interpreter = scratch_file(&bench->scratch, "interpreter");
	assert_int_equal(symlink("/bin/sh", interpreter), 0);
	use_script(bench, interpreter);
	assert_int_equal(unlink(interpreter), 0);
	FAILS(bench, -ENOENT, "/script: its interpreter ", "/interpreter: no such file");
}

static void test_overwritten_with_garbage(void **state)
{
	struct bench *bench = *state;
	file_write_text(bench->spec.executable.path, "garbage", 0755);
	FAILS(bench, -ENOEXEC, "/inspect: exec format error",
	      "neither an ELF file nor a script with #!");
}

static void test_other_machine(void **state)
{
	struct bench *bench = *state;
	Elf64_Ehdr header = { .e_ident = ELFMAG, .e_type = ET_EXEC, .e_machine = EM_NONE };
	file_write(bench->spec.executable.path, &header, sizeof(header), 0755);
	FAILS(bench, -ENOEXEC, "/inspect: exec format error", "another kind of machine");
	assert_int_equal(unlink(bench->spec.executable.path), 0);
	FAILS(bench, -ENOEXEC, "/inspect: exec format error", "another kind of machine");
}

/* An ELF file's interpreter is its dynamic loader. */
static void test_loader_is_missing(void **state)
{
	struct bench *bench = *state;
	struct {
		Elf64_Ehdr header;
		Elf64_Phdr interpreter;
		char path[32];
	} file = {
		.header = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			    .e_type = ET_EXEC,
			    .e_version = EV_CURRENT,
			    .e_phoff = sizeof(Elf64_Ehdr),
			    .e_phentsize = sizeof(Elf64_Phdr),
			    .e_phnum = 1 },
		.interpreter = { .p_type = PT_INTERP,
				 .p_offset = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr),
				 .p_filesz = sizeof("/nowhere/ld.so") },
		.path = "/nowhere/ld.so",
	};
	CLEANUP(fd_closep) int own = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	Elf64_Ehdr ours;
	assert_int_equal(read(own, &ours, sizeof(ours)), sizeof(ours));
	file.header.e_machine = ours.e_machine;
	file_write(bench->spec.executable.path, &file, sizeof(file), 0755);
	FAILS(bench, -ENOENT, "/inspect: its interpreter or dynamic loader is missing");
}

static void test_no_longer_executable(void **state)
{
	struct bench *bench = *state;
	assert_int_equal(chmod(bench->spec.executable.path, 0644), 0);
	FAILS(bench, -EACCES, "/inspect: permission denied", "chmod +x");
}

static void test_open_for_writing(void **state)
{
	struct bench *bench = *state;
	CLEANUP(fd_closep) int writer = open(bench->spec.executable.path, O_WRONLY | O_CLOEXEC);
	FAILS(bench, -ETXTBSY, "/inspect: it is open for writing");
}

static void test_too_large(void **state)
{
	struct bench *bench = *state;
	CLEANUP(freep) char *large = malloc(200 * 1024);
	assert_non_null(large);
	memset(large, 'x', 200 * 1024 - 1);
	large[200 * 1024 - 1] = '\0';
	bench->argv[1] = large;
	FAILS(bench, -E2BIG, "/inspect: arguments (200 KiB)", "are too large");
}

static void test_too_many_descriptors(void **state)
{
	struct bench *bench = *state;
	enum { N_LISTENERS = 200 };
	int listeners[N_LISTENERS];
	const char *names[N_LISTENERS];
	struct rlimit before, small = { .rlim_cur = 100 };
	for (int i = 0; i < N_LISTENERS; i++) {
		listeners[i] = STDIN_FILENO;
		names[i] = "x";
	}
	struct spawn_plan plan = { .listen_fds = listeners,
				   .listen_names = names,
				   .n_listen_fds = N_LISTENERS,
				   .channel_fd = STDIN_FILENO };
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	small.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
	assert_fails(bench, &plan, -EMFILE,
		     (const char *const[]){ "its 204 file descriptors", "LimitNOFILE=", NULL });
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(bench_run_plan(bench, &plan), 0);
}

static void test_bad_descriptor(void **state)
{
	struct bench *bench = *state;
	struct spawn_plan plan = { .channel_fd = 9999 };
	assert_fails(bench, &plan, -EBADF,
		     (const char *const[]){ "its 4 file descriptors: Bad file descriptor", NULL });
}

/* Runs @test in a process of @uid, for what root is never refused. */
static void as_nobody(void (*test)(struct bench *bench), struct bench *bench)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
			_exit(2);
		test(bench);
		_exit(0); /* a failed assertion exits by itself, with another status */
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void refused_identity(struct bench *bench)
{
	FAILS(bench, -EPERM, "cannot set a worker's 0 supplementary groups", "not permitted");
}

static void become_nobody(struct bench *bench)
{
	bench->spec.set_identity = true;
	bench->spec.uid = bench->spec.gid = NOBODY;
}

static void test_identity_is_refused(void **state)
{
	struct bench *bench = *state;
	if (geteuid() != 0)
		skip();
	become_nobody(bench);
	as_nobody(refused_identity, bench);
}

static void test_directory_is_refused(void **state)
{
	struct bench *bench = *state;
	const char *private = scratch_file(&bench->scratch, "private");
	if (geteuid() != 0)
		skip();
	become_nobody(bench);
	assert_int_equal(mkdir(private, 0700), 0);
	fd_close(bench->spec.directory_fd);
	bench->spec.directory_fd = open(private, O_PATH | O_DIRECTORY | O_CLOEXEC);
	FAILS(bench, -EACCES, "uid 65534 cannot enter WorkingDirectory=/tmp/", "Permission denied");
}

static void test_user_may_not_execute(void **state)
{
	struct bench *bench = *state;
	if (geteuid() != 0)
		skip();
	become_nobody(bench);
	assert_int_equal(chmod(bench->spec.executable.path, 0700), 0);
	FAILS(bench, -EACCES, "/inspect: permission denied for uid 65534");
}

static void test_too_many_processes(void **state)
{
	struct bench *bench = *state;
	struct rlimit before, none = { .rlim_cur = 0 };
	struct spawned other;
	CLEANUP(fd_closep) int sink = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct spawn_plan plan = { .spec = &bench->spec, .output_fd = sink, .channel_fd = -1 };
	if (geteuid() != 0)
		skip();
	become_nobody(bench);
	bench->argv[1] = (char[]){ "wait" };
	assert_int_equal(spawn(&plan, &other, &bench->error), 0);
	assert_int_equal(getrlimit(RLIMIT_NPROC, &before), 0);
	none.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NPROC, &none), 0);
	assert_int_equal(start(bench), -EAGAIN);
	assert_int_equal(setrlimit(RLIMIT_NPROC, &before), 0);
	assert_non_null(strstr(bench->error.text, "/inspect: uid 65534 has too many processes"));
	assert_int_equal(spawn_kill_group(other.pid, SIGKILL), 0);
	await(other.pidfd);
	assert_int_equal(spawn_reap(other.pidfd, &bench->status), 0);
	fd_close(other.pidfd);
	assert_no_child();
}

static void refused_process(struct bench *bench)
{
	struct rlimit none = { .rlim_cur = 0 };
	if (setrlimit(RLIMIT_NPROC, &none) < 0)
		_exit(3);
	FAILS(bench, -EAGAIN, "cannot start /tmp/", "too many processes");
}

static void test_clone_is_refused(void **state)
{
	if (geteuid() != 0)
		skip();
	as_nobody(refused_process, *state);
}

/* Without an error wanted, and with a good start after it. */
static void test_good_after_bad(void **state)
{
	struct bench *bench = *state;
	struct spawned spawned;
	struct spawn_plan plan = { .spec = &bench->spec, .output_fd = 9999, .channel_fd = -1 };
	assert_int_equal(spawn(&plan, &spawned, NULL), -EBADF);
	assert_int_equal(start(bench), 0);
	assert_int_equal(bench->status.code, 0);
}

static int setup(void **state)
{
	static struct bench bench;
	bench_init(&bench);
	*state = &bench;
	return 0;
}

static int teardown(void **state)
{
	bench_finish(*state);
	return 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_script_is_gone),	     TEST(test_interpreter_is_gone),
		TEST(test_overwritten_with_garbage), TEST(test_other_machine),
		TEST(test_loader_is_missing),	     TEST(test_no_longer_executable),
		TEST(test_open_for_writing),	     TEST(test_too_large),
		TEST(test_too_many_descriptors),     TEST(test_bad_descriptor),
		TEST(test_identity_is_refused),	     TEST(test_directory_is_refused),
		TEST(test_user_may_not_execute),     TEST(test_too_many_processes),
		TEST(test_clone_is_refused),	     TEST(test_good_after_bad),
	};
	return cmocka_run_group_tests_name("spawn_error", tests, NULL, NULL);
}
