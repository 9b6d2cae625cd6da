"""One mail to one recipient: the words, the addresses and the marks put together, and the bytes frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from postroom.config import Config
from postroom.outbound import addresses
from postroom.outbound.catalogue import Catalogue
from postroom.outbound.compose import File, Mail, compose, content_of, digest_of
from postroom.outbound.links import mailto, own_words, prefilled
from postroom.outbound.policy import LOOP_MARK
from postroom.outbound.signing import Signing
from postroom.outbound.templates import Templates
from postroom.outbound.wording import queue_title
from postroom.parsers.parsed import Address
from postroom.store.outbox import NewDelivery
from postroom.threading.tokens import NO_TICKET, Link, Role, Says, Signer

BY_AGENTS = ("reply", "solution")  # purposes of mail that a person wrote
REPLIED, GENERATED = "auto-replied", "auto-generated"  # RFC 3834 §5: in answer to a mail; for another reason


@dataclass(frozen=True, slots=True)
class Sender:
    """The mailbox that a mail goes out from."""

    mailbox: str
    address: str
    name: str


@dataclass(frozen=True, slots=True)
class Thread:
    """Where a mail stands in its reader's thread."""

    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    outlook: tuple[tuple[str, str], ...] = ()  # Thread-Topic and Thread-Index


class Letters:
    """Writes mails. Nothing is stored here, and nobody is asked whether they may be sent."""

    def __init__(
        self, config: Config, signer: Signer, templates: Templates, clock: Callable[[], datetime], random: Random
    ) -> None:
        self._config, self._signer, self._templates = config, signer, templates
        self._clock, self._random = clock, random
        self._expire = timedelta(days=config.keys.reply_days)
        self._prefilled: tuple[str, ...] | None = None
        self.signing = Signing(config)

    def sender_of(self, case: Any) -> Sender:
        """The mailbox that a ticket's mail goes out from: its own, or one of its queue, where that is gone."""
        served = self._config.mailbox
        name = case.mailbox
        if name not in served:
            name = next((n for n, mailbox in served.items() if mailbox.queue == case.queue), next(iter(served)))
        return self._sender(name)

    def _sender(self, name: str) -> Sender:
        mailbox = self._config.mailbox[name]
        return Sender(name, mailbox.address, mailbox.name or queue_title(self._config, mailbox.queue))

    def links(self, case: Any, nonce: int, says: Iterable[Says]) -> list[str]:
        """Links that the requester answers with, one for each thing that he may say."""
        sender, expires = self.sender_of(case), self._clock() + self._expire
        words = self._templates.words(self.language_of(case))
        return [
            mailto(
                addresses.link_address(self._signer, sender.address, case.key, Link(one, nonce), expires),
                one, case.ref, words,
            )
            for one in says
        ]  # fmt: skip

    def words(self, language: str | None = None) -> Catalogue:
        """The sentences of a language, else of the desk's."""
        return self._templates.words(self._templates.choose(language))

    def own_words(self, text: str) -> str:
        """What a customer wrote beside what a link had written for him."""
        if self._prefilled is None:
            self._prefilled = prefilled(map(self._templates.words, self._templates.languages))
        return own_words(text, self._prefilled)

    def to_customer(
        self, case: Any, purpose: str, data: dict[str, Any], *, subject: str | None, thread: Thread, why: str,
        about: int | None,
    ) -> NewDelivery:  # fmt: skip
        """An automatic mail to the requester, by his address alone: his name is a stranger's word.

        `subject`: instead of the template's. `why`: REPLIED or GENERATED. `about`: the message's row.
        """
        sender, now = self.sender_of(case), self._clock()
        words = self._templates.render(purpose, {"desk": _desk(sender), **data}, self.language_of(case))
        reply_to = addresses.reply_address(self._signer, sender.address, case.key, Role.CUSTOMER, now + self._expire)
        return self._freeze(case.id, purpose, about, sender, Mail(
            sender=Address(sender.name, sender.address), to=(Address("", case.requester),),
            reply_to=Address(sender.name, reply_to), subject=subject or words.subject,
            content=content_of(words.text, words.html), in_reply_to=thread.in_reply_to, references=thread.references, marks=_marks(why, sender),
            outlook=thread.outlook,
            date=now, message_id=self._message_id(sender, case),
        ))  # fmt: skip

    def to_agents(
        self, case: Any, agents: Sequence[Any], purpose: str, data: dict[str, Any], about: int | None,
        is_internal: bool = False, files: Sequence[File] = (), answers: str | None = None,
    ) -> list[NewDelivery]:  # fmt: skip
        """A notice to each agent; all notices about a ticket are one thread.

        An agent's answer speaks to the customer, unless it is one to a notice that `is_internal`. One without an id is no agent,
        only an address: what comes from there speaks for nobody. `answers`: the Message-ID of a mail of the agent's own that
        it is about.
        """
        sender, now = self.sender_of(case), self._clock()
        root = addresses.message_id(self._signer, sender.address, case.key, addresses.THREAD_ROOT)
        contents: dict[tuple[str, bool], tuple[str, bytes]] = {}
        notices = []
        for agent in agents:
            is_agent = agent.id is not None
            settings = self._config.agent.get(agent.name)
            language = self._templates.choose(settings.language if settings else None)
            if (language, is_agent) not in contents:
                told = {"desk": _desk(sender), "may_answer": is_agent, **data}
                words = self._templates.render(purpose, told, language)
                contents[language, is_agent] = words.subject, content_of(words.text, words.html, files)
            subject, content = contents[language, is_agent]
            reply_to = sender.address
            if is_agent:
                make = addresses.review_address if is_internal else addresses.agent_address
                reply_to = make(self._signer, sender.address, case.key, now + self._expire, agent.id)
            notices.append(self._freeze(case.id, purpose, about, sender, Mail(
                sender=Address(sender.name, sender.address), to=(Address(agent.title or agent.name, agent.address),),
                reply_to=Address(sender.name, reply_to), subject=subject, content=content, in_reply_to=answers or root,
                references=(root, answers) if answers else (root,), marks=_marks(GENERATED, sender), date=now,
                message_id=self._message_id(sender, case),
            )))  # fmt: skip
        return notices

    def desk_of(self, case: Any) -> dict[str, str]:
        """What templates are told of the mailbox that a ticket's mail goes out from."""
        return _desk(self.sender_of(case))

    def language_of(self, case: Any) -> str:
        """The language that the requester is written to in: his own, the one of the mail that opened the ticket, the desk's."""
        return self._templates.choose(case.language, case.opened_in)

    def to_address(
        self, purpose: str, data: dict[str, Any], recipient: Address, language: str | None = None
    ) -> NewDelivery:
        """A mail that belongs to no ticket, from the first mailbox; it asks for no answer."""
        name = next(iter(self._config.mailbox))
        sender, now = self._sender(name), self._clock()
        words = self._templates.render(purpose, {"desk": _desk(sender), **data}, language)
        nonce = self._random.getrandbits(32) or 1
        return self._freeze(None, purpose, None, sender, Mail(
            sender=Address(sender.name, sender.address), to=(recipient,), subject=words.subject,
            content=content_of(words.text, words.html), marks=_marks(GENERATED, sender), date=now,
            message_id=addresses.message_id(self._signer, sender.address, NO_TICKET, nonce),
        ))  # fmt: skip

    def document(
        self, purpose: str, recipient: Address, subject: str, text: str, html: str, files: Sequence[File]
    ) -> NewDelivery:
        """A mail that belongs to no ticket and says what its caller has written, from the first mailbox."""
        sender, now = self._sender(next(iter(self._config.mailbox))), self._clock()
        nonce = self._random.getrandbits(32) or 1
        return self._freeze(None, purpose, None, sender, Mail(
            sender=Address(sender.name, sender.address), to=(recipient,), subject=subject,
            content=content_of(text, html, files), marks=_marks(GENERATED, sender), date=now,
            message_id=addresses.message_id(self._signer, sender.address, NO_TICKET, nonce),
        ))  # fmt: skip

    def reply(
        self, case: Any, people: Sequence[Address], author: str, data: dict[str, Any], *, subject: str, thread: Thread,
        files: Sequence[File], about: int, purpose: str = "reply",
    ) -> list[NewDelivery]:  # fmt: skip
        """An agent's answer: one mail that names everybody, in an envelope for each. The first is the requester."""
        sender, now = self.sender_of(case), self._clock()
        words = self._templates.render(purpose, {"desk": _desk(sender), **data}, self.language_of(case))
        reply_to = addresses.reply_address(self._signer, sender.address, case.key, Role.CUSTOMER, now + self._expire)
        name = f"{author} ({sender.name})" if author else sender.name
        mail = Mail(
            sender=Address(name, sender.address), to=(people[0],),
            # one whose address needs SMTPUTF8 would keep the mail from all the others
            cc=tuple(p for p in people[1:] if addresses.as_written(p.address).isascii()),
            reply_to=Address(sender.name, reply_to), subject=subject, content=content_of(words.text, words.html, files),
            in_reply_to=thread.in_reply_to, references=thread.references, outlook=thread.outlook,
            date=now, message_id=self._message_id(sender, case),
        )  # fmt: skip
        first = self._freeze(case.id, purpose, about, sender, mail)
        others = [self._envelope(first, sender, person.address) for person in people[1:]]
        return [first, *others]

    def suppressed(self, case: Any, purpose: str, recipient: str, why: str, about: int | None) -> NewDelivery:
        """The row that says that a mail was not sent, and why."""
        return NewDelivery(
            key=self._key(), ticket_id=case.id, message_id=about, purpose=purpose, automatic=purpose not in BY_AGENTS,
            mailbox=self.sender_of(case).mailbox, recipient=recipient, created_at=self._clock(), suppressed=why,
        )  # fmt: skip

    def _freeze(
        self, ticket_id: int | None, purpose: str, about: int | None, sender: Sender, mail: Mail
    ) -> NewDelivery:
        raw, key = self.signing.signed(compose(mail), sender.address, mail.date), self._key()
        return NewDelivery(
            key=key, ticket_id=ticket_id, message_id=about, purpose=purpose, automatic=bool(mail.marks),
            mailbox=sender.mailbox, recipient=mail.to[0].address, subject=mail.subject, created_at=mail.date,
            envelope_sender=addresses.bounce_address(self._signer, sender.address, key),
            email_message_id=mail.message_id, digest=digest_of(raw), raw=raw,
        )  # fmt: skip

    def _envelope(self, first: NewDelivery, sender: Sender, recipient: str) -> NewDelivery:
        """The same bytes for another recipient."""
        key = self._key()
        return NewDelivery(
            key=key, ticket_id=first.ticket_id, message_id=first.message_id, purpose=first.purpose,
            automatic=first.automatic, mailbox=first.mailbox, recipient=recipient, subject=first.subject,
            created_at=first.created_at, envelope_sender=addresses.bounce_address(self._signer, sender.address, key),
            email_message_id=first.email_message_id, digest=first.digest, raw=first.raw,
        )  # fmt: skip

    def _message_id(self, sender: Sender, case: Any) -> str:
        nonce = self._random.getrandbits(32) or 1  # 0 is the thread's root
        return addresses.message_id(self._signer, sender.address, case.key, nonce)

    def _key(self) -> int:
        return self._random.getrandbits(63)


def _desk(sender: Sender) -> dict[str, str]:
    return {"name": sender.name, "address": sender.address}


def _marks(why: str, sender: Sender) -> tuple[tuple[str, str], ...]:
    return (
        ("Auto-Submitted", why),
        ("X-Auto-Response-Suppress", "All"),
        (LOOP_MARK, sender.address),
    )
