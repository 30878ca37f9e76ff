"""Queries that read nothing have one answer, which is sent again; all that belongs to a
statement stays."""

import grpc
import pyarrow as pa
import pytest

import flightsql as sql
from test_compression import codecs_of
from test_console import metrics

TWICE = range(2)


def get(raw, name, /, metadata=(), **fields):
    """DoGet with a command for a ticket, as igloo's own clients do it."""
    ticket = sql.message("Ticket", ticket=sql.wrap(name, **fields))
    return [sql.parse("FlightData", data) for data in raw.stream(
        "DoGet", ticket.SerializeToString(), metadata=list(metadata))]


def table(messages):
    """By pyarrow, of messages that follow one another as in a stream of Arrow's."""
    parts = []
    for one in messages:
        parts += [b"\xff\xff\xff\xff", len(one.data_header).to_bytes(4, "little"),
                  one.data_header, one.data_body]
    return pa.ipc.open_stream(b"".join([*parts, b"\xff\xff\xff\xff\0\0\0\0"])).read_all()


def rows(raw, text, **options):
    read = table(get(raw, "CommandStatementQuery", query=text, **options))
    return [tuple(row.values()) for row in read.to_pylist()]


@pytest.mark.parametrize("text, expected", [
    ("SELECT 1 AS one, 'two' AS two, NULL AS three", [(1, "two", None)]),
    ("VALUES (1, 'a'), (2, 'b')", [(1, "a"), (2, "b")]),
    ("SELECT 1 AS x WHERE false", []),
    ("SELECT x FROM (VALUES (3), (1), (2)) AS t(x) LIMIT 2", [(3,), (1,)]),
])
def test_an_answer_is_the_same_when_it_is_sent_again(raw, text, expected):
    first = get(raw, "CommandStatementQuery", query=text)
    assert [tuple(row.values()) for row in table(first).to_pylist()] == expected
    for _ in TWICE:
        assert get(raw, "CommandStatementQuery", query=text) == first


def test_what_is_longer_than_what_is_kept_is_sent_whole_each_time(raw):
    text = "VALUES " + ", ".join(f"({i}, 'a text that takes some bytes')" for i in range(900))
    for _ in range(3):
        assert [row[0] for row in rows(raw, text)] == list(range(900))


def test_what_changes_is_not_kept(raw):
    assert len({rows(raw, "SELECT random()")[0] for _ in range(4)}) == 4
    times = [rows(raw, "SELECT now()")[0][0] for _ in range(4)]
    assert times == sorted(set(times))


def test_settings_change_an_answer(raw):
    text = "SELECT CAST('2026-01-01 12:00:00+00' AS TIMESTAMP WITH TIME ZONE) AS t"
    for zone, hour in [("UTC", 12), ("Asia/Tokyo", 21), ("UTC", 12)]:
        get(raw, "CommandStatementQuery", query=f"SET TIME ZONE '{zone}'")
        for _ in range(3):
            ((time,),) = rows(raw, text)
            assert time.hour == hour


def test_a_table_is_read_each_time(raw):
    get(raw, "CommandStatementQuery", query="CREATE TABLE kept_numbers AS SELECT 1 AS x")
    for expected in ([(1,)], [(1,), (2,)]):
        for _ in range(3):
            assert sorted(rows(raw, "SELECT x FROM kept_numbers")) == expected
        get(raw, "CommandStatementQuery", query="INSERT INTO kept_numbers SELECT 2")
    get(raw, "CommandStatementQuery", query="DROP TABLE kept_numbers")
    with pytest.raises(grpc.RpcError, match="42P01"):
        rows(raw, "SELECT x FROM kept_numbers")


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_a_compressed_answer_is_made_anew(raw, codec):
    text = "SELECT repeat('always the same ', 3) AS t, 'x' AS u"
    plain = get(raw, "CommandStatementQuery", query=text)
    for _ in TWICE:
        packed = get(raw, "CommandStatementQuery", query=text,
                     metadata=[("igloo.compression", codec)])
        assert table(packed) == table(plain)
        assert codecs_of(packed)[0] <= {codec, "none"}
        assert get(raw, "CommandStatementQuery", query=text) == plain


def test_each_is_counted_as_a_statement(start):
    """What shows something too, though nothing of it is kept."""
    server = start(settings=["auth.mode=none"])
    raw = sql.Raw(server.channel())
    for text in ["SELECT 1", "SHOW TABLES", "SHOW time_zone", "EXPLAIN SELECT 1", "EXPLAIN ANALYZE SELECT 1",
                 "DESCRIBE information_schema.tables", "SUMMARIZE SELECT 1 AS a"]:
        get(raw, "CommandStatementQuery", query=text)
        before = metrics(server)
        for _ in range(5):
            get(raw, "CommandStatementQuery", query=text)
        after = metrics(server)
        for name in ["igloo_statements_started_total", "igloo_statement_seconds_count"]:
            assert after[name, ()] == before[name, ()] + 5, (text, name)
        assert after["igloo_statements_admitted", ()] == after["igloo_statements", ()] == 0, text
