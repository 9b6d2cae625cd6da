"""A whole desk by mail alone: two queues, three agents, and a solution that a reviewer and its customer refuse first."""

import smtplib

import pytest
from peers.house import answer, mail
from peers.links import links_of, press
from peers.processes import wait_until

from postroom.parsers.email import parse

pytestmark = pytest.mark.xdist_group("journeys")

CONFIG = """
[smtp]
listen = ["127.0.0.1:{port}"]
[queue.support]
agents = ["ann", "bob"]
review_solutions = "always"
[queue.sales]
agents = ["cora"]
[agent.ann]
name = "Ann Agent"
address = "ann@example.com"
[agent.bob]
name = "Bob Agent"
address = "bob@example.com"
language = "de"
[agent.cora]
name = "Cora Agent"
address = "cora@example.com"
[mailbox.support]
address = "support@example.com"
queue = "support"
[mailbox.sales]
address = "sales@example.com"
queue = "sales"
[notify]
feedback_request = true
[tickets]
feedback_after_hours = 0
"""
CY, ANN, BOB, CORA = "cy@customer.example", "ann@example.com", "bob@example.com", "cora@example.com"
NAMES = {CY: f"Cy <{CY}>", ANN: f"Ann Agent <{ANN}>", BOB: f"Bob Agent <{BOB}>", CORA: f"Cora Agent <{CORA}>"}


class Post:
    """The people's mail programs: what they send goes in by SMTP, what they got lies in the Maildir."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.folder = daemon.folder / "var/outgoing/new"

    def send(self, sender, recipient, raw):
        with smtplib.SMTP("127.0.0.1", self.daemon.smtp_port, timeout=30) as client:
            client.sendmail(sender, [recipient], raw)

    def reply(self, who, received, text):
        self.send(who, received.reply_to[0].address, answer(received, text, NAMES[who]))

    def press(self, link, more=""):
        raw, address = press(link, NAMES[CY], more)
        self.send(CY, address, raw)

    def all_to(self, who):
        mails = [parse(path.read_bytes()) for path in self.folder.glob("*")]
        return [one for one in mails if any(to.address == who for to in one.to)]

    def got(self, who, words, count=1):
        """The one mail to `who` that says this; of several the last that is new to him."""

        def found():
            mails = [one for one in self.all_to(who) if words in " ".join(one.text.split())]
            return mails if len(mails) >= count else None

        mails = wait_until(found, f"{count} × {words!r} to {who}")
        assert len(mails) == count
        return max(mails, key=lambda one: (one.date, len(one.references)))


def test_a_ticket_is_taken_discussed_reviewed_refused_solved_and_rated_by_mail_alone(start_daemon):
    daemon = start_daemon(CONFIG)
    post = Post(daemon)
    post.send(CY, "support@example.com", mail(NAMES[CY]))
    confirmed = post.got(CY, "we have received your message")
    assert "T-1001" in confirmed.text
    notice = post.got(ANN, "New ticket T-1001 in Support")
    post.got(BOB, "Neues Ticket T-1001 in Support")

    post.reply(ANN, notice, "#assign me\n")
    post.reply(ANN, notice, "#note @bob @cora, have you seen such a printer?\n")
    told = post.got(BOB, "hat zu T-1001 eine Notiz für Sie geschrieben")
    post.got(CORA, "wrote a note for you on T-1001")
    post.reply(BOB, told, "#note\nIt is always the fuse.\n")
    noted = post.got(ANN, "wrote a note on T-1001, which is yours")
    assert "It is always the fuse." in noted.text

    post.reply(ANN, noted, "#solution\nThe fuse.\n")
    question = post.got(BOB, "Bitte prüfen Sie sie")
    post.reply(BOB, question, "#refuse\nSay what we did with it.\n")
    sent_back = post.got(ANN, "does not agree with your solution of T-1001")
    assert "Bob Agent does not agree" in sent_back.text
    assert "Say what we did with it." in sent_back.text
    assert "The solution was:\n\nThe fuse." in sent_back.text
    post.reply(ANN, sent_back, "#solution\nWe changed the fuse.\n")
    post.reply(BOB, post.got(BOB, "We changed the fuse."), "#approve\n")
    _, not_solved = links_of(post.got(CY, "We changed the fuse."))
    post.press(not_solved, "It still burns.")

    refused = post.got(ANN, "T-1001 is not solved, says its customer")
    assert "It still burns." in refused.text
    assert "We changed the fuse." in refused.text
    post.reply(ANN, refused, "#solution\nYour new printer is on its way.\n")
    post.reply(BOB, post.got(BOB, "Your new printer is on its way."), "#approve\n")
    solved, _ = links_of(post.got(CY, "Your new printer is on its way."))
    post.press(solved)
    post.got(ANN, "T-1001 is solved, says its customer")

    daemon.stop()
    daemon.start()  # what has become due meanwhile is done at once
    links = links_of(post.got(CY, "How did you find our help?"))
    post.press(links[4], "Thank you.")
    assert "Thank you." in post.got(ANN, "5 of 5").text

    [ticket] = daemon.json("tickets", "export")
    assert (ticket["status"], ticket["assignedTo"], ticket["satisfaction"]["rating"]) == ("closed", "ann", 5)
    assert [one["state"] for one in ticket["solutions"]] == ["sent_back", "refused", "solved"]
    post.got(ANN, "Say what we did with it.")  # once, not as a colleague's note beside
    heard = " ".join(one.text for one in post.all_to(CY))
    assert len(post.all_to(CY)) == 4  # confirmed, two solutions, and how it was
    assert not [words for words in ("always the fuse", "such a printer", "Say what we did") if words in heard]
