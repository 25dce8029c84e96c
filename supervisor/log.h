/*
 * The log: lines on stderr that never hold up the supervisor. A line that cannot be written at once
 * (full pipe, stopped terminal, full disk) is dropped and counted, and the count is said with the
 * next line that gets through. Where stderr is the journal (JOURNAL_STREAM, see systemd.exec(5)),
 * each line carries its priority as <N>; elsewhere it carries the time.
 *
 * The one mutable global of the supervisor. Leaves never log: main, callbacks and state changes do.
 */
#ifndef HANDOVER_SUPERVISOR_LOG_H
#define HANDOVER_SUPERVISOR_LOG_H

#include <stdint.h>

#include "proto/base.h"

/* As in syslog(3). */
enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7
};

/* @name: of the service, shown in each line; copied. @fd: usually STDERR_FILENO; borrowed. */
void log_open(const char *name, int fd);
void log_set_level(enum log_level level);
uint64_t log_dropped(void);

void log_line(enum log_level level, const char *format, ...) PRINTF(2, 3);
#define log_error(...)	 log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)	 log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)	 log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)	 log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
