/* main.c -- run the checks of any ADBC driver, each in a process of its own.
 *
 *     adbc_conformance --driver FILE --profile FILE [--entry NAME] [--option KEY=VALUE]…
 *                      [--findings FILE] [CHECK…]
 *     adbc_conformance --list
 *
 * The findings are checks that are known to fail, one "check: reason" a line. One that
 * passes after all is a failure: the list says what is so. The last line is "N passed,
 * M failed". */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "conformance.h"

struct setup setup;
struct AdbcDriver driver;
struct AdbcError error;

/* ---- files of lines
 * -------------------------------------------------------------------- */

static _Noreturn void usage(const char *what, const char *which) {
  (void)fprintf(stderr, "adbc_conformance: %s%s\n", what, which);
  exit(2);
}

static char *trim(char *text) {
  while (*text == ' ' || *text == '\t') text++;
  size_t length = strlen(text);
  while (length > 0 && strchr(" \t\r\n", text[length - 1])) text[--length] = '\0';
  return text;
}

/* "key SEPARATOR value" lines; those of spaces and after # are comments. A line that
 * starts with a space goes on with the one before. */
static size_t read_pairs(const char *path, const char *separator, struct pair *pairs,
                         size_t max) {
  FILE *file = fopen(path, "re");
  if (!file) usage("cannot read ", path);
  char *line = NULL;
  size_t cap = 0, count = 0;
  while (getline(&line, &cap, file) >= 0) {
    bool more = line[0] == ' ' && count > 0;
    char *text = trim(line);
    if (*text == '\0' || *text == '#') continue;
    if (more) {
      pairs[count - 1].value = format("%s\n%s", pairs[count - 1].value, text);
      continue;
    }
    char *at = strstr(text, separator);
    if (!at || count == max) usage("a line without a key, or too many, in ", path);
    *at = '\0';
    pairs[count++] =
        (struct pair){strdup(trim(text)), strdup(trim(at + strlen(separator)))};
  }
  free(line);
  (void)fclose(file);
  return count;
}

const char *profile_or(const char *key, const char *other) {
  for (size_t i = 0; i < setup.profile_count; i++)
    if (strcmp(setup.profile[i].key, key) == 0) return setup.profile[i].value;
  return other;
}

const char *profile(const char *key) {
  const char *value = profile_or(key, NULL);
  EXPECT(value, "the profile has no %s", key);
  return value;
}

long long profile_number(const char *key) {
  return strtoll(profile(key), NULL, 10);
}

/* ---- one check
 * ------------------------------------------------------------------------- */

/* In the child: where the reason goes. */
static int report_fd = -1;

void fail(const char *fmt, ...) {
  char text[4096];
  va_list args;
  va_start(args, fmt);
  int length = vsnprintf(text, sizeof(text), fmt, args);
  va_end(args);
  if (length > (int)sizeof(text) - 1) length = (int)sizeof(text) - 1;
  if (report_fd >= 0) (void)!write(report_fd, text, (size_t)length);
  _exit(1);
}

static _Noreturn void run_child(const struct check *check, bool load, int fd) {
  report_fd = fd;
  error = (struct AdbcError)ADBC_ERROR_INIT;
  if (load) {
    AdbcDriverInitFunc init = load_library();
    expect_ok(init(ADBC_VERSION_1_1_0, &driver, &error), "initialising the driver");
  }
  check->run();
  _exit(0);
}

static int64_t now_ms(void) {
  struct timespec now;
  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Read what the child says until it is gone or its time is over. */
static void listen(int fd, pid_t child, char *text, size_t size) {
  int64_t deadline = now_ms() + CHECK_SECONDS * 1000;
  size_t length = 0;
  for (;;) {
    int64_t left = deadline - now_ms();
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int ready = left > 0 ? poll(&wait, 1, (int)left) : 0;
    if (ready == 0) {
      (void)snprintf(text, size, "not done after %d s", CHECK_SECONDS);
      (void)kill(child, SIGKILL);
      return;
    }
    if (ready < 0) continue;
    ssize_t count = read(fd, text + length, size - 1 - length);
    if (count <= 0) break;
    length += (size_t)count;
  }
  text[length] = '\0';
}

/* True if it passed; else *text says why. */
static bool run_check(const struct check *check, bool load, char *text, size_t size) {
  int pipe_fds[2];
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) usage("no pipe: ", strerror(errno));
  (void)fflush(NULL);
  pid_t child = fork();
  if (child < 0) usage("no process: ", strerror(errno));
  if (child == 0) {
    (void)close(pipe_fds[0]);
    run_child(check, load, pipe_fds[1]);
  }
  (void)close(pipe_fds[1]);
  text[0] = '\0';
  listen(pipe_fds[0], child, text, size);
  (void)close(pipe_fds[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
  if (text[0]) return false;
  if (WIFSIGNALED(status))
    (void)snprintf(text, size, "crashed by signal %d", WTERMSIG(status));
  else
    (void)snprintf(text, size, "ended with code %d", WEXITSTATUS(status));
  return false;
}

/* ---- all of them
 * ----------------------------------------------------------------------- */

static struct pair findings[128];
static size_t findings_count;
static int passed, failed, listed;

static const char *finding_of(const char *name) {
  for (size_t i = 0; i < findings_count; i++)
    if (strcmp(findings[i].key, name) == 0) return findings[i].value;
  return NULL;
}

static void judge(const struct check *check, bool load) {
  char text[4096];
  bool good = run_check(check, load, text, sizeof(text));
  const char *finding = finding_of(check->name);
  if (good && !finding) {
    printf("ok      %s\n", check->name);
    passed++;
  } else if (!good && finding) {
    printf("finding %s: %s (%s)\n", check->name, finding, text);
    passed++;
    listed++;
  } else {
    printf("FAILED  %s: %s\n", check->name,
           good ? "it passes, but stands among the findings" : text);
    failed++;
  }
}

static bool is_wanted(const char *name, char *const *names, int count) {
  for (int i = 0; i < count; i++)
    if (strcmp(names[i], name) == 0) return true;
  return count == 0;
}

static int read_arguments(int argc, char **argv) {
  int at = 1;
  for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
    char *value = argv[at + 1];
    if (strcmp(argv[at], "--driver") == 0) {
      setup.library = value;
    } else if (strcmp(argv[at], "--entry") == 0) {
      setup.entry = value;
    } else if (strcmp(argv[at], "--profile") == 0) {
      setup.profile_count = read_pairs(value, " = ", setup.profile, 128);
    } else if (strcmp(argv[at], "--findings") == 0) {
      findings_count = read_pairs(value, ": ", findings, 128);
    } else if (strcmp(argv[at], "--option") == 0) {
      char *equal = strchr(value, '=');
      if (!equal || setup.options_count == 64) usage("not KEY=VALUE: ", value);
      *equal = '\0';
      setup.options[setup.options_count++] = (struct pair){value, equal + 1};
    } else {
      usage("unknown option ", argv[at]);
    }
  }
  if (!setup.library || setup.profile_count == 0)
    usage("--driver FILE and --profile FILE are needed", "");
  return at;
}

int main(int argc, char **argv) {
  const struct check *const groups[] = {load_checks,  life_checks,    error_checks,
                                        row_checks,   cancel_checks,  option_checks,
                                        write_checks, metadata_checks};
  bool list = argc == 2 && strcmp(argv[1], "--list") == 0;
  int at = list ? argc : read_arguments(argc, argv);
  for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
    for (const struct check *check = groups[i]; check->name; check++)
      if (list)
        (void)puts(check->name);
      else if (is_wanted(check->name, argv + at, argc - at))
        judge(check, i > 0);
  if (list) return 0;
  if (listed > 0) printf("%d of them are listed findings\n", listed);
  printf("%d passed, %d failed\n", passed, failed);
  return failed > 0 ? 1 : 0;
}
