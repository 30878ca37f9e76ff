/*
 * members.h -- who is in the cluster, in which state, and who has been lost.
 *
 *     joining --first heartbeat--> active <--> suspect --> dead
 *                                    |                       (forgotten later)
 *                                    +--> draining --left--> dead
 *
 * The coordinator's registry is fed by joins and heartbeats (coordinator.h), a worker's
 * by the list that its coordinator sends (join.h). Time comes in as a parameter, the
 * monotonic clock of this process: tests need no sleep.
 *
 * Owns:    itself, copies of every text; lists are counted and outlive it.
 * Threads: all functions are thread-safe, except free. Listeners are called without a
 *          lock held, on the thread that found out.
 * Blocks:  never: ig_members_list() takes a lock for the time of two instructions.
 */
#ifndef IG_CLUSTER_MEMBERS_H
#define IG_CLUSTER_MEMBERS_H

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

/* Of an id and its NUL: [a-z0-9-]. */
#define IG_MEMBER_ID_BYTES 64

enum ig_member_role { IG_MEMBER_COORDINATOR, IG_MEMBER_WORKER };

enum ig_member_state {
  IG_MEMBER_JOINING,  /* let in, not heard of since */
  IG_MEMBER_ACTIVE,   /* may be given tasks; no other state may */
  IG_MEMBER_SUSPECT,  /* late, or somebody could not reach it */
  IG_MEMBER_DRAINING, /* ends what it has */
  IG_MEMBER_DEAD,     /* lost, left or replaced: shown for a while, never called */
};
const char *ig_member_state_name(enum ig_member_state state); /* "active" */

/* What members count of themselves, since their start but for those with "now". */
struct ig_member_figures {
  uint64_t tasks_now, tasks, tasks_failed;
  uint64_t rows_out, bytes_out; /* of partitions that others read here */
  uint64_t bytes_in;            /* of partitions read from others */
  uint64_t memory_used_bytes_now;
};

/* What a member says of itself when it joins. Texts are never NULL. */
struct ig_member_info {
  struct ig_str node;      /* "w-3f2a90c1" */
  struct ig_str id;        /* node, a hyphen and the incarnation */
  struct ig_str address;   /* "host:port" where others reach it; empty: none */
  struct ig_str unix_path; /* of its Unix socket; empty: none */
  struct ig_str host;      /* equal for those who can open each other's Unix sockets */
  struct ig_str build;     /* of the program */
  uint32_t plan_version;   /* of the plans that it reads */
  uint32_t threads;
  uint32_t processors; /* of its host, as far as it may use them; 0: not known */
  uint64_t memory_bytes;
};

/* A member as another one tells of it. */
struct ig_told_member {
  struct ig_member_info info;
  int32_t state; /* an enum ig_member_state; of any other it is suspect */
};

/* ---- the list ---------------------------------------------------------------------- */

/* A member as others see it; immutable. */
struct ig_member {
  const char *id;
  const char *node; /* stays over restarts where the member has a data folder: what
                       routing hashes */
  enum ig_member_role role;
  enum ig_member_state state;
  bool is_self;          /* this process */
  const char *address;   /* "" : none */
  const char *unix_path; /* of a socket that this process can open; "": none */
  const char *host, *told_unix_path; /* as it said; for passing on */
  uint32_t threads, processors;
  uint64_t memory_bytes;
};

struct ig_member_list {
  uint64_t version;          /* higher for each list of one registry */
  struct ig_member *members; /* the coordinator, then by id; dead ones are not in it */
  size_t count;
  int32_t refs; /* members.c's */
};

struct ig_member_list *ig_member_list_ref(struct ig_member_list *list);
struct ig_member_list *ig_member_list_unref(struct ig_member_list *list);
IG_DEFINE_AUTO_STRUCT(ig_member_list, ig_member_list_unref)

/* NULL where there is none of that id. Borrowed as long as the list. */
const struct ig_member *ig_member_list_find(const struct ig_member_list *list,
                                            struct ig_str id);

/* ---- the registry ------------------------------------------------------------------ */

typedef struct ig_members ig_members;

struct ig_members_options {
  enum ig_member_role role;   /* of this process */
  struct ig_member_info self; /* copied */
  int64_t heartbeat_us;       /* suspect after three, dead after ten of them */
};

/* With this process in it: a coordinator is active at once, a worker joining until
 * ig_members_take. Gives *ret_members (free: ig_members_free). OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_members_new(const struct ig_members_options *options,
                                         ig_members **ret_members,
                                         struct igloo_error *reterr);
ig_members *ig_members_free(ig_members *members); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_members, ig_members_free)

/* Everybody who is not dead. Gives a reference (ig_member_list_unref); never NULL. */
struct ig_member_list *ig_members_list(ig_members *members);

/* Where others reach this process, known once it listens. OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_members_set_self(ig_members *members, struct ig_str address,
                                              struct ig_str unix_path,
                                              struct igloo_error *reterr);

/* The id of this process; a worker's changes when it joins again. */
void ig_members_self_id(ig_members *members, char ret_id[IG_MEMBER_ID_BYTES]);

/* Whom to tell of what. A listener is added before the registry has other members and
 * stays until it is freed; there are at most IG_MEMBER_LISTENERS_MAX. */
struct ig_member_listener {
  /* Member `id` is gone and will not be back under that id. `why` is what statements that
   * need it end with: UNAVAILABLE 08006 `worker "…" was lost`, retryable. Must not block.
   * Called once for each member that was in a list. */
  void (*lost)(void *ctx, const char *id, const struct igloo_error *why);
  void *ctx;
};
void ig_members_listen(ig_members *members, const struct ig_member_listener *listener);

/* Fill *reterr with that error. `reason`, a sentence, becomes the detail; may be NULL.
 * Returns UNAVAILABLE. */
igloo_status ig_member_fail_lost(struct igloo_error *reterr, const char *id,
                                 const char *reason);

/* ---- what the coordinator is told -------------------------------------------------- */

/* Let a worker in. A member of the same node that is still listed is lost: this one
 * replaces it. Returns IGLOO_OK; FAILED_PRECONDITION 55000 for another build or plan
 * version (detail: both of both); INVALID_ARGUMENT for a description that is none (ids of
 * other characters, no address and no Unix socket of this host); RESOURCE_EXHAUSTED 53300
 * at IG_MEMBERS_MAX; OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_members_join(ig_members *members,
                                          const struct ig_member_info *info,
                                          int64_t now_us, struct igloo_error *reterr);

/* A sign of life. `drains`: the worker takes no more tasks. *ret_drain: it shall drain.
 * Returns NOT_FOUND where it is no member (any more): it has to join again;
 * ALREADY_EXISTS where another one of its node has joined since. */
IG_NODISCARD igloo_status ig_members_beat(ig_members *members, struct ig_str id,
                                          const struct ig_member_figures *figures,
                                          bool drains, int64_t now_us, bool *ret_drain,
                                          struct igloo_error *reterr);

/* What one hears that is no member (any more): the errors of ig_members_beat. */
igloo_status ig_members_fail_stranger(ig_members *members, struct ig_str id,
                                      struct igloo_error *reterr);

/* It says good-bye. Unknown ones are no error. */
void ig_members_leave(ig_members *members, struct ig_str id, int64_t now_us);

/* An operator wants it drained. Returns NOT_FOUND 42704; INVALID_ARGUMENT for the
 * coordinator. A second time does nothing. */
IG_NODISCARD igloo_status ig_members_drain(ig_members *members, struct ig_str id,
                                           struct igloo_error *reterr);

/* ---- what a worker is told --------------------------------------------------------- */

/* The members that its coordinator sees, which has let this process in under `id`. Those
 * that are no longer among them are lost. NOT_FOUND where this process is not among them:
 * nothing changed; OUT_OF_MEMORY: it is to be told again. `told` has count items; the
 * coordinator is `coordinator`. */
IG_NODISCARD igloo_status ig_members_take(ig_members *members, struct ig_str id,
                                          struct ig_str coordinator,
                                          const struct ig_told_member *told, size_t count,
                                          struct igloo_error *reterr);

/* The coordinator is gone: so is everybody else. */
void ig_members_cut_off(ig_members *members, const char *reason);

/* ---- what anybody may tell --------------------------------------------------------- */

/* Its address could not be reached, or a connection to it broke: an active member is
 * suspect until it is heard of again. On a worker nothing happens: the coordinator
 * decides. */
void ig_members_doubt(ig_members *members, struct ig_str id);

/* This process takes no more tasks. */
void ig_members_drain_self(ig_members *members);

/* Look who is late; forget who was dead for IG_MEMBER_FORGET_US. Returns when it is to be
 * called next. */
int64_t ig_members_tick(ig_members *members, int64_t now_us);

/* ---- for people -------------------------------------------------------------------- */

/* A member with its figures, dead ones too. Times are of the clock that came in. */
struct ig_member_view {
  char id[IG_MEMBER_ID_BYTES];
  enum ig_member_role role;
  enum ig_member_state state;
  bool is_self;
  char *address, *unix_path, *build, *reason; /* owned; why it is not active, or NULL */
  uint32_t plan_version, threads;
  uint64_t memory_bytes;
  int64_t joined_us, seen_us;
  struct ig_member_figures figures;
};

/* Give them, ordered as the list (free: ig_member_views_free). OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_members_view(ig_members *members,
                                          struct ig_member_view **ret_views,
                                          size_t *ret_count, struct igloo_error *reterr);
void ig_member_views_free(struct ig_member_view *views, size_t count);

#endif
