/* login.c -- see login.h. A list of logins, two threads, what was right lately, and who
 * was wrong. */
#include "auth/login.h"

#include <arpa/inet.h>
#include <errno.h>

#include "auth/private.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/metrics.h"
#include "base/thread.h"

#define THREADS 2
#define KEY_BYTES crypto_generichash_BYTES

#define SAVE_EVERY_US (60 * IG_US_PER_S)

/* Wrong passwords that cost nothing: for one name typed by hand, for all names of a peer,
 * which may be many people behind one address. */
#define FREE_TRIES_OF_NAME 3
#define FREE_TRIES_OF_PEER 20
#define FIRST_BACKOFF_US (250 * IG_US_PER_MS)
#define FORGET_PEER_US (600 * IG_US_PER_S)

/* An Argon2id text of the costs that users.c takes, of no password: an unknown name costs
 * a check as well. */
static const char nobody[crypto_pwhash_STRBYTES] =
    "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHRmb3Jub2JvZA"
    "$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

enum { OK, WRONG, REFUSED };
static struct ig_metric results[] = {
    [OK] = IG_COUNTER("igloo_logins_total", "result=\"ok\"", "Logins by their end."),
    [WRONG] =
        IG_COUNTER("igloo_logins_total", "result=\"wrong\"", "Logins by their end."),
    [REFUSED] =
        IG_COUNTER("igloo_logins_total", "result=\"refused\"", "Logins by their end."),
};

struct waiting {
  struct waiting *next;
  char *user, *password; /* owned; the password is wiped */
  size_t password_len;
  uint64_t peer_hash, name_hash; /* of the peer, and of it and the name */
  unsigned char key[KEY_BYTES];  /* equal for equal names and passwords */
  bool runs;
  bool wants_token;
  void (*done)(void *ctx, const struct ig_login_result *result);
  void *ctx;
};

struct remembered {
  unsigned char key[KEY_BYTES];
  int64_t until_us; /* 0: empty */
};

struct peer {
  uint64_t hash; /* 0: empty */
  uint32_t wrong;
  int64_t last_us;  /* of the last wrong password */
  int64_t until_us; /* must wait until */
};

struct ig_logins {
  ig_users *users;                                /* borrowed */
  ig_tokens *tokens;                              /* borrowed */
  unsigned char key[crypto_generichash_KEYBYTES]; /* fixed at creation */

  pthread_mutex_t mu; /* a leaf lock */
  pthread_cond_t changed;
  struct waiting *first;                                     /* guarded by mu */
  size_t waiting, different;                                 /* guarded by mu */
  struct remembered remembered[IG_PASSWORDS_REMEMBERED_MAX]; /* guarded by mu */
  struct peer peers[IG_LOGIN_PEERS_MAX];                     /* guarded by mu */
  int64_t save_us;                                           /* guarded by mu */
  pthread_t threads[THREADS];                                /* guarded by mu */
  size_t threads_count;                                      /* guarded by mu */
  bool ends;                                                 /* guarded by mu */
};

igloo_status ig_logins_new(ig_users *users, ig_tokens *tokens, ig_logins **ret_logins,
                           struct igloo_error *reterr) {
  ig_logins *logins = ig_calloc(1, sizeof(*logins));
  if (!logins) return ig_fail_oom(reterr);
  logins->users = users;
  logins->tokens = tokens;
  crypto_generichash_keygen(logins->key);
  ig_metrics_register(results, IG_ARRAY_LEN(results));
  ig_mutex_init(&logins->mu);
  ig_cond_init(&logins->changed);
  *ret_logins = logins;
  return IGLOO_OK;
}

/* ---- what was right lately --------------------------------------------------------- */

/* The key holds the stored text of the password, whose salt is new with every change: a
 * new password or another user of the name makes other keys. */
static void remembered_key(const ig_logins *logins, const struct user *user,
                           struct ig_str password, unsigned char ret_key[KEY_BYTES]) {
  crypto_generichash_state state;
  (void)crypto_generichash_init(&state, logins->key, sizeof logins->key, KEY_BYTES);
  (void)crypto_generichash_update(&state, (const unsigned char *)user->password,
                                  sizeof user->password);
  (void)crypto_generichash_update(&state, (const unsigned char *)password.data,
                                  password.len);
  (void)crypto_generichash_final(&state, ret_key, KEY_BYTES);
  sodium_memzero(&state, sizeof state);
}

static void remember(ig_logins *logins, const unsigned char key[KEY_BYTES]) {
  IG_LOCK_SCOPE(&logins->mu);
  struct remembered *place = &logins->remembered[0];
  for (size_t i = 0; i < IG_PASSWORDS_REMEMBERED_MAX; i++)
    if (logins->remembered[i].until_us < place->until_us) place = &logins->remembered[i];
  memcpy(place->key, key, KEY_BYTES);
  place->until_us = ig_deadline_in(IG_PASSWORD_REMEMBERED_US);
}

static bool is_remembered(ig_logins *logins, const unsigned char key[KEY_BYTES]) {
  IG_LOCK_SCOPE(&logins->mu);
  int64_t now_us = ig_now_us();
  for (size_t i = 0; i < IG_PASSWORDS_REMEMBERED_MAX; i++)
    if (logins->remembered[i].until_us > now_us &&
        sodium_memcmp(logins->remembered[i].key, key, KEY_BYTES) == 0)
      return true;
  return false;
}

bool ig_login_recall(ig_logins *logins, struct ig_str user, struct ig_str password,
                     struct ig_identity *ret_identity) {
  struct user found;
  unsigned char key[KEY_BYTES];
  if (password.len > IG_PASSWORD_BYTES_MAX || !users_copy(logins->users, user, &found))
    return false;
  remembered_key(logins, &found, password, key);
  if (!is_remembered(logins, key)) return false;
  *ret_identity = found.pub.identity;
  return true;
}

/* ---- who was wrong ----------------------------------------------------------------- */

/* One IPv6 host has a whole /64 to itself. */
static uint64_t hash_peer(struct ig_str peer) {
  char text[INET6_ADDRSTRLEN];
  unsigned char address[16];
  if (peer.len > 2 && peer.data[0] == '[') peer = ig_str_sub(peer, 1, peer.len - 2);
  if (peer.len < sizeof text) {
    memcpy(text, peer.data ? peer.data : "", peer.len);
    text[peer.len] = '\0';
    bool mapped = ig_str_starts_ci(peer, IG_STR("::ffff:"));
    if (!mapped && inet_pton(AF_INET6, text, address) == 1)
      return ig_hash(ig_str_make((const char *)address, 8)) | 1;
  }
  return ig_hash(peer) | 1;
}

static uint64_t hash_name(uint64_t peer_hash, struct ig_str user) {
  uint64_t both[2] = {peer_hash, ig_hash(user)};
  return ig_hash(ig_str_make((const char *)both, sizeof both)) | 1;
}

static struct peer *find_peer_locked(ig_logins *logins, uint64_t hash) {
  for (size_t i = 0; i < IG_LOGIN_PEERS_MAX; i++)
    if (logins->peers[i].hash == hash) return &logins->peers[i];
  return NULL;
}

static void count_wrong_locked(ig_logins *logins, uint64_t hash, uint32_t free_tries) {
  int64_t now_us = ig_now_us();
  struct peer *peer = find_peer_locked(logins, hash);
  if (!peer) {
    peer = &logins->peers[0];
    for (size_t i = 0; i < IG_LOGIN_PEERS_MAX; i++)
      if (logins->peers[i].last_us < peer->last_us) peer = &logins->peers[i];
    *peer = (struct peer){.hash = hash};
  }
  if (now_us - peer->last_us > FORGET_PEER_US) peer->wrong = 0;
  peer->last_us = now_us;
  peer->wrong++;
  if (peer->wrong <= free_tries) return;
  uint32_t doublings = peer->wrong - free_tries - 1;
  int64_t wait_us = doublings < 16 ? FIRST_BACKOFF_US << doublings : INT64_MAX;
  if (wait_us > IG_LOGIN_BACKOFF_MAX_US) wait_us = IG_LOGIN_BACKOFF_MAX_US;
  peer->until_us = ig_deadline_in(wait_us);
}

static int64_t peer_wait_us_locked(ig_logins *logins, uint64_t hash) {
  const struct peer *peer = find_peer_locked(logins, hash);
  return peer ? ig_deadline_left_us(peer->until_us) : 0;
}

static igloo_status check_peer_locked(ig_logins *logins, const struct waiting *login,
                                      struct igloo_error *reterr) {
  int64_t name_us = peer_wait_us_locked(logins, login->name_hash);
  int64_t wait_us = peer_wait_us_locked(logins, login->peer_hash);
  if (name_us > wait_us) wait_us = name_us;
  if (wait_us == 0) return IGLOO_OK;
  (void)ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "53300",
                      "too many wrong passwords from this address");
  ig_error_hint(reterr, "Try again in %lld s.",
                (long long)((wait_us + IG_US_PER_S - 1) / IG_US_PER_S));
  if (reterr) reterr->retryable = 1;
  return IGLOO_RESOURCE_EXHAUSTED;
}

/* ---- the list ---------------------------------------------------------------------- */

static void free_waiting(struct waiting *login) {
  if (login->password) sodium_memzero(login->password, login->password_len);
  ig_free(login->password);
  ig_free(login->user);
  ig_free(login);
}

static bool same(const struct waiting *a, const struct waiting *b) {
  return sodium_memcmp(a->key, b->key, KEY_BYTES) == 0;
}

static bool is_listed_locked(const ig_logins *logins, const struct waiting *login) {
  for (const struct waiting *other = logins->first; other; other = other->next)
    if (same(other, login)) return true;
  return false;
}

/* The first that does not run and of which no equal one runs. */
static struct waiting *find_next_locked(ig_logins *logins) {
  for (struct waiting *login = logins->first; login; login = login->next) {
    bool is_first_of_its_kind = true, runs = login->runs;
    for (const struct waiting *other = logins->first;
         other != login && !runs && is_first_of_its_kind; other = other->next)
      if (same(other, login)) is_first_of_its_kind = false;
    if (!runs && is_first_of_its_kind) return login;
  }
  return NULL;
}

/* Take `login` and its equals out of the list, as a list of their own. */
static struct waiting *take_equals_locked(ig_logins *logins,
                                          const struct waiting *login) {
  struct waiting *taken = NULL, **last = &taken, **link = &logins->first;
  unsigned char key[KEY_BYTES];
  memcpy(key, login->key, KEY_BYTES);
  while (*link) {
    struct waiting *at = *link;
    if (sodium_memcmp(at->key, key, KEY_BYTES) != 0) {
      link = &at->next;
      continue;
    }
    *link = at->next;
    at->next = NULL;
    *last = at;
    last = &at->next;
    logins->waiting--;
  }
  logins->different--;
  return taken;
}

/* ---- one check --------------------------------------------------------------------- */

static igloo_status fail_wrong(const char *user, struct igloo_error *reterr) {
  struct ig_str name = ig_str_from_cstr(user);
  return ig_fail_state(reterr, IGLOO_UNAUTHENTICATED, "28P01",
                       "password authentication failed for user \"%.*s\"",
                       IG_STR_ARG(ig_str_sub(name, 0, ig_utf8_cut(name, 255))));
}

static igloo_status verify(ig_logins *logins, const struct waiting *login,
                           struct ig_identity *ret_identity, struct igloo_error *reterr) {
  struct user user;
  unsigned char key[KEY_BYTES];
  struct ig_str password = ig_str_make(login->password, login->password_len);
  bool known = users_copy(logins->users, ig_str_from_cstr(login->user), &user);
  if (known) {
    remembered_key(logins, &user, password, key);
    *ret_identity = user.pub.identity;
    if (is_remembered(logins, key)) return IGLOO_OK;
  }
  errno = 0;
  int code = crypto_pwhash_str_verify(known ? user.password : nobody, password.data,
                                      password.len);
  if (code != 0 && errno == ENOMEM) return ig_fail_oom(reterr);
  if (code != 0 || !known) return fail_wrong(login->user, reterr);
  remember(logins, key);
  return IGLOO_OK;
}

static void finish(ig_logins *logins, struct waiting *login,
                   const struct ig_login_result *checked) {
  struct ig_login_result result = *checked;
  if (result.status == IGLOO_OK) ig_metric_add(&results[OK], 1);
  if (result.status == IGLOO_UNAUTHENTICATED) ig_metric_add(&results[WRONG], 1);
  if (result.status == IGLOO_OK && login->wants_token)
    result.status = ig_tokens_issue(logins->tokens, result.identity.user_id, result.token,
                                    &result.error);
  login->done(login->ctx, &result);
  sodium_memzero(result.token, sizeof result.token);
  free_waiting(login);
}

/* Check one, and tell it and its equals. */
static void run_login(ig_logins *logins, struct waiting *login) {
  struct ig_login_result checked = {.status = IGLOO_OK};
  checked.status = verify(logins, login, &checked.identity, &checked.error);
  struct waiting *taken;
  {
    IG_LOCK_SCOPE(&logins->mu);
    taken = take_equals_locked(logins, login);
    /* A pool that knocks a hundred times with one wrong password was wrong once. */
    bool wrong = checked.status == IGLOO_UNAUTHENTICATED;
    for (const struct waiting *at = taken; at && wrong; at = at->next) {
      if (at != taken && at->name_hash == taken->name_hash) continue;
      count_wrong_locked(logins, at->name_hash, FREE_TRIES_OF_NAME);
      count_wrong_locked(logins, at->peer_hash, FREE_TRIES_OF_PEER);
    }
  }
  while (taken) {
    struct waiting *at = taken;
    taken = at->next;
    finish(logins, at, &checked);
  }
}

/* ---- the threads ------------------------------------------------------------------- */

/* Wait for work. NULL in *ret_login: save the tokens. False: the end. */
static bool wait_for_work(ig_logins *logins, struct waiting **ret_login) {
  IG_LOCK_SCOPE(&logins->mu);
  for (;;) {
    if (logins->ends) return false;
    *ret_login = find_next_locked(logins);
    if (*ret_login) {
      (*ret_login)->runs = true;
      return true;
    }
    if (ig_now_us() >= logins->save_us) {
      logins->save_us = ig_deadline_in(SAVE_EVERY_US);
      return true;
    }
    (void)ig_cond_wait_until(&logins->changed, &logins->mu, logins->save_us);
  }
}

static void *run_thread(void *ctx) {
  ig_logins *logins = ctx;
  struct waiting *login = NULL;
  while (wait_for_work(logins, &login)) {
    if (login)
      run_login(logins, login);
    else
      (void)!ig_tokens_save(logins->tokens, NULL); /* the next minute tries again */
  }
  return NULL;
}

static igloo_status start_threads_locked(ig_logins *logins, struct igloo_error *reterr) {
  while (logins->threads_count < THREADS) {
    logins->save_us = ig_deadline_in(SAVE_EVERY_US);
    igloo_status status =
        ig_thread_start("ig-login", 0, run_thread, logins,
                        &logins->threads[logins->threads_count], reterr);
    if (status != IGLOO_OK) return logins->threads_count ? IGLOO_OK : status;
    logins->threads_count++;
  }
  return IGLOO_OK;
}

ig_logins *ig_logins_free(ig_logins *logins) {
  if (!logins) return NULL;
  {
    IG_LOCK_SCOPE(&logins->mu);
    logins->ends = true;
    ig_cond_broadcast(&logins->changed);
  }
  for (size_t i = 0; i < logins->threads_count; i++)
    (void)ig_thread_join(logins->threads[i]);
  struct ig_login_result ended = {.status = IGLOO_UNAVAILABLE};
  (void)ig_fail(&ended.error, IGLOO_UNAVAILABLE, "the server is stopping");
  while (logins->first) {
    struct waiting *login = logins->first;
    logins->first = login->next;
    finish(logins, login, &ended);
  }
  if (logins->threads_count) (void)!ig_tokens_save(logins->tokens, NULL);
  ig_cond_done(&logins->changed);
  ig_mutex_done(&logins->mu);
  sodium_memzero(logins->key, sizeof logins->key);
  ig_free(logins);
  return NULL;
}

/* ---- starting a login -------------------------------------------------------------- */

static void login_key(const ig_logins *logins, const struct ig_login *login,
                      unsigned char ret_key[KEY_BYTES]) {
  crypto_generichash_state state;
  uint64_t user_len = login->user.len;
  (void)crypto_generichash_init(&state, logins->key, sizeof logins->key, KEY_BYTES);
  (void)crypto_generichash_update(&state, (const unsigned char *)&user_len,
                                  sizeof user_len);
  (void)crypto_generichash_update(&state, (const unsigned char *)login->user.data,
                                  login->user.len);
  (void)crypto_generichash_update(&state, (const unsigned char *)login->password.data,
                                  login->password.len);
  (void)crypto_generichash_final(&state, ret_key, KEY_BYTES);
  sodium_memzero(&state, sizeof state);
}

/* NULL: out of memory. */
static struct waiting *new_waiting(const ig_logins *logins,
                                   const struct ig_login *login) {
  struct waiting *made = ig_calloc(1, sizeof(*made));
  if (!made) return NULL;
  made->user = ig_str_dup(login->user);
  made->password = ig_str_dup(login->password);
  made->password_len = login->password.len;
  made->wants_token = login->wants_token;
  made->peer_hash = hash_peer(login->peer);
  made->name_hash = hash_name(made->peer_hash, login->user);
  login_key(logins, login, made->key);
  if (made->user && made->password) return made;
  free_waiting(made);
  return NULL;
}

static igloo_status fail_full(struct igloo_error *reterr) {
  (void)ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "53300",
                      "too many logins: %d wait to be checked", IG_LOGINS_QUEUED_MAX);
  ig_error_hint(reterr, "Try again, or use the token of an earlier login.");
  if (reterr) reterr->retryable = 1;
  return IGLOO_RESOURCE_EXHAUSTED;
}

static igloo_status append_locked(ig_logins *logins, struct waiting *login, bool recalled,
                                  struct igloo_error *reterr) {
  if (logins->ends) return ig_fail(reterr, IGLOO_UNAVAILABLE, "the server is stopping");
  if (!recalled) IG_TRY(check_peer_locked(logins, login, reterr));
  bool listed = is_listed_locked(logins, login);
  if (logins->waiting >= IG_LOGINS_WAITING_MAX ||
      (!listed && logins->different >= IG_LOGINS_QUEUED_MAX))
    return fail_full(reterr);
  IG_TRY(start_threads_locked(logins, reterr));
  struct waiting **last = &logins->first;
  while (*last) last = &(*last)->next;
  *last = login;
  logins->waiting++;
  if (!listed) logins->different++;
  ig_cond_signal(&logins->changed);
  return IGLOO_OK;
}

igloo_status ig_login_begin(ig_logins *logins, const struct ig_login *login,
                            void (*done)(void *ctx, const struct ig_login_result *),
                            void *ctx, struct igloo_error *reterr) {
  if (login->user.len > IG_IDENTIFIER_BYTES_MAX ||
      login->password.len > IG_PASSWORD_BYTES_MAX)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "a user's name has at most %d bytes, a password %d",
                   IG_IDENTIFIER_BYTES_MAX, IG_PASSWORD_BYTES_MAX);
  /* From here on names end at a NUL: one behind it would log in as the one before. */
  if (memchr(login->user.data ? login->user.data : "", '\0', login->user.len))
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "a user's name has no NUL in it");
  struct ig_identity identity;
  bool recalled = ig_login_recall(logins, login->user, login->password, &identity);
  struct waiting *waiting = new_waiting(logins, login);
  if (!waiting) return ig_fail_oom(reterr);
  waiting->done = done;
  waiting->ctx = ctx;
  ig_mutex_lock(&logins->mu);
  igloo_status status = append_locked(logins, waiting, recalled, reterr);
  ig_mutex_unlock(&logins->mu);
  if (status == IGLOO_OK) return IGLOO_OK;
  ig_metric_add(&results[REFUSED], 1);
  free_waiting(waiting);
  return status;
}

/* ---- waiting for one --------------------------------------------------------------- */

struct wait {
  pthread_mutex_t mu;
  pthread_cond_t is_done;
  bool done; /* guarded by mu */
  struct ig_login_result result;
};

static void wake(void *ctx, const struct ig_login_result *result) {
  struct wait *wait = ctx;
  IG_LOCK_SCOPE(&wait->mu);
  wait->result = *result;
  wait->done = true;
  ig_cond_signal(&wait->is_done);
}

igloo_status ig_login_wait(ig_logins *logins, const struct ig_login *login,
                           struct ig_login_result *ret_result,
                           struct igloo_error *reterr) {
  struct wait wait = {.done = false};
  ig_mutex_init(&wait.mu);
  ig_cond_init(&wait.is_done);
  igloo_status status = ig_login_begin(logins, login, wake, &wait, reterr);
  if (status == IGLOO_OK) {
    ig_mutex_lock(&wait.mu);
    while (!wait.done) (void)ig_cond_wait_until(&wait.is_done, &wait.mu, IG_NEVER_US);
    ig_mutex_unlock(&wait.mu);
    status = wait.result.status;
    if (status == IGLOO_OK)
      *ret_result = wait.result;
    else if (reterr)
      *reterr = wait.result.error;
  }
  sodium_memzero(wait.result.token, sizeof wait.result.token);
  ig_cond_done(&wait.is_done);
  ig_mutex_done(&wait.mu);
  return status;
}
