"""The Arrow Flight SQL JDBC driver: each check of jdbc/Client.java is a test here."""

import os
import pathlib
import re
import subprocess

import pytest

from conftest import ROOT, environment

FOLDER = pathlib.Path(os.environ.get("IGLOO_BUILD", ROOT / "build")).resolve() / "clients/jdbc"
SECONDS = 120
CHECKS = re.findall(r'checks\.put\("(\w+)"',
                    (ROOT / "tests/clients/jdbc/Client.java").read_text())


@pytest.fixture(scope="session")
def found(cell, tmp_path_factory):
    """What the program says of each check; it runs once for each way to reach the server."""
    home = tmp_path_factory.mktemp("jdbc")
    done = subprocess.run(
        ["java", "-XX:TieredStopAtLevel=1", "-Xmx1g",
         "--add-opens=java.base/java.nio=ALL-UNNAMED", "-cp", f"{FOLDER}:{FOLDER}/driver.jar",
         "Client", *cell.words()],
        cwd=home, env=environment(home), capture_output=True, text=True, timeout=SECONDS)
    lines = [re.fullmatch(r"(not ok|ok) (\w+)(?:: (.*))?", line)
             for line in done.stdout.splitlines()]
    assert all(lines), done.stdout
    assert done.returncode == 0 and lines, done.stderr
    return {name: (verdict, reason) for verdict, name, reason in (m.groups() for m in lines)}


@pytest.mark.parametrize("check", CHECKS)
def test_the_driver_passes(found, check):
    verdict, reason = found[check]
    assert verdict == "ok", reason
