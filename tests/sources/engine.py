"""Conjuncts, and what they are by the engine's rules: SQL's logic with NULL, NaN above all
floats, -0.0 equal to 0.0 but where a list of more than three is searched or rows are sorted,
text and bytes by their bytes.

An expression is a tuple: ("col", i), ("lit", format, value), ("cast", format, x),
("=", a, b) …, ("and", …), ("or", …), ("not", x), ("isnull", x), ("notnull", x),
("in", x, literals…), ("between", x, low, high), ("like", x, literal, escape), …
"""
import decimal
import re
import struct


def key(value, zeros=2):
    """What two values of one type are sorted by; with one zero, compared by."""
    if isinstance(value, float):
        value = 0.0 if value == 0 and zeros == 1 else value
        bits = struct.unpack("<q", struct.pack("<d", value))[0]
        return bits ^ 0x7FFFFFFFFFFFFFFF if bits < 0 else bits
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value


def scaled(format, value, to):
    """A value cast from one format to a wider one."""
    if value in (None, Misfit) or format == to:
        return value
    if to[0] == "d" and format[0] in "fg":
        if not abs(value) < 1e14:  # the cast fails, or gives NULL
            return None
        return int(decimal.Decimal(value * 10**15).to_integral_value(decimal.ROUND_HALF_UP))
    if to[0] == "d":
        places = int(to.split(",")[1]) - (int(format.split(",")[1]) if format[0] == "d" else 0)
        return value * 10**places
    return float(value) if to[0] in "fg" else value


def like(text, pattern, escape):
    out, at = "", 0
    while at < len(pattern):
        c = pattern[at]
        if c == escape and at + 1 < len(pattern):
            at += 1
            out += re.escape(pattern[at])
        elif c in "%_":
            out += ".*" if c == "%" else "."
        else:
            out += re.escape(c)
        at += 1
    return re.fullmatch(out, text, re.S) is not None


class Misfit:
    """A value that its driver refuses to read: no comparison with it keeps a row."""


COMPARE = {
    "=": lambda a, b: a == b, "<>": lambda a, b: a != b, "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b}


def both(*values):
    return False if False in values else None if None in values else True


def opposite(value):
    return None if value is None else not value


class Engine:
    def __init__(self, columns):
        self.columns = columns

    def format(self, expr):
        return {"col": lambda: self.columns[expr[1]].format}.get(expr[0], lambda: expr[1])()

    def value(self, expr, row):
        if expr[0] == "col":
            return row[expr[1]]
        if expr[0] == "cast":
            return scaled(self.format(expr[2]), self.value(expr[2], row), expr[1])
        return expr[2]

    def evaluate(self, expr, row):
        """True, False or None."""
        word = expr[0]
        if word in ("and", "or"):
            values = [self.evaluate(one, row) for one in expr[1:]]
            return both(*values) if word == "and" else opposite(both(*map(opposite, values)))
        if word == "not":
            return opposite(self.evaluate(expr[1], row))
        if word == "col":
            return None if row[expr[1]] is Misfit else row[expr[1]]
        if word in ("isnull", "notnull"):
            return (self.value(expr[1], row) is None) == (word == "isnull")
        left, *others = (self.value(one, row) for one in expr[1:] if isinstance(one, tuple))
        if Misfit in (left, *others):
            return None
        if word in ("distinct", "notdistinct"):
            different = (left is None) != (others[0] is None) or (
                left is not None and key(left, 1) != key(others[0], 1))
            return different == (word == "distinct")
        if word in ("in", "notin"):
            zeros = 1 if len(others) <= 3 else 2
            found = opposite(both(*(opposite(self.compare("=", left, one, zeros)) for one in others)))
            return found if word == "in" else opposite(found)
        if word in ("between", "notbetween"):
            inside = both(self.compare(">=", left, others[0]), self.compare("<=", left, others[1]))
            return inside if word == "between" else opposite(inside)
        if word in ("like", "notlike"):
            return None if left is None else like(left, others[0], expr[3]) == (word == "like")
        return self.compare(word, left, others[0])

    @staticmethod
    def compare(word, left, right, zeros=1):
        return None if left is None or right is None else COMPARE[word](key(left, zeros), key(right, zeros))

    def notation(self, expr):
        word = expr[0]
        if word == "col":
            return self.columns[expr[1]].name
        if word == "lit":
            return f"{expr[1]}={literal(expr[1], expr[2])}"
        parts = [one if isinstance(one, str) else self.notation(one) for one in expr[1:]]
        return f"({word} {' '.join(parts)})"


def literal(format, value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogatepass")
    return "#" + value.hex() if isinstance(value, bytes) else str(value)
