"""A join with a selective side reads the other side's columns late: the rows are those of DuckDB,
whatever the files look like."""

import duckdb
import pyarrow
import pyarrow.parquet
import pytest

PARTS = 1000
LINES = 20_000
JOIN = ("SELECT l.quantity, l.note, l.year FROM {lines} AS l JOIN 'part.parquet' AS p"
        " ON l.of_part = p.part WHERE p.brand = 3 AND p.box = 5 {more} ORDER BY 1, 2, 3")


def lines(first, count, year, **more):
    rows = range(first, first + count)
    return pyarrow.table({
        "of_part": pyarrow.array([row % PARTS for row in rows], pyarrow.int32()),
        "quantity": pyarrow.array([row if row % 11 else None for row in rows], pyarrow.int64()),
        "note": [f"note {row % 17}" if row % 3 else None for row in rows],
        "year": pyarrow.array([year] * count, pyarrow.int32()),
        **more,
    })


def write(table, path, columns=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table.select(columns) if columns else table, path,
                                row_group_size=2000, data_page_size=4096)


@pytest.fixture
def folder(igloo):
    part = pyarrow.table({
        "part": pyarrow.array(range(PARTS), pyarrow.int32()),
        "brand": pyarrow.array([row % 10 for row in range(PARTS)], pyarrow.int32()),
        "box": pyarrow.array([row % 7 for row in range(PARTS)], pyarrow.int32()),
    })
    write(part, igloo.folder / "part.parquet")
    for year in (2024, 2025):
        table = lines(year, LINES // 2, year)
        order = ["note", "of_part", "quantity"] if year == 2025 else ["of_part", "quantity", "note"]
        write(table, igloo.folder / f"hive/year={year}/a.parquet", order)
    wide = pyarrow.array([row * 0.5 for row in range(LINES)])
    write(lines(0, LINES, 2024, added=wide), igloo.folder / "evolved/b.parquet",
          ["added", "note", "quantity", "of_part", "year"])
    write(lines(5, LINES, 2025), igloo.folder / "evolved/a.parquet")
    return igloo.folder


@pytest.mark.parametrize("more", ["", "AND l.note LIKE 'note 1%'", "AND l.quantity % 2 = 1",
                                  "AND l.year = 2025", "AND l.note IS NULL"])
@pytest.mark.parametrize("where", ["hive", "evolved"])
def test_rows_read_late_are_those_of_duckdb(where, more, folder, igloo):
    ours = {"hive": "'hive/'", "evolved": "'evolved/*.parquet'"}[where]
    theirs = {"hive": "read_parquet('hive/*/*.parquet', hive_partitioning = true)",
              "evolved": "read_parquet('evolved/*.parquet', union_by_name = true)"}[where]
    done = igloo("sql", "--format", "csv", "-c", JOIN.format(lines=ours, more=more))
    assert done.returncode == 0, done.stderr
    connection = duckdb.connect()
    connection.execute(f"SET file_search_path = '{folder}'")
    rows = connection.execute(JOIN.format(lines=theirs, more=more)).fetchall()
    told = [",".join("" if cell is None else str(cell) for cell in row) for row in rows]
    assert len(told) > 20
    assert done.stdout.splitlines()[1:] == told


def test_a_test_that_fails_on_rows_read_late_ends_in_its_error(folder, igloo):
    kept = [row for row in range(2024, 2024 + LINES // 2)
            if row % PARTS % 10 == 3 and row % PARTS % 7 == 5 and row % 11]
    more = f"AND 1 / (l.quantity - {kept[3]}) > 5"
    done = igloo("sql", "--format", "csv", "-c", JOIN.format(lines="'hive/'", more=more))
    assert done.returncode == 1
    assert "sqlstate: 22012" in done.stderr
