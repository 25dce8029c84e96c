/* The supervisor's state as JSON, in the shapes of proto/io.handover.Control.varlink. Each returns
 * a new object, or NULL without memory. */
#ifndef HANDOVER_SUPERVISOR_REPORT_H
#define HANDOVER_SUPERVISOR_REPORT_H

#include <jansson.h>

struct supervisor;

json_t *report_status(const struct supervisor *supervisor);
json_t *report_workers(const struct supervisor *supervisor);
json_t *report_listeners(const struct supervisor *supervisor);

/* "generation 3: 4 of 4 slots serve": one line for STATUS= and the log. */
enum { REPORT_LINE_MAX = 256 };
const char *report_line(const struct supervisor *supervisor, char line[static REPORT_LINE_MAX]);

#endif
