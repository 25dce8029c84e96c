#include "tests/load/load_response.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

enum { LENGTH_DIGITS_MAX = 18, CHUNK_DIGITS_MAX = 15 };

void response_begin(struct response *response, const struct response_wanted *wanted)
{
	/* The line is not cleared: it would be four kilobytes for every request. */
	memset(response, 0, offsetof(struct response, line));
	response->wanted = wanted;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_token(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		char c = text[i];
		if (c <= ' ' || c >= 127 || strchr("\"(),/:;<=>?@[\\]{}", c))
			return false;
	}
	return size > 0;
}

/* RFC 9110 field-content: visible, blank, tab, and bytes above ASCII. */
static bool is_text(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];
		if ((c < ' ' && c != '\t') || c == 127)
			return false;
	}
	return true;
}

static int take_status_line(struct response *response, const char *line, size_t size)
{
	static const char prefix[] = "HTTP/1.";
	const size_t minor_at = sizeof(prefix) - 1, code_at = minor_at + 2, reason_at = code_at + 3;

	if (size < reason_at + 1 || memcmp(line, prefix, minor_at) != 0 || !is_text(line, size))
		return -EBADMSG;
	if ((line[minor_at] != '0' && line[minor_at] != '1') || line[minor_at + 1] != ' ')
		return -EBADMSG;
	response->minor_version = line[minor_at] - '0';

	response->status = 0;
	for (size_t i = code_at; i < reason_at; i++) {
		if (!is_digit(line[i]))
			return -EBADMSG;
		response->status = response->status * 10 + (line[i] - '0');
	}
	/* 101 would end HTTP on this connection, and nobody asked for it. */
	if (response->status < 100 || response->status > 599 || response->status == 101)
		return -EBADMSG;
	if (line[reason_at] != ' ')
		return -EBADMSG;
	response->state = RESPONSE_HEADER;
	return 0;
}

static int take_content_length(struct response *response, const char *value, size_t size)
{
	if (response->has_length || size == 0 || size > LENGTH_DIGITS_MAX)
		return -EBADMSG;
	uint64_t length = 0;
	for (size_t i = 0; i < size; i++) {
		if (!is_digit(value[i]))
			return -EBADMSG;
		length = length * 10 + (uint64_t)(value[i] - '0');
	}
	response->has_length = true;
	response->left_bytes = length;
	return 0;
}

static int take_transfer_encoding(struct response *response, const char *value, size_t size)
{
	if (response->chunked || size != 7 || strncasecmp(value, "chunked", 7) != 0)
		return -EBADMSG;
	response->chunked = true;
	return 0;
}

static void take_connection(struct response *response, const char *value, size_t size)
{
	while (size > 0) {
		size_t length = strcspn(value, ", \t");
		if (length == 5 && strncasecmp(value, "close", 5) == 0)
			response->says_close = true;
		if (length == 10 && strncasecmp(value, "keep-alive", 10) == 0)
			response->says_keep_alive = true;
		if (length < size)
			length++;
		value += length;
		size -= length;
	}
}

static void take_generation(struct response *response, const char *value, size_t size)
{
	if (size >= sizeof(response->generation))
		size = sizeof(response->generation) - 1;
	memcpy(response->generation, value, size);
	response->generation[size] = '\0';
}

/* @line ends in a NUL after @size bytes. */
static int take_field(struct response *response, const char *line, size_t size)
{
	const char *colon = memchr(line, ':', size);
	if (!colon || !is_token(line, (size_t)(colon - line)))
		return -EBADMSG;
	size_t name_size = (size_t)(colon - line);
	const char *value = colon + 1;
	size_t value_size = size - name_size - 1;
	if (!is_text(value, value_size))
		return -EBADMSG;
	while (value_size > 0 && (*value == ' ' || *value == '\t')) {
		value++;
		value_size--;
	}
	while (value_size > 0 && (value[value_size - 1] == ' ' || value[value_size - 1] == '\t'))
		value_size--;

	if (response->state == RESPONSE_TRAILER)
		return 0;
	if (name_size == 14 && strncasecmp(line, "Content-Length", 14) == 0)
		return take_content_length(response, value, value_size);
	if (name_size == 17 && strncasecmp(line, "Transfer-Encoding", 17) == 0)
		return take_transfer_encoding(response, value, value_size);
	if (name_size == 10 && strncasecmp(line, "Connection", 10) == 0)
		take_connection(response, value, value_size);
	const char *wanted = response->wanted->generation_header;
	if (wanted && strlen(wanted) == name_size && strncasecmp(line, wanted, name_size) == 0)
		take_generation(response, value, value_size);
	return 0;
}

static int take_end_of_head(struct response *response)
{
	bool has_body = response->status >= 200 && response->status != 204 &&
			response->status != 304;

	if (response->chunked &&
	    (response->has_length || response->minor_version == 0 || !has_body))
		return -EBADMSG;
	if (response->status < 200) {
		if (response->has_length)
			return -EBADMSG;
		size_t head_bytes = response->head_bytes;
		response_begin(response, response->wanted);
		response->head_bytes = head_bytes; /* interim answers without end are refused too */
		return 0;
	}
	if (!has_body)
		response->state = RESPONSE_COMPLETE;
	else if (response->chunked)
		response->state = RESPONSE_CHUNK_SIZE;
	else if (!response->has_length)
		response->state = RESPONSE_BODY_UNTIL_EOF;
	else
		response->state = response->left_bytes ? RESPONSE_BODY_BY_LENGTH
						       : RESPONSE_COMPLETE;
	response->until_eof = response->state == RESPONSE_BODY_UNTIL_EOF;
	return 0;
}

static int hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int take_chunk_size(struct response *response, const char *line, size_t size)
{
	size_t digits = 0;
	uint64_t length = 0;

	for (; digits < size && hex_value(line[digits]) >= 0; digits++) {
		if (digits == CHUNK_DIGITS_MAX)
			return -EBADMSG;
		length = length << 4 | (uint64_t)hex_value(line[digits]);
	}
	if (digits == 0 || (digits < size && line[digits] != ';') || !is_text(line, size))
		return -EBADMSG;
	response->left_bytes = length;
	response->state = length ? RESPONSE_CHUNK_DATA : RESPONSE_TRAILER;
	return 0;
}

static int take_line(struct response *response, const char *line, size_t size)
{
	switch (response->state) {
	case RESPONSE_STATUS_LINE:
		return take_status_line(response, line, size);
	case RESPONSE_HEADER:
		return size ? take_field(response, line, size) : take_end_of_head(response);
	case RESPONSE_CHUNK_SIZE:
		return take_chunk_size(response, line, size);
	case RESPONSE_CHUNK_END:
		response->state = RESPONSE_CHUNK_SIZE;
		return size ? -EBADMSG : 0;
	case RESPONSE_TRAILER:
		if (size)
			return take_field(response, line, size);
		response->state = RESPONSE_COMPLETE;
		return 0;
	case RESPONSE_BODY_BY_LENGTH:
	case RESPONSE_BODY_UNTIL_EOF:
	case RESPONSE_CHUNK_DATA:
	case RESPONSE_COMPLETE:
		break;
	}
	return -EBADMSG;
}

/* Gathers bytes up to a line's end, which must be CR LF: a bare LF is what a lenient reader hides. */
static ssize_t feed_line(struct response *response, const char *bytes, size_t size)
{
	const char *newline = memchr(bytes, '\n', size);
	size_t taken = newline ? (size_t)(newline - bytes) + 1 : size;
	bool in_body = response->state == RESPONSE_CHUNK_SIZE ||
		       response->state == RESPONSE_CHUNK_END;

	if (taken > sizeof(response->line) - response->line_bytes)
		return -EBADMSG;
	if (!in_body) {
		response->head_bytes += taken;
		if (response->head_bytes > RESPONSE_HEAD_MAX)
			return -EBADMSG;
	}
	memcpy(response->line + response->line_bytes, bytes, taken);
	response->line_bytes += taken;
	if (!newline)
		return (ssize_t)taken;

	size_t length = response->line_bytes;
	response->line_bytes = 0;
	if (length < 2 || response->line[length - 2] != '\r')
		return -EBADMSG;
	response->line[length - 2] = '\0';
	int r = take_line(response, response->line, length - 2);
	return r < 0 ? r : (ssize_t)taken;
}

static void compare_body(struct response *response, const char *bytes, size_t size)
{
	const char *wanted = response->wanted->body;

	if (wanted && !response->body_differs) {
		size_t length = strlen(wanted);
		response->body_differs = response->body_bytes + size > length ||
					 memcmp(wanted + response->body_bytes, bytes, size) != 0;
	}
	response->body_bytes += size;
}

static size_t feed_body(struct response *response, const char *bytes, size_t size)
{
	if (response->state != RESPONSE_BODY_UNTIL_EOF) {
		if (size > response->left_bytes)
			size = (size_t)response->left_bytes;
		response->left_bytes -= size;
		if (response->left_bytes == 0)
			response->state = response->chunked ? RESPONSE_CHUNK_END
							    : RESPONSE_COMPLETE;
	}
	compare_body(response, bytes, size);
	return size;
}

ssize_t response_feed(struct response *response, const char *bytes, size_t size)
{
	size_t taken = 0;

	while (taken < size && response->state != RESPONSE_COMPLETE) {
		ssize_t n;
		if (response->state == RESPONSE_BODY_BY_LENGTH ||
		    response->state == RESPONSE_CHUNK_DATA ||
		    response->state == RESPONSE_BODY_UNTIL_EOF)
			n = (ssize_t)feed_body(response, bytes + taken, size - taken);
		else
			n = feed_line(response, bytes + taken, size - taken);
		if (n < 0)
			return n;
		taken += (size_t)n;
	}
	return (ssize_t)taken;
}

int response_end(struct response *response)
{
	if (response->state == RESPONSE_BODY_UNTIL_EOF)
		response->state = RESPONSE_COMPLETE;
	return response->state == RESPONSE_COMPLETE ? 0 : -ENODATA;
}

bool response_keeps_alive(const struct response *response)
{
	if (response->says_close || response->until_eof)
		return false;
	return response->minor_version == 1 || response->says_keep_alive;
}

bool response_has_wanted_body(const struct response *response)
{
	const struct response_wanted *wanted = response->wanted;

	if (response->body_differs ||
	    (wanted->body && response->body_bytes != strlen(wanted->body)))
		return false;
	return wanted->length_bytes < 0 || response->body_bytes == (uint64_t)wanted->length_bytes;
}
