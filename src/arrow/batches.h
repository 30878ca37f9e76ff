/*
 * batches.h -- a result stream, opened for printing.
 *
 *     for (bool more = true; more;) {
 *       IG_TRY(ig_batches_next(&result, &more, reterr));
 *       for (int64_t i = 0; i < result.batch_rows; i++) … row result.batch_first + i …
 *     }
 *
 * Owns:    the schema, the batch and the printers, not the stream.
 * Threads: one thread at a time.
 * Blocks:  ig_batches_open() and ig_batches_next(), as the stream does.
 */
#ifndef IG_ARROW_BATCHES_H
#define IG_ARROW_BATCHES_H

#include "arrow/stream.h"
#include "arrow/value.h"

struct ig_batches_column {
  struct ig_str name;
  ig_value_printer *printer;
  bool number; /* stands at the right */
};

struct ig_batches {
  struct ArrowArrayStream *stream; /* borrowed */
  struct ArrowSchema schema;
  struct ig_batches_column *columns;
  size_t columns_count; /* 0: the statement has no result */
  struct ArrowArray batch;
  int64_t batch_first; /* row number to give to the printers */
  int64_t batch_rows;  /* 0 before the first batch and after the last */
};

/* Read the schema and make the printers. Returns IGLOO_OK, or the error of the stream or
 * of ig_value_printer_new(). Empty it with ig_batches_done(), also after a failure. */
IG_NODISCARD igloo_status ig_batches_open(struct ArrowArrayStream *stream,
                                          struct ig_batches *result,
                                          struct igloo_error *reterr);

/* Replace the batch by the next one; *ret_more is false at the end. */
IG_NODISCARD igloo_status ig_batches_next(struct ig_batches *result, bool *ret_more,
                                          struct igloo_error *reterr);

void ig_batches_done(struct ig_batches *result);

#endif
