/*
 * ipc_codec.h -- compressed buffers of IPC bodies.
 *
 * Internal to arrow/ipc_*.c. A compressed buffer is its length before (8 bytes, -1 where
 * it was left as it is), then an LZ4 frame or a ZSTD frame.
 *
 * Owns:    nothing.
 * Threads: no state.
 * Blocks:  never.
 */
#ifndef IG_ARROW_IPC_CODEC_H
#define IG_ARROW_IPC_CODEC_H

#include "arrow/ipc_encode.h"

#define IG_IPC_PACKED_PREFIX 8

/* Room that ig_ipc_pack() wants for `len` bytes. */
size_t ig_ipc_pack_room(enum ig_ipc_codec codec, size_t len);

/* Write the buffer in its compressed form to `dst` of at least ig_ipc_pack_room() bytes;
 * returns its length, at most IG_IPC_PACKED_PREFIX + len. Where compressing does not make
 * it smaller, or there is no memory for it, it is left as it is. */
size_t ig_ipc_pack(enum ig_ipc_codec codec, const uint8_t *src, size_t len, uint8_t *dst);

/* The length that the compressed form will have when it is unpacked. Returns DATA_ERROR
 * if `len` bytes cannot be one. */
IG_NODISCARD igloo_status ig_ipc_unpacked_bytes(const uint8_t *src, size_t len,
                                                uint64_t *ret_bytes,
                                                struct igloo_error *reterr);

/* Unpack to exactly `dst_len` bytes, as ig_ipc_unpacked_bytes() said. Returns DATA_ERROR
 * for frames that are damaged or of another length; OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_ipc_unpack(enum ig_ipc_codec codec, const uint8_t *src,
                                        size_t len, uint8_t *dst, size_t dst_len,
                                        struct igloo_error *reterr);

#endif
