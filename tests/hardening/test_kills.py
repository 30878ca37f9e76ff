"""kill -9 in the middle of a statement: afterwards everything is whole or absent.

A script of random statements runs, each followed by a query that says it is done. The kill
comes at a random moment of a random statement. The oracle is a model of names and rows in
Python: what the next start finds is the model either before or after the statement that was
under way, never less than what was said to be done, and the disk holds what it lists."""

import copy
import json
import os
import random
import select
import signal
import sqlite3
import subprocess
import time

import pyarrow.parquet

SEED = 20261122
TABLES_MAX = 5
VALUES = "SELECT v, 'row ' || v AS t FROM generate_series(1, {}) AS s(v)"
WRITES = ("create table as", "create or replace", "insert")
STATEMENTS = 4  # of one script, at most; the kill falls into the last but one
ROWS = (1, 1000, 60000, 300000)
WEIGHTS = {"create table as": 4, "create or replace": 1, "insert": 2, "create view": 2,
           "drop view": 2, "drop table": 3}


class Model:
    """Tables are {name: (rows, sum)}; a view shows rows and sum of its table."""

    def __init__(self):
        self.tables, self.views, self.made = {}, {}, 0

    def free_tables(self):
        return [t for t in self.tables if t not in self.views.values()]

    def step(self, random_):
        """Change the model by a random statement; gives its text and (kind, rows)."""
        kinds = []
        if len(self.tables) < TABLES_MAX:
            kinds.append("create table as")
        if self.tables:
            kinds += ["insert", "create or replace"]
            if len(self.views) < TABLES_MAX:
                kinds.append("create view")
        if self.views:
            kinds.append("drop view")
        if self.free_tables():
            kinds.append("drop table")
        kind = random_.choices(kinds, [WEIGHTS[one] for one in kinds])[0]
        rows = random_.choice(ROWS) if kind in WRITES else 0
        return self.apply(random_, kind, rows), (kind, rows)

    def apply(self, random_, kind, rows):
        values = VALUES.format(rows)
        rows_and_sum = (rows, rows * (rows + 1) // 2)
        self.made += 1
        if kind == "create table as":
            self.tables[f"t{self.made}"] = rows_and_sum
            return f"CREATE TABLE t{self.made} AS {values}"
        if kind == "create view":
            table = random_.choice(sorted(self.tables))
            self.views[f"v{self.made}"] = table
            return (f"CREATE VIEW v{self.made} AS "
                    f"SELECT count(*) AS n, sum(v) AS s FROM {table}")
        if kind == "drop view":
            view = random_.choice(sorted(self.views))
            del self.views[view]
            return f"DROP VIEW {view}"
        if kind == "drop table":
            table = random_.choice(sorted(self.free_tables()))
            del self.tables[table]
            return f"DROP TABLE {table}"
        table = random_.choice(sorted(self.tables))
        if kind == "insert":
            old = self.tables[table]
            self.tables[table] = tuple(map(sum, zip(old, rows_and_sum)))
            return f"INSERT INTO {table} {values}"
        self.tables[table] = rows_and_sum
        return f"CREATE OR REPLACE TABLE {table} AS {values}"

    def names(self):
        return {*self.tables, *self.views}

    def query(self, name):
        columns = "count(*) AS n, sum(v) AS s" if name in self.tables else "n, s"
        return f"SELECT '{name}' AS table_name, {columns} FROM {name}"

    def answers(self):
        """What query() must give for each name."""
        shown = {**{table: table for table in self.tables}, **self.views}
        return {name: dict(zip(("table_name", "n", "s"), (name, *self.tables[table])))
                for name, table in shown.items()}


def start(igloo, statements):
    """Run the statements; after each a line says its number, before them -1."""
    text = "SELECT -1 AS done;\n" + "".join(
        f"{statement};\nSELECT {at} AS done;\n" for at, statement in enumerate(statements))
    (igloo.folder / "script.sql").write_text(text)
    return igloo.start("sql", "--data", "d", "--format", "jsonl", "-f", "script.sql",
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for(process, number):
    """Read until statement `number` is done."""
    for line in process.stdout:
        if json.loads(line) == {"done": number}:
            return
    raise AssertionError(f"ended before statement {number}: {process.stderr.read().decode()}")


def wait_at_most(process, seconds):
    """Until the moment of the kill, or the process's end."""
    waiter = os.pidfd_open(process.pid)
    select.select([waiter], [], [], seconds)
    os.close(waiter)


def data_files(folder):
    return {str(path.relative_to(folder / "tables")): path
            for path in (folder / "tables").rglob("*") if path.is_file()}


def check_disk(folder, temporary, where):
    """The disk holds what the catalog's database lists, and nothing of dead processes."""
    with sqlite3.connect(f"file:{folder}/catalog.db?mode=ro", uri=True) as database:
        listed = {name: (size, rows) for name, size, rows in database.execute(
            "SELECT name, size, rows FROM data_file")}
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)], where
        assert database.execute("PRAGMA foreign_key_check").fetchall() == [], where
    database.close()
    found = data_files(folder)
    assert sorted(found) == sorted(listed), where
    for name, (size, rows) in listed.items():
        assert found[name].stat().st_size == size, f"{where}: {name}"
        assert pyarrow.parquet.read_metadata(found[name]).num_rows == rows, f"{where}: {name}"
    used = {name.split("/")[0] for name in listed}
    empty = {path.name for path in (folder / "tables").iterdir()} - used
    assert not empty, f"{where}: folders without a file"
    assert set(os.listdir(folder)) <= {"catalog.db", "catalog.db-wal", "catalog.db-shm",
                                       "igloo.lock", "tables"}, where
    assert os.listdir(temporary) == [], where


def ask(igloo, statements, where):
    done = igloo("sql", "--data", "d", "--format", "jsonl", *[
        word for statement in statements for word in ("-c", statement)])
    assert (done.returncode, done.stderr) == (0, ""), where
    return [json.loads(line) for line in done.stdout.splitlines()]


def look(igloo, models, where):
    """Start the program; gives what each name answers, whichever of the models holds."""
    sure = set.intersection(*[one.names() for one in models])
    rows = ask(igloo, ["SHOW TABLES", *map(models[0].query, sorted(sure))], where)
    answers = {row["table_name"]: row for row in rows}  # an answer replaces SHOW's row
    for name, row in answers.items():
        if "n" not in row:
            known = [one for one in models if name in one.names()]
            assert known, f"{where}: found {name}"
            answers[name], = ask(igloo, [known[0].query(name)], where)
    return answers


def measure(igloo):
    """Seconds that each (kind, rows) takes here when nobody kills."""
    what, statements = [], []
    for rows in ROWS:
        what += [("create table as", rows), ("insert", rows), ("create or replace", rows),
                 ("create view", 0), ("drop view", 0), ("drop table", 0)]
        statements += [f"CREATE TABLE m AS {VALUES.format(rows)}",
                       f"INSERT INTO m {VALUES.format(rows)}",
                       f"CREATE OR REPLACE TABLE m AS {VALUES.format(rows)}",
                       "CREATE VIEW n AS SELECT count(*) AS n FROM m", "DROP VIEW n",
                       "DROP TABLE m"]
    process, seconds = start(igloo, statements), {}
    wait_for(process, -1)
    for at, one in enumerate(what):
        started = time.monotonic()
        wait_for(process, at)
        seconds[one] = time.monotonic() - started
    process.communicate(timeout=30)
    assert process.returncode == 0
    return seconds


def test_a_kill_at_any_moment_leaves_everything_whole_or_absent(igloo, tmp_path, long):
    kills = 1000 if long else 100
    temporary, folder = tmp_path / "tmp", igloo.folder / "d"
    temporary.mkdir()
    igloo.environment["TMPDIR"] = str(temporary)
    random_ = random.Random(SEED)
    seconds = measure(igloo)
    model, hit, before, after = Model(), {kind: 0 for kind in WEIGHTS}, 0, 0
    orphans = remains = 0  # left by a kill and removed by the next start

    for number in range(kills):
        models, aims, statements = [model], [], []
        for _ in range(random_.randint(2, STATEMENTS)):
            models.append(copy.deepcopy(models[-1]))
            statement, aim = models[-1].step(random_)
            aims.append(aim)
            statements.append(statement)
        last = len(statements) - 2  # under way when the kill comes; one more is waiting
        where = f"seed {SEED}, kill {number} in {statements[last]!r}"

        process = start(igloo, statements)
        wait_for(process, last - 1)
        wait_at_most(process, random_.uniform(0, seconds[aims[last]]))
        process.kill()
        rest, errors = process.stdout.read(), process.stderr.read()
        process.stdout.close()
        process.stderr.close()
        assert process.wait() in (0, -signal.SIGKILL), where  # it may end while we aim
        assert errors == b"", f"{where}: {errors.decode()}"
        # What was said to be done is done; more than the next one cannot be.
        done = 1 + max([last - 1, *[json.loads(line)["done"] for line in rest.splitlines()]])
        if done < len(statements):
            hit[aims[done][0]] += 1

        left = set(data_files(folder))
        remains += bool(os.listdir(temporary))
        possible = models[done:done + 2]
        answers = look(igloo, possible, where)
        possible = [one for one in possible if one.answers() == answers]
        assert possible, f"{where}: found {answers}"
        before += done < len(statements) and possible[0] is models[done]
        after += done < len(statements) and possible[0] is not models[done]
        model = possible[0]
        check_disk(folder, temporary, where)
        orphans += bool(left - set(data_files(folder)))

    landed = sum(hit.values())
    print(f"\n{kills} kills, {landed} inside a statement: {hit}; "
          f"{before} before its commit, {after} after it; {orphans} left files, {remains} folders")
    assert landed >= kills * 0.8, hit
    assert all(hit.values()), hit
    assert orphans >= kills * 0.05 and remains >= landed * 0.9, "the kills leave nothing behind"
    assert before >= kills * 0.3, "the kills come too late"
    assert after >= kills * 0.02, "the kills come too early"
