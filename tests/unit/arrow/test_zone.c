/* Tests of src/arrow/zone.c. The offsets were computed by Python's zoneinfo. */
#include "arrow/zone.h"

#include "support.h"

static const struct {
  const char *zone;
  int64_t instant;
  int32_t offset;
} known[] = {
    {"Europe/Berlin", -5351616000, 3208},
    {"Europe/Berlin", -867974400, 7200},
    {"Europe/Berlin", 946598400, 3600},
    {"Europe/Berlin", 1705276800, 3600},
    {"Europe/Berlin", 1721001600, 7200},
    {"Europe/Berlin", 1711846799, 3600},
    {"Europe/Berlin", 1711846800, 7200},
    {"Europe/Berlin", 2525817600, 3600},
    {"Europe/Berlin", 2541456000, 7200},
    {"Europe/Berlin", 4128627599, 7200},
    {"Europe/Berlin", 4128627600, 3600},
    {"Europe/Berlin", 16740864000, 7200},
    {"America/New_York", -5351616000, -17762},
    {"America/New_York", -867974400, -14400},
    {"America/New_York", 946598400, -18000},
    {"America/New_York", 1705276800, -18000},
    {"America/New_York", 1721001600, -14400},
    {"America/New_York", 1711846799, -14400},
    {"America/New_York", 1711846800, -14400},
    {"America/New_York", 2525817600, -18000},
    {"America/New_York", 2541456000, -14400},
    {"America/New_York", 4128627599, -14400},
    {"America/New_York", 4128627600, -14400},
    {"America/New_York", 16740864000, -14400},
    {"Asia/Kolkata", -5351616000, 21208},
    {"Asia/Kolkata", -867974400, 19800},
    {"Asia/Kolkata", 946598400, 19800},
    {"Asia/Kolkata", 1705276800, 19800},
    {"Asia/Kolkata", 1721001600, 19800},
    {"Asia/Kolkata", 1711846799, 19800},
    {"Asia/Kolkata", 1711846800, 19800},
    {"Asia/Kolkata", 2525817600, 19800},
    {"Asia/Kolkata", 2541456000, 19800},
    {"Asia/Kolkata", 4128627599, 19800},
    {"Asia/Kolkata", 4128627600, 19800},
    {"Asia/Kolkata", 16740864000, 19800},
    {"Australia/Sydney", -5351616000, 36292},
    {"Australia/Sydney", -867974400, 36000},
    {"Australia/Sydney", 946598400, 39600},
    {"Australia/Sydney", 1705276800, 39600},
    {"Australia/Sydney", 1721001600, 36000},
    {"Australia/Sydney", 1711846799, 39600},
    {"Australia/Sydney", 1711846800, 39600},
    {"Australia/Sydney", 2525817600, 39600},
    {"Australia/Sydney", 2541456000, 36000},
    {"Australia/Sydney", 4128627599, 39600},
    {"Australia/Sydney", 4128627600, 39600},
    {"Australia/Sydney", 16740864000, 36000},
    {"America/Sao_Paulo", -5351616000, -11188},
    {"America/Sao_Paulo", -867974400, -10800},
    {"America/Sao_Paulo", 946598400, -7200},
    {"America/Sao_Paulo", 1705276800, -10800},
    {"America/Sao_Paulo", 1721001600, -10800},
    {"America/Sao_Paulo", 1711846799, -10800},
    {"America/Sao_Paulo", 1711846800, -10800},
    {"America/Sao_Paulo", 2525817600, -10800},
    {"America/Sao_Paulo", 2541456000, -10800},
    {"America/Sao_Paulo", 4128627599, -10800},
    {"America/Sao_Paulo", 4128627600, -10800},
    {"America/Sao_Paulo", 16740864000, -10800},
    {"Pacific/Apia", -5351616000, 45184},
    {"Pacific/Apia", -867974400, -41400},
    {"Pacific/Apia", 946598400, -39600},
    {"Pacific/Apia", 1705276800, 46800},
    {"Pacific/Apia", 1721001600, 46800},
    {"Pacific/Apia", 1711846799, 46800},
    {"Pacific/Apia", 1711846800, 46800},
    {"Pacific/Apia", 2525817600, 46800},
    {"Pacific/Apia", 2541456000, 46800},
    {"Pacific/Apia", 4128627599, 46800},
    {"Pacific/Apia", 4128627600, 46800},
    {"Pacific/Apia", 16740864000, 46800},
    {"Africa/Casablanca", -5351616000, -1820},
    {"Africa/Casablanca", -867974400, 3600},
    {"Africa/Casablanca", 946598400, 0},
    {"Africa/Casablanca", 1705276800, 3600},
    {"Africa/Casablanca", 1721001600, 3600},
    {"Africa/Casablanca", 1711846799, 0},
    {"Africa/Casablanca", 1711846800, 0},
    {"Africa/Casablanca", 2525817600, 3600},
    {"Africa/Casablanca", 2541456000, 3600},
    {"Africa/Casablanca", 4128627599, 3600},
    {"Africa/Casablanca", 4128627600, 3600},
    {"Africa/Casablanca", 16740864000, 3600},
    {"Etc/GMT+5", -5351616000, -18000},
    {"Etc/GMT+5", -867974400, -18000},
    {"Etc/GMT+5", 946598400, -18000},
    {"Etc/GMT+5", 1705276800, -18000},
    {"Etc/GMT+5", 1721001600, -18000},
    {"Etc/GMT+5", 1711846799, -18000},
    {"Etc/GMT+5", 1711846800, -18000},
    {"Etc/GMT+5", 2525817600, -18000},
    {"Etc/GMT+5", 2541456000, -18000},
    {"Etc/GMT+5", 4128627599, -18000},
    {"Etc/GMT+5", 4128627600, -18000},
    {"Etc/GMT+5", 16740864000, -18000},
    {"Europe/Dublin", -5351616000, -1521},
    {"Europe/Dublin", -867974400, 3600},
    {"Europe/Dublin", 946598400, 0},
    {"Europe/Dublin", 1705276800, 0},
    {"Europe/Dublin", 1721001600, 3600},
    {"Europe/Dublin", 1711846799, 0},
    {"Europe/Dublin", 1711846800, 3600},
    {"Europe/Dublin", 2525817600, 0},
    {"Europe/Dublin", 2541456000, 3600},
    {"Europe/Dublin", 4128627599, 3600},
    {"Europe/Dublin", 4128627600, 0},
    {"Europe/Dublin", 16740864000, 3600},
    {"America/St_Johns", -5351616000, -12652},
    {"America/St_Johns", -867974400, -9000},
    {"America/St_Johns", 946598400, -12600},
    {"America/St_Johns", 1705276800, -12600},
    {"America/St_Johns", 1721001600, -9000},
    {"America/St_Johns", 1711846799, -9000},
    {"America/St_Johns", 1711846800, -9000},
    {"America/St_Johns", 2525817600, -12600},
    {"America/St_Johns", 2541456000, -9000},
    {"America/St_Johns", 4128627599, -9000},
    {"America/St_Johns", 4128627600, -9000},
    {"America/St_Johns", 16740864000, -9000},
    {"Antarctica/Troll", -5351616000, 0},
    {"Antarctica/Troll", -867974400, 0},
    {"Antarctica/Troll", 946598400, 0},
    {"Antarctica/Troll", 1705276800, 0},
    {"Antarctica/Troll", 1721001600, 7200},
    {"Antarctica/Troll", 1711846799, 0},
    {"Antarctica/Troll", 1711846800, 7200},
    {"Antarctica/Troll", 2525817600, 0},
    {"Antarctica/Troll", 2541456000, 7200},
    {"Antarctica/Troll", 4128627599, 7200},
    {"Antarctica/Troll", 4128627600, 0},
    {"Antarctica/Troll", 16740864000, 7200},
};

static void offsets_are_those_of_the_zone_database(void **state) {
  (void)state;
  for (size_t i = 0; i < IG_ARRAY_LEN(known); i++) {
    IG_AUTO(ig_zone) *zone = NULL;
    assert_ok(ig_zone_open(ig_str_from_cstr(known[i].zone), &zone, &test_err));
    int32_t offset = ig_zone_offset(zone, known[i].instant);
    if (offset != known[i].offset)
      fail_msg("%s at %lld: %d, not %d", known[i].zone, (long long)known[i].instant,
               offset, known[i].offset);
  }
}

static void fixed_offsets_need_no_file(void **state) {
  (void)state;
  static const struct {
    const char *name;
    int32_t offset;
  } fixed[] = {{"UTC", 0},      {"+00:00", 0},     {"+05:30", 19800},
               {"-08", -28800}, {"-0330", -12600}, {"+01:02:03", 3723}};
  for (size_t i = 0; i < IG_ARRAY_LEN(fixed); i++) {
    IG_AUTO(ig_zone) *zone = NULL;
    assert_ok(ig_zone_open(ig_str_from_cstr(fixed[i].name), &zone, &test_err));
    assert_int_equal(ig_zone_offset(zone, 0), fixed[i].offset);
    assert_int_equal(ig_zone_offset(zone, INT64_MAX), fixed[i].offset);
    assert_int_equal(ig_zone_offset(zone, INT64_MIN), fixed[i].offset);
  }
}

static void the_end_of_time_has_an_offset(void **state) {
  (void)state;
  IG_AUTO(ig_zone) *zone = NULL;
  assert_ok(ig_zone_open(IG_STR("Europe/Berlin"), &zone, &test_err));
  assert_int_equal(ig_zone_offset(zone, INT64_MAX), 3600);
  assert_int_equal(ig_zone_offset(zone, INT64_MIN), 3208);
}

static void names_outside_the_database_are_not_found(void **state) {
  (void)state;
  static const char *const names[] = {"",
                                      "Nowhere/City",
                                      "../../../etc/passwd",
                                      "/etc/passwd",
                                      "Europe",
                                      "Europe/Ber lin",
                                      "+5:3",
                                      "+1234567"};
  for (size_t i = 0; i < IG_ARRAY_LEN(names); i++) {
    ig_zone *zone = NULL;
    assert_fails(ig_zone_open(ig_str_from_cstr(names[i]), &zone, &test_err),
                 IGLOO_NOT_FOUND, "42704");
    assert_null(zone);
  }
}

static void a_file_that_is_no_zone_is_damaged(void **state) {
  (void)state;
  ig_zone *zone = NULL;
  assert_fails(ig_zone_open(IG_STR("zone.tab"), &zone, &test_err), IGLOO_NOT_FOUND,
               "42704");
  assert_fails(ig_zone_open(IG_STR("tzdata/zi"), &zone, &test_err), IGLOO_NOT_FOUND,
               "42704");
  assert_fails(ig_zone_open(IG_STR("leapseconds"), &zone, &test_err), IGLOO_DATA_ERROR,
               "22000");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(offsets_are_those_of_the_zone_database),
      cmocka_unit_test(fixed_offsets_need_no_file),
      cmocka_unit_test(the_end_of_time_has_an_offset),
      cmocka_unit_test(names_outside_the_database_are_not_found),
      cmocka_unit_test(a_file_that_is_no_zone_is_damaged),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
