#include "supervisor/ctl_screen.h"

#include <inttypes.h>
#include <string.h>

#include "supervisor/ctl_table.h"
#include "supervisor/ctl_text.h"

static const char GOOD[] = "\033[32m", BAD[] = "\033[1;31m", BUSY[] = "\033[33m";

enum { LABEL_COLUMNS = 12 };

const char *reply_string(json_t *object, const char *key, const char *otherwise)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : otherwise;
}

int64_t reply_integer(json_t *object, const char *key, int64_t otherwise)
{
	json_t *number = json_object_get(object, key);
	return json_is_integer(number) ? json_integer_value(number) : otherwise;
}

/* What comes from the other side goes through text_print(), whatever it is. */
static void put(const struct screen *screen, const char *text)
{
	(void)text_print(screen->out, text, SIZE_MAX);
}

static void put_coloured(const struct screen *screen, const char *colour, const char *text)
{
	(void)fputs(screen->colour ? colour : "", screen->out);
	put(screen, text);
	(void)fputs(screen->colour ? "\033[0m" : "", screen->out);
}

static void put_label(const struct screen *screen, const char *label)
{
	(void)fprintf(screen->out, "%-*s", LABEL_COLUMNS, label);
}

static const char *plural(int64_t count)
{
	return count == 1 ? "" : "s";
}

/* Since when the serving generation serves, or the supervisor is as it is. */
static int64_t verdict_since(json_t *status, int64_t serving)
{
	size_t i;
	json_t *generation;
	json_array_foreach(json_object_get(status, "generations"), i,
			   generation) if (reply_integer(generation, "generation", -1) ==
					   serving) return reply_integer(generation, "since_usec",
									 0);
	return reply_integer(status, "since_usec", 0);
}

void screen_verdict(const struct screen *screen, json_t *status)
{
	const char *state = reply_string(status, "state", "unknown");
	int64_t serving = reply_integer(status, "serving", 0);
	int64_t slots = reply_integer(status, "slots", 0);
	int64_t live = reply_integer(status, "slots_serving", 0);
	char elapsed[DURATION_TEXT_MAX];
	(void)text_elapsed(screen->now_usec, verdict_since(status, serving), elapsed);

	if (strcmp(state, "serving") != 0) {
		put_coloured(screen, BUSY, state);
		(void)fprintf(screen->out, " — %" PRId64 " of %" PRId64 " slot%s serve, for %s",
			      live, slots, plural(slots), elapsed);
	} else if (live < slots) {
		put_coloured(screen, BAD, live > 0 ? "DEGRADED" : "DOWN");
		(void)fprintf(screen->out, " — %" PRId64 " of %" PRId64 " slot%s serve%s", live,
			      slots, plural(slots), live > 0 ? "" : ", connections wait");
		if (serving > 0)
			(void)fprintf(screen->out, " (generation %" PRId64 ", for %s)", serving,
				      elapsed);
	} else {
		put_coloured(screen, GOOD, state);
		(void)fprintf(screen->out,
			      " — generation %" PRId64 ", %" PRId64 " of %" PRId64
			      " worker%s, for %s",
			      serving, live, slots, plural(slots), elapsed);
	}
}

static void show_command(const struct screen *screen, json_t *generation)
{
	size_t i;
	json_t *argument, *command = json_object_get(generation, "command");
	/* argv[0] may be anything; what runs is the executable. */
	put(screen, reply_string(generation, "executable", "?"));
	json_array_foreach(command, i, argument)
	{
		if (i == 0)
			continue;
		(void)fputc(' ', screen->out);
		put(screen, json_is_string(argument) ? json_string_value(argument) : "?");
	}
}

static void show_generation(const struct screen *screen, json_t *generation, const char *label)
{
	char elapsed[DURATION_TEXT_MAX];
	const char *state = reply_string(generation, "state", "unknown");
	int64_t workers = reply_integer(generation, "workers", 0);

	put_label(screen, label);
	(void)fprintf(screen->out, "%" PRId64 " ", reply_integer(generation, "generation", 0));
	put_coloured(screen,
		     !strcmp(state, "serving")	 ? GOOD
		     : !strcmp(state, "aborted") ? BAD
						 : BUSY,
		     state);
	(void)fprintf(
		screen->out, " for %s, %" PRId64 " worker%s: ",
		text_elapsed(screen->now_usec, reply_integer(generation, "since_usec", 0), elapsed),
		workers, plural(workers));
	show_command(screen, generation);
	(void)fputc('\n', screen->out);
}

static void show_transition(const struct screen *screen, json_t *transition, const char *label,
			    bool over)
{
	const char *phase = reply_string(transition, "phase", "unknown");
	const char *reason = reply_string(transition, "reason", NULL);
	int64_t took_usec = reply_integer(transition, "took_usec", -1);
	bool failed = !strcmp(phase, "failed");
	char text[DURATION_TEXT_MAX];

	put_label(screen, label);
	put(screen, reply_string(transition, "kind", "transition"));
	(void)fprintf(screen->out, " to generation %" PRId64 " ",
		      reply_integer(transition, "generation", 0));
	put_coloured(screen, failed ? BAD : over ? GOOD : BUSY, failed ? "FAILED" : phase);
	(void)fprintf(
		screen->out, over ? " %s ago" : " for %s",
		text_elapsed(screen->now_usec, reply_integer(transition, "since_usec", 0), text));
	if (took_usec >= 0)
		(void)fprintf(screen->out, ", took %s", text_duration((uint64_t)took_usec, text));
	if (reason) {
		(void)fputs(": ", screen->out);
		put(screen, reason);
	}
	(void)fputc('\n', screen->out);
}

void screen_status(const struct screen *screen, json_t *status)
{
	size_t i;
	json_t *generation, *transition = json_object_get(status, "transition"),
			    *last = json_object_get(status, "last");
	char elapsed[DURATION_TEXT_MAX];

	put(screen, reply_string(status, "name", "?"));
	(void)fputs(": ", screen->out);
	screen_verdict(screen, status);
	(void)fputs("\n\n", screen->out);

	json_array_foreach(json_object_get(status, "generations"), i, generation)
		show_generation(screen, generation, i == 0 ? "generation" : "");
	if (json_is_object(transition))
		show_transition(screen, transition, "now", false);
	if (json_is_object(last))
		show_transition(screen, last, "last", true);

	int64_t crashes = reply_integer(status, "crashes", 0);
	put_label(screen, "crashes");
	(void)fprintf(screen->out, "%" PRId64, crashes);
	const char *last_crash = reply_string(status, "last_crash", NULL);
	if (crashes > 0 && last_crash) {
		(void)fputs(", last: ", screen->out);
		put(screen, last_crash);
	}
	(void)fputc('\n', screen->out);

	put_label(screen, "supervisor");
	(void)fprintf(screen->out, "pid %" PRId64 ", version ", reply_integer(status, "pid", 0));
	put(screen, reply_string(status, "version", "?"));
	(void)fprintf(
		screen->out, ", up %s\n",
		text_elapsed(screen->now_usec, reply_integer(status, "since_usec", 0), elapsed));
}

/* A number, or a dash where the other side does not tell. */
static void add_number(struct table *table, json_t *object, const char *key, const char *otherwise)
{
	json_t *number = json_object_get(object, key);
	if (json_is_integer(number))
		table_add(table, "%" PRId64, (int64_t)json_integer_value(number));
	else
		table_add(table, "%s", otherwise);
}

static void add_worker(struct table *table, json_t *worker, uint64_t now_usec)
{
	char text[DURATION_TEXT_MAX];
	int64_t deadline_usec = reply_integer(worker, "deadline_usec", 0);

	add_number(table, worker, "slot", "-");
	add_number(table, worker, "generation", "-");
	add_number(table, worker, "pid", "-");
	table_add(table, "%s", reply_string(worker, "state", "-"));
	table_add(table, "%s",
		  text_elapsed(now_usec, reply_integer(worker, "since_usec", 0), text));
	table_add(table, "%s", reply_string(worker, "kind", "-"));
	table_add(table, "%s",
		  text_elapsed(now_usec, reply_integer(worker, "started_usec", 0), text));
	if (deadline_usec > 0) {
		uint64_t deadline = (uint64_t)deadline_usec;
		table_add(table, "in %s",
			  text_duration(deadline > now_usec ? deadline - now_usec : 0, text));
	} else {
		table_add(table, "-");
	}
	table_add(table, "%s", reply_string(worker, "status", "-"));
}

int screen_workers(const struct screen *screen, json_t *reply)
{
	static const struct table_column columns[] = {
		{ "SLOT", true },   { "GENERATION", true }, { "PID", true },
		{ "STATE", false }, { "FOR", true },	    { "KIND", false },
		{ "AGE", true },    { "DEADLINE", false },  { "STATUS", false },
	};
	CLEANUP(table_finish) struct table table;
	size_t i;
	json_t *worker;

	table_init(&table, columns, ARRAY_SIZE(columns));
	json_array_foreach(json_object_get(reply, "workers"), i, worker)
		add_worker(&table, worker, screen->now_usec);
	return table_print(&table, screen->out);
}

int screen_listeners(const struct screen *screen, json_t *reply)
{
	static const struct table_column columns[] = {
		{ "LISTENER", false }, { "ADDRESS", false }, { "SLOT", true },	 { "QUEUE", true },
		{ "LIMIT", true },     { "DROPS", true },    { "STATE", false }, { "FROM", false },
	};
	CLEANUP(table_finish) struct table table;
	size_t i, k;
	json_t *listener, *shard;

	table_init(&table, columns, ARRAY_SIZE(columns));
	json_array_foreach(json_object_get(reply, "listeners"), i, listener)
	{
		json_array_foreach(json_object_get(listener, "shards"), k, shard)
		{
			bool parked = json_is_true(json_object_get(shard, "parked"));
			table_add(&table, "%s", reply_string(listener, "name", "-"));
			table_add(&table, "%s", reply_string(shard, "address", "-"));
			add_number(&table, shard, "slot", "all");
			add_number(&table, shard, "queue", "-");
			add_number(&table, shard, "queue_limit", "-");
			add_number(&table, shard, "drops", "-");
			table_add(&table, "%s", parked ? "parked" : "open");
			table_add(&table, "%s", reply_string(listener, "source", "-"));
		}
	}
	return table_print(&table, screen->out);
}
