/*
 * analysis.h -- what static analysers cannot see across files.
 *
 * tools/check.py puts it before each file it analyses, after base/error.h: a
 * function that fails never returns IGLOO_OK, so what a caller reads after it
 * was set. No build includes it.
 */
#include "base/error.h"

static inline igloo_status ig_failed(igloo_status status) {
  return status != IGLOO_OK ? status : IGLOO_INTERNAL;
}

#define ig_fail(...) ig_failed(ig_fail(__VA_ARGS__))
#define ig_fail_state(...) ig_failed(ig_fail_state(__VA_ARGS__))
#define ig_fail_va(...) ig_failed(ig_fail_va(__VA_ARGS__))
#define ig_fail_at(...) ig_failed(ig_fail_at(__VA_ARGS__))
#define ig_fail_oom(...) ig_failed(ig_fail_oom(__VA_ARGS__))
#define ig_fail_range(...) ig_failed(ig_fail_range(__VA_ARGS__))
#define ig_fail_errno(...) ig_failed(ig_fail_errno(__VA_ARGS__))
