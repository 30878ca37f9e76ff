/*
 * arena.h -- scratch memory that is freed all at once.
 *
 * What one statement needs while it is looked at goes into an arena that is
 * passed explicitly. Single pieces cannot be freed.
 *
 * Owns:    every piece it gave out.
 * Threads: one thread at a time.
 * Blocks:  never.
 */
#ifndef IG_BASE_ARENA_H
#define IG_BASE_ARENA_H

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

typedef struct ig_arena ig_arena;

/* An arena of at most `bytes_max` bytes. NULL means out of memory. Free:
 * ig_arena_free. */
ig_arena *ig_arena_new(size_t bytes_max);
ig_arena *ig_arena_free(ig_arena *arena);
/* The same where a password may lie in it. */
ig_arena *ig_arena_free_wiped(ig_arena *arena);
IG_DEFINE_AUTO(ig_arena, ig_arena_free)

/* Zeroed memory aligned to 16 bytes, borrowed until the arena is reset or
 * freed. NULL means out of memory or the ceiling: report both with
 * ig_arena_fail. */
void *ig_arena_alloc(ig_arena *arena, size_t bytes);
void *ig_arena_alloc_array(ig_arena *arena, size_t count, size_t item_bytes);

/* Copies ended by NUL; NULL as above. */
char *ig_arena_strdup(ig_arena *arena, struct ig_str text);
char *ig_arena_fmt(ig_arena *arena, const char *fmt, ...) IG_PRINTF(2, 3);

/* After a NULL: RESOURCE_EXHAUSTED 54000 if the ceiling was the cause, else
 * OUT_OF_MEMORY. */
igloo_status ig_arena_fail(const ig_arena *arena, struct igloo_error *reterr);

/* Forget every piece, keep the first block. */
void ig_arena_reset(ig_arena *arena);

size_t ig_arena_used_bytes(const ig_arena *arena);

#endif
