#!/usr/bin/env python3
"""Builds the fuzzers, replays what they found before, and lets each search on.

usage: run.py [--igloo IGNORED] [--long] [--build FOLDER] [NAME…]

Each fuzzer first replays its corpus (tests/fuzz/corpus/NAME, and what is made of the SQL
cases), then searches: 2 seconds each with a fixed seed, 30 seconds each under --long with
a seed that is printed. An input that fails is left in build/fuzz/found/ and named. The
last line is "N passed, M failed".
"""
import argparse
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
NAMES = ["guard", "token", "config", "options", "protobuf", "ipc", "rpc", "copy", "cluster"]
LENGTH_MAX = 8192  # of an input: longer ones are made by repeating it
SHOWN_LINES = 40
SEARCH_SECONDS = 2  # of each fuzzer in `make test`,
SEEDS_EVERY = 20  # where most of it must not go into reading seeds
LONG_SEARCH_SECONDS = 30


def sql_texts():
    """The statements of the SQL cases: between a block's name and the next line of its kind."""
    for path in sorted((ROOT / "tests/sql").glob("*.case")):
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(r"^(?:query|setup):\n(.*?)(?=^[a-z ]+:|^---)", text, re.M | re.S):
            yield match.group(1).strip().encode()


def protobuf_seeds():
    """Messages of the unit tests: bare, and those of Flight SQL in an Any (fuzz_protobuf.c:
    the first byte 0 to 7 chooses a message of Flight, 9 is an Any)."""
    def field(number, data):
        length = bytes([len(data)]) if len(data) < 128 else bytes(
            [len(data) & 127 | 128, len(data) >> 7])
        return bytes([number << 3 | 2]) + length + data

    text = (ROOT / "tests/unit/wire/vectors.txt").read_text(encoding="utf-8")
    for i, (name, data) in enumerate(re.findall(r"^takes (\S+) (\S+)", text, re.M)):
        data = b"" if data == "-" else bytes.fromhex(data)
        if ".sql." in name and len(data) < 1 << 14:
            url = field(1, b"type.googleapis.com/" + name.encode())
            yield b"\x09" + url + field(2, data)
        else:
            yield bytes([i % 8]) + data


def rpc_seeds():
    """Requests to the methods of fuzz_rpc.c, by hand (tests/rpc/h2raw.py)."""
    sys.path.insert(0, str(ROOT / "tests/rpc"))
    import h2raw

    def request(path, stream, body, flags=h2raw.END_STREAM, extra=()):
        headers = [(":method", "POST"), (":scheme", "http"), (":path", path),
                   (":authority", "f"), ("content-type", "application/grpc"), *extra]
        return (h2raw.frame(h2raw.HEADERS, h2raw.END_HEADERS, stream, h2raw.hpack(headers)) +
                h2raw.frame(h2raw.DATA, flags, stream, body))

    message = h2raw.message
    yield b"\x03" + request("/e", 1, message(b"hello")) + request("/x", 3, message(b""))
    yield b"\x03" + request("/h", 1, message(b"1") * 100, 0) + request("/r", 3, b"\0\0", 0)
    yield b"\x03" + request("/h", 1, b"", 0, [("grpc-timeout", "1u"), ("a-bin", "AA==")]) + (
        h2raw.frame(h2raw.RESET, 0, 1, b"\0\0\0\x08"))
    yield b"\x03" + h2raw.frame(h2raw.PING, 0, 0, b"12345678") + (
        h2raw.frame(h2raw.GOAWAY, 0, 0, bytes(8)))
    yield b"\x02" + message(b"abc") * 70 + message(b"x" * 2000)
    yield b"\x00" + b"AAE=%C3%A4100m"


def copy_seeds():
    """Streams of COPY BINARY of one column, as fuzz_copy.c chooses types."""
    def stream(kind, *values):
        head = bytes([kind - 1, 0, 0, 0, 0]) + b"PGCOPY\n\xff\r\n\0" + bytes(8)
        for value in values:
            head += b"\0\1" + (b"\xff" * 4 if value is None else
                               len(value).to_bytes(4, "big") + value)
        return head + b"\xff\xff"

    numeric = bytes.fromhex("0002 0000 4000 0002 0001 0dac")
    item = bytes.fromhex("00000004 0000002a")
    array = bytes.fromhex("00000001 00000000 00000017 00000002 00000001") + item + b"\xff" * 4
    fields = b"".join(oid.to_bytes(4, "big") + value for oid, value in (
        (25, b"\0\0\0\2hi"), (23, item), (1700, b"\0\0\0\x0c" + numeric), (16, b"\0\0\0\1\1")))
    yield stream(1, b"text", None, "ü".encode())
    yield stream(7, b"\0", b"\1", None)
    yield stream(16, bytes(8), b"\x7f" + b"\xff" * 7, None)
    yield stream(20, numeric, None)
    yield stream(22, numeric, bytes.fromhex("0000 0000 c000 0000"))
    yield stream(23 + 25, array, bytes.fromhex("00000000 00000000 00000017"), None)
    yield stream(24, b"\0\0\0\4" + fields, None)


def make_seeds(name, folder, every):
    """Seeds that would only repeat other files of the repository; of SQL each `every`th."""
    if name in ("guard", "token"):
        prefix = b"\x3f\x07" if name == "guard" else b""
        for i, text in enumerate(sql_texts()):
            if i % every == 0 and len(text) <= LENGTH_MAX:
                (folder / f"case{i}").write_bytes(prefix + text)
    elif name == "protobuf":
        for i, data in enumerate(protobuf_seeds()):
            if i % every == 0:
                (folder / f"message{i}").write_bytes(data)
    elif name == "copy":
        for i, data in enumerate(copy_seeds()):
            (folder / f"stream{i}").write_bytes(data)
    elif name == "rpc":
        for i, data in enumerate(rpc_seeds()):
            (folder / f"request{i}").write_bytes(data)
    elif name == "config":
        section, lines = "", []
        keys = (ROOT / "src/config/keys.def").read_text(encoding="utf-8")
        for match in re.finditer(r'^IG_KEY\((\w+), (\w+), \w+, "([^"]*)"', keys, re.M):
            if match.group(1) != section:
                section = match.group(1)
                lines.append(f"[{section}]")
            value = "" if match.group(3).startswith("=") else match.group(3)
            lines.append(f'{match.group(2)} = "{value}"')
        (folder / "defaults").write_text("\n".join(lines) + "\n", encoding="utf-8")


def run(command, folder, seconds):
    """Run a fuzzer in a scratch folder; returns its exit code (None: too slow) and output."""
    environment = {key: value for key, value in os.environ.items()
                   if not key.startswith("IGLOO_")}
    environment["ASAN_OPTIONS"] = "detect_stack_use_after_return=1"
    environment["UBSAN_OPTIONS"] = "print_stacktrace=1"
    try:
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=seconds, check=False,
                              env=environment)
    except subprocess.TimeoutExpired as error:
        return None, (error.stdout or b"").decode(errors="replace")
    return done.returncode, done.stdout


def fuzz(name, build, seconds, seed):
    """Replay and search. Yields (what, passed, output)."""
    found = build / "found"
    found.mkdir(parents=True, exist_ok=True)
    committed = HERE / "corpus" / name
    with tempfile.TemporaryDirectory(prefix="igloo-fuzz-") as scratch:
        scratch = pathlib.Path(scratch)
        seeds, new, inside = scratch / "seeds", scratch / "new", scratch / "cwd"
        for folder in (seeds, new, inside):
            folder.mkdir()
        make_seeds(name, seeds, 1 if seconds > SEARCH_SECONDS else SEEDS_EVERY)
        command = [str(build / f"fuzz_{name}"), f"-max_len={LENGTH_MAX}", "-timeout=20",
                   "-rss_limit_mb=2048", f"-artifact_prefix={found}/{name}-"]
        code, output = run([*command, "-runs=0", str(committed), str(seeds)], inside, 120)
        yield f"{name}: the corpus holds", code == 0, output
        dictionary = HERE / f"{'sql' if name in ('guard', 'token') else name}.dict"
        words = [f"-dict={dictionary}"] if dictionary.exists() else []
        code, output = run([*command, *words, f"-max_total_time={seconds}",
                            f"-seed={seed}", str(new), str(committed), str(seeds)],
                           inside, seconds + 90)
        runs = re.search(r"Done (\d+) runs", output)
        yield (f"{name}: {seconds} s of search, seed {seed}, "
               f"{runs.group(1) if runs else 'no'} runs"), code == 0 and bool(runs), output


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--igloo", help="not used: the fuzzers hold what they test")
    parser.add_argument("--long", action="store_true", help="30 seconds each")
    parser.add_argument("--build", default=None, help="a folder with built fuzzers")
    parser.add_argument("names", nargs="*", metavar="NAME", default=NAMES)
    arguments = parser.parse_args()
    if arguments.build:
        build = pathlib.Path(arguments.build).resolve()
    else:
        build = ROOT / "build/fuzz"
        made = subprocess.run([str(ROOT / "tools/build.sh"), "fuzz", "fuzzers"], check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if made.returncode != 0:
            print(made.stdout[-8000:])
            print("0 passed, 1 failed")
            return 1
    passed = failed = 0
    for name in arguments.names or NAMES:
        seconds, seed = (
            (LONG_SEARCH_SECONDS, random.randrange(1, 2**31)) if arguments.long
            else (SEARCH_SECONDS, 1))
        for what, good, output in fuzz(name, build, seconds, seed):
            print(f"{'ok' if good else 'FAILED'}  {what}", flush=True)
            passed += good
            failed += not good
            if not good:
                print("\n".join(output.splitlines()[-SHOWN_LINES:]))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
