#include "tests/load/load_run.h"

#include <assert.h>
#include <math.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "proto/base.h"
#include "tests/load/load_report.h"

enum { EVENTS_AT_ONCE = 256 };

static struct run *run_of(struct client *client)
{
	return container_of(client->context, struct run, context);
}

static const struct load_options *run_options(const struct run *run)
{
	return run->context.options;
}

static uint64_t due_of(const struct run *run, uint64_t request)
{
	return run->start_usec + (uint64_t)((double)request * 1e6 / run_options(run)->rate_per_sec);
}

/* Is the next request to be begun, now or as soon as a client is free? */
static bool run_wants(const struct run *run, uint64_t now_usec)
{
	const struct load_options *options = run_options(run);
	uint64_t next = run->context.tally.issued;

	if (options->mode == LOAD_IDLE || next >= options->requests)
		return false;
	if (options->rate_per_sec <= 0)
		return !run->stopping;
	uint64_t due_usec = due_of(run, next);
	return run->stopping ? due_usec < run->stop_usec : due_usec <= now_usec;
}

static void run_begin(struct run *run, uint64_t now_usec)
{
	bool open_loop = run_options(run)->rate_per_sec > 0;
	/* Synchronous failures free their client at once: the loop must still turn. */
	uint64_t budget = run_options(run)->clients;
	struct client *client;

	while (budget-- > 0 && (client = TAILQ_FIRST(&run->free)) && run_wants(run, now_usec)) {
		TAILQ_REMOVE(&run->free, client, free_link);
		client_start(client, open_loop ? due_of(run, run->context.tally.issued) : now_usec,
			     now_usec);
	}
}

/* Due, and for the whole timeout no client was free for it. */
static void run_expire(struct run *run, uint64_t now_usec)
{
	struct tally *tally = &run->context.tally;

	while (run_options(run)->rate_per_sec > 0 && TAILQ_EMPTY(&run->free) &&
	       run_wants(run, now_usec) &&
	       due_of(run, tally->issued) + run_options(run)->timeout_usec <= now_usec) {
		tally->issued++;
		tally_outcome(tally, OUTCOME_UNSENT, 0, "");
	}
}

static void run_stop(struct run *run, uint64_t now_usec)
{
	if (run->stopping)
		return;
	run->stopping = true;
	run->stop_usec = now_usec;
	if (run_options(run)->mode != LOAD_IDLE)
		return;
	for (uint64_t i = 0; i < run_options(run)->clients; i++) {
		struct client *client = &run->clients[i];
		timer_disarm(&client->idle);
		if (!client->has_request)
			client_drop(client);
	}
}

static void on_request_over(struct client *client, enum outcome outcome)
{
	struct run *run = run_of(client);
	const struct load_options *options = run_options(run);

	if (options->mode == LOAD_KEEPALIVE) {
		TAILQ_INSERT_TAIL(&run->free, client, free_link); /* all connections in turn */
	} else if (options->mode != LOAD_IDLE) {
		TAILQ_INSERT_HEAD(&run->free, client, free_link); /* warm in the cache */
	} else if (!run->stopping) {
		/* One that failed while it was opened ahead took the request of its timer with it. */
		bool ahead = client->idle.queue != NULL;
		uint64_t due_usec = ahead ? client->idle.due_usec : client->due_usec;
		timer_arm(&client->idle, &run->idle, due_usec + options->idle_interval_usec);
		if (client->state == CLIENT_FREE && outcome == OUTCOME_OK)
			client_open(client);
	}
}

/* One that was never answered on is not opened again before its time: that would be a storm. */
static void on_idle_lost(struct client *client, bool was_used)
{
	struct run *run = run_of(client);

	if (run_options(run)->mode == LOAD_IDLE && was_used && !run->stopping)
		client_open(client);
}

static const struct client_ops run_client_ops = {
	.request_over = on_request_over,
	.idle_lost = on_idle_lost,
};

static void on_idle_timer(struct timer *timer)
{
	struct client *client = container_of(timer, struct client, idle);
	struct run *run = run_of(client);

	if (run->context.tally.issued >= run_options(run)->requests)
		run_stop(run, clock_usec());
	else
		client_start(client, timer->due_usec, clock_usec());
}

static void run_open_idle(struct run *run)
{
	const struct load_options *options = run_options(run);

	for (uint64_t i = 0; i < options->clients; i++) {
		uint64_t offset_usec = options->idle_interval_usec * (i + 1) / options->clients;
		timer_arm(&run->clients[i].idle, &run->idle, run->start_usec + offset_usec);
	}
	for (uint64_t i = 0; i < options->clients; i++)
		client_open(&run->clients[i]);
}

static int run_watch(struct run *run, int fd, void *data)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = data };

	return epoll_ctl(run->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* The first signal ends the run in order; a second one ends the program. */
static void on_signal(struct run *run)
{
	struct signalfd_siginfo info;

	(void)!read(run->signal_fd, &info, sizeof(info));
	(void)sigprocmask(SIG_SETMASK, &run->old_mask, NULL);
	run_stop(run, clock_usec());
}

static void on_stdin(struct run *run)
{
	char bytes[4096];
	ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));

	if (n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN)))
		return;
	(void)epoll_ctl(run->epoll_fd, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
	run_stop(run, clock_usec());
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t run_next_usec(const struct run *run, uint64_t now_usec)
{
	const struct client_context *context = &run->context;
	const struct load_options *options = run_options(run);
	const struct timer_queue *queues[] = { &context->deadlines, &context->retries,
					       &context->pieces, &context->graces, &run->idle };
	uint64_t next = UINT64_MAX;

	for (size_t i = 0; i < ARRAY_SIZE(queues); i++)
		next = earlier(next, timer_queue_next_usec(queues[i]));
	if (run->progress_usec)
		next = earlier(next, run->progress_usec);
	if (!run->stopping && options->duration_usec != UINT64_MAX)
		next = earlier(next, run->start_usec + options->duration_usec);
	if (!TAILQ_EMPTY(&run->free) && run_wants(run, now_usec))
		return 0;
	if (options->rate_per_sec > 0 && options->mode != LOAD_IDLE &&
	    (!run->stopping || run_wants(run, now_usec))) {
		uint64_t due_usec = due_of(run, context->tally.issued);
		bool waits = TAILQ_EMPTY(&run->free);
		next = earlier(next, due_usec + (waits ? options->timeout_usec : 0));
	}
	return next;
}

static void run_wait(struct run *run, uint64_t until_usec)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	uint64_t now_usec = clock_usec();
	uint64_t wait_usec = until_usec > now_usec ? until_usec - now_usec : 0;
	struct timespec timeout = {
		.tv_sec = (time_t)(wait_usec / 1000000),
		.tv_nsec = (long)(wait_usec % 1000000) * 1000,
	};
	bool forever = until_usec == UINT64_MAX;
	int n = epoll_pwait2(run->epoll_fd, events, EVENTS_AT_ONCE, forever ? NULL : &timeout,
			     NULL);

	for (int i = 0; i < n; i++) {
		void *data = events[i].data.ptr;
		if (data == &run->signal_fd)
			on_signal(run);
		else if (data == run)
			on_stdin(run);
		else
			client_event(data, events[i].events);
	}
}

static void run_timers(struct run *run, uint64_t now_usec)
{
	timer_queue_run(&run->context.deadlines, now_usec);
	timer_queue_run(&run->context.retries, now_usec);
	timer_queue_run(&run->context.pieces, now_usec);
	timer_queue_run(&run->context.graces, now_usec);
	timer_queue_run(&run->idle, now_usec);
}

static void run_progress(struct run *run, uint64_t now_usec)
{
	uint64_t interval_usec = run_options(run)->progress_usec;

	if (interval_usec == 0 || run->context.tally.outcomes[OUTCOME_OK] == 0 ||
	    now_usec < run->progress_usec)
		return;
	report_progress(stdout, &run->context.tally, run_seconds(run));
	run->progress_usec = now_usec + interval_usec;
}

static bool run_goes_on(const struct run *run, uint64_t now_usec)
{
	bool more = !run->stopping && run->context.tally.issued < run_options(run)->requests;

	return run->context.active > 0 || more || run_wants(run, now_usec);
}

void run_go(struct run *run)
{
	const struct load_options *options = run_options(run);
	uint64_t now_usec = clock_usec();

	run->start_usec = now_usec;
	if (options->mode == LOAD_IDLE)
		run_open_idle(run);
	/* A file or /dev/null cannot be watched: there the end has been reached already. */
	if (options->until_eof && run_watch(run, STDIN_FILENO, run) < 0)
		run_stop(run, now_usec);
	for (;;) {
		run_begin(run, now_usec);
		if (!run_goes_on(run, now_usec))
			break;
		run_wait(run, run_next_usec(run, now_usec));
		now_usec = clock_usec();
		run_timers(run, now_usec);
		run_expire(run, now_usec);
		if (options->duration_usec != UINT64_MAX &&
		    now_usec - run->start_usec >= options->duration_usec)
			run_stop(run, run->start_usec + options->duration_usec);
		run_progress(run, now_usec);
	}
	run->end_usec = now_usec;
	assert(run->context.tally.issued == tally_ended(&run->context.tally));
}

double run_seconds(const struct run *run)
{
	uint64_t end_usec = run->end_usec ? run->end_usec : clock_usec();
	return (double)(end_usec - run->start_usec) / 1e6;
}

int run_init(struct run *run, const struct load_options *options)
{
	sigset_t signals;

	memset(run, 0, sizeof(*run));
	run->epoll_fd = run->signal_fd = -1;
	TAILQ_INIT(&run->free);
	timer_queue_init(&run->idle, on_idle_timer);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &signals, &run->old_mask);

	run->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (run->epoll_fd < 0)
		return -errno;
	run->signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
	if (run->signal_fd < 0)
		return -errno;
	int r = run_watch(run, run->signal_fd, &run->signal_fd);
	if (r < 0)
		return r;
	r = client_context_init(&run->context, options, &run_client_ops, run->epoll_fd);
	if (r < 0)
		return r;
	run->clients = reallocarray(NULL, options->clients, sizeof(*run->clients));
	if (!run->clients)
		return -ENOMEM;
	for (uint64_t i = 0; i < options->clients; i++) {
		client_init(&run->clients[i], &run->context);
		TAILQ_INSERT_TAIL(&run->free, &run->clients[i], free_link);
	}
	return 0;
}

void run_finish(struct run *run)
{
	for (uint64_t i = 0; run->clients && i < run_options(run)->clients; i++)
		client_drop(&run->clients[i]);
	free(run->clients);
	run->clients = NULL;
	client_context_finish(&run->context);
	run->signal_fd = fd_close(run->signal_fd);
	run->epoll_fd = fd_close(run->epoll_fd);
	(void)sigprocmask(SIG_SETMASK, &run->old_mask, NULL);
}
