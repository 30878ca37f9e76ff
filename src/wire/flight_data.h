/*
 * flight_data.h -- FlightData: one IPC message on the wire, its body not copied.
 *
 * Sending: the envelope (descriptor, app_metadata, data_header, tag and length of the
 * body) is written into memory of its own, the body's parts follow where they lie. rpc/
 * puts gRPC's five bytes before it.
 * Receiving: views into the received message.
 *
 * Owns:    pieces own the envelope and what they took.
 * Threads: no state.
 * Blocks:  never.
 */
#ifndef IG_WIRE_FLIGHT_DATA_H
#define IG_WIRE_FLIGHT_DATA_H

#include "base/error.h"
#include "base/pieces.h"
#include "base/str.h"

struct ig_flight_data {
  struct ig_str descriptor;  /* a serialized FlightDescriptor; first DoPut message only */
  bool has_descriptor;       /* it may be there and empty */
  struct ig_str data_header; /* the bare flatbuffer Message; empty: not sent */
  struct ig_str app_metadata;
  struct ig_str data_body; /* received only */
};

/* Pack one message: `data` (copied; data_body is not looked at) and `body` (NULL or its
 * parts; takes them, also on failure: body->release is then NULL). Gives *ret_pieces,
 * whose release releases the body too. Returns IGLOO_OK; RESOURCE_EXHAUSTED 54000 for
 * over 2 GiB, what protobuf carries at most; OUT_OF_MEMORY. */
IG_NODISCARD igloo_status ig_flight_data_pack(const struct ig_flight_data *data,
                                              struct ig_pieces *body,
                                              struct ig_pieces *ret_pieces,
                                              struct igloo_error *reterr);

/* Read one received message; the views point into `bytes`. Returns IGLOO_OK;
 * INVALID_ARGUMENT 08P01 for malformed bytes. */
IG_NODISCARD igloo_status ig_flight_data_unpack(struct ig_str bytes,
                                                struct ig_flight_data *ret_data,
                                                struct igloo_error *reterr);

/* One small message, encoded by base/protobuf.h or any.h, as pieces: takes the buffer's
 * memory, also on failure (`buf` is then empty). Returns as ig_buf_check(). */
struct ig_buf;
IG_NODISCARD igloo_status ig_pieces_of_buf(struct ig_buf *buf,
                                           struct ig_pieces *ret_pieces,
                                           struct igloo_error *reterr);

#endif
