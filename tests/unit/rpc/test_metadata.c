/* Tests of src/rpc/metadata.c and src/rpc/header_block.c. */
#include "base/limits.h"
#include "rpc/header_block.h"
#include "rpc/metadata.h"
#include "support.h"

static igloo_status add(struct ig_rpc_metadata *metadata, const char *name,
                        const char *value) {
  return ig_rpc_metadata_add(metadata, ig_str_from_cstr(name), ig_str_from_cstr(value),
                             &test_err);
}

static void headers_are_found_by_name_and_keep_their_order(void **state) {
  (void)state;
  IG_AUTO_DONE(ig_rpc_metadata) metadata = {0};
  assert_ok(add(&metadata, "a", "1"));
  assert_ok(add(&metadata, "b", ""));
  assert_ok(add(&metadata, "a", "2"));
  struct ig_str value;
  assert_true(ig_rpc_metadata_get(&metadata, "a", &value));
  assert_str_eq(value, "1");
  assert_true(ig_rpc_metadata_get(&metadata, "b", &value));
  assert_int_equal(value.len, 0);
  assert_false(ig_rpc_metadata_get(&metadata, "c", &value));
  assert_str_eq(value, "");
  assert_int_equal(metadata.len, 3);
  assert_int_equal(metadata.bytes, 3 * 32 + 5);
}

static void names_and_values_that_http2_cannot_carry_are_refused(void **state) {
  (void)state;
  IG_AUTO_DONE(ig_rpc_metadata) metadata = {0};
  static const char *const names[] = {"",     "A",  "a b", ":path",        "grpc-status",
                                      "te",   "a:", "ä",   "content-type", "connection",
                                      "host", "a\n"};
  for (size_t i = 0; i < IG_ARRAY_LEN(names); i++)
    assert_fails(add(&metadata, names[i], "1"), IGLOO_INVALID_ARGUMENT, "22023");
  static const char *const values[] = {"a\nb", "ä", "\x01", " a", "a "};
  for (size_t i = 0; i < IG_ARRAY_LEN(values); i++)
    assert_fails(add(&metadata, "name", values[i]), IGLOO_INVALID_ARGUMENT, "22023");
  for (size_t i = 0; i < IG_ARRAY_LEN(values); i++)
    assert_ok(add(&metadata, "name-bin", values[i]));
}

static void metadata_has_a_ceiling(void **state) {
  (void)state;
  IG_AUTO_DONE(ig_rpc_metadata) metadata = {0};
  char value[1001];
  memset(value, 'v', 1000);
  value[1000] = '\0';
  while (metadata.bytes + 1033 <= IG_RPC_METADATA_BYTES_MAX)
    assert_ok(add(&metadata, "n", value));
  size_t len = metadata.len;
  assert_fails(add(&metadata, "n", value), IGLOO_RESOURCE_EXHAUSTED, "54000");
  assert_int_equal(metadata.len, len);
}

static void metadata_is_judged_without_a_copy_as_with_one(void **state) {
  (void)state;
  char value[1001];
  memset(value, 'v', 1000);
  value[1000] = '\0';
  struct ig_rpc_header items[IG_RPC_METADATA_BYTES_MAX / 1033 + 1];
  for (size_t i = 0; i < IG_ARRAY_LEN(items); i++)
    items[i] = (struct ig_rpc_header){IG_STR("n"), ig_str_from_cstr(value)};
  assert_ok(ig_rpc_metadata_check(items, 0, &test_err));
  assert_ok(ig_rpc_metadata_check(items, IG_ARRAY_LEN(items) - 1, &test_err));
  assert_fails(ig_rpc_metadata_check(items, IG_ARRAY_LEN(items), &test_err),
               IGLOO_RESOURCE_EXHAUSTED, "54000");
  items[1].name = IG_STR("Upper");
  assert_fails(ig_rpc_metadata_check(items, 2, &test_err), IGLOO_INVALID_ARGUMENT,
               "22023");
  items[1] = (struct ig_rpc_header){IG_STR("n"), IG_STR("line\nfeed")};
  assert_fails(ig_rpc_metadata_check(items, 2, &test_err), IGLOO_INVALID_ARGUMENT,
               "22023");
}

static igloo_status build(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  IG_AUTO_DONE(ig_rpc_metadata) metadata = {0};
  IG_AUTO_DONE(ig_header_block) block = {0};
  for (int i = 0; i < 20; i++) {
    IG_TRY(ig_rpc_metadata_add(&metadata, IG_STR("x"), IG_STR("1"), reterr));
    IG_TRY(ig_rpc_metadata_add(&metadata, IG_STR("x-bin"), IG_STR("\0\1"), reterr));
  }
  ig_header_block_add(&block, IG_STR(":status"), IG_STR("200"));
  ig_header_block_add_metadata(&block, metadata.items, metadata.len);
  IG_TRY(ig_header_block_check(&block, reterr));
  assert_int_equal(block.len, 41);
  assert_int_equal(block.items[2].valuelen, 3);
  assert_memory_equal(block.items[2].value, "AAE", 3);
  return IGLOO_OK;
}

static void failed_allocation_is_told(void **state) {
  (void)state;
  assert_survives_failed_allocations(build, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(headers_are_found_by_name_and_keep_their_order),
      cmocka_unit_test(names_and_values_that_http2_cannot_carry_are_refused),
      cmocka_unit_test(metadata_has_a_ceiling),
      cmocka_unit_test(metadata_is_judged_without_a_copy_as_with_one),
      cmocka_unit_test(failed_allocation_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
