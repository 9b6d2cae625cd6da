"""Parameters as programs write them."""

import pytest

from postroom.parsers import headers
from postroom.parsers.parameters import read_parameters


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ('attachment; filename="report.pdf"', "report.pdf"),
        ("attachment; filename=my file.pdf", "my file.pdf"),
        ('attachment; filename="a "b".pdf"; size=3', 'a "b".pdf'),
        ('attachment; filename="a\\"b.txt"', 'a"b.txt'),
        ('attachment; filename="C:\\temp\\x.txt"', "C:\\temp\\x.txt"),
        ('attachment; filename="a;b.txt"', "a;b.txt"),
        ("attachment; filename*=utf-8''%e2%82%ac.txt; filename=\"EUR.txt\"", "€.txt"),
        ("attachment; filename*=iso-8859-1'en'%e4.txt", "ä.txt"),
        ("attachment; filename*=%c3%a4.txt", "ä.txt"),
        ('attachment; filename*0="long "; filename*1="name.txt"', "long name.txt"),
        ("attachment; filename*1=b.txt; filename*0*=utf-8''a%20", "a b.txt"),
        ("attachment; filename*0*=utf-8''%e2%82; filename*1*=%ac.txt", "€.txt"),
        ('attachment; filename="=?utf-8?B?w7wudHh0?="', "ü.txt"),
        ('attachment; filename="=?utf-8?Q?a_?= =?utf-8?Q?b.txt?="', "a b.txt"),
        ('attachment; filename="never closed', "never closed"),
        ("attachment; filename=x.txt (a comment); size=1", "x.txt"),
        ("attachment filename=x.txt", "x.txt"),
    ],
)
def test_a_name_is_the_one_that_was_meant(written: str, name: str) -> None:
    value, parameters = read_parameters(written, headers.decode_words)
    assert (value, parameters["filename"]) == ("attachment", name)


@pytest.mark.parametrize(
    "piece", [";", '"', '" ', "\\", '\\"', "; a=b", "= ", "a*0*=", " ", "(", ") ", '";"', "a*1=b; "]
)
def test_a_flood_of_anything_ends(piece: str) -> None:
    """Where the work grew with the square, this would take minutes."""
    read_parameters("attachment; filename=" + piece * (400_000 // len(piece)), headers.decode_words)
    read_parameters("attachment" + piece * (400_000 // len(piece)), headers.decode_words)
