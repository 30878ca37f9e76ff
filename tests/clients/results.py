"""Queries whose results are known, the same for every client. What is right comes from the
query's own definition or from DuckDB, never from Igloo."""

ROWS = 3_000_000
CELL_BYTES = 60 << 20
STREAMS = 100
STREAM_ROWS = 50_000

NO_ROWS = "SELECT 1 AS a, 'x' AS b WHERE false"
NO_COLUMNS = "SELECT FROM (VALUES (1), (2)) AS t(v)"
MANY_ROWS = f"SELECT value AS i, value * 2 AS j FROM generate_series(1, {ROWS})"
ONE_LARGE_CELL = f"SELECT repeat('x', {CELL_BYTES}) AS t"
NESTED = """SELECT v AS id,
  [v, NULL, v + 1] AS l,
  [[v], []] AS ll,
  {'a': v, 'b': {'c': 'x'}} AS s,
  [{'k': v}] AS ls,
  map {'one': v, 'two': NULL} AS m
FROM (VALUES (1), (2), (NULL)) AS t(v) ORDER BY v NULLS LAST"""
NULLS = ("SELECT NULL AS n, CAST(NULL AS integer) AS i, CAST(NULL AS varchar) AS t "
         "FROM (VALUES (1), (2), (3)) AS x(v)")


def stream(i):
    """The query of stream i: its rows are i, i + 1, …"""
    return f"SELECT value + {i} AS v FROM generate_series(0, {STREAM_ROWS - 1})"


def stream_sum(i):
    return STREAM_ROWS * i + STREAM_ROWS * (STREAM_ROWS - 1) // 2


def many_rows_sums():
    total = ROWS * (ROWS + 1) // 2
    return total, total * 2
