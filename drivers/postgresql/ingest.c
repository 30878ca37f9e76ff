/* ingest.c -- rows of Arrow into a table, by COPY FROM STDIN in one transaction. */
#include <inttypes.h>

#include "postgresql/driver.h"
#include "postgresql/encode.h"
#include "postgresql/query.h"
#include "postgresql/sqltext.h"

/* What is sent at a time. */
#define CHUNK_BYTES (64 * IG_KIB)
/* What one row may take; PostgreSQL's own limit of a message is 1 GB. */
#define ROW_BYTES_MAX IG_GIB
#define STATEMENT_BYTES_MAX (4 * IG_MIB)

struct ingest {
  struct igp_connection *connection;
  struct igp_statement *statement;
  struct igd_rows rows;
  const char *schema; /* NULL: the search path decides */
  char *own_schema;   /* owned; what `schema` is where a table is made without one */
  struct igp_encoding *encodings;
  bool binary;
  struct ig_buf out;
};

static void ingest_done(struct ingest *ingest) {
  igd_rows_done(&ingest->rows);
  ig_free(ingest->own_schema);
  ig_free(ingest->encodings);
  ig_buf_done(&ingest->out);
}

/* ---- the table -----------------------------------------------------------------------
 */

static void append_target(const struct ingest *ingest, struct ig_buf *out) {
  if (ingest->schema) {
    igp_quote_name(out, ingest->schema);
    ig_buf_append_char(out, '.');
  }
  igp_quote_name(out, ingest->statement->base.ingest_table);
}

static igloo_status run(const struct ingest *ingest, struct ig_buf *text,
                        struct igd_error *reterr) {
  IG_TRY(ig_buf_check(text, &reterr->base));
  return igp_link_run(ingest->connection->link, text->data, NULL, reterr);
}

static igloo_status drop_table(const struct ingest *ingest, struct igd_error *reterr) {
  IG_AUTO_DONE(ig_buf) text;
  ig_buf_init(&text, STATEMENT_BYTES_MAX);
  ig_buf_append_cstr(&text, "DROP TABLE IF EXISTS ");
  append_target(ingest, &text);
  return run(ingest, &text, reterr);
}

static igloo_status create_table(const struct ingest *ingest, bool may_be_there,
                                 struct igd_error *reterr) {
  IG_AUTO_DONE(ig_buf) text;
  ig_buf_init(&text, STATEMENT_BYTES_MAX);
  ig_buf_append_cstr(&text, "CREATE TABLE ");
  if (may_be_there) ig_buf_append_cstr(&text, "IF NOT EXISTS ");
  append_target(ingest, &text);
  for (int64_t i = 0; i < ingest->rows.columns_count; i++) {
    ig_buf_append_cstr(&text, i ? ", " : " (");
    igp_quote_name(&text, ingest->rows.columns[i].name);
    ig_buf_append_char(&text, ' ');
    IG_TRY(igp_encoding_type(&ingest->rows.columns[i], &text, reterr));
  }
  ig_buf_append_char(&text, ')');
  return run(ingest, &text, reterr);
}

/* A new table goes where the search path says; the name is then that table's alone. */
static igloo_status find_own_schema(struct ingest *ingest, struct igd_error *reterr) {
  IGP_AUTO_RESULT *result = NULL;
  IG_TRY(igp_link_run(ingest->connection->link, "SELECT pg_catalog.current_schema()",
                      &result, reterr));
  if (PQntuples(result) != 1 || PQgetisnull(result, 0, 0))
    return ig_fail_state(&reterr->base, IGLOO_NOT_FOUND, "3F000",
                         "no schema has been selected to create in");
  ingest->own_schema = ig_strdup(PQgetvalue(result, 0, 0));
  if (!ingest->own_schema) return ig_fail_oom(&reterr->base);
  ingest->schema = ingest->own_schema;
  return IGLOO_OK;
}

static igloo_status make_table(struct ingest *ingest, struct igd_error *reterr) {
  int mode = ingest->statement->base.ingest_mode;
  if (mode == IGD_INGEST_APPEND) return IGLOO_OK;
  if (!ingest->schema) IG_TRY(find_own_schema(ingest, reterr));
  if (mode == IGD_INGEST_REPLACE) IG_TRY(drop_table(ingest, reterr));
  return create_table(ingest, mode == IGD_INGEST_CREATE_APPEND, reterr);
}

static const struct igp_shape *find_column(const struct igp_shape *root,
                                           const char *name) {
  for (size_t i = 0; i < root->children_count; i++)
    if (strcmp(root->children[i].name, name) == 0) return &root->children[i];
  return NULL;
}

/* How each column is written; text for all where one has no binary form. */
static igloo_status plan_columns(struct ingest *ingest, struct igd_error *reterr) {
  IGP_AUTO_SHAPE root = {0};
  const char *table = ingest->statement->base.ingest_table;
  IG_TRY(igp_table_shape(ingest->connection, ingest->schema, table, &root, reterr));
  size_t count = (size_t)ingest->rows.columns_count;
  ingest->encodings = ig_calloc(count, sizeof(*ingest->encodings));
  if (!ingest->encodings) return ig_fail_oom(&reterr->base);
  ingest->binary = true;
  for (size_t i = 0; i < count; i++) {
    const struct igd_rows_column *column = &ingest->rows.columns[i];
    const struct igp_shape *target = find_column(&root, column->name);
    /* ADBC wants ALREADY_EXISTS for a table of other columns. */
    if (!target)
      return ig_fail_state(&reterr->base, IGLOO_ALREADY_EXISTS, "42703",
                           "column \"%s\" of relation \"%s\" does not exist",
                           column->name, table);
    if (!igp_encoding_plan(column, target, &ingest->encodings[i])) ingest->binary = false;
  }
  return IGLOO_OK;
}

/* ---- the rows ------------------------------------------------------------------------
 */

static igloo_status begin_copy(struct ingest *ingest, struct igd_error *reterr) {
  IG_AUTO_DONE(ig_buf) text;
  ig_buf_init(&text, STATEMENT_BYTES_MAX);
  ig_buf_append_cstr(&text, "COPY ");
  append_target(ingest, &text);
  for (int64_t i = 0; i < ingest->rows.columns_count; i++) {
    ig_buf_append_cstr(&text, i ? ", " : " (");
    igp_quote_name(&text, ingest->rows.columns[i].name);
  }
  ig_buf_append_cstr(&text, ingest->binary ? ") FROM STDIN (FORMAT BINARY)"
                                           : ") FROM STDIN (FORMAT TEXT)");
  IG_TRY(ig_buf_check(&text, &reterr->base));
  IGP_AUTO_RESULT *opened = NULL;
  igp_link *link = ingest->connection->link;
  if (PQsendQuery(igp_link_pg(link), text.data) != 1)
    return ig_fail(&reterr->base, IGLOO_UNAVAILABLE, "could not send COPY");
  IG_TRY(igp_link_result(link, &opened, reterr));
  IG_TRY(igp_check_result(opened, NULL, 0, reterr));
  if (PQresultStatus(opened) != PGRES_COPY_IN)
    return ig_fail(&reterr->base, IGLOO_DATA_LOSS,
                   "the server did not answer COPY as it should");
  return IGLOO_OK;
}

static igloo_status append_text(struct ingest *ingest, struct ig_buf *scratch,
                                struct igd_cell cell, struct igd_error *reterr) {
  if (igd_cell_is_null(cell)) {
    ig_buf_append_cstr(&ingest->out, "\\N");
    return IGLOO_OK;
  }
  ig_buf_clear(scratch);
  IG_TRY(igd_cell_text(cell, scratch, reterr));
  IG_TRY(ig_buf_check(scratch, &reterr->base));
  for (size_t i = 0; i < scratch->len; i++) {
    char c = scratch->data[i];
    if (c == '\\' || c == '\t' || c == '\n' || c == '\r')
      ig_buf_append_char(&ingest->out, '\\');
    ig_buf_append_char(&ingest->out, c);
  }
  return IGLOO_OK;
}

static igloo_status append_row(struct ingest *ingest, struct ig_buf *scratch,
                               struct igd_error *reterr) {
  int64_t count = ingest->rows.columns_count;
  char fields[2] = {(char)(count >> 8), (char)count};
  if (ingest->binary) ig_buf_append(&ingest->out, fields, sizeof(fields));
  for (int64_t i = 0; i < count; i++) {
    struct igd_cell cell = igd_rows_cell(&ingest->rows, i);
    igloo_status status =
        ingest->binary ? igp_encode(&ingest->encodings[i], cell, &ingest->out, reterr)
                       : append_text(ingest, scratch, cell, reterr);
    if (status == IGLOO_DATA_ERROR)
      ig_error_prefix(&reterr->base, "column \"%s\", row %" PRId64,
                      ingest->rows.columns[i].name, ingest->rows.count);
    if (status != IGLOO_OK) return status;
    if (!ingest->binary) ig_buf_append_char(&ingest->out, i + 1 < count ? '\t' : '\n');
  }
  return ig_buf_check(&ingest->out, &reterr->base);
}

static igloo_status send_rows(struct ingest *ingest, struct igd_error *reterr) {
  static const char header[19] = "PGCOPY\n\377\r\n";
  igp_link *link = ingest->connection->link;
  IG_AUTO_DONE(ig_buf) scratch;
  ig_buf_init(&scratch, ROW_BYTES_MAX);
  if (ingest->binary) ig_buf_append(&ingest->out, header, sizeof(header));
  for (bool more = true; more;) {
    IG_TRY(igd_rows_next(&ingest->rows, &more, reterr));
    if (more) IG_TRY(append_row(ingest, &scratch, reterr));
    if (!more && ingest->binary) ig_buf_append(&ingest->out, "\377\377", 2);
    if (more && ingest->out.len < CHUNK_BYTES) continue;
    IG_TRY(ig_buf_check(&ingest->out, &reterr->base));
    IG_TRY(igp_link_copy_put(link, ig_buf_str(&ingest->out), reterr));
    ig_buf_clear(&ingest->out);
  }
  return IGLOO_OK;
}

static igloo_status end_copy(struct ingest *ingest, int64_t *ret_affected,
                             struct igd_error *reterr) {
  igp_link *link = ingest->connection->link;
  int sent;
  while ((sent = PQputCopyEnd(igp_link_pg(link), NULL)) == 0)
    IG_TRY(igp_link_flush(link, reterr));
  if (sent < 0) return ig_fail(&reterr->base, IGLOO_UNAVAILABLE, "could not end COPY");
  igloo_status status = IGLOO_OK;
  for (;;) {
    IGP_AUTO_RESULT *result = NULL;
    IG_TRY(igp_link_result(link, &result, reterr));
    if (!result) return status;
    if (status == IGLOO_OK) status = igp_check_result(result, NULL, 0, reterr);
    if (status == IGLOO_OK) *ret_affected = igp_affected(result);
  }
}

/* ---- all of it -----------------------------------------------------------------------
 */

static igloo_status check_target(struct ingest *ingest, struct igd_error *reterr) {
  const struct igd_statement *base = &ingest->statement->base;
  ingest->schema =
      base->ingest_schema && *base->ingest_schema ? base->ingest_schema : NULL;
  if (base->ingest_temporary && ingest->schema)
    return ig_fail(&reterr->base, IGLOO_INVALID_ARGUMENT,
                   "a temporary table cannot have a schema");
  /* Every session calls its own so. */
  if (base->ingest_temporary) ingest->schema = "pg_temp";
  if (!ingest->rows.columns_count)
    return ig_fail(&reterr->base, IGLOO_INVALID_ARGUMENT,
                   "rows to ingest must have columns");
  return igp_check_catalog(ingest->connection, base->ingest_catalog, reterr);
}

static igloo_status write_rows(struct ingest *ingest, int64_t *ret_affected,
                               struct igd_error *reterr) {
  bool ours = false;
  IG_TRY(check_target(ingest, reterr));
  IG_TRY(igp_transaction_begin(ingest->connection, &ours, reterr));
  IG_TRY(make_table(ingest, reterr));
  IG_TRY(plan_columns(ingest, reterr));
  IG_TRY(begin_copy(ingest, reterr));
  IG_TRY(send_rows(ingest, reterr));
  IG_TRY(end_copy(ingest, ret_affected, reterr));
  return ours ? igp_transaction_commit(ingest->connection, reterr) : IGLOO_OK;
}

igloo_status igp_ingest(struct igd_statement *base, struct ArrowArrayStream *rows,
                        int64_t *ret_affected, struct igd_error *reterr) {
  struct ingest ingest __attribute__((cleanup(ingest_done))) = {
      .connection = igp_connection_of(base), .statement = (struct igp_statement *)base};
  ig_buf_init(&ingest.out, ROW_BYTES_MAX + CHUNK_BYTES);
  igp_link *link = ingest.connection->link;
  IG_TRY(igd_rows_open(rows, &ingest.rows, reterr));
  IG_TRY(igp_link_begin(link, base, reterr));
  bool idle = PQtransactionStatus(igp_link_pg(link)) == PQTRANS_IDLE;
  igloo_status status = write_rows(&ingest, ret_affected, reterr);
  igp_link_end(link);
  if (status != IGLOO_OK && idle) igp_transaction_rollback(ingest.connection);
  return status;
}
