"""The watcher against a server that goes wrong, line by line: nothing lost, nothing twice, nothing believed."""

import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from peers.certificates import Certificate
from peers.imapscript import CAPABILITIES, ScriptedImap, Talk, uid_list
from peers.processes import wait_until
from peers.watching import Watching, configuration
from sqlalchemy import insert

from postroom.config import Config
from postroom.daemon.imap import probe
from postroom.errors import UserError
from postroom.store.imap import Folder, record
from postroom.store.tables import ImapMessage

RAW = {1: b"Subject: one\r\n\r\n1\r\n", 2: b"Subject: two\r\n\r\n2\r\n", 3: b"Subject: three\r\n\r\n3\r\n"}
TAKEN = {"\\Seen", "$Postroom"}
FOR_LONG = 999  # connections


def config(server: ScriptedImap, folder: Path, **keys: Any) -> Config:
    return configuration(folder, server.host, server.port, **keys)


def test_the_server_hears_only_what_is_needed_in_order(tmp_path: Path) -> None:
    with ScriptedImap(RAW) as server, Watching(config(server, tmp_path, poll_seconds=600)) as watching:
        watching.wait_for(3)
        watching.wait_for_first_look()
        assert [line.partition(" ")[2] for line in server.heard] == [
            "CAPABILITY", 'LOGIN "support" "secret"', 'SELECT "INBOX"', "UID SEARCH ALL",
            "UID FETCH 1,2,3 (RFC822.SIZE)", "UID FETCH 1,2,3 (BODY.PEEK[] INTERNALDATE)",
            r"UID STORE 1,2,3 +FLAGS.SILENT (\Seen $Postroom)",
        ]  # fmt: skip


def test_what_was_taken_is_neither_fetched_nor_flagged_again(tmp_path: Path) -> None:
    with ScriptedImap(RAW) as server, Watching(config(server, tmp_path)) as watching:
        watching.wait_for(3)
        watching.wait_for_look()
        watching.stop()
        watching.start()
        watching.wait_for_look()
        names = server.names()
        assert (names.count("UID FETCH"), names.count("UID STORE")) == (2, 1)


@pytest.mark.parametrize(
    "cut", ["* 1 FETCH (UID 1 BODY[] {19}\r\nSubje", "* 1 FETCH (UID 1 BO", "* 1 FETCH (UID 1", ""]
)
def test_a_connection_cut_in_the_middle_of_an_answer_is_made_anew(tmp_path: Path, cut: str) -> None:
    def script(talk: Talk) -> None:
        talk.until("UID FETCH", "BODY")
        talk.say(cut, end="")

    with ScriptedImap(RAW, script, script) as server, Watching(config(server, tmp_path)) as watching:
        watching.wait_for(3)
        assert sorted(watching.raws()) == sorted(RAW.values())


@pytest.mark.parametrize("command", ["CAPABILITY", "LOGIN", "SELECT", "UID SEARCH", "UID FETCH", "UID STORE"])
def test_a_connection_cut_at_any_command_is_made_anew(tmp_path: Path, command: str) -> None:
    with (
        ScriptedImap(RAW, lambda talk: talk.until(command) and None) as server,
        Watching(config(server, tmp_path)) as watching,
    ):
        watching.wait_for(3)
        wait_until(lambda: len(server.flags) == 3, "the flags")
        assert sorted(watching.raws()) == sorted(RAW.values())


@pytest.mark.parametrize("command", ["LOGIN", "UID SEARCH", "UID FETCH", "IDLE"])
def test_a_silent_server_is_left_after_the_timeout(tmp_path: Path, command: str) -> None:
    def script(talk: Talk) -> None:
        talk.until(command)
        talk.hear()

    with (
        ScriptedImap(RAW, *[script] * FOR_LONG) as server,
        Watching(config(server, tmp_path, timeout_seconds=0.3, idle=True)) as watching,
    ):
        watching.wait_for_error("does not answer within 0.3 s")
        server.mend()
        watching.wait_for(3)


def test_a_server_that_does_not_greet_is_left_after_the_timeout(tmp_path: Path) -> None:
    with (
        ScriptedImap(RAW, lambda talk: talk.hear() and None) as server,
        Watching(config(server, tmp_path, timeout_seconds=0.3)) as watching,
    ):
        watching.wait_for(3)


def idle_then(*lines: str, ends: bool = True) -> Callable[[Talk], None]:
    def script(talk: Talk) -> None:
        talk.until("IDLE")
        talk.server.messages[9] = b"Subject: nine\r\n\r\n"
        talk.say(*lines)
        if not ends:
            talk.hear()

    return script


@pytest.mark.parametrize(
    "script",
    [
        idle_then("+ idling", "* BYE down for maintenance", ends=False),
        idle_then("+ idling"),
        idle_then("* BYE down for maintenance"),
        idle_then("+ idling", "* 4 EXI"),
    ],
    ids=["bye", "end", "bye instead", "cut line"],
)
def test_a_connection_that_dies_in_idle_is_made_anew(tmp_path: Path, script: Callable[[Talk], None]) -> None:
    with (
        ScriptedImap(RAW, script) as server,
        Watching(config(server, tmp_path, idle=True, poll_seconds=600)) as watching,
    ):
        watching.wait_for(4)
        assert server.connections == 2


@pytest.mark.parametrize(
    "lines",
    [
        ["+ idling", "* 4 EXISTS"],
        ["* 4 EXISTS", "+ idling"],
        ["+ idling", "* OK still here", "* 1 EXPUNGE", "* 4 EXISTS"],
    ],
)
def test_news_at_any_moment_of_idle_is_heard(tmp_path: Path, lines: list[str]) -> None:
    def script(talk: Talk) -> None:
        command = talk.until("IDLE")
        talk.server.messages[9] = b"Subject: nine\r\n\r\n"
        talk.say(*lines)  # in one packet: what is in the buffer already wakes no poll()
        assert talk.hear() == "DONE"
        talk.ok(command)
        talk.serve()

    with (
        ScriptedImap(RAW, script) as server,
        Watching(config(server, tmp_path, idle=True, poll_seconds=600)) as watching,
    ):
        watching.wait_for(4)
        assert server.connections == 1


def test_news_during_another_command_is_not_waited_for_in_idle(tmp_path: Path) -> None:
    def script(talk: Talk) -> None:
        command = talk.until("UID STORE")
        talk.server.messages[9] = b"Subject: nine\r\n\r\n"
        talk.say("* 4 EXISTS")
        talk.answer(command)
        talk.serve()

    with (
        ScriptedImap(RAW, script) as server,
        Watching(config(server, tmp_path, idle=True, poll_seconds=600)) as watching,
    ):
        watching.wait_for(4)


def test_a_server_that_refuses_idle_is_polled(tmp_path: Path) -> None:
    def script(talk: Talk) -> None:
        while True:
            command = talk.until("IDLE")
            talk.say(f"{command.tag} NO not today")

    with ScriptedImap(RAW, script) as server, Watching(config(server, tmp_path, idle=True)) as watching:
        watching.wait_for(3)
        server.messages[9] = b"Subject: nine\r\n\r\n"
        watching.wait_for(4)
        assert server.connections == 1


@pytest.mark.parametrize("body", ["BODY[] {0}\r\n", 'BODY[] ""', "BODY[] NIL", "FLAGS ()"])
def test_a_message_without_a_body_is_neither_recorded_nor_flagged_but_tried_later(tmp_path: Path, body: str) -> None:
    def script(talk: Talk) -> None:
        command = talk.until("UID FETCH", "BODY")
        for uid in uid_list(command):
            if uid == 2:
                talk.say(f"* 2 FETCH (UID 2 {body})")
            else:
                talk.say(talk.server.fetched(uid, uid, "BODY"))
        talk.ok(command)
        talk.until("UID FETCH", "BODY")
        server.heard.append("x second fetch")
        talk.hear()

    with ScriptedImap(RAW, script) as server, Watching(config(server, tmp_path, timeout_seconds=1)) as watching:
        watching.wait_for(2)
        wait_until(lambda: "x second fetch" in server.heard, "the second fetch")
        assert watching.raws() == [RAW[1], RAW[3]]
        assert server.flags == {1: TAKEN, 3: TAKEN}
        assert [row.uid for row in watching.uids()] == [1, 3]
        watching.wait_for(3)
        wait_until(lambda: server.flags.get(2) == TAKEN, "the flag")


def test_a_message_that_went_between_search_and_fetch_is_nothing_to_speak_of(tmp_path: Path) -> None:
    def script(talk: Talk) -> None:
        talk.answer(talk.until("UID SEARCH"))
        del talk.server.messages[1]
        command = talk.until("UID FETCH", "BODY")
        del talk.server.messages[2]
        talk.answer(command)
        talk.serve()

    with ScriptedImap(RAW, script) as server, Watching(config(server, tmp_path)) as watching:
        watching.wait_for(1)
        watching.wait_for_look()
        assert watching.raws() == [RAW[3]]
        assert watching.state().last_error is None
        assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        ["* SEARCH 1", "* SEARCH", "* SEARCH 3 2"],
        ["* SEARCH 3 1 2 (MODSEQ 917162500)"],
        ["* SEARCH 1 2 2 3 0 4294967296 99999999999999999999999"],
    ],
)
def test_the_list_of_uids_is_understood_in_each_form(tmp_path: Path, answer: list[str]) -> None:
    def script(talk: Talk) -> None:
        command = talk.until("UID SEARCH")
        talk.say(*answer)
        talk.ok(command)
        talk.serve()

    keys = {"poll_seconds": 600}
    with ScriptedImap(RAW, script) as server, Watching(config(server, tmp_path, **keys)) as watching:
        watching.wait_for(3)
        assert watching.raws() == list(RAW.values())


def test_a_search_that_is_refused_is_asked_again(tmp_path: Path) -> None:
    def script(talk: Talk) -> None:
        command = talk.until("UID SEARCH")
        talk.say(f"{command.tag} NO [SERVERBUG] out of order")

    with ScriptedImap(RAW, *[script] * FOR_LONG) as server, Watching(config(server, tmp_path)) as watching:
        watching.wait_for_error("[SERVERBUG] out of order")
        server.mend()
        watching.wait_for(3)


def test_a_size_over_the_limit_is_asked_before_anything_is_fetched(tmp_path: Path) -> None:
    with ScriptedImap(RAW) as server:
        server.sizes[2] = 400 << 20
        with Watching(config(server, tmp_path)) as watching:
            watching.wait_for(2)
            watching.wait_for_look()
            assert watching.raws() == [RAW[1], RAW[3]]
            assert next(line for line in server.heard if "BODY" in line).endswith("1,3 (BODY.PEEK[] INTERNALDATE)")
            assert "419430400 octets" in next(row.reason for row in watching.uids() if row.uid == 2)
            assert 2 not in server.flags


@pytest.mark.parametrize("announced", ["419430400", "99999999999999999999"])
def test_a_literal_that_belies_its_size_is_not_read_and_hurts_only_itself(tmp_path: Path, announced: str) -> None:
    def script(talk: Talk) -> None:
        while True:
            command = talk.until("UID FETCH", "BODY")
            for uid in uid_list(command):
                if uid == 2:
                    talk.say(f"* 2 FETCH (UID 2 BODY[] {{{announced}}}")
                    talk.say(b"x" * 100_000)
                talk.say(talk.server.fetched(uid, uid, "BODY"))
            talk.ok(command)

    with ScriptedImap(RAW, *[script] * FOR_LONG) as server, Watching(config(server, tmp_path)) as watching:
        watching.wait_for(2)
        watching.wait_for_look()
        assert sorted(watching.raws()) == sorted([RAW[1], RAW[3]])
        [refused] = [row for row in watching.uids() if row.inbound_id is None]
        assert (refused.uid, refused.reason) == (2, f"its {announced} octets are more than smtp.max_size, 26214400")
        assert server.flags == {1: TAKEN, 3: TAKEN}


def test_a_body_a_little_over_the_limit_whose_size_lied_is_refused(tmp_path: Path) -> None:
    with ScriptedImap({**RAW, 4: b"Subject: long\r\n\r\n" + b"x" * 2000}) as server:
        server.sizes[4] = 10
        with Watching(config(server, tmp_path, max_size="1 KiB")) as watching:
            watching.wait_for(3)
            watching.wait_for_look()
            assert [row.uid for row in watching.uids() if row.inbound_id is None] == [4]


def test_sizes_that_are_a_little_wrong_are_forgiven(tmp_path: Path) -> None:
    with ScriptedImap(RAW) as server:
        server.sizes = {1: 10, 2: 10, 3: 4000}
        with Watching(config(server, tmp_path)) as watching:
            watching.wait_for(3)
            assert watching.raws() == list(RAW.values())


def test_sizes_that_are_very_wrong_cost_another_attempt(tmp_path: Path) -> None:
    raws = {uid: f"Subject: {uid}\r\n\r\n".encode() + b"x" * 900_000 for uid in range(1, 5)}
    with ScriptedImap(raws) as server:
        server.sizes = dict.fromkeys(raws, 10)
        with Watching(config(server, tmp_path)) as watching:
            watching.wait_for(4)
            assert sorted(watching.raws()) == sorted(raws.values())
            assert server.connections == 2


def test_a_server_that_talks_without_end_is_left(tmp_path: Path) -> None:
    def script(talk: Talk) -> None:
        talk.until("UID SEARCH")
        while True:
            talk.say(*["* OK and another thing"] * 1000)

    def one_line(talk: Talk) -> None:
        talk.until("UID FETCH")
        while True:
            talk.say("x" * 100_000, end="")

    with ScriptedImap(RAW, one_line, script) as server, Watching(config(server, tmp_path)) as watching:
        watching.wait_for(3)


@pytest.mark.parametrize(
    "answer",
    [
        "{tag} NO some of the messages could not be fetched",
        "{tag} BAD internal error",
        "* 2 FETCH (UID 2 BODY[] {{3}}\r\nabc{tag} OK done",
        "* 2 FETCH (UID x BODY[] NIL)\r\n{tag} OK done",
        "* 2 FETCH " + "(" * 5000 + "\r\n{tag} OK done",
        "* 2 FETCH (UID 2 BODY[]\r\n{tag} OK done",
        "* 2 FETCH\r\n{tag} OK done",
        "{tag} WHAT\r\n",
        "* 2 FETCH (UID 2 BODY[] {{" + "9" * 5000 + "}}\r\n",
    ],
)
def test_a_message_that_the_server_cannot_give_hurts_only_itself(tmp_path: Path, answer: str) -> None:
    def script(talk: Talk) -> None:
        while True:
            command = talk.until("UID FETCH", "BODY")
            if 2 in uid_list(command):
                talk.say(answer.format(tag=command.tag))
            else:
                talk.answer(command)

    with (
        ScriptedImap(RAW, *[script] * FOR_LONG) as server,
        Watching(config(server, tmp_path, timeout_seconds=0.5)) as watching,
    ):
        watching.wait_for(2)
        watching.wait_for_error("1 messages cannot be fetched, the first is UID 2")
        assert sorted(watching.raws()) == sorted([RAW[1], RAW[3]])
        server.messages[9] = b"Subject: nine\r\n\r\n"
        watching.wait_for(3)
        assert server.flags == {1: TAKEN, 3: TAKEN, 9: TAKEN}
        assert watching.state().failing_since is None or server.connections > 1


def test_what_could_not_be_fetched_is_taken_once_it_can_be(tmp_path: Path) -> None:
    refusals = iter(range(3))

    def script(talk: Talk) -> None:
        while True:
            command = talk.until("UID FETCH", "BODY")
            if 2 in uid_list(command) and next(refusals, None) is not None:
                talk.say(f"{command.tag} NO not now")
            else:
                talk.answer(command)

    with ScriptedImap(RAW, script) as server, Watching(config(server, tmp_path)) as watching:
        watching.wait_for(3)
        watching.wait_for_look()
        assert watching.state().last_error is None
        assert server.connections == 1


def test_a_message_whose_size_the_server_does_not_tell_waits(tmp_path: Path) -> None:
    def script(talk: Talk) -> None:
        command = talk.until("UID FETCH", "SIZE")
        talk.say("* 1 FETCH (UID 1 RFC822.SIZE 18)", "* 2 FETCH (UID 2 RFC822.SIZE NIL)")
        talk.ok(command)
        talk.serve()

    with ScriptedImap(RAW, script) as server, Watching(config(server, tmp_path)) as watching:
        watching.wait_for(3)


def test_a_folder_of_sixty_thousand_is_compared_and_asked_for_in_bounded_lines(tmp_path: Path) -> None:
    uids = range(4_000_000_000, 4_000_060_000)
    raws = {uid: f"Subject: {uid}\r\n\r\n".encode() for uid in uids}
    with ScriptedImap(raws) as server:
        watching = Watching(config(server, tmp_path))
        watching.start = lambda: None  # type: ignore[method-assign] - not before the rows are there
        with watching:
            del watching.start
            row = {
                "account": f"support@127.0.0.1:{server.port}", "folder": "INBOX", "uidvalidity": 1, "settled": True,
                "reason": "taken long ago", "inbound_id": None,
            }  # fmt: skip
            accept_first(watching)
            with watching.store.write() as connection:
                connection.execute(insert(ImapMessage), [{**row, "inbound_id": 1, "uid": uid} for uid in uids[:58_500]])
            watching.start()
            watching.wait_for(1501)
            assert len(watching.received()) == 1501
        assert max(map(len, server.heard)) < 8000


def test_what_another_daemon_has_taken_meanwhile_is_not_thought_gone(tmp_path: Path) -> None:
    def script(talk: Talk) -> None:
        command = talk.until("UID FETCH", "SIZE")
        talk.server.messages[9] = b"Subject: nine\r\n\r\n"
        accept_first(watching)
        with watching.store.write() as connection:
            folder = Folder(f"support@127.0.0.1:{server.port}", "INBOX", 1)
            record(connection, folder, {9: 1}, settled=False)
        talk.answer(command)
        talk.serve()

    with ScriptedImap(RAW, script) as server:
        watching = Watching(config(server, tmp_path))
        with watching:
            watching.wait_for(4)
            assert server.flags == {1: TAKEN, 2: TAKEN, 3: TAKEN, 9: TAKEN}


def accept_first(watching: Watching) -> None:
    """One inbound row, for rows of messages taken long ago to name."""
    from datetime import UTC, datetime

    from postroom.store.inbound import NewInbound

    now = datetime(2026, 11, 23, tzinfo=UTC)
    watching.intake.accept([NewInbound("support", "support@example.com", b"x", "0" * 64, "imap", None, now)])


def test_a_server_without_move_copies_then_removes_these_only(tmp_path: Path) -> None:
    with (
        ScriptedImap(RAW, capabilities="IMAP4rev1 UIDPLUS") as server,
        Watching(config(server, tmp_path, after="move", move_to="Processed")) as watching,
    ):
        watching.wait_for(3)
        assert server.copied == [1, 2, 3]
        assert server.messages == {}
        names = server.names()
        assert names[names.index("UID COPY") :][:3] == ["UID COPY", "UID STORE", "UID EXPUNGE"]
        assert "EXPUNGE" not in names


def test_a_server_with_move_moves_in_one_step(tmp_path: Path) -> None:
    with (
        ScriptedImap(RAW) as server,
        Watching(config(server, tmp_path, after="move", move_to="Processed")) as watching,
    ):
        watching.wait_for(3)
        assert server.copied == [1, 2, 3]
        assert not {"UID COPY", "UID STORE", "UID EXPUNGE", "EXPUNGE"} & set(server.names())


@pytest.mark.parametrize("after", ["move", "delete"])
def test_without_uidplus_messages_are_marked_and_nothing_is_expunged(tmp_path: Path, after: str) -> None:
    with (
        ScriptedImap(RAW, capabilities="IMAP4rev1") as server,
        Watching(config(server, tmp_path, after=after, move_to="Processed")) as watching,
    ):
        watching.wait_for(3)
        watching.wait_for_look()
        assert server.flags == {1: {"\\Deleted"}, 2: {"\\Deleted"}, 3: {"\\Deleted"}}
        assert server.copied == ([1, 2, 3] if after == "move" else [])
        assert not {"UID EXPUNGE", "EXPUNGE"} & set(server.names())


@pytest.mark.parametrize("cut", ["UID COPY", "UID STORE"])
def test_a_copy_that_was_cut_off_is_not_made_again(tmp_path: Path, cut: str) -> None:
    def script(talk: Talk) -> None:
        command = talk.until(cut)
        if cut == "UID COPY":
            talk.server.copied += uid_list(command)  # done, but nobody hears of it

    with (
        ScriptedImap(RAW, script, capabilities="IMAP4rev1 UIDPLUS") as server,
        Watching(config(server, tmp_path, after="move", move_to="Processed")) as watching,
    ):
        watching.wait_for(3)
        watching.wait_for_look()
        assert server.copied == [1, 2, 3]
        assert set(server.messages) == {1, 2, 3}
        assert {row.reason for row in watching.uids()} == {"left in place: the server may have copied it already"}


def test_a_copy_that_was_refused_is_tried_again(tmp_path: Path) -> None:
    def script(talk: Talk) -> None:
        command = talk.until("UID COPY")
        talk.say(f"{command.tag} NO over quota")
        talk.serve()

    with (
        ScriptedImap(RAW, script, capabilities="IMAP4rev1 UIDPLUS") as server,
        Watching(config(server, tmp_path, after="move", move_to="Processed")) as watching,
    ):
        watching.wait_for(3)
        wait_until(lambda: server.messages == {}, "the move")
        assert server.copied == [1, 2, 3]


@pytest.mark.parametrize("after", ["flag", "delete", "move"])
def test_a_server_that_refuses_to_be_told_still_gives_its_mail(tmp_path: Path, after: str) -> None:
    def script(talk: Talk) -> None:
        while True:
            command = talk.until("UID MOVE" if after == "move" else "UID STORE")
            talk.say(f"{command.tag} NO [NOPERM] you may not")

    with (
        ScriptedImap(RAW, script) as server,
        Watching(config(server, tmp_path, after=after, move_to="Processed")) as watching,
    ):
        watching.wait_for_error("you may not")
        server.messages[9] = b"Subject: nine\r\n\r\n"
        wait_until(lambda: len(watching.received()) == 4, "the new message")
        watching.wait_for_look()
        assert len(watching.received()) == 4
        assert server.connections == 1
        assert [row.settled for row in watching.uids()] == [False] * 4


@pytest.mark.parametrize(
    ("permitted", "expected"), [("\\Seen", {"\\Seen"}), ("\\*", {"$Postroom"}), ("\\Seen $Postroom", TAKEN)]
)
def test_only_flags_that_the_folder_permits_are_set(tmp_path: Path, permitted: str, expected: set[str]) -> None:
    with ScriptedImap(RAW) as server:
        server.permanent_flags = permitted
        with Watching(config(server, tmp_path)) as watching:
            watching.wait_for(3)
            assert server.flags == {1: expected, 2: expected, 3: expected}


def test_a_folder_that_permits_no_flag_is_said_so(tmp_path: Path) -> None:
    with ScriptedImap(RAW) as server:
        server.permanent_flags = ""
        with Watching(config(server, tmp_path)) as watching:
            watching.wait_for_error('permits no flags; set after = "leave"')
            assert len(watching.received()) == 3


def test_leaving_mail_alone_opens_the_folder_read_only(tmp_path: Path) -> None:
    with ScriptedImap(RAW) as server, Watching(config(server, tmp_path, after="leave")) as watching:
        watching.wait_for(3)
        watching.wait_for_look()
        assert not {"SELECT", "UID STORE"} & set(server.names())


@pytest.mark.parametrize("greeting", ["* OK ready", "* PREAUTH welcome back"])
def test_without_starttls_no_password_is_sent(tmp_path: Path, greeting: str) -> None:
    def script(talk: Talk) -> None:
        talk.serve(greeting)

    with ScriptedImap(RAW, script) as server:
        with pytest.raises(UserError, match="STARTTLS"):
            probe(config(server, tmp_path, security="starttls"), "support", "secret")
        assert set(server.names()) <= {"CAPABILITY", "LOGOUT"}


def test_a_preauthenticated_connection_never_skips_starttls(tmp_path: Path) -> None:
    def script(talk: Talk) -> None:
        talk.serve("* PREAUTH welcome back")

    with ScriptedImap(RAW, script, capabilities="IMAP4rev1 STARTTLS") as server:
        with pytest.raises(UserError):
            probe(config(server, tmp_path, security="starttls"), "support", "secret")
        assert set(server.names()) <= {"CAPABILITY", "LOGOUT"}


@pytest.mark.parametrize("injected", ["", "\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN", "\r\n* PREAUTH you are in"])
def test_words_put_in_before_the_handshake_end_the_attempt(
    tmp_path: Path, certificate: Certificate, injected: str
) -> None:
    def script(talk: Talk) -> None:
        command = talk.until("STARTTLS")
        talk.say(f"{command.tag} OK go on{injected}")
        talk.server.wrap(talk)
        talk.serve()

    with ScriptedImap(RAW, script, capabilities=f"{CAPABILITIES} STARTTLS", tls=certificate) as server:
        settings = config(server, tmp_path, security="starttls", ca_file=str(certificate.certificate))
        if injected:
            with pytest.raises(UserError, match="the server went on in the clear after STARTTLS"):
                probe(settings, "support", "secret")
            assert "LOGIN" not in server.names()
        else:
            probe(settings, "support", "secret")


def test_a_server_that_takes_no_password_in_the_clear_is_not_given_one(tmp_path: Path) -> None:
    with ScriptedImap(RAW, capabilities="IMAP4rev1 STARTTLS LOGINDISABLED") as server:
        with pytest.raises(UserError, match="takes no password on this connection"):
            probe(config(server, tmp_path), "support", "secret")
        assert "LOGIN" not in server.names()


def test_what_a_server_says_of_a_login_is_repeated_without_the_password(tmp_path: Path) -> None:
    def script(talk: Talk) -> None:
        command = talk.until("LOGIN")
        talk.say(f"{command.tag} NO [AUTHENTICATIONFAILED] no user \"support\" with 'hunter2' \0\x1b[31m here")

    with ScriptedImap(RAW, script) as server:
        with pytest.raises(UserError) as caught:
            probe(config(server, tmp_path), "support", "hunter2")
        assert str(caught.value) == (
            f"mailbox.support.imap: 127.0.0.1:{server.port} refuses the user support or the password: "
            "[AUTHENTICATIONFAILED] no user \"support\" with '[hidden]' ??[31m here"
        )


@pytest.mark.parametrize(
    "greeting", ["* BYE too many connections", "SSH-2.0-OpenSSH_9.2", "HTTP/1.1 400 Bad Request", "\xff\0", ""]
)
def test_a_greeting_that_is_no_welcome_is_told_and_tried_again(tmp_path: Path, greeting: str) -> None:
    def script(talk: Talk) -> None:
        talk.say(greeting)

    with ScriptedImap(RAW, script, script) as server:
        with pytest.raises(UserError, match="cannot connect"):
            probe(config(server, tmp_path), "support", "secret")
        with Watching(config(server, tmp_path)) as watching:
            watching.wait_for(3)


@pytest.mark.parametrize(
    "line", ["* OK [UIDVALIDITY 0] ok", "* OK [UIDVALIDITY 99999999999] ok", "* OK [UIDVALIDITY x] ok", "* OK ok"]
)
def test_a_folder_without_a_uidvalidity_is_not_touched(tmp_path: Path, line: str) -> None:
    def script(talk: Talk) -> None:
        command = talk.until("SELECT")
        talk.say("* 3 EXISTS", line)
        talk.ok(command)

    with ScriptedImap(RAW, *[script] * FOR_LONG) as server, Watching(config(server, tmp_path)) as watching:
        watching.wait_for_error("cannot open the folder 'INBOX'")
        server.mend()
        watching.wait_for(3)


@pytest.mark.parametrize("command", ["LOGIN", "UID FETCH", "IDLE"])
def test_a_stop_interrupts_whatever_is_waited_for(tmp_path: Path, command: str) -> None:
    def script(talk: Talk) -> None:
        talk.until(command)
        server.heard.append("x reached")
        talk.hear()

    keys = {"idle": True, "poll_seconds": 600, "timeout_seconds": 600}
    with ScriptedImap(RAW, script) as server, Watching(config(server, tmp_path, **keys)) as watching:
        wait_until(lambda: "x reached" in server.heard, command)
        watching.stop()  # fails where the thread does not end


def test_a_stop_interrupts_an_attempt_to_connect(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as closing:
        port = full.getsockname()[1]
        for _ in range(3):  # fills the backlog: the next connection gets no answer
            waiting = closing.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        wait_until(lambda: attempts(port) > 0, "a full backlog")
        before = attempts(port)
        with Watching(configuration(tmp_path, "127.0.0.1", port, timeout_seconds=600)) as watching:
            wait_until(lambda: attempts(port) > before, "the attempt")
            watching.stop()  # fails where the thread does not end


def attempts(port: int) -> int:
    """How many connections to the port have been asked for and not answered (SYN_SENT)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "02" for row in rows)
