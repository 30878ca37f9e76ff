#!/usr/bin/env python3
"""Each file and function that ARCHITECTURE.md names in backticks exists.

Usage: tools/check-architecture.py [FILE…]     (default: ARCHITECTURE.md)
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SPAN = re.compile(r"`([^`\n]+)`")
SYMBOL = re.compile(r"\b(?:ig|igb|igloo)_\w+\b(?!\*)")
PATH = re.compile(r"^[\w.\-]+(?:/[\w.\-*<>]+)*/?$")
KNOWN_ENDINGS = (".c", ".h", ".rs", ".py", ".sh", ".md", ".def", ".toml", ".cmake", ".map")
TOP_FOLDERS = {"src", "include", "bridge", "tests", "tools", "docs", "examples", "cmake", "python"}


def read_code():
    text = []
    for folder, endings in (("src", "chdef"), ("include", "h"), ("bridge", "rsh")):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix.lstrip(".") in ("c", "h", "rs", "def") and "target" not in path.parts:
                text.append(path.read_text())
    return set(re.findall(r"\b(?:ig|igb|igloo)_\w+", "\n".join(text)))


def is_path(span):
    if not PATH.match(span):
        return False
    return span.endswith(KNOWN_ENDINGS) or (
        "/" in span and span.split("/")[0] in TOP_FOLDERS
    )


def exists(span):
    span = span.rstrip("/")
    if "<" in span:  # a name that stands for any, such as src/<layer>/
        return True
    for base in (ROOT, ROOT / "src", ROOT / "include"):
        if "*" in span:
            if any(base.glob(span)):
                return True
        elif (base / span).exists():
            return True
    return False


def check(document, code):
    text = document.read_text()
    text_without_fences = re.sub(r"```.*?```", lambda m: "\n" * m[0].count("\n"), text, flags=re.S)
    for match in SPAN.finditer(text_without_fences):
        span = match.group(1)
        line = text_without_fences[: match.start()].count("\n") + 1
        if is_path(span) and not exists(span):
            yield f"{document.name}:{line}: there is no file {span}"
        for symbol in SYMBOL.findall(span):
            if symbol not in code and not symbol.endswith("_"):
                yield f"{document.name}:{line}: there is no {symbol}"


def main():
    documents = [pathlib.Path(name) for name in sys.argv[1:]] or [ROOT / "ARCHITECTURE.md"]
    code = read_code()
    problems = []
    for document in documents:
        if document.exists():
            problems += check(document, code)
        else:
            problems.append(f"{document.name} does not exist")
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
