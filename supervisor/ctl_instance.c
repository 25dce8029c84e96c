#include "supervisor/ctl_instance.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/varlink_client.h"
#include "supervisor/control_dir.h"
#include "supervisor/ctl_screen.h"

/* How long a supervisor may take to say its own name. */
enum { NAME_TIMEOUT_MS = 2000 };

struct search {
	struct instances instances;
	bool failed;
};

static int probe(const char *socket_path)
{
	CLEANUP(varlink_client_freep) struct varlink_client *client = NULL;
	return varlink_client_connect(socket_path, &client, NULL);
}

/* $RUNTIME_DIRECTORY and /run/handover/NAME may be one directory. */
static bool known(const struct instances *instances, const char *socket_path)
{
	struct stat wanted, have;
	if (stat(socket_path, &wanted) < 0)
		return false;
	for (size_t i = 0; i < instances->n_items; i++)
		if (stat(instances->items[i].socket_path, &have) == 0 &&
		    wanted.st_dev == have.st_dev && wanted.st_ino == have.st_ino)
			return true;
	return false;
}

static void found(void *data, const char *name, const char *socket_path)
{
	struct search *search = data;
	struct instances *instances = &search->instances;

	if (known(instances, socket_path))
		return;
	int r = probe(socket_path);
	if (r == -ENOENT || r == -ECONNREFUSED)
		return;
	struct instance *items = reallocarray(instances->items, instances->n_items + 1,
					      sizeof(*items));
	if (!items) {
		search->failed = true;
		return;
	}
	instances->items = items;
	struct instance *instance = &items[instances->n_items++];
	*instance = (struct instance){
		.name = strdup(name),
		.socket_path = strdup(socket_path),
		.permitted = r != -EACCES && r != -EPERM,
	};
	if (!instance->name || !instance->socket_path)
		search->failed = true;
}

int instances_find(struct instances *ret_instances)
{
	struct search search = { 0 };

	control_dir_list(found, &search);
	if (search.failed) {
		instances_finish(&search.instances);
		return -ENOMEM;
	}
	*ret_instances = search.instances;
	return 0;
}

void instances_finish(struct instances *instances)
{
	for (size_t i = 0; i < instances->n_items; i++) {
		free(instances->items[i].name);
		free(instances->items[i].socket_path);
	}
	free(instances->items);
	*instances = (struct instances){ 0 };
}

static bool has_name(const struct instance *instance, const char *name)
{
	return !strcmp(instance->name, name);
}

/* Whether the supervisor behind @instance says that it is called @name. */
static bool says_name(const struct instance *instance, const char *name)
{
	CLEANUP(varlink_client_freep) struct varlink_client *client = NULL;
	CLEANUP(varlink_reply_finish) struct varlink_reply reply = { 0 };

	return varlink_client_connect(instance->socket_path, &client, NULL) == 0 &&
	       varlink_client_call(client, "io.handover.Control.Status", NULL, false) == 0 &&
	       varlink_client_receive(client, NAME_TIMEOUT_MS, &reply) == 0 && !reply.error &&
	       !strcmp(reply_string(reply.parameters, "name", ""), name);
}

/* "web (/run/handover/web/control.sock), api (…)", cut where it is too long. */
static void list_names(const struct instances *instances, char *text, size_t size)
{
	size_t length = 0;
	text[0] = '\0';
	for (size_t i = 0; i < instances->n_items && length < size; i++) {
		int n = snprintf(text + length, size - length, "%s%s (%s)", i ? ", " : "",
				 instances->items[i].name, instances->items[i].socket_path);
		length += n > 0 ? (size_t)n : size;
	}
}

/* How many of @instances are meant, and one of them. */
static size_t count_matches(const struct instances *instances, const char *name, bool permitted,
			    bool (*matches)(const struct instance *instance, const char *name),
			    const struct instance **ret_instance)
{
	size_t n_matches = 0;
	for (size_t i = 0; i < instances->n_items; i++) {
		const struct instance *instance = &instances->items[i];
		if (instance->permitted == permitted && (!name || matches(instance, name))) {
			*ret_instance = instance;
			n_matches++;
		}
	}
	return n_matches;
}

int instances_choose(const struct instances *instances, const char *name,
		     const struct instance **ret_instance, struct error *error)
{
	char running[ERROR_TEXT_MAX - 256];

	size_t n_matches = count_matches(instances, name, true, has_name, ret_instance);
	if (n_matches == 0)
		n_matches = count_matches(instances, name, false, has_name, ret_instance);
	if (n_matches == 0)
		n_matches = count_matches(instances, name, true, says_name, ret_instance);
	if (n_matches == 1)
		return 0;

	list_names(instances, running, sizeof(running));
	if (n_matches > 1 && name)
		return error_set(error, -ENOTUNIQ,
				 "several supervisors are called %s; say which with --socket: %s",
				 name, running);
	if (n_matches > 1)
		return error_set(error, -ENOTUNIQ,
				 "several supervisors run; say which with -n NAME: %s", running);
	if (instances->n_items == 0)
		return error_set(
			error, -ENOENT,
			"no supervisor%s%s runs here for this user; start one with handoverd, "
			"or say where it is with --socket PATH",
			name ? " called " : "", name ? name : "");
	return error_set(error, -ENOENT, "no supervisor called %s; there are: %s", name, running);
}
