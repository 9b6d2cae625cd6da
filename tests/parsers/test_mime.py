"""The MIME tree: what belongs to what, in order and in disorder."""

import pytest

from postroom.parsers import mime

HEAD = b"From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=outer-1\r\n\r\n"


def outline(raw: bytes) -> list[tuple[str, str, str]]:
    """Path, type and text of each leaf."""
    return [
        (part.path, part.content_type, part.text().strip())
        for part in mime.read_tree(raw).root.walk()
        if not part.children
    ]


def test_nothing_at_all_is_an_empty_text() -> None:
    assert outline(b"") == [("", "text/plain", "")]


def test_a_message_of_two_parts_has_them_as_children() -> None:
    raw = (
        HEAD
        + b"preamble\r\n--outer-1\r\n\r\none\r\n--outer-1\r\nContent-Type: TEXT/HTML\r\n\r\n<p>two\r\n--outer-1--\r\nepilogue"
    )
    tree = mime.read_tree(raw)
    assert outline(raw) == [("1", "text/plain", "one"), ("2", "text/html", "<p>two")]
    assert tree.defects == []


@pytest.mark.parametrize("line_end", [b"\r\n", b"\n", b"\r"])
def test_any_kind_of_line_end_parts_header_and_body(line_end: bytes) -> None:
    raw = HEAD + b"--outer-1\r\nSubject: x\r\n\r\none\r\n\r\ntwo\r\n--outer-1--\r\n"
    assert outline(raw.replace(b"\r\n", line_end)) == [("1", "text/plain", "one\n\ntwo")]


def test_the_line_break_before_a_delimiter_belongs_to_the_delimiter() -> None:
    tree = mime.read_tree(HEAD + b"--outer-1\r\n\r\none\r\n\r\n--outer-1--")
    assert tree.root.children[0].body() == b"one\r\n"


def test_the_from_line_of_an_mbox_is_no_header() -> None:
    tree = mime.read_tree(b"From ann@example.org Wed Nov 25 10:00:00 2026\nSubject: hello\n\ntext")
    assert tree.root.header("subject") == "hello"
    assert tree.defects == []


def test_a_boundary_that_begins_as_another_does_not_close_it() -> None:
    inner = b"Content-Type: multipart/alternative; boundary=outer-1-inner\r\n\r\n--outer-1-inner\r\n\r\nin\r\n--outer-1-inner--\r\n"
    raw = HEAD + b"--outer-1\r\n" + inner + b"--outer-1\r\n\r\nout\r\n--outer-1--\r\n"
    assert outline(raw) == [("1.1", "text/plain", "in"), ("2", "text/plain", "out")]


def test_a_container_that_is_never_closed_ends_with_the_one_around_it() -> None:
    inner = b"Content-Type: multipart/alternative; boundary=inner-1\r\n\r\n--inner-1\r\n\r\nin\r\n"
    raw = HEAD + b"--outer-1\r\n" + inner + b"--outer-1\r\n\r\nout\r\n"
    tree = mime.read_tree(raw)
    assert outline(raw) == [("1.1", "text/plain", "in"), ("2", "text/plain", "out")]
    assert tree.defects == ["part 1: the closing delimiter is missing", "message: the closing delimiter is missing"]


def test_containers_of_the_same_boundary_lose_no_part() -> None:
    inner = b"Content-Type: multipart/alternative; boundary=outer-1\r\n\r\n--outer-1\r\n\r\nin\r\n--outer-1--\r\n"
    raw = HEAD + b"--outer-1\r\n" + inner + b"--outer-1\r\n\r\nout\r\n--outer-1--\r\n"
    assert {"in", "out"} <= {text for _, _, text in outline(raw)}


@pytest.mark.parametrize("boundary", [b"; boundary=other-1", b"", b"; boundary="])
def test_a_wrong_or_missing_boundary_is_guessed_from_the_body(boundary: bytes) -> None:
    raw = (
        b"Content-Type: multipart/mixed"
        + boundary
        + b"\n\n--real\nContent-Type: text/plain\n\none\n--real\nContent-Type: text/html\n\ntwo\n--real--\n"
    )
    assert outline(raw) == [("1", "text/plain", "one"), ("2", "text/html", "two")]
    assert any("guessed" in defect for defect in mime.read_tree(raw).defects)


def test_a_multipart_without_any_part_is_read_as_text() -> None:
    assert outline(b"Content-Type: multipart/mixed; boundary=x-1\n\njust words") == [("", "text/plain", "just words")]


def test_parts_without_a_content_type_above_them_are_found() -> None:
    raw = b"Subject: x\n\n--lost\nContent-Type: text/plain\n\none\n--lost\nContent-Type: text/html\n\ntwo\n--lost--\n"
    assert outline(raw) == [("1", "text/plain", "one"), ("2", "text/html", "two")]


def test_a_missing_blank_line_loses_neither_header_nor_body() -> None:
    tree = mime.read_tree(b"Subject: x\nTo: a@example.org\nHello Ann,\nplease note: it is broken\n\nBye")
    assert tree.root.header("to") == "a@example.org"
    assert tree.root.text() == "Hello Ann,\nplease note: it is broken\n\nBye"


def test_header_lines_that_lost_their_blank_do_not_end_the_header() -> None:
    raw = b"Received: from a.example.org\nby b.example.org\nwith ESMTP\nSubject: x\n\nbody"
    tree = mime.read_tree(raw)
    assert (tree.root.header("subject"), tree.root.text()) == ("x", "body")


def test_a_long_subject_wrapped_without_a_blank_is_whole() -> None:
    raw = b"Subject: The printer on the third floor of the east wing does not\nprint double sided\nFrom: a@example.org\n\nbody"
    assert (
        mime.read_tree(raw).root.header("subject")
        == "The printer on the third floor of the east wing does not print double sided"
    )


def test_an_attached_message_is_the_only_child_of_its_part() -> None:
    raw = HEAD + b"--outer-1\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nbody\r\n--outer-1--\r\n"
    part = mime.read_tree(raw).root.children[0]
    assert [child.header("subject") for child in part.children] == ["inner"]
    assert part.decoded() == b"Subject: inner\r\n\r\nbody"


def test_an_attached_message_in_base64_is_read_though_that_is_forbidden() -> None:
    raw = b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogaW5uZXIKCmJvZHk=\n"
    assert mime.read_tree(raw).root.children[0].header("subject") == "inner"


def test_the_parts_of_a_digest_are_messages() -> None:
    raw = b"Content-Type: multipart/digest; boundary=d-1\n\n--d-1\n\nSubject: one\n\nx\n--d-1\n\nSubject: two\n\ny\n--d-1--\n"
    assert [part.children[0].header("subject") for part in mime.read_tree(raw).root.children] == ["one", "two"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"text/html; charset=utf-8", "text/html"), (b"TEXT / HTML", "text/html"), (b"text", "text/plain"), (b"html", "text/html"),
        (b"", "text/plain"), (b"a b c", "text/plain"), (b"text/plain/x", "text/plain"), (b"image/", "application/octet-stream"),
    ],
)  # fmt: skip
def test_a_damaged_type_is_what_was_meant_or_a_safe_one(written: bytes, read: str) -> None:
    assert mime.read_tree(b"Content-Type: " + written + b"\n\nx").root.content_type == read


def test_depth_is_limited_and_says_so() -> None:
    raw = (
        b"".join(b"Content-Type: multipart/mixed; boundary=b%06d\n\n--b%06d\n" % (i, i) for i in range(500)) + b"\ndeep"
    )
    tree = mime.read_tree(raw)
    assert max(part.path.count(".") + 1 for part in tree.root.walk()) == mime.MAX_DEPTH
    assert any("nested deeper" in defect for defect in tree.defects)


def test_a_hundred_thousand_parts_are_a_thousand_and_a_rest_in_one_piece() -> None:
    raw = HEAD + b"--outer-1\n\nx\n" * 100_000
    tree = mime.read_tree(raw)
    parts = list(tree.root.walk())
    assert len(parts) == mime.MAX_PARTS
    assert sum(len(part.body()) for part in parts[1:]) > 10 * 99_000
    assert any("more than 1000 parts" in defect for defect in tree.defects)


def test_a_header_bomb_is_read_up_to_its_limit_and_the_body_behind_it_too() -> None:
    raw = b"Subject: first\n" + b"X-Bomb: boom\n" * 100_000 + b"To: late@example.org\n\nbody"
    tree = mime.read_tree(raw)
    assert tree.root.header("subject") == "first"
    assert tree.root.header("to") is None
    assert tree.root.text() == "body"
    assert any("header is too long" in defect for defect in tree.defects)


@pytest.mark.parametrize(
    "piece",
    [
        b"--outer-1\n",
        b"--outer-1x\n",
        b"--outer-1--\n",
        b"\n",
        b"\r",
        b"\0",
        b"a:\n",
        b" \n",
        b"stray\n",
        b"From \n",
        b"--",
        b":",
    ],
)
def test_floods_of_one_thing_keep_every_octet_and_end(piece: bytes) -> None:
    """Sizes that would take hours if the work grew with their square."""
    for raw in (HEAD + piece * (1_000_000 // len(piece)), piece * (1_000_000 // len(piece))):
        tree = mime.read_tree(raw)
        assert sum(1 for _ in tree.root.walk()) <= mime.MAX_PARTS
        assert len(tree.defects) <= mime.DEFECTS_KEPT


def test_raw_headers_keep_their_octets_and_order() -> None:
    root = mime.read_tree(b"X-A: one\r\n two\r\nX-B: \xff\r\nx-a: three\r\n\r\n").root
    assert [(name, value.strip()) for name, value in root.fields()] == [
        ("x-a", b"one\r\n two"),
        ("x-b", b"\xff"),
        ("x-a", b"three"),
    ]
    assert root.all_headers("X-A") == ["one two", "three"]


def test_a_truncated_message_gives_what_is_there() -> None:
    raw = (
        HEAD
        + b"--outer-1\r\n\r\none\r\n--outer-1\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0K"
    )
    for length in range(len(raw) + 1):
        for part in mime.read_tree(raw[:length]).root.walk():
            part.text()
    assert outline(raw)[0] == ("1", "text/plain", "one")


def test_large_attachments_do_not_use_up_what_headers_may_take() -> None:
    part = b"--outer-1\r\nContent-Type: application/pdf; name=%d.pdf\r\n\r\n" + b"x" * 400_000 + b"\r\n"
    tree = mime.read_tree(HEAD + b"".join(part % number for number in range(8)) + b"--outer-1--")
    assert [child.filename for child in tree.root.children] == [f"{number}.pdf" for number in range(8)]


def test_a_boundary_in_the_middle_of_a_line_parts_nothing() -> None:
    raw = HEAD + b"--outer-1\r\n\r\nsee --outer-1\r\n>--outer-1\r\nend\r\n--outer-1--\r\n"
    assert outline(raw) == [("1", "text/plain", "see --outer-1\n>--outer-1\nend")]


def test_a_header_that_ends_just_at_its_limit_keeps_the_body() -> None:
    line = b"X-Fill: " + b"x" * 55 + b"\n"
    raw = line * (mime.HEADER_OCTETS // len(line)) + b"\nfirst paragraph\n\nsecond paragraph"
    assert len(line) == 64
    assert mime.read_tree(raw).root.text() == "first paragraph\n\nsecond paragraph"


def test_the_name_that_kept_its_characters_is_the_better_one() -> None:
    raw = b'Content-Type: application/pdf; name="=?utf-8?Q?r=C3=A9sum=C3=A9.pdf?="\nContent-Disposition: attachment; filename="r?sum?.pdf"\n\nx'
    assert mime.read_tree(raw).root.filename == "résumé.pdf"


def test_a_message_that_is_not_taken_apart_is_one_text() -> None:
    part = mime.unread_part(b"Subject: x\n\nbody")
    assert (part.content_type, part.header("subject"), part.text(), part.place) == (
        "text/plain",
        None,
        "Subject: x\n\nbody",
        "message",
    )


def test_what_one_mail_s_reader_does_to_its_parameters_is_not_seen_in_the_next_mail() -> None:
    raw = b"Content-Type: text/plain; charset=koi8-r\nContent-Disposition: inline; filename=a.txt\n\nx"
    first = mime.read_tree(raw).root
    first.params["charset"] = first.disposition_params["filename"] = "another"
    second = mime.read_tree(raw).root
    assert (second.params, second.disposition_params) == ({"charset": "koi8-r"}, {"filename": "a.txt"})
