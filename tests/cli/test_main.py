"""The promises of every command: where the configuration stands, exit statuses, one line for an error, a fast start."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys

import pytest
from peers.commandline import Desk, call

from postroom.cli.main import COMMANDS, LazyGroup, postroom

HEAVY = (
    "sqlalchemy",
    "rich",
    "alembic",
    "aiosmtpd",
    "imapclient",
    "jinja2",
    "structlog",
    "pebble",
)


def leaves(group, path=()):
    """Every command that has no commands under it: its words, and itself."""
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "list_commands"):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


def test_every_command_of_the_interface_is_there():
    words = {" ".join(path) for path, _ in leaves(postroom)}
    assert words == {
        "run", "init", "demo", "check", "ingest", "parse", "migrate", "migrate-store", "status", "dkim record",
        *(f"tickets {verb}" for verb in ["list", "show", "export", "assign", "status", "note", "reply", "merge", "unmerge", "split", "tag", "follow-up", "solution", "review"]),
        *(f"inbound {verb}" for verb in ["list", "show", "raw", "retry", "explain", "quarantine", "release", "delete"]),
        *(f"outbox {verb}" for verb in ["list", "show", "send", "retry", "cancel"]), "send-test",
        *(f"agents {verb}" for verb in ["list", "add", "remove", "address"]), *(f"mailboxes {verb}" for verb in ["list", "login", "logout"]),
        "rules list", "rules test", "keys new", "keys rotate", "report monthly",
        *(f"addresses {verb}" for verb in ["list", "hold", "release", "language"]), "forget", "backup", "restore", "rescue",
        *(f"objects {verb}" for verb in ["verify", "sweep", "move"]),
        *(f"templates {verb}" for verb in ["list", "show", "check", "preview", "translate"]),
    }  # fmt: skip


def test_every_command_takes_the_configuration_and_what_prints_takes_json():
    for path, command in leaves(postroom):
        options = {option for parameter in command.params for option in parameter.opts}
        assert {"-c", "--config"} <= options, path
        if path not in (("run",), ("demo",), ("inbound", "raw"), ("templates", "translate")):
            assert "--json" in options, path


def test_the_configuration_may_stand_before_or_behind_the_command(desk):
    before = call("-c", str(desk.config), "tickets", "list", "--json")
    behind = call("tickets", "list", "--json", "-c", str(desk.config))
    between = call("tickets", "--config", str(desk.config), "list", "--json")
    assert len(before.objects) == 2
    assert before == behind == between


def test_the_configuration_is_found_in_the_environment(desk, monkeypatch):
    monkeypatch.setenv("POSTROOM_CONFIG", str(desk.config))
    assert len(call("tickets", "list", "--json").objects) == 2


def test_without_a_configuration_everything_is_in_var(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POSTROOM_CONFIG", raising=False)
    assert call("migrate").status == 0
    assert call("mailboxes", "list", "--json").objects[0]["address"] == "support@localhost"
    assert (tmp_path / "var" / "postroom.db").exists()


def test_a_wrong_configuration_is_one_line_with_the_key_and_78(tmp_path):
    desk = Desk(tmp_path, "[smtp]\nlistn = []\n")
    for arguments in (
        ("tickets", "list"),
        ("check",),
        ("status",),
        ("ingest", "x"),
        ("migrate",),
        ("mailboxes", "list"),
    ):
        ran = desk(*arguments)
        assert (ran.status, ran.out, ran.err) == (78, "", "postroom: smtp.listn: there is no such key\n")


def test_a_missing_configuration_is_78(tmp_path):
    ran = call("-c", str(tmp_path / "none.toml"), "status")
    assert (ran.status, ran.err.count("\n")) == (78, 1)


def test_wrong_usage_is_2():
    assert call("tickets", "list", "--nonsense").status == 2
    assert call("nonsense").status == 2
    assert call("inbound", "show", "many").status == 2


def test_a_database_that_is_locked_is_75_and_one_line(desk):
    holder = sqlite3.connect(desk.folder / "var" / "postroom.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    ran = desk("tickets", "note", "T-1001", "x")
    holder.execute("ROLLBACK")
    holder.close()
    assert (ran.status, ran.err.startswith("postroom: "), ran.err.count("\n")) == (75, True, 1), ran.err


def test_a_file_that_is_no_database_is_named_without_a_traceback(bare_desk):
    bare_desk.write("var/postroom.db", b"this is no database\n" * 100)
    ran = bare_desk("tickets", "list")
    assert ran.status in (1, 75, 78)
    assert ran.err.count("\n") == 1
    assert "not a database" in ran.err


def test_a_reader_that_has_had_enough_is_no_failure(desk):
    # the reader is gone before anything is written
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "postroom", "-c", str(desk.config), "tickets", "export"]
    ran = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (0, b"")


def test_a_locale_that_lacks_characters_is_no_failure(desk):
    desk("tickets", "note", "T-1001", "Grüße – 你好")
    environment = {**os.environ, "PYTHONIOENCODING": "iso-8859-1"}
    command = [sys.executable, "-m", "postroom", "-c", str(desk.config), "tickets", "show", "T-1001"]
    shown = subprocess.run(command, capture_output=True, env=environment, check=True, timeout=60)
    assert b"Gr\xfc\xdfe \\u2013 \\u4f60" in shown.stdout
    ran = subprocess.run([*command, "--json"], capture_output=True, env=environment, check=True, timeout=60)
    assert json.loads(ran.stdout)["messages"][-1]["message"] == "Grüße – 你好"


@pytest.mark.parametrize("module", sorted({module for module, _ in COMMANDS.values()}))
def test_a_command_imports_nothing_heavy_before_it_is_called(module):
    if module == "postroom.cli.run":
        pytest.skip("the daemon needs it all")
    program = f"import sys, {module}; sys.exit(', '.join(set({HEAVY!r}) & set(sys.modules)) or 0)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_help_names_every_command_without_importing_one():
    program = (
        "import sys; from postroom.cli.main import postroom; postroom.main(['--help'], standalone_mode=False);"
        "sys.exit(any(m.startswith('postroom.cli.') and m != 'postroom.cli.main' for m in sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert all(name in ran.stdout for name in COMMANDS)
    assert isinstance(postroom, LazyGroup)


@pytest.mark.parametrize("arguments", [["status"], ["tickets", "list"], ["inbound", "list"], ["outbox", "list"]])
def test_a_command_that_reads_makes_no_database_in_the_wrong_folder(bare_desk, arguments):
    ran = bare_desk(*arguments)
    assert (ran.status, ran.err.count("\n"), "there is no database at" in ran.err) == (1, 1, True), ran.err
    assert not (bare_desk.folder / "var").exists()


def test_a_configuration_that_cannot_be_read_is_78_wherever_it_is_named(tmp_path):
    assert call("-c", str(tmp_path), "status").status == 78
    assert call("status", "-c", str(tmp_path / "none.toml")).status == 78
    assert call("-c", str(tmp_path / "none.toml"), "check").status == 78


def test_lost_signing_keys_are_missed_before_new_ones_disown_what_was_sent(desk):
    keys = desk.folder / "var" / "signing-keys"
    keys.unlink()
    for command in (["tickets", "note", "T-1001", "x"], ["run"]):
        ran = desk(*command)
        assert (ran.status, "is gone" in ran.err, "postroom keys new" in ran.err) == (78, True, True), ran.err
    assert not keys.exists()
    assert (desk("check").status, desk("check").out.count("failed")) == (78, 1)
    assert desk("keys", "new").status == 0
    assert desk("tickets", "note", "T-1001", "x").status == 0


def test_keys_are_rotated_and_the_older_one_is_still_recognised(desk):
    keys = desk.folder / "var" / "signing-keys"
    [old] = keys.read_text().split()
    assert desk("keys", "new").status == 1
    assert desk("keys", "rotate", "--json").objects == [{"file": str(keys), "olderKeys": 1}]
    assert keys.read_text().split()[1:] == [old]
    assert keys.stat().st_mode & 0o077 == 0
    assert desk("keys", "new", "--replace").status == 0
    assert old not in keys.read_text()


def test_a_signal_that_comes_as_the_stopped_daemons_program_ends_makes_its_end_no_worse():
    program = """
import asyncio, os, signal
from postroom.cli.run import _until_told

async def serve():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, int)

asyncio.run(_until_told(serve()))
os.kill(os.getpid(), signal.SIGTERM)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
