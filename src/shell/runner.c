/* runner.c -- see runner.h. */
#include "shell/runner.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "files/tmpdir.h"
#include "shell/interrupt.h"
#include "shell/progress.h"
#include "shell/report.h"
#include "shell/statement.h"
#include "shell/terminal.h"
#include "sql/split.h"

void ig_runner_init(struct ig_runner *runner) {
  *runner =
      (struct ig_runner){.rows_max = IG_RUNNER_ROWS_MAX, .output.fd = STDOUT_FILENO};
}

static void disconnect(struct ig_runner *runner) {
  runner->connection = igloo_disconnect(runner->connection);
  runner->database = igloo_database_close(runner->database);
}

void ig_runner_done(struct ig_runner *runner) {
  ig_output_file_discard(&runner->output);
  disconnect(runner);
}

igloo_status ig_runner_connect(struct ig_runner *runner, const struct ig_target *target,
                               struct igloo_error *reterr) {
  igloo_database *database = NULL;
  igloo_connection *connection = NULL;
  IG_TRY(igloo_database_open(target->uri, target->options, target->options_count,
                             &database, reterr));
  igloo_status status = igloo_connect(database, &connection, reterr);
  if (status != IGLOO_OK) {
    (void)igloo_database_close(database);
    return status;
  }
  disconnect(runner);
  runner->database = database;
  runner->connection = connection;
  return IGLOO_OK;
}

/* ---- one statement ----------------------------------------------------------------- */

/* What has to happen before the first output of a statement, and after its last. */
struct stage {
  struct ig_runner *runner;
  ig_progress *progress;
  struct ig_pager pager;
  bool on_terminal;
};

static size_t count_lines(struct ig_str text) {
  size_t lines = 0;
  for (size_t i = 0; i < text.len; i++) lines += text.data[i] == '\n';
  return lines;
}

static void before_output(struct ig_out *out, void *ctx) {
  struct stage *stage = ctx;
  if (!stage->on_terminal) return;
  stage->progress = ig_progress_stop(stage->progress);
  bool is_long = out->text.len >= IG_OUT_RELIEVE_BYTES ||
                 count_lines(ig_buf_str(&out->text)) >= ig_terminal_rows(out->fd);
  if (stage->runner->pager && is_long && ig_pager_open(&stage->pager, NULL) == IGLOO_OK)
    out->fd = stage->pager.fd;
}

static void stage_end(struct stage *stage) {
  stage->progress = ig_progress_stop(stage->progress);
  ig_pager_close(&stage->pager);
}

/* A file of one result; the standard output gets it by way of a temporary file. */
static igloo_status write_file(struct ig_runner *runner, struct ArrowArrayStream *rows,
                               struct igloo_error *reterr) {
  struct ig_output_file *output = &runner->output;
  const char *format = ig_output_format_name(runner->format);
  if (output->has_result) {
    rows->release(rows);
    return ig_fail(reterr, IGLOO_UNSUPPORTED, "the %s format holds one result", format);
  }
  if (!output->path && (runner->format == IG_OUTPUT_PARQUET || isatty(output->fd))) {
    rows->release(rows);
    (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "%s needs a file to be written to",
                  format);
    ig_error_hint(reterr, "Name one: -o FILE, or in the shell .output FILE.");
    return IGLOO_INVALID_ARGUMENT;
  }
  output->has_result = true;
  if (output->path)
    return igloo_write_stream(runner->connection, rows, output->path, format,
                              output->replace, &runner->rows, reterr);
  IG_AUTO(ig_tmpdir) *folder = NULL;
  igloo_status status = ig_tmpdir_new(NULL, &folder, reterr);
  if (status != IGLOO_OK) {
    rows->release(rows);
    return status;
  }
  IG_AUTO_CHAR *path = ig_asprintf("%s/result", ig_tmpdir_path(folder));
  if (!path) {
    rows->release(rows);
    return ig_fail_oom(reterr);
  }
  IG_TRY(igloo_write_stream(runner->connection, rows, path, format, 0, &runner->rows,
                            reterr));
  return ig_output_copy(path, output->fd, &runner->reader_gone, reterr);
}

static enum ig_output_format format_for(const struct ig_runner *runner,
                                        struct ig_str sql) {
  if (runner->format != IG_OUTPUT_BOX) return runner->format;
  if (ig_statement_is_explain(sql)) return IG_OUTPUT_PLAIN;
  return runner->expanded ? IG_OUTPUT_EXPANDED : IG_OUTPUT_BOX;
}

static igloo_status print_result(struct ig_runner *runner, struct ig_batches *result,
                                 struct ig_str sql, struct stage *stage,
                                 struct igloo_error *reterr) {
  struct ig_out out __attribute__((cleanup(ig_out_done)));
  ig_out_init(&out, runner->output.fd);
  out.before_first_write = before_output;
  out.ctx = stage;
  struct ig_box_limits limits = {0};
  if (stage->on_terminal)
    limits = (struct ig_box_limits){.columns_max = ig_terminal_columns(out.fd),
                                    .rows_max = runner->rows_max,
                                    .color = ig_terminal_can_color(out.fd)};
  igloo_status status = ig_write_result(result, format_for(runner, sql), &limits, &out,
                                        &runner->rows, reterr);
  if (!out.reader_gone) return status;
  /* Who leaves a pager has seen enough; who closes our stdout wants nothing more. */
  runner->reader_gone = stage->pager.pid == 0;
  return IGLOO_OK;
}

/* After a failure in the middle of a stream, the stream itself knows it best. */
static igloo_status stream_failure(struct ArrowArrayStream *rows, igloo_status status,
                                   struct igloo_error *reterr) {
  struct igloo_error better;
  if (status == IGLOO_OK || !rows->release) return status;
  igloo_status told = igloo_stream_error(rows, &better);
  if (told == IGLOO_OK || told == IGLOO_INVALID_ARGUMENT) return status;
  *reterr = better;
  return told;
}

static void print_tag(struct ig_str sql, int64_t affected) {
  IG_AUTO_DONE(ig_buf) tag = IG_BUF_INIT(IG_KIB);
  ig_statement_tag(sql, &tag);
  if (tag.len == 0 || ig_buf_check(&tag, NULL) != IGLOO_OK) return;
  if (affected >= 0) ig_buf_append_fmt(&tag, " %lld", (long long)affected);
  struct ig_out out __attribute__((cleanup(ig_out_done)));
  ig_out_init(&out, STDOUT_FILENO); /* it is no data: not into a file of results */
  ig_buf_append_str(&out.text, ig_buf_str(&tag));
  ig_buf_append_char(&out.text, '\n');
  igloo_status ignored = ig_out_flush(&out, NULL);
  (void)ignored; /* the next result will say that nobody reads */
}

static igloo_status run_and_print(struct ig_runner *runner, struct ig_str sql,
                                  struct stage *stage, struct igloo_error *reterr) {
  IG_AUTO_CHAR *text = ig_str_dup(sql);
  if (!text) return ig_fail_oom(reterr);
  if (strlen(text) != sql.len)
    return ig_fail(reterr, IGLOO_SYNTAX_ERROR, "the statement holds a NUL byte");
  IG_AUTO_STREAM rows = {0};
  int64_t affected = -1;
  IG_TRY(igloo_query(runner->connection, text, &rows, &affected, reterr));

  struct ig_batches result __attribute__((cleanup(ig_batches_done)));
  igloo_status status = ig_batches_open(&rows, &result, reterr);
  if (status != IGLOO_OK) return stream_failure(&rows, status, reterr);
  if (result.columns_count == 0) {
    runner->ran_without_result = true;
    bool more = true; /* a statement without a result ends with its stream */
    while (status == IGLOO_OK && more) status = ig_batches_next(&result, &more, reterr);
    status = stream_failure(&rows, status, reterr);
    stage->progress = ig_progress_stop(stage->progress);
    if (status == IGLOO_OK && runner->tags) print_tag(sql, affected);
    return status;
  }
  if (runner->format == IG_OUTPUT_ARROW || runner->format == IG_OUTPUT_PARQUET)
    return write_file(runner, &rows, reterr);
  status = print_result(runner, &result, sql, stage, reterr);
  return stream_failure(&rows, status, reterr);
}

igloo_status ig_runner_run(struct ig_runner *runner, struct ig_str sql,
                           int32_t first_line) {
  struct igloo_error error;
  struct stage stage = {.runner = runner, .on_terminal = isatty(runner->output.fd)};
  int64_t started_us = ig_now_us();
  ig_interrupt_watch(runner->connection);
  stage.progress = ig_progress_start(runner->connection);
  igloo_status status = run_and_print(runner, sql, &stage, &error);
  ig_interrupt_watch(NULL);
  int64_t took_us = ig_now_us() - started_us; /* without the reader of the pager */
  stage_end(&stage);
  if (status != IGLOO_OK) ig_report(&error, sql, first_line);
  if (runner->timing)
    ig_report_note("Time: %.3f s\n", (double)took_us / (double)IG_US_PER_S);
  return status;
}

igloo_status ig_runner_script(struct ig_runner *runner, struct ig_str script,
                              int32_t first_line) {
  struct ig_sql_splitter splitter;
  ig_sql_splitter_init(&splitter, script);
  while (!runner->reader_gone) {
    if (ig_interrupt_is_ending() || ig_interrupt_take()) return IGLOO_CANCELLED;
    struct igloo_error error;
    struct ig_sql_piece piece;
    igloo_status status = ig_sql_split_next(&splitter, &piece, &error);
    if (status != IGLOO_OK) {
      ig_report(&error, script, first_line);
      return status;
    }
    if (piece.text.len == 0) return IGLOO_OK;
    IG_TRY(ig_runner_run(runner, piece.text, first_line + piece.line - 1));
  }
  return IGLOO_OK;
}

igloo_status ig_runner_script_file(struct ig_runner *runner, const char *path) {
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(IG_SQL_BYTES_LIMIT);
  struct igloo_error error;
  igloo_status status = ig_read_whole(path, &text, &error);
  if (status == IGLOO_OK) return ig_runner_script(runner, ig_buf_str(&text), 1);
  ig_report(&error, IG_STR(""), 1);
  return status;
}

static igloo_status report(igloo_status status, const struct igloo_error *error) {
  if (status != IGLOO_OK) ig_report(error, IG_STR(""), 1);
  return status;
}

igloo_status ig_runner_copy(struct ig_runner *runner, struct ig_str sql, const char *path,
                            enum ig_output_format format, int64_t *ret_rows) {
  struct igloo_error error;
  struct ig_output_file output = {.fd = STDOUT_FILENO}, before = runner->output;
  enum ig_output_format format_before = runner->format;
  IG_TRY(report(ig_output_file_open(&output, path, false, &error), &error));
  runner->output = output;
  runner->format = format;
  igloo_status status = ig_runner_run(runner, sql, 1);
  if (status == IGLOO_OK) {
    status = report(ig_output_file_commit(&runner->output, &error), &error);
  } else {
    ig_output_file_discard(&runner->output);
  }
  runner->output = before;
  runner->format = format_before;
  if (status == IGLOO_OK) *ret_rows = runner->rows;
  return status;
}
