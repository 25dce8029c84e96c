/* What a reload may change and what it may not: each key of the table once. */
#include "tests/unit/config_fixture.h"

#define LISTENER "[Listener http]\nListenStream=1\nListenStream=@a\n"
#define WORKER	 "[Worker]\nExecStart=a\n"

/* What config_same_sockets() says when the second comes instead of the first. */
static void check(const char *first, const char *second, const char *expected)
{
	CLEANUP(config_freep) struct config *running = load_good(first, NULL, NULL);
	CLEANUP(config_freep) struct config *wanted = load_good(second, NULL, NULL);
	CLEANUP(problems_finish) struct problems problems = { 0 };
	char found[2048] = "";
	bool same = config_same_sockets(running, wanted, &problems);
	assert_int_equal(same, expected[0] == '\0');
	for (size_t i = 0; i < problems.n_lines; i++) {
		size_t length = strlen(found);
		(void)snprintf(found + length, sizeof(found) - length, "%s\n", problems.lines[i]);
	}
	assert_string_equal(found, expected);
}

static void test_same(void **state)
{
	(void)state;
	check(LISTENER WORKER, LISTENER WORKER, "");
	check(LISTENER WORKER, WORKER LISTENER, "");
	check("[Listener http]\nListenStream=0\n" WORKER,
	      "[Listener http]\nListenStream=[::]:0\n" WORKER, "");
	/* listen(2) takes another backlog at any time. */
	check(LISTENER "Backlog=9\n" WORKER, LISTENER "Backlog=7\n" WORKER, "");
	/* Everything in [Worker] may change. */
	check(LISTENER WORKER,
	      LISTENER "[Worker]\nExecStart=b\nCount=9\nType=simple\nUser=x\n"
		       "TimeoutStopSec=1\nSettleSec=0\nEnvironment=A=1\nUMask=0\n"
		       "LimitNOFILE=1\nMaxDraining=1\nWatchdogSec=1\n",
	      "");
}

static void test_each_key(void **state)
{
	static const struct {
		const char *line, *value_before, *value_after;
	} keys[] = {
		{ "ReusePort=yes", "ReusePort=no", "ReusePort=yes" },
		{ "NonBlocking=yes", "NonBlocking=auto", "NonBlocking=yes" },
		{ "SocketMode=0600", "SocketMode=0666", "SocketMode=0600" },
		{ "SocketUser=x", "SocketUser=", "SocketUser=x" },
		{ "SocketGroup=x", "SocketGroup=", "SocketGroup=x" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		char first[256], second[256], expected[256];
		(void)snprintf(first, sizeof(first), LISTENER WORKER);
		(void)snprintf(second, sizeof(second), LISTENER "%s\n" WORKER, keys[i].line);
		(void)snprintf(
			expected, sizeof(expected),
			"[Listener http] %.*s= cannot be changed while the service runs: %s, "
			"now %s\n",
			(int)strcspn(keys[i].line, "="), keys[i].line, keys[i].value_before,
			keys[i].value_after);
		check(first, second, expected);
	}
	check(LISTENER WORKER, LISTENER WORKER "[Control]\nSocket=x\n",
	      "[Control] Socket= cannot be changed while the service runs: Socket=control.sock, now "
	      "Socket=x\n");
}

static void test_listeners_and_addresses(void **state)
{
	(void)state;
	check(LISTENER WORKER, "[Listener https]\nListenStream=1\nListenStream=@a\n" WORKER,
	      "[Listener http] cannot be removed while the service runs\n"
	      "[Listener https] cannot be added while the service runs\n");
	check(LISTENER WORKER, "[Listener http]\nListenStream=1\n" WORKER,
	      "[Listener http] ListenStream= cannot be changed while the service runs: "
	      "ListenStream=[::]:1 ListenStream=@a, now ListenStream=[::]:1\n");
	check(LISTENER WORKER, "[Listener http]\nListenStream=@a\nListenStream=1\n" WORKER,
	      "[Listener http] ListenStream= cannot be changed while the service runs: "
	      "ListenStream=[::]:1 ListenStream=@a, now ListenStream=@a ListenStream=[::]:1\n");
}

static void test_name(void **state)
{
	(void)state;
	CLEANUP(config_freep) struct config *running = load_good(LISTENER WORKER, NULL, NULL);
	CLEANUP(config_freep) struct config *wanted = load_good(LISTENER WORKER, NULL, NULL);
	CLEANUP(problems_finish) struct problems problems = { 0 };
	wanted->name[0] = 'x';
	assert_false(config_same_sockets(running, wanted, &problems));
	assert_int_equal(problems.n_lines, 1);
	assert_string_equal(problems.lines[0],
			    "the service's name cannot be changed while it runs: web, now xeb");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_each_key),
		cmocka_unit_test(test_listeners_and_addresses),
		cmocka_unit_test(test_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
