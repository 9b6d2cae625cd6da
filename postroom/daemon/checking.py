"""Is the sender who he says he is? Our own check of mail that came by SMTP, before its effects are written.

It asks the DNS, which is slow: so it runs beside the writing of the batch before, all messages of a batch at once, and
a batch is never kept for longer than the time of one message. Signatures are verified in the workers that parse.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for

from postroom.config import Config
from postroom.daemon.resolver import Remembering
from postroom.daemon.workers import Broken, Workers
from postroom.desk.authentication import Authentication, authenticated
from postroom.desk.check_dkim import Signature, find_signatures, verify
from postroom.desk.check_sender import Claim, check_sender, unknown
from postroom.desk.lookup import Asking, Dns
from postroom.logger import structlog
from postroom.parsers.parsed import ParsedEmail
from postroom.store.inbound import Claimed

THREADS_MAX = 64  # they only wait

log = structlog.get_logger("check")
Parsed = ParsedEmail | Broken


class Checker:
    """Checks the senders of batches of mail; use it from one thread."""

    def __init__(self, config: Config, workers: Workers, dns: Dns, clock: Callable[[], float] = time.time) -> None:
        """`clock`: seconds since 1970, to tell which signatures have expired."""
        self._config, self._workers, self._clock = config, workers, clock
        self._dns = Remembering(dns)
        self._seconds = config.authentication.timeout_seconds
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="check")

    def check_all(self, batch: Sequence[tuple[Claimed, Parsed]]) -> list[Authentication | None]:
        """What is found about each sender; None for mail that is not ours to check."""
        claims = [self._claim(claimed, parsed) for claimed, parsed in batch]
        running: list[Future[Authentication] | None] = [
            self._threads.submit(self._check, claim, claimed.raw) if claim else None
            for claim, (claimed, _) in zip(claims, batch, strict=True)
        ]
        wait_for([future for future in running if future], timeout=self._seconds)
        return [
            self._result(claim, future) if claim and future else None
            for claim, future in zip(claims, running, strict=True)
        ]

    def close(self) -> None:
        """End it; what still waits for the DNS ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _claim(self, claimed: Claimed, parsed: Parsed) -> Claim | None:
        """What is to be checked; nothing where the server in front has said it, or where nobody can be named."""
        if claimed.source != "smtp" or claimed.archive or isinstance(parsed, Broken):
            return None
        if len(parsed.from_) != 1 or "@" not in parsed.from_[0].address:
            return None
        mailbox = self._config.mailbox.get(claimed.mailbox)
        if mailbox is None or authenticated(parsed, mailbox.authserv_id) is not None:
            return None
        # behind a server of ours, the client is that server, whatever domain's SPF record lists it
        client = "" if mailbox.authserv_id else str(claimed.peer.get("address", ""))
        return Claim(
            parsed.from_[0].address, claimed.sender, str(claimed.peer.get("helo", "")), client,
            find_signatures(claimed.raw, self._clock()),
        )  # fmt: skip

    def _check(self, claim: Claim, raw: bytes) -> Authentication:
        ask = Asking(self._dns, self._seconds)

        def verify_apart(wanted: Sequence[tuple[Signature, str]]) -> Sequence[str]:
            outcome = self._workers.run(verify, (raw, wanted, claim.address), ask.left)
            if isinstance(outcome, Broken):
                raise TimeoutError(outcome.reason)
            return outcome

        return check_sender(claim, ask, verify_apart)

    def _result(self, claim: Claim, future: Future[Authentication]) -> Authentication:
        if not future.done():
            future.cancel()
            return unknown(claim, "the time for this message's checks is over")
        if (error := future.exception()) is not None:
            log.error("check failed", domain=claim.address.rpartition("@")[2], error=repr(error))
            return unknown(claim, "the check failed")
        return future.result()
