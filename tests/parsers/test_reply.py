"""What the author wrote now, in whole mails; and what must hold whatever the text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroom.parsers.reply import MAX_LINES, Reply, read_reply


def words_of(reply: Reply) -> list[str]:
    return sorted(" ".join([reply.reply_text, reply.quoted_text or "", reply.signature or ""]).split())


def test_a_mail_without_any_quote_is_all_reply():
    assert read_reply("Hello,\n\nit smokes.") == Reply("Hello,\n\nit smokes.")


def test_top_posting_folds_the_quote_below():
    reply = read_reply("It works now.\n\nOn 1/1/24 10:00, Ann wrote:\n> Does it\n> work?\n")
    assert reply == Reply("It works now.", "On 1/1/24 10:00, Ann wrote:\n> Does it\n> work?")


def test_bottom_posting_folds_the_quote_above():
    reply = read_reply("On 1/1/24 10:00, Ann wrote:\n> Does it\n> work?\n\nIt works now.\n\n-- \nBob\n")
    assert reply == Reply("It works now.", "On 1/1/24 10:00, Ann wrote:\n> Does it\n> work?", "-- \nBob")


def test_words_above_and_below_a_quote_are_both_shown():
    reply = read_reply("See below.\n\nOn 1/1/24 10:00, Ann wrote:\n> Does it work?\n\nIt works now.\n")
    assert reply.reply_text == "See below.\n\nIt works now."


def test_an_interleaved_reply_keeps_the_quotes_that_it_answers():
    text = "Hi Ann,\n\nOn 1/1/24 10:00, Ann wrote:\n> Which printer?\n\nThe big one.\n\n> Which floor?\n> Or is it in the cellar?\n\nThird.\n\n> Regards\n> Ann\n"
    reply = read_reply(text)
    assert reply.reply_text == (
        "Hi Ann,\n\n> Which printer?\n\nThe big one.\n\n> Which floor?\n> Or is it in the cellar?\n\nThird."
    )
    assert reply.quoted_text == "On 1/1/24 10:00, Ann wrote:\n> Regards\n> Ann"


def test_a_short_quote_without_an_intro_stays_with_its_answer():
    text = "Hi,\n\n> Monday at ten?\n\nYes."
    assert read_reply(text).reply_text == text


def test_a_quote_above_nothing_but_a_signature_is_folded():
    reply = read_reply("Yes.\n\nOn 1/1/24 10:00, Ann wrote:\n> Monday?\n\n-- \nBob\n")
    assert reply == Reply("Yes.", "On 1/1/24 10:00, Ann wrote:\n> Monday?", "-- \nBob")


def test_a_quoted_line_wrapped_on_its_way_does_not_end_the_quote():
    text = "Yes.\n\nOn 1/1/24 10:00, Ann wrote:\n\n> This is a long line that a mail program sent out, and another one\nwrapped for it.\n> Ann\n"
    assert read_reply(text).reply_text == "Yes."


def test_a_mail_of_nothing_but_a_quote_has_no_reply():
    for text in (
        "> old\n> words\n",
        "On 1/1/24 10:00, Ann wrote:\n> old\n",
        "-----Original Message-----\nFrom: a@example.org\nSubject: x\n\nold\n",
    ):
        reply = read_reply(text)
        assert reply.reply_text == ""
        assert reply.quoted_text == text.strip()


OWN_MARKS = {
    "initials": "AL> Which printer?\nAL> Which floor?",
    "Emacs": "    A> Which printer?\n    A> Which floor?\n    >> older",
    "bars": "| Which printer?\n| Which floor?",
    "brackets": "--] Which printer?\n--] Which floor?",
    "parentheses": ") Which printer?\n) \n) Which floor?",
    "left out": "[...]\n> Which printer?",
    "scissors": "8<\n\n> Which printer?",
}


@pytest.mark.parametrize("name", OWN_MARKS)
def test_a_quote_mark_of_the_author_s_own_is_one_below_an_intro(name):
    quote = OWN_MARKS[name]
    reply = read_reply(f"Hi,\n\nOn Mon, 1 Jan 2024, Ann Lee <ann@example.org> wrote:\n\n{quote}\n\nThe big one.\n")
    assert reply.reply_text.startswith("Hi,")
    assert reply.reply_text.endswith("The big one.")
    assert "Which printer?" in (reply.quoted_text or "")


def test_words_below_an_intro_that_begins_a_mail_are_shown():
    reply = read_reply("On 1/1/24 10:00, Ann wrote:\n\nMy own words, without any mark.\n")
    assert reply == Reply("My own words, without any mark.", "On 1/1/24 10:00, Ann wrote:")


def test_a_line_that_begins_as_a_header_is_not_a_header_block():
    text = "I can hold it if I want\nto :-)\n\n-----Original Message-----\nFrom: Ann <ann@example.org>\nSubject: x\n\nold\n"
    assert read_reply(text).reply_text == "I can hold it if I want\nto :-)"


def test_an_address_that_breaks_over_the_line_belongs_to_the_intro():
    for text in (
        "Yes.\n\nOn Mon, Jan 1, 2024 at 10:00 AM Ann Lee <\nann@example.org> wrote:\n\n> old\n",
        "Yes.\n\nman. 1. jan. 2024 kl. 10:00 skrev Ann Lee <ann@example.org\n>:\n\n> old\n",
        "Yes.\n\nOn Jan 1, 2024, at 10:00 AM, Ann Lee\n<ann@example.org>\nwrote:\n\n> old\n",
        "Yes.\n\nOn Jan 1, 2024,\nat 10:00,\nAnn Lee <ann@example.org> wrote:\n\n> old\n",
    ):
        assert read_reply(text).reply_text == "Yes."


def test_the_line_above_an_intro_stays_the_author_s_without_a_blank_line_too():
    for above in (
        "It works now",
        "On the third floor it works.",
        "Thanks, see you on 3 May 2024 at 10:00!",
        "15 printers work",
    ):
        text = f"{above}\nOn Mon, Jan 1, 2024 at 10:00 AM Ann Lee <ann@example.org> wrote:\n> old\n"
        assert read_reply(text).reply_text == above


def test_carriage_returns_and_tabs_do_not_matter():
    text = "Yes.\r\n\r\nFrom:\tAnn <ann@example.org>\r\nSent:\tMonday, 1 January 2024\r\nTo:\tBob\r\nSubject:\tHello\r\n\r\nold\r\n"
    assert read_reply(text).reply_text == "Yes."


ODD_WRAPPINGS = {
    "an address over three lines": "On Nov 30, 2023, at 12:47 PM, Somebody <\n416ffd3258d4d2fa4c85cfa4c44e1721d66e3e8f4\n@example.com>\nwrote:\n\n> old",
    "a link that breaks the quote": "On Thursday, October 26, 2023 at 3:03 PM, Ann Lee wrote:\n\n>\n> Post\n>\n (http://example.com/c/YzOTYzMmE) >\n> life",
    "a rule above the intro": "-------------------\nOn 01/01/2024 07:10 AM, Ann Lee wrote:\n\n>\n> old",
    "a wrapped verb": "Le lun. 1 janv. 2024 10:00, Ann Lee <ann@example.org> a\nécrit :\n\n> old",
    "doubled addresses": "Le 23 janv. 2024 à 22:03, Ann Lee <ann@example.com<mailto:ann@example.com>> a écrit:\n\nold",
    "an old Yahoo": "--- On Mon, 1/1/24, Ann Lee <ann@example.org> wrote:\n\nFrom: Ann Lee <ann@example.org>\nSubject: x\n\nold",
    "a date and a reader": "Date: Wed, 3 Jan 2024 00:15:02 -0600\nTo: bob@example.com\n\nold",
    "encoded words left over": "Date: Fri=2C 5 Jan 2024 10:55:48 +0000\nFrom: ann@example.com\nTo: bob@example.com\nSubject: Test\n\nold",
    "table bars": "| -------- Original message --------\n| From: Ann <ann@example.org>\n| Date: 01/01/2024 10:00\n| Subject: x\n\nold",
    "a swung intro": "On Wed, Jan 3, 2024 12:34 AM, ann@example.org wrote:> I am out of\noffice",
}


@pytest.mark.parametrize("name", ODD_WRAPPINGS)
def test_an_oddly_wrapped_mark_is_one_still(name):
    assert read_reply(f"It works now.\n\n{ODD_WRAPPINGS[name]}\n").reply_text == "It works now."


NO_QUOTES = [
    "Visit us now for help...\n>>> >>>  http://www.example.com <<<\nVisit our site by clicking the link above",
    "Invitation for an interview:\n\nDate: Wednesday 3, January 2024\nTime: 7 : 00am\nAddress: 130 Fox St\n\nPlease bring your ID.",
    "Please answer below.\n\n------------------------ Your Answer Below ------------------------\n\nIt was great.",
    "On Behalf Of Ann I ask.\n\nAt 10:00 we meet, wrote the boss.",
]


@pytest.mark.parametrize("text", NO_QUOTES)
def test_a_text_without_a_quote_is_left_whole(text):
    assert read_reply(text) == Reply(text)


def test_a_rule_or_code_in_the_author_s_words_is_kept():
    text = "Log:\n\n```\n>>> import x\nFrom: nowhere\n```\n\n----------\n\nWhat is it?"
    assert read_reply(text).reply_text == text


def test_history_longer_than_any_reply_is_folded_to_the_end():
    text = "Yes.\n\n-----Original Message-----\n" + "old words\n" * (MAX_LINES + 10)
    reply = read_reply(text)
    assert reply.reply_text == "Yes."
    assert words_of(reply) == sorted(text.split())


PIECES = [
    "On ", "On Mon, Jan 1, 2024 at 10:00 AM Ann <ann@example.org> wrote:", "wrote:", "> ", ">", ">>", "\n", "\n\n", "\r\n", "-- \n", "--\n", "From: Ann <ann@example.org>\n",
    "Sent: Monday\n", "To: Bob\n", "Subject: x\n", "-----Original Message-----\n", "---------- Forwarded message ---------\n", "Regards,\n", "Thanks\n", "Ann\n", "Sent from my iPhone\n",
    "the printer smokes ", "P.S. more\n", "________________________________\n", "-- reply above this line --\n", "CAUTION: external sender, do not click links\n", "**Von:** Ann\n", "\u200f", "<", ">:", "@", "a@b.c ",
    "This e-mail and any attachments are confidential\n", "2024-01-01 10:00 ", "schrieb ", ":", "\x00", "\ud800", "写道：", "&gt;", "[x](mailto:a@b.c)",
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=20), max_size=40).map("".join)


@given(texts)
@settings(max_examples=400, deadline=None)
def test_folding_loses_and_makes_no_word(text):
    assert words_of(read_reply(text)) == sorted(text.split())


@given(texts)
@settings(max_examples=300, deadline=None)
def test_reading_is_the_same_whatever_ends_the_lines(text):
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    assert read_reply(lines.replace("\n", "\r\n")) == read_reply(lines)


@given(st.lists(st.text(alphabet="abc xyz,.", min_size=1, max_size=60), min_size=1, max_size=20))
@settings(deadline=None)
def test_prose_without_marks_is_all_reply_and_stays_so(lines):
    text = "\n".join(lines)
    once = read_reply(f"Hello there, all of you.\n\n{text}")
    assert read_reply(once.reply_text).reply_text == once.reply_text


CRAFTED = {
    "on": "On " * 30_000,
    "on lines": "On \n" * 30_000,
    "newlines": "\n" * 50_000,
    "one long line": "a" * 1_000_000,
    "one long line of colons": ":" * 1_000_000,
    "deep quote": ">" * 500_000,
    "deep quotes": (">" * 50 + " x\n") * 5_000,
    "wrote": "wrote:\n" * 30_000,
    "intros": "On Mon, Jan 1, 2024 at 10:00 AM Ann <a@b.org> wrote:\n" * 10_000,
    "half intros": "On Mon, Jan 1, 2024 at 10:00 AM Ann <a@b.org>\n" * 10_000,
    "headers": "From: a\n" * 10_000,
    "header lists": "To: a@example.org;\n" * 10_000,
    "joined headers": "From: To: Sent: Subject: " * 10_000,
    "separators": "-----Original Message\n" * 10_000,
    "delimiters": "--\n" * 30_000,
    "rules": "____________\n\n\n" * 10_000,
    "formulas": "Regards,\n" * 30_000,
    "devices": "Sent from my iPhone\nx\n" * 10_000,
    "addresses": "a@" * 100_000,
    "address lines": "<a@b.org> wrote\n" * 5_000,
    "blanks": " " * 1_000_000,
    "alternating": "> q\nx\n" * 20_000,
    "links": "[" * 200_000 + "](mailto:",
    "entities": "&lt;" * 200_000,
    "legal": "This e-mail and any attachments are confidential\n\n" * 10_000,
    "names": "-Ann\n" * 30_000,
}


@pytest.mark.parametrize("name", CRAFTED)
def test_crafted_text_is_read_to_its_end(name):
    text = CRAFTED[name]
    assert words_of(read_reply(text)) == sorted(text.split())
