/* A reload's steps as lines and as a block on a terminal; tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "supervisor/ctl_progress.h"
#include "supervisor/ctl_table.h"

struct output {
	FILE *stream;
	char *text;
	size_t size;
};

static int setup(void **state)
{
	static struct output output;
	output = (struct output){ 0 };
	output.stream = open_memstream(&output.text, &output.size);
	*state = &output;
	return output.stream ? 0 : -1;
}

static int teardown(void **state)
{
	struct output *output = *state;
	(void)fclose(output->stream);
	free(output->text);
	return 0;
}

static const char *written(struct output *output)
{
	assert_int_equal(fflush(output->stream), 0);
	return output->text;
}

static void feed(struct progress *progress, json_t *step)
{
	assert_non_null(step);
	progress_step(progress, step);
	json_decref(step);
}

static json_t *slot_step(const char *name, int slot, int pid)
{
	return json_pack("{s:s, s:i, s:i, s:i}", "step", name, "generation", 8, "slot", slot, "pid",
			 pid);
}

static void test_each_step_has_its_line(void **state)
{
	static const struct {
		const char *json, *line;
	} cases[] = {
		{ "{'step':'queued'}", "queued\n" },
		{ "{'step':'waiting','detail':'generation 3 drains'}",
		  "waiting: generation 3 drains\n" },
		{ "{'step':'spec','generation':8}", "generation 8 made\n" },
		{ "{'step':'started','generation':8,'slot':0,'pid':5}", "slot 0 started, pid 5\n" },
		{ "{'step':'ready','slot':0}", "slot 0 ready\n" },
		{ "{'step':'settling','generation':8,'detail':'a\\u001bb'}",
		  "generation 8 settling: a\\x1bb\n" },
		{ "{'step':'done','generation':8}", "generation 8 serves\n" },
		{ "{'step':7,'slot':'x'}", "?\n" },
		{ "{}", "?\n" },
	};
	struct output *output = *state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(progress_finish) struct progress progress;
		char json[256];
		size_t k = 0;
		for (const char *from = cases[i].json; *from; from++)
			json[k++] = *from == '\'' ? '"' : *from;
		json[k] = '\0';

		rewind(output->stream);
		progress_init(&progress, output->stream, false);
		feed(&progress, json_loads(json, 0, NULL));
		assert_memory_equal(written(output), cases[i].line, strlen(cases[i].line));
	}
}

static void test_a_terminal_has_one_line_for_each_slot_in_order(void **state)
{
	struct output *output = *state;
	CLEANUP(progress_finish) struct progress progress;

	progress_init(&progress, output->stream, true);
	feed(&progress, json_pack("{s:s, s:i}", "step", "spec", "generation", 8));
	feed(&progress, slot_step("started", 1, 101));
	feed(&progress, slot_step("started", 0, 100));
	feed(&progress, slot_step("ready", 1, 101));
	feed(&progress, json_pack("{s:s, s:i}", "step", "done", "generation", 8));
	assert_string_equal(written(output), "generation 8 made\n"
					     "\r\033[1A\033[Jgeneration 8 made\n"
					     "  slot 1    started  pid 101\n"
					     "\r\033[2A\033[Jgeneration 8 made\n"
					     "  slot 0    started  pid 100\n"
					     "  slot 1    started  pid 101\n"
					     "\r\033[3A\033[Jgeneration 8 made\n"
					     "  slot 0    started  pid 100\n"
					     "  slot 1    ready    pid 101\n"
					     "\r\033[3A\033[Jgeneration 8 done\n"
					     "  slot 0    started  pid 100\n"
					     "  slot 1    ready    pid 101\n"
					     "generation 8 serves\n");
}

static void test_more_slots_than_lines_are_counted(void **state)
{
	struct output *output = *state;
	CLEANUP(progress_finish) struct progress progress;

	progress_init(&progress, output->stream, true);
	progress.rows = 5;
	for (int slot = 0; slot < 4; slot++)
		feed(&progress, slot_step(slot < 3 ? "ready" : "serving", slot, 100 + slot));
	const char *last = strrchr(written(output), 'J');
	assert_string_equal(last, "J\n  4 slots: 0 started, 3 ready, 1 serving\n");
}

static void test_a_heading_does_not_wrap(void **state)
{
	struct output *output = *state;
	CLEANUP(progress_finish) struct progress progress;

	progress_init(&progress, output->stream, true);
	progress.columns = 20;
	feed(&progress, json_pack("{s:s, s:s}", "step", "waiting", "detail",
				  "for a generation that drains and drains"));
	assert_string_equal(written(output), "waiting: for a gen…\n");
}

/* Or the cursor would go up too few lines: as many breaks as lines counted, none too wide. */
static void test_no_line_of_a_slot_wraps(void **state)
{
	struct output *output = *state;
	CLEANUP(progress_finish) struct progress progress;

	progress_init(&progress, output->stream, true);
	progress.columns = 24;
	feed(&progress, slot_step("started", 0, 1234567));
	assert_string_equal(written(output), "\n  slot 0    started  p…\n");
	progress.rows = 2;
	feed(&progress, slot_step("started", 0, 1234567));
	assert_string_equal(strrchr(written(output), 'J'), "J\n  1 slots: 1 started, …\n");
}

static void test_table(void **state)
{
	static const struct table_column columns[] = { { "N", true },
						       { "NAME", false },
						       { "REST", false } };
	struct output *output = *state;
	CLEANUP(table_finish) struct table table;

	table_init(&table, columns, ARRAY_SIZE(columns));
	assert_int_equal(table_print(&table, output->stream), 0);
	assert_string_equal(written(output), "N  NAME  REST\n");
	for (int i = 9; i < 11; i++) {
		table_add(&table, "%d", i);
		table_add(&table, "%s", i == 9 ? "ü\n" : "longer");
		table_add(&table, "end");
	}
	rewind(output->stream);
	assert_int_equal(table_print(&table, output->stream), 0);
	assert_string_equal(written(output), " N  NAME    REST\n"
					     " 9  ü\\n     end\n"
					     "10  longer  end\n");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_step_has_its_line),
		TEST(test_a_terminal_has_one_line_for_each_slot_in_order),
		TEST(test_more_slots_than_lines_are_counted),
		TEST(test_a_heading_does_not_wrap),
		TEST(test_no_line_of_a_slot_wraps),
		TEST(test_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
