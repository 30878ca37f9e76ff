/* sql_command.c -- `igloo sql`: see shell.h. */
#include <unistd.h>

#include "base/limits.h"
#include "shell/interrupt.h"
#include "shell/report.h"
#include "shell/runner.h"
#include "shell/shell.h"

#define INPUTS_MAX ((size_t)1000)

enum { FLAG_COMMAND = 1, FLAG_FILE, FLAG_FORMAT, FLAG_OUTPUT, FLAG_TIMER };

static const struct ig_flag flags[] = {
    {FLAG_COMMAND, 'c', "--command", "SQL", NULL,
     "run these statements; may be repeated"},
    {FLAG_FILE, 'f', "--file", "FILE", NULL, "run the statements of a file (`-`: stdin)"},
    {FLAG_FORMAT, 0, "--format", "F",
     "box csv tsv json jsonl markdown arrow parquet quiet",
     "box, csv, tsv, json, jsonl, markdown, arrow, parquet or quiet"},
    {FLAG_OUTPUT, 'o', "--output", "FILE", NULL, "write results to a file, replacing it"},
    {FLAG_TIMER, 0, "--timer", NULL, NULL, "say on stderr how long each statement took"},
    IG_TARGET_FLAGS,
    IG_FLAG_HELP,
    {0}};

struct input {
  bool is_file;
  const char *text; /* SQL, or the file's name */
};

struct request {
  struct input inputs[INPUTS_MAX];
  size_t inputs_count;
  bool format_given;
  enum ig_output_format format;
  const char *output;
  bool timing, help;
  struct ig_target target;
};

static igloo_status add_input(struct request *request, bool is_file, const char *text,
                              struct igloo_error *reterr) {
  if (request->inputs_count == INPUTS_MAX)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "more than %zu scripts are given",
                   INPUTS_MAX);
  request->inputs[request->inputs_count++] = (struct input){is_file, text};
  return IGLOO_OK;
}

static igloo_status take_word(struct request *request, const char *word,
                              struct igloo_error *reterr) {
  if (strcmp(word, "-") == 0) return add_input(request, true, word, reterr);
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "unexpected argument \"%s\"", word);
  ig_error_hint(reterr, "SQL follows -c, the name of a file -f.");
  return IGLOO_INVALID_ARGUMENT;
}

static igloo_status take_format(struct request *request, const char *name,
                                struct igloo_error *reterr) {
  request->format_given =
      ig_output_format_parse(ig_str_from_cstr(name), &request->format);
  if (request->format_given) return IGLOO_OK;
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "unknown format \"%s\"", name);
  ig_error_hint(reterr, "Formats are " IG_OUTPUT_NAMES ".");
  return IGLOO_INVALID_ARGUMENT;
}

static igloo_status take_flag(void *ctx, int id, const char *value,
                              struct igloo_error *reterr) {
  struct request *request = ctx;
  bool taken = false;
  IG_TRY(ig_target_take(&request->target, id, value, &taken, reterr));
  if (taken) return IGLOO_OK;
  switch (id) {
    case FLAG_COMMAND:
      return add_input(request, false, value, reterr);
    case FLAG_FILE:
      return add_input(request, true, value, reterr);
    case FLAG_FORMAT:
      return take_format(request, value, reterr);
    case FLAG_OUTPUT:
      request->output = value;
      return IGLOO_OK;
    case FLAG_TIMER:
      request->timing = true;
      return IGLOO_OK;
    default:
      return take_word(request, value, reterr);
  }
}

static igloo_status parse(struct request *request, int argc, char **argv,
                          struct igloo_error *reterr) {
  IG_TRY(ig_args_read(&ig_sql_command, argc, argv, take_flag, request, &request->help,
                      reterr));
  if (request->help) return IGLOO_OK;
  if (request->inputs_count == 0) {
    if (isatty(STDIN_FILENO)) {
      (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "no SQL is given");
      ig_error_hint(reterr, "Use -c SQL, -f FILE, or `igloo` for the shell.");
      return IGLOO_INVALID_ARGUMENT;
    }
    IG_TRY(add_input(request, true, "-", reterr));
  }
  if (!request->format_given) {
    request->format =
        !request->output && isatty(STDOUT_FILENO) ? IG_OUTPUT_BOX : IG_OUTPUT_CSV;
    if (request->output)
      (void)ig_output_format_of_file(ig_str_from_cstr(request->output), &request->format);
  }
  if (request->format == IG_OUTPUT_PARQUET && !request->output) {
    (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "parquet cannot be written to stdout");
    ig_error_hint(reterr, "Name a file with -o FILE.");
    return IGLOO_INVALID_ARGUMENT;
  }
  return IGLOO_OK;
}

static igloo_status run_inputs(const struct request *request, struct ig_runner *runner) {
  for (size_t i = 0; i < request->inputs_count && !runner->reader_gone; i++) {
    const struct input *input = &request->inputs[i];
    IG_TRY(input->is_file ? ig_runner_script_file(runner, input->text)
                          : ig_runner_script(runner, ig_str_from_cstr(input->text), 1));
  }
  return IGLOO_OK;
}

static int run_request(const struct request *request, struct ig_runner *runner) {
  struct igloo_error error;
  igloo_status status = ig_runner_connect(runner, &request->target, &error);
  if (status != IGLOO_OK) {
    ig_report(&error, IG_STR(""), 1);
    return ig_target_exit_code(status);
  }
  runner->format = request->format;
  runner->timing = request->timing;
  runner->tags = !request->output && isatty(STDOUT_FILENO);
  status = run_inputs(request, runner);
  if (status != IGLOO_OK) return ig_status_exit_code(status);
  status = ig_output_file_commit(&runner->output, &error);
  return status == IGLOO_OK ? 0 : ig_report_failure(&error);
}

static int sql_main(int argc, char **argv) {
  static struct request request; /* large, and there is one */
  struct igloo_error error;
  ig_target_init(&request.target);
  if (parse(&request, argc, argv, &error) != IGLOO_OK) return ig_report_usage(&error);
  if (request.help) return ig_command_print_help(&ig_sql_command);

  struct ig_runner runner;
  ig_runner_init(&runner);
  igloo_status status = ig_target_log_in(&request.target, &error);
  if (status == IGLOO_OK) status = ig_interrupt_start(false, &error);
  if (status == IGLOO_OK && request.output)
    status = ig_output_file_open(&runner.output, request.output, true, &error);
  int code;
  if (status == IGLOO_OK) {
    code = run_request(&request, &runner);
  } else {
    ig_report(&error, IG_STR(""), 1);
    code = ig_status_exit_code(status);
  }
  ig_runner_done(&runner);
  ig_target_done(&request.target);
  return code;
}

const struct ig_command ig_sql_command = {
    .name = "sql",
    .arguments = "[-c SQL | -f FILE | -] [OPTIONS]",
    .summary = "Run SQL and print what it gives.",
    .more =
        "Statements run in one session, in the order given, up to the first that fails.\n"
        "Without -c and -f they are read from stdin. Results are a box on a terminal "
        "and\n"
        "csv elsewhere; -o goes by the ending of the file's name. In json and jsonl a\n"
        "column's name that comes again is written name_1, name_2 and so on.\n\n"
        "Exit codes: 0 done, 1 a statement failed, 2 wrong usage or configuration, 3 "
        "could\n"
        "not connect, 130 interrupted.\n\n"
        "Examples:\n"
        "  igloo sql -c \"SELECT count(*) FROM 'data/*.parquet'\"\n"
        "  igloo sql -f report.sql --format markdown -o report.md\n"
        "  echo 'SELECT 42 AS answer' | igloo sql --format json\n",
    .flags = flags,
    .run = sql_main,
};
