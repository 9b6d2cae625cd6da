"""A test mail: each step is told, no secret is, and the exit status says whether trying again helps."""

from __future__ import annotations

import json

import pytest
from peers.commandline import call
from peers.courier import settings
from peers.smarthost import Smarthost


@pytest.fixture
def run(tmp_path, smarthost):
    def run(*arguments, text=None):
        path = tmp_path / "postroom.toml"
        path.write_text(text or settings(smarthost))
        return call("-c", str(path), "send-test", *arguments)

    return run


def test_each_step_is_told_and_the_mail_says_what_it_is(run, smarthost):
    ran = run("ann@example.org")
    assert ran.status == 0, ran.err
    lines = [line.split(maxsplit=1)[1] for line in ran.out.splitlines()[:-1]]
    assert lines[0] == "* by [outgoing.smtp], SMTP, security: none, user: none"
    for line in (
        "< 220 smarthost.test ESMTP",
        "> RCPT TO:<ann@example.org> NOTIFY=FAILURE,DELAY ORCPT=rfc822;ann@example.org",
        "> DATA",
        "> QUIT",
    ):
        assert line in lines
    assert ran.out.splitlines()[-1] == "sent: 250 2.0.0 taken"
    [taken] = smarthost.messages
    assert (taken.sender, taken.message["Auto-Submitted"]) == ("support@localhost", "auto-generated")


def test_a_password_is_told_to_nobody(run, certificate, monkeypatch):
    monkeypatch.setenv("SMTP_SECRET", "s3cret-canary")
    with Smarthost(certificate, {"support": "s3cret-canary"}) as server:
        text = settings(
            server,
            security="starttls",
            ca_file=str(certificate.certificate),
            user="support",
            password_env="SMTP_SECRET",
        )
        ran = run("ann@example.org", text=text)
        assert ran.status == 0, ran.err
        assert "* encrypted with TLSv1.3" in ran.out
        assert "> AUTH PLAIN ..." in ran.out
        assert "canary" not in ran.out + ran.err
        assert "AHN1cHBvcnQ" not in ran.out  # nor in base64
        assert server.messages[0].user == "support"


@pytest.mark.parametrize(
    ("verb", "reply", "status", "words"),
    [
        ("RCPT", "550 5.1.1 no such user", 1, "postroom: refused: 550 5.1.1 no such user"),
        ("RCPT", "450 4.2.1 busy", 75, "postroom: not sent, and may go later: 450 4.2.1 busy"),
        ("CONNECT", "554 5.7.1 not you", 75, "the greeting: 554 5.7.1 not you"),
    ],
)
def test_what_goes_wrong_is_one_line_and_the_status_says_whether_to_try_again(
    run, smarthost, verb, reply, status, words
):
    smarthost.on(verb, reply)
    ran = run("ann@example.org")
    assert (ran.status, words in ran.err, len(ran.err.splitlines())) == (status, True, 1)


def test_json_has_every_step_also_of_a_failure(run, smarthost):
    smarthost.on("DOT", "554 5.7.1 spam")
    ran = run("ann@example.org", "--json")
    said = json.loads(ran.out)
    assert (ran.status, said["sent"], said["error"], said["temporary"]) == (1, False, "554 5.7.1 spam", False)
    assert [step["line"] for step in said["steps"] if step["who"] == "client"][-1] == "QUIT"


def test_it_goes_the_way_of_the_mailbox(run, smarthost):
    with Smarthost() as other:
        text = settings(smarthost) + settings(other, "smarthost.other") + (
            "[mailbox.support]\naddress = 'support@example.com'\nqueue = 'support'\n"
            "[mailbox.sales]\naddress = 'sales@example.com'\nqueue = 'support'\nsmarthost = 'other'\n"
        )  # fmt: skip
        assert run("ann@example.org", "--mailbox", "sales", text=text).status == 0
        assert (len(smarthost.messages), other.messages[0].sender) == (0, "sales@example.com")
        assert (
            "there is no mailbox x; there are: support, sales"
            in run("ann@example.org", "--mailbox", "x", text=text).err
        )


def test_into_a_maildir_it_says_that_nothing_leaves_the_machine(run, tmp_path):
    ran = run("ann@example.org", text=f"[outgoing]\nmaildir = '{tmp_path}/out'\n")
    assert (ran.status, "no mail leaves this machine" in ran.out) == (0, True)
    assert len(list((tmp_path / "out" / "new").iterdir())) == 1


def test_what_is_no_address_is_sent_nothing(run, smarthost):
    assert "is not an address" in run("ann").err
    assert "is not an address" in run("ann@example.org>\r\nRCPT TO:<x@example.org").err
    assert smarthost.connections == 0
