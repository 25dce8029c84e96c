#include "tests/load/load_timer.h"

#include <stddef.h>
#include <time.h>

uint64_t clock_usec(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void timer_queue_init(struct timer_queue *queue, void (*fire)(struct timer *timer))
{
	TAILQ_INIT(&queue->armed);
	queue->fire = fire;
}

void timer_queue_run(struct timer_queue *queue, uint64_t now_usec)
{
	struct timer *timer;

	while ((timer = TAILQ_FIRST(&queue->armed)) && timer->due_usec <= now_usec) {
		timer_disarm(timer);
		queue->fire(timer);
	}
}

uint64_t timer_queue_next_usec(const struct timer_queue *queue)
{
	const struct timer *timer = TAILQ_FIRST(&queue->armed);
	return timer ? timer->due_usec : UINT64_MAX;
}

void timer_arm(struct timer *timer, struct timer_queue *queue, uint64_t due_usec)
{
	timer_disarm(timer);
	timer->queue = queue;
	timer->due_usec = due_usec;

	struct timer *before = TAILQ_LAST(&queue->armed, timer_list);
	while (before && before->due_usec > due_usec)
		before = TAILQ_PREV(before, timer_list, link);
	if (before)
		TAILQ_INSERT_AFTER(&queue->armed, before, timer, link);
	else
		TAILQ_INSERT_HEAD(&queue->armed, timer, link);
}

void timer_disarm(struct timer *timer)
{
	if (!timer->queue)
		return;
	TAILQ_REMOVE(&timer->queue->armed, timer, link);
	timer->queue = NULL;
}
