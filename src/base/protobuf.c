/*
 * protobuf.c -- see protobuf.h. One walk over the table reads, one writes; writing
 * without a buffer counts, which gives nested messages their lengths.
 */
#include "base/protobuf.h"

#include <endian.h>

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

#define NUMBER_MAX ((1u << 29) - 1) /* of a field, by the specification */
#define VARINT_BYTES_MAX 10

/* By enum ig_protobuf_type: how it travels, and the size of the C type. */
static const struct {
  uint8_t wire;
  uint8_t bytes;
} types[] = {
    [IG_PROTOBUF_BOOL] = {WIRE_VARINT, sizeof(bool)},
    [IG_PROTOBUF_INT32] = {WIRE_VARINT, sizeof(int32_t)},
    [IG_PROTOBUF_INT64] = {WIRE_VARINT, sizeof(int64_t)},
    [IG_PROTOBUF_UINT32] = {WIRE_VARINT, sizeof(uint32_t)},
    [IG_PROTOBUF_UINT64] = {WIRE_VARINT, sizeof(uint64_t)},
    [IG_PROTOBUF_ENUM] = {WIRE_VARINT, sizeof(int32_t)},
    [IG_PROTOBUF_FIXED32] = {WIRE_32, sizeof(uint32_t)},
    [IG_PROTOBUF_FIXED64] = {WIRE_64, sizeof(uint64_t)},
    [IG_PROTOBUF_SFIXED64] = {WIRE_64, sizeof(int64_t)},
    [IG_PROTOBUF_DOUBLE] = {WIRE_64, sizeof(double)},
    [IG_PROTOBUF_STRING] = {WIRE_BYTES, sizeof(struct ig_str)},
    [IG_PROTOBUF_BYTES] = {WIRE_BYTES, sizeof(struct ig_str)},
    [IG_PROTOBUF_NESTED] = {WIRE_BYTES, 0},
};

static const struct ig_protobuf_field pair_fields[] = {
    IG_PROTOBUF_FIELD_ENTRY(1, STRING, ig_protobuf_pair, key),
    IG_PROTOBUF_FIELD_ENTRY(2, STRING, ig_protobuf_pair, value),
};
const struct ig_protobuf_message ig_protobuf_pair_message =
    IG_PROTOBUF_MESSAGE("map<string, string>", ig_protobuf_pair, pair_fields);

const struct ig_str *ig_protobuf_pair_find(const struct ig_protobuf_pair *pairs,
                                           size_t len, struct ig_str key) {
  while (len-- > 0)
    if (ig_str_eq(pairs[len].key, key)) return &pairs[len].value;
  return NULL;
}

static size_t item_bytes(const struct ig_protobuf_field *field) {
  return field->message ? field->message->bytes : types[field->type].bytes;
}

/* ---- reading ----------------------------------------------------------------------- */

/* What stands after a tag. */
struct payload {
  uint8_t wire;
  uint64_t number;     /* of VARINT, 64, 32 */
  struct ig_str bytes; /* of BYTES */
};

struct reader {
  const struct ig_protobuf_message *message; /* what is read now, for the error */
  ig_arena *arena;
  int depth;
  struct igloo_error *reterr;
};

static igloo_status fail_malformed(const struct reader *reader, const char *why) {
  (void)ig_fail_state(reader->reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                      "malformed message of type \"%s\"", reader->message->name);
  ig_error_detail(reader->reterr, "%s", why);
  return IGLOO_INVALID_ARGUMENT;
}

/* Take a varint from the front; false if it does not end within ten bytes. Bits over 64
 * are dropped, as every reader does. */
static bool take_varint(struct ig_str *from, uint64_t *ret_value) {
  uint64_t value = 0;
  for (size_t i = 0; i < from->len && i < VARINT_BYTES_MAX; i++) {
    uint64_t byte = (unsigned char)from->data[i];
    value |= (byte & 0x7f) << (7 * i);
    if (byte & 0x80) continue;
    *from = ig_str_sub(*from, i + 1, SIZE_MAX);
    *ret_value = value;
    return true;
  }
  return false;
}

static bool take_fixed(struct ig_str *from, size_t bytes, uint64_t *ret_value) {
  uint64_t value = 0;
  if (from->len < bytes) return false;
  memcpy(&value, from->data, bytes);
  *ret_value = le64toh(value);
  *from = ig_str_sub(*from, bytes, SIZE_MAX);
  return true;
}

static bool take_bytes(struct ig_str *from, struct ig_str *ret_bytes) {
  uint64_t len;
  if (!take_varint(from, &len) || len > from->len) return false;
  *ret_bytes = ig_str_sub(*from, 0, (size_t)len);
  *from = ig_str_sub(*from, (size_t)len, SIZE_MAX);
  return true;
}

/* Take what a tag of wire type `wire` promises; groups and the unassigned types fail. */
static bool take_payload(struct ig_str *from, uint8_t wire, struct payload *ret) {
  *ret = (struct payload){.wire = wire};
  switch (wire) {
    case WIRE_VARINT:
      return take_varint(from, &ret->number);
    case WIRE_64:
      return take_fixed(from, 8, &ret->number);
    case WIRE_32:
      return take_fixed(from, 4, &ret->number);
    case WIRE_BYTES:
      return take_bytes(from, &ret->bytes);
    default:
      return false;
  }
}

static void store_number(const struct ig_protobuf_field *field, uint64_t number,
                         void *item) {
  if (field->type == IG_PROTOBUF_BOOL) {
    *(bool *)item = number != 0;
  } else if (types[field->type].bytes == 4) {
    uint32_t low = (uint32_t)number; /* as every reader does with what is too wide */
    memcpy(item, &low, sizeof(low));
  } else {
    memcpy(item, &number, sizeof(number));
  }
}

static igloo_status read_fields(struct reader *reader, struct ig_str bytes, void *value);

static igloo_status read_nested(struct reader *reader,
                                const struct ig_protobuf_message *message,
                                struct ig_str bytes, void *value) {
  const struct ig_protobuf_message *outer = reader->message;
  if (reader->depth == IG_PROTOBUF_DEPTH_MAX)
    return fail_malformed(reader, "Messages are nested too deeply.");
  reader->message = message;
  reader->depth++;
  IG_TRY(read_fields(reader, bytes, value));
  reader->depth--;
  reader->message = outer;
  return IGLOO_OK;
}

/* Read one value into `item`, whose C type is that of the field. */
static igloo_status store(struct reader *reader, const struct ig_protobuf_field *field,
                          const struct payload *payload, void *item) {
  size_t offset;
  if (field->type == IG_PROTOBUF_NESTED)
    return read_nested(reader, field->message, payload->bytes, item);
  if (payload->wire != WIRE_BYTES) {
    store_number(field, payload->number, item);
    return IGLOO_OK;
  }
  if (field->type == IG_PROTOBUF_STRING && !ig_utf8_valid(payload->bytes, &offset)) {
    (void)ig_fail_state(reader->reterr, IGLOO_INVALID_ARGUMENT, "22021",
                        "text in a message of type \"%s\" is not UTF-8",
                        reader->message->name);
    ig_error_detail(reader->reterr, "The field \"%s\" is ill-formed at byte %zu.",
                    field->name, offset);
    return IGLOO_INVALID_ARGUMENT;
  }
  memcpy(item, &payload->bytes, sizeof(payload->bytes));
  return IGLOO_OK;
}

/* Room for one more item, zeroed. The room of a list is not kept: it is 4, 8, 16 … items
 * and full whenever the length is one of these. */
static igloo_status add_item(struct reader *reader, const struct ig_protobuf_field *field,
                             void *member, void **ret_item) {
  struct ig_protobuf_list list;
  size_t bytes = item_bytes(field);
  memcpy(&list, member, sizeof(list));
  bool full = list.len == 0 || (list.len >= 4 && (list.len & (list.len - 1)) == 0);
  if (full) {
    size_t room = list.len ? 2 * list.len : 4;
    void *items = ig_arena_alloc_array(reader->arena, room, bytes);
    if (!items) return ig_arena_fail(reader->arena, reader->reterr);
    if (list.len) memcpy(items, list.items, list.len * bytes);
    list.items = items;
  }
  *ret_item = (char *)list.items + list.len * bytes;
  list.len++;
  memcpy(member, &list, sizeof(list));
  return IGLOO_OK;
}

static igloo_status store_item(struct reader *reader,
                               const struct ig_protobuf_field *field,
                               const struct payload *payload, void *member) {
  void *item = NULL;
  IG_TRY(add_item(reader, field, member, &item));
  return store(reader, field, payload, item);
}

static igloo_status store_packed(struct reader *reader,
                                 const struct ig_protobuf_field *field,
                                 struct ig_str bytes, void *member) {
  struct payload payload;
  while (bytes.len > 0) {
    if (!take_payload(&bytes, types[field->type].wire, &payload))
      return fail_malformed(reader, "A packed field ends early.");
    IG_TRY(store_item(reader, field, &payload, member));
  }
  return IGLOO_OK;
}

/* The struct behind a pointer member: the one that is there, else a new one. */
static igloo_status open_pointer(struct reader *reader,
                                 const struct ig_protobuf_field *field, bool is_new,
                                 void *member, void **ret_nested) {
  void *nested;
  memcpy(&nested, member, sizeof(nested));
  if (is_new || !nested) {
    nested = ig_arena_alloc(reader->arena, field->message->bytes);
    if (!nested) return ig_arena_fail(reader->arena, reader->reterr);
    memcpy(member, &nested, sizeof(nested));
  }
  *ret_nested = nested;
  return IGLOO_OK;
}

static igloo_status store_field(struct reader *reader,
                                const struct ig_protobuf_field *field,
                                const struct payload *payload, void *value) {
  void *member = (char *)value + field->offset;
  uint8_t wire = types[field->type].wire;
  if (field->shape == IG_PROTOBUF_REPEATED && payload->wire == WIRE_BYTES &&
      wire != WIRE_BYTES)
    return store_packed(reader, field, payload->bytes, member);
  if (payload->wire != wire) return IGLOO_OK; /* somebody else's field of that number */
  if (field->shape == IG_PROTOBUF_REPEATED)
    return store_item(reader, field, payload, member);

  bool is_new = false;
  if (field->shape == IG_PROTOBUF_OPTIONAL) *((bool *)value + field->has) = true;
  if (field->shape == IG_PROTOBUF_CHOICE) {
    uint32_t which;
    memcpy(&which, (char *)value + field->has, sizeof(which));
    is_new = which != field->number;
    memcpy((char *)value + field->has, &field->number, sizeof(field->number));
  }
  if (field->type == IG_PROTOBUF_NESTED && field->shape != IG_PROTOBUF_ENTRY)
    IG_TRY(open_pointer(reader, field, is_new, member, &member));
  return store(reader, field, payload, member);
}

static const struct ig_protobuf_field *find_field(
    const struct ig_protobuf_message *message, uint64_t number) {
  for (size_t i = 0; i < message->fields_len; i++)
    if (message->fields[i].number == number) return &message->fields[i];
  return NULL;
}

static igloo_status read_fields(struct reader *reader, struct ig_str bytes, void *value) {
  while (bytes.len > 0) {
    uint64_t tag;
    struct payload payload;
    if (!take_varint(&bytes, &tag) || tag >> 3 == 0 || tag >> 3 > NUMBER_MAX)
      return fail_malformed(reader, "A field number is malformed.");
    if (!take_payload(&bytes, tag & 7, &payload))
      return fail_malformed(reader, "A field ends early or is of no known wire type.");
    const struct ig_protobuf_field *field = find_field(reader->message, tag >> 3);
    if (field) IG_TRY(store_field(reader, field, &payload, value));
  }
  return IGLOO_OK;
}

igloo_status ig_protobuf_decode(const struct ig_protobuf_message *message,
                                struct ig_str bytes, ig_arena *arena, void *ret_value,
                                struct igloo_error *reterr) {
  struct reader reader = {.arena = arena, .message = message, .reterr = reterr};
  memset(ret_value, 0, message->bytes);
  if (bytes.len > IG_PROTOBUF_BYTES_MAX)
    return fail_malformed(&reader, "It is over 2 GiB.");
  igloo_status status = read_nested(&reader, message, bytes, ret_value);
  if (status != IGLOO_OK) memset(ret_value, 0, message->bytes);
  return status;
}

/* ---- writing ----------------------------------------------------------------------- */

size_t ig_protobuf_varint_bytes(uint64_t value) {
  size_t bytes = 1;
  while (value >>= 7) bytes++;
  return bytes;
}

static size_t write_varint(uint8_t *dst, uint64_t value) {
  size_t len = 0;
  for (; value > 0x7f; value >>= 7) dst[len++] = (uint8_t)(value | 0x80);
  dst[len++] = (uint8_t)value;
  return len;
}

void ig_protobuf_put_varint(struct ig_buf *out, uint64_t value) {
  uint8_t bytes[VARINT_BYTES_MAX];
  ig_buf_append(out, bytes, write_varint(bytes, value));
}

/* As above where `out` may be NULL: count only. */
static size_t put_varint(struct ig_buf *out, uint64_t value) {
  if (out) ig_protobuf_put_varint(out, value);
  return ig_protobuf_varint_bytes(value);
}

static size_t put_tag(struct ig_buf *out, uint32_t number, uint8_t wire) {
  return put_varint(out, ((uint64_t)number << 3) | wire);
}

size_t ig_protobuf_write_length(uint8_t *dst, uint32_t number, uint64_t len) {
  size_t tag_bytes = write_varint(dst, ((uint64_t)number << 3) | WIRE_BYTES);
  return tag_bytes + write_varint(dst + tag_bytes, len);
}

void ig_protobuf_put_length(struct ig_buf *out, uint32_t number, uint64_t len) {
  uint8_t bytes[IG_PROTOBUF_LENGTH_BYTES];
  ig_buf_append(out, bytes, ig_protobuf_write_length(bytes, number, len));
}

/* The value of a number as 64 bits; int32 and enum are sign-extended. */
static uint64_t load_number(const struct ig_protobuf_field *field, const void *item) {
  uint64_t wide = 0;
  uint32_t low;
  if (field->type == IG_PROTOBUF_BOOL) return *(const bool *)item;
  if (types[field->type].bytes == 8) {
    memcpy(&wide, item, sizeof(wide));
    return wide;
  }
  memcpy(&low, item, sizeof(low));
  bool is_signed = field->type == IG_PROTOBUF_INT32 || field->type == IG_PROTOBUF_ENUM;
  return is_signed ? (uint64_t)(int64_t)(int32_t)low : low;
}

static size_t put_message(const struct ig_protobuf_message *message, const void *value,
                          struct ig_buf *out);

/* A value without its tag. */
static size_t put_value(const struct ig_protobuf_field *field, const void *item,
                        struct ig_buf *out) {
  struct ig_str bytes = {0};
  uint8_t wire = types[field->type].wire;
  if (wire == WIRE_VARINT) return put_varint(out, load_number(field, item));
  if (wire != WIRE_BYTES) {
    uint64_t number = htole64(load_number(field, item));
    if (out) ig_buf_append(out, &number, types[field->type].bytes);
    return types[field->type].bytes;
  }
  if (field->type == IG_PROTOBUF_NESTED) {
    size_t len = put_message(field->message, item, NULL);
    size_t prefix = put_varint(out, len);
    return prefix + (out ? put_message(field->message, item, out) : len);
  }
  memcpy(&bytes, item, sizeof(bytes));
  size_t prefix = put_varint(out, bytes.len);
  if (out) ig_buf_append_str(out, bytes);
  return prefix + bytes.len;
}

static size_t put_field(const struct ig_protobuf_field *field, const void *item,
                        struct ig_buf *out) {
  size_t tag = put_tag(out, field->number, types[field->type].wire);
  return tag + put_value(field, item, out);
}

static size_t put_packed(const struct ig_protobuf_field *field, const char *items,
                         size_t len, struct ig_buf *out) {
  size_t bytes = 0, each = types[field->type].bytes;
  for (size_t i = 0; i < len; i++) bytes += put_value(field, items + i * each, NULL);
  size_t head = put_tag(out, field->number, WIRE_BYTES) + put_varint(out, bytes);
  for (size_t i = 0; out && i < len; i++) (void)put_value(field, items + i * each, out);
  return head + bytes;
}

static size_t put_repeated(const struct ig_protobuf_field *field, const void *member,
                           struct ig_buf *out) {
  struct ig_protobuf_list list;
  size_t bytes = 0;
  memcpy(&list, member, sizeof(list));
  if (list.len == 0 || !list.items) return 0;
  if (types[field->type].wire != WIRE_BYTES)
    return put_packed(field, list.items, list.len, out);
  for (size_t i = 0; i < list.len; i++)
    bytes += put_field(field, (const char *)list.items + i * item_bytes(field), out);
  return bytes;
}

/* A field without presence is not sent while it is zero. */
static bool is_zero(const struct ig_protobuf_field *field, const void *item) {
  struct ig_str bytes = {0};
  if (types[field->type].wire != WIRE_BYTES) return load_number(field, item) == 0;
  memcpy(&bytes, item, sizeof(bytes));
  return bytes.len == 0;
}

/* Whether a field that is not repeated is sent, and what of it. */
static bool find_item(const struct ig_protobuf_field *field, const void *value,
                      const void **ret_item) {
  const void *member = (const char *)value + field->offset;
  uint32_t which;
  *ret_item = member;
  switch ((enum ig_protobuf_shape)field->shape) {
    case IG_PROTOBUF_OPTIONAL:
      return *((const bool *)value + field->has);
    case IG_PROTOBUF_CHOICE:
      memcpy(&which, (const char *)value + field->has, sizeof(which));
      if (which != field->number) return false;
      break;
    case IG_PROTOBUF_PLAIN:
      if (field->type != IG_PROTOBUF_NESTED && is_zero(field, member)) return false;
      break;
    case IG_PROTOBUF_ENTRY:
    case IG_PROTOBUF_REPEATED:
      return true;
  }
  if (field->type != IG_PROTOBUF_NESTED) return true;
  memcpy(ret_item, member, sizeof(*ret_item)); /* behind the pointer */
  return *ret_item != NULL;
}

static size_t put_message(const struct ig_protobuf_message *message, const void *value,
                          struct ig_buf *out) {
  size_t bytes = 0;
  for (size_t i = 0; i < message->fields_len; i++) {
    const struct ig_protobuf_field *field = &message->fields[i];
    if (field->shape == IG_PROTOBUF_REPEATED) {
      bytes += put_repeated(field, (const char *)value + field->offset, out);
      continue;
    }
    const void *item;
    if (find_item(field, value, &item)) bytes += put_field(field, item, out);
  }
  return bytes;
}

void ig_protobuf_encode(const struct ig_protobuf_message *message, const void *value,
                        struct ig_buf *out) {
  (void)put_message(message, value, out);
}

size_t ig_protobuf_encoded_bytes(const struct ig_protobuf_message *message,
                                 const void *value) {
  return put_message(message, value, NULL);
}
