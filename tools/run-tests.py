#!/usr/bin/env python3
"""Run the test suites, each within its budget, and count single tests.

Usage: tools/run-tests.py [--build FOLDER] [--long] [SUITE…]

Everything must be built (`make test` does that first). A suite that is missing,
that ends without saying what it counted, that skips, or that is not done within
its budget is a failure. The last line is "N passed, M failed"; the whole output
of each suite lies in <build>/test-logs/.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
COUNT = re.compile(r"^(\d+) passed, (\d+) failed$")
TOTAL_SECONDS = 2400
LONG_FACTOR = 20  # budgets under --long, in budgets of make test
SHOWN_LINES = 60  # of a failing suite's output
FAILURE_LINES = 12


@dataclasses.dataclass
class Suite:
    name: str
    seconds: int
    command: list
    needs: str  # the file or folder without which there is no suite
    count: object = None  # how to read (passed, failed) from output; None: the last line
    environment: dict = dataclasses.field(default_factory=dict)
    sweeps: bool = False  # what it leaves among temporary files is removed


@dataclasses.dataclass
class Result:
    suite: Suite
    passed: int = 0
    failed: int = 0
    seconds: float = 0.0
    note: str = ""
    output: str = ""


def count_last_line(output, code):
    lines = output.rstrip().splitlines()
    match = COUNT.match(lines[-1]) if lines else None
    if not match:
        return 0, 1, "ended without counting its tests"
    passed, failed = map(int, match.groups())
    if code != 0 and failed == 0:
        return passed, 1, f"exit code {code}"
    return passed, failed, ""


def count_ctest(output, code):
    """Count cmocka's TAP lines; a program that failed without one counts as one failure."""
    passed = failed = 0
    failed_by_test = {}
    for line in output.splitlines():
        match = re.match(r"^(\d+): (ok|not ok) \d+ - ", line)
        if match and match.group(2) == "ok":
            passed += 1
        elif match:
            failed += 1
            failed_by_test[match.group(1)] = True
        match = re.match(r"^\s*\d+/\d+ Test\s+#(\d+): \S+ \.*\s*(.*?)\s+[\d.]+ sec$", line)
        if match and match.group(2) != "Passed" and match.group(1) not in failed_by_test:
            failed += 1
    if passed + failed == 0:
        return 0, 1, "no tests were found"
    if code != 0 and failed == 0:
        return passed, 1, f"exit code {code}"
    return passed, failed, ""


def count_cargo(output, code):
    """Sum what each test program of cargo counted; an ignored test is a failed test."""
    results = re.findall(
        r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored", output, re.M)
    passed = sum(int(result[0]) for result in results)
    failed = sum(int(result[1]) + int(result[2]) for result in results)
    if passed + failed == 0:
        return 0, 1, "no tests were found"
    if code != 0 and failed == 0:
        return passed, 1, f"exit code {code}"
    return passed, failed, ""


def count_junit(path):
    def count(output, code):
        try:
            cases = list(xml.etree.ElementTree.parse(path).iter("testcase"))
        except (OSError, xml.etree.ElementTree.ParseError):
            return 0, 1, f"pytest left no report (exit code {code})"
        bad = [case for case in cases if any(
            case.find(kind) is not None for kind in ("failure", "error", "skipped"))]
        skipped = sum(1 for case in bad if case.find("skipped") is not None)
        failed = len(bad) or (1 if code else 0)
        return len(cases) - len(bad), failed, f"{skipped} skipped" if skipped else ""
    return count


def list_suites(build, long):
    python, igloo = sys.executable, str(build / "igloo")
    more = ["--long"] if long else []

    def ctest(folder):
        return ["ctest", "--test-dir", str(folder), "-V", "-L", "^unit$"]

    def script(name, seconds):
        path = f"tests/{name}/run.py"
        return Suite(name, seconds, [python, path, "--igloo", igloo, *more], path)

    def pytest(name, seconds):
        junit = build / f"test-logs/{name}.xml"
        return Suite(name, seconds,
                     [python, "-m", "pytest", "--color=no", f"--junitxml={junit}",
                      "-o", "junit_family=xunit1", *more, f"tests/{name}"], f"tests/{name}", count_junit(junit),
                     {"IGLOO": igloo, "IGLOO_BUILD": str(build)})

    tap = {"CMOCKA_MESSAGE_OUTPUT": "TAP"}
    # Of the measurements only whether they work, and only in the long run.
    bench = Suite("bench", 60, ["bench/run.sh", "--check", "--build", str(build)], "bench/run.sh")
    # The longest first: there are as many runners as cores.
    return ([bench] if long else []) + [
        Suite("checks", 200, [python, "tools/check.py", "--build", str(build)], "tools/check.py"),
        pytest("hardening", 420),
        pytest("door", 400),
        pytest("sources", 360),
        pytest("cluster", 420),
        pytest("drivers", 200),
        pytest("e2e", 220),
        pytest("clients", 240),
        pytest("ipc", 90),
        pytest("rpc", 120),
        pytest("flight", 240),
        script("sql", 100),
        Suite("unit-san", 200, ctest(build / "san"), "tests/unit", count_ctest, tap),
        Suite("bridge", 150, ["tools/cargo.sh", "test", "--release", "--locked", "--lib",
                             "--manifest-path", "bridge/Cargo.toml"], "bridge/Cargo.toml",
              count_cargo, sweeps=True),
        script("tpch", 90),
        script("fuzz", 60),
        script("reference", 60),
        Suite("unit", 120, ctest(build), "tests/unit", count_ctest, tap),
        script("examples", 60),
        script("python", 60),
    ]


def run_suite(suite, build, deadline, factor):
    result = Result(suite)
    if not (ROOT / suite.needs).exists():
        result.failed, result.note = 1, f"{suite.needs} does not exist"
        return result
    log = build / "test-logs" / f"{suite.name}.log"
    started = time.monotonic()
    seconds = min(suite.seconds * factor, max(1.0, deadline - started))
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(log.open("wb"))
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **suite.environment}
        if suite.sweeps:
            environment["TMPDIR"] = stack.enter_context(tempfile.TemporaryDirectory())
        # A session of its own, so that nothing a suite started outlives it.
        process = subprocess.Popen(
            suite.command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out,
            stderr=subprocess.STDOUT, start_new_session=True, env=environment)
        try:
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            code = None
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
    result.seconds = time.monotonic() - started
    result.output = log.read_text(errors="replace")
    if code is None:
        result.failed, result.note = 1, f"not done after {seconds:.0f} s, its budget"
    else:
        result.passed, result.failed, result.note = (suite.count or count_last_line)(
            result.output, code)
    return result


def failures_within(lines):
    """What failed in the middle of the output of C and Rust, each with the lines that say why."""
    shown = []
    for number, line in enumerate(lines[:-SHOWN_LINES]):
        if re.search(r"\bnot ok \d+ - |ERROR: \w+Sanitizer|: runtime error: |^panicked at ", line):
            shown += ["...", *lines[number:number + FAILURE_LINES]]
    return shown[:SHOWN_LINES]


def show(result):
    verdict = "FAILED" if result.failed else "ok"
    print(f"{result.suite.name:10} {verdict:7} {result.passed:6} passed {result.failed:4} failed "
          f"{result.seconds:7.1f} s of {result.suite.seconds:4} s  {result.note}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--long", action="store_true", help="the full figures of the issues")
    parser.add_argument("suites", nargs="*", metavar="SUITE")
    arguments = parser.parse_args()
    build = (ROOT / arguments.build).resolve()
    (build / "test-logs").mkdir(parents=True, exist_ok=True)
    suites = list_suites(build, arguments.long)
    unknown = set(arguments.suites) - {suite.name for suite in suites}
    if unknown:
        parser.error(f"no suite {', '.join(sorted(unknown))}; "
                     f"there are {', '.join(suite.name for suite in suites)}")
    suites = [s for s in suites if not arguments.suites or s.name in arguments.suites]

    factor = LONG_FACTOR if arguments.long else 1
    started = time.monotonic()
    deadline = started + TOTAL_SECONDS * factor
    results = []
    with concurrent.futures.ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        futures = [pool.submit(run_suite, s, build, deadline, factor) for s in suites]
        for future in concurrent.futures.as_completed(futures):
            results.append(future.result())
            show(results[-1])

    for result in results:
        if result.failed and result.output:
            lines = result.output.rstrip().splitlines()
            within = failures_within(lines)
            if within:
                print(f"\n--- {result.suite.name}: what failed")
                print("\n".join(within))
            print(f"\n--- {result.suite.name}: the last lines of its output")
            print("\n".join(lines[-SHOWN_LINES:]))
    seconds = time.monotonic() - started
    print(f"\n{len(suites)} suites in {seconds:.0f} s of at most {TOTAL_SECONDS * factor} s")
    passed = sum(result.passed for result in results)
    failed = sum(result.failed for result in results)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
