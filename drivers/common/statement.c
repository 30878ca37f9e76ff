/* statement.c -- entry points of statements. */
#include "arrow/schema.h"
#include "arrow/stream.h"
#include "base/parse.h"
#include "common/private.h"

/* ---- options -------------------------------------------------------------------------
 */

static void forget_query(struct igd_statement *statement) {
  if (statement->backend->statement_reset) statement->backend->statement_reset(statement);
  ig_free(statement->query);
  statement->query = NULL;
  statement->prepared = false;
}

/* A statement has a query or a target: the last one that was set. */
static igloo_status apply_target(void *object, const char *value,
                                 struct igd_error *reterr) {
  (void)reterr;
  if (value) {
    igd_stream_end(object);
    forget_query(object);
  }
  return IGLOO_OK;
}

static igloo_status apply_incremental(void *object, const char *value,
                                      struct igd_error *reterr) {
  bool wanted = false;
  (void)object;
  IG_TRY(ig_parse_bool(ig_str_from_cstr(value), &wanted, &reterr->base));
  if (!wanted) return IGLOO_OK;
  return ig_fail(&reterr->base, IGLOO_UNSUPPORTED,
                 "incremental execution is not supported");
}

static igloo_status get_incremental(void *object, struct ig_buf *ret_value,
                                    struct igd_error *reterr) {
  (void)object, (void)reterr;
  ig_buf_append_cstr(ret_value, ADBC_OPTION_VALUE_DISABLED);
  return ig_buf_check(ret_value, &reterr->base);
}

static const char *const ingest_modes[] = {
    [IGD_INGEST_CREATE] = ADBC_INGEST_OPTION_MODE_CREATE,
    [IGD_INGEST_APPEND] = ADBC_INGEST_OPTION_MODE_APPEND,
    [IGD_INGEST_REPLACE] = ADBC_INGEST_OPTION_MODE_REPLACE,
    [IGD_INGEST_CREATE_APPEND] = ADBC_INGEST_OPTION_MODE_CREATE_APPEND,
    NULL};

static const struct igd_option common_options[] = {
    {.key = ADBC_INGEST_OPTION_TARGET_TABLE,
     .kind = IGD_OPTION_TEXT,
     .offset = offsetof(struct igd_statement, ingest_table),
     .apply = apply_target},
    {.key = ADBC_INGEST_OPTION_TARGET_CATALOG,
     .kind = IGD_OPTION_TEXT,
     .offset = offsetof(struct igd_statement, ingest_catalog)},
    {.key = ADBC_INGEST_OPTION_TARGET_DB_SCHEMA,
     .kind = IGD_OPTION_TEXT,
     .offset = offsetof(struct igd_statement, ingest_schema)},
    {.key = ADBC_INGEST_OPTION_MODE,
     .kind = IGD_OPTION_CHOICE,
     .offset = offsetof(struct igd_statement, ingest_mode),
     .choices = ingest_modes},
    {.key = ADBC_INGEST_OPTION_TEMPORARY,
     .kind = IGD_OPTION_BOOL,
     .offset = offsetof(struct igd_statement, ingest_temporary)},
    {.key = ADBC_STATEMENT_OPTION_INCREMENTAL,
     .kind = IGD_OPTION_BOOL,
     .offset = IGD_NOT_STORED,
     .apply = apply_incremental,
     .get = get_incremental},
    {.key = NULL},
};

/* ---- life ----------------------------------------------------------------------------
 */

struct igd_statement *igd_statement_ref(struct igd_statement *statement) {
  atomic_fetch_add(&statement->refs, 1);
  return statement;
}

void igd_statement_unref(struct igd_statement *statement) {
  if (!statement || atomic_fetch_sub(&statement->refs, 1) > 1) return;
  struct igd_connection *connection = statement->connection;
  ig_mutex_lock(&connection->mu);
  forget_query(statement);
  if (statement->backend->statement_done) statement->backend->statement_done(statement);
  ig_stream_done(&statement->bound);
  igd_options_done(statement, statement->backend->statement_options);
  igd_options_done(statement, common_options);
  ig_mutex_unlock(&connection->mu);
  ig_free(statement);
  igd_connection_unref(connection);
}

bool igd_statement_is_cancelled(const struct igd_statement *statement) {
  return atomic_load(&statement->cancelled) ||
         atomic_load(&statement->connection->cancels) != statement->cancels_seen;
}

igloo_status igd_fail_cancelled(struct igd_error *reterr) {
  return ig_fail(&reterr->base, IGLOO_CANCELLED,
                 "canceling statement due to user request");
}

static igloo_status make(struct igd_connection *connection,
                         struct igd_statement **ret_statement, struct igd_error *reterr) {
  const struct igd_backend *backend = connection->backend;
  IG_LOCK_SCOPE(&connection->mu);
  if (!connection->live)
    return ig_fail(&reterr->base, IGLOO_FAILED_PRECONDITION,
                   "the connection is not initialized");
  struct igd_statement *statement = ig_calloc(1, backend->statement_bytes);
  if (!statement) return ig_fail_oom(&reterr->base);
  statement->backend = backend;
  statement->connection = igd_connection_ref(connection);
  atomic_init(&statement->refs, 1);
  atomic_init(&statement->cancelled, false);
  statement->cancels_seen = atomic_load(&connection->cancels);
  igloo_status status = igd_options_init(statement, common_options, reterr);
  if (status == IGLOO_OK)
    status = igd_options_init(statement, backend->statement_options, reterr);
  if (status != IGLOO_OK) {
    igd_statement_unref(statement);
    return status;
  }
  *ret_statement = statement;
  return IGLOO_OK;
}

static AdbcStatusCode statement_new(struct AdbcConnection *connection,
                                    struct AdbcStatement *handle,
                                    struct AdbcError *error) {
  struct igd_error failed = {0};
  struct igd_statement *statement = NULL;
  if (!connection || !connection->private_data)
    (void)ig_fail(&failed.base, IGLOO_FAILED_PRECONDITION, "there is no such connection");
  else if (!handle)
    (void)ig_fail(&failed.base, IGLOO_INVALID_ARGUMENT,
                  "there is no place for a statement");
  else if (make(connection->private_data, &statement, &failed) == IGLOO_OK)
    handle->private_data = statement;
  return igd_error_give(&failed, error);
}

static struct igd_statement *find(struct AdbcStatement *handle,
                                  struct igd_error *reterr) {
  if (handle && handle->private_data) return handle->private_data;
  (void)ig_fail(&reterr->base, IGLOO_FAILED_PRECONDITION, "there is no such statement");
  return NULL;
}

static AdbcStatusCode statement_release(struct AdbcStatement *handle,
                                        struct AdbcError *error) {
  struct igd_error failed = {0};
  struct igd_statement *statement = find(handle, &failed);
  if (!statement) return igd_error_give(&failed, error);
  handle->private_data = NULL;
  igd_statement_unref(statement);
  return ADBC_STATUS_OK;
}

static AdbcStatusCode statement_cancel(struct AdbcStatement *handle,
                                       struct AdbcError *error) {
  struct igd_error failed = {0};
  struct igd_statement *statement = find(handle, &failed);
  if (!statement) return igd_error_give(&failed, error);
  atomic_store(&statement->cancelled, true);
  if (statement->backend->cancel)
    (void)statement->backend->cancel(statement->connection, statement, &failed);
  return igd_error_give(&failed, error);
}

/* ---- what it runs --------------------------------------------------------------------
 */

/* Run `work` under the connection's mutex. */
static AdbcStatusCode with_statement(
    struct AdbcStatement *handle, struct AdbcError *error,
    igloo_status (*work)(struct igd_statement *, void *, struct igd_error *), void *ctx) {
  struct igd_error failed = {0};
  struct igd_statement *statement = find(handle, &failed);
  if (!statement) return igd_error_give(&failed, error);
  ig_mutex_lock(&statement->connection->mu);
  (void)work(statement, ctx, &failed);
  ig_mutex_unlock(&statement->connection->mu);
  return igd_error_give(&failed, error);
}

static igloo_status set_query(struct igd_statement *statement, void *ctx,
                              struct igd_error *reterr) {
  const char *text = ctx;
  if (!text)
    return ig_fail(&reterr->base, IGLOO_INVALID_ARGUMENT, "the query is missing");
  char *copy = ig_strdup(text);
  if (!copy) return ig_fail_oom(&reterr->base);
  igd_stream_end(statement);
  forget_query(statement);
  statement->query = copy;
  ig_free(statement->ingest_table);
  statement->ingest_table = NULL;
  return IGLOO_OK;
}

static AdbcStatusCode statement_set_query(struct AdbcStatement *handle, const char *query,
                                          struct AdbcError *error) {
  union {
    const char *text;
    void *ctx;
  } in = {.text = query};
  return with_statement(handle, error, set_query, in.ctx);
}

static AdbcStatusCode statement_set_substrait(struct AdbcStatement *handle,
                                              const uint8_t *plan, size_t length,
                                              struct AdbcError *error) {
  (void)plan, (void)length;
  struct igd_error failed = {0};
  if (find(handle, &failed))
    (void)ig_fail(&failed.base, IGLOO_UNSUPPORTED,
                  "this driver takes no Substrait plans");
  return igd_error_give(&failed, error);
}

static igloo_status check_query(const struct igd_statement *statement,
                                struct igd_error *reterr) {
  if (statement->query) return IGLOO_OK;
  return ig_fail(&reterr->base, IGLOO_FAILED_PRECONDITION, "the statement has no query");
}

static igloo_status prepare(struct igd_statement *statement, void *ctx,
                            struct igd_error *reterr) {
  (void)ctx;
  IG_TRY(check_query(statement, reterr));
  igd_stream_end(statement);
  IG_TRY(statement->backend->prepare(statement, reterr));
  statement->prepared = true;
  return IGLOO_OK;
}

static AdbcStatusCode statement_prepare(struct AdbcStatement *handle,
                                        struct AdbcError *error) {
  return with_statement(handle, error, prepare, NULL);
}

static igloo_status parameters(struct igd_statement *statement, void *ctx,
                               struct igd_error *reterr) {
  IG_TRY(check_query(statement, reterr));
  return statement->backend->parameters(statement, ctx, reterr);
}

static AdbcStatusCode statement_parameters(struct AdbcStatement *handle,
                                           struct ArrowSchema *schema,
                                           struct AdbcError *error) {
  return with_statement(handle, error, parameters, schema);
}

static igloo_status take_rows(struct igd_statement *statement, void *ctx,
                              struct igd_error *reterr) {
  (void)reterr;
  struct ArrowArrayStream *rows = ctx;
  ig_stream_done(&statement->bound);
  ArrowArrayStreamMove(rows, &statement->bound);
  return IGLOO_OK;
}

static AdbcStatusCode statement_bind_stream(struct AdbcStatement *handle,
                                            struct ArrowArrayStream *rows,
                                            struct AdbcError *error) {
  if (!rows || !rows->release) {
    struct igd_error failed = {0};
    (void)ig_fail(&failed.base, IGLOO_INVALID_ARGUMENT, "there are no rows to bind");
    return igd_error_give(&failed, error);
  }
  AdbcStatusCode code = with_statement(handle, error, take_rows, rows);
  ig_stream_done(rows);
  return code;
}

static AdbcStatusCode statement_bind(struct AdbcStatement *handle,
                                     struct ArrowArray *values,
                                     struct ArrowSchema *schema,
                                     struct AdbcError *error) {
  struct igd_error failed = {0};
  IG_AUTO_STREAM rows = {0};
  if (!values || !values->release || !schema || !schema->release)
    (void)ig_fail(&failed.base, IGLOO_INVALID_ARGUMENT, "there are no rows to bind");
  else
    failed.base.status = ig_stream_new_batch(schema, values, &rows, &failed.base);
  if (!rows.release) return igd_error_give(&failed, error);
  return with_statement(handle, error, take_rows, &rows);
}

/* ---- running it ----------------------------------------------------------------------
 */

struct execution {
  struct ArrowArrayStream *out; /* NULL: rows are not wanted */
  int64_t *affected;            /* NULL: nobody asks */
};

static igloo_status ingest(struct igd_statement *statement, struct execution *execution,
                           struct ArrowArrayStream *rows, struct igd_error *reterr) {
  int64_t affected = -1;
  if (!rows->release)
    return ig_fail(&reterr->base, IGLOO_FAILED_PRECONDITION,
                   "the statement has no rows to ingest");
  IG_TRY(statement->backend->ingest(statement, rows, &affected, reterr));
  if (execution->out) *execution->out = ig_stream_empty();
  if (execution->affected) *execution->affected = affected;
  return IGLOO_OK;
}

static igloo_status run_query(struct igd_statement *statement,
                              struct execution *execution, struct ArrowArrayStream *rows,
                              struct igd_error *reterr) {
  struct igd_result result = {.affected = -1};
  IG_TRY(check_query(statement, reterr));
  IG_TRY(statement->backend->execute(statement, rows->release ? rows : NULL,
                                     execution->out != NULL, &result, reterr));
  if (execution->affected) *execution->affected = result.affected;
  if (execution->out && result.reader)
    return igd_stream_new(statement, &result, execution->out, reterr);
  igd_result_done(&result);
  if (execution->out) *execution->out = ig_stream_empty();
  return IGLOO_OK;
}

static igloo_status execute(struct igd_statement *statement, void *ctx,
                            struct igd_error *reterr) {
  igd_stream_end(statement);
  atomic_store(&statement->cancelled, false);
  statement->cancels_seen = atomic_load(&statement->connection->cancels);
  IG_AUTO_STREAM rows = {0};
  if (statement->bound.release) ArrowArrayStreamMove(&statement->bound, &rows);
  return statement->ingest_table ? ingest(statement, ctx, &rows, reterr)
                                 : run_query(statement, ctx, &rows, reterr);
}

static AdbcStatusCode statement_execute(struct AdbcStatement *handle,
                                        struct ArrowArrayStream *out, int64_t *affected,
                                        struct AdbcError *error) {
  struct execution execution = {.out = out, .affected = affected};
  return with_statement(handle, error, execute, &execution);
}

static igloo_status execute_schema(struct igd_statement *statement, void *ctx,
                                   struct igd_error *reterr) {
  IG_TRY(check_query(statement, reterr));
  return statement->backend->schema(statement, ctx, reterr);
}

static AdbcStatusCode statement_execute_schema(struct AdbcStatement *handle,
                                               struct ArrowSchema *schema,
                                               struct AdbcError *error) {
  return with_statement(handle, error, execute_schema, schema);
}

static AdbcStatusCode statement_execute_partitions(struct AdbcStatement *handle,
                                                   struct ArrowSchema *schema,
                                                   struct AdbcPartitions *partitions,
                                                   int64_t *affected,
                                                   struct AdbcError *error) {
  (void)schema, (void)partitions, (void)affected;
  struct igd_error failed = {0};
  if (find(handle, &failed))
    (void)ig_fail(&failed.base, IGLOO_UNSUPPORTED, "this driver makes no partitions");
  return igd_error_give(&failed, error);
}

/* ---- options by type -----------------------------------------------------------------
 */

static struct igd_options_of options_of(struct igd_statement *statement) {
  return (struct igd_options_of){.object = statement,
                                 .own = statement->backend->statement_options,
                                 .common = common_options,
                                 .live = true};
}

#define WITH_OPTIONS(call)                                 \
  struct igd_error failed = {0};                           \
  struct igd_statement *statement = find(handle, &failed); \
  if (!statement) return igd_error_give(&failed, error);   \
  IG_LOCK_SCOPE(&statement->connection->mu);               \
  struct igd_options_of of = options_of(statement);        \
  (void)(call);                                            \
  return igd_error_give(&failed, error)

static AdbcStatusCode set_option(struct AdbcStatement *handle, const char *key,
                                 const char *value, struct AdbcError *error) {
  WITH_OPTIONS(igd_set_option(&of, key, value, &failed));
}

static AdbcStatusCode set_option_int(struct AdbcStatement *handle, const char *key,
                                     int64_t value, struct AdbcError *error) {
  WITH_OPTIONS(igd_set_option_int(&of, key, value, &failed));
}

static AdbcStatusCode set_option_double(struct AdbcStatement *handle, const char *key,
                                        double value, struct AdbcError *error) {
  WITH_OPTIONS(igd_set_option_double(&of, key, value, &failed));
}

static AdbcStatusCode set_option_bytes(struct AdbcStatement *handle, const char *key,
                                       const uint8_t *value, size_t length,
                                       struct AdbcError *error) {
  WITH_OPTIONS(igd_set_option_bytes(&of, key, value, length, &failed));
}

static AdbcStatusCode get_option(struct AdbcStatement *handle, const char *key,
                                 char *value, size_t *length, struct AdbcError *error) {
  WITH_OPTIONS(igd_get_option(&of, key, value, length, &failed));
}

static AdbcStatusCode get_option_bytes(struct AdbcStatement *handle, const char *key,
                                       uint8_t *value, size_t *length,
                                       struct AdbcError *error) {
  WITH_OPTIONS(igd_get_option_bytes(&of, key, value, length, &failed));
}

static AdbcStatusCode get_option_int(struct AdbcStatement *handle, const char *key,
                                     int64_t *value, struct AdbcError *error) {
  WITH_OPTIONS(igd_get_option_int(&of, key, value, &failed));
}

static AdbcStatusCode get_option_double(struct AdbcStatement *handle, const char *key,
                                        double *value, struct AdbcError *error) {
  WITH_OPTIONS(igd_get_option_double(&of, key, value, &failed));
}

void igd_fill_statement(struct AdbcDriver *driver, bool with_1_1) {
  driver->StatementNew = statement_new;
  driver->StatementRelease = statement_release;
  driver->StatementSetOption = set_option;
  driver->StatementSetSqlQuery = statement_set_query;
  driver->StatementSetSubstraitPlan = statement_set_substrait;
  driver->StatementPrepare = statement_prepare;
  driver->StatementGetParameterSchema = statement_parameters;
  driver->StatementBind = statement_bind;
  driver->StatementBindStream = statement_bind_stream;
  driver->StatementExecuteQuery = statement_execute;
  driver->StatementExecutePartitions = statement_execute_partitions;
  if (!with_1_1) return;
  driver->StatementCancel = statement_cancel;
  driver->StatementExecuteSchema = statement_execute_schema;
  driver->StatementSetOptionBytes = set_option_bytes;
  driver->StatementSetOptionDouble = set_option_double;
  driver->StatementSetOptionInt = set_option_int;
  driver->StatementGetOption = get_option;
  driver->StatementGetOptionBytes = get_option_bytes;
  driver->StatementGetOptionDouble = get_option_double;
  driver->StatementGetOptionInt = get_option_int;
}
