"""The ADBC driver for Flight SQL, as Python programs use it."""

import threading
import warnings

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi
import adbc_driver_manager
import duckdb
import pyarrow as pa
import pytest

from conftest import PASSWORD, USER, wait_for

ENDLESS = "SELECT count(*) FROM generate_series(1, 1000000000000) AS t(v)"
FLIGHT = adbc_driver_flightsql.DatabaseOptions
CELLS = ["plain", "guarded", "header", "tls"]


def connect(server, cell, **more):
    """By nothing, by password, by a Basic header on each call, by password over TLS."""
    options = dict(more)
    uri = f"grpc://{server.target}"
    if cell in ("guarded", "tls"):
        options |= {"username": USER, "password": PASSWORD}
    if cell == "header":
        import base64
        text = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        options |= {FLIGHT.AUTHORIZATION_HEADER.value: f"Basic {text}"}
    if cell == "tls":
        uri = f"grpc+tls://{server.target}"
        options |= {FLIGHT.TLS_ROOT_CERTS.value: server.root.decode()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # there are no transactions
        return adbc_driver_flightsql.dbapi.connect(uri, db_kwargs=options)


@pytest.fixture(params=CELLS)
def connection(request):
    server = request.getfixturevalue({"plain": "server", "guarded": "guarded",
                                      "header": "guarded", "tls": "tls"}[request.param])
    with connect(server, request.param) as made:
        made.cell = request.param
        yield made


@pytest.fixture
def plain(server):
    with connect(server, "plain") as made:
        yield made


@pytest.fixture
def table(connection, name):
    """A table of ours alone, gone afterwards: cells share servers."""
    made = name[:40].strip("_") + "_" + connection.cell
    yield made
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {made}")


def test_execute_and_fetch(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT v, CAST(v AS TEXT) AS t FROM generate_series(1, 1000) AS g(v)")
        assert [column[0] for column in cursor.description] == ["v", "t"]
        assert cursor.fetchone() == (1, "1")
        assert cursor.fetchmany(2) == [(2, "2"), (3, "3")]
        assert len(cursor.fetchall()) == 997
        cursor.execute("SELECT 1 AS a WHERE false")
        assert cursor.fetchall() == []


def test_parameters_of_execute_and_executemany(connection, table):
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {table} (a BIGINT, b TEXT, c DOUBLE)")
        cursor.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)",
                           [(1, "one", 1.5), (2, None, None), (3, "näh", -0.0)])
        assert cursor.rowcount == 3
        cursor.execute(f"INSERT INTO {table} VALUES (?, ?, ?)", (4, "four", 4))
        assert cursor.rowcount == 1
        cursor.execute(f"SELECT a, b FROM {table} WHERE a >= ? AND a < ? ORDER BY a", (2, 4))
        assert cursor.fetchall() == [(2, None), (3, "näh")]


def test_writing_through_execute_happens_once(connection, table):
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {table} AS SELECT 1 AS a")
        cursor.execute(f"INSERT INTO {table} VALUES (2), (3)")
        assert cursor.rowcount == 2
        cursor.execute(f"SELECT count(*) FROM {table}")
        assert cursor.fetchall() == [(3,)]


def test_ingest_in_four_modes(connection, table):
    data = pa.table({"a": pa.array([1, 2, None], pa.int64()), "b": ["x", None, "z"]})
    with connection.cursor() as cursor:
        def count():
            cursor.execute(f"SELECT count(*) FROM {table}")
            return cursor.fetchall()[0][0]

        with pytest.raises(connection.ProgrammingError, match="NOT_FOUND.*42P01"):
            cursor.adbc_ingest(table, data, mode="append")
        assert (cursor.adbc_ingest(table, data, mode="create"), count()) == (3, 3)
        with pytest.raises(connection.ProgrammingError, match="ALREADY_EXISTS.*42P07"):
            cursor.adbc_ingest(table, data, mode="create")
        assert (cursor.adbc_ingest(table, data, mode="append"), count()) == (3, 6)
        assert (cursor.adbc_ingest(table, data, mode="replace"), count()) == (3, 3)
        assert (cursor.adbc_ingest(table, data, mode="create_append"), count()) == (3, 6)
        # Where there are no batches the driver sends nothing at all.
        reader = pa.RecordBatchReader.from_batches(data.schema, iter([]))
        with pytest.raises(connection.ProgrammingError, match="08P01"):
            cursor.adbc_ingest(table, reader, mode="append")
        assert count() == 6


def test_large_results_are_those_of_another_engine(connection):
    text = "SELECT v, v % 97 AS m, CAST(v AS TEXT) AS t FROM generate_series(1, 300000) AS g(v)"
    with connection.cursor() as cursor:
        cursor.execute(text)
        found = cursor.fetch_arrow_table()  # noqa: F841, read by DuckDB
    check = "SELECT count(*), sum(v), sum(m), sum(length(t)), max(t) FROM "
    assert duckdb.sql(check + "found").fetchall() == duckdb.sql(
        f"{check}({text})").fetchall()


def test_errors_have_their_status_and_details(connection):
    with connection.cursor() as cursor:
        with pytest.raises(connection.ProgrammingError, match=r"\[42601\] syntax") as error:
            cursor.execute("SELEC 1")
        assert error.value.status_code == adbc_driver_manager.AdbcStatusCode.INVALID_ARGUMENT
        assert any(b"42601" in value for _, value in error.value.details)
        with pytest.raises(connection.ProgrammingError, match=r"\[42P01\]") as error:
            cursor.execute("SELECT * FROM no_such_table")
        assert error.value.status_code == adbc_driver_manager.AdbcStatusCode.NOT_FOUND
        with pytest.raises(connection.ProgrammingError, match=r"\[22012\]"):
            cursor.execute("SELECT 1 / 0")
            cursor.fetchall()
        cursor.execute("SELECT 1")
        assert cursor.fetchall() == [(1,)]


def test_objects_at_every_depth(connection, table):
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {table} (a BIGINT, b TEXT)")
    for depth in ("catalogs", "db_schemas", "tables", "all"):
        objects = connection.adbc_get_objects(depth=depth).read_all().to_pylist()
        assert [catalog["catalog_name"] for catalog in objects] == ["igloo"]
        schemas = objects[0]["catalog_db_schemas"]
        assert (schemas is None) == (depth == "catalogs")
        if depth == "catalogs":
            continue
        public = next(s for s in schemas if s["db_schema_name"] == "public")
        assert (public["db_schema_tables"] is None) == (depth == "db_schemas")
        if depth == "db_schemas":
            continue
        ours = next(t for t in public["db_schema_tables"] if t["table_name"] == table)
        assert ours["table_type"] == "TABLE"
        if depth == "all":
            assert [c["column_name"] for c in ours["table_columns"]] == ["a", "b"]
    found = connection.adbc_get_objects(depth="tables", table_name_filter=table,
                                        table_types_filter=["table"]).read_all().to_pylist()
    assert sum(len(s["db_schema_tables"]) for s in found[0]["catalog_db_schemas"]) == 1


def test_table_schema_types_and_info(connection, table):
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {table} (a BIGINT NOT NULL, b TEXT, c DECIMAL(9, 2))")
    assert connection.adbc_get_table_schema(table) == pa.schema([
        pa.field("a", pa.int64(), False), ("b", pa.string()), ("c", pa.decimal128(9, 2))])
    with pytest.raises(connection.ProgrammingError):
        connection.adbc_get_table_schema("no_such_table")
    assert connection.adbc_get_table_types() == ["SYSTEM TABLE", "TABLE", "VIEW"]
    info = connection.adbc_get_info()
    assert (info["vendor_name"], info["vendor_arrow_version"]) == ("Igloo", "1.5")


def test_current_catalog_and_schema_are_session_options(connection):
    assert (connection.adbc_current_catalog, connection.adbc_current_db_schema) == (
        "igloo", "public")
    connection.adbc_current_db_schema = "information_schema"
    assert connection.adbc_current_db_schema == "information_schema"
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM schemata")
        assert cursor.fetchall()[0][0] >= 3
    with pytest.raises(connection.Error):
        connection.adbc_current_catalog = "nowhere"


def test_cancel_stops_the_statement(plain, server):
    import flightsql as sql
    watcher = server.client()
    with plain.cursor() as cursor:
        def cancel():
            wait_for(lambda: (ENDLESS,) in sql.rows(
                watcher, "SELECT query FROM igloo.system.queries"))
            cursor.adbc_cancel()

        canceller = threading.Thread(target=cancel)
        canceller.start()
        with pytest.raises(plain.Error, match="(?i)cancel"):
            cursor.execute(ENDLESS)
            cursor.fetchall()
        canceller.join()
    wait_for(lambda: (ENDLESS,) not in sql.rows(
        watcher, "SELECT query FROM igloo.system.queries"))


def test_a_wrong_password_is_unauthenticated(guarded):
    with pytest.raises(adbc_driver_manager.ProgrammingError, match="UNAUTHENTICATED"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            adbc_driver_flightsql.dbapi.connect(
                f"grpc://{guarded.target}", db_kwargs={"username": USER, "password": "no"})


def test_partitions_are_read_by_another_connection(connection):
    server_of = connection.adbc_clone()
    with connection.cursor() as cursor:
        partitions, schema = cursor.adbc_execute_partitions("SELECT 1 AS a")
        assert schema.names == ["a"] and len(partitions) == 1
    with server_of.cursor() as cursor:
        cursor.adbc_read_partition(partitions[0])
        assert cursor.fetchall() == [(1,)]
    server_of.close()


def test_incremental_execution_polls_to_the_end(connection):
    with connection.cursor() as cursor:
        cursor.adbc_statement.set_options(**{
            adbc_driver_flightsql.StatementOptions.QUEUE_SIZE.value: "2"})
        cursor.adbc_statement.set_options(**{
            "adbc.statement.exec.incremental": "true"})
        partitions = []
        while True:
            found, schema = cursor.adbc_execute_partitions("SELECT 7 AS a")
            if not found:
                break
            partitions += found
        assert schema.names == ["a"]
        cursor.adbc_read_partition(partitions[0])
        assert cursor.fetchall() == [(7,)]


def test_connections_that_share_a_token_do_not_hurt_each_other(guarded):
    """The driver ends the session of its token with each connection that it closes."""
    header = guarded.client().authenticate_basic_token(USER, PASSWORD)[1].decode()

    def open_one():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return adbc_driver_flightsql.dbapi.connect(
                f"grpc://{guarded.target}",
                db_kwargs={FLIGHT.AUTHORIZATION_HEADER.value: header})

    def sessions():
        with connect(guarded, "guarded") as watcher, watcher.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM igloo.system.sessions "
                           f"WHERE user_name = '{USER}' AND state <> 'ended'")
            return cursor.fetchall()[0][0]

    before = sessions()
    first, second = open_one(), open_one()
    with first.cursor() as cursor, first.cursor() as reading:
        cursor.execute("SET time_zone = 'Asia/Tokyo'")
        reading.execute("SELECT v FROM generate_series(1, 3000000) AS t(v)")
        batches = reading.fetch_record_batch()
        count = batches.read_next_batch().num_rows
        with second.cursor() as other:
            other.execute("SELECT 1")
            assert other.fetchall() == [(1,)]
        second.close()
        assert count + sum(batch.num_rows for batch in batches) == 3000000
        cursor.execute("SHOW time_zone")
        assert cursor.fetchall() == [("Asia/Tokyo",)]
    assert sessions() == before + 1
    first.close()
    assert sessions() == before
