/* bound_rows.c -- see bound_rows.h. */
#include "session/bound_rows.h"

#include <errno.h>

#include "arrow/schema.h"
#include "arrow/stream.h"

struct bound_rows {
  ig_plan *plan;
  ig_cancel *cancel;
  struct ArrowSchema promised;
  struct ArrowArrayStream values;
  struct ArrowSchema value_schema;
  uint32_t count;     /* parameters */
  int64_t *positions; /* of parameter i among the columns of `values` */
  struct ArrowArray batch;
  int64_t row; /* the next of `batch` */
  ig_query *query;
  struct ArrowArrayStream result; /* of `query` */
  struct igloo_error error;
  struct igloo_error *failure; /* borrowed, or NULL: a copy of it */
};

static void free_rows(struct bound_rows *rows) {
  ig_stream_done(&rows->result);
  (void)ig_query_free(rows->query);
  ig_array_done(&rows->batch);
  ig_schema_done(&rows->value_schema);
  ig_stream_done(&rows->values);
  ig_schema_done(&rows->promised);
  (void)ig_cancel_unref(rows->cancel);
  (void)ig_plan_unref(rows->plan);
  ig_free(rows->positions);
  ig_free(rows);
}

/* ---- columns to parameters --------------------------------------------------------- */

static igloo_status map_columns(struct bound_rows *rows,
                                const struct ig_sql_params *params,
                                struct igloo_error *reterr) {
  int64_t columns = rows->value_schema.n_children;
  rows->count = params->count;
  rows->positions = ig_calloc((size_t)params->count + 1, sizeof(*rows->positions));
  if (!rows->positions) return ig_fail_oom(reterr);
  if (columns != (int64_t)params->count)
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                         "%lld columns are bound, but the statement has %u parameters",
                         (long long)columns, params->count);
  for (uint32_t i = 0; i < params->count; i++) {
    rows->positions[i] = i;
    if (!params->names) continue;
    rows->positions[i] =
        ig_schema_find(&rows->value_schema, ig_str_from_cstr(params->names[i]));
    if (rows->positions[i] < 0)
      return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                           "no bound column is named as parameter \"%s\"",
                           params->names[i]);
  }
  return IGLOO_OK;
}

/* ---- one row after the other ------------------------------------------------------- */

/* The plan with row `row` of the batch: views of both, with the columns in the order of
 * the parameters. */
static igloo_status bind_row(struct bound_rows *rows, ig_plan **ret_plan,
                             struct igloo_error *reterr) {
  struct ArrowSchema schema = rows->value_schema;
  struct ArrowArray batch = rows->batch;
  schema.children = ig_calloc((size_t)rows->count + 1, sizeof(struct ArrowSchema *));
  batch.children = ig_calloc((size_t)rows->count + 1, sizeof(struct ArrowArray *));
  igloo_status status = IGLOO_OK;
  if (schema.children && batch.children) {
    for (uint32_t i = 0; i < rows->count; i++) {
      schema.children[i] = rows->value_schema.children[rows->positions[i]];
      batch.children[i] = rows->batch.children[rows->positions[i]];
    }
    status = ig_plan_bind(rows->plan, &batch, &schema, rows->row, ret_plan, reterr);
  } else {
    status = ig_fail_oom(reterr);
  }
  ig_free(schema.children);
  ig_free(batch.children);
  return status;
}

static igloo_status start_row(struct bound_rows *rows, struct igloo_error *reterr) {
  IG_AUTO(ig_plan) *bound = NULL;
  IG_TRY(bind_row(rows, &bound, reterr));
  rows->row++;
  IG_TRY(ig_query_start(bound, rows->cancel, &rows->query, reterr));
  return ig_query_stream(rows->query, &rows->result, reterr);
}

static void end_row(struct bound_rows *rows) {
  ig_stream_done(&rows->result);
  rows->query = ig_query_free(rows->query);
}

/* The next batch of the query that runs; released at its end. */
static igloo_status next_of_query(struct bound_rows *rows, struct ArrowArray *out,
                                  struct igloo_error *reterr) {
  int errnum = rows->result.get_next(&rows->result, out);
  if (errnum == 0) return IGLOO_OK;
  igloo_status status = ig_query_error(rows->query, reterr);
  return status != IGLOO_OK ? status
                            : ig_fail_errno(reterr, errnum, "could not read the result");
}

static igloo_status next_batch(struct bound_rows *rows, struct ArrowArray *out,
                               struct igloo_error *reterr) {
  for (;;) {
    if (rows->result.release) {
      IG_TRY(next_of_query(rows, out, reterr));
      if (out->release) return IGLOO_OK;
      end_row(rows);
    }
    while (!rows->batch.release || rows->row >= rows->batch.length) {
      ig_array_done(&rows->batch);
      rows->row = 0;
      IG_TRY(ig_cancel_check(rows->cancel, reterr));
      IG_TRY(ig_stream_next(&rows->values, &rows->batch, reterr));
      if (rows->batch.release) continue;
      out->release = NULL; /* the last row of parameters is done */
      return IGLOO_OK;
    }
    IG_TRY(start_row(rows, reterr));
  }
}

/* ---- the stream -------------------------------------------------------------------- */

static int rows_get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
  struct bound_rows *rows = stream->private_data;
  return ig_schema_copy(&rows->promised, out, &rows->error) == IGLOO_OK ? 0 : ENOMEM;
}

static int rows_get_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
  struct bound_rows *rows = stream->private_data;
  if (rows->error.status != IGLOO_OK) return EIO; /* an error stays */
  if (next_batch(rows, out, &rows->error) == IGLOO_OK) return 0;
  if (rows->failure) *rows->failure = rows->error;
  return EIO;
}

static const char *rows_get_last_error(struct ArrowArrayStream *stream) {
  const struct bound_rows *rows = stream->private_data;
  return rows->error.status == IGLOO_OK ? NULL : rows->error.message;
}

static void rows_release(struct ArrowArrayStream *stream) {
  free_rows(stream->private_data);
  stream->release = NULL;
}

igloo_status ig_bound_rows_error(const struct ArrowArrayStream *rows,
                                 struct igloo_error *reterr) {
  if (rows->release != rows_release) return IGLOO_OK;
  const struct bound_rows *bound = rows->private_data;
  if (bound->error.status != IGLOO_OK && reterr) *reterr = bound->error;
  return bound->error.status;
}

/* What the rows will be: the type of a parameter that nothing in the text tells is known
 * with its first value; what may be NULL is known without, since others may be. */
static igloo_status promise(struct bound_rows *rows, struct igloo_error *reterr) {
  for (bool more = true; more && rows->batch.length == 0;) {
    ig_array_done(&rows->batch);
    IG_TRY(ig_stream_next(&rows->values, &rows->batch, reterr));
    more = rows->batch.release != NULL;
    if (!more) return ig_plan_schema(rows->plan, &rows->promised, reterr);
  }
  IG_AUTO(ig_plan) *bound = NULL;
  IG_AUTO_SCHEMA unbound = {0};
  IG_TRY(bind_row(rows, &bound, reterr));
  IG_TRY(ig_plan_schema(rows->plan, &unbound, reterr));
  IG_TRY(ig_plan_schema(bound, &rows->promised, reterr));
  IG_ASSERT(unbound.n_children == rows->promised.n_children);
  for (int64_t i = 0; i < unbound.n_children; i++)
    rows->promised.children[i]->flags |= unbound.children[i]->flags & ARROW_FLAG_NULLABLE;
  return IGLOO_OK;
}

igloo_status ig_bound_rows_new(ig_plan *plan, const struct ig_sql_params *params,
                               struct ArrowArrayStream *values, ig_cancel *cancel,
                               struct igloo_error *failure,
                               struct ArrowArrayStream *ret_rows,
                               struct igloo_error *reterr) {
  struct bound_rows *rows = ig_calloc(1, sizeof(*rows));
  if (!rows) {
    values->release(values);
    return ig_fail_oom(reterr);
  }
  rows->values = *values;
  values->release = NULL;
  rows->failure = failure;
  rows->plan = ig_plan_ref(plan);
  rows->cancel = cancel ? ig_cancel_ref(cancel) : NULL;
  igloo_status status = ig_stream_schema(&rows->values, &rows->value_schema, reterr);
  if (status == IGLOO_OK) status = map_columns(rows, params, reterr);
  if (status == IGLOO_OK) status = promise(rows, reterr);
  if (status != IGLOO_OK) {
    free_rows(rows);
    return status;
  }
  *ret_rows = (struct ArrowArrayStream){.get_schema = rows_get_schema,
                                        .get_next = rows_get_next,
                                        .get_last_error = rows_get_last_error,
                                        .release = rows_release,
                                        .private_data = rows};
  return IGLOO_OK;
}
