/*
 * driver.h -- the objects of the PostgreSQL driver.
 *
 * A database is what to connect to, a connection is one session of libpq, a statement is
 * a text. See README.md for how a query runs.
 *
 * Owns:    what the structs say.
 * Threads: as common/driver.h: all but cancelling under the connection's mutex.
 * Blocks:  whatever asks the server, until it answers, the statement is cancelled, or
 *          the connection is lost.
 */
#ifndef IGP_DRIVER_H
#define IGP_DRIVER_H

#include "base/limits.h"
#include "common/driver.h"
#include "postgresql/decode.h"
#include "postgresql/link.h"
#include "postgresql/types.h"

/* PostgreSQL's own limit is 1 GB for a text; ours are written by people and programs. */
#define IGP_QUERY_BYTES_MAX (64 * IG_MIB)

struct igp_database {
  struct igd_database base;
  char *uri, *username, *password; /* NULL: not set */
  char *application_name;
  int64_t connect_timeout_ms, patience_ms;
  igp_types *types; /* shared by the connections; made by database_init */
};

struct igp_connection {
  struct igd_connection base;
  igp_link *link;
  char *schema;  /* set before Init: the search path */
  int isolation; /* index of the option's choices */
  bool read_only;
};

struct igp_statement {
  struct igd_statement base;
  int64_t batch_bytes, batch_rows;
  bool use_copy;
  struct igp_policy policy;
};

static inline struct igp_connection *igp_connection_of(const struct igd_statement *s) {
  return (struct igp_connection *)s->connection;
}
static inline igp_types *igp_types_of(const struct igp_connection *connection) {
  return ((struct igp_database *)connection->base.database)->types;
}

/* The functions of struct igd_backend; as common/driver.h says. */
igloo_status igp_prepare(struct igd_statement *base, struct igd_error *reterr);
igloo_status igp_parameters(struct igd_statement *base, struct ArrowSchema *ret_schema,
                            struct igd_error *reterr);
igloo_status igp_schema(struct igd_statement *base, struct ArrowSchema *ret_schema,
                        struct igd_error *reterr);
igloo_status igp_execute(struct igd_statement *base, struct ArrowArrayStream *rows,
                         bool want_rows, struct igd_result *ret_result,
                         struct igd_error *reterr);
igloo_status igp_ingest(struct igd_statement *base, struct ArrowArrayStream *rows,
                        int64_t *ret_affected, struct igd_error *reterr);
igloo_status igp_objects(struct igd_connection *base, igd_objects *objects,
                         struct igd_error *reterr);
igloo_status igp_table_schema(struct igd_connection *base, const char *catalog,
                              const char *schema, const char *table,
                              struct ArrowSchema *ret_schema, struct igd_error *reterr);
igloo_status igp_statistics(struct igd_connection *base,
                            const struct igd_objects_filter *filter, bool approximate,
                            igd_statistics *statistics, struct igd_error *reterr);

/* The columns of a table, as igp_shapes_resolve() with casts. NOT_FOUND 42P01. In the
 * link's work. */
IG_NODISCARD igloo_status igp_table_shape(struct igp_connection *connection,
                                          const char *schema, const char *table,
                                          struct igp_shape *ret_root,
                                          struct igd_error *reterr);
/* NOT_FOUND 3D000 unless `catalog` is the connection's database, NULL or "". */
IG_NODISCARD igloo_status igp_check_catalog(const struct igp_connection *connection,
                                            const char *catalog,
                                            struct igd_error *reterr);

/* Begin a transaction of the driver's own where none is open; *ret_ours says whether. */
IG_NODISCARD igloo_status igp_transaction_begin(struct igp_connection *connection,
                                                bool *ret_ours, struct igd_error *reterr);
/* Returns FAILED_PRECONDITION 25P02 where the server rolled it back instead. */
IG_NODISCARD igloo_status igp_transaction_commit(struct igp_connection *connection,
                                                 struct igd_error *reterr);
/* After the link's work has ended: roll back what is open, if anything. */
void igp_transaction_rollback(struct igp_connection *connection);

#endif
