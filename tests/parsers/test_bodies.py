"""What is the body, and what does it say?"""

import zlib

import pytest

from postroom.parsers.bodies import Bodies, read_bodies
from postroom.parsers.flowed import unflow
from postroom.parsers.mime import read_tree


def bodies(raw: str) -> Bodies:
    return read_bodies(read_tree(raw.encode()))


def multipart(kind: str, *parts: str) -> str:
    boundary = f"{kind}-{zlib.crc32(''.join(parts).encode())}-x"
    return (
        f"Content-Type: multipart/{kind}; boundary={boundary}\n\n"
        + "".join(f"--{boundary}\n{part}\n" for part in parts)
        + f"--{boundary}--\n"
    )


PLAIN = "Content-Type: text/plain\n\nplain words"
HTML = "Content-Type: text/html\n\n<p>rich words</p>"
IMAGE = "Content-Type: image/png\nContent-ID: <i>\nContent-Transfer-Encoding: base64\n\niVBORw0K"


@pytest.mark.parametrize(
    ("raw", "text", "html"),
    [
        (PLAIN, "plain words", None),
        (HTML, "rich words", "<p>rich words</p>"),
        (multipart("alternative", PLAIN, HTML), "plain words", "<p>rich words</p>"),
        (multipart("alternative", HTML, PLAIN), "plain words", "<p>rich words</p>"),
        (multipart("alternative", PLAIN, multipart("related", HTML, IMAGE)), "plain words", "<p>rich words</p>"),
        (multipart("related", multipart("alternative", PLAIN, HTML), IMAGE), "plain words", "<p>rich words</p>"),
        (multipart("mixed", multipart("alternative", PLAIN, HTML), IMAGE), "plain words", "<p>rich words</p>"),
        (multipart("alternative", "Content-Type: text/plain\n\n  \n", HTML), "rich words", "<p>rich words</p>"),
        (multipart("mixed", PLAIN, IMAGE, "Content-Type: text/plain\n\nmore"), "plain words\nmore", None),
        (multipart("alternative", PLAIN, "Content-Type: text/plain\n\nother words"), "plain words\nother words", None),
        (multipart("alternative", PLAIN, "Content-Type: text/plain\n\nplain words"), "plain words", None),
        (multipart("alternative", PLAIN, "Content-Type: text/enriched\n\nmade <bold>rich</bold>"), "plain words", None),
        (multipart("mixed", PLAIN, HTML.replace("rich", "other")), "plain words\nother words", '<div style="white-space: pre-wrap">plain words</div>\n<p>other words</p>'),
        (multipart("mixed", PLAIN, HTML.replace("rich", "plain")), "plain words", "<p>plain words</p>"),
        (multipart("mixed", PLAIN, "Content-Type: text/plain; name=notes.txt\n\nfile"), "plain words", None),
        (multipart("mixed", PLAIN, "Content-Disposition: attachment\n\nfile"), "plain words", None),
        (multipart("mixed", PLAIN, "Content-Type: message/rfc822\n\nSubject: x\n\nnot mine"), "plain words", None),
        (multipart("signed", PLAIN, "Content-Type: application/pgp-signature\n\nsig"), "plain words", None),
        (multipart("signed", PLAIN, "Content-Type: text/plain\n\nno signature, no text"), "plain words", None),
        (multipart("report", PLAIN, "Content-Type: message/delivery-status\n\nAction: failed"), "plain words", None),
        ("Content-Type: text/enriched\n\n<bold>plain</bold>\nwords <<x>", "plain words <x>", None),
        ("Content-Type: text/x-unknown\n\nplain words", "plain words", None),
        ("Content-Type: application/pdf\n\nx", "", None),
    ],
)  # fmt: skip
def test_the_body_is_what_the_author_meant_to_be_read(raw: str, text: str, html: str | None) -> None:
    read = bodies(raw)
    assert (read.text.strip(), read.html if read.html is None else read.html.strip()) == (text, html)


def test_the_root_of_related_parts_is_the_one_that_is_named() -> None:
    raw = multipart(
        "related", "Content-Type: text/html\nContent-ID: <a>\n\nA", "Content-Type: text/html\nContent-ID: <b>\n\nB"
    )
    assert bodies(raw).text == "A"
    assert bodies(raw.replace("related;", 'related; start="<b>";')).text == "B"


@pytest.mark.parametrize(
    ("written", "delsp", "read"),
    [
        ("one \ntwo\nthree", False, "one two\nthree"),
        ("one \ntwo", True, "onetwo"),
        ("> a \n> b\n>> c \n>> d\nx", False, "> a b\n>> c d\nx"),
        ("> a \nb", False, "> a \nb"),
        ("text \n-- \nAnn", False, "text \n-- \nAnn"),
        (" >not a quote\n  two", False, ">not a quote\n two"),
        ("", False, ""),
        ("end ", False, "end "),
    ],
)
def test_flowed_lines_are_put_together(written: str, delsp: bool, read: str) -> None:
    assert unflow(written, delsp=delsp) == read


def test_files_that_were_uuencoded_in_a_text_are_not_its_words() -> None:
    read = bodies("Subject: x\n\nbefore\nbegin 644 cat.txt\n#0V%T\n`\nend\nafter\n")
    assert read.text == "before\nafter\n"
    assert [block.filename for block in read.uuencoded[""]] == [b"cat.txt"]


def test_a_cancelled_meeting_is_summed_up() -> None:
    calendar = "BEGIN:VCALENDAR\nMETHOD:CANCEL\nBEGIN:VEVENT\nSUMMARY:Stand\n up\nDTSTART;VALUE=DATE:20261201\nEND:VEVENT\nEND:VCALENDAR\n"
    assert bodies(f"Content-Type: text/calendar\n\n{calendar}").text == "Cancelled: Standup\nWhen: 2026-12-01"


def test_encrypted_mail_says_that_it_is() -> None:
    tree = read_tree(
        multipart(
            "encrypted",
            "Content-Type: application/pgp-encrypted\n\nVersion: 1",
            "Content-Type: application/octet-stream\n\n-----BEGIN",
        ).encode()
    )
    assert read_bodies(tree).text == ""
    assert tree.defects == ["message: encrypted; it can be read by its recipient only"]


def test_html_beside_a_plain_text_is_there_for_whoever_asks_and_its_damage_is_named_at_once() -> None:
    html = "Content-Type: text/html\nContent-Transfer-Encoding: base64\n\nPGI+aGk8L2I+!!"
    tree = read_tree(multipart("alternative", PLAIN, html).encode())
    read = read_bodies(tree)
    assert any("base64" in defect for defect in tree.defects)
    assert read.html == read.html == "<b>hi</b>"
