#include "proto/envelope.h"

#include "proto/limits.h"

static bool is_within_depth(const json_t *value, unsigned int depth)
{
	const char *key;
	json_t *item;
	size_t index;

	if (!json_is_object(value) && !json_is_array(value))
		return true;
	if (depth == 0)
		return false;
	json_object_foreach((json_t *)(uintptr_t)value, key, item)
	{
		if (!is_within_depth(item, depth - 1))
			return false;
	}
	json_array_foreach(value, index, item)
	{
		if (!is_within_depth(item, depth - 1))
			return false;
	}
	return true;
}

static int error_from_json(struct error *error, const json_error_t *json_error)
{
	/* Some allocations of jansson fail without a word. */
	if (json_error_code(json_error) == json_error_out_of_memory || !json_error->text[0])
		return error_set(error, -ENOMEM, "out of memory");
	return error_set(error, -EBADMSG, "%s", json_error->text);
}

int envelope_parse(const char *bytes, size_t n_bytes, json_t **ret_message, struct error *error)
{
	json_error_t json_error = { .text = "" };
	json_auto_t *message = json_loadb(bytes, n_bytes, JSON_REJECT_DUPLICATES, &json_error);
	if (!message)
		return error_from_json(error, &json_error);
	if (!json_is_object(message))
		return error_set(error, -EBADMSG, "not an object");
	if (!is_within_depth(message, MESSAGE_MAX_DEPTH))
		return error_set(error, -EBADMSG, "nested deeper than %d levels",
				 MESSAGE_MAX_DEPTH);
	*ret_message = TAKE_PTR(message);
	return 0;
}

/* `null` is what some clients send for no parameters. */
static int check_parameters(json_t **parameters, struct error *error)
{
	if (json_is_null(*parameters))
		*parameters = NULL;
	if (*parameters && !json_is_object(*parameters))
		return error_set(error, -EBADMSG, "parameters is not an object");
	return 0;
}

int envelope_decode_call(json_t *message, struct envelope_call *ret_call, struct error *error)
{
	json_error_t json_error = { .text = "" };
	const char *method = NULL;
	json_t *parameters = NULL;
	int oneway = 0, more = 0, upgrade = 0;

	if (json_unpack_ex(message, &json_error, JSON_STRICT, "{s:s, s?o, s?b, s?b, s?b}", "method",
			   &method, "parameters", &parameters, "oneway", &oneway, "more", &more,
			   "upgrade", &upgrade) < 0)
		return error_from_json(error, &json_error);
	if (oneway && more)
		return error_set(error, -EBADMSG, "oneway and more exclude each other");
	int r = check_parameters(&parameters, error);
	if (r < 0)
		return r;
	*ret_call = (struct envelope_call){
		.method = method,
		.parameters = parameters,
		.oneway = oneway,
		.more = more,
		.upgrade = upgrade,
	};
	return 0;
}

int envelope_decode_reply(json_t *message, struct envelope_reply *ret_reply, struct error *error)
{
	json_error_t json_error = { .text = "" };
	const char *name = NULL;
	json_t *parameters = NULL;
	int continues = 0;

	if (json_unpack_ex(message, &json_error, JSON_STRICT, "{s?s, s?o, s?b}", "error", &name,
			   "parameters", &parameters, "continues", &continues) < 0)
		return error_from_json(error, &json_error);
	if (name && continues)
		return error_set(error, -EBADMSG, "an error cannot continue");
	int r = check_parameters(&parameters, error);
	if (r < 0)
		return r;
	*ret_reply = (struct envelope_reply){
		.error = name,
		.parameters = parameters,
		.continues = continues,
	};
	return 0;
}

/* `*` after a format leaves out the key of a NULL value: what is false is not said. */
static json_t *true_or_nothing(bool value)
{
	return value ? json_true() : NULL;
}

json_t *envelope_encode_call(const struct envelope_call *call)
{
	return json_pack("{s:s, s:O*, s:o*, s:o*, s:o*}", "method", call->method, "parameters",
			 call->parameters, "oneway", true_or_nothing(call->oneway), "more",
			 true_or_nothing(call->more), "upgrade", true_or_nothing(call->upgrade));
}

json_t *envelope_encode_reply(const struct envelope_reply *reply)
{
	json_auto_t *empty = reply->parameters ? NULL : json_object();
	return json_pack("{s:s*, s:O, s:o*}", "error", reply->error, "parameters",
			 reply->parameters ? reply->parameters : empty, "continues",
			 true_or_nothing(reply->continues));
}
