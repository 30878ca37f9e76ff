"""Reads and writes .case files (format: tests/sql/README.md)."""
import re

INLINE = ("oracle", "names", "error", "data", "note")
BLOCKS = ("setup", "query", "rows", "rows unordered", "has", "oracle setup", "oracle query")


class CaseError(Exception):
    """A case file that does not follow the format; says file and line."""


class Case:
    def __init__(self, name, line):
        self.name, self.line = name, line
        self.inline, self.blocks = {}, {}

    @property
    def unordered(self):
        return "rows unordered" in self.blocks

    @property
    def rows(self):
        """Expected rows as lists of unescaped cells (None is NULL), or None."""
        block = self.blocks.get("rows", self.blocks.get("rows unordered"))
        if block is None:
            return None
        return [[unescape(c) for c in l.split("\t")] for l in block if l != ""]


class CaseFile:
    def __init__(self, path):
        self.path = path
        self.comments, self.head, self.cases = [], Case("", 0), []
        self._read()

    def _read(self):
        case, block = self.head, None
        with open(self.path, encoding="utf-8", newline="\n") as f:
            lines = f.read().split("\n")
        for number, line in enumerate(lines, 1):
            key = re.match(r"([a-z]+(?: [a-z]+)?):(?: (.*))?$", line)
            name = key and key.group(1)
            if line == "---":
                block = None
            elif name == "case":
                case, block = Case(key.group(2), number), None
                self.cases.append(case)
            elif name in INLINE:
                case.inline[name], block = key.group(2) or "", None
            elif name in BLOCKS and not key.group(2):
                block = case.blocks.setdefault(name, [])
            elif block is not None:
                block.append(line)
            elif line.startswith("#") and case is self.head:
                self.comments.append(line)
            elif line.strip() and not line.startswith("#"):
                raise CaseError(f"{self.path}:{number}: not part of any block: {line}")
        seen = set()
        for c in [self.head] + self.cases:
            for name in c.blocks:
                while c.blocks[name] and c.blocks[name][-1].strip() == "":
                    c.blocks[name].pop()
            if c is self.head:
                continue
            if "query" not in c.blocks:
                raise CaseError(f"{self.path}:{c.line}: case without a query")
            if c.name in seen:
                raise CaseError(f"{self.path}:{c.line}: two cases are called \"{c.name}\"")
            seen.add(c.name)

    def oracle(self, case):
        return case.inline.get("oracle", self.head.inline.get("oracle", "hand"))

    def setup(self, case, for_oracle=False):
        """The statements to run first, the file's before the case's."""
        out = []
        for c in (self.head, case):
            name = "oracle setup" if for_oracle and "oracle setup" in c.blocks else "setup"
            out += c.blocks.get(name, [])
        return "\n".join(out)

    def write(self):
        out = list(self.comments)
        out += render(self.head)
        for case in self.cases:
            out += ["---", f"case: {case.name}"] + render(case)
        with open(self.path, "w", encoding="utf-8", newline="\n") as f:
            f.write("\n".join(out) + "\n")


def render(case):
    out = [f"{k}: {case.inline[k]}" for k in INLINE if k in case.inline and k != "error"]
    for name in ("setup", "oracle setup", "query", "oracle query", "rows", "rows unordered",
                 "has"):
        if name in case.blocks:
            out += [f"{name}:"] + case.blocks[name]
    if "error" in case.inline:
        out.append(f"error: {case.inline['error']}")
    return out


ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}


def escape(text):
    """A value (None is NULL) as one cell of a rows block."""
    if text is None:
        return "NULL"
    if text == "":
        return "(empty)"
    out = re.sub(r"[\\\t\n\r]", lambda m: ESCAPES[m.group()], text)
    return "\\" + out if out == "NULL" or out == "(empty)" else out


def unescape(cell):
    if cell == "NULL":
        return None
    if cell == "(empty)":
        return ""
    plain = {"\\": "\\", "t": "\t", "n": "\n", "r": "\r"}
    return re.sub(r"\\(.)", lambda m: plain.get(m.group(1), m.group(1)), cell)
