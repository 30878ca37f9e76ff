/*
 * any.h -- Flight SQL messages in google.protobuf.Any.
 *
 * Emitted type URLs are exactly "type.googleapis.com/" and the full name; accepted is
 * anything that ends in "/" and the full name, as other implementations do.
 *
 * Owns:    nothing: results borrow from the input and the arena.
 * Threads: no state.
 * Blocks:  never.
 */
#ifndef IG_WIRE_ANY_H
#define IG_WIRE_ANY_H

#include "base/protobuf.h"

/* Read an Any that holds one of the Flight SQL messages. *ret_message is its table
 * (compare the address: `message == &ig_command_get_tables_message`), *ret_value its
 * struct. Returns IGLOO_OK; INVALID_ARGUMENT 08P01 or 22021 for an empty or malformed
 * Any or message; UNSUPPORTED 0A000 for a type that is none of ours; RESOURCE_EXHAUSTED
 * 54000, OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_any_decode(struct ig_str bytes, ig_arena *arena,
                                        const struct ig_protobuf_message **ret_message,
                                        const void **ret_value,
                                        struct igloo_error *reterr);

/* The same where only one type will do: the body of an action, the result of one. Another
 * type is INVALID_ARGUMENT 08P01. */
IG_NODISCARD igloo_status ig_any_decode_as(struct ig_str bytes, ig_arena *arena,
                                           const struct ig_protobuf_message *message,
                                           void *ret_value, struct igloo_error *reterr);

/* Append an Any with the message; failures stick in `out`. */
void ig_any_encode(const struct ig_protobuf_message *message, const void *value,
                   struct ig_buf *out);

#endif
