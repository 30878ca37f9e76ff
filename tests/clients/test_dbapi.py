"""flightsql-dbapi (PyPI): its client, its DBAPI and its SQLAlchemy dialect."""

import concurrent.futures
import re
import urllib.parse

import flightsql
import flightsql.sqlalchemy  # registers the dialect
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import sqlalchemy

import results
from conftest import PASSWORD, USER


def connect(cell, **more):
    who = {"token": cell.bearer} if cell.token else {"user": USER, "password": PASSWORD}
    tls = ({"tls_root_certs": cell.server.authority.read_bytes()} if cell.tls
           else {"insecure": True})
    return flightsql.FlightSQLClient(host="127.0.0.1", port=cell.server.port,
                                     **{**who, **tls, **more})


@pytest.fixture
def client(cell):
    made = connect(cell)
    yield made
    made.close()


@pytest.fixture
def cursor(client):
    return flightsql.connect(client).cursor()


@pytest.fixture
def name(request):
    return "dbapi_" + re.sub(r"[^a-z0-9_]", "_", request.node.name.lower())[-50:].strip("_")


def read(client, info):
    (endpoint,) = info.endpoints
    return client.do_get(endpoint.ticket).read_all()


# ---- results ----------------------------------------------------------------------------


def test_a_result_without_rows_keeps_its_columns(client, cursor):
    table = read(client, client.execute(results.NO_ROWS))
    assert (table.num_rows, table.column_names) == (0, ["a", "b"])
    cursor.execute(results.NO_ROWS)
    assert [column[0] for column in cursor.description] == ["a", "b"]
    assert cursor.fetchall() == []


def test_a_result_without_columns_keeps_its_rows(client):
    table = read(client, client.execute(results.NO_COLUMNS))
    assert (table.num_rows, table.num_columns) == (2, 0)


def test_three_million_rows_arrive(client):
    table = read(client, client.execute(results.MANY_ROWS))
    assert table.num_rows == results.ROWS
    assert tuple(pc.sum(column).as_py() for column in table.columns
                 ) == results.many_rows_sums()


def test_a_cell_of_60_mib_arrives(client):
    table = read(client, client.execute(results.ONE_LARGE_CELL))
    assert table.column(0)[0].as_py() == "x" * results.CELL_BYTES


def test_nested_columns_arrive_whole(client, duck):
    expected = duck.sql(results.NESTED).to_arrow_table().to_pylist()
    assert read(client, client.execute(results.NESTED)).to_pylist() == expected


def test_columns_of_nulls_arrive(client, cursor):
    table = read(client, client.execute(results.NULLS))
    assert table.to_pylist() == [{"n": None, "i": None, "t": None}] * 3
    cursor.execute(results.NULLS)
    assert cursor.rowcount == 3


def test_a_hundred_streams_are_read_side_by_side_on_one_connection(client):
    def start(i):
        (endpoint,) = client.execute(results.stream(i)).endpoints
        return client.do_get(endpoint.ticket)

    with concurrent.futures.ThreadPoolExecutor(results.STREAMS) as pool:
        readers = list(pool.map(start, range(results.STREAMS)))
    first = [reader.read_chunk().data for reader in readers]
    for i, reader in enumerate(readers):
        table = pa.Table.from_batches([first[i]]), reader.read_all()
        assert sum(part.num_rows for part in table) == results.STREAM_ROWS
        assert sum(pc.sum(part.column(0)).as_py() or 0
                   for part in table) == results.stream_sum(i)


# ---- client and DBAPI -------------------------------------------------------------------


def test_updates_are_counted(client, name):
    assert client.execute_update(f"CREATE TABLE {name} (id bigint, t varchar)") == 0
    assert client.execute_update(f"INSERT INTO {name} VALUES (1, 'a'), (2, NULL)") == 2
    assert read(client, client.execute(f"SELECT * FROM {name} ORDER BY id")).to_pylist() == [
        {"id": 1, "t": "a"}, {"id": 2, "t": None}]


def test_rows_are_fetched_one_by_one_some_and_all(cursor):
    cursor.execute("SELECT value AS v FROM generate_series(1, 10) ORDER BY value")
    assert cursor.fetchone() == [1]
    assert cursor.fetchmany(3) == [[2], [3], [4]]
    assert cursor.fetchall() == [[i] for i in range(5, 11)]


# The client sends each value as a dense union with one row.
@pytest.mark.parametrize("kind, value", [
    ("bigint", 7), ("double precision", 0.25), ("varchar", "Grüße"), ("boolean", True),
    ("bytea", b"\x00\xff")], ids=["bigint", "double", "varchar", "boolean", "bytea"])
def test_a_bound_value_comes_back(cursor, kind, value):
    cursor.execute(f"SELECT CAST(? AS {kind}) AS v", [value])
    assert cursor.fetchall() == [[value]]


def test_rows_are_written_and_found_with_parameters(client, cursor, name):
    client.execute_update(f"CREATE TABLE {name} (id bigint, t varchar)")
    cursor.executemany(f"INSERT INTO {name} VALUES (?, ?)", [[1, "one"], [2, "two"]])
    cursor.execute(f"SELECT id FROM {name} WHERE t = ?", ["two"])
    assert cursor.fetchall() == [[2]]


def test_a_prepared_statement_runs_many_times(client):
    with client.prepare("SELECT value AS v FROM generate_series(1, 9) WHERE value > $1") as made:
        for bound in 3, 9, 0:
            batch = pa.record_batch({"1": pa.array([bound], pa.int64())})
            assert read(client, made.execute(batch)).num_rows == 9 - bound


def test_metadata_commands_answer(client, name):
    client.execute_update(f"CREATE TABLE {name} (id bigint NOT NULL, t varchar)")
    assert "igloo" in read(client, client.get_catalogs())["catalog_name"].to_pylist()
    assert "public" in read(client, client.get_db_schemas(catalog="igloo"))[
        "db_schema_name"].to_pylist()
    assert {"TABLE", "VIEW"} <= set(read(client, client.get_table_types())[
        "table_type"].to_pylist())
    (found,) = read(client, client.get_tables(
        table_name_filter_pattern=name, include_schema=True)).to_pylist()
    assert (found["catalog_name"], found["db_schema_name"], found["table_name"]) == (
        "igloo", "public", name)
    schema = pa.ipc.open_stream(found["table_schema"]).schema
    assert [(f.name, str(f.type), f.nullable) for f in schema] == [
        ("id", "int64", False), ("t", "string", True)]
    table = flightsql.TableRef("igloo", "public", name)
    assert read(client, client.get_primary_keys(table)).num_rows == 0
    assert read(client, client.get_exported_keys(table)).num_rows == 0
    assert read(client, client.get_imported_keys(table)).num_rows == 0
    assert read(client, client.get_cross_reference(table, table)).num_rows == 0
    kinds = read(client, client.get_xdbc_type_info(None))
    assert {-5, 4, 5, 8, 12, 91, 93} <= set(kinds["data_type"].to_pylist())
    assert set(read(client, client.get_xdbc_type_info(91))["data_type"].to_pylist()) == {91}
    assert dict(row.values() for row in read(
        client, client.get_sql_info([0, 3, 504])).to_pylist()) == {0: "Igloo", 3: False, 504: '"'}


def test_an_error_has_its_sqlstate_and_the_client_goes_on(client):
    with pytest.raises(pa.ArrowInvalid, match=r"\[22012\] division by zero"):
        read(client, client.execute("SELECT 1 / (value - 5) FROM generate_series(1, 9)"))
    with pytest.raises(pa.ArrowException, match=r"\[42P01\]"):
        client.execute("SELECT * FROM no_such_table")
    assert read(client, client.execute("SELECT 1 AS a")).to_pylist() == [{"a": 1}]


def test_a_wrong_password_is_refused(cell):
    with pytest.raises(pa.flight.FlightUnauthenticatedError, match="28P01"):
        connect(cell, user=USER, password="wrong", token=None)


# ---- SQLAlchemy -------------------------------------------------------------------------


def engine(cell, **more):
    """The dialect takes no certificate of an authority: the server's is not checked."""
    options = {**({"disable_server_verification": "true"} if cell.tls else {"insecure": "true"}),
               **more}
    who = ""
    if cell.token:
        options["token"] = cell.bearer
    else:
        who = f"{USER}:{urllib.parse.quote(PASSWORD)}@"
    return sqlalchemy.create_engine(
        f"datafusion+flightsql://{who}{cell.host}/?{urllib.parse.urlencode(options)}")


def test_sqlalchemy_runs_queries_and_reflects_tables(cell, client, name):
    client.execute_update(f"CREATE TABLE {name} AS SELECT 1 AS id, 'x' AS t")
    made = engine(cell, **{"feature-sqlalchemy-prepared-statements": "on"})
    with made.connect() as connection:
        found = connection.execute(sqlalchemy.text(f"SELECT id, t FROM {name} WHERE id = :id"),
                                   {"id": 1})
        assert [tuple(row) for row in found] == [(1, "x")]
        inspector = sqlalchemy.inspect(connection)
        assert "public" in inspector.get_schema_names()
        assert name in inspector.get_table_names("public")
        assert [column["name"] for column in inspector.get_columns(name, "public")] == [
            "id", "t"]


def test_sqlalchemy_selects_by_expressions(cell, client, name):
    client.execute_update(f"CREATE TABLE {name} AS SELECT value AS v FROM generate_series(1, 9)")
    table = sqlalchemy.table(name, sqlalchemy.column("v", sqlalchemy.BigInteger))
    with engine(cell).connect() as connection:
        query = sqlalchemy.select(sqlalchemy.func.sum(table.c.v)).where(table.c.v > 7)
        assert connection.execute(query).scalar() == 17
