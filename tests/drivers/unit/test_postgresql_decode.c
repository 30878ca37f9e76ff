/* test_postgresql_decode.c -- COPY BINARY from bytes: every way in which they can lie.
 * The forms are those of PostgreSQL's documentation ("COPY", "Binary Format"). */
#include "postgresql/decode.h"

#include "arrow/stream.h"
#include "support.h"

static struct igd_error failed;

#define gives_ok(call)                                                      \
  do {                                                                      \
    failed = (struct igd_error){0};                                         \
    if ((call) != IGLOO_OK) fail_msg("%s: %s", #call, failed.base.message); \
  } while (0)

#define gives(call, expected)                                                          \
  do {                                                                                 \
    failed = (struct igd_error){0};                                                    \
    igloo_status gave = (call);                                                        \
    if (gave != (expected))                                                            \
      fail_msg("%s\n  gave %s, not %s: %s", #call, igloo_status_name(gave), #expected, \
               failed.base.message);                                                   \
  } while (0)

/* ---- shapes and messages -------------------------------------------------------------
 */

static char name_c[] = "c", name_d[] = "d";
static struct igp_shape int4 = {.kind = IGP_INT4, .oid = 23, .name = name_d};
static struct igp_shape pair_children[2] = {
    {.kind = IGP_INT4, .oid = 23, .name = name_c},
    {.kind = IGP_TEXT, .oid = 25, .name = name_d}};

/* A root with one column; nothing of it is freed. */
static struct igp_shape root_of(struct igp_shape *column) {
  column->name = name_c;
  return (struct igp_shape){
      .kind = IGP_COMPOSITE, .children = column, .children_count = 1};
}

static const struct igp_policy no_policy = {0};

static igp_builder *builder_of(const struct igp_shape *root) {
  igp_builder *builder = NULL;
  gives_ok(igp_builder_new(root, NULL, &no_policy, &builder, &failed));
  return builder;
}

static void put(struct ig_buf *out, uint64_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; i--) ig_buf_append_char(out, (char)(value >> (8 * i)));
}

static void put_header(struct ig_buf *out) {
  ig_buf_append(out, "PGCOPY\n\377\r\n", 11);
  put(out, 0, 8);
}

static igloo_status feed(igp_builder *builder, const struct ig_buf *message, bool *end) {
  /* In a block of just this size: the sanitizers see a byte too much. */
  uint8_t *bytes = malloc(message->len + 1);
  assert_non_null(bytes);
  uint8_t *start = bytes + 1;
  if (message->len) memcpy(start, message->data, message->len);
  igloo_status status = igp_builder_copy(builder, start, message->len, end, &failed);
  free(bytes);
  return status;
}

static void finish(igp_builder *builder, struct ArrowArray *batch) {
  gives_ok(igp_builder_finish(builder, batch, &failed));
}

/* ---- whole streams -------------------------------------------------------------------
 */

/* Rows of (int4, text), every third one NULL. */
static void put_rows(struct ig_buf *out, int from, int count) {
  for (int i = from; i < from + count; i++) {
    put(out, 2, 2);
    put(out, 4, 4);
    put(out, (uint32_t)-i, 4);
    put(out, i % 3 ? 1 : UINT32_MAX, 4);
    if (i % 3) ig_buf_append_char(out, (char)('a' + i % 26));
  }
}

static void rows_become_a_batch_and_then_the_next(void **state) {
  (void)state;
  struct igp_shape root = {
      .kind = IGP_COMPOSITE, .children = pair_children, .children_count = 2};
  IG_AUTO(igp_builder) *builder = builder_of(&root);
  IG_AUTO_DONE(ig_buf) message;
  ig_buf_init(&message, 64 * 1024);
  bool end = false;
  put_header(&message);
  put_rows(&message, 0, 20);
  gives_ok(feed(builder, &message, &end));
  assert_false(end);
  assert_int_equal(igp_builder_rows(builder), 20);
  assert_int_equal(igp_builder_bytes(builder), message.len);
  IG_AUTO_ARRAY batch = {0};
  finish(builder, &batch);
  assert_int_equal(batch.length, 20);
  assert_int_equal(batch.children[0]->null_count, 0);
  assert_int_equal(batch.children[1]->null_count, 7);
  const int32_t *numbers = batch.children[0]->buffers[1];
  const uint8_t *valid = batch.children[1]->buffers[0];
  const int32_t *offsets = batch.children[1]->buffers[1];
  const char *texts = batch.children[1]->buffers[2];
  for (int i = 0; i < 20; i++) {
    assert_int_equal(numbers[i], -i);
    assert_int_equal(valid[i / 8] >> (i % 8) & 1, i % 3 != 0);
    assert_int_equal(offsets[i + 1] - offsets[i], i % 3 != 0);
    if (i % 3) assert_int_equal(texts[offsets[i]], 'a' + i % 26);
  }

  ig_buf_clear(&message);
  gives_ok(igp_builder_begin(builder, &failed));
  put_rows(&message, 20, 1);
  put(&message, UINT16_MAX, 2);
  gives_ok(feed(builder, &message, &end));
  assert_true(end);
  IG_AUTO_ARRAY second = {0};
  finish(builder, &second);
  assert_int_equal(second.length, 1);
  gives(feed(builder, &message, &end), IGLOO_DATA_LOSS);
}

static void a_stream_that_is_cut_anywhere_is_an_error_or_an_unfinished_one(void **state) {
  (void)state;
  struct igp_shape root = {
      .kind = IGP_COMPOSITE, .children = pair_children, .children_count = 2};
  IG_AUTO_DONE(ig_buf) whole;
  ig_buf_init(&whole, 64 * 1024);
  put_header(&whole);
  size_t header = whole.len;
  put_rows(&whole, 0, 1);
  size_t first = whole.len;
  put_rows(&whole, 1, 1);
  size_t second = whole.len;
  put(&whole, UINT16_MAX, 2);
  for (size_t length = 0; length < whole.len; length++) {
    IG_AUTO(igp_builder) *builder = builder_of(&root);
    struct ig_buf cut = whole;
    cut.len = length;
    bool end = false;
    bool at_a_row = length == header || length == first || length == second;
    gives(feed(builder, &cut, &end), at_a_row ? IGLOO_OK : IGLOO_DATA_LOSS);
    assert_false(end);
  }
}

static void headers_that_lie_are_errors(void **state) {
  (void)state;
  struct igp_shape column = int4, root = root_of(&column);
  static const struct {
    size_t at;
    char byte;
  } lies[] = {{0, 'p'}, {10, 1}, {11, 1}, {12, 1}, {15, 0x7f}, {18, 1}};
  for (size_t i = 0; i < IG_ARRAY_LEN(lies); i++) {
    IG_AUTO(igp_builder) *builder = builder_of(&root);
    IG_AUTO_DONE(ig_buf) message;
    ig_buf_init(&message, 1024);
    put_header(&message);
    message.data[lies[i].at] = lies[i].byte;
    bool end = false;
    gives(feed(builder, &message, &end), IGLOO_DATA_LOSS);
  }
  /* An extension of the header that is there is passed. */
  IG_AUTO(igp_builder) *builder = builder_of(&root);
  IG_AUTO_DONE(ig_buf) message;
  ig_buf_init(&message, 1024);
  put_header(&message);
  message.data[18] = 3;
  ig_buf_append(&message, "xyz", 3);
  put(&message, UINT16_MAX, 2);
  bool end = false;
  gives_ok(feed(builder, &message, &end));
  assert_true(end);
}

/* One row with one field of these bytes, after a length that is said. */
static igloo_status feed_field(struct igp_shape *column, uint32_t said,
                               struct ig_str bytes) {
  struct igp_shape root = root_of(column);
  IG_AUTO(igp_builder) *builder = builder_of(&root);
  IG_AUTO_DONE(ig_buf) message;
  IG_AUTO_ARRAY batch = {0};
  ig_buf_init(&message, 1024 * 1024);
  put_header(&message);
  put(&message, 1, 2);
  put(&message, said, 4);
  ig_buf_append_str(&message, bytes);
  bool end = false;
  IG_TRY(feed(builder, &message, &end));
  return igp_builder_finish(builder, &batch, &failed);
}

static void rows_of_another_length_and_fields_past_the_end_are_errors(void **state) {
  (void)state;
  struct igp_shape column = int4, text = {.kind = IGP_TEXT, .oid = 25};
  gives(feed_field(&column, 3, IG_STR("abc")), IGLOO_DATA_LOSS);
  gives(feed_field(&column, 4, IG_STR("abc")), IGLOO_DATA_LOSS);
  gives(feed_field(&text, 0x7fffffff, IG_STR("abc")), IGLOO_DATA_LOSS);
  gives(feed_field(&text, 0xfffffffe, IG_STR("abc")), IGLOO_DATA_LOSS);
  gives(feed_field(&text, 4, IG_STR("abc")), IGLOO_DATA_LOSS);
  gives(feed_field(&text, 2, IG_STR("abc")), IGLOO_DATA_LOSS);
  gives_ok(feed_field(&text, 3, IG_STR("abc")));
  gives_ok(feed_field(&text, 0xffffffff, IG_STR("")));
}

static void every_type_refuses_every_other_length(void **state) {
  (void)state;
  static const struct {
    enum igp_kind kind;
    uint32_t bytes;
  } fixed[] = {{IGP_BOOL, 1},      {IGP_INT2, 2},        {IGP_INT4, 4},
               {IGP_UINT4, 4},     {IGP_FLOAT4, 4},      {IGP_INT8, 8},
               {IGP_FLOAT8, 8},    {IGP_DATE, 4},        {IGP_TIME, 8},
               {IGP_TIMESTAMP, 8}, {IGP_TIMESTAMPTZ, 8}, {IGP_INTERVAL, 16},
               {IGP_UUID, 16},     {IGP_CHAR, 1}};
  static const char zeros[64];
  for (size_t i = 0; i < IG_ARRAY_LEN(fixed); i++)
    for (uint32_t length = 0; length < 40; length++) {
      struct igp_shape column = {.kind = fixed[i].kind};
      gives(feed_field(&column, length, ig_str_make(zeros, length)),
            length == fixed[i].bytes ? IGLOO_OK : IGLOO_DATA_LOSS);
    }
}

static void values_without_a_meaning_are_errors(void **state) {
  (void)state;
  struct igp_shape flag = {.kind = IGP_BOOL}, document = {.kind = IGP_JSONB},
                   clock = {.kind = IGP_TIME}, day = {.kind = IGP_DATE},
                   text = {.kind = IGP_TEXT};
  gives(feed_field(&flag, 1, IG_STR("\2")), IGLOO_DATA_LOSS);
  gives(feed_field(&document, 3, IG_STR("\2{}")), IGLOO_DATA_LOSS);
  gives(feed_field(&document, 0, IG_STR("")), IGLOO_DATA_LOSS);
  gives_ok(feed_field(&document, 3, IG_STR("\1{}")));
  gives(feed_field(&clock, 8, ig_str_make("\377\377\377\377\377\377\377\377", 8)),
        IGLOO_DATA_LOSS);
  gives(feed_field(&clock, 8, ig_str_make("\0\0\0\x14\x1d\xd7\x60\x01", 8)),
        IGLOO_DATA_LOSS);
  gives(feed_field(&day, 4, ig_str_make("\x7f\xff\xff\xfe", 4)), IGLOO_DATA_LOSS);
  gives(feed_field(&text, 1, IG_STR("\xff")), IGLOO_DATA_ERROR);
  gives(feed_field(&text, 2, IG_STR("\xc3\x41")), IGLOO_DATA_ERROR);
}

static void texts_that_are_only_together_utf8_are_errors(void **state) {
  (void)state;
  struct igp_shape column = {.kind = IGP_TEXT}, root = root_of(&column);
  IG_AUTO(igp_builder) *builder = builder_of(&root);
  IG_AUTO_ARRAY batch = {0};
  gives_ok(igp_builder_value(builder, 0, (const uint8_t *)"\xc3", 1, &failed));
  igp_builder_row_end(builder);
  gives_ok(igp_builder_value(builder, 0, (const uint8_t *)"\xa4", 1, &failed));
  igp_builder_row_end(builder);
  gives(igp_builder_finish(builder, &batch, &failed), IGLOO_DATA_ERROR);
}

/* ---- nested values -------------------------------------------------------------------
 */

static void put_array(struct ig_buf *out, uint32_t dimensions, uint32_t oid,
                      uint32_t items) {
  ig_buf_clear(out);
  put(out, dimensions, 4);
  put(out, 0, 4);
  put(out, oid, 4);
  if (!dimensions) return;
  put(out, items, 4);
  put(out, 1, 4);
}

static void arrays_that_lie_are_errors(void **state) {
  (void)state;
  struct igp_shape column = {.kind = IGP_ARRAY, .children = &int4, .children_count = 1};
  IG_AUTO_DONE(ig_buf) value;
  ig_buf_init(&value, 1024);
  put_array(&value, 1, 23, 2);
  put(&value, 4, 4);
  put(&value, 7, 4);
  put(&value, UINT32_MAX, 4);
  size_t whole = value.len;
  gives_ok(feed_field(&column, (uint32_t)whole, ig_buf_str(&value)));
  for (uint32_t length = 0; length < whole; length++)
    gives(feed_field(&column, length, ig_str_make(value.data, length)), IGLOO_DATA_LOSS);
  ig_buf_append_char(&value, 0);
  gives(feed_field(&column, (uint32_t)value.len, ig_buf_str(&value)), IGLOO_DATA_LOSS);

  put_array(&value, 0, 23, 0);
  gives_ok(feed_field(&column, 12, ig_buf_str(&value)));
  put_array(&value, 0, 25, 0);
  gives(feed_field(&column, 12, ig_buf_str(&value)), IGLOO_DATA_LOSS);
  put_array(&value, 2, 23, 0);
  gives(feed_field(&column, (uint32_t)value.len, ig_buf_str(&value)), IGLOO_DATA_ERROR);
  put_array(&value, 7, 23, 0);
  gives(feed_field(&column, (uint32_t)value.len, ig_buf_str(&value)), IGLOO_DATA_LOSS);
  for (int i = 0; i < 2; i++) { /* more items than bytes; fewer than none */
    put_array(&value, 1, 23, i ? 0x7fffffff : 0x80000001);
    gives(feed_field(&column, (uint32_t)value.len, ig_buf_str(&value)), IGLOO_DATA_LOSS);
  }
}

static void composite_values_that_lie_are_errors(void **state) {
  (void)state;
  struct igp_shape column = {
      .kind = IGP_COMPOSITE, .children = pair_children, .children_count = 2};
  IG_AUTO_DONE(ig_buf) value;
  ig_buf_init(&value, 1024);
  put(&value, 2, 4);
  put(&value, 23, 4);
  put(&value, 4, 4);
  put(&value, 7, 4);
  put(&value, 25, 4);
  put(&value, 1, 4);
  put(&value, 'x', 1);
  gives_ok(feed_field(&column, (uint32_t)value.len, ig_buf_str(&value)));
  for (uint32_t length = 0; length < value.len; length++)
    gives(feed_field(&column, length, ig_str_make(value.data, length)), IGLOO_DATA_LOSS);
  value.data[3] = 3; /* another number of attributes */
  gives(feed_field(&column, (uint32_t)value.len, ig_buf_str(&value)),
        IGLOO_FAILED_PRECONDITION);
  value.data[3] = 2;
  value.data[7] = 20; /* an attribute of another type */
  gives(feed_field(&column, (uint32_t)value.len, ig_buf_str(&value)),
        IGLOO_FAILED_PRECONDITION);
}

static void decimals_outside_of_their_precision_are_errors(void **state) {
  (void)state;
  struct igp_shape column = {.kind = IGP_DECIMAL128, .precision = 5, .scale = 2};
  static const struct {
    uint16_t words[8];
    uint32_t count;
    igloo_status status;
  } cases[] = {
      {{1, 0, 0, 2, 999}, 5, IGLOO_OK},            /* 999 */
      {{1, 0, 0, 2, 1000}, 5, IGLOO_DATA_LOSS},    /* 1000: six digits */
      {{2, 0, 0, 2, 1, 2300}, 6, IGLOO_OK},        /* 1.23 */
      {{2, 0, 0, 2, 1, 2340}, 6, IGLOO_DATA_LOSS}, /* 1.234 */
      {{1, 0, 0, 2, 10000}, 5, IGLOO_DATA_LOSS},   /* no digit */
      {{1, 0, 0x1234, 2, 1}, 5, IGLOO_DATA_LOSS},  /* no sign */
      {{2, 0, 0, 2, 1}, 5, IGLOO_DATA_LOSS},       /* fewer digits than said */
      {{1, 0x7fff, 0, 2, 1}, 5, IGLOO_DATA_LOSS},  /* 10^131068 */
      {{1, 0x8000, 0, 2, 1}, 5, IGLOO_DATA_LOSS},  /* 10^-131072 */
      {{1, 0, 0, 2, 0}, 5, IGLOO_OK},              /* a zero that need not be */
      {{0, 0, 0xc000, 0}, 4, IGLOO_DATA_ERROR},    /* NaN */
      {{0, 0, 0xd000, 0x20}, 4, IGLOO_DATA_ERROR}, /* Infinity */
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(cases); i++)
    for (int wide = 0; wide < 2; wide++) {
      IG_AUTO_DONE(ig_buf) value;
      ig_buf_init(&value, 64);
      for (uint32_t j = 0; j < cases[i].count; j++) put(&value, cases[i].words[j], 2);
      column.precision = wide ? 20 : 5;
      igloo_status expected = cases[i].status;
      if (wide && i == 1) expected = IGLOO_OK; /* it fits then */
      gives(feed_field(&column, (uint32_t)value.len, ig_buf_str(&value)), expected);
    }
}

/* ---- memory --------------------------------------------------------------------------
 */

static igloo_status build_something(struct ArrowArray *batch) {
  struct igp_shape list = {
      .kind = IGP_ARRAY, .children = &int4, .children_count = 1, .name = name_c};
  struct igp_shape columns[2] = {{.kind = IGP_TEXT, .name = name_c}, list};
  struct igp_shape root = {
      .kind = IGP_COMPOSITE, .children = columns, .children_count = 2};
  IG_AUTO(igp_builder) *builder = NULL;
  static const uint8_t array[] = {0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 23, 0, 0,
                                  0, 1, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0,  0, 9};
  IG_TRY(igp_builder_new(&root, NULL, &no_policy, &builder, &failed));
  for (int i = 0; i < 20; i++) {
    bool null = i % 4 == 0;
    IG_TRY(
        igp_builder_value(builder, 0, (const uint8_t *)"text", null ? -1 : 4, &failed));
    IG_TRY(igp_builder_value(builder, 1, array, null ? -1 : (int)sizeof(array), &failed));
    igp_builder_row_end(builder);
  }
  return igp_builder_finish(builder, batch, &failed);
}

static void a_batch_fails_cleanly_at_every_allocation(void **state) {
  (void)state;
  for (int64_t nth = 0;; nth++) {
    IG_AUTO_ARRAY batch = {0};
    ig_mem_fail_after(nth);
    igloo_status status = build_something(&batch);
    bool happened = ig_mem_fail_stop();
    if (!happened) {
      assert_int_equal(status, IGLOO_OK);
      assert_int_equal(batch.length, 20);
      assert_true(nth > 10);
      return;
    }
    assert_int_equal(status, IGLOO_OUT_OF_MEMORY);
    assert_null(batch.release);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_become_a_batch_and_then_the_next),
      cmocka_unit_test(a_stream_that_is_cut_anywhere_is_an_error_or_an_unfinished_one),
      cmocka_unit_test(headers_that_lie_are_errors),
      cmocka_unit_test(rows_of_another_length_and_fields_past_the_end_are_errors),
      cmocka_unit_test(every_type_refuses_every_other_length),
      cmocka_unit_test(values_without_a_meaning_are_errors),
      cmocka_unit_test(texts_that_are_only_together_utf8_are_errors),
      cmocka_unit_test(arrays_that_lie_are_errors),
      cmocka_unit_test(composite_values_that_lie_are_errors),
      cmocka_unit_test(decimals_outside_of_their_precision_are_errors),
      cmocka_unit_test(a_batch_fails_cleanly_at_every_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
