"""--data: what is kept, who holds it, what a kill leaves."""

import os
import pathlib
import signal
import subprocess

import pytest

ENDLESS = "SELECT count(*) FROM generate_series(1, 1000000000000) AS t(v)"


def test_tables_and_views_are_kept(igloo):
    done = igloo("sql", "--data", "d", "-c", "CREATE TABLE t AS SELECT 1 AS a; "
                 "INSERT INTO t VALUES (2); CREATE VIEW v AS SELECT sum(a) AS s FROM t")
    assert (done.returncode, done.stderr) == (0, "")
    assert igloo("sql", "--data", "d", "-c", "SELECT s FROM v").stdout == "s\n3\n"


def test_without_data_nothing_is_kept(igloo):
    igloo("sql", "-c", "CREATE TABLE t AS SELECT 1 AS a")
    done = igloo("sql", "-c", "SELECT * FROM t")
    assert done.returncode == 1
    assert "sqlstate: 42P01" in done.stderr


def running(igloo, *options):
    process = igloo.start("sql", *options, "-c", "SELECT 'started' AS s", "-c", ENDLESS,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "s\n"
    assert process.stdout.readline() == "started\n"
    return process


def test_a_second_process_is_told_who_holds_the_folder(igloo):
    first = running(igloo, "--data", "d")
    try:
        done = igloo("sql", "--data", "d", "-c", "SELECT 1")
        assert done.returncode == 3
        assert done.stdout == ""
        assert f"process {first.pid}" in done.stderr
    finally:
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=30)
    assert igloo("sql", "--data", "d", "-c", "SELECT 1 AS a").stdout == "a\n1\n"


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_temporary_folders_are_removed_at_the_end(igloo, tmp_path, ending):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    igloo.environment["TMPDIR"] = str(temporary)
    assert igloo("sql", "-c", "CREATE TABLE t AS SELECT 1 AS a").returncode == 0
    assert list(temporary.iterdir()) == []
    process = running(igloo)
    process.send_signal(ending)
    process.communicate(timeout=30)
    assert list(temporary.iterdir()) == []


def test_a_kill_leaves_whole_tables_and_a_folder_that_the_next_start_removes(igloo, tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    igloo.environment["TMPDIR"] = str(temporary)
    igloo("sql", "--data", "d", "-c", "CREATE TABLE t AS SELECT 1 AS a")
    process = running(igloo, "--data", "d")
    process.kill()
    process.communicate(timeout=30)
    assert igloo("sql", "--data", "d", "-c", "SELECT * FROM t").stdout == "a\n1\n"
    assert list(temporary.iterdir()) == []


def test_a_kill_during_an_insert_shows_all_or_nothing(igloo):
    igloo("sql", "--data", "d", "-c", "CREATE TABLE t AS SELECT 1 AS a")
    insert = "INSERT INTO t SELECT v FROM generate_series(1, 3000000) AS s(v)"
    process = igloo.start("sql", "--data", "d", "-c", "SELECT 'started' AS s", "-c", insert,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "s\n"
    process.kill()
    process.communicate(timeout=30)
    count = igloo("sql", "--data", "d", "-c", "SELECT count(*) AS c FROM t").stdout
    assert count in ("c\n1\n", "c\n3000001\n")


def test_data_that_is_no_folder_is_refused(igloo):
    (igloo.folder / "file").write_text("")
    done = igloo("sql", "--data", "file", "-c", "SELECT 1")
    assert done.returncode in (2, 3)
    assert "file" in done.stderr
    assert os.listdir(igloo.folder) == ["file"]


def test_a_data_folder_that_may_not_be_written_is_an_error(igloo):
    if os.geteuid() == 0:  # root may write everywhere but here
        folder = pathlib.Path("/proc/igloo")
    else:
        folder = igloo.folder / "closed"
        folder.mkdir(mode=0o500)
    done = igloo("sql", "--data", folder, "-c", "SELECT 1")
    assert done.returncode in (2, 3)
    assert done.stderr.startswith("error: ")
