"""What the system may do to a program: full and read-only disks, missing folders and rights,
clocks that jump, closed descriptors, readers and terminals that go away, limits.

Each is one clear error, or none, and nothing is damaged: `assert_undamaged` opens the data
folder afterwards and finds every table and view as it was."""

import datetime
import os
import pathlib
import re
import resource
import signal
import subprocess
import time

import pytest
from conftest import SECONDS, program
from library import Library
from places import NOBODY, Clock, SmallDisk, count_threads, run_as_nobody, without_rights

MIB = 1 << 20
ENDLESS = "SELECT count(*) FROM generate_series(1, 1000000000000) AS t(v)"
MADE = ("CREATE TABLE t AS SELECT v, 'row ' || v AS name FROM generate_series(1, 5000) AS s(v); "
        "CREATE VIEW w AS SELECT count(*) AS n, sum(v) AS s FROM t")
WHOLE = "n,s\n5000,12502500\n"
BIG = "SELECT v, md5('x' || v) || md5('y' || v) AS h FROM generate_series(1, 400000) AS s(v)"  # 12 MiB


@pytest.fixture
def data(igloo):
    """A data folder with a table and a view."""
    done = igloo("sql", "--data", "d", "-c", MADE)
    assert (done.returncode, done.stderr) == (0, "")
    return igloo.folder / "d"


@pytest.fixture
def temporary(igloo, tmp_path):
    folder = tmp_path / "tmp"
    folder.mkdir(mode=0o777)
    igloo.environment["TMPDIR"] = str(folder)
    return folder


def library_path():
    return pathlib.Path(program()).parent / "libigloo.so"


def disk_files(folder):
    return sorted(str(path.relative_to(folder)) for path in (folder / "tables").rglob("*")
                  if path.is_file())


def assert_undamaged(igloo, folder="d"):
    done = igloo("sql", "--data", folder, "-c", "SELECT n, s FROM w", "-c",
                 "SELECT count(*) AS n, sum(v) AS s FROM t", "-c",
                 "SELECT table_name AS name FROM information_schema.tables "
                 "WHERE table_schema = 'public' AND table_name <> 'u' ORDER BY name")
    assert (done.returncode, done.stderr) == (0, ""), done
    assert done.stdout == WHOLE + WHOLE + "name\nt\nw\n"


def assert_one_error(done, *words, codes=(1, 2, 3), state=""):
    """One error, its code, and nothing of panics or signals."""
    assert done.returncode in codes, done
    assert done.stderr.count("error: ") == 1, done.stderr
    assert f"sqlstate: {state}" in done.stderr, done.stderr
    assert "panicked" not in done.stderr and "XX" not in done.stderr, done.stderr
    for word in words:
        assert str(word) in done.stderr, done.stderr


# ---- two processes -----------------------------------------------------------------------

def hold(igloo, *options, query=ENDLESS):
    process = igloo.start("sql", "--data", "d", *options, "-c", "SELECT 'started' AS s", "-c", query,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "s\n" and process.stdout.readline() == "started\n"
    return process


def test_a_second_process_is_refused_and_the_first_goes_on(igloo, data):
    one = Library(library_path(), igloo.environment, igloo.folder, **{"server.data_dir": "d"})
    try:
        for statement in ("SELECT 1", "CREATE TABLE x AS SELECT 1 AS a", "DROP TABLE t"):
            done = igloo("sql", "--data", "d", "-c", statement)
            assert_one_error(done, f"process {one.process.pid}", '"d"', codes=(3,), state="55006")
            assert done.stdout == ""
        assert one.rows("SELECT n, s FROM w") == [{"n": 5000, "s": 12502500}]
        assert one.run("INSERT INTO t SELECT 0, 'one more'").rows == []
        assert one.run("DELETE FROM t").sqlstate == "0A000"
    finally:
        assert one.close() == 0
    assert igloo("sql", "--data", "d", "-c", "SELECT n FROM w").stdout == "n\n5001\n"


def test_after_a_kill_of_the_first_the_second_starts(igloo, data):
    first = hold(igloo)
    assert_one_error(igloo("sql", "--data", "d", "-c", "SELECT 1"), f"process {first.pid}")
    first.kill()
    first.communicate(timeout=SECONDS)
    assert_undamaged(igloo)


def test_of_many_that_start_at_once_one_has_the_folder(igloo, data):
    processes = [igloo.start("sql", "--data", "d", "-c", "INSERT INTO t SELECT 0, 'x'",
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                 for _ in range(8)]
    ended = [(process.communicate(timeout=SECONDS), process.returncode) for process in processes]
    codes = [code for _, code in ended]
    assert set(codes) <= {0, 3} and 0 in codes, ended
    for (_, errors), code in ended:
        assert code == 0 or "sqlstate: 55006" in errors, errors
    done = igloo("sql", "--data", "d", "-c", "SELECT n FROM w")
    assert done.stdout == f"n\n{5000 + codes.count(0)}\n"


# ---- disks -------------------------------------------------------------------------------

@pytest.fixture
def disk(tmp_path):
    made = SmallDisk(tmp_path / "disk", "48m")
    yield made
    made.close()


def on_disk(igloo, disk, *arguments, cwd=None, **environment):
    return subprocess.run(
        disk.command(program(), *arguments, cwd=cwd or igloo.folder), capture_output=True, text=True,
        env={**igloo.environment, **environment}, timeout=SECONDS, check=False)


def test_a_read_only_disk_is_one_error_and_changes_nothing(igloo, disk):
    data = disk.folder / "d"
    assert on_disk(igloo, disk, "sql", "--data", data, "-c", MADE).returncode == 0
    before = disk.names()
    disk.remount("ro")
    for statement in ("SELECT n, s FROM w", "CREATE VIEW x AS SELECT 1 AS a", "DROP TABLE t"):
        done = on_disk(igloo, disk, "sql", "--data", data, "-c", statement)
        assert_one_error(done, data, "Read-only file system", codes=(3,), state="42501")
        assert done.stdout == ""
    done = on_disk(igloo, disk, "sql", "-c", f"COPY (SELECT 1 AS a) TO '{disk.folder}/x.csv'")
    assert_one_error(done, codes=(1,), state="42501")
    for key in ("IGLOO_ENGINE_SPILL_DIR", "TMPDIR"):
        assert_one_error(on_disk(igloo, disk, "sql", "-c", "SELECT 1", **{key: str(disk.folder)}),
                         disk.folder, codes=(3,), state="42501")
    assert disk.names() == before
    disk.remount("rw")
    assert on_disk(igloo, disk, "sql", "--data", data, "-c", "SELECT n, s FROM w").stdout == WHOLE


@pytest.mark.parametrize("free", [4 * MIB, 256 * 1024, 0], ids=["4 MiB", "256 KiB", "nothing"])
def test_a_full_disk_leaves_tables_whole_and_no_half_files(igloo, disk, free):
    data = disk.folder / "d"
    one = Library(library_path(), igloo.environment, igloo.folder,
                  before=disk.command(cwd=igloo.folder), **{"server.data_dir": str(data)})
    for statement in MADE.split("; "):
        assert one.run(statement).rows == []
    before = [name for name in disk.names() if ".db" not in name]
    disk.leave(free)
    for statement in (f"CREATE TABLE big AS {BIG}", f"INSERT INTO t SELECT v, 'x' || h FROM ({BIG}) AS b",
                      f"CREATE OR REPLACE TABLE t AS {BIG}",
                      f"COPY ({BIG}) TO '{disk.folder}/big.csv'",
                      f"COPY ({BIG}) TO '{disk.folder}/big.parquet'",
                      f"COPY (SELECT v % 3 AS k, h FROM ({BIG}) AS b) TO '{disk.folder}/big' STORED AS CSV "
                      "PARTITIONED BY (k)"):
        answer = one.run(statement)
        assert answer.sqlstate == "53100", f"{statement}: {answer}"
        assert "full" in answer.message or "No space left" in answer.message
        assert one.rows("SELECT n, s FROM w") == [{"n": 5000, "s": 12502500}]
        assert [name for name in disk.names() if ".db" not in name] == before, statement
    disk.clear()
    assert one.run(f"CREATE TABLE big AS {BIG}").rows == []
    assert one.run(f"COPY ({BIG}) TO '{disk.folder}/big.csv'").rows == []
    assert one.close() == 0
    done = on_disk(igloo, disk, "sql", "--data", data, "-c", "SELECT n, s FROM w", "-c",
                   "SELECT count(*) AS n FROM big")
    assert done.stdout == WHOLE + "n\n400000\n", done


def test_a_full_disk_under_the_catalog_is_an_error_and_then_works(igloo, disk):
    data = disk.folder / "d"
    one = Library(library_path(), igloo.environment, igloo.folder,
                  before=disk.command(cwd=igloo.folder), **{"server.data_dir": str(data)})
    for statement in MADE.split("; "):
        assert one.run(statement).rows == []
    disk.leave(64 * 1024)
    failed, made = [], []
    text = "x" * 20000
    for number in range(60):
        answer = one.run(f"CREATE VIEW v{number} AS SELECT '{text}' AS a")
        if answer.rows is None:
            assert answer.sqlstate == "53100", answer
            failed.append(number)
        else:
            made.append(number)
    assert len(failed) > 10, "the disk was not full"
    assert one.rows("SELECT n, s FROM w") == [{"n": 5000, "s": 12502500}]
    for number in made:
        assert one.rows(f"SELECT length(a) AS n FROM v{number}") == [{"n": len(text)}]
    for number in failed:
        assert one.run(f"SELECT * FROM v{number}").sqlstate == "42P01"
    done = on_disk(igloo, disk, "sql", "--data", disk.folder / "new", "-c", "SELECT 1")
    assert_one_error(done, codes=(3,), state="53100")
    one.kill()  # nothing is tidied
    again = on_disk(igloo, disk, "sql", "--data", data, "-c", "SELECT n, s FROM w")
    assert again.stdout == WHOLE or "sqlstate: 53100" in again.stderr, again
    disk.clear()
    done = on_disk(igloo, disk, "sql", "--data", data, "-c", "SELECT n, s FROM w", "-c",
                   f"CREATE VIEW v{failed[0]} AS SELECT 1 AS a", "-c", f"SELECT * FROM v{failed[0]}")
    assert (done.returncode, done.stdout) == (0, WHOLE + "a\n1\n"), done
    done = on_disk(igloo, disk, "sql", "--data", data, *[
        word for number in made for word in ("-c", f"SELECT length(a) AS n FROM v{number}")])
    assert done.stdout == f"n\n{len(text)}\n" * len(made), done.stderr




def wait_until_nothing_is_spilled(library, disk):
    """The error is told before the last operator has let its files go."""
    deadline = time.monotonic() + SECONDS
    while [path for path in disk.seen.rglob("*") if path.is_file() and path.name not in ("lock", "ballast")]:
        assert time.monotonic() < deadline, disk.names()
        assert library.rows("SELECT 1 AS a") == [{"a": 1}]


def test_ten_spills_to_a_full_disk_do_not_spoil_the_next(igloo, disk):
    one = Library(library_path(), igloo.environment, igloo.folder,
                  before=disk.command(cwd=igloo.folder),
                  **{"engine.spill_dir": str(disk.folder), "engine.memory_limit": "64MiB",
                     "engine.threads": "2"})
    count = ("SELECT sum(r) AS s, count(*) AS n FROM (SELECT row_number() OVER (ORDER BY k, v) AS r "
             "FROM (SELECT v, v * 7919 % 1000003 AS k FROM generate_series(1, 4000000) AS s(v)) AS q) AS p")
    disk.leave(4 * MIB)
    for number in range(10):
        answer = one.run(count)
        assert answer.sqlstate == "53100", f"sort {number}: {answer}"
        wait_until_nothing_is_spilled(one, disk)
    disk.clear()
    assert one.rows(count) == [{"s": 4000000 * 4000001 // 2, "n": 4000000}]
    plan = "\n".join(str(row) for row in one.rows("EXPLAIN ANALYZE " + count))
    assert sum(map(int, re.findall(r"spill_count=(\d+)", plan))) > 0, plan
    wait_until_nothing_is_spilled(one, disk)
    assert one.close() == 0
    assert disk.names() == []


def test_output_to_a_full_disk_is_one_error_and_leaves_no_file(igloo, disk):
    disk.leave(MIB)
    for form in ("csv", "json", "arrow", "parquet", "box"):
        done = on_disk(igloo, disk, "sql", "--format", form, "-o", disk.folder / "out", "-c", BIG)
        assert_one_error(done, codes=(1,), state="53100")
        assert disk.names() == [], form
    disk.clear()
    assert on_disk(igloo, disk, "sql", "-o", disk.folder / "out", "-c", "SELECT 1 AS a").returncode == 0
    assert (disk.seen / "out").read_text() == "a\n1\n"


def test_a_file_larger_than_the_system_allows_is_one_error(igloo, data):
    def few():
        resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, MIB))
    files = disk_files(data)
    for statement in (f"CREATE TABLE big AS {BIG}", f"COPY ({BIG}) TO 'big.csv'"):
        done = igloo("sql", "--data", "d", "-c", statement, preexec_fn=few)
        assert_one_error(done, codes=(1,), state="53100")
    assert sorted(os.listdir(igloo.folder)) == ["d"]
    assert_undamaged(igloo)
    assert disk_files(data) == files


# ---- rights and folders ------------------------------------------------------------------

def as_owner(igloo, *arguments, **options):
    """Run without root's right to pass over the bits of files."""
    return subprocess.run([*without_rights(), program(), *map(str, arguments)], cwd=igloo.folder,
                          env=igloo.environment, capture_output=True, text=True, timeout=SECONDS,
                          check=False, **options)


@pytest.mark.parametrize("closed", ["d", "d/catalog.db", "d/tables", "d/igloo.lock"])
def test_without_the_right_to_it_the_data_folder_is_one_error(igloo, data, closed):
    path = igloo.folder / closed
    mode = path.stat().st_mode & 0o777
    path.chmod(0)
    try:
        done = as_owner(igloo, "sql", "--data", "d", "-c", "SELECT n, s FROM w")
        assert_one_error(done, "Permission denied", codes=(3,), state="42501")
    finally:
        path.chmod(mode)
    assert_undamaged(igloo)


def test_without_the_right_to_write_a_statement_is_one_error(igloo, data):
    folder = igloo.folder / "closed"
    folder.mkdir(mode=0o500)
    (igloo.folder / "secret.csv").write_text("a\n1\n")
    (igloo.folder / "secret.csv").chmod(0)
    for statement in ("COPY (SELECT 1 AS a) TO 'closed/x.csv'", "SELECT * FROM 'secret.csv'",
                      "COPY (SELECT 1 AS a, 2 AS k) TO 'closed/x' STORED AS CSV PARTITIONED BY (k)"):
        done = as_owner(igloo, "sql", "-c", statement)
        assert_one_error(done, codes=(1,), state="42501")
        assert ".tmp" not in done.stderr, "a name of ours"
    assert os.listdir(folder) == []
    tables = data / "tables"
    tables.chmod(0o500)
    try:
        done = as_owner(igloo, "sql", "--data", "d", "-c", "CREATE TABLE x AS SELECT 1 AS a")
        assert_one_error(done, state="42501")
        assert as_owner(igloo, "sql", "--data", "d", "-c", "SELECT n, s FROM w").stdout == WHOLE
    finally:
        tables.chmod(0o700)
    assert as_owner(igloo, "sql", "--data", "d", "-c", "CREATE TABLE x AS SELECT 1 AS a").returncode == 0


@pytest.mark.parametrize("arguments,environment", [
    (["--data", "no/such/d"], {}), ([], {"IGLOO_ENGINE_SPILL_DIR": "/no/such"}),
    ([], {"TMPDIR": "/no/such"}), (["--config", "no.conf"], {}), (["-f", "no.sql"], {}),
    (["-o", "no/such/out"], {})])
def test_a_folder_that_is_missing_is_one_error(igloo, arguments, environment):
    done = igloo("sql", *arguments, "-c", "SELECT 1", env=environment)
    assert_one_error(done, "no", codes=(1, 2, 3), state="58P01")
    assert os.listdir(igloo.folder) == []


def test_a_working_folder_that_was_removed_matters_only_to_relative_paths(igloo):
    gone = igloo.folder / "gone"

    def run(*arguments):
        gone.mkdir()
        command = 'rmdir "$PWD" && exec "$0" "$@"'
        return subprocess.run(["sh", "-c", command, program(), *arguments], cwd=gone,
                              env=igloo.environment, capture_output=True, text=True,
                              timeout=SECONDS, check=False)

    assert run("sql", "-c", "SELECT 1 AS a").stdout == "a\n1\n"
    assert_one_error(run("sql", "-c", "SELECT * FROM 'x.csv'"), codes=(1,), state="58")
    assert_one_error(run("sql", "-c", "COPY (SELECT 1 AS a) TO 'x.csv'"), codes=(1,), state="58")
    assert_one_error(run("sql", "--data", "d", "-c", "SELECT 1"), codes=(2, 3), state="58")
    kept = run("sql", "--data", str(igloo.folder / "d"), "-c", "CREATE TABLE t AS SELECT 1 AS a")
    assert (kept.returncode, kept.stderr) == (0, "")


def test_folders_that_vanish_meanwhile_are_errors(igloo, tmp_path):
    spill = tmp_path / "spill"
    spill.mkdir()
    one = Library(library_path(), igloo.environment, igloo.folder,
                  **{"engine.spill_dir": str(spill), "engine.memory_limit": "64MiB",
                     "server.data_dir": "d"})
    for statement in MADE.split("; "):
        assert one.run(statement).rows == []
    subprocess.run(["rm", "-rf", spill], check=True)
    answer = one.run("SELECT v FROM generate_series(1, 8000000) AS s(v) ORDER BY v * 7919 % 1000003 LIMIT 7999999")
    assert answer.sqlstate[:2] in ("53", "58"), answer
    assert one.rows("SELECT n, s FROM w") == [{"n": 5000, "s": 12502500}]
    os.rename(igloo.folder / "d", igloo.folder / "elsewhere")
    for statement in ("INSERT INTO t SELECT 0, 'x'", "CREATE TABLE x AS SELECT 1 AS a"):
        answer = one.run(statement)
        assert answer.rows is not None or answer.sqlstate[:2] in ("58", "42"), answer
    os.path.exists(igloo.folder / "d") or os.rename(igloo.folder / "elsewhere", igloo.folder / "d")
    assert one.close() == 0
    assert_undamaged(igloo)


# ---- the clock ---------------------------------------------------------------------------

DAY = 86400


def test_a_clock_that_jumps_changes_no_timeout_and_no_table(igloo, tmp_path):
    clock = Clock(tmp_path)
    one = Library(library_path(), {**igloo.environment, **clock.environment}, igloo.folder,
                  **{"server.data_dir": "d"})

    def now():
        text = one.rows("SELECT now() AS n")[0]["n"]
        return datetime.datetime.fromisoformat(text).timestamp()

    for statement in MADE.split("; "):
        assert one.run(statement).rows == []
    for at, jump in enumerate((0, DAY, -DAY, 40 * 365 * DAY, -40 * 365 * DAY, 3600, -5)):
        clock.jump(jump)
        assert abs(now() - clock.now()) < 5, f"jump by {jump}"
        assert one.run(f"INSERT INTO t SELECT 0, 'jump {at}'").rows == []
        assert one.rows("SELECT n, s FROM w") == [{"n": 5001 + at, "s": 12502500}]
        assert one.run("SET statement_timeout = '300ms'").rows == []
        started = time.monotonic()
        answer = one.run(ENDLESS)
        assert answer.sqlstate == "57014" and 0.2 < time.monotonic() - started < 5, answer
        assert one.run("RESET statement_timeout").rows == []
    assert one.close() == 0
    done = igloo("sql", "--data", "d", "-c", "SELECT n, s FROM w")
    assert done.stdout == "n,s\n5007,12502500\n"


@pytest.mark.parametrize("jump", [DAY, -DAY, 30 * 365 * DAY])
def test_a_clock_that_jumps_during_a_statement_neither_ends_nor_prolongs_it(igloo, tmp_path, jump):
    clock = Clock(tmp_path)
    environment = {**igloo.environment, **clock.environment, "IGLOO_LIMITS_STATEMENT_TIMEOUT": "2500ms"}
    work = "SELECT count(*) AS n FROM generate_series(1, {}) AS s(v) WHERE v % 7 = 3"
    process = subprocess.Popen(
        [program(), "sql", "-c", "SELECT 0 AS s", "-c", work.format(3500000), "-c", ENDLESS],
        cwd=igloo.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "s\n"
    assert process.stdout.readline() == "0\n"
    clock.jump(jump)
    assert process.stdout.readline() == "n\n", process.stderr.read()
    assert process.stdout.readline() == "500000\n"
    clock.jump(2 * jump)
    started = time.monotonic()
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 1 and "sqlstate: 57014" in errors, errors
    assert time.monotonic() - started < 8


# ---- descriptors, readers, terminals -----------------------------------------------------

def closed(*descriptors):
    def close():
        for descriptor in descriptors:
            os.close(descriptor)
    return close


@pytest.mark.parametrize("descriptors", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)], ids=str)
def test_closed_descriptors_never_become_files_of_the_data_folder(igloo, data, descriptors):
    """A first file that were opened as descriptor 1 or 2 would get what is printed."""
    number = len(descriptors)
    process = subprocess.run(
        [program(), "sql", "--data", "d", "-c", f"INSERT INTO t SELECT 0, 'x{number}'", "-c", "SELECT n FROM w",
         "-c", "SELECT nope"], cwd=igloo.folder, env=igloo.environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=SECONDS, check=False,
        preexec_fn=closed(*descriptors))
    assert process.returncode == 1
    assert process.stdout == ("" if 1 in descriptors else "n\n5001\n")
    assert process.stderr.count("error: ") == (0 if 2 in descriptors else 1)
    assert igloo("sql", "--data", "d", "-c", "SELECT n, s FROM w").stdout == "n,s\n5001,12502500\n"


def test_a_script_from_a_closed_stdin_is_one_error(igloo):
    for arguments in (("sql", "-"), ("sql",), ()):
        done = subprocess.run([program(), *arguments], cwd=igloo.folder, env=igloo.environment,
                              capture_output=True, text=True, timeout=SECONDS, check=False,
                              preexec_fn=closed(0))
        assert_one_error(done, codes=(1, 2), state="58030")


@pytest.mark.parametrize("form", ["box", "csv", "tsv", "json", "jsonl", "markdown", "arrow", "quiet"])
def test_stdout_that_is_full_is_one_error(igloo, form):
    rows = "SELECT v FROM generate_series(1, 100000) AS s(v)"
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = igloo("sql", "--format", form, "-c", rows, "-c", "SELECT 2", stdout=full)
    if form == "quiet":
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert_one_error(done, codes=(1,), state="53100")


def test_stderr_that_is_full_changes_no_exit_code(igloo):
    with open("/dev/full", "w", encoding="utf-8") as full:
        for statement, code in (("SELECT 1 AS a", 0), ("SELECT nope", 1)):
            done = subprocess.run([program(), "sql", "-c", statement], cwd=igloo.folder, stderr=full,
                                  env=igloo.environment, stdout=subprocess.PIPE, timeout=SECONDS,
                                  check=False)
            assert done.returncode == code


@pytest.mark.parametrize("form", ["box", "csv", "tsv", "json", "jsonl", "markdown", "arrow"])
def test_a_reader_that_goes_away_ends_the_query_without_a_word(igloo, data, form):
    """As of `igloo … | head -1`; what was asked for after it is not done."""
    # Two need every row for the widths, and one is written to a file first: no endless query.
    rows = 3000000 if form in ("box", "markdown", "arrow") else 1000000000000
    after = [] if form == "arrow" else ["-c", "DROP VIEW w"]  # one stream is one result
    process = igloo.start("sql", "--data", "d", "--format", form, "-c",
                          f"SELECT v FROM generate_series(1, {rows}) AS s(v)", *after,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.read(1)
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(SECONDS) in (0, 1, 141, -signal.SIGPIPE)
    assert errors == b""
    assert_undamaged(igloo)


@pytest.mark.parametrize("statement", [ENDLESS, f"CREATE TABLE big AS {BIG.replace('400000', '40000000000')}",
                                       f"INSERT INTO t SELECT v, 'x' || h FROM ({BIG.replace('400000', '40000000000')}) AS b",
                                       "COPY (SELECT v FROM generate_series(1, 1000000000000) AS s(v)) TO 'big.csv'"],
                         ids=["query", "create table as", "insert", "copy"])
def test_a_terminal_that_goes_away_during_a_statement_leaves_nothing_half_done(
        igloo, shell, data, temporary, statement):
    files = disk_files(data)
    one = shell("--data", "d", TMPDIR=str(temporary))
    one.send(statement + ";")
    one.process.expect(r"\r\d+\.\d s")  # the progress line: it runs
    assert one.hang_up() in (0, 130)
    assert os.listdir(temporary) == []
    assert_undamaged(igloo)
    assert disk_files(data) == files
    assert sorted(os.listdir(igloo.folder)) == ["d"]


# ---- limits of the system ----------------------------------------------------------------

def limited(kind, number):
    return lambda: resource.setrlimit(kind, (number, number))


def test_too_few_descriptors_are_one_error_and_damage_nothing(igloo, data, temporary):
    codes = []
    for number in range(4, 24):
        done = igloo("sql", "--data", "d", "-c", "SELECT n, s FROM w", "-c",
                     "COPY t TO 'out.csv' (FORMAT csv, OVERWRITE)", "-c",
                     "CREATE OR REPLACE TABLE u AS SELECT * FROM t", "-c", "SELECT n, s FROM w",
                     preexec_fn=limited(resource.RLIMIT_NOFILE, number))
        codes.append(done.returncode)
        if done.returncode == 0:
            assert (done.stdout, done.stderr) == (WHOLE * 2, ""), number
        elif number > 5:
            assert_one_error(done, codes=(1, 3), state="53")
        else:  # the loader's own files need more
            assert done.returncode in (1, 3, 127), (number, done)
    assert codes[0] != 0 == codes[-1], codes
    done = igloo("sql", "--data", "d", "-c", "DROP TABLE IF EXISTS u")
    assert (done.returncode, done.stderr) == (0, "")
    assert_undamaged(igloo)
    assert sorted(os.listdir(igloo.folder)) == ["d", "out.csv"]
    assert os.listdir(temporary) == []


def test_a_query_over_more_files_than_descriptors_is_an_answer_or_one_error(igloo):
    (igloo.folder / "many").mkdir()
    for number in range(300):
        (igloo.folder / f"many/{number}.csv").write_text(f"a\n{number}\n")
    one = Library(library_path(), igloo.environment, igloo.folder,
                  before=["prlimit", "--nofile=48:48", "--"])
    for _ in range(3):
        answer = one.run("SELECT sum(a) AS s, count(*) AS n FROM 'many/*.csv'")
        assert answer.rows == [{"s": 44850, "n": 300}] or answer.sqlstate.startswith("53"), answer
        wide = " UNION ALL ".join(f"SELECT a FROM 'many/{number}.csv'" for number in range(200))
        answer = one.run(f"SELECT sum(a) AS s FROM ({wide}) AS q")
        assert answer.rows == [{"s": 19900}] or answer.sqlstate.startswith("53"), answer
        assert one.rows("SELECT a FROM 'many/7.csv'") == [{"a": 7}]
    assert one.close() == 0


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6, 7, 8])
def test_too_few_processes_are_one_error_and_no_hang(number):
    """Threads count as processes; the system counts those of one user, and root's never.
    Others of that user may come and go, so that any number may be too few or enough."""
    done = run_as_nobody(
        program(), ["sql", "-c", "SELECT sum(v) AS s FROM generate_series(1, 100000) AS t(v)"],
        cwd="/", env={"TMPDIR": "/tmp", "IGLOO_ENGINE_THREADS": "2"},
        preexec_fn=limited(resource.RLIMIT_NPROC, count_threads(os.geteuid() or NOBODY) + number))
    if done.returncode == 0:
        assert (done.stdout, done.stderr) == ("s\n5000050000\n", "")
    else:
        assert_one_error(done, "could not start", codes=(1, 3), state="53")


# So close to each other that a thread or a block too many is met at every place.
@pytest.mark.parametrize("mebibytes", [*range(200, 2000, 40), 2000, 4000])
def test_too_little_address_space_is_one_error_and_no_hang(igloo, data, mebibytes):
    done = subprocess.run(
        [program(), "sql", "--data", "d", "-c", "SELECT n, s FROM w", "-c",
         "INSERT INTO t SELECT 0, 'x'", "-c", "SELECT 'done' AS d"], cwd=igloo.folder,
        env=igloo.environment, capture_output=True, text=True, timeout=SECONDS, check=False,
        preexec_fn=limited(resource.RLIMIT_AS, mebibytes * MIB))
    if done.returncode == 0:
        assert done.stdout.endswith("d\ndone\n")
    else:
        assert_one_error(done, codes=(1, 3), state="53")
    whole = igloo("sql", "--data", "d", "-c", "SELECT n, s FROM w").stdout
    assert whole in (WHOLE, WHOLE.replace("5000", "5001"))
    if done.returncode == 0:
        assert whole.startswith("n,s\n5001")


def test_the_memory_limit_that_nobody_set_fits_the_address_space(igloo):
    """So that a hungry statement meets our limit, which is an error, before the system's."""
    hungry = ("SELECT array_length(array_agg(v)), array_length(array_agg(v + 1)), "
              "array_length(array_agg(v + 2)) FROM generate_series(1, 60000000) AS s(v)")
    done = igloo("sql", "-c", hungry, preexec_fn=limited(resource.RLIMIT_AS, 2304 * MIB))
    assert_one_error(done, "engine.memory_limit", codes=(1,), state="53200")
