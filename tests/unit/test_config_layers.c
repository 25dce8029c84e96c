/* Layer over layer: the file, its drop-ins, what they include, and the command line. */
#include "tests/unit/config_fixture.h"

static void test_drop_ins(void **state)
{
	static const struct drop_in drop_ins[] = {
		{ "10-a.conf", "[Listener http]\nListenStream=@a\n[Worker]\nCount=2\nType=simple\n"
			       "Environment=B=2\nEnvironment=C=3\n" },
		{ "9-b.conf", "[Worker]\nCount=3\nType=\nEnvironment=\nEnvironment=D=4\n"
			      "[Listener new]\nListenStream=/n\n" },
		{ "ignored", "no\n" },
		{ ".hidden.conf", "no\n" },
		{ NULL, NULL },
	};
	(void)state;
	CLEANUP(config_freep)
	struct config *config = load_good(
		"[Listener http]\nListenStream=1\n[Worker]\nExecStart=a\nEnvironment=A=1\nCount=1\n",
		drop_ins, NULL);
	assert_int_equal(config->n_listeners, 2);
	assert_int_equal(config->listeners[0].n_addresses, 2);
	assert_string_equal(config->listeners[1].name, "new");
	assert_int_equal(config->worker.count, 3);
	assert_int_equal(config->worker.type, WORKER_TYPE_AUTO);
	assert_string_equal(config->worker.environment[0], "D=4");
	assert_null(config->worker.environment[1]);
}

static void test_bad_drop_in(void **state)
{
	static const struct drop_in drop_ins[] = {
		{ "a.conf", "[Worker]\nCount=2\nCount=3\nX\n" },
		{ "b.conf", "[Worker]\nCount=x\n[Listener http]\nListenStream=8080\n" },
		{ NULL, NULL },
	};
	(void)state;
	check_bad(MINIMAL, drop_ins, NULL,
		  "web.conf.d/a.conf:4: X: equal sign is missing\n"
		  "web.conf.d/a.conf:3: Count=3: given twice, first on line 2\n"
		  "web.conf.d/b.conf:2: Count=x: not a number; allowed: 1 to 1024, or auto\n"
		  "web.conf.d/b.conf:4: ListenStream=8080: the same address as in web.conf:2: "
		  "ListenStream=8080\n");
}

static void test_overrides(void **state)
{
	static const char *const options[] = { "Worker.Count=7",
					       "Listener http.ListenStream=1",
					       "Listener http.ListenStream=2",
					       "Listener a.b.ListenStream=@x=y",
					       "Listener a.b.ReusePort=yes",
					       "Worker.Environment=X='1 2'",
					       "Worker.SettleSec=",
					       "Worker.User= nobody ",
					       NULL };
	static const struct drop_in drop_ins[] = {
		{ "a.conf", "[Worker]\nCount=5\nEnvironment=A=1\nSettleSec=1\n" }, { NULL, NULL }
	};
	char text[ADDRESS_TEXT_MAX];
	(void)state;
	CLEANUP(config_freep) struct config *config = load_good(MINIMAL, drop_ins, options);
	assert_int_equal(config->worker.count, 7);
	assert_int_equal(config->listeners[0].n_addresses, 2);
	assert_string_equal(address_format(&config->listeners[0].addresses[0], text), "[::]:1");
	assert_string_equal(config->listeners[1].name, "a.b");
	assert_string_equal(address_format(&config->listeners[1].addresses[0], text), "@x=y");
	assert_true(config->listeners[1].reuse_port);
	assert_string_equal(config->worker.environment[0], "X=1 2");
	assert_null(config->worker.environment[1]);
	assert_false(config->worker.settle_set);
	assert_string_equal(config->worker.user, "nobody");
}

static void test_bad_overrides(void **state)
{
	static const char *const options[] = { "Worker.Count=x",
					       "Worker.Cnt=1",
					       "Wrker.Count=1",
					       "Listener http.ListenStream=nope",
					       "Worker.UMask=1",
					       "Worker.UMask=2",
					       "Worker.User=\xff",
					       "Worker.Group=a\nb",
					       NULL };
	(void)state;
	check_bad(
		MINIMAL, NULL, options,
		"-o Worker.Cnt=1: unknown key in [Worker], did you mean Count=?\n"
		"-o Wrker.Count=1: unknown section, did you mean [Worker]?\n"
		"-o Worker.UMask=2: given twice, first by -o Worker.UMask=1\n"
		"-o Worker.User=\xff: not UTF-8\n"
		"-o Worker.Count=x: not a number; allowed: 1 to 1024, or auto\n"
		"-o Listener http.ListenStream=nope: not an address; allowed are PORT, IPV4:PORT, "
		"[IPV6]:PORT, /absolute/path and @abstract-name\n"
		"-o Worker.Group=a?b: \"a?b\" is no name of a user or group; allowed: a name or a "
		"number; empty: handoverd's\n");
}

static void test_override_syntax(void **state)
{
	static const char *const wrong[] = { "",	  "Worker.Count", "Count=1",
					     ".Count=1",  "Worker.=1",	  "=",
					     "Worker=a.b" };
	struct config_override override;
	char *buffer = NULL;
	struct error error;
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(config_override_parse(wrong[i], &override, &buffer, &error),
				 -EINVAL);
		assert_non_null(strstr(error.text, "Section.Key=Value is needed"));
	}
	assert_null(buffer);
	assert_int_equal(
		config_override_parse("Listener a.b.Key=x.y=z", &override, &buffer, &error), 0);
	assert_string_equal(override.origin, "-o Listener a.b.Key=x.y=z");
	assert_string_equal(override.section, "Listener a.b");
	assert_string_equal(override.key, "Key");
	assert_string_equal(override.value, "x.y=z");
	free(buffer);
}

static void test_environment_files(void **state)
{
	struct scratch scratch;
	char text[1024], path[128];
	(void)state;
	scratch_make(&scratch);
	(void)snprintf(path, sizeof(path), "%s/env", scratch.path);
	file_write_text(path, "B=from file\nA=3\n", 0600);
	(void)snprintf(text, sizeof(text),
		       "%sEnvironmentFile=-/nonexistent/x\nEnvironmentFile=%s\nEnvironment=A=1\n",
		       MINIMAL, path);
	CLEANUP(config_freep) struct config *config = load_good(text, NULL, NULL);
	assert_string_equal(config->worker.environment[0], "A=1");
	assert_string_equal(config->worker.environment[1], "B=from file");
	assert_string_equal(config->worker.environment[2], "A=3");
	assert_null(config->worker.environment[3]);

	/* What an empty assignment dropped is not read. */
	(void)snprintf(text, sizeof(text),
		       "%sEnvironmentFile=/nonexistent/x\nEnvironmentFile=\nEnvironmentFile=%s\n",
		       MINIMAL, path);
	CLEANUP(config_freep) struct config *second = load_good(text, NULL, NULL);
	assert_string_equal(second->worker.environment[0], "B=from file");

	file_write_text(path, "A=1\nB='\n", 0600);
	(void)snprintf(text, sizeof(text), "%sEnvironmentFile=%s\n", MINIMAL, path);
	char expected[512];
	(void)snprintf(expected, sizeof(expected),
		       "web.conf:5: EnvironmentFile=%s: %s:2: a quote (') is not closed\n", path,
		       path);
	check_bad(text, NULL, NULL, expected);
	scratch_remove(&scratch);
}

static void test_names_and_argv(void **state)
{
	char *argv[] = { (char *)"-x", (char *)"$A %i", (char *)"", NULL };
	char *buffer = NULL;
	struct config_override override;
	CLEANUP(config_freep) struct config *config = NULL;
	CLEANUP(problems_finish) struct problems problems = { 0 };
	(void)state;
	assert_int_equal(
		config_override_parse("Listener a.ListenStream=1", &override, &buffer, NULL), 0);
	struct config_sources sources = {
		.name = "shop", .overrides = &override, .n_overrides = 1, .argv = argv
	};
	assert_int_equal(config_load(&sources, &config, &problems), 0);
	assert_string_equal(config->name, "shop");
	assert_string_equal(config->worker.argv[0], "-x");
	assert_string_equal(config->worker.argv[1], "$A %i");
	assert_string_equal(config->worker.argv[2], "");
	assert_null(config->worker.argv[3]);

	struct config *none = NULL;
	sources.name = NULL;
	assert_int_equal(config_load(&sources, &none, &problems), -EINVAL);
	sources.name = "a/b";
	assert_int_equal(config_load(&sources, &none, &problems), -EINVAL);
	sources.name = NULL;
	sources.file = "/nonexistent/.web.conf";
	assert_int_equal(config_load(&sources, &none, &problems), -EINVAL);
	assert_null(none);
	assert_int_equal(problems.n_lines, 4);
	assert_string_equal(problems.lines[0], "the service has no name; give one by --name");
	assert_string_equal(problems.lines[1],
			    "--name: \"a/b\" has more in it than letters, digits, _, . and -");
	assert_string_equal(problems.lines[2], "/nonexistent/.web.conf: No such file or directory");
	assert_string_equal(problems.lines[3],
			    "the service's name, from its file: \".web\" begins with a dot; give "
			    "one by --name");

	/* What was taken as it stands is printed so that it is read back. */
	CLEANUP(freep) char *printed = print(config);
	CLEANUP(config_freep) struct config *again = load_good(printed, NULL, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(argv) - 1; i++)
		assert_string_equal(again->worker.argv[i], argv[i]);
	assert_null(again->worker.argv[ARRAY_SIZE(argv) - 1]);
	free(buffer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drop_ins),	cmocka_unit_test(test_bad_drop_in),
		cmocka_unit_test(test_overrides),	cmocka_unit_test(test_bad_overrides),
		cmocka_unit_test(test_override_syntax), cmocka_unit_test(test_environment_files),
		cmocka_unit_test(test_names_and_argv),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
