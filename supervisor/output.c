#include "supervisor/output.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

#include "proto/base.h"

enum { READ_BYTES = 8 * 1024 };

static const char ELLIPSIS[] = "…";

static void keep(struct output *output, const char *line)
{
	char *copy = strdup(line);
	if (!copy)
		return;
	size_t place = (output->first_kept + output->n_kept) % OUTPUT_KEPT_LINES;
	if (output->n_kept == OUTPUT_KEPT_LINES) {
		free(output->kept[place]);
		output->first_kept = (output->first_kept + 1) % OUTPUT_KEPT_LINES;
	} else {
		output->n_kept++;
	}
	output->kept[place] = copy;
}

/* Reports what @partial holds. */
static void end_line(struct output *output)
{
	char *line = output->partial;
	if (!line) /* no memory when it began */
		return;
	if (output->n_partial > 0 && !output->cut && line[output->n_partial - 1] == '\r')
		output->n_partial--;
	line[output->n_partial] = '\0';
	output->n_partial = 0;
	keep(output, line);
	output->line(output->owner, line);
}

/* The line became too long: marked at a character's end and reported; its rest is skipped. */
static void cut_line(struct output *output)
{
	size_t n = OUTPUT_LINE_MAX_BYTES - (sizeof(ELLIPSIS) - 1);
	for (int back = 0; back < 3 && ((unsigned char)output->partial[n] & 0xc0) == 0x80; back++)
		n--;
	memcpy(output->partial + n, ELLIPSIS, sizeof(ELLIPSIS) - 1);
	output->n_partial = n + sizeof(ELLIPSIS) - 1;
	output->cut = true;
	end_line(output);
}

/* Adds bytes of one line. */
static void add(struct output *output, const char *bytes, size_t n)
{
	if (output->cut)
		return;
	if (!output->partial && !(output->partial = malloc(OUTPUT_LINE_MAX_BYTES + 1))) {
		output->cut = true;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (output->n_partial == OUTPUT_LINE_MAX_BYTES) {
			/* One more may be the '\r' of a line that just fits. */
			if (bytes[i] == '\r' && i + 1 == n)
				return;
			cut_line(output);
			return;
		}
		output->partial[output->n_partial++] = bytes[i] ? bytes[i] : '?';
	}
}

static void split(struct output *output, const char *bytes, size_t n)
{
	while (n > 0) {
		const char *end = memchr(bytes, '\n', n);
		size_t length = end ? (size_t)(end - bytes) : n;
		add(output, bytes, length);
		if (!end)
			return;
		if (!output->cut) {
			if (length == 0)
				add(output, "", 0); /* an empty line is one, too */
			end_line(output);
		}
		output->cut = false;
		bytes += length + 1;
		n -= length + 1;
	}
}

static void close_descriptor(struct output *output)
{
	if (output->fd < 0)
		return;
	if (output->n_partial > 0 && !output->cut)
		end_line(output);
	output->cut = false;
	ev_io_stop(output->loop, &output->watcher);
	output->fd = fd_close(output->fd);
}

/* Reads and splits @limit bytes at most. Returns false at the end of the pipe. */
static bool take(struct output *output, size_t limit)
{
	char bytes[READ_BYTES];
	while (limit > 0) {
		size_t size = limit < sizeof(bytes) ? limit : sizeof(bytes);
		ssize_t n = read(output->fd, bytes, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		if (n == 0)
			return false;
		split(output, bytes, (size_t)n);
		limit -= (size_t)n;
		if ((size_t)n < size) /* the pipe is empty: spare the call that says so */
			return true;
	}
	return true;
}

static void on_readable(EV_P_ ev_io *watcher, int revents)
{
	struct output *output = container_of(watcher, struct output, watcher);
	(void)loop, (void)revents;
	if (!take(output, OUTPUT_TURN_MAX_BYTES))
		close_descriptor(output);
}

void output_init(struct output *output, struct ev_loop *loop, int fd,
		 void (*line)(void *owner, const char *line), void *owner)
{
	*output = (struct output){ .loop = loop, .fd = fd, .line = line, .owner = owner };
	ev_io_init(&output->watcher, on_readable, fd, EV_READ);
	ev_io_start(loop, &output->watcher);
}

void output_close(struct output *output)
{
	int n;
	if (output->fd < 0)
		return;
	/* What is there now, and not what a grandchild goes on writing while we read. */
	if (ioctl(output->fd, FIONREAD, &n) == 0 && n > 0)
		(void)take(output, (size_t)n);
	close_descriptor(output);
}

void output_finish(struct output *output)
{
	if (output->fd >= 0)
		output_close(output);
	free(output->partial);
	output->partial = NULL;
	for (size_t i = 0; i < OUTPUT_KEPT_LINES; i++) {
		free(output->kept[i]);
		output->kept[i] = NULL;
	}
	output->n_kept = output->first_kept = 0;
}

size_t output_n_kept(const struct output *output)
{
	return output->n_kept;
}

const char *output_kept(const struct output *output, size_t index)
{
	assert(index < output->n_kept);
	return output->kept[(output->first_kept + index) % OUTPUT_KEPT_LINES];
}

int output_pipe(int ret_fds[static 2])
{
	int fds[2];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0) {
		int r = -errno;
		(void)fd_close(fds[0]);
		(void)fd_close(fds[1]);
		return r;
	}
	ret_fds[0] = fds[0];
	ret_fds[1] = fds[1];
	return 0;
}
