"""A file's name is data: at every door where a person sees it, it has no path, no control and no bidi character."""

import base64
import unicodedata

from peers.commandline import Desk

NAMES = (
    "../../etc/passwd", "..\\..\\windows\\system.ini", "/etc/shadow", "C:\\Users\\ann\\invoice.pdf", "a\r\nBcc: x@example.org\r\n.txt", "nul\0byte.txt",
    "invoice\u202efdp.exe", "\u2066hidden\u2069.txt", "\x1b[31mred\x1b[0m.txt", "\u200bzero\u200bwidth.txt", "..", ".", "/", "", "<img src=x onerror=alert(1)>.png",
    "tab\tand\x85next\u2028line.txt", "a" * 400 + ".pdf",
)  # fmt: skip


def mail(name):
    encoded = base64.b64encode(name.encode()).decode()
    return (
        f"From: cy@customer.example\r\nTo: support@example.com\r\nSubject: a file\r\nMessage-ID: <{abs(hash(name))}@customer.example>\r\n"
        'Date: Tue, 24 Nov 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nSee there.\r\n--b\r\n'
        f'Content-Type: application/octet-stream; name="=?utf-8?b?{encoded}?="\r\nContent-Disposition: attachment\r\n\r\nx\r\n--b--\r\n'
    ).encode()  # fmt: skip


def check_name(name):
    assert name
    assert not {"/", "\\"} & set(name)
    assert name not in (".", "..")
    assert len(name) <= 255
    assert [c for c in name if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs") or c in "\u202e\u2066"] == []


def test_no_door_shows_more_of_a_name_than_a_name(tmp_path):
    desk = Desk(tmp_path)
    paths = [desk.write(f"{number}.eml", mail(name)) for number, name in enumerate(NAMES)]
    for parsed in desk("parse", "--json", *paths).objects:
        check_name(parsed["attachments"][0]["filename"])
    desk("ingest", *paths)
    tickets = desk("tickets", "export").objects
    assert len(tickets) == len(NAMES)
    for ticket in tickets:
        check_name(ticket["messages"][0]["attachments"][0]["filename"])
    for number in (2, 6, 8):  # a path, a bidi character, an escape
        page = desk("tickets", "show", tickets[number]["ref"]).out
        assert tickets[number]["messages"][0]["attachments"][0]["filename"] in page
        assert not {"\x1b", "\u202e", "\u2066", "\0", "\x85"} & set(page)


def test_an_agents_notice_shows_the_name_as_data(tmp_path):
    from peers.house import open_test_house

    with open_test_house(tmp_path) as house:
        for name in NAMES:
            house.take(mail(name))
        notices = [sent for _, sent in house.outbox(purpose="new_ticket")]
        assert len(notices) == 2 * len(NAMES)
        for notice in notices:
            assert not {"\x1b", "\u202e", "\u2066", "\0"} & set(notice.text)
            assert "/etc/" not in notice.text
            assert "<img" not in (notice.html or "")
            for file in notice.attachments:
                check_name(file.filename)
