"""A sentence of ours: English wherever a text is wanted, and known by its words."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.errors import UserError
from postroom.saying import VALUE_MAX, Saying, kept, recalled, said

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
GERMAN = {
    "%(who)s said: %(what)s": "%(who)s sagte: %(what)s",
    "gone since %(when)s": "weg seit %(when)s",
    "nobody": "niemand",
}
texts = st.text(alphabet=st.characters(blacklist_categories=["Cs"]), max_size=40)
values = st.one_of(texts, st.integers(), st.datetimes(timezones=st.just(UTC)), st.just(Saying("nobody")))


def in_german(text):
    return said(text, lambda words: GERMAN.get(words, words), lambda moment: f"{moment:%d.%m.%Y}")


def test_it_is_a_text_in_english():
    saying = Saying("%(who)s said: %(what)s", who=Saying("nobody"), what=Saying("gone since %(when)s", when=NOON))
    assert saying == "nobody said: gone since 2026-11-24 12:00 UTC"
    assert json.dumps({"why": saying}) == '{"why": "nobody said: gone since 2026-11-24 12:00 UTC"}'


def test_it_is_said_in_another_language_with_all_that_stands_in_it():
    saying = Saying("%(who)s said: %(what)s", who=Saying("nobody"), what=Saying("gone since %(when)s", when=NOON))
    assert in_german(saying) == "niemand sagte: weg seit 24.11.2026"


@pytest.mark.parametrize("words", ["550 5.1.1 no %(who)s here", "nobody", "100 % %s %(what)s"])
def test_what_others_said_stays_as_it_is(words):
    assert in_german(words) == words
    assert in_german(Saying("%(who)s said: %(what)s", who="mx", what=words)) == f"mx sagte: {words}"


def test_a_value_that_somebody_wrote_is_bounded():
    assert len(Saying("%(who)s said: %(what)s", who="x" * 10_000, what="")) < VALUE_MAX + 20


def test_an_error_still_knows_its_sentence():
    assert in_german(UserError(Saying("nobody")).said) == "niemand"
    assert UserError("nobody", "else").said == "nobody"
    assert UserError().said == ""


@given(who=values, what=values)
def test_what_is_kept_is_recalled(who, what):
    saying = Saying("%(who)s said: %(what)s", who=who, what=what)
    again = recalled(kept(saying))
    assert (again, in_german(again)) == (saying, in_german(saying))


@pytest.mark.parametrize(
    "text", ["", "by hand", "{", "[1]", '{"words": 1}', '{"words": "x", "values": [1]}', "7", "null"]
)
def test_a_text_is_kept_as_it_is(text):
    assert (kept(text), recalled(text)) == (text, text)
