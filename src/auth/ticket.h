/*
 * ticket.h -- handles that nobody can make up, each bound to one user.
 *
 * A sealed ticket is 16 random bytes, which name something its maker keeps, and a message
 * authentication code over them, their kind and the user. The key is drawn at start: what
 * tickets name does not outlive the process either.
 *
 * Owns:    struct ig_ticket_key, its bytes. Threads: thread-safe once the key is made.
 * Blocks:  never.
 */
#ifndef IG_AUTH_TICKET_H
#define IG_AUTH_TICKET_H

#include "base/error.h"
#include "base/str.h"

#define IG_TICKET_ID_BYTES 16
#define IG_TICKET_BYTES 48

struct ig_ticket_key {
  uint8_t bytes[32];
};
struct ig_ticket_id {
  uint8_t bytes[IG_TICKET_ID_BYTES];
};

/* Draw a key. INTERNAL where libsodium cannot start. */
IG_NODISCARD igloo_status ig_ticket_key_init(struct ig_ticket_key *key,
                                             struct igloo_error *reterr);
void ig_ticket_key_done(struct ig_ticket_key *key); /* wipes it */

/* Draw an id and seal it. `kind` tells sorts of handles apart (a ticket is no prepared
 * statement). */
void ig_ticket_new(const struct ig_ticket_key *key, uint32_t kind, int64_t user_id,
                   struct ig_ticket_id *ret_id, uint8_t ret_ticket[IG_TICKET_BYTES]);

/* Seal an id again. */
void ig_ticket_seal(const struct ig_ticket_key *key, uint32_t kind, int64_t user_id,
                    const struct ig_ticket_id *id, uint8_t ret_ticket[IG_TICKET_BYTES]);

/* The id of a ticket; false if it was not made with this key, kind and user. In constant
 * time. */
bool ig_ticket_open(const struct ig_ticket_key *key, uint32_t kind, int64_t user_id,
                    struct ig_str ticket, struct ig_ticket_id *ret_id);

#endif
