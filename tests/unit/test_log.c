/* The log never waits, loses whole lines only, counts them, and harms no terminal. */
#include "supervisor/log.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>

#include "supervisor/printable.h"
#include "tests/unit/fixture.h"

static char said[1024 * 1024];

/* What can be read from @fd now. */
static const char *take(int fd)
{
	size_t length = 0;
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	while (poll(&poll_fd, 1, 0) == 1 && poll_fd.revents & POLLIN) {
		ssize_t n = read(fd, said + length, sizeof(said) - 1 - length);
		if (n <= 0)
			break;
		length += (size_t)n;
	}
	said[length] = '\0';
	return said;
}

static void assert_ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), n = strlen(end);
	if (length < n || strcmp(text + length - n, end) != 0)
		fail_msg("\"%s\" does not end with \"%s\"", text, end);
}

struct stream {
	int read_fd, write_fd;
};

static struct stream make_pipe(void)
{
	int fds[2];
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	return (struct stream){ fds[0], fds[1] };
}

static struct stream make_socket(void)
{
	int fds[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	return (struct stream){ fds[0], fds[1] };
}

static struct stream make_terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(master >= 0);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(slave >= 0);
	struct termios settings;
	assert_int_equal(tcgetattr(slave, &settings), 0);
	cfmakeraw(&settings);
	assert_int_equal(tcsetattr(slave, TCSANOW, &settings), 0);
	return (struct stream){ master, slave };
}

static void close_stream(struct stream *stream)
{
	log_open("test", STDERR_FILENO);
	stream->read_fd = fd_close(stream->read_fd);
	stream->write_fd = fd_close(stream->write_fd);
}

static void test_line(void **state)
{
	struct stream stream = make_pipe();
	(void)state;
	log_open("web", stream.write_fd);
	errno = 77;
	log_info("generation %d serves", 7);
	assert_int_equal(errno, 77);
	const char *line = take(stream.read_fd);
	int year, month, day, hour, minute, second, ms, end = 0;
	assert_int_equal(sscanf(line, "%4d-%2d-%2d %2d:%2d:%2d.%3d web: %n", &year, &month, &day,
				&hour, &minute, &second, &ms, &end),
			 7);
	assert_string_equal(line + end, "generation 7 serves\n");
	log_warning("careful");
	assert_ends_with(take(stream.read_fd), " web: warning: careful\n");
	log_error("broken");
	assert_ends_with(take(stream.read_fd), " web: error: broken\n");
	close_stream(&stream);
}

static void test_level(void **state)
{
	struct stream stream = make_pipe();
	(void)state;
	log_open("web", stream.write_fd);
	log_debug("hidden");
	assert_string_equal(take(stream.read_fd), "");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("shown");
	assert_ends_with(take(stream.read_fd), "shown\n");
	log_set_level(LOG_LEVEL_ERROR);
	log_warning("hidden");
	assert_string_equal(take(stream.read_fd), "");
	log_set_level(LOG_LEVEL_INFO);
	close_stream(&stream);
}

static void test_journal(void **state)
{
	struct stream stream = make_socket(), other = make_socket();
	struct stat status;
	char text[64];
	(void)state;
	assert_int_equal(fstat(stream.write_fd, &status), 0);
	(void)snprintf(text, sizeof(text), "%lu:%lu", (unsigned long)status.st_dev,
		       (unsigned long)status.st_ino);
	setenv("JOURNAL_STREAM", text, 1);
	log_open("web", stream.write_fd);
	log_error("a");
	log_notice("b");
	assert_string_equal(take(stream.read_fd), "<3>web: a\n<5>web: b\n");
	log_open("web", other.write_fd); /* redirected since */
	log_error("a");
	assert_ends_with(take(other.read_fd), " web: error: a\n");
	setenv("JOURNAL_STREAM", "nonsense", 1);
	log_open("web", stream.write_fd);
	log_error("a");
	assert_ends_with(take(stream.read_fd), " web: error: a\n");
	unsetenv("JOURNAL_STREAM");
	close_stream(&stream);
	close_stream(&other);
}

/* Fills @stream until lines are lost, without waiting; what came through is whole lines; the loss is
 * said as soon as there is room. */
static void fill_and_empty(struct stream stream)
{
	uint64_t before = log_dropped();
	unsigned written = 0, lines = 0;
	log_open("web", stream.write_fd);
	int flags = fcntl(stream.write_fd, F_GETFL);
	alarm(20); /* a log that waits is ended */
	while (log_dropped() < before + 3) {
		log_info("%0200u", written++);
		assert_true(written < 100000);
	}
	assert_int_equal(fcntl(stream.write_fd, F_GETFL), flags);
	const char *text = take(stream.read_fd);
	for (const char *line = text; (line = strchr(line, '\n')); line++)
		lines++;
	assert_in_range(lines, written - 3, written - 2); /* of a terminal, one may be torn */
	log_info("again");
	alarm(0);
	text = take(stream.read_fd);
	assert_non_null(strstr(text, "web: warning: lines of this log lost here: 3\n"));
	assert_ends_with(text, " web: again\n");
	log_info("and again");
	assert_null(strstr(take(stream.read_fd), "lost"));
	assert_int_equal(log_dropped(), before + 3);
	close_stream(&stream);
}

static void test_full_pipe(void **state)
{
	(void)state;
	fill_and_empty(make_pipe());
}

static void test_full_socket(void **state)
{
	(void)state;
	fill_and_empty(make_socket());
}

static void test_full_terminal(void **state)
{
	(void)state;
	fill_and_empty(make_terminal());
}

/* A pipe of another user's cannot be opened once more. */
static void test_full_pipe_of_others(void **state)
{
	struct stream stream = make_pipe();
	(void)state;
	if (geteuid() != 0)
		skip();
	pid_t pid = fork();
	if (pid == 0) {
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(2);
		fill_and_empty(stream);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close_stream(&stream);
}

/* Control-S, or a job that was stopped: the terminal takes nothing. */
static void test_stopped_terminal(void **state)
{
	struct stream stream = make_terminal();
	uint64_t before = log_dropped();
	(void)state;
	log_open("web", stream.write_fd);
	assert_int_equal(tcflow(stream.write_fd, TCOOFF), 0);
	alarm(20);
	log_info("lost");
	alarm(0);
	assert_int_equal(log_dropped(), before + 1);
	assert_int_equal(tcflow(stream.write_fd, TCOON), 0);
	log_info("found");
	assert_ends_with(take(stream.read_fd), " web: found\n");
	close_stream(&stream);
}

static void test_nobody_reads(void **state)
{
	struct stream streams[] = { make_pipe(), make_socket() };
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
		uint64_t before = log_dropped();
		log_open("web", streams[i].write_fd);
		streams[i].read_fd = fd_close(streams[i].read_fd);
		log_info("lost");
		assert_int_equal(log_dropped(), before + 1);
		close_stream(&streams[i]);
	}
	signal(SIGPIPE, SIG_DFL);
}

static void test_full_disk(void **state)
{
	CLEANUP(fd_closep) int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	uint64_t before = log_dropped();
	(void)state;
	log_open("web", full);
	log_info("lost");
	log_info("lost");
	assert_int_equal(log_dropped(), before + 2);
	log_open("test", STDERR_FILENO);
}

/* One line, whatever is in it, and short enough to be written in one piece. */
static void test_harmless(void **state)
{
	struct stream stream = make_pipe();
	static char longest[20000];
	(void)state;
	log_open("w\neb", stream.write_fd);
	log_info("a\nb\x1b[2J %s", "\xff");
	assert_ends_with(take(stream.read_fd), " w\\neb: a\\nb\\x1b[2J \\xff\n");
	memset(longest, '\x01', sizeof(longest) - 1);
	log_info("%s", longest);
	const char *line = take(stream.read_fd);
	assert_true(strlen(line) <= PIPE_BUF && strlen(line) > PIPE_BUF - 16);
	assert_ends_with(line, "\\x01…\n");
	close_stream(&stream);
}

static void test_no_descriptor_is_left(void **state)
{
	(void)state;
	unsigned before = count_descriptors();
	for (int i = 0; i < 10; i++) {
		struct stream stream = make_pipe();
		log_open("web", stream.write_fd);
		log_open("web", stream.write_fd);
		close_stream(&stream);
	}
	assert_int_equal(count_descriptors(), before);
}

static void test_printable(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "", "" },
		{ "plain ~", "plain ~" },
		{ "tab\there", "tab\there" },
		{ "grüße €, 𝄞", "grüße €, 𝄞" },
		{ "\r\n", "\\r\\n" },
		{ "\x1b]0;title\a", "\\x1b]0;title\\x07" },
		{ "\x7f", "\\x7f" },
		{ "\xc2\x9b"
		  "31m",
		  "\\xc2\\x9b31m" },				     /* C1: CSI in one character */
		{ "\xe2\x80\xaetxt.exe", "\\xe2\\x80\\xaetxt.exe" }, /* right-to-left override */
		{ "\xe2\x80\xa8", "\\xe2\\x80\\xa8" },		     /* line separator */
		{ "\xc0\xaf", "\\xc0\\xaf" },			     /* overlong */
		{ "\xe0\x80\xaf", "\\xe0\\x80\\xaf" },		     /* overlong */
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },		     /* surrogate */
		{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },	     /* beyond U+10FFFF */
		{ "\xf8\x88\x80\x80\x80", "\\xf8\\x88\\x80\\x80\\x80" },
		{ "\xe2\x82", "\\xe2\\x82" }, /* ends within */
		{ "\xe2z", "\\xe2z" },
		{ "\x80", "\\x80" },
	};
	char buffer[256];
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t n = printable(cases[i].in, buffer, sizeof(buffer));
		assert_string_equal(buffer, cases[i].out);
		assert_int_equal(n, strlen(buffer));
	}
}

/* At each size: what fits is whole, what does not ends in the mark at a character's end. */
static void test_printable_cut(void **state)
{
	static const char text[] = "aä€𝄞\n\x01zaä€𝄞";
	static const char whole[] = "aä€𝄞\\n\\x01zaä€𝄞";
	(void)state;
	for (size_t size = PRINTABLE_MIN_SIZE; size < sizeof(whole) + 3; size++) {
		CLEANUP(freep) char *buffer = malloc(size), *again = malloc(256);
		size_t n = printable(text, buffer, size);
		assert_int_equal(n, strlen(buffer));
		assert_true(n < size);
		if (size >= sizeof(whole)) {
			assert_string_equal(buffer, whole);
			continue;
		}
		assert_ends_with(buffer, "…");
		assert_memory_equal(buffer, whole, n - strlen("…"));
		assert_true(n + strlen("\\x01") + strlen("…") > size); /* no more was cut */
		(void)printable(buffer, again, 256);
		assert_string_equal(again, buffer); /* it is whole characters */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_level),
		cmocka_unit_test(test_journal),
		cmocka_unit_test(test_full_pipe),
		cmocka_unit_test(test_full_socket),
		cmocka_unit_test(test_full_terminal),
		cmocka_unit_test(test_full_pipe_of_others),
		cmocka_unit_test(test_stopped_terminal),
		cmocka_unit_test(test_nobody_reads),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_harmless),
		cmocka_unit_test(test_no_descriptor_is_left),
		cmocka_unit_test(test_printable),
		cmocka_unit_test(test_printable_cut),
	};
	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
