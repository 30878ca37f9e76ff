/* worker_messages.c -- see worker_messages.h. */
#include "cluster/worker_messages.h"

#include "base/limits.h"

static const struct ig_protobuf_field run_task_fields[] = {
    IG_PROTOBUF_FIELD(1, BYTES, ig_run_task, query_id),
    IG_PROTOBUF_FIELD(2, UINT32, ig_run_task, stage),
    IG_PROTOBUF_FIELD(3, UINT32, ig_run_task, number),
    IG_PROTOBUF_FIELD(4, UINT32, ig_run_task, tasks_count),
    IG_PROTOBUF_FIELD(5, FIXED64, ig_run_task, started_ns),
    IG_PROTOBUF_FIELD_NESTED_REPEATED(6, ig_run_task, settings, ig_protobuf_pair),
    IG_PROTOBUF_FIELD(7, BYTES, ig_run_task, plan),
};
static const struct ig_protobuf_message run_task_message =
    IG_PROTOBUF_MESSAGE("igloo.cluster.v1.RunTask", ig_run_task, run_task_fields);

static const struct ig_protobuf_field read_partition_fields[] = {
    IG_PROTOBUF_FIELD(1, BYTES, ig_read_partition, query_id),
    IG_PROTOBUF_FIELD(2, UINT32, ig_read_partition, stage),
    IG_PROTOBUF_FIELD(3, UINT32, ig_read_partition, number),
    IG_PROTOBUF_FIELD(4, UINT32, ig_read_partition, partition),
    IG_PROTOBUF_FIELD(5, BYTES, ig_read_partition, head),
};
static const struct ig_protobuf_message read_partition_message = IG_PROTOBUF_MESSAGE(
    "igloo.cluster.v1.ReadPartition", ig_read_partition, read_partition_fields);

static const struct ig_protobuf_field checked_file_fields[] = {
    IG_PROTOBUF_FIELD(1, BYTES, ig_checked_file, path),
    IG_PROTOBUF_FIELD(2, UINT64, ig_checked_file, size),
    IG_PROTOBUF_FIELD(3, SFIXED64, ig_checked_file, mtime_ns),
};
static const struct ig_protobuf_message ig_checked_file_message = IG_PROTOBUF_MESSAGE(
    "igloo.cluster.v1.CheckedFile", ig_checked_file, checked_file_fields);

static const struct ig_protobuf_field check_files_fields[] = {
    IG_PROTOBUF_FIELD_NESTED_REPEATED(1, ig_check_files, files, ig_checked_file),
};
static const struct ig_protobuf_message check_files_message = IG_PROTOBUF_MESSAGE(
    "igloo.cluster.v1.CheckFiles", ig_check_files, check_files_fields);

static const struct ig_protobuf_field check_files_answer_fields[] = {
    IG_PROTOBUF_FIELD(1, UINT32, ig_check_files_answer, lack),
    IG_PROTOBUF_FIELD(2, UINT32, ig_check_files_answer, index),
};
static const struct ig_protobuf_message check_files_answer_message =
    IG_PROTOBUF_MESSAGE("igloo.cluster.v1.CheckFilesAnswer", ig_check_files_answer,
                        check_files_answer_fields);

/* --- writing */

static_assert(sizeof(struct ig_cluster_pair) == sizeof(struct ig_protobuf_pair) &&
                  offsetof(struct ig_cluster_pair, value) ==
                      offsetof(struct ig_protobuf_pair, value),
              "one layout");

static struct ig_str query_id_of(const struct ig_cluster_task *task) {
  return ig_str_make((const char *)task->query_id, sizeof(task->query_id));
}

void ig_run_task_write(const struct ig_cluster_task_plan *plan, struct ig_buf *out) {
  union { /* written from, never to */
    const struct ig_cluster_pair *given;
    struct ig_protobuf_pair *taken;
  } settings = {.given = plan->settings};
  const struct ig_run_task message = {
      .query_id = query_id_of(&plan->task),
      .stage = plan->task.stage,
      .number = plan->task.number,
      .tasks_count = plan->tasks_count,
      .plan = plan->plan,
      .settings = {settings.taken, plan->settings_count},
      .started_ns = plan->started_ns,
  };
  ig_protobuf_encode(&run_task_message, &message, out);
}

void ig_read_partition_write(const struct ig_cluster_task *task, uint32_t partition,
                             struct ig_str head, struct ig_buf *out) {
  const struct ig_read_partition message = {
      .query_id = query_id_of(task),
      .stage = task->stage,
      .number = task->number,
      .partition = partition,
      .head = head,
  };
  ig_protobuf_encode(&read_partition_message, &message, out);
}

void ig_check_files_write(const struct ig_cluster_file *files, size_t count,
                          struct ig_buf *out) {
  for (size_t i = 0; i < count; i++) {
    const struct ig_checked_file file = {
        .path = files[i].path, .size = files[i].size, .mtime_ns = files[i].mtime_ns};
    ig_protobuf_put_length(out, check_files_fields[0].number,
                           ig_protobuf_encoded_bytes(&ig_checked_file_message, &file));
    ig_protobuf_encode(&ig_checked_file_message, &file, out);
  }
}

void ig_check_files_answer_write(const struct ig_check_files_answer *answer,
                                 struct ig_buf *out) {
  ig_protobuf_encode(&check_files_answer_message, answer, out);
}

/* --- reading */

static igloo_status refuse(struct igloo_error *reterr,
                           const struct ig_protobuf_message *message, const char *what) {
  return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01", "%s in message %s", what,
                       message->name);
}

static igloo_status read_query_id(struct ig_str id,
                                  const struct ig_protobuf_message *message,
                                  struct ig_cluster_task *ret_task,
                                  struct igloo_error *reterr) {
  if (id.len != sizeof(ret_task->query_id))
    return refuse(reterr, message, "a query id of another length");
  memcpy(ret_task->query_id, id.data, id.len);
  return IGLOO_OK;
}

igloo_status ig_run_task_read(struct ig_str bytes, ig_arena *arena,
                              struct ig_cluster_task_plan *ret_plan,
                              struct igloo_error *reterr) {
  struct ig_run_task message;
  IG_TRY(ig_protobuf_decode(&run_task_message, bytes, arena, &message, reterr));
  struct ig_cluster_task_plan plan = {0};
  IG_TRY(read_query_id(message.query_id, &run_task_message, &plan.task, reterr));
  if (message.number >= message.tasks_count)
    return refuse(reterr, &run_task_message, "a task that its stage does not have");
  if (message.settings.len > IG_CLUSTER_SETTINGS_MAX)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "a task has more than %d settings", IG_CLUSTER_SETTINGS_MAX);
  plan.task.stage = message.stage;
  plan.task.number = message.number;
  plan.tasks_count = message.tasks_count;
  plan.plan = message.plan;
  plan.started_ns = message.started_ns;
  union {
    struct ig_protobuf_pair *given;
    const struct ig_cluster_pair *taken;
  } settings = {.given = message.settings.items};
  plan.settings = settings.taken;
  plan.settings_count = message.settings.len;
  *ret_plan = plan;
  return IGLOO_OK;
}

igloo_status ig_read_partition_read(struct ig_str bytes, struct ig_cluster_task *ret_task,
                                    uint32_t *ret_partition, struct ig_str *ret_head,
                                    struct igloo_error *reterr) {
  struct ig_read_partition message;
  IG_TRY(ig_protobuf_decode(&read_partition_message, bytes, NULL, &message, reterr));
  struct ig_cluster_task task = {.stage = message.stage, .number = message.number};
  IG_TRY(read_query_id(message.query_id, &read_partition_message, &task, reterr));
  *ret_task = task;
  *ret_partition = message.partition;
  *ret_head = message.head;
  return IGLOO_OK;
}

igloo_status ig_check_files_read(struct ig_str bytes, ig_arena *arena,
                                 struct ig_check_files *ret_request,
                                 struct igloo_error *reterr) {
  struct ig_check_files message;
  IG_TRY(ig_protobuf_decode(&check_files_message, bytes, arena, &message, reterr));
  if (message.files.len > IG_FILES_PER_TABLE_MAX)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "more than %d files are asked for", IG_FILES_PER_TABLE_MAX);
  for (size_t i = 0; i < message.files.len; i++) {
    struct ig_str path = message.files.items[i].path;
    if (path.len == 0 || memchr(path.data, '\0', path.len))
      return refuse(reterr, &check_files_message, "a path that is none");
  }
  *ret_request = message;
  return IGLOO_OK;
}

igloo_status ig_check_files_answer_read(struct ig_str bytes, size_t files_count,
                                        struct ig_check_files_answer *ret_answer,
                                        struct igloo_error *reterr) {
  struct ig_check_files_answer answer;
  IG_TRY(ig_protobuf_decode(&check_files_answer_message, bytes, NULL, &answer, reterr));
  if (answer.lack > IG_FILES_NOT_READABLE ||
      (answer.lack != IG_FILES_ALL_THERE && answer.index >= files_count))
    return refuse(reterr, &check_files_answer_message, "an answer that is none");
  *ret_answer = answer;
  return IGLOO_OK;
}
