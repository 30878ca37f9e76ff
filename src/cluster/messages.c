/* messages.c -- see messages.h. */
#include "cluster/messages.h"

#include "base/limits.h"

#define PACKAGE "igloo.cluster.v1."

static const struct ig_protobuf_field told_member_fields[] = {
    IG_PROTOBUF_FIELD(1, STRING, ig_told_member, node),
    IG_PROTOBUF_FIELD(2, STRING, ig_told_member, id),
    IG_PROTOBUF_FIELD(3, STRING, ig_told_member, address),
    IG_PROTOBUF_FIELD(4, STRING, ig_told_member, unix_path),
    IG_PROTOBUF_FIELD(5, STRING, ig_told_member, host),
    IG_PROTOBUF_FIELD(6, STRING, ig_told_member, build),
    IG_PROTOBUF_FIELD(7, UINT32, ig_told_member, plan_version),
    IG_PROTOBUF_FIELD(8, UINT32, ig_told_member, threads),
    IG_PROTOBUF_FIELD(9, UINT64, ig_told_member, memory_bytes),
    IG_PROTOBUF_FIELD(10, ENUM, ig_told_member, state)};
const struct ig_protobuf_message ig_told_member_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "Member", ig_told_member, told_member_fields);

static const struct ig_protobuf_field join_request_fields[] = {
    IG_PROTOBUF_FIELD(1, BYTES, ig_join_request, nonce),
    IG_PROTOBUF_FIELD(2, BYTES, ig_join_request, challenge),
    IG_PROTOBUF_FIELD(3, BYTES, ig_join_request, code),
    IG_PROTOBUF_FIELD(4, BYTES, ig_join_request, description)};
const struct ig_protobuf_message ig_join_request_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "JoinRequest", ig_join_request, join_request_fields);

static const struct ig_protobuf_field join_response_fields[] = {
    IG_PROTOBUF_FIELD(1, BYTES, ig_join_response, challenge),
    IG_PROTOBUF_FIELD(2, BYTES, ig_join_response, code),
    IG_PROTOBUF_FIELD(3, STRING, ig_join_response, coordinator),
    IG_PROTOBUF_FIELD(4, UINT64, ig_join_response, version),
    IG_PROTOBUF_FIELD_NESTED_REPEATED(5, ig_join_response, members, ig_told_member)};
const struct ig_protobuf_message ig_join_response_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "JoinResponse", ig_join_response, join_response_fields);

static const struct ig_protobuf_field heartbeat_fields[] = {
    IG_PROTOBUF_FIELD(1, UINT64, ig_heartbeat, version),
    IG_PROTOBUF_FIELD(2, BOOL, ig_heartbeat, drains),
    IG_PROTOBUF_FIELD(3, UINT64, ig_heartbeat, tasks_now),
    IG_PROTOBUF_FIELD(4, UINT64, ig_heartbeat, tasks),
    IG_PROTOBUF_FIELD(5, UINT64, ig_heartbeat, tasks_failed),
    IG_PROTOBUF_FIELD(6, UINT64, ig_heartbeat, rows_out),
    IG_PROTOBUF_FIELD(7, UINT64, ig_heartbeat, bytes_out),
    IG_PROTOBUF_FIELD(8, UINT64, ig_heartbeat, bytes_in),
    IG_PROTOBUF_FIELD(9, UINT64, ig_heartbeat, memory_used_bytes)};
const struct ig_protobuf_message ig_heartbeat_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "Heartbeat", ig_heartbeat, heartbeat_fields);

static const struct ig_protobuf_field heartbeat_answer_fields[] = {
    IG_PROTOBUF_FIELD(1, BOOL, ig_heartbeat_answer, drain),
    IG_PROTOBUF_FIELD(2, UINT64, ig_heartbeat_answer, version),
    IG_PROTOBUF_FIELD_NESTED_REPEATED(3, ig_heartbeat_answer, members, ig_told_member)};
const struct ig_protobuf_message ig_heartbeat_answer_message = IG_PROTOBUF_MESSAGE(
    PACKAGE "HeartbeatAnswer", ig_heartbeat_answer, heartbeat_answer_fields);

struct ig_member_info ig_told_member_info(const struct ig_told_member *told) {
  return (struct ig_member_info){.node = told->node,
                                 .id = told->id,
                                 .address = told->address,
                                 .unix_path = told->unix_path,
                                 .host = told->host,
                                 .build = told->build,
                                 .plan_version = told->plan_version,
                                 .threads = told->threads,
                                 .memory_bytes = told->memory_bytes};
}

struct ig_told_member ig_told_member_of(const struct ig_member *member) {
  return (struct ig_told_member){.node = ig_str_from_cstr(member->node),
                                 .id = ig_str_from_cstr(member->id),
                                 .address = ig_str_from_cstr(member->address),
                                 .unix_path = ig_str_from_cstr(member->told_unix_path),
                                 .host = ig_str_from_cstr(member->host),
                                 .threads = member->threads,
                                 .memory_bytes = member->memory_bytes,
                                 .state = (int32_t)member->state};
}

/* States of a newer program, which cannot be: members are of one build. */
static enum ig_member_state state_of(int32_t number) {
  bool is_known = number >= IG_MEMBER_JOINING && number <= IG_MEMBER_DEAD;
  return is_known ? (enum ig_member_state)number : IG_MEMBER_SUSPECT;
}

igloo_status ig_told_members_take(ig_members *members, struct ig_str id,
                                  struct ig_str coordinator,
                                  const struct ig_told_member *told, size_t count,
                                  struct igloo_error *reterr) {
  struct ig_member_info *infos = NULL;
  enum ig_member_state *states = NULL;
  size_t infos_cap = 0, states_cap = 0;
  igloo_status status =
      IG_RESERVE(infos, infos_cap, count, IG_MEMBERS_MAX, "members", reterr);
  if (status == IGLOO_OK)
    status = IG_RESERVE(states, states_cap, count, IG_MEMBERS_MAX, "members", reterr);
  for (size_t i = 0; status == IGLOO_OK && i < count; i++) {
    infos[i] = ig_told_member_info(&told[i]);
    states[i] = state_of(told[i].state);
  }
  if (status == IGLOO_OK)
    status = ig_members_take(members, id, coordinator, infos, states, count, reterr);
  ig_free(infos);
  ig_free(states);
  return status;
}
