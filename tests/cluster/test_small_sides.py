"""A small side of a join is read by every task that has the join, and not sent: each row still counts
once, whatever the join."""

import random

import duckdb
import pyarrow
import pyarrow.parquet
import pytest

import answers
from conftest import make_cluster
from nodes import explain

ROWS, KEYS, MATCHED = 400_000, 40, 36
MOVED = "Broadcast"  # in EXPLAIN, where a side is sent
HASHED = "mode=Partitioned"
KEPT = ["the small side's rows kept", "small rows that have no match", "all rows"]  # are hashed instead
STATEMENTS = {
    "an inner join": "SELECT f.name, count(*), sum(m.v) FROM many m JOIN few f ON m.k = f.id GROUP BY f.name",
    "both sides' rows kept": "SELECT f.name, count(*), count(m.v), sum(m.v) FROM few f"
                             " RIGHT JOIN many m ON m.k = f.id GROUP BY f.name",
    "a semi join": "SELECT count(*), sum(v) FROM many WHERE k IN (SELECT id FROM few WHERE name < 'n2')",
    "an anti join": "SELECT count(*), sum(v) FROM many m"
                    " WHERE NOT EXISTS (SELECT 1 FROM few f WHERE f.id = m.k AND f.name < 'n2')",
    "the small side's rows kept": "SELECT f.id, f.name, count(m.v), sum(m.v) FROM few f"
                                  " LEFT JOIN many m ON m.k = f.id GROUP BY f.id, f.name",
    "small rows that have no match": "SELECT id, name FROM few f WHERE NOT EXISTS"
                                     " (SELECT 1 FROM many m WHERE m.k = f.id AND m.v >= 0)",
    "all rows": "SELECT count(f.id), count(m.v), sum(m.v), sum(f.id) FROM few f FULL JOIN many m ON m.k = f.id",
    "no key": "SELECT count(*), sum(m.v + f.id) FROM many m JOIN few f ON m.k > f.id + 30",
    "an expression": "SELECT f.n, count(*), sum(m.v) FROM many m"
                     " JOIN (SELECT id + 1 AS n FROM few WHERE id % 2 = 0) f ON m.k = f.n GROUP BY f.n",
}
SENT = {
    "a side that another join filters": "SELECT a.name, b.name, sum(m.v) FROM many m JOIN few a ON m.k = a.id"
                                        " JOIN few b ON a.id = b.next WHERE b.name <> 'n11' GROUP BY a.name, b.name",
    "a side that is drawn": "SELECT count(*), sum(m.v) FROM many m"
                            " JOIN (SELECT id FROM few WHERE random() < 2) f ON m.k = f.id",
    "a side that is cut": "SELECT count(*) > 0, min(f.id) >= 0, sum(m.v) > 0 FROM many m"
                          " JOIN (SELECT id FROM few LIMIT 7) f ON m.k = f.id",
    "a side that is in order": "SELECT count(*), sum(m.v) FROM many m"
                               " JOIN (SELECT id FROM few ORDER BY id LIMIT 7) f ON m.k = f.id",
    "a large side": "SELECT count(*), sum(m.v) FROM many m JOIN middling f ON m.k = f.id",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    dice = random.Random("small sides")
    keys = [dice.choice([*range(MATCHED), 77, 78]) for _ in range(ROWS)]
    tables = {
        "many": pyarrow.table({"k": keys, "v": [dice.getrandbits(30) for _ in range(ROWS)]}),
        "few": pyarrow.table({"id": range(KEYS), "next": [(row + 3) % KEYS for row in range(KEYS)],
                              "name": [f"n{row % 13}" for row in range(KEYS)]}),
        "middling": pyarrow.table({"id": [dice.randrange(1 << 40) * KEYS + row % KEYS if row >= KEYS else row
                                          for row in range(5_000)]}),
    }
    for name, table in tables.items():
        pyarrow.parquet.write_table(table, folder / f"{name}.parquet", row_group_size=20_000,
                                    compression="none")
    return folder


@pytest.fixture(scope="module", params=[1, 3], ids=["one_worker", "three_workers"])
def session(request, folder):
    # 1 MiB makes a statement worth its members, 16 KiB a side of a join a stage of its own.
    cluster = make_cluster(request.param, folder, settings=["cluster.local_bytes=1MiB"])
    with cluster.session() as session:
        for name in ("many", "few", "middling"):
            session.fetch(f"CREATE EXTERNAL TABLE {name} STORED AS PARQUET LOCATION '{folder}/{name}.parquet'")
        yield session
    cluster.end()


@pytest.fixture(scope="module")
def oracle(folder):
    with duckdb.connect() as connection:
        for name in ("many", "few", "middling"):
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM '{folder}/{name}.parquet'")
        yield connection


def right(session, oracle, sql):
    expected = answers.rows_of_tuples(oracle.execute(sql).fetchall())
    answers.compare(expected, answers.rows_of(session.fetch(sql)))


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_small_side_is_read_where_its_join_is(statement, session, oracle):
    text = explain(session, STATEMENTS[statement], "EXPLAIN (FORMAT json)")
    assert "DistributedExec" in text and MOVED not in text, text
    assert (HASHED in text) == (statement in KEPT), text
    right(session, oracle, STATEMENTS[statement])


@pytest.mark.parametrize("statement", SENT)
def test_what_is_not_the_same_everywhere_or_not_small_is_sent(statement, session, oracle):
    text = explain(session, SENT[statement], "EXPLAIN (FORMAT json)")
    assert MOVED in text, text
    right(session, oracle, SENT[statement])


def test_stages_that_are_left_are_numbered_from_one(session):
    rows = session.fetch(f"EXPLAIN {SENT['a side that another join filters']}").to_pylist()
    lines = "\n".join(str(value) for row in rows for value in row.values()).splitlines()
    numbers = [int(line.split(":")[0].split()[1]) for line in lines if line.startswith("stage ")]
    assert numbers == list(range(1, len(numbers) + 1)) and numbers, lines
