#include "supervisor/control_dir.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct search {
	void (*found)(void *data, const char *name, const char *socket_path);
	void *data;
	const char *already; /* a directory that has been looked at */
};

/* An instance is where a socket is, whether or not somebody listens there. */
static void look_at(const struct search *search, const char *directory, const char *name)
{
	char path[PATH_MAX];
	struct stat status;
	int n = snprintf(path, sizeof(path), "%s/%s", directory, CONTROL_SOCKET_NAME);
	if (n > 0 && (size_t)n < sizeof(path) && stat(path, &status) == 0 &&
	    S_ISSOCK(status.st_mode))
		search->found(search->data, name, path);
}

static void look_into(const struct search *search, const char *parent)
{
	struct dirent **entries;
	int n = scandir(parent, &entries, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		char path[PATH_MAX];
		const char *name = entries[i]->d_name;
		int length = snprintf(path, sizeof(path), "%s/%s", parent, name);
		if (length > 0 && (size_t)length < sizeof(path) && name[0] != '.' &&
		    !(search->already && strcmp(path, search->already) == 0))
			look_at(search, path, name);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

void control_dir_list(void (*found)(void *data, const char *name, const char *socket_path),
		      void *data)
{
	struct search search = { .found = found, .data = data };
	const char *runtime = getenv("RUNTIME_DIRECTORY"), *user = getenv("XDG_RUNTIME_DIR");
	char first[PATH_MAX], parent[PATH_MAX];
	if (runtime && runtime[0] == '/') {
		(void)snprintf(first, sizeof(first), "%.*s", (int)strcspn(runtime, ":"), runtime);
		search.already = first;
		look_at(&search, first, strrchr(first, '/') + 1);
	}
	look_into(&search, CONTROL_DIR_SYSTEM);
	if (user && user[0] == '/') {
		(void)snprintf(parent, sizeof(parent), "%s/%s", user, CONTROL_DIR_USER);
		look_into(&search, parent);
	}
}
