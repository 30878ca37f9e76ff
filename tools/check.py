#!/usr/bin/env python3
"""Run every static check, in parallel, and count them.

Usage: tools/check.py [-v] [--build FOLDER] [NAME…]     (NAME: only these checks)

What the analysis of one file (gcc -fanalyzer, clang-tidy) said is remembered by a
hash of the file, of every header of ours it reaches, of the flags and of the tool:
an unchanged file is not analysed again, in this clone or another. The last line
is "N passed, M failed".
"""

import argparse
import concurrent.futures
import hashlib
import inspect
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s*["<]([^">]+)[">]', re.M)

# Checks that are one command: it prints what is wrong and exits 1.
COMMANDS = {
    "layers": ["tools/check-layers.py"],
    "layers-test": [sys.executable, "-m", "unittest", "-q", "tools/test_check_layers.py"],
    "banned": ["tools/check-banned.py"],
    "headers": ["tools/check-headers.sh"],
    "tree": ["tools/check-tree.sh"],
    "architecture": ["tools/check-architecture.py"],
    "status-header": ["tools/gen-status.py", "--check"],
    "bridge-header": ["tools/check-bridge-header.sh"],
    "wire-vectors": ["build/venv/bin/python", "tests/unit/wire/vectors.py", "--check"],
    "bridge-format": ["tools/cargo.sh", "fmt", "--manifest-path", "bridge/Cargo.toml", "--check",
                      "--", "-l", "--color=never"],
}


def run(command, **more):
    done = subprocess.run(
        command, cwd=ROOT, text=True, errors="replace", stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more,
    )
    return done.returncode, done.stdout


def list_files(*patterns):
    command = ["git", "ls-files", "-co", "--exclude-standard", "--", *patterns]
    names = sorted(set(run(command)[1].splitlines()))
    return [name for name in names if (ROOT / name).exists()]


class Cache:
    """What analyses said before, by hash: files in the cache folder, empty ones for nothing."""

    def __init__(self, verbose):
        self.verbose = verbose
        base = os.environ.get("IGLOO_BUILD_CACHE") or os.path.join(
            os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "igloo"
        )
        self.folder = pathlib.Path(base) / "checks"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.reached = {}

    def reach(self, path):
        """The file and every header of ours that it includes, directly or not."""
        if path in self.reached:
            return self.reached[path]
        self.reached[path] = found = {path}
        for target in INCLUDE.findall(path.read_text(errors="replace")):
            for base in (path.parent, ROOT / "src", ROOT / "include", ROOT / "drivers",
                         ROOT / "bridge/include"):
                if (base / target).is_file():
                    found |= self.reach((base / target).resolve())
                    break
        return found

    def key(self, path, *more):
        digest = hashlib.sha256()
        for part in more:
            digest.update(part.encode() + b"\0")
        for file in sorted(self.reach(path)):
            digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
        return self.folder / digest.hexdigest()


def read_compile_commands(build):
    entries = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = pathlib.Path(entry["file"])
        if path.is_relative_to(ROOT / "src") or path.is_relative_to(ROOT / "drivers"):
            entries[path] = shlex.split(entry["command"])
    return entries


def compile_flags(command):
    """The flags that say what the code is. Warnings are the build's business."""
    flags, rest = [], iter(command[1:])
    for word in rest:
        if word == "-isystem":
            flags += [word, next(rest)]
        elif word.startswith(("-I", "-D", "-std")):
            if word != "-D_FORTIFY_SOURCE=2":
                flags.append(word)
    return flags


def analyze(cache, tool, version, path, flags):
    """One file through gcc -fanalyzer or clang-tidy; what is wrong, or nothing."""
    name = path.relative_to(ROOT)
    shown_flags = " ".join(flags).replace(str(ROOT), "")
    config = (ROOT / ".clang-tidy").read_text() if tool == "clang-tidy" else ""
    helper = (ROOT / "tools/analysis.h").read_text()
    mark = cache.key(path, tool, version, shown_flags, config, helper,
                     inspect.getsource(run_analysis))
    if not mark.exists():
        output = run_analysis(tool, str(name), flags)
        part = mark.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        part.write_text(output)
        part.rename(mark)
    output = mark.read_text()
    # The paths that lead there are long: `tools/check.py -v` shows them.
    short = "".join(f"{line}\n" for line in output.splitlines()
                    if re.search(r": (fatal )?error: ", line))
    return output if cache.verbose else short or output


def run_analysis(tool, name, flags):
    if name not in ("src/base/error.c", "src/base/arena.c"):  # they define what it wraps
        flags = [*flags, "-include", "tools/analysis.h"]
    if tool == "fanalyzer":
        # gcc 12 does not know that __builtin_mul_overflow() writes its result; clang does.
        command = ["gcc", "-fanalyzer", "-Werror", "-Wno-analyzer-use-of-uninitialized-value",
                   *flags, "-c", name, "-o", "/dev/null"]
    else:
        command = ["clang-tidy", "--quiet", name, "--", *flags, "-Wno-everything",
                   "-Xclang", "-analyzer-inline-max-stack-depth=8"]
    code, output = run(command)
    if code == 0:
        return ""
    if code < 0:  # a signal: nothing about the file, so nothing to remember
        raise RuntimeError(f"{tool} on {name} was ended by signal {-code}")
    return output.replace(f"{ROOT}/", "") or f"{name}: {tool} ended with exit code {code}\n"


def check_format():
    # One process for all files costs less than one each.
    files = list_files("*.c", "*.h", ":!bridge/include", ":!include/igloo/status.h")
    if not files:
        return ""
    code, output = run(["clang-format", "--dry-run", "-Werror", *files])
    names = sorted({line.split(":")[0] for line in output.splitlines() if ": error: " in line})
    return f"make fmt would change {', '.join(names)}\n" if code else ""


def check_scripts():
    problems = ""
    for name in list_files("*.sh", ".ci/run"):
        code, output = run(["bash", "-n", name])
        problems += output if code else ""
    for name in list_files("*.py"):
        try:
            compile((ROOT / name).read_text(), name, "exec")
        except SyntaxError as error:
            problems += f"{name}:{error.lineno}: {error.msg}\n"
    return problems


def make_jobs(arguments):
    """Yield (check, function): a check is made of one or more functions."""
    build = pathlib.Path(arguments.build)
    build = build if build.is_absolute() else ROOT / build
    cache = Cache(arguments.verbose)
    for tool, program in (("clang-tidy", "clang-tidy"), ("fanalyzer", "gcc")):
        version = run([program, "--version"])[1]
        for path, command in read_compile_commands(build).items():
            if path.exists():
                flags = compile_flags(command)
                yield tool, lambda t=tool, v=version, p=path, f=flags: analyze(cache, t, v, p, f)
    yield "format", check_format
    yield "scripts", check_scripts
    for name, command in COMMANDS.items():
        def run_command(command=command):
            code, output = run(command)
            return (output or f"exit code {code}\n") if code else ""
        yield name, run_command


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("-v", "--verbose", action="store_true", help="analyses at full length")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    problems, seconds = {}, {}

    def measure(name, function):
        started = time.monotonic()
        try:
            output = function()
        except RuntimeError as error:
            output = f"{error}\n"
        seconds[name] = seconds.get(name, 0) + time.monotonic() - started
        return output

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        futures = [
            (name, pool.submit(measure, name, function))
            for name, function in make_jobs(arguments)
            if not arguments.names or name in arguments.names
        ]
        for name, future in futures:
            problems[name] = problems.get(name, "") + future.result()

    for name in sorted(problems):
        verdict = "FAILED" if problems[name] else "ok"
        print(f"{name:15} {verdict:7} {seconds[name]:6.1f} s")
        if problems[name]:
            print("  " + problems[name].rstrip().replace("\n", "\n  "))
    failed = sum(1 for output in problems.values() if output)
    print(f"{len(problems) - failed} passed, {failed} failed")
    return 1 if failed or not problems else 0


if __name__ == "__main__":
    sys.exit(main())
