"""Files: how they are opened, what of a stranger's file is refused, locks, transactions, errors."""
import contextlib
import os
import sqlite3
import threading
import time

import adbc_driver_manager
import pytest

from sqlite_files import file  # noqa: F401

MANY = ("WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < {})"
        " SELECT i FROM s")


def error_of(call):
    with pytest.raises(adbc_driver_manager.Error) as told:
        call()
    return told.value


def details_of(error):
    return {key.decode(): value.decode() for key, value in error.details}


# ---- opening -------------------------------------------------------------------------------


def test_a_missing_file_is_an_error_and_is_not_made(file, tmp_path):
    file.path = tmp_path / "missing.db"
    error = error_of(file.connect)
    assert error.sqlstate == "58P01" and "missing.db" in str(error)
    assert details_of(error)["igloo.status"] == "NOT_FOUND"
    assert not file.path.exists()
    error_of(lambda: file.connect(mode="ro"))
    assert not file.path.exists()


def test_a_missing_file_is_made_where_it_is_asked_for(file, tmp_path):
    file.path = tmp_path / "new.db"
    with file.connect(mode="rwc").cursor() as cursor:
        cursor.execute("CREATE TABLE t (a BIGINT)")
    assert sqlite3.connect(file.path).execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_a_file_that_is_no_database_is_told_at_once(file, tmp_path):
    file.path = tmp_path / "text.db"
    file.path.write_text("this is no database, but it is long enough to be looked at\n" * 50)
    error = error_of(file.connect)
    assert error.sqlstate == "XX001" and "not a database" in str(error)


def test_a_folder_is_no_database(file, tmp_path):
    file.path = tmp_path
    assert "could not open database" in str(error_of(file.connect))


def test_a_read_only_database_takes_no_writes(file):
    file.run("CREATE TABLE t (a BIGINT)")
    with file.connect(mode="ro").cursor() as cursor:
        error = error_of(lambda: cursor.execute("INSERT INTO t VALUES (1)"))
    assert error.sqlstate == "25006"
    assert file.rows("SELECT count(*) FROM t") == [(0,)]


def test_a_connection_can_be_switched_to_reading_only_and_back(file):
    file.run("CREATE TABLE t (a BIGINT)")
    connection = file.connect()
    with connection.cursor() as cursor:
        for wanted in ("true", "false", "true"):
            connection.adbc_connection.set_options(**{"adbc.connection.readonly": wanted})
            assert connection.adbc_connection.get_option("adbc.connection.readonly") == wanted
            if wanted == "true":
                error = error_of(lambda: cursor.execute("INSERT INTO t VALUES (1)"))
                assert error.sqlstate == "25006"
                assert error_of(lambda: cursor.execute("PRAGMA query_only = 0")).sqlstate == "42501"
            else:
                cursor.execute("INSERT INTO t VALUES (1)")
    assert file.rows("SELECT count(*) FROM t") == [(1,)]


def test_a_uri_may_name_the_file_in_three_ways(file):
    file.run("CREATE TABLE t (a BIGINT)")
    path = file.path
    for uri in (path, f"file:{path}?mode=ro", f"sqlite:{path}", f"sqlite://{path}"):
        file.path = uri
        assert file.read("SELECT a FROM t").num_rows == 0


def test_a_database_needs_a_uri_and_known_options(file):
    file.path = ""
    assert 'option "uri" is missing' in str(error_of(file.connect))
    file.path = ":memory:"
    assert 'invalid value for option "igloo.sqlite.mode"' in str(
        error_of(lambda: file.connect(mode="rx")))
    assert 'unknown option "igloo.sqlite.misfits"' in str(
        error_of(lambda: file.connect(misfits="null")))
    with file.connect().cursor() as cursor:
        error = error_of(lambda: cursor.adbc_statement.set_options(**{"igloo.batch_byte": "1"}))
    assert details_of(error)["igloo.hint"] == 'Did you mean "igloo.batch_bytes"?'


def test_a_file_in_wal_mode_is_read_beside_its_writer(file):
    file.run("PRAGMA journal_mode = WAL; CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1)")
    file.oracle.execute("INSERT INTO t VALUES (2)")  # not committed
    assert file.read("SELECT a FROM t", mode="ro").column("a").to_pylist() == [1]
    file.oracle.commit()
    assert file.read("SELECT a FROM t", mode="ro").column("a").to_pylist() == [1, 2]


def test_a_stream_sees_one_moment_of_a_file_in_wal_mode(file):
    file.run("PRAGMA journal_mode = WAL; CREATE TABLE t (a BIGINT)")
    file.run(f"INSERT INTO t {MANY.format(200000)}")
    with file.connect().cursor() as cursor:
        cursor.execute("SELECT a FROM t")
        reader = cursor.fetch_record_batch()
        first = reader.read_next_batch().num_rows
        file.run("DELETE FROM t")
        assert first + sum(batch.num_rows for batch in reader) == 200000
    assert file.read("SELECT a FROM t").num_rows == 0


# ---- hostile files and statements ------------------------------------------------------------


@pytest.mark.parametrize("sql, sqlstate", [
    ("ATTACH '{}' AS other", "42501"),
    ("VACUUM INTO '{}'", "42501"),
    ("PRAGMA trusted_schema = 1", "42501"),
    ("PRAGMA writable_schema = 1", "42501"),
    ("PRAGMA temp_store_directory = '{}'", "42501"),
    ("PRAGMA hard_heap_limit = 1", "42501"),
    ("UPDATE sqlite_schema SET sql = ''", "42501"),
    ("INSERT INTO sqlite_schema VALUES ('table', 't', 't', 1, '')", "42501"),
    ("SELECT load_extension('{}')", "42501"),
    ('SELECT "no such column"', "42703"),
    ("SELECT 1; SELECT 2", "42601"),
    ("", "42601"),
    ("-- nothing", "42601"),
])
def test_a_statement_does_not_reach_beyond_its_database(file, tmp_path, sql, sqlstate):
    file.run("CREATE TABLE t (a BIGINT)")
    target = tmp_path / "other.db"
    with file.connect().cursor() as cursor:
        error = error_of(lambda: cursor.execute(sql.format(target)))
    assert error.sqlstate == sqlstate, str(error)
    assert not target.exists()


def test_what_a_strangers_schema_brings_is_not_run(file):
    """A view that calls a function with side effects, as an attacker would put it there."""
    file.run("CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('x');"
             "CREATE VIEW v AS SELECT fts3_tokenizer(a) FROM t;"
             "CREATE VIEW w AS SELECT load_extension(a) FROM t")
    for view in "vw":
        error = error_of(lambda: file.read(f"SELECT * FROM {view}"))
        assert error.sqlstate in ("42501", "42883"), str(error)


def test_a_broken_page_is_an_error_not_an_answer(file):
    file.run("CREATE TABLE t (a BIGINT, b TEXT)")
    file.run(f"INSERT INTO t SELECT i, hex(randomblob(100)) FROM ({MANY.format(20000)})")
    file.oracle.close()
    with open(file.path, "r+b") as raw:
        raw.seek(4096 * 200)
        raw.write(os.urandom(4096 * 20))
    error = error_of(lambda: file.read("SELECT sum(length(b)) FROM t"))
    assert error.sqlstate == "XX001"
    file.oracle = sqlite3.connect(":memory:")


def test_a_statement_that_may_only_read_does(file):
    file.run("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1)")
    with file.connect().cursor() as cursor:
        cursor.adbc_statement.set_options(**{"igloo.read_only": "true"})
        for sql in ("INSERT INTO t VALUES (2)", "DELETE FROM t RETURNING a", "DROP TABLE t",
                    "CREATE TABLE u (a)"):
            assert error_of(lambda: cursor.execute(sql)).sqlstate == "25006"
        cursor.execute("SELECT a FROM t")
        assert cursor.fetchall() == [(1,)]


# ---- locks, transactions, errors -------------------------------------------------------------


def test_a_locked_database_is_waited_for_as_long_as_the_option_says(file):
    file.run("CREATE TABLE t (a BIGINT)")
    file.oracle.execute("BEGIN EXCLUSIVE")
    started = time.monotonic()
    error = error_of(lambda: file.read("SELECT a FROM t", busy_timeout_ms="200"))
    assert 0.15 < time.monotonic() - started < 10
    assert error.sqlstate == "55P03" and details_of(error)["igloo.retryable"] == "true"
    assert details_of(error)["igloo.vendor_code"] == str(sqlite3.SQLITE_BUSY)
    file.oracle.rollback()


def test_waiting_for_a_lock_can_be_cancelled(file):
    file.run("CREATE TABLE t (a BIGINT)")
    connection = file.connect(busy_timeout_ms="60000")
    file.oracle.execute("BEGIN EXCLUSIVE")
    ended = threading.Event()

    def cancel():
        while not ended.wait(0.02):
            connection.adbc_cancel()

    with connection.cursor() as cursor:
        thread = threading.Thread(target=cancel)
        thread.start()
        error = error_of(lambda: cursor.execute("SELECT a FROM t"))
        ended.set()
        thread.join()
    assert error.sqlstate in ("57014", "55P03")
    file.oracle.rollback()


def test_a_lock_that_goes_away_in_time_is_no_error(file):
    file.run("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1)")
    other = sqlite3.connect(file.path, check_same_thread=False, isolation_level=None)
    connection = file.connect()
    other.execute("BEGIN EXCLUSIVE")
    thread = threading.Timer(0.2, lambda: other.execute("ROLLBACK"))
    thread.start()
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute("SELECT a FROM t")
        assert cursor.fetchall() == [(1,)]
    thread.join()
    other.close()


@pytest.mark.parametrize("sql, sqlstate, code", [
    ("INSERT INTO t VALUES (1, 'x', 1)", "23505", sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY),
    ("INSERT INTO t VALUES (2, NULL, 1)", "23502", sqlite3.SQLITE_CONSTRAINT_NOTNULL),
    ("INSERT INTO t VALUES (2, 'x', -1)", "23514", sqlite3.SQLITE_CONSTRAINT_CHECK),
    ("INSERT INTO t VALUES (2, 'a', 1)", "23505", sqlite3.SQLITE_CONSTRAINT_UNIQUE),
    ("INSERT INTO child VALUES (7)", "23503", sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY),
    ("INSERT INTO s VALUES ('x')", "42804", 3091),
    ("SELECT abs(-9223372036854775808)", "22003", sqlite3.SQLITE_ERROR),
    ("SELECT nosuch(1)", "42883", sqlite3.SQLITE_ERROR),
    ("SELECT * FROM nosuch", "42P01", sqlite3.SQLITE_ERROR),
    ("INSERT INTO t (nosuch) VALUES (1)", "42703", sqlite3.SQLITE_ERROR),
    ("CREATE TABLE t (a)", "42P07", sqlite3.SQLITE_ERROR),
    ("SELECT a FROM t AS x, t AS y", "42702", sqlite3.SQLITE_ERROR),
    ("SELECT (", "42601", sqlite3.SQLITE_ERROR),
    ("SELECT $", "42601", sqlite3.SQLITE_ERROR),
])
def test_an_error_has_its_sqlstate_and_sqlites_own_number(file, sql, sqlstate, code):
    file.run("CREATE TABLE t (a BIGINT PRIMARY KEY, b TEXT NOT NULL UNIQUE, c BIGINT CHECK (c > 0));"
             "INSERT INTO t VALUES (1, 'a', 1); CREATE TABLE s (a INTEGER) STRICT;"
             "CREATE TABLE child (a BIGINT REFERENCES t (a))")
    with file.connect().cursor() as cursor:
        error = error_of(lambda: (cursor.execute(sql), cursor.fetchall()))
    assert (error.sqlstate, details_of(error)["igloo.vendor_code"]) == (sqlstate, str(code))


def test_a_transaction_is_undone_with_what_failed_in_it(file):
    file.run("CREATE TABLE t (a BIGINT PRIMARY KEY)")
    connection = file.connect(autocommit=False)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (1)")
        error_of(lambda: cursor.execute("INSERT INTO t VALUES (1)"))
        connection.rollback()
        cursor.execute("INSERT INTO t VALUES (2)")
        connection.commit()
    assert file.rows("SELECT a FROM t") == [(2,)]


def test_a_statement_of_the_callers_may_end_the_transaction(file):
    file.run("CREATE TABLE t (a BIGINT)")
    connection = file.connect(autocommit=False)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (1)")
        cursor.execute("COMMIT")
        connection.commit()
    assert file.rows("SELECT count(*) FROM t") == [(1,)]


def test_many_executions_with_rows_are_one_change(file):
    file.run("CREATE TABLE t (a BIGINT PRIMARY KEY)")
    with file.connect().cursor() as cursor:
        error_of(lambda: cursor.executemany("INSERT INTO t VALUES (?)", [(1,), (2,), (1,)]))
        assert file.rows("SELECT count(*) FROM t") == [(0,)]
        cursor.executemany("INSERT INTO t VALUES (?)", [(1,), (2,), (3,)])
    assert file.rows("SELECT count(*) FROM t") == [(3,)]


def test_a_changed_table_gives_its_new_columns_to_a_prepared_statement(file):
    file.run("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1)")
    with file.connect().cursor() as cursor:
        cursor.adbc_prepare("SELECT * FROM t")
        cursor.execute("SELECT * FROM t")
        assert cursor.fetch_arrow_table().schema.names == ["a"]
        file.run("ALTER TABLE t ADD COLUMN b TEXT DEFAULT 'x'")
        cursor.execute("SELECT * FROM t")
        assert cursor.fetch_arrow_table().to_pylist() == [{"a": 1, "b": "x"}]


@pytest.mark.parametrize("sql, position", [
    ("SELECT nosuch FROM t", "1:8"), ("SELECT a,\n  'ä' AS x,\n  nosuch FROM t", "3:3"),
    ("SELECT * FROM t WHERE", None)])
def test_an_error_says_where_in_the_text_it_is(file, sql, position):
    file.run("CREATE TABLE t (a BIGINT)")
    with file.connect().cursor() as cursor:
        error = error_of(lambda: cursor.execute(sql))
    assert details_of(error).get("igloo.position") == position
