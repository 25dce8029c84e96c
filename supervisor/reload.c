#include "supervisor/reload.h"

#include <assert.h>
#include <string.h>

#include "proto/base.h"
#include "proto/json_text.h"
#include "proto/varlink_service.h"
#include "supervisor/clock.h"
#include "supervisor/listener.h"
#include "supervisor/listener_watch.h"
#include "supervisor/log.h"
#include "supervisor/report.h"
#include "supervisor/spec.h"
#include "supervisor/supervisor.h"
#include "supervisor/systemd.h"

/* Requests that wait for their turn; one more is refused. */
enum { RELOAD_QUEUE_MAX = 64 };

struct reload_request {
	struct supervisor *supervisor;
	struct reload_request *next;
	struct varlink_call *call; /* NULL: a signal, the first start, or the caller has gone */
	uint64_t expires_usec;	   /* CLOCK_MONOTONIC; USEC_INFINITY: never */
	ev_timer expiry;	   /* while it waits for its turn */
};

static void reload_next(struct supervisor *supervisor);

/* Answers. */

static void request_free(struct reload_request *request)
{
	assert(!request->call);
	ev_timer_stop(request->supervisor->loop, &request->expiry);
	free(request);
}

static void request_refuse(struct reload_request *request, const char *error, json_t *parameters)
{
	if (request->call)
		varlink_call_error(TAKE_PTR(request->call), error, parameters);
	else
		json_decref(parameters);
	request_free(request);
}

static json_t *step_json(const char *step, unsigned generation, const struct worker *worker,
			 const char *detail)
{
	json_t *parameters = json_pack("{s:s}", "step", step);
	if (generation)
		json_object_set_new(parameters, "generation", json_integer(generation));
	if (worker) {
		json_object_set_new(parameters, "slot", json_integer(worker->slot->number));
		json_object_set_new(parameters, "pid", json_integer(worker->pid));
	}
	if (detail)
		json_object_set_new(parameters, "detail", json_text(detail, strlen(detail)));
	return parameters;
}

/* How it went, for `status`. */

static void reload_remember(struct supervisor *supervisor, enum transition_kind kind,
			    unsigned generation, uint64_t took_usec, const struct failure *failure)
{
	struct outcome *last = &supervisor->last;
	*last = (struct outcome){
		.any = true,
		.kind = kind,
		.done = !failure,
		.generation = generation,
		.since_usec = clock_realtime_usec(),
		.took_usec = took_usec,
	};
	if (failure)
		last->reason = failure->detail;
}

static void reload_tell_systemd(struct supervisor *supervisor, const struct failure *failure)
{
	char line[REPORT_LINE_MAX];
	if (supervisor->state != SUPERVISOR_SERVING)
		return;
	report_line(supervisor, line);
	if (failure)
		systemd_status(supervisor->systemd, "%s; the last reload failed: %s", line,
			       failure->detail.text);
	else
		systemd_status(supervisor->systemd, "%s", line);
	systemd_ready(supervisor->systemd);
}

/* It failed before there was a generation. Takes over @request and @failure. */
static void reload_failed_early(struct reload_request *request, struct failure *failure)
{
	struct supervisor *supervisor = request->supervisor;
	bool first = supervisor->state == SUPERVISOR_STARTING;
	log_error("%s failed: %s", first ? "the first start" : "reload", failure->detail.text);
	reload_remember(supervisor, first ? TRANSITION_START : TRANSITION_RELOAD, 0, 0, failure);
	reload_tell_systemd(supervisor, failure);
	request_refuse(request, "ReloadFailed",
		       failure_json(failure, transition_state_name(TRANSITION_WAITING), 0));
	failure_finish(failure);
	if (first) {
		supervisor->exit_status = 1;
		supervisor_stop(supervisor, false);
	}
}

/* What the transition tells. */

/* After @step the next may take this long. */
static uint64_t step_timeout_usec(const struct supervisor *supervisor, enum transition_step step)
{
	const struct spec *spec = supervisor->transition->incoming->spec;
	const struct generation *oldest = generations_oldest_draining(&supervisor->generations);
	uint64_t sum;
	if (step == STEP_WAITING && oldest)
		return oldest->spec->timeout_stop_usec;
	return __builtin_add_overflow(spec->timeout_start_usec, spec->settle_usec, &sum)
		       ? USEC_INFINITY
		       : sum;
}

static void on_step(void *owner, struct transition *transition, enum transition_step step,
		    const struct worker *worker, const char *detail)
{
	struct supervisor *supervisor = owner;
	struct reload_request *request = supervisor->request;
	const char *name = transition_step_name(step);
	unsigned generation = transition->incoming_number;
	if (worker)
		log_debug("generation %u: %s: worker %u (pid %d)", generation, name,
			  worker->slot->number, (int)worker->pid);
	else if (step != STEP_DONE)
		log_info("generation %u: %s%s%s", generation, name, detail ? ": " : "",
			 detail ? detail : "");
	if (step != STEP_DONE && request->call && varlink_call_wants_more(request->call))
		varlink_call_continue(request->call, step_json(name, generation, worker, detail));
	systemd_extend_timeout(supervisor->systemd, step_timeout_usec(supervisor, step));
}

/* A reload that fails leaves in force what was. */
static void reload_adopt_config(struct supervisor *supervisor, struct config *config)
{
	supervisor->slots.service_name = config->name;
	listeners_reconfigure(supervisor->listeners, config);
	config_free(supervisor->config);
	supervisor->config = config;
	for (size_t i = 0; i < supervisor->slots.n_items; i++)
		slots_tend(supervisor->slots.items[i], NULL);
}

static void on_done(struct supervisor *supervisor, struct transition *transition,
		    struct reload_request *request)
{
	log_notice("generation %u serves (%u workers, after %.3f s)", transition->incoming_number,
		   transition->n_replaces,
		   clock_seconds(clock_monotonic_usec() - transition->began_usec));
	if (supervisor->state == SUPERVISOR_STARTING)
		supervisor->state = SUPERVISOR_SERVING;
	if (request->call)
		varlink_call_reply(TAKE_PTR(request->call),
				   step_json("done", transition->incoming_number, NULL, NULL));
	request_free(request);
	reload_tell_systemd(supervisor, NULL);
}

static void on_failed(struct supervisor *supervisor, struct transition *transition,
		      struct reload_request *request, const struct failure *failure)
{
	log_error("%s of generation %u failed while %s: %s", transition_kind_name(transition->kind),
		  transition->incoming_number, transition_state_name(transition->failed_in),
		  failure->detail.text);
	request_refuse(request, "ReloadFailed",
		       failure_json(failure, transition_state_name(transition->failed_in),
				    transition->incoming_number));
	reload_tell_systemd(supervisor, failure);
	if (supervisor->state == SUPERVISOR_STARTING) {
		supervisor->exit_status = 1;
		supervisor_stop(supervisor, false);
	}
}

static void on_ended(void *owner, struct transition *transition, struct failure *failure)
{
	struct supervisor *supervisor = owner;
	struct reload_request *request = TAKE_PTR(supervisor->request);
	CLEANUP(config_freep) struct config *config = TAKE_PTR(supervisor->incoming_config);
	supervisor->transition = NULL;
	if (config && !failure)
		reload_adopt_config(supervisor, TAKE_PTR(config));
	reload_remember(supervisor, transition->kind, transition->incoming_number,
			clock_monotonic_usec() - transition->began_usec, failure);
	if (failure)
		on_failed(supervisor, transition, request, failure);
	else
		on_done(supervisor, transition, request);
	reload_next(supervisor);
}

static const struct transition_ops transition_ops = { .step = on_step, .ended = on_ended };

/* Running one: configuration and executable are read anew, sockets grown, a transition begun. */

static int reload_make_room(struct supervisor *supervisor, size_t n_slots, struct error *error)
{
	int r = listeners_grow(supervisor->listeners, n_slots, error);
	if (r < 0)
		return r;
	r = listener_watch_refresh(supervisor->listener_watch);
	if (r < 0)
		return error_set(error, r, "cannot watch the new shards: %s", strerror(-r));
	r = slots_grow(&supervisor->slots, n_slots);
	return r < 0 ? error_set(error, r, "out of memory") : 0;
}

static int reload_begin(struct reload_request *request, const struct config *config,
			enum transition_kind kind, struct failure *failure)
{
	struct supervisor *supervisor = request->supervisor;
	CLEANUP(spec_freep) struct spec *spec = NULL;
	struct error error;
	if (spec_freeze(config, &spec, &error) < 0) {
		failure_init(failure, "exec", "%s", error.text);
		return -EINVAL;
	}
	if (reload_make_room(supervisor, spec->n_slots, &error) < 0) {
		failure_init(failure, "listener", "%s", error.text);
		return -EINVAL;
	}
	uint64_t now_usec = clock_monotonic_usec(), expires_usec = request->expires_usec;
	struct transition_plan plan = {
		.kind = kind,
		.slots = &supervisor->slots,
		.generations = &supervisor->generations,
		.max_draining = config->worker.max_draining,
		.max_draining_action = config->worker.max_draining_action,
		.timeout_usec = expires_usec == USEC_INFINITY ? USEC_INFINITY
				: expires_usec > now_usec     ? expires_usec - now_usec
							      : 0,
	};
	supervisor->request = request;
	if (transition_begin(&plan, spec, &transition_ops, supervisor, &supervisor->transition,
			     &error) < 0) {
		supervisor->request = NULL;
		failure_init(failure, "memory", "%s", error.text);
		return -ENOMEM;
	}
	TAKE_PTR(spec);
	return 0;
}

/* Reads the configuration. On failure @request is answered and freed, and NULL returned. */
static struct config *reload_read(struct reload_request *request)
{
	struct supervisor *supervisor = request->supervisor;
	CLEANUP(config_freep) struct config *config = NULL;
	CLEANUP(problems_finish) struct problems problems = { 0 };
	struct failure failure;
	if (config_load(supervisor->sources, &config, &problems) < 0) {
		json_t *lines = json_array();
		for (size_t i = 0; i < problems.n_lines; i++) {
			const char *line = problems.lines[i];
			log_error("%s", line);
			json_array_append_new(lines, json_text(line, strlen(line)));
		}
		failure_init(&failure, "configuration", "the configuration has errors: %s",
			     problems.n_lines ? problems.lines[0] : "out of memory");
		reload_remember(supervisor, TRANSITION_RELOAD, 0, 0, &failure);
		reload_tell_systemd(supervisor, &failure);
		request_refuse(request, "ConfigurationInvalid",
			       json_pack("{s:o}", "problems", lines));
		return NULL;
	}
	if (!config_same_sockets(supervisor->config, config, &problems)) {
		for (size_t i = 1; i < problems.n_lines; i++)
			log_error("%s", problems.lines[i]);
		failure_init(&failure, "configuration", "this takes a restart, not a reload: %s",
			     problems.lines[0]);
		reload_failed_early(request, &failure);
		return NULL;
	}
	return TAKE_PTR(config);
}

static void reload_run(struct reload_request *request)
{
	struct supervisor *supervisor = request->supervisor;
	CLEANUP(config_freep) struct config *config = NULL;
	struct failure failure;
	ev_timer_stop(supervisor->loop, &request->expiry);
	systemd_reloading(supervisor->systemd);
	config = reload_read(request);
	if (!config)
		return;
	if (reload_begin(request, config, TRANSITION_RELOAD, &failure) < 0) {
		reload_failed_early(request, &failure);
		return;
	}
	supervisor->incoming_config = TAKE_PTR(config);
}

/* Requests. */

static void on_expired(EV_P_ ev_timer *timer, int revents)
{
	struct reload_request *request = container_of(timer, struct reload_request, expiry);
	struct reload_request **link = &request->supervisor->queue;
	struct failure failure;
	(void)loop, (void)revents;
	while (*link != request)
		link = &(*link)->next;
	*link = request->next;
	failure_init(&failure, "timeout", "its turn did not come before its caller's timeout");
	request_refuse(request, "ReloadFailed",
		       failure_json(&failure, transition_state_name(TRANSITION_WAITING), 0));
}

static void on_cancelled(void *data)
{
	struct reload_request *request = data;
	request->call = NULL;
}

static struct reload_request *request_new(struct supervisor *supervisor, struct varlink_call *call,
					  uint64_t timeout_usec)
{
	struct reload_request *request = calloc(1, sizeof(*request));
	if (!request)
		return NULL;
	request->supervisor = supervisor;
	request->call = call;
	request->expires_usec = timeout_usec == USEC_INFINITY
					? USEC_INFINITY
					: clock_monotonic_usec() + timeout_usec;
	ev_timer_init(&request->expiry, on_expired, clock_seconds(timeout_usec), 0);
	if (call)
		varlink_call_keep(call, on_cancelled, request);
	return request;
}

static void request_enqueue(struct reload_request *request, uint64_t timeout_usec)
{
	struct supervisor *supervisor = request->supervisor;
	struct reload_request **link = &supervisor->queue;
	while (*link)
		link = &(*link)->next;
	*link = request;
	ev_now_update(supervisor->loop);
	if (timeout_usec != USEC_INFINITY)
		ev_timer_start(supervisor->loop, &request->expiry);
	if (request->call && varlink_call_wants_more(request->call))
		varlink_call_continue(request->call, step_json("queued", 0, NULL, NULL));
}

static void reload_next(struct supervisor *supervisor)
{
	while (!supervisor->transition && supervisor->queue &&
	       supervisor->state == SUPERVISOR_SERVING) {
		struct reload_request *request = supervisor->queue;
		supervisor->queue = request->next;
		reload_run(request);
	}
}

static unsigned reload_n_queued(const struct supervisor *supervisor)
{
	unsigned n = 0;
	for (const struct reload_request *r = supervisor->queue; r; r = r->next)
		n++;
	return n;
}

void reload_first(struct supervisor *supervisor)
{
	struct failure failure;
	struct reload_request *request = request_new(supervisor, NULL, USEC_INFINITY);
	if (!request) {
		supervisor->exit_status = 1;
		supervisor_stop(supervisor, true);
		return;
	}
	if (reload_begin(request, supervisor->config, TRANSITION_START, &failure) < 0)
		reload_failed_early(request, &failure);
}

void reload_by_call(struct supervisor *supervisor, struct varlink_call *call, bool wait,
		    uint64_t timeout_usec)
{
	struct transition *transition = supervisor->transition;
	if (supervisor->state == SUPERVISOR_STOPPING) {
		varlink_call_error(call, "Refused",
				   json_pack("{s:s}", "reason", "the supervisor is stopping"));
		return;
	}
	if (transition && !wait) {
		varlink_call_error(call, "Busy",
				   json_pack("{s:i, s:s}", "generation",
					     (int)transition->incoming_number, "phase",
					     transition_state_name(transition->state)));
		return;
	}
	if (reload_n_queued(supervisor) >= RELOAD_QUEUE_MAX) {
		varlink_call_error(call, "Refused",
				   json_pack("{s:s}", "reason",
					     "too many reloads wait for their turn already"));
		return;
	}
	struct reload_request *request = request_new(supervisor, call, timeout_usec);
	if (!request) {
		varlink_call_error(call, "Refused", json_pack("{s:s}", "reason", "out of memory"));
		return;
	}
	if (transition)
		request_enqueue(request, timeout_usec);
	else
		reload_run(request);
}

void reload_by_signal(struct supervisor *supervisor)
{
	for (struct reload_request *r = supervisor->queue; r; r = r->next)
		if (!r->call)
			return; /* one more is remembered already */
	struct reload_request *request = request_new(supervisor, NULL, USEC_INFINITY);
	if (!request) {
		log_error("no memory for a reload");
		return;
	}
	if (!supervisor->transition) {
		reload_run(request);
		return;
	}
	log_notice("a reload is asked for while generation %u is %s: it will follow",
		   supervisor->transition->incoming_number,
		   transition_state_name(supervisor->transition->state));
	request_enqueue(request, USEC_INFINITY);
}

void reload_stop(struct supervisor *supervisor)
{
	while (supervisor->queue) {
		struct reload_request *request = supervisor->queue;
		supervisor->queue = request->next;
		request_refuse(request, "Refused",
			       json_pack("{s:s}", "reason", "the supervisor is stopping"));
	}
	if (supervisor->transition)
		transition_abort(supervisor->transition, "stopped", "the supervisor is stopping");
}
