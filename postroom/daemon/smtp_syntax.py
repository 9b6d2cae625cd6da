"""What do MAIL and RCPT say? An address and parameters, by the grammar of RFC 5321 §4.1.1 and §4.1.2.

aiosmtpd reads a path by the grammar of message headers, where it breaks on hostile input, and looks each parameter up in
the middle of its answering.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_ADDRESS = 320  # octets: 64, @, 255 (RFC 5321 §4.5.3.1)
BODIES = {"7BIT", "8BITMIME"}  # RFC 6152
MALFORMED = "553 5.1.3 malformed address"

# A path and the parameters behind it (RFC 5321 §4.1.2); a source route is read over (appendix C).
PATH = re.compile(
    r"""(?: < (?:@[^\s:<>]+:)? (?P<path> "(?:[^"\\]|\\.)*"@[^\s<>@"]+ | [^\s<>"]* ) > | (?P<bare> [^\s<>"]+ ) )
        (?: [ ]+ (?P<parameters> [\x20-\x7e]* ) )?""",
    re.VERBOSE,
)


class Refused(Exception):
    """The reply to an argument that is not what it should be."""

    def __init__(self, reply: str) -> None:
        super().__init__(reply)
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Sender:
    """What MAIL says."""

    address: str  # "<>" is the null sender
    options: list[str]
    size: int  # octets that the client announces (RFC 1870); 0 where it does not


def read_sender(argument: str | None, is_extended: bool, size_limit: int) -> Sender:
    """The argument of MAIL. Raises Refused."""
    syntax = f"501 5.5.4 Syntax: MAIL FROM: <address>{' [SP <mail-parameters>]' if is_extended else ''}"
    address, options = _path(argument, "FROM:", is_extended, syntax)
    if not options:
        return Sender(address, options, 0)
    parameters = _parameters(options, syntax)
    if parameters.pop("BODY", "7BIT") not in BODIES:
        raise Refused("501 5.5.4 BODY can only be one of 7BIT, 8BITMIME")
    if parameters.pop("SMTPUTF8", ""):
        raise Refused("501 5.5.4 SMTPUTF8 takes no arguments")
    size = parameters.pop("SIZE", "0")
    if not size.isdigit():
        raise Refused(syntax)
    if len(size) > 20 or int(size) > size_limit:  # RFC 1870 §3: up to 20 digits
        raise Refused("552 5.3.4 message size exceeds fixed maximum message size")
    if parameters:
        raise Refused("555 5.5.4 MAIL FROM parameters not recognized or not implemented")
    return Sender(address, options, int(size))


def read_recipient(argument: str | None, is_extended: bool) -> str:
    """The argument of RCPT; no parameter is offered. Raises Refused."""
    syntax = f"501 5.5.4 Syntax: RCPT TO: <address>{' [SP <mail-parameters>]' if is_extended else ''}"
    address, options = _path(argument, "TO:", is_extended, syntax)
    if _parameters(options, syntax):
        raise Refused("555 5.5.4 RCPT TO parameters not recognized or not implemented")
    return address


def _path(argument: str | None, keyword: str, is_extended: bool, syntax: str) -> tuple[str, list[str]]:
    if argument is None or argument[: len(keyword)].upper() != keyword:
        raise Refused(syntax)
    match = PATH.fullmatch(argument[len(keyword) :].strip())
    if match is None:
        raise Refused(MALFORMED)
    address = match["path"] if match["bare"] is None else match["bare"]
    if len(address.encode()) > MAX_ADDRESS:
        raise Refused(MALFORMED)
    options = (match["parameters"] or "").upper().split()
    if options and not is_extended:
        raise Refused(syntax)
    return address or "<>", options


def _parameters(options: list[str], syntax: str) -> dict[str, str]:
    """Names and values; "" for a name alone."""
    found: dict[str, str] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not name.isalnum() or (equals and not value):
            raise Refused(syntax)
        found[name] = value
    return found
