/* How the accounts are told: to people, to programs, and while the run goes on. */
#ifndef HANDOVER_TESTS_LOAD_REPORT_H
#define HANDOVER_TESTS_LOAD_REPORT_H

#include <stdio.h>

#include "tests/load/load_tally.h"

/* One JSON object and a newline: all there is. */
void report_json(FILE *out, const struct tally *tally, double seconds);

/* The same for people. */
void report_text(FILE *out, const struct tally *tally, double seconds);

/* One line of JSON: totals so far, and what each generation answered since the line before. Where
 * @out is a pipe that nobody empties the line is left out: a slow reader must not slow the load. */
void report_progress(FILE *out, struct tally *tally, double seconds);

#endif
