"""DKIM: our domain vouches for what we send (RFC 6376; RFC 8463 for Ed25519).

Written once, when a mail is frozen: it goes out again with the same signature. The whole body is signed (no `l=`),
header and body in relaxed form, and each field once more than it stands there, so that none can be added. The
signatures do not expire: a mail may be tried for days. OpenSSL makes the signature itself: dkimpy, whose numbers are
Python's, takes twenty times as long; it is the tests' second reader.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from postroom.config import Config, Dkim, read_private_file
from postroom.errors import ConfigError
from postroom.outbound.addresses import domain_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    PrivateKey = Ed25519PrivateKey | RSAPrivateKey

RSA_BITS = range(1024, 4097)  # RFC 8301 §3.2; more than 4,096 others need not verify
SIGNED = (
    "from", "to", "cc", "subject", "date", "message-id", "reply-to", "in-reply-to", "references", "mime-version",
    "content-type", "content-transfer-encoding", "auto-submitted",
)  # fmt: skip
MAX_LINE = 76  # characters of a line of the field
STRING_MAX = 255  # octets of one string of a TXT record (RFC 1035 §3.3.14)
FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:((?:[^\r]|\r\n[ \t])*)\r\n")
BLANKS = re.compile(rb"[ \t]+")


@dataclass(frozen=True, slots=True)
class Key:
    """A private key, and where its public half is published."""

    domain: str
    selector: str
    private: PrivateKey

    @property
    def algorithm(self) -> str:
        """`a=`."""
        return "rsa-sha256" if hasattr(self.private, "key_size") else "ed25519-sha256"

    @property
    def record_name(self) -> str:
        """Where the record is."""
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def public(self) -> str:
        """`p=` of the record: an RSA key with its form, an Ed25519 key's 32 octets alone (RFC 8463 §4)."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

        public = self.private.public_key()
        if self.algorithm == "rsa-sha256":
            return base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
        return base64.b64encode(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()

    def is_for(self, domain: str) -> bool:
        """Whether mail from that domain, in lower case, may bear its signature (RFC 6376 §3.10)."""
        return domain == self.domain or domain.endswith(f".{self.domain}")

    @property
    def record(self) -> str:
        """The TXT record that has to be published, as one string."""
        return f"v=DKIM1; k={self.algorithm.partition('-')[0]}; p={self.public}"

    def sign(self, octets: bytes) -> bytes:
        """The signature of the canonical header."""
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - only who signs pays for it
        from cryptography.hazmat.primitives.asymmetric import padding, rsa  # noqa: PLC0415

        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(octets, padding.PKCS1v15(), hashes.SHA256())
        return self.private.sign(hashlib.sha256(octets).digest())  # RFC 8463 §3


class Signing:
    """The keys of the configuration, read when they are first needed; safe to share between threads."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._keys: Mapping[str, Key] | None = None

    def keys(self) -> Mapping[str, Key]:
        """Each key by its NAME. Raises ConfigError where one cannot be used: no mail goes out unsigned by mistake."""
        if self._keys is None:
            self._keys = {name: read_key(self._config, name, dkim) for name, dkim in self._config.dkim.items()}
        return self._keys

    def signed(self, raw: bytes, sender: str, date: datetime) -> bytes:
        """The mail with a signature on top for each key of the sender's domain, or of the nearest domain above it."""
        if not self._config.dkim:
            return raw
        domain = domain_of(sender)
        near = [key for key in self.keys().values() if key.is_for(domain)]
        nearest = max((len(key.domain) for key in near), default=0)
        fields = [signature(key, raw, date) for key in near if len(key.domain) == nearest]
        return b"".join([*fields, raw])


def read_key(config: Config, name: str, dkim: Dkim) -> Key:
    """The key of `[dkim.NAME]`. Raises ConfigError where it is missing, open to others, or no key that can sign."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    path = f"dkim.{name}.key_file"
    text = read_private_file(config, path, dkim.key_file)
    try:
        private = load_pem_private_key(text.encode(), None)
    except TypeError:
        raise ConfigError(f"{path}: {dkim.key_file} needs a passphrase; a daemon's key has none") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{path}: {dkim.key_file} is no private key in PEM") from None
    if not isinstance(private, rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        raise ConfigError(f"{path}: {dkim.key_file} is neither an RSA nor an Ed25519 key")
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size not in RSA_BITS:
        raise ConfigError(
            f"{path}: {private.key_size} bits are not between {RSA_BITS[0]} and {RSA_BITS[-1]}; 2048 are usual"
        )
    return Key(dkim.domain.lower(), dkim.selector, private)


def signature(key: Key, raw: bytes, date: datetime) -> bytes:
    """The DKIM-Signature field for a mail with CRLF line ends, with its own last CRLF."""
    head, _, body = raw.partition(b"\r\n\r\n")
    fields = _fields(head + b"\r\n")
    names = [name for name in SIGNED for _ in range(len(fields.get(name, ())) + 1)]
    digest = base64.b64encode(hashlib.sha256(relaxed_body(body)).digest()).decode()
    tags = (
        f"DKIM-Signature: v=1; a={key.algorithm}; c=relaxed/relaxed;\r\n d={key.domain}; s={key.selector};\r\n"
        f" t={int(date.timestamp())}; bh={digest};\r\n h={_folded(names)};\r\n b="
    )
    # of a name that stands there several times the lowest is signed first, and one more stands for none
    signed = [_relaxed(name, value) for name in SIGNED for value in reversed(fields.get(name, ()))]
    own = _relaxed("dkim-signature", tags.partition(":")[2].encode())[:-2]
    made = base64.b64encode(key.sign(b"".join([*signed, own]))).decode()
    lines = [made[at : at + MAX_LINE - 1] for at in range(0, len(made), MAX_LINE - 1)]
    return (tags + "\r\n ".join(["", *lines]) + "\r\n").encode()


def relaxed_body(body: bytes) -> bytes:
    """The body's relaxed form (RFC 6376 §3.4.4)."""
    if b"  " in body or b"\t" in body:
        body = BLANKS.sub(b" ", body)
    body = body.replace(b" \r\n", b"\r\n").rstrip(b"\r\n")
    return body + b"\r\n" if body else b""


def zone_line(name: str, record: str) -> str:
    """The record as a line of a zone file: its value in strings that are not too long for one."""
    strings = [record[at : at + STRING_MAX] for at in range(0, len(record), STRING_MAX)]
    quoted = " ".join(f'"{one}"' for one in strings)
    return f"{name}. IN TXT ( {quoted} )"


def _fields(head: bytes) -> dict[str, list[bytes]]:
    """The values of the header by lower-case name, from the top."""
    fields: dict[str, list[bytes]] = {}
    for name, value in FIELD.findall(head):
        fields.setdefault(name.decode("ascii").lower(), []).append(value)
    return fields


def _relaxed(name: str, value: bytes) -> bytes:
    """A field's relaxed form (RFC 6376 §3.4.2)."""
    unfolded = value.replace(b"\r\n", b"")
    return name.encode() + b":" + BLANKS.sub(b" ", unfolded).strip(b" ") + b"\r\n"


def _folded(names: Sequence[str]) -> str:
    lines, line = [], ""
    for number, name in enumerate(names):
        piece = name if number == len(names) - 1 else f"{name}:"
        if len(line) + len(piece) > MAX_LINE - 4:
            lines.append(line)
            line = ""
        line += piece
    return "\r\n  ".join([*lines, line])
