"""Good data files of many kinds, and ways to damage them. Everything follows from a seed."""

import bz2
import datetime
import decimal
import gzip
import io
import json
import lzma
import random
import struct
import zlib

import duckdb
import pyarrow
import pyarrow.csv
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet

ROWS = 600
TRUNCATED = "truncated"  # the mutation after which a file that knows its end is an error


# ---- good files ----------------------------------------------------------------------------

def flat_table():
    """What CSV and JSON hold: `i` counts from 0."""
    numbers = range(ROWS)
    return pyarrow.table({
        "i": pyarrow.array(numbers, pyarrow.int64()),
        "f": pyarrow.array([n / 7 for n in numbers], pyarrow.float64()),
        "s": pyarrow.array([None if n % 11 == 0 else f"text, \"{n % 40}\"\né" for n in numbers]),
        "b": pyarrow.array([n % 3 == 0 for n in numbers]),
        "d": pyarrow.array([datetime.date(2020, 1, 1) + datetime.timedelta(n) for n in numbers]),
        "t": pyarrow.array([datetime.datetime(2020, 1, 1) + datetime.timedelta(0, n)
                            for n in numbers], pyarrow.timestamp("us")),
    })


def typed_table():
    """Every type that the engine reads from Parquet and Arrow files, NULLs included."""
    numbers = range(ROWS)

    def sparse(values, kind):
        return pyarrow.array([None if n % 7 == 3 else value
                              for n, value in enumerate(values)], kind)

    columns = {"i": pyarrow.array(numbers, pyarrow.int64())}
    for bits in (8, 16, 32, 64):
        for name, top in (("int", 2 ** (bits - 1)), ("uint", 2 ** bits)):
            kind = getattr(pyarrow, f"{name}{bits}")()
            columns[f"{name}{bits}"] = sparse([n * 7919 % top for n in numbers], kind)
    moment = datetime.datetime(2021, 3, 4, 5, 6, 7)
    moments = [moment + datetime.timedelta(0, n * 1001) for n in numbers]
    item = pyarrow.struct([("a", pyarrow.int32()), ("b", pyarrow.string())])
    columns |= {
        "real": sparse([n / 3 for n in numbers], pyarrow.float32()),
        "double": sparse([n / 3 for n in numbers], pyarrow.float64()),
        "bool": sparse([n % 2 == 0 for n in numbers], pyarrow.bool_()),
        "dec9": sparse([decimal.Decimal(n) / 100 for n in numbers], pyarrow.decimal128(9, 2)),
        "dec38": sparse([decimal.Decimal(n) for n in numbers], pyarrow.decimal128(38, 10)),
        "date": sparse([m.date() for m in moments], pyarrow.date32()),
        "time": sparse([m.time() for m in moments], pyarrow.time64("us")),
        "ms": sparse(moments, pyarrow.timestamp("ms")),
        "us": sparse(moments, pyarrow.timestamp("us")),
        "ns": sparse(moments, pyarrow.timestamp("ns", "UTC")),
        "text": sparse([f"value {n}" * (n % 5) for n in numbers], pyarrow.string()),
        "word": sparse([f"w{n % 13}" for n in numbers], pyarrow.string()),
        "bytes": sparse([bytes([n % 256]) * (n % 9) for n in numbers], pyarrow.binary()),
        "fixed": sparse([struct.pack("<q", n) for n in numbers], pyarrow.binary(8)),
        "list": sparse([list(range(n % 6)) for n in numbers], pyarrow.list_(pyarrow.int32())),
        "struct": sparse([{"a": n, "b": str(n)} for n in numbers], item),
        "list_of_struct": sparse([[{"a": k, "b": "x" * k} for k in range(n % 4)]
                                  for n in numbers], pyarrow.list_(item)),
        "list_of_list": sparse([[[n], [None, n + 1]] for n in numbers],
                               pyarrow.list_(pyarrow.list_(pyarrow.int64()))),
        "map": sparse([[(f"k{k}", k) for k in range(n % 3)] for n in numbers],
                      pyarrow.map_(pyarrow.string(), pyarrow.int32())),
    }
    table = pyarrow.table(columns)
    place = table.schema.get_field_index("word")
    return table.set_column(place, "word", table.column("word").dictionary_encode())


def parquet_bytes(table, **options):
    out = io.BytesIO()
    pyarrow.parquet.write_table(table, out, row_group_size=250, **options)
    return out.getvalue()


def ipc_bytes(table, opener, compression=None):
    out = io.BytesIO()
    options = pyarrow.ipc.IpcWriteOptions(compression=compression)
    with opener(out, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=200)
    return out.getvalue()


def parquet_files(table):
    files = {codec: parquet_bytes(table, compression=codec)
             for codec in ("none", "snappy", "gzip", "brotli", "zstd", "lz4")}
    files["pages"] = parquet_bytes(
        table, compression="none", data_page_size=512, write_batch_size=64,
        write_page_index=True, write_page_checksum=True, data_page_version="2.0",
        use_dictionary=False)
    encodings = {"i": "DELTA_BINARY_PACKED", "text": "DELTA_BYTE_ARRAY", "fixed": "PLAIN",
                 "bytes": "DELTA_LENGTH_BYTE_ARRAY", "double": "BYTE_STREAM_SPLIT"}
    narrow = table.select([*encodings, "int32", "list"])
    files["encodings"] = parquet_bytes(
        narrow, compression="snappy", use_dictionary=False, column_encoding=encodings)
    files["bloom"] = parquet_bytes(
        narrow, compression="zstd", write_page_index=True,
        bloom_filter_options={"i": {"ndv": ROWS}, "text": {"ndv": ROWS}})
    return {f"{name}.parquet": data for name, data in files.items()}


def duckdb_parquet(folder):
    path = folder / "duckdb.parquet"
    connection = duckdb.connect()
    connection.execute(f"""COPY (SELECT n AS i, n % 10 AS k, 'v' || (n % 20) AS text,
        [n, n + 1] AS list, {{'a': n}} AS item FROM range({ROWS}) t(n))
        TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 2048)""")
    connection.close()
    return path.read_bytes()


def text_files(table):
    out = io.BytesIO()
    pyarrow.csv.write_csv(table, out)
    csv = out.getvalue()
    rows = [{**row, "l": [n], "o": {"x": n, "y": None}}
            for n, row in enumerate(table.to_pylist())]
    lines = "".join(json.dumps(row, default=str) + "\n" for row in rows).encode()
    packers = {"": bytes, ".gz": lambda data: gzip.compress(data, mtime=0),
               ".bz2": bz2.compress, ".xz": lzma.compress,
               ".zst": lambda data: pyarrow.compress(data, "zstd", asbytes=True)}
    return {f"plain.{kind}{end}": pack(data) for kind, data in (("csv", csv), ("json", lines))
            for end, pack in packers.items()}


def good_files(folder):
    """Name → bytes; each has a column `i` that counts from 0 to ROWS - 1."""
    typed = typed_table()
    return {
        **parquet_files(typed),
        "duckdb.parquet": duckdb_parquet(folder),
        **text_files(flat_table()),
        "file.arrow": ipc_bytes(typed, pyarrow.ipc.new_file),
        "file_lz4.arrow": ipc_bytes(typed, pyarrow.ipc.new_file, "lz4"),
        "file_zstd.arrow": ipc_bytes(typed, pyarrow.ipc.new_file, "zstd"),
        "stream.arrow": ipc_bytes(typed, pyarrow.ipc.new_stream),
        "stream_lz4.arrow": ipc_bytes(typed, pyarrow.ipc.new_stream, "lz4"),
    }


# ---- damage --------------------------------------------------------------------------------

HUGE = (0x7fffffff, 0xffffffff, 0x80000000, 0x7fffffffffffffff, 0x8000000000000000, 1 << 33)


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out + bytes([number]))


def somewhere(data, chance):
    """A place; as often as not where the lengths are: in the first or the last part."""
    edge = min(len(data), 6000)
    return chance.choice((chance.randrange(len(data)), chance.randrange(edge),
                          len(data) - 1 - chance.randrange(edge)))


def flip_bits(data, chance):
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        out[somewhere(data, chance)] ^= 1 << chance.randrange(8)
    return bytes(out)


def change_bytes(data, chance):
    out = bytearray(data)
    for _ in range(chance.choice((1, 4, 16))):
        out[somewhere(data, chance)] = chance.choice((0, 0xff, 0x7f, chance.randrange(256)))
    return bytes(out)


def truncate(data, chance):
    return data[:chance.choice((chance.randrange(len(data)), len(data) - chance.randrange(1, 16)))]


def zero_page(data, chance):
    size = 4096 if len(data) > 3 * 4096 else 64
    start = chance.randrange(len(data) // size) * size
    return data[:start] + bytes(len(data[start:start + size])) + data[start + size:]


def piece(data, chance):
    start = somewhere(data, chance)
    return start, data[start:start + chance.choice((1, 8, 100, 5000))]


def duplicate(data, chance):
    start, part = piece(data, chance)
    return data[:start] + part + data[start:]


def insert(data, chance):
    _, part = piece(data, chance)
    start = somewhere(data, chance)
    return data[:start] + part + data[start:]


def remove(data, chance):
    start, part = piece(data, chance)
    return data[:start] + data[start + len(part):]


def overwrite(data, start, part):
    return data[:start] + part + data[start + len(part):]


def blow_up(data, chance):
    """A length becomes huge: as a 32- or 64-bit integer, or as the varint of Thrift."""
    number = chance.choice(HUGE)
    start = somewhere(data, chance)
    form = chance.randrange(3)
    if form == 0:
        return overwrite(data, start, varint(number))
    start -= start % (4 * form)
    return overwrite(data, start, struct.pack("<Q", number)[:4 * form])


def blow_up_footer(data, chance):
    if data[-4:] == b"PAR1":
        return overwrite(data, len(data) - 8, struct.pack("<I", chance.choice(HUGE[:3])))
    if data[-6:] == b"ARROW1":
        return overwrite(data, len(data) - 10, struct.pack("<I", chance.choice(HUGE[:3])))
    return overwrite(data, 0, struct.pack("<I", chance.choice(HUGE[:3])))


DAMAGE = {"bits": flip_bits, "bytes": change_bytes, TRUNCATED: truncate, "zeros": zero_page,
          "twice": duplicate, "inserted": insert, "removed": remove, "length": blow_up,
          "footer": blow_up_footer}


def damaged(files, count, seed):
    """`count` damaged files: (name, bytes, kind of damage), kinds and files in turn."""
    names = sorted(files)
    kinds = ["bits", "bytes", TRUNCATED, "zeros", "length", "twice", "bits", "inserted", "length",
             "removed", TRUNCATED, "footer", "length", "bytes"]
    for number in range(count):
        chance = random.Random(f"{seed}/{number}")
        name = names[number % len(names)]
        kind = kinds[number // len(names) % len(kinds)]
        data = DAMAGE[kind](files[name], chance)
        yield f"{number}-{kind}-{name}", data, kind


# ---- made by hand ----------------------------------------------------------------------------

def gzip_bomb(text, times):
    """`times` copies of `text` in one gzip member, a thousandth as large."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    block = packer.compress(text) + packer.flush(zlib.Z_FULL_FLUSH)  # refers to nothing before
    check = 0
    for _ in range(times):
        check = zlib.crc32(text, check)
    return (b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + block * times + packer.flush()
            + struct.pack("<II", check, len(text) * times % 2**32))


def zstd_with_window(exponent):
    """A frame that announces a window of 2^exponent bytes and holds one raw block."""
    window = bytes([(exponent - 10) << 3])
    text = b"i,s\n0,x\n"
    return b"\x28\xb5\x2f\xfd\x00" + window + struct.pack("<I", len(text) << 3 | 1)[:3] + text


def parquet_of_footer(footer):
    return b"PAR1" + footer + struct.pack("<I", len(footer)) + b"PAR1"


def arrow_of_footer(footer):
    return b"ARROW1\0\0" + footer + struct.pack("<I", len(footer)) + b"ARROW1"


def hand_made(long):
    """Name → bytes of files that no writer makes."""
    nesting = 100_000
    wide = 1_000_000
    line = 100_000_000 if long else 20_000_000
    bomb = 4000 if long else 200  # MiB
    files = {}
    for end in ("parquet", "csv", "json", "arrow", "csv.gz", "csv.zst", "json.gz"):
        files[f"empty.{end}"] = b""
        files[f"nul.{end}"] = bytes(4096)
        files[f"one_byte.{end}"] = b"P"
    files |= {
        "magic.parquet": b"PAR1",
        "magics.parquet": b"PAR1PAR1",
        "footer_len.parquet": b"PAR1" + b"\xff\xff\xff\xffPAR1",
        "footer_negative.parquet": b"PAR1" + b"\0" * 16 + b"\0\0\0\x80PAR1",
        "thrift_structs.parquet": parquet_of_footer(b"\x1c" * nesting),
        "thrift_lists.parquet": parquet_of_footer(b"\x19" + b"\x19" * nesting),
        "thrift_list_len.parquet": parquet_of_footer(b"\x15\x02\x19\xfc\xff\xff\xff\xff\x07"),
        "thrift_unknown_nested.parquet": parquet_of_footer(b"\xfc" + b"\x1c" * nesting),
        "thrift_binary_len.parquet": parquet_of_footer(
            b"\x15\x02\x19\x1c\x48\xff\xff\xff\xff\x07"),
        "encrypted.parquet": b"PARE" + b"\0" * 64 + struct.pack("<I", 32) + b"PARE",
        "magic.arrow": b"ARROW1",
        "magics.arrow": b"ARROW1\0\0" + b"ARROW1",
        "footer_len.arrow": b"ARROW1\0\0" + b"\0" * 32 + b"\xff\xff\xff\x7fARROW1",
        "footer_zero.arrow": arrow_of_footer(b"\0" * 64),
        "footer_ones.arrow": arrow_of_footer(b"\xff" * 64),
        "message_len.arrow": b"\xff\xff\xff\xff\xff\xff\xff\x7f" + b"\0" * 64,
        "message_negative.arrow": b"\xff\xff\xff\xff\0\0\0\x80" + b"\0" * 64,
        "message_zeros.arrow": b"\xff\xff\xff\xff" + struct.pack("<i", 64) + b"\0" * 64,
        "message_ones.arrow": b"\xff\xff\xff\xff" + struct.pack("<i", 64) + b"\x01" * 64,
        "columns.csv": b",".join(b"c%d" % n for n in range(wide)) + b"\n" + b"1," * wide + b"\n",
        "line.csv": b"i,s\n0," + b"x" * line + b"\n",
        "quote.csv": b'i,s\n0,"' + b"never closed\n" * 200_000,
        "quotes.csv": b'i,s\n' + b'"' * 1_000_001,
        "breaks.csv": b"\n" * 3_000_000,
        "commas.csv": b"," * 200_000,
        "not_utf8.csv": b"i,s\n0,\xff\xfe\xc3\x28\n",
        "nul.csv": b"i,s\n0,a\0b\n",
        "ragged.csv": b"i,s\n" + b"".join(b"%d" % n + b",x" * (n % 5) + b"\n" for n in range(3000)),
        "bom.csv": b"\xef\xbb\xbf" * 50,
        "utf16.csv": "i,s\n0,x\n".encode("utf-16"),
        "numbers.csv": b"i\n" + b"9" * 1_000_000 + b"\n",
        "exponents.csv": b"i\n1e999999999\n-1e-999999999\n",
        "depth.json": b'{"i":' + b"[" * nesting + b"]" * nesting + b"}\n",
        "depth_objects.json": b'{"a":' * nesting + b"1" + b"}" * nesting + b"\n",
        "depth_open.json": b"[" * nesting,
        "depth_late.json": b'{"i":1}\n' * 30_000 + b'{"i":' + b"[" * nesting + b"\n",
        "line.json": b'{"i":"' + b"x" * line + b'"}\n',
        "keys.json": b"{" + b",".join(b'"k%d":1' % n for n in range(100_000)) + b"}\n",
        "keys_change.json": b"".join(b'{"k%d":1}\n' % n for n in range(20_000)),
        "unclosed.json": b'{"i":1,"s":"abc\n',
        "surrogates.json": b'{"i":0,"s":"\\ud800\\udc00 \\ud800"}\n',
        "escapes.json": b'{"i":0,"s":"\\u00"}\n',
        "not_utf8.json": b'{"i":0,"s":"\xff\xfe"}\n',
        "numbers.json": b'{"i":' + b"9" * 100_000 + b"}\n",
        "exponents.json": b'{"i":1e999999999}\n{"i":-1e-999999999}\n',
        "kinds.json": b'{"i":1}\n{"i":"x"}\n{"i":[1]}\n{"i":{"a":1}}\n{"i":null}\n[1]\n7\n"t"\n',
        "bomb.csv.gz": gzip_bomb(b"1,x\n" * (1 << 18), bomb),
        "bomb_line.csv.gz": gzip_bomb(b"x" * (1 << 20), bomb),
        "bomb_line.json.gz": gzip_bomb(b'{"i":"' + b"x" * (1 << 20), bomb),
        "bomb_open.json.gz": gzip_bomb(b"[" * (1 << 20), bomb),
        "window.csv.zst": zstd_with_window(40),
        "window_27.csv.zst": zstd_with_window(27),
        "member_in_tail.csv.gz": gzip.compress(b"i\n0\n", mtime=0) + b"\x1f\x8b",
        "garbage_in_tail.csv.gz": gzip.compress(b"i\n0\n", mtime=0) + b"garbage",
        "text.csv.gz": b"i,s\n0,x\n",
        "gzip.csv": gzip.compress(b"i\n0\n", mtime=0),
    }
    return files
