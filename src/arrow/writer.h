/*
 * writer.h -- results as text, in every form that a person or a program reads.
 *
 *   csv       RFC 4180 with a header line and \n; NULL is empty, an empty text is ""
 *   tsv       as PostgreSQL's COPY text: \t \n \r \\ escaped, NULL is \N; with a header
 *   json      one array of objects; jsonl: one object in each line. A name that comes
 *             again gets _1, _2 … so that no column is lost
 *   markdown  a table; `|` escaped, line breaks as <br>
 *   box       a table for the terminal; without limits complete
 *   expanded  one line for each value
 *   plain     the values alone, for EXPLAIN
 *
 * All but box print batch by batch and hold nothing. A box keeps the first and last
 * rows, or, where all are wanted, puts them into a temporary file to measure them.
 *
 * Owns: nothing. Threads: one at a time. Blocks: in the result's stream and in `out`.
 */
#ifndef IG_ARROW_WRITER_H
#define IG_ARROW_WRITER_H

#include "arrow/batches.h"
#include "arrow/out.h"

enum ig_output_format {
  IG_OUTPUT_BOX,
  IG_OUTPUT_CSV,
  IG_OUTPUT_TSV,
  IG_OUTPUT_JSON,
  IG_OUTPUT_JSONL,
  IG_OUTPUT_MARKDOWN,
  IG_OUTPUT_ARROW, /* these two are files, made by the engine */
  IG_OUTPUT_PARQUET,
  IG_OUTPUT_QUIET, /* runs, prints nothing */
  IG_OUTPUT_EXPANDED,
  IG_OUTPUT_PLAIN,
};

/* "csv" and so on, any case; expanded and plain have no name. */
bool ig_output_format_parse(struct ig_str name, enum ig_output_format *ret_format);
const char *ig_output_format_name(enum ig_output_format format);

/* The format that a file's name asks for by its ending; false where it asks for none. */
bool ig_output_format_of_file(struct ig_str path, enum ig_output_format *ret_format);

/* Every name with ", " between, for messages. */
#define IG_OUTPUT_NAMES "box, csv, tsv, json, jsonl, markdown, arrow, parquet, quiet"

struct ig_box_limits {
  size_t columns_max; /* terminal columns; 0: as wide as it gets */
  size_t rows_max;    /* shown, half of them the first, half the last; 0: all */
  bool color;         /* NULL may be dimmed */
  bool bare;          /* neither types nor the number of rows */
};

/* Print the whole result in a text format (not arrow, not parquet), flush, and count its
 * rows. Returns the error of the stream or of `out`. */
IG_NODISCARD igloo_status ig_write_result(struct ig_batches *result,
                                          enum ig_output_format format,
                                          const struct ig_box_limits *limits,
                                          struct ig_out *out, int64_t *ret_rows,
                                          struct igloo_error *reterr);

/* The parts of ig_write_result, one file each. */
IG_NODISCARD igloo_status ig_write_delimited(struct ig_batches *result,
                                             enum ig_output_format format,
                                             struct ig_out *out, int64_t *ret_rows,
                                             struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_write_json(struct ig_batches *result, bool lines,
                                        struct ig_out *out, int64_t *ret_rows,
                                        struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_write_box(struct ig_batches *result,
                                       const struct ig_box_limits *limits,
                                       struct ig_out *out, int64_t *ret_rows,
                                       struct igloo_error *reterr);

/* Append "1,234,567". */
void ig_text_grouped(struct ig_buf *dst, int64_t count);

/* Append one line of text for a terminal: controls and line breaks become visible
 * escapes, ill-formed bytes U+FFFD, so that data cannot steer the terminal. Where it is
 * longer than `columns_max` (0: no limit), it is cut and ends in an ellipsis. */
void ig_text_printable(struct ig_buf *dst, struct ig_str text, size_t columns_max);
/* Whether that would leave the text as it is. */
bool ig_text_is_printable(struct ig_str text);

#endif
