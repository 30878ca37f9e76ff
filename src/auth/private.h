/*
 * private.h -- what the files of auth/ share; nobody else includes it.
 *
 * Owns: nothing. Threads: as users.h. Blocks: never.
 */
#ifndef IG_AUTH_PRIVATE_H
#define IG_AUTH_PRIVATE_H

#include <sodium.h>

#include "auth/users.h"

/* One user with what proves the password. */
struct user {
  struct ig_user pub;
  char password[crypto_pwhash_STRBYTES]; /* Argon2id text with salt and costs */
  int64_t password_version;              /* a new one with every new password */
  struct ig_token_id kept;               /* goes on though its password is gone */
};

/* A copy of a user; false if there is none. */
bool users_copy(ig_users *users, struct ig_str name, struct user *ret_user);
bool users_copy_id(ig_users *users, int64_t user_id, struct user *ret_user);

/* Hold all changes of users until users_unlock_changes(): what is written about a user
 * then cannot miss that it was dropped. Taken before a transaction begins. */
void users_lock_changes(ig_users *users);
void users_unlock_changes(ig_users *users);

#endif
