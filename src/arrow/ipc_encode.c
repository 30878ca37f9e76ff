/* ipc_encode.c -- see ipc_encode.h.
 *
 * A range of rows is walked twice with the same code: once to count nodes, buffers and
 * bytes (which also decides how many rows go into a message), once to write. */
#include "arrow/ipc_encode.h"

#include <stdatomic.h>

#include "arrow/ipc_codec.h"
#include "arrow/ipc_layout.h"
#include "arrow/ipc_walk.h"
#include "arrow/schema.h"
#include "arrow/stream.h"
#include "base/limits.h"

#define METADATA_BYTES 256 /* of a record batch without nodes and buffers, at most */
#define TARGET_BYTES_MIN (4 * IG_KIB)
#define TARGET_BYTES_MAX (IG_IPC_MESSAGE_BYTES_MAX / 2)

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

/* ---- messages -----------------------------------------------------------------------
 */

/* The memory of one message, in one block: this, then the arrays. */
struct owner {
  struct shared *batch;
  ig_ipc_format *format; /* of a schema message, which lies in it */
  uint8_t *metadata;
  uint8_t *packed; /* the body where it was compressed */
  uint8_t room[IG_IPC_ROOM_BYTES];
};

/* What a message is made of: rows of the batch, or a whole dictionary. */
struct source {
  const struct ig_ipc_field *field; /* the root, or the dictionary's values */
  const struct ArrowArray *array;
  int64_t first, rows;
  bool is_dictionary;
  int64_t dictionary_id;
};

static igloo_status walk_source(struct ig_ipc_walk *walk, const struct source *source) {
  return source->is_dictionary
             ? ig_ipc_walk_values(walk, source->field, source->array, 0, source->rows)
             : ig_ipc_walk_batch(walk, source->field, source->array, source->first,
                                 source->rows);
}

static uint64_t message_bytes(const struct ig_ipc_counts *counts) {
  return METADATA_BYTES + counts->nodes * sizeof(struct ig_ipc_node) +
         counts->buffers * sizeof(struct ig_ipc_place) + counts->views * sizeof(int64_t) +
         counts->body;
}

static void release_owner(void *memory) {
  struct owner *owner = memory;
  shared_unref(owner->batch);
  (void)ig_ipc_format_unref(owner->format);
  ig_free(owner->metadata);
  ig_free(owner->packed);
  ig_free(owner);
}

static ig_flat_ref write_batch(struct ig_flat_builder *builder,
                               const struct ig_ipc_walk *walk,
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
  ig_flat_ref buffers = ig_flat_vector(builder, walk->buffers, walk->counts.buffers,
                                       sizeof(struct ig_ipc_place));
  ig_flat_ref nodes = ig_flat_vector(builder, walk->nodes, walk->counts.nodes,
                                     sizeof(struct ig_ipc_node));
  ig_flat_table_begin(builder);
  ig_flat_put_int(builder, 0, source->rows, 8);
  ig_flat_put_ref(builder, 1, nodes);
  ig_flat_put_ref(builder, 2, buffers);
  if (compression) ig_flat_put_ref(builder, 3, compression);
  if (views) ig_flat_put_ref(builder, 4, views);
  return ig_flat_table_end(builder);
}

static igloo_status write_metadata(const struct ig_ipc_walk *walk,
                                   const struct source *source, enum ig_ipc_codec codec,
                                   struct owner *owner, struct iovec *part,
                                   struct igloo_error *reterr) {
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
static igloo_status pack_body(struct ig_ipc_walk *walk, enum ig_ipc_codec codec,
                              struct owner *owner, struct igloo_error *reterr) {
  struct ig_ipc_counts *counts = &walk->counts;
  IG_AUTO(char) *plain = ig_malloc(counts->body + 1);
  uint64_t room = 1, largest = 0;
  for (size_t i = 0; i < counts->buffers; i++) {
    uint64_t len = (uint64_t)walk->buffers[i].length;
    room += ig_ipc_padded(IG_IPC_PACKED_PREFIX + len);
    if (len > largest) largest = len;
  }
  owner->packed = ig_malloc(room + ig_ipc_pack_room(codec, largest));
  if (!plain || !owner->packed) return ig_fail_oom(reterr);

  size_t at = 0;
  for (size_t i = 0; i < counts->parts; at += walk->parts[i++].iov_len)
    memcpy(plain + at, walk->parts[i].iov_base, walk->parts[i].iov_len);
  counts->body = 0;
  for (size_t i = 0; i < counts->buffers; i++) {
    struct ig_ipc_place *place = &walk->buffers[i];
    const uint8_t *src = (const uint8_t *)plain + place->offset;
    size_t len = (size_t)place->length;
    uint8_t *dst = owner->packed + counts->body;
    place->offset = (int64_t)counts->body;
    if (len == 0) continue; /* it has no prefix either */
    size_t packed = ig_ipc_pack(codec, src, len, dst);
    place->length = (int64_t)packed;
    memset(dst + packed, 0, ig_ipc_padded(packed) - packed);
    counts->body += ig_ipc_padded(packed);
  }
  counts->parts = counts->body > 0;
  walk->parts[0] = (struct iovec){owner->packed, counts->body};
  return IGLOO_OK;
}

/* Write what was counted. */
static igloo_status make_message(const struct ig_ipc_counts *counts,
                                 const struct source *source, enum ig_ipc_codec codec,
                                 struct shared *batch, struct ig_ipc_message *ret_message,
                                 struct igloo_error *reterr) {
  size_t parts_max = IG_IPC_PART_BODY + counts->parts + 1;
  struct owner *owner = ig_malloc(sizeof(*owner) + parts_max * sizeof(struct iovec) +
                                  counts->nodes * sizeof(struct ig_ipc_node) +
                                  counts->buffers * sizeof(struct ig_ipc_place) +
                                  counts->views * sizeof(int64_t) + counts->copied);
  if (!owner) return ig_fail_oom(reterr);
  owner->batch = shared_ref(batch);
  owner->format = NULL;
  owner->metadata = owner->packed = NULL;

  struct iovec *parts = (struct iovec *)(owner + 1);
  struct ig_ipc_walk walk = {.reterr = reterr};
  walk.parts = parts + IG_IPC_PART_BODY;
  walk.nodes = (struct ig_ipc_node *)(parts + parts_max);
  walk.buffers = (struct ig_ipc_place *)(walk.nodes + counts->nodes);
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

struct ig_ipc_format {
  _Atomic size_t refs; /* released by the one that counts down to 0 */
  struct ArrowSchema schema;
  struct ig_ipc_field *layout;
  size_t dictionaries;
  struct ig_flat_builder message; /* the schema's */
};

static igloo_status fill_format(ig_ipc_format *format, const struct ArrowSchema *schema,
                                struct igloo_error *reterr) {
  IG_TRY(ig_schema_copy(schema, &format->schema, reterr));
  IG_TRY(ig_ipc_layout_new(&format->schema, NULL, 0, &format->layout, reterr));
  format->dictionaries = ig_ipc_layout_dictionaries(format->layout);
  return ig_ipc_schema_write(&format->schema, &format->message, reterr);
}

igloo_status ig_ipc_format_new(const struct ArrowSchema *schema,
                               ig_ipc_format **ret_format, struct igloo_error *reterr) {
  ig_ipc_format *made = ig_calloc(1, sizeof(*made));
  if (!made) return ig_fail_oom(reterr);
  atomic_init(&made->refs, 1);
  ig_flat_init(&made->message, 1024);
  IG_AUTO(ig_ipc_format) *format = made;
  IG_TRY(fill_format(format, schema, reterr));
  *ret_format = IG_TAKE(format);
  return IGLOO_OK;
}

ig_ipc_format *ig_ipc_format_ref(ig_ipc_format *format) {
  atomic_fetch_add_explicit(&format->refs, 1, memory_order_relaxed);
  return format;
}

ig_ipc_format *ig_ipc_format_unref(ig_ipc_format *format) {
  /* Pairs with itself: what other threads read of it is read. */
  if (!format || atomic_fetch_sub_explicit(&format->refs, 1, memory_order_acq_rel) != 1)
    return NULL;
  ig_flat_builder_done(&format->message);
  ig_ipc_layout_free(format->layout);
  ig_schema_done(&format->schema);
  ig_free(format);
  return NULL;
}

struct ig_ipc_encoder {
  ig_ipc_format *format;
  uint64_t target_bytes;
  enum ig_ipc_codec codec;
  struct sent *sent; /* by id; NULL where the format has no dictionaries … */
  /* Of the batch at work. */
  struct shared *batch;    /* NULL: none */
  struct to_send *to_send; /* … likewise: room for all of them */
  size_t to_send_count, to_send_next;
  int64_t rows_done;
  int64_t rows_before; /* of the message before: a guess for the next; 0: none */
};

ig_ipc_encoder *ig_ipc_encoder_free(ig_ipc_encoder *encoder) {
  if (!encoder) return NULL;
  for (size_t i = 0; encoder->sent && i < encoder->format->dictionaries; i++)
    shared_unref(encoder->sent[i].batch);
  shared_unref(encoder->batch);
  ig_free(encoder->sent);
  ig_free(encoder->to_send);
  (void)ig_ipc_format_unref(encoder->format);
  ig_free(encoder);
  return NULL;
}

static uint64_t clamp_target(uint64_t bytes) {
  if (bytes == 0) return IG_IPC_TARGET_BYTES;
  if (bytes < TARGET_BYTES_MIN) return TARGET_BYTES_MIN;
  return bytes > TARGET_BYTES_MAX ? TARGET_BYTES_MAX : bytes;
}

igloo_status ig_ipc_encoder_of_format(ig_ipc_format *format,
                                      const struct ig_ipc_options *options,
                                      ig_ipc_encoder **ret_encoder,
                                      struct igloo_error *reterr) {
  IG_AUTO(ig_ipc_encoder) *encoder = ig_calloc(1, sizeof(*encoder));
  if (!encoder) return ig_fail_oom(reterr);
  encoder->target_bytes = clamp_target(options ? options->target_bytes : 0);
  encoder->codec = options ? options->codec : IG_IPC_PLAIN;
  encoder->format = ig_ipc_format_ref(format);
  if (format->dictionaries > 0) {
    encoder->sent = ig_calloc(format->dictionaries, sizeof(*encoder->sent));
    encoder->to_send = ig_calloc(format->dictionaries, sizeof(*encoder->to_send));
    if (!encoder->sent || !encoder->to_send) return ig_fail_oom(reterr);
  }
  *ret_encoder = IG_TAKE(encoder);
  return IGLOO_OK;
}

igloo_status ig_ipc_encoder_new(const struct ArrowSchema *schema,
                                const struct ig_ipc_options *options,
                                ig_ipc_encoder **ret_encoder,
                                struct igloo_error *reterr) {
  IG_AUTO(ig_ipc_format) *format = NULL;
  IG_TRY(ig_ipc_format_new(schema, &format, reterr));
  return ig_ipc_encoder_of_format(format, options, ret_encoder, reterr);
}

igloo_status ig_ipc_encoder_schema(ig_ipc_encoder *encoder,
                                   struct ig_ipc_message *ret_message,
                                   struct igloo_error *reterr) {
  const struct ig_flat_builder *message = &encoder->format->message;
  struct owner *owner =
      ig_malloc(sizeof(*owner) + IG_IPC_PART_BODY * sizeof(struct iovec));
  if (!owner) return ig_fail_oom(reterr);
  struct iovec *parts = (struct iovec *)(owner + 1);
  memset(parts, 0, IG_IPC_PART_BODY * sizeof(*parts));
  parts[IG_IPC_PART_METADATA] =
      (struct iovec){message->data + message->cap - message->len, message->len};
  owner->batch = NULL;
  owner->metadata = owner->packed = NULL;
  owner->format = ig_ipc_format_ref(encoder->format);
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

static igloo_status check_array(const struct ig_ipc_field *field,
                                const struct ArrowArray *array,
                                struct igloo_error *reterr) {
  int64_t buffers = (int64_t)ig_ipc_buffers_of(field->shape), end;
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
  IG_TRY(check_array(encoder->format->layout, &taken, reterr));
  struct shared *shared = ig_malloc(sizeof(*shared));
  if (!shared) return ig_fail_oom(reterr);
  atomic_init(&shared->refs, 1);
  shared->batch = taken;
  taken.release = NULL;
  encoder->batch = shared;
  encoder->rows_done = 0;
  encoder->rows_before = 0;
  encoder->to_send_count = encoder->to_send_next = 0;
  list_dictionaries(encoder, encoder->format->layout, &shared->batch);
  return IGLOO_OK;
}

/* ---- a batch as it goes out ---------------------------------------------------------
 */

static igloo_status count_source(const struct source *source,
                                 struct ig_ipc_counts *ret_counts,
                                 struct igloo_error *reterr) {
  struct ig_ipc_walk walk = {.reterr = reterr};
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
  struct ig_ipc_counts counts;
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
                                struct ig_ipc_counts *ret_counts,
                                struct igloo_error *reterr) {
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
  struct source source = {.field = encoder->format->layout,
                          .array = &encoder->batch->batch,
                          .first = encoder->rows_done};
  struct ig_ipc_counts counts;
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
