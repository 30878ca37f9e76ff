/* fuzz_cluster.c -- what members say to each other: the first byte chooses the message,
 * the rest are its bytes. What is understood is written and read again as the same. */
#include "cluster/messages.h"
#include "cluster/worker_messages.h"
#include "fuzz.h"

#define ARENA_BYTES (16 * IG_MIB)

static bool lies_in(struct ig_str part, struct ig_str whole) {
  return part.len == 0 || (part.data >= whole.data && part.len <= whole.len &&
                           part.data + part.len <= whole.data + whole.len);
}

static void look_at_task(struct ig_str bytes, ig_arena *arena) {
  struct igloo_error error;
  struct ig_cluster_task_plan plan, again;
  igloo_status status = ig_run_task_read(bytes, arena, &plan, &error);
  if (status != IGLOO_OK) {
    fuzz_check_error(status, &error);
    return;
  }
  fuzz_assert(lies_in(plan.plan, bytes) && plan.task.number < plan.tasks_count);
  fuzz_assert(plan.settings_count <= IG_CLUSTER_SETTINGS_MAX);
  IG_AUTO_DONE(ig_buf) written = IG_BUF_INIT(ARENA_BYTES);
  ig_run_task_write(&plan, &written);
  fuzz_assert(ig_buf_check(&written, NULL) == IGLOO_OK);
  if (ig_run_task_read(ig_buf_str(&written), arena, &again, NULL) != IGLOO_OK) {
    /* Only for the arena, which holds the first one too. */
    fuzz_assert(ig_arena_used_bytes(arena) > ARENA_BYTES / 8);
    return;
  }
  fuzz_assert(memcmp(&plan.task, &again.task, sizeof(plan.task)) == 0);
  fuzz_assert(plan.tasks_count == again.tasks_count && ig_str_eq(plan.plan, again.plan));
  fuzz_assert(plan.settings_count == again.settings_count);
  for (size_t i = 0; i < plan.settings_count; i++)
    fuzz_assert(ig_str_eq(plan.settings[i].key, again.settings[i].key) &&
                ig_str_eq(plan.settings[i].value, again.settings[i].value));
}

static void look_at_read(struct ig_str bytes) {
  struct igloo_error error;
  struct ig_cluster_task task;
  uint32_t partition = 0;
  struct ig_str head = {0};
  igloo_status status = ig_read_partition_read(bytes, &task, &partition, &head, &error);
  if (status != IGLOO_OK)
    fuzz_check_error(status, &error);
  else
    fuzz_assert(lies_in(head, bytes));
}

static void look_at_files(struct ig_str bytes, ig_arena *arena) {
  struct igloo_error error;
  struct ig_check_files request;
  igloo_status status = ig_check_files_read(bytes, arena, &request, &error);
  if (status != IGLOO_OK) {
    fuzz_check_error(status, &error);
    return;
  }
  for (size_t i = 0; i < request.files.len; i++) {
    struct ig_str path = request.files.items[i].path;
    fuzz_assert(path.len > 0 && lies_in(path, bytes));
  }
}

static void look_at_answer(struct ig_str bytes) {
  struct igloo_error error;
  struct ig_check_files_answer answer;
  igloo_status status = ig_check_files_answer_read(bytes, 3, &answer, &error);
  if (status != IGLOO_OK)
    fuzz_check_error(status, &error);
  else
    fuzz_assert(answer.lack <= IG_FILES_NOT_READABLE &&
                (answer.lack == IG_FILES_ALL_THERE || answer.index < 3));
}

/* Those of membership are plain tables. */
static void look_at_table(const struct ig_protobuf_message *message, struct ig_str bytes,
                          ig_arena *arena) {
  struct igloo_error error;
  void *value = ig_arena_alloc(arena, message->bytes);
  fuzz_assert(value != NULL);
  igloo_status status = ig_protobuf_decode(message, bytes, arena, value, &error);
  if (status != IGLOO_OK) fuzz_check_error(status, &error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const struct ig_protobuf_message *const tables[] = {
      &ig_told_member_message, &ig_join_request_message, &ig_join_response_message,
      &ig_member_beat_message, &ig_member_beat_answer_message};
  if (size == 0) return 0;
  struct ig_str bytes = ig_str_make((const char *)data + 1, size - 1);
  IG_AUTO(ig_arena) *arena = ig_arena_new(ARENA_BYTES);
  fuzz_assert(arena != NULL);
  switch (data[0] % 9) {
    case 0:
      look_at_task(bytes, arena);
      break;
    case 1:
      look_at_read(bytes);
      break;
    case 2:
      look_at_files(bytes, arena);
      break;
    case 3:
      look_at_answer(bytes);
      break;
    default:
      look_at_table(tables[data[0] % 9 - 4], bytes, arena);
      break;
  }
  return 0;
}
