"""`postroom init` writes a configuration that works, and overwrites nothing."""

from __future__ import annotations

import tomllib

import pytest
from peers.commandline import call

from postroom import config


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POSTROOM_CONFIG", raising=False)


def test_a_newcomers_answers_make_a_configuration_that_passes_its_check(tmp_path):
    ran = call("init", "--address", "support@example.com", "--agent", "ann=ann@example.com", "--listen", "127.0.0.1:0")
    assert ran.status == 0, ran.err
    settings = config.load()
    assert settings.mailbox["support"].address == "support@example.com"
    assert settings.queue["support"].agents == ("ann",)
    assert call("check").status == 0
    assert call("migrate").status == 0


def test_passwords_go_into_files_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("P1", "imap secret")
    monkeypatch.setenv("P2", "smtp secret")
    ran = call(
        "init", "desk.toml", "--address", "help@example.org", "--incoming", "imap", "--outgoing", "smtp", "--imap-password-env", "P1",
        "--smtp-password-env", "P2", "--smtp-host", "mail.example.org", "--json",
    )  # fmt: skip
    assert ran.objects == [{"written": ["desk.toml", "imap-password", "smtp-password"]}]
    text = (tmp_path / "desk.toml").read_text()
    assert "secret" not in text
    settings = config.load("desk.toml")
    imap = settings.mailbox["help" if "help" in settings.mailbox else "support"].imap
    assert imap is not None
    assert (imap.host, imap.user) == ("imap.example.org", "help@example.org")
    assert config.read_secret(settings, "mailbox.support.imap", imap) == "imap secret"
    assert (tmp_path / "smtp-password").stat().st_mode & 0o077 == 0
    assert tomllib.loads(text)["outgoing"]["smtp"]["security"] == "starttls"


def test_nothing_that_is_there_is_overwritten(tmp_path, monkeypatch):
    monkeypatch.setenv("P1", "new")
    (tmp_path / "postroom.toml").write_text("# mine\n")
    assert call("init", "--address", "support@example.com").status == 1
    assert (tmp_path / "postroom.toml").read_text() == "# mine\n"
    (tmp_path / "imap-password").write_text("old\n")
    ran = call("init", "other.toml", "--address", "a@example.com", "--incoming", "imap", "--imap-password-env", "P1")
    assert ran.status == 0, ran.err
    assert (tmp_path / "imap-password").read_text() == "old\n"


@pytest.mark.parametrize(
    ("arguments", "words", "status"),
    [
        (["--address", "no address"], "mailbox.support.address", 78),
        ([], "The support address", 1),
        (["--address", "a@example.com", "--agent", "Ann Agent=x@example.com"], "agent.", 1),
        (["--address", 'a"\nb@example.com'], "mailbox.support.address", 78),
    ],
)
def test_a_wrong_answer_writes_nothing_and_says_which(tmp_path, arguments, words, status):
    ran = call("init", *arguments)
    assert (ran.status, words in ran.err, ran.err.count("\n")) == (status, True, 1), ran.err
    assert list(tmp_path.iterdir()) == []
