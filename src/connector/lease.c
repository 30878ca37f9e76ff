/* lease.c -- see lease.h. */
#include "connector/lease.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/protobuf.h"
#include "connector/internal.h"
#include "connector/pushdown_log.h"

/* What was said, its texts once more, and a part with its columns. */
#define ARENA_BYTES_MAX (2 * IG_LEASE_BYTES_MAX + 2 * IG_CONNECTOR_PART_ENCODED_MAX)
/* Of an entry: table, text, decisions, snapshot; and the rest. */
#define READ_BYTES_MAX (4 * IG_PUSHDOWN_TEXT_BYTES_MAX + IG_KIB)

struct ig_lease {
  ig_source *source; /* shared */
  char *snapshot;
  int64_t query_id; /* for the log */
};

struct said {
  struct ig_str definition, snapshot;
};
static const struct ig_protobuf_field said_fields[] = {
    IG_PROTOBUF_FIELD(1, BYTES, said, definition),
    IG_PROTOBUF_FIELD(2, STRING, said, snapshot),
};
static const struct ig_protobuf_message said_message =
    IG_PROTOBUF_MESSAGE("igloo.connector.Lease", said, said_fields);

/* An entry of the reader's log, less what the one who leased knows better. */
struct read {
  int64_t started_us, duration_us, rows, bytes;
  int32_t part, parts;
  struct ig_str table, text, decisions, snapshot, sqlstate;
};
static const struct ig_protobuf_field read_fields[] = {
    IG_PROTOBUF_FIELD(1, INT64, read, started_us),
    IG_PROTOBUF_FIELD(2, INT64, read, duration_us),
    IG_PROTOBUF_FIELD(3, INT64, read, rows),
    IG_PROTOBUF_FIELD(4, INT64, read, bytes),
    IG_PROTOBUF_FIELD(5, INT32, read, part),
    IG_PROTOBUF_FIELD(6, INT32, read, parts),
    IG_PROTOBUF_FIELD(7, STRING, read, table),
    IG_PROTOBUF_FIELD(8, STRING, read, text),
    IG_PROTOBUF_FIELD(9, STRING, read, decisions),
    IG_PROTOBUF_FIELD(10, STRING, read, snapshot),
    IG_PROTOBUF_FIELD(11, STRING, read, sqlstate),
};
static const struct ig_protobuf_message read_message =
    IG_PROTOBUF_MESSAGE("igloo.connector.Read", read, read_fields);

/* ---- who has the places ------------------------------------------------------------ */

static igloo_status find_slot(ig_remote_run *run, struct ig_str part,
                              struct ig_run_source **ret_slot,
                              struct igloo_error *reterr) {
  IG_AUTO(ig_arena) *arena = ig_arena_new(2 * IG_CONNECTOR_PART_ENCODED_MAX);
  if (!arena) return ig_fail_oom(reterr);
  struct ig_part decoded;
  IG_TRY(ig_part_decode(part, arena, &decoded, reterr));
  *ret_slot = ig_run_find(run, decoded.source, decoded.version);
  if (*ret_slot && ig_source_reach(ig_run_peek_source(*ret_slot)) != IG_REACH_HERE)
    return IGLOO_OK;
  return ig_fail(reterr, IGLOO_NOT_FOUND, "the statement does not offer \"%.*s\"",
                 IG_STR_ARG(decoded.source));
}

static igloo_status lend(ig_remote_run *run, struct ig_str part, ig_cancel *stop,
                         ig_lease *lease, struct igloo_error *reterr) {
  struct ig_run_source *slot = NULL;
  struct ig_waits waits = {
      .cancel = ig_run_peek_cancel(run), .stop = stop, .deadline_us = IG_NEVER_US};
  IG_TRY(find_slot(run, part, &slot, reterr));
  IG_TRY(ig_run_lend(run, slot, &waits, &lease->snapshot, reterr));
  lease->source = ig_source_ref(ig_run_peek_source(slot));
  lease->query_id = ig_run_settings(run)->query_id;
  atomic_fetch_add(&lease->source->statements, 1);
  return IGLOO_OK;
}

igloo_status ig_lease_take(ig_sources *sources,
                           const uint8_t query_id[IG_RUN_OFFER_BYTES], struct ig_str part,
                           ig_cancel *stop, ig_lease **ret_lease,
                           struct igloo_error *reterr) {
  IG_AUTO(ig_remote_run) *run = ig_sources_find_offer(sources, query_id);
  if (!run) return ig_fail(reterr, IGLOO_NOT_FOUND, "the statement has ended");
  IG_AUTO(ig_lease) *lease = ig_calloc(1, sizeof(*lease));
  if (!lease) return ig_fail_oom(reterr);
  IG_TRY(lend(run, part, stop, lease, reterr));
  *ret_lease = IG_TAKE(lease);
  return IGLOO_OK;
}

void ig_lease_write(const ig_lease *lease, struct ig_buf *out) {
  struct said said = {.definition = ig_buf_str(&lease->source->definition),
                      .snapshot = ig_str_from_cstr(lease->snapshot)};
  ig_protobuf_encode(&said_message, &said, out);
}

static void log_read(const ig_lease *lease, const struct read *read,
                     const char *const texts[5]) {
  ig_source *source = lease->source;
  const struct ig_pushdown_entry entry = {
      .query_id = lease->query_id,
      .started_us = read->started_us,
      .duration_us = read->duration_us,
      .rows = read->rows,
      .bytes = read->bytes,
      .part = read->part,
      .parts = read->parts,
      .source = source->name,
      .table = texts[0],
      .text = texts[1],
      .decisions = texts[2],
      .snapshot = texts[3],
      .sqlstate = texts[4],
  };
  ig_pushdown_log_add(source->log, &entry);
  atomic_fetch_add(&source->rows, (uint64_t)read->rows);
  atomic_fetch_add(&source->bytes, (uint64_t)read->bytes);
}

igloo_status ig_lease_told(ig_lease *lease, struct ig_str read,
                           struct igloo_error *reterr) {
  struct read decoded = {0};
  if (read.len == 0) return IGLOO_OK;
  IG_AUTO(ig_arena) *arena = ig_arena_new(READ_BYTES_MAX);
  if (!arena) return ig_fail_oom(reterr);
  IG_TRY(ig_protobuf_decode(&read_message, read, arena, &decoded, reterr));
  const struct ig_str said[5] = {decoded.table, decoded.text, decoded.decisions,
                                 decoded.snapshot, decoded.sqlstate};
  const char *texts[5];
  for (size_t i = 0; i < IG_ARRAY_LEN(said); i++) {
    texts[i] = ig_arena_fmt(arena, "%.*s", IG_STR_ARG(said[i]));
    if (!texts[i]) return ig_arena_fail(arena, reterr);
  }
  if (decoded.rows < 0 || decoded.bytes < 0)
    return ig_fail_state(reterr, IGLOO_INVALID_ARGUMENT, "08P01",
                         "a part cannot have fewer rows than none");
  log_read(lease, &decoded, texts);
  return IGLOO_OK;
}

ig_lease *ig_lease_end(ig_lease *lease) {
  if (!lease) return NULL;
  if (lease->source) {
    ig_links_take_back(lease->source->pool);
    ig_links_unreserve(lease->source->pool, IG_PLACE_READ, 1);
    ig_source_unref(lease->source);
  }
  ig_free(lease->snapshot);
  ig_free(lease);
  return NULL;
}

/* ---- who reads --------------------------------------------------------------------- */

/* What opening needs; the source is one of its own, for this connection alone. */
struct reader {
  ig_arena *arena; /* of what was said, secrets among it */
  ig_sources *sources;
  ig_source *source;
  ig_remote_run *run;
  char *part; /* with the snapshot */
  size_t part_len;
};

/* Who waits for the end of its connection. */
struct leaving {
  void (*gone)(void *ctx, struct ig_str read);
  void *ctx;
  ig_pushdown_log *log; /* of its sources: has what was read */
};

static void write_read(const struct ig_pushdown_entry *entry, struct ig_buf *out) {
  const struct read read = {.started_us = entry->started_us,
                            .duration_us = entry->duration_us,
                            .rows = entry->rows,
                            .bytes = entry->bytes,
                            .part = entry->part,
                            .parts = entry->parts,
                            .table = ig_str_from_cstr(entry->table),
                            .text = ig_str_from_cstr(entry->text),
                            .decisions = ig_str_from_cstr(entry->decisions),
                            .snapshot = ig_str_from_cstr(entry->snapshot),
                            .sqlstate = ig_str_from_cstr(entry->sqlstate)};
  ig_protobuf_encode(&read_message, &read, out);
}

/* What cannot be told for want of memory is not in the log, no more. */
static void tell_gone(void *ctx) {
  struct leaving *leaving = ctx;
  IG_AUTO(ig_pushdown_list) *list = NULL;
  IG_AUTO_DONE(ig_buf) read = IG_BUF_INIT(READ_BYTES_MAX);
  if (leaving->log && ig_pushdown_log_list(leaving->log, &list, NULL) == IGLOO_OK &&
      ig_pushdown_list_count(list) > 0)
    write_read(ig_pushdown_list_get(list, ig_pushdown_list_count(list) - 1), &read);
  bool is_whole = ig_buf_check(&read, NULL) == IGLOO_OK;
  leaving->gone(leaving->ctx, is_whole ? ig_buf_str(&read) : (struct ig_str){0});
  ig_pushdown_log_unref(leaving->log);
  ig_free(leaving);
}

static void reader_done(struct reader *reader) {
  ig_remote_run_unref(reader->run);
  ig_source_unref(reader->source);
  ig_sources_unref(reader->sources);
  ig_free(reader->part);
  ig_arena_free_wiped(reader->arena);
}

static igloo_status attach(struct reader *reader, const ig_sources *like,
                           const struct ig_source_definition *definition,
                           struct igloo_error *reterr) {
  struct ig_sources_settings settings = ig_sources_settings_of(like);
  settings.max_connections = 2; /* one, and one after it where that fails */
  IG_TRY(ig_sources_new(&settings, &reader->sources, reterr));
  IG_TRY(ig_sources_attach(reader->sources, definition, reterr));
  reader->source = ig_sources_find(reader->sources, ig_str_from_cstr(definition->name));
  struct ig_remote_settings run = {.pushdown = true};
  return ig_remote_run_new(reader->sources, NULL, &run, &reader->run, reterr);
}

static igloo_status prepare(struct reader *reader, const ig_sources *like,
                            struct ig_str bytes, struct ig_str part,
                            struct igloo_error *reterr) {
  struct said said = {0};
  struct ig_source_definition definition;
  struct ig_part decoded;
  reader->arena = ig_arena_new(ARENA_BYTES_MAX);
  if (!reader->arena) return ig_fail_oom(reterr);
  IG_TRY(ig_protobuf_decode(&said_message, bytes, reader->arena, &said, reterr));
  IG_TRY(ig_definition_decode(said.definition, reader->arena, &definition, reterr));
  IG_TRY(ig_part_decode(part, reader->arena, &decoded, reterr));
  decoded.snapshot = said.snapshot;
  IG_TRY(ig_part_encode(&decoded, &reader->part, &reader->part_len, reterr));
  return attach(reader, like, &definition, reterr);
}

igloo_status ig_lease_open(ig_sources *sources, struct ig_str said, struct ig_str part,
                           ig_cancel *stop, void (*gone)(void *ctx, struct ig_str read),
                           void *ctx, struct ArrowArrayStream *ret_rows,
                           struct igloo_error *reterr) {
  struct reader reader = {0};
  struct leaving *leaving = ig_malloc(sizeof(*leaving));
  igloo_status status =
      leaving ? prepare(&reader, sources, said, part, reterr) : ig_fail_oom(reterr);
  if (status != IGLOO_OK) {
    reader_done(&reader);
    ig_free(leaving);
    gone(ctx, (struct ig_str){0});
    return status;
  }
  *leaving = (struct leaving){
      .gone = gone,
      .ctx = ctx,
      .log = ig_pushdown_log_ref(ig_sources_peek_log(reader.sources)),
  };
  ig_links_on_gone(reader.source->pool, tell_gone, leaving);
  status = ig_remote_open(reader.run, ig_str_make(reader.part, reader.part_len), stop,
                          ret_rows, reterr);
  /* Its connection ends with its part. */
  (void)ig_sources_detach(reader.sources, ig_str_from_cstr(reader.source->name));
  reader_done(&reader);
  return status;
}
