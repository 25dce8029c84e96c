#include "tests/load/load_faulty.h"

#include <stdio.h>
#include <string.h>

#include "proto/base.h"

#define GOOD FAULTY_TEXT_GOOD

static const struct faulty_fault faults[] = {
	{ "reset", GOOD, FAULTY_NOTHING, FAULTY_RESET, false },
	{ "reset-head", GOOD, FAULTY_HALF_HEAD, FAULTY_RESET, false },
	{ "reset-body", GOOD, FAULTY_HALF_BODY, FAULTY_RESET, false },
	{ "reset-after", GOOD, FAULTY_ALL, FAULTY_RESET, true },
	{ "early", GOOD, FAULTY_NOTHING, FAULTY_CLOSE, false },
	{ "early-head", GOOD, FAULTY_HALF_HEAD, FAULTY_CLOSE, false },
	{ "early-body", GOOD, FAULTY_HALF_BODY, FAULTY_CLOSE, false },
	{ "stall", GOOD, FAULTY_NOTHING, FAULTY_STALL, false },
	{ "stall-head", GOOD, FAULTY_HALF_HEAD, FAULTY_STALL, false },
	{ "stall-body", GOOD, FAULTY_HALF_BODY, FAULTY_STALL, false },
	{ "long-length", FAULTY_TEXT_LONG_LENGTH, FAULTY_ALL, FAULTY_CLOSE, false },
	{ "short-length", FAULTY_TEXT_SHORT_LENGTH, FAULTY_ALL, FAULTY_KEEP, false },
	{ "no-length", FAULTY_TEXT_NO_LENGTH, FAULTY_ALL, FAULTY_CLOSE, false },
	{ "wrong-body", FAULTY_TEXT_WRONG_BODY, FAULTY_ALL, FAULTY_KEEP, false },
	{ "bad-status", FAULTY_TEXT_BAD_STATUS, FAULTY_ALL, FAULTY_KEEP, false },
	{ "bad-line", FAULTY_TEXT_BAD_LINE, FAULTY_ALL, FAULTY_KEEP, false },
	{ "bad-header", FAULTY_TEXT_BAD_HEADER, FAULTY_ALL, FAULTY_KEEP, false },
	{ "bad-chunk", FAULTY_TEXT_BAD_CHUNK, FAULTY_ALL, FAULTY_KEEP, false },
	{ "close-idle", GOOD, FAULTY_ALL, FAULTY_CLOSE, false },
	{ "announce-close", GOOD, FAULTY_ALL, FAULTY_CLOSE, true },
};

int faulty_plan_add(struct faulty_plan *plan, const char *text)
{
	const char *colon = strchr(text, ':');
	char *end = NULL;

	if (!colon || plan->rule_count == FAULTY_RULES_MAX)
		return -EINVAL;
	unsigned long long every = strtoull(colon + 1, &end, 10);
	if (end == colon + 1 || *end || every == 0)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		size_t length = strlen(faults[i].name);
		if (length != (size_t)(colon - text) || memcmp(faults[i].name, text, length) != 0)
			continue;
		plan->rules[plan->rule_count++] = (struct faulty_rule){ .fault = &faults[i],
									.every = every };
		return 0;
	}
	return -EINVAL;
}

const struct faulty_fault *faulty_plan_next(struct faulty_plan *plan, uint64_t request)
{
	for (size_t i = 0; i < plan->rule_count; i++) {
		struct faulty_rule *rule = &plan->rules[i];
		if (request % rule->every == 0) {
			rule->done++;
			return rule->fault;
		}
	}
	return NULL;
}

static void put_length(FILE *out, const struct faulty_plan *plan, enum faulty_text text)
{
	size_t length = strlen(plan->body);

	if (text == FAULTY_TEXT_NO_LENGTH)
		return;
	if (text == FAULTY_TEXT_BAD_CHUNK || (plan->chunked && text != FAULTY_TEXT_LONG_LENGTH &&
					      text != FAULTY_TEXT_SHORT_LENGTH)) {
		fputs("Transfer-Encoding: chunked\r\n", out);
		return;
	}
	if (text == FAULTY_TEXT_LONG_LENGTH)
		length += 1;
	if (text == FAULTY_TEXT_SHORT_LENGTH)
		length -= 1;
	fprintf(out, "Content-Length: %zu\r\n", length);
}

static void put_head(FILE *out, const struct faulty_plan *plan, enum faulty_text text, bool close)
{
	const char *line = text == FAULTY_TEXT_BAD_LINE	    ? "HTTP/1.1 2OO OK"
			   : text == FAULTY_TEXT_BAD_STATUS ? "HTTP/1.1 503 Service Unavailable"
							    : "HTTP/1.1 200 OK";

	fprintf(out, "%s\r\nServer: faulty\r\n", line);
	if (text == FAULTY_TEXT_BAD_HEADER)
		fputs("X-Header without a colon\r\n", out);
	if (plan->generation)
		fprintf(out, "X-Generation: %s\r\n", plan->generation);
	put_length(out, plan, text);
	fprintf(out, "Connection: %s\r\n\r\n", close ? "close" : "keep-alive");
}

static void put_body(FILE *out, const struct faulty_plan *plan, enum faulty_text text)
{
	size_t length = strlen(plan->body);
	bool by_length = !plan->chunked || text == FAULTY_TEXT_LONG_LENGTH ||
			 text == FAULTY_TEXT_SHORT_LENGTH || text == FAULTY_TEXT_NO_LENGTH;

	if (text == FAULTY_TEXT_BAD_CHUNK) {
		fprintf(out, "%zx\r\n%sX\r\n0\r\n\r\n", length, plan->body);
	} else if (text == FAULTY_TEXT_WRONG_BODY) {
		if (!by_length)
			fprintf(out, "%zx\r\n", length);
		for (size_t i = 0; i < length; i++)
			fputc(i + 1 == length ? plan->body[i] ^ 1 : plan->body[i], out);
		if (!by_length)
			fputs("\r\n0\r\n\r\n", out);
	} else if (by_length) {
		fputs(plan->body, out);
	} else {
		/* Two chunks, an extension and a trailer: all that the coding has. */
		fprintf(out, "1;first\r\n%c\r\n", plan->body[0]);
		fprintf(out, "%zx\r\n%s\r\n0\r\nX-Trailer: yes\r\n\r\n", length - 1,
			plan->body + 1);
	}
}

int faulty_answer_make(const struct faulty_plan *plan, const struct faulty_fault *fault,
		       bool request_closes, struct faulty_answer *ret_answer)
{
	static const struct faulty_fault none = { "", GOOD, FAULTY_ALL, FAULTY_KEEP, false };
	char *bytes = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&bytes, &size);

	if (!out)
		return -errno;
	if (!fault)
		fault = &none;
	bool announces = request_closes || fault->announces_close;
	put_head(out, plan, fault->text, announces);
	(void)fflush(out);
	size_t head_size = size;
	put_body(out, plan, fault->text);
	if (fclose(out) != 0) {
		free(bytes);
		return -ENOMEM;
	}
	if (fault->part == FAULTY_NOTHING)
		size = 0;
	else if (fault->part == FAULTY_HALF_HEAD)
		size = head_size / 2;
	else if (fault->part == FAULTY_HALF_BODY)
		size = head_size + (size - head_size) / 2;
	*ret_answer = (struct faulty_answer){
		.bytes = bytes, .size = size, .announces_close = announces, .end = fault->end
	};
	return 0;
}

void faulty_print_names(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		printf("  %s\n", faults[i].name);
}
