/*
 * driver.h -- a whole ADBC 1.1 driver around what one database needs.
 *
 * A driver is a struct igd_backend: sizes of its objects, tables of options, and the
 * functions that speak to the database. Everything else of ADBC is here: every entry
 * point, the life cycle in any order (objects are counted: what is released while others
 * use it goes with the last of them), options, errors, transactions as a flag, bound rows
 * and ingest options, GetObjects and GetInfo as Arrow, streams, cancelling.
 *
 * Owns:    database, connection and statement: memory of the backend's sizes, zeroed.
 * Threads: the functions of a backend are called under the connection's mutex, but for
 *          `cancel`, which comes from any thread at any time.
 * Blocks:  as the backend.
 */
#ifndef IGD_COMMON_DRIVER_H
#define IGD_COMMON_DRIVER_H

#include <stdatomic.h>

#include "base/mem.h"
#include "base/thread.h"
#include "common/info.h"
#include "common/objects.h"
#include "common/options.h"
#include "common/rows.h"
#include "common/stream.h"

struct igd_backend;

/* Each is the first member of the backend's own struct. */
struct igd_database {
  const struct igd_backend *backend;
  atomic_uint refs;
  pthread_mutex_t mu; /* of the options; taken before no other */
  bool live;          /* guarded by mu: initialised */
};

struct igd_connection {
  const struct igd_backend *backend;
  struct igd_database *database; /* counted; NULL before Init */
  atomic_uint refs;
  pthread_mutex_t mu;           /* held in every function of the backend but `cancel` */
  bool live;                    /* guarded by mu: initialised */
  bool autocommit;              /* guarded by mu */
  atomic_uint_fast64_t cancels; /* calls of ConnectionCancel so far */
};

enum igd_ingest_mode {
  IGD_INGEST_CREATE,        /* 42P07 where the table is there */
  IGD_INGEST_APPEND,        /* 42P01 where it is not */
  IGD_INGEST_REPLACE,       /* drop it first */
  IGD_INGEST_CREATE_APPEND, /* create it where it is not there */
};

struct igd_statement {
  const struct igd_backend *backend;
  struct igd_connection *connection; /* counted */
  atomic_uint refs;
  char *query;                   /* NULL until it is set */
  bool prepared;                 /* `prepare` was called for this query */
  struct ArrowArrayStream bound; /* rows to bind or ingest; released: none */
  char *ingest_table;            /* set: executing ingests */
  char *ingest_catalog, *ingest_schema;
  int ingest_mode; /* enum igd_ingest_mode */
  bool ingest_temporary;
  struct igd_stream *stream;  /* guarded by the connection's mu: the last result */
  atomic_bool cancelled;      /* since the last execution began */
  uint_fast64_t cancels_seen; /* of the connection, when the execution began */
};

/* Counted; what a backend keeps of them must be given back. */
struct igd_statement *igd_statement_ref(struct igd_statement *statement);
void igd_statement_unref(struct igd_statement *statement);

/* True where the execution at hand, or a reader of it, should stop: ask it between rows,
 * from any thread. */
bool igd_statement_is_cancelled(const struct igd_statement *statement);
/* The same for what has no statement (GetObjects): `seen` is what `cancels` was. */
static inline bool igd_connection_is_cancelled(struct igd_connection *connection,
                                               uint_fast64_t seen) {
  return atomic_load(&connection->cancels) != seen;
}
/* "canceling statement due to user request" 57014. */
igloo_status igd_fail_cancelled(struct igd_error *reterr);

struct igd_backend {
  const char *driver_name, *driver_version, *vendor_name;
  size_t database_bytes, connection_bytes, statement_bytes;
  /* Ended by a NULL key. The standard options of ADBC for ingest, autocommit and URI...
   * are here already, but for "uri", "username", "password", which are the backend's. */
  const struct igd_option *database_options, *connection_options, *statement_options;
  const char *const *table_types; /* what GetTableTypes answers; NULL ends */

  /* Check the options together; no I/O is expected. NULL: nothing to do. */
  igloo_status (*database_init)(struct igd_database *database, struct igd_error *reterr);
  void (*database_done)(struct igd_database *database); /* also where init failed */

  igloo_status (*connection_open)(struct igd_connection *connection,
                                  struct igd_error *reterr);
  void (*connection_close)(
      struct igd_connection *connection); /* also where open failed */
  /* Autocommit off begins at once and after each commit and rollback. */
  igloo_status (*begin)(struct igd_connection *connection, struct igd_error *reterr);
  igloo_status (*commit)(struct igd_connection *connection, struct igd_error *reterr);
  igloo_status (*rollback)(struct igd_connection *connection, struct igd_error *reterr);

  /* Vendor version and what else it has to tell; the driver's own codes are told. */
  igloo_status (*info)(struct igd_connection *connection, igd_info *info,
                       struct igd_error *reterr);
  igloo_status (*objects)(struct igd_connection *connection, igd_objects *objects,
                          struct igd_error *reterr);
  /* The columns, with metadata as README.md says. NOT_FOUND 42P01. */
  igloo_status (*table_schema)(struct igd_connection *connection, const char *catalog,
                               const char *schema, const char *table,
                               struct ArrowSchema *ret_schema, struct igd_error *reterr);
  /* NULL: UNSUPPORTED. The filter's depth is ADBC_OBJECT_DEPTH_TABLES. */
  igloo_status (*statistics)(struct igd_connection *connection,
                             const struct igd_objects_filter *filter, bool approximate,
                             igd_statistics *statistics, struct igd_error *reterr);

  /* Free what the statement keeps; called for each, also where nothing was done. */
  void (*statement_done)(struct igd_statement *statement);
  /* The query or what was prepared of it is no longer the one. NULL: nothing to do. */
  void (*statement_reset)(struct igd_statement *statement);
  /* These have a query. */
  igloo_status (*prepare)(struct igd_statement *statement, struct igd_error *reterr);
  igloo_status (*parameters)(struct igd_statement *statement,
                             struct ArrowSchema *ret_schema, struct igd_error *reterr);
  /* The schema that `execute` will give, without running it. A struct without children
   * for what gives no rows. */
  igloo_status (*schema)(struct igd_statement *statement, struct ArrowSchema *ret_schema,
                         struct igd_error *reterr);
  /* Run it. `rows` is what was bound, or NULL; it is the backend's to open (igd_rows_open
   * takes it) and else released after the call. `want_rows` is false where the caller
   * gave no stream: rows are then counted at most. On failure nothing is given. */
  igloo_status (*execute)(struct igd_statement *statement, struct ArrowArrayStream *rows,
                          bool want_rows, struct igd_result *ret_result,
                          struct igd_error *reterr);
  /* Write all of `rows` (as above, never NULL) as ingest_* say, whole or not at all. */
  igloo_status (*ingest)(struct igd_statement *statement, struct ArrowArrayStream *rows,
                         int64_t *ret_affected, struct igd_error *reterr);

  /* Interrupt what runs, from another thread; the flags are set already. `statement` is
   * NULL for ConnectionCancel. May race with the end of what it means. NULL: the flags
   * are enough. */
  igloo_status (*cancel)(struct igd_connection *connection,
                         struct igd_statement *statement, struct igd_error *reterr);
};

/* Fill struct AdbcDriver for `version`. */
AdbcStatusCode igd_driver_init(const struct igd_backend *backend, int version,
                               void *ret_driver, struct AdbcError *ret_error);

/* What a driver exports: IGD_DEFINE_INIT(AdbcDriverIglooSqliteInit, backend). ADBC's
 * entry points carry no place for the backend, so a library has one. */
#define IGD_DEFINE_INIT(function, backend)                                            \
  ADBC_EXPORT AdbcStatusCode function(int version, void *driver,                      \
                                      struct AdbcError *error);                       \
  ADBC_EXPORT AdbcStatusCode AdbcDriverInit(int version, void *driver,                \
                                            struct AdbcError *error);                 \
  AdbcStatusCode function(int version, void *driver, struct AdbcError *error) {       \
    return igd_driver_init(&(backend), version, driver, error);                       \
  }                                                                                   \
  AdbcStatusCode AdbcDriverInit(int version, void *driver, struct AdbcError *error) { \
    return igd_driver_init(&(backend), version, driver, error);                       \
  }

#endif
