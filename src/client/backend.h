/*
 * backend.h -- what stands behind the handles of igloo.h: an engine in this process, or a
 * server.
 *
 * client.c keeps what is the same for both; each function here does what igloo.h says of
 * the one of its name. Objects are the backend's own, owned by the handle.
 *
 * Owns:    see igloo.h.
 * Threads: see igloo.h.
 * Blocks:  see igloo.h.
 */
#ifndef IG_CLIENT_BACKEND_H
#define IG_CLIENT_BACKEND_H

#include <igloo/igloo.h>

#include "instance/instance.h"

struct ig_backend {
  void (*database_close)(void *database);
  igloo_status (*connect)(void *database, void **ret_connection,
                          struct igloo_error *reterr);
  void (*disconnect)(void *connection);
  void (*cancel)(void *connection);
  void (*progress)(void *connection, struct igloo_progress *ret_progress);
  igloo_status (*query)(void *connection, struct ig_str sql, struct ig_result *ret_result,
                        struct igloo_error *reterr);
  igloo_status (*register_stream)(void *connection, struct ig_str name,
                                  struct ArrowArrayStream *rows,
                                  struct igloo_error *reterr);
  igloo_status (*write_stream)(void *connection, struct ArrowArrayStream *rows,
                               struct ig_str path, struct ig_str format, bool overwrite,
                               int64_t *ret_written, struct igloo_error *reterr);

  igloo_status (*prepare)(void *connection, struct ig_str sql, void **ret_statement,
                          struct igloo_error *reterr);
  void (*statement_free)(void *statement);
  igloo_status (*schema)(void *statement, struct ArrowSchema *ret_schema,
                         struct igloo_error *reterr);
  igloo_status (*parameters)(void *statement, struct ArrowSchema *ret_schema,
                             struct igloo_error *reterr);
  int32_t (*parameter_number)(void *statement, struct ig_str name);
  igloo_status (*bind)(void *statement, int32_t number, struct ig_value value,
                       struct igloo_error *reterr);
  igloo_status (*bind_stream)(void *statement, struct ArrowArrayStream *rows,
                              struct igloo_error *reterr);
  igloo_status (*execute)(void *statement, struct ig_result *ret_result,
                          struct igloo_error *reterr);
};

extern const struct ig_backend ig_backend_embedded, ig_backend_remote;

/* Make the database object of each. */
IG_NODISCARD igloo_status ig_embedded_open(const struct igloo_option *options,
                                           size_t options_count, void **ret_database,
                                           struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_served_open(const char *uri,
                                         const struct igloo_option *options,
                                         size_t options_count, void **ret_database,
                                         struct igloo_error *reterr);

/* The error that ended a remote result; *ret_is_ours is false for other streams. */
igloo_status ig_served_stream_error(const struct ArrowArrayStream *rows,
                                    bool *ret_is_ours, struct igloo_error *reterr);

/* The session of a new, empty engine in this process, as connect() of an embedded
 * database gives it. */
IG_NODISCARD igloo_status ig_embedded_connect(ig_instance *instance,
                                              ig_session **ret_session,
                                              struct igloo_error *reterr);

#endif
