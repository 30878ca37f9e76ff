#!/usr/bin/env python3
"""Writes the first inputs of fuzz_ipc, which the unit tests damage too: an IPC stream by
pyarrow for each type and some with compression. usage: make_seeds.py [FOLDER]"""
import pathlib
import re
import sys

import pyarrow as pa

from arrays import LEAVES, NESTED, Maker, identifier

HERE = pathlib.Path(__file__).resolve().parent


def write(path, columns, **options):
    batch = pa.record_batch(columns)
    with pa.ipc.new_stream(str(path), batch.schema,
                           options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_batch(batch)
        writer.write_batch(batch.slice(1, 2))


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else HERE.parent / "fuzz/corpus/ipc")
    folder.mkdir(parents=True, exist_ok=True)
    for at in range(0, len(LEAVES), 8):
        kinds = LEAVES[at:at + 8]
        write(folder / f"leaves-{at:02}", {
            f"{i}": Maker(i, nulls=0.3).array(kind, 9) for i, kind in enumerate(kinds)})
    for i, kind in enumerate(NESTED):
        name = re.sub(r"[^a-z0-9]+", "-", identifier(kind)).strip("-")[:40]
        write(folder / f"{i:02}-{name}", {"c": Maker(i, nulls=0.2).array(kind, 4)})
    texts = {"t": ["a text that is long enough to be packed"] * 9, "n": list(range(9))}
    for codec in ("lz4", "zstd"):
        write(folder / f"compressed-{codec}", pa.table(texts).to_batches()[0].to_pydict(),
              compression=codec)


if __name__ == "__main__":
    main()
