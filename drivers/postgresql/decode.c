/* decode.c -- see decode.h. Buffers of the batch are written directly; nanoarrow owns
 * them and hands them over. */
#include "postgresql/decode.h"

#include <inttypes.h>
#include <string.h>

#include "postgresql/numeric.h"

/* From 2000-01-01, PostgreSQL's epoch, to 1970-01-01. */
#define EPOCH_DAYS 10957
#define EPOCH_US (INT64_C(86400000000) * EPOCH_DAYS)
#define DAY_US INT64_C(86400000000)

/* PostgreSQL has one NaN, above all numbers; the total order of IEEE 754 has many, and
 * some below all of them. It gets the one above. */
#define FLOAT_INFINITY UINT32_C(0x7f800000)
#define FLOAT_NAN UINT32_C(0x7fc00000)
#define DOUBLE_INFINITY UINT64_C(0x7ff0000000000000)
#define DOUBLE_NAN UINT64_C(0x7ff8000000000000)

/* PostgreSQL's longest text of a numeric, and then some. */
#define NUMBER_TEXT_MAX 150000

struct node {
  const struct igp_shape *shape;
  int64_t wire_width;       /* bytes of each value as it is sent; -1: that differs */
  struct ArrowArray *array; /* inside the batch */
  struct ArrowBuffer *validity;
  struct ArrowBuffer *fixed; /* values, bits or offsets; NULL: a struct */
  struct ArrowBuffer *bytes; /* of texts; NULL: none */
  int64_t length, nulls;
  int64_t fixed_hint, bytes_hint; /* what the last batch needed */
  struct node *children;
};

struct igp_builder {
  struct node root;
  igp_types *types;
  struct igp_policy policy;
  struct ArrowSchema schema;
  struct ArrowArray array;
  size_t bytes; /* received for this batch */
  bool header_seen, trailer_seen;
  size_t column; /* being read, for messages */
  struct ig_buf number_text;
};

/* nanoarrow forgets the old block where there is no new one. */
static uint8_t *reallocate_bytes(struct ArrowBufferAllocator *allocator, uint8_t *old,
                                 int64_t old_size, int64_t new_size) {
  (void)allocator;
  (void)old_size;
  uint8_t *grown = ig_realloc(old, (size_t)new_size);
  if (!grown) ig_free(old);
  return grown;
}

static void free_bytes(struct ArrowBufferAllocator *allocator, uint8_t *old,
                       int64_t size) {
  (void)allocator;
  (void)size;
  ig_free(old);
}

/* ---- failures ------------------------------------------------------------------------
 */

static const char *column_name(const igp_builder *builder) {
  return builder->root.shape->children[builder->column].name;
}

static igloo_status fail_bytes(const igp_builder *builder, struct igd_error *reterr) {
  return ig_fail(&reterr->base, IGLOO_DATA_LOSS,
                 "the server sent a malformed value of column \"%s\"",
                 column_name(builder));
}

static igloo_status fail_value(const igp_builder *builder, const char *sqlstate,
                               const char *what, struct igd_error *reterr) {
  (void)ig_fail_state(&reterr->base, IGLOO_DATA_ERROR, sqlstate, "column \"%s\" holds %s",
                      column_name(builder), what);
  ig_error_hint(&reterr->base,
                "Cast the column to text in the query that the server "
                "runs, or in a view there.");
  return IGLOO_DATA_ERROR;
}

static igloo_status fail_memory(struct igd_error *reterr) {
  return ig_fail_oom(&reterr->base);
}

/* ---- the batch -----------------------------------------------------------------------
 */

static int64_t fixed_width(enum igp_kind kind) {
  switch (kind) {
    case IGP_INT2:
      return 2;
    case IGP_INT4:
    case IGP_UINT4:
    case IGP_FLOAT4:
    case IGP_DATE:
      return 4;
    case IGP_INT8:
    case IGP_FLOAT8:
    case IGP_TIME:
    case IGP_TIMESTAMP:
    case IGP_TIMESTAMPTZ:
      return 8;
    case IGP_INTERVAL:
    case IGP_UUID:
    case IGP_DECIMAL128:
      return 16;
    case IGP_DECIMAL256:
      return 32;
    case IGP_TEXT:
    case IGP_BPCHAR:
    case IGP_CHAR:
    case IGP_JSON:
    case IGP_JSONB:
    case IGP_BYTEA:
    case IGP_NUMBER_TEXT:
    case IGP_OPAQUE:
    case IGP_ARRAY:
      return 4; /* offsets */
    case IGP_BOOL:
    case IGP_COMPOSITE:
      return 0;
  }
  return 0;
}

static bool has_offsets(enum igp_kind kind) {
  return kind <= IGP_BYTEA || kind == IGP_NUMBER_TEXT || kind == IGP_OPAQUE ||
         kind == IGP_ARRAY;
}

/* How many bytes a value of this kind has; -1: that differs. */
static int64_t wire_width(enum igp_kind kind) {
  if (kind == IGP_BOOL) return 1;
  if (has_offsets(kind) || kind == IGP_COMPOSITE || kind == IGP_DECIMAL128 ||
      kind == IGP_DECIMAL256)
    return -1;
  return fixed_width(kind);
}

static __attribute__((noinline)) bool make_room(struct ArrowBuffer *buffer,
                                                int64_t bytes) {
  return ArrowBufferReserve(buffer, bytes) == NANOARROW_OK;
}

static inline uint8_t *grow(struct ArrowBuffer *buffer, int64_t bytes) {
  if (__builtin_expect(buffer->capacity_bytes - buffer->size_bytes < bytes, 0) &&
      !make_room(buffer, bytes))
    return NULL;
  uint8_t *at = buffer->data + buffer->size_bytes;
  buffer->size_bytes += bytes;
  return at;
}

/* Point the nodes at the buffers of a fresh array. */
static igloo_status bind_node(struct node *node, struct ArrowArray *array,
                              struct igd_error *reterr) {
  struct ArrowBufferAllocator allocator = {reallocate_bytes, free_bytes, NULL};
  enum igp_kind kind = node->shape->kind;
  node->array = array;
  node->length = node->nulls = 0;
  node->validity = &ArrowArrayValidityBitmap(array)->buffer;
  (void)ArrowBufferSetAllocator(node->validity, allocator);
  node->fixed = kind == IGP_COMPOSITE ? NULL : ArrowArrayBuffer(array, 1);
  node->bytes =
      has_offsets(kind) && kind != IGP_ARRAY ? ArrowArrayBuffer(array, 2) : NULL;
  if (node->fixed) {
    (void)ArrowBufferSetAllocator(node->fixed, allocator);
    if (node->fixed_hint && ArrowBufferReserve(node->fixed, node->fixed_hint))
      return fail_memory(reterr);
  }
  if (node->bytes) {
    (void)ArrowBufferSetAllocator(node->bytes, allocator);
    if (node->bytes_hint && ArrowBufferReserve(node->bytes, node->bytes_hint))
      return fail_memory(reterr);
  }
  if (has_offsets(kind)) {
    IG_ASSERT(node->fixed); /* a composite has none */
    uint8_t *zero = grow(node->fixed, 4);
    if (!zero) return fail_memory(reterr);
    memset(zero, 0, 4);
  }
  for (size_t i = 0; i < node->shape->children_count; i++)
    IG_TRY(bind_node(&node->children[i], array->children[i], reterr));
  return IGLOO_OK;
}

static igloo_status start_batch(igp_builder *builder, struct igd_error *reterr) {
  struct ArrowError error;
  int code = ArrowArrayInitFromSchema(&builder->array, &builder->schema, &error);
  if (code != NANOARROW_OK)
    return igd_fail_arrow(reterr, code, "could not begin a batch", error.message);
  builder->bytes = 0;
  return bind_node(&builder->root, &builder->array, reterr);
}

static igloo_status make_nodes(struct node *node, const struct igp_shape *shape,
                               struct igd_error *reterr) {
  node->shape = shape;
  node->wire_width = wire_width(shape->kind);
  if (!shape->children_count) return IGLOO_OK;
  node->children = ig_calloc(shape->children_count, sizeof(*node->children));
  if (!node->children) return fail_memory(reterr);
  for (size_t i = 0; i < shape->children_count; i++)
    IG_TRY(make_nodes(&node->children[i], &shape->children[i], reterr));
  return IGLOO_OK;
}

static void free_nodes(struct node *node) {
  if (node->children)
    for (size_t i = 0; i < node->shape->children_count; i++)
      free_nodes(&node->children[i]);
  ig_free(node->children);
}

igloo_status igp_builder_new(const struct igp_shape *root, igp_types *types,
                             const struct igp_policy *policy, igp_builder **ret_builder,
                             struct igd_error *reterr) {
  IG_AUTO(igp_builder) *builder = ig_calloc(1, sizeof(*builder));
  if (!builder) return fail_memory(reterr);
  builder->types = types;
  builder->policy = *policy;
  builder->root.shape = root;
  ig_buf_init(&builder->number_text, NUMBER_TEXT_MAX);
  IG_TRY(make_nodes(&builder->root, root, reterr));
  IG_TRY(igp_shape_schema(root, &builder->schema, reterr));
  IG_TRY(start_batch(builder, reterr));
  *ret_builder = IG_TAKE(builder);
  return IGLOO_OK;
}

igp_builder *igp_builder_free(igp_builder *builder) {
  if (!builder) return NULL;
  free_nodes(&builder->root);
  if (builder->schema.release) ArrowSchemaRelease(&builder->schema);
  if (builder->array.release) ArrowArrayRelease(&builder->array);
  ig_buf_done(&builder->number_text);
  ig_free(builder);
  return NULL;
}

int64_t igp_builder_rows(const igp_builder *builder) {
  return builder->root.length;
}

size_t igp_builder_bytes(const igp_builder *builder) {
  return builder->bytes;
}

/* ---- bits and NULL -------------------------------------------------------------------
 */

/* The bit of row `at` in a bitmap that has those before it. */
static bool put_bit(struct ArrowBuffer *bits, int64_t at, bool value) {
  if (at % 8 == 0) {
    uint8_t *byte = grow(bits, 1);
    if (!byte) return false;
    *byte = 0;
  }
  if (value) bits->data[at / 8] |= (uint8_t)(1u << (at % 8));
  return true;
}

/* The first NULL of a batch makes the bitmap; until then there is none. */
static bool put_null_bit(struct node *node) {
  if (!node->nulls && node->length) {
    int64_t bytes = (node->length + 7) / 8;
    uint8_t *bits = grow(node->validity, bytes);
    if (!bits) return false;
    memset(bits, 0xff, (size_t)bytes);
    if (node->length % 8) bits[bytes - 1] = (uint8_t)((1u << (node->length % 8)) - 1);
  }
  node->nulls++;
  return put_bit(node->validity, node->length, false);
}

static inline bool put_valid(struct node *node) {
  return !node->nulls || put_bit(node->validity, node->length, true);
}

static bool repeat_offset(struct node *node) {
  uint8_t *offset = grow(node->fixed, 4);
  if (!offset) return false;
  memcpy(offset, offset - 4, 4);
  return true;
}

static bool append_null(struct node *node) {
  enum igp_kind kind = node->shape->kind;
  if (!put_null_bit(node)) return false;
  if (kind == IGP_BOOL) {
    if (!put_bit(node->fixed, node->length, false)) return false;
  } else if (kind == IGP_COMPOSITE) {
    for (size_t i = 0; i < node->shape->children_count; i++)
      if (!append_null(&node->children[i])) return false;
  } else if (has_offsets(kind)) {
    if (!repeat_offset(node)) return false;
  } else {
    int64_t width = fixed_width(kind);
    uint8_t *value = grow(node->fixed, width);
    if (!value) return false;
    memset(value, 0, (size_t)width);
  }
  node->length++;
  return true;
}

/* ---- values --------------------------------------------------------------------------
 */

static inline uint16_t get_u16(const uint8_t *bytes) {
  uint16_t value;
  memcpy(&value, bytes, sizeof(value));
  return __builtin_bswap16(value);
}

static inline uint32_t get_u32(const uint8_t *bytes) {
  uint32_t value;
  memcpy(&value, bytes, sizeof(value));
  return __builtin_bswap32(value);
}

static inline uint64_t get_u64(const uint8_t *bytes) {
  uint64_t value;
  memcpy(&value, bytes, sizeof(value));
  return __builtin_bswap64(value);
}

static inline igloo_status put_fixed(struct node *node, const void *value, size_t width,
                                     struct igd_error *reterr) {
  uint8_t *at = grow(node->fixed, (int64_t)width);
  if (!at || !put_valid(node)) return fail_memory(reterr);
  memcpy(at, value, width);
  node->length++;
  return IGLOO_OK;
}

static igloo_status put_bytes(struct node *node, const void *bytes, size_t count,
                              struct igd_error *reterr) {
  int64_t end = node->bytes->size_bytes + (int64_t)count;
  if (end > INT32_MAX)
    return ig_fail(&reterr->base, IGLOO_RESOURCE_EXHAUSTED,
                   "values of one batch take more than 2 GiB");
  int32_t offset = (int32_t)end;
  if (count) {
    uint8_t *at = grow(node->bytes, (int64_t)count);
    if (!at) return fail_memory(reterr);
    memcpy(at, bytes, count);
  }
  return put_fixed(node, &offset, sizeof(offset), reterr);
}

static igloo_status put_null(struct node *node, struct igd_error *reterr) {
  return append_null(node) ? IGLOO_OK : fail_memory(reterr);
}

/* -1, 0, 1: what an infinite value is by policy; 2: NULL. */
static igloo_status put_infinite(igp_builder *builder, struct node *node, bool negative,
                                 struct igd_error *reterr) {
  if (builder->policy.infinity == IGP_INFINITY_NULL) return put_null(node, reterr);
  if (builder->policy.infinity == IGP_INFINITY_ERROR)
    return fail_value(builder, "22008", negative ? "-infinity" : "infinity", reterr);
  if (node->shape->kind == IGP_DATE) {
    int32_t days = negative ? INT32_MIN : INT32_MAX;
    return put_fixed(node, &days, sizeof(days), reterr);
  }
  int64_t us = negative ? INT64_MIN : INT64_MAX;
  return put_fixed(node, &us, sizeof(us), reterr);
}

static igloo_status append_date(igp_builder *builder, struct node *node,
                                const uint8_t *bytes, struct igd_error *reterr) {
  int32_t days = (int32_t)get_u32(bytes);
  if (days == INT32_MAX || days == INT32_MIN)
    return put_infinite(builder, node, days < 0, reterr);
  if (__builtin_add_overflow(days, EPOCH_DAYS, &days) || days == INT32_MAX)
    return fail_bytes(builder, reterr);
  return put_fixed(node, &days, sizeof(days), reterr);
}

static igloo_status append_timestamp(igp_builder *builder, struct node *node,
                                     const uint8_t *bytes, struct igd_error *reterr) {
  int64_t us = (int64_t)get_u64(bytes);
  if (us == INT64_MAX || us == INT64_MIN)
    return put_infinite(builder, node, us < 0, reterr);
  if (__builtin_add_overflow(us, EPOCH_US, &us) || us == INT64_MAX)
    return fail_value(builder, "22008", "a timestamp after the year 294246", reterr);
  return put_fixed(node, &us, sizeof(us), reterr);
}

static igloo_status append_time(igp_builder *builder, struct node *node,
                                const uint8_t *bytes, struct igd_error *reterr) {
  int64_t us = (int64_t)get_u64(bytes);
  if (us == DAY_US) return fail_value(builder, "22008", "the time 24:00:00", reterr);
  if (us < 0 || us > DAY_US) return fail_bytes(builder, reterr);
  return put_fixed(node, &us, sizeof(us), reterr);
}

static igloo_status append_interval(igp_builder *builder, struct node *node,
                                    const uint8_t *bytes, struct igd_error *reterr) {
  struct {
    int32_t months, days;
    int64_t ns;
  } value = {(int32_t)get_u32(bytes + 12), (int32_t)get_u32(bytes + 8), 0};
  if (__builtin_mul_overflow((int64_t)get_u64(bytes), 1000, &value.ns))
    return fail_value(builder, "22015", "an interval of more than 292 years of hours",
                      reterr);
  return put_fixed(node, &value, sizeof(value), reterr);
}

static igloo_status append_decimal(igp_builder *builder, struct node *node,
                                   const uint8_t *bytes, size_t count,
                                   struct igd_error *reterr) {
  const struct igp_shape *shape = node->shape;
  enum igp_number state;
  uint64_t limbs[IGP_LIMBS];
  if (shape->precision <= 18) {
    int64_t small = 0;
    state = igp_numeric_read_small(bytes, count, shape->precision, shape->scale, &small);
    limbs[0] = (uint64_t)small;
    limbs[1] = limbs[2] = limbs[3] = small < 0 ? UINT64_MAX : 0;
  } else {
    state = igp_numeric_read(bytes, count, shape->precision, shape->scale, limbs);
  }
  if (state == IGP_NUMBER_OK)
    return put_fixed(node, limbs, shape->kind == IGP_DECIMAL128 ? 16 : 32, reterr);
  if (state != IGP_NUMBER_SPECIAL) return fail_bytes(builder, reterr);
  if (builder->policy.numeric_special == IGP_SPECIAL_NULL) return put_null(node, reterr);
  return fail_value(builder, "22003", "NaN or Infinity, which no decimal can be", reterr);
}

static igloo_status append_number_text(igp_builder *builder, struct node *node,
                                       const uint8_t *bytes, size_t count,
                                       struct igd_error *reterr) {
  struct ig_buf *text = &builder->number_text;
  ig_buf_clear(text);
  if (!igp_numeric_text(bytes, count, text)) return fail_bytes(builder, reterr);
  IG_TRY(ig_buf_check(text, &reterr->base));
  return put_bytes(node, text->data, text->len, reterr);
}

/* The length without blanks at the end: most of a char(25) are some. */
static size_t cut_blanks(const uint8_t *bytes, size_t count) {
  uint64_t word;
  for (; count >= sizeof(word); count -= sizeof(word)) {
    memcpy(&word, bytes + count - sizeof(word), sizeof(word));
    if (word != UINT64_C(0x2020202020202020)) break;
  }
  while (count && bytes[count - 1] == ' ') count--;
  return count;
}

/* "char" holds any byte; PostgreSQL shows those that are no ASCII in octal. */
static igloo_status append_char(igp_builder *builder, struct node *node,
                                const uint8_t *bytes, size_t count,
                                struct igd_error *reterr) {
  if (count != 1) return fail_bytes(builder, reterr);
  if (*bytes < 0x80) return put_bytes(node, bytes, *bytes ? 1 : 0, reterr);
  char octal[4] = {'\\', (char)('0' + (*bytes >> 6)), (char)('0' + (*bytes >> 3 & 7)),
                   (char)('0' + (*bytes & 7))};
  return put_bytes(node, octal, sizeof(octal), reterr);
}

static igloo_status append(igp_builder *builder, struct node *node, const uint8_t *bytes,
                           int64_t bytes_count, struct igd_error *reterr);

/* A value with its length before it, at *at. */
static igloo_status append_counted(igp_builder *builder, struct node *node,
                                   const uint8_t *bytes, size_t count, size_t *at,
                                   struct igd_error *reterr) {
  if (count - *at < 4) return fail_bytes(builder, reterr);
  int32_t length = (int32_t)get_u32(bytes + *at);
  *at += 4;
  if (length < -1 || (length > 0 && (size_t)length > count - *at))
    return fail_bytes(builder, reterr);
  IG_TRY(append(builder, node, bytes + *at, length, reterr));
  if (length > 0) *at += (size_t)length;
  return IGLOO_OK;
}

static igloo_status append_array(igp_builder *builder, struct node *node,
                                 const uint8_t *bytes, size_t count,
                                 struct igd_error *reterr) {
  struct node *element = node->children;
  if (count < 12) return fail_bytes(builder, reterr);
  int32_t dimensions = (int32_t)get_u32(bytes);
  if (dimensions < 0 || dimensions > 6 || get_u32(bytes + 8) != element->shape->oid)
    return fail_bytes(builder, reterr);
  if (dimensions > 1)
    return fail_value(builder, "2202E", "an array of more than one dimension", reterr);
  size_t at = 12;
  if (dimensions) {
    if (count < 20) return fail_bytes(builder, reterr);
    int32_t items = (int32_t)get_u32(bytes + 12);
    at = 20;
    /* Each item has four bytes at least: a lie costs no more than the message. */
    if (items < 0 || (size_t)items > (count - at) / 4) return fail_bytes(builder, reterr);
    if (element->length > INT32_MAX - items)
      return ig_fail(&reterr->base, IGLOO_RESOURCE_EXHAUSTED,
                     "arrays of one batch have more than 2,147,483,647 elements");
    for (int32_t i = 0; i < items; i++)
      IG_TRY(append_counted(builder, element, bytes, count, &at, reterr));
  }
  if (at != count) return fail_bytes(builder, reterr);
  int32_t offset = (int32_t)element->length;
  return put_fixed(node, &offset, sizeof(offset), reterr);
}

static igloo_status append_composite(igp_builder *builder, struct node *node,
                                     const uint8_t *bytes, size_t count,
                                     struct igd_error *reterr) {
  const struct igp_shape *shape = node->shape;
  if (count < 4) return fail_bytes(builder, reterr);
  bool same = get_u32(bytes) == shape->children_count;
  size_t at = 4;
  for (size_t i = 0; same && i < shape->children_count; i++) {
    if (count - at < 4) return fail_bytes(builder, reterr);
    same = get_u32(bytes + at) == shape->children[i].oid;
    at += 4;
    if (same)
      IG_TRY(append_counted(builder, &node->children[i], bytes, count, &at, reterr));
  }
  if (!same) {
    if (builder->types) igp_types_forget(builder->types, shape->oid);
    return ig_fail(&reterr->base, IGLOO_FAILED_PRECONDITION,
                   "the composite type of column \"%s\" changed", column_name(builder));
  }
  if (at != count) return fail_bytes(builder, reterr);
  if (!put_valid(node)) return fail_memory(reterr);
  node->length++;
  return IGLOO_OK;
}

static igloo_status append_bool(igp_builder *builder, struct node *node, uint8_t value,
                                struct igd_error *reterr) {
  if (value > 1) return fail_bytes(builder, reterr);
  if (!put_bit(node->fixed, node->length, value) || !put_valid(node))
    return fail_memory(reterr);
  node->length++;
  return IGLOO_OK;
}

/* Apart from the frequent ones, so that these need no room on the stack. */
static __attribute__((noinline)) igloo_status append_other(igp_builder *builder,
                                                           struct node *node,
                                                           const uint8_t *bytes,
                                                           size_t count,
                                                           struct igd_error *reterr) {
  switch (node->shape->kind) {
    case IGP_JSONB:
      if (count < 1 || bytes[0] != 1) return fail_bytes(builder, reterr);
      return put_bytes(node, bytes + 1, count - 1, reterr);
    case IGP_CHAR:
      return append_char(builder, node, bytes, count, reterr);
    case IGP_BOOL:
      return append_bool(builder, node, *bytes, reterr);
    case IGP_TIME:
      return append_time(builder, node, bytes, reterr);
    case IGP_INTERVAL:
      return append_interval(builder, node, bytes, reterr);
    case IGP_UUID:
      return put_fixed(node, bytes, 16, reterr);
    case IGP_DECIMAL128:
    case IGP_DECIMAL256:
      return append_decimal(builder, node, bytes, count, reterr);
    case IGP_NUMBER_TEXT:
      return append_number_text(builder, node, bytes, count, reterr);
    case IGP_ARRAY:
      return append_array(builder, node, bytes, count, reterr);
    case IGP_COMPOSITE:
      return append_composite(builder, node, bytes, count, reterr);
    case IGP_TEXT:
    case IGP_BPCHAR:
    case IGP_JSON:
    case IGP_BYTEA:
    case IGP_INT2:
    case IGP_INT4:
    case IGP_INT8:
    case IGP_UINT4:
    case IGP_FLOAT4:
    case IGP_FLOAT8:
    case IGP_DATE:
    case IGP_TIMESTAMP:
    case IGP_TIMESTAMPTZ:
    case IGP_OPAQUE:
      break;
  }
  return fail_bytes(builder, reterr);
}

static igloo_status append(igp_builder *builder, struct node *node, const uint8_t *bytes,
                           int64_t bytes_count, struct igd_error *reterr) {
  if (bytes_count < 0) return put_null(node, reterr);
  if (node->wire_width >= 0 && bytes_count != node->wire_width)
    return fail_bytes(builder, reterr);
  size_t count = (size_t)bytes_count;
  uint16_t two;
  uint32_t four;
  uint64_t eight;
  switch (node->shape->kind) {
    case IGP_INT2:
      two = get_u16(bytes);
      return put_fixed(node, &two, sizeof(two), reterr);
    case IGP_INT4:
    case IGP_UINT4:
      four = get_u32(bytes);
      return put_fixed(node, &four, sizeof(four), reterr);
    case IGP_FLOAT4:
      four = get_u32(bytes);
      if ((four & 0x7fffffff) > FLOAT_INFINITY) four = FLOAT_NAN;
      return put_fixed(node, &four, sizeof(four), reterr);
    case IGP_INT8:
      eight = get_u64(bytes);
      return put_fixed(node, &eight, sizeof(eight), reterr);
    case IGP_FLOAT8:
      eight = get_u64(bytes);
      if ((eight & INT64_MAX) > DOUBLE_INFINITY) eight = DOUBLE_NAN;
      return put_fixed(node, &eight, sizeof(eight), reterr);
    case IGP_DATE:
      return append_date(builder, node, bytes, reterr);
    case IGP_TIMESTAMP:
    case IGP_TIMESTAMPTZ:
      return append_timestamp(builder, node, bytes, reterr);
    case IGP_TEXT:
    case IGP_JSON:
    case IGP_BYTEA:
    case IGP_OPAQUE:
      return put_bytes(node, bytes, count, reterr);
    case IGP_BPCHAR:
      return put_bytes(node, bytes, cut_blanks(bytes, count), reterr);
    case IGP_CHAR:
    case IGP_JSONB:
    case IGP_BOOL:
    case IGP_TIME:
    case IGP_INTERVAL:
    case IGP_UUID:
    case IGP_DECIMAL128:
    case IGP_DECIMAL256:
    case IGP_NUMBER_TEXT:
    case IGP_ARRAY:
    case IGP_COMPOSITE:
      break;
  }
  return append_other(builder, node, bytes, count, reterr);
}

igloo_status igp_builder_value(igp_builder *builder, size_t column, const uint8_t *bytes,
                               int64_t bytes_count, struct igd_error *reterr) {
  builder->column = column;
  if (bytes_count > 0) builder->bytes += (size_t)bytes_count;
  return append(builder, &builder->root.children[column], bytes, bytes_count, reterr);
}

void igp_builder_row_end(igp_builder *builder) {
  builder->root.length++;
  builder->bytes += builder->root.shape->children_count * 4;
}

/* ---- COPY ----------------------------------------------------------------------------
 */

static igloo_status fail_copy(struct igd_error *reterr, const char *what) {
  return ig_fail(&reterr->base, IGLOO_DATA_LOSS,
                 "the server sent a malformed COPY stream: %s", what);
}

static igloo_status read_header(igp_builder *builder, const uint8_t *bytes, size_t count,
                                size_t *ret_at, struct igd_error *reterr) {
  static const char signature[11] = "PGCOPY\n\377\r\n";
  if (count < sizeof(signature) + 8 || memcmp(bytes, signature, sizeof(signature)) != 0)
    return fail_copy(reterr, "no header");
  uint32_t flags = get_u32(bytes + sizeof(signature));
  uint32_t more = get_u32(bytes + sizeof(signature) + 4);
  if (flags >> 16) return fail_copy(reterr, "unknown flags");
  size_t at = sizeof(signature) + 8;
  if (more > count - at) return fail_copy(reterr, "a header that is too short");
  builder->header_seen = true;
  *ret_at = at + more;
  return IGLOO_OK;
}

igloo_status igp_builder_copy(igp_builder *builder, const uint8_t *bytes,
                              size_t bytes_count, bool *ret_end,
                              struct igd_error *reterr) {
  size_t at = 0, columns = builder->root.shape->children_count;
  *ret_end = builder->trailer_seen;
  if (!builder->header_seen)
    IG_TRY(read_header(builder, bytes, bytes_count, &at, reterr));
  while (at < bytes_count) {
    if (builder->trailer_seen) return fail_copy(reterr, "bytes after its end");
    if (bytes_count - at < 2) return fail_copy(reterr, "a row that is cut short");
    uint16_t fields = get_u16(bytes + at);
    at += 2;
    if (fields == UINT16_MAX) {
      *ret_end = builder->trailer_seen = true;
      continue;
    }
    if (fields != columns) return fail_copy(reterr, "a row of another length");
    for (size_t i = 0; i < columns; i++) {
      builder->column = i;
      IG_TRY(append_counted(builder, &builder->root.children[i], bytes, bytes_count, &at,
                            reterr));
    }
    builder->root.length++;
  }
  builder->bytes += bytes_count;
  return IGLOO_OK;
}

/* ---- finishing -----------------------------------------------------------------------
 */

static bool is_ascii(const uint8_t *bytes, int64_t count) {
  uint64_t word, seen = 0;
  int64_t at = 0;
  for (; at + 8 <= count; at += 8) {
    memcpy(&word, bytes + at, sizeof(word));
    seen |= word;
  }
  for (; at < count; at++) seen |= bytes[at];
  return !(seen & UINT64_C(0x8080808080808080));
}

/* All texts of the column at once, and that none begins inside a character. */
static bool is_utf8(const struct node *node) {
  IG_ASSERT(node->fixed); /* as all that have bytes */
  int64_t count = node->bytes->size_bytes;
  const uint8_t *bytes = node->bytes->data;
  if (is_ascii(bytes, count)) return true;
  if (!ig_utf8_valid((struct ig_str){(const char *)bytes, (size_t)count}, NULL))
    return false;
  const int32_t *offsets = (const int32_t *)(const void *)node->fixed->data;
  for (int64_t i = 0; i < node->length; i++)
    if (offsets[i] < count && (bytes[offsets[i]] & 0xc0) == 0x80) return false;
  return true;
}

static igloo_status finish_node(igp_builder *builder, struct node *node,
                                struct igd_error *reterr) {
  enum igp_kind kind = node->shape->kind;
  node->array->length = node->length;
  node->array->null_count = node->nulls;
  if (node->fixed) node->fixed_hint = node->fixed->size_bytes;
  if (node->bytes) node->bytes_hint = node->bytes->size_bytes;
  if (node->bytes && kind != IGP_BYTEA && kind != IGP_OPAQUE && !is_utf8(node)) {
    (void)ig_fail_state(&reterr->base, IGLOO_DATA_ERROR, "22021",
                        "column \"%s\" holds text that is not UTF-8",
                        column_name(builder));
    ig_error_hint(&reterr->base, "The database's encoding is SQL_ASCII: cast to bytea.");
    return IGLOO_DATA_ERROR;
  }
  for (size_t i = 0; i < node->shape->children_count; i++) {
    if (node == &builder->root) builder->column = i;
    IG_TRY(finish_node(builder, &node->children[i], reterr));
  }
  return IGLOO_OK;
}

igloo_status igp_builder_finish(igp_builder *builder, struct ArrowArray *ret_batch,
                                struct igd_error *reterr) {
  IG_TRY(finish_node(builder, &builder->root, reterr));
  struct ArrowError error;
  int code = ArrowArrayFinishBuilding(&builder->array, NANOARROW_VALIDATION_LEVEL_DEFAULT,
                                      &error);
  if (code != NANOARROW_OK)
    return igd_fail_arrow(reterr, code, "could not finish a batch", error.message);
  ArrowArrayMove(&builder->array, ret_batch);
  builder->root.length = 0;
  builder->bytes = 0;
  return IGLOO_OK;
}

igloo_status igp_builder_begin(igp_builder *builder, struct igd_error *reterr) {
  return builder->array.release ? IGLOO_OK : start_batch(builder, reterr);
}
