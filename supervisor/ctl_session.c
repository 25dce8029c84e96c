#include "supervisor/ctl_session.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/limits.h"
#include "supervisor/ctl_text.h"

void session_print_json(json_t *object)
{
	(void)json_dumpf(object, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	(void)fputc('\n', stdout);
	(void)fflush(stdout);
}

static void print_json_error(const char *name, json_t *parameters)
{
	json_t *object = json_pack("{s:s, s:O}", "error", name, "parameters", parameters);
	if (object)
		session_print_json(object);
	json_decref(object);
}

enum exit_status session_fail(const struct request *request, enum exit_status status,
			      const char *error_name, const char *format, ...)
{
	struct error error;
	va_list arguments;
	va_start(arguments, format);
	(void)vsnprintf(error.text, sizeof(error.text), format, arguments);
	va_end(arguments);

	if (request->json) {
		json_t *parameters = json_pack("{s:s}", "detail", error.text);
		if (parameters)
			print_json_error(error_name, parameters);
		json_decref(parameters);
	} else {
		(void)fputs("handoverctl: ", stderr);
		(void)text_print(stderr, error.text, SIZE_MAX);
		(void)fputc('\n', stderr);
	}
	return status;
}

static enum exit_status connect_failed(const struct session *session, int r,
				       const struct error *error)
{
	const struct request *request = session->request;

	switch (r) {
	case -ENOENT:
	case -ENOTDIR:
	case -ECONNREFUSED:
		return session_fail(request, EXIT_NO_SUPERVISOR, "io.handover.ctl.NoSupervisor",
				    "no supervisor listens at %s (%s); is handoverd running? "
				    "`handoverctl list` shows those that are",
				    session->socket_path, strerror(-r));
	case -EACCES:
	case -EPERM:
		return session_fail(request, EXIT_NOT_PERMITTED, "io.handover.ctl.NotPermitted",
				    "not permitted to connect to %s: only root and the user that "
				    "the supervisor runs as may",
				    session->socket_path);
	case -ENAMETOOLONG:
		return session_fail(request, EXIT_USAGE, "io.handover.ctl.Failed", "%s",
				    error->text);
	default:
		return session_fail(request, EXIT_FAILED, "io.handover.ctl.Failed", "%s",
				    error->text);
	}
}

static enum exit_status talk_failed(const struct session *session, int r)
{
	const struct request *request = session->request;
	const char *path = session->socket_path;

	switch (r) {
	case -ETIMEDOUT:
		return session_fail(request, EXIT_FAILED, "io.handover.ctl.NoAnswer",
				    "the supervisor at %s does not answer: it is stopped or hung",
				    path);
	case -ECONNRESET:
	case -EPIPE:
		return session_fail(request, EXIT_FAILED, "io.handover.ctl.NoAnswer",
				    "the supervisor at %s closed the connection before its answer "
				    "was complete; its log says more",
				    path);
	case -EMSGSIZE:
		return session_fail(request, EXIT_FAILED, "io.handover.ctl.Failed",
				    "the answer of the supervisor at %s is longer than the %d KiB "
				    "that handoverctl reads",
				    path, CONTROL_MESSAGE_MAX_BYTES / 1024);
	case -EBADMSG:
		return session_fail(request, EXIT_FAILED, "io.handover.ctl.NoAnswer",
				    "what listens at %s does not speak Varlink; is it a "
				    "supervisor's control socket?",
				    path);
	default:
		return session_fail(request, EXIT_FAILED, "io.handover.ctl.Failed",
				    "talking to %s: %s", path, strerror(-r));
	}
}

static enum exit_status choose(struct session *session)
{
	const struct request *request = session->request;
	const struct instance *instance;
	struct error error;

	int r = instances_find(&session->instances);
	if (r < 0)
		return session_fail(request, EXIT_FAILED, "io.handover.ctl.Failed", "%s",
				    strerror(-r));
	r = instances_choose(&session->instances, request->name, &instance, &error);
	if (r == -ENOTUNIQ)
		return session_fail(request, EXIT_USAGE, "io.handover.ctl.Ambiguous", "%s",
				    error.text);
	if (r < 0)
		return session_fail(request, EXIT_NO_SUPERVISOR, "io.handover.ctl.NoSupervisor",
				    "%s", error.text);
	session->name = instance->name;
	session->socket_path = instance->socket_path;
	return EXIT_DONE;
}

enum exit_status session_open(struct session *session, const struct request *request)
{
	*session = (struct session){
		.request = request,
		.name = request->name ? request->name : "supervisor",
		.socket_path = request->socket_path,
	};
	if (!session->socket_path) {
		enum exit_status status = choose(session);
		if (status != EXIT_DONE)
			return status;
	}
	struct error error = { 0 };
	int r = varlink_client_connect(session->socket_path, &session->client, &error);
	if (r == -ETIMEDOUT)
		return talk_failed(session, r);
	return r < 0 ? connect_failed(session, r, &error) : EXIT_DONE;
}

void session_finish(struct session *session)
{
	varlink_client_free(session->client);
	instances_finish(&session->instances);
}

enum exit_status session_call(struct session *session, const char *method, json_t *parameters,
			      bool more)
{
	int r = varlink_client_call(session->client, method, parameters, more);
	/* Whoever closes at once may have said why before: the reply is read all the same. */
	return r < 0 && r != -EPIPE && r != -ECONNRESET ? talk_failed(session, r) : EXIT_DONE;
}

enum exit_status session_receive(struct session *session, int timeout_ms,
				 struct varlink_reply *ret_reply)
{
	CLEANUP(varlink_reply_finish) struct varlink_reply reply = { 0 };
	int r = varlink_client_receive(session->client, timeout_ms, &reply);
	if (r < 0)
		return talk_failed(session, r);
	if (!reply.error) {
		*ret_reply = reply;
		reply = (struct varlink_reply){ 0 };
		return EXIT_DONE;
	}
	if (session->request->json) {
		print_json_error(reply.error, reply.parameters);
	} else {
		(void)fflush(stdout); /* what led to it comes first */
		(void)fputs("handoverctl: ", stderr);
		error_reply_print(stderr, reply.error, reply.parameters);
	}
	return error_reply_status(reply.error);
}

enum exit_status session_ask(struct session *session, const char *method, json_t *parameters,
			     struct varlink_reply *ret_reply)
{
	enum exit_status status = session_call(session, method, parameters, false);
	if (status == EXIT_DONE)
		status = session_receive(session, SESSION_TIMEOUT_MS, ret_reply);
	if (status == EXIT_DONE && session->request->json)
		session_print_json(ret_reply->parameters);
	return status;
}
