"""A damaged or hostile data file gives rows or one error; never a crash, a hang, a flood of memory
or a short answer that looks whole.

Each damaged file is read by six statements in a process with libigloo (malformed_child.py),
and after it a good file must still read right. The number in a case's name and SEED make it again
(malformed.damaged)."""

import json
import os
import pathlib
import select
import subprocess
import sys

import malformed
import pytest

from conftest import program

SEED = 20261122
SECONDS = 10  # of one statement
LIMIT_MIB = 512
# Above the idle process: the limit, and what the engine's counting leaves out (as in test_memory).
PEAK_MIB = LIMIT_MIB + LIMIT_MIB // 2 + 128
# Beyond this much address space the process would take the machine with it: it aborts.
ADDRESS_MIB = 6144
SUM = malformed.ROWS * (malformed.ROWS - 1) // 2
# What a bad file may come to: bad data, a file that cannot be read, a limit, a feature that is not
# built, a column that the damage renamed or gave another type.
CLASSES = ("22", "58", "53", "54", "0A", "42")
# Of the files made by hand, those that a careful reader may make rows of: odd text is text.
READABLE = {
    "one_byte.csv", "nul.csv", "line.csv", "breaks.csv", "bom.csv", "numbers.csv", "exponents.csv",
    "gzip.csv", "empty.json", "line.json", "bomb.csv.gz", "window_27.csv.zst",
}


class Reader:
    """The child, started again after each death."""

    def __init__(self, environment, folder, good):
        build = pathlib.Path(os.environ.get("IGLOO_BUILD", pathlib.Path(program()).parent))
        self.command = [sys.executable, str(pathlib.Path(__file__).with_name("malformed_child.py")),
                        str(build / "libigloo.so"), str(good), str(SECONDS * 1000),
                        str(ADDRESS_MIB << 20)]
        self.options = {"cwd": folder, "env": {
            **environment, "IGLOO_ENGINE_MEMORY_LIMIT": f"{LIMIT_MIB}MiB",
            "IGLOO_ENGINE_SPILL_DIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}}
        self.process = None

    def start(self):
        self.log = open(self.options["cwd"] / "stderr", "w+b")
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log, **self.options)
        self.rest = b""
        self.idle_kib = self.tell(60)["idle_kib"]

    def tell(self, seconds):
        """The child's next line; None when it died or does not answer."""
        while b"\n" not in self.rest:
            if not select.select([self.process.stdout], [], [], seconds)[0]:
                self.process.kill()
                self.ending = "hangs"
                return None
            got = os.read(self.process.stdout.fileno(), 65536)
            if not got:
                self.ending = f"died ({self.process.wait()})"
                return None
            self.rest += got
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)

    def read(self, number, path):
        """What the statements on a file came to, and the good file after it."""
        if self.process is None:
            self.start()
        self.process.stdin.write(json.dumps([number, str(path)]).encode() + b"\n")
        self.process.stdin.flush()
        found, begun = {}, None
        while True:
            line = self.tell(2 * SECONDS)
            if line is None:
                found[begun or "start"] = {"dead": self.ending + self.last_words()}
                self.end()
                return found
            if "after" in line:
                found["after"] = line["after"]
                return found
            if "begin" in line:
                begun = line["begin"]
            else:
                found[line["of"]] = line

    def last_words(self):
        self.log.seek(0)
        return ": " + self.log.read()[:300].decode(errors="replace").strip()

    def end(self):
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.log.close()
        self.process = None


@pytest.fixture
def reader(environment, tmp_path):
    good = tmp_path / "good.parquet"
    good.write_bytes(malformed.parquet_bytes(malformed.flat_table()))
    folder = tmp_path / "reader"
    folder.mkdir()
    made = Reader(environment, folder, good)
    yield made
    made.end()


def findings(found, idle_kib, whole, patient=False):
    """What is wrong with what the statements came to; `whole`: success would be a short answer;
    `patient`: there is so much to read that the deadline may be what ends it."""
    dead = [f"{of} {answer['dead']}" for of, answer in found.items() if "dead" in answer]
    if dead:
        yield dead[0]
        return
    for statement, answer in found.items():
        state = answer["sqlstate"]
        if statement == "after":
            if (state, answer.get("rows"), answer.get("first")) != ("00000", 1, SUM):
                yield f"then a good file gives {answer}"
            continue
        said = f"{state} {answer.get('message')} ({answer.get('detail')})"
        if state != "00000" and not state.startswith(CLASSES) and not (
                patient and state == "57014"):
            yield f"{statement}: {said}"
        if answer["seconds"] > SECONDS + 5:  # a busy machine tells late
            yield f"{statement} took {answer['seconds']:.1f} s: {said}"
        if answer["peak_kib"] - idle_kib > PEAK_MIB << 10:
            yield f"{statement} took {(answer['peak_kib'] - idle_kib) >> 10} MiB: {said}"
        # A damaged date may be one that no calendar has: it is read, but cannot be written as text.
        no_date = "failed to convert" in said
        if (statement == "all" and state.startswith("22") and not no_date
                and state != found["rows"]["sqlstate"]):
            yield f"writing the rows says {said}, reading them {found['rows']['sqlstate']}"
        if whole and statement in ("all", "rows") and state == "00000":
            yield f"{statement} gives {answer['rows']} rows of a file that is not whole"


def knows_its_end(name):
    """Formats that tell where they end, or whose checksum stands there."""
    return not name.endswith(("plain.csv", "plain.json", "stream.arrow", "stream_lz4.arrow"))


def run(reader, folder, cases):
    """Read each (name, bytes, whole); a list of findings."""
    wrong = []
    for number, (name, data, whole) in enumerate(cases):
        path = folder / name
        path.write_bytes(data)
        found = reader.read(number, path)
        bad = findings(found, reader.idle_kib, whole, patient=name.startswith("bomb"))
        wrong += [f"{name}: {text}" for text in bad]
        if any(answer.get("sqlstate") == "57014" for answer in found.values()):
            reader.end()  # what still runs there is not the next file's matter
        path.unlink()
    return wrong


def report(wrong):
    assert not wrong, f"{len(wrong)} findings:\n" + "\n".join(wrong[:60])


def test_good_files_of_every_kind_are_read_whole(reader, tmp_path):
    for number, (name, data) in enumerate(malformed.good_files(tmp_path).items()):
        path = tmp_path / name
        path.write_bytes(data)
        found = reader.read(number, path)
        states = {of: answer.get("sqlstate", answer) for of, answer in found.items()}
        assert set(states.values()) == {"00000"}, (name, found)
        assert found["rows"]["rows"] == found["all"]["rows"] == malformed.ROWS, name
        assert found["count"]["first"] == malformed.ROWS, name
        assert found["filtered"]["rows"] == malformed.ROWS - 500, name


def test_damaged_files_give_rows_or_one_error(reader, tmp_path, long):
    files = malformed.good_files(tmp_path)
    count = 5000 if long else 300
    cases = ((name, data, kind == malformed.TRUNCATED and knows_its_end(name))
             for name, data, kind in malformed.damaged(files, count, SEED))
    report(run(reader, tmp_path, cases))


def test_files_made_to_hurt_give_rows_or_one_error(reader, tmp_path, long):
    report(run(reader, tmp_path, ((name, data, name not in READABLE)
                                  for name, data in malformed.hand_made(long).items())))


def test_text_that_is_cut_off_within_its_compression_is_an_error(reader, tmp_path):
    packed = {name: data for name, data in malformed.good_files(tmp_path).items()
              if name.endswith((".gz", ".bz2", ".xz", ".zst"))}
    cases = [(f"{name}-{cut}.{name.split('.', 1)[1]}", data[:-cut], True)
             for name, data in packed.items() for cut in (1, 4, 9, len(data) // 2)]
    report(run(reader, tmp_path, cases))
