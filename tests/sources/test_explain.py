"""EXPLAIN [ANALYZE] over sources: what is asked of them, part by part, what is not and why, and
what comes back; held against the server's own log and counters."""
import json
import re
import sqlite3

import pytest

from serving import answers

ROWS = 200_000


@pytest.fixture(scope="module")
def big(postgres):
    """A table that is worth several parts, and a small one."""
    postgres.run("CREATE DATABASE explain TEMPLATE template0 LOCALE 'C';")
    postgres.run(
        f"""CREATE TABLE big AS SELECT i AS id, i % 100 AS bucket, 'name ' || i AS name,
              repeat('x', 80) AS filler, i / 4.0::float8 AS share FROM generate_series(1, {ROWS}) i;
            CREATE TABLE small (id int, word text);
            INSERT INTO small VALUES (1, 'one'), (2, 'two'), (NULL, 'none');
            CREATE VIEW odd AS SELECT id, word FROM small WHERE id % 2 = 1;
            ANALYZE;""", "explain")
    return postgres


@pytest.fixture
def sql(igloo, big, tmp_path):
    """Statements on a database that has PostgreSQL as pg and SQLite as lite."""
    with sqlite3.connect(igloo.folder / "x.db") as database:
        database.executescript(
            "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT, c REAL);"
            "INSERT INTO t VALUES (1, 'x', 0.5), (2, 'Y', NULL), (3, NULL, -1);")
    uri = big.uri.replace("/postgres", "/explain")
    attached = (f"ATTACH '{uri}' AS pg (TYPE postgresql);"
                f"ATTACH '{igloo.folder / 'x.db'}' AS lite (TYPE sqlite);")

    def run(statements):
        """The rows of each statement that has some."""
        done = igloo("sql", "--format", "json", "-c", attached + statements)
        assert done.returncode == 0, done.stderr
        return answers(done.stdout)

    return run


def text_of(found):
    return "\n".join(row["QUERY PLAN"] for row in found[-1]) + "\n"


def explained(sql, query, how=""):
    return text_of(sql(f"EXPLAIN {how} {query}"))


def remote_of(document):
    """The members "remote" of a document of EXPLAIN (FORMAT json), from the outside in."""
    found = []

    def walk(operator):
        if "remote" in operator:
            found.append(operator["remote"])
        for child in operator["children"]:
            walk(child)

    walk(document["plan"])
    return found


def documents(sql, query, how=""):
    how = f"({how}, FORMAT json)" if how else "(FORMAT json)"
    return remote_of(json.loads(text_of(sql(f"EXPLAIN {how} {query}"))))


# ---- what is asked ---------------------------------------------------------------------------

def test_each_part_has_its_text_and_they_share_a_snapshot(sql):
    [remote] = documents(sql, "SELECT id, bucket, name, filler FROM pg.public.big")
    assert remote["table"] == "pg.public.big"
    assert len(remote["parts"]) > 1 and len(set(remote["parts"])) == len(remote["parts"])
    for part in remote["parts"]:
        assert '"id"' in part and '"share"' not in part and "ctid" in part
    assert remote["snapshot"] == "at execution"
    [remote] = documents(sql, "SELECT max(filler), max(name), max(id), max(share) FROM pg.public.big",
                         "ANALYZE")
    assert re.fullmatch(r"[0-9A-F]+-[0-9A-F]+-\d+", remote["snapshot"])
    assert remote["rows_fetched"] == ROWS


def test_what_explain_shows_is_what_the_server_is_asked(sql, big):
    query = "SELECT name FROM pg.public.big WHERE id = 77 AND bucket = 77"
    [remote] = documents(sql, query)
    before = len(big.log())
    assert sql(query)[-1] == [{"name": "name 77"}]
    asked = big.log()[before:]
    for part in remote["parts"]:
        assert part in asked


def test_explain_asks_the_source_for_no_row(sql, big):
    sql("SELECT count(*) FROM pg.public.small")
    before = len(big.log())
    explained(sql, "SELECT * FROM pg.public.small WHERE id = 1")
    assert '"word"' not in big.log()[before:]


@pytest.mark.parametrize("query, conjuncts", [
    ("SELECT id FROM pg.public.big WHERE id > 5 AND bucket IN (1, 2)",
     {"id > 5": "exact", "bucket = 1 OR bucket = 2": "exact"}),
    ("SELECT a FROM lite.t WHERE a = 1 OR a = 3", {"a = 1 OR a = 3": "exact"}),
    ("SELECT id FROM pg.public.small WHERE word IS NOT NULL", {"word IS NOT NULL": "exact"}),
])
def test_conjuncts_that_a_source_does_exactly_have_no_reason(sql, query, conjuncts):
    [remote] = documents(sql, query)
    assert {one["text"]: one["pushed"] for one in remote["conjuncts"]} == conjuncts
    assert all(one["reason"] == "" for one in remote["conjuncts"])


@pytest.mark.parametrize("query, text", [
    ("SELECT id FROM pg.public.small WHERE md5(word) = 'x'", "md5(word) = 'x'"),
    ("SELECT a FROM lite.t WHERE upper(b) = 'X'", "upper(b) = 'X'"),
    ("SELECT a FROM lite.t WHERE a < 3 AND random() < 2", "random() < 2"),
])
def test_what_stays_here_has_a_reason(sql, query, text):
    [remote] = documents(sql, query)
    [one] = [one for one in remote["conjuncts"] if one["pushed"] == "no"]
    assert one["text"] == text and one["reason"]
    assert f"not pushed: {text} ({one['reason']})" in explained(sql, query)


def test_limits_and_orders_say_whether_they_were_pushed(sql):
    [remote] = documents(sql, "SELECT id FROM pg.public.big LIMIT 5")
    assert (remote["limit"], remote["limit_pushed"]) == (5, True)
    assert all("LIMIT 5" in part for part in remote["parts"])
    [remote] = documents(sql, "SELECT name FROM pg.public.big ORDER BY id DESC LIMIT 3")
    assert (remote["limit_pushed"], remote["order_pushed"]) == (True, True)
    assert remote["order"] == "id DESC NULLS FIRST"
    [remote] = documents(sql, "SELECT id FROM pg.public.small WHERE md5(word) = 'x' LIMIT 5")
    assert "limit" not in remote and "LIMIT" not in remote["parts"][0]


def test_two_statements_to_a_source_without_snapshots_are_not_atomic(sql):
    remotes = documents(sql, "SELECT * FROM lite.t x JOIN lite.t y ON x.a = y.a + 1")
    assert [one["snapshot"] for one in remotes] == ["not atomic", "not atomic"]
    [remote] = documents(sql, "SELECT * FROM lite.t")
    assert remote["snapshot"] == ""
    assert "not atomic" in explained(sql, "SELECT * FROM lite.t x JOIN lite.t y ON x.a = y.a + 1")


# ---- what comes back -------------------------------------------------------------------------

@pytest.mark.parametrize("query, rows", [
    ("SELECT name FROM pg.public.big WHERE id <= 10", 10),
    ("SELECT count(*) FROM pg.public.big WHERE bucket = 7", ROWS // 100),
    ("SELECT b FROM lite.t", 3),
    ("SELECT a FROM lite.t WHERE upper(b) = 'X'", 3),
])
def test_analyze_counts_the_rows_and_bytes_that_were_fetched(sql, query, rows):
    [remote] = documents(sql, query, "ANALYZE")
    assert remote["rows_fetched"] == rows
    assert (remote["bytes_fetched"] > 0) == ("count" not in query)
    assert f"  fetched: {rows} rows, " in explained(sql, query, "ANALYZE")


def test_a_limit_fetches_no_more_than_it_keeps(sql):
    [remote] = documents(sql, "SELECT * FROM pg.public.big LIMIT 5", "ANALYZE")
    assert remote["rows_fetched"] <= 5 * len(remote["parts"])


# ---- what stands between a table and its source ------------------------------------------------

def test_a_view_does_not_hide_what_can_be_pushed(sql):
    made = ("CREATE VIEW v AS SELECT id AS n, name AS label FROM pg.public.big WHERE bucket = 3;"
            "CREATE VIEW w AS SELECT n, upper(label) AS loud FROM v WHERE n < 1000;")
    plan = text_of(sql(made + "EXPLAIN SELECT loud FROM w WHERE n > 500"))
    for conjunct in ("bucket = 3", "id < 1000", "id > 500"):
        assert f"pushed: {conjunct}\n" in plan and f"not pushed: {conjunct}" not in plan
    assert sql(made + "SELECT count(*) AS n FROM w WHERE n > 500")[-1] == [{"n": 5}]


def test_a_subquery_and_a_with_query_do_not_either(sql):
    for query in ("SELECT x FROM (SELECT id AS x, name FROM pg.public.big) s WHERE x = 5",
                  "WITH s AS (SELECT id AS x FROM pg.public.big) SELECT x FROM s WHERE x = 5"):
        [remote] = documents(sql, query)
        assert [(one["text"], one["pushed"]) for one in remote["conjuncts"]] == [("id = 5", "exact")]


def test_a_view_of_the_source_is_a_table(sql):
    [remote] = documents(sql, "SELECT word FROM pg.public.odd WHERE id = 1", "ANALYZE")
    assert (remote["table"], remote["rows_fetched"]) == ("pg.public.odd", 1)


def test_no_explain_names_what_logs_in(igloo, big):
    """The URI's password is in no plan."""
    uri = f"postgresql://pg:canary-in-uri@127.0.0.1:{big.port}/explain"
    done = igloo("sql", "-c", f"ATTACH '{uri}' AS pg (TYPE postgresql);"
                              "EXPLAIN VERBOSE SELECT * FROM pg.public.small;"
                              "EXPLAIN (ANALYZE, FORMAT json) SELECT * FROM pg.public.small")
    assert "canary" not in done.stdout + done.stderr
