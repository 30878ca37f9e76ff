/* mem.c -- see mem.h. malloc with one shared countdown in front of it. */
#include "base/mem.h"

#include <malloc.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"

#define COUNTDOWN_OFF INT64_MIN

/* Up to this size glibc keeps freed blocks for each thread, but calloc() passes them by
 * before version 2.41: it takes others, which are in no cache, under a lock. */
#define SMALL_BYTES 1024

/* Successes left before the one failure. It passes through -1 exactly once, so
 * exactly one allocation of any thread fails. */
static _Atomic int64_t countdown = COUNTDOWN_OFF;
static atomic_bool failure_delivered;

static atomic_bool process_is_own;

/* Small blocks that the C library needs for itself, such as those of a thread that
 * begins: where it gets none it ends the process. */
#define SPARE_HEAP_BYTES (1 << 20)

/* Where the address space is limited (`ulimit -v`) and stacks have taken the last of it,
 * there must be small blocks all the same; and the 64 MiB of addresses that each thread
 * gets for its own blocks are better not taken. */
static void spare_addresses(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_AS, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY) return;
  (void)mallopt(M_ARENA_MAX, 1);
  (void)mallopt(M_TOP_PAD, SPARE_HEAP_BYTES);
  (void)mallopt(M_TRIM_THRESHOLD, 4 * SPARE_HEAP_BYTES);
  void *volatile grows = malloc(SPARE_HEAP_BYTES / 16); /* and the heap with it */
  free(grows);
}

void ig_process_own(void) {
  atomic_store(&process_is_own, true);
  spare_addresses();
}

bool ig_process_is_own(void) {
  return atomic_load(&process_is_own);
}

static bool must_fail(void) {
  if (atomic_load_explicit(&countdown, memory_order_relaxed) == COUNTDOWN_OFF)
    return false;
  if (atomic_fetch_sub(&countdown, 1) != 0) return false;
  atomic_store(&failure_delivered, true);
  return true;
}

void ig_mem_fail_after(int64_t successes) {
  atomic_store(&failure_delivered, false);
  atomic_store(&countdown, successes);
}

bool ig_mem_fail_stop(void) {
  atomic_store(&countdown, COUNTDOWN_OFF);
  return atomic_exchange(&failure_delivered, false);
}

/* malloc(0) may be NULL without being out of memory; ours may not. */
void *ig_malloc(size_t bytes) {
  return must_fail() ? NULL : malloc(bytes ? bytes : 1);
}

/* A function of its own: the compiler makes calloc() of malloc() and memset(). */
static __attribute__((noinline)) void *take_small(size_t bytes) {
  return malloc(bytes);
}

void *ig_calloc(size_t count, size_t item_bytes) {
  size_t bytes;
  if (__builtin_mul_overflow(count, item_bytes, &bytes) || must_fail()) return NULL;
  if (bytes > SMALL_BYTES) return calloc(1, bytes);
  void *memory = take_small(bytes ? bytes : 1);
  if (memory) (void)memset(memory, 0, bytes);
  return memory;
}

#ifdef __SANITIZE_ADDRESS__ /* gcc's */
#define IG_HAS_ASAN
#elif defined(__has_feature) /* clang's */
#if __has_feature(address_sanitizer)
#define IG_HAS_ASAN
#endif
#endif

#ifdef IG_HAS_ASAN
#include <sanitizer/asan_interface.h>
static void poison(void *memory, size_t bytes) {
  ASAN_POISON_MEMORY_REGION(memory, bytes);
}
static void unpoison(void *memory, size_t bytes) {
  ASAN_UNPOISON_MEMORY_REGION(memory, bytes);
}
#else
static void poison(void *memory, size_t bytes) {
  (void)memory;
  (void)bytes;
}
static void unpoison(void *memory, size_t bytes) {
  (void)memory;
  (void)bytes;
}
#endif

/* The lane of the processor that this thread is on, or was a moment ago; NULL where
 * another thread is at it. Nobody waits, so that a child of fork() cannot wait for ever.
 */
static struct ig_spare_lane *enter_lane(struct ig_spare *spare) {
  int processor = sched_getcpu();
  struct ig_spare_lane *lane =
      &spare->lanes[processor < 0 ? 0 : (unsigned)processor % IG_SPARE_LANES];
  /* Pairs with leave_lane(): memory is seen as its last user left it. */
  bool is_taken = atomic_exchange_explicit(&lane->is_taken, true, memory_order_acquire);
  return is_taken ? NULL : lane;
}

static void leave_lane(struct ig_spare_lane *lane) {
  atomic_store_explicit(&lane->is_taken, false, memory_order_release);
}

void *ig_spare_take(struct ig_spare *spare, size_t bytes) {
  if (must_fail()) return NULL;
  void *memory = NULL;
  struct ig_spare_lane *lane = enter_lane(spare);
  if (lane) {
    if (lane->count > 0) memory = lane->memory[--lane->count];
    leave_lane(lane);
  }
  if (!memory) return malloc(bytes);
  unpoison(memory, bytes);
  return memory;
}

void ig_spare_give(struct ig_spare *spare, void *memory, size_t bytes) {
  if (!memory) return;
  bool is_kept = false;
  struct ig_spare_lane *lane = enter_lane(spare);
  if (lane) {
    is_kept =
        lane->count < IG_SPARE_MAX && (lane->count + 1) * bytes <= IG_SPARE_BYTES_MAX;
    if (is_kept) poison(memory, bytes);
    if (is_kept) lane->memory[lane->count++] = memory;
    leave_lane(lane);
  }
  if (!is_kept) free(memory);
}

void *ig_realloc(void *old, size_t bytes) {
  return must_fail() ? NULL : realloc(old, bytes ? bytes : 1);
}

void *ig_realloc_array(void *old, size_t count, size_t item_bytes) {
  size_t bytes;
  if (__builtin_mul_overflow(count, item_bytes, &bytes)) return NULL;
  return ig_realloc(old, bytes);
}

void ig_free(void *memory) {
  free(memory);
}

void ig_free_wiped(void *memory) {
  if (memory) explicit_bzero(memory, malloc_usable_size(memory));
  free(memory);
}

char *ig_strndup(const char *text, size_t len) {
  char *copy = ig_malloc(len + 1);
  if (!copy) return NULL;
  if (len > 0) memcpy(copy, text, len);
  copy[len] = '\0';
  return copy;
}

char *ig_strdup(const char *text) {
  return text ? ig_strndup(text, strlen(text)) : NULL;
}

char *ig_vasprintf(const char *fmt, va_list args) {
  va_list again;
  va_copy(again, args);
  int len = vsnprintf(NULL, 0, fmt, args);
  char *text = len < 0 ? NULL : ig_malloc((size_t)len + 1);
  if (text) (void)vsnprintf(text, (size_t)len + 1, fmt, again);
  va_end(again);
  return text;
}

char *ig_asprintf(const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  char *text = ig_vasprintf(fmt, args);
  va_end(args);
  return text;
}

igloo_status ig_array_reserve(void *items_address, size_t *cap, size_t need,
                              size_t item_bytes, size_t max, const char *what,
                              struct igloo_error *reterr) {
  if (need <= *cap) return IGLOO_OK;
  if (need > max)
    return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                         "more than %zu %s are not allowed", max, what);
  size_t new_cap = *cap < 4 ? 8 : *cap > max / 2 ? max : *cap * 2;
  if (new_cap < need) new_cap = need;
  if (new_cap > max) new_cap = max;

  /* The pointer is copied by bytes: it may be of any object pointer type. */
  void *items;
  memcpy(&items, items_address, sizeof(items));
  char *grown = ig_realloc_array(items, new_cap, item_bytes);
  if (!grown) return ig_fail_oom(reterr);
  memset(grown + *cap * item_bytes, 0, (new_cap - *cap) * item_bytes);
  memcpy(items_address, &grown, sizeof(grown));
  *cap = new_cap;
  return IGLOO_OK;
}

void ig_auto_fd(int *fd) {
  if (*fd >= 0) (void)close(*fd);
}

static _Atomic(ig_assert_handler) assert_handler;

void ig_assert_set_handler(ig_assert_handler handler) {
  atomic_store(&assert_handler, handler);
}

void ig_assert_failed(const char *condition, const char *file, int line,
                      const char *function) {
  ig_assert_handler handler = atomic_load(&assert_handler);
  if (handler) handler(condition, file, line, function);
  (void)fprintf(stderr, "igloo: broken invariant: %s (%s:%d, %s)\n", condition, file,
                line, function);
  abort();
}
