/* test_catalog.c -- DDL, snapshots, data files, and what a killed process leaves. */
#include "catalog/catalog.h"

#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "arrow/schema.h"
#include "base/buf.h"
#include "base/clock.h"
#include "files/target.h"
#include "support-files.h"

#include <nanoarrow/nanoarrow.h>

static ig_catalog *open_data(void) {
  ig_catalog *catalog = NULL;
  assert_ok(ig_catalog_open(in_scratch("data"), &catalog, &test_err));
  return catalog;
}

/* Columns id bigint, name text. */
static struct ArrowSchema columns;

static int group_setup(void **state) {
  (void)state;
  if (ig_schema_new_struct(2, &columns, NULL) != IGLOO_OK) return -1;
  return ArrowSchemaSetType(columns.children[0], NANOARROW_TYPE_INT64) ||
         ArrowSchemaSetName(columns.children[0], "id") ||
         ArrowSchemaSetType(columns.children[1], NANOARROW_TYPE_STRING) ||
         ArrowSchemaSetName(columns.children[1], "name");
}

static int group_teardown(void **state) {
  (void)state;
  ig_schema_done(&columns);
  return 0;
}

/* Write `count` data files of `bytes` bytes each, as a CTAS does. */
static igloo_status write_files(ig_catalog *catalog, const char *folder, size_t count,
                                size_t bytes, ig_table_target **ret_target,
                                struct igloo_error *reterr) {
  static const char zeros[4096];
  IG_AUTO(ig_table_target) *target = NULL;
  IG_TRY(ig_table_target_new(ig_catalog_tables_folder(catalog), folder, &target, reterr));
  const struct ig_write_target *table = ig_table_target_table(target);
  for (size_t i = 0; i < count; i++) {
    void *file = NULL;
    IG_TRY(table->create(table->ctx, IG_STR(""), IG_STR("parquet"), &file, reterr));
    igloo_status status = table->write(table->ctx, file, zeros, bytes, reterr);
    if (status != IGLOO_OK) {
      table->abandon(table->ctx, file);
      return status;
    }
    IG_TRY(table->finish(table->ctx, file, (int64_t)bytes, reterr));
  }
  *ret_target = IG_TAKE(target);
  return IGLOO_OK;
}

static igloo_status try_create_table(ig_catalog *catalog, const char *schema,
                                     const char *name, size_t count, size_t bytes,
                                     bool replace, struct igloo_error *reterr) {
  IG_AUTO(ig_table_target) *target = NULL;
  IG_AUTO(ig_catalog_change) *change = NULL;
  const struct ig_table_file *files = NULL;
  size_t files_count = 0;
  char folder[IG_RANDOM_NAME_BYTES];
  IG_TRY(ig_random_name(folder, reterr));
  IG_TRY(write_files(catalog, folder, count, bytes, &target, reterr));
  ig_table_target_files(target, &files, &files_count);
  struct ig_object object = {.kind = IG_OBJECT_TABLE,
                             .schema = schema,
                             .name = name,
                             .definition = "CREATE TABLE …",
                             .columns = &columns,
                             .folder = folder};
  IG_TRY(ig_catalog_begin(catalog, &change, reterr));
  ig_table_target_keep(target);
  IG_TRY(ig_catalog_create(change, &object, files, files_count, replace, reterr));
  return ig_catalog_commit(IG_TAKE(change), NULL, reterr);
}

static void create_table(ig_catalog *catalog, const char *name, size_t count,
                         size_t bytes) {
  assert_ok(try_create_table(catalog, "public", name, count, bytes, false, &test_err));
}

static igloo_status try_append(ig_catalog *catalog, const char *name, size_t count,
                               size_t bytes, struct igloo_error *reterr) {
  IG_AUTO(ig_table_target) *target = NULL;
  IG_AUTO(ig_catalog_change) *change = NULL;
  IG_AUTO(ig_snapshot) *snapshot = ig_catalog_snapshot(catalog);
  const struct ig_table_file *files = NULL;
  size_t files_count = 0;
  const struct ig_object *table =
      ig_snapshot_find(snapshot, IG_STR("public"), ig_str_from_cstr(name));
  if (!table) return ig_fail(reterr, IGLOO_NOT_FOUND, "no table");
  IG_TRY(write_files(catalog, table->folder, count, bytes, &target, reterr));
  ig_table_target_files(target, &files, &files_count);
  IG_TRY(ig_catalog_begin(catalog, &change, reterr));
  ig_table_target_keep(target);
  IG_TRY(ig_catalog_append(change, IG_STR("public"), ig_str_from_cstr(name), table->id,
                           files, files_count, reterr));
  return ig_catalog_commit(IG_TAKE(change), NULL, reterr);
}

static igloo_status try_drop(ig_catalog *catalog, const char *name,
                             struct igloo_error *reterr) {
  IG_AUTO(ig_catalog_change) *change = NULL;
  IG_TRY(ig_catalog_begin(catalog, &change, reterr));
  IG_TRY(
      ig_catalog_drop(change, IG_STR("public"), ig_str_from_cstr(name), false, reterr));
  return ig_catalog_commit(IG_TAKE(change), NULL, reterr);
}

/* Data files on disk. */
static size_t files_seen;
static int see_file(const char *file, const struct stat *st, int flag) {
  (void)file, (void)st;
  files_seen += flag == FTW_F;
  return 0;
}
static size_t count_data_files(void) {
  files_seen = 0;
  assert_int_equal(ftw(in_scratch("data/tables"), see_file, 8), 0);
  return files_seen;
}

/* Every listed file is there with its size; returns how many there are. */
static size_t check_files(ig_snapshot *snapshot) {
  size_t count = 0;
  for (size_t i = 0; i < ig_snapshot_objects_count(snapshot); i++) {
    const struct ig_object *object = ig_snapshot_object(snapshot, i);
    for (size_t j = 0; j < object->files_count; j++, count++) {
      struct stat st;
      if (stat(object->files[j]->path, &st) != 0)
        fail_msg("table %s lists %s, which is not there", object->name,
                 object->files[j]->path);
      assert_int_equal(st.st_size, object->files[j]->size);
    }
  }
  return count;
}

/* ---- what can be said -------------------------------------------------------------- */

static void a_new_catalog_has_the_public_schema(void **state) {
  (void)state;
  IG_AUTO(ig_catalog) *catalog = open_data();
  IG_AUTO(ig_snapshot) *snapshot = ig_catalog_snapshot(catalog);
  assert_int_equal(ig_snapshot_schemas_count(snapshot), 1);
  assert_string_equal(ig_snapshot_schema(snapshot, 0), "public");
  assert_int_equal(ig_snapshot_objects_count(snapshot), 0);
  assert_null(ig_snapshot_find(snapshot, IG_STR("public"), IG_STR("t")));
}

static void tables_and_their_files_survive_a_restart(void **state) {
  (void)state;
  ig_catalog *catalog = open_data();
  create_table(catalog, "t", 2, 100);
  assert_ok(try_append(catalog, "t", 1, 50, &test_err));
  IG_AUTO(ig_snapshot) *before = ig_catalog_snapshot(catalog);
  int64_t version = ig_snapshot_version(before);
  before = ig_snapshot_unref(before);
  ig_catalog_close(catalog);

  catalog = open_data();
  IG_AUTO(ig_snapshot) *snapshot = ig_catalog_snapshot(catalog);
  assert_int_equal(ig_snapshot_version(snapshot), version);
  const struct ig_object *table =
      ig_snapshot_find(snapshot, IG_STR("public"), IG_STR("t"));
  assert_non_null(table);
  assert_int_equal(table->kind, IG_OBJECT_TABLE);
  assert_int_equal(table->files_count, 3);
  assert_int_equal(table->bytes, 250);
  assert_int_equal(table->rows, 250);
  assert_int_equal(table->files[0]->size, 100);
  assert_int_equal(table->files[2]->size, 50); /* in the order they came */
  assert_string_equal(table->definition, "CREATE TABLE …");
  assert_true(ig_schema_equal(table->columns, &columns, true));
  assert_int_equal(check_files(snapshot), 3);
  assert_int_equal(count_data_files(), 3);
  ig_catalog_close(catalog);
}

static const char *const locations[] = {"/data/*.csv", "b.csv"};
static const struct ig_pair options[] = {{"delim", ";"}, {"header", "false"}};
static const char *const partitions[] = {"year"};
static const char *const sorts[] = {"a ASC", "b DESC NULLS LAST"};
static const struct ig_pair path[] = {IG_SEARCH_ENTRY("public"), {"pg", "other"}};
static const char *const names[] = {"x", "y"};

static void assert_external(const struct ig_object *object) {
  assert_int_equal(object->kind, IG_OBJECT_EXTERNAL_TABLE);
  assert_string_equal(object->format, "csv");
  assert_int_equal(object->locations_count, 2);
  assert_string_equal(object->locations[0], "/data/*.csv");
  assert_string_equal(object->locations[1], "b.csv");
  assert_int_equal(object->options_count, 2);
  assert_string_equal(object->options[0].key, "delim");
  assert_string_equal(object->options[1].value, "false");
  assert_int_equal(object->partition_columns_count, 1);
  assert_string_equal(object->partition_columns[0], "year");
  assert_int_equal(object->sort_columns_count, 2);
  assert_string_equal(object->sort_columns[1], "b DESC NULLS LAST");
  assert_null(object->columns);
  assert_true(ig_schema_equal(object->partition_types, &columns, true));
  assert_null(object->sql);
}

static void assert_view(const struct ig_object *object) {
  assert_int_equal(object->kind, IG_OBJECT_VIEW);
  assert_string_equal(object->sql, "SELECT 1, 2");
  assert_int_equal(object->search_path_count, 2);
  assert_string_equal(object->search_path[0].key, "igloo");
  assert_string_equal(object->search_path[1].key, "pg");
  assert_string_equal(object->search_path[1].value, "other");
  assert_int_equal(object->column_names_count, 2);
  assert_string_equal(object->column_names[0], "x");
  assert_null(object->format);
}

static void external_tables_and_views_are_kept_whole(void **state) {
  (void)state;
  ig_catalog *catalog = open_data();
  struct ig_object external = {.kind = IG_OBJECT_EXTERNAL_TABLE,
                               .schema = "public",
                               .name = "e",
                               .format = "csv",
                               .locations = locations,
                               .locations_count = 2,
                               .options = options,
                               .options_count = 2,
                               .partition_columns = partitions,
                               .partition_columns_count = 1,
                               .partition_types = &columns,
                               .sort_columns = sorts,
                               .sort_columns_count = 2};
  struct ig_object view = {.kind = IG_OBJECT_VIEW,
                           .schema = "public",
                           .name = "v",
                           .sql = "SELECT 1, 2",
                           .search_path = path,
                           .search_path_count = 2,
                           .column_names = names,
                           .column_names_count = 2};
  IG_AUTO(ig_catalog_change) *change = NULL;
  IG_AUTO(ig_snapshot) *snapshot = NULL;
  assert_ok(ig_catalog_begin(catalog, &change, &test_err));
  assert_ok(ig_catalog_create(change, &external, NULL, 0, false, &test_err));
  assert_ok(ig_catalog_create(change, &view, NULL, 0, false, &test_err));
  assert_ok(ig_catalog_commit(IG_TAKE(change), &snapshot, &test_err));
  assert_external(ig_snapshot_find(snapshot, IG_STR("public"), IG_STR("e")));
  assert_view(ig_snapshot_find(snapshot, IG_STR("public"), IG_STR("v")));
  ig_catalog_close(catalog);

  catalog = open_data();
  IG_AUTO(ig_snapshot) *again = ig_catalog_snapshot(catalog);
  assert_external(ig_snapshot_find(again, IG_STR("public"), IG_STR("e")));
  assert_view(ig_snapshot_find(again, IG_STR("public"), IG_STR("v")));
  ig_catalog_close(catalog);
}

static igloo_status drop_schema(ig_catalog *catalog, const char *name, bool cascade) {
  IG_AUTO(ig_catalog_change) *change = NULL;
  IG_TRY(ig_catalog_begin(catalog, &change, &test_err));
  IG_TRY(ig_catalog_drop_schema(change, ig_str_from_cstr(name), cascade, &test_err));
  return ig_catalog_commit(IG_TAKE(change), NULL, &test_err);
}

static igloo_status create_schema(ig_catalog *catalog, struct ig_str name) {
  IG_AUTO(ig_catalog_change) *change = NULL;
  IG_TRY(ig_catalog_begin(catalog, &change, &test_err));
  IG_TRY(ig_catalog_create_schema(change, name, &test_err));
  return ig_catalog_commit(IG_TAKE(change), NULL, &test_err);
}

static void schemas_come_and_go_with_what_they_hold(void **state) {
  (void)state;
  IG_AUTO(ig_catalog) *catalog = open_data();
  assert_ok(create_schema(catalog, IG_STR("sales")));
  assert_fails(create_schema(catalog, IG_STR("sales")), IGLOO_ALREADY_EXISTS, "42P06");
  assert_fails(create_schema(catalog, IG_STR("information_schema")), IGLOO_ALREADY_EXISTS,
               "42P06");
  assert_fails(create_schema(catalog, IG_STR("")), IGLOO_INVALID_ARGUMENT, "42602");
  assert_fails(create_schema(catalog, IG_STR("a\xff")), IGLOO_INVALID_ARGUMENT, "42602");
  assert_fails(create_schema(catalog, ig_str_make("a\0b", 3)), IGLOO_INVALID_ARGUMENT,
               "42602");
  assert_ok(try_create_table(catalog, "sales", "t", 1, 10, false, &test_err));
  assert_ok(try_create_table(catalog, "sales", "u", 1, 10, false, &test_err));
  create_table(catalog, "t", 1, 10);
  assert_fails(drop_schema(catalog, "sales", false), IGLOO_FAILED_PRECONDITION, "2BP01");
  assert_fails(drop_schema(catalog, "none", false), IGLOO_NOT_FOUND, "3F000");
  assert_fails(drop_schema(catalog, "public", true), IGLOO_FAILED_PRECONDITION, "2BP01");
  assert_int_equal(count_data_files(), 3);
  assert_ok(drop_schema(catalog, "sales", true));
  assert_int_equal(count_data_files(), 1);
  IG_AUTO(ig_snapshot) *snapshot = ig_catalog_snapshot(catalog);
  assert_int_equal(ig_snapshot_schemas_count(snapshot), 1);
  assert_int_equal(ig_snapshot_objects_count(snapshot), 1);
}

static void conflicts_and_missing_names_are_typed(void **state) {
  (void)state;
  IG_AUTO(ig_catalog) *catalog = open_data();
  create_table(catalog, "t", 1, 10);
  assert_fails(try_create_table(catalog, "public", "t", 1, 10, false, &test_err),
               IGLOO_ALREADY_EXISTS, "42P07");
  assert_fails(try_create_table(catalog, "none", "t", 1, 10, false, &test_err),
               IGLOO_NOT_FOUND, "3F000");
  assert_fails(try_create_table(catalog, "system", "t", 1, 10, false, &test_err),
               IGLOO_PERMISSION_DENIED, "42501");
  assert_fails(try_drop(catalog, "none", &test_err), IGLOO_NOT_FOUND, "42P01");
  assert_int_equal(count_data_files(),
                   1); /* what was handed to a failed change is gone */

  IG_AUTO(ig_catalog_change) *change = NULL;
  assert_ok(ig_catalog_begin(catalog, &change, &test_err));
  assert_fails(ig_catalog_drop(change, IG_STR("public"), IG_STR("t"), true, &test_err),
               IGLOO_INVALID_ARGUMENT, "42809");
  assert_fails(ig_catalog_create_schema(change, IG_STR("x"), &test_err),
               IGLOO_FAILED_PRECONDITION, "25P02");
  assert_fails(ig_catalog_commit(IG_TAKE(change), NULL, &test_err),
               IGLOO_FAILED_PRECONDITION, "25P02");

  assert_ok(ig_catalog_begin(catalog, &change, &test_err));
  assert_fails(
      ig_catalog_append(change, IG_STR("public"), IG_STR("t"), 999, NULL, 0, &test_err),
      IGLOO_FAILED_PRECONDITION, "55000");
}

static void a_rolled_back_change_leaves_no_trace(void **state) {
  (void)state;
  IG_AUTO(ig_catalog) *catalog = open_data();
  create_table(catalog, "t", 1, 10);
  IG_AUTO(ig_catalog_change) *change = NULL;
  assert_ok(ig_catalog_begin(catalog, &change, &test_err));
  assert_ok(ig_catalog_drop(change, IG_STR("public"), IG_STR("t"), false, &test_err));
  assert_null(ig_catalog_change_find(change, IG_STR("public"), IG_STR("t")));
  assert_ok(ig_catalog_create_schema(change, IG_STR("s"), &test_err));
  assert_true(ig_catalog_change_has_schema(change, IG_STR("s")));
  change = ig_catalog_rollback(change);
  IG_AUTO(ig_snapshot) *snapshot = ig_catalog_snapshot(catalog);
  assert_non_null(ig_snapshot_find(snapshot, IG_STR("public"), IG_STR("t")));
  assert_false(ig_snapshot_has_schema(snapshot, IG_STR("s")));
  assert_int_equal(check_files(snapshot), 1);
}

/* ---- readers and files ------------------------------------------------------------- */

static void a_dropped_tables_files_stay_until_the_last_reader_ends(void **state) {
  (void)state;
  IG_AUTO(ig_catalog) *catalog = open_data();
  create_table(catalog, "t", 2, 10);
  IG_AUTO(ig_snapshot) *reader = ig_catalog_snapshot(catalog);
  assert_ok(try_append(catalog, "t", 1, 20, &test_err));
  IG_AUTO(ig_snapshot) *later = ig_catalog_snapshot(catalog);
  assert_ok(try_drop(catalog, "t", &test_err));
  assert_int_equal(count_data_files(), 3);
  assert_int_equal(check_files(reader), 2); /* each sees its own version */
  assert_int_equal(check_files(later), 3);
  later = ig_snapshot_unref(later);
  assert_int_equal(count_data_files(), 2);
  reader = ig_snapshot_unref(reader);
  assert_int_equal(count_data_files(), 0);
  assert_int_equal(count_entries("data/tables"), 0);
}

static void a_replaced_table_is_another_object(void **state) {
  (void)state;
  IG_AUTO(ig_catalog) *catalog = open_data();
  create_table(catalog, "t", 2, 10);
  IG_AUTO(ig_snapshot) *old = ig_catalog_snapshot(catalog);
  int64_t id = ig_snapshot_find(old, IG_STR("public"), IG_STR("t"))->id;
  assert_ok(try_create_table(catalog, "public", "t", 1, 30, true, &test_err));
  IG_AUTO(ig_snapshot) *new = ig_catalog_snapshot(catalog);
  const struct ig_object *table = ig_snapshot_find(new, IG_STR("public"), IG_STR("t"));
  assert_true(table->id > id);
  assert_int_equal(table->bytes, 30);
  assert_int_equal(check_files(old), 2);
  old = ig_snapshot_unref(old);
  assert_int_equal(count_data_files(), 1);
  assert_int_equal(check_files(new), 1);
}

static void unlisted_files_go_at_the_next_start(void **state) {
  (void)state;
  ig_catalog *catalog = open_data();
  create_table(catalog, "t", 1, 10);
  ig_catalog_close(catalog);
  put_file("data/tables/0123456789abcdef/0000000000000000.parquet", "orphan");
  put_file("data/tables/notes.txt", "not ours");
  catalog = open_data();
  assert_int_equal(count_data_files(), 2);
  assert_string_equal(get_file("data/tables/notes.txt"), "not ours");
  assert_int_equal(count_entries("data/tables/0123456789abcdef"), -1);
  ig_catalog_close(catalog);
}

static void snapshots_may_outlive_the_catalog(void **state) {
  (void)state;
  ig_catalog *catalog = open_data();
  create_table(catalog, "t", 1, 10);
  ig_snapshot *snapshot = ig_catalog_snapshot(catalog);
  assert_ok(try_drop(catalog, "t", &test_err));
  ig_catalog_close(catalog);
  assert_int_equal(check_files(snapshot), 1);
  catalog = open_data(); /* sweeps: the table is gone */
  assert_int_equal(count_data_files(), 0);
  ig_snapshot_unref(snapshot);
  ig_catalog_close(catalog);
}

static void a_data_folder_is_held_once(void **state) {
  (void)state;
  IG_AUTO(ig_catalog) *catalog = open_data();
  ig_catalog *other = NULL;
  char pid[32];
  assert_fails(ig_catalog_open(in_scratch("data"), &other, &test_err),
               IGLOO_FAILED_PRECONDITION, "55006");
  snprintf(pid, sizeof(pid), "process %ld", (long)getpid());
  assert_message_has(pid);
  assert_fails(ig_catalog_open(in_scratch("none/data"), &other, &test_err),
               IGLOO_NOT_FOUND, "58P01");
}

static void without_a_folder_nothing_is_kept(void **state) {
  (void)state;
  ig_catalog *catalog = NULL;
  char folder[512];
  assert_ok(ig_catalog_open(NULL, &catalog, &test_err));
  snprintf(folder, sizeof(folder), "%s", ig_catalog_folder(catalog));
  create_table(catalog, "t", 1, 10);
  assert_int_equal(access(folder, F_OK), 0);
  ig_catalog_close(catalog);
  assert_int_equal(access(folder, F_OK), -1);
}

static void a_damaged_database_is_said_to_be(void **state) {
  (void)state;
  ig_catalog *catalog = open_data();
  ig_catalog_close(catalog);
  put_file("data/catalog.db",
           "this is no database, and it is long enough to be looked at "
           "closely by whoever opens it as if it were one ............");
  assert_fails(ig_catalog_open(in_scratch("data"), &catalog, &test_err), IGLOO_DATA_LOSS,
               "XX001");
}

/* ---- threads ----------------------------------------------------------------------- */

struct writer {
  ig_catalog *catalog;
  int number;
  int failures;
};

static void *create_and_drop(void *ctx) {
  struct writer *writer = ctx;
  struct igloo_error error;
  char name[32];
  for (int i = 0; i < 20; i++) {
    snprintf(name, sizeof(name), "t%d_%d", writer->number, i);
    if (try_create_table(writer->catalog, "public", name, 1, 10, false, &error) !=
        IGLOO_OK)
      writer->failures++;
    ig_snapshot *snapshot = ig_catalog_snapshot(writer->catalog);
    if (!ig_snapshot_find(snapshot, IG_STR("public"), ig_str_from_cstr(name)))
      writer->failures++;
    ig_snapshot_unref(snapshot);
    if (i % 2 == 0 && try_drop(writer->catalog, name, &error) != IGLOO_OK)
      writer->failures++;
  }
  return NULL;
}

static void changes_of_many_threads_lose_nothing(void **state) {
  (void)state;
  IG_AUTO(ig_catalog) *catalog = open_data();
  pthread_t threads[4];
  struct writer writers[4];
  IG_AUTO(ig_snapshot) *first = ig_catalog_snapshot(catalog);
  for (int i = 0; i < 4; i++) {
    writers[i] = (struct writer){.catalog = catalog, .number = i};
    assert_int_equal(pthread_create(&threads[i], NULL, create_and_drop, &writers[i]), 0);
  }
  for (int i = 0; i < 4; i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(writers[i].failures, 0);
  }
  IG_AUTO(ig_snapshot) *last = ig_catalog_snapshot(catalog);
  assert_int_equal(ig_snapshot_objects_count(last), 40);
  assert_int_equal(ig_snapshot_version(last) - ig_snapshot_version(first), 4 * 30);
  assert_int_equal(count_data_files(), 40);
}

/* ---- attached sources ------------------------------------------------------------- */

static const struct ig_pair source_options[] = {{"application_name", "igloo"},
                                                {"connect_timeout", "5"}};

static struct ig_attachment attachment_of(const char *name) {
  return (struct ig_attachment){.name = name,
                                .type = "postgresql",
                                .uri = "postgresql://h/d",
                                .secret = "s",
                                .read_only = true,
                                .options = source_options,
                                .options_count = 2};
}

static igloo_status try_attach(ig_catalog *catalog,
                               const struct ig_attachment *attachment, bool replace) {
  IG_AUTO(ig_catalog_change) *change = NULL;
  IG_TRY(ig_catalog_begin(catalog, &change, &test_err));
  IG_TRY(ig_catalog_attach(change, attachment, replace, &test_err));
  return ig_catalog_commit(IG_TAKE(change), NULL, &test_err);
}

static void assert_attachment(ig_catalog *catalog, const char *name, const char *uri) {
  IG_AUTO(ig_snapshot) *snapshot = ig_catalog_snapshot(catalog);
  const struct ig_attachment *found =
      ig_snapshot_find_attachment(snapshot, ig_str_from_cstr(name));
  assert_non_null(found);
  assert_string_equal(found->type, "postgresql");
  assert_string_equal(found->uri, uri);
  assert_string_equal(found->secret, "s");
  assert_true(found->read_only);
  assert_int_equal(found->options_count, 2);
  assert_string_equal(found->options[1].key, "connect_timeout");
  assert_string_equal(found->options[1].value, "5");
}

static void attached_sources_survive_a_restart(void **state) {
  (void)state;
  ig_catalog *catalog = open_data();
  struct ig_attachment a = attachment_of("b"), b = attachment_of("a"), plain;
  assert_ok(try_attach(catalog, &a, false));
  assert_ok(try_attach(catalog, &b, false));
  plain = (struct ig_attachment){.name = "plain", .type = "sqlite", .uri = "/x.db"};
  assert_ok(try_attach(catalog, &plain, false));
  a.uri = "postgresql://other/d";
  assert_ok(try_attach(catalog, &a, true));
  catalog = ig_catalog_close(catalog);
  catalog = open_data();
  IG_AUTO(ig_snapshot) *snapshot = ig_catalog_snapshot(catalog);
  assert_int_equal(ig_snapshot_attachments_count(snapshot), 3);
  assert_string_equal(ig_snapshot_attachment(snapshot, 0)->name, "a");
  assert_attachment(catalog, "a", "postgresql://h/d");
  assert_attachment(catalog, "b", "postgresql://other/d");
  const struct ig_attachment *found =
      ig_snapshot_find_attachment(snapshot, IG_STR("plain"));
  assert_null(found->secret);
  assert_false(found->read_only);
  assert_int_equal(found->options_count, 0);
  ig_catalog_close(catalog);
}

static void a_catalog_name_is_taken_once_and_never_one_of_igloos(void **state) {
  (void)state;
  IG_AUTO(ig_catalog) *catalog = open_data();
  struct ig_attachment one = attachment_of("one");
  assert_ok(try_attach(catalog, &one, false));
  assert_fails(try_attach(catalog, &one, false), IGLOO_ALREADY_EXISTS, "42P04");
  static const char *const reserved[] = {"igloo", "information_schema", "system"};
  for (size_t i = 0; i < IG_ARRAY_LEN(reserved); i++) {
    struct ig_attachment bad = attachment_of(reserved[i]);
    assert_fails(try_attach(catalog, &bad, true), IGLOO_INVALID_ARGUMENT, "42939");
  }
  struct ig_attachment empty = attachment_of(""), control = attachment_of("a\nb");
  assert_fails(try_attach(catalog, &empty, false), IGLOO_INVALID_ARGUMENT, "42602");
  assert_fails(try_attach(catalog, &control, false), IGLOO_INVALID_ARGUMENT, "42602");
  IG_AUTO(ig_catalog_change) *change = NULL;
  assert_ok(ig_catalog_begin(catalog, &change, &test_err));
  assert_ok(ig_catalog_detach(change, IG_STR("one"), &test_err));
  assert_null(ig_catalog_change_find_attachment(change, IG_STR("one")));
  assert_fails(ig_catalog_detach(change, IG_STR("one"), &test_err), IGLOO_NOT_FOUND,
               "3D000");
}

static void a_renewed_secret_makes_new_versions_of_what_uses_it(void **state) {
  (void)state;
  IG_AUTO(ig_catalog) *catalog = open_data();
  struct ig_attachment uses = attachment_of("uses"), other = attachment_of("other");
  other.secret = "t";
  assert_ok(try_attach(catalog, &uses, false));
  assert_ok(try_attach(catalog, &other, false));
  IG_AUTO(ig_snapshot) *before = ig_catalog_snapshot(catalog);
  IG_AUTO(ig_snapshot) *after = NULL;
  IG_AUTO(ig_catalog_change) *change = NULL;
  assert_ok(ig_catalog_begin(catalog, &change, &test_err));
  assert_ok(ig_catalog_renew_secret(change, IG_STR("s"), &test_err));
  assert_ok(ig_catalog_commit(IG_TAKE(change), &after, &test_err));
  assert_true(ig_snapshot_find_attachment(after, IG_STR("uses"))->version >
              ig_snapshot_find_attachment(before, IG_STR("uses"))->version);
  assert_int_equal(ig_snapshot_find_attachment(after, IG_STR("other"))->version,
                   ig_snapshot_find_attachment(before, IG_STR("other"))->version);
  assert_attachment(catalog, "uses", "postgresql://h/d");
}

/* ---- memory ---------------------------------------------------------------------- */

/* A change of everything that a catalog holds, undone by itself: a table, replaced and
 * appended to, an external table, a view, and the schema with all of them dropped. */
static igloo_status fill_schema(ig_catalog_change *change, struct igloo_error *reterr) {
  struct ig_object external = {.kind = IG_OBJECT_EXTERNAL_TABLE,
                               .schema = "s",
                               .name = "e",
                               .format = "csv",
                               .locations = locations,
                               .locations_count = 2,
                               .options = options,
                               .options_count = 2,
                               .partition_columns = partitions,
                               .partition_columns_count = 1,
                               .partition_types = &columns,
                               .sort_columns = sorts,
                               .sort_columns_count = 2};
  struct ig_object view = {.kind = IG_OBJECT_VIEW,
                           .schema = "s",
                           .name = "v",
                           .definition = "CREATE VIEW …",
                           .columns = &columns,
                           .sql = "SELECT 1, 2",
                           .search_path = path,
                           .search_path_count = 2,
                           .column_names = names,
                           .column_names_count = 2};
  struct ig_attachment source = attachment_of("pg");
  IG_TRY(ig_catalog_attach(change, &source, true, reterr));
  IG_TRY(ig_catalog_renew_secret(change, IG_STR("s"), reterr));
  if (ig_catalog_change_has_schema(change, IG_STR("s")))
    IG_TRY(ig_catalog_drop_schema(change, IG_STR("s"), true, reterr));
  IG_TRY(ig_catalog_create_schema(change, IG_STR("s"), reterr));
  IG_TRY(ig_catalog_create(change, &external, NULL, 0, false, reterr));
  IG_TRY(ig_catalog_create(change, &view, NULL, 0, false, reterr));
  assert_non_null(ig_catalog_change_find(change, IG_STR("s"), IG_STR("v")));
  IG_TRY(ig_catalog_create(change, &view, NULL, 0, true, reterr));
  IG_TRY(ig_catalog_drop(change, IG_STR("s"), IG_STR("v"), true, reterr));
  return ig_catalog_create(change, &view, NULL, 0, false, reterr);
}

static igloo_status change_schema(ig_catalog *catalog, struct igloo_error *reterr) {
  IG_AUTO(ig_catalog_change) *change = NULL;
  IG_AUTO(ig_snapshot) *snapshot = NULL;
  IG_TRY(ig_catalog_begin(catalog, &change, reterr));
  IG_TRY(fill_schema(change, reterr));
  return ig_catalog_commit(IG_TAKE(change), &snapshot, reterr);
}

static igloo_status everything(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  IG_AUTO(ig_catalog) *catalog = NULL;
  IG_TRY(ig_catalog_open(in_scratch("data"), &catalog, reterr));
  IG_TRY(try_create_table(catalog, "public", "t", 1, 10, true, reterr));
  IG_TRY(try_append(catalog, "t", 1, 10, reterr));
  IG_TRY(change_schema(catalog, reterr));
  return try_drop(catalog, "t", reterr);
}

static void the_catalog_survives_failed_allocations(void **state) {
  (void)state;
  assert_survives_failed_allocations(everything, NULL);
  assert_int_equal(count_data_files(), 0);
}

/* Open what was written before, and look at all of it. */
static igloo_status load(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  IG_AUTO(ig_catalog) *catalog = NULL;
  igloo_status status = ig_catalog_open(in_scratch("data"), &catalog, reterr);
  assert_int_equal(catalog == NULL, status != IGLOO_OK);
  IG_TRY(status);
  IG_AUTO(ig_snapshot) *snapshot = ig_catalog_snapshot(catalog);
  assert_int_equal(ig_snapshot_objects_count(snapshot), 3);
  assert_external(ig_snapshot_find(snapshot, IG_STR("s"), IG_STR("e")));
  assert_view(ig_snapshot_find(snapshot, IG_STR("s"), IG_STR("v")));
  const struct ig_object *table =
      ig_snapshot_find(snapshot, IG_STR("public"), IG_STR("t"));
  assert_int_equal(table->files_count, 3);
  assert_true(ig_schema_equal(table->columns, &columns, true));
  return IGLOO_OK;
}

static void a_catalog_that_could_not_be_loaded_is_whole_at_the_next_try(void **state) {
  (void)state;
  ig_catalog *catalog = open_data();
  create_table(catalog, "t", 2, 10);
  assert_ok(try_append(catalog, "t", 1, 10, &test_err));
  assert_ok(change_schema(catalog, &test_err));
  ig_catalog_close(catalog);
  put_file("data/tables/0123456789abcdef/0000000000000000.parquet", "orphan");
  assert_survives_failed_allocations(load, NULL);
  assert_int_equal(count_data_files(), 3);
}

static igloo_status open_without_folder(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  IG_AUTO(ig_catalog) *catalog = NULL;
  return ig_catalog_open(NULL, &catalog, reterr);
}

static void a_temporary_catalog_survives_failed_allocations(void **state) {
  (void)state;
  assert_survives_failed_allocations(open_without_folder, NULL);
}

/* What one change did, and whether a failed one did nothing at all. */
struct changed {
  ig_catalog *catalog;
  igloo_status (*change)(ig_catalog *catalog, struct igloo_error *reterr);
};

static igloo_status change_or_nothing(void *ctx, struct igloo_error *reterr) {
  struct changed *changed = ctx;
  IG_AUTO(ig_snapshot) *before = ig_catalog_snapshot(changed->catalog);
  igloo_status status = changed->change(changed->catalog, reterr);
  IG_AUTO(ig_snapshot) *after = ig_catalog_snapshot(changed->catalog);
  if (status == IGLOO_OK)
    assert_true(after != before);
  else
    assert_ptr_equal(after, before);
  size_t files = check_files(after);
  if (before == after) assert_int_equal(count_data_files(), files);
  return status;
}

static igloo_status replace_t(ig_catalog *catalog, struct igloo_error *reterr) {
  return try_create_table(catalog, "public", "t", 2, 10, true, reterr);
}

static igloo_status append_to_t(ig_catalog *catalog, struct igloo_error *reterr) {
  return try_append(catalog, "t", 1, 10, reterr);
}

/* Whatever kind of change it is: the snapshot and the files are as they were. */
static void a_change_without_memory_changes_nothing(void **state) {
  (void)state;
  igloo_status (*const changes[])(ig_catalog *, struct igloo_error *) = {
      replace_t, append_to_t, change_schema};
  IG_AUTO(ig_catalog) *catalog = open_data();
  create_table(catalog, "t", 2, 10);
  for (size_t i = 0; i < IG_ARRAY_LEN(changes); i++) {
    struct changed changed = {catalog, changes[i]};
    assert_survives_failed_allocations(change_or_nothing, &changed);
  }
}

/* ---- kill -9 --------------------------------------------------------------------- */

static unsigned seed;
static unsigned pick(unsigned n) {
  seed = seed * 1103515245u + 12345u;
  return (seed >> 16) % n;
}

/* What the child says before and after each step; the parent knows what must be there. */
struct step {
  char before; /* 1: about to begin, 0: committed */
  char table;  /* 0..3 */
  char kind;   /* create, append, replace, drop */
};

enum { CREATE, APPEND, REPLACE, DROP };

static void run_child(int out) {
  ig_catalog *catalog = NULL;
  if (ig_catalog_open(in_scratch("data"), &catalog, NULL) != IGLOO_OK) _exit(2);
  for (;;) {
    struct step step = {.before = 1, .table = (char)pick(4), .kind = (char)pick(4)};
    char name[8];
    snprintf(name, sizeof(name), "t%d", step.table);
    if (write(out, &step, sizeof(step)) != sizeof(step)) _exit(3);
    igloo_status status = step.kind == APPEND ? try_append(catalog, name, 1, 7, NULL)
                          : step.kind == DROP
                              ? try_drop(catalog, name, NULL)
                              : try_create_table(catalog, "public", name, 2, 100,
                                                 step.kind == REPLACE, NULL);
    step.before = 0;
    if (status == IGLOO_OK && write(out, &step, sizeof(step)) != sizeof(step)) _exit(3);
    if (status != IGLOO_OK && status != IGLOO_NOT_FOUND && status != IGLOO_ALREADY_EXISTS)
      _exit(4);
  }
}

/* The rows of a table after a step, -1 for none; false where the step would fail. */
static bool apply(int64_t *rows, char kind) {
  bool exists = *rows >= 0;
  if (kind == CREATE && exists) return false;
  if ((kind == APPEND || kind == DROP) && !exists) return false;
  if (kind == APPEND)
    *rows += 7;
  else
    *rows = kind == DROP ? -1 : 200;
  return true;
}

static int64_t rows_of(ig_snapshot *snapshot, int table) {
  char name[16];
  snprintf(name, sizeof(name), "t%d", table);
  const struct ig_object *object =
      ig_snapshot_find(snapshot, IG_STR("public"), ig_str_from_cstr(name));
  return object ? object->rows : -1;
}

/* What the parent knows: committed rows, and the step that was begun last. */
struct known {
  int64_t rows[4];
  struct step pending;
  int steps;
};

/* Take one message of the child; false at the end. */
static bool hear(struct known *known, int from) {
  struct step step;
  if (read(from, &step, sizeof(step)) != (ssize_t)sizeof(step)) return false;
  if (!step.before) {
    assert_true(apply(&known->rows[(int)step.table], step.kind));
    known->steps++;
  }
  known->pending = step;
  return true;
}

/* Let a child work, and kill it after a random number of messages and a random time. */
static void kill_child_at_random(struct known *known) {
  int pipes[2], status = 0;
  unsigned messages = 1 + pick(60), child_seed = pick(30000);
  int64_t extra_us = pick(2000);
  assert_int_equal(pipe(pipes), 0);
  known->pending.before = 0;
  pid_t child = fork();
  if (child == 0) {
    seed = child_seed;
    close(pipes[0]);
    run_child(pipes[1]);
  }
  close(pipes[1]);
  while (messages-- > 0) assert_true(hear(known, pipes[0]));
  for (int64_t until_us = ig_now_us() + extra_us; ig_now_us() < until_us;) continue;
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  if (!WIFSIGNALED(status)) fail_msg("the child ended with %d", WEXITSTATUS(status));
  while (hear(known, pipes[0])) continue;
  close(pipes[0]);
}

/* Each table is as committed, or as the step that was cut short would have left it. */
static void check_tables(struct known *known, ig_snapshot *snapshot, int round) {
  for (int i = 0; i < 4; i++) {
    int64_t found = rows_of(snapshot, i), maybe = known->rows[i];
    if (known->pending.before && known->pending.table == i)
      (void)apply(&maybe, known->pending.kind);
    if (found != known->rows[i] && found != maybe)
      fail_msg("round %d: table t%d has %lld rows, not %lld or %lld", round, i,
               (long long)found, (long long)known->rows[i], (long long)maybe);
    known->rows[i] = found;
  }
}

static void a_killed_process_leaves_every_table_whole_or_absent(void **state) {
  (void)state;
  struct known known = {.rows = {-1, -1, -1, -1}};
  seed = (unsigned)time(NULL);
  print_message("seed %u\n", seed);
  for (int round = 0; round < 60; round++) {
    kill_child_at_random(&known);
    IG_AUTO(ig_catalog) *catalog = open_data();
    IG_AUTO(ig_snapshot) *snapshot = ig_catalog_snapshot(catalog);
    check_tables(&known, snapshot, round);
    assert_int_equal(count_data_files(), check_files(snapshot));
  }
  print_message("%d committed steps\n", known.steps);
  assert_true(known.steps > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      scratch_test(a_new_catalog_has_the_public_schema),
      scratch_test(tables_and_their_files_survive_a_restart),
      scratch_test(external_tables_and_views_are_kept_whole),
      scratch_test(schemas_come_and_go_with_what_they_hold),
      scratch_test(conflicts_and_missing_names_are_typed),
      scratch_test(attached_sources_survive_a_restart),
      scratch_test_in_memory(a_catalog_name_is_taken_once_and_never_one_of_igloos),
      scratch_test_in_memory(a_renewed_secret_makes_new_versions_of_what_uses_it),
      scratch_test(a_rolled_back_change_leaves_no_trace),
      scratch_test(a_dropped_tables_files_stay_until_the_last_reader_ends),
      scratch_test(a_replaced_table_is_another_object),
      scratch_test(unlisted_files_go_at_the_next_start),
      scratch_test(snapshots_may_outlive_the_catalog),
      scratch_test(a_data_folder_is_held_once),
      scratch_test(without_a_folder_nothing_is_kept),
      scratch_test(a_damaged_database_is_said_to_be),
      scratch_test_in_memory(changes_of_many_threads_lose_nothing),
      scratch_test_in_memory(the_catalog_survives_failed_allocations),
      scratch_test_in_memory(a_catalog_that_could_not_be_loaded_is_whole_at_the_next_try),
      scratch_test_in_memory(a_temporary_catalog_survives_failed_allocations),
      scratch_test_in_memory(a_change_without_memory_changes_nothing),
      scratch_test_in_memory(a_killed_process_leaves_every_table_whole_or_absent),
  };
  return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
