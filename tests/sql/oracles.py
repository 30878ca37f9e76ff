"""The databases that say what is right. Each runs a setup and a query in a
session of its own and gives (column names, rows of cells); a cell is text as
Igloo's csv shows it, None for NULL, and "~" before floating point numbers."""
import datetime
import decimal
import json
import math
import os


class OracleError(Exception):
    def __init__(self, sqlstate, text):
        super().__init__(text)
        self.sqlstate = sqlstate


def trimmed(moment, form):
    text = moment.strftime(form)
    if moment.microsecond:
        text += (".%06d" % moment.microsecond).rstrip("0")
    return text


def interval(delta):
    """PostgreSQL's text of an interval without months."""
    micros = delta // datetime.timedelta(microseconds=1)
    days = int(micros / 86400000000)
    rest = micros - days * 86400000000
    sign, rest = ("-" if rest < 0 else ""), abs(rest)
    seconds, fraction = divmod(rest, 1000000)
    clock = "%s%02d:%02d:%02d" % (sign, seconds // 3600, seconds // 60 % 60, seconds % 60)
    if fraction:
        clock += (".%06d" % fraction).rstrip("0")
    day = f"{days} day{'' if days == 1 else 's'}" if days else ""
    return day if day and rest == 0 else f"{day} {clock}".strip()


def cell(value):
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return "~NaN"
        if math.isinf(value):
            return "~Infinity" if value > 0 else "~-Infinity"
        return "~" + repr(value)
    if isinstance(value, decimal.Decimal):
        return "~NaN" if value.is_nan() else format(value, "f")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "\\x" + bytes(value).hex()
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            return trimmed(value, "%Y-%m-%d %H:%M:%S")
        return trimmed(value.astimezone(datetime.timezone.utc), "%Y-%m-%d %H:%M:%S") + "+00"
    if isinstance(value, datetime.time):
        return trimmed(value, "%H:%M:%S")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return interval(value)
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(plain(value), separators=(",", ":"), ensure_ascii=False)
    return str(value)


def plain(value):
    """A nested value as JSON can hold it."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, decimal.Decimal):
        return float(value)
    return cell(value)


def duckdb(setup, query, folder):
    """DuckDB, with PostgreSQL's order of NULLs."""
    import duckdb as db

    os.chdir(folder)
    con = db.connect(config={"threads": "1"})
    try:
        con.execute("SET default_null_order = 'nulls_last_on_asc_first_on_desc'")
        con.execute("SET TimeZone = 'UTC'")
        if setup.strip():
            con.execute(setup)
        cursor = con.execute(query)
        names = [d[0] for d in cursor.description or []]
        return names, [[cell(v) for v in row] for row in cursor.fetchall()]
    except db.Error as e:
        raise OracleError(None, str(e)) from e
    finally:
        con.close()


def postgresql(setup, query, dsn):
    """PostgreSQL; everything happens in a transaction that is rolled back."""
    import psycopg
    from psycopg.types.string import TextLoader

    with psycopg.connect(dsn) as con:
        con.adapters.register_loader("interval", TextLoader)
        try:
            con.execute("SET TimeZone = 'UTC'")
            if setup.strip():
                con.execute(setup)
            cursor = con.execute(query)
            names = [d.name for d in cursor.description or []]
            rows = cursor.fetchall() if cursor.description else []
            return names, [[cell(v) for v in row] for row in rows]
        except psycopg.Error as e:
            raise OracleError(e.sqlstate, str(e)) from e
        finally:
            con.rollback()
