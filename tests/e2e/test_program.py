"""The program around SQL: help, exit codes, commands that are refused, administration."""

import ctypes.util
import json
import re
import socket
import subprocess

import pytest
from conftest import program

COMMANDS = ["sql", "serve", "worker", "cluster", "user", "token", "cert", "config", "doctor",
            "completions", "version"]


def test_each_command_explains_itself(igloo):
    for command in [[], *([c] for c in COMMANDS)]:
        done = igloo(*command, "--help")
        assert done.returncode == 0
        assert done.stderr == ""
        assert re.search(r"^Usage: igloo " + (command[0] if command else r"\["), done.stdout, re.M)
        assert "-h, --help" in done.stdout
        assert max(map(len, done.stdout.splitlines())) <= 100


def test_the_help_of_the_program_names_every_command(igloo):
    text = igloo("--help").stdout
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", text, re.M)


def test_help_is_a_command_too(igloo):
    assert igloo("help").stdout == igloo("--help").stdout
    assert igloo("help", "sql").stdout == igloo("sql", "--help").stdout
    assert igloo("help", "nonsense").returncode == 2


def test_mistakes_name_what_was_meant(igloo):
    for arguments, hint in [(["sqll"], "`igloo sql`"), (["sql", "--fromat", "csv"], '"--format"'),
                            (["sql", "--format", "cvs"], "csv"), (["--dtaa", "x"], '"--data"'),
                            (["-c", "SELECT 1"], "`igloo sql`"),
                            (["config", "chek"], "`igloo config --help`"),
                            (["user", "remove", "anna"], "`igloo user --help`")]:
        done = igloo(*arguments)
        assert done.returncode == 2, arguments
        assert hint in done.stderr, arguments


def test_wrong_usage_is_exit_code_2(igloo):
    for arguments in [["sql", "-c"], ["sql", "SELECT 1"], ["config"], ["config", "shwo"],
                      ["completions", "tcsh"], ["sql", "--set", "nonsense", "-c", "SELECT 1"],
                      ["sql", "--set", "no.such_key=1", "-c", "SELECT 1"],
                      ["sql", "--config", "missing.conf", "-c", "SELECT 1"],
                      ["sql", "--format", "parquet", "-c", "SELECT 1"]]:
        done = igloo(*arguments)
        assert done.returncode == 2, (arguments, done.stderr)
        assert done.stdout == "", arguments
        assert done.stderr.startswith("error: "), arguments


def test_an_unknown_key_names_the_nearest(igloo):
    done = igloo("sql", "--set", "engine.memory_limt=1GiB", "-c", "SELECT 1")
    assert done.returncode == 2
    assert "engine.memory_limit" in done.stderr


def test_a_server_that_is_not_there_is_exit_code_3(igloo):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens on it, and nobody else gets it
        uri = f"igloo://127.0.0.1:{closed.getsockname()[1]}"
        for options in [["--uri", uri], []]:
            done = igloo("sql", *options, "-c", "SELECT 1", env={} if options else {"IGLOO_URI": uri})
            assert done.returncode == 3
            assert done.stderr.startswith("error: could not connect")
        done = igloo("user", "list", "--uri", uri)
        assert done.returncode == 3


def test_version_is_the_one_of_the_library(igloo):
    text = igloo("version").stdout
    assert re.fullmatch(r"igloo \d+\.\d+\.\d+\n", text)
    assert json.loads(igloo("version", "--output", "json").stdout)["version"] == text.split()[1]
    assert igloo("--version").stdout == text


def test_config_show_tells_value_and_origin(igloo):
    (igloo.folder / "igloo.conf").write_text("[engine]\nthreads = 3\n")
    done = igloo("config", "show", "--config", "igloo.conf", "--output", "json",
                 "--set", "limits.running=7", env={"IGLOO_ENGINE_BATCH_ROWS": "4096"})
    assert done.returncode == 0, done.stderr
    entries = {e["key"]: e for e in json.loads(done.stdout)}
    assert entries["engine.threads"]["value"] == "3"
    assert "igloo.conf:2" in entries["engine.threads"]["origin"]
    assert entries["engine.batch_rows"]["value"] == "4096"
    assert "IGLOO_ENGINE_BATCH_ROWS" in entries["engine.batch_rows"]["origin"]
    assert entries["limits.running"]["value"] == "7"
    assert entries["log.level"]["origin"] == "default"


def test_config_check_finds_the_line(igloo):
    (igloo.folder / "good.conf").write_text("[engine]\nthreads = 3\n")
    (igloo.folder / "bad.conf").write_text("[engine]\n\nthraeds = 3\n")
    assert igloo("config", "check", "--config", "good.conf").returncode == 0
    done = igloo("config", "check", "--config", "bad.conf")
    assert done.returncode == 2
    assert "bad.conf:3" in done.stderr
    assert "engine.threads" in done.stderr


def test_doctor_checks_this_machine(igloo):
    done = igloo("doctor", "--output", "json")
    assert done.returncode == 0, done.stdout
    checks = {c["check"]: c for c in json.loads(done.stdout)}
    assert checks["processor"]["status"] == "ok"
    assert set(checks) >= {"processor", "memory", "spill folder", "data folder"}
    assert "┌" in igloo("doctor").stdout


def test_doctor_fails_where_a_folder_cannot_be_used(igloo):
    (igloo.folder / "file").write_text("")
    done = igloo("doctor", "--data", igloo.folder / "file", "--output", "json")
    assert done.returncode == 1
    assert {c["check"]: c["status"] for c in json.loads(done.stdout)}["data folder"] == "failed"


def complete_in_bash(igloo, words):
    """What bash would offer for the last of these words."""
    script = (igloo("completions", "bash").stdout +
              'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _igloo; printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True,
                          timeout=10, check=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_commands_flags_and_values(igloo):
    assert set(COMMANDS) <= set(complete_in_bash(igloo, ["igloo", ""]))
    assert complete_in_bash(igloo, ["igloo", "comp"]) == ["completions"]
    assert complete_in_bash(igloo, ["igloo", "sql", "--fo"]) == ["--format"]
    assert complete_in_bash(igloo, ["igloo", "sql", "--format", "js"]) == ["json", "jsonl"]
    assert complete_in_bash(igloo, ["igloo", "config", "s"]) == ["show"]


def test_completions_for_zsh_and_fish_name_every_command(igloo):
    for shell in ["zsh", "fish"]:
        text = igloo("completions", shell).stdout
        for command in COMMANDS:
            assert command in text
        assert "format" in text


def test_closed_descriptors_are_no_crash(igloo):
    for redirection, code in [(">&-", 1), ("<&-", 0), ("2>&-", 0), ("<&- 2>&-", 0)]:
        done = subprocess.run(["sh", "-c", f'exec "$0" sql -c "SELECT 1" {redirection}', program()],
                              env=igloo.environment, cwd=igloo.folder, capture_output=True,
                              timeout=30)
        assert done.returncode == code, redirection


def test_a_library_that_a_query_does_not_need_is_missed_by_whoever_does(igloo):
    libraries = {name: ctypes.util.find_library(name)
                 for name in ["ssl", "crypto", "gnutls", "microhttpd", "edit"]}
    damaged = igloo.folder / "damaged"
    damaged.mkdir()
    for file in libraries.values():
        (damaged / file).write_bytes(b"no library")
    env = {"LD_LIBRARY_PATH": str(damaged)}
    assert igloo("sql", "--format", "csv", "-c", "SELECT 1 AS one", env=env).stdout == "one\n1\n"
    refused = igloo("cert", "dev", "certs", env=env)
    assert refused.returncode == 1
    assert f'library "{libraries["ssl"]}" cannot be loaded' in refused.stderr
    refused = igloo("serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0",
                    "--set", "auth.mode=none", env=env)
    assert refused.returncode == 2
    assert f'library "{libraries["microhttpd"]}" cannot be loaded' in refused.stderr
