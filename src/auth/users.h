/*
 * users.h -- who may use this Igloo, and what right they have.
 *
 * Users live in the catalog's database. All of them are in memory as well, so that a
 * look-up never waits for the disk. A password is kept only as its Argon2id text; whoever
 * holds a token or a session keeps a user's number and asks here again, so that a dropped
 * user is gone at once.
 *
 * Owns:    the users in memory; the database is borrowed.
 * Threads: thread-safe. Changes exclude one another.
 * Blocks:  changes, in Argon2id (some 0.1 s) and in the disk; look-ups never.
 */
#ifndef IG_AUTH_USERS_H
#define IG_AUTH_USERS_H

#include "base/limits.h"
#include "store/store.h"

/* An identity. It is a copy: the right may have changed since, see ig_users_get. */
struct ig_identity {
  int64_t user_id; /* never used again; 0: nobody of the list (no authentication) */
  bool superuser;
  char name[IG_IDENTIFIER_BYTES_MAX + 1];
};

/* What names a token without being one: its hash. */
struct ig_token_id {
  uint8_t bytes[32];
};

typedef struct ig_users ig_users;

/* Read the users from `store` (borrowed for as long as the list lives), after making the
 * tables that are missing. Gives *ret_users (free: ig_users_free). Errors of the store;
 * INTERNAL where libsodium cannot start. */
IG_NODISCARD igloo_status ig_users_open(ig_store *store, ig_users **ret_users,
                                        struct igloo_error *reterr);
ig_users *ig_users_free(ig_users *users); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_users, ig_users_free)

/* ---- changes ----------------------------------------------------------------------- */

/* What CREATE USER and ALTER USER say. */
struct ig_user_change {
  struct ig_str password; /* data NULL: not said */
  enum { IG_SUPERUSER_NOT_SAID, IG_SUPERUSER_YES, IG_SUPERUSER_NO } superuser;
  /* With a new password: the one token that goes on, that of whoever changes their own;
   * borrowed. NULL: none. */
  const struct ig_token_id *keeps;
};

/* Add a user; the first of all is a superuser unless IG_SUPERUSER_NO is said.
 * Returns ALREADY_EXISTS 42710; INVALID_ARGUMENT 42602 for a name that is empty, longer
 * than IG_IDENTIFIER_BYTES_MAX, no UTF-8, or has a colon or a control character in it;
 * 22023 for a password that is missing, longer than IG_PASSWORD_BYTES_MAX, no UTF-8 or
 * has a NUL in it; RESOURCE_EXHAUSTED 53400 at IG_USERS_MAX; errors of the store. No
 * error tells the password. */
IG_NODISCARD igloo_status ig_users_create(ig_users *users, struct ig_str name,
                                          const struct ig_user_change *change,
                                          struct igloo_error *reterr);

/* Change a user. A new password ends the tokens that the old one gave. Returns as
 * ig_users_create, and NOT_FOUND 42704. */
IG_NODISCARD igloo_status ig_users_alter(ig_users *users, struct ig_str name,
                                         const struct ig_user_change *change,
                                         struct igloo_error *reterr);

/* Remove a user and all tokens. *ret_user_id (may be NULL) tells which it was. Returns
 * NOT_FOUND 42704. */
IG_NODISCARD igloo_status ig_users_drop(ig_users *users, struct ig_str name,
                                        int64_t *ret_user_id, struct igloo_error *reterr);

/* ---- look-ups ---------------------------------------------------------------------- */

/* The user as it is now; false if there is none (any more). */
bool ig_users_find(ig_users *users, struct ig_str name, struct ig_identity *ret_identity);
bool ig_users_get(ig_users *users, int64_t user_id, struct ig_identity *ret_identity);

/* True while nobody is in the list. */
bool ig_users_is_empty(ig_users *users);

struct ig_user {
  struct ig_identity identity;
  int64_t created_us; /* wall time */
};
/* All users by name. Gives *ret_list (ig_free); OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_users_list(ig_users *users, struct ig_user **ret_list,
                                        size_t *ret_count, struct igloo_error *reterr);

#endif
