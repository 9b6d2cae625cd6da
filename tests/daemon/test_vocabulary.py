"""The log has one vocabulary, and nothing that is secret or said in confidence is ever written to where operators look."""

from __future__ import annotations

import ast
import base64
import http.client
import re
import smtplib
import sqlite3
import subprocess
from collections.abc import Callable
from email import message_from_bytes
from pathlib import Path

import pytest
from peers.certificates import Certificate
from peers.daemon import Daemon
from peers.processes import free_port, need, wait_until
from peers.smarthost import Smarthost

from postroom.daemon.vocabulary import EVENTS

PACKAGE = Path(__file__).parents[2] / "postroom"
LEVELS = {"debug", "info", "warning", "error", "exception"}
PASSWORD, WORDS, SUBJECT = "canary-password-93417", "canarybodyword", "canarysubject"
CONFIG = """
[smtp]
listen = ["127.0.0.1:{port}"]
min_free_disk = 1
[log]
level = "debug"
[health]
listen = "127.0.0.1:HEALTH"
[agent.ann]
address = "ann@example.com"
[queue.support]
agents = ["ann"]
[mailbox.support]
address = "support@example.com"
queue = "support"
[mailbox.sales]
address = "sales@example.com"
queue = "support"
[mailbox.sales.imap]
host = "127.0.0.1"
port = NOBODY
security = "none"
user = "sales"
password_env = "CANARY"
"""


def said() -> dict[str, str]:
    """Every event that is written as it stands, and one file that says it."""
    found = {}
    for path in [
        *(PACKAGE / "daemon").rglob("*.py"),
        *(PACKAGE / "outbound").rglob("*.py"),
        *(PACKAGE / "desk").rglob("*.py"),
    ]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LEVELS
                and node.args
            ):
                continue
            logger = node.func.value
            name = logger.id if isinstance(logger, ast.Name) else getattr(logger, "attr", "")
            if name in ("log", "_log") and isinstance(node.args[0], ast.Constant):
                found[str(node.args[0].value)] = path.name
    return found


def test_every_event_of_the_log_is_in_the_vocabulary() -> None:
    events = said()
    assert len(events) > 40
    assert {event: where for event, where in events.items() if event not in EVENTS} == {}


def test_no_secret_and_no_word_of_a_mail_is_shown_to_those_who_look_after_the_service(
    start_daemon: Callable[..., Daemon],
) -> None:
    health = free_port()
    config = CONFIG.replace("HEALTH", str(health)).replace("NOBODY", str(free_port()))
    daemon = start_daemon(config, env={"CANARY": PASSWORD})
    deliver(daemon, "cy@example.org", "support@example.com", "Re: canary")
    outgoing = daemon.folder / "var/outgoing/new"
    wait_until(lambda: len(list(outgoing.glob("*"))) >= 2, "the confirmation and the agent's notice")
    signed = [
        message_from_bytes(path.read_bytes())["Reply-To"].rpartition("<")[2].rstrip(">") for path in outgoing.glob("*")
    ]
    tokens = {address.partition("+")[2].partition("@")[0] for address in signed}
    assert all(len(token) > 20 for token in tokens)
    for address in signed:  # a stranger who holds both, and a broken recipient that quotes one
        deliver(daemon, "ann@example.com", address, "Re: again")
    with smtplib.SMTP("127.0.0.1", daemon.smtp_port, timeout=20) as client:
        client.ehlo()
        client.docmd("MAIL", f"FROM:<{signed[0]}>")
        client.docmd("RCPT", f"TO:<nobody+{signed[0]}>")
    daemon.wait_for_log("mailbox fails")
    wait_until(lambda: daemon.log().count(" added ") + daemon.log().count(" opened ") >= 3, "all is processed")
    shown = [
        daemon.log(),
        *(
            daemon.cli(*words).out
            for words in (
                ["status"],
                ["status", "--json"],
                ["mailboxes", "list", "--json"],
                ["check"],
                ["outbox", "list", "--json"],
            )
        ),
        page(health),
    ]
    shown += [daemon.cli("inbound", "explain", str(n), "--json").out for n in (1, 2, 3)]
    daemon.stop()
    keys = (daemon.folder / "var/signing-keys").read_text().split()
    everything = "\n".join([*shown, daemon.log()])
    assert "accepted" in everything
    secrets = [PASSWORD, WORDS, *tokens, *keys]
    leaked = {
        word: [line for line in everything.splitlines() if word in line][:3] for word in secrets if word in everything
    }
    assert leaked == {}
    assert SUBJECT not in daemon.log()
    assert "Traceback" not in everything


NAME = "Canaryname"
FORGED = "\x1b[31mgone\x1b[0m\u2028 2026-11-24T00:00:00.000Z error   forged \u202e"


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_what_a_smarthost_hears_and_says_is_shown_without_secrets_and_in_one_line(
    start_daemon: Callable[..., Daemon], certificate: Certificate, tmp_path: Path, mechanism: str
) -> None:
    key = tmp_path / "dkim.pem"
    command = [need("openssl", "openssl"), "genpkey", "-algorithm", "ed25519", "-out", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    key.chmod(0o600)
    with Smarthost(certificate, {"support": PASSWORD}, mechanisms=mechanism) as smarthost:
        smarthost.on("RCPT", f"550 5.1.1 {FORGED} {PASSWORD} {base64.b64encode(PASSWORD.encode()).decode()}", times=1)
        way = f"""
[outgoing]
courier = "smtp"
[outgoing.smtp]
host = "127.0.0.1"
port = {smarthost.port}
security = "starttls"
ca_file = "{certificate.certificate}"
user = "support"
password_env = "CANARY"
[dkim.main]
domain = "example.com"
selector = "s"
key_file = "{key}"
"""
        config = CONFIG.partition("[mailbox.sales]")[0].replace("HEALTH", str(free_port())) + way
        daemon = start_daemon(config, env={"CANARY": PASSWORD})
        deliver(daemon, "cy@example.org", "support@example.com", "Re: canary", name=NAME)
        smarthost.wait_for(1)
        wait_until(lambda: " gave up " in daemon.log() or " failed " in daemon.log(), "the refusal")
        with sqlite3.connect(
            daemon.folder / "var" / "postroom.db"
        ) as database:  # an error of the database, with values
            database.execute("CREATE TRIGGER refuse BEFORE INSERT ON message BEGIN SELECT RAISE(ABORT, 'refused'); END")
        database.close()
        deliver(daemon, "di@example.org", "support@example.com", "Re: canary", name=NAME)
        daemon.wait_for_log("broken")
        shown = [
            daemon.cli(*words).out for words in (["status", "--json"], ["check", "--json"], ["inbound", "explain", "2"])
        ]
        assert smarthost.commands[f"AUTH {mechanism}"]
        daemon.stop()
    signing = (daemon.folder / "var/signing-keys").read_text().split()
    dkim = [line for line in key.read_text().splitlines() if not line.startswith("-")]
    everything = "\n".join([*shown, daemon.log()])
    hidden = [PASSWORD, base64.b64encode(PASSWORD.encode()).decode(), WORDS, NAME, *signing, *dkim]
    assert [word for word in hidden if word in everything] == []
    assert SUBJECT not in daemon.log()
    assert not set("\x1b\u2028\u202e\r") & set(everything)
    assert all(
        re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z (debug|info|warning|error) ", line) for line in daemon.log().splitlines()
    )
    assert not [line for line in daemon.log().splitlines() if re.match(r"\S+ \w+ +forged", line)]


def deliver(daemon: Daemon, sender: str, recipient: str, subject: str, name: str = "") -> None:
    mail = (
        f"From: {name} <{sender}>\r\nTo: <{recipient}>\r\nSubject: {subject} {SUBJECT}\r\nMessage-ID: <{hash(recipient)}@example.org>\r\n"
        f"\r\n{WORDS} on fire, {recipient.partition('@')[2]}\r\n"
    )
    with smtplib.SMTP("127.0.0.1", daemon.smtp_port, timeout=20) as client:
        client.sendmail(sender, [recipient], mail.encode())


def page(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return text
