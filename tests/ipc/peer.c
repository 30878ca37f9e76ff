/* peer.c -- our encoder and decoder as a small library, so that Python can hold them
 * against pyarrow in one process: an array reaches the encoder with the offsets and
 * slices that it has. IPC streams stand in files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arrow/ipc_decode.h"
#include "arrow/ipc_encode.h"
#include "arrow/schema.h"
#include "arrow/stream.h"

#define ERROR_BYTES 2048

int peer_encode(struct ArrowArrayStream *stream, const char *path, uint64_t target_bytes,
                int codec, uint64_t *ret_largest, char *error);
int peer_encode_schema(const struct ArrowSchema *schema, const char *path, char *error);
int peer_decode(const char *path, int adopt, struct ArrowSchema *ret_schema,
                struct ArrowArray *arrays, size_t arrays_max, size_t *ret_arrays,
                char *error);
int peer_decode_schema(const char *path, struct ArrowSchema *ret_schema, char *error);

static int say(const struct igloo_error *why, char *error) {
  (void)snprintf(error, ERROR_BYTES, "%s: %s", why->sqlstate, why->message);
  return (int)why->status;
}

/* ---- encode -------------------------------------------------------------------------
 */

static void write_message(FILE *file, struct ig_ipc_message *message,
                          uint64_t *ret_largest) {
  uint32_t prefix[2] = {UINT32_MAX,
                        (uint32_t)message->pieces.parts[IG_IPC_PART_METADATA].iov_len};
  uint64_t bytes = 0;
  (void)fwrite(prefix, sizeof(prefix), 1, file);
  for (size_t i = 0; i < message->pieces.parts_len; i++) {
    const struct iovec *part = &message->pieces.parts[i];
    bytes += part->iov_len;
    if (part->iov_len > 0) (void)fwrite(part->iov_base, part->iov_len, 1, file);
  }
  IG_ASSERT(bytes == message->pieces.bytes);
  IG_ASSERT(bytes == prefix[1] + message->body_bytes && prefix[1] % 8 == 0);
  if (message->rows != 1 && message->kind == IG_IPC_BATCH && bytes > *ret_largest)
    *ret_largest = bytes;
  ig_ipc_message_done(message);
}

static igloo_status encode_batch(ig_ipc_encoder *encoder, struct ArrowArray *batch,
                                 FILE *file, uint64_t *ret_largest,
                                 struct igloo_error *reterr) {
  struct ig_ipc_message message;
  bool more = true;
  IG_TRY(ig_ipc_encoder_batch(encoder, batch, reterr));
  while (more) {
    IG_TRY(ig_ipc_encoder_next(encoder, &message, &more, reterr));
    if (more) write_message(file, &message, ret_largest);
  }
  return IGLOO_OK;
}

static igloo_status encode(struct ArrowArrayStream *stream, FILE *file,
                           const struct ig_ipc_options *options, uint64_t *ret_largest,
                           struct igloo_error *reterr) {
  IG_AUTO_SCHEMA schema = {0};
  IG_AUTO(ig_ipc_encoder) *encoder = NULL;
  struct ig_ipc_message message;
  IG_TRY(ig_stream_schema(stream, &schema, reterr));
  IG_TRY(ig_ipc_encoder_new(&schema, options, &encoder, reterr));
  IG_TRY(ig_ipc_encoder_schema(encoder, &message, reterr));
  write_message(file, &message, ret_largest);
  for (;;) {
    IG_AUTO_ARRAY batch = {0};
    IG_TRY(ig_stream_next(stream, &batch, reterr));
    if (!batch.release) break;
    IG_TRY(encode_batch(encoder, &batch, file, ret_largest, reterr));
  }
  uint32_t end[2] = {UINT32_MAX, 0};
  (void)fwrite(end, sizeof(end), 1, file);
  return IGLOO_OK;
}

int peer_encode(struct ArrowArrayStream *stream, const char *path, uint64_t target_bytes,
                int codec, uint64_t *ret_largest, char *error) {
  struct igloo_error why = {0};
  struct ig_ipc_options options = {.target_bytes = target_bytes,
                                   .codec = (enum ig_ipc_codec)codec};
  FILE *file = fopen(path, "wb");
  if (!file) return -1;
  *ret_largest = 0;
  igloo_status status = encode(stream, file, &options, ret_largest, &why);
  stream->release(stream);
  (void)fclose(file);
  return status == IGLOO_OK ? 0 : say(&why, error);
}

int peer_encode_schema(const struct ArrowSchema *schema, const char *path, char *error) {
  struct igloo_error why = {0};
  IG_AUTO_DONE(ig_buf) bytes = IG_BUF_INIT(IG_GIB);
  if (ig_ipc_schema_encode(schema, true, &bytes, &why) != IGLOO_OK)
    return say(&why, error);
  FILE *file = fopen(path, "wb");
  if (!file) return -1;
  (void)fwrite(bytes.data, bytes.len, 1, file);
  (void)fclose(file);
  return 0;
}

/* ---- decode -------------------------------------------------------------------------
 */

static struct ig_str read_file(const char *path) {
  FILE *file = fopen(path, "rb");
  IG_ASSERT(file && fseek(file, 0, SEEK_END) == 0);
  size_t len = (size_t)ftell(file);
  char *bytes = malloc(len + 1);
  rewind(file);
  IG_ASSERT(bytes && fread(bytes, 1, len, file) == len);
  (void)fclose(file);
  return ig_str_make(bytes, len);
}

static void give_back(void *owner) {
  free(owner);
}

/* The body as a message of its own that the decoder may keep, or where it lies. */
static struct ig_ipc_input make_input(struct ig_str metadata, const char *body,
                                      size_t body_len, int adopt) {
  struct ig_ipc_input input = {.metadata = metadata, .body_len = body_len};
  uint8_t *copy = aligned_alloc(64, (body_len + 64) / 64 * 64);
  IG_ASSERT(copy);
  memcpy(copy, body, body_len);
  input.body = copy;
  input.release = give_back;
  input.owner = copy;
  if (!adopt) { /* the decoder copies; that it keeps nothing, the sanitizer proves */
    input.release = NULL;
  }
  return input;
}

static igloo_status decode(struct ig_str file, int adopt, ig_ipc_decoder *decoder,
                           struct ArrowArray *arrays, size_t arrays_max,
                           size_t *ret_arrays, struct igloo_error *reterr) {
  size_t at = 0, prefix, metadata_len;
  *ret_arrays = 0;
  while (ig_ipc_read_prefix(ig_str_sub(file, at, SIZE_MAX), &prefix, &metadata_len) &&
         metadata_len > 0) {
    struct ig_str metadata = ig_str_sub(file, at + prefix, metadata_len);
    uint64_t body_len;
    IG_TRY(ig_ipc_body_bytes(metadata, &body_len, reterr));
    at += prefix + metadata_len;
    IG_ASSERT(at + body_len <= file.len);
    struct ig_ipc_input input =
        make_input(metadata, file.data + at, (size_t)body_len, adopt);
    void *borrowed = adopt ? NULL : input.body;
    enum ig_ipc_kind kind;
    struct ArrowArray array = {0};
    igloo_status status = ig_ipc_decoder_message(decoder, &input, &kind, &array, reterr);
    free(borrowed);
    IG_TRY(status);
    at += body_len;
    if (kind != IG_IPC_BATCH) continue;
    IG_ASSERT(*ret_arrays < arrays_max);
    arrays[(*ret_arrays)++] = array;
  }
  return IGLOO_OK;
}

int peer_decode(const char *path, int adopt, struct ArrowSchema *ret_schema,
                struct ArrowArray *arrays, size_t arrays_max, size_t *ret_arrays,
                char *error) {
  struct igloo_error why = {0};
  struct ig_str file = read_file(path);
  ig_ipc_decoder *decoder = NULL;
  igloo_status status = ig_ipc_decoder_new(NULL, &decoder, &why);
  if (status == IGLOO_OK)
    status = decode(file, adopt, decoder, arrays, arrays_max, ret_arrays, &why);
  if (status == IGLOO_OK)
    status = ig_schema_copy(ig_ipc_decoder_schema(decoder), ret_schema, &why);
  ig_ipc_decoder_free(decoder); /* the arrays live on */
  free((void *)(uintptr_t)file.data);
  return status == IGLOO_OK ? 0 : say(&why, error);
}

int peer_decode_schema(const char *path, struct ArrowSchema *ret_schema, char *error) {
  struct igloo_error why = {0};
  struct ig_str file = read_file(path);
  igloo_status status = ig_ipc_schema_decode(file, ret_schema, &why);
  free((void *)(uintptr_t)file.data);
  return status == IGLOO_OK ? 0 : say(&why, error);
}
