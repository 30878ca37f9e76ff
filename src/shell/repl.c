/* repl.c -- see repl.h. */
#include "shell/repl.h"

#include "base/limits.h"
#include "shell/dot.h"
#include "shell/interrupt.h"
#include "shell/report.h"
#include "shell/statement.h"

void ig_repl_init(struct ig_repl *repl) {
  *repl = (struct ig_repl){.pending = IG_BUF_INIT(IG_SQL_BYTES_LIMIT)};
  ig_runner_init(&repl->runner);
  ig_sql_scan_init(&repl->scan);
}

void ig_repl_done(struct ig_repl *repl) {
  repl->editor = ig_editor_free(repl->editor);
  ig_names_done(&repl->names);
  ig_buf_done(&repl->pending);
  ig_runner_done(&repl->runner);
}

void ig_repl_clear(struct ig_repl *repl) {
  ig_buf_clear(&repl->pending);
  ig_sql_scan_init(&repl->scan);
  repl->state = IG_SCAN_EMPTY;
}

static igloo_status run_pending(struct ig_repl *repl) {
  IG_AUTO_DONE(ig_buf) script = repl->pending;
  int32_t line = repl->pending_line;
  ig_buf_init(&repl->pending, IG_SQL_BYTES_LIMIT);
  ig_repl_clear(repl);
  struct ig_str text = ig_str_trim(ig_buf_str(&script));
  if (repl->editor && !ig_statement_has_secret(text))
    ig_editor_remember(repl->editor, text);
  igloo_status status = ig_runner_script(&repl->runner, ig_buf_str(&script), line);
  if (repl->runner.ran_without_result) repl->names.fresh = false;
  repl->runner.ran_without_result = false;
  return status;
}

static igloo_status report_oom(struct ig_repl *repl) {
  struct igloo_error error;
  igloo_status status = ig_buf_check(&repl->pending, &error);
  if (status != IGLOO_OK) {
    ig_report(&error, IG_STR(""), 1);
    ig_repl_clear(repl);
  }
  return status;
}

/* As in psql, a person may leave or ask for help by a word alone: no statement is one. */
static struct ig_str word_command(struct ig_str line) {
  struct ig_str word = ig_str_trim(line);
  if (ig_str_ends(word, IG_STR(";"))) word.len--;
  if (ig_str_eq_cstr(word, "help")) return IG_STR(".help");
  if (ig_str_eq_cstr(word, "quit") || ig_str_eq_cstr(word, "exit"))
    return IG_STR(".quit");
  return ig_str_trim(line);
}

igloo_status ig_repl_line(struct ig_repl *repl, struct ig_str line, int32_t number) {
  if (repl->state == IG_SCAN_EMPTY) {
    struct ig_str trimmed = repl->editor ? word_command(line) : ig_str_trim(line);
    if (trimmed.len > 0 && (trimmed.data[0] == '.' || trimmed.data[0] == '\\')) {
      if (repl->editor && !ig_statement_has_secret(trimmed))
        ig_editor_remember(repl->editor, trimmed);
      ig_repl_clear(repl); /* blank lines and comments before it */
      return ig_dot_run(repl, trimmed);
    }
    if (repl->pending.len == 0) repl->pending_line = number;
  }
  ig_buf_append_str(&repl->pending, line);
  ig_buf_append_char(&repl->pending, '\n');
  IG_TRY(report_oom(repl));
  repl->state = ig_sql_scan_more(&repl->scan, ig_buf_str(&repl->pending));
  return repl->state == IG_SCAN_COMPLETE ? run_pending(repl) : IGLOO_OK;
}

igloo_status ig_repl_text(struct ig_repl *repl, struct ig_str text) {
  struct ig_str line = {0}, rest = text;
  int32_t number = 1;
  for (bool more = text.len > 0; more && !repl->quit; number++) {
    if (repl->runner.reader_gone) return IGLOO_OK;
    if (ig_interrupt_is_ending() || ig_interrupt_take()) return IGLOO_CANCELLED;
    more = ig_str_split(rest, '\n', &line, &rest);
    IG_TRY(ig_repl_line(repl, line, number));
  }
  return repl->state == IG_SCAN_EMPTY || repl->quit ? IGLOO_OK : run_pending(repl);
}

const char *ig_repl_prompt(const struct ig_repl *repl) {
  switch (repl->state) {
    case IG_SCAN_EMPTY:
    case IG_SCAN_COMPLETE:
      break;
    case IG_SCAN_PARENS:
      return "igloo(> ";
    case IG_SCAN_STRING:
      return "igloo'> ";
    case IG_SCAN_QUOTED_NAME:
      return "igloo\"> ";
    case IG_SCAN_DOLLAR:
      return "igloo$> ";
    case IG_SCAN_COMMENT:
      return "igloo*> ";
    case IG_SCAN_STATEMENT:
      return "igloo-> ";
  }
  return repl->pending.len > 0 && repl->state != IG_SCAN_EMPTY ? "igloo-> " : "igloo> ";
}
