/* Tests of src/base/map.c. */
#include "base/map.h"
#include "support.h"

#define KEYS 500

static struct ig_str key_of(int i, char text[16]) {
  int len = snprintf(text, 16, "key%d", i);
  return ig_str_make(text, (size_t)len);
}

/* The oracle: a plain array of what each key should hold. */
static void map_agrees_with_an_array_over_random_operations(void **state) {
  (void)state;
  IG_AUTO_DONE(ig_map) map;
  ig_map_init(&map, KEYS, NULL);
  static int values[KEYS];
  static bool there[KEYS];
  size_t count = 0;
  uint32_t seed = 7;
  char text[16];
  for (int step = 0; step < 200000; step++) {
    seed = seed * 1664525u + 1013904223u;
    int i = (int)(seed >> 8) % KEYS;
    struct ig_str key = key_of(i, text);
    if ((seed & 0xc0000000u) == 0) {
      assert_ok(ig_map_put(&map, key, &values[i], &test_err));
      count += !there[i];
      there[i] = true;
    } else if ((seed & 0xc0000000u) == 0x40000000u) {
      assert_int_equal(ig_map_remove(&map, key), there[i]);
      count -= there[i];
      there[i] = false;
    } else {
      assert_ptr_equal(ig_map_get(&map, key), there[i] ? &values[i] : NULL);
    }
    assert_int_equal(map.count, count);
  }
  size_t walked = 0;
  struct ig_str key;
  void *value;
  for (size_t at = 0; ig_map_next(&map, &at, &key, &value); walked++) {
    int64_t i = (int *)value - values;
    assert_true(there[i]);
    assert_true(ig_str_eq(key, key_of((int)i, text)));
  }
  assert_int_equal(walked, count);
}

static int freed;
static void count_free(void *value) {
  freed++;
  ig_free(value);
}

static void values_are_freed_once_when_replaced_removed_or_done(void **state) {
  (void)state;
  freed = 0;
  struct ig_map map;
  ig_map_init(&map, 10, count_free);
  assert_ok(ig_map_put(&map, IG_STR("a"), ig_malloc(1), &test_err));
  assert_ok(ig_map_put(&map, IG_STR("a"), ig_malloc(1), &test_err));
  assert_int_equal(freed, 1);
  assert_ok(ig_map_put(&map, IG_STR("b"), ig_malloc(1), &test_err));
  assert_true(ig_map_remove(&map, IG_STR("a")));
  assert_int_equal(freed, 2);
  void *stolen = ig_map_steal(&map, IG_STR("b"));
  assert_non_null(stolen);
  assert_int_equal(freed, 2);
  ig_free(stolen);
  assert_ok(ig_map_put(&map, IG_STR(""), ig_malloc(1), &test_err));
  ig_map_done(&map);
  assert_int_equal(freed, 3);
  assert_null(ig_map_get(&map, IG_STR("")));
}

static void full_map_refuses_and_frees_the_value(void **state) {
  (void)state;
  freed = 0;
  IG_AUTO_DONE(ig_map) map;
  ig_map_init(&map, 1, count_free);
  assert_ok(ig_map_put(&map, IG_STR("a"), ig_malloc(1), &test_err));
  assert_fails(ig_map_put(&map, IG_STR("b"), ig_malloc(1), &test_err),
               IGLOO_RESOURCE_EXHAUSTED, "54000");
  assert_int_equal(freed, 1);
}

/* Forty keys, and each of them again with another value: a map that could not take one
 * still has what it had. */
static igloo_status fill(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  IG_AUTO_DONE(ig_map) map;
  ig_map_init(&map, 100, ig_free);
  char text[16];
  for (int i = 0; i < 80; i++) {
    size_t count = map.count;
    int *value = ig_malloc(sizeof(*value));
    if (!value) return ig_fail_oom(reterr);
    *value = i;
    igloo_status status = ig_map_put(&map, key_of(i % 40, text), value, reterr);
    if (status == IGLOO_OK) continue;
    assert_int_equal(map.count, count);
    for (int k = 0; k < 40; k++) {
      int *found = ig_map_get(&map, key_of(k, text));
      int expected = k + 40 < i ? k + 40 : k;
      assert_int_equal(found != NULL, k < i);
      if (found) assert_int_equal(*found, expected);
    }
    return status;
  }
  return IGLOO_OK;
}

static void failed_allocations_leave_a_usable_map(void **state) {
  (void)state;
  assert_survives_failed_allocations(fill, NULL);
}

static void hash_depends_on_every_byte(void **state) {
  (void)state;
  char bytes[24] = {0};
  for (size_t len = 0; len <= sizeof(bytes); len++) {
    uint64_t before = ig_hash(ig_str_make(bytes, len));
    assert_true(before == ig_hash(ig_str_make(bytes, len)));
    for (size_t i = 0; i < len; i++) {
      bytes[i] ^= 1;
      assert_true(ig_hash(ig_str_make(bytes, len)) != before);
      bytes[i] ^= 1;
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(map_agrees_with_an_array_over_random_operations),
      cmocka_unit_test(values_are_freed_once_when_replaced_removed_or_done),
      cmocka_unit_test(full_map_refuses_and_frees_the_value),
      cmocka_unit_test(failed_allocations_leave_a_usable_map),
      cmocka_unit_test(hash_depends_on_every_byte),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
