#include "base/limits.h"
#include "base/protobuf.h"
#include "support.h"
#include "wire/flight_data.h"

static int released;

static void count_release(void *owner) {
  (void)owner;
  released++;
}

/* What the encoder gives: an array of parts with room for heads, and the bytes. */
struct sample {
  uint8_t room[IG_IPC_ROOM_BYTES];
  struct iovec parts[6];
  struct ig_ipc_message message;
};

static void make_sample(struct sample *sample, bool with_body) {
  static char metadata[] = "metadata", body[] = "body", padding[4];
  *sample = (struct sample){.message = {.kind = IG_IPC_BATCH, .room = NULL}};
  sample->parts[IG_IPC_PART_METADATA] = (struct iovec){metadata, 8};
  if (with_body) {
    sample->parts[IG_IPC_PART_BODY] = (struct iovec){body, 4};
    sample->parts[IG_IPC_PART_BODY + 2] = (struct iovec){padding, 4};
  }
  sample->message.room = sample->room;
  sample->message.body_bytes = with_body ? 8 : 0;
  sample->message.pieces = (struct ig_pieces){.parts = sample->parts,
                                              .parts_len = 6,
                                              .bytes = with_body ? 16 : 8,
                                              .release = count_release};
}

static void join(const struct ig_pieces *pieces, struct ig_buf *out) {
  for (size_t i = 0; i < pieces->parts_len; i++)
    ig_buf_append(out, pieces->parts[i].iov_base, pieces->parts[i].iov_len);
  assert_ok(ig_buf_check(out, &test_err));
  assert_int_equal(out->len, pieces->bytes);
}

static void assert_bytes(const struct ig_buf *buf, struct ig_str expected) {
  assert_int_equal(buf->len, expected.len);
  assert_memory_equal(buf->data, expected.data, expected.len);
}

static void a_message_is_framed_where_it_lies(void **state) {
  (void)state;
  struct sample sample;
  IG_AUTO_DONE(ig_buf) out = IG_BUF_INIT(IG_KIB);
  make_sample(&sample, true);
  assert_ok(ig_flight_data_frame(&sample.message, &test_err));
  join(&sample.message.pieces, &out);
  assert_bytes(&out, IG_STR("\x12\x08metadata\xc2\x3e\x08"
                            "body\0\0\0\0"));
}

static void a_schema_has_no_body_field(void **state) {
  (void)state;
  struct sample sample;
  IG_AUTO_DONE(ig_buf) out = IG_BUF_INIT(IG_KIB);
  make_sample(&sample, false);
  assert_ok(ig_flight_data_frame(&sample.message, &test_err));
  join(&sample.message.pieces, &out);
  assert_bytes(&out, IG_STR("\x12\x08metadata"));
}

static void the_descriptor_stands_before_and_everything_is_released(void **state) {
  (void)state;
  struct sample sample;
  struct ig_pieces packed;
  struct ig_flight_data read;
  IG_AUTO_DONE(ig_buf) out = IG_BUF_INIT(IG_KIB);
  const struct ig_flight_data data = {.has_descriptor = true,
                                      .descriptor = IG_STR("\x08\x02"),
                                      .app_metadata = IG_STR("more")};
  make_sample(&sample, true);
  assert_ok(ig_flight_data_frame(&sample.message, &test_err));
  assert_ok(ig_flight_data_pack(&data, &sample.message.pieces, &packed, &test_err));
  assert_null(sample.message.pieces.release);
  join(&packed, &out);
  assert_ok(ig_flight_data_unpack(ig_buf_str(&out), &read, &test_err));
  assert_true(read.has_descriptor);
  assert_str_eq(read.descriptor, "\x08\x02");
  assert_str_eq(read.app_metadata, "more");
  assert_str_eq(read.data_header, "metadata");
  assert_int_equal(read.data_body.len, 8);
  released = 0;
  ig_pieces_done(&packed);
  assert_int_equal(released, 1);
}

static void what_was_taken_is_released_on_failure_too(void **state) {
  (void)state;
  struct sample sample;
  struct ig_pieces packed;
  make_sample(&sample, true);
  sample.message.pieces.bytes = IG_PROTOBUF_BYTES_MAX;
  assert_fails(ig_flight_data_frame(&sample.message, &test_err), IGLOO_RESOURCE_EXHAUSTED,
               "54000");
  released = 0;
  sample.message.pieces.bytes = (uint64_t)IG_PROTOBUF_BYTES_MAX + 1;
  assert_fails(ig_flight_data_pack(&(struct ig_flight_data){.has_descriptor = true},
                                   &sample.message.pieces, &packed, &test_err),
               IGLOO_RESOURCE_EXHAUSTED, "54000");
  assert_int_equal(released, 1);
  assert_null(sample.message.pieces.release);
}

static igloo_status pack(void *ctx, struct igloo_error *reterr) {
  struct sample sample;
  struct ig_pieces packed = {0};
  (void)ctx;
  make_sample(&sample, true);
  released = 0;
  igloo_status status =
      ig_flight_data_pack(&(struct ig_flight_data){.app_metadata = IG_STR("more")},
                          &sample.message.pieces, &packed, reterr);
  ig_pieces_done(&packed);
  assert_int_equal(released, 1);
  return status;
}

static void packing_survives_each_failed_allocation(void **state) {
  (void)state;
  assert_survives_failed_allocations(pack, NULL);
}

static void received_fields_come_in_any_order_and_bad_ones_fail(void **state) {
  (void)state;
  struct ig_flight_data data;
  assert_ok(ig_flight_data_unpack(IG_STR("\xc2\x3e\x02xy\x1a\x01m\x12\x01h"), &data,
                                  &test_err));
  assert_false(data.has_descriptor);
  assert_str_eq(data.data_body, "xy");
  assert_str_eq(data.app_metadata, "m");
  assert_str_eq(data.data_header, "h");
  assert_fails(ig_flight_data_unpack(IG_STR("\xc2\x3e\x09xy"), &data, &test_err),
               IGLOO_INVALID_ARGUMENT, "08P01");
}

static void a_body_moves_into_the_decoders_input(void **state) {
  (void)state;
  uint8_t bytes[] = "\x12\x01h\xc2\x3e\x02xy";
  struct ig_rpc_message message = {.data = bytes, .len = sizeof(bytes) - 1};
  struct ig_flight_data data;
  assert_ok(ig_flight_data_unpack(ig_str_make((const char *)message.data, message.len),
                                  &data, &test_err));
  struct ig_ipc_input input = ig_flight_data_input(&message, &data);
  assert_ptr_equal(input.body, bytes + 6);
  assert_int_equal(input.body_len, 2);
  assert_str_eq(input.metadata, "h");
  input.release(input.owner);
}

static void a_buffer_becomes_one_piece(void **state) {
  (void)state;
  struct ig_buf buf = IG_BUF_INIT(IG_KIB);
  struct ig_pieces pieces;
  ig_buf_append_cstr(&buf, "bytes");
  assert_ok(ig_pieces_of_buf(&buf, &pieces, &test_err));
  assert_null(buf.data);
  assert_int_equal(pieces.bytes, 5);
  assert_memory_equal(pieces.parts[0].iov_base, "bytes", 5);
  ig_pieces_done(&pieces);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_message_is_framed_where_it_lies),
      cmocka_unit_test(a_schema_has_no_body_field),
      cmocka_unit_test(the_descriptor_stands_before_and_everything_is_released),
      cmocka_unit_test(what_was_taken_is_released_on_failure_too),
      cmocka_unit_test(packing_survives_each_failed_allocation),
      cmocka_unit_test(received_fields_come_in_any_order_and_bad_ones_fail),
      cmocka_unit_test(a_body_moves_into_the_decoders_input),
      cmocka_unit_test(a_buffer_becomes_one_piece),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
