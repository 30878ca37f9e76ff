"""What the driver tells of tables: metadata, keys, figures, listings."""
import sqlite3
import time

import adbc_driver_manager
import pytest

from pace import in_time
from sqlite_files import file  # noqa: F401


def schema_of(file, name, **options):
    return file.connect(**options).adbc_get_table_schema(name)


def told(schema):
    return {key.decode(): value.decode() for key, value in schema.metadata.items()}


def test_a_table_with_a_key_of_its_own_tells_its_ends(file):
    file.run("CREATE TABLE t (k INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (-5, 'x'), (17, 'y')")
    schema = schema_of(file, "t")
    found = told(schema)
    assert (found["igloo.kind"], found["igloo.key"]) == ("base", "k")
    assert (found["igloo.key_min"], found["igloo.key_max"]) == ("-5", "17")
    assert found["igloo.rows"] == "23"  # at most, without gaps
    assert not schema.field("k").nullable and schema.field("a").nullable


def test_a_table_without_a_key_is_split_by_its_rowid(file):
    file.run("CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('x'), ('y')")
    found = told(schema_of(file, "t"))
    assert (found["igloo.key"], found["igloo.key_min"], found["igloo.key_max"]) == ("rowid", "1", "2")


def test_a_column_that_takes_the_rowids_name_leaves_another(file):
    file.run("CREATE TABLE t (rowid TEXT, _rowid_ TEXT); INSERT INTO t VALUES ('x', 'y')")
    assert told(schema_of(file, "t"))["igloo.key"] == "oid"
    file.run("CREATE TABLE u (rowid TEXT, _ROWID_ TEXT, Oid TEXT); INSERT INTO u VALUES (1, 2, 3)")
    assert "igloo.key" not in told(schema_of(file, "u"))


@pytest.mark.parametrize("create", [
    "CREATE TABLE t (a BIGINT PRIMARY KEY, b TEXT) WITHOUT ROWID",
    "CREATE VIEW t AS SELECT 1 AS a",
    "CREATE VIRTUAL TABLE t USING fts5(a)",
])
def test_what_has_no_rowid_is_not_split(file, create):
    file.run(create)
    assert "igloo.key" not in told(schema_of(file, "t"))


def test_kinds_are_told(file):
    file.run("CREATE TABLE t (a); CREATE VIEW v AS SELECT a FROM t; CREATE VIRTUAL TABLE f USING fts5(a)")
    assert [told(schema_of(file, name))["igloo.kind"] for name in "tvf"] == ["base", "view", "foreign"]


def test_keys_that_only_look_like_the_rowid_are_not(file):
    """INT is not INTEGER, and DESC makes an index of its own."""
    file.run("CREATE TABLE t (a INT PRIMARY KEY); CREATE TABLE u (a INTEGER PRIMARY KEY DESC);"
             "CREATE TABLE v (a INTEGER, b INTEGER, PRIMARY KEY (a, b));"
             "INSERT INTO t VALUES (NULL); INSERT INTO u VALUES (NULL); INSERT INTO v VALUES (NULL, 1)")
    for name in "tuv":
        schema = schema_of(file, name)
        assert told(schema)["igloo.key"] == "rowid"
        assert schema.field("a").nullable
        assert file.read(f"SELECT a FROM {name}").column("a").to_pylist() == [None]


def test_an_empty_table_has_no_rows_and_no_ends(file):
    file.run("CREATE TABLE t (a)")
    found = told(schema_of(file, "t"))
    assert found["igloo.rows"] == "0" and "igloo.key" not in found


def test_the_ends_of_the_widest_key_are_whole(file):
    file.run(f"CREATE TABLE t (k INTEGER PRIMARY KEY); INSERT INTO t VALUES ({-2**63}), ({2**63 - 1})")
    found = told(schema_of(file, "t"))
    assert (found["igloo.key_min"], found["igloo.key_max"]) == (str(-2**63), str(2**63 - 1))


def test_rows_are_those_that_analyze_counted(file):
    file.run("CREATE TABLE t (k INTEGER PRIMARY KEY, a BIGINT); CREATE INDEX i ON t (a);"
             "INSERT INTO t VALUES (1, 1), (1000000, 2), (2000000, 3); ANALYZE")
    assert told(schema_of(file, "t"))["igloo.rows"] == "3"


def test_a_table_has_at_most_its_file_and_a_page_for_each_row(file):
    file.run("CREATE TABLE few (k INTEGER PRIMARY KEY); INSERT INTO few VALUES (1), (2);"
             "CREATE TABLE many (k INTEGER PRIMARY KEY, t TEXT);"
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
             " INSERT INTO many SELECT i, 'text ' || i FROM n; CREATE VIEW v AS SELECT * FROM few")
    with sqlite3.connect(file.path) as database:
        [[pages]], [[size]] = database.execute("PRAGMA page_count"), database.execute("PRAGMA page_size")
    assert told(schema_of(file, "few"))["igloo.bytes"] == str(2 * size)
    assert told(schema_of(file, "many"))["igloo.bytes"] == str(pages * size)
    assert "igloo.bytes" not in told(schema_of(file, "v"))


def test_statistics_count_rows_exactly_where_that_is_asked_for(file):
    file.run("CREATE TABLE t (k INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (100)")
    connection = file.connect()

    def rows(approximate):
        reader = connection.adbc_get_statistics(table_name_filter="t", approximate=approximate)
        (catalog,) = reader.read_all().to_pylist()
        main = catalog["catalog_db_schemas"][0]
        assert main["db_schema_name"] == "main"
        (one,) = main["db_schema_statistics"]
        assert (one["table_name"], one["column_name"], one["statistic_key"]) == ("t", None, 6)
        return one["statistic_value"], one["statistic_is_approximate"]

    assert rows(False) == (2, False)
    assert rows(True) == (100, True)


def test_collations_and_indexes_are_told(file):
    file.run("CREATE TABLE t (a TEXT, b TEXT COLLATE NOCASE, c TEXT COLLATE RTRIM UNIQUE, d BIGINT);"
             "CREATE INDEX one ON t (b, a); CREATE INDEX two ON t (d) WHERE d > 0")
    schema = schema_of(file, "t")
    fields = {field.name: {k.decode(): v.decode() for k, v in field.metadata.items()} for field in schema}
    assert [fields[name].get("igloo.collation") for name in "abcd"] == ["BINARY", "NOCASE", "RTRIM", None]
    assert [fields[name]["igloo.indexed"] for name in "abcd"] == ["false", "true", "true", "false"]


def test_options_that_change_values_are_told(file):
    file.run("CREATE TABLE t (a BIGINT)")
    found = told(schema_of(file, "t", misfit="null", datetime="unix"))
    assert (found["igloo.misfit"], found["igloo.datetime"]) == ("null", "unix")


def test_a_table_may_be_named_in_any_case_and_with_its_schema(file):
    file.run('CREATE TABLE "Mixed" (a BIGINT)')
    connection = file.connect()
    assert connection.adbc_get_table_schema("mIXED", db_schema_filter="MAIN").names == ["a"]
    for schema in ("other", "temp"):
        with pytest.raises(adbc_driver_manager.ProgrammingError) as error:
            connection.adbc_get_table_schema("Mixed", db_schema_filter=schema)
        assert error.value.sqlstate == "42P01"


def test_names_of_every_kind_are_found(file):
    names = ["with space", 'with "quotes"', "with'apostrophe", "üñï", "select", "a;b--c", "%", "_"]
    for name in names:
        file.run('CREATE TABLE "{0}" ("{0}" BIGINT)'.format(name.replace('"', '""')))
    connection = file.connect()
    for name in names:
        assert connection.adbc_get_table_schema(name).names == [name]
    (catalog,) = connection.adbc_get_objects(depth="tables").read_all().to_pylist()
    main = catalog["catalog_db_schemas"][0]["db_schema_tables"]
    assert sorted(table["table_name"] for table in main) == sorted(names)


def objects(connection, **filters):
    (catalog,) = connection.adbc_get_objects(depth="all", **filters).read_all().to_pylist()
    assert catalog["catalog_name"] is None
    main = next(one for one in catalog["catalog_db_schemas"] if one["db_schema_name"] == "main")
    return {table["table_name"]: table for table in main["db_schema_tables"]}


def test_constraints_are_listed_in_their_order(file):
    file.run("CREATE TABLE p (a BIGINT, b BIGINT, c TEXT UNIQUE, PRIMARY KEY (b, a));"
             "CREATE TABLE q (x BIGINT, y BIGINT, z TEXT REFERENCES p (c),"
             " FOREIGN KEY (x, y) REFERENCES p)")
    tables = objects(file.connect())
    found = {(one["constraint_type"], tuple(one["constraint_column_names"]))
             for one in tables["p"]["table_constraints"]}
    assert found == {("PRIMARY KEY", ("b", "a")), ("UNIQUE", ("c",))}
    usage = {tuple(one["constraint_column_names"]):
             [(use["fk_db_schema"], use["fk_table"], use["fk_column_name"])
              for use in one["constraint_column_usage"]]
             for one in tables["q"]["table_constraints"]}
    assert usage == {("x", "y"): [("main", "p", "b"), ("main", "p", "a")],
                     ("z",): [("main", "p", "c")]}


def test_columns_are_listed_as_sqlite_lists_them(file):
    file.run("CREATE TABLE t (a BIGINT NOT NULL, b DECIMAL(9,2) DEFAULT 1.5, c TEXT AS ('x'), d)")
    columns = objects(file.connect())["t"]["table_columns"]
    listed = file.rows('SELECT name, type, "notnull", dflt_value FROM pragma_table_xinfo(\'t\')')
    assert [(one["column_name"], one["xdbc_type_name"], one["xdbc_is_nullable"] == "NO",
             one["xdbc_column_def"]) for one in columns] == [
                 (name, type, bool(notnull), default) for name, type, notnull, default in listed]
    assert [one["ordinal_position"] for one in columns] == [1, 2, 3, 4]
    assert (columns[1]["xdbc_column_size"], columns[1]["xdbc_decimal_digits"]) == (9, 2)
    assert [one["xdbc_is_generatedcolumn"] for one in columns] == [False, False, True, False]


def test_ten_thousand_tables_are_listed_in_two_seconds(file):
    """Views, put in by hand: to make them one by one takes SQLite ten seconds."""
    file.run("CREATE TABLE t (a BIGINT, b TEXT); PRAGMA writable_schema = 1")
    file.run("INSERT INTO sqlite_schema VALUES ('view', ?, ?, 0, ?)",
             *[(f"v{i}", f"v{i}", f"CREATE VIEW v{i} AS SELECT * FROM t") for i in range(9999)])
    connection = file.connect()

    def listed():
        started = time.monotonic()
        (catalog,) = connection.adbc_get_objects(depth="tables").read_all().to_pylist()
        assert len(catalog["catalog_db_schemas"][0]["db_schema_tables"]) == 10000
        return time.monotonic() - started

    in_time(2, listed)
    assert list(objects(connection, table_name_filter="v99")) == ["v99"]


@pytest.mark.parametrize("encoding, collation", [("UTF-8", b"BINARY"), ("UTF-16le", None)])
def test_texts_of_utf_16_have_no_collation_of_bytes(file, encoding, collation):
    file.run(f"PRAGMA encoding = '{encoding}'; CREATE TABLE t (a TEXT);"
             "INSERT INTO t VALUES ('ä\U0001f600')")
    assert schema_of(file, "t").field("a").metadata.get(b"igloo.collation") == collation
    assert file.read("SELECT a FROM t").column("a").to_pylist() == ["ä\U0001f600"]
