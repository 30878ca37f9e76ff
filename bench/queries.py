"""The 22 TPC-H queries on warm engines, and the memory that a fresh process takes for some."""

import contextlib
import pathlib
import statistics
import sys
import tempfile

import pyarrow.ipc

import stats
from engines import NAMES, Engine, EngineError, turns

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "tpch"))
import run as tpch  # noqa: E402  (the files, the queries and how answers are compared)

MEMORY_QUERIES = (1, 9, 18, 21)
MEMORY_RUNS = 3


def tables(folder):
    return {name: f"{folder}/{name}.parquet" for name in tpch.TABLES}


def rows_of(path):
    table = pyarrow.ipc.open_file(path).read_all()
    columns = [column.to_pylist() for column in table.columns]
    return [field.type for field in table.schema], [list(row) for row in zip(*columns)]


def check_answers(engines, number, sql):
    """All engines give DuckDB's rows, or this is no comparison."""
    with tempfile.TemporaryDirectory(prefix="igloo-bench-") as folder:
        answers = {}
        for name, engine in engines.items():
            engine.ask({"run": sql, "answer": f"{folder}/{name}.arrow"})
            answers[name] = rows_of(f"{folder}/{name}.arrow")
        for name in NAMES[:-1]:
            try:
                tpch.compare(answers["duckdb"][1], *answers[name])
            except tpch.Mismatch as error:
                raise EngineError(f"q{number:02d}: {name} and duckdb differ: {error}") from error


def measure(setup, say):
    """{query: {engine: [[cpu, wall] of each pair]}}, in nanoseconds."""
    folder = tpch.data_folder(setup.scale)
    texts = {n: tpch.query_text(n, setup.scale) for n in setup.queries}
    measured = {n: {name: [] for name in NAMES} for n in setup.queries}
    with contextlib.ExitStack() as stack:
        engines = {name: stack.enter_context(
            Engine(name, setup.library, setup.threads, tables(folder))) for name in NAMES}
        for number, sql in texts.items():
            say(f"answers of q{number:02d} are compared")
            check_answers(engines, number, sql)
            for engine in engines.values():  # and once more, so that all is warm
                engine.ask({"run": sql})
        for pair in range(setup.pairs):
            say(f"queries, pair {pair + 1} of {setup.pairs}")
            for number, sql in texts.items():
                for name in turns(NAMES, pair + number):
                    measured[number][name] += engines[name].ask({"run": sql})["ns"]
    return measured


def summarise(measured):
    """Per query and of all: medians and ratios to each peer."""
    def series(number, name, which):
        return [spent[which] for spent in measured[number][name]]

    def ratios(ours, theirs):
        return {peer: stats.ratio(ours, theirs[peer]) for peer in NAMES[1:]}

    summary = {"queries": {}, "total": {}, "geometric_mean": {}}
    kinds = {"cpu": 0, "wall": 1}
    for number in measured:
        entry = {"ms": {name: {kind: statistics.median(series(number, name, at)) / 1e6
                               for kind, at in kinds.items()} for name in NAMES}}
        for kind, at in kinds.items():
            entry[kind] = ratios(series(number, "igloo", at),
                                 {peer: series(number, peer, at) for peer in NAMES[1:]})
        summary["queries"][f"q{number:02d}"] = entry
    for kind, at in kinds.items():
        totals = {name: [sum(pair) for pair in zip(*(series(n, name, at) for n in measured))]
                  for name in NAMES}
        summary["total"][kind] = ratios(totals["igloo"], totals)
        summary["total"][f"{kind}_ms"] = {
            name: statistics.median(total) / 1e6 for name, total in totals.items()}
        means = {name: [stats.geometric_mean(pair)
                        for pair in zip(*(series(n, name, at) for n in measured))]
                 for name in NAMES}
        summary["geometric_mean"][kind] = ratios(means["igloo"], means)
    return summary


def measure_memory(setup, say):
    """Peak resident memory of a fresh process that runs one query, in KiB, and the part of
    it that Python had before an engine was loaded."""
    files = tables(tpch.data_folder(setup.scale))
    found = {}
    for number in MEMORY_QUERIES:
        say(f"memory of q{number:02d}")
        sql = tpch.query_text(number, setup.scale)
        peaks, before = {name: [] for name in NAMES}, 0
        for turn in range(min(MEMORY_RUNS, setup.pairs)):
            for name in turns(NAMES, turn):
                with Engine(name, setup.library, setup.threads, files) as engine:
                    before, peak = engine.ask({"run": sql})["kb"]
                    peaks[name].append(peak)
        medians = {name: statistics.median(peak) for name, peak in peaks.items()}
        found[f"q{number:02d}"] = {
            "kb": medians, "python_kb": before,
            "ratio": {peer: medians["igloo"] / medians[peer] for peer in NAMES[1:]}}
    return found
