/* batches.c -- see batches.h. */
#include "arrow/batches.h"

#include "arrow/schema.h"

igloo_status ig_batches_open(struct ArrowArrayStream *stream, struct ig_batches *result,
                             struct igloo_error *reterr) {
  *result = (struct ig_batches){.stream = stream};
  IG_TRY(ig_stream_schema(stream, &result->schema, reterr));
  size_t count = (size_t)result->schema.n_children;
  if (count == 0) return IGLOO_OK;
  result->columns = ig_calloc(count, sizeof(*result->columns));
  if (!result->columns) return ig_fail_oom(reterr);
  result->columns_count = count;
  for (size_t i = 0; i < count; i++) {
    struct ig_batches_column *column = &result->columns[i];
    column->name = ig_str_from_cstr(result->schema.children[i]->name);
    IG_TRY(ig_value_printer_new(result->schema.children[i], &column->printer, reterr));
    column->number = ig_value_is_number(column->printer);
  }
  return IGLOO_OK;
}

igloo_status ig_batches_next(struct ig_batches *result, bool *ret_more,
                             struct igloo_error *reterr) {
  ig_array_done(&result->batch);
  result->batch_rows = 0;
  *ret_more = false;
  IG_TRY(ig_stream_next(result->stream, &result->batch, reterr));
  if (!result->batch.release) return IGLOO_OK;
  if ((size_t)result->batch.n_children != result->columns_count)
    return ig_fail(reterr, IGLOO_INTERNAL, "a batch has %lld columns, its schema %zu",
                   (long long)result->batch.n_children, result->columns_count);
  for (size_t i = 0; i < result->columns_count; i++)
    IG_TRY(ig_value_printer_set(result->columns[i].printer, result->batch.children[i],
                                reterr));
  result->batch_first = result->batch.offset;
  result->batch_rows = result->batch.length;
  *ret_more = true;
  return IGLOO_OK;
}

void ig_batches_done(struct ig_batches *result) {
  ig_array_done(&result->batch);
  for (size_t i = 0; i < result->columns_count; i++)
    ig_value_printer_free(result->columns[i].printer);
  ig_free(result->columns);
  ig_schema_done(&result->schema);
  *result = (struct ig_batches){0};
}
