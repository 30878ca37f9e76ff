/*
 * sensitive.h -- what looks like a password where none may stand.
 *
 * Connection texts and options are shown in lists, logs and configurations; passwords
 * belong into secrets. Both questions answer yes too often rather than too rarely.
 *
 * Owns: nothing. Threads: no state. Blocks: never.
 */
#ifndef IG_BASE_SENSITIVE_H
#define IG_BASE_SENSITIVE_H

#include "base/str.h"

/* "password", "auth_token", "Client-Secret" ... */
bool ig_key_is_sensitive(struct ig_str key);

/* A user's password in `scheme://user:password@host`, in `?password=` or in the
 * `password=` of a list of key=value. */
bool ig_uri_has_password(struct ig_str uri);

#endif
