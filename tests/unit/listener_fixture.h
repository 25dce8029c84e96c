/*
 * What the tests of the sockets share: a configuration in a few words, connections over loopback,
 * who got them, and a count of descriptors that must be the same after each test as before it.
 */
#ifndef HANDOVER_TESTS_UNIT_LISTENER_FIXTURE_H
#define HANDOVER_TESTS_UNIT_LISTENER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "proto/base.h"
#include "supervisor/config.h"
#include "supervisor/listener.h"

struct setup {
	struct address address;
	char name[CONFIG_NAME_MAX];
	struct config_listener listener;
	struct config config;
	struct problems notices;
	struct error error;
};

static inline void setup_init(struct setup *setup, const char *address, bool reuse_port)
{
	*setup = (struct setup){ .name = "http" };
	assert_int_equal(address_parse(address, &setup->address, NULL), 0);
	setup->listener = (struct config_listener){
		.name = setup->name,
		.addresses = &setup->address,
		.n_addresses = 1,
		.reuse_port = reuse_port,
		.backlog = 4096,
		.socket_mode = 0666,
	};
	setup->config.listeners = &setup->listener;
	setup->config.n_listeners = 1;
}

/* Opens; fails the test with the error's text when that fails. */
static inline struct listeners *setup_open(struct setup *setup, size_t n_slots)
{
	struct listeners *listeners = NULL;
	setup->config.listeners = &setup->listener;
	setup->listener.addresses = &setup->address;
	setup->listener.name = setup->name;
	if (listeners_open(&setup->config, n_slots, NULL, &listeners, &setup->notices,
			   &setup->error) < 0)
		fail_msg("%s", setup->error.text);
	problems_finish(&setup->notices);
	return listeners;
}

/* Opening must fail with @code; the text is in setup->error. */
static inline void setup_must_fail(struct setup *setup, size_t n_slots, int code)
{
	struct listeners *listeners = NULL;
	assert_int_equal(listeners_open(&setup->config, n_slots, NULL, &listeners, &setup->notices,
					&setup->error),
			 code);
	assert_null(listeners);
	problems_finish(&setup->notices);
}

static inline void assert_text(const struct error *error, const char *part)
{
	if (!strstr(error->text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, error->text);
}

static inline int socket_at(const struct address *address, int type)
{
	int fd = socket(address_family(address), type | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	if (bind(fd, (const struct sockaddr *)&address->storage, address->length) < 0) {
		int code = -errno;
		(void)close(fd);
		return code;
	}
	return fd;
}

/* A connection, or a negative errno. */
static inline int dial(const struct address *address)
{
	int fd = socket(address_family(address), SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	if (connect(fd, (const struct sockaddr *)&address->storage, address->length) < 0) {
		int code = -errno;
		(void)close(fd);
		return code;
	}
	return fd;
}

/* Closes without TIME_WAIT, which some ten thousand connections would run out of ports by. */
static inline void hang_up(int fd)
{
	struct linger reset = { .l_onoff = 1 };
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	(void)close(fd);
}

/* Accepts from the shard that has the one connection there is, and says which that is. */
static inline size_t accept_from_any(const struct endpoint *endpoint)
{
	struct pollfd states[64];
	assert_true(endpoint->n_shards <= ARRAY_SIZE(states));
	for (size_t i = 0; i < endpoint->n_shards; i++)
		states[i] = (struct pollfd){ .fd = endpoint->shards[i].fd, .events = POLLIN };
	assert_int_equal(poll(states, (nfds_t)endpoint->n_shards, 5000), 1);
	for (size_t i = 0; i < endpoint->n_shards; i++)
		if (states[i].revents) {
			int fd = accept(states[i].fd, NULL, NULL);
			assert_true(fd >= 0);
			hang_up(fd);
			return i;
		}
	fail();
	return 0;
}

/* Makes @n connections one after the other and counts who got them. */
static inline void spread(const struct endpoint *endpoint, size_t n, unsigned *ret_counts)
{
	memset(ret_counts, 0, endpoint->n_shards * sizeof(*ret_counts));
	for (size_t i = 0; i < n; i++) {
		int fd = dial(&endpoint->address);
		assert_true(fd >= 0);
		ret_counts[accept_from_any(endpoint)]++;
		hang_up(fd);
	}
}

/* fork(2), for a child that does not outlive a failed test: it would hold sockets and output. */
static inline pid_t fork_helper(void)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

static inline unsigned count_descriptors(void)
{
	unsigned n = 0;
	DIR *directory = opendir("/proc/self/fd");
	assert_non_null(directory);
	while (readdir(directory))
		n++;
	(void)closedir(directory);
	return n;
}

static inline int remember_descriptors(void **state)
{
	*state = (void *)(uintptr_t)count_descriptors();
	return 0;
}

static inline int no_descriptor_leaked(void **state)
{
	unsigned before = (unsigned)(uintptr_t)*state, now = count_descriptors();
	if (now != before)
		print_error("%u descriptors before the test, %u after it\n", before, now);
	return now == before ? 0 : -1;
}

#define socket_test(function) \
	cmocka_unit_test_setup_teardown(function, remember_descriptors, no_descriptor_leaked)

#endif
