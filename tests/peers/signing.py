"""Domains of a test's own: a DNS that knows only what it is told, and mail that is really signed."""

from __future__ import annotations

import base64
import subprocess
from dataclasses import dataclass, field
from functools import lru_cache

import dkim
from peers.processes import need

from postroom.desk.lookup import DnsFailure

SIGNED = (b"from", b"to", b"subject", b"date", b"message-id")


@dataclass(slots=True)
class Zone:
    """Answers like the DNS, from a table: `{"TXT example.com": ["v=spf1 -all"]}`; `None` is no answer at all."""

    records: dict[str, list[str] | None] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def __call__(self, name: str, kind: str, seconds: float) -> tuple[str, ...]:
        """As `postroom.desk.lookup.Dns`."""
        question = f"{kind} {name}"
        self.asked.append(question)
        found = self.records.get(question, [])
        if found is None:
            raise DnsFailure(f"no answer for {name}")
        return tuple(found)


@lru_cache
def private_key(bits: int = 2048) -> bytes:
    """An RSA key in PEM, made once in a test run. Raises PeerMissing without openssl."""
    command = [need("openssl", "openssl"), "genrsa", "-traditional", str(bits)]
    return subprocess.run(command, check=True, capture_output=True).stdout


@lru_cache
def key_record(bits: int = 2048) -> str:
    """What a domain publishes of that key."""
    command = [need("openssl", "openssl"), "rsa", "-pubout", "-outform", "DER"]
    public = subprocess.run(command, input=private_key(bits), check=True, capture_output=True).stdout
    return f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"


def sign(
    raw: bytes, domain: str, selector: str = "s", bits: int = 2048, signed: tuple[bytes, ...] = SIGNED, **options: bool
) -> bytes:
    """The mail with a signature of that domain on top."""
    message = dkim.DKIM(raw)
    key = private_key(bits)
    field_: bytes = message.sign(selector.encode(), domain.encode(), key, include_headers=signed, **options)
    return field_ + raw


def publish(zone: Zone, domain: str, policy: str | None = "v=DMARC1; p=reject", bits: int = 2048) -> None:
    """Let a domain sign, and publish a policy."""
    zone.records[f"TXT s._domainkey.{domain}"] = [key_record(bits)]
    if policy is not None:
        zone.records[f"TXT _dmarc.{domain}"] = [policy]
