/* Tests of src/engine/remote.c: statements over attached databases from text to rows,
 * through the bridge, our own driver and SQLite's own files. */
#include <sqlite3.h>

#include "arrow/batches.h"
#include "arrow/schema.h"
#include "arrow/stream.h"
#include "arrow/writer.h"
#include "base/clock.h"
#include "connector/source.h"
#include "engine/query.h"
#include "support-files.h"

static ig_catalog *catalog;
static ig_roots *roots;
static ig_sources *sources;
static ig_system_tables *systems;
static ig_session_tables *own;
static ig_engine *engine;

/* build/unit/engine/test_remote -> build/drivers */
static const char *driver_folder(void) {
  static char path[512];
  ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 32);
  assert_true(len > 0);
  path[len] = '\0';
  for (int up = 0; up < 3; up++) *strrchr(path, '/') = '\0';
  strcat(path, "/drivers");
  return path;
}

static void sqlite_run(const char *path, const char *sql) {
  sqlite3 *db = NULL;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static char *sqlite_ask(const char *path, const char *sql) {
  sqlite3 *db = NULL;
  char **cells = NULL, *text = calloc(1, 4096);
  int rows = 0, columns = 0;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_get_table(db, sql, &cells, &rows, &columns, NULL), SQLITE_OK);
  for (int i = columns; i < (rows + 1) * columns; i++) {
    strcat(text, cells[i] ? cells[i] : "NULL");
    strcat(text, (i + 1) % columns == 0 ? "\n" : ",");
  }
  sqlite3_free_table(cells);
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
  return text;
}

static void set_up(void) {
  sqlite_run(in_scratch("a.db"),
             "CREATE TABLE numbers (id INTEGER PRIMARY KEY, half REAL, name TEXT, "
             "third INTEGER DEFAULT 33);"
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
             "5000) INSERT INTO numbers SELECT i, i / 2.0, 'n' || i, i / 3 FROM n;"
             "CREATE TABLE few (id INTEGER, word TEXT);"
             "INSERT INTO few VALUES (3, 'three'), (4000, 'many'), (NULL, 'none');");
  assert_ok(ig_catalog_open(NULL, &catalog, &test_err));
  assert_ok(ig_roots_new_everything(&roots, &test_err));
  const char *folder = driver_folder();
  struct ig_sources_settings settings = {
      .driver_paths = &folder, .driver_paths_count = 1, .max_connections = 4};
  assert_ok(ig_sources_new(&settings, &sources, &test_err));
  struct ig_source_definition definition = {
      .name = "lite", .type = "sqlite", .uri = in_scratch("a.db"), .version = 1};
  assert_ok(ig_sources_attach(sources, &definition, &test_err));
  assert_ok(ig_system_tables_new(sources, &systems, &test_err));
  assert_ok(ig_session_tables_new(&own, &test_err));
  (void)mkdir(in_scratch("spill"), 0700);
  struct ig_engine_config config = {.memory_bytes = 512 << 20,
                                    .spill_dir = in_scratch("spill"),
                                    .spill_bytes = 64 << 20,
                                    .threads = 2,
                                    .batch_rows = 1024,
                                    .running = 2,
                                    .queued = 2,
                                    .plan_nodes = 20000,
                                    .sql_nesting = 64};
  assert_ok(ig_engine_new(&config, roots, &engine, &test_err));
}

static int tear_down(void **state) {
  if (!ig_engine_close(engine)) return -1;
  engine = ig_engine_unref(engine);
  own = ig_session_tables_unref(own);
  systems = ig_system_tables_unref(systems);
  sources = ig_sources_unref(sources);
  catalog = ig_catalog_close(catalog);
  roots = ig_roots_free(roots);
  return scratch_teardown(state);
}

static ig_plan_context *new_context(bool pushdown) {
  struct ig_plan_settings settings = {.time_zone = "UTC",
                                      .user = "anna",
                                      .catalog = "igloo",
                                      .schema = "public",
                                      .sources = sources,
                                      .remote = {.pushdown = pushdown}};
  ig_plan_context *context = NULL;
  assert_ok(ig_plan_context_new(engine, &settings, &context, &test_err));
  return context;
}

static igloo_status try_plan(ig_plan_context *context, const char *sql,
                             ig_plan **ret_plan) {
  static const struct ig_pair path[] = {IG_SEARCH_ENTRY("public")};
  IG_AUTO(ig_snapshot) *snapshot = ig_catalog_snapshot(catalog);
  IG_AUTO(ig_resolver) *resolver = NULL;
  struct ig_resolver_parts parts = {.snapshot = snapshot,
                                    .roots = roots,
                                    .system = systems,
                                    .own = own,
                                    .sources = sources,
                                    .who = {.superuser = true},
                                    .search_path = path,
                                    .search_path_count = 1};
  assert_ok(ig_resolver_new(&parts, &resolver, &test_err));
  return ig_plan_sql(context, ig_str_from_cstr(sql), resolver, NULL, ret_plan, &test_err);
}

static ig_plan *new_plan(ig_plan_context *context, const char *sql) {
  ig_plan *plan = NULL;
  assert_ok(try_plan(context, sql, &plan));
  return plan;
}

/* Rows as lines of CSV. Free: free. */
static igloo_status run_plan(ig_plan *plan, char **ret_text) {
  IG_AUTO(ig_query) *query = NULL;
  struct ArrowArrayStream rows;
  IG_TRY(ig_query_start(plan, NULL, &query, &test_err));
  IG_TRY(ig_query_stream(query, &rows, &test_err));
  char *text = calloc(1, 1 << 20);
  struct ig_batches result;
  int64_t count = 0;
  FILE *file = tmpfile();
  struct ig_out out;
  ig_out_init(&out, fileno(file));
  igloo_status status = ig_batches_open(&rows, &result, &test_err);
  if (status == IGLOO_OK)
    status = ig_write_result(&result, IG_OUTPUT_CSV, &(struct ig_box_limits){0}, &out,
                             &count, &test_err);
  ig_batches_done(&result);
  ig_out_done(&out);
  ig_stream_done(&rows);
  if (status != IGLOO_OK) status = ig_query_error(query, &test_err);
  rewind(file);
  assert_true(fread(text, 1, (1 << 20) - 1, file) < (1 << 20) - 1);
  (void)fclose(file);
  const char *line = strchr(text, '\n');
  if (line) memmove(text, line + 1, strlen(line));
  if (status == IGLOO_OK)
    *ret_text = text;
  else
    free(text);
  return status;
}

static char *ask(const char *sql, bool pushdown) {
  IG_AUTO(ig_plan_context) *context = new_context(pushdown);
  IG_AUTO(ig_plan) *plan = new_plan(context, sql);
  char *text = NULL;
  assert_ok(run_plan(plan, &text));
  return text;
}

static void expect(const char *sql, const char *rows) {
  for (int pushdown = 0; pushdown < 2; pushdown++) {
    char *text = ask(sql, pushdown);
    assert_string_equal(text, rows);
    free(text);
  }
}

static char *explain(const char *sql, struct ig_explain how) {
  IG_AUTO(ig_plan_context) *context = new_context(true);
  IG_AUTO(ig_plan) *plan = new_plan(context, sql);
  char *text = NULL;
  assert_ok(ig_plan_explain(plan, how, NULL, &text, &test_err));
  return text;
}

static void expect_explained(const char *sql, struct ig_explain how,
                             const char *const *pieces, size_t count) {
  IG_AUTO_CHAR *text = explain(sql, how);
  for (size_t i = 0; i < count; i++)
    if (!strstr(text, pieces[i])) fail_msg("no %s in %s", pieces[i], text);
}

/* ---- tests ------------------------------------------------------------------------- */

static void rows_are_the_same_with_pushdown_and_without(void **state) {
  (void)state;
  set_up();
  expect("SELECT name, id FROM lite.numbers WHERE id > 4998 ORDER BY id",
         "n4999,4999\nn5000,5000\n");
  expect("SELECT count(*) FROM lite.numbers", "5000\n");
  expect("SELECT count(*) FROM lite.main.numbers WHERE half < 10 AND name <> 'n3'",
         "18\n");
  expect("SELECT id FROM lite.numbers ORDER BY id DESC LIMIT 2", "5000\n4999\n");
  expect("SELECT count(*) FROM (SELECT id FROM lite.numbers LIMIT 7) s", "7\n");
  expect("SELECT word FROM lite.few WHERE id IS NULL", "none\n");
  expect(
      "SELECT f.word, n.half FROM lite.few f JOIN lite.numbers n ON f.id = n.id "
      "ORDER BY 1",
      "many,2000\nthree,1.5\n");
  expect("SELECT id FROM lite.numbers WHERE id IN (SELECT id FROM lite.few) ORDER BY id",
         "3\n4000\n");
  expect("SELECT max(half), min(name) FROM lite.numbers WHERE id <= 10", "5,n1\n");
  expect(
      "SELECT * FROM remote_query('lite', $$SELECT id * 2 AS twice FROM few WHERE id "
      "< 10$$)",
      "6\n");
}

static void explain_shows_what_the_source_is_asked(void **state) {
  (void)state;
  set_up();
  const char *pushed[] = {"remote scan of lite.main.numbers: ", "  part 1: SELECT ",
                          "`name`", "FROM `main`.`numbers`", "  pushed: id > 10\n"};
  expect_explained("SELECT name FROM lite.numbers WHERE id > 10", (struct ig_explain){0},
                   pushed, IG_ARRAY_LEN(pushed));
  const char *limited[] = {"LIMIT 3", "  pushed: LIMIT 3\n"};
  expect_explained("SELECT name FROM lite.numbers LIMIT 3", (struct ig_explain){0},
                   limited, IG_ARRAY_LEN(limited));
  const char *local[] = {"  not pushed: md5(name) = 'x' ("};
  expect_explained("SELECT id FROM lite.numbers WHERE md5(name) = 'x'",
                   (struct ig_explain){0}, local, IG_ARRAY_LEN(local));
  const char *fetched[] = {"  fetched: 5 rows, "};
  expect_explained("SELECT name FROM lite.numbers WHERE id <= 5",
                   (struct ig_explain){.analyze = true}, fetched, IG_ARRAY_LEN(fetched));
  const char *json[] = {"\"remote\":{\"table\":\"lite.main.numbers\"",
                        "\"pushed\":\"exact\"", "\"rows_fetched\":5"};
  expect_explained("SELECT name FROM lite.numbers WHERE id <= 5",
                   (struct ig_explain){.analyze = true, .json = true}, json,
                   IG_ARRAY_LEN(json));
}

static void a_plan_runs_again_over_what_the_table_then_holds(void **state) {
  (void)state;
  set_up();
  IG_AUTO(ig_plan_context) *context = new_context(true);
  IG_AUTO(ig_plan) *plan = new_plan(context, "SELECT word FROM lite.few WHERE id = 3");
  char *text = NULL;
  assert_ok(run_plan(plan, &text));
  assert_string_equal(text, "three\n");
  free(text);
  sqlite_run(in_scratch("a.db"), "UPDATE few SET word = 'drei' WHERE id = 3");
  assert_ok(run_plan(plan, &text));
  assert_string_equal(text, "drei\n");
  free(text);
}

static void a_table_that_changed_its_columns_is_an_error_and_never_other_values(
    void **state) {
  (void)state;
  set_up();
  IG_AUTO(ig_plan_context) *context = new_context(true);
  IG_AUTO(ig_plan) *plan = new_plan(context, "SELECT word, id FROM lite.few");
  sqlite_run(in_scratch("a.db"),
             "DROP TABLE few; CREATE TABLE few (id TEXT, word REAL); INSERT INTO few "
             "VALUES ('x', 1.5);");
  char *text = NULL;
  assert_int_not_equal(run_plan(plan, &text), IGLOO_OK);
  assert_string_equal(test_err.sqlstate, "0A000");
  assert_non_null(strstr(test_err.message, "changed"));
}

static void a_plan_tells_which_attached_tables_it_reads(void **state) {
  (void)state;
  set_up();
  IG_AUTO(ig_plan_context) *context = new_context(true);
  IG_AUTO(ig_plan) *plan = new_plan(context, "SELECT word FROM lite.few");
  struct ig_plan_access access;
  assert_true(ig_plan_access_at(plan, 0, &access));
  assert_int_equal(access.kind, IG_PLAN_READS_TABLE);
  assert_true(ig_str_eq_cstr(access.catalog, "lite"));
  assert_true(ig_str_eq_cstr(access.schema, "main"));
  assert_true(ig_str_eq_cstr(access.name, "few"));
}

static void rows_of_an_insert_have_the_columns_that_it_lists(void **state) {
  (void)state;
  set_up();
  IG_AUTO(ig_plan_context) *context = new_context(true);
  IG_AUTO(ig_plan) *plan =
      new_plan(context, "INSERT INTO lite.numbers (name, id) SELECT 'new', 6000 + 1");
  struct ig_plan_access access;
  assert_true(ig_plan_access_at(plan, 0, &access));
  assert_int_equal(access.kind, IG_PLAN_WRITES_TABLE);
  IG_AUTO(ig_query) *query = NULL;
  struct ArrowArrayStream rows;
  assert_ok(ig_query_start(plan, NULL, &query, &test_err));
  assert_ok(ig_query_stream(query, &rows, &test_err));
  IG_AUTO(ig_source) *source = ig_sources_find(sources, IG_STR("lite"));
  int64_t count = 0;
  assert_ok(ig_source_ingest(source, IG_STR("main"), IG_STR("numbers"), IG_INGEST_APPEND,
                             &rows, NULL, &count, &test_err));
  assert_int_equal(count, 1);
  char *text = sqlite_ask(in_scratch("a.db"), "SELECT * FROM numbers WHERE id > 5000");
  assert_string_equal(text, "6001,NULL,new,33\n"); /* the table's own default */
  free(text);
}

/* A statement of one value; NULL bound by `format` "n". Gives a plan. */
static ig_plan *bind(ig_plan *plan, const char *format, int64_t number,
                     const char *text) {
  int32_t offsets[] = {0, text ? (int32_t)strlen(text) : 0};
  const void *buffers[] = {NULL, text ? (const void *)offsets : &number, text};
  struct ArrowArray value = {.length = 1,
                             .null_count = *format == 'n',
                             .n_buffers = *format == 'n' ? 0
                                          : text         ? 3
                                                         : 2,
                             .buffers = buffers,
                             .release = (void (*)(struct ArrowArray *))abort};
  struct ArrowArray *columns[] = {&value};
  struct ArrowArray row = {.length = 1,
                           .n_buffers = 1,
                           .buffers = buffers,
                           .n_children = 1,
                           .children = columns,
                           .release = (void (*)(struct ArrowArray *))abort};
  struct ArrowSchema type = {.format = format,
                             .name = "",
                             .flags = 2,
                             .release = (void (*)(struct ArrowSchema *))abort};
  struct ArrowSchema *types[] = {&type};
  struct ArrowSchema schema = {.format = "+s",
                               .name = "",
                               .n_children = 1,
                               .children = types,
                               .release = (void (*)(struct ArrowSchema *))abort};
  ig_plan *bound = NULL;
  assert_ok(ig_plan_bind(plan, &row, &schema, 0, &bound, &test_err));
  return bound;
}

static void expect_bound(ig_plan *plan, const char *format, int64_t number,
                         const char *value, const char *rows) {
  IG_AUTO(ig_plan) *bound = bind(plan, format, number, value);
  char *text = NULL;
  assert_ok(run_plan(bound, &text));
  assert_string_equal(text, rows);
  free(text);
}

static bool is_small(ig_plan *plan) {
  IG_AUTO(ig_query) *query = NULL;
  assert_ok(ig_query_start(plan, NULL, &query, &test_err));
  return ig_query_is_small(query);
}

static void a_lookup_by_key_takes_each_value_as_the_engine_would(void **state) {
  (void)state;
  set_up();
  for (int pushdown = 0; pushdown < 2; pushdown++) {
    IG_AUTO(ig_plan_context) *context = new_context(pushdown);
    IG_AUTO(ig_plan) *plan =
        new_plan(context, "SELECT name AS n, id FROM lite.numbers WHERE id = $1");
    assert_false(ig_plan_looks_up(plan));
    expect_bound(plan, "l", 17, NULL, "n17,17\n");
    expect_bound(plan, "l", 5001, NULL, "");
    expect_bound(plan, "c", -1, NULL, "");
    expect_bound(plan, "C", 200, NULL, "n200,200\n");
    expect_bound(plan, "i", INT32_MAX, NULL, "");
    expect_bound(plan, "u", 0, "17", "n17,17\n");
    expect_bound(plan, "n", 0, NULL, "");
    IG_AUTO(ig_plan) *text =
        new_plan(context, "SELECT id FROM lite.numbers WHERE name = $1");
    expect_bound(text, "u", 0, "n17", "17\n");
    expect_bound(text, "u", 0, "n'17", "");
    expect_bound(text, "l", 17, NULL, "");
  }
}

static void a_lookup_is_whole_when_it_is_started_and_says_what_it_read(void **state) {
  (void)state;
  set_up();
  IG_AUTO(ig_plan_context) *context = new_context(true);
  IG_AUTO(ig_plan) *plan =
      new_plan(context, "SELECT id, name FROM lite.numbers WHERE id = 17");
  assert_true(ig_plan_looks_up(plan));
  assert_true(is_small(plan));
  IG_AUTO(ig_plan) *other = new_plan(context, "SELECT id FROM lite.few WHERE id = 3");
  assert_false(ig_plan_looks_up(other)); /* without an index they may be many */
  IG_AUTO(ig_query) *query = NULL;
  struct ArrowArrayStream rows;
  struct ArrowArray batch;
  struct ig_query_progress progress;
  assert_ok(ig_query_start(plan, NULL, &query, &test_err));
  assert_ok(ig_query_stream(query, &rows, &test_err));
  assert_int_equal(rows.get_next(&rows, &batch), 0);
  assert_int_equal(batch.length, 1);
  ig_array_done(&batch);
  assert_int_equal(rows.get_next(&rows, &batch), 0);
  assert_null(batch.release);
  ig_query_progress(query, &progress);
  assert_int_equal(progress.rows_returned, 1);
  assert_int_equal(progress.rows_scanned, 1);
  assert_true(progress.bytes_scanned > 0);
  query = ig_query_free(query);
  rows.release(&rows); /* after its query, too */
}

static void a_lookup_with_values_is_explained_as_any_plan(void **state) {
  (void)state;
  set_up();
  IG_AUTO(ig_plan_context) *context = new_context(true);
  IG_AUTO(ig_plan) *plan =
      new_plan(context, "SELECT name FROM lite.numbers WHERE id = $1");
  IG_AUTO(ig_plan) *bound = bind(plan, "l", 17, NULL);
  char *text = NULL;
  assert_ok(ig_plan_explain(bound, (struct ig_explain){0}, NULL, &text, &test_err));
  assert_non_null(strstr(text, "SELECT `name` FROM `main`.`numbers` WHERE `id` = 17"));
  ig_free(text);
  IG_AUTO_SCHEMA parameters = {0};
  assert_ok(ig_plan_parameters(bound, &parameters, &test_err));
  assert_int_equal(parameters.n_children, 0);
  struct ig_plan_access access;
  assert_true(ig_plan_access_at(bound, 0, &access));
  assert_true(ig_str_eq_cstr(access.name, "numbers"));
}

static void a_cancelled_statement_ends_over_a_source_too(void **state) {
  (void)state;
  set_up();
  IG_AUTO(ig_plan_context) *context = new_context(true);
  IG_AUTO(ig_plan) *plan = new_plan(context, "SELECT count(*) FROM lite.numbers");
  IG_AUTO(ig_cancel) *cancel = NULL;
  assert_ok(ig_cancel_new(IG_NEVER_US, &cancel, &test_err));
  ig_cancel_set(cancel);
  ig_query *query = NULL;
  assert_int_equal(ig_query_start(plan, cancel, &query, &test_err), IGLOO_CANCELLED);
  assert_null(query);
}

#define remote_test(name) cmocka_unit_test_setup_teardown(name, scratch_setup, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      remote_test(rows_are_the_same_with_pushdown_and_without),
      remote_test(explain_shows_what_the_source_is_asked),
      remote_test(a_plan_runs_again_over_what_the_table_then_holds),
      remote_test(a_table_that_changed_its_columns_is_an_error_and_never_other_values),
      remote_test(a_plan_tells_which_attached_tables_it_reads),
      remote_test(rows_of_an_insert_have_the_columns_that_it_lists),
      remote_test(a_lookup_by_key_takes_each_value_as_the_engine_would),
      remote_test(a_lookup_is_whole_when_it_is_started_and_says_what_it_read),
      remote_test(a_lookup_with_values_is_explained_as_any_plan),
      remote_test(a_cancelled_statement_ends_over_a_source_too),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
