/* The bytes here are those of protobuf.dev/programming-guides/encoding and worked out by
 * hand; whole messages are compared with another implementation in tests/unit/wire. */
#include "base/limits.h"
#include "base/protobuf.h"
#include "support.h"

struct sample_inner {
  int64_t a;
  IG_PROTOBUF_LIST(struct ig_str) names;
};
struct sample {
  bool flag;
  int32_t small;
  uint64_t large;
  uint32_t fixed32;
  uint64_t fixed64;
  int64_t sfixed64;
  double number;
  struct ig_str text, bytes, maybe;
  bool has_maybe;
  int32_t colour;
  IG_PROTOBUF_LIST(int32_t) numbers;
  IG_PROTOBUF_LIST(double) doubles;
  IG_PROTOBUF_LIST(struct ig_protobuf_pair) pairs;
  struct sample_inner *inner;
  IG_PROTOBUF_LIST(struct sample_inner) inners;
  uint32_t which;
  struct ig_str choice_text;
  int64_t choice_number;
  struct sample_inner *choice_inner;
};

static const struct ig_protobuf_field sample_inner_fields[] = {
    IG_PROTOBUF_FIELD(1, INT64, sample_inner, a),
    IG_PROTOBUF_FIELD_REPEATED(2, STRING, sample_inner, names),
};
static const struct ig_protobuf_message sample_inner_message =
    IG_PROTOBUF_MESSAGE("Inner", sample_inner, sample_inner_fields);
static const struct ig_protobuf_field sample_fields[] = {
    IG_PROTOBUF_FIELD(1, BOOL, sample, flag),
    IG_PROTOBUF_FIELD(2, INT32, sample, small),
    IG_PROTOBUF_FIELD(3, UINT64, sample, large),
    IG_PROTOBUF_FIELD(4, FIXED32, sample, fixed32),
    IG_PROTOBUF_FIELD(5, FIXED64, sample, fixed64),
    IG_PROTOBUF_FIELD(6, SFIXED64, sample, sfixed64),
    IG_PROTOBUF_FIELD(7, DOUBLE, sample, number),
    IG_PROTOBUF_FIELD(8, STRING, sample, text),
    IG_PROTOBUF_FIELD(9, BYTES, sample, bytes),
    IG_PROTOBUF_FIELD_OPTIONAL(10, STRING, sample, maybe),
    IG_PROTOBUF_FIELD(11, ENUM, sample, colour),
    IG_PROTOBUF_FIELD_REPEATED(12, INT32, sample, numbers),
    IG_PROTOBUF_FIELD_REPEATED(13, DOUBLE, sample, doubles),
    IG_PROTOBUF_FIELD_NESTED_REPEATED(14, sample, pairs, ig_protobuf_pair),
    IG_PROTOBUF_FIELD_NESTED(15, sample, inner, sample_inner),
    IG_PROTOBUF_FIELD_NESTED_REPEATED(16, sample, inners, sample_inner),
    IG_PROTOBUF_FIELD_CHOICE(17, STRING, sample, which, choice_text),
    IG_PROTOBUF_FIELD_CHOICE(18, INT64, sample, which, choice_number),
    IG_PROTOBUF_FIELD_NESTED_CHOICE(19, sample, which, choice_inner, sample_inner),
};
static const struct ig_protobuf_message sample_message =
    IG_PROTOBUF_MESSAGE("Sample", sample, sample_fields);

/* A message that may hold itself, for depth. */
struct nest {
  struct nest *nest;
};
extern const struct ig_protobuf_message nest_message;
static const struct ig_protobuf_field nest_fields[] = {
    IG_PROTOBUF_FIELD_NESTED(1, nest, nest, nest),
};
const struct ig_protobuf_message nest_message =
    IG_PROTOBUF_MESSAGE("Nest", nest, nest_fields);

static ig_arena *arena;

static int set_up(void **state) {
  (void)state;
  arena = ig_arena_new(IG_MIB);
  return arena ? 0 : 1;
}

static int tear_down(void **state) {
  (void)state;
  arena = ig_arena_free(arena);
  return 0;
}

#define BYTES(literal) IG_STR(literal)
static struct sample read_sample(struct ig_str bytes) {
  struct sample sample;
  assert_ok(ig_protobuf_decode(&sample_message, bytes, arena, &sample, &test_err));
  return sample;
}

static void assert_writes(const struct sample *sample, struct ig_str expected) {
  IG_AUTO_DONE(ig_buf) out = IG_BUF_INIT(IG_MIB);
  ig_protobuf_encode(&sample_message, sample, &out);
  assert_ok(ig_buf_check(&out, &test_err));
  assert_int_equal(out.len, expected.len);
  if (expected.len) assert_memory_equal(out.data, expected.data, expected.len);
  assert_int_equal(ig_protobuf_encoded_bytes(&sample_message, sample), expected.len);
}

static void the_specifications_examples_are_read_and_written(void **state) {
  (void)state;
  struct sample sample = read_sample(BYTES("\x10\x96\x01"));
  assert_int_equal(sample.small, 150);
  assert_writes(&sample, BYTES("\x10\x96\x01"));
  sample = read_sample(BYTES("\x42\x07testing"));
  assert_str_eq(sample.text, "testing");
  assert_writes(&sample, BYTES("\x42\x07testing"));
  sample = read_sample(BYTES("\x62\x06\x03\x8e\x02\x9e\xa7\x05"));
  assert_int_equal(sample.numbers.len, 3);
  assert_int_equal(sample.numbers.items[1], 270);
  assert_int_equal(sample.numbers.items[2], 86942);
  assert_writes(&sample, BYTES("\x62\x06\x03\x8e\x02\x9e\xa7\x05"));
}

static void numbers_of_each_kind_are_read_and_written(void **state) {
  (void)state;
  struct ig_str bytes = BYTES(
      "\x08\x01\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
      "\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x25\x01\x02\x03\x04"
      "\x29\x01\x02\x03\x04\x05\x06\x07\x08\x31\xfe\xff\xff\xff\xff\xff\xff\xff"
      "\x39\x00\x00\x00\x00\x00\x00\xf8\x3f\x58\x02");
  struct sample sample = read_sample(bytes);
  assert_true(sample.flag);
  assert_int_equal(sample.small, -1);
  assert_true(sample.large == UINT64_MAX);
  assert_int_equal(sample.fixed32, 0x04030201);
  assert_true(sample.fixed64 == UINT64_C(0x0807060504030201));
  assert_int_equal(sample.sfixed64, -2);
  assert_true(sample.number == 1.5);
  assert_int_equal(sample.colour, 2);
  assert_writes(&sample, bytes);
}

static void nothing_is_sent_of_what_is_zero_unless_presence_counts(void **state) {
  (void)state;
  struct sample sample = read_sample(BYTES(""));
  assert_false(sample.has_maybe);
  assert_null(sample.inner);
  assert_writes(&sample, BYTES(""));
  sample.has_maybe = true;
  assert_writes(&sample, BYTES("\x52\x00"));
  sample = read_sample(BYTES("\x52\x00"));
  assert_true(sample.has_maybe);
  sample = read_sample(BYTES("\x7a\x00"));
  assert_non_null(sample.inner);
  assert_writes(&sample, BYTES("\x7a\x00"));
  sample = read_sample(BYTES("\x39\x00\x00\x00\x00\x00\x00\x00\x80")); /* minus zero */
  assert_writes(&sample, BYTES("\x39\x00\x00\x00\x00\x00\x00\x00\x80"));
}

static void repeated_numbers_come_packed_or_not(void **state) {
  (void)state;
  struct sample sample =
      read_sample(BYTES("\x60\x01\x62\x02\x02\x03\x62\x00\x60\x04"
                        "\x69\x00\x00\x00\x00\x00\x00\xf8\x3f"));
  assert_int_equal(sample.numbers.len, 4);
  for (int i = 0; i < 4; i++) assert_int_equal(sample.numbers.items[i], i + 1);
  assert_int_equal(sample.doubles.len, 1);
  assert_true(sample.doubles.items[0] == 1.5);
}

static void long_lists_keep_their_order(void **state) {
  (void)state;
  IG_AUTO_DONE(ig_buf) bytes = IG_BUF_INIT(IG_MIB);
  for (uint64_t i = 0; i < 1000; i++) {
    ig_protobuf_put_varint(&bytes, 12 << 3);
    ig_protobuf_put_varint(&bytes, i);
  }
  struct sample sample = read_sample(ig_buf_str(&bytes));
  assert_int_equal(sample.numbers.len, 1000);
  for (int i = 0; i < 1000; i++) assert_int_equal(sample.numbers.items[i], i);
}

static void unknown_fields_and_other_wire_types_are_skipped(void **state) {
  (void)state;
  struct sample sample =
      read_sample(BYTES("\xf8\x7f\x01\xf9\x7f\x01\x02\x03\x04\x05\x06\x07\x08"
                        "\xfa\x7f\x03\x61\x62\x63\xfd\x7f\x01\x02\x03\x04" /* 2047 */
                        "\x40\x05"     /* text as a varint */
                        "\x0a\x01\x01" /* flag as bytes */
                        "\x10\x07"));
  assert_int_equal(sample.text.len, 0);
  assert_false(sample.flag);
  assert_int_equal(sample.small, 7);
}

static void the_last_of_a_oneof_wins_and_its_message_is_merged(void **state) {
  (void)state;
  struct sample sample = read_sample(BYTES("\x8a\x01\x01x\x90\x01\x05"));
  assert_int_equal(sample.which, 18);
  assert_int_equal(sample.choice_number, 5);
  assert_writes(&sample, BYTES("\x90\x01\x05"));
  sample = read_sample(BYTES("\x9a\x01\x02\x08\x01\x9a\x01\x03\x12\x01y"));
  assert_int_equal(sample.which, 19);
  assert_int_equal(sample.choice_inner->a, 1);
  assert_str_eq(sample.choice_inner->names.items[0], "y");
  sample = read_sample(BYTES("\x9a\x01\x02\x08\x01\x90\x01\x05\x9a\x01\x00"));
  assert_int_equal(sample.which, 19);
  assert_int_equal(sample.choice_inner->a, 0);
  sample = read_sample(BYTES("\x8a\x01\x00")); /* set, though empty */
  assert_int_equal(sample.which, 17);
  assert_writes(&sample, BYTES("\x8a\x01\x00"));
}

static void the_last_pair_of_a_key_is_found(void **state) {
  (void)state;
  struct sample sample = read_sample(
      BYTES("\x72\x06\x0a\x01k\x12\x01v\x72\x03\x0a\x01m\x72\x06\x12\x01w\x0a\x01k"));
  assert_int_equal(sample.pairs.len, 3);
  const struct ig_str *value =
      ig_protobuf_pair_find(sample.pairs.items, sample.pairs.len, IG_STR("k"));
  assert_str_eq(*value, "w");
  value = ig_protobuf_pair_find(sample.pairs.items, sample.pairs.len, IG_STR("m"));
  assert_int_equal(value->len, 0);
  assert_null(ig_protobuf_pair_find(sample.pairs.items, sample.pairs.len, IG_STR("n")));
  sample.pairs.len = 2;
  assert_writes(&sample, BYTES("\x72\x06\x0a\x01k\x12\x01v\x72\x05\x0a\x01m\x12\x00"));
}

static void malformed_bytes_are_refused(void **state) {
  (void)state;
  const struct ig_str bad[] = {
      BYTES("\x10"),                                             /* no value */
      BYTES("\x10\xff"),                                         /* half a varint */
      BYTES("\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), /* eleven bytes */
      BYTES("\x42\x05xy"), /* longer than what is there */
      BYTES("\x42\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01z"), /* 2^64 - 1 bytes */
      BYTES("\x25\x01\x02\x03"),                              /* three of four bytes */
      BYTES("\x29\x01"),                                      /* one of eight */
      BYTES("\x00\x01"),                                      /* field 0 */
      BYTES("\x80\x80\x80\x80\x10\x01"),                      /* field 2^29 */
      BYTES("\x13\x14"),                                      /* a group */
      BYTES("\xfb\x7f\xfc\x7f"),                              /* an unknown one */
      BYTES("\x16\x01"),                                      /* wire type 6 */
      BYTES("\x17\x01"),                                      /* wire type 7 */
      BYTES("\x62\x02\x01\xff"),                              /* packed, cut */
      BYTES("\x6a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00"),  /* 9 bytes of doubles */
      BYTES("\x7a\x01\x08"),                                  /* nested, cut */
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(bad); i++) {
    struct sample sample = {.small = 1};
    assert_fails(ig_protobuf_decode(&sample_message, bad[i], arena, &sample, &test_err),
                 IGLOO_INVALID_ARGUMENT, "08P01");
    assert_int_equal(sample.small, 0);
  }
}

static void text_must_be_utf8_and_bytes_need_not(void **state) {
  (void)state;
  struct sample sample;
  assert_fails(ig_protobuf_decode(&sample_message,
                                  BYTES("\x42\x02"
                                        "a\xff"),
                                  arena, &sample, &test_err),
               IGLOO_INVALID_ARGUMENT, "22021");
  assert_non_null(strstr(test_err.detail, "text"));
  sample =
      read_sample(BYTES("\x4a\x02"
                        "a\xff"));
  assert_int_equal(sample.bytes.len, 2);
}

static void depth_has_a_limit(void **state) {
  (void)state;
  struct nest nest;
  char bytes[2 * IG_PROTOBUF_DEPTH_MAX];
  for (size_t depth = 1; depth <= IG_PROTOBUF_DEPTH_MAX; depth++) {
    /* `depth` messages inside the outermost one */
    for (size_t i = 0; i < depth; i++) {
      bytes[2 * i] = 0x0a;
      bytes[2 * i + 1] = (char)(2 * (depth - i - 1));
    }
    igloo_status status = ig_protobuf_decode(&nest_message, ig_str_make(bytes, 2 * depth),
                                             arena, &nest, &test_err);
    assert_int_equal(status,
                     depth < IG_PROTOBUF_DEPTH_MAX ? IGLOO_OK : IGLOO_INVALID_ARGUMENT);
  }
}

static void the_arena_bounds_what_small_input_makes_large(void **state) {
  (void)state;
  IG_AUTO(ig_arena) *small = ig_arena_new(64 * IG_KIB);
  IG_AUTO_DONE(ig_buf) bytes = IG_BUF_INIT(IG_MIB);
  assert_non_null(small);
  for (int i = 0; i < 10000; i++) ig_buf_append(&bytes, "\x82\x01\x00", 3);
  struct sample sample;
  assert_fails(
      ig_protobuf_decode(&sample_message, ig_buf_str(&bytes), small, &sample, &test_err),
      IGLOO_RESOURCE_EXHAUSTED, "54000");
}

static void what_does_not_fit_the_buffer_fails_it(void **state) {
  (void)state;
  struct sample sample = {.text = IG_STR("twenty bytes of text")};
  IG_AUTO_DONE(ig_buf) out = IG_BUF_INIT(10);
  ig_protobuf_encode(&sample_message, &sample, &out);
  assert_fails(ig_buf_check(&out, &test_err), IGLOO_RESOURCE_EXHAUSTED, "54000");
}

static void lengths_are_written_as_varints(void **state) {
  (void)state;
  uint8_t bytes[IG_PROTOBUF_LENGTH_BYTES];
  assert_int_equal(ig_protobuf_write_length(bytes, 1000, 300), 4);
  assert_memory_equal(bytes, "\xc2\x3e\xac\x02", 4);
  assert_int_equal(ig_protobuf_write_length(bytes, (1u << 29) - 1, UINT64_MAX),
                   IG_PROTOBUF_LENGTH_BYTES);
  assert_int_equal(ig_protobuf_varint_bytes(0), 1);
  assert_int_equal(ig_protobuf_varint_bytes(127), 1);
  assert_int_equal(ig_protobuf_varint_bytes(128), 2);
  assert_int_equal(ig_protobuf_varint_bytes(UINT64_MAX), 10);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      test(the_specifications_examples_are_read_and_written),
      test(numbers_of_each_kind_are_read_and_written),
      test(nothing_is_sent_of_what_is_zero_unless_presence_counts),
      test(repeated_numbers_come_packed_or_not),
      test(long_lists_keep_their_order),
      test(unknown_fields_and_other_wire_types_are_skipped),
      test(the_last_of_a_oneof_wins_and_its_message_is_merged),
      test(the_last_pair_of_a_key_is_found),
      test(malformed_bytes_are_refused),
      test(text_must_be_utf8_and_bytes_need_not),
      test(depth_has_a_limit),
      test(the_arena_bounds_what_small_input_makes_large),
      test(what_does_not_fit_the_buffer_fails_it),
      test(lengths_are_written_as_varints),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
