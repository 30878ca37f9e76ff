"""The ADBC driver for Flight SQL, by its DBAPI and by its low level."""

import concurrent.futures
import contextlib
import dataclasses
import datetime
import decimal
import re
import time

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi as dbapi
import adbc_driver_manager as manager
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from adbc_driver_flightsql import ConnectionOptions, DatabaseOptions

import results
from conftest import OTHER, OTHER_PASSWORD, PASSWORD, SECONDS, USER

ALL_CELLS = True  # cheap enough for each way to reach the server
LARGE = {DatabaseOptions.WITH_MAX_MSG_SIZE.value: str(100 << 20)}


def options(cell, **more):
    made = ({DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {cell.bearer}"} if cell.token
            else {"username": USER, "password": PASSWORD})
    if cell.tls:
        made[DatabaseOptions.TLS_ROOT_CERTS.value] = cell.server.authority.read_text()
    return {**made, **more}


def connect(cell, **more):
    """There are no transactions, which is what autocommit says."""
    return dbapi.connect(f"{cell.scheme}://{cell.host}", autocommit=True,
                         db_kwargs=options(cell, **more))


@pytest.fixture
def connection(cell):
    with connect(cell) as made:
        yield made


@pytest.fixture
def cursor(connection):
    with connection.cursor() as made:
        yield made


@pytest.fixture
def name(request):
    """A table name of the test's own, and of the cell's."""
    return re.sub(r"[^a-z0-9_]", "_", request.node.name.lower())[-60:].strip("_")


@contextlib.contextmanager
def lowlevel(cell, **more):
    """A connection without DBAPI."""
    with adbc_driver_flightsql.connect(f"{cell.scheme}://{cell.host}",
                                       options(cell, **more)) as database:
        with manager.AdbcConnection(database) as made:
            yield made


def read(stream):
    return pa.RecordBatchReader.from_stream(stream).read_all()


def rows(cursor, text, parameters=None):
    cursor.execute(text, parameters)
    return cursor.fetchall()


# ---- results ----------------------------------------------------------------------------


def test_a_result_without_rows_keeps_its_columns(cursor):
    cursor.execute(results.NO_ROWS)
    assert [column[0] for column in cursor.description] == ["a", "b"]
    table = cursor.fetch_arrow_table()
    assert (table.num_rows, table.column_names) == (0, ["a", "b"])


def test_a_result_without_columns_keeps_its_rows(cursor):
    cursor.execute(results.NO_COLUMNS)
    table = cursor.fetch_arrow_table()
    assert (table.num_rows, table.num_columns) == (2, 0)


def test_three_million_rows_arrive_in_batches(cursor):
    cursor.execute(results.MANY_ROWS)
    count, sums, largest = 0, [0, 0], 0
    for batch in cursor.fetch_record_batch():
        count += batch.num_rows
        largest = max(largest, batch.nbytes)
        sums = [a + pc.sum(column).as_py() for a, column in zip(sums, batch.columns)]
    assert (count, tuple(sums)) == (results.ROWS, results.many_rows_sums())
    assert largest < 4 << 20


def test_a_cell_of_60_mib_arrives_where_the_client_takes_larger_messages(cell):
    with connect(cell, **LARGE) as made, made.cursor() as cursor:
        cursor.execute(results.ONE_LARGE_CELL)
        (text,), = cursor.fetchall()
        assert text == "x" * results.CELL_BYTES


def test_a_cell_of_60_mib_is_the_client_s_limit_else_and_harms_no_one(cursor):
    with pytest.raises(manager.Error, match="larger than max"):
        cursor.execute(results.ONE_LARGE_CELL)
        cursor.fetchall()
    assert rows(cursor, "SELECT 1") == [(1,)]


def test_nested_columns_arrive_whole(cursor, duck):
    expected = duck.sql(results.NESTED).to_arrow_table().to_pylist()
    cursor.execute(results.NESTED)
    assert cursor.fetch_arrow_table().to_pylist() == expected


def test_columns_of_nulls_arrive(cursor):
    cursor.execute(results.NULLS)
    table = cursor.fetch_arrow_table()
    assert table.to_pylist() == [{"n": None, "i": None, "t": None}] * 3
    assert table.schema.types == [pa.null(), pa.int32(), pa.string()]


def test_a_hundred_streams_are_read_side_by_side_on_one_connection(connection):
    with contextlib.ExitStack() as stack:
        cursors = [stack.enter_context(connection.cursor()) for _ in range(results.STREAMS)]

        def start(i):
            cursors[i].execute(results.stream(i))
            return cursors[i].fetch_record_batch()

        with concurrent.futures.ThreadPoolExecutor(results.STREAMS) as pool:
            readers = list(pool.map(start, range(results.STREAMS)))
        # All are open now; each gives its first batch before any gives its last.
        first = [reader.read_next_batch() for reader in readers]
        for i, reader in enumerate(readers):
            batches = [first[i], *reader]
            assert sum(batch.num_rows for batch in batches) == results.STREAM_ROWS
            assert sum(pc.sum(b.column(0)).as_py() or 0
                       for b in batches) == results.stream_sum(i)


SCALARS = [
    ("CAST(1 AS smallint)", 1), ("2147483648", 2147483648), ("true", True),
    ("CAST(1.5 AS real)", 1.5), ("CAST(0.1 AS double)", 0.1),
    ("CAST('-123.45' AS decimal(20, 2))", decimal.Decimal("-123.45")),
    ("'é日本'", "é日本"), ("''", ""), ("CAST('a' AS bytea)", b"a"),
    ("DATE '2024-02-29'", datetime.date(2024, 2, 29)),
    ("TIME '12:34:56.789'", datetime.time(12, 34, 56, 789000)),
    ("TIMESTAMP '1969-12-31 23:59:59.5'", datetime.datetime(1969, 12, 31, 23, 59, 59, 500000)),
    ("TIMESTAMPTZ '2024-01-01 00:00:00+02'",
     datetime.datetime(2023, 12, 31, 22, tzinfo=datetime.timezone.utc)),
    ("NULL", None),
]


def test_values_of_every_type_are_fetched(cursor):
    text = "SELECT " + ", ".join(expression for expression, _ in SCALARS)
    (found,) = rows(cursor, text)
    assert list(found) == [value for _, value in SCALARS]


# ---- DBAPI ------------------------------------------------------------------------------


def test_rows_are_fetched_one_by_one_some_and_all(cursor):
    cursor.execute("SELECT value FROM generate_series(1, 10) ORDER BY value")
    assert cursor.fetchone() == (1,)
    assert cursor.fetchmany(3) == [(2,), (3,), (4,)]
    assert cursor.rownumber == 4
    assert next(cursor) == (5,)
    assert cursor.fetchall() == [(i,) for i in range(6, 11)]
    assert cursor.fetchone() is None


def test_results_become_data_frames(cursor):
    cursor.execute("SELECT value AS v FROM generate_series(1, 3) ORDER BY value")
    assert cursor.fetch_df()["v"].tolist() == [1, 2, 3]
    cursor.execute("SELECT value AS v FROM generate_series(1, 3) ORDER BY value")
    assert cursor.fetch_polars()["v"].to_list() == [1, 2, 3]


PARAMETERS = [
    ("bigint", 7), ("varchar", "Grüße"), ("varchar", ""), ("double precision", 0.25),
    ("boolean", False), ("bytea", b"\x00\xff"), ("date", datetime.date(1999, 12, 31)),
    ("timestamp", datetime.datetime(2024, 5, 6, 7, 8, 9, 123456)),
    ("time", datetime.time(1, 2, 3, 4)), ("decimal(10, 2)", decimal.Decimal("3.14")),
    ("bigint", None), ("varchar", None),
]


@pytest.mark.parametrize("kind, value", PARAMETERS,
                         ids=[f"{kind.split('(')[0].replace(' ', '-')}-{i}"
                              for i, (kind, _) in enumerate(PARAMETERS)])
def test_a_bound_value_comes_back(cursor, kind, value):
    assert rows(cursor, f"SELECT CAST($1 AS {kind}) AS v", (value,)) == [(value,)]


def test_a_statement_is_written_and_read_with_parameters(cursor, name):
    cursor.execute(f"CREATE TABLE {name} (id bigint, t varchar)")
    cursor.execute(f"INSERT INTO {name} VALUES ($1, $2)", (1, "one"))
    cursor.executemany(f"INSERT INTO {name} VALUES ($1, $2)",
                       [(2, "two"), (3, None), (4, "four")])
    assert cursor.rowcount == 3
    assert rows(cursor, f"SELECT id, t FROM {name} ORDER BY id") == [
        (1, "one"), (2, "two"), (3, None), (4, "four")]
    assert rows(cursor, f"SELECT id FROM {name} WHERE t = $1", ("two",)) == [(2,)]


def test_a_table_of_parameters_gives_the_rows_of_each(cursor):
    batch = pa.record_batch({"1": pa.array([1, 2, 3], pa.int64())})
    cursor.executemany("SELECT $1 + 1 AS v", batch)  # the results of executemany are not read
    cursor.adbc_statement.set_sql_query("SELECT $1 + 1 AS v")
    cursor.adbc_statement.prepare()
    cursor.adbc_statement.bind(batch)
    stream, _ = cursor.adbc_statement.execute_query()
    assert read(stream).to_pylist() == [{"v": 2}, {"v": 3}, {"v": 4}]


def test_writing_through_execute_happens_once_and_tells_how_many(cursor, name):
    cursor.execute(f"CREATE TABLE {name} AS SELECT value AS v FROM generate_series(1, 5)")
    cursor.execute(f"INSERT INTO {name} SELECT v + 5 FROM {name}")
    assert cursor.rowcount == 5
    assert rows(cursor, f"SELECT count(*), sum(v) FROM {name}") == [(10, 55)]


def test_a_statement_is_prepared_and_its_schemas_are_known(cursor):
    schema = cursor.adbc_prepare("SELECT CAST($1 AS bigint) + 1 AS v, $2 || 'x' AS t")
    assert [str(kind) for kind in schema.types] == ["int64", "string"]
    assert all(field.nullable for field in schema)
    schema = cursor.adbc_execute_schema("SELECT 1 AS a, 'x' AS b")
    assert list(zip(schema.names, map(str, schema.types))) == [("a", "int64"), ("b", "string")]


def test_a_statement_without_parameters_has_an_empty_parameter_schema(cursor):
    assert len(cursor.adbc_prepare("SELECT 1")) == 0


def test_partitions_are_read_by_another_connection(cell, cursor):
    partitions, schema = cursor.adbc_execute_partitions("SELECT 42 AS v")
    assert schema.names == ["v"]
    with connect(cell) as made, made.cursor() as other:
        found = []
        for partition in partitions:
            other.adbc_read_partition(partition)
            found += other.fetchall()
    assert found == [(42,)]


def test_a_script_of_statements_is_run_one_by_one(connection, name):
    with connection.cursor() as cursor:
        cursor.executescript(f"CREATE VIEW {name} AS SELECT 3 AS n")
        assert rows(cursor, f"SELECT n FROM {name}") == [(3,)]


def test_transactions_are_told_to_be_missing_and_writes_last(cell, name):
    with pytest.warns(Warning, match="(?i)autocommit|transaction"):
        with dbapi.connect(f"{cell.scheme}://{cell.host}", db_kwargs=options(cell)) as made:
            with made.cursor() as cursor:
                cursor.execute(f"CREATE TABLE {name} AS SELECT 1 AS v")
    with connect(cell) as made, made.cursor() as cursor:
        assert rows(cursor, f"SELECT v FROM {name}") == [(1,)]


# ---- ingest -----------------------------------------------------------------------------

DATA = pa.table({
    "id": pa.array([1, 2, None], pa.int64()), "t": pa.array(["a", None, ""], pa.string()),
    "d": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("-0.01")],
                  pa.decimal128(10, 2)),
    "ts": pa.array([0, None, -1], pa.timestamp("us")),
    "l": pa.array([[1, 2], [], None], pa.list_(pa.int64())),
})


def test_ingest_creates_and_refuses_what_exists(cursor, name):
    assert cursor.adbc_ingest(name, DATA, mode="create") == 3
    cursor.execute(f"SELECT * FROM {name} ORDER BY id NULLS LAST")
    assert cursor.fetch_arrow_table().to_pylist() == DATA.to_pylist()
    with pytest.raises(manager.ProgrammingError) as caught:
        cursor.adbc_ingest(name, DATA, mode="create")
    assert caught.value.status_code == manager.AdbcStatusCode.ALREADY_EXISTS


def test_ingest_appends_and_refuses_what_is_missing(cursor, name):
    with pytest.raises(manager.Error) as caught:
        cursor.adbc_ingest(name, DATA, mode="append")
    assert caught.value.status_code == manager.AdbcStatusCode.NOT_FOUND
    cursor.adbc_ingest(name, DATA, mode="create")
    assert cursor.adbc_ingest(name, DATA, mode="append") == 3
    assert rows(cursor, f"SELECT count(*), sum(id) FROM {name}") == [(6, 6)]


def test_ingest_replaces(cursor, name):
    for data in DATA, pa.table({"other": ["x"]}):
        cursor.adbc_ingest(name, data, mode="replace")
    cursor.execute(f"SELECT * FROM {name}")
    assert cursor.fetch_arrow_table().to_pylist() == [{"other": "x"}]


def test_ingest_creates_or_appends(cursor, name):
    for _ in range(2):
        cursor.adbc_ingest(name, DATA, mode="create_append")
    assert rows(cursor, f"SELECT count(*) FROM {name}") == [(6,)]


def test_ingest_takes_a_reader_of_many_batches(cursor, name):
    def batches():
        for i in range(50):
            yield pa.record_batch({"v": pa.array(range(i * 1000, (i + 1) * 1000), pa.int64())})

    reader = pa.RecordBatchReader.from_batches(pa.schema([("v", pa.int64())]), batches())
    assert cursor.adbc_ingest(name, reader, mode="create") == 50_000
    assert rows(cursor, f"SELECT count(*), sum(v) FROM {name}") == [
        (50_000, 50_000 * 49_999 // 2)]


def test_ingest_without_rows_makes_an_empty_table(cursor, name):
    empty = pa.RecordBatch.from_pylist([], DATA.schema)
    assert cursor.adbc_ingest(name, empty, mode="create") in (0, -1)
    cursor.execute(f"SELECT * FROM {name}")
    table = cursor.fetch_arrow_table()
    assert (table.num_rows, table.column_names) == (0, DATA.column_names)


def test_ingest_of_nothing_at_all_is_refused(cursor, name):
    # The driver sends no message for a reader that has no batch: there is no table's name.
    with pytest.raises(manager.ProgrammingError, match="before its first message"):
        cursor.adbc_ingest(name, DATA.schema.empty_table().to_reader(), mode="create")


def test_ingest_of_a_temporary_table_is_refused_by_name(cursor, name):
    with pytest.raises(manager.NotSupportedError, match="temporary"):
        cursor.adbc_ingest(name, DATA, mode="create", temporary=True)


# ---- metadata ---------------------------------------------------------------------------


def objects(connection, **filters):
    return connection.adbc_get_objects(**filters).read_all().to_pylist()


def schemas_of(found, catalog="igloo"):
    (one,) = [entry for entry in found if entry["catalog_name"] == catalog]
    return one["catalog_db_schemas"]


def test_objects_are_listed_at_every_depth(connection, cursor, name):
    cursor.execute(f"CREATE TABLE {name} (id bigint NOT NULL, t varchar, d decimal(10, 2))")
    cursor.execute(f"CREATE VIEW {name}_v AS SELECT id FROM {name}")
    (catalog,), = rows(cursor, "SELECT current_catalog")
    (schema,), = rows(cursor, "SELECT current_schema")

    found = objects(connection, depth="catalogs")
    assert catalog in [entry["catalog_name"] for entry in found]
    assert all(entry["catalog_db_schemas"] is None for entry in found)

    schemas = schemas_of(objects(connection, depth="db_schemas"), catalog)
    assert schema in [entry["db_schema_name"] for entry in schemas]
    assert all(entry["db_schema_tables"] is None for entry in schemas)

    (only,) = schemas_of(objects(connection, depth="tables", catalog_filter=catalog,
                                 db_schema_filter=schema, table_name_filter=f"{name}%"), catalog)
    tables = {entry["table_name"]: entry for entry in only["db_schema_tables"]}
    assert set(tables) == {name, f"{name}_v"}
    assert tables[name]["table_type"].upper() in ("TABLE", "BASE TABLE")
    assert tables[f"{name}_v"]["table_type"].upper() == "VIEW"
    assert all(entry["table_columns"] is None for entry in tables.values())

    (only,) = schemas_of(objects(connection, depth="all", catalog_filter=catalog,
                                 table_name_filter=name), catalog)[:1]
    (table,) = [entry for one in schemas_of(objects(
        connection, depth="all", catalog_filter=catalog, table_name_filter=name), catalog)
        for entry in one["db_schema_tables"] or []]
    columns = table["table_columns"]
    assert [(c["column_name"], c["ordinal_position"]) for c in columns] == [
        ("id", 1), ("t", 2), ("d", 3)]


def test_objects_are_filtered_by_kind_and_column(connection, cursor, name):
    cursor.execute(f"CREATE TABLE {name} (id bigint, other bigint)")
    cursor.execute(f"CREATE VIEW {name}_v AS SELECT id FROM {name}")

    def names(**filters):
        return [(table["table_name"], [c["column_name"] for c in table["table_columns"] or []])
                for entry in objects(connection, table_name_filter=f"{name}%", **filters)
                for schema in entry["catalog_db_schemas"] or []
                for table in schema["db_schema_tables"] or []]

    assert names(depth="tables", table_types_filter=["view"]) == [(f"{name}_v", [])]
    assert names(depth="tables", table_types_filter=["table"]) == [(name, [])]
    assert sorted(names(depth="all", column_name_filter="oth%")) == [
        (name, ["other"]), (f"{name}_v", [])]
    assert names(depth="tables", catalog_filter="no_such") == []
    assert names(depth="tables", db_schema_filter="no_such") == []


def test_the_schema_of_a_table_is_that_of_its_rows(connection, cursor, name):
    cursor.adbc_ingest(name, DATA, mode="create")
    cursor.execute(f"SELECT * FROM {name} LIMIT 0")
    schema = connection.adbc_get_table_schema(name)
    assert schema.equals(cursor.fetch_arrow_table().schema)
    assert schema.names == DATA.column_names and schema.types == DATA.schema.types
    with pytest.raises(manager.Error) as caught:
        connection.adbc_get_table_schema("no_such_table")
    assert caught.value.status_code == manager.AdbcStatusCode.NOT_FOUND


def test_table_types_and_facts_about_the_server(connection):
    assert {"table", "view"} <= {kind.lower().removeprefix("base ")
                                 for kind in connection.adbc_get_table_types()}
    info = connection.adbc_get_info()
    assert "igloo" in info["vendor_name"].lower()
    assert re.match(r"\d+\.\d+", info["vendor_version"])
    assert info["vendor_arrow_version"]


# ---- sessions ---------------------------------------------------------------------------


def test_session_options_are_set_read_and_erased(cell):
    prefix = ConnectionOptions.OPTION_SESSION_OPTION_PREFIX.value
    with lowlevel(cell) as made:
        made.set_options(**{f"{prefix}time_zone": "Asia/Tokyo"})
        assert made.get_option(f"{prefix}time_zone") == "Asia/Tokyo"
        with manager.AdbcStatement(made) as statement:
            statement.set_sql_query("SHOW time_zone")
            stream, _ = statement.execute_query()
            assert list(read(stream).to_pylist()[0].values()) == ["Asia/Tokyo"]
        erase = ConnectionOptions.OPTION_ERASE_SESSION_OPTION_PREFIX.value
        made.set_options(**{f"{erase}time_zone": ""})
        assert made.get_option(f"{prefix}time_zone") != "Asia/Tokyo"
        everything = made.get_option(ConnectionOptions.OPTION_SESSION_OPTIONS.value)
        assert "time_zone" in everything


def test_session_options_of_every_type_are_kept(cell):
    text = ConnectionOptions.OPTION_SESSION_OPTION_PREFIX.value
    boolean = ConnectionOptions.OPTION_BOOL_SESSION_OPTION_PREFIX.value
    strings = ConnectionOptions.OPTION_STRING_LIST_SESSION_OPTION_PREFIX.value
    with lowlevel(cell) as made:
        made.set_options(**{f"{text}client.i": 123, f"{text}client.f": 4.5,
                            f"{boolean}client.b": "true", f"{strings}client.l": '["a", "é"]'})
        assert made.get_option_int(f"{text}client.i") == 123
        assert made.get_option_float(f"{text}client.f") == 4.5
        assert made.get_option(f"{boolean}client.b") == "true"
        assert made.get_option(f"{strings}client.l") == '["a","é"]'


def test_a_session_option_that_is_unknown_is_refused(cell):
    prefix = ConnectionOptions.OPTION_SESSION_OPTION_PREFIX.value
    with lowlevel(cell) as made:
        with pytest.raises(manager.Error, match="no_such_option"):
            made.set_options(**{f"{prefix}no_such_option": "x"})


def test_the_current_schema_decides_where_names_are_looked_up(connection, cursor):
    (catalog,), = rows(cursor, "SELECT current_catalog")
    assert connection.adbc_current_catalog == catalog
    connection.adbc_current_db_schema = "information_schema"
    try:
        assert connection.adbc_current_db_schema == "information_schema"
        assert rows(cursor, "SELECT count(*) > 0 FROM tables") == [(True,)]
    finally:
        connection.adbc_current_db_schema = "public"


# ---- cancelling, errors -----------------------------------------------------------------

ENDLESS = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000000) b"


def running(cell, text):
    """How many statements of that text run, which another session asks: closing a connection
    ends the session of its token."""
    with connect(dataclasses.replace(cell, token=False)) as made, made.cursor() as cursor:
        return len([row for row in rows(cursor, "SELECT query FROM igloo.system.queries")
                    if row[0] == text])


def wait_for(condition):
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


def test_a_statement_is_cancelled_and_stops_on_the_server(cell, cursor):
    text = f"{ENDLESS} WHERE 'cancel {cell}' <> ''"

    def stop():
        try:
            wait_for(lambda: running(cell, text) == 1)
        finally:
            cursor.adbc_cancel()

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        stopped = pool.submit(stop)
        with pytest.raises(manager.Error) as caught:
            cursor.execute(text)
            cursor.fetchall()
        stopped.result()
    assert caught.value.status_code == manager.AdbcStatusCode.CANCELLED
    began = time.monotonic()
    wait_for(lambda: running(cell, text) == 0)
    assert time.monotonic() - began < 5
    assert rows(cursor, "SELECT 1") == [(1,)]


def test_a_timeout_of_the_client_stops_the_statement(cell):
    text = f"{ENDLESS} WHERE 'timeout {cell}' <> ''"
    with connect(cell, **{DatabaseOptions.TIMEOUT_FETCH.value: "0.5"}) as made:
        with made.cursor() as cursor:
            with pytest.raises(manager.Error) as caught:
                cursor.execute(text)
                cursor.fetchall()
            assert caught.value.status_code == manager.AdbcStatusCode.TIMEOUT
            wait_for(lambda: running(cell, text) == 0)


ERRORS = [
    ("SELEC 1", "42601", manager.ProgrammingError),
    ("SELECT * FROM no_such_table", "42P01", manager.Error),
    ("SELECT no_such_column FROM (VALUES (1)) AS t(v)", "42703", manager.ProgrammingError),
    ("SELECT 1 / 0", "22012", manager.ProgrammingError),
    ("SELECT CAST('x' AS bigint)", "22P02", manager.ProgrammingError),
    ("CREATE TEMPORARY TABLE t (a int)", "0A000", manager.NotSupportedError),
]


@pytest.mark.parametrize("text, state, kind", ERRORS, ids=[state for _, state, _ in ERRORS])
def test_an_error_has_its_sqlstate_and_kind_and_the_connection_goes_on(cursor, text, state,
                                                                      kind):
    with pytest.raises(kind) as caught:
        cursor.execute(text)
        cursor.fetchall()
    assert f"[{state}]" in str(caught.value)
    details = dict(caught.value.details)
    assert state.encode() in details[b"grpc-status-details-bin"]
    assert rows(cursor, "SELECT 1") == [(1,)]


def test_an_error_after_the_first_rows_is_not_the_end_of_the_rows(cursor):
    cursor.execute("SELECT 1 / (value - 2500000) AS v FROM generate_series(1, 3000000)")
    with pytest.raises(manager.ProgrammingError, match="division by zero"):
        cursor.fetch_arrow_table()


def test_a_wrong_number_of_parameters_is_refused(cursor):
    with pytest.raises(manager.ProgrammingError):
        cursor.execute("SELECT CAST($1 AS bigint), CAST($2 AS bigint)", (1,))


@pytest.mark.parametrize("credentials", [
    {"username": USER, "password": "wrong"}, {"username": "nobody", "password": PASSWORD},
    {DatabaseOptions.AUTHORIZATION_HEADER.value: "Bearer made-up"}],
    ids=["password", "user", "token"])
def test_wrong_credentials_are_unauthenticated(cell, credentials):
    more = {DatabaseOptions.TLS_ROOT_CERTS.value: cell.server.authority.read_text()
            } if cell.tls else {}
    with pytest.raises(manager.Error) as caught:
        with dbapi.connect(f"{cell.scheme}://{cell.host}", autocommit=True,
                           db_kwargs={**credentials, **more}) as made:
            with made.cursor() as cursor:
                cursor.execute("SELECT 1")
    assert caught.value.status_code == manager.AdbcStatusCode.UNAUTHENTICATED


def test_another_user_logs_in_too(cell):
    more = {DatabaseOptions.TLS_ROOT_CERTS.value: cell.server.authority.read_text()
            } if cell.tls else {}
    with dbapi.connect(f"{cell.scheme}://{cell.host}", autocommit=True,
                       db_kwargs={"username": OTHER, "password": OTHER_PASSWORD,
                                  **more}) as made, made.cursor() as cursor:
        assert rows(cursor, "SELECT current_user") == [(OTHER,)]


# ---- low level --------------------------------------------------------------------------


def test_the_low_level_runs_queries_updates_and_prepared_statements(cell, name):
    with lowlevel(cell) as made, manager.AdbcStatement(made) as statement:
        statement.set_sql_query(f"CREATE TABLE {name} (v bigint)")
        assert statement.execute_update() in (0, -1)
        statement.set_sql_query(f"INSERT INTO {name} VALUES (1), (2)")
        assert statement.execute_update() == 2

        statement.set_sql_query(f"INSERT INTO {name} VALUES ($1)")
        statement.prepare()
        assert [str(kind) for kind in pa.schema(statement.get_parameter_schema()).types
                ] == ["int64"]
        statement.bind_stream(pa.table({"a": pa.array([3, 4, 5], pa.int64())}).to_reader())
        assert statement.execute_update() == 3

        statement.set_sql_query(f"SELECT v FROM {name} ORDER BY v")
        stream, _ = statement.execute_query()
        assert read(stream).to_pydict() == {"v": [1, 2, 3, 4, 5]}
        assert pa.schema(statement.execute_schema()).names == ["v"]


def test_the_low_level_reads_metadata(cell):
    with lowlevel(cell) as made:
        depth = manager.GetObjectsDepth.ALL
        assert read(made.get_objects(depth)).num_rows >= 1
        assert read(made.get_table_types()).num_rows >= 2
        assert read(made.get_info()).num_rows >= 4


def test_substrait_plans_are_refused(cell):
    with lowlevel(cell) as made, manager.AdbcStatement(made) as statement:
        statement.set_substrait_plan(b"plan")
        with pytest.raises(manager.NotSupportedError):
            statement.execute_query()


def test_incremental_execution_polls_until_the_end(cell):
    with lowlevel(cell) as made, manager.AdbcStatement(made) as statement:
        statement.set_options(**{"adbc.statement.exec.incremental": "true"})
        statement.set_sql_query("SELECT 7 AS v")
        found = []
        while True:
            partitions, _, _ = statement.execute_partitions()
            if not partitions:
                break
            for partition in partitions:
                found += read(made.read_partition(partition)).to_pylist()
        assert found == [{"v": 7}]


@pytest.mark.parametrize("cookies", ["true", "false"])
def test_a_session_is_that_of_the_cookie_or_of_the_token(cell, cookies):
    more = {DatabaseOptions.WITH_COOKIE_MIDDLEWARE.value: cookies}
    with connect(cell, **more) as made, made.cursor() as cursor:
        cursor.execute("SET time_zone = 'Europe/Berlin'")
        with made.cursor() as second:
            assert rows(second, "SHOW time_zone") == [("Europe/Berlin",)]
        cursor.execute("RESET time_zone")
