"""`igloo user`: users in a data folder, their passwords, and where these must not be."""

import json
import re
import sqlite3

import argon2
import pexpect
import pytest
from conftest import program

SECRET = "ge'hei\\m ä:☃"


def users(igloo):
    done = igloo("user", "list", "--data", "d", "--output", "json")
    assert done.returncode == 0, done.stderr
    return {user["name"]: user["superuser"] for user in json.loads(done.stdout)}


def stored(igloo, name):
    with sqlite3.connect(igloo.folder / "d/catalog.db") as database:
        (text,) = database.execute("SELECT password FROM user WHERE name = ?", [name]).fetchone()
    return text


def test_the_first_user_is_a_superuser_and_others_only_if_asked(igloo):
    for arguments in [["anna"], ["bob"], ["carl", "--superuser"]]:
        done = igloo("user", "add", *arguments, "--data", "d", input="x\n")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f'user "{arguments[0]}" added\n'
    assert users(igloo) == {"anna": True, "bob": False, "carl": True}


def test_a_password_comes_from_stdin_or_the_environment_and_is_argon2id(igloo):
    assert igloo("user", "add", "anna", "--data", "d", input=SECRET + "\nnext line\n").returncode == 0
    assert igloo("user", "add", "bob", "--data", "d", env={"IGLOO_PASSWORD": SECRET}).returncode == 0
    assert igloo("user", "add", "carl", "--data", "d", input=SECRET + "\r\n").returncode == 0
    for name in ["anna", "bob", "carl"]:
        text = stored(igloo, name)
        assert text.startswith("$argon2id$v=19$m=65536,t=2,p=1$")
        assert argon2.PasswordHasher().verify(text, SECRET)
        with pytest.raises(argon2.exceptions.VerifyMismatchError):
            argon2.PasswordHasher().verify(text, SECRET + "x")


def test_a_new_password_takes_the_place_of_the_old_one(igloo):
    igloo("user", "add", "anna", "--data", "d", input="old\n")
    done = igloo("user", "passwd", "anna", "--data", "d", "--output", "json", input="new\n")
    assert json.loads(done.stdout) == {"name": "anna", "done": "changed"}
    assert argon2.PasswordHasher().verify(stored(igloo, "anna"), "new")


def test_a_dropped_user_is_gone(igloo):
    igloo("user", "add", "anna", "--data", "d", input="x\n")
    igloo("user", "add", "bob", "--data", "d", input="x\n")
    assert igloo("user", "drop", "bob", "--data", "d").stdout == 'user "bob" dropped\n'
    assert users(igloo) == {"anna": True}
    done = igloo("user", "drop", "bob", "--data", "d")
    assert done.returncode == 1
    assert done.stderr == 'error: user "bob" does not exist\nsqlstate: 42704\n'


def test_names_are_taken_as_they_are_written(igloo):
    for name in ["Anna", 'o"hara', "J. Ä", "select"]:
        assert igloo("user", "add", name, "--data", "d", input="x\n").returncode == 0, name
    assert set(users(igloo)) == {"Anna", 'o"hara', "J. Ä", "select"}
    done = igloo("user", "add", "a:b", "--data", "d", input="x\n")
    assert done.returncode == 1
    assert "colon" in done.stderr


def test_wrong_usage_is_told_before_a_password_is_asked_for(igloo):
    for arguments in [[], ["ad", "x"], ["add"], ["drop"], ["list", "x"], ["add", "a", "b"],
                      ["drop", "a", "--superuser"], ["add", "a", "--password", "x"]]:
        done = igloo("user", *arguments, "--data", "d")
        assert done.returncode == 2, arguments
        assert done.stdout == ""
    done = igloo("user", "add", "anna", input="x\n")
    assert done.returncode == 2
    assert "--data" in done.stderr


def test_no_password_is_an_error(igloo):
    for text in ["", "\n", "x" * 5000 + "\n"]:
        done = igloo("user", "add", "anna", "--data", "d", input=text)
        assert done.returncode == 1
        assert "xxx" not in done.stderr
    assert users(igloo) == {}


def test_a_terminal_shows_no_password_and_asks_twice(igloo):
    def add(first, second):
        child = pexpect.spawn(program(), ["user", "add", "anna", "--data", "d"],
                              cwd=str(igloo.folder), env=igloo.environment, encoding="utf-8",
                              timeout=30)
        child.expect_exact('New password for user "anna": ')
        child.waitnoecho()
        child.sendline(first)
        child.expect_exact('The same again for user "anna": ')
        child.sendline(second)
        child.expect(pexpect.EOF)
        child.close()
        return child.exitstatus, child.before

    code, text = add("geheim", "gehiem")
    assert code == 1
    assert "the two passwords differ" in text
    code, text = add("geheim", "geheim")
    assert code == 0
    assert "geheim" not in text
    assert argon2.PasswordHasher().verify(stored(igloo, "anna"), "geheim")


def test_an_interrupted_prompt_leaves_the_terminal_as_it_was(igloo):
    child = pexpect.spawn("sh", ["-c", f'trap : INT; {program()} user add anna --data d; echo "code $?"; '
                                       'stty -a; exec cat'],
                          cwd=str(igloo.folder), env=igloo.environment, encoding="utf-8",
                          timeout=30)
    child.expect_exact('New password for user "anna": ')
    child.waitnoecho()
    child.sendintr()
    child.expect_exact("code 130")
    child.expect(r"[^-]echo ")
    child.close(force=True)
    assert users(igloo) == {}


def test_passwords_are_in_no_file_and_no_output(igloo):
    commands = [f"CREATE USER anna PASSWORD '{SECRET.replace(chr(39), chr(39) * 2)}'",
                "SELECT query FROM igloo.system.queries", "SHOW QUERIES",
                "CREATE USER anna PASSWORD 'geheim2'", "EXPLAIN CREATE USER b PASSWORD 'geheim2'",
                "CREATE USER b PASWORD 'geheim2'", "CREATE USER b PASSWORD geheim2",
                "ALTER USER anna PASSWORD 'geheim2' 'geheim2'",
                "PREPARE p AS CREATE USER b PASSWORD 'geheim2'"]
    for command in commands:
        done = igloo("sql", "--data", "d", "--set", "log.level=debug", "-c", command)
        printed = (done.stdout + done.stderr).replace(command, "")
        # The caret line under an error shows the user their own text, nothing else does.
        printed = re.sub(r"^LINE \d+: .*$", "", printed, flags=re.M)
        assert SECRET not in printed and "geheim2" not in printed, command
    for path in (igloo.folder / "d").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert SECRET.encode() not in data and b"geheim2" not in data, path


def test_users_by_sql_are_the_same_users(igloo):
    script = """CREATE USER Anna PASSWORD 'a';
                CREATE USER bob WITH SUPERUSER PASSWORD 'b';
                ALTER USER bob NOSUPERUSER;
                CREATE USER "Carl" PASSWORD 'c' NOSUPERUSER;
                DROP USER IF EXISTS nobody;
                SELECT name, superuser FROM igloo.system.users ORDER BY name"""
    done = igloo("sql", "--data", "d", "--format", "csv", "-c", script)
    assert done.stdout == "name,superuser\nCarl,false\nanna,true\nbob,false\n"
    assert users(igloo) == {"anna": True, "bob": False, "Carl": False}
