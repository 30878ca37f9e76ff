"""Servers to attack, and the ways to talk to them: those of tests/flight."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/flight"), str(ROOT / "tests/rpc")]

import harness  # noqa: E402


def load(name, path):
    """A module that is named as another one is."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


serving = load("serving", ROOT / "tests/flight/conftest.py")
Server, SECONDS, wait_for = serving.Server, serving.SECONDS, serving.wait_for
USER, PASSWORD = serving.USER, serving.PASSWORD
OTHER, OTHER_PASSWORD = serving.OTHER, serving.OTHER_PASSWORD
make_users, make_certificates, program = (
    serving.make_users, serving.make_certificates, serving.program)
start = serving.start  # a fixture


def pytest_addoption(parser):
    # Above this folder there is one conftest.py that has --long.
    parser.addoption("--endurance", type=float, default=0, metavar="MINUTES",
                     help="how long the mixed load of test_endurance.py lasts")


@pytest.fixture(scope="session")
def build():
    return pathlib.Path(os.environ.get("IGLOO_BUILD", ROOT / "build")).resolve()


@pytest.fixture(scope="session")
def figure(long):
    """figure(200_000): all of it in the long run, a tenth else."""
    return lambda count: count if long else count // 10


@pytest.fixture(scope="session")
def effort(long):
    return harness.LONG if long else harness.SHORT


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Without authentication: who connects may do everything that a user may."""
    started = Server(tmp_path_factory.mktemp("server"), "--data", "data",
                     settings=["auth.mode=none", "log.level=warn"])
    yield started
    started.end()

