/*
 * kept.h -- rows kept in memory, to be read any number of times.
 *
 * For bound parameters: one set of them may be executed again, and by several threads.
 *
 * Owns:    itself, counted; each stream and each batch of one holds a reference.
 * Threads: the rows are immutable; references and streams from any thread.
 * Blocks:  ig_kept_new(), as the stream that it reads.
 */
#ifndef IG_ARROW_KEPT_H
#define IG_ARROW_KEPT_H

#include <igloo/arrow.h>

#include "base/error.h"
#include "base/mem.h"

/* Batches of one set: more are a loop that forgot to end. */
#define IG_KEPT_BATCHES_MAX ((size_t)1000000)

typedef struct ig_kept ig_kept;

/* Read `rows` (taken, also on failure) to its end. Gives one reference. Returns as
 * ig_stream_next; RESOURCE_EXHAUSTED 54000 for too many batches; OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_kept_new(struct ArrowArrayStream *rows, ig_kept **ret_kept,
                                      struct igloo_error *reterr);
ig_kept *ig_kept_ref(ig_kept *kept);
ig_kept *ig_kept_unref(ig_kept *kept); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_kept, ig_kept_unref)

int64_t ig_kept_rows(const ig_kept *kept);
const struct ArrowSchema *ig_kept_schema(const ig_kept *kept); /* borrowed */

/* Give a stream of the rows from the first. Its batches are views: their children are
 * read in place and must not be moved out of them. */
IG_NODISCARD igloo_status ig_kept_stream(ig_kept *kept, struct ArrowArrayStream *ret_rows,
                                         struct igloo_error *reterr);

#endif
