/*
 * protobuf.h -- protobuf messages as C structs, by field tables.
 *
 * A message is a plain struct and a static table that says which field is which member.
 * Decoding gives views into the input; only lists and nested messages take memory, from
 * an arena. Wire format: protobuf.dev/programming-guides/encoding, proto3 rules:
 *  - a field without presence is not sent while it is zero or empty;
 *  - repeated scalars are sent packed and accepted packed or not;
 *  - what is set twice: the last scalar wins, nested messages are merged;
 *  - unknown fields, and known ones of another wire type, are skipped; groups are
 * refused;
 *  - strings must be UTF-8; enums are open (any int32);
 *  - a map is a list of entries: where a key comes twice both are there, the last wins.
 *
 *     struct ig_flight_ticket { struct ig_str ticket; };
 *     static const struct ig_protobuf_field ticket_fields[] = {
 *         IG_PROTOBUF_FIELD(1, BYTES, ig_flight_ticket, ticket)};
 *     const struct ig_protobuf_message ig_flight_ticket_message =
 *         IG_PROTOBUF_MESSAGE("arrow.flight.protocol.Ticket", ig_flight_ticket,
 * ticket_fields);
 *
 * Owns:    nothing; decoded structs borrow from input and arena.
 * Threads: no state.
 * Blocks:  never.
 */
#ifndef IG_BASE_PROTOBUF_H
#define IG_BASE_PROTOBUF_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

/* Nested messages, the outermost counted. Flight's deepest (a cancel request: info,
 * endpoint, ticket) has four. */
#define IG_PROTOBUF_DEPTH_MAX 8

/* What every reader of protobuf refuses beyond. */
#define IG_PROTOBUF_BYTES_MAX ((size_t)INT32_MAX)

enum ig_protobuf_type {
  IG_PROTOBUF_BOOL,     /* bool */
  IG_PROTOBUF_INT32,    /* int32_t */
  IG_PROTOBUF_INT64,    /* int64_t */
  IG_PROTOBUF_UINT32,   /* uint32_t */
  IG_PROTOBUF_UINT64,   /* uint64_t */
  IG_PROTOBUF_ENUM,     /* int32_t */
  IG_PROTOBUF_FIXED32,  /* uint32_t */
  IG_PROTOBUF_FIXED64,  /* uint64_t */
  IG_PROTOBUF_SFIXED64, /* int64_t */
  IG_PROTOBUF_DOUBLE,   /* double */
  IG_PROTOBUF_STRING,   /* struct ig_str, UTF-8 */
  IG_PROTOBUF_BYTES,    /* struct ig_str */
  IG_PROTOBUF_NESTED,   /* a message: pointer, embedded struct or list, see the shape */
};

enum ig_protobuf_shape {
  IG_PROTOBUF_PLAIN, /* no presence: zero is not sent. Nested: a pointer, NULL absent */
  IG_PROTOBUF_OPTIONAL, /* the bool has_MEMBER says whether it is there */
  IG_PROTOBUF_REPEATED, /* IG_PROTOBUF_LIST(type) */
  IG_PROTOBUF_CHOICE,   /* in a oneof: a uint32_t holds the number that is set, 0 none */
  IG_PROTOBUF_ENTRY,    /* half of a map's entry: always sent; nested ones are embedded */
};

struct ig_protobuf_field {
  const char *name; /* the member's, which is the specification's */
  uint32_t number;
  uint8_t type;
  uint8_t shape;
  uint16_t offset; /* of the member */
  uint16_t has;    /* offset of its bool, or of the oneof's uint32_t */
  const struct ig_protobuf_message *message; /* of NESTED */
};

struct ig_protobuf_message {
  const char *name; /* full, as in "arrow.flight.protocol.Ticket" */
  size_t name_len;
  size_t bytes; /* of the struct */
  const struct ig_protobuf_field *fields;
  size_t fields_len;
};

/* A repeated field. All lists have the layout of struct ig_protobuf_list. */
#define IG_PROTOBUF_LIST(type) \
  struct {                     \
    type *items;               \
    size_t len;                \
  }
struct ig_protobuf_list {
  void *items;
  size_t len;
};

/* Messages without fields, and the entry of a map<string, string>. */
struct ig_protobuf_empty {
  uint8_t unused;
};
struct ig_protobuf_pair {
  struct ig_str key, value;
};
extern const struct ig_protobuf_message ig_protobuf_pair_message;

/* ---- tables ------------------------------------------------------------------------ */

#define IG_PROTOBUF_C_BOOL bool
#define IG_PROTOBUF_C_INT32 int32_t
#define IG_PROTOBUF_C_INT64 int64_t
#define IG_PROTOBUF_C_UINT32 uint32_t
#define IG_PROTOBUF_C_UINT64 uint64_t
#define IG_PROTOBUF_C_ENUM int32_t
#define IG_PROTOBUF_C_FIXED32 uint32_t
#define IG_PROTOBUF_C_FIXED64 uint64_t
#define IG_PROTOBUF_C_SFIXED64 int64_t
#define IG_PROTOBUF_C_DOUBLE double
#define IG_PROTOBUF_C_STRING struct ig_str
#define IG_PROTOBUF_C_BYTES struct ig_str

/* The offset of a member; does not compile unless the member is of type `type`. */
#define IG_PROTOBUF_OFFSET(tag, member, type)                                  \
  ((uint16_t)(offsetof(struct tag, member) +                                   \
              0 * sizeof(char[__builtin_types_compatible_p(                    \
                                  __typeof__(((struct tag *)0)->member), type) \
                                  ? 1                                          \
                                  : -1])))

/* FIELD(number, TYPE, struct tag, member): no presence. */
#define IG_PROTOBUF_FIELD(number, type, tag, member)                   \
  {                                                                    \
#member, number, IG_PROTOBUF_##type, IG_PROTOBUF_PLAIN,            \
        IG_PROTOBUF_OFFSET(tag, member, IG_PROTOBUF_C_##type), 0, NULL \
  }
/* proto3 `optional`: beside `member` there is `bool has_member`. */
#define IG_PROTOBUF_FIELD_OPTIONAL(number, type, tag, member)  \
  {                                                            \
#member, number, IG_PROTOBUF_##type, IG_PROTOBUF_OPTIONAL, \
        IG_PROTOBUF_OFFSET(tag, member, IG_PROTOBUF_C_##type), \
        IG_PROTOBUF_OFFSET(tag, has_##member, bool), NULL      \
  }
#define IG_PROTOBUF_FIELD_REPEATED(number, type, tag, member)                  \
  {                                                                            \
#member, number, IG_PROTOBUF_##type, IG_PROTOBUF_REPEATED,                 \
        IG_PROTOBUF_OFFSET(tag, member.items, IG_PROTOBUF_C_##type *), 0, NULL \
  }
/* One of a oneof, whose `which` is a uint32_t. */
#define IG_PROTOBUF_FIELD_CHOICE(number, type, tag, which, member) \
  {                                                                \
#member, number, IG_PROTOBUF_##type, IG_PROTOBUF_CHOICE,       \
        IG_PROTOBUF_OFFSET(tag, member, IG_PROTOBUF_C_##type),     \
        IG_PROTOBUF_OFFSET(tag, which, uint32_t), NULL             \
  }
#define IG_PROTOBUF_FIELD_ENTRY(number, type, tag, member)             \
  {                                                                    \
#member, number, IG_PROTOBUF_##type, IG_PROTOBUF_ENTRY,            \
        IG_PROTOBUF_OFFSET(tag, member, IG_PROTOBUF_C_##type), 0, NULL \
  }
/* Nested: `member` is a pointer to struct `nested`, whose table is nested_message. */
#define IG_PROTOBUF_FIELD_NESTED(number, tag, member, nested)                  \
  {                                                                            \
#member, number, IG_PROTOBUF_NESTED, IG_PROTOBUF_PLAIN,                    \
        IG_PROTOBUF_OFFSET(tag, member, struct nested *), 0, &nested##_message \
  }
#define IG_PROTOBUF_FIELD_NESTED_REPEATED(number, tag, member, nested)               \
  {                                                                                  \
#member, number, IG_PROTOBUF_NESTED, IG_PROTOBUF_REPEATED,                       \
        IG_PROTOBUF_OFFSET(tag, member.items, struct nested *), 0, &nested##_message \
  }
#define IG_PROTOBUF_FIELD_NESTED_CHOICE(number, tag, which, member, nested) \
  {                                                                         \
#member, number, IG_PROTOBUF_NESTED, IG_PROTOBUF_CHOICE,                \
        IG_PROTOBUF_OFFSET(tag, member, struct nested *),                   \
        IG_PROTOBUF_OFFSET(tag, which, uint32_t), &nested##_message         \
  }
/* The value of a map<…, message>: the struct itself. */
#define IG_PROTOBUF_FIELD_NESTED_ENTRY(number, tag, member, nested)          \
  {                                                                          \
#member, number, IG_PROTOBUF_NESTED, IG_PROTOBUF_ENTRY,                  \
        IG_PROTOBUF_OFFSET(tag, member, struct nested), 0, &nested##_message \
  }

#define IG_PROTOBUF_MESSAGE(full_name, tag, field_table)               \
  {                                                                    \
    full_name, sizeof(full_name) - 1, sizeof(struct tag), field_table, \
        IG_ARRAY_LEN(field_table)                                      \
  }
#define IG_PROTOBUF_MESSAGE_EMPTY(full_name) \
  { full_name, sizeof(full_name) - 1, sizeof(struct ig_protobuf_empty), NULL, 0 }

/* ---- messages ---------------------------------------------------------------------- */

/* Read `bytes` into the struct at `ret_value` (message->bytes of them), whose strings
 * point into `bytes` and whose lists and pointers into `arena` (NULL will do for a
 * message that has neither). The input is hostile: the arena's ceiling is what bounds the
 * memory. Returns IGLOO_OK; INVALID_ARGUMENT 08P01 for what is not this message (the
 * texts name it); INVALID_ARGUMENT 22021 for a string that is not UTF-8;
 * RESOURCE_EXHAUSTED 54000 for the arena's ceiling; OUT_OF_MEMORY. On failure the struct
 * is all zero. */
IG_NODISCARD igloo_status ig_protobuf_decode(const struct ig_protobuf_message *message,
                                             struct ig_str bytes, ig_arena *arena,
                                             void *ret_value, struct igloo_error *reterr);

/* Append the message to `out`, whose ceiling should be at most IG_PROTOBUF_BYTES_MAX; a
 * failure sticks in the buffer. Fields leave in the table's order. Texts that are not
 * UTF-8 are sent as they are; the reader will refuse them. */
void ig_protobuf_encode(const struct ig_protobuf_message *message, const void *value,
                        struct ig_buf *out);

/* The bytes that ig_protobuf_encode() would append. */
size_t ig_protobuf_encoded_bytes(const struct ig_protobuf_message *message,
                                 const void *value);

/* The value of the last pair with this key; NULL if there is none. `list` has len pairs.
 */
const struct ig_str *ig_protobuf_pair_find(const struct ig_protobuf_pair *pairs,
                                           size_t len, struct ig_str key);

/* ---- by hand, for what a table does not suit --------------------------------------- */

/* Append a varint; the tag and length that stand before `len` bytes of field `number`. */
void ig_protobuf_put_varint(struct ig_buf *out, uint64_t value);
void ig_protobuf_put_length(struct ig_buf *out, uint32_t number, uint64_t len);

/* The same tag and length into memory; returns how many of IG_PROTOBUF_LENGTH_BYTES. */
#define IG_PROTOBUF_LENGTH_BYTES 15
size_t ig_protobuf_write_length(uint8_t *dst, uint32_t number, uint64_t len);
size_t ig_protobuf_varint_bytes(uint64_t value);

#endif
