"""Values that sources get wrong, for the types of our drivers.

A column has a name, the source's type, Arrow's format, a collation as the driver tells it,
and values: the text that makes one in the source, and what the engine sees: None, bool,
int (days, microseconds, decimals without their point), float, str, bytes.
"""
import dataclasses
import datetime
import math
import struct

EPOCH = datetime.date(1970, 1, 1).toordinal()


def days(year, month, day):
    return datetime.date(year, month, day).toordinal() - EPOCH


def microseconds(year, month, day, hour=0, minute=0, second=0, us=0):
    return ((days(year, month, day) * 24 + hour) * 60 + minute) * 60_000_000 + second * 1_000_000 + us


@dataclasses.dataclass
class Column:
    name: str
    source_type: str  # as the driver tells it
    format: str
    values: list  # of (text in the source, what the engine sees)
    collation: str = ""
    declared: str = ""  # in CREATE TABLE, where it is more than the type

    @property
    def kind(self):
        """bool, int, float, decimal, text, bytes, date, time, timestamp, instant, other."""
        first = self.format
        if first[:2] == "ts":
            return "instant" if len(first) > 4 else "timestamp"
        return {"b": "bool", "c": "int", "s": "int", "i": "int", "l": "int", "f": "float",
                "g": "float", "d": "decimal", "u": "text", "z": "bytes", "w": "bytes",
                "tdD": "date", "ttu": "time"}[first if first in ("tdD", "ttu") else first[0]]


def quote(text):
    return "'" + text.replace("'", "''") + "'"


TEXTS = ["", " ", "a", "A", "a ", "a  ", "b", "B", "ab", "aB", "abc", "äpfel", "Äpfel", "a\u0308pfel",
         "zebra", "Zebra", "ß", "ss", "ı", "I", "i", "İ", "日本", "日本語", "😀", "\U0010ffff", "\ud7ff",
         "\ue000", "50%", "5_0", "5!0", "a\\b", "a'b", 'a"b', "a\nb", "\t", "a*b", "a?b", "a[b]c", "a]b",
         "%", "_", "NULL", "null", "1", "01", "1.0", "x" * 40, "--", "/*", ";", "$1", "$$"]
INTS = [0, 1, -1, 2, 5, 7, -7, 42, 100]
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.1, 0.5, 1.5, -2.25, 1e15, 1e300, -1e300, 5e-324, 2.2250738585072014e-308,
          1.7976931348623157e308, math.inf, -math.inf, 9007199254740993.0, 0.30000000000000004, 0.3, 123456.789,
          1e-7, 3.4028234663852886e38, 1e22, 1e23, 2.0**62, 2.0**63, 4.35, 0.07,
          59.2006420462106, 461277658.329806, 6.855083402659986e-06]  # SQLite misreads the last three
BYTES = [b"", b"\0", b"a", b"A", b"a\0b", b"\xff", b"\xfe\xff", b"ab", b"\\x41", b"'", bytes(range(256))]
DATES = [(1970, 1, 1), (1969, 12, 31), (2000, 2, 29), (2024, 3, 31), (2024, 10, 27), (1, 1, 1), (9999, 12, 31),
         (1582, 10, 15), (1900, 3, 1), (2023, 1, 5)]
MOMENTS = [(1970, 1, 1), (1969, 12, 31, 23, 59, 59, 999999), (2024, 3, 31, 2, 30), (2024, 3, 31, 1, 59, 59, 999999),
           (2024, 10, 27, 2, 30), (2024, 10, 27, 1, 0), (1, 1, 1), (9999, 12, 31, 23, 59, 59, 999999),
           (2000, 2, 29, 12, 0, 0, 1), (2023, 1, 5), (2023, 1, 5, 0, 0, 0, 500000), (2023, 1, 5, 23, 59, 59),
           (2023, 1, 4, 23, 0), (2023, 1, 6, 1, 30)]


def date_text(value):
    return f"{value[0]:04}-{value[1]:02}-{value[2]:02}"


def moment_text(value):
    hour, minute, second, us = (*value[3:], 0, 0, 0, 0)[:4]
    return f"{date_text(value)} {hour:02}:{minute:02}:{second:02}" + (f".{us:06}" if us else "")


def single(value):
    """The nearest float of four bytes; None where there is none."""
    try:
        return struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return None


def _integers(bits):
    extremes = [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1]
    return [(str(value), value) for value in INTS + extremes]


def _float_text(value):
    return {math.inf: "'Infinity'", -math.inf: "'-Infinity'"}.get(value, f"'{value!r}'")


def postgres_columns():
    singles = sorted({single(value) for value in FLOATS} - {None, 0.0}) + [0.0, -0.0]
    nan = ("'NaN'", math.nan)
    extreme_days = [("'infinity'", 2**31 - 1), ("'-infinity'", -(2**31))]
    extreme_us = [("'infinity'", 2**63 - 1), ("'-infinity'", -(2**63))]
    texts = [(quote(value), value) for value in TEXTS]
    dates = [(quote(date_text(value)), days(*value)) for value in DATES] + extreme_days
    moments = [(moment_text(value), microseconds(*value)) for value in MOMENTS]
    blobs = [(f"'\\x{value.hex()}'", value) for value in BYTES]
    uuids = [bytes(16), bytes([255] * 16), bytes(range(16)), bytes(range(15)) + b"\x10"]
    padded = ["", "a", "A", "ab", "äöü", "b", "a'b", "5%"]
    decimals = [0, 1, -1, 500, 999, 1000, 1500, 123456789012, -123456789012, 999999999999, -999999999999]
    return [
        Column("b", "boolean", "b", [("true", True), ("false", False)]),
        Column("i2", "smallint", "s", _integers(16)),
        Column("i4", "integer", "i", _integers(32)),
        Column("i8", "bigint", "l", _integers(64)),
        Column("f4", "real", "f", [(_float_text(value), value) for value in singles] + [nan]),
        Column("f8", "double precision", "g", [(_float_text(value), value) for value in FLOATS] + [nan]),
        Column("n", "numeric(12,3)", "d:12,3", [(f"{value}e-3", value) for value in decimals]),
        Column("tc", "text", "u", texts, "C", 'text COLLATE "C"'),
        Column("td", "text", "u", texts, "deterministic"),
        Column("tn", "text", "u", texts, "nondeterministic", "text COLLATE folding"),
        Column("vc", "character varying(40)", "u", texts, "deterministic",
               'character varying(40) COLLATE "sv-SE-x-icu"'),
        Column("nm", "name", "u", texts, "C"),
        Column("ch", "character(5)", "u", [(quote(value + " "), value) for value in padded], "deterministic"),
        Column("by", "bytea", "z", blobs),
        Column("u", "uuid", "w:16", [(quote(value.hex()), value) for value in uuids]),
        Column("d", "date", "tdD", dates),
        Column("ti", "time without time zone", "ttu",
               [("'00:00'", 0), ("'23:59:59.999999'", 86399999999),
                ("'12:30'", 45000000000), ("'12:30:00.000001'", 45000000001)]),
        Column("ts", "timestamp without time zone", "tsu:", [(quote(t), v) for t, v in moments] + extreme_us),
        Column("tz", "timestamp(6) with time zone", "tsu:UTC",
               [(quote(t + "+00"), v) for t, v in moments] + extreme_us +
               [("'2024-03-31 03:30+02'", microseconds(2024, 3, 31, 1, 30))]),
        Column("js", "json", "u", [("'{}'", "{}"), ("'null'", "null")]),
    ]


def sqlite_columns():
    """`text` is an expression of SQLite's SQL, or the value that Python binds."""
    texts = [(value, value) for value in TEXTS + ["a\0b", "a\0", "\0", "ab\0c"]]
    moments = [(moment_text(value), microseconds(*value)) for value in MOMENTS]
    spelled = moments + [(text.replace(" ", "T"), value) for text, value in moments] + [
        ("2023-01-05", microseconds(2023, 1, 5)), ("2023-01-05 00:00", microseconds(2023, 1, 5)),
        ("2023-01-05 00:00:00.000", microseconds(2023, 1, 5)), ("2023-01-05 00:00:00Z", microseconds(2023, 1, 5))]
    # Not at the ends of the calendar: an offset would leave it.
    inner = [(text, value) for text, value in spelled if text[:4] not in ("0001", "9999")]
    offset = inner + [("2023-01-05T01:30:00+14:00", microseconds(2023, 1, 4, 11, 30)),
                      ("2023-01-05 22:00:00-14:00", microseconds(2023, 1, 6, 12)),
                      ("2024-03-31 03:30:00+02:00", microseconds(2024, 3, 31, 1, 30))]
    floats = [(value, value + 0.0) for value in FLOATS]  # SQLite keeps -0.0 as 0
    return [
        Column("i", "INTEGER", "l", [(value, value) for _, value in _integers(64)]),
        Column("sm", "SMALLINT", "l", [(value, value) for _, value in _integers(16)]),
        Column("f", "REAL", "g", floats),
        Column("db", "DOUBLE PRECISION", "g", floats),
        Column("t", "TEXT", "u", texts, "BINARY"),
        Column("vc", "VARCHAR(40)", "u", texts, "BINARY"),
        Column("nc", "TEXT", "u", texts, "NOCASE", "TEXT COLLATE NOCASE"),
        Column("rt", "TEXT", "u", texts, "RTRIM", "TEXT COLLATE RTRIM"),
        Column("bl", "BLOB", "z", [(value, value) for value in BYTES]),
        Column("bo", "BOOLEAN", "b", [(1, True), (0, False)]),
        Column("d", "DATE", "tdD", [(date_text(value), days(*value)) for value in DATES]),
        Column("ts", "TIMESTAMP", "tsu:", spelled),
        Column("tz", "TIMESTAMPTZ", "tsu:UTC", offset),
        Column("de", "DECIMAL(9,2)", "d:9,2", [
            (value, round(float(value) * 100)) for value in
            (0, 1, -1, 0.1, 0.3, 0.1 + 0.2, -0.07, 4.35, 1234567.89, -1234567.89, 9999999.99, "2.50", 1.1 * 3)]),
        Column("nu", "NUMERIC", "g", [(1, 1.0), (0, 0.0), (-5, -5.0), (2**53, 2.0**53), ("7", 7.0)] + floats[4:12]),
        Column("vb", "VARBINARY(9)", "z", [(value, value) for value in BYTES]),
        Column("lo", "", "u", [("x", "x"), (1, "1")]),
    ]


def make_rows(columns, count, random, nulls=0.12):
    """Rows of (text, seen) in which every value of every column stands once at least."""
    picked = []
    for column in columns:
        values = list(column.values)
        assert len(values) <= count
        while len(values) < count:
            values.append((None, None) if random.random() < nulls else random.choice(column.values))
        values[0] = (None, None) if len(column.values) < count else values[0]
        random.shuffle(values)
        picked.append(values)
    return list(zip(*picked))
