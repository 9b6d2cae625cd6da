"""`postroom send-test ADDRESS`: does mail get out? One mail, sent at once by the configured way, each step told."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email import utils
from email.message import EmailMessage
from email.policy import SMTP
from typing import TYPE_CHECKING, Any

import click

from postroom import config
from postroom.cli import output
from postroom.errors import PermanentFailure, TemporaryFailure, TryAgainLater, UserError

if TYPE_CHECKING:
    from postroom.store.outbox import Claimed

MARKS = {"client": ">", "server": "<", "note": "*"}
TEXT = """This is a test of the way that mail takes from {mailbox}, sent by `postroom send-test` at {date}.

That it is here shows that the smarthost delivers. Is it in the inbox, and not with the spam?
"""


@click.command("send-test")
@click.argument("address")
@click.option("--mailbox", "name", metavar="NAME", help="Send from this mailbox, its way; else from the first one.")
@click.option("--json", "as_json", is_flag=True, help="One object, with every step.")
@click.pass_obj
def command(config_path: str | None, address: str, name: str | None, as_json: bool) -> None:
    """Send a test mail to ADDRESS directly, past the outbox, and tell each step: connection, TLS, login, envelope, answer."""
    from postroom.outbound.addresses import is_sendable

    settings = config.load(config_path)
    name = name or next(iter(settings.mailbox))
    if name not in settings.mailbox:
        raise UserError(f"there is no mailbox {name}; there are: {', '.join(settings.mailbox)}")
    if not is_sendable(address):
        raise UserError(f"{address!r} is not an address such as ann@example.com")
    steps: list[dict[str, Any]] = []
    began = time.monotonic()

    def narrate(who: str, line: str) -> None:
        line, seconds = output.one_line(line), round(time.monotonic() - began, 3)
        steps.append({"who": who, "line": line, "seconds": seconds})
        if not as_json:
            click.echo(f"{click.style(f'{seconds:7.3f}', dim=True)} {MARKS[who]} {line}")

    mail = _mail(settings, name, address)
    answer, error = None, None
    try:
        answer = asyncio.run(_send(settings, name, mail, narrate))
    except (PermanentFailure, TemporaryFailure) as failure:
        error = failure
    if as_json:
        output.print_json({
            "sent": error is None, "recipient": address, "mailbox": name, "messageId": mail.email_message_id,
            "answer": answer, "error": str(error) if error else None, "temporary": isinstance(error, TemporaryFailure), "steps": steps,
        })  # fmt: skip
    if isinstance(error, TemporaryFailure):
        raise TryAgainLater(f"not sent, and may go later: {error}")
    if error:
        raise UserError(f"refused: {error}")
    if not as_json:
        click.echo(f"sent: {output.one_line(answer or '')}")


def _mail(settings: config.Config, name: str, address: str) -> Claimed:
    """A mail that says what it is; its own address is the envelope's sender, so that a bounce is seen."""
    from postroom.outbound.addresses import as_written, domain_of
    from postroom.store.outbox import Claimed

    sender, now, key = settings.mailbox[name].address, datetime.now(UTC), secrets.randbits(63)
    date = utils.format_datetime(now)
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"], message["Subject"] = sender, as_written(address), "Test mail from Postroom"
    message["Date"], message["Message-ID"] = date, f"<test.{key:x}@{domain_of(sender)}>"
    message["Auto-Submitted"], message["X-Auto-Response-Suppress"] = "auto-generated", "All"
    message.set_content(TEXT.format(mailbox=sender, date=date))
    id_ = str(message["Message-ID"]).strip("<>")
    return Claimed(0, key, None, "test", True, name, address, sender, id_, 1, now, message.as_bytes())


async def _send(settings: config.Config, name: str, mail: Claimed, narrate: Callable[[str, str], None]) -> str:
    if settings.outgoing.courier == "maildir":
        from postroom.outbound.maildir import MaildirCarrier

        folder = settings.resolve(settings.outgoing.maildir)
        narrate(
            "note", f"writing into the Maildir {folder}: outgoing.courier is maildir, and no mail leaves this machine"
        )
        return await MaildirCarrier(folder).carry(mail, _nothing)
    from postroom.daemon.credentials import of_smarthost
    from postroom.outbound.smarthost import SmarthostCarrier
    from postroom.outbound.ways import path_of

    path = path_of(settings, name)
    peer = settings.smarthosts()[path]
    credential = of_smarthost(settings, path)
    narrate("note", f"by [{path}], {peer.protocol.upper()}, security: {peer.transport}, user: {peer.user or 'none'}")
    return await SmarthostCarrier(settings, path, peer, credential).narrated(mail, narrate)


async def _nothing() -> None:
    pass
