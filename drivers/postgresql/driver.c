/* driver.c -- the driver's objects, options and transactions. */
#include "postgresql/driver.h"

#include <string.h>

#include "base/parse.h"
#include "postgresql/sqltext.h"

/* ---- work without a statement --------------------------------------------------------
 */

static igloo_status run(struct igp_connection *connection, const char *text,
                        PGresult **ret_result, struct igd_error *reterr) {
  IG_TRY(igp_link_begin(connection->link, NULL, reterr));
  igloo_status status = igp_link_run(connection->link, text, ret_result, reterr);
  igp_link_end(connection->link);
  return status;
}

/* ---- the database --------------------------------------------------------------------
 */

static igloo_status database_init(struct igd_database *base, struct igd_error *reterr) {
  struct igp_database *database = (struct igp_database *)base;
  if (!database->types) database->types = igp_types_new();
  return database->types ? IGLOO_OK : ig_fail_oom(&reterr->base);
}

static void database_done(struct igd_database *base) {
  struct igp_database *database = (struct igp_database *)base;
  if (database->types) database->types = igp_types_free(database->types);
}

static const struct igd_option database_options[] = {
    {.key = ADBC_OPTION_URI,
     .kind = IGD_OPTION_TEXT,
     .flags = IGD_OPTION_EARLY | IGD_OPTION_SECRET,
     .offset = offsetof(struct igp_database, uri)},
    {.key = ADBC_OPTION_USERNAME,
     .kind = IGD_OPTION_TEXT,
     .flags = IGD_OPTION_EARLY,
     .offset = offsetof(struct igp_database, username)},
    {.key = ADBC_OPTION_PASSWORD,
     .kind = IGD_OPTION_TEXT,
     .flags = IGD_OPTION_EARLY | IGD_OPTION_SECRET,
     .offset = offsetof(struct igp_database, password)},
    {.key = "igloo.postgresql.application_name",
     .kind = IGD_OPTION_TEXT,
     .flags = IGD_OPTION_EARLY,
     .offset = offsetof(struct igp_database, application_name)},
    {.key = "igloo.postgresql.connect_timeout_ms",
     .kind = IGD_OPTION_INT,
     .flags = IGD_OPTION_EARLY,
     .offset = offsetof(struct igp_database, connect_timeout_ms),
     .initial = "3000",
     .min = 1,
     .max = 3600000},
    {.key = "igloo.postgresql.patience_ms",
     .kind = IGD_OPTION_INT,
     .flags = IGD_OPTION_EARLY,
     .offset = offsetof(struct igp_database, patience_ms),
     .initial = "5000",
     .min = 0,
     .max = 3600000},
    {.key = NULL},
};

/* ---- the connection ------------------------------------------------------------------
 */

static const char *const isolation_options[] = {
    ADBC_OPTION_ISOLATION_LEVEL_DEFAULT,
    ADBC_OPTION_ISOLATION_LEVEL_READ_UNCOMMITTED,
    ADBC_OPTION_ISOLATION_LEVEL_READ_COMMITTED,
    ADBC_OPTION_ISOLATION_LEVEL_REPEATABLE_READ,
    ADBC_OPTION_ISOLATION_LEVEL_SNAPSHOT,
    ADBC_OPTION_ISOLATION_LEVEL_SERIALIZABLE,
    NULL};
static const char *const isolation_names[] = {NULL,
                                              "READ UNCOMMITTED",
                                              "READ COMMITTED",
                                              "REPEATABLE READ",
                                              "REPEATABLE READ",
                                              "SERIALIZABLE"};

static igloo_status set_isolation(struct igp_connection *connection, int level,
                                  struct igd_error *reterr) {
  IG_AUTO_CHAR *text =
      isolation_names[level]
          ? ig_asprintf("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL %s",
                        isolation_names[level])
          : ig_strdup("RESET default_transaction_isolation");
  if (!text) return ig_fail_oom(&reterr->base);
  return run(connection, text, NULL, reterr);
}

static igloo_status set_read_only(struct igp_connection *connection, bool read_only,
                                  struct igd_error *reterr) {
  return run(connection,
             read_only ? "SET default_transaction_read_only TO on"
                       : "SET default_transaction_read_only TO off",
             NULL, reterr);
}

static igloo_status set_schema(struct igp_connection *connection, const char *schema,
                               struct igd_error *reterr) {
  IG_AUTO_DONE(ig_buf) text;
  ig_buf_init(&text, IG_SETTING_BYTES_MAX);
  ig_buf_append_cstr(&text, "SET search_path TO ");
  igp_quote_name(&text, schema);
  IG_TRY(ig_buf_check(&text, &reterr->base));
  return run(connection, text.data, NULL, reterr);
}

static igloo_status apply_isolation(void *object, const char *value,
                                    struct igd_error *reterr) {
  for (int i = 0; isolation_options[i]; i++)
    if (value && strcmp(value, isolation_options[i]) == 0)
      return set_isolation(object, i, reterr);
  return set_isolation(object, 0, reterr);
}

static igloo_status apply_read_only(void *object, const char *value,
                                    struct igd_error *reterr) {
  bool wanted = false;
  IG_TRY(ig_parse_bool(ig_str_from_cstr(value), &wanted, &reterr->base));
  return set_read_only(object, wanted, reterr);
}

static igloo_status apply_schema(void *object, const char *value,
                                 struct igd_error *reterr) {
  if (!value) return run(object, "RESET search_path", NULL, reterr);
  return set_schema(object, value, reterr);
}

static igloo_status get_schema(void *object, struct ig_buf *ret_value,
                               struct igd_error *reterr) {
  struct igp_connection *connection = object;
  IGP_AUTO_RESULT *result = NULL;
  if (!connection->link) {
    ig_buf_append_cstr(ret_value, connection->schema ? connection->schema : "");
    return ig_buf_check(ret_value, &reterr->base);
  }
  IG_TRY(run(connection, "SELECT pg_catalog.current_schema()", &result, reterr));
  if (PQntuples(result) != 1 || PQgetisnull(result, 0, 0))
    return ig_fail(&reterr->base, IGLOO_NOT_FOUND, "there is no current schema");
  ig_buf_append_cstr(ret_value, PQgetvalue(result, 0, 0));
  return ig_buf_check(ret_value, &reterr->base);
}

static igloo_status get_catalog(void *object, struct ig_buf *ret_value,
                                struct igd_error *reterr) {
  const struct igp_connection *connection = object;
  if (!connection->link)
    return ig_fail(&reterr->base, IGLOO_FAILED_PRECONDITION,
                   "the connection is not initialized");
  ig_buf_append_cstr(ret_value, PQdb(igp_link_pg(connection->link)));
  return ig_buf_check(ret_value, &reterr->base);
}

static const struct igd_option connection_options[] = {
    {.key = ADBC_CONNECTION_OPTION_ISOLATION_LEVEL,
     .kind = IGD_OPTION_CHOICE,
     .offset = offsetof(struct igp_connection, isolation),
     .choices = isolation_options,
     .apply = apply_isolation},
    {.key = ADBC_CONNECTION_OPTION_READ_ONLY,
     .kind = IGD_OPTION_BOOL,
     .offset = offsetof(struct igp_connection, read_only),
     .apply = apply_read_only},
    {.key = ADBC_CONNECTION_OPTION_CURRENT_DB_SCHEMA,
     .kind = IGD_OPTION_TEXT,
     .offset = offsetof(struct igp_connection, schema),
     .apply = apply_schema,
     .get = get_schema},
    {.key = ADBC_CONNECTION_OPTION_CURRENT_CATALOG,
     .kind = IGD_OPTION_TEXT,
     .flags = IGD_OPTION_READ_ONLY,
     .offset = IGD_NOT_STORED,
     .get = get_catalog},
    {.key = NULL},
};

static igloo_status connection_open(struct igd_connection *base,
                                    struct igd_error *reterr) {
  struct igp_connection *connection = (struct igp_connection *)base;
  const struct igp_database *database = (const struct igp_database *)base->database;
  const struct igp_link_target target = {.uri = database->uri,
                                         .username = database->username,
                                         .password = database->password,
                                         .application_name = database->application_name,
                                         .timeout_ms = database->connect_timeout_ms,
                                         .patience_ms = database->patience_ms};
  IG_TRY(igp_link_open(&target, &connection->link, reterr));
  igp_link_own(connection->link, base);
  if (connection->isolation)
    IG_TRY(set_isolation(connection, connection->isolation, reterr));
  if (connection->read_only) IG_TRY(set_read_only(connection, true, reterr));
  if (connection->schema) IG_TRY(set_schema(connection, connection->schema, reterr));
  return IGLOO_OK;
}

static void connection_close(struct igd_connection *base) {
  struct igp_connection *connection = (struct igp_connection *)base;
  connection->link = igp_link_close(connection->link);
}

static igloo_status begin(struct igd_connection *base, struct igd_error *reterr) {
  return run((struct igp_connection *)base, "BEGIN", NULL, reterr);
}

static igloo_status commit(struct igd_connection *base, struct igd_error *reterr) {
  struct igp_connection *connection = (struct igp_connection *)base;
  IG_TRY(igp_link_begin(connection->link, NULL, reterr));
  igloo_status status = igp_transaction_commit(connection, reterr);
  igp_link_end(connection->link);
  return status;
}

static igloo_status rollback(struct igd_connection *base, struct igd_error *reterr) {
  return run((struct igp_connection *)base, "ROLLBACK", NULL, reterr);
}

static igloo_status info(struct igd_connection *base, igd_info *info,
                         struct igd_error *reterr) {
  const struct igp_connection *connection = (const struct igp_connection *)base;
  (void)reterr;
  igd_info_text(info, ADBC_INFO_VENDOR_VERSION,
                PQparameterStatus(igp_link_pg(connection->link), "server_version"));
  igd_info_bool(info, ADBC_INFO_VENDOR_SQL, true);
  igd_info_bool(info, ADBC_INFO_VENDOR_SUBSTRAIT, false);
  return IGLOO_OK;
}

static igloo_status cancel(struct igd_connection *base, struct igd_statement *statement,
                           struct igd_error *reterr) {
  const struct igp_connection *connection = (const struct igp_connection *)base;
  (void)statement, (void)reterr;
  /* Who waits asks the server to stop; where nobody waits, the next to come does. */
  if (connection->link) igp_link_wake(connection->link);
  return IGLOO_OK;
}

/* ---- the statement -------------------------------------------------------------------
 */

static const char *const infinity_choices[] = {[IGP_INFINITY_EXTREME] = "extreme",
                                               [IGP_INFINITY_ERROR] = "error",
                                               [IGP_INFINITY_NULL] = "null",
                                               NULL};
static const char *const special_choices[] = {
    [IGP_SPECIAL_ERROR] = "error", [IGP_SPECIAL_NULL] = "null", NULL};

static const struct igd_option statement_options[] = {
    {.key = "igloo.batch_bytes",
     .kind = IGD_OPTION_INT,
     .offset = offsetof(struct igp_statement, batch_bytes),
     .initial = "1048576",
     .min = 1,
     .max = 256 * 1024 * 1024},
    {.key = "igloo.batch_rows",
     .kind = IGD_OPTION_INT,
     .offset = offsetof(struct igp_statement, batch_rows),
     .initial = "65536",
     .min = 1,
     .max = 16 * 1024 * 1024},
    /* The name that PyPI's driver has for the same. */
    {.key = "adbc.postgresql.batch_size_hint_bytes",
     .kind = IGD_OPTION_INT,
     .offset = offsetof(struct igp_statement, batch_bytes),
     .initial = "1048576",
     .min = 1,
     .max = 256 * 1024 * 1024},
    {.key = "adbc.postgresql.use_copy",
     .kind = IGD_OPTION_BOOL,
     .offset = offsetof(struct igp_statement, use_copy),
     .initial = ADBC_OPTION_VALUE_ENABLED},
    {.key = "igloo.postgresql.infinity",
     .kind = IGD_OPTION_CHOICE,
     .offset = offsetof(struct igp_statement, policy.infinity),
     .choices = infinity_choices},
    {.key = "igloo.postgresql.numeric_special",
     .kind = IGD_OPTION_CHOICE,
     .offset = offsetof(struct igp_statement, policy.numeric_special),
     .choices = special_choices},
    {.key = NULL},
};

static void statement_done(struct igd_statement *statement) {
  (void)statement; /* the options go with their table */
}

/* ---- the driver ----------------------------------------------------------------------
 */

static const char *const table_types[] = {
    "table", "view", "materialized_view", "partitioned_table", "foreign_table", NULL};

static const struct igd_backend backend = {
    .driver_name = "Igloo ADBC driver for PostgreSQL",
    .driver_version = IGD_VERSION,
    .vendor_name = "PostgreSQL",
    .database_bytes = sizeof(struct igp_database),
    .connection_bytes = sizeof(struct igp_connection),
    .statement_bytes = sizeof(struct igp_statement),
    .database_options = database_options,
    .connection_options = connection_options,
    .statement_options = statement_options,
    .table_types = table_types,
    .database_init = database_init,
    .database_done = database_done,
    .connection_open = connection_open,
    .connection_close = connection_close,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .info = info,
    .objects = igp_objects,
    .table_schema = igp_table_schema,
    .statistics = igp_statistics,
    .statement_done = statement_done,
    .prepare = igp_prepare,
    .parameters = igp_parameters,
    .schema = igp_schema,
    .execute = igp_execute,
    .ingest = igp_ingest,
    .cancel = cancel,
};

IGD_DEFINE_INIT(AdbcDriverIglooPostgresqlInit, backend)
