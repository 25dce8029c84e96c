/*
 * Prints what a process was started with, a line a fact, for tests of whoever starts processes:
 *
 *   argument TEXT · variable NAME=VALUE · descriptor N KIND · blocked HEX · ignored HEX
 *   pid N · group N · session N · directory PATH · umask OCTAL · nofile SOFT HARD
 *   uid REAL EFFECTIVE SAVED · gid REAL EFFECTIVE SAVED · group_of N …
 *
 * With an argument "wait" it then waits for a signal, with "exit=N" it exits so.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DESCRIPTORS_LOOKED_AT = 1024, GROUPS_MAX = 64 };

static const char *kind_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFIFO:
		return "pipe";
	case S_IFSOCK:
		return "socket";
	case S_IFCHR:
		return "device";
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "directory";
	default:
		return "other";
	}
}

static void print_descriptors(void)
{
	for (int fd = 0; fd < DESCRIPTORS_LOOKED_AT; fd++) {
		struct stat status;
		if (fstat(fd, &status) == 0)
			printf("descriptor %d %s %lu%s\n", fd, kind_of(status.st_mode),
			       (unsigned long)status.st_ino,
			       fcntl(fd, F_GETFD) & FD_CLOEXEC ? " cloexec" : "");
	}
}

static void print_signals(void)
{
	char line[256];
	FILE *status = fopen("/proc/self/status", "re");
	while (status && fgets(line, sizeof(line), status)) {
		if (strncmp(line, "SigBlk:\t", 8) == 0)
			printf("blocked %s", line + 8);
		else if (strncmp(line, "SigIgn:\t", 8) == 0)
			printf("ignored %s", line + 8);
	}
	if (status)
		fclose(status);
}

static void print_identity(void)
{
	uid_t uids[3];
	gid_t gids[3], groups[GROUPS_MAX];
	if (getresuid(&uids[0], &uids[1], &uids[2]) == 0)
		printf("uid %u %u %u\n", uids[0], uids[1], uids[2]);
	if (getresgid(&gids[0], &gids[1], &gids[2]) == 0)
		printf("gid %u %u %u\n", gids[0], gids[1], gids[2]);
	int n = getgroups(GROUPS_MAX, groups);
	printf("group_of");
	for (int i = 0; i < n; i++)
		printf(" %u", groups[i]);
	printf("\n");
}

static void print_rest(void)
{
	char directory[PATH_MAX];
	struct rlimit limit;
	mode_t mask = umask(0);
	printf("pid %d\ngroup %d\nsession %d\n", getpid(), getpgrp(), getsid(0));
	if (getcwd(directory, sizeof(directory)))
		printf("directory %s\n", directory);
	printf("umask %04o\n", (unsigned)mask);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		printf("nofile %llu %llu\n", (unsigned long long)limit.rlim_cur,
		       (unsigned long long)limit.rlim_max);
}

int main(int argc, char **argv)
{
	print_descriptors();
	for (int i = 0; i < argc; i++)
		printf("argument %s\n", argv[i]);
	for (char **variable = environ; *variable; variable++)
		printf("variable %s\n", *variable);
	print_signals();
	print_identity();
	print_rest();
	printf("end\n");
	fflush(stdout);
	const char *last = argv[argc - 1];
	if (strcmp(last, "wait") == 0)
		pause();
	return strncmp(last, "exit=", 5) == 0 ? atoi(last + 5) : 0;
}
