/* test_ipc_encode.c -- what pyarrow cannot see of the encoder (tests/ipc has the rest):
 * what is copied, who holds a batch for how long, arrays that do not fit their schema,
 * and the two types of interval. The oracle is nanoarrow's decoder. */
#include "arrow/ipc_encode.h"

#include <nanoarrow/nanoarrow.h>
#include <nanoarrow/nanoarrow_ipc.h>

#include "arrow/schema.h"
#include "arrow/stream.h"
#include "support.h"

/* ---- batches ------------------------------------------------------------------------
 */

/* A column's schema and array, by nanoarrow; `format` is one of the C data interface. */
static void make_column(const char *format, struct ArrowSchema *schema,
                        struct ArrowArray *array) {
  assert_int_equal(ArrowSchemaSetFormat(schema, format), NANOARROW_OK);
  assert_int_equal(ArrowSchemaSetName(schema, "c"), NANOARROW_OK);
  assert_int_equal(ArrowArrayInitFromSchema(array, schema, NULL), NANOARROW_OK);
  assert_int_equal(ArrowArrayStartAppending(array), NANOARROW_OK);
}

static void (*inner_release)(struct ArrowArray *array);
static int64_t releases;

static void count_release(struct ArrowArray *array) {
  releases++;
  array->release = inner_release;
  array->release(array);
}

/* One column of `rows` integers, counted from 0. */
static void make_integers(int64_t rows, struct ArrowSchema *schema,
                          struct ArrowArray *array) {
  assert_ok(ig_schema_new_struct(1, schema, &test_err));
  struct ArrowArray column;
  make_column("l", schema->children[0], &column);
  for (int64_t i = 0; i < rows; i++)
    assert_int_equal(ArrowArrayAppendInt(&column, i), NANOARROW_OK);
  assert_int_equal(ArrowArrayFinishBuildingDefault(&column, NULL), NANOARROW_OK);
  assert_int_equal(ArrowArrayInitFromSchema(array, schema, NULL), NANOARROW_OK);
  ig_array_done(array->children[0]);
  ArrowArrayMove(&column, array->children[0]);
  array->length = rows;
  inner_release = array->release;
  array->release = count_release;
  releases = 0;
}

static ig_ipc_encoder *make_encoder(const struct ArrowSchema *schema, uint64_t target) {
  struct ig_ipc_options options = {.target_bytes = target};
  ig_ipc_encoder *encoder;
  assert_ok(ig_ipc_encoder_new(schema, &options, &encoder, &test_err));
  return encoder;
}

static bool next(ig_ipc_encoder *encoder, struct ig_ipc_message *message) {
  bool more;
  assert_ok(ig_ipc_encoder_next(encoder, message, &more, &test_err));
  return more;
}

/* ---- what is copied, and for how long a batch is held ---------------------------------
 */

static void a_body_stays_where_it_lies(void **state) {
  (void)state;
  IG_AUTO_SCHEMA schema = {0};
  struct ArrowArray array;
  struct ig_ipc_message message;
  make_integers(1000, &schema, &array);
  const void *values = array.children[0]->buffers[1];
  IG_AUTO(ig_ipc_encoder) *encoder = make_encoder(&schema, 0);
  assert_ok(ig_ipc_encoder_batch(encoder, &array, &test_err));
  assert_null(array.release);
  assert_true(next(encoder, &message));
  assert_int_equal(message.rows, 1000);
  assert_int_equal(message.body_bytes, 8000); /* 125 times 64 */
  assert_int_equal(message.pieces.parts_len, IG_IPC_PART_BODY + 1);
  assert_ptr_equal(message.pieces.parts[IG_IPC_PART_BODY].iov_base, values);
  assert_int_equal(message.pieces.parts[IG_IPC_PART_BODY].iov_len, 8000);
  assert_int_equal(message.pieces.parts[IG_IPC_PART_BEFORE].iov_len, 0);
  assert_int_equal(message.pieces.parts[IG_IPC_PART_BETWEEN].iov_len, 0);
  memset(message.room, 1, IG_IPC_ROOM_BYTES);
  struct ig_ipc_message none;
  assert_false(next(encoder, &none));
  assert_int_equal(releases, 0);
  ig_ipc_message_done(&message);
  assert_int_equal(releases, 1);
}

static void small_buffers_become_one_part(void **state) {
  (void)state;
  IG_AUTO_SCHEMA schema = {0};
  struct ArrowArray array;
  struct ig_ipc_message message;
  make_integers(9, &schema, &array);
  IG_AUTO(ig_ipc_encoder) *encoder = make_encoder(&schema, 0);
  assert_ok(ig_ipc_encoder_batch(encoder, &array, &test_err));
  assert_true(next(encoder, &message));
  assert_int_equal(message.body_bytes, 128); /* 72 and padding */
  assert_int_equal(message.pieces.parts_len, IG_IPC_PART_BODY + 1);
  const uint8_t *body = message.pieces.parts[IG_IPC_PART_BODY].iov_base;
  for (size_t i = 72; i < 128; i++) assert_int_equal(body[i], 0);
  ig_ipc_message_done(&message);
}

static void a_batch_is_released_with_its_last_message(void **state) {
  (void)state;
  IG_AUTO_SCHEMA schema = {0};
  struct ArrowArray array;
  struct ig_ipc_message messages[64];
  size_t count = 0;
  int64_t rows = 0;
  make_integers(20000, &schema, &array);
  ig_ipc_encoder *encoder = make_encoder(&schema, 16 * IG_KIB);
  assert_ok(ig_ipc_encoder_batch(encoder, &array, &test_err));
  while (next(encoder, &messages[count])) {
    assert_true(messages[count].pieces.bytes <= 24 * IG_KIB);
    rows += messages[count++].rows;
  }
  assert_int_equal(rows, 20000);
  assert_true(count >= 7);
  ig_ipc_encoder_free(encoder); /* messages outlive it */
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(releases, 0);
    ig_ipc_message_done(&messages[i]);
  }
  assert_int_equal(releases, 1);
}

static void an_encoder_that_is_dropped_releases_its_batch(void **state) {
  (void)state;
  IG_AUTO_SCHEMA schema = {0};
  struct ArrowArray array;
  struct ig_ipc_message message;
  make_integers(20000, &schema, &array);
  ig_ipc_encoder *encoder = make_encoder(&schema, 16 * IG_KIB);
  assert_ok(ig_ipc_encoder_batch(encoder, &array, &test_err));
  assert_true(next(encoder, &message));
  ig_ipc_encoder_free(encoder);
  assert_int_equal(releases, 0);
  ig_ipc_message_done(&message);
  assert_int_equal(releases, 1);
}

static void a_batch_of_no_rows_is_a_message(void **state) {
  (void)state;
  IG_AUTO_SCHEMA schema = {0};
  struct ArrowArray array;
  struct ig_ipc_message message;
  make_integers(0, &schema, &array);
  IG_AUTO(ig_ipc_encoder) *encoder = make_encoder(&schema, 0);
  assert_ok(ig_ipc_encoder_batch(encoder, &array, &test_err));
  assert_true(next(encoder, &message));
  assert_int_equal(message.rows, 0);
  assert_int_equal(message.body_bytes, 0);
  ig_ipc_message_done(&message);
  assert_false(next(encoder, &message));
}

static void metadata_of_messages_is_a_multiple_of_eight(void **state) {
  (void)state;
  IG_AUTO_SCHEMA schema = {0};
  struct ArrowArray array;
  struct ig_ipc_message message;
  make_integers(3, &schema, &array);
  IG_AUTO(ig_ipc_encoder) *encoder = make_encoder(&schema, 0);
  assert_ok(ig_ipc_encoder_schema(encoder, &message, &test_err));
  assert_int_equal(message.kind, IG_IPC_SCHEMA);
  assert_int_equal(message.body_bytes, 0);
  assert_int_equal(message.pieces.bytes % 8, 0);
  IG_AUTO_DONE(ig_buf) bare = IG_BUF_INIT(IG_MIB);
  IG_AUTO_DONE(ig_buf) framed = IG_BUF_INIT(IG_MIB);
  assert_ok(ig_ipc_schema_encode(&schema, false, &bare, &test_err));
  assert_ok(ig_ipc_schema_encode(&schema, true, &framed, &test_err));
  const struct iovec *metadata = &message.pieces.parts[IG_IPC_PART_METADATA];
  assert_int_equal(metadata->iov_len, bare.len);
  assert_memory_equal(metadata->iov_base, bare.data, bare.len);
  assert_int_equal(framed.len, bare.len + 8);
  assert_memory_equal(framed.data, "\xff\xff\xff\xff", 4);
  assert_memory_equal(framed.data + 8, bare.data, bare.len);
  ig_ipc_message_done(&message);
  assert_ok(ig_ipc_encoder_batch(encoder, &array, &test_err));
  assert_true(next(encoder, &message));
  assert_int_equal(message.pieces.parts[IG_IPC_PART_METADATA].iov_len % 8, 0);
  ig_ipc_message_done(&message);
}

/* ---- nanoarrow reads it ---------------------------------------------------------------
 */

static void append_message(const struct ig_ipc_message *message,
                           struct ArrowBuffer *out) {
  uint32_t prefix[2] = {UINT32_MAX,
                        (uint32_t)message->pieces.parts[IG_IPC_PART_METADATA].iov_len};
  assert_int_equal(ArrowBufferAppend(out, prefix, sizeof(prefix)), NANOARROW_OK);
  for (size_t i = 0; i < message->pieces.parts_len; i++)
    assert_int_equal(ArrowBufferAppend(out, message->pieces.parts[i].iov_base,
                                       (int64_t)message->pieces.parts[i].iov_len),
                     NANOARROW_OK);
}

static void read_with_nanoarrow(const struct ArrowSchema *schema,
                                struct ArrowArray *array, struct ArrowSchema *ret_schema,
                                struct ArrowArray *ret_array) {
  struct ArrowBuffer stream;
  struct ig_ipc_message message;
  ArrowBufferInit(&stream);
  IG_AUTO(ig_ipc_encoder) *encoder = make_encoder(schema, 0);
  assert_ok(ig_ipc_encoder_schema(encoder, &message, &test_err));
  append_message(&message, &stream);
  ig_ipc_message_done(&message);
  assert_ok(ig_ipc_encoder_batch(encoder, array, &test_err));
  while (next(encoder, &message)) {
    append_message(&message, &stream);
    ig_ipc_message_done(&message);
  }
  struct ArrowIpcInputStream input;
  struct ArrowArrayStream reader;
  assert_int_equal(ArrowIpcInputStreamInitBuffer(&input, &stream), NANOARROW_OK);
  assert_int_equal(ArrowIpcArrayStreamReaderInit(&reader, &input, NULL), NANOARROW_OK);
  assert_ok(ig_stream_schema(&reader, ret_schema, &test_err));
  assert_ok(ig_stream_next(&reader, ret_array, &test_err));
  reader.release(&reader);
}

static void intervals_of_months_and_of_days_arrive(void **state) {
  (void)state;
  IG_AUTO_SCHEMA schema = {0};
  IG_AUTO_SCHEMA got_schema = {0};
  IG_AUTO_ARRAY array = {0};
  IG_AUTO_ARRAY got = {0};
  assert_ok(ig_schema_new_struct(2, &schema, &test_err));
  assert_int_equal(ArrowSchemaSetFormat(schema.children[0], "tiM"), NANOARROW_OK);
  assert_int_equal(ArrowSchemaSetFormat(schema.children[1], "tiD"), NANOARROW_OK);
  assert_int_equal(ArrowArrayInitFromSchema(&array, &schema, NULL), NANOARROW_OK);
  assert_int_equal(ArrowArrayStartAppending(&array), NANOARROW_OK);
  for (int i = 0; i < 5; i++) {
    struct ArrowInterval months, days;
    ArrowIntervalInit(&months, NANOARROW_TYPE_INTERVAL_MONTHS);
    ArrowIntervalInit(&days, NANOARROW_TYPE_INTERVAL_DAY_TIME);
    months.months = -i;
    days.days = i;
    days.ms = -1000 * i;
    assert_int_equal(ArrowArrayAppendInterval(array.children[0], &months), NANOARROW_OK);
    assert_int_equal(i == 3 ? ArrowArrayAppendNull(array.children[1], 1)
                            : ArrowArrayAppendInterval(array.children[1], &days),
                     NANOARROW_OK);
    assert_int_equal(ArrowArrayFinishElement(&array), NANOARROW_OK);
  }
  assert_int_equal(ArrowArrayFinishBuildingDefault(&array, NULL), NANOARROW_OK);
  read_with_nanoarrow(&schema, &array, &got_schema, &got);
  assert_string_equal(got_schema.children[0]->format, "tiM");
  assert_string_equal(got_schema.children[1]->format, "tiD");
  static const int32_t months[] = {0, -1, -2, -3, -4};
  static const int32_t days[] = {0, 0, 1, -1000, 2, -2000, 0, 0, 4, -4000};
  assert_int_equal(got.length, 5);
  assert_memory_equal(got.children[0]->buffers[1], months, sizeof(months));
  assert_memory_equal(got.children[1]->buffers[1], days, sizeof(days));
  assert_int_equal(got.children[1]->null_count, 1);
}

/* ---- what is refused ------------------------------------------------------------------
 */

static void schemas_without_a_message_are_refused(void **state) {
  (void)state;
  ig_ipc_encoder *encoder;
  IG_AUTO_SCHEMA not_a_struct = {0};
  ArrowSchemaInit(&not_a_struct);
  assert_int_equal(ArrowSchemaSetFormat(&not_a_struct, "i"), NANOARROW_OK);
  assert_fails(ig_ipc_encoder_new(&not_a_struct, NULL, &encoder, &test_err),
               IGLOO_INVALID_ARGUMENT, "22023");
  IG_AUTO_SCHEMA unknown = {0};
  assert_ok(ig_schema_new_struct(1, &unknown, &test_err));
  assert_int_equal(ArrowSchemaSetFormat(unknown.children[0], "?"), NANOARROW_OK);
  assert_fails(ig_ipc_encoder_new(&unknown, NULL, &encoder, &test_err),
               IGLOO_INVALID_ARGUMENT, "22023");
  IG_AUTO_SCHEMA wide = {0};
  assert_ok(ig_schema_new_struct(IG_COLUMNS_MAX + 1, &wide, &test_err));
  for (int64_t i = 0; i < wide.n_children; i++)
    assert_int_equal(ArrowSchemaSetFormat(wide.children[i], "i"), NANOARROW_OK);
  assert_fails(ig_ipc_encoder_new(&wide, NULL, &encoder, &test_err),
               IGLOO_RESOURCE_EXHAUSTED, "54000");
}

static void arrays_that_do_not_fit_are_refused(void **state) {
  (void)state;
  IG_AUTO_SCHEMA schema = {0};
  IG_AUTO_SCHEMA other = {0};
  struct ArrowArray array;
  assert_ok(ig_schema_new_struct(2, &other, &test_err));
  assert_int_equal(ArrowSchemaSetFormat(other.children[0], "l"), NANOARROW_OK);
  assert_int_equal(ArrowSchemaSetFormat(other.children[1], "l"), NANOARROW_OK);
  make_integers(3, &schema, &array);
  IG_AUTO(ig_ipc_encoder) *encoder = make_encoder(&other, 0);
  assert_fails(ig_ipc_encoder_batch(encoder, &array, &test_err), IGLOO_INTERNAL, "XX000");
  assert_null(array.release); /* taken all the same */
  assert_int_equal(releases, 1);
}

static void offsets_that_run_backwards_are_refused(void **state) {
  (void)state;
  IG_AUTO_SCHEMA schema = {0};
  struct ArrowArray array;
  struct ig_ipc_message message;
  bool more;
  static int32_t offsets[] = {0, 4, 2};
  assert_ok(ig_schema_new_struct(1, &schema, &test_err));
  assert_int_equal(ArrowSchemaSetFormat(schema.children[0], "u"), NANOARROW_OK);
  assert_int_equal(ArrowArrayInitFromSchema(&array, &schema, NULL), NANOARROW_OK);
  array.length = array.children[0]->length = 2;
  array.children[0]->buffers[1] = offsets;
  IG_AUTO(ig_ipc_encoder) *encoder = make_encoder(&schema, 0);
  assert_ok(ig_ipc_encoder_batch(encoder, &array, &test_err));
  assert_fails(ig_ipc_encoder_next(encoder, &message, &more, &test_err), IGLOO_INTERNAL,
               "XX000");
}

/* The bytes of a message, one part after the other. */
static void flatten(const struct ig_ipc_message *message, struct ig_buf *out) {
  for (size_t i = 0; i < message->pieces.parts_len; i++)
    ig_buf_append(out, message->pieces.parts[i].iov_base,
                  message->pieces.parts[i].iov_len);
  assert_ok(ig_buf_check(out, &test_err));
}

static void encoders_of_one_format_write_what_each_alone_would(void **state) {
  (void)state;
  IG_AUTO_SCHEMA schema = {0};
  struct ArrowArray array;
  make_integers(3, &schema, &array);
  IG_AUTO_DONE(ig_buf) expected = IG_BUF_INIT(IG_MIB);
  struct ig_ipc_message message;
  ig_ipc_encoder *encoder = make_encoder(&schema, 0);
  assert_ok(ig_ipc_encoder_schema(encoder, &message, &test_err));
  flatten(&message, &expected);
  ig_ipc_message_done(&message);
  (void)ig_ipc_encoder_free(encoder);

  ig_ipc_format *format = NULL;
  ig_ipc_encoder *encoders[2];
  assert_ok(ig_ipc_format_new(&schema, &format, &test_err));
  for (size_t i = 0; i < 2; i++)
    assert_ok(ig_ipc_encoder_of_format(format, NULL, &encoders[i], &test_err));
  (void)ig_ipc_format_unref(format);
  for (size_t i = 0; i < 2; i++) {
    IG_AUTO_DONE(ig_buf) bytes = IG_BUF_INIT(IG_MIB);
    assert_ok(ig_ipc_encoder_schema(encoders[i], &message, &test_err));
    /* The message holds what it shows, whatever else goes. */
    (void)ig_ipc_encoder_free(encoders[i]);
    flatten(&message, &bytes);
    ig_ipc_message_done(&message);
    assert_int_equal(bytes.len, expected.len);
    assert_memory_equal(bytes.data, expected.data, expected.len);
  }
  ig_array_done(&array);
}

static void forget(struct ArrowArray *array) {
  array->release = NULL;
}

static igloo_status encode_all(void *ctx, struct igloo_error *reterr) {
  enum ig_ipc_codec codec = *(const enum ig_ipc_codec *)ctx;
  IG_AUTO_SCHEMA schema = {0};
  IG_AUTO_ARRAY array = {0};
  IG_AUTO(ig_ipc_encoder) *encoder = NULL;
  struct ig_ipc_options options = {.target_bytes = 8 * IG_KIB, .codec = codec};
  struct ig_ipc_message message;
  bool more = true;
  IG_TRY(ig_schema_new_struct(1, &schema, reterr));
  static int64_t values[3000];
  static const void *buffers[] = {NULL, values};
  static const void *no_buffers[] = {NULL};
  struct ArrowArray column = {.length = 3000, .n_buffers = 2, .buffers = buffers};
  struct ArrowArray *columns[] = {&column};
  if (ArrowSchemaSetFormat(schema.children[0], "l") != NANOARROW_OK)
    return ig_fail_oom(reterr);
  IG_TRY(ig_ipc_encoder_new(&schema, &options, &encoder, reterr));
  IG_TRY(ig_ipc_encoder_schema(encoder, &message, reterr));
  ig_ipc_message_done(&message);
  column.release = forget;
  array = (struct ArrowArray){.length = 3000,
                              .n_buffers = 1,
                              .n_children = 1,
                              .buffers = no_buffers,
                              .children = columns,
                              .release = column.release};
  IG_TRY(ig_ipc_encoder_batch(encoder, &array, reterr));
  while (more) {
    IG_TRY(ig_ipc_encoder_next(encoder, &message, &more, reterr));
    if (more) ig_ipc_message_done(&message);
  }
  return IGLOO_OK;
}

static void every_failed_allocation_is_survived(void **state) {
  (void)state;
  enum ig_ipc_codec codecs[] = {IG_IPC_PLAIN, IG_IPC_LZ4, IG_IPC_ZSTD};
  for (size_t i = 0; i < IG_ARRAY_LEN(codecs); i++)
    assert_survives_failed_allocations(encode_all, &codecs[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_body_stays_where_it_lies),
      cmocka_unit_test(small_buffers_become_one_part),
      cmocka_unit_test(a_batch_is_released_with_its_last_message),
      cmocka_unit_test(an_encoder_that_is_dropped_releases_its_batch),
      cmocka_unit_test(a_batch_of_no_rows_is_a_message),
      cmocka_unit_test(metadata_of_messages_is_a_multiple_of_eight),
      cmocka_unit_test(intervals_of_months_and_of_days_arrive),
      cmocka_unit_test(schemas_without_a_message_are_refused),
      cmocka_unit_test(arrays_that_do_not_fit_are_refused),
      cmocka_unit_test(offsets_that_run_backwards_are_refused),
      cmocka_unit_test(encoders_of_one_format_write_what_each_alone_would),
      cmocka_unit_test(every_failed_allocation_is_survived),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
