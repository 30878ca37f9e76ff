"""The SQL cases of the repository (tests/sql, tests/reference) through a coordinator with three
workers: what they say must hold wherever a statement runs. The server's working folder is the
cases', emptied after each; what a case has made in the catalog is dropped."""

import importlib.util
import pathlib
import shutil
import subprocess
import sys

import pytest

import nodes
from conftest import EVERYTHING

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/sql"))
spec = importlib.util.spec_from_file_location("sql_run", ROOT / "tests/sql/run.py")
cases = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cases)

FILES = sorted(path for folder in ("tests/sql", "tests/reference")
               for path in (ROOT / folder).glob("*.case") if path.name != "users.case")
USER, PASSWORD = "anna", "a password"
# users.case counts the users of a shell of its own, and these are of the shell too.
EMBEDDED = {"attach of a file that is missing"}


class Served:
    """The cluster, and the one folder in which its cases run."""

    def __init__(self, base):
        self.files, self.work = base / "files", base / "work"
        self.files.mkdir()
        self.work.mkdir()
        importlib.import_module("data").make(str(self.files))
        self.cluster = nodes.Cluster(
            3, [f"{self.work}:rw", base], settings=["auth.mode=password", EVERYTHING],
            login={"user": USER, "password": PASSWORD}, prepare=self.make_user, work=self.work)
        self.session = self.cluster.connect()
        self.had = self.catalog()

    def make_user(self, data):
        data.parent.mkdir(parents=True)
        subprocess.run([nodes.program(), "user", "add", USER, "--data", data], check=True,
                       input=PASSWORD + "\n", text=True, capture_output=True)

    def catalog(self):
        """What cases may have made: how it is dropped."""
        rows = self.session.fetch(
            "SELECT table_catalog || '.' || table_schema AS place, table_name AS name, table_type AS type"
            " FROM information_schema.tables").to_pylist()
        found = [f'DROP {"VIEW" if row["type"] == "VIEW" else "TABLE"} {row["place"]}."{row["name"]}"'
                 for row in rows if "information_schema" not in row["place"] and ".system" not in row["place"]]
        rows = self.session.fetch("SELECT schema_name AS name FROM information_schema.schemata").to_pylist()
        found += [f'DROP SCHEMA "{row["name"]}"' for row in rows]
        rows = self.session.fetch("SELECT name FROM igloo.system.users").to_pylist()
        return found + [f'DROP USER "{row["name"]}"' for row in rows]

    def begin(self, file):
        if "data" in file.head.inline:
            shutil.copytree(self.files, self.work, dirs_exist_ok=True)

    def clean(self, file, batch):
        if not has_made(file, batch):
            return
        for statement in self.catalog():
            if statement not in self.had:
                self.session.fetch(statement)
        for entry in self.work.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def end(self):
        self.session.close()
        self.cluster.end()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    made = Served(tmp_path_factory.mktemp("cases"))
    cases.SERVER_OPTIONS[:] = ["--uri", made.cluster.uri]
    cases.SERVER_ENVIRONMENT.update(IGLOO_USER=USER, IGLOO_PASSWORD=PASSWORD)
    yield made
    made.end()


def has_made(file, batch):
    """Whether something is left of these cases; questions alone leave nothing."""
    return bool(file.setup(batch[0]).strip()) or "data" in file.head.inline or any(
        case.blocks["query"][0].split()[0].upper() not in ("SELECT", "WITH", "VALUES") for case in batch)


def run_batch(served, file, batch):
    """(case, what is wrong or None) of each."""
    igloo, folder = nodes.program(), str(served.work)
    good = set()
    if len(batch) > 1:
        served.begin(file)
        good = cases.check_together(igloo, file, batch, folder)
        served.clean(file, batch)
    for case in batch:
        if case in good:
            yield case, None
            continue
        served.begin(file)
        try:
            cases.check_case(igloo, file, case, folder)
            yield case, None
        except cases.Mismatch as error:
            yield case, str(error)
        served.clean(file, [case])


@pytest.mark.parametrize("path", FILES, ids=[f"{one.parent.name}_{one.stem}" for one in FILES])
def test_sql_cases_hold_on_three_workers(served, long, path):
    file = cases.casefile.CaseFile(str(path))
    # An error has a process of its own, and nearly all are found before anything runs.
    chosen = [(file, case) for case in file.cases
              if case.name not in EMBEDDED and (long or "error" not in case.inline)]
    wrong = [f"{case.name}\n" + "\n".join(case.blocks["query"]) + f"\n{why}"
             for _, batch in cases.batches(chosen) for case, why in run_batch(served, file, batch) if why]
    assert not wrong, f"{len(wrong)} of {len(chosen)} cases\n\n" + "\n\n".join(wrong)
