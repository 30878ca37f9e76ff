"""With files.roots set, no statement reads or writes outside of them, by any trick.

Two roots lie among files that carry a secret text: `ro` may be read, `rw` written as well.
No answer and no error may hold the secret, and everything outside (names, kinds, sizes,
times, inodes) is the same before and after. Each kind of trick has a twin that stays inside
and works, so that a wall that refuses everything fails as well."""

import contextlib
import os
import pathlib
import socket
import stat
import threading

import pyarrow
import pyarrow.feather
import pyarrow.parquet
import pytest
from conftest import program
from library import Library

SECRET = "secret-3f9a61c7"
GOOD = "good-row"
SECONDS = 30
REFUSED = ("22", "26", "42", "0A", "54", "55", "58")
FORMATS = ("csv", "parquet", "json", "arrow")


def write_all(folder, name, text):
    """The same row in each format."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pyarrow.table({"a": [text]})
    (folder / f"{name}.csv").write_text(f"a\n{text}\n")
    (folder / f"{name}.json").write_text(f'{{"a":"{text}"}}\n')
    pyarrow.parquet.write_table(table, folder / f"{name}.parquet")
    pyarrow.feather.write_feather(table, folder / f"{name}.arrow", compression="uncompressed")


def look(folder, without=()):
    """What a change would show, of everything below a folder."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        if any(path == one or one in path.parents for one in without):
            continue
        st = path.lstat()
        kind = stat.S_IFMT(st.st_mode)
        times = () if kind == stat.S_IFDIR and path == folder else (st.st_mtime_ns,)
        found[str(path)] = (kind, st.st_ino, st.st_size, *times)
    return found


class World:
    """The folders, and a database in them."""

    def __init__(self, environment, base):
        self.base, self.out, self.ro, self.rw = base, base / "out", base / "ro", base / "rw"
        write_all(self.out, "x", SECRET)
        write_all(self.out / "part" / "k=1", "x", SECRET)
        write_all(base / "ro2", "x", SECRET)
        write_all(base / "r", "x", SECRET)
        write_all(base / "rw-old", "x", SECRET)
        write_all(base, "x", SECRET)
        for root in (self.ro, self.rw):
            write_all(root, "x", GOOD)
            write_all(root / "sub", "x", GOOD)
            write_all(root / "part" / "k=1", "x", GOOD)
            os.symlink("sub/x.csv", root / "inside.csv")
            os.symlink("sub", root / "inside")
            os.symlink("../out/x.csv", root / "link.csv")
            os.symlink(self.out / "x.csv", root / "absolute.csv")
            os.symlink("inside-twice/../link.csv", root / "chain.csv")
            os.symlink("sub", root / "inside-twice")
            os.symlink("../out", root / "out")
            os.symlink("/", root / "slash")
            os.symlink("loop.csv", root / "loop.csv")
            os.symlink("../out/new.csv", root / "dangling.csv")
            os.symlink("/proc/self/root", root / "procroot")
            os.symlink("/proc/self/cwd", root / "proccwd")
            os.symlink("/proc/self/fd", root / "procfd")
            os.symlink("/proc/self/environ", root / "environ.csv")
            os.symlink("/dev/zero", root / "zero.csv")
            os.symlink("/dev/stdin", root / "stdin.csv")
            os.mkfifo(root / "fifo.csv")
            listener = os.open(root, os.O_PATH)
            with socket.socket(socket.AF_UNIX) as made:
                made.bind(f"/proc/self/fd/{listener}/socket.csv")
            os.close(listener)
            write_all(root / "~", "x", GOOD)
            write_all(root / "%2e%2e", "x", GOOD)
            write_all(root / "\u2024\u2024", "x", GOOD)
            write_all(root / "\uff0e\uff0e", "x", GOOD)
            write_all(root / "a\\b", "x", GOOD)
            write_all(root / "..x", "x", GOOD)
            write_all(root / ("n" * 255), "x", GOOD)
            write_all(root / "[x]", "x", GOOD)
            write_all(root / "file:" / "y", "x", GOOD)
            if os.geteuid() == 0:
                os.mknod(root / "device.csv", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
            else:  # without the right to make one: a link to one, which is refused as a link
                os.symlink("/dev/zero", root / "device.csv")
        (self.rw / "spill").mkdir()
        self.library = Library(
            pathlib.Path(program()).parent / "libigloo.so", {**environment, "SECRET": SECRET},
            self.rw / "sub",
            **{"files.roots": f"{self.ro}:ro, {self.rw}:rw", "server.data_dir": f"{self.rw}/data",
               "engine.spill_dir": f"{self.rw}/spill"})
        assert self.library.run("CREATE TABLE kept AS SELECT 'kept' AS a").rows == []
        self.number = 0
        self.kept = [path for path in (self.rw / "data/tables").rglob("*") if path.is_file()]
        self.own = sorted(os.listdir(self.rw / "data"))
        self.before = self.outside()

    def outside(self):
        """Everything around the roots, and the data of the table that was there first."""
        assert sorted(os.listdir(self.rw / "data")) == self.own
        return {**look(self.base, [self.rw]), **{str(path): path.read_bytes() for path in self.kept}}

    def name(self, kind="n"):
        self.number += 1
        return f"{kind}{self.number}"

    def try_(self, sql, *parameters):
        """Run it: rows without the secret, or one error, in time."""
        answer = (self.library.run_with(sql, *parameters, seconds=SECONDS) if parameters
                  else self.library.run(sql, seconds=SECONDS))
        assert SECRET not in answer.text, f"{sql}: {answer}"
        assert "root:x:0" not in answer.text, f"{sql}: {answer}"
        if answer.rows is None:
            assert answer.sqlstate[:2] in REFUSED, f"{sql}: {answer}"
            assert answer.message, sql
        return answer

    def check(self):
        assert self.outside() == self.before
        assert self.library.rows("SELECT * FROM kept") == [{"a": "kept"}]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """One world for all tests of the file: none changes what is outside."""
    base = tmp_path_factory.mktemp("paths")
    kept = {k: v for k, v in os.environ.items() if not k.startswith("IGLOO")}
    made = World({**kept, "HOME": str(base / "out")}, base)
    yield made
    made.library.kill()


def text(path):
    return "'" + str(path).replace("'", "''") + "'"


# ---- reading -----------------------------------------------------------------------------

# (what, path); {o} out, {r} ro, {w} rw, {b} the folder around them. Relative paths start in
# {w}/sub. All lead out, or to what is no regular file.
READ_OUT = [
    ("absolute", "{o}/x.csv"), ("dots", "{r}/../out/x.csv"), ("dots twice", "{r}/sub/../../out/x.csv"),
    ("relative", "../../out/x.csv"), ("relative to the base", "../../x.csv"),
    ("dots and slashes", "{r}//.//..///out/./x.csv"), ("dots through a file", "{r}/x.csv/../../out/x.csv"),
    ("dots through nothing", "{r}/no/../../out/x.csv"), ("dots above the top", "{b}/ro/../../../../../../../../../../etc/passwd"),
    ("link to a file", "{r}/link.csv"), ("link with an absolute name", "{r}/absolute.csv"),
    ("chain of links", "{r}/chain.csv"), ("link to a folder", "{r}/out/x.csv"),
    ("folder behind a link", "{r}/out"), ("folder behind a link, with slash", "{r}/out/"),
    ("link to the top", "{r}/slash{o}/x.csv"), ("link in a circle", "{r}/loop.csv"),
    ("link to nowhere", "{r}/dangling.csv"), ("link then dots", "{r}/inside/../../out/x.csv"),
    ("magic link of the top", "{r}/procroot{o}/x.csv"), ("magic link of the folder", "{r}/proccwd/../../out/x.csv"),
    ("magic link of a descriptor", "{r}/procfd/3"), ("environment by a link", "{r}/environ.csv"),
    ("/proc/self/environ", "/proc/self/environ"), ("/proc/self/root", "/proc/self/root{o}/x.csv"),
    ("/proc/self/cwd", "/proc/self/cwd/../../out/x.csv"), ("/proc/self/fd/0", "/proc/self/fd/0"),
    ("/proc/self/fd/3", "/proc/self/fd/3"), ("/proc/1/root", "/proc/1/root{o}/x.csv"),
    ("/proc/thread-self", "/proc/thread-self/root{o}/x.csv"), ("/dev/fd/0", "/dev/fd/0"),
    ("/dev/stdin", "/dev/stdin"), ("/dev/stdin by a link", "{r}/stdin.csv"), ("/dev/zero", "/dev/zero"),
    ("/dev/zero by a link", "{r}/zero.csv"), ("a device", "{r}/device.csv"), ("a FIFO", "{r}/fifo.csv"),
    ("a socket", "{r}/socket.csv"), ("/etc/passwd", "/etc/passwd"), ("/etc/passwd by a pattern", "/etc/pass*"),
    ("file URL", "file://{o}/x.csv"), ("file URL, one slash", "file:{o}/x.csv"),
    ("file URL in capitals", "FILE://{o}/x.csv"), ("file URL of this host", "file://localhost{o}/x.csv"),
    ("file URL of another host", "file://example.org{o}/x.csv"), ("file URL with dots", "file://{r}/../out/x.csv"),
    ("file URL with escaped dots", "file://{r}/%2e%2e/out/x.csv"),
    ("file URL with escaped slashes", "file://{r}/..%2Fout%2Fx.csv"),
    ("file URL escaped twice", "file://{r}/%252e%252e/out/x.csv"),
    ("file URL with a NUL", "file://{o}/x.csv%00.csv"), ("file URL, bad escape", "file://{o}/%zz.csv"),
    ("file URL, user and port", "file://u:p@localhost:80{o}/x.csv"), ("file URL, query", "file://{o}/x.csv?a=b"),
    ("URL of the engine", "igloo-file://{o}/x.csv"), ("URL of the engine, three slashes", "igloo-file:///{o}/x.csv"),
    ("http", "http://127.0.0.1:1/x.csv"), ("https", "https://127.0.0.1:1/x.csv"), ("s3", "s3://bucket/x.csv"),
    ("gs", "gs://bucket/x.csv"), ("memory", "memory:///x.csv"), ("data", "data:text/csv,a"),
    ("ftp", "ftp://127.0.0.1:1/x.csv"), ("UNC", "\\\\host\\share\\x.csv"), ("UNC with slashes", "//{o}/x.csv"),
    ("backslashes", "..\\..\\out\\x.csv"), ("backslash before the dots", "{r}/\\../out/x.csv"),
    ("tilde", "~/x.csv"), ("tilde of a user", "~root/.profile"), ("variable", "$HOME/x.csv"),
    ("command", "`echo {o}/x.csv`"), ("pattern of the top", "/*/passwd"), ("pattern of folders", "{b}/*/x.csv"),
    ("pattern that ends outside", "{b}/o*/x.csv"), ("braces", "{r}/{{a,../out/x.csv}}"),
    ("braces with dots", "{r}/{{sub,..}}/out/x.csv"), ("braces of whole paths", "{{{r}/x.csv,{o}/x.csv}}"),
    ("class of dots", "{r}/[.][.]/out/x.csv"), ("question marks", "{r}/??/out/x.csv"),
    ("stars through a link", "{r}/o*t/x.csv"), ("stars to a linked file", "{r}/l*k.csv"),
    ("any folder", "{b}/**/x.csv"), ("any folder from the top", "/**/shadow"),
    ("dots after a pattern", "{r}/s*/../../out/x.csv"), ("dots after stars", "{r}/**/../../out/x.csv"),
    ("folder with a longer name", "{b}/ro2/x.csv"), ("folder with a shorter name", "{b}/r/x.csv"),
    ("folder with a name that goes on", "{b}/rw-old/x.csv"), ("folder around", "{b}"),
    ("partitions outside", "{o}/part/"), ("partitions by dots", "{r}/part/k=1/../../../out/part/"),
    ("partition that is dots", "{r}/part/k=../../../out/x.csv"), ("very long", "{r}/" + "d/" * 3000 + "x.csv"),
    ("very long name", "{r}/" + "n" * 5000), ("very many dots", "{r}/" + "../" * 1200 + "etc/passwd"),
    ("many slashes", "/" * 4000 + "etc/passwd"), ("blank", " "), ("empty", ""), ("leading blank", " {o}/x.csv"),
    ("newline", "{o}/x.csv\n"), ("dots of Unicode", "{r}/\u2024\u2024/../../out/x.csv"),
    ("slash of Unicode", "..\u2215..\u2215out\u2215x.csv"), ("wide slash", "{o}\uff0fx.csv"),
    ("overlong dots", "{r}/\u0000../out/x.csv".replace("\u0000", "\ufffd")),
    ("right to left", "{r}/\u202e/../../out/x.csv"), ("control character", "{r}/\x01/../../out/x.csv"),
    ("data folder", "{w}/data/catalog.db"), ("lock of the data folder", "{w}/data/igloo.lock"),
    ("tables by a pattern", "{w}/data/tables/*/*.parquet"), ("tables by dots", "{w}/sub/../data/igloo.lock"),
    ("spilled data", "{w}/spill/*/lock"),
]

# Twins of these tricks that stay inside, all with one good row.
READ_IN = [
    ("absolute", "{r}/x.csv"), ("dots", "{r}/sub/../x.csv"), ("relative", "x.csv"),
    ("relative with dots", "../x.csv"), ("dots and slashes", "{r}//.//sub///./x.csv"),
    ("dots from another folder", "{o}/../ro/x.csv"), ("link to a file", "{r}/inside.csv"),
    ("link to a folder", "{r}/inside/x.csv"), ("file URL", "file://{r}/x.csv"),
    ("file URL, one slash", "file:{r}/x.csv"), ("file URL in capitals", "FILE://{r}/x.csv"),
    ("file URL of this host", "file://localhost{r}/x.csv"),
    ("file URL with escaped dots", "file://{r}/sub/%2e%2e/x.csv"), ("tilde", "{r}/~/x.csv"),
    ("escapes in a name", "{r}/%2e%2e/x.csv"), ("dots of Unicode", "{r}/\u2024\u2024/x.csv"),
    ("wide dots", "{r}/\uff0e\uff0e/x.csv"), ("backslash", "{r}/a\\b/x.csv"), ("name with dots", "{r}/..x/x.csv"),
    ("long name", "{r}/" + "n" * 255 + "/x.csv"), ("pattern", "{r}/su*/x.csv"), ("braces", "{r}/{{sub,nothing}}/x.csv"),
    ("class", "{r}/[s]ub/x.csv"), ("name with a class in it", "{r}/[x]/x.csv"),
    ("braces with dots", "{r}/{{sub,none}}/../x.csv"), ("partitions", "{r}/part/*/x.csv"),
    ("root that may be written", "{w}/x.csv"), ("name with a colon", "{r}/file:/y/x.csv"),
    ("any folder", "{w}/sub/**/x.csv"), ("link in a pattern", "{r}/insid?/x.csv"),
]


def fill(world, path):
    return path.format(o=world.out, r=world.ro, w=world.rw, b=world.base)


def readings(world, path):
    """Ways to read `path`."""
    table, view = world.name("e"), world.name("v")
    literal = text(path)
    return [
        [f"SELECT * FROM {literal}"],
        [f"SELECT * FROM read_csv({literal})"],
        [f"SELECT * FROM read_parquet({literal})"],
        [f"SELECT * FROM read_json({literal})"],
        [f"SELECT * FROM read_arrow({literal})"],
        [f"SELECT * FROM read_csv([{text(world.ro / 'x.csv')}, {literal}])"],
        [f"DESCRIBE SELECT * FROM {literal}"],
        [f"EXPLAIN ANALYZE SELECT count(*) FROM read_csv({literal})"],
        [f"COPY (SELECT * FROM {literal}) TO {text(world.rw / world.name('c'))} (FORMAT csv)"],
        [f"CREATE TABLE {world.name('t')} AS SELECT * FROM read_csv({literal})"],
        [f"CREATE VIEW {view} AS SELECT * FROM read_csv({literal})", f"SELECT * FROM {view}"],
        [f"CREATE EXTERNAL TABLE {table} STORED AS CSV LOCATION {literal}", f"SELECT * FROM {table}"],
        [f"CREATE EXTERNAL TABLE {table}_c (a TEXT) STORED AS CSV LOCATION {literal}",
         f"SELECT * FROM {table}_c"],
        [f"PREPARE {table} AS SELECT * FROM read_csv({literal})", f"EXECUTE {table}"],
    ]


def test_there_are_at_least_sixty_tricks():
    assert len({path for _, path in READ_OUT}) == len(READ_OUT) >= 60


@pytest.mark.parametrize("what,path", READ_OUT, ids=[what for what, _ in READ_OUT])
def test_nothing_outside_is_read(world, what, path):
    path = fill(world, path)
    for statements in readings(world, path):
        answers = [world.try_(one) for one in statements]
        if answers[-1].rows and "[" not in statements[0]:
            assert GOOD in answers[-1].text, f"{what}: {statements}: {answers}"
    for sql in ("SELECT * FROM read_csv($1)", "SELECT * FROM $1", "SELECT * FROM read_parquet([$1])"):
        world.try_(sql, path)
    assert world.try_(f"SELECT * FROM read_csv({text(path)})").rows is None, what
    world.check()


@pytest.mark.parametrize("what,path", READ_IN, ids=[what for what, _ in READ_IN])
def test_the_twins_of_the_tricks_inside_are_read(world, what, path):
    for statement in (f"SELECT a FROM {text(fill(world, path))}",
                      f"SELECT a FROM read_csv({text(fill(world, path))})"):
        assert world.try_(statement).rows == [{"a": GOOD}], what
    table = world.name("in")
    made = world.try_(f"CREATE EXTERNAL TABLE {table} STORED AS CSV LOCATION {text(fill(world, path))}")
    assert made.rows == [], f"{what}: {made}"
    assert world.try_(f"SELECT a FROM {table}").rows == [{"a": GOOD}], what
    world.check()


@pytest.mark.parametrize("form", FORMATS)
def test_each_format_is_read_inside_and_not_outside(world, form):
    for function in ("", f"read_{form}"):
        inside, outside = text(world.ro / f"x.{form}"), text(world.out / f"x.{form}")
        assert world.try_(f"SELECT a FROM {function}({inside})" if function else
                          f"SELECT a FROM {inside}").rows == [{"a": GOOD}]
        assert world.try_(f"SELECT a FROM {function}({outside})" if function else
                          f"SELECT a FROM {outside}").sqlstate == "42501"
    world.check()


def test_what_exists_outside_cannot_be_told_from_what_does_not(world):
    """The text of the error does not depend on the disk."""
    for there, missing in (("x.csv", "y.csv"), ("part", "trap"), ("x.csv/a", "z.csv/a")):
        answers = [world.try_(f"SELECT * FROM read_csv({text(world.out / name)})")
                   for name in (there, missing)]
        assert answers[0].sqlstate == answers[1].sqlstate == "42501"
        assert answers[0].message.replace(there, missing) == answers[1].message
    world.check()


# ---- writing -----------------------------------------------------------------------------

WRITE_OUT = [
    ("absolute", "{o}/new"), ("existing", "{o}/x.csv"), ("dots", "{w}/../out/new"), ("relative", "../../out/new"),
    ("dots and slashes", "{w}//.//..//out/new"), ("link to a folder", "{w}/out/new"), ("link to a file", "{w}/link.csv"),
    ("link to nowhere", "{w}/dangling.csv"), ("link with an absolute name", "{w}/absolute.csv"),
    ("link in a circle", "{w}/loop.csv"), ("link to the top", "{w}/slash{o}/new"),
    ("link then dots", "{w}/inside/../../out/new"), ("magic link of the top", "{w}/procroot{o}/new"),
    ("magic link of the folder", "{w}/proccwd/../../out/new"), ("magic link of a descriptor", "{w}/procfd/1"),
    ("/proc/self/fd/1", "/proc/self/fd/1"), ("/proc/self/root", "/proc/self/root{o}/new"), ("/dev/stdout", "/dev/stdout"),
    ("/dev/null", "/dev/null"), ("/dev/fd/2", "/dev/fd/2"), ("a FIFO", "{w}/fifo.csv"), ("a socket", "{w}/socket.csv"),
    ("a device", "{w}/device.csv"), ("file URL", "file://{o}/new"), ("file URL with escaped dots", "file://{w}/%2e%2e/out/new"),
    ("URL of the engine", "igloo-file://{o}/new"), ("http", "http://127.0.0.1:1/new"), ("s3", "s3://bucket/new"),
    ("backslashes", "..\\..\\out\\new/../../../../out/new"), ("folder with a longer name", "{b}/rw-old/new"), ("folder around", "{b}/new"),
    ("the root itself", "{w}"), ("the root itself, with slash", "{w}/"), ("the folder around itself", "{b}"), ("the top", "/"),
    ("root that may only be read", "{r}/new"), ("existing file in it", "{r}/x.csv"), ("folder in it", "{r}/sub"),
    ("read-only by dots", "{w}/../ro/new"), ("the data folder", "{w}/data"), ("the data folder by dots", "{w}/sub/../data"),
    ("below the data folder", "{w}/data/new"), ("the catalog", "{w}/data/catalog.db"), ("a table's folder", "{w}/data/tables/new"),
    ("the spill folder's lock", "{w}/spill/*/lock"), ("folder that is missing", "{w}/no/such/new"), ("NUL by URL", "file://{w}/a%00b"),
    ("name too long", "{w}/" + "n" * 256), ("path too long", "{w}/" + "d/" * 3000 + "new"), ("empty", ""), ("dots alone", ".."),
]

WRITE_IN = [
    ("absolute", "{w}/new"), ("dots", "{w}/sub/../new"), ("relative", "new"), ("relative with dots", "../new"),
    ("dots and slashes", "{w}//.//sub//new"), ("link to a folder", "{w}/inside/new"), ("file URL", "file://{w}/new"),
    ("file URL with escaped dots", "file://{w}/sub/%2e%2e/new"), ("tilde", "{w}/~/new"), ("escapes in a name", "{w}/%2e%2e/new"),
    ("dots of Unicode", "{w}/\u2024\u2024/new"), ("backslash", "{w}/a\\b/new"), ("name with dots", "{w}/..new"),
    ("long name", "{w}/" + "m" * 240),
]


@pytest.mark.parametrize("what,path", WRITE_OUT, ids=[what for what, _ in WRITE_OUT])
def test_nothing_outside_is_written(world, what, path):
    literal, inside = text(fill(world, path)), look(world.rw, [world.rw / "spill", world.rw / "data"])
    for form in FORMATS:
        for options in (f"(FORMAT {form})", f"(FORMAT {form}, OVERWRITE)"):
            answer = world.try_(f"COPY (SELECT 1 AS a, 'x' AS k) TO {literal} {options}")
            assert answer.rows is None, f"{what}: {options}"
    for more in ("", " OPTIONS (OVERWRITE true)"):
        answer = world.try_(f"COPY (SELECT 1 AS a, 'x' AS k) TO {literal} STORED AS CSV "
                            f"PARTITIONED BY (k){more}")
        assert answer.rows is None, f"{what}: partitioned{more}"
    table = world.name("w")
    for columns in ("", "(a INT, k TEXT)"):
        made = world.try_(f"CREATE EXTERNAL TABLE {table} {columns} STORED AS CSV LOCATION {literal}")
        written = world.try_(f"INSERT INTO {table} VALUES (1, 'x')")
        assert written.rows is None, f"{what}: {made} {written}"
        world.try_(f"DROP TABLE IF EXISTS {table}")
    world.try_("COPY (SELECT 1 AS a) TO $1", fill(world, path))
    assert look(world.rw, [world.rw / "spill", world.rw / "data"]) == inside, what
    world.check()


@pytest.mark.parametrize("what,path", WRITE_IN, ids=[what for what, _ in WRITE_IN])
def test_the_twins_of_the_tricks_inside_are_written(world, what, path):
    literal = text(fill(world, path))
    for form in FORMATS:
        query = f"COPY (SELECT '{form}' AS a) TO {literal}"
        done = world.try_(f"{query} (FORMAT {form}, OVERWRITE)")
        assert done.rows == [], f"{what}: {done}"
        assert world.try_(f"SELECT a FROM read_{form}({literal})").rows == [{"a": form}], what
        assert world.try_(f"{query} (FORMAT {form})").sqlstate == "58P02", what
    world.check()


def test_an_overwritten_folder_takes_nothing_of_igloo_with_it(world):
    """A folder that holds the data folder, by its name or by a link, is not replaced."""
    nested = world.rw / "nested"
    nested.mkdir()
    os.symlink(".", world.rw / "self")
    try:
        os.symlink("../data", nested / "link")
        for path in (f"{world.rw}/self/data", f"{world.rw}/self/self/spill", f"{nested}/link",
                     f"{nested}/link/tables", f"{world.rw}/self"):
            answer = world.try_(f"COPY (SELECT 1 AS a, 'x' AS k) TO {text(path)} STORED AS CSV "
                                "PARTITIONED BY (k) OPTIONS (OVERWRITE true)")
            assert answer.rows is None, path
            assert world.try_(f"SELECT * FROM read_csv({text(path + '/igloo.lock')})").rows is None
            world.check()
    finally:
        os.unlink(world.rw / "self")


HOSTILE = ["../x", "..", ".", "/", "//", "/etc", "", " ", "a/b", "a/../../../out", "%2e%2e", "%2F", "%",
           "k=v", "=", "~", "\\", "..\\..", "\n", "\t", "*", "?", "[x]", "{a,b}", "'", '"', "\u2024\u2024",
           "\uff0f", "x" * 255, "x" * 5000, "\u6f22" * 100, "__HIVE_DEFAULT_PARTITION__", ".hidden", "_x",
           "CON", "-", "$HOME", "`id`", "\x01", "\x7f"]


def copy_partitioned(world, value, key, form):
    """COPY one row to a partition; gives (answer, folder)."""
    folder = world.rw / world.name("p")
    name = '"' + key.replace('"', '""') + '"'
    sql = (f"COPY (SELECT 1 AS a, {value} AS {name}) TO {text(folder)} STORED AS {form} "
           f"PARTITIONED BY ({name})")
    return world.try_(sql), folder


@pytest.mark.parametrize("form", ["CSV", "PARQUET"])
def test_values_of_partitions_are_names_of_folders_and_never_paths(world, form):
    before = {path.name for path in world.rw.iterdir()}
    for value in HOSTILE:
        answer, folder = copy_partitioned(world, text(value), "k", form)
        if answer.rows is None:
            assert not folder.exists(), value
            continue
        assert len([path for path in folder.rglob("*") if path.is_file()]) == 1, value
        found = world.try_(f"SELECT k FROM {text(folder)}").rows
        expected = None if value == "__HIVE_DEFAULT_PARTITION__" else value
        assert found == [{"k": expected}], f"{value!r}: {found}"
    for value, expected in (("NULL::text", None), ("-1", -1), ("DATE '2020-01-01'", None)):
        answer, folder = copy_partitioned(world, value, "k", form)
        assert answer.rows == [], value
        if expected is not None or value.startswith("NULL"):
            assert world.try_(f"SELECT k FROM {text(folder)}").rows == [{"k": expected}]
    answer, folder = copy_partitioned(world, "chr(0)", "k", form)
    if answer.rows is not None:
        assert world.try_(f"SELECT k FROM {text(folder)}").rows == [{"k": "\0"}]
    made = {path.name for path in world.rw.iterdir()} - before
    assert all(name.startswith("p") for name in made), made
    world.check()


def test_names_of_partition_columns_are_never_paths(world):
    before = {path.name for path in world.rw.iterdir()}
    for key in ["../x", "..", ".", "/", "a/b", "", " ", "k=v", "%2e%2e", "=", ".k", "_k", "\n", "'", '"',
                "k" * 255, "k" * 300]:
        answer, folder = copy_partitioned(world, "'v'", key, "CSV")
        if answer.rows is None:
            assert not folder.exists(), key
            continue
        found = world.try_(f"SELECT * EXCLUDE (a) FROM {text(folder)}")
        assert found.rows == [{key: "v"}], f"{key!r}: {found}"
    made = {path.name for path in world.rw.iterdir()} - before
    assert all(name.startswith("p") for name in made), made
    world.check()


# ---- what changes meanwhile ----------------------------------------------------------------

@pytest.mark.parametrize("kind", ["view", "external table", "prepared statement"])
def test_a_link_that_changed_since_is_looked_at_again(world, kind):
    link, name = world.rw / world.name("link"), world.name("s")
    os.symlink("sub", link)
    file = text(link / "x.csv")
    make, use = {
        "view": (f"CREATE VIEW {name} AS SELECT a FROM {file}", f"SELECT a FROM {name}"),
        "external table": (f"CREATE EXTERNAL TABLE {name} STORED AS CSV LOCATION {file}",
                           f"SELECT a FROM {name}"),
        "prepared statement": (f"PREPARE {name} AS SELECT a FROM {file}", f"EXECUTE {name}"),
    }[kind]
    assert world.try_(make).rows == []
    assert world.try_(use).rows == [{"a": GOOD}]
    for target in ("../out", str(world.out), "/proc/self/cwd/../../out", "data", "nothing"):
        os.unlink(link)
        os.symlink(target, link)
        assert world.try_(use).rows is None, target
    os.unlink(link)
    os.symlink("sub", link)
    assert world.try_(use).rows == [{"a": GOOD}]
    world.check()


@contextlib.contextmanager
def swapping(link, targets):
    """A thread that changes where the link leads, all the time."""
    stop, rounds = threading.Event(), [0]

    def swap():
        while not stop.is_set():
            os.symlink(targets[rounds[0] % len(targets)], f"{link}.next")
            os.replace(f"{link}.next", link)
            rounds[0] += 1

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield rounds
    finally:
        stop.set()
        thread.join()


def test_a_link_that_is_swapped_while_reading_and_writing_leads_nowhere(world, long):
    link = world.rw / "swapped"
    os.symlink("sub", link)
    outcomes = {"read": 0, "write": 0, "refused": 0}
    with swapping(link, ["sub", "../out", "sub", "../data"]) as rounds:
        for number in range(5000 if long else 500):
            read = world.try_(f"SELECT a FROM {text(link / 'x.csv')}")
            listed = world.try_(f"SELECT a FROM read_csv({text(f'{link}/*.csv')})")
            wrote = world.try_(f"COPY (SELECT {number} AS a) TO {text(link / 'new.csv')} (OVERWRITE)")
            outcomes["read"] += read.rows is not None
            outcomes["write"] += wrote.rows is not None
            outcomes["refused"] += sum(one.rows is None for one in (read, listed, wrote))
            if read.rows is not None:
                assert read.rows == [{"a": GOOD}]
    print(outcomes, rounds)
    # Each of the three happens; a read looks three times and rarely meets the good link always.
    assert min(outcomes.values()) > 0 and rounds[0] > 100, outcomes
    assert not (world.out / "new.csv").exists()
    os.unlink(link)
    world.check()


# ---- the administrator's choice ------------------------------------------------------------

def test_a_hard_link_is_the_administrators_choice_and_is_never_written_through(world):
    outside = world.out / "hard.csv"
    outside.write_text("a\nshared\n")
    os.link(outside, world.rw / "hard.csv")
    try:
        assert world.try_(f"SELECT a FROM {text(world.rw / 'hard.csv')}").rows == [{"a": "shared"}]
        written = world.try_(f"COPY (SELECT 'new' AS a) TO {text(world.rw / 'hard.csv')} (OVERWRITE)")
        assert written.rows == []
        assert outside.read_text() == "a\nshared\n"
        assert world.try_(f"SELECT a FROM {text(world.rw / 'hard.csv')}").rows == [{"a": "new"}]
    finally:
        outside.unlink()
    world.before = world.outside()  # the folder's own time changed by our unlink


def test_a_pattern_passes_by_igloos_own_folders(world):
    found = world.try_(f"SELECT count(*) AS n FROM read_parquet({text(f'{world.rw}/**/k=1/x.parquet')})")
    assert found.rows == [{"n": 1}], found
    world.check()


@pytest.mark.parametrize("roots", ["relative:ro", "/no/such/folder:rw", "{b}/ro:rwx", "{b}/ro/x.csv:ro",
                                   "{b}/rw:rw, {b}/rw/sub:ro", ":rw", "{b}/ro:"])
def test_a_root_that_is_none_is_an_error_at_the_start(igloo, world, roots):
    done = igloo("sql", "-c", "SELECT 1", env={"IGLOO_FILES_ROOTS": roots.format(b=world.base)})
    assert done.returncode in (2, 3), done
    assert done.stdout == "" and done.stderr.startswith("error: files.roots: "), done.stderr


def test_without_a_root_nothing_is_read_or_written(igloo):
    (igloo.folder / "x.csv").write_text("a\n1\n")
    (igloo.folder.parent / "no.conf").write_text("[files]\nroots =\n")
    for sql in ("SELECT * FROM 'x.csv'", "COPY (SELECT 1 AS a) TO 'y.csv'"):
        done = igloo("sql", "--config", igloo.folder.parent / "no.conf", "-c", sql)
        assert done.returncode == 1 and "sqlstate: 42501" in done.stderr, done
    assert igloo("sql", "-c", "SELECT * FROM 'x.csv'").stdout == "a\n1\n"
    assert os.listdir(igloo.folder) == ["x.csv"]
