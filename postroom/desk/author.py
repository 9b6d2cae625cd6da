"""Who wrote it, and what may be done in his name? A `From:` alone proves nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from postroom.parsers.parsed import Address, ParsedEmail
from postroom.saying import Saying
from postroom.threading.tokens import ReplyToken, Role


class Standing(StrEnum):
    """Whom we take the author for."""

    AGENT = "agent"  # proven: may answer, note and command
    UNPROVEN_AGENT = "unproven-agent"  # claims to be one: kept as an internal note, nothing else
    CUSTOMER = "customer"
    UNKNOWN = "unknown"  # From is not one address: no authority, no automatic mail


@dataclass(frozen=True, slots=True)
class Agent:
    """One who answers, as far as telling authors apart needs it."""

    id: int
    name: str
    title: str
    address: str  # lower case


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote a message, and why we think so."""

    standing: Standing
    address: str  # lower case; "" for UNKNOWN
    name: str
    why: str  # a Saying, where an agent may have to be told
    agent: Agent | None = None  # for the two agent standings; whom he claims to be, or is

    @property
    def label(self) -> str:
        """How activity names him."""
        return self.agent.name if self.standing is Standing.AGENT and self.agent else self.address or "unknown"


def identify(
    email: ParsedEmail,
    tokens: tuple[ReplyToken, ...],
    agents: Mapping[str, Agent],
    authenticated: bool | None,
    must_authenticate: bool,
    trust_reply_to: bool = False,
) -> Author:
    """The author of a message.

    `agents` by address. An agent is who wrote to an address signed for that agent **and** has that agent's
    From **and**, wherever it can be checked (`must_authenticate`), passed DMARC-aligned authentication.
    """
    signed = next((t for t in tokens if t.role is Role.AGENT and not t.expired), None)
    is_agents = signed is not None and not any(t.role is Role.CUSTOMER for t in tokens)
    holder = next((a for a in agents.values() if signed and a.id == signed.agent), None) if is_agents else None
    if len(email.from_) != 1 or "@" not in email.from_[0].address:
        why = Saying("From holds %(count)s addresses, not one", count=len(email.from_))
        if is_agents:
            but = Saying("it came to an address signed for an agent, but %(why)s", why=why)
            return Author(Standing.UNPROVEN_AGENT, "", "", but, holder)
        return Author(Standing.UNKNOWN, "", "", why)
    writer = email.from_[0]
    address = writer.address.lower()
    agent = agents.get(address)
    if agent is not None:
        return _agent(agent, writer, tokens, authenticated, must_authenticate)
    if is_agents:
        why = Saying("it came to an address signed for an agent, but From is not that agent's")
        return Author(Standing.UNPROVEN_AGENT, address, writer.name, why, holder)
    if trust_reply_to and len(email.reply_to) == 1:
        contact = email.reply_to[0]
        return Author(Standing.CUSTOMER, contact.address.lower(), contact.name, "Reply-To, which this mailbox trusts")
    return Author(Standing.CUSTOMER, address, writer.name, "From, one address")


def _agent(
    agent: Agent, writer: Address, tokens: tuple[ReplyToken, ...], authenticated: bool | None, must_authenticate: bool
) -> Author:
    name = agent.title or writer.name

    def unproven(why: Saying) -> Author:
        return Author(Standing.UNPROVEN_AGENT, agent.address, name, why, agent)

    own = [t for t in tokens if t.role is Role.AGENT and t.agent == agent.id]
    if not own:
        return unproven(
            Saying("From is agent %(name)s's, but it came to no address signed for %(name)s", name=agent.name)
        )
    if all(t.expired for t in own):
        return unproven(Saying("the address signed for %(name)s has expired", name=agent.name))
    if authenticated is False:
        return unproven(Saying("From is agent %(name)s's, but the sender's authentication failed", name=agent.name))
    if must_authenticate and authenticated is None:
        return unproven(Saying("From is agent %(name)s's, but nobody vouches for the sender's domain", name=agent.name))
    proof = "From, a signed address" + (" and authentication" if authenticated else "")
    return Author(Standing.AGENT, agent.address, name, f"agent {agent.name}: {proof}", agent)
