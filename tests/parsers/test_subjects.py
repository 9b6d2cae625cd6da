"""Prefixes and tags of subjects in many languages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.parsers.subjects import has_forward_prefix, has_reply_prefix, normalise_subject

REPLIES = [
    "Re", "RE", "re", "AW", "Antw", "SV", "Sv", "ANG", "Odp", "RIF", "Rif", "R", "YNT", "Ynt", "ATB", "Vá", "VÁ", "VS", "Ref", "Res", "RES", ["TR", "RE"][1],
    "回复", "回覆", "答复", "返信", "회신", "رد", "השב", "ΑΠ", "Отв", "BLS", "RÉ", "Odg", "Ats", "Vast",
]  # fmt: skip
FORWARDS = [
    "Fw",
    "FW",
    "Fwd",
    "FWD",
    "WG",
    "TR",
    "VB",
    "VL",
    "RV",
    "I",
    "PD",
    "ENC",
    "Doorst",
    "转发",
    "轉寄",
    "İLT",
    "ilt",
    "転送",
    "전달",
    "Tov",
    "ΠΡΘ",
    "Redir",
    "Videresend",
]
FORMS = [
    "{0}: Hello",
    "{0}:Hello",
    "{0} : Hello",
    "{0}[5]: Hello",
    "{0} (2): Hello",
    "{0}^2: Hello",
    "{0}*3: Hello",
    "{0}2: Hello",
    "{0}： Hello",
    "{0}.: Hello",
    "[desk] {0}: Hello",
    "{0}: [desk] Hello",
    "{0}: {0}: Hello",
    "Re: {0}: Fwd: Hello",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("prefix", [*REPLIES, *FORWARDS])
def test_a_prefix_is_taken_off_in_every_form(prefix, form):
    assert normalise_subject(form.format(prefix)) == "hello"


@pytest.mark.parametrize("prefix", REPLIES)
def test_a_reply_prefix_is_known(prefix):
    assert has_reply_prefix(f"{prefix}: Hello")
    assert has_reply_prefix(f"[desk] {prefix}[2]: Hello")


@pytest.mark.parametrize("prefix", FORWARDS)
def test_a_forward_prefix_is_known(prefix):
    assert has_forward_prefix(f"{prefix}: Hello")
    assert not has_forward_prefix(f"Re: {prefix}: Hello")


def test_the_first_prefix_says_what_a_mail_is():
    assert has_reply_prefix("Re: Fwd: Hello")
    assert not has_reply_prefix("Fwd: Re: Hello")
    assert has_forward_prefix("WG: AW: Hallo")
    assert not has_forward_prefix("AW: WG: Hallo")


@pytest.mark.parametrize(
    "subject",
    [
        "Printer: broken",
        "Regarding: x",
        "Reply to your mail",
        "Answer: 42",
        "Re printers",
        "10:30 meeting",
        "http://example.org",
        "Forwarding rules: how?",
        "Recall: toner",
        "SVG: how?",
        "",
    ],
)
def test_other_subjects_have_no_prefix(subject):
    assert not has_reply_prefix(subject)
    assert not has_forward_prefix(subject)
    assert normalise_subject(subject) == subject.casefold()


def test_tags_wrappers_and_blanks_are_taken_off():
    assert normalise_subject("[printers] Re: [printers] Hello   World") == "hello world"
    assert normalise_subject("[EXTERNAL] RE: Hello") == "hello"
    assert normalise_subject("[Fwd: Hello]") == "hello"
    assert has_forward_prefix("[Fwd: Hello]")
    assert normalise_subject("Hello (fwd)") == "hello"
    assert normalise_subject("Re: Re:") == ""
    assert normalise_subject("[desk]") == "[desk]"


@given(st.text(max_size=80), st.lists(st.sampled_from([*REPLIES, *FORWARDS]), max_size=5))
def test_normalising_is_done_once_for_all(subject, prefixes):
    once = normalise_subject("".join(f"{prefix}: " for prefix in prefixes) + subject)
    assert normalise_subject(once) == once


def test_a_flood_of_prefixes_ends():
    assert normalise_subject("Re: " * 100_000) == ""
    normalise_subject("[" * 100_000)
    normalise_subject("Re[" * 100_000)
