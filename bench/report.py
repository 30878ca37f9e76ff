"""The figures as tables for people, in Markdown."""
import re

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
PEERS = ["datafusion", "duckdb"]
WORST = 3


def ratio(found):
    return f"{found['median']:.2f} ({found['low']:.2f}–{found['high']:.2f})"


def table(head, rows):
    """A Markdown table whose columns line up; numbers to the right, the first to the left."""
    rows = [head, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(head))]

    def line(cells):
        first, *others = cells
        shown = [first.ljust(widths[0])]
        shown += [cell.rjust(width) for cell, width in zip(others, widths[1:])]
        return f"| {' | '.join(shown)} |"

    rule = "|".join(["-" * (widths[0] + 2), *("-" * (w + 1) + ":" for w in widths[1:])])
    return "\n".join([line(rows[0]), f"|{rule}|", *map(line, rows[1:])])


def worst(found, peer):
    ordered = sorted(found["queries"].items(), key=lambda item: -item[1]["cpu"][peer]["median"])
    return ", ".join(f"{name} {entry['cpu'][peer]['median']:.2f}"
                     for name, entry in ordered[:WORST])


def queries(found):
    head = ["query", "Igloo CPU ms", "CPU / datafusion", "CPU / duckdb",
            "wall / datafusion", "wall / duckdb"]
    rows = [[name, f"{entry['ms']['igloo']['cpu']:.0f}",
             *(ratio(entry[kind][peer]) for kind in ("cpu", "wall") for peer in PEERS)]
            for name, entry in found["queries"].items()]
    rows.append(["all, total", f"{found['total']['cpu_ms']['igloo']:.0f}",
                 *(ratio(found["total"][kind][peer])
                   for kind in ("cpu", "wall") for peer in PEERS)])
    rows.append(["all, geometric mean", "",
                 *(ratio(found["geometric_mean"][kind][peer])
                   for kind in ("cpu", "wall") for peer in PEERS)])
    lines = [f"Worst by CPU against {peer}: {worst(found, peer)}." for peer in PEERS]
    return table(head, rows) + "\n\n" + "\n".join(lines)


def memory(found):
    head = ["query", "Igloo MiB", "datafusion MiB", "duckdb MiB", "/ datafusion", "/ duckdb"]
    rows = [[name, *(f"{entry['kb'][engine] / 1024:.0f}" for engine in ("igloo", *PEERS)),
             *(f"{entry['ratio'][peer]:.2f}" for peer in PEERS)] for name, entry in found.items()]
    python = max(entry["python_kb"] for entry in found.values()) / 1024
    return table(head, rows) + f"\n\nOf each, {python:.0f} MiB are Python and pyarrow."


def start(found):
    head = ["from the start to", "Igloo ms", "DuckDB's shell ms", "ratio"]
    names = {"first_row": "first row", "end": "end", "cpu": "end, CPU time"}
    rows = [[f"{names[kind]}: {label}", f"{entry[kind]['ms']['igloo']:.1f}",
             f"{entry[kind]['ms']['duckdb']:.1f}", ratio(entry[kind]["ratio"])]
            for label, entry in found.items() for kind in names]
    return table(head, rows)


def statements(found):
    head = ["statement", "Igloo p50 µs", "p99", "datafusion p50", "p99", "duckdb p50", "p99",
            "p50 / datafusion", "p50 / duckdb"]
    rows = [[label, *(f"{entry['us'][engine][p]:.0f}" for engine in ("igloo", *PEERS)
                      for p in ("p50", "p99")),
             *(ratio(entry["ratio"][peer]) for peer in PEERS)] for label, entry in found.items()]
    return table(head, rows)


def instructions(found):
    head = ["statement", "instructions", "two counts differ by"]
    rows = [[label, f"{entry['instructions']:,}", f"{entry['spread']:.3%}"]
            for label, entry in found.items()]
    return table(head, rows)


def streams(found):
    head = ["transport, streams", "Flight GB/s", "bare GB/s", "Flight / bare",
            "reader's CPU s/GB, Flight", "bare"]
    rows = [[label, f"{entry['gb_per_s']['flight']:.2f}", f"{entry['gb_per_s']['raw']:.2f}",
             ratio(entry["ratio"]), f"{entry['cpu_s_per_gb']['flight']:.2f}",
             f"{entry['cpu_s_per_gb']['raw']:.2f}"] for label, entry in found.items()]
    return table(head, rows)


def postgresql(found):
    names = {"drain": "draining COPY", "adbc": "adbc-driver-postgresql", "connectorx": "connectorx"}
    head = ["parts", "Igloo s", *(f"/ {name}" for name in names.values()), "Igloo's peak MiB",
            *(f"{name}'s" for name in names.values())]
    rows = [[parts, f"{entry['seconds']['igloo']:.2f}",
             *(ratio(entry["ratio"][peer]) for peer in names),
             *(f"{entry['peak_kb'][reader] / 1024:.0f}" for reader in ("igloo", *names))]
            for parts, entry in found.items()]
    return table(head, rows)


def sqlite(found):
    names = {"step": "sqlite3_step", "adbc": "adbc-driver-sqlite"}
    head = ["table", "rows", "Igloo s", *(f"CPU / {name}" for name in names.values()), "peak MiB"]
    rows = [[table_, entry["rows"], f"{entry['seconds']['igloo']:.2f}",
             *(ratio(entry["ratio"][peer]) for peer in names), f"{entry['peak_kb'] / 1024:.0f}"]
            for table_, entry in found.items()]
    return (table(head, rows)
            + "\n\nIn the table `typed` dates and decimals are declared as such and made of texts and reals.")


def lookup(found):
    names = {"igloo": "a text each", "prepared": "a prepared statement"}
    head = ["through an embedded Igloo", "p50 µs", "libpq's µs", "/ libpq",
            "remote statements", "of the catalog"]
    rows = [[name, f"{found['us'][way]:.0f}", f"{found['us']['libpq']:.0f}",
             ratio(found["ratio"][way]), f"{found['statements'][way]['all']:.2f}",
             f"{found['statements'][way]['catalog']:.2f}"] for way, name in names.items()]
    return table(head, rows)


def calls(found):
    head = ["transport", "prepared µs", "unprepared µs", "pgbench µs", "prepared / pgbench",
            "unprepared / pgbench"]
    rows = [[way, *(f"{entry['us'][what]:.0f}" for what in ("prepared", "unprepared", "pgbench")),
             ratio(entry["ratio"]["prepared"]), ratio(entry["ratio"]["unprepared"])]
            for way, entry in found["select"].items()]
    many = found["clients"]
    rates = ", ".join(f"{rate:.0f} of {count}" for count, rate in many["per_second"].items())
    return (table(head, rows)
            + f"\n\nStatements a second over a Unix socket: {rates} clients (ratio "
            f"{ratio(many['ratio'])}), p99 of the last {many['p99_of_p50']:.1f} times its p50.")


def remote(found):
    head = ["lineitem from Parquet", "Flight ms", "embedded ms", "Flight / embedded"]
    rows = [["all rows to libigloo, Unix socket", f"{found['ms']['remote']:.0f}",
             f"{found['ms']['embedded']:.0f}", ratio(found["ratio"])]]
    return table(head, rows)


def selective(found):
    head = ["query", "pushed ms", "rows", "whole ms", "rows", "pushed / whole"]
    rows = [[label, f"{entry['ms']['on']:.1f}", entry["rows"]["on"], f"{entry['ms']['off']:.1f}",
             entry["rows"]["off"], f"{entry['ratio']['median']:.3f}"] for label, entry in found.items()]
    return table(head, rows) + "\n\nRows are those that came out of the source."


def cluster(found):
    workers = list(found["total"])
    head = ["query", "embedded ms", *(f"{count} / embedded" for count in workers),
            *(f"MB sent, {count}" for count in workers)]
    rows = [[name, f"{entry['ms']['embedded']:.0f}", *(ratio(entry["ratio"][count]) for count in workers),
             *(f"{entry['sent_bytes'][count] / 1e6:.1f}" for count in workers)]
            for name, entry in found["queries"].items()]
    nothing = [""] * len(workers)
    rows.append(["all, total", f"{sum(entry['ms']['embedded'] for entry in found['queries'].values()):.0f}",
                 *(ratio(found["total"][count]) for count in workers),
                 *(f"{sum(entry['sent_bytes'][count] for entry in found['queries'].values()) / 1e6:.0f}"
                   for count in workers)])
    rows.append(["all, geometric mean", "",
                 *(ratio(found["geometric_mean"][count]) for count in workers), *nothing])
    return table(head, rows) + (
        "\n\nWall time. No core is added, so this is what distribution costs. Of the members of one host as many take "
        "part in a statement as it has cores, and at least two (`cluster.host_members`): here the coordinator and one of "
        "its workers, however many there are.")


def local(found):
    mib = 1 << 20
    rows = [[entry["query"], f"{entry['scale']:g}", f"{entry['read_bytes'] / mib:.1f}", f"{entry['here_ms']:.1f}",
             f"{entry['sent_ms']:.1f}", f"{entry['even_bytes'] / mib:.1f}"] for entry in found]
    return table(["query", "scale factor", "MiB it reads", "ms here", "ms on two members", "even at MiB"], rows) + (
        "\n\nOn the same cores. Even: what a statement has to read for two members on hosts of their own to answer as "
        "soon as one, which is what `cluster.local_bytes` (16 MiB) stands for.")


def members(found):
    rows = [[count, f"{entry['plan_ms']:.1f}", f"{entry['cpu_ms_per_s']:.1f}"]
            for count, entry in found.items()]
    return table(["simulated workers", "ms to plan q05", "CPU ms per second of heartbeats"], rows)


SECTIONS = {  # in the order of the page
    "queries": ("Queries, warm", queries),
    "memory": ("Peak memory of a fresh process with one query", memory),
    "start": ("Start of the program", start),
    "statements": ("CPU time of a small statement", statements),
    "instructions": ("Instructions to plan and start a small statement (callgrind)", instructions),
    "streams": ("Batches of 1 MiB in memory, through Flight and through bare sockets", streams),
    "calls": ("SELECT 1, p50, beside `pgbench -M prepared`", calls),
    "remote": ("A table through Flight", remote),
    "serving_instructions": ("Instructions of server and client (callgrind)", instructions),
    "postgresql": ("All of lineitem out of PostgreSQL as Arrow", postgresql),
    "sqlite": ("All of lineitem out of SQLite as Arrow", sqlite),
    "lookup": ("One row by its key out of PostgreSQL", lookup),
    "selective": ("A selective query of an attached database, pushed and not", selective),
    "cluster": ("Queries on 1, 2 and 4 workers of the same host and cores", cluster),
    "local": ("Small statements: kept, or sent to two members", local),
    "members": ("What a coordinator spends on many workers", members),
}


def part(name, found):
    title, section = SECTIONS[name]
    return f"### {title}\n\n{section(found)}"


def whole(result):
    setup, versions = result["setup"], result["setup"]["versions"]
    others = max(result["others"].values())
    parts = [
        f"Igloo at {setup['commit']}, {setup['date']}; datafusion {versions['datafusion']}, "
        f"duckdb {versions['duckdb']}, DuckDB's shell {setup['shell']}; TPC-H scale factor "
        f"{setup['scale']:g}; {setup['cores']} cores of an {setup['processor']}, "
        f"{setup['threads']} threads each; {setup['pairs']} pairs; others took at most "
        f"{others:.0%} of the machine; {result['minutes']:.0f} minutes. Ratios are medians "
        "of Igloo's figure over the peer's, pair by pair, with their 95 % interval."]
    parts += [part(name, result[name]) for name in SECTIONS if name in result]
    return "\n\n".join(parts)


def apart(result, name):
    """A section that was measured apart from the others says when and where."""
    setup = result["setup"]
    return (f"{part(name, result[name])}\n\nMeasured apart: Igloo at {setup['commit']}, {setup['date']}; "
            f"{setup['cores']} cores of an {setup['processor']}; {setup['pairs']} pairs; others took "
            f"{result['others'][name]:.0%} of the machine.")


def merge(old, result):
    """The page's text with the sections of `result` in their places."""
    intro, *sections = re.split(r"^### ", old.strip(), flags=re.M)
    by_title = {text.split("\n", 1)[0]: f"### {text.strip()}" for text in sections}
    for name, (title, _) in SECTIONS.items():
        if name in result:
            by_title[title] = apart(result, name)
    titles = [title for title, _ in SECTIONS.values()]
    return "\n\n".join([intro.strip(), *(by_title[title] for title in titles if title in by_title)])


def write_docs(path, result):
    """Into the page: all of a whole run, or the sections that were measured."""
    page = path.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    old, after = rest.split(END)
    text = whole(result) if all(name in result for name in SECTIONS) else merge(old, result)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
