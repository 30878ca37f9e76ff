/* metadata.c -- what a database says of itself. */
#include <string.h>

#include "conformance.h"

#define PARENT "conformance_parent"
#define CHILD "conformance_child"

/* ---- looking into a batch
 * -------------------------------------------------------------- */

/* The first batch of a stream of metadata, with its view. */
struct answer {
  struct ArrowSchema schema;
  struct ArrowArray batch;
  struct ArrowArrayView view;
};

static void read_answer(struct ArrowArrayStream *stream, struct answer *answer) {
  *answer = (struct answer){0};
  answer->schema = stream_schema(stream);
  bool any = next_batch(stream, &answer->schema, &answer->batch);
  EXPECT(ArrowArrayViewInitFromSchema(&answer->view, &answer->schema, NULL) == 0, "view");
  if (any)
    EXPECT(ArrowArrayViewSetArray(&answer->view, &answer->batch, NULL) == 0, "view");
  stream->release(stream);
}

static bool text_is(const struct ArrowArrayView *view, int64_t at, const char *text) {
  if (ArrowArrayViewIsNull(view, at)) return false;
  struct ArrowStringView found = ArrowArrayViewGetStringUnsafe(view, at);
  return (size_t)found.size_bytes == strlen(text) &&
         memcmp(found.data, text, strlen(text)) == 0;
}

/* The elements of a list. */
static void list_range(const struct ArrowArrayView *view, int64_t at, int64_t *from,
                       int64_t *to) {
  *from = ArrowArrayViewListChildOffset(view, at);
  *to = ArrowArrayViewListChildOffset(view, at + 1);
}

/* ---- GetObjects
 * ------------------------------------------------------------------------ */

static void get_objects(struct world *world, int depth, const char *table,
                        const char **types, const char *column, struct answer *answer) {
  struct ArrowArrayStream stream = {0};
  expect_ok(driver.ConnectionGetObjects(&world->connection, depth, NULL, NULL, table,
                                        types, column, &stream, &error),
            "GetObjects");
  read_answer(&stream, answer);
}

/* Where a table lies: the arrays of tables and its index. */
static const struct ArrowArrayView *find_table(const struct answer *answer,
                                               const char *name, int64_t *ret_at,
                                               int *ret_count) {
  const struct ArrowArrayView *schemas = answer->view.children[1]->children[0];
  const struct ArrowArrayView *tables = schemas->children[1]->children[0];
  *ret_count = 0;
  for (int64_t c = 0; c < answer->batch.length; c++) {
    int64_t schema, schema_end, table, table_end;
    if (ArrowArrayViewIsNull(answer->view.children[1], c)) continue;
    list_range(answer->view.children[1], c, &schema, &schema_end);
    for (; schema < schema_end; schema++) {
      if (ArrowArrayViewIsNull(schemas->children[1], schema)) continue;
      list_range(schemas->children[1], schema, &table, &table_end);
      for (; table < table_end; table++) {
        ++*ret_count;
        if (text_is(tables->children[0], table, name)) *ret_at = table;
      }
    }
  }
  return tables;
}

static void make_objects(struct world *world) {
  run(&world->connection, "DROP TABLE IF EXISTS " CHILD);
  make_table(&world->connection, PARENT, profile("parent.create"));
  run(&world->connection, profile("child.create"));
}

static void objects_at_each_depth_go_no_deeper(void) {
  struct world world;
  struct answer answer;
  open_world(&world);
  make_objects(&world);
  get_objects(&world, ADBC_OBJECT_DEPTH_CATALOGS, NULL, NULL, NULL, &answer);
  EXPECT(answer.batch.length > 0, "no catalogs");
  EXPECT(ArrowArrayViewComputeNullCount(answer.view.children[1]) == answer.batch.length,
         "at the depth of catalogs there are schemas");

  get_objects(&world, ADBC_OBJECT_DEPTH_DB_SCHEMAS, NULL, NULL, NULL, &answer);
  const struct ArrowArrayView *schemas = answer.view.children[1]->children[0];
  EXPECT(schemas->length > 0, "no schemas");
  EXPECT(ArrowArrayViewComputeNullCount(schemas->children[1]) == schemas->length,
         "at the depth of schemas there are tables");

  int64_t at = -1;
  int count = 0;
  get_objects(&world, ADBC_OBJECT_DEPTH_TABLES, NULL, NULL, NULL, &answer);
  const struct ArrowArrayView *tables = find_table(&answer, PARENT, &at, &count);
  EXPECT(at >= 0, "the table is missing");
  EXPECT(ArrowArrayViewIsNull(tables->children[2], at),
         "at the depth of tables there are columns");
  close_world(&world);
}

static void objects_tell_columns_in_order(void) {
  struct world world;
  struct answer answer;
  int64_t at = -1, column, end;
  int count = 0;
  open_world(&world);
  make_objects(&world);
  get_objects(&world, ADBC_OBJECT_DEPTH_ALL, PARENT, NULL, NULL, &answer);
  const struct ArrowArrayView *tables = find_table(&answer, PARENT, &at, &count);
  EXPECT(at >= 0 && count == 1, "%d tables", count);
  const struct ArrowArrayView *columns = tables->children[2]->children[0];
  list_range(tables->children[2], at, &column, &end);
  EXPECT(end - column == 2, "%lld columns", (long long)(end - column));
  EXPECT(text_is(columns->children[0], column, "id") &&
             text_is(columns->children[0], column + 1, "label"),
         "the columns have other names");
  EXPECT(ArrowArrayViewGetIntUnsafe(columns->children[1], column) == 1 &&
             ArrowArrayViewGetIntUnsafe(columns->children[1], column + 1) == 2,
         "the columns are not counted from 1");
  close_world(&world);
}

/* The constraint of a type, or -1. */
static int64_t find_constraint(const struct ArrowArrayView *tables, int64_t table,
                               const char *type) {
  int64_t at, end;
  const struct ArrowArrayView *constraints = tables->children[3]->children[0];
  if (ArrowArrayViewIsNull(tables->children[3], table)) return -1;
  list_range(tables->children[3], table, &at, &end);
  for (; at < end; at++)
    if (text_is(constraints->children[1], at, type)) return at;
  return -1;
}

static void objects_tell_primary_and_foreign_keys(void) {
  struct world world;
  struct answer answer;
  int64_t at = -1, from, to;
  int count = 0;
  open_world(&world);
  make_objects(&world);
  get_objects(&world, ADBC_OBJECT_DEPTH_ALL, CHILD, NULL, NULL, &answer);
  const struct ArrowArrayView *tables = find_table(&answer, CHILD, &at, &count);
  EXPECT(at >= 0, "the table is missing");
  const struct ArrowArrayView *constraints = tables->children[3]->children[0];
  int64_t primary = find_constraint(tables, at, "PRIMARY KEY");
  EXPECT(primary >= 0, "no primary key");
  list_range(constraints->children[2], primary, &from, &to);
  EXPECT(to - from == 1 && text_is(constraints->children[2]->children[0], from, "id"),
         "the primary key is of another column");
  int64_t foreign = find_constraint(tables, at, "FOREIGN KEY");
  EXPECT(foreign >= 0, "no foreign key");
  const struct ArrowArrayView *usage = constraints->children[3]->children[0];
  list_range(constraints->children[3], foreign, &from, &to);
  EXPECT(to - from == 1 && text_is(usage->children[2], from, PARENT) &&
             text_is(usage->children[3], from, "id"),
         "the foreign key points elsewhere");
  close_world(&world);
}

static void objects_follow_patterns_and_types(void) {
  struct world world;
  struct answer answer;
  int64_t at = -1;
  int count = 0;
  const char *views[] = {profile("type.view"), NULL};
  const char *tables_only[] = {profile("type.table"), NULL};
  open_world(&world);
  make_objects(&world);
  get_objects(&world, ADBC_OBJECT_DEPTH_TABLES, "conformance!_parent", NULL, NULL,
              &answer);
  (void)find_table(&answer, PARENT, &at, &count);
  EXPECT(count == 0, "a name that is none finds %d tables", count);
  get_objects(&world, ADBC_OBJECT_DEPTH_TABLES, "conformance%parent", NULL, NULL,
              &answer);
  (void)find_table(&answer, PARENT, &at, &count);
  EXPECT(at >= 0 && count == 1, "%% finds %d tables", count);
  get_objects(&world, ADBC_OBJECT_DEPTH_TABLES, PARENT, views, NULL, &answer);
  (void)find_table(&answer, PARENT, &at, &count);
  EXPECT(count == 0, "the table is a view");
  get_objects(&world, ADBC_OBJECT_DEPTH_TABLES, PARENT, tables_only, NULL, &answer);
  (void)find_table(&answer, PARENT, &at, &count);
  EXPECT(count == 1, "the table is no table");
  get_objects(&world, ADBC_OBJECT_DEPTH_ALL, PARENT, NULL, "lab%", &answer);
  const struct ArrowArrayView *tables = find_table(&answer, PARENT, &at, &count);
  int64_t from, to;
  list_range(tables->children[2], at, &from, &to);
  EXPECT(to - from == 1, "a pattern of columns finds %lld", (long long)(to - from));
  close_world(&world);
}

static void objects_have_the_schema_of_the_specification(void) {
  static const char *const formats[] = {"+s", "u", "+l"};
  struct world world;
  open_world(&world);
  for (int depth = ADBC_OBJECT_DEPTH_ALL; depth <= ADBC_OBJECT_DEPTH_TABLES; depth++) {
    struct answer answer;
    get_objects(&world, depth, NULL, NULL, NULL, &answer);
    EXPECT(answer.schema.n_children == 2 &&
               strcmp(answer.schema.format, formats[0]) == 0 &&
               strcmp(answer.schema.children[0]->format, formats[1]) == 0 &&
               strcmp(answer.schema.children[1]->format, formats[2]) == 0,
           "%s", show_schema(&answer.schema));
    const struct ArrowSchema *tables =
        answer.schema.children[1]->children[0]->children[1]->children[0];
    EXPECT(tables->n_children == 4 &&
               tables->children[2]->children[0]->n_children == 19 &&
               tables->children[3]->children[0]->n_children == 4,
           "%s", show_schema(&answer.schema));
  }
  close_world(&world);
}

static void objects_at_an_unknown_depth_are_refused(void) {
  struct world world;
  struct ArrowArrayStream stream = {0};
  open_world(&world);
  expect_failure(driver.ConnectionGetObjects(&world.connection, 42, NULL, NULL, NULL,
                                             NULL, NULL, &stream, &error),
                 "depth 42");
  close_world(&world);
}

/* ---- tables
 * ---------------------------------------------------------------------------- */

static void table_schema_is_that_of_reading_it(void) {
  struct world world;
  struct ArrowSchema schema = {0};
  struct ArrowArrayStream stream;
  open_world(&world);
  make_table(&world.connection, "conformance_types", profile("types.create"));
  run(&world.connection, with_table(profile("types.insert"), "conformance_types"));
  expect_ok(driver.ConnectionGetTableSchema(&world.connection, NULL, NULL,
                                            "conformance_types", &schema, &error),
            "GetTableSchema");
  query(&world.statement, "SELECT * FROM conformance_types", &stream);
  struct ArrowSchema found = stream_schema(&stream);
  expect_same_schema(&schema, &found, true, "the schema of the table");
  schema.release(&schema);
  found.release(&found);
  (void)drain(&stream);
  close_world(&world);
}

static void missing_table_is_not_found(void) {
  struct world world;
  struct ArrowSchema schema = {0};
  open_world(&world);
  expect_code(driver.ConnectionGetTableSchema(&world.connection, NULL, NULL,
                                              "conformance_missing", &schema, &error),
              ADBC_STATUS_NOT_FOUND, "GetTableSchema");
  expect_sqlstate("42P01", "a missing table");
  close_world(&world);
}

static void names_with_quotes_are_names(void) {
  struct world world;
  struct ArrowSchema schema = {0};
  struct AdbcStatement statement;
  struct ArrowArrayStream rows;
  const char *name = "conformance \"a'b\\%_";
  open_world(&world);
  run(&world.connection, "DROP TABLE IF EXISTS \"conformance \"\"a'b\\%_\"");
  open_statement(&world.connection, &statement);
  expect_ok(driver.StatementSetOption(&statement, ADBC_INGEST_OPTION_TARGET_TABLE, name,
                                      &error),
            "target table");
  make_rows(&rows, 2, 2, -1, NULL);
  expect_ok(driver.StatementBindStream(&statement, &rows, &error), "BindStream");
  expect_ok(driver.StatementExecuteQuery(&statement, NULL, NULL, &error), "ingest");
  expect_ok(driver.ConnectionGetTableSchema(&world.connection, NULL, NULL, name, &schema,
                                            &error),
            "GetTableSchema");
  EXPECT(schema.n_children == 2, "%lld columns", (long long)schema.n_children);
  schema.release(&schema);
  expect_ok(driver.StatementRelease(&statement, &error), "StatementRelease");
  run(&world.connection, "DROP TABLE \"conformance \"\"a'b\\%_\"");
  close_world(&world);
}

static void table_types_hold_tables_and_views(void) {
  struct world world;
  struct answer answer;
  struct ArrowArrayStream stream = {0};
  bool table = false, view = false;
  open_world(&world);
  expect_ok(driver.ConnectionGetTableTypes(&world.connection, &stream, &error),
            "GetTableTypes");
  read_answer(&stream, &answer);
  for (int64_t i = 0; i < answer.batch.length; i++) {
    table = table || text_is(answer.view.children[0], i, profile("type.table"));
    view = view || text_is(answer.view.children[0], i, profile("type.view"));
  }
  EXPECT(table && view, "tables or views are missing");
  close_world(&world);
}

/* ---- info and statistics
 * --------------------------------------------------------------- */

static void info_gives_what_was_asked_for(void) {
  struct world world;
  struct answer answer;
  struct ArrowArrayStream stream = {0};
  const uint32_t codes[] = {ADBC_INFO_DRIVER_NAME, 9999999};
  open_world(&world);
  expect_ok(driver.ConnectionGetInfo(&world.connection, codes, 2, &stream, &error),
            "GetInfo");
  read_answer(&stream, &answer);
  EXPECT(answer.batch.length == 1, "%lld rows", (long long)answer.batch.length);
  EXPECT(ArrowArrayViewGetUIntUnsafe(answer.view.children[0], 0) == ADBC_INFO_DRIVER_NAME,
         "another code");
  EXPECT(strcmp(answer.schema.children[0]->format, "I") == 0 &&
             strcmp(answer.schema.children[1]->format, "+ud:0,1,2,3,4,5") == 0,
         "%s", show_schema(&answer.schema));
  close_world(&world);
}

static void info_without_codes_gives_all(void) {
  struct world world;
  struct answer answer;
  struct ArrowArrayStream stream = {0};
  open_world(&world);
  expect_ok(driver.ConnectionGetInfo(&world.connection, NULL, 0, &stream, &error),
            "GetInfo");
  read_answer(&stream, &answer);
  EXPECT(answer.batch.length >= 4, "%lld rows", (long long)answer.batch.length);
  close_world(&world);
}

static void statistics_count_rows_or_are_refused(void) {
  struct world world;
  struct ArrowArrayStream stream = {0};
  struct answer answer;
  open_world(&world);
  make_objects(&world);
  AdbcStatusCode code = driver.ConnectionGetStatistics(&world.connection, NULL, NULL,
                                                       PARENT, 1, &stream, &error);
  if (code != ADBC_STATUS_OK) {
    expect_code(code, ADBC_STATUS_NOT_IMPLEMENTED, "GetStatistics");
  } else {
    read_answer(&stream, &answer);
    EXPECT(answer.schema.n_children == 2 && answer.schema.children[1]
                                                    ->children[0]
                                                    ->children[1]
                                                    ->children[0]
                                                    ->n_children == 5,
           "%s", show_schema(&answer.schema));
  }
  close_world(&world);
}

static void statistic_names_are_given_or_refused(void) {
  struct world world;
  struct ArrowArrayStream stream = {0};
  open_world(&world);
  AdbcStatusCode code =
      driver.ConnectionGetStatisticNames(&world.connection, &stream, &error);
  if (code != ADBC_STATUS_OK)
    expect_code(code, ADBC_STATUS_NOT_IMPLEMENTED, "GetStatisticNames");
  else
    (void)drain(&stream);
  close_world(&world);
}

static void partitions_are_made_or_refused(void) {
  struct world world;
  struct ArrowSchema schema = {0};
  struct AdbcPartitions partitions = {0};
  struct ArrowArrayStream stream = {0};
  open_world(&world);
  expect_ok(driver.StatementSetSqlQuery(&world.statement, "SELECT 1", &error), "query");
  AdbcStatusCode code = driver.StatementExecutePartitions(&world.statement, &schema,
                                                          &partitions, NULL, &error);
  if (code != ADBC_STATUS_OK)
    expect_code(code, ADBC_STATUS_NOT_IMPLEMENTED, "ExecutePartitions");
  expect_failure(driver.ConnectionReadPartition(
                     &world.connection, (const uint8_t *)"nonsense", 8, &stream, &error),
                 "a partition that is none");
  close_world(&world);
}

const struct check metadata_checks[] = {
    {"objects_at_each_depth_go_no_deeper", objects_at_each_depth_go_no_deeper},
    {"objects_tell_columns_in_order", objects_tell_columns_in_order},
    {"objects_tell_primary_and_foreign_keys", objects_tell_primary_and_foreign_keys},
    {"objects_follow_patterns_and_types", objects_follow_patterns_and_types},
    {"objects_have_the_schema_of_the_specification",
     objects_have_the_schema_of_the_specification},
    {"objects_at_an_unknown_depth_are_refused", objects_at_an_unknown_depth_are_refused},
    {"table_schema_is_that_of_reading_it", table_schema_is_that_of_reading_it},
    {"missing_table_is_not_found", missing_table_is_not_found},
    {"names_with_quotes_are_names", names_with_quotes_are_names},
    {"table_types_hold_tables_and_views", table_types_hold_tables_and_views},
    {"info_gives_what_was_asked_for", info_gives_what_was_asked_for},
    {"info_without_codes_gives_all", info_without_codes_gives_all},
    {"statistics_count_rows_or_are_refused", statistics_count_rows_or_are_refused},
    {"statistic_names_are_given_or_refused", statistic_names_are_given_or_refused},
    {"partitions_are_made_or_refused", partitions_are_made_or_refused},
    {NULL, NULL}};
