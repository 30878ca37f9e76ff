"""When two answers are the same: values by what they are, not by the type they come in."""

import collections
import datetime
import decimal
import math


class Mismatch(Exception):
    pass


def cell(value):
    """Numbers by value: 7, 7.00 and 7.0 are one; those that are no whole numbers by twelve
    digits. A date is the timestamp of its midnight."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return value
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(f"{float(value):.12g}")
    if isinstance(value, float):
        if math.isfinite(value) and value == int(value):
            return int(value)
        return "NaN" if math.isnan(value) else float(f"{value:.12g}")
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day).isoformat()
    if isinstance(value, list):
        return tuple(map(cell, value))
    return str(value)


def rows_of(table):
    """The rows of a pyarrow.Table."""
    columns = [[cell(value) for value in column.to_pylist()] for column in table.columns]
    return list(zip(*columns)) if columns else []


def rows_of_tuples(rows):
    return [tuple(map(cell, row)) for row in rows]


def near(left, right):
    if isinstance(left, float) or isinstance(right, float):
        return (isinstance(left, (int, float)) and isinstance(right, (int, float))
                and math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-12))
    return type(left) is type(right) and left == right


def same_row(left, right):
    return len(left) == len(right) and all(map(near, left, right))


def sort_key(row):
    """Numbers that differ in their last digits come to one place."""
    return [("0",) if value is None else (type(value).__name__ if isinstance(value, (str, bool)) else "n",
                                         f"{value:.6e}" if isinstance(value, (int, float)) else str(value))
            for value in row]


def compare(expected, found, ordered=False):
    """Raises Mismatch where the rows are not the same, in their order or as a multiset."""
    if len(expected) != len(found):
        raise Mismatch(f"{len(expected)} rows expected, {len(found)} found"
                       + difference(expected, found))
    if not ordered:
        if collections.Counter(expected) == collections.Counter(found):
            return
        expected, found = sorted(expected, key=sort_key), sorted(found, key=sort_key)
    for number, (left, right) in enumerate(zip(expected, found), 1):
        if not same_row(left, right):
            raise Mismatch(f"row {number} differs\n- {left}\n+ {right}" + difference(expected, found))


def difference(expected, found, count=4):
    """Some rows that only one of the two has."""
    left, right = collections.Counter(expected), collections.Counter(found)
    return "".join(f"\n{sign} {row} ({times} times)" for sign, only in (("-", left - right), ("+", right - left))
                   for row, times in sorted(only.items(), key=str)[:count])
