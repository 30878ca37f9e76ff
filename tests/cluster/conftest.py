"""Clusters that tests share, the engine and DuckDB beside them; logs of nodes where a test
failed."""

import pathlib
import sys

import duckdb
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

import nodes
import tables

EVERYTHING = "cluster.local_bytes=0"  # small statements are distributed as well


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for number, cluster in enumerate(nodes.running):
            report.sections.append((f"logs of cluster {number}", cluster.logs()))


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    tables.write(folder)
    return folder


@pytest.fixture(scope="session")
def oracle(files):
    database = duckdb.connect(config={"threads": 2})
    tables.load(database, files)
    return database


@pytest.fixture(scope="session")
def embedded(files):
    engine = nodes.Embedded()
    for statement in tables.statements(files):
        engine.fetch(statement)
    yield engine
    engine.close()


def make_cluster(workers, *roots, **options):
    options.setdefault("settings", [EVERYTHING])
    return nodes.Cluster(workers, roots, **options)


def with_tables(files):
    """What makes the tables in a data folder that no server has yet."""
    def prepare(data):
        data.parent.mkdir(parents=True)
        connection = nodes.igloo_capi.Connection(nodes.build() / "libigloo.so",
                                                 {"server.data_dir": str(data)})
        for statement in tables.statements(files):
            connection.fetch(statement)
        connection.close()
    return prepare


@pytest.fixture(scope="session")
def three(files):
    """Three workers, for tests that leave them as they are."""
    cluster = make_cluster(3, files, prepare=with_tables(files))
    yield cluster
    cluster.end()


@pytest.fixture(scope="session")
def one(files):
    cluster = make_cluster(1, files, prepare=with_tables(files))
    yield cluster
    cluster.end()


@pytest.fixture
def start(files):
    """start(workers, …) gives a cluster of the test's own, with the tables."""
    started = []

    def run(workers=3, *roots, **options):
        options.setdefault("prepare", with_tables(files))
        started.append(make_cluster(workers, *(roots or (files,)), **options))
        return started[-1]

    yield run
    for cluster in started:
        cluster.end()
