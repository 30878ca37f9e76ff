#!/usr/bin/env python3
"""libigloo.so in one Python process with pyarrow, polars and duckdb.

  run.py --igloo build/igloo [TEST …]      libigloo.so lies beside the program

Each holds its own engine, allocator and thread pools; loading them together, in
any order, must not change what one of them answers. Each test is a process of
its own, because an order of loading can be tried only once in a process. The
last line is "N passed, M failed"."""

import argparse
import concurrent.futures
import os
import pathlib
import subprocess
import sys

SECONDS = 60


def check(found, expected):
    if found != expected:
        raise AssertionError(f"found {found!r}, expected {expected!r}")


def query_all(library, order):
    """Load in this order, then let each answer, then each once more."""
    answers = {}

    def igloo():
        if "igloo" not in answers:
            import igloo_capi
            answers["igloo"] = igloo_capi.Connection(library)
        table = answers["igloo"].query("SELECT sum(v) AS s FROM generate_series(1, 100000) AS t(v)")
        return table.read_all().column("s").to_pylist()[0]

    def duckdb():
        import duckdb as module
        return int(module.sql("SELECT sum(v) FROM range(1, 100001) t(v)").fetchall()[0][0])

    def polars():
        import polars as module
        frame = module.DataFrame({"v": range(1, 100001)}).lazy()
        return frame.select(module.col("v").sum()).collect().item()

    def pyarrow():
        import pyarrow as module
        import pyarrow.compute as compute
        return compute.sum(module.array(range(1, 100001))).as_py()

    engines = {"igloo": igloo, "duckdb": duckdb, "polars": polars, "pyarrow": pyarrow}
    for _ in range(2):
        for name in order:
            check((name, engines[name]()), (name, 5000050000))
    answers["igloo"].close()


def test_igloo_loaded_first_leaves_the_others_right(library):
    query_all(library, ["igloo", "pyarrow", "polars", "duckdb"])


def test_igloo_loaded_last_answers_right(library):
    query_all(library, ["duckdb", "polars", "pyarrow", "igloo"])


def test_igloo_loaded_between_the_others_answers_right(library):
    query_all(library, ["polars", "igloo", "duckdb", "pyarrow"])


def test_a_stream_of_pyarrow_becomes_a_table(library):
    import igloo_capi
    import pyarrow
    connection = igloo_capi.Connection(library)
    table = pyarrow.table({"k": ["a", "b", "a"], "v": [1, 2, 3]})
    connection.register("frame", table.to_reader())
    rows = connection.query("SELECT k, sum(v) AS s FROM frame GROUP BY k ORDER BY k").read_all()
    check(rows.to_pydict(), {"k": ["a", "b"], "s": [4, 2]})
    connection.close()


def test_a_result_is_read_by_polars_and_by_duckdb(library):
    import duckdb
    import igloo_capi
    import polars
    connection = igloo_capi.Connection(library)
    sql = "SELECT v, 'row ' || v AS t FROM generate_series(1, 1000) AS s(v)"
    frame = polars.from_arrow(connection.query(sql).read_all())
    check((frame.height, frame["v"].sum(), frame["t"][999]), (1000, 500500, "row 1000"))
    rows = connection.query(sql).read_all()  # duckdb finds it by its name
    check(duckdb.sql("SELECT count(*), sum(v), max(length(t)) FROM rows").fetchall()[0],
          (1000, 500500, 8))
    connection.close()


def test_a_result_outlives_its_connection(library):
    import igloo_capi
    connection = igloo_capi.Connection(library)
    reader = connection.query("SELECT v FROM generate_series(1, 200000) AS t(v)")
    connection.close()
    check(reader.read_all().num_rows, 200000)


def test_an_error_carries_its_sqlstate(library):
    import igloo_capi
    connection = igloo_capi.Connection(library)
    try:
        connection.query("SELECT 1 / 0").read_all()
    except igloo_capi.IglooError as error:
        check(error.sqlstate, "22012")
    except Exception as error:  # the failure may come with the first batch
        check("division by zero" in str(error), True)
    else:
        raise AssertionError("1 / 0 gave a result")
    check(connection.query("SELECT 42 AS n").read_all().to_pydict(), {"n": [42]})
    connection.close()


def test_the_library_shows_only_its_public_functions(library):
    listing = subprocess.run(["nm", "-D", "--defined-only", library], check=True,
                             capture_output=True, text=True).stdout
    names = [line.split()[-1] for line in listing.splitlines()]
    check([name for name in names if not name.startswith("igloo_")], [])
    check("igloo_query" in names, True)


def run_one(name, library):
    """Run a test in a process of its own; None, or why it failed."""
    try:
        done = subprocess.run(
            [sys.executable, __file__, "--library", library, name], timeout=SECONDS,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace")
    except subprocess.TimeoutExpired:
        return f"not done after {SECONDS} s"
    return None if done.returncode == 0 else f"exit code {done.returncode}\n{done.stdout}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--igloo", help="the program; libigloo.so lies beside it")
    parser.add_argument("--library", help=argparse.SUPPRESS)
    parser.add_argument("--long", action="store_true", help="the same tests")
    parser.add_argument("names", nargs="*", metavar="TEST")
    arguments = parser.parse_args()
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    tests = {name: f for name, f in globals().items() if name.startswith("test_")}
    if arguments.library:
        for name in arguments.names:
            tests[name](arguments.library)
        return 0
    library = str(pathlib.Path(arguments.igloo).resolve().parent / "libigloo.so")
    names = arguments.names or list(tests)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for name, why in zip(names, pool.map(lambda n: run_one(n, library), names)):
            print(f"{'FAILED' if why else 'ok':7} {name[5:]}")
            if why:
                failed += 1
                print("  " + why.rstrip().replace("\n", "\n  "))
    print(f"{len(names) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
