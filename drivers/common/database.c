/* database.c -- entry points of databases: options, and a count. */
#include "common/private.h"

struct igd_database *igd_database_ref(struct igd_database *database) {
  atomic_fetch_add(&database->refs, 1);
  return database;
}

void igd_database_unref(struct igd_database *database) {
  if (!database || atomic_fetch_sub(&database->refs, 1) > 1) return;
  if (database->backend->database_done) database->backend->database_done(database);
  igd_options_done(database, database->backend->database_options);
  ig_mutex_done(&database->mu);
  ig_free(database);
}

static igloo_status make(struct igd_database **ret_database, struct igd_error *reterr) {
  const struct igd_backend *backend = igd_backend_get();
  struct igd_database *database = ig_calloc(1, backend->database_bytes);
  if (!database) return ig_fail_oom(&reterr->base);
  database->backend = backend;
  atomic_init(&database->refs, 1);
  ig_mutex_init(&database->mu);
  igloo_status status = igd_options_init(database, backend->database_options, reterr);
  if (status != IGLOO_OK) {
    igd_database_unref(database);
    return status;
  }
  *ret_database = database;
  return IGLOO_OK;
}

static AdbcStatusCode database_new(struct AdbcDatabase *handle, struct AdbcError *error) {
  struct igd_error failed = {0};
  struct igd_database *database = NULL;
  if (!handle)
    (void)ig_fail(&failed.base, IGLOO_INVALID_ARGUMENT,
                  "there is no place for a database");
  else if (make(&database, &failed) == IGLOO_OK)
    handle->private_data = database;
  return igd_error_give(&failed, error);
}

/* The object behind a handle; NULL, with an error, where there is none. */
static struct igd_database *find(struct AdbcDatabase *handle, struct igd_error *reterr) {
  if (handle && handle->private_data) return handle->private_data;
  (void)ig_fail(&reterr->base, IGLOO_FAILED_PRECONDITION, "there is no such database");
  return NULL;
}

static AdbcStatusCode database_init(struct AdbcDatabase *handle,
                                    struct AdbcError *error) {
  struct igd_error failed = {0};
  struct igd_database *database = find(handle, &failed);
  if (!database) return igd_error_give(&failed, error);
  IG_LOCK_SCOPE(&database->mu);
  if (database->live)
    (void)ig_fail(&failed.base, IGLOO_FAILED_PRECONDITION,
                  "the database is initialized already");
  else if (!database->backend->database_init ||
           database->backend->database_init(database, &failed) == IGLOO_OK)
    database->live = true;
  return igd_error_give(&failed, error);
}

static AdbcStatusCode database_release(struct AdbcDatabase *handle,
                                       struct AdbcError *error) {
  struct igd_error failed = {0};
  struct igd_database *database = find(handle, &failed);
  if (!database) return igd_error_give(&failed, error);
  igd_database_unref(database);
  handle->private_data = NULL;
  return ADBC_STATUS_OK;
}

/* ---- options -------------------------------------------------------------------------
 */

/* Called under the mutex. */
static struct igd_options_of options_of(struct igd_database *database) {
  return (struct igd_options_of){.object = database,
                                 .own = database->backend->database_options,
                                 .live = database->live};
}

#define WITH_OPTIONS(call)                               \
  struct igd_error failed = {0};                         \
  struct igd_database *database = find(handle, &failed); \
  if (!database) return igd_error_give(&failed, error);  \
  IG_LOCK_SCOPE(&database->mu);                          \
  struct igd_options_of of = options_of(database);       \
  (void)(call);                                          \
  return igd_error_give(&failed, error)

static AdbcStatusCode set_option(struct AdbcDatabase *handle, const char *key,
                                 const char *value, struct AdbcError *error) {
  WITH_OPTIONS(igd_set_option(&of, key, value, &failed));
}

static AdbcStatusCode set_option_int(struct AdbcDatabase *handle, const char *key,
                                     int64_t value, struct AdbcError *error) {
  WITH_OPTIONS(igd_set_option_int(&of, key, value, &failed));
}

static AdbcStatusCode set_option_double(struct AdbcDatabase *handle, const char *key,
                                        double value, struct AdbcError *error) {
  WITH_OPTIONS(igd_set_option_double(&of, key, value, &failed));
}

static AdbcStatusCode set_option_bytes(struct AdbcDatabase *handle, const char *key,
                                       const uint8_t *value, size_t length,
                                       struct AdbcError *error) {
  WITH_OPTIONS(igd_set_option_bytes(&of, key, value, length, &failed));
}

static AdbcStatusCode get_option(struct AdbcDatabase *handle, const char *key,
                                 char *value, size_t *length, struct AdbcError *error) {
  WITH_OPTIONS(igd_get_option(&of, key, value, length, &failed));
}

static AdbcStatusCode get_option_bytes(struct AdbcDatabase *handle, const char *key,
                                       uint8_t *value, size_t *length,
                                       struct AdbcError *error) {
  WITH_OPTIONS(igd_get_option_bytes(&of, key, value, length, &failed));
}

static AdbcStatusCode get_option_int(struct AdbcDatabase *handle, const char *key,
                                     int64_t *value, struct AdbcError *error) {
  WITH_OPTIONS(igd_get_option_int(&of, key, value, &failed));
}

static AdbcStatusCode get_option_double(struct AdbcDatabase *handle, const char *key,
                                        double *value, struct AdbcError *error) {
  WITH_OPTIONS(igd_get_option_double(&of, key, value, &failed));
}

void igd_fill_database(struct AdbcDriver *driver, bool with_1_1) {
  driver->DatabaseNew = database_new;
  driver->DatabaseInit = database_init;
  driver->DatabaseSetOption = set_option;
  driver->DatabaseRelease = database_release;
  if (!with_1_1) return;
  driver->DatabaseSetOptionBytes = set_option_bytes;
  driver->DatabaseSetOptionDouble = set_option_double;
  driver->DatabaseSetOptionInt = set_option_int;
  driver->DatabaseGetOption = get_option;
  driver->DatabaseGetOptionBytes = get_option_bytes;
  driver->DatabaseGetOptionDouble = get_option_double;
  driver->DatabaseGetOptionInt = get_option_int;
}
