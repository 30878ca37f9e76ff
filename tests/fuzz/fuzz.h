/*
 * fuzz.h -- what the fuzzers share: assertions that end the program, and the clock.
 *
 * Each fuzzer is one file with one LLVMFuzzerTestOneInput(). It does not only ask "does
 * it crash": what must hold for every input is asserted.
 */
#ifndef IG_TESTS_FUZZ_H
#define IG_TESTS_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define fuzz_assert(condition)                                                \
  do {                                                                        \
    if (!(condition)) {                                                       \
      (void)fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, \
                    #condition);                                              \
      abort();                                                                \
    }                                                                         \
  } while (0)

/* A failure says what it is, in text that can be shown. */
static inline void fuzz_check_error(igloo_status status,
                                    const struct igloo_error *error) {
  fuzz_assert(status != IGLOO_OK && status == error->status);
  fuzz_assert(status != IGLOO_INTERNAL && status != IGLOO_OUT_OF_MEMORY);
  fuzz_assert(ig_sqlstate_is_valid(error->sqlstate));
  fuzz_assert(error->message[0] != '\0');
}

static inline int64_t fuzz_cpu_ms(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Now and then, repeat the input up to 1 MiB and look at it whole: work must grow with
 * the text, not with its square. The bound is that of a sanitized build on a slow
 * machine; a quadratic step takes minutes. */
#define FUZZ_LONG_EVERY 1500
#define FUZZ_LONG_CPU_MS 4000
static inline void fuzz_in_time(struct ig_str text, void (*look)(struct ig_str text)) {
  static unsigned runs;
  if (text.len == 0 || runs++ % FUZZ_LONG_EVERY != 0) return;
  size_t times = IG_MIB / text.len;
  char *whole = malloc(times * text.len);
  fuzz_assert(whole != NULL);
  for (size_t i = 0; i < times; i++) memcpy(whole + i * text.len, text.data, text.len);
  int64_t before_ms = fuzz_cpu_ms();
  look(ig_str_make(whole, times * text.len));
  fuzz_assert(fuzz_cpu_ms() - before_ms < FUZZ_LONG_CPU_MS);
  free(whole);
}

#endif
