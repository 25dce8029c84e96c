/*
 * Values of the configuration, read and written as systemd does. Pure: text in, value out.
 *
 * Every value_…() returns 0, or -EINVAL with what is wrong in @error (what is allowed instead is
 * the directive's help, which the caller adds).
 */
#ifndef HANDOVER_SUPERVISOR_CONFIG_VALUE_H
#define HANDOVER_SUPERVISOR_CONFIG_VALUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "proto/error.h"

/* Enough for value_format_time_span() and value_format_limit() and a signal's name. */
enum { VALUE_TEXT_MAX = 128 };

/* 1, yes, y, true, t, on; 0, no, n, false, f, off; without regard to case. */
int value_boolean(const char *text, bool *ret_value, struct error *error);

/* Decimal digits, from @min to @max. */
int value_unsigned(const char *text, unsigned min, unsigned max, unsigned *ret_value,
		   struct error *error);

/* systemd.time(7): "1min 30s", "500ms", "1.5h", "infinity" (USEC_INFINITY); a plain number counts
 * seconds. */
int value_time_span(const char *text, uint64_t *ret_usec, struct error *error);
const char *value_format_time_span(uint64_t usec, char text[static VALUE_TEXT_MAX]);

/* Octal digits, up to @max. */
int value_mode(const char *text, mode_t max, mode_t *ret_mode, struct error *error);

/* "SIGTERM", "TERM", "15", "RTMIN+3". SIGKILL and SIGSTOP, which nobody can catch, are refused. */
int value_signal(const char *text, int *ret_signal, struct error *error);
const char *value_format_signal(int signal, char text[static VALUE_TEXT_MAX]);

/* "soft:hard", or one for both; each a number or "infinity". */
int value_limit(const char *text, struct rlimit *ret_limit, struct error *error);
const char *value_format_limit(const struct rlimit *limit, char text[static VALUE_TEXT_MAX]);

/* The index of @text in @choices (NULL-terminated). */
int value_choice(const char *text, const char *const *choices, int *ret_index, struct error *error);

/* The name of a service or a listener: [A-Za-z0-9_.-], no dot or dash first, CONFIG_NAME_MAX. */
int value_check_name(const char *text, struct error *error);

/* A user or group, by name or number; whether there is one is not asked. */
int value_check_account(const char *text, struct error *error);

/* "NAME=VALUE" with a name that a shell would take. */
int value_check_assignment(const char *text, struct error *error);

#endif
