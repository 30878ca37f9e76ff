/* users.c -- see users.h. Two maps over the same users, and their rows. */
#include "auth/users.h"

#include <stdlib.h>

#include "auth/private.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/thread.h"

static const char *const migrations[] = {
    /* AUTOINCREMENT: a number is never used again. */
    "CREATE TABLE user ("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " name TEXT NOT NULL UNIQUE,"
    " password TEXT NOT NULL,"
    " password_version INTEGER NOT NULL,"
    " superuser INTEGER NOT NULL CHECK (superuser IN (0, 1)),"
    " created INTEGER NOT NULL);"
    "CREATE TABLE token ("
    " hash BLOB PRIMARY KEY,"
    " user INTEGER NOT NULL REFERENCES user (id) ON DELETE CASCADE,"
    " created INTEGER NOT NULL,"
    " used INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX token_user ON token (user);"};

struct ig_users {
  ig_store *store; /* borrowed */

  /* Held during a change, from before its transaction until the maps say the same. */
  pthread_mutex_t changes;
  pthread_mutex_t mu;    /* a leaf lock, taken under `changes` as well */
  struct ig_map by_name; /* guarded by mu; owns its struct user */
  struct ig_map by_id;   /* guarded by mu; borrows them */
};

static void free_user(void *memory) {
  struct user *user = memory;
  sodium_memzero(user->password, sizeof user->password);
  ig_free(user);
}

static struct ig_str id_key(const int64_t *user_id) {
  return ig_str_make((const char *)user_id, sizeof *user_id);
}

/* ---- the maps ---------------------------------------------------------------------- */

/* Takes the user, also on failure. */
static igloo_status put_user(ig_users *users, struct user *user,
                             struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&users->mu);
  int64_t id = user->pub.identity.user_id;
  struct ig_str name = ig_str_from_cstr(user->pub.identity.name);
  IG_TRY(ig_map_put(&users->by_name, name, user, reterr));
  igloo_status status = ig_map_put(&users->by_id, id_key(&id), user, reterr);
  if (status != IGLOO_OK) (void)ig_map_remove(&users->by_name, name);
  return status;
}

static void remove_user(ig_users *users, struct ig_str name) {
  IG_LOCK_SCOPE(&users->mu);
  const struct user *user = ig_map_get(&users->by_name, name);
  if (!user) return;
  int64_t id = user->pub.identity.user_id;
  (void)ig_map_remove(&users->by_id, id_key(&id));
  (void)ig_map_remove(&users->by_name, name);
}

static void replace_user(ig_users *users, const struct user *changed) {
  IG_LOCK_SCOPE(&users->mu);
  struct user *user =
      ig_map_get(&users->by_name, ig_str_from_cstr(changed->pub.identity.name));
  IG_ASSERT(user); /* changes exclude one another */
  *user = *changed;
}

bool users_copy(ig_users *users, struct ig_str name, struct user *ret_user) {
  IG_LOCK_SCOPE(&users->mu);
  const struct user *user = ig_map_get(&users->by_name, name);
  if (user) *ret_user = *user;
  return user != NULL;
}

bool users_copy_id(ig_users *users, int64_t user_id, struct user *ret_user) {
  IG_LOCK_SCOPE(&users->mu);
  const struct user *user = ig_map_get(&users->by_id, id_key(&user_id));
  if (user) *ret_user = *user;
  return user != NULL;
}

void users_lock_changes(ig_users *users) {
  ig_mutex_lock(&users->changes);
}

void users_unlock_changes(ig_users *users) {
  ig_mutex_unlock(&users->changes);
}

/* ---- opening ----------------------------------------------------------------------- */

static igloo_status fail_row(struct igloo_error *reterr) {
  return ig_fail(reterr, IGLOO_DATA_LOSS, "the stored list of users is damaged");
}

static bool copy_text(struct ig_str text, char *dst, size_t dst_bytes) {
  if (!text.data || text.len >= dst_bytes) return false;
  memcpy(dst, text.data, text.len);
  dst[text.len] = '\0';
  return true;
}

static igloo_status load_user(ig_users *users, ig_stmt *row, struct igloo_error *reterr) {
  struct user *user = ig_calloc(1, sizeof(*user));
  if (!user) return ig_fail_oom(reterr);
  struct ig_identity *identity = &user->pub.identity;
  identity->user_id = ig_stmt_i64(row, 0);
  identity->superuser = ig_stmt_i64(row, 4) != 0;
  user->password_version = ig_stmt_i64(row, 3);
  user->pub.created_us = ig_stmt_i64(row, 5);
  if (!copy_text(ig_stmt_str(row, 1), identity->name, sizeof identity->name) ||
      !copy_text(ig_stmt_str(row, 2), user->password, sizeof user->password)) {
    free_user(user);
    return fail_row(reterr);
  }
  return put_user(users, user, reterr);
}

static igloo_status load_users(ig_users *users, struct igloo_error *reterr) {
  IG_AUTO(ig_tx) *tx = NULL;
  IG_TRY(ig_tx_begin(users->store, &tx, reterr));
  IG_AUTO(ig_stmt) *row = NULL;
  IG_TRY(ig_tx_prepare(tx, &row, reterr,
                       "SELECT id, name, password, password_version, superuser, created"
                       " FROM user",
                       ""));
  for (bool found = true;;) {
    IG_TRY(ig_stmt_step(row, &found, reterr));
    if (!found) return IGLOO_OK;
    IG_TRY(load_user(users, row, reterr));
  }
}

igloo_status ig_users_open(ig_store *store, ig_users **ret_users,
                           struct igloo_error *reterr) {
  if (sodium_init() < 0)
    return ig_fail(reterr, IGLOO_INTERNAL, "could not start libsodium");
  IG_AUTO(ig_users) *users = ig_calloc(1, sizeof(*users));
  if (!users) return ig_fail_oom(reterr);
  users->store = store;
  ig_mutex_init(&users->changes);
  ig_mutex_init(&users->mu);
  ig_map_init(&users->by_name, IG_USERS_MAX, free_user);
  ig_map_init(&users->by_id, IG_USERS_MAX, NULL);
  IG_TRY(ig_store_migrate(store, "auth", migrations, IG_ARRAY_LEN(migrations), reterr));
  IG_TRY(load_users(users, reterr));
  *ret_users = IG_TAKE(users);
  return IGLOO_OK;
}

ig_users *ig_users_free(ig_users *users) {
  if (!users) return NULL;
  ig_map_done(&users->by_id);
  ig_map_done(&users->by_name);
  ig_mutex_done(&users->mu);
  ig_mutex_done(&users->changes);
  ig_free(users);
  return NULL;
}

/* ---- what may stand where ---------------------------------------------------------- */

static igloo_status check_name(struct ig_str name, struct igloo_error *reterr) {
  if (name.len < 1 || name.len > IG_IDENTIFIER_BYTES_MAX || !ig_utf8_valid(name, NULL))
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "42602",
                         "invalid name for a user: it has 1 to %d bytes of UTF-8",
                         IG_IDENTIFIER_BYTES_MAX);
  for (size_t i = 0; i < name.len; i++) {
    unsigned char c = (unsigned char)name.data[i];
    if (c >= ' ' && c != 0x7f && c != ':') continue;
    (void)ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "42602",
                        "invalid name for a user: it has a %s in it",
                        c == ':' ? "colon" : "control character");
    if (c == ':')
      ig_error_hint(reterr, "Clients send name and password with a colon between them.");
    return IGLOO_INVALID_ARGUMENT;
  }
  return IGLOO_OK;
}

static igloo_status check_password(struct ig_str password, struct igloo_error *reterr) {
  if (!password.data || password.len == 0)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT, "the password must not be empty");
  if (password.len > IG_PASSWORD_BYTES_MAX)
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "the password must not be longer than %d bytes",
                   IG_PASSWORD_BYTES_MAX);
  if (!ig_utf8_valid(password, NULL) || memchr(password.data, 0, password.len))
    return ig_fail(reterr, IGLOO_INVALID_ARGUMENT,
                   "the password must be UTF-8 without NUL");
  return IGLOO_OK;
}

static igloo_status hash_password(struct ig_str password, char *ret_text,
                                  struct igloo_error *reterr) {
  IG_TRY(check_password(password, reterr));
  if (crypto_pwhash_str(ret_text, password.data, password.len,
                        crypto_pwhash_OPSLIMIT_INTERACTIVE,
                        crypto_pwhash_MEMLIMIT_INTERACTIVE) != 0)
    return ig_fail_oom(reterr);
  return IGLOO_OK;
}

static igloo_status fail_unknown(struct ig_str name, struct igloo_error *reterr) {
  return ig_fail(reterr, IGLOO_NOT_FOUND, "user \"%.*s\" does not exist",
                 IG_STR_ARG(ig_str_sub(name, 0, ig_utf8_cut(name, 255))));
}

/* ---- CREATE USER ------------------------------------------------------------------- */

/* Insert the row and put the user into the maps; the commit is the caller's. */
static igloo_status insert_user(ig_users *users, ig_tx *tx, struct user *made,
                                struct igloo_error *reterr) {
  struct ig_identity *identity = &made->pub.identity;
  IG_TRY(ig_tx_run(tx, NULL, reterr,
                   "INSERT INTO user (name, password, password_version, superuser,"
                   " created) VALUES (?1, ?2, ?3, ?4, ?5)",
                   "ssiii", identity->name, made->password, made->password_version,
                   (int64_t)identity->superuser, made->pub.created_us));
  identity->user_id = ig_tx_last_id(tx);
  struct user *user = ig_calloc(1, sizeof(*user));
  if (!user) return ig_fail_oom(reterr);
  *user = *made;
  return put_user(users, user, reterr);
}

/* With `changes` held. */
static igloo_status create_locked(ig_users *users, struct user *made,
                                  struct igloo_error *reterr) {
  struct ig_str name = ig_str_from_cstr(made->pub.identity.name);
  struct ig_identity other;
  if (ig_users_find(users, name, &other))
    return ig_fail_state(reterr, IGLOO_ALREADY_EXISTS, "42710",
                         "user \"%s\" already exists", made->pub.identity.name);
  if (users->by_name.count >= IG_USERS_MAX)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "53400",
                         "cannot have more than %d users", IG_USERS_MAX);
  IG_AUTO(ig_tx) *tx = NULL;
  IG_TRY(ig_tx_begin(users->store, &tx, reterr));
  IG_TRY(insert_user(users, tx, made, reterr));
  igloo_status status = ig_tx_commit(IG_TAKE(tx), NULL, reterr);
  if (status != IGLOO_OK) remove_user(users, name);
  return status;
}

igloo_status ig_users_create(ig_users *users, struct ig_str name,
                             const struct ig_user_change *change,
                             struct igloo_error *reterr) {
  struct user made = {.password_version = 1, .pub.created_us = ig_wall_us()};
  IG_TRY(check_name(name, reterr));
  IG_TRY(hash_password(change->password, made.password, reterr));
  memcpy(made.pub.identity.name, name.data, name.len);
  IG_LOCK_SCOPE(&users->changes);
  made.pub.identity.superuser =
      change->superuser == IG_SUPERUSER_YES ||
      (change->superuser == IG_SUPERUSER_NOT_SAID && ig_users_is_empty(users));
  igloo_status status = create_locked(users, &made, reterr);
  sodium_memzero(made.password, sizeof made.password);
  return status;
}

/* ---- ALTER USER, DROP USER --------------------------------------------------------- */

static igloo_status update_user(ig_tx *tx, const struct user *user, bool new_password,
                                struct igloo_error *reterr) {
  IG_TRY(ig_tx_run(tx, NULL, reterr,
                   "UPDATE user SET password = ?2, password_version = ?3, superuser = ?4"
                   " WHERE id = ?1",
                   "isii", user->pub.identity.user_id, user->password,
                   user->password_version, (int64_t)user->pub.identity.superuser));
  if (!new_password) return IGLOO_OK;
  struct ig_str kept = {(const char *)user->kept.bytes, sizeof user->kept.bytes};
  return ig_tx_run(tx, NULL, reterr, "DELETE FROM token WHERE user = ?1 AND hash <> ?2",
                   "ib", user->pub.identity.user_id, kept);
}

/* With `changes` held; `password` is a new Argon2id text or NULL. */
static igloo_status alter_locked(ig_users *users, struct ig_str name,
                                 const char *password,
                                 const struct ig_user_change *change,
                                 struct igloo_error *reterr) {
  struct user user;
  if (!users_copy(users, name, &user)) return fail_unknown(name, reterr);
  if (password) {
    memcpy(user.password, password, sizeof user.password);
    user.password_version++;
    user.kept = change->keeps ? *change->keeps : (struct ig_token_id){{0}};
  }
  if (change->superuser != IG_SUPERUSER_NOT_SAID)
    user.pub.identity.superuser = change->superuser == IG_SUPERUSER_YES;
  IG_AUTO(ig_tx) *tx = NULL;
  IG_TRY(ig_tx_begin(users->store, &tx, reterr));
  IG_TRY(update_user(tx, &user, password != NULL, reterr));
  IG_TRY(ig_tx_commit(IG_TAKE(tx), NULL, reterr));
  replace_user(users, &user);
  return IGLOO_OK;
}

igloo_status ig_users_alter(ig_users *users, struct ig_str name,
                            const struct ig_user_change *change,
                            struct igloo_error *reterr) {
  char password[crypto_pwhash_STRBYTES];
  struct ig_identity identity;
  if (!ig_users_find(users, name, &identity)) return fail_unknown(name, reterr);
  if (change->password.data) IG_TRY(hash_password(change->password, password, reterr));
  IG_LOCK_SCOPE(&users->changes);
  igloo_status status =
      alter_locked(users, name, change->password.data ? password : NULL, change, reterr);
  sodium_memzero(password, sizeof password);
  return status;
}

igloo_status ig_users_drop(ig_users *users, struct ig_str name, int64_t *ret_user_id,
                           struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&users->changes);
  struct ig_identity identity;
  if (!ig_users_find(users, name, &identity)) return fail_unknown(name, reterr);
  IG_AUTO(ig_tx) *tx = NULL;
  IG_TRY(ig_tx_begin(users->store, &tx, reterr));
  /* Its tokens go with it: ON DELETE CASCADE. */
  IG_TRY(ig_tx_run(tx, NULL, reterr, "DELETE FROM user WHERE id = ?1", "i",
                   identity.user_id));
  IG_TRY(ig_tx_commit(IG_TAKE(tx), NULL, reterr));
  remove_user(users, name);
  if (ret_user_id) *ret_user_id = identity.user_id;
  return IGLOO_OK;
}

/* ---- look-ups ---------------------------------------------------------------------- */

bool ig_users_find(ig_users *users, struct ig_str name,
                   struct ig_identity *ret_identity) {
  IG_LOCK_SCOPE(&users->mu);
  const struct user *user = ig_map_get(&users->by_name, name);
  if (user) *ret_identity = user->pub.identity;
  return user != NULL;
}

bool ig_users_get(ig_users *users, int64_t user_id, struct ig_identity *ret_identity) {
  IG_LOCK_SCOPE(&users->mu);
  const struct user *user = ig_map_get(&users->by_id, id_key(&user_id));
  if (user) *ret_identity = user->pub.identity;
  return user != NULL;
}

bool ig_users_is_empty(ig_users *users) {
  IG_LOCK_SCOPE(&users->mu);
  return users->by_name.count == 0;
}

static int compare_users(const void *a, const void *b) {
  const struct ig_user *left = a, *right = b;
  return strcmp(left->identity.name, right->identity.name);
}

igloo_status ig_users_list(ig_users *users, struct ig_user **ret_list, size_t *ret_count,
                           struct igloo_error *reterr) {
  IG_LOCK_SCOPE(&users->mu);
  struct ig_user *list = ig_calloc(users->by_name.count + 1, sizeof(*list));
  if (!list) return ig_fail_oom(reterr);
  size_t at = 0, count = 0;
  void *user;
  while (ig_map_next(&users->by_name, &at, NULL, &user))
    list[count++] = ((const struct user *)user)->pub;
  qsort(list, count, sizeof *list, compare_users);
  *ret_list = list;
  *ret_count = count;
  return IGLOO_OK;
}
