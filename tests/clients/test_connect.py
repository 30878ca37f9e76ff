"""docs/connect.md: each of its snippets is run, against a server started as the page says.
Go's and Rust's are built before, by tools/build-clients.sh."""

import os
import re
import signal
import subprocess
import sys

import pytest

from conftest import ROOT, SECONDS, environment, program
from programs import FOLDER

PAGE = (ROOT / "docs/connect.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
PASSWORD = "correct horse"


def snippet(title, kind):
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```$", SECTIONS[title], re.M | re.S)
    return found


class Page:
    """A server as the page starts it, on ports of its own, and the folder it was started in."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "examples").symlink_to(ROOT / "examples")
        (folder / "node_modules").symlink_to(FOLDER / "node/node_modules")
        (folder / "bin").mkdir()
        (folder / "bin/igloo").symlink_to(program())
        kept = environment(folder)
        library = os.path.dirname(program())
        self.environment = {
            **kept, "IGLOO_PASSWORD": PASSWORD, "PATH": f"{folder / 'bin'}:{kept['PATH']}",
            "CPATH": str(ROOT / "include"), "LIBRARY_PATH": library, "LD_LIBRARY_PATH": library,
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": "certs/ca.crt"}
        text = snippet("Start a server", "sh").replace(
            "igloo serve", "exec igloo serve --listen localhost:0 --http localhost:0")
        self.process = subprocess.Popen(["sh", "-e", "-c", text], cwd=folder, text=True,
                                        env=self.environment, stdout=subprocess.PIPE)
        self.ports = {}
        for line in self.process.stdout:
            listening = re.match(r"listening on (grpc|http)\S*:(\d+)$", line)
            if listening:
                self.ports[listening[1]] = listening[2]
            if len(self.ports) == 2:
                break
        self.environment["ADDRESS"] = self.here("localhost:50051")

    def here(self, text):
        return text.replace("50051", self.ports["grpc"]).replace("8090", self.ports["http"])

    def run(self, *words, **more):
        done = subprocess.run([str(word) for word in words], cwd=self.folder, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=SECONDS,
                              env={**self.environment, **more})
        assert done.returncode == 0, done.stderr
        return done.stdout

    def write(self, name, title, kind):
        file = self.folder / name
        file.write_text(self.here(snippet(title, kind)))
        return file


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    started = Page(tmp_path_factory.mktemp("page"))
    yield started
    started.process.send_signal(signal.SIGTERM)
    assert started.process.wait(SECONDS) == 0


def test_every_section_with_a_snippet_is_tested_here():
    with_snippets = {title for title, text in SECTIONS.items() if "```" in text}
    source = (ROOT / "tests/clients/test_connect.py").read_text()
    assert with_snippets == {title for title in SECTIONS if f'"{title}"' in source}


def test_the_server_starts_as_shown(page):
    assert set(page.ports) == {"grpc", "http"}


def test_the_shell_connects(page):
    assert "42" in page.run("sh", "-e", "-c", page.here(snippet("The shell", "sh")))


def test_the_c_program_connects(page):
    found = page.run("sh", "-e", "-c", page.here(snippet("C", "sh")))
    assert found == (ROOT / "examples/c/query.out").read_text()


@pytest.mark.parametrize("title", [
    "Python: ADBC, with polars or pandas", "Python: pyarrow", "Python: flightsql-dbapi"])
def test_python_connects(page, title):
    assert "42" in page.run(sys.executable, page.write("connect.py", title, "python"))


def test_java_connects(page):
    source = page.write("Main.java", "Java: JDBC", "java")
    found = page.run("java", "--add-opens=java.base/java.nio=ALL-UNNAMED", "-cp",
                     FOLDER / "jdbc/driver.jar", source)
    assert found == "42\n"


def test_go_connects(page):
    assert "localhost:50051" in snippet("Go", "go")  # which is ADDRESS in the program
    assert page.run(FOLDER / "go-connect") == "42\n"


def test_javascript_connects(page):
    assert "42" in page.run("node", page.write("connect.mjs", "JavaScript", "js"))


def test_rust_connects(page):
    assert "https://localhost:50051" in snippet("Rust", "rust")
    found = page.run(FOLDER / "rust-connect", ADDRESS=page.here("https://localhost:50051"))
    assert "42" in found


def test_health_and_metrics_answer(page):
    found = page.run("sh", "-e", "-c", page.here(snippet("Health and metrics", "sh")))
    assert '{"state":"' in found
    assert re.search(r"^igloo_\S+ \d", found, re.M)
