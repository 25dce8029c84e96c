#include "proto/worker_message.h"

#include <assert.h>
#include <string.h>

#include "proto/envelope.h"
#include "proto/json_text.h"
#include "proto/limits.h"

#define INTERFACE "io.handover.Worker."

static json_t *encode_none(const struct worker_message *message)
{
	(void)message;
	return json_object();
}

static json_t *encode_status(const struct worker_message *message)
{
	const char *status = message->status;
	size_t n_bytes = json_text_fit(status, strlen(status), WORKER_STATUS_MAX_BYTES);
	return json_pack("{s:o}", "status", json_text(status, n_bytes));
}

static json_t *encode_draining(const struct worker_message *message)
{
	return json_pack("{s:I}", "open", (json_int_t)message->open);
}

static json_t *encode_drain(const struct worker_message *message)
{
	if (message->deadline_usec > INT64_MAX)
		return json_object();
	return json_pack("{s:I}", "deadline_usec", (json_int_t)message->deadline_usec);
}

static int decode_none(json_t *parameters, struct worker_message *message, struct error *error)
{
	(void)parameters, (void)message, (void)error;
	return 0;
}

static int decode_status(json_t *parameters, struct worker_message *message, struct error *error)
{
	message->status = json_string_value(json_object_get(parameters, "status"));
	return message->status ? 0 : error_set(error, -EBADMSG, "status is missing or no string");
}

static int decode_draining(json_t *parameters, struct worker_message *message, struct error *error)
{
	json_t *open = json_object_get(parameters, "open");
	if (!json_is_integer(open) || json_integer_value(open) < 0)
		return error_set(error, -EBADMSG, "open is missing or no count");
	message->open = json_integer_value(open);
	return 0;
}

static int decode_drain(json_t *parameters, struct worker_message *message, struct error *error)
{
	json_t *deadline = json_object_get(parameters, "deadline_usec");
	message->deadline_usec = UINT64_MAX;
	if (!deadline || json_is_null(deadline))
		return 0;
	if (!json_is_integer(deadline) || json_integer_value(deadline) < 0)
		return error_set(error, -EBADMSG, "deadline_usec is no time");
	message->deadline_usec = (uint64_t)json_integer_value(deadline);
	return 0;
}

static const struct message_kind {
	const char *method;
	json_t *(*encode)(const struct worker_message *message);
	int (*decode)(json_t *parameters, struct worker_message *message, struct error *error);
} KINDS[WORKER_MESSAGE_TYPES] = {
	[WORKER_MESSAGE_READY] = { INTERFACE "Ready", encode_none, decode_none },
	[WORKER_MESSAGE_STATUS] = { INTERFACE "Status", encode_status, decode_status },
	[WORKER_MESSAGE_DRAINING] = { INTERFACE "Draining", encode_draining, decode_draining },
	[WORKER_MESSAGE_WATCHDOG] = { INTERFACE "Watchdog", encode_none, decode_none },
	[WORKER_MESSAGE_SERVE] = { INTERFACE "Serve", encode_none, decode_none },
	[WORKER_MESSAGE_DRAIN] = { INTERFACE "Drain", encode_drain, decode_drain },
	[WORKER_MESSAGE_RESUME] = { INTERFACE "Resume", encode_none, decode_none },
};

json_t *worker_message_encode(const struct worker_message *message)
{
	assert(message->type < WORKER_MESSAGE_TYPES);
	const struct message_kind *kind = &KINDS[message->type];
	json_auto_t *parameters = kind->encode(message);
	if (!parameters)
		return NULL;
	struct envelope_call call = { .method = kind->method, .parameters = parameters };
	return envelope_encode_call(&call);
}

int worker_message_decode(json_t *json, struct worker_message *ret_message, struct error *error)
{
	struct envelope_call call;
	int r = envelope_decode_call(json, &call, error);
	if (r < 0)
		return r;
	if (call.more || call.upgrade)
		return error_set(error, -EBADMSG, "%s asks for an answer, and gets none",
				 call.method);
	for (size_t i = 0; i < ARRAY_SIZE(KINDS); i++) {
		if (strcmp(call.method, KINDS[i].method) != 0)
			continue;
		struct worker_message message = { .type = (enum worker_message_type)i };
		r = KINDS[i].decode(call.parameters, &message, error);
		if (r < 0)
			return error_prefix(error, r, "%s", call.method);
		*ret_message = message;
		return 0;
	}
	return error_set(error, -EOPNOTSUPP, "unknown message %s", call.method);
}
