"""`igloo sql`: scripts, where they come from, what they print, how they fail."""

import json
import signal
import subprocess

import pexpect
import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest

from conftest import SECONDS, program

ENDLESS = "SELECT count(*) FROM generate_series(1, 1000000000000) AS t(v)"


def test_statements_come_from_options_files_and_stdin_in_order(igloo):
    (igloo.folder / "two.sql").write_text("SELECT 2 AS b;\n-- a comment\n;;\nSELECT 3 AS c")
    done = igloo("sql", "-c", "SELECT 1 AS a", "-f", "two.sql", "-", "-c", "SELECT 5 AS e",
                 input="SELECT 4 AS d;")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "a\n1\nb\n2\nc\n3\nd\n4\ne\n5\n"


def test_without_options_stdin_is_the_script(igloo):
    assert igloo("sql", input="SELECT 42 AS answer").stdout == "answer\n42\n"
    assert igloo(input="SELECT 42 AS answer;\n.mode json\nSELECT 1 AS a\n").stdout == (
        'answer\n42\n[{"a":1}]\n')


def test_all_statements_share_one_session(igloo):
    done = igloo("sql", "-c", "CREATE VIEW v AS SELECT 7 AS n", "-c", "SELECT n * 2 AS m FROM v")
    assert (done.returncode, done.stdout) == (0, "m\n14\n")


def test_statements_without_a_result_print_nothing(igloo):
    done = igloo("sql", "-c", "CREATE TABLE t AS SELECT 1 AS a; INSERT INTO t VALUES (2)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_first_failure_ends_the_script(igloo):
    done = igloo("sql", "-c", "SELECT 1 AS a; SELECT nope; SELECT 3", "-c", "SELECT 4")
    assert done.returncode == 1
    assert done.stdout == "a\n1\n"
    assert done.stderr.endswith("sqlstate: 42703\n")
    assert done.stderr.count("error: ") == 1


def test_errors_show_the_line_and_a_caret(igloo):
    (igloo.folder / "bad.sql").write_text("SELECT 1 AS a;\n\nSELECT 2,\n       nmae\nFROM (SELECT 1 AS name) AS t;\n")
    done = igloo("sql", "-f", "bad.sql")
    lines = done.stderr.splitlines()
    assert lines[0] == "LINE 4:        nmae"
    assert lines[1] == " " * len("LINE 4:        ") + "^"
    assert lines[2].startswith("error: ")
    assert lines[-1] == "sqlstate: 42703"


def test_the_caret_counts_characters(igloo):
    done = igloo("sql", "-c", "SELECT 'zwölf 漢字' AS t FORM x y")
    line, caret = done.stderr.splitlines()[:2]
    assert line == "LINE 1: SELECT 'zwölf 漢字' AS t FORM x y"
    shown = {"FORM": 2, "x": 2, "y": 2}  # the ideographs are two columns wide each
    assert any(caret.index("^") == line.index(word) + wide for word, wide in
               ((w, n) for w, n in shown.items())), done.stderr


def test_errors_carry_detail_hint_and_sqlstate(igloo):
    done = igloo("sql", "-c", "SELECT 1 / 0")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2:] == ["error: division by zero", "sqlstate: 22012"]


def test_an_open_quote_is_reported_where_it_begins(igloo):
    done = igloo("sql", "-c", "SELECT 1 AS a;\nSELECT 'open")
    assert done.returncode == 1
    assert done.stdout == "a\n1\n"
    assert done.stderr.startswith("LINE 2: SELECT 'open\n               ^\n")
    assert "sqlstate: 42601" in done.stderr


def test_a_missing_script_is_an_error(igloo):
    done = igloo("sql", "-f", "missing.sql")
    assert done.returncode == 1
    assert 'error: could not read "missing.sql"' in done.stderr


def test_a_nul_byte_ends_no_statement_early(igloo):
    done = igloo("sql", "-", input="SELECT 1 AS a\0; SELECT 2")
    assert done.returncode == 1
    assert "NUL" in done.stderr or "sqlstate: 42601" in done.stderr
    assert done.stdout == ""


def test_output_to_a_pipe_is_complete(igloo):
    sql = "SELECT v, v * 2 AS w FROM generate_series(1, 20000) AS t(v)"
    for form, lines in [("csv", 20001), ("box", 20000 + 6), ("markdown", 20002), ("jsonl", 20000)]:
        done = igloo("sql", "--format", form, "-c", sql)
        assert len(done.stdout.splitlines()) == lines, form
        assert "40000" in done.stdout
        assert "\x1b" not in done.stdout


def test_who_reads_only_the_start_gets_it_and_nothing_breaks(igloo):
    for form in ["csv", "jsonl", "json", "markdown"]:
        script = f'"$0" sql --format {form} -c "$1" | head -n 1; echo "${{PIPESTATUS[0]}}"'
        done = subprocess.run(
            ["bash", "-c", script, program(), ENDLESS.replace("count(*)", "v")],
            env=igloo.environment, cwd=igloo.folder, capture_output=True, text=True, timeout=30)
        assert done.stderr == "", form
        assert done.stdout.splitlines()[-1] == "0", form
        assert len(done.stdout.splitlines()) == 2, form


def test_a_full_disk_is_an_error(igloo):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = igloo("sql", "-c", "SELECT 1", stdout=full)
    assert done.returncode == 1
    assert "sqlstate: 53100" in done.stderr


@pytest.mark.parametrize("form", ["csv", "json", "arrow", "parquet"])
def test_output_replaces_a_file_only_when_it_is_complete(igloo, form):
    target = igloo.folder / f"out.{form}"
    target.write_text("before")
    failing = ("SELECT CASE WHEN v = 100000 THEN 1 / (v - 100000) ELSE v END AS v "
               "FROM generate_series(1, 100000) AS t(v)")
    assert igloo("sql", "-o", target, "-c", failing).returncode == 1
    assert target.read_text() == "before"
    assert igloo("sql", "-o", target, "-c", "SELECT 1 AS a").returncode == 0
    assert target.read_bytes() != b"before"
    assert [p.name for p in igloo.folder.iterdir()] == [target.name]


def test_the_ending_of_the_file_chooses_the_format(igloo):
    for name in ["o.csv", "o.tsv", "o.json", "o.jsonl", "o.md", "o.parquet", "o.arrow", "o.txt"]:
        done = igloo("sql", "-o", name, "-c", "SELECT 1 AS a, 'x' AS b")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), name
    read = lambda name: (igloo.folder / name).read_text()
    assert read("o.csv") == read("o.txt") == "a,b\n1,x\n"
    assert read("o.tsv") == "a\tb\n1\tx\n"
    assert read("o.json") == '[{"a":1,"b":"x"}]\n'
    assert read("o.jsonl") == '{"a":1,"b":"x"}\n'
    assert read("o.md") == "| a | b |\n|---:|---|\n| 1 | x |\n"
    expected = {"a": [1], "b": ["x"]}
    assert pyarrow.parquet.read_table(igloo.folder / "o.parquet").to_pydict() == expected
    assert pyarrow.ipc.open_file(igloo.folder / "o.arrow").read_all().to_pydict() == expected


def test_arrow_goes_to_stdout(igloo):
    done = igloo("sql", "--format", "arrow", "-c",
                 "SELECT v, 'row ' || v AS t FROM generate_series(1, 50000) AS s(v) ORDER BY v",
                 text=False)
    table = pyarrow.ipc.open_file(pyarrow.BufferReader(done.stdout)).read_all()
    assert table.column("t").to_pylist() == [f"row {n}" for n in range(1, 50001)]


def test_a_file_format_holds_one_result(igloo):
    done = igloo("sql", "-o", "o.parquet", "-c", "SELECT 1 AS a; SELECT 2 AS a")
    assert done.returncode == 1
    assert "sqlstate: 0A000" in done.stderr


def test_json_keeps_columns_of_the_same_name(igloo):
    done = igloo("sql", "--format", "json", "-c", "SELECT 1 AS a, 2 AS a, 3 AS a_1, 4 AS a")
    assert done.stdout == '[{"a":1,"a_2":2,"a_1":3,"a_3":4}]\n'
    assert igloo("sql", "-c", "SELECT 1 AS a, 2 AS a").stdout == "a,a\n1,2\n"


def test_timer_speaks_on_stderr(igloo):
    done = igloo("sql", "--timer", "-c", "SELECT 1 AS a")
    assert done.stdout == "a\n1\n"
    assert done.stderr.startswith("Time: 0.") and done.stderr.endswith(" s\n")


def start_endless(igloo, *options):
    """An endless statement that runs: the statement before it has printed its row."""
    process = igloo.start("sql", *options, "-c", "SELECT 'started' AS s", "-c", ENDLESS,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "s\n"
    assert process.stdout.readline() == "started\n"
    return process


def test_an_interrupt_cancels_and_is_exit_code_130(igloo):
    process = start_endless(igloo)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == ""
    assert "sqlstate: 57014" in err or err == ""


def test_an_interrupt_while_stdin_is_read_ends_at_once(igloo):
    process = igloo.start("sql", "-c", "SELECT 'started' AS s", "-", stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "s\n"
    process.send_signal(signal.SIGINT)
    process.wait(timeout=4)  # stdin is still open
    assert process.returncode == 130
    process.communicate()


def test_an_interrupt_at_any_moment_is_exit_code_130(igloo):
    """Each try is a little later than the one before, by statements that were run."""
    for count in range(8):
        before = "SELECT 1 AS a;" * count + "SELECT 'started' AS s;"
        process = igloo.start("sql", "--format", "jsonl", "-c", before + ENDLESS,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout.readline() != ""
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        assert process.returncode == 130, count


def test_sigterm_ends_a_running_statement(igloo):
    process = start_endless(igloo)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 130


@pytest.mark.parametrize("name", ["HUP", "INT", "TERM"])
def test_signals_that_the_caller_ignores_stay_ignored(igloo, name):
    process = subprocess.Popen(
        ["sh", "-c", f"trap '' {name}; exec \"$0\" sql -c \"SELECT 1 AS a\" -", program()],
        cwd=igloo.folder, env=igloo.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True)
    assert [process.stdout.readline(), process.stdout.readline()] == ["a\n", "1\n"]
    process.send_signal(getattr(signal, "SIG" + name))
    out, err = process.communicate("SELECT 2 AS b", timeout=SECONDS)
    assert (process.returncode, out, err) == (0, "b\n2\n", "")


def test_a_timeout_is_exit_code_1(igloo):
    done = igloo("sql", "-c", "SET statement_timeout = '200ms'", "-c", ENDLESS)
    assert done.returncode == 1
    assert "sqlstate: 57014" in done.stderr


def test_a_plan_is_text_in_a_box_and_data_elsewhere(igloo):
    sql = "EXPLAIN SELECT v FROM generate_series(1, 9) AS t(v) WHERE v > 1"
    text = igloo("sql", "--format", "box", "-c", sql).stdout
    assert "Filter" in text and "rows)" not in text
    rows = json.loads(igloo("sql", "--format", "json", "-c", sql).stdout)
    lines = [line for row in rows for line in row["QUERY PLAN"].splitlines()]
    assert lines == text.splitlines()


def on_terminal(igloo, *arguments):
    """The program with a terminal for stdout; gives what it printed, and the exit code."""
    process = pexpect.spawn(program(), ["sql", *arguments], env=igloo.environment,
                            cwd=str(igloo.folder), encoding="utf-8", dimensions=(24, 60),
                            timeout=SECONDS)
    process.expect(pexpect.EOF)
    process.close()
    return process.before.replace("\r", ""), process.exitstatus


def test_on_a_terminal_results_are_boxes_that_fit(igloo):
    columns = ", ".join(f"v + {n} AS column_{n}" for n in range(12))
    text, code = on_terminal(igloo, "-c", f"SELECT {columns} FROM generate_series(1, 500) AS t(v)")
    assert code == 0
    assert "(500 rows, 12 columns; 40 rows and " in text
    box = text[text.index("┌"):text.index("(500")]
    assert max(map(len, box.splitlines())) <= 60


def test_on_a_terminal_statements_say_what_they_did(igloo):
    text, code = on_terminal(igloo, "-c", "CREATE TABLE t AS SELECT 1 AS a; INSERT INTO t VALUES (2)")
    assert (text, code) == ("CREATE TABLE 1\nINSERT 1\n", 0)


def test_a_terminal_is_no_script(igloo):
    text, code = on_terminal(igloo)
    assert code == 2
    assert "no SQL is given" in text
