/* password.c -- see password.h. */
#include "shell/password.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/limits.h"

#define LINE_BYTES (IG_PASSWORD_BYTES_MAX + 3) /* \r, \n and one too many */

static volatile sig_atomic_t interrupted;

static void interrupt(int number) {
  (void)number;
  interrupted = 1;
}

/* The signals that end the prompt are blocked but for this wait: none comes unseen. NULL:
 * stdin is no terminal, signals do what they do. False: interrupted. */
static bool wait_for_input(const sigset_t *mask) {
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  if (!mask) return true;
  while (!interrupted && ppoll(&input, 1, NULL, mask) < 0 && errno == EINTR) {
  }
  return !interrupted;
}

/* One line of stdin without its end; -1 with errno, or too long (EMSGSIZE). Read byte by
 * byte: what follows is for whoever reads stdin next. */
static ssize_t read_line(const sigset_t *mask, char line[LINE_BYTES]) {
  size_t len = 0;
  for (;;) {
    if (!wait_for_input(mask)) return -1;
    ssize_t got = read(STDIN_FILENO, line + len, 1);
    if (got < 0) return -1;
    if (got == 0 || line[len] == '\n') break;
    if (++len == LINE_BYTES - 1) {
      errno = EMSGSIZE;
      return -1;
    }
  }
  if (len > 0 && line[len - 1] == '\r') len--;
  line[len] = '\0';
  return (ssize_t)len;
}

static igloo_status take_line(const sigset_t *mask, char **ret_password,
                              struct igloo_error *reterr) {
  char line[LINE_BYTES];
  ssize_t len = read_line(mask, line);
  int errnum = errno;
  char *password = len > 0 ? ig_strndup(line, (size_t)len) : NULL;
  explicit_bzero(line, sizeof line);
  if (len < 0 && interrupted) return ig_fail(reterr, IGLOO_CANCELLED, "interrupted");
  if (len < 0 && errnum == EMSGSIZE)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "the password must not be longer than %d bytes",
                   IG_PASSWORD_BYTES_MAX);
  if (len < 0) return ig_fail_errno(reterr, errnum, "could not read the password");
  if (len == 0) {
    (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "there is no password");
    ig_error_hint(reterr, "Type it, or give it as the first line of stdin.");
    return IGLOO_INVALID_ARGUMENT;
  }
  if (!password) return ig_fail_oom(reterr);
  *ret_password = password;
  return IGLOO_OK;
}

static void say(const char *text) {
  if (write(STDERR_FILENO, text, strlen(text)) < 0) return; /* nobody to prompt */
}

static igloo_status ask(const char *prompt, const char *user, const sigset_t *mask,
                        char **ret_password, struct igloo_error *reterr) {
  IG_AUTO_CHAR *text = ig_asprintf("%s for user \"%s\": ", prompt, user);
  if (!text) return ig_fail_oom(reterr);
  say(text);
  igloo_status status = take_line(mask, ret_password, reterr);
  say("\n");
  return status;
}

static igloo_status ask_twice(const char *user, const sigset_t *mask, char **ret_password,
                              struct igloo_error *reterr) {
  char *first = NULL, *second = NULL;
  igloo_status status = ask("New password", user, mask, &first, reterr);
  if (status == IGLOO_OK) status = ask("The same again", user, mask, &second, reterr);
  if (first && second && strcmp(first, second) != 0)
    status = ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "the two passwords differ");
  ig_password_free(second);
  if (status == IGLOO_OK)
    *ret_password = first;
  else
    ig_password_free(first);
  return status;
}

igloo_status ig_password_read(const char *user, bool is_new, char **ret_password,
                              struct igloo_error *reterr) {
  struct termios before, silent;
  if (tcgetattr(STDIN_FILENO, &before) != 0) return take_line(NULL, ret_password, reterr);
  /* A signal must not leave a terminal that shows nothing: the wait ends, we clean up. */
  static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
  struct sigaction stop = {.sa_handler = interrupt}, old[IG_ARRAY_LEN(signals)];
  sigset_t blocked, mask;
  (void)sigemptyset(&blocked);
  (void)sigemptyset(&stop.sa_mask);
  for (size_t i = 0; i < IG_ARRAY_LEN(signals); i++) {
    (void)sigaddset(&blocked, signals[i]);
    (void)sigaction(signals[i], &stop, &old[i]);
  }
  (void)sigprocmask(SIG_BLOCK, &blocked, &mask);
  silent = before;
  silent.c_lflag &= ~(tcflag_t)ECHO;
  (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
  igloo_status status = is_new ? ask_twice(user, &mask, ret_password, reterr)
                               : ask("Password", user, &mask, ret_password, reterr);
  (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
  (void)sigprocmask(SIG_SETMASK, &mask, NULL);
  for (size_t i = 0; i < IG_ARRAY_LEN(signals); i++)
    (void)sigaction(signals[i], &old[i], NULL);
  return status;
}

void ig_password_free(char *password) {
  if (password) explicit_bzero(password, strlen(password));
  ig_free(password);
}
