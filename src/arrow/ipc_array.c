/* ipc_array.c -- see ipc_array.h. */
#include "arrow/ipc_array.h"

#include <stdatomic.h>

#include "arrow/stream.h"
#include "base/limits.h"

#define ALIGN 64

/* ---- blocks ------------------------------------------------------------------------ */

struct ig_ipc_block {
  _Atomic size_t refs; /* freed by the one that counts down to 0 */
  uint8_t *data;
  const struct ig_ipc_budget *budget; /* NULL: not counted */
  uint64_t counted_bytes;
  void (*release)(void *owner); /* NULL: the data is behind this struct */
  void *owner;
};

igloo_status ig_ipc_block_new(size_t bytes, const struct ig_ipc_budget *budget,
                              ig_ipc_block **ret_block, struct igloo_error *reterr) {
  size_t whole = sizeof(ig_ipc_block) + ALIGN + bytes;
  if (budget) IG_TRY(budget->reserve(budget->ctx, whole, reterr));
  ig_ipc_block *block = ig_malloc(whole);
  if (!block) {
    if (budget) budget->give_back(budget->ctx, whole);
    return ig_fail_oom(reterr);
  }
  *block = (ig_ipc_block){.budget = budget, .counted_bytes = whole};
  atomic_init(&block->refs, 1);
  uintptr_t end = (uintptr_t)(block + 1);
  block->data = (uint8_t *)(block + 1) + ((0 - end) & (ALIGN - 1));
  *ret_block = block;
  return IGLOO_OK;
}

igloo_status ig_ipc_block_adopt(struct ig_ipc_input *input, ig_ipc_block **ret_block,
                                struct igloo_error *reterr) {
  ig_ipc_block *block = ig_malloc(sizeof(*block));
  if (!block) return ig_fail_oom(reterr);
  *block = (ig_ipc_block){
      .data = input->body, .release = input->release, .owner = input->owner};
  atomic_init(&block->refs, 1);
  input->release = NULL;
  *ret_block = block;
  return IGLOO_OK;
}

uint8_t *ig_ipc_block_data(ig_ipc_block *block) {
  return block->data;
}

static ig_ipc_block *block_ref(ig_ipc_block *block) {
  if (block) atomic_fetch_add_explicit(&block->refs, 1, memory_order_relaxed);
  return block;
}

/* Pairs with itself: what other threads did with the block is done. */
ig_ipc_block *ig_ipc_block_unref(ig_ipc_block *block) {
  if (!block || atomic_fetch_sub_explicit(&block->refs, 1, memory_order_acq_rel) != 1)
    return NULL;
  if (block->release) block->release(block->owner);
  const struct ig_ipc_budget *budget = block->budget;
  uint64_t counted = block->counted_bytes;
  ig_free(block);
  if (budget) budget->give_back(budget->ctx, counted);
  return NULL;
}

/* ---- the memory of one array --------------------------------------------------------
 */

/* Behind the buffers stand, of views, the lengths of their data buffers; or the pointers
 * to the children, and the children. */
struct memory {
  ig_ipc_block *block;
  size_t lengths; /* of data buffers; views only */
  struct ArrowArray dictionary;
  const void *buffers[];
};

static void release_array(struct ArrowArray *array) {
  struct memory *memory = array->private_data;
  for (int64_t i = 0; i < array->n_children; i++) ig_array_done(array->children[i]);
  ig_array_done(&memory->dictionary);
  ig_ipc_block_unref(memory->block);
  ig_free(memory);
  array->release = NULL;
}

static igloo_status new_array(ig_ipc_block *block, size_t buffers, size_t children,
                              size_t lengths, struct ArrowArray *ret_array,
                              struct igloo_error *reterr) {
  size_t behind = children * (sizeof(struct ArrowArray *) + sizeof(struct ArrowArray)) +
                  lengths * sizeof(int64_t);
  struct memory *memory =
      ig_calloc(1, sizeof(*memory) + buffers * sizeof(void *) + behind);
  if (!memory) return ig_fail_oom(reterr);
  memory->block = block_ref(block);
  memory->lengths = lengths;
  char *end = (char *)memory + sizeof(*memory) + buffers * sizeof(void *);
  struct ArrowArray **pointers = (void *)end;
  struct ArrowArray *arrays = (struct ArrowArray *)(pointers + children);
  for (size_t i = 0; i < children; i++) pointers[i] = &arrays[i];
  if (lengths > 0) memory->buffers[buffers - 1] = end;
  *ret_array = (struct ArrowArray){.n_buffers = (int64_t)buffers,
                                   .n_children = (int64_t)children,
                                   .buffers = memory->buffers,
                                   .children = pointers,
                                   .release = release_array,
                                   .private_data = memory};
  return IGLOO_OK;
}

/* Another array over the same block. */
static igloo_status share_array(const struct ArrowArray *array,
                                struct ArrowArray *ret_array,
                                struct igloo_error *reterr) {
  struct memory *from = array->private_data;
  size_t buffers = (size_t)array->n_buffers;
  IG_AUTO_ARRAY copy = {0};
  IG_TRY(new_array(from->block, buffers, (size_t)array->n_children, from->lengths, &copy,
                   reterr));
  copy.length = array->length;
  copy.null_count = array->null_count;
  struct memory *memory = copy.private_data;
  if (from->lengths > 0) {
    char *lengths = (char *)memory + sizeof(*memory) + buffers * sizeof(void *);
    memcpy(lengths, from->buffers[--buffers], from->lengths * sizeof(int64_t));
  }
  for (size_t i = 0; i < buffers; i++) memory->buffers[i] = from->buffers[i];
  for (int64_t i = 0; i < array->n_children; i++)
    IG_TRY(share_array(array->children[i], copy.children[i], reterr));
  if (array->dictionary) {
    IG_TRY(share_array(array->dictionary, &memory->dictionary, reterr));
    copy.dictionary = &memory->dictionary;
  }
  *ret_array = copy;
  copy.release = NULL;
  return IGLOO_OK;
}

/* ---- what comes next in the message -------------------------------------------------
 */

static igloo_status fail_field(struct ig_ipc_reading *reading,
                               const struct ig_ipc_field *field, const char *what) {
  return ig_ipc_fail(reading->reterr, "column \"%s\": %s", field->name, what);
}

struct node {
  int64_t length, null_count;
};

static igloo_status next_node(struct ig_ipc_reading *reading,
                              const struct ig_ipc_field *field, struct node *ret_node) {
  *ret_node = (struct node){0};
  if (reading->empty) return IGLOO_OK;
  if (reading->nodes_next >= reading->nodes.count)
    return fail_field(reading, field, "it is missing");
  size_t i = reading->nodes_next++;
  ret_node->length = ig_flat_item_int(reading->flat, reading->nodes, i, 16, 0, 8);
  ret_node->null_count = ig_flat_item_int(reading->flat, reading->nodes, i, 16, 8, 8);
  if (ret_node->length < 0 || ret_node->null_count < -1 ||
      ret_node->null_count > ret_node->length)
    return fail_field(reading, field, "its length");
  if (ret_node->length > reading->rows_max)
    return ig_fail_state(reading->reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "column \"%s\" claims %lld values, more than its bytes hold",
                         field->name, (long long)ret_node->length);
  return IGLOO_OK;
}

static igloo_status next_buffer(struct ig_ipc_reading *reading,
                                const struct ig_ipc_field *field,
                                struct ig_ipc_span *ret_span) {
  static _Alignas(ALIGN) uint8_t zeros[ALIGN]; /* never written: the length is 0 */
  *ret_span = (struct ig_ipc_span){.data = zeros};
  if (reading->empty) return IGLOO_OK;
  if (reading->buffers_next >= reading->buffers_count)
    return fail_field(reading, field, "a buffer is missing");
  struct ig_ipc_span span = reading->buffers[reading->buffers_next++];
  if (span.len > 0) *ret_span = span;
  return IGLOO_OK;
}

/* The next buffer, of at least `count` items of `width` bytes. */
static igloo_status next_values(struct ig_ipc_reading *reading,
                                const struct ig_ipc_field *field, int64_t count,
                                uint32_t width, struct ig_ipc_span *ret_span) {
  size_t bytes;
  IG_TRY(next_buffer(reading, field, ret_span));
  if (__builtin_mul_overflow((size_t)count, (size_t)width, &bytes) ||
      bytes > ret_span->len)
    return fail_field(reading, field, "a buffer is too short");
  return IGLOO_OK;
}

static igloo_status next_views_count(struct ig_ipc_reading *reading,
                                     const struct ig_ipc_field *field,
                                     size_t *ret_count) {
  *ret_count = 0;
  if (reading->empty) return IGLOO_OK;
  if (reading->views_next >= reading->views.count)
    return fail_field(reading, field, "the number of its buffers is missing");
  int64_t count =
      ig_flat_item_int(reading->flat, reading->views, reading->views_next++, 8, 0, 8);
  if (count < 0 || (uint64_t)count > reading->buffers_count - reading->buffers_next)
    return fail_field(reading, field, "a buffer is missing");
  *ret_count = (size_t)count;
  return IGLOO_OK;
}

/* ---- NULLs --------------------------------------------------------------------------
 */

static bool is_valid(const struct ArrowArray *array, int64_t i) {
  const uint8_t *bits = array->buffers[0];
  return !bits || (bits[i / 8] >> (i % 8) & 1);
}

static int64_t count_set(const uint8_t *bits, int64_t length) {
  int64_t set = 0, i = 0;
  for (; i + 64 <= length; i += 64) {
    uint64_t word;
    memcpy(&word, bits + i / 8, sizeof(word));
    set += __builtin_popcountll(word);
  }
  for (; i < length; i++) set += bits[i / 8] >> (i % 8) & 1;
  return set;
}

/* The validity buffer, which counts only where there are NULLs. */
static igloo_status read_validity(struct ig_ipc_reading *reading,
                                  const struct ig_ipc_field *field, struct node node,
                                  struct ArrowArray *array) {
  struct ig_ipc_span span;
  IG_TRY(next_buffer(reading, field, &span));
  array->length = node.length;
  array->null_count = 0;
  if (node.null_count == 0 || (node.null_count == -1 && span.len == 0)) return IGLOO_OK;
  if (span.len < (size_t)(node.length + 7) / 8)
    return fail_field(reading, field, "its validity bitmap is too short");
  array->null_count = node.length - count_set(span.data, node.length);
  if (node.null_count >= 0 && node.null_count != array->null_count)
    return fail_field(reading, field, "the number of its NULLs");
  if (array->null_count > 0) array->buffers[0] = span.data;
  return IGLOO_OK;
}

/* ---- text and bytes -----------------------------------------------------------------
 */

static int64_t load(const void *values, uint32_t width, int64_t i) {
  switch (width) {
    case 1:
      return ((const int8_t *)values)[i];
    case 2:
      return ((const int16_t *)values)[i];
    case 4:
      return ((const int32_t *)values)[i];
    default:
      return ((const int64_t *)values)[i];
  }
}

/* Offsets into something of `end` items: none runs backwards, none leads out. */
static bool offsets_hold(const void *offsets, uint32_t width, int64_t count,
                         uint64_t end) {
  bool backwards = false;
  if (width == 4) {
    const int32_t *values = offsets;
    for (int64_t i = 0; i < count; i++) backwards |= values[i + 1] < values[i];
  } else {
    const int64_t *values = offsets;
    for (int64_t i = 0; i < count; i++) backwards |= values[i + 1] < values[i];
  }
  return !backwards && load(offsets, width, 0) >= 0 &&
         (uint64_t)load(offsets, width, count) <= end;
}

static igloo_status read_offsets(struct ig_ipc_reading *reading,
                                 const struct ig_ipc_field *field,
                                 struct ArrowArray *array) {
  struct ig_ipc_span span;
  if (array->length == 0) { /* it may be missing, but readers look at the first */
    IG_TRY(next_buffer(reading, field, &span));
    struct ig_ipc_reading none = {.empty = true};
    IG_TRY(next_buffer(&none, field, &span));
  } else {
    IG_TRY(next_values(reading, field, array->length + 1, field->width, &span));
  }
  array->buffers[1] = span.data;
  return IGLOO_OK;
}

static bool starts_character(uint8_t byte) {
  return (byte & 0xC0) != 0x80;
}

/* Texts that are well-formed one behind the other and begin where characters do. */
static bool texts_hold(const struct ArrowArray *array, uint32_t width,
                       const uint8_t *data) {
  const void *offsets = array->buffers[1];
  int64_t first = load(offsets, width, 0), last = load(offsets, width, array->length);
  if (!ig_utf8_valid(ig_str_make((const char *)data + first, (size_t)(last - first)),
                     NULL))
    return false;
  for (int64_t i = 1; i < array->length; i++) {
    int64_t offset = load(offsets, width, i);
    if (offset < last && !starts_character(data[offset])) return false;
  }
  return true;
}

static igloo_status read_bytes(struct ig_ipc_reading *reading,
                               const struct ig_ipc_field *field,
                               struct ArrowArray *array) {
  struct ig_ipc_span data;
  IG_TRY(read_offsets(reading, field, array));
  IG_TRY(next_buffer(reading, field, &data));
  array->buffers[2] = data.data;
  if (!offsets_hold(array->buffers[1], field->width, array->length, data.len))
    return fail_field(reading, field, "its offsets");
  if (field->utf8 && !texts_hold(array, field->width, data.data))
    return fail_field(reading, field, "its text is not UTF-8");
  return IGLOO_OK;
}

/* ---- views --------------------------------------------------------------------------
 */

#define VIEW_INLINE_BYTES 12

struct view { /* up to VIEW_INLINE_BYTES the bytes stand behind the length */
  int32_t length;
  uint8_t prefix[4];
  int32_t buffer, offset;
};
static_assert(sizeof(struct view) == 16, "as the format has it");

struct view_data {
  struct ig_ipc_span span;
  bool is_text; /* all of it */
};

/* A view of more than VIEW_INLINE_BYTES. */
static igloo_status check_long_view(struct ig_ipc_reading *reading,
                                    const struct ig_ipc_field *field,
                                    const struct view *view, const struct view_data *data,
                                    size_t data_count) {
  if (view->buffer < 0 || (size_t)view->buffer >= data_count || view->offset < 0)
    return fail_field(reading, field, "its views");
  const struct view_data *in = &data[view->buffer];
  size_t offset = (size_t)view->offset, len = (size_t)view->length;
  if (offset > in->span.len || len > in->span.len - offset ||
      memcmp(in->span.data + offset, view->prefix, sizeof(view->prefix)) != 0)
    return fail_field(reading, field, "its views");
  if (!field->utf8) return IGLOO_OK;
  const uint8_t *bytes = in->span.data + offset, *end = in->span.data + in->span.len;
  if (in->is_text) {
    if (starts_character(bytes[0]) &&
        (bytes + len == end || starts_character(bytes[len])))
      return IGLOO_OK;
    return fail_field(reading, field, "its text is not UTF-8");
  }
  if (len > reading->utf8_bytes)
    return ig_fail_state(reading->reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "column \"%s\": its views repeat too many bytes", field->name);
  reading->utf8_bytes -= len;
  return ig_utf8_valid(ig_str_make((const char *)bytes, len), NULL)
             ? IGLOO_OK
             : fail_field(reading, field, "its text is not UTF-8");
}

static igloo_status check_views(struct ig_ipc_reading *reading,
                                const struct ig_ipc_field *field,
                                const struct ArrowArray *array, struct view *views,
                                const struct view_data *data, size_t data_count) {
  for (int64_t i = 0; i < array->length; i++) {
    struct view *view = &views[i];
    if (!is_valid(array, i)) {
      memset(view, 0, sizeof(*view));
    } else if (view->length < 0) {
      return fail_field(reading, field, "its views");
    } else if (view->length > VIEW_INLINE_BYTES) {
      IG_TRY(check_long_view(reading, field, view, data, data_count));
    } else {
      uint8_t *text = view->prefix;
      size_t len = (size_t)view->length;
      memset((uint8_t *)view + sizeof(view->length) + len, 0, VIEW_INLINE_BYTES - len);
      if (field->utf8 && !ig_utf8_valid(ig_str_make((const char *)text, len), NULL))
        return fail_field(reading, field, "its text is not UTF-8");
    }
  }
  return IGLOO_OK;
}

/* The array has its data buffers behind the views and, last, their lengths, which the
 * message has not: they stand in memory of the array's own. */
static igloo_status read_views(struct ig_ipc_reading *reading,
                               const struct ig_ipc_field *field, struct node node,
                               struct ArrowArray *array) {
  struct ig_ipc_span views;
  size_t count;
  IG_TRY(next_views_count(reading, field, &count));
  IG_TRY(new_array(reading->block, 3 + count, 0, count, array, reading->reterr));
  int64_t *lengths = (void *)((char *)array->private_data + sizeof(struct memory) +
                              (3 + count) * sizeof(void *));
  array->buffers[2 + count] = lengths;

  IG_AUTO(char) *memory = ig_calloc(count + 1, sizeof(struct view_data));
  if (!memory) return ig_fail_oom(reading->reterr);
  struct view_data *data = (struct view_data *)(void *)memory;
  IG_TRY(read_validity(reading, field, node, array));
  IG_TRY(next_values(reading, field, array->length, sizeof(struct view), &views));
  array->buffers[1] = views.data;
  for (size_t i = 0; i < count; i++) {
    IG_TRY(next_buffer(reading, field, &data[i].span));
    struct ig_ipc_span span = data[i].span;
    array->buffers[2 + i] = span.data;
    lengths[i] = (int64_t)span.len;
    data[i].is_text = field->utf8 &&
                      ig_utf8_valid(ig_str_make((const char *)span.data, span.len), NULL);
  }
  return check_views(reading, field, array, (struct view *)(void *)views.data, data,
                     count);
}

/* ---- numbers, booleans, indexes -----------------------------------------------------
 */

/* The values that a field's indexes are for. */
static igloo_status read_dictionary(struct ig_ipc_reading *reading,
                                    const struct ig_ipc_field *field,
                                    struct ArrowArray *array) {
  struct memory *memory = array->private_data;
  const struct ig_ipc_dictionary *dictionary =
      &reading->dictionaries[field->dictionary_id];
  if (dictionary->array.release) {
    IG_TRY(share_array(&dictionary->array, &memory->dictionary, reading->reterr));
  } else {
    struct ig_ipc_reading none = {
        .empty = true, .dictionaries = reading->dictionaries, .reterr = reading->reterr};
    IG_TRY(ig_ipc_array_read(&none, field->dictionary, &memory->dictionary));
  }
  array->dictionary = &memory->dictionary;
  return IGLOO_OK;
}

static igloo_status check_indexes(struct ig_ipc_reading *reading,
                                  const struct ig_ipc_field *field,
                                  const struct ArrowArray *array, uint8_t *values) {
  uint64_t count = (uint64_t)array->dictionary->length;
  uint32_t width = field->width;
  uint64_t mask = field->is_signed || width == 8 ? UINT64_MAX : (1ULL << (8 * width)) - 1;
  for (int64_t i = 0; i < array->length; i++) {
    uint64_t index = (uint64_t)load(values, width, i) & mask;
    if (index < count) continue; /* a negative one is not */
    if (is_valid(array, i)) return fail_field(reading, field, "its dictionary indexes");
    memset(values + (size_t)i * width, 0, width);
  }
  return IGLOO_OK;
}

static igloo_status read_fixed(struct ig_ipc_reading *reading,
                               const struct ig_ipc_field *field,
                               struct ArrowArray *array) {
  struct ig_ipc_span span;
  IG_TRY(next_values(reading, field, array->length, field->width, &span));
  array->buffers[1] = span.data;
  if (!field->dictionary) return IGLOO_OK;
  IG_TRY(read_dictionary(reading, field, array));
  return check_indexes(reading, field, array, span.data);
}

static igloo_status read_bits(struct ig_ipc_reading *reading,
                              const struct ig_ipc_field *field,
                              struct ArrowArray *array) {
  struct ig_ipc_span span;
  IG_TRY(next_values(reading, field, (array->length + 7) / 8, 1, &span));
  array->buffers[1] = span.data;
  return IGLOO_OK;
}

/* ---- nested -------------------------------------------------------------------------
 */

static igloo_status read_children(struct ig_ipc_reading *reading,
                                  const struct ig_ipc_field *field,
                                  struct ArrowArray *array) {
  for (size_t i = 0; i < field->children_count; i++)
    IG_TRY(ig_ipc_array_read(reading, &field->children[i], array->children[i]));
  return IGLOO_OK;
}

static igloo_status read_list(struct ig_ipc_reading *reading,
                              const struct ig_ipc_field *field,
                              struct ArrowArray *array) {
  IG_TRY(read_offsets(reading, field, array));
  IG_TRY(read_children(reading, field, array));
  const struct ArrowArray *items = array->children[0];
  if (!offsets_hold(array->buffers[1], field->width, array->length,
                    (uint64_t)items->length))
    return fail_field(reading, field, "its offsets");
  if (field->is_map && (items->null_count != 0 || items->children[0]->null_count != 0))
    return fail_field(reading, field, "a key or an entry of a map is NULL");
  return IGLOO_OK;
}

static igloo_status read_list_view(struct ig_ipc_reading *reading,
                                   const struct ig_ipc_field *field,
                                   struct ArrowArray *array) {
  struct ig_ipc_span offsets, sizes;
  uint32_t width = field->width;
  IG_TRY(next_values(reading, field, array->length, width, &offsets));
  IG_TRY(next_values(reading, field, array->length, width, &sizes));
  array->buffers[1] = offsets.data;
  array->buffers[2] = sizes.data;
  IG_TRY(read_children(reading, field, array));
  int64_t items = array->children[0]->length;
  for (int64_t i = 0; i < array->length; i++) {
    int64_t offset = load(offsets.data, width, i), size = load(sizes.data, width, i);
    if (offset >= 0 && size >= 0 && offset <= items && size <= items - offset) continue;
    if (is_valid(array, i)) return fail_field(reading, field, "its offsets");
    memset(offsets.data + (size_t)i * width, 0, width);
    memset(sizes.data + (size_t)i * width, 0, width);
  }
  return IGLOO_OK;
}

static igloo_status read_fixed_list(struct ig_ipc_reading *reading,
                                    const struct ig_ipc_field *field,
                                    struct ArrowArray *array) {
  int64_t items;
  IG_TRY(read_children(reading, field, array));
  if (__builtin_mul_overflow(array->length, field->list_size, &items) ||
      array->children[0]->length < items)
    return fail_field(reading, field, "its items are too few");
  return IGLOO_OK;
}

static igloo_status read_struct(struct ig_ipc_reading *reading,
                                const struct ig_ipc_field *field,
                                struct ArrowArray *array) {
  IG_TRY(read_children(reading, field, array));
  for (int64_t i = 0; i < array->n_children; i++)
    if (array->children[i]->length < array->length)
      return fail_field(reading, field, "its members are too short");
  return IGLOO_OK;
}

static igloo_status read_union(struct ig_ipc_reading *reading,
                               const struct ig_ipc_field *field, struct node node,
                               struct ArrowArray *array) {
  bool dense = field->shape == IG_IPC_SHAPE_DENSE;
  struct ig_ipc_span ids, offsets = {0};
  array->length = node.length;
  if (node.null_count > 0) return fail_field(reading, field, "a union has no NULLs");
  IG_TRY(next_values(reading, field, array->length, 1, &ids));
  array->buffers[0] = ids.data;
  if (dense) {
    IG_TRY(next_values(reading, field, array->length, sizeof(int32_t), &offsets));
    array->buffers[1] = offsets.data;
  }
  for (int64_t i = 0; i < array->length; i++)
    if (ids.data[i] > 127 || field->child_of_id[ids.data[i]] < 0)
      return fail_field(reading, field, "its type ids");
  if (!dense) return read_struct(reading, field, array);

  IG_TRY(read_children(reading, field, array));
  for (int64_t i = 0; i < array->length; i++) {
    int64_t offset = load(offsets.data, sizeof(int32_t), i);
    if (offset < 0 || offset >= array->children[field->child_of_id[ids.data[i]]]->length)
      return fail_field(reading, field, "its offsets");
  }
  return IGLOO_OK;
}

static igloo_status read_run_ends(struct ig_ipc_reading *reading,
                                  const struct ig_ipc_field *field, struct node node,
                                  struct ArrowArray *array) {
  array->length = node.length;
  if (node.null_count > 0) return fail_field(reading, field, "runs have no NULLs");
  IG_TRY(read_children(reading, field, array));
  const struct ArrowArray *ends = array->children[0];
  uint32_t width = field->children[0].width;
  int64_t before = 0;
  if (ends->null_count != 0 || ends->length != array->children[1]->length)
    return fail_field(reading, field, "its run ends");
  for (int64_t i = 0; i < ends->length; i++) {
    int64_t end = load(ends->buffers[1], width, i);
    if (end <= before) return fail_field(reading, field, "its run ends");
    before = end;
  }
  if (before < array->length) return fail_field(reading, field, "its run ends");
  return IGLOO_OK;
}

/* ---- any field ----------------------------------------------------------------------
 */

/* Fill an array whose memory is there. Views make theirs themselves. */
static igloo_status read_array(struct ig_ipc_reading *reading,
                               const struct ig_ipc_field *field, struct node node,
                               struct ArrowArray *array) {
  switch (field->shape) {
    case IG_IPC_SHAPE_NULL:
      array->length = array->null_count = node.length;
      return IGLOO_OK;
    case IG_IPC_SHAPE_RUN_ENDS:
      return read_run_ends(reading, field, node, array);
    case IG_IPC_SHAPE_SPARSE:
    case IG_IPC_SHAPE_DENSE:
      return read_union(reading, field, node, array);
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
  IG_TRY(read_validity(reading, field, node, array));
  switch ((int)field->shape) {
    case IG_IPC_SHAPE_BITS:
      return read_bits(reading, field, array);
    case IG_IPC_SHAPE_FIXED:
      return read_fixed(reading, field, array);
    case IG_IPC_SHAPE_BYTES:
      return read_bytes(reading, field, array);
    case IG_IPC_SHAPE_LIST:
      return read_list(reading, field, array);
    case IG_IPC_SHAPE_LIST_VIEW:
      return read_list_view(reading, field, array);
    case IG_IPC_SHAPE_FIXED_LIST:
      return read_fixed_list(reading, field, array);
    default:
      return read_struct(reading, field, array);
  }
}

igloo_status ig_ipc_array_read(struct ig_ipc_reading *reading,
                               const struct ig_ipc_field *field,
                               struct ArrowArray *ret_array) {
  struct node node;
  IG_AUTO_ARRAY array = {0};
  IG_TRY(next_node(reading, field, &node));
  if (field->shape == IG_IPC_SHAPE_VIEWS) {
    IG_TRY(read_views(reading, field, node, &array));
  } else {
    IG_TRY(new_array(reading->block, ig_ipc_buffers_of(field->shape),
                     field->children_count, 0, &array, reading->reterr));
    IG_TRY(read_array(reading, field, node, &array));
  }
  *ret_array = array;
  array.release = NULL;
  return IGLOO_OK;
}

igloo_status ig_ipc_array_read_batch(struct ig_ipc_reading *reading,
                                     const struct ig_ipc_field *root, int64_t rows,
                                     struct ArrowArray *ret_array) {
  IG_AUTO_ARRAY array = {0};
  IG_TRY(new_array(reading->block, 1, root->children_count, 0, &array, reading->reterr));
  array.length = rows;
  for (size_t i = 0; i < root->children_count; i++) {
    const struct ig_ipc_field *field = &root->children[i];
    IG_TRY(ig_ipc_array_read(reading, field, array.children[i]));
    if (array.children[i]->length != rows)
      return fail_field(reading, field, "its length is not the batch's");
    if (!field->nullable && field->shape != IG_IPC_SHAPE_NULL &&
        array.children[i]->null_count != 0)
      return fail_field(reading, field, "it is declared not null and has NULLs");
  }
  *ret_array = array;
  array.release = NULL;
  return IGLOO_OK;
}
