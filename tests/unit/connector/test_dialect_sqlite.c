/* What SQLite is asked. The texts are by its documentation: affinity, collations, GLOB,
 * literals. */
#include "dialect_cases.h"

#define TYPE(letters)               \
  &(struct ArrowSchema) {           \
    .format = (letters), .name = "" \
  }

static const struct igloo_column columns[] = {
    {"i", TYPE("l"), "INTEGER", "", true, true},
    {"j", TYPE("l"), "mediumint(8)", "", true, true},
    {"f", TYPE("g"), "DOUBLE PRECISION", "", true, true},
    {"t", TYPE("u"), "TEXT", "BINARY", true, true},
    {"v", TYPE("vu"), "VARCHAR(20)", "binary", true, true},
    {"nc", TYPE("u"), "TEXT", "NOCASE", true, true},
    {"rt", TYPE("u"), "CLOB", "RTRIM", true, true},
    {"my", TYPE("u"), "TEXT", "german", true, true},
    {"bl", TYPE("z"), "BLOB", "", true, true},
    {"bo", TYPE("b"), "BOOLEAN", "", true, true},
    {"d", TYPE("tdD"), "DATE", "", true, true},
    {"ti", TYPE("ttu"), "TIME", "", true, true},
    {"ts", TYPE("tsu:"), "DATETIME", "", true, true},
    {"tz", TYPE("tsu:UTC"), "TIMESTAMPTZ", "", true, true},
    {"de", TYPE("d:9,2"), "DECIMAL(9,2)", "", true, true},
    {"lo", TYPE("u"), "JSON", "BINARY", true, true},
    {"un", TYPE("u"), "", "", true, true},
    {"a`b", TYPE("l"), "INT", "", true, true},
    {"loose", TYPE("l"), "TEXT", "", true, true},
};

static const struct igloo_table table = {.struct_size = sizeof(struct igloo_table),
                                         .kind = IGLOO_TABLE_BASE,
                                         .schema = "main",
                                         .name = "t`t",
                                         .columns = columns,
                                         .columns_count = IG_ARRAY_LEN(columns),
                                         .rows = -1,
                                         .pages = -1,
                                         .key = "rowid",
                                         .key_min = 1,
                                         .key_max = 1000,
                                         .server_version = 3040001,
                                         .misfit = "error",
                                         .datetime = "text"};

static const struct igloo_dialect *dialect(void) {
  return ig_dialect_find(IG_STR("SQLite"));
}

#define EXACT(notation, text) \
  { notation, IGLOO_PUSH_EXACT, text }
#define INEXACT(notation, text) \
  { notation, IGLOO_PUSH_INEXACT, text }
#define NO(notation, reason) \
  { notation, IGLOO_PUSH_NO, reason }

static void comparisons_of_plain_values_are_exact(void **state) {
  static const struct dialect_case cases[] = {
      EXACT("(= i l=5)", "`i` = 5"),
      EXACT("(> i l=-9223372036854775808)", "`i` > -9223372036854775808"),
      EXACT("(< l=5 j)", "`j` > 5"),
      EXACT("(= a`b l=1)", "`a``b` = 1"),
      EXACT("(distinct i l=1)", "`i` IS NOT 1"),
      EXACT("(notdistinct i l=1)", "`i` IS 1"),
      EXACT("(= i j)", "`i` = `j`"),
      EXACT("(in i l=1 l=2 l=null)", "`i` IN (1, 2, NULL)"),
      EXACT("(between i l=1 l=9)", "`i` >= 1 AND `i` <= 9"),
      EXACT("(= bl z=#00ff27)", "`bl` = x'00ff27'"),
      EXACT("bo", "`bo` = 1"),
      EXACT("(not bo)", "`bo` = 0"),
      EXACT("(= bo b=false)", "`bo` = 0"),
      EXACT("(isnull lo)", "`lo` IS NULL"),
      NO("(= i L=18446744073709551615)", "the number has no form there"),
      NO("(= loose l=1)", "values of the type compare by other rules there"),
      NO("(= un u='a')", "the driver does not tell the column's type"),
      NO("(= lo u='a')", "values of the type compare by other rules there"),
      INEXACT("(= de d:9,2=1000)",
              "(`de` >= 9.999999999999 AND `de` <= 10.000000000001)"),
      INEXACT("(< de d:9,2=-1000)", "`de` <= -9.999999999999"),
      INEXACT("(>= de d:9,2=0)", "`de` >= 0"),
      NO("(<> de d:9,2=1000)", "a decimal is a binary number there"),
      NO("(in de d:9,2=1000)", "the constant has no form there"),
      INEXACT("(> (cast d:21,1 i) d:21,1=10)", "`i` >= 0.9999999999999"),
      INEXACT("(< (cast d:30,15 f) d:30,15=100000000000000)",
              "`f` <= 0.10000000000001001"),
      INEXACT("(= (cast d:30,15 f) d:30,15=0)", "(`f` >= -1e-15 AND `f` <= 1e-15)"),
      NO("(<> (cast d:30,15 f) d:30,15=0)", "a decimal is a binary number there"),
      NO("(in (cast d:30,15 f) d:30,15=0)", "the cast may change values"),
      NO("(isnull (cast d:30,15 f))", "the cast may change values"),
      NO("(<> (cast d:21,1 i) d:21,1=10)", "a decimal is a binary number there"),
  };
  (void)state;
  assert_cases(dialect(), &table, cases, IG_ARRAY_LEN(cases));
}

/* SQLite reads 0.1 as it can; these divisions it cannot get wrong. */
static void floats_are_written_so_that_no_bit_is_lost(void **state) {
  static const struct dialect_case cases[] = {
      EXACT("(= f g=0x1.8p0)", "`f` = 1.5"),
      EXACT("(= f g=0x1.4p-3)", "`f` = 0.15625"),
      EXACT("(> f g=3)", "`f` > 3.0"),
      EXACT("(> f g=-3)", "`f` > -3.0"),
      EXACT("(> f g=4611686018427387904)", "`f` > (1.0 * 2305843009213693952.0 * 2.0)"),
      EXACT("(> f g=4503599627370497)", "`f` > 4503599627370497.0"),
      EXACT("(< f g=0x1.999999999999ap-4)",
            "`f` < (3602879701896397.0 / 36028797018963968.0)"),
      EXACT("(< f g=-0x1.999999999999ap-4)",
            "`f` < -(3602879701896397.0 / 36028797018963968.0)"),
      EXACT("(< f g=0x1.999999999999ap-20)",
            "`f` < (3602879701896397.0 / 2305843009213693952.0 / 1024.0)"),
      EXACT("(= f g=inf)", "`f` = 9e999"),
      EXACT("(= f g=-inf)", "`f` = -9e999"),
      NO("(= f g=0x1p-1074)", "the number has no exact form there"),
      NO("(= f g=0x1p300)", "the number has no exact form there"),
      EXACT("(= f g=-0.0)", "`f` = 0.0"),
      EXACT("(< f g=0)", "`f` < 0.0"),
      NO("(notin f g=0)", "-0.0 and 0.0 are one value there"),
      NO("(= f g=nan)", "NaN is another value there"),
  };
  (void)state;
  assert_cases(dialect(), &table, cases, IG_ARRAY_LEN(cases));
}

static void text_is_compared_by_its_bytes(void **state) {
  static const struct dialect_case cases[] = {
      EXACT("(= t u='it''s')", "`t` = 'it''s'"),
      EXACT("(< v vu='a')", "`v` < 'a'"),
      INEXACT("(= nc u='a')", "`nc` = 'a'"),
      INEXACT("(in rt u='a')", "`rt` IN ('a')"),
      EXACT("(<> nc u='a')", "`nc` COLLATE BINARY <> 'a'"),
      EXACT("(< rt u='a')", "`rt` COLLATE BINARY < 'a'"),
      EXACT("(= t v)", "`t` COLLATE BINARY = `v`"),
      NO("(not (= nc u='a'))", "the collation takes different texts for one"),
      NO("(= my u='a')", "the collation is not known"),
      EXACT("(isnull my)", "`my` IS NULL"),
      NO("(= t u=#00)", "the text has no form there"),
      NO("(= t u=#ff)", "the text has no form there"),
      EXACT("(= t u='a\\b')", "`t` = 'a\\b'"),
  };
  (void)state;
  assert_cases(dialect(), &table, cases, IG_ARRAY_LEN(cases));
}

static void patterns_become_what_does_not_fold_letters(void **state) {
  static const struct dialect_case cases[] = {
      EXACT("(like t u='abc' \\)", "`t` = 'abc'"),
      EXACT("(notlike nc u='abc' \\)", "`nc` COLLATE BINARY <> 'abc'"),
      EXACT("(like t u='abc%' \\)", "(`t` >= 'abc' AND `t` < 'abd')"),
      EXACT("(notlike t u='abc%' \\)", "(`t` < 'abc' OR `t` >= 'abd')"),
      EXACT("(like nc u='it''&%' \\)",
            "(`nc` COLLATE BINARY >= 'it''&' AND `nc` COLLATE BINARY < 'it''''')"),
      EXACT("(like t u=#ed9fbf25 \\)",
            "(`t` >= '\xed\x9f\xbf' AND `t` < '\xee\x80\x80')"),
      EXACT("(like t u=#61f48fbfbf25 \\)", "(`t` >= 'a\xf4\x8f\xbf\xbf' AND `t` < 'b')"),
      NO("(like t u=#f48fbfbf25 \\)", "the pattern has no form there"),
      EXACT("(like t u='%it''s%' \\)", "instr(`t`, 'it''s') > 0"),
      EXACT("(notlike t u='%a\\%%' \\)", "instr(`t`, 'a%') = 0"),
      INEXACT("(like t u='a_c' \\)", "(`t` GLOB 'a?c' OR instr(`t`, char(0)) > 0)"),
      INEXACT("(like t u='%[*]?' \\)",
              "(`t` GLOB '*[[][*]][?]' OR instr(`t`, char(0)) > 0)"),
      INEXACT("(notlike t u='%''x' \\)",
              "(`t` NOT GLOB '*''x' OR instr(`t`, char(0)) > 0)"),
      NO("(like t u='a%b%c%d%e%f' \\)", "the pattern is too large"),
      NO("(like i u='1%' \\)", "the type has no such operator there"),
  };
  (void)state;
  assert_cases(dialect(), &table, cases, IG_ARRAY_LEN(cases));
}

static void moments_are_texts_that_begin_with_their_day(void **state) {
  static const struct dialect_case cases[] = {
      EXACT("(>= d tdD=0)", "`d` >= '1970-01-01'"),
      EXACT("(in d tdD=0 tdD=1)", "`d` IN ('1970-01-01', '1970-01-02')"),
      INEXACT("(= ts tsu:=1)", "(`ts` >= '1970-01-01' AND `ts` < '1970-01-02')"),
      INEXACT("(> ts tsu:=-1)", "`ts` >= '1969-12-31'"),
      INEXACT("(<= ts tsu:=86399999999)", "`ts` < '1970-01-02'"),
      INEXACT("(< tz tsu:UTC=0)", "`tz` < '1970-01-03'"),
      INEXACT("(>= tz tsu:UTC=0)", "`tz` >= '1969-12-31'"),
      NO("(<> ts tsu:=0)", "a time is written there in more than one way"),
      NO("(in ts tsu:=0)", "the constant has no form there"),
      NO("(= ts ts)", "the columns compare by other rules there"),
      NO("(= ti ttu=0)", "values of the type compare by other rules there"),
      NO("(= d tdD=2932897)", "the year is not 1 to 9999"),
      NO("(<= ts tsu:=253402300799000000)", "the year is not 1 to 9999"),
  };
  static const struct dialect_case by_number[] = {
      NO("(= d tdD=0)", "dates and times are not texts there"),
      NO("(< ts tsu:=0)", "dates and times are not texts there"),
      EXACT("(isnull d)", "`d` IS NULL"),
  };
  struct igloo_table unix_times = table;
  (void)state;
  assert_cases(dialect(), &table, cases, IG_ARRAY_LEN(cases));
  unix_times.datetime = "unix";
  assert_cases(dialect(), &unix_times, by_number, IG_ARRAY_LEN(by_number));
}

/* The same table where nothing binds values to their types. */
static struct igloo_table loosened(struct igloo_column *loose) {
  struct igloo_table other = table;
  memcpy(loose, columns, sizeof(columns));
  for (size_t i = 0; i < IG_ARRAY_LEN(columns); i++) loose[i].fits = i == 0;
  other.columns = loose;
  return other;
}

static void a_condition_keeps_no_value_that_does_not_fit(void **state) {
  static const struct dialect_case cases[] = {
      EXACT("(> i l=1)", "`i` > 1"),
      EXACT("(= j l=1)", "`j` = 1"),
      EXACT("(> j l=1)", "(`j` > 1 AND `j` = CAST(`j` AS INTEGER))"),
      EXACT("(<> f g=1)", "(`f` <> 1.0 AND `f` = CAST(`f` AS REAL))"),
      EXACT("(< t u='a')", "(`t` < 'a' AND typeof(`t`) = 'text')"),
      EXACT("(>= bl z=#00)", "(`bl` >= x'00' AND typeof(`bl`) = 'blob')"),
      EXACT("(> bo b=false)", "(`bo` > 0 AND `bo` IN (0, 1))"),
      EXACT("(> d tdD=0)", "(`d` > '1970-01-01' AND `d` = date(`d`, '+0 days'))"),
      EXACT("(notin j l=1 l=2)", "(`j` NOT IN (1, 2) AND `j` = CAST(`j` AS INTEGER))"),
      EXACT("(in j l=1 l=2)", "`j` IN (1, 2)"),
      EXACT("bo", "`bo` = 1"),
      EXACT("(not bo)", "`bo` = 0"),
      EXACT("(like t u='a%' \\)", "(`t` >= 'a' AND `t` < 'b')"),
      EXACT("(notlike t u='a%' \\)",
            "((`t` < 'a' OR `t` >= 'b') AND typeof(`t`) = 'text')"),
      EXACT("(like t u='%a%' \\)", "(instr(`t`, 'a') > 0 AND typeof(`t`) = 'text')"),
      EXACT("(notlike t u='a' \\)", "(`t` <> 'a' AND typeof(`t`) = 'text')"),
      EXACT("(and (= j l=1) (or bo (= t u='a')))", "`j` = 1 AND (`bo` = 1 OR `t` = 'a')"),
      EXACT("(isnull j)", "`j` IS NULL"),
      INEXACT("(notnull j)", "`j` IS NOT NULL"),
      INEXACT("(distinct j l=1)", "`j` IS NOT 1"),
      INEXACT("(= j j)", "`j` = `j`"),
      INEXACT("(< ts tsu:=0)", "`ts` < '1970-01-02'"),
      NO("(not (= j l=1))", "values may be there that do not fit"),
      NO("(not (> j l=1))", "values may be there that do not fit"),
      NO("(not (isnull j))", "values may be there that do not fit"),
      EXACT("(not (> i l=1))", "NOT (`i` > 1)"),
  };
  static const struct dialect_case of_view[] = {
      INEXACT("(= j l=1)", "`j` = 1"),
      INEXACT("(> j l=1)", "`j` > 1"),
      INEXACT("bo", "`bo` = 1"),
      INEXACT("(isnull j)", "`j` IS NULL"),
  };
  struct igloo_column loose[IG_ARRAY_LEN(columns)];
  struct igloo_table other = loosened(loose);
  (void)state;
  assert_cases(dialect(), &other, cases, IG_ARRAY_LEN(cases));
  other.kind = IGLOO_TABLE_VIEW;
  assert_cases(dialect(), &other, of_view, IG_ARRAY_LEN(of_view));
}

static void what_does_not_fit_is_not_taken_for_what_it_is_read_as(void **state) {
  static const struct dialect_case as_null[] = {
      INEXACT("(= j l=1)", "`j` = 1"),
      INEXACT("(<> j l=1)", "`j` <> 1"),
      INEXACT("(notnull j)", "`j` IS NOT NULL"),
      NO("(isnull j)", "values that do not fit are NULL here"),
      NO("(not (= j l=1))", "values that do not fit are NULL here"),
      NO("(= i j)", "values that do not fit are NULL here"),
      INEXACT("bo", "`bo` = 1"),
      EXACT("(= i l=1)", "`i` = 1"),
      EXACT("(isnull i)", "`i` IS NULL"),
  };
  static const struct dialect_case as_text[] = {
      NO("(= t u='a')", "values that do not fit are text here"),
      NO("(= j l=1)", "values that do not fit are text here"),
      EXACT("(isnull t)", "`t` IS NULL"),
      EXACT("(= i l=1)", "`i` = 1"),
  };
  struct igloo_column loose[IG_ARRAY_LEN(columns)];
  struct igloo_table other = loosened(loose);
  struct igloo_sort by_j = {.column = 1};
  const char *reason = NULL;
  (void)state;
  assert_true(dialect()->sorts(&other, &by_j, 1, &reason));
  other.misfit = "null";
  assert_cases(dialect(), &other, as_null, IG_ARRAY_LEN(as_null));
  assert_false(dialect()->sorts(&other, &by_j, 1, &reason));
  other.misfit = "text";
  assert_cases(dialect(), &other, as_text, IG_ARRAY_LEN(as_text));
  assert_false(dialect()->sorts(&other, &by_j, 1, &reason));
}

static void statements_have_all_their_clauses_in_order(void **state) {
  const int32_t two[] = {0, 5};
  const struct igloo_sort sort[] = {{5, true, false}, {0, false, true}};
  struct igloo_select what = {.struct_size = sizeof(what), .limit = -1};
  (void)state;
  assert_selects(dialect(), &table, &what, "SELECT NULL FROM `main`.`t``t`");
  what.columns = two;
  what.columns_count = 2;
  what.where = "`i` = 1";
  what.split = "`rowid` < 5";
  what.sort = sort;
  what.sort_count = 2;
  what.limit = 5;
  assert_selects(dialect(), &table, &what,
                 "SELECT `i`, `nc` FROM `main`.`t``t` WHERE `i` = 1 AND `rowid` < 5 "
                 "ORDER BY `nc` COLLATE BINARY DESC NULLS LAST, `i` NULLS FIRST LIMIT 5");
  struct igloo_table query = {.kind = IGLOO_TABLE_QUERY,
                              .name = "SELECT 1, 2 -- two",
                              .columns = columns,
                              .columns_count = 2};
  struct igloo_select plain = {
      .columns = (const int32_t[]){1}, .columns_count = 1, .limit = -1};
  assert_selects(dialect(), &query, &plain,
                 "WITH `query` (`i`, `j`) AS (\nSELECT 1, 2 -- two\n) SELECT `j` FROM "
                 "`query`");
}

static void sorts_what_has_one_order(void **state) {
  static const char *const names[] = {"i",  "j",  "t",  "v", "nc",
                                      "rt", "bl", "bo", "d", "a`b"};
  (void)state;
  for (int32_t i = 0; i < (int32_t)IG_ARRAY_LEN(columns); i++) {
    struct igloo_sort sort = {i, false, false};
    const char *reason = NULL;
    bool expected = false;
    for (size_t n = 0; n < IG_ARRAY_LEN(names); n++)
      expected = expected || strcmp(names[n], columns[i].name) == 0;
    bool sorts = dialect()->sorts(&table, &sort, 1, &reason);
    if (sorts != expected) fail_msg("%s: %d", columns[i].name, sorts);
    assert_int_equal(sorts, reason[0] == '\0');
  }
}

static void parts_are_ranges_of_keys_with_open_ends(void **state) {
  struct igloo_table other = table;
  (void)state;
  assert_splits(dialect(), &table, 0, 4, "`rowid` < 251");
  assert_splits(dialect(), &table, 1, 4, "`rowid` >= 251 AND `rowid` < 501");
  assert_splits(dialect(), &table, 3, 4, "`rowid` >= 751");
  assert_splits(dialect(), &table, 0, 1, NULL);
  other.key_min = INT64_MIN;
  other.key_max = INT64_MAX;
  assert_splits(dialect(), &other, 1, 2, "`rowid` >= 0");
  assert_splits(dialect(), &other, 0, UINT32_MAX, "`rowid` < -9223372032559808511");
  other.key_min = other.key_max = 7;
  assert_splits(dialect(), &other, 0, 2, "`rowid` < 7");
  assert_splits(dialect(), &other, 1, 2, "`rowid` >= 7");
  other.key_min = 8;
  assert_splits(dialect(), &other, 0, 2, NULL);
  other = table;
  other.key = NULL;
  assert_splits(dialect(), &other, 0, 2, NULL);
  other = table;
  other.kind = IGLOO_TABLE_VIEW;
  assert_splits(dialect(), &other, 0, 2, NULL);
}

static void quotes_hold_whatever_is_in_them(void **state) {
  (void)state;
  assert_quotes(dialect()->identifier, "a\"b", "`a\"b`");
  assert_quotes(dialect()->identifier, "`; DROP TABLE x; --", "```; DROP TABLE x; --`");
  assert_quotes(dialect()->literal, "it's \\", "'it''s \\'");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(comparisons_of_plain_values_are_exact),
      cmocka_unit_test(floats_are_written_so_that_no_bit_is_lost),
      cmocka_unit_test(text_is_compared_by_its_bytes),
      cmocka_unit_test(patterns_become_what_does_not_fold_letters),
      cmocka_unit_test(moments_are_texts_that_begin_with_their_day),
      cmocka_unit_test(a_condition_keeps_no_value_that_does_not_fit),
      cmocka_unit_test(what_does_not_fit_is_not_taken_for_what_it_is_read_as),
      cmocka_unit_test(statements_have_all_their_clauses_in_order),
      cmocka_unit_test(sorts_what_has_one_order),
      cmocka_unit_test(parts_are_ranges_of_keys_with_open_ends),
      cmocka_unit_test(quotes_hold_whatever_is_in_them),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
