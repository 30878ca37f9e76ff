/*
 * key_file.h -- the key that seals secrets, in a file of its own, and locked memory.
 *
 * The file is text: 64 hexadecimal digits and perhaps a newline. It must be a regular
 * file of this user's (or root's) that nobody else may read or write.
 *
 * Owns:    ig_key and ig_locked their memory: libsodium's, locked where the system allows
 *          it, outside core dumps, wiped when freed.
 * Threads: no shared state.
 * Blocks:  in the disk.
 */
#ifndef IG_AUTH_KEY_FILE_H
#define IG_AUTH_KEY_FILE_H

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

#define IG_KEY_BYTES 32

typedef struct ig_key {
  uint8_t bytes[IG_KEY_BYTES];
  uint8_t id[16]; /* tells keys apart and nothing about them */
} ig_key;

ig_key *ig_key_free(ig_key *key); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_key, ig_key_free)

/* Read the key of `path`; where the file is missing and `may_make`, draw one and write it
 * first. Gives *ret_key. Returns PERMISSION_DENIED 42501 for a file that others may read,
 * or that is another's; INVALID_ARGUMENT 42809 for what is no regular file;
 * FAILED_PRECONDITION 55000 where it is missing and not to be made, or holds no key. */
IG_NODISCARD igloo_status ig_key_load(const char *path, bool may_make, ig_key **ret_key,
                                      struct igloo_error *reterr);

/* The secret `name` was sealed with another key. Returns FAILED_PRECONDITION 55000. */
igloo_status ig_key_fail_other(const char *name, struct igloo_error *reterr);

/* Zeroed bytes; NULL means out of memory. */
typedef struct ig_locked ig_locked;
ig_locked *ig_locked_new(size_t bytes);
ig_locked *ig_locked_free(ig_locked *locked); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_locked, ig_locked_free)

#endif
