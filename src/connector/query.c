/*
 * query.c -- remote_query(): the columns that a text of the source's own language gives.
 *
 * The text stands in parentheses behind FROM, here and when it is read: what writes, or
 * is more than one statement, is an error of the source then.
 */
#include "arrow/schema.h"
#include "arrow/stream.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "connector/internal.h"
#include "sql/split.h"

struct query_call {
  struct ig_call call;
  char *text; /* owned */
  struct ArrowSchema schema;
};

static void query_call_free(struct ig_call *call) {
  struct query_call *self = (struct query_call *)call;
  ig_free(self->text);
  ig_schema_done(&self->schema);
}

/* Where the driver cannot tell it, the columns of no rows are asked for. */
static igloo_status run_empty(ig_link *link, const struct query_call *self,
                              struct ArrowSchema *ret_schema,
                              struct igloo_error *reterr) {
  IG_AUTO_CHAR *text = ig_asprintf("%s WHERE 1 = 0", self->text);
  if (!text) return ig_fail_oom(reterr);
  struct AdbcStatement *statement = NULL;
  struct AdbcError error = ADBC_ERROR_INIT;
  struct ArrowArrayStream *stream = ig_link_stream(link);
  IG_TRY(ig_link_statement_begin(link, text, &statement, reterr));
  IG_TRY(ig_link_fail(
      link, ig_link_driver(link)->StatementExecuteQuery(statement, stream, NULL, &error),
      &error, reterr));
  int code = stream->get_schema(stream, ret_schema);
  return code ? ig_link_fail_stream(link, code, stream, reterr) : IGLOO_OK;
}

static igloo_status run_query_schema(ig_link *link, struct ig_call *call,
                                     struct igloo_error *reterr) {
  struct query_call *self = (struct query_call *)call;
  struct AdbcStatement *statement = NULL;
  struct AdbcError error = ADBC_ERROR_INIT;
  igloo_status status = ig_link_statement_begin(link, self->text, &statement, reterr);
  if (status == IGLOO_OK)
    status = ig_link_fail(
        link,
        ig_link_driver(link)->StatementExecuteSchema(statement, &self->schema, &error),
        &error, reterr);
  ig_link_statement_end(link, false);
  if (status != IGLOO_UNSUPPORTED) return status;
  IG_TRY(ig_link_begin_reading(link, false, reterr));
  status = run_empty(link, self, &self->schema, reterr);
  ig_link_statement_end(link, true);
  IG_TRY(status);
  return ig_link_end_reading(link, reterr);
}

/* The text from its first token to its last: no semicolon, no comment at the end that
 * would swallow a parenthesis. */
static igloo_status one_statement(struct ig_str text, struct ig_str *ret_statement,
                                  struct igloo_error *reterr) {
  struct ig_sql_splitter splitter;
  struct ig_sql_piece first, second;
  if (text.len > IG_DIALECT_TEXT_MAX / 2)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "the text of remote_query() has more than %u bytes",
                         IG_DIALECT_TEXT_MAX / 2);
  if (!ig_utf8_valid(text, NULL) || memchr(text.data ? text.data : "", '\0', text.len))
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "the text of remote_query() is not valid UTF-8");
  ig_sql_splitter_init(&splitter, text);
  IG_TRY(ig_sql_split_next(&splitter, &first, reterr));
  if (first.text.len == 0)
    return ig_fail(reterr, IGLOO_SYNTAX_ERROR, "remote_query() was given no statement");
  IG_TRY(ig_sql_split_next(&splitter, &second, reterr));
  if (second.text.len > 0)
    return ig_fail(reterr, IGLOO_SYNTAX_ERROR,
                   "remote_query() takes one statement, not several");
  *ret_statement = first.text;
  return IGLOO_OK;
}

igloo_status ig_source_query(ig_source *source, struct ig_str text, ig_cancel *cancel,
                             ig_remote_table **ret_table, struct igloo_error *reterr) {
  struct ig_str statement = {0};
  IG_TRY(one_statement(text, &statement, reterr));
  struct query_call *call = ig_call_new(sizeof(*call), run_query_schema, query_call_free);
  if (!call) return ig_fail_oom(reterr);
  call->text = ig_asprintf("SELECT * FROM (%.*s) AS q", IG_STR_ARG(statement));
  struct ig_waits waits = {.cancel = cancel, .deadline_us = IG_NEVER_US};
  igloo_status status = call->text
                            ? ig_links_call(source->pool, &call->call, &waits, reterr)
                            : ig_fail_oom(reterr);
  if (status == IGLOO_OK)
    status =
        ig_remote_table_of_query(source, statement, &call->schema, ret_table, reterr);
  ig_call_unref(call);
  return status;
}
