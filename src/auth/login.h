/*
 * login.h -- checks passwords where it cannot hold up anything else.
 *
 * One check costs 64 MiB and some 0.1 s by intent, so it runs on two threads of its own,
 * with a bounded queue. Logins with the same name and password share one check; one that
 * was right is remembered, as a keyed hash, for a minute. A peer whose passwords were
 * wrong waits longer each time. An unknown name costs as much as a wrong password and
 * says the same.
 *
 * Owns:    its threads, started at the first login; users and tokens are borrowed.
 * Threads: thread-safe. Callbacks run on one of its threads.
 * Blocks:  only ig_logins_free (the checks that run, some 0.1 s) and ig_login_wait.
 */
#ifndef IG_AUTH_LOGIN_H
#define IG_AUTH_LOGIN_H

#include "auth/tokens.h"

typedef struct ig_logins ig_logins;

/* Gives *ret_logins (free: ig_logins_free). OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_logins_new(ig_users *users, ig_tokens *tokens,
                                        ig_logins **ret_logins,
                                        struct igloo_error *reterr);

/* Logins that wait end with UNAVAILABLE. Takes NULL; returns NULL. */
ig_logins *ig_logins_free(ig_logins *logins);
IG_DEFINE_AUTO(ig_logins, ig_logins_free)

struct ig_login {
  struct ig_str user;     /* copied */
  struct ig_str password; /* copied, and wiped after the check */
  struct ig_str
      peer; /* copied: an address without port ("::1", "[::1]"), or as in "unix:1000" */
  bool wants_token;
};

struct ig_login_result {
  igloo_status status; /* OK, or that of `error` */
  struct ig_identity identity;
  char token[IG_TOKEN_BYTES]; /* empty unless it was wanted */
  struct igloo_error error;
};

/* Start a login; `done` is called once, from another thread, and must not block.
 * Returns RESOURCE_EXHAUSTED 53300 (retryable) where IG_LOGINS_QUEUED_MAX different ones
 * wait, or while the peer has to wait; OUT_OF_MEMORY. After a failure `done` is not
 * called. */
IG_NODISCARD igloo_status ig_login_begin(ig_logins *logins, const struct ig_login *login,
                                         void (*done)(void *ctx,
                                                      const struct ig_login_result *),
                                         void *ctx, struct igloo_error *reterr);

/* The same for a thread that may block. `result->status` and what this returns are the
 * same: UNAUTHENTICATED 28P01 for a wrong name or password. */
IG_NODISCARD igloo_status ig_login_wait(ig_logins *logins, const struct ig_login *login,
                                        struct ig_login_result *ret_result,
                                        struct igloo_error *reterr);

/* True if exactly this name and password were right within the last
 * IG_PASSWORD_REMEMBERED_US and still are: what a client that sends its password with
 * every call needs. Never blocks and is no try: false says nothing. */
bool ig_login_recall(ig_logins *logins, struct ig_str user, struct ig_str password,
                     struct ig_identity *ret_identity);

#endif
