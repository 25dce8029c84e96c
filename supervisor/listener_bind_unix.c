#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "proto/base.h"
#include "supervisor/listener_bind.h"
#include "supervisor/port_owner.h"

static bool id_parse(const char *text, id_t *ret_id)
{
	char *end;
	errno = 0;
	unsigned long number = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number >= (id_t)-1)
		return false;
	*ret_id = (id_t)number;
	return true;
}

/* -1 stays for what is not configured, which chown(2) leaves as it is. A user's primary group comes
 * with the user, as in systemd.socket(5). */
static int owner_resolve(const struct config_listener *config, uid_t *ret_uid, gid_t *ret_gid,
			 struct error *error)
{
	uid_t uid = (uid_t)-1;
	gid_t gid = (gid_t)-1;
	if (config->socket_user) {
		const struct passwd *user = getpwnam(config->socket_user);
		if (user) {
			uid = user->pw_uid;
			gid = user->pw_gid;
		} else if (!id_parse(config->socket_user, &uid)) {
			return error_set(error, -EINVAL, "SocketUser=%s: there is no such user",
					 config->socket_user);
		}
	}
	if (config->socket_group) {
		const struct group *group = getgrnam(config->socket_group);
		if (group)
			gid = group->gr_gid;
		else if (!id_parse(config->socket_group, &gid))
			return error_set(error, -EINVAL, "SocketGroup=%s: there is no such group",
					 config->socket_group);
	}
	*ret_uid = uid;
	*ret_gid = gid;
	return 0;
}

/* 0 when nobody is behind the socket, -EADDRINUSE when somebody is, or why that cannot be told. */
static int probe_owner(const struct address *address)
{
	CLEANUP(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address->storage, address->length) == 0)
		return -EADDRINUSE;
	switch (errno) {
	case ECONNREFUSED: /* dead, unless it is bound and about to listen */
		return port_owner_exists(address) ? -EADDRINUSE : 0;
	case EAGAIN:	 /* its queue is full */
	case EPROTOTYPE: /* it is no stream socket */
		return -EADDRINUSE;
	default:
		return -errno;
	}
}

/* Takes PATH.lock, made for the purpose. Its holder removes it, so that what was opened may be gone
 * from there by the time that it is locked: then another one is needed. */
static int path_lock(const char *lock_path, int *ret_fd, struct error *error)
{
	for (;;) {
		struct stat locked;
		CLEANUP(fd_closep)
		int fd = open(lock_path, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0)
			return errno == ENOENT
				       ? error_set(error, -ENOENT,
						   "the directory of the socket does not exist")
				       : error_set(error, -errno, "%s cannot be made: %s",
						   lock_path, strerror(errno));
		if (flock(fd, LOCK_EX | LOCK_NB) < 0)
			return errno == EWOULDBLOCK
				       ? error_set(error, -EADDRINUSE,
						   "another process is taking the address just now")
				       : error_set(error, -errno, "%s: %s", lock_path,
						   strerror(errno));
		if (fstat(fd, &locked) == 0 && locked.st_nlink > 0) {
			*ret_fd = TAKE_FD(fd);
			return 0;
		}
	}
}

static int clear_path(const struct address *address, struct error *error)
{
	const char *path = address_unix_path(address);
	struct stat found;
	if (lstat(path, &found) < 0)
		return errno == ENOENT ? 0 : listener_bind_failed(address, -errno, error);
	if (!S_ISSOCK(found.st_mode))
		return error_set(
			error, -EEXIST,
			"there is a file that is no socket, which handoverd does not remove");
	int r = probe_owner(address);
	if (r == -EADDRINUSE)
		return listener_bind_failed(address, r, error);
	if (r < 0 && r != -ENOENT)
		return error_set(error, r,
				 "there is a socket, and whether it is in use cannot be told: %s",
				 strerror(-r));
	return unlink(path) == 0 || errno == ENOENT
		       ? 0
		       : error_set(error, -errno, "the dead socket there cannot be removed: %s",
				   strerror(errno));
}

/* The mode is for a file; an abstract name has none. */
static int bind_with_mode(int fd, const struct address *address, mode_t mode)
{
	mode_t saved = umask(0777 & ~mode);
	int r = bind(fd, (const struct sockaddr *)&address->storage, address->length) < 0 ? -errno
											  : 0;
	(void)umask(saved);
	return r;
}

static int bind_replacing_dead(int fd, const struct address *address, mode_t mode,
			       struct error *error)
{
	int r = bind_with_mode(fd, address, mode);
	if (r == -EADDRINUSE && address_unix_path(address)) {
		r = clear_path(address, error);
		if (r < 0)
			return r;
		r = bind_with_mode(fd, address, mode);
	}
	return r < 0 ? listener_bind_failed(address, r, error) : 0;
}

static int bind_path(int fd, const struct address *address, const struct config_listener *config,
		     struct socket_file *ret_file, struct error *error)
{
	const char *path = address_unix_path(address);
	CLEANUP(fd_closep) int lock = -1;
	CLEANUP(freep) char *lock_path = NULL;
	uid_t uid = (uid_t)-1;
	gid_t gid = (gid_t)-1;
	struct stat made;
	int r = owner_resolve(config, &uid, &gid, error);
	if (r < 0)
		return r;
	if (asprintf(&lock_path, "%s.lock", path) < 0)
		return error_set(error, -ENOMEM, "out of memory");
	r = path_lock(lock_path, &lock, error);
	if (r < 0)
		return r;
	r = bind_replacing_dead(fd, address, config->socket_mode, error);
	if (r == 0 && lstat(path, &made) < 0)
		r = error_set(error, -errno, "%s", strerror(errno));
	if (r == 0 && (uid != (uid_t)-1 || gid != (gid_t)-1) && lchown(path, uid, gid) < 0) {
		r = error_set(error, -errno, "cannot be given to SocketUser=, SocketGroup=: %s",
			      strerror(errno));
		(void)unlink(path);
	}
	(void)unlink(lock_path);
	if (r == 0)
		*ret_file = (struct socket_file){ .device = made.st_dev, .inode = made.st_ino };
	return r;
}

int listener_bind_unix(const struct config_listener *config, const struct address *address,
		       bool nonblocking, int *ret_fd, struct socket_file *ret_file,
		       struct error *error)
{
	CLEANUP(fd_closep)
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0);
	if (fd < 0)
		return listener_bind_failed(address, -errno, error);
	struct socket_file file = { 0 };
	int r = address_unix_path(address) ? bind_path(fd, address, config, &file, error)
					   : bind_replacing_dead(fd, address, 0, error);
	if (r < 0)
		return r;
	*ret_file = file;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

void listener_bind_unlink(const struct address *address, const struct socket_file *file)
{
	const char *path = address_unix_path(address);
	struct stat found;
	if (path && lstat(path, &found) == 0 && found.st_dev == file->device &&
	    found.st_ino == file->inode)
		(void)unlink(path);
}
