/* ipc_decode.c -- see ipc_decode.h. Messages and bodies; ipc_array.c makes the arrays. */
#include "arrow/ipc_decode.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "arrow/flatbuf.h"
#include "arrow/ipc_array.h"
#include "arrow/ipc_codec.h"
#include "arrow/ipc_layout.h"
#include "arrow/schema.h"
#include "arrow/stream.h"
#include "base/limits.h"

#define ALIGN 64
#define ALIGN_TAKEN 16 /* of buffers that may stay where they are: decimals and views */
#define KNOWN_BYTES_MAX (16 * IG_KIB) /* of a schema, to be known again: many columns */
#define UTF8_SLACK_BYTES IG_MIB
#define UTF8_REPEATS 16 /* views may show each byte so often and still be checked */

/* Slots of the tables. */
enum { BATCH_ROWS, BATCH_NODES, BATCH_BUFFERS, BATCH_COMPRESSION, BATCH_VIEWS };
enum { DICTIONARY_ID, DICTIONARY_DATA, DICTIONARY_IS_DELTA };

struct ig_ipc_known {
  _Atomic size_t refs; /* released by the one that counts down to 0 */
  struct ArrowSchema schema;
  struct ig_ipc_field *layout;
  bool is_reusable; /* the bytes are here, and nothing of it is one stream's */
  size_t len;
  uint8_t bytes[]; /* of its message */
};

struct ig_ipc_decoder {
  uint64_t body_bytes_max;
  uint64_t body_bytes; /* of all messages so far, unpacked */
  const struct ig_ipc_budget *budget;
  ig_ipc_known *known;                    /* the schema; NULL: none yet */
  struct ig_ipc_dictionary *dictionaries; /* by id, ascending */
  size_t dictionaries_count;
};

/* ---- schemas -------------------------------------------------------------------------
 */

ig_ipc_known *ig_ipc_known_ref(ig_ipc_known *known) {
  atomic_fetch_add_explicit(&known->refs, 1, memory_order_relaxed);
  return known;
}

ig_ipc_known *ig_ipc_known_unref(ig_ipc_known *known) {
  /* Pairs with itself: what other threads read of it is read. */
  if (!known || atomic_fetch_sub_explicit(&known->refs, 1, memory_order_acq_rel) != 1)
    return NULL;
  ig_ipc_layout_free(known->layout);
  ig_schema_done(&known->schema);
  ig_free(known);
  return NULL;
}

bool ig_ipc_known_is(const ig_ipc_known *known, struct ig_str metadata) {
  return ig_str_eq(metadata, ig_str_make((const char *)known->bytes, known->len));
}

ig_ipc_known *ig_ipc_decoder_known(const ig_ipc_decoder *decoder) {
  ig_ipc_known *known = decoder->known;
  return known && known->is_reusable ? ig_ipc_known_ref(known) : NULL;
}

void ig_ipc_decoder_begin(ig_ipc_decoder *decoder, ig_ipc_known *known) {
  IG_ASSERT(!decoder->known && known->is_reusable);
  decoder->known = ig_ipc_known_ref(known);
}

/* ---- decoders ------------------------------------------------------------------------
 */

igloo_status ig_ipc_decoder_new(const struct ig_ipc_limits *limits,
                                ig_ipc_decoder **ret_decoder,
                                struct igloo_error *reterr) {
  ig_ipc_decoder *decoder = ig_calloc(1, sizeof(*decoder));
  if (!decoder) return ig_fail_oom(reterr);
  decoder->body_bytes_max =
      limits && limits->body_bytes ? limits->body_bytes : IG_IPC_BODY_BYTES_MAX;
  decoder->budget = limits ? limits->budget : NULL;
  *ret_decoder = decoder;
  return IGLOO_OK;
}

ig_ipc_decoder *ig_ipc_decoder_free(ig_ipc_decoder *decoder) {
  if (!decoder) return NULL;
  for (size_t i = 0; i < decoder->dictionaries_count; i++)
    ig_array_done(&decoder->dictionaries[i].array);
  ig_free(decoder->dictionaries);
  (void)ig_ipc_known_unref(decoder->known);
  ig_free(decoder);
  return NULL;
}

uint64_t ig_ipc_decoder_body_bytes(const ig_ipc_decoder *decoder) {
  return decoder->body_bytes;
}

const struct ArrowSchema *ig_ipc_decoder_schema(const ig_ipc_decoder *decoder) {
  return decoder->known ? &decoder->known->schema : NULL;
}

/* ---- the schema and its dictionaries ------------------------------------------------
 */

static struct ig_ipc_dictionary *find_dictionary(const ig_ipc_decoder *decoder,
                                                 int64_t id) {
  size_t low = 0, high = decoder->dictionaries_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    struct ig_ipc_dictionary *at = &decoder->dictionaries[middle];
    if (at->id == id) return at;
    if (at->id < id)
      low = middle + 1;
    else
      high = middle;
  }
  return NULL;
}

/* List the fields that have one, each with its id. */
static void list_dictionaries(ig_ipc_decoder *decoder, const struct ig_ipc_field *field,
                              const struct ArrowSchema *schema) {
  for (size_t i = 0; i < field->children_count; i++)
    list_dictionaries(decoder, &field->children[i], schema->children[i]);
  if (!field->dictionary) return;
  decoder->dictionaries[decoder->dictionaries_count++] =
      (struct ig_ipc_dictionary){.id = field->dictionary_id,
                                 .values = field->dictionary,
                                 .schema = schema->dictionary};
  list_dictionaries(decoder, field->dictionary, schema->dictionary);
}

static int compare_ids(const void *a, const void *b) {
  int64_t left = ((const struct ig_ipc_dictionary *)a)->id;
  int64_t right = ((const struct ig_ipc_dictionary *)b)->id;
  return left < right ? -1 : left > right;
}

/* From ids to indexes. */
static void number_dictionaries(ig_ipc_decoder *decoder, struct ig_ipc_field *field) {
  for (size_t i = 0; i < field->children_count; i++)
    number_dictionaries(decoder, &field->children[i]);
  if (!field->dictionary) return;
  field->dictionary_id =
      find_dictionary(decoder, field->dictionary_id) - decoder->dictionaries;
  number_dictionaries(decoder, field->dictionary);
}

/* Fields may share one, if its values are of one type. */
static igloo_status make_dictionaries(ig_ipc_decoder *decoder,
                                      struct igloo_error *reterr) {
  size_t count = ig_ipc_layout_dictionaries(decoder->known->layout);
  if (count == 0) return IGLOO_OK;
  decoder->dictionaries = ig_calloc(count, sizeof(*decoder->dictionaries));
  if (!decoder->dictionaries) return ig_fail_oom(reterr);
  list_dictionaries(decoder, decoder->known->layout, &decoder->known->schema);
  qsort(decoder->dictionaries, count, sizeof(*decoder->dictionaries), compare_ids);
  size_t distinct = 1;
  for (size_t i = 1; i < count; i++) {
    struct ig_ipc_dictionary *before = &decoder->dictionaries[distinct - 1];
    const struct ig_ipc_dictionary *next = &decoder->dictionaries[i];
    if (before->id != next->id)
      decoder->dictionaries[distinct++] = *next;
    else if (!ig_schema_equal(before->schema, next->schema, false))
      return ig_ipc_fail(reterr, "two types of dictionary %lld", (long long)next->id);
  }
  decoder->dictionaries_count = distinct;
  number_dictionaries(decoder, decoder->known->layout);
  return IGLOO_OK;
}

static igloo_status fill_known(ig_ipc_known *known, struct ig_flat *flat,
                               struct ig_ipc_head head, struct igloo_error *reterr) {
  int64_t *ids = NULL;
  size_t ids_count = 0;
  IG_TRY(ig_ipc_schema_read(flat, head.table, &known->schema, &ids, &ids_count, reterr));
  igloo_status status =
      ig_ipc_layout_new(&known->schema, ids, ids_count, &known->layout, reterr);
  ig_free(ids);
  return status;
}

static igloo_status read_schema(ig_ipc_decoder *decoder, struct ig_flat *flat,
                                struct ig_ipc_head head, struct igloo_error *reterr) {
  if (decoder->known) return ig_ipc_fail(reterr, "a second schema");
  size_t len = flat->len <= KNOWN_BYTES_MAX ? flat->len : 0;
  ig_ipc_known *known = ig_calloc(1, sizeof(*known) + len);
  if (!known) return ig_fail_oom(reterr);
  atomic_init(&known->refs, 1);
  known->len = len;
  memcpy(known->bytes, flat->data, len);
  igloo_status status = fill_known(known, flat, head, reterr);
  if (status != IGLOO_OK) {
    (void)ig_ipc_known_unref(known);
    return status;
  }
  decoder->known = known;
  IG_TRY(make_dictionaries(decoder, reterr));
  /* The fields of dictionaries have the numbers of this stream's. */
  known->is_reusable = len > 0 && decoder->dictionaries_count == 0;
  return IGLOO_OK;
}

/* ---- the body -----------------------------------------------------------------------
 */

struct body {
  ig_ipc_block *block;
  struct ig_ipc_span *buffers;
  size_t buffers_count;
  uint64_t bytes; /* of all buffers */
};

static void body_done(struct body *body) {
  ig_ipc_block_unref(body->block);
  ig_free(body->buffers);
}

static uint64_t padded(uint64_t bytes) {
  return (bytes + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
}

/* The places of the buffers as they lie in the message. They come in order and apart from
 * each other, or one could be changed after another was checked over the same bytes. */
static igloo_status find_buffers(const struct ig_flat *flat, struct ig_flat_items items,
                                 uint8_t *data, uint64_t data_len, struct body *body,
                                 struct igloo_error *reterr) {
  uint64_t before = 0;
  body->buffers = ig_calloc(items.count + 1, sizeof(*body->buffers));
  if (!body->buffers) return ig_fail_oom(reterr);
  body->buffers_count = items.count;
  for (size_t i = 0; i < items.count; i++) {
    int64_t offset = ig_flat_item_int(flat, items, i, 16, 0, 8);
    int64_t len = ig_flat_item_int(flat, items, i, 16, 8, 8);
    if (len == 0) continue;
    if (offset < 0 || len < 0 || (uint64_t)offset < before ||
        (uint64_t)offset > data_len || (uint64_t)len > data_len - (uint64_t)offset)
      return ig_ipc_fail(reterr, "buffer %zu does not lie in its body", i);
    if (offset % 8 != 0) return ig_ipc_fail(reterr, "buffer %zu is not aligned", i);
    body->buffers[i] = (struct ig_ipc_span){.data = data + offset, .len = (size_t)len};
    body->bytes += (uint64_t)len;
    before = (uint64_t)offset + (uint64_t)len;
  }
  return IGLOO_OK;
}

static bool lie_well(const struct body *body) {
  for (size_t i = 0; i < body->buffers_count; i++)
    if (body->buffers[i].len > 0 && (uintptr_t)body->buffers[i].data % ALIGN_TAKEN != 0)
      return false;
  return true;
}

static igloo_status copy_buffers(const ig_ipc_decoder *decoder, struct body *body,
                                 struct igloo_error *reterr) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < body->buffers_count; i++) bytes += padded(body->buffers[i].len);
  IG_TRY(ig_ipc_block_new(bytes, decoder->budget, &body->block, reterr));
  uint8_t *at = ig_ipc_block_data(body->block);
  for (size_t i = 0; i < body->buffers_count; i++) {
    struct ig_ipc_span *span = &body->buffers[i];
    if (span->len == 0) continue;
    memcpy(at, span->data, span->len);
    memset(at + span->len, 0, padded(span->len) - span->len);
    span->data = at;
    at += padded(span->len);
  }
  return IGLOO_OK;
}

static igloo_status unpack_buffers(const ig_ipc_decoder *decoder, enum ig_ipc_codec codec,
                                   struct body *body, struct igloo_error *reterr) {
  uint64_t bytes = 0;
  body->bytes = 0;
  for (size_t i = 0; i < body->buffers_count; i++) {
    const struct ig_ipc_span *span = &body->buffers[i];
    uint64_t unpacked;
    if (span->len == 0) continue;
    IG_TRY(ig_ipc_unpacked_bytes(span->data, span->len, &unpacked, reterr));
    if (unpacked > decoder->body_bytes_max - body->bytes)
      return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                           "an Arrow message unpacks to more than %llu bytes",
                           (unsigned long long)decoder->body_bytes_max);
    body->bytes += unpacked;
    bytes += padded(unpacked);
  }
  IG_TRY(ig_ipc_block_new(bytes, decoder->budget, &body->block, reterr));
  uint8_t *at = ig_ipc_block_data(body->block);
  for (size_t i = 0; i < body->buffers_count; i++) {
    struct ig_ipc_span *span = &body->buffers[i];
    uint64_t unpacked;
    if (span->len == 0) continue;
    IG_TRY(ig_ipc_unpacked_bytes(span->data, span->len, &unpacked, reterr));
    IG_TRY(ig_ipc_unpack(codec, span->data, span->len, at, (size_t)unpacked, reterr));
    *span = (struct ig_ipc_span){.data = at, .len = (size_t)unpacked};
    at += padded(unpacked);
  }
  return IGLOO_OK;
}

/* LZ4_FRAME is 0 and ZSTD 1; the only method compresses each buffer alone. */
static igloo_status read_codec(struct ig_flat *flat, struct ig_flat_table batch,
                               enum ig_ipc_codec *ret_codec, struct igloo_error *reterr) {
  struct ig_flat_table compression = ig_flat_sub(flat, batch, BATCH_COMPRESSION);
  int64_t codec = ig_flat_int(flat, compression, 0, 1, 0);
  int64_t method = ig_flat_int(flat, compression, 1, 1, 0);
  if (codec < 0 || codec > 1 || method != 0)
    return ig_fail(reterr, IGLOO_UNSUPPORTED, "cannot read Arrow data of compression %d",
                   (int)codec);
  *ret_codec = !compression.at ? IG_IPC_PLAIN : codec == 0 ? IG_IPC_LZ4 : IG_IPC_ZSTD;
  return IGLOO_OK;
}

static igloo_status open_body(const ig_ipc_decoder *decoder, struct ig_flat *flat,
                              struct ig_flat_table batch, uint64_t body_bytes,
                              struct ig_ipc_input *input, struct body *body,
                              struct igloo_error *reterr) {
  enum ig_ipc_codec codec = IG_IPC_PLAIN;
  struct ig_flat_items items = ig_flat_items(flat, batch, BATCH_BUFFERS, 16);
  IG_TRY(read_codec(flat, batch, &codec, reterr));
  if (flat->bad) return ig_ipc_fail(reterr, "the metadata of a message");
  if (body_bytes > input->body_len)
    return ig_ipc_fail(reterr, "a body of %zu bytes should have %llu", input->body_len,
                       (unsigned long long)body_bytes);
  if (body_bytes > decoder->body_bytes_max)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "an Arrow message has more than %llu bytes",
                         (unsigned long long)decoder->body_bytes_max);
  IG_TRY(find_buffers(flat, items, input->body, body_bytes, body, reterr));
  if (codec != IG_IPC_PLAIN) return unpack_buffers(decoder, codec, body, reterr);
  if (input->release && lie_well(body))
    return ig_ipc_block_adopt(input, &body->block, reterr);
  return copy_buffers(decoder, body, reterr);
}

/* ---- batches and dictionaries -------------------------------------------------------
 */

static bool has_union(const struct ig_ipc_field *field) {
  if (field->shape == IG_IPC_SHAPE_SPARSE || field->shape == IG_IPC_SHAPE_DENSE)
    return true;
  for (size_t i = 0; i < field->children_count; i++)
    if (has_union(&field->children[i])) return true;
  return field->dictionary && has_union(field->dictionary);
}

static igloo_status check_used_up(const struct ig_ipc_reading *reading,
                                  struct igloo_error *reterr) {
  if (reading->nodes_next != reading->nodes.count ||
      reading->buffers_next != reading->buffers_count ||
      reading->views_next != reading->views.count)
    return ig_ipc_fail(reterr, "a message has more than its schema");
  return IGLOO_OK;
}

static struct ig_ipc_reading start_reading(const ig_ipc_decoder *decoder,
                                           struct ig_flat *flat,
                                           struct ig_flat_table batch,
                                           const struct body *body,
                                           struct igloo_error *reterr) {
  uint64_t rows_max = body->bytes > INT64_MAX / 8 ? INT64_MAX : body->bytes * 8;
  if (rows_max < IG_IPC_FREE_ROWS_MAX) rows_max = IG_IPC_FREE_ROWS_MAX;
  return (struct ig_ipc_reading){
      .flat = flat,
      .nodes = ig_flat_items(flat, batch, BATCH_NODES, 16),
      .views = ig_flat_items(flat, batch, BATCH_VIEWS, 8),
      .buffers = body->buffers,
      .buffers_count = body->buffers_count,
      .block = body->block,
      .rows_max = (int64_t)rows_max,
      .utf8_bytes = UTF8_SLACK_BYTES + UTF8_REPEATS * body->bytes,
      .dictionaries = decoder->dictionaries,
      .reterr = reterr,
  };
}

/* Read a batch of the columns (`values` NULL) or one of a dictionary's values. */
static igloo_status read_batch(ig_ipc_decoder *decoder, struct ig_flat *flat,
                               struct ig_flat_table batch, struct ig_ipc_head head,
                               const struct ig_ipc_field *values,
                               struct ig_ipc_input *input, struct ArrowArray *ret_array,
                               struct igloo_error *reterr) {
  __attribute__((cleanup(body_done))) struct body body = {0};
  IG_AUTO_ARRAY array = {0};
  if (head.version < 5 && has_union(values ? values : decoder->known->layout))
    return ig_fail(reterr, IGLOO_UNSUPPORTED,
                   "cannot read Arrow unions of metadata version 4");
  IG_TRY(open_body(decoder, flat, batch, head.body_bytes, input, &body, reterr));
  decoder->body_bytes += body.bytes;
  int64_t rows = ig_flat_int(flat, batch, BATCH_ROWS, 8, 0);
  struct ig_ipc_reading reading = start_reading(decoder, flat, batch, &body, reterr);
  if (flat->bad || rows < 0) return ig_ipc_fail(reterr, "the metadata of a message");
  if (rows > reading.rows_max)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "an Arrow message claims %lld rows, more than its bytes hold",
                         (long long)rows);
  IG_TRY(values
             ? ig_ipc_array_read(&reading, values, &array)
             : ig_ipc_array_read_batch(&reading, decoder->known->layout, rows, &array));
  IG_TRY(check_used_up(&reading, reterr));
  if (values && array.length != rows) return ig_ipc_fail(reterr, "a dictionary's length");
  *ret_array = array;
  array.release = NULL;
  return IGLOO_OK;
}

static igloo_status read_dictionary(ig_ipc_decoder *decoder, struct ig_flat *flat,
                                    struct ig_ipc_head head, struct ig_ipc_input *input,
                                    struct igloo_error *reterr) {
  int64_t id = ig_flat_int(flat, head.table, DICTIONARY_ID, 8, 0);
  bool is_delta = ig_flat_int(flat, head.table, DICTIONARY_IS_DELTA, 1, 0) != 0;
  struct ig_flat_table batch = ig_flat_sub(flat, head.table, DICTIONARY_DATA);
  if (flat->bad || !batch.at) return ig_ipc_fail(reterr, "the metadata of a message");
  if (is_delta) {
    igloo_status status =
        ig_fail(reterr, IGLOO_UNSUPPORTED, "cannot read delta dictionaries");
    ig_error_hint(reterr, "Send the dictionary whole, or columns without dictionary.");
    return status;
  }
  struct ig_ipc_dictionary *dictionary = find_dictionary(decoder, id);
  if (!dictionary)
    return ig_ipc_fail(reterr, "dictionary %lld is not in the schema", (long long)id);
  struct ArrowArray array;
  IG_TRY(
      read_batch(decoder, flat, batch, head, dictionary->values, input, &array, reterr));
  ig_array_done(&dictionary->array);
  dictionary->array = array;
  return IGLOO_OK;
}

static igloo_status read_message(ig_ipc_decoder *decoder, struct ig_ipc_input *input,
                                 enum ig_ipc_kind *ret_kind, struct ArrowArray *ret_batch,
                                 struct igloo_error *reterr) {
  struct ig_flat flat = {.data = (const uint8_t *)input->metadata.data,
                         .len = input->metadata.len};
  struct ig_ipc_head head = {0};
  IG_TRY(ig_ipc_message_open(&flat, &head, reterr));
  if (head.kind == IG_IPC_SCHEMA) {
    IG_TRY(read_schema(decoder, &flat, head, reterr));
  } else if (!decoder->known) {
    return ig_ipc_fail(reterr, "the schema does not come first");
  } else if (head.kind == IG_IPC_DICTIONARY) {
    IG_TRY(read_dictionary(decoder, &flat, head, input, reterr));
  } else {
    IG_TRY(read_batch(decoder, &flat, head.table, head, NULL, input, ret_batch, reterr));
  }
  *ret_kind = head.kind;
  return IGLOO_OK;
}

igloo_status ig_ipc_decoder_message(ig_ipc_decoder *decoder, struct ig_ipc_input *input,
                                    enum ig_ipc_kind *ret_kind,
                                    struct ArrowArray *ret_batch,
                                    struct igloo_error *reterr) {
  igloo_status status = read_message(decoder, input, ret_kind, ret_batch, reterr);
  if (input->release) input->release(input->owner);
  input->release = NULL;
  return status;
}
