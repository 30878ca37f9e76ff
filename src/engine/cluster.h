/*
 * cluster.h -- statements of this engine on other members, and tasks of others on it.
 *
 * The engine cuts a statement into stages, a stage into tasks, and sends each task to a
 * member; a task reads the partitions of tasks below it from wherever they run. How plans
 * and batches travel is not its concern: it is given one table of functions. Plans,
 * heads, settings and messages are bytes that nobody but engines of the same build can
 * read.
 *
 * Owns:    tasks and reads, until their _free.
 * Threads: ig_engine_set_cluster() before the first plan; the rest from any thread, a
 *          task or read by one thread at a time.
 * Blocks:  never, except where a function of struct ig_cluster_channel says that it may.
 */
#ifndef IG_ENGINE_CLUSTER_H
#define IG_ENGINE_CLUSTER_H

#include <igloo/arrow.h>

#include "base/cancel.h"
#include "base/error.h"
#include "base/str.h"
#include "engine/engine.h"
#include "files/roots.h"

enum ig_cluster_poll {
  IG_CLUSTER_POLL_READY = 0,   /* there is a message or a batch */
  IG_CLUSTER_POLL_END = 1,     /* it has ended well; nothing follows */
  IG_CLUSTER_POLL_PENDING = 2, /* not now: the waker is called when to ask again */
  IG_CLUSTER_POLL_FAILED = 3,  /* the error says why; nothing follows */
};

/* Called at most once for each PENDING, on any thread, under a leaf lock at most. Never
 * blocks and never calls back. */
typedef void (*ig_cluster_wake)(void *wake_ctx);

/* Who can be given tasks. */
struct ig_cluster_member {
  struct ig_str id; /* [a-z0-9-], at most 63, unique for each incarnation */
  bool is_self;     /* this process */
  uint32_t threads;
  bool is_private;     /* nobody else hears what it is told by this process */
  bool is_near;        /* it is on this host */
  uint32_t host;       /* equal for members of one host */
  uint32_t processors; /* of its host; 0: it did not say */
};

/* A task of a query: of the tasks of `stage` the one with this number. */
struct ig_cluster_task {
  uint8_t query_id[16]; /* of this distributed run; nobody else's id */
  uint32_t stage, number;
};

struct ig_cluster_pair {
  struct ig_str key, value;
};

/* What a member is to run. */
struct ig_cluster_task_plan {
  struct ig_cluster_task task;
  uint32_t tasks_count;                   /* of its stage */
  struct ig_str member;                   /* whom it goes to */
  struct ig_str plan;                     /* bytes */
  const struct ig_cluster_pair *settings; /* what of the session changes results */
  size_t settings_count;
  uint64_t started_ns; /* of the query, by the coordinator's clock; since 1970 */
  /* Workers read parts of its databases: the run offers them under the id of the query
   * (ig_remote_run_offer) before this is sent. */
  bool offers;
};

/* A file as it was listed: size and mtime tell whether another member has the same. */
struct ig_cluster_file {
  struct ig_str path;
  uint64_t size;
  int64_t mtime_ns;
  uint64_t inode; /* the coordinator's: to be ignored elsewhere */
};

/* What the engine needs. `ctx` comes first; statuses are igloo_status, and errors are
 * filled on failure. */
struct ig_cluster_channel {
  void *ctx;
  uint64_t local_bytes; /* statements that read fewer bytes of files stay here */
  /* Members of one host that take part in one statement at most; 0: as many as it has
   * processors, and two at least. */
  uint32_t host_members;
  /* Members that may be given tasks now, this process among them, in a stable order.
   * Gives a snapshot that stays valid until members_release; NULL: no memory. Any thread,
   * never blocks. */
  void *(*members)(void *ctx, const struct ig_cluster_member **ret_members,
                   size_t *ret_count);
  void (*members_release)(void *ctx, void *snapshot); /* any thread, never blocks */
  /* ret_has[i]: member i of the snapshot has all of `files`, with this size and mtime,
   * and may read them. *ret_reason says what the first that has not lacks, as a clause
   * for EXPLAIN (`worker "w-1" has no file "x"`), or is empty; valid until
   * members_release. A member that cannot be asked has none. On planning threads; may
   * block, for a bounded time. */
  int32_t (*files)(void *ctx, void *snapshot, const struct ig_cluster_file *files,
                   size_t count, bool *ret_has, struct ig_str *ret_reason,
                   struct igloo_error *reterr);
  /* Send a plan (borrowed). Gives *ret_task: polled by one thread at a time. On the
   * engine's blocking threads; may block until a connection is there, for a bounded time.
   * `execution` is the run (struct ig_remote_run) of the statement, borrowed for the
   * call, or NULL. */
  int32_t (*task_start)(void *ctx, const struct ig_cluster_task_plan *plan,
                        void *execution, void **ret_task, struct igloo_error *reterr);
  /* The next message of the member, valid until the next call for this task. Returns an
   * ig_cluster_poll. */
  int32_t (*task_poll)(void *task, ig_cluster_wake wake, void *wake_ctx,
                       struct ig_str *ret_message, struct igloo_error *reterr);
  /* The query has ended well: half-close; the member sends its last messages. Any thread,
   * never blocks. */
  void (*task_finish)(void *task);
  /* Cancels what has not ended. No wake after it has returned. Any thread, never blocks.
   */
  void (*task_free)(void *task);
  /* Read a partition of a task that somebody has sent, or is sending, to `member`. Gives
   * *ret_read: polled by one thread at a time. On the engine's blocking threads; may
   * block until a connection is there, for a bounded time. */
  int32_t (*read_start)(void *ctx, struct ig_str member,
                        const struct ig_cluster_task *task, uint32_t partition,
                        struct ig_str head, void *execution, void **ret_read,
                        struct igloo_error *reterr);
  /* The next batch, given to the caller; an ig_cluster_poll. Decodes on the calling
   * thread. */
  int32_t (*read_poll)(void *read, ig_cluster_wake wake, void *wake_ctx,
                       struct ArrowArray *ret_batch, struct igloo_error *reterr);
  /* The schema of its batches, given to the caller. Asked once, after the first READY. */
  int32_t (*read_schema)(void *read, struct ArrowSchema *ret_schema,
                         struct igloo_error *reterr);
  /* Cancels what has not ended. No wake after it has returned. Any thread, never blocks.
   */
  void (*read_free)(void *read);
  /* On a worker: open a part (bytes of ig_remote_part) of a database that the run of this
   * query offers, as ig_remote_open() does. On the engine's blocking threads. */
  int32_t (*part_open)(void *ctx, const uint8_t query_id[16], struct ig_str part,
                       ig_cancel *stop, struct ArrowArrayStream *ret_rows,
                       struct igloo_error *reterr);
  const void *remote; /* the engine's own, set by it */
};

/* Run statements that are planned from now on by `channel` (copied; its ctx stays valid
 * as long as the engine) where that is worth it; NULL: on this process alone again. */
void ig_engine_set_cluster(ig_engine *engine, const struct ig_cluster_channel *channel);

/* ---- the worker's side ------------------------------------------------------------- */

/* Who is told of a task that runs here for another member. Called by one thread at a
 * time, on the engine's threads; never blocks, nor frees the task. */
struct ig_cluster_task_events {
  void *ctx;
  void (*message)(void *ctx, struct ig_str message); /* for the coordinator; borrowed */
  /* Once, at last. `error` is NULL where the status is IGLOO_OK. */
  void (*ended)(void *ctx, int32_t status, const struct igloo_error *error);
};

typedef struct ig_engine_task ig_engine_task;

/* Set a task up (all is copied) and return at once; the plan is decoded on the engine's
 * threads. `events` is told of the end, exactly once unless the task is freed before.
 * Gives *ret_task. */
IG_NODISCARD igloo_status
ig_engine_task_start(ig_engine *engine, const struct ig_cluster_task_plan *plan,
                     const struct ig_cluster_task_events *events,
                     ig_engine_task **ret_task, struct igloo_error *reterr);
/* The query has ended (the peer half-closed): messages may follow, then the end. */
void ig_engine_task_finish(ig_engine_task *task);
/* Cancels what has not ended; no event after it has returned. Not while a lock is held
 * that the events take, nor from within them. Takes NULL; returns NULL. */
ig_engine_task *ig_engine_task_free(ig_engine_task *task);

/* Where the batches of a partition go that is made here for another member. Called by one
 * thread at a time, on the engine's threads; never blocks, nor frees the read. */
struct ig_cluster_sink {
  void *ctx;
  /* Once, before the first batch and before `ended` with IGLOO_OK. Borrowed. Returns
   * IGLOO_OK, or the status to end with. */
  int32_t (*schema)(void *ctx, const struct ArrowSchema *schema,
                    struct igloo_error *reterr);
  /* Takes the batch, also on failure. READY: there is room for the next; PENDING: the
   * next comes after `wake`; FAILED: nobody reads any more. */
  int32_t (*batch)(void *ctx, struct ArrowArray *batch, ig_cluster_wake wake,
                   void *wake_ctx, struct igloo_error *reterr);
  /* Once, at last. `error` is NULL where the status is IGLOO_OK. */
  void (*ended)(void *ctx, int32_t status, const struct igloo_error *error);
};

typedef struct ig_engine_read ig_engine_read;

/* Start reading a partition of a task that has been, or is being, sent here, or what
 * `head` names of it (empty: the partition); return at once. A task that never comes is
 * waited for until the read is freed. `sink` is told of the end, exactly once unless the
 * read is freed before. Gives *ret_read. */
IG_NODISCARD igloo_status ig_engine_read_start(ig_engine *engine,
                                               const struct ig_cluster_task *task,
                                               uint32_t partition, struct ig_str head,
                                               const struct ig_cluster_sink *sink,
                                               ig_engine_read **ret_read,
                                               struct igloo_error *reterr);
/* Cancels what has not ended; no call of the sink after it has returned, and its waker is
 * not to be called any more. Not while a lock is held that the sink takes, nor from
 * within it. Takes NULL; returns NULL. */
ig_engine_read *ig_engine_read_free(ig_engine_read *read);

#endif
