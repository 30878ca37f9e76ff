/*
 * query.h -- asking the server what a query gives, before it runs.
 *
 * Owns:    what each struct says.
 * Threads: under the connection's mutex, in the work of the link.
 * Blocks:  on the server.
 */
#ifndef IGP_QUERY_H
#define IGP_QUERY_H

#include "postgresql/driver.h"

/* PostgreSQL's own limit of parameters. */
#define IGP_PARAMETERS_MAX 65535

IG_DEFINE_AUTO_STRUCT(igp_column, ig_free)

/* The columns and parameters of a query. */
struct igp_description {
  PGresult *result;
  struct igp_column *columns; /* names are borrowed of the result */
  size_t columns_count, parameters_count;
};
void igp_description_done(struct igp_description *description);

/* Parse and describe `query`, in a transaction that is begun where `begin` is true: what
 * the query reads then stays as it is described. */
IG_NODISCARD igloo_status igp_describe(igp_link *link, const char *query, bool begin,
                                       struct igp_description *ret_description,
                                       struct igd_error *reterr);

/* The columns of a result; the array is the caller's (free: ig_free). */
IG_NODISCARD igloo_status igp_columns_of(const PGresult *result,
                                         struct igp_column **ret_columns,
                                         size_t *ret_count, struct igd_error *reterr);

/* The number of rows that a command says it changed, or -1. */
int64_t igp_affected(const PGresult *result);

/* Texts for the parameters of a query, from one row of bound values. */
struct igp_params {
  struct ig_buf text;
  size_t *offsets; /* in text; SIZE_MAX: NULL */
  const char **values;
  size_t count;
};
IG_NODISCARD igloo_status igp_params_init(struct igp_params *params, size_t count,
                                          struct igd_error *reterr);
IG_NODISCARD igloo_status igp_params_fill(struct igp_params *params,
                                          const struct igd_rows *rows,
                                          struct igd_error *reterr);
void igp_params_done(struct igp_params *params);

/* ---- readers (reader.c) --------------------------------------------------------------
 */

struct igp_reader_parts {
  struct igp_statement *statement;
  struct igp_shape *root; /* taken, also on failure */
  bool copy;              /* COPY OUT runs; else results come row by row */
  bool transaction;       /* end the transaction with the reader */
  PGresult *first;        /* taken: a result that came already, or NULL */
  PGresult **kept;        /* taken: all results, read already */
  size_t kept_count;
  struct igd_rows *rows; /* taken: run the query for each; NULL: it runs */
};
/* On success the reader ends the link's work; on failure the caller does. */
IG_NODISCARD igloo_status igp_reader_new(const struct igp_reader_parts *parts,
                                         struct igd_reader **ret_reader,
                                         struct igd_error *reterr);

#endif
