"""Values of every type, from files that others wrote, printed as they print them."""

import csv
import datetime
import decimal
import io
import json
import math
import random
import struct
import zoneinfo

import pyarrow
import pyarrow.ipc
import pyarrow.parquet

ROWS = 3000


def doubles():
    """Any bit pattern, and the values where algorithms go wrong."""
    source = random.Random(55)
    values = [struct.unpack("<d", struct.pack("<Q", source.getrandbits(64)))[0]
              for _ in range(ROWS)]
    values += [round(source.uniform(-10 ** 9, 10 ** 9), source.randrange(8)) for _ in range(ROWS)]
    values += [2.0 ** e for e in range(-1074, 1024, 7)] + [10.0 ** e for e in range(-323, 309)]
    return [v for v in values if not math.isnan(v)] + [0.0, -0.0, math.inf, -math.inf, math.nan]


def read_csv(text):
    return list(csv.reader(io.StringIO(text, newline="")))[1:]


def column(igloo, array, form="csv", name="data.parquet"):
    """A column, through a Parquet file, as igloo prints it."""
    pyarrow.parquet.write_table(pyarrow.table({"c": array}), igloo.folder / name)
    done = igloo("sql", "--format", form, "-c", f"SELECT c FROM '{name}'")
    assert (done.returncode, done.stderr) == (0, "")
    return [r[0] if r else None for r in read_csv(done.stdout)] if form == "csv" else json.loads(done.stdout)


def test_doubles_are_the_shortest_text_that_reads_back(igloo):
    values = doubles()
    for value, text in zip(values, column(igloo, pyarrow.array(values, pyarrow.float64())),
                           strict=True):
        if math.isnan(value):
            assert text == "NaN"
            continue
        assert struct.pack("<d", float(text)) == struct.pack("<d", value), (value, text)
        digits = lambda t: len(t.lower().split("e")[0].strip("-").replace(".", "").strip("0"))
        assert digits(text) <= max(1, digits(repr(value))) or "inf" in repr(value), (value, text)


def test_floats_are_the_shortest_text_that_reads_back(igloo):
    source = random.Random(56)
    values = [struct.unpack("<f", struct.pack("<I", source.getrandbits(32)))[0]
              for _ in range(ROWS)]
    values = [v for v in values if math.isfinite(v)]
    texts = column(igloo, pyarrow.array(values, pyarrow.float32()))
    for value, text in zip(values, texts, strict=True):
        assert struct.pack("<f", float(text)) == struct.pack("<f", value), (value, text)


def test_decimals_keep_every_digit(igloo):
    source = random.Random(57)
    decimal.getcontext().prec = 80
    values = [decimal.Decimal(source.randrange(-10 ** 38 + 1, 10 ** 38)).scaleb(-10)
              for _ in range(ROWS)] + [decimal.Decimal("0"), decimal.Decimal("-0.0000000001")]
    texts = column(igloo, pyarrow.array(values, pyarrow.decimal128(38, 10)))
    assert texts == [format(v, ".10f") for v in values]


def instants(unit_digits):
    source = random.Random(58)
    first = datetime.datetime(1, 1, 2, tzinfo=datetime.timezone.utc)
    last = datetime.datetime(9999, 12, 30, tzinfo=datetime.timezone.utc)
    seconds = int((last - first).total_seconds())
    return [first + datetime.timedelta(seconds=source.randrange(seconds),
                                       microseconds=source.randrange(10 ** unit_digits))
            for _ in range(ROWS)]


def trimmed(moment, between):
    text = f"{moment.year:04d}-" + moment.strftime(f"%m-%d{between}%H:%M:%S")
    return text + (f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else "")


def test_timestamps_are_exact(igloo):
    values = [v.replace(tzinfo=None) for v in instants(6)]
    array = pyarrow.array(values, pyarrow.timestamp("us"))
    assert column(igloo, array) == [trimmed(v, " ") for v in values]
    assert [r["c"] for r in column(igloo, array, "json")] == [trimmed(v, "T") for v in values]


def test_time_zones_are_those_of_the_database(igloo):
    """Python's zoneinfo reads the same files with another program."""
    for name in ["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Tokyo"]:
        zone = zoneinfo.ZoneInfo(name)
        values = instants(6)
        array = pyarrow.array(values, pyarrow.timestamp("us", tz=name))
        for value, text in zip(values, column(igloo, array), strict=True):
            local = value.astimezone(zone)
            assert text.startswith(trimmed(local, " ")), (name, value, text)
            seconds = int(local.utcoffset().total_seconds())
            size = abs(seconds)
            offset = f"{'-' if seconds < 0 else '+'}{size // 3600:02d}"
            if size % 3600:
                offset += f":{size // 60 % 60:02d}"
            if size % 60:
                offset += f":{size % 60:02d}"
            assert text == trimmed(local, " ") + offset, (name, value)


def test_dates_and_times(igloo):
    days = [datetime.date(1, 1, 1), datetime.date(1969, 12, 31), datetime.date(2024, 2, 29),
            datetime.date(9999, 12, 31)]
    assert column(igloo, pyarrow.array(days, pyarrow.date32())) == [d.isoformat() for d in days]
    times = [datetime.time(0, 0), datetime.time(23, 59, 59, 999999), datetime.time(12, 30, 0, 500000)]
    assert column(igloo, pyarrow.array(times, pyarrow.time64("us"))) == [
        "00:00:00", "23:59:59.999999", "12:30:00.5"]


def test_texts_survive_csv_and_json(igloo):
    source = random.Random(59)
    alphabet = 'aä漢😀 ,"\'\\\n\r\t|;\x01\x7f\u2028'
    values = ["".join(source.choices(alphabet, k=source.randrange(12))) for _ in range(500)]
    array = pyarrow.array(values)
    assert [r["c"] for r in column(igloo, array, "json")] == values
    done = igloo("sql", "--format", "csv", "-c", "SELECT c FROM 'data.parquet'", text=False)
    rows = list(csv.reader(io.StringIO(done.stdout.decode(), newline="")))[1:]
    assert [r[0] if r else "" for r in rows] == values


def test_nested_values_are_json(igloo):
    kind = pyarrow.struct([("id", pyarrow.int64()), ("tags", pyarrow.list_(pyarrow.string())),
                           ("at", pyarrow.date32())])
    values = [{"id": 1, "tags": ["a", None, 'q"'], "at": datetime.date(2024, 1, 1)},
              {"id": None, "tags": None, "at": None}, None]
    expected = [{"id": 1, "tags": ["a", None, 'q"'], "at": "2024-01-01"},
                {"id": None, "tags": None, "at": None}, None]
    array = pyarrow.array(values, kind)
    assert [r["c"] for r in column(igloo, array, "json")] == expected
    assert [json.loads(t) if t else None for t in column(igloo, array)] == expected


def test_maps_are_json_objects(igloo):
    array = pyarrow.array([[("a", 1), ("b", None)], []], pyarrow.map_(pyarrow.string(), pyarrow.int32()))
    assert [r["c"] for r in column(igloo, array, "json")] == [{"a": 1, "b": None}, {}]


def test_a_table_of_all_types_comes_back_from_arrow_and_parquet(igloo):
    table = pyarrow.table({
        "i8": pyarrow.array([1, None, -128], pyarrow.int8()),
        "u64": pyarrow.array([2 ** 64 - 1, 0, None], pyarrow.uint64()),
        "f": pyarrow.array([1.5, math.inf, None], pyarrow.float32()),
        "b": pyarrow.array([True, False, None]),
        "t": pyarrow.array(["ä", "", None]),
        "bin": pyarrow.array([b"\x00\xff", b"", None]),
        "d": pyarrow.array([datetime.date(2024, 2, 29), None, datetime.date(1, 1, 1)]),
        "ts": pyarrow.array([datetime.datetime(2024, 1, 1), None, datetime.datetime(1, 1, 1)],
                            pyarrow.timestamp("us")),
        "dec": pyarrow.array([decimal.Decimal("1.50"), None, decimal.Decimal("-0.01")],
                             pyarrow.decimal128(20, 2)),
        "l": pyarrow.array([[1, None], [], None], pyarrow.list_(pyarrow.int64())),
        "s": pyarrow.array([{"a": 1, "b": "x"}, None, {"a": None, "b": None}],
                           pyarrow.struct([("a", pyarrow.int32()), ("b", pyarrow.string())])),
    })
    pyarrow.parquet.write_table(table, igloo.folder / "in.parquet")
    for name, read in [("out.parquet", pyarrow.parquet.read_table),
                       ("out.arrow", lambda p: pyarrow.ipc.open_file(p).read_all())]:
        done = igloo("sql", "-o", name, "-c", "SELECT * FROM 'in.parquet'")
        assert (done.returncode, done.stderr) == (0, ""), name
        assert read(igloo.folder / name).to_pylist() == table.to_pylist(), name


def test_intervals_are_as_postgresql_prints_them(igloo):
    done = igloo("sql", "-c", "SELECT INTERVAL '1 year 2 months 3 days 4 hours 5 minutes 6 seconds' AS a, "
                              "INTERVAL '-1 day' AS b")
    assert done.stdout == "a,b\n1 year 2 mons 3 days 04:05:06,-1 days\n"


def test_null_and_the_empty_text_differ_in_csv_and_tsv(igloo):
    sql = "SELECT NULL AS a, '' AS b, 'NULL' AS c"
    assert igloo("sql", "-c", sql).stdout == 'a,b,c\n,"",NULL\n'
    assert igloo("sql", "--format", "tsv", "-c", sql).stdout == "a\tb\tc\n\\N\t\tNULL\n"


def test_what_igloo_writes_igloo_reads(igloo):
    igloo("sql", "-o", "t.csv", "-c", "SELECT v AS n, 'x,' || v AS t, v / 4.0 AS d FROM generate_series(1, 1000) AS s(v)")
    igloo("sql", "-o", "t.jsonl", "-c", "SELECT * FROM 't.csv'")
    done = igloo("sql", "-c", "SELECT count(*) AS c, sum(n) AS n, max(t) AS t FROM 't.jsonl'")
    assert done.stdout == 'c,n,t\n1000,500500,"x,999"\n'
