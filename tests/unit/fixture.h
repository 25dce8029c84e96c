/*
 * What several tests of the process layer need: a directory of their own, small files, the helper
 * programs beside them, descriptors counted.
 */
#ifndef HANDOVER_TESTS_UNIT_FIXTURE_H
#define HANDOVER_TESTS_UNIT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base.h"

struct scratch {
	char path[64];
};

static inline void scratch_make(struct scratch *scratch)
{
	(void)snprintf(scratch->path, sizeof(scratch->path), "/tmp/handover-test.XXXXXX");
	assert_non_null(mkdtemp(scratch->path));
	assert_int_equal(chmod(scratch->path, 0755), 0);
}

static inline int scratch_remove_one(const char *path, const struct stat *status, int type,
				     struct FTW *where)
{
	(void)status, (void)type, (void)where;
	return remove(path);
}

static inline void scratch_remove(struct scratch *scratch)
{
	assert_int_equal(nftw(scratch->path, scratch_remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* Returns "scratch/name"; valid until the fourth call from here. */
static inline const char *scratch_file(const struct scratch *scratch, const char *name)
{
	static char paths[4][PATH_MAX];
	static unsigned turn;
	char *path = paths[turn++ % ARRAY_SIZE(paths)];
	(void)snprintf(path, PATH_MAX, "%s/%s", scratch->path, name);
	return path;
}

/* Writes into the file that is there, or makes it. */
static inline void file_write(const char *path, const void *bytes, size_t n, mode_t mode)
{
	CLEANUP(fd_closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, n), (ssize_t)n);
	assert_int_equal(fchmod(fd, mode), 0);
}

static inline void file_write_text(const char *path, const char *text, mode_t mode)
{
	file_write(path, text, strlen(text), mode);
}

static inline void file_copy(const char *from, const char *to, mode_t mode)
{
	CLEANUP(fd_closep) int source = open(from, O_RDONLY | O_CLOEXEC);
	struct stat status;
	assert_true(source >= 0);
	assert_int_equal(fstat(source, &status), 0);
	CLEANUP(freep) char *bytes = malloc((size_t)status.st_size);
	assert_non_null(bytes);
	assert_int_equal(read(source, bytes, (size_t)status.st_size), status.st_size);
	file_write(to, bytes, (size_t)status.st_size, mode);
}

/* A program of tests/programs/, which is built beside the tests. */
static inline const char *helper_program(const char *name)
{
	static char path[PATH_MAX + 64];
	char own[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);
	assert_true(n > 0);
	own[n] = '\0';
	for (int up = 0; up < 2; up++)
		*strrchr(own, '/') = '\0';
	(void)snprintf(path, sizeof(path), "%s/programs/%s", own, name);
	return path;
}

static inline unsigned count_descriptors(void)
{
	unsigned n = 0;
	DIR *entries = opendir("/proc/self/fd");
	assert_non_null(entries);
	while (readdir(entries))
		n++;
	(void)closedir(entries);
	return n;
}

#endif
