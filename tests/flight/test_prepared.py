"""Prepared statements: what they promise, binding, many rows, their life."""

import concurrent.futures
import datetime
import decimal

import duckdb
import pyarrow as pa
import pyarrow.flight as flight
import pytest

import flightsql as sql
from conftest import wait_for


def schema_of(data):
    return pa.ipc.read_schema(pa.py_buffer(data))


def close(client, handle):
    client.do_action(flight.Action("ClosePreparedStatement", sql.wrap(
        "ActionClosePreparedStatementRequest", prepared_statement_handle=handle)))


def run(client, handle):
    return sql.read(client, sql.execute_prepared(client, handle))


@pytest.mark.parametrize("text, columns", [
    ("SELECT 1 AS a, 'x' AS b", ["a", "b"]), ("SHOW TABLES", ["table_catalog", "table_schema",
                                                              "table_name", "table_type"]),
    ("EXPLAIN SELECT 1", ["QUERY PLAN"]), ("EXPLAIN ANALYZE SELECT 1", ["QUERY PLAN"]),
    ("VALUES (1, 2)", ["column1", "column2"])])
def test_row_returning_statements_have_a_dataset_schema(client, text, columns):
    prepared = sql.prepare(client, text)
    assert prepared.prepared_statement_handle
    assert schema_of(prepared.dataset_schema).names == columns
    assert prepared.HasField("is_update") and prepared.is_update is False
    assert run(client, prepared.prepared_statement_handle).schema == schema_of(
        prepared.dataset_schema)


def test_updates_have_none_and_say_so(client, name):
    sql.update(client, f"CREATE TABLE {name} (a BIGINT)")
    for text in [f"INSERT INTO {name} VALUES (?)", f"CREATE TABLE {name}_2 (a BIGINT)",
                 f"DROP TABLE {name}", "SET time_zone = 'UTC'"]:
        prepared = sql.prepare(client, text)
        assert prepared.dataset_schema == b""
        assert prepared.HasField("is_update") and prepared.is_update is True


def test_the_parameter_schema_has_a_concrete_nullable_field_for_each_placeholder(client, name):
    sql.update(client, f"CREATE TABLE {name} (a BIGINT, b TEXT, c DATE, d DECIMAL(10, 2))")
    prepared = sql.prepare(client, f"SELECT * FROM {name} WHERE a > ? AND b = ? AND c < ? "
                           "AND d <> ?")
    schema = schema_of(prepared.parameter_schema)
    assert [str(t) for t in schema.types][:2] == ["int64", "string"]
    assert len(schema) == 4
    assert all(field.nullable and field.type != pa.null() for field in schema)
    # Nothing tells the type of this one: it is still one that a client can bind.
    schema = schema_of(sql.prepare(client, "SELECT ? AS x").parameter_schema)
    assert len(schema) == 1 and schema[0].nullable and schema[0].type != pa.null()
    assert len(schema_of(sql.prepare(client, "SELECT 1").parameter_schema)) == 0


def test_binding_answers_with_a_handle_and_both_handles_run_with_the_rows(client):
    handle = sql.prepare(client, "SELECT CAST(? AS BIGINT) * 2 AS n").prepared_statement_handle
    answered = sql.bind(client, handle, pa.table({"0": [21]}))
    assert answered
    assert run(client, answered).to_pydict() == {"n": [42]}
    assert run(client, handle).to_pydict() == {"n": [42]}


@pytest.mark.parametrize("value", [
    pa.array([7], pa.int32()), pa.array([7], pa.int8()), pa.array([7], pa.uint16()),
    pa.array([7.0], pa.float64()), pa.array(["7"], pa.string()),
    pa.array(["7"], pa.large_string()), pa.array(["7"], pa.string_view()),
    pa.array(["7"]).dictionary_encode(), pa.array([decimal.Decimal(7)], pa.decimal128(10, 0)),
    pa.array([7], pa.int64())], ids=lambda value: str(value.type).split("<")[0])
def test_other_types_than_declared_are_cast_or_refused(client, name, value):
    sql.update(client, f"CREATE TABLE {name[-40:]} AS SELECT CAST(7 AS BIGINT) AS a")
    text = f"SELECT count(*) AS n FROM {name[-40:]} WHERE a = ?"
    handle = sql.prepare(client, text).prepared_statement_handle
    try:
        sql.bind(client, handle, pa.table({"p": value}))
        assert run(client, handle).to_pydict() == {"n": [1]}
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        assert "[" in str(error)  # refused with an SQLSTATE
    sql.bind(client, handle, pa.table({"p": pa.nulls(1)}))
    assert run(client, handle).to_pydict() == {"n": [0]}
    sql.update(client, f"DROP TABLE {name[-40:]}")


@pytest.mark.parametrize("value", [
    decimal.Decimal("1.499"), decimal.Decimal("1.500"), 1.499, 1.5,
    datetime.datetime(2024, 1, 1, 5), datetime.datetime(2024, 1, 1), datetime.date(2024, 1, 1)],
    ids=str)
@pytest.mark.parametrize("operator", ["=", "<", ">="])
def test_a_value_is_compared_with_all_its_digits(client, name, operator, value):
    column = "d" if isinstance(value, datetime.date) else "n"
    table = "SELECT DATE '2024-01-01' AS d, CAST(1.5 AS DECIMAL(10, 2)) AS n"
    text = f"SELECT count(*) AS n FROM ({table}) AS t WHERE {column} {operator} ?"
    handle = sql.prepare(client, text).prepared_statement_handle
    sql.bind(client, handle, pa.table({"p": [value]}))
    with duckdb.connect() as oracle:
        expected = oracle.execute(text, [value]).fetchall()
    assert run(client, handle).to_pydict() == {"n": [expected[0][0]]}


def test_a_value_that_is_written_is_rounded_as_its_column_is(client, name):
    sql.update(client, f"CREATE TABLE {name} (n DECIMAL(10, 2), d DATE)")
    handle = sql.prepare(client, f"INSERT INTO {name} VALUES (?, ?)").prepared_statement_handle
    noon = datetime.datetime(2024, 1, 1, 12)
    sql.update_prepared(client, handle, pa.table({"n": [1.239, 1.234], "d": [noon, noon]}))
    rows = sql.rows(client, f"SELECT n, d FROM {name} ORDER BY n")
    assert rows == [(decimal.Decimal(n), noon.date()) for n in ("1.23", "1.24")]


@pytest.mark.parametrize("values", [{}, {"a": [1]}, {"a": [1], "b": [2], "c": [3]}],
                         ids=["none", "one", "three"])
def test_a_wrong_number_of_parameters_is_an_invalid_argument(client, values):
    handle = sql.prepare(client, "SELECT CAST(? AS BIGINT) + CAST(? AS BIGINT) AS n"
                         ).prepared_statement_handle
    if values:
        sql.bind(client, handle, pa.table(values))
    with pytest.raises(pa.ArrowInvalid, match="08P01"):
        sql.execute_prepared(client, handle)


def test_many_rows_of_parameters_give_their_results_in_order(client, name):
    sql.update(client, f"CREATE TABLE {name} AS SELECT v FROM generate_series(1, 100) AS t(v)")
    handle = sql.prepare(client, f"SELECT v, ? AS k FROM {name} WHERE v <= ? ORDER BY v"
                         ).prepared_statement_handle
    sql.bind(client, handle, pa.table({"k": ["a", "b", "c"], "v": [2, 0, 3]}))
    assert [tuple(row.values()) for row in run(client, handle).to_pylist()] == [
        (1, "a"), (2, "a"), (1, "c"), (2, "c"), (3, "c")]
    sql.bind(client, handle, pa.table({"k": pa.array([], pa.string()),
                                       "v": pa.array([], pa.int64())}))
    assert run(client, handle).num_rows == 0


def test_many_rows_of_parameters_on_an_update_are_summed(client, name):
    sql.update(client, f"CREATE TABLE {name} (a BIGINT, b TEXT)")
    handle = sql.prepare(client, f"INSERT INTO {name} VALUES (?, ?), (?, 'x')"
                         ).prepared_statement_handle
    table = pa.table({"a": range(50), "b": [str(i) for i in range(50)], "c": range(50)})
    assert sql.update_prepared(client, handle, table) == 100
    assert sql.rows(client, f"SELECT count(*), sum(a) FROM {name}") == [(100, 2 * 1225)]


def test_a_handle_runs_many_times_also_after_errors_and_side_by_side(client):
    handle = sql.prepare(client, "SELECT 10 / CAST(? AS BIGINT) AS n").prepared_statement_handle
    sql.bind(client, handle, pa.table({"p": [5]}))
    for _ in range(3):
        assert run(client, handle).to_pydict() == {"n": [2]}
    sql.bind(client, handle, pa.table({"p": [0]}))
    with pytest.raises(pa.ArrowInvalid, match="22012"):
        run(client, handle)
    sql.bind(client, handle, pa.table({"p": [2]}))
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: run(client, handle).to_pydict(), range(64)))
    assert found == [{"n": [5]}] * 64


def test_a_prepared_update_uses_stored_rows_or_those_that_come_with_it(client, name):
    sql.update(client, f"CREATE TABLE {name} (a BIGINT)")
    handle = sql.prepare(client, f"INSERT INTO {name} VALUES (?)").prepared_statement_handle
    sql.bind(client, handle, pa.table({"a": [1, 2]}))
    assert sql.update_prepared(client, handle) == 2
    assert sql.update_prepared(client, handle, pa.table({"a": [10]})) == 1
    assert sql.update_prepared(client, handle) == 2
    assert sorted(sql.rows(client, f"SELECT a FROM {name}")) == [(1,), (1,), (2,), (2,), (10,)]


def test_a_prepared_update_of_a_descriptor_alone_is_answered(raw, client, name):
    sql.update(client, f"CREATE TABLE {name} (a BIGINT)")
    handle = sql.prepare(client, f"INSERT INTO {name} VALUES (7)").prepared_statement_handle
    data = sql.message("FlightData", flight_descriptor=sql.message(
        "FlightDescriptor", type=2, cmd=sql.wrap("CommandPreparedStatementUpdate",
                                                 prepared_statement_handle=handle)))
    (answer,) = raw.both("DoPut", [data.SerializeToString()])
    result = sql.parse("PutResult", answer)
    assert sql.parse("DoPutUpdateResult", result.app_metadata).record_count == 1


def test_writing_by_a_prepared_query_happens_once(client, name):
    sql.update(client, f"CREATE TABLE {name} (a BIGINT)")
    handle = sql.prepare(client, f"INSERT INTO {name} VALUES (?)").prepared_statement_handle
    sql.bind(client, handle, pa.table({"a": [1, 2, 3]}))
    info = sql.execute_prepared(client, handle)
    assert info.total_records == 3
    assert sql.rows(client, f"SELECT count(*) FROM {name}") == [(3,)]
    sql.read(client, info)
    assert sql.rows(client, f"SELECT count(*) FROM {name}") == [(3,)]


def test_closing_is_idempotent_and_what_is_closed_is_not_found(client):
    handle = sql.prepare(client, "SELECT 1").prepared_statement_handle
    for _ in range(2):
        assert len(list(client.do_action(flight.Action("ClosePreparedStatement", sql.wrap(
            "ActionClosePreparedStatementRequest", prepared_statement_handle=handle))))) <= 1
    list(client.do_action(flight.Action("ClosePreparedStatement", sql.wrap(
        "ActionClosePreparedStatementRequest", prepared_statement_handle=b"never there"))))
    with pytest.raises(pa.ArrowKeyError, match="26000"):
        sql.execute_prepared(client, handle)


def test_open_handles_go_with_their_session(server):
    client = server.client()
    handle = sql.prepare(client, "SELECT 1").prepared_statement_handle
    sql.action(client, "CloseSession")
    with pytest.raises(pa.ArrowKeyError):
        sql.execute_prepared(client, handle)


def test_open_handles_go_when_the_session_was_idle_for_too_long(start):
    server = start(settings=["auth.mode=none", "limits.session_idle=500ms"])
    client = server.client()
    handle = sql.prepare(client, "SELECT 1").prepared_statement_handle

    ((session,),) = sql.rows(client, "SELECT id FROM igloo.system.sessions")
    watcher = server.client()
    wait_for(lambda: sql.rows(watcher, "SELECT * FROM igloo.system.sessions "
                              f"WHERE id = '{session}'") == [])
    with pytest.raises(pa.ArrowKeyError):
        sql.execute_prepared(client, handle)


def test_a_session_has_a_bounded_number_of_handles(server):
    client = server.client()
    with pytest.raises(pa.ArrowInvalid, match="53400"):
        for _ in range(1100):
            sql.prepare(client, "SELECT 1")
    sql.action(client, "CloseSession")
    assert sql.prepare(client, "SELECT 1").prepared_statement_handle


def test_a_changed_table_is_seen_and_a_changed_result_type_is_refused(client, name):
    sql.update(client, f"CREATE TABLE {name} AS SELECT 1 AS a")
    handle = sql.prepare(client, f"SELECT * FROM {name}").prepared_statement_handle
    sql.update(client, f"INSERT INTO {name} VALUES (2)")
    assert run(client, handle).num_rows == 2
    sql.update(client, f"CREATE OR REPLACE TABLE {name} AS SELECT 'x' AS b")
    with pytest.raises(pa.ArrowNotImplementedError, match="cached plan"):
        run(client, handle)
