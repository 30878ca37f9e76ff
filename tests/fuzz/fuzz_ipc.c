/* fuzz_ipc.c -- ig_ipc_decoder_message(): the input is a stream of IPC messages. What is
 * let in holds for a reader that checks for itself (nanoarrow's full validation), goes
 * through our encoder, and comes back from it with as many rows. Nothing is kept of a
 * body that was only lent. */
#include <nanoarrow/nanoarrow.h>

#include "arrow/ipc_decode.h"
#include "arrow/ipc_encode.h"
#include "arrow/stream.h"
#include "fuzz.h"

#define BODY_BYTES_MAX (16 * IG_MIB) /* of what is unpacked */

/* ---- memory that is counted ---------------------------------------------------------
 */

static uint64_t reserved_bytes;

static igloo_status reserve(void *ctx, uint64_t bytes, struct igloo_error *reterr) {
  (void)ctx;
  (void)reterr;
  reserved_bytes += bytes;
  return IGLOO_OK;
}

static void give_back(void *ctx, uint64_t bytes) {
  (void)ctx;
  fuzz_assert(bytes <= reserved_bytes);
  reserved_bytes -= bytes;
}

static const struct ig_ipc_budget budget = {.reserve = reserve, .give_back = give_back};
static const struct ig_ipc_limits limits = {.body_bytes = BODY_BYTES_MAX,
                                            .budget = &budget};

/* ---- what was let in ----------------------------------------------------------------
 */

static void check_with_nanoarrow(const struct ArrowSchema *schema,
                                 const struct ArrowArray *array) {
  struct ArrowArrayView view;
  struct ArrowError why = {{0}};
  fuzz_assert(ArrowArrayViewInitFromSchema(&view, schema, &why) == NANOARROW_OK);
  int code = ArrowArrayViewSetArray(&view, array, &why);
  if (code == NANOARROW_OK)
    code = ArrowArrayViewValidate(&view, NANOARROW_VALIDATION_LEVEL_FULL, &why);
  if (code != NANOARROW_OK) (void)fprintf(stderr, "nanoarrow: %s\n", why.message);
  fuzz_assert(code == NANOARROW_OK);
  ArrowArrayViewReset(&view);
}

/* A message of ours as one that came in. */
static int64_t decode_message(ig_ipc_decoder *decoder, struct ig_ipc_message *message) {
  const struct iovec *metadata = &message->pieces.parts[IG_IPC_PART_METADATA];
  uint8_t *body = malloc(message->body_bytes + 1);
  size_t len = 0;
  fuzz_assert(body != NULL);
  for (size_t i = IG_IPC_PART_BODY; i < message->pieces.parts_len; i++) {
    const struct iovec *part = &message->pieces.parts[i];
    memcpy(body + len, part->iov_base, part->iov_len);
    len += part->iov_len;
  }
  fuzz_assert(len == message->body_bytes);
  struct ig_ipc_input input = {
      .metadata = ig_str_make(metadata->iov_base, metadata->iov_len),
      .body = body,
      .body_len = len,
      .release = free,
      .owner = body};
  enum ig_ipc_kind kind;
  IG_AUTO_ARRAY array = {0};
  struct igloo_error error = {0};
  igloo_status status = ig_ipc_decoder_message(decoder, &input, &kind, &array, &error);
  if (status != IGLOO_OK) (void)fprintf(stderr, "%s\n", error.message);
  fuzz_assert(status == IGLOO_OK);
  fuzz_assert(kind == message->kind && (kind != IG_IPC_BATCH || array.release));
  return array.release ? array.length : 0;
}

static void check_again(const struct ArrowSchema *schema, struct ArrowArray *array) {
  IG_AUTO(ig_ipc_encoder) *encoder = NULL;
  IG_AUTO(ig_ipc_decoder) *decoder = NULL;
  struct ig_ipc_options options = {.codec = array->length % 7 == 3 ? IG_IPC_LZ4
                                                                   : IG_IPC_PLAIN};
  struct ig_ipc_message message;
  struct igloo_error error = {0};
  int64_t rows = array->length, rows_again = 0;
  fuzz_assert(ig_ipc_encoder_new(schema, &options, &encoder, &error) == IGLOO_OK);
  fuzz_assert(ig_ipc_decoder_new(NULL, &decoder, &error) == IGLOO_OK);
  fuzz_assert(ig_ipc_encoder_schema(encoder, &message, &error) == IGLOO_OK);
  (void)decode_message(decoder, &message);
  ig_ipc_message_done(&message);
  fuzz_assert(ig_ipc_encoder_batch(encoder, array, &error) == IGLOO_OK);
  for (bool more = true; more;) {
    fuzz_assert(ig_ipc_encoder_next(encoder, &message, &more, &error) == IGLOO_OK);
    if (!more) break;
    rows_again += decode_message(decoder, &message);
    ig_ipc_message_done(&message);
  }
  fuzz_assert(rows_again == rows);
}

/* ---- the input ----------------------------------------------------------------------
 */

/* Read the next message of the input; false where there is none or it is refused. */
static bool read_next(ig_ipc_decoder *decoder, struct ig_str *rest) {
  size_t prefix, metadata_len;
  uint64_t body_len;
  struct igloo_error error = {0};
  if (!ig_ipc_read_prefix(*rest, &prefix, &metadata_len) || metadata_len == 0)
    return false;
  struct ig_str metadata = ig_str_sub(*rest, prefix, metadata_len);
  igloo_status status = ig_ipc_body_bytes(metadata, &body_len, &error);
  if (status != IGLOO_OK) {
    fuzz_check_error(status, &error);
    return false;
  }
  *rest = ig_str_sub(*rest, prefix + metadata_len, SIZE_MAX);
  if (body_len > rest->len) body_len = rest->len; /* which will be refused */
  uint8_t *body = malloc(body_len + 1);
  fuzz_assert(body != NULL);
  memcpy(body, rest->data ? rest->data : "", body_len);
  *rest = ig_str_sub(*rest, body_len, SIZE_MAX);

  bool lent = body_len % 16 == 8;
  struct ig_ipc_input input = {.metadata = metadata,
                               .body = body,
                               .body_len = body_len,
                               .release = lent ? NULL : free,
                               .owner = body};
  enum ig_ipc_kind kind;
  IG_AUTO_ARRAY array = {0};
  status = ig_ipc_decoder_message(decoder, &input, &kind, &array, &error);
  fuzz_assert(!input.release);
  if (lent) free(body);
  if (status != IGLOO_OK) {
    fuzz_assert(!array.release);
    fuzz_check_error(status, &error);
    return false;
  }
  if (kind == IG_IPC_BATCH) {
    check_with_nanoarrow(ig_ipc_decoder_schema(decoder), &array);
    check_again(ig_ipc_decoder_schema(decoder), &array);
  }
  return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct ig_str rest = ig_str_make((const char *)data, size);
  struct ArrowSchema schema = {0};
  struct igloo_error error = {0};
  ig_ipc_decoder *decoder = NULL;
  fuzz_assert(ig_ipc_decoder_new(&limits, &decoder, &error) == IGLOO_OK);
  while (read_next(decoder, &rest)) continue;
  ig_ipc_decoder_free(decoder);
  fuzz_assert(reserved_bytes == 0);
  if (ig_ipc_schema_decode(ig_str_make((const char *)data, size), &schema, &error) ==
      IGLOO_OK)
    schema.release(&schema);
  return 0;
}
