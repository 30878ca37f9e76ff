/* Tests of src/base/late.c, on functions that nothing else here calls. */
#include "base/late.h"

#include <math.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <wchar.h>

#include "support.h"

#define OF_LIBM(X) X(j0) X(swprintf) /* the second is of the library that it needs */
#define UNLOADED(X) X(y0)
#define UNKNOWN(X) X(igloo_is_no_function)

IG_LATE_LIBRARY(libm, "libm.so.6", OF_LIBM);
IG_LATE_LIBRARY(unloaded, "libigloo_is_not_there.so.1", UNLOADED);
IG_LATE_LIBRARY(without, "libm.so.6", UNKNOWN);

static volatile double one = 1.0; /* the compiler would reckon itself */

static void functions_are_the_library_s_once_it_is_loaded(void **state) {
  (void)state;
  wchar_t text[64] = {0};
  assert_ok(ig_late_load(&libm, &test_err));
  assert_ok(ig_late_load(&libm, &test_err)); /* and again */
  assert_true(j0(one - one) == 1.0);
  int len = swprintf(text, 64, L"%d %s %.1f %d %d %d %d", 1, "two", 3.0, 4, 5, 6, 7);
  assert_int_equal(len, 17);
  assert_int_equal(wcscmp(text, L"1 two 3.0 4 5 6 7"), 0);
}

static void a_library_that_is_not_there_is_named(void **state) {
  (void)state;
  assert_fails(ig_late_load(&unloaded, &test_err), IGLOO_NOT_FOUND, "58P01");
  assert_non_null(strstr(test_err.message, "\"libigloo_is_not_there.so.1\""));
  assert_non_null(strstr(test_err.detail, "libigloo_is_not_there.so.1"));
}

static void a_library_without_a_function_is_not_the_one_that_is_wanted(void **state) {
  (void)state;
  assert_fails(ig_late_load(&without, &test_err), IGLOO_NOT_FOUND, "58P01");
  assert_non_null(strstr(test_err.detail, "igloo_is_no_function"));
}

static void a_call_before_the_library_is_loaded_ends_the_process(void **state) {
  (void)state;
  pid_t child = fork();
  if (child == 0) {
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0});
    (void)close(STDERR_FILENO);
    _exit(y0(one) > 0.0);
  }
  int how = 0;
  assert_int_equal(waitpid(child, &how, 0), child);
  assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGABRT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(functions_are_the_library_s_once_it_is_loaded),
      cmocka_unit_test(a_library_that_is_not_there_is_named),
      cmocka_unit_test(a_library_without_a_function_is_not_the_one_that_is_wanted),
      cmocka_unit_test(a_call_before_the_library_is_loaded_ends_the_process),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
