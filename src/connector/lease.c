/* lease.c -- see lease.h. */
#include "connector/lease.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/protobuf.h"
#include "connector/internal.h"

/* What was said, its texts once more, and a part with its columns. */
#define ARENA_BYTES_MAX (2 * IG_LEASE_BYTES_MAX + 2 * IG_CONNECTOR_PART_ENCODED_MAX)

struct ig_lease {
  ig_source *source; /* shared */
  char *snapshot;
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
                           ig_cancel *stop, void (*gone)(void *ctx), void *ctx,
                           struct ArrowArrayStream *ret_rows,
                           struct igloo_error *reterr) {
  struct reader reader = {0};
  igloo_status status = prepare(&reader, sources, said, part, reterr);
  if (status != IGLOO_OK) {
    reader_done(&reader);
    gone(ctx);
    return status;
  }
  ig_links_on_gone(reader.source->pool, gone, ctx);
  status = ig_remote_open(reader.run, ig_str_make(reader.part, reader.part_len), stop,
                          ret_rows, reterr);
  /* Its connection ends with its part. */
  (void)ig_sources_detach(reader.sources, ig_str_from_cstr(reader.source->name));
  reader_done(&reader);
  return status;
}
