/*
 * stream.h -- results of drivers as ArrowArrayStreams.
 *
 * A driver gives a reader: an object that makes one batch after another. The stream
 * around it keeps the connection alive, takes its mutex for each batch, keeps the error
 * for AdbcErrorFromArrayStream, and ends when it was cancelled or when its statement is
 * executed again.
 *
 * Owns:    the reader and its schema; a reference of the connection and the statement.
 * Threads: one thread at a time for each stream; cancelling is for any.
 * Blocks:  get_next, as the reader.
 */
#ifndef IGD_COMMON_STREAM_H
#define IGD_COMMON_STREAM_H

#include <nanoarrow/nanoarrow.h>

#include "common/error.h"

struct igd_reader;
struct igd_reader_class {
  /* The next batch: a struct array; leave `ret_batch` as it is (released) at the end.
   * Called under the connection's mutex; not again after an error or the end. */
  igloo_status (*next)(struct igd_reader *reader, struct ArrowArray *ret_batch,
                       struct igd_error *reterr);
  /* Free it, drained or not. Called under the connection's mutex, once. */
  void (*free)(struct igd_reader *reader);
};
/* First member of the driver's own struct. */
struct igd_reader {
  const struct igd_reader_class *class;
};

/* What executing gives. */
struct igd_result {
  struct ArrowSchema schema; /* of the rows; a struct */
  struct igd_reader *reader; /* NULL: no rows; the stream is then empty */
  int64_t affected;          /* rows; -1: unknown */
};

/* For AdbcErrorFromArrayStream. */
const struct AdbcError *igd_error_from_stream(struct ArrowArrayStream *stream,
                                              AdbcStatusCode *ret_status);

#endif
