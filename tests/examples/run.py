#!/usr/bin/env python3
"""What the documents and examples/ show is true.

  run.py --igloo build/igloo [PATTERN]

Six kinds of test: each program of examples/c compiles alone against the public
headers and prints what its .out file says, embedded and over a server; so does one with what
`make install` installs; the sample question of `make run` gives the rows that DuckDB gives for the same text over the same
files and tables; so does that of examples/federation, with a PostgreSQL of its own; each `$ igloo …` command in a ```console block of README.md and docs/ prints what
stands below it. Commands run in a folder with the sample's files. A page of docs/tutorials is one
session of a shell from its first command to its last, in a folder of its own. The last line is
"N passed, M failed"."""

import argparse
import contextlib
import csv
import difflib
import io
import os
import pathlib
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SAMPLE = ROOT / "build/sample"
SECONDS = 60


class Failure(Exception):
    pass


def run(command, cwd=ROOT, **more):
    done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, text=True, timeout=SECONDS,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
    return done.returncode, done.stdout


def compare(expected, found):
    if expected.rstrip() != found.rstrip():
        raise Failure("\n".join(difflib.unified_diff(
            expected.rstrip().splitlines(), found.rstrip().splitlines(),
            "expected", "found", lineterm="")))


@contextlib.contextmanager
def serve(igloo, folder):
    """A server that asks nobody who they are; gives its URI."""
    server = subprocess.Popen(
        [str(igloo), "serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--set",
         "auth.mode=none", "--set", "log.level=error"],
        cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        said = iter(server.stdout.readline, "")
        yield next("igloo://" + line.split("//")[1].strip() for line in said
                   if line.startswith("listening on grpc://"))
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def test_program(igloo, source):
    """A program of examples/c: strict C11, only the public headers. It prints the same with
    the engine in its process and, its only argument, the URI of a server."""
    expected = source.with_suffix(".out")
    if not expected.exists():
        raise Failure(f"{expected.name} is missing: what the program prints")
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/{source.stem}"
        code, output = run(["gcc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                            f"-I{ROOT}/include", str(source), "-o", program,
                            f"-L{igloo.parent}", "-ligloo", f"-Wl,-rpath,{igloo.parent}"])
        if code:
            raise Failure(output)
        with serve(igloo, folder) as uri:
            for command in ([program], [program, uri]):
                code, output = run(command, cwd=folder)
                if code:
                    raise Failure(f"exit code {code}\n{output}")
                compare(expected.read_text(), output)


def test_installed(igloo):
    """What `make install` copies works where it was copied to: the program with its drivers, and the
    library as pkg-config tells."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PKG_CONFIG_PATH": f"{folder}/lib/pkgconfig",
                       "LD_LIBRARY_PATH": f"{folder}/lib"}
        source = ROOT / "examples/c/query.c"
        for command, expected in [
                (["cmake", "--install", str(igloo.parent), "--prefix", folder], None),
                (["sh", "-c", f"cc {source} $(pkg-config --cflags --libs igloo) -o {folder}/query"],
                 ""),
                ([f"{folder}/query"], source.with_suffix(".out").read_text()),
                ([f"{folder}/bin/igloo", "sql", "--format", "tsv", "-c",
                  "SELECT count(*) AS drivers FROM igloo.system.drivers"], "drivers\n2\n")]:
            code, output = run(command, cwd=folder, env=environment)
            if code:
                raise Failure(f"exit code {code}\n{output}")
            if expected is not None:
                compare(expected, output)


def make_cell(value):
    """A value as text that both engines must agree on: numbers by value."""
    try:
        return f"{float(value):.6g}"
    except (TypeError, ValueError):
        return "" if value is None else str(value)


def load_fleet(connection):
    """The tables of fleet.db in DuckDB, by way of Python's own sqlite3."""
    connection.execute("CREATE SCHEMA fleet")
    source = sqlite3.connect(f"file:{SAMPLE}/fleet.db?mode=ro", uri=True)
    for table in ("airlines", "planes"):
        columns = source.execute(f"SELECT name, type FROM pragma_table_info('{table}')").fetchall()
        connection.execute(f"CREATE TABLE fleet.{table} ("
                           + ", ".join(f"{name} {type}" for name, type in columns) + ")")
        connection.executemany(
            f"INSERT INTO fleet.{table} VALUES ({', '.join('?' * len(columns))})",
            source.execute(f"SELECT * FROM {table}").fetchall())
    source.close()


def test_sample(igloo):
    import duckdb
    attach = (ROOT / "examples/sample/attach.sql").read_text()
    question = (ROOT / "examples/sample/question.sql").read_text()
    code, output = run([str(igloo), "sql", "--format", "csv", "-c", attach, "-c", question],
                       cwd=SAMPLE)
    if code:
        raise Failure(output)
    found = [[make_cell(cell) for cell in row] for row in list(csv.reader(io.StringIO(output)))[1:]]
    connection = duckdb.connect()
    load_fleet(connection)
    connection.execute(f"SET file_search_path = '{SAMPLE}'")
    rows = connection.execute(question).fetchall()
    expected = [[make_cell(cell) for cell in row] for row in rows]
    compare("\n".join(map(str, expected)), "\n".join(map(str, found)))
    if len(rows) != 8:
        raise Failure(f"{len(rows)} rows")


def test_sample_counts(igloo):
    """What Igloo made holds what the distribution holds."""
    counts = {"'flights.parquet'": 336776, "'airlines.csv'": 16, "'airports.csv'": 1458,
              "'weather.csv'": 26115, "'weather.json'": 26115, "fleet.airlines": 16,
              "fleet.planes": 3322}
    attach = (ROOT / "examples/sample/attach.sql").read_text()
    for name, expected in counts.items():
        sql = f"SELECT count(*) AS n FROM {name}"
        code, output = run([str(igloo), "sql", "--format", "csv", "-c", attach, "-c", sql],
                           cwd=SAMPLE)
        compare(f"n\n{expected}", output)


def load_bookings(connection, server):
    """The bookings of PostgreSQL in DuckDB, under the same name."""
    connection.execute("ATTACH ':memory:' AS pg; CREATE SCHEMA pg.travel")
    connection.execute("CREATE TABLE pg.travel.bookings (id BIGINT, carrier TEXT, flight INTEGER,"
                       " day DATE, price DECIMAL(8, 2))")
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/bookings.csv"
        run(["psql", "-qX", server.uri, "-c", f"\\copy travel.bookings TO '{path}' CSV"])
        connection.execute(f"COPY pg.travel.bookings FROM '{path}'")


def test_federation(igloo):
    """examples/federation prints what its .out file says, and DuckDB says the same."""
    import duckdb
    sys.path.insert(0, str(ROOT / "tests/sources"))
    from postgres import BIN, Postgres
    os.environ["PATH"] = f"{BIN}:{os.environ['PATH']}"
    folder = ROOT / "examples/federation"
    server = Postgres()
    try:
        code, output = run([str(folder / "run.sh"), server.uri])
        if code:
            raise Failure(output)
        compare((folder / "run.out").read_text(), output)
        connection = duckdb.connect()
        load_fleet(connection)
        load_bookings(connection, server)
    finally:
        server.done()
    connection.execute(f"SET file_search_path = '{SAMPLE}'")
    rows = connection.execute((folder / "question.sql").read_text()).fetchall()
    found = [[cell.strip() for cell in line.split("│")[1:-1]]
             for line in output.splitlines() if line.startswith("│")][2:]
    compare("\n".join(str([make_cell(cell) for cell in row]) for row in rows),
            "\n".join(str([make_cell(cell) for cell in row]) for row in found))


def list_commands(document):
    """(line, command, output) of each ```console block."""
    block, command, output, start = None, None, [], 0
    for number, line in enumerate(document.read_text().splitlines(), 1):
        if line.startswith("```"):
            if block is not None and command:
                yield start, command, "\n".join(output)
            block = [] if line.strip() == "```console" and block is None else None
            command, output = None, []
        elif block is not None and line.startswith("$ "):
            if command:
                yield start, command, "\n".join(output)
            command, output, start = line[2:], [], number
        elif block is not None and line.startswith("> ") and command and not output:
            command += "\n" + line[2:]
        elif block is not None:
            output.append(line)


def make_environment(igloo):
    kept = {key: value for key, value in os.environ.items() if not key.startswith("IGLOO_")}
    return {**kept, "PATH": f"{igloo.parent}:{os.environ['PATH']}", "COLUMNS": "100",
            "LC_ALL": "C.UTF-8"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


class Session:
    """A shell that is typed into, and all that it starts."""

    END = "--- the prompt, as it were ---"

    def __init__(self, igloo, folder):
        # A session of its own, so that what it left in the background can be ended.
        self.process = subprocess.Popen(
            ["bash"], cwd=folder, env=make_environment(igloo), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)

    def type(self, command):
        """What it prints until the next prompt."""
        self.process.stdin.write(f"{command}\necho '{self.END}'\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if line.rstrip("\n") == self.END:
                return "".join(lines)
            lines.append(line)
        raise Failure(f"the shell has ended\n{''.join(lines)}")

    def end(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def make_steady(text):
    """What differs from run to run, the same in each: times, ids and ports."""
    text = re.sub(r"\b\d+(\.\d+)? ?(ms|s|µs)\b", "N s", text)
    text = re.sub(r"\b([cw])-[0-9a-f]{8}-[0-9a-f]{8}\b", r"\1-00000000-00000000", text)
    return re.sub(r"127\.0\.0\.1:\d{5}\b", "127.0.0.1:00000", text)


def test_tutorial(igloo, document):
    """Its ports are the reader's; here they are free ones of as many digits. What comes in time
    but not at once, such as a worker that joins, is looked at again."""
    ports = {"50051": free_port(), "8090": free_port()}
    with tempfile.TemporaryDirectory() as folder:
        for file in SAMPLE.glob("*.*"):
            (pathlib.Path(folder) / file.name).symlink_to(file)
        session = Session(igloo, folder)
        try:
            for line, command, expected in list_commands(document):
                for old, new in ports.items():
                    command, expected = command.replace(old, new), expected.replace(old, new)
                until = time.monotonic() + SECONDS / 4
                while True:
                    output = session.type(command)
                    if make_steady(output).rstrip() == make_steady(expected).rstrip():
                        break
                    if time.monotonic() > until or command.rstrip().endswith("&"):
                        try:
                            compare(make_steady(expected), make_steady(output))
                        except Failure as failure:
                            raise Failure(f"line {line}: {command}\n{failure}") from None
                    time.sleep(0.05)
        finally:
            session.end()


def test_command(igloo, command, expected, folder):
    _, output = run(["bash", "-c", command], cwd=folder, env=make_environment(igloo))
    # Times differ from run to run.
    times = re.compile(r"\b\d+(\.\d+)? ?(ms|s|µs)\b")
    compare(times.sub("N s", expected), times.sub("N s", output))


def make_tests(igloo, folder):
    for source in sorted((ROOT / "examples/c").glob("*.c")):
        yield f"examples/c/{source.name} prints what it should", (
            lambda source=source: test_program(igloo, source))
    yield "what is installed works where it lies", lambda: test_installed(igloo)
    yield "the sample question is answered as DuckDB answers it", lambda: test_sample(igloo)
    yield "one question over PostgreSQL, SQLite and Parquet", lambda: test_federation(igloo)
    yield "the sample's files hold every row", lambda: test_sample_counts(igloo)
    for document in sorted((ROOT / "docs/tutorials").glob("*.md")):
        yield f"{document.relative_to(ROOT)} is a session that goes as it says", (
            lambda document=document: test_tutorial(igloo, document))
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]:
        if document.exists() and document.parent.name != "tutorials":
            for line, command, output in list_commands(document):
                if command.startswith(("igloo ", "echo ", "printf ")):
                    yield f"{document.relative_to(ROOT)}:{line} {command.splitlines()[0]}", (
                        lambda c=command, o=output: test_command(igloo, c, o, folder))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--igloo", required=True, help="libigloo.so lies beside it")
    parser.add_argument("--long", action="store_true", help="the same tests")
    parser.add_argument("pattern", nargs="?", default="")
    arguments = parser.parse_args()
    igloo = pathlib.Path(arguments.igloo).resolve()
    code, output = run(["tools/sample.sh", "--prepare"])
    if code:
        print(output)
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for file in SAMPLE.glob("*.*") if SAMPLE.exists() else ():
            (pathlib.Path(folder) / file.name).symlink_to(file)
        for name, test in make_tests(igloo, folder):
            if arguments.pattern not in name:
                continue
            try:
                test()
                passed += 1
                print(f"ok      {name}")
            except Exception as error:
                failed += 1
                print(f"FAILED  {name}\n  " + str(error).rstrip().replace("\n", "\n  "))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
