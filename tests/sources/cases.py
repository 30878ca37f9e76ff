"""Conjuncts over the columns of nasty.py, from a seed."""
import engine

WIDER = {"s": "i", "i": "l", "f": "g", "u": "vu", "d:12,3": "d:20,5"}
COMPARE = ["=", "<>", "<", "<=", ">", ">=", "distinct", "notdistinct"]


def every(columns):
    """Each operator on each column with each of its values."""
    for index, column in enumerate(columns):
        yield ("isnull", ("col", index))
        if column.name in ("js", "lo"):
            continue
        seen = {repr(value): value for _, value in column.values if value not in (None, engine.Misfit)}
        for value in seen.values():
            literal = ("lit", column.format, value)
            yield from ((word, ("col", index), literal) for word in COMPARE)
            yield ("in", ("col", index), literal)
            yield ("notin", ("col", index), literal)


class Maker:
    def __init__(self, columns, random):
        self.columns = columns
        self.random = random
        self.comparable = [i for i, one in enumerate(columns) if one.name not in ("js", "lo")]

    def operand(self, index):
        """The column, sometimes under a cast that keeps its values, and its format."""
        format = self.columns[index].format
        expr = ("col", index)
        if format in WIDER and self.random.random() < 0.15:
            return ("cast", WIDER[format], expr), WIDER[format]
        if format == "i" and self.random.random() < 0.1:
            return ("cast", "g", expr), "g"
        if format == "g" and self.random.random() < 0.2:
            return ("cast", "d:30,15", expr), "d:30,15"
        if format in ("s", "i") and self.random.random() < 0.1:
            return ("cast", "d:15,2", expr), "d:15,2"
        return expr, format

    def literal(self, index, format):
        """A value of the column, or one beside it."""
        column = self.columns[index]
        seen = self.random.choice([value for _, value in column.values if value not in (None, engine.Misfit)])
        if self.random.random() < 0.25:
            seen = self.near(column.kind, seen)
        seen = engine.scaled(column.format, seen, format)
        return ("lit", format, seen)

    def near(self, kind, value):
        step = self.random.choice([-1, 1])
        if kind == "text":
            return self.random.choice([value + " ", value + "a", value[:-1], value.swapcase(), " " + value])
        if kind == "bytes" and len(value) != 16:
            return self.random.choice([value + b"\0", value[:-1]])
        if kind in ("timestamp", "instant", "time") and 0 < value < 10**14:
            return value + step * self.random.choice([1, 1000, 3600_000_000])
        if kind in ("decimal", "date") or (kind == "int" and abs(value) < 30000):
            return value + step if abs(value) < 2**31 - 1 else value
        if kind == "float" and abs(value) < 1e30:
            return engine.scaled("f", value * 2, "f") if value else value
        return value

    def pattern(self, index):
        text = self.random.choice([value for _, value in self.columns[index].values
                                   if value not in (None, engine.Misfit)])
        out = ""
        for c in text:
            if self.random.random() < 0.2:
                out += self.random.choice("%_")
            else:
                out += "\\" + c if c in "%_\\" or self.random.random() < 0.05 else c
        return self.random.choice(["", "%"]) + out + self.random.choice(["", "%"])

    def leaf(self):
        index = self.random.choice(self.comparable)
        column = self.columns[index]
        expr, format = self.operand(index)
        shape = self.random.random()
        if shape < 0.08:
            anything = ("col", self.random.randrange(len(self.columns)))
            return (self.random.choice(["isnull", "notnull"]), anything)
        if column.kind == "bool" and shape < 0.5:
            return ("col", index)
        if shape < 0.25:
            values = [self.literal(index, format) for _ in range(self.random.randint(1, 6))]
            if self.random.random() < 0.15:
                values.append(("lit", format, None))
            return (self.random.choice(["in", "in", "notin"]), expr, *values)
        if shape < 0.35:
            return (self.random.choice(["between", "between", "notbetween"]), expr,
                    self.literal(index, format), self.literal(index, format))
        if column.kind == "text" and shape < 0.55:
            pattern = ("lit", format, self.pattern(index))
            return (self.random.choice(["like", "like", "notlike"]), expr, pattern, "\\")
        if shape < 0.62:
            alike = [i for i in self.comparable if self.columns[i].format == column.format]
            return (self.random.choice(COMPARE), ("col", index), ("col", self.random.choice(alike)))
        sides = [expr, self.literal(index, format)]
        if self.random.random() < 0.2:
            sides.reverse()
        return (self.random.choice(COMPARE), *sides)

    def conjunct(self, depth=2):
        shape = self.random.random()
        if depth == 0 or shape < 0.6:
            return self.leaf()
        if shape < 0.72:
            return ("not", self.conjunct(depth - 1))
        parts = [self.conjunct(depth - 1) for _ in range(self.random.randint(2, 3))]
        return ("and" if shape < 0.86 else "or", *parts)
