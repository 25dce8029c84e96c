/* The load client: `load --help`. See README.md beside it for what it counts and why. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "tests/load/load_options.h"
#include "tests/load/load_report.h"
#include "tests/load/load_run.h"

enum { EXIT_LOST = 1, EXIT_USAGE = 2 };

static void prepare_process(void)
{
	struct rlimit files;

	(void)signal(SIGPIPE, SIG_IGN);
	/* The default slack of 50 µs would count as latency of every request. */
	(void)prctl(PR_SET_TIMERSLACK, 1000UL);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
}

static int report(const struct run *run, const struct load_options *options)
{
	const struct tally *tally = &run->context.tally;

	if (options->json)
		report_json(stdout, tally, run_seconds(run));
	else
		report_text(stdout, tally, run_seconds(run));
	if (tally->outcomes[OUTCOME_LOCAL])
		fprintf(stderr,
			"load: %" PRIu64 " requests failed on OUR side, and say nothing about the "
			"server: %s\n",
			tally->outcomes[OUTCOME_LOCAL], strerror(tally->local_error));
	return tally->outcomes[OUTCOME_OK] == tally->issued && tally->unsolicited == 0
		       ? EXIT_SUCCESS
		       : EXIT_LOST;
}

int main(int argc, char **argv)
{
	static struct run run;
	struct load_options options;

	if (load_options_parse(&options, argc, argv) < 0)
		return EXIT_USAGE;
	prepare_process();

	int r = run_init(&run, &options);
	if (r < 0)
		fprintf(stderr, "load: cannot start: %s\n", strerror(-r));
	else
		run_go(&run);
	int status = r < 0 ? EXIT_LOST : report(&run, &options);
	run_finish(&run);
	return status;
}
