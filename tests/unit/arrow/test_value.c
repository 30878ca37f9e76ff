/* Tests of src/arrow/value.c: every Arrow type, its NULL, and arrays that start in the
 * middle of their buffers. Expected texts are PostgreSQL's (nested ones: its JSON). */
#include "arrow/value.h"

#include <math.h>
#include <nanoarrow/nanoarrow.h>

#include "support.h"

/* One column: schema and array, released by column_done. */
struct column {
  struct ArrowSchema schema;
  struct ArrowArray array;
};

static void column_begin(struct column *column) {
  struct ArrowError error;
  if (ArrowArrayInitFromSchema(&column->array, &column->schema, &error) != NANOARROW_OK)
    fail_msg("%s", error.message);
  assert_int_equal(ArrowArrayStartAppending(&column->array), NANOARROW_OK);
}

static void column_of(struct column *column, enum ArrowType type) {
  ArrowSchemaInit(&column->schema);
  assert_int_equal(ArrowSchemaSetType(&column->schema, type), NANOARROW_OK);
  assert_int_equal(ArrowSchemaSetName(&column->schema, "c"), NANOARROW_OK);
  column_begin(column);
}

static void column_of_time(struct column *column, enum ArrowType type,
                           enum ArrowTimeUnit unit, const char *zone) {
  ArrowSchemaInit(&column->schema);
  assert_int_equal(ArrowSchemaSetTypeDateTime(&column->schema, type, unit, zone),
                   NANOARROW_OK);
  column_begin(column);
}

static void column_done(struct column *column) {
  if (column->array.release) column->array.release(&column->array);
  if (column->schema.release) column->schema.release(&column->schema);
}

static void finish(struct column *column) {
  struct ArrowError error;
  if (ArrowArrayFinishBuildingDefault(&column->array, &error) != NANOARROW_OK)
    fail_msg("%s", error.message);
}

/* Rows as text and as JSON are these; NULL text is SQL NULL. Then the same with the first
 * row cut off by an offset. */
static void check(struct column *column, const char *const *texts,
                  const char *const *jsons, size_t count) {
  IG_AUTO(ig_value_printer) *printer = NULL;
  assert_ok(ig_value_printer_new(&column->schema, &printer, &test_err));
  for (size_t cut = 0; cut < 2 && cut < count; cut++) {
    column->array.offset = (int64_t)cut;
    column->array.length = (int64_t)(count - cut);
    assert_ok(ig_value_printer_set(printer, &column->array, &test_err));
    for (size_t i = cut; i < count; i++) {
      IG_AUTO_DONE(ig_buf) dst = IG_BUF_INIT(10000);
      int64_t row = (int64_t)(i - cut);
      assert_int_equal(ig_value_is_null(printer, row), texts[i] == NULL);
      ig_value_text(printer, row, &dst);
      assert_string_equal(ig_buf_str(&dst).data, texts[i] ? texts[i] : "");
      ig_buf_clear(&dst);
      ig_value_json(printer, row, &dst);
      assert_string_equal(dst.data, jsons[i]);
    }
  }
}
#define CHECK(column, texts, jsons) check(column, texts, jsons, IG_ARRAY_LEN(texts))

static void integers_of_every_width(void **state) {
  (void)state;
  static const struct {
    enum ArrowType type;
    int64_t value;
    const char *text;
  } known[] = {
      {NANOARROW_TYPE_INT8, -128, "-128"},
      {NANOARROW_TYPE_UINT8, 255, "255"},
      {NANOARROW_TYPE_INT16, -32768, "-32768"},
      {NANOARROW_TYPE_UINT16, 65535, "65535"},
      {NANOARROW_TYPE_INT32, INT32_MIN, "-2147483648"},
      {NANOARROW_TYPE_UINT32, UINT32_MAX, "4294967295"},
      {NANOARROW_TYPE_INT64, INT64_MIN, "-9223372036854775808"},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(known); i++) {
    struct column column __attribute__((cleanup(column_done))) = {0};
    column_of(&column, known[i].type);
    assert_int_equal(ArrowArrayAppendNull(&column.array, 1), NANOARROW_OK);
    assert_int_equal(ArrowArrayAppendInt(&column.array, known[i].value), NANOARROW_OK);
    finish(&column);
    const char *texts[] = {NULL, known[i].text}, *jsons[] = {"null", known[i].text};
    CHECK(&column, texts, jsons);
  }
}

static void the_largest_unsigned_integer(void **state) {
  (void)state;
  struct column column __attribute__((cleanup(column_done))) = {0};
  column_of(&column, NANOARROW_TYPE_UINT64);
  assert_int_equal(ArrowArrayAppendUInt(&column.array, UINT64_MAX), NANOARROW_OK);
  finish(&column);
  const char *texts[] = {"18446744073709551615"};
  CHECK(&column, texts, texts);
}

static void floats_that_json_does_not_know_are_texts(void **state) {
  (void)state;
  static const enum ArrowType types[] = {NANOARROW_TYPE_DOUBLE, NANOARROW_TYPE_FLOAT,
                                         NANOARROW_TYPE_HALF_FLOAT};
  for (size_t i = 0; i < IG_ARRAY_LEN(types); i++) {
    struct column column __attribute__((cleanup(column_done))) = {0};
    column_of(&column, types[i]);
    assert_int_equal(ArrowArrayAppendDouble(&column.array, 1.5), NANOARROW_OK);
    assert_int_equal(ArrowArrayAppendDouble(&column.array, (double)NAN), NANOARROW_OK);
    assert_int_equal(ArrowArrayAppendDouble(&column.array, -(double)INFINITY),
                     NANOARROW_OK);
    assert_int_equal(ArrowArrayAppendNull(&column.array, 1), NANOARROW_OK);
    finish(&column);
    const char *texts[] = {"1.5", "NaN", "-Infinity", NULL};
    const char *jsons[] = {"1.5", "\"NaN\"", "\"-Infinity\"", "null"};
    CHECK(&column, texts, jsons);
  }
}

static void booleans_and_nulls(void **state) {
  (void)state;
  struct column column __attribute__((cleanup(column_done))) = {0};
  column_of(&column, NANOARROW_TYPE_BOOL);
  assert_int_equal(ArrowArrayAppendInt(&column.array, 1), NANOARROW_OK);
  assert_int_equal(ArrowArrayAppendInt(&column.array, 0), NANOARROW_OK);
  assert_int_equal(ArrowArrayAppendNull(&column.array, 1), NANOARROW_OK);
  finish(&column);
  const char *texts[] = {"true", "false", NULL}, *jsons[] = {"true", "false", "null"};
  CHECK(&column, texts, jsons);

  struct column nothing __attribute__((cleanup(column_done))) = {0};
  column_of(&nothing, NANOARROW_TYPE_NA);
  assert_int_equal(ArrowArrayAppendNull(&nothing.array, 2), NANOARROW_OK);
  finish(&nothing);
  const char *no_texts[] = {NULL, NULL}, *no_jsons[] = {"null", "null"};
  CHECK(&nothing, no_texts, no_jsons);
}

static void texts_and_bytes_of_every_layout(void **state) {
  (void)state;
  static const struct {
    enum ArrowType type;
    bool bytes;
  } known[] = {
      {NANOARROW_TYPE_STRING, false},      {NANOARROW_TYPE_LARGE_STRING, false},
      {NANOARROW_TYPE_STRING_VIEW, false}, {NANOARROW_TYPE_BINARY, true},
      {NANOARROW_TYPE_LARGE_BINARY, true}, {NANOARROW_TYPE_BINARY_VIEW, true},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(known); i++) {
    struct column column __attribute__((cleanup(column_done))) = {0};
    column_of(&column, known[i].type);
    const char *values[] = {"", "a\"\\\n\x01z", "a text that is not kept inline"};
    for (size_t v = 0; v < IG_ARRAY_LEN(values); v++) {
      struct ArrowBufferView view = {.data.as_char = values[v],
                                     .size_bytes = (int64_t)strlen(values[v])};
      assert_int_equal(ArrowArrayAppendBytes(&column.array, view), NANOARROW_OK);
    }
    assert_int_equal(ArrowArrayAppendNull(&column.array, 1), NANOARROW_OK);
    finish(&column);
    const char *texts[] = {"", "a\"\\\n\x01z", "a text that is not kept inline", NULL};
    const char *jsons[] = {"\"\"", "\"a\\\"\\\\\\n\\u0001z\"",
                           "\"a text that is not kept inline\"", "null"};
    const char *hex[] = {
        "\\x", "\\x61225c0a017a",
        "\\x6120746578742074686174206973206e6f74206b65707420696e6c696e65", NULL};
    const char *hex_jsons[] = {
        "\"\\\\x\"", "\"\\\\x61225c0a017a\"",
        "\"\\\\x6120746578742074686174206973206e6f74206b65707420696e6c696e65\"", "null"};
    check(&column, known[i].bytes ? hex : texts, known[i].bytes ? hex_jsons : jsons,
          IG_ARRAY_LEN(texts));
  }
}

static void bytes_of_a_fixed_size(void **state) {
  (void)state;
  struct column column __attribute__((cleanup(column_done))) = {0};
  ArrowSchemaInit(&column.schema);
  assert_int_equal(
      ArrowSchemaSetTypeFixedSize(&column.schema, NANOARROW_TYPE_FIXED_SIZE_BINARY, 2),
      NANOARROW_OK);
  column_begin(&column);
  struct ArrowBufferView view = {.data.as_char = "\xde\xad", .size_bytes = 2};
  assert_int_equal(ArrowArrayAppendNull(&column.array, 1), NANOARROW_OK);
  assert_int_equal(ArrowArrayAppendBytes(&column.array, view), NANOARROW_OK);
  finish(&column);
  const char *texts[] = {NULL, "\\xdead"}, *jsons[] = {"null", "\"\\\\xdead\""};
  CHECK(&column, texts, jsons);
}

static void decimals_of_every_width(void **state) {
  (void)state;
  static const struct {
    enum ArrowType type;
    int32_t precision, bits;
  } known[] = {{NANOARROW_TYPE_DECIMAL32, 9, 32},
               {NANOARROW_TYPE_DECIMAL64, 18, 64},
               {NANOARROW_TYPE_DECIMAL128, 38, 128},
               {NANOARROW_TYPE_DECIMAL256, 76, 256}};
  for (size_t i = 0; i < IG_ARRAY_LEN(known); i++) {
    struct column column __attribute__((cleanup(column_done))) = {0};
    ArrowSchemaInit(&column.schema);
    assert_int_equal(
        ArrowSchemaSetTypeDecimal(&column.schema, known[i].type, known[i].precision, 2),
        NANOARROW_OK);
    column_begin(&column);
    struct ArrowDecimal value;
    ArrowDecimalInit(&value, known[i].bits, known[i].precision, 2);
    assert_int_equal(ArrowArrayAppendNull(&column.array, 1), NANOARROW_OK);
    ArrowDecimalSetInt(&value, -1234567);
    assert_int_equal(ArrowArrayAppendDecimal(&column.array, &value), NANOARROW_OK);
    ArrowDecimalSetInt(&value, 5);
    assert_int_equal(ArrowArrayAppendDecimal(&column.array, &value), NANOARROW_OK);
    finish(&column);
    const char *texts[] = {NULL, "-12345.67", "0.05"};
    const char *jsons[] = {"null", "-12345.67", "0.05"};
    CHECK(&column, texts, jsons);
  }
}

static void dates_times_and_timestamps(void **state) {
  (void)state;
  static const struct {
    enum ArrowType type;
    enum ArrowTimeUnit unit;
    const char *zone;
    int64_t value;
    const char *text, *json;
  } known[] = {
      {NANOARROW_TYPE_TIME32, NANOARROW_TIME_UNIT_SECOND, NULL, 3661, "01:01:01",
       "\"01:01:01\""},
      {NANOARROW_TYPE_TIME32, NANOARROW_TIME_UNIT_MILLI, NULL, 100, "00:00:00.1",
       "\"00:00:00.1\""},
      {NANOARROW_TYPE_TIME64, NANOARROW_TIME_UNIT_MICRO, NULL, 1, "00:00:00.000001",
       "\"00:00:00.000001\""},
      {NANOARROW_TYPE_TIME64, NANOARROW_TIME_UNIT_NANO, NULL, 1, "00:00:00.000000001",
       "\"00:00:00.000000001\""},
      {NANOARROW_TYPE_TIMESTAMP, NANOARROW_TIME_UNIT_SECOND, NULL, 951825600,
       "2000-02-29 12:00:00", "\"2000-02-29T12:00:00\""},
      {NANOARROW_TYPE_TIMESTAMP, NANOARROW_TIME_UNIT_MICRO, "Asia/Kolkata",
       1593604800250000, "2020-07-01 17:30:00.25+05:30",
       "\"2020-07-01T17:30:00.25+05:30\""},
      {NANOARROW_TYPE_TIMESTAMP, NANOARROW_TIME_UNIT_NANO, "+02:00", 0,
       "1970-01-01 02:00:00+02", "\"1970-01-01T02:00:00+02:00\""},
      {NANOARROW_TYPE_TIMESTAMP, NANOARROW_TIME_UNIT_SECOND, "No/Such", 0,
       "1970-01-01 00:00:00+00", "\"1970-01-01T00:00:00+00:00\""},
      {NANOARROW_TYPE_DURATION, NANOARROW_TIME_UNIT_MILLI, NULL, 90000500,
       "1 day 01:00:00.5", "\"1 day 01:00:00.5\""},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(known); i++) {
    struct column column __attribute__((cleanup(column_done))) = {0};
    column_of_time(&column, known[i].type, known[i].unit, known[i].zone);
    assert_int_equal(ArrowArrayAppendNull(&column.array, 1), NANOARROW_OK);
    assert_int_equal(ArrowArrayAppendInt(&column.array, known[i].value), NANOARROW_OK);
    finish(&column);
    const char *texts[] = {NULL, known[i].text}, *jsons[] = {"null", known[i].json};
    CHECK(&column, texts, jsons);
  }
  static const struct {
    enum ArrowType type;
    int64_t value;
  } dates[] = {{NANOARROW_TYPE_DATE32, -1}, {NANOARROW_TYPE_DATE64, -86400000}};
  for (size_t i = 0; i < IG_ARRAY_LEN(dates); i++) {
    struct column column __attribute__((cleanup(column_done))) = {0};
    column_of(&column, dates[i].type);
    assert_int_equal(ArrowArrayAppendNull(&column.array, 1), NANOARROW_OK);
    assert_int_equal(ArrowArrayAppendInt(&column.array, dates[i].value), NANOARROW_OK);
    finish(&column);
    const char *texts[] = {NULL, "1969-12-31"}, *jsons[] = {"null", "\"1969-12-31\""};
    CHECK(&column, texts, jsons);
  }
}

static void the_three_intervals(void **state) {
  (void)state;
  static const struct {
    struct ArrowInterval value;
    const char *text, *json;
  } known[] = {
      {{.type = NANOARROW_TYPE_INTERVAL_MONTHS, .months = 14},
       "1 year 2 mons",
       "\"1 year 2 mons\""},
      {{.type = NANOARROW_TYPE_INTERVAL_DAY_TIME, .days = -1, .ms = 7200000},
       "-1 days +02:00:00",
       "\"-1 days +02:00:00\""},
      {{.type = NANOARROW_TYPE_INTERVAL_MONTH_DAY_NANO,
        .months = 14,
        .days = 3,
        .ns = 14706000000000},
       "1 year 2 mons 3 days 04:05:06",
       "\"1 year 2 mons 3 days 04:05:06\""},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(known); i++) {
    struct column column __attribute__((cleanup(column_done))) = {0};
    column_of(&column, known[i].value.type);
    assert_int_equal(ArrowArrayAppendNull(&column.array, 1), NANOARROW_OK);
    assert_int_equal(ArrowArrayAppendInterval(&column.array, &known[i].value),
                     NANOARROW_OK);
    finish(&column);
    const char *texts[] = {NULL, known[i].text}, *jsons[] = {"null", known[i].json};
    CHECK(&column, texts, jsons);
  }
}

/* [1, NULL], NULL, [], [2] */
static void lists_of_every_layout(void **state) {
  (void)state;
  static const enum ArrowType types[] = {NANOARROW_TYPE_LIST, NANOARROW_TYPE_LARGE_LIST,
                                         NANOARROW_TYPE_LIST_VIEW,
                                         NANOARROW_TYPE_LARGE_LIST_VIEW};
  for (size_t i = 0; i < IG_ARRAY_LEN(types); i++) {
    struct column column __attribute__((cleanup(column_done))) = {0};
    ArrowSchemaInit(&column.schema);
    assert_int_equal(ArrowSchemaSetType(&column.schema, types[i]), NANOARROW_OK);
    assert_int_equal(ArrowSchemaSetType(column.schema.children[0], NANOARROW_TYPE_INT32),
                     NANOARROW_OK);
    column_begin(&column);
    struct ArrowArray *items = column.array.children[0];
    assert_int_equal(ArrowArrayAppendInt(items, 1), NANOARROW_OK);
    assert_int_equal(ArrowArrayAppendNull(items, 1), NANOARROW_OK);
    assert_int_equal(ArrowArrayFinishElement(&column.array), NANOARROW_OK);
    assert_int_equal(ArrowArrayAppendNull(&column.array, 1), NANOARROW_OK);
    assert_int_equal(ArrowArrayFinishElement(&column.array), NANOARROW_OK);
    assert_int_equal(ArrowArrayAppendInt(items, 2), NANOARROW_OK);
    assert_int_equal(ArrowArrayFinishElement(&column.array), NANOARROW_OK);
    finish(&column);
    const char *texts[] = {"[1, null]", NULL, "[]", "[2]"};
    const char *jsons[] = {"[1,null]", "null", "[]", "[2]"};
    CHECK(&column, texts, jsons);
  }
}

static void lists_of_a_fixed_size(void **state) {
  (void)state;
  struct column column __attribute__((cleanup(column_done))) = {0};
  ArrowSchemaInit(&column.schema);
  assert_int_equal(
      ArrowSchemaSetTypeFixedSize(&column.schema, NANOARROW_TYPE_FIXED_SIZE_LIST, 2),
      NANOARROW_OK);
  assert_int_equal(ArrowSchemaSetType(column.schema.children[0], NANOARROW_TYPE_STRING),
                   NANOARROW_OK);
  column_begin(&column);
  const char *values[] = {"a", "b c", "d", "e"};
  for (size_t i = 0; i < IG_ARRAY_LEN(values); i++) {
    assert_int_equal(
        ArrowArrayAppendString(column.array.children[0], ArrowCharView(values[i])),
        NANOARROW_OK);
    if (i % 2 == 1)
      assert_int_equal(ArrowArrayFinishElement(&column.array), NANOARROW_OK);
  }
  finish(&column);
  const char *texts[] = {"[\"a\", \"b c\"]", "[\"d\", \"e\"]"};
  const char *jsons[] = {"[\"a\",\"b c\"]", "[\"d\",\"e\"]"};
  CHECK(&column, texts, jsons);
}

static void structs_show_names(void **state) {
  (void)state;
  struct column column __attribute__((cleanup(column_done))) = {0};
  ArrowSchemaInit(&column.schema);
  assert_int_equal(ArrowSchemaSetTypeStruct(&column.schema, 2), NANOARROW_OK);
  assert_int_equal(ArrowSchemaSetType(column.schema.children[0], NANOARROW_TYPE_DATE32),
                   NANOARROW_OK);
  assert_int_equal(ArrowSchemaSetName(column.schema.children[0], "when \"it\" was"),
                   NANOARROW_OK);
  assert_int_equal(ArrowSchemaSetType(column.schema.children[1], NANOARROW_TYPE_BOOL),
                   NANOARROW_OK);
  assert_int_equal(ArrowSchemaSetName(column.schema.children[1], "b"), NANOARROW_OK);
  column_begin(&column);
  assert_int_equal(ArrowArrayAppendNull(&column.array, 1), NANOARROW_OK);
  assert_int_equal(ArrowArrayAppendInt(column.array.children[0], 0), NANOARROW_OK);
  assert_int_equal(ArrowArrayAppendNull(column.array.children[1], 1), NANOARROW_OK);
  assert_int_equal(ArrowArrayFinishElement(&column.array), NANOARROW_OK);
  finish(&column);
  const char *texts[] = {NULL, "{\"when \\\"it\\\" was\": \"1970-01-01\", \"b\": null}"};
  const char *jsons[] = {"null", "{\"when \\\"it\\\" was\":\"1970-01-01\",\"b\":null}"};
  CHECK(&column, texts, jsons);
}

static void maps_are_objects(void **state) {
  (void)state;
  struct column column __attribute__((cleanup(column_done))) = {0};
  ArrowSchemaInit(&column.schema);
  assert_int_equal(ArrowSchemaSetType(&column.schema, NANOARROW_TYPE_MAP), NANOARROW_OK);
  struct ArrowSchema *entries = column.schema.children[0];
  assert_int_equal(ArrowSchemaSetType(entries->children[0], NANOARROW_TYPE_INT32),
                   NANOARROW_OK);
  assert_int_equal(ArrowSchemaSetType(entries->children[1], NANOARROW_TYPE_STRING),
                   NANOARROW_OK);
  column_begin(&column);
  struct ArrowArray *pairs = column.array.children[0];
  assert_int_equal(ArrowArrayFinishElement(&column.array), NANOARROW_OK);
  for (int64_t i = 1; i <= 2; i++) {
    assert_int_equal(ArrowArrayAppendInt(pairs->children[0], i), NANOARROW_OK);
    assert_int_equal(ArrowArrayAppendString(pairs->children[1], ArrowCharView("x")),
                     NANOARROW_OK);
    assert_int_equal(ArrowArrayFinishElement(pairs), NANOARROW_OK);
  }
  assert_int_equal(ArrowArrayFinishElement(&column.array), NANOARROW_OK);
  finish(&column);
  const char *texts[] = {"{}", "{\"1\": \"x\", \"2\": \"x\"}"};
  const char *jsons[] = {"{}", "{\"1\":\"x\",\"2\":\"x\"}"};
  CHECK(&column, texts, jsons);
}

static void dictionaries_show_their_values(void **state) {
  (void)state;
  struct column column __attribute__((cleanup(column_done))) = {0};
  ArrowSchemaInit(&column.schema);
  assert_int_equal(ArrowSchemaSetType(&column.schema, NANOARROW_TYPE_INT8), NANOARROW_OK);
  assert_int_equal(ArrowSchemaAllocateDictionary(&column.schema), NANOARROW_OK);
  ArrowSchemaInit(column.schema.dictionary);
  assert_int_equal(ArrowSchemaSetType(column.schema.dictionary, NANOARROW_TYPE_STRING),
                   NANOARROW_OK);
  column_begin(&column);
  struct ArrowArray *values = column.array.dictionary;
  assert_int_equal(ArrowArrayAppendString(values, ArrowCharView("red")), NANOARROW_OK);
  assert_int_equal(ArrowArrayAppendNull(values, 1), NANOARROW_OK);
  assert_int_equal(ArrowArrayAppendInt(&column.array, 0), NANOARROW_OK);
  assert_int_equal(ArrowArrayAppendNull(&column.array, 1), NANOARROW_OK);
  assert_int_equal(ArrowArrayAppendInt(&column.array, 1), NANOARROW_OK);
  assert_int_equal(ArrowArrayAppendInt(&column.array, 0), NANOARROW_OK);
  finish(&column);
  const char *texts[] = {"red", NULL, NULL, "red"};
  const char *jsons[] = {"\"red\"", "null", "null", "\"red\""};
  CHECK(&column, texts, jsons);
}

/* Runs: 7 twice, NULL once, 9 twice. */
static void run_ends_repeat_their_value(void **state) {
  (void)state;
  struct column column __attribute__((cleanup(column_done))) = {0};
  ArrowSchemaInit(&column.schema);
  assert_int_equal(ArrowSchemaSetTypeRunEndEncoded(&column.schema, NANOARROW_TYPE_INT32),
                   NANOARROW_OK);
  assert_int_equal(ArrowSchemaSetType(column.schema.children[1], NANOARROW_TYPE_INT64),
                   NANOARROW_OK);
  column_begin(&column);
  static const int64_t ends[] = {2, 3, 5};
  for (size_t i = 0; i < IG_ARRAY_LEN(ends); i++)
    assert_int_equal(ArrowArrayAppendInt(column.array.children[0], ends[i]),
                     NANOARROW_OK);
  assert_int_equal(ArrowArrayAppendInt(column.array.children[1], 7), NANOARROW_OK);
  assert_int_equal(ArrowArrayAppendNull(column.array.children[1], 1), NANOARROW_OK);
  assert_int_equal(ArrowArrayAppendInt(column.array.children[1], 9), NANOARROW_OK);
  column.array.length = 5;
  finish(&column);
  const char *texts[] = {"7", "7", NULL, "9", "9"},
             *jsons[] = {"7", "7", "null", "9", "9"};
  CHECK(&column, texts, jsons);
}

static void unions_show_the_value_that_is_there(void **state) {
  (void)state;
  static const enum ArrowType types[] = {NANOARROW_TYPE_DENSE_UNION,
                                         NANOARROW_TYPE_SPARSE_UNION};
  for (size_t i = 0; i < IG_ARRAY_LEN(types); i++) {
    struct column column __attribute__((cleanup(column_done))) = {0};
    ArrowSchemaInit(&column.schema);
    assert_int_equal(ArrowSchemaSetTypeUnion(&column.schema, types[i], 2), NANOARROW_OK);
    assert_int_equal(ArrowSchemaSetType(column.schema.children[0], NANOARROW_TYPE_INT64),
                     NANOARROW_OK);
    assert_int_equal(ArrowSchemaSetType(column.schema.children[1], NANOARROW_TYPE_STRING),
                     NANOARROW_OK);
    column_begin(&column);
    assert_int_equal(ArrowArrayAppendString(column.array.children[1], ArrowCharView("x")),
                     NANOARROW_OK);
    assert_int_equal(ArrowArrayFinishUnionElement(&column.array, 1), NANOARROW_OK);
    assert_int_equal(ArrowArrayAppendInt(column.array.children[0], 5), NANOARROW_OK);
    assert_int_equal(ArrowArrayFinishUnionElement(&column.array, 0), NANOARROW_OK);
    assert_int_equal(ArrowArrayAppendNull(column.array.children[0], 1), NANOARROW_OK);
    assert_int_equal(ArrowArrayFinishUnionElement(&column.array, 0), NANOARROW_OK);
    finish(&column);
    const char *texts[] = {"x", "5", NULL}, *jsons[] = {"\"x\"", "5", "null"};
    CHECK(&column, texts, jsons);
  }
}

static void numbers_stand_at_the_right(void **state) {
  (void)state;
  static const struct {
    enum ArrowType type;
    bool number;
  } known[] = {{NANOARROW_TYPE_INT8, true},    {NANOARROW_TYPE_UINT64, true},
               {NANOARROW_TYPE_DOUBLE, true},  {NANOARROW_TYPE_BOOL, false},
               {NANOARROW_TYPE_STRING, false}, {NANOARROW_TYPE_DATE32, false},
               {NANOARROW_TYPE_NA, false}};
  for (size_t i = 0; i < IG_ARRAY_LEN(known); i++) {
    struct column column __attribute__((cleanup(column_done))) = {0};
    column_of(&column, known[i].type);
    IG_AUTO(ig_value_printer) *printer = NULL;
    assert_ok(ig_value_printer_new(&column.schema, &printer, &test_err));
    assert_int_equal(ig_value_is_number(printer), known[i].number);
  }
}

static void types_nested_without_end_are_refused(void **state) {
  (void)state;
  struct ArrowSchema schema;
  ArrowSchemaInit(&schema);
  struct ArrowSchema *at = &schema;
  for (int i = 0; i < 100; i++) {
    assert_int_equal(ArrowSchemaSetType(at, NANOARROW_TYPE_LIST), NANOARROW_OK);
    at = at->children[0];
  }
  assert_int_equal(ArrowSchemaSetType(at, NANOARROW_TYPE_INT32), NANOARROW_OK);
  ig_value_printer *printer = NULL;
  assert_fails(ig_value_printer_new(&schema, &printer, &test_err), IGLOO_UNSUPPORTED,
               "0A000");
  schema.release(&schema);
}

static void ill_formed_texts_stay_valid_json(void **state) {
  (void)state;
  IG_AUTO_DONE(ig_buf) dst = IG_BUF_INIT(100);
  ig_json_string(&dst, IG_STR("a\xff"
                              "b\xe6\xbc\xa2\t"));
  assert_string_equal(dst.data,
                      "\"a\xEF\xBF\xBD"
                      "b\xe6\xbc\xa2\\t\"");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(integers_of_every_width),
      cmocka_unit_test(the_largest_unsigned_integer),
      cmocka_unit_test(floats_that_json_does_not_know_are_texts),
      cmocka_unit_test(booleans_and_nulls),
      cmocka_unit_test(texts_and_bytes_of_every_layout),
      cmocka_unit_test(bytes_of_a_fixed_size),
      cmocka_unit_test(decimals_of_every_width),
      cmocka_unit_test(dates_times_and_timestamps),
      cmocka_unit_test(the_three_intervals),
      cmocka_unit_test(lists_of_every_layout),
      cmocka_unit_test(lists_of_a_fixed_size),
      cmocka_unit_test(structs_show_names),
      cmocka_unit_test(maps_are_objects),
      cmocka_unit_test(dictionaries_show_their_values),
      cmocka_unit_test(run_ends_repeat_their_value),
      cmocka_unit_test(unions_show_the_value_that_is_there),
      cmocka_unit_test(numbers_stand_at_the_right),
      cmocka_unit_test(types_nested_without_end_are_refused),
      cmocka_unit_test(ill_formed_texts_stay_valid_json),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
