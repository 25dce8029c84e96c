#include "supervisor/control_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum {
	SOCKET_PATH_MAX = sizeof(((struct sockaddr_un *)0)->sun_path),
	/* Another supervisor that stops just now removes the directory that we opened. */
	OPEN_ATTEMPTS = 16,
};

static int no_memory(struct error *error)
{
	return error_set(error, -ENOMEM, "%s", strerror(ENOMEM));
}

static int format_path(char **ret_path, struct error *error, const char *format, ...) PRINTF(3, 4);

static int format_path(char **ret_path, struct error *error, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int n = vasprintf(ret_path, format, arguments);
	va_end(arguments);
	if (n >= 0)
		return 0;
	*ret_path = NULL;
	return no_memory(error);
}

int control_dir_path(const char *name, char **ret_path, struct error *error)
{
	const char *runtime = getenv("RUNTIME_DIRECTORY"), *user = getenv("XDG_RUNTIME_DIR");
	if (!name[0] || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return error_set(error, -EINVAL, "\"%s\" cannot be the name of a service", name);
	if (runtime && runtime[0] && runtime[0] != '/')
		return error_set(error, -EINVAL, "RUNTIME_DIRECTORY=%s is not an absolute path",
				 runtime);
	if (runtime && runtime[0])
		return format_path(ret_path, error, "%.*s", (int)strcspn(runtime, ":"), runtime);
	if (geteuid() == 0)
		return format_path(ret_path, error, "%s/%s", CONTROL_DIR_SYSTEM, name);
	if (user && user[0] == '/')
		return format_path(ret_path, error, "%s/%s/%s", user, CONTROL_DIR_USER, name);
	return error_set(error, -ENOENT,
			 "no place for a control directory: set XDG_RUNTIME_DIR (a login session "
			 "does) or RUNTIME_DIRECTORY to a directory of your own");
}

/* Mode 0755 whatever the umask is. Returns 1 when it was made, 0 when it was there. */
static int make_directory(const char *path, struct error *error)
{
	if (mkdir(path, 0755) == 0 && chmod(path, 0755) == 0)
		return 1;
	if (errno == EEXIST)
		return 0;
	return error_set(error, -errno, "cannot make the directory %s: %s", path, strerror(errno));
}

/* The one above it too, as it is not there after a boot. */
static int make_with_parent(const char *path, struct error *error)
{
	CLEANUP(freep) char *parent = strdup(path);
	if (!parent)
		return no_memory(error);
	char *slash = strrchr(parent, '/');
	if (slash && slash != parent) {
		*slash = '\0';
		int r = make_directory(parent, error);
		if (r < 0)
			return r;
	}
	return make_directory(path, error);
}

/* Whether @path still names what is open at @fd: what we locked may have been removed before. */
static bool names_held(const char *path, int fd)
{
	struct stat named, held;
	return stat(path, &named) == 0 && fstat(fd, &held) == 0 && named.st_dev == held.st_dev &&
	       named.st_ino == held.st_ino;
}

static int lock(const char *path, int *ret_fd, bool *made, struct error *error)
{
	for (int attempt = 0; attempt < OPEN_ATTEMPTS; attempt++) {
		int r = make_with_parent(path, error);
		if (r < 0)
			return r;
		CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0)
			return error_set(error, -errno, "cannot open the control directory %s: %s",
					 path, strerror(errno));
		bool locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
		if (!locked && errno != EWOULDBLOCK)
			return error_set(error, -errno, "cannot lock the control directory %s: %s",
					 path, strerror(errno));
		if (!names_held(path, fd))
			continue;
		if (!locked)
			break;
		*made = r > 0;
		*ret_fd = TAKE_FD(fd);
		return 0;
	}
	return error_set(error, -EWOULDBLOCK,
			 "another supervisor runs in %s (handoverctl list); give this one another "
			 "--name",
			 path);
}

static void remove_sockets(const char *directory)
{
	DIR *entries = opendir(directory);
	if (!entries)
		return;
	struct stat status;
	for (const struct dirent *entry; (entry = readdir(entries));)
		if (fstatat(dirfd(entries), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISSOCK(status.st_mode))
			(void)unlinkat(dirfd(entries), entry->d_name, 0);
	(void)closedir(entries);
}

static int check_length(const char *path, struct error *error)
{
	size_t most = SOCKET_PATH_MAX - 1 - strlen("/notify/") - CONTROL_DIR_NOTIFY_NAME_MAX;
	if (strlen(path) <= most)
		return 0;
	return error_set(
		error, -ENAMETOOLONG,
		"the control directory %s is too long a path for sockets in it (%zu bytes, "
		"%zu at most): set RUNTIME_DIRECTORY to a shorter one",
		path, strlen(path), most);
}

int control_dir_open(const char *name, struct control_dir *ret_dir, struct error *error)
{
	CLEANUP(freep) char *path = NULL;
	CLEANUP(freep) char *notify_path = NULL;
	CLEANUP(fd_closep) int fd = -1;
	bool made = false;
	int r = control_dir_path(name, &path, error);
	if (r == 0)
		r = check_length(path, error);
	if (r == 0)
		r = format_path(&notify_path, error, "%s/notify", path);
	if (r == 0)
		r = lock(path, &fd, &made, error);
	if (r < 0)
		return r;
	r = make_directory(notify_path, error);
	if (r < 0 && made)
		(void)rmdir(path);
	if (r < 0)
		return r;
	remove_sockets(notify_path);
	*ret_dir = (struct control_dir){ .fd = TAKE_FD(fd),
					 .path = TAKE_PTR(path),
					 .made = made,
					 .notify_path = TAKE_PTR(notify_path) };
	return 0;
}

/* Removes a socket file that nobody listens at. */
static int remove_stale(const struct sockaddr_un *address, struct error *error)
{
	const char *path = address->sun_path;
	struct stat status;
	if (lstat(path, &status) < 0)
		return errno == ENOENT ? 0
				       : error_set(error, -errno,
						   "cannot look at the control socket %s: %s", path,
						   strerror(errno));
	if (!S_ISSOCK(status.st_mode))
		return error_set(error, -EEXIST,
				 "%s is in the way of the control socket: it is not a socket, and "
				 "stays",
				 path);
	CLEANUP(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set(error, -errno, "cannot make a socket: %s", strerror(errno));
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
	    errno != ECONNREFUSED)
		return error_set(error, -EADDRINUSE,
				 "the control socket %s is somebody's who is alive (handoverctl "
				 "list); Socket= can name another",
				 path);
	(void)unlink(path);
	return 0;
}

/* Of two supervisors that find the same dead socket outside their own directories, the second must
 * not remove what the first has just made: the directory it is in is locked meanwhile. */
static int lock_parent(const struct control_dir *dir, const char *path, int *ret_fd,
		       struct error *error)
{
	CLEANUP(freep) char *parent = strdup(path);
	if (!parent)
		return no_memory(error);
	char *slash = strrchr(parent, '/');
	slash[slash == parent] = '\0';
	if (names_held(parent, dir->fd))
		return 0;
	CLEANUP(fd_closep) int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_set(error, -errno, "cannot open the control socket's directory %s: %s",
				 parent, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return error_set(error, -errno, "%s is %s", parent,
				 errno == EWOULDBLOCK ? "another supervisor's" : strerror(errno));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int control_dir_listen(const struct control_dir *dir, const char *socket_name, int *ret_fd,
		       char **ret_path, struct error *error)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	CLEANUP(freep) char *path = NULL;
	CLEANUP(fd_closep) int parent_fd = -1;
	bool absolute = socket_name[0] == '/';
	int r = format_path(&path, error, "%s%s%s", absolute ? "" : dir->path, absolute ? "" : "/",
			    socket_name);
	if (r < 0)
		return r;
	if (strlen(path) >= sizeof(address.sun_path))
		return error_set(error, -ENAMETOOLONG,
				 "the control socket's path %s is too long (%zu bytes at most)",
				 path, sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, strlen(path) + 1);
	r = lock_parent(dir, path, &parent_fd, error);
	if (r == 0)
		r = remove_stale(&address, error);
	if (r < 0)
		return r;
	CLEANUP(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t before = umask(0177); /* so that at no moment others can connect */
	r = fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	(void)umask(before);
	if (r == 0 && listen(fd, SOMAXCONN) < 0) {
		r = -errno;
		(void)unlink(path);
	}
	if (r < 0)
		return error_set(error, r, "cannot listen at the control socket %s: %s", path,
				 strerror(-r));
	*ret_fd = TAKE_FD(fd);
	*ret_path = TAKE_PTR(path);
	return 0;
}

void control_dir_close(struct control_dir *dir, const char *socket_path)
{
	if (dir->fd < 0)
		return;
	if (socket_path)
		(void)unlink(socket_path);
	remove_sockets(dir->notify_path);
	(void)rmdir(dir->notify_path);
	if (dir->made)
		(void)rmdir(dir->path);
	dir->fd = fd_close(dir->fd); /* the lock goes last: see names_held() */
	free(dir->path);
	free(dir->notify_path);
	dir->path = dir->notify_path = NULL;
}
