"""What the metadata commands tell: schemas to the bit, filters, order, truth."""

import pyarrow as pa
import pyarrow.flight as flight
import pytest

import flightsql as sql

TEXT, MAY = pa.utf8(), True


def field(name, kind, nullable=False):
    return pa.field(name, kind, nullable)


SQL_INFO = pa.dense_union([
    field("string_value", TEXT), field("bool_value", pa.bool_()),
    field("bigint_value", pa.int64()), field("int32_bitmask", pa.int32()),
    field("string_list", pa.list_(TEXT)),
    field("int32_to_int32_list_map", pa.map_(pa.int32(), pa.list_(pa.int32())))])
REFERENCES = pa.schema([
    field("pk_catalog_name", TEXT, MAY), field("pk_db_schema_name", TEXT, MAY),
    field("pk_table_name", TEXT), field("pk_column_name", TEXT),
    field("fk_catalog_name", TEXT, MAY), field("fk_db_schema_name", TEXT, MAY),
    field("fk_table_name", TEXT), field("fk_column_name", TEXT),
    field("key_sequence", pa.int32()), field("fk_key_name", TEXT, MAY),
    field("pk_key_name", TEXT, MAY), field("update_rule", pa.uint8()),
    field("delete_rule", pa.uint8())])
TABLES = [field("catalog_name", TEXT, MAY), field("db_schema_name", TEXT, MAY),
          field("table_name", TEXT), field("table_type", TEXT)]
SCHEMAS = {
    "CommandGetCatalogs": ({}, pa.schema([field("catalog_name", TEXT)])),
    "CommandGetDbSchemas": ({}, pa.schema([field("catalog_name", TEXT, MAY),
                                           field("db_schema_name", TEXT)])),
    "CommandGetTables": ({}, pa.schema(TABLES)),
    "CommandGetTables with schemas": ({"include_schema": True}, pa.schema(
        [*TABLES, field("table_schema", pa.binary())])),
    "CommandGetTableTypes": ({}, pa.schema([field("table_type", TEXT)])),
    "CommandGetPrimaryKeys": ({"table": "t"}, pa.schema([
        field("catalog_name", TEXT, MAY), field("db_schema_name", TEXT, MAY),
        field("table_name", TEXT), field("column_name", TEXT),
        field("key_sequence", pa.int32()), field("key_name", TEXT, MAY)])),
    "CommandGetExportedKeys": ({"table": "t"}, REFERENCES),
    "CommandGetImportedKeys": ({"table": "t"}, REFERENCES),
    "CommandGetCrossReference": ({"pk_table": "a", "fk_table": "b"}, REFERENCES),
    "CommandGetSqlInfo": ({}, pa.schema([field("info_name", pa.uint32()),
                                         field("value", SQL_INFO)])),
    "CommandGetXdbcTypeInfo": ({}, pa.schema([
        field("type_name", TEXT), field("data_type", pa.int32()),
        field("column_size", pa.int32(), MAY), field("literal_prefix", TEXT, MAY),
        field("literal_suffix", TEXT, MAY),
        field("create_params", pa.list_(field("item", TEXT)), MAY),
        field("nullable", pa.int32()), field("case_sensitive", pa.bool_()),
        field("searchable", pa.int32()), field("unsigned_attribute", pa.bool_(), MAY),
        field("fixed_prec_scale", pa.bool_()), field("auto_increment", pa.bool_(), MAY),
        field("local_type_name", TEXT, MAY), field("minimum_scale", pa.int32(), MAY),
        field("maximum_scale", pa.int32(), MAY), field("sql_data_type", pa.int32()),
        field("datetime_subcode", pa.int32(), MAY), field("num_prec_radix", pa.int32(), MAY),
        field("interval_precision", pa.int32(), MAY)])),
}


@pytest.mark.parametrize("command", SCHEMAS)
def test_schemas_are_those_of_the_specification(client, command):
    fields, expected = SCHEMAS[command]
    descriptor = sql.descriptor(command.split()[0], **fields)
    info = client.get_flight_info(descriptor)
    table = sql.read(client, info)
    for schema in (client.get_schema(descriptor).schema, info.schema, table.schema):
        assert schema.equals(expected, check_metadata=True)
        assert schema.metadata is None and all(f.metadata is None for f in schema)
        for made, wanted in zip(schema, expected):
            assert made.nullable == wanted.nullable, made.name
    table.validate(full=True)


@pytest.fixture(scope="module")
def world(start_world):
    client = start_world.client()
    for statement in [
            "CREATE SCHEMA sales", "CREATE SCHEMA \"sa_es\"", "CREATE SCHEMA \"50%\"",
            "CREATE TABLE sales.orders (id BIGINT NOT NULL, note TEXT, price DECIMAL(10, 2))",
            "CREATE TABLE sales.orders_old (id BIGINT)", "CREATE TABLE sales.\"Orders\" (a INT)",
            "CREATE VIEW sales.recent AS SELECT id, upper(note) AS loud FROM sales.orders",
            "CREATE TABLE public.other (a BIGINT)",
            "CREATE TABLE public.gone AS SELECT 1 AS a",
            "CREATE VIEW public.broken AS SELECT a FROM public.gone", "DROP TABLE public.gone"]:
        sql.update(client, statement)
    return client


@pytest.fixture(scope="module")
def start_world(tmp_path_factory):
    from conftest import Server
    server = Server(tmp_path_factory.mktemp("world"), settings=["auth.mode=none"])
    yield server
    server.end()


def names(table):
    return [tuple(row.values()) for row in table.to_pylist()]


def tables(client, **fields):
    return [f"{row['db_schema_name']}.{row['table_name']}"
            for row in sql.metadata(client, "CommandGetTables", **fields).to_pylist()]


def test_catalogs_schemas_and_types_are_sorted(world):
    assert names(sql.metadata(world, "CommandGetCatalogs")) == [("igloo",)]
    schemas = names(sql.metadata(world, "CommandGetDbSchemas"))
    assert schemas == sorted(schemas)
    assert {name for _, name in schemas} == {
        "50%", "information_schema", "public", "sa_es", "sales", "system"}
    assert names(sql.metadata(world, "CommandGetTableTypes")) == [
        ("SYSTEM TABLE",), ("TABLE",), ("VIEW",)]
    found = names(sql.metadata(world, "CommandGetTables"))
    assert found == sorted(found) and len(found) > 10


def test_a_catalog_filter_is_exact_and_an_empty_one_means_without_catalog(world):
    for command in ("CommandGetDbSchemas", "CommandGetTables"):
        assert sql.metadata(world, command, catalog="igloo").num_rows > 5
        for catalog in ("", "iglo%", "IGLOO", "nowhere"):
            empty = sql.metadata(world, command, catalog=catalog)
            assert empty.num_rows == 0 and len(empty.schema) >= 2


@pytest.mark.parametrize("pattern, expected", [
    ("sales", ["sales"]), ("sa%", ["sa_es", "sales"]), ("sa_es", ["sa_es", "sales"]),
    ("sa\\_es", ["sa_es"]), ("50\\%", ["50%"]), ("50%", ["50%"]), ("%s", ["sa_es", "sales"]),
    ("", []), ("SALES", []), ("_ales", ["sales"]), ("%a%e%", ["information_schema", "sa_es",
                                                              "sales"]), ("s", [])])
def test_schema_patterns_know_percent_underscore_and_escape(world, pattern, expected):
    found = sql.metadata(world, "CommandGetDbSchemas", db_schema_filter_pattern=pattern)
    assert found["db_schema_name"].to_pylist() == expected


def test_table_filters_combine(world):
    sales = ["sales.Orders", "sales.orders", "sales.orders_old", "sales.recent"]
    assert tables(world, db_schema_filter_pattern="sales") == sales
    assert tables(world, table_name_filter_pattern="orders%") == [
        "sales.orders", "sales.orders_old"]
    assert tables(world, db_schema_filter_pattern="s%", table_name_filter_pattern="orders\\_%"
                  ) == ["sales.orders_old"]
    assert tables(world, table_name_filter_pattern="") == []
    for types in (["TABLE"], ["table"], ["BASE TABLE", "table"], ["Base Table"]):
        assert tables(world, db_schema_filter_pattern="sales", table_types=types) == sales[:3]
    assert tables(world, db_schema_filter_pattern="sales", table_types=["view"]) == sales[3:]
    assert tables(world, db_schema_filter_pattern="sales", table_types=["VIEW", "TABLE"]) == sales
    assert tables(world, db_schema_filter_pattern="sales", table_types=["no such"]) == []
    assert "system.settings" in tables(world, table_types=["SYSTEM TABLE"])


def test_the_schema_of_a_table_is_that_of_its_rows(world):
    found = sql.metadata(world, "CommandGetTables", include_schema=True,
                         db_schema_filter_pattern="sales")
    assert found.num_rows == 4
    for row in found.to_pylist():
        told = pa.ipc.read_schema(pa.py_buffer(row["table_schema"]))
        name = f'{row["db_schema_name"]}."{row["table_name"]}"'
        read = sql.query(world, f"SELECT * FROM {name} LIMIT 0").schema
        assert told.equals(read), name
    system = sql.metadata(world, "CommandGetTables", include_schema=True,
                          table_types=["SYSTEM TABLE"]).to_pylist()
    assert all(len(pa.ipc.read_schema(pa.py_buffer(row["table_schema"]))) for row in system)


COLUMNS = ("SELECT CAST(1 AS SMALLINT) AS s, CAST(1.5 AS DECIMAL(20, 2)) AS n, 'x' AS t, "
           "DATE '2024-02-29' AS d, [1, 2] AS l")
ALWAYS = {"IS_AUTO_INCREMENT": "0", "IS_READ_ONLY": "1", "IS_SEARCHABLE": "1"}
DESCRIBED = {
    "s": {"TYPE_NAME": "smallint", "PRECISION": "5", "SCALE": "0", "IS_CASE_SENSITIVE": "0"},
    "n": {"TYPE_NAME": "numeric", "PRECISION": "20", "SCALE": "2", "IS_CASE_SENSITIVE": "0"},
    "t": {"TYPE_NAME": "text", "IS_CASE_SENSITIVE": "1"},
    "d": {"TYPE_NAME": "date", "IS_CASE_SENSITIVE": "0"},
    "l": {"TYPE_NAME": "bigint[]", "IS_CASE_SENSITIVE": "0"}}


def described(schema):
    """What is said of each column under the keys of the specification."""
    prefix = b"ARROW:FLIGHT:SQL:"
    return {field.name: {key.removeprefix(prefix).decode(): value.decode()
                         for key, value in (field.metadata or {}).items()
                         if key.startswith(prefix)} for field in schema}


def test_columns_of_statements_say_what_they_are_wherever_their_schema_is_told(world):
    expected = {name: {**ALWAYS, **said} for name, said in DESCRIBED.items()}
    info = world.get_flight_info(sql.statement(COLUMNS))
    assert described(info.schema) == expected
    assert described(world.get_schema(sql.statement(COLUMNS)).schema) == expected
    reader = world.do_get(info.endpoints[0].ticket)
    assert reader.schema.equals(info.schema, check_metadata=True)
    prepared = sql.prepare(world, COLUMNS)
    dataset = pa.ipc.read_schema(pa.py_buffer(prepared.dataset_schema))
    assert dataset.equals(info.schema, check_metadata=True)
    ran = sql.execute_prepared(world, prepared.prepared_statement_handle)
    assert ran.schema.equals(info.schema, check_metadata=True)


def test_columns_of_tables_say_whose_they_are(world):
    expected = {"orders": "0", "recent": "1"}  # a view is only read
    for row in sql.metadata(world, "CommandGetTables", include_schema=True,
                            db_schema_filter_pattern="sales").to_pylist():
        told = described(pa.ipc.read_schema(pa.py_buffer(row["table_schema"])))
        assert told
        for said in told.values():
            assert (said["CATALOG_NAME"], said["TABLE_NAME"]) == ("igloo", row["table_name"])
            assert said["SCHEMA_NAME"] == said["DB_SCHEMA_NAME"] == "sales"
            assert said["IS_READ_ONLY"] == expected.get(row["table_name"], "0")


def test_what_was_said_of_columns_does_not_go_into_tables(world, name):
    table = sql.query(world, COLUMNS)
    sql.ingest(world, f"{name}_a", "create", table)
    sql.ingest(world, f"{name}_b", "create", table.select(["n"]).rename_columns(["t"]))
    found = sql.query(world, f"SELECT t FROM {name}_b").schema
    assert described(found) == {"t": {**ALWAYS, **DESCRIBED["n"]}}
    # What others say of columns stays.
    own = pa.schema([pa.field("a", pa.int64(), metadata={"unit": "m"})])
    sql.ingest(world, f"{name}_c", "create", pa.table({"a": [1]}, schema=own))
    told = sql.query(world, f"SELECT a FROM {name}_c").schema.field("a").metadata
    assert told[b"ARROW:FLIGHT:SQL:TYPE_NAME"] == b"bigint"


def test_a_result_that_is_very_wide_is_not_described(world):
    for count, says in ((2048, True), (2049, False)):
        text = "SELECT " + ", ".join(f"{i} AS c{i}" for i in range(count))
        info = world.get_flight_info(sql.statement(text))
        assert all(bool(said) == says for said in described(info.schema).values())
        assert len(info.serialize()) < 2 * 1024 * 1024


def test_an_object_that_cannot_be_resolved_has_an_empty_schema(world):
    (row,) = sql.metadata(world, "CommandGetTables", include_schema=True,
                          table_name_filter_pattern="broken").to_pylist()
    assert len(pa.ipc.read_schema(pa.py_buffer(row["table_schema"]))) == 0


def test_keys_are_empty_and_never_unimplemented(world):
    for command in ("CommandGetPrimaryKeys", "CommandGetExportedKeys", "CommandGetImportedKeys"):
        assert sql.metadata(world, command, table="orders", db_schema="sales").num_rows == 0
    assert sql.metadata(world, "CommandGetCrossReference", pk_table="orders",
                        fk_table="other").num_rows == 0


# ---- SqlInfo -----------------------------------------------------------------------------

STRING, BOOL, BIGINT, INT32, LIST, MAP = range(6)
KINDS = {
    STRING: [0, 1, 2, 6, 7, 504, 513, 514, 529, 530, 531],
    BOOL: [3, 4, 5, 9, 10, 11, 500, 501, 502, 506, 515, 516, 518, 519, 520, 521, 523, 524, 527,
           532, 536, 537, 539, 556, 563, 565, 566, 572, 573, 574, 575, 576],
    INT32: [8, 100, 101, 522, 525, 526, 528, 533, 534, 535, 538, 540, 564, 567, 568, 569, 570,
            571],
    BIGINT: [503, 505, 507, 562, *range(541, 556), *range(557, 562)],
    LIST: [508, 509, 510, 511, 512], MAP: [517]}


def sql_info(client, *ids):
    table = sql.metadata(client, "CommandGetSqlInfo", info=ids)
    if table.num_rows == 0:
        return {}
    values = table["value"].combine_chunks()
    return {name: (values.type_codes[i].as_py(), values[i].as_py())
            for i, name in enumerate(table["info_name"].to_pylist())}


def test_each_sql_info_is_in_the_right_member_of_the_union(client):
    found = sql_info(client)
    expected = {id: kind for kind, ids in KINDS.items() for id in ids}
    assert {id: kind for id, (kind, _) in found.items()}.items() <= expected.items()
    assert set(expected) - set(found) == {6, 7}  # versions of Substrait, which there is none
    table = sql.metadata(client, "CommandGetSqlInfo")
    assert len(set(table["info_name"].to_pylist())) == table.num_rows


def test_asked_for_sql_info_comes_and_unknown_ids_are_left_out(client):
    always = [0, 1, 2, 3, 4, 8, 9, 10, 503, 504, 505, 507, 513, 531, 562]
    assert sorted(sql_info(client, *always)) == always
    assert sorted(sql_info(client, 0, 99999, 8)) == [0, 8]
    assert sql_info(client, 99999) == {}


def test_sql_info_tells_the_truth(client, name):
    found = {id: value for id, (_, value) in sql_info(client).items()}
    assert (found[8], found[563], found[573], found[5]) == (0, False, False, False)
    rows = lambda text: [row[0] for row in sql.rows(client, text)]  # noqa: E731
    # 503, 505: names fold to lower case, quoted ones stay.
    assert sql.query(client, 'SELECT 1 AS Aa, 2 AS "Bb"').schema.names == ["aa", "Bb"]
    assert (found[503], found[504]) == (3, '"')
    # 507: NULL sorts as the highest value.
    assert rows("SELECT v FROM (VALUES (1), (NULL)) AS t(v) ORDER BY v") == [1, None]
    assert rows("SELECT v FROM (VALUES (1), (NULL)) AS t(v) ORDER BY v DESC") == [None, 1]
    assert found[507] == 0
    # Booleans that a statement shows.
    assert rows("SELECT NULL || 'x'") == [None] and found[516]
    assert rows("SELECT 'a%' LIKE 'a!%' ESCAPE '!'") == [True] and found[523]
    assert rows("SELECT v FROM generate_series(1, 2) AS t(v) ORDER BY -v") == [2, 1] and found[520]
    assert rows("SELECT 1 FROM (VALUES (1, 2)) AS t(a, b) ORDER BY b") == [1] and found[521]
    assert rows("SELECT a FROM (VALUES (1)) AS t(a) WHERE EXISTS (SELECT 1 FROM (VALUES (1)) "
                "AS u(b) WHERE b = a)") == [1] and found[539]
    assert rows("SELECT count(*) FROM (VALUES (1, 2)) AS t(a, b) GROUP BY b") == [1]
    assert rows("SELECT 1 WHERE 1 IN (SELECT 1)") == [1]
    sql.update(client, f"CREATE TABLE {name} (a BIGINT NOT NULL)")
    with pytest.raises(pa.ArrowException):
        sql.update(client, f"INSERT INTO {name} VALUES (NULL)")
    assert found[524]
    # Functions that are named exist.
    functions = set(rows("SHOW FUNCTIONS"))
    for id in (509, 510, 511, 512):
        assert set(found[id]) - functions == set(), id
    for keyword in found[508]:
        assert keyword == keyword.lower()
    # Limits.
    assert found[543] == 255
    with pytest.raises(pa.ArrowException):
        sql.update(client, f"CREATE TABLE \"{'x' * 256}\" (a INT)")


SQL_TYPES = {0: "BIGINT", 1: "BYTEA", 2: "BOOLEAN", 4: "DATE", 5: "DECIMAL(10, 2)",
             6: "DOUBLE", 7: "INTEGER", 13: "REAL", 14: "SMALLINT", 16: "TIMESTAMP", 19: "TEXT"}
SAMPLES = {0: "1", 2: "true", 4: "DATE '2024-01-01'", 5: "1.5", 6: "CAST(1 AS DOUBLE)",
           7: "CAST(1 AS INT)", 13: "CAST(1 AS REAL)", 14: "CAST(1 AS SMALLINT)",
           16: "TIMESTAMP '2024-01-01 00:00:00'", 19: None}
TEXTS = {2: "'true'", 4: "'2024-01-01'", 16: "'2024-01-01 00:00:00'", 19: "'x'"}


def test_every_conversion_that_is_told_is_possible(client):
    conversions = dict(sql_info(client, 517)[517][1])
    assert len(conversions) >= 8
    for source, targets in conversions.items():
        for target in targets:
            value = SAMPLES[source] or TEXTS.get(target, "'1'")
            assert len(sql.rows(client, f"SELECT CAST({value} AS {SQL_TYPES[target]})")) == 1


def test_type_info_lists_each_type_in_order_and_filters(client, name):
    table = sql.metadata(client, "CommandGetXdbcTypeInfo")
    keys = list(zip(table["data_type"].to_pylist(), table["type_name"].to_pylist()))
    assert keys == sorted(keys) and len(keys) > 12
    for number in {number for number, _ in keys}:
        found = sql.metadata(client, "CommandGetXdbcTypeInfo", data_type=number)
        assert found["type_name"].to_pylist() == [n for k, n in keys if k == number]
    assert sql.metadata(client, "CommandGetXdbcTypeInfo", data_type=4711).num_rows == 0
    # Each is a type of SQL, by that name, and shown by that name.
    for type_name in table["type_name"].to_pylist():
        sql.update(client, f"CREATE OR REPLACE TABLE {name} (a {type_name})")
        ((shown,),) = sql.rows(client, "SELECT data_type FROM igloo.information_schema.columns "
                               f"WHERE table_name = '{name}'")
        assert shown.split("(")[0] == type_name, type_name
