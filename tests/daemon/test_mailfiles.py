"""Files are what their content says; whoever names one that is no mail is told so."""

import os
from io import BytesIO
from pathlib import Path

import pytest

from postroom.daemon.mailfiles import Found, count_octets, find_mails

MAIL = b"From: ann@example.org\nSubject: %s\n\nhello\n"


def mail(subject: str) -> bytes:
    return MAIL % subject.encode()


def mbox(*subjects: str) -> bytes:
    return b"".join(b"From ann Mon Jun 24 18:07:18 2002\n" + mail(subject) + b"\n" for subject in subjects)


def found(*paths: Path | str, stdin: bytes = b"", max_size: int = 10_000) -> list[Found]:
    return list(find_mails([str(path) for path in paths], BytesIO(stdin), max_size))


def raws(finds: list[Found]) -> list[bytes]:
    assert [f for f in finds if f.problem] == []
    return [f.raw for f in finds if f.raw is not None]


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_files_and_mboxes_come_in_the_order_given(tmp_path: Path) -> None:
    b = write(tmp_path / "b.eml", mail("b"))
    a = write(tmp_path / "a", mbox("a1", "a2"))
    assert [mail("b"), mail("a1"), mail("a2")] == raws(found(b, a))


def test_standard_input_is_a_mail_or_an_mbox() -> None:
    assert [mail("one")] == raws(found("-", stdin=mail("one")))
    assert [mail("one"), mail("two")] == raws(found("-", stdin=mbox("one", "two")))


def test_a_directory_is_read_by_name_with_numbers_as_numbers(tmp_path: Path) -> None:
    for name in ("10", "9", "sub/1"):
        write(tmp_path / name, mail(name))
    assert [mail("9"), mail("10"), mail("sub/1")] == raws(found(tmp_path))


def test_a_maildir_gives_new_and_cur_by_arrival_and_nothing_unfinished(tmp_path: Path) -> None:
    write(tmp_path / "cur" / "1700000002.M1P1.host:2,S", mail("second"))
    write(tmp_path / "new" / "1700000001.M1P1.host", mail("first"))
    late = write(tmp_path / "cur" / "kept", mail("third"))
    os.utime(late, (1_700_000_003, 1_700_000_003))
    write(tmp_path / "tmp" / "1700000000.M1P1.host", mail("unfinished"))
    write(tmp_path / "dovecot.index", b"\0\1\2")
    write(tmp_path / ".Trash" / "cur" / "1", mail("thrown away"))
    assert [mail("first"), mail("second"), mail("third")] == raws(found(tmp_path))


def test_what_is_no_mail_is_passed_over_in_a_directory(tmp_path: Path) -> None:
    write(tmp_path / "ORIGIN.txt", b"Messages: old ones\nLicence: free\n")
    write(tmp_path / "picture.png", b"\x89PNG\r\n\x1a\n\0\0\0")
    write(tmp_path / "mails", mbox("one"))
    finds = found(tmp_path)
    assert [mail("one")] == raws(finds)
    assert sorted(Path(f.name).name for f in finds if f.passed_over) == ["ORIGIN.txt", "picture.png"]


def test_an_eml_that_is_no_mail_is_a_problem_and_the_rest_is_taken(tmp_path: Path) -> None:
    write(tmp_path / "a.eml", os.urandom(3) + b"\0\xff" * 4000)
    write(tmp_path / "b.eml", mail("b"))
    finds = found(tmp_path)
    assert [f.raw for f in finds] == [None, mail("b")]
    assert "is no mail" in str(finds[0].problem)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x89PNG\r\n\x1a\n\0\0\0From: x", b"Dear Ann,\n\nhow are you?\n", b"root:x:0:0:root:/root:/bin/sh\n"],
)
def test_a_named_file_that_is_no_mail_is_a_problem(tmp_path: Path, content: bytes) -> None:
    [one] = found(write(tmp_path / "file", content))
    assert "is no mail" in str(one.problem)


def test_an_eml_is_taken_as_given(tmp_path: Path) -> None:
    odd = b"no header at first\n\nX-Late: one\n\ntext\n"
    starts_like_mbox = b"From ann Mon Jun 24 18:07:18 2002\nSubject: saved\n\ntext\n"
    assert [odd, starts_like_mbox] == raws(
        found(write(tmp_path / "odd.eml", odd), write(tmp_path / "saved.eml", starts_like_mbox))
    )


def test_a_header_without_blanks_behind_its_colons_is_a_header(tmp_path: Path) -> None:
    assert raws(found(write(tmp_path / "file", b"Subject:x\n\ny"))) == [b"Subject:x\n\ny"]


def test_missing_unreadable_and_empty_paths_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    finds = found(tmp_path / "missing", tmp_path / "empty")
    assert [f.problem for f in finds] == [
        "there is no such file or directory",
        "holds no mail: no .eml file, no mbox, no Maildir",
    ]


def test_a_directory_of_other_files_holds_no_mail(tmp_path: Path) -> None:
    write(tmp_path / "notes.md", b"# Notes\n")
    assert "holds no mail" in str(found(tmp_path)[-1].problem)


def test_a_mail_over_the_limit_is_a_problem(tmp_path: Path) -> None:
    [one] = found(write(tmp_path / "big.eml", mail("big") + b"x" * 200), max_size=100)
    assert "larger" in str(one.problem)
    [one] = found(write(tmp_path / "big.mbox", mbox("big") + b"x" * 200), max_size=100)
    assert "larger" in str(one.problem)


def test_a_mail_as_large_as_the_limit_is_taken_from_a_pipe(tmp_path: Path) -> None:
    big = mail("big") + b"x" * 200_000
    assert [big] == raws(found("-", stdin=big, max_size=len(big)))


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    write(tmp_path / "a.eml", mail("a"))
    (tmp_path / "loop").symlink_to(tmp_path)
    assert [mail("a")] == raws(found(tmp_path))


def test_octets_are_counted_beforehand_but_not_those_of_a_pipe(tmp_path: Path) -> None:
    write(tmp_path / "a.eml", mail("a"))
    assert count_octets([str(tmp_path)]) == len(mail("a"))
    assert count_octets([str(tmp_path), "-"]) is None
