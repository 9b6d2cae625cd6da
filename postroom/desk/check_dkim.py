"""Which signatures does a mail bear, and which of them hold? DKIM (RFC 6376, RFC 8463), verified by dkimpy.

A signature counts only where it can prove something: SHA-256 and RSA of 1,024 bits or more (RFC 8301), or Ed25519, the whole body
(no `l=`, behind which anybody can add words), the one From that we read, and a key that is meant for mail and is not
in testing. `find_signatures` is cheap and bounded. `verify` works on the whole message and on keys that strangers
publish: it belongs in a worker, with limits on time and memory.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

HEADER_MAX = 256 << 10  # octets of header that are looked at; a longer header is not verified
SIGNATURE_MAX = 8 << 10  # octets of one signature
SIGNATURES_MAX = 10  # the topmost are looked at
RECORD_MAX = 4096  # characters of a key record
KEY_BITS = range(1024, 8193)
EXPONENT_MAX = 1 << 32
HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*")
HOST_MAX = 253
ED25519_OCTETS = 32  # of a public key, without any wrapping (RFC 8463 §4)
ALGORITHMS = {"rsa-sha256": "rsa", "ed25519-sha256": "ed25519"}  # a=, and the key's k=
NO_KEY = "there is no key"


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature that could prove something."""

    index: int  # its place among the mail's DKIM-Signature fields, from the top
    domain: str  # d=, lower case
    selector: str
    identity: str  # the domain of i=, lower case; the same as d= where there is none
    algorithm: str = "rsa-sha256"  # a=

    @property
    def key_name(self) -> str:
        """Where its key is published."""
        return f"{self.selector}._domainkey.{self.domain}"


def find_signatures(raw: bytes, now: float) -> tuple[Signature, ...]:
    """The signatures of a mail that could prove something, from the top. `now`: seconds since 1970."""
    head = raw[: HEADER_MAX + 4]
    end = re.search(rb"\r?\n\r?\n", head)
    if end is None and len(head) > HEADER_MAX:
        return ()
    values = _values(head[: end.start()] if end else head)[:SIGNATURES_MAX]
    read = (_read(index, value, now) for index, value in enumerate(values))
    return tuple(signature for signature in read if signature is not None)


def _values(header: bytes) -> list[bytes]:
    """The values of all DKIM-Signature fields, unfolded."""
    values: list[list[bytes]] = []
    is_one = False
    for line in header.split(b"\n"):
        if line[:1] in (b" ", b"\t"):
            if is_one:
                values[-1].append(line)
            continue
        name, colon, value = line.partition(b":")
        is_one = bool(colon) and name.lower() == b"dkim-signature"
        if is_one:
            values.append([value])
    return [b"".join(lines).replace(b"\r", b"") for lines in values]


def _read(index: int, value: bytes, now: float) -> Signature | None:
    tags = read_tags(value.decode("ascii", "replace")) if len(value) <= SIGNATURE_MAX else None
    if tags is None or tags.get("v") != "1" or tags.get("a") not in ALGORITHMS or "l" in tags:
        return None
    signed = [name.strip().lower() for name in tags.get("h", "").split(":")]
    expires = tags.get("x", "")
    if "from" not in signed or (expires and not (expires.isascii() and expires.isdigit() and int(expires[:15]) > now)):
        return None
    domain, selector = tags.get("d", "").lower(), tags.get("s", "").lower()
    identity = tags.get("i", "").rpartition("@")[2].lower() or domain
    if not all(HOST.fullmatch(host) and len(host) <= HOST_MAX for host in (domain, selector)):
        return None
    if "." not in domain or (identity != domain and not identity.endswith("." + domain)):
        return None
    return Signature(index, domain, selector, identity, tags["a"])


def read_tags(text: str) -> dict[str, str] | None:
    """A tag list (RFC 6376 §3.2); None where it is broken or names a tag twice."""
    tags: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        name = name.strip()
        if not name and not equals:
            continue
        if not name or not equals or name in tags:
            return None
        tags[name] = value.strip()
    return tags


def verify(raw: bytes, wanted: Sequence[tuple[Signature, str]], address: str) -> tuple[str, ...]:
    """For each signature with its key record: "pass", or why it does not hold.

    `address` is the one address of From that was read: the signature must cover that very field. For a worker: a
    message or key may be made to keep its reader busy.
    """
    import dkim  # noqa: PLC0415 - in the worker, not in the daemon

    try:
        message = dkim.DKIM(raw)
        wrong = _wrong_from(message.headers, address)
    except (dkim.DKIMException, LookupError) as error:
        wrong = f"the header cannot be read: {error}"[:200]
    if wrong is not None:
        return (wrong,) * len(wanted)
    return tuple(_verify(message, signature, record) for signature, record in wanted)


def _wrong_from(headers: Sequence[Sequence[bytes]], address: str) -> str | None:
    """Two programs may read two different From fields in one mail: what is signed must be what was read."""
    from postroom.parsers.addresses import read_addresses  # noqa: PLC0415

    fields = [value for name, value in headers if name.lower() == b"from"]
    if len(fields) != 1:
        return f"the mail has {len(fields)} From fields"
    read = read_addresses(fields[0])
    return None if [one.address for one in read] == [address] else "what is signed is not the From that we read"


def _verify(message: object, signature: Signature, record: str) -> str:
    why = wrong_key(record, signature)
    if why is not None:
        return why
    try:
        holds = message.verify(signature.index, dnsfunc=lambda name, timeout=5: record.encode("latin-1"))  # type: ignore[attr-defined]
        domain, selector = message.domain.decode().lower(), message.selector.decode().lower()  # type: ignore[attr-defined]
    except Exception as error:  # whatever a stranger's signature does to its reader: it proves nothing
        return f"it does not hold: {type(error).__name__}: {error}"[:200]
    if not holds:
        return "it does not hold"
    return "pass" if (domain, selector) == (signature.domain, signature.selector) else "it is another one"


def wrong_key(record: str, signature: Signature) -> str | None:
    """Why a key record (RFC 6376 §3.6.1) cannot be used for this signature; None where it can."""
    if not record or len(record) > RECORD_MAX or not record.isascii():
        return NO_KEY
    tags = read_tags(record)
    if tags is None or tags.get("v", "DKIM1") != "DKIM1" or tags.get("k", "rsa") != ALGORITHMS[signature.algorithm]:
        return "the key record is broken, or of another kind"
    flags, services, hashes = (
        [one.strip() for one in tags.get(name, default).split(":")]
        for name, default in (("t", ""), ("s", "*"), ("h", "sha256"))
    )
    if "y" in flags:
        return "the domain is only testing (t=y)"
    if "s" in flags and signature.identity != signature.domain:
        return "the key is not for subdomains (t=s)"
    if not {"*", "email"} & set(services) or "sha256" not in hashes:
        return "the key is for something else"
    written = tags.get("p", "")
    return _wrong_numbers(written) if signature.algorithm == "rsa-sha256" else _wrong_octets(written)


def _wrong_octets(written: str) -> str | None:
    if not written:
        return "the key was revoked"
    try:
        octets = base64.b64decode("".join(written.split()), validate=True)
    except (binascii.Error, ValueError):
        return "the key is broken"
    return None if len(octets) == ED25519_OCTETS else "the key is broken"


def _wrong_numbers(written: str) -> str | None:
    from dkim.crypto import UnparsableKeyError, parse_public_key  # noqa: PLC0415

    if not written:
        return "the key was revoked"
    try:
        key = parse_public_key(base64.b64decode("".join(written.split()), validate=True))
    except (UnparsableKeyError, binascii.Error, ValueError, LookupError, AssertionError):
        return "the key is broken"
    bits, exponent = key["modulus"].bit_length(), key["publicExponent"]
    if bits not in KEY_BITS:
        return f"the key has {bits} bits"
    return None if 3 <= exponent <= EXPONENT_MAX and exponent % 2 else "the key's exponent is none"
