/* Tests of src/base/mem.c. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

static void nth_allocation_fails_exactly_once(void **state) {
  (void)state;
  for (int n = 0; n < 5; n++) {
    ig_mem_fail_after(n);
    for (int i = 0; i < 8; i++) {
      void *memory = ig_malloc(8);
      assert_int_equal(memory == NULL, i == n);
      ig_free(memory);
    }
    assert_true(ig_mem_fail_stop());
    assert_false(ig_mem_fail_stop());
  }
  ig_mem_fail_after(3);
  ig_free(ig_malloc(1));
  assert_false(ig_mem_fail_stop());
}

static void zero_bytes_are_not_out_of_memory(void **state) {
  (void)state;
  void *a = ig_malloc(0), *b = ig_calloc(0, 8), *c = ig_realloc(NULL, 0);
  assert_non_null(a);
  assert_non_null(b);
  assert_non_null(c);
  ig_free(a);
  ig_free(b);
  ig_free(c);
}

static void product_that_overflows_is_out_of_memory(void **state) {
  (void)state;
  volatile size_t huge = SIZE_MAX / 2;
  assert_null(ig_realloc_array(NULL, huge, 3));
  assert_null(ig_calloc(huge, 3));
}

static void copies_of_text_end_with_nul(void **state) {
  (void)state;
  IG_AUTO_CHAR *a = ig_strdup("abc");
  IG_AUTO_CHAR *b = ig_strndup("abcdef", 3);
  IG_AUTO_CHAR *c = ig_asprintf("%s-%d", "abc", 7);
  assert_string_equal(a, "abc");
  assert_string_equal(b, "abc");
  assert_string_equal(c, "abc-7");
  assert_null(ig_strdup(NULL));
}

static igloo_status copy_texts(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  IG_AUTO_CHAR *a = ig_strdup("abc");
  IG_AUTO_CHAR *b = a ? ig_strndup(a, 2) : NULL;
  IG_AUTO_CHAR *c = b ? ig_asprintf("%s-%s", a, b) : NULL;
  IG_AUTO_CHAR *d = c ? ig_realloc_array(NULL, 4, 2) : NULL;
  if (!d) return ig_fail_oom(reterr);
  char *grown = ig_realloc(d, 1000);
  if (!grown) return ig_fail_oom(reterr); /* the old one is still ours */
  d = grown;
  return IGLOO_OK;
}

static void failed_copies_lose_nothing(void **state) {
  (void)state;
  assert_survives_failed_allocations(copy_texts, NULL);
}

static igloo_status fill_array(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  int *items = NULL;
  size_t cap = 0;
  igloo_status status = IGLOO_OK;
  for (int i = 0; i < 100 && status == IGLOO_OK; i++) {
    status = IG_RESERVE(items, cap, (size_t)i + 1, 100, "things", reterr);
    if (status == IGLOO_OK) items[i] = i;
    for (int k = 0; status != IGLOO_OK && k < i; k++) assert_int_equal(items[k], k);
  }
  for (int i = 0; status == IGLOO_OK && i < 100; i++) assert_int_equal(items[i], i);
  ig_free(items);
  return status;
}

static void array_grows_to_its_bound_and_names_it(void **state) {
  (void)state;
  assert_survives_failed_allocations(fill_array, NULL);
  IG_AUTO_CHAR *bytes = NULL;
  size_t cap = 0;
  assert_ok(IG_RESERVE(bytes, cap, 10, 10, "bytes", &test_err));
  assert_int_equal(cap, 10);
  for (size_t i = 0; i < cap; i++) assert_int_equal(bytes[i], 0);
  assert_fails(IG_RESERVE(bytes, cap, 11, 10, "bytes", &test_err),
               IGLOO_RESOURCE_EXHAUSTED, "54000");
  assert_message_has("more than 10 bytes");
  assert_int_equal(cap, 10);
}

static int freed;
typedef struct thing thing;
static thing *thing_free(thing *object) {
  freed++;
  ig_free(object);
  return NULL;
}
IG_DEFINE_AUTO(thing, thing_free)

static thing *make_or_drop(bool keep) {
  IG_AUTO(thing) *object = ig_malloc(16);
  return keep ? IG_TAKE(object) : NULL;
}

static void scope_frees_what_was_not_taken(void **state) {
  (void)state;
  freed = 0;
  assert_null(make_or_drop(false));
  assert_int_equal(freed, 1);
  thing *kept = make_or_drop(true);
  assert_non_null(kept);
  assert_int_equal(freed, 1);
  thing_free(kept);
}

static int open_and_close(bool keep) {
  IG_AUTO_FD fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  assert_true(fd >= 0);
  return keep ? IG_TAKE_FD(fd) : fd;
}

static void scope_closes_file_descriptors(void **state) {
  (void)state;
  assert_int_equal(fcntl(open_and_close(false), F_GETFD), -1);
  int kept = open_and_close(true);
  assert_int_not_equal(fcntl(kept, F_GETFD), -1);
  assert_int_equal(close(kept), 0);
}

/* Each processor has a lane of its own. */
static void stay_on_one_processor(void) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET((size_t)sched_getcpu(), &one);
  assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
}

static void fill_spare(struct ig_spare *spare, size_t bytes, void **taken, size_t count) {
  for (size_t i = 0; i < count; i++) {
    taken[i] = ig_spare_take(spare, bytes);
    assert_non_null(taken[i]);
    memset(taken[i], (int)i, bytes);
  }
  for (size_t i = 0; i < count; i++) ig_spare_give(spare, taken[i], bytes);
}

static void spare_memory_that_was_given_last_is_taken_first(void **state) {
  (void)state;
  static struct ig_spare spare;
  void *taken[3];
  cpu_set_t before;
  assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
  stay_on_one_processor();
  fill_spare(&spare, 3000, taken, 3);
  ig_spare_give(&spare, NULL, 3000);
  for (size_t i = 3; i-- > 0;) {
    assert_ptr_equal(ig_spare_take(&spare, 3000), taken[i]);
    ig_free(taken[i]);
  }
  assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

static size_t count_kept(const struct ig_spare *spare) {
  size_t count = 0;
  for (size_t i = 0; i < IG_SPARE_LANES; i++) count += spare->lanes[i].count;
  return count;
}

static void spare_memory_beyond_its_bounds_is_freed(void **state) {
  (void)state;
  static struct ig_spare small, large;
  void *taken[IG_SPARE_MAX + 2];
  cpu_set_t before;
  assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
  stay_on_one_processor();
  fill_spare(&small, 300, taken, IG_SPARE_MAX + 2);
  assert_int_equal(count_kept(&small), IG_SPARE_MAX);
  fill_spare(&large, IG_SPARE_BYTES_MAX / 4, taken, 6);
  assert_int_equal(count_kept(&large), 4);
  for (size_t i = 0; i < IG_SPARE_MAX; i++) ig_free(ig_spare_take(&small, 300));
  for (size_t i = 0; i < 4; i++) ig_free(ig_spare_take(&large, IG_SPARE_BYTES_MAX / 4));
  assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

static void *take_and_give(void *ctx) {
  struct ig_spare *spare = ctx;
  int mine = 0; /* no other thread has something at its address */
  for (int i = 0; i < 100000; i++) {
    int *volatile *own = ig_spare_take(spare, sizeof(*own));
    assert_non_null(own);
    *own = &mine;
    assert_ptr_equal(*own, &mine);
    ig_spare_give(spare, (void *)(uintptr_t)own, sizeof(*own));
  }
  return NULL;
}

static void threads_never_get_the_same_spare_memory(void **state) {
  (void)state;
  static struct ig_spare spare;
  pthread_t threads[4];
  for (size_t i = 0; i < IG_ARRAY_LEN(threads); i++)
    assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &spare), 0);
  for (size_t i = 0; i < IG_ARRAY_LEN(threads); i++) pthread_join(threads[i], NULL);
  for (size_t i = 0; i < IG_SPARE_LANES; i++)
    while (spare.lanes[i].count > 0) free(spare.lanes[i].memory[--spare.lanes[i].count]);
}

static void taking_spare_memory_fails_as_an_allocation_does(void **state) {
  (void)state;
  static struct ig_spare spare;
  ig_spare_give(&spare, ig_malloc(100), 100);
  ig_mem_fail_after(0);
  assert_null(ig_spare_take(&spare, 100));
  assert_true(ig_mem_fail_stop());
  ig_free(ig_spare_take(&spare, 100));
}

static sigjmp_buf escape;
static const char *seen_condition;
static void jump_out(const char *condition, const char *file, int line,
                     const char *function) {
  (void)file, (void)line, (void)function;
  seen_condition = condition;
  siglongjmp(escape, 1);
}

static void broken_invariant_calls_the_handler(void **state) {
  (void)state;
  ig_assert_set_handler(jump_out);
  if (sigsetjmp(escape, 0) == 0) {
    IG_ASSERT(1 + 1 == 3);
    fail_msg("the assertion did not leave");
  }
  ig_assert_set_handler(NULL);
  assert_string_equal(seen_condition, "1 + 1 == 3");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nth_allocation_fails_exactly_once),
      cmocka_unit_test(zero_bytes_are_not_out_of_memory),
      cmocka_unit_test(product_that_overflows_is_out_of_memory),
      cmocka_unit_test(copies_of_text_end_with_nul),
      cmocka_unit_test(failed_copies_lose_nothing),
      cmocka_unit_test(array_grows_to_its_bound_and_names_it),
      cmocka_unit_test(scope_frees_what_was_not_taken),
      cmocka_unit_test(scope_closes_file_descriptors),
      cmocka_unit_test(spare_memory_that_was_given_last_is_taken_first),
      cmocka_unit_test(spare_memory_beyond_its_bounds_is_freed),
      cmocka_unit_test(threads_never_get_the_same_spare_memory),
      cmocka_unit_test(taking_spare_memory_fails_as_an_allocation_does),
      cmocka_unit_test(broken_invariant_calls_the_handler),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
