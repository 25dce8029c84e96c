#include "proto/framing.h"

#include "proto/limits.h"

void framing_finish(struct framing *framing)
{
	byte_queue_finish(&framing->input);
}

static void framing_drop_handed_out(struct framing *framing)
{
	byte_queue_consume(&framing->input, framing->n_handed_out);
	framing->n_handed_out = 0;
}

int framing_push(struct framing *framing, const void *bytes, size_t n_bytes)
{
	framing_drop_handed_out(framing);
	return byte_queue_append(&framing->input, bytes, n_bytes);
}

static bool is_space(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static void framing_scan_string(struct framing *framing, char byte)
{
	if (framing->escaped)
		framing->escaped = false;
	else if (byte == '\\')
		framing->escaped = true;
	else if (byte == '"')
		framing->in_string = false;
}

/* One byte between the outermost braces, they included. Returns 0 or -EBADMSG. */
static int framing_scan_inside(struct framing *framing, char byte)
{
	if (byte == '\0')
		return -EBADMSG;
	if (framing->in_string) {
		framing_scan_string(framing, byte);
		return 0;
	}
	switch (byte) {
	case '"':
		framing->in_string = true;
		return 0;
	case '{':
	case '[':
		return ++framing->depth > MESSAGE_MAX_DEPTH ? -EBADMSG : 0;
	case '}':
	case ']':
		if (--framing->depth == 0)
			framing->state = FRAMING_COMPLETE;
		return 0;
	default:
		return 0;
	}
}

/* One byte behind the object. Returns 1 when it ends the message, 0 or -EBADMSG. */
static int framing_scan_complete(struct framing *framing, char byte)
{
	if (byte != '\0' && !is_space(byte))
		return -EBADMSG;
	if (!framing->terminator_known && (byte == '\0' || byte == '\n')) {
		framing->terminator = byte;
		framing->terminator_known = true;
	}
	if (framing->terminator_known && byte == framing->terminator)
		return 1;
	return byte == '\0' ? -EBADMSG : 0;
}

static int framing_scan(struct framing *framing, char byte)
{
	switch (framing->state) {
	case FRAMING_BETWEEN:
		if (byte != '{')
			return -EBADMSG;
		framing->state = FRAMING_INSIDE;
		return framing_scan_inside(framing, byte);
	case FRAMING_INSIDE:
		return framing_scan_inside(framing, byte);
	case FRAMING_COMPLETE:
		return framing_scan_complete(framing, byte);
	case FRAMING_BROKEN:
		break;
	}
	return framing->broken;
}

static int framing_break(struct framing *framing, int code)
{
	framing->state = FRAMING_BROKEN;
	framing->broken = code;
	byte_queue_finish(&framing->input);
	return code;
}

static void framing_skip_space(struct framing *framing)
{
	const char *bytes = byte_queue_data(&framing->input);
	size_t n_bytes = byte_queue_length(&framing->input), n_spaces = 0;
	while (n_spaces < n_bytes && is_space(bytes[n_spaces]))
		n_spaces++;
	byte_queue_consume(&framing->input, n_spaces);
}

int framing_next(struct framing *framing, const char **ret_message, size_t *ret_n_bytes)
{
	if (framing->state == FRAMING_BROKEN)
		return framing->broken;
	framing_drop_handed_out(framing);
	if (framing->state == FRAMING_BETWEEN)
		framing_skip_space(framing);

	const char *bytes = byte_queue_data(&framing->input);
	size_t n_bytes = byte_queue_length(&framing->input);
	while (framing->n_scanned < n_bytes) {
		int r = framing_scan(framing, bytes[framing->n_scanned]);
		if (r < 0)
			return framing_break(framing, r);
		if (r > 0) {
			*ret_message = bytes;
			*ret_n_bytes = framing->n_scanned;
			framing->n_handed_out = framing->n_scanned + 1;
			framing->n_scanned = 0;
			framing->state = FRAMING_BETWEEN;
			return 1;
		}
		if (++framing->n_scanned > CONTROL_MESSAGE_MAX_BYTES)
			return framing_break(framing, -EMSGSIZE);
	}
	return 0;
}
