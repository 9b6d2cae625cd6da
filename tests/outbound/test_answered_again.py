"""What we send is answered from the usual mail programs: our reply reader cuts our own words off again, whatever mail it was."""

from functools import cache

import pytest
from peers.replystyles import IN_HTML, IN_TEXT

from postroom.outbound.samples import SAMPLES
from postroom.outbound.templates import Templates
from postroom.parsers.email import parse

NEW = "Thank you, it works now.\n\nBut the lamp still blinks: is that right?"
NEW_HTML = "<p>Thank you, it works now.</p><p>But the lamp still blinks: is that right?</p>"


@cache
def sent(language):
    """The words of each kind of mail that we send."""
    templates = Templates()
    return {purpose: templates.render(purpose, data, language) for purpose, data in SAMPLES.items()}


def mail(subtype, body):
    head = f"From: cy@customer.example\r\nTo: support@example.com\r\nSubject: Re: Printer\r\nMIME-Version: 1.0\r\nContent-Type: text/{subtype}; charset=utf-8\r\n\r\n"
    return (head + body.replace("\n", "\r\n")).encode()


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("program", IN_HTML)
def test_answers_in_html_say_what_was_written_and_no_more(program, language):
    said = {}
    for purpose, words in sent(language).items():
        body = words.html.partition("<body")[2].partition(">")[2].partition("</body>")[0]
        said[purpose] = parse(mail("html", IN_HTML[program].format(new=NEW_HTML, old=body))).reply_text
    assert {purpose: text for purpose, text in said.items() if text.split() != NEW.split()} == {}


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("program", IN_TEXT)
def test_answers_in_text_say_what_was_written_and_no_more(program, language):
    said = {}
    for purpose, words in sent(language).items():
        quoted = "\n".join(f"> {line}".rstrip() for line in words.text.splitlines())
        body = IN_TEXT[program].format(new=NEW, old=words.text, quoted=quoted)
        said[purpose] = parse(mail("plain", body)).reply_text
    assert {purpose: text for purpose, text in said.items() if text != NEW} == {}
