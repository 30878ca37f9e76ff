/* dot.c -- see dot.h. One table; each command is one function. */
#include "shell/dot.h"

#include <unistd.h>

#include "base/parse.h"
#include "shell/copy_command.h"
#include "shell/repl.h"
#include "shell/report.h"
#include "sql/quote.h"

#define NAMES_MAX ((size_t)64)
#define SQL_BYTES_MAX ((size_t)1 << 20)

typedef igloo_status (*command_fn)(struct ig_repl *repl, struct ig_str argument,
                                   struct igloo_error *reterr);

/* Statements report their failures themselves: ig_dot_run() must not do it again. */
static igloo_status fail_reported(struct igloo_error *reterr, igloo_status status) {
  return ig_fail(reterr, status, "%s", "");
}

static igloo_status run_sql(struct ig_repl *repl, const char *sql,
                            struct igloo_error *reterr) {
  igloo_status status = ig_runner_run(&repl->runner, ig_str_from_cstr(sql), 1);
  return status == IGLOO_OK ? IGLOO_OK : fail_reported(reterr, status);
}

static igloo_status print(struct ig_repl *repl, const char *text,
                          struct igloo_error *reterr) {
  struct ig_out out __attribute__((cleanup(ig_out_done)));
  ig_out_init(&out, STDOUT_FILENO); /* it is no result: not into the file of .output */
  ig_buf_append_cstr(&out.text, text);
  igloo_status status = ig_out_flush(&out, reterr);
  repl->runner.reader_gone = out.reader_gone;
  return out.reader_gone ? IGLOO_OK : status;
}

/* ---- the commands ------------------------------------------------------------------ */

static igloo_status run_tables(struct ig_repl *repl, struct ig_str argument,
                               struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) sql = IG_BUF_INIT(SQL_BYTES_MAX);
  ig_buf_append_cstr(&sql, "SHOW TABLES");
  if (argument.len > 0) {
    ig_buf_append_cstr(&sql, " LIKE ");
    ig_sql_append_literal(&sql, argument);
  }
  IG_TRY(ig_buf_check(&sql, reterr));
  return run_sql(repl, sql.data, reterr);
}

static igloo_status run_with_rest(struct ig_repl *repl, const char *start,
                                  struct ig_str rest, struct igloo_error *reterr) {
  IG_AUTO_CHAR *sql = ig_asprintf("%s %.*s", start, IG_STR_ARG(rest));
  return sql ? run_sql(repl, sql, reterr) : ig_fail_oom(reterr);
}

static igloo_status run_describe(struct ig_repl *repl, struct ig_str argument,
                                 struct igloo_error *reterr) {
  if (argument.len == 0) return run_tables(repl, argument, reterr);
  return run_with_rest(repl, "DESCRIBE", argument, reterr);
}

static igloo_status run_schema(struct ig_repl *repl, struct ig_str argument,
                               struct igloo_error *reterr) {
  if (argument.len > 0) return run_with_rest(repl, "SHOW CREATE TABLE", argument, reterr);
  return run_sql(repl,
                 "SELECT table_name, column_name, data_type, is_nullable "
                 "FROM information_schema.columns "
                 "WHERE table_schema NOT IN ('information_schema', 'system') "
                 "ORDER BY table_name, ordinal_position",
                 reterr);
}

static igloo_status run_mode(struct ig_repl *repl, struct ig_str argument,
                             struct igloo_error *reterr) {
  enum ig_output_format format;
  if (argument.len == 0) {
    IG_AUTO_CHAR *text = ig_asprintf("%s\n", ig_output_format_name(repl->runner.format));
    return text ? print(repl, text, reterr) : ig_fail_oom(reterr);
  }
  if (ig_output_format_parse(argument, &format)) {
    repl->runner.format = format;
    return IGLOO_OK;
  }
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "unknown mode \"%.*s\"",
                IG_STR_ARG(argument));
  ig_error_hint(reterr, "Modes are " IG_OUTPUT_NAMES ".");
  return IGLOO_INVALID_ARGUMENT;
}

/* Without an argument the setting is turned. */
static igloo_status take_switch(struct ig_str argument, bool *setting,
                                struct igloo_error *reterr) {
  if (argument.len == 0) {
    *setting = !*setting;
    return IGLOO_OK;
  }
  if (ig_parse_bool(argument, setting, NULL) == IGLOO_OK) return IGLOO_OK;
  return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "\"%.*s\" is neither on nor off",
                 IG_STR_ARG(argument));
}

static igloo_status run_timer(struct ig_repl *repl, struct ig_str argument,
                              struct igloo_error *reterr) {
  return take_switch(argument, &repl->runner.timing, reterr);
}

static igloo_status run_expanded(struct ig_repl *repl, struct ig_str argument,
                                 struct igloo_error *reterr) {
  IG_TRY(take_switch(argument, &repl->runner.expanded, reterr));
  return print(
      repl,
      repl->runner.expanded ? "Expanded display is on.\n" : "Expanded display is off.\n",
      reterr);
}

static igloo_status run_maxrows(struct ig_repl *repl, struct ig_str argument,
                                struct igloo_error *reterr) {
  uint64_t rows = 0;
  if (argument.len == 0) {
    IG_AUTO_CHAR *text = ig_asprintf("%zu\n", repl->runner.rows_max);
    return text ? print(repl, text, reterr) : ig_fail_oom(reterr);
  }
  if (ig_parse_u64(argument, &rows, NULL) != IGLOO_OK || rows > IG_RUNNER_ROWS_LIMIT)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "\"%.*s\" is not a number of rows up to %zu", IG_STR_ARG(argument),
                   IG_RUNNER_ROWS_LIMIT);
  repl->runner.rows_max = (size_t)rows;
  return IGLOO_OK;
}

static igloo_status run_read(struct ig_repl *repl, struct ig_str argument,
                             struct igloo_error *reterr) {
  if (argument.len == 0)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "a file's name is missing");
  if (repl->read_depth == IG_REPL_READ_DEPTH_MAX)
    return ig_fail(reterr, IGLOO_RESOURCE_EXHAUSTED, "files read each other over %d deep",
                   IG_REPL_READ_DEPTH_MAX);
  IG_AUTO_CHAR *path = ig_str_dup(argument);
  if (!path) return ig_fail_oom(reterr);
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(repl->pending.max);
  IG_TRY(ig_read_whole(path, &text, reterr));
  ig_editor *editor = repl->editor;
  repl->editor = NULL; /* a file's statements are no history */
  repl->read_depth++;
  igloo_status status = ig_repl_text(repl, ig_buf_str(&text));
  repl->read_depth--;
  repl->editor = editor;
  if (status == IGLOO_OK) return IGLOO_OK;
  ig_repl_clear(repl);
  return fail_reported(reterr, status);
}

static igloo_status run_output(struct ig_repl *repl, struct ig_str argument,
                               struct igloo_error *reterr) {
  IG_TRY(ig_output_file_commit(&repl->runner.output, reterr));
  if (argument.len == 0) return IGLOO_OK;
  IG_AUTO_CHAR *path = ig_str_dup(argument);
  if (!path) return ig_fail_oom(reterr);
  return ig_output_file_open(&repl->runner.output, path, true, reterr);
}

static igloo_status run_connect(struct ig_repl *repl, struct ig_str argument,
                                struct igloo_error *reterr) {
  IG_AUTO_CHAR *uri = ig_str_dup(argument);
  if (!uri) return ig_fail_oom(reterr);
  struct ig_target target = {.uri = uri[0] ? uri : NULL};
  IG_TRY(ig_runner_connect(&repl->runner, &target, reterr));
  ig_names_done(&repl->names);
  repl->names.connection = repl->runner.connection;
  return IGLOO_OK;
}

static igloo_status run_explain(struct ig_repl *repl, struct ig_str argument,
                                struct igloo_error *reterr) {
  if (argument.len == 0)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "a statement is missing");
  while (ig_str_ends(argument, IG_STR(";"))) argument.len--;
  return run_with_rest(repl, "EXPLAIN", argument, reterr);
}

static igloo_status run_cache(struct ig_repl *repl, struct ig_str argument,
                              struct igloo_error *reterr) {
  (void)argument;
  return run_sql(repl, "SHOW CACHE", reterr);
}

static igloo_status run_queries(struct ig_repl *repl, struct ig_str argument,
                                struct igloo_error *reterr) {
  (void)argument;
  return run_sql(repl, "SHOW QUERIES", reterr);
}

static igloo_status run_copy(struct ig_repl *repl, struct ig_str argument,
                             struct igloo_error *reterr) {
  struct ig_copy_command command __attribute__((cleanup(ig_copy_command_done))) = {0};
  IG_TRY(ig_copy_command_parse(argument, &command, reterr));
  int64_t rows = 0;
  igloo_status status = ig_runner_copy(&repl->runner, ig_str_from_cstr(command.sql),
                                       command.path, command.format, &rows);
  if (status != IGLOO_OK) return fail_reported(reterr, status);
  IG_AUTO_CHAR *text = ig_asprintf("COPY %lld\n", (long long)rows);
  return text ? print(repl, text, reterr) : ig_fail_oom(reterr);
}

static igloo_status run_quit(struct ig_repl *repl, struct ig_str argument,
                             struct igloo_error *reterr) {
  (void)argument, (void)reterr;
  repl->quit = true;
  return IGLOO_OK;
}

static igloo_status run_help(struct ig_repl *repl, struct ig_str argument,
                             struct igloo_error *reterr);

struct command {
  const char *name;
  const char *argument; /* for help; NULL: an alias that help leaves out */
  const char *help;
  command_fn run;
  bool takes_file;
};

static const struct command commands[] = {
    {".help", "", "this text", run_help, false},
    {".tables", "[PATTERN]", "tables and views, or those like PATTERN", run_tables,
     false},
    {".schema", "[TABLE]", "columns of every table, or what made TABLE", run_schema,
     false},
    {".mode", "[FORMAT]", "form of results: box, csv, tsv, json, markdown …", run_mode,
     false},
    {".maxrows", "[N]", "rows of a box; 0 is all", run_maxrows, false},
    {".timer", "[on|off]", "say how long each statement took", run_timer, false},
    {".read", "FILE", "run the statements and commands of a file", run_read, true},
    {".output", "[FILE]", "write results to a file, or to the terminal again", run_output,
     true},
    {".connect", "[URI]", "leave this database for another, or for a new one",
     run_connect, false},
    {".explain", "SQL", "show the plan of a statement", run_explain, false},
    {".cache", "", "what is in the cache", run_cache, false},
    {".queries", "", "what runs now", run_queries, false},
    {".quit", "", "leave (also quit, exit, \\q and Ctrl-D)", run_quit, false},
    {"\\x", "[on|off]", "one line for each value", run_expanded, false},
    {"\\d", "[TABLE]", "tables, or the columns of TABLE", run_describe, false},
    {"\\copy", "(QUERY) TO 'FILE' [FORMAT]", "write a result to a file here", run_copy,
     false},
    {".exit", NULL, NULL, run_quit, false},
    {"\\q", NULL, NULL, run_quit, false},
    {"\\?", NULL, NULL, run_help, false},
    {"\\dt", NULL, NULL, run_tables, false},
    {"\\i", NULL, NULL, run_read, true},
    {"\\o", NULL, NULL, run_output, true},
    {"\\timing", NULL, NULL, run_timer, false},
};

static igloo_status run_help(struct ig_repl *repl, struct ig_str argument,
                             struct igloo_error *reterr) {
  (void)argument;
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(SQL_BYTES_MAX);
  size_t width = 0;
  for (size_t i = 0; i < IG_ARRAY_LEN(commands); i++) {
    if (!commands[i].argument) continue;
    size_t len = strlen(commands[i].name) + 1 + strlen(commands[i].argument);
    if (len > width) width = len;
  }
  ig_buf_append_cstr(&text,
                     "SQL ends with a semicolon; Ctrl-C cancels it, Tab completes.\n\n");
  for (size_t i = 0; i < IG_ARRAY_LEN(commands); i++) {
    if (!commands[i].argument) continue;
    size_t start = text.len;
    ig_buf_append_fmt(&text, "%s %s", commands[i].name, commands[i].argument);
    ig_buf_append_repeat(&text, ' ', width + 2 - (text.len - start));
    ig_buf_append_fmt(&text, "%s\n", commands[i].help);
  }
  IG_TRY(ig_buf_check(&text, reterr));
  return print(repl, text.data, reterr);
}

/* ---- finding them ------------------------------------------------------------------ */

struct ig_dot_line ig_dot_parse(struct ig_str line) {
  struct ig_dot_line out;
  line = ig_str_trim(line);
  size_t end = 0;
  while (end < line.len && !ig_ascii_is_space(line.data[end])) end++;
  out.name = ig_str_sub(line, 0, end);
  out.argument = ig_str_trim(ig_str_sub(line, end, SIZE_MAX));
  /* As in psql and sqlite3, where a semicolon is often typed out of habit. */
  if (out.argument.len == 0 && ig_str_ends(out.name, IG_STR(";"))) out.name.len--;
  struct ig_str text = out.argument;
  char quote = text.len >= 2 ? text.data[0] : '\0';
  if ((quote == '\'' || quote == '"') && text.data[text.len - 1] == quote &&
      ig_str_find_char(ig_str_sub(text, 1, text.len - 2), quote) == IG_STR_NONE)
    out.argument = ig_str_sub(text, 1, text.len - 2);
  return out;
}

static const struct command *find_command(struct ig_str name) {
  for (size_t i = 0; i < IG_ARRAY_LEN(commands); i++)
    if (ig_str_eq_cstr(name, commands[i].name)) return &commands[i];
  return NULL;
}

static igloo_status fail_unknown(struct ig_str name, struct igloo_error *reterr) {
  const char *names[NAMES_MAX];
  static_assert(IG_ARRAY_LEN(commands) <= NAMES_MAX, "the list of names is too short");
  for (size_t i = 0; i < IG_ARRAY_LEN(commands); i++) names[i] = commands[i].name;
  const char *nearest = ig_str_nearest(name, names, IG_ARRAY_LEN(commands));
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "unknown command \"%.*s\"",
                IG_STR_ARG(name));
  if (nearest) {
    ig_error_hint(reterr, "Did you mean %s? See .help.", nearest);
  } else {
    ig_error_hint(reterr, "See .help.");
  }
  return IGLOO_INVALID_ARGUMENT;
}

igloo_status ig_dot_run(struct ig_repl *repl, struct ig_str line) {
  struct ig_dot_line parsed = ig_dot_parse(line);
  struct igloo_error error;
  const struct command *command = find_command(parsed.name);
  igloo_status status = command ? command->run(repl, parsed.argument, &error)
                                : fail_unknown(parsed.name, &error);
  if (status != IGLOO_OK && error.message[0]) ig_report(&error, IG_STR(""), 1);
  return status;
}

void ig_dot_names(struct ig_str word, void (*add)(void *ctx, struct ig_str name),
                  void *ctx) {
  for (size_t i = 0; i < IG_ARRAY_LEN(commands); i++) {
    struct ig_str name = ig_str_from_cstr(commands[i].name);
    if (commands[i].argument && ig_str_starts(name, word)) add(ctx, name);
  }
}

bool ig_dot_takes_file(struct ig_str before) {
  size_t end = ig_str_find_char(before, ' ');
  if (end == IG_STR_NONE) return false;
  const struct command *command = find_command(ig_str_sub(before, 0, end));
  return command && command->takes_file;
}
