/*
 * half_made.c -- ADBC drivers that leave out what they can, one for each MADE_….
 *
 * MINIMAL has just the functions without which nothing works, and gives three rows for
 * any statement; ONLY_1_0 is the same, refuses ADBC 1.1 and leaves rubbish behind the
 * table of 1.0; NAMED has an init function that no file name tells; EMPTY fills in
 * nothing; REFUSING fails; NOT_A_DRIVER has no init function.
 */
#include <arrow-adbc/adbc.h>
#include <stdlib.h>
#include <string.h>

#ifdef MADE_NOT_A_DRIVER
int something_else(void);
int something_else(void) {
  return 1;
}
#else

/* ---- three rows ------------------------------------------------------------------- */

static const int64_t values[] = {1, 2, 3};

static void column_release(struct ArrowArray *array) {
  free(array->buffers);
  array->release = NULL;
}

static void batch_release(struct ArrowArray *array) {
  for (int64_t i = 0; i < array->n_children; i++) {
    struct ArrowArray *child = array->children[i];
    if (child->release) child->release(child);
    free(child);
  }
  free(array->children);
  free(array->buffers);
  array->release = NULL;
}

static int give_batch(struct ArrowArray *out) {
  struct ArrowArray *column = calloc(1, sizeof(*column));
  *out = (struct ArrowArray){.length = 3,
                             .n_buffers = 1,
                             .buffers = calloc(1, sizeof(void *)),
                             .n_children = 1,
                             .children = calloc(1, sizeof(void *)),
                             .release = batch_release};
  if (!column || !out->buffers || !out->children) return 12;
  out->children[0] = column;
  *column = (struct ArrowArray){.length = 3,
                                .n_buffers = 2,
                                .buffers = calloc(2, sizeof(void *)),
                                .release = column_release};
  if (!column->buffers) return 12;
  column->buffers[1] = values;
  return 0;
}

static void schema_release(struct ArrowSchema *schema) {
  for (int64_t i = 0; i < schema->n_children; i++) {
    if (schema->children[i]->release) schema->children[i]->release(schema->children[i]);
    free(schema->children[i]);
  }
  free(schema->children);
  schema->release = NULL;
}

static int stream_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
  (void)stream;
  struct ArrowSchema *column = calloc(1, sizeof(*column));
  if (!column) return 12;
  *column = (struct ArrowSchema){.format = "l", .name = "x", .release = schema_release};
  *out = (struct ArrowSchema){.format = "+s",
                              .name = "",
                              .n_children = 1,
                              .children = calloc(1, sizeof(void *)),
                              .release = schema_release};
  if (!out->children) return 12;
  out->children[0] = column;
  return 0;
}

static int stream_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
  out->release = NULL;
  if (stream->private_data) return 0;
  stream->private_data = stream;
  return give_batch(out);
}

static const char *stream_error(struct ArrowArrayStream *stream) {
  (void)stream;
  return NULL;
}

static void stream_release(struct ArrowArrayStream *stream) {
  stream->release = NULL;
}

/* ---- the functions ---------------------------------------------------------------- */

#ifndef MADE_EMPTY
#ifndef MADE_REFUSING

#define FINE(name, object)                                                   \
  static AdbcStatusCode name(struct object *self, struct AdbcError *error) { \
    (void)error;                                                             \
    (void)self;                                                              \
    return ADBC_STATUS_OK;                                                   \
  }
FINE(database_new, AdbcDatabase)
FINE(database_init, AdbcDatabase)
FINE(database_release, AdbcDatabase)
FINE(connection_new, AdbcConnection)
FINE(connection_release, AdbcConnection)
FINE(statement_release, AdbcStatement)

static AdbcStatusCode connection_init(struct AdbcConnection *self,
                                      struct AdbcDatabase *database,
                                      struct AdbcError *error) {
  (void)self, (void)database, (void)error;
  return ADBC_STATUS_OK;
}

static AdbcStatusCode statement_new(struct AdbcConnection *connection,
                                    struct AdbcStatement *self, struct AdbcError *error) {
  (void)connection, (void)self, (void)error;
  return ADBC_STATUS_OK;
}

static AdbcStatusCode statement_query(struct AdbcStatement *self, const char *text,
                                      struct AdbcError *error) {
  (void)self, (void)text, (void)error;
  return ADBC_STATUS_OK;
}

static AdbcStatusCode statement_execute(struct AdbcStatement *self,
                                        struct ArrowArrayStream *out, int64_t *rows,
                                        struct AdbcError *error) {
  (void)self, (void)error;
  if (rows) *rows = -1;
  if (out)
    *out = (struct ArrowArrayStream){.get_schema = stream_schema,
                                     .get_next = stream_next,
                                     .get_last_error = stream_error,
                                     .release = stream_release};
  return ADBC_STATUS_OK;
}

static void fill(struct AdbcDriver *driver) {
  driver->DatabaseNew = database_new;
  driver->DatabaseInit = database_init;
  driver->DatabaseRelease = database_release;
  driver->ConnectionNew = connection_new;
  driver->ConnectionInit = connection_init;
  driver->ConnectionRelease = connection_release;
  driver->StatementNew = statement_new;
  driver->StatementRelease = statement_release;
  driver->StatementSetSqlQuery = statement_query;
  driver->StatementExecuteQuery = statement_execute;
}
#endif
#endif

#ifdef MADE_REFUSING
static void error_release(struct AdbcError *error) {
  free(error->message);
  error->message = NULL;
  error->release = NULL;
}
#endif

#ifdef MADE_NAMED
#define INIT start_here
#else
#define INIT AdbcDriverInit
#endif
AdbcStatusCode INIT(int version, void *table, struct AdbcError *error);
AdbcStatusCode INIT(int version, void *table, struct AdbcError *error) {
  (void)version, (void)table, (void)error;
  (void)stream_schema, (void)stream_next, (void)stream_error, (void)stream_release;
#if defined(MADE_REFUSING)
  error->message = strdup("the licence ran out");
  error->release = error_release;
  return ADBC_STATUS_INVALID_STATE;
#elif defined(MADE_EMPTY)
  return ADBC_STATUS_OK;
#elif defined(MADE_ONLY_1_0)
  if (version != ADBC_VERSION_1_0_0) return ADBC_STATUS_NOT_IMPLEMENTED;
  memset((char *)table + ADBC_DRIVER_1_0_0_SIZE, 0xa5,
         sizeof(struct AdbcDriver) - ADBC_DRIVER_1_0_0_SIZE);
  fill(table);
  return ADBC_STATUS_OK;
#else
  fill(table);
  return ADBC_STATUS_OK;
#endif
}
#endif
