/*
 * The control directory of one supervisor: where control.sock and the workers' notify sockets are.
 * $RUNTIME_DIRECTORY (the first, if it is a list), else /run/handover/NAME for root and
 * $XDG_RUNTIME_DIR/handover/NAME for others. Locked (flock(2) on the directory itself) for as long
 * as the supervisor lives, so that a second one there ends with a clear error, without a race. What
 * exists is used as it is; what was not made here is not removed.
 *
 * Owner: the supervisor.
 */
#ifndef HANDOVER_SUPERVISOR_CONTROL_DIR_H
#define HANDOVER_SUPERVISOR_CONTROL_DIR_H

#include <stdbool.h>

#include "proto/error.h"

#ifndef CONTROL_DIR_SYSTEM
#define CONTROL_DIR_SYSTEM "/run/handover"
#endif
#define CONTROL_DIR_USER    "handover" /* below $XDG_RUNTIME_DIR */
#define CONTROL_SOCKET_NAME "control.sock"

enum { CONTROL_DIR_NOTIFY_NAME_MAX = 20 }; /* bytes in the name of a worker's notify socket */

struct control_dir {
	int fd; /* open and locked */
	char *path;
	bool made;
	char *notify_path; /* path/notify, made and removed by us */
};

/* Where the directory of @name is for this user and environment, without making it. */
int control_dir_path(const char *name, char **ret_path, struct error *error);

/* Makes (mode 0755) and locks. -EWOULDBLOCK when another supervisor has it. Left-over notify
 * sockets of a dead one are removed. Paths too long for sockaddr_un are refused here. */
int control_dir_open(const char *name, struct control_dir *ret_dir, struct error *error);

/* A listening, non-blocking AF_UNIX stream socket at @socket_name (a name in the directory, or an
 * absolute path), mode 0600; *ret_path for people. A dead owner's file is replaced. */
int control_dir_listen(const struct control_dir *dir, const char *socket_name, int *ret_fd,
		       char **ret_path, struct error *error);

/* Removes what was made, unlocks. @socket_path: as control_dir_listen gave it, or NULL. */
void control_dir_close(struct control_dir *dir, const char *socket_path);

/* In a file of its own, with no library behind it. Every control directory that may hold
 * supervisors for this user, for handoverctl: calls @found with each existing instance's name (its
 * directory's) and socket path. */
void control_dir_list(void (*found)(void *data, const char *name, const char *socket_path),
		      void *data);

#endif
