"""What a dialect writes, run by the source itself, against the engine's rules."""
import collections
import random
import sqlite3

import pytest

from cases import Maker
from dialects import EXACT, INEXACT, NO, Dialect
from engine import Engine


def cases_of(dialect, table, seed, long):
    """Generated conjuncts that the dialect takes: (notation, push, text, expected)."""
    maker, engine = Maker(table.columns, random.Random(seed)), Engine(table.columns)
    wanted, pushed, tried = 3000 if long else 300, [], 0
    while len(pushed) < wanted:
        tried += 1
        assert tried < 5 * wanted, "most conjuncts stay local"
        expr = maker.conjunct()
        notation = engine.notation(expr)
        push, text, _ = dialect.conjunct(notation)
        if push != NO:
            pushed.append((notation, push, text, [engine.evaluate(expr, row) for row in table.seen]))
    return pushed


def check(cases, kept, kept_negated):
    """`kept[i]`: ids that the source gives for case i; `kept_negated[i]` for NOT of it."""
    wrong = []
    for (notation, push, text, expected), ids, negated in zip(cases, kept, kept_negated, strict=True):
        true = {i for i, value in enumerate(expected) if value is True}
        false = {i for i, value in enumerate(expected) if value is False}
        fine = ids >= true if push == INEXACT else ids == true and negated == false
        if not fine:
            wrong.append((notation, text, "lost", sorted(true - ids), "more", sorted(ids - true),
                          "NOT", sorted(negated ^ false)))
    assert not wrong, "\n".join(map(str, wrong[:10]))
    counts = collections.Counter(push for _, push, _, _ in cases)
    assert counts[EXACT] > len(cases) / 4 and counts[INEXACT] > len(cases) / 20, counts


def run_postgres(server, texts):
    """The ids that each condition keeps, in one session."""
    script = "".join(f"\\echo case\nSELECT id FROM nasty WHERE {text};\n" for text in texts)
    parts = server.run(script).split("case\n")[1:]
    return [{int(line) for line in part.split()} for part in parts]


def test_postgresql_keeps_the_rows_that_the_engine_keeps(postgres, postgres_table, long):
    dialect = Dialect("postgresql", postgres_table.columns)
    cases = cases_of(dialect, postgres_table, "conjuncts", long)
    texts = [text for _, _, text, _ in cases]
    check(cases, run_postgres(postgres, texts), run_postgres(postgres, [f"NOT ({text})" for text in texts]))


def run_sqlite(path, texts, table="nasty"):
    with sqlite3.connect(path) as database:
        return [{row[0] for row in database.execute(f"SELECT id FROM {table} WHERE {text}")}
                for text in texts]


def test_sqlite_keeps_the_rows_that_the_engine_keeps(sqlite_path, sqlite_table, long):
    dialect = Dialect("sqlite", sqlite_table.columns)
    cases = cases_of(dialect, sqlite_table, "conjuncts", long)
    texts = [text for _, _, text, _ in cases]
    check(cases, run_sqlite(sqlite_path, texts), run_sqlite(sqlite_path, [f"NOT ({text})" for text in texts]))
