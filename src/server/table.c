/* table.c -- see table.h. */
#include "server/table.h"

#include <unistd.h>

#include "arrow/writer.h"
#include "shell/terminal.h"

static igloo_status print(struct ArrowArrayStream *stream, bool json, struct ig_out *out,
                          struct igloo_error *reterr) {
  struct ig_batches result __attribute__((cleanup(ig_batches_done)));
  IG_TRY(ig_batches_open(stream, &result, reterr));
  struct ig_box_limits limits = {.bare = true};
  if (isatty(out->fd)) limits.columns_max = ig_terminal_columns(out->fd);
  int64_t rows = 0;
  return ig_write_result(&result, json ? IG_OUTPUT_JSON : IG_OUTPUT_BOX, &limits, out,
                         &rows, reterr);
}

igloo_status ig_table_print_stream(struct ArrowArrayStream *rows, bool json,
                                   struct igloo_error *reterr) {
  struct ig_out out __attribute__((cleanup(ig_out_done)));
  ig_out_init(&out, STDOUT_FILENO);
  igloo_status status = print(rows, json, &out, reterr);
  return out.reader_gone ? IGLOO_OK : status;
}

igloo_status ig_table_print(ig_rows *rows, bool json, struct igloo_error *reterr) {
  IG_AUTO_STREAM stream = {0};
  IG_TRY(ig_rows_finish(rows, &stream, reterr));
  return ig_table_print_stream(&stream, json, reterr);
}
