/*
 * result.h -- a result stream, opened for printing.
 *
 *     for (bool more = true; more;) {
 *       IG_TRY(ig_result_next(&result, &more, reterr));
 *       for (int64_t i = 0; i < result.batch_rows; i++) … row result.batch_first + i …
 *     }
 *
 * Owns:    the schema, the batch and the printers, not the stream.
 * Threads: one thread at a time.
 * Blocks:  ig_result_open() and ig_result_next(), as the stream does.
 */
#ifndef IG_SHELL_RESULT_H
#define IG_SHELL_RESULT_H

#include "arrow/stream.h"
#include "shell/value.h"

struct ig_result_column {
  struct ig_str name;
  ig_value_printer *printer;
  bool number; /* stands at the right */
};

struct ig_result {
  struct ArrowArrayStream *stream; /* borrowed */
  struct ArrowSchema schema;
  struct ig_result_column *columns;
  size_t columns_count; /* 0: the statement has no result */
  struct ArrowArray batch;
  int64_t batch_first; /* row number to give to the printers */
  int64_t batch_rows;  /* 0 before the first batch and after the last */
};

/* Read the schema and make the printers. Returns IGLOO_OK, or the error of the stream or
 * of ig_value_printer_new(). Empty it with ig_result_done(), also after a failure. */
IG_NODISCARD igloo_status ig_result_open(struct ArrowArrayStream *stream,
                                         struct ig_result *result,
                                         struct igloo_error *reterr);

/* Replace the batch by the next one; *ret_more is false at the end. */
IG_NODISCARD igloo_status ig_result_next(struct ig_result *result, bool *ret_more,
                                         struct igloo_error *reterr);

void ig_result_done(struct ig_result *result);

#endif
