/*
 * flight_data.h -- FlightData: one IPC message on the wire, its body not copied.
 *
 * Sending: arrow/'s encoder leaves room in its pieces, where the tags and lengths go; the
 * result is a gRPC message. What must stand before it (descriptor, app_metadata) is a
 * piece of its own, as protobuf allows.
 * Receiving: views into the received message, or its body as the decoder's input.
 *
 * Owns:    pieces own what they took.
 * Threads: no state.
 * Blocks:  never.
 */
#ifndef IG_WIRE_FLIGHT_DATA_H
#define IG_WIRE_FLIGHT_DATA_H

#include "arrow/ipc_decode.h"
#include "arrow/ipc_encode.h"
#include "base/pieces.h"
#include "rpc/call.h"

struct ig_flight_data {
  struct ig_str descriptor;  /* a serialized FlightDescriptor; first DoPut message only */
  bool has_descriptor;       /* it may be there and empty */
  struct ig_str data_header; /* the bare flatbuffer Message */
  struct ig_str app_metadata;
  struct ig_str data_body; /* received only */
};

/* Make an encoder's message a FlightData: message->pieces is then what rpc/ sends. Once
 * for each message. Returns IGLOO_OK; RESOURCE_EXHAUSTED 54000 over the 2 GiB that
 * protobuf carries. */
IG_NODISCARD igloo_status ig_flight_data_frame(struct ig_ipc_message *message,
                                               struct igloo_error *reterr);

/* Pack the fields of `data` (copied; data_body is not looked at; empty ones are left
 * out), followed by `framed` (NULL, or the pieces of a framed message; takes them, also
 * on failure). Gives *ret_pieces. Returns IGLOO_OK; RESOURCE_EXHAUSTED 54000 over 2 GiB;
 * OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_flight_data_pack(const struct ig_flight_data *data,
                                              struct ig_pieces *framed,
                                              struct ig_pieces *ret_pieces,
                                              struct igloo_error *reterr);

/* Read one received message; the views point into `bytes`. Returns IGLOO_OK;
 * INVALID_ARGUMENT 08P01 for malformed bytes. */
IG_NODISCARD igloo_status ig_flight_data_unpack(struct ig_str bytes,
                                                struct ig_flight_data *ret_data,
                                                struct igloo_error *reterr);

/* What ig_ipc_decoder_message() wants of a message whose `data` was unpacked from it; the
 * memory of `message` moves into the input (message->memory is then NULL). */
struct ig_ipc_input ig_flight_data_input(struct ig_rpc_message *message,
                                         const struct ig_flight_data *data);

/* One small message, encoded by base/protobuf.h or any.h, as pieces: takes the buffer's
 * memory, also on failure (`buf` is then empty). Returns as ig_buf_check(). */
IG_NODISCARD igloo_status ig_pieces_of_buf(struct ig_buf *buf,
                                           struct ig_pieces *ret_pieces,
                                           struct igloo_error *reterr);

#endif
