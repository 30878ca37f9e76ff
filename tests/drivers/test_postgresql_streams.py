"""Streams that are large, cut short, cancelled, killed, paused; transactions and errors."""
import contextlib
import decimal
import os
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time

import adbc_driver_manager
import pyarrow
import pytest

from conftest import POSTGRESQL, Postgres
from postgres import PostgresError

ENDLESS = ("SELECT i, 'row ' || i AS t, i / 7.0 AS d "
           "FROM (SELECT generate_series(1, 2000000000) AS i) AS s")
SECONDS = 20


def stream(cursor, query):
    cursor.execute(query)
    return cursor.fetch_record_batch()


def backend(cursor):
    cursor.execute("SELECT pg_backend_pid()")
    return cursor.fetchone()[0]


def works(cursor):
    cursor.execute("SELECT 1")
    return cursor.fetchone() == (1,)


def queries_of(postgres, pid):
    return postgres.run(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND state = 'active'")


def test_batches_are_bounded_by_bytes_and_by_rows(connect):
    with connect().cursor() as cursor:
        batches = list(stream(cursor, "SELECT i, repeat('x', 100) FROM generate_series(1, 50000) AS i"))
        assert sum(one.num_rows for one in batches) == 50000
        assert len(batches) > 5 and max(one.nbytes for one in batches) < 1_200_000
        cursor.adbc_statement.set_options(**{"igloo.batch_rows": "1000"})
        batches = list(stream(cursor, "SELECT generate_series(1, 5500)"))
        assert [one.num_rows for one in batches] == [1000] * 5 + [500]
        cursor.adbc_statement.set_options(**{"igloo.batch_bytes": "1"})
        assert [one.num_rows for one in stream(cursor, "SELECT generate_series(1, 3)")] == [1] * 3


def test_memory_is_bounded_by_batches_not_by_rows(connect):
    with connect().cursor() as cursor:
        def read(rows):
            for _ in stream(cursor, f"SELECT repeat('x', 1000) FROM generate_series(1, {rows})"):
                pass
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        before = read(20_000)
        assert read(300_000) - before < 32 * 1024  # 300 MB went through, in KiB


def test_a_reader_that_waits_makes_the_server_wait(postgres, connect):
    connection = connect()
    with connection.cursor() as cursor:
        pid = backend(cursor)
        reader = stream(cursor, ENDLESS)
        reader.read_next_batch()
        deadline = time.monotonic() + SECONDS
        while postgres.run(f"SELECT wait_event FROM pg_stat_activity WHERE pid = {pid}") != "ClientWrite\n":
            assert time.monotonic() < deadline
        reader.close()


@pytest.mark.parametrize("use_copy", ["true", "false"])
def test_a_stream_that_is_released_early_leaves_a_connection_that_works(postgres, connect, use_copy):
    connection = connect()
    with connection.cursor() as cursor:
        cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": use_copy})
        for _ in range(3):
            reader = stream(cursor, ENDLESS)
            reader.read_next_batch()
            reader.close()
            assert works(cursor)
        assert postgres.run(
            f"SELECT state FROM pg_stat_activity WHERE pid = {backend(cursor)}") == "idle\n"


@pytest.mark.parametrize("use_copy", ["true", "false"])
@pytest.mark.parametrize("what", ["statement", "connection"])
def test_cancelling_from_another_thread_ends_a_stream_with_57014(connect, what, use_copy):
    connection = connect()
    with connection.cursor() as cursor:
        cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": use_copy})
        reader = stream(cursor, ENDLESS)
        reader.read_next_batch()
        cancel = cursor.adbc_cancel if what == "statement" else connection.adbc_cancel
        thread = threading.Thread(target=cancel)
        started = time.monotonic()
        with pytest.raises(Exception, match="(?i)cancel"):
            thread.start()
            while True:
                reader.read_next_batch()
        thread.join()
        assert time.monotonic() - started < SECONDS
        assert works(cursor)


def test_cancelling_ends_a_query_that_gives_nothing_yet(postgres, connect):
    connection = connect()
    with connection.cursor() as cursor:
        pid = backend(cursor)
        failed = []

        def run():
            try:
                cursor.execute("SELECT pg_sleep(600), 1 AS a")
                cursor.fetch_arrow_table()
            except adbc_driver_manager.Error as error:
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        deadline = time.monotonic() + SECONDS
        while postgres.run(f"SELECT wait_event FROM pg_stat_activity WHERE pid = {pid}") != "PgSleep\n":
            assert time.monotonic() < deadline
        cursor.adbc_cancel()
        thread.join(SECONDS)
        assert not thread.is_alive() and failed[0].sqlstate == "57014"
        assert works(cursor)


def test_cancelling_a_connection_ends_its_look_at_a_table_that_is_locked(postgres, connect, schema):
    postgres.run(f"CREATE TABLE {schema}.t (a int)")
    blocker, connection = connect(), connect()
    with blocker.cursor() as cursor, connection.cursor() as other:
        pid = backend(other)
        cursor.execute("BEGIN")
        cursor.execute("LOCK TABLE pg_catalog.pg_attribute IN ACCESS EXCLUSIVE MODE")
        failed = []

        def look():
            try:
                connection.adbc_get_table_schema("t", db_schema_filter=schema)
            except adbc_driver_manager.Error as error:
                failed.append(error.sqlstate)

        thread = threading.Thread(target=look)
        thread.start()
        deadline = time.monotonic() + SECONDS
        while True:  # the table of sessions is read by who holds the lock
            cursor.execute(f"SELECT wait_event_type FROM pg_stat_activity WHERE pid = {pid}")
            if cursor.fetchone() == ("Lock",):
                break
            assert time.monotonic() < deadline
        connection.adbc_cancel()
        thread.join(SECONDS)
        cursor.execute("ROLLBACK")
        assert not thread.is_alive() and failed == ["57014"]
        assert works(other)


def test_a_killed_backend_is_an_error_not_a_short_result(postgres, connect):
    for how in ("pg_terminate_backend({})", "crash"):
        connection = connect()
        with connection.cursor() as cursor:
            pid = backend(cursor)
            reader = stream(cursor, ENDLESS)
            reader.read_next_batch()
            if how == "crash":
                os.kill(pid, signal.SIGKILL)
            else:
                postgres.run(f"SELECT {how.format(pid)}")
            with pytest.raises(Exception) as caught:
                while True:
                    reader.read_next_batch()
            assert not isinstance(caught.value, StopIteration), how
            reader.close()
            with pytest.raises(adbc_driver_manager.OperationalError) as caught:
                works(cursor)
            assert caught.value.sqlstate == "08006"
        if how == "crash":  # the server ends all sessions and begins anew
            deadline = time.monotonic() + SECONDS
            while True:
                try:
                    postgres.run("SELECT 1")
                    break
                except AssertionError:
                    assert time.monotonic() < deadline


def test_a_paused_server_does_not_hold_what_is_cancelled(postgres, connect):
    connection = connect()
    with connection.cursor() as cursor:
        pid = backend(cursor)
        reader = stream(cursor, ENDLESS)
        reader.read_next_batch()
        paused = [postgres.process.pid, pid]
        for one in paused:
            os.kill(one, signal.SIGSTOP)
        try:
            started = time.monotonic()
            cursor.adbc_cancel()
            with pytest.raises(Exception, match="(?i)cancel"):
                while True:
                    reader.read_next_batch()
            reader.close()
            assert time.monotonic() - started < SECONDS
        finally:
            for one in paused:
                os.kill(one, signal.SIGCONT)


@pytest.mark.parametrize("use_copy", [True, False])
def test_a_paused_server_ends_what_waits_for_it(postgres, connect, use_copy):
    """What is on an open connection: neither a timeout nor a cancel is needed."""
    connection = connect(database={"igloo.postgresql.patience_ms": "300"})
    with connection.cursor() as cursor:
        cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": str(use_copy).lower()})
        pid = backend(cursor)
        reader = stream(cursor, ENDLESS)
        reader.read_next_batch()
        paused = [postgres.process.pid, pid]
        for one in paused:
            os.kill(one, signal.SIGSTOP)
        try:
            started = time.monotonic()
            with pytest.raises(OSError, match="does not answer any more"):
                while True:
                    reader.read_next_batch()
            assert time.monotonic() - started < SECONDS
        finally:
            for one in paused:
                os.kill(one, signal.SIGCONT)
        reader.close()
        with pytest.raises(adbc_driver_manager.OperationalError) as caught:
            works(cursor)
        assert caught.value.sqlstate == "08006"
    with connect().cursor() as cursor:
        assert works(cursor)


def forward(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


@pytest.mark.parametrize("way", ["tcp", "unix", "refused"])
def test_a_query_that_takes_long_is_waited_for(postgres, connect, way):
    """The server answers those who ask whether it is there, or refuses them: both are signs of life."""
    uri = {"tcp": postgres.uri, "unix": f"postgresql:///postgres?host={postgres.folder}&port={postgres.port}&user=pg"}
    with contextlib.ExitStack() as stack:
        if way == "refused":
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            uri[way] = postgres.uri.replace(str(postgres.port), str(listener.getsockname()[1]))

            def serve():
                near, _ = listener.accept()
                listener.close()
                far = socket.create_connection(("127.0.0.1", postgres.port))
                threading.Thread(target=forward, args=(near, far), daemon=True).start()
                forward(far, near)
            threading.Thread(target=serve, daemon=True).start()
        connection = connect(uri=uri[way], database={"igloo.postgresql.patience_ms": "100"})
        with connection.cursor() as cursor:
            cursor.execute("SELECT 7 FROM pg_sleep(1.2)")
            assert cursor.fetchone() == (7,) and works(cursor)


def test_connecting_to_a_paused_server_ends_in_time(postgres, connect):
    os.kill(postgres.process.pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        with pytest.raises(adbc_driver_manager.OperationalError) as caught:
            connect(database={"igloo.postgresql.connect_timeout_ms": "500"})
        assert caught.value.sqlstate == "08001" and time.monotonic() - started < 5
    finally:
        os.kill(postgres.process.pid, signal.SIGCONT)


def test_connecting_does_not_wait_for_another_that_connects():
    """One database object: a connection that hangs holds no other up."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        uri = f"postgresql://pg@127.0.0.1:{port}/postgres"
        database = adbc_driver_manager.AdbcDatabase(
            driver=POSTGRESQL, entrypoint="AdbcDriverInit", uri=uri,
            **{"igloo.postgresql.connect_timeout_ms": "2000"})
        started, failed = time.monotonic(), []

        def connect():
            try:
                adbc_driver_manager.AdbcConnection(database).close()
            except adbc_driver_manager.Error as error:
                failed.append(error.sqlstate)

        threads = [threading.Thread(target=connect) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == ["08001"] * 5 and time.monotonic() - started < 8
        database.close()


def test_a_second_statement_is_refused_while_a_stream_is_open(connect):
    connection = connect()
    with connection.cursor() as first, connection.cursor() as second:
        reader = stream(first, ENDLESS)
        reader.read_next_batch()
        with pytest.raises(adbc_driver_manager.Error) as caught:
            second.execute("SELECT 1")
        assert caught.value.sqlstate == "55000"
        assert reader.read_next_batch().num_rows > 0
        reader.close()
        assert works(second)


def test_a_statement_that_runs_again_ends_its_earlier_stream(cursor):
    reader = stream(cursor, ENDLESS)
    reader.read_next_batch()
    cursor.adbc_statement.set_sql_query("SELECT 7 AS a")
    handle, _ = cursor.adbc_statement.execute_query()
    with pytest.raises(Exception, match="another execution"):
        reader.read_next_batch()
    assert pyarrow.RecordBatchReader._import_from_c(handle.address).read_all().to_pydict() == {"a": [7]}


def test_a_table_cannot_change_while_it_is_read(postgres, connect, schema):
    """The lock is held until the server has sent all rows: here more than its socket can hold.
    A socket of TCP may grow to hold them all, one of the file system never grows."""
    postgres.run(f"CREATE TABLE {schema}.t AS SELECT i::int4 FROM generate_series(1, 500000) i")
    connection = connect(f"postgresql://pg@/postgres?host={postgres.folder}&port={postgres.port}")
    with connection.cursor() as cursor, postgres.connect() as other:
        reader = stream(cursor, f"SELECT * FROM {schema}.t")
        assert reader.read_next_batch().num_rows < 500000
        other.execute("SET lock_timeout = '200ms'")
        with pytest.raises(PostgresError) as caught:
            other.execute(f"ALTER TABLE {schema}.t ALTER i TYPE float4")
        assert caught.value.sqlstate == "55P03"
        assert {batch.schema.field("i").type for batch in reader} == {pyarrow.int32()}
        other.execute(f"ALTER TABLE {schema}.t ALTER i TYPE float4")


def test_transactions_commit_roll_back_and_isolate(postgres, connect, schema):
    table = f"{schema}.t"
    postgres.run(f"CREATE TABLE {table} (a int)")
    connection = connect(autocommit=False)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {table} VALUES (1)")
        assert postgres.run(f"SELECT count(*) FROM {table}") == "0\n"
        connection.rollback()
        cursor.execute(f"INSERT INTO {table} VALUES (2)")
        cursor.execute(f"SELECT * FROM {table}")
        assert cursor.fetchall() == [(2,)]
        connection.commit()
        assert postgres.run(f"SELECT a FROM {table}") == "2\n"

        with pytest.raises(adbc_driver_manager.Error):
            cursor.execute("SELECT 1 / 0")
            cursor.fetchall()
        with pytest.raises(adbc_driver_manager.Error) as caught:
            connection.commit()
        assert caught.value.sqlstate == "25P02"
        connection.rollback()

        connection.adbc_connection.set_options(**{
            "adbc.connection.transaction.isolation_level":
                "adbc.connection.transaction.isolation.repeatable_read"})
        connection.commit()
        cursor.execute(f"SELECT count(*) FROM {table}")
        assert cursor.fetchone() == (1,)
        postgres.run(f"INSERT INTO {table} VALUES (3)")
        cursor.execute(f"SELECT count(*) FROM {table}")
        assert cursor.fetchone() == (1,)
        connection.commit()
        cursor.execute(f"SELECT count(*) FROM {table}")
        assert cursor.fetchone() == (2,)


def test_a_read_only_connection_writes_nothing(postgres, connect, schema):
    connection = connect(**{"adbc.connection.readonly": "true"})
    with connection.cursor() as cursor, pytest.raises(adbc_driver_manager.Error) as caught:
        cursor.execute(f"CREATE TABLE {schema}.t (a int)")
    assert caught.value.sqlstate == "25006"


def test_a_snapshot_is_shared_between_connections(postgres, connect, schema):
    table = f"{schema}.t"
    postgres.run(f"CREATE TABLE {table} AS SELECT 1 AS a")
    first, second = connect(), connect()
    with first.cursor() as one, second.cursor() as two:
        one.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        one.execute("SELECT pg_export_snapshot()")
        name = one.fetchone()[0]
        postgres.run(f"INSERT INTO {table} VALUES (2)")
        two.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        two.execute(f"SET TRANSACTION SNAPSHOT '{name}'")
        for cursor in (one, two):
            cursor.execute(f"SELECT count(*) FROM {table} WHERE ctid >= '(0,0)'::tid")
            assert cursor.fetchone() == (1,)
            cursor.execute("COMMIT")
            cursor.execute(f"SELECT count(*) FROM {table}")
            assert cursor.fetchone() == (2,)


FAILURES = [
    ("SELECT * FROM nowhere", "42P01", "ProgrammingError"),
    ("SELEC 1", "42601", "ProgrammingError"),
    ("SELECT 1; SELECT 2", "42601", "ProgrammingError"),
    ("SELECT 1 / (i - 50000) FROM generate_series(1, 60000) i", "22012", "DataError"),
    ("INSERT INTO pg_class DEFAULT VALUES", "42501", "ProgrammingError"),
    ("SELECT $1::int", "22023", "ProgrammingError"),
    ("COPY pg_class TO STDOUT", "0A000", "NotSupportedError"),
    ("COPY pg_class FROM STDIN", "0A000", "NotSupportedError"),
]


@pytest.mark.parametrize("query,state,kind", FAILURES, ids=[one[0] for one in FAILURES])
def test_errors_tell_the_sqlstate_and_leave_the_connection_usable(connect, query, state, kind):
    with connect().cursor() as cursor:
        if state == "42501":
            cursor.execute("SET ROLE pg_read_all_data")
        with pytest.raises(getattr(adbc_driver_manager, kind)) as caught:
            cursor.execute(query)
            cursor.fetch_arrow_table()
        assert caught.value.sqlstate == state
        assert works(cursor)


def test_errors_carry_details(cursor, schema):
    cursor.execute(f"CREATE TABLE {schema}.t (a int PRIMARY KEY)")
    cursor.execute(f"INSERT INTO {schema}.t VALUES (1)")
    with pytest.raises(adbc_driver_manager.IntegrityError) as caught:
        cursor.execute(f"INSERT INTO {schema}.t VALUES (1)")
    assert caught.value.sqlstate == "23505"
    assert dict(caught.value.details)[b"igloo.detail"] == b"Key (a)=(1) already exists."


def test_a_refused_connection_says_why_without_the_password(postgres, connect):
    cases = {
        "postgresql://pg:canary@127.0.0.1:1/postgres": "08001",
        postgres.uri.replace("pg@", "pg:canary@").replace("/postgres", "/nowhere"): "3D000",
        postgres.uri.replace("pg@", "nobody:canary@"): "28000",
        "postgresql://pg:canary@[::1/x": "22023",
        "host=127.0.0.1 password=canary nonsense": "22023",
        "postgresql://pg:canary@nowhere.invalid/x": "08001",
    }
    for uri, state in cases.items():
        with pytest.raises(adbc_driver_manager.Error) as caught:
            connect(uri)
        assert caught.value.sqlstate == state, uri
        said = str(caught.value) + str(caught.value.details)
        assert "canary" not in said and "\n" not in str(caught.value)


def test_a_password_is_asked_for_and_taken(postgres, connect):
    conf = postgres.data / "pg_hba.conf"
    old = conf.read_text()
    postgres.run("CREATE ROLE guarded LOGIN PASSWORD 'canary'")
    try:
        conf.write_text("host all guarded 127.0.0.1/32 scram-sha-256\n" + old)
        postgres.run("SELECT pg_reload_conf()")
        uri = postgres.uri.replace("pg@", "")
        options = {"username": "guarded", "password": "canary"}
        deadline = time.monotonic() + SECONDS
        while True:  # the configuration is read a moment later
            try:
                connect(uri, database={**options, "password": "wrong"})
            except adbc_driver_manager.Error as error:
                assert error.sqlstate == "28P01"
                break
            assert time.monotonic() < deadline
        with connect(uri, database=options).cursor() as cursor:
            assert works(cursor)
    finally:
        conf.write_text(old)
        postgres.run("SELECT pg_reload_conf(); DROP ROLE guarded")


def test_large_results_come_through_tls(connect):
    server = Postgres(log_statement="none", shared_buffers="16MB")
    try:
        key, certificate = server.data / "server.key", server.data / "server.crt"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj",
                        "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key,
                        "-out", certificate], check=True, stderr=subprocess.DEVNULL)
        for path in (key, certificate):
            shutil.chown(path, *[server.data.owner()] * 2)
            path.chmod(0o600)
        server.run("ALTER SYSTEM SET ssl = on")
        server.run("SELECT pg_reload_conf()")
        uri = f"{server.uri}?sslmode=verify-full&sslrootcert={certificate}"
        deadline = time.monotonic() + SECONDS
        while server.run("SHOW ssl") != "on\n":
            assert time.monotonic() < deadline
        connection = connect(uri)
        with connection.cursor() as cursor:
            cursor.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            assert cursor.fetchone() == (True,)
            for width in (1, 1000, 9000, 16384, 70000):
                query = f"SELECT i, repeat('x', {width}) FROM generate_series(1, {20_000_000 // (width + 50)}) AS i"
                rows = sum(batch.num_rows for batch in stream(cursor, query))
                assert rows == 20_000_000 // (width + 50)
            reader = stream(cursor, ENDLESS)
            reader.read_next_batch()
            reader.close()
            assert works(cursor)
        connection.close()
        with pytest.raises(adbc_driver_manager.OperationalError):
            connect(f"{server.uri.replace('127.0.0.1', 'localhost')}?sslmode=verify-full&sslrootcert={certificate}")
    finally:
        server.done()


def test_binds_run_the_query_for_each_row(postgres, connect, schema):
    table = f"{schema}.t"
    with connect().cursor() as cursor:
        cursor.execute(f"CREATE TABLE {table} (a int PRIMARY KEY, b text, c numeric(5,2), d timestamptz)")
        rows = [(i, f"it's {i}" if i % 3 else None, None, None) for i in range(1000)]
        cursor.executemany(f"INSERT INTO {table} VALUES ($1, $2, $3, $4)", rows)
        assert cursor.rowcount == 1000
        with pytest.raises(adbc_driver_manager.IntegrityError):
            cursor.executemany(f"INSERT INTO {table} VALUES ($1, 'new', null, null)", [(5000,), (1,)])
        assert postgres.run(f"SELECT count(*) FROM {table}") == "1000\n"
        cursor.execute(f"SELECT a, b FROM {table} WHERE a = $1", (998,))
        assert cursor.fetchall() == [(998, "it's 998")]
        cursor.execute("SELECT $1::numeric(5,2) AS n, $2 AS t, $3::inet IS NULL", (2, "ä", None))
        assert cursor.fetchall() == [(decimal.Decimal("2.00"), "ä", True)]
        with pytest.raises(adbc_driver_manager.Error, match="1 parameters"):
            cursor.execute(f"SELECT * FROM {table} WHERE a = $1", (1, 2))
        with pytest.raises(adbc_driver_manager.Error) as caught:
            cursor.execute("SELECT $1::text", ("a\0b",))
            cursor.fetchall()
        assert caught.value.sqlstate == "22021"
        assert works(cursor)
