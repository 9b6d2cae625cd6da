"""Which addresses are ours, and which mailbox serves each."""

from __future__ import annotations

from dataclasses import dataclass

from postroom.config import Config

TAG_SEPARATOR = "+"  # subaddressing (RFC 5233)


@dataclass(frozen=True, slots=True)
class Served:
    """An address of ours: the mailbox that serves it, and what stands behind the `+`."""

    mailbox: str
    tag: str | None


class Mailboxes:
    """Every address that the configuration serves."""

    def __init__(self, config: Config) -> None:
        self._names = {
            address.lower(): name
            for name, mailbox in config.mailbox.items()
            for address in (mailbox.address, *mailbox.aliases)
        }
        self._domains = {address.rpartition("@")[2] for address in self._names}

    def find(self, address: str) -> Served | None:
        """The mailbox that serves `address`, itself or with `+anything`, in any case; None for a stranger's."""
        local, _, domain = address.lower().rpartition("@")
        if domain not in self._domains:
            return None
        if name := self._names.get(f"{local}@{domain}"):
            return Served(name, None)
        base, plus, tag = local.partition(TAG_SEPARATOR)
        if plus and (name := self._names.get(f"{base}@{domain}")):
            return Served(name, tag)
        return None

    def is_ours(self, address: str) -> bool:
        """Whether mail to `address` comes to us."""
        return self.find(address) is not None
