#include "supervisor/identity.h"

#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/syscall.h>

/* Returns whether @text is a number that an id can have; (uid_t)-1 means "none" to the kernel. */
static bool parse_id(const char *text, unsigned *ret_id)
{
	char *end;
	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	unsigned long id = strtoul(text, &end, 10);
	if (errno != 0 || *end || id >= UINT_MAX)
		return false;
	*ret_id = (unsigned)id;
	return true;
}

static int copy_text(const char *text, char **ret_copy)
{
	*ret_copy = text ? strdup(text) : NULL;
	return text && !*ret_copy ? -ENOMEM : 0;
}

static int resolve_user(const char *user, struct identity *identity, struct error *error)
{
	unsigned id = geteuid();
	bool numeric = user && parse_id(user, &id);
	errno = 0;
	const struct passwd *entry = user && !numeric ? getpwnam(user) : getpwuid(id);
	if (user && !entry && !numeric)
		return error_set(error, errno ? -errno : -ESRCH, "User=%s: %s", user,
				 errno ? strerror(errno) : "no such user");
	if (user && !entry)
		return error_set(error, -ESRCH, "User=%s: no user has this number", user);
	identity->uid = entry ? entry->pw_uid : id;
	identity->gid = user ? entry->pw_gid : getegid();
	const char *home = user ? entry->pw_dir : getenv("HOME");
	int r = copy_text(home ? home : entry ? entry->pw_dir : NULL, &identity->home);
	if (r == 0 && user)
		r = copy_text(entry->pw_name, &identity->user);
	if (r == 0 && user)
		r = copy_text(entry->pw_shell, &identity->shell);
	return r;
}

static int resolve_group(const char *key, const char *group, gid_t *ret_gid, struct error *error)
{
	unsigned id;
	if (parse_id(group, &id)) {
		*ret_gid = id;
		return 0;
	}
	errno = 0;
	const struct group *entry = getgrnam(group);
	if (!entry)
		return error_set(error, errno ? -errno : -ESRCH, "%s=%s: %s", key, group,
				 errno ? strerror(errno) : "no such group");
	*ret_gid = entry->gr_gid;
	return 0;
}

/* The groups of User=, or ours; with room for @n_more. */
static int basic_groups(struct identity *identity, size_t n_more)
{
	int n = 0;
	if (identity->user)
		(void)getgrouplist(identity->user, identity->gid, NULL, &n);
	else
		n = getgroups(0, NULL);
	if (n < 0)
		return -errno;
	identity->groups = calloc((size_t)n + n_more + 1, sizeof(gid_t));
	if (!identity->groups)
		return -ENOMEM;
	if (identity->user) {
		if (getgrouplist(identity->user, identity->gid, identity->groups, &n) < 0)
			return -EAGAIN; /* they changed between the two */
	} else if ((n = getgroups(n, identity->groups)) < 0) {
		return -errno;
	}
	identity->n_groups = (size_t)n;
	return 0;
}

static int resolve_groups(char *const *groups, struct identity *identity, struct error *error)
{
	size_t n_more = 0;
	while (groups && groups[n_more])
		n_more++;
	int r = basic_groups(identity, n_more);
	for (size_t i = 0; r == 0 && i < n_more; i++) {
		gid_t gid;
		r = resolve_group("SupplementaryGroups", groups[i], &gid, error);
		if (r == 0)
			identity->groups[identity->n_groups++] = gid;
	}
	return r;
}

static bool may_change(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	if (syscall(SYS_capget, &header, data) < 0)
		return geteuid() == 0;
	return data[0].effective & (1u << CAP_SETUID) && data[0].effective & (1u << CAP_SETGID);
}

static int resolve(const char *user, const char *group, char *const *groups,
		   struct identity *identity, struct error *error)
{
	int r = resolve_user(user, identity, error);
	if (r == 0 && group)
		r = resolve_group("Group", group, &identity->gid, error);
	if (r == 0)
		r = resolve_groups(groups, identity, error);
	if (r < 0)
		return r;
	bool same = identity->uid == geteuid() && identity->gid == getegid() &&
		    !(groups && groups[0]);
	if (may_change()) {
		identity->differs = user || group || (groups && groups[0]);
		return 0;
	}
	/* Who is that user already gets it without any right, with the groups it has. */
	if (!same)
		return error_set(
			error, -EPERM,
			"User=, Group= and SupplementaryGroups= need root, or CAP_SETUID and "
			"CAP_SETGID: handoverd runs as uid %ld without them",
			(long)geteuid());
	return 0;
}

int identity_resolve(const char *user, const char *group, char *const *groups,
		     struct identity *ret_identity, struct error *error)
{
	CLEANUP(identity_finish) struct identity identity = { .uid = 0 };
	int r = resolve(user, group, groups, &identity, error);
	if (r < 0)
		return r;
	*ret_identity = identity;
	identity = (struct identity){ .uid = 0 };
	return 0;
}

void identity_finish(struct identity *identity)
{
	free(identity->groups);
	free(identity->user);
	free(identity->shell);
	free(identity->home);
	*identity = (struct identity){ .uid = 0 };
}
