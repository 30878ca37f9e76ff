/*
 * flight_data.c -- see flight_data.h.
 *
 * The body is the last field and its number is high, so that everything before it can be
 * written at once and the bytes themselves follow from where they are.
 */
#include "wire/flight_data.h"

#include "base/protobuf.h"

enum { DESCRIPTOR = 1, DATA_HEADER = 2, APP_METADATA = 3, DATA_BODY = 1000 };

struct packed {
  struct ig_buf envelope;
  struct ig_pieces body;
  struct iovec parts[]; /* the envelope, then the body's */
};

static void release_packed(void *owner) {
  struct packed *packed = owner;
  ig_pieces_done(&packed->body);
  ig_buf_done(&packed->envelope);
  ig_free(packed);
}

static void put_bytes(struct ig_buf *out, uint32_t number, struct ig_str bytes) {
  ig_protobuf_put_length(out, number, bytes.len);
  ig_buf_append_str(out, bytes);
}

static void put_envelope(struct ig_buf *out, const struct ig_flight_data *data,
                         uint64_t body_bytes) {
  if (data->has_descriptor) put_bytes(out, DESCRIPTOR, data->descriptor);
  if (data->data_header.len) put_bytes(out, DATA_HEADER, data->data_header);
  if (data->app_metadata.len) put_bytes(out, APP_METADATA, data->app_metadata);
  if (body_bytes) ig_protobuf_put_length(out, DATA_BODY, body_bytes);
}

static igloo_status pack(const struct ig_flight_data *data, const struct ig_pieces *body,
                         struct packed **ret_packed, struct igloo_error *reterr) {
  struct packed *packed =
      ig_calloc(1, sizeof(*packed) + (1 + body->parts_len) * sizeof(struct iovec));
  if (!packed) return ig_fail_oom(reterr);
  ig_buf_init(&packed->envelope, IG_PROTOBUF_BYTES_MAX);
  put_envelope(&packed->envelope, data, body->bytes);
  igloo_status status = ig_buf_check(&packed->envelope, reterr);
  if (status == IGLOO_OK && body->bytes > IG_PROTOBUF_BYTES_MAX - packed->envelope.len)
    status = ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                           "a batch of %llu bytes is over the 2 GiB of one message",
                           (unsigned long long)body->bytes);
  if (status != IGLOO_OK) {
    release_packed(packed);
    return status;
  }
  packed->parts[0] = (struct iovec){packed->envelope.data, packed->envelope.len};
  for (size_t i = 0; i < body->parts_len; i++) packed->parts[1 + i] = body->parts[i];
  *ret_packed = packed;
  return IGLOO_OK;
}

igloo_status ig_flight_data_pack(const struct ig_flight_data *data,
                                 struct ig_pieces *body, struct ig_pieces *ret_pieces,
                                 struct igloo_error *reterr) {
  struct ig_pieces none = {0};
  struct packed *packed = NULL;
  if (!body) body = &none;
  igloo_status status = pack(data, body, &packed, reterr);
  if (status != IGLOO_OK) {
    ig_pieces_done(body);
    return status;
  }
  packed->body = *body;
  *body = (struct ig_pieces){0};
  *ret_pieces = (struct ig_pieces){.parts = packed->parts,
                                   .parts_len = 1 + packed->body.parts_len,
                                   .bytes = packed->envelope.len + packed->body.bytes,
                                   .release = release_packed,
                                   .owner = packed};
  return IGLOO_OK;
}

igloo_status ig_pieces_of_buf(struct ig_buf *buf, struct ig_pieces *ret_pieces,
                              struct igloo_error *reterr) {
  igloo_status status = ig_buf_check(buf, reterr);
  struct packed *packed = NULL;
  if (status == IGLOO_OK) {
    packed = ig_calloc(1, sizeof(*packed) + sizeof(struct iovec));
    if (!packed) status = ig_fail_oom(reterr);
  }
  if (status != IGLOO_OK) {
    ig_buf_done(buf);
    return status;
  }
  packed->envelope = *buf;
  ig_buf_init(buf, buf->max);
  packed->parts[0] = (struct iovec){packed->envelope.data, packed->envelope.len};
  *ret_pieces = (struct ig_pieces){.parts = packed->parts,
                                   .parts_len = 1,
                                   .bytes = packed->envelope.len,
                                   .release = release_packed,
                                   .owner = packed};
  return IGLOO_OK;
}

/* ---- receiving -----------------------------------------------------------------------
 */

struct received {
  bool has_descriptor;
  struct ig_str descriptor, data_header, app_metadata, data_body;
};
static const struct ig_protobuf_field received_fields[] = {
    IG_PROTOBUF_FIELD_OPTIONAL(DESCRIPTOR, BYTES, received, descriptor),
    IG_PROTOBUF_FIELD(DATA_HEADER, BYTES, received, data_header),
    IG_PROTOBUF_FIELD(APP_METADATA, BYTES, received, app_metadata),
    IG_PROTOBUF_FIELD(DATA_BODY, BYTES, received, data_body),
};
static const struct ig_protobuf_message received_message =
    IG_PROTOBUF_MESSAGE("arrow.flight.protocol.FlightData", received, received_fields);

igloo_status ig_flight_data_unpack(struct ig_str bytes, struct ig_flight_data *ret_data,
                                   struct igloo_error *reterr) {
  struct received received;
  IG_TRY(ig_protobuf_decode(&received_message, bytes, NULL, &received, reterr));
  *ret_data = (struct ig_flight_data){.descriptor = received.descriptor,
                                      .has_descriptor = received.has_descriptor,
                                      .data_header = received.data_header,
                                      .app_metadata = received.app_metadata,
                                      .data_body = received.data_body};
  return IGLOO_OK;
}
