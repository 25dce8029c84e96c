#include "supervisor/port_owner.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/base.h"

/* A busy machine has millions of descriptors; an error message is not worth reading them all. */
enum {
	SOCKETS_MAX = 64,
	LINKS_READ_MAX = 200000,
	LINE_MAX_BYTES = 512,
	TCP_STATE_LISTEN = 0x0a, /* these three: proc(5), /proc/net/tcp and /proc/net/unix */
	UNIX_STATE_UNCONNECTED = 1,
	UNIX_FLAG_LISTENS = 0x10000,
};

/* The sockets that may be meant, as inodes of sockfs. */
struct suspects {
	uint64_t inodes[SOCKETS_MAX];
	size_t n_inodes;
	bool listening; /* only those are kept once there is one */
};

static void suspects_add(struct suspects *suspects, uint64_t inode, bool listening)
{
	if (inode == 0 || (suspects->listening && !listening))
		return;
	if (listening && !suspects->listening) {
		suspects->listening = true;
		suspects->n_inodes = 0;
	}
	if (suspects->n_inodes < SOCKETS_MAX)
		suspects->inodes[suspects->n_inodes++] = inode;
}

static bool suspects_contain(const struct suspects *suspects, uint64_t inode)
{
	for (size_t i = 0; i < suspects->n_inodes; i++)
		if (suspects->inodes[i] == inode)
			return true;
	return false;
}

/* /proc/net/tcp and tcp6 print the address as words of the machine's byte order. */
static bool host_parse(const char *hex, struct address *ret_address)
{
	size_t digits = strlen(hex);
	uint32_t words[4];
	if (digits != 8 && digits != sizeof(words) * 2)
		return false;
	for (size_t i = 0; i < digits / 8; i++)
		if (sscanf(hex + i * 8, "%8" SCNx32, &words[i]) != 1)
			return false;
	*ret_address = (struct address){ 0 };
	if (digits == 8) {
		struct sockaddr_in *inet = (struct sockaddr_in *)&ret_address->storage;
		inet->sin_family = AF_INET;
		inet->sin_addr.s_addr = words[0];
	} else {
		struct sockaddr_in6 *inet6 = (struct sockaddr_in6 *)&ret_address->storage;
		inet6->sin6_family = AF_INET6;
		memcpy(&inet6->sin6_addr, words, sizeof(inet6->sin6_addr));
	}
	return true;
}

/* Whether a socket at @held keeps another from @wanted, the ports being the same. */
static bool hosts_collide(const struct address *held, const struct address *wanted)
{
	struct address same_scope = *wanted;
	if (address_is_wildcard(held) || address_is_wildcard(wanted))
		return true;
	if (address_family(&same_scope) == AF_INET6) /* the table does not tell the scope */
		((struct sockaddr_in6 *)&same_scope.storage)->sin6_scope_id = 0;
	return address_equal(held, &same_scope);
}

static void suspect_tcp(const char *table, const struct address *wanted, struct suspects *suspects)
{
	FILE *file = fopen(table, "re");
	char line[LINE_MAX_BYTES];
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		char host[33];
		unsigned port, state;
		uint64_t inode;
		struct address held;
		/* sl local remote state queues timer retransmits uid timeout inode */
		if (sscanf(line, " %*[^:]: %32[0-9A-Fa-f]:%4x %*s %2x %*s %*s %*s %*s %*s %" SCNu64,
			   host, &port, &state, &inode) != 4 ||
		    port != address_port(wanted) || !host_parse(host, &held))
			continue;
		address_set_port(&held, (in_port_t)port);
		if (hosts_collide(&held, wanted))
			suspects_add(suspects, inode, state == TCP_STATE_LISTEN);
	}
	(void)fclose(file);
}

static void suspect_unix(const struct address *wanted, struct suspects *suspects)
{
	FILE *file = fopen("/proc/net/unix", "re");
	char line[LINE_MAX_BYTES], name[ADDRESS_TEXT_MAX];
	if (!file)
		return;
	(void)address_format(wanted, name);
	while (fgets(line, sizeof(line), file)) {
		unsigned flags, state;
		uint64_t inode;
		int name_at = 0;
		line[strcspn(line, "\n")] = '\0';
		/* number references protocol flags type state inode name; the server's ends of
		 * connections carry the listener's name too, and may outlive it. */
		if (sscanf(line, "%*s %*s %*s %x %*s %x %" SCNu64 " %n", &flags, &state, &inode,
			   &name_at) == 3 &&
		    name_at > 0 && state == UNIX_STATE_UNCONNECTED &&
		    strcmp(line + name_at, name) == 0)
			suspects_add(suspects, inode, (flags & UNIX_FLAG_LISTENS) != 0);
	}
	(void)fclose(file);
}

/* Whether process @pid holds one of them; counts *@links_left down. */
static bool process_holds(pid_t pid, const struct suspects *suspects, int *links_left)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	DIR *descriptors = opendir(path);
	bool holds = false;
	struct dirent *entry;
	if (!descriptors)
		return false;
	while (!holds && *links_left > 0 && (entry = readdir(descriptors))) {
		char target[64];
		uint64_t inode;
		ssize_t length = readlinkat(dirfd(descriptors), entry->d_name, target,
					    sizeof(target) - 1);
		(*links_left)--;
		if (length < 0)
			continue;
		target[length] = '\0';
		holds = sscanf(target, "socket:[%" SCNu64 "]", &inode) == 1 &&
			suspects_contain(suspects, inode);
	}
	(void)closedir(descriptors);
	return holds;
}

static void owner_set(struct port_owner *owner, pid_t pid)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	FILE *file = fopen(path, "re");
	owner->pid = pid;
	if (!file || !fgets(owner->program, sizeof(owner->program), file))
		(void)strcpy(owner->program, "?");
	owner->program[strcspn(owner->program, "\n")] = '\0';
	if (file)
		(void)fclose(file);
}

static int owner_of(const struct suspects *suspects, struct port_owner *ret_owner)
{
	DIR *processes = opendir("/proc");
	int links_left = LINKS_READ_MAX;
	struct dirent *entry;
	int r = -ENOENT;
	if (!processes)
		return -ENOENT;
	while (r < 0 && links_left > 0 && (entry = readdir(processes))) {
		char *end;
		long pid = strtol(entry->d_name, &end, 10);
		if (*end != '\0' || pid <= 0 || !process_holds((pid_t)pid, suspects, &links_left))
			continue;
		owner_set(ret_owner, (pid_t)pid);
		r = 0;
	}
	(void)closedir(processes);
	return r;
}

static void suspects_find(const struct address *address, struct suspects *suspects)
{
	if (address_family(address) == AF_UNIX) {
		suspect_unix(address, suspects);
	} else {
		suspect_tcp("/proc/net/tcp", address, suspects);
		suspect_tcp("/proc/net/tcp6", address, suspects);
	}
}

int port_owner_find(const struct address *address, struct port_owner *ret_owner)
{
	struct suspects suspects = { 0 };
	suspects_find(address, &suspects);
	return suspects.n_inodes == 0 ? -ENOENT : owner_of(&suspects, ret_owner);
}

bool port_owner_exists(const struct address *address)
{
	struct suspects suspects = { 0 };
	suspects_find(address, &suspects);
	return suspects.n_inodes != 0;
}
