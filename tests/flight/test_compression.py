"""Compressed results: by a setting, by a session option, by a header of the call."""

import grpc
import pyarrow as pa
import pyarrow.flight as flight
import pytest

import flightsql as sql
from test_adbc import connect
from test_queries import TYPES
from test_sessions import INVALID_VALUE, get_options, set_options

# The four bytes with which a frame of each begins, in a buffer after its length.
MAGIC = {"lz4": b"\x04\x22\x4d\x18", "zstd": b"\x28\xb5\x2f\xfd"}
CODECS = sorted(MAGIC)
TEXT = ("SELECT v % 5 AS m, 'always the same' AS t FROM generate_series(1, 100000) AS g(v) "
        "ORDER BY v")


def codecs_of(messages):
    """Those in which the bodies of record batches begin, and how long they are together."""
    bodies = [message.data_body for message in messages[1:]]
    found = {next((codec for codec, magic in MAGIC.items() if body[8:12] == magic), "none")
             for body in bodies}
    return found, sum(map(len, bodies))


def read(raw, text, codec=None):
    metadata = [("igloo.compression", codec)] if codec else []
    info = raw.info("CommandStatementQuery", query=text, _metadata=metadata)
    return raw.data(info, metadata=metadata)


def run(raw, text):
    read(raw, text)


@pytest.mark.parametrize("codec", CODECS)
def test_nothing_is_compressed_unless_it_is_asked_for(raw, codec):
    found, plain = codecs_of(read(raw, TEXT))
    assert found == {"none"}
    run(raw, f"SET igloo.compression = '{codec}'")
    found, packed = codecs_of(read(raw, TEXT))
    assert found == {codec} and packed < plain / 4
    assert codecs_of(read(raw, TEXT, "none")) == ({"none"}, plain)  # the header wins
    run(raw, "RESET igloo.compression")
    assert codecs_of(read(raw, TEXT)) == ({"none"}, plain)
    assert codecs_of(read(raw, TEXT, codec)) == ({codec}, packed)
    assert codecs_of(read(raw, TEXT)) == ({"none"}, plain)  # for one call


def test_a_codec_that_is_not_known_is_refused(raw, client):
    with pytest.raises(grpc.RpcError) as error:
        read(raw, TEXT, "gzip")
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert '[22023] invalid value for "igloo.compression": "gzip"' in error.value.details()
    with pytest.raises(pa.ArrowInvalid, match="22023"):
        sql.update(client, "SET igloo.compression = 'gzip'")
    assert sql.rows(client, "SHOW igloo.compression") == [("none",)]


@pytest.mark.parametrize("codec", CODECS)
def test_pyarrow_reads_every_kind_of_column_as_it_was_sent(client, name, codec):
    sql.ingest(client, name, "create", TYPES)
    plain = sql.query(client, f"SELECT * FROM {name}")
    assert set_options(client, {"igloo.compression": ("string_value", codec)}) == {}
    assert get_options(client)["igloo.compression"] == codec
    packed = sql.query(client, f"SELECT * FROM {name}")
    packed.validate(full=True)
    assert packed.equals(plain)
    many = "SELECT v, CAST(v AS TEXT) AS t FROM generate_series(1, 300000) AS g(v) ORDER BY v"
    table = sql.query(client, many)
    table.validate(full=True)
    assert table["v"].to_pylist() == list(range(1, 300001))
    assert table["t"].to_pylist() == [str(v) for v in range(1, 300001)]
    assert sql.query(client, "SELECT 1 AS a WHERE false").num_rows == 0
    errors = set_options(client, {"igloo.compression": ("string_value", "gzip")})
    assert errors == {"igloo.compression": INVALID_VALUE}
    assert set_options(client, {"igloo.compression": (None, None)}) == {}
    assert get_options(client)["igloo.compression"] == "none"


def test_metadata_is_compressed_where_the_call_asks_for_it(client):
    info = client.get_flight_info(sql.descriptor("CommandGetSqlInfo"))
    plain = sql.read(client, info)
    packed = sql.read(client, info, flight.FlightCallOptions(
        headers=[(b"igloo.compression", b"lz4")]))
    assert packed.equals(plain)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("how", ["header", "option", "sql"])
def test_adbc_reads_what_is_compressed(server, name, codec, how):
    header = {"adbc.flight.sql.rpc.call_header.igloo.compression": codec}
    with connect(server, "plain", **(header if how == "header" else {})) as connection, \
            connection.cursor() as cursor:
        if how == "option":
            connection.adbc_connection.set_options(
                **{"adbc.flight.sql.session.option.igloo.compression": codec})
        if how == "sql":
            cursor.execute(f"SET igloo.compression = '{codec}'")
        table = name[-40:].strip("_") + codec + how
        cursor.adbc_ingest(table, TYPES, mode="create")
        cursor.execute(f"SELECT * FROM {table}")
        found = cursor.fetch_arrow_table()
        for column in TYPES.column_names:
            assert found[column].to_pylist() == TYPES[column].to_pylist(), column
        cursor.execute(TEXT)
        assert cursor.fetch_arrow_table()["m"].to_pylist() == [v % 5 for v in range(1, 100001)]


def test_the_setting_is_listed(client):
    assert sql.rows(client, "SELECT value, origin FROM igloo.system.settings "
                    "WHERE name = 'igloo.compression'") == [("none", "session")]
