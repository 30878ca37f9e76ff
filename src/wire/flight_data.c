/*
 * flight_data.c -- see flight_data.h.
 *
 * Fields of a message may come in any order and messages may be joined end to end; we
 * send what is small first and the body last, from where it lies.
 */
#include "wire/flight_data.h"

#include "base/protobuf.h"

enum { DESCRIPTOR = 1, DATA_HEADER = 2, APP_METADATA = 3, DATA_BODY = 1000 };

static_assert(2 * IG_PROTOBUF_LENGTH_BYTES <= IG_IPC_ROOM_BYTES, "both heads fit");

static igloo_status check_bytes(uint64_t bytes, struct igloo_error *reterr) {
  if (bytes <= IG_PROTOBUF_BYTES_MAX) return IGLOO_OK;
  return ig_fail_state(reterr, IGLOO_RESOURCE_EXHAUSTED, "54000",
                       "a message of %llu bytes is over the limit of 2 GiB",
                       (unsigned long long)bytes);
}

/* Write a tag and length to `room` and make `part` it; returns the room after it. */
static uint8_t *put_head(uint8_t *room, uint32_t number, uint64_t len,
                         struct iovec *part) {
  size_t head_len = ig_protobuf_write_length(room, number, len);
  *part = (struct iovec){room, head_len};
  return room + head_len;
}

igloo_status ig_flight_data_frame(struct ig_ipc_message *message,
                                  struct igloo_error *reterr) {
  struct iovec *parts = message->pieces.parts;
  IG_TRY(check_bytes(message->pieces.bytes + IG_IPC_ROOM_BYTES, reterr));
  uint8_t *room =
      put_head(message->room, DATA_HEADER, parts[IG_IPC_PART_METADATA].iov_len,
               &parts[IG_IPC_PART_BEFORE]);
  message->pieces.bytes += parts[IG_IPC_PART_BEFORE].iov_len;
  if (message->body_bytes == 0) return IGLOO_OK;
  (void)put_head(room, DATA_BODY, message->body_bytes, &parts[IG_IPC_PART_BETWEEN]);
  message->pieces.bytes += parts[IG_IPC_PART_BETWEEN].iov_len;
  return IGLOO_OK;
}

struct packed {
  struct ig_buf head;
  struct ig_pieces framed;
  struct iovec parts[]; /* the head, then the framed message's */
};

static void release_packed(void *owner) {
  struct packed *packed = owner;
  ig_pieces_done(&packed->framed);
  ig_buf_done(&packed->head);
  ig_free(packed);
}

static void put_bytes(struct ig_buf *out, uint32_t number, struct ig_str bytes) {
  ig_protobuf_put_length(out, number, bytes.len);
  ig_buf_append_str(out, bytes);
}

static void put_fields(struct ig_buf *out, const struct ig_flight_data *data) {
  if (data->has_descriptor) put_bytes(out, DESCRIPTOR, data->descriptor);
  if (data->data_header.len) put_bytes(out, DATA_HEADER, data->data_header);
  if (data->app_metadata.len) put_bytes(out, APP_METADATA, data->app_metadata);
}

static igloo_status new_packed(const struct ig_buf *head, const struct ig_pieces *framed,
                               struct packed **ret_packed, struct igloo_error *reterr) {
  IG_TRY(ig_buf_check(head, reterr));
  IG_TRY(check_bytes(head->len + framed->bytes, reterr));
  size_t parts_len = 1 + framed->parts_len;
  struct packed *packed =
      ig_calloc(1, sizeof(*packed) + parts_len * sizeof(struct iovec));
  if (!packed) return ig_fail_oom(reterr);
  packed->parts[0] = (struct iovec){head->data, head->len};
  for (size_t i = 0; i < framed->parts_len; i++) packed->parts[1 + i] = framed->parts[i];
  *ret_packed = packed;
  return IGLOO_OK;
}

/* Join head and framed message. Takes the buffer's memory, also on failure. */
static igloo_status join(struct ig_buf *head, const struct ig_pieces *framed,
                         struct ig_pieces *ret_pieces, struct igloo_error *reterr) {
  struct packed *packed = NULL;
  igloo_status status = new_packed(head, framed, &packed, reterr);
  if (status != IGLOO_OK) {
    ig_buf_done(head);
    return status;
  }
  packed->head = *head;
  packed->framed = *framed;
  *ret_pieces = (struct ig_pieces){.parts = packed->parts,
                                   .parts_len = 1 + framed->parts_len,
                                   .bytes = head->len + framed->bytes,
                                   .release = release_packed,
                                   .owner = packed};
  ig_buf_init(head, head->max);
  return IGLOO_OK;
}

igloo_status ig_flight_data_pack(const struct ig_flight_data *data,
                                 struct ig_pieces *framed, struct ig_pieces *ret_pieces,
                                 struct igloo_error *reterr) {
  struct ig_pieces none = {0};
  struct ig_buf head = IG_BUF_INIT(IG_PROTOBUF_BYTES_MAX);
  if (!framed) framed = &none;
  put_fields(&head, data);
  igloo_status status = join(&head, framed, ret_pieces, reterr);
  if (status != IGLOO_OK)
    ig_pieces_done(framed);
  else
    *framed = none;
  return status;
}

igloo_status ig_pieces_of_buf(struct ig_buf *buf, struct ig_pieces *ret_pieces,
                              struct igloo_error *reterr) {
  return join(buf, &(struct ig_pieces){0}, ret_pieces, reterr);
}

/* ---- receiving --------------------------------------------------------------------- */

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

static void release_received(void *owner) {
  struct ig_rpc_message message = {.memory = owner};
  ig_rpc_message_done(&message);
}

struct ig_ipc_input ig_flight_data_input(struct ig_rpc_message *message,
                                         const struct ig_flight_data *data) {
  struct ig_ipc_input input = {.metadata = data->data_header,
                               .body_len = data->data_body.len,
                               .release = release_received,
                               .owner = IG_TAKE(message->memory)};
  if (input.body_len == 0) return input;
  /* The body lies in the message's memory, which is now the input's to write. */
  size_t offset = (size_t)(data->data_body.data - (const char *)message->data);
  input.body = (uint8_t *)(uintptr_t)(message->data + offset);
  return input;
}
