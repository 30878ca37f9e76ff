/*
 * worker_messages.h -- what the methods of igloo.cluster.v1.Worker carry, as protobuf.
 *
 * RunTask is bidirectional: the first message of the coordinator is a RunTask, its
 * half-close says that the query has ended; back come the engine's messages as they are.
 * ReadPartition takes one message and streams Arrow IPC framed as FlightData
 * (wire/flight_data.h), the schema first. CheckFiles is unary.
 *
 * Owns:    nothing; what was read borrows from the bytes and the arena.
 * Threads: no state. Blocks: never.
 */
#ifndef IG_CLUSTER_WORKER_MESSAGES_H
#define IG_CLUSTER_WORKER_MESSAGES_H

#include "base/protobuf.h"
#include "engine/cluster.h"

#define IG_WORKER_RUN_TASK "/igloo.cluster.v1.Worker/RunTask"
#define IG_WORKER_READ_PARTITION "/igloo.cluster.v1.Worker/ReadPartition"
#define IG_WORKER_CHECK_FILES "/igloo.cluster.v1.Worker/CheckFiles"

/* A trailer of errors that a worker's own work ended with; without it UNAVAILABLE is the
 * connection's. */
#define IG_WORKER_TRAILER "igloo-worker"

struct ig_run_task {
  struct ig_str query_id; /* 16 bytes */
  uint32_t stage, number, tasks_count;
  struct ig_str plan;
  IG_PROTOBUF_LIST(struct ig_protobuf_pair) settings;
  uint64_t started_ns;
};

struct ig_read_partition {
  struct ig_str query_id; /* 16 bytes */
  uint32_t stage, number, partition;
  struct ig_str head;
};

struct ig_checked_file {
  struct ig_str path;
  uint64_t size;
  int64_t mtime_ns;
};
struct ig_check_files {
  IG_PROTOBUF_LIST(struct ig_checked_file) files;
};

enum ig_files_lack {
  IG_FILES_ALL_THERE = 0,
  IG_FILES_MISSING = 1,
  IG_FILES_DIFFERENT = 2,    /* another size or time */
  IG_FILES_NOT_ALLOWED = 3,  /* outside its files.roots, or the system refuses it */
  IG_FILES_NOT_READABLE = 4, /* any other reason */
};
struct ig_check_files_answer {
  uint32_t lack;  /* enum ig_files_lack, of … */
  uint32_t index; /* … this file, the first that is not as it should be */
};

/* Append the message. A failure sticks in the buffer. */
void ig_run_task_write(const struct ig_cluster_task_plan *plan, struct ig_buf *out);
void ig_read_partition_write(const struct ig_cluster_task *task, uint32_t partition,
                             struct ig_str head, struct ig_buf *out);
void ig_check_files_write(const struct ig_cluster_file *files, size_t count,
                          struct ig_buf *out);
void ig_check_files_answer_write(const struct ig_check_files_answer *answer,
                                 struct ig_buf *out);

/* Read one. `bytes` may be anything; lists lie in the arena. Returns IGLOO_OK;
 * INVALID_ARGUMENT 08P01 for what is not the message, a query id that is not 16 bytes, a
 * task that is none of its stage's, or a path with a NUL byte; RESOURCE_EXHAUSTED 54000
 * beyond IG_CLUSTER_SETTINGS_MAX, IG_FILES_PER_TABLE_MAX or the arena's ceiling;
 * OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_run_task_read(struct ig_str bytes, ig_arena *arena,
                                           struct ig_cluster_task_plan *ret_plan,
                                           struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_read_partition_read(struct ig_str bytes,
                                                 struct ig_cluster_task *ret_task,
                                                 uint32_t *ret_partition,
                                                 struct ig_str *ret_head,
                                                 struct igloo_error *reterr);
IG_NODISCARD igloo_status ig_check_files_read(struct ig_str bytes, ig_arena *arena,
                                              struct ig_check_files *ret_request,
                                              struct igloo_error *reterr);
/* `files_count` were asked for. */
IG_NODISCARD igloo_status ig_check_files_answer_read(
    struct ig_str bytes, size_t files_count, struct ig_check_files_answer *ret_answer,
    struct igloo_error *reterr);

#endif
