/* Tests of src/shell/: what prints, reads and runs, with each of its allocations failing
 * once. Texts go to files of the scratch folder, so that the tests' own output stays
 * readable. */
#include <stdlib.h>
#include <sys/wait.h>

#include "arrow/stream.h"
#include "arrow/zone.h"
#include "shell/copy_command.h"
#include "shell/dot.h"
#include "shell/progress.h"
#include "shell/repl.h"
#include "shell/report.h"
#include "shell/shell.h"
#include "shell/statement.h"
#include "shell/terminal.h"
#include "support-files.h"

/* libedit and libtinfo keep some memory for good. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
  return "leak:wcsdup\nleak:libtinfo\n";
}

/* ---- a runner, and where the texts go ---------------------------------------------- */

static struct ig_repl repl;
static struct ig_runner *const runner = &repl.runner;
static int real_stdout = -1, real_stderr = -1;

static void redirect(int fd, const char *name, int *ret_real) {
  int file = open(in_scratch(name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  *ret_real = dup(fd);
  assert_true(file >= 0 && *ret_real >= 0);
  assert_int_equal(dup2(file, fd), fd);
  close(file);
}

static void give_back(int fd, int *real) {
  if (*real >= 0) (void)dup2(*real, fd), (void)close(*real);
  *real = -1;
}

/* What was written since the last call goes. */
static void forget_texts(void) {
  (void)!ftruncate(STDOUT_FILENO, 0), (void)lseek(STDOUT_FILENO, 0, SEEK_SET);
  (void)!ftruncate(STDERR_FILENO, 0), (void)lseek(STDERR_FILENO, 0, SEEK_SET);
}

static int set_up_files(void **state) {
  if (scratch_setup_in_memory(state)) return -1;
  (void)fflush(stdout);
  redirect(STDOUT_FILENO, "stdout", &real_stdout);
  redirect(STDERR_FILENO, "stderr", &real_stderr);
  return 0;
}

static int tear_down_files(void **state) {
  (void)fflush(stdout);
  give_back(STDOUT_FILENO, &real_stdout);
  give_back(STDERR_FILENO, &real_stderr);
  print_error("%s", get_file("stderr")); /* what a failed test said */
  return scratch_teardown(state);
}

static int set_up(void **state) {
  struct ig_target target = {.options = {{"engine.threads", "1"}}, .options_count = 1};
  if (set_up_files(state)) return -1;
  ig_repl_init(&repl);
  if (ig_runner_connect(runner, &target, &test_err) != IGLOO_OK) return -1;
  repl.names.connection = runner->connection;
  return 0;
}

static int tear_down(void **state) {
  ig_repl_done(&repl);
  return tear_down_files(state);
}

/* The runner tells its failures on stderr: out of memory must stand there, once. */
static igloo_status told(igloo_status status, struct igloo_error *reterr) {
  if (status == IGLOO_OUT_OF_MEMORY) {
    const char *text = get_file("stderr");
    if (!ig_str_ends(ig_str_from_cstr(text),
                     IG_STR("error: out of memory\nsqlstate: 53200\n")))
      fail_msg("stderr has: %s", text);
    (void)ig_fail_oom(reterr);
  } else if (status != IGLOO_OK) {
    (void)ig_fail(reterr, status, "%s", get_file("stderr"));
  }
  forget_texts();
  return status;
}

/* ---- values and formats ------------------------------------------------------------ */

/* Every type that a result can have, with a NULL of each. */
static const char every_type[] =
    "SELECT true, CAST(1 AS smallint), 2, CAST(3 AS bigint), CAST(4 AS bigint unsigned), "
    "1.5, CAST(2.5 AS real), CAST('NaN' AS double), CAST(1.25 AS decimal(10, 4)), "
    "'text, \"quoted\" | and\nbroken', arrow_cast('view', 'Utf8View'), "
    "CAST('bytes' AS bytea), DATE '2020-01-31', TIME '12:34:56.5', "
    "TIMESTAMP '2020-01-31 12:00:00', "
    "arrow_cast(TIMESTAMP '2020-01-31 12:00:00', 'Timestamp(Nanosecond, "
    "Some(\"Europe/Berlin\"))'), INTERVAL '1 month 2 days 3 hours', "
    "arrow_cast(5, 'Duration(Second)'), [1, NULL, 3], [['a'], []], "
    "{'a': 1, 'b': {'c': 'x'}}, MAP {'k': 1}, "
    "arrow_cast('dictionary', 'Dictionary(Int32, Utf8)'), "
    "arrow_cast([1, 2], 'FixedSizeList(2, Int32)') "
    "UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, "
    "NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL";

static igloo_status run_sql(void *ctx, struct igloo_error *reterr) {
  const struct ig_str *sql = ctx;
  return told(ig_runner_run(runner, *sql, 1), reterr);
}

static void a_result_in_any_format_survives_failed_allocations(void **state) {
  (void)state;
  /* tsv and jsonl are written by the functions of csv and json. */
  static const enum ig_output_format formats[] = {IG_OUTPUT_BOX, IG_OUTPUT_CSV,
                                                  IG_OUTPUT_JSON};
  struct ig_str sql = ig_str_from_cstr(every_type);
  for (size_t i = 0; i < IG_ARRAY_LEN(formats); i++) {
    runner->format = formats[i];
    assert_survives_failed_allocations(run_sql, &sql);
  }
  runner->format = IG_OUTPUT_BOX;
  runner->expanded = true;
  assert_survives_failed_allocations(run_sql, &sql);
  sql = IG_STR("EXPLAIN SELECT 1"); /* plain */
  assert_survives_failed_allocations(run_sql, &sql);
}

/* A box of more rows than it shows, as on a terminal, and one that needs them all. */
static igloo_status print_box(void *ctx, struct igloo_error *reterr) {
  const struct ig_box_limits *limits = ctx;
  IG_AUTO_STREAM rows = {0};
  IG_TRY(igloo_query(runner->connection,
                     "SELECT value AS n, CAST(value AS text) || ' text' AS s "
                     "FROM generate_series(1, 200)",
                     &rows, NULL, reterr));
  struct ig_batches result __attribute__((cleanup(ig_batches_done)));
  IG_TRY(ig_batches_open(&rows, &result, reterr));
  struct ig_out out __attribute__((cleanup(ig_out_done)));
  ig_out_init(&out, STDOUT_FILENO);
  int64_t count = 0;
  igloo_status status =
      ig_write_result(&result, IG_OUTPUT_BOX, limits, &out, &count, reterr);
  assert_int_equal(count, status == IGLOO_OK ? 200 : 0);
  forget_texts();
  return status;
}

static void a_long_box_survives_failed_allocations(void **state) {
  (void)state;
  struct ig_box_limits all = {0},
                       few = {.columns_max = 20, .rows_max = 10, .color = true};
  assert_survives_failed_allocations(print_box, &all);
  assert_survives_failed_allocations(print_box, &few);
}

/* ---- statements and scripts -------------------------------------------------------- */

static igloo_status run_script(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  return told(ig_runner_script(runner,
                               IG_STR("CREATE OR REPLACE VIEW v AS SELECT 1 AS a;\n"
                                      "SELECT * FROM v; DROP VIEW v"),
                               1),
              reterr);
}

static igloo_status run_script_file(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  char path[256];
  (void)snprintf(path, sizeof(path), "%s", in_scratch("script.sql"));
  return told(ig_runner_script_file(runner, path), reterr);
}

static void a_script_survives_failed_allocations(void **state) {
  (void)state;
  put_file("script.sql", "SELECT 1;\nSELECT 2;\n");
  assert_survives_failed_allocations(run_script, NULL);
  assert_survives_failed_allocations(run_script_file, NULL);
}

/* What a statement says after it is help, and may be missing. */
static bool run_with_tag(void *ctx) {
  (void)ctx;
  igloo_status status = ig_runner_run(runner, IG_STR("SET time_zone = 'UTC'"), 1);
  bool whole = status == IGLOO_OK && strcmp(get_file("stdout"), "SET\n") == 0;
  forget_texts();
  return whole;
}

static void a_tag_may_be_missing_without_memory(void **state) {
  (void)state;
  runner->tags = true;
  assert_does_less_without_memory(run_with_tag, NULL);
}

struct copying {
  const char *name;
  enum ig_output_format format;
};

static igloo_status copy_to_file(void *ctx, struct igloo_error *reterr) {
  const struct copying *copying = ctx;
  char path[256];
  int64_t rows = -1;
  (void)snprintf(path, sizeof(path), "%s", in_scratch(copying->name));
  igloo_status status = ig_runner_copy(runner, IG_STR("SELECT 1 AS a UNION ALL SELECT 2"),
                                       path, copying->format, &rows);
  status = told(status, reterr);
  assert_int_equal(runner->output.fd, STDOUT_FILENO);
  assert_int_equal(rows, status == IGLOO_OK ? 2 : -1);
  assert_int_equal(access(path, F_OK), status == IGLOO_OK ? 0 : -1);
  assert_int_equal(count_entries(""), status == IGLOO_OK ? 3 : 2); /* no rest is left */
  (void)unlink(path);
  return status;
}

static void a_copied_file_is_whole_or_absent(void **state) {
  (void)state;
  struct copying copies[] = {{"out.csv", IG_OUTPUT_CSV},
                             {"out.md", IG_OUTPUT_MARKDOWN},
                             {"out.arrow", IG_OUTPUT_ARROW},
                             {"out.parquet", IG_OUTPUT_PARQUET}};
  for (size_t i = 0; i < IG_ARRAY_LEN(copies); i++)
    assert_survives_failed_allocations(copy_to_file, &copies[i]);
}

/* An arrow file for stdout goes by way of a temporary one. */
static void a_binary_result_for_stdout_survives_failed_allocations(void **state) {
  (void)state;
  struct ig_str sql = IG_STR("SELECT 1 AS a");
  for (bool failed = true; failed;) {
    static int64_t successes;
    runner->output.has_result = false; /* each run is a process of its own */
    runner->format = IG_OUTPUT_ARROW;
    ig_mem_fail_after(successes++);
    igloo_status status = run_sql(&sql, &test_err);
    failed = ig_mem_fail_stop();
    assert_int_equal(status, failed ? IGLOO_OUT_OF_MEMORY : IGLOO_OK);
  }
}

static igloo_status connect_again(void *ctx, struct igloo_error *reterr) {
  struct ig_target target = {.options = {{"engine.threads", "1"}}, .options_count = 1};
  (void)ctx;
  igloo_connection *before = runner->connection;
  igloo_status status = ig_runner_connect(runner, &target, reterr);
  if (status != IGLOO_OK) assert_ptr_equal(runner->connection, before);
  repl.names.connection = runner->connection;
  return status;
}

static void a_failed_connect_keeps_the_database(void **state) {
  (void)state;
  assert_survives_failed_allocations(connect_again, NULL);
}

/* ---- the shell's lines ------------------------------------------------------------- */

struct lines {
  const char *lines[6];
};

static igloo_status type_lines(void *ctx, struct igloo_error *reterr) {
  const struct lines *typed = ctx;
  for (size_t i = 0; i < IG_ARRAY_LEN(typed->lines) && typed->lines[i]; i++) {
    igloo_status status =
        told(ig_repl_line(&repl, ig_str_from_cstr(typed->lines[i]), 1), reterr);
    if (status == IGLOO_OK) continue;
    assert_int_equal(repl.state, IG_SCAN_EMPTY); /* the next line begins anew */
    return status;
  }
  return IGLOO_OK;
}

static void every_command_survives_failed_allocations(void **state) {
  (void)state;
  put_file("script.sql", "SELECT 1;\n.mode\nSELECT 2");
  IG_AUTO_CHAR *read = ig_asprintf(".read '%s'", in_scratch("script.sql"));
  IG_AUTO_CHAR *output = ig_asprintf(".output %s", in_scratch("results.txt"));
  struct lines lines[] = {
      {{"SELECT 'a long text, so that the buffer has to grow beyond its first size',",
        "1", ";"}},
      {{".help"}},
      {{".tables"}},
      {{".tables t%"}},
      {{".schema"}},
      {{".mode"}},
      {{".mode csv", ".maxrows", ".maxrows 10", ".timer off", "\\x on", "\\x off"}},
      {{read}},
      {{output, "SELECT 1;", ".output"}},
      {{".explain SELECT 1"}},
      {{"CREATE OR REPLACE VIEW t AS SELECT 1 AS a;", "\\d t", ".schema t",
        "DROP VIEW t;"}},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(lines); i++)
    assert_survives_failed_allocations(type_lines, &lines[i]);
  assert_int_equal(ig_dot_run(&repl, IG_STR(".quit")), IGLOO_OK);
  assert_true(repl.quit);
}

static igloo_status copy_by_command(void *ctx, struct igloo_error *reterr) {
  igloo_status status = type_lines(ctx, reterr);
  (void)unlink(in_scratch("copied.csv"));
  return status;
}

static void the_copy_command_survives_failed_allocations(void **state) {
  (void)state;
  IG_AUTO_CHAR *copy =
      ig_asprintf("\\copy (SELECT 1 AS a) TO '%s'", in_scratch("copied.csv"));
  bool failed = true;
  for (int64_t successes = 0; failed; successes++) {
    struct lines typed = {{copy}};
    ig_mem_fail_after(successes);
    igloo_status status = copy_by_command(&typed, &test_err);
    failed = ig_mem_fail_stop();
    assert_int_equal(status, failed ? IGLOO_OUT_OF_MEMORY : IGLOO_OK);
  }
}

static igloo_status type_text(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  igloo_status status = ig_repl_text(&repl, IG_STR("SELECT 1;\n.mode\nSELECT\n2"));
  return told(status, reterr);
}

static void lines_of_a_pipe_survive_failed_allocations(void **state) {
  (void)state;
  assert_survives_failed_allocations(type_text, NULL);
}

/* ---- completion, history ----------------------------------------------------------- */

static void count_candidate(void *ctx, struct ig_str candidate) {
  assert_true(candidate.len > 0);
  ++*(size_t *)ctx;
}

struct completion {
  struct ig_str before, word;
  size_t expected;
};

static bool complete(void *ctx) {
  const struct completion *completion = ctx;
  size_t count = 0;
  ig_names_complete(&repl.names, completion->before, completion->word, count_candidate,
                    &count);
  return count == completion->expected;
}

static void completion_offers_less_without_memory(void **state) {
  (void)state;
  put_file("files/one.csv", "a\n");
  put_file("files/two.csv", "a\n");
  IG_AUTO_CHAR *quoted = ig_asprintf("SELECT * FROM '%s/", in_scratch("files"));
  struct completion completions[] = {
      {IG_STR(""), IG_STR("sele"), 1},
      {ig_str_from_cstr(quoted), IG_STR(""), 2},
      {IG_STR(""), IG_STR(".m"), 2},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(completions); i++)
    assert_does_less_without_memory(complete, &completions[i]);

  /* A name that could not be kept is not missing from then on. */
  bool failed = true;
  struct completion names = {IG_STR("SELECT * FROM "), IG_STR("table_na"), 1};
  /* Hundreds of functions are kept by the same two lines: not each of them. */
  for (int64_t successes = 0; failed; successes += successes < 100 ? 1 : 17) {
    ig_names_done(&repl.names);
    ig_mem_fail_after(successes);
    bool whole = complete(&names);
    failed = ig_mem_fail_stop();
    if (!failed) assert_true(whole);
    if (!complete(&names))
      fail_msg("names are missing after failed allocation %lld", (long long)successes);
  }
}

static igloo_status use_editor(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  ig_editor *editor = NULL;
  igloo_status status = ig_editor_new(NULL, NULL, &editor, reterr);
  assert_int_equal(editor == NULL, status != IGLOO_OK);
  ig_editor_free(editor);
  return status;
}

/* The statement is in the history's file, or nothing happened. */
static bool remember(void *ctx) {
  (void)ctx;
  ig_editor *editor = NULL;
  (void)unlink(in_scratch("igloo/history"));
  if (ig_editor_new(NULL, NULL, &editor, NULL) != IGLOO_OK) return false;
  ig_editor_remember(editor, IG_STR("SELECT 42"));
  ig_editor_free(editor);
  const char *kept = get_file("igloo/history");
  if (kept && !strstr(kept, "SELECT")) fail_msg("the history holds: %s", kept);
  return kept != NULL;
}

static void an_editor_without_memory_keeps_no_history(void **state) {
  (void)state;
  assert_int_equal(setenv("XDG_STATE_HOME", scratch, 1), 0);
  put_file("igloo/history", "");
  assert_does_less_without_memory(remember, NULL);
  assert_int_equal(unsetenv("XDG_STATE_HOME"), 0);
  IG_AUTO_CHAR *home = ig_strdup(getenv("HOME"));
  (void)unsetenv("HOME"); /* no history at all: only the editor itself can fail */
  assert_survives_failed_allocations(use_editor, NULL);
  if (home) assert_int_equal(setenv("HOME", home, 1), 0);
}

/* ---- small parts ------------------------------------------------------------------- */

static igloo_status open_zones(void *ctx, struct igloo_error *reterr) {
  static const char *const names[] = {"UTC", "+05:30", "Europe/Berlin",
                                      "America/New_York"};
  (void)ctx;
  for (size_t i = 0; i < IG_ARRAY_LEN(names); i++) {
    IG_AUTO(ig_zone) *zone = NULL;
    igloo_status status = ig_zone_open(ig_str_from_cstr(names[i]), &zone, reterr);
    assert_int_equal(zone == NULL, status != IGLOO_OK);
    IG_TRY(status);
  }
  return IGLOO_OK;
}

static igloo_status parse_copy(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  struct ig_copy_command command __attribute__((cleanup(ig_copy_command_done))) = {0};
  igloo_status status =
      ig_copy_command_parse(IG_STR("(SELECT 1) TO 'a.csv' csv;"), &command, reterr);
  assert_int_equal(command.sql == NULL, status != IGLOO_OK);
  IG_TRY(status);
  ig_copy_command_done(&command);
  return ig_copy_command_parse(IG_STR("s.t TO E'b\\x2ecsv'"), &command, reterr);
}

static igloo_status take_flags(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  struct ig_target target __attribute__((cleanup(ig_target_done)));
  struct ig_config *config = NULL;
  bool taken = false;
  ig_target_init(&target);
  IG_TRY(ig_target_take(&target, IG_FLAG_SET_ID, "engine.threads=2", &taken, reterr));
  IG_TRY(ig_target_take(&target, IG_FLAG_DATA_ID, "/tmp", &taken, reterr));
  IG_TRY(ig_target_config(&target, &config, reterr));
  ig_config_free(config);
  return IGLOO_OK;
}

static igloo_status write_texts(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(IG_RUNNER_ROWS_LIMIT);
  struct igloo_error error;
  (void)ig_fail(&error, IGLOO_NOT_FOUND, "no such thing");
  ig_error_hint(&error, "Look elsewhere.");
  ig_error_position(&error, 1, 8);
  ig_report_text(&error, IG_STR("SELECT nothing FROM nowhere"), 3, 30, &text);
  struct igloo_progress progress = {
      .bytes_total = 10, .bytes_scanned = 5, .spilled_bytes = 1};
  ig_progress_text(&progress, 100, &text);
  ig_statement_tag(IG_STR("CREATE OR REPLACE EXTERNAL TABLE t"), &text);
  ig_text_grouped(&text, 1234567);
  ig_json_string(&text, IG_STR("a \"b\" \n \x01"));
  ig_command_help(&ig_sql_command, &text);
  return ig_buf_check(&text, reterr);
}

static igloo_status write_file(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  struct ig_output_file output = {.fd = STDOUT_FILENO};
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(1000);
  char path[256];
  bool gone = false;
  (void)snprintf(path, sizeof(path), "%s", in_scratch("out.txt"));
  igloo_status status = ig_output_file_open(&output, path, true, reterr);
  if (status != IGLOO_OK) assert_int_equal(output.fd, STDOUT_FILENO);
  IG_TRY(status);
  assert_int_equal(write(output.fd, "text", 4), 4);
  IG_TRY(ig_output_file_commit(&output, reterr));
  IG_TRY(ig_read_whole(path, &text, reterr));
  assert_string_equal(text.data, "text");
  status = ig_output_copy(path, STDOUT_FILENO, &gone, reterr);
  forget_texts();
  return status;
}

static void the_small_parts_survive_failed_allocations(void **state) {
  (void)state;
  igloo_status (*const parts[])(void *, struct igloo_error *) = {
      open_zones, parse_copy, take_flags, write_texts, write_file};
  for (size_t i = 0; i < IG_ARRAY_LEN(parts); i++)
    assert_survives_failed_allocations(parts[i], NULL);
}

/* Even without any memory an error is told. */
static bool report(void *ctx) {
  struct igloo_error error;
  (void)ctx;
  (void)ig_fail(&error, IGLOO_NOT_FOUND, "no such thing");
  ig_report(&error, IG_STR("SELECT 1"), 1);
  const char *text = get_file("stderr");
  assert_true(ig_str_starts(ig_str_from_cstr(text), IG_STR("error: ")));
  bool whole = strcmp(text, "error: no such thing\nsqlstate: 42704\n") == 0;
  forget_texts();
  return whole;
}

static void an_error_is_told_without_memory(void **state) {
  (void)state;
  assert_does_less_without_memory(report, NULL);
}

static bool show_progress(void *ctx) {
  ig_progress *progress = ig_progress_start(ctx);
  ig_progress_stop(progress);
  return progress != NULL;
}

static void progress_is_not_shown_without_memory(void **state) {
  (void)state;
  int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  assert_true(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
  int other = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
  assert_int_equal(setenv("TERM", "xterm", 1), 0);
  assert_int_equal(dup2(other, STDERR_FILENO), STDERR_FILENO);
  assert_true(ig_terminal_can_move_cursor(STDERR_FILENO));
  assert_does_less_without_memory(show_progress, runner->connection);
  close(other);
  close(terminal);
}

/* ---- the two commands, each in a process of its own -------------------------------- */

/* The exit code of a command whose allocation after `successes` fails; *ret_failed is
 * false where it got through. */
static int run_command(const struct ig_command *command, char **argv, int64_t successes,
                       bool *ret_failed) {
  enum { FAILED = 64 };
  int argc = 0, wait_status = -1;
  while (argv[argc]) argc++;
  pid_t child = fork();
  if (child == 0) {
    ig_mem_fail_after(successes);
    int code = command->run(argc, argv);
    _exit(code | (ig_mem_fail_stop() ? FAILED : 0));
  }
  assert_int_equal(waitpid(child, &wait_status, 0), child);
  if (!WIFEXITED(wait_status))
    fail_msg("failed allocation %lld ended it with signal %d", (long long)successes,
             WTERMSIG(wait_status));
  *ret_failed = (WEXITSTATUS(wait_status) & FAILED) != 0;
  return WEXITSTATUS(wait_status) & ~FAILED;
}

static void assert_command_survives(const struct ig_command *command, char **argv) {
  bool failed = true;
  /* Opening has hundreds of allocations, which other tests go through one by one. */
  for (int64_t successes = 0; failed; successes += successes < 20 ? 1 : 7) {
    int code = run_command(command, argv, successes, &failed);
    const char *text = get_file("stderr");
    bool says = strstr(text, "error: out of memory") != NULL;
    if (failed ? code == 0 || !says : code != 0)
      fail_msg("failed allocation %lld: exit code %d, stderr: %s", (long long)successes,
               code, text);
    forget_texts();
  }
}

static void a_command_without_memory_says_so_and_ends(void **state) {
  (void)state;
  char sql[] = "sql", c[] = "-c", text[] = "SELECT 1", set[] = "--set",
       key[] = "engine.threads=1", output[] = "-o", shell[] = "igloo";
  IG_AUTO_CHAR *path = ig_strdup(in_scratch("out.csv"));
  char *sql_argv[] = {sql, set, key, c, text, output, path, NULL};
  char *shell_argv[] = {shell, set, key, NULL};
  assert_command_survives(&ig_sql_command, sql_argv);
  int script = open(in_scratch("script"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  assert_int_equal(dup2(script, STDIN_FILENO), STDIN_FILENO); /* empty */
  close(script);
  assert_command_survives(&ig_shell_command, shell_argv);
}

int main(void) {
#define WITH_FILES(name) \
  cmocka_unit_test_setup_teardown(name, set_up_files, tear_down_files)
#define WITH_SHELL(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      /* First, while there is one thread: these fork. */
      WITH_FILES(a_command_without_memory_says_so_and_ends),
      WITH_FILES(the_small_parts_survive_failed_allocations),
      WITH_FILES(an_error_is_told_without_memory),
      WITH_FILES(an_editor_without_memory_keeps_no_history),
      WITH_SHELL(a_result_in_any_format_survives_failed_allocations),
      WITH_SHELL(a_long_box_survives_failed_allocations),
      WITH_SHELL(a_script_survives_failed_allocations),
      WITH_SHELL(a_tag_may_be_missing_without_memory),
      WITH_SHELL(a_copied_file_is_whole_or_absent),
      WITH_SHELL(a_binary_result_for_stdout_survives_failed_allocations),
      WITH_SHELL(a_failed_connect_keeps_the_database),
      WITH_SHELL(every_command_survives_failed_allocations),
      WITH_SHELL(the_copy_command_survives_failed_allocations),
      WITH_SHELL(lines_of_a_pipe_survive_failed_allocations),
      WITH_SHELL(completion_offers_less_without_memory),
      WITH_SHELL(progress_is_not_shown_without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
