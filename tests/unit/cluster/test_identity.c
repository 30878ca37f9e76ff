/* test_identity.c -- proofs of calls and of joins: what is good, once, and what is not.
 */
#include "cluster/identity.h"

#include <sodium.h>

#include "base/clock.h"
#include "base/limits.h"
#include "support.h"

#define TOKEN "0123456789abcdef0123456789abcdef"
#define OTHER "0123456789abcdef0123456789abcdeg"
#define PATH "/igloo.cluster.v1.Worker/RunTask"

static ig_prover *new_prover(const char *token) {
  ig_prover *prover = NULL;
  assert_ok(ig_prover_new(ig_str_from_cstr(token), &prover, &test_err));
  return prover;
}

struct proof {
  uint8_t bytes[IG_MEMBER_PROOF_BYTES_MAX];
  size_t len;
};

static struct proof prove(ig_prover *prover, const char *caller, const char *callee) {
  struct proof proof;
  proof.len =
      ig_prover_prove(prover, caller, IG_MEMBER_COORDINATOR, callee, PATH, proof.bytes);
  return proof;
}

static igloo_status check(ig_prover *prover, const struct proof *proof, const char *self,
                          const char *path) {
  struct ig_caller caller = {0};
  igloo_status status =
      ig_prover_check(prover, (struct ig_str){(const char *)proof->bytes, proof->len},
                      self, ig_str_from_cstr(path), &caller, &test_err);
  if (status == IGLOO_OK) assert_int_equal(caller.role, IG_MEMBER_COORDINATOR);
  return status;
}

/* ---- calls ------------------------------------------------------------------------- */

static void a_short_token_is_refused_and_not_repeated(void **state) {
  (void)state;
  ig_prover *prover = NULL;
  assert_fails(ig_prover_new(IG_STR("short-and-secret"), &prover, &test_err),
               IGLOO_INVALID_ARGUMENT, "22023");
  assert_null(strstr(test_err.message, "short-and-secret"));
  assert_non_null(strstr(test_err.hint, "igloo token new"));
  assert_null(prover);
}

static void a_proof_is_good_once(void **state) {
  (void)state;
  IG_AUTO(ig_prover) *one = new_prover(TOKEN), *two = new_prover(TOKEN);
  struct proof proof = prove(one, "c-1-1", "w-1-1");
  struct ig_caller caller;
  assert_ok(ig_prover_check(two, (struct ig_str){(char *)proof.bytes, proof.len}, "w-1-1",
                            IG_STR(PATH), &caller, &test_err));
  assert_string_equal(caller.id, "c-1-1");
  assert_fails(check(two, &proof, "w-1-1", PATH), IGLOO_UNAUTHENTICATED, "28000");
  assert_message_has("used before");
}

static void a_proof_is_for_one_method_of_one_member(void **state) {
  (void)state;
  IG_AUTO(ig_prover) *one = new_prover(TOKEN), *two = new_prover(TOKEN);
  struct proof proof = prove(one, "c-1-1", "w-1-1");
  assert_fails(check(two, &proof, "w-1-1", "/igloo.cluster.v1.Worker/ReadPartition"),
               IGLOO_UNAUTHENTICATED, "28000");
  assert_fails(check(two, &proof, "w-1-2", PATH), IGLOO_UNAVAILABLE,
               IG_MEMBER_OTHER_STATE);
  assert_ok(check(two, &proof, "w-1-1", PATH));
}

static void another_token_opens_nothing(void **state) {
  (void)state;
  IG_AUTO(ig_prover) *one = new_prover(OTHER), *two = new_prover(TOKEN);
  struct proof proof = prove(one, "c-1-1", "w-1-1");
  assert_fails(check(two, &proof, "w-1-1", PATH), IGLOO_UNAUTHENTICATED, "28000");
}

static void whatever_byte_is_changed_the_proof_is_none(void **state) {
  (void)state;
  IG_AUTO(ig_prover) *one = new_prover(TOKEN), *two = new_prover(TOKEN);
  struct proof good = prove(one, "c-1-1", "w-1-1");
  for (size_t i = 0; i < good.len; i++)
    for (int bit = 0; bit < 8; bit++) {
      struct proof bad = good;
      bad.bytes[i] ^= (uint8_t)(1 << bit);
      assert_int_equal(check(two, &bad, "w-1-1", PATH), IGLOO_UNAUTHENTICATED);
    }
  for (size_t len = 0; len < good.len; len++) {
    struct proof bad = good;
    bad.len = len;
    assert_int_equal(check(two, &bad, "w-1-1", PATH), IGLOO_UNAUTHENTICATED);
  }
  struct proof longer = good;
  longer.bytes[longer.len++] = 0;
  assert_int_equal(check(two, &longer, "w-1-1", PATH), IGLOO_UNAUTHENTICATED);
  assert_ok(check(two, &good, "w-1-1", PATH));
}

static void calls_may_overtake_one_another_but_not_for_ever(void **state) {
  (void)state;
  IG_AUTO(ig_prover) *one = new_prover(TOKEN), *two = new_prover(TOKEN);
  struct proof first = prove(one, "c-1-1", "w-1-1"),
               second = prove(one, "c-1-1", "w-1-1");
  for (int i = 0; i < 1000; i++) {
    struct proof later = prove(one, "c-1-1", "w-1-1");
    assert_ok(check(two, &later, "w-1-1", PATH));
  }
  assert_ok(check(two, &first, "w-1-1", PATH));
  assert_int_equal(check(two, &first, "w-1-1", PATH), IGLOO_UNAUTHENTICATED);
  for (int i = 0; i < IG_MEMBER_CALLS_BEHIND_MAX; i++) (void)prove(one, "c-1-1", "w-1-1");
  struct proof late = prove(one, "c-1-1", "w-1-1");
  assert_ok(check(two, &late, "w-1-1", PATH));
  assert_int_equal(check(two, &second, "w-1-1", PATH), IGLOO_UNAUTHENTICATED);
  assert_int_equal(check(two, &late, "w-1-1", PATH), IGLOO_UNAUTHENTICATED);
}

static void callers_are_counted_apart_and_who_is_gone_stays_so(void **state) {
  (void)state;
  IG_AUTO(ig_prover) *one = new_prover(TOKEN), *two = new_prover(TOKEN);
  IG_AUTO(ig_prover) *three = new_prover(TOKEN);
  struct proof a = prove(one, "w-1-1", "c-1-1"), b = prove(two, "w-2-1", "c-1-1");
  assert_ok(check(three, &a, "c-1-1", PATH));
  assert_ok(check(three, &b, "c-1-1", PATH));
  ig_prover_forget(three, "w-1-1");
  ig_prover_forget(three, "w-9-9");
  struct proof again = prove(one, "w-1-1", "c-1-1");
  assert_fails(check(three, &a, "c-1-1", PATH), IGLOO_UNAVAILABLE, IG_MEMBER_OTHER_STATE);
  assert_fails(check(three, &again, "c-1-1", PATH), IGLOO_UNAVAILABLE,
               IG_MEMBER_OTHER_STATE);
  b = prove(two, "w-2-1", "c-1-1");
  assert_ok(check(three, &b, "c-1-1", PATH));
  /* Whoever joins again is another one, and begins anew with those who stayed. */
  ig_prover_reset(three);
  struct proof late = prove(one, "w-1-1", "c-1-1"), anew = prove(one, "w-1-1", "c-1-2");
  assert_int_equal(check(three, &late, "c-1-2", PATH), IGLOO_UNAVAILABLE);
  assert_ok(check(three, &anew, "c-1-2", PATH));
  assert_int_equal(check(three, &anew, "c-1-2", PATH), IGLOO_UNAUTHENTICATED);
}

/* ---- joining ----------------------------------------------------------------------- */

struct join {
  uint8_t nonce[IG_JOIN_NONCE_BYTES], challenge[IG_JOIN_CHALLENGE_BYTES];
  uint8_t theirs[IG_JOIN_CODE_BYTES], ours[IG_JOIN_CODE_BYTES];
};

static void ask(ig_prover *coordinator, ig_prover *worker, int64_t now_us,
                struct join *join) {
  randombytes_buf(join->nonce, sizeof join->nonce);
  ig_prover_challenge(coordinator, join->nonce, now_us, join->challenge, join->theirs);
  ig_prover_answer(worker, join->nonce, join->challenge, IG_STR("a worker"), join->ours);
}

static igloo_status admit(ig_prover *coordinator, const struct join *join,
                          const char *peer, const char *description, int64_t now_us) {
  return ig_prover_admit(coordinator, ig_str_from_cstr(peer), join->nonce,
                         join->challenge, ig_str_from_cstr(description), join->ours,
                         now_us, &test_err);
}

static void both_sides_prove_that_they_know_the_token(void **state) {
  (void)state;
  struct join join;
  IG_AUTO(ig_prover) *coordinator = new_prover(TOKEN), *worker = new_prover(TOKEN);
  IG_AUTO(ig_prover) *stranger = new_prover(OTHER);
  ask(coordinator, worker, 0, &join);
  assert_true(
      ig_prover_challenge_is_good(worker, join.nonce, join.challenge, join.theirs));
  assert_false(
      ig_prover_challenge_is_good(stranger, join.nonce, join.challenge, join.theirs));
  assert_ok(admit(coordinator, &join, "h", "a worker", 1));
  ask(coordinator, stranger, 0, &join);
  assert_fails(admit(coordinator, &join, "h", "a worker", 1), IGLOO_UNAUTHENTICATED,
               "28000");
  ask(stranger, worker, 0, &join);
  assert_false(
      ig_prover_challenge_is_good(worker, join.nonce, join.challenge, join.theirs));
}

static void the_description_is_proven_too(void **state) {
  (void)state;
  struct join join;
  IG_AUTO(ig_prover) *coordinator = new_prover(TOKEN), *worker = new_prover(TOKEN);
  ask(coordinator, worker, 0, &join);
  assert_fails(admit(coordinator, &join, "h", "another", 1), IGLOO_UNAUTHENTICATED,
               "28000");
}

static void a_challenge_is_good_once_and_for_a_while(void **state) {
  (void)state;
  struct join join;
  IG_AUTO(ig_prover) *coordinator = new_prover(TOKEN), *worker = new_prover(TOKEN);
  IG_AUTO(ig_prover) *other = new_prover(TOKEN); /* the coordinator, started again */
  ask(coordinator, worker, 0, &join);
  assert_fails(admit(coordinator, &join, "h", "a worker", IG_JOIN_CHALLENGE_US),
               IGLOO_DEADLINE_EXCEEDED, "57014");
  assert_fails(admit(other, &join, "h", "a worker", 1), IGLOO_DEADLINE_EXCEEDED, "57014");
  assert_ok(admit(coordinator, &join, "h", "a worker", IG_JOIN_CHALLENGE_US - 1));
  assert_fails(admit(coordinator, &join, "h", "a worker", IG_JOIN_CHALLENGE_US - 1),
               IGLOO_DEADLINE_EXCEEDED, "57014");
  ask(coordinator, worker, 0, &join);
  join.nonce[0] ^= 1;
  assert_fails(admit(coordinator, &join, "h", "a worker", 1), IGLOO_DEADLINE_EXCEEDED,
               "57014");
}

static void wrong_tokens_make_a_peer_wait_and_nobody_else(void **state) {
  (void)state;
  struct join good, bad, old;
  int64_t now_us = IG_JOIN_CHALLENGE_US, last_us = 0;
  IG_AUTO(ig_prover) *coordinator = new_prover(TOKEN), *worker = new_prover(TOKEN);
  IG_AUTO(ig_prover) *stranger = new_prover(OTHER);
  /* Tells whether the peer must wait, and is never counted. */
  ask(coordinator, worker, 0, &old);
  for (int i = 0; i < 20; i++) {
    int64_t begin_us = now_us;
    ask(coordinator, stranger, now_us, &bad);
    assert_fails(admit(coordinator, &bad, "10.0.0.9", "a worker", now_us),
                 IGLOO_UNAUTHENTICATED, "28000");
    while (admit(coordinator, &old, "10.0.0.9", "a worker", now_us) ==
           IGLOO_RESOURCE_EXHAUSTED) {
      assert_string_equal(test_err.sqlstate, "53300");
      now_us += 10 * IG_US_PER_MS;
    }
    assert_true(now_us - begin_us >= last_us);
    assert_true(now_us - begin_us <= IG_JOIN_WRONG_MAX_US);
    last_us = now_us - begin_us;
    if (i < 3) assert_int_equal(last_us, 0);
    ask(coordinator, worker, begin_us, &good);
    assert_ok(admit(coordinator, &good, "10.0.0.8", "a worker", begin_us));
  }
  assert_int_equal(last_us, IG_JOIN_WRONG_MAX_US);
}

static void the_token_is_in_nothing_that_is_sent(void **state) {
  (void)state;
  struct join join;
  IG_AUTO(ig_prover) *coordinator = new_prover(TOKEN), *worker = new_prover(TOKEN);
  ask(coordinator, worker, 0, &join);
  struct proof proof = prove(worker, "w-1-1", "c-1-1");
  assert_null(memmem(&join, sizeof join, TOKEN, 8));
  assert_null(memmem(proof.bytes, proof.len, TOKEN, 8));
}

static igloo_status prove_and_check(void *ctx, struct igloo_error *reterr) {
  (void)ctx;
  IG_AUTO(ig_prover) *prover = NULL;
  struct ig_caller caller;
  uint8_t bytes[IG_MEMBER_PROOF_BYTES_MAX];
  IG_TRY(ig_prover_new(IG_STR(TOKEN), &prover, reterr));
  size_t len = ig_prover_prove(prover, "w-1-1", IG_MEMBER_WORKER, "c-1-1", PATH, bytes);
  return ig_prover_check(prover, (struct ig_str){(const char *)bytes, len}, "c-1-1",
                         IG_STR(PATH), &caller, reterr);
}

static void proving_survives_failed_allocations(void **state) {
  (void)state;
  assert_survives_failed_allocations(prove_and_check, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_short_token_is_refused_and_not_repeated),
      cmocka_unit_test(a_proof_is_good_once),
      cmocka_unit_test(a_proof_is_for_one_method_of_one_member),
      cmocka_unit_test(another_token_opens_nothing),
      cmocka_unit_test(whatever_byte_is_changed_the_proof_is_none),
      cmocka_unit_test(calls_may_overtake_one_another_but_not_for_ever),
      cmocka_unit_test(callers_are_counted_apart_and_who_is_gone_stays_so),
      cmocka_unit_test(both_sides_prove_that_they_know_the_token),
      cmocka_unit_test(the_description_is_proven_too),
      cmocka_unit_test(a_challenge_is_good_once_and_for_a_while),
      cmocka_unit_test(wrong_tokens_make_a_peer_wait_and_nobody_else),
      cmocka_unit_test(the_token_is_in_nothing_that_is_sent),
      cmocka_unit_test(proving_survives_failed_allocations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
