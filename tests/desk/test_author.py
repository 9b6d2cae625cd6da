from datetime import UTC, datetime, timedelta

from postroom.desk.author import Agent, Standing, identify
from postroom.parsers.parsed import Address, ParsedEmail
from postroom.threading.tokens import ReplyToken, Role

NOW = datetime(2026, 11, 24, tzinfo=UTC)
ANN = Agent(1, "ann", "Ann Agent", "ann@example.com")
BOB = Agent(2, "bob", "Bob Agent", "bob@example.com")
AGENTS = {a.address: a for a in (ANN, BOB)}
FROM_ANN = ParsedEmail(from_=(Address("Ann", "Ann@Example.com"),))
FROM_CUSTOMER = ParsedEmail(from_=(Address("Cy", "cy@customer.example"),))


def token(role: Role, agent: int | None = None, expired: bool = False) -> ReplyToken:
    return ReplyToken(1042, role, agent, NOW + timedelta(days=1), expired)


def who(email, *tokens, authenticated=None, must=False, trust_reply_to=False):
    return identify(email, tokens, AGENTS, authenticated, must, trust_reply_to)


def test_an_agent_is_from_and_his_own_signed_address():
    author = who(FROM_ANN, token(Role.AGENT, ANN.id))
    assert (author.standing, author.agent, author.label) == (Standing.AGENT, ANN, "ann")


def test_from_alone_proves_no_agent():
    assert who(FROM_ANN).standing is Standing.UNPROVEN_AGENT


def test_a_customers_token_never_works_as_an_agents():
    assert who(FROM_ANN, token(Role.CUSTOMER)).standing is Standing.UNPROVEN_AGENT


def test_another_agents_token_proves_nothing():
    assert who(FROM_ANN, token(Role.AGENT, BOB.id)).standing is Standing.UNPROVEN_AGENT


def test_an_agents_token_in_a_strangers_hand_makes_no_agent():
    author = who(FROM_CUSTOMER, token(Role.AGENT, ANN.id))
    assert (author.standing, author.agent) == (Standing.UNPROVEN_AGENT, ANN)


def test_an_expired_token_proves_no_agent():
    assert who(FROM_ANN, token(Role.AGENT, ANN.id, expired=True)).standing is Standing.UNPROVEN_AGENT


def test_failed_authentication_outweighs_from_and_token():
    assert who(FROM_ANN, token(Role.AGENT, ANN.id), authenticated=False).standing is Standing.UNPROVEN_AGENT


def test_where_it_can_be_checked_it_must_pass():
    assert who(FROM_ANN, token(Role.AGENT, ANN.id), authenticated=None, must=True).standing is Standing.UNPROVEN_AGENT
    assert who(FROM_ANN, token(Role.AGENT, ANN.id), authenticated=True, must=True).standing is Standing.AGENT


def test_two_addresses_in_from_are_nobody():
    email = ParsedEmail(from_=(Address("", "a@example.org"), Address("", "ann@example.com")))
    assert who(email).standing is Standing.UNKNOWN
    assert who(email, token(Role.CUSTOMER), token(Role.AGENT, ANN.id)).standing is Standing.UNKNOWN


def test_nobody_who_writes_to_an_agents_address_claims_to_be_that_agent():
    email = ParsedEmail(from_=(Address("", "a@example.org"), Address("", "ann@example.com")))
    author = who(email, token(Role.AGENT, ANN.id))
    assert (author.standing, author.address, author.agent) == (Standing.UNPROVEN_AGENT, "", ANN)


def test_no_from_is_nobody():
    assert who(ParsedEmail()).standing is Standing.UNKNOWN


def test_an_address_in_a_display_name_is_only_a_name():
    email = ParsedEmail(from_=(Address("ann@example.com", "cy@customer.example"),))
    assert who(email).address == "cy@customer.example"


def test_reply_to_is_no_identity():
    email = ParsedEmail(from_=FROM_CUSTOMER.from_, reply_to=(Address("", "other@customer.example"),))
    assert who(email).address == "cy@customer.example"


def test_a_mailbox_may_trust_reply_to_for_contact_forms():
    email = ParsedEmail(from_=(Address("", "form@website.example"),), reply_to=(Address("Di", "Di@customer.example"),))
    author = who(email, trust_reply_to=True)
    assert (author.address, author.name, author.standing) == ("di@customer.example", "Di", Standing.CUSTOMER)


def test_trusted_reply_to_never_makes_an_agent():
    email = ParsedEmail(from_=(Address("", "form@website.example"),), reply_to=(Address("", ANN.address),))
    assert who(email, token(Role.AGENT, ANN.id), trust_reply_to=True).standing is not Standing.AGENT
