/* What the command line asks for. Plain data; its strings are argv's own. */
#ifndef HANDOVER_TESTS_LOAD_OPTIONS_H
#define HANDOVER_TESTS_LOAD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/load/load_target.h"

enum load_mode {
	LOAD_CONNECTION,
	LOAD_KEEPALIVE,
	LOAD_IDLE,
	LOAD_SLOW,
};

struct load_options {
	struct target target;
	enum load_mode mode;
	double rate_per_sec; /* 0: closed loop */
	uint64_t clients;
	uint64_t requests;	/* UINT64_MAX: no limit */
	uint64_t duration_usec; /* UINT64_MAX: no limit */
	uint64_t timeout_usec;
	uint64_t idle_interval_usec;
	uint64_t slow_usec;
	uint64_t slow_threshold_usec;
	uint64_t progress_usec; /* 0: none */
	bool until_eof;
	bool json;
	const char *path;
	const char *expect_body;
	int64_t expect_length_bytes;
	const char *generation_header;
};

/* 0, or -EINVAL with the reason said on stderr; --help exits. */
int load_options_parse(struct load_options *options, int argc, char **argv);

#endif
