/* test_lease.c -- parts that another process reads on places of this one, on a real
 * server. The other process is a second ig_sources here. */
#include "connector/lease.h"

#include <stdatomic.h>

#include "connector/pushdown_log.h"
#include "postgres.h"

#define ROWS 60000
#define PLACES 3

static const uint8_t offer[IG_RUN_OFFER_BYTES] = "sixteen bytes..";

struct fixture {
  ig_sources *sources, *elsewhere;
  ig_source *source;
  ig_remote_table *table;
  ig_remote_run *run;
  ig_remote_scan *scan;
  const struct ig_remote_part *parts;
  size_t parts_count;
};

/* A scan of two parts. */
static void open_wide(struct fixture *f) {
  static bool made;
  static const int32_t columns[] = {0, 1};
  struct ig_scan_request request = {
      .columns = columns, .columns_count = 2, .limit = -1, .parts_wanted = 2};
  if (!made)
    psql(
        "CREATE TABLE wide (a bigint PRIMARY KEY, b text);"
        "INSERT INTO wide SELECT i, repeat('x', 300)"
        " FROM generate_series(1, 60000) i; ANALYZE wide",
        NULL);
  made = true;
  f->sources = new_sources(PLACES);
  f->elsewhere = new_sources(1);
  assert_ok(attach_postgres(f->sources, NULL));
  f->source = find_source(f->sources, "pg");
  f->table = find_table(f->source, "wide");
  f->run = new_run(f->sources, NULL);
  assert_ok(ig_remote_table_plan(f->table, &request, f->run, &f->scan, &test_err));
  f->parts = ig_remote_scan_parts(f->scan, &f->parts_count);
  assert_int_equal(f->parts_count, 2);
}

static void fixture_done(struct fixture *f) {
  ig_remote_scan_free(f->scan);
  ig_remote_run_unref(f->run);
  ig_remote_table_unref(f->table);
  ig_source_unref(f->source);
  ig_sources_unref(f->elsewhere);
  ig_sources_unref(f->sources);
}
#define FIXTURE(name)                                               \
  __attribute__((cleanup(fixture_done))) struct fixture name = {0}; \
  open_wide(&name)

static int64_t drain(struct ArrowArrayStream *stream) {
  int64_t rows = 0;
  for (bool more = true; more;) {
    IG_AUTO_ARRAY batch = {0};
    assert_int_equal(stream->get_next(stream, &batch), 0);
    more = batch.release != NULL;
    if (more) rows += batch.length;
  }
  ig_stream_done(stream);
  return rows;
}

static uint32_t busy_of(ig_source *source) {
  struct ig_source_stats stats;
  ig_source_stats_get(source, &stats);
  assert_true(stats.connections <= PLACES);
  return stats.busy;
}

static int on_the_server(void) {
  char text[512];
  assert_int_equal(psql("SELECT count(*) FROM pg_stat_activity WHERE backend_type ="
                        " 'client backend' AND pid <> pg_backend_pid()",
                        text),
                   0);
  return atoi(text);
}

static void count_gone(void *ctx, struct ig_str read IG_UNUSED) {
  atomic_fetch_add((atomic_int *)ctx, 1);
}

struct heard {
  atomic_int gone;
  struct ig_buf read;
};

static void hear(void *ctx, struct ig_str read) {
  struct heard *heard = ctx;
  ig_buf_append_str(&heard->read, read);
  atomic_fetch_add(&heard->gone, 1);
}

static void wait_gone(atomic_int *gone) {
  int64_t until = ig_deadline_in(10 * IG_US_PER_S);
  while (atomic_load(gone) == 0)
    if (ig_now_us() > until) fail_msg("the connection stays");
  assert_int_equal(atomic_load(gone), 1);
}

/* The second part, read elsewhere. */
static struct ArrowArrayStream open_leased(struct fixture *f, const ig_lease *lease,
                                           atomic_int *gone) {
  struct ArrowArrayStream rows = {0};
  IG_AUTO_DONE(ig_buf) said = IG_BUF_INIT_WIPED(IG_MIB);
  ig_lease_write(lease, &said);
  assert_ok(ig_buf_check(&said, &test_err));
  assert_ok(ig_lease_open(f->elsewhere, ig_buf_str(&said), f->parts[1].bytes, NULL,
                          count_gone, gone, &rows, &test_err));
  return rows;
}

static void a_part_is_read_elsewhere_in_the_snapshot_of_its_run(void **state) {
  (void)state;
  FIXTURE(f);
  atomic_int gone = 0;
  IG_AUTO(ig_lease) *lease = NULL;
  assert_ok(ig_remote_run_offer(f.run, offer, &test_err));
  psql("DELETE FROM wide WHERE a % 2 = 0", NULL);
  assert_ok(ig_lease_take(f.sources, offer, f.parts[1].bytes, NULL, &lease, &test_err));
  struct ArrowArrayStream there = open_leased(&f, lease, &gone), here = {0};
  assert_ok(ig_remote_open(f.run, f.parts[0].bytes, NULL, &here, &test_err));
  int64_t rows = drain(&here);
  rows += drain(&there);
  assert_int_equal(rows, ROWS);
  wait_gone(&gone);
  psql(
      "INSERT INTO wide SELECT i, repeat('x', 300) FROM generate_series(2, 60000, 2) i;"
      " ANALYZE wide",
      NULL);
}

static void what_was_read_elsewhere_is_in_the_log_of_who_leased_it(void **state) {
  (void)state;
  FIXTURE(f);
  struct heard heard = {.read = IG_BUF_INIT(IG_MIB)};
  IG_AUTO(ig_lease) *lease = NULL;
  IG_AUTO(ig_pushdown_list) *list = NULL;
  IG_AUTO_DONE(ig_buf) said = IG_BUF_INIT_WIPED(IG_MIB);
  struct ArrowArrayStream there = {0};
  assert_ok(ig_remote_run_offer(f.run, offer, &test_err));
  assert_ok(ig_lease_take(f.sources, offer, f.parts[1].bytes, NULL, &lease, &test_err));
  ig_lease_write(lease, &said);
  assert_ok(ig_lease_open(f.elsewhere, ig_buf_str(&said), f.parts[1].bytes, NULL, hear,
                          &heard, &there, &test_err));
  int64_t rows = drain(&there);
  wait_gone(&heard.gone);
  assert_fails(ig_lease_told(lease, IG_STR("no entry"), &test_err),
               IGLOO_INVALID_ARGUMENT, "08P01");
  assert_ok(ig_lease_told(lease, ig_buf_str(&heard.read), &test_err));
  assert_ok(ig_pushdown_list_new(f.sources, &list, &test_err));
  assert_int_equal(ig_pushdown_list_count(list), 1);
  const struct ig_pushdown_entry *entry = ig_pushdown_list_get(list, 0);
  struct ig_source_stats stats;
  ig_source_stats_get(f.source, &stats);
  assert_int_equal(entry->rows, rows);
  assert_int_equal(stats.rows, rows);
  assert_true(entry->bytes > rows * 300);
  assert_int_equal(entry->part, 2);
  assert_int_equal(entry->parts, 2);
  assert_string_equal(entry->source, "pg");
  assert_string_equal(entry->table, "public.wide");
  assert_non_null(strstr(entry->text, "\"wide\""));
  assert_string_equal(entry->sqlstate, "00000");
  ig_buf_done(&heard.read);
}

static void a_lease_counts_until_its_connection_is_closed(void **state) {
  (void)state;
  FIXTURE(f);
  atomic_int gone = 0;
  ig_lease *lease = NULL;
  assert_ok(ig_remote_run_offer(f.run, offer, &test_err));
  assert_ok(ig_lease_take(f.sources, offer, f.parts[1].bytes, NULL, &lease, &test_err));
  assert_int_equal(busy_of(f.source), 2); /* the snapshot's, and this one */
  struct ArrowArrayStream there = open_leased(&f, lease, &gone);
  assert_int_equal(on_the_server(), 2);
  ig_stream_done(&there); /* before its end */
  wait_gone(&gone);
  assert_int_equal(on_the_server(), 1);
  assert_int_equal(busy_of(f.source), 2);
  ig_lease_end(lease);
  assert_int_equal(busy_of(f.source), 1);
}

/* Connections that are parked are closed for those that others have. */
static void what_is_lent_and_what_is_idle_share_the_places(void **state) {
  (void)state;
  FIXTURE(f);
  ig_links *pool = f.source->pool;
  ig_link *links[PLACES] = {0};
  const struct ig_waits waits = {.deadline_us = IG_NEVER_US};
  assert_ok(ig_links_reserve(pool, IG_PLACE_READ, PLACES, &waits, &test_err));
  for (int i = 0; i < PLACES; i++)
    assert_ok(ig_links_take(pool, &waits, &links[i], &test_err));
  for (int i = 0; i < PLACES; i++) ig_links_give(pool, links[i], IGLOO_OK);
  assert_int_equal(on_the_server(), PLACES);
  for (int lent = 1; lent <= PLACES; lent++) {
    assert_ok(ig_links_lend(pool, &waits, &test_err));
    assert_int_equal(on_the_server(), PLACES - lent);
  }
  for (int i = 0; i < PLACES; i++) ig_links_take_back(pool);
  ig_links_unreserve(pool, IG_PLACE_READ, PLACES);
}

static void only_what_a_running_statement_offers_is_leased(void **state) {
  (void)state;
  FIXTURE(f);
  IG_AUTO(ig_lease) *lease = NULL;
  static const uint8_t other[IG_RUN_OFFER_BYTES] = "another offer..";
  struct ig_str bytes = f.parts[1].bytes;
  assert_fails(ig_lease_take(f.sources, offer, bytes, NULL, &lease, &test_err),
               IGLOO_NOT_FOUND, "42704");
  assert_ok(ig_remote_run_offer(f.run, offer, &test_err));
  assert_fails(ig_lease_take(f.sources, other, bytes, NULL, &lease, &test_err),
               IGLOO_NOT_FOUND, "42704");
  assert_fails(
      ig_lease_take(f.sources, offer, IG_STR("no part"), NULL, &lease, &test_err),
      IGLOO_INVALID_ARGUMENT, "08P01");
  ig_remote_scan_free(IG_TAKE(f.scan));
  f.run = ig_remote_run_unref(f.run);
  assert_fails(ig_lease_take(f.sources, offer, bytes, NULL, &lease, &test_err),
               IGLOO_NOT_FOUND, "42704");
}

static void bytes_that_are_no_lease_are_refused_and_nobody_connects(void **state) {
  (void)state;
  FIXTURE(f);
  struct ArrowArrayStream rows = {0};
  struct ig_str parts[] = {f.parts[1].bytes, IG_STR("")};
  for (size_t i = 0; i < IG_ARRAY_LEN(parts); i++) {
    atomic_int gone = 0;
    assert_fails(ig_lease_open(f.elsewhere,
                               IG_STR("\x0a\x03"
                                      "abc"),
                               parts[i], NULL, count_gone, &gone, &rows, &test_err),
                 IGLOO_INVALID_ARGUMENT, "08P01");
    assert_int_equal(gone, 1);
  }
}

static void where_a_server_is_decides_who_may_read_it(void **state) {
  (void)state;
  static const struct {
    const char *uri;
    bool is_near;
  } cases[] = {
      {"postgresql://db.example.org/shop", false},
      {"postgresql://user@db.example.org:5433/shop?sslmode=require", false},
      {"postgresql://one.example.org,two.example.org/shop", false},
      {"postgresql://10.0.0.7/shop", false},
      {"host=db.example.org port=5432 dbname='local host=x'", false},
      {"postgresql:///shop?host=db.example.org", false},
      {"", true},
      {"dbname=shop", true},
      {"postgresql:///shop", true},
      {"postgresql://localhost/shop", true},
      {"postgresql://u:p@127.0.0.1:5432/shop", true},
      {"postgresql://[::1]:5432/shop", true},
      {"postgresql://db.example.org,localhost/shop", true},
      {"postgresql://%2Frun%2Fpostgresql/shop", true},
      {"postgresql://pg@/shop?host=/run/postgresql", true},
      {"host='/run/postgresql' dbname=shop", true},
      {"hostaddr=127.0.0.1 host=db.example.org", true},
      {"postgresql://db.example.org/shop?sslrootcert=/etc/ca.crt", true},
  };
  for (size_t i = 0; i < IG_ARRAY_LEN(cases); i++)
    if (ig_uri_is_near(cases[i].uri) != cases[i].is_near)
      fail_msg("\"%s\"", cases[i].uri);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_part_is_read_elsewhere_in_the_snapshot_of_its_run),
      cmocka_unit_test(what_was_read_elsewhere_is_in_the_log_of_who_leased_it),
      cmocka_unit_test(a_lease_counts_until_its_connection_is_closed),
      cmocka_unit_test(what_is_lent_and_what_is_idle_share_the_places),
      cmocka_unit_test(only_what_a_running_statement_offers_is_leased),
      cmocka_unit_test(bytes_that_are_no_lease_are_refused_and_nobody_connects),
      cmocka_unit_test(where_a_server_is_decides_who_may_read_it),
  };
  return cmocka_run_group_tests(tests, postgres_group_setup, postgres_group_teardown);
}
