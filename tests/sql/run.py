#!/usr/bin/env python3
"""Runs the SQL cases of .case files against the program `igloo`.

  run.py --igloo build/igloo [--jobs 2] [-k PATTERN] [FILE ...]   the test
  run.py --verify-oracle [--postgresql DSN] [FILE ...]            are the expectations true?
  run.py --fill [--postgresql DSN] FILE ...                       let the oracle write missing rows

Cases that only ask share a process and a folder with a few others; each of the
rest has its own. The last line is
"N passed, M failed"; the exit code is 1 when something failed."""
import argparse
import concurrent.futures
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import casefile  # noqa: E402
import oracles  # noqa: E402

MARKER = "everything below this line is the answer"
CASE_SECONDS = 30
TOGETHER = 12  # questions without a setup of their own that share a process
# Of `igloo sql`, to ask a server; without them it is the engine in its process.
SERVER_OPTIONS, SERVER_ENVIRONMENT = [], {}


class Mismatch(Exception):
    pass


# Reading what igloo printed ------------------------------------------------

def read_csv(text):
    """Records of a CSV text; an unquoted empty field is None, "" is ''."""
    records, record, at = [], [], 0
    while at < len(text):
        if text[at] == '"':
            parts, at = [], at + 1
            while True:
                end = text.index('"', at)
                parts.append(text[at:end])
                at = end + 1
                if text[at:at + 1] != '"':
                    break
                parts.append('"')
                at += 1
            record.append("".join(parts))
        else:
            end = re.compile(r"[,\n]|$").search(text, at).start()
            field = text[at:end].rstrip("\r")
            record.append(field if field else None)
            at = end
        if text[at:at + 1] == ",":
            at += 1
            if at == len(text) or text[at] == "\n":
                record.append(None)
                at += 1
                records.append(record)
                record = []
            continue
        at += 1
        records.append(record)
        record = []
    return records


def read_error(stderr):
    """(sqlstate, primary message, everything) of what igloo said on stderr."""
    message = re.search(r"^error: (.*)", stderr, re.M)
    state = re.search(r"^sqlstate: (\S+)", stderr, re.M)
    return (state.group(1) if state else None, message.group(1) if message else stderr.strip())


# Comparing -----------------------------------------------------------------

def same_number(expected, got):
    if math.isnan(expected) or math.isnan(got):
        return math.isnan(expected) and math.isnan(got)
    if expected == 0 or math.isinf(expected):
        return expected == got and math.copysign(1, expected) == math.copysign(1, got)
    return math.isclose(expected, got, rel_tol=1e-12)


def same_json(expected, got):
    if isinstance(expected, dict) and isinstance(got, dict):
        return (list(expected) == list(got)
                and all(same_json(v, got[k]) for k, v in expected.items()))
    if isinstance(expected, list) and isinstance(got, list):
        return len(expected) == len(got) and all(map(same_json, expected, got))
    number = (int, float)
    if isinstance(expected, number) and isinstance(got, number):
        if isinstance(expected, bool) or isinstance(got, bool):
            return expected is got
        return same_number(float(expected), float(got))
    return expected == got


def same_cell(expected, got):
    if expected == got:
        return True
    if expected is None or got is None:
        return False
    try:
        if expected.startswith("~"):
            return same_number(float(expected[1:]), float(got))
        if expected[:1] in "[{" and got[:1] in "[{":
            return same_json(json.loads(expected), json.loads(got))
    except ValueError:
        pass
    return False


def same_row(expected, got):
    return len(expected) == len(got) and all(map(same_cell, expected, got))


def show(rows):
    return ["\t".join(casefile.escape(c) for c in row) for row in rows]


def compare_rows(expected, got, unordered):
    """Nothing when they are equal; raises Mismatch with a diff otherwise."""
    if unordered:
        left, extra = list(expected), []
        for row in got:
            match = next((e for e in left if same_row(e, row)), None)
            if match is None:
                extra.append(row)
            else:
                left.remove(match)
        if not left and not extra:
            return
        diff = ["- " + l for l in show(left)] + ["+ " + l for l in show(extra)]
    else:
        if len(expected) == len(got) and all(map(same_row, expected, got)):
            return
        diff = []
        for i in range(max(len(expected), len(got))):
            e = expected[i:i + 1]
            g = got[i:i + 1]
            if e and g and same_row(e[0], g[0]):
                diff.append("  " + show(e)[0])
            else:
                diff += ["- " + l for l in show(e)] + ["+ " + l for l in show(g)]
    raise Mismatch("rows differ (- expected, + got):\n" + "\n".join(diff[:60]))


def compare_error(expected, state, message):
    want_state, _, want_text = expected.partition(" ")
    if want_state != state or want_text.lower() not in message.lower():
        raise Mismatch(f"- error: {expected}\n+ error: {state} {message}")


# Running cases -------------------------------------------------------------

def run_igloo(igloo, file, cases, folder):
    """One session: the setup, then each query after a line with the marker."""
    command = [igloo, "sql", "--format", "csv", *SERVER_OPTIONS]
    setup = file.setup(cases[0])
    if setup.strip():
        command += ["-c", setup]
    for case in cases:
        command += ["-c", f"SELECT '{MARKER}' AS m", "-c", "\n".join(case.blocks["query"])]
    env = {k: v for k, v in os.environ.items() if not k.startswith("IGLOO_")}
    env.update(SERVER_ENVIRONMENT)
    try:
        return subprocess.run(command, cwd=folder, env=env, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=CASE_SECONDS)
    except subprocess.TimeoutExpired as e:
        raise Mismatch(f"no answer within {CASE_SECONDS} s") from e


def answers(done):
    """What igloo printed before the first marker and after each."""
    return done.stdout.decode("utf-8", "replace").split("m\n" + MARKER + "\n")


def check_answer(case, answer):
    for piece in case.blocks.get("has", []):
        if piece not in answer:
            raise Mismatch(f"the answer does not hold: {piece}\n{answer[:2000]}")
    records = read_csv(answer)
    names, rows = (records[0], records[1:]) if records else ([], [])
    if "names" in case.inline:
        got = ", ".join(n or "" for n in names)
        if got != case.inline["names"]:
            raise Mismatch(f"- names: {case.inline['names']}\n+ names: {got}")
    if case.rows is not None:
        compare_rows(case.rows, rows, case.unordered)


def check_case(igloo, file, case, folder):
    done = run_igloo(igloo, file, [case], folder)
    err = done.stderr.decode("utf-8", "replace")
    if done.returncode < 0 or done.returncode > 1:
        raise Mismatch(f"igloo ended with code {done.returncode}\n{err[-2000:]}")
    parts = answers(done)
    if len(parts) != 2:
        raise Mismatch(f"the setup failed\n{err[-2000:]}")
    state, message = read_error(err)
    if "error" in case.inline:
        if done.returncode == 0:
            raise Mismatch(f"- error: {case.inline['error']}\n+ an answer:\n{parts[1][:2000]}")
        return compare_error(case.inline["error"], state, message)
    if done.returncode != 0:
        raise Mismatch(f"error: {state} {message}")
    check_answer(case, parts[1])


def check_together(igloo, file, cases, folder):
    """Which of the cases pass when they share one process; none if that fails."""
    try:
        done = run_igloo(igloo, file, cases, folder)
    except Mismatch:
        return set()
    parts = answers(done)
    if done.returncode != 0 or len(parts) != len(cases) + 1:
        return set()
    passed = set()
    for case, answer in zip(cases, parts[1:]):
        try:
            check_answer(case, answer)
            passed.add(case)
        except Mismatch:
            pass
    return passed


def batches(work):
    """Cases by turns: those that only ask, TOGETHER at a time; the others alone."""
    out, asking = [], {}
    for file, case in work:
        if "setup" in case.blocks or "error" in case.inline:
            out.append((file, [case]))
            continue
        batch = asking.setdefault(file, [])
        if not batch:
            out.append((file, batch))
        batch.append(case)
        if len(batch) == TOGETHER:
            asking[file] = []
    return out


def make_folder(file, data):
    """A fresh folder with a copy of the test data, if the file asks for it."""
    folder = tempfile.mkdtemp(prefix="igloo-sql-")
    if "data" in file.head.inline:
        shutil.copytree(data(), folder, dirs_exist_ok=True)
    return folder


class Data:
    """The test data, made once and only when a file asks for it."""

    def __init__(self, base):
        self.base, self.made = base, False

    def __call__(self):
        if not self.made:
            import data
            data.make(self.base)
            self.made = True
        return self.base


def ask_oracle(file, case, folder, dsn):
    name = file.oracle(case)
    query = "\n".join(case.blocks.get("oracle query", case.blocks["query"]))
    setup = file.setup(case, for_oracle=True)
    if name == "duckdb":
        return oracles.duckdb(setup, query, folder)
    if name == "postgresql" and dsn:
        return oracles.postgresql(setup, query, dsn)
    return None


def verify_case(file, case, folder, dsn):
    """True when the oracle confirms the case, None when it was not asked."""
    try:
        answer = ask_oracle(file, case, folder, dsn)
    except oracles.OracleError as e:
        if "error" not in case.inline:
            raise Mismatch(f"the oracle refuses: {e}") from e
        if e.sqlstate and not case.inline["error"].startswith(e.sqlstate):
            raise Mismatch(f"the oracle's error is {e.sqlstate}: {e}") from e
        return True
    if answer is None:
        return None
    if "error" in case.inline:
        raise Mismatch("the oracle answers where an error is expected")
    names, rows = answer
    if case.rows is not None:
        got = [[c[1:] if c and c.startswith("~") else c for c in row] for row in rows]
        compare_rows(case.rows, got, case.unordered)
    return True


def fill_case(file, case, folder, dsn):
    if "error" in case.inline or "has" in case.blocks or case.rows is not None:
        return None
    answer = ask_oracle(file, case, folder, dsn)
    if answer is None:
        raise Mismatch("no rows, and no oracle to ask")
    ordered = re.search(r"\border\s+by\b", "\n".join(case.blocks["query"]), re.I)
    rows = answer[1]
    case.blocks["rows" if ordered or len(rows) <= 1 else "rows unordered"] = show(rows)
    return True


# The command line ----------------------------------------------------------

def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--igloo", help="the program under test")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("-k", metavar="PATTERN", help="only cases whose file or name has it")
    parser.add_argument("--verify-oracle", action="store_true")
    parser.add_argument("--fill", action="store_true")
    parser.add_argument("--long", action="store_true", help="changes nothing: all cases always run")
    parser.add_argument("--postgresql", metavar="DSN", help="e.g. host=/tmp user=postgres")
    parser.add_argument("files", nargs="*", metavar="FILE")
    args = parser.parse_args()
    if not (args.igloo or args.verify_oracle or args.fill):
        parser.error("one of --igloo, --verify-oracle, --fill")
    paths = args.files or sorted(os.path.join(HERE, f) for f in os.listdir(HERE)
                                 if f.endswith(".case"))
    files = [casefile.CaseFile(os.path.abspath(p)) for p in paths]
    work = [(f, c) for f in files for c in f.cases
            if not args.k or args.k in c.name or args.k in os.path.basename(f.path)]
    igloo = args.igloo and os.path.abspath(args.igloo)
    home, base = os.getcwd(), tempfile.mkdtemp(prefix="igloo-sql-data-")
    data = Data(base)
    if any("data" in f.head.inline for f, _ in work):
        data()

    def one(file, case):
        folder = make_folder(file, data)
        try:
            if args.fill:
                return fill_case(file, case, folder, args.postgresql), None
            if args.verify_oracle:
                return verify_case(file, case, folder, args.postgresql), None
            check_case(igloo, file, case, folder)
            return True, None
        except (Mismatch, oracles.OracleError) as e:
            return False, str(e)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def several(batch):
        """A case that does not pass in company gets a process of its own."""
        file, cases = batch
        good = set()
        if testing and len(cases) > 1:
            folder = make_folder(file, data)
            good = check_together(igloo, file, cases, folder)
            shutil.rmtree(folder, ignore_errors=True)
        return [(file, c) + ((True, None) if c in good else one(file, c)) for c in cases]

    started, passed, failed, skipped = time.monotonic(), 0, 0, 0
    testing = not (args.fill or args.verify_oracle)
    with concurrent.futures.ThreadPoolExecutor(args.jobs if testing else 1) as pool:
        results = [r for batch in pool.map(several, batches(work)) for r in batch]
    for file, case, ok, why in results:
        if ok is False:
            failed += 1
            query = "\n".join("    " + l for l in case.blocks["query"])
            print(f"FAILED {os.path.basename(file.path)}: {case.name}\n{query}\n{why}\n")
        elif ok is None:
            skipped += 1
        else:
            passed += 1
    os.chdir(home)
    shutil.rmtree(base, ignore_errors=True)
    if args.fill:
        for file in files:
            file.write()
    if skipped and args.verify_oracle:
        print(f"{skipped} cases have no oracle that could be asked")
    print(f"{time.monotonic() - started:.1f} s")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
