"""Statements over several sources and files at once, and prepared ones over tables that change."""
import sqlite3

import pytest

from serving import answers


@pytest.fixture(scope="module")
def shop(postgres):
    postgres.run("CREATE DATABASE shop TEMPLATE template0 LOCALE 'C';")
    postgres.run(
        """CREATE TABLE orders (id int PRIMARY KEY, customer int, amount numeric(9,2), placed date);
           INSERT INTO orders SELECT i, i % 10, i * 1.25, date '2024-01-01' + i
             FROM generate_series(1, 1000) i;
           ANALYZE;""", "shop")
    return postgres.uri.replace("/postgres", "/shop")


def make_files(folder):
    with sqlite3.connect(folder / "customers.db") as database:
        database.executescript(
            "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, city TEXT);"
            "INSERT INTO customers VALUES (0, 'Anna', 'Köln'), (1, 'Bob', NULL), (2, 'Cy', 'Bonn'),"
            " (77, 'Nobody', 'Bonn');")
    (folder / "cities.csv").write_text("city,country\nKöln,de\nBonn,de\nGent,be\n")


def attached(shop, folder):
    return (f"ATTACH '{shop}' AS pg (TYPE postgresql);"
            f"ATTACH '{folder / 'customers.db'}' AS lite (TYPE sqlite);")


@pytest.fixture
def sql(igloo, shop):
    make_files(igloo.folder)

    def run(statements, fails=False):
        """The rows of the last statement, as tuples; or the error."""
        done = igloo("sql", "--format", "json", "-c", attached(shop, igloo.folder) + statements)
        assert (done.returncode != 0) == fails, done.stderr
        if fails:
            return done.stderr
        return [tuple(row.values()) for row in answers(done.stdout)[-1]]

    run.folder = igloo.folder
    return run


# ---- joins --------------------------------------------------------------------------------------

def test_two_databases_and_a_file_are_joined(sql):
    rows = sql("""SELECT c.name, f.country, count(*) AS n, sum(o.amount) AS total
                  FROM pg.orders o JOIN lite.customers c ON o.customer = c.id
                  LEFT JOIN 'cities.csv' f ON c.city = f.city
                  WHERE o.id <= 30 GROUP BY 1, 2 ORDER BY 1""")
    wanted = {"Anna": [i for i in range(1, 31) if i % 10 == 0],
              "Bob": [i for i in range(1, 31) if i % 10 == 1],
              "Cy": [i for i in range(1, 31) if i % 10 == 2]}
    assert [(name, country, n, float(total)) for name, country, n, total in rows] == [
        (name, None if name == "Bob" else "de", len(ids), sum(ids) * 1.25)
        for name, ids in wanted.items()]


@pytest.mark.parametrize("query, answer", [
    ("SELECT count(*) FROM lite.customers c WHERE NOT EXISTS "
     "(SELECT 1 FROM pg.orders o WHERE o.customer = c.id)", [(1,)]),
    ("SELECT name FROM lite.customers WHERE id IN (SELECT customer FROM pg.orders WHERE id = 1)",
     [("Bob",)]),
    ("SELECT count(*) FROM pg.orders o FULL JOIN lite.customers c ON o.customer = c.id", [(1001,)]),
    ("SELECT id FROM pg.orders WHERE id < 3 UNION ALL SELECT id FROM lite.customers ORDER BY 1 LIMIT 4",
     [(0,), (1,), (1,), (2,)]),
    ("SELECT id FROM lite.customers EXCEPT SELECT customer FROM pg.orders", [(77,)]),
    ("SELECT (SELECT max(id) FROM pg.orders) - (SELECT count(*) FROM lite.customers)", [(996,)]),
    ("WITH RECURSIVE r AS (SELECT id FROM pg.orders WHERE id = 1 UNION ALL SELECT o.id FROM "
     "pg.orders o JOIN r ON o.id = r.id * 2) SELECT count(*) FROM r", [(10,)]),
    ("SELECT a.id FROM pg.orders a JOIN pg.orders b ON a.id = b.id + 998 ORDER BY 1",
     [(999,), (1000,)]),
])
def test_each_kind_of_statement_reads_sources_side_by_side(sql, query, answer):
    assert sql(query) == answer
    assert sql("SET igloo.pushdown = off; " + query) == answer


def test_a_table_goes_from_one_source_to_another_and_into_files(sql):
    assert sql("CREATE TABLE lite.first AS SELECT id, placed FROM pg.orders WHERE id <= 5;"
               "INSERT INTO lite.first (id) SELECT id FROM lite.customers WHERE id = 77;"
               "CREATE TABLE kept AS SELECT * FROM lite.first;"
               "COPY (SELECT id FROM lite.first) TO 'first.parquet';"
               "SELECT count(*), count(k.placed) FROM kept k JOIN 'first.parquet' p USING (id)"
               ) == [(6, 5)]
    with sqlite3.connect(sql.folder / "customers.db") as database:
        assert database.execute("SELECT count(*), max(id) FROM first").fetchall() == [(6, 77)]


# ---- prepared -----------------------------------------------------------------------------------

def test_a_prepared_statement_pushes_the_values_of_each_execution(sql):
    rows = sql("PREPARE p AS SELECT id FROM pg.orders WHERE id = $1;"
               "EXECUTE p(5); EXECUTE p(6);"
               "SELECT remote_text FROM igloo.system.pushdown_log WHERE table_name LIKE '%orders'")
    assert len(rows) == 2
    assert '"id" = 5' in rows[0][0] and '"id" = 6' in rows[1][0]


def test_a_prepared_statement_sees_new_rows(sql):
    change = "INSERT INTO lite.customers VALUES (500, 'New', 'Bonn');"
    assert sql("PREPARE p AS SELECT count(*) FROM lite.customers WHERE city = 'Bonn';" + change
               + "EXECUTE p") == [(3,)]


def test_a_prepared_statement_ends_with_its_catalog_and_comes_back_with_it(sql):
    prepare = "PREPARE p AS SELECT name FROM lite.customers WHERE id = 0; DETACH lite;"
    assert "does not exist" in sql(prepare + "EXECUTE p", fails=True)
    again = f"ATTACH '{sql.folder / 'customers.db'}' AS lite (TYPE sqlite);"
    assert sql(prepare + again + "EXECUTE p") == [("Anna",)]


def test_a_replaced_catalog_is_read_at_once(sql):
    with sqlite3.connect(sql.folder / "other.db") as database:
        database.executescript("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, city TEXT);"
                               "INSERT INTO customers VALUES (0, 'Other', NULL)")
    other = f"ATTACH OR REPLACE '{sql.folder / 'other.db'}' AS lite (TYPE sqlite);"
    assert sql("PREPARE p AS SELECT name FROM lite.customers WHERE id = 0;" + other
               + "EXECUTE p") == [("Other",)]


def test_a_replaced_catalog_with_other_columns_is_an_error(sql):
    with sqlite3.connect(sql.folder / "other.db") as database:
        database.executescript("CREATE TABLE customers (id TEXT, name REAL)")
    other = f"ATTACH OR REPLACE '{sql.folder / 'other.db'}' AS lite (TYPE sqlite);"
    error = sql("PREPARE p AS SELECT name, id FROM lite.customers WHERE id IS NOT NULL;" + other
                + "EXECUTE p", fails=True)
    assert "cached plan must not change result type" in error, error


# ---- values without a place -----------------------------------------------------------------------

def test_a_value_that_arrow_cannot_hold_is_told_by_its_column_and_can_be_read_as_text(sql, postgres):
    postgres.run("CREATE TABLE odd (id int, ends time, grid int[]);"
                 "INSERT INTO odd VALUES (1, '24:00', '{{1,2},{3,4}}');", "shop")
    assert sql("SELECT id FROM pg.odd") == [(1,)]
    for column, holds in (("ends", "the time 24:00:00"), ("grid", "an array of more than one dimension")):
        told = sql(f"SELECT {column} FROM pg.odd", fails=True)
        assert f'column "{column}" holds {holds}' in told and "hint: Cast the column to text" in told, told
    assert sql("SELECT * FROM remote_query('pg', 'SELECT ends::text, grid::text FROM odd')") == [
        ("24:00:00", "{{1,2},{3,4}}")]
