"""What the author wrote now, by the marks that mail programs leave in HTML."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroom.parsers.html_marks import MAX_MARKS, find_marks
from postroom.parsers.reply_html import read_html_reply

GMAIL_INTRO = (
    'On Mon, Jan 1, 2024 at 10:00 AM Bob &lt;<a href="mailto:bob@example.org">bob@example.org</a>&gt; wrote:<br>'
)
OUTLOOK_HEADERS = "<p><b>Von:</b> Bob &lt;bob@example.org&gt;<br><b>Gesendet:</b> Montag, 1. Januar 2024 10:00<br><b>An:</b> Ann<br><b>Betreff:</b> Test</p>"

# What each program makes of the reply "It works now." to the old words "Does it work?".
PROGRAMS = {
    "Gmail": f'<div dir="ltr">It works now.</div><br><div class="gmail_quote gmail_quote_container"><div dir="ltr" class="gmail_attr">{GMAIL_INTRO}</div><blockquote class="gmail_quote" style="margin:0 0 0 .8ex">Does it work?</blockquote></div>',
    "Gmail of old": f'<div dir="ltr">It works now.</div><div class="gmail_extra"><br><div class="gmail_quote">{GMAIL_INTRO}<blockquote class="gmail_quote">Does it work?</blockquote></div></div>',
    "Gmail through a sanitiser": f'<div dir="ltr">It works now.</div><div class="x_gmail_quote"><div class="x_gmail_attr">{GMAIL_INTRO}</div><blockquote class="x_gmail_quote">Does it work?</blockquote></div>',
    "Outlook": f"<p class=MsoNormal>It works now.</p><div><div style='border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0cm 0cm 0cm'>{OUTLOOK_HEADERS}</div></div><p>Does it work?</p>",
    "Outlook 2007": f"<p class=MsoNormal>It works now.</p><div style='border:none;border-top:solid #B5C4DF 1.0pt;padding:3.0pt 0in 0in 0in'>{OUTLOOK_HEADERS}</div><p>Does it work?</p>",
    "Outlook on the web": '<div>It works now.</div><div id="appendonsend"></div><hr style="display:inline-block;width:98%" tabindex="-1"><div id="divRplyFwdMsg" dir="ltr"><b>From:</b> Bob<br><b>Sent:</b> Monday</div><div>Does it work?</div>',
    "Outlook for iOS": '<div>It works now.</div><div id="ms-outlook-mobile-signature">Get <a href="https://aka.ms/o0ukef">Outlook for iOS</a></div><hr><div id="divRplyFwdMsg"><b>From:</b> Bob</div><div>Does it work?</div>',
    "the new Outlook": '<div>It works now.</div><div id="mail-editor-reference-message-container"><div><b>From: </b>Bob</div>Does it work?</div>',
    "Outlook Express": '<div>It works now.</div><div class="OutlookMessageHeader">From: Bob</div><div>Does it work?</div>',
    "Hotmail": '<div>It works now.</div><hr id="stopSpelling">From: bob@example.org<br>Does it work?',
    "Apple Mail": '<body>It works now.<br><div><br><blockquote type="cite"><div>On 1 Jan 2024, at 10:00, Bob &lt;bob@example.org&gt; wrote:</div><br class="Apple-interchange-newline"><div>Does it work?</div></blockquote></div><br></body>',
    "Apple Mail of old": '<body>It works now.<br><div><div>On 1 Jan 2024, at 10:00, Bob &lt;bob@example.org&gt; wrote:</div><br><blockquote type="cite">Does it work?</blockquote></div></body>',
    "iOS": '<body>It works now.<br><br><div id="AppleMailSignature">Sent from my iPhone</div><div><br>On 1 Jan 2024, at 10:00, Bob &lt;bob@example.org&gt; wrote:<br></div><blockquote type="cite"><div>Does it work?</div></blockquote></body>',
    "Thunderbird": '<p>It works now.</p><div class="moz-cite-prefix">Am 01.01.24 um 10:00 schrieb Bob:<br></div><blockquote type="cite" cite="mid:x@example.org"><p>Does it work?</p></blockquote>',
    "Yahoo": '<div class="ydp4f2b1c3yahoo-style-wrap">It works now.</div><div id="yahoo_quoted_1234567890" class="yahoo_quoted"><div>On Monday, Bob wrote:</div><div>Does it work?</div></div>',
    "Proton": '<div>It works now.</div><div class="protonmail_quote">On Monday, January 1st, 2024 at 10:00 AM, Bob wrote:<br><blockquote class="protonmail_quote" type="cite">Does it work?</blockquote></div>',
    "Zoho": '<div>It works now.</div><div class="zmail_extra"><div>---- On Mon, 01 Jan 2024 10:00:00 +0100 Bob wrote ----</div><blockquote>Does it work?</blockquote></div>',
    "Zoho of old": '<div>It works now.</div><div>---- On Mon, 01 Jan 2024 10:00:00 +0100 <b>bob@example.org</b> wrote ----</div><div class="zmail_extra">Does it work?</div>',
    "iNotes": '<font>It works now.</font><br><font color="#990099">-----"Bob" &lt;bob@example.org&gt; wrote: -----</font><div class="iNotesHistory" style="padding-left:5px;">To: Ann<br>Does it work?</div>',
    "Lotus Notes": '<font>It works now.</font><br><br><table><tr><td><font><b>Bob &lt;bob@example.org&gt;</b></font><br><font>01/01/2024 10:00 AM</font></td><td><table><tr><td>To</td><td>Ann</td></tr><tr><td>cc</td><td></td></tr><tr><td>Subject</td><td>Test</td></tr></table></td></tr></table><br>Does it work?<div class="domino">x</div><blockquote type="cite">y</blockquote>',
    "GMX": '<div>It works now.</div><div name="quote" style="margin:10px 5px 5px 10px; border-left:2px solid #C3D9E5;"><b>Gesendet:</b> Montag<br>Does it work?</div>',
    "Yandex": '<div>It works now.</div><div>01.01.2024, 10:00, "Bob" &lt;bob@example.org&gt;:</div><blockquote><p>Does it work?</p></blockquote>',
    "Mail.ru": '<div>It works now.</div><blockquote style="border-left:1px solid #0857A6;margin:10px;padding:0 0 0 10px">Понедельник, 1 января 2024, 10:00 +03:00 от Bob &lt;bob@example.org&gt;:<br>Does it work?</blockquote>',
    "Spark": '<div name="messageBodySection">It works now.</div><div name="messageReplySection">On 1 Jan 2024, 10:00 +0100, Bob, wrote:<br><blockquote type="cite">Does it work?</blockquote></div>',
    "Zimbra": '<div>It works now.</div><hr id="zwchr" data-marker="__DIVIDER__"><div data-marker="__HEADERS__"><b>From: </b>Bob</div><div data-marker="__QUOTED_TEXT__">Does it work?</div>',
    "Roundcube": '<div>It works now.</div><p id="reply-intro">On 2024-01-01 10:00, Bob wrote:</p><blockquote type="cite">Does it work?</blockquote>',
    "Airmail": '<div>It works now.</div><p class="airmail_on">On 1 January 2024 at 10:00:00, Bob wrote:</p><blockquote type="cite" class="clean_bq">Does it work?</blockquote>',
    "NetEase": '<div>It works now.</div><div id="isReplyContent">At 2024-01-01 10:00:00, "Bob" &lt;bob@example.org&gt; wrote:<br>Does it work?</div>',
    "our own marker": '<div>It works now.</div><blockquote type="cite"><div>-- reply above this line --</div>Does it work?</blockquote>',
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_marks_of_mail_programs_part_reply_and_quote(program):
    reply = read_html_reply(f"<html><head><style>p > a {{ color: red }}</style></head>{PROGRAMS[program]}</html>")
    assert reply is not None
    assert reply.reply_text == "It works now."
    assert "Does it work?" in (reply.quoted_text or "")
    assert "wrote" not in (reply.signature or "")


SIGNATURES = {
    "Gmail": '<div class="gmail_signature" data-smartmail="gmail_signature">Bob<br>Acme</div>',
    "Thunderbird": '<pre class="moz-signature" cols="72">-- \nBob\nAcme</pre>',
    "Outlook on the web": '<div id="Signature"><p>Bob</p><p>Acme</p></div>',
    "Yahoo": '<div id="ydp4f2b1c3signature">Bob<br>Acme</div>',
    "Proton": '<div class="protonmail_signature_block"><div class="protonmail_signature_block-user">Bob<br>Acme</div></div>',
    "Spark": '<div name="messageSignatureSection">Bob<br>Acme</div>',
}


@pytest.mark.parametrize("program", SIGNATURES)
def test_a_marked_signature_is_signature(program):
    reply = read_html_reply(f"<div>It works now.</div>{SIGNATURES[program]}")
    assert reply is not None
    assert reply.reply_text == "It works now."
    assert (reply.signature or "").endswith("Acme")
    assert reply.quoted_text is None


def test_html_without_marks_says_nothing():
    assert read_html_reply("<p>Hello</p>") is None
    assert read_html_reply("") is None
    assert read_html_reply("Hello, <b>is</b> 1 < 2?") is None


def test_an_indented_paragraph_is_the_author_s_though_it_is_a_blockquote():
    assert (
        read_html_reply(
            '<div>See:</div><blockquote style="margin:0 0 0 40px;border:none;padding:0px">my words</blockquote>'
        )
        is None
    )


def test_a_border_above_other_words_than_headers_is_a_mere_border():
    assert (
        read_html_reply("<p>Hello</p><div style='border:none;border-top:solid #E1E1E1 1.0pt'>My signature</div>")
        is None
    )


def test_answers_between_gmail_s_quotes_keep_them():
    html = f'<div class="gmail_quote"><div class="gmail_attr">{GMAIL_INTRO}</div><blockquote class="gmail_quote">Which colour?</blockquote><div>Red.</div><blockquote class="gmail_quote">Which size?</blockquote><div>Large.</div></div>'
    reply = read_html_reply(html)
    assert reply is not None
    assert reply.reply_text == "> Which colour?\n\nRed.\n\n> Which size?\n\nLarge."


def test_an_answer_below_thunderbird_s_quote_is_the_reply():
    html = '<div class="moz-cite-prefix">On 1/1/24 10:00, Ann wrote:<br></div><blockquote type="cite"><div>Does it<div>work?</div></div></blockquote><p>It works now.</p>'
    reply = read_html_reply(html)
    assert reply is not None
    assert reply.reply_text == "It works now."


def test_gmail_s_forward_is_history_to_its_end_though_it_holds_quotes():
    html = '<div>Please look.</div><div class="gmail_quote"><div class="gmail_attr">---------- Forwarded message ---------<br>From: Bob &lt;bob@example.org&gt;<br></div>Hello<blockquote class="gmail_quote">older</blockquote>and more</div>'
    reply = read_html_reply(html)
    assert reply is not None
    assert reply.reply_text == "Please look."
    assert "and more" in (reply.quoted_text or "")


def test_a_comment_or_a_style_holds_no_marks():
    assert (
        find_marks(
            '<!-- <div class="gmail_quote"> --><style>.x { content: "<div class=gmail_quote>" }</style><p>Hello</p>'
        )
        == []
    )


def test_a_greater_than_sign_in_an_attribute_does_not_end_the_tag():
    html = '<img alt="a > b" src="x.png">It works now.<blockquote title="x > y" type="cite">old</blockquote>'
    reply = read_html_reply(html)
    assert reply is not None
    assert "old" not in reply.reply_text


def test_html_of_more_marks_than_any_mail_has_is_left_to_the_text():
    assert find_marks('<blockquote type="cite">x</blockquote>y' * (MAX_MARKS + 2)) == []


TAGS = ['<div class="gmail_quote">', "<div>", "</div>", '<blockquote type="cite">', "</blockquote>", "<p>", "</p>", "<br>", '<div id="divRplyFwdMsg">', "<!--", "-->", "<style>", "</style>", '<a href="', '">', "It works. ", "&lt;", "On 1/1/24 10:00, Ann wrote:", '<div class="gmail_signature">', "<", ">", "\x00", "\ud800"]  # fmt: skip


@given(st.lists(st.sampled_from(TAGS) | st.text(max_size=10), max_size=30).map("".join))
@settings(max_examples=300, deadline=None)
def test_marks_are_in_order_and_within_the_html_whatever_it_is(html):
    marks = find_marks(html)
    edges = [edge for mark in marks for edge in (mark.start, mark.end)]
    assert edges == sorted(edges)
    assert all(0 <= edge <= len(html) for edge in edges)
    read_html_reply(html)


CRAFTED = {
    "comments": "<!--" * 200_000, "blockquotes": "<blockquote>" * 50_000, "quotes": '<a "' * 100_000, "styles": "<style>" * 50_000,
    "borders": '<div style="border-top:solid 1pt">From: x' * 10_000, "brackets": "<" * 500_000, "frames": "<div class=gmail_quote>" * 30_000,
    "classes": f'<div class="{"a " * 100_000}">', "cites": "<blockquote type=cite>" * 50_000, "signatures": "<div id=Signature>" * 50_000,
}  # fmt: skip


@pytest.mark.parametrize("name", CRAFTED)
def test_crafted_html_is_read_to_its_end(name):
    find_marks(CRAFTED[name])
