"""What the tests of the real program share: the program, and the shell on a pseudo-terminal.

$IGLOO (or $IGLOO_BINARY) names the program; build/igloo is the default. Each test has
an empty folder as working folder and as home."""

import os
import pathlib
import re
import select
import signal
import subprocess

import pexpect
import pytest

# Whoever runs the tests may ignore signals (nohup, background jobs); the program under test
# inherits that and keeps it, so the tests would wait for a hang-up that never comes.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGPIPE, signal.SIG_IGN)

ROOT = pathlib.Path(__file__).resolve().parents[1]
SECONDS = 60
PROMPT = "igloo> "
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="the full figures (make test-long)")


@pytest.fixture(scope="session")
def long(request):
    """Whether the full figures are asked for."""
    return request.config.getoption("--long")


def program():
    named = os.environ.get("IGLOO") or os.environ.get("IGLOO_BINARY")
    return str(pathlib.Path(named or ROOT / "build/igloo").resolve())


@pytest.fixture
def environment(tmp_path):
    """An environment of ours alone: no settings, no history, no colours of the caller."""
    kept = {k: v for k, v in os.environ.items()
            if not k.startswith("IGLOO") and k not in ("PAGER", "XDG_STATE_HOME", "TMPDIR")}
    home = tmp_path / "home"
    home.mkdir()
    return {**kept, "HOME": str(home), "TERM": "xterm", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}


@pytest.fixture
def igloo(tmp_path, environment):
    """Run the program: igloo("sql", "-c", "SELECT 1") gives the finished process."""
    folder = tmp_path / "work"
    folder.mkdir()

    def run(*arguments, text=True, env=None, **options):
        options.setdefault("stdin", None if "input" in options else subprocess.DEVNULL)
        if "input" in options:
            options.pop("stdin")
        return subprocess.run(
            [program(), *map(str, arguments)], cwd=folder, env={**environment, **(env or {})},
            stdout=options.pop("stdout", subprocess.PIPE), stderr=subprocess.PIPE, text=text,
            timeout=SECONDS, **options)

    run.folder = folder
    run.environment = environment
    run.start = lambda *arguments, **options: subprocess.Popen(
        [program(), *map(str, arguments)], cwd=folder, env=environment, **options)
    return run


class Shell:
    def __init__(self, environment, folder, arguments, size, command, extra):
        words = ["sh", "-c", command] if command else [program(), *map(str, arguments)]
        self.process = pexpect.spawn(
            words[0], words[1:], env={**environment, **extra}, cwd=str(folder),
            encoding="utf-8", dimensions=size, timeout=SECONDS)
        self.banner = self.expect(PROMPT)

    def expect(self, text):
        """Wait for a text; gives what came before it."""
        self.process.expect_exact(text)
        return ANSI.sub("", self.process.before)

    def send(self, line):
        self.process.send(line + "\r")

    def run(self, line):
        """Type a line, wait for the next prompt, give what was printed between."""
        self.send(line)
        printed = self.expect(PROMPT)
        return printed.split("\n", 1)[1].replace("\r", "") if "\n" in printed else ""

    def interrupt(self):
        self.process.sendintr()

    def end(self):
        """Leave by Ctrl-D; gives the exit code."""
        self.process.sendeof()
        return self.exit_code()

    def exit_code(self):
        self.process.expect(pexpect.EOF)
        code = self.wait("the shell goes on though it has left its terminal")
        self.process.close()
        return code

    def hang_up(self):
        """Take the terminal away and wait for the end; gives the exit code."""
        os.close(self.process.child_fd)
        self.process.closed = self.process.ptyproc.closed = True
        return self.wait("the shell goes on without a terminal")

    def wait(self, otherwise):
        """Its end, which pexpect would wait for without a bound; gives the exit code."""
        waiter = os.pidfd_open(self.process.pid)
        ended, _, _ = select.select([waiter], [], [], SECONDS)
        os.close(waiter)
        if not ended:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.ptyproc.terminated = True
        status = os.waitpid(self.process.pid, 0)[1]
        assert ended, otherwise
        return os.waitstatus_to_exitcode(status)

    def kill(self):
        if self.process.closed:
            return
        if self.process.isalive():
            self.process.kill(signal.SIGKILL)
            self.process.wait()
        self.process.close()


@pytest.fixture
def shell(igloo):
    """Start shells: shell("--data", "d", size=(24, 60), PAGER="cat"); `command` is a line
    for sh that starts one."""
    started = []

    def start(*arguments, size=(24, 100), command=None, **extra):
        started.append(Shell(igloo.environment, igloo.folder, arguments, size, command, extra))
        return started[-1]

    yield start
    for one in started:
        one.kill()
