/* Tests of src/scan/resolver.c, paths.c, system.c and information_schema.c. */
#include "scan/resolver.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "arrow/schema.h"
#include "arrow/stream.h"
#include "support.h"

static ig_catalog *catalog;
static ig_roots *roots;
static ig_system_tables *systems;
static ig_session_tables *own;
static char folder[] = "/tmp/igloo-test-XXXXXX";

static int set_up(void **state) {
  (void)state;
  memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
  if (!mkdtemp(folder)) return -1;
  if (ig_catalog_open(NULL, &catalog, &test_err)) return -1;
  if (ig_roots_new_everything(&roots, &test_err)) return -1;
  if (ig_system_tables_new(NULL, &systems, &test_err)) return -1;
  return ig_session_tables_new(&own, &test_err) == IGLOO_OK ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  own = ig_session_tables_unref(own);
  systems = ig_system_tables_unref(systems);
  catalog = ig_catalog_close(catalog);
  roots = ig_roots_free(roots);
  IG_AUTO_CHAR *command = ig_asprintf("rm -r '%s'", folder);
  return system(command);
}

static ig_resolver *new_resolver(const struct ig_pair *path, size_t count) {
  ig_resolver *resolver = NULL;
  IG_AUTO(ig_snapshot) *snapshot = ig_catalog_snapshot(catalog);
  struct ig_resolver_parts parts = {.snapshot = snapshot,
                                    .roots = roots,
                                    .system = systems,
                                    .own = own,
                                    .search_path = path,
                                    .search_path_count = count};
  assert_ok(ig_resolver_new(&parts, &resolver, &test_err));
  return resolver;
}

static void create_view(const char *schema, const char *name, const char *sql,
                        const struct ig_pair *path, size_t path_count) {
  ig_catalog_change *change = NULL;
  struct ig_object object = {.kind = IG_OBJECT_VIEW,
                             .schema = schema,
                             .name = name,
                             .sql = sql,
                             .search_path = path,
                             .search_path_count = path_count};
  assert_ok(ig_catalog_begin(catalog, &change, &test_err));
  if (!ig_catalog_change_has_schema(change, ig_str_from_cstr(schema)))
    assert_ok(ig_catalog_create_schema(change, ig_str_from_cstr(schema), &test_err));
  assert_ok(ig_catalog_create(change, &object, NULL, 0, false, &test_err));
  assert_ok(ig_catalog_commit(change, NULL, &test_err));
}

static const struct ig_pair public_path[] = {IG_SEARCH_ENTRY("public")};

/* The SQL of the view that a name gives. */
static void expect_view(ig_resolver *resolver, uint64_t scope, const char *const *names,
                        size_t count, const char *sql, uint64_t *ret_scope) {
  struct ig_str parts[3];
  for (size_t i = 0; i < count; i++) parts[i] = ig_str_from_cstr(names[i]);
  IG_AUTO(ig_scan_table) *table = NULL;
  assert_ok(ig_resolver_table(resolver, scope, parts, count, NULL, &table, &test_err));
  assert_int_equal(table->kind, IG_SCAN_VIEW);
  assert_string_equal(table->sql, sql);
  if (ret_scope) *ret_scope = table->scope;
}

static igloo_status find(ig_resolver *resolver, const char *name) {
  struct ig_str part = ig_str_from_cstr(name);
  ig_scan_table *table = NULL;
  igloo_status status = ig_resolver_table(resolver, 0, &part, 1, NULL, &table, &test_err);
  if (status == IGLOO_OK) ig_scan_table_unref(table);
  return status;
}

static void an_unqualified_name_follows_the_search_path(void **state) {
  (void)state;
  create_view("a", "v", "SELECT 'a'", public_path, 1);
  create_view("b", "v", "SELECT 'b'", public_path, 1);
  const struct ig_pair ab[] = {IG_SEARCH_ENTRY("a"), IG_SEARCH_ENTRY("b")};
  const struct ig_pair ba[] = {IG_SEARCH_ENTRY("missing"), IG_SEARCH_ENTRY("b"),
                               IG_SEARCH_ENTRY("a")};
  const char *const v[] = {"v"};
  IG_AUTO(ig_resolver) *first = new_resolver(ab, 2);
  IG_AUTO(ig_resolver) *second = new_resolver(ba, 3);
  expect_view(first, 0, v, 1, "SELECT 'a'", NULL);
  expect_view(second, 0, v, 1, "SELECT 'b'", NULL);
}

static void a_name_inside_a_view_follows_the_path_of_its_creator(void **state) {
  (void)state;
  const struct ig_pair a[] = {IG_SEARCH_ENTRY("a")}, b[] = {IG_SEARCH_ENTRY("b")};
  create_view("a", "inner_view", "SELECT 'a'", a, 1);
  create_view("b", "inner_view", "SELECT 'b'", b, 1);
  create_view("b", "outer_view", "SELECT * FROM inner_view", b, 1);
  const char *const outer[] = {"b", "outer_view"}, *const inner[] = {"inner_view"};
  IG_AUTO(ig_resolver) *resolver = new_resolver(a, 1);
  uint64_t scope = 0;
  expect_view(resolver, 0, outer, 2, "SELECT * FROM inner_view", &scope);
  assert_true(scope != 0);
  expect_view(resolver, scope, inner, 1, "SELECT 'b'", NULL);
  expect_view(resolver, 0, inner, 1, "SELECT 'a'", NULL);
}

static void qualified_names_reach_their_schema_and_catalog_only(void **state) {
  (void)state;
  create_view("a", "v", "SELECT 'a'", public_path, 1);
  IG_AUTO(ig_resolver) *resolver = new_resolver(public_path, 1);
  const char *const full[] = {"igloo", "a", "v"};
  expect_view(resolver, 0, full, 3, "SELECT 'a'", NULL);
  expect_view(resolver, 0, full + 1, 2, "SELECT 'a'", NULL);
  ig_scan_table *table = NULL;
  struct ig_str other[] = {IG_STR("other"), IG_STR("a"), IG_STR("v")};
  assert_fails(ig_resolver_table(resolver, 0, other, 3, NULL, &table, &test_err),
               IGLOO_NOT_FOUND, "3D000");
  struct ig_str missing[] = {IG_STR("igloo"), IG_STR("none"), IG_STR("v")};
  assert_fails(ig_resolver_table(resolver, 0, missing, 3, NULL, &table, &test_err),
               IGLOO_NOT_FOUND, "3F000");
}

static void a_missing_table_hints_at_the_nearest_or_at_quotes(void **state) {
  (void)state;
  create_view("public", "flights", "SELECT 1", public_path, 1);
  IG_AUTO(ig_resolver) *resolver = new_resolver(public_path, 1);
  assert_int_equal(find(resolver, "fligths"), IGLOO_NOT_FOUND);
  assert_string_equal(test_err.sqlstate, "42P01");
  assert_true(strstr(test_err.hint, "\"flights\"") != NULL);
  ig_scan_table *table = NULL;
  struct ig_str file[] = {IG_STR("data"), IG_STR("parquet")};
  assert_fails(ig_resolver_table(resolver, 0, file, 2, NULL, &table, &test_err),
               IGLOO_NOT_FOUND, "42P01");
  assert_true(strstr(test_err.hint, "FROM 'data.parquet'") != NULL);
}

static void targets_are_never_in_the_schemas_that_igloo_makes(void **state) {
  (void)state;
  IG_AUTO(ig_resolver) *resolver = new_resolver(public_path, 1);
  struct ig_str parts[] = {IG_STR("information_schema"), IG_STR("t")};
  struct ig_str schema, name;
  assert_fails(ig_resolver_target(resolver, parts, 2, &schema, &name, &test_err),
               IGLOO_PERMISSION_DENIED, "42501");
  assert_ok(ig_resolver_target(resolver, parts + 1, 1, &schema, &name, &test_err));
  assert_true(ig_str_eq_cstr(schema, "public"));
  assert_true(ig_str_eq_cstr(name, "t"));
}

/* ---- system tables and streams ----------------------------------------------------- */

static int64_t count_rows(ig_scan_table *table) {
  IG_AUTO_STREAM stream = {0};
  assert_ok(table->rows.open(table->rows.ctx, &stream, &test_err));
  int64_t count = 0;
  for (;;) {
    IG_AUTO_ARRAY batch = {0};
    assert_ok(ig_stream_next(&stream, &batch, &test_err));
    if (!batch.release) return count;
    count += batch.length;
  }
}

static void information_schema_lists_what_the_snapshot_holds(void **state) {
  (void)state;
  IG_AUTO(ig_resolver) *before = new_resolver(public_path, 1);
  create_view("public", "v", "SELECT 1", public_path, 1);
  IG_AUTO(ig_resolver) *after = new_resolver(public_path, 1);
  struct ig_str parts[] = {IG_STR("information_schema"), IG_STR("tables")};
  IG_AUTO(ig_scan_table) *old = NULL;
  IG_AUTO(ig_scan_table) *new = NULL;
  assert_ok(ig_resolver_table(before, 0, parts, 2, NULL, &old, &test_err));
  assert_ok(ig_resolver_table(after, 0, parts, 2, NULL, &new, &test_err));
  int64_t rows = count_rows(old);
  assert_int_equal(count_rows(new), rows + 1);
  assert_int_equal(count_rows(old), rows); /* it may be read again */
}

static void a_session_stream_hides_a_table_and_opens_once(void **state) {
  (void)state;
  create_view("public", "v", "SELECT 1", public_path, 1);
  static const struct ig_rows_column columns[] = {{"n", IG_CELL_INT64, false}};
  IG_AUTO(ig_rows) *rows = NULL;
  struct ArrowArrayStream stream;
  assert_ok(ig_rows_new(columns, 1, &rows, &test_err));
  for (int i = 0; i < 3; i++) ig_rows_i64(rows, i);
  assert_ok(ig_rows_finish(rows, &stream, &test_err));
  assert_ok(ig_session_tables_put(own, IG_STR("v"), &stream, &test_err));
  IG_AUTO(ig_resolver) *resolver = new_resolver(public_path, 1);
  struct ig_str name = IG_STR("v");
  IG_AUTO(ig_scan_table) *table = NULL;
  assert_ok(ig_resolver_table(resolver, 0, &name, 1, NULL, &table, &test_err));
  assert_int_equal(table->kind, IG_SCAN_STREAM);
  assert_true(ig_session_tables_drop(own, name)); /* the table found before goes on */
  assert_int_equal(count_rows(table), 3);
  struct ArrowArrayStream again;
  assert_fails(table->rows.open(table->rows.ctx, &again, &test_err),
               IGLOO_FAILED_PRECONDITION, "55000");
  assert_false(ig_session_tables_drop(own, name));
}

/* ---- paths ----------------------------------------------------------------------- */

static void touch(const char *name) {
  IG_AUTO_CHAR *path = ig_asprintf("%s/%s", folder, name);
  IG_AUTO_FD fd = open(path, O_CREAT | O_WRONLY, 0600);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, "a,b\n1,2\n", 8), 8);
}

static igloo_status call(const char *function, const char *file, const char *option,
                         const char *value, ig_scan_table **ret_table) {
  IG_AUTO(ig_resolver) *resolver = new_resolver(public_path, 1);
  IG_AUTO_CHAR *path = ig_asprintf("%s/%s", folder, file);
  struct ig_scan_argument arguments[] = {
      {.text = ig_str_from_cstr(path)},
      {.name = ig_str_from_cstr(option), .text = ig_str_from_cstr(value)}};
  return ig_resolver_function(resolver, ig_str_from_cstr(function), arguments,
                              option ? 2 : 1, NULL, ret_table, &test_err);
}

static void options_get_the_name_that_the_engine_knows(void **state) {
  (void)state;
  touch("x.csv");
  static const struct {
    const char *given, *value, *key, *text;
  } cases[] = {
      {"delimiter", ";", "delim", ";"},
      {"SEP", "tab", "delim", "\t"},
      {"format.has_header", "YES", "header", "true"},
      {"header", "", "header", "true"},
      {"nullstr", "NA", "null", "NA"},
      {"sample_size", "100", "sample_rows", "100"},
      {"all_varchar", "off", "all_text", "false"},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(cases); i++) {
    IG_AUTO(ig_scan_table) *table = NULL;
    assert_ok(call("read_csv", "x.csv", cases[i].given, cases[i].value, &table));
    assert_int_equal(table->options_count, 1);
    assert_string_equal(table->options[0].key, cases[i].key);
    assert_string_equal(table->options[0].value, cases[i].text);
  }
}

static void bad_options_say_which_and_why(void **state) {
  (void)state;
  touch("x.csv");
  touch("x.parquet");
  ig_scan_table *table = NULL;
  assert_fails(call("read_csv", "x.csv", "delimitr", ";", &table), IGLOO_INVALID_ARGUMENT,
               "22023");
  assert_message_has("delimitr");
  assert_fails(call("read_csv", "x.csv", "delim", "ab", &table), IGLOO_INVALID_ARGUMENT,
               "22023");
  assert_fails(call("read_csv", "x.csv", "sample_rows", "-1", &table),
               IGLOO_INVALID_ARGUMENT, "22023");
  assert_fails(call("read_parquet", "x.parquet", "header", "true", &table),
               IGLOO_INVALID_ARGUMENT, "22023");
  assert_fails(call("read_cvs", "x.csv", NULL, NULL, &table), IGLOO_NOT_FOUND, "42883");
  assert_true(strstr(test_err.hint, "read_csv") != NULL);
}

static void a_file_is_read_by_the_format_of_its_name_or_function(void **state) {
  (void)state;
  touch("x.tsv.gz");
  touch("x.data");
  IG_AUTO(ig_scan_table) *tsv = NULL;
  IG_AUTO(ig_scan_table) *data = NULL;
  ig_scan_table *unknown = NULL;
  assert_ok(call("read_file", "x.tsv.gz", NULL, NULL, &tsv));
  assert_int_equal(tsv->list.format, IG_FORMAT_CSV);
  assert_int_equal(tsv->list.compression, IG_COMPRESSION_GZIP);
  assert_string_equal(tsv->options[0].value, "\t");
  assert_ok(call("read_json", "x.data", NULL, NULL, &data));
  assert_int_equal(data->list.format, IG_FORMAT_JSON);
  assert_fails(call("read_file", "x.data", NULL, NULL, &unknown), IGLOO_INVALID_ARGUMENT,
               "22023");
  assert_fails(call("read_file", "none.csv", NULL, NULL, &unknown), IGLOO_NOT_FOUND,
               "58P01");
}

static void a_path_outside_the_roots_is_refused_whether_it_exists_or_not(void **state) {
  (void)state;
  roots = ig_roots_free(roots);
  assert_ok(ig_roots_new(ig_str_from_cstr(folder), &roots, &test_err));
  touch("x.csv");
  ig_scan_table *table = NULL;
  IG_AUTO(ig_scan_table) *inside = NULL;
  assert_ok(call("read_csv", "x.csv", NULL, NULL, &inside));
  assert_fails(call("read_csv", "../../etc/passwd", NULL, NULL, &table),
               IGLOO_PERMISSION_DENIED, "42501");
  struct igloo_error exists = test_err;
  assert_fails(call("read_csv", "../../etc/nothing", NULL, NULL, &table),
               IGLOO_PERMISSION_DENIED, "42501");
  assert_int_equal(exists.status, test_err.status);
  assert_string_equal(exists.sqlstate, test_err.sqlstate);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      CASE(an_unqualified_name_follows_the_search_path),
      CASE(a_name_inside_a_view_follows_the_path_of_its_creator),
      CASE(qualified_names_reach_their_schema_and_catalog_only),
      CASE(a_missing_table_hints_at_the_nearest_or_at_quotes),
      CASE(targets_are_never_in_the_schemas_that_igloo_makes),
      CASE(information_schema_lists_what_the_snapshot_holds),
      CASE(a_session_stream_hides_a_table_and_opens_once),
      CASE(options_get_the_name_that_the_engine_knows),
      CASE(bad_options_say_which_and_why),
      CASE(a_file_is_read_by_the_format_of_its_name_or_function),
      CASE(a_path_outside_the_roots_is_refused_whether_it_exists_or_not),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
