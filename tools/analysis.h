/*
 * analysis.h -- what static analysers cannot see across files.
 *
 * tools/check.py puts it before each file it analyses: a function that fails
 * never returns IGLOO_OK, so what a caller reads after it was set. Which status
 * it is does not matter there. No build includes it.
 */
#include "base/arena.h"
#include "base/error.h"

#define ig_fail(...) ((void)ig_fail(__VA_ARGS__), IGLOO_INTERNAL)
#define ig_fail_state(...) ((void)ig_fail_state(__VA_ARGS__), IGLOO_INTERNAL)
#define ig_fail_va(...) ((void)ig_fail_va(__VA_ARGS__), IGLOO_INTERNAL)
#define ig_fail_at(...) ((void)ig_fail_at(__VA_ARGS__), IGLOO_INTERNAL)
#define ig_fail_oom(...) ((void)ig_fail_oom(__VA_ARGS__), IGLOO_INTERNAL)
#define ig_fail_range(...) ((void)ig_fail_range(__VA_ARGS__), IGLOO_INTERNAL)
#define ig_fail_errno(...) ((void)ig_fail_errno(__VA_ARGS__), IGLOO_INTERNAL)
#define ig_arena_fail(...) ((void)ig_arena_fail(__VA_ARGS__), IGLOO_INTERNAL)
