"""Bulk writes, and what the catalog says: PostgreSQL itself and pyarrow are the oracles."""
import datetime
import decimal
import time

import adbc_driver_manager
import pyarrow as pa
import pytest

from pace import in_time

D = decimal.Decimal
EVERY_TYPE = pa.table({
    "bo": pa.array([True, False, None]),
    "i8": pa.array([-128, 127, None], pa.int8()),
    "u8": pa.array([0, 255, None], pa.uint8()),
    "i16": pa.array([-32768, 32767, None], pa.int16()),
    "u16": pa.array([0, 65535, None], pa.uint16()),
    "i32": pa.array([-2**31, 2**31 - 1, None], pa.int32()),
    "u32": pa.array([0, 2**32 - 1, None], pa.uint32()),
    "i64": pa.array([-2**63, 2**63 - 1, None], pa.int64()),
    "u64": pa.array([0, 2**64 - 1, None], pa.uint64()),
    "f16": pa.array([1.5, -0.0, None], pa.float16()),
    "f32": pa.array([3.4e38, -0.0, None], pa.float32()),
    "f64": pa.array([5e-324, -1.7976931348623157e308, None], pa.float64()),
    "d32": pa.array([D("1.5"), D("-99999.99"), None], pa.decimal32(7, 2)),
    "d64": pa.array([D("1.5"), D("-9999999999.99"), None], pa.decimal64(12, 2)),
    "d128": pa.array([D("0.0000000001"), D("-" + "9" * 28 + "." + "9" * 10), None], pa.decimal128(38, 10)),
    "d256": pa.array([D("1" * 73 + ".001"), D("-0.001"), None], pa.decimal256(76, 3)),
    "neg": pa.array([D("1.2E+4"), D("-100"), None], pa.decimal128(5, -2)),
    "s": pa.array(["", "tab\t nl\n back\\ \\N ü€😀", None]),
    "ls": pa.array(["a", "b" * 100000, None], pa.large_string()),
    "sv": pa.array(["short", "longer than twelve bytes", None], pa.string_view()),
    "b": pa.array([b"", b"\x00\xff\\", None], pa.binary()),
    "bv": pa.array([b"x", b"\x00" * 20, None], pa.binary_view()),
    "fb": pa.array([b"ab", b"\x00\x01", None], pa.binary(2)),
    "date": pa.array([datetime.date(1, 1, 1), datetime.date(9999, 12, 31), None]),
    "date64": pa.array([datetime.date(1969, 12, 31), datetime.date(2024, 2, 29), None], pa.date64()),
    "t32": pa.array([0, 86399, None], pa.time32("s")),
    "t64": pa.array([1, 86399999999, None], pa.time64("us")),
    "ts_s": pa.array([-1, 10**9, None], pa.timestamp("s")),
    "ts_us": pa.array([-1, 2**53, None], pa.timestamp("us")),
    "tz": pa.array([-1, 10**15, None], pa.timestamp("us", "Europe/Berlin")),
    "du": pa.array([-1, 10**9, None], pa.duration("ms")),
    "iv": pa.array([pa.MonthDayNano([1, -2, 3000]), pa.MonthDayNano([0, 0, 0]), None]),
    "list": pa.array([[1, None], [], None], pa.list_(pa.int32())),
    "fsl": pa.array([["a", "b"], [None, ""], None], pa.list_(pa.string(), 2)),
    "lld": pa.array([[D("1.10")], [], None], pa.large_list(pa.decimal128(5, 2))),
    "dict": pa.array(["x", "y", None]).dictionary_encode(),
    "nul": pa.nulls(3),
})

# The type in PostgreSQL, and the cast that makes what is read the same as what was written.
BACK = {
    "u8": ("smallint", pa.int16()), "i8": ("smallint", pa.int16()), "u16": ("integer", pa.int32()),
    "u32": ("bigint", pa.int64()), "u64": ("numeric(20,0)", pa.decimal128(20, 0)),
    "f16": ("real", pa.float32()), "d32": ("numeric(7,2)", pa.decimal128(7, 2)),
    "d64": ("numeric(12,2)", pa.decimal128(12, 2)), "neg": ("numeric(7,0)", pa.decimal128(7, 0)),
    "ls": ("text", pa.string()), "sv": ("text", pa.string()), "bv": ("bytea", pa.binary()),
    "fb": ("bytea", pa.binary()), "date64": ("date", pa.date32()),
    "t32": ("time without time zone", pa.time64("us")),
    "ts_s": ("timestamp without time zone", pa.timestamp("us")),
    "tz": ("timestamp with time zone", pa.timestamp("us", "UTC")),
    "du": ("interval", None), "fsl": ("text[]", pa.list_(pa.string())),
    "lld": ("numeric(5,2)[]", pa.list_(pa.decimal128(5, 2))), "dict": ("text", pa.string()),
    "nul": ("text", pa.string()),
}


def read(cursor, name):
    cursor.execute(f"SELECT * FROM {name}")
    return cursor.fetch_arrow_table()


def test_every_type_that_is_written_is_read_again(postgres, connect, schema):
    connection = connect()
    with connection.cursor() as cursor:
        assert cursor.adbc_ingest("t", EVERY_TYPE, mode="create", db_schema_name=schema) == 3
        table = read(cursor, f"{schema}.t")
        fields = connection.adbc_get_table_schema("t", db_schema_filter=schema)
        assert postgres.run(f"SELECT s FROM {schema}.t OFFSET 1 LIMIT 1") == EVERY_TYPE["s"][1].as_py() + "\n"
    for name in EVERY_TYPE.column_names:
        written, got = EVERY_TYPE[name], table[name]
        if name == "du":
            assert got.to_pylist() == [pa.MonthDayNano([0, 0, -10**6]),
                                       pa.MonthDayNano([0, 0, 10**15]), None]
        else:
            source_type, kind = BACK.get(name, (None, written.type))
            assert got.type == kind, name
            assert got.to_pylist() == written.cast(kind).to_pylist(), name
            if source_type:
                assert fields.field(name).metadata[b"igloo.source_type"].decode() == source_type


def test_what_is_read_is_written_again_the_same(postgres, connect, schema):
    postgres.run(f"""SET search_path TO {schema}, public; CREATE TABLE a AS SELECT i::int2 AS a, i AS b,
        i::int8 * 10000000000 AS c, (i / 3.0)::real AS d, i / 3.0::float8 AS e,
        (i / 7.0)::numeric(12,4) AS f, 'row ' || i AS g, decode(md5(i::text), 'hex') AS h,
        date '2000-01-01' + i AS k, time '00:00' + i * interval '1 s' AS l,
        timestamp '2000-01-01' + i * interval '1.5 s' AS m, now() - i * interval '1 day' AS n,
        i % 2 = 0 AS o, gen_random_uuid() AS p, json_build_object('i', i) AS q,
        ARRAY[i, NULL, -i] AS r, i * interval '1 mon 3 s' AS s
        FROM generate_series(1, 30000) i;
        INSERT INTO a (m, k, n) VALUES ('infinity', '-infinity', 'infinity'); INSERT INTO a DEFAULT VALUES;""")
    with connect().cursor() as cursor:
        table = read(cursor, f"{schema}.a")
        assert cursor.adbc_ingest("b", table, mode="create", db_schema_name=schema) == 30002
        assert read(cursor, f"{schema}.b") == table
    same = (f"SELECT * FROM {schema}.a EXCEPT ALL SELECT * FROM {schema}.b").replace(
        "*", "a,b,c,d,e,f,g,h,k,l,m,n,o,p,q::text,r,s")
    assert postgres.run(f"SELECT count(*) FROM ({same}) x") == "0\n"
    assert postgres.run(f"SELECT a::text FROM {schema}.a a EXCEPT SELECT b::text FROM {schema}.b b") == ""


def test_the_four_modes(postgres, connect, schema):
    one, other = pa.table({"a": [1]}), pa.table({"b": ["x"]})
    count = f"SELECT count(*) FROM {schema}.t"
    with connect().cursor() as cursor:
        def ingest(table, mode):
            return cursor.adbc_ingest("t", table, mode=mode, db_schema_name=schema)

        for mode, state in (("append", "42P01"),):
            with pytest.raises(adbc_driver_manager.ProgrammingError) as caught:
                ingest(one, mode)
            assert caught.value.sqlstate == state
        assert ingest(one, "create") == 1
        with pytest.raises(adbc_driver_manager.ProgrammingError) as caught:
            ingest(one, "create")
        assert caught.value.sqlstate == "42P07"
        assert ingest(one, "append") == 1 and ingest(one, "create_append") == 1
        assert postgres.run(count) == "3\n"
        with pytest.raises(adbc_driver_manager.ProgrammingError) as caught:
            ingest(other, "append")
        assert caught.value.sqlstate == "42703"
        assert ingest(other, "replace") == 1
        assert postgres.run(f"SELECT * FROM {schema}.t") == "x\n"


def test_rows_that_need_converting_go_by_text_and_are_checked_by_the_server(postgres, connect, schema):
    postgres.run(f"CREATE TYPE {schema}.mood AS ENUM ('sad', 'ok');"
                 f"CREATE TABLE {schema}.t (a int, m {schema}.mood, j jsonb, u uuid, n numeric(4,1),"
                 " i inet, c char(3), ts timestamptz, CHECK (a < 100))")
    rows = pa.table({
        "u": ["6ba7b810-9dad-11d1-80b4-00c04fd430c8"], "a": pa.array([7], pa.int64()), "m": ["ok"],
        "j": ['{"a": 1}'], "n": [1.26], "i": ["10.0.0.1"], "c": ["x"],
        "ts": pa.array([0], pa.timestamp("us"))})
    with connect().cursor() as cursor:
        assert cursor.adbc_ingest("t", rows, mode="append", db_schema_name=schema) == 1
        assert postgres.run(f"SELECT * FROM {schema}.t") == (
            '7\tok\t{"a": 1}\t6ba7b810-9dad-11d1-80b4-00c04fd430c8\t1.3\t10.0.0.1\tx  \t'
            "1970-01-01 00:00:00+00\n")
        for bad, state in ((pa.table({"a": [2**40]}), "22003"), (pa.table({"m": ["odd"]}), "22P02"),
                           (pa.table({"a": pa.array([100], pa.int32())}), "23514"),
                           (pa.table({"a": pa.array([1], pa.int32()), "c": ["long"]}), "22001"),
                           (pa.table({"j": ["a\0b"]}), "22021")):
            with pytest.raises(adbc_driver_manager.Error) as caught:
                cursor.adbc_ingest("t", bad, mode="append", db_schema_name=schema)
            assert caught.value.sqlstate == state
        assert postgres.run(f"SELECT count(*) FROM {schema}.t") == "1\n"


def test_rows_that_fail_half_way_leave_nothing(postgres, connect, schema):
    def rows():
        yield pa.record_batch({"a": list(range(100000))})
        raise ValueError("the source broke")

    reader = pa.RecordBatchReader.from_batches(pa.schema([("a", pa.int64())]), rows())
    with connect().cursor() as cursor:
        with pytest.raises(adbc_driver_manager.Error, match="the source broke"):
            cursor.adbc_ingest("t", reader, mode="create", db_schema_name=schema)
        assert postgres.run(f"SELECT count(*) FROM pg_class WHERE relnamespace = '{schema}'::regnamespace") == "0\n"
        cursor.execute("SELECT 1")
        assert cursor.fetchall() == [(1,)]


def test_a_write_inside_a_transaction_is_part_of_it(postgres, connect, schema):
    connection = connect(autocommit=False)
    with connection.cursor() as cursor:
        cursor.adbc_ingest("t", pa.table({"a": [1]}), mode="create", db_schema_name=schema)
        connection.rollback()
        assert postgres.run(f"SELECT to_regclass('{schema}.t') IS NULL") == "t\n"
        cursor.adbc_ingest("t", pa.table({"a": [1]}), mode="create", db_schema_name=schema)
        connection.commit()
    assert postgres.run(f"SELECT * FROM {schema}.t") == "1\n"


def test_a_temporary_table_is_the_sessions_own(postgres, connect, schema):
    postgres.run(f"CREATE TABLE {schema}.t AS SELECT 'permanent' AS a")
    connection = connect(**{"adbc.connection.db_schema": schema})
    assert connection.adbc_current_db_schema == schema
    with connection.cursor() as cursor:
        for mode in ("create", "replace", "append"):
            cursor.adbc_ingest("t", pa.table({"a": [1]}), mode=mode, temporary=True)
        assert read(cursor, "pg_temp.t").num_rows == 2
    assert postgres.run(f"SELECT a FROM {schema}.t") == "permanent\n"


def test_types_without_a_place_in_postgresql_are_refused_by_name(connect, schema):
    for kind, value in ((pa.struct([("x", pa.int32())]), {"x": 1}), (pa.map_(pa.string(), pa.int32()), []),
                        (pa.list_(pa.list_(pa.int32())), [[1]])):
        with connect().cursor() as cursor, pytest.raises(adbc_driver_manager.NotSupportedError,
                                                         match='column "odd"'):
            cursor.adbc_ingest("t", pa.table({"odd": pa.array([value], kind)}), mode="create",
                               db_schema_name=schema)


def test_hostile_names_stay_names(postgres, connect, schema):
    names = ['a"b', "a'; DROP TABLE x; --", "ü€😀", "a\\b", "%_", " ", "SELECT", "$1", "a\nb"]
    connection = connect()
    with connection.cursor() as cursor:
        for name in names:
            table = pa.table({name: ["x"]})
            assert cursor.adbc_ingest(name, table, mode="create", db_schema_name=schema) == 1
            assert connection.adbc_get_table_schema(name, db_schema_filter=schema).names == [name]
        listed = connection.adbc_get_objects(
            depth="columns", db_schema_filter=schema).read_all().to_pylist()
    tables = listed[0]["catalog_db_schemas"][0]["db_schema_tables"]
    assert sorted(one["table_name"] for one in tables) == sorted(names)
    assert all(one["table_columns"][0]["column_name"] == one["table_name"] for one in tables)
    assert postgres.run(f"SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = '{schema}'::regnamespace") == f"{len(names)}\n"


def test_objects_tell_columns_and_constraints(postgres, connect, schema):
    postgres.run(f"""SET search_path TO {schema};
        CREATE TABLE p (a int, b text, PRIMARY KEY (b, a));
        CREATE TABLE c (x int GENERATED ALWAYS AS IDENTITY UNIQUE, y numeric(7,3) DEFAULT 1.5 NOT NULL,
          z text, w int GENERATED ALWAYS AS (x + 1) STORED, CONSTRAINT pos CHECK (y > 0),
          CONSTRAINT ref FOREIGN KEY (z, x) REFERENCES p (b, a));
        COMMENT ON COLUMN c.y IS 'a number';
        CREATE VIEW v AS SELECT x FROM c; CREATE MATERIALIZED VIEW m AS SELECT 1 AS one;
        CREATE TABLE parted (k int) PARTITION BY RANGE (k);
        ALTER TABLE c DROP COLUMN w; ALTER TABLE c ADD w date""")
    connection = connect()

    def tables(**filters):
        found = connection.adbc_get_objects(db_schema_filter=schema, **filters).read_all().to_pylist()
        return {one["table_name"]: one for part in found for one_schema in part["catalog_db_schemas"]
                for one in one_schema["db_schema_tables"]}

    found = tables()
    assert {name: one["table_type"] for name, one in found.items()} == {
        "p": "table", "c": "table", "v": "view", "m": "materialized_view", "parted": "partitioned_table"}
    columns = {one["column_name"]: one for one in found["c"]["table_columns"]}
    assert [(one["column_name"], one["ordinal_position"]) for one in found["c"]["table_columns"]] == [
        ("x", 1), ("y", 2), ("z", 3), ("w", 4)]
    assert columns["y"]["remarks"] == "a number" and columns["y"]["xdbc_type_name"] == "numeric(7,3)"
    assert (columns["y"]["xdbc_column_size"], columns["y"]["xdbc_decimal_digits"]) == (7, 3)
    assert columns["y"]["xdbc_column_def"] == "1.5" and columns["y"]["xdbc_is_nullable"] == "NO"
    assert columns["x"]["xdbc_is_autoincrement"] and not columns["y"]["xdbc_is_autoincrement"]
    constraints = {one["constraint_type"]: one for one in found["c"]["table_constraints"]}
    assert constraints["CHECK"]["constraint_name"] == "pos"
    assert constraints["CHECK"]["constraint_column_names"] == ["y"]
    assert constraints["UNIQUE"]["constraint_column_names"] == ["x"]
    assert constraints["FOREIGN KEY"]["constraint_column_names"] == ["z", "x"]
    assert [(one["fk_db_schema"], one["fk_table"], one["fk_column_name"])
            for one in constraints["FOREIGN KEY"]["constraint_column_usage"]] == [
        (schema, "p", "b"), (schema, "p", "a")]
    assert found["p"]["table_constraints"][0]["constraint_column_names"] == ["b", "a"]
    assert set(tables(table_name_filter="%ar%")) == {"parted"}
    assert set(tables(table_types_filter=["view"])) == {"v"}
    assert tables(depth="tables")["c"]["table_columns"] is None


def test_table_schemas_tell_what_a_dialect_must_know(postgres, connect, schema):
    postgres.run(f"""SET search_path TO {schema};
        CREATE COLLATION folding (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE COLLATION german (provider = icu, locale = 'de');
        CREATE TABLE t (a int NOT NULL, n numeric(9,2), s text, c text COLLATE "C", f text COLLATE folding,
          g varchar(3) COLLATE german, i inet);
        CREATE INDEX ON t (n, c); CREATE INDEX ON t (s) WHERE a > 5;
        INSERT INTO t SELECT i FROM generate_series(1, 5000) i; ANALYZE t;
        CREATE VIEW v AS SELECT * FROM t; CREATE TABLE parted (k int) PARTITION BY RANGE (k)""")
    connection = connect()
    found = connection.adbc_get_table_schema("t", db_schema_filter=schema)
    said = {one.name: {key.decode(): value.decode() for key, value in (one.metadata or {}).items()}
            for one in found}
    assert {name: one.pop("igloo.indexed") for name, one in said.items()} == {
        name: "true" if name == "n" else "false" for name in said}
    assert said == {
        "a": {"igloo.source_type": "integer"}, "n": {"igloo.source_type": "numeric(9,2)"},
        "s": {"igloo.source_type": "text", "igloo.collation": "C"},
        "c": {"igloo.source_type": "text", "igloo.collation": "C"},
        "f": {"igloo.source_type": "text", "igloo.collation": "nondeterministic"},
        "g": {"igloo.source_type": "character varying(3)", "igloo.collation": "deterministic"},
        "i": {"igloo.source_type": "inet", "igloo.cast": "pg_catalog.text"}}
    assert not found.field("a").nullable and found.field("n").nullable
    pages = postgres.run(f"SELECT relpages FROM pg_class WHERE oid = '{schema}.t'::regclass").strip()
    version = postgres.run("SHOW server_version_num").strip()
    assert found.metadata == {b"igloo.kind": b"base", b"igloo.rows": b"5000",
                              b"igloo.pages": pages.encode(), b"igloo.server_version": version.encode()}
    kinds = {name: connection.adbc_get_table_schema(name, db_schema_filter=schema).metadata[b"igloo.kind"]
             for name in ("v", "parted")}
    assert kinds == {"v": b"view", "parted": b"partitioned"}
    with pytest.raises(adbc_driver_manager.ProgrammingError) as caught:
        connection.adbc_get_table_schema("nothing", db_schema_filter=schema)
    assert caught.value.sqlstate == "42P01"


def test_the_order_of_text_is_told_only_where_it_is_known(postgres, connect):
    postgres.run("CREATE DATABASE german LOCALE_PROVIDER icu ICU_LOCALE 'de-DE' LOCALE 'C' "
                 "TEMPLATE template0; "
                 "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
    for name, expected in (("german", b"deterministic"), ("latin", None)):
        postgres.run('CREATE TABLE t (a text, c text COLLATE "C")', name)
        connection = connect(postgres.uri.replace("/postgres", f"/{name}"))
        a, c = connection.adbc_get_table_schema("t")
        assert a.metadata.get(b"igloo.collation") == expected
        assert c.metadata.get(b"igloo.collation") == (expected and b"C")
        connection.close()
        postgres.run(f"DROP DATABASE {name}")


def test_statistics_are_those_of_the_catalog(postgres, connect, schema):
    postgres.run(f"CREATE TABLE {schema}.t AS SELECT i % 10 AS a, CASE WHEN i % 4 = 0 THEN 'x' END AS b "
                 f"FROM generate_series(1, 1000) i; ANALYZE {schema}.t")
    found = connect().adbc_get_statistics(db_schema_filter=schema, approximate=True).read_all().to_pylist()
    said = {(one["column_name"], one["statistic_key"]): one["statistic_value"]
            for one in found[0]["catalog_db_schemas"][0]["db_schema_statistics"]}
    assert said[None, 6] == 1000 and said["a", 1] == 10 and said["a", 5] == 0
    assert said["b", 5] == 750 and said["a", 0] == 4


def test_ten_thousand_tables_list_in_time(postgres, connect):
    postgres.run("CREATE DATABASE large")
    postgres.run("SELECT format('CREATE TABLE t%s (a int)', i) FROM generate_series(1, 10000) i \\gexec",
                 "large")
    connection = connect(postgres.uri.replace("/postgres", "/large"))

    def listed():
        started = time.monotonic()
        found = connection.adbc_get_objects(
            depth="tables", db_schema_filter="public").read_all().to_pylist()
        took = time.monotonic() - started
        assert len(found[0]["catalog_db_schemas"][0]["db_schema_tables"]) == 10000
        return took

    in_time(2, listed)
    connection.close()
    postgres.run("DROP DATABASE large")
