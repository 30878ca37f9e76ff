/* messages.c -- see messages.h. */
#include "cluster/messages.h"

#define PACKAGE "igloo.cluster.v1."

static const struct ig_protobuf_field told_member_fields[] = {
    IG_PROTOBUF_FIELD(1, STRING, ig_told_member, info.node),
    IG_PROTOBUF_FIELD(2, STRING, ig_told_member, info.id),
    IG_PROTOBUF_FIELD(3, STRING, ig_told_member, info.address),
    IG_PROTOBUF_FIELD(4, STRING, ig_told_member, info.unix_path),
    IG_PROTOBUF_FIELD(5, STRING, ig_told_member, info.host),
    IG_PROTOBUF_FIELD(6, STRING, ig_told_member, info.build),
    IG_PROTOBUF_FIELD(7, UINT32, ig_told_member, info.plan_version),
    IG_PROTOBUF_FIELD(8, UINT32, ig_told_member, info.threads),
    IG_PROTOBUF_FIELD(9, UINT64, ig_told_member, info.memory_bytes),
    IG_PROTOBUF_FIELD(10, ENUM, ig_told_member, state),
    IG_PROTOBUF_FIELD(11, UINT32, ig_told_member, info.processors)};
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
    IG_PROTOBUF_FIELD(1, UINT64, ig_member_beat, version),
    IG_PROTOBUF_FIELD(2, BOOL, ig_member_beat, drains),
    IG_PROTOBUF_FIELD(3, UINT64, ig_member_beat, figures.tasks_now),
    IG_PROTOBUF_FIELD(4, UINT64, ig_member_beat, figures.tasks),
    IG_PROTOBUF_FIELD(5, UINT64, ig_member_beat, figures.tasks_failed),
    IG_PROTOBUF_FIELD(6, UINT64, ig_member_beat, figures.rows_out),
    IG_PROTOBUF_FIELD(7, UINT64, ig_member_beat, figures.bytes_out),
    IG_PROTOBUF_FIELD(8, UINT64, ig_member_beat, figures.bytes_in),
    IG_PROTOBUF_FIELD(9, UINT64, ig_member_beat, figures.memory_used_bytes_now)};
const struct ig_protobuf_message ig_member_beat_message =
    IG_PROTOBUF_MESSAGE(PACKAGE "Heartbeat", ig_member_beat, heartbeat_fields);

static const struct ig_protobuf_field heartbeat_answer_fields[] = {
    IG_PROTOBUF_FIELD(1, BOOL, ig_member_beat_answer, drain),
    IG_PROTOBUF_FIELD(2, UINT64, ig_member_beat_answer, version),
    IG_PROTOBUF_FIELD_NESTED_REPEATED(3, ig_member_beat_answer, members, ig_told_member)};
const struct ig_protobuf_message ig_member_beat_answer_message = IG_PROTOBUF_MESSAGE(
    PACKAGE "HeartbeatAnswer", ig_member_beat_answer, heartbeat_answer_fields);

struct ig_told_member ig_told_member_of(const struct ig_member *member) {
  return (struct ig_told_member){
      .info = {.node = ig_str_from_cstr(member->node),
               .id = ig_str_from_cstr(member->id),
               .address = ig_str_from_cstr(member->address),
               .unix_path = ig_str_from_cstr(member->told_unix_path),
               .host = ig_str_from_cstr(member->host),
               .threads = member->threads,
               .processors = member->processors,
               .memory_bytes = member->memory_bytes},
      .state = (int32_t)member->state};
}
