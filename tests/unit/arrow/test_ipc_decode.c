/* test_ipc_decode.c -- messages that somebody made to do harm: each broken rule of the
 * format is told, nothing is read outside, nothing leaks. (What is well-formed, tests/ipc
 * reads against pyarrow; tests/fuzz goes on where this ends.) */
#include "arrow/ipc_decode.h"

#include <dirent.h>
#include <nanoarrow/nanoarrow.h>
#include <stdio.h>

#include "arrow/flatbuf.h"
#include "arrow/ipc_codec.h"
#include "arrow/schema.h"
#include "arrow/stream.h"
#include "support.h"

/* ---- messages by hand
 * ------------------------------------------------------------------ */

struct place {
  int64_t offset, length;
};
struct node {
  int64_t length, null_count;
};

/* What a record batch says, true or not. */
struct batch {
  int64_t rows;
  struct node nodes[6];
  size_t nodes_count;
  struct place buffers[8];
  size_t buffers_count;
  int64_t views[2];
  size_t views_count;
  const void *body;
  size_t body_len;
  int64_t claimed_body; /* 0: body_len */
  int codec;            /* -1: none, otherwise the number */
};

static ig_flat_ref put_batch(struct ig_flat_builder *builder, const struct batch *batch) {
  ig_flat_ref compression = 0;
  if (batch->codec >= 0) {
    ig_flat_table_begin(builder);
    ig_flat_put_int(builder, 0, batch->codec, 1);
    compression = ig_flat_table_end(builder);
  }
  ig_flat_ref views =
      ig_flat_vector(builder, batch->views, batch->views_count, sizeof(int64_t));
  ig_flat_ref buffers =
      ig_flat_vector(builder, batch->buffers, batch->buffers_count, sizeof(struct place));
  ig_flat_ref nodes =
      ig_flat_vector(builder, batch->nodes, batch->nodes_count, sizeof(struct node));
  ig_flat_table_begin(builder);
  ig_flat_put_int(builder, 0, batch->rows, 8);
  ig_flat_put_ref(builder, 1, nodes);
  ig_flat_put_ref(builder, 2, buffers);
  if (compression) ig_flat_put_ref(builder, 3, compression);
  ig_flat_put_ref(builder, 4, views);
  return ig_flat_table_end(builder);
}

static struct ig_str finish(struct ig_flat_builder *builder, int version, int kind,
                            ig_flat_ref header, int64_t body_bytes) {
  ig_flat_table_begin(builder);
  ig_flat_put_int(builder, 3, body_bytes, 8);
  ig_flat_put_ref(builder, 2, header);
  ig_flat_put_int(builder, 0, version, 2);
  ig_flat_put_int(builder, 1, kind, 1);
  assert_ok(ig_flat_finish(builder, ig_flat_table_end(builder), &test_err));
  return ig_str_make((const char *)builder->data + builder->cap - builder->len,
                     builder->len);
}

#define VERSION_5 4

/* A body in memory of its own, as large as it is. */
static igloo_status decode(ig_ipc_decoder *decoder, struct ig_str metadata,
                           const void *body, size_t body_len, bool lent,
                           struct ArrowArray *ret_array) {
  uint8_t *copy = malloc(body_len + (body_len == 0));
  assert_non_null(copy);
  if (body_len > 0) memcpy(copy, body, body_len);
  char *metadata_copy = malloc(metadata.len + (metadata.len == 0));
  assert_non_null(metadata_copy);
  if (metadata.len > 0) memcpy(metadata_copy, metadata.data, metadata.len);
  struct ig_ipc_input input = {.metadata = ig_str_make(metadata_copy, metadata.len),
                               .body = copy,
                               .body_len = body_len,
                               .release = lent ? NULL : free,
                               .owner = copy};
  enum ig_ipc_kind kind;
  igloo_status status =
      ig_ipc_decoder_message(decoder, &input, &kind, ret_array, &test_err);
  assert_null(input.release);
  free(metadata_copy);
  if (lent) free(copy);
  return status;
}

static igloo_status decode_batch(ig_ipc_decoder *decoder, const struct batch *batch,
                                 struct ArrowArray *ret_array) {
  IG_AUTO_DONE(ig_flat_builder) builder;
  ig_flat_init(&builder, 256);
  int64_t body = batch->claimed_body ? batch->claimed_body : (int64_t)batch->body_len;
  struct ig_str metadata =
      finish(&builder, VERSION_5, IG_IPC_BATCH, put_batch(&builder, batch), body);
  return decode(decoder, metadata, batch->body, batch->body_len, false, ret_array);
}

/* ---- schemas
 * ---------------------------------------------------------------------------- */

/* The type of column "c" in each test. */
static void set_type(struct ArrowSchema *column, const char *type) {
  const char *format = type;
  if (strcmp(type, "list<utf8>") == 0 || strcmp(type, "list view") == 0)
    format = type[4] == '<' ? "+l" : "+vl";
  if (strcmp(type, "map") == 0) format = "+m";
  if (strcmp(type, "struct") == 0) format = "+s";
  if (strcmp(type, "dense") == 0) format = "+ud:2,3";
  if (strcmp(type, "sparse") == 0) format = "+us:2,3";
  if (strcmp(type, "runs") == 0) format = "+r";
  if (strcmp(type, "fixed list") == 0) format = "+w:2";
  if (strcmp(type, "dictionary") == 0) format = "c";
  assert_int_equal(ArrowSchemaSetFormat(column, format), NANOARROW_OK);
  assert_int_equal(ArrowSchemaSetName(column, "c"), NANOARROW_OK);
  static const struct {
    const char *type;
    int children;
    const char *formats[2];
  } nested[] = {{"list<utf8>", 1, {"u", NULL}}, {"list view", 1, {"i", NULL}},
                {"struct", 1, {"i", NULL}},     {"dense", 2, {"i", "u"}},
                {"sparse", 2, {"i", "i"}},      {"runs", 2, {"i", "i"}},
                {"fixed list", 1, {"i", NULL}}};
  for (size_t i = 0; i < IG_ARRAY_LEN(nested); i++) {
    if (strcmp(nested[i].type, type) != 0) continue;
    assert_int_equal(ArrowSchemaAllocateChildren(column, nested[i].children),
                     NANOARROW_OK);
    for (int k = 0; k < nested[i].children; k++) {
      ArrowSchemaInit(column->children[k]);
      assert_int_equal(ArrowSchemaSetFormat(column->children[k], nested[i].formats[k]),
                       NANOARROW_OK);
    }
  }
  if (strcmp(type, "dictionary") == 0) {
    assert_int_equal(ArrowSchemaAllocateDictionary(column), NANOARROW_OK);
    ArrowSchemaInit(column->dictionary);
    assert_int_equal(ArrowSchemaSetFormat(column->dictionary, "u"), NANOARROW_OK);
  }
  if (strcmp(type, "map") == 0) {
    assert_int_equal(ArrowSchemaAllocateChildren(column, 1), NANOARROW_OK);
    ArrowSchemaInit(column->children[0]);
    struct ArrowSchema *entries = column->children[0];
    assert_int_equal(ArrowSchemaSetTypeStruct(entries, 2), NANOARROW_OK);
    assert_int_equal(ArrowSchemaSetFormat(entries->children[0], "i"), NANOARROW_OK);
    assert_int_equal(ArrowSchemaSetFormat(entries->children[1], "i"), NANOARROW_OK);
    entries->flags = entries->children[0]->flags = 0;
  }
}

static ig_ipc_decoder *open_decoder(const char *type, bool nullable,
                                    const struct ig_ipc_limits *limits) {
  IG_AUTO_SCHEMA schema = {0};
  IG_AUTO_DONE(ig_buf) bytes = IG_BUF_INIT(IG_MIB);
  ig_ipc_decoder *decoder;
  assert_ok(ig_schema_new_struct(1, &schema, &test_err));
  set_type(schema.children[0], type);
  if (!nullable) schema.children[0]->flags = 0;
  assert_ok(ig_ipc_schema_encode(&schema, false, &bytes, &test_err));
  assert_ok(ig_ipc_decoder_new(limits, &decoder, &test_err));
  assert_null(ig_ipc_decoder_schema(decoder));
  assert_ok(decode(decoder, ig_buf_str(&bytes), NULL, 0, false, NULL));
  assert_true(ig_schema_equal(ig_ipc_decoder_schema(decoder), &schema, true));
  return decoder;
}

/* ---- one broken rule each
 * ---------------------------------------------------------------- */

#define I32(...) ((const int32_t[]){__VA_ARGS__})
#define BODY(bytes) .body = (bytes), .body_len = sizeof(bytes), .codec = -1
#define NODES(...) \
  .nodes = {__VA_ARGS__}, .nodes_count = sizeof((struct node[]){__VA_ARGS__}) / 16
#define BUFFERS(...) \
  .buffers = {__VA_ARGS__}, .buffers_count = sizeof((struct place[]){__VA_ARGS__}) / 16
#define VIEWS(count) .views = {count}, .views_count = 1
#define NONE \
  { 0, 0 }

struct broken {
  const char *type;
  const char *says; /* NULL: it is not broken */
  struct batch batch;
};

static const int32_t backwards[] = {0, 4, 2, 0, 0, 0, 0, 0};
static const int32_t texts[] = {0, 1, 3, 0, 'a' | 'b' << 8 | 'c' << 16, 0};
static const int32_t negative[] = {-1, 1, 2, 0, 0, 0};
static const int32_t half_character[] = {0, 1, 2, 0, 0xc3 | 0xa4 << 8, 0};
static const int32_t no_utf8[] = {0, 1, 2, 0, 0xff | 0xfe << 8, 0};
static const int32_t integers[] = {1, 2, 3, 4};
static const int32_t five_bits[] = {0x15, 0, 1, 2, 3, 4, 5, 0};
static const int64_t far[] = {0, 8, 0, 0};
/* A long view: length, prefix, buffer, offset; then "abcdefghijklmnop". */
#define LONG_VIEW(length, prefix, buffer, offset)                                       \
  {                                                                                     \
    length, prefix, buffer, offset, 'a' | 'b' << 8 | 'c' << 16 | 'd' << 24,             \
        'e' | 'f' << 8 | 'g' << 16 | 'h' << 24, 'i' | 'j' << 8 | 'k' << 16 | 'l' << 24, \
        'm' | 'n' << 8 | 'o' << 16 | 'p' << 24                                          \
  }
#define ABCD ('a' | 'b' << 8 | 'c' << 16 | 'd' << 24)
static const int32_t good_view[] = LONG_VIEW(16, ABCD, 0, 0);
static const int32_t view_too_long[] = LONG_VIEW(17, ABCD, 0, 0);
static const int32_t view_negative[] = LONG_VIEW(-1, ABCD, 0, 0);
static const int32_t view_offset[] = LONG_VIEW(16, ABCD, 0, -1);
static const int32_t view_overflow[] = LONG_VIEW(INT32_MAX, ABCD, 0, INT32_MAX);
static const int32_t view_buffer[] = LONG_VIEW(16, ABCD, 1, 0);
static const int32_t view_prefix[] = LONG_VIEW(16, ABCD + 1, 0, 0);
static const int32_t short_view[] = {2, 0xfeff, 0, 0};
static const uint8_t type_ids[32] = {2, 3, 2, 0, 0, 0, 0, 0};
static const uint8_t type_ids_bad[32] = {2, 4, 2, 0, 0, 0, 0, 0};
static const uint8_t type_ids_negative[32] = {2, 0x82, 2, 0, 0, 0, 0, 0};
static const int32_t dense_offsets_bad[] = {0x020302, 0, 0, 7, 0, 0, 1, 2, 0, 0};
static const int32_t runs_backwards[] = {3, 2, 1, 2};
static const int32_t runs_short[] = {1, 2, 1, 2};
static const int32_t runs_zero[] = {0, 2, 1, 2};

/* The bits of the body's buffers lie as the schema's fields ask: validity first. */
static const struct broken brokens[] = {
    {"i", NULL, {3, NODES({3, 0}), BUFFERS(NONE, {0, 12}), BODY(integers)}},
    {"i",
     "buffer is too short",
     {3, NODES({3, 0}), BUFFERS(NONE, {0, 11}), BODY(integers)}},
    {"i",
     "does not lie in its body",
     {3, NODES({3, 0}), BUFFERS(NONE, {0, 17}), BODY(integers)}},
    {"i",
     "does not lie in its body",
     {3, NODES({3, 0}), BUFFERS(NONE, {INT64_MAX - 7, 12}), BODY(integers)}},
    {"i",
     "does not lie in its body",
     {3, NODES({3, 0}), BUFFERS(NONE, {-8, 12}), BODY(integers)}},
    {"i",
     "does not lie in its body",
     {3, NODES({3, 0}), BUFFERS(NONE, {0, INT64_MIN}), BODY(integers)}},
    {"i",
     "does not lie in its body", /* each over the same bytes */
     {3, NODES({3, 1}), BUFFERS({0, 8}, {0, 12}), BODY(integers)}},
    {"i",
     "does not lie in its body", /* in the wrong order */
     {2, NODES({2, 1}), BUFFERS({8, 8}, {0, 8}), BODY(integers)}},
    {"i", "not aligned", {2, NODES({2, 0}), BUFFERS(NONE, {4, 8}), BODY(integers)}},
    {"i", "buffer is missing", {3, NODES({3, 0}), BUFFERS(NONE), BODY(integers)}},
    {"i", "it is missing", {3, .nodes_count = 0, BUFFERS(NONE, {0, 12}), BODY(integers)}},
    {"i",
     "more than its schema",
     {3, NODES({3, 0}, {1, 0}), BUFFERS(NONE, {0, 12}), BODY(integers)}},
    {"i",
     "more than its schema",
     {3, NODES({3, 0}), BUFFERS(NONE, {0, 12}, NONE), BODY(integers)}},
    {"i",
     "more than its schema",
     {3, NODES({3, 0}), BUFFERS(NONE, {0, 12}), VIEWS(0), BODY(integers)}},
    {"i",
     "its length is not the batch's",
     {2, NODES({3, 0}), BUFFERS(NONE, {0, 12}), BODY(integers)}},
    {"i",
     "metadata of a message",
     {-1, NODES({3, 0}), BUFFERS(NONE, {0, 12}), BODY(integers)}},
    {"i", "its length", {3, NODES({-1, 0}), BUFFERS(NONE, {0, 12}), BODY(integers)}},
    {"i", "its length", {3, NODES({3, 4}), BUFFERS(NONE, {0, 12}), BODY(integers)}},
    {"i",
     "should have",
     {3, NODES({3, 0}), BUFFERS(NONE, {0, 12}), BODY(integers), .claimed_body = 1000}},
    {"i",
     "more than its bytes hold",
     {1LL << 60, NODES({1LL << 60, 0}), BUFFERS(NONE, {0, 12}), BODY(integers)}},
    {"n",
     "more than its bytes hold",
     {1LL << 30, NODES({1LL << 30, 1LL << 30}), .buffers_count = 0, BODY(integers)}},
    {"n", NULL, {1000, NODES({1000, 1000}), .buffers_count = 0, BODY(integers)}},
    /* 10101: two are NULL */
    {"i", NULL, {5, NODES({5, 2}), BUFFERS({0, 1}, {8, 20}), BODY(five_bits)}},
    {"i", NULL, {5, NODES({5, -1}), BUFFERS({0, 1}, {8, 20}), BODY(five_bits)}},
    {"i",
     "number of its NULLs",
     {5, NODES({5, 3}), BUFFERS({0, 1}, {8, 20}), BODY(five_bits)}},
    {"i",
     "bitmap is too short",
     {5, NODES({5, 2}), BUFFERS(NONE, {8, 20}), BODY(five_bits)}},
    {"u", NULL, {2, NODES({2, 0}), BUFFERS(NONE, {0, 12}, {16, 3}), BODY(texts)}},
    {"u",
     "its offsets", /* the last leads out */
     {2, NODES({2, 0}), BUFFERS(NONE, {0, 12}, {16, 2}), BODY(texts)}},
    {"u",
     "its offsets",
     {2, NODES({2, 0}), BUFFERS(NONE, {0, 12}, {16, 8}), BODY(backwards)}},
    {"u",
     "its offsets",
     {2, NODES({2, 0}), BUFFERS(NONE, {0, 12}, {16, 8}), BODY(negative)}},
    {"u",
     "buffer is too short",
     {2, NODES({2, 0}), BUFFERS(NONE, {0, 8}, {16, 3}), BODY(texts)}},
    {"u",
     "not UTF-8",
     {2, NODES({2, 0}), BUFFERS(NONE, {0, 12}, {16, 2}), BODY(half_character)}},
    {"u",
     "not UTF-8",
     {2, NODES({2, 0}), BUFFERS(NONE, {0, 12}, {16, 2}), BODY(no_utf8)}},
    {"z", NULL, {2, NODES({2, 0}), BUFFERS(NONE, {0, 12}, {16, 2}), BODY(no_utf8)}},
    {"U", "its offsets", {1, NODES({1, 0}), BUFFERS(NONE, {0, 16}, NONE), BODY(far)}},
    {"vu",
     NULL,
     {1, NODES({1, 0}), BUFFERS(NONE, {0, 16}, {16, 16}), VIEWS(1), BODY(good_view)}},
    {"vu",
     "its views",
     {1, NODES({1, 0}), BUFFERS(NONE, {0, 16}, {16, 16}), VIEWS(1), BODY(view_too_long)}},
    {"vu",
     "its views",
     {1, NODES({1, 0}), BUFFERS(NONE, {0, 16}, {16, 16}), VIEWS(1), BODY(view_negative)}},
    {"vu",
     "its views",
     {1, NODES({1, 0}), BUFFERS(NONE, {0, 16}, {16, 16}), VIEWS(1), BODY(view_offset)}},
    {"vu",
     "its views",
     {1, NODES({1, 0}), BUFFERS(NONE, {0, 16}, {16, 16}), VIEWS(1), BODY(view_overflow)}},
    {"vu",
     "its views",
     {1, NODES({1, 0}), BUFFERS(NONE, {0, 16}, {16, 16}), VIEWS(1), BODY(view_buffer)}},
    {"vu",
     "its views",
     {1, NODES({1, 0}), BUFFERS(NONE, {0, 16}, {16, 16}), VIEWS(1), BODY(view_prefix)}},
    {"vu",
     "its views",
     {1, NODES({1, 0}), BUFFERS(NONE, {0, 16}), VIEWS(0), BODY(good_view)}},
    {"vu",
     "not UTF-8",
     {1, NODES({1, 0}), BUFFERS(NONE, {0, 16}), VIEWS(0), BODY(short_view)}},
    {"vz", NULL, {1, NODES({1, 0}), BUFFERS(NONE, {0, 16}), VIEWS(0), BODY(short_view)}},
    {"vu",
     "number of its buffers is missing",
     {1, NODES({1, 0}), BUFFERS(NONE, {0, 16}), BODY(good_view)}},
    {"vu",
     "buffer is missing",
     {1, NODES({1, 0}), BUFFERS(NONE, {0, 16}), VIEWS(INT64_MAX), BODY(good_view)}},
    {"vu",
     "buffer is missing",
     {1, NODES({1, 0}), BUFFERS(NONE, {0, 16}), VIEWS(-1), BODY(good_view)}},
    {"list<utf8>",
     "its offsets", /* into items that are not there */
     {2, NODES({2, 0}, NONE), BUFFERS(NONE, {0, 12}, NONE, NONE, NONE), BODY(texts)}},
    {"list view",
     "its offsets", /* 1 and 2 of 1 item */
     {1, NODES({1, 0}, {1, 0}), BUFFERS(NONE, {0, 4}, {8, 4}, NONE, {16, 4}),
      BODY(((const int32_t[]){1, 0, 2, 0, 7, 0}))}},
    {"list view",
     "its offsets",
     {1, NODES({1, 0}, {1, 0}), BUFFERS(NONE, {0, 4}, {8, 4}, NONE, {16, 4}),
      BODY(((const int32_t[]){INT32_MAX, 0, INT32_MAX, 0, 7, 0}))}},
    {"struct",
     "members are too short",
     {3, NODES({3, 0}, {2, 0}), BUFFERS(NONE, NONE, {0, 12}), BODY(integers)}},
    {"fixed list",
     "items are too few",
     {2, NODES({2, 0}, {3, 0}), BUFFERS(NONE, NONE, {0, 12}), BODY(integers)}},
    {"sparse",
     NULL,
     {3, NODES({3, 0}, {3, 0}, {3, 0}), BUFFERS({0, 3}, NONE, {8, 12}, NONE, {24, 12}),
      .body = I32(0x020302, 0, 1, 2, 3, 0, 4, 5, 6, 0), .body_len = 40, .codec = -1}},
    {"sparse",
     "its type ids",
     {3, NODES({3, 0}, {3, 0}, {3, 0}), BUFFERS({0, 3}, NONE, {8, 12}, NONE, {24, 8}),
      BODY(type_ids_bad)}},
    {"sparse",
     "its type ids",
     {3, NODES({3, 0}, {3, 0}, {3, 0}), BUFFERS({0, 3}, NONE, {8, 12}, NONE, {24, 8}),
      BODY(type_ids_negative)}},
    {"sparse",
     "members are too short",
     {3, NODES({3, 0}, {3, 0}, {2, 0}), BUFFERS({0, 3}, NONE, {8, 12}, NONE, {24, 8}),
      BODY(type_ids)}},
    {"sparse",
     "a union has no NULLs",
     {3, NODES({3, 1}, {3, 0}, {2, 0}), BUFFERS({0, 3}, NONE, {8, 12}, NONE, {24, 8}),
      BODY(type_ids)}},
    {"dense",
     "its offsets",
     {3, NODES({3, 0}, {2, 0}, NONE),
      BUFFERS({0, 3}, {8, 12}, NONE, {24, 8}, NONE, NONE, NONE),
      BODY(dense_offsets_bad)}},
    {"runs",
     "its run ends",
     {2, NODES({2, 0}, {2, 0}, {2, 0}), BUFFERS(NONE, {0, 8}, NONE, {8, 8}),
      BODY(runs_backwards)}},
    {"runs",
     "its run ends",
     {3, NODES({3, 0}, {2, 0}, {2, 0}), BUFFERS(NONE, {0, 8}, NONE, {8, 8}),
      BODY(runs_short)}},
    {"runs",
     "its run ends",
     {2, NODES({2, 0}, {2, 0}, {2, 0}), BUFFERS(NONE, {0, 8}, NONE, {8, 8}),
      BODY(runs_zero)}},
    {"runs",
     "its run ends", /* fewer values than runs */
     {2, NODES({2, 0}, {2, 0}, {1, 0}), BUFFERS(NONE, {0, 8}, NONE, {8, 8}),
      BODY(runs_short)}},
    {"runs",
     NULL,
     {2, NODES({2, 0}, {2, 0}, {2, 0}), BUFFERS(NONE, {0, 8}, NONE, {8, 8}),
      BODY(runs_short)}},
    {"dictionary",
     "its dictionary indexes", /* no dictionary came */
     {3, NODES({3, 0}), BUFFERS(NONE, {0, 3}), BODY(integers)}},
    {"dictionary",
     NULL, /* all NULL */
     {3, NODES({3, 3}), BUFFERS({0, 1}, {8, 3}), BODY(far)}},
    {"map",
     "a key or an entry of a map is NULL",
     {1, NODES({1, 0}, {1, 1}, {1, 0}, {1, 0}),
      BUFFERS(NONE, {0, 8}, {8, 1}, NONE, {16, 4}, NONE, {24, 4}),
      BODY(((const int32_t[]){0, 1, 0, 0, 1, 0, 2, 0}))}},
};

static void each_broken_rule_is_told(void **state) {
  (void)state;
  for (size_t i = 0; i < IG_ARRAY_LEN(brokens); i++) {
    const struct broken *broken = &brokens[i];
    IG_AUTO(ig_ipc_decoder) *decoder = open_decoder(broken->type, true, NULL);
    IG_AUTO_ARRAY array = {0};
    ig_error_reset(&test_err);
    igloo_status status = decode_batch(decoder, &broken->batch, &array);
    if (!broken->says) {
      if (status != IGLOO_OK) fail_msg("%zu: %s", i, test_err.message);
      struct ArrowArrayView view;
      assert_int_equal(
          ArrowArrayViewInitFromSchema(&view, ig_ipc_decoder_schema(decoder), NULL),
          NANOARROW_OK);
      assert_int_equal(ArrowArrayViewSetArray(&view, &array, NULL), NANOARROW_OK);
      assert_int_equal(
          ArrowArrayViewValidate(&view, NANOARROW_VALIDATION_LEVEL_FULL, NULL),
          NANOARROW_OK);
      ArrowArrayViewReset(&view);
      continue;
    }
    if (status == IGLOO_OK) fail_msg("%zu: let in, but: %s", i, broken->says);
    assert_null(array.release);
    if (!strstr(test_err.message, broken->says))
      fail_msg("%zu: says \"%s\", not: %s", i, test_err.message, broken->says);
    assert_string_equal(test_err.sqlstate,
                        strstr(broken->says, "claims") || strstr(broken->says, "hold")
                            ? "54000"
                            : "22000");
  }
}

static void null_in_a_column_declared_not_null_is_refused(void **state) {
  (void)state;
  IG_AUTO(ig_ipc_decoder) *decoder = open_decoder("i", false, NULL);
  struct batch batch = {5, NODES({5, 2}), BUFFERS({0, 1}, {8, 20}), BODY(five_bits)};
  struct ArrowArray array = {0};
  assert_fails(decode_batch(decoder, &batch, &array), IGLOO_DATA_ERROR, "22000");
  assert_message_has("column \"c\"");
}

static void nonsense_under_null_becomes_zero(void **state) {
  (void)state;
  static const uint8_t body[16] = {0, 0, 0, 0, 0, 0, 0, 0, 7, 0x80, 9};
  struct batch batch = {3, NODES({3, 3}), BUFFERS({0, 1}, {8, 3}), BODY(body)};
  IG_AUTO(ig_ipc_decoder) *decoder = open_decoder("dictionary", true, NULL);
  IG_AUTO_ARRAY array = {0};
  assert_ok(decode_batch(decoder, &batch, &array));
  assert_memory_equal(array.children[0]->buffers[1], "\0\0\0", 3);
}

/* ---- messages out of place
 * ----------------------------------------------------------------- */

static void messages_come_in_their_order(void **state) {
  (void)state;
  struct batch batch = {3, NODES({3, 0}), BUFFERS(NONE, {0, 12}), BODY(integers)};
  struct ArrowArray array = {0};
  IG_AUTO(ig_ipc_decoder) *early = NULL;
  assert_ok(ig_ipc_decoder_new(NULL, &early, &test_err));
  assert_fails(decode_batch(early, &batch, &array), IGLOO_DATA_ERROR, "22000");

  IG_AUTO(ig_ipc_decoder) *decoder = open_decoder("i", true, NULL);
  IG_AUTO_SCHEMA schema = {0};
  IG_AUTO_DONE(ig_buf) again = IG_BUF_INIT(IG_MIB);
  assert_ok(ig_schema_copy(ig_ipc_decoder_schema(decoder), &schema, &test_err));
  assert_ok(ig_ipc_schema_encode(&schema, false, &again, &test_err));
  assert_fails(decode(decoder, ig_buf_str(&again), NULL, 0, true, &array),
               IGLOO_DATA_ERROR, "22000");
}

static void a_schema_that_was_read_serves_the_next_stream(void **state) {
  (void)state;
  struct batch batch = {3, NODES({3, 0}), BUFFERS(NONE, {0, 12}), BODY(integers)};
  IG_AUTO(ig_ipc_decoder) *first = open_decoder("i", true, NULL);
  IG_AUTO(ig_ipc_known) *known = ig_ipc_decoder_known(first);
  assert_non_null(known);
  IG_AUTO_SCHEMA schema = {0};
  IG_AUTO_DONE(ig_buf) same = IG_BUF_INIT(IG_MIB);
  IG_AUTO_DONE(ig_buf) other = IG_BUF_INIT(IG_MIB);
  assert_ok(ig_schema_copy(ig_ipc_decoder_schema(first), &schema, &test_err));
  assert_ok(ig_ipc_schema_encode(&schema, false, &same, &test_err));
  assert_int_equal(ArrowSchemaSetFormat(schema.children[0], "I"), NANOARROW_OK);
  assert_ok(ig_ipc_schema_encode(&schema, false, &other, &test_err));
  assert_true(ig_ipc_known_is(known, ig_buf_str(&same)));
  assert_false(ig_ipc_known_is(known, ig_buf_str(&other)));
  assert_false(ig_ipc_known_is(known, IG_STR("")));
  first = ig_ipc_decoder_free(first);

  IG_AUTO(ig_ipc_decoder) *second = NULL;
  IG_AUTO_ARRAY array = {0};
  assert_ok(ig_ipc_decoder_new(NULL, &second, &test_err));
  assert_null(ig_ipc_decoder_known(second));
  ig_ipc_decoder_begin(second, known);
  assert_string_equal(ig_ipc_decoder_schema(second)->children[0]->format, "i");
  assert_ok(decode_batch(second, &batch, &array));
  assert_int_equal(array.length, 3);
  struct ArrowArray none = {0};
  assert_fails(decode(second, ig_buf_str(&same), NULL, 0, true, &none), IGLOO_DATA_ERROR,
               "22000");
}

static void a_schema_with_dictionaries_is_one_stream_s(void **state) {
  (void)state;
  IG_AUTO(ig_ipc_decoder) *decoder = open_decoder("dictionary", true, NULL);
  assert_null(ig_ipc_decoder_known(decoder));
}

static void what_is_not_read_here_is_refused_by_name(void **state) {
  (void)state;
  static const struct {
    int version, kind;
    igloo_status status;
  } cases[] = {
      {2, IG_IPC_BATCH, IGLOO_UNSUPPORTED},  {5, IG_IPC_BATCH, IGLOO_UNSUPPORTED},
      {-1, IG_IPC_BATCH, IGLOO_UNSUPPORTED}, {VERSION_5, 4, IGLOO_UNSUPPORTED},
      {VERSION_5, 5, IGLOO_UNSUPPORTED},     {VERSION_5, 6, IGLOO_DATA_ERROR},
      {VERSION_5, 0, IGLOO_DATA_ERROR}};
  for (size_t i = 0; i < IG_ARRAY_LEN(cases); i++) {
    IG_AUTO(ig_ipc_decoder) *decoder = open_decoder("i", true, NULL);
    IG_AUTO_DONE(ig_flat_builder) builder;
    struct batch batch = {3, NODES({3, 0}), BUFFERS(NONE, {0, 12}), BODY(integers)};
    struct ArrowArray array = {0};
    ig_flat_init(&builder, 256);
    struct ig_str metadata = finish(&builder, cases[i].version, cases[i].kind,
                                    put_batch(&builder, &batch), sizeof(integers));
    assert_int_equal(decode(decoder, metadata, integers, sizeof(integers), true, &array),
                     cases[i].status);
  }
}

/* ---- sizes
 * --------------------------------------------------------------------------------- */

static void a_frame_that_unpacks_to_more_than_the_limit_is_refused(void **state) {
  (void)state;
  struct ig_ipc_limits limits = {.body_bytes = IG_MIB};
  IG_AUTO(char) *zeros = ig_calloc(1, 2 * IG_MIB);
  IG_AUTO(char) *packed = ig_malloc(ig_ipc_pack_room(IG_IPC_ZSTD, 2 * IG_MIB));
  assert_true(zeros && packed);
  enum ig_ipc_codec codecs[] = {IG_IPC_LZ4, IG_IPC_ZSTD};
  for (size_t i = 0; i < IG_ARRAY_LEN(codecs); i++) {
    size_t len =
        ig_ipc_pack(codecs[i], (const uint8_t *)zeros, 2 * IG_MIB, (uint8_t *)packed);
    assert_true(len < 64 * IG_KIB);
    struct batch batch = {8,
                          NODES({8, 0}),
                          BUFFERS(NONE, {0, (int64_t)len}),
                          .body = packed,
                          .body_len = len,
                          .codec = (int)i};
    struct ArrowArray array = {0};
    IG_AUTO(ig_ipc_decoder) *small = open_decoder("i", true, &limits);
    assert_fails(decode_batch(small, &batch, &array), IGLOO_RESOURCE_EXHAUSTED, "54000");
    IG_AUTO(ig_ipc_decoder) *large = open_decoder("i", true, NULL);
    assert_ok(decode_batch(large, &batch, &array));
    array.release(&array);

    /* A prefix that does not say the truth, and a frame that is cut off. */
    int64_t lie = 64;
    memcpy(packed, &lie, sizeof(lie));
    IG_AUTO(ig_ipc_decoder) *lied_to = open_decoder("i", true, NULL);
    assert_fails(decode_batch(lied_to, &batch, &array), IGLOO_DATA_ERROR, "22000");
    lie = 2 * IG_MIB;
    memcpy(packed, &lie, sizeof(lie));
    batch.buffers[1].length = (int64_t)len - 20;
    IG_AUTO(ig_ipc_decoder) *cut_off = open_decoder("i", true, NULL);
    assert_fails(decode_batch(cut_off, &batch, &array), IGLOO_DATA_ERROR, "22000");
  }
}

static void frames_without_their_prefix_are_refused(void **state) {
  (void)state;
  static const int64_t prefixes[][2] = {{-2, 0}, {INT64_MIN, 0}, {INT64_MAX, 0}, {3, 0}};
  for (size_t i = 0; i < IG_ARRAY_LEN(prefixes); i++)
    for (int64_t len = 1; len <= 16; len += 5) {
      IG_AUTO(ig_ipc_decoder) *decoder = open_decoder("i", true, NULL);
      struct batch batch = {1,
                            NODES({1, 0}),
                            BUFFERS(NONE, {0, len}),
                            .body = prefixes[i],
                            .body_len = 16,
                            .codec = 1};
      struct ArrowArray array = {0};
      assert_int_not_equal(decode_batch(decoder, &batch, &array), IGLOO_OK);
    }
}

static uint64_t counted_bytes, counted_max;

static igloo_status reserve(void *ctx, uint64_t bytes, struct igloo_error *reterr) {
  (void)ctx;
  if (counted_bytes + bytes > counted_max)
    return ig_fail(reterr, IGLOO_RESOURCE_EXHAUSTED, "the budget is full");
  counted_bytes += bytes;
  return IGLOO_OK;
}

static void give_back(void *ctx, uint64_t bytes) {
  (void)ctx;
  counted_bytes -= bytes;
}

static void bodies_are_counted_for_as_long_as_they_live(void **state) {
  (void)state;
  struct ig_ipc_budget budget = {.reserve = reserve, .give_back = give_back};
  struct ig_ipc_limits limits = {.budget = &budget};
  struct batch batch = {3, NODES({3, 0}), BUFFERS(NONE, {0, 12}), BODY(integers)};
  IG_AUTO_DONE(ig_flat_builder) builder;
  ig_flat_init(&builder, 256);
  struct ig_str metadata = finish(&builder, VERSION_5, IG_IPC_BATCH,
                                  put_batch(&builder, &batch), sizeof(integers));
  counted_bytes = 0;
  counted_max = 4096;
  ig_ipc_decoder *decoder = open_decoder("i", true, &limits);
  struct ArrowArray first = {0}, second = {0}, column;
  assert_ok(decode(decoder, metadata, integers, sizeof(integers), true, &first));
  uint64_t one = counted_bytes;
  assert_true(one > 0);
  assert_ok(decode(decoder, metadata, integers, sizeof(integers), false, &second));
  ig_ipc_decoder_free(decoder);
  column = *first.children[0]; /* moved out, as the C data interface allows */
  first.children[0]->release = NULL;
  first.release(&first);
  assert_true(counted_bytes >= one);
  assert_memory_equal(column.buffers[1], integers, 12);
  column.release(&column);
  second.release(&second);
  assert_int_equal(counted_bytes, 0);

  counted_max = 0;
  IG_AUTO(ig_ipc_decoder) *poor = open_decoder("i", true, &limits);
  assert_fails(decode(poor, metadata, integers, sizeof(integers), true, &first),
               IGLOO_RESOURCE_EXHAUSTED, "53000");
}

/* Metadata and body in one piece of memory, as FlightData has them: it is freed once, and
 * after the last look at it. */
static void metadata_may_lie_beside_the_body(void **state) {
  (void)state;
  struct batch good = {3, NODES({3, 0}), BUFFERS(NONE, {0, 12}), BODY(integers)};
  struct batch bad = {3, NODES({3, 0}), BUFFERS(NONE, {0, 8}), BODY(integers)};
  const struct batch *batches[] = {&good, &bad};
  IG_AUTO(ig_ipc_decoder) *decoder = open_decoder("i", true, NULL);
  for (size_t i = 0; i < 4; i++) { /* where it lies, and copied */
    IG_AUTO_DONE(ig_flat_builder) builder;
    ig_flat_init(&builder, 256);
    struct ig_str metadata =
        finish(&builder, VERSION_5, IG_IPC_BATCH, put_batch(&builder, batches[i % 2]),
               sizeof(integers));
    size_t shift = i < 2 ? 0 : 4;
    uint8_t *memory = aligned_alloc(64, 1024);
    assert_non_null(memory);
    memcpy(memory + shift, integers, sizeof(integers));
    memcpy(memory + 64, metadata.data, metadata.len);
    struct ig_ipc_input input = {
        .metadata = ig_str_make((const char *)memory + 64, metadata.len),
        .body = memory + shift,
        .body_len = sizeof(integers),
        .release = free,
        .owner = memory};
    enum ig_ipc_kind kind;
    IG_AUTO_ARRAY array = {0};
    assert_int_equal(ig_ipc_decoder_message(decoder, &input, &kind, &array, &test_err),
                     i % 2 ? IGLOO_DATA_ERROR : IGLOO_OK);
    if (array.release) assert_memory_equal(array.children[0]->buffers[1], integers, 12);
  }
  assert_int_equal(ig_ipc_decoder_body_bytes(decoder), 12 + 8 + 12 + 8);
}

/* ---- schemas that are larger than they look
 * ------------------------------------------------ */

/* Structs of two members which are the same table, `levels` deep: 2^levels fields in a
 * few bytes. */
static struct ig_str make_doubling_schema(struct ig_flat_builder *builder, int levels,
                                          size_t members) {
  ig_flat_table_begin(builder);
  ig_flat_ref struct_type = ig_flat_table_end(builder);
  ig_flat_ref name = ig_flat_string(builder, IG_STR("f"));
  ig_flat_ref field = 0;
  for (int level = 0; level < levels; level++) {
    ig_flat_ref refs[2] = {field, field};
    ig_flat_ref children = ig_flat_vector_of_refs(builder, refs, level > 0 ? members : 0);
    ig_flat_table_begin(builder);
    ig_flat_put_ref(builder, 0, name);
    ig_flat_put_int(builder, 2, 13, 1);
    ig_flat_put_ref(builder, 3, struct_type);
    ig_flat_put_ref(builder, 5, children);
    field = ig_flat_table_end(builder);
  }
  ig_flat_ref fields = ig_flat_vector_of_refs(builder, &field, 1);
  ig_flat_table_begin(builder);
  ig_flat_put_ref(builder, 1, fields);
  return finish(builder, VERSION_5, IG_IPC_SCHEMA, ig_flat_table_end(builder), 0);
}

static void schemas_that_double_at_each_level_are_refused(void **state) {
  (void)state;
  struct ArrowSchema schema = {0};
  static const struct {
    int levels;
    size_t members;
    igloo_status status;
  } cases[] = {{8, 2, IGLOO_OK},
               {60, 1, IGLOO_OK},
               {60, 2, IGLOO_RESOURCE_EXHAUSTED},
               {300, 1, IGLOO_RESOURCE_EXHAUSTED}};
  for (size_t i = 0; i < IG_ARRAY_LEN(cases); i++) {
    IG_AUTO_DONE(ig_flat_builder) builder;
    ig_flat_init(&builder, 1024);
    struct ig_str bytes =
        make_doubling_schema(&builder, cases[i].levels, cases[i].members);
    igloo_status status = ig_ipc_schema_decode(bytes, &schema, &test_err);
    assert_int_equal(status, cases[i].status);
    if (status == IGLOO_OK)
      schema.release(&schema);
    else
      assert_string_equal(test_err.sqlstate, "54000");
  }
}

/* ---- files of pyarrow's, damaged
 * ----------------------------------------------------------- */

#define SEEDS "tests/fuzz/corpus/ipc"

static bool next_file(DIR *folder, char *bytes, size_t cap, size_t *ret_len) {
  for (struct dirent *entry; (entry = readdir(folder));) {
    if (entry->d_name[0] == '.') continue;
    IG_AUTO_CHAR *path = ig_asprintf(SEEDS "/%s", entry->d_name);
    IG_AUTO(FILE) *file = fopen(path, "rb");
    assert_non_null(file);
    *ret_len = fread(bytes, 1, cap, file);
    assert_true(*ret_len > 0 && *ret_len < cap);
    return true;
  }
  return false;
}

/* Every message up to the first that is refused; gives how many batches there were. */
static igloo_status decode_stream(struct ig_str rest, int64_t *ret_batches,
                                  struct igloo_error *reterr) {
  IG_AUTO(ig_ipc_decoder) *decoder = NULL;
  size_t prefix, metadata_len;
  *ret_batches = 0;
  IG_TRY(ig_ipc_decoder_new(NULL, &decoder, reterr));
  while (ig_ipc_read_prefix(rest, &prefix, &metadata_len) && metadata_len > 0) {
    IG_AUTO_ARRAY array = {0};
    enum ig_ipc_kind kind;
    uint64_t body_len;
    struct ig_str metadata = ig_str_sub(rest, prefix, metadata_len);
    IG_TRY(ig_ipc_body_bytes(metadata, &body_len, reterr));
    rest = ig_str_sub(rest, prefix + metadata_len, SIZE_MAX);
    if (body_len > rest.len) body_len = rest.len;
    uint8_t *body = malloc(body_len + 1);
    assert_non_null(body);
    if (body_len > 0) memcpy(body, rest.data, body_len);
    struct ig_ipc_input input = {.metadata = metadata,
                                 .body = body,
                                 .body_len = body_len,
                                 .release = free,
                                 .owner = body};
    IG_TRY(ig_ipc_decoder_message(decoder, &input, &kind, &array, reterr));
    rest = ig_str_sub(rest, body_len, SIZE_MAX);
    *ret_batches += kind == IG_IPC_BATCH;
  }
  return IGLOO_OK;
}

static void no_damaged_byte_does_harm(void **state) {
  (void)state;
  static char bytes[16 * 1024];
  size_t len, files = 0;
  int64_t batches;
  uint32_t random = 1;
  DIR *folder = opendir(SEEDS);
  assert_non_null(folder);
  for (; next_file(folder, bytes, sizeof(bytes), &len); files++) {
    assert_ok(decode_stream(ig_str_make(bytes, len), &batches, &test_err));
    assert_int_equal(batches, 2);
    for (size_t at = 0; at < len; at += 1 + at % 3) {
      random = random * 1664525 + 1013904223;
      char before = bytes[at];
      bytes[at] = (char)(before ^ (1 << (random >> 29)));
      igloo_status status = decode_stream(ig_str_make(bytes, len), &batches, &test_err);
      assert_int_not_equal(status, IGLOO_INTERNAL);
      bytes[at] = before;
    }
    for (size_t cut = 0; cut < len; cut += 1 + cut % 5)
      (void)decode_stream(ig_str_make(bytes, cut), &batches, &test_err);
  }
  (void)closedir(folder);
  assert_true(files > 40);
}

static igloo_status decode_once(void *ctx, struct igloo_error *reterr) {
  int64_t batches;
  return decode_stream(*(const struct ig_str *)ctx, &batches, reterr);
}

static void every_failed_allocation_is_survived(void **state) {
  (void)state;
  static char bytes[16 * 1024];
  size_t len;
  DIR *folder = opendir(SEEDS);
  assert_non_null(folder);
  while (next_file(folder, bytes, sizeof(bytes), &len)) {
    struct ig_str stream = ig_str_make(bytes, len);
    assert_survives_failed_allocations(decode_once, &stream);
  }
  (void)closedir(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_broken_rule_is_told),
      cmocka_unit_test(null_in_a_column_declared_not_null_is_refused),
      cmocka_unit_test(nonsense_under_null_becomes_zero),
      cmocka_unit_test(messages_come_in_their_order),
      cmocka_unit_test(a_schema_that_was_read_serves_the_next_stream),
      cmocka_unit_test(a_schema_with_dictionaries_is_one_stream_s),
      cmocka_unit_test(what_is_not_read_here_is_refused_by_name),
      cmocka_unit_test(a_frame_that_unpacks_to_more_than_the_limit_is_refused),
      cmocka_unit_test(frames_without_their_prefix_are_refused),
      cmocka_unit_test(bodies_are_counted_for_as_long_as_they_live),
      cmocka_unit_test(metadata_may_lie_beside_the_body),
      cmocka_unit_test(schemas_that_double_at_each_level_are_refused),
      cmocka_unit_test(no_damaged_byte_does_harm),
      cmocka_unit_test(every_failed_allocation_is_survived),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
