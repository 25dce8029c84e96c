/*
 * A worker for benchmarks: as little of an HTTP server as can be measured, the same under handoverd
 * and under Server::Starter. Takes its socket from LISTEN_FDS or SERVER_STARTER_PORT, says READY=1
 * where there is a NOTIFY_SOCKET, answers each connection's one request with X-Generation, X-Slot
 * and X-Pid, closes it, and at SIGTERM finishes what it has accepted and exits.
 *
 * A request is over when what was read ends with an empty line: the load client sends it in one piece.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LISTEN_FD = 3, EVENTS_MAX = 64, REQUEST_MAX_BYTES = 4096, ANSWER_MAX_BYTES = 256 };

static char answer[ANSWER_MAX_BYTES];
static size_t answer_bytes;
static int epoll_fd;
static size_t n_connections;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static const char *variable(const char *name, const char *otherwise)
{
	const char *value = getenv(name);
	return value ? value : otherwise;
}

/* HOST:PORT=FD, the first of those that ; separates, is how Server::Starter says it. */
static int find_listener(void)
{
	const char *equals = strchr(variable("SERVER_STARTER_PORT", ""), '=');
	return equals ? atoi(equals + 1) : LISTEN_FD;
}

static void make_answer(void)
{
	const char *generation = variable("HANDOVER_GENERATION",
					  variable("SERVER_STARTER_GENERATION", "0"));
	int n = snprintf(answer, sizeof(answer),
			 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n"
			 "X-Generation: %s\r\nX-Slot: %s\r\nX-Pid: %d\r\n\r\nok",
			 generation, variable("HANDOVER_SLOT", "0"), (int)getpid());
	answer_bytes = (size_t)n;
}

static void tell_ready(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = variable("NOTIFY_SOCKET", "");
	size_t length = strlen(path);

	if (length == 0 || length >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, length);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, "READY=1", 7, 0, (const struct sockaddr *)&address,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
		fail("READY=1");
	close(fd);
}

static void watch(int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		fail("epoll_ctl");
}

/* Whether the connection is done with. */
static bool serve(int fd)
{
	char request[REQUEST_MAX_BYTES];
	ssize_t n = recv(fd, request, sizeof(request), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n >= 4 && memcmp(request + n - 4, "\r\n\r\n", 4) == 0)
		(void)send(fd, answer, answer_bytes, MSG_NOSIGNAL);
	else if (n > 0)
		return false;
	return true;
}

static void accept_all(int listener)
{
	int fd;
	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		if (serve(fd)) {
			close(fd);
			continue;
		}
		n_connections++;
		watch(fd);
	}
}

static int watch_sigterm(void)
{
	sigset_t mask;
	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &mask, NULL);
	return signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

int main(void)
{
	struct epoll_event events[EVENTS_MAX];
	int listener = find_listener();
	int signal_fd = watch_sigterm();
	bool draining = false;

	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0 || signal_fd < 0 || fcntl(listener, F_SETFL, O_NONBLOCK) < 0)
		fail("bench_worker");
	make_answer();
	watch(signal_fd);
	watch(listener);
	tell_ready();
	while (!draining || n_connections > 0) {
		int n = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			if (fd == signal_fd) {
				draining = true;
				(void)epoll_ctl(epoll_fd, EPOLL_CTL_DEL, signal_fd, NULL);
				(void)epoll_ctl(epoll_fd, EPOLL_CTL_DEL, listener, NULL);
			} else if (fd == listener) {
				accept_all(listener);
			} else if (serve(fd)) {
				close(fd);
				n_connections--;
			}
		}
	}
	return 0;
}
