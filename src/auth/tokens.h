/*
 * tokens.h -- what a client shows instead of its password.
 *
 * A token is 256 random bits as text; only its hash is kept, in memory and in the
 * database, so it outlives a restart and a stolen database opens nothing. It ends when
 * its user is dropped or gets another password, when it was not used for IG_TOKEN_IDLE_US
 * or is older than IG_TOKEN_AGE_US.
 *
 * Owns:    the hashes in memory; users and database are borrowed.
 * Threads: thread-safe.
 * Blocks:  issuing, revoking and ig_tokens_save in the disk; ig_tokens_check never.
 */
#ifndef IG_AUTH_TOKENS_H
#define IG_AUTH_TOKENS_H

#include "auth/users.h"

/* Characters of a token and the NUL: base64url without padding of 32 bytes, so it may
 * stand in a header and in a cookie. */
#define IG_TOKEN_BYTES 44

typedef struct ig_tokens ig_tokens;

/* Read the tokens of `store`, made by ig_users_open before (both borrowed). Gives
 * *ret_tokens (free: ig_tokens_free). */
IG_NODISCARD igloo_status ig_tokens_open(ig_store *store, ig_users *users,
                                         ig_tokens **ret_tokens,
                                         struct igloo_error *reterr);
ig_tokens *ig_tokens_free(ig_tokens *tokens); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_tokens, ig_tokens_free)

/* The id of a token, or of any other text. */
void ig_token_id(struct ig_str token, struct ig_token_id *ret_id);

/* Make a token for a user. The one of the user's that was unused for longest ends where
 * there are IG_TOKENS_PER_USER_MAX. Returns UNAUTHENTICATED 28000 if the user is gone;
 * errors of the store. */
IG_NODISCARD igloo_status ig_tokens_issue(ig_tokens *tokens, int64_t user_id,
                                          char ret_token[IG_TOKEN_BYTES],
                                          struct igloo_error *reterr);

/* Whose token is it? Counts as a use. Returns UNAUTHENTICATED 28000 for one that is
 * unknown, ended, or no token at all: the three look the same. */
IG_NODISCARD igloo_status ig_tokens_check(ig_tokens *tokens, struct ig_str token,
                                          struct ig_identity *ret_identity,
                                          struct igloo_error *reterr);

/* End a token; unknown ones are no error. */
IG_NODISCARD igloo_status ig_tokens_revoke(ig_tokens *tokens, struct ig_str token,
                                           struct igloo_error *reterr);

/* Write down uses and forget what ended: ig_logins does it once a minute, and its end. */
IG_NODISCARD igloo_status ig_tokens_save(ig_tokens *tokens, struct igloo_error *reterr);

#endif
