/* test_ticket.c -- handles that nobody can make up. */
#include "auth/ticket.h"

#include <sodium.h>

#include "support.h"

static struct ig_ticket_key key;

static int set_up(void **state) {
  (void)state;
  assert_ok(ig_ticket_key_init(&key, &test_err));
  return 0;
}

static struct ig_str view(const uint8_t ticket[IG_TICKET_BYTES]) {
  return ig_str_make((const char *)ticket, IG_TICKET_BYTES);
}

static void a_ticket_opens_for_its_user_and_kind_alone(void **state) {
  (void)state;
  struct ig_ticket_id id, opened = {{0}};
  uint8_t ticket[IG_TICKET_BYTES];
  ig_ticket_new(&key, 1, 7, &id, ticket);
  assert_true(ig_ticket_open(&key, 1, 7, view(ticket), &opened));
  assert_memory_equal(&id, &opened, sizeof id);
  assert_false(ig_ticket_open(&key, 1, 8, view(ticket), &opened));
  assert_false(ig_ticket_open(&key, 1, 0, view(ticket), &opened));
  assert_false(ig_ticket_open(&key, 2, 7, view(ticket), &opened));
  struct ig_ticket_key other;
  assert_ok(ig_ticket_key_init(&other, &test_err));
  assert_false(ig_ticket_open(&other, 1, 7, view(ticket), &opened));
}

static void no_bit_of_a_ticket_can_be_changed(void **state) {
  (void)state;
  struct ig_ticket_id id, opened;
  uint8_t ticket[IG_TICKET_BYTES];
  ig_ticket_new(&key, 1, 7, &id, ticket);
  for (size_t bit = 0; bit < 8 * IG_TICKET_BYTES; bit++) {
    ticket[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    assert_false(ig_ticket_open(&key, 1, 7, view(ticket), &opened));
    ticket[bit / 8] ^= (uint8_t)(1U << (bit % 8));
  }
  assert_true(ig_ticket_open(&key, 1, 7, view(ticket), &opened));
}

static void another_length_is_no_ticket(void **state) {
  (void)state;
  struct ig_ticket_id id, opened;
  uint8_t ticket[IG_TICKET_BYTES + 1] = {0};
  ig_ticket_new(&key, 1, 7, &id, ticket);
  for (size_t len = 0; len <= sizeof ticket; len++)
    assert_int_equal(
        ig_ticket_open(&key, 1, 7, ig_str_make((char *)ticket, len), &opened),
        len == IG_TICKET_BYTES);
  assert_false(ig_ticket_open(&key, 1, 7, (struct ig_str){0}, &opened));
}

static void the_code_is_keyed_blake2b_over_id_kind_and_user(void **state) {
  (void)state;
  struct ig_ticket_id id;
  uint8_t ticket[IG_TICKET_BYTES], code[32], text[28];
  uint32_t kind = 3;
  int64_t user_id = 9;
  ig_ticket_new(&key, kind, user_id, &id, ticket);
  memcpy(text, id.bytes, 16);
  memcpy(text + 16, &kind, 4);
  memcpy(text + 20, &user_id, 8);
  crypto_generichash_blake2b(code, sizeof code, text, sizeof text, key.bytes,
                             sizeof key.bytes);
  assert_memory_equal(ticket, id.bytes, 16);
  assert_memory_equal(ticket + 16, code, 32);
}

static void ids_do_not_come_twice_and_can_be_sealed_again(void **state) {
  (void)state;
  struct ig_ticket_id first, second;
  uint8_t a[IG_TICKET_BYTES], b[IG_TICKET_BYTES], again[IG_TICKET_BYTES];
  ig_ticket_new(&key, 1, 7, &first, a);
  ig_ticket_new(&key, 1, 7, &second, b);
  assert_memory_not_equal(&first, &second, sizeof first);
  ig_ticket_seal(&key, 1, 7, &first, again);
  assert_memory_equal(a, again, sizeof a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_ticket_opens_for_its_user_and_kind_alone, set_up),
      cmocka_unit_test_setup(no_bit_of_a_ticket_can_be_changed, set_up),
      cmocka_unit_test_setup(another_length_is_no_ticket, set_up),
      cmocka_unit_test_setup(the_code_is_keyed_blake2b_over_id_kind_and_user, set_up),
      cmocka_unit_test_setup(ids_do_not_come_twice_and_can_be_sealed_again, set_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
