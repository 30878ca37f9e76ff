"""The same rows from three workers, from one, from the engine alone and from DuckDB."""

import concurrent.futures
import importlib.util
import pathlib
import random

import duckdb
import pyarrow
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet
import pytest

import answers
import generate
import nodes
from conftest import EVERYTHING, make_cluster

TPCH = pathlib.Path(__file__).resolve().parents[1] / "tpch"
spec = importlib.util.spec_from_file_location("tpch_run", TPCH / "run.py")
tpch = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tpch)
SCALE = 0.1
QUERIES, QUERIES_LONG = 150, 1000


def pytest_generate_tests(metafunc):
    if "number" in metafunc.fixturenames:
        count = QUERIES_LONG if metafunc.config.getoption("--long") else QUERIES
        metafunc.parametrize("number", range(count))


# ---- random queries -------------------------------------------------------------------

@pytest.fixture(scope="module")
def sessions(one, three, embedded):
    with one.session() as first, three.session() as second:
        yield {"embedded": embedded, "one worker": first, "three workers": second}


def test_a_random_query_has_one_answer(sessions, oracle, number):
    query = generate.query(number)
    expected = answers.rows_of_tuples(oracle.execute(query.sql).fetchall())
    wrong = []
    for where, session in sessions.items():
        try:
            answers.compare(expected, answers.rows_of(session.fetch(query.sql)), query.ordered)
        except (answers.Mismatch, nodes.IglooError) as error:
            wrong.append(f"{where}: {error}")
    assert not wrong, "\n".join([query.sql, *wrong])


def test_queries_of_many_sessions_at_once_do_not_meet(three, oracle):
    """Tasks and partitions of different statements are on the same members and connections."""
    numbers = range(5000, 5024)
    wanted = {}
    for number in numbers:
        query = generate.query(number)
        wanted[number] = query, answers.rows_of_tuples(oracle.execute(query.sql).fetchall())

    def run(share):
        wrong = []
        with three.session() as session:
            for number in share:
                query, expected = wanted[number]
                try:
                    answers.compare(expected, answers.rows_of(session.fetch(query.sql)), query.ordered)
                except (answers.Mismatch, nodes.IglooError) as error:
                    wrong.append(f"{number}: {error}")
        return wrong
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        wrong = [one for found in pool.map(run, [numbers[at::8] for at in range(8)]) for one in found]
    assert not wrong, "\n".join(wrong)


def test_whole_tables_come_in_their_order(three, oracle):
    sql = "SELECT * FROM events ORDER BY id DESC"
    answers.compare(answers.rows_of_tuples(oracle.execute(sql).fetchall()),
                    answers.rows_of(three.query(sql)), ordered=True)


def test_parameters_of_prepared_statements_reach_the_workers(three):
    with three.session() as session:
        session.fetch("PREPARE p AS SELECT count(*) AS n FROM events WHERE id < $1 AND kind IS NOT DISTINCT FROM $2")
        rows = three.rows("SELECT count(*) AS n FROM events WHERE id < 9000 AND kind = 'cat'")
        assert session.fetch("EXECUTE p(9000, 'cat')").to_pylist() == rows
        assert session.fetch("EXECUTE p(0, 'cat')").to_pylist() == [{"n": 0}]


def test_a_worker_without_memory_fails_the_statement_as_the_engine_would(start):
    cluster = start(2, worker_settings=["engine.memory_limit=64MiB", "engine.spill_limit=0"])
    heavy = ("SELECT count(*) AS n FROM (SELECT a.id, string_agg(b.kind, ',') AS k FROM events a"
             " JOIN events b ON a.user_id = b.user_id GROUP BY a.id) g WHERE length(k) > 0")
    with cluster.session() as session:
        try:
            session.fetch(heavy)
        except nodes.IglooError as error:
            assert error.sqlstate.startswith("53"), error
        assert session.fetch("SELECT count(*) AS n FROM events").to_pylist() == [{"n": 24000}]
    assert all(worker.is_alive() for worker in cluster.workers)


COUNTED = "(SELECT count(*) FROM events e WHERE e.qty = {}) AS counted"
WINDOWS = {
    "rows that are in order below a limit":
        f"SELECT k, n, l, {COUNTED.format('w.n')} FROM (SELECT k, count(*) OVER (PARTITION BY k ORDER BY k) AS n,"
        " lag(k, 3) OVER (PARTITION BY k ORDER BY k DESC) AS l"
        " FROM (SELECT kind AS k FROM events ORDER BY 1 LIMIT 12000) q) w",
    "a column that is there twice":
        "SELECT a, id, ntile(2) OVER (PARTITION BY a ORDER BY b, id), count(*) OVER (PARTITION BY a ORDER BY a)"
        f" FROM (SELECT *, {COUNTED.format('q.id')} FROM"
        " (SELECT kind AS a, kind AS b, id FROM events ORDER BY kind, id LIMIT 5000) q) r WHERE counted < 900",
    "a key that is one value":
        f"SELECT a, n, s, {COUNTED.format('w.n')} FROM (SELECT a, ntile(3) OVER (PARTITION BY a ORDER BY id) AS n,"
        " sum(qty) OVER (PARTITION BY a ORDER BY id) AS s"
        " FROM (SELECT kind AS a, id, qty FROM events WHERE kind = 'cat' ORDER BY id LIMIT 900) q) w",
    "a key that a join makes the same":
        "SELECT e.user_id, u.id, e.id, ntile(2) OVER (PARTITION BY u.id ORDER BY e.user_id, e.id),"
        " count(*) OVER (PARTITION BY e.user_id ORDER BY u.id)"
        " FROM events e JOIN users u ON e.user_id = u.id WHERE u.level < 3",
}


@pytest.mark.parametrize("keys", WINDOWS)
def test_windows_over(keys, sessions, oracle):
    """Whether the keys are in order is known of rows that are here, not of rows that are sent."""
    expected = answers.rows_of_tuples(oracle.execute(WINDOWS[keys]).fetchall())
    for session in sessions.values():
        answers.compare(expected, answers.rows_of(session.fetch(WINDOWS[keys])))


SENT_WINDOWS = [
    "SELECT kind, id, row_number() OVER (PARTITION BY kind ORDER BY id) FROM events",
    "SELECT day, kind, ntile(3) OVER (PARTITION BY kind, day ORDER BY id) FROM events WHERE qty > 3",
    "SELECT k, n, row_number() OVER (ORDER BY n, k) FROM (SELECT kind AS k, count(*) AS n FROM events GROUP BY kind"
    " UNION ALL SELECT kind || 'x', sum(qty) FROM events GROUP BY kind) t",
]


@pytest.mark.parametrize("sql", SENT_WINDOWS)
def test_windows_whose_order_is_known_elsewhere_are_computed_there(sql, three, sessions, oracle):
    with three.session() as session:
        rows = session.fetch(f"EXPLAIN {sql}").to_pylist()
    assert "stage 1: tasks" in "\n".join(str(value) for row in rows for value in row.values())
    expected = answers.rows_of_tuples(oracle.execute(sql).fetchall())
    for session in sessions.values():
        answers.compare(expected, answers.rows_of(session.fetch(sql)))


def test_random_queries_are_the_same_in_each_run():
    assert generate.query(7).sql == generate.query(7).sql != generate.query(8).sql


# ---- TPC-H ----------------------------------------------------------------------------

@pytest.fixture(scope="module")
def tpch_folder():
    return pathlib.Path(tpch.data_folder(SCALE))


@pytest.fixture(scope="module")
def tpch_oracle(tpch_folder):
    database = duckdb.connect(config={"threads": 2})
    for table in tpch.TABLES:
        database.execute(f"CREATE VIEW {table} AS SELECT * FROM '{tpch_folder}/{table}.parquet'")
    return database


def declare(fetch, folder):
    for table in tpch.TABLES:
        fetch(f"CREATE EXTERNAL TABLE {table} STORED AS PARQUET LOCATION '{folder}/{table}.parquet'")


@pytest.fixture(scope="module")
def tpch_embedded(tpch_folder):
    engine = nodes.Embedded()
    declare(engine.fetch, tpch_folder)
    yield engine
    engine.close()


@pytest.fixture(scope="module", params=[1, 3], ids=["one_worker", "three_workers"])
def tpch_cluster(request, tpch_folder):
    cluster = make_cluster(request.param, tpch_folder)
    with cluster.session() as session:
        declare(session.fetch, tpch_folder)
        cluster.told = session
        yield cluster
    cluster.end()


def typed_rows(table):
    """As tpch.compare wants them."""
    columns = [column.to_pylist() for column in table.columns]
    return [field.type for field in table.schema], [list(row) for row in zip(*columns)]


@pytest.mark.parametrize("query", range(1, 23), ids=[f"q{one:02d}" for one in range(1, 23)])
def test_tpch_is_answered_by_workers_as_by_one_process_and_by_duckdb(
        tpch_cluster, tpch_embedded, tpch_oracle, query):
    sql = tpch.query_text(query, SCALE)
    expected = tpch_oracle.execute(sql).fetchall()
    before = tpch_cluster.tasks_total()
    found = tpch_cluster.told.fetch(sql)
    begun = [now - then for now, then in zip(tpch_cluster.tasks_total(), before)]
    tpch.compare(expected, *typed_rows(found))
    tpch.compare(expected, *typed_rows(tpch_embedded.fetch(sql)))
    # All of them read orders or lineitem or partsupp in parts, each member some.
    assert all(begun), f"tasks of each worker: {begun}"


def test_tpch_is_right_where_small_sides_are_read_by_all(tpch_folder, tpch_oracle):
    """Of 16 KiB and less: nation, region, supplier and what is left of part."""
    cluster = make_cluster(2, tpch_folder, settings=["cluster.local_bytes=1MiB"])
    try:
        with cluster.session() as session:
            declare(session.fetch, tpch_folder)
            for query in range(1, 23):
                sql = tpch.query_text(query, SCALE)
                tpch.compare(tpch_oracle.execute(sql).fetchall(), *typed_rows(session.fetch(sql)))
    finally:
        cluster.end()


# ---- every row once -------------------------------------------------------------------

CHECKS = {
    "events": "count(*), count(DISTINCT id), sum(id), sum(amount), sum(score), min(seen), max(seen)",
    "users": "count(*), count(DISTINCT id), sum(id), sum(balance), min(name), max(born)",
    "visits": "count(*), count(DISTINCT id), sum(id), sum(seconds), sum(cost)",
    "log": "count(*), count(DISTINCT line), sum(line), sum(size)",
    "pairs": "count(*), sum(a), sum(b), sum(d), sum(e), count(c)",
}


@pytest.mark.parametrize("table", CHECKS)
def test_every_row_is_read_once_however_files_are_spread(sessions, oracle, table):
    sql = f"SELECT {CHECKS[table]} FROM {table}"
    expected = answers.rows_of_tuples(oracle.execute(sql).fetchall())
    for session in sessions.values():
        answers.compare(expected, answers.rows_of(session.fetch(sql)))


LARGE = 300_000  # rows in one file, which is cut into pieces of a megabyte or more


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """One large file of each format that can be cut, and a cluster that reads them."""
    folder = tmp_path_factory.mktemp("large")
    dice = random.Random("large")
    rows = pyarrow.table({
        "id": pyarrow.array(range(LARGE), pyarrow.int64()),
        "value": pyarrow.array([dice.getrandbits(40) for _ in range(LARGE)], pyarrow.int64()),
        "text": [f"{dice.getrandbits(40):x}" for _ in range(LARGE)]})
    pyarrow.parquet.write_table(rows, folder / "large.parquet", row_group_size=20_000, compression="none")
    pyarrow.csv.write_csv(rows, folder / "large.csv")
    duckdb.connect().execute(f"COPY (SELECT * FROM '{folder}/large.parquet') TO '{folder}/large.jsonl' (FORMAT json)")
    # A quoted value may hold what looks like the end of a line, where a file is cut.
    lines = [f'{row},"{row}\n{row},0,x\n{text}"' for row, text in enumerate(rows["text"].to_pylist())]
    (folder / "lines.csv").write_text("id,text\n" + "\n".join(lines) + "\n")
    cluster = make_cluster(3, folder)
    yield folder, rows, cluster
    cluster.end()


@pytest.mark.parametrize("format", ["parquet", "csv", "jsonl"])
def test_a_large_file_is_cut_between_members_and_each_row_read_once(large, format):
    folder, rows, cluster = large
    compute = pyarrow.compute
    expected = {"n": LARGE, "d": LARGE, "s": compute.sum(rows["value"]).as_py(),
                "l": compute.sum(compute.utf8_length(rows["text"])).as_py()}
    before = cluster.tasks_total()
    [found] = cluster.rows("SELECT count(*) AS n, count(DISTINCT id) AS d, CAST(sum(value) AS bigint) AS s,"
                           f" CAST(sum(length(text)) AS bigint) AS l FROM '{folder}/large.{format}'")
    assert found == expected
    begun = [now - then for now, then in zip(cluster.tasks_total(), before)]
    assert all(begun), f"tasks of each worker: {begun}"


def test_rows_whose_values_span_lines_are_read_once(large):
    folder, rows, cluster = large
    [found] = cluster.rows("SELECT count(*) AS n, CAST(sum(id) AS bigint) AS s, count(DISTINCT text) AS d"
                           f" FROM '{folder}/lines.csv'")
    assert found == {"n": LARGE, "s": LARGE * (LARGE - 1) // 2, "d": LARGE}


def test_files_that_cannot_be_cut_are_read_once(start, tmp_path):
    rows = [f'{{"id":{row},"text":"{row * 7}"}}' for row in range(20_000)]
    oracle = duckdb.connect()
    (tmp_path / "rows.jsonl").write_text("\n".join(rows) + "\n")
    oracle.execute(f"COPY (SELECT * FROM '{tmp_path}/rows.jsonl') TO '{tmp_path}/rows.csv.gz'")
    cluster = start(2, tmp_path, prepare=None)
    for name in ("rows.jsonl", "rows.csv.gz"):
        sql = f"SELECT count(*) AS n, sum(id) AS s FROM '{tmp_path}/{name}'"
        assert cluster.rows(sql) == [{"n": 20_000, "s": 20_000 * 19_999 // 2}], name


# ---- shapes that go wrong where a side is in every task ---------------------------------------

SIDES = {
    "small and large": ("codes x", "log y", "x.code", "y.code", "x.weight", "y.size"),
    "large and small": ("log x", "codes y", "x.code", "y.code", "x.size", "y.weight"),
    "both large": ("events x", "visits y", "x.user_id", "y.user_id", "x.qty", "y.seconds"),
    "with itself": ("pairs x", "pairs y", "x.a", "y.b", "x.d", "y.e"),
    "an empty one": ("events x", "(SELECT * FROM users WHERE id < 0) y", "x.user_id", "y.id", "x.qty", "y.level"),
}
JOINS = {
    **{kind: f"SELECT count(*), count({{a}}), count({{b}}), sum({{v}}), sum({{w}}) FROM {{x}} {kind} JOIN {{y}} ON {{a}} = {{b}}"
       for kind in ("INNER", "LEFT", "RIGHT", "FULL")},
    **{f"{kind} with a condition": f"SELECT count(*), count({{a}}), sum({{v}}), sum({{w}}) FROM {{x}} {kind} JOIN {{y}}"
       f" ON {{a}} = {{b}} AND {{v}} < {{w}}" for kind in ("LEFT", "RIGHT", "FULL")},
    "IN": "SELECT count(*), sum({v}) FROM {x} WHERE {a} IN (SELECT {b} FROM {y})",
    "NOT IN": "SELECT count(*), sum({v}) FROM {x} WHERE {a} NOT IN (SELECT {b} FROM {y})",
    "NOT IN without NULL": "SELECT count(*), sum({v}) FROM {x} WHERE {a} NOT IN (SELECT {b} FROM {y} WHERE {b} IS NOT NULL)",
    "EXISTS": "SELECT count(*), sum({v}) FROM {x} WHERE EXISTS (SELECT 1 FROM {y} WHERE {b} = {a})",
    "NOT EXISTS": "SELECT count(*), sum({v}) FROM {x} WHERE NOT EXISTS (SELECT 1 FROM {y} WHERE {b} = {a})",
    "INTERSECT": "SELECT count(*), count(k) FROM (SELECT {a} AS k FROM {x} INTERSECT SELECT {b} FROM {y}) s",
    "EXCEPT": "SELECT count(*), count(k) FROM (SELECT {a} AS k FROM {x} EXCEPT SELECT {b} FROM {y}) s",
    "INTERSECT ALL": "SELECT count(*), count(k) FROM (SELECT {a} AS k FROM {x} INTERSECT ALL SELECT {b} FROM {y}) s",
    "EXCEPT ALL": "SELECT count(*), count(k) FROM (SELECT {a} AS k FROM {x} EXCEPT ALL SELECT {b} FROM {y}) s",
    "a value": "SELECT count(*), sum({v}) FROM {x} WHERE {v} < (SELECT max({w}) FROM {y})",
    "a correlated value": "SELECT count(*), sum({v}) FROM {x} WHERE (SELECT count(*) FROM {y} WHERE {b} = {a}) < 3",
}


@pytest.mark.parametrize("sides", SIDES)
def test_joins_of_each_kind_over_sides_of_each_size(sessions, oracle, sides):
    names = dict(zip(("x", "y", "a", "b", "v", "w"), SIDES[sides]))
    wrong = []
    for kind, text in JOINS.items():
        sql = text.format(**names)
        expected = answers.rows_of_tuples(oracle.execute(sql).fetchall())
        for where, session in sessions.items():
            try:
                answers.compare(expected, answers.rows_of(session.fetch(sql)))
            except (answers.Mismatch, nodes.IglooError) as error:
                wrong.append(f"{where}, {kind}: {sql}\n{error}")
    assert not wrong, "\n".join(wrong)


# ---- settings and clocks --------------------------------------------------------------

ZONED = [
    "SELECT CAST(CAST(seen AS timestamptz) AS text) AS t, count(*) AS n FROM events GROUP BY 1",
    "SELECT extract(hour FROM CAST(seen AS timestamptz)) AS h, count(*) AS n FROM events GROUP BY 1",
    "SELECT date_trunc('day', CAST(seen AS timestamptz)) AS d, count(*) AS n FROM events GROUP BY 1",
    "SELECT CAST(TIMESTAMPTZ '2023-03-26 00:30:00+00' AS text) || kind AS t, count(*) AS n FROM events GROUP BY 1",
]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York", "Europe/Berlin"])
def test_a_sessions_time_zone_reaches_the_workers(three, embedded, zone):
    with three.session() as session:
        for one in (session, embedded):
            one.fetch(f"SET time_zone = '{zone}'")
        try:
            for sql in ZONED:
                answers.compare(answers.rows_of(embedded.fetch(sql)), answers.rows_of(session.fetch(sql)))
        finally:
            embedded.fetch("RESET time_zone")


def test_now_is_one_moment_on_all_members(three):
    [row] = three.rows("SELECT count(DISTINCT now()) AS n, count(DISTINCT current_date) AS d,"
                       " min(now()) = max(now()) AS same FROM events")
    assert row == {"n": 1, "d": 1, "same": True}


def test_views_of_strings_are_given_where_they_are_asked_for(three):
    sql = "SELECT kind, count(*) AS n FROM events GROUP BY kind ORDER BY kind NULLS LAST LIMIT 1"
    with three.session() as session:
        assert str(session.fetch(sql).schema.field("kind").type) == "string"
        session.fetch("SET igloo.views = on")
        assert str(session.fetch(sql).schema.field("kind").type) == "string_view"


def test_an_error_of_a_worker_is_the_error_of_the_engine(three, embedded):
    for sql, state in [("SELECT sum(1 / (id - 20000)) FROM events", "22012"),
                       ("SELECT max(CAST(kind AS int)) FROM events", "22P02"),
                       ("SELECT sum(id * 9223372036854775807) FROM events", "22003")]:
        told = []
        with three.session() as session:
            for one in (session, embedded):
                with pytest.raises(nodes.IglooError) as caught:
                    one.fetch(sql)
                # Which of the values is met first is left open.
                told.append((caught.value.sqlstate, caught.value.message.split(":")[0]))
        assert told[0] == told[1] and told[0][0] == state, told


def test_a_small_statement_stays_with_the_coordinator(files, start):
    cluster = start(2, settings=[])
    before = cluster.tasks_total()
    assert cluster.rows("SELECT count(*) AS n FROM codes") == [{"n": 12}]
    assert cluster.tasks_total() == before
    assert EVERYTHING.startswith("cluster.")
