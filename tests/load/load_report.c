#include "tests/load/load_report.h"

#include <inttypes.h>
#include <poll.h>
#include <string.h>

#include "proto/base.h"

static const struct {
	const char *name;
	double fraction;
} quantiles[] = {
	{ "p50", 0.50 }, { "p90", 0.90 }, { "p99", 0.99 }, { "p99.9", 0.999 }, { "p99.99", 0.9999 },
};

/* What came over the wire may be no UTF-8: bytes above ASCII are written as Latin-1. */
static void put_json_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (const char *c = text; *c; c++) {
		unsigned char byte = (unsigned char)*c;
		if (byte == '"' || byte == '\\')
			fprintf(out, "\\%c", byte);
		else if (byte < ' ' || byte >= 127)
			fprintf(out, "\\u%04x", byte);
		else
			fputc(byte, out);
	}
	fputc('"', out);
}

static void put_json_totals(FILE *out, const struct tally *tally, double seconds)
{
	fprintf(out,
		"\"seconds\":%.6f,\"issued\":%" PRIu64 ",\"ok\":%" PRIu64 ",\"lost\":%" PRIu64
		",\"local\":%" PRIu64 ",\"closed_idle\":%" PRIu64 ",\"reset_after\":%" PRIu64
		",\"unsolicited\":%" PRIu64 ",\"connects\":%" PRIu64 ",\"slow\":%" PRIu64,
		seconds, tally->issued, tally->outcomes[OUTCOME_OK], tally_lost(tally),
		tally->outcomes[OUTCOME_LOCAL], tally->closed_idle, tally->reset_after,
		tally->unsolicited, tally->connects, tally->slow);
}

static void put_json_generations(FILE *out, const struct tally *tally, bool since_last)
{
	const char *separator = "";

	fputs(",\"generations\":{", out);
	for (size_t i = 0; i < tally->generation_count; i++) {
		const struct generation_count *generation = &tally->generations[i];
		uint64_t ok = generation->ok - (since_last ? generation->ok_reported : 0);
		if (ok == 0)
			continue;
		fputs(separator, out);
		put_json_string(out, generation->name);
		fprintf(out, ":%" PRIu64, ok);
		separator = ",";
	}
	fputc('}', out);
}

static double rate_of(const struct tally *tally, double seconds)
{
	return seconds > 0 ? (double)tally->issued / seconds : 0;
}

void report_json(FILE *out, const struct tally *tally, double seconds)
{
	fputc('{', out);
	put_json_totals(out, tally, seconds);
	fprintf(out, ",\"rate\":%.1f,\"lost_by_kind\":{", rate_of(tally, seconds));
	for (enum outcome kind = OUTCOME_REFUSED; kind < OUTCOME_LOCAL; kind++)
		fprintf(out, "%s\"%s\":%" PRIu64, kind == OUTCOME_REFUSED ? "" : ",",
			outcome_name(kind), tally->outcomes[kind]);
	fputc('}', out);
	put_json_generations(out, tally, false);
	fputs(",\"latency_usec\":{", out);
	for (size_t i = 0; i < ARRAY_SIZE(quantiles); i++)
		fprintf(out, "\"%s\":%" PRIu64 ",", quantiles[i].name,
			histogram_quantile(&tally->latency_usec, quantiles[i].fraction));
	fprintf(out, "\"max\":%" PRIu64 ",\"mean\":%.1f}}\n", tally->latency_usec.max,
		histogram_mean(&tally->latency_usec));
	fflush(out);
}

static void put_text_count(FILE *out, const char *name, uint64_t count)
{
	if (count)
		fprintf(out, "  %-16s %" PRIu64 "\n", name, count);
}

void report_text(FILE *out, const struct tally *tally, double seconds)
{
	fprintf(out, "%" PRIu64 " requests in %.2f s (%.0f/s), %" PRIu64 " connections\n",
		tally->issued, seconds, rate_of(tally, seconds), tally->connects);
	fprintf(out, "ok %" PRIu64 ", lost %" PRIu64 "\n", tally->outcomes[OUTCOME_OK],
		tally_lost(tally));
	for (enum outcome kind = OUTCOME_REFUSED; kind < OUTCOME_LOCAL; kind++)
		put_text_count(out, outcome_name(kind), tally->outcomes[kind]);
	fputs("latency (ms)", out);
	for (size_t i = 0; i < ARRAY_SIZE(quantiles); i++)
		fprintf(out, "  %s %.2f", quantiles[i].name,
			(double)histogram_quantile(&tally->latency_usec, quantiles[i].fraction) /
				1e3);
	fprintf(out, "  max %.2f\n", (double)tally->latency_usec.max / 1e3);
	fprintf(out, "slower than %" PRIu64 " ms: %" PRIu64 "\n", tally->slow_threshold_usec / 1000,
		tally->slow);
	put_text_count(out, "closed idle", tally->closed_idle);
	put_text_count(out, "reset after", tally->reset_after);
	put_text_count(out, "unsolicited", tally->unsolicited);
	for (size_t i = 0; i < tally->generation_count; i++)
		fprintf(out, "generation %-5s %" PRIu64 "\n", tally->generations[i].name,
			tally->generations[i].ok);
	fflush(out);
}

void report_progress(FILE *out, struct tally *tally, double seconds)
{
	struct pollfd writable = { .fd = fileno(out), .events = POLLOUT };

	if (poll(&writable, 1, 0) != 1 || !(writable.revents & POLLOUT))
		return;
	fputc('{', out);
	put_json_totals(out, tally, seconds);
	put_json_generations(out, tally, true);
	fputs("}\n", out);
	fflush(out);
	for (size_t i = 0; i < tally->generation_count; i++)
		tally->generations[i].ok_reported = tally->generations[i].ok;
}
