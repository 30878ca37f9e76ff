/*
 * identity.h -- how members prove to each other that they are members.
 *
 * All of them know the join token, which never leaves a process. A call between members
 * carries one header, a code (HMAC-SHA-512-256 under a key made from the token) over
 * caller, callee, path and a number that no other call has: it is good once, for one
 * method of one member, and needs no clock. Where the call came over TLS, its client must
 * also have shown a certificate that names the caller's role (IG_MEMBER_NAME_…, a URI
 * among its subjectAltNames; `igloo cert dev` makes such).
 *
 * Owns:    itself; the key in locked memory, wiped at the end.
 * Threads: all functions are thread-safe, except free.
 * Blocks:  never.
 */
#ifndef IG_CLUSTER_IDENTITY_H
#define IG_CLUSTER_IDENTITY_H

#include "cluster/members.h"
#include "rpc/channel.h"
#include "rpc/server.h"

#define IG_MEMBER_HEADER "igloo-member-bin"
#define IG_MEMBER_NAME_COORDINATOR "URI:igloo://cluster/coordinator"
#define IG_MEMBER_NAME_WORKER "URI:igloo://cluster/worker"

static inline const char *ig_member_name(enum ig_member_role role) {
  return role == IG_MEMBER_COORDINATOR ? IG_MEMBER_NAME_COORDINATOR
                                       : IG_MEMBER_NAME_WORKER;
}

/* Shorter tokens could be guessed by whoever listens to one join. */
#define IG_JOIN_TOKEN_BYTES_MIN 32

/* SQLSTATE of a call for a member that this process is no longer, or never was. */
#define IG_MEMBER_OTHER_STATE "08003"

typedef struct ig_cluster ig_cluster;
typedef struct ig_prover ig_prover;

/* ---- for calls between members ----------------------------------------------------- */

/* Who calls, proven. */
struct ig_caller {
  char id[IG_MEMBER_ID_BYTES];
  enum ig_member_role role;
};

/* The first thing that every method of a member does, on the I/O thread. Returns
 * IGLOO_OK; UNAUTHENTICATED 28000 where the call shows nothing, something else, something
 * used, or comes over TLS without a member's certificate; UNAVAILABLE 08003 where it is
 * meant for a member that this process is no longer. */
IG_NODISCARD igloo_status ig_cluster_authorize(ig_cluster *cluster, ig_rpc_call *call,
                                               struct ig_caller *ret_caller,
                                               struct igloo_error *reterr);

/* What a call over TLS must have shown to be of this role; of other calls nothing is
 * asked. Returns UNAUTHENTICATED 28000. */
IG_NODISCARD igloo_status ig_cluster_check_certificate(const ig_rpc_call *call,
                                                       enum ig_member_role role,
                                                       struct igloo_error *reterr);

/* The header for one call of `path` to `callee`, in `bytes` of the struct itself. */
#define IG_MEMBER_PROOF_BYTES_MAX 256
struct ig_cluster_credentials {
  struct ig_rpc_header header; /* for ig_rpc_call_options.metadata */
  uint8_t bytes[IG_MEMBER_PROOF_BYTES_MAX];
};
void ig_cluster_credentials(ig_cluster *cluster, const char *callee, const char *path,
                            struct ig_cluster_credentials *ret_credentials);

/* ---- the same without a cluster around it ------------------------------------------ */

/* `token` is copied into locked memory. Returns INVALID_ARGUMENT 22023 for one of fewer
 * than IG_JOIN_TOKEN_BYTES_MIN bytes; OUT_OF_MEMORY; INTERNAL where libsodium cannot
 * start. Gives *ret_prover (free: ig_prover_free). */
IG_NODISCARD igloo_status ig_prover_new(struct ig_str token, ig_prover **ret_prover,
                                        struct igloo_error *reterr);
ig_prover *ig_prover_free(ig_prover *prover); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_prover, ig_prover_free)

/* Write the proof of one call; returns its bytes. The number is the prover's next. */
size_t ig_prover_prove(ig_prover *prover, const char *caller, enum ig_member_role role,
                       const char *callee, const char *path,
                       uint8_t ret_proof[IG_MEMBER_PROOF_BYTES_MAX]);

/* Look at one that came for `self` and `path`. Returns as ig_cluster_authorize; where the
 * caller is gone (ig_prover_forget) UNAVAILABLE 08003, with *ret_caller set. */
IG_NODISCARD igloo_status ig_prover_check(ig_prover *prover, struct ig_str proof,
                                          const char *self, struct ig_str path,
                                          struct ig_caller *ret_caller,
                                          struct igloo_error *reterr);

/* A caller is gone, and its id with it: none of its calls is good any more. */
void ig_prover_forget(ig_prover *prover, const char *caller);

/* This process takes another id: no call for the old one is good any more, and callers
 * that were gone for it may call the new one. */
void ig_prover_reset(ig_prover *prover);

/* ---- joining ----------------------------------------------------------------------- */

#define IG_JOIN_NONCE_BYTES 32
#define IG_JOIN_CHALLENGE_BYTES 72
#define IG_JOIN_CODE_BYTES 32

/* A challenge for whoever drew `nonce`, good for IG_JOIN_CHALLENGE_US and once: nothing
 * is remembered of strangers. `code` proves to them that this side knows the token. */
void ig_prover_challenge(ig_prover *prover, const uint8_t nonce[IG_JOIN_NONCE_BYTES],
                         int64_t now_us, uint8_t ret_challenge[IG_JOIN_CHALLENGE_BYTES],
                         uint8_t ret_code[IG_JOIN_CODE_BYTES]);

/* The worker's look at it. */
bool ig_prover_challenge_is_good(const ig_prover *prover,
                                 const uint8_t nonce[IG_JOIN_NONCE_BYTES],
                                 const uint8_t challenge[IG_JOIN_CHALLENGE_BYTES],
                                 const uint8_t code[IG_JOIN_CODE_BYTES]);

/* The worker's answer, over what it says of itself. */
void ig_prover_answer(const ig_prover *prover, const uint8_t nonce[IG_JOIN_NONCE_BYTES],
                      const uint8_t challenge[IG_JOIN_CHALLENGE_BYTES],
                      struct ig_str description, uint8_t ret_code[IG_JOIN_CODE_BYTES]);

/* The coordinator's look at it. `peer` is whose wrong answers are counted: after a few it
 * has to wait, longer each time. Returns UNAUTHENTICATED 28000 for a code of another
 * token; DEADLINE_EXCEEDED for a challenge that is old, used, or another's;
 * RESOURCE_EXHAUSTED 53300 for a peer that has to wait. */
IG_NODISCARD igloo_status ig_prover_admit(
    ig_prover *prover, struct ig_str peer, const uint8_t nonce[IG_JOIN_NONCE_BYTES],
    const uint8_t challenge[IG_JOIN_CHALLENGE_BYTES], struct ig_str description,
    const uint8_t code[IG_JOIN_CODE_BYTES], int64_t now_us, struct igloo_error *reterr);

#endif
