/*
 * messages.h -- what members say to each other about membership, as protobuf.
 *
 * Owns: nothing. Threads: no state. Blocks: never.
 */
#ifndef IG_CLUSTER_MESSAGES_H
#define IG_CLUSTER_MESSAGES_H

#include "base/protobuf.h"
#include "cluster/members.h"

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

struct ig_member_beat {
  uint64_t version; /* of the list that the worker has */
  bool drains;
  struct ig_member_figures figures;
};
extern const struct ig_protobuf_message ig_member_beat_message;

struct ig_member_beat_answer {
  bool drain;
  uint64_t version; /* the members follow where it is not the worker's */
  IG_PROTOBUF_LIST(struct ig_told_member) members;
};
extern const struct ig_protobuf_message ig_member_beat_answer_message;

/* What is told of one that is in a list; borrows from that. */
struct ig_told_member ig_told_member_of(const struct ig_member *member);

#endif
