"""Names, literals and patterns made to break out of their quotes."""
import random
import re
import sqlite3

import pytest

from dialects import NO, Dialect
from nasty import Column
from serving import Server
from sessions import session

PARTS = ["'", "''", '"', '""', "`", "``", "\\", "\\\\", "\\'", "$$", "$a$", "--", "/*", "*/", ";", "\n", "\r", "\t", "\x01",
         "\x7f", "%", "_", "!", "{", "}", "E'", "U&'", "x'", "?", "$1", ":a", "@a", "]", "[", "(", ")", "0x27", "\u2019",
         "\u02bc", "\uff07", "\u00a0", "\u2028", "\ufeff", "\u202e", "ä", "a\u0308", "\U0001f600", "\U0010ffff", "\u0130",
         " OR 1=1", " UNION SELECT 1", "; DROP TABLE hostile", "'; DROP TABLE hostile; --", "NULL", "%s", "%n", "\\x27",
         "\\u0027", "\\047"]
ENCODINGS = ["latin-1", "shift_jis", "gbk", "big5", "utf-16-le", "euc_jp"]


def hostile(count, seed, longest):
    """Texts of such parts, each another one."""
    maker, made = random.Random(seed), []
    while len(made) < count:
        text = "".join(maker.choice(PARTS) for _ in range(maker.randint(1, 6)))
        if text not in made and len(text.encode()) <= longest:
            made.append(text)
    return made


TEXTS = hostile(200, "texts", 200)
NAMES = hostile(200, "names", 63)
COLUMN = {"postgresql": Column("t", "text", "u", [], "C"), "sqlite": Column("t", "TEXT", "u", [], "BINARY")}


def conditions(source):
    """(condition, the texts of TEXTS that it keeps)"""
    dialect, found = Dialect(source, [COLUMN[source]], table="hostile"), []
    for text in TEXTS:
        escaped = re.sub(r"([%_\\])", r"\\\1", text)
        for notation in (f"(= t u=#{text.encode().hex()})", f"(in t u=#{text.encode().hex()} u='-')",
                         f"(like t u=#{escaped.encode().hex()} \\)"):
            push, condition, _ = dialect.conjunct(notation)
            assert push != NO
            found.append((condition, [text]))
        _, condition, _ = dialect.conjunct(f"(like t u=#{('%' + escaped + '%').encode().hex()} \\)")
        found.append((condition, [one for one in TEXTS if text in one]))
    return found


def statements(log):
    """What the server says it ran."""
    return re.findall(r"^\[\d+\] LOG:  (?:statement|execute .*?): ", log, re.M)


def test_literals_reach_postgresql_as_they_are_in_one_statement_each(postgres):
    write = Dialect("postgresql", [COLUMN["postgresql"]]).literal
    cases = conditions("postgresql")
    with postgres.connect() as connection:
        connection.execute("CREATE TABLE hostile (t text)")
        connection.execute(f"INSERT INTO hostile VALUES {', '.join(f'({write(text)})' for text in TEXTS)}")
        assert sorted(row[0] for row in connection.execute("SELECT t FROM hostile")) == sorted(TEXTS)
        for strings in ("on", "off"):  # whatever the session has
            connection.execute(f"SET standard_conforming_strings = {strings}")
            start = postgres.log_size()
            for condition, kept in cases:
                found = connection.execute(f"SELECT t FROM hostile WHERE {condition}")
                assert sorted(row[0] for row in found) == sorted(kept), condition
            assert len(statements(postgres.log(start))) == len(cases)


def test_literals_reach_sqlite_as_they_are():
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE hostile (t TEXT)")
        write = Dialect("sqlite", [COLUMN["sqlite"]]).literal
        database.execute(f"INSERT INTO hostile VALUES {', '.join(f'({write(text)})' for text in TEXTS)}")
        assert sorted(row[0] for row in database.execute("SELECT t FROM hostile")) == sorted(TEXTS)
        for condition, kept in conditions("sqlite"):
            found = [row[0] for row in database.execute(f"SELECT t FROM hostile WHERE {condition}")]
            assert sorted(found) == sorted(kept), condition


@pytest.mark.parametrize("source", ["postgresql", "sqlite"])
def test_names_stay_names(source, postgres):
    """Tables and columns of hostile names are made, read, filtered and sorted."""
    schema = {"postgresql": "hostile", "sqlite": "main"}[source]
    with postgres.connect() if source == "postgresql" else sqlite3.connect(":memory:") as database:
        if source == "postgresql":
            database.execute("CREATE SCHEMA hostile")
        quote = Dialect(source, []).identifier
        names = [quote(name) for name in NAMES]
        start = postgres.log_size()
        for i, own in enumerate(names):
            other = names[i - 1]
            table = f"{quote(schema)}.{own}"
            database.execute(f"CREATE TABLE {table} ({own} integer, {other} integer)")
            database.execute(f"INSERT INTO {table} ({other}, {own}) VALUES (1, 7)")
            rows = database.execute(f"SELECT {own} FROM {table} WHERE {own} = 7 AND {other} = 1 ORDER BY {own}")
            assert [tuple(map(int, row)) for row in rows] == [(7,)], own
        if source == "postgresql":
            assert len(statements(postgres.log(start))) == 3 * len(NAMES)
        catalog = {"postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = 'hostile'",
                   "sqlite": "SELECT name FROM sqlite_schema"}[source]
        assert sorted(row[0] for row in database.execute(catalog)) == sorted(NAMES)


@pytest.mark.parametrize("source", ["postgresql", "sqlite"])
def test_bytes_that_are_no_text_stay_local(source):
    dialect = Dialect(source, [COLUMN[source]])
    bad = ["00", "6100", "ff", "c0a7", "c080", "eda080", "f4908080", "e28099ff", "27ff27", "f8a7", "80"]
    for encoding in ENCODINGS:
        for text in ("ä'", "表'", "é;--", "¿'"):
            try:
                data = text.encode(encoding)
                data.decode("utf-8")
            except UnicodeEncodeError:
                continue
            except UnicodeDecodeError:
                bad.append(data.hex())
    assert len(bad) > 20
    for data in bad:
        for notation in (f"(= t u=#{data})", f"(in t u='a' u=#{data})", f"(like t u=#{data}25 \\)"):
            assert dialect.conjunct(notation)[0] == NO, notation


# ---- through Igloo ----------------------------------------------------------------------------

def name_of(text):
    return '"' + text.replace('"', '""') + '"'


def string_of(text):
    return "'" + text.replace("'", "''") + "'"


@pytest.fixture(scope="module")
def served(postgres, tmp_path_factory):
    """A table for each name, with two columns of such names and a text in each."""
    folder = tmp_path_factory.mktemp("injection")
    postgres.run("CREATE DATABASE hostile TEMPLATE template0;")
    with postgres.connect("hostile") as server, sqlite3.connect(folder / "x.db") as file:
        for source, database, kind in (("postgresql", server, 'text COLLATE "C"'), ("sqlite", file, "text")):
            quote, write = Dialect(source, []).identifier, Dialect(source, []).literal
            for i, name in enumerate(NAMES):
                columns = f"{quote(name)} {kind}, {quote(NAMES[i - 1])} {kind}"
                database.execute(f"CREATE TABLE {quote(name)} ({columns})")
                database.execute(f"INSERT INTO {quote(name)} VALUES "
                                 f"({write(TEXTS[i])}, {write(TEXTS[i - 1])}), ('other', NULL)")
    (folder / "igloo.conf").write_text(
        f"[catalog.pg]\ntype = postgresql\nuri = {postgres.uri.replace('/postgres', '/hostile')}\n"
        f"[catalog.lite]\ntype = sqlite\nuri = {folder}/x.db\n")
    server = Server(folder, "--config", "igloo.conf",
                    settings=["auth.mode=none", f"files.roots={folder}:rw"])
    yield server
    server.end()


@pytest.mark.parametrize("source", ["postgresql", "sqlite"])
def test_names_and_texts_pass_through_igloo_in_one_statement(source, served, postgres):
    schema = {"postgresql": "pg.public", "sqlite": "lite.main"}[source]
    wrong = []
    with session(served) as run:
        for i, name in enumerate(NAMES):
            own, other = name_of(name), name_of(NAMES[i - 1])
            query = (f"SELECT {other}, {own} AS own FROM {schema}.{own} WHERE {own} = {string_of(TEXTS[i])} "
                     f"AND {other} IN ({string_of(TEXTS[i - 1])}, 'x', 'y', 'z') ORDER BY {own} LIMIT 3")
            start = postgres.log_size()
            rows = run(query)
            asked = [line for line in statements_with_texts(postgres.log(start)) if "FROM \"public\"" in line]
            if rows != [(TEXTS[i - 1], TEXTS[i])] or len(asked) != (source == "postgresql"):
                wrong.append((query, rows, asked))
    assert not wrong, f"{len(wrong)}: {wrong[:5]}"


def statements_with_texts(log):
    """Statements that ran (parsed ones are not), with their texts."""
    return re.split(r"^(?=\[\d+\] LOG:  (?:statement|execute))", log, flags=re.M)[1:]
