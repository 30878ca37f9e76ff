/*
 * attached.h -- from what ATTACH and the configuration said to sources that are asked.
 *
 * The catalog keeps attachments, the configuration names more, and secrets.h holds their
 * passwords. Here they come together: each is taken up in ig_sources with its secret
 * opened, at the start and after each change. One that cannot be (its driver is missing,
 * its key is lost) stops nothing; why is remembered and told. Nothing is connected to.
 *
 * Owns:    itself; what it works with is borrowed for as long as it lives.
 * Threads: all functions are thread-safe.
 * Blocks:  in the disk; ig_attached_check() in the network.
 */
#ifndef IG_SESSION_ATTACHED_H
#define IG_SESSION_ATTACHED_H

#include "auth/secrets.h"
#include "catalog/catalog.h"
#include "config/config.h"
#include "connector/source.h"
#include "files/roots.h"

typedef struct ig_attached ig_attached;

struct ig_attached_parts {
  ig_catalog *catalog;
  ig_secrets *secrets;
  ig_sources *sources;
  struct ig_sources_settings settings; /* what `sources` was made with */
  const struct ig_roots *roots;
  const struct ig_config *config;
};

/* Take up everything. Gives *ret_attached (free: ig_attached_free). Returns
 * INVALID_ARGUMENT or UNSUPPORTED for a catalog of the configuration that says something
 * wrong; errors of the store. */
IG_NODISCARD igloo_status ig_attached_new(const struct ig_attached_parts *parts,
                                          ig_attached **ret_attached,
                                          struct igloo_error *reterr);
ig_attached *ig_attached_free(ig_attached *attached); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_attached, ig_attached_free)

ig_sources *ig_attached_sources(const ig_attached *attached); /* borrowed */
ig_secrets *ig_attached_secrets(const ig_attached *attached); /* borrowed */

/* ---- the list ---------------------------------------------------------------------- */

/* True if a source is attached under this name, available or not. */
bool ig_attached_has(const ig_attached *attached, const ig_snapshot *snapshot,
                     struct ig_str name);

/* A catalog that the configuration file names, or NULL. Borrowed. */
const struct ig_attachment *ig_attached_configured(const ig_attached *attached,
                                                   struct ig_str name);
const struct ig_attachment *ig_attached_configured_at(const ig_attached *attached,
                                                      size_t index); /* NULL: past all */

/* How many are attached and unreachable, and what all of them did together. */
struct ig_attached_numbers {
  uint64_t sources, broken;
  struct ig_source_stats stats;
};
void ig_attached_count(ig_attached *attached, struct ig_attached_numbers *ret_numbers);

/* Why a catalog could not be taken up: true and *ret_error where that is so. */
bool ig_attached_failure(ig_attached *attached, const char *name,
                         struct igloo_error *ret_error);

/* ---- changes ----------------------------------------------------------------------- */

/* One ATTACH, DETACH or change of a secret at a time, from before its transaction until
 * the sources say the same as the catalog. Taken before ig_catalog_begin(). */
void ig_attached_lock(ig_attached *attached);
void ig_attached_unlock(ig_attached *attached);

/* Check what the statement says before anything is kept: the type, its URI, options that
 * belong into a secret, the file of a database in a file. *ret_type (static) and
 * *ret_uri (free: ig_free) are what to keep. Returns UNSUPPORTED 0A000 for a type that is
 * not built, INVALID_ARGUMENT 22023, PERMISSION_DENIED 42501 outside files.roots,
 * NOT_FOUND 58P01. */
IG_NODISCARD igloo_status ig_attached_validate(const ig_attached *attached,
                                               const struct ig_attachment *attachment,
                                               const char **ret_type, char **ret_uri,
                                               struct igloo_error *reterr);

/* The same of a type alone (in lower case). */
IG_NODISCARD igloo_status ig_attached_check_type(const char *type,
                                                 struct igloo_error *reterr);

/* Connect once, with nothing kept. Returns as ig_source_check and ig_sources_attach. */
IG_NODISCARD igloo_status ig_attached_check(ig_attached *attached,
                                            const struct ig_attachment *attachment,
                                            ig_cancel *cancel,
                                            struct igloo_error *reterr);

/* Make the source what the attachment says, in place of an older one. A failure is
 * remembered, and the older one is gone. */
IG_NODISCARD igloo_status ig_attached_take_up(ig_attached *attached,
                                              const struct ig_attachment *attachment,
                                              struct igloo_error *reterr);
void ig_attached_forget(ig_attached *attached, const char *name);

#endif
