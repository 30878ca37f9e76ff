/* What PostgreSQL is asked. The texts are by its manual: literals, collations, ctid. */
#include "dialect_cases.h"

#define TYPE(letters)               \
  &(struct ArrowSchema) {           \
    .format = (letters), .name = "" \
  }

static const struct igloo_column columns[] = {
    {"b", TYPE("b"), "boolean", "", true, false},
    {"s", TYPE("s"), "smallint", "", true, false},
    {"i", TYPE("i"), "integer", "", true, false},
    {"l", TYPE("l"), "bigint", "", true, false},
    {"f", TYPE("f"), "real", "", true, false},
    {"g", TYPE("g"), "double precision", "", true, false},
    {"n", TYPE("d:9,2"), "numeric(9,2)", "", true, false},
    {"tc", TYPE("u"), "text", "C", true, false},
    {"td", TYPE("vu"), "character varying(20)", "deterministic", true, false},
    {"tn", TYPE("U"), "text", "nondeterministic", true, false},
    {"tu", TYPE("u"), "text", "", true, false},
    {"nm", TYPE("u"), "name", "C", true, false},
    {"ch", TYPE("u"), "character(3)", "deterministic", true, false},
    {"by", TYPE("z"), "bytea", "", true, false},
    {"u", TYPE("w:16"), "uuid", "", true, false},
    {"d", TYPE("tdD"), "date", "", true, false},
    {"ti", TYPE("ttu"), "time without time zone", "", true, false},
    {"ts", TYPE("tsu:"), "timestamp(3) without time zone", "", true, false},
    {"tz", TYPE("tsu:UTC"), "timestamp with time zone", "", true, false},
    {"js", TYPE("u"), "jsonb", "", true, false},
    {"en", TYPE("u"), "mood", "", true, false},
    {"nn", TYPE("u"), "numeric", "", true, false},
    {"un", TYPE("l"), "", "", true, false},
    {"q\"x", TYPE("i"), "integer", "", true, false},
};

static const struct igloo_table table = {.struct_size = sizeof(struct igloo_table),
                                         .kind = IGLOO_TABLE_BASE,
                                         .schema = "pub\"lic",
                                         .name = "t",
                                         .columns = columns,
                                         .columns_count = IG_ARRAY_LEN(columns),
                                         .rows = -1,
                                         .pages = 1000,
                                         .server_version = 150004,
                                         .misfit = "",
                                         .datetime = ""};

static const struct igloo_dialect *dialect(void) {
  return ig_dialect_find(IG_STR("postgresql"));
}

#define EXACT(notation, text) \
  { notation, IGLOO_PUSH_EXACT, text }
#define INEXACT(notation, text) \
  { notation, IGLOO_PUSH_INEXACT, text }
#define NO(notation, reason) \
  { notation, IGLOO_PUSH_NO, reason }

static void comparisons_of_plain_values_are_exact(void **state) {
  static const struct dialect_case cases[] = {
      EXACT("(= i i=5)", "\"i\" = 5"),
      EXACT("(<> i i=-5)", "\"i\" <> -5"),
      EXACT("(< i=5 i)", "\"i\" > 5"),
      EXACT("(<= s s=32767)", "\"s\" <= 32767"),
      EXACT("(>= l l=-9223372036854775808)", "\"l\" >= '-9223372036854775808'::int8"),
      EXACT("(= (cast l i) l=3000000000)", "\"i\" = 3000000000"),
      EXACT("(= (cast d:15,2 i) d:15,2=550)", "\"i\" = 5.50"),
      EXACT("(> (cast g s) g=0x1.8p0)", "\"s\" > '1.5'::float8"),
      EXACT("(= n d:9,2=-5)", "\"n\" = -0.05"),
      EXACT("(< (cast d:12,4 n) d:12,4=12345)", "\"n\" < 1.2345"),
      EXACT("(distinct i i=1)", "\"i\" IS DISTINCT FROM 1"),
      EXACT("(notdistinct i i=1)", "\"i\" IS NOT DISTINCT FROM 1"),
      EXACT("(= b b=true)", "\"b\" = true"),
      EXACT("b", "\"b\""),
      EXACT("(not b)", "\"b\" = false"),
      EXACT("(= q\"x i=1)", "\"q\"\"x\" = 1"),
      EXACT("(= by z=#00ff5c)", "\"by\" = E'\\\\x00ff5c'::bytea"),
      EXACT("(>= u w:16=#000102030405060708090a0b0c0d0e0f)",
            "\"u\" >= '000102030405060708090a0b0c0d0e0f'::uuid"),
      EXACT("(= i l)", "\"i\" = \"l\""),
      EXACT("(< (cast l i) l)", "\"i\" < \"l\""),
  };
  (void)state;
  assert_cases(dialect(), &table, cases, IG_ARRAY_LEN(cases));
}

static void moments_are_written_in_full_and_in_utc(void **state) {
  static const struct dialect_case cases[] = {
      EXACT("(= d tdD=0)", "\"d\" = '1970-01-01'::date"),
      EXACT("(>= d tdD=-719162)", "\"d\" >= '0001-01-01'::date"),
      EXACT("(<= d tdD=2932896)", "\"d\" <= '9999-12-31'::date"),
      EXACT("(< ti ttu=45000000001)", "\"ti\" < '12:30:00.000001'::time"),
      EXACT("(< (cast ttn ti) ttn=45000000001000)", "\"ti\" < '12:30:00.000001'::time"),
      NO("(< (cast ttn ti) ttn=1)", "it is finer than a microsecond"),
      NO("(< (cast ttm ti) ttm=1)", "the cast may change values"),
      EXACT("(= ts tsu:=1711850400000000)", "\"ts\" = '2024-03-31 02:00:00'::timestamp"),
      EXACT("(= ts tsn:=1711850400000001000)",
            "\"ts\" = '2024-03-31 02:00:00.000001'::timestamp"),
      EXACT("(> tz tsu:UTC=-1)", "\"tz\" > '1969-12-31 23:59:59.999999+00'::timestamptz"),
      EXACT("(= (cast tsu:Europe/Berlin tz) tsu:Europe/Berlin=0)",
            "\"tz\" = '1970-01-01 00:00:00+00'::timestamptz"),
      NO("(= ts tsn:=1)", "it is finer than a microsecond"),
      NO("(= d tdD=-719163)", "the year is not 1 to 9999"),
      NO("(= d tdD=2932897)", "the year is not 1 to 9999"),
      NO("(= ts tsu:=253402300800000000)", "the year is not 1 to 9999"),
      NO("(= ts tsu:=9223372036854775807)", "the year is not 1 to 9999"),
      NO("(= ti ttu=86400000000)", "the constant has no form there"),
      NO("(= (cast tsu: d) tsu:=0)", "the cast may change values"),
      NO("(= (cast tdD ts) tdD=0)", "the cast may change values"),
      NO("(= (cast tsn: ts) tsn:=0)", "the cast may change values"),
      NO("(= (cast tsu:UTC ts) tsu:UTC=0)", "the cast may change values"),
  };
  (void)state;
  assert_cases(dialect(), &table, cases, IG_ARRAY_LEN(cases));
}

static void text_is_equal_by_its_collation_and_ordered_by_c(void **state) {
  static const struct dialect_case cases[] = {
      EXACT("(= tc u='a')", "\"tc\" = 'a'"),
      EXACT("(< tc u='a')", "\"tc\" < 'a'"),
      EXACT("(= td vu='a')", "\"td\" = 'a'"),
      EXACT("(= td vu='a text of more than twelve bytes')",
            "\"td\" = 'a text of more than twelve bytes'"),
      EXACT("(<> td vu='a')", "\"td\" <> 'a'"),
      EXACT("(< td vu='a')", "\"td\" COLLATE \"C\" < 'a'"),
      INEXACT("(= tn U='a')", "\"tn\" = 'a'"),
      EXACT("(<> tn U='a')", "\"tn\" COLLATE \"C\" <> 'a'"),
      INEXACT("(in tn U='a' U='b')", "\"tn\" IN ('a', 'b')"),
      EXACT("(notin tn U='a')", "\"tn\" COLLATE \"C\" NOT IN ('a')"),
      EXACT("(>= tn U='a')", "\"tn\" COLLATE \"C\" >= 'a'"),
      EXACT("(= tc td)", "\"tc\" COLLATE \"C\" = \"td\""),
      EXACT("(< nm u='x')", "\"nm\" < 'x'::text"),
      INEXACT("(= ch u='a')", "\"ch\" = 'a'::bpchar"),
      INEXACT("(in ch u='a' u='b')", "\"ch\" IN ('a'::bpchar, 'b'::bpchar)"),
      NO("(<> ch u='a')", "character(n) ignores blanks at the end"),
      NO("(< ch u='a')", "character(n) ignores blanks at the end"),
      NO("(like ch u='a%' \\)", "character(n) ignores blanks at the end"),
      NO("(= tu u='a')", "the driver does not tell the column's collation"),
      EXACT("(isnull tu)", "\"tu\" IS NOT DISTINCT FROM NULL"),
      NO("(= en u='ok')", "values of the type compare by other rules there"),
      NO("(= nn u='1')", "values of the type compare by other rules there"),
      EXACT("(notnull js)", "\"js\" IS DISTINCT FROM NULL"),
      EXACT("(isnull tc)", "\"tc\" IS NULL"),
  };
  (void)state;
  assert_cases(dialect(), &table, cases, IG_ARRAY_LEN(cases));
}

static void patterns_have_their_own_escape(void **state) {
  static const struct dialect_case cases[] = {
      EXACT("(like tc u='a%' \\)", "\"tc\" LIKE 'a%' ESCAPE '!'"),
      EXACT("(notlike tc u='%a_' \\)", "\"tc\" NOT LIKE '%a_' ESCAPE '!'"),
      EXACT("(like tc u='50\\%!' \\)", "\"tc\" LIKE E'50!%!!' ESCAPE '!'"),
      EXACT("(like tc u='a\\\\b' \\)", "\"tc\" LIKE E'a\\\\b' ESCAPE '!'"),
      EXACT("(like tc u='it''s' \\)", "\"tc\" LIKE 'it''s' ESCAPE '!'"),
      EXACT("(like tc u='a#%' #)", "\"tc\" LIKE 'a!%' ESCAPE '!'"),
      EXACT("(like tn U='a%' \\)", "\"tn\" COLLATE \"C\" LIKE 'a%' ESCAPE '!'"),
      NO("(ilike tc u='a%' \\)", "ILIKE folds letters by other rules there"),
      NO("(like tc u='a\\' \\)", "the pattern's escape means something else there"),
      NO("(like tc u='a%%' %)", "the pattern's escape means something else there"),
      NO("(like tc u=#6100 \\)", "the constant has no form there"),
      NO("(like tc u=null \\)", "the pattern is not a text"),
  };
  (void)state;
  assert_cases(dialect(), &table, cases, IG_ARRAY_LEN(cases));
}

/* Comparisons take the zeros for one value, as PostgreSQL does; lists do not. */
static void floats_are_exact_but_for_zeros_in_lists(void **state) {
  static const struct dialect_case cases[] = {
      EXACT("(= g g=0x1.999999999999ap-4)", "\"g\" = '0.1'::float8"),
      EXACT("(= f f=0x1.99999ap-4)", "\"f\" = '0.1'::float4"),
      EXACT("(= (cast g f) g=0x1.999999999999ap-4)", "\"f\" = '0.1'::float8"),
      EXACT("(> g g=inf)", "\"g\" > 'Infinity'::float8"),
      EXACT("(= g g=0)", "\"g\" = '0'::float8"),
      EXACT("(< g g=-0.0)", "\"g\" < '-0'::float8"),
      EXACT("(<> g g=0)", "\"g\" <> '0'::float8"),
      EXACT("(< f g)", "\"f\" < \"g\""),
      EXACT("(<> f g)", "\"f\" <> \"g\""),
      EXACT("(in g g=1 g=2)", "\"g\" IN ('1'::float8, '2'::float8)"),
      INEXACT("(in g g=1 g=0)", "\"g\" IN ('1'::float8, '0'::float8)"),
      NO("(notin g g=1 g=-0.0)", "-0.0 and 0.0 are one value there"),
      INEXACT("(< (cast d:30,15 g) d:30,15=500000000000000)",
              "\"g\" <= '0.50000000000005'::float8"),
      INEXACT(
          "(between (cast d:14,7 f) d:14,7=0 d:14,7=10000000)",
          "\"f\" >= '-1.0000000000000002e-07'::float8 AND \"f\" <= '1.0000001'::float8"),
      NO("(<> (cast d:30,15 g) d:30,15=1)", "a float is compared as a decimal"),
      NO("(notin (cast d:30,15 g) d:30,15=1)", "the cast may change values"),
      NO("(= (cast d:30,15 g) (cast d:30,15 g))", "the cast may change values"),
      NO("(< g g=nan)", "NaN is another value there"),
      NO("(in g g=nan)", "NaN is another value there"),
  };
  (void)state;
  assert_cases(dialect(), &table, cases, IG_ARRAY_LEN(cases));
}

static void logic_gives_more_rows_never_fewer(void **state) {
  static const struct dialect_case cases[] = {
      EXACT("(and (= i i=1) (= l l=2))", "\"i\" = 1 AND \"l\" = 2"),
      EXACT("(or (= i i=1) (and (= l l=2) b))", "(\"i\" = 1 OR (\"l\" = 2 AND \"b\"))"),
      EXACT("(not (or b (isnull i)))", "NOT ((\"b\" OR \"i\" IS NULL))"),
      INEXACT("(and (= i i=1) (= tu u='a'))", "\"i\" = 1"),
      INEXACT("(and (= tu u='a') (= i i=1))", "\"i\" = 1"),
      INEXACT("(or b (and (= i i=1) (= tu u='a')))", "(\"b\" OR (\"i\" = 1))"),
      NO("(and (= tu u='a') (= tu u='b'))",
         "the driver does not tell the column's collation"),
      NO("(or b (= tu u='a'))", "the driver does not tell the column's collation"),
      NO("(not (and (= i i=1) (= tu u='a')))",
         "the driver does not tell the column's collation"),
      NO("(not (= ch u='a'))", "character(n) ignores blanks at the end"),
      EXACT("(between i i=1 i=9)", "\"i\" >= 1 AND \"i\" <= 9"),
      EXACT("(or b (between i i=1 i=9))", "(\"b\" OR (\"i\" >= 1 AND \"i\" <= 9))"),
      EXACT("(notbetween i i=1 i=9)", "(\"i\" < 1 OR \"i\" > 9)"),
      EXACT("(between g g=0 g=1)", "\"g\" >= '0'::float8 AND \"g\" <= '1'::float8"),
      EXACT("(in i i=1 i=-2 i=null)", "\"i\" IN (1, -2, NULL)"),
      EXACT("(notin i i=1)", "\"i\" NOT IN (1)"),
      EXACT("(in tc u='a' u='''')", "\"tc\" IN ('a', '''')"),
  };
  (void)state;
  assert_cases(dialect(), &table, cases, IG_ARRAY_LEN(cases));
}

static void what_is_not_listed_stays_local_with_a_reason(void **state) {
  static const struct dialect_case cases[] = {
      NO("(= i i=null)", "the comparison is with NULL"),
      EXACT("(= i l=1)", "\"i\" = 1"), /* a number all the same */
      NO("(= (+ i i=1) i=2)", "arithmetic is not pushed"),
      NO("(= (lower tc) u='a')", "functions are not pushed"),
      NO("(= (case b i=1 i=2) i=2)", "CASE is not pushed"),
      NO("(= (opaque tc) u='a')", "the expression is not known there"),
      NO("(lower tc)", "functions are not pushed"),
      NO("(+ i i=1)", "arithmetic is not pushed"),
      NO("(case b i=1)", "CASE is not pushed"),
      NO("(opaque b)", "the expression is not known there"),
      NO("b=true", "it names no column"),
      NO("i", "the column is not boolean"),
      NO("(= i=1 i=2)", "one side is not a column"),
      NO("(= (cast s i) s=1)", "the cast may change values"),
      NO("(= (cast g l) g=1)", "the cast may change values"),
      NO("(= (cast d:9,2 i) d:9,2=1)", "the cast may change values"),
      NO("(= (cast u i) u='1')", "the cast may change values"),
      NO("(= (cast d:9,1 n) d:9,1=1)", "the cast may change values"),
      NO("(= i tc)", "the types of the two sides differ"),
      NO("(= i u='1')", "the types of the two sides differ"),
      NO("(= un l=1)", "the driver does not tell the column's type"),
      NO("(isnull un)", "the driver does not tell the column's type"),
      NO("(= tc u=#ff)", "the text has no form there"),
      NO("(= tc u=#610062)", "the text has no form there"),
      NO("(= u w:4=#00010203)", "the constant has no form there"),
      NO("(in i)", "the list is empty"),
      NO("(in i l)", "one side is not a constant"),
      NO("(+ i)", "arithmetic is not pushed"),
      NO("(isnull (lower tc))", "functions are not pushed"),
  };
  (void)state;
  assert_cases(dialect(), &table, cases, IG_ARRAY_LEN(cases));
}

/* Where infinity is read as NULL, PostgreSQL and the engine see different values. */
static void values_that_are_read_as_null_are_not_asked_for_as_null(void **state) {
  static const struct dialect_case cases[] = {
      INEXACT("(> d tdD=0)", "\"d\" > '1970-01-01'::date"),
      INEXACT("(<> d tdD=0)", "\"d\" <> '1970-01-01'::date"),
      INEXACT("(notnull d)", "\"d\" IS NOT NULL"),
      NO("(isnull d)", "values that do not fit are NULL here"),
      NO("(isnull n)", "values that do not fit are NULL here"),
      NO("(= d d)", "values that do not fit are NULL here"),
      NO("(not (> d tdD=0))", "values that do not fit are NULL here"),
      EXACT("(isnull i)", "\"i\" IS NULL"),
  };
  struct igloo_table nulls = table;
  const char *reason = NULL;
  (void)state;
  nulls.misfit = "null";
  assert_cases(dialect(), &nulls, cases, IG_ARRAY_LEN(cases));
  struct igloo_sort by_date = {.column = 15};
  assert_false(dialect()->sorts(&nulls, &by_date, 1, &reason));
  assert_true(dialect()->sorts(&table, &by_date, 1, &reason));
}

static void statements_have_all_their_clauses_in_order(void **state) {
  const int32_t two[] = {2, 8};
  const struct igloo_sort sort[] = {{8, false, true}, {2, true, false}};
  struct igloo_select what = {.struct_size = sizeof(what), .limit = -1};
  (void)state;
  assert_selects(dialect(), &table, &what, "SELECT FROM \"pub\"\"lic\".\"t\"");
  what.columns = two;
  what.columns_count = 2;
  assert_selects(dialect(), &table, &what,
                 "SELECT \"i\", \"td\" FROM \"pub\"\"lic\".\"t\"");
  what.where = "\"i\" = 1";
  what.split = "ctid < '(5,0)'::tid";
  what.sort = sort;
  what.sort_count = 2;
  what.limit = 5;
  assert_selects(dialect(), &table, &what,
                 "SELECT \"i\", \"td\" FROM \"pub\"\"lic\".\"t\" WHERE \"i\" = 1 AND "
                 "ctid < '(5,0)'::tid ORDER BY \"td\" COLLATE \"C\" NULLS FIRST, \"i\" "
                 "DESC NULLS LAST LIMIT 5");
  struct igloo_table query = {.kind = IGLOO_TABLE_QUERY,
                              .name = "SELECT 1, 2 -- two",
                              .columns = columns,
                              .columns_count = 2};
  struct igloo_select plain = {.columns = (const int32_t[]){1}, .columns_count = 1};
  plain.limit = 0;
  assert_selects(dialect(), &query, &plain,
                 "SELECT \"s\" FROM (\nSELECT 1, 2 -- two\n) AS \"query\" (\"b\", \"s\") "
                 "LIMIT 0");
}

static void sorts_what_has_one_order(void **state) {
  static const bool expected[] = {true, true, true,  true,  false, false, true,  true,
                                  true, true, false, true,  false, true,  true,  true,
                                  true, true, true,  false, false, false, false, true};
  (void)state;
  for (int32_t i = 0; i < (int32_t)IG_ARRAY_LEN(columns); i++) {
    struct igloo_sort sort[] = {{2, false, false}, {i, false, false}};
    const char *reason = NULL;
    bool sorts = dialect()->sorts(&table, sort, 2, &reason);
    if (sorts != expected[i]) fail_msg("%s: %d", columns[i].name, sorts);
    assert_int_equal(sorts, reason[0] == '\0');
  }
}

static void parts_are_ranges_of_pages_with_an_open_end(void **state) {
  struct igloo_table other = table;
  (void)state;
  assert_splits(dialect(), &table, 0, 3, "ctid < '(333,0)'::tid");
  assert_splits(dialect(), &table, 1, 3,
                "ctid >= '(333,0)'::tid AND ctid < '(666,0)'::tid");
  assert_splits(dialect(), &table, 2, 3, "ctid >= '(666,0)'::tid");
  assert_splits(dialect(), &table, 0, 1, NULL);
  assert_splits(dialect(), &table, 3, 3, NULL);
  other.pages = UINT32_MAX;
  assert_splits(dialect(), &other, 1, 2, "ctid >= '(2147483647,0)'::tid");
  other.pages = 0;
  assert_splits(dialect(), &other, 0, 2, NULL);
  other.pages = -1;
  assert_splits(dialect(), &other, 0, 2, NULL);
  other.pages = 1;
  assert_splits(dialect(), &other, 0, 2, "ctid < '(0,0)'::tid");
  assert_splits(dialect(), &other, 1, 2, "ctid >= '(0,0)'::tid");
  other.server_version = 130012;
  assert_splits(dialect(), &other, 0, 2, NULL);
  for (int32_t kind = IGLOO_TABLE_VIEW; kind <= IGLOO_TABLE_QUERY; kind++) {
    other = table;
    other.kind = kind;
    assert_splits(dialect(), &other, 0, 2, NULL);
  }
}

static void quotes_hold_whatever_is_in_them(void **state) {
  (void)state;
  assert_quotes(dialect()->identifier, "a", "\"a\"");
  assert_quotes(dialect()->identifier, "", "\"\"");
  assert_quotes(dialect()->identifier, "\"; DROP TABLE x; --",
                "\"\"\"; DROP TABLE x; --\"");
  assert_quotes(dialect()->literal, "it's", "'it''s'");
  assert_quotes(dialect()->literal, "a\\'b", "E'a\\\\''b'");
  assert_quotes(dialect()->literal, "''", "''''''");
  assert_quotes(dialect()->literal, "\\", "E'\\\\'");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(comparisons_of_plain_values_are_exact),
      cmocka_unit_test(moments_are_written_in_full_and_in_utc),
      cmocka_unit_test(text_is_equal_by_its_collation_and_ordered_by_c),
      cmocka_unit_test(patterns_have_their_own_escape),
      cmocka_unit_test(floats_are_exact_but_for_zeros_in_lists),
      cmocka_unit_test(logic_gives_more_rows_never_fewer),
      cmocka_unit_test(what_is_not_listed_stays_local_with_a_reason),
      cmocka_unit_test(values_that_are_read_as_null_are_not_asked_for_as_null),
      cmocka_unit_test(statements_have_all_their_clauses_in_order),
      cmocka_unit_test(sorts_what_has_one_order),
      cmocka_unit_test(parts_are_ranges_of_pages_with_an_open_end),
      cmocka_unit_test(quotes_hold_whatever_is_in_them),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
