/* coordinator.c -- see coordinator.h. */
#include "cluster/coordinator.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "cluster/cluster.h"
#include "cluster/messages.h"

/* A handler reads its request and writes its answer. */
struct call {
  ig_cluster *cluster;
  ig_rpc_call *rpc;
  struct ig_str request;
  struct ig_buf *answer;
};

typedef igloo_status (*handler)(struct call *call, struct igloo_error *reterr);

static void run(ig_cluster *cluster, ig_rpc_call *rpc, handler handle) {
  struct ig_rpc_message message = {0};
  struct igloo_error error = {0};
  bool got = true;
  IG_AUTO_DONE(ig_buf) answer = IG_BUF_INIT(IG_MEMBER_MESSAGE_BYTES_MAX);
  igloo_status status = ig_rpc_call_receive(rpc, &message, &got, &error);
  struct call call = {.cluster = cluster,
                      .rpc = rpc,
                      .request = {(const char *)message.data, message.len},
                      .answer = &answer};
  if (status == IGLOO_OK) status = handle(&call, &error);
  if (status == IGLOO_OK) status = ig_buf_check(&answer, &error);
  if (status == IGLOO_OK)
    status = ig_rpc_call_post_bytes(rpc, ig_buf_str(&answer).data, answer.len, &error);
  ig_rpc_message_done(&message);
  ig_rpc_call_finish(rpc, status == IGLOO_OK ? NULL : &error);
  (void)ig_rpc_call_unref(rpc);
}

/* ---- Join -------------------------------------------------------------------------- */

/* The address without its port: what must wait after wrong tokens. */
static struct ig_str peer_host(const struct ig_rpc_peer *peer) {
  struct ig_str address = ig_str_from_cstr(peer->address);
  size_t at = address.len;
  if (peer->transport == IG_RPC_UNIX) return address; /* a user, not a port */
  while (at > 0 && address.data[at - 1] != ':') at--;
  return at > 0 ? ig_str_sub(address, 0, at - 1) : address;
}

static const uint8_t *bytes_of(struct ig_str text) {
  return (const uint8_t *)text.data;
}

static void challenge(struct call *call, const struct ig_join_request *request) {
  uint8_t sealed[IG_JOIN_CHALLENGE_BYTES], code[IG_JOIN_CODE_BYTES];
  ig_prover_challenge(ig_cluster_prover(call->cluster), bytes_of(request->nonce),
                      ig_now_us(), sealed, code);
  struct ig_join_response answer = {.challenge = {(const char *)sealed, sizeof sealed},
                                    .code = {(const char *)code, sizeof code}};
  ig_protobuf_encode(&ig_join_response_message, &answer, call->answer);
}

/* The members of `list` as they are told (free: ig_free). */
static igloo_status tell_members(const struct ig_member_list *list,
                                 struct ig_told_member **ret_told,
                                 struct igloo_error *reterr) {
  struct ig_told_member *told = ig_calloc(list->count, sizeof *told);
  if (!told) return ig_fail_oom(reterr);
  for (size_t i = 0; i < list->count; i++) told[i] = ig_told_member_of(&list->members[i]);
  *ret_told = told;
  return IGLOO_OK;
}

static igloo_status let_in(struct call *call, const struct ig_join_request *request,
                           struct igloo_error *reterr) {
  struct ig_told_member worker;
  ig_members *members = ig_cluster_members(call->cluster);
  int64_t now_us = ig_now_us();
  IG_TRY(ig_prover_admit(ig_cluster_prover(call->cluster),
                         peer_host(ig_rpc_call_peer(call->rpc)), bytes_of(request->nonce),
                         bytes_of(request->challenge), request->description,
                         bytes_of(request->code), now_us, reterr));
  IG_TRY(ig_protobuf_decode(&ig_told_member_message, request->description, NULL, &worker,
                            reterr));
  IG_TRY(ig_members_join(members, &worker.info, now_us, reterr));
  IG_AUTO_STRUCT(ig_member_list) *list = ig_members_list(members);
  struct ig_told_member *told = NULL;
  char self[IG_MEMBER_ID_BYTES];
  IG_TRY(tell_members(list, &told, reterr));
  ig_members_self_id(members, self);
  struct ig_join_response answer = {.coordinator = ig_str_from_cstr(self),
                                    .version = list->version,
                                    .members = {told, list->count}};
  ig_protobuf_encode(&ig_join_response_message, &answer, call->answer);
  ig_free(told);
  return IGLOO_OK;
}

static igloo_status handle_join(struct call *call, struct igloo_error *reterr) {
  struct ig_join_request request;
  IG_TRY(ig_cluster_check_certificate(call->rpc, IG_MEMBER_WORKER, reterr));
  IG_TRY(ig_protobuf_decode(&ig_join_request_message, call->request, NULL, &request,
                            reterr));
  bool answers = request.challenge.len > 0;
  if (request.nonce.len != IG_JOIN_NONCE_BYTES ||
      (answers && (request.challenge.len != IG_JOIN_CHALLENGE_BYTES ||
                   request.code.len != IG_JOIN_CODE_BYTES)))
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                         "this is no request to join");
  if (answers) return let_in(call, &request, reterr);
  challenge(call, &request);
  return IGLOO_OK;
}

/* Refusals are for an operator to see; of a peer that must wait they were told before. */
static igloo_status join(struct call *call, struct igloo_error *reterr) {
  igloo_status status = handle_join(call, reterr);
  if (status != IGLOO_OK && status != IGLOO_RESOURCE_EXHAUSTED)
    ig_log(IG_LOG_WARN, "join_refused",
           IG_LOG_STR("peer", ig_rpc_call_peer(call->rpc)->address),
           IG_LOG_STR("message", reterr->message), IG_LOG_STR("detail", reterr->detail));
  return status;
}

/* ---- Heartbeat, Leave -------------------------------------------------------------- */

static igloo_status authorize(struct call *call, struct ig_caller *ret_caller,
                              struct igloo_error *reterr) {
  IG_TRY(ig_cluster_authorize(call->cluster, call->rpc, ret_caller, reterr));
  if (ret_caller->role == IG_MEMBER_WORKER) return IGLOO_OK;
  return ig_fail(reterr, IGLOO_PERMISSION_DENIED, "this is for workers");
}

static igloo_status heartbeat(struct call *call, struct igloo_error *reterr) {
  struct ig_caller caller;
  struct ig_member_beat beat;
  ig_members *members = ig_cluster_members(call->cluster);
  IG_TRY(authorize(call, &caller, reterr));
  IG_TRY(ig_protobuf_decode(&ig_member_beat_message, call->request, NULL, &beat, reterr));
  struct ig_member_beat_answer answer = {0};
  struct ig_told_member *told = NULL;
  IG_TRY(ig_members_beat(members, ig_str_from_cstr(caller.id), &beat.figures, beat.drains,
                         ig_now_us(), &answer.drain, reterr));
  IG_AUTO_STRUCT(ig_member_list) *list = ig_members_list(members);
  answer.version = list->version;
  if (answer.version != beat.version) {
    IG_TRY(tell_members(list, &told, reterr));
    answer.members.items = told;
    answer.members.len = list->count;
  }
  ig_protobuf_encode(&ig_member_beat_answer_message, &answer, call->answer);
  ig_free(told);
  return IGLOO_OK;
}

static igloo_status leave(struct call *call, struct igloo_error *reterr) {
  struct ig_caller caller;
  IG_TRY(authorize(call, &caller, reterr));
  ig_members_leave(ig_cluster_members(call->cluster), ig_str_from_cstr(caller.id),
                   ig_now_us());
  return IGLOO_OK;
}

/* ---- the methods ------------------------------------------------------------------- */

static void begin_join(void *ctx, ig_rpc_call *rpc) {
  run(ctx, rpc, join);
}

static void begin_heartbeat(void *ctx, ig_rpc_call *rpc) {
  run(ctx, rpc, heartbeat);
}

static void begin_leave(void *ctx, ig_rpc_call *rpc) {
  run(ctx, rpc, leave);
}

void ig_coordinator_methods(ig_cluster *cluster,
                            struct ig_rpc_method ret_methods[IG_COORDINATOR_METHODS]) {
  static const struct {
    const char *path;
    void (*begin)(void *ctx, ig_rpc_call *rpc);
  } all[IG_COORDINATOR_METHODS] = {{IG_COORDINATOR_JOIN, begin_join},
                                   {IG_COORDINATOR_HEARTBEAT, begin_heartbeat},
                                   {IG_COORDINATOR_LEAVE, begin_leave}};
  for (size_t i = 0; i < IG_COORDINATOR_METHODS; i++)
    ret_methods[i] =
        (struct ig_rpc_method){.path = all[i].path,
                               .shape = IG_RPC_SINGLE_REQUEST,
                               .message_bytes_max = IG_MEMBER_REQUEST_BYTES_MAX,
                               .begin = all[i].begin,
                               .ctx = cluster};
}
