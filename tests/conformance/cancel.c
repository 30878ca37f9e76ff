/* cancel.c -- what runs can be ended from another thread. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "conformance.h"

/* Cancels again and again until it is told to stop: a cancel that comes before the work
 * may be lost. */
struct canceller {
  pthread_t thread;
  struct world *world;
  bool whole_connection;
  atomic_bool stop;
};

static void *cancel_until_told(void *ctx) {
  struct canceller *canceller = ctx;
  while (!atomic_load(&canceller->stop)) {
    struct AdbcError own = ADBC_ERROR_INIT;
    (void)poll(NULL, 0, 20);
    AdbcStatusCode code =
        canceller->whole_connection
            ? driver.ConnectionCancel(&canceller->world->connection, &own)
            : driver.StatementCancel(&canceller->world->statement, &own);
    EXPECT(code == ADBC_STATUS_OK, "cancelling failed with %s: %s", code_name(code),
           own.message ? own.message : "no message");
    if (own.release) own.release(&own);
  }
  return NULL;
}

static void start(struct canceller *canceller, struct world *world, bool connection) {
  *canceller = (struct canceller){.world = world, .whole_connection = connection};
  EXPECT(pthread_create(&canceller->thread, NULL, cancel_until_told, canceller) == 0,
         "no thread");
}

static void stop(struct canceller *canceller) {
  atomic_store(&canceller->stop, true);
  (void)pthread_join(canceller->thread, NULL);
}

static void works_on(struct world *world) {
  struct ArrowArrayStream stream;
  query(&world->statement, "SELECT 1", &stream);
  EXPECT(drain(&stream) == 1, "the statement does not work after the cancel");
  EXPECT(query_number(&world->connection, "SELECT 7") == 7, "not 7 after the cancel");
}

/* Execute what takes minutes; it ends by the cancel, here or in its stream. */
static void cancel_slow(bool connection) {
  struct world world;
  struct ArrowArrayStream stream = {0};
  struct ArrowArray batch = {0};
  struct canceller canceller;
  open_world(&world);
  expect_ok(driver.StatementSetSqlQuery(&world.statement, profile("slow"), &error),
            "query");
  start(&canceller, &world, connection);
  AdbcStatusCode code =
      driver.StatementExecuteQuery(&world.statement, &stream, NULL, &error);
  int errnum = code == ADBC_STATUS_OK ? stream.get_next(&stream, &batch) : 0;
  if (code == ADBC_STATUS_OK) {
    EXPECT(errnum != 0, "the slow query ended well");
    EXPECT(errnum == ECANCELED, "errno is %s, not ECANCELED", strerror(errnum));
    EXPECT(driver.ErrorFromArrayStream, "there is no ErrorFromArrayStream");
    const struct AdbcError *told = driver.ErrorFromArrayStream(&stream, &code);
    EXPECT(told && code == ADBC_STATUS_CANCELLED, "the stream says %s", code_name(code));
    EXPECT(strncmp(told->sqlstate, "57014", 5) == 0, "SQLSTATE is \"%.5s\"",
           told->sqlstate);
  } else {
    expect_code(code, ADBC_STATUS_CANCELLED, "the slow query");
    expect_sqlstate("57014", "a cancelled query");
    forget_error();
  }
  stop(&canceller);
  if (stream.release) stream.release(&stream);
  works_on(&world);
  close_world(&world);
}

static void cancel_ends_a_statement_that_computes(void) {
  cancel_slow(false);
}

static void cancel_of_the_connection_ends_what_it_runs(void) {
  cancel_slow(true);
}

/* The rest of a stream cannot come: all of it would take minutes. */
static void cancel_ends_a_stream_in_the_middle(void) {
  struct world world;
  struct ArrowArrayStream stream;
  struct ArrowArray batch = {0};
  struct canceller canceller;
  open_world(&world);
  query(&world.statement, profile("endless"), &stream);
  struct ArrowSchema schema = stream_schema(&stream);
  EXPECT(next_batch(&stream, &schema, &batch), "no rows");
  batch.release(&batch);
  start(&canceller, &world, false);
  int errnum = 0;
  while ((errnum = stream.get_next(&stream, &batch)) == 0) {
    EXPECT(batch.release, "it ended well");
    batch.release(&batch);
  }
  stop(&canceller);
  EXPECT(errnum == ECANCELED, "errno is %s, not ECANCELED", strerror(errnum));
  schema.release(&schema);
  stream.release(&stream);
  works_on(&world);
  close_world(&world);
}

static void cancel_of_what_rests_does_no_harm(void) {
  struct world world;
  struct ArrowArrayStream stream;
  open_world(&world);
  (void)driver.StatementCancel(&world.statement, &error);
  forget_error();
  query(&world.statement, "SELECT 1", &stream);
  EXPECT(drain(&stream) == 1, "not one row");
  (void)driver.StatementCancel(&world.statement, &error);
  forget_error();
  works_on(&world);
  close_world(&world);
}

static void cancel_leaves_other_connections_alone(void) {
  struct world world;
  struct AdbcConnection second;
  struct AdbcStatement other;
  struct ArrowArrayStream stream;
  struct canceller canceller;
  open_world(&world);
  open_connection(&world.database, &second);
  open_statement(&second, &other);
  query(&other, profile("many"), &stream);
  start(&canceller, &world, true);
  EXPECT(drain(&stream) == profile_number("many.rows"), "rows are missing");
  stop(&canceller);
  expect_ok(driver.StatementRelease(&other, &error), "StatementRelease");
  expect_ok(driver.ConnectionRelease(&second, &error), "ConnectionRelease");
  close_world(&world);
}

const struct check cancel_checks[] = {
    {"cancel_ends_a_statement_that_computes", cancel_ends_a_statement_that_computes},
    {"cancel_of_the_connection_ends_what_it_runs",
     cancel_of_the_connection_ends_what_it_runs},
    {"cancel_ends_a_stream_in_the_middle", cancel_ends_a_stream_in_the_middle},
    {"cancel_of_what_rests_does_no_harm", cancel_of_what_rests_does_no_harm},
    {"cancel_leaves_other_connections_alone", cancel_leaves_other_connections_alone},
    {NULL, NULL}};
