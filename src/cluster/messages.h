/*
 * messages.h -- what members say to each other about membership, as protobuf.
 *
 * Owns: nothing. Threads: no state. Blocks: never.
 */
#ifndef IG_CLUSTER_MESSAGES_H
#define IG_CLUSTER_MESSAGES_H

#include "base/protobuf.h"
#include "cluster/members.h"

struct ig_told_member {
  struct ig_str node, id, address, unix_path, host, build;
  uint32_t plan_version, threads;
  uint64_t memory_bytes;
  int32_t state; /* enum ig_member_state */
};
extern const struct ig_protobuf_message ig_told_member_message;

/* First with a nonce alone, then with challenge, code and description too. */
struct ig_join_request {
  struct ig_str nonce, challenge, code;
  struct ig_str description; /* an ig_told_member */
};
extern const struct ig_protobuf_message ig_join_request_message;

/* First a challenge and its code, then the others. */
struct ig_join_response {
  struct ig_str challenge, code;
  struct ig_str coordinator; /* its id */
  uint64_t version;
  IG_PROTOBUF_LIST(struct ig_told_member) members;
};
extern const struct ig_protobuf_message ig_join_response_message;

struct ig_heartbeat {
  uint64_t version; /* of the list that the worker has */
  bool drains;
  uint64_t tasks_now, tasks, tasks_failed, rows_out, bytes_out, bytes_in;
  uint64_t memory_used_bytes;
};
extern const struct ig_protobuf_message ig_heartbeat_message;

struct ig_heartbeat_answer {
  bool drain;
  uint64_t version; /* the members follow where it is not the worker's */
  IG_PROTOBUF_LIST(struct ig_told_member) members;
};
extern const struct ig_protobuf_message ig_heartbeat_answer_message;

/* Between these and the registry's. */
struct ig_member_info ig_told_member_info(const struct ig_told_member *told);
struct ig_told_member ig_told_member_of(const struct ig_member *member);

/* Make `list` the members that `told` (count items) describe: ig_members_take. */
IG_NODISCARD igloo_status ig_told_members_take(ig_members *members, struct ig_str id,
                                               struct ig_str coordinator,
                                               const struct ig_told_member *told,
                                               size_t count, struct igloo_error *reterr);

#endif
