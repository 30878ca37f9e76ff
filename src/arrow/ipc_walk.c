/* ipc_walk.c -- see ipc_walk.h. */
#include "arrow/ipc_walk.h"

#define COPY_BYTES_MAX 1024 /* a buffer up to here is copied rather than referred to */
#define VIEW_INLINE_BYTES 12
#define VIEW_BYTES 16

static const uint8_t zeros[COPY_BYTES_MAX]; /* padding, and buffers that are NULL */

/* ---- what is added -------------------------------------------------------------------
 */

static igloo_status fail_array(struct ig_ipc_walk *walk, const struct ig_ipc_field *field,
                               const char *what) {
  return ig_fail(walk->reterr, IGLOO_INTERNAL,
                 "an Arrow array does not fit its schema: column \"%s\": %s", field->name,
                 what);
}

static void add_node(struct ig_ipc_walk *walk, int64_t length, int64_t null_count) {
  if (walk->parts)
    walk->nodes[walk->counts.nodes] = (struct ig_ipc_node){length, null_count};
  walk->counts.nodes++;
}

static void add_part(struct ig_ipc_walk *walk, const void *bytes, size_t len) {
  struct ig_ipc_counts *counts = &walk->counts;
  if (walk->parts) {
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

static void add_place(struct ig_ipc_walk *walk, uint64_t len) {
  struct ig_ipc_counts *counts = &walk->counts;
  if (walk->parts)
    walk->buffers[counts->buffers] =
        (struct ig_ipc_place){(int64_t)counts->body, (int64_t)len};
  counts->buffers++;
  counts->body += ig_ipc_padded(len);
}

/* Add a buffer of `len` bytes to be filled by the caller: NULL where it is only counted,
 * or empty. Its padding is zero. */
static uint8_t *add_copy(struct ig_ipc_walk *walk, uint64_t len) {
  add_place(walk, len);
  if (len == 0) return NULL;
  uint8_t *bytes = NULL;
  if (walk->parts) {
    bytes = walk->copies + walk->counts.copied;
    memset(bytes + len, 0, ig_ipc_padded(len) - len);
  }
  walk->counts.copied += ig_ipc_padded(len);
  add_part(walk, bytes, ig_ipc_padded(len));
  return bytes;
}

/* Add a buffer as it lies. */
static igloo_status add_bytes(struct ig_ipc_walk *walk, const struct ig_ipc_field *field,
                              const uint8_t *bytes, uint64_t offset, uint64_t len) {
  if (len > 0 && !bytes) return fail_array(walk, field, "a buffer is missing");
  if (len <= COPY_BYTES_MAX) {
    uint8_t *copy = add_copy(walk, len);
    if (copy) memcpy(copy, bytes + offset, len);
    return IGLOO_OK;
  }
  add_place(walk, len);
  add_part(walk, walk->parts ? bytes + offset : NULL, len);
  if (ig_ipc_padded(len) > len) add_part(walk, zeros, ig_ipc_padded(len) - len);
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

static igloo_status add_bits(struct ig_ipc_walk *walk, const struct ig_ipc_field *field,
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
static igloo_status add_validity(struct ig_ipc_walk *walk,
                                 const struct ig_ipc_field *field,
                                 const struct ArrowArray *array, int64_t start,
                                 int64_t length) {
  const uint8_t *bits = array->null_count == 0 ? NULL : array->buffers[0];
  int64_t nulls = bits && walk->parts ? count_nulls(bits, start, length) : bits ? 1 : 0;
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
static igloo_status add_offsets(struct ig_ipc_walk *walk,
                                const struct ig_ipc_field *field, const void *offsets,
                                int64_t start, int64_t length, int64_t *ret_first,
                                int64_t *ret_last) {
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
      IG_ASSERT(data); /* there are used bytes */
      memcpy(data + at, from + dst->offset, (size_t)dst->length);
      dst->buffer = 0;
      dst->offset = at;
      at += dst->length;
    }
  }
}

static void add_views_count(struct ig_ipc_walk *walk, int64_t count) {
  if (walk->parts) walk->views[walk->counts.views] = count;
  walk->counts.views++;
}

/* The data buffers go as they are where at least half of them is used; a few rows of a
 * large batch take only their own bytes with them. */
static igloo_status walk_views(struct ig_ipc_walk *walk, const struct ig_ipc_field *field,
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

static igloo_status walk_field(struct ig_ipc_walk *walk, const struct ig_ipc_field *field,
                               const struct ArrowArray *array, int64_t start,
                               int64_t length);

/* Items `from` to `from + count` of a child, counted from its own first. */
igloo_status ig_ipc_walk_values(struct ig_ipc_walk *walk,
                                const struct ig_ipc_field *field,
                                const struct ArrowArray *child, int64_t from,
                                int64_t count) {
  if (from < 0 || count < 0 || count > child->length - from)
    return fail_array(walk, field, "it is shorter than its parent says");
  return walk_field(walk, field, child, child->offset + from, count);
}

static igloo_status walk_list(struct ig_ipc_walk *walk, const struct ig_ipc_field *field,
                              const struct ArrowArray *array, int64_t start,
                              int64_t length) {
  int64_t first, last;
  IG_TRY(add_offsets(walk, field, array->buffers[1], start, length, &first, &last));
  return ig_ipc_walk_values(walk, &field->children[0], array->children[0], first,
                            last - first);
}

static igloo_status walk_list_view(struct ig_ipc_walk *walk,
                                   const struct ig_ipc_field *field,
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
  return ig_ipc_walk_values(walk, &field->children[0], array->children[0], first,
                            end - first);
}

static igloo_status walk_fixed_list(struct ig_ipc_walk *walk,
                                    const struct ig_ipc_field *field,
                                    const struct ArrowArray *array, int64_t start,
                                    int64_t length) {
  int64_t from, count;
  if (__builtin_mul_overflow(start, field->list_size, &from) ||
      __builtin_mul_overflow(length, field->list_size, &count))
    return fail_array(walk, field, "its length");
  return ig_ipc_walk_values(walk, &field->children[0], array->children[0], from, count);
}

static igloo_status walk_struct(struct ig_ipc_walk *walk,
                                const struct ig_ipc_field *field,
                                const struct ArrowArray *array, int64_t start,
                                int64_t length) {
  for (size_t i = 0; i < field->children_count; i++)
    IG_TRY(
        ig_ipc_walk_values(walk, &field->children[i], array->children[i], start, length));
  return IGLOO_OK;
}

static igloo_status walk_dense(struct ig_ipc_walk *walk, const struct ig_ipc_field *field,
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
    IG_TRY(ig_ipc_walk_values(walk, &field->children[i], array->children[i], first[i],
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

static igloo_status walk_run_ends(struct ig_ipc_walk *walk,
                                  const struct ig_ipc_field *field,
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
  return ig_ipc_walk_values(walk, &field->children[1], array->children[1], first, count);
}

/* Values `start` to `start + length` of the array's buffers (its offset is in `start`).
 */
static igloo_status walk_field(struct ig_ipc_walk *walk, const struct ig_ipc_field *field,
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

igloo_status ig_ipc_walk_batch(struct ig_ipc_walk *walk, const struct ig_ipc_field *root,
                               const struct ArrowArray *batch, int64_t first,
                               int64_t count) {
  return walk_struct(walk, root, batch, batch->offset + first, count);
}
