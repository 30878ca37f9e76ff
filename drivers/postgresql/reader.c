/* reader.c -- results as batches: of COPY, of single rows, of one execution after the
 * other. */
#include "arrow/schema.h"
#include "postgresql/query.h"

struct reader {
  struct igd_reader base;
  struct igp_statement *statement; /* the stream around the reader holds it */
  struct igp_connection *connection;
  struct igp_shape root;
  igp_builder *builder;
  bool copy, transaction;
  bool given_back; /* the session is free for others */
  bool ended;      /* nothing more comes */
  PGresult *first; /* came already */
  PGresult **kept; /* the rest came already too */
  size_t kept_count, kept_at;
  bool bound;   /* run the query for each row of `rows` */
  bool running; /* of bound: an execution is being read */
  struct igd_rows rows;
  struct igp_params params;
};

static void free_reader(struct igd_reader *base);

static bool is_full(const struct reader *reader) {
  return igp_builder_rows(reader->builder) >= reader->statement->batch_rows ||
         igp_builder_bytes(reader->builder) >= (size_t)reader->statement->batch_bytes;
}

/* ---- COPY ----------------------------------------------------------------------------
 */

/* The results behind the data: of COPY, of COMMIT. */
static igloo_status end_copy(struct reader *reader, bool trailer,
                             struct igd_error *reterr) {
  for (;;) {
    IGP_AUTO_RESULT *result = NULL;
    IG_TRY(igp_link_result(reader->connection->link, &result, reterr));
    if (!result) break;
    IG_TRY(igp_check_result(result, NULL, 0, reterr));
  }
  if (!trailer)
    return ig_fail(&reterr->base, IGLOO_DATA_LOSS,
                   "the server ended a COPY stream before its trailer");
  reader->ended = true;
  return IGLOO_OK;
}

static igloo_status fill_copy(struct reader *reader, struct igd_error *reterr) {
  bool trailer = false;
  while (trailer || !is_full(reader)) {
    uint8_t *bytes = NULL;
    size_t count = 0;
    IG_TRY(igp_link_copy_next(reader->connection->link, &bytes, &count, reterr));
    if (!bytes) return end_copy(reader, trailer, reterr);
    igloo_status status =
        igp_builder_copy(reader->builder, bytes, count, &trailer, reterr);
    PQfreemem(bytes);
    if (status != IGLOO_OK) return status;
  }
  return IGLOO_OK;
}

/* ---- rows ----------------------------------------------------------------------------
 */

static igloo_status start_next_row(struct reader *reader, struct igd_error *reterr) {
  bool more = false;
  PGconn *pg = igp_link_pg(reader->connection->link);
  IG_TRY(igd_rows_next(&reader->rows, &more, reterr));
  if (!more) {
    reader->ended = true;
    return IGLOO_OK;
  }
  IG_TRY(igp_params_fill(&reader->params, &reader->rows, reterr));
  if (PQsendQueryParams(pg, reader->statement->base.query, (int)reader->params.count,
                        NULL, reader->params.values, NULL, NULL, 1) != 1 ||
      PQsetSingleRowMode(pg) != 1)
    return ig_fail(&reterr->base, IGLOO_UNAVAILABLE, "could not send the query");
  reader->running = true;
  return IGLOO_OK;
}

/* *ret_result is NULL where there is none at the moment: look at `ended`. */
static igloo_status next_result(struct reader *reader, PGresult **ret_result,
                                struct igd_error *reterr) {
  if (reader->first) {
    *ret_result = IG_TAKE(reader->first);
    return IGLOO_OK;
  }
  if (reader->kept) {
    size_t at = reader->kept_at;
    reader->ended = at == reader->kept_count;
    if (reader->ended) return IGLOO_OK;
    *ret_result = IG_TAKE(reader->kept[at]);
    reader->kept_at++;
    return IGLOO_OK;
  }
  if (reader->bound && !reader->running) return start_next_row(reader, reterr);
  IG_TRY(igp_link_result(reader->connection->link, ret_result, reterr));
  if (*ret_result) return IGLOO_OK;
  reader->running = false;
  reader->ended = !reader->bound;
  return IGLOO_OK;
}

static igloo_status check_columns(const struct reader *reader, const PGresult *result,
                                  struct igd_error *reterr) {
  bool same = (size_t)PQnfields(result) == reader->root.children_count;
  for (size_t i = 0; same && i < reader->root.children_count; i++)
    same = PQfformat(result, (int)i) == 1;
  if (same) return IGLOO_OK;
  return ig_fail(&reterr->base, IGLOO_FAILED_PRECONDITION,
                 "the columns of the result changed");
}

static igloo_status add_rows(struct reader *reader, const PGresult *result,
                             struct igd_error *reterr) {
  IG_TRY(igp_check_result(result, reader->statement->base.query, 0, reterr));
  int rows = PQntuples(result);
  if (!rows) return IGLOO_OK;
  IG_TRY(check_columns(reader, result, reterr));
  for (int row = 0; row < rows; row++) {
    for (size_t i = 0; i < reader->root.children_count; i++) {
      int column = (int)i;
      int count =
          PQgetisnull(result, row, column) ? -1 : PQgetlength(result, row, column);
      const uint8_t *bytes =
          (const uint8_t *)(const void *)PQgetvalue(result, row, column);
      IG_TRY(igp_builder_value(reader->builder, i, bytes, count, reterr));
    }
    igp_builder_row_end(reader->builder);
  }
  return IGLOO_OK;
}

static igloo_status fill_rows(struct reader *reader, struct igd_error *reterr) {
  while (!reader->ended && !is_full(reader)) {
    IGP_AUTO_RESULT *result = NULL;
    IG_TRY(next_result(reader, &result, reterr));
    if (result) IG_TRY(add_rows(reader, result, reterr));
  }
  return IGLOO_OK;
}

/* ---- the reader ----------------------------------------------------------------------
 */

/* Give the session back, once: as soon as all was read, or with the reader. */
static void end_work(struct reader *reader) {
  if (reader->given_back) return;
  reader->given_back = true;
  igp_link_end(reader->connection->link);
  if (reader->transaction) igp_transaction_rollback(reader->connection);
}

static igloo_status next_batch(struct igd_reader *base, struct ArrowArray *ret_batch,
                               struct igd_error *reterr) {
  struct reader *reader = (struct reader *)base;
  if (!reader->ended) {
    IG_TRY(igp_builder_begin(reader->builder, reterr));
    IG_TRY(reader->copy ? fill_copy(reader, reterr) : fill_rows(reader, reterr));
  }
  if (reader->ended) end_work(reader);
  if (!igp_builder_rows(reader->builder)) return IGLOO_OK;
  return igp_builder_finish(reader->builder, ret_batch, reterr);
}

static void free_parts(struct reader *reader) {
  if (reader->builder) igp_builder_free(reader->builder);
  igp_shape_done(&reader->root);
  PQclear(reader->first);
  for (size_t i = 0; i < reader->kept_count; i++) PQclear(reader->kept[i]);
  ig_free(reader->kept);
  igp_params_done(&reader->params);
  if (reader->bound) igd_rows_done(&reader->rows);
  ig_free(reader);
}

static void free_reader(struct igd_reader *base) {
  struct reader *reader = (struct reader *)base;
  end_work(reader);
  free_parts(reader);
}

static const struct igd_reader_class reader_class = {next_batch, free_reader};

igloo_status igp_reader_new(const struct igp_reader_parts *parts,
                            struct igd_reader **ret_reader, struct igd_error *reterr) {
  struct reader *reader = ig_calloc(1, sizeof(*reader));
  if (!reader) {
    igp_shape_done(parts->root);
    PQclear(parts->first);
    for (size_t i = 0; i < parts->kept_count; i++) PQclear(parts->kept[i]);
    ig_free(parts->kept);
    if (parts->rows) igd_rows_done(parts->rows);
    return ig_fail_oom(&reterr->base);
  }
  reader->base.class = &reader_class;
  reader->statement = parts->statement;
  reader->connection = igp_connection_of(&parts->statement->base);
  reader->root = *parts->root;
  *parts->root = (struct igp_shape){0};
  reader->copy = parts->copy;
  reader->transaction = parts->transaction;
  reader->first = parts->first;
  reader->kept = parts->kept;
  reader->kept_count = parts->kept_count;
  igloo_status status = IGLOO_OK;
  if (parts->rows) {
    reader->bound = true;
    reader->rows = *parts->rows;
    *parts->rows = (struct igd_rows){0};
    status = igp_params_init(&reader->params, (size_t)reader->rows.columns_count, reterr);
  }
  if (status == IGLOO_OK)
    status = igp_builder_new(&reader->root, igp_types_of(reader->connection),
                             &reader->statement->policy, &reader->builder, reterr);
  if (status != IGLOO_OK) {
    free_parts(reader);
    return status;
  }
  *ret_reader = &reader->base;
  return IGLOO_OK;
}
