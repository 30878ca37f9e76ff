/*
 * private.h -- what the files of the frame share.
 *
 * Owns: nothing. Threads: as driver.h. Blocks: never.
 */
#ifndef IGD_COMMON_PRIVATE_H
#define IGD_COMMON_PRIVATE_H

#include "common/driver.h"

/* The backend of this library, once it was initialised. */
const struct igd_backend *igd_backend_get(void);

struct igd_database *igd_database_ref(struct igd_database *database);
void igd_database_unref(struct igd_database *database);
struct igd_connection *igd_connection_ref(struct igd_connection *connection);
void igd_connection_unref(struct igd_connection *connection);

/* Put a result into a stream that keeps `statement`; takes `result`, also on failure.
 * Called under the connection's mutex. */
IG_NODISCARD igloo_status igd_stream_new(struct igd_statement *statement,
                                         struct igd_result *result,
                                         struct ArrowArrayStream *ret_stream,
                                         struct igd_error *reterr);
/* End the statement's last result, if a caller still has it. Under the mutex. */
void igd_stream_end(struct igd_statement *statement);
void igd_result_done(struct igd_result *result);

/* Options of an object: its own table, then the frame's. `live` as for igd_option_set.
 * The getters write to a caller's memory as ADBC says. */
struct igd_options_of {
  void *object;
  const struct igd_option *own, *common;
  bool live;
};
igloo_status igd_set_option(const struct igd_options_of *of, const char *key,
                            const char *value, struct igd_error *reterr);
igloo_status igd_set_option_int(const struct igd_options_of *of, const char *key,
                                int64_t value, struct igd_error *reterr);
igloo_status igd_set_option_double(const struct igd_options_of *of, const char *key,
                                   double value, struct igd_error *reterr);
igloo_status igd_set_option_bytes(const struct igd_options_of *of, const char *key,
                                  const uint8_t *value, size_t count,
                                  struct igd_error *reterr);
igloo_status igd_get_option(const struct igd_options_of *of, const char *key, char *value,
                            size_t *length, struct igd_error *reterr);
igloo_status igd_get_option_bytes(const struct igd_options_of *of, const char *key,
                                  uint8_t *value, size_t *length,
                                  struct igd_error *reterr);
igloo_status igd_get_option_int(const struct igd_options_of *of, const char *key,
                                int64_t *ret_value, struct igd_error *reterr);
igloo_status igd_get_option_double(const struct igd_options_of *of, const char *key,
                                   double *ret_value, struct igd_error *reterr);

/* The entry points, by file. */
void igd_fill_database(struct AdbcDriver *driver, bool with_1_1);
void igd_fill_connection(struct AdbcDriver *driver, bool with_1_1);
void igd_fill_statement(struct AdbcDriver *driver, bool with_1_1);

#endif
