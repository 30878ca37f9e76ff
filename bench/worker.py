"""One engine in a process of its own, told what to run by lines of JSON on stdin.

  worker.py igloo|datafusion|duckdb [LIBRARY]

Requests: {"open": threads, "tables": {name: path}}, {"run": sql}, {"run": sql,
"answer": path} (the result goes there as an Arrow file), {"run": sql, "repeat": n,
"small": true} (n times, by the engine's cheapest way to a few rows).
Every reply is one line: {"ns": [[cpu, wall], ...], "kb": [before the engine was loaded,
peak]} or {"error": text}.

All three are used alike: one connection that stays open, results taken as Arrow to the
last batch and released within the time. CPU time is that of the whole process, all
threads, user and system."""

import gc
import json
import os
import pathlib
import sys
import time

import pyarrow
import pyarrow.ipc

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Igloo:
    def __init__(self, library, threads, tables):
        sys.path.insert(0, str(ROOT / "tests" / "python"))
        import igloo_capi
        self.connection = igloo_capi.Connection(
            library, {"engine.threads": str(threads)})
        for name, path in tables.items():
            self.run(f"CREATE EXTERNAL TABLE {name} STORED AS PARQUET LOCATION '{path}'")

    def run(self, sql):
        with self.connection.query(sql) as reader:
            return reader.read_all()

    def run_small(self, sql):
        self.run(sql)


class DataFusion:
    def __init__(self, _, threads, tables):
        import datafusion
        self.context = datafusion.SessionContext(
            datafusion.SessionConfig().with_target_partitions(threads))
        for name, path in tables.items():
            self.context.register_parquet(name, path)

    def run(self, sql):
        return self.context.sql(sql).to_arrow_table()

    def run_small(self, sql):
        self.context.sql(sql).collect()


class DuckDB:
    def __init__(self, _, threads, tables):
        import duckdb
        self.connection = duckdb.connect(config={"threads": threads})
        for name, path in tables.items():
            self.connection.execute(f"CREATE VIEW {name} AS SELECT * FROM '{path}'")

    def run(self, sql):
        return self.connection.sql(sql).to_arrow_table()

    def run_small(self, sql):  # binds once, where sql() binds twice
        self.connection.execute(sql).fetchall()


ENGINES = {"igloo": Igloo, "datafusion": DataFusion, "duckdb": DuckDB}


def memory_kb(field):
    for line in pathlib.Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise ValueError(f"no {field} in /proc/self/status")


def measure(run, sql):
    """[cpu, wall] of one statement in ns; its result is gone when the time is taken."""
    cpu, wall = time.process_time_ns(), time.perf_counter_ns()
    run(sql)
    return [time.process_time_ns() - cpu, time.perf_counter_ns() - wall]


def answer(engine, request):
    sql = request["run"]
    if "answer" in request:
        table = engine.run(sql)
        with pyarrow.ipc.new_file(request["answer"], table.schema) as file:
            file.write_table(table)
        return {}
    run = engine.run_small if request.get("small") else engine.run
    return {"ns": [measure(run, sql) for _ in range(request.get("repeat", 1))]}


def main():
    name, library = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
    # Replies have a descriptor of their own: an engine may print.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    gc.disable()  # a collection would count as the engine's time
    before_kb, engine = memory_kb("VmRSS"), None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "open" in request:
                engine = ENGINES[name](library, request["open"], request["tables"])
                reply = {}
            else:
                reply = answer(engine, request)
        except Exception as error:  # whatever an engine raises, the reader is told
            reply = {"error": f"{type(error).__name__}: {error}"}
        reply["kb"] = [before_kb, memory_kb("VmHWM")]
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
