/* test_schema.c -- copies, the text form, type names. */
#include "arrow/schema.h"

#include <nanoarrow/nanoarrow.h>
#include <stdlib.h>
#include <time.h>

#include "support.h"

static void set_field(struct ArrowSchema *field, const char *format, const char *name) {
  assert_int_equal(ArrowSchemaSetFormat(field, format), 0);
  assert_int_equal(ArrowSchemaSetName(field, name), 0);
}

/* A field of this format, with children of these formats (ended by NULL). */
static struct ArrowSchema make(const char *format, const char *const *children) {
  struct ArrowSchema schema;
  int64_t count = 0;
  ArrowSchemaInit(&schema);
  set_field(&schema, format, "");
  while (children && children[count]) count++;
  if (count > 0) assert_int_equal(ArrowSchemaAllocateChildren(&schema, count), 0);
  for (int64_t i = 0; i < count; i++) {
    char name[2] = {(char)('a' + i), 0};
    ArrowSchemaInit(schema.children[i]);
    set_field(schema.children[i], children[i], name);
  }
  return schema;
}

static void assert_type(struct ArrowSchema *field, const char *expected) {
  char *name = NULL;
  assert_ok(ig_arrow_type_name_dup(field, &name, &test_err));
  assert_string_equal(name, expected);
  ig_free(name);
}

static void types_have_their_sql_names(void **state) {
  (void)state;
  static const char *const cases[][2] = {{"n", "null"},
                                         {"b", "boolean"},
                                         {"c", "tinyint"},
                                         {"s", "smallint"},
                                         {"i", "integer"},
                                         {"l", "bigint"},
                                         {"C", "tinyint unsigned"},
                                         {"L", "bigint unsigned"},
                                         {"f", "real"},
                                         {"g", "double precision"},
                                         {"u", "text"},
                                         {"U", "text"},
                                         {"vu", "text"},
                                         {"z", "bytea"},
                                         {"vz", "bytea"},
                                         {"w:16", "bytea(16)"},
                                         {"d:15,2", "numeric(15,2)"},
                                         {"d:40,0,256", "numeric(40,0)"},
                                         {"tdD", "date"},
                                         {"ttu", "time"},
                                         {"tsu:", "timestamp"},
                                         {"tsn:", "timestamp"},
                                         {"tsu:UTC", "timestamp with time zone"},
                                         {"tin", "interval"},
                                         {"tDs", "interval"},
                                         {"?", "unknown"}};
  for (size_t i = 0; i < IG_ARRAY_LEN(cases); i++) {
    IG_AUTO_SCHEMA field = make(cases[i][0], NULL);
    assert_type(&field, cases[i][1]);
  }
}

static void nested_types_name_what_is_in_them(void **state) {
  (void)state;
  const char *const bigint[] = {"l", NULL};
  const char *const two[] = {"i", "u", NULL};
  IG_AUTO_SCHEMA list = make("+l", bigint);
  assert_type(&list, "bigint[]");
  IG_AUTO_SCHEMA fixed = make("+w:3", bigint);
  assert_type(&fixed, "bigint[3]");
  IG_AUTO_SCHEMA record = make("+s", two);
  assert_type(&record, "struct(a integer, b text)");
  assert_int_equal(ArrowSchemaSetName(record.children[0], "Two \"words\""), 0);
  assert_type(&record, "struct(\"Two \"\"words\"\"\" integer, b text)");

  IG_AUTO_SCHEMA map;
  ArrowSchemaInit(&map);
  assert_int_equal(ArrowSchemaSetType(&map, NANOARROW_TYPE_MAP), 0);
  assert_int_equal(
      ArrowSchemaSetType(map.children[0]->children[0], NANOARROW_TYPE_STRING), 0);
  assert_int_equal(ArrowSchemaSetType(map.children[0]->children[1], NANOARROW_TYPE_INT32),
                   0);
  assert_type(&map, "map(text, integer)");

  IG_AUTO_SCHEMA dictionary = make("i", NULL);
  assert_int_equal(ArrowSchemaAllocateDictionary(&dictionary), 0);
  ArrowSchemaInit(dictionary.dictionary);
  set_field(dictionary.dictionary, "u", "");
  assert_type(&dictionary, "text");

  IG_AUTO_SCHEMA uuid = make("w:16", NULL);
  struct ArrowBuffer metadata;
  assert_int_equal(ArrowMetadataBuilderInit(&metadata, NULL), 0);
  assert_int_equal(
      ArrowMetadataBuilderAppend(&metadata, ArrowCharView("ARROW:extension:name"),
                                 ArrowCharView("arrow.uuid")),
      0);
  assert_int_equal(ArrowSchemaSetMetadata(&uuid, (const char *)metadata.data), 0);
  ArrowBufferReset(&metadata);
  assert_type(&uuid, "uuid");
}

static unsigned random_below(unsigned n) {
  return (unsigned)rand() % n;
}

/* Any type at all, up to three levels deep. */
static void fill_randomly(struct ArrowSchema *field, int depth) {
  static const char *const flat[] = {"i",      "l",  "u", "g", "tsn:Europe/Paris",
                                     "d:38,9", "w:7"};
  static const char *const names[] = {"", "a", "ünïcode", "with \"quotes\"", "3:x(-)"};
  ArrowSchemaInit(field);
  if (depth >= 3 || random_below(3) > 0) {
    set_field(field, flat[random_below(IG_ARRAY_LEN(flat))], names[random_below(5)]);
  } else {
    unsigned count = random_below(4);
    set_field(field, "+s", names[random_below(5)]);
    if (count > 0) assert_int_equal(ArrowSchemaAllocateChildren(field, count), 0);
    for (unsigned i = 0; i < count; i++) fill_randomly(field->children[i], depth + 1);
  }
  field->flags = random_below(2) ? ARROW_FLAG_NULLABLE : 0;
  if (random_below(4) == 0) {
    struct ArrowBuffer metadata;
    assert_int_equal(ArrowMetadataBuilderInit(&metadata, NULL), 0);
    assert_int_equal(ArrowMetadataBuilderAppend(&metadata, ArrowCharView("key"),
                                                ArrowCharView("value)(;")),
                     0);
    assert_int_equal(ArrowSchemaSetMetadata(field, (const char *)metadata.data), 0);
    ArrowBufferReset(&metadata);
  }
  if (random_below(6) == 0 && field->n_children == 0) {
    assert_int_equal(ArrowSchemaSetFormat(field, "i"), 0);
    assert_int_equal(ArrowSchemaAllocateDictionary(field), 0);
    ArrowSchemaInit(field->dictionary);
    set_field(field->dictionary, "u", "");
  }
}

static unsigned seed_randomly(void) {
  unsigned seed = (unsigned)time(NULL);
  print_message("seed %u\n", seed);
  srand(seed);
  return seed;
}

static void the_text_form_keeps_everything(void **state) {
  (void)state;
  seed_randomly();
  for (int i = 0; i < 500; i++) {
    IG_AUTO_SCHEMA schema = {0};
    IG_AUTO_SCHEMA back = {0};
    IG_AUTO_SCHEMA copy = {0};
    char *text = NULL;
    size_t len = 0;
    fill_randomly(&schema, 0);
    assert_ok(ig_schema_to_text(&schema, &text, &len, &test_err));
    assert_ok(ig_schema_from_text(ig_str_make(text, len), &back, &test_err));
    assert_ok(ig_schema_copy(&schema, &copy, &test_err));
    assert_true(ig_schema_equal(&schema, &back, true));
    assert_true(ig_schema_equal(&schema, &copy, true));
    ig_free(text);
  }
}

static void schemas_differ_by_each_of_their_parts(void **state) {
  (void)state;
  const char *const two[] = {"i", "u", NULL};
  IG_AUTO_SCHEMA a = make("+s", two);
  IG_AUTO_SCHEMA b = make("+s", two);
  assert_true(ig_schema_equal(&a, &b, true));
  assert_int_equal(ig_schema_find(&a, IG_STR("b")), 1);
  assert_int_equal(ig_schema_find(&a, IG_STR("B")), -1);
  b.children[1]->flags = 0;
  assert_false(ig_schema_equal(&a, &b, false));
  b.children[1]->flags = a.children[1]->flags;
  assert_int_equal(ArrowSchemaSetName(b.children[1], "c"), 0);
  assert_false(ig_schema_equal(&a, &b, false));
  assert_int_equal(ArrowSchemaSetName(b.children[1], "b"), 0);
  assert_int_equal(ArrowSchemaSetMetadata(b.children[1], "\1\0\0\0\1\0\0\0k\1\0\0\0v"),
                   0);
  assert_true(ig_schema_equal(&a, &b, false));
  assert_false(ig_schema_equal(&a, &b, true));
}

static void damaged_texts_are_data_loss_and_nothing_worse(void **state) {
  (void)state;
  const char *const two[] = {"i", "d:15,2", NULL};
  IG_AUTO_SCHEMA schema = make("+s", two);
  char *text = NULL;
  size_t len = 0;
  assert_int_equal(ArrowSchemaSetMetadata(&schema, "\1\0\0\0\1\0\0\0k\1\0\0\0v"), 0);
  assert_ok(ig_schema_to_text(&schema, &text, &len, &test_err));
  for (size_t cut = 0; cut < len; cut++) {
    IG_AUTO_SCHEMA back = {0};
    char *part = ig_strndup(text, cut); /* its own bytes: reading past them is seen */
    assert_fails(ig_schema_from_text(ig_str_make(part, cut), &back, &test_err),
                 IGLOO_DATA_LOSS, "XX001");
    ig_free(part);
  }
  seed_randomly();
  for (int i = 0; i < 20000; i++) {
    IG_AUTO_SCHEMA back = {0};
    char *mutated = ig_malloc(len);
    memcpy(mutated, text, len);
    for (unsigned n = 1 + random_below(3); n > 0; n--)
      mutated[random_below((unsigned)len)] = (char)rand();
    igloo_status status =
        ig_schema_from_text(ig_str_make(mutated, len), &back, &test_err);
    assert_true(status == IGLOO_OK || status == IGLOO_DATA_LOSS);
    ig_free(mutated);
  }
  ig_free(text);
}

static void nesting_has_a_bound(void **state) {
  (void)state;
  IG_AUTO_SCHEMA top;
  struct ArrowSchema *field = &top;
  char *text = NULL;
  size_t len = 0;
  for (int i = 0; i <= IG_SCHEMA_DEPTH_MAX + 1; i++) {
    ArrowSchemaInit(field);
    set_field(field, "+l", "item");
    assert_int_equal(ArrowSchemaAllocateChildren(field, 1), 0);
    field = field->children[0];
  }
  ArrowSchemaInit(field);
  set_field(field, "i", "item");
  assert_fails(ig_schema_to_text(&top, &text, &len, &test_err), IGLOO_RESOURCE_EXHAUSTED,
               "54000");
}

static igloo_status round_trip(void *ctx, struct igloo_error *reterr) {
  IG_AUTO_SCHEMA back = {0};
  IG_AUTO_CHAR *text = NULL;
  IG_AUTO_CHAR *name = NULL;
  size_t len = 0;
  IG_TRY(ig_schema_to_text(ctx, &text, &len, reterr));
  IG_TRY(ig_arrow_type_name_dup(ctx, &name, reterr));
  return ig_schema_from_text(ig_str_make(text, len), &back, reterr);
}

static void schemas_survive_failed_allocations(void **state) {
  (void)state;
  const char *const two[] = {"i", "u", NULL};
  IG_AUTO_SCHEMA schema = make("+s", two);
  assert_survives_failed_allocations(round_trip, &schema);
}

static void set_metadata(struct ArrowSchema *field, const char *const (*pairs)[2],
                         size_t count) {
  struct ArrowBuffer bytes;
  assert_int_equal(ArrowMetadataBuilderInit(&bytes, NULL), 0);
  for (size_t i = 0; i < count; i++)
    assert_int_equal(ArrowMetadataBuilderAppend(&bytes, ArrowCharView(pairs[i][0]),
                                                ArrowCharView(pairs[i][1])),
                     0);
  assert_int_equal(ArrowSchemaSetMetadata(field, (const char *)bytes.data), 0);
  ArrowBufferReset(&bytes);
}

static void metadata_is_dropped_by_its_prefix(void **state) {
  (void)state;
  static const char *const mixed[][2] = {
      {"a:x", "1"}, {"b", "2"}, {"a:", ""}, {"a", "3"}};
  static const char *const left[][2] = {{"b", "2"}, {"a", "3"}};
  static const char *const formats[] = {"l", "u", "n", NULL};
  IG_AUTO_SCHEMA schema = make("+s", formats), expected = make("+s", formats);
  set_metadata(&schema, mixed, 4);
  set_metadata(schema.children[0], mixed, 1); /* nothing is left of it */
  set_metadata(schema.children[1], mixed, 4);
  set_metadata(&expected, left, 2);
  set_metadata(expected.children[1], left, 2);
  assert_ok(ig_schema_drop_metadata(&schema, IG_STR("a:"), &test_err));
  assert_true(ig_schema_equal(&schema, &expected, true));
  assert_null(schema.children[0]->metadata);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(types_have_their_sql_names),
      cmocka_unit_test(nested_types_name_what_is_in_them),
      cmocka_unit_test(the_text_form_keeps_everything),
      cmocka_unit_test(schemas_differ_by_each_of_their_parts),
      cmocka_unit_test(damaged_texts_are_data_loss_and_nothing_worse),
      cmocka_unit_test(nesting_has_a_bound),
      cmocka_unit_test(schemas_survive_failed_allocations),
      cmocka_unit_test(metadata_is_dropped_by_its_prefix),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
