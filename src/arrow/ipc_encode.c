/* ipc_encode.c -- see ipc_encode.h.
 *
 * A range of rows is walked twice with the same code: once to count nodes, buffers and
 * bytes (which also decides how many rows go into a message), once to write. */
#include "arrow/ipc_encode.h"

#include <stdatomic.h>

#include "arrow/ipc_codec.h"
#include "arrow/ipc_layout.h"
#include "arrow/schema.h"
#include "arrow/stream.h"
#include "base/limits.h"

#define ALIGN 64            /* of buffers in the body: what vector units like */
#define COPY_BYTES_MAX 1024 /* a buffer up to here is copied rather than referred to */
#define METADATA_BYTES 256  /* of a record batch without nodes and buffers, at most */
#define TARGET_BYTES_MIN (4 * IG_KIB)
#define TARGET_BYTES_MAX (IG_IPC_MESSAGE_BYTES_MAX / 2)
#define VIEW_INLINE_BYTES 12
#define VIEW_BYTES 16

static const uint8_t zeros[COPY_BYTES_MAX]; /* padding, and buffers that are NULL */

/* ---- a batch, shared by its messages ------------------------------------------------
 */

struct shared {
  _Atomic size_t refs; /* released by the one that counts down to 0 */
  struct ArrowArray batch;
};

static struct shared *shared_ref(struct shared *shared) {
  atomic_fetch_add_explicit(&shared->refs, 1, memory_order_relaxed);
  return shared;
}

/* Pairs with itself: what other threads did with the batch is done. */
static void shared_unref(struct shared *shared) {
  if (!shared || atomic_fetch_sub_explicit(&shared->refs, 1, memory_order_acq_rel) != 1)
    return;
  ig_array_done(&shared->batch);
  ig_free(shared);
}

/* ---- what a walk counts and writes --------------------------------------------------
 */

struct node { /* FieldNode of the format */
  int64_t length, null_count;
};
struct place { /* Buffer of the format */
  int64_t offset, length;
};

/* The memory of one message, in one block: this, then the arrays. */
struct owner {
  struct shared *batch;
  uint8_t *metadata;
  uint8_t *packed; /* the body where it was compressed */
  uint8_t room[IG_IPC_ROOM_BYTES];
};

struct counts {
  size_t nodes, buffers, views, parts;
  uint64_t copied; /* bytes of what is not referred to, padding included */
  uint64_t body;
};

struct walk {
  bool writing;
  struct counts counts;
  struct igloo_error *reterr;
  /* Where it is written; there is room for what was counted before. */
  struct node *nodes;
  struct place *buffers;
  int64_t *views; /* the number of data buffers of each field of views */
  struct iovec *parts;
  uint8_t *copies;
};

static uint64_t padded(uint64_t bytes) {
  return (bytes + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
}

static igloo_status fail_array(struct walk *walk, const struct ig_ipc_field *field,
                               const char *what) {
  return ig_fail(walk->reterr, IGLOO_INTERNAL,
                 "an Arrow array does not fit its schema: column \"%s\": %s", field->name,
                 what);
}

static void add_node(struct walk *walk, int64_t length, int64_t null_count) {
  if (walk->writing) walk->nodes[walk->counts.nodes] = (struct node){length, null_count};
  walk->counts.nodes++;
}

static void add_part(struct walk *walk, const void *bytes, size_t len) {
  struct counts *counts = &walk->counts;
  if (walk->writing) {
    struct iovec *last = counts->parts > 0 ? &walk->parts[counts->parts - 1] : NULL;
    if (last && (uint8_t *)last->iov_base + last->iov_len == bytes) {
      last->iov_len += len;
      return;
    }
    /* iovec is for reading too and so not const; nobody writes. */
    union {
      const void *from;
      void *base;
    } part = {.from = bytes};
    walk->parts[counts->parts] = (struct iovec){.iov_base = part.base, .iov_len = len};
  }
  counts->parts++;
}

static void add_place(struct walk *walk, uint64_t len) {
  struct counts *counts = &walk->counts;
  if (walk->writing)
    walk->buffers[counts->buffers] = (struct place){(int64_t)counts->body, (int64_t)len};
  counts->buffers++;
  counts->body += padded(len);
}

/* Add a buffer of `len` bytes to be filled by the caller: NULL where it is only counted,
 * or empty. Its padding is zero. */
static uint8_t *add_copy(struct walk *walk, uint64_t len) {
  add_place(walk, len);
  if (len == 0) return NULL;
  uint8_t *bytes = NULL;
  if (walk->writing) {
    bytes = walk->copies + walk->counts.copied;
    memset(bytes + len, 0, padded(len) - len);
  }
  walk->counts.copied += padded(len);
  add_part(walk, bytes, padded(len));
  return bytes;
}

/* Add a buffer as it lies. */
static igloo_status add_bytes(struct walk *walk, const struct ig_ipc_field *field,
                              const uint8_t *bytes, uint64_t offset, uint64_t len) {
  if (len > 0 && !bytes) return fail_array(walk, field, "a buffer is missing");
  if (len <= COPY_BYTES_MAX) {
    uint8_t *copy = add_copy(walk, len);
    if (copy) memcpy(copy, bytes + offset, len);
    return IGLOO_OK;
  }
  add_place(walk, len);
  add_part(walk, walk->writing ? bytes + offset : NULL, len);
  if (padded(len) > len) add_part(walk, zeros, padded(len) - len);
  return IGLOO_OK;
}

/* ---- bitmaps ------------------------------------------------------------------------
 */

static bool bit_at(const uint8_t *bits, int64_t i) {
  return bits[i / 8] >> (i % 8) & 1;
}

/* `length` bits from bit `start` on, as bytes from bit 0 on; the rest of the last is 0.
 */
static void copy_bits(uint8_t *dst, const uint8_t *bits, int64_t start, int64_t length) {
  const uint8_t *from = bits + start / 8;
  unsigned shift = (unsigned)(start % 8);
  size_t bytes = (size_t)(length + 7) / 8, last = (size_t)((start % 8 + length + 7) / 8);
  if (shift == 0) {
    memcpy(dst, from, bytes);
  } else {
    for (size_t i = 0; i < bytes; i++) {
      unsigned both = from[i] | (i + 1 < last ? (unsigned)from[i + 1] << 8 : 0);
      dst[i] = (uint8_t)(both >> shift);
    }
  }
  if (length % 8) dst[bytes - 1] &= (uint8_t)((1u << (length % 8)) - 1);
}

static igloo_status add_bits(struct walk *walk, const struct ig_ipc_field *field,
                             const uint8_t *bits, int64_t start, int64_t length) {
  uint64_t len = (uint64_t)(length + 7) / 8;
  if (len > 0 && !bits) return fail_array(walk, field, "a buffer is missing");
  if (start % 8 == 0 && len > COPY_BYTES_MAX)
    return add_bytes(walk, field, bits, (uint64_t)start / 8, len);
  uint8_t *copy = add_copy(walk, len);
  if (copy) copy_bits(copy, bits, start, length);
  return IGLOO_OK;
}

static int64_t count_nulls(const uint8_t *bits, int64_t start, int64_t length) {
  int64_t set = 0, i = start, end = start + length;
  for (; i < end && i % 8 != 0; i++) set += bit_at(bits, i);
  for (; i + 64 <= end; i += 64) {
    uint64_t word;
    memcpy(&word, bits + i / 8, sizeof(word));
    set += __builtin_popcountll(word);
  }
  for (; i < end; i++) set += bit_at(bits, i);
  return length - set;
}

/* The node and the validity buffer. While counting, NULLs are taken for granted. */
static igloo_status add_validity(struct walk *walk, const struct ig_ipc_field *field,
                                 const struct ArrowArray *array, int64_t start,
                                 int64_t length) {
  const uint8_t *bits = array->null_count == 0 ? NULL : array->buffers[0];
  int64_t nulls = bits && walk->writing ? count_nulls(bits, start, length) : bits ? 1 : 0;
  add_node(walk, length, nulls);
  if (nulls == 0) bits = NULL;
  return add_bits(walk, field, bits, start, bits ? length : 0);
}

/* ---- offsets ------------------------------------------------------------------------
 */

static int64_t load(const void *values, uint32_t width, int64_t i) {
  switch (width) {
    case 2:
      return ((const int16_t *)values)[i];
    case 4:
      return ((const int32_t *)values)[i];
    default:
      return ((const int64_t *)values)[i];
  }
}

static void store(void *values, uint32_t width, int64_t i, int64_t value) {
  switch (width) {
    case 2:
      ((int16_t *)values)[i] = (int16_t)value;
      break;
    case 4:
      ((int32_t *)values)[i] = (int32_t)value;
      break;
    default:
      ((int64_t *)values)[i] = value;
      break;
  }
}

/* Offsets that begin with 0; says what range of the data they are for. */
static igloo_status add_offsets(struct walk *walk, const struct ig_ipc_field *field,
                                const void *offsets, int64_t start, int64_t length,
                                int64_t *ret_first, int64_t *ret_last) {
  uint32_t width = field->width;
  uint64_t len = (uint64_t)(length + 1) * width;
  *ret_first = *ret_last = 0;
  if (length == 0) return add_bytes(walk, field, zeros, 0, len);
  if (!offsets) return fail_array(walk, field, "a buffer is missing");
  int64_t first = load(offsets, width, start),
          last = load(offsets, width, start + length);
  if (first < 0 || last < first) return fail_array(walk, field, "its offsets");
  *ret_first = first;
  *ret_last = last;
  if (first == 0) return add_bytes(walk, field, offsets, (uint64_t)start * width, len);
  uint8_t *copy = add_copy(walk, len);
  if (!copy) return IGLOO_OK;
  if (width == 4) { /* the compiler makes vectors of this */
    const int32_t *from = (const int32_t *)offsets + start;
    int32_t *to = (void *)copy;
    for (int64_t i = 0; i <= length; i++) to[i] = from[i] - (int32_t)first;
  } else {
    const int64_t *from = (const int64_t *)offsets + start;
    int64_t *to = (void *)copy;
    for (int64_t i = 0; i <= length; i++) to[i] = from[i] - first;
  }
  return IGLOO_OK;
}

/* ---- views --------------------------------------------------------------------------
 */

struct view { /* the longer form; `length` up to VIEW_INLINE_BYTES has its bytes inside */
  int32_t length;
  char prefix[4];
  int32_t buffer, offset;
};
static_assert(sizeof(struct view) == VIEW_BYTES, "as the format has it");

struct views {
  const struct ArrowArray *array;
  const struct view *views;
  const uint8_t *valid; /* NULL: all */
  int64_t data_count;
  const int64_t *data_bytes;
};

static bool is_outside(const struct views *views, int64_t i) {
  return (!views->valid || bit_at(views->valid, i)) &&
         views->views[i].length > VIEW_INLINE_BYTES;
}

/* The bytes that long views of a range are for; -1 where one leads out of its buffer. */
static int64_t used_bytes(const struct views *views, int64_t start, int64_t length) {
  int64_t used = 0;
  for (int64_t i = start; i < start + length; i++) {
    if (!is_outside(views, i)) continue;
    const struct view *view = &views->views[i];
    if (view->buffer < 0 || view->buffer >= views->data_count || view->offset < 0 ||
        (int64_t)view->offset + view->length > views->data_bytes[view->buffer])
      return -1;
    used += view->length;
  }
  return used;
}

/* Views of a range with their bytes in one new buffer. */
static void gather(const struct views *views, int64_t start, int64_t length,
                   struct view *dst, uint8_t *data) {
  int32_t at = 0;
  for (int64_t i = start; i < start + length; i++, dst++) {
    *dst = views->views[i];
    if (views->valid && !bit_at(views->valid, i)) {
      memset(dst, 0, sizeof(*dst));
    } else if (dst->length > VIEW_INLINE_BYTES) {
      const uint8_t *from = views->array->buffers[2 + dst->buffer];
      memcpy(data + at, from + dst->offset, (size_t)dst->length);
      dst->buffer = 0;
      dst->offset = at;
      at += dst->length;
    }
  }
}

static void add_views_count(struct walk *walk, int64_t count) {
  if (walk->writing) walk->views[walk->counts.views] = count;
  walk->counts.views++;
}

/* The data buffers go as they are where at least half of them is used; a few rows of a
 * large batch take only their own bytes with them. */
static igloo_status walk_views(struct walk *walk, const struct ig_ipc_field *field,
                               const struct ArrowArray *array, int64_t start,
                               int64_t length) {
  struct views views = {.array = array,
                        .views = array->buffers[1],
                        .valid = array->null_count == 0 ? NULL : array->buffers[0],
                        .data_count = array->n_buffers - 3,
                        .data_bytes = array->buffers[array->n_buffers - 1]};
  if ((length > 0 && !views.views) || (views.data_count > 0 && !views.data_bytes))
    return fail_array(walk, field, "a buffer is missing");
  int64_t used = used_bytes(&views, start, length), total = 0;
  for (int64_t i = 0; i < views.data_count; i++) total += views.data_bytes[i];
  if (used < 0) return fail_array(walk, field, "its views");

  if (total <= 2 * used || used > INT32_MAX) {
    add_views_count(walk, views.data_count);
    IG_TRY(add_bytes(walk, field, array->buffers[1], (uint64_t)start * VIEW_BYTES,
                     (uint64_t)length * VIEW_BYTES));
    for (int64_t i = 0; i < views.data_count; i++)
      IG_TRY(add_bytes(walk, field, array->buffers[2 + i], 0,
                       (uint64_t)views.data_bytes[i]));
    return IGLOO_OK;
  }
  add_views_count(walk, used > 0);
  uint8_t *copy = add_copy(walk, (uint64_t)length * VIEW_BYTES);
  uint8_t *data = used > 0 ? add_copy(walk, (uint64_t)used) : NULL;
  if (copy) gather(&views, start, length, (struct view *)(void *)copy, data);
  return IGLOO_OK;
}

/* ---- fields -------------------------------------------------------------------------
 */

static igloo_status walk_field(struct walk *walk, const struct ig_ipc_field *field,
                               const struct ArrowArray *array, int64_t start,
                               int64_t length);

/* Items `from` to `from + count` of a child, counted from its own first. */
static igloo_status walk_child(struct walk *walk, const struct ig_ipc_field *field,
                               const struct ArrowArray *child, int64_t from,
                               int64_t count) {
  if (from < 0 || count < 0 || count > child->length - from)
    return fail_array(walk, field, "it is shorter than its parent says");
  return walk_field(walk, field, child, child->offset + from, count);
}

static igloo_status walk_list(struct walk *walk, const struct ig_ipc_field *field,
                              const struct ArrowArray *array, int64_t start,
                              int64_t length) {
  int64_t first, last;
  IG_TRY(add_offsets(walk, field, array->buffers[1], start, length, &first, &last));
  return walk_child(walk, &field->children[0], array->children[0], first, last - first);
}

static igloo_status walk_list_view(struct walk *walk, const struct ig_ipc_field *field,
                                   const struct ArrowArray *array, int64_t start,
                                   int64_t length) {
  const void *offsets = array->buffers[1], *sizes = array->buffers[2];
  uint32_t width = field->width;
  int64_t first = INT64_MAX, end = 0;
  if (length > 0 && (!offsets || !sizes))
    return fail_array(walk, field, "a buffer is missing");
  for (int64_t i = start; i < start + length; i++) {
    int64_t offset = load(offsets, width, i), size = load(sizes, width, i);
    if (size == 0) continue;
    if (offset < 0 || size < 0 || size > array->children[0]->length - offset)
      return fail_array(walk, field, "its offsets");
    if (offset < first) first = offset;
    if (offset + size > end) end = offset + size;
  }
  if (end == 0) first = 0;

  uint64_t len = (uint64_t)length * width;
  if (first == 0 && end == array->children[0]->length) {
    IG_TRY(add_bytes(walk, field, offsets, (uint64_t)start * width, len));
  } else {
    uint8_t *copy = add_copy(walk, len);
    for (int64_t i = 0; copy && i < length; i++) /* an empty one may begin anywhere */
      store(copy, width, i,
            load(sizes, width, start + i) == 0 ? 0
                                               : load(offsets, width, start + i) - first);
  }
  IG_TRY(add_bytes(walk, field, sizes, (uint64_t)start * width, len));
  return walk_child(walk, &field->children[0], array->children[0], first, end - first);
}

static igloo_status walk_fixed_list(struct walk *walk, const struct ig_ipc_field *field,
                                    const struct ArrowArray *array, int64_t start,
                                    int64_t length) {
  int64_t from, count;
  if (__builtin_mul_overflow(start, field->list_size, &from) ||
      __builtin_mul_overflow(length, field->list_size, &count))
    return fail_array(walk, field, "its length");
  return walk_child(walk, &field->children[0], array->children[0], from, count);
}

static igloo_status walk_struct(struct walk *walk, const struct ig_ipc_field *field,
                                const struct ArrowArray *array, int64_t start,
                                int64_t length) {
  for (size_t i = 0; i < field->children_count; i++)
    IG_TRY(walk_child(walk, &field->children[i], array->children[i], start, length));
  return IGLOO_OK;
}

static igloo_status walk_dense(struct walk *walk, const struct ig_ipc_field *field,
                               const struct ArrowArray *array, int64_t start,
                               int64_t length) {
  const int8_t *ids = array->buffers[array->n_buffers - 2];
  const int32_t *offsets = array->buffers[array->n_buffers - 1];
  int32_t first[128], end[128];
  bool as_is = true;
  if (length > 0 && (!ids || !offsets))
    return fail_array(walk, field, "a buffer is missing");
  memset(end, 0, sizeof(end));
  for (size_t i = 0; i < IG_ARRAY_LEN(first); i++) first[i] = INT32_MAX;
  for (int64_t i = start; i < start + length; i++) {
    int child = ids[i] < 0 ? -1 : field->child_of_id[ids[i]];
    if (child < 0 || offsets[i] < 0 || offsets[i] == INT32_MAX)
      return fail_array(walk, field, "its type ids");
    if (offsets[i] < first[child]) first[child] = offsets[i];
    if (offsets[i] >= end[child]) end[child] = offsets[i] + 1;
  }
  for (size_t i = 0; i < field->children_count; i++) {
    if (end[i] == 0) first[i] = 0;
    as_is = as_is && first[i] == 0;
  }
  IG_TRY(add_bytes(walk, field, (const uint8_t *)ids, (uint64_t)start, (uint64_t)length));
  uint64_t len = (uint64_t)length * sizeof(*offsets);
  if (as_is) {
    IG_TRY(add_bytes(walk, field, (const uint8_t *)offsets,
                     (uint64_t)start * sizeof(*offsets), len));
  } else {
    int32_t *copy = (void *)add_copy(walk, len);
    for (int64_t i = 0; copy && i < length; i++)
      copy[i] = offsets[start + i] - first[field->child_of_id[ids[start + i]]];
  }
  for (size_t i = 0; i < field->children_count; i++)
    IG_TRY(walk_child(walk, &field->children[i], array->children[i], first[i],
                      end[i] - first[i]));
  return IGLOO_OK;
}

/* The first of `count` run ends that is greater than `row`; count if none is. */
static int64_t find_run(const void *ends, uint32_t width, int64_t from, int64_t count,
                        int64_t row) {
  int64_t low = 0, high = count;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    if (load(ends, width, from + middle) > row)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

static igloo_status walk_run_ends(struct walk *walk, const struct ig_ipc_field *field,
                                  const struct ArrowArray *array, int64_t start,
                                  int64_t length) {
  const struct ArrowArray *runs = array->children[0];
  uint32_t width = field->children[0].width;
  const void *ends = runs->buffers[1];
  int64_t first = 0, count = 0;
  if (length > 0) {
    if (!ends) return fail_array(walk, field, "a buffer is missing");
    first = find_run(ends, width, runs->offset, runs->length, start);
    int64_t last = find_run(ends, width, runs->offset, runs->length, start + length - 1);
    if (last >= runs->length) return fail_array(walk, field, "its run ends");
    count = last - first + 1;
  }
  add_node(walk, length, 0);
  add_node(walk, count, 0);
  IG_TRY(add_bits(walk, field, NULL, 0, 0));
  uint64_t len = (uint64_t)count * width;
  if (count == 0 ||
      (start == 0 && load(ends, width, runs->offset + first + count - 1) == length)) {
    IG_TRY(add_bytes(walk, field, ends, (uint64_t)(runs->offset + first) * width, len));
  } else {
    uint8_t *copy = add_copy(walk, len);
    for (int64_t i = 0; copy && i < count; i++) {
      int64_t end = load(ends, width, runs->offset + first + i) - start;
      store(copy, width, i, end < length ? end : length);
    }
  }
  return walk_child(walk, &field->children[1], array->children[1], first, count);
}

/* Values `start` to `start + length` of the array's buffers (its offset is in `start`).
 */
static igloo_status walk_field(struct walk *walk, const struct ig_ipc_field *field,
                               const struct ArrowArray *array, int64_t start,
                               int64_t length) {
  switch (field->shape) {
    case IG_IPC_SHAPE_NULL:
      add_node(walk, length, length);
      return IGLOO_OK;
    case IG_IPC_SHAPE_RUN_ENDS:
      return walk_run_ends(walk, field, array, start, length);
    case IG_IPC_SHAPE_SPARSE:
      add_node(walk, length, 0);
      IG_TRY(add_bytes(walk, field, array->buffers[array->n_buffers - 1], (uint64_t)start,
                       (uint64_t)length));
      return walk_struct(walk, field, array, start, length);
    case IG_IPC_SHAPE_DENSE:
      add_node(walk, length, 0);
      return walk_dense(walk, field, array, start, length);
    case IG_IPC_SHAPE_BITS:
    case IG_IPC_SHAPE_FIXED:
    case IG_IPC_SHAPE_BYTES:
    case IG_IPC_SHAPE_VIEWS:
    case IG_IPC_SHAPE_LIST:
    case IG_IPC_SHAPE_LIST_VIEW:
    case IG_IPC_SHAPE_FIXED_LIST:
    case IG_IPC_SHAPE_STRUCT:
      break;
  }

  IG_TRY(add_validity(walk, field, array, start, length));
  switch ((int)field->shape) {
    case IG_IPC_SHAPE_BITS:
      return add_bits(walk, field, array->buffers[1], start, length);
    case IG_IPC_SHAPE_FIXED:
      return add_bytes(walk, field, array->buffers[1], (uint64_t)start * field->width,
                       (uint64_t)length * field->width);
    case IG_IPC_SHAPE_BYTES: {
      int64_t first, last;
      IG_TRY(add_offsets(walk, field, array->buffers[1], start, length, &first, &last));
      return add_bytes(walk, field, array->buffers[2], (uint64_t)first,
                       (uint64_t)(last - first));
    }
    case IG_IPC_SHAPE_VIEWS:
      return walk_views(walk, field, array, start, length);
    case IG_IPC_SHAPE_LIST:
      return walk_list(walk, field, array, start, length);
    case IG_IPC_SHAPE_LIST_VIEW:
      return walk_list_view(walk, field, array, start, length);
    case IG_IPC_SHAPE_FIXED_LIST:
      return walk_fixed_list(walk, field, array, start, length);
    default:
      return walk_struct(walk, field, array, start, length);
  }
}

/* ---- messages -----------------------------------------------------------------------
 */

/* What a message is made of: rows of the batch, or a whole dictionary. */
struct source {
  const struct ig_ipc_field *field; /* the root, or the dictionary's values */
  const struct ArrowArray *array;
  int64_t first, rows;
  bool is_dictionary;
  int64_t dictionary_id;
};

static igloo_status walk_source(struct walk *walk, const struct source *source) {
  return source->is_dictionary
             ? walk_child(walk, source->field, source->array, 0, source->rows)
             : walk_struct(walk, source->field, source->array,
                           source->array->offset + source->first, source->rows);
}

static uint64_t message_bytes(const struct counts *counts) {
  return METADATA_BYTES + counts->nodes * sizeof(struct node) +
         counts->buffers * sizeof(struct place) + counts->views * sizeof(int64_t) +
         counts->body;
}

static void release_owner(void *memory) {
  struct owner *owner = memory;
  shared_unref(owner->batch);
  ig_free(owner->metadata);
  ig_free(owner->packed);
  ig_free(owner);
}

static ig_flat_ref write_batch(struct ig_flat_builder *builder, const struct walk *walk,
                               const struct source *source, enum ig_ipc_codec codec) {
  ig_flat_ref views = 0, compression = 0;
  if (codec != IG_IPC_PLAIN) {
    ig_flat_table_begin(builder);
    ig_flat_put_int(builder, 0, codec == IG_IPC_ZSTD, 1);
    ig_flat_put_int(builder, 1, 0, 1);
    compression = ig_flat_table_end(builder);
  }
  if (walk->counts.views > 0)
    views = ig_flat_vector(builder, walk->views, walk->counts.views, sizeof(int64_t));
  ig_flat_ref buffers =
      ig_flat_vector(builder, walk->buffers, walk->counts.buffers, sizeof(struct place));
  ig_flat_ref nodes =
      ig_flat_vector(builder, walk->nodes, walk->counts.nodes, sizeof(struct node));
  ig_flat_table_begin(builder);
  ig_flat_put_int(builder, 0, source->rows, 8);
  ig_flat_put_ref(builder, 1, nodes);
  ig_flat_put_ref(builder, 2, buffers);
  if (compression) ig_flat_put_ref(builder, 3, compression);
  if (views) ig_flat_put_ref(builder, 4, views);
  return ig_flat_table_end(builder);
}

static igloo_status write_metadata(const struct walk *walk, const struct source *source,
                                   enum ig_ipc_codec codec, struct owner *owner,
                                   struct iovec *part, struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_flat_builder) builder;
  ig_flat_init(&builder, message_bytes(&walk->counts) - walk->counts.body);
  ig_flat_ref batch = write_batch(&builder, walk, source, codec);
  if (source->is_dictionary) {
    ig_flat_table_begin(&builder);
    ig_flat_put_int(&builder, 0, source->dictionary_id, 8);
    ig_flat_put_ref(&builder, 1, batch);
    batch = ig_flat_table_end(&builder);
  }
  IG_TRY(ig_ipc_message_finish(&builder,
                               source->is_dictionary ? IG_IPC_DICTIONARY : IG_IPC_BATCH,
                               batch, walk->counts.body, reterr));
  *part = (struct iovec){builder.data + builder.cap - builder.len, builder.len};
  owner->metadata = IG_TAKE(builder.data);
  return IGLOO_OK;
}

/* Replace the body by one with compressed buffers. */
static igloo_status pack_body(struct walk *walk, enum ig_ipc_codec codec,
                              struct owner *owner, struct igloo_error *reterr) {
  struct counts *counts = &walk->counts;
  IG_AUTO(char) *plain = ig_malloc(counts->body + 1);
  uint64_t room = 1, largest = 0;
  for (size_t i = 0; i < counts->buffers; i++) {
    uint64_t len = (uint64_t)walk->buffers[i].length;
    room += padded(IG_IPC_PACKED_PREFIX + len);
    if (len > largest) largest = len;
  }
  owner->packed = ig_malloc(room + ig_ipc_pack_room(codec, largest));
  if (!plain || !owner->packed) return ig_fail_oom(reterr);

  size_t at = 0;
  for (size_t i = 0; i < counts->parts; at += walk->parts[i++].iov_len)
    memcpy(plain + at, walk->parts[i].iov_base, walk->parts[i].iov_len);
  counts->body = 0;
  for (size_t i = 0; i < counts->buffers; i++) {
    struct place *place = &walk->buffers[i];
    const uint8_t *src = (const uint8_t *)plain + place->offset;
    size_t len = (size_t)place->length;
    uint8_t *dst = owner->packed + counts->body;
    place->offset = (int64_t)counts->body;
    if (len == 0) continue; /* it has no prefix either */
    size_t packed = ig_ipc_pack(codec, src, len, dst);
    place->length = (int64_t)packed;
    memset(dst + packed, 0, padded(packed) - packed);
    counts->body += padded(packed);
  }
  counts->parts = counts->body > 0;
  walk->parts[0] = (struct iovec){owner->packed, counts->body};
  return IGLOO_OK;
}

/* Write what was counted. */
static igloo_status make_message(const struct counts *counts, const struct source *source,
                                 enum ig_ipc_codec codec, struct shared *batch,
                                 struct ig_ipc_message *ret_message,
                                 struct igloo_error *reterr) {
  size_t parts_max = IG_IPC_PART_BODY + counts->parts + 1;
  struct owner *owner = ig_malloc(sizeof(*owner) + parts_max * sizeof(struct iovec) +
                                  counts->nodes * sizeof(struct node) +
                                  counts->buffers * sizeof(struct place) +
                                  counts->views * sizeof(int64_t) + counts->copied);
  if (!owner) return ig_fail_oom(reterr);
  *owner = (struct owner){.batch = shared_ref(batch)};

  struct iovec *parts = (struct iovec *)(owner + 1);
  struct walk walk = {.writing = true, .reterr = reterr};
  walk.parts = parts + IG_IPC_PART_BODY;
  walk.nodes = (struct node *)(parts + parts_max);
  walk.buffers = (struct place *)(walk.nodes + counts->nodes);
  walk.views = (int64_t *)(walk.buffers + counts->buffers);
  walk.copies = (uint8_t *)(walk.views + counts->views);
  memset(parts, 0, IG_IPC_PART_BODY * sizeof(*parts));

  igloo_status status = walk_source(&walk, source);
  if (status == IGLOO_OK && codec != IG_IPC_PLAIN)
    status = pack_body(&walk, codec, owner, reterr);
  if (status == IGLOO_OK)
    status =
        write_metadata(&walk, source, codec, owner, &parts[IG_IPC_PART_METADATA], reterr);
  if (status != IGLOO_OK) {
    release_owner(owner);
    return status;
  }
  *ret_message = (struct ig_ipc_message){
      .kind = source->is_dictionary ? IG_IPC_DICTIONARY : IG_IPC_BATCH,
      .rows = source->is_dictionary ? 0 : source->rows,
      .pieces = {.parts = parts,
                 .parts_len = IG_IPC_PART_BODY + walk.counts.parts,
                 .bytes = parts[IG_IPC_PART_METADATA].iov_len + walk.counts.body,
                 .release = release_owner,
                 .owner = owner},
      .body_bytes = walk.counts.body,
      .room = owner->room,
  };
  return IGLOO_OK;
}

/* ---- the encoder --------------------------------------------------------------------
 */

/* A dictionary as it was last sent. */
struct sent {
  struct shared *batch; /* holds `array`, so that equal addresses are equal values */
  const struct ArrowArray *array;
};

struct to_send {
  const struct ig_ipc_field *values;
  const struct ArrowArray *array;
  int64_t id;
};

struct ig_ipc_encoder {
  struct ArrowSchema schema;
  struct ig_ipc_field *layout;
  uint64_t target_bytes;
  enum ig_ipc_codec codec;
  struct sent *sent; /* by id */
  size_t dictionaries;
  /* Of the batch at work. */
  struct shared *batch;    /* NULL: none */
  struct to_send *to_send; /* room for `dictionaries` */
  size_t to_send_count, to_send_next;
  int64_t rows_done;
  int64_t rows_before; /* of the message before: a guess for the next; 0: none */
};

ig_ipc_encoder *ig_ipc_encoder_free(ig_ipc_encoder *encoder) {
  if (!encoder) return NULL;
  for (size_t i = 0; encoder->sent && i < encoder->dictionaries; i++)
    shared_unref(encoder->sent[i].batch);
  shared_unref(encoder->batch);
  ig_free(encoder->sent);
  ig_free(encoder->to_send);
  ig_ipc_layout_free(encoder->layout);
  ig_schema_done(&encoder->schema);
  ig_free(encoder);
  return NULL;
}

static uint64_t clamp_target(uint64_t bytes) {
  if (bytes == 0) return IG_IPC_TARGET_BYTES;
  if (bytes < TARGET_BYTES_MIN) return TARGET_BYTES_MIN;
  return bytes > TARGET_BYTES_MAX ? TARGET_BYTES_MAX : bytes;
}

igloo_status ig_ipc_encoder_new(const struct ArrowSchema *schema,
                                const struct ig_ipc_options *options,
                                ig_ipc_encoder **ret_encoder,
                                struct igloo_error *reterr) {
  IG_AUTO(ig_ipc_encoder) *encoder = ig_calloc(1, sizeof(*encoder));
  if (!encoder) return ig_fail_oom(reterr);
  encoder->target_bytes = clamp_target(options ? options->target_bytes : 0);
  encoder->codec = options ? options->codec : IG_IPC_PLAIN;
  IG_TRY(ig_schema_copy(schema, &encoder->schema, reterr));
  IG_TRY(ig_ipc_layout_new(&encoder->schema, NULL, 0, &encoder->layout, reterr));
  encoder->dictionaries = ig_ipc_layout_dictionaries(encoder->layout);
  encoder->sent = ig_calloc(encoder->dictionaries + 1, sizeof(*encoder->sent));
  encoder->to_send = ig_calloc(encoder->dictionaries + 1, sizeof(*encoder->to_send));
  if (!encoder->sent || !encoder->to_send) return ig_fail_oom(reterr);
  *ret_encoder = IG_TAKE(encoder);
  return IGLOO_OK;
}

igloo_status ig_ipc_encoder_schema(ig_ipc_encoder *encoder,
                                   struct ig_ipc_message *ret_message,
                                   struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_flat_builder) builder;
  ig_flat_init(&builder, 1024);
  IG_TRY(ig_ipc_schema_write(&encoder->schema, &builder, reterr));
  struct owner *owner =
      ig_malloc(sizeof(*owner) + IG_IPC_PART_BODY * sizeof(struct iovec));
  if (!owner) return ig_fail_oom(reterr);
  struct iovec *parts = (struct iovec *)(owner + 1);
  memset(parts, 0, IG_IPC_PART_BODY * sizeof(*parts));
  parts[IG_IPC_PART_METADATA] =
      (struct iovec){builder.data + builder.cap - builder.len, builder.len};
  *owner = (struct owner){.metadata = IG_TAKE(builder.data)};
  *ret_message = (struct ig_ipc_message){
      .kind = IG_IPC_SCHEMA,
      .pieces = {.parts = parts,
                 .parts_len = IG_IPC_PART_BODY,
                 .bytes = parts[IG_IPC_PART_METADATA].iov_len,
                 .release = release_owner,
                 .owner = owner},
      .room = owner->room,
  };
  return IGLOO_OK;
}

/* ---- a batch as it comes in ---------------------------------------------------------
 */

static int64_t buffers_of(const struct ig_ipc_field *field) {
  switch (field->shape) {
    case IG_IPC_SHAPE_NULL:
    case IG_IPC_SHAPE_RUN_ENDS:
      return 0;
    case IG_IPC_SHAPE_STRUCT:
    case IG_IPC_SHAPE_FIXED_LIST:
    case IG_IPC_SHAPE_SPARSE:
      return 1;
    case IG_IPC_SHAPE_BITS:
    case IG_IPC_SHAPE_FIXED:
    case IG_IPC_SHAPE_LIST:
    case IG_IPC_SHAPE_DENSE:
      return 2;
    case IG_IPC_SHAPE_BYTES:
    case IG_IPC_SHAPE_LIST_VIEW:
    case IG_IPC_SHAPE_VIEWS: /* and any number of data buffers */
      break;
  }
  return 3;
}

static igloo_status check_array(const struct ig_ipc_field *field,
                                const struct ArrowArray *array,
                                struct igloo_error *reterr) {
  int64_t buffers = buffers_of(field), end;
  bool good = array && array->release && array->length >= 0 && array->offset >= 0 &&
              !__builtin_add_overflow(array->length, array->offset, &end) &&
              array->n_children == (int64_t)field->children_count &&
              (array->n_buffers == buffers ||
               (field->shape == IG_IPC_SHAPE_VIEWS && array->n_buffers > buffers)) &&
              (array->n_buffers == 0 || array->buffers) &&
              (array->n_children == 0 || array->children) &&
              (field->dictionary != NULL) == (array->dictionary != NULL);
  if (!good)
    return ig_fail(reterr, IGLOO_INTERNAL,
                   "an Arrow array does not fit its schema: column \"%s\"", field->name);
  for (size_t i = 0; i < field->children_count; i++)
    IG_TRY(check_array(&field->children[i], array->children[i], reterr));
  return field->dictionary ? check_array(field->dictionary, array->dictionary, reterr)
                           : IGLOO_OK;
}

/* Equal because they are the same memory. */
static bool is_same(const struct ArrowArray *a, const struct ArrowArray *b) {
  if (a->length != b->length || a->offset != b->offset || a->n_buffers != b->n_buffers ||
      a->n_children != b->n_children)
    return false;
  for (int64_t i = 0; i < a->n_buffers; i++)
    if (a->buffers[i] != b->buffers[i]) return false;
  for (int64_t i = 0; i < a->n_children; i++)
    if (!is_same(a->children[i], b->children[i])) return false;
  return !a->dictionary || is_same(a->dictionary, b->dictionary);
}

/* List the dictionaries that are not as they were, inner ones first. */
static void list_dictionaries(ig_ipc_encoder *encoder, const struct ig_ipc_field *field,
                              const struct ArrowArray *array) {
  for (size_t i = 0; i < field->children_count; i++)
    list_dictionaries(encoder, &field->children[i], array->children[i]);
  if (!field->dictionary) return;
  list_dictionaries(encoder, field->dictionary, array->dictionary);
  const struct sent *sent = &encoder->sent[field->dictionary_id];
  if (sent->array && is_same(sent->array, array->dictionary)) return;
  encoder->to_send[encoder->to_send_count++] =
      (struct to_send){.values = field->dictionary,
                       .array = array->dictionary,
                       .id = field->dictionary_id};
}

igloo_status ig_ipc_encoder_batch(ig_ipc_encoder *encoder, struct ArrowArray *batch,
                                  struct igloo_error *reterr) {
  IG_ASSERT(!encoder->batch);
  IG_AUTO_ARRAY taken = *batch;
  batch->release = NULL;
  IG_TRY(check_array(encoder->layout, &taken, reterr));
  struct shared *shared = ig_malloc(sizeof(*shared));
  if (!shared) return ig_fail_oom(reterr);
  atomic_init(&shared->refs, 1);
  shared->batch = taken;
  taken.release = NULL;
  encoder->batch = shared;
  encoder->rows_done = 0;
  encoder->rows_before = 0;
  encoder->to_send_count = encoder->to_send_next = 0;
  list_dictionaries(encoder, encoder->layout, &shared->batch);
  return IGLOO_OK;
}

/* ---- a batch as it goes out ---------------------------------------------------------
 */

static igloo_status count_source(const struct source *source, struct counts *ret_counts,
                                 struct igloo_error *reterr) {
  struct walk walk = {.reterr = reterr};
  IG_TRY(walk_source(&walk, source));
  *ret_counts = walk.counts;
  return IGLOO_OK;
}

static igloo_status next_dictionary(ig_ipc_encoder *encoder,
                                    struct ig_ipc_message *ret_message,
                                    struct igloo_error *reterr) {
  const struct to_send *next = &encoder->to_send[encoder->to_send_next];
  struct source source = {.field = next->values,
                          .array = next->array,
                          .rows = next->array->length,
                          .is_dictionary = true,
                          .dictionary_id = next->id};
  struct counts counts;
  IG_TRY(count_source(&source, &counts, reterr));
  IG_TRY(make_message(&counts, &source, encoder->codec, encoder->batch, ret_message,
                      reterr));
  struct sent *sent = &encoder->sent[next->id];
  shared_unref(sent->batch);
  *sent = (struct sent){.batch = shared_ref(encoder->batch), .array = next->array};
  encoder->to_send_next++;
  return IGLOO_OK;
}

/* How many rows go into the next message: all, if they are not much over the target;
 * otherwise equal parts, and never above what a client takes, but for a single row. */
static igloo_status choose_rows(ig_ipc_encoder *encoder, struct source *source,
                                struct counts *ret_counts, struct igloo_error *reterr) {
  uint64_t enough = encoder->target_bytes + encoder->target_bytes / 2;
  int64_t rows = encoder->batch->batch.length - encoder->rows_done;
  if (encoder->rows_before > 0 && rows / 2 > encoder->rows_before)
    rows = 2 * encoder->rows_before; /* rather than measure all the rest once more */
  for (;;) {
    source->rows = rows;
    IG_TRY(count_source(source, ret_counts, reterr));
    uint64_t bytes = message_bytes(ret_counts);
    if (bytes <= enough || rows <= 1) return IGLOO_OK;
    uint64_t parts = (bytes + encoder->target_bytes - 1) / encoder->target_bytes;
    rows = parts >= (uint64_t)rows ? 1 : (rows + (int64_t)parts - 1) / (int64_t)parts;
  }
}

static igloo_status next_rows(ig_ipc_encoder *encoder, struct ig_ipc_message *ret_message,
                              struct igloo_error *reterr) {
  struct source source = {.field = encoder->layout,
                          .array = &encoder->batch->batch,
                          .first = encoder->rows_done};
  struct counts counts;
  IG_TRY(choose_rows(encoder, &source, &counts, reterr));
  IG_TRY(make_message(&counts, &source, encoder->codec, encoder->batch, ret_message,
                      reterr));
  encoder->rows_done += source.rows;
  encoder->rows_before = source.rows;
  if (encoder->rows_done == encoder->batch->batch.length) {
    shared_unref(encoder->batch); /* the messages hold it */
    encoder->batch = NULL;
  }
  return IGLOO_OK;
}

igloo_status ig_ipc_encoder_next(ig_ipc_encoder *encoder,
                                 struct ig_ipc_message *ret_message, bool *ret_more,
                                 struct igloo_error *reterr) {
  if (!encoder->batch) {
    *ret_more = false;
    return IGLOO_OK;
  }
  IG_TRY(encoder->to_send_next < encoder->to_send_count
             ? next_dictionary(encoder, ret_message, reterr)
             : next_rows(encoder, ret_message, reterr));
  *ret_more = true;
  return IGLOO_OK;
}
