"""Cut the output of EXPLAIN ANALYZE (on stdin) down to what fits a screen.

One line for each operator that does work: its rows, its time, and the file it
reads, or the table of a source. Projections and exchanges between threads are left out.
"""

import re
import sys

LEFT_OUT = ("Projection", "Repartition", "Coalesce")


def find(pattern, line):
    match = re.search(pattern, line)
    return match.group(1) if match else ""


def main():
    ancestors = []  # indents of the shown operators above this one
    for line in sys.stdin:
        name = find(r"^\s*(\w+)Exec\b", line)
        if not name or name.startswith(LEFT_OUT):
            continue
        indent = len(line) - len(line.lstrip())
        ancestors = [above for above in ancestors if above < indent]
        what = find(r"join_type=(\w+)", line) or find(r"mode=(\w+)", line)
        what = find(r"\btable=([\w.]+)", line) or what
        what = find(r"/([\w.-]+)(?::\d+\.\.\d+)?\]", line) or what
        rows = find(r"\boutput_rows=([^,\]]+)", line)
        time = find(r"\belapsed_compute=([^,\]]+)", line)
        title = " " * len(ancestors) + name + " " + what
        print(f"{title:44} {rows:>10} rows {time:>12}")
        ancestors.append(indent)


main()
