#include "proto/varlink_service_internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "proto/envelope.h"
#include "proto/limits.h"

enum { ERROR_NAME_MAX = 128 };

static const char PERMISSION_DENIED[] = VARLINK_SERVICE_INTERFACE ".PermissionDenied";
static const char INTERFACE_NOT_FOUND[] = VARLINK_SERVICE_INTERFACE ".InterfaceNotFound";
static const char METHOD_NOT_FOUND[] = VARLINK_SERVICE_INTERFACE ".MethodNotFound";
static const char METHOD_NOT_IMPLEMENTED[] = VARLINK_SERVICE_INTERFACE ".MethodNotImplemented";
static const char INVALID_PARAMETER[] = VARLINK_SERVICE_INTERFACE ".InvalidParameter";

static struct varlink_call *call_new(struct varlink_connection *connection,
				     const struct envelope_call *envelope)
{
	struct varlink_call *call = calloc(1, sizeof(*call));
	if (!call)
		return NULL;
	call->connection = connection;
	call->oneway = envelope->oneway;
	call->more = envelope->more;
	STAILQ_INSERT_TAIL(&connection->calls, call, next);
	connection->n_calls++;
	return call;
}

void varlink_call_free(struct varlink_call *call)
{
	byte_queue_finish(&call->held);
	free(call);
}

void varlink_call_cancel(struct varlink_call *call)
{
	if (!call->ended && call->cancelled)
		call->cancelled(call->data);
}

static void call_refuse(struct varlink_call *call)
{
	struct varlink_connection *connection = call->connection;
	if (!connection->refusal_reported)
		varlink_service_report(connection->service, &connection->peer, "not permitted");
	connection->refusal_reported = true;
	varlink_call_error(call, PERMISSION_DENIED, NULL);
}

static const struct varlink_method *find_method(const struct varlink_service_config *config,
						const char *name)
{
	for (size_t i = 0; i < config->n_methods; i++) {
		if (strcmp(config->methods[i].name, name) == 0)
			return &config->methods[i];
	}
	return NULL;
}

static void call_own_method(struct varlink_service *service, struct varlink_call *call,
			    const char *full_name, const char *name, json_t *parameters)
{
	const struct varlink_method *method = find_method(&service->config, name);
	if (method)
		method->handle(service->config.owner, call, parameters);
	else
		varlink_call_error_with(call, METHOD_NOT_FOUND, "method", full_name);
}

static bool is_interface(const char *method, size_t length, const char *interface)
{
	return strlen(interface) == length && memcmp(method, interface, length) == 0;
}

static void call_unknown_interface(struct varlink_call *call, const char *method, size_t length)
{
	json_t *parameters = json_pack("{s:s%}", "interface", method, length);
	varlink_call_error(call, INTERFACE_NOT_FOUND, parameters);
}

static void call_route(struct varlink_call *call, const struct envelope_call *envelope,
		       json_t *parameters)
{
	struct varlink_service *service = call->connection->service;
	const char *method = envelope->method, *dot = strrchr(method, '.');

	if (!call->connection->allowed) {
		call_refuse(call);
		return;
	}
	if (!dot || dot == method || !dot[1]) {
		varlink_call_invalid_parameter(call, "method");
		return;
	}
	if (envelope->upgrade) {
		/* What follows would be in a protocol that nobody here speaks. */
		varlink_call_error_with(call, METHOD_NOT_IMPLEMENTED, "method", method);
		return;
	}
	size_t length = (size_t)(dot - method);
	if (is_interface(method, length, service->config.interface))
		call_own_method(service, call, method, dot + 1, parameters);
	else if (is_interface(method, length, VARLINK_SERVICE_INTERFACE))
		varlink_introspection_handle(service, call, method, parameters);
	else
		call_unknown_interface(call, method, length);
}

int varlink_call_take(struct varlink_connection *connection, const char *message, size_t n_bytes,
		      struct error *error)
{
	json_auto_t *json = NULL;
	struct envelope_call envelope;

	int r = envelope_parse(message, n_bytes, &json, error);
	if (r == 0)
		r = envelope_decode_call(json, &envelope, error);
	if (r < 0)
		return r;
	json_auto_t *parameters = envelope.parameters ? json_incref(envelope.parameters)
						      : json_object();
	struct varlink_call *call = parameters ? call_new(connection, &envelope) : NULL;
	if (!call)
		return error_set(error, -ENOMEM, "out of memory");
	call_route(call, &envelope, parameters);
	return 0;
}

/* Behind what is queued already, and not before the answers to earlier calls. */
static int call_queue_reply(struct varlink_call *call, const struct envelope_reply *reply)
{
	struct varlink_connection *connection = call->connection;
	bool first = call == varlink_connection_first_call(connection);
	struct byte_queue *queue = first ? &connection->output : &call->held;
	size_t before = byte_queue_length(queue);
	const char terminator = framing_terminator(&connection->input);
	json_auto_t *message = envelope_encode_reply(reply);

	if (!message || byte_queue_append_json(queue, message) < 0 ||
	    byte_queue_append(queue, &terminator, 1) < 0)
		return -ENOMEM;
	if (!first)
		connection->n_held_bytes += byte_queue_length(queue) - before;
	return 0;
}

/* Takes over @parameters. */
static void call_answer(struct varlink_call *call, const char *error, json_t *parameters,
			bool continues)
{
	struct varlink_connection *connection = call->connection;
	json_auto_t *owned = parameters;
	struct envelope_reply reply = { error, owned, continues };

	assert(!call->ended);
	if (!call->oneway && !connection->cut && !connection->gone &&
	    call_queue_reply(call, &reply) < 0)
		varlink_connection_cut(connection, "out of memory");
	if (byte_queue_length(&connection->output) + connection->n_held_bytes >
	    CONTROL_OUTPUT_MAX_BYTES)
		varlink_connection_cut(connection, "reads too slowly");
	call->ended = !continues;
	/* A connection that is being freed walks through its calls itself. */
	if (call->ended && !connection->cut)
		varlink_connection_advance(connection);
	varlink_connection_wake(connection);
}

bool varlink_call_wants_more(const struct varlink_call *call)
{
	return call->more;
}

const struct varlink_peer *varlink_call_peer(const struct varlink_call *call)
{
	return &call->connection->peer;
}

void varlink_call_keep(struct varlink_call *call, void (*cancelled)(void *data), void *data)
{
	assert(cancelled);
	call->cancelled = cancelled;
	call->data = data;
}

void varlink_call_continue(struct varlink_call *call, json_t *parameters)
{
	if (call->more)
		call_answer(call, NULL, parameters, true);
	else
		json_decref(parameters);
}

void varlink_call_reply(struct varlink_call *call, json_t *parameters)
{
	call_answer(call, NULL, parameters, false);
}

void varlink_call_error(struct varlink_call *call, const char *error, json_t *parameters)
{
	char name[ERROR_NAME_MAX];
	int length = 0;

	if (!strchr(error, '.')) {
		const char *interface = call->connection->service->config.interface;
		length = snprintf(name, sizeof(name), "%s.%s", interface, error);
		error = name;
	}
	assert(length >= 0 && length < ERROR_NAME_MAX);
	call_answer(call, error, parameters, false);
}

void varlink_call_error_with(struct varlink_call *call, const char *error, const char *name,
			     const char *value)
{
	varlink_call_error(call, error, json_pack("{s:s}", name, value));
}

void varlink_call_invalid_parameter(struct varlink_call *call, const char *parameter)
{
	varlink_call_error_with(call, INVALID_PARAMETER, "parameter", parameter);
}
