"""Attacks on the open port: the server lives, gives memory and descriptors back, and good
clients hardly notice. Each count is the full figure; `make test` takes a tenth of it."""

import pytest

import harness

FLOODS = {
    "rapid_reset": 200_000,
    "rapid_reset_of_work": 20_000,
    "made_resets": 200_000,
    "open_streams": 200_000,
    "continuation": 300_000_000,
    "empty_continuation": 1_000_000,
    "ping": 5_000_000,
    "ping_and_read": 1_000_000,
    "settings": 5_000_000,
    "settings_and_read": 500_000,
    "empty_data": 1_000_000,
    "padded_data": 1_000_000,
    "priority": 1_000_000,
    "window_updates": 1_000_000,
    "unknown_frames": 1_000_000,
    "hpack_bomb": 10_000,
    "hpack_small_bomb": 10_000,
    "empty_headers": 10_000,
    "table_sizes": 50_000,
    "odd_te": 20_000,
    "connect_abort": 20_000,
}


@pytest.fixture(scope="module")
def good(server):
    with harness.Good(server, "fresh=50") as client:
        yield client


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_leaves_no_trace_and_good_clients_hardly_notice(
        server, good, figure, effort, record_property, name):
    count = figure(FLOODS[name])

    def run(number):
        if number == 0:
            return harness.attack(server, name, count // 20)
        return harness.attack(server, name, count // effort.rounds, least_s=effort.least_s)

    harness.withstand(server, good, run, record_property, effort)
