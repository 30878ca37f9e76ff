"""Peers that dribble, say nothing, are too many or leave without a word."""

import resource
import time

import pytest

import flightsql as sql
import harness
from conftest import Server, wait_for

SLOW_S = 30  # until the server has ended the last of them


def test_slow_and_half_open_peers_are_ended_and_nobody_waits_for_them(
        server, figure, record_property):
    process = harness.Process(server.process.pid)
    harness.attack(server, "slow", 50, 1)
    count = figure(1000)
    with harness.Good(server, "fresh=50") as good:
        memory, descriptors = process.memory(), process.descriptors()
        process.reset_peak()
        begin = time.monotonic()
        time.sleep(2)
        before = begin, time.monotonic()
        window, told = harness.attack(server, "slow", count, SLOW_S)
        times, wrong = good.told()
    base, under = harness.p99(times, [before]), harness.p99(times, [window])
    record_property("attack", str(told))
    record_property("p99_ms", f"{base * 1000:.1f} -> {under * 1000:.1f}")
    record_property("peak_mib", f"{(process.peak() - memory) / harness.MIB:+.1f}")
    assert not wrong, wrong[:3]
    assert told["ended"] == count, told
    assert under <= max(harness.RATIO * base, harness.FLOOR_S)
    assert harness.settle(process, memory, descriptors)


@pytest.fixture
def small(tmp_path):
    """A server with few descriptors."""
    started = Server(tmp_path / "small", settings=["auth.mode=none"])
    resource.prlimit(started.process.pid, resource.RLIMIT_NOFILE, (300, 300))
    yield started
    started.end()


def test_without_descriptors_who_is_there_is_served_and_who_comes_later_too(
        small, figure, record_property):
    """CVE-2023-4785: a listener that stays dead once it had no descriptors."""
    process = harness.Process(small.process.pid)
    descriptors = process.descriptors()
    with harness.Good(small) as good:
        for _ in range(3):
            attack = harness.start_attack(small, "many", figure(5000), "hold")
            assert attack.stdout.readline() == "held\n"
            # Those that wait in the system's queue are accepted and closed, or stay there.
            good.told()
            wait_for(lambda: len(good.told()[0]) > 0)
            _, told = harness.end_attack(attack)
            begin = time.monotonic()
            assert sql.rows(small.client(), "SELECT 1") == [(1,)]
            assert time.monotonic() - begin < 5
        _, wrong = good.told()
    record_property("attack", str(told))
    assert not wrong, wrong[:3]
    for client in small.clients:
        client.close()
    wait_for(lambda: process.descriptors() <= descriptors + harness.DESCRIPTORS)


def test_a_flood_of_connections_stops_at_its_bound_and_tells_so(server, figure):
    """More than the half of what the process may open are left for files and the like."""
    attack = harness.start_attack(server, "many", figure(10_000), "hold")
    assert attack.stdout.readline() == "held\n"
    assert sql.rows(server.client(), "SELECT 1") == [(1,)]
    harness.end_attack(attack)
