"""Do the servers that the configuration names let us in? And until when are certificates valid, theirs and ours?"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from postroom import config
from postroom.cli.finding import Doubt
from postroom.errors import ConfigError, TemporaryFailure, UserError

EXPIRY_DAYS = 21  # before it: a renewal every 60 or 90 days has failed more than once by then


def imap(settings: config.Config, name: str) -> str:
    """Log in, and look at the folder."""
    from postroom.daemon.credentials import of_mailbox
    from postroom.daemon.imap import probe

    imap = settings.mailbox[name].imap
    assert imap is not None
    ends = probe(settings, name, of_mailbox(settings, name))
    words = f"{imap.user} can log in to {imap.host}:{imap.port}, and {imap.folder} is there"
    return _login(settings, f"mailbox.{name}.imap", _until(words, ends))


def smarthost(settings: config.Config, path: str) -> str:
    """Connect, and log in."""
    from postroom.daemon.credentials import of_smarthost
    from postroom.outbound.smarthost import SmarthostCarrier

    peer = settings.smarthosts()[path]
    try:
        server, ends = asyncio.run(SmarthostCarrier(settings, path, peer, of_smarthost(settings, path)).check())
    except TemporaryFailure as error:
        raise UserError(str(error)) from error
    whose = f" from {peer.user}" if peer.user else ""
    words = f"{server} takes our mail{whose} (security: {peer.transport})"
    return _login(settings, path, _until(words, ends))


def _login(settings: config.Config, path: str, words: str) -> str:
    """With how the login there stands, where it is one by tokens."""
    from postroom.daemon.oauth_standing import standings

    one = next((one for one in standings(settings) if path in one.used_by), None)
    if one is None:
        return words
    more = f"{words}; the login: {one.words}"
    return Doubt(more) if one.needs_somebody or isinstance(words, Doubt) else more


def certificate(settings: config.Config) -> str:
    """The certificate that we show."""
    from cryptography import x509

    from postroom.daemon.tls import server_context

    server_context(settings)
    file = settings.resolve(settings.smtp.tls_certificate)
    try:
        ends = x509.load_pem_x509_certificates(file.read_bytes())[0].not_valid_after_utc
    except ValueError as error:
        raise ConfigError(f"{file} holds no certificate that can be read: {error}") from error
    if ends < datetime.now(UTC):
        raise UserError(f"{file} expired on {ends:%Y-%m-%d}; renew it, then reload the daemon (SIGHUP)")
    words = _until(str(file), ends)
    return Doubt(f"{words}, then reload the daemon (SIGHUP)") if isinstance(words, Doubt) else words


def _until(words: str, ends: datetime | None) -> str:
    if ends is None:
        return words
    words = f"{words}; certificate valid until {ends:%Y-%m-%d}"
    left = ends - datetime.now(UTC)
    if left < timedelta(days=EXPIRY_DAYS):
        return Doubt(f"{words}, in {max(left.days, 0)} days; have it renewed")
    return words
