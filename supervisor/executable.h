/*
 * A program as it was when its generation was made: resolved once and held open (O_PATH), so that
 * what is started an hour later is the same file, though it was renamed over or deleted or a
 * symlink on its way moved. Started by its path while that still names the held inode, by
 * descriptor (execveat(2)) otherwise. A script has no inode that its interpreter would take: its
 * resolved path is held, and whether the file there is still the same is noticed.
 */
#ifndef HANDOVER_SUPERVISOR_EXECUTABLE_H
#define HANDOVER_SUPERVISOR_EXECUTABLE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "proto/error.h"

struct executable {
	int fd;	    /* O_PATH | O_CLOEXEC */
	char *path; /* resolved: absolute, no symlinks */
	bool script;
	struct stat identity; /* when it was resolved: device, inode, size, ctime */
};

/* Resolves @program as execvp(3) would: as a path where it has a slash (relative to
 * @directory_fd, AT_FDCWD or a held directory), else through @search_path (the value of PATH, NULL:
 * the system's default). Checks now what would make execve(2) fail later: not there, no regular
 * file, not executable for us, a script whose interpreter is missing, no known format. Returns 0
 * or a negative errno with @error's text saying which. */
int executable_open(const char *program, const char *search_path, int directory_fd,
		    struct executable *ret_executable, struct error *error);
void executable_finish(struct executable *executable);

/* How its file is now, against when it was resolved. */
enum executable_change {
	EXECUTABLE_SAME,	/* the path names the held, unchanged file */
	EXECUTABLE_MOVED,	/* the path names another file or none: the held one is used */
	EXECUTABLE_OVERWRITTEN, /* the held inode itself was written to */
};
enum executable_change executable_check(const struct executable *executable);

#endif
