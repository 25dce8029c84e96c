#include "supervisor/slot.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "proto/base.h"
#include "supervisor/listener.h"

static struct slot *slot_new(struct slots *slots, unsigned number)
{
	struct slot *slot = calloc(1, sizeof(*slot));
	if (slot) {
		slot->slots = slots;
		slot->number = number;
	}
	return slot;
}

int slots_grow(struct slots *slots, size_t n)
{
	if (n <= slots->n_items)
		return 0;
	struct slot **items = reallocarray(slots->items, n, sizeof(*items));
	if (!items)
		return -ENOMEM;
	slots->items = items;
	for (; slots->n_items < n; slots->n_items++) {
		items[slots->n_items] = slot_new(slots, (unsigned)slots->n_items);
		if (!items[slots->n_items])
			return -ENOMEM;
	}
	return 0;
}

void slots_finish(struct slots *slots)
{
	for (size_t i = 0; i < slots->n_items; i++) {
		assert(!slots->items[i]->workers && !slots->items[i]->replaces);
		free(slots->items[i]);
	}
	free(slots->items);
	slots->items = NULL;
	slots->n_items = 0;
}

bool slot_serves(const struct slot *slot)
{
	for (const struct worker *worker = slot->workers; worker; worker = worker->next)
		if (worker->state == WORKER_SERVING)
			return true;
	return false;
}

size_t slots_n_serving(const struct slots *slots)
{
	size_t n = 0;
	for (size_t i = 0; i < slots->n_items; i++)
		n += !slots->items[i]->leaving && slot_serves(slots->items[i]);
	return n;
}

size_t slots_n_workers(const struct slots *slots)
{
	size_t n = 0;
	for (size_t i = 0; i < slots->n_items; i++)
		for (const struct worker *w = slots->items[i]->workers; w; w = w->next)
			n++;
	return n;
}

static void slots_complain(struct slots *slots, const char *text)
{
	slots->ops->sockets_complaint(slots->owner, text);
}

void slots_steer(struct slots *slots)
{
	CLEANUP(freep) bool *live = calloc(slots->n_items + 1, sizeof(*live));
	struct error error;
	if (!live)
		return; /* the next change steers */
	/* Slots that leave are the last ones. They stay parked also while no slot serves. */
	size_t n_slots = slots->n_items;
	while (n_slots > 0 && slots->items[n_slots - 1]->leaving)
		n_slots--;
	for (size_t i = 0; i < n_slots; i++)
		live[i] = slot_serves(slots->items[i]);
	int r = listeners_steer(slots->listeners, live, n_slots, &error);
	if (r < 0 && !slots->steering_failed)
		slots_complain(slots, error.text);
	slots->steering_failed = r < 0;
}

/* NonBlocking=auto puts O_NONBLOCK back only where nobody would be surprised by it. */
static bool slots_bear_nonblocking(const struct slots *slots)
{
	for (size_t i = 0; i < slots->n_items; i++)
		for (const struct worker *w = slots->items[i]->workers; w; w = w->next)
			if (w->kind != WORKER_NATIVE && !w->left_nonblocking)
				return false;
	return true;
}

void slots_tend(struct slot *slot, const struct worker *by)
{
	struct slots *slots = slot->slots;
	bool cleared = false;
	char text[256];
	int r = listeners_tend(slots->listeners, slot->number, slots_bear_nonblocking(slots),
			       &cleared);
	if (r < 0) {
		snprintf(text, sizeof(text), "cannot restore what the workers of slot %u share: %s",
			 slot->number, strerrordesc_np(-r));
		slots_complain(slots, text);
	}
	if (cleared && by && by->kind == WORKER_NATIVE) {
		snprintf(text, sizeof(text),
			 "O_NONBLOCK was cleared on a shared socket of slot %u: put back",
			 slot->number);
		slots_complain(slots, text);
	} else if (cleared) {
		snprintf(text, sizeof(text),
			 "a worker (slot %u%s) accepts in blocking mode: it made the shared "
			 "sockets blocking for all who hold them; a neighbour that polls them may "
			 "wait in accept()",
			 slot->number, by ? ", the one that just got ready" : "");
		slots_complain(slots, text);
	}
}
