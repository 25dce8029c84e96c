#include "worker/httpd_response.h"

#include <http_parser.h>
#include <stdio.h>
#include <string.h>

static const char *const CONNECTION_FIELDS[RESPONSE_CONNECTIONS] = {
	[RESPONSE_KEEPS_OPEN] = "",
	[RESPONSE_KEEPS_OPEN_HTTP10] = "Connection: keep-alive\r\n",
	[RESPONSE_CLOSES] = "Connection: close\r\n",
};

enum { DATE_BYTES = sizeof("Sun, 06 Nov 1994 08:49:37 GMT") - 1 };

/* RFC 9110, 5.6.7; not strftime(), whose names follow the locale. */
static void format_date(char date[DATE_BYTES + 1], time_t now)
{
	static const char DAYS[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char MONTHS[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	struct tm tm;
	(void)gmtime_r(&now, &tm);
	/* The moduli change nothing: they show the compiler that it fits. */
	(void)snprintf(date, DATE_BYTES + 1, "%s, %02u %s %04u %02u:%02u:%02u GMT",
		       DAYS[tm.tm_wday], (unsigned int)tm.tm_mday % 100, MONTHS[tm.tm_mon],
		       ((unsigned int)tm.tm_year + 1900) % 10000, (unsigned int)tm.tm_hour % 100,
		       (unsigned int)tm.tm_min % 100, (unsigned int)tm.tm_sec % 100);
}

int response_init(struct response *response, const struct response_content *content,
		  enum response_connection connection, time_t now)
{
	char date[DATE_BYTES + 1];
	format_date(date, now);
	CLEANUP(freep) char *head = NULL;
	int length = asprintf(&head,
			      "HTTP/1.1 %u %s\r\n"
			      "Date: %s\r\n"
			      "Server: handover-httpd/" HANDOVER_VERSION "\r\n"
			      "Content-Type: %s\r\n"
			      "Content-Length: %zu\r\n"
			      "%s%s\r\n",
			      content->status, http_status_str((enum http_status)content->status),
			      date, content->type, content->body_bytes, content->extra_fields,
			      CONNECTION_FIELDS[connection]);
	if (length < 0) {
		head = NULL; /* asprintf leaves it undefined */
		return -ENOMEM;
	}
	size_t head_bytes = (size_t)length, total = head_bytes + content->body_bytes;
	char *bytes = realloc(head, total);
	if (!bytes)
		return -ENOMEM;
	head = NULL;
	memcpy(bytes + head_bytes, content->body, content->body_bytes);
	*response = (struct response){
		.bytes = bytes,
		.head_bytes = head_bytes,
		.bytes_total = total,
		.date_offset = (size_t)((char *)memmem(bytes, head_bytes, "Date: ", 6) - bytes) + 6,
	};
	return 0;
}

int response_init_refusal(struct response *response, unsigned int status, const char *extra_fields,
			  time_t now)
{
	char body[64], fields[512];
	int body_bytes = snprintf(body, sizeof(body), "%u %s\n", status,
				  http_status_str((enum http_status)status));
	(void)snprintf(fields, sizeof(fields), "%s%s", extra_fields,
		       status == HTTP_STATUS_METHOD_NOT_ALLOWED ? "Allow: GET, HEAD, POST\r\n"
								: "");
	struct response_content content = {
		.status = status,
		.type = "text/plain; charset=utf-8",
		.extra_fields = fields,
		.body = body,
		.body_bytes = (size_t)body_bytes,
	};
	return response_init(response, &content, RESPONSE_CLOSES, now);
}

void response_finish(struct response *response)
{
	free(TAKE_PTR(response->bytes));
}

int response_set_init(struct response_set *set, const struct response_content *content, time_t now)
{
	*set = (struct response_set){ .dated = now };
	for (enum response_connection i = 0; i < RESPONSE_CONNECTIONS; i++) {
		int r = response_init(&set->responses[i], content, i, now);
		if (r < 0) {
			response_set_finish(set);
			return r;
		}
	}
	return 0;
}

void response_set_finish(struct response_set *set)
{
	for (enum response_connection i = 0; i < RESPONSE_CONNECTIONS; i++)
		response_finish(&set->responses[i]);
}

const struct response *response_set_get(struct response_set *set,
					enum response_connection connection, time_t now)
{
	if (now != set->dated) {
		char date[DATE_BYTES + 1];
		format_date(date, now);
		for (enum response_connection i = 0; i < RESPONSE_CONNECTIONS; i++)
			memcpy(set->responses[i].bytes + set->responses[i].date_offset, date,
			       DATE_BYTES);
		set->dated = now;
	}
	return &set->responses[connection];
}
