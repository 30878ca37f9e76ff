/*
 * adbc_complete.c -- make every slot of a driver's table callable.
 *
 * Those without which nothing works must be there. The others answer NOT_IMPLEMENTED,
 * with a message that names the function, where the driver left them out; so do all that
 * came with ADBC 1.1 where it is of 1.0, whatever it wrote there.
 */
#include "connector/adbc.h"
#include "connector/internal.h"

static void message_release(struct AdbcError *error) {
  error->message = NULL;
  error->release = NULL;
}

/* Static texts: nothing is allocated, and releasing only forgets. */
static AdbcStatusCode not_implemented(struct AdbcError *error, char *message) {
  if (error) {
    if (error->release) error->release(error);
    error->message = message;
    error->release = message_release;
    memcpy(error->sqlstate, "0A000", 5);
  }
  return ADBC_STATUS_NOT_IMPLEMENTED;
}

/* One function for each slot: X(name, parameters without the error). Parameters that a
 * function does not look at need no names in C2x, but gnu17 wants them. */
#define FILL(name, ...)                                                   \
  static AdbcStatusCode no_##name(__VA_ARGS__, struct AdbcError *error) { \
    static char message[] = "the driver does not implement " #name;       \
    return not_implemented(error, message);                               \
  }
#define U IG_UNUSED

FILL(DatabaseSetOption, U struct AdbcDatabase *a, U const char *b, U const char *c)
FILL(DatabaseGetOption, U struct AdbcDatabase *a, U const char *b, U char *c, U size_t *d)
FILL(DatabaseGetOptionBytes, U struct AdbcDatabase *a, U const char *b, U uint8_t *c,
     U size_t *d)
FILL(DatabaseGetOptionDouble, U struct AdbcDatabase *a, U const char *b, U double *c)
FILL(DatabaseGetOptionInt, U struct AdbcDatabase *a, U const char *b, U int64_t *c)
FILL(DatabaseSetOptionBytes, U struct AdbcDatabase *a, U const char *b,
     U const uint8_t *c, U size_t d)
FILL(DatabaseSetOptionDouble, U struct AdbcDatabase *a, U const char *b, U double c)
FILL(DatabaseSetOptionInt, U struct AdbcDatabase *a, U const char *b, U int64_t c)
FILL(ConnectionCommit, U struct AdbcConnection *a)
FILL(ConnectionRollback, U struct AdbcConnection *a)
FILL(ConnectionCancel, U struct AdbcConnection *a)
FILL(ConnectionGetInfo, U struct AdbcConnection *a, U const uint32_t *b, U size_t c,
     U struct ArrowArrayStream *d)
FILL(ConnectionGetObjects, U struct AdbcConnection *a, U int b, U const char *c,
     U const char *d, U const char *e, U const char **f, U const char *g,
     U struct ArrowArrayStream *h)
FILL(ConnectionGetTableSchema, U struct AdbcConnection *a, U const char *b,
     U const char *c, U const char *d, U struct ArrowSchema *e)
FILL(ConnectionGetTableTypes, U struct AdbcConnection *a, U struct ArrowArrayStream *b)
FILL(ConnectionSetOption, U struct AdbcConnection *a, U const char *b, U const char *c)
FILL(ConnectionReadPartition, U struct AdbcConnection *a, U const uint8_t *b, U size_t c,
     U struct ArrowArrayStream *d)
FILL(ConnectionGetOption, U struct AdbcConnection *a, U const char *b, U char *c,
     U size_t *d)
FILL(ConnectionGetOptionBytes, U struct AdbcConnection *a, U const char *b, U uint8_t *c,
     U size_t *d)
FILL(ConnectionGetOptionDouble, U struct AdbcConnection *a, U const char *b, U double *c)
FILL(ConnectionGetOptionInt, U struct AdbcConnection *a, U const char *b, U int64_t *c)
FILL(ConnectionGetStatistics, U struct AdbcConnection *a, U const char *b,
     U const char *c, U const char *d, U char e, U struct ArrowArrayStream *f)
FILL(ConnectionGetStatisticNames, U struct AdbcConnection *a,
     U struct ArrowArrayStream *b)
FILL(ConnectionSetOptionBytes, U struct AdbcConnection *a, U const char *b,
     U const uint8_t *c, U size_t d)
FILL(ConnectionSetOptionDouble, U struct AdbcConnection *a, U const char *b, U double c)
FILL(ConnectionSetOptionInt, U struct AdbcConnection *a, U const char *b, U int64_t c)
FILL(StatementBind, U struct AdbcStatement *a, U struct ArrowArray *b,
     U struct ArrowSchema *c)
FILL(StatementBindStream, U struct AdbcStatement *a, U struct ArrowArrayStream *b)
FILL(StatementExecutePartitions, U struct AdbcStatement *a, U struct ArrowSchema *b,
     U struct AdbcPartitions *c, U int64_t *d)
FILL(StatementGetParameterSchema, U struct AdbcStatement *a, U struct ArrowSchema *b)
FILL(StatementPrepare, U struct AdbcStatement *a)
FILL(StatementSetOption, U struct AdbcStatement *a, U const char *b, U const char *c)
FILL(StatementSetSubstraitPlan, U struct AdbcStatement *a, U const uint8_t *b, U size_t c)
FILL(StatementCancel, U struct AdbcStatement *a)
FILL(StatementExecuteSchema, U struct AdbcStatement *a, U struct ArrowSchema *b)
FILL(StatementGetOption, U struct AdbcStatement *a, U const char *b, U char *c,
     U size_t *d)
FILL(StatementGetOptionBytes, U struct AdbcStatement *a, U const char *b, U uint8_t *c,
     U size_t *d)
FILL(StatementGetOptionDouble, U struct AdbcStatement *a, U const char *b, U double *c)
FILL(StatementGetOptionInt, U struct AdbcStatement *a, U const char *b, U int64_t *c)
FILL(StatementSetOptionBytes, U struct AdbcStatement *a, U const char *b,
     U const uint8_t *c, U size_t d)
FILL(StatementSetOptionDouble, U struct AdbcStatement *a, U const char *b, U double c)
FILL(StatementSetOptionInt, U struct AdbcStatement *a, U const char *b, U int64_t c)

static int no_ErrorGetDetailCount(U const struct AdbcError *error) {
  return 0;
}

static struct AdbcErrorDetail no_ErrorGetDetail(U const struct AdbcError *error,
                                                U int index) {
  return (struct AdbcErrorDetail){0};
}

static const struct AdbcError *no_ErrorFromArrayStream(U struct ArrowArrayStream *stream,
                                                       U AdbcStatusCode *status) {
  return NULL;
}

igloo_status ig_driver_complete(struct AdbcDriver *table, bool is_1_1, const char *path,
                                struct igloo_error *reterr) {
#define NEED(name)                                                                    \
  if (!table->name)                                                                   \
  return ig_fail(reterr, IGLOO_UNSUPPORTED, "driver \"%s\" has no function %s", path, \
                 #name)
  NEED(DatabaseNew);
  NEED(DatabaseInit);
  NEED(DatabaseRelease);
  NEED(ConnectionNew);
  NEED(ConnectionInit);
  NEED(ConnectionRelease);
  NEED(StatementNew);
  NEED(StatementRelease);
  NEED(StatementSetSqlQuery);
  NEED(StatementExecuteQuery);

  if (!is_1_1)
    memset((char *)table + ADBC_DRIVER_1_0_0_SIZE, 0,
           sizeof(*table) - ADBC_DRIVER_1_0_0_SIZE);
#define PUT(name) \
  if (!table->name) table->name = no_##name
  PUT(DatabaseSetOption);
  PUT(ConnectionCommit);
  PUT(ConnectionGetInfo);
  PUT(ConnectionGetObjects);
  PUT(ConnectionGetTableSchema);
  PUT(ConnectionGetTableTypes);
  PUT(ConnectionSetOption);
  PUT(ConnectionReadPartition);
  PUT(ConnectionRollback);
  PUT(StatementBind);
  PUT(StatementBindStream);
  PUT(StatementExecutePartitions);
  PUT(StatementGetParameterSchema);
  PUT(StatementPrepare);
  PUT(StatementSetOption);
  PUT(StatementSetSubstraitPlan);
  PUT(ErrorGetDetailCount);
  PUT(ErrorGetDetail);
  PUT(ErrorFromArrayStream);
  PUT(DatabaseGetOption);
  PUT(DatabaseGetOptionBytes);
  PUT(DatabaseGetOptionDouble);
  PUT(DatabaseGetOptionInt);
  PUT(DatabaseSetOptionBytes);
  PUT(DatabaseSetOptionDouble);
  PUT(DatabaseSetOptionInt);
  PUT(ConnectionCancel);
  PUT(ConnectionGetOption);
  PUT(ConnectionGetOptionBytes);
  PUT(ConnectionGetOptionDouble);
  PUT(ConnectionGetOptionInt);
  PUT(ConnectionGetStatistics);
  PUT(ConnectionGetStatisticNames);
  PUT(ConnectionSetOptionBytes);
  PUT(ConnectionSetOptionDouble);
  PUT(ConnectionSetOptionInt);
  PUT(StatementCancel);
  PUT(StatementExecuteSchema);
  PUT(StatementGetOption);
  PUT(StatementGetOptionBytes);
  PUT(StatementGetOptionDouble);
  PUT(StatementGetOptionInt);
  PUT(StatementSetOptionBytes);
  PUT(StatementSetOptionDouble);
  PUT(StatementSetOptionInt);
  return IGLOO_OK;
}
