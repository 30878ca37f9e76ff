/* Tests of src/sql/statement.c. */
#include "support.h"

#include "base/buf.h"
#include "sql/statement.h"

#include "sql/option.h"

static struct ig_sql_statement st;

static igloo_status parse(const char *sql) {
  return ig_sql_statement_parse(ig_str_from_cstr(sql), &st, &test_err);
}

#define assert_kind(sql, expected_kind)                                      \
  do {                                                                       \
    assert_ok(parse(sql));                                                   \
    if (st.kind != (expected_kind)) fail_msg("%s is kind %d", sql, st.kind); \
  } while (0)

#define assert_syntax_error(sql, near, line, column)       \
  do {                                                     \
    assert_fails(parse(sql), IGLOO_SYNTAX_ERROR, "42601"); \
    assert_message_has(near);                              \
    assert_position(line, column);                         \
  } while (0)

static void what_is_not_ours_is_for_the_engine(void **state) {
  (void)state;
  static const char *const theirs[] = {
      "SELECT 1",
      "WITH x AS (SELECT 1) SELECT * FROM x",
      "FROM t",
      "VALUES (1)",
      "(SELECT 1)",
      "INSERT INTO t VALUES (1)",
      "COPY t TO 'f.csv'",
      "CREATE TABLE t AS SELECT 1",
      "CREATE OR REPLACE VIEW v AS SELECT 1",
      "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'x'",
      "DROP TABLE t",
      "DROP VIEW IF EXISTS v",
      "ALTER TABLE t ADD COLUMN c INT",
      "UPDATE t SET a = 1",
      "DELETE FROM t",
      "CREATE OR x",
      "\"show\" tables",
      "nonsense",
      "42",
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(theirs); i++) assert_kind(theirs[i], IG_SQL_ENGINE);
}

static void text_is_the_statement_without_its_semicolons(void **state) {
  (void)state;
  assert_kind(" ; -- c\n SELECT 1 /* d */ ; ;", IG_SQL_ENGINE);
  assert_str_eq(st.text, "SELECT 1");
  assert_int_equal(st.offset, 9);
  assert_kind("", IG_SQL_EMPTY);
  assert_kind(" ;; -- x", IG_SQL_EMPTY);
  assert_int_equal(st.text.len, 0);
}

static void second_statement_is_refused_where_it_starts(void **state) {
  (void)state;
  assert_syntax_error("SELECT 1;\n SELECT 2", "multiple commands", 2, 2);
  assert_syntax_error("SHOW TABLES; x", "multiple commands", 1, 14);
  assert_syntax_error("SELECT 'a", "unterminated", 1, 8);
}

static void show_knows_its_lists_and_filters(void **state) {
  (void)state;
  assert_kind("SHOW ALL", IG_SQL_SHOW_ALL);
  assert_kind("show tables", IG_SQL_SHOW_TABLES);
  assert_int_equal(st.name.len, 0);
  assert_kind("SHOW TABLES FROM c.\"S\" LIKE 'a%'", IG_SQL_SHOW_TABLES);
  assert_str_eq(st.name, "c.\"S\"");
  assert_str_eq(st.pattern, "'a%'");
  assert_kind("SHOW SCHEMAS IN c;", IG_SQL_SHOW_SCHEMAS);
  assert_str_eq(st.name, "c");
  assert_kind("SHOW CATALOGS LIKE 'x'", IG_SQL_SHOW_CATALOGS);
  assert_kind("SHOW DATABASES", IG_SQL_SHOW_CATALOGS);
  assert_kind("SHOW COLUMNS FROM a . b.c", IG_SQL_SHOW_COLUMNS);
  assert_str_eq(st.name, "a . b.c");
  assert_kind("SHOW FUNCTIONS LIKE $$s%$$", IG_SQL_SHOW_FUNCTIONS);
  assert_kind("SHOW CREATE TABLE t", IG_SQL_SHOW_CREATE_TABLE);
  assert_str_eq(st.name, "t");
  assert_kind("SHOW CREATE VIEW v", IG_SQL_SHOW_CREATE_TABLE);
  assert_kind("SHOW search_path", IG_SQL_SHOW_SETTING);
  assert_str_eq(st.name, "search_path");
  assert_kind("SHOW igloo.cache", IG_SQL_SHOW_SETTING);
  assert_str_eq(st.name, "igloo.cache");
  assert_kind("SHOW TIME ZONE", IG_SQL_SHOW_SETTING);
  assert_str_eq(st.name, "time_zone");
  assert_kind("SHOW time", IG_SQL_SHOW_SETTING);
  assert_str_eq(st.name, "time");
}

static void malformed_show_is_a_syntax_error_at_its_place(void **state) {
  (void)state;
  assert_syntax_error("SHOW", "at end of input", 1, 5);
  assert_syntax_error("SHOW ;", "at end of input", 1, 5);
  assert_syntax_error("SHOW TABLES x", "near \"x\"", 1, 13);
  assert_syntax_error("SHOW TABLES\nFROM a.b.c", "near \"c\"", 2, 10);
  assert_syntax_error("SHOW COLUMNS", "at end of input", 1, 13);
  assert_syntax_error("SHOW COLUMNS t", "near \"t\"", 1, 14);
  assert_syntax_error("SHOW TABLES LIKE x", "near \"x\"", 1, 18);
  assert_syntax_error("SHOW CREATE x", "near \"x\"", 1, 13);
  assert_syntax_error("SHOW FUNCTIONS FROM t", "near \"FROM\"", 1, 16);
  assert_syntax_error("SHOW 'x'", "near \"'x'\"", 1, 6);
  assert_syntax_error("SHOW a b", "near \"b\"", 1, 8);
}

static void describe_takes_a_name_a_query_or_a_source(void **state) {
  (void)state;
  assert_kind("DESCRIBE t", IG_SQL_DESCRIBE);
  assert_str_eq(st.name, "t");
  assert_str_eq(st.inner, "t");
  assert_false(st.inner_is_query);
  assert_kind("DESC a.b.\"C\" ;", IG_SQL_DESCRIBE);
  assert_str_eq(st.name, "a.b.\"C\"");
  assert_kind("\nDESCRIBE  SELECT 1 -- x\n", IG_SQL_DESCRIBE);
  assert_true(st.inner_is_query);
  assert_int_equal(st.name.len, 0);
  assert_str_eq(st.inner, "SELECT 1");
  assert_int_equal(st.inner_offset, 11);
  assert_kind("DESCRIBE WITH x AS (SELECT 1) FROM x", IG_SQL_DESCRIBE);
  assert_true(st.inner_is_query);
  assert_kind("DESCRIBE (SELECT 1)", IG_SQL_DESCRIBE);
  assert_true(st.inner_is_query);
  assert_kind("SUMMARIZE 'a/*.parquet'", IG_SQL_SUMMARIZE);
  assert_false(st.inner_is_query);
  assert_int_equal(st.name.len, 0);
  assert_str_eq(st.inner, "'a/*.parquet'");
  assert_kind("SUMMARIZE read_csv('a', sep => ';')", IG_SQL_SUMMARIZE);
  assert_int_equal(st.name.len, 0);
  assert_str_eq(st.inner, "read_csv('a', sep => ';')");
  assert_kind("SUMMARIZE FROM t", IG_SQL_SUMMARIZE);
  assert_true(st.inner_is_query);
  assert_syntax_error("DESCRIBE", "at end of input", 1, 9);
  assert_syntax_error("DESCRIBE a b", "near \"b\"", 1, 12);
  assert_syntax_error("DESCRIBE a.", "at end of input", 1, 12);
  assert_syntax_error("DESCRIBE f(1", "at end of input", 1, 13);
  assert_syntax_error("SUMMARIZE 'a' 'b'", "near \"'b'\"", 1, 15);
}

static void explain_gives_its_options_and_the_statement(void **state) {
  (void)state;
  assert_kind("EXPLAIN SELECT 1", IG_SQL_EXPLAIN);
  assert_str_eq(st.inner, "SELECT 1");
  assert_int_equal(st.inner_offset, 8);
  assert_false(st.explain_analyze);
  assert_int_equal(st.explain_format, IG_EXPLAIN_DEFAULT);
  assert_kind("EXPLAIN ANALYZE VERBOSE SELECT 1", IG_SQL_EXPLAIN);
  assert_true(st.explain_analyze);
  assert_true(st.explain_verbose);
  assert_str_eq(st.inner, "SELECT 1");
  assert_kind("EXPLAIN (ANALYZE, VERBOSE off, FORMAT json) (SELECT 1)", IG_SQL_EXPLAIN);
  assert_true(st.explain_analyze);
  assert_false(st.explain_verbose);
  assert_int_equal(st.explain_format, IG_EXPLAIN_JSON);
  assert_str_eq(st.inner, "(SELECT 1)");
  assert_kind("EXPLAIN (FORMAT 'TREE') INSERT INTO t FROM u", IG_SQL_EXPLAIN);
  assert_int_equal(st.explain_format, IG_EXPLAIN_TREE);
  assert_kind("EXPLAIN ANALYZE FORMAT tree SELECT 1", IG_SQL_EXPLAIN);
  assert_int_equal(st.explain_format, IG_EXPLAIN_TREE);
  assert_kind("EXPLAIN (ANALYZE 0, VERBOSE true) SELECT 1", IG_SQL_EXPLAIN);
  assert_false(st.explain_analyze);
  assert_true(st.explain_verbose);
  assert_kind("EXPLAIN ((SELECT 1))", IG_SQL_EXPLAIN);
  assert_str_eq(st.inner, "((SELECT 1))");
  assert_kind("EXPLAIN (WITH a AS (FROM t) FROM a)", IG_SQL_EXPLAIN);
  assert_kind("EXPLAIN SHOW TABLES", IG_SQL_EXPLAIN);
  assert_str_eq(st.inner, "SHOW TABLES");
  assert_syntax_error("EXPLAIN", "at end of input", 1, 8);
  assert_syntax_error("EXPLAIN ANALYZE", "at end of input", 1, 16);
  assert_syntax_error("EXPLAIN EXPLAIN SELECT 1", "near \"EXPLAIN\"", 1, 9);
  assert_syntax_error("EXPLAIN (BUFFERS) SELECT 1", "near \"BUFFERS\"", 1, 10);
  assert_syntax_error("EXPLAIN (ANALYZE SELECT 1", "near \"SELECT\"", 1, 18);
  assert_syntax_error("EXPLAIN (ANALYZE", "at end of input", 1, 17);
  assert_fails(parse("EXPLAIN (FORMAT xml) SELECT 1"), IGLOO_INVALID_ARGUMENT, "22023");
  assert_message_has("\"xml\"");
  assert_position(1, 17);
}

#define assert_set(sql, expected_name, expected_value)        \
  do {                                                        \
    assert_kind(sql, IG_SQL_SET);                             \
    assert_str_eq(st.name, expected_name);                    \
    IG_AUTO_CHAR *set_value_ = NULL;                          \
    assert_ok(ig_sql_set_value(&st, &set_value_, &test_err)); \
    assert_string_equal(set_value_, expected_value);          \
  } while (0)

static void set_gives_name_and_value(void **state) {
  (void)state;
  assert_set("SET igloo.cache = on", "igloo.cache", "on");
  assert_set("SET statement_timeout TO '10 min'", "statement_timeout", "10 min");
  assert_set("set session statement_timeout = 500;", "statement_timeout", "500");
  assert_set("SET x = -1.5", "x", "-1.5");
  assert_set("SET x = 'it''s'", "x", "it's");
  assert_set("SET search_path TO a, \"B c\", 'D', 'e'", "search_path",
             "a, \"B c\", \"D\", e");
  assert_set("SET search_path = 'a, b'", "search_path", "a, b");
  assert_set("SET TIME ZONE 'Europe/Berlin'", "time_zone", "Europe/Berlin");
  assert_set("SET TIME ZONE UTC", "time_zone", "UTC");
  assert_set("SET TIME ZONE +2", "time_zone", "+2");
  assert_set("SET time_zone = 'UTC'", "time_zone", "UTC");
  assert_syntax_error("SET", "at end of input", 1, 4);
  assert_syntax_error("SET x", "at end of input", 1, 6);
  assert_syntax_error("SET x =", "at end of input", 1, 8);
  assert_syntax_error("SET x = 1 2", "near \"2\"", 1, 11);
  assert_syntax_error("SET x = (1)", "near \"(\"", 1, 9);
  assert_syntax_error("SET x = a,", "at end of input", 1, 11);
  assert_syntax_error("SET x = - a", "near \"a\"", 1, 11);
  assert_syntax_error("SET time_zone 'UTC'", "near \"'UTC'\"", 1, 15);
}

static void reset_takes_a_name_or_all(void **state) {
  (void)state;
  assert_kind("RESET igloo.cache", IG_SQL_RESET);
  assert_str_eq(st.name, "igloo.cache");
  assert_kind("RESET ALL", IG_SQL_RESET_ALL);
  assert_kind("SET x = DEFAULT", IG_SQL_RESET);
  assert_str_eq(st.name, "x");
  assert_kind("SET TIME ZONE LOCAL", IG_SQL_RESET);
  assert_str_eq(st.name, "time_zone");
  assert_kind("RESET TIME ZONE", IG_SQL_RESET);
  assert_str_eq(st.name, "time_zone");
  assert_syntax_error("RESET", "at end of input", 1, 6);
  assert_syntax_error("RESET ALL x", "near \"x\"", 1, 11);
}

static void prepared_statements_have_name_types_and_text(void **state) {
  (void)state;
  assert_kind("PREPARE p AS SELECT $1", IG_SQL_PREPARE);
  assert_str_eq(st.name, "p");
  assert_str_eq(st.inner, "SELECT $1");
  assert_int_equal(st.inner_offset, 13);
  assert_int_equal(st.types.len, 0);
  assert_kind("PREPARE \"P\" ( int, decimal(10, 2) ) AS\nSELECT $1;", IG_SQL_PREPARE);
  assert_str_eq(st.types, "int, decimal(10, 2)");
  assert_str_eq(st.inner, "SELECT $1");
  assert_kind("EXECUTE p", IG_SQL_EXECUTE);
  assert_int_equal(st.arguments.len, 0);
  assert_kind("EXECUTE p(1, f('a)'), (2))", IG_SQL_EXECUTE);
  assert_str_eq(st.name, "p");
  assert_str_eq(st.arguments, "1, f('a)'), (2)");
  assert_kind("DEALLOCATE PREPARE p", IG_SQL_DEALLOCATE);
  assert_str_eq(st.name, "p");
  assert_kind("DEALLOCATE ALL", IG_SQL_DEALLOCATE_ALL);
  assert_kind("DEALLOCATE PREPARE ALL", IG_SQL_DEALLOCATE_ALL);
  assert_syntax_error("PREPARE p SELECT 1", "near \"SELECT\"", 1, 11);
  assert_syntax_error("PREPARE p AS", "at end of input", 1, 13);
  assert_syntax_error("PREPARE a.b AS SELECT 1", "near \"b\"", 1, 11);
  assert_syntax_error("EXECUTE p(1", "at end of input", 1, 12);
  assert_syntax_error("EXECUTE p 1", "near \"1\"", 1, 11);
  assert_syntax_error("DEALLOCATE", "at end of input", 1, 11);
}

static void schemas_are_created_and_dropped(void **state) {
  (void)state;
  assert_kind("CREATE SCHEMA s", IG_SQL_CREATE_SCHEMA);
  assert_str_eq(st.name, "s");
  assert_false(st.if_not_exists);
  assert_kind("CREATE SCHEMA IF NOT EXISTS c.s", IG_SQL_CREATE_SCHEMA);
  assert_true(st.if_not_exists);
  assert_str_eq(st.name, "c.s");
  assert_kind("DROP SCHEMA IF EXISTS s CASCADE", IG_SQL_DROP_SCHEMA);
  assert_true(st.if_exists);
  assert_true(st.cascade);
  assert_kind("DROP SCHEMA s RESTRICT", IG_SQL_DROP_SCHEMA);
  assert_false(st.cascade);
  assert_kind("USE c.s", IG_SQL_USE);
  assert_str_eq(st.name, "c.s");
  assert_syntax_error("CREATE SCHEMA", "at end of input", 1, 14);
  assert_syntax_error("CREATE SCHEMA IF EXISTS s", "near \"EXISTS\"", 1, 18);
  assert_syntax_error("CREATE SCHEMA a.b.c", "near \"c\"", 1, 19);
  assert_syntax_error("DROP SCHEMA a, b", "near \",\"", 1, 14);
  assert_syntax_error("USE a.b.c", "near \"c\"", 1, 9);
  assert_syntax_error("USE", "at end of input", 1, 4);
}

static void transactions_are_named(void **state) {
  (void)state;
  static const char *const statements[][2] = {
      {"BEGIN", "BEGIN"},
      {"begin transaction", "BEGIN"},
      {"START TRANSACTION READ ONLY", "START TRANSACTION"},
      {"COMMIT", "COMMIT"},
      {"END", "END"},
      {"ROLLBACK TO s", "ROLLBACK"},
      {"SAVEPOINT s", "SAVEPOINT"},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(statements); i++) {
    assert_kind(statements[i][0], IG_SQL_TRANSACTION);
    assert_string_equal(st.feature, statements[i][1]);
  }
}

static void what_is_not_built_is_named(void **state) {
  (void)state;
  static const char *const statements[][2] = {
      {"CACHE TABLE t", "CACHE"},
      {"UNCACHE TABLE t", "UNCACHE"},
      {"CLEAR CACHE", "CLEAR CACHE"},
      {"REFRESH CACHE t", "REFRESH CACHE"},
      {"DROP ROLE r", "DROP ROLE"},
      {"CREATE ROW FILTER f ON t USING (a) TO r", "CREATE ROW FILTER"},
      {"CREATE MASK m ON t(c) USING (1) TO r", "CREATE MASK"},
      {"GRANT SELECT ON t TO u", "GRANT"},
      {"REVOKE SELECT ON t FROM u", "REVOKE"},
      {"SHOW CACHE", "SHOW CACHE"},
      {"SHOW GRANTS", "SHOW GRANTS"},
      {"EXPLAIN PRIVILEGES FOR u", "EXPLAIN PRIVILEGES"},
      {"SET LOCAL x = 1", "SET LOCAL"},
      {"SET ROLE r", "SET ROLE"},
      {"SET SESSION AUTHORIZATION u", "SET SESSION AUTHORIZATION"},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(statements); i++) {
    assert_kind(statements[i][0], IG_SQL_NOT_BUILT);
    assert_string_equal(st.feature, statements[i][1]);
  }
  assert_kind("CREATE ROW", IG_SQL_ENGINE);
}

/* The next option of the statement is this key with this value (NULL: none). */
static void assert_option(struct ig_str *rest, const char *key, const char *value) {
  struct ig_sql_option option;
  IG_AUTO_CHAR *found_key = NULL;
  IG_AUTO_CHAR *found = NULL;
  assert_true(ig_sql_option_next(rest, &option));
  assert_ok(ig_sql_option_key(&option, &found_key, &test_err));
  assert_string_equal(found_key, key);
  if (!value) {
    assert_int_equal(option.value.len, 0);
    return;
  }
  assert_ok(ig_sql_option_value(&option, &found, &test_err));
  assert_string_equal(found, value);
}

static void attach_gives_uri_name_and_options(void **state) {
  (void)state;
  struct ig_sql_option option;
  assert_kind(
      "ATTACH OR REPLACE 'pg://h/d' AS \"My Pg\" (TYPE PostgreSQL, SECRET s,"
      " READ_ONLY, Application_Name 'a, b', port = -5, adbc.x.\"Y\" = off);",
      IG_SQL_ATTACH);
  assert_true(st.or_replace);
  assert_str_eq(st.pattern, "'pg://h/d'");
  assert_str_eq(st.name, "\"My Pg\"");
  struct ig_str rest = st.options;
  assert_option(&rest, "type", "PostgreSQL");
  assert_option(&rest, "secret", "s");
  assert_option(&rest, "read_only", NULL);
  assert_option(&rest, "application_name", "a, b");
  assert_option(&rest, "port", "-5");
  assert_option(&rest, "adbc.x.Y", "off");
  assert_false(ig_sql_option_next(&rest, &option));
  assert_kind("ATTACH DATABASE IF NOT EXISTS 'x' AS y", IG_SQL_ATTACH);
  assert_true(st.if_not_exists);
  assert_false(ig_sql_option_next(&st.options, &option));
  assert_kind("DETACH DATABASE IF EXISTS y", IG_SQL_DETACH);
  assert_true(st.if_exists);
  assert_kind("REFRESH CATALOG y", IG_SQL_REFRESH_CATALOG);
  assert_str_eq(st.name, "y");
}

static void secrets_have_a_type_and_items(void **state) {
  (void)state;
  struct ig_sql_option option;
  assert_kind("CREATE OR REPLACE SECRET s (TYPE postgresql, user 'u', password = 'p''w')",
              IG_SQL_CREATE_SECRET);
  assert_true(st.or_replace);
  struct ig_str rest = st.options;
  assert_option(&rest, "type", "postgresql");
  assert_option(&rest, "user", "u");
  assert_option(&rest, "password", "p'w");
  assert_false(ig_sql_option_next(&rest, &option));
  assert_kind("CREATE SECRET IF NOT EXISTS s (password $$x$$, TYPE 'sqlite')",
              IG_SQL_CREATE_SECRET);
  assert_true(st.if_not_exists);
  assert_kind("DROP SECRET IF EXISTS s", IG_SQL_DROP_SECRET);
  assert_true(st.if_exists);
  assert_kind("SHOW SECRETS LIKE 'a%'", IG_SQL_SHOW_SECRETS);
}

static void statements_about_secrets_are_refused_without_telling_a_value(void **state) {
  (void)state;
  static const char *const statements[] = {
      "CREATE SECRET s (TYPE t, password geheim)",
      "CREATE SECRET s (TYPE t, password 'geheim' 'geheim2')",
      "CREATE SECRET s (TYPE t, password 'geheim'), x",
      "CREATE SECRET s (TYPE t, 'geheim')",
      "CREATE SECRET s (TYPE t, password 'geheim') geheim",
      "CREATE SECRET s (TYPE t, password -5, x 'geheim')",
      "CREATE SECRET s 'geheim'",
      "CREATE SECRET 'geheim' (TYPE t)",
      "CREATE SECRET s (TYPE t, a.b 'geheim')",
      "CREATE SECRET s (TYPE t, password 'geheim",
      "CREATE SECRET s (TYPE t, password E'geheim",
      "CREATE SECRET s (TYPE t, password $x$geheim)",
      "CREATE SECRET s (TYPE t, password \"geheim)",
      "ATTACH 'geheim",
      "CREATE USER u PASSWORD 'geheim",
      "ATTACH 'x' AS 'geheim'",
      "ATTACH 'x' 'geheim'",
      "ATTACH 'geheim'",
      "ATTACH 'x' AS y (TYPE t, a 'geheim' 'geheim')",
      "ATTACH 'x' AS y 'geheim'",
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(statements); i++) {
    struct ig_sql_statement parsed;
    assert_fails(
        ig_sql_statement_parse(ig_str_from_cstr(statements[i]), &parsed, &test_err),
        IGLOO_SYNTAX_ERROR, "42601");
    assert_true(test_err.line == 1 && test_err.column > 1);
    assert_null(strstr(test_err.message, "geheim"));
    assert_null(strstr(test_err.detail, "geheim"));
    assert_null(strstr(test_err.hint, "geheim"));
  }
}

static void users_have_a_name_and_options_in_any_order(void **state) {
  (void)state;
  assert_kind("CREATE USER bob PASSWORD 'a'", IG_SQL_CREATE_USER);
  assert_str_eq(st.name, "bob");
  assert_str_eq(st.user.password, "'a'");
  assert_false(st.user.superuser || st.user.nosuperuser);
  assert_kind("create user \"Bob B\" with superuser password E'\\x41';",
              IG_SQL_CREATE_USER);
  assert_str_eq(st.name, "\"Bob B\"");
  assert_str_eq(st.user.password, "E'\\x41'");
  assert_true(st.user.superuser);
  assert_kind("CREATE USER u PASSWORD $x$a$x$ NOSUPERUSER", IG_SQL_CREATE_USER);
  assert_str_eq(st.user.password, "$x$a$x$");
  assert_true(st.user.nosuperuser);
  assert_kind("ALTER USER u NOSUPERUSER", IG_SQL_ALTER_USER);
  assert_int_equal(st.user.password.len, 0);
  assert_kind("ALTER USER u WITH PASSWORD 'b'", IG_SQL_ALTER_USER);
  assert_str_eq(st.user.password, "'b'");
  assert_kind("DROP USER u", IG_SQL_DROP_USER);
  assert_false(st.if_exists);
  assert_kind("DROP USER IF EXISTS \"U\";", IG_SQL_DROP_USER);
  assert_true(st.if_exists);
  assert_str_eq(st.name, "\"U\"");
}

static void statements_about_users_are_refused_without_telling_a_string(void **state) {
  (void)state;
  static const struct {
    const char *sql;
    int column;
  } statements[] = {
      {"CREATE USER", 12},
      {"CREATE USER u", 14},
      {"CREATE USER u SUPERUSER", 24},
      {"CREATE OR REPLACE USER u PASSWORD 'geheim'", 19},
      {"CREATE USER 'geheim' PASSWORD 'geheim'", 13},
      {"CREATE USER a.b PASSWORD 'geheim'", 15},
      {"CREATE USER u 'geheim'", 15},
      {"CREATE USER u PASWORD 'geheim'", 15},
      {"CREATE USER u PASSWORD geheim", 24},
      {"CREATE USER u PASSWORD 'a' 'geheim'", 28},
      {"CREATE USER u PASSWORD 'geheim' PASSWORD 'geheim'", 33},
      {"CREATE USER u SUPERUSER NOSUPERUSER PASSWORD 'geheim'", 25},
      {"CREATE USER u VALID UNTIL 'geheim'", 15},
      {"ALTER USER u", 13},
      {"ALTER USER u WITH", 18},
      {"ALTER USER u RENAME TO v", 14},
      {"DROP USER u, v", 12},
      {"DROP USER IF u", 14},
      {"DROP USER 'geheim'", 11},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(statements); i++) {
    assert_fails(parse(statements[i].sql), IGLOO_SYNTAX_ERROR, "42601");
    assert_position(1, statements[i].column);
    assert_null(strstr(test_err.message, "geheim"));
  }
}

static void kill_takes_an_id_in_quotes(void **state) {
  (void)state;
  assert_kind("KILL QUERY '17'", IG_SQL_KILL_QUERY);
  assert_str_eq(st.pattern, "'17'");
  assert_kind("kill session '3';", IG_SQL_KILL_SESSION);
  assert_kind("SHOW QUERIES", IG_SQL_SHOW_QUERIES);
  assert_kind("DRAIN WORKER 'w-1'", IG_SQL_DRAIN_WORKER);
  assert_string_equal(st.feature, "DRAIN WORKER");
  static const char *const wrong[] = {
      "DRAIN",          "DRAIN WORKER w", "DRAIN WORKER 'a' 'b'", "KILL",
      "KILL 17",        "KILL QUERY",     "KILL QUERY 17",        "KILL QUERY '1' '2'",
      "KILL SESSION x", "KILL USER 'x'",  "SHOW QUERIES FROM x"};
  for (size_t i = 0; i < IG_ARRAY_LEN(wrong); i++)
    assert_fails(parse(wrong[i]), IGLOO_SYNTAX_ERROR, "42601");
  assert_fails(parse("KILL QUERY 17"), IGLOO_SYNTAX_ERROR, "42601");
  assert_string_equal(test_err.hint, "The id stands in single quotes.");
}

static void failed_parse_leaves_the_output_alone(void **state) {
  (void)state;
  st = (struct ig_sql_statement){.kind = IG_SQL_USE};
  assert_fails(parse("SHOW"), IGLOO_SYNTAX_ERROR, "42601");
  assert_int_equal(st.kind, IG_SQL_USE);
}

static bool is_within(struct ig_str part, struct ig_str whole) {
  return part.len == 0 || ig_str_eq_cstr(part, "time_zone") ||
         (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

/* Words of our statements in any order: an answer, and every span inside. */
static void random_statements_never_point_outside(void **state) {
  (void)state;
  static const char *const words[] = {
      "SHOW ",    "TABLES ", "FROM ",    "LIKE ",     "'x' ",    "EXPLAIN ", "(",
      ")",        "FORMAT ", "json ",    "ANALYZE ",  "SELECT ", "1 ",       "SET ",
      "= ",       "TIME ",   "ZONE ",    "DESCRIBE ", "a",       ".",        ", ",
      "PREPARE ", "AS ",     "EXECUTE ", ";",         "CREATE ", "SCHEMA ",  "IF ",
      "NOT ",     "EXISTS ", "DROP ",    "CASCADE ",  "ALL ",    "RESET ",   "\"q\" ",
      "-",        "$$",      "--",       "CREATE ",   "ROW "};
  uint32_t seed = 31337;
  for (int round = 0; round < 40000; round++) {
    IG_AUTO_DONE(ig_buf) buf = IG_BUF_INIT(1000);
    for (int i = 0; i < 9; i++) {
      seed = seed * 1664525u + 1013904223u;
      ig_buf_append_cstr(&buf, words[(seed >> 12) % IG_ARRAY_LEN(words)]);
    }
    struct ig_str sql = ig_buf_str(&buf);
    igloo_status status = ig_sql_statement_parse(sql, &st, &test_err);
    assert_true(status == IGLOO_OK || status == IGLOO_SYNTAX_ERROR ||
                status == IGLOO_INVALID_ARGUMENT);
    if (status != IGLOO_OK) {
      assert_true(test_err.line >= 1 && test_err.column >= 1);
      continue;
    }
    const struct ig_str parts[] = {st.text,  st.name,      st.pattern, st.value,
                                   st.types, st.arguments, st.inner};
    for (size_t i = 0; i < IG_ARRAY_LEN(parts); i++)
      assert_true(is_within(parts[i], sql));
    assert_true(st.inner.len == 0 || st.inner.data == sql.data + st.inner_offset);
    if (st.kind == IG_SQL_SET) {
      IG_AUTO_CHAR *value = NULL;
      assert_ok(ig_sql_set_value(&st, &value, &test_err));
    }
  }
}

static igloo_status parse_and_take_value(void *ctx, struct igloo_error *reterr) {
  static const char *const texts[] = {
      "SET search_path = 'a', \"B c\", d", "SET time_zone TO E'Europe/\\u0042erlin'",
      "SET igloo.cache = on", "SET statement_timeout = -5"};
  (void)ctx;
  for (size_t i = 0; i < IG_ARRAY_LEN(texts); i++) {
    struct ig_sql_statement statement;
    IG_AUTO_CHAR *value = NULL;
    IG_TRY(ig_sql_statement_parse(ig_str_from_cstr(texts[i]), &statement, reterr));
    igloo_status status = ig_sql_set_value(&statement, &value, reterr);
    if (status != IGLOO_OK) assert_null(value);
    IG_TRY(status);
  }
  return IGLOO_OK;
}

static void failed_allocations_lose_nothing(void **state) {
  (void)state;
  assert_survives_failed_allocations(parse_and_take_value, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_not_ours_is_for_the_engine),
      cmocka_unit_test(text_is_the_statement_without_its_semicolons),
      cmocka_unit_test(second_statement_is_refused_where_it_starts),
      cmocka_unit_test(show_knows_its_lists_and_filters),
      cmocka_unit_test(malformed_show_is_a_syntax_error_at_its_place),
      cmocka_unit_test(describe_takes_a_name_a_query_or_a_source),
      cmocka_unit_test(explain_gives_its_options_and_the_statement),
      cmocka_unit_test(set_gives_name_and_value),
      cmocka_unit_test(reset_takes_a_name_or_all),
      cmocka_unit_test(prepared_statements_have_name_types_and_text),
      cmocka_unit_test(schemas_are_created_and_dropped),
      cmocka_unit_test(transactions_are_named),
      cmocka_unit_test(what_is_not_built_is_named),
      cmocka_unit_test(attach_gives_uri_name_and_options),
      cmocka_unit_test(secrets_have_a_type_and_items),
      cmocka_unit_test(statements_about_secrets_are_refused_without_telling_a_value),
      cmocka_unit_test(users_have_a_name_and_options_in_any_order),
      cmocka_unit_test(statements_about_users_are_refused_without_telling_a_string),
      cmocka_unit_test(kill_takes_an_id_in_quotes),
      cmocka_unit_test(failed_parse_leaves_the_output_alone),
      cmocka_unit_test(failed_allocations_lose_nothing),
      cmocka_unit_test(random_statements_never_point_outside),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
