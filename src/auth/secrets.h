/*
 * secrets.h -- passwords and tokens for sources, sealed on the disk.
 *
 * A secret has a name, a type ("postgresql") and items (user, password, ...). It lies in
 * the catalog's database sealed by XChaCha20-Poly1305 with a key that lies elsewhere: in
 * a file that nobody else may read. The name and the type are sealed in, so that a secret
 * cannot be passed off as another. Opened, it lies in memory of libsodium's, which is
 * locked, left out of core dumps and wiped. Only the names of secrets and of their types
 * are ever listed.
 *
 * The key file holds 64 hexadecimal digits and is made, mode 0600, with the first secret
 * that is stored; where secrets are stored and it is missing, nothing is made.
 *
 * Owns:    ig_secrets nothing but its path; ig_secret its memory.
 * Threads: thread-safe; changes are made in a transaction of the caller's.
 * Blocks:  in the disk.
 */
#ifndef IG_AUTH_SECRETS_H
#define IG_AUTH_SECRETS_H

#include "base/limits.h"
#include "store/store.h"

typedef struct ig_secrets ig_secrets;

/* Make the tables that are missing in `store` (borrowed). `key_file` is copied; it is not
 * looked at before it is needed. Gives *ret_secrets (free: ig_secrets_free). Errors of
 * the store. */
IG_NODISCARD igloo_status ig_secrets_open(ig_store *store, const char *key_file,
                                          ig_secrets **ret_secrets,
                                          struct igloo_error *reterr);
ig_secrets *ig_secrets_free(ig_secrets *secrets); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_secrets, ig_secrets_free)

struct ig_secret_item {
  const char *key, *value;
};

/* ---- changes ----------------------------------------------------------------------- */

/* Seal and store. Items are read, not copied; keys are different and in lower case.
 * Returns ALREADY_EXISTS 42710 unless `replace`; INVALID_ARGUMENT 42602 for a name that
 * is empty, too long, no UTF-8 or has a control character, 22023 over
 * IG_SECRET_BYTES_MAX; RESOURCE_EXHAUSTED 53400 at IG_SECRETS_MAX; PERMISSION_DENIED
 * 42501 for a key file that others may read; FAILED_PRECONDITION 55000 where the key is
 * lost or damaged; errors of the system and the store. No error tells a value. */
IG_NODISCARD igloo_status ig_secrets_put(ig_secrets *secrets, ig_tx *tx,
                                         struct ig_str name, struct ig_str type,
                                         const struct ig_secret_item *items, size_t count,
                                         bool replace, struct igloo_error *reterr);

/* NOT_FOUND 42704. */
IG_NODISCARD igloo_status ig_secrets_drop(ig_secrets *secrets, ig_tx *tx,
                                          struct ig_str name, struct igloo_error *reterr);

/* ---- look-ups ---------------------------------------------------------------------- */

IG_NODISCARD igloo_status ig_secrets_has(ig_secrets *secrets, ig_tx *tx,
                                         struct ig_str name, bool *ret_has,
                                         struct igloo_error *reterr);

struct ig_secret_name {
  char *name, *type;  /* owned by the list */
  int64_t created_us; /* wall time */
};
/* All by name. Gives *ret_list to ig_secret_names_free. */
IG_NODISCARD igloo_status ig_secrets_list(ig_secrets *secrets, ig_tx *tx,
                                          struct ig_secret_name **ret_list,
                                          size_t *ret_count, struct igloo_error *reterr);
void ig_secret_names_free(struct ig_secret_name *list, size_t count);

/* ---- opening ----------------------------------------------------------------------- */

/* An opened secret: all of it, also the pointers, lies in locked memory. */
typedef struct ig_secret {
  const char *type;
  const struct ig_secret_item *items; /* in the order in which they were given */
  size_t count;
} ig_secret;

/* Open for connector/: gives *ret_secret (free, which wipes it: ig_secret_free). Returns
 * NOT_FOUND 42704; DATA_LOSS XX001 where what is stored was changed; as ig_secrets_put
 * about the key. */
IG_NODISCARD igloo_status ig_secrets_get(ig_secrets *secrets, ig_tx *tx,
                                         struct ig_str name, ig_secret **ret_secret,
                                         struct igloo_error *reterr);
ig_secret *ig_secret_free(ig_secret *secret); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_secret, ig_secret_free)

#endif
