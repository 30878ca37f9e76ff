"""The shell, through a pseudo-terminal."""

import contextlib
import os
import re
import signal
import termios

from conftest import ANSI, PROMPT, program

RUNS = r"\d\.\d s"  # the progress line
ENDLESS = "SELECT count(*) FROM generate_series(1, 1000000000000) AS t(v);"


def width_of(text):
    """Terminal columns of the widest line (no wide characters in these tests)."""
    return max(len(line) for line in text.splitlines())


def test_it_says_its_version_and_how_to_get_help(shell, igloo):
    one = shell()
    assert f"Igloo {igloo('version').stdout.split()[1]}" in one.banner
    assert ".help" in one.banner
    assert ".quit" in one.run(".help")
    assert one.end() == 0


def test_statements_go_on_until_the_semicolon(shell):
    one = shell()
    one.send("SELECT 'a;b' AS t,")
    one.expect("igloo-> ")
    one.send("(1 +")
    one.expect("igloo(> ")
    one.send("2) AS n, 'open")
    one.expect("igloo'> ")
    one.send("closed' /* c")
    one.expect("igloo*> ")
    one.send("*/ AS q;")
    printed = one.expect(PROMPT)
    assert "a;b" in printed and " 3 " in printed and "open\\nclosed" in printed
    assert "(1 row)" in printed


def test_several_statements_in_a_line_run_one_after_the_other(shell):
    printed = shell().run("SELECT 11 AS a; SELECT 22 AS b;")
    assert printed.index("11") < printed.index("22")


def test_results_without_rows_say_what_was_done(shell):
    one = shell()
    assert one.run("CREATE VIEW v AS SELECT 1 AS a;").strip() == "CREATE VIEW"
    assert one.run("CREATE TABLE t AS SELECT 1 AS a;").strip() == "CREATE TABLE 1"
    assert one.run("INSERT INTO t VALUES (2), (3);").strip() == "INSERT 2"
    assert one.run("DROP VIEW v;").strip() == "DROP VIEW"


def test_an_error_shows_the_caret_and_the_shell_goes_on(shell):
    one = shell()
    printed = one.run("SELECT 1, nope FROM (SELECT 1 AS a) AS t;")
    lines = printed.splitlines()
    assert lines[0].startswith("LINE 1: SELECT 1, nope")
    assert lines[1].index("^") == lines[0].index("nope")
    assert "sqlstate: 42703" in printed
    assert "42" in one.run("SELECT 6 * 7 AS a;")


def test_interrupt_cancels_the_statement_and_the_next_one_is_right(shell):
    one = shell()
    for _ in range(2):
        one.send(ENDLESS)
        one.process.expect(RUNS)
        one.interrupt()
        printed = one.expect(PROMPT)
        assert "sqlstate: 57014" in printed
        assert "│     42 │" in one.run("SELECT 42 AS a;")
    assert one.end() == 0


def test_interrupt_at_the_prompt_clears_what_was_typed(shell):
    one = shell()
    one.process.send("SELECT nonsense")
    one.expect("nonsense")
    one.interrupt()
    one.expect(PROMPT)
    one.send("SELECT 1 +")
    one.expect("igloo-> ")
    one.interrupt()
    one.expect(PROMPT)
    assert "(1 row)" in one.run("SELECT 7 AS a;")


def test_the_progress_line_appears_and_is_gone_before_the_output(shell):
    one = shell(size=(24, 70))
    one.send(ENDLESS)
    one.process.expect(r"\r([^\r\n]*memory [0-9.]+ [KMG]?i?B[^\r\n]*)\x1b\[K")
    line = ANSI.sub("", one.process.match.group(1))
    assert re.search(r"\d+\.\d s", line)
    assert len(line) < 70
    one.interrupt()
    one.process.expect_exact("\r\x1b[K")
    one.expect("error: ")
    one.expect(PROMPT)


def test_quick_statements_show_no_progress(shell):
    one = shell()
    one.send("SELECT 1 AS a;")
    one.process.expect_exact(PROMPT)
    assert "\x1b[K" not in one.process.before.split("\n", 1)[1]


def test_a_box_fits_sixty_columns_and_says_what_it_left_out(shell):
    one = shell(size=(80, 60), PAGER="cat")
    columns = ", ".join(f"v + {10 ** i} AS column_{i}" for i in range(19))
    one.send(f"CREATE VIEW wide AS SELECT {columns}")
    one.expect("igloo-> ")
    one.send("FROM generate_series(1, 5000) AS t(v);")
    one.expect(PROMPT)
    printed = one.run("SELECT * FROM wide;")
    assert width_of(printed[printed.index("┌"):printed.index("(5,000")]) <= 60
    assert re.search(r"\(5,000 rows, 19 columns; 40 rows and \d columns shown\)", printed)
    assert "column_0" in printed and "column_18" in printed and "column_9" not in printed


def test_long_output_goes_through_the_pager(shell):
    one = shell(size=(10, 80), PAGER="sed 's/^/paged: /'")
    printed = one.run("SELECT v FROM generate_series(1, 30) AS t(v);")
    assert printed.count("paged: ") > 30
    assert "paged: (30 rows)" in printed
    assert "paged" not in one.run("SELECT 1 AS a;")


def test_a_pager_that_is_left_early_ends_the_output(shell):
    one = shell(size=(10, 80), PAGER="head -n 3")
    one.run(".mode csv")
    printed = one.run("SELECT v FROM generate_series(1, 1000000000) AS t(v);")
    assert printed.split() == ["v", "1", "2"]
    assert "(1 row)" in one.run(".mode box") + one.run("SELECT 1 AS a;")


def test_no_pager_is_no_problem(shell):
    one = shell(size=(10, 80), PAGER="/nonexistent/pager")
    one.run("SELECT v FROM generate_series(1, 30) AS t(v);")
    assert "(1 row)" in one.run("SELECT 1 AS a;")


def test_tab_completes_keywords_names_and_files(shell, igloo):
    (igloo.folder / "some-flights.csv").write_text("n\n77\n")
    one = shell()
    one.run("CREATE TABLE departures AS SELECT 5 AS delay_minutes;")
    one.process.send("sel\t")
    one.process.send("delay_m\t")
    one.process.send("from depa\t")
    one.send(";")
    assert "│             5 │" in one.expect("(1 row)")
    one.expect(PROMPT)
    one.process.send("SELECT * FROM 'some-fl\t")
    one.send(";")
    assert "77" in one.expect("(1 row)")


def test_names_that_would_steer_the_terminal_are_not_offered(shell, igloo):
    (igloo.folder / "evil\x1b[31m.csv").write_text("n\n1\n")
    (igloo.folder / "even.csv").write_text("n\n77\n")
    one = shell()
    one.process.send("SELECT * FROM 'eve\t")
    one.send(";")
    assert "77" in one.expect("(1 row)")
    one.expect(PROMPT)
    one.process.send("SELECT * FROM 'evi\t")
    one.send("';")
    assert "\x1b[31m" not in one.process.before + one.process.after
    one.process.expect_exact("sqlstate")
    assert "\x1b[31m" not in one.process.before


@contextlib.contextmanager
def outrun(process):
    """Whoever watches a process is faster than it is: they share a core, which it has only when nobody else wants it."""
    cores = os.sched_getaffinity(0)
    one = {min(cores)}
    os.sched_setaffinity(process.pid, one)
    os.sched_setscheduler(process.pid, os.SCHED_IDLE, os.sched_param(0))
    os.sched_setaffinity(0, one)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def test_the_prompt_comes_once_keys_are_read_one_by_one(shell):
    """A Ctrl-D that the terminal itself takes, as it does for lines, is none any more for who reads keys."""
    one = shell()
    with outrun(one.process):
        for _ in range(20):
            one.run("")
            assert not termios.tcgetattr(one.process.child_fd)[3] & termios.ICANON
        assert one.end() == 0


def test_two_tabs_list_what_is_possible(shell):
    one = shell()
    one.process.send(".t\t")
    printed = one.expect(".timer")
    assert ".tables" in printed


def test_the_history_is_kept_but_for_secrets(shell, igloo):
    one = shell()
    one.run("SELECT 31337 AS remembered;")
    one.run("SELECT 'hunter2' AS password;")
    one.send("SELECT 1,")
    one.expect("igloo-> ")
    one.run("2 AS two_lines;")
    assert one.end() == 0
    history = igloo.folder.parent / "home" / ".igloo_history"
    assert history.stat().st_mode & 0o777 == 0o600
    text = history.read_text()
    assert "31337" in text and "hunter2" not in text
    two = shell()
    two.process.send("\x1b[A")  # up: the last statement, in one line
    two.expect("two_lines;")
    two.send("")
    assert "(1 row)" in two.expect(PROMPT)


def test_the_history_goes_to_the_state_folder(shell, igloo, tmp_path):
    one = shell(XDG_STATE_HOME=str(tmp_path))
    one.run("SELECT 31337 AS remembered;")
    one.end()
    assert "31337" in (tmp_path / "igloo" / "history").read_text()
    assert not (igloo.folder.parent / "home" / ".igloo_history").exists()


def test_tables_and_columns_are_listed(shell):
    one = shell()
    one.run("CREATE TABLE planes AS SELECT 1 AS seats, 'x' AS model;")
    assert "planes" in one.run(".tables")
    assert "planes" in one.run("\\d")
    described = one.run("\\d planes")
    assert "seats" in described and "bigint" in described
    assert "seats" in one.run(".schema")
    assert "planes" in one.run(".schema planes")


def test_modes_change_the_form_of_results(shell):
    one = shell()
    one.run(".mode json")
    assert '[{"a":1}]' in one.run("SELECT 1 AS a;")
    assert one.run(".mode").strip() == "json"
    one.run(".mode box")
    assert "Expanded display is on." in one.run("\\x")
    assert "a │ 1" in one.run("SELECT 1 AS a;")
    assert "Expanded display is off." in one.run("\\x")
    assert "unknown mode" in one.run(".mode xml")


def test_maxrows_bounds_a_box(shell):
    one = shell(size=(100, 80), PAGER="cat")
    one.run(".maxrows 4")
    assert "(100 rows; 4 shown)" in one.run("SELECT v FROM generate_series(1, 100) AS t(v);")
    one.run(".maxrows 0")
    printed = one.run("SELECT v FROM generate_series(1, 100) AS t(v);")
    assert "(100 rows)" in printed and "│     57 │" in printed


def test_the_timer_tells_how_long_it_took(shell):
    one = shell()
    one.run(".timer on")
    assert re.search(r"Time: \d+\.\d{3} s", one.run("SELECT 1 AS a;"))
    one.run(".timer off")
    assert "Time:" not in one.run("SELECT 1 AS a;")


def test_read_runs_statements_and_commands(shell, igloo):
    (igloo.folder / "my script.sql").write_text(
        ".mode csv\nSELECT 1 AS a,\n  2 AS b;\n-- the end\nSELECT 3 AS c")
    one = shell()
    assert one.run(".read 'my script.sql'").split() == ["a,b", "1,2", "c", "3"]


def test_read_stops_at_a_failure_and_says_the_line(shell, igloo):
    (igloo.folder / "bad.sql").write_text("SELECT 1 AS a;\nSELECT nope;\nSELECT 333 AS c;\n")
    one = shell()
    printed = one.run(".read bad.sql")
    assert "LINE 2: SELECT nope" in printed and "333" not in printed
    assert "(1 row)" in one.run("SELECT 1 AS a;")


def test_files_that_read_themselves_end(shell, igloo):
    (igloo.folder / "self.sql").write_text(".read self.sql\n")
    one = shell()
    assert "files read each other" in one.run(".read self.sql")


def test_output_goes_to_a_file_and_back(shell, igloo):
    one = shell()
    one.run(".mode csv")
    one.run(".output out.csv")
    assert one.run("SELECT 1 AS a;").strip() == ""
    assert one.run("CREATE VIEW v AS SELECT 1 AS a;").strip() == "CREATE VIEW"
    assert "Expanded" in one.run("\\x")
    one.run(".output")
    assert (igloo.folder / "out.csv").read_text() == "a\n1\n"
    assert one.run("SELECT 2 AS b;").split() == ["b", "2"]


def test_binary_formats_need_a_file(shell, igloo):
    one = shell()
    for mode in ["arrow", "parquet"]:
        one.run(f".mode {mode}")
        assert "sqlstate: 22023" in one.run("SELECT 1 AS a;")
        one.run(f".output out.{mode}")
        assert one.run("SELECT 1 AS a;").strip() == ""
        one.run(".output")
        assert (igloo.folder / f"out.{mode}").stat().st_size > 0


def test_prompts_stay_out_of_a_redirected_output(igloo, shell):
    one = shell(command=f"exec {program()} > out.csv")
    one.run("SELECT 42 AS answer;")
    assert one.end() == 0
    assert (igloo.folder / "out.csv").read_text() == "answer\n42\n"


def test_copy_writes_where_the_shell_runs(shell, igloo):
    one = shell()
    assert "COPY 2" in one.run("\\copy (SELECT 1 AS a UNION ALL SELECT 2) TO 'out.csv'")
    assert sorted((igloo.folder / "out.csv").read_text().split()) == ["1", "2", "a"]
    assert "sqlstate: 58P02" in one.run("\\copy (SELECT 1 AS a) TO 'out.csv'")
    assert "COPY 1" in one.run("\\copy (SELECT 5 AS a) TO 'out' jsonl")
    assert (igloo.folder / "out").read_text() == '{"a":5}\n'
    assert "COPY 3" in one.run("\\copy (SELECT v FROM generate_series(1, 3) AS t(v)) TO 'out.parquet'")
    assert "│      3 │" in one.run("SELECT count(*) AS c FROM 'out.parquet';")


def test_explain_is_readable(shell):
    one = shell(PAGER="cat")
    printed = one.run(".explain SELECT v FROM generate_series(1, 3) AS t(v) WHERE v > 1")
    assert "\\n" not in printed
    assert "Filter" in printed


def test_what_is_not_built_is_refused_by_name(shell):
    one = shell()
    assert "sqlstate: 0A000" in one.run(".cache")
    assert "(1 row)" in one.run("SELECT 1 AS a;")


def test_a_server_that_is_not_there_leaves_the_shell_where_it_was(shell):
    one = shell()
    one.run("CREATE VIEW here AS SELECT 17 AS a;")
    assert "sqlstate: 08001" in one.run(".connect igloo://127.0.0.1:1")
    assert "sqlstate: 22023" in one.run(".connect nowhere")
    assert "17" in one.run("SELECT a FROM here;")


def test_queries_shows_what_runs(shell):
    one = shell("--data", "d", size=(24, 200))
    printed = one.run(".queries")
    assert "SHOW QUERIES" in printed and "embedded" in printed
    assert "(1 row" in printed


def test_unknown_commands_name_the_nearest(shell):
    one = shell()
    assert "Did you mean .tables?" in one.run(".tabels")
    assert "unknown command" in one.run("\\nonsense")


def test_connect_opens_another_database(shell):
    one = shell()
    one.run("CREATE TABLE t AS SELECT 1 AS a;")
    one.run(".connect")
    assert "sqlstate: 42P01" in one.run("SELECT * FROM t;")


def test_the_commands_that_leave_do(shell):
    for command in [".quit", ".exit", "\\q", "quit", "exit;"]:
        one = shell()
        one.send(command)
        assert one.exit_code() == 0


def test_a_terminal_that_goes_away_ends_the_shell(shell, tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    one = shell(TMPDIR=str(temporary))
    assert one.hang_up() in (0, 130)
    assert list(temporary.iterdir()) == []


def test_a_terminal_that_goes_away_ends_the_statement(shell, tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    one = shell(TMPDIR=str(temporary))
    one.send(ENDLESS)
    one.process.expect(RUNS)
    assert one.hang_up() in (0, 130)
    assert list(temporary.iterdir()) == []


def test_sigterm_ends_a_waiting_shell(shell):
    one = shell()
    one.process.kill(signal.SIGTERM)
    assert one.exit_code() == 130


def test_wide_characters_keep_the_box_straight(shell):
    printed = shell().run("SELECT '漢字' AS t, 1 AS n UNION ALL SELECT 'abc', 2;")
    assert "│ 漢字 │" in printed and "│ abc  │" in printed


def test_data_cannot_steer_the_terminal(shell):
    one = shell()
    one.send("SELECT chr(27) || '[31mred' AS t;")
    one.process.expect_exact(PROMPT)
    assert "\x1b[31m" not in one.process.before
    assert "\\x1b[31mred" in one.process.before
