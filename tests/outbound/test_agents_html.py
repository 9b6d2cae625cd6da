"""An agent's HTML on its way to the customer: as he set it where it says what he wrote, and nothing else of his mail."""

import re
from email.message import EmailMessage
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers.house import ANN, open_test_house
from peers.house import mail as plain_mail
from peers.replystyles import GMAIL, PROGRAMS

from postroom.outbound.agents_html import shown_to_customer
from postroom.parsers.attachments import read_part

PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 20
LOGO = b"\x89PNG\r\n\x1a\n" + b"logo" * 20
SECRET = "Internal: the customer is a nuisance"

TEXT_QUOTE = "\n\nOn Tue, 24 Nov 2026 at 12:00, Support <support@example.com> wrote:\n> {old}\n"


@pytest.fixture
def desk(tmp_path):
    with open_test_house(tmp_path) as made:
        made.take(plain_mail())
        yield made


def agents_mail(notice, html, text, pictures=(), files=()):
    message = EmailMessage()
    message["From"] = f"Ann Agent <{ANN}>"
    message["To"] = notice.reply_to[0].address
    message["Subject"] = f"Re: {notice.subject}"
    message["Message-ID"] = "<agent@example.com>"
    message["Date"] = "Tue, 24 Nov 2026 12:30:00 +0000"
    message["References"] = message["In-Reply-To"] = f"<{notice.message_id}>"
    message.set_content(text)
    message.add_alternative(html, subtype="html")
    for cid, content in pictures:
        name = f"{cid.partition('@')[0]}.png"
        message.get_payload()[1].add_related(
            content, "image", "png", cid=f"<{cid}>", filename=name, disposition="inline"
        )
    for name, content in files:
        message.add_attachment(content, "application", "pdf", filename=name)
    return message.as_bytes().replace(b"\n", b"\r\n")


def answered(desk, html, text, **more):
    """The mail that the customer gets, with its HTML as it is."""
    notice = desk.sent("new_ticket", ANN)
    desk.take(agents_mail(notice, html, text, **more), notice.reply_to[0].address)
    return sent_to_customer(desk)


def sent_to_customer(desk):
    import email
    import email.policy

    from sqlalchemy import select

    from postroom.store.tables import Delivery, RawMail

    query = select(RawMail.content).join(Delivery, Delivery.digest == RawMail.digest).where(Delivery.purpose == "reply")
    with desk.store.read() as connection:
        [raw] = connection.execute(query).scalars()
    assert SECRET.encode() not in raw
    return email.message_from_bytes(raw, policy=email.policy.default), raw


def html_of(message):
    html = message.get_body(("html",)).get_content()
    assert SECRET not in html
    return html


def words_part(html):
    """Our HTML without the quote of the customer's own mail."""
    return html.partition("<body")[2].partition("<blockquote type")[0]


NEW = (
    '<div>Dear Cy,</div><div><br></div><div>please <b>turn it off</b>, and read <a href="https://example.com/manual?a=1&amp;b=2">the manual</a>:</div>'
    '<ul><li>pull the <i>plug</i></li><li>wait</li></ul><ol><li>push it in</li></ol><div><img src="cid:plug@x" width="300" alt="plug"></div><div>Regards, Ann</div>'
)
NEW_TEXT = (
    "Dear Cy,\n\nplease *turn it off*, and read the manual\n<https://example.com/manual?a=1&b=2>:\n\n   - pull the *plug*\n   - wait\n\n"
    "   1. push it in\n\n[image: plug.png]\nRegards, Ann"
)


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_an_agent_set_in_bold_lists_links_and_pictures_arrives_so(desk, program):
    html = PROGRAMS[program].format(new=NEW, old=f'{SECRET}<img src="cid:logo@x">')
    text = NEW_TEXT + TEXT_QUOTE.format(old=SECRET)
    pictures = [("plug@x", PNG), ("logo@x", LOGO)]
    message, raw = answered(desk, html, text, pictures=pictures, files=[("manual.pdf", b"%PDF")])
    shown = html_of(message)
    assert "<b>turn it off</b>" in shown
    assert 'href="https://example.com/manual?a=1&amp;b=2"' in shown
    assert "<li>wait</li>" in shown
    [cid] = re.findall(r'src="cid:([^"]+)"', shown)
    related = next(part for part in message.walk() if part.get_content_type() == "multipart/related")
    picture = related.get_payload()[1]
    assert picture["Content-ID"] == f"<{cid}>"
    assert picture.get_content_disposition() == "inline"
    assert picture.get_payload(decode=True) == PNG
    assert cid.endswith("@example.com")
    assert "plug@x" not in raw.decode()
    # the picture of the history stays behind, the file comes along
    assert [part.get_filename() for part in message.iter_attachments()] == ["manual.pdf"]
    assert LOGO not in [part.get_payload(decode=True) for part in message.walk()]
    assert message.get_content_type() == "multipart/mixed"
    assert [part.get_content_type() for part in message.get_payload()[0].iter_parts()] == [
        "text/plain",
        "multipart/related",
    ]


def test_commands_above_his_words_are_cut_off_the_html_too(desk):
    new = "<div>#status pending</div><div>#tag  fuse</div><div><br></div><div>It is the <b>fuse</b>.</div>"
    message, raw = answered(
        desk,
        GMAIL.format(new=new, old=SECRET),
        f"#status pending\n#tag  fuse\n\nIt is the *fuse*.{TEXT_QUOTE.format(old=SECRET)}",
    )
    assert "It is the <b>fuse</b>." in html_of(message)
    assert b"#tag" not in raw
    assert b"pending" not in raw


@pytest.mark.parametrize(
    ("new", "text", "why"),
    [
        (
            f"<div>Hello <b>Cy</b><span style='font-size:0'>{SECRET}</span></div>",
            "Hello *Cy*",
            "words too small to see",
        ),
        (f"<div>{SECRET}</div><div>Hello <b>Cy</b></div>", "Hello *Cy*", "words above them that are no commands"),
        (f"<div>#not a command {SECRET}<br>Hello <b>Cy</b></div>", "Hello *Cy* and more", "the text says more"),
        (f"<p>Hello <b title='{SECRET}'>Cy</b></p>", "Goodbye", "another text"),
        (
            f"<b>Hello</b><!-- {SECRET} --><style>/* {SECRET} */</style><script>'{SECRET}'</script>",
            "Hello you",
            "what is not shown",
        ),
    ],
)
def test_where_the_html_does_not_say_the_same_the_text_is_all(desk, new, text, why):
    message, _ = answered(desk, f"<html><body>{new}</body></html>", f"{text}\n")
    shown = words_part(html_of(message))
    assert "<b>" not in shown, why
    assert text.split()[0] in shown


def test_hidden_places_of_html_that_does_say_the_same_hold_nothing(desk):
    new = (
        f'<p title="{SECRET}" lang="{SECRET}" dir="{SECRET}" style="font-weight:bold;background:url(https://evil.example/x);content:\'{SECRET}\'">Hello <b>Cy</b></p>'
        f'<!-- {SECRET} --><img alt="{SECRET}" src="https://evil.example/pixel.gif"><img src="cid:gone" alt="{SECRET}"><img src="data:image/png;base64,AAAA">'
        f'<script>{SECRET}</script><style>{SECRET}</style><template>{SECRET}</template><title>{SECRET}</title><a name="{SECRET}"></a>'
    )
    message, raw = answered(desk, f"<html><body>{new}</body></html>", "Hello *Cy*\n")
    shown = html_of(message)
    assert "Hello <b>Cy</b>" in shown
    assert b"evil.example" not in raw
    assert "<img" not in shown
    assert "font-weight:bold" in shown


@pytest.mark.parametrize(("plus", "at"), [("+", "@"), ("%2B", "@"), ("%2b", "%40")])
def test_our_signed_address_in_a_link_does_not_go_out(desk, plus, at):
    token = "a2" * 22
    new = f'<p>Write to <a href="mailto:support{plus}{token}{at}example.com">us</a> or <a href="mailto:info@example.com">info</a></p>'
    message, raw = answered(desk, f"<html><body>{new}</body></html>", "Write to us or info\n")
    assert token.encode() not in raw
    assert token not in html_of(message)
    assert "mailto:info@example.com" in html_of(message)


def test_our_signed_address_in_his_text_does_not_go_out(desk):
    token = "a2" * 22
    message, _ = answered(desk, "", f"Hello Cy, I got it from support+{token}@example.com and answered.\n")
    text = message.get_body(("plain",)).get_content()
    assert token not in text
    assert "I got it from support@example.com and answered." in " ".join(text.split())


def test_quotes_without_any_mark_are_cut_where_his_words_end(desk):
    html = f"<div>Hello <b>Cy</b></div><div>On Tue, 24 Nov 2026 at 12:00, Support &lt;support@example.com&gt; wrote:</div><div>&gt; {SECRET}</div>"
    message, _ = answered(desk, html, f"Hello *Cy*{TEXT_QUOTE.format(old=SECRET)}")
    assert "Hello <b>Cy</b>" in html_of(message)


@pytest.mark.parametrize("style", ["", "display:none", "color:white", "font-size:0"])
def test_words_below_his_own_that_the_text_does_not_have_stay_behind(desk, style):
    html = f'<div>Hello <b>Cy</b></div><div style="{style}">{SECRET} <img src="cid:s@x"></div>'
    message, _ = answered(desk, html, "Hello *Cy*\n", pictures=[("s@x", PNG)])
    assert "Hello <b>Cy</b>" in html_of(message)
    assert PNG not in [part.get_payload(decode=True) for part in message.walk()]


def test_answers_between_the_quotes_go_as_text(desk):
    html = f'<blockquote type="cite">Does it burn?</blockquote><div><b>Yes</b></div><blockquote type="cite">{SECRET[:0]}And smoke?</blockquote><div>No</div>'
    message, _ = answered(desk, html, "> Does it burn?\n\nYes\n\n> And smoke?\n\nNo\n")
    assert "<b>Yes</b>" not in words_part(html_of(message))
    assert "Yes" in html_of(message)


def test_a_picture_that_is_no_picture_is_a_file(desk):
    notice = desk.sent("new_ticket", ANN)
    raw = agents_mail(
        notice, '<p>See <b>this</b> <img src="cid:a@x"></p>', "See *this*\n", pictures=[("a@x", b"<svg onload=x>")]
    )
    raw = raw.replace(b"image/png", b"image/svg+xml")
    desk.take(raw, notice.reply_to[0].address)
    message, _ = sent_to_customer(desk)
    assert "<img" not in html_of(message)
    [file] = message.iter_attachments()
    assert file.get_content_disposition() == "attachment"


def test_the_answer_is_read_back_by_our_own_parser_with_its_picture(desk):
    answered(desk, "<div>Look: <b>here</b><img src='cid:p@x'></div>", "Look: *here*\n", pictures=[("p@x", PNG)])
    mail = desk.sent("reply")
    [picture] = mail.attachments
    assert (picture.inline, picture.content_type, picture.size) == (True, "image/png", len(PNG))
    assert f'src="cid:{picture.content_id}"' in mail.html
    _, raw = sent_to_customer(desk)
    assert read_part(raw, picture.part) == PNG


FRAGMENTS = st.sampled_from(
    ["<div>", "</div>", "<b>", "</b>", "<br>", "<p title='x", "'>", "<img src=cid:a@x>", "<blockquote type=cite>", "</blockquote>", "Hello ", "Cy", "#tag x",
     "&lt;", "&#0;", "<!--", "-->", "<table><tr><td>", "</table>", "1. ", "<li>", "<svg>", "<style>", "cid:a@x", "<div class=gmail_quote>", "<", ">", "\0"]
)  # fmt: skip


@given(
    st.lists(FRAGMENTS, max_size=30).map("".join) | st.text(max_size=100),
    st.sampled_from(["Hello Cy", "Hello", "1. Cy", ""]),
)
def test_whatever_his_html_is_it_says_the_text_or_nothing(html, text):
    head = "MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    shown = shown_to_customer(head.encode() + html.encode("utf-8", "replace"), text, [], "example.com")
    if shown.html:
        said = unescape(re.sub(r"<(b|/b|img)\b[^<>]*>", "", shown.html))
        said = re.sub(r"<[^<>]*>", " ", said)
        assert re.findall(r"[^\W_]+", re.sub(r"(?<!\w)1\.", "", said)) == re.findall(
            r"[^\W_]+", text.removeprefix("1.")
        )
    assert shown.files == ()
