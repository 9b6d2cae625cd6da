"""The watcher against a real Dovecot: everything exactly once, whatever people, servers and crashes do in between."""

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from peers.certificates import Certificate
from peers.dovecot import Dovecot
from peers.processes import wait_until
from peers.watching import Watching, configuration

from postroom.config import Config
from postroom.daemon.imap import Watcher, probe
from postroom.errors import UserError

TAKEN = {"\\Seen", "$Postroom"}


def mail(number: int, *fields: str) -> bytes:
    lines = [
        *fields, f"Message-ID: <{number}@example.org>", "From: Ann <ann@example.org>", "To: support@example.com",
        f"Subject: Printer {number}", "", f"The printer on floor {number} is on fire.", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode()


def config(dovecot: Dovecot, folder: Path, /, **keys: Any) -> Config:
    return configuration(folder, dovecot.host, dovecot.port, **keys)


def flags(dovecot: Dovecot, folder: str = "INBOX") -> list[set[str]]:
    return [set(stored.flags) for stored in dovecot.messages("support", folder)]


def test_what_lies_there_is_taken_with_its_envelope_and_flagged(dovecot: Dovecot, tmp_path: Path) -> None:
    raw = mail(1, "Return-Path: <bounces@example.org>", "Delivered-To: help+abc@example.com")
    uid = dovecot.append("support", raw)
    with Watching(config(dovecot, tmp_path)) as watching:
        watching.wait_for(1)
        [row] = watching.received()
        assert watching.raws() == [raw]
    assert (row.mailbox, row.source, row.recipient, row.sender, row.state) == (
        "support", "imap", "help+abc@example.com", "bounces@example.org", "pending",
    )  # fmt: skip
    assert row.peer.pop("internaldate").endswith("Z")
    assert row.peer == {
        "account": f"support@127.0.0.1:{dovecot.port}", "folder": "INBOX", "uid": uid,
        "uidvalidity": dovecot.uidvalidity("support"),
    }  # fmt: skip
    assert flags(dovecot) == [TAKEN]


def test_the_bytes_are_kept_exactly(dovecot: Dovecot, tmp_path: Path) -> None:
    raws = [
        mail(1) + "Grüße".encode("latin-1") + b"\r\n\x01\x7f\xff",
        b"Subject: no body at all\r\n",
        b"\r\nno header at all",
        b"12345",
        mail(2) + b"A001 OK FETCH completed\r\n)\r\n* BYE\r\n{10}\r\n",
    ]
    dovecot.append_all("support", raws)
    with Watching(config(dovecot, tmp_path)) as watching:
        watching.wait_for(5)
        assert watching.raws() == raws


def test_a_thousand_messages_are_drained_once_each_oldest_first(dovecot: Dovecot, tmp_path: Path) -> None:
    raws = [mail(number) for number in range(1000)]
    uids = dovecot.append_all("support", raws)
    with Watching(config(dovecot, tmp_path)) as watching:
        watching.wait_for(1000)
        assert watching.raws() == raws
        assert [row.uid for row in watching.uids()] == uids
    assert flags(dovecot) == [TAKEN] * 1000


def test_idle_wakes_the_watcher_when_mail_comes(dovecot: Dovecot, tmp_path: Path) -> None:
    with Watching(config(dovecot, tmp_path, idle=True, poll_seconds=600)) as watching:
        watching.wait_for_first_look()
        for number in range(3):
            dovecot.append("support", mail(number))
            watching.wait_for(number + 1)


def test_mail_that_comes_while_mail_is_taken_is_not_forgotten(dovecot: Dovecot, tmp_path: Path) -> None:
    with Watching(config(dovecot, tmp_path, idle=True, poll_seconds=600)) as watching:
        with dovecot.client("support") as client:
            for number in range(300):
                client.append("INBOX", mail(number))
        watching.wait_for(300)
        assert sorted(watching.raws()) == sorted(mail(number) for number in range(300))


def test_a_poll_comes_all_the_same_while_idling(dovecot: Dovecot, tmp_path: Path) -> None:
    with Watching(config(dovecot, tmp_path, idle=True, poll_seconds=0.2)) as watching:
        watching.wait_for_look()


def test_each_message_is_taken_once_while_running_stopped_and_down(dovecot: Dovecot, tmp_path: Path) -> None:
    with Watching(config(dovecot, tmp_path)) as watching:
        dovecot.append("support", mail(1))
        watching.wait_for(1)
        watching.stop()
        dovecot.append("support", mail(2))
        watching.start()
        watching.wait_for(2)
        dovecot.stop()
        dovecot.deliver("support", mail(3))
        watching.wait_for_error("127.0.0.1")
        assert watching.state().failing_since is not None
        dovecot.start()
        watching.wait_for(3)
        watching.wait_for_look()
        assert watching.raws() == [mail(1), mail(2), mail(3)]
        assert watching.state().failing_since is None
        assert watching.state().last_error is None


@pytest.mark.parametrize("idle", [True, False])
def test_a_server_that_was_killed_is_connected_to_again(dovecot: Dovecot, tmp_path: Path, idle: bool) -> None:
    with Watching(config(dovecot, tmp_path, idle=idle)) as watching:
        watching.wait_for_look()
        dovecot.kill()
        dovecot.start()
        dovecot.append("support", mail(1))
        watching.wait_for(1)


def test_what_people_do_in_their_mail_program_changes_nothing(dovecot: Dovecot, tmp_path: Path) -> None:
    read, flagged, deleted = dovecot.append_all("support", [mail(1), mail(2), mail(3)])
    dovecot.set_flags("support", [read], ["\\Seen"])
    dovecot.set_flags("support", [flagged], ["\\Flagged", "\\Answered", "$Postroom"])
    dovecot.set_flags("support", [deleted], ["\\Deleted"])
    with Watching(config(dovecot, tmp_path)) as watching:
        watching.wait_for(3)
        with dovecot.client("support") as client:
            client.select_folder("INBOX")
            client.remove_flags([read, flagged], ["\\Seen", "$Postroom"])
        dovecot.append("support", mail(4), flags=["\\Seen"])
        watching.wait_for(4)
        watching.wait_for_look()
        assert watching.raws() == [mail(1), mail(2), mail(3), mail(4)]


def test_a_message_moved_away_and_back_is_the_same_message(dovecot: Dovecot, tmp_path: Path) -> None:
    uid = dovecot.append("support", mail(1))
    with Watching(config(dovecot, tmp_path)) as watching:
        watching.wait_for(1)
        dovecot.move("support", [uid], "INBOX", "Elsewhere")
        [moved] = dovecot.messages("support", "Elsewhere")
        dovecot.move("support", [moved.uid], "Elsewhere", "INBOX")
        wait_until(lambda: len(watching.uids()) == 2, "the second UID")
        [row] = watching.received()
        assert [known.inbound_id for known in watching.uids()] == [row.id, row.id]


@pytest.mark.parametrize("running", [True, False])
def test_another_uidvalidity_doubles_nothing(dovecot: Dovecot, tmp_path: Path, running: bool) -> None:
    dovecot.append_all("support", [mail(1), mail(2)])
    with Watching(config(dovecot, tmp_path, idle=True)) as watching:
        watching.wait_for(2)
        if not running:
            watching.stop()
        dovecot.set_uidvalidity("support", 4711)
        dovecot.append("support", mail(3))
        if not running:
            watching.start()
        wait_until(lambda: sum(row.uidvalidity == 4711 for row in watching.uids()) == 3, "a look at every message")
        watching.wait_for(3)
        assert watching.raws() == [mail(1), mail(2), mail(3)]
        wait_until(lambda: watching.state().uidvalidity == 4711, "the new UIDVALIDITY")


@pytest.mark.parametrize(
    ("after", "inbox", "processed"),
    [("leave", [set(), set()], []), ("flag", [TAKEN, TAKEN], []), ("delete", [], []), ("move", [], [set(), set()])],
)
def test_after_the_commit_it_is_done_as_configured(
    dovecot: Dovecot, tmp_path: Path, after: str, inbox: list[set[str]], processed: list[set[str]]
) -> None:
    dovecot.append_all("support", [mail(1), mail(2)])
    with Watching(config(dovecot, tmp_path, after=after, move_to="Erledigt für heute")) as watching:
        watching.wait_for(2)
        watching.wait_for_look()
        assert watching.raws() == [mail(1), mail(2)]
        assert (flags(dovecot), flags(dovecot, "Erledigt für heute")) == (inbox, processed)


def test_what_others_marked_as_deleted_is_not_removed_by_us(dovecot: Dovecot, tmp_path: Path) -> None:
    theirs, _ = dovecot.append_all("support", [mail(1) + b"x" * 5000, mail(2)])
    dovecot.set_flags("support", [theirs], ["\\Deleted"])
    with Watching(config(dovecot, tmp_path, after="delete", max_size="1 KiB")) as watching:
        watching.wait_for(1)
        watching.wait_for_look()
    assert [stored.uid for stored in dovecot.messages("support")] == [theirs]


def test_a_crash_between_commit_and_flag_is_made_good_without_fetching_again(dovecot: Dovecot, tmp_path: Path) -> None:
    dovecot.append_all("support", [mail(1), mail(2)])
    program = (
        "import sys, time; from pathlib import Path; from peers.watching import Watching, configuration\n"
        "with Watching(configuration(Path(sys.argv[1]), '127.0.0.1', int(sys.argv[2]))): time.sleep(60)"
    )
    tests = Path(__file__).resolve().parents[1]
    died = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), str(dovecot.port)], check=False, capture_output=True,
        env={**os.environ, "PYTHONPATH": f"{tests}:{tests.parent}", "POSTROOM_FAILPOINT": "after-imap-commit"},
    )  # fmt: skip
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert flags(dovecot) == [set(), set()]
    with Watching(config(dovecot, tmp_path)) as watching:
        watching.wait_for(2)
        assert [row.settled for row in watching.uids()] == [True, True]
        assert watching.raws() == [mail(1), mail(2)]
    assert flags(dovecot) == [TAKEN, TAKEN]


def test_what_was_removed_between_commit_and_flag_needs_no_flag(dovecot: Dovecot, tmp_path: Path) -> None:
    uid, other = dovecot.append_all("support", [mail(1), mail(2)])
    with Watching(config(dovecot, tmp_path)) as watching:
        watching.wait_for(2)
        watching.stop()
        with sqlite3.connect(watching.path) as database:
            database.execute("UPDATE imap_message SET settled = 0")
        database.close()
        dovecot.expunge("support", [uid])
        watching.start()
        watching.wait_for(2)
        assert [(row.uid, row.reason) for row in watching.uids()] == [(uid, "it was gone"), (other, None)]


def test_messages_expunged_in_between_make_nobody_else_skip(dovecot: Dovecot, tmp_path: Path) -> None:
    uids = dovecot.append_all("support", [mail(number) for number in range(20)])
    dovecot.expunge("support", uids[::2])
    with Watching(config(dovecot, tmp_path)) as watching:
        watching.wait_for(10)
        dovecot.expunge("support", uids[1::4])
        dovecot.append("support", mail(20))
        watching.wait_for(11)
        assert watching.raws() == [*(mail(number) for number in range(1, 20, 2)), mail(20)]


def test_a_message_over_the_limit_stays_visibly_on_the_server(dovecot: Dovecot, tmp_path: Path) -> None:
    large = mail(1) + b"x" * 3000
    uid, _ = dovecot.append_all("support", [large, mail(2)])
    with Watching(config(dovecot, tmp_path, max_size="2 KiB")) as watching:
        watching.wait_for(1)
        watching.wait_for_look()
        assert watching.raws() == [mail(2)]
        [refused] = [row for row in watching.uids() if row.inbound_id is None]
        assert (refused.uid, refused.reason) == (uid, f"its {len(large)} octets are more than smtp.max_size, 2048")
        assert flags(dovecot) == [set(), TAKEN]
        watching.stop()
        watching.config = config(dovecot, tmp_path, max_size="4 KiB")
        watching.start()
        watching.wait_for(2)
        assert watching.raws() == [mail(2), large]


def test_two_watchers_of_one_folder_take_each_message_once(dovecot: Dovecot, tmp_path: Path, migrated_url: str) -> None:
    raws = [mail(number) for number in range(400)]
    with (
        Watching(config(dovecot, tmp_path, idle=True), url=migrated_url) as one,
        Watching(config(dovecot, tmp_path, idle=True), url=migrated_url),
    ):
        dovecot.append_all("support", raws)
        one.wait_for(400)
        assert sorted(raws) == sorted(one.raws())
        assert len(one.uids()) == 400
    assert flags(dovecot) == [TAKEN] * 400


def test_while_the_store_cannot_take_it_the_mail_stays_as_it_was(dovecot: Dovecot, tmp_path: Path) -> None:
    with Watching(config(dovecot, tmp_path)) as watching:
        watching.wait_for_look()
        holder = sqlite3.connect(watching.path, isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        dovecot.append("support", mail(1))
        logins = dovecot.logins()
        wait_until(lambda: dovecot.logins() > logins, "the watcher to try again")
        assert flags(dovecot) == [set()]
        holder.execute("ROLLBACK")
        holder.close()
        watching.wait_for(1)
        wait_until(lambda: flags(dovecot) == [TAKEN], "the flag")


def test_a_wrong_password_is_said_clearly_and_tried_again_for_ever(dovecot: Dovecot, tmp_path: Path) -> None:
    dovecot.append("support", mail(1))
    with Watching(config(dovecot, tmp_path), password="pässwört \\ \"'") as watching:
        error = watching.wait_for_error("refuses")
        assert f"127.0.0.1:{dovecot.port} refuses the user support or the password: " in error
        (dovecot.folder / "users").write_text("support:{PLAIN}pässwört \\ \"'\n")
        watching.wait_for(1)


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_tls_is_verified_against_the_configured_authority(
    tmp_path: Path, certificate: Certificate, security: str
) -> None:
    with Dovecot(certificate=certificate) as dovecot:
        port = dovecot.tls_port if security == "tls" else dovecot.port
        keys = {"security": security, "ca_file": str(certificate.certificate), "idle": True, "poll_seconds": 600}
        with Watching(configuration(tmp_path, "localhost", port, **keys)) as watching:
            for number in range(2):
                dovecot.append("support", mail(number) + b"x" * 300_000)
                watching.wait_for(number + 1)


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_certificate_that_nobody_vouches_for_ends_the_attempt(
    tmp_path: Path, certificate: Certificate, security: str
) -> None:
    with Dovecot(certificate=certificate) as dovecot:
        port = dovecot.tls_port if security == "tls" else dovecot.port
        with pytest.raises(UserError, match=f"the certificate of localhost:{port} is not verified"):
            probe(configuration(tmp_path, "localhost", port, security=security), "support", "secret")
        assert dovecot.logins() == 0


def test_a_probe_leaves_no_trace(dovecot: Dovecot, tmp_path: Path) -> None:
    dovecot.append("support", mail(1))
    probe(config(dovecot, tmp_path), "support", "secret")
    assert flags(dovecot) == [set()]


@pytest.mark.parametrize(
    ("keys", "password", "words"),
    [
        ({}, "wrong", "refuses the user support or the password"),
        ({"folder": "Büro"}, "secret", "cannot open the folder 'Büro'"),
        ({"port": 1}, "secret", "cannot connect: 127.0.0.1:1: Connection refused"),
        ({"security": "tls"}, "secret", "are port and security right?"),
        ({"security": "starttls"}, "secret", "does not offer STARTTLS"),
        ({"host": "nowhere.invalid", "security": "tls"}, "secret", "cannot connect: there is no host nowhere.invalid"),
        ({"ca_file": "missing.pem", "security": "tls"}, "secret", "No such file"),
    ],
)
def test_a_probe_says_in_one_line_what_is_wrong(
    dovecot: Dovecot, tmp_path: Path, keys: dict[str, Any], password: str, words: str
) -> None:
    with pytest.raises(UserError) as caught:
        probe(config(dovecot, tmp_path, **keys), "support", password)
    assert words in str(caught.value)
    assert str(caught.value).startswith("mailbox.support.imap: ")
    assert "\n" not in str(caught.value)


def test_a_folder_with_any_name_is_watched(dovecot: Dovecot, tmp_path: Path) -> None:
    name = 'Büro & "Lager" \\ 文'
    dovecot.append("support", mail(1), folder=name)
    with Watching(config(dovecot, tmp_path, folder=name)) as watching:
        watching.wait_for(1)
    assert flags(dovecot, name) == [TAKEN]


def test_a_folder_that_is_not_there_is_waited_for(dovecot: Dovecot, tmp_path: Path) -> None:
    with Watching(config(dovecot, tmp_path, folder="Anfragen")) as watching:
        watching.wait_for_error("cannot open the folder 'Anfragen'")
        dovecot.append("support", mail(1), folder="Anfragen")
        watching.wait_for(1)


def test_a_watcher_stopped_before_it_ran_ends(dovecot: Dovecot, tmp_path: Path) -> None:
    with Watching(config(dovecot, tmp_path)) as watching:
        watcher = Watcher(watching.config, "support", "secret", watching.store, watching.intake)
        watcher.stop()
        watcher.start()
        assert watcher.join(20)


def test_the_digest_is_of_the_bytes_that_the_server_holds(dovecot: Dovecot, tmp_path: Path) -> None:
    dovecot.append("support", mail(1))
    with Watching(config(dovecot, tmp_path)) as watching:
        watching.wait_for(1)
        [row] = watching.received()
    [stored] = dovecot.messages("support")
    assert stored.digest == row.digest == hashlib.sha256(mail(1)).hexdigest()
