/* test_postgresql_text.c -- numbers both ways, and what is seen of a query's text. */
#include "arrow/numtext.h"
#include "postgresql/numeric.h"
#include "postgresql/sqltext.h"
#include "support.h"

/* ---- numbers -------------------------------------------------------------------------
 */

static uint64_t random_state = 42;
static uint64_t next_random(void) {
  random_state =
      random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return random_state >> 11 ^ random_state << 20;
}

/* Digits in the limbs, by the schoolbook. */
static void limbs_of(const char *digits, uint64_t limbs[IGP_LIMBS]) {
  bool negative = *digits == '-';
  memset(limbs, 0, IGP_LIMBS * sizeof(*limbs));
  for (const char *at = digits + negative; *at; at++) {
    unsigned __int128 carry = (unsigned)(*at - '0');
    for (int i = 0; i < IGP_LIMBS; i++) {
      carry += (unsigned __int128)limbs[i] * 10;
      limbs[i] = (uint64_t)carry;
      carry >>= 64;
    }
  }
  unsigned __int128 carry = 1;
  for (int i = 0; negative && i < IGP_LIMBS; i++) {
    carry += ~limbs[i];
    limbs[i] = (uint64_t)carry;
    carry >>= 64;
  }
}

static void numbers_of_all_lengths_and_scales_come_back(void **state) {
  (void)state;
  IG_AUTO_DONE(ig_buf) bytes;
  IG_AUTO_DONE(ig_buf) text;
  IG_AUTO_DONE(ig_buf) expected;
  ig_buf_init(&bytes, 1024);
  ig_buf_init(&text, 1024);
  ig_buf_init(&expected, 1024);
  for (int length = 1; length <= 76; length++)
    for (int scale = 0; scale <= length; scale++) {
      char digits[80];
      int at = 0;
      bool negative = next_random() % 2;
      if (negative) digits[at++] = '-';
      digits[at++] = (char)('1' + next_random() % 9);
      /* Many zeros: those at the ends of digits to the base 10,000 are not sent. */
      for (int i = 1; i < length; i++)
        digits[at++] = next_random() % 3 ? '0' : (char)('0' + next_random() % 10);
      digits[at] = '\0';
      uint64_t limbs[IGP_LIMBS], back[IGP_LIMBS];
      limbs_of(digits, limbs);
      ig_buf_clear(&bytes);
      igp_numeric_write(limbs, scale, &bytes);
      assert_ok(ig_buf_check(&bytes, &test_err));
      const uint8_t *data = (const uint8_t *)bytes.data;
      assert_int_equal(igp_numeric_read(data, bytes.len, length, scale, back),
                       IGP_NUMBER_OK);
      assert_memory_equal(back, limbs, sizeof(limbs));
      if (length > 1)
        assert_int_equal(igp_numeric_read(data, bytes.len, length - 1, scale, back),
                         IGP_NUMBER_TOO_LARGE);
      if (length <= 18) {
        int64_t small = 0;
        assert_int_equal(igp_numeric_read_small(data, bytes.len, length, scale, &small),
                         IGP_NUMBER_OK);
        assert_int_equal(small, limbs[0]);
      }
      ig_buf_clear(&text);
      ig_buf_clear(&expected);
      assert_true(igp_numeric_text(data, bytes.len, &text));
      ig_text_decimal(&expected, limbs, 32, scale);
      assert_string_equal(text.data, expected.data);
    }
}

static void numbers_with_a_negative_scale_are_multiplied(void **state) {
  (void)state;
  for (int scale = -9; scale < 0; scale++) {
    IG_AUTO_DONE(ig_buf) bytes;
    ig_buf_init(&bytes, 1024);
    uint64_t limbs[IGP_LIMBS], back[IGP_LIMBS], expected[IGP_LIMBS];
    char digits[32] = "-1203";
    limbs_of(digits, limbs);
    memset(digits + 5, '0', (size_t)-scale);
    digits[5 - scale] = '\0';
    limbs_of(digits, expected);
    igp_numeric_write(limbs, scale, &bytes);
    assert_int_equal(
        igp_numeric_read((const uint8_t *)bytes.data, bytes.len, 20, 0, back),
        IGP_NUMBER_OK);
    assert_memory_equal(back, expected, sizeof(back));
  }
}

/* ---- texts ---------------------------------------------------------------------------
 */

static void a_querys_text_is_seen_as_postgresql_sees_it(void **state) {
  (void)state;
  static const struct {
    const char *text, *body;
    bool reads, into, copies;
  } cases[] = {
      {"select 1", "select 1", true, false, false},
      {" /* a /* b */ ; */ (\n(VALUES (1)))  ;; -- x",
       " /* a /* b */ ; */ (\n(VALUES (1)))", true, false, false},
      {"WITH x AS (SELECT 1) TABLE x;", "WITH x AS (SELECT 1) TABLE x", true, false,
       false},
      {"SELECT ';' ; ", "SELECT ';'", true, false, false},
      {"SELECT ';''--' ;", "SELECT ';''--'", true, false, false},
      {"SELECT E'\\';--' ;", "SELECT E'\\';--'", true, false, false},
      {"SELECT 'a\\' ;", "SELECT 'a\\'", true, false, false},
      {"SELECT \"into\"\"\" ;", "SELECT \"into\"\"\"", true, false, false},
      {"SELECT $$into;$$;", "SELECT $$into;$$", true, false, false},
      {"SELECT $a$ $$ into; $a$ ;", "SELECT $a$ $$ into; $a$", true, false, false},
      {"SELECT $1, a$b$c ;", "SELECT $1, a$b$c", true, false, false},
      {"SELECT 1 -- into\rINTO t;", "SELECT 1 -- into\rINTO t", true, true, false},
      {"select into t from x", "select into t from x", true, true, false},
      {"INSERT INTO t SELECT 1", "INSERT INTO t SELECT 1", false, true, false},
      {"selectx", "selectx", false, false, false},
      {"COPY t TO STDOUT", "COPY t TO STDOUT", false, false, true},
      {"copy t from '/stdin'", "copy t from '/stdin'", false, false, false},
      {"", "", false, false, false},
      {";;", "", false, false, false},
      {"SELECT 'open", "SELECT 'open", true, false, false},
      {"SELECT $x$ open", "SELECT $x$ open", true, false, false},
      {"SELECT 1 /* open", "SELECT 1", true, false, false},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(cases); i++) {
    struct igp_sqltext seen = igp_sqltext_scan(ig_str_from_cstr(cases[i].text));
    if (!ig_str_eq_cstr(seen.body, cases[i].body) || seen.reads != cases[i].reads ||
        seen.into != cases[i].into || seen.copies != cases[i].copies)
      fail_msg("%s: body <%.*s> reads %d into %d copies %d", cases[i].text,
               IG_STR_ARG(seen.body), seen.reads, seen.into, seen.copies);
  }
}

static void names_and_texts_are_quoted(void **state) {
  (void)state;
  IG_AUTO_DONE(ig_buf) out;
  ig_buf_init(&out, 1024);
  igp_quote_name(&out, "a\"b'c\\");
  igp_quote_text(&out, "a\"b'c\\");
  assert_string_equal(out.data, "\"a\"\"b'c\\\"'a\"b''c\\'");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers_of_all_lengths_and_scales_come_back),
      cmocka_unit_test(numbers_with_a_negative_scale_are_multiplied),
      cmocka_unit_test(a_querys_text_is_seen_as_postgresql_sees_it),
      cmocka_unit_test(names_and_texts_are_quoted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
