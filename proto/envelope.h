/*
 * The one envelope of all control messages, Varlink's (varlink.org, "Method Call" and "Reply"):
 *
 *   call    {"method":"iface.Method","parameters"?:{},"oneway"?:bool,"more"?:bool,"upgrade"?:bool}
 *   reply   {"error"?:"iface.Error","parameters"?:{},"continues"?:bool}
 *
 * Decoding is strict: an object, no key twice, none that is not named above, each of its type;
 * `oneway` excludes `more`; an error does not continue; `parameters` may be null. Stateless.
 */
#ifndef HANDOVER_PROTO_ENVELOPE_H
#define HANDOVER_PROTO_ENVELOPE_H

#include <jansson.h>
#include <stdbool.h>

#include "proto/error.h"

/* Both borrow from the message that they were decoded from. */
struct envelope_call {
	const char *method;
	json_t *parameters; /* an object, or NULL: none given */
	bool oneway, more, upgrade;
};
struct envelope_reply {
	const char *error;  /* NULL: success */
	json_t *parameters; /* an object, or NULL: none given */
	bool continues;
};

/* Bytes to a JSON object of at most MESSAGE_MAX_DEPTH levels, no key twice. Returns 0, -EBADMSG
 * with @error's text, or -ENOMEM. */
int envelope_parse(const char *bytes, size_t n_bytes, json_t **ret_message, struct error *error);

/* Return 0, -EBADMSG with @error's text, or -ENOMEM. */
int envelope_decode_call(json_t *message, struct envelope_call *ret_call, struct error *error);
int envelope_decode_reply(json_t *message, struct envelope_reply *ret_reply, struct error *error);

/* A new message, or NULL without memory. The parameters are borrowed; without any, a call has none
 * and a reply has an empty object. What is false is left out. */
json_t *envelope_encode_call(const struct envelope_call *call);
json_t *envelope_encode_reply(const struct envelope_reply *reply);

#endif
