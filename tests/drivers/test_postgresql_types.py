"""Every type, read by COPY and row by row. What is expected, PostgreSQL's own casts say."""
import csv
import decimal
import io
import json
import math
import uuid

import adbc_driver_manager
import pyarrow as pa
import pytest


def whole(text):
    return int(text)


def number(text):
    return decimal.Decimal(text)


def real(text):
    return float(text)


def flag(text):
    return {"true": True, "false": False, "t": True, "f": False}[text]


def as_text(text):
    return text


def hexed(text):
    return bytes.fromhex(text[2:])


# type, the Arrow type, values, the oracle's cast of column c, how its text is read
TYPES = [
    ("boolean", pa.bool_(), ["true", "false"], "c::text", flag),
    ("smallint", pa.int16(), ["-32768", "32767", "0"], "c::text", whole),
    ("integer", pa.int32(), ["-2147483648", "2147483647"], "c::text", whole),
    ("bigint", pa.int64(), ["-9223372036854775808", "9223372036854775807"], "c::text", whole),
    ("real", pa.float32(), ["1.5", "-0.0", "3.4028235e38", "1e-45", "NaN", "Infinity", "-Infinity"],
     "c::float8::text", real),
    ("double precision", pa.float64(),
     ["0.1", "-0.0", "1.7976931348623157e308", "5e-324", "NaN", "Infinity", "-Infinity"],
     "c::text", real),
    ("numeric(9,2)", pa.decimal128(9, 2),
     ["0", "0.01", "-0.01", "9999999.99", "-9999999.99", "10000", "10000.10", "0.10"],
     "c::text", number),
    ("numeric(18,0)", pa.decimal128(18, 0), ["999999999999999999", "-999999999999999999", "1"],
     "c::text", number),
    ("numeric(18,18)", pa.decimal128(18, 18), ["0.000000000000000001", "-0.999999999999999999"],
     "c::text", number),
    ("numeric(19,3)", pa.decimal128(19, 3), ["9999999999999999.999", "-0.001", "10000"],
     "c::text", number),
    ("numeric(38,10)", pa.decimal128(38, 10),
     ["9999999999999999999999999999.9999999999", "-1", "0.0000000001"], "c::text", number),
    ("numeric(39,1)", pa.decimal256(39, 1), ["99999999999999999999999999999999999999.9", "-0.1"],
     "c::text", number),
    ("numeric(76,38)", pa.decimal256(76, 38), ["9" * 38 + "." + "9" * 38, "-" + "0." + "0" * 37 + "1"],
     "c::text", number),
    ("numeric(3,-2)", pa.decimal128(5, 0), ["99900", "-100", "0"], "c::text", number),
    ("numeric(2,5)", pa.decimal128(5, 5), ["0.00099", "-0.00001"], "c::text", number),
    ("numeric", pa.string(),
     ["0", "0.000", "-1.50", "12345678901234567890.0000000001", "NaN", "Infinity", "-Infinity",
      "1e-30", "1e40", "10000", "0.0001"], "c::text", as_text),
    ("numeric(100,50)", pa.string(), ["1.5", "-0.1"], "c::text", as_text),
    ("money", pa.string(), ["1234.50", "-0.01"], "c::numeric::text", as_text),
    ("text", pa.string(), ["''", "'a'", "'a '", "'äöü€😀'", "repeat('x', 100000)"], "c::text", as_text),
    ("varchar(5)", pa.string(), ["''", "'abcde'", "'a  '"], "c::text", as_text),
    ("char(6)", pa.string(), ["'abc'", "''", "'ä'"], "c::text", as_text),
    ("name", pa.string(), ["'some_name'"], "c::text", as_text),
    ('"char"', pa.string(), ["'x'", "''"], "c::text", as_text),
    ("bytea", pa.binary(), ["'\\x'", "'\\x00ff10'"], "c::text", hexed),
    ("json", pa.json_(pa.string()), ["'{\"a\":  1}'", "'null'", "'[1, \"ä\"]'"], "c::text", as_text),
    ("jsonb", pa.json_(pa.string()), ["'{\"a\":  1}'", "'null'", "'1e3'"], "c::text", as_text),
    ("date", pa.date32(),
     ["'1970-01-01'", "'0001-01-01'", "'9999-12-31'", "'4713-01-01 BC'", "'5874897-12-31'",
      "'infinity'", "'-infinity'"],
     "CASE c WHEN 'infinity' THEN 2147483647 WHEN '-infinity' THEN -2147483648 "
     "ELSE c - date '1970-01-01' END::text", whole),
    ("time", pa.time64("us"), ["'00:00:00'", "'23:59:59.999999'", "'12:00'"],
     "(extract(epoch FROM c) * 1000000)::int8::text", whole),
    ("timestamp", pa.timestamp("us"),
     ["'1970-01-01'", "'0001-01-01 00:00:00.000001'", "'9999-12-31 23:59:59.999999'",
      "'4713-01-01 BC'", "'294246-12-31 23:59:59'", "'infinity'", "'-infinity'"],
     "CASE c WHEN 'infinity' THEN 9223372036854775807 WHEN '-infinity' THEN "
     "-9223372036854775808 ELSE extract(epoch FROM c) * 1000000 END::int8::text", whole),
    ("timestamptz", pa.timestamp("us", "UTC"),
     ["'1970-01-01 00:00+00'", "'2021-03-28 02:30 Europe/Berlin'", "'1900-01-01 00:00:00.5+05:30'",
      "'infinity'", "'-infinity'"],
     "CASE c WHEN 'infinity' THEN 9223372036854775807 WHEN '-infinity' THEN "
     "-9223372036854775808 ELSE extract(epoch FROM c) * 1000000 END::int8::text", whole),
    ("interval", pa.month_day_nano_interval(),
     ["'1 year 2 months 3 days 04:05:06.789'", "'-1 mon 40 days -00:00:00.000001'", "'0'"],
     "(extract(year FROM c) * 12 + extract(month FROM c))::int || ' ' || extract(day FROM c) || ' ' "
     "|| ((extract(hour FROM c) * 3600 + extract(minute FROM c) * 60) * 1000000 + "
     "extract(microseconds FROM c))::int8",
     lambda text: (lambda m, d, us: pa.MonthDayNano([m, d, us * 1000]))(*map(int, text.split()))),
    ("uuid", pa.uuid(), ["'6ba7b810-9dad-11d1-80b4-00c04fd430c8'"], "c::text", uuid.UUID),
    ("oid", pa.uint32(), ["0", "4294967295"], "c::text", whole),
    ("xid", pa.uint32(), ["'4294967295'"], "c::text", whole),
    ("integer[]", pa.list_(pa.int32()), ["'{}'", "'{1,NULL,-3}'"], "to_json(c)::text", json.loads),
    ("text[]", pa.list_(pa.string()), ["'{}'", "ARRAY['', NULL, 'NULL', 'a,b']"], "to_json(c)::text",
     json.loads),
    ("numeric(9,2)[]", pa.list_(pa.decimal128(9, 2)), ["'{1.50,-0.01}'"],
     "array_to_string(c, ' ')", lambda text: [decimal.Decimal(one) for one in text.split()]),
    ("int2vector", pa.list_(pa.int16()), ["'1 2 3'"], "to_json(c::int2[])::text", json.loads),
    ("inet", pa.string(), ["'10.0.0.1'", "'fe80::/10'"], "c::text", as_text),
    ("inet[]", pa.list_(pa.string()), ["'{10.0.0.1,NULL}'"], "to_json(c::text[])::text", json.loads),
    ("timetz", pa.string(), ["'12:00+02'", "'24:00+00'"], "c::text", as_text),
    ("bit(3)", pa.string(), ["B'101'"], "c::text", as_text),
    ("int4range", pa.string(), ["'[1,5)'", "'empty'"], "c::text", as_text),
    ("point", pa.string(), ["'(1,2)'"], "c::text", as_text),
    ("xml", pa.string(), ["'<a>1</a>'"], "c::text", as_text),
    ("regclass", pa.string(), ["'pg_class'"], "c::text", as_text),
    ("tsvector", pa.string(), ["'a fat cat'"], "c::text", as_text),
    ("pg_lsn", pa.string(), ["'16/B374D848'"], "c::text", as_text),
    ("hstore", pa.string(), ["'a=>1, b=>NULL'"], "c::text", as_text),
    ("citext", pa.string(), ["'Abc'"], "c::text", as_text),
]


def literal(value):
    if value is None:
        return "NULL"
    return f"'{value}'" if value in ("NaN", "Infinity", "-Infinity", "true", "false") else value


def plain(value):
    """Values that Python's Arrow has no type for, or that differ in more than their value."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else (value, math.copysign(1, value))
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value


def read_column(table, kind):
    column = table.column(0)
    if pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        return column.cast(pa.int32() if kind == pa.date32() else pa.int64()).to_pylist()
    return column.to_pylist()


@pytest.mark.parametrize("name,kind,values,oracle,read", TYPES, ids=[one[0] for one in TYPES])
def test_a_column_reads_as_postgresql_says(postgres, connect, schema, name, kind, values, oracle,
                                           read):
    table = f"{schema}.t"
    rows = [*values, None, *values]
    postgres.run(f"CREATE TABLE {table} (id int, c {name})")
    postgres.run("\n".join(f"INSERT INTO {table} VALUES ({i}, {literal(value)});"
                           for i, value in enumerate(rows)))
    said = postgres.run(
        f"COPY (SELECT {oracle} FROM {table} ORDER BY id) TO STDOUT (FORMAT csv, NULL '\\N')")
    expected = [None if row == ["\\N"] else read(row[0] if row else "")
                for row in csv.reader(io.StringIO(said))]
    assert len(expected) == len(rows)

    connection = connect()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT c FROM {table} ORDER BY id")
        result = cursor.fetch_arrow_table()
        assert result.schema.field(0).type == kind
        assert [plain(one) for one in read_column(result, kind)] == [plain(one) for one in expected]
        result.validate(full=True)
        described = connection.adbc_get_table_schema("t", db_schema_filter=schema).field("c")
        assert described.type == kind

        cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})
        cursor.execute(f"SELECT c FROM {table} ORDER BY id")
        by_row = cursor.fetch_arrow_table()
    if b"igloo.cast" in described.metadata:
        assert "opaque" in str(by_row.schema.field(0).type)
    else:
        assert by_row.schema == result.schema
        assert [plain(one) for one in read_column(by_row, kind)] == [plain(one) for one in expected]


def test_enums_domains_and_composite_types_are_read(postgres, cursor, schema):
    postgres.run(f"""SET search_path TO {schema};
        CREATE TYPE mood AS ENUM ('sad', 'ok', 'grün');
        CREATE DOMAIN price AS numeric(9,2) CHECK (VALUE >= 0);
        CREATE DOMAIN prices AS price[];
        CREATE TYPE pair AS (a int, "B b" text, m mood);
        CREATE TYPE nest AS (p pair, ps pair[], d price);
        CREATE TYPE odd AS (a int, net inet);
        CREATE TABLE t AS SELECT 'grün'::mood m, 1.5::price d, '{{1.5,NULL}}'::price[] ds,
          '{{2}}'::prices ds2, (1, 'x', 'ok')::pair c,
          ((NULL, NULL, NULL), ARRAY[(2, '', 'sad'), NULL]::pair[], 3)::nest n,
          (1, '::1')::odd o, ARRAY['sad', 'ok']::mood[] ms;
        INSERT INTO t SELECT;""")
    cursor.execute(f"SELECT * FROM {schema}.t")
    table = cursor.fetch_arrow_table()
    pair = pa.struct([("a", pa.int32()), ("B b", pa.string()), ("m", pa.string())])
    price = pa.decimal128(9, 2)
    assert table.schema == pa.schema([
        ("m", pa.string()), ("d", price), ("ds", pa.list_(price)), ("ds2", pa.list_(price)),
        ("c", pair), ("n", pa.struct([("p", pair), ("ps", pa.list_(pair)), ("d", price)])),
        ("o", pa.string()), ("ms", pa.list_(pa.string()))])
    first, second = table.to_pylist()
    assert set(second.values()) == {None}
    one = decimal.Decimal
    assert first == {
        "m": "grün", "d": one("1.50"), "ds": [one("1.50"), None], "ds2": [one("2.00")],
        "c": {"a": 1, "B b": "x", "m": "ok"},
        "n": {"p": {"a": None, "B b": None, "m": None}, "ps": [{"a": 2, "B b": "", "m": "sad"}, None],
              "d": one("3.00")},
        "o": "(1,::1)", "ms": ["sad", "ok"]}


def test_types_seen_first_row_by_row_are_looked_up(postgres, connect, schema):
    postgres.run(f"CREATE TYPE {schema}.mood AS ENUM ('sad', 'ok')")
    with connect().cursor() as cursor:
        cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})
        for _ in range(2):
            cursor.execute(f"SELECT 'ok'::{schema}.mood AS m FROM generate_series(1, 3)")
            assert cursor.fetch_arrow_table().to_pydict() == {"m": ["ok"] * 3}


def test_a_composite_type_that_changes_is_an_error_once_and_then_read_anew(postgres, cursor, schema):
    postgres.run(f"CREATE TYPE {schema}.pair AS (a int, b text)")
    query = f"SELECT ROW(1, 'x')::{schema}.pair AS p"
    cursor.execute(query)
    assert cursor.fetch_arrow_table().to_pylist() == [{"p": {"a": 1, "b": "x"}}]
    postgres.run(f"ALTER TYPE {schema}.pair ADD ATTRIBUTE c int")
    with pytest.raises(Exception, match='composite type of column "p" changed'):
        cursor.execute(f"SELECT ROW(1, 'x', 2)::{schema}.pair AS p")
        cursor.fetch_arrow_table()
    cursor.execute(f"SELECT ROW(1, 'x', 2)::{schema}.pair AS p")
    assert cursor.fetch_arrow_table().to_pylist() == [{"p": {"a": 1, "b": "x", "c": 2}}]


REFUSED = [
    ("'NaN'::numeric(9,2)", 'column "c" holds NaN or Infinity'),
    ("'24:00'::time", 'column "c" holds the time 24:00:00'),
    ("'294276-12-31'::timestamp", 'column "c" holds a timestamp after the year 294246'),
    ("'{{1,2},{3,4}}'::int[]", 'column "c" holds an array of more than one dimension'),
    ("'3000000 hours'::interval", 'column "c" holds an interval of more than 292 years'),
]


@pytest.mark.parametrize("value,message", REFUSED, ids=[one[0] for one in REFUSED])
def test_what_arrow_cannot_hold_is_an_error_that_names_the_column(connect, value, message):
    with connect().cursor() as cursor, pytest.raises(Exception, match=message):
        cursor.execute(f"SELECT 1 AS a, {value} AS c")
        cursor.fetch_arrow_table()


def test_values_without_a_place_in_arrow_follow_the_options(connect):
    with connect().cursor() as cursor:
        cursor.adbc_statement.set_options(**{
            "igloo.postgresql.infinity": "null", "igloo.postgresql.numeric_special": "null"})
        query = "SELECT 'infinity'::date d, '-infinity'::timestamp t, 'NaN'::numeric(5,1) n, 1 one"
        cursor.execute(query)
        assert cursor.fetch_arrow_table().to_pylist() == [{"d": None, "t": None, "n": None, "one": 1}]
        cursor.adbc_statement.set_options(**{"igloo.postgresql.infinity": "error"})
        with pytest.raises(adbc_driver_manager.Error, match='column "d" holds infinity'):
            cursor.execute(query)
            cursor.fetch_arrow_table()


def test_every_nan_is_the_one_above_all_numbers(cursor):
    cursor.execute("SELECT 'inf'::float8 - 'inf' AS a, ('inf'::float4 - 'inf')::float4 AS b")
    table = cursor.fetch_arrow_table()
    assert table.column(0).cast(pa.float64()).chunk(0).buffers()[1].to_pybytes() == bytes(6) + b"\xf8\x7f"
    assert table.column(1).chunk(0).buffers()[1].to_pybytes() == bytes(2) + b"\xc0\x7f"


def test_text_that_is_not_utf8_is_an_error(postgres, connect, schema):
    postgres.run("CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'")
    connection = connect(postgres.uri.replace("/postgres", "/ascii"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT 'ok' AS a, convert_from('\\xff41', 'SQL_ASCII') AS b")
        with pytest.raises(adbc_driver_manager.Error) as caught:
            cursor.fetch_arrow_table()
        assert caught.value.sqlstate == "22021"
    connection.close()
    postgres.run("DROP DATABASE ascii")


def test_queries_of_every_shape_are_read(cursor):
    shapes = {
        "SELECT 1 AS a": {"a": [1]},
        "  -- words\n /* more /* nested */ */ (SELECT 1 AS a) ; -- the end": {"a": [1]},
        "SELECT ';--' AS a;;": {"a": [";--"]},
        "VALUES (1, 'x'), (2, NULL)": {"column1": [1, 2], "column2": ["x", None]},
        "WITH q AS (SELECT 1 AS a) SELECT * FROM q -- end": {"a": [1]},
        "SELECT 1 AS a, 2 AS a": None,
        "SELECT $$into; --$$ AS into_it": {"into_it": ["into; --"]},
        "SELECT E'\\'; --' AS a": {"a": ["'; --"]},
        'SELECT 1 AS "a;""b"': {'a;"b': [1]},
        "SHOW server_encoding": {"server_encoding": ["UTF8"]},
        "SELECT 1 AS a LIMIT 0": {"a": []},
        "SELECT '::1'::inet AS a, 'x' AS a ORDER BY 1": None,
    }
    for query, expected in shapes.items():
        cursor.execute(query)
        table = cursor.fetch_arrow_table()
        if expected is not None:
            assert table.to_pydict() == expected, query
        else:
            assert table.num_columns == 2 and table.num_rows == 1


def test_rows_without_columns_are_counted(cursor):
    cursor.execute("SELECT FROM generate_series(1, 100000)")
    reader = cursor.fetch_record_batch()
    assert reader.schema.names == []
    assert sum(batch.num_rows for batch in reader) == 100000


def test_the_schema_without_running_is_that_of_the_stream(postgres, connect, schema):
    connection = connect()
    queries = ["SELECT 1 AS a, '::1'::inet AS b, now() AS c, '{1.5}'::numeric(4,1)[] AS d",
               "SHOW server_version", "SELECT FROM pg_class", "EXPLAIN SELECT 1"]
    for use_copy in ("true", "false"):
        for query in queries:
            with connection.cursor() as cursor:
                cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": use_copy})
                promised = cursor.adbc_execute_schema(query)
                cursor.execute(query)
                assert cursor.fetch_record_batch().schema == promised, (query, use_copy)
