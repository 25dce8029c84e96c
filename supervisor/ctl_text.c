#include "supervisor/ctl_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base.h"
#include "supervisor/printable.h"

#define USEC_PER_MSEC	UINT64_C(1000)
#define USEC_PER_SEC	UINT64_C(1000000)
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_PER_HOUR	(60 * USEC_PER_MINUTE)
#define USEC_PER_DAY	(24 * USEC_PER_HOUR)

const char *text_duration(uint64_t duration_usec, char text[static DURATION_TEXT_MAX])
{
	/* The first row that the duration is below: how it is told there. */
	static const struct {
		uint64_t below_usec, unit_usec;
		const char *unit;
		uint64_t rest_usec;
		const char *rest_unit;
		bool tenths;
	} rows[] = {
		{ 10 * USEC_PER_MSEC, USEC_PER_MSEC, "ms", 0, NULL, true },
		{ USEC_PER_SEC, USEC_PER_MSEC, "ms", 0, NULL, false },
		{ 10 * USEC_PER_SEC, USEC_PER_SEC, "s", 0, NULL, true },
		{ USEC_PER_MINUTE, USEC_PER_SEC, "s", 0, NULL, false },
		{ USEC_PER_HOUR, USEC_PER_MINUTE, "min", USEC_PER_SEC, "s", false },
		{ USEC_PER_DAY, USEC_PER_HOUR, "h", USEC_PER_MINUTE, "min", false },
		{ UINT64_MAX, USEC_PER_DAY, "d", USEC_PER_HOUR, "h", false },
	};
	size_t i = 0;
	while (i + 1 < ARRAY_SIZE(rows) && duration_usec >= rows[i].below_usec)
		i++;
	uint64_t whole = duration_usec / rows[i].unit_usec,
		 rest = duration_usec % rows[i].unit_usec;
	uint64_t rest_unit_usec = rows[i].tenths ? rows[i].unit_usec / 10 : rows[i].rest_usec;
	uint64_t part = rest_unit_usec ? rest / rest_unit_usec : 0;

	if (rows[i].tenths && part)
		(void)snprintf(text, DURATION_TEXT_MAX, "%" PRIu64 ".%" PRIu64 " %s", whole, part,
			       rows[i].unit);
	else if (rows[i].rest_unit && part)
		(void)snprintf(text, DURATION_TEXT_MAX, "%" PRIu64 " %s %" PRIu64 " %s", whole,
			       rows[i].unit, part, rows[i].rest_unit);
	else
		(void)snprintf(text, DURATION_TEXT_MAX, "%" PRIu64 " %s", whole, rows[i].unit);
	return text;
}

const char *text_elapsed(uint64_t now_usec, int64_t since_usec, char text[static DURATION_TEXT_MAX])
{
	uint64_t since = since_usec > 0 ? (uint64_t)since_usec : 0;
	return text_duration(now_usec > since ? now_usec - since : 0, text);
}

/* The unit that @text begins with, in microseconds; none at all means seconds. 0: no unit. */
static uint64_t span_unit(const char *text, size_t length)
{
	static const struct {
		const char *name;
		uint64_t usec;
	} units[] = {
		{ "", USEC_PER_SEC },
		{ "us", 1 },
		{ "usec", 1 },
		{ "µs", 1 },
		{ "ms", USEC_PER_MSEC },
		{ "msec", USEC_PER_MSEC },
		{ "s", USEC_PER_SEC },
		{ "sec", USEC_PER_SEC },
		{ "second", USEC_PER_SEC },
		{ "seconds", USEC_PER_SEC },
		{ "m", USEC_PER_MINUTE },
		{ "min", USEC_PER_MINUTE },
		{ "minute", USEC_PER_MINUTE },
		{ "minutes", USEC_PER_MINUTE },
		{ "h", USEC_PER_HOUR },
		{ "hr", USEC_PER_HOUR },
		{ "hour", USEC_PER_HOUR },
		{ "hours", USEC_PER_HOUR },
		{ "d", USEC_PER_DAY },
		{ "day", USEC_PER_DAY },
		{ "days", USEC_PER_DAY },
	};
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (strlen(units[i].name) == length && !memcmp(units[i].name, text, length))
			return units[i].usec;
	return 0;
}

int text_parse_span(const char *text, uint64_t *ret_usec)
{
	static const char blanks[] = " \t", digits[] = "0123456789";
	uint64_t total_usec = 0;

	text += strspn(text, blanks);
	if (!*text)
		return -EINVAL;
	while (*text) {
		size_t whole_length = strspn(text, digits);
		errno = 0;
		uint64_t whole = strtoull(text, NULL, 10);
		if (errno == ERANGE)
			return -ERANGE;
		text += whole_length;

		uint64_t millionths = 0, place = USEC_PER_SEC / 10;
		size_t fraction_length = 0;
		if (*text == '.') {
			fraction_length = strspn(++text, digits);
			for (size_t i = 0; i < fraction_length; i++, place /= 10)
				millionths += place * (uint64_t)(text[i] - '0');
			text += fraction_length;
		}
		if (whole_length + fraction_length == 0)
			return -EINVAL;

		text += strspn(text, blanks);
		size_t unit_length = strcspn(text, " \t.0123456789");
		uint64_t unit_usec = span_unit(text, unit_length), part_usec;
		if (!unit_usec || (!unit_length && *text == '.'))
			return -EINVAL;
		text += unit_length;
		text += strspn(text, blanks);

		if (__builtin_mul_overflow(whole, unit_usec, &part_usec) ||
		    __builtin_add_overflow(total_usec, part_usec, &total_usec) ||
		    __builtin_add_overflow(total_usec,
					   unit_usec / USEC_PER_SEC * millionths +
						   unit_usec % USEC_PER_SEC * millionths /
							   USEC_PER_SEC,
					   &total_usec) ||
		    total_usec > INT64_MAX)
			return -ERANGE;
	}
	*ret_usec = total_usec;
	return 0;
}

struct range {
	uint32_t first, last;
};

static bool in_ranges(uint32_t character, const struct range *ranges, size_t n_ranges)
{
	for (size_t i = 0; i < n_ranges; i++)
		if (character >= ranges[i].first && character <= ranges[i].last)
			return true;
	return false;
}

/* wcwidth(3) needs a locale; this is as much of it as names and log lines need. */
static size_t character_columns(uint32_t character)
{
	static const struct range none[] = {
		{ 0x300, 0x36f }, { 0x200b, 0x200d }, { 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff }
	};
	static const struct range two[] = {
		{ 0x1100, 0x115f }, { 0x2e80, 0xa4cf },	  { 0xac00, 0xd7a3 },
		{ 0xf900, 0xfaff }, { 0xfe30, 0xfe6f },	  { 0xff00, 0xff60 },
		{ 0xffe0, 0xffe6 }, { 0x1f300, 0x1faff }, { 0x20000, 0x3fffd },
	};
	if (in_ranges(character, none, ARRAY_SIZE(none)))
		return 0;
	return in_ranges(character, two, ARRAY_SIZE(two)) ? 2 : 1;
}

/* As a log shows it, but for the tab, whose columns would depend on where it stands. */
static struct printable_piece next_piece(const char *text)
{
	if (*text == '\t')
		return (struct printable_piece){ .bytes = "\\t", .n_bytes = 2, .n_taken = 1 };
	return printable_next(text);
}

/* Measures, and prints where @out is given. */
static size_t walk(FILE *out, const char *text, size_t columns_max)
{
	size_t columns = 0;
	while (*text) {
		struct printable_piece piece = next_piece(text);
		size_t piece_columns = piece.character ? character_columns(piece.character)
						       : piece.n_bytes;
		if (columns + piece_columns > columns_max)
			break;
		if (out)
			(void)fwrite(piece.bytes, 1, piece.n_bytes, out);
		columns += piece_columns;
		text += piece.n_taken;
	}
	return columns;
}

size_t text_width(const char *text)
{
	return walk(NULL, text, SIZE_MAX);
}

size_t text_print(FILE *out, const char *text, size_t columns_max)
{
	if (columns_max == 0)
		return 0;
	if (columns_max == SIZE_MAX || text_width(text) <= columns_max)
		return walk(out, text, columns_max);
	size_t columns = walk(out, text, columns_max - 1);
	(void)fputs("…", out);
	return columns + 1;
}
