/* Tests of src/rpc/loop.c. */
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"
#include "rpc/loop.h"
#include "support.h"

struct board {
  pthread_mutex_t mu;
  pthread_cond_t changed;
  int order[64]; /* guarded by mu */
  int count;     /* guarded by mu */
};

static void note(struct board *board, int number) {
  IG_LOCK_SCOPE(&board->mu);
  board->order[board->count++ % 64] = number;
  ig_cond_broadcast(&board->changed);
}

static void wait_for_count(struct board *board, int count) {
  IG_LOCK_SCOPE(&board->mu);
  int64_t deadline_us = ig_deadline_in(10 * IG_US_PER_S);
  while (board->count < count)
    assert_true(ig_cond_wait_until(&board->changed, &board->mu, deadline_us));
}

struct timer {
  struct ig_loop_timer timer;
  struct board *board;
  int number;
};

static void fire(struct ig_loop_timer *timer) {
  struct timer *own = (struct timer *)timer;
  note(own->board, own->number);
}

struct task {
  struct ig_loop_task task;
  struct board *board;
  ig_loop *loop;
  struct task *next; /* posted by this one */
  int number;
};

static void run(struct ig_loop_task *task) {
  struct task *own = (struct task *)task;
  note(own->board, own->number);
  if (own->next) ig_loop_post(own->loop, &own->next->task);
}

static int setup(void **state) {
  static struct board board;
  board = (struct board){0};
  ig_mutex_init(&board.mu);
  ig_cond_init(&board.changed);
  *state = &board;
  return 0;
}

static int teardown(void **state) {
  struct board *board = *state;
  ig_cond_done(&board->changed);
  ig_mutex_done(&board->mu);
  return 0;
}

static void timers_fire_in_the_order_of_their_times(void **state) {
  struct board *board = *state;
  IG_AUTO(ig_loop) *loop = NULL;
  assert_ok(ig_loop_new(&loop, &test_err));
  struct timer timers[40];
  int64_t start_us = ig_now_us();
  for (int i = 0; i < 40; i++) {
    timers[i] = (struct timer){{.fire = fire}, board, i * 17 % 40};
    assert_ok(ig_loop_timer_hold(loop, &test_err));
    ig_loop_timer_set(loop, &timers[i].timer, start_us + timers[i].number * 500);
  }
  /* Some move, some go. */
  for (int i = 0; i < 40; i++) {
    if (timers[i].number % 4 == 1)
      ig_loop_timer_set(loop, &timers[i].timer, start_us + timers[i].number * 500 + 100);
    if (timers[i].number % 4 == 3) ig_loop_timer_set(loop, &timers[i].timer, IG_NEVER_US);
  }
  assert_ok(ig_loop_start(loop, "test", &test_err));
  wait_for_count(board, 30);
  ig_loop_stop(loop);
  assert_int_equal(board->count, 30);
  for (int i = 1; i < 30; i++) assert_true(board->order[i - 1] < board->order[i]);
  for (int i = 0; i < 40; i++) ig_loop_timer_drop(loop, &timers[i].timer);
}

static void tasks_run_once_in_order_and_may_post_others(void **state) {
  struct board *board = *state;
  IG_AUTO(ig_loop) *loop = NULL;
  assert_ok(ig_loop_new(&loop, &test_err));
  struct task tasks[3];
  for (int i = 0; i < 3; i++)
    tasks[i] = (struct task){{.run = run}, board, loop, i < 2 ? &tasks[i + 1] : NULL, i};
  ig_loop_post(loop, &tasks[0].task);
  ig_loop_post(loop, &tasks[0].task);
  assert_ok(ig_loop_start(loop, "test", &test_err));
  ig_loop_stop(loop);
  assert_int_equal(board->count, 3);
  for (int i = 0; i < 3; i++) assert_int_equal(board->order[i], i);
}

static void tasks_of_a_loop_that_never_ran_run_at_its_end(void **state) {
  struct board *board = *state;
  IG_AUTO(ig_loop) *loop = NULL;
  assert_ok(ig_loop_new(&loop, &test_err));
  struct task task = {{.run = run}, board, loop, NULL, 5};
  ig_loop_post(loop, &task.task);
  ig_loop_stop(loop);
  assert_int_equal(board->count, 1);
}

struct reader {
  struct ig_loop_source source;
  struct board *board;
  ig_loop *loop;
  int fd;
};

static void on_readable(struct ig_loop_source *source, uint32_t events) {
  struct reader *reader = (struct reader *)source;
  (void)events;
  char byte = 0;
  assert_int_equal(read(reader->fd, &byte, 1), 1);
  if (byte == 'z') ig_loop_remove(reader->loop, reader->fd);
  note(reader->board, byte);
}

static void descriptor_is_told_until_it_is_removed(void **state) {
  struct board *board = *state;
  IG_AUTO(ig_loop) *loop = NULL;
  assert_ok(ig_loop_new(&loop, &test_err));
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  struct reader reader = {{on_readable}, board, loop, ends[0]};
  assert_ok(ig_loop_add(loop, ends[0], 1 /* EPOLLIN */, &reader.source, &test_err));
  assert_ok(ig_loop_start(loop, "test", &test_err));
  assert_int_equal(write(ends[1], "abz!", 4), 4);
  wait_for_count(board, 3);
  ig_loop_stop(loop);
  assert_int_equal(board->count, 3);
  assert_int_equal(board->order[2], 'z');
  (void)close(ends[0]);
  (void)close(ends[1]);
}

static igloo_status make_loop(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  IG_AUTO(ig_loop) *loop = NULL;
  IG_TRY(ig_loop_new(&loop, reterr));
  return ig_loop_timer_hold(loop, reterr);
}

static void failed_allocation_is_told(void **state) {
  (void)state;
  assert_survives_failed_allocations(make_loop, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(timers_fire_in_the_order_of_their_times, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(tasks_run_once_in_order_and_may_post_others, setup,
                                      teardown),
      cmocka_unit_test_setup_teardown(tasks_of_a_loop_that_never_ran_run_at_its_end,
                                      setup, teardown),
      cmocka_unit_test_setup_teardown(descriptor_is_told_until_it_is_removed, setup,
                                      teardown),
      cmocka_unit_test(failed_allocation_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
