/*
 * Bytes that wait: appended at one end, consumed at the other. Owned by the struct it is embedded
 * in; all zero is an empty queue. What was appended moves when more is appended.
 */
#ifndef HANDOVER_PROTO_BYTE_QUEUE_H
#define HANDOVER_PROTO_BYTE_QUEUE_H

#include <jansson.h>

#include "proto/base.h"

struct byte_queue {
	char *bytes;
	size_t start, end, capacity;
};
void byte_queue_finish(struct byte_queue *queue);

static inline size_t byte_queue_length(const struct byte_queue *queue)
{
	return queue->end - queue->start;
}

/* The first byte, valid until the next append or consume. NULL when nothing was ever appended. */
static inline const char *byte_queue_data(const struct byte_queue *queue)
{
	return queue->bytes ? queue->bytes + queue->start : NULL;
}

/* Returns 0, or -ENOMEM and the queue is as it was. */
int byte_queue_append(struct byte_queue *queue, const void *bytes, size_t n_bytes);

/* Appends @json in its compact form, without a terminator. Returns 0, or -ENOMEM and the queue is
 * as it was. */
int byte_queue_append_json(struct byte_queue *queue, const json_t *json);

/* Drops the first @n_bytes, which must be there. An emptied queue gives large memory back. */
void byte_queue_consume(struct byte_queue *queue, size_t n_bytes);

#endif
