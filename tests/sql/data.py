"""Makes the files that the cases with "data: files" read: small, the same
every time, and written by pyarrow and DuckDB, never by Igloo."""
import datetime
import decimal
import gzip
import os

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

PEOPLE = [
    (1, "Ada", 36, "London", 1815.5),
    (2, "Blaise", 39, "Paris", 1623.25),
    (3, "Carl", 77, None, 1777.0),
    (4, "Daniel, Jr.", 24, "Basel", None),
    (5, 'Emmy "E"', 53, "Göttingen", 1882.75),
]
PEOPLE_NAMES = ["id", "name", "age", "city", "born"]


def quoted(value, delimiter):
    if value is None:
        return ""
    text = str(value)
    if delimiter in text or '"' in text or text == "":
        return '"' + text.replace('"', '""') + '"'
    return text


def csv_text(rows, names=None, delimiter=","):
    lines = [delimiter.join(names)] if names else []
    lines += [delimiter.join(quoted(v, delimiter) for v in row) for row in rows]
    return "\n".join(lines) + "\n"


def write(folder, name, text):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as f:
        f.write(text)


def people_table():
    columns = list(zip(*PEOPLE))
    return pa.table({
        "id": pa.array(columns[0], pa.int32()),
        "name": pa.array(columns[1], pa.string()),
        "age": pa.array(columns[2], pa.int16()),
        "city": pa.array(columns[3], pa.string()),
        "born": pa.array(columns[4], pa.float64()),
    })


def types_table():
    """One column of each type that Parquet and Arrow files hold; row 2 is all NULL."""
    utc = datetime.timezone.utc
    moment = datetime.datetime(2024, 2, 29, 12, 34, 56, 789000)
    columns = {
        "b": (pa.bool_(), True, False),
        "i8": (pa.int8(), -128, 127),
        "i16": (pa.int16(), -32768, 32767),
        "i32": (pa.int32(), -2147483648, 2147483647),
        "i64": (pa.int64(), -9223372036854775808, 9223372036854775807),
        "u8": (pa.uint8(), 0, 255),
        "u16": (pa.uint16(), 0, 65535),
        "u32": (pa.uint32(), 0, 4294967295),
        "u64": (pa.uint64(), 0, 18446744073709551615),
        "f32": (pa.float32(), 1.5, -0.25),
        "f64": (pa.float64(), 1e300, -1e-300),
        "d": (pa.decimal128(20, 4), decimal.Decimal("1234567890123456.7891"),
              decimal.Decimal("-0.0001")),
        "s": (pa.string(), "snow ☃", ""),
        "ls": (pa.large_string(), "large", "larger"),
        "bin": (pa.binary(), b"\x00\xff", b""),
        "date": (pa.date32(), datetime.date(2024, 2, 29), datetime.date(1969, 12, 31)),
        "t": (pa.time64("us"), datetime.time(23, 59, 59, 999999), datetime.time(0, 0)),
        "ts": (pa.timestamp("us"), moment, datetime.datetime(1970, 1, 1)),
        "tsz": (pa.timestamp("us", "UTC"), moment.replace(tzinfo=utc),
                datetime.datetime(1970, 1, 1, tzinfo=utc)),
        "l": (pa.list_(pa.int32()), [1, None, 3], []),
        "st": (pa.struct([("x", pa.int32()), ("y", pa.string())]), {"x": 1, "y": "one"},
               {"x": None, "y": None}),
    }
    return pa.table({name: pa.array([first, None, last], kind)
                     for name, (kind, first, last) in columns.items()})


def make(folder):
    people = people_table()
    text = csv_text(PEOPLE, PEOPLE_NAMES)
    write(folder, "people.csv", text)
    with open(os.path.join(folder, "people.csv.gz"), "wb") as f:
        with gzip.GzipFile(fileobj=f, mode="wb", mtime=0) as z:
            z.write(text.encode())
    with pa.CompressedOutputStream(os.path.join(folder, "people.csv.zst"), "zstd") as z:
        z.write(text.encode())
    write(folder, "people.tsv", csv_text(PEOPLE, PEOPLE_NAMES, "\t"))
    write(folder, "semicolon.csv", csv_text(PEOPLE, PEOPLE_NAMES, ";"))
    write(folder, "nohead.csv", csv_text(PEOPLE))
    write(folder, "na.csv", "k,v\na,1\nb,NA\nNA,3\n")
    write(folder, "comment.csv", "k,v\n# not data\na,1\nb,2\n")
    write(folder, "lines.csv", 'k,v\na,"one\ntwo"\nb,"three"\n')
    write(folder, "single.csv", "k,v\n'a,b',1\n'c',2\n")
    write(folder, "crlf.csv", "k,v\r\na,1\r\nb,2\r\n")
    write(folder, "empty.csv", "k,v\n")
    write(folder, "ragged.csv", "k,v\na,1\nb,2,3\n")
    write(folder, "with space.csv", "k,v\na,1\n")
    write(folder, "kinds.csv", "i,f,b,d,ts,s\n"
          "1,1.5,true,2024-01-31,2024-01-31 10:00:00,x\n"
          "-2,2e3,false,1999-12-31,1999-12-31 23:59:59,y\n")
    json_lines = [
        '{"id":1,"name":"Ada","tags":["a","b"],"pos":{"x":1,"y":2}}',
        '{"id":2,"name":null,"tags":[],"pos":{"x":3,"y":null}}',
        '{"id":3,"name":"Carl","tags":null,"pos":null}',
    ]
    write(folder, "events.jsonl", "\n".join(json_lines) + "\n")
    write(folder, "damaged/line.jsonl", '{"a": 1}\n{"a": 2}\n{"a": oops}\n{"a": 4}\n')
    write(folder, "events.json", "\n".join(json_lines) + "\n")
    write(folder, "events.ndjson", "\n".join(json_lines) + "\n")
    pq.write_table(people, os.path.join(folder, "people.parquet"))
    pq.write_table(people, os.path.join(folder, "people_zstd.parquet"), compression="zstd")
    pq.write_table(types_table(), os.path.join(folder, "types.parquet"))
    for name, table in (("people.arrow", people), ("types.arrow", types_table())):
        with pa.OSFile(os.path.join(folder, name), "wb") as f:
            with pa.ipc.new_file(f, table.schema) as w:
                w.write_table(table)
    with pa.OSFile(os.path.join(folder, "people_stream.arrow"), "wb") as f:
        with pa.ipc.new_stream(f, people.schema) as w:
            w.write_table(people)
    os.makedirs(os.path.join(folder, "parts"))
    for part in range(3):
        numbers = list(range(part * 4, part * 4 + 4))
        pq.write_table(pa.table({"n": pa.array(numbers, pa.int64()),
                                 "part": pa.array([f"p{part}"] * 4)}),
                       os.path.join(folder, "parts", f"part-{part}.parquet"))
        write(folder, f"csvparts/part-{part}.csv",
              csv_text([(n, f"p{part}") for n in numbers], ["n", "part"]))
    for year in (2023, 2024):
        for month in (1, 2):
            path = os.path.join(folder, "hive", f"year={year}", f"month={month}")
            os.makedirs(path)
            pq.write_table(pa.table({"v": pa.array([year * 100 + month, 7], pa.int64())}),
                           os.path.join(path, "data.parquet"))
            write(folder, f"hivecsv/year={year}/month={month}/data.csv",
                  f"v\n{year * 100 + month}\n7\n")
