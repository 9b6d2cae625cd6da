"""Nobody's relay: a thousand mails with forged senders, whose every field advertises, over SMTP into a real daemon.

What goes out by itself stays within the limits, and holds no word of the senders'. One thing of theirs stands in it, where no mail
program shows it: In-Reply-To and References name the Message-ID that is answered, or no program could thread it.
"""

import email
import email.policy
import re
import smtplib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from peers.processes import wait_until
from peers.world import clock_environment

MAILS, DOMAINS, CLIENTS = 1000, 25, 4
PER_DOMAIN, ALL = 30, 500  # the limits of an hour, as they are by default
CONFIG = """
[smtp]
listen = ["127.0.0.1:{port}"]
[processing]
workers = 1
[mailbox.support]
address = "support@desk.example"
queue = "support"
"""
PLACES = (
    "subject", "name", "local", "comment", "id", "references", "topic", "index", "file", "text", "html", "reply", "organization",
    "keywords", "sender", "cc", "language", "mailer",
)  # fmt: skip


def words(number):
    """A word for each place that a mail has, none of which stands anywhere else."""
    random = Random(number)
    return {place: "".join(random.choices("bcdfghjkmnpqrstvwxz", k=14)) for place in PLACES}


def advertisement(number):
    """A mail, and whom it pretends to be from."""
    w = words(number)
    sender = f"{w['local']}@victims{number % DOMAINS}.example"
    return sender, (
        f'From: "{w["name"]} http://{w["name"]}.example" ({w["comment"]}) <{sender}>\r\n'
        f'To: "{w["cc"]}" <support@desk.example>\r\nSubject: [T-1001] Re: BUY {w["subject"]} http://{w["subject"]}.example\r\n'
        f"Message-ID: <{w['id']}@spam.example>\r\nReferences: <{w['references']}@spam.example>\r\nIn-Reply-To: <{w['references']}@spam.example>\r\n"
        f"Thread-Topic: {w['topic']}\r\nThread-Index: {w['index']}AAAA\r\nReply-To: {w['reply']} <{w['reply']}@spam.example>\r\n"
        f"Sender: {w['sender']}@spam.example\r\nOrganization: {w['organization']}\r\nKeywords: {w['keywords']}\r\nX-Mailer: {w['mailer']}\r\n"
        f"Content-Language: de, {w['language']}\r\nDate: Tue, 24 Nov 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
        f"--b\r\nContent-Type: text/plain\r\n\r\nBuy {w['text']} now!\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>Buy <a href='http://x.example'>{w['html']}</a></p>\r\n"
        f'--b\r\nContent-Type: application/pdf; name="{w["file"]}.pdf"\r\nContent-Disposition: attachment; filename="{w["file"]}.pdf"\r\n\r\nx\r\n--b--\r\n'
    ).encode()


def send(port, numbers):
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        for number in numbers:
            sender, content = advertisement(number)
            client.sendmail(sender, ["support@desk.example"], content)


def outgoing(daemon):
    """Every mail that was sent, by its recipient."""
    files = (daemon.folder / "var" / "outgoing" / "new").glob("*")
    return [file.read_bytes() for file in files]


def settled(daemon):
    status = daemon.json("status")[0]
    waits = status["inbound"].get("pending", 0) + status["inbound"].get("processing", 0) + status["outboxDepth"]
    return None if waits else status


@pytest.mark.xdist_group("loops")
def test_a_thousand_forged_advertisements_relay_no_word(start_daemon, tmp_path):
    clock = tmp_path / "clock"
    clock.write_text("0")
    daemon = start_daemon(CONFIG, env=clock_environment(clock))
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(lambda first: send(daemon.smtp_port, range(first, MAILS, CLIENTS)), range(CLIENTS)))
    status = wait_until(lambda: settled(daemon), "everything is processed and sent", 120)
    mails = outgoing(daemon)
    domains = Counter()
    by_recipient = {}
    for raw in mails:
        message = email.message_from_bytes(raw, policy=email.policy.default)
        recipient = message["To"].addresses[0].addr_spec
        domains[recipient.partition("@")[2]] += 1
        assert by_recipient.setdefault(recipient, raw) is raw, "one mail to each"
    assert ALL * 0.9 < len(mails) <= ALL
    assert max(domains.values()) <= PER_DOMAIN
    assert status["breakerOpen"]
    assert status["breakerClosesAt"]
    every = {word: place for number in range(MAILS) for place, word in words(number).items()}
    for recipient, raw in by_recipient.items():
        # the address itself has to stand in To, and the Message-ID where it is answered
        shown = re.sub(rb"(?im)^(?:In-Reply-To|References):[^\r\n]*(?:\r\n[ \t][^\r\n]*)*\r\n", b"", raw).decode()
        shown = shown.replace(f"To: {recipient}\r\n", "")
        found = {every[word] for word in re.findall(r"[bcdfghjkmnpqrstvwxz]{14}", shown.lower()) if word in every}
        assert found == set(), shown
        threaded = email.message_from_bytes(raw, policy=email.policy.default)
        assert str(threaded["References"]) == str(threaded["In-Reply-To"])
        assert "spam.example" in threaded["In-Reply-To"]
    clock.write_text("3600")  # the breaker closes by itself
    wait_until(lambda: not daemon.json("status")[0]["breakerOpen"], "the breaker is closed")
    send(daemon.smtp_port, [MAILS])
    wait_until(lambda: len(outgoing(daemon)) == len(mails) + 1, "the next one is answered again")
