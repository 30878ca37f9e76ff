/* connection.c -- entry points of connections. */
#include "arrow/schema.h"
#include "arrow/stream.h"
#include "base/parse.h"
#include "common/private.h"
#include "common/schema.h"

/* ---- life ----------------------------------------------------------------------------
 */

static igloo_status apply_autocommit(void *object, const char *value,
                                     struct igd_error *reterr) {
  struct igd_connection *connection = object;
  bool wanted = false;
  IG_TRY(ig_parse_bool(ig_str_from_cstr(value), &wanted, &reterr->base));
  if (wanted == connection->autocommit) return IGLOO_OK;
  return wanted ? connection->backend->commit(connection, reterr)
                : connection->backend->begin(connection, reterr);
}

static const struct igd_option common_options[] = {
    {.key = ADBC_CONNECTION_OPTION_AUTOCOMMIT,
     .kind = IGD_OPTION_BOOL,
     .offset = offsetof(struct igd_connection, autocommit),
     .initial = ADBC_OPTION_VALUE_ENABLED,
     .apply = apply_autocommit},
    {.key = NULL},
};

struct igd_connection *igd_connection_ref(struct igd_connection *connection) {
  atomic_fetch_add(&connection->refs, 1);
  return connection;
}

void igd_connection_unref(struct igd_connection *connection) {
  if (!connection || atomic_fetch_sub(&connection->refs, 1) > 1) return;
  if (connection->database) connection->backend->connection_close(connection);
  igd_options_done(connection, connection->backend->connection_options);
  igd_database_unref(connection->database);
  ig_mutex_done(&connection->mu);
  ig_free(connection);
}

/* A stream of this connection may be what is ingested by way of it, so the thread that
 * has the mutex may take it again. */
static void init_recursive(pthread_mutex_t *mu) {
  pthread_mutexattr_t attributes;
  IG_ASSERT(pthread_mutexattr_init(&attributes) == 0);
  IG_ASSERT(pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE) == 0);
  IG_ASSERT(pthread_mutex_init(mu, &attributes) == 0);
  IG_ASSERT(pthread_mutexattr_destroy(&attributes) == 0);
}

static igloo_status make(struct igd_connection **ret_connection,
                         struct igd_error *reterr) {
  const struct igd_backend *backend = igd_backend_get();
  struct igd_connection *connection = ig_calloc(1, backend->connection_bytes);
  if (!connection) return ig_fail_oom(&reterr->base);
  connection->backend = backend;
  atomic_init(&connection->refs, 1);
  atomic_init(&connection->cancels, 0);
  init_recursive(&connection->mu);
  connection->autocommit = true;
  igloo_status status = igd_options_init(connection, backend->connection_options, reterr);
  if (status != IGLOO_OK) {
    igd_connection_unref(connection);
    return status;
  }
  *ret_connection = connection;
  return IGLOO_OK;
}

static AdbcStatusCode connection_new(struct AdbcConnection *handle,
                                     struct AdbcError *error) {
  struct igd_error failed = {0};
  struct igd_connection *connection = NULL;
  if (!handle)
    (void)ig_fail(&failed.base, IGLOO_INVALID_ARGUMENT,
                  "there is no place for a connection");
  else if (make(&connection, &failed) == IGLOO_OK)
    handle->private_data = connection;
  return igd_error_give(&failed, error);
}

static struct igd_connection *find(struct AdbcConnection *handle,
                                   struct igd_error *reterr) {
  if (handle && handle->private_data) return handle->private_data;
  (void)ig_fail(&reterr->base, IGLOO_FAILED_PRECONDITION, "there is no such connection");
  return NULL;
}

static igloo_status check_live(const struct igd_connection *connection,
                               struct igd_error *reterr) {
  if (connection->live) return IGLOO_OK;
  return ig_fail(&reterr->base, IGLOO_FAILED_PRECONDITION,
                 "the connection is not initialized");
}

/* Not held while connecting: that may take long, and others connect meanwhile. */
static bool is_database_live(struct igd_database *database) {
  IG_LOCK_SCOPE(&database->mu);
  return database->live;
}

static igloo_status open_connection(struct igd_connection *connection,
                                    struct igd_database *database,
                                    struct igd_error *reterr) {
  const struct igd_backend *backend = connection->backend;
  if (connection->live)
    return ig_fail(&reterr->base, IGLOO_FAILED_PRECONDITION,
                   "the connection is initialized already");
  if (!is_database_live(database))
    return ig_fail(&reterr->base, IGLOO_FAILED_PRECONDITION,
                   "the database is not initialized");
  connection->database = igd_database_ref(database);
  igloo_status status = backend->connection_open(connection, reterr);
  if (status == IGLOO_OK && !connection->autocommit)
    status = backend->begin(connection, reterr);
  if (status != IGLOO_OK) {
    /* As before Init, so that it may be tried again. */
    backend->connection_close(connection);
    connection->database = NULL;
    atomic_fetch_sub(&database->refs, 1); /* never the last: the caller has one */
    return status;
  }
  connection->live = true;
  return IGLOO_OK;
}

static AdbcStatusCode connection_init(struct AdbcConnection *handle,
                                      struct AdbcDatabase *database,
                                      struct AdbcError *error) {
  struct igd_error failed = {0};
  struct igd_connection *connection = find(handle, &failed);
  if (!connection) return igd_error_give(&failed, error);
  IG_LOCK_SCOPE(&connection->mu);
  if (!database || !database->private_data)
    (void)ig_fail(&failed.base, IGLOO_FAILED_PRECONDITION, "there is no such database");
  else
    (void)open_connection(connection, database->private_data, &failed);
  return igd_error_give(&failed, error);
}

static AdbcStatusCode connection_release(struct AdbcConnection *handle,
                                         struct AdbcError *error) {
  struct igd_error failed = {0};
  struct igd_connection *connection = find(handle, &failed);
  if (!connection) return igd_error_give(&failed, error);
  handle->private_data = NULL;
  igd_connection_unref(connection);
  return ADBC_STATUS_OK;
}

static AdbcStatusCode connection_cancel(struct AdbcConnection *handle,
                                        struct AdbcError *error) {
  struct igd_error failed = {0};
  struct igd_connection *connection = find(handle, &failed);
  if (!connection) return igd_error_give(&failed, error);
  atomic_fetch_add(&connection->cancels, 1);
  if (connection->backend->cancel)
    (void)connection->backend->cancel(connection, NULL, &failed);
  return igd_error_give(&failed, error);
}

/* ---- options -------------------------------------------------------------------------
 */

static struct igd_options_of options_of(struct igd_connection *connection) {
  return (struct igd_options_of){.object = connection,
                                 .own = connection->backend->connection_options,
                                 .common = common_options,
                                 .live = connection->live};
}

#define WITH_OPTIONS(call)                                   \
  struct igd_error failed = {0};                             \
  struct igd_connection *connection = find(handle, &failed); \
  if (!connection) return igd_error_give(&failed, error);    \
  IG_LOCK_SCOPE(&connection->mu);                            \
  struct igd_options_of of = options_of(connection);         \
  (void)(call);                                              \
  return igd_error_give(&failed, error)

static AdbcStatusCode set_option(struct AdbcConnection *handle, const char *key,
                                 const char *value, struct AdbcError *error) {
  WITH_OPTIONS(igd_set_option(&of, key, value, &failed));
}

static AdbcStatusCode set_option_int(struct AdbcConnection *handle, const char *key,
                                     int64_t value, struct AdbcError *error) {
  WITH_OPTIONS(igd_set_option_int(&of, key, value, &failed));
}

static AdbcStatusCode set_option_double(struct AdbcConnection *handle, const char *key,
                                        double value, struct AdbcError *error) {
  WITH_OPTIONS(igd_set_option_double(&of, key, value, &failed));
}

static AdbcStatusCode set_option_bytes(struct AdbcConnection *handle, const char *key,
                                       const uint8_t *value, size_t length,
                                       struct AdbcError *error) {
  WITH_OPTIONS(igd_set_option_bytes(&of, key, value, length, &failed));
}

static AdbcStatusCode get_option(struct AdbcConnection *handle, const char *key,
                                 char *value, size_t *length, struct AdbcError *error) {
  WITH_OPTIONS(igd_get_option(&of, key, value, length, &failed));
}

static AdbcStatusCode get_option_bytes(struct AdbcConnection *handle, const char *key,
                                       uint8_t *value, size_t *length,
                                       struct AdbcError *error) {
  WITH_OPTIONS(igd_get_option_bytes(&of, key, value, length, &failed));
}

static AdbcStatusCode get_option_int(struct AdbcConnection *handle, const char *key,
                                     int64_t *value, struct AdbcError *error) {
  WITH_OPTIONS(igd_get_option_int(&of, key, value, &failed));
}

static AdbcStatusCode get_option_double(struct AdbcConnection *handle, const char *key,
                                        double *value, struct AdbcError *error) {
  WITH_OPTIONS(igd_get_option_double(&of, key, value, &failed));
}

/* ---- transactions --------------------------------------------------------------------
 */

static igloo_status end_transaction(struct igd_connection *connection, bool commit,
                                    struct igd_error *reterr) {
  const struct igd_backend *backend = connection->backend;
  IG_TRY(check_live(connection, reterr));
  if (connection->autocommit)
    return ig_fail(&reterr->base, IGLOO_FAILED_PRECONDITION,
                   "there is no transaction to end: autocommit is on");
  IG_TRY(commit ? backend->commit(connection, reterr)
                : backend->rollback(connection, reterr));
  return backend->begin(connection, reterr);
}

static AdbcStatusCode connection_commit(struct AdbcConnection *handle,
                                        struct AdbcError *error) {
  struct igd_error failed = {0};
  struct igd_connection *connection = find(handle, &failed);
  if (!connection) return igd_error_give(&failed, error);
  IG_LOCK_SCOPE(&connection->mu);
  (void)end_transaction(connection, true, &failed);
  return igd_error_give(&failed, error);
}

static AdbcStatusCode connection_rollback(struct AdbcConnection *handle,
                                          struct AdbcError *error) {
  struct igd_error failed = {0};
  struct igd_connection *connection = find(handle, &failed);
  if (!connection) return igd_error_give(&failed, error);
  IG_LOCK_SCOPE(&connection->mu);
  (void)end_transaction(connection, false, &failed);
  return igd_error_give(&failed, error);
}

/* ---- metadata ------------------------------------------------------------------------
 */

static igloo_status fill_info(struct igd_connection *connection, igd_info *info,
                              struct igd_error *reterr) {
  const struct igd_backend *backend = connection->backend;
  igd_info_text(info, ADBC_INFO_VENDOR_NAME, backend->vendor_name);
  if (backend->info) IG_TRY(backend->info(connection, info, reterr));
  igd_info_text(info, ADBC_INFO_DRIVER_NAME, backend->driver_name);
  igd_info_text(info, ADBC_INFO_DRIVER_VERSION, backend->driver_version);
  igd_info_text(info, ADBC_INFO_DRIVER_ARROW_VERSION, NANOARROW_VERSION);
  igd_info_int(info, ADBC_INFO_DRIVER_ADBC_VERSION, ADBC_VERSION_1_1_0);
  return IGLOO_OK;
}

static igloo_status get_info(struct igd_connection *connection, const uint32_t *codes,
                             size_t codes_count, struct ArrowArrayStream *ret_stream,
                             struct igd_error *reterr) {
  IG_LOCK_SCOPE(&connection->mu);
  IG_TRY(check_live(connection, reterr));
  igd_info *info = NULL;
  IG_TRY(igd_info_new(codes, codes_count, &info, reterr));
  igloo_status status = fill_info(connection, info, reterr);
  if (status == IGLOO_OK) status = igd_info_finish(info, ret_stream, reterr);
  igd_info_free(info);
  return status;
}

static AdbcStatusCode connection_get_info(struct AdbcConnection *handle,
                                          const uint32_t *codes, size_t codes_count,
                                          struct ArrowArrayStream *out,
                                          struct AdbcError *error) {
  struct igd_error failed = {0};
  struct igd_connection *connection = find(handle, &failed);
  if (connection) (void)get_info(connection, codes, codes_count, out, &failed);
  return igd_error_give(&failed, error);
}

static igloo_status get_objects(struct igd_connection *connection,
                                const struct igd_objects_filter *filter,
                                struct ArrowArrayStream *ret_stream,
                                struct igd_error *reterr) {
  IG_LOCK_SCOPE(&connection->mu);
  IG_TRY(check_live(connection, reterr));
  igd_objects *objects = NULL;
  IG_TRY(igd_objects_new(filter, &objects, reterr));
  igloo_status status = connection->backend->objects(connection, objects, reterr);
  if (status == IGLOO_OK) status = igd_objects_finish(objects, ret_stream, reterr);
  igd_objects_free(objects);
  return status;
}

static AdbcStatusCode connection_get_objects(
    struct AdbcConnection *handle, int depth, const char *catalog, const char *db_schema,
    const char *table_name, const char **table_type, const char *column_name,
    struct ArrowArrayStream *out, struct AdbcError *error) {
  struct igd_error failed = {0};
  struct igd_connection *connection = find(handle, &failed);
  struct igd_objects_filter filter = {.depth = depth,
                                      .catalog = catalog,
                                      .schema = db_schema,
                                      .table = table_name,
                                      .column = column_name,
                                      .table_types = table_type};
  if (connection) (void)get_objects(connection, &filter, out, &failed);
  return igd_error_give(&failed, error);
}

static igloo_status get_statistics(struct igd_connection *connection,
                                   const struct igd_objects_filter *filter,
                                   bool approximate, struct ArrowArrayStream *ret_stream,
                                   struct igd_error *reterr) {
  IG_LOCK_SCOPE(&connection->mu);
  IG_TRY(check_live(connection, reterr));
  if (!connection->backend->statistics)
    return ig_fail(&reterr->base, IGLOO_UNSUPPORTED, "%s has no statistics",
                   connection->backend->vendor_name);
  igd_statistics *statistics = NULL;
  IG_TRY(igd_statistics_new(&statistics, reterr));
  igloo_status status = connection->backend->statistics(connection, filter, approximate,
                                                        statistics, reterr);
  if (status == IGLOO_OK) status = igd_statistics_finish(statistics, ret_stream, reterr);
  igd_statistics_free(statistics);
  return status;
}

static AdbcStatusCode connection_get_statistics(struct AdbcConnection *handle,
                                                const char *catalog,
                                                const char *db_schema,
                                                const char *table_name, char approximate,
                                                struct ArrowArrayStream *out,
                                                struct AdbcError *error) {
  struct igd_error failed = {0};
  struct igd_connection *connection = find(handle, &failed);
  struct igd_objects_filter filter = {.depth = ADBC_OBJECT_DEPTH_TABLES,
                                      .catalog = catalog,
                                      .schema = db_schema,
                                      .table = table_name};
  if (connection)
    (void)get_statistics(connection, &filter, approximate != 0, out, &failed);
  return igd_error_give(&failed, error);
}

/* Give the rows of `array` as a stream; takes both. */
static igloo_status give_rows(struct ArrowSchema *schema, struct ArrowArray *array,
                              struct ArrowArrayStream *ret_stream,
                              struct igd_error *reterr) {
  struct ArrowError error = {{0}};
  int code = ArrowArrayFinishBuildingDefault(array, &error);
  if (code != NANOARROW_OK)
    return igd_fail_arrow(reterr, code, "could not build the answer", error.message);
  return ig_stream_new_batch(schema, array, ret_stream, &reterr->base);
}

/* No driver of ours has statistics of a kind of its own: the answer has no rows. */
static igloo_status get_statistic_names(struct igd_connection *connection,
                                        struct ArrowArrayStream *ret_stream,
                                        struct igd_error *reterr) {
  static const struct igd_field names[] = {{"statistic_name", "u", true, NULL, 0},
                                           {"statistic_key", "s", true, NULL, 0}};
  static const struct igd_field row = {"", "+s", true, IGD_CHILDREN(names)};
  IG_LOCK_SCOPE(&connection->mu);
  IG_TRY(check_live(connection, reterr));
  IG_AUTO_SCHEMA schema = {0};
  IG_AUTO_ARRAY array = {0};
  IG_TRY(igd_schema_build(&row, &schema, &array, reterr));
  return give_rows(&schema, &array, ret_stream, reterr);
}

static AdbcStatusCode connection_get_statistic_names(struct AdbcConnection *handle,
                                                     struct ArrowArrayStream *out,
                                                     struct AdbcError *error) {
  struct igd_error failed = {0};
  struct igd_connection *connection = find(handle, &failed);
  if (connection) (void)get_statistic_names(connection, out, &failed);
  return igd_error_give(&failed, error);
}

static igloo_status get_table_types(struct igd_connection *connection,
                                    struct ArrowArrayStream *ret_stream,
                                    struct igd_error *reterr) {
  static const struct igd_field types[] = {{"table_type", "u", true, NULL, 0}};
  static const struct igd_field row = {"", "+s", true, IGD_CHILDREN(types)};
  IG_LOCK_SCOPE(&connection->mu);
  IG_TRY(check_live(connection, reterr));
  IG_AUTO_SCHEMA schema = {0};
  IG_AUTO_ARRAY array = {0};
  IG_TRY(igd_schema_build(&row, &schema, &array, reterr));
  for (const char *const *type = connection->backend->table_types; *type; type++)
    if (ArrowArrayAppendString(array.children[0], ArrowCharView(*type)) != 0 ||
        ArrowArrayFinishElement(&array) != 0)
      return ig_fail_oom(&reterr->base);
  return give_rows(&schema, &array, ret_stream, reterr);
}

static AdbcStatusCode connection_get_table_types(struct AdbcConnection *handle,
                                                 struct ArrowArrayStream *out,
                                                 struct AdbcError *error) {
  struct igd_error failed = {0};
  struct igd_connection *connection = find(handle, &failed);
  if (connection) (void)get_table_types(connection, out, &failed);
  return igd_error_give(&failed, error);
}

static igloo_status get_table_schema(struct igd_connection *connection,
                                     const char *catalog, const char *schema,
                                     const char *table, struct ArrowSchema *ret_schema,
                                     struct igd_error *reterr) {
  IG_LOCK_SCOPE(&connection->mu);
  IG_TRY(check_live(connection, reterr));
  if (!table)
    return ig_fail(&reterr->base, IGLOO_INVALID_ARGUMENT, "the table has no name");
  return connection->backend->table_schema(connection, catalog, schema, table, ret_schema,
                                           reterr);
}

static AdbcStatusCode connection_get_table_schema(
    struct AdbcConnection *handle, const char *catalog, const char *db_schema,
    const char *table_name, struct ArrowSchema *schema, struct AdbcError *error) {
  struct igd_error failed = {0};
  struct igd_connection *connection = find(handle, &failed);
  if (connection)
    (void)get_table_schema(connection, catalog, db_schema, table_name, schema, &failed);
  return igd_error_give(&failed, error);
}

static AdbcStatusCode connection_read_partition(struct AdbcConnection *handle,
                                                const uint8_t *partition, size_t length,
                                                struct ArrowArrayStream *out,
                                                struct AdbcError *error) {
  (void)partition, (void)length, (void)out;
  struct igd_error failed = {0};
  if (find(handle, &failed))
    (void)ig_fail(&failed.base, IGLOO_UNSUPPORTED, "this driver makes no partitions");
  return igd_error_give(&failed, error);
}

void igd_fill_connection(struct AdbcDriver *driver, bool with_1_1) {
  driver->ConnectionNew = connection_new;
  driver->ConnectionInit = connection_init;
  driver->ConnectionSetOption = set_option;
  driver->ConnectionRelease = connection_release;
  driver->ConnectionCommit = connection_commit;
  driver->ConnectionRollback = connection_rollback;
  driver->ConnectionGetInfo = connection_get_info;
  driver->ConnectionGetObjects = connection_get_objects;
  driver->ConnectionGetTableSchema = connection_get_table_schema;
  driver->ConnectionGetTableTypes = connection_get_table_types;
  driver->ConnectionReadPartition = connection_read_partition;
  if (!with_1_1) return;
  driver->ConnectionCancel = connection_cancel;
  driver->ConnectionGetStatistics = connection_get_statistics;
  driver->ConnectionGetStatisticNames = connection_get_statistic_names;
  driver->ConnectionSetOptionBytes = set_option_bytes;
  driver->ConnectionSetOptionDouble = set_option_double;
  driver->ConnectionSetOptionInt = set_option_int;
  driver->ConnectionGetOption = get_option;
  driver->ConnectionGetOptionBytes = get_option_bytes;
  driver->ConnectionGetOptionDouble = get_option_double;
  driver->ConnectionGetOptionInt = get_option_int;
}
