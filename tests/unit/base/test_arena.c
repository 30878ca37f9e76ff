/* Tests of src/base/arena.c. */
#include <string.h>

#include "base/arena.h"
#include "support.h"

static void pieces_are_zero_aligned_and_apart(void **state) {
  (void)state;
  IG_AUTO(ig_arena) *arena = ig_arena_new(1 << 24);
  assert_non_null(arena);
  unsigned char *pieces[300];
  for (size_t round = 0; round < 2; round++) {
    for (size_t i = 0; i < 300; i++) {
      pieces[i] = ig_arena_alloc(arena, i * 7);
      assert_non_null(pieces[i]);
      assert_int_equal((uintptr_t)pieces[i] % 16, 0);
      for (size_t k = 0; k < i * 7; k++) assert_int_equal(pieces[i][k], 0);
      memset(pieces[i], (int)i & 0xff, i * 7);
    }
    for (size_t i = 0; i < 300; i++)
      for (size_t k = 0; k < i * 7; k++) assert_int_equal(pieces[i][k], i & 0xff);
    assert_int_equal(ig_arena_used_bytes(arena), 7 * 299 * 300 / 2);
    ig_arena_reset(arena);
    assert_int_equal(ig_arena_used_bytes(arena), 0);
  }
}

static void ceiling_and_lack_of_memory_are_told_apart(void **state) {
  (void)state;
  IG_AUTO(ig_arena) *arena = ig_arena_new(1000);
  assert_non_null(ig_arena_alloc(arena, 1000));
  assert_null(ig_arena_alloc(arena, 1));
  assert_fails(ig_arena_fail(arena, &test_err), IGLOO_RESOURCE_EXHAUSTED, "54000");
  assert_null(ig_arena_alloc_array(arena, SIZE_MAX / 2, 3));
  assert_fails(ig_arena_fail(arena, &test_err), IGLOO_RESOURCE_EXHAUSTED, "54000");
  IG_AUTO(ig_arena) *fresh = ig_arena_new(1000);
  ig_mem_fail_after(0);
  assert_null(ig_arena_alloc(fresh, 1));
  assert_true(ig_mem_fail_stop());
  assert_fails(ig_arena_fail(fresh, &test_err), IGLOO_OUT_OF_MEMORY, "53200");
}

static void texts_are_copied_with_nul(void **state) {
  (void)state;
  IG_AUTO(ig_arena) *arena = ig_arena_new(100000);
  assert_string_equal(ig_arena_strdup(arena, ig_str_sub(IG_STR("hello"), 0, 4)), "hell");
  assert_string_equal(ig_arena_fmt(arena, "%s %d", "a", 5), "a 5");
  assert_string_equal(ig_arena_strdup(arena, (struct ig_str){NULL, 0}), "");
  assert_null(ig_arena_free(NULL));
}

static igloo_status fill(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  IG_AUTO(ig_arena) *arena = ig_arena_new(1 << 20);
  if (!arena) return ig_fail_oom(reterr);
  char *kept = ig_arena_strdup(arena, IG_STR("kept"));
  if (!kept) return ig_arena_fail(arena, reterr);
  for (size_t i = 0; i < 20; i++) {
    size_t used_bytes = ig_arena_used_bytes(arena);
    void *piece = i % 3 == 0   ? ig_arena_alloc(arena, 3000)
                  : i % 3 == 1 ? ig_arena_alloc_array(arena, 300, 10)
                               : (void *)ig_arena_fmt(arena, "%3000s", "x");
    if (piece) continue;
    assert_string_equal(kept, "kept");
    assert_int_equal(ig_arena_used_bytes(arena), used_bytes);
    igloo_status status = ig_arena_fail(arena, reterr);
    assert_non_null(ig_arena_alloc(arena, 3000)); /* the next piece is there again */
    ig_arena_reset(arena);
    return status;
  }
  return IGLOO_OK;
}

static void failed_allocations_leave_what_is_there(void **state) {
  (void)state;
  assert_survives_failed_allocations(fill, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pieces_are_zero_aligned_and_apart),
      cmocka_unit_test(ceiling_and_lack_of_memory_are_told_apart),
      cmocka_unit_test(texts_are_copied_with_nul),
      cmocka_unit_test(failed_allocations_leave_what_is_there),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
