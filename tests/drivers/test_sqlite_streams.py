"""Streams: bounded batches, bounded memory, many at once, cancelled."""
import resource
import threading
import time

import adbc_driver_manager
import pyarrow as pa
import pytest

from sqlite_files import file  # noqa: F401

SERIES = ("WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < {})"
          " SELECT {} FROM s")
SECONDS = 20


def fill(file, rows, value="hex(zeroblob(50))"):
    file.run(f"CREATE TABLE t (k INTEGER PRIMARY KEY, a BIGINT, b TEXT);"
             f"INSERT INTO t {SERIES.format(rows, 'i, i * 7, ' + value)}")


def test_a_large_table_is_what_sqlite_says(file):
    fill(file, 300000, "CASE WHEN i % 7 = 0 THEN NULL ELSE 'row ' || i END")
    table = file.read("SELECT * FROM t ORDER BY k")
    rows = file.rows("SELECT * FROM t ORDER BY k")
    assert [tuple(one) for one in zip(*table.to_pydict().values())] == rows


@pytest.mark.parametrize("option, value, largest", [
    ("igloo.batch_rows", "1000", 1000), ("igloo.batch_bytes", "100000", 1000)])
def test_batches_end_where_the_options_say(file, option, value, largest):
    fill(file, 20000)
    with file.connect().cursor() as cursor:
        cursor.adbc_statement.set_options(**{option: value})
        cursor.execute("SELECT * FROM t")
        sizes = [(batch.num_rows, batch.nbytes) for batch in cursor.fetch_record_batch()]
    assert sum(rows for rows, _ in sizes) == 20000
    assert max(rows for rows, _ in sizes) <= largest
    if option == "igloo.batch_bytes":
        assert max(size for _, size in sizes) <= 100000 + 200


def test_one_value_larger_than_a_batch_is_a_batch(file):
    file.run("CREATE TABLE t (b BLOB); INSERT INTO t VALUES (zeroblob(9000000)), (x'00'), (zeroblob(5000000))")
    with file.connect().cursor() as cursor:
        cursor.execute("SELECT b FROM t")
        batches = list(cursor.fetch_record_batch())
    assert [len(value) for batch in batches for value in batch.column(0).to_pylist()] == [
        9000000, 1, 5000000]
    assert len(batches) == 2


def test_memory_is_that_of_batches_not_of_rows(file):
    """600 MB of texts go by."""
    with file.connect().cursor() as cursor:
        def read(rows):
            cursor.execute(SERIES.format(rows, "CAST(hex(zeroblob(500)) AS TEXT) AS b"))
            return sum(batch.num_rows for batch in cursor.fetch_record_batch())

        assert read(20000) == 20000
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert read(600000) == 600000
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 60000, f"{grown} KiB more"


def test_parts_by_key_hold_each_row_once_on_connections_of_their_own(file):
    fill(file, 100000)
    found = [None] * 4

    def read(part):
        low, high = 1 + part * 25000, (part + 1) * 25000
        found[part] = file.read(f"SELECT k FROM t WHERE k BETWEEN {low} AND {high}").column("k")

    threads = [threading.Thread(target=read, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert pa.chunked_array([c for one in found for c in one.chunks]).to_pylist() == list(
        range(1, 100001))


def test_streams_of_one_connection_can_be_read_by_many_threads(file):
    fill(file, 50000)
    connection = file.connect()
    counts = []

    def read():
        with connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"igloo.batch_rows": "100"})
            cursor.execute("SELECT a FROM t")
            counts.append(sum(batch.num_rows for batch in cursor.fetch_record_batch()))

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert counts == [50000] * 6


def test_cancelling_one_stream_leaves_the_other_of_its_connection(file):
    fill(file, 100000)
    connection = file.connect()
    with connection.cursor() as one, connection.cursor() as other:
        for cursor in (one, other):
            cursor.adbc_statement.set_options(**{"igloo.batch_rows": "1000"})
            cursor.execute("SELECT a FROM t")
        first, second = one.fetch_record_batch(), other.fetch_record_batch()
        first.read_next_batch()
        one.adbc_cancel()
        with pytest.raises(OSError):
            first.read_all()
        assert sum(batch.num_rows for batch in second) == 100000


def test_cancelling_ends_a_sort_within_seconds(file):
    ended = threading.Event()
    with file.connect().cursor() as cursor:
        def cancel():
            while not ended.wait(0.05):
                cursor.adbc_cancel()

        thread = threading.Thread(target=cancel)
        started = time.monotonic()
        thread.start()
        with pytest.raises(adbc_driver_manager.OperationalError) as error:
            cursor.execute(SERIES.format(50000000, "i") + " ORDER BY i % 1000, i")
        ended.set()
        thread.join()
    assert error.value.sqlstate == "57014"
    assert time.monotonic() - started < SECONDS


def test_a_stream_holds_its_read_lock_only_to_its_end(file):
    """Without WAL a reader keeps writers out; at the last batch it lets them in."""
    fill(file, 1000)
    with file.connect().cursor() as cursor:
        cursor.execute("SELECT a FROM t")
        reader = cursor.fetch_record_batch()
        assert sum(batch.num_rows for batch in reader) == 1000
        file.run("DELETE FROM t")
    assert file.rows("SELECT count(*) FROM t") == [(0,)]
