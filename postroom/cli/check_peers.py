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
    from postroom.daemon.imap import probe

    imap = settings.mailbox[name].imap
    assert imap is not None
    ends = probe(settings, name, config.read_secret(settings, f"mailbox.{name}.imap", imap))
    return _until(f"{imap.user} can log in to {imap.host}:{imap.port}, and {imap.folder} is there", ends)


def smarthost(settings: config.Config, path: str) -> str:
    """Connect, and log in."""
    from postroom.outbound.smarthost import SmarthostCarrier
    from postroom.outbound.smtp_auth import passwords

    peer = settings.smarthosts()[path]
    credentials = passwords(settings, {path: config.read_secret(settings, path, peer)})
    try:
        server, ends = asyncio.run(SmarthostCarrier(settings, path, peer, credentials.get(path)).check())
    except TemporaryFailure as error:
        raise UserError(str(error)) from error
    whose = f" from {peer.user}" if peer.user else ""
    return _until(f"{server} takes our mail{whose} (security: {peer.transport})", ends)


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
