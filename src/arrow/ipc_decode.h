/*
 * ipc_decode.h -- Arrow data from IPC messages that anybody may have sent.
 *
 * Nothing in a message is believed: the flatbuffer is read with every offset checked;
 * lengths, offsets, bitmaps, UTF-8, indexes, union type ids, views and run ends are
 * looked at before an array is given away, so that whoever reads it needs no checks.
 * Slots that are NULL and hold nonsense where an index or a view should be are set to
 * zero.
 *
 * A body becomes one block of memory, to which every array of the message holds a
 * reference. It is taken as it is where it may be and lies well, otherwise copied once.
 *
 * Owns:    the decoder owns its schema and the dictionaries seen; arrays own their share
 *          of the block and may outlive the decoder.
 * Threads: a decoder has one user at a time; arrays may be released on any thread.
 * Blocks:  never.
 */
#ifndef IG_ARROW_IPC_DECODE_H
#define IG_ARROW_IPC_DECODE_H

#include <igloo/arrow.h>

#include "arrow/ipc_encode.h"
#include "base/str.h"

/* One message as it arrived. */
struct ig_ipc_input {
  struct ig_str metadata; /* the bare flatbuffer; borrowed for the call */
  uint8_t *body;          /* writable; may be NULL where body_len is 0 */
  size_t body_len;
  /* Frees what the body lies in, once, on any thread; NULL: the body is only borrowed for
   * the call, and copied. The metadata may lie in the same memory: it is called after
   * everything was read, also where there is no body, and after a failure. */
  void (*release)(void *owner);
  void *owner;
};

/* Where memory is counted that a decoder allocates: copied and decompressed bodies. It
 * must outlive every array. */
struct ig_ipc_budget {
  void *ctx;
  igloo_status (*reserve)(void *ctx, uint64_t bytes, struct igloo_error *reterr);
  void (*give_back)(void *ctx, uint64_t bytes); /* on any thread */
};

struct ig_ipc_limits {
  uint64_t body_bytes;                /* of one message, decompressed; 0: 1 GiB */
  const struct ig_ipc_budget *budget; /* NULL: not counted */
};

typedef struct ig_ipc_decoder ig_ipc_decoder;

/* Make a decoder that waits for a schema message; `limits` may be NULL. OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_ipc_decoder_new(const struct ig_ipc_limits *limits,
                                             ig_ipc_decoder **ret_decoder,
                                             struct igloo_error *reterr);
ig_ipc_decoder *ig_ipc_decoder_free(ig_ipc_decoder *decoder);
IG_DEFINE_AUTO(ig_ipc_decoder, ig_ipc_decoder_free)

/* Read the next message of the stream: one schema, then dictionaries and batches in any
 * order. `input` is taken, also on failure (its release is then NULL).
 * Returns IGLOO_OK and says in *ret_kind what it was; a record batch is given in
 * *ret_batch, a struct array (release it; untouched for other kinds);
 * DATA_ERROR 22000 for bytes that break the format, a batch before the schema, a second
 * schema, or NULL in a column that is declared not null;
 * UNSUPPORTED for what is valid but not read here: big endian, delta dictionaries,
 * unions of metadata version 4, versions before 4, tensors;
 * RESOURCE_EXHAUSTED 54000 where a limit is passed (columns, nesting, bytes, rows), or
 * what the budget says; OUT_OF_MEMORY. After a failure the decoder is only to be freed.
 */
IG_NODISCARD igloo_status ig_ipc_decoder_message(ig_ipc_decoder *decoder,
                                                 struct ig_ipc_input *input,
                                                 enum ig_ipc_kind *ret_kind,
                                                 struct ArrowArray *ret_batch,
                                                 struct igloo_error *reterr);

/* The bytes of all bodies so far, unpacked: for limits over a whole stream, since what is
 * compressed may become a thousand times as much. */
uint64_t ig_ipc_decoder_body_bytes(const ig_ipc_decoder *decoder);

/* The schema, a struct, borrowed from the decoder; NULL before its message came. */
const struct ArrowSchema *ig_ipc_decoder_schema(const ig_ipc_decoder *decoder);

/* A schema that was read, for streams that begin with the same message: counted,
 * immutable, shared by threads. */
typedef struct ig_ipc_known ig_ipc_known;
ig_ipc_known *ig_ipc_known_ref(ig_ipc_known *known);
ig_ipc_known *ig_ipc_known_unref(ig_ipc_known *known); /* takes NULL; returns NULL */
IG_DEFINE_AUTO(ig_ipc_known, ig_ipc_known_unref)
/* Whether this is the message's flatbuffer. */
bool ig_ipc_known_is(const ig_ipc_known *known, struct ig_str metadata);
/* That of the decoder, with a reference; NULL before its message came, for a long one and
 * for one with dictionaries. */
ig_ipc_known *ig_ipc_decoder_known(const ig_ipc_decoder *decoder);
/* As if the decoder, which has read nothing, had read that message. Shares it. */
void ig_ipc_decoder_begin(ig_ipc_decoder *decoder, ig_ipc_known *known);

/* Read a schema alone: bare, or with the prefix (FF FF FF FF and length, or length only
 * as before version 0.15), with or without the end-of-stream marker after it. Gives
 * *ret_schema (release it). Returns as ig_ipc_decoder_message. */
IG_NODISCARD igloo_status ig_ipc_schema_decode(struct ig_str bytes,
                                               struct ArrowSchema *ret_schema,
                                               struct igloo_error *reterr);

/* For streams of bytes (files, pipes): the prefix of the next message. Returns false if
 * more than `bytes.len` bytes are needed for it. Otherwise *ret_prefix is its length (4
 * or 8) and *ret_metadata that of the flatbuffer after it; 0 means the end of the stream.
 */
bool ig_ipc_read_prefix(struct ig_str bytes, size_t *ret_prefix, size_t *ret_metadata);

/* The length of the body that follows a flatbuffer. Returns DATA_ERROR 22000. */
IG_NODISCARD igloo_status ig_ipc_body_bytes(struct ig_str metadata, uint64_t *ret_bytes,
                                            struct igloo_error *reterr);

#endif
