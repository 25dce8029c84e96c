#include "supervisor/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define ADDRESS_ALLOWED \
	"allowed are PORT, IPV4:PORT, [IPV6]:PORT, /absolute/path and @abstract-name"

enum {
	PATH_OFFSET = offsetof(struct sockaddr_un, sun_path),
	UNIX_NAME_MAX = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1,
	HOST_TEXT_MAX = INET6_ADDRSTRLEN + 1 + IF_NAMESIZE,
	PORT_MAX = 65535,
};
_Static_assert(ADDRESS_TEXT_MAX > UNIX_NAME_MAX + 2, "the longest Unix name must fit");
_Static_assert(ADDRESS_TEXT_MAX > HOST_TEXT_MAX + sizeof("[]:65535"), "so must the longest IPv6");

static void address_set_inet(struct address *address, struct in_addr host, in_port_t port)
{
	*address = (struct address){ .length = sizeof(struct sockaddr_in) };
	struct sockaddr_in *inet = (struct sockaddr_in *)&address->storage;
	inet->sin_family = AF_INET;
	inet->sin_addr = host;
	inet->sin_port = port;
}

static void address_set_inet6(struct address *address, struct in6_addr host, in_port_t port,
			      uint32_t scope)
{
	*address = (struct address){ .length = sizeof(struct sockaddr_in6) };
	struct sockaddr_in6 *inet6 = (struct sockaddr_in6 *)&address->storage;
	inet6->sin6_family = AF_INET6;
	inet6->sin6_addr = host;
	inet6->sin6_port = port;
	inet6->sin6_scope_id = scope;
}

/* Decimal digits and nothing else; strtoul would take " +80" as well. */
static int port_parse(const char *text, in_port_t *ret_port, struct error *error)
{
	unsigned port = 0;
	size_t digits = strspn(text, "0123456789");
	if (digits == 0 || text[digits] != '\0')
		return error_set(error, -EINVAL, "\"%s\" is not a port; " ADDRESS_ALLOWED, text);
	for (const char *digit = text; *digit && port <= PORT_MAX; digit++)
		port = port * 10 + (unsigned)(*digit - '0');
	if (port > PORT_MAX)
		return error_set(error, -EINVAL, "port %s is out of range, allowed are 0 to %d",
				 text, PORT_MAX);
	*ret_port = htons((uint16_t)port);
	return 0;
}

static int unix_parse(const char *text, struct address *ret_address, struct error *error)
{
	size_t length = strlen(text);
	bool abstract = text[0] == '@';
	if (length > UNIX_NAME_MAX)
		return error_set(error, -EINVAL,
				 "the name of a Unix socket is %zu bytes long, allowed are %d",
				 length, UNIX_NAME_MAX);
	if (length == 1)
		return error_set(error, -EINVAL, "a name is missing after \"%s\"", text);
	struct address address = { 0 };
	struct sockaddr_un *name = (struct sockaddr_un *)&address.storage;
	name->sun_family = AF_UNIX;
	memcpy(name->sun_path, text, length);
	if (abstract)
		name->sun_path[0] = '\0';
	/* With its NUL, as getsockname(2) counts a path; an abstract name has none. */
	address.length = (socklen_t)(PATH_OFFSET + length + (abstract ? 0 : 1));
	*ret_address = address;
	return 0;
}

/* [HOST%SCOPE]:PORT */
static int inet6_parse(const char *text, struct address *ret_address, struct error *error)
{
	char host[HOST_TEXT_MAX];
	const char *end = strchr(text, ']');
	size_t length = end ? (size_t)(end - text - 1) : 0;
	if (!end || length >= sizeof(host))
		return error_set(error, -EINVAL,
				 "not an IPv6 address in brackets; " ADDRESS_ALLOWED);
	if (end[1] != ':')
		return error_set(error, -EINVAL, "a port is missing; " ADDRESS_ALLOWED);
	in_port_t port;
	int r = port_parse(end + 2, &port, error);
	if (r < 0)
		return r;
	memcpy(host, text + 1, length);
	host[length] = '\0';

	uint32_t scope = 0;
	char *percent = strchr(host, '%');
	if (percent) {
		*percent = '\0';
		scope = if_nametoindex(percent + 1);
		if (scope == 0)
			return error_set(error, -EINVAL, "there is no network interface \"%s\"",
					 percent + 1);
	}
	struct in6_addr binary;
	if (inet_pton(AF_INET6, host, &binary) != 1)
		return error_set(error, -EINVAL, "\"%s\" is not an IPv6 address; " ADDRESS_ALLOWED,
				 host);
	address_set_inet6(ret_address, binary, port, scope);
	return 0;
}

static int inet_parse(const char *text, struct address *ret_address, struct error *error)
{
	char host[INET_ADDRSTRLEN];
	const char *colon = strrchr(text, ':');
	if (!colon)
		return error_set(error, -EINVAL, "not an address; " ADDRESS_ALLOWED);
	if (strchr(text, ':') != colon)
		return error_set(error, -EINVAL,
				 "an IPv6 address is written in brackets; " ADDRESS_ALLOWED);
	size_t length = (size_t)(colon - text);
	struct in_addr binary;
	bool fits = length < sizeof(host);
	if (fits) {
		memcpy(host, text, length);
		host[length] = '\0';
	}
	if (!fits || inet_pton(AF_INET, host, &binary) != 1)
		return error_set(
			error, -EINVAL,
			"\"%.*s\" is not an IP address, and host names are not looked up; " ADDRESS_ALLOWED,
			(int)length, text);
	in_port_t port;
	int r = port_parse(colon + 1, &port, error);
	if (r < 0)
		return r;
	address_set_inet(ret_address, binary, port);
	return 0;
}

int address_parse(const char *text, struct address *ret_address, struct error *error)
{
	if (text[0] == '/' || text[0] == '@')
		return unix_parse(text, ret_address, error);
	if (strncmp(text, "tcp:", strlen("tcp:")) == 0)
		text += strlen("tcp:");
	if (text[0] == '[')
		return inet6_parse(text, ret_address, error);
	if (text[0] == '\0' || text[strspn(text, "0123456789")] != '\0')
		return inet_parse(text, ret_address, error);

	in_port_t port;
	int r = port_parse(text, &port, error);
	if (r < 0)
		return r;
	address_set_inet6(ret_address, in6addr_any, port, 0);
	return 0;
}

int address_of_socket(int fd, struct address *ret_address)
{
	struct address address = { .length = sizeof(address.storage) };
	if (getsockname(fd, (struct sockaddr *)&address.storage, &address.length) < 0)
		return -errno;
	*ret_address = address;
	return 0;
}

static const char *unix_format(const struct address *address, char text[static ADDRESS_TEXT_MAX])
{
	const struct sockaddr_un *name = (const struct sockaddr_un *)&address->storage;
	size_t length = address->length > PATH_OFFSET ? address->length - PATH_OFFSET : 0;
	if (length > sizeof(name->sun_path))
		length = sizeof(name->sun_path);
	if (length == 0)
		return strcpy(text, "(unnamed)");
	bool abstract = name->sun_path[0] == '\0';
	if (!abstract)
		length = strnlen(name->sun_path, length);
	memcpy(text, name->sun_path, length);
	/* An abstract name may hold any bytes: its NULs are shown as ss(8) shows them. */
	for (size_t i = 0; i < length; i++)
		if (text[i] == '\0')
			text[i] = '@';
	text[length] = '\0';
	return text;
}

const char *address_format(const struct address *address, char text[static ADDRESS_TEXT_MAX])
{
	char host[HOST_TEXT_MAX], scope[1 + IF_NAMESIZE] = "";
	switch (address_family(address)) {
	case AF_INET: {
		const struct sockaddr_in *inet = (const struct sockaddr_in *)&address->storage;
		(void)inet_ntop(AF_INET, &inet->sin_addr, host, sizeof(host));
		(void)snprintf(text, ADDRESS_TEXT_MAX, "%s:%u", host, ntohs(inet->sin_port));
		return text;
	}
	case AF_INET6: {
		const struct sockaddr_in6 *inet6 = (const struct sockaddr_in6 *)&address->storage;
		(void)inet_ntop(AF_INET6, &inet6->sin6_addr, host, sizeof(host));
		if (inet6->sin6_scope_id != 0 && if_indextoname(inet6->sin6_scope_id, scope + 1))
			scope[0] = '%';
		(void)snprintf(text, ADDRESS_TEXT_MAX, "[%s%s]:%u", host, scope,
			       ntohs(inet6->sin6_port));
		return text;
	}
	case AF_UNIX:
		return unix_format(address, text);
	default:
		(void)snprintf(text, ADDRESS_TEXT_MAX, "(address family %d)",
			       address_family(address));
		return text;
	}
}

static bool inet_equal(const struct sockaddr_in *a, const struct sockaddr_in *b)
{
	return a->sin_port == b->sin_port && a->sin_addr.s_addr == b->sin_addr.s_addr;
}

static bool inet6_equal(const struct sockaddr_in6 *a, const struct sockaddr_in6 *b)
{
	return a->sin6_port == b->sin6_port && a->sin6_scope_id == b->sin6_scope_id &&
	       memcmp(&a->sin6_addr, &b->sin6_addr, sizeof(a->sin6_addr)) == 0;
}

static bool unix_equal(const struct address *a, const struct address *b)
{
	const char *path_a = address_unix_path(a), *path_b = address_unix_path(b);
	if (path_a && path_b)
		return strcmp(path_a, path_b) == 0;
	return !path_a && !path_b && a->length == b->length &&
	       memcmp(&a->storage, &b->storage, a->length) == 0;
}

bool address_equal(const struct address *a, const struct address *b)
{
	if (address_family(a) != address_family(b))
		return false;
	switch (address_family(a)) {
	case AF_INET:
		return inet_equal((const struct sockaddr_in *)&a->storage,
				  (const struct sockaddr_in *)&b->storage);
	case AF_INET6:
		return inet6_equal((const struct sockaddr_in6 *)&a->storage,
				   (const struct sockaddr_in6 *)&b->storage);
	case AF_UNIX:
		return unix_equal(a, b);
	default:
		return a->length == b->length && memcmp(&a->storage, &b->storage, a->length) == 0;
	}
}

int address_family(const struct address *address)
{
	return address->storage.ss_family;
}

const char *address_unix_path(const struct address *address)
{
	/* sockaddr_storage is longer than sockaddr_un and zeroed, so that a path that fills
	 * sun_path is terminated all the same. */
	_Static_assert(sizeof(struct sockaddr_storage) > sizeof(struct sockaddr_un),
		       "room for a NUL behind the longest path");
	const struct sockaddr_un *name = (const struct sockaddr_un *)&address->storage;
	if (address_family(address) != AF_UNIX || address->length <= PATH_OFFSET ||
	    name->sun_path[0] == '\0')
		return NULL;
	return name->sun_path;
}

in_port_t address_port(const struct address *address)
{
	switch (address_family(address)) {
	case AF_INET:
		return ntohs(((const struct sockaddr_in *)&address->storage)->sin_port);
	case AF_INET6:
		return ntohs(((const struct sockaddr_in6 *)&address->storage)->sin6_port);
	default:
		return 0;
	}
}

void address_set_port(struct address *address, in_port_t port)
{
	if (address_family(address) == AF_INET)
		((struct sockaddr_in *)&address->storage)->sin_port = htons(port);
	else if (address_family(address) == AF_INET6)
		((struct sockaddr_in6 *)&address->storage)->sin6_port = htons(port);
}

bool address_is_wildcard(const struct address *address)
{
	switch (address_family(address)) {
	case AF_INET:
		return ((const struct sockaddr_in *)&address->storage)->sin_addr.s_addr ==
		       htonl(INADDR_ANY);
	case AF_INET6:
		return IN6_IS_ADDR_UNSPECIFIED(
			&((const struct sockaddr_in6 *)&address->storage)->sin6_addr);
	default:
		return false;
	}
}

bool address_without_ipv6(const struct address *address, struct address *ret_address)
{
	if (address_family(address) != AF_INET6 || !address_is_wildcard(address))
		return false;
	address_set_inet(ret_address, (struct in_addr){ .s_addr = htonl(INADDR_ANY) },
			 htons(address_port(address)));
	return true;
}
