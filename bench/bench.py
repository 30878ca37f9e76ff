#!/usr/bin/env python3
"""Igloo against the `datafusion` and `duckdb` packages: see bench/README.md.

The table goes to stdout, progress to stderr, all figures as JSON to
<build>/bench/result.json."""

import argparse
import dataclasses
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import resource
import shutil
import subprocess
import sys
import sysconfig
import time

import cluster
import lookup
import postgresql
import queries
import report
import selective
import serving
import sqlite
import start
import statements

ROOT = pathlib.Path(__file__).resolve().parent.parent
PARTS = ["queries", "memory", "start", "statements", "instructions", "streams", "calls", "remote",
         "serving_instructions", "postgresql", "sqlite", "lookup", "selective", "cluster", "local",
         "members"]
SERVING = {"calls", "postgresql", "lookup", "selective"}  # need a PostgreSQL
BUSY = 0.10  # of the machine, taken by others: more than this widens the ratios


@dataclasses.dataclass
class Setup:
    """What is measured, on what, how often."""
    library: pathlib.Path
    program: pathlib.Path
    shell: pathlib.Path
    wire: pathlib.Path
    threads: int
    scale: float
    pairs: int
    queries: list
    count_divisor: int


class Load:
    """The share of the machine that others take, by the kernel's accounting."""

    def __init__(self):
        self.busy, self.all = self.machine()
        self.own = self.ours()

    @staticmethod
    def machine():
        with open("/proc/stat", encoding="ascii") as file:
            ticks = [int(word) for word in file.readline().split()[1:9]]
        return sum(ticks) - ticks[3] - ticks[4], sum(ticks)

    @staticmethod
    def ours():
        spent = (resource.getrusage(who)
                 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(one.ru_utime + one.ru_stime for one in spent)

    def share_of_others(self):
        """Since this object was made; children count once they have ended."""
        busy, every = self.machine()
        own = (self.ours() - self.own) * os.sysconf("SC_CLK_TCK")
        return max(0.0, busy - self.busy - own) / max(1, every - self.all)


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def processor():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def commit():
    def git(*words):
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip()
    changed = git("status", "--porcelain", "--untracked-files=no", "--", "src", "bridge")
    return git("rev-parse", "--short", "HEAD") + (" with changes" if changed else "")


def describe(setup):
    shell = subprocess.run([setup.shell, "-version"], capture_output=True, text=True, check=True)
    return {
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": setup.threads,
        "scale": setup.scale,
        "pairs": setup.pairs,
        "versions": {name: importlib.metadata.version(name) for name in ("datafusion", "duckdb")},
        "shell": shell.stdout.split()[0],
    }


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", default="build", help="folder with igloo and libigloo.so")
    parser.add_argument("--pairs", type=int, default=int(os.environ.get("BENCH_PAIRS") or 15))
    parser.add_argument("--scale", type=float, default=1.0, help="scale factor of TPC-H")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part; repeatable")
    parser.add_argument("-q", dest="queries", type=int, action="append", metavar="N",
                        help="this query; repeatable")
    parser.add_argument("--write-docs", action="store_true",
                        help="put the tables into docs/benchmarks.md; with --only, those alone")
    parser.add_argument("--check", action="store_true",
                        help="all parts once, small; says whether they work")
    arguments = parser.parse_args()
    if arguments.write_docs and (arguments.queries or arguments.scale != 1):
        parser.error("--write-docs is for whole parts at scale factor 1")
    return arguments


def run_part(name, setup):
    run = {
        "queries": lambda: queries.summarise(queries.measure(setup, say)),
        "memory": lambda: queries.measure_memory(setup, say),
        "start": lambda: start.measure(setup, say),
        "statements": lambda: statements.measure(setup, say),
        "instructions": lambda: statements.count_instructions(setup, say),
        "streams": lambda: serving.streams(setup, say),
        "calls": lambda: serving.calls(setup, say),
        "remote": lambda: serving.remote(setup, say),
        "serving_instructions": lambda: serving.count_instructions(setup, say),
        "postgresql": lambda: postgresql.measure(setup, say),
        "sqlite": lambda: sqlite.measure(setup, say),
        "lookup": lambda: lookup.measure(setup, say),
        "cluster": lambda: cluster.measure(setup, say),
        "local": lambda: cluster.measure_local(setup, say),
        "members": lambda: cluster.measure_members(setup, say),
        "selective": lambda: selective.measure(setup, say),
    }[name]
    load = Load()
    result = run()
    return result, load.share_of_others()


def check(setup):
    """Every part runs and engines agree; the last line counts, as the suites' do."""
    failed = 0
    for part in PARTS:
        try:
            result, _ = run_part(part, setup)
            report.part(part, result)
            print(f"ok {part}")
        except Exception as error:  # whatever it is, the next part has its turn
            print(f"FAILED {part}: {type(error).__name__}: {error}")
            failed += 1
    print(f"{len(PARTS) - failed} passed, {failed} failed")
    return 1 if failed else 0


def main():
    arguments = parse_arguments()
    build = (ROOT / arguments.build).resolve()
    threads = len(os.sched_getaffinity(0))
    setup = Setup(
        library=build / "libigloo.so", program=build / "igloo",
        shell=pathlib.Path(sysconfig.get_path("purelib")) / "duckdb_cli" / "duckdb",
        wire=build, threads=threads, scale=arguments.scale, pairs=arguments.pairs,
        queries=arguments.queries or list(range(1, 23)), count_divisor=1)
    parts = arguments.only or PARTS
    if SERVING & set(parts) and serving.missing():
        sys.exit(f"error: missing for parts with PostgreSQL (Debian): {', '.join(serving.missing())}")
    if ("instructions" in parts or "serving_instructions" in parts or arguments.check) and not shutil.which("valgrind"):
        sys.exit("error: valgrind is missing (Debian: valgrind); "
                 "or choose parts without instructions by --only")
    if arguments.check:
        return check(dataclasses.replace(setup, scale=0.01, pairs=1, count_divisor=10))

    load = Load()
    time.sleep(1)  # what the others do in a second of ours that does nothing
    others = load.share_of_others()
    if others > BUSY:
        say(f"warning: others take {others:.0%} of this machine; intervals will be wide. "
            "Measure again when it is quiet.")
    began = time.monotonic()
    result = {"setup": describe(setup), "others": {}}
    for part in parts:
        result[part], result["others"][part] = run_part(part, setup)
    result["minutes"] = (time.monotonic() - began) / 60
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    text = report.whole(result)
    print(text)
    if arguments.write_docs:
        report.write_docs(ROOT / "docs" / "benchmarks.md", result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
