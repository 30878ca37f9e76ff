/* main.c -- the program `igloo`: finds the command and runs it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/mem.h"
#include "server/commands.h"
#include "server/processor.h"
#include "shell/report.h"
#include "shell/shell.h"

#define EXIT_USAGE 2

/* The first files that are opened must not become stdin, stdout or stderr. Where one of
 * them is closed, using it stays an error. */
static void fill_standard_descriptors(void) {
  for (int fd = 0; fd <= 2; fd++) {
    if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    int opened = open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
    if (opened < 0) _exit(EXIT_USAGE);
  }
}

static int unknown_command(const char *word) {
  struct igloo_error error;
  (void)ig_fail(&error, IGLOO_INVALID_ARGUMENT, "unknown command \"%s\"", word);
  const char *nearest = ig_command_nearest(word);
  if (nearest) {
    ig_error_hint(&error, "Did you mean `igloo %s`? See `igloo --help`.", nearest);
  } else {
    ig_error_hint(&error, "See `igloo --help`.");
  }
  return ig_report_usage(&error);
}

/* `igloo help [COMMAND]`, for those who try it first. */
static int help(const char *word) {
  if (!word) return ig_command_print_help(&ig_shell_command);
  const struct ig_command *command = ig_command_find(word);
  return command ? ig_command_print_help(command) : unknown_command(word);
}

int main(int argc, char **argv) {
  fill_standard_descriptors();
  ig_process_own();
  (void)signal(SIGPIPE, SIG_IGN); /* a reader that goes away is an EPIPE */
  if (!ig_processor_will_do()) {
    struct igloo_error error;
    (void)ig_fail(&error, IGLOO_UNSUPPORTED, "this build needs a processor with AVX2");
    ig_error_hint(&error, "Build Igloo on this machine: the build then does without it.");
    return ig_report_usage(&error);
  }
  if (argc >= 2 && strcmp(argv[1], "--version") == 0) argv[1] += 2;
  if (argc < 2 || argv[1][0] == '-') return ig_shell_command.run(argc, argv);
  if (strcmp(argv[1], "help") == 0) return help(argc > 2 ? argv[2] : NULL);
  const struct ig_command *command = ig_command_find(argv[1]);
  return command ? command->run(argc - 1, argv + 1) : unknown_command(argv[1]);
}
