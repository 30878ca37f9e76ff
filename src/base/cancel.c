/* cancel.c -- see cancel.h. */
#include "base/cancel.h"

#include <stdatomic.h>

#include "base/clock.h"

struct ig_cancel {
  atomic_uint references;
  atomic_bool set;             /* release in ig_cancel_set, acquire in is_set */
  _Atomic int64_t deadline_us; /* relaxed: it orders nothing */
  _Atomic int64_t id;          /* likewise */
};

igloo_status ig_cancel_new(int64_t deadline_us, ig_cancel **ret_cancel,
                           struct igloo_error *reterr) {
  ig_cancel *cancel = ig_calloc(1, sizeof(*cancel));
  if (!cancel) return ig_fail_oom(reterr);
  atomic_init(&cancel->references, 1);
  atomic_init(&cancel->set, false);
  atomic_init(&cancel->deadline_us, deadline_us);
  atomic_init(&cancel->id, 0);
  *ret_cancel = cancel;
  return IGLOO_OK;
}

ig_cancel *ig_cancel_ref(ig_cancel *cancel) {
  unsigned before =
      atomic_fetch_add_explicit(&cancel->references, 1, memory_order_relaxed);
  IG_ASSERT(before > 0 && before < UINT32_MAX);
  return cancel;
}

ig_cancel *ig_cancel_unref(ig_cancel *cancel) {
  if (!cancel) return NULL;
  /* The last one out sees everything that the others did before they left. */
  if (atomic_fetch_sub_explicit(&cancel->references, 1, memory_order_acq_rel) == 1)
    ig_free(cancel);
  return NULL;
}

void ig_cancel_set(ig_cancel *cancel) {
  atomic_store_explicit(&cancel->set, true, memory_order_release);
}

bool ig_cancel_is_set(const ig_cancel *cancel) {
  return cancel && atomic_load_explicit(&cancel->set, memory_order_acquire);
}

void ig_cancel_set_deadline(ig_cancel *cancel, int64_t deadline_us) {
  atomic_store_explicit(&cancel->deadline_us, deadline_us, memory_order_relaxed);
}

int64_t ig_cancel_deadline_us(const ig_cancel *cancel) {
  return cancel ? atomic_load_explicit(&cancel->deadline_us, memory_order_relaxed)
                : IG_NEVER_US;
}

void ig_cancel_set_id(ig_cancel *cancel, int64_t id) {
  atomic_store_explicit(&cancel->id, id, memory_order_relaxed);
}

int64_t ig_cancel_id(const ig_cancel *cancel) {
  return cancel ? atomic_load_explicit(&cancel->id, memory_order_relaxed) : 0;
}

igloo_status ig_cancel_check(const ig_cancel *cancel, struct igloo_error *reterr) {
  if (ig_cancel_is_set(cancel))
    return ig_fail(reterr, IGLOO_CANCELLED, "canceling statement due to user request");
  int64_t deadline_us = ig_cancel_deadline_us(cancel);
  if (deadline_us != IG_NEVER_US && ig_now_us() >= deadline_us)
    return ig_fail(reterr, IGLOO_DEADLINE_EXCEEDED,
                   "canceling statement due to statement timeout");
  return IGLOO_OK;
}
