/* Tests of src/rpc/encoding.c. Base64 and its texts: RFC 4648, section 10; times and
 * percent signs: gRPC's PROTOCOL-HTTP2.md. */
#include "base/limits.h"
#include "rpc/encoding.h"
#include "support.h"

static const struct {
  const char *bytes, *padded, *bare;
} base64_cases[] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
};

static void base64_is_written_bare_and_read_with_and_without_padding(void **state) {
  (void)state;
  for (size_t i = 0; i < IG_ARRAY_LEN(base64_cases); i++) {
    struct ig_str bytes = ig_str_from_cstr(base64_cases[i].bytes);
    IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(64);
    ig_base64_append(&text, bytes);
    assert_str_eq(ig_buf_str(&text), base64_cases[i].bare);
    const char *texts[] = {base64_cases[i].padded, base64_cases[i].bare};
    for (size_t t = 0; t < 2; t++) {
      uint8_t dst[16];
      size_t len = 99;
      assert_true(ig_base64_decode(ig_str_from_cstr(texts[t]), dst, &len));
      assert_true(ig_str_eq((struct ig_str){(char *)dst, len}, bytes));
    }
  }
}

static void base64_of_every_byte_comes_back(void **state) {
  (void)state;
  char bytes[256];
  for (int i = 0; i < 256; i++) bytes[i] = (char)i;
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(1024);
  ig_base64_append(&text, (struct ig_str){bytes, 256});
  uint8_t dst[260];
  size_t len = 0;
  assert_true(ig_base64_decode(ig_buf_str(&text), dst, &len));
  assert_int_equal(len, 256);
  assert_memory_equal(dst, bytes, 256);
}

static void text_that_is_no_base64_is_refused(void **state) {
  (void)state;
  static const char *const texts[] = {
      "A", "AAAAA", "A===", "====", "AA=A", "A A=", "AA-_", "AB==", "AAB=", "=", "AAA=="};
  for (size_t i = 0; i < IG_ARRAY_LEN(texts); i++) {
    uint8_t dst[16];
    size_t len = 7;
    if (ig_base64_decode(ig_str_from_cstr(texts[i]), dst, &len))
      fail_msg("\"%s\" was taken", texts[i]);
    assert_int_equal(len, 7);
  }
}

static void percent_encoding_keeps_printable_ascii_and_comes_back(void **state) {
  (void)state;
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(256);
  ig_percent_append(&text, IG_STR("a b%~\x7f\n\xc3\xa4"), 200);
  assert_str_eq(ig_buf_str(&text), "a b%25~%7F%0A%C3%A4");
  IG_AUTO_DONE(ig_buf) back = IG_BUF_INIT(256);
  ig_percent_decode(&back, ig_buf_str(&text));
  assert_str_eq(ig_buf_str(&back), "a b%~\x7f\n\xc3\xa4");
}

static void percent_encoding_is_cut_between_characters(void **state) {
  (void)state;
  static const struct {
    size_t max;
    const char *expected;
  } cases[] = {{0, ""}, {1, "a"}, {6, "a"}, {7, "a%C3%A4"}, {8, "a%C3%A4b"}};
  for (size_t i = 0; i < IG_ARRAY_LEN(cases); i++) {
    IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(64);
    ig_percent_append(&text,
                      IG_STR("a\xc3\xa4"
                             "b"),
                      cases[i].max);
    assert_str_eq(ig_buf_str(&text), cases[i].expected);
  }
}

static void percent_signs_that_are_no_codes_stay(void **state) {
  (void)state;
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(64);
  ig_percent_decode(&text, IG_STR("100% %zz %4 %e4%E4 %"));
  assert_str_eq(ig_buf_str(&text), "100% %zz %4 \xe4\xe4 %");
}

static void timeouts_are_read_in_every_unit(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int64_t us;
  } cases[] = {{"1H", 3600000000},
               {"2M", 120000000},
               {"3S", 3000000},
               {"4m", 4000},
               {"5u", 5},
               {"6n", 1},
               {"1001n", 2},
               {"0S", 0},
               {"00000001S", 1000000},
               {"99999999H", IG_RPC_TIMEOUT_US_MAX}};
  for (size_t i = 0; i < IG_ARRAY_LEN(cases); i++) {
    int64_t us = -1;
    assert_true(ig_timeout_parse(ig_str_from_cstr(cases[i].text), &us));
    assert_int_equal(us, cases[i].us);
  }
}

static void text_that_is_no_timeout_is_refused(void **state) {
  (void)state;
  static const char *const texts[] = {"",    "S",    "1",          "1s",  "-1S",
                                      "1 S", "1.5S", "123456789S", "+1S", "1SS"};
  for (size_t i = 0; i < IG_ARRAY_LEN(texts); i++) {
    int64_t us = 7;
    if (ig_timeout_parse(ig_str_from_cstr(texts[i]), &us))
      fail_msg("\"%s\" was taken", texts[i]);
    assert_int_equal(us, 7);
  }
}

static void timeout_is_written_in_the_finest_unit_that_fits(void **state) {
  (void)state;
  static const struct {
    int64_t us;
    const char *text;
  } cases[] = {{-5, "0u"},
               {1, "1u"},
               {99999999, "99999999u"},
               {100000001, "100001m"},
               {INT64_C(360000000000), "360000S"},
               {IG_RPC_TIMEOUT_US_MAX, "31536000S"},
               {INT64_MAX, "31536000S"}};
  for (size_t i = 0; i < IG_ARRAY_LEN(cases); i++) {
    char text[IG_TIMEOUT_TEXT_BYTES];
    ig_timeout_format(cases[i].us, text);
    assert_string_equal(text, cases[i].text);
    int64_t back = 0;
    assert_true(ig_timeout_parse(ig_str_from_cstr(text), &back));
    if (cases[i].us > 0 && cases[i].us < IG_RPC_TIMEOUT_US_MAX)
      assert_true(back >= cases[i].us);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(base64_is_written_bare_and_read_with_and_without_padding),
      cmocka_unit_test(base64_of_every_byte_comes_back),
      cmocka_unit_test(text_that_is_no_base64_is_refused),
      cmocka_unit_test(percent_encoding_keeps_printable_ascii_and_comes_back),
      cmocka_unit_test(percent_encoding_is_cut_between_characters),
      cmocka_unit_test(percent_signs_that_are_no_codes_stay),
      cmocka_unit_test(timeouts_are_read_in_every_unit),
      cmocka_unit_test(text_that_is_no_timeout_is_refused),
      cmocka_unit_test(timeout_is_written_in_the_finest_unit_that_fits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
