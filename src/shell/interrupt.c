/* interrupt.c -- see interrupt.h. */
#include "shell/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"

#define EXIT_INTERRUPTED 130
/* A cancel before the statement runs and a wake-up before the read blocks are lost: both
 * are repeated this often. */
#define REPEAT_NS 20000000L
#define ENDING_US (5 * IG_US_PER_S) /* for an orderly end; then without */

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static igloo_connection *watched; /* guarded by mu */
static bool cancelling;           /* guarded by mu: what is watched is to end */
static bool ignoring;             /* guarded by mu */
static bool shell_mode;           /* fixed at start */
static pthread_t main_thread;     /* fixed at start */
static int64_t ending_until_us;   /* of the signal thread alone */
static atomic_bool ending;
static atomic_bool pressed;

static void wake_main(int signo) {
  (void)signo;
}

static void on_ending(void) {
  if (atomic_exchange(&ending, true)) return;
  ending_until_us = ig_deadline_in(ENDING_US);
}

static void on_interrupt(void) {
  IG_LOCK_SCOPE(&mu);
  if (ignoring) return;
  atomic_store(&pressed, true);
  cancelling = watched != NULL;
  if (shell_mode) return;
  if (atomic_load(&ending)) _exit(EXIT_INTERRUPTED); /* pressed twice: at once */
  on_ending();
}

/* Returns true while there is something to repeat. */
static bool push(void) {
  IG_LOCK_SCOPE(&mu);
  bool ends = atomic_load(&ending);
  if (watched && (cancelling || ends)) igloo_cancel(watched);
  if (!ends) return cancelling;
  (void)pthread_kill(main_thread, SIGUSR1);
  if (ig_now_us() >= ending_until_us) _exit(EXIT_INTERRUPTED);
  return true;
}

static void *take_signals(void *ctx) {
  const sigset_t *signals = ctx;
  static const struct timespec repeat = {.tv_nsec = REPEAT_NS};
  for (bool pushing = false;; pushing = push()) {
    int signo = sigtimedwait(signals, NULL, pushing ? &repeat : NULL);
    if (signo == SIGINT) {
      on_interrupt();
    } else if (signo > 0) {
      on_ending();
    }
  }
  return NULL;
}

/* What the caller of the program ignores (nohup, a job in the background) stays ignored;
 * a blocked signal would come all the same. */
static void add_unless_ignored(sigset_t *signals, int signo) {
  struct sigaction now;
  if (sigaction(signo, NULL, &now) == 0 && now.sa_handler == SIG_IGN) return;
  (void)sigaddset(signals, signo);
}

igloo_status ig_interrupt_start(bool is_shell, struct igloo_error *reterr) {
  static sigset_t signals;
  shell_mode = is_shell;
  main_thread = pthread_self();
  struct sigaction wake = {.sa_handler = wake_main};
  (void)sigemptyset(&wake.sa_mask);
  (void)sigaction(SIGUSR1, &wake, NULL);
  (void)sigemptyset(&signals);
  add_unless_ignored(&signals, SIGINT);
  add_unless_ignored(&signals, SIGTERM);
  add_unless_ignored(&signals, SIGHUP);
  (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
  pthread_t thread;
  IG_TRY(ig_thread_start("signals", 0, take_signals, &signals, &thread, reterr));
  (void)pthread_detach(thread);
  return IGLOO_OK;
}

void ig_interrupt_watch(igloo_connection *connection) {
  IG_LOCK_SCOPE(&mu);
  watched = connection;
  cancelling = false;
}

void ig_interrupt_ignore(bool ignore) {
  IG_LOCK_SCOPE(&mu);
  ignoring = ignore;
}

bool ig_interrupt_is_ending(void) {
  return atomic_load(&ending);
}

bool ig_interrupt_take(void) {
  return atomic_exchange(&pressed, false);
}
