/*
 * support.h -- what the unit tests share: cmocka, error assertions, and the
 * loop that makes every allocation of a call fail once.
 *
 * A test passes `&test_err` to what it calls, so that assert_ok can say why a
 * call failed and assert_fails what it said.
 */
#ifndef IG_TESTS_SUPPORT_H
#define IG_TESTS_SUPPORT_H

/* cmocka.h needs the four before it. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

static IG_UNUSED struct igloo_error test_err;

/* What the caller's environment configures is not what is tested: each program starts
 * without any IGLOO_… variable. */
__attribute__((constructor)) static void forget_environment(void) {
  for (char **entry = environ; *entry;) {
    char name[256] = "";
    size_t len = strcspn(*entry, "=");
    bool ours = strncmp(*entry, "IGLOO_", 6) == 0 && len < sizeof(name);
    if (ours) memcpy(name, *entry, len);
    if (!ours || unsetenv(name) != 0)
      entry++;
    else
      entry = environ; /* the list moved */
  }
}

#define assert_ok(call)                                                            \
  do {                                                                             \
    ig_error_reset(&test_err);                                                     \
    igloo_status assert_status_ = (call);                                          \
    if (assert_status_ != IGLOO_OK)                                                \
      fail_msg("%s\n  gave %s (%s): %s", #call, igloo_status_name(assert_status_), \
               test_err.sqlstate, test_err.message);                               \
  } while (0)

/* The call fails with this status and SQLSTATE, and says something. */
#define assert_fails(call, expected_status, expected_sqlstate)                        \
  do {                                                                                \
    ig_error_reset(&test_err);                                                        \
    igloo_status assert_status_ = (call);                                             \
    if (assert_status_ != (expected_status))                                          \
      fail_msg("%s\n  gave %s, not %s: %s", #call, igloo_status_name(assert_status_), \
               #expected_status, test_err.message);                                   \
    assert_int_equal(test_err.status, expected_status);                               \
    assert_string_equal(test_err.sqlstate, expected_sqlstate);                        \
    assert_true(test_err.message[0] != '\0');                                         \
  } while (0)

/* The last error's message holds this text. */
#define assert_message_has(text)                                               \
  do {                                                                         \
    if (!strstr(test_err.message, text))                                       \
      fail_msg("\"%s\" is not in the message \"%s\"", text, test_err.message); \
  } while (0)

#define assert_position(expected_line, expected_column) \
  do {                                                  \
    assert_int_equal(test_err.line, expected_line);     \
    assert_int_equal(test_err.column, expected_column); \
  } while (0)

/* A view equals a C string. */
#define assert_str_eq(view, expected)                                           \
  do {                                                                          \
    struct ig_str assert_view_ = (view);                                        \
    if (!ig_str_eq_cstr(assert_view_, expected))                                \
      fail_msg("\"%.*s\" is not \"%s\"", IG_STR_ARG(assert_view_), (expected)); \
  } while (0)

/* Run `run` again and again, each time with the next allocation failing, until it gets
 * through: each failure must come back as OUT_OF_MEMORY 53200, and the try right after it
 * must succeed (leaks and double frees are the sanitizer's to find). `run` frees what it
 * was given; what it finds in `ctx` it leaves as it was. */
static IG_UNUSED void assert_survives_failed_allocations(
    igloo_status (*run)(void *ctx, struct igloo_error *reterr), void *ctx) {
  for (int64_t successes = 0; successes < 1000000; successes++) {
    ig_error_reset(&test_err);
    ig_mem_fail_after(successes);
    igloo_status status = run(ctx, &test_err);
    bool failed = ig_mem_fail_stop();
    if (!failed) {
      if (status != IGLOO_OK) fail_msg("failed by itself: %s", test_err.message);
      return;
    }
    if (status != IGLOO_OUT_OF_MEMORY || strcmp(test_err.sqlstate, "53200") != 0)
      fail_msg("failed allocation %lld gave %s (%s): %s", (long long)successes,
               igloo_status_name(status), test_err.sqlstate, test_err.message);
    ig_error_reset(&test_err);
    status = run(ctx, &test_err);
    if (status != IGLOO_OK)
      fail_msg("the try after failed allocation %lld gave %s: %s", (long long)successes,
               igloo_status_name(status), test_err.message);
  }
  fail_msg("a million allocations were not enough");
}

/* The same for what cannot fail, because without memory it only does less: `run` returns
 * true if it did all, and must where nothing failed. */
static IG_UNUSED void assert_does_less_without_memory(bool (*run)(void *ctx), void *ctx) {
  for (int64_t successes = 0; successes < 1000000; successes++) {
    ig_mem_fail_after(successes);
    bool whole = run(ctx);
    bool failed = ig_mem_fail_stop();
    if (!failed && !whole) fail_msg("did less by itself");
    if (!failed) return;
    if (!run(ctx))
      fail_msg("the try after failed allocation %lld did less", (long long)successes);
  }
  fail_msg("a million allocations were not enough");
}

#endif
