"""Who we are to a server, and how we prove it (RFC 4954): PLAIN, LOGIN, CRAM-MD5, XOAUTH2, OAUTHBEARER.

A secret is sent over TLS, or over loopback (the configuration allows no other way), and stands in no error and no log.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from postroom.config import Config
from postroom.config_secrets import without
from postroom.errors import TemporaryFailure
from postroom.outbound.smtp_wire import Reply, one_line

CONTINUE = 334
GOOD = 235
REFUSED = 535  # RFC 4954 §6: the credentials are wrong
REASON_MAX = 300  # characters of what a server gives as reason

Ask = Callable[[bytes, str], Awaitable[Reply]]  # sends a line, of which a person may see so much; the reply


class Credential(Protocol):
    """What we log in with. It is asked anew for each connection, so a token may be fresh each time."""

    @property
    def user(self) -> str:
        """Whom we log in as."""

    def mechanisms(self, is_encrypted: bool) -> Sequence[str]:
        """The SASL mechanisms that it can be used with, the best first, in capitals."""

    async def secret(self) -> str:
        """The password or token. Raises TemporaryFailure where there is none at the moment."""

    async def another(self, refused: str) -> str | None:
        """One in place of what the server did not take; None where there is no other. Raises as `secret` does."""


@dataclass(frozen=True, slots=True)
class Password:
    """A user with a password."""

    user: str
    password: str = field(repr=False)

    def mechanisms(self, is_encrypted: bool) -> Sequence[str]:
        """In the clear the one that hides the password comes first; over TLS the one that any store of passwords knows."""
        return ("PLAIN", "LOGIN", "CRAM-MD5") if is_encrypted else ("CRAM-MD5", "PLAIN", "LOGIN")

    async def secret(self) -> str:
        """The password."""
        return self.password

    async def another(self, refused: str) -> str | None:
        """There is but one."""
        return None


@dataclass(frozen=True, slots=True)
class Token:
    """A user with a bearer token (RFC 6750) that a callable fetches, in a thread of its own: it may ask a server."""

    user: str
    fetch: Callable[[], str]
    renew: Callable[[str], str] | None = None  # fetches another one for one that was refused

    def mechanisms(self, is_encrypted: bool) -> Sequence[str]:
        """A token is never sent in the clear."""
        return ("XOAUTH2", "OAUTHBEARER") if is_encrypted else ()

    async def secret(self) -> str:
        """A token that is good now."""
        return await asyncio.to_thread(self.fetch)

    async def another(self, refused: str) -> str | None:
        """A token that is newer than the refused one."""
        return await asyncio.to_thread(self.renew, refused) if self.renew else None


def passwords(config: Config, secrets: Mapping[str, str]) -> dict[str, Credential]:
    """The credential of each smarthost that has a user with a password, by the path of its table; `secrets` likewise."""
    return {
        path: Password(peer.user, secrets.get(path, ""))
        for path, peer in config.smarthosts().items()
        if peer.user and not peer.oauth
    }


async def log_in(ask: Ask, offered: Sequence[str], credential: Credential, is_encrypted: bool, host: str) -> None:
    """Prove who we are, by the best mechanism that both sides know. Raises TemporaryFailure: no mail is lost to it."""
    ours = credential.mechanisms(is_encrypted)
    mechanism = next((name for name in ours if name in offered), None)
    if mechanism is None:
        theirs = ", ".join(offered) or "none at all"
        raise TemporaryFailure(
            f"no way to log in: we have {', '.join(ours) or 'none without TLS'}; the server {theirs}"
        )
    secret, log_in_by = await credential.secret(), MECHANISMS[mechanism]
    reply = await log_in_by(ask, credential.user, secret, host)
    if reply.code == REFUSED and (other := await credential.another(secret)):
        secret = other
        reply = await log_in_by(ask, credential.user, secret, host)
    if reply.code != GOOD:
        raise TemporaryFailure(f"AUTH {mechanism} as {credential.user}: {without(str(reply), (secret,))}")


async def _plain(ask: Ask, user: str, secret: str, host: str) -> Reply:
    """RFC 4616."""
    return await ask(b"AUTH PLAIN " + _coded(f"\0{user}\0{secret}"), "AUTH PLAIN ...")


async def _login(ask: Ask, user: str, secret: str, host: str) -> Reply:
    """A user, then a password, each when it is asked for; written down nowhere but in an expired draft."""
    reply = await ask(b"AUTH LOGIN", "AUTH LOGIN")
    for word in (user, secret):
        if reply.code != CONTINUE:
            break
        reply = await ask(_coded(word), "...")
    return reply


async def _cram_md5(ask: Ask, user: str, secret: str, host: str) -> Reply:
    """RFC 2195: the password does not go over the wire."""
    reply = await ask(b"AUTH CRAM-MD5", "AUTH CRAM-MD5")
    if reply.code != CONTINUE:
        return reply
    try:
        challenge = base64.b64decode("".join(reply.lines))
    except ValueError:
        raise TemporaryFailure("AUTH CRAM-MD5: the server's challenge is not in base64") from None
    digest = hmac.new(secret.encode(), challenge, "md5").hexdigest()
    return await ask(_coded(f"{user} {digest}"), "...")


async def _xoauth2(ask: Ask, user: str, secret: str, host: str) -> Reply:
    """Google's and Microsoft's own; the reason of a refusal comes as a challenge, to which nothing is the answer."""
    sent = _coded(f"user={user}\x01auth=Bearer {secret}\x01\x01")
    reply = await ask(b"AUTH XOAUTH2 " + sent, "AUTH XOAUTH2 ...")
    return await _with_reason(ask, reply, b"") if reply.code == CONTINUE else reply


async def _oauthbearer(ask: Ask, user: str, secret: str, host: str) -> Reply:
    """RFC 7628 §3.1; a refusal's reason as above, answered with a ^A (§3.2.3)."""
    name = user.replace("=", "=3D").replace(",", "=2C")
    sent = _coded(f"n,a={name},\x01host={host}\x01auth=Bearer {secret}\x01\x01")
    reply = await ask(b"AUTH OAUTHBEARER " + sent, "AUTH OAUTHBEARER ...")
    return await _with_reason(ask, reply, _coded("\x01")) if reply.code == CONTINUE else reply


async def _with_reason(ask: Ask, challenge: Reply, answer: bytes) -> Reply:
    """The refusal, with the reason that the challenge before it gave, in JSON as a rule."""
    reply = await ask(answer, "...")
    try:
        said = one_line(base64.b64decode("".join(challenge.lines)).decode("utf-8", "replace"))[:REASON_MAX]
    except ValueError:
        said = ""
    return Reply(reply.code, (*reply.lines, f"({said})")) if said else reply


MECHANISMS: Mapping[str, Callable[[Ask, str, str, str], Awaitable[Reply]]] = {
    "PLAIN": _plain, "LOGIN": _login, "CRAM-MD5": _cram_md5, "XOAUTH2": _xoauth2, "OAUTHBEARER": _oauthbearer,
}  # fmt: skip


def _coded(text: str) -> bytes:
    return base64.b64encode(text.encode())
