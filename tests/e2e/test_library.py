"""libigloo.so used by threads of another program, through ctypes."""

import pathlib
import sys
import threading

import pytest
from conftest import ROOT, program

sys.path.insert(0, str(ROOT / "tests/python"))
import igloo_capi  # noqa: E402

ENDLESS = "SELECT count(*) FROM generate_series(1, 1000000000000) AS t(v)"


@pytest.fixture
def connection():
    one = igloo_capi.Connection(pathlib.Path(program()).parent / "libigloo.so")
    yield one
    one.close()


def test_cancel_from_another_thread_ends_a_statement(connection):
    failures = []

    def run():
        try:
            connection.query(ENDLESS).read_all()
        except Exception as error:  # the error of a batch comes through pyarrow
            failures.append(error)

    worker = threading.Thread(target=run)
    worker.start()
    while worker.is_alive() and not failures:
        connection.library.igloo_cancel(connection.session)
        worker.join(0.05)
    worker.join(30)
    assert len(failures) == 1
    assert connection.query("SELECT 42 AS n").read_all().to_pydict() == {"n": [42]}


def test_connections_of_one_process_answer_side_by_side(connection):
    answers = {}

    def run(number):
        one = igloo_capi.Connection(pathlib.Path(program()).parent / "libigloo.so")
        sql = f"SELECT sum(v) AS s FROM generate_series(1, {number * 10000}) AS t(v)"
        answers[number] = one.query(sql).read_all().to_pydict()["s"][0]
        one.close()

    workers = [threading.Thread(target=run, args=(n,)) for n in range(1, 5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert answers == {n: (n * 10000) * (n * 10000 + 1) // 2 for n in range(1, 5)}
