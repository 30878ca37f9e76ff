/* Tests of src/engine/planners.c. */
#include "engine/planners.h"

#include <alloca.h>
#include <semaphore.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"
#include "support.h"

/* A task that says when it began and goes on when it may. */
struct probe {
  struct ig_task task;
  sem_t began, may_end;
  igloo_status answer;
  bool on_thread;
};

static int freed;

static void free_probe(struct ig_task *task) {
  (void)task;
  (void)__atomic_add_fetch(&freed, 1, __ATOMIC_SEQ_CST);
}

static igloo_status run_probe(struct ig_task *task, struct igloo_error *reterr) {
  struct probe *probe = (struct probe *)task;
  probe->on_thread = ig_planners_on_thread();
  sem_post(&probe->began);
  sem_wait(&probe->may_end);
  if (probe->answer == IGLOO_OK) return IGLOO_OK;
  return ig_fail(reterr, probe->answer, "as the probe was told");
}

static void init_probe(struct probe *probe, igloo_status answer) {
  *probe =
      (struct probe){.task = {.run = run_probe, .free = free_probe}, .answer = answer};
  sem_init(&probe->began, 0, 0);
  sem_init(&probe->may_end, 0, 0);
}

static int set_up(void **state) {
  (void)state;
  freed = 0;
  return 0;
}

static void a_task_gives_its_status_and_outputs_back(void **state) {
  (void)state;
  IG_AUTO(ig_planners) *planners = NULL;
  assert_ok(ig_planners_new(2, 2, &planners, &test_err));
  struct probe good, bad;
  init_probe(&good, IGLOO_OK);
  init_probe(&bad, IGLOO_NOT_FOUND);
  sem_post(&good.may_end);
  sem_post(&bad.may_end);
  struct ig_task *done = NULL;
  assert_ok(ig_planners_run(planners, &good.task, NULL, true, &done, &test_err));
  assert_ptr_equal(done, &good.task);
  assert_true(good.on_thread);
  assert_false(ig_planners_on_thread());
  assert_int_equal(freed, 0);
  assert_fails(ig_planners_run(planners, &bad.task, NULL, true, &done, &test_err),
               IGLOO_NOT_FOUND, "42704");
  assert_message_has("as the probe was told");
  assert_int_equal(freed, 1);
}

static igloo_status recurse_48_mib(struct ig_task *task, struct igloo_error *reterr) {
  (void)task;
  (void)reterr;
  size_t bytes = 48 * IG_MIB;
  volatile char *stack = alloca(bytes);
  for (size_t i = 0; i < bytes; i += 4096) stack[i] = 1;
  return stack[0] == 1 ? IGLOO_OK : IGLOO_INTERNAL;
}

static void a_planning_thread_has_stack_for_deep_statements(void **state) {
  (void)state;
  IG_AUTO(ig_planners) *planners = NULL;
  assert_ok(ig_planners_new(1, 1, &planners, &test_err));
  struct ig_task task = {.run = recurse_48_mib, .free = free_probe};
  assert_ok(ig_planners_run(planners, &task, NULL, true, NULL, &test_err));
}

struct call {
  ig_planners *planners;
  struct probe *probe;
  ig_cancel *cancel;
  bool may_abandon;
  igloo_status status;
  struct igloo_error error;
  pthread_t thread;
};

static void *run_call(void *ctx) {
  struct call *call = ctx;
  call->status = ig_planners_run(call->planners, &call->probe->task, call->cancel,
                                 call->may_abandon, NULL, &call->error);
  return NULL;
}

static void start_call(struct call *call) {
  assert_ok(ig_thread_start("call", 0, run_call, call, &call->thread, &test_err));
}

static void a_cancelled_caller_is_answered_while_its_task_finishes_alone(void **state) {
  (void)state;
  ig_planners *planners = NULL;
  assert_ok(ig_planners_new(1, 1, &planners, &test_err));
  struct probe probe;
  init_probe(&probe, IGLOO_OK);
  struct call call = {.planners = planners, .probe = &probe, .may_abandon = true};
  assert_ok(ig_cancel_new(IG_NEVER_US, &call.cancel, &test_err));
  start_call(&call);
  sem_wait(&probe.began);
  ig_cancel_set(call.cancel);
  ig_thread_join(call.thread); /* it ends although the task has not */
  assert_false(ig_planners_close(planners, ig_now_us()));
  assert_int_equal(call.status, IGLOO_CANCELLED);
  assert_string_equal(call.error.sqlstate, "57014");
  assert_int_equal(__atomic_load_n(&freed, __ATOMIC_SEQ_CST), 0);
  sem_post(&probe.may_end);
  ig_planners_free(planners); /* waits for the abandoned task */
  assert_int_equal(freed, 1);
  ig_cancel_unref(call.cancel);
}

static sem_t freeing, may_free;

static void free_slowly(struct ig_task *task) {
  sem_post(&freeing);
  sem_wait(&may_free);
  free_probe(task);
}

static void an_abandoned_task_has_ended_once_it_was_freed(void **state) {
  (void)state;
  IG_AUTO(ig_planners) *planners = NULL;
  assert_ok(ig_planners_new(1, 1, &planners, &test_err));
  struct probe probe;
  init_probe(&probe, IGLOO_OK);
  probe.task.free = free_slowly;
  sem_init(&freeing, 0, 0);
  sem_init(&may_free, 0, 0);
  struct call call = {.planners = planners, .probe = &probe, .may_abandon = true};
  assert_ok(ig_cancel_new(IG_NEVER_US, &call.cancel, &test_err));
  start_call(&call);
  sem_wait(&probe.began);
  ig_cancel_set(call.cancel);
  ig_thread_join(call.thread);
  sem_post(&probe.may_end);
  sem_wait(&freeing);
  /* What it frees may hold the engine: nobody may think that it is gone. */
  assert_false(ig_planners_close(planners, ig_deadline_in(20 * IG_US_PER_MS)));
  sem_post(&may_free);
  assert_true(ig_planners_close(planners, ig_deadline_in(30 * IG_US_PER_S)));
  assert_int_equal(freed, 1);
  ig_cancel_unref(call.cancel);
}

static void a_task_that_may_not_be_abandoned_is_waited_for(void **state) {
  (void)state;
  IG_AUTO(ig_planners) *planners = NULL;
  assert_ok(ig_planners_new(1, 1, &planners, &test_err));
  struct probe probe;
  init_probe(&probe, IGLOO_OK);
  struct call call = {.planners = planners, .probe = &probe};
  assert_ok(ig_cancel_new(IG_NEVER_US, &call.cancel, &test_err));
  start_call(&call);
  sem_wait(&probe.began);
  ig_cancel_set(call.cancel);
  sem_post(&probe.may_end);
  ig_thread_join(call.thread);
  assert_int_equal(call.status, IGLOO_OK); /* what the task said, not the token */
  ig_cancel_unref(call.cancel);
}

static void a_waiting_task_past_its_deadline_never_runs(void **state) {
  (void)state;
  ig_planners *planners = NULL;
  assert_ok(ig_planners_new(1, 4, &planners, &test_err));
  struct probe first, second;
  init_probe(&first, IGLOO_OK);
  init_probe(&second, IGLOO_OK);
  struct call busy = {.planners = planners, .probe = &first};
  start_call(&busy);
  sem_wait(&first.began);
  IG_AUTO(ig_cancel) *cancel = NULL;
  assert_ok(ig_cancel_new(ig_deadline_in(20 * IG_US_PER_MS), &cancel, &test_err));
  assert_fails(ig_planners_run(planners, &second.task, cancel, true, NULL, &test_err),
               IGLOO_DEADLINE_EXCEEDED, "57014");
  assert_int_equal(freed, 1);
  sem_post(&first.may_end);
  ig_thread_join(busy.thread);
  ig_planners_free(planners);
  assert_int_equal(sem_trywait(&second.began), -1);
}

static void statements_beyond_the_abandoned_limit_are_refused(void **state) {
  (void)state;
  ig_planners *planners = NULL;
  assert_ok(ig_planners_new(IG_PLANS_ABANDONED_MAX + 2, 4, &planners, &test_err));
  struct probe probes[IG_PLANS_ABANDONED_MAX];
  for (size_t i = 0; i < IG_PLANS_ABANDONED_MAX; i++) {
    init_probe(&probes[i], IGLOO_OK);
    struct call call = {.planners = planners, .probe = &probes[i], .may_abandon = true};
    assert_ok(ig_cancel_new(IG_NEVER_US, &call.cancel, &test_err));
    start_call(&call);
    sem_wait(&probes[i].began);
    ig_cancel_set(call.cancel);
    ig_thread_join(call.thread);
    ig_cancel_unref(call.cancel);
  }
  struct probe refused;
  init_probe(&refused, IGLOO_OK);
  assert_fails(ig_planners_run(planners, &refused.task, NULL, true, NULL, &test_err),
               IGLOO_RESOURCE_EXHAUSTED, "53000");
  for (size_t i = 0; i < IG_PLANS_ABANDONED_MAX; i++) sem_post(&probes[i].may_end);
  ig_planners_free(planners);
  assert_int_equal(freed, IG_PLANS_ABANDONED_MAX + 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_task_gives_its_status_and_outputs_back, set_up),
      cmocka_unit_test_setup(a_planning_thread_has_stack_for_deep_statements, set_up),
      cmocka_unit_test_setup(a_cancelled_caller_is_answered_while_its_task_finishes_alone,
                             set_up),
      cmocka_unit_test_setup(an_abandoned_task_has_ended_once_it_was_freed, set_up),
      cmocka_unit_test_setup(a_task_that_may_not_be_abandoned_is_waited_for, set_up),
      cmocka_unit_test_setup(a_waiting_task_past_its_deadline_never_runs, set_up),
      cmocka_unit_test_setup(statements_beyond_the_abandoned_limit_are_refused, set_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
