#include "supervisor/address.h"

#include "listener_fixture.h"

static const struct {
	const char *text, *formatted;
	int family;
	in_port_t port;
} good[] = {
	{ "8080", "[::]:8080", AF_INET6, 8080 },
	{ "0", "[::]:0", AF_INET6, 0 },
	{ "65535", "[::]:65535", AF_INET6, 65535 },
	{ "tcp:8080", "[::]:8080", AF_INET6, 8080 },
	{ "0.0.0.0:80", "0.0.0.0:80", AF_INET, 80 },
	{ "tcp:127.0.0.1:80", "127.0.0.1:80", AF_INET, 80 },
	{ "255.255.255.255:1", "255.255.255.255:1", AF_INET, 1 },
	{ "[::]:80", "[::]:80", AF_INET6, 80 },
	{ "[::1]:80", "[::1]:80", AF_INET6, 80 },
	{ "tcp:[0:0::1]:80", "[::1]:80", AF_INET6, 80 },
	{ "[fe80::1%lo]:80", "[fe80::1%lo]:80", AF_INET6, 80 },
	{ "[::ffff:1.2.3.4]:80", "[::ffff:1.2.3.4]:80", AF_INET6, 80 },
	{ "/run/app.sock", "/run/app.sock", AF_UNIX, 0 },
	{ "@name", "@name", AF_UNIX, 0 },
	{ "@a b@c", "@a b@c", AF_UNIX, 0 },
};

static const struct {
	const char *text, *part;
} bad[] = {
	{ "", "not an address" },
	{ "tcp:", "not an address" },
	{ "65536", "out of range" },
	{ "99999999999999999999", "out of range" },
	{ "80 ", "not an address" },
	{ "-1", "not an address" },
	{ "localhost", "not an address" },
	{ "localhost:80", "host names are not looked up" },
	{ "*:80", "allowed are PORT" },
	{ ":80", "is not an IP address" },
	{ "1.2.3:80", "is not an IP address" },
	{ "1.2.3.4.5.6.7.8.9:80", "is not an IP address" },
	{ "1.2.3.4:", "is not a port" },
	{ "1.2.3.4:x", "is not a port" },
	{ "1.2.3.4:+8", "is not a port" },
	{ "1.2.3.4:65536", "out of range" },
	{ "::1:80", "in brackets" },
	{ "[::1]", "a port is missing" },
	{ "[::1]80", "a port is missing" },
	{ "[::1]:", "is not a port" },
	{ "[::1", "not an IPv6 address in brackets" },
	{ "[]:80", "is not an IPv6 address" },
	{ "[1.2.3.4]:80", "is not an IPv6 address" },
	{ "[fe80::1%nosuchif0]:80", "no network interface" },
	{ "[0000000000000000000000000000000000000000000000000000000000000000000001]:80",
	  "not an IPv6 address in brackets" },
	{ "@", "a name is missing" },
	{ "/", "a name is missing" },
	{ "tcp:/run/app.sock", "not an address" },
	{ "run/app.sock", "not an address" },
};

static void what_is_read_is_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct address address, again;
		struct error error;
		char text[ADDRESS_TEXT_MAX];
		if (address_parse(good[i].text, &address, &error) < 0)
			fail_msg("%s: %s", good[i].text, error.text);
		assert_int_equal(address_family(&address), good[i].family);
		assert_int_equal(address_port(&address), good[i].port);
		assert_string_equal(address_format(&address, text), good[i].formatted);
		assert_int_equal(address_parse(text, &again, NULL), 0);
		assert_true(address_equal(&address, &again));
	}
}

static void what_is_wrong_is_said(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct address address = { .length = 77 };
		struct error error;
		if (address_parse(bad[i].text, &address, &error) != -EINVAL)
			fail_msg("\"%s\" was taken", bad[i].text);
		assert_text(&error, bad[i].part);
		assert_int_equal(address.length, 77);
	}
}

static void each_differs_from_all_others(void **state)
{
	static const char *const all[] = {
		"1.2.3.4:80",
		"1.2.3.4:81",
		"1.2.3.5:80",
		"[::1]:80",
		"[::2]:80",
		"[::1]:81",
		"[::ffff:1.2.3.4]:80",
		"[fe80::1%lo]:80",
		"/a",
		"/ab",
		"@a",
		"@ab",
		"[::]:80",
		"0.0.0.0:80",
		"[fe80::1]:80",
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		for (size_t j = 0; j < ARRAY_SIZE(all); j++) {
			struct address a, b;
			assert_int_equal(address_parse(all[i], &a, NULL), 0);
			assert_int_equal(address_parse(all[j], &b, NULL), 0);
			assert_int_equal(address_equal(&a, &b), i == j);
		}
}

static void unix_names_fit_or_are_refused(void **state)
{
	char name[120];
	struct address address;
	struct error error;
	char text[ADDRESS_TEXT_MAX];
	(void)state;
	for (size_t length = 2; length < sizeof(name) - 1; length++)
		for (const char *first = "/@"; *first; first++) {
			memset(name, 'x', length);
			name[0] = *first;
			name[length] = '\0';
			int r = address_parse(name, &address, &error);
			assert_int_equal(r, length <= 107 ? 0 : -EINVAL);
			if (r == 0)
				assert_string_equal(address_format(&address, text), name);
			else
				assert_text(&error, "allowed are 107");
		}
}

static void sockets_tell_their_address(void **state)
{
	static const char *const all[] = { "127.0.0.1:0", "[::1]:0", "@handover-test-address" };
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct address wanted, found;
		assert_int_equal(address_parse(all[i], &wanted, NULL), 0);
		CLEANUP(fd_closep) int fd = socket_at(&wanted, SOCK_STREAM);
		assert_true(fd >= 0);
		assert_int_equal(address_of_socket(fd, &found), 0);
		if (address_family(&wanted) != AF_UNIX) {
			assert_int_not_equal(address_port(&found), 0);
			address_set_port(&found, 0);
		}
		assert_true(address_equal(&wanted, &found));
	}
	struct address unchanged = { .length = 77 };
	assert_int_equal(address_of_socket(-1, &unchanged), -EBADF);
	assert_int_equal(unchanged.length, 77);
}

static void odd_addresses_are_formatted_all_the_same(void **state)
{
	char text[ADDRESS_TEXT_MAX];
	(void)state;
	CLEANUP(fd_closep) int unbound = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct address address;
	assert_int_equal(address_of_socket(unbound, &address), 0);
	assert_string_equal(address_format(&address, text), "(unnamed)");
	assert_null(address_unix_path(&address));
	address = (struct address){ .storage.ss_family = AF_NETLINK, .length = 12 };
	assert_string_equal(address_format(&address, text), "(address family 16)");
	assert_int_equal(address_parse("@ab", &address, NULL), 0);
	((struct sockaddr_un *)&address.storage)->sun_path[1] = '\0';
	assert_string_equal(address_format(&address, text), "@@b");
	assert_null(address_unix_path(&address));
}

static void without_ipv6_the_wildcard_has_a_stand_in(void **state)
{
	struct address address, instead;
	char text[ADDRESS_TEXT_MAX];
	(void)state;
	assert_int_equal(address_parse("8080", &address, NULL), 0);
	assert_true(address_without_ipv6(&address, &instead));
	assert_string_equal(address_format(&instead, text), "0.0.0.0:8080");
	assert_int_equal(address_parse("[::1]:8080", &address, NULL), 0);
	assert_false(address_without_ipv6(&address, &instead));
	assert_int_equal(address_parse("0.0.0.0:8080", &address, NULL), 0);
	assert_false(address_without_ipv6(&address, &instead));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_read_is_written),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(each_differs_from_all_others),
		cmocka_unit_test(unix_names_fit_or_are_refused),
		socket_test(sockets_tell_their_address),
		socket_test(odd_addresses_are_formatted_all_the_same),
		cmocka_unit_test(without_ipv6_the_wildcard_has_a_stand_in),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
