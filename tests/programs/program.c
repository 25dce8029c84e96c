/*
 * A worker for tests: answers each HTTP request on the sockets it is handed with X-Generation,
 * X-Slot and X-Release (what was appended to its executable), closes the connection, and drains as
 * it should. What it is to do wrong is said by its arguments.
 *
 *   --mode MODE   poll       non-blocking, LISTEN_FDS and READY=1 (default)
 *                 blocking   the same with accept() in blocking mode, one connection at a time
 *                 native     with libhandover
 *   --more FILE   further arguments from FILE and from FILE.SLOT, one a line, if they are there
 *   --count DIR   keeps its accounts in DIR/PID, which survive it: four native uint64_t, accepted,
 *                 answered, 1 while within accept() or 2 while answering, its generation
 *   --ready WORD  yes, no (never), partial (half of READY=1), late=MS
 *   --ignore-term, --no-watchdog
 *   WHEN:WHAT     WHEN: start, ready or ready+MS. WHAT: exit=N, kill=N (a signal to itself), print=N
 *                 (lines), close, shutdown, block (clears O_NONBLOCK), listen=N, stopping, trigger
 *                 (WATCHDOG=trigger), hang (answers no more, pings no more), grandchild (holds its
 *                 output), stray (the same in a session of its own), error=TEXT (to stderr)
 *
 * /?delay_ms=N is answered after N ms (not in mode blocking).
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "worker/handover.h"

enum { CONNECTIONS_MAX = 900, LISTENERS_MAX = 16, ACTIONS_MAX = 16, REQUEST_MAX_BYTES = 2048 };
enum { MORE_MAX = 16, MORE_MAX_BYTES = 128 };
enum { LISTEN_FDS_START = 3, BLOCKING_RETRY_MS = 5 };

struct accounts {
	uint64_t accepted, answered, within, generation;
};

struct connection {
	int fd;
	uint64_t answer_at_ms; /* 0: not known yet */
	size_t n_read;
	char request[REQUEST_MAX_BYTES];
};

struct action {
	char what[128];
	bool at_start;
	uint64_t due_ms; /* after ready */
	bool done;
};

static struct accounts unseen, *accounts = &unseen;
static struct connection connections[CONNECTIONS_MAX];
static size_t n_connections;
static int listeners[LISTENERS_MAX];
static size_t n_listeners;
static struct action actions[ACTIONS_MAX];
static size_t n_actions;
static const char *mode = "poll", *ready = "yes";
static bool ignore_term, no_watchdog;
static bool accepting, draining, hangs;
static uint64_t ready_at_ms, watchdog_ms, next_ping_ms;
static char release[64] = "none";
static volatile sig_atomic_t terminated;

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static const char *variable(const char *name)
{
	const char *value = getenv(name);
	return value ? value : "";
}

static void tell(const char *text)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = variable("NOTIFY_SOCKET");
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	size_t length = strlen(path);
	assert(length < sizeof(address.sun_path));
	memcpy(address.sun_path, path, length);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	if (length > 0)
		(void)sendto(fd, text, strlen(text), 0, (struct sockaddr *)&address,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
	close(fd);
}

/* What it does wrong. */

static void set_blocking(int fd, bool blocking)
{
	int flags = fcntl(fd, F_GETFL);
	(void)fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

static void act_on_listener(const char *what, int number, int fd)
{
	if (strcmp(what, "close") == 0)
		close(fd);
	else if (strcmp(what, "shutdown") == 0)
		(void)shutdown(fd, SHUT_RDWR);
	else if (strcmp(what, "block") == 0)
		set_blocking(fd, true);
	else if (strcmp(what, "listen") == 0)
		(void)listen(fd, number);
}

static void become_grandchild(bool stray)
{
	if (fork() != 0)
		return;
	if (stray)
		(void)setsid();
	for (;;)
		pause();
}

static void act(const char *text)
{
	char what[128];
	(void)snprintf(what, sizeof(what), "%s", text);
	char *value = strchr(what, '=');
	int number = value ? atoi(value + 1) : 0;
	if (value)
		*value++ = '\0';
	if (strcmp(what, "exit") == 0) {
		_exit(number);
	} else if (strcmp(what, "kill") == 0) {
		(void)raise(number);
	} else if (strcmp(what, "print") == 0) {
		for (int i = 0; i < number; i++)
			printf("line %d of %d\n", i, number);
		fflush(stdout);
	} else if (strcmp(what, "error") == 0) {
		fprintf(stderr, "%s\n", value ? value : "");
	} else if (strcmp(what, "stopping") == 0) {
		tell("STOPPING=1");
		draining = true;
	} else if (strcmp(what, "trigger") == 0) {
		tell("WATCHDOG=trigger");
	} else if (strcmp(what, "hang") == 0) {
		hangs = true;
	} else if (strcmp(what, "grandchild") == 0 || strcmp(what, "stray") == 0) {
		become_grandchild(strcmp(what, "stray") == 0);
	} else {
		for (size_t i = 0; i < n_listeners; i++)
			act_on_listener(what, number, listeners[i]);
		if (strcmp(what, "close") == 0)
			n_listeners = 0;
	}
}

/* Does what is due, returns how long nothing is. */
static int act_on_time(void)
{
	uint64_t now = now_ms(), next = now + 1000;
	for (size_t i = 0; ready_at_ms && i < n_actions; i++) {
		struct action *action = &actions[i];
		if (action->at_start || action->done)
			continue;
		uint64_t due = ready_at_ms + action->due_ms;
		if (due <= now) {
			action->done = true;
			act(action->what);
		} else if (due < next) {
			next = due;
		}
	}
	if (watchdog_ms && !no_watchdog && !hangs && now >= next_ping_ms) {
		tell("WATCHDOG=1");
		next_ping_ms = now + watchdog_ms / 2;
	}
	if (watchdog_ms && next_ping_ms > now && next_ping_ms < next)
		next = next_ping_ms;
	return (int)(next - now);
}

static void say_ready(struct handover *handover)
{
	if (strncmp(ready, "late=", 5) == 0)
		usleep((useconds_t)atoi(ready + 5) * 1000);
	if (strcmp(ready, "partial") == 0)
		tell("READY");
	if (strcmp(ready, "no") == 0 || strcmp(ready, "partial") == 0)
		return;
	if (handover)
		(void)handover_ready(handover);
	else
		tell("READY=1\nSTATUS=at work");
	ready_at_ms = now_ms();
}

/* What it does right. */

static void answer(int fd)
{
	char text[512];
	int n = snprintf(text, sizeof(text),
			 "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n"
			 "X-Generation: %s\r\nX-Slot: %s\r\nX-Release: %s\r\n\r\nhello\n",
			 variable("HANDOVER_GENERATION"), variable("HANDOVER_SLOT"), release);
	accounts->within = 2;
	(void)!write(fd, text, (size_t)n);
	accounts->answered++;
	accounts->within = 0;
	close(fd);
}

/* Returns false when the connection has ended without a request. */
static bool connection_read(struct connection *connection)
{
	ssize_t n = read(connection->fd, connection->request + connection->n_read,
			 REQUEST_MAX_BYTES - 1 - connection->n_read);
	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	connection->n_read += (size_t)n;
	connection->request[connection->n_read] = '\0';
	if (!strstr(connection->request, "\r\n\r\n"))
		return true;
	const char *delay = strstr(connection->request, "delay_ms=");
	connection->answer_at_ms = now_ms() + (delay ? (uint64_t)atoi(delay + 9) : 0);
	return true;
}

static void connection_forget(size_t i)
{
	connections[i] = connections[--n_connections];
}

static void serve_listener(int listener)
{
	while (n_connections < CONNECTIONS_MAX) {
		accounts->within = 1;
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		accounts->accepted += fd >= 0;
		accounts->within = 0;
		if (fd < 0)
			return;
		connections[n_connections++] = (struct connection){ .fd = fd };
	}
}

static void serve_connections(const struct pollfd *polled, size_t n)
{
	for (size_t i = n; i-- > 0;)
		if (polled[i].revents && !connections[i].answer_at_ms &&
		    !connection_read(&connections[i])) {
			accounts->answered++; /* there was nothing to answer */
			close(connections[i].fd);
			connection_forget(i);
		}
	for (size_t i = n_connections; i-- > 0;)
		if (connections[i].answer_at_ms && connections[i].answer_at_ms <= now_ms()) {
			answer(connections[i].fd);
			connection_forget(i);
		}
}

static int next_answer_ms(int longest)
{
	uint64_t now = now_ms();
	for (size_t i = 0; i < n_connections; i++) {
		uint64_t at = connections[i].answer_at_ms;
		if (at && at < now + (uint64_t)longest)
			longest = at > now ? (int)(at - now) : 0;
	}
	return longest;
}

static bool has_terminated(int signal_fd)
{
	struct signalfd_siginfo info;
	return read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info);
}

static void run_poll(struct handover *handover, int signal_fd)
{
	struct pollfd polled[CONNECTIONS_MAX + LISTENERS_MAX + 2];
	while (!draining || n_connections > 0) {
		int timeout_ms = next_answer_ms(act_on_time());
		size_t n = 0, n_polled = n_connections;
		for (; n < n_connections; n++)
			polled[n] = (struct pollfd){ .fd = connections[n].answer_at_ms
								   ? -1
								   : connections[n].fd,
						     .events = POLLIN };
		polled[n++] = (struct pollfd){ .fd = signal_fd, .events = POLLIN };
		polled[n++] = (struct pollfd){ .fd = handover ? handover_fd(handover) : -1,
					       .events = POLLIN };
		bool room = accepting && !draining && !hangs && n_connections < CONNECTIONS_MAX;
		for (size_t i = 0; room && i < n_listeners; i++)
			polled[n++] = (struct pollfd){ .fd = listeners[i], .events = POLLIN };
		(void)poll(polled, n, timeout_ms);
		if (has_terminated(signal_fd))
			draining = draining || !ignore_term;
		if (handover && polled[n_polled + 1].revents)
			(void)handover_dispatch(handover);
		if (hangs)
			continue;
		serve_connections(polled, n_polled);
		for (size_t i = n_polled + 2; !draining && i < n; i++)
			if (polled[i].revents & POLLIN)
				serve_listener(polled[i].fd);
	}
}

/* A signal just before accept() must not be lost in it: from then on one more comes every 5 ms. */
static void on_terminated(int signal)
{
	const struct timeval every = { .tv_usec = BLOCKING_RETRY_MS * 1000 };
	const struct itimerval timer = { every, every };
	if (signal == SIGTERM && !ignore_term)
		terminated = 1;
	(void)setitimer(ITIMER_REAL, &timer, NULL);
}

static void run_blocking(void)
{
	struct connection connection;
	while (!terminated && !draining) {
		accounts->within = 1;
		int fd = accept4(listeners[0], NULL, NULL, SOCK_CLOEXEC);
		accounts->accepted += fd >= 0;
		accounts->within = 0;
		(void)act_on_time();
		if (fd < 0)
			continue;
		connection = (struct connection){ .fd = fd };
		while (!connection.answer_at_ms && connection_read(&connection))
			;
		answer(fd);
	}
}

static void on_serve(struct handover *handover, void *owner)
{
	(void)handover, (void)owner;
	accepting = true;
}

static void on_drain(struct handover *handover, uint64_t deadline_usec, void *owner)
{
	(void)handover, (void)deadline_usec, (void)owner;
	draining = draining || !ignore_term;
}

static const struct handover_callbacks callbacks = { .serve = on_serve, .drain = on_drain };

/* Its arguments. */

static void open_accounts(const char *directory)
{
	char path[512];
	(void)snprintf(path, sizeof(path), "%s/%d", directory, (int)getpid());
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || ftruncate(fd, sizeof(*accounts)) < 0)
		exit(99);
	accounts = mmap(NULL, sizeof(*accounts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (accounts == MAP_FAILED)
		exit(99);
	accounts->generation = strtoull(variable("HANDOVER_GENERATION"), NULL, 10);
}

static void add_action(const char *text)
{
	const char *colon = strchr(text, ':');
	struct action *action = &actions[n_actions++];
	if (!colon || n_actions > ACTIONS_MAX)
		exit(98);
	action->at_start = strncmp(text, "start", 5) == 0;
	action->due_ms = strncmp(text, "ready+", 6) == 0 ? strtoull(text + 6, NULL, 10) : 0;
	(void)snprintf(action->what, sizeof(action->what), "%s", colon + 1);
}

static void parse(int argc, char **argv);

/* The lines are kept: arguments are used where they lie. */
static void parse_more(const char *path, char lines[MORE_MAX][MORE_MAX_BYTES])
{
	char *argv[MORE_MAX];
	int argc = 0;
	FILE *file = fopen(path, "re");
	while (file && argc < MORE_MAX && fgets(lines[argc], MORE_MAX_BYTES, file)) {
		lines[argc][strcspn(lines[argc], "\n")] = '\0';
		argv[argc] = lines[argc];
		argc++;
	}
	if (file)
		fclose(file);
	parse(argc, argv);
}

static void parse_all_more(const char *path)
{
	static char for_all[MORE_MAX][MORE_MAX_BYTES], for_slot[MORE_MAX][MORE_MAX_BYTES];
	char slot_path[512];
	parse_more(path, for_all);
	(void)snprintf(slot_path, sizeof(slot_path), "%s.%s", path, variable("HANDOVER_SLOT"));
	parse_more(slot_path, for_slot);
}

static void parse(int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";
		if (strcmp(argv[i], "--ignore-term") == 0)
			ignore_term = true;
		else if (strcmp(argv[i], "--no-watchdog") == 0)
			no_watchdog = true;
		else if (argv[i][0] != '-')
			add_action(argv[i]);
		else if (i++, strcmp(argv[i - 1], "--mode") == 0)
			mode = value;
		else if (strcmp(argv[i - 1], "--more") == 0)
			parse_all_more(value);
		else if (strcmp(argv[i - 1], "--count") == 0)
			open_accounts(value);
		else if (strcmp(argv[i - 1], "--ready") == 0)
			ready = value;
		else
			exit(98);
	}
}

/* What was appended to the executable behind the last "release:". */
static void read_release(void)
{
	char tail[64] = "";
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && lseek(fd, -(off_t)(sizeof(tail) - 1), SEEK_END) >= 0 &&
	    read(fd, tail, sizeof(tail) - 1) == (ssize_t)sizeof(tail) - 1)
		for (size_t i = 0; i + 8 < sizeof(tail); i++)
			if (memcmp(tail + i, "release:", 8) == 0)
				(void)snprintf(release, sizeof(release), "%s", tail + i + 8);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	struct handover *handover = NULL;
	sigset_t mask;
	parse(argc - 1, argv + 1);
	read_release();
	bool blocking = strcmp(mode, "blocking") == 0;
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGTERM);
	if (strcmp(mode, "native") == 0 && handover_attach(&handover, &callbacks, NULL, 0) < 0)
		exit(97);
	accepting = !handover;
	int n_given = atoi(variable("LISTEN_FDS"));
	for (int i = 0; i < n_given && i < LISTENERS_MAX; i++)
		listeners[n_listeners++] = LISTEN_FDS_START + i;
	for (size_t i = 0; i < n_listeners; i++)
		set_blocking(listeners[i], blocking);
	watchdog_ms = handover ? 0 : strtoull(variable("WATCHDOG_USEC"), NULL, 10) / 1000;
	for (size_t i = 0; i < n_actions; i++)
		if (actions[i].at_start)
			act(actions[i].what);
	if (blocking) {
		const struct sigaction action = { .sa_handler = on_terminated };
		(void)sigaction(SIGTERM, &action, NULL);
		(void)sigaction(SIGALRM, &action, NULL);
		say_ready(NULL);
		run_blocking();
		return 0;
	}
	(void)sigprocmask(SIG_BLOCK, &mask, NULL);
	int signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	say_ready(handover);
	run_poll(handover, signal_fd);
	handover_free(handover);
	return 0;
}
