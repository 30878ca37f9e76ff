"""What the sources are asked: the statements of the pushdown log, and of PostgreSQL's own."""
import json
import re
import sqlite3

import pytest

COLUMNS = ("id", "small", "big", "price", "ratio", "name", "code", "pad", "made", "at", "seen", "ok", "data", "doc")

# (what is selected and behind FROM, what the source is asked); T is the table.
POSTGRESQL = [
    ("id FROM T", 'SELECT "id" FROM T'),
    ("name, id FROM T", 'SELECT "id", "name" FROM T'),
    ("count(*) FROM T", "SELECT FROM T"),
    ("count(*) FROM T WHERE id > 1", 'SELECT FROM T WHERE "id" > 1'),
    ("count(name) FROM T", 'SELECT "name" FROM T'),
    ("1 FROM T WHERE name = 'it''s'", "SELECT FROM T WHERE \"name\" = 'it''s'"),
    ("* FROM T LIMIT 5", f'SELECT {", ".join(f"{chr(34)}{one}{chr(34)}" for one in COLUMNS)} FROM T LIMIT 5'),
    ("id FROM T WHERE id = 2", 'SELECT "id" FROM T WHERE "id" = 2'),
    ("id FROM T WHERE 2 < id", 'SELECT "id" FROM T WHERE "id" > 2'),
    ("id FROM T WHERE small = 3", 'SELECT "id" FROM T WHERE "small" = 3'),
    ("id FROM T WHERE big = -3", 'SELECT "id" FROM T WHERE "big" = -3'),
    ("id FROM T WHERE id > 3000000000", 'SELECT "id" FROM T WHERE "id" > 3000000000'),
    ("id FROM T WHERE price >= 9.99", 'SELECT "id" FROM T WHERE "price" >= 9.99'),
    ("id FROM T WHERE price = 5", 'SELECT "id" FROM T WHERE "price" = 5.00'),
    ("id FROM T WHERE ratio < '0.1'::double", "SELECT \"id\" FROM T WHERE \"ratio\" < '0.1'::float8"),
    ("id FROM T WHERE name < 'b'", 'SELECT "id" FROM T WHERE "name" COLLATE "C" < \'b\''),
    ("id FROM T WHERE name <> 'b'", "SELECT \"id\" FROM T WHERE \"name\" <> 'b'"),
    ("id FROM T WHERE code < 'b'", "SELECT \"id\" FROM T WHERE \"code\" < 'b'"),
    ("id FROM T WHERE code IN ('a', 'b', 'c', 'd')",
     "SELECT \"id\" FROM T WHERE \"code\" IN ('a', 'b', 'c', 'd')"),
    ("id FROM T WHERE code NOT IN ('a', 'b', 'c', 'd')",
     "SELECT \"id\" FROM T WHERE \"code\" NOT IN ('a', 'b', 'c', 'd')"),
    ("id FROM T WHERE pad = 'x'", "SELECT \"id\", \"pad\" FROM T WHERE \"pad\" = 'x'::bpchar"),
    ("id FROM T WHERE pad <> 'x'", 'SELECT "id", "pad" FROM T'),
    ("id FROM T WHERE name LIKE 'a%'", "SELECT \"id\" FROM T WHERE \"name\" LIKE 'a%' ESCAPE '!'"),
    ("id FROM T WHERE name LIKE '%50\\%_!'", "SELECT \"id\" FROM T WHERE \"name\" LIKE E'%50!%_!!' ESCAPE '!'"),
    ("id FROM T WHERE name NOT LIKE '%x%'", "SELECT \"id\" FROM T WHERE \"name\" NOT LIKE '%x%' ESCAPE '!'"),
    ("id FROM T WHERE name ILIKE 'a%'", 'SELECT "id", "name" FROM T'),
    ("id FROM T WHERE made = DATE '2024-02-29'", "SELECT \"id\" FROM T WHERE \"made\" = '2024-02-29'::date"),
    ("id FROM T WHERE at >= TIMESTAMP '2024-03-31 02:30:00'",
     "SELECT \"id\" FROM T WHERE \"at\" >= '2024-03-31 02:30:00'::timestamp"),
    ("id FROM T WHERE seen < TIMESTAMPTZ '2024-03-31 02:30:00+02'",
     "SELECT \"id\" FROM T WHERE \"seen\" < '2024-03-31 00:30:00+00'::timestamptz"),
    ("id FROM T WHERE ok", 'SELECT "id" FROM T WHERE "ok"'),
    ("id FROM T WHERE NOT ok", 'SELECT "id" FROM T WHERE "ok" = false'),
    ("id FROM T WHERE name IS NULL", 'SELECT "id" FROM T WHERE "name" IS NULL'),
    ("id FROM T WHERE doc IS NOT NULL", 'SELECT "id" FROM T WHERE "doc" IS DISTINCT FROM NULL'),
    ("id FROM T WHERE data = X'00FF'", "SELECT \"id\" FROM T WHERE \"data\" = E'\\\\x00ff'::bytea"),
    ("id FROM T WHERE id IS DISTINCT FROM 2", 'SELECT "id" FROM T WHERE "id" IS DISTINCT FROM 2'),
    ("id FROM T WHERE id = 1 OR name = 'a'", "SELECT \"id\" FROM T WHERE (\"id\" = 1 OR \"name\" = 'a')"),
    ("id FROM T WHERE id = 1 OR upper(name) = 'A'", 'SELECT "id", "name" FROM T'),
    ("id FROM T WHERE id > 1 AND upper(name) = 'A'", 'SELECT "id", "name" FROM T WHERE "id" > 1'),
    ("id FROM T WHERE id + 1 = 2 AND small = 1", None),  # arithmetic may be solved first
    ("id FROM T ORDER BY id LIMIT 3", 'SELECT "id" FROM T ORDER BY "id" NULLS LAST LIMIT 3'),
    ("id FROM T ORDER BY name DESC LIMIT 3",
     'SELECT "id", "name" FROM T ORDER BY "name" COLLATE "C" DESC NULLS FIRST LIMIT 3'),
    ("id FROM T WHERE small > 1 ORDER BY made NULLS FIRST, id DESC NULLS LAST LIMIT 3",
     'SELECT "id", "made" FROM T WHERE "small" > 1 ORDER BY "made" NULLS FIRST, "id" DESC NULLS LAST LIMIT 3'),
    ("id FROM T ORDER BY ratio LIMIT 3", 'SELECT "id", "ratio" FROM T'),
    ("id FROM T WHERE pad = 'x' LIMIT 3", "SELECT \"id\", \"pad\" FROM T WHERE \"pad\" = 'x'::bpchar"),
    ("id FROM T WHERE id > 1 LIMIT 3 OFFSET 2", 'SELECT "id" FROM T WHERE "id" > 1 LIMIT 5'),
]
SQLITE = [
    ("id FROM T", "SELECT `id` FROM T"),
    ("count(*) FROM T", "SELECT NULL FROM T"),
    ("count(*) FROM T WHERE id > 1", "SELECT NULL FROM T WHERE `id` > 1"),
    ("id FROM T LIMIT 5", "SELECT `id` FROM T LIMIT 5"),
    ("id FROM T WHERE id = 2", "SELECT `id` FROM T WHERE `id` = 2"),
    ("id FROM T WHERE small = 2", "SELECT `id` FROM T WHERE `small` = 2"),
    ("id FROM T WHERE small > 2", "SELECT `id` FROM T WHERE (`small` > 2 AND `small` = CAST(`small` AS INTEGER))"),
    ("id FROM T WHERE ratio = '0.5'::double", "SELECT `id` FROM T WHERE `ratio` = 0.5"),
    ("id FROM T WHERE price = 10", "SELECT `id`, `price` FROM T WHERE "
     "(`price` >= 9.999999999999 AND `price` <= 10.000000000001)"),
    ("id FROM T WHERE name = 'it''s'", "SELECT `id` FROM T WHERE `name` = 'it''s'"),
    ("id FROM T WHERE name IN ('a', 'b', 'c', 'd')", "SELECT `id` FROM T WHERE `name` IN ('a', 'b', 'c', 'd')"),
    ("id FROM T WHERE name LIKE 'a%'", "SELECT `id` FROM T WHERE (`name` >= 'a' AND `name` < 'b')"),
    ("id FROM T WHERE name LIKE '%a%'",
     "SELECT `id` FROM T WHERE (instr(`name`, 'a') > 0 AND typeof(`name`) = 'text')"),
    ("id FROM T WHERE name LIKE 'a_'",
     "SELECT `id`, `name` FROM T WHERE (`name` GLOB 'a?' OR instr(`name`, char(0)) > 0)"),
    ("id FROM T WHERE code = 'A'", "SELECT `id`, `code` FROM T WHERE `code` = 'A'"),
    ("id FROM T WHERE code > 'A'", "SELECT `id` FROM T WHERE (`code` COLLATE BINARY > 'A' AND typeof(`code`) = 'text')"),
    ("id FROM T WHERE made = DATE '2024-02-29'", "SELECT `id` FROM T WHERE `made` = '2024-02-29'"),
    ("id FROM T WHERE at >= TIMESTAMP '2024-03-31 02:30:00'", "SELECT `id`, `at` FROM T WHERE `at` >= '2024-03-31'"),
    ("id FROM T WHERE ok", "SELECT `id` FROM T WHERE `ok` = 1"),
    ("id FROM T WHERE NOT ok", "SELECT `id` FROM T WHERE `ok` = 0"),
    ("id FROM T WHERE data = X'00FF'", "SELECT `id` FROM T WHERE `data` = x'00ff'"),
    ("id FROM T WHERE name IS NULL", "SELECT `id` FROM T WHERE `name` IS NULL"),
    ("id FROM T WHERE name IS NOT NULL", "SELECT `id`, `name` FROM T WHERE `name` IS NOT NULL"),
    ("id FROM T WHERE id = 1 OR name = 'a'", "SELECT `id` FROM T WHERE (`id` = 1 OR `name` = 'a')"),
    ("id FROM T ORDER BY id DESC LIMIT 2", "SELECT `id` FROM T ORDER BY `id` DESC NULLS FIRST LIMIT 2"),
    ("id FROM T ORDER BY code LIMIT 2",
     "SELECT `id`, `code` FROM T ORDER BY `code` COLLATE BINARY NULLS LAST LIMIT 2"),
]


@pytest.fixture(scope="module")
def shop(postgres):
    """A database whose default collation is not that of bytes."""
    postgres.run("CREATE DATABASE texts LOCALE_PROVIDER icu ICU_LOCALE 'de-DE' LOCALE 'C' TEMPLATE template0;")
    postgres.run(
        """CREATE TABLE t (id int PRIMARY KEY, small smallint, big bigint, price numeric(9,2), ratio double precision,
             name text, code varchar(8) COLLATE "C", pad char(4), made date, at timestamp, seen timestamptz,
             ok boolean, data bytea, doc jsonb);
           INSERT INTO t SELECT i, i % 5, -i, i * 1.11, i / 4.0, 'name ' || i, chr(96 + i), 'x', date '2024-02-27' + i,
             '2024-03-31 02:30', '2024-03-31 02:30+02', i % 2 = 0, '\\x00ff', '{}' FROM generate_series(1, 20) i;
           ANALYZE;""", "texts")
    return postgres


@pytest.fixture
def run(igloo, shop):
    """Statements in one session; the rows of each, and what the log says was asked, in order."""
    with sqlite3.connect(igloo.folder / "x.db") as database:
        database.executescript(
            """CREATE TABLE t (id INTEGER PRIMARY KEY, small INT, price DECIMAL(9,2), ratio REAL, name TEXT,
                 code TEXT COLLATE NOCASE, made DATE, at TIMESTAMP, ok BOOLEAN, data BLOB);
               INSERT INTO t VALUES (1, 2, 9.99, 0.5, 'a', 'A', '2024-02-29', '2024-03-31T03:00', 1, x'00ff');""")
    attach = (f"ATTACH '{shop.uri.replace('/postgres', '/texts')}' AS pg (TYPE postgresql);"
              f"ATTACH '{igloo.folder / 'x.db'}' AS lite (TYPE sqlite);")

    def statements(texts, before=""):
        done = igloo("sql", "--format", "json", "-c", attach + before + ";".join(
            [*texts, "SELECT remote_text FROM igloo.system.pushdown_log ORDER BY started_at"]))
        assert done.returncode == 0, done.stderr
        found, rest = [], done.stdout
        while rest.strip():
            rows, end = json.JSONDecoder().raw_decode(rest)
            found.append(rows)
            rest = rest[end:].lstrip()
        return found[:-1], [row["remote_text"] for row in found[-1]]

    return statements


def checked(run, table, remote, cases):
    queries = ["SELECT " + query.replace("FROM T", f"FROM {table}") for query, _ in cases]
    answers, log = run(queries)
    local, everything = run(queries, "SET igloo.pushdown = off;")
    assert len(log) == len(cases) == len(answers)
    wrong = [(query, "asked", asked, "not", text) for (query, text), asked in zip(cases, log, strict=True)
             if text is not None and asked != text.replace("FROM T", f"FROM {remote}")]
    assert not wrong, "\n".join(map(str, wrong))
    assert not any(word in text for text in everything for word in (" WHERE ", " LIMIT ", " ORDER BY "))
    for query, pushed, plain in zip(queries, answers, local, strict=True):
        if "LIMIT" not in query or "ORDER BY" in query:
            assert sorted(map(str, pushed)) == sorted(map(str, plain)), query
        else:
            assert len(pushed) == len(plain), query
    return log


def test_postgresql_is_asked_what_is_expected_and_says_so_itself(run, shop):
    start = shop.log_size()
    log = checked(run, "pg.t", '"public"."t"', POSTGRESQL)
    served = shop.log(start)
    for text in log:
        assert text + "\n" in served or f"COPY ({text}" in served, text


def test_sqlite_is_asked_what_is_expected(run):
    checked(run, "lite.t", "`main`.`t`", SQLITE)


def test_a_limit_does_not_read_a_table(run, shop):
    """The server itself counts what it read."""
    shop.run("CREATE TABLE long AS SELECT g AS id, repeat('x', 100) AS filler FROM generate_series(1, 200000) g; "
             "VACUUM ANALYZE long;", "texts")
    read = "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'long';"
    before = int(shop.run(read, "texts"))
    for query in ("SELECT * FROM pg.long LIMIT 5", "SELECT id FROM pg.long LIMIT 3 OFFSET 4"):
        run([query])
    with shop.connect("texts") as connection:
        connection.execute("SELECT pg_stat_force_next_flush()")
        connection.execute("SELECT pg_stat_clear_snapshot()")
        [(after,)] = connection.execute(read)
    assert int(after) - before < 1000


def test_counting_fetches_no_column(run, shop):
    start = shop.log_size()
    answers, log = run(["SELECT count(*) AS n FROM pg.t", "SELECT count(*) AS n FROM pg.t WHERE small = 1",
                        "SELECT count(*) AS n FROM lite.t"])
    assert [rows[0]["n"] for rows in answers] == [20, 4, 1]
    assert log == ['SELECT FROM "public"."t"', 'SELECT FROM "public"."t" WHERE "small" = 1',
                   "SELECT NULL FROM `main`.`t`"]
    assert shop.log(start).count("SELECT FROM") >= 2


def test_a_warm_lookup_by_key_is_one_statement_and_no_look_at_the_catalog(run, shop):
    """By a text each and prepared: all that the server is sent once it has answered the first."""
    start = shop.log_size()
    by_text = [f"SELECT id, name FROM pg.t WHERE id = {key}" for key in range(1, 6)]
    executed = [f"EXECUTE lookup({key})" for key in range(6, 11)]
    answers, _ = run([*by_text, "PREPARE lookup AS SELECT id, name FROM pg.t WHERE id = $1", *executed])
    assert answers == [[{"id": key, "name": f"name {key}"}] for key in range(1, 11)]
    sent = re.findall(r"LOG:  (?:statement|execute [^:]*): (.*)", shop.log(start))
    lookups = [f'SELECT "id", "name" FROM "public"."t" WHERE "id" = {key}' for key in range(1, 11)]
    assert sent[sent.index(lookups[0]):] == lookups
