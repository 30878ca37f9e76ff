/* test_sources.c -- databases attached, looked at and read, through real drivers. */
#include "sources.h"

static const char *const people =
    "CREATE TABLE people (a INTEGER PRIMARY KEY, b TEXT, c REAL, d INTEGER);"
    "INSERT INTO people VALUES (1, 'anna', 1.5, 10), (2, NULL, NULL, NULL),"
    " (3, 'carla', -0.0, 30), (4, 'Dora', 4.25, 40);"
    "CREATE VIEW grown AS SELECT a, d FROM people WHERE d > 20;";

/* Each driver in turn: our own, and that of the Python package. */
static const char *const drivers[] = {NULL, "sqlite"};

static void rows_of_a_table_come_in_the_columns_that_were_asked_for(void **state) {
  (void)state;
  sqlite_run(in_scratch("people.db"), people);
  for (size_t i = 0; i < IG_ARRAY_LEN(drivers); i++) {
    IG_AUTO(ig_sources) *sources = new_sources(2);
    assert_ok(
        attach_sqlite(sources, in_scratch("people.db"), drivers[i], false, &test_err));
    IG_AUTO(ig_source) *source = find_source(sources, "lite");
    IG_AUTO(ig_remote_table) *table = find_table(source, "people");
    assert_int_equal(ig_remote_table_schema(table)->n_children, 4);
    IG_AUTO(ig_remote_run) *run = new_run(sources, NULL);
    IG_AUTO(ig_remote_scan) *scan =
        plan_scan(run, table, &(struct asked){.columns = "ba"});
    char *text = scan_text(run, scan);
    assert_string_equal(text, "anna,1\n,2\ncarla,3\nDora,4\n");
    free(text);
  }
}

static void counting_fetches_rows_without_columns(void **state) {
  (void)state;
  sqlite_run(in_scratch("people.db"), people);
  for (size_t i = 0; i < IG_ARRAY_LEN(drivers); i++) {
    IG_AUTO(ig_sources) *sources = new_sources(2);
    assert_ok(
        attach_sqlite(sources, in_scratch("people.db"), drivers[i], false, &test_err));
    IG_AUTO(ig_source) *source = find_source(sources, "lite");
    IG_AUTO(ig_remote_table) *table = find_table(source, "people");
    IG_AUTO(ig_remote_run) *run = new_run(sources, NULL);
    IG_AUTO(ig_remote_scan) *scan = plan_scan(run, table, &(struct asked){0});
    size_t count = 0;
    const struct ig_remote_part *parts = ig_remote_scan_parts(scan, &count);
    IG_AUTO_STREAM stream = {0};
    assert_ok(ig_remote_open(run, parts[0].bytes, NULL, &stream, &test_err));
    IG_AUTO_SCHEMA schema = {0};
    assert_ok(ig_stream_schema(&stream, &schema, &test_err));
    assert_int_equal(schema.n_children, 0);
    int64_t rows = 0;
    for (;;) {
      IG_AUTO_ARRAY batch = {0};
      assert_ok(ig_stream_next(&stream, &batch, &test_err));
      if (!batch.release) break;
      assert_int_equal(batch.n_children, 0);
      rows += batch.length;
    }
    assert_int_equal(rows, 4);
  }
}

/* A source of `people`, its table, and a run; over our own driver. */
struct fixture {
  ig_sources *sources;
  ig_source *source;
  ig_remote_table *table;
  ig_remote_run *run;
};

static void fixture_done(struct fixture *f) {
  ig_remote_run_unref(f->run);
  ig_remote_table_unref(f->table);
  ig_source_unref(f->source);
  ig_sources_unref(f->sources);
}
#define FIXTURE(name)                                               \
  __attribute__((cleanup(fixture_done))) struct fixture name = {0}; \
  open_people(&name)

static void open_people(struct fixture *f) {
  sqlite_run(in_scratch("people.db"), people);
  f->sources = new_sources(3);
  assert_ok(attach_sqlite(f->sources, in_scratch("people.db"), NULL, false, &test_err));
  f->source = find_source(f->sources, "lite");
  f->table = find_table(f->source, "people");
  f->run = new_run(f->sources, NULL);
}

/* The newest entry of the log; borrowed from *ret_list. */
static const struct ig_pushdown_entry *newest(ig_sources *sources,
                                              ig_pushdown_list **ret_list) {
  assert_ok(ig_pushdown_list_new(sources, ret_list, &test_err));
  size_t count = ig_pushdown_list_count(*ret_list);
  assert_true(count > 0);
  return ig_pushdown_list_get(*ret_list, count - 1);
}

/* ---- pushdown --------------------------------------------------------------------- */

static void what_is_pushed_is_in_the_log_and_what_is_not_says_why(void **state) {
  (void)state;
  FIXTURE(f);
  const struct asked asked = {.columns = "ab",
                              .filters = {"(> a l=1)", "(opaque b)", "(< a l=4)"}};
  IG_AUTO(ig_remote_scan) *scan = plan_scan(f.run, f.table, &asked);
  const struct ig_remote_decision *decisions = ig_remote_scan_decisions(scan);
  assert_int_equal(decisions[0].push, IGLOO_PUSH_EXACT);
  assert_string_equal(decisions[0].reason, "");
  assert_int_equal(decisions[1].push, IGLOO_PUSH_NO);
  assert_true(decisions[1].reason[0] != '\0');
  enum igloo_push push[1];
  struct expressions *made = calloc(1, sizeof(*made));
  const struct igloo_expr *conjunct =
      expressions_read(made, &f.table->facts->meta, "(> a l=1)");
  ig_remote_table_classify(f.table, &conjunct, 1, push);
  assert_int_equal(push[0], IGLOO_PUSH_EXACT);
  expressions_done(made);
  free(made);

  char *text = scan_text(f.run, scan);
  assert_string_equal(text, "2,\n3,carla\n");
  free(text);
  IG_AUTO(ig_pushdown_list) *list = NULL;
  const struct ig_pushdown_entry *entry = newest(f.sources, &list);
  assert_int_equal(entry->query_id, 42);
  assert_string_equal(entry->source, "lite");
  assert_string_equal(entry->table, "main.people");
  assert_string_equal(entry->text,
                      "SELECT `a`, `b` FROM `main`.`people` WHERE `a` > 1 AND `a` < 4");
  assert_int_equal(strncmp(entry->decisions, "exact\nno: ", 10), 0);
  assert_int_equal(entry->rows, 2);
  assert_true(entry->bytes > 16);
  assert_int_equal(entry->part, 1);
  assert_int_equal(entry->parts, 1);
  assert_string_equal(entry->snapshot, "");
  assert_string_equal(entry->sqlstate, "00000");
  struct ig_source_stats stats;
  ig_source_stats_get(f.source, &stats);
  assert_int_equal(stats.statements, 1);
  assert_int_equal(stats.rows, 2);
}

static void a_limit_is_pushed_only_where_every_filter_is_exact(void **state) {
  (void)state;
  FIXTURE(f);
  IG_AUTO(ig_remote_scan) *plain =
      plan_scan(f.run, f.table, &(struct asked){.columns = "a", .limit = 2});
  assert_true(ig_remote_scan_limit_done(plain));
  char *text = scan_text(f.run, plain);
  assert_string_equal(text, "1\n2\n");
  free(text);
  IG_AUTO(ig_remote_scan) *exact =
      plan_scan(f.run, f.table,
                &(struct asked){.columns = "a", .filters = {"(> a l=1)"}, .limit = 1});
  assert_true(ig_remote_scan_limit_done(exact));
  IG_AUTO(ig_remote_scan) *residual =
      plan_scan(f.run, f.table,
                &(struct asked){.columns = "a", .filters = {"(opaque a)"}, .limit = 1});
  assert_false(ig_remote_scan_limit_done(residual));
  text = scan_text(f.run, residual);
  assert_string_equal(text, "1\n2\n3\n4\n");
  free(text);
}

static void the_first_rows_in_an_order_come_from_the_source(void **state) {
  (void)state;
  FIXTURE(f);
  struct igloo_sort sort = {.column = 0, .descending = true, .nulls_first = true};
  assert_true(ig_remote_table_sorts(f.table, &sort, 1));
  IG_AUTO(ig_remote_scan) *scan = plan_scan(
      f.run, f.table, &(struct asked){.columns = "a", .limit = 2, .sort = &sort});
  assert_true(ig_remote_scan_limit_done(scan));
  assert_true(ig_remote_scan_sort_done(scan));
  char *text = scan_text(f.run, scan);
  assert_string_equal(text, "4\n3\n");
  free(text);
}

static void nothing_is_pushed_where_the_setting_is_off(void **state) {
  (void)state;
  FIXTURE(f);
  struct ig_remote_settings settings = {.pushdown = false};
  IG_AUTO(ig_remote_run) *run = NULL;
  assert_ok(ig_remote_run_new(f.sources, NULL, &settings, &run, &test_err));
  IG_AUTO(ig_remote_scan) *scan =
      plan_scan(run, f.table,
                &(struct asked){.columns = "a", .filters = {"(> a l=1)"}, .limit = 1});
  assert_int_equal(ig_remote_scan_decisions(scan)[0].push, IGLOO_PUSH_NO);
  assert_string_equal(ig_remote_scan_decisions(scan)[0].reason, "igloo.pushdown is off");
  assert_false(ig_remote_scan_limit_done(scan));
  char *text = scan_text(run, scan);
  assert_string_equal(text, "1\n2\n3\n4\n");
  free(text);
}

static void strict_pushdown_refuses_to_read_a_large_table_whole(void **state) {
  (void)state;
  FIXTURE(f);
  struct ig_remote_settings settings = {
      .pushdown = true, .strict = true, .strict_bytes = 1000};
  IG_AUTO(ig_remote_run) *run = NULL;
  assert_ok(ig_remote_run_new(f.sources, NULL, &settings, &run, &test_err));
  IG_AUTO(ig_remote_scan) *scan = NULL;
  const struct asked whole = {.columns = "a"};
  assert_fails(try_plan(run, f.table, &whole, &scan, &test_err),
               IGLOO_FAILED_PRECONDITION, "55000");
  assert_message_has("would read all of \"lite.main.people\"");
  const struct asked few = {.columns = "a", .filters = {"(= a l=1)"}};
  assert_ok(try_plan(run, f.table, &few, &scan, &test_err));
  IG_AUTO(ig_remote_scan) *some = NULL;
  const struct asked first = {.columns = "a", .limit = 3};
  assert_ok(try_plan(run, f.table, &first, &some, &test_err));
}

/* ---- changes under us ------------------------------------------------------------- */

static void a_table_that_changed_since_it_was_planned_ends_in_an_error(void **state) {
  (void)state;
  static const char *const changes[] = {
      "ALTER TABLE people DROP COLUMN b",
      "ALTER TABLE people RENAME COLUMN b TO z",
      "ALTER TABLE people RENAME TO folk",
      "DROP TABLE people",
      "DROP TABLE people; CREATE TABLE people (a INTEGER PRIMARY KEY, b REAL, c REAL)",
      "DROP TABLE people; CREATE TABLE people (a TEXT, b TEXT, c REAL, d INTEGER)",
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(changes); i++) {
    FIXTURE(f);
    sqlite_run(in_scratch("people.db"), "DROP VIEW grown");
    IG_AUTO(ig_remote_scan) *scan =
        plan_scan(f.run, f.table, &(struct asked){.columns = "ab"});
    sqlite_run(in_scratch("people.db"), changes[i]);
    size_t count = 0;
    struct ArrowArrayStream stream = {0};
    struct ig_str bytes = ig_remote_scan_parts(scan, &count)[0].bytes;
    assert_fails(ig_remote_open(f.run, bytes, NULL, &stream, &test_err),
                 IGLOO_FAILED_PRECONDITION, "0A000");
    assert_string_equal(test_err.message, "schema of \"lite.main.people\" changed");
    assert_null(stream.release);
    IG_AUTO(ig_pushdown_list) *list = NULL;
    assert_string_equal(newest(f.sources, &list)->sqlstate, "0A000");
    assert_int_equal(unlink(in_scratch("people.db")), 0);
  }
}

static void a_change_that_leaves_the_columns_alone_is_none(void **state) {
  (void)state;
  FIXTURE(f);
  IG_AUTO(ig_remote_scan) *scan =
      plan_scan(f.run, f.table, &(struct asked){.columns = "ba"});
  sqlite_run(in_scratch("people.db"),
             "ALTER TABLE people ADD COLUMN extra TEXT; CREATE INDEX i ON people (b);"
             "DELETE FROM people WHERE a > 1");
  char *text = scan_text(f.run, scan);
  assert_string_equal(text, "anna,1\n");
  free(text);
}

static void a_table_is_asked_for_once_and_again_after_a_refresh(void **state) {
  (void)state;
  FIXTURE(f);
  IG_AUTO(ig_remote_table) *again = find_table(f.source, "people");
  assert_ptr_equal(again->facts, f.table->facts);
  sqlite_run(in_scratch("people.db"), "ALTER TABLE people ADD COLUMN extra TEXT");
  ig_source_refresh(f.source);
  IG_AUTO(ig_remote_table) *fresh = find_table(f.source, "people");
  assert_int_equal(ig_remote_table_schema(fresh)->n_children, 5);
  assert_int_equal(ig_remote_table_schema(f.table)->n_children, 4);
}

/* ---- names ------------------------------------------------------------------------ */

static void a_missing_table_is_told_with_the_nearest_name(void **state) {
  (void)state;
  FIXTURE(f);
  ig_remote_table *table = NULL;
  assert_fails(ig_source_table(f.source, IG_STR("main"), IG_STR("peeple"), NULL, &table,
                               &test_err),
               IGLOO_NOT_FOUND, "42P01");
  assert_string_equal(test_err.message, "table \"lite.main.peeple\" does not exist");
  assert_string_equal(test_err.hint, "");
  const struct ig_source_listing *items = NULL;
  size_t count = 0;
  void *hold = NULL;
  assert_ok(ig_source_list(f.source, NULL, &items, &count, &hold, &test_err));
  ig_source_list_free(hold);
  assert_fails(ig_source_table(f.source, IG_STR("main"), IG_STR("peeple"), NULL, &table,
                               &test_err),
               IGLOO_NOT_FOUND, "42P01");
  assert_string_equal(test_err.hint, "Did you mean \"people\"?");
  assert_fails(ig_source_table(f.source, IG_STR("other"), IG_STR("people"), NULL, &table,
                               &test_err),
               IGLOO_NOT_FOUND, "42P01");
}

static void tables_and_views_are_listed_in_order(void **state) {
  (void)state;
  sqlite_run(in_scratch("people.db"), people);
  for (size_t i = 0; i < IG_ARRAY_LEN(drivers); i++) {
    IG_AUTO(ig_sources) *sources = new_sources(2);
    assert_ok(
        attach_sqlite(sources, in_scratch("people.db"), drivers[i], false, &test_err));
    IG_AUTO(ig_source) *source = find_source(sources, "lite");
    const struct ig_source_listing *items = NULL;
    size_t count = 0;
    void *hold = NULL;
    assert_ok(ig_source_list(source, NULL, &items, &count, &hold, &test_err));
    assert_int_equal(count, 2);
    assert_string_equal(items[0].schema, "main");
    assert_string_equal(items[0].name, "grown");
    assert_true(items[0].view);
    assert_string_equal(items[1].name, "people");
    assert_false(items[1].view);
    ig_source_list_free(hold);
  }
}

static void ten_thousand_tables_are_listed_in_two_seconds(void **state) {
  (void)state;
  /* SQLite takes ten seconds to create as many; that they share a page hurts no one who
   * only lists them. */
  sqlite_run(
      in_scratch("many.db"),
      "CREATE TABLE t0 (a INTEGER, b TEXT); PRAGMA writable_schema = ON;"
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)"
      "INSERT INTO sqlite_schema SELECT 'table', 't' || i, 't' || i, rootpage,"
      " 'CREATE TABLE t' || i || ' (a INTEGER, b TEXT)' FROM n, sqlite_schema"
      " WHERE name = 't0'");
  IG_AUTO(ig_sources) *sources = new_sources(2);
  assert_ok(attach_sqlite(sources, in_scratch("many.db"), NULL, false, &test_err));
  IG_AUTO(ig_source) *source = find_source(sources, "lite");
  const struct ig_source_listing *items = NULL;
  size_t count = 0;
  void *hold = NULL;
  int64_t began = ig_now_us();
  assert_ok(ig_source_list(source, NULL, &items, &count, &hold, &test_err));
  assert_true(ig_now_us() - began < 2 * IG_US_PER_S);
  assert_int_equal(count, 10000);
  ig_source_list_free(hold);
}

/* ---- attaching -------------------------------------------------------------------- */

static void an_attach_that_cannot_be_says_what_is_wrong(void **state) {
  (void)state;
  IG_AUTO(ig_sources) *sources = new_sources(2);
  struct ig_source_option option = {"pasword", "x"};
  struct ig_source_definition definition = {.name = "x",
                                            .type = "postgresql",
                                            .uri = "",
                                            .options = &option,
                                            .options_count = 1};
  assert_fails(ig_sources_attach(sources, &definition, &test_err), IGLOO_INVALID_ARGUMENT,
               "22023");
  assert_string_equal(test_err.message, "type postgresql has no option \"pasword\"");
  assert_string_equal(test_err.hint, "Did you mean \"password\"?");
  definition.type = "postgres";
  assert_fails(ig_sources_attach(sources, &definition, &test_err), IGLOO_NOT_FOUND,
               "58P01");
  definition.type = "adbc";
  assert_fails(ig_sources_attach(sources, &definition, &test_err), IGLOO_INVALID_ARGUMENT,
               "22023");
  assert_null(ig_sources_find(sources, IG_STR("x")));
  assert_false(ig_sources_detach(sources, IG_STR("x")));
  struct ig_sources_settings none = {.max_connections = 0};
  ig_sources *refused = NULL;
  assert_fails(ig_sources_new(&none, &refused, &test_err), IGLOO_INVALID_ARGUMENT,
               "22023");
}

static void a_file_that_is_not_there_cannot_be_connected_to(void **state) {
  (void)state;
  IG_AUTO(ig_sources) *sources = new_sources(2);
  assert_ok(attach_sqlite(sources, in_scratch("nowhere/x.db"), NULL, false, &test_err));
  IG_AUTO(ig_source) *source = find_source(sources, "lite");
  ig_error_reset(&test_err);
  assert_int_not_equal(ig_source_check(source, NULL, &test_err), IGLOO_OK);
  assert_message_has("source \"lite\"");
  assert_null(strstr(test_err.message, "nowhere"));
}

static void a_source_goes_on_where_it_is_in_use_when_it_is_detached(void **state) {
  (void)state;
  FIXTURE(f);
  IG_AUTO(ig_remote_scan) *scan =
      plan_scan(f.run, f.table, &(struct asked){.columns = "a"});
  size_t count = 0;
  struct ArrowArrayStream stream = {0};
  struct ig_str bytes = ig_remote_scan_parts(scan, &count)[0].bytes;
  assert_ok(ig_remote_open(f.run, bytes, NULL, &stream, &test_err));
  assert_true(ig_sources_detach(f.sources, IG_STR("lite")));
  assert_null(ig_sources_find(f.sources, IG_STR("lite")));
  char *text = NULL;
  assert_ok(stream_text(&stream, &text, &test_err));
  assert_string_equal(text, "1\n2\n3\n4\n");
  free(text);
}

/* ---- parts ------------------------------------------------------------------------ */

static void a_part_can_be_opened_by_whoever_has_the_source_attached(void **state) {
  (void)state;
  FIXTURE(f);
  IG_AUTO(ig_remote_scan) *scan = plan_scan(
      f.run, f.table, &(struct asked){.columns = "ba", .filters = {"(> a l=2)"}});
  size_t count = 0;
  struct ig_str bytes = ig_remote_scan_parts(scan, &count)[0].bytes;
  assert_int_equal(ig_str_find(bytes, ig_str_from_cstr("people.db")), IG_STR_NONE);
  IG_AUTO(ig_sources) *others = new_sources(1);
  IG_AUTO(ig_remote_run) *run = new_run(others, NULL);
  struct ArrowArrayStream stream = {0};
  assert_fails(ig_remote_open(run, bytes, NULL, &stream, &test_err), IGLOO_NOT_FOUND,
               "3D000");
  assert_ok(attach_sqlite(others, in_scratch("people.db"), "sqlite", true, &test_err));
  for (int i = 0; i < 2; i++) {
    char *text = NULL;
    assert_ok(ig_remote_open(run, bytes, NULL, &stream, &test_err));
    assert_ok(stream_text(&stream, &text, &test_err));
    assert_string_equal(text, "carla,3\nDora,4\n");
    free(text);
  }
}

static void a_part_of_an_older_definition_is_refused(void **state) {
  (void)state;
  FIXTURE(f);
  IG_AUTO(ig_remote_scan) *scan =
      plan_scan(f.run, f.table, &(struct asked){.columns = "a"});
  size_t count = 0;
  struct ig_str bytes = ig_remote_scan_parts(scan, &count)[0].bytes;
  struct ig_source_definition newer = {
      .name = "lite", .type = "sqlite", .uri = in_scratch("people.db"), .version = 8};
  assert_ok(ig_sources_attach(f.sources, &newer, &test_err));
  IG_AUTO(ig_remote_run) *run = new_run(f.sources, NULL);
  struct ArrowArrayStream stream = {0};
  assert_fails(ig_remote_open(run, bytes, NULL, &stream, &test_err),
               IGLOO_FAILED_PRECONDITION, "55000");
  /* The run that planned it still has the old one. */
  char *text = NULL;
  assert_ok(ig_remote_open(f.run, bytes, NULL, &stream, &test_err));
  assert_ok(stream_text(&stream, &text, &test_err));
  assert_string_equal(text, "1\n2\n3\n4\n");
  free(text);
}

static void bytes_that_are_no_part_are_refused(void **state) {
  (void)state;
  FIXTURE(f);
  IG_AUTO(ig_remote_scan) *scan =
      plan_scan(f.run, f.table, &(struct asked){.columns = "ab"});
  size_t count = 0, refused = 0;
  struct ig_str bytes = ig_remote_scan_parts(scan, &count)[0].bytes;
  for (size_t i = 0; i < bytes.len; i++) {
    char *damaged = ig_strndup(bytes.data, bytes.len);
    damaged[i] = (char)(damaged[i] ^ 0x15);
    struct ArrowArrayStream stream = {0};
    igloo_status status =
        ig_remote_open(f.run, ig_str_make(damaged, bytes.len), NULL, &stream, &test_err);
    refused += status != IGLOO_OK;
    ig_stream_done(&stream);
    ig_free(damaged);
    struct ArrowArrayStream cut = {0};
    ig_error_reset(&test_err);
    status = ig_remote_open(f.run, ig_str_make(bytes.data, i), NULL, &cut, &test_err);
    assert_int_not_equal(status, IGLOO_OK);
  }
  assert_true(refused > bytes.len / 4);
}

/* ---- remote_query ----------------------------------------------------------------- */

static void a_text_of_the_source_is_a_table(void **state) {
  (void)state;
  FIXTURE(f);
  IG_AUTO(ig_remote_table) *table = NULL;
  struct ig_str text =
      ig_str_from_cstr("SELECT a AS x, b, d FROM people WHERE a > 1 -- ;\n;  ");
  assert_ok(ig_source_query(f.source, text, NULL, &table, &test_err));
  assert_int_equal(ig_remote_table_schema(table)->n_children, 3);
  assert_string_equal(ig_remote_table_schema(table)->children[0]->name, "x");
  IG_AUTO(ig_remote_scan) *scan =
      plan_scan(f.run, table, &(struct asked){.columns = "ca", .limit = 2});
  char *rows = scan_text(f.run, scan);
  assert_string_equal(rows, ",2\n30,3\n");
  free(rows);
  IG_AUTO(ig_remote_scan) *counted = plan_scan(f.run, table, &(struct asked){0});
  IG_AUTO(ig_remote_scan) *all =
      plan_scan(f.run, table, &(struct asked){.columns = "abc"});
  rows = scan_text(f.run, all);
  assert_string_equal(rows, "2,,\n3,carla,30\n4,Dora,40\n");
  free(rows);
}

static void columns_of_one_name_are_told_apart_by_where_they_stand(void **state) {
  (void)state;
  FIXTURE(f);
  IG_AUTO(ig_remote_table) *table = NULL;
  struct ig_str text = ig_str_from_cstr(
      "SELECT p.a, q.b, q.a FROM people p JOIN people q ON q.a = p.a + 1");
  assert_ok(ig_source_query(f.source, text, NULL, &table, &test_err));
  IG_AUTO(ig_remote_scan) *scan =
      plan_scan(f.run, table,
                &(struct asked){.columns = "ca", .filters = {"(> a l=1)"}, .limit = 1});
  assert_int_equal(ig_remote_scan_decisions(scan)[0].push, IGLOO_PUSH_NO);
  assert_false(ig_remote_scan_limit_done(scan));
  char *rows = scan_text(f.run, scan);
  assert_string_equal(rows, "2,1\n3,2\n4,3\n");
  free(rows);
}

static void a_text_that_writes_or_is_more_than_one_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *text;
    igloo_status status;
  } cases[] = {
      {"", IGLOO_SYNTAX_ERROR},
      {" -- nothing\n ;", IGLOO_SYNTAX_ERROR},
      {"SELECT 1; DELETE FROM people", IGLOO_SYNTAX_ERROR},
      {"SELECT 1) AS q; DELETE FROM people; --", IGLOO_SYNTAX_ERROR},
      {"DELETE FROM people RETURNING a", IGLOO_OK},
      {"INSERT INTO people (a) VALUES (99) RETURNING a", IGLOO_OK},
      {"PRAGMA user_version = 5", IGLOO_OK},
      {"SELECT a FROM nowhere", IGLOO_OK},
      {"SELECT 1) AS q UNION ALL SELECT * FROM (SELECT 2", IGLOO_OK},
      {"SELECT 'unfinished", IGLOO_SYNTAX_ERROR},
  };
  FIXTURE(f);
  for (size_t i = 0; i < IG_ARRAY_LEN(cases); i++) {
    IG_AUTO(ig_remote_table) *table = NULL;
    ig_error_reset(&test_err);
    igloo_status status = ig_source_query(f.source, ig_str_from_cstr(cases[i].text), NULL,
                                          &table, &test_err);
    if (cases[i].status != IGLOO_OK) assert_int_equal(status, cases[i].status);
    /* The parentheses are no fence: what closes them is still one that only reads. */
    if (i != 8) assert_int_not_equal(status, IGLOO_OK);
  }
  char *text = NULL;
  IG_AUTO(ig_remote_scan) *scan =
      plan_scan(f.run, f.table, &(struct asked){.columns = "a"});
  text = scan_text(f.run, scan);
  assert_string_equal(text, "1\n2\n3\n4\n");
  free(text);
}

/* ---- drivers of others ------------------------------------------------------------ */

static void attach_adbc(ig_sources *sources, const char *driver, const char *uri) {
  struct ig_source_option option = {"driver", driver};
  struct ig_source_definition definition = {.name = "other",
                                            .type = "adbc",
                                            .uri = uri,
                                            .options = &option,
                                            .options_count = 1};
  assert_ok(ig_sources_attach(sources, &definition, &test_err));
}

static void a_driver_of_an_unknown_language_is_read_and_filtered_here(void **state) {
  (void)state;
  sqlite_run(in_scratch("people.db"), people);
  IG_AUTO(ig_sources) *sources = new_sources(2);
  attach_adbc(sources, "sqlite", in_scratch("people.db"));
  IG_AUTO(ig_source) *source = find_source(sources, "other");
  IG_AUTO(ig_remote_table) *table = find_table(source, "people");
  IG_AUTO(ig_remote_run) *run = new_run(sources, NULL);
  IG_AUTO(ig_remote_scan) *scan = plan_scan(
      run, table, &(struct asked){.columns = "ba", .filters = {"(= a l=3)"}, .limit = 1});
  assert_int_equal(ig_remote_scan_decisions(scan)[0].push, IGLOO_PUSH_NO);
  assert_false(ig_remote_scan_limit_done(scan));
  char *text = scan_text(run, scan);
  assert_string_equal(text, "anna,1\n,2\ncarla,3\nDora,4\n");
  free(text);
}

static void a_driver_that_leaves_nearly_all_out_can_still_be_queried(void **state) {
  (void)state;
  static const char *const made[] = {"minimal", "only_1_0"};
  for (size_t i = 0; i < IG_ARRAY_LEN(made); i++) {
    IG_AUTO(ig_sources) *sources = new_sources(2);
    attach_adbc(sources, made[i], "");
    IG_AUTO(ig_source) *source = find_source(sources, "other");
    const struct ig_source_listing *items = NULL;
    size_t count = 0;
    void *hold = NULL;
    ig_remote_table *missing = NULL;
    assert_fails(ig_source_list(source, NULL, &items, &count, &hold, &test_err),
                 IGLOO_UNSUPPORTED, "0A000");
    assert_string_equal(
        test_err.message,
        "source \"other\": the driver does not implement ConnectionGetObjects");
    assert_fails(
        ig_source_table(source, IG_STR("main"), IG_STR("t"), NULL, &missing, &test_err),
        IGLOO_UNSUPPORTED, "0A000");
    IG_AUTO(ig_remote_table) *table = NULL;
    assert_ok(ig_source_query(source, IG_STR("whatever"), NULL, &table, &test_err));
    IG_AUTO(ig_remote_run) *run = new_run(sources, NULL);
    IG_AUTO(ig_remote_scan) *scan =
        plan_scan(run, table, &(struct asked){.columns = "a"});
    char *text = scan_text(run, scan);
    assert_string_equal(text, "1\n2\n3\n");
    free(text);
    int64_t rows = 0;
    struct ArrowArrayStream nothing = ig_stream_empty();
    assert_fails(ig_source_ingest(source, IG_STR("main"), IG_STR("t"), IG_INGEST_APPEND,
                                  &nothing, NULL, &rows, &test_err),
                 IGLOO_UNSUPPORTED, "0A000");
  }
}

/* ---- failed allocations ----------------------------------------------------------- */

static igloo_status read_people(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  const char *folders[] = {build_folder("drivers")};
  struct ig_sources_settings settings = {
      .driver_paths = folders, .driver_paths_count = 1, .max_connections = 2};
  IG_AUTO(ig_sources) *sources = NULL;
  IG_AUTO(ig_source) *source = NULL;
  IG_AUTO(ig_remote_table) *table = NULL;
  IG_AUTO(ig_remote_run) *run = NULL;
  IG_AUTO(ig_remote_scan) *scan = NULL;
  IG_TRY(ig_sources_new(&settings, &sources, reterr));
  IG_TRY(attach_sqlite(sources, in_scratch("people.db"), NULL, false, reterr));
  source = ig_sources_find(sources, IG_STR("lite"));
  IG_TRY(ig_source_table(source, IG_STR("main"), IG_STR("people"), NULL, &table, reterr));
  IG_TRY(ig_remote_run_new(sources, NULL, &plain_settings, &run, reterr));
  const struct asked asked = {.columns = "ab", .filters = {"(> a l=1)"}};
  IG_TRY(try_plan(run, table, &asked, &scan, reterr));
  size_t count = 0;
  IG_AUTO_STREAM stream = {0};
  struct ig_str bytes = ig_remote_scan_parts(scan, &count)[0].bytes;
  IG_TRY(ig_remote_open(run, bytes, NULL, &stream, reterr));
  IG_AUTO_SCHEMA schema = {0};
  if (stream.get_schema(&stream, &schema)) return ig_stream_error(&stream, reterr);
  for (;;) {
    IG_AUTO_ARRAY batch = {0};
    if (stream.get_next(&stream, &batch)) return ig_stream_error(&stream, reterr);
    if (!batch.release) return IGLOO_OK;
  }
}

static igloo_status list_people(void *ctx, struct igloo_error *reterr) {
  const struct ig_source_listing *items = NULL;
  size_t count = 0;
  void *hold = NULL;
  ig_source_refresh(ctx);
  IG_TRY(ig_source_list(ctx, NULL, &items, &count, &hold, reterr));
  ig_source_list_free(hold);
  return IGLOO_OK;
}

static igloo_status query_people(void *ctx, struct igloo_error *reterr) {
  IG_AUTO(ig_remote_table) *table = NULL;
  return ig_source_query(ctx, IG_STR("SELECT a, a FROM people"), NULL, &table, reterr);
}

/* As assert_survives_failed_allocations, but for what is done without: a table that is
 * not remembered, an entry that the log leaves out. */
static void everything_survives_each_failed_allocation(void **state) {
  (void)state;
  FIXTURE(f);
  int ignored = 0;
  for (int64_t successes = 0, failed = true; failed; successes++) {
    ig_error_reset(&test_err);
    ig_mem_fail_after(successes);
    igloo_status status = read_people(NULL, &test_err);
    failed = ig_mem_fail_stop();
    ignored += failed && status == IGLOO_OK;
    if (status != IGLOO_OK && status != IGLOO_OUT_OF_MEMORY)
      fail_msg("failed allocation %d gave %s", (int)successes, test_err.message);
    assert_ok(read_people(NULL, &test_err));
  }
  assert_true(ignored < 6);
  assert_survives_failed_allocations(list_people, f.source);
  assert_survives_failed_allocations(query_people, f.source);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      scratch_test_in_memory(rows_of_a_table_come_in_the_columns_that_were_asked_for),
      scratch_test_in_memory(counting_fetches_rows_without_columns),
      scratch_test_in_memory(what_is_pushed_is_in_the_log_and_what_is_not_says_why),
      scratch_test_in_memory(a_limit_is_pushed_only_where_every_filter_is_exact),
      scratch_test_in_memory(the_first_rows_in_an_order_come_from_the_source),
      scratch_test_in_memory(nothing_is_pushed_where_the_setting_is_off),
      scratch_test_in_memory(strict_pushdown_refuses_to_read_a_large_table_whole),
      scratch_test_in_memory(a_table_that_changed_since_it_was_planned_ends_in_an_error),
      scratch_test_in_memory(a_change_that_leaves_the_columns_alone_is_none),
      scratch_test_in_memory(a_table_is_asked_for_once_and_again_after_a_refresh),
      scratch_test_in_memory(a_missing_table_is_told_with_the_nearest_name),
      scratch_test_in_memory(tables_and_views_are_listed_in_order),
      scratch_test_in_memory(ten_thousand_tables_are_listed_in_two_seconds),
      scratch_test_in_memory(an_attach_that_cannot_be_says_what_is_wrong),
      scratch_test_in_memory(a_file_that_is_not_there_cannot_be_connected_to),
      scratch_test_in_memory(a_source_goes_on_where_it_is_in_use_when_it_is_detached),
      scratch_test_in_memory(a_part_can_be_opened_by_whoever_has_the_source_attached),
      scratch_test_in_memory(a_part_of_an_older_definition_is_refused),
      scratch_test_in_memory(bytes_that_are_no_part_are_refused),
      scratch_test_in_memory(a_text_of_the_source_is_a_table),
      scratch_test_in_memory(columns_of_one_name_are_told_apart_by_where_they_stand),
      scratch_test_in_memory(a_text_that_writes_or_is_more_than_one_is_refused),
      scratch_test_in_memory(a_driver_of_an_unknown_language_is_read_and_filtered_here),
      scratch_test_in_memory(a_driver_that_leaves_nearly_all_out_can_still_be_queried),
      scratch_test_in_memory(everything_survives_each_failed_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
