"""The tables that random queries ask: files that a cluster can divide, made from a seed.

Floating point numbers are multiples of a quarter and small enough that every sum is exact,
whatever the order in which rows come; text is short, so that values meet; every column that
may be NULL often is."""

import dataclasses
import datetime
import decimal
import random

import pyarrow
import pyarrow.csv
import pyarrow.parquet

WORDS = ["ant", "bee", "cat", "dog", "Eel", "fox", "gnu", "hen", "ibis", "jay", "köter", "lynx"]
FIRST_DAY = datetime.date(2023, 1, 1)
DUCKDB = {"bigint": "BIGINT", "int": "INTEGER", "smallint": "SMALLINT", "text": "VARCHAR",
          "double precision": "DOUBLE", "boolean": "BOOLEAN", "date": "DATE",
          "timestamp": "TIMESTAMP", "decimal(12, 2)": "DECIMAL(12, 2)"}
ARROW = {"bigint": pyarrow.int64(), "int": pyarrow.int32(), "smallint": pyarrow.int16(),
         "text": pyarrow.string(), "double precision": pyarrow.float64(),
         "boolean": pyarrow.bool_(), "date": pyarrow.date32(),
         "timestamp": pyarrow.timestamp("us"), "decimal(12, 2)": pyarrow.decimal128(12, 2)}
KINDS = {"bigint": "int", "int": "int", "smallint": "int", "text": "text", "boolean": "bool",
         "double precision": "dbl", "date": "date", "timestamp": "ts", "decimal(12, 2)": "dec"}


@dataclasses.dataclass(frozen=True)
class Column:
    name: str
    type: str
    distinct: int
    make: object  # (random, row number) -> value
    nulls: float = 0.0

    @property
    def kind(self):
        return KINDS[self.type]


@dataclasses.dataclass(frozen=True)
class Table:
    name: str
    rows: int
    format: str  # parquet or csv
    files: int
    groups: int  # row groups of a Parquet file
    columns: list


def number(least, most):
    return lambda dice, _: dice.randint(least, most)


def skewed(most):
    """Small numbers far more often than large ones."""
    return lambda dice, _: int(most * dice.random() ** 3)


def money(most):
    return lambda dice, _: decimal.Decimal(dice.randint(-most, most)).scaleb(-2)


def quarters(most):
    return lambda dice, _: dice.randint(0, most) / 4


def word(count):
    return lambda dice, _: WORDS[dice.randrange(count)]


def day(days):
    return lambda dice, _: FIRST_DAY + datetime.timedelta(dice.randrange(days))


def moment(dice, _):
    return datetime.datetime(2023, 1, 1) + datetime.timedelta(seconds=dice.randrange(86400 * 60))


def row_number(_, row):
    return row


def truth(dice, _):
    return dice.random() < 0.4


TABLES = [
    Table("events", 24000, "parquet", 6, 2, [
        Column("id", "bigint", 24000, row_number),
        Column("user_id", "bigint", 2500, skewed(2600), 0.05),
        Column("kind", "text", 8, word(8), 0.1),
        Column("amount", "decimal(12, 2)", 20000, money(999999), 0.1),
        Column("score", "double precision", 800, quarters(800), 0.15),
        Column("qty", "int", 40, number(-20, 20), 0.1),
        Column("flag", "boolean", 2, truth, 0.2),
        Column("day", "date", 60, day(60), 0.05),
        Column("seen", "timestamp", 24000, moment),
    ]),
    Table("users", 2500, "parquet", 3, 2, [
        Column("id", "int", 2500, row_number),
        Column("name", "text", 12, word(12)),
        Column("level", "smallint", 10, number(0, 9), 0.2),
        Column("balance", "decimal(12, 2)", 2400, money(99999), 0.1),
        Column("born", "date", 300, day(300), 0.1),
        Column("country", "text", 6, word(6), 0.3),
    ]),
    Table("visits", 9000, "csv", 4, 1, [
        Column("id", "int", 9000, row_number),
        Column("user_id", "int", 2000, number(0, 2800), 0.1),
        Column("page", "text", 10, word(10), 0.1),
        Column("seconds", "bigint", 300, skewed(300), 0.1),
        Column("cost", "double precision", 200, quarters(200), 0.1),
        Column("day", "date", 90, day(90), 0.1),
    ]),
    Table("log", 15000, "csv", 1, 1, [  # one file, which is divided by bytes
        Column("line", "bigint", 15000, row_number),
        Column("host", "text", 5, word(5), 0.05),
        Column("code", "smallint", 6, lambda dice, _: dice.choice([200, 201, 301, 404, 500, 503])),
        Column("size", "int", 1000, skewed(1000), 0.2),
    ]),
    Table("pairs", 3000, "parquet", 1, 6, [
        Column("a", "int", 12, number(0, 11), 0.15),
        Column("b", "bigint", 12, number(4, 15), 0.15),
        Column("c", "text", 4, word(4), 0.15),
        Column("d", "decimal(12, 2)", 40, lambda dice, _: decimal.Decimal(dice.randrange(40)) / 4, 0.1),
        Column("e", "double precision", 40, quarters(40), 0.1),
    ]),
    Table("codes", 12, "parquet", 1, 1, [
        Column("code", "smallint", 12, lambda _, row: [200, 201, 204, 301, 302, 400, 401, 404, 410,
                                                       500, 502, 503][row]),
        Column("label", "text", 8, word(8), 0.2),
        Column("weight", "double precision", 4, quarters(4)),
    ]),
]


def make_rows(table, seed):
    dice = random.Random(f"{seed} {table.name}")
    return {column.name: pyarrow.array(
        [None if column.nulls and dice.random() < column.nulls else column.make(dice, row)
         for row in range(table.rows)], ARROW[column.type]) for column in table.columns}


def write(folder, seed="tables"):
    """One folder for each table below `folder`."""
    for table in TABLES:
        rows = pyarrow.table(make_rows(table, seed))
        (folder / table.name).mkdir(parents=True)
        for file in range(table.files):
            begin, end = (table.rows * at // table.files for at in (file, file + 1))
            part = rows.slice(begin, end - begin)
            path = folder / table.name / f"part-{file}.{table.format}"
            if table.format == "parquet":
                pyarrow.parquet.write_table(
                    part, path, row_group_size=-(-part.num_rows // table.groups))
            else:
                pyarrow.csv.write_csv(part, path, pyarrow.csv.WriteOptions(quoting_style="needed"))


def statements(folder):
    """What makes them tables of Igloo."""
    for table in TABLES:
        declared = ", ".join(f"{column.name} {column.type}" for column in table.columns)
        if table.format == "parquet":
            yield f"CREATE EXTERNAL TABLE {table.name} STORED AS PARQUET LOCATION '{folder}/{table.name}/'"
        else:
            yield (f"CREATE EXTERNAL TABLE {table.name} ({declared}) STORED AS CSV"
                   f" LOCATION '{folder}/{table.name}/' OPTIONS (format.has_header true)")


def load(oracle, folder):
    """The same in DuckDB."""
    for table in TABLES:
        if table.format == "parquet":
            source = f"read_parquet('{folder}/{table.name}/*.parquet')"
        else:
            types = ", ".join(f"'{column.name}': '{DUCKDB[column.type]}'" for column in table.columns)
            source = f"read_csv('{folder}/{table.name}/*.csv', header = true, columns = {{{types}}})"
        oracle.execute(f"CREATE TABLE {table.name} AS SELECT * FROM {source}")
