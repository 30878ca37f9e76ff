/* answer.c -- results that are the same each time.
 *
 * A query that reads no table and calls nothing that changes has one answer: SELECT 1, by
 * which clients ask whether a connection still is one. Its messages are kept with its
 * plan and sent again; the statement is admitted, listed, counted and cancelled all the
 * same.
 */
#include "base/limits.h"
#include "flight/private.h"

/* The schema and one batch. */
#define MESSAGES_MAX 2

struct ig_flight_kept_answer {
  size_t count;
  size_t ends[MESSAGES_MAX]; /* of each, in `bytes` */
  uint8_t bytes[IG_FLIGHT_KEPT_ANSWER_BYTES];
};

/* ---- recording --------------------------------------------------------------------- */

void ig_flight_record(struct ig_flight_recording *recording,
                      const struct ArrowArrayStream *rows) {
  ig_plan *plan = ig_result_plan(rows);
  if (!plan || !ig_result_is_fixed(rows) || ig_plan_peek_kept(plan, IG_PLAN_ANSWER))
    return;
  /* Without memory the next statement records. */
  recording->answer = ig_calloc(1, sizeof(*recording->answer));
}

void ig_flight_recording_done(struct ig_flight_recording *recording) {
  ig_free(recording->answer);
  recording->answer = NULL;
}

void ig_flight_record_message(struct ig_flight_recording *recording,
                              const struct ig_pieces *message) {
  struct ig_flight_kept_answer *answer = recording->answer;
  if (!answer) return;
  size_t end = answer->count > 0 ? answer->ends[answer->count - 1] : 0;
  if (answer->count == MESSAGES_MAX || message->bytes > sizeof(answer->bytes) - end) {
    ig_flight_recording_done(recording);
    return;
  }
  for (size_t i = 0; i < message->parts_len; i++) {
    const struct iovec *part = &message->parts[i];
    if (part->iov_len > 0) memcpy(answer->bytes + end, part->iov_base, part->iov_len);
    end += part->iov_len;
  }
  answer->ends[answer->count++] = end;
}

void ig_flight_record_end(struct ig_flight_recording *recording, ig_plan *plan) {
  if (!recording->answer) return;
  (void)ig_plan_keep(plan, IG_PLAN_ANSWER, recording->answer, ig_free);
  recording->answer = NULL;
}

/* ---- sending ----------------------------------------------------------------------- */

static igloo_status send_copy(struct ig_flight_call *call, const uint8_t *bytes,
                              size_t len, struct igloo_error *reterr) {
  struct iovec *part = ig_malloc(sizeof(*part) + len);
  if (!part) return ig_fail_oom(reterr);
  *part = (struct iovec){part + 1, len};
  memcpy(part->iov_base, bytes, len);
  struct ig_pieces pieces = {
      .parts = part, .parts_len = 1, .bytes = len, .release = ig_free, .owner = part};
  return ig_rpc_call_send(call->rpc, &pieces, reterr);
}

igloo_status ig_flight_send_kept(struct ig_flight_call *call, ig_held *held,
                                 bool *ret_sent, struct igloo_error *reterr) {
  ig_plan *plan = ig_held_plan(held);
  const struct ig_flight_kept_answer *answer =
      plan ? ig_plan_peek_kept(plan, IG_PLAN_ANSWER) : NULL;
  enum ig_ipc_codec codec = IG_IPC_PLAIN;
  *ret_sent = false;
  if (!answer) return IGLOO_OK;
  IG_TRY(ig_flight_choose_codec(call, &codec, reterr));
  if (codec != IG_IPC_PLAIN) return IGLOO_OK;
  IG_TRY(ig_held_pass(held, call->cancel, reterr));
  IG_TRY(ig_flight_tell_session(call, reterr));
  ig_rpc_call_hold(call->rpc, true); /* one piece, with the status of the call */
  size_t begin = 0;
  for (size_t i = 0; i < answer->count; begin = answer->ends[i++])
    IG_TRY(send_copy(call, answer->bytes + begin, answer->ends[i] - begin, reterr));
  *ret_sent = true;
  return IGLOO_OK;
}
