"""What a declared type stands for, and what becomes of each value that SQLite lets in."""
import datetime
import decimal
import itertools
import math
import random

import adbc_driver_manager
import pyarrow as pa
import pytest

from sqlite_files import file  # noqa: F401

DECLARED = {
    "INTEGER": pa.int64(), "INT": pa.int64(), "BIGINT": pa.int64(), "TINYINT": pa.int64(),
    "UNSIGNED BIG INT": pa.int64(), "bigint": pa.int64(), "INT8": pa.int64(),
    "REAL": pa.float64(), "DOUBLE PRECISION": pa.float64(), "FLOAT": pa.float64(),
    "NUMERIC": pa.float64(), "DECIMAL": pa.float64(),
    "TEXT": pa.utf8(), "VARCHAR(20)": pa.utf8(), "CHARACTER VARYING (7)": pa.utf8(),
    "CLOB": pa.utf8(), "NVARCHAR(100)": pa.utf8(),
    "BLOB": pa.binary(), "VARBINARY(10)": pa.binary(), "BYTEA": pa.binary(),
    "BOOLEAN": pa.bool_(), "BOOL": pa.bool_(),
    "DATE": pa.date32(), "TIME": pa.time64("us"), "time without time zone": pa.time64("us"),
    "DATETIME": pa.timestamp("us"), "TIMESTAMP": pa.timestamp("us"),
    "TIMESTAMP(3)": pa.timestamp("us"), "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", "UTC"),
    "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
    "DECIMAL(10,2)": pa.decimal128(10, 2), "NUMERIC( 38 , 10 )": pa.decimal128(38, 10),
    "NUMBER(5)": pa.decimal128(5, 0), "DECIMALTEXT(30, 4)": pa.decimal128(30, 4),
    "": pa.utf8(), "JSON": pa.utf8(), "STRING": pa.utf8(), "UUID": pa.utf8(),
    "DECIMAL(77,2)": pa.utf8(), "DECIMAL(5,9)": pa.utf8(),
}

VALUES = [
    None, 0, 1, -1, 2, 255, 2**53, 2**53 + 1, 2**63 - 1, -2**63,
    0.0, -0.0, 1.0, 1.5, -2.25, 0.1, 1e300, -1e-300, math.inf, 1e15, 123456.789,
    "", "a", "1", "1.5", "umlaut ä", "2020-02-29", "2021-02-29", "2020-02-29 12:34:56",
    "2020-02-29T12:34", "2020-02-29 12:34:56.123456", "2020-02-29 12:34:56.1234567",
    "2020-02-29T12:34:56Z", "2020-02-29 12:34:56+01:30", "12:34", "12:34:56.5", "24:00",
    "0000-01-01", "9999-12-31", "true", "1e2", "99999999999999999999",
    b"", b"\x00\xff", b"text",
]


class Misfit(Exception):
    pass


def as_text(value):
    """As SQLite writes a number."""
    if isinstance(value, float):
        if math.isinf(value):
            return "Inf" if value > 0 else "-Inf"
        digits = f"{value + 0.0:.15g}"  # it drops the sign of zero
        if "." not in digits.split("e")[0]:
            head, *tail = digits.split("e")
            digits = "e".join([head + ".0", *tail])
        return digits
    return str(value)


def parse_time(text):
    for form in ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f"):
        try:
            return datetime.datetime.strptime(text, form).time()
        except ValueError:
            pass
    raise Misfit


def parse_timestamp(text, zone):
    if text.startswith("0000"):  # Python's years begin at 1
        return None
    try:
        one = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise Misfit from None
    if len(text) > 26 and text[19] == "." and "+" not in text:
        raise Misfit  # finer than a microsecond
    if not zone:
        if one.tzinfo and not text.endswith("Z"):
            raise Misfit
        return one.replace(tzinfo=None)
    return one if one.tzinfo else one.replace(tzinfo=datetime.timezone.utc)


def fit(type, value):
    """What the column must give for a stored value; raises Misfit."""
    if value is None:
        return None
    if type == "loose":
        if isinstance(value, bytes):
            raise Misfit
        return value if isinstance(value, str) else as_text(value)
    if pa.types.is_int64(type):
        if isinstance(value, int):
            return value
        if isinstance(value, float) and value.is_integer() and -2.0**63 <= value < 2.0**63:
            return int(value)
    elif pa.types.is_float64(type):
        if isinstance(value, float) or (isinstance(value, int) and int(float(value)) == value
                                        and abs(value) != 2**63):
            return float(value)
        if isinstance(value, int) and value == -2**63:
            return float(value)
    elif pa.types.is_string(type):
        if isinstance(value, str):
            return value
    elif pa.types.is_binary(type):
        if isinstance(value, bytes):
            return value
    elif pa.types.is_boolean(type):
        if value in (0, 1) and not isinstance(value, (str, bytes)):
            return bool(value)
    elif pa.types.is_date(type):
        if isinstance(value, str) and len(value) == 10:
            if value.startswith("0000"):
                return None
            try:
                return datetime.date.fromisoformat(value)
            except ValueError:
                pass
    elif pa.types.is_time(type):
        if isinstance(value, str):
            return parse_time(value)
    elif pa.types.is_timestamp(type):
        if isinstance(value, str) and len(value) >= 10:
            return parse_timestamp(value, type.tz)
    elif pa.types.is_decimal(type):
        if not isinstance(value, bytes):
            try:
                number = decimal.Decimal(value if isinstance(value, (int, str)) else as_text(value))
            except decimal.InvalidOperation:
                raise Misfit from None
            with decimal.localcontext(prec=100):
                if number.is_finite() and abs(number) < 10 ** (type.precision - type.scale):
                    exact = number.quantize(decimal.Decimal(1).scaleb(-type.scale))
                    if exact == number:
                        return exact
    raise Misfit


def kind_of(declared, type):
    loose = pa.types.is_string(type) and not any(
        part in declared.upper() for part in ("CHAR", "CLOB", "TEXT"))
    return "loose" if loose else type


@pytest.mark.parametrize("declared", list(DECLARED))
def test_declared_type_is_the_column_type_with_rows_and_without(file, declared):
    file.run(f"CREATE TABLE t (x {declared})")
    assert file.read("SELECT x FROM t").schema.field("x").type == DECLARED[declared]
    file.run("INSERT INTO t VALUES (NULL)")
    assert file.read("SELECT x FROM t").schema.field("x").type == DECLARED[declared]
    schema = file.connect().adbc_get_table_schema("t")
    assert schema.field("x").type == DECLARED[declared]
    assert schema.field("x").metadata[b"igloo.source_type"].decode() == declared


@pytest.mark.parametrize("declared", list(DECLARED))
def test_every_value_is_itself_or_an_error(file, declared):
    """SQLite stores each value as its affinity wants; what it then holds fits or not."""
    file.run(f"CREATE TABLE t (id INTEGER PRIMARY KEY, x {declared})")
    file.run("INSERT INTO t VALUES (?, ?)", *enumerate(VALUES))
    type = DECLARED[declared]
    connection = file.connect()
    for number, stored in file.rows("SELECT id, x FROM t ORDER BY id"):
        with connection.cursor() as cursor:
            try:
                expected = fit(kind_of(declared, type), stored)
            except Misfit:
                with pytest.raises(adbc_driver_manager.Error) as told:
                    cursor.execute(f"SELECT x FROM t WHERE id = {number}")
                    cursor.fetch_arrow_table()
                assert 'column "x" of table "t" holds a' in str(told.value), stored
                continue
            cursor.execute(f"SELECT x FROM t WHERE id = {number}")
            column = cursor.fetch_arrow_table().column("x")
            assert column.type == type
            if expected is None and stored is not None:
                assert column.null_count == 0  # the year 0, which Python cannot show
            else:
                assert column[0].as_py() == expected, stored


@pytest.mark.parametrize("declared", list(DECLARED))
def test_misfits_are_null_where_the_option_says_so(file, declared):
    file.run(f"CREATE TABLE t (id INTEGER PRIMARY KEY, x {declared})")
    file.run("INSERT INTO t VALUES (?, ?)", *enumerate(VALUES))
    type = DECLARED[declared]
    column = file.read("SELECT x FROM t ORDER BY id", misfit="null").column("x")
    assert column.type == type
    valid = column.is_valid().to_pylist()
    for (stored,), there in zip(file.rows("SELECT x FROM t ORDER BY id"), valid, strict=True):
        try:
            fit(kind_of(declared, type), stored)
            fits = stored is not None
        except Misfit:
            fits = False
        assert there == fits, stored


@pytest.mark.parametrize("declared", list(DECLARED))
def test_every_value_has_a_text_where_the_option_says_so(file, declared):
    file.run(f"CREATE TABLE t (id INTEGER PRIMARY KEY, x {declared})")
    file.run("INSERT INTO t VALUES (?, ?)", *enumerate(VALUES))
    table = file.read("SELECT id, x FROM t ORDER BY id", misfit="text")
    blob = pa.types.is_binary(DECLARED[declared])
    assert table.schema.types == [pa.int64(), pa.binary() if blob else pa.utf8()]
    for (stored,), found in zip(file.rows("SELECT x FROM t ORDER BY id"),
                                table.column("x").to_pylist(), strict=True):
        if stored is None or isinstance(stored, bytes):
            expected = stored if blob or stored is None else "\\x" + stored.hex()
        else:
            expected = stored if isinstance(stored, str) else as_text(stored)
            expected = expected.encode() if blob else expected
        assert found == expected


def test_strict_tables_keep_their_types_where_misfits_are_text(file):
    file.run("CREATE TABLE t (a INTEGER, b REAL, c TEXT, d BLOB) STRICT;"
             "INSERT INTO t VALUES (1, 2.5, 'x', x'00')")
    table = file.read("SELECT * FROM t", misfit="text")
    assert table.schema.types == [pa.int64(), pa.float64(), pa.utf8(), pa.binary()]
    fields = file.connect().adbc_get_table_schema("t")
    assert all(field.metadata[b"igloo.fits"] == b"always" for field in fields)


def test_text_that_is_no_utf8_does_not_fit(file):
    file.run("CREATE TABLE t (x TEXT); INSERT INTO t VALUES (CAST(x'61ff62' AS TEXT))")
    with pytest.raises(adbc_driver_manager.DataError, match="holds a text value"):
        file.read("SELECT x FROM t")
    assert file.read("SELECT x FROM t", misfit="null").column("x").to_pylist() == [None]
    assert file.read("SELECT x FROM t", misfit="text").column("x").to_pylist() == ["a\ufffdb"]


def test_text_with_a_nul_byte_is_whole(file):
    file.run("CREATE TABLE t (x TEXT)")
    file.run("INSERT INTO t VALUES (?)", ("a\0b",))
    assert file.read("SELECT x FROM t").column("x").to_pylist() == ["a\0b"]


def test_a_misfit_error_names_column_table_and_class(file):
    file.run('CREATE TABLE "the table" ("a b" BIGINT); INSERT INTO "the table" VALUES (x\'00\')')
    with pytest.raises(adbc_driver_manager.DataError) as told:
        file.read('SELECT "a b" AS other FROM "the table"')
    assert ('column "a b" of table "the table" holds a blob value that does not fit type integer'
            in str(told.value))
    assert told.value.sqlstate == "22P02"


# ---- instants ------------------------------------------------------------------------------


def test_unix_seconds_are_what_sqlite_makes_of_them(file):
    seconds = [0, 1, -1, 1582934400, 1582934401, -62167219200, 253402300799, 86399]
    file.run("CREATE TABLE t (x TIMESTAMP)")
    file.run("INSERT INTO t VALUES (?)", *[(one,) for one in seconds])
    column = file.read("SELECT x FROM t", datetime="unix").column("x").cast(pa.int64())
    assert column.to_pylist() == [one * 1000000 for one in seconds]
    shown = [row[0] for row in file.rows("SELECT datetime(x, 'unixepoch') FROM t")]
    mine = file.read("SELECT x FROM t WHERE x > 0", datetime="unix").column("x").to_pylist()
    assert [str(one) for one in mine] == [text for one, text in zip(seconds, shown) if one > 0]


def test_julian_days_are_what_sqlite_makes_of_them(file):
    file.run("CREATE TABLE t (x TIMESTAMP, d DATE, c TIME)")
    texts = ["1970-01-01 00:00:00.000", "2020-02-29 12:34:56.789", "1600-03-01 23:59:59.999"]
    for text in texts:
        file.run("INSERT INTO t VALUES (julianday(?), julianday(date(?)), 0.5)", (text, text))
    table = file.read("SELECT * FROM t", datetime="julian")
    assert [str(one)[:23] for one in table.column("x").to_pylist()] == [
        "1970-01-01 00:00:00", *texts[1:]]
    assert [str(one) for one in table.column("d").to_pylist()] == [text[:10] for text in texts]
    assert set(table.column("c").to_pylist()) == {datetime.time(12)}


def test_dates_of_unix_seconds_must_be_midnights(file):
    file.run("CREATE TABLE t (x DATE); INSERT INTO t VALUES (86400), (NULL), (86401)")
    assert file.read("SELECT x FROM t WHERE x = 86400 OR x IS NULL", datetime="unix").column(
        "x").to_pylist() == [datetime.date(1970, 1, 2), None]
    with pytest.raises(adbc_driver_manager.DataError):
        file.read("SELECT x FROM t", datetime="unix")


def test_texts_are_misfits_where_instants_are_numbers(file):
    file.run("CREATE TABLE t (x TIMESTAMP, y DATE, z TIME);"
             "INSERT INTO t VALUES ('2020-01-01', '2020-01-01', '12:00')")
    for column, form in itertools.product("xyz", ("unix", "julian")):
        with pytest.raises(adbc_driver_manager.DataError):
            file.read(f"SELECT {column} FROM t", datetime=form)


# ---- expressions ---------------------------------------------------------------------------


def test_expressions_have_the_type_of_their_cast(file):
    file.run("CREATE TABLE t (a BIGINT, b TEXT); INSERT INTO t VALUES (1, 'x'), (2, NULL)")
    table = file.read("SELECT CAST(count(*) AS INTEGER) AS n, CAST(sum(a) AS REAL) AS s,"
                      " CAST(max(b) AS TEXT) AS m, max(a) AS a, count(*), b || 'x', t.a AS same"
                      " FROM t")
    assert table.schema.types[:3] == [pa.int64(), pa.float64(), pa.utf8()]
    assert table.schema.field("same").type == pa.int64()
    assert table.schema.field("count(*)").type == pa.utf8()
    assert table.slice(0, 1).to_pylist()[0]["count(*)"] == "2"


def test_expressions_keep_their_type_without_rows_and_with_parameters(file):
    file.run("CREATE TABLE t (a BIGINT)")
    with file.connect().cursor() as cursor:
        cursor.execute("SELECT CAST(a + ? AS INTEGER) AS x FROM t -- and a comment", (1,))
        assert cursor.fetch_arrow_table().schema.field("x").type == pa.int64()
        cursor.execute("SELECT CAST(a AS REAL) AS x FROM t;;")
        assert cursor.fetch_arrow_table().schema.field("x").type == pa.float64()


def test_columns_of_views_and_subqueries_are_those_of_their_tables(file):
    file.run("CREATE TABLE t (a BIGINT, d DATE); INSERT INTO t VALUES (1, '2020-01-01');"
             "CREATE VIEW v AS SELECT a AS x, d AS y, CAST(a * 2 AS INTEGER) AS z FROM t")
    table = file.read("SELECT * FROM (SELECT x, y, z FROM v)")
    assert table.to_pylist() == [{"x": 1, "y": datetime.date(2020, 1, 1), "z": 2}]
    assert file.connect().adbc_get_table_schema("v").types == table.schema.types


def test_results_of_pragmas_and_explain_are_text(file):
    file.run("CREATE TABLE t (a BIGINT)")
    assert file.read("PRAGMA table_info(t)").column("name").to_pylist() == ["a"]
    assert file.read("EXPLAIN QUERY PLAN SELECT * FROM t").num_rows == 1


def test_generated_columns_are_columns(file):
    file.run("CREATE TABLE t (a BIGINT, b BIGINT AS (a * 2), c TEXT AS ('x' || a) STORED);"
             "INSERT INTO t (a) VALUES (21)")
    assert file.read("SELECT * FROM t").to_pylist() == [{"a": 21, "b": 42, "c": "x21"}]
    assert file.connect().adbc_get_table_schema("t").names == ["a", "b", "c"]


@pytest.mark.parametrize("scale", [0, 2, 4, 9])
def test_decimals_of_reals_are_the_digits_that_sqlite_shows(file, scale):
    """Ten thousand reals: near decimals of so many digits, and anywhere."""
    maker = random.Random(scale)
    values = [round(maker.uniform(-1, 1) * 10 ** maker.randrange(12), maker.randrange(scale + 2))
              for _ in range(9000)]
    values += [maker.uniform(-1, 1) * 10.0 ** maker.randrange(-5, 20) for _ in range(1000)]
    file.run(f"CREATE TABLE t (x DECIMAL(20, {scale}))")
    file.run("INSERT INTO t VALUES (?)", *[(one,) for one in values])
    found = file.read("SELECT x FROM t ORDER BY rowid", misfit="null").column("x").to_pylist()
    shown = [row[0] for row in file.rows(
        "SELECT CASE typeof(x) WHEN 'integer' THEN CAST(x AS TEXT) ELSE printf('%!.15g', x) END"
        " FROM t ORDER BY rowid")]
    some = 0
    for text, mine in zip(shown, found, strict=True):
        number = decimal.Decimal(text)
        exact = number.quantize(decimal.Decimal(1).scaleb(-scale),
                                context=decimal.Context(prec=60)) == number
        fits = exact and abs(number) < 10 ** (20 - scale)
        assert mine == (number if fits else None), text
        some += fits
    assert some > 1000
