/* ticket.c -- see ticket.h. Keyed BLAKE2b of libsodium, which every call of a prepared
 * statement pays: HMAC takes ten times as long. */
#include "auth/ticket.h"

#include <sodium.h>

#include "base/mem.h"

#define CODE_BYTES crypto_generichash_BYTES

_Static_assert(IG_TICKET_BYTES == IG_TICKET_ID_BYTES + CODE_BYTES, "id and code");
_Static_assert(sizeof(struct ig_ticket_key) == crypto_generichash_KEYBYTES, "its key");

igloo_status ig_ticket_key_init(struct ig_ticket_key *key, struct igloo_error *reterr) {
  if (sodium_init() < 0)
    return ig_fail(reterr, IGLOO_INTERNAL, "could not start libsodium");
  crypto_generichash_keygen(key->bytes);
  return IGLOO_OK;
}

void ig_ticket_key_done(struct ig_ticket_key *key) {
  sodium_memzero(key, sizeof *key);
}

/* What the code is over, of a fixed length in every part. */
struct sealed {
  struct ig_ticket_id id;
  uint8_t kind[4];
  uint8_t user_id[8];
};

static struct sealed sealed_of(const struct ig_ticket_id *id, uint32_t kind,
                               int64_t user_id) {
  struct sealed sealed = {.id = *id};
  memcpy(sealed.kind, &kind, sizeof kind);
  memcpy(sealed.user_id, &user_id, sizeof user_id);
  return sealed;
}

static void make_code(const struct ig_ticket_key *key, const struct sealed *sealed,
                      uint8_t ret_code[CODE_BYTES]) {
  /* It fails on sizes that it does not know only. */
  IG_ASSERT(crypto_generichash(ret_code, CODE_BYTES, (const unsigned char *)sealed,
                               sizeof *sealed, key->bytes, sizeof key->bytes) == 0);
}

void ig_ticket_seal(const struct ig_ticket_key *key, uint32_t kind, int64_t user_id,
                    const struct ig_ticket_id *id, uint8_t ret_ticket[IG_TICKET_BYTES]) {
  struct sealed sealed = sealed_of(id, kind, user_id);
  memcpy(ret_ticket, id->bytes, IG_TICKET_ID_BYTES);
  make_code(key, &sealed, ret_ticket + IG_TICKET_ID_BYTES);
}

void ig_ticket_new(const struct ig_ticket_key *key, uint32_t kind, int64_t user_id,
                   struct ig_ticket_id *ret_id, uint8_t ret_ticket[IG_TICKET_BYTES]) {
  randombytes_buf(ret_id->bytes, sizeof ret_id->bytes);
  ig_ticket_seal(key, kind, user_id, ret_id, ret_ticket);
}

bool ig_ticket_open(const struct ig_ticket_key *key, uint32_t kind, int64_t user_id,
                    struct ig_str ticket, struct ig_ticket_id *ret_id) {
  if (ticket.len != IG_TICKET_BYTES) return false;
  struct ig_ticket_id id;
  memcpy(id.bytes, ticket.data, sizeof id.bytes);
  struct sealed sealed = sealed_of(&id, kind, user_id);
  uint8_t code[CODE_BYTES];
  make_code(key, &sealed, code);
  if (sodium_memcmp(code, ticket.data + IG_TICKET_ID_BYTES, sizeof code) != 0)
    return false;
  *ret_id = id;
  return true;
}
