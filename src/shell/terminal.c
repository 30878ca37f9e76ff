/* terminal.c -- see terminal.h. */
#include "shell/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shell/interrupt.h"

/* $PAGER unset and no less: the terminal itself is the pager. */
#define PAGER_DEFAULT "less -SRF"
#define PAGER_PROBE "command -v less >/dev/null 2>&1"

extern char **environ;

bool ig_terminal_can_move_cursor(int fd) {
  const char *term = getenv("TERM");
  return isatty(fd) && term && term[0] && strcmp(term, "dumb") != 0;
}

bool ig_terminal_can_color(int fd) {
  const char *no_color = getenv("NO_COLOR");
  return ig_terminal_can_move_cursor(fd) && (!no_color || !no_color[0]);
}

size_t ig_terminal_columns(int fd) {
  struct winsize size;
  return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

size_t ig_terminal_rows(int fd) {
  struct winsize size;
  return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : 24;
}

/* Run `command` by sh with `input` (-1: ours) as its stdin and no signal blocked. */
static int spawn_shell(const char *command, int input, pid_t *ret_pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  if (posix_spawn_file_actions_init(&actions) != 0) return ENOMEM;
  if (posix_spawnattr_init(&attributes) != 0) {
    (void)posix_spawn_file_actions_destroy(&actions);
    return ENOMEM;
  }
  if (input >= 0) (void)posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  sigset_t none, defaults;
  (void)sigemptyset(&none);
  (void)sigemptyset(&defaults);
  (void)sigaddset(&defaults, SIGPIPE);
  (void)posix_spawnattr_setsigmask(&attributes, &none);
  (void)posix_spawnattr_setsigdefault(&attributes, &defaults);
  (void)posix_spawnattr_setflags(&attributes,
                                 POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  char sh[] = "sh", flag[] = "-c";
  char *copy = ig_strdup(command);
  char *argv[] = {sh, flag, copy, NULL};
  int failed = copy
                   ? posix_spawn(ret_pid, "/bin/sh", &actions, &attributes, argv, environ)
                   : ENOMEM;
  ig_free(copy);
  (void)posix_spawnattr_destroy(&attributes);
  (void)posix_spawn_file_actions_destroy(&actions);
  return failed;
}

static int wait_for(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return status;
}

igloo_status ig_pager_open(struct ig_pager *pager, struct igloo_error *reterr) {
  const char *command = getenv("PAGER");
  pid_t pid = 0;
  if (!command || !command[0]) {
    command = PAGER_DEFAULT;
    if (spawn_shell(PAGER_PROBE, -1, &pid) != 0 || wait_for(pid) != 0)
      return ig_fail(reterr, IGLOO_NOT_FOUND, "there is no pager");
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    return ig_fail_errno(reterr, errno, "could not start the pager");
  ig_interrupt_ignore(true);
  int failed = spawn_shell(command, ends[0], &pid);
  (void)close(ends[0]);
  if (failed != 0) {
    (void)close(ends[1]);
    ig_interrupt_ignore(false);
    return ig_fail_errno(reterr, failed, "could not start the pager");
  }
  *pager = (struct ig_pager){.pid = pid, .fd = ends[1]};
  return IGLOO_OK;
}

void ig_pager_close(struct ig_pager *pager) {
  if (pager->pid == 0) return;
  (void)close(pager->fd);
  (void)wait_for((pid_t)pager->pid);
  ig_interrupt_ignore(false);
  *pager = (struct ig_pager){0};
}
