/* What control messages ask for: one table, from which introspection is checked. */
#include <string.h>

#include "proto/base.h"
#include "proto/interface.h"
#include "proto/varlink_service.h"
#include "supervisor/clock.h"
#include "supervisor/log.h"
#include "supervisor/reload.h"
#include "supervisor/report.h"
#include "supervisor/supervisor.h"

/* An optional parameter: absent and null are the same. False when it is of another type. */
static bool get_bool(json_t *parameters, const char *name, bool *ret_value)
{
	json_t *value = json_object_get(parameters, name);
	*ret_value = json_is_true(value);
	return !value || json_is_null(value) || json_is_boolean(value);
}

static bool get_timeout(json_t *parameters, const char *name, uint64_t *ret_usec)
{
	json_t *value = json_object_get(parameters, name);
	*ret_usec = USEC_INFINITY;
	if (!value || json_is_null(value))
		return true;
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	*ret_usec = (uint64_t)json_integer_value(value);
	return true;
}

/* Answers InvalidParameter for the first parameter that is not in @known; true if it did. */
static bool refuse_unknown(struct varlink_call *call, json_t *parameters, const char *const *known)
{
	const char *name;
	json_t *value;
	json_object_foreach(parameters, name, value)
	{
		const char *const *k = known;
		while (*k && strcmp(*k, name) != 0)
			k++;
		if (!*k) {
			varlink_call_invalid_parameter(call, name);
			return true;
		}
	}
	return false;
}

static const char *const no_parameters[] = { NULL };

static void do_status(void *owner, struct varlink_call *call, json_t *parameters)
{
	if (!refuse_unknown(call, parameters, no_parameters))
		varlink_call_reply(call, report_status(owner));
}

static void do_workers(void *owner, struct varlink_call *call, json_t *parameters)
{
	if (!refuse_unknown(call, parameters, no_parameters))
		varlink_call_reply(call, report_workers(owner));
}

static void do_listeners(void *owner, struct varlink_call *call, json_t *parameters)
{
	if (!refuse_unknown(call, parameters, no_parameters))
		varlink_call_reply(call, report_listeners(owner));
}

static void do_ping(void *owner, struct varlink_call *call, json_t *parameters)
{
	(void)owner;
	if (!refuse_unknown(call, parameters, no_parameters))
		varlink_call_reply(
			call, json_pack("{s:I}", "time_usec", (json_int_t)clock_realtime_usec()));
}

static void do_reload(void *owner, struct varlink_call *call, json_t *parameters)
{
	static const char *const known[] = { "wait", "timeout_usec", NULL };
	bool wait;
	uint64_t timeout_usec;
	if (refuse_unknown(call, parameters, known))
		return;
	if (!get_bool(parameters, "wait", &wait)) {
		varlink_call_invalid_parameter(call, "wait");
		return;
	}
	if (!get_timeout(parameters, "timeout_usec", &timeout_usec)) {
		varlink_call_invalid_parameter(call, "timeout_usec");
		return;
	}
	log_info("reload asked for by pid %d (uid %u)", (int)varlink_call_peer(call)->pid,
		 (unsigned)varlink_call_peer(call)->uid);
	reload_by_call(owner, call, wait, timeout_usec);
}

static void do_abort(void *owner, struct varlink_call *call, json_t *parameters)
{
	struct supervisor *supervisor = owner;
	struct transition *transition = supervisor->transition;
	if (refuse_unknown(call, parameters, no_parameters))
		return;
	if (!transition) {
		varlink_call_error(call, "Refused",
				   json_pack("{s:s}", "reason", "no transition is under way"));
		return;
	}
	if (transition->kind == TRANSITION_START) {
		varlink_call_error(call, "Refused",
				   json_pack("{s:s}", "reason",
					     "the first start is under way: nothing to go back to "
					     "(Stop ends it)"));
		return;
	}
	unsigned generation = transition->incoming_number;
	log_notice("abort asked for by pid %d (uid %u)", (int)varlink_call_peer(call)->pid,
		   (unsigned)varlink_call_peer(call)->uid);
	transition_abort(transition, "aborted", "aborted on request");
	varlink_call_reply(call, json_pack("{s:i}", "generation", (int)generation));
}

static void do_stop(void *owner, struct varlink_call *call, json_t *parameters)
{
	static const char *const known[] = { "now", NULL };
	bool now;
	if (refuse_unknown(call, parameters, known))
		return;
	if (!get_bool(parameters, "now", &now)) {
		varlink_call_invalid_parameter(call, "now");
		return;
	}
	log_notice("stop asked for by pid %d (uid %u)", (int)varlink_call_peer(call)->pid,
		   (unsigned)varlink_call_peer(call)->uid);
	varlink_call_reply(call, NULL);
	supervisor_stop(owner, now);
}

static const struct varlink_method methods[] = {
	{ "Status", do_status }, { "Workers", do_workers }, { "Listeners", do_listeners },
	{ "Reload", do_reload }, { "Abort", do_abort },	    { "Stop", do_stop },
	{ "Ping", do_ping },
};

/* For now: who runs it, and root. */
static bool allow(void *owner, const struct varlink_peer *peer)
{
	(void)owner;
	return peer->uid == 0 || peer->uid == geteuid();
}

static void report(void *owner, const struct varlink_peer *peer, const char *text)
{
	(void)owner;
	if (peer)
		log_warning("control: pid %d (uid %u): %s", (int)peer->pid, (unsigned)peer->uid,
			    text);
	else
		log_warning("control: %s", text);
}

int commands_serve(struct supervisor *supervisor)
{
	struct varlink_service_config config = {
		.vendor = "handover",
		.product = "handoverd",
		.version = HANDOVER_VERSION,
		.url = "",
		.interface = "io.handover.Control",
		.description = control_interface,
		.methods = methods,
		.n_methods = ARRAY_SIZE(methods),
		.allow = allow,
		.report = report,
		.owner = supervisor,
	};
	return varlink_service_new(supervisor->loop, supervisor->control_fd, &config,
				   &supervisor->service);
}
