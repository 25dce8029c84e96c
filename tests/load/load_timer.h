/*
 * Timers of one kind in the order in which they fire. All of a kind have nearly the same duration,
 * so that a new one belongs at the end, or close to it: arming is O(1) without a heap.
 *
 * A timer is embedded in what it serves, which owns it and disarms it before it goes; a queue only
 * links what is armed.
 */
#ifndef HANDOVER_TESTS_LOAD_TIMER_H
#define HANDOVER_TESTS_LOAD_TIMER_H

#include <stdint.h>
#include <sys/queue.h>

struct timer_queue;

struct timer {
	struct timer_queue *queue; /* NULL: not armed */
	uint64_t due_usec;
	TAILQ_ENTRY(timer) link;
};

TAILQ_HEAD(timer_list, timer);

struct timer_queue {
	struct timer_list armed;
	void (*fire)(struct timer *timer);
};

/* The clock that all of this program goes by: CLOCK_MONOTONIC. */
uint64_t clock_usec(void);

void timer_queue_init(struct timer_queue *queue, void (*fire)(struct timer *timer));

/* Fires what is due at @now_usec; a timer is disarmed before it fires. */
void timer_queue_run(struct timer_queue *queue, uint64_t now_usec);

/* When the first one is due; UINT64_MAX when none is armed. */
uint64_t timer_queue_next_usec(const struct timer_queue *queue);

/* Arms, or arms anew. */
void timer_arm(struct timer *timer, struct timer_queue *queue, uint64_t due_usec);
void timer_disarm(struct timer *timer);

#endif
