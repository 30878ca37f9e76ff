/* loop.c -- see loop.h. */
#include "rpc/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"

#define EVENTS_PER_TURN 64
#define TIMERS_MAX 1000000 /* one per connection and listener */

struct ig_loop {
  int epoll_fd;
  int wake_fd; /* an eventfd; written when a task is posted */
  struct ig_loop_source wake;
  pthread_t thread;
  bool is_running;
  pthread_mutex_t mu;            /* a leaf lock */
  struct ig_loop_task *tasks;    /* guarded by mu; the newest first */
  bool is_ending;                /* guarded by mu */
  struct ig_loop_timer **timers; /* a heap: the earliest first */
  size_t timers_len, timers_cap;
  size_t timers_held; /* places, whether their timer is set or not */
  uint8_t *buffer;
};

static void drain_wake(struct ig_loop_source *source, uint32_t events) {
  (void)events;
  ig_loop *loop = (ig_loop *)((char *)source - offsetof(ig_loop, wake));
  uint64_t count;
  while (read(loop->wake_fd, &count, sizeof(count)) < 0 && errno == EINTR) continue;
}

igloo_status ig_loop_new(ig_loop **ret_loop, struct igloo_error *reterr) {
  IG_AUTO(ig_loop) *loop = ig_calloc(1, sizeof(*loop));
  if (!loop) return ig_fail_oom(reterr);
  ig_mutex_init(&loop->mu);
  loop->wake.ready = drain_wake;
  loop->wake_fd = -1;
  loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (loop->epoll_fd < 0)
    return ig_fail_errno(reterr, errno, "could not watch connections");
  loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (loop->wake_fd < 0)
    return ig_fail_errno(reterr, errno, "could not watch connections");
  loop->buffer = ig_malloc(IG_LOOP_BUFFER_BYTES);
  if (!loop->buffer) return ig_fail_oom(reterr);
  IG_TRY(ig_loop_add(loop, loop->wake_fd, EPOLLIN, &loop->wake, reterr));
  *ret_loop = IG_TAKE(loop);
  return IGLOO_OK;
}

ig_loop *ig_loop_free(ig_loop *loop) {
  if (!loop) return NULL;
  IG_ASSERT(!loop->is_running);
  if (loop->wake_fd >= 0) (void)close(loop->wake_fd);
  if (loop->epoll_fd >= 0) (void)close(loop->epoll_fd);
  ig_mutex_done(&loop->mu);
  ig_free(loop->timers);
  ig_free(loop->buffer);
  ig_free(loop);
  return NULL;
}

/* --- timers: a binary heap in an array, places counted from 1 */

static void place_timer(ig_loop *loop, size_t place, struct ig_loop_timer *timer) {
  loop->timers[place - 1] = timer;
  timer->place = place;
}

static void sift_timer(ig_loop *loop, struct ig_loop_timer *timer) {
  size_t place = timer->place;
  for (; place > 1 && loop->timers[place / 2 - 1]->due_us > timer->due_us; place /= 2)
    place_timer(loop, place, loop->timers[place / 2 - 1]);
  for (size_t child; (child = place * 2) <= loop->timers_len; place = child) {
    if (child < loop->timers_len &&
        loop->timers[child]->due_us < loop->timers[child - 1]->due_us)
      child++;
    if (loop->timers[child - 1]->due_us >= timer->due_us) break;
    place_timer(loop, place, loop->timers[child - 1]);
  }
  place_timer(loop, place, timer);
}

igloo_status ig_loop_timer_hold(ig_loop *loop, struct igloo_error *reterr) {
  IG_TRY(IG_RESERVE(loop->timers, loop->timers_cap, loop->timers_held + 1, TIMERS_MAX,
                    "timers", reterr));
  loop->timers_held++;
  return IGLOO_OK;
}

void ig_loop_timer_drop(ig_loop *loop, struct ig_loop_timer *timer) {
  ig_loop_timer_set(loop, timer, IG_NEVER_US);
  loop->timers_held--;
}

void ig_loop_timer_set(ig_loop *loop, struct ig_loop_timer *timer, int64_t due_us) {
  if (due_us == IG_NEVER_US) {
    if (timer->place == 0) return;
    struct ig_loop_timer *last = loop->timers[--loop->timers_len];
    if (last != timer) {
      last->place = timer->place;
      loop->timers[last->place - 1] = last;
      sift_timer(loop, last);
    }
    timer->place = 0;
    return;
  }
  timer->due_us = due_us;
  if (timer->place == 0) {
    IG_ASSERT(loop->timers_len < loop->timers_cap);
    timer->place = ++loop->timers_len;
    loop->timers[timer->place - 1] = timer;
  }
  sift_timer(loop, timer);
}

static void fire_timers(ig_loop *loop) {
  int64_t now_us = ig_now_us();
  while (loop->timers_len > 0 && loop->timers[0]->due_us <= now_us) {
    struct ig_loop_timer *timer = loop->timers[0];
    ig_loop_timer_set(loop, timer, IG_NEVER_US);
    timer->fire(timer);
  }
}

/* --- the thread */

static int wait_ms(const ig_loop *loop) {
  if (loop->timers_len == 0) return -1;
  int64_t left_us = ig_deadline_left_us(loop->timers[0]->due_us);
  int64_t left_ms = (left_us + IG_US_PER_MS - 1) / IG_US_PER_MS;
  return left_ms < 60000 ? (int)left_ms : 60000;
}

/* Run what is posted now; false where that is nothing. */
static bool run_posted(ig_loop *loop, bool *ret_is_ending) {
  ig_mutex_lock(&loop->mu);
  struct ig_loop_task *newest = IG_TAKE(loop->tasks);
  *ret_is_ending = loop->is_ending;
  ig_mutex_unlock(&loop->mu);
  struct ig_loop_task *first = NULL; /* in the order in which they were posted */
  while (newest) {
    struct ig_loop_task *task = newest;
    newest = task->next;
    task->next = first;
    first = task;
  }
  bool has_run = first != NULL;
  while (first) {
    struct ig_loop_task *task = first;
    first = task->next;
    ig_mutex_lock(&loop->mu);
    task->is_posted = false; /* from here on it may be posted again */
    ig_mutex_unlock(&loop->mu);
    task->run(task);
  }
  return has_run;
}

/* Run what is posted, and what that posts. Returns false once the loop is to end. */
static bool run_tasks(ig_loop *loop) {
  bool is_ending = false;
  while (run_posted(loop, &is_ending)) continue;
  return !is_ending;
}

static _Thread_local bool is_here;

bool ig_loop_is_here(void) {
  return is_here;
}

static void *run_loop(void *ctx) {
  ig_loop *loop = ctx;
  is_here = true;
  struct epoll_event events[EVENTS_PER_TURN];
  while (run_tasks(loop)) {
    int count = epoll_wait(loop->epoll_fd, events, EVENTS_PER_TURN, wait_ms(loop));
    IG_ASSERT(count >= 0 || errno == EINTR);
    for (int i = 0; i < count; i++) {
      struct ig_loop_source *source = events[i].data.ptr;
      source->ready(source, events[i].events);
    }
    fire_timers(loop);
  }
  return NULL;
}

igloo_status ig_loop_start(ig_loop *loop, const char *name, struct igloo_error *reterr) {
  IG_TRY(ig_thread_start(name, 0, run_loop, loop, &loop->thread, reterr));
  loop->is_running = true;
  return IGLOO_OK;
}

static void wake_loop(ig_loop *loop) {
  const uint64_t one = 1;
  /* Only a full counter refuses, and then the loop is awake. */
  while (write(loop->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR) continue;
}

void ig_loop_stop(ig_loop *loop) {
  ig_mutex_lock(&loop->mu);
  loop->is_ending = true;
  ig_mutex_unlock(&loop->mu);
  if (loop->is_running) {
    wake_loop(loop);
    (void)ig_thread_join(loop->thread);
  }
  loop->is_running = false;
  (void)run_tasks(loop);
}

void ig_loop_post(ig_loop *loop, struct ig_loop_task *task) {
  ig_mutex_lock(&loop->mu);
  bool is_new = !task->is_posted;
  if (is_new) {
    task->is_posted = true;
    task->next = loop->tasks;
    loop->tasks = task;
  }
  ig_mutex_unlock(&loop->mu);
  if (is_new) wake_loop(loop);
}

igloo_status ig_loop_add(ig_loop *loop, int fd, uint32_t events,
                         struct ig_loop_source *source, struct igloo_error *reterr) {
  struct epoll_event event = {.events = events, .data.ptr = source};
  if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
    return ig_fail_errno(reterr, errno, "could not watch a connection");
  return IGLOO_OK;
}

void ig_loop_modify(ig_loop *loop, int fd, uint32_t events,
                    struct ig_loop_source *source) {
  struct epoll_event event = {.events = events, .data.ptr = source};
  IG_ASSERT(epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0);
}

void ig_loop_remove(ig_loop *loop, int fd) {
  IG_ASSERT(epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, NULL) == 0);
}

uint8_t *ig_loop_buffer(ig_loop *loop) {
  return loop->buffer;
}
