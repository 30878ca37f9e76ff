"""Members that share a host: how many of them take part in a statement, and that a statement
is planned anew when what its plan was made for has changed."""

import os
import re

import pyarrow
import pyarrow.parquet
import pytest

import nodes
from conftest import EVERYTHING

COUNT = "SELECT kind, count(*) AS n FROM events GROUP BY kind ORDER BY kind"
# Its value is a join on members, and is planned otherwise than on one.
VALUE = "SELECT count(*) AS n FROM events WHERE id > (SELECT avg(id) FROM events)"


def taking_part(cluster, sql=COUNT):
    """Ids of those who have tasks, and the whole EXPLAIN."""
    with cluster.session() as session:
        text = "\n".join(str(value) for row in session.fetch(f"EXPLAIN {sql}").to_pylist()
                         for value in row.values())
    lines = re.findall(r"^stage \d+: tasks \d+: (.+)$", text, re.M)
    return {member for line in lines for member in line.split(", ")}, text


def own_id(cluster):
    return next(row["id"] for row in cluster.rows("SELECT * FROM igloo.system.workers") if row["is_self"])


def same(cluster, embedded, *statements):
    for sql in statements:
        assert cluster.rows(sql) == embedded.fetch(sql).to_pylist(), sql


def test_no_more_members_take_part_than_their_host_has_processors(start, embedded):
    places = max(2, len(os.sched_getaffinity(0)))
    cluster = start(places + 1, host_members=0)
    members, text = taking_part(cluster)
    assert len(members) == places and own_id(cluster) in members, text
    assert "not on all members: 2 more are on hosts whose processors have tasks" in text
    same(cluster, embedded, COUNT, VALUE)


def test_members_with_one_thread_each_take_part(start, embedded):
    one = "engine.threads=1"
    cluster = start(2, settings=[EVERYTHING, one], worker_settings=[one])
    members, text = taking_part(cluster)
    assert len(members) == 3, text
    same(cluster, embedded, COUNT, VALUE)


@pytest.mark.parametrize("host_members, tasks", [(2, 2), (3, 3), (64, 4)])
def test_setting_says_how_many_members_of_a_host_take_part(start, embedded, host_members, tasks):
    cluster = start(3, host_members=host_members)
    members, text = taking_part(cluster)
    assert len(members) == tasks, text
    same(cluster, embedded, COUNT, VALUE)


def test_statement_is_planned_for_those_who_are_there_each_time_it_runs(start, embedded):
    cluster = start(2, host_members=2)
    with cluster.session() as session:
        def run():
            for sql in (COUNT, VALUE):
                assert session.fetch(sql).to_pylist() == embedded.fetch(sql).to_pylist(), sql
        run()
        members, text = taking_part(cluster)
        [there] = [worker for worker in cluster.workers if worker.id in members]
        [other] = [worker for worker in cluster.workers if worker.id not in members]
        there.kill()
        nodes.wait_for(lambda: cluster.states().get(there.id) in (None, "dead"))
        run()
        members, text = taking_part(cluster)
        assert members == {own_id(cluster), other.id}, text
        other.kill()
        nodes.wait_for(lambda: cluster.states().get(other.id) in (None, "dead"))
        run()
        assert "stage 1" not in taking_part(cluster)[1]
        cluster.start_worker(cluster.workers.index(other))
        run()
        assert len(taking_part(cluster)[0]) == 2


def test_statement_of_the_same_text_sees_a_changed_file_and_a_changed_setting(start, tmp_path):
    def write(rows):
        table = pyarrow.table({"id": pyarrow.array(range(rows), pyarrow.int64()),
                               "at": pyarrow.array([0] * rows, pyarrow.timestamp("us"))})
        pyarrow.parquet.write_table(table, tmp_path / "new", row_group_size=1000)
        os.replace(tmp_path / "new", tmp_path / "t.parquet")
    cluster = start(1, tmp_path, prepare=None, host_members=0)
    value = (f"SELECT count(*) AS n, min(CAST(extract(epoch FROM CAST(at AS timestamptz)) AS bigint)) AS at FROM '{tmp_path}/t.parquet'"
             f" WHERE id >= (SELECT avg(id) FROM '{tmp_path}/t.parquet')")
    with cluster.session() as session:
        def run():
            [row] = session.fetch(value).to_pylist()
            return row["n"], row["at"]
        write(20_000)
        session.fetch("SET time_zone = 'UTC'")
        assert run() == (10_000, 0) == run()
        write(30_000)
        assert run() == (15_000, 0)
        session.fetch("SET time_zone = 'America/New_York'")
        assert run() == (15_000, 5 * 3600)
