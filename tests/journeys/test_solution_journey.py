"""The real daemon: a solution goes its whole way by SMTP, with review, the customer's link, closing and feedback."""

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
[agent.ann]
name = "Ann Agent"
address = "ann@example.com"
[agent.bob]
name = "Bob Agent"
address = "bob@example.com"
[mailbox.support]
address = "support@example.com"
queue = "support"
[notify]
feedback_request = true
[tickets]
close_solved_hours = 0.0001
feedback_after_hours = 0
"""
CY, ANN, BOB = "cy@customer.example", "ann@example.com", "bob@example.com"


def test_a_solution_goes_its_way_from_proposal_to_feedback(start_daemon, store):
    daemon = start_daemon(CONFIG + store)

    def send(raw, sender, recipient):
        with smtplib.SMTP("127.0.0.1", daemon.smtp_port, timeout=30) as client:
            client.sendmail(sender, [recipient], raw)

    def got(recipient, words):
        def found():
            mails = [parse(path.read_bytes()) for path in (daemon.folder / "var/outgoing/new").glob("*")]
            return [m for m in mails if any(a.address == recipient for a in m.to) and words in m.text]

        return wait_until(found, f"{words!r} to {recipient}")[-1]

    send(mail(), CY, "support@example.com")
    notice = got(ANN, "It burns.")
    send(answer(notice, "#solution\nWe changed the fuse.\n"), ANN, notice.reply_to[0].address)
    question = got(BOB, "for you to review")
    send(answer(question, "#approve\n", "Bob Agent <bob@example.com>"), BOB, question.reply_to[0].address)
    solved, _ = links_of(got(CY, "We changed the fuse."))
    send(*by_cy(press(solved, f"Cy <{CY}>")))
    got(ANN, "is solved, says its customer")
    daemon.stop()
    daemon.start()  # what has become due meanwhile is done at once
    links = links_of(got(CY, "How did you find our help?"))
    send(*by_cy(press(links[3], f"Cy <{CY}>", "Quick.")))
    assert "Quick." in got(ANN, "4 of 5").text
    [ticket] = daemon.json("tickets", "export")
    assert (ticket["status"], ticket["satisfaction"]) == ("closed", {"rating": 4, "notes": "Quick."})
    [solution] = ticket["solutions"]
    assert (solution["state"], solution["proposedBy"], solution["reviewedBy"]) == ("solved", "ann", "bob")
    steps = [e["detail"].get("what") for e in ticket["activity"] if e["event"] in ("solution", "feedback")]
    assert steps == ["proposed", "approved", "solved", "asked", None]


def by_cy(pressed):
    raw, address = pressed
    return raw, CY, address
