"""The conformance program over our drivers and those that others wrote, check by check."""
import importlib.util
import pathlib
import subprocess

import pytest

from conftest import BUILD, ROOT

PROGRAM = str(BUILD / "adbc_conformance")
FOLDER = ROOT / "tests/conformance"
SECONDS = 60


def installed(package):
    """The driver's library inside an installed Python package."""
    folder = pathlib.Path(importlib.util.find_spec(package).origin).parent
    return str(folder / f"lib{package}.so")


DRIVERS = {
    "igloo-sqlite": (lambda: str(BUILD / "drivers/libadbc_driver_igloo_sqlite.so"),
                     "AdbcDriverIglooSqliteInit", "sqlite"),
    "igloo-postgresql": (lambda: str(BUILD / "drivers/libadbc_driver_igloo_postgresql.so"),
                         "AdbcDriverIglooPostgresqlInit", "postgresql"),
    "adbc-driver-sqlite": (lambda: installed("adbc_driver_sqlite"), "AdbcDriverSqliteInit",
                           "sqlite"),
    "adbc-driver-postgresql": (lambda: installed("adbc_driver_postgresql"),
                               "AdbcDriverPostgresqlInit", "postgresql"),
}


def list_checks():
    done = subprocess.run([PROGRAM, "--list"], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.split()


@pytest.fixture
def uri(request, tmp_path):
    """Lazily: only PostgreSQL's profile needs its server."""
    def of(profile):
        if profile == "postgresql":
            return request.getfixturevalue("postgres").uri
        return str(tmp_path / "conformance.db")
    return of


@pytest.mark.parametrize("check", list_checks())
@pytest.mark.parametrize("name", list(DRIVERS))
def test_driver_passes(name, check, uri):
    library, entry, profile = DRIVERS[name]
    findings = FOLDER / f"findings/{name}.txt"
    options = ["--option", f"uri={uri(profile)}"]
    if name == "igloo-sqlite":
        options += ["--option", "igloo.sqlite.mode=rwc"]
    if findings.exists():
        options += ["--findings", str(findings)]
    done = subprocess.run(
        [PROGRAM, "--driver", library(), "--entry", entry, "--profile",
         str(FOLDER / f"profiles/{profile}.txt"), *options, check],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith("1 passed, 0 failed\n"), done.stdout


def test_every_finding_names_a_check():
    checks = set(list_checks())
    for path in (FOLDER / "findings").glob("*.txt"):
        for line in path.read_text().splitlines():
            if line and not line.startswith("#"):
                assert line.split(": ")[0] in checks, f"{path.name}: {line}"
