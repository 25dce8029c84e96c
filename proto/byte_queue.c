#include "proto/byte_queue.h"

#include <assert.h>
#include <string.h>

/* What an empty queue may keep for the next message. */
enum { CAPACITY_MIN_BYTES = 512, CAPACITY_KEPT_BYTES = 32 * 1024 };

void byte_queue_finish(struct byte_queue *queue)
{
	free(queue->bytes);
	*queue = (struct byte_queue){ 0 };
}

static int byte_queue_make_room(struct byte_queue *queue, size_t n_bytes)
{
	if (queue->capacity - queue->end >= n_bytes)
		return 0;
	size_t length = byte_queue_length(queue);
	/* Moving is worth it only when it frees more than it moves: so its cost stays linear. */
	if (queue->start >= length && queue->capacity - length >= n_bytes) {
		memmove(queue->bytes, queue->bytes + queue->start, length);
		queue->start = 0;
		queue->end = length;
		return 0;
	}
	if (n_bytes > SIZE_MAX / 2 - queue->capacity)
		return -ENOMEM;
	size_t capacity = queue->capacity ? queue->capacity : CAPACITY_MIN_BYTES;
	while (capacity - queue->end < n_bytes)
		capacity *= 2;
	char *bytes = realloc(queue->bytes, capacity);
	if (!bytes)
		return -ENOMEM;
	queue->bytes = bytes;
	queue->capacity = capacity;
	return 0;
}

int byte_queue_append(struct byte_queue *queue, const void *bytes, size_t n_bytes)
{
	if (n_bytes == 0)
		return 0;
	int r = byte_queue_make_room(queue, n_bytes);
	if (r < 0)
		return r;
	memcpy(queue->bytes + queue->end, bytes, n_bytes);
	queue->end += n_bytes;
	return 0;
}

static int append_dumped(const char *bytes, size_t n_bytes, void *queue)
{
	return byte_queue_append(queue, bytes, n_bytes) < 0 ? -1 : 0;
}

int byte_queue_append_json(struct byte_queue *queue, const json_t *json)
{
	size_t length = byte_queue_length(queue);
	if (json_dump_callback(json, append_dumped, queue, JSON_COMPACT) == 0)
		return 0;
	queue->end = queue->start + length;
	return -ENOMEM;
}

void byte_queue_consume(struct byte_queue *queue, size_t n_bytes)
{
	assert(n_bytes <= byte_queue_length(queue));
	queue->start += n_bytes;
	if (queue->start < queue->end)
		return;
	if (queue->capacity > CAPACITY_KEPT_BYTES)
		byte_queue_finish(queue);
	queue->start = queue->end = 0;
}
