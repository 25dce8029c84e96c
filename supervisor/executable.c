#include "supervisor/executable.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

enum { KERNEL_READS_BYTES = 256 }; /* BINPRM_BUF_SIZE: what execve(2) judges a file by */

static const char DEFAULT_SEARCH_PATH[] =
	"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/* As it was written and, where a symlink or a search made it another, as it was resolved. */
struct naming {
	const char *written, *resolved;
};

static int refuse(struct error *error, int code, const struct naming *naming, const char *why)
{
	if (naming->resolved && strcmp(naming->written, naming->resolved) != 0)
		return error_set(error, code, "cannot execute %s (%s): %s", naming->written,
				 naming->resolved, why);
	return error_set(error, code, "cannot execute %s: %s", naming->written, why);
}

static void proc_path(int fd, char path[static 32])
{
	(void)snprintf(path, 32, "/proc/self/fd/%d", fd);
}

/* The path of the very file that is held: realpath(3) could find another one by now. */
static int resolve_held(int fd, char **ret_path)
{
	char link[32], path[PATH_MAX];
	proc_path(fd, link);
	ssize_t n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return -errno;
	path[n] = '\0';
	struct stat held, named;
	if (fstat(fd, &held) < 0)
		return -errno;
	if (path[0] != '/' || stat(path, &named) < 0 || held.st_dev != named.st_dev ||
	    held.st_ino != named.st_ino)
		return -ESTALE;
	*ret_path = strdup(path);
	return *ret_path ? 0 : -ENOMEM;
}

static int check_permission(int fd, struct error *error, const struct naming *naming)
{
	if (faccessat(fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS) == 0)
		return 0;
	int code = -errno;
	struct statvfs filesystem;
	if (code == -EACCES && fstatvfs(fd, &filesystem) == 0 && filesystem.f_flag & ST_NOEXEC)
		return refuse(error, code, naming, "its file system is mounted noexec");
	if (code == -EACCES)
		return refuse(error, code, naming, "permission denied (chmod +x?)");
	return refuse(error, code, naming, strerror(-code));
}

/* @line: what stands after "#!", NUL-terminated. */
static int check_interpreter(char *line, size_t n, struct error *error, const struct naming *naming)
{
	char *end = memchr(line, '\n', n);
	char *interpreter = line + strspn(line, " \t");
	size_t length = strcspn(interpreter, " \t\n");
	if (length == 0)
		return refuse(error, -ENOEXEC, naming, "no interpreter stands after its #!");
	if (!end && interpreter + length == line + n && n == KERNEL_READS_BYTES - 2)
		return refuse(error, -ENOEXEC, naming, "the line of its interpreter is too long");
	interpreter[length] = '\0';
	/* A relative one depends on where the worker starts: execve(2) will tell. */
	if (interpreter[0] != '/' || access(interpreter, X_OK) == 0)
		return 0;
	int code = -errno;
	char why[KERNEL_READS_BYTES + 128];
	if (interpreter[length - 1] == '\r')
		(void)snprintf(
			why, sizeof(why),
			"its first line ends in a carriage return (made on Windows?), so that "
			"no interpreter is found");
	else
		(void)snprintf(why, sizeof(why), "its interpreter %s: %s", interpreter,
			       code == -ENOENT ? "no such file" : strerror(-code));
	return refuse(error, code, naming, why);
}

static int check_format(int fd, bool *ret_script, struct error *error, const struct naming *naming)
{
	char link[32], bytes[KERNEL_READS_BYTES + 1];
	proc_path(fd, link);
	CLEANUP(fd_closep) int readable = open(link, O_RDONLY | O_CLOEXEC);
	if (readable < 0) /* what may be executed need not be readable */
		return 0;
	ssize_t n = read(readable, bytes, KERNEL_READS_BYTES);
	if (n < 0)
		return refuse(error, -errno, naming, strerror(errno));
	bytes[n] = '\0';
	if (n >= 4 && memcmp(bytes, "\177ELF", 4) == 0)
		return 0;
	if (n >= 2 && memcmp(bytes, "#!", 2) == 0) {
		*ret_script = true;
		return check_interpreter(bytes + 2, (size_t)n - 2, error, naming);
	}
	return refuse(error, -ENOEXEC, naming,
		      n == 0 ? "the file is empty"
			     : "exec format error (neither an ELF file nor a script with #!)");
}

static int open_held(const char *path, int directory_fd, const char *written,
		     struct executable *ret_executable, struct error *error)
{
	struct naming naming = { .written = written, .resolved = path };
	CLEANUP(fd_closep) int fd = openat(directory_fd, path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return refuse(error, -errno, &naming,
			      errno == ENOENT ? "no such file" : strerror(errno));
	struct stat identity;
	if (fstat(fd, &identity) < 0)
		return refuse(error, -errno, &naming, strerror(errno));
	CLEANUP(freep) char *resolved = NULL;
	int r = resolve_held(fd, &resolved);
	if (r < 0)
		return refuse(error, r, &naming,
			      r == -ESTALE ? "it was replaced at this very moment; try again"
					   : strerror(-r));
	naming.resolved = resolved;
	if (!S_ISREG(identity.st_mode))
		return refuse(error, S_ISDIR(identity.st_mode) ? -EISDIR : -EACCES, &naming,
			      S_ISDIR(identity.st_mode) ? "is a directory" : "not a regular file");
	bool script = false;
	r = check_permission(fd, error, &naming);
	if (r == 0)
		r = check_format(fd, &script, error, &naming);
	if (r < 0)
		return r;
	*ret_executable = (struct executable){ .fd = TAKE_FD(fd),
					       .path = TAKE_PTR(resolved),
					       .script = script,
					       .identity = identity };
	return 0;
}

/* Whether execvp(3) would stop at this one: a regular file that may be executed. */
static bool is_candidate(const char *path, int directory_fd, bool *denied)
{
	struct stat status;
	if (fstatat(directory_fd, path, &status, 0) < 0 || !S_ISREG(status.st_mode))
		return false;
	if (faccessat(directory_fd, path, X_OK, AT_EACCESS) == 0)
		return true;
	*denied = true;
	return false;
}

static int open_searched(const char *program, const char *search_path, int directory_fd,
			 struct executable *ret_executable, struct error *error)
{
	bool denied = false;
	for (const char *rest = search_path; rest;) {
		int length = (int)strcspn(rest, ":");
		char path[PATH_MAX];
		int n = snprintf(path, sizeof(path), "%.*s/%s", length > 0 ? length : 1,
				 length > 0 ? rest : ".", program);
		if (n > 0 && (size_t)n < sizeof(path) && is_candidate(path, directory_fd, &denied))
			return open_held(path, directory_fd, program, ret_executable, error);
		rest = rest[length] == ':' ? rest + length + 1 : NULL;
	}
	return error_set(
		error, denied ? -EACCES : -ENOENT, "cannot execute %s: %s PATH=%s", program,
		denied ? "not executable (chmod +x?) where it was found in" : "not found in",
		search_path);
}

int executable_open(const char *program, const char *search_path, int directory_fd,
		    struct executable *ret_executable, struct error *error)
{
	if (program[0] == '\0')
		return error_set(error, -ENOENT, "no program is named");
	if (strchr(program, '/'))
		return open_held(program, directory_fd, program, ret_executable, error);
	return open_searched(program, search_path ? search_path : DEFAULT_SEARCH_PATH, directory_fd,
			     ret_executable, error);
}

void executable_finish(struct executable *executable)
{
	executable->fd = fd_close(executable->fd);
	free(executable->path);
	executable->path = NULL;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

enum executable_change executable_check(const struct executable *executable)
{
	const struct stat *then = &executable->identity;
	struct stat held, named;
	if (fstat(executable->fd, &held) < 0)
		return EXECUTABLE_MOVED;
	bool moved = stat(executable->path, &named) < 0 || named.st_dev != then->st_dev ||
		     named.st_ino != then->st_ino;
	if (held.st_size != then->st_size || !same_time(&held.st_mtim, &then->st_mtim))
		return EXECUTABLE_OVERWRITTEN;
	/* The change time alone also tells of renames, links and chmod, which harm nobody. Where
	 * none of them explains it, the file was written to and its other time put back. */
	if (!moved && !same_time(&held.st_ctim, &then->st_ctim) &&
	    held.st_nlink == then->st_nlink && held.st_mode == then->st_mode &&
	    held.st_uid == then->st_uid && held.st_gid == then->st_gid)
		return EXECUTABLE_OVERWRITTEN;
	return moved ? EXECUTABLE_MOVED : EXECUTABLE_SAME;
}
