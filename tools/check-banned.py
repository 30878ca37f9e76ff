#!/usr/bin/env python3
"""Words that the conventions forbid in code, with what to use instead.

Comments and string literals do not count. Prints each use; exit 1 if there is one.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
C_CODE = ("src/", "include/", "examples/", "drivers/")
BANNED = [  # (pattern, instead, folders)
    (r"\b(strcpy|strcat|stpcpy|sprintf|vsprintf|gets)\(", "struct ig_buf", C_CODE),
    (r"\bstrtok(_r)?\(", "struct ig_str", C_CODE),
    (r"\b(ato[ilf]|atoll|strto(l|ll|ul|ull|imax|umax)|sscanf)\(", "ig_parse_*",
     ("src/", "drivers/")),
    (r"\b(alloca|setjmp|longjmp|system|tmpnam|mktemp)\(", "something else", C_CODE),
    (r"\b(sleep|usleep)\(", "ig_cond_wait_until", C_CODE),
    (r"\b(todo|unimplemented)!\(", "an error that names what is missing", ("bridge/src/",)),
]
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")  # counts in comments too
# A comment or a literal, whichever begins first.
SILENT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.S)


def list_files():
    command = ["git", "ls-files", "-co", "--exclude-standard", "--",
               "*.c", "*.h", "bridge/src/*.rs"]
    names = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=True).stdout
    return [name for name in sorted(set(names.splitlines())) if (ROOT / name).exists()]


def main():
    status = 0
    for name in list_files():
        text = (ROOT / name).read_text()
        code = SILENT.sub(lambda match: "\n" * match[0].count("\n"), text)
        found = [(UNFINISHED, "an issue", text)] if name.startswith((*C_CODE, "bridge/")) else []
        found += [(re.compile(pattern), instead, code)
                  for pattern, instead, folders in BANNED if name.startswith(folders)]
        for pattern, instead, searched in found:
            for match in pattern.finditer(searched):
                line = searched.count("\n", 0, match.start()) + 1
                print(f"{name}:{line}: {match[0].rstrip('(')}: use {instead}")
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
