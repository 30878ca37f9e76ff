/* identity.c -- see identity.h. HMAC-SHA-512-256 and SHA-256 of libsodium. */
#include "cluster/identity.h"

#include <sodium.h>

#include "auth/key_file.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/map.h"
#include "base/thread.h"

#define CODE_BYTES crypto_auth_hmacsha512256_BYTES
#define KEY_BYTES crypto_auth_hmacsha512256_KEYBYTES
#define PROOF_VERSION 1
#define WINDOW_WORDS (IG_MEMBER_CALLS_BEHIND_MAX / 64)

/* Wrong tokens that cost a peer nothing: one typed or rolled out wrongly. */
#define FREE_TRIES 3
#define FIRST_WAIT_US (250 * IG_US_PER_MS)
#define FORGET_PEER_US (600 * IG_US_PER_S)

_Static_assert(CODE_BYTES == IG_JOIN_CODE_BYTES, "the codes of joins");
_Static_assert(IG_JOIN_CHALLENGE_BYTES == 32 + 8 + CODE_BYTES, "random, expiry, code");
_Static_assert(IG_MEMBER_PROOF_BYTES_MAX >=
                   1 + 1 + 8 + 2 * (1 + IG_MEMBER_ID_BYTES) + CODE_BYTES,
               "room for a proof");

/* In locked memory. */
struct keys {
  uint8_t member[KEY_BYTES]; /* of the token: the same in all members */
  uint8_t mine[KEY_BYTES];   /* of this process: seals challenges */
};

/* Which calls of a caller were seen: its latest, and a ring of bits for those before. */
struct window {
  uint64_t latest;
  uint64_t *bits; /* WINDOW_WORDS; NULL: the caller is gone, and all it may still send */
};

struct peer {
  uint64_t hash; /* 0: empty */
  uint32_t wrong;
  int64_t last_us, until_us;
};

struct answered {
  uint8_t random[32]; /* of the challenge */
  int64_t until_us;   /* 0: empty */
};

struct ig_prover {
  struct keys *keys; /* fixed at creation */
  uint64_t number;   /* atomic: of the latest call of this process */

  pthread_mutex_t mu;                             /* a leaf lock */
  struct ig_map windows;                          /* guarded by mu: by caller */
  struct peer peers[IG_JOIN_PEERS_MAX];           /* guarded by mu */
  struct answered answered[IG_JOIN_ANSWERED_MAX]; /* guarded by mu */
};

/* ---- codes ------------------------------------------------------------------------- */

static void put_u64(uint8_t *dst, uint64_t value) {
  for (size_t i = 0; i < 8; i++) dst[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_u64(const uint8_t *src) {
  uint64_t value = 0;
  for (size_t i = 0; i < 8; i++) value |= (uint64_t)src[i] << (8 * i);
  return value;
}

/* A code over what `sort` says it is for and the parts, each with its length. */
static void make_code(const uint8_t key[KEY_BYTES], const char *sort,
                      const struct ig_str *parts, size_t parts_count,
                      uint8_t ret_code[CODE_BYTES]) {
  crypto_auth_hmacsha512256_state state;
  (void)crypto_auth_hmacsha512256_init(&state, key, KEY_BYTES);
  (void)crypto_auth_hmacsha512256_update(&state, (const uint8_t *)sort, strlen(sort) + 1);
  for (size_t i = 0; i < parts_count; i++) {
    uint8_t len[8];
    put_u64(len, parts[i].len);
    (void)crypto_auth_hmacsha512256_update(&state, len, sizeof len);
    (void)crypto_auth_hmacsha512256_update(&state, (const uint8_t *)parts[i].data,
                                           parts[i].len);
  }
  (void)crypto_auth_hmacsha512256_final(&state, ret_code);
  sodium_memzero(&state, sizeof state);
}

static struct ig_str view(const uint8_t *bytes, size_t len) {
  return (struct ig_str){(const char *)bytes, len};
}

static bool is_code(const uint8_t key[KEY_BYTES], const char *sort,
                    const struct ig_str *parts, size_t parts_count, const uint8_t *code) {
  uint8_t right[CODE_BYTES];
  make_code(key, sort, parts, parts_count, right);
  bool is_right = sodium_memcmp(right, code, CODE_BYTES) == 0;
  sodium_memzero(right, sizeof right);
  return is_right;
}

/* ---- life -------------------------------------------------------------------------- */

static void free_window(void *value) {
  struct window *window = value;
  ig_free(window->bits);
  ig_free(window);
}

igloo_status ig_prover_new(struct ig_str token, ig_prover **ret_prover,
                           struct igloo_error *reterr) {
  static const uint8_t purpose[KEY_BYTES] = "igloo cluster members v1";
  if (sodium_init() < 0)
    return ig_fail(reterr, IGLOO_INTERNAL, "could not start libsodium");
  if (token.len < IG_JOIN_TOKEN_BYTES_MIN) {
    (void)ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                  "cluster.join_token has fewer than %d characters",
                  IG_JOIN_TOKEN_BYTES_MIN);
    ig_error_hint(reterr, "`igloo token new` makes one that cannot be guessed.");
    return IGLOO_INVALID_ARGUMENT;
  }
  IG_AUTO(ig_prover) *prover = ig_calloc(1, sizeof(*prover));
  if (!prover) return ig_fail_oom(reterr);
  ig_mutex_init(&prover->mu);
  ig_map_init(&prover->windows, IG_MEMBER_CALLERS_MAX, free_window);
  prover->keys = (struct keys *)(void *)ig_locked_new(sizeof *prover->keys);
  if (!prover->keys) return ig_fail_oom(reterr);
  make_code(purpose, "key", &token, 1, prover->keys->member);
  randombytes_buf(prover->keys->mine, sizeof prover->keys->mine);
  *ret_prover = IG_TAKE(prover);
  return IGLOO_OK;
}

ig_prover *ig_prover_free(ig_prover *prover) {
  if (!prover) return NULL;
  (void)ig_locked_free((ig_locked *)(void *)prover->keys);
  ig_map_done(&prover->windows);
  ig_mutex_done(&prover->mu);
  ig_free(prover);
  return NULL;
}

/* ---- calls ------------------------------------------------------------------------- */

/* version, role, number, caller, callee, code; names with a byte of length before. */
static size_t put_name(uint8_t *dst, const char *name) {
  size_t len = strlen(name);
  IG_ASSERT(len > 0 && len < IG_MEMBER_ID_BYTES);
  dst[0] = (uint8_t)len;
  memcpy(dst + 1, name, len);
  return len + 1;
}

size_t ig_prover_prove(ig_prover *prover, const char *caller, enum ig_member_role role,
                       const char *callee, const char *path,
                       uint8_t ret_proof[IG_MEMBER_PROOF_BYTES_MAX]) {
  size_t len = 10;
  ret_proof[0] = PROOF_VERSION;
  ret_proof[1] = (uint8_t)role;
  put_u64(ret_proof + 2, __atomic_add_fetch(&prover->number, 1, __ATOMIC_RELAXED));
  len += put_name(ret_proof + len, caller);
  len += put_name(ret_proof + len, callee);
  struct ig_str parts[] = {view(ret_proof, len), ig_str_from_cstr(path)};
  make_code(prover->keys->member, "call", parts, IG_ARRAY_LEN(parts), ret_proof + len);
  return len + CODE_BYTES;
}

struct proof {
  enum ig_member_role role;
  uint64_t number;
  struct ig_str caller, callee;
  struct ig_str before_code;
  const uint8_t *code;
};

static bool read_name(struct ig_str proof, size_t *at, struct ig_str *ret_name) {
  if (*at >= proof.len) return false;
  size_t len = (uint8_t)proof.data[*at];
  if (!len || len >= IG_MEMBER_ID_BYTES || proof.len - *at - 1 < len) return false;
  *ret_name = ig_str_sub(proof, *at + 1, len);
  *at += len + 1;
  return !memchr(ret_name->data, '\0', len);
}

static bool read_proof(struct ig_str bytes, struct proof *ret) {
  const uint8_t *data = (const uint8_t *)bytes.data;
  size_t at = 10;
  if (bytes.len < at || data[0] != PROOF_VERSION || data[1] > IG_MEMBER_WORKER)
    return false;
  ret->role = (enum ig_member_role)data[1];
  ret->number = get_u64(data + 2);
  if (!read_name(bytes, &at, &ret->caller) || !read_name(bytes, &at, &ret->callee) ||
      bytes.len - at != CODE_BYTES)
    return false;
  ret->before_code = ig_str_sub(bytes, 0, at);
  ret->code = data + at;
  return true;
}

static igloo_status refuse(struct igloo_error *reterr, const char *why) {
  return ig_fail(reterr, IGLOO_UNAUTHENTICATED, "%s", why);
}

/* Make `number` the latest: what the ring held of older calls goes. */
static void move_window(struct window *window, uint64_t number) {
  if (number - window->latest >= IG_MEMBER_CALLS_BEHIND_MAX)
    memset(window->bits, 0, WINDOW_WORDS * sizeof *window->bits);
  else
    for (uint64_t at = window->latest + 1; at < number; at++)
      window->bits[at / 64 % WINDOW_WORDS] &= ~(UINT64_C(1) << (at % 64));
  window->latest = number;
}

/* True for the first call of this number. */
static bool take_number(struct window *window, uint64_t number) {
  if (!number || !window->bits) return false;
  uint64_t bit = UINT64_C(1) << (number % 64);
  uint64_t *word = &window->bits[number / 64 % WINDOW_WORDS];
  bool is_later = number > window->latest;
  if (is_later)
    move_window(window, number);
  else if (window->latest - number >= IG_MEMBER_CALLS_BEHIND_MAX || (*word & bit))
    return false;
  *word |= bit;
  return true;
}

/* One who is gone makes room: its id is not drawn again. */
static void make_room_locked(ig_prover *prover) {
  struct ig_str key, gone = {0};
  void *value;
  for (size_t at = 0; ig_map_next(&prover->windows, &at, &key, &value);)
    if (!((struct window *)value)->bits) gone = key;
  char id[IG_MEMBER_ID_BYTES];
  if (!gone.len) return;
  memcpy(id, gone.data, gone.len);
  (void)ig_map_remove(&prover->windows, (struct ig_str){id, gone.len});
}

static igloo_status window_locked(ig_prover *prover, struct ig_str caller,
                                  struct window **ret_window,
                                  struct igloo_error *reterr) {
  *ret_window = ig_map_get(&prover->windows, caller);
  if (*ret_window) return IGLOO_OK;
  if (prover->windows.count >= IG_MEMBER_CALLERS_MAX) make_room_locked(prover);
  struct window *window = ig_calloc(1, sizeof(*window));
  if (!window) return ig_fail_oom(reterr);
  window->bits = ig_calloc(WINDOW_WORDS, sizeof *window->bits);
  if (!window->bits) {
    ig_free(window);
    return ig_fail_oom(reterr);
  }
  IG_TRY(ig_map_put(&prover->windows, caller, window, reterr));
  *ret_window = window;
  return IGLOO_OK;
}

igloo_status ig_prover_check(ig_prover *prover, struct ig_str proof, const char *self,
                             struct ig_str path, struct ig_caller *ret_caller,
                             struct igloo_error *reterr) {
  struct proof read;
  struct window *window = NULL;
  if (!read_proof(proof, &read))
    return refuse(reterr, "what proves a member is malformed");
  struct ig_str parts[] = {read.before_code, path};
  if (!is_code(prover->keys->member, "call", parts, IG_ARRAY_LEN(parts), read.code))
    return refuse(reterr, "the caller does not know the token of this cluster");
  if (!ig_str_eq_cstr(read.callee, self)) {
    (void)ig_fail_state(reterr, IGLOO_UNAVAILABLE, IG_MEMBER_OTHER_STATE,
                        "\"%.*s\" is no member any more", IG_STR_ARG(read.callee));
    return IGLOO_UNAVAILABLE;
  }
  ig_mutex_lock(&prover->mu);
  igloo_status status = window_locked(prover, read.caller, &window, reterr);
  bool is_gone = status == IGLOO_OK && window && !window->bits;
  bool is_new = status == IGLOO_OK && window && take_number(window, read.number);
  ig_mutex_unlock(&prover->mu);
  if (status != IGLOO_OK) return status;
  if (!is_new && !is_gone) return refuse(reterr, "what proves a member was used before");
  *ret_caller = (struct ig_caller){.role = read.role};
  memcpy(ret_caller->id, read.caller.data, read.caller.len);
  if (!is_gone) return IGLOO_OK;
  return ig_fail_state(reterr, IGLOO_UNAVAILABLE, IG_MEMBER_OTHER_STATE,
                       "\"%s\" is no member any more", ret_caller->id);
}

void ig_prover_forget(ig_prover *prover, const char *caller) {
  IG_LOCK_SCOPE(&prover->mu);
  struct window *window = ig_map_get(&prover->windows, ig_str_from_cstr(caller));
  if (!window) return;
  ig_free(window->bits);
  window->bits = NULL;
}

void ig_prover_reset(ig_prover *prover) {
  IG_LOCK_SCOPE(&prover->mu);
  ig_map_done(&prover->windows);
  ig_map_init(&prover->windows, IG_MEMBER_CALLERS_MAX, free_window);
}

/* ---- joining ----------------------------------------------------------------------- */

/* A challenge is 32 random bytes, when it ends, and this process' code over both and the
 * nonce of whoever asked for it: the seal. */
#define SEAL_PARTS 2
static void seal_parts(const uint8_t *nonce, const uint8_t *challenge,
                       struct ig_str ret_parts[SEAL_PARTS]) {
  ret_parts[0] = view(nonce, IG_JOIN_NONCE_BYTES);
  ret_parts[1] = view(challenge, IG_JOIN_CHALLENGE_BYTES - CODE_BYTES);
}

/* What each side proves over. */
#define JOIN_PARTS 3
static void join_parts(const uint8_t *nonce, const uint8_t *challenge,
                       struct ig_str description, struct ig_str ret_parts[JOIN_PARTS]) {
  ret_parts[0] = view(nonce, IG_JOIN_NONCE_BYTES);
  ret_parts[1] = view(challenge, IG_JOIN_CHALLENGE_BYTES);
  ret_parts[2] = description;
}

void ig_prover_challenge(ig_prover *prover, const uint8_t nonce[IG_JOIN_NONCE_BYTES],
                         int64_t now_us, uint8_t ret_challenge[IG_JOIN_CHALLENGE_BYTES],
                         uint8_t ret_code[IG_JOIN_CODE_BYTES]) {
  struct ig_str sealed[SEAL_PARTS], proven[JOIN_PARTS];
  randombytes_buf(ret_challenge, 32);
  put_u64(ret_challenge + 32, (uint64_t)(now_us + IG_JOIN_CHALLENGE_US));
  seal_parts(nonce, ret_challenge, sealed);
  make_code(prover->keys->mine, "challenge", sealed, SEAL_PARTS, ret_challenge + 40);
  join_parts(nonce, ret_challenge, IG_STR(""), proven);
  make_code(prover->keys->member, "coordinator", proven, JOIN_PARTS, ret_code);
}

bool ig_prover_challenge_is_good(const ig_prover *prover,
                                 const uint8_t nonce[IG_JOIN_NONCE_BYTES],
                                 const uint8_t challenge[IG_JOIN_CHALLENGE_BYTES],
                                 const uint8_t code[IG_JOIN_CODE_BYTES]) {
  struct ig_str proven[JOIN_PARTS];
  join_parts(nonce, challenge, IG_STR(""), proven);
  return is_code(prover->keys->member, "coordinator", proven, JOIN_PARTS, code);
}

void ig_prover_answer(const ig_prover *prover, const uint8_t nonce[IG_JOIN_NONCE_BYTES],
                      const uint8_t challenge[IG_JOIN_CHALLENGE_BYTES],
                      struct ig_str description, uint8_t ret_code[IG_JOIN_CODE_BYTES]) {
  struct ig_str proven[JOIN_PARTS];
  join_parts(nonce, challenge, description, proven);
  make_code(prover->keys->member, "worker", proven, JOIN_PARTS, ret_code);
}

static struct peer *find_peer_locked(ig_prover *prover, uint64_t hash) {
  for (size_t i = 0; i < IG_JOIN_PEERS_MAX; i++)
    if (prover->peers[i].hash == hash) return &prover->peers[i];
  return NULL;
}

static void count_wrong_locked(ig_prover *prover, uint64_t hash, int64_t now_us) {
  struct peer *peer = find_peer_locked(prover, hash);
  if (!peer) { /* in place of whoever was quiet for longest; empty places are */
    peer = &prover->peers[0];
    for (size_t i = 0; i < IG_JOIN_PEERS_MAX; i++)
      if (prover->peers[i].last_us < peer->last_us) peer = &prover->peers[i];
    *peer = (struct peer){.hash = hash};
  }
  if (now_us - peer->last_us > FORGET_PEER_US) peer->wrong = 0;
  peer->last_us = now_us;
  peer->wrong++;
  if (peer->wrong <= FREE_TRIES) return;
  int64_t wait_us = FIRST_WAIT_US;
  for (uint32_t i = FREE_TRIES + 1; i < peer->wrong && wait_us < IG_JOIN_WRONG_MAX_US;
       i++)
    wait_us *= 2;
  peer->until_us =
      now_us + (wait_us < IG_JOIN_WRONG_MAX_US ? wait_us : IG_JOIN_WRONG_MAX_US);
}

/* Remember that the challenge was answered. False where it was before, or where so many
 * were within its time that they cannot all be remembered. */
static bool answer_once_locked(ig_prover *prover, const uint8_t *challenge,
                               int64_t until_us, int64_t now_us) {
  struct answered *place = NULL;
  for (size_t i = 0; i < IG_JOIN_ANSWERED_MAX; i++) {
    struct answered *each = &prover->answered[i];
    if (each->until_us > now_us && memcmp(each->random, challenge, 32) == 0) return false;
    if (each->until_us <= now_us) place = each;
  }
  if (!place) return false;
  memcpy(place->random, challenge, 32);
  place->until_us = until_us;
  return true;
}

static bool is_ours(const ig_prover *prover, const uint8_t *nonce,
                    const uint8_t *challenge) {
  struct ig_str sealed[SEAL_PARTS];
  seal_parts(nonce, challenge, sealed);
  return is_code(prover->keys->mine, "challenge", sealed, SEAL_PARTS, challenge + 40);
}

static igloo_status admit_locked(ig_prover *prover, uint64_t peer_hash,
                                 const uint8_t *nonce, const uint8_t *challenge,
                                 struct ig_str description, const uint8_t *code,
                                 int64_t now_us, struct igloo_error *reterr) {
  const struct peer *peer = find_peer_locked(prover, peer_hash);
  if (peer && peer->until_us > now_us) {
    int64_t wait_ms = (peer->until_us - now_us + IG_US_PER_MS - 1) / IG_US_PER_MS;
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "53300",
                         "too many wrong tokens came from this address: wait %lld ms",
                         (long long)wait_ms);
  }
  int64_t until_us = (int64_t)get_u64(challenge + 32);
  if (!is_ours(prover, nonce, challenge) || until_us <= now_us)
    return ig_fail(reterr, IGLOO_DEADLINE_EXCEEDED, "the challenge is an old one");
  struct ig_str proven[JOIN_PARTS];
  join_parts(nonce, challenge, description, proven);
  if (!is_code(prover->keys->member, "worker", proven, JOIN_PARTS, code)) {
    count_wrong_locked(prover, peer_hash, now_us);
    (void)refuse(reterr, "the worker does not know the token of this cluster");
    ig_error_hint(reterr, "cluster.join_token must be the same on all members.");
    return IGLOO_UNAUTHENTICATED;
  }
  if (!answer_once_locked(prover, challenge, until_us, now_us))
    return ig_fail(reterr, IGLOO_DEADLINE_EXCEEDED, "the challenge is an old one");
  return IGLOO_OK;
}

igloo_status ig_prover_admit(ig_prover *prover, struct ig_str peer,
                             const uint8_t nonce[IG_JOIN_NONCE_BYTES],
                             const uint8_t challenge[IG_JOIN_CHALLENGE_BYTES],
                             struct ig_str description,
                             const uint8_t code[IG_JOIN_CODE_BYTES], int64_t now_us,
                             struct igloo_error *reterr) {
  uint64_t hash = ig_hash(peer);
  IG_LOCK_SCOPE(&prover->mu);
  return admit_locked(prover, hash ? hash : 1, nonce, challenge, description, code,
                      now_us, reterr);
}
