#include "supervisor/log.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

#include "supervisor/printable.h"

/* A pipe takes or refuses this much as one piece, see pipe(7). */
enum { LOG_PIECE_MAX_BYTES = PIPE_BUF, LOG_NAME_MAX_BYTES = 64, LOG_TEXT_MAX_BYTES = 8192 };

/* How to write without ever waiting. O_NONBLOCK on stderr itself would change it for everybody who
 * shares its open file description: the shell, the journal's other writers. */
enum log_way {
	LOG_WAY_FILE,	/* a regular file, a device: write(2) does not wait for anybody */
	LOG_WAY_SOCKET, /* MSG_DONTWAIT */
	LOG_WAY_OWN,	/* a pipe or terminal, opened once more with O_NONBLOCK */
	LOG_WAY_POLL,	/* the same where it cannot be opened: RWF_NOWAIT, else poll(2) first */
};

static struct {
	int fd;	    /* borrowed */
	int own_fd; /* LOG_WAY_OWN */
	enum log_way way;
	enum log_level level;
	bool journal;
	bool torn; /* the last line was written in part */
	uint64_t dropped, dropped_unsaid;
	char name[LOG_NAME_MAX_BYTES];
} logger = { .fd = STDERR_FILENO, .own_fd = -1, .level = LOG_LEVEL_INFO, .name = "handoverd" };

/* See systemd.exec(5), $JOURNAL_STREAM: device and inode, so that a redirected stderr is told. */
static bool is_journal(const struct stat *status)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       device == status->st_dev && inode == status->st_ino;
}

static enum log_way choose_way(int fd, const struct stat *status, int *ret_own_fd)
{
	if (S_ISSOCK(status->st_mode))
		return LOG_WAY_SOCKET;
	if (!S_ISFIFO(status->st_mode) && !isatty(fd))
		return LOG_WAY_FILE;
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own < 0)
		return LOG_WAY_POLL;
	*ret_own_fd = own;
	return LOG_WAY_OWN;
}

void log_open(const char *name, int fd)
{
	struct stat status;
	int own_fd = -1;
	logger.journal = false;
	logger.way = LOG_WAY_FILE;
	if (fstat(fd, &status) == 0) {
		logger.journal = is_journal(&status);
		logger.way = choose_way(fd, &status, &own_fd);
	}
	(void)fd_close(logger.own_fd);
	logger.own_fd = own_fd;
	logger.fd = fd;
	logger.torn = false;
	(void)printable(name, logger.name, sizeof(logger.name));
}

void log_set_level(enum log_level level)
{
	logger.level = level;
}

uint64_t log_dropped(void)
{
	return logger.dropped;
}

static ssize_t write_polled(const char *bytes, size_t n)
{
	const struct iovec piece = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = n };
	ssize_t written = pwritev2(logger.fd, &piece, 1, -1, RWF_NOWAIT);
	if (written >= 0 || errno != EOPNOTSUPP)
		return written;
	struct pollfd poll_fd = { .fd = logger.fd, .events = POLLOUT };
	if (poll(&poll_fd, 1, 0) <= 0 || !(poll_fd.revents & POLLOUT)) {
		errno = EAGAIN;
		return -1;
	}
	return write(logger.fd, bytes, n);
}

static ssize_t write_now(const char *bytes, size_t n)
{
	switch (logger.way) {
	case LOG_WAY_SOCKET:
		return send(logger.fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	case LOG_WAY_OWN:
		return write(logger.own_fd, bytes, n);
	case LOG_WAY_POLL:
		return write_polled(bytes, n);
	case LOG_WAY_FILE:
		break;
	}
	return write(logger.fd, bytes, n);
}

/* "<4>web: ", or "2026-03-01 12:00:00.123 web: warning: ". Returns its length. */
static size_t format_head(char *line, size_t size, enum log_level level)
{
	int n;
	if (logger.journal) {
		n = snprintf(line, size, "<%d>%s: ", (int)level, logger.name);
	} else {
		const char *word = level <= LOG_LEVEL_ERROR	? "error: "
				   : level == LOG_LEVEL_WARNING ? "warning: "
								: "";
		struct timespec now;
		struct tm local;
		char date[32];
		(void)clock_gettime(CLOCK_REALTIME, &now);
		(void)strftime(date, sizeof(date), "%F %T", localtime_r(&now.tv_sec, &local));
		n = snprintf(line, size, "%s.%03ld %s: %s", date, now.tv_nsec / 1000000,
			     logger.name, word);
	}
	return n < 0 ? 0 : (size_t)n;
}

static size_t format_line(char *line, size_t size, enum log_level level, const char *text)
{
	size_t n = format_head(line, size / 2, level);
	n += printable(text, line + n, size - n - 1);
	line[n++] = '\n';
	return n;
}

/* The lines that were lost are told of in the same piece, so that the count goes with the next line
 * that gets through and not alone. Returns false when @text is lost. */
static bool emit(enum log_level level, const char *text)
{
	char piece[LOG_PIECE_MAX_BYTES], lost[64];
	size_t n = 0;
	if (logger.torn)
		piece[n++] = '\n';
	if (logger.dropped_unsaid > 0) {
		(void)snprintf(lost, sizeof(lost), "lines of this log lost here: %llu",
			       (unsigned long long)logger.dropped_unsaid);
		n += format_line(piece + n, sizeof(piece) / 2, LOG_LEVEL_WARNING, lost);
	}
	n += format_line(piece + n, sizeof(piece) - n, level, text);
	ssize_t written;
	do
		written = write_now(piece, n);
	while (written < 0 && errno == EINTR);
	if (written > 0)
		logger.torn = (size_t)written < n;
	return written == (ssize_t)n;
}

void log_line(enum log_level level, const char *format, ...)
{
	if (level > logger.level)
		return;
	int saved = errno;
	char text[LOG_TEXT_MAX_BYTES];
	va_list arguments;
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (emit(level, text)) {
		logger.dropped_unsaid = 0;
	} else {
		logger.dropped++;
		logger.dropped_unsaid++;
	}
	errno = saved;
}
