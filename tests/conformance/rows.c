/* rows.c -- schemas and values of results. */
#include <string.h>

#include "conformance.h"

#define TYPES "conformance_types"
#define NULLS "conformance_nulls"

/* Three rows of every type: values, all NULL, values. */
static void make_types(struct AdbcConnection *connection) {
  make_table(connection, TYPES, profile("types.create"));
  run(connection, with_table(profile("types.insert"), TYPES));
}

/* ---- schemas
 * --------------------------------------------------------------------------- */

static void expect_execute_schema(struct world *world, const char *sql) {
  struct ArrowSchema promised = {0};
  struct ArrowArrayStream stream;
  expect_ok(driver.StatementSetSqlQuery(&world->statement, sql, &error), sql);
  expect_ok(driver.StatementExecuteSchema(&world->statement, &promised, &error), sql);
  query(&world->statement, sql, &stream);
  struct ArrowSchema found = stream_schema(&stream);
  expect_same_schema(&found, &promised, false, sql);
  promised.release(&promised);
  found.release(&found);
  (void)drain(&stream);
}

static void execute_schema_is_the_schema_of_the_stream(void) {
  struct world world;
  open_world(&world);
  make_types(&world.connection);
  expect_execute_schema(&world, "SELECT * FROM " TYPES);
  expect_execute_schema(&world, "SELECT * FROM " TYPES " WHERE 1 = 0");
  close_world(&world);
}

/* The same where the types are those of expressions and of a literal NULL. */
static void execute_schema_holds_for_expressions(void) {
  struct world world;
  open_world(&world);
  expect_execute_schema(&world, "SELECT 1, 1.5, 'a', NULL");
  expect_execute_schema(&world, "SELECT CAST(1 AS INTEGER) AS a, CAST('x' AS TEXT) AS b");
  close_world(&world);
}

static void execute_schema_runs_nothing(void) {
  struct world world;
  struct ArrowSchema schema = {0};
  open_world(&world);
  make_table(&world.connection, "conformance_inert", "CREATE TABLE $table (a BIGINT)");
  expect_ok(driver.StatementSetSqlQuery(&world.statement, profile("slow"), &error),
            "query");
  expect_ok(driver.StatementExecuteSchema(&world.statement, &schema, &error),
            "ExecuteSchema of a slow query");
  schema.release(&schema);
  schema.release = NULL;
  expect_ok(driver.StatementSetSqlQuery(
                &world.statement, "INSERT INTO conformance_inert VALUES (1)", &error),
            "query");
  if (driver.StatementExecuteSchema(&world.statement, &schema, &error) == ADBC_STATUS_OK)
    schema.release(&schema);
  forget_error();
  EXPECT(query_number(&world.connection,
                      format("SELECT %s FROM conformance_inert", profile("count"))) == 0,
         "ExecuteSchema of an INSERT has inserted");
  close_world(&world);
}

static void schema_may_be_asked_for_at_any_time(void) {
  struct world world;
  struct ArrowArrayStream stream;
  struct ArrowArray batch;
  open_world(&world);
  query(&world.statement, profile("many"), &stream);
  struct ArrowSchema first = stream_schema(&stream);
  EXPECT(next_batch(&stream, &first, &batch), "no rows");
  struct ArrowSchema second = stream_schema(&stream);
  expect_same_schema(&second, &first, false, "the schema after a batch");
  batch.release(&batch);
  first.release(&first);
  second.release(&second);
  stream.release(&stream);
  close_world(&world);
}

static void empty_result_has_the_schema_of_a_full_one(void) {
  struct world world;
  struct ArrowArrayStream stream;
  open_world(&world);
  make_types(&world.connection);
  query(&world.statement, "SELECT * FROM " TYPES, &stream);
  struct ArrowSchema full = stream_schema(&stream);
  EXPECT(drain(&stream) == 3, "not three rows");
  query(&world.statement, "SELECT * FROM " TYPES " WHERE 1 = 0", &stream);
  struct ArrowSchema empty = stream_schema(&stream);
  EXPECT(drain(&stream) == 0, "rows where none are");
  expect_same_schema(&empty, &full, false, "the schema without rows");
  full.release(&full);
  empty.release(&empty);
  close_world(&world);
}

static void statement_without_rows_gives_an_empty_stream(void) {
  struct world world;
  struct ArrowArrayStream stream;
  open_world(&world);
  make_table(&world.connection, "conformance_none", "CREATE TABLE $table (a BIGINT)");
  query(&world.statement, "INSERT INTO conformance_none VALUES (1)", &stream);
  EXPECT(drain(&stream) == 0, "an INSERT gives rows");
  close_world(&world);
}

/* ---- NULL
 * ------------------------------------------------------------------------------ */

static void nulls_are_where_they_were_put(void) {
  struct world world;
  struct ArrowArrayStream stream;
  struct ArrowArray batch;
  struct ArrowArrayView view;
  open_world(&world);
  make_types(&world.connection);
  query(&world.statement, profile("types.select"), &stream);
  struct ArrowSchema schema = stream_schema(&stream);
  int64_t row = 0;
  while (next_batch(&stream, &schema, &batch)) {
    EXPECT(ArrowArrayViewInitFromSchema(&view, &schema, NULL) == 0 &&
               ArrowArrayViewSetArray(&view, &batch, NULL) == 0,
           "no view");
    for (int64_t i = 0; i < batch.length; i++, row++)
      for (int64_t c = 1; c < view.n_children; c++)
        EXPECT(ArrowArrayViewIsNull(view.children[c], i) == (row == 1),
               "row %lld of column \"%s\" is %sNULL", (long long)row,
               schema.children[c]->name, row == 1 ? "not " : "");
    ArrowArrayViewReset(&view);
    batch.release(&batch);
  }
  EXPECT(row == 3, "%lld rows", (long long)row);
  schema.release(&schema);
  stream.release(&stream);
  close_world(&world);
}

/* The first 100,000 values of every column are NULL. */
static void values_may_come_after_batches_of_nulls(void) {
  struct world world;
  struct ArrowArrayStream stream;
  struct ArrowArray batch;
  open_world(&world);
  make_types(&world.connection);
  query(&world.statement, "SELECT * FROM " TYPES, &stream);
  struct ArrowSchema promised = stream_schema(&stream);
  (void)drain(&stream);
  make_table(&world.connection, NULLS, profile("types.create"));
  run(&world.connection, with_table(profile("nulls.insert"), NULLS));
  run(&world.connection, with_table(profile("types.insert"), NULLS));
  query(&world.statement, "SELECT * FROM " NULLS, &stream);
  struct ArrowSchema schema = stream_schema(&stream);
  expect_same_schema(&schema, &promised, false, "the schema over NULLs");
  int64_t rows = 0, nulls = 0;
  while (next_batch(&stream, &schema, &batch)) {
    rows += batch.length;
    struct ArrowArrayView view;
    EXPECT(ArrowArrayViewInitFromSchema(&view, &schema, NULL) == 0 &&
               ArrowArrayViewSetArray(&view, &batch, NULL) == 0,
           "no view");
    nulls += ArrowArrayViewComputeNullCount(view.children[view.n_children - 1]);
    ArrowArrayViewReset(&view);
    batch.release(&batch);
  }
  EXPECT(rows == 100003 && nulls == 100001, "%lld rows, %lld NULLs", (long long)rows,
         (long long)nulls);
  promised.release(&promised);
  schema.release(&schema);
  stream.release(&stream);
  close_world(&world);
}

/* ---- streams
 * --------------------------------------------------------------------------- */

static void many_rows_come_in_many_batches(void) {
  struct world world;
  struct ArrowArrayStream stream;
  struct ArrowArray batch;
  open_world(&world);
  query(&world.statement, profile("wide"), &stream);
  struct ArrowSchema schema = stream_schema(&stream);
  int64_t rows = 0, batches = 0;
  for (; next_batch(&stream, &schema, &batch); batches++) {
    rows += batch.length;
    batch.release(&batch);
  }
  EXPECT(rows == profile_number("wide.rows"), "%lld rows", (long long)rows);
  EXPECT(batches > 1, "all rows came in one batch");
  schema.release(&schema);
  stream.release(&stream);
  close_world(&world);
}

static void stream_at_its_end_stays_there(void) {
  struct world world;
  struct ArrowArrayStream stream;
  struct ArrowArray batch = {0};
  open_world(&world);
  query(&world.statement, "SELECT 1", &stream);
  struct ArrowSchema schema = stream_schema(&stream);
  while (next_batch(&stream, &schema, &batch)) batch.release(&batch);
  for (int i = 0; i < 3; i++)
    EXPECT(!next_batch(&stream, &schema, &batch), "a batch after the end");
  schema.release(&schema);
  stream.release(&stream);
  close_world(&world);
}

static void batch_outlives_its_stream(void) {
  struct world world;
  struct ArrowArrayStream stream;
  struct ArrowArray batch;
  struct ArrowArrayView view;
  open_world(&world);
  query(&world.statement, profile("many"), &stream);
  struct ArrowSchema schema = stream_schema(&stream);
  EXPECT(next_batch(&stream, &schema, &batch), "no rows");
  stream.release(&stream);
  close_world(&world);
  EXPECT(ArrowArrayViewInitFromSchema(&view, &schema, NULL) == 0 &&
             ArrowArrayViewSetArray(&view, &batch, NULL) == 0 &&
             ArrowArrayViewValidate(&view, NANOARROW_VALIDATION_LEVEL_FULL, NULL) == 0,
         "the batch is not valid any more");
  ArrowArrayViewReset(&view);
  batch.release(&batch);
  schema.release(&schema);
}

static void stream_may_be_released_without_being_read(void) {
  struct world world;
  struct ArrowArrayStream stream;
  open_world(&world);
  for (int i = 0; i < 3; i++) {
    query(&world.statement, profile("many"), &stream);
    stream.release(&stream);
    EXPECT(query_number(&world.connection, "SELECT 7") == 7, "not 7");
  }
  close_world(&world);
}

static void stream_may_be_released_in_the_middle(void) {
  struct world world;
  struct ArrowArrayStream stream;
  struct ArrowArray batch;
  open_world(&world);
  for (int i = 0; i < 3; i++) {
    query(&world.statement, profile("many"), &stream);
    struct ArrowSchema schema = stream_schema(&stream);
    EXPECT(next_batch(&stream, &schema, &batch), "no rows");
    batch.release(&batch);
    schema.release(&schema);
    stream.release(&stream);
    EXPECT(query_number(&world.connection, "SELECT 7") == 7, "not 7");
  }
  close_world(&world);
}

/* Take batches of both in turns. */
static void interleave(struct ArrowArrayStream streams[2], int64_t rows[2]) {
  struct ArrowSchema schemas[2] = {stream_schema(&streams[0]),
                                   stream_schema(&streams[1])};
  struct ArrowArray batch;
  bool more[2] = {true, true};
  rows[0] = rows[1] = 0;
  for (int i = 0; more[0] || more[1]; i = 1 - i) {
    if (!more[i]) continue;
    more[i] = next_batch(&streams[i], &schemas[i], &batch);
    if (!more[i]) continue;
    rows[i] += batch.length;
    batch.release(&batch);
  }
  for (int i = 0; i < 2; i++) {
    schemas[i].release(&schemas[i]);
    streams[i].release(&streams[i]);
  }
}

static void two_connections_stream_at_once(void) {
  struct world world;
  struct AdbcConnection second;
  struct AdbcStatement other;
  struct ArrowArrayStream streams[2];
  int64_t rows[2];
  open_world(&world);
  open_connection(&world.database, &second);
  open_statement(&second, &other);
  query(&world.statement, profile("many"), &streams[0]);
  query(&other, profile("many"), &streams[1]);
  interleave(streams, rows);
  EXPECT(rows[0] == profile_number("many.rows") && rows[1] == rows[0],
         "%lld and %lld rows", (long long)rows[0], (long long)rows[1]);
  expect_ok(driver.StatementRelease(&other, &error), "StatementRelease");
  expect_ok(driver.ConnectionRelease(&second, &error), "ConnectionRelease");
  close_world(&world);
}

/* A connection may refuse a second stream; then the first goes on unharmed. */
static void two_streams_of_one_connection_work_or_the_second_is_refused(void) {
  struct world world;
  struct AdbcStatement other;
  struct ArrowArrayStream streams[2] = {{0}, {0}};
  int64_t rows[2];
  open_world(&world);
  open_statement(&world.connection, &other);
  query(&world.statement, profile("many"), &streams[0]);
  expect_ok(driver.StatementSetSqlQuery(&other, profile("many"), &error), "query");
  if (driver.StatementExecuteQuery(&other, &streams[1], NULL, &error) == ADBC_STATUS_OK) {
    interleave(streams, rows);
    EXPECT(rows[1] == profile_number("many.rows"), "%lld rows of the second",
           (long long)rows[1]);
  } else {
    expect_failure(ADBC_STATUS_INVALID_STATE, "a second stream");
    forget_error();
    rows[0] = drain(&streams[0]);
  }
  EXPECT(rows[0] == profile_number("many.rows"), "%lld rows of the first",
         (long long)rows[0]);
  expect_ok(driver.StatementRelease(&other, &error), "StatementRelease");
  close_world(&world);
}

const struct check row_checks[] = {
    {"execute_schema_is_the_schema_of_the_stream",
     execute_schema_is_the_schema_of_the_stream},
    {"execute_schema_holds_for_expressions", execute_schema_holds_for_expressions},
    {"execute_schema_runs_nothing", execute_schema_runs_nothing},
    {"schema_may_be_asked_for_at_any_time", schema_may_be_asked_for_at_any_time},
    {"empty_result_has_the_schema_of_a_full_one",
     empty_result_has_the_schema_of_a_full_one},
    {"statement_without_rows_gives_an_empty_stream",
     statement_without_rows_gives_an_empty_stream},
    {"nulls_are_where_they_were_put", nulls_are_where_they_were_put},
    {"values_may_come_after_batches_of_nulls", values_may_come_after_batches_of_nulls},
    {"many_rows_come_in_many_batches", many_rows_come_in_many_batches},
    {"stream_at_its_end_stays_there", stream_at_its_end_stays_there},
    {"batch_outlives_its_stream", batch_outlives_its_stream},
    {"stream_may_be_released_without_being_read",
     stream_may_be_released_without_being_read},
    {"stream_may_be_released_in_the_middle", stream_may_be_released_in_the_middle},
    {"two_connections_stream_at_once", two_connections_stream_at_once},
    {"two_streams_of_one_connection_work_or_the_second_is_refused",
     two_streams_of_one_connection_work_or_the_second_is_refused},
    {NULL, NULL}};
