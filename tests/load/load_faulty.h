/*
 * What the faulty server does wrong, and when: a table of faults, and a plan that gives every
 * request, by its number alone, at most one of them. So what was done can be counted beforehand,
 * and the load client's accounts be held against it.
 *
 * A plan is owned in place; an answer's bytes are the caller's to free().
 */
#ifndef HANDOVER_TESTS_LOAD_FAULTY_H
#define HANDOVER_TESTS_LOAD_FAULTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FAULTY_RULES_MAX = 32 };

enum faulty_text {
	FAULTY_TEXT_GOOD,
	FAULTY_TEXT_WRONG_BODY, /* of the right length */
	FAULTY_TEXT_BAD_STATUS,
	FAULTY_TEXT_BAD_LINE,
	FAULTY_TEXT_BAD_HEADER,
	FAULTY_TEXT_LONG_LENGTH,  /* promises more than there is */
	FAULTY_TEXT_SHORT_LENGTH, /* sends more than it promised */
	FAULTY_TEXT_NO_LENGTH,	  /* legal: the body goes on until EOF */
	FAULTY_TEXT_BAD_CHUNK,
};

enum faulty_part {
	FAULTY_NOTHING,
	FAULTY_HALF_HEAD,
	FAULTY_HALF_BODY,
	FAULTY_ALL,
};

enum faulty_end {
	FAULTY_KEEP,  /* as the request asks */
	FAULTY_CLOSE, /* in one segment with the last bytes, as far as the kernel can */
	FAULTY_RESET,
	FAULTY_STALL, /* neither a byte nor an end, for ever */
};

struct faulty_fault {
	const char *name;
	enum faulty_text text;
	enum faulty_part part;
	enum faulty_end end;
	bool announces_close;
};

struct faulty_rule {
	const struct faulty_fault *fault;
	uint64_t every;
	uint64_t done;
};

struct faulty_plan {
	struct faulty_rule rules[FAULTY_RULES_MAX];
	size_t rule_count;
	const char *body;
	const char *generation; /* NULL: no header */
	bool chunked;
};

/* One answer, cut where its fault cuts it. */
struct faulty_answer {
	char *bytes;
	size_t size;
	bool announces_close;
	enum faulty_end end;
};

/* Adds "NAME:K": every K-th request. Where several rules fit a request, the first has it. */
int faulty_plan_add(struct faulty_plan *plan, const char *text);

/* The fault for the request of this number (from 1), counted as done; NULL: none. */
const struct faulty_fault *faulty_plan_next(struct faulty_plan *plan, uint64_t request);

/* @fault may be NULL. */
int faulty_answer_make(const struct faulty_plan *plan, const struct faulty_fault *fault,
		       bool request_closes, struct faulty_answer *ret_answer);

/* The names, one a line, for --help. */
void faulty_print_names(void);

#endif
