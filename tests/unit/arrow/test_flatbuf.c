/* test_flatbuf.c -- flatbuffers: the bytes of the specification, and bytes of nobody.
 * (That others read what is written, and the reverse, tests/ipc proves against pyarrow.)
 */
#include "arrow/flatbuf.h"

#include "support.h"

/* The example of the format's own description of its encoding: a table with an integer
 * and a text, laid out by hand. */
static void a_table_lies_as_the_format_says(void **state) {
  (void)state;
  static const uint8_t expected[] = {
      12, 0, 0,  0,                 /* the root is 12 bytes from here */
      8,  0, 12, 0, 4,   0,   8, 0, /* vtable: 8 bytes, table 12; fields at 4 and 8 */
      8,  0, 0,  0,                 /* table: its vtable is 8 bytes before */
      42, 0, 0,  0,                 /* the integer */
      4,  0, 0,  0,                 /* the text is 4 bytes from here */
      2,  0, 0,  0, 'h', 'i', 0, 0, /* length, text, NUL, padding */
  };
  IG_AUTO_DONE(ig_flat_builder) builder;
  ig_flat_init(&builder, 0);
  ig_flat_ref text = ig_flat_string(&builder, IG_STR("hi"));
  ig_flat_table_begin(&builder);
  ig_flat_put_ref(&builder, 1, text);
  ig_flat_put_int(&builder, 0, 42, 4);
  assert_ok(ig_flat_finish(&builder, ig_flat_table_end(&builder), &test_err));
  assert_int_equal(builder.len % 8, 0);
  const uint8_t *bytes = builder.data + builder.cap - builder.len;

  struct ig_flat made = {.data = bytes, .len = builder.len};
  struct ig_flat by_hand = {.data = expected, .len = sizeof(expected)};
  struct ig_flat *both[] = {&made, &by_hand};
  for (size_t i = 0; i < IG_ARRAY_LEN(both); i++) {
    struct ig_flat_table root = ig_flat_root(both[i]);
    assert_int_equal(ig_flat_int(both[i], root, 0, 4, 0), 42);
    assert_str_eq(ig_flat_text(both[i], root, 1), "hi");
    assert_int_equal(ig_flat_int(both[i], root, 2, 4, 7), 7); /* absent */
    assert_false(both[i]->bad);
  }
}

static void numbers_keep_sign_and_size(void **state) {
  (void)state;
  IG_AUTO_DONE(ig_flat_builder) builder;
  ig_flat_init(&builder, 16);
  static const int64_t items[] = {INT64_MIN, -1, INT64_MAX};
  ig_flat_ref vector = ig_flat_vector(&builder, items, 3, sizeof(items[0]));
  ig_flat_table_begin(&builder);
  ig_flat_put_int(&builder, 0, -128, 1);
  ig_flat_put_int(&builder, 1, INT16_MIN, 2);
  ig_flat_put_int(&builder, 2, INT32_MIN, 4);
  ig_flat_put_int(&builder, 3, INT64_MIN, 8);
  ig_flat_put_ref(&builder, 4, vector);
  assert_ok(ig_flat_finish(&builder, ig_flat_table_end(&builder), &test_err));

  struct ig_flat flat = {.data = builder.data + builder.cap - builder.len,
                         .len = builder.len};
  struct ig_flat_table root = ig_flat_root(&flat);
  assert_int_equal(ig_flat_int(&flat, root, 0, 1, 0), -128);
  assert_int_equal(ig_flat_int(&flat, root, 1, 2, 0), INT16_MIN);
  assert_int_equal(ig_flat_int(&flat, root, 2, 4, 0), INT32_MIN);
  assert_int_equal(ig_flat_int(&flat, root, 3, 8, 0), INT64_MIN);
  struct ig_flat_items read = ig_flat_items(&flat, root, 4, 8);
  assert_int_equal(read.count, 3);
  assert_int_equal(read.at % 8, 0); /* from the start, as readers of others need it */
  for (size_t i = 0; i < 3; i++)
    assert_int_equal(ig_flat_item_int(&flat, read, i, 8, 0, 8), items[i]);
}

/* Everything of a table, whatever it leads to. */
static void read_everything(struct ig_flat *flat, struct ig_flat_table table, int depth) {
  for (size_t slot = 0; slot < 9 && depth < 4; slot++) {
    (void)ig_flat_int(flat, table, slot, 8, 0);
    (void)ig_flat_text(flat, table, slot);
    struct ig_flat_items items = ig_flat_items(flat, table, slot, 4);
    for (size_t i = 0; i < items.count && !flat->bad; i++)
      read_everything(flat, ig_flat_item_table(flat, items, i), depth + 1);
    read_everything(flat, ig_flat_sub(flat, table, slot), depth + 1);
    flat->bad = false; /* and go on all the same */
  }
}

static void no_offset_leads_out_of_the_bytes(void **state) {
  (void)state;
  IG_AUTO_DONE(ig_flat_builder) builder;
  ig_flat_init(&builder, 16);
  ig_flat_ref text = ig_flat_string(&builder, IG_STR("text"));
  ig_flat_table_begin(&builder);
  ig_flat_put_ref(&builder, 0, text);
  ig_flat_ref inner = ig_flat_table_end(&builder);
  ig_flat_ref vector = ig_flat_vector_of_refs(&builder, &inner, 1);
  ig_flat_table_begin(&builder);
  ig_flat_put_ref(&builder, 0, inner);
  ig_flat_put_ref(&builder, 1, vector);
  assert_ok(ig_flat_finish(&builder, ig_flat_table_end(&builder), &test_err));
  for (size_t len = 0; len <= builder.len; len++)
    for (size_t at = 0; at < len; at++)
      for (int bit = 0; bit < 8; bit += len == builder.len ? 1 : 7) {
        uint8_t *bytes = malloc(len); /* exactly: the sanitizer watches its ends */
        assert_non_null(bytes);
        memcpy(bytes, builder.data + builder.cap - builder.len, len);
        bytes[at] ^= (uint8_t)(1u << bit);
        struct ig_flat flat = {.data = bytes, .len = len};
        read_everything(&flat, ig_flat_root(&flat), 0);
        free(bytes);
      }
}

static igloo_status build_something(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  IG_AUTO_DONE(ig_flat_builder) builder;
  ig_flat_init(&builder, 8);
  for (int i = 0; i < 50; i++) (void)ig_flat_string(&builder, IG_STR("grow on"));
  ig_flat_table_begin(&builder);
  return ig_flat_finish(&builder, ig_flat_table_end(&builder), reterr);
}

static void no_memory_is_told_at_the_end(void **state) {
  (void)state;
  assert_survives_failed_allocations(build_something, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_table_lies_as_the_format_says),
      cmocka_unit_test(numbers_keep_sign_and_size),
      cmocka_unit_test(no_offset_leads_out_of_the_bytes),
      cmocka_unit_test(no_memory_is_told_at_the_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
