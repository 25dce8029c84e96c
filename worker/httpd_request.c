#include "worker/httpd_request.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/base.h"

static int refuse(struct request *request, unsigned int status)
{
	request->refusal = status;
	return -1;
}

/* What does not fit is left out: it is longer than anything that we compare it with. */
static void append(char *buffer, size_t size, uint8_t *used, const char *at, size_t length)
{
	size_t room = size - *used;
	size_t kept = length < room ? length : room;
	memcpy(buffer + *used, at, kept);
	*used = (uint8_t)(*used + kept);
}

static int on_begin(http_parser *parser)
{
	struct request *request = container_of(parser, struct request, parser);
	request->is_begun = true;
	return 0;
}

static int on_target(http_parser *parser, const char *at, size_t length)
{
	struct request *request = container_of(parser, struct request, parser);
	request->target_bytes += (uint32_t)length;
	if (request->target_bytes > HTTPD_TARGET_MAX_BYTES)
		return refuse(request, HTTP_STATUS_URI_TOO_LONG);
	append(request->target, sizeof(request->target), &request->n_target, at, length);
	return 0;
}

static int on_header_name(http_parser *parser, const char *at, size_t length)
{
	struct request *request = container_of(parser, struct request, parser);
	/* Debian's parser lets it pass, and such a name is how requests are smuggled past a proxy
	 * that reads it otherwise: RFC 9112, 5.1. */
	if (memchr(at, ' ', length))
		return refuse(request, HTTP_STATUS_BAD_REQUEST);
	if (request->is_in_value) {
		request->is_in_value = false;
		request->n_name = 0;
	}
	append(request->name, sizeof(request->name), &request->n_name, at, length);
	return 0;
}

static bool is_named(const struct request *request, const char *name)
{
	return strlen(name) == request->n_name &&
	       strncasecmp(request->name, name, request->n_name) == 0;
}

static int on_header_value(http_parser *parser, const char *at, size_t length)
{
	struct request *request = container_of(parser, struct request, parser);
	bool is_first = !request->is_in_value;
	request->is_in_value = true;
	if (is_first && is_named(request, "host") && request->n_hosts < 2)
		request->n_hosts++;
	if (is_named(request, "expect"))
		append(request->expect, sizeof(request->expect), &request->n_expect, at, length);
	return 0;
}

static bool has_body(const http_parser *parser)
{
	return parser->flags & F_CHUNKED ||
	       (parser->flags & F_CONTENTLENGTH && parser->content_length > 0);
}

/* RFC 9110, 10.1.1: in HTTP/1.0 it is ignored. */
static int check_expect(struct request *request)
{
	static const char CONTINUE[] = "100-continue";
	if (request->n_expect == 0 || request_is_http10(request))
		return 0;
	if (request->n_expect != sizeof(CONTINUE) - 1 ||
	    strncasecmp(request->expect, CONTINUE, sizeof(CONTINUE) - 1) != 0)
		return refuse(request, HTTP_STATUS_EXPECTATION_FAILED);
	request->awaits_continue = has_body(&request->parser);
	return 0;
}

static int on_head_complete(http_parser *parser)
{
	struct request *request = container_of(parser, struct request, parser);
	request->is_head_complete = true;
	request->keeps_alive = http_should_keep_alive(parser);
	parser->upgrade = 0; /* an offer to speak something else may be ignored: RFC 9110, 7.8 */
	if (parser->http_major != 1)
		return refuse(request, HTTP_STATUS_HTTP_VERSION_NOT_SUPPORTED);
	if (request->n_hosts > 1 || (request->n_hosts == 0 && !request_is_http10(request)))
		return refuse(request, HTTP_STATUS_BAD_REQUEST);
	/* Who speaks 1.0 does not know the field, and frames the message otherwise: RFC 9112,
	 * 6.1. */
	if (request_is_http10(request) && parser->uses_transfer_encoding)
		return refuse(request, HTTP_STATUS_BAD_REQUEST);
	if (parser->method != HTTP_GET && parser->method != HTTP_HEAD &&
	    parser->method != HTTP_POST)
		return refuse(request, HTTP_STATUS_METHOD_NOT_ALLOWED);
	if (parser->flags & F_CONTENTLENGTH && parser->content_length > HTTPD_BODY_MAX_BYTES)
		return refuse(request, HTTP_STATUS_PAYLOAD_TOO_LARGE);
	return check_expect(request);
}

static int on_body(http_parser *parser, const char *at, size_t length)
{
	struct request *request = container_of(parser, struct request, parser);
	(void)at;
	request->awaits_continue = false;
	request->body_bytes += length;
	if (request->body_bytes > HTTPD_BODY_MAX_BYTES)
		return refuse(request, HTTP_STATUS_PAYLOAD_TOO_LARGE);
	return 0;
}

/* Stops the parser behind this request, so that the next one is not read into it. */
static int on_complete(http_parser *parser)
{
	http_parser_pause(parser, 1);
	return 0;
}

static const http_parser_settings SETTINGS = {
	.on_message_begin = on_begin,
	.on_url = on_target,
	.on_header_field = on_header_name,
	.on_header_value = on_header_value,
	.on_headers_complete = on_head_complete,
	.on_body = on_body,
	.on_message_complete = on_complete,
};

void request_set_limits(void)
{
	http_parser_set_max_header_size(HTTPD_HEAD_MAX_BYTES);
}

void request_init(struct request *request)
{
	http_parser_init(&request->parser, HTTP_REQUEST);
	request_next(request);
}

void request_next(struct request *request)
{
	http_parser parser = request->parser;
	http_parser_pause(&parser, 0);
	*request = (struct request){ .parser = parser };
}

static bool is_token(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* The parser stops at the first byte that begins no method it knows. A token up to a space, or as
 * far as it is there, is a method that we do not know; anything else was never HTTP. */
static unsigned int unknown_method(const char *rest, size_t length)
{
	size_t i = 0;
	while (i < length && is_token(rest[i]))
		i++;
	return i == length || rest[i] == ' ' ? HTTP_STATUS_NOT_IMPLEMENTED
					     : HTTP_STATUS_BAD_REQUEST;
}

static unsigned int refusal_of(const struct request *request, const char *rest, size_t length)
{
	if (request->refusal)
		return request->refusal;
	switch (HTTP_PARSER_ERRNO(&request->parser)) {
	case HPE_INVALID_METHOD:
		return unknown_method(rest, length);
	case HPE_HEADER_OVERFLOW:
		return HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE;
	case HPE_INVALID_TRANSFER_ENCODING:
		return HTTP_STATUS_NOT_IMPLEMENTED;
	default:
		return HTTP_STATUS_BAD_REQUEST;
	}
}

enum request_event request_feed(struct request *request, const char *data, size_t length,
				size_t *ret_used)
{
	bool was_in_body = request->is_head_complete;
	size_t used = http_parser_execute(&request->parser, &SETTINGS, data, length);
	*ret_used = used;
	if (HTTP_PARSER_ERRNO(&request->parser) == HPE_PAUSED)
		return REQUEST_COMPLETE;
	if (was_in_body)
		request->body_wire_bytes += used;
	if (HTTP_PARSER_ERRNO(&request->parser) == HPE_OK &&
	    request->body_wire_bytes > HTTPD_BODY_WIRE_MAX_BYTES)
		request->refusal = HTTP_STATUS_PAYLOAD_TOO_LARGE;
	else if (HTTP_PARSER_ERRNO(&request->parser) == HPE_OK)
		return REQUEST_MORE;
	request->refusal = refusal_of(request, data + used, length - used);
	return REQUEST_REFUSED;
}

bool request_is_head(const struct request *request)
{
	return request->target_bytes > 0 && request->parser.method == HTTP_HEAD;
}

bool request_is_http10(const struct request *request)
{
	return request->parser.http_major == 1 && request->parser.http_minor == 0;
}

bool request_is_chunked(const struct request *request)
{
	return request->is_head_complete && request->parser.flags & F_CHUNKED;
}

/* Skips scheme and authority of the absolute form, as a proxy sends it. */
static size_t path_offset(const struct request *request)
{
	const char *target = request->target;
	if (request->n_target == 0 || target[0] == '/')
		return 0;
	const char *authority = memmem(target, request->n_target, "://", 3);
	if (!authority)
		return 0;
	size_t from = (size_t)(authority + 3 - target);
	const char *path = memchr(target + from, '/', request->n_target - from);
	return path ? (size_t)(path - target) : request->n_target;
}

bool request_has_path(const struct request *request, const char *path)
{
	size_t from = path_offset(request), length = strlen(path);
	if (request->n_target - from < length || memcmp(request->target + from, path, length) != 0)
		return false;
	return from + length == request->target_bytes ||
	       (from + length < request->n_target && request->target[from + length] == '?');
}

unsigned long request_delay_ms(const struct request *request)
{
	static const char KEY[] = "delay_ms=";
	const char *target = request->target, *end = target + request->n_target;
	const char *found = memmem(target, request->n_target, KEY, sizeof(KEY) - 1);
	if (!found || found == target || (found[-1] != '?' && found[-1] != '&'))
		return 0;
	unsigned long delay_ms = 0;
	for (const char *digit = found + sizeof(KEY) - 1; digit < end && isdigit(*digit); digit++) {
		delay_ms = delay_ms * 10 + (unsigned long)(*digit - '0');
		if (delay_ms > HTTPD_DELAY_MAX_MS)
			return HTTPD_DELAY_MAX_MS;
	}
	return delay_ms;
}
