/*
 * A deliberately faulty HTTP server: `faulty --help`. It says at its end exactly what it did wrong,
 * so that the load client's accounts can be held against it. One thread: when it pauses, all wait.
 *
 * Requests are looked at with MSG_PEEK and only consumed when they are answered: what is left unread
 * makes the kernel reset the connection at close(), which is the only way to reset a Unix one.
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/un.h>
#include <time.h>

#include "proto/base.h"
#include "tests/load/load_faulty.h"
#include "tests/load/load_timer.h"

enum { REQUEST_MAX = 16384, EVENTS_AT_ONCE = 64, EXIT_USAGE = 2 };

/* At the request of this number, something for so long. */
struct incident {
	uint64_t request;
	uint64_t duration_usec;
};

struct faulty {
	struct faulty_plan plan;
	struct sockaddr_storage address;
	socklen_t address_bytes;
	struct incident pause;
	struct incident deaf;
	uint64_t listen_again_usec; /* 0: it listens */
	uint64_t requests;
	uint64_t connections;
	int epoll_fd;
	int listen_fd;
	int signal_fd;
};

static const char usage[] =
	"faulty [--port N | --unix PATH] [OPTION]…\n"
	"\n"
	"  --host ADDRESS        127.0.0.1 (default) or ::1\n"
	"  --port N              0 (default): any; the first line of output is the port\n"
	"  --fault NAME:K        every K-th request; the first that fits has it\n"
	"  --pause-at N:MS       before the N-th request is answered, the whole server stands still\n"
	"  --deaf-at N:MS        from before the N-th answer on it does not listen\n"
	"  --body TEXT           of two bytes at least (default hello)\n"
	"  --generation TEXT     the X-Generation header of every answer\n"
	"  --chunked             answer in chunks\n"
	"\n"
	"At SIGTERM it prints what it did as one JSON object. Faults:\n";

static int server_listen(struct faulty *server)
{
	const int on = 1;
	int family = server->address.ss_family;
	struct epoll_event event = { .events = EPOLLIN, .data.fd = -1 };
	CLEANUP(fd_closep) int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -errno;
	if (family == AF_UNIX)
		(void)unlink(((struct sockaddr_un *)&server->address)->sun_path);
	if (bind(fd, (struct sockaddr *)&server->address, server->address_bytes) < 0 ||
	    listen(fd, 4096) < 0 ||
	    getsockname(fd, (struct sockaddr *)&server->address, &server->address_bytes) < 0)
		return -errno;
	event.data.fd = fd;
	if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return -errno;
	server->listen_fd = TAKE_FD(fd);
	server->listen_again_usec = 0;
	return 0;
}

static void server_accept(struct faulty *server)
{
	/* Edges, since a request that is peeked at stays readable. */
	struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET };
	int fd;

	/* Blocking: a server that serves one after the other may wait for its client to read. */
	while ((fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		server->connections++;
		event.data.fd = fd;
		if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
			(void)fd_close(fd);
	}
}

static void incidents(struct faulty *server)
{
	if (server->requests == server->pause.request) {
		struct timespec pause = {
			.tv_sec = (time_t)(server->pause.duration_usec / 1000000),
			.tv_nsec = (long)(server->pause.duration_usec % 1000000) * 1000,
		};
		(void)nanosleep(&pause, NULL);
	}
	if (server->requests == server->deaf.request) {
		server->listen_fd = fd_close(server->listen_fd);
		server->listen_again_usec = clock_usec() + server->deaf.duration_usec;
	}
}

static bool send_all(int fd, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);
		if (n < 0)
			return false;
		bytes += n;
		size -= (size_t)n;
	}
	return true;
}

static void answer_send(struct faulty *server, int fd, const struct faulty_answer *answer,
			size_t request_size)
{
	const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
	const int on = 1;
	char request[REQUEST_MAX];
	bool is_tcp = server->address.ss_family != AF_UNIX;

	if (answer->end != FAULTY_RESET)
		(void)!recv(fd, request, request_size, 0);
	/* Corked, the last bytes and the FIN leave together, and no client can come between. */
	if (is_tcp && answer->end == FAULTY_CLOSE)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
	bool sent = send_all(fd, answer->bytes, answer->size);
	if (answer->end == FAULTY_RESET)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	bool keeps = answer->end == FAULTY_KEEP && !answer->announces_close;
	if (!sent || (!keeps && answer->end != FAULTY_STALL))
		(void)fd_close(fd);
}

static void connection_event(struct faulty *server, int fd, bool ended)
{
	char request[REQUEST_MAX + 1];
	ssize_t n = recv(fd, request, REQUEST_MAX, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	char *end = n > 0 ? memmem(request, (size_t)n, "\r\n\r\n", 4) : NULL;
	if (!end) {
		if (n <= 0 || n == REQUEST_MAX || ended)
			(void)fd_close(fd);
		return;
	}
	request[n] = '\0';
	bool closes = strcasestr(request, "\r\nConnection: close\r\n");
	struct faulty_answer answer;

	server->requests++;
	incidents(server);
	const struct faulty_fault *fault = faulty_plan_next(&server->plan, server->requests);
	if (faulty_answer_make(&server->plan, fault, closes, &answer) < 0)
		abort();
	answer_send(server, fd, &answer, (size_t)(end + 4 - request));
	free(answer.bytes);
}

static int server_wait_msec(const struct faulty *server)
{
	if (!server->listen_again_usec)
		return -1;
	uint64_t now_usec = clock_usec();
	uint64_t until_usec = server->listen_again_usec;
	return until_usec > now_usec ? (int)((until_usec - now_usec) / 1000) + 1 : 0;
}

static int server_go(struct faulty *server)
{
	struct epoll_event events[EVENTS_AT_ONCE];

	for (;;) {
		int n = epoll_wait(server->epoll_fd, events, EVENTS_AT_ONCE,
				   server_wait_msec(server));
		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == server->signal_fd)
				return 0;
			if (events[i].data.fd == server->listen_fd)
				server_accept(server);
			else
				connection_event(server, events[i].data.fd,
						 events[i].events &
							 (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
		}
		if (server->listen_again_usec && clock_usec() >= server->listen_again_usec) {
			int r = server_listen(server);
			if (r < 0)
				return r;
		}
	}
}

static void print_address(const struct faulty *server)
{
	if (server->address.ss_family == AF_UNIX)
		puts(((const struct sockaddr_un *)&server->address)->sun_path);
	else /* the port is at the same place in both families */
		printf("%u\n", ntohs(((const struct sockaddr_in *)&server->address)->sin_port));
	fflush(stdout);
}

static void print_accounts(const struct faulty *server)
{
	const struct faulty_plan *plan = &server->plan;

	printf("{\"requests\":%" PRIu64 ",\"connections\":%" PRIu64 ",\"faults\":{",
	       server->requests, server->connections);
	for (size_t i = 0; i < plan->rule_count; i++)
		printf("%s\"%s\":%" PRIu64, i ? "," : "", plan->rules[i].fault->name,
		       plan->rules[i].done);
	puts("}}");
}

static int parse_incident(const char *text, struct incident *incident)
{
	char *end = NULL;
	unsigned long long request = strtoull(text, &end, 10);

	if (request == 0 || *end != ':')
		return -EINVAL;
	*incident = (struct incident){ .request = request,
				       .duration_usec = strtoull(end + 1, &end, 10) * 1000 };
	return *end ? -EINVAL : 0;
}

static int parse_address(struct faulty *server, const char *where, bool is_path, in_port_t port)
{
	struct sockaddr_in *inet = (struct sockaddr_in *)&server->address;
	struct sockaddr_in6 *inet6 = (struct sockaddr_in6 *)&server->address;
	struct sockaddr_un *local = (struct sockaddr_un *)&server->address;

	if (is_path) {
		if (strlen(where) >= sizeof(local->sun_path))
			return -EINVAL;
		local->sun_family = AF_UNIX;
		memcpy(local->sun_path, where, strlen(where) + 1);
		server->address_bytes = sizeof(*local);
	} else if (strcmp(where, "::1") == 0) {
		*inet6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
						.sin6_port = port,
						.sin6_addr = in6addr_loopback };
		server->address_bytes = sizeof(*inet6);
	} else if (strcmp(where, "127.0.0.1") == 0) {
		inet->sin_family = AF_INET;
		inet->sin_port = port;
		inet->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		server->address_bytes = sizeof(*inet);
	} else {
		return -EINVAL;
	}
	return 0;
}

static void print_usage_and_exit(int status)
{
	fputs(usage, stdout);
	faulty_print_names();
	exit(status);
}

static int parse_options(struct faulty *server, int argc, char **argv)
{
	static const struct option options[] = {
		{ "host", required_argument, NULL, 'h' },
		{ "port", required_argument, NULL, 'p' },
		{ "unix", required_argument, NULL, 'u' },
		{ "fault", required_argument, NULL, 'f' },
		{ "pause-at", required_argument, NULL, 'P' },
		{ "deaf-at", required_argument, NULL, 'd' },
		{ "body", required_argument, NULL, 'b' },
		{ "generation", required_argument, NULL, 'g' },
		{ "chunked", no_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'H' },
		{ NULL, 0, NULL, 0 },
	};
	const char *where = "127.0.0.1";
	bool is_path = false;
	in_port_t port = 0;
	int option, r = 0;

	while (r == 0 && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'h' || option == 'u')
			where = optarg, is_path = option == 'u';
		else if (option == 'p')
			port = htons((in_port_t)strtoul(optarg, NULL, 10));
		else if (option == 'f')
			r = faulty_plan_add(&server->plan, optarg);
		else if (option == 'P')
			r = parse_incident(optarg, &server->pause);
		else if (option == 'd')
			r = parse_incident(optarg, &server->deaf);
		else if (option == 'b' && strlen(optarg) >= 2)
			server->plan.body = optarg;
		else if (option == 'g')
			server->plan.generation = optarg;
		else if (option == 'c')
			server->plan.chunked = true;
		else if (option == 'H')
			print_usage_and_exit(EXIT_SUCCESS);
		else
			r = -EINVAL;
	}
	return r < 0 || optind < argc ? -EINVAL : parse_address(server, where, is_path, port);
}

static int server_open(struct faulty *server)
{
	struct epoll_event event = { .events = EPOLLIN };
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &signals, NULL);
	server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	server->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
	event.data.fd = server->signal_fd;
	if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, server->signal_fd, &event) < 0)
		return -errno;
	return server_listen(server);
}

int main(int argc, char **argv)
{
	static struct faulty server = { .plan.body = "hello", .listen_fd = -1 };

	if (parse_options(&server, argc, argv) < 0)
		print_usage_and_exit(EXIT_USAGE);
	int r = server_open(&server);
	if (r == 0) {
		print_address(&server);
		r = server_go(&server);
	}
	if (r < 0) {
		fprintf(stderr, "faulty: %s\n", strerror(-r));
		return EXIT_FAILURE;
	}
	print_accounts(&server);
	return EXIT_SUCCESS;
}
