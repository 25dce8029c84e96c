/*
 * What the tests of configuration need: a file web.conf with drop-ins in a directory of its own,
 * which is the working directory while it is loaded, so that errors begin with "web.conf:".
 */
#ifndef HANDOVER_TESTS_UNIT_CONFIG_FIXTURE_H
#define HANDOVER_TESTS_UNIT_CONFIG_FIXTURE_H

#include "supervisor/config.h"
#include "tests/unit/fixture.h"

enum { OPTIONS_MAX = 16 };

/* As little as there can be; its last section is [Worker]. */
static const char MINIMAL[] = "[Listener http]\nListenStream=8080\n[Worker]\nExecStart=/bin/app\n";

/* Every key, none with its default. */
static const char EVERYTHING[] = "# everything\n"
				 "[Listener http]\n"
				 "ListenStream=127.0.0.1:8080\n"
				 "ListenStream=[::1]:8080\n"
				 "ListenStream=/run/a%%b c.sock\n"
				 "ReusePort=on\n"
				 "Backlog=128\n"
				 "NonBlocking=no\n"
				 "\n"
				 "[Listener admin.x-1]\n"
				 "ListenStream=@admin\n"
				 "SocketMode=660\n"
				 "SocketUser=www-data\n"
				 "SocketGroup=33\n"
				 "\n"
				 "[Worker]\n"
				 "ExecStart=/usr/bin/app --title \\\n"
				 "  # within\n"
				 "  \"100%% \\\"quoted\\\" $$HOME\" \\\n"
				 "  last\n"
				 "Count=4\n"
				 "Type=notify\n"
				 "TimeoutStartSec=0\n"
				 "TimeoutStopSec=1min 30s\n"
				 "SettleSec=500ms\n"
				 "KillSignal=QUIT\n"
				 "WorkingDirectory=~\n"
				 "Environment=\"A=1 2\" B=\n"
				 "Environment='C=x\\ny'\n"
				 "EnvironmentFile=-/nonexistent/file\n"
				 "User=nobody\n"
				 "Group=nogroup\n"
				 "SupplementaryGroups=adm 27\n"
				 "UMask=027\n"
				 "LimitNOFILE=2048:infinity\n"
				 "NotifyAccess=main\n"
				 "MaxDraining=3\n"
				 "MaxDrainingAction=hurry\n"
				 "WatchdogSec=30\n"
				 "[Control]\n"
				 "Socket=/run/x y%%/c.sock\n";

struct drop_in {
	const char *name, *text;
};

/* Loads web.conf with @text, @drop_ins (ending in NULLs) and @options as -o has them. */
static inline int load_text(const char *text, const struct drop_in *drop_ins,
			    const char *const *options, struct config **ret_config,
			    struct problems *problems)
{
	struct config_override overrides[OPTIONS_MAX];
	char *buffers[OPTIONS_MAX];
	struct config_sources sources = { .file = "web.conf", .overrides = overrides };
	struct scratch scratch;
	CLEANUP(fd_closep) int before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	scratch_make(&scratch);
	assert_int_equal(chdir(scratch.path), 0);
	file_write_text("web.conf", text, 0600);
	if (drop_ins) {
		assert_int_equal(mkdir("web.conf.d", 0700), 0);
		assert_int_equal(chdir("web.conf.d"), 0);
		for (; drop_ins->name; drop_ins++)
			file_write_text(drop_ins->name, drop_ins->text, 0600);
		assert_int_equal(chdir(".."), 0);
	}
	for (; options && options[sources.n_overrides]; sources.n_overrides++)
		assert_int_equal(config_override_parse(options[sources.n_overrides],
						       &overrides[sources.n_overrides],
						       &buffers[sources.n_overrides], NULL),
				 0);
	int r = config_load(&sources, ret_config, problems);
	for (size_t i = 0; i < sources.n_overrides; i++)
		free(buffers[i]);
	assert_int_equal(fchdir(before), 0);
	scratch_remove(&scratch);
	return r;
}

static inline struct config *load_good(const char *text, const struct drop_in *drop_ins,
				       const char *const *options)
{
	struct config *config = NULL;
	CLEANUP(problems_finish) struct problems problems = { 0 };
	int r = load_text(text, drop_ins, options, &config, &problems);
	for (size_t i = 0; i < problems.n_lines; i++)
		print_error("%s\n", problems.lines[i]);
	assert_int_equal(r, 0);
	assert_int_equal(problems.n_lines, 0);
	return config;
}

/* @expected: the problems, each with its newline. */
static inline void check_bad(const char *text, const struct drop_in *drop_ins,
			     const char *const *options, const char *expected)
{
	struct config *config = NULL;
	CLEANUP(problems_finish) struct problems problems = { 0 };
	char found[4096] = "";
	assert_int_equal(load_text(text, drop_ins, options, &config, &problems), -EINVAL);
	assert_null(config);
	for (size_t i = 0; i < problems.n_lines; i++) {
		size_t length = strlen(found);
		(void)snprintf(found + length, sizeof(found) - length, "%s\n", problems.lines[i]);
	}
	assert_string_equal(found, expected);
}

static inline void load_any(const char *text)
{
	CLEANUP(config_freep) struct config *config = NULL;
	CLEANUP(problems_finish) struct problems problems = { 0 };
	int r = load_text(text, NULL, NULL, &config, &problems);
	assert_true(r == 0 ? config != NULL : r == -EINVAL && problems.n_lines > 0);
}

static inline char *print(const struct config *config)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	assert_non_null(out);
	assert_int_equal(config_print(config, out), 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

#endif
