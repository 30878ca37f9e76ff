"""What is not sent to workers, and what EXPLAIN says of either."""

import json
import os
import re
import shutil
import subprocess

import pytest

import answers
import generate
import nodes
from nodes import explain


COUNT = "SELECT kind, count(*) AS n FROM events GROUP BY kind"


def test_explain_names_stages_tasks_and_the_worker_of_each(three):
    with three.session() as session:
        text = explain(session, COUNT)
    stages = re.findall(r"^stage (\d+): tasks (\d+): (.+)$", text, re.M)
    assert stages, text
    for _, tasks, members in stages:
        assert int(tasks) == len(members.split(", ")), text
    assert all(worker.id in text for worker in three.workers), text


def test_explain_analyze_tells_rows_of_the_stages(three):
    with three.session() as session:
        text = explain(session, COUNT, "EXPLAIN ANALYZE")
        document = json.loads(explain(session, COUNT, "EXPLAIN (ANALYZE, FORMAT json)"))
    assert "24" in text and document["analyzed"] is True, text


def test_explain_of_any_query_tells_where_it_runs_or_why_not(three):
    silent = []
    with three.session() as session:
        for number in range(15):
            sql = generate.query(number).sql
            text = explain(session, sql)
            if not re.search(r"^(local: \S|stage 1: tasks)", text, re.M):
                silent.append(sql)
    assert not silent, silent[:3]


LOCAL = {
    "a recursive query": "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 50)"
                         " SELECT count(*) AS n FROM r JOIN pairs ON a = n",
    "a table of the system": "SELECT count(*) > 0 AS n FROM igloo.system.settings",
    "information_schema": "SELECT count(*) > 0 AS n FROM information_schema.tables",
    "values": "SELECT count(*) AS n FROM (VALUES (1), (2)) v(x)",
    "generate_series": "SELECT count(*) AS n FROM generate_series(1, 100000) s(v)",
}


@pytest.mark.parametrize("what", LOCAL)
def test_what_cannot_be_sent_is_answered_by_the_coordinator(three, embedded, what):
    with three.session() as session:
        answers.compare(answers.rows_of(embedded.fetch(LOCAL[what])),
                        answers.rows_of(session.fetch(LOCAL[what])))


def test_writes_of_what_workers_read_are_whole(start, files, embedded, tmp_path):
    cluster = start(3)
    with cluster.session() as session:
        session.fetch("CREATE TABLE copied AS SELECT * FROM events")
        session.fetch("INSERT INTO copied SELECT * FROM events WHERE id < 100")
        found = session.fetch("SELECT count(*) AS n, sum(id) AS s, sum(amount) AS a FROM copied")
    expected = embedded.fetch("SELECT count(*) AS n, sum(id) AS s, sum(amount) AS a FROM"
                              " (SELECT * FROM events UNION ALL SELECT * FROM events WHERE id < 100) e")
    answers.compare(answers.rows_of(expected), answers.rows_of(found))


def test_a_worker_that_may_not_read_the_files_is_not_asked_and_explain_says_why(start, tmp_path):
    cluster = start(0)
    stranger = cluster.start_worker(roots=[tmp_path])
    with cluster.session() as session:
        text = explain(session, COUNT)
        assert re.search(rf"^local: .*{stranger.id}", text, re.M), text
        assert session.fetch(COUNT).num_rows == 9
        # Where another one may, that one is given tasks.
        friend = cluster.start_worker()
        text = explain(session, COUNT)
        assert re.search(rf"^stage 1: tasks 2: .*{friend.id}", text, re.M), text
        assert session.fetch(COUNT).num_rows == 9
    assert stranger.metrics()[nodes.TASKS_TOTAL] == 0


def bind_mount(place, other):
    """Words before a program that sees `other` where `place` is."""
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    return [*unshare, "sh", "-c", f"mount --bind '{other}' '{place}' && exec \"$@\"", "sh"]


@pytest.mark.parametrize("change", ["content and size", "time alone", "missing"])
def test_a_file_that_differs_on_one_worker_gives_the_right_rows(start, files, tmp_path, monkeypatch, change):
    """Hosts of their own have folders of their own: this worker's is another one."""
    mine, other = tmp_path / "mine", tmp_path / "other"
    for folder in (mine, other):
        shutil.copytree(files / "events", folder, copy_function=shutil.copy2)
    path = other / "part-3.parquet"
    if change == "content and size":
        shutil.copy(files / "events/part-0.parquet", path)
    elif change == "time alone":
        os.utime(path, ns=(1, 1))
    else:
        path.unlink()
    cluster = start(2, mine, prepare=None)
    real = nodes.subprocess.Popen
    monkeypatch.setattr(nodes.subprocess, "Popen",
                        lambda words, **more: real([*bind_mount(mine, other), *words], **more))
    cluster.start_worker()
    monkeypatch.undo()
    with cluster.session() as session:
        sql = f"SELECT count(*) AS n, sum(id) AS s FROM '{mine}/'"
        assert session.fetch(sql).to_pylist() == [{"n": 24000, "s": 24000 * 23999 // 2}]
        stages = re.findall(r"^stage .*", explain(session, sql), re.M)
        assert stages and not any(cluster.workers[2].id in stage for stage in stages), stages
    assert cluster.workers[2].metrics()[nodes.TASKS_TOTAL] == 0


def test_a_file_that_is_replaced_between_statements_is_read_anew(start, files, tmp_path):
    shutil.copytree(files / "events", tmp_path / "t")
    cluster = start(2, tmp_path, prepare=None)
    sql = f"SELECT count(*) AS n FROM '{tmp_path}/t/'"
    assert cluster.rows(sql) == [{"n": 24000}]
    shutil.copy(files / "events/part-0.parquet", tmp_path / "t/new")
    os.rename(tmp_path / "t/new", tmp_path / "t/part-6.parquet")
    assert cluster.rows(sql) == [{"n": 28000}]
    os.unlink(tmp_path / "t/part-6.parquet")
    assert cluster.rows(sql) == [{"n": 24000}]
