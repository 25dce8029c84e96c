#include "supervisor/report.h"

#include <stdio.h>
#include <string.h>

#include "proto/base.h"
#include "proto/json_text.h"
#include "supervisor/clock.h"
#include "supervisor/listener.h"
#include "supervisor/spec.h"
#include "supervisor/supervisor.h"

/* Of a generation's command line; more is cut. */
enum { COMMAND_SHOWN_MAX_BYTES = 4096 };

static json_t *text(const char *bytes)
{
	return json_text(bytes, strlen(bytes));
}

static json_t *usec(uint64_t value)
{
	return json_integer((json_int_t)value);
}

static json_t *integer_or_null(int64_t value)
{
	return value < 0 ? json_null() : json_integer(value);
}

static json_t *worker_json(const struct worker *worker)
{
	return json_pack("{s:i, s:i, s:i, s:s, s:s, s:o, s:o, s:o, s:o}", "slot",
			 (int)worker->slot->number, "generation", (int)worker->generation->number,
			 "pid", (int)worker->pid, "state", worker_state_name(worker->state), "kind",
			 worker_kind_name(worker->kind), "started_usec", usec(worker->started_usec),
			 "since_usec", usec(worker->since_usec), "deadline_usec",
			 worker->deadline_usec ? usec(worker->deadline_usec) : json_null(),
			 "status", worker->status ? text(worker->status) : json_null());
}

json_t *report_workers(const struct supervisor *supervisor)
{
	json_t *workers = json_array();
	for (size_t i = 0; i < supervisor->slots.n_items; i++)
		for (const struct worker *w = supervisor->slots.items[i]->workers; w; w = w->next)
			json_array_append_new(workers, worker_json(w));
	return json_pack("{s:o}", "workers", workers);
}

/* A reply is one message, and each may only be so long (proto/limits.h). */
static json_t *command_json(char **argv)
{
	json_t *command = json_array();
	size_t room = COMMAND_SHOWN_MAX_BYTES;
	for (char **argument = argv; *argument; argument++) {
		size_t n = strlen(*argument), shown = json_text_fit(*argument, n, room);
		json_array_append_new(command, json_text(*argument, shown));
		if (n >= room) {
			json_array_append_new(command, json_string("…"));
			break;
		}
		room -= n + 1;
	}
	return command;
}

static json_t *generation_json(const struct generation *generation)
{
	json_t *command = command_json(generation->spec->argv);
	return json_pack("{s:i, s:s, s:o, s:i, s:o, s:o}", "generation", (int)generation->number,
			 "state", generation_state_name(generation->state), "since_usec",
			 usec(generation->since_usec), "workers", (int)generation->n_workers,
			 "executable", text(generation->spec->executable.path), "command", command);
}

static json_t *transition_json(const struct transition *transition)
{
	if (!transition)
		return json_null();
	return json_pack("{s:s, s:s, s:i, s:o}", "kind", transition_kind_name(transition->kind),
			 "phase", transition_state_name(transition->state), "generation",
			 (int)transition->incoming_number, "since_usec",
			 usec(transition->started_usec));
}

static json_t *outcome_json(const struct outcome *outcome)
{
	if (!outcome->any)
		return json_null();
	return json_pack("{s:s, s:s, s:i, s:o, s:o, s:o}", "kind",
			 transition_kind_name(outcome->kind), "phase",
			 outcome->done ? "done" : "failed", "generation", (int)outcome->generation,
			 "since_usec", usec(outcome->since_usec), "reason",
			 outcome->done ? json_null() : text(outcome->reason.text), "took_usec",
			 usec(outcome->took_usec));
}

static const char *const state_names[] = {
	[SUPERVISOR_STARTING] = "starting",
	[SUPERVISOR_SERVING] = "serving",
	[SUPERVISOR_STOPPING] = "stopping",
};

/* The slots that are meant to serve: those of the generation that does, or is about to. */
static unsigned slots_meant(const struct supervisor *supervisor)
{
	const struct generation *serving = generations_find(&supervisor->generations,
							    GENERATION_SERVING);
	return serving ? serving->spec->n_slots : supervisor->config->worker.count;
}

json_t *report_status(const struct supervisor *supervisor)
{
	const struct generation *serving = generations_find(&supervisor->generations,
							    GENERATION_SERVING);
	json_t *generations = json_array();
	for (const struct generation *g = supervisor->generations.newest; g; g = g->older)
		json_array_append_new(generations, generation_json(g));
	return json_pack(
		"{s:s, s:s, s:i, s:s, s:o, s:o, s:i, s:i, s:o, s:o, s:o, s:i, s:o}", "name",
		supervisor->config->name, "version", HANDOVER_VERSION, "pid", (int)getpid(),
		"state", state_names[supervisor->state], "since_usec", usec(supervisor->since_usec),
		"serving", serving ? json_integer(serving->number) : json_null(), "slots",
		(int)slots_meant(supervisor), "slots_serving",
		(int)slots_n_serving(&supervisor->slots), "generations", generations, "transition",
		transition_json(supervisor->transition), "last", outcome_json(&supervisor->last),
		"crashes", (int)supervisor->crashes, "last_crash",
		supervisor->crashes ? text(supervisor->last_crash.text) : json_null());
}

static json_t *shard_json(const struct endpoint *endpoint, size_t index)
{
	const struct shard *shard = &endpoint->shards[index];
	char address[ADDRESS_TEXT_MAX];
	struct shard_figures figures;
	shard_figures(shard, &figures);
	address_format(&endpoint->address, address);
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:b}", "slot",
			 endpoint->sharded ? json_integer((json_int_t)index) : json_null(),
			 "address", text(address), "queue", integer_or_null(figures.queue),
			 "queue_limit", integer_or_null(figures.queue_limit), "drops",
			 integer_or_null(figures.drops), "parked", (int)shard->parked);
}

static json_t *listener_json(const struct listener *listener)
{
	json_t *shards = json_array();
	bool sharded = false;
	for (size_t e = 0; e < listener->n_endpoints; e++) {
		const struct endpoint *endpoint = &listener->endpoints[e];
		sharded |= endpoint->sharded;
		for (size_t i = 0; i < endpoint->n_shards; i++)
			json_array_append_new(shards, shard_json(endpoint, i));
	}
	return json_pack("{s:s, s:s, s:b, s:o}", "name", listener->name, "source",
			 listener->source == LISTENER_SYSTEMD ? "systemd" : "bound", "sharded",
			 (int)sharded, "shards", shards);
}

json_t *report_listeners(const struct supervisor *supervisor)
{
	json_t *listeners = json_array();
	for (size_t i = 0; i < supervisor->listeners->n_items; i++)
		json_array_append_new(listeners, listener_json(&supervisor->listeners->items[i]));
	return json_pack("{s:o}", "listeners", listeners);
}

const char *report_line(const struct supervisor *supervisor, char line[static REPORT_LINE_MAX])
{
	const struct generation *serving = generations_find(&supervisor->generations,
							    GENERATION_SERVING);
	size_t n_draining = generations_n_draining(&supervisor->generations);
	char draining[64] = "", under_way[96] = "";
	if (n_draining)
		snprintf(draining, sizeof(draining), "; %zu generation%s drain%s", n_draining,
			 n_draining == 1 ? "" : "s", n_draining == 1 ? "s" : "");
	if (supervisor->transition)
		snprintf(under_way, sizeof(under_way), "; generation %u is %s",
			 supervisor->transition->incoming_number,
			 transition_state_name(supervisor->transition->state));
	if (supervisor->state == SUPERVISOR_STOPPING)
		snprintf(line, REPORT_LINE_MAX, "stopping: %zu workers drain",
			 slots_n_workers(&supervisor->slots));
	else if (serving)
		snprintf(line, REPORT_LINE_MAX, "generation %u: %zu of %u slots serve%s%s",
			 serving->number, slots_n_serving(&supervisor->slots),
			 slots_meant(supervisor), under_way, draining);
	else
		snprintf(line, REPORT_LINE_MAX, "no generation serves yet%s%s", under_way,
			 draining);
	return line;
}
