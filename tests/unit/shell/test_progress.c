/* Tests of src/shell/progress.c: the text of the line. */
#include "shell/progress.h"

#include "support.h"

static void check(struct igloo_progress state, size_t width, const char *expected) {
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(1000);
  ig_progress_text(&state, width, &text);
  assert_string_equal(text.data, expected);
}

static void what_is_known_is_told(void **state) {
  (void)state;
  check((struct igloo_progress){.elapsed_us = 2340000,
                                .rows_scanned = 1234567,
                                .bytes_scanned = 3 << 20,
                                .bytes_total = 4 << 20,
                                .memory_bytes = (uint64_t)5 << 30,
                                .spilled_bytes = 1536},
        200,
        "███████████████░░░░░  75% 2.3 s, 1,234,567 rows, 3.0 MiB read, memory 5.0 GiB, "
        "spilled 1.5 KiB");
}

static void what_is_unknown_is_left_out(void **state) {
  (void)state;
  check((struct igloo_progress){.elapsed_us = 1000000,
                                .rows_scanned = -1,
                                .bytes_scanned = -1,
                                .bytes_total = -1,
                                .memory_bytes = 1023},
        200, "1.0 s, memory 1023 B");
}

static void more_than_expected_is_still_all(void **state) {
  (void)state;
  check((struct igloo_progress){.elapsed_us = 1000000,
                                .rows_scanned = -1,
                                .bytes_scanned = 300,
                                .bytes_total = 100},
        200, "████████████████████ 100% 1.0 s, 300 B read");
}

static void the_line_fits_the_terminal(void **state) {
  (void)state;
  check((struct igloo_progress){.elapsed_us = 1000000,
                                .rows_scanned = -1,
                                .bytes_scanned = -1,
                                .memory_bytes = 1},
        10, "1.0 s, me…");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_known_is_told),
      cmocka_unit_test(what_is_unknown_is_left_out),
      cmocka_unit_test(more_than_expected_is_still_all),
      cmocka_unit_test(the_line_fits_the_terminal),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
