/*
 * mem.h -- allocation, automatic cleanup, assertions.
 *
 * Every allocation of ours goes through these functions, so that a test can
 * make the nth one fail. The memory itself is malloc's: ig_free() and free()
 * are the same thing. A scope that owns something says so with IG_AUTO and
 * gives it away with IG_TAKE; there are no cleanup ladders.
 *
 * Owns:    nothing.
 * Threads: thread-safe; the failure counter is shared by the whole process.
 * Blocks:  never.
 */
#ifndef IG_BASE_MEM_H
#define IG_BASE_MEM_H

#include <igloo/status.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/macros.h"

/* Allocate. NULL means out of memory, for 0 bytes too. ig_malloc'ed bytes are
 * not cleared; ig_calloc and ig_realloc_array check the product. The caller
 * frees with ig_free. */
void *ig_malloc(size_t bytes) __attribute__((malloc, alloc_size(1)));
void *ig_calloc(size_t count, size_t item_bytes)
    __attribute__((malloc, alloc_size(1, 2)));
void *ig_realloc(void *old, size_t bytes) __attribute__((alloc_size(2)));
void *ig_realloc_array(void *old, size_t count, size_t item_bytes)
    __attribute__((alloc_size(2, 3)));
void ig_free(void *memory);
/* The same for what may hold a password: nothing of it is left. */
void ig_free_wiped(void *memory);

/* Memory of one size that is wanted again in a moment, in a static variable: what was
 * just used is in the cache of the processor, which gets back what was given on it last,
 * and malloc() tidies up around blocks over a kilobyte. The bytes are as they were left:
 * whoever gives memory wipes what is secret. A failure of ig_mem_fail_after() counts
 * ig_spare_take() as an allocation. */
#define IG_SPARE_MAX 64                 /* of a lane: as many clients may wait with one */
#define IG_SPARE_BYTES_MAX (256 * 1024) /* of a lane */
#define IG_SPARE_LANES 4                /* processors beyond share them */
struct ig_spare {
  struct ig_spare_lane {
    _Alignas(64) _Atomic(bool) is_taken; /* whoever finds it so does without */
    uint32_t count;
    void *memory[IG_SPARE_MAX];
  } lanes[IG_SPARE_LANES];
};
/* Memory of `bytes`, which are the same for all of one spare; NULL means out of memory.
 */
void *ig_spare_take(struct ig_spare *spare, size_t bytes) __attribute__((alloc_size(2)));
/* Give it back (NULL: nothing happens), of the same size. AddressSanitizer sees it as
 * freed.
 */
void ig_spare_give(struct ig_spare *spare, void *memory, size_t bytes);

/* Copies of text, ended by NUL; NULL means out of memory. ig_strdup(NULL) is
 * NULL as well, so test the source first where it may be absent. */
char *ig_strdup(const char *text) __attribute__((malloc));
char *ig_strndup(const char *text, size_t len) __attribute__((malloc));
char *ig_asprintf(const char *fmt, ...) IG_PRINTF(1, 2) __attribute__((malloc));
char *ig_vasprintf(const char *fmt, va_list args) IG_PRINTF(1, 0) __attribute__((malloc));

/* Make room for `need` items in the array whose pointer lies at
 * `items_address` and whose room is *cap; grows by doubling, new items are
 * zero. Returns OUT_OF_MEMORY, or RESOURCE_EXHAUSTED 54000 naming `what`
 * (plural, as in "parameters") where need > max; the array is unchanged then. Use
 * IG_RESERVE. */
IG_NODISCARD igloo_status ig_array_reserve(void *items_address, size_t *cap, size_t need,
                                           size_t item_bytes, size_t max,
                                           const char *what, struct igloo_error *reterr);
#define IG_RESERVE(items, cap, need, max, what, reterr) \
  ig_array_reserve(&(items), &(cap), (need), sizeof(*(items)), (max), (what), (reterr))

/* Say that this process is Igloo's alone, before the first engine: engine.memory_limit is
 * then held against all of its memory, not only against what the engine allocates; and
 * where its address space is limited the C library keeps some of it for small blocks.
 * Before the first thread. */
void ig_process_own(void);
bool ig_process_is_own(void);

/* For tests: let `successes` allocations succeed and the one after fail, once.
 * ig_mem_fail_stop() switches that off and says whether the failure happened. */
void ig_mem_fail_after(int64_t successes);
bool ig_mem_fail_stop(void);

/* IG_AUTO(ig_gate) *gate = NULL; frees *gate with ig_gate_free when the scope
 * ends. The owner of a typedef'd type writes IG_DEFINE_AUTO(ig_gate,
 * ig_gate_free) below its declaration; that of a `struct tag` on the heap
 * IG_DEFINE_AUTO_STRUCT(tag, fn), used as IG_AUTO_STRUCT(tag) *x. The function
 * is called with non-NULL pointers only. */
#define IG_DEFINE_AUTO(type, free_fn)                          \
  static inline IG_UNUSED void ig_auto_##type(type **object) { \
    if (*object) (void)free_fn(*object);                       \
  }
#define IG_AUTO(type) __attribute__((cleanup(ig_auto_##type))) type

#define IG_DEFINE_AUTO_STRUCT(tag, free_fn)                                \
  static inline IG_UNUSED void ig_auto_struct_##tag(struct tag **object) { \
    if (*object) (void)free_fn(*object);                                   \
  }
#define IG_AUTO_STRUCT(tag) __attribute__((cleanup(ig_auto_struct_##tag))) struct tag

/* IG_AUTO_DONE(ig_buf) text; an embedded struct that tag##_done() empties. It
 * must be initialised before the scope can end. */
#define IG_AUTO_DONE(tag) __attribute__((cleanup(tag##_done))) struct tag

IG_DEFINE_AUTO(char, ig_free)
IG_DEFINE_AUTO(FILE, fclose)
#define IG_AUTO_CHAR IG_AUTO(char)

/* A file descriptor that is closed when the scope ends unless it is negative. */
void ig_auto_fd(int *fd);
#define IG_AUTO_FD __attribute__((cleanup(ig_auto_fd))) int

/* Move out: the value of the variable, which is NULL (-1) afterwards. */
#define IG_TAKE(variable)                        \
  ({                                             \
    __typeof__(variable) ig_taken_ = (variable); \
    (variable) = NULL;                           \
    ig_taken_;                                   \
  })
#define IG_TAKE_FD(variable)       \
  ({                               \
    int ig_taken_fd_ = (variable); \
    (variable) = -1;               \
    ig_taken_fd_;                  \
  })

/* A broken invariant of ours, never input. Stays on in release. */
#define IG_ASSERT(condition)                                      \
  do {                                                            \
    if (__builtin_expect(!(condition), 0))                        \
      ig_assert_failed(#condition, __FILE__, __LINE__, __func__); \
  } while (0)

_Noreturn void ig_assert_failed(const char *condition, const char *file, int line,
                                const char *function);

/* What to do before the process is ended. libigloo sets a handler that does not
 * come back (it leaves by siglongjmp to the call that the host made); where it
 * returns, or none is set, abort() follows. NULL removes it. */
typedef void (*ig_assert_handler)(const char *condition, const char *file, int line,
                                  const char *function);
void ig_assert_set_handler(ig_assert_handler handler);

#endif
