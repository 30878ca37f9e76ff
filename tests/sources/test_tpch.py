"""The 22 queries of TPC-H with their tables in PostgreSQL, and spread over PostgreSQL, SQLite
and Parquet; the answers are DuckDB's over the Parquet files that all tables come from."""
import importlib.util
import pathlib
import sqlite3

import duckdb
import pytest

from serving import program

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "tpch"
spec = importlib.util.spec_from_file_location("tpch_run", FOLDER / "run.py")
tpch = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tpch)

# As the specification declares them, character types with their padding included.
DECLARED = {
    "region": "r_regionkey integer PRIMARY KEY, r_name char(25), r_comment varchar(152)",
    "nation": "n_nationkey integer PRIMARY KEY, n_name char(25), n_regionkey integer,"
              " n_comment varchar(152)",
    "part": "p_partkey integer PRIMARY KEY, p_name varchar(55), p_mfgr char(25), p_brand char(10),"
            " p_type varchar(25), p_size integer, p_container char(10), p_retailprice decimal(15,2),"
            " p_comment varchar(23)",
    "supplier": "s_suppkey integer PRIMARY KEY, s_name char(25), s_address varchar(40),"
                " s_nationkey integer, s_phone char(15), s_acctbal decimal(15,2),"
                " s_comment varchar(101)",
    "partsupp": "ps_partkey integer, ps_suppkey integer, ps_availqty integer,"
                " ps_supplycost decimal(15,2), ps_comment varchar(199),"
                " PRIMARY KEY (ps_partkey, ps_suppkey)",
    "customer": "c_custkey integer PRIMARY KEY, c_name varchar(25), c_address varchar(40),"
                " c_nationkey integer, c_phone char(15), c_acctbal decimal(15,2),"
                " c_mktsegment char(10), c_comment varchar(117)",
    "orders": "o_orderkey integer PRIMARY KEY, o_custkey integer, o_orderstatus char(1),"
              " o_totalprice decimal(15,2), o_orderdate date, o_orderpriority char(15),"
              " o_clerk char(15), o_shippriority integer, o_comment varchar(79)",
    "lineitem": "l_orderkey integer, l_partkey integer, l_suppkey integer, l_linenumber integer,"
                " l_quantity decimal(15,2), l_extendedprice decimal(15,2), l_discount decimal(15,2),"
                " l_tax decimal(15,2), l_returnflag char(1), l_linestatus char(1), l_shipdate date,"
                " l_commitdate date, l_receiptdate date, l_shipinstruct char(25),"
                " l_shipmode char(10), l_comment varchar(44), PRIMARY KEY (l_orderkey, l_linenumber)",
}
SPREAD = {"region": "lite", "nation": "lite", "customer": "lite", "supplier": "file",
          "part": "file", "partsupp": "pg", "orders": "pg", "lineitem": "pg"}


@pytest.fixture(scope="module")
def scale(long):
    return 0.1 if long else 0.01


@pytest.fixture(scope="module")
def files(scale):
    return pathlib.Path(tpch.data_folder(scale))


@pytest.fixture(scope="module")
def oracle(files):
    database = duckdb.connect()
    for table in DECLARED:
        database.execute(f"CREATE VIEW {table} AS SELECT * FROM '{files}/{table}.parquet'")
    return database


@pytest.fixture(scope="module")
def in_postgresql(postgres, oracle, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tpch")
    postgres.run("CREATE DATABASE tpch")
    for table, columns in DECLARED.items():
        oracle.execute(f"COPY {table} TO '{folder}/{table}.csv' (FORMAT csv, HEADER false)")
        postgres.run(f"CREATE TABLE {table} ({columns});\n"
                     f"\\copy {table} FROM '{folder}/{table}.csv' (FORMAT csv)\n", "tpch")
    postgres.run("ANALYZE", "tpch")
    return postgres.uri.replace("/postgres", "/tpch")


@pytest.fixture(scope="module")
def in_sqlite(oracle, tmp_path_factory):
    path = tmp_path_factory.mktemp("tpch") / "tpch.db"
    with sqlite3.connect(path) as database:
        for table in (one for one, place in SPREAD.items() if place == "lite"):
            database.execute(f"CREATE TABLE {table} ({DECLARED[table]})")
            rows = oracle.execute(f"SELECT * FROM {table}").fetchall()
            marks = ", ".join("?" * len(rows[0]))
            database.executemany(f"INSERT INTO {table} VALUES ({marks})",
                                 [[str(one) for one in row] for row in rows])
    return path


def place(files, table, where):
    if where == "file":
        return f"'{files}/{table}.parquet'"
    return f"{where}.{table}"


@pytest.fixture(scope="module", params=["all in PostgreSQL", "spread"])
def data(request, files, in_postgresql, in_sqlite, tmp_path_factory):
    """A data folder in which views name the tables, wherever they are."""
    folder = str(tmp_path_factory.mktemp("data") / "data")
    where = SPREAD if request.param == "spread" else dict.fromkeys(DECLARED, "pg")
    views = "".join(f"CREATE VIEW {table} AS SELECT * FROM {place(files, table, where[table])};"
                    for table in DECLARED)
    tpch.run_igloo(program(), [
        "--data", folder, "--format", "quiet", "-c",
        f"ATTACH '{in_postgresql}' AS pg (TYPE postgresql);"
        f"ATTACH '{in_sqlite}' AS lite (TYPE sqlite);" + views])
    return folder


@pytest.mark.parametrize("number", range(1, 23), ids=[f"q{one:02d}" for one in range(1, 23)])
def test_an_answer_is_that_of_duckdb_over_files(data, oracle, scale, tmp_path, number):
    query, answer = tpch.query_text(number, scale), str(tmp_path / "answer.arrow")
    tpch.run_igloo(program(), ["--data", data, "--format", "arrow", "-o", answer, "-c", query])
    tpch.compare(oracle.execute(query).fetchall(), *tpch.read_arrow(answer))
