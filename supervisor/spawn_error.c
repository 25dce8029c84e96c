#include "supervisor/spawn_error.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>

#include "supervisor/spec.h"

int spawn_error_clone(struct error *error, const struct spec *spec, int code)
{
	const char *why = strerror(-code);
	if (code == -EAGAIN)
		why = "too many processes (RLIMIT_NPROC, pids.max of the cgroup or kernel.pid_max)";
	else if (code == -ENOMEM)
		why = "not enough memory for another process";
	else if (code == -EMFILE || code == -ENFILE)
		why = "too many open files: no descriptor is left for it (LimitNOFILE= of handoverd)";
	return error_set(error, code, "cannot start %s: %s", spec->executable.path, why);
}

/* How much execve(2) would have had to copy. */
static size_t strings_bytes(char *const *strings)
{
	size_t bytes = 0;
	for (size_t i = 0; strings[i]; i++)
		bytes += strlen(strings[i]) + 1;
	return bytes;
}

/* The file may have changed since its generation was made: look at it as if for the first time,
 * which finds a missing interpreter, a wrong format, a noexec mount. Returns true when it did. */
static bool explain_by_file(struct error *error, const struct executable *executable)
{
	struct executable now = { .fd = -1 };
	if (executable_open(executable->path, NULL, AT_FDCWD, &now, error) < 0)
		return true;
	executable_finish(&now);
	return false;
}

static int exec_error(struct error *error, const struct spawn_child *child, int code)
{
	const struct spec *spec = child->spec;
	const char *path = spec->executable.path;
	switch (-code) {
	case ENOENT:
		if (!child->by_descriptor && explain_by_file(error, &spec->executable))
			return code;
		return error_set(error, code,
				 "cannot execute %s: its interpreter or dynamic loader is missing "
				 "(see `readelf --program-headers`, or the first line of a script)",
				 path);
	case ENOEXEC:
		if (!child->by_descriptor && explain_by_file(error, &spec->executable))
			return code;
		return error_set(error, code,
				 "cannot execute %s: exec format error (damaged, or built for "
				 "another kind of machine)",
				 path);
	case EACCES:
		if (!child->by_descriptor && explain_by_file(error, &spec->executable))
			return code;
		return error_set(
			error, code,
			"cannot execute %s: permission denied for uid %ld (look at its mode, "
			"its directories' and its interpreter's)",
			path, spec->set_identity ? (long)spec->uid : (long)geteuid());
	case E2BIG:
		return error_set(error, code,
				 "cannot execute %s: arguments (%zu KiB) and environment (%zu KiB) "
				 "are too large together, or one of them is over 128 KiB",
				 path, strings_bytes(child->argv) / 1024,
				 strings_bytes(child->environment) / 1024);
	case EAGAIN:
		return error_set(error, code,
				 "cannot execute %s: uid %ld has too many processes (RLIMIT_NPROC)",
				 path, spec->set_identity ? (long)spec->uid : (long)geteuid());
	case ETXTBSY:
		return error_set(error, code,
				 "cannot execute %s: it is open for writing (is it being copied?)",
				 path);
	default:
		return error_set(error, code, "cannot execute %s: %s", path, strerror(-code));
	}
}

int spawn_error_child(struct error *error, const struct spawn_child *child,
		      const struct spawn_report *report)
{
	const struct spec *spec = child->spec;
	int code = -report->failed_errno;
	const char *why = strerror(-code);
	switch (report->step) {
	case SPAWN_STEP_GROUP:
		return error_set(error, code, "cannot give a worker its process group: %s", why);
	case SPAWN_STEP_DESCRIPTORS:
		return error_set(error, code, "cannot give a worker its %zu file descriptors: %s%s",
				 child->n_fds, why,
				 code == -EMFILE ? " (raise LimitNOFILE= of handoverd)" : "");
	case SPAWN_STEP_LIMITS:
		return error_set(error, code, "cannot set LimitNOFILE=%llu:%llu: %s",
				 (unsigned long long)spec->limit_nofile.rlim_cur,
				 (unsigned long long)spec->limit_nofile.rlim_max, why);
	case SPAWN_STEP_GROUPS:
		return error_set(error, code, "cannot set a worker's %zu supplementary groups: %s",
				 spec->n_groups, why);
	case SPAWN_STEP_GID:
		return error_set(error, code, "cannot become gid %ld (Group=): %s", (long)spec->gid,
				 why);
	case SPAWN_STEP_UID:
		return error_set(error, code, "cannot become uid %ld (User=): %s", (long)spec->uid,
				 why);
	case SPAWN_STEP_DIRECTORY:
		return error_set(error, code, "uid %ld cannot enter WorkingDirectory=%s: %s",
				 spec->set_identity ? (long)spec->uid : (long)geteuid(),
				 spec->directory, why);
	case SPAWN_STEP_EXEC:
		return exec_error(error, child, code);
	}
	assert(!"a child that failed at an unknown step");
	return -EINVAL;
}
