/* join.c -- see join.h. */
#include "cluster/join.h"

#include <sodium.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/thread.h"
#include "cluster/address.h"
#include "cluster/coordinator.h"
#include "cluster/messages.h"
#include "cluster/node.h"
#include "rpc/inbox.h"
#include "wire/flight_data.h"

#define BACKOFF_FIRST_US (100 * IG_US_PER_MS)
#define TEXTS 4 /* of a description: address, socket, host and build */

struct ig_joiner {
  ig_members *members; /* borrowed */
  ig_prover *prover;   /* borrowed */
  struct ig_address address;
  char *coordinator; /* as it was given; owned, as the next */
  char *texts[TEXTS];
  ig_tls *tls;
  struct ig_joiner_options options; /* its texts are those above */
  ig_cancel *ends;                  /* set: calls on their way return */
  pthread_t thread;
  bool has_thread;

  /* the thread's alone */
  ig_rpc_channel *channel;
  char node[IG_MEMBER_ID_BYTES], id[IG_MEMBER_ID_BYTES];
  char coordinator_id[IG_MEMBER_ID_BYTES];
  uint64_t version;    /* of the list that was taken */
  int64_t answered_us; /* when the coordinator last did */
  uint32_t failures;   /* attempts to join, one after the other */

  pthread_mutex_t mu; /* a leaf lock */
  pthread_cond_t changed;
  bool is_joined, was_joined; /* guarded by mu, as what follows */
  bool is_refused;
  bool shall_drain, drains, drains_told;
  bool hurries; /* the next heartbeat is due now */
  bool is_ending;
  int64_t leave_us;           /* until when the good-bye may take */
  struct igloo_error failure; /* the latest */
};

/* ---- life -------------------------------------------------------------------------- */

static void *run(void *ctx);

static igloo_status copy_options(ig_joiner *joiner,
                                 const struct ig_joiner_options *options,
                                 struct igloo_error *reterr) {
  struct ig_member_info *self = &joiner->options.self;
  struct ig_str *texts[TEXTS] = {&self->address, &self->unix_path, &self->host,
                                 &self->build};
  joiner->options = *options;
  if (options->tls) joiner->tls = ig_tls_ref(options->tls);
  IG_ASSERT(self->node.len < IG_MEMBER_ID_BYTES);
  memcpy(joiner->node, self->node.data, self->node.len);
  joiner->coordinator = ig_strdup(options->coordinator);
  if (!joiner->coordinator) return ig_fail_oom(reterr);
  joiner->options.coordinator = joiner->coordinator;
  for (size_t i = 0; i < TEXTS; i++) {
    joiner->texts[i] = ig_str_dup(*texts[i]);
    if (!joiner->texts[i]) return ig_fail_oom(reterr);
    texts[i]->data = joiner->texts[i];
  }
  return ig_address_parse(ig_str_from_cstr(joiner->coordinator), &joiner->address,
                          reterr);
}

igloo_status ig_joiner_new(const struct ig_joiner_options *options, ig_members *members,
                           ig_prover *prover, ig_joiner **ret_joiner,
                           struct igloo_error *reterr) {
  IG_AUTO(ig_joiner) *joiner = ig_calloc(1, sizeof(*joiner));
  if (!joiner) return ig_fail_oom(reterr);
  ig_mutex_init(&joiner->mu);
  ig_cond_init(&joiner->changed);
  joiner->members = members;
  joiner->prover = prover;
  IG_TRY(copy_options(joiner, options, reterr));
  IG_TRY(ig_cancel_new(IG_NEVER_US, &joiner->ends, reterr));
  IG_TRY(ig_thread_start("ig-members", 0, run, joiner, &joiner->thread, reterr));
  joiner->has_thread = true;
  *ret_joiner = IG_TAKE(joiner);
  return IGLOO_OK;
}

static void end_thread(ig_joiner *joiner, int64_t leave_us) {
  if (!joiner->has_thread) return;
  ig_mutex_lock(&joiner->mu);
  joiner->is_ending = true;
  joiner->leave_us = leave_us;
  ig_cond_broadcast(&joiner->changed);
  ig_mutex_unlock(&joiner->mu);
  ig_cancel_set(joiner->ends);
  (void)ig_thread_join(joiner->thread);
  joiner->has_thread = false;
}

ig_joiner *ig_joiner_free(ig_joiner *joiner) {
  if (!joiner) return NULL;
  end_thread(joiner, 0);
  (void)ig_rpc_channel_free(joiner->channel);
  (void)ig_cancel_unref(joiner->ends);
  ig_address_done(&joiner->address);
  ig_free(joiner->coordinator);
  for (size_t i = 0; i < TEXTS; i++) ig_free(joiner->texts[i]);
  (void)ig_tls_unref(joiner->tls);
  ig_cond_done(&joiner->changed);
  ig_mutex_done(&joiner->mu);
  ig_free(joiner);
  return NULL;
}

/* ---- calls ------------------------------------------------------------------------- */

static igloo_status connect_channel(ig_joiner *joiner, struct igloo_error *reterr) {
  struct ig_rpc_channel_options options;
  if (joiner->channel) return IGLOO_OK;
  ig_address_options(&joiner->address, joiner->tls, &options);
  options.message_bytes_max = IG_MEMBER_MESSAGE_BYTES_MAX;
  options.connect_us = IG_JOIN_CALL_US;
  return ig_rpc_channel_open(&options, joiner->ends, &joiner->channel, reterr);
}

/* One message there, one back (ig_rpc_message_done). `callee` NULL: without a proof. */
static igloo_status ask(ig_joiner *joiner, const char *path, const char *callee,
                        const struct ig_protobuf_message *type, const void *value,
                        int64_t deadline_us, ig_cancel *cancel,
                        struct ig_rpc_message *ret_answer, struct igloo_error *reterr) {
  IG_AUTO_DONE(ig_buf) bytes = IG_BUF_INIT(IG_MEMBER_MESSAGE_BYTES_MAX);
  struct ig_pieces request = {0};
  uint8_t proof[IG_MEMBER_PROOF_BYTES_MAX];
  struct ig_rpc_header header = {.name = IG_STR(IG_MEMBER_HEADER)};
  struct ig_rpc_call_options options = {
      .path = path, .deadline_us = deadline_us, .cancel = cancel};
  if (callee) {
    size_t len = ig_prover_prove(joiner->prover, joiner->id, IG_MEMBER_WORKER, callee,
                                 path, proof);
    header.value = (struct ig_str){(const char *)proof, len};
    options.metadata = &header;
    options.metadata_len = 1;
  }
  ig_protobuf_encode(type, value, &bytes);
  IG_TRY(ig_pieces_of_buf(&bytes, &request, reterr));
  return ig_rpc_unary(joiner->channel, &options, &request, ret_answer, NULL, reterr);
}

static void message_done(struct ig_rpc_message *message) {
  ig_rpc_message_done(message);
}
#define IG_AUTO_MESSAGE __attribute__((cleanup(message_done))) struct ig_rpc_message

/* What an answer holds, as `type`; lists in `arena`. */
static igloo_status read_answer(const struct ig_rpc_message *message,
                                const struct ig_protobuf_message *type, ig_arena *arena,
                                void *ret_value, struct igloo_error *reterr) {
  struct ig_str bytes = {(const char *)message->data, message->len};
  return ig_protobuf_decode(type, bytes, arena, ret_value, reterr);
}

static igloo_status new_arena(ig_arena **ret_arena, struct igloo_error *reterr) {
  *ret_arena = ig_arena_new(IG_MEMBER_MESSAGE_BYTES_MAX);
  return *ret_arena ? IGLOO_OK : ig_fail_oom(reterr);
}

/* ---- joining ----------------------------------------------------------------------- */

static const uint8_t *bytes_of(struct ig_str text) {
  return (const uint8_t *)text.data;
}

/* Draw an id for this membership and describe it. */
static igloo_status describe(ig_joiner *joiner, struct ig_buf *description,
                             struct igloo_error *reterr) {
  ig_node_id(joiner->node, joiner->id);
  struct ig_told_member self = {.info = joiner->options.self};
  self.info.node = ig_str_from_cstr(joiner->node);
  self.info.id = ig_str_from_cstr(joiner->id);
  ig_protobuf_encode(&ig_told_member_message, &self, description);
  return ig_buf_check(description, reterr);
}

/* The coordinator's challenge, which it has proven to have made knowing the token. */
static igloo_status get_challenge(ig_joiner *joiner,
                                  const uint8_t nonce[IG_JOIN_NONCE_BYTES],
                                  uint8_t ret_challenge[IG_JOIN_CHALLENGE_BYTES],
                                  struct igloo_error *reterr) {
  struct ig_join_request request = {.nonce = {(const char *)nonce, IG_JOIN_NONCE_BYTES}};
  struct ig_join_response answer;
  IG_AUTO_MESSAGE message = {0};
  IG_AUTO(ig_arena) *arena = NULL;
  IG_TRY(new_arena(&arena, reterr));
  IG_TRY(ask(joiner, IG_COORDINATOR_JOIN, NULL, &ig_join_request_message, &request,
             ig_deadline_in(IG_JOIN_CALL_US), joiner->ends, &message, reterr));
  IG_TRY(read_answer(&message, &ig_join_response_message, arena, &answer, reterr));
  if (answer.challenge.len != IG_JOIN_CHALLENGE_BYTES ||
      answer.code.len != IG_JOIN_CODE_BYTES ||
      !ig_prover_challenge_is_good(joiner->prover, nonce, bytes_of(answer.challenge),
                                   bytes_of(answer.code))) {
    (void)ig_fail(reterr, IGLOO_UNAUTHENTICATED,
                  "the coordinator at %s does not know this worker's token",
                  joiner->coordinator);
    ig_error_hint(reterr, "cluster.join_token must be the same on all members.");
    return IGLOO_UNAUTHENTICATED;
  }
  memcpy(ret_challenge, answer.challenge.data, IG_JOIN_CHALLENGE_BYTES);
  return IGLOO_OK;
}

static igloo_status take_answer(ig_joiner *joiner, const struct ig_join_response *answer,
                                struct igloo_error *reterr) {
  struct ig_str coordinator = answer->coordinator;
  if (!coordinator.len || coordinator.len >= IG_MEMBER_ID_BYTES ||
      memchr(coordinator.data, '\0', coordinator.len))
    return ig_fail_state(reterr, IGLOO_INTERNAL, "08P01",
                         "the coordinator does not tell who it is");
  ig_prover_reset(joiner->prover);
  IG_TRY(ig_members_take(joiner->members, ig_str_from_cstr(joiner->id), coordinator,
                         answer->members.items, answer->members.len, reterr));
  memset(joiner->coordinator_id, 0, sizeof joiner->coordinator_id);
  memcpy(joiner->coordinator_id, coordinator.data, coordinator.len);
  joiner->version = answer->version;
  return IGLOO_OK;
}

/* The two calls. *ret_refused: the error is the coordinator's, or ours of it. */
static igloo_status join(ig_joiner *joiner, bool *ret_refused,
                         struct igloo_error *reterr) {
  uint8_t nonce[IG_JOIN_NONCE_BYTES], challenge[IG_JOIN_CHALLENGE_BYTES];
  uint8_t code[IG_JOIN_CODE_BYTES];
  struct ig_join_response answer;
  IG_AUTO_DONE(ig_buf) description = IG_BUF_INIT(IG_MEMBER_MESSAGE_BYTES_MAX);
  IG_AUTO_MESSAGE message = {0};
  IG_AUTO(ig_arena) *arena = NULL;
  IG_TRY(new_arena(&arena, reterr));
  IG_TRY(describe(joiner, &description, reterr));
  IG_TRY(connect_channel(joiner, reterr));
  randombytes_buf(nonce, sizeof nonce);
  *ret_refused = true;
  IG_TRY(get_challenge(joiner, nonce, challenge, reterr));
  ig_prover_answer(joiner->prover, nonce, challenge, ig_buf_str(&description), code);
  struct ig_join_request request = {
      .nonce = {(const char *)nonce, sizeof nonce},
      .challenge = {(const char *)challenge, sizeof challenge},
      .code = {(const char *)code, sizeof code},
      .description = ig_buf_str(&description)};
  IG_TRY(ask(joiner, IG_COORDINATOR_JOIN, NULL, &ig_join_request_message, &request,
             ig_deadline_in(IG_JOIN_CALL_US), joiner->ends, &message, reterr));
  *ret_refused = false;
  IG_TRY(read_answer(&message, &ig_join_response_message, arena, &answer, reterr));
  return take_answer(joiner, &answer, reterr);
}

/* Trying again does not help: somebody has to change something. */
static bool is_final(igloo_status status) {
  return status == IGLOO_UNAUTHENTICATED || status == IGLOO_FAILED_PRECONDITION ||
         status == IGLOO_INVALID_ARGUMENT || status == IGLOO_UNSUPPORTED;
}

static void note_joined(ig_joiner *joiner) {
  ig_log(IG_LOG_INFO, "joined", IG_LOG_STR("member", joiner->id),
         IG_LOG_STR("coordinator", joiner->coordinator));
  joiner->failures = 0;
  joiner->answered_us = ig_now_us();
  IG_LOCK_SCOPE(&joiner->mu);
  joiner->is_joined = joiner->was_joined = true;
  joiner->drains_told = false;
  joiner->failure = (struct igloo_error){0};
  ig_cond_broadcast(&joiner->changed);
}

/* Returns when to try again. */
static int64_t note_failure(ig_joiner *joiner, const struct igloo_error *error,
                            bool is_refused) {
  if (joiner->failures == 0)
    ig_log(IG_LOG_WARN, "join_failed", IG_LOG_STR("coordinator", joiner->coordinator),
           IG_LOG_STR("message", error->message), IG_LOG_STR("detail", error->detail));
  uint32_t doublings = joiner->failures < 6 ? joiner->failures : 6;
  if (joiner->failures < UINT32_MAX) joiner->failures++;
  int64_t wait_us = BACKOFF_FIRST_US << doublings;
  if (wait_us > IG_JOIN_BACKOFF_MAX_US) wait_us = IG_JOIN_BACKOFF_MAX_US;
  /* Half of it is left to chance: workers that lost one coordinator do not come back in
   * step. */
  wait_us = wait_us / 2 + (int64_t)randombytes_uniform((uint32_t)wait_us / 2 + 1);
  IG_LOCK_SCOPE(&joiner->mu);
  joiner->failure = *error;
  /* Certificates that are not good any more may be renewed; at the start they are a
   * mistake. */
  joiner->is_refused = is_final(error->status) && (is_refused || !joiner->was_joined);
  ig_cond_broadcast(&joiner->changed);
  return ig_deadline_in(wait_us);
}

/* Returns when the next thing is due. */
static int64_t try_to_join(ig_joiner *joiner) {
  struct igloo_error error = {0};
  bool is_refused = false;
  if (join(joiner, &is_refused, &error) == IGLOO_OK) {
    note_joined(joiner);
    return 0; /* a heartbeat at once: it makes the worker active */
  }
  return note_failure(joiner, &error, is_refused);
}

/* ---- heartbeats -------------------------------------------------------------------- */

static igloo_status beat(ig_joiner *joiner, bool drains, struct igloo_error *reterr) {
  struct ig_member_beat request = {.version = joiner->version, .drains = drains};
  struct ig_member_beat_answer answer;
  IG_AUTO_MESSAGE message = {0};
  IG_AUTO(ig_arena) *arena = NULL;
  IG_TRY(new_arena(&arena, reterr));
  joiner->options.figures(joiner->options.ctx, &request.figures);
  /* The next one is not to be late because of this one. */
  int64_t deadline_us = ig_deadline_in(2 * joiner->options.heartbeat_us);
  IG_TRY(ask(joiner, IG_COORDINATOR_HEARTBEAT, joiner->coordinator_id,
             &ig_member_beat_message, &request, deadline_us, joiner->ends, &message,
             reterr));
  joiner->answered_us = ig_now_us();
  IG_TRY(read_answer(&message, &ig_member_beat_answer_message, arena, &answer, reterr));
  if (answer.members.len > 0) {
    IG_TRY(ig_members_take(joiner->members, ig_str_from_cstr(joiner->id),
                           ig_str_from_cstr(joiner->coordinator_id), answer.members.items,
                           answer.members.len, reterr));
    joiner->version = answer.version;
  }
  IG_LOCK_SCOPE(&joiner->mu);
  joiner->shall_drain = joiner->shall_drain || answer.drain;
  joiner->drains_told = joiner->drains_told || drains;
  return IGLOO_OK;
}

/* The coordinator does not know this worker (any more), or is another one by now. */
static bool is_expelled(const struct igloo_error *error) {
  return error->status == IGLOO_NOT_FOUND || error->status == IGLOO_ALREADY_EXISTS ||
         error->status == IGLOO_UNAUTHENTICATED ||
         strcmp(error->sqlstate, IG_MEMBER_OTHER_STATE) == 0;
}

static void cut_off(ig_joiner *joiner, const struct igloo_error *error) {
  ig_log(IG_LOG_WARN, "cut_off", IG_LOG_STR("member", joiner->id),
         IG_LOG_STR("coordinator", joiner->coordinator),
         IG_LOG_STR("message", error->message));
  if (error->status == IGLOO_ALREADY_EXISTS) {
    /* Another worker runs on a copy of the data folder: the name is the other's now. */
    (void)!ig_node_name(IG_MEMBER_WORKER, NULL, joiner->node, NULL);
    ig_log(IG_LOG_ERROR, "node_name_taken", IG_LOG_STR("new_name", joiner->node));
  }
  joiner->version = 0;
  /* A connection that looks alive may lead to a host that is not. */
  joiner->channel = ig_rpc_channel_free(joiner->channel);
  ig_mutex_lock(&joiner->mu);
  joiner->is_joined = false;
  joiner->failure = *error;
  ig_mutex_unlock(&joiner->mu);
  ig_members_cut_off(joiner->members, "The coordinator was lost.");
}

/* Returns when the next thing is due. */
static int64_t try_to_beat(ig_joiner *joiner, bool drains) {
  struct igloo_error error = {0};
  int64_t heartbeat_us = joiner->options.heartbeat_us;
  int64_t next_us = ig_deadline_in(heartbeat_us);
  if (beat(joiner, drains, &error) == IGLOO_OK) return next_us;
  bool is_late = ig_now_us() - joiner->answered_us >= IG_MEMBER_DEAD_BEATS * heartbeat_us;
  if (!is_late && !is_expelled(&error)) return next_us;
  cut_off(joiner, &error);
  return 0;
}

static void say_good_bye(ig_joiner *joiner, int64_t deadline_us) {
  static const struct ig_protobuf_empty nothing;
  static const struct ig_protobuf_message empty =
      IG_PROTOBUF_MESSAGE_EMPTY("igloo.cluster.v1.Leave");
  IG_AUTO_MESSAGE message = {0};
  struct igloo_error error;
  if (!joiner->channel || deadline_us <= ig_now_us()) return;
  if (ask(joiner, IG_COORDINATOR_LEAVE, joiner->coordinator_id, &empty, &nothing,
          deadline_us, NULL, &message, &error) != IGLOO_OK)
    ig_log(IG_LOG_WARN, "leave_failed", IG_LOG_STR("member", joiner->id),
           IG_LOG_STR("message", error.message));
}

/* ---- the thread -------------------------------------------------------------------- */

static void *run(void *ctx) {
  ig_joiner *joiner = ctx;
  int64_t next_us = 0;
  for (;;) {
    ig_mutex_lock(&joiner->mu);
    while (!joiner->is_ending &&
           (joiner->is_refused || (ig_now_us() < next_us && !joiner->hurries)))
      (void)ig_cond_wait_until(&joiner->changed, &joiner->mu,
                               joiner->is_refused ? IG_NEVER_US : next_us);
    joiner->hurries = false;
    bool is_ending = joiner->is_ending, is_joined = joiner->is_joined;
    bool drains = joiner->drains;
    int64_t leave_us = joiner->leave_us;
    ig_mutex_unlock(&joiner->mu);
    if (is_ending) {
      if (is_joined) say_good_bye(joiner, leave_us);
      return NULL;
    }
    next_us = is_joined ? try_to_beat(joiner, drains) : try_to_join(joiner);
    (void)ig_rpc_blocks_tidy(ig_now_us());
  }
}

/* ---- for others -------------------------------------------------------------------- */

igloo_status ig_joiner_wait(ig_joiner *joiner, int64_t deadline_us,
                            struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&joiner->mu);
  while (!joiner->is_joined && !joiner->is_refused) {
    if (ig_cond_wait_until(&joiner->changed, &joiner->mu, deadline_us)) continue;
    if (joiner->is_joined || joiner->is_refused) break;
    (void)ig_fail(reterr, IGLOO_DEADLINE_EXCEEDED,
                  "could not join the coordinator at %s in time", joiner->coordinator);
    if (joiner->failure.message[0])
      ig_error_detail(reterr, "The latest attempt: %s.", joiner->failure.message);
    return IGLOO_DEADLINE_EXCEEDED;
  }
  if (joiner->is_joined) return IGLOO_OK;
  if (reterr) *reterr = joiner->failure;
  return joiner->failure.status;
}

bool ig_joiner_is_refused(ig_joiner *joiner, struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&joiner->mu);
  if (joiner->is_refused && reterr) *reterr = joiner->failure;
  return joiner->is_refused;
}

bool ig_joiner_shall_drain(ig_joiner *joiner) {
  IG_LOCK_SCOPE(&joiner->mu);
  return joiner->shall_drain;
}

void ig_joiner_drain(ig_joiner *joiner) {
  IG_LOCK_SCOPE(&joiner->mu);
  joiner->drains = true;
  joiner->hurries = joiner->is_joined;
  ig_cond_broadcast(&joiner->changed);
}

bool ig_joiner_drain_is_told(ig_joiner *joiner) {
  IG_LOCK_SCOPE(&joiner->mu);
  return joiner->drains_told || !joiner->is_joined;
}

void ig_joiner_leave(ig_joiner *joiner, int64_t deadline_us) {
  end_thread(joiner, deadline_us);
}
