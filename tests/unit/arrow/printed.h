/*
 * printed.h -- rows through ig_write_result() into a text, for tests of the writers.
 */
#ifndef IG_TESTS_ARROW_PRINTED_H
#define IG_TESTS_ARROW_PRINTED_H

#include <sys/mman.h>
#include <unistd.h>

#include "arrow/rows.h"
#include "arrow/writer.h"
#include "support.h"

/* Print the rows (taken). Free the text with ig_free. */
static inline char *printed(ig_rows *rows, enum ig_output_format format,
                            struct ig_box_limits limits) {
  IG_AUTO_STREAM stream = {0};
  int64_t expected = (int64_t)ig_rows_count(rows), count = -1;
  assert_ok(ig_rows_finish(rows, &stream, &test_err));
  (void)ig_rows_free(rows);
  int fd = memfd_create("printed", MFD_CLOEXEC);
  assert_true(fd >= 0);
  struct ig_out out;
  struct ig_batches result;
  ig_out_init(&out, fd);
  assert_ok(ig_batches_open(&stream, &result, &test_err));
  assert_ok(ig_write_result(&result, format, &limits, &out, &count, &test_err));
  assert_int_equal(count, expected);
  ig_batches_done(&result);
  ig_out_done(&out);
  off_t len = lseek(fd, 0, SEEK_END);
  char *text = ig_calloc((size_t)len + 1, 1);
  assert_non_null(text);
  assert_int_equal(pread(fd, text, (size_t)len, 0), len);
  assert_int_equal(close(fd), 0);
  return text;
}

#endif
