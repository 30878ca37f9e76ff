"""Conjuncts of engine.py as a user writes them, in Igloo's SQL."""
import datetime
import math

from nasty import EPOCH

OPERATORS = {"distinct": "IS DISTINCT FROM", "notdistinct": "IS NOT DISTINCT FROM"}
TYPES = {"s": "SMALLINT", "i": "INTEGER", "l": "BIGINT", "f": "REAL", "g": "DOUBLE", "b": "BOOLEAN", "u": "TEXT",
         "vu": "TEXT", "z": "BYTEA", "tdD": "DATE", "ttu": "TIME", "tsu:": "TIMESTAMP", "tsu:UTC": "TIMESTAMPTZ"}


class Unwritable(Exception):
    """There is no text for it: an infinite date, a NUL in a text."""


def type_name(format, own=None):
    if own == "postgresql" and format == "g":
        return "DOUBLE PRECISION"
    return f"DECIMAL({format[2:]})" if format[0] == "d" else TYPES[format]


def _moment(value):
    day, rest = divmod(value, 86_400_000_000)
    if not 1 <= day + EPOCH <= datetime.date.max.toordinal():
        raise Unwritable
    return datetime.date.fromordinal(day + EPOCH), rest


def _clock(us):
    seconds, fraction = divmod(us, 1_000_000)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return text + (f".{fraction:06}" if fraction else "")


def literal(format, value):
    if value is None and format == "ttu":
        return "arrow_cast(NULL, 'Time64(µs)')"
    if value is None:
        return f"CAST(NULL AS {type_name(format)})"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        text = {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, repr(value))
        return f"CAST('{text}' AS {type_name(format)})"
    if isinstance(value, str):
        if "\0" in value:
            raise Unwritable
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, bytes):
        if format[0] == "w":
            raise Unwritable
        return f"X'{value.hex()}'"
    if format[0] == "d":
        digits, scale = map(int, format[2:].split(","))
        if abs(value) >= 10**digits:
            raise Unwritable
        sign, digits = "-" if value < 0 else "", str(abs(value)).rjust(scale + 1, "0")
        return f"CAST('{sign}{digits[:-scale]}.{digits[-scale:]}' AS {type_name(format)})"
    if format == "tdD":
        if not 1 <= value + EPOCH <= datetime.date.max.toordinal():
            raise Unwritable
        return f"DATE '{datetime.date.fromordinal(value + EPOCH)}'"
    if format == "ttu":
        if value >= 86_400_000_000:
            raise Unwritable
        return f"arrow_cast('{_clock(value)}', 'Time64(µs)')"
    if format[:2] == "ts":
        day, rest = _moment(value)
        return f"{TYPES[format]} '{day} {_clock(rest)}{'+00' if format == 'tsu:UTC' else ''}'"
    return f"CAST({value} AS {type_name(format)})" if value < -(2**63) + 1 else str(value)


def own_literal(source, format, value):
    """As a user of the source writes it there."""
    if source == "postgresql" and value is None and format in ("g", "ttu"):
        return f"CAST(NULL AS {type_name(format, source)})"
    if source == "postgresql" and value is not None:
        if format == "ttu" and value < 86_400_000_000:
            return f"TIME '{_clock(value)}'"
        if isinstance(value, bytes) and format == "z":
            return f"'\\x{value.hex()}'::bytea"
        if format == "g":
            return literal(format, value).replace(" AS DOUBLE)", " AS DOUBLE PRECISION)")
    if source == "sqlite" and format[0] in "dt" and value is not None:
        raise Unwritable  # its dates are texts, its decimals floats
    if source == "sqlite" and isinstance(value, float):
        if not abs(value) < 2**40 or value * 1024 != int(value * 1024):
            raise Unwritable  # its reader of decimal digits is off by a bit here and there
        return repr(value)
    return literal(format, value)


# What sources compare otherwise than the engine: nothing but IS NULL is the same of these.
OTHERWISE = {"postgresql": {"tn", "ch"},  # a collation that folds; blanks at the end do not count
             "sqlite": {"nc", "rt", "de"}}  # likewise; floats where the engine sees decimals
ORDERS = {"<", "<=", ">", ">=", "between", "notbetween"}


def _check_meaning(source, columns, expr):
    """Raises Unwritable where the same text means something else in the source."""
    word = expr[0]
    parts = [one for one in expr[1:] if isinstance(one, tuple)]
    if word in ("isnull", "notnull", "lit"):
        return
    if word == "col":
        if columns[expr[1]].name in OTHERWISE[source]:
            raise Unwritable
        return
    for one in parts:
        _check_meaning(source, columns, one)
    if word in ("and", "or", "not", "cast"):
        return
    inner = [one[2] if one[0] == "cast" else one for one in parts]
    texts = {columns[one[1]].collation for one in inner if one[0] == "col" and columns[one[1]].kind == "text"}
    if source == "postgresql" and (len(texts) > 1 or (texts - {"C"} and word in ORDERS)):
        raise Unwritable  # in the order of a language
    if source == "sqlite" and word in ("like", "notlike"):
        raise Unwritable  # folds letters
    if word in ("in", "notin") and any(one[0] == "lit" and one[1] in "fg" and one[2] == 0.0 for one in parts):
        raise Unwritable  # in a list of the engine 0.0 is not -0.0


def own_sql(source, columns, expr):
    """The text that a user of the source writes for the same question; raises Unwritable where there is none."""
    _check_meaning(source, columns, expr)
    return sql(columns, expr, source)


def sql(columns, expr, own=None):
    """The text; raises Unwritable. With `own`, for the source of that name itself."""
    def walk(one):
        word = one[0]
        if word == "col":
            return '"' + columns[one[1]].name + '"'
        if word == "lit":
            return own_literal(own, one[1], one[2]) if own else literal(one[1], one[2])
        if word == "cast":
            if one[1][0] == "d" and columns[one[2][1]].format in "fg":
                raise Unwritable  # it fails for NaN and for what is large
            return f"CAST({walk(one[2])} AS {type_name(one[1], own)})"
        if word in ("and", "or"):
            return "(" + f" {word.upper()} ".join(map(walk, one[1:])) + ")"
        if word == "not":
            return f"(NOT {walk(one[1])})"
        if word in ("isnull", "notnull"):
            return f"({walk(one[1])} IS {'NOT ' if word == 'notnull' else ''}NULL)"
        negated = "NOT " if word.startswith("not") and word != "notdistinct" else ""
        if word in ("in", "notin"):
            return f"({walk(one[1])} {negated}IN ({', '.join(map(walk, one[2:]))}))"
        if word in ("between", "notbetween"):
            return f"({walk(one[1])} {negated}BETWEEN {walk(one[2])} AND {walk(one[3])})"
        if word in ("like", "notlike"):
            return f"({walk(one[1])} {negated}LIKE {walk(one[2])})"
        return f"({walk(one[1])} {OPERATORS.get(word, word)} {walk(one[2])})"

    return walk(expr)
