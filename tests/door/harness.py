"""What an attack does to a server and to those who mean well.

A good client (good.py) asks all the time, from a process of its own; the attack comes in
rounds with pauses between them. How long answers take in a round is compared with the
pauses around it, and the median of the rounds counts: this machine does other things
too, and does them now and then. For the same reason the attackers are nice: they stand
for other machines."""

import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
MIB = 1 << 20
GROWTH_BYTES = 20 * MIB  # what may be left of an attack
DESCRIPTORS = 2
RATIO = 2.0  # of the p99 in an attack to that in peace
FLOOR_S = 0.050  # below it nobody waits: what the scheduler of a busy machine takes
TRIES = 3  # what the machine does beside this comes and goes, what the server does stays
BACK_S = 25  # until memory is back: the engine gives it back once nothing ran for 10 s


@dataclasses.dataclass(frozen=True)
class Effort:
    rounds: int
    least_s: float  # of an attack in a round
    peace_s: float  # between them
    floor_s: float = FLOOR_S


# Beside the short run other suites run; the long one has whole rounds to look at.
SHORT, LONG = Effort(3, 0.25, 0.25), Effort(5, 2.0, 1.0, FLOOR_S / 2)


class Process:
    """What the kernel knows of a process."""

    def __init__(self, pid):
        self.folder = pathlib.Path(f"/proc/{pid}")

    def status(self, key):
        for line in (self.folder / "status").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
        raise KeyError(key)

    def memory(self):
        return self.status("VmRSS")

    def peak(self):
        return self.status("VmHWM")

    def reset_peak(self):
        (self.folder / "clear_refs").write_text("5")

    def descriptors(self):
        return len(os.listdir(self.folder / "fd"))

    def threads(self):
        return len(os.listdir(self.folder / "task"))

    def cpu(self):
        """Seconds of all threads, in user and kernel."""
        fields = (self.folder / "stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Good:
    """A client that means well, in a process of its own."""

    def __init__(self, server, *words):
        scheme = "grpc+tls" if "grpc+tls" in server.addresses else "grpc+tcp"
        self.process = subprocess.Popen(
            [sys.executable, HERE / "good.py", f"{scheme}://{server.target}", *map(str, words)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()  # the first answer has come

    def told(self):
        """(time of the question, seconds until the answer) of each since the last time, and
        what went wrong"""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        told = json.loads(self.process.stdout.readline())
        return told["times"], told["wrong"]

    def end(self):
        self.process.stdin.close()
        self.process.wait(60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def start_attack(server, name, count, *words, least_s=0):
    return subprocess.Popen(
        [sys.executable, HERE / "attacks.py", name, server.target.rsplit(":", 1)[1],
         str(count), *map(str, words)], stdout=subprocess.PIPE, stdin=subprocess.PIPE,
        text=True, env={**os.environ, "LEAST_S": str(least_s)})


def end_attack(process, seconds=600):
    out, _ = process.communicate(timeout=seconds)
    assert process.returncode == 0, "the attack failed"
    told = json.loads(out)
    return (told["began"][0], told["ended"]), told["told"]


def attack(server, name, count, *words, least_s=0):
    """Run one attack to its end; gives from when to when it was and what it did."""
    return end_attack(start_attack(server, name, count, *words, least_s=least_s))


def p99(times, windows):
    """Of few answers it is the slowest; where there is none, all of the time went by."""
    chosen = sorted(took for asked, took in times
                    if any(begin <= asked < end for begin, end in windows))
    if not chosen:
        return sum(end - begin for begin, end in windows)
    return chosen[min(len(chosen) - 1, int(len(chosen) * 0.99))]


class Withstood:
    """What came of an attack in rounds: of the windows each second one is an attack."""

    def __init__(self, windows, told, times, wrong):
        attacks = range(1, len(windows), 2)
        base = [p99(times, [windows[i - 1], windows[i + 1]]) for i in attacks]
        under = [p99(times, [windows[i]]) for i in attacks]
        self.base_s, self.under_s = statistics.median(base), statistics.median(under)
        self.ratio = statistics.median(b / a for a, b in zip(base, under))
        self.told, self.wrong = total(told), wrong

    def is_bearable(self, effort):
        return self.ratio <= RATIO or self.under_s <= effort.floor_s


def total(told):
    """Counts of several rounds, added up."""
    return {key: sum(one[key] for one in told) for key in told[0]}


def withstand(server, good, run, record, effort):
    """Let run(round) attack the server in rounds while a good client asks; run gives when
    that was and a dict of counts. Asserts what every attack must leave behind: a server that
    is alive, has its memory and descriptors back, answered rightly and hardly later than
    before."""
    process = Process(server.process.pid)
    run(0)  # once for what is allocated once
    memory, descriptors = process.memory(), process.descriptors()
    process.reset_peak()
    for _ in range(TRIES):
        result = measure(good, run, effort)
        assert server.process.poll() is None, "the server has ended"
        assert not result.wrong, result.wrong[:3]
        if result.is_bearable(effort):
            break
    record("attack", json.dumps(result.told))
    record("p99_ms", f"{result.base_s * 1000:.1f} -> {result.under_s * 1000:.1f}")
    record("ratio", f"{result.ratio:.2f}")
    record("peak_mib", f"{(process.peak() - memory) / MIB:+.1f}")
    begin = time.monotonic()
    back = settle(process, memory, descriptors)
    record("left_mib", f"{(process.memory() - memory) / MIB:+.1f}")
    record("back_s", f"{time.monotonic() - begin:.1f}")
    assert back, (f"{(process.memory() - memory) / MIB:+.1f} MiB and "
                  f"{process.descriptors() - descriptors:+d} descriptors are left")
    assert result.is_bearable(effort), (
        f"p99 {result.base_s * 1000:.1f} ms became {result.under_s * 1000:.1f} ms")
    return result


def measure(good, run, effort):
    good.told()
    windows, told = [peace(effort)], []
    for number in range(1, effort.rounds + 1):
        window, counts = run(number)
        windows += [window, peace(effort)]
        told.append(counts)
    return Withstood(windows, told, *good.told())


def settle(process, memory, descriptors, seconds=BACK_S):
    """Whether memory and descriptors come back to what they were."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if (process.memory() <= memory + GROWTH_BYTES
                and process.descriptors() <= descriptors + DESCRIPTORS):
            return True
        time.sleep(0.05)
    return False


def peace(effort):
    """A while without an attack."""
    begin = time.monotonic()
    time.sleep(effort.peace_s)
    return begin, time.monotonic()
