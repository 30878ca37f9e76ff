"""Clients in Go, Rust and JavaScript. Each answers the same questions; where a client lacks
something, the test that needs it names those that have it."""

import datetime
import decimal
import re

import pytest

import programs
import results
from conftest import OTHER, OTHER_PASSWORD, USER

INVALID, NOT_FOUND, EXHAUSTED, FAILED_PRECONDITION = 3, 5, 8, 9  # of gRPC


@pytest.fixture(scope="session")
def running(tmp_path_factory):
    """running(client, cell) gives the client's one program for that cell."""
    started = {}

    def get(client, cell):
        key = client, str(cell)
        if key not in started or started[key].process.poll() is not None:
            started[key] = programs.Program(client, cell.words(), tmp_path_factory.mktemp(client))
        return started[key]

    yield get
    for program in started.values():
        program.end()


def clients(*names):
    return pytest.mark.parametrize("name", names)


EVERY = clients("go", "go-sql", "rust", "firetiger")
FULL = clients("go", "rust")
WRITERS = clients("go", "go-sql", "rust")


@pytest.fixture
def client(name, cell, running):
    return running(name, cell)


@pytest.fixture
def table(request):
    """A table name of the test's own, and of the client's and the cell's."""
    return re.sub(r"[^a-z0-9_]+", "_", request.node.name.lower())[-60:].strip("_")


# ---- results ----------------------------------------------------------------------------


@EVERY
def test_rows_arrive_in_order_with_their_names(client):
    found = client.ask("query", "SELECT value AS a, 'r' || value AS b "
                                "FROM generate_series(1, 3) ORDER BY value DESC")
    assert [column[0] for column in found["columns"]] == ["a", "b"]
    assert found["rows"] == [[3, "r3"], [2, "r2"], [1, "r1"]]


@EVERY
def test_a_result_without_rows_keeps_its_columns(client):
    found = client.ask("query", results.NO_ROWS)
    assert [column[0] for column in found["columns"]] == ["a", "b"]
    assert found["rows"] == []


@EVERY
def test_a_result_without_columns_keeps_its_rows(client):
    found = client.ask("measure", results.NO_COLUMNS)
    assert found["sums"] == []
    assert found["rows"] == 2
    assert client.rows("SELECT 1") == [[1]]


@EVERY
def test_three_million_rows_arrive(client):
    found = client.ask("measure", results.MANY_ROWS)
    assert found["rows"] == results.ROWS
    assert tuple(total for total, _ in found["sums"]) == results.many_rows_sums()


@clients("go", "rust", "firetiger")
def test_a_cell_of_60_mib_arrives_where_the_client_takes_larger_messages(client):
    found = client.ask("measure", results.ONE_LARGE_CELL, Large=True)
    assert found == {"rows": 1, "sums": [[results.CELL_BYTES, results.CELL_BYTES]]}


@WRITERS
def test_a_cell_of_60_mib_is_the_client_s_limit_else_and_harms_no_one(client):
    with pytest.raises(programs.Refused, match="larger than max|too large"):
        client.ask("measure", results.ONE_LARGE_CELL)
    assert client.rows("SELECT 1") == [[1]]


@clients("go", "rust", "firetiger")
def test_nested_columns_arrive_whole(client, duck):
    expected = [[programs.plain(value) for value in row.values()] for row in
                duck.execute(results.NESTED).to_arrow_table().to_pylist()]
    found = client.rows(results.NESTED)
    assert len(found) == len(expected)
    for row, like in zip(found, expected):
        assert [programs.as_shown(one, of) for one, of in zip(row, like, strict=True)] == like


@clients("go", "rust", "firetiger")
def test_columns_of_nulls_arrive(client):
    found = client.ask("query", results.NULLS)
    assert [column[0] for column in found["columns"]] == ["n", "i", "t"]
    assert [column[1].lower() for column in found["columns"]] == ["null", "int32", "utf8"]
    assert found["rows"] == [[None, None, None]] * 3


@clients("go-sql")
def test_what_a_driver_cannot_show_is_its_own_error_and_harms_no_one(client):
    with pytest.raises(programs.Refused, match="not supported"):
        client.rows("SELECT [1, 2] AS l")
    assert client.rows("SELECT CAST(NULL AS integer) AS i") == [[None]]


@EVERY
def test_a_hundred_streams_are_read_side_by_side_on_one_connection(client):
    found = client.ask("streams", Statements=[
        results.stream(i) for i in range(results.STREAMS)])["streams"]
    assert found == [{"rows": results.STREAM_ROWS, "sums": [[results.stream_sum(i), 0]]}
                     for i in range(results.STREAMS)]


SCALARS = [
    ("CAST(1 AS smallint)", 1), ("2147483648", 2147483648), ("true", True),
    ("CAST(1.5 AS real)", 1.5), ("CAST(0.1 AS double)", 0.1), ("'é日本'", "é日本"), ("''", ""),
    ("CAST('-123.25' AS decimal(20, 2))", decimal.Decimal("-123.25")),
    ("DATE '2024-02-29'", datetime.date(2024, 2, 29)),
    ("TIMESTAMP '1969-12-31 23:59:59.5'", datetime.datetime(1969, 12, 31, 23, 59, 59, 500000)),
    ("TIMESTAMPTZ '2024-01-01 00:00:00+02'",
     datetime.datetime(2023, 12, 31, 22, tzinfo=datetime.timezone.utc)),
    ("CAST(NULL AS varchar)", None),
]


@EVERY
def test_values_of_every_type_are_fetched(client):
    (found,) = client.rows("SELECT " + ", ".join(
        f"{expression} AS c{i}" for i, (expression, _) in enumerate(SCALARS)))
    expected = [value for _, value in SCALARS]
    assert [programs.as_shown(one, like)
            for one, like in zip(found, expected, strict=True)] == expected


# ---- statements -------------------------------------------------------------------------


@WRITERS
def test_a_statement_is_executed_with_each_type_of_parameter(client):
    text = "SELECT CAST($1 AS bigint) AS a, CAST($2 AS varchar) AS b, CAST($3 AS double) AS c, " \
           "CAST($4 AS boolean) AS d"
    row = [9007199254740991, "Grüße", 0.25, True]
    assert client.rows(text, Parameters=[row]) == [row]


@FULL
def test_parameters_may_be_null_dates_and_decimals(client):
    text = "SELECT CAST($1 AS bigint) AS a, CAST($2 AS varchar) AS b, CAST($3 AS date) AS c, " \
           "CAST($4 AS decimal(10, 2)) AS d, CAST($5 AS timestamp) AS e"
    expected = [None, None, datetime.date(1999, 12, 31), decimal.Decimal("3.14"),
                datetime.datetime(2024, 5, 6, 7, 8, 9, 123456)]
    (found,) = client.rows(text, Parameters=[
        [None, None, "1999-12-31", "3.14", "2024-05-06 07:08:09.123456"]])
    assert [programs.as_shown(one, like) for one, like in zip(found, expected)] == expected


@FULL
def test_a_prepared_query_without_parameters_is_executed(client):
    assert client.rows("SELECT 42 AS a", Parameters=[]) == [[42]]


@WRITERS
def test_updates_count_what_they_wrote(client, table):
    client.ask("update", f"CREATE TABLE {table} (id bigint, t varchar)")
    assert client.ask("update", f"INSERT INTO {table} VALUES (1, 'a'), (2, 'b')") == {"count": 2}
    assert client.ask("update", f"INSERT INTO {table} VALUES ($1, $2)",
                      Parameters=[[3, "c"]]) == {"count": 1}
    assert client.ask("update", f"INSERT INTO {table} VALUES ($1, $2)",
                      Parameters=[[i, str(i)] for i in range(4, 104)]) == {"count": 100}
    assert client.rows(f"SELECT count(*), sum(id), min(t) FROM {table}") == [
        [103, sum(range(1, 104)), "10"]]
    assert client.rows(f"SELECT t FROM {table} WHERE id = $1", Parameters=[[2]]) == [["b"]]
    client.ask("update", f"DROP TABLE {table}")


@EVERY
def test_a_statement_that_writes_runs_once_as_a_query_too(client, table):
    client.rows(f"CREATE TABLE {table} AS SELECT 1 AS a")
    client.rows(f"INSERT INTO {table} VALUES (2)")
    assert client.rows(f"SELECT a FROM {table} ORDER BY a") == [[1], [2]]
    client.rows(f"DROP TABLE {table}")


@FULL
def test_rows_are_ingested_in_each_mode(client, table):
    def ingest(mode, *rows):
        return client.ask("ingest", Table=table, Mode=mode, Rows=list(rows))["count"]

    assert ingest("create", [1, "a"], [2, None]) == 2
    with pytest.raises(programs.Refused, match="already exists"):
        ingest("create", [9, "z"])
    assert ingest("append", [3, "c"]) == 1
    assert client.rows(f"SELECT id, t FROM {table} ORDER BY id") == [
        [1, "a"], [2, None], [3, "c"]]
    assert ingest("replace", [4, "d"]) == 1
    assert ingest("create_append", [5, "e"]) == 1
    assert client.rows(f"SELECT id, t FROM {table} ORDER BY id") == [[4, "d"], [5, "e"]]
    client.ask("update", f"DROP TABLE {table}")
    with pytest.raises(programs.Refused, match="does not exist"):
        ingest("append", [6, "f"])


@WRITERS
def test_a_transaction_commits_and_cannot_roll_back_what_was_written(client, table):
    client.ask("update", f"CREATE TABLE {table} (a bigint)")
    insert = f"INSERT INTO {table} VALUES (1)"
    client.ask("transaction", Statements=[insert], End="commit")
    client.ask("transaction", Statements=[], End="rollback")
    with pytest.raises(programs.Refused, match="committed as") as refused:
        client.ask("transaction", Statements=[insert, insert], End="rollback")
    assert refused.value.code == FAILED_PRECONDITION
    assert client.rows(f"SELECT count(*) FROM {table}") == [[3]]
    client.ask("update", f"DROP TABLE {table}")


# ---- metadata ---------------------------------------------------------------------------


@FULL
def test_metadata_names_what_there_is(client, table):
    client.ask("update", f"CREATE TABLE {table} (a bigint, b varchar)")

    def ask(what, **more):
        return client.ask("metadata", What=what, **more)["rows"]

    (catalog, schema, found, kind), = ask("tables", Table=table)
    assert (found, kind.upper()) == (table, "TABLE")
    assert [catalog] in ask("catalogs")
    assert [catalog, schema] in ask("schemas")
    assert ask("schemas", Schema=schema[:2] + "%")[0][1].startswith(schema[:2])
    assert [kind] in ask("table_types")
    assert ask("tables", Table="no such table") == []
    for keys in "primary_keys", "exported_keys", "imported_keys", "cross_reference":
        assert ask(keys, Schema=schema, Table=table) == []
    assert {row[0] for row in ask("types")} >= {"bigint", "double precision"}
    assert len(ask("info")) == 2
    client.ask("update", f"DROP TABLE {table}")


@clients("firetiger")
def test_tables_are_listed_by_their_name(client, table):
    client.rows(f"CREATE TABLE {table} AS SELECT 1 AS a")
    (_, _, found, kind), = client.ask("metadata", What="tables", Table=table)["rows"]
    assert (found, kind.upper()) == (table, "TABLE")
    client.rows(f"DROP TABLE {table}")


@clients("go")
def test_the_schema_is_known_before_the_statement_runs(client):
    assert client.ask("schema", "SELECT CAST(1 AS integer) AS a, 'x' AS b") == {
        "columns": [["a", "int32"], ["b", "utf8"]], "same": True}


# ---- what only arrow-go's client has ----------------------------------------------------


@clients("go")
def test_a_statement_is_polled_until_it_is_done(client):
    assert client.ask("poll", "SELECT 7 AS a")["rows"] == [[7]]


@clients("go")
def test_a_statement_that_was_cancelled_gives_no_rows(client):
    assert client.ask("cancel", results.MANY_ROWS) == {
        "status": "CANCEL_STATUS_CANCELLED", "ended": True}


@clients("go")
def test_session_options_are_set_and_told(client):
    found = client.ask("options", Options={"time_zone": "Europe/Berlin", "nonsense": "1"})
    assert found["options"]["time_zone"] == "Europe/Berlin"
    assert list(found["refused"]) == ["nonsense"]
    assert client.ask("options", Options={"time_zone": "UTC"})["options"]["time_zone"] == "UTC"


# ---- errors -----------------------------------------------------------------------------


@EVERY
def test_an_error_says_what_and_where(client):
    with pytest.raises(programs.Refused,
                       match=r"\[42P01\] relation .*no_such_table.* does not exist") as refused:
        client.rows("SELECT * FROM no_such_table")
    assert refused.value.code == NOT_FOUND
    with pytest.raises(programs.Refused, match=r"\[42601\]") as refused:
        client.rows("SELEC 1")
    assert refused.value.code == INVALID
    assert client.rows("SELECT 1") == [[1]]


@clients("go", "rust", "firetiger")  # the driver for database/sql takes it for the end
def test_an_error_amid_the_rows_reaches_the_client(client):
    with pytest.raises(programs.Refused, match="division by zero"):
        client.ask("measure", "SELECT 1 / (value - 200000) AS a FROM generate_series(1, 300000)")
    assert client.rows("SELECT 1") == [[1]]


@EVERY
def test_a_wrong_password_or_token_is_refused(name, cell, tmp_path):
    words = cell.words()[:-2] + (["token", "wrong"] if cell.token else [USER, "wrong"])
    with pytest.raises(programs.Refused, match="(?i)auth|connect|password|token"):
        program = programs.Program(name, words, tmp_path)
        try:
            program.rows("SELECT 1")  # a token is looked at with the first call
        finally:
            program.end()


# ---- lancedb's client, which has neither TLS nor tokens ---------------------------------


@pytest.fixture(scope="module")
def lancedb(servers, tmp_path_factory):
    """It encodes a password as Latin-1, so it logs in with one of ASCII."""
    words = ["127.0.0.1", str(servers(False).port), "-", OTHER, OTHER_PASSWORD]
    program = programs.Program("lancedb", words, tmp_path_factory.mktemp("lancedb"))
    yield program
    program.end()


def test_lancedb_s_client_gets_rows_and_errors(lancedb):
    assert lancedb.rows("SELECT value FROM generate_series(1, 3) ORDER BY value") == [[1], [2], [3]]
    assert lancedb.rows(results.NO_ROWS) == []
    assert lancedb.rows(results.NULLS) == [[None] * 3] * 3
    with pytest.raises(programs.Refused, match="42P01") as refused:
        lancedb.rows("SELECT * FROM no_such_table")
    assert refused.value.code == NOT_FOUND


def test_lancedb_s_client_reads_nested_columns(lancedb, duck):
    expected = [[programs.plain(value) for value in row.values()] for row in
                duck.execute(results.NESTED).to_arrow_table().to_pylist()]
    found = lancedb.rows(results.NESTED)
    assert [[programs.as_shown(one, of) for one, of in zip(row, like, strict=True)]
            for row, like in zip(found, expected, strict=True)] == expected


def test_lancedb_s_client_reads_three_million_rows_and_a_hundred_streams(lancedb):
    found = lancedb.ask("measure", results.MANY_ROWS)
    assert tuple(total for total, _ in found["sums"]) == results.many_rows_sums()
    found = lancedb.ask("streams", Statements=[
        results.stream(i) for i in range(results.STREAMS)])["streams"]
    assert [one["sums"][0][0] for one in found] == [
        results.stream_sum(i) for i in range(results.STREAMS)]


def test_lancedb_s_client_refuses_a_cell_of_60_mib_and_harms_no_one(lancedb):
    with pytest.raises(programs.Refused, match="larger than max") as refused:
        lancedb.ask("measure", results.ONE_LARGE_CELL)
    assert refused.value.code == EXHAUSTED
    assert lancedb.rows("SELECT 1") == [[1]]
