/* A worker's output: lines however they arrive, cut when endless, the last ones kept. */
#include "supervisor/output.h"

#include "tests/unit/fixture.h"

struct sink {
	struct ev_loop *loop;
	struct output output;
	int write_fd;
	char text[512 * 1024]; /* each line, and a '|' after it */
	size_t length, n_lines;
};

static void on_line(void *owner, const char *line)
{
	struct sink *sink = owner;
	sink->n_lines++;
	sink->length += (size_t)snprintf(sink->text + sink->length,
					 sizeof(sink->text) - sink->length, "%s|", line);
}

static void turn(struct sink *sink)
{
	ev_run(sink->loop, EVRUN_NOWAIT);
}

static void put_bytes(struct sink *sink, const char *bytes, size_t n)
{
	assert_int_equal(write(sink->write_fd, bytes, n), (ssize_t)n);
}

static void put(struct sink *sink, const char *text)
{
	put_bytes(sink, text, strlen(text));
	turn(sink);
}

/* That @wanted lines came since the last time. */
static void assert_said(struct sink *sink, const char *wanted)
{
	assert_string_equal(sink->text, wanted);
	sink->length = sink->n_lines = 0;
	sink->text[0] = '\0';
}

static void test_lines(void **state)
{
	struct sink *sink = *state;
	put(sink, "one\ntwo\n");
	assert_said(sink, "one|two|");
	put(sink, "thr");
	assert_said(sink, "");
	put(sink, "ee\nfour");
	assert_said(sink, "three|");
	put(sink, "\n\n\n");
	assert_said(sink, "four|||");
}

static void test_line_ends(void **state)
{
	struct sink *sink = *state;
	put(sink, "dos\r\nmac\rmac\ntwice\r\r\n\r\n");
	assert_said(sink, "dos|mac\rmac|twice\r||");
	put(sink, "split\r");
	put(sink, "\n");
	assert_said(sink, "split|");
}

static void test_nul_and_garbage(void **state)
{
	struct sink *sink = *state;
	put_bytes(sink, "a\0b\xff\n", 5);
	turn(sink);
	assert_said(sink, "a?b\xff|");
}

/* Any way to split the bytes gives the same lines. */
static void test_every_split(void **state)
{
	struct sink *sink = *state;
	static const char text[] = "a\n\nbc\r\nd\r";
	for (size_t first = 0; first < sizeof(text) - 1; first++)
		for (size_t second = first; second < sizeof(text) - 1; second++) {
			put_bytes(sink, text, first);
			turn(sink);
			put_bytes(sink, text + first, second - first);
			turn(sink);
			put_bytes(sink, text + second, sizeof(text) - 1 - second);
			put(sink, "\n");
			assert_said(sink, "a||bc|d|");
		}
}

static void test_unfinished_at_end(void **state)
{
	struct sink *sink = *state;
	put(sink, "last words");
	assert_said(sink, "");
	sink->write_fd = fd_close(sink->write_fd);
	turn(sink);
	assert_said(sink, "last words|");
	assert_int_equal(sink->output.fd, -1);
	output_close(&sink->output);
	assert_said(sink, "");
	assert_string_equal(output_kept(&sink->output, 0), "last words");
}

/* Somebody else holds the other end still: what is there is read, and no end waited for. */
static void test_close_before_end(void **state)
{
	struct sink *sink = *state;
	static char much[32 * 1024];
	memset(much, 'x', sizeof(much));
	for (size_t i = 79; i < sizeof(much); i += 80)
		much[i] = '\n';
	put_bytes(sink, much, sizeof(much));
	output_close(&sink->output);
	assert_int_equal(sink->n_lines, sizeof(much) / 80 + 1);
	assert_int_equal(sink->output.fd, -1);
	output_close(&sink->output);
	assert_int_equal(output_n_kept(&sink->output), OUTPUT_KEPT_LINES);
}

static void test_longest(void **state)
{
	struct sink *sink = *state;
	char line[OUTPUT_LINE_MAX_BYTES + 2], wanted[OUTPUT_LINE_MAX_BYTES + 2];
	memset(line, 'x', sizeof(line));
	line[OUTPUT_LINE_MAX_BYTES] = '\n';
	line[OUTPUT_LINE_MAX_BYTES + 1] = '\0';
	memcpy(wanted, line, sizeof(line));
	wanted[OUTPUT_LINE_MAX_BYTES] = '|';
	put(sink, line);
	assert_said(sink, wanted);
	line[OUTPUT_LINE_MAX_BYTES] = '\r';
	put(sink, line);
	put(sink, "\n");
	assert_said(sink, wanted);
}

/* Reported once, cut and marked at a character's end; its rest is skipped, the next line is not. */
static void test_too_long(void **state)
{
	struct sink *sink = *state;
	for (size_t shift = 0; shift < 4; shift++) {
		char line[OUTPUT_LINE_MAX_BYTES + 64];
		size_t n = 0;
		while (n < shift)
			line[n++] = 'x';
		while (n + 4 <= sizeof(line)) {
			memcpy(line + n, "𝄞", 4);
			n += 4;
		}
		put_bytes(sink, line, n);
		turn(sink);
		assert_int_equal(sink->n_lines, 1);
		assert_in_range(sink->length, OUTPUT_LINE_MAX_BYTES - 5, OUTPUT_LINE_MAX_BYTES + 1);
		size_t kept = sink->length - strlen("…|");
		assert_int_equal((kept - shift) % 4, 0);
		assert_memory_equal(sink->text, line, kept);
		assert_string_equal(sink->text + kept, "…|");
		sink->length = 0;
		put(sink, "its rest");
		put(sink, " and its end\nnext\n");
		assert_said(sink, "next|");
	}
}

/* However much is there, one turn of the loop reads no more than its share. */
static void test_chatterbox(void **state)
{
	struct sink *sink = *state;
	int size = fcntl(sink->write_fd, F_SETPIPE_SZ, 4 * OUTPUT_TURN_MAX_BYTES);
	if (size < 4 * OUTPUT_TURN_MAX_BYTES)
		skip();
	CLEANUP(freep) char *much = malloc(3 * OUTPUT_TURN_MAX_BYTES);
	for (size_t i = 0; i < 3 * OUTPUT_TURN_MAX_BYTES; i++)
		much[i] = i % 64 == 63 ? '\n' : 'x';
	put_bytes(sink, much, 3 * OUTPUT_TURN_MAX_BYTES);
	for (size_t turns = 1; turns <= 3; turns++) {
		turn(sink);
		assert_int_equal(sink->n_lines, turns * OUTPUT_TURN_MAX_BYTES / 64);
	}
}

static void test_kept(void **state)
{
	struct sink *sink = *state;
	char text[32];
	assert_int_equal(output_n_kept(&sink->output), 0);
	for (size_t i = 0; i < 3 * OUTPUT_KEPT_LINES + 7; i++) {
		(void)snprintf(text, sizeof(text), "%zu\n", i);
		put(sink, text);
		size_t n = output_n_kept(&sink->output);
		assert_int_equal(n, i + 1 < OUTPUT_KEPT_LINES ? i + 1 : OUTPUT_KEPT_LINES);
		for (size_t at = 0; at < n; at++) {
			(void)snprintf(text, sizeof(text), "%zu", i + 1 - n + at);
			assert_string_equal(output_kept(&sink->output, at), text);
		}
	}
}

static void test_pipe(void **state)
{
	int fds[2];
	(void)state;
	assert_int_equal(output_pipe(fds), 0);
	for (int i = 0; i < 2; i++)
		assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
	assert_false(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
	fd_close(fds[0]);
	fd_close(fds[1]);
}

static int setup(void **state)
{
	static struct sink sink;
	int fds[2];
	memset(&sink, 0, sizeof(sink));
	sink.loop = ev_loop_new(EVFLAG_AUTO);
	if (!sink.loop || output_pipe(fds) < 0)
		return -1;
	sink.write_fd = fds[1];
	output_init(&sink.output, sink.loop, fds[0], on_line, &sink);
	*state = &sink;
	return 0;
}

static int teardown(void **state)
{
	struct sink *sink = *state;
	output_finish(&sink->output);
	output_finish(&sink->output);
	fd_close(sink->write_fd);
	ev_loop_destroy(sink->loop);
	return 0;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lines),
		TEST(test_line_ends),
		TEST(test_nul_and_garbage),
		TEST(test_every_split),
		TEST(test_unfinished_at_end),
		TEST(test_close_before_end),
		TEST(test_longest),
		TEST(test_too_long),
		TEST(test_chatterbox),
		TEST(test_kept),
		TEST(test_pipe),
	};
	return cmocka_run_group_tests_name("output", tests, NULL, NULL);
}
