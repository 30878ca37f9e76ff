/* arena.c -- see arena.h. A list of blocks, each twice the one before. */
#include "base/arena.h"

#include <string.h>

#define FIRST_BLOCK_BYTES ((size_t)4096)
#define BLOCK_BYTES_MAX ((size_t)1024 * 1024)
#define ALIGNMENT ((size_t)16)

struct block {
  struct block *next; /* older */
  size_t cap;
  size_t used;
  _Alignas(16) char bytes[];
};

struct ig_arena {
  struct block *blocks; /* newest first */
  size_t used_bytes;
  size_t bytes_max;
  bool at_ceiling; /* the last failure was the ceiling */
};

ig_arena *ig_arena_new(size_t bytes_max) {
  ig_arena *arena = ig_calloc(1, sizeof(*arena));
  if (arena) arena->bytes_max = bytes_max;
  return arena;
}

/* Most arenas have only their first block, and a short life. */
static struct ig_spare spare_blocks;

static struct block *new_block(size_t cap) {
  size_t bytes = sizeof(struct block) + cap;
  return cap == FIRST_BLOCK_BYTES ? ig_spare_take(&spare_blocks, bytes)
                                  : ig_malloc(bytes);
}

static void free_blocks(struct block *block) {
  while (block) {
    struct block *next = block->next;
    if (block->cap == FIRST_BLOCK_BYTES)
      ig_spare_give(&spare_blocks, block, sizeof(*block) + block->cap);
    else
      ig_free(block);
    block = next;
  }
}

ig_arena *ig_arena_free_wiped(ig_arena *arena) {
  for (struct block *block = arena ? arena->blocks : NULL; block; block = block->next)
    explicit_bzero(block->bytes, block->used);
  return ig_arena_free(arena);
}

ig_arena *ig_arena_free(ig_arena *arena) {
  if (!arena) return NULL;
  free_blocks(arena->blocks);
  ig_free(arena);
  return NULL;
}

static struct block *add_block(ig_arena *arena, size_t need) {
  size_t cap = arena->blocks ? arena->blocks->cap * 2 : FIRST_BLOCK_BYTES;
  if (cap > BLOCK_BYTES_MAX) cap = BLOCK_BYTES_MAX;
  if (cap < need) cap = need;
  struct block *block = new_block(cap);
  if (!block) return NULL;
  *block = (struct block){.next = arena->blocks, .cap = cap};
  arena->blocks = block;
  return block;
}

void *ig_arena_alloc(ig_arena *arena, size_t bytes) {
  arena->at_ceiling = bytes > arena->bytes_max - arena->used_bytes;
  if (arena->at_ceiling || bytes > SIZE_MAX / 2) return NULL;
  size_t need = (bytes + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
  if (need == 0) need = ALIGNMENT; /* distinct pieces have distinct addresses */

  struct block *block = arena->blocks;
  if (!block || block->cap - block->used < need) block = add_block(arena, need);
  if (!block) return NULL;
  void *piece = block->bytes + block->used;
  block->used += need;
  arena->used_bytes += bytes;
  return memset(piece, 0, need);
}

void *ig_arena_alloc_array(ig_arena *arena, size_t count, size_t item_bytes) {
  size_t bytes;
  if (__builtin_mul_overflow(count, item_bytes, &bytes)) bytes = SIZE_MAX;
  return ig_arena_alloc(arena, bytes);
}

char *ig_arena_strdup(ig_arena *arena, struct ig_str text) {
  char *copy = ig_arena_alloc(arena, text.len + 1);
  if (copy && text.len > 0) memcpy(copy, text.data, text.len);
  return copy;
}

char *ig_arena_fmt(ig_arena *arena, const char *fmt, ...) {
  va_list args, again;
  va_start(args, fmt);
  va_copy(again, args);
  int len = vsnprintf(NULL, 0, fmt, args);
  char *text = len < 0 ? NULL : ig_arena_alloc(arena, (size_t)len + 1);
  if (text) (void)vsnprintf(text, (size_t)len + 1, fmt, again);
  va_end(again);
  va_end(args);
  return text;
}

igloo_status ig_arena_fail(const ig_arena *arena, struct igloo_error *reterr) {
  if (!arena->at_ceiling) return ig_fail_oom(reterr);
  return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                       "the statement needs more than %zu bytes of scratch memory",
                       arena->bytes_max);
}

void ig_arena_reset(ig_arena *arena) {
  struct block *first = arena->blocks;
  while (first && first->next) {
    struct block *older = first->next;
    ig_free(first);
    first = older;
  }
  arena->blocks = first;
  if (first) first->used = 0;
  arena->used_bytes = 0;
}

size_t ig_arena_used_bytes(const ig_arena *arena) {
  return arena->used_bytes;
}
