#include "supervisor/config_file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static const char BYTE_ORDER_MARK[] = "\xef\xbb\xbf";

static int open_regular(const char *path, int *ret_fd, struct error *error)
{
	/* O_NONBLOCK: opening a FIFO must not wait for its writer. */
	CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return error_set(error, -errno, "%s: %s", path, strerror(errno));
	struct stat status;
	if (fstat(fd, &status) < 0)
		return error_set(error, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISREG(status.st_mode))
		return error_set(error, -EINVAL, "%s: not a regular file", path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int read_all(int fd, const char *path, char *text, size_t *ret_length, struct error *error)
{
	size_t length = 0;
	for (;;) {
		ssize_t n = read(fd, text + length, CONFIG_FILE_MAX_BYTES + 1 - length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(error, -errno, "%s: %s", path, strerror(errno));
		length += (size_t)n;
		if (length > CONFIG_FILE_MAX_BYTES)
			return error_set(error, -EFBIG, "%s: larger than %d bytes", path,
					 CONFIG_FILE_MAX_BYTES);
		if (n == 0)
			break;
	}
	text[length] = '\0';
	*ret_length = length;
	return 0;
}

static unsigned line_at(const char *text, size_t offset)
{
	unsigned line = 1;
	for (size_t i = 0; i < offset; i++)
		line += text[i] == '\n';
	return line;
}

static int check_text(const char *path, const char *text, size_t length, struct error *error)
{
	const char *nul = memchr(text, '\0', length);
	if (nul)
		return error_set(error, -EINVAL, "%s:%u: a NUL byte: this is no text file", path,
				 line_at(text, (size_t)(nul - text)));
	size_t good = utf8_prefix(text, length);
	if (good < length)
		return error_set(error, -EINVAL, "%s:%u: the byte 0x%02x here is not UTF-8", path,
				 line_at(text, good), (unsigned char)text[good]);
	return 0;
}

int config_file_read(const char *path, char **ret_text, size_t *ret_length, struct error *error)
{
	CLEANUP(fd_closep) int fd = -1;
	int r = open_regular(path, &fd, error);
	if (r < 0)
		return r;
	/* One byte more than allowed, to notice what is too large, also while it grows. */
	CLEANUP(freep) char *text = malloc(CONFIG_FILE_MAX_BYTES + 1);
	if (!text)
		return error_set(error, -ENOMEM, "%s: out of memory", path);
	size_t length = 0;
	r = read_all(fd, path, text, &length, error);
	if (r < 0)
		return r;
	size_t mark = strlen(BYTE_ORDER_MARK);
	if (length >= mark && memcmp(text, BYTE_ORDER_MARK, mark) == 0) {
		length -= mark;
		memmove(text, text + mark, length + 1);
	}
	r = check_text(path, text, length, error);
	if (r < 0)
		return r;
	*ret_text = TAKE_PTR(text);
	*ret_length = length;
	return 0;
}

/* The length of the character at @text, 0 if it is none; table 3-7 in one line per first byte. */
static size_t character_bytes(const unsigned char *text, size_t length)
{
	static const struct {
		unsigned char first, last, second_min, second_max, bytes;
	} rows[] = {
		{ 0x00, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	for (size_t row = 0; row < ARRAY_SIZE(rows); row++) {
		if (text[0] < rows[row].first || text[0] > rows[row].last)
			continue;
		size_t bytes = rows[row].bytes;
		if (bytes > length)
			return 0;
		if (bytes > 1 && (text[1] < rows[row].second_min || text[1] > rows[row].second_max))
			return 0;
		for (size_t i = 2; i < bytes; i++)
			if ((text[i] & 0xc0) != 0x80)
				return 0;
		return bytes;
	}
	return 0;
}

size_t utf8_prefix(const char *text, size_t length)
{
	size_t good = 0;
	while (good < length) {
		size_t bytes = character_bytes((const unsigned char *)text + good, length - good);
		if (bytes == 0)
			break;
		good += bytes;
	}
	return good;
}
