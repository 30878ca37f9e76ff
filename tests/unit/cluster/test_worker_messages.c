/* Tests of src/cluster/worker_messages.c. */
#include "cluster/worker_messages.h"

#include "base/limits.h"
#include "support.h"

static const struct ig_cluster_pair pairs[] = {{IG_STR("a"), IG_STR("1")},
                                               {IG_STR("b"), IG_STR("")}};
static const struct ig_cluster_task_plan a_plan = {
    .task = {.query_id = "0123456789abcde", .stage = 3, .number = 4},
    .tasks_count = 5,
    .plan = IG_STR("\0plan"),
    .settings = pairs,
    .settings_count = 2,
    .started_ns = UINT64_MAX};

static void messages_come_back_as_they_were(void **state) {
  (void)state;
  IG_AUTO_DONE(ig_buf) bytes = IG_BUF_INIT(IG_MIB);
  IG_AUTO(ig_arena) *arena = ig_arena_new(IG_MIB);
  struct ig_cluster_task_plan plan;
  ig_run_task_write(&a_plan, &bytes);
  assert_ok(ig_run_task_read(ig_buf_str(&bytes), arena, &plan, &test_err));
  assert_memory_equal(&plan.task, &a_plan.task, sizeof(plan.task));
  assert_int_equal(plan.tasks_count, 5);
  assert_int_equal(plan.started_ns, UINT64_MAX);
  assert_true(ig_str_eq(plan.plan, a_plan.plan));
  assert_int_equal(plan.settings_count, 2);
  assert_str_eq(plan.settings[1].key, "b");
  assert_str_eq(plan.settings[0].value, "1");

  struct ig_cluster_task task;
  uint32_t partition = 0;
  struct ig_str head;
  ig_buf_clear(&bytes);
  ig_read_partition_write(&a_plan.task, 9, IG_STR("head"), &bytes);
  assert_ok(
      ig_read_partition_read(ig_buf_str(&bytes), &task, &partition, &head, &test_err));
  assert_memory_equal(&task, &a_plan.task, sizeof(task));
  assert_int_equal(partition, 9);
  assert_str_eq(head, "head");

  const struct ig_cluster_file files[] = {
      {.path = IG_STR("/a"), .size = 1, .mtime_ns = -1},
      {.path = IG_STR("/b"), .size = UINT64_MAX, .mtime_ns = INT64_MAX}};
  struct ig_check_files request;
  ig_buf_clear(&bytes);
  ig_check_files_write(files, 2, &bytes);
  assert_ok(ig_check_files_read(ig_buf_str(&bytes), arena, &request, &test_err));
  assert_int_equal(request.files.len, 2);
  assert_str_eq(request.files.items[1].path, "/b");
  assert_int_equal(request.files.items[0].mtime_ns, -1);
  assert_int_equal(request.files.items[1].size, UINT64_MAX);

  struct ig_check_files_answer answer = {IG_FILES_DIFFERENT, 1}, came;
  ig_buf_clear(&bytes);
  ig_check_files_answer_write(&answer, &bytes);
  assert_ok(ig_check_files_answer_read(ig_buf_str(&bytes), 2, &came, &test_err));
  assert_memory_equal(&came, &answer, sizeof(came));
  assert_fails(ig_check_files_answer_read(ig_buf_str(&bytes), 1, &came, &test_err),
               IGLOO_INVALID_ARGUMENT, "08P01");
}

static void what_is_no_message_is_refused(void **state) {
  (void)state;
  IG_AUTO_DONE(ig_buf) bytes = IG_BUF_INIT(IG_MIB);
  IG_AUTO(ig_arena) *arena = ig_arena_new(IG_MIB);
  struct ig_cluster_task_plan plan = a_plan;
  struct ig_check_files request;
  struct ig_cluster_task task;
  uint32_t partition = 0;
  struct ig_str head;
  assert_fails(ig_run_task_read(IG_STR(""), arena, &plan, &test_err),
               IGLOO_INVALID_ARGUMENT, "08P01");
  assert_message_has("query id");
  assert_fails(ig_read_partition_read(IG_STR("\x0a\x0fxxxxxxxxxxxxxxx"), &task,
                                      &partition, &head, &test_err),
               IGLOO_INVALID_ARGUMENT, "08P01");
  plan = a_plan;
  plan.task.number = 5;
  ig_run_task_write(&plan, &bytes);
  assert_fails(ig_run_task_read(ig_buf_str(&bytes), arena, &plan, &test_err),
               IGLOO_INVALID_ARGUMENT, "08P01");
  assert_message_has("its stage");
  assert_fails(ig_check_files_read(IG_STR("\x0a\x00"), arena, &request, &test_err),
               IGLOO_INVALID_ARGUMENT, "08P01");
  const struct ig_cluster_file nul = {.path = IG_STR("/a\0b")};
  ig_buf_clear(&bytes);
  ig_check_files_write(&nul, 1, &bytes);
  assert_fails(ig_check_files_read(ig_buf_str(&bytes), arena, &request, &test_err),
               IGLOO_INVALID_ARGUMENT, "08P01");

  /* Each cut of a good one is refused or is one without what was cut off. */
  ig_buf_clear(&bytes);
  ig_run_task_write(&a_plan, &bytes);
  for (size_t len = 0; len < bytes.len; len++) {
    ig_arena_reset(arena);
    igloo_status status =
        ig_run_task_read(ig_str_make(bytes.data, len), arena, &plan, &test_err);
    if (status == IGLOO_OK) assert_true(plan.settings_count <= 2);
  }
}

static void too_many_settings_and_files_are_refused(void **state) {
  (void)state;
  IG_AUTO_DONE(ig_buf) bytes = IG_BUF_INIT(16 * IG_MIB);
  IG_AUTO(ig_arena) *arena = ig_arena_new(64 * IG_MIB);
  static struct ig_cluster_pair many[IG_CLUSTER_SETTINGS_MAX + 1];
  struct ig_cluster_task_plan plan = a_plan;
  plan.settings = many;
  plan.settings_count = IG_ARRAY_LEN(many);
  ig_run_task_write(&plan, &bytes);
  assert_fails(ig_run_task_read(ig_buf_str(&bytes), arena, &plan, &test_err),
               IGLOO_RESOURCE_EXHAUSTED, "54000");
  const struct ig_cluster_file file = {.path = IG_STR("/")};
  struct ig_check_files request;
  ig_buf_clear(&bytes);
  for (size_t i = 0; i <= IG_FILES_PER_TABLE_MAX; i++)
    ig_check_files_write(&file, 1, &bytes);
  assert_fails(ig_check_files_read(ig_buf_str(&bytes), arena, &request, &test_err),
               IGLOO_RESOURCE_EXHAUSTED, "54000");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(messages_come_back_as_they_were),
      cmocka_unit_test(what_is_no_message_is_refused),
      cmocka_unit_test(too_many_settings_and_files_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
