"""`postroom demo`: the main job, on a real daemon, step by step, with the actual mails."""

from __future__ import annotations

import signal
import sys
import time
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import TYPE_CHECKING, Any, NoReturn

import click

from postroom.cli import output
from postroom.errors import UserError

if TYPE_CHECKING:
    from postroom.cli.demo_stage import Stage

CARLA, ANN, SUPPORT = "carla@customer.example.org", "ann@example.com", "support@example.com"
HEADERS = (
    "From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Reply-To", "Auto-Submitted",
)  # fmt: skip
VALUE_MAX = 96  # columns of a header's value
TEXT_LINES = 14  # of a mail's text

QUESTION = """\
Hello,

since this morning the coffee machine on the third floor leaks.
There is a puddle under it, and nobody dares to make espresso.

Could you send somebody?

Carla
"""
ANSWER = """\
Hello Carla,

that sounds like the seal. Please unplug the machine; Tom comes by
at two o'clock and replaces it.

Ann
"""
THANKS = """\
It is unplugged. Two o'clock is perfect, thank you!

Carla
"""


@click.command("demo")
@click.option("--keep", is_flag=True, help="Keep the temporary directory, with its database, mail and log.")
def command(keep: bool) -> None:
    """The main job on built-in mail, in a temporary directory, narrated; exits by itself.

    A real daemon takes a customer's mail by SMTP, opens a ticket and confirms it; an agent answers by mail;
    the customer answers back. No network beyond this machine, no configuration.
    """
    from postroom.cli.demo_stage import Stage, StepFailed

    began = time.monotonic()
    signal.signal(signal.SIGTERM, _end)  # so that the daemon is stopped and the directory removed
    with Stage(keep) as stage:
        story = Story(stage)
        try:
            story.tell()
        except StepFailed as error:
            click.echo(click.style(f"\n  ✗ {error}", fg="red", bold=True))
            click.echo("\n  the last lines of the daemon's log:")
            output.body("\n".join(stage.log_tail()))
            raise UserError(f"the demo failed at step {story.step}, {story.title!r}: {error}") from error
    click.echo(f"\nAll of it happened, in {time.monotonic() - began:.1f} seconds.")
    if keep:
        click.echo(f"Look around: postroom -c {stage.config} tickets list; then remove {stage.folder}")


def _end(_number: int, _frame: Any) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


class Story:
    """The steps, in their order; each fails the demo where it does not happen."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.step, self.title = 0, ""

    def tell(self) -> None:
        """The whole story."""
        click.echo(click.style("Postroom: the main job, on a real daemon\n", bold=True) + f"in {self._stage.folder}")
        self._start()
        question = self._customer_writes()
        self._confirmation(question)
        notice = self._notice()
        answer = self._agent_answers(notice, question)
        thanks = self._customer_answers(answer)
        self._same_bytes_again(thanks)
        self._look_at_it()
        self._stop()

    def _start(self) -> None:
        self._begin("The daemon starts")
        port = self._stage.wait_until_ready()
        self._happened(f"process {self._stage.pid} takes mail on 127.0.0.1:{port}, and serves {SUPPORT}")

    def _customer_writes(self) -> EmailMessage:
        self._begin("A customer writes to support")
        mail = _mail(f"Carla Customer <{CARLA}>", SUPPORT, "The coffee machine leaks", QUESTION, "1")
        self._hand_in(CARLA, SUPPORT, mail)
        ticket = self._stage.wait_for_ticket("a ticket with the mail", lambda t: _has(t, mail))
        self.ref = str(ticket["ref"])
        self._happened(
            f"ticket {self.ref} is {ticket['status']}: {ticket['subject']!r}, for {ticket['submitterEmail']}"
        )
        return mail

    def _confirmation(self, question: EmailMessage) -> None:
        self._begin("The customer gets a confirmation")
        mail = self._stage.wait_for_mail(CARLA, f"a confirmation to {CARLA}")
        _show(mail)
        self._is_true(self.ref in mail["Subject"], f"it names {self.ref}")
        self._is_true(
            mail["In-Reply-To"] == question["Message-ID"], "it answers the mail, in the customer's own thread"
        )
        self._is_true(
            mail["Auto-Submitted"] == "auto-replied", "it says that no person wrote it, so no machine answers"
        )

    def _notice(self) -> EmailMessage:
        self._begin("The agent is told of the new ticket")
        mail = self._stage.wait_for_mail(ANN, f"a notice to {ANN}")
        _show(mail)
        self._is_true(
            _address(mail["Reply-To"]).startswith("support+"),
            "its Reply-To is signed, for this ticket and for Ann alone",
        )
        return mail

    def _agent_answers(self, notice: EmailMessage, question: EmailMessage) -> EmailMessage:
        self._begin("The agent answers, from her own mail program")
        to = _address(notice["Reply-To"])
        mail = _answer(notice, f"Ann Agent <{ANN}>", to, ANSWER, "2")
        self._hand_in(ANN, to, mail)
        sent = self._stage.wait_for_mail(CARLA, f"the answer to {CARLA}")
        click.echo("  and this is what goes to the customer:\n")
        _show(sent)
        text = _text(sent)
        self._is_true("Please unplug the machine" in text, "the customer reads what Ann wrote")
        self._is_true(
            "support+" in sent["Reply-To"] and ANN not in str(sent), "and answers to support, not to Ann's own address"
        )
        self._is_true(question["Message-ID"] in str(sent["References"]), "in the same thread of her mail program")
        ticket = self._stage.wait_for_ticket("the answer on the ticket", lambda t: len(t["messages"]) == 2)
        self._happened(f"{self.ref} is {ticket['status']}, assigned to {ticket['assignedTo']}")
        return sent

    def _customer_answers(self, answer: EmailMessage) -> bytes:
        self._begin("The customer answers back")
        to = _address(answer["Reply-To"])
        mail = _answer(answer, f"Carla Customer <{CARLA}>", to, THANKS, "3")
        raw = self._hand_in(CARLA, to, mail)
        ticket = self._stage.wait_for_ticket("the customer's answer on the same ticket", lambda t: _has(t, mail))
        self._is_true(ticket["ref"] == self.ref, f"it joined {self.ref}")
        self._is_true(len(self._stage.tickets()) == 1, "it opened no other ticket")
        words = ticket["messages"][-1]["message"].strip()
        self._is_true("unplugged" in words and "Ann" not in words, "the quoted history was folded away")
        self._stage.wait_for_mail(ANN, f"a notice to {ANN}")
        self._happened(f"{self.ref} is {ticket['status']} again, and Ann was told")
        return raw

    def _same_bytes_again(self, raw: bytes) -> None:
        self._begin("The same bytes arrive again, as happens when a connection breaks at the last moment")
        before = self._everything()
        to = self._stage.mails_in()[0].recipient
        self._happened(f"the daemon says {self._stage.hand_in(CARLA, to, raw)}")
        self._is_true(
            before == self._everything(), "no ticket, no message, no mail came of it: everything is as it was"
        )
        self._happened(f"{self._stage.delivered()} mails went out in all, none of them twice")

    def _everything(self) -> tuple[list[Any], list[Any], list[Any], int]:
        return self._stage.mails_out(), self._stage.mails_in(), self._stage.tickets(), self._stage.delivered()

    def _look_at_it(self) -> None:
        self._begin(f"This is what `postroom tickets show {self.ref}` prints")
        click.echo()
        output.body(self._stage.run("tickets", "show", self.ref), "  │ ")
        newest = self._stage.mails_in()[0].id
        click.echo(f"\n  and this is why the last mail is there: `postroom inbound explain {newest}`\n")
        output.body(self._stage.run("inbound", "explain", str(newest)), "  │ ")

    def _stop(self) -> None:
        self._begin("The daemon stops")
        status = self._stage.stop()
        self._is_true(status == 0, f"process {self._stage.pid} is gone, with status {status}")

    def _begin(self, title: str) -> None:
        self.step, self.title = self.step + 1, title
        click.echo("\n" + click.style(f"{self.step}. {title}", bold=True))

    def _hand_in(self, sender: str, recipient: str, mail: EmailMessage) -> bytes:
        _show(mail)
        raw = mail.as_bytes()
        self._happened(f"by SMTP; the daemon says {self._stage.hand_in(sender, recipient, raw)}")
        return raw

    def _happened(self, words: str) -> None:
        click.echo("  " + click.style("✓", fg="green", bold=True) + " " + output.one_line(words))

    def _is_true(self, is_so: bool, words: str) -> None:
        from postroom.cli.demo_stage import StepFailed

        if not is_so:
            raise StepFailed(f"this should be so, and is not: {words}")
        self._happened(words)


def _mail(sender: str, to: str, subject: str, text: str, name: str) -> EmailMessage:
    """A mail as a mail program writes it."""
    from datetime import UTC, datetime
    from email import policy

    mail = EmailMessage(policy=policy.SMTP)
    mail["From"], mail["To"], mail["Subject"] = sender, to, subject
    now = datetime.now(UTC)
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{now:%Y%m%d%H%M%S}.{name}@{_address(sender).rpartition('@')[2]}>"
    mail.set_content(text)
    return mail


def _answer(to_mail: EmailMessage, sender: str, to: str, text: str, name: str) -> EmailMessage:
    """A reply as a mail program writes it: threaded, its history quoted."""
    quoted = "\n".join(f"> {line}".rstrip() for line in _text(to_mail).strip().splitlines())
    who = parseaddr(str(to_mail["From"]))[0]
    subject = str(to_mail["Subject"])
    subject = subject if subject.lower().startswith("re:") else f"Re: {subject}"
    mail = _mail(sender, to, subject, f"{text}\nOn {to_mail['Date']}, {who} wrote:\n{quoted}\n", name)
    mail["In-Reply-To"] = to_mail["Message-ID"]
    mail["References"] = f"{to_mail['References'] or ''} {to_mail['Message-ID']}".strip()
    return mail


def _show(mail: EmailMessage) -> None:
    """A mail as it is, trimmed to what the eye needs."""
    click.echo(click.style("  ┌" + "─" * 60, dim=True))
    bar = click.style("  │ ", dim=True)
    for name in HEADERS:
        if mail[name]:
            value = output.one_line(str(mail[name]))
            value = value if len(value) <= VALUE_MAX else value[: VALUE_MAX - 1] + "…"
            click.echo(bar + click.style(f"{name}: ", fg="cyan") + value)
    click.echo(bar.rstrip())
    lines = output.clean(_text(mail)).strip().splitlines()
    for line in lines[:TEXT_LINES]:
        click.echo((bar + line).rstrip())
    if len(lines) > TEXT_LINES:
        click.echo(bar + click.style(f"… {len(lines) - TEXT_LINES} more lines", dim=True))
    click.echo(click.style("  └" + "─" * 60, dim=True))


def _text(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    return "" if part is None else str(part.get_content()).replace("\r\n", "\n")


def _address(header: Any) -> str:
    return parseaddr(str(header))[1]


def _has(ticket: dict[str, Any], mail: EmailMessage) -> bool:
    return any(message["messageId"] == mail["Message-ID"].strip("<>") for message in ticket["messages"])
