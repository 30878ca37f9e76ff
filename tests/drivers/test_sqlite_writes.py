"""Rows that are bound and ingested, as SQLite then holds them."""
import datetime
import decimal
import math

import adbc_driver_manager
import pyarrow as pa
import pytest

from sqlite_files import file  # noqa: F401

UTC = datetime.timezone.utc
D = decimal.Decimal

COLUMNS = {
    "bool": (pa.bool_(), [True, None, False], "BOOLEAN", [1, None, 0]),
    "int8": (pa.int8(), [-128, None, 127], "INTEGER", [-128, None, 127]),
    "int64": (pa.int64(), [-2**63, None, 2**63 - 1], "INTEGER", [-2**63, None, 2**63 - 1]),
    "uint8": (pa.uint8(), [0, None, 255], "INTEGER", [0, None, 255]),
    "uint64": (pa.uint64(), [0, None, 2**63 - 1], "INTEGER", [0, None, 2**63 - 1]),
    "float32": (pa.float32(), [1.5, None, -0.25], "REAL", [1.5, None, -0.25]),
    "float64": (pa.float64(), [0.1, None, math.inf], "REAL", [0.1, None, math.inf]),
    "utf8": (pa.utf8(), ["", None, "ä\0b"], "TEXT", ["", None, "ä\0b"]),
    "large_utf8": (pa.large_utf8(), ["x", None, "y" * 1000], "TEXT", ["x", None, "y" * 1000]),
    "utf8_view": (pa.string_view(), ["x", None, "y" * 1000], "TEXT", ["x", None, "y" * 1000]),
    "binary": (pa.binary(), [b"", None, b"\0\xff"], "BLOB", [b"", None, b"\0\xff"]),
    "fixed": (pa.binary(2), [b"ab", None, b"\0\0"], "BLOB", [b"ab", None, b"\0\0"]),
    "date32": (pa.date32(), [datetime.date(2020, 2, 29), None, datetime.date(1, 1, 1)], "DATE",
               ["2020-02-29", None, "0001-01-01"]),
    "date64": (pa.date64(), [datetime.date(2020, 2, 29), None, datetime.date(1969, 12, 31)], "DATE",
               ["2020-02-29", None, "1969-12-31"]),
    "time32": (pa.time32("s"), [datetime.time(12, 34, 56), None, datetime.time(0)], "TIME",
               ["12:34:56", None, "00:00:00"]),
    "time64": (pa.time64("us"), [datetime.time(12, 34, 56, 789), None, datetime.time(0)], "TIME",
               ["12:34:56.000789", None, "00:00:00"]),
    "timestamp_s": (pa.timestamp("s"), [datetime.datetime(2020, 1, 1, 12), None,
                                        datetime.datetime(1969, 12, 31)], "TIMESTAMP",
                    ["2020-01-01 12:00:00", None, "1969-12-31 00:00:00"]),
    "timestamp_us": (pa.timestamp("us"), [datetime.datetime(2020, 1, 1, 12, 0, 0, 1), None,
                                          datetime.datetime(1, 1, 1)], "TIMESTAMP",
                     ["2020-01-01 12:00:00.000001", None, "0001-01-01 00:00:00"]),
    "timestamptz": (pa.timestamp("us", "Europe/Berlin"),
                    [datetime.datetime(2020, 7, 1, 12, tzinfo=UTC), None,
                     datetime.datetime(1970, 1, 1, tzinfo=UTC)], "TIMESTAMPTZ",
                    ["2020-07-01 12:00:00+00:00", None, "1970-01-01 00:00:00+00:00"]),
    "decimal_small": (pa.decimal128(9, 2), [D("-1.50"), None, D("1234567.89")], "DECIMAL(9, 2)",
                      [-1.5, None, 1234567.89]),
    "decimal_whole": (pa.decimal128(18, 0), [D(-1), None, D("999999999999999999")],
                      "DECIMALTEXT(18, 0)", ["-1", None, "999999999999999999"]),
    "decimal_large": (pa.decimal128(38, 10), [D("0.0000000001"), None,
                                              D("-9999999999999999999999999999.9999999999")],
                      "DECIMALTEXT(38, 10)",
                      ["0.0000000001", None, "-9999999999999999999999999999.9999999999"]),
}


def ingest(connection, name, table, mode="create", **options):
    with connection.cursor() as cursor:
        return cursor.adbc_ingest(name, table, mode=mode, **options)


@pytest.mark.parametrize("name", list(COLUMNS))
def test_ingested_values_are_held_as_sqlite_writes_them_and_read_back(file, name):
    type, values, declared, stored = COLUMNS[name]
    table = pa.table({"x": pa.array(values, type)})
    ingest(file.connect(), "t", table)
    assert file.rows("SELECT type FROM pragma_table_info('t')") == [(declared,)]
    assert [row[0] for row in file.rows("SELECT x FROM t ORDER BY rowid")] == stored
    back = file.read("SELECT x FROM t ORDER BY rowid").column("x")
    assert back.to_pylist() == values


@pytest.mark.parametrize("name", list(COLUMNS))
def test_bound_values_meet_the_stored_ones(file, name):
    """What goes in as a parameter is equal to what an ingest of the same value stored."""
    type, values, _, _ = COLUMNS[name]
    table = pa.table({"x": pa.array(values, type)})
    ingest(file.connect(), "t", table)
    with file.connect().cursor() as cursor:
        cursor.adbc_statement.set_sql_query("SELECT CAST(count(*) AS INTEGER) FROM t WHERE x = ?")
        for row in range(3):
            cursor.adbc_statement.bind_stream(
                pa.RecordBatchReader.from_batches(table.schema, table.slice(row, 1).to_batches()))
            stream, _ = cursor.adbc_statement.execute_query()
            reader = pa.RecordBatchReader.from_stream(stream)
            assert reader.read_all().column(0).to_pylist() == [0 if values[row] is None else 1]


def test_dictionaries_are_their_values(file):
    table = pa.table({"x": pa.array(["a", None, "b", "a"]).dictionary_encode(),
                      "y": pa.array([1, 2, None, 1]).dictionary_encode()})
    ingest(file.connect(), "t", table)
    assert file.rows("SELECT x, y FROM t") == [("a", 1), (None, 2), ("b", None), ("a", 1)]


def test_slices_are_written_from_their_offset(file):
    table = pa.table({"x": list(range(100)), "s": [str(i) for i in range(100)],
                      "b": [i % 3 == 0 for i in range(100)]})
    ingest(file.connect(), "t", table.slice(37, 5))
    assert file.rows("SELECT x, s, b FROM t") == [(i, str(i), int(i % 3 == 0)) for i in range(37, 42)]


@pytest.mark.parametrize("column, sqlstate, text", [
    (pa.array([1.0, math.nan]), "22003", "NaN"),
    (pa.array([2**63], pa.uint64()), "22003", "out of range"),
    (pa.array([1], pa.timestamp("ns")), "22008", "finer than a microsecond"),
    (pa.array([1], pa.time64("ns")), "22008", "finer than a microsecond"),
    (pa.array([[1]]), "0A000", "cannot store"),
    (pa.array([{"a": 1}]), "0A000", "cannot store"),
    (pa.array([1], pa.duration("s")), "0A000", "cannot store"),
])
def test_what_sqlite_would_change_is_refused(file, column, sqlstate, text):
    with pytest.raises(adbc_driver_manager.Error) as error:
        ingest(file.connect(), "t", pa.table({"x": column}))
    assert error.value.sqlstate == sqlstate and text in str(error.value)
    assert file.rows("SELECT count(*) FROM sqlite_schema") == [(0,)]


def test_nanoseconds_that_are_microseconds_are_written(file):
    ingest(file.connect(), "t", pa.table({"x": pa.array([1577836800123456000], pa.timestamp("ns"))}))
    assert file.rows("SELECT x FROM t") == [("2020-01-01 00:00:00.123456",)]


def test_digits_that_a_real_would_lose_are_refused(file):
    file.run("CREATE TABLE t (x DECIMAL(30, 2))")
    connection = file.connect()
    fine = pa.table({"x": pa.array([D("1234567890123.45"), D("100000000000000000000.00")],
                                   pa.decimal128(30, 2))})
    ingest(connection, "t", fine, mode="append")
    with pytest.raises(adbc_driver_manager.DataError, match="more than 15 digits"):
        ingest(connection, "t", pa.table({"x": pa.array([D("12345678901234.567")],
                                                        pa.decimal128(30, 3))}), mode="append")
    assert file.read("SELECT x FROM t").column("x").to_pylist() == [
        D("1234567890123.45"), D("100000000000000000000.00")]


def test_columns_are_met_by_name(file):
    file.run("CREATE TABLE t (a BIGINT, b TEXT, c TEXT DEFAULT 'z')")
    ingest(file.connect(), "t", pa.table({"b": ["x"], "a": [1]}), mode="append")
    assert file.rows("SELECT * FROM t") == [(1, "x", "z")]
    with pytest.raises(adbc_driver_manager.Error) as error:
        ingest(file.connect(), "t", pa.table({"nosuch": [1]}), mode="append")
    assert error.value.sqlstate == "42703"


def test_columns_that_are_never_null_are_declared_so(file):
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False), pa.field("b", pa.int64())])
    ingest(file.connect(), "t", pa.table({"a": [1], "b": [None]}, schema=schema))
    assert file.rows('SELECT name, "notnull" FROM pragma_table_info(\'t\')') == [("a", 1), ("b", 0)]


def test_an_ingest_that_fails_leaves_nothing_of_itself(file):
    file.run("CREATE TABLE t (a BIGINT PRIMARY KEY); INSERT INTO t VALUES (500)")
    connection = file.connect()
    with pytest.raises(adbc_driver_manager.IntegrityError):
        ingest(connection, "t", pa.table({"a": list(range(1000))}), mode="append")
    assert file.rows("SELECT a FROM t") == [(500,)]
    with pytest.raises(adbc_driver_manager.DataError):
        ingest(connection, "t", pa.table({"b": [1.0, math.nan]}), mode="replace")
    assert file.rows("SELECT a FROM t") == [(500,)]


def test_an_ingest_is_part_of_the_callers_transaction(file):
    file.run("CREATE TABLE t (a BIGINT PRIMARY KEY)")
    connection = file.connect(autocommit=False)
    ingest(connection, "t", pa.table({"a": [1]}), mode="append")
    with pytest.raises(adbc_driver_manager.IntegrityError):
        ingest(connection, "t", pa.table({"a": [2, 1]}), mode="append")
    connection.commit()
    assert file.rows("SELECT a FROM t") == [(1,)]
    ingest(connection, "t", pa.table({"a": [3]}), mode="append")
    connection.rollback()
    assert file.rows("SELECT a FROM t") == [(1,)]


def test_a_temporary_table_is_the_connections_own(file):
    connection = file.connect()
    ingest(connection, "t", pa.table({"a": [1]}), temporary=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT a FROM temp.t")
        assert cursor.fetchall() == [(1,)]
    assert file.rows("SELECT count(*) FROM sqlite_schema") == [(0,)]


def test_a_stream_of_the_connection_can_be_ingested_by_it(file):
    file.run("CREATE TABLE t (a BIGINT, b TEXT)")
    file.run("INSERT INTO t VALUES (?, ?)", *[(i, str(i)) for i in range(200000)])
    connection = file.connect()
    with connection.cursor() as source:
        source.execute("SELECT * FROM t")
        assert ingest(connection, "u", source.fetch_record_batch()) == 200000
    assert file.rows("SELECT count(*), sum(a), sum(b) FROM u") == file.rows(
        "SELECT count(*), sum(a), sum(b) FROM t")


def test_a_cancelled_ingest_leaves_nothing(file):
    file.run("CREATE TABLE t (a BIGINT)")
    connection = file.connect()
    schema = pa.schema([("a", pa.int64())])

    def batches():
        while True:
            yield pa.record_batch({"a": list(range(1000))}, schema=schema)
            cursor.adbc_cancel()

    with connection.cursor() as cursor:
        with pytest.raises(adbc_driver_manager.OperationalError) as error:
            cursor.adbc_ingest("t", pa.RecordBatchReader.from_batches(schema, batches()),
                               mode="append")
    assert error.value.sqlstate == "57014"
    assert file.rows("SELECT count(*) FROM t") == [(0,)]


def test_an_ingest_takes_rows_batch_by_batch(file):
    schema = pa.schema([("a", pa.int64()), ("b", pa.utf8())])
    batch = pa.record_batch({"a": list(range(10000)), "b": ["x" * 20] * 10000}, schema=schema)
    reader = pa.RecordBatchReader.from_batches(schema, (batch for _ in range(30)))
    assert ingest(file.connect(), "t", reader) == 300000
    assert file.rows("SELECT count(*), sum(a) FROM t") == [(300000, 30 * sum(range(10000)))]


# ---- parameters ----------------------------------------------------------------------------


def test_a_query_runs_for_each_row_of_its_parameters(file):
    file.run("CREATE TABLE t (a BIGINT, b TEXT)")
    file.run("INSERT INTO t VALUES (?, ?)", *[(i % 5, str(i)) for i in range(50)])
    with file.connect().cursor() as cursor:
        cursor.adbc_statement.set_sql_query("SELECT a, b FROM t WHERE a = ? ORDER BY b")
        rows = pa.table({"p": [3, None, 99, 1]})
        cursor.adbc_statement.bind_stream(rows.to_reader())
        stream, _ = cursor.adbc_statement.execute_query()
        found = pa.RecordBatchReader.from_stream(stream).read_all()
    expected = [row for a in (3, 1) for row in file.rows(f"SELECT a, b FROM t WHERE a = {a} ORDER BY b")]
    assert list(zip(*found.to_pydict().values())) == expected


def test_no_rows_of_parameters_are_no_execution(file):
    file.run("CREATE TABLE t (a BIGINT)")
    with file.connect().cursor() as cursor:
        cursor.adbc_statement.set_sql_query("INSERT INTO t VALUES (?)")
        cursor.adbc_statement.bind_stream(pa.table({"p": pa.array([], pa.int64())}).to_reader())
        cursor.adbc_statement.execute_update()
        cursor.adbc_statement.set_sql_query("SELECT a FROM t WHERE a = ?")
        cursor.adbc_statement.bind_stream(pa.table({"p": pa.array([], pa.int64())}).to_reader())
        stream, _ = cursor.adbc_statement.execute_query()
        assert pa.RecordBatchReader.from_stream(stream).read_all().num_rows == 0
    assert file.rows("SELECT count(*) FROM t") == [(0,)]


def test_a_statement_that_returns_what_it_writes_writes_it(file):
    file.run("CREATE TABLE t (k INTEGER PRIMARY KEY, a TEXT)")
    with file.connect().cursor() as cursor:
        cursor.execute("INSERT INTO t (a) VALUES ('x'), ('y') RETURNING k, a")
        assert cursor.fetchall() == [(1, "x"), (2, "y")]
    assert file.rows("SELECT count(*) FROM t") == [(2,)]


def test_changed_rows_are_counted(file):
    file.run("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1), (2), (3)")
    with file.connect().cursor() as cursor:
        for sql, count in (("UPDATE t SET a = a + 1 WHERE a > 1", 2), ("DELETE FROM t", 3),
                           ("CREATE TABLE u (a BIGINT)", 0), ("DELETE FROM t", 0)):
            cursor.adbc_statement.set_sql_query(sql)
            assert cursor.adbc_statement.execute_update() == count, sql
