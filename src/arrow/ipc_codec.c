/* ipc_codec.c -- see ipc_codec.h. */
#include "arrow/ipc_codec.h"

#include <lz4frame.h>
#include <zstd.h>

#include "arrow/ipc_layout.h"

#define ZSTD_LEVEL 1 /* a network is faster than the higher ones */
#define LEFT_AS_IT_IS ((int64_t)-1)

size_t ig_ipc_pack_room(enum ig_ipc_codec codec, size_t len) {
  size_t frame =
      codec == IG_IPC_LZ4 ? LZ4F_compressFrameBound(len, NULL) : ZSTD_compressBound(len);
  return IG_IPC_PACKED_PREFIX + (frame > len ? frame : len);
}

size_t ig_ipc_pack(enum ig_ipc_codec codec, const uint8_t *src, size_t len,
                   uint8_t *dst) {
  size_t room = ig_ipc_pack_room(codec, len) - IG_IPC_PACKED_PREFIX;
  uint8_t *frame = dst + IG_IPC_PACKED_PREFIX;
  size_t packed = codec == IG_IPC_LZ4 ? LZ4F_compressFrame(frame, room, src, len, NULL)
                                      : ZSTD_compress(frame, room, src, len, ZSTD_LEVEL);
  bool failed = codec == IG_IPC_LZ4 ? LZ4F_isError(packed) : ZSTD_isError(packed);
  int64_t prefix = (int64_t)len;
  if (failed || packed >= len) {
    prefix = LEFT_AS_IT_IS;
    packed = len;
    memcpy(frame, src, len);
  }
  memcpy(dst, &prefix, sizeof(prefix));
  return IG_IPC_PACKED_PREFIX + packed;
}

igloo_status ig_ipc_unpacked_bytes(const uint8_t *src, size_t len, uint64_t *ret_bytes,
                                   struct igloo_error *reterr) {
  int64_t prefix = 0;
  if (len < IG_IPC_PACKED_PREFIX) return ig_ipc_fail(reterr, "a compressed buffer");
  memcpy(&prefix, src, sizeof(prefix));
  if (prefix < LEFT_AS_IT_IS) return ig_ipc_fail(reterr, "a compressed buffer");
  *ret_bytes = prefix == LEFT_AS_IT_IS ? len - IG_IPC_PACKED_PREFIX : (uint64_t)prefix;
  return IGLOO_OK;
}

static igloo_status unpack_lz4(const uint8_t *src, size_t len, uint8_t *dst,
                               size_t dst_len, struct igloo_error *reterr) {
  LZ4F_dctx *context = NULL;
  if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
    return ig_fail_oom(reterr);
  size_t read = 0, written = 0, hint = 1;
  while (hint != 0 && !LZ4F_isError(hint)) {
    size_t src_step = len - read, dst_step = dst_len - written;
    hint =
        LZ4F_decompress(context, dst + written, &dst_step, src + read, &src_step, NULL);
    if (src_step == 0 && dst_step == 0) break;
    read += src_step;
    written += dst_step;
  }
  (void)LZ4F_freeDecompressionContext(context);
  return hint == 0 && written == dst_len ? IGLOO_OK
                                         : ig_ipc_fail(reterr, "an LZ4 frame is damaged");
}

igloo_status ig_ipc_unpack(enum ig_ipc_codec codec, const uint8_t *src, size_t len,
                           uint8_t *dst, size_t dst_len, struct igloo_error *reterr) {
  int64_t prefix = 0;
  memcpy(&prefix, src, sizeof(prefix));
  src += IG_IPC_PACKED_PREFIX;
  len -= IG_IPC_PACKED_PREFIX;
  if (prefix == LEFT_AS_IT_IS) {
    memcpy(dst, src, dst_len);
    return IGLOO_OK;
  }
  if (codec == IG_IPC_LZ4) return unpack_lz4(src, len, dst, dst_len, reterr);
  size_t unpacked = ZSTD_decompress(dst, dst_len, src, len);
  if (ZSTD_isError(unpacked) || unpacked != dst_len)
    return ig_ipc_fail(reterr, "a ZSTD frame is damaged");
  return IGLOO_OK;
}
