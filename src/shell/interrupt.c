/* interrupt.c -- see interrupt.h. */
#include "shell/interrupt.h"

#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "base/thread.h"

#define EXIT_INTERRUPTED 130
#define WAKE_EVERY_NS \
  20000000L           /* a wake-up between a test and a read is lost: repeat it */
#define WAKES_MAX 250 /* five seconds for an orderly end */

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static igloo_connection *watched; /* guarded by mu */
static bool ignoring;             /* guarded by mu */
static bool shell_mode;           /* fixed at start */
static int times_pressed;         /* guarded by mu: since the watched statement began */
static pthread_t main_thread;
static atomic_bool ending;
static atomic_bool pressed;

static void wake_main(int signo) {
  (void)signo;
}

static void on_interrupt(void) {
  IG_LOCK_SCOPE(&mu);
  if (ignoring) return;
  atomic_store(&pressed, true);
  times_pressed++;
  if (watched) igloo_cancel(watched);
  bool second_wish = times_pressed > 1;
  if (!shell_mode && (!watched || second_wish)) _exit(EXIT_INTERRUPTED);
}

_Noreturn static void on_ending(void) {
  atomic_store(&ending, true);
  for (int i = 0; i < WAKES_MAX; i++) {
    ig_mutex_lock(&mu);
    if (watched) igloo_cancel(watched);
    ig_mutex_unlock(&mu);
    (void)pthread_kill(main_thread, SIGUSR1);
    struct timespec pause = {.tv_nsec = WAKE_EVERY_NS};
    (void)nanosleep(&pause, NULL);
  }
  _exit(EXIT_INTERRUPTED);
}

static void *take_signals(void *ctx) {
  const sigset_t *signals = ctx;
  for (;;) {
    int signo = 0;
    if (sigwait(signals, &signo) != 0) continue;
    if (signo == SIGINT) {
      on_interrupt();
    } else {
      on_ending(); /* for the rest of the process's life */
    }
  }
  return NULL;
}

igloo_status ig_interrupt_start(bool is_shell, struct igloo_error *reterr) {
  static sigset_t signals;
  shell_mode = is_shell;
  main_thread = pthread_self();
  struct sigaction wake = {.sa_handler = wake_main};
  (void)sigemptyset(&wake.sa_mask);
  (void)sigaction(SIGUSR1, &wake, NULL);
  (void)sigemptyset(&signals);
  (void)sigaddset(&signals, SIGINT);
  (void)sigaddset(&signals, SIGTERM);
  (void)sigaddset(&signals, SIGHUP);
  (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
  pthread_t thread;
  IG_TRY(ig_thread_start("signals", 0, take_signals, &signals, &thread, reterr));
  (void)pthread_detach(thread);
  return IGLOO_OK;
}

void ig_interrupt_watch(igloo_connection *connection) {
  IG_LOCK_SCOPE(&mu);
  watched = connection;
  times_pressed = 0;
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
