#include "supervisor/config_value.h"

#include <ctype.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/config.h"

static const char DIGITS[] = "0123456789";

enum { SHOWN_DIGITS_MAX = 19 }; /* what a uint64_t always holds */

int value_boolean(const char *text, bool *ret_value, struct error *error)
{
	static const char *const words[][6] = {
		{ "0", "no", "n", "false", "f", "off" },
		{ "1", "yes", "y", "true", "t", "on" },
	};
	for (int value = 0; value < 2; value++) {
		for (size_t i = 0; i < ARRAY_SIZE(words[value]); i++) {
			if (strcasecmp(text, words[value][i]) != 0)
				continue;
			*ret_value = value;
			return 0;
		}
	}
	return error_set(error, -EINVAL, "neither yes nor no");
}

/* All of @text in @base, no sign, no blanks. */
static int parse_number(const char *text, int base, uint64_t *ret_value)
{
	const char *digits = base == 8 ? "01234567" : DIGITS;
	if (!*text || text[strspn(text, digits)] != '\0')
		return -EINVAL;
	errno = 0;
	*ret_value = strtoull(text, NULL, base);
	return errno ? -errno : 0;
}

int value_unsigned(const char *text, unsigned min, unsigned max, unsigned *ret_value,
		   struct error *error)
{
	uint64_t value = 0;
	int r = parse_number(text, 10, &value);
	if (r == -EINVAL)
		return error_set(error, -EINVAL, "not a number");
	if (r < 0 || value < min || value > max)
		return error_set(error, -EINVAL, "out of range");
	*ret_value = (unsigned)value;
	return 0;
}

static const struct {
	const char *names; /* between blanks; the first is how it is written */
	uint64_t usec;
} units[] = {
	{ " w week weeks ", 7 * 24 * 3600 * USEC_PER_SEC },
	{ " d day days ", 24 * 3600 * USEC_PER_SEC },
	{ " h hr hour hours ", 3600 * USEC_PER_SEC },
	{ " min m minute minutes ", 60 * USEC_PER_SEC },
	{ " s sec second seconds ", USEC_PER_SEC },
	{ " ms msec ", USEC_PER_MSEC },
	{ " us usec µs μs ", 1 },
	/* As systemd.time(7) has them; last, for they are read only. */
	{ " M month months ", UINT64_C(2629800) * USEC_PER_SEC },
	{ " y year years ", UINT64_C(31557600) * USEC_PER_SEC },
};
enum { N_UNITS_WRITTEN = 7 };

static int unit_find(const char *text, size_t length, uint64_t *ret_usec)
{
	if (length == 0) {
		*ret_usec = USEC_PER_SEC;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		const char *found = units[i].names;
		while ((found = memmem(found, strlen(found), text, length)) != NULL) {
			if (found[-1] == ' ' && found[length] == ' ') {
				*ret_usec = units[i].usec;
				return 0;
			}
			found++;
		}
	}
	return -EINVAL;
}

/* One "1.5 min" of a time span. */
static int time_term(const char **text, uint64_t *ret_usec, struct error *error)
{
	const char *whole = *text;
	size_t n_whole = strspn(whole, DIGITS);
	const char *fraction = whole + n_whole;
	size_t n_fraction = 0;
	if (*fraction == '.')
		n_fraction = strspn(++fraction, DIGITS);
	bool pointless = fraction != whole + n_whole && n_fraction == 0;
	if (n_whole == 0 || n_whole > SHOWN_DIGITS_MAX || pointless)
		return error_set(error, -EINVAL, "not a time span");

	const char *unit = fraction + n_fraction;
	unit += strspn(unit, " \t");
	size_t n_unit = strcspn(unit, " \t0123456789.");
	uint64_t scale = 0;
	if (unit_find(unit, n_unit, &scale) < 0)
		return error_set(error, -EINVAL, "\"%.*s\" is no unit of time", (int)n_unit, unit);

	uint64_t usec = strtoull(whole, NULL, 10);
	if (__builtin_mul_overflow(usec, scale, &usec))
		return error_set(error, -EINVAL, "too long, \"infinity\" may be meant");
	uint64_t part = scale;
	for (size_t i = 0; i < n_fraction && part > 0; i++) {
		part /= 10;
		if (__builtin_add_overflow(usec, (uint64_t)(fraction[i] - '0') * part, &usec))
			return error_set(error, -EINVAL, "too long, \"infinity\" may be meant");
	}
	*ret_usec = usec;
	*text = unit + n_unit;
	return 0;
}

int value_time_span(const char *text, uint64_t *ret_usec, struct error *error)
{
	if (strcmp(text, "infinity") == 0) {
		*ret_usec = USEC_INFINITY;
		return 0;
	}
	uint64_t sum = 0;
	do {
		uint64_t usec = 0;
		text += strspn(text, " \t");
		int r = time_term(&text, &usec, error);
		if (r < 0)
			return r;
		if (__builtin_add_overflow(sum, usec, &sum) || sum == USEC_INFINITY)
			return error_set(error, -EINVAL, "too long, \"infinity\" may be meant");
		text += strspn(text, " \t");
	} while (*text);
	*ret_usec = sum;
	return 0;
}

const char *value_format_time_span(uint64_t usec, char text[static VALUE_TEXT_MAX])
{
	if (usec == USEC_INFINITY)
		return strcpy(text, "infinity");
	if (usec == 0)
		return strcpy(text, "0");
	size_t length = 0;
	for (size_t i = 0; i < N_UNITS_WRITTEN; i++) {
		uint64_t n = usec / units[i].usec;
		usec %= units[i].usec;
		if (n == 0)
			continue;
		const char *name = units[i].names + 1;
		int n_name = (int)strcspn(name, " ");
		length += (size_t)snprintf(text + length, VALUE_TEXT_MAX - length,
					   "%s%" PRIu64 "%.*s", length > 0 ? " " : "", n, n_name,
					   name);
	}
	return text;
}

int value_mode(const char *text, mode_t max, mode_t *ret_mode, struct error *error)
{
	uint64_t mode = 0;
	if (parse_number(text, 8, &mode) < 0)
		return error_set(error, -EINVAL, "not an octal mode");
	if (mode > max)
		return error_set(error, -EINVAL, "out of range");
	*ret_mode = (mode_t)mode;
	return 0;
}

static int signal_by_name(const char *name)
{
	if (strncasecmp(name, "SIG", 3) == 0)
		name += 3;
	uint64_t offset = 0;
	if (strcasecmp(name, "RTMIN") == 0)
		return SIGRTMIN;
	if (strcasecmp(name, "RTMAX") == 0)
		return SIGRTMAX;
	if (strncasecmp(name, "RTMIN+", 6) == 0 && parse_number(name + 6, 10, &offset) == 0 &&
	    offset <= (uint64_t)(SIGRTMAX - SIGRTMIN))
		return SIGRTMIN + (int)offset;
	if (strncasecmp(name, "RTMAX-", 6) == 0 && parse_number(name + 6, 10, &offset) == 0 &&
	    offset <= (uint64_t)(SIGRTMAX - SIGRTMIN))
		return SIGRTMAX - (int)offset;
	for (int signal = 1; signal < SIGRTMIN; signal++) {
		const char *abbreviation = sigabbrev_np(signal);
		if (abbreviation && strcasecmp(name, abbreviation) == 0)
			return signal;
	}
	return 0;
}

int value_signal(const char *text, int *ret_signal, struct error *error)
{
	uint64_t number = 0;
	int signal = 0;
	if (parse_number(text, 10, &number) == 0) {
		bool usable = (number >= 1 && number < 32) ||
			      (number >= (uint64_t)SIGRTMIN && number <= (uint64_t)SIGRTMAX);
		signal = usable ? (int)number : 0;
	} else {
		signal = signal_by_name(text);
	}
	if (signal == 0)
		return error_set(error, -EINVAL, "no such signal");
	if (signal == SIGKILL || signal == SIGSTOP)
		return error_set(error, -EINVAL, "a program cannot drain at SIG%s, nor catch it",
				 sigabbrev_np(signal));
	*ret_signal = signal;
	return 0;
}

const char *value_format_signal(int signal, char text[static VALUE_TEXT_MAX])
{
	const char *abbreviation = sigabbrev_np(signal);
	if (abbreviation)
		(void)snprintf(text, VALUE_TEXT_MAX, "SIG%s", abbreviation);
	else
		(void)snprintf(text, VALUE_TEXT_MAX, "RTMIN+%d", signal - SIGRTMIN);
	return text;
}

static int parse_limit(const char *text, rlim_t *ret_limit, struct error *error)
{
	uint64_t value = 0;
	if (strcmp(text, "infinity") == 0) {
		*ret_limit = RLIM_INFINITY;
		return 0;
	}
	if (parse_number(text, 10, &value) < 0 || value == RLIM_INFINITY)
		return error_set(error, -EINVAL, "\"%s\" is no limit", text);
	*ret_limit = (rlim_t)value;
	return 0;
}

int value_limit(const char *text, struct rlimit *ret_limit, struct error *error)
{
	char soft[VALUE_TEXT_MAX];
	const char *colon = strchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : strlen(text);
	if (length >= sizeof(soft))
		return error_set(error, -EINVAL, "not a limit");
	memcpy(soft, text, length);
	soft[length] = '\0';
	struct rlimit limit;
	int r = parse_limit(soft, &limit.rlim_cur, error);
	if (r == 0)
		r = parse_limit(colon ? colon + 1 : soft, &limit.rlim_max, error);
	if (r != 0)
		return r;
	if (limit.rlim_cur > limit.rlim_max)
		return error_set(error, -EINVAL, "the soft limit is above the hard one");
	*ret_limit = limit;
	return 0;
}

static size_t format_limit(rlim_t limit, char *text, size_t size)
{
	if (limit == RLIM_INFINITY)
		return (size_t)snprintf(text, size, "infinity");
	return (size_t)snprintf(text, size, "%" PRIu64, (uint64_t)limit);
}

const char *value_format_limit(const struct rlimit *limit, char text[static VALUE_TEXT_MAX])
{
	size_t length = format_limit(limit->rlim_cur, text, VALUE_TEXT_MAX);
	text[length++] = ':';
	(void)format_limit(limit->rlim_max, text + length, VALUE_TEXT_MAX - length);
	return text;
}

int value_choice(const char *text, const char *const *choices, int *ret_index, struct error *error)
{
	for (int i = 0; choices[i]; i++) {
		if (strcmp(text, choices[i]) == 0) {
			*ret_index = i;
			return 0;
		}
	}
	return error_set(error, -EINVAL, "none of the choices");
}

static bool made_of(const char *text, const char *marks)
{
	for (; *text; text++)
		if (!(isalnum((unsigned char)*text) || strchr(marks, *text)))
			return false;
	return true;
}

int value_check_name(const char *text, struct error *error)
{
	if (!*text)
		return error_set(error, -EINVAL, "a name is missing");
	if (*text == '.' || *text == '-')
		return error_set(error, -EINVAL, "\"%s\" begins with a %s", text,
				 *text == '.' ? "dot" : "dash");
	if (!made_of(text, "_.-"))
		return error_set(error, -EINVAL,
				 "\"%s\" has more in it than letters, digits, _, . and -", text);
	if (strlen(text) > CONFIG_NAME_MAX)
		return error_set(error, -EINVAL, "\"%s\" is longer than %d bytes", text,
				 CONFIG_NAME_MAX);
	return 0;
}

int value_check_account(const char *text, struct error *error)
{
	size_t length = strlen(text);
	if (length == 0 || length > 255 || *text == '-' || !made_of(text, "_.-$"))
		return error_set(error, -EINVAL, "\"%s\" is no name of a user or group", text);
	return 0;
}

int value_check_assignment(const char *text, struct error *error)
{
	size_t length = strcspn(text, "=");
	bool good = length > 0 && text[length] == '=' && !isdigit((unsigned char)text[0]);
	for (size_t i = 0; good && i < length; i++)
		good = isalnum((unsigned char)text[i]) || text[i] == '_';
	if (good)
		return 0;
	if (!text[length])
		return error_set(error, -EINVAL, "\"%s\" has no =", text);
	return error_set(error, -EINVAL, "\"%.*s\" is no name of a variable", (int)length, text);
}
