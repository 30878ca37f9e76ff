/* tokens.c -- see tokens.h. A map from hash to token, and their rows. */
#include "auth/tokens.h"

#include "auth/private.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/thread.h"

#define SECRET_BYTES 32
#define HASH_BYTES sizeof(struct ig_token_id)

/* Uses are written down when they are this far from what is written. */
#define SAVE_AFTER_US (60 * 60 * IG_US_PER_S)

struct token {
  unsigned char hash[HASH_BYTES];
  int64_t user_id;
  int64_t password_version; /* of the user when it was issued */
  int64_t created_us;       /* wall time, as the others: it must outlive the process */
  int64_t used_us;
  int64_t saved_us; /* `used` as the database has it */
};

struct ig_tokens {
  ig_store *store;       /* borrowed */
  ig_users *users;       /* borrowed */
  pthread_mutex_t mu;    /* a leaf lock */
  struct ig_map by_hash; /* guarded by mu; owns its struct token */
};

static struct ig_str hash_key(const unsigned char *hash) {
  return ig_str_make((const char *)hash, HASH_BYTES);
}

/* A token has 256 random bits: no salt and no slow hash is needed. */
void ig_token_id(struct ig_str token, struct ig_token_id *ret_id) {
  (void)crypto_generichash(ret_id->bytes, sizeof ret_id->bytes,
                           (const unsigned char *)token.data, token.len, NULL, 0);
}

static bool read_token(struct ig_str text, unsigned char ret_hash[HASH_BYTES]) {
  struct ig_token_id id;
  if (text.len != IG_TOKEN_BYTES - 1) return false;
  ig_token_id(text, &id);
  memcpy(ret_hash, id.bytes, HASH_BYTES);
  return true;
}

/* Is it of the password that the user has now? */
static bool stands(const struct token *token, const struct user *user) {
  return token->password_version == user->password_version ||
         memcmp(token->hash, user->kept.bytes, HASH_BYTES) == 0;
}

static bool is_over(const struct token *token, int64_t now_us) {
  return now_us - token->used_us > IG_TOKEN_IDLE_US ||
         now_us - token->created_us > IG_TOKEN_AGE_US;
}

/* ---- opening ----------------------------------------------------------------------- */

static igloo_status load_token(ig_tokens *tokens, ig_stmt *row,
                               struct igloo_error *reterr) {
  struct ig_str hash = ig_stmt_str(row, 0);
  if (hash.len != HASH_BYTES)
    return ig_fail(reterr, IGLOO_DATA_LOSS, "the stored list of tokens is damaged");
  struct token *token = ig_calloc(1, sizeof(*token));
  if (!token) return ig_fail_oom(reterr);
  memcpy(token->hash, hash.data, HASH_BYTES);
  token->user_id = ig_stmt_i64(row, 1);
  token->password_version = ig_stmt_i64(row, 2);
  token->created_us = ig_stmt_i64(row, 3);
  token->used_us = ig_stmt_i64(row, 4);
  token->saved_us = token->used_us;
  return ig_map_put(&tokens->by_hash, hash, token, reterr);
}

static igloo_status load_tokens(ig_tokens *tokens, struct igloo_error *reterr) {
  IG_AUTO(ig_tx) *tx = NULL;
  IG_TRY(ig_tx_begin(tokens->store, &tx, reterr));
  IG_AUTO(ig_stmt) *row = NULL;
  IG_TRY(ig_tx_prepare(tx, &row, reterr,
                       "SELECT t.hash, t.user, u.password_version, t.created, t.used"
                       " FROM token t JOIN user u ON u.id = t.user",
                       ""));
  for (bool found = true;;) {
    IG_TRY(ig_stmt_step(row, &found, reterr));
    if (!found) return IGLOO_OK;
    IG_TRY(load_token(tokens, row, reterr));
  }
}

igloo_status ig_tokens_open(ig_store *store, ig_users *users, ig_tokens **ret_tokens,
                            struct igloo_error *reterr) {
  IG_AUTO(ig_tokens) *tokens = ig_calloc(1, sizeof(*tokens));
  if (!tokens) return ig_fail_oom(reterr);
  tokens->store = store;
  tokens->users = users;
  ig_mutex_init(&tokens->mu);
  ig_map_init(&tokens->by_hash, IG_TOKENS_MAX, ig_free);
  IG_TRY(load_tokens(tokens, reterr));
  *ret_tokens = IG_TAKE(tokens);
  return IGLOO_OK;
}

ig_tokens *ig_tokens_free(ig_tokens *tokens) {
  if (!tokens) return NULL;
  ig_map_done(&tokens->by_hash);
  ig_mutex_done(&tokens->mu);
  ig_free(tokens);
  return NULL;
}

/* ---- issuing ----------------------------------------------------------------------- */

/* Which token must end so that `user_id` can have one more: the one unused for longest,
 * of this user or of all; false if there is room. */
static bool find_oldest(ig_tokens *tokens, int64_t user_id,
                        unsigned char ret_hash[HASH_BYTES]) {
  IG_LOCK_SCOPE(&tokens->mu);
  const struct token *own = NULL, *any = NULL;
  size_t own_count = 0, at = 0;
  void *value;
  while (ig_map_next(&tokens->by_hash, &at, NULL, &value)) {
    const struct token *token = value;
    if (!any || token->used_us < any->used_us) any = token;
    if (token->user_id != user_id) continue;
    own_count++;
    if (!own || token->used_us < own->used_us) own = token;
  }
  const struct token *oldest = own_count >= IG_TOKENS_PER_USER_MAX      ? own
                               : tokens->by_hash.count >= IG_TOKENS_MAX ? any
                                                                        : NULL;
  if (oldest) memcpy(ret_hash, oldest->hash, HASH_BYTES);
  return oldest != NULL;
}

static igloo_status delete_row(ig_tx *tx, const unsigned char hash[HASH_BYTES],
                               struct igloo_error *reterr) {
  return ig_tx_run(tx, NULL, reterr, "DELETE FROM token WHERE hash = ?1", "b",
                   hash_key(hash));
}

static void forget(ig_tokens *tokens, const unsigned char hash[HASH_BYTES]) {
  IG_LOCK_SCOPE(&tokens->mu);
  (void)ig_map_remove(&tokens->by_hash, hash_key(hash));
}

static igloo_status insert_row(ig_tx *tx, const struct token *token,
                               struct igloo_error *reterr) {
  return ig_tx_run(tx, NULL, reterr,
                   "INSERT INTO token (hash, user, created, used)"
                   " VALUES (?1, ?2, ?3, ?4)",
                   "biii", hash_key(token->hash), token->user_id, token->created_us,
                   token->used_us);
}

/* One transaction: the new one in, the oldest out where there are too many. */
static igloo_status store_token(ig_tokens *tokens, struct token *token,
                                struct igloo_error *reterr) {
  unsigned char oldest[HASH_BYTES];
  bool full = find_oldest(tokens, token->user_id, oldest);
  IG_AUTO(ig_tx) *tx = NULL;
  IG_TRY(ig_tx_begin(tokens->store, &tx, reterr));
  if (full) IG_TRY(delete_row(tx, oldest, reterr));
  IG_TRY(insert_row(tx, token, reterr));
  struct token *kept = ig_malloc(sizeof(*kept));
  if (!kept) return ig_fail_oom(reterr);
  *kept = *token;
  if (full) forget(tokens, oldest);
  {
    IG_LOCK_SCOPE(&tokens->mu);
    IG_TRY(ig_map_put(&tokens->by_hash, hash_key(token->hash), kept, reterr));
  }
  igloo_status status = ig_tx_commit(IG_TAKE(tx), NULL, reterr);
  if (status != IGLOO_OK) forget(tokens, token->hash);
  return status;
}

/* With the users' changes held. */
static igloo_status issue_locked(ig_tokens *tokens, int64_t user_id, struct token *token,
                                 struct igloo_error *reterr) {
  struct user user;
  if (!users_copy_id(tokens->users, user_id, &user))
    return ig_fail(reterr, IGLOO_UNAUTHENTICATED, "the user does not exist any more");
  token->user_id = user_id;
  token->password_version = user.password_version;
  token->created_us = token->used_us = token->saved_us = ig_wall_us();
  return store_token(tokens, token, reterr);
}

igloo_status ig_tokens_issue(ig_tokens *tokens, int64_t user_id,
                             char ret_token[IG_TOKEN_BYTES], struct igloo_error *reterr) {
  unsigned char secret[SECRET_BYTES];
  char text[IG_TOKEN_BYTES];
  struct token token = {0};
  randombytes_buf(secret, sizeof secret);
  (void)sodium_bin2base64(text, sizeof text, secret, sizeof secret,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  (void)read_token(ig_str_from_cstr(text), token.hash);
  users_lock_changes(tokens->users);
  igloo_status status = issue_locked(tokens, user_id, &token, reterr);
  users_unlock_changes(tokens->users);
  if (status == IGLOO_OK) memcpy(ret_token, text, sizeof text);
  sodium_memzero(secret, sizeof secret);
  sodium_memzero(text, sizeof text);
  return status;
}

/* ---- checking and ending ----------------------------------------------------------- */

/* The token's own part of the check; what the user became is asked after it. */
static bool use(ig_tokens *tokens, const unsigned char hash[HASH_BYTES],
                struct token *ret_token) {
  IG_LOCK_SCOPE(&tokens->mu);
  struct token *token = ig_map_get(&tokens->by_hash, hash_key(hash));
  int64_t now_us = ig_wall_us();
  if (!token || is_over(token, now_us)) return false;
  if (now_us > token->used_us) token->used_us = now_us;
  *ret_token = *token;
  return true;
}

igloo_status ig_tokens_check(ig_tokens *tokens, struct ig_str text,
                             struct ig_identity *ret_identity,
                             struct igloo_error *reterr) {
  unsigned char hash[HASH_BYTES];
  struct token token;
  struct user user;
  if (read_token(text, hash) && use(tokens, hash, &token) &&
      users_copy_id(tokens->users, token.user_id, &user) && stands(&token, &user)) {
    *ret_identity = user.pub.identity;
    return IGLOO_OK;
  }
  (void)ig_fail(reterr, IGLOO_UNAUTHENTICATED, "the token is not valid or has expired");
  ig_error_hint(reterr, "Log in with name and password to get a new one.");
  return IGLOO_UNAUTHENTICATED;
}

igloo_status ig_tokens_revoke(ig_tokens *tokens, struct ig_str text,
                              struct igloo_error *reterr) {
  unsigned char hash[HASH_BYTES];
  if (!read_token(text, hash)) return IGLOO_OK;
  IG_AUTO(ig_tx) *tx = NULL;
  IG_TRY(ig_tx_begin(tokens->store, &tx, reterr));
  IG_TRY(delete_row(tx, hash, reterr));
  IG_TRY(ig_tx_commit(IG_TAKE(tx), NULL, reterr));
  forget(tokens, hash);
  return IGLOO_OK;
}

/* ---- housekeeping ------------------------------------------------------------------ */

struct change {
  unsigned char hash[HASH_BYTES];
  int64_t used_us;
  bool ends;
};

/* Is there something to write about this one? */
static bool needs_saving(ig_tokens *tokens, const struct token *token, int64_t now_us,
                         struct change *ret_change) {
  struct user user;
  bool goes_on =
      users_copy_id(tokens->users, token->user_id, &user) && stands(token, &user);
  memcpy(ret_change->hash, token->hash, HASH_BYTES);
  ret_change->used_us = token->used_us;
  ret_change->ends = !goes_on || is_over(token, now_us);
  return ret_change->ends || token->used_us - token->saved_us > SAVE_AFTER_US;
}

/* Copy the tokens, so that no lock is held while the users are asked. */
static igloo_status copy_tokens(ig_tokens *tokens, struct token **ret_list,
                                size_t *ret_count, struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&tokens->mu);
  struct token *list = ig_calloc(tokens->by_hash.count + 1, sizeof(*list));
  if (!list) return ig_fail_oom(reterr);
  size_t at = 0, count = 0;
  void *value;
  while (ig_map_next(&tokens->by_hash, &at, NULL, &value))
    list[count++] = *(const struct token *)value;
  *ret_list = list;
  *ret_count = count;
  return IGLOO_OK;
}

static igloo_status write_change(ig_tx *tx, const struct change *change,
                                 struct igloo_error *reterr) {
  if (change->ends) return delete_row(tx, change->hash, reterr);
  return ig_tx_run(tx, NULL, reterr, "UPDATE token SET used = ?2 WHERE hash = ?1", "bi",
                   hash_key(change->hash), change->used_us);
}

static void apply_change(ig_tokens *tokens, const struct change *change) {
  IG_LOCK_SCOPE(&tokens->mu);
  struct token *token = ig_map_get(&tokens->by_hash, hash_key(change->hash));
  if (!token) return;
  if (change->ends)
    (void)ig_map_remove(&tokens->by_hash, hash_key(change->hash));
  else
    token->saved_us = change->used_us;
}

static igloo_status save_changes(ig_tokens *tokens, const struct change *changes,
                                 size_t count, struct igloo_error *reterr) {
  IG_AUTO(ig_tx) *tx = NULL;
  if (count == 0) return IGLOO_OK;
  IG_TRY(ig_tx_begin(tokens->store, &tx, reterr));
  for (size_t i = 0; i < count; i++) IG_TRY(write_change(tx, &changes[i], reterr));
  IG_TRY(ig_tx_commit(IG_TAKE(tx), NULL, reterr));
  for (size_t i = 0; i < count; i++) apply_change(tokens, &changes[i]);
  return IGLOO_OK;
}

igloo_status ig_tokens_save(ig_tokens *tokens, struct igloo_error *reterr) {
  struct token *list = NULL;
  size_t tokens_count = 0, count = 0;
  IG_TRY(copy_tokens(tokens, &list, &tokens_count, reterr));
  struct change *changes = ig_calloc(tokens_count + 1, sizeof(*changes));
  int64_t now_us = ig_wall_us();
  for (size_t i = 0; changes && i < tokens_count; i++)
    if (needs_saving(tokens, &list[i], now_us, &changes[count])) count++;
  igloo_status status =
      changes ? save_changes(tokens, changes, count, reterr) : ig_fail_oom(reterr);
  ig_free(changes);
  ig_free(list);
  return status;
}
