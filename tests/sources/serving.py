"""`igloo serve` as a process: what tests/flight has for it, under a name of its own; and what
`igloo sql --format json` prints."""

import importlib.util
import json
import pathlib
import sys

FLIGHT = pathlib.Path(__file__).resolve().parents[1] / "flight"
sys.path.append(str(FLIGHT))
spec = importlib.util.spec_from_file_location("flight_conftest", FLIGHT / "conftest.py")
flight = importlib.util.module_from_spec(spec)
spec.loader.exec_module(flight)
Server, make_users, program, wait_for = (
    flight.Server, flight.make_users, flight.program, flight.wait_for)
USER, PASSWORD = flight.USER, flight.PASSWORD
OTHER, OTHER_PASSWORD = flight.OTHER, flight.OTHER_PASSWORD


def answers(text):
    """The rows of each statement that has some, in one text."""
    found, at, decoder = [], 0, json.JSONDecoder()
    while at < len(text):
        rows, at = decoder.raw_decode(text, at)
        found.append(rows)
        at += len(text[at:]) - len(text[at:].lstrip())
    return found
