/* Tests of src/scan/remote.c, and of names of attached databases in src/scan/resolver.c
 * and information_schema.c: SQLite files, through our own driver. */
#include "scan/remote.h"

#include "connector/sources.h"

static ig_catalog *catalog;
static ig_roots *roots;
static ig_sources *sources;
static ig_system_tables *systems;
static ig_session_tables *own;

static void attach(const char *name, const char *path) {
  struct ig_source_definition definition = {
      .name = name, .type = "sqlite", .uri = path, .version = 7};
  assert_ok(ig_sources_attach(sources, &definition, &test_err));
  /* As ATTACH: what is listed is what the catalog knows. */
  struct ig_attachment attachment = {.name = name, .type = "sqlite", .uri = path};
  ig_catalog_change *change = NULL;
  assert_ok(ig_catalog_begin(catalog, &change, &test_err));
  assert_ok(ig_catalog_attach(change, &attachment, true, &test_err));
  assert_ok(ig_catalog_commit(change, NULL, &test_err));
}

static void set_up(void) {
  sqlite_run(
      in_scratch("a.db"),
      "CREATE TABLE people (id INTEGER, name TEXT); CREATE TABLE pets (id INTEGER);"
      "CREATE VIEW grown AS SELECT id FROM people;");
  sqlite_run(in_scratch("b.db"), "CREATE TABLE people (id INTEGER);");
  assert_ok(ig_catalog_open(NULL, &catalog, &test_err));
  assert_ok(ig_roots_new_everything(&roots, &test_err));
  sources = new_sources(2);
  assert_ok(ig_system_tables_new(sources, &systems, &test_err));
  assert_ok(ig_session_tables_new(&own, &test_err));
  attach("lite", in_scratch("a.db"));
  attach("other", in_scratch("b.db"));
}

static int tear_down(void **state) {
  own = ig_session_tables_unref(own);
  systems = ig_system_tables_unref(systems);
  sources = ig_sources_unref(sources);
  catalog = ig_catalog_close(catalog);
  roots = ig_roots_free(roots);
  return scratch_teardown(state);
}

static ig_resolver *new_resolver(const struct ig_pair *path, size_t count) {
  ig_resolver *resolver = NULL;
  IG_AUTO(ig_snapshot) *snapshot = ig_catalog_snapshot(catalog);
  struct ig_resolver_parts parts = {.snapshot = snapshot,
                                    .roots = roots,
                                    .system = systems,
                                    .own = own,
                                    .sources = sources,
                                    .search_path = path,
                                    .search_path_count = count};
  assert_ok(ig_resolver_new(&parts, &resolver, &test_err));
  return resolver;
}

static const struct ig_pair public_path[] = {IG_SEARCH_ENTRY("public")};
static const struct ig_pair lite_path[] = {{"lite", "main"}};

static igloo_status look_up(ig_resolver *resolver, const char *name,
                            ig_scan_table **ret_table, struct igloo_error *reterr) {
  struct ig_str parts[4], rest = ig_str_from_cstr(name);
  size_t count = 0;
  while (count < 4) {
    size_t dot = 0;
    while (dot < rest.len && rest.data[dot] != '.') dot++;
    parts[count++] = ig_str_sub(rest, 0, dot);
    if (dot == rest.len) break;
    rest = ig_str_sub(rest, dot + 1, rest.len);
  }
  return ig_resolver_table(resolver, 0, parts, count, NULL, ret_table, reterr);
}

/* `name` is the table catalog.schema.table with `columns` columns. */
static void expect_remote(ig_resolver *resolver, const char *name,
                          const char *catalog_name, int64_t columns) {
  IG_AUTO(ig_scan_table) *table = NULL;
  assert_ok(look_up(resolver, name, &table, &test_err));
  assert_int_equal(table->kind, IG_SCAN_REMOTE);
  assert_string_equal(table->catalog, catalog_name);
  assert_string_equal(table->schema, "main");
  assert_string_equal(table->name, "people");
  assert_int_equal(table->version, 7);
  assert_int_equal(ig_remote_table_schema(table->remote)->n_children, columns);
}

static void expect_no(ig_resolver *resolver, const char *name, const char *sqlstate) {
  ig_scan_table *table = NULL;
  assert_int_equal(look_up(resolver, name, &table, &test_err), IGLOO_NOT_FOUND);
  assert_string_equal(test_err.sqlstate, sqlstate);
  assert_null(table);
}

static void an_attached_table_has_a_name_of_three_parts_or_of_two(void **state) {
  (void)state;
  set_up();
  IG_AUTO(ig_resolver) *resolver = new_resolver(public_path, 1);
  expect_remote(resolver, "lite.main.people", "lite", 2);
  expect_remote(resolver, "lite.people", "lite", 2);
  expect_remote(resolver, "other.people", "other", 1);
  expect_no(resolver, "people", "42P01");
}

static void use_makes_an_attached_catalog_the_one_where_names_are_looked_up(
    void **state) {
  (void)state;
  set_up();
  IG_AUTO(ig_resolver) *resolver = new_resolver(lite_path, 1);
  expect_remote(resolver, "people", "lite", 2);
  expect_remote(resolver, "main.people", "lite", 2);
  expect_remote(resolver, "other.people", "other", 1);
  expect_no(resolver, "nobody", "42P01");
  IG_AUTO(ig_scan_table) *table = NULL;
  assert_ok(look_up(resolver, "information_schema.tables", &table, &test_err));
  assert_int_equal(table->kind, IG_SCAN_STREAM);
}

static void a_schema_of_our_own_goes_before_a_catalog_of_its_name(void **state) {
  (void)state;
  set_up();
  ig_catalog_change *change = NULL;
  struct ig_object view = {.kind = IG_OBJECT_VIEW,
                           .schema = "lite",
                           .name = "people",
                           .sql = "SELECT 1",
                           .search_path = public_path,
                           .search_path_count = 1};
  assert_ok(ig_catalog_begin(catalog, &change, &test_err));
  assert_ok(ig_catalog_create_schema(change, IG_STR("lite"), &test_err));
  assert_ok(ig_catalog_create(change, &view, NULL, 0, false, &test_err));
  assert_ok(ig_catalog_commit(change, NULL, &test_err));
  IG_AUTO(ig_resolver) *resolver = new_resolver(public_path, 1);
  IG_AUTO(ig_scan_table) *table = NULL;
  assert_ok(look_up(resolver, "lite.people", &table, &test_err));
  assert_int_equal(table->kind, IG_SCAN_VIEW);
  expect_remote(resolver, "lite.main.people", "lite", 2);
}

static void what_is_not_there_is_told_with_the_nearest_name(void **state) {
  (void)state;
  set_up();
  IG_AUTO(ig_resolver) *resolver = new_resolver(public_path, 1);
  expect_no(resolver, "lite.main.nobody", "42P01");
  expect_no(resolver, "lite.nobody", "42P01");
  expect_no(resolver, "nowhere.people", "42P01");
  expect_no(resolver, "nowhere.main.people", "3D000");
  assert_non_null(strstr(test_err.hint, "ATTACH"));
  IG_AUTO(ig_source) *source = find_source(sources, "lite");
  const struct ig_source_listing *list = NULL;
  size_t count = 0;
  void *hold = NULL;
  assert_ok(ig_source_list(source, NULL, &list, &count, &hold, &test_err));
  ig_source_list_free(hold);
  expect_no(resolver, "lite.peopel", "42P01");
  assert_non_null(strstr(test_err.hint, "people"));
}

static void a_source_that_cannot_be_read_is_its_own_error(void **state) {
  (void)state;
  set_up();
  attach("gone", in_scratch("no-folder/c.db"));
  IG_AUTO(ig_resolver) *resolver = new_resolver(public_path, 1);
  ig_scan_table *table = NULL;
  assert_int_not_equal(look_up(resolver, "gone.people", &table, &test_err), IGLOO_OK);
  assert_string_not_equal(test_err.sqlstate, "42P01");
  expect_remote(resolver, "lite.people", "lite", 2);
}

static void a_catalog_that_could_not_be_taken_up_is_told_from_one_that_is_none(
    void **state) {
  (void)state;
  set_up();
  assert_true(ig_sources_detach(sources, IG_STR("other")));
  IG_AUTO(ig_resolver) *resolver = new_resolver(public_path, 1);
  const char *names[] = {"other.people", "other.main.people"};
  for (size_t i = 0; i < IG_ARRAY_LEN(names); i++) {
    ig_scan_table *table = NULL;
    assert_int_equal(look_up(resolver, names[i], &table, &test_err),
                     IGLOO_FAILED_PRECONDITION);
    assert_string_equal(test_err.message, "catalog \"other\" is not available");
  }
}

static igloo_status look_up_people(void *resolver, struct igloo_error *reterr) {
  IG_AUTO(ig_scan_table) *whole = NULL, *query = NULL;
  IG_TRY(look_up(resolver, "lite.people", &whole, reterr));
  struct ig_scan_argument arguments[] = {{.text = IG_STR("lite")},
                                         {.text = IG_STR("SELECT 1 AS a")}};
  return ig_resolver_function(resolver, IG_STR("remote_query"), arguments, 2, NULL,
                              &query, reterr);
}

static void looking_up_survives_each_failed_allocation(void **state) {
  (void)state;
  set_up();
  IG_AUTO(ig_resolver) *resolver = new_resolver(public_path, 1);
  assert_survives_failed_allocations(look_up_people, resolver);
}

static char *read_system_table(const char *name) {
  IG_AUTO(ig_snapshot) *snapshot = ig_catalog_snapshot(catalog);
  IG_AUTO(ig_scan_table) *table = NULL;
  struct ig_identity who = {.superuser = true};
  assert_ok(ig_system_tables_scan(systems, IG_STR(IG_SCHEMA_INFORMATION),
                                  ig_str_from_cstr(name), snapshot, &who, &table,
                                  &test_err));
  struct ArrowArrayStream rows;
  assert_ok(table->rows.open(table->rows.ctx, &rows, &test_err));
  char *text = NULL;
  assert_ok(stream_text(&rows, &text, &test_err));
  return text;
}

static void information_schema_lists_the_tables_of_attached_databases(void **state) {
  (void)state;
  set_up();
  attach("gone", in_scratch("no-folder/c.db"));
  char *text = read_system_table("tables");
  assert_non_null(
      strstr(text, "lite,main,people,BASE TABLE\nlite,main,pets,BASE TABLE\n"));
  assert_non_null(strstr(text, "lite,main,grown,VIEW\n"));
  assert_non_null(strstr(text, "other,main,people,BASE TABLE\n"));
  free(text);
  text = read_system_table("schemata");
  assert_non_null(strstr(text, "igloo,information_schema,"));
  const char *once = strstr(text, "lite,main,");
  assert_non_null(once);
  assert_null(strstr(once + 1, "lite,main,"));
  free(text);
}

static igloo_status ask_remotely(const struct ig_identity *who, const char *catalog_name,
                                 const char *query, ig_scan_table **ret_table) {
  struct ig_scan_argument arguments[] = {{.text = ig_str_from_cstr(catalog_name)},
                                         {.text = ig_str_from_cstr(query)}};
  return ig_scan_remote_query(sources, who, arguments, 2, NULL, ret_table, &test_err);
}

static void a_query_of_the_source_is_a_table_for_those_who_may(void **state) {
  (void)state;
  set_up();
  struct ig_identity super = {.user_id = 1, .superuser = true}, nobody = {.user_id = 0};
  struct ig_identity user = {.user_id = 2};
  const char *query = "SELECT name, id + 1 AS next FROM people";
  for (int i = 0; i < 2; i++) {
    IG_AUTO(ig_scan_table) *table = NULL;
    assert_ok(ask_remotely(i == 0 ? &super : &nobody, "lite", query, &table));
    const struct ArrowSchema *schema = ig_remote_table_schema(table->remote);
    assert_int_equal(schema->n_children, 2);
    assert_string_equal(schema->children[1]->name, "next");
    assert_string_equal(table->catalog, "lite");
  }
  ig_scan_table *table = NULL;
  assert_int_equal(ask_remotely(&user, "lite", query, &table), IGLOO_PERMISSION_DENIED);
  assert_int_equal(ask_remotely(&super, "nowhere", query, &table), IGLOO_NOT_FOUND);
  assert_string_equal(test_err.sqlstate, "3D000");
  assert_int_not_equal(ask_remotely(&super, "lite", "SELECT nothing", &table), IGLOO_OK);
  struct ig_scan_argument one = {.text = IG_STR("lite")};
  assert_int_equal(
      ig_scan_remote_query(sources, &super, &one, 1, NULL, &table, &test_err),
      IGLOO_INVALID_ARGUMENT);
  assert_null(table);
}

#define remote_test(name) cmocka_unit_test_setup_teardown(name, scratch_setup, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      remote_test(an_attached_table_has_a_name_of_three_parts_or_of_two),
      remote_test(use_makes_an_attached_catalog_the_one_where_names_are_looked_up),
      remote_test(a_schema_of_our_own_goes_before_a_catalog_of_its_name),
      remote_test(what_is_not_there_is_told_with_the_nearest_name),
      remote_test(a_source_that_cannot_be_read_is_its_own_error),
      remote_test(a_catalog_that_could_not_be_taken_up_is_told_from_one_that_is_none),
      remote_test(information_schema_lists_the_tables_of_attached_databases),
      remote_test(a_query_of_the_source_is_a_table_for_those_who_may),
      remote_test(looking_up_survives_each_failed_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
