/*
 * rows.c -- a part as a stream: opened on a link of its run, checked against what was
 * promised, counted, and given back.
 */
#include <errno.h>
#include <nanoarrow/nanoarrow.h>

#include "arrow/schema.h"
#include "arrow/stream.h"
#include "base/clock.h"
#include "base/limits.h"
#include "connector/internal.h"
#include "connector/pushdown_log.h"

struct rows {
  ig_remote_run *run;              /* shared */
  struct ig_run_source *slot;      /* of the run */
  ig_cancel *stop;                 /* shared; NULL: none */
  struct ig_open_part *open;       /* shared */
  ig_link *link;                   /* NULL once it was given back */
  struct end_call *end;            /* made in time: what ends a stream must not fail */
  struct ArrowArrayView view;      /* of what the driver gives */
  struct ArrowArray first, second; /* came with opening */
  bool opened, drained, logged;
  struct igloo_error error; /* of the last call; status OK: none */
  struct ig_pushdown_entry entry;
  int64_t began_us;
};

/* ---- the promise ----------------------------------------------------------------------
 */

static igloo_status fail_changed(const struct ig_part *part, struct igloo_error *reterr) {
  ig_fail_state(reterr, IGLOO_FAILED_PRECONDITION, "0A000", "schema of \"%.*s\" changed",
                IG_STR_ARG(part->label));
  ig_error_hint(reterr, "Run the statement again; it will be planned anew.");
  return IGLOO_FAILED_PRECONDITION;
}

static igloo_status fail_type(const struct ig_part *part,
                              const struct ArrowSchema *promised,
                              const struct ArrowSchema *given,
                              struct igloo_error *reterr) {
  IG_AUTO_CHAR *was = NULL;
  IG_AUTO_CHAR *is = NULL;
  IG_TRY(ig_arrow_type_name_dup(promised, &was, reterr));
  IG_TRY(ig_arrow_type_name_dup(given, &is, reterr));
  ig_fail(reterr, IGLOO_DATA_ERROR,
          "column \"%s\" of \"%.*s\" came as %s, and was told to be %s",
          promised->name ? promised->name : "", IG_STR_ARG(part->label), is, was);
  ig_error_detail(reterr, "Arrow formats: \"%s\" came, \"%s\" was told.", given->format,
                  promised->format);
  return IGLOO_DATA_ERROR;
}

/* The driver's column for one that is promised. */
static int64_t column_of(const struct ig_part *part, int64_t index) {
  return part->columns.len ? part->columns.items[index] : index;
}

static igloo_status check_schema(const struct ig_part *part,
                                 const struct ArrowSchema *promised,
                                 const struct ArrowSchema *given,
                                 struct igloo_error *reterr) {
  if (!given->format || strcmp(given->format, "+s") != 0)
    return ig_fail(reterr, IGLOO_DATA_ERROR, "\"%.*s\" gives no table",
                   IG_STR_ARG(part->label));
  if (part->counts) return IGLOO_OK;
  for (int64_t i = 0; i < promised->n_children; i++) {
    int64_t column = column_of(part, i);
    if (column >= given->n_children) return fail_changed(part, reterr);
    if (!ig_schema_same_type(promised->children[i], given->children[column]))
      return fail_type(part, promised->children[i], given->children[column], reterr);
  }
  if (part->columns.len == 0 && given->n_children != promised->n_children)
    return fail_changed(part, reterr);
  return IGLOO_OK;
}

/* ---- on the link's thread -------------------------------------------------------------
 */

struct open_call {
  struct ig_call call;
  ig_source *source;         /* held */
  struct ig_open_part *open; /* held */
  bool guarded; /* a text of the user's, outside a snapshot: it must not write */
  struct ArrowSchema given;
  struct ArrowArray first, second;
  bool ended; /* they are all there is, and the statement is gone */
};

static void open_call_free(struct ig_call *call) {
  struct open_call *self = (struct open_call *)call;
  ig_schema_done(&self->given);
  ig_array_done(&self->first);
  ig_array_done(&self->second);
  ig_open_part_unref(self->open);
  ig_source_unref(self->source);
}

static bool columns_changed(const struct ArrowSchema *now,
                            const struct ArrowSchema *columns) {
  for (int64_t i = 0; i < columns->n_children; i++) {
    const struct ArrowSchema *column = columns->children[i];
    int64_t found = ig_schema_find(now, ig_str_from_cstr(column->name));
    if (found < 0 || !ig_schema_same_type(column, now->children[found])) return true;
  }
  return false;
}

/* Whether the table is another than when it was planned; the link's thread asks. In an
 * aborted transaction it cannot be asked: then the error alone says. */
static bool table_changed(ig_link *link, struct open_call *self,
                          const struct igloo_error *error) {
  static const char *const states[] = {"42703", "42P01", "3F000",
                                       "42704", "42883", "42804"};
  const struct ig_open_part *open = self->open;
  if (open->part.table.len == 0) return false;
  IG_AUTO_SCHEMA now = {0};
  igloo_status status =
      ig_link_table_schema(link, self->source, open->schema, open->table, &now, NULL);
  if (status == IGLOO_NOT_FOUND) return true;
  if (status != IGLOO_OK) {
    for (size_t i = 0; i < IG_ARRAY_LEN(states); i++)
      if (strcmp(error->sqlstate, states[i]) == 0) return true;
    return false;
  }
  if (columns_changed(&now, open->expected)) return true;
  /* A text may compare columns that it does not give. */
  IG_AUTO_STRUCT(ig_facts) *told =
      ig_source_remembered(self->source, open->schema, open->table);
  return told && columns_changed(&now, &told->schema);
}

/* Of our own drivers; others say that they do not know it. */
static void wish_option(ig_link *link, struct AdbcStatement *statement, const char *key,
                        const char *value) {
  struct AdbcError error = ADBC_ERROR_INIT;
  (void)ig_link_driver(link)->StatementSetOption(statement, key, value, &error);
  if (error.release) error.release(&error);
}

/* A short result ends with its first batch: to find that out now saves the thread two
 * more calls. Its end is then that of the statement too. */
#define SHORT_ROWS 1024

static igloo_status try_end(ig_link *link, struct open_call *self,
                            struct igloo_error *reterr) {
  struct ArrowArrayStream *stream = ig_link_stream(link);
  if (self->first.release && self->first.length > SHORT_ROWS) return IGLOO_OK;
  if (self->first.release) {
    int code = stream->get_next(stream, &self->second);
    if (code) return ig_link_fail_stream(link, code, stream, reterr);
  }
  if (self->second.release) return IGLOO_OK;
  ig_link_statement_end(link, false);
  self->ended = true;
  return self->guarded ? ig_link_end_reading(link, reterr) : IGLOO_OK;
}

static igloo_status run_statement(ig_link *link, struct open_call *self,
                                  struct igloo_error *reterr) {
  struct AdbcStatement *statement = NULL;
  struct AdbcError error = ADBC_ERROR_INIT;
  struct ArrowArrayStream *stream = ig_link_stream(link);
  ig_schema_done(&self->given); /* of a first try */
  ig_array_done(&self->first);
  ig_array_done(&self->second);
  if (self->guarded) IG_TRY(ig_link_begin_reading(link, false, reterr));
  IG_TRY(ig_link_statement_begin(link, self->open->text, &statement, reterr));
  if (self->guarded)
    wish_option(link, statement, "igloo.read_only", ADBC_OPTION_VALUE_ENABLED);
  if (self->open->part.few && self->source->type->few_option)
    wish_option(link, statement, self->source->type->few_option,
                ADBC_OPTION_VALUE_DISABLED);
  IG_TRY(ig_link_fail(
      link, ig_link_driver(link)->StatementExecuteQuery(statement, stream, NULL, &error),
      &error, reterr));
  int code = stream->get_schema(stream, &self->given);
  if (code) return ig_link_fail_stream(link, code, stream, reterr);
  IG_TRY(check_schema(&self->open->part, self->open->expected, &self->given, reterr));
  code = stream->get_next(stream, &self->first);
  return code ? ig_link_fail_stream(link, code, stream, reterr)
              : try_end(link, self, reterr);
}

static bool may_be_changed(igloo_status status) {
  return status == IGLOO_NOT_FOUND || status == IGLOO_INVALID_ARGUMENT ||
         status == IGLOO_SYNTAX_ERROR || status == IGLOO_DATA_ERROR ||
         status == IGLOO_FAILED_PRECONDITION || status == IGLOO_UNSUPPORTED ||
         status == IGLOO_IO_ERROR;
}

static igloo_status run_here(ig_link *link, struct ig_call *call,
                             struct igloo_error *reterr) {
  igloo_status status = run_statement(link, (struct open_call *)call, reterr);
  if (status != IGLOO_OK) ig_link_statement_end(link, true);
  return status;
}

/* Why the call failed, which it says so far. */
static igloo_status run_explain(ig_link *link, struct ig_call *call,
                                struct igloo_error *reterr) {
  struct open_call *self = (struct open_call *)call;
  struct igloo_error error = call->error;
  if (table_changed(link, self, &error)) {
    IG_AUTO_CHAR *detail = ig_strdup(error.message);
    (void)fail_changed(&self->open->part, &error);
    if (detail) ig_error_detail(&error, "%s.", detail);
  }
  if (reterr) *reterr = error;
  return error.status;
}

static igloo_status run_open(ig_link *link, struct ig_call *call,
                             struct igloo_error *reterr) {
  igloo_status status = run_here(link, call, reterr);
  return may_be_changed(status) ? run_explain(link, call, reterr) : status;
}

struct next_call {
  struct ig_call call;
  struct ArrowArray batch;
};

static void next_call_free(struct ig_call *call) {
  ig_array_done(&((struct next_call *)call)->batch);
}

static igloo_status run_next(ig_link *link, struct ig_call *call,
                             struct igloo_error *reterr) {
  struct ArrowArrayStream *stream = ig_link_stream(link);
  int code = stream->get_next(stream, &((struct next_call *)call)->batch);
  return code ? ig_link_fail_stream(link, code, stream, reterr) : IGLOO_OK;
}

struct end_call {
  struct ig_call call;
  bool undrained, in_snapshot;
  ig_remote_run *run; /* shared once it is posted; whom the link goes back to */
  struct ig_run_source *slot;
};

static igloo_status run_end(ig_link *link, struct ig_call *call,
                            struct igloo_error *reterr) {
  struct end_call *self = (struct end_call *)call;
  ig_link_statement_end(link, self->undrained);
  if (!self->in_snapshot) return ig_link_end_reading(link, reterr);
  if (!self->undrained) return IGLOO_OK;
  return ig_link_run_text(link, "ROLLBACK TO SAVEPOINT " IG_RUN_SAVEPOINT, reterr);
}

/* ---- giving back
 * ------------------------------------------------------------------------
 */

static void end_call_free(struct ig_call *call) {
  ig_remote_run_unref(((struct end_call *)call)->run);
}

static void after_end(void *ctx, ig_link *link, igloo_status status) {
  struct end_call *end = ctx;
  ig_run_give(end->run, end->slot, link, status);
  ig_call_unref(end);
}

static void log_rows(struct rows *self, const char *sqlstate) {
  if (self->logged) return;
  self->logged = true;
  ig_source *source = ig_run_peek_source(self->slot);
  self->entry.duration_us = ig_now_us() - self->began_us;
  self->entry.snapshot = ig_run_snapshot(self->run, self->slot);
  self->entry.sqlstate = sqlstate;
  ig_pushdown_log_add(source->log, &self->entry);
  atomic_fetch_add(&source->rows, (uint64_t)self->entry.rows);
  atomic_fetch_add(&source->bytes, (uint64_t)self->entry.bytes);
}

/* The link is of no more use to the stream, which ended so. */
static void let_go(struct rows *self, igloo_status status, const char *sqlstate) {
  log_rows(self, sqlstate);
  if (!self->link) return;
  ig_link *link = IG_TAKE(self->link);
  if (status != IGLOO_OK) { /* the driver may still be in it */
    ig_run_give(self->run, self->slot, link, status);
    return;
  }
  struct end_call *end = IG_TAKE(self->end);
  IG_ASSERT(end); /* as long as there is a link */
  end->undrained = !self->drained;
  end->in_snapshot = ig_run_in_snapshot(self->run, self->slot);
  end->run = ig_remote_run_ref(self->run);
  end->slot = self->slot;
  atomic_fetch_add(&end->call.refs, 1); /* of after_end */
  ig_link_post(link, &end->call, after_end, end);
}

static void rows_free(struct rows *self) {
  /* Nobody waits for a stream that is dropped. */
  if (self->opened) let_go(self, IGLOO_OK, self->drained ? "00000" : "57014");
  ig_array_done(&self->first);
  ig_array_done(&self->second);
  ArrowArrayViewReset(&self->view);
  ig_call_unref(self->end);
  ig_open_part_unref(self->open);
  ig_cancel_unref(self->stop);
  ig_remote_run_unref(self->run);
  ig_free(self);
}

/* ---- batches ---------------------------------------------------------------------- */

static int64_t bytes_of(const struct ArrowArrayView *view) {
  int64_t bytes = 0;
  for (int i = 0; i < NANOARROW_MAX_FIXED_BUFFERS; i++)
    if (view->buffer_views[i].size_bytes > 0) bytes += view->buffer_views[i].size_bytes;
  for (int32_t i = 0; i < view->n_variadic_buffers; i++)
    bytes += view->variadic_buffer_sizes[i];
  for (int64_t i = 0; i < view->n_children; i++) bytes += bytes_of(view->children[i]);
  return bytes + (view->dictionary ? bytes_of(view->dictionary) : 0);
}

/* A batch without columns, of so many rows. */
static igloo_status make_counted(int64_t rows, struct ArrowArray *ret_batch,
                                 struct igloo_error *reterr) {
  struct ArrowArray batch;
  int code = ArrowArrayInitFromType(&batch, NANOARROW_TYPE_STRUCT);
  if (code == NANOARROW_OK) {
    batch.length = rows;
    code = ArrowArrayFinishBuilding(&batch, NANOARROW_VALIDATION_LEVEL_NONE, NULL);
    if (code != NANOARROW_OK) ig_array_done(&batch);
  }
  if (code != NANOARROW_OK) return ig_fail_oom(reterr);
  *ret_batch = batch;
  return IGLOO_OK;
}

/* Some columns of a batch (taken), in another order. A column may come twice only as a
 * copy, so it is not asked for: the bridge names each once. */
static igloo_status pick_columns(const struct rows *self, struct ArrowArray *batch,
                                 struct ArrowArray *ret_batch,
                                 struct igloo_error *reterr) {
  IG_AUTO_ARRAY picked = {0};
  IG_AUTO_ARRAY given = *batch;
  batch->release = NULL;
  const struct ig_part *part = &self->open->part;
  size_t count = part->columns.len;
  int code = ArrowArrayInitFromType(&picked, NANOARROW_TYPE_STRUCT);
  if (code == NANOARROW_OK) code = ArrowArrayAllocateChildren(&picked, (int64_t)count);
  if (code != NANOARROW_OK) return ig_fail_oom(reterr);
  for (size_t i = 0; i < count; i++) {
    struct ArrowArray *column = given.children[part->columns.items[i]];
    if (!column->release)
      return ig_fail(reterr, IGLOO_INTERNAL, "a column of \"%.*s\" was asked for twice",
                     IG_STR_ARG(part->label));
    ArrowArrayMove(column, picked.children[i]);
  }
  picked.length = given.length;
  picked.offset = given.offset;
  code = ArrowArrayFinishBuilding(&picked, NANOARROW_VALIDATION_LEVEL_NONE, NULL);
  if (code != NANOARROW_OK) return ig_fail_oom(reterr);
  *ret_batch = picked;
  picked.release = NULL;
  return IGLOO_OK;
}

/* What the driver gave (taken), as it was promised. */
static igloo_status convert(struct rows *self, struct ArrowArray *batch,
                            struct ArrowArray *ret_batch, struct igloo_error *reterr) {
  struct ArrowError why = {0};
  IG_AUTO_ARRAY given = *batch;
  batch->release = NULL;
  int code = ArrowArrayViewSetArray(&self->view, &given, &why);
  if (code != NANOARROW_OK)
    return ig_fail(reterr, IGLOO_DATA_ERROR, "\"%.*s\" gave a malformed batch: %s",
                   IG_STR_ARG(self->open->part.label), why.message);
  self->entry.rows += given.length;
  self->entry.bytes += bytes_of(&self->view);
  if (self->open->part.counts) return make_counted(given.length, ret_batch, reterr);
  if (self->open->part.columns.len) return pick_columns(self, &given, ret_batch, reterr);
  *ret_batch = given;
  given.release = NULL;
  return IGLOO_OK;
}

static struct ig_waits waits_of(const struct rows *self) {
  return (struct ig_waits){.cancel = ig_run_peek_cancel(self->run),
                           .stop = self->stop,
                           .deadline_us = IG_NEVER_US};
}

static igloo_status fetch(struct rows *self, struct ArrowArray *ret_batch,
                          struct igloo_error *reterr) {
  struct ArrowArray *kept = self->first.release ? &self->first : &self->second;
  if (kept->release || !self->link) {
    *ret_batch = *kept;
    kept->release = NULL;
    return IGLOO_OK;
  }
  struct next_call *call = ig_call_new(sizeof(*call), run_next, next_call_free);
  if (!call) return ig_fail_oom(reterr);
  struct ig_waits waits = waits_of(self);
  igloo_status status = ig_link_call(self->link, &call->call, &waits, reterr);
  if (status == IGLOO_OK) {
    *ret_batch = call->batch;
    call->batch.release = NULL;
  }
  ig_call_unref(call);
  return status;
}

static igloo_status next_batch(struct rows *self, struct ArrowArray *ret_batch,
                               struct igloo_error *reterr) {
  if (self->logged) return IGLOO_OK; /* the end, again */
  IG_AUTO_ARRAY batch = {0};
  igloo_status status = fetch(self, &batch, reterr);
  if (status == IGLOO_OK && !batch.release) {
    self->drained = true;
    let_go(self, IGLOO_OK, "00000");
    return IGLOO_OK;
  }
  if (status == IGLOO_OK) status = convert(self, &batch, ret_batch, reterr);
  if (status != IGLOO_OK) let_go(self, status, reterr->sqlstate);
  return status;
}

/* ---- the stream
 * ------------------------------------------------------------------------
 */

static int errno_of(igloo_status status) {
  return status == IGLOO_OK              ? 0
         : status == IGLOO_OUT_OF_MEMORY ? ENOMEM
         : status == IGLOO_CANCELLED     ? ECANCELED
                                         : EIO;
}

static int rows_get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
  struct rows *self = stream->private_data;
  ig_error_reset(&self->error);
  return errno_of(ig_schema_copy(self->open->expected, out, &self->error));
}

static int rows_get_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
  struct rows *self = stream->private_data;
  ig_error_reset(&self->error);
  out->release = NULL;
  return errno_of(next_batch(self, out, &self->error));
}

static const char *rows_get_last_error(struct ArrowArrayStream *stream) {
  struct rows *self = stream->private_data;
  return self->error.status == IGLOO_OK ? NULL : self->error.message;
}

static void rows_release(struct ArrowArrayStream *stream) {
  rows_free(stream->private_data);
  stream->private_data = NULL;
  stream->release = NULL;
}

/* NULL for a stream of others. */
static const struct rows *rows_of(const struct ArrowArrayStream *rows) {
  return rows->get_next == rows_get_next ? rows->private_data : NULL;
}

bool ig_stream_is_whole(const struct ArrowArrayStream *rows) {
  const struct rows *self = rows_of(rows);
  return self && !self->link;
}

int64_t ig_stream_bytes(const struct ArrowArrayStream *rows) {
  const struct rows *self = rows_of(rows);
  return self ? self->entry.bytes : 0;
}

igloo_status ig_stream_error(const struct ArrowArrayStream *rows,
                             struct igloo_error *reterr) {
  const struct rows *self = rows_of(rows);
  if (!self) return IGLOO_OK;
  if (self->error.status != IGLOO_OK && reterr) *reterr = self->error;
  return self->error.status;
}

/* ---- opening ---------------------------------------------------------------------- */

static igloo_status make_open_call(const struct rows *rows, struct open_call **ret_call,
                                   struct igloo_error *reterr) {
  struct open_call *call = ig_call_new(sizeof(*call), run_open, open_call_free);
  if (!call) return ig_fail_oom(reterr);
  call->source = ig_source_ref(ig_run_peek_source(rows->slot));
  call->open = ig_open_part_ref(rows->open);
  *ret_call = call;
  return IGLOO_OK;
}

static void make_entry(struct rows *self) {
  const struct ig_open_part *open = self->open;
  self->began_us = ig_now_us();
  self->entry = (struct ig_pushdown_entry){
      .query_id = ig_run_settings(self->run)->query_id,
      .started_us = ig_wall_us(),
      .part = open->part.part,
      .parts = open->part.parts,
      .source = open->source,
      .table = open->shown,
      .text = open->text,
      .decisions = open->decisions,
  };
}

static igloo_status find_slot(struct rows *self, ig_remote_run *run,
                              struct igloo_error *reterr) {
  const struct ig_part *part = &self->open->part;
  self->slot = ig_run_find(run, part->source, part->version);
  if (self->slot) return IGLOO_OK;
  ig_source *source = ig_sources_find(ig_run_peek_sources(run), part->source);
  if (!source)
    return ig_fail_state(reterr, IGLOO_NOT_FOUND, "3D000",
                         "catalog \"%.*s\" is not attached", IG_STR_ARG(part->source));
  igloo_status status =
      source->version == part->version
          ? ig_run_plan(run, source, 0, &self->slot, reterr)
          : ig_fail(reterr, IGLOO_FAILED_PRECONDITION,
                    "catalog \"%s\" was attached anew meanwhile", source->name);
  ig_source_unref(source);
  return status;
}

/* Takes `open`, also on failure. */
static igloo_status make_rows(ig_remote_run *run, struct ig_open_part *open,
                              ig_cancel *stop, struct rows **ret_rows,
                              struct igloo_error *reterr) {
  IG_AUTO_STRUCT(ig_open_part) *held = open;
  struct rows *self = ig_calloc(1, sizeof(*self));
  if (!self) return ig_fail_oom(reterr);
  ArrowArrayViewInitFromType(&self->view, NANOARROW_TYPE_UNINITIALIZED);
  self->run = ig_remote_run_ref(run);
  self->stop = stop ? ig_cancel_ref(stop) : NULL;
  self->open = IG_TAKE(held);
  self->end = ig_call_new(sizeof(*self->end), run_end, end_call_free);
  igloo_status status = self->end ? find_slot(self, run, reterr) : ig_fail_oom(reterr);
  if (status != IGLOO_OK) {
    rows_free(self);
    return status;
  }
  make_entry(self);
  *ret_rows = self;
  return IGLOO_OK;
}

/* A lookup takes about as long as to change threads. What it failed with is looked into
 * on the link's own: no statement is cancelled there. */
static igloo_status make_call(ig_link *link, struct open_call *call,
                              const struct ig_waits *waits, struct igloo_error *reterr) {
  struct ig_call *base = &call->call;
  bool here = call->open->lookup && call->source->is_ours && call->source->type->stops;
  if (here) {
    base->run = run_here;
    igloo_status status = ig_link_call_here(link, base, waits, reterr);
    if (!may_be_changed(status)) return status;
    base->run = run_explain;
  } else {
    base->run = run_open;
  }
  return ig_link_call(link, base, waits, reterr);
}

static igloo_status open_once(struct rows *self, struct open_call *call,
                              struct igloo_error *reterr) {
  ig_link *link = NULL;
  struct ig_waits waits = waits_of(self);
  IG_TRY(ig_run_take(self->run, self->slot, self->open->part.snapshot, &waits, &link,
                     reterr));
  ig_source *source = ig_run_peek_source(self->slot);
  atomic_fetch_add(&source->statements, 1);
  call->guarded =
      call->open->part.table.len == 0 && !ig_run_in_snapshot(self->run, self->slot);
  igloo_status status = make_call(link, call, &waits, reterr);
  if (status == IGLOO_OK)
    self->link = link;
  else
    ig_run_give(self->run, self->slot, link, status);
  return status;
}

static igloo_status open_link(struct rows *self, struct open_call *call,
                              struct igloo_error *reterr) {
  struct igloo_error first = {0};
  igloo_status status = open_once(self, call, &first);
  if (status == IGLOO_UNAVAILABLE && ig_run_may_retry(self->run, self->slot)) {
    /* A snapshot that is gone with its server says less than why that is gone. */
    struct igloo_error second = {0};
    status = open_once(self, call, &second);
    bool stopped = status == IGLOO_CANCELLED || status == IGLOO_DEADLINE_EXCEEDED;
    if (stopped || !ig_run_in_snapshot(self->run, self->slot)) first = second;
  }
  if (status != IGLOO_OK && reterr) *reterr = first;
  return status == IGLOO_OK ? IGLOO_OK : first.status;
}

static igloo_status start(struct rows *self, struct open_call *call,
                          struct igloo_error *reterr) {
  struct igloo_error error = {0};
  igloo_status status = open_link(self, call, &error);
  if (status == IGLOO_OK && call->ended) {
    /* Before the run is told: what is left of it then goes at once. */
    ig_run_give(self->run, self->slot, IG_TAKE(self->link), IGLOO_OK);
  }
  ig_run_opened(self->run, self->slot);
  if (status != IGLOO_OK) {
    ig_source *source = ig_run_peek_source(self->slot);
    if (error.status == IGLOO_FAILED_PRECONDITION)
      ig_source_forget(source, call->open->part.schema, call->open->part.table);
    log_rows(self, error.sqlstate);
    if (reterr) *reterr = error;
    return status;
  }
  self->opened = true;
  self->first = call->first;
  call->first.release = NULL;
  self->second = call->second;
  call->second.release = NULL;
  struct ArrowError why = {0};
  int code = ArrowArrayViewInitFromSchema(&self->view, &call->given, &why);
  if (code == NANOARROW_OK) return IGLOO_OK;
  return code == ENOMEM ? ig_fail_oom(reterr)
                        : ig_fail(reterr, IGLOO_DATA_ERROR, "%s", why.message);
}

igloo_status ig_rows_open(ig_remote_run *run, struct ig_open_part *part, ig_cancel *stop,
                          struct ArrowArrayStream *ret_rows, struct igloo_error *reterr) {
  struct rows *self = NULL;
  struct open_call *call = NULL;
  IG_TRY(make_rows(run, part, stop, &self, reterr));
  IG_ASSERT(self);
  igloo_status status = make_open_call(self, &call, reterr);
  if (status == IGLOO_OK) {
    IG_ASSERT(call);
    status = start(self, call, reterr);
  } else {
    ig_run_opened(run, self->slot);
  }
  ig_call_unref(call);
  if (status != IGLOO_OK) {
    rows_free(self);
    return status;
  }
  *ret_rows = (struct ArrowArrayStream){.get_schema = rows_get_schema,
                                        .get_next = rows_get_next,
                                        .get_last_error = rows_get_last_error,
                                        .release = rows_release,
                                        .private_data = self};
  return IGLOO_OK;
}

igloo_status ig_remote_open(ig_remote_run *run, struct ig_str bytes, ig_cancel *stop,
                            struct ArrowArrayStream *ret_rows,
                            struct igloo_error *reterr) {
  struct ig_open_part *part = NULL;
  IG_TRY(ig_open_part_new(bytes, &part, reterr));
  return ig_rows_open(run, part, stop, ret_rows, reterr);
}
