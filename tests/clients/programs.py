"""Programs that hold clients of other languages: they do what they are asked and answer in
JSON. tools/build-clients.sh makes them."""

import datetime
import decimal
import json
import os
import pathlib
import subprocess
import threading

from conftest import ROOT, SECONDS, environment

FOLDER = pathlib.Path(os.environ.get("IGLOO_BUILD", ROOT / "build")).resolve() / "clients"
COMMANDS = {
    "go": [FOLDER / "go-clients", "flight"],
    "go-sql": [FOLDER / "go-clients", "sql"],
    "rust": [FOLDER / "rust-clients"],
    "firetiger": ["node", FOLDER / "node/main.mjs", "firetiger"],
    "lancedb": ["node", FOLDER / "node/main.mjs", "lancedb"],
}


class Refused(Exception):
    """An error that the client reported, with the code of gRPC if it told one."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.code = error["code"]


class Program:
    """A client that has logged in, on one connection."""

    def __init__(self, client, words, home):
        self.client = client
        self.process = subprocess.Popen(
            [*map(str, COMMANDS[client]), *words], cwd=home, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(home))
        self.errors = []
        threading.Thread(target=lambda: self.errors.extend(self.process.stderr),
                         daemon=True).start()
        try:
            assert self.receive() == {"connected": True}
        except Refused:
            self.end()
            raise

    def receive(self):
        line = self.process.stdout.readline()
        assert line, "".join(self.errors) or "the program ended"
        found = json.loads(line)
        assert "broken" not in found, found["broken"]
        if "error" in found:
            raise Refused(found["error"])
        return found

    def ask(self, do, text=None, **more):
        self.process.stdin.write(json.dumps({"Do": do, "SQL": text, **more}) + "\n")
        self.process.stdin.flush()
        return self.receive()

    def rows(self, text, **more):
        return self.ask("query", text, **more)["rows"]

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(SECONDS) == 0, "".join(self.errors)


def plain(value):
    """A value of Python as the programs show it: a map as pairs, times as what they are."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return [{"key": key, "value": plain(one)} for key, one in value]
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value


def as_shown(found, expected):
    """What a program shows, as the type that is expected; dates and decimals are text."""
    if found is None or expected is None:
        return found
    if isinstance(expected, list) and expected and isinstance(expected[0], dict):
        if isinstance(found, dict) and "key" in expected[0]:  # one of Rust's maps
            return [{"key": key, "value": one} for key, one in found.items()]
        return [as_shown(one, like) for one, like in zip(found, expected, strict=True)]
    if isinstance(expected, datetime.datetime):
        moment = datetime.datetime.fromisoformat(found)
        # Some show the zone only, or always, as UTC.
        return moment.replace(tzinfo=expected.tzinfo)
    if isinstance(expected, datetime.date):
        return datetime.datetime.fromisoformat(found).date()
    if isinstance(expected, datetime.time):
        return datetime.time.fromisoformat(found.rstrip("Z").rpartition("T")[2])
    if isinstance(expected, decimal.Decimal):
        return decimal.Decimal(str(found))
    if isinstance(expected, dict):
        return {key: as_shown(found[key], one) for key, one in expected.items()}
    return found
