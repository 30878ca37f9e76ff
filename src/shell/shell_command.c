/* shell_command.c -- `igloo`: see shell.h. */
#include <errno.h>
#include <unistd.h>

#include "base/limits.h"
#include "shell/interrupt.h"
#include "shell/repl.h"
#include "shell/report.h"
#include "shell/shell.h"

static const struct ig_flag flags[] = {IG_TARGET_FLAGS, IG_FLAG_HELP, {0}};

static igloo_status take_flag(void *target, int id, const char *value,
                              struct igloo_error *reterr) {
  bool taken = false;
  if (id != IG_ARGS_POSITIONAL) return ig_target_take(target, id, value, &taken, reterr);
  (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "unexpected argument \"%s\"", value);
  ig_error_hint(
      reterr, "A command comes first: `igloo %s [OPTIONS]`. See `igloo --help`.", value);
  return IGLOO_INVALID_ARGUMENT;
}

static void complete(void *ctx, struct ig_str before, struct ig_str word,
                     void (*add)(void *add_ctx, struct ig_str candidate), void *add_ctx) {
  struct ig_repl *repl = ctx;
  ig_names_complete(&repl->names, before, word, add, add_ctx);
}

/* Returns the exit code. */
static int run_terminal(struct ig_repl *repl) {
  struct igloo_error error;
  IG_AUTO_DONE(ig_buf) line = IG_BUF_INIT(IG_SQL_BYTES_LIMIT);
  igloo_status status = ig_editor_new(complete, repl, &repl->editor, &error);
  if (status != IGLOO_OK) return ig_report_failure(&error);
  repl->runner.tags = true;
  repl->runner.pager = isatty(STDOUT_FILENO);
  ig_report_note("Igloo %s\nType .help for help; .quit or Ctrl-D leaves.\n",
                 igloo_version());
  while (!repl->quit && !ig_interrupt_is_ending()) {
    enum ig_editor_answer answer =
        ig_editor_read(repl->editor, ig_repl_prompt(repl), &line);
    if (answer == IG_EDITOR_END) {
      if (!ig_interrupt_is_ending()) ig_report_note("\n");
      break;
    }
    if (answer == IG_EDITOR_CLEARED) {
      ig_repl_clear(repl);
      continue;
    }
    (void)ig_interrupt_take(); /* of the line before */
    status = ig_buf_check(&line, &error);
    if (status != IGLOO_OK) {
      ig_report(&error, IG_STR(""), 1);
      continue; /* half a statement must not run as a whole one: it stays open */
    }
    igloo_status ignored = ig_repl_line(repl, ig_buf_str(&line), 1);
    (void)ignored; /* it was reported, and the shell goes on */
    if (repl->runner.reader_gone) break;
  }
  return ig_interrupt_is_ending() ? ig_status_exit_code(IGLOO_CANCELLED) : 0;
}

/* Lines of a pipe or a file: the first failure ends it. */
static int run_stdin(struct ig_repl *repl) {
  IG_AUTO_DONE(ig_buf) text = IG_BUF_INIT(IG_SQL_BYTES_LIMIT);
  struct igloo_error error;
  igloo_status status = ig_read_whole("-", &text, &error);
  if (status != IGLOO_OK) return ig_report_failure(&error);
  return ig_status_exit_code(ig_repl_text(repl, ig_buf_str(&text)));
}

static int run_shell(struct ig_repl *repl, const struct ig_target *target) {
  bool is_terminal = isatty(STDIN_FILENO);
  struct igloo_error error;
  igloo_status status = ig_interrupt_start(is_terminal, &error);
  if (status == IGLOO_OK) status = ig_runner_connect(&repl->runner, target, &error);
  if (status != IGLOO_OK) {
    ig_report(&error, IG_STR(""), 1);
    return ig_target_exit_code(status);
  }
  repl->names.connection = repl->runner.connection;
  repl->runner.format = isatty(STDOUT_FILENO) ? IG_OUTPUT_BOX : IG_OUTPUT_CSV;
  int code = is_terminal ? run_terminal(repl) : run_stdin(repl);
  status = ig_output_file_commit(&repl->runner.output, &error);
  return status == IGLOO_OK ? code : ig_report_failure(&error);
}

static int shell_main(int argc, char **argv) {
  static struct ig_target target; /* large, and there is one */
  static struct ig_repl repl;
  struct igloo_error error;
  bool help = false;
  ig_target_init(&target);
  igloo_status status =
      ig_args_read(&ig_shell_command, argc, argv, take_flag, &target, &help, &error);
  if (status != IGLOO_OK) return ig_report_usage(&error);
  if (help) return ig_command_print_help(&ig_shell_command);
  status = ig_target_log_in(&target, &error);
  ig_repl_init(&repl);
  int code = status == IGLOO_OK ? run_shell(&repl, &target) : ig_report_failure(&error);
  ig_repl_done(&repl);
  ig_target_done(&target);
  return code;
}

const struct ig_command ig_shell_command = {
    .name = "",
    .arguments = "[OPTIONS]\n       igloo COMMAND [OPTIONS]",
    .summary =
        "Igloo answers SQL over files and databases. Without a command it is a shell.",
    .more =
        "Commands:\n"
        "  sql          run SQL and print what it gives\n"
        "  serve        answer Flight SQL over TCP, TLS and Unix sockets\n"
        "  worker       join a cluster and run what its coordinator gives\n"
        "  cluster      show the members of a cluster, or drain a worker\n"
        "  user         add, list and drop users of a server\n"
        "  token        make a token for the members of a cluster\n"
        "  cert         make certificates for a trial\n"
        "  config       show every configuration key, or check a configuration file\n"
        "  doctor       check whether this machine is ready\n"
        "  completions  print the completions of the program for bash, zsh or fish\n"
        "  version      show the version\n\n"
        "Each command has its own --help. In the shell, .help lists what it "
        "understands;\n"
        "nothing is kept when it ends, unless --data names a folder.\n",
    .flags = flags,
    .run = shell_main,
};
