/* source_write.c -- INSERT and CREATE TABLE AS into a table of a source. */
#include "arrow/stream.h"
#include "session/private.h"

static igloo_status check_writable(const ig_source *source, enum ig_ingest_mode mode,
                                   struct igloo_error *reterr) {
  if (!ig_source_is_read_only(source)) return IGLOO_OK;
  (void)ig_fail_state(reterr, IGLOO_PERMISSION_DENIED, "25006",
                      "cannot execute %s in read-only catalog \"%s\"",
                      mode == IG_INGEST_APPEND ? "INSERT" : "CREATE TABLE AS",
                      ig_source_name(source));
  ig_error_hint(reterr, "It is attached READ_ONLY.");
  return IGLOO_PERMISSION_DENIED;
}

/* A stream that fails tells less than its query knows. Where the source failed, the query
 * only knows that nobody read on. */
static igloo_status write_query(ig_source *source, struct ig_str schema,
                                struct ig_str name, enum ig_ingest_mode mode,
                                ig_plan *plan, ig_cancel *cancel, int64_t *ret_rows,
                                struct igloo_error *reterr) {
  IG_AUTO(ig_query) *query = NULL;
  struct ArrowArrayStream rows;
  struct igloo_error told;
  IG_TRY(ig_query_start(plan, cancel, &query, reterr));
  IG_TRY(ig_query_stream(query, &rows, reterr));
  igloo_status status =
      ig_source_ingest(source, schema, name, mode, &rows, cancel, ret_rows, reterr);
  if (status == IGLOO_OK || ig_query_error(query, &told) == IGLOO_OK ||
      told.status == IGLOO_CANCELLED)
    return status;
  if (reterr) *reterr = told;
  return told.status;
}

igloo_status ig_source_write(ig_source *source, struct ig_str schema, struct ig_str name,
                             enum ig_ingest_mode mode, struct ig_write_input input,
                             ig_cancel *cancel, int64_t *ret_rows,
                             struct igloo_error *reterr) {
  igloo_status status = check_writable(source, mode, reterr);
  if (status == IGLOO_OK && !input.rows)
    return write_query(source, schema, name, mode, input.plan, cancel, ret_rows, reterr);
  if (status == IGLOO_OK)
    return ig_source_ingest(source, schema, name, mode, input.rows, cancel, ret_rows,
                            reterr);
  if (input.rows && input.rows->release) input.rows->release(input.rows);
  return status;
}
