/*
 * ipc_encode.h -- Arrow data as IPC messages whose bodies stay where they lie.
 *
 * A message is a flatbuffer ("metadata") and a body. The metadata is made here; the body
 * is a list of the array's own buffers with zeros between them. Copied are only offsets
 * that must start at 0 again, bitmaps that do not start on a byte, buffers so small that
 * a copy costs less than a part of their own, and, where a batch is split, text and
 * bytes of views. Nothing is cast: the schema is what goes out.
 *
 *     ig_ipc_encoder_schema(encoder, &message, reterr);  send
 *     for each batch: ig_ipc_encoder_batch(encoder, &batch, reterr);
 *       while (ig_ipc_encoder_next(encoder, &message, &more, reterr) == OK && more) send
 *
 * Metadata version 5, little endian, buffers on multiples of 64 bytes of the body.
 *
 * Owns:    a message owns its metadata and shares the batch with the other messages that
 *          were made of it; the batch is released with the last of them.
 * Threads: an encoder has one user at a time; messages may be released on any thread,
 * also after the encoder. Blocks:  never (compressing takes processor time).
 */
#ifndef IG_ARROW_IPC_ENCODE_H
#define IG_ARROW_IPC_ENCODE_H

#include <igloo/arrow.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/pieces.h"

enum ig_ipc_kind { /* numbers of the format */
                   IG_IPC_SCHEMA = 1,
                   IG_IPC_DICTIONARY = 2,
                   IG_IPC_BATCH = 3,
};

enum ig_ipc_codec {
  IG_IPC_PLAIN,
  IG_IPC_LZ4, /* LZ4_FRAME */
  IG_IPC_ZSTD,
};

/* Plain gRPC clients refuse messages over 4 MiB; what stands around metadata and body
 * (envelope, descriptor) has the rest. One row alone, and a dictionary, may be larger. */
#define IG_IPC_MESSAGE_BYTES_MAX (4 * IG_MIB - 16 * IG_KIB)
/* Large enough that calls do not count, small enough to stay in the cache. */
#define IG_IPC_TARGET_BYTES (IG_MIB)

/* What stands at which place of a message's parts. */
enum ig_ipc_part {
  IG_IPC_PART_BEFORE = 0,   /* empty: room for what comes before the metadata */
  IG_IPC_PART_METADATA = 1, /* the bare flatbuffer; its length is a multiple of 8 */
  IG_IPC_PART_BETWEEN = 2,  /* empty: room for what comes before the body */
  IG_IPC_PART_BODY = 3,     /* the first of the body */
};
#define IG_IPC_ROOM_BYTES 96

struct ig_ipc_message {
  enum ig_ipc_kind kind;
  int64_t rows;            /* of a record batch */
  struct ig_pieces pieces; /* as ig_ipc_part; `bytes` counts metadata and body */
  uint64_t body_bytes;     /* a multiple of 8; 0 for schemas */
  uint8_t *room;           /* IG_IPC_ROOM_BYTES, freed with the message: whoever frames it
                              writes there and points the empty parts to it (and adds their
                              length to pieces.bytes) */
};

static inline void ig_ipc_message_done(struct ig_ipc_message *message) {
  ig_pieces_done(&message->pieces);
}

struct ig_ipc_options {
  uint64_t target_bytes; /* metadata and body; 0: IG_IPC_TARGET_BYTES */
  enum ig_ipc_codec codec;
};

/* What all encoders of one schema need of it, with its message: made once where many
 * results have it. Counted and immutable; shared by threads. */
typedef struct ig_ipc_format ig_ipc_format;
/* Gives one reference. Returns as ig_ipc_encoder_new. */
IG_NODISCARD igloo_status ig_ipc_format_new(const struct ArrowSchema *schema,
                                            ig_ipc_format **ret_format,
                                            struct igloo_error *reterr);
ig_ipc_format *ig_ipc_format_ref(ig_ipc_format *format);
ig_ipc_format *ig_ipc_format_unref(ig_ipc_format *format); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_ipc_format, ig_ipc_format_unref)

typedef struct ig_ipc_encoder ig_ipc_encoder;

/* Make an encoder for batches of `schema` (a struct; copied). `options` may be NULL.
 * Returns IGLOO_OK and gives *ret_encoder (free: ig_ipc_encoder_free); UNSUPPORTED for a
 * type that the IPC format or this build does not know; INVALID_ARGUMENT for a malformed
 * schema; RESOURCE_EXHAUSTED 54000 beyond IG_COLUMNS_MAX or IG_SCHEMA_DEPTH_MAX;
 * OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_ipc_encoder_new(const struct ArrowSchema *schema,
                                             const struct ig_ipc_options *options,
                                             ig_ipc_encoder **ret_encoder,
                                             struct igloo_error *reterr);
/* The same for a format (shared). OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_ipc_encoder_of_format(ig_ipc_format *format,
                                                   const struct ig_ipc_options *options,
                                                   ig_ipc_encoder **ret_encoder,
                                                   struct igloo_error *reterr);
ig_ipc_encoder *ig_ipc_encoder_free(ig_ipc_encoder *encoder);
IG_DEFINE_AUTO(ig_ipc_encoder, ig_ipc_encoder_free)

/* Give the schema message, the first of every stream. OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_ipc_encoder_schema(ig_ipc_encoder *encoder,
                                                struct ig_ipc_message *ret_message,
                                                struct igloo_error *reterr);

/* Put in the next batch (taken, also on failure), once ig_ipc_encoder_next() said that
 * the one before is done. Returns INTERNAL for an array that does not fit the schema;
 * OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_ipc_encoder_batch(ig_ipc_encoder *encoder,
                                               struct ArrowArray *batch,
                                               struct igloo_error *reterr);

/* Give the next message of the batch: its dictionaries as far as they changed since the
 * last batch, then its rows in as many messages as they need, at least one (a batch of 0
 * rows is one message too). *ret_more is false, and *ret_message untouched, when there
 * is nothing left. Returns INTERNAL for offsets that run backwards or out of a child;
 * OUT_OF_MEMORY; the encoder is then only to be freed. */
IG_NODISCARD igloo_status ig_ipc_encoder_next(ig_ipc_encoder *encoder,
                                              struct ig_ipc_message *ret_message,
                                              bool *ret_more, struct igloo_error *reterr);

/* Append a schema as one piece of bytes. `framed`: with the prefix FF FF FF FF, length
 * ("encapsulated": FlightInfo.schema, SchemaResult, dataset_schema, table_schema);
 * otherwise the bare flatbuffer (FlightData.data_header). Returns as
 * ig_ipc_encoder_new; the failure of `out` is its own. */
IG_NODISCARD igloo_status ig_ipc_schema_encode(const struct ArrowSchema *schema,
                                               bool framed, struct ig_buf *out,
                                               struct igloo_error *reterr);

#endif
