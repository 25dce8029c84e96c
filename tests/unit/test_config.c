/* Whole configurations from one file: what they mean, and every error with its exact line. */
#include "tests/unit/fixture.h"

#include <sched.h>
#include <signal.h>

#include "supervisor/config.h"
#include "tests/unit/config_fixture.h"

static int somaxconn(void)
{
	int value = 0;
	FILE *file = fopen("/proc/sys/net/core/somaxconn", "re");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%d", &value), 1);
	assert_int_equal(fclose(file), 0);
	return value;
}

static void test_defaults(void **state)
{
	(void)state;
	CLEANUP(config_freep) struct config *config = load_good(MINIMAL, NULL, NULL);
	assert_string_equal(config->name, "web");
	assert_int_equal(config->n_listeners, 1);
	const struct config_listener *listener = &config->listeners[0];
	assert_string_equal(listener->name, "http");
	assert_int_equal(listener->n_addresses, 1);
	assert_false(listener->reuse_port);
	assert_int_equal(listener->backlog, somaxconn());
	assert_int_equal(listener->nonblocking, NONBLOCKING_AUTO);
	assert_int_equal(listener->socket_mode, 0666);
	assert_null(listener->socket_user);
	assert_null(listener->socket_group);
	const struct config_worker *worker = &config->worker;
	assert_string_equal(worker->argv[0], "/bin/app");
	assert_null(worker->argv[1]);
	assert_int_equal(worker->count, 1);
	assert_int_equal(worker->type, WORKER_TYPE_AUTO);
	assert_int_equal(worker->timeout_start_usec, 90 * USEC_PER_SEC);
	assert_int_equal(worker->timeout_stop_usec, 90 * USEC_PER_SEC);
	assert_int_equal(worker->settle_usec, 2 * USEC_PER_SEC);
	assert_false(worker->settle_set);
	assert_int_equal(worker->kill_signal, SIGTERM);
	assert_null(worker->working_directory);
	assert_null(worker->environment);
	assert_null(worker->user);
	assert_null(worker->group);
	assert_null(worker->supplementary_groups);
	assert_false(worker->umask_set);
	assert_int_equal(worker->limit_nofile.rlim_cur, 1024);
	assert_int_equal(worker->limit_nofile.rlim_max, 524288);
	assert_int_equal(worker->notify_access, NOTIFY_ACCESS_ALL);
	assert_int_equal(worker->max_draining, 16);
	assert_int_equal(worker->max_draining_action, MAX_DRAINING_WAIT);
	assert_int_equal(worker->watchdog_usec, 0);
	assert_string_equal(config->control.socket, "control.sock");
}

static void test_everything(void **state)
{
	(void)state;
	CLEANUP(config_freep) struct config *config = load_good(EVERYTHING, NULL, NULL);
	assert_int_equal(config->n_listeners, 2);
	const struct config_listener *listener = &config->listeners[0];
	char text[ADDRESS_TEXT_MAX];
	assert_int_equal(listener->n_addresses, 3);
	assert_string_equal(address_format(&listener->addresses[1], text), "[::1]:8080");
	assert_true(listener->reuse_port);
	assert_int_equal(listener->backlog, 128);
	assert_int_equal(listener->nonblocking, NONBLOCKING_NO);
	assert_string_equal(config->listeners[1].name, "admin.x-1");
	assert_int_equal(config->listeners[1].socket_mode, 0660);
	assert_string_equal(config->listeners[1].socket_user, "www-data");
	assert_string_equal(config->listeners[1].socket_group, "33");
	const struct config_worker *worker = &config->worker;
	assert_string_equal(worker->argv[1], "--title");
	assert_string_equal(worker->argv[2], "100% \"quoted\" $HOME");
	assert_string_equal(worker->argv[3], "last");
	assert_int_equal(worker->count, 4);
	assert_int_equal(worker->type, WORKER_TYPE_NOTIFY);
	assert_true(worker->timeout_start_usec == USEC_INFINITY);
	assert_int_equal(worker->timeout_stop_usec, 90 * USEC_PER_SEC);
	assert_true(worker->settle_set);
	assert_int_equal(worker->settle_usec, 500 * USEC_PER_MSEC);
	assert_int_equal(worker->kill_signal, SIGQUIT);
	assert_string_equal(worker->working_directory, "~");
	assert_string_equal(worker->environment[0], "A=1 2");
	assert_string_equal(worker->environment[1], "B=");
	assert_string_equal(worker->environment[2], "C=x\ny");
	assert_null(worker->environment[3]);
	assert_string_equal(worker->user, "nobody");
	assert_string_equal(worker->group, "nogroup");
	assert_string_equal(worker->supplementary_groups[1], "27");
	assert_null(worker->supplementary_groups[2]);
	assert_true(worker->umask_set);
	assert_int_equal(worker->umask, 027);
	assert_true(worker->limit_nofile.rlim_max == RLIM_INFINITY);
	assert_int_equal(worker->notify_access, NOTIFY_ACCESS_MAIN);
	assert_int_equal(worker->max_draining, 3);
	assert_int_equal(worker->max_draining_action, MAX_DRAINING_HURRY);
	assert_int_equal(worker->watchdog_usec, 30 * USEC_PER_SEC);
	assert_string_equal(config->control.socket, "/run/x y%/c.sock");
}

/* What follows is put behind MINIMAL, whose last section is [Worker] and whose last line is 4. */
static const struct {
	const char *text;
	const char *problems[4]; /* each without "web.conf:" */
} bad[] = {
	{ "Count=abc\n", { "5: Count=abc: not a number; allowed: 1 to 1024, or auto" } },
	{ "Count=0\n", { "5: Count=0: out of range; allowed: 1 to 1024, or auto" } },
	{ "Cuont=2\n", { "5: Cuont=2: unknown key in [Worker], did you mean Count=?" } },
	{ "count=2\n", { "5: count=2: unknown key in [Worker], did you mean Count=?" } },
	{ "TimeoutStop=2\n",
	  { "5: TimeoutStop=2: unknown key in [Worker], did you mean TimeoutStopSec=?" } },
	{ "ReusePort=yes\n",
	  { "5: ReusePort=yes: unknown key in [Worker], ReusePort= belongs to [Listener]" } },
	{ "Restart=always\n", { "5: Restart=always: unknown key in [Worker]" } },
	{ "Count=1\nCount=2\n", { "6: Count=2: given twice, first on line 5" } },
	{ "ExecStart=/bin/x\n", { "5: ExecStart=/bin/x: given twice, first on line 4" } },
	{ "Count=1\nCount=2\nCount=\n",
	  { "6: Count=2: given twice, first on line 5",
	    "7: Count=: given twice, first on line 5" } },
	{ "Type=forking\n",
	  { "5: Type=forking: none of the choices; allowed: auto, native, notify or simple" } },
	{ "TimeoutStopSec=soon\n",
	  { "5: TimeoutStopSec=soon: not a time span; allowed: a time span such as 90s, 1min 30s "
	    "or infinity" } },
	{ "TimeoutStopSec=5 parsecs\n",
	  { "5: TimeoutStopSec=5 parsecs: \"parsecs\" is no unit of time; allowed: a time span such "
	    "as 90s, 1min 30s or infinity" } },
	{ "SettleSec=infinity\n",
	  { "5: SettleSec=infinity: no reload would ever be over; allowed: a time span such as 2s or "
	    "500ms; empty: 2s, native workers 0" } },
	{ "KillSignal=SIGKILL\n",
	  { "5: KillSignal=SIGKILL: a program cannot drain at SIGKILL, nor catch it; allowed: a "
	    "signal such as SIGTERM, TERM or 15" } },
	{ "WorkingDirectory=srv\n",
	  { "5: WorkingDirectory=srv: not an absolute path; allowed: an absolute path, or ~; empty: "
	    "handoverd's" } },
	{ "WorkingDirectory=/srv/%i\n",
	  { "5: WorkingDirectory=/srv/%i: \"%i\": there are no specifiers here; %% stands for a "
	    "percent sign; allowed: an absolute path, or ~; empty: handoverd's" } },
	{ "Environment=A\n",
	  { "5: Environment=A: \"A\" has no =; allowed: NAME=VALUE …, quoted as in systemd.exec(5)" } },
	{ "Environment=A='1\n",
	  { "5: Environment=A='1: a quote (') is not closed; allowed: NAME=VALUE …, quoted as in "
	    "systemd.exec(5)" } },
	{ "EnvironmentFile=env\n",
	  { "5: EnvironmentFile=env: not an absolute path; allowed: an absolute path, with - before "
	    "it if it may be missing" } },
	{ "EnvironmentFile=/nonexistent/env\n",
	  { "5: EnvironmentFile=/nonexistent/env: /nonexistent/env: No such file or directory" } },
	{ "User=a:b\n",
	  { "5: User=a:b: \"a:b\" is no name of a user or group; allowed: a name or a number; empty: "
	    "handoverd's" } },
	{ "UMask=888\n",
	  { "5: UMask=888: not an octal mode; allowed: an octal mode up to 0777; empty: "
	    "handoverd's" } },
	{ "LimitNOFILE=9:1\n",
	  { "5: LimitNOFILE=9:1: the soft limit is above the hard one; allowed: SOFT:HARD, or one "
	    "for both; infinity" } },
	{ "NotifyAccess=none\n",
	  { "5: NotifyAccess=none: none of the choices; allowed: all or main" } },
	{ "MaxDraining=0\n", { "5: MaxDraining=0: out of range; allowed: 1 to 1000" } },
	{ "MaxDrainingAction=kill\n",
	  { "5: MaxDrainingAction=kill: none of the choices; allowed: wait or hurry" } },
	{ "WatchdogSec=-1\n",
	  { "5: WatchdogSec=-1: not a time span; allowed: a time span such as 30s; 0: off" } },
	{ "[Control]\nSocket=a/b\n",
	  { "6: Socket=a/b: a path, but not an absolute one; allowed: a name in the control "
	    "directory, or an absolute path" } },
	{ "[Listener x]\nListenStream=localhost:80\n",
	  { "6: ListenStream=localhost:80: \"localhost\" is not an IP address, and host names are not "
	    "looked up; allowed are PORT, IPV4:PORT, [IPV6]:PORT, /absolute/path and "
	    "@abstract-name" } },
	{ "[Listener x]\nListenStream=/x\nSocketMode=1000\nBacklog=0\nNonBlocking=maybe\n",
	  { "7: SocketMode=1000: out of range; allowed: an octal mode up to 0777",
	    "8: Backlog=0: out of range; allowed: 1 to 2147483647, or somaxconn",
	    "9: NonBlocking=maybe: none of the choices; allowed: auto, yes or no" } },
	{ "[Listener x]\nListenStream=[::]:8080\n",
	  { "6: ListenStream=[::]:8080: the same address as in web.conf:2: ListenStream=8080" } },
	{ "[Listener x]\nListenStream=/a\nListenStream=/a\n",
	  { "7: ListenStream=/a: the same address as in web.conf:6: ListenStream=/a" } },
	{ "[Listener a:b]\n",
	  { "5: [Listener a:b]: a listener is named [Listener NAME]: \"a:b\" has more in it than "
	    "letters, digits, _, . and -" } },
	{ "[Listener]\n",
	  { "5: [Listener]: a listener is named [Listener NAME]: a name is missing" } },
	{ "[listener b]\n", { "5: [listener b]: unknown section, did you mean [Listener NAME]?" } },
	{ "[Listeners b]\n",
	  { "5: [Listeners b]: unknown section, did you mean [Listener NAME]?" } },
	{ "[Wroker]\nCount=x\n", { "5: [Wroker]: unknown section, did you mean [Worker]?" } },
	{ "[Service]\n",
	  { "5: [Service]: unknown section; there are [Listener NAME], [Worker] and [Control]" } },
	{ "[Worker]\nCount=2\n", { "5: [Worker]: given twice, first on line 3" } },
	{ "Count=x\nno\n[Wroker]\nUMask=1\n",
	  { "6: no: equal sign is missing", "7: [Wroker]: unknown section, did you mean [Worker]?",
	    "5: Count=x: not a number; allowed: 1 to 1024, or auto" } },
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char text[1024], expected[2048] = "";
		(void)snprintf(text, sizeof(text), "%s%s", MINIMAL, bad[i].text);
		for (size_t j = 0; j < ARRAY_SIZE(bad[i].problems) && bad[i].problems[j]; j++) {
			size_t length = strlen(expected);
			(void)snprintf(expected + length, sizeof(expected) - length,
				       "web.conf:%s\n", bad[i].problems[j]);
		}
		check_bad(text, NULL, NULL, expected);
	}
}

static void test_incomplete(void **state)
{
	(void)state;
	check_bad(
		"", NULL, NULL,
		"web.conf: no listener; give [Listener NAME] with ListenStream=ADDRESS, or --listen "
		"NAME=ADDRESS\n"
		"web.conf: no program; give ExecStart=PROGRAM ARGUMENTS… in [Worker], or -- PROGRAM "
		"ARGUMENTS…\n");
	check_bad("[Listener a]\n[Worker]\nExecStart=x\n", NULL, NULL,
		  "web.conf: [Listener a]: no address; give ListenStream=ADDRESS\n");
	check_bad(
		"[Listener a]\nListenStream=x\n[Worker]\nExecStart=-x\n", NULL, NULL,
		"web.conf:2: ListenStream=x: not an address; allowed are PORT, IPV4:PORT, "
		"[IPV6]:PORT, /absolute/path and @abstract-name\n"
		"web.conf:4: ExecStart=-x: the prefix \"-\" is not supported; quote it if it "
		"belongs to the name; allowed: a command line, quoted as in systemd.service(5)\n");
	check_bad(
		"[Listener a]\nListenStream=0\nListenStream=0\n[Worker]\nExecStart=\n", NULL, NULL,
		"web.conf: no program; give ExecStart=PROGRAM ARGUMENTS… in [Worker], or -- PROGRAM "
		"ARGUMENTS…\n");
}

static void test_count_auto(void **state)
{
	cpu_set_t before, one;
	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	CPU_ZERO(&one);
	for (size_t cpu = 0; CPU_COUNT(&one) == 0; cpu++)
		if (CPU_ISSET(cpu, &before))
			CPU_SET(cpu, &one);
	char text[256];
	(void)snprintf(text, sizeof(text), "%sCount=auto\n", MINIMAL);
	CLEANUP(config_freep) struct config *all = load_good(text, NULL, NULL);
	assert_int_equal(all->worker.count, CPU_COUNT(&before));
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	CLEANUP(config_freep) struct config *single = load_good(text, NULL, NULL);
	assert_int_equal(single->worker.count, 1);
	assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

static void test_round_trip(void **state)
{
	static const char *const texts[] = { MINIMAL, EVERYTHING };
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		CLEANUP(config_freep) struct config *first = load_good(texts[i], NULL, NULL);
		CLEANUP(freep) char *printed = print(first);
		CLEANUP(config_freep) struct config *second = load_good(printed, NULL, NULL);
		CLEANUP(freep) char *again = print(second);
		assert_string_equal(printed, again);
		assert_int_equal(first->worker.settle_set, second->worker.settle_set);
		assert_int_equal(first->worker.umask_set, second->worker.umask_set);
	}
}

/* Each key of the table is in the print, and an empty assignment of it gives the default. */
static void test_every_key(void **state)
{
	(void)state;
	CLEANUP(config_freep) struct config *config = load_good(MINIMAL, NULL, NULL);
	CLEANUP(freep) char *printed = print(config);
	for (size_t i = 0; i < config_n_directives; i++) {
		const struct config_directive *directive = &config_directives[i];
		bool named = strcmp(directive->section, "Listener") == 0;
		char text[128];
		(void)snprintf(text, sizeof(text), "\n%s=", directive->key);
		assert_non_null(strstr(printed, text));
		if (strcmp(directive->key, "ListenStream") == 0 ||
		    strcmp(directive->key, "ExecStart") == 0)
			continue;
		(void)snprintf(text, sizeof(text), "%s%s.%s=", directive->section,
			       named ? " http" : "", directive->key);
		const char *const options[] = { text, NULL };
		CLEANUP(config_freep) struct config *reset = load_good(MINIMAL, NULL, options);
		CLEANUP(freep) char *same = print(reset);
		assert_string_equal(printed, same);
	}
}

/* Wherever it is cut, and whatever stands there, it is read or refused, and nothing else. */
static void test_truncated(void **state)
{
	char text[sizeof(EVERYTHING)];
	(void)state;
	for (size_t length = sizeof(EVERYTHING) - 1; length > 0; length--) {
		memcpy(text, EVERYTHING, sizeof(text));
		text[length] = '\0';
		load_any(text);
		memcpy(text, EVERYTHING, sizeof(text));
		text[length - 1] = "\\\"'%$[]=\n-"[length % 10];
		load_any(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),   cmocka_unit_test(test_everything),
		cmocka_unit_test(test_bad),	   cmocka_unit_test(test_incomplete),
		cmocka_unit_test(test_count_auto), cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_every_key),  cmocka_unit_test(test_truncated),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
