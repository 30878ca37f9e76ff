/* Tests of src/base/log.c. */
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "support.h"

static char line[2 * IG_LOG_LINE_MAX];

/* What one call writes, read back through a pipe. */
#define written(level, ...)                                \
  do {                                                     \
    int ends_[2];                                          \
    assert_int_equal(pipe(ends_), 0);                      \
    ig_log_set_fd(ends_[1]);                               \
    ig_log(level, __VA_ARGS__);                            \
    ig_log_set_fd(2);                                      \
    assert_int_equal(close(ends_[1]), 0);                  \
    ssize_t len_ = read(ends_[0], line, sizeof(line) - 1); \
    assert_true(len_ >= 0);                                \
    line[len_] = '\0';                                     \
    assert_int_equal(close(ends_[0]), 0);                  \
  } while (0)

static int start(void **state) {
  (void)state;
  ig_log_set_level(IG_LOG_INFO);
  ig_log_set_format(IG_LOG_TEXT);
  return 0;
}

static void text_line_has_time_level_event_and_fields(void **state) {
  (void)state;
  written(IG_LOG_INFO, "server.start", IG_LOG_STR("listen", "127.0.0.1:50051"),
          IG_LOG_I64("n", -5));
  assert_memory_equal(line, "time=2", 6);
  assert_string_equal(line + 32,
                      " level=info event=server.start listen=127.0.0.1:50051 n=-5\n");
}

static void value_cannot_forge_a_line(void **state) {
  (void)state;
  written(IG_LOG_ERROR, "x", IG_LOG_STR("v", "a\nlevel=info \"q\\\" \xff\x1b[0m"));
  assert_non_null(
      strstr(line, "v=\"a\\nlevel=info \\\"q\\\\\\\" \xef\xbf\xbd\\u001b[0m\"\n"));
  assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
  written(IG_LOG_ERROR, "x", IG_LOG_STR("v", ""));
  assert_non_null(strstr(line, "v=\"\"\n"));
}

static void json_line_is_one_object(void **state) {
  (void)state;
  ig_log_set_format(IG_LOG_JSON);
  written(IG_LOG_WARN, "x", IG_LOG_STR("v", "a\"b"), IG_LOG_I64("n", 7));
  assert_memory_equal(line, "{\"time\":\"2", 10);
  assert_non_null(
      strstr(line, ",\"level\":\"warn\",\"event\":\"x\",\"v\":\"a\\\"b\",\"n\":7}\n"));
}

static void threshold_drops_what_is_above_it(void **state) {
  (void)state;
  written(IG_LOG_DEBUG, "x");
  assert_string_equal(line, "");
  ig_log_set_level(IG_LOG_OFF);
  written(IG_LOG_ERROR, "x");
  assert_string_equal(line, "");
  assert_false(ig_log_enabled(IG_LOG_OFF));
}

static void long_line_is_cut_and_stays_well_formed(void **state) {
  (void)state;
  static char big[3 * IG_LOG_LINE_MAX];
  memset(big, '"', sizeof(big) - 1);
  for (int format = IG_LOG_TEXT; format <= IG_LOG_JSON; format++) {
    ig_log_set_format((enum ig_log_format)format);
    for (size_t fill = IG_LOG_LINE_MAX - 200; fill < IG_LOG_LINE_MAX + 8; fill++) {
      struct ig_str first = ig_str_make(big, fill / 2);
      written(IG_LOG_INFO, "x", IG_LOG_VIEW("a", first), IG_LOG_STR("b", "tail"),
              IG_LOG_STR("c", big), IG_LOG_I64("d", 1));
      size_t len = strlen(line);
      assert_in_range(len, 100, IG_LOG_LINE_MAX);
      assert_int_equal(line[len - 1], '\n');
      if (format == IG_LOG_JSON) assert_int_equal(line[len - 2], '}');
      size_t quotes = 0;
      for (size_t i = 0; i < len; i++) {
        if (line[i] == '\\')
          i++;
        else
          quotes += line[i] == '"';
      }
      assert_int_equal(quotes % 2, 0);
    }
  }
}

static void level_names_parse_back(void **state) {
  (void)state;
  for (int i = IG_LOG_OFF; i <= IG_LOG_DEBUG; i++) {
    enum ig_log_level level = IG_LOG_OFF;
    const char *name = ig_log_level_name((enum ig_log_level)i);
    assert_true(ig_log_level_parse(ig_str_from_cstr(name), &level));
    assert_int_equal(level, i);
  }
  enum ig_log_level level;
  assert_false(ig_log_level_parse(IG_STR("verbose"), &level));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(text_line_has_time_level_event_and_fields, start),
      cmocka_unit_test_setup(value_cannot_forge_a_line, start),
      cmocka_unit_test_setup(json_line_is_one_object, start),
      cmocka_unit_test_setup(threshold_drops_what_is_above_it, start),
      cmocka_unit_test_setup(long_line_is_cut_and_stays_well_formed, start),
      cmocka_unit_test_setup(level_names_parse_back, start),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
