/* kept.c -- see kept.h. */
#include "arrow/kept.h"

#include <errno.h>

#include "arrow/schema.h"
#include "arrow/stream.h"

struct ig_kept {
  int32_t refs;
  struct ArrowSchema schema;
  struct ArrowArray *batches;
  size_t batches_count, batches_cap;
  int64_t rows;
};

/* ---- keeping ----------------------------------------------------------------------- */

static igloo_status read_all(ig_kept *kept, struct ArrowArrayStream *rows,
                             struct igloo_error *reterr) {
  IG_TRY(ig_stream_schema(rows, &kept->schema, reterr));
  for (;;) {
    IG_TRY(IG_RESERVE(kept->batches, kept->batches_cap, kept->batches_count + 1,
                      IG_KEPT_BATCHES_MAX, "batches of parameters", reterr));
    struct ArrowArray *batch = &kept->batches[kept->batches_count];
    IG_TRY(ig_stream_next(rows, batch, reterr));
    if (!batch->release) return IGLOO_OK;
    kept->batches_count++;
    kept->rows += batch->length;
  }
}

igloo_status ig_kept_new(struct ArrowArrayStream *rows, ig_kept **ret_kept,
                         struct igloo_error *reterr) {
  IG_AUTO_STREAM held = *rows;
  rows->release = NULL;
  ig_kept *made = ig_calloc(1, sizeof(*made));
  if (!made) return ig_fail_oom(reterr);
  made->refs = 1;
  IG_AUTO(ig_kept) *kept = made;
  IG_TRY(read_all(kept, &held, reterr));
  *ret_kept = IG_TAKE(kept);
  return IGLOO_OK;
}

ig_kept *ig_kept_ref(ig_kept *kept) {
  (void)__atomic_add_fetch(&kept->refs, 1, __ATOMIC_RELAXED);
  return kept;
}

ig_kept *ig_kept_unref(ig_kept *kept) {
  /* Release pairs with acquire: the last one sees what every other did before. */
  if (!kept || __atomic_sub_fetch(&kept->refs, 1, __ATOMIC_ACQ_REL) > 0) return NULL;
  for (size_t i = 0; i < kept->batches_count; i++) ig_array_done(&kept->batches[i]);
  ig_free(kept->batches);
  ig_schema_done(&kept->schema);
  ig_free(kept);
  return NULL;
}

int64_t ig_kept_rows(const ig_kept *kept) {
  return kept->rows;
}

const struct ArrowSchema *ig_kept_schema(const ig_kept *kept) {
  return &kept->schema;
}

/* ---- reading ----------------------------------------------------------------------- */

struct cursor {
  ig_kept *kept;
  size_t next;
};

static void view_release(struct ArrowArray *view) {
  (void)ig_kept_unref(view->private_data);
  view->release = NULL;
}

static int cursor_get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
  const struct cursor *cursor = stream->private_data;
  return ig_schema_copy(&cursor->kept->schema, out, NULL) == IGLOO_OK ? 0 : ENOMEM;
}

static int cursor_get_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
  struct cursor *cursor = stream->private_data;
  out->release = NULL;
  if (cursor->next == cursor->kept->batches_count) return 0;
  *out = cursor->kept->batches[cursor->next++];
  out->private_data = ig_kept_ref(cursor->kept);
  out->release = view_release;
  return 0;
}

static const char *cursor_get_last_error(struct ArrowArrayStream *stream IG_UNUSED) {
  return NULL;
}

static void cursor_release(struct ArrowArrayStream *stream) {
  struct cursor *cursor = stream->private_data;
  (void)ig_kept_unref(cursor->kept);
  ig_free(cursor);
  stream->release = NULL;
}

igloo_status ig_kept_stream(ig_kept *kept, struct ArrowArrayStream *ret_rows,
                            struct igloo_error *reterr) {
  struct cursor *cursor = ig_calloc(1, sizeof(*cursor));
  if (!cursor) return ig_fail_oom(reterr);
  cursor->kept = ig_kept_ref(kept);
  *ret_rows = (struct ArrowArrayStream){.get_schema = cursor_get_schema,
                                        .get_next = cursor_get_next,
                                        .get_last_error = cursor_get_last_error,
                                        .release = cursor_release,
                                        .private_data = cursor};
  return IGLOO_OK;
}
