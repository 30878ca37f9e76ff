/* query.c -- see query.h; running queries by COPY, by the extended protocol, with bound
 * rows. */
#include "postgresql/query.h"

#include "arrow/schema.h"
#include "base/limits.h"
#include "base/parse.h"
#include "postgresql/sqltext.h"

/* Rows of one round trip of executemany: enough to hide it, few enough to hold. */
#define PIPELINE_ROWS 256

/* Results are kept whole only while the types of the first are looked up. */
#define KEPT_BYTES_MAX (64 * IG_MIB)

/* What one row may bind. */
#define PARAMETER_BYTES_MAX (256 * IG_MIB)

static igloo_status fail_send(igp_link *link, struct igd_error *reterr) {
  IG_AUTO_CHAR *words =
      ig_str_dup(ig_str_trim(ig_str_from_cstr(PQerrorMessage(igp_link_pg(link)))));
  return ig_fail(&reterr->base, IGLOO_UNAVAILABLE, "could not send the query: %s",
                 words ? words : "out of memory");
}

int64_t igp_affected(const PGresult *result) {
  struct igloo_error ignored;
  int64_t count = 0;
  /* libpq only reads here; its argument is not const for historical reasons. */
  union {
    const PGresult *in;
    PGresult *out;
  } view = {result};
  struct ig_str text = ig_str_from_cstr(PQcmdTuples(view.out));
  if (!text.len || ig_parse_i64(text, &count, &ignored) != IGLOO_OK) return -1;
  return count;
}

/* ---- describing ----------------------------------------------------------------------
 */

void igp_description_done(struct igp_description *description) {
  PQclear(description->result);
  ig_free(description->columns);
  *description = (struct igp_description){0};
}

igloo_status igp_columns_of(const PGresult *result, struct igp_column **ret_columns,
                            size_t *ret_count, struct igd_error *reterr) {
  int count = PQnfields(result);
  if (count > IGP_COLUMNS_MAX)
    return ig_fail(&reterr->base, IGLOO_RESOURCE_EXHAUSTED,
                   "the result has more than %d columns", IGP_COLUMNS_MAX);
  struct igp_column *columns = ig_calloc((size_t)count + 1, sizeof(*columns));
  if (!columns) return ig_fail_oom(&reterr->base);
  for (int i = 0; i < count; i++)
    columns[i] =
        (struct igp_column){PQfname(result, i), PQftype(result, i), PQfmod(result, i)};
  *ret_columns = columns;
  *ret_count = (size_t)count;
  return IGLOO_OK;
}

/* Results of a pipeline up to its synchronisation: the last of them, or the first
 * error. */
static igloo_status read_pipeline(igp_link *link, const char *query, PGresult **ret_last,
                                  struct igd_error *reterr) {
  IGP_AUTO_RESULT *last = NULL;
  igloo_status status = IGLOO_OK;
  for (int nothing = 0; nothing < 2;) { /* NULL stands between two queries */
    PGresult *next = NULL;
    IG_TRY(igp_link_result(link, &next, reterr));
    nothing = next ? 0 : nothing + 1;
    if (!next) continue;
    ExecStatusType kind = PQresultStatus(next);
    if (status == IGLOO_OK && kind != PGRES_PIPELINE_ABORTED)
      status = igp_check_result(next, query, 0, reterr);
    if (kind == PGRES_PIPELINE_SYNC) {
      PQclear(next);
      break;
    }
    PQclear(last);
    last = next;
  }
  if (PQexitPipelineMode(igp_link_pg(link)) != 1 && status == IGLOO_OK)
    return fail_send(link, reterr);
  if (status == IGLOO_OK && ret_last) *ret_last = IG_TAKE(last);
  return status;
}

igloo_status igp_describe(igp_link *link, const char *query, bool begin,
                          struct igp_description *ret_description,
                          struct igd_error *reterr) {
  PGconn *pg = igp_link_pg(link);
  if (PQenterPipelineMode(pg) != 1 ||
      (begin && PQsendQueryParams(pg, "BEGIN", 0, NULL, NULL, NULL, NULL, 0) != 1) ||
      PQsendPrepare(pg, "", query, 0, NULL) != 1 || PQsendDescribePrepared(pg, "") != 1 ||
      PQpipelineSync(pg) != 1)
    return fail_send(link, reterr);
  struct igp_description description = {0};
  IG_TRY(read_pipeline(link, query, &description.result, reterr));
  if (!description.result)
    return ig_fail(&reterr->base, IGLOO_DATA_LOSS, "the server did not describe a query");
  igloo_status status = igp_columns_of(description.result, &description.columns,
                                       &description.columns_count, reterr);
  if (status != IGLOO_OK) {
    igp_description_done(&description);
    return status;
  }
  description.parameters_count = (size_t)PQnparams(description.result);
  *ret_description = description;
  return IGLOO_OK;
}

/* ---- transactions of our own ---------------------------------------------------------
 */

igloo_status igp_transaction_begin(struct igp_connection *connection, bool *ret_ours,
                                   struct igd_error *reterr) {
  *ret_ours = false;
  if (PQtransactionStatus(igp_link_pg(connection->link)) != PQTRANS_IDLE) return IGLOO_OK;
  IG_TRY(igp_link_run(connection->link, "BEGIN", NULL, reterr));
  *ret_ours = true;
  return IGLOO_OK;
}

igloo_status igp_transaction_commit(struct igp_connection *connection,
                                    struct igd_error *reterr) {
  IGP_AUTO_RESULT *result = NULL;
  IG_TRY(igp_link_run(connection->link, "COMMIT", &result, reterr));
  if (!ig_str_eq_cstr(ig_str_from_cstr(PQcmdStatus(result)), "ROLLBACK")) return IGLOO_OK;
  return ig_fail_state(&reterr->base, IGLOO_FAILED_PRECONDITION, "25P02",
                       "the transaction had failed and was rolled back");
}

void igp_transaction_rollback(struct igp_connection *connection) {
  struct igd_error ignored = {0};
  igp_link *link = connection->link;
  if (igp_link_begin(link, NULL, &ignored) != IGLOO_OK) return;
  PGTransactionStatusType state = PQtransactionStatus(igp_link_pg(link));
  /* Where it fails, the session is lost, as the next work will find. */
  if ((state == PQTRANS_INTRANS || state == PQTRANS_INERROR) &&
      igp_link_run(link, "ROLLBACK", NULL, &ignored) != IGLOO_OK) {
  }
  igp_link_end(link);
}

/* ---- parameters ----------------------------------------------------------------------
 */

igloo_status igp_params_init(struct igp_params *params, size_t count,
                             struct igd_error *reterr) {
  ig_buf_init(&params->text, PARAMETER_BYTES_MAX);
  params->count = count;
  params->offsets = ig_calloc(count + 1, sizeof(*params->offsets));
  params->values = ig_calloc(count + 1, sizeof(*params->values));
  if (!params->offsets || !params->values) return ig_fail_oom(&reterr->base);
  return IGLOO_OK;
}

void igp_params_done(struct igp_params *params) {
  ig_buf_done(&params->text);
  ig_free(params->offsets);
  ig_free(params->values);
}

igloo_status igp_params_fill(struct igp_params *params, const struct igd_rows *rows,
                             struct igd_error *reterr) {
  ig_buf_clear(&params->text);
  for (size_t i = 0; i < params->count; i++) {
    struct igd_cell cell = igd_rows_cell(rows, (int64_t)i);
    params->offsets[i] = SIZE_MAX;
    if (igd_cell_is_null(cell)) continue;
    size_t start = params->text.len;
    params->offsets[i] = start;
    IG_TRY(igd_cell_text(cell, &params->text, reterr));
    IG_TRY(ig_buf_check(&params->text, &reterr->base));
    size_t length = params->text.len - start;
    if (length && memchr(params->text.data + start, '\0', length))
      return ig_fail_state(&reterr->base, IGLOO_DATA_ERROR, "22021",
                           "parameter $%zu holds a NUL, which PostgreSQL's text cannot",
                           i + 1);
    ig_buf_append(&params->text, "", 1);
  }
  IG_TRY(ig_buf_check(&params->text, &reterr->base));
  for (size_t i = 0; i < params->count; i++)
    params->values[i] =
        params->offsets[i] == SIZE_MAX ? NULL : params->text.data + params->offsets[i];
  return IGLOO_OK;
}

/* ---- running -------------------------------------------------------------------------
 */

static igloo_status no_rows(int64_t affected, struct igd_result *ret_result,
                            struct igd_error *reterr) {
  ret_result->affected = affected;
  return ig_schema_new_struct(0, &ret_result->schema, &reterr->base);
}

/* The reader and the schema that it gives. Takes what `parts` takes. */
static igloo_status give_reader(struct igp_reader_parts *parts,
                                struct igd_result *ret_result, struct igd_error *reterr) {
  IG_AUTO_SCHEMA schema = {0};
  igloo_status status = igp_shape_schema(parts->root, &schema, reterr);
  if (status == IGLOO_OK) {
    status = igp_reader_new(parts, &ret_result->reader, reterr);
  } else {
    igp_shape_done(parts->root);
    PQclear(parts->first);
    for (size_t i = 0; i < parts->kept_count; i++) PQclear(parts->kept[i]);
    ig_free(parts->kept);
    if (parts->rows) igd_rows_done(parts->rows);
  }
  if (status != IGLOO_OK) return status;
  ArrowSchemaMove(&schema, &ret_result->schema);
  ret_result->affected = -1;
  return IGLOO_OK;
}

static bool is_copy(ExecStatusType kind) {
  return kind == PGRES_COPY_IN || kind == PGRES_COPY_OUT || kind == PGRES_COPY_BOTH;
}

/* Read to the end and count. */
static igloo_status count_rows(igp_link *link, const char *query, PGresult *first,
                               int64_t *ret_affected, struct igd_error *reterr) {
  PGresult *next = first;
  igloo_status status = IGLOO_OK;
  while (next && status == IGLOO_OK) {
    status = igp_check_result(next, query, 0, reterr);
    if (status == IGLOO_OK && is_copy(PQresultStatus(next)))
      status = ig_fail(&reterr->base, IGLOO_UNSUPPORTED,
                       "COPY from or to the client is not supported");
    if (PQresultStatus(next) != PGRES_SINGLE_TUPLE) *ret_affected = igp_affected(next);
    PQclear(next);
    next = NULL;
    if (status == IGLOO_OK) status = igp_link_result(link, &next, reterr);
  }
  return status;
}

/* Keep all that comes, to have the session free for looking types up. */
static igloo_status keep_results(igp_link *link, PGresult *first,
                                 struct igp_reader_parts *parts,
                                 struct igd_error *reterr) {
  size_t room = 0, bytes = 0;
  PGresult *next = first;
  while (next) {
    igloo_status status = IG_RESERVE(parts->kept, room, parts->kept_count + 1, SIZE_MAX,
                                     "results", &reterr->base);
    if (status != IGLOO_OK) {
      PQclear(next);
      return status;
    }
    parts->kept[parts->kept_count++] = next;
    bytes += PQresultMemorySize(next);
    IG_TRY(igp_check_result(next, parts->statement->base.query, 0, reterr));
    if (bytes > KEPT_BYTES_MAX) {
      (void)ig_fail(&reterr->base, IGLOO_RESOURCE_EXHAUSTED,
                    "the result is larger than 64 MiB and has types that must be looked "
                    "up first");
      ig_error_hint(&reterr->base, "Set adbc.postgresql.use_copy to true.");
      return IGLOO_RESOURCE_EXHAUSTED;
    }
    next = NULL;
    IG_TRY(igp_link_result(link, &next, reterr));
  }
  return IGLOO_OK;
}

static void free_kept(struct igp_reader_parts *parts) {
  for (size_t i = 0; i < parts->kept_count; i++) PQclear(parts->kept[i]);
  ig_free(parts->kept);
  parts->kept = NULL;
  parts->kept_count = 0;
}

/* The result that `first` begins, as a reader. Takes `first`. */
static igloo_status read_rows(struct igp_statement *statement, PGresult *first,
                              struct igd_result *ret_result, struct igd_error *reterr) {
  struct igp_connection *connection = igp_connection_of(&statement->base);
  igp_types *types = igp_types_of(connection);
  struct igp_reader_parts parts = {.statement = statement, .first = first};
  IGP_AUTO_SHAPE root = {0};
  IG_AUTO_STRUCT(igp_column) *columns = NULL;
  size_t count = 0;
  igloo_status status = igp_columns_of(first, &columns, &count, reterr);
  if (status == IGLOO_OK && !igp_types_known(types, columns, count)) {
    parts.first = NULL;
    status = keep_results(connection->link, first, &parts, reterr);
  }
  if (status == IGLOO_OK)
    status =
        igp_shapes_resolve(types, connection->link, columns, count, false, &root, reterr);
  if (status != IGLOO_OK) {
    PQclear(parts.first);
    free_kept(&parts);
    return status;
  }
  parts.root = &root;
  return give_reader(&parts, ret_result, reterr);
}

/* One round trip: the extended protocol, row by row. */
static igloo_status run_direct(struct igp_statement *statement, bool want_rows,
                               struct igd_result *ret_result, struct igd_error *reterr) {
  igp_link *link = igp_connection_of(&statement->base)->link;
  const char *query = statement->base.query;
  IGP_AUTO_RESULT *first = NULL;
  if (PQsendQueryParams(igp_link_pg(link), query, 0, NULL, NULL, NULL, NULL, 1) != 1 ||
      PQsetSingleRowMode(igp_link_pg(link)) != 1)
    return fail_send(link, reterr);
  IG_TRY(igp_link_result(link, &first, reterr));
  IG_TRY(igp_check_result(first, query, 0, reterr));
  ExecStatusType kind = PQresultStatus(first);
  if (want_rows && (kind == PGRES_SINGLE_TUPLE || kind == PGRES_TUPLES_OK))
    return read_rows(statement, IG_TAKE(first), ret_result, reterr);
  int64_t affected = -1;
  IG_TRY(count_rows(link, query, IG_TAKE(first), &affected, reterr));
  igp_link_end(link);
  return no_rows(affected, ret_result, reterr);
}

static igloo_status append_columns(struct ig_buf *out, const struct igp_shape *root,
                                   struct igd_error *reterr) {
  for (size_t i = 0; i < root->children_count; i++) {
    const char *cast = root->children[i].cast;
    ig_buf_append_fmt(out, "%sc%zu%s%s", i ? ", " : "", i + 1, cast ? "::" : "",
                      cast ? cast : "");
  }
  return ig_buf_check(out, &reterr->base);
}

/* COPY of the query, of a query over it where columns must be cast. */
static igloo_status write_copy(struct ig_buf *out, struct ig_str body,
                               const struct igp_shape *root, bool transaction,
                               size_t *ret_offset, struct igd_error *reterr) {
  bool casts = false;
  for (size_t i = 0; i < root->children_count; i++)
    casts |= root->children[i].cast != NULL;
  ig_buf_append_cstr(out, "COPY (");
  if (casts) {
    ig_buf_append_cstr(out, "SELECT ");
    IG_TRY(append_columns(out, root, reterr));
    ig_buf_append_cstr(out, " FROM (");
  }
  *ret_offset = out->len;
  ig_buf_append_str(out, body);
  ig_buf_append_cstr(out, "\n)"); /* the line's end ends a comment too */
  if (casts) {
    ig_buf_append_cstr(out, " AS igloo(");
    for (size_t i = 0; i < root->children_count; i++)
      ig_buf_append_fmt(out, "%sc%zu", i ? ", " : "", i + 1);
    ig_buf_append_cstr(out, "))");
  }
  ig_buf_append_cstr(out, " TO STDOUT (FORMAT BINARY)");
  if (transaction) ig_buf_append_cstr(out, "; COMMIT");
  return ig_buf_check(out, &reterr->base);
}

static igloo_status start_copy(struct igp_statement *statement, struct ig_str body,
                               const struct igp_shape *root, bool transaction,
                               struct igd_error *reterr) {
  igp_link *link = igp_connection_of(&statement->base)->link;
  IG_AUTO_DONE(ig_buf) text;
  ig_buf_init(&text, 2 * IGP_QUERY_BYTES_MAX);
  size_t offset = 0;
  IG_TRY(write_copy(&text, body, root, transaction, &offset, reterr));
  IGP_AUTO_RESULT *opened = NULL;
  if (PQsendQuery(igp_link_pg(link), text.data) != 1) return fail_send(link, reterr);
  IG_TRY(igp_link_result(link, &opened, reterr));
  IG_TRY(igp_check_result(opened, statement->base.query, offset, reterr));
  if (PQresultStatus(opened) != PGRES_COPY_OUT || PQbinaryTuples(opened) != 1 ||
      (size_t)PQnfields(opened) != root->children_count)
    return ig_fail(&reterr->base, IGLOO_DATA_LOSS,
                   "the server did not answer COPY as it should");
  return IGLOO_OK;
}

/* Describe and read in one transaction. *ret_done is false where COPY cannot take it. */
static igloo_status run_copy(struct igp_statement *statement,
                             const struct igp_sqltext *text, bool transaction,
                             bool *ret_done, struct igd_result *ret_result,
                             struct igd_error *reterr) {
  struct igp_connection *connection = igp_connection_of(&statement->base);
  struct igp_description description __attribute__((cleanup(igp_description_done))) = {0};
  IGP_AUTO_SHAPE root = {0};
  IG_TRY(igp_describe(connection->link, statement->base.query, transaction, &description,
                      reterr));
  if (description.parameters_count)
    return ig_fail(&reterr->base, IGLOO_INVALID_ARGUMENT,
                   "the query has %zu parameters, and none were bound",
                   description.parameters_count);
  *ret_done = description.columns_count || !text->into;
  if (!*ret_done) return IGLOO_OK;
  IG_TRY(igp_shapes_resolve(igp_types_of(connection), connection->link,
                            description.columns, description.columns_count, true, &root,
                            reterr));
  IG_TRY(start_copy(statement, text->body, &root, transaction, reterr));
  struct igp_reader_parts parts = {
      .statement = statement, .root = &root, .copy = true, .transaction = transaction};
  return give_reader(&parts, ret_result, reterr);
}

static igloo_status run_query(struct igp_statement *statement, bool want_rows,
                              struct igd_result *ret_result, struct igd_error *reterr) {
  struct igp_connection *connection = igp_connection_of(&statement->base);
  struct igp_sqltext text = igp_sqltext_scan(ig_str_from_cstr(statement->base.query));
  if (text.copies)
    return ig_fail(&reterr->base, IGLOO_UNSUPPORTED,
                   "COPY from or to the client is not supported");
  if (!text.reads || !statement->use_copy || !want_rows)
    return run_direct(statement, want_rows, ret_result, reterr);
  bool transaction = PQtransactionStatus(igp_link_pg(connection->link)) == PQTRANS_IDLE;
  bool done = true;
  igloo_status status =
      run_copy(statement, &text, transaction, &done, ret_result, reterr);
  if (status == IGLOO_OK && done) return IGLOO_OK;
  if (transaction) {
    igp_link_end(connection->link);
    igp_transaction_rollback(connection);
    if (status == IGLOO_OK)
      IG_TRY(igp_link_begin(connection->link, &statement->base, reterr));
  }
  if (status != IGLOO_OK) return status;
  return run_direct(statement, want_rows, ret_result, reterr);
}

/* ---- bound rows ----------------------------------------------------------------------
 */

/* Send up to PIPELINE_ROWS rows; *ret_more is false at the end of them. */
static igloo_status send_rows(struct igp_statement *statement, struct igd_rows *rows,
                              struct igp_params *params, bool *ret_more,
                              struct igd_error *reterr) {
  igp_link *link = igp_connection_of(&statement->base)->link;
  PGconn *pg = igp_link_pg(link);
  size_t bytes = 0;
  igloo_status status = IGLOO_OK;
  for (int i = 0; i < PIPELINE_ROWS && bytes < IG_MIB; i++) {
    status = igd_rows_next(rows, ret_more, reterr);
    if (status != IGLOO_OK || !*ret_more) break;
    status = igp_params_fill(params, rows, reterr);
    if (status != IGLOO_OK) break;
    bytes += params->text.len;
    if (PQsendQueryPrepared(pg, "", (int)params->count, params->values, NULL, NULL, 0) ==
        1)
      continue;
    status = fail_send(link, reterr);
    break;
  }
  /* Also after a failure: the server answers what it got only then. */
  if (PQpipelineSync(pg) != 1 && status == IGLOO_OK) status = fail_send(link, reterr);
  return status;
}

/* The counts of one pipeline's results are added. */
static igloo_status read_counts(igp_link *link, const char *query, int64_t *affected,
                                struct igd_error *reterr) {
  igloo_status status = IGLOO_OK;
  for (int nothing = 0; nothing < 2;) {
    IGP_AUTO_RESULT *next = NULL;
    IG_TRY(igp_link_result(link, &next, reterr));
    nothing = next ? 0 : nothing + 1;
    if (!next) continue;
    ExecStatusType kind = PQresultStatus(next);
    if (kind == PGRES_PIPELINE_SYNC) break;
    if (status == IGLOO_OK && kind != PGRES_PIPELINE_ABORTED)
      status = igp_check_result(next, query, 0, reterr);
    int64_t count = igp_affected(next);
    if (count > 0) *affected += count;
  }
  return status;
}

/* Run the query for each row, in one transaction. */
static igloo_status run_many(struct igp_statement *statement, struct igd_rows *rows,
                             struct igp_params *params, int64_t *ret_affected,
                             struct igd_error *reterr) {
  struct igp_connection *connection = igp_connection_of(&statement->base);
  igp_link *link = connection->link;
  PGconn *pg = igp_link_pg(link);
  const char *query = statement->base.query;
  bool ours = false, more = true;
  *ret_affected = 0;
  IG_TRY(igp_transaction_begin(connection, &ours, reterr));
  if (PQenterPipelineMode(pg) != 1 || PQsendPrepare(pg, "", query, 0, NULL) != 1)
    return fail_send(link, reterr);
  while (more) {
    IG_TRY(send_rows(statement, rows, params, &more, reterr));
    IG_TRY(read_counts(link, query, ret_affected, reterr));
  }
  if (PQexitPipelineMode(pg) != 1) return fail_send(link, reterr);
  return ours ? igp_transaction_commit(connection, reterr) : IGLOO_OK;
}

static igloo_status check_parameters(const struct igd_rows *rows, size_t count,
                                     struct igd_error *reterr) {
  if ((size_t)rows->columns_count == count) return IGLOO_OK;
  return ig_fail(&reterr->base, IGLOO_INVALID_ARGUMENT,
                 "the query has %zu parameters, and %lld were bound", count,
                 (long long)rows->columns_count);
}

static igloo_status run_bound(struct igp_statement *statement, struct igd_rows *rows,
                              bool want_rows, struct igd_result *ret_result,
                              struct igd_error *reterr) {
  struct igp_connection *connection = igp_connection_of(&statement->base);
  struct igp_description description __attribute__((cleanup(igp_description_done))) = {0};
  IG_TRY(
      igp_describe(connection->link, statement->base.query, false, &description, reterr));
  IG_TRY(check_parameters(rows, description.parameters_count, reterr));
  if (want_rows && description.columns_count) {
    IGP_AUTO_SHAPE root = {0};
    IG_TRY(igp_shapes_resolve(igp_types_of(connection), connection->link,
                              description.columns, description.columns_count, false,
                              &root, reterr));
    struct igp_reader_parts parts = {.statement = statement, .root = &root, .rows = rows};
    return give_reader(&parts, ret_result, reterr);
  }
  int64_t affected = -1;
  struct igp_params params __attribute__((cleanup(igp_params_done))) = {0};
  IG_TRY(igp_params_init(&params, description.parameters_count, reterr));
  IG_TRY(run_many(statement, rows, &params, &affected, reterr));
  igp_link_end(connection->link);
  return no_rows(affected, ret_result, reterr);
}

/* ---- the backend's functions ---------------------------------------------------------
 */

igloo_status igp_execute(struct igd_statement *base, struct ArrowArrayStream *bound,
                         bool want_rows, struct igd_result *ret_result,
                         struct igd_error *reterr) {
  struct igp_statement *statement = (struct igp_statement *)base;
  struct igp_connection *connection = igp_connection_of(base);
  struct igd_rows rows = {0};
  IG_TRY(igp_link_begin(connection->link, base, reterr));
  bool idle = PQtransactionStatus(igp_link_pg(connection->link)) == PQTRANS_IDLE;
  igloo_status status;
  if (bound) {
    status = igd_rows_open(bound, &rows, reterr);
    if (status == IGLOO_OK)
      status = run_bound(statement, &rows, want_rows, ret_result, reterr);
    igd_rows_done(&rows);
  } else {
    status = run_query(statement, want_rows, ret_result, reterr);
  }
  if (status == IGLOO_OK) return IGLOO_OK;
  igp_link_end(connection->link);
  if (idle) igp_transaction_rollback(connection);
  return status;
}

/* Parse and describe, in work of its own. */
static igloo_status describe_alone(struct igd_statement *base,
                                   struct igp_description *ret_description,
                                   struct igd_error *reterr) {
  igp_link *link = igp_connection_of(base)->link;
  /* A cancelled execution of before does not count. */
  bool cancelled = igd_statement_is_cancelled(base);
  IG_TRY(igp_link_begin(link, cancelled ? NULL : base, reterr));
  igloo_status status = igp_describe(link, base->query, false, ret_description, reterr);
  if (status != IGLOO_OK) igp_link_end(link);
  return status;
}

igloo_status igp_prepare(struct igd_statement *base, struct igd_error *reterr) {
  struct igp_description description = {0};
  IG_TRY(describe_alone(base, &description, reterr));
  igp_link_end(igp_connection_of(base)->link);
  igp_description_done(&description);
  return IGLOO_OK;
}

static igloo_status resolve_schema(struct igp_connection *connection,
                                   const struct igp_column *columns, size_t count,
                                   bool may_cast, struct ArrowSchema *ret_schema,
                                   struct igd_error *reterr) {
  IGP_AUTO_SHAPE root = {0};
  IG_TRY(igp_shapes_resolve(igp_types_of(connection), connection->link, columns, count,
                            may_cast, &root, reterr));
  return igp_shape_schema(&root, ret_schema, reterr);
}

igloo_status igp_schema(struct igd_statement *base, struct ArrowSchema *ret_schema,
                        struct igd_error *reterr) {
  struct igp_statement *statement = (struct igp_statement *)base;
  struct igp_connection *connection = igp_connection_of(base);
  struct igp_description description __attribute__((cleanup(igp_description_done))) = {0};
  struct igp_sqltext text = igp_sqltext_scan(ig_str_from_cstr(base->query));
  IG_TRY(describe_alone(base, &description, reterr));
  /* With parameters a query is not read by COPY, so nothing is cast. */
  bool may_cast = text.reads && statement->use_copy && !description.parameters_count;
  igloo_status status =
      resolve_schema(connection, description.columns, description.columns_count, may_cast,
                     ret_schema, reterr);
  igp_link_end(connection->link);
  return status;
}

static igloo_status name_parameters(const struct igp_description *description,
                                    struct igp_column *columns, struct ig_buf *names,
                                    struct igd_error *reterr) {
  /* "$1" to "$65535" with their NULs have 7 bytes at most. */
  for (size_t i = 0; i < description->parameters_count; i++) {
    ig_buf_append_fmt(names, "$%zu", i + 1);
    ig_buf_append_repeat(names, '\0', 7 * (i + 1) - names->len);
  }
  IG_TRY(ig_buf_check(names, &reterr->base));
  for (size_t i = 0; i < description->parameters_count; i++)
    columns[i] = (struct igp_column){names->data + 7 * i,
                                     PQparamtype(description->result, (int)i), -1};
  return IGLOO_OK;
}

igloo_status igp_parameters(struct igd_statement *base, struct ArrowSchema *ret_schema,
                            struct igd_error *reterr) {
  struct igp_connection *connection = igp_connection_of(base);
  struct igp_description description __attribute__((cleanup(igp_description_done))) = {0};
  IG_AUTO_DONE(ig_buf) names;
  ig_buf_init(&names, 8 * IGP_PARAMETERS_MAX);
  IG_TRY(describe_alone(base, &description, reterr));
  IG_AUTO_STRUCT(igp_column) *columns =
      ig_calloc(description.parameters_count + 1, sizeof(*columns));
  igloo_status status = columns ? name_parameters(&description, columns, &names, reterr)
                                : ig_fail_oom(&reterr->base);
  if (status == IGLOO_OK)
    status = resolve_schema(connection, columns, description.parameters_count, true,
                            ret_schema, reterr);
  igp_link_end(connection->link);
  return status;
}
