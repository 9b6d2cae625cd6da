"""Which charset is it really?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.parsers import charsets

GREETINGS = {
    "utf-8": "Grüße, Привет, 日本語 – €", "iso-8859-1": "Grüße aus München", "iso-8859-2": "Příliš žluťoučký kůň", "iso-8859-15": "10 € für Œuvre",
    "windows-1250": "Žluťoučký kůň úpěl", "windows-1251": "Привет, как дела", "windows-1252": "“Smart” – 10 €", "windows-1253": "Καλημέρα σας",
    "windows-1254": "Güneş ışığı", "windows-1255": "שלום עולם", "windows-1256": "مرحبا بالعالم", "windows-1257": "Ąžuolas šėlsta", "koi8-r": "Привет, мир",
    "koi8-u": "Привіт, світе", "ibm866": "Привет", "gb2312": "订单没有到", "gbk": "訂單問題", "gb18030": "𠮷野家", "big5": "訂單問題", "shift_jis": "注文について①",
    "euc-jp": "注文について", "iso-2022-jp": "注文について", "euc-kr": "안녕하세요", "ks_c_5601-1987": "똠방각하", "utf-16": "hello ü", "utf-7": "Grüße",
    "tis-620": "สวัสดี", "macintosh": "Grüße", "cp850": "Grüße", "iso-2022-kr": "안녕하세요", "hz-gb-2312": "订单",
}  # fmt: skip
CODECS = {
    "ks_c_5601-1987": "cp949",
    "gb2312": "gbk",
    "hz-gb-2312": "hz",
    "shift_jis": "cp932",
    "macintosh": "mac_roman",
    "ibm866": "cp866",
}


@pytest.mark.parametrize("label", GREETINGS)
def test_text_is_read_by_its_label(label: str) -> None:
    text = GREETINGS[label]
    assert charsets.decode(text.encode(CODECS.get(label, label)), label) == text


@pytest.mark.parametrize(
    ("codec", "label", "text"),
    [
        ("utf-8", "us-ascii", "Grüße aus München"), ("utf-8", "iso-8859-1", "Grüße aus München"), ("utf-8", None, "Grüße"),
        ("utf-8", "no-such-charset", "Grüße"), ("cp1252", "us-ascii", "Grüße – €"), ("cp1252", "iso-8859-1", "“quoted”"),
        ("gbk", "gb2312", "訂單問題"), ("cp932", "us-ascii", "お問い合わせの件について"), ("koi8-r", None, "Привет, как дела, друзья"),
        ("cp1251", None, "Привет, как дела, друзья"), ("iso2022_jp", None, "注文について"), ("iso2022_jp", "us-ascii", "注文について"),
        ("euc_kr", None, "안녕하세요 주문이 도착하지 않았습니다"), ("cp1252", "utf-8", "Grüße aus dem schönen Köln"),
    ],
)  # fmt: skip
def test_octets_that_contradict_their_label_decide(codec: str, label: str | None, text: str) -> None:
    assert charsets.decode(text.encode(codec), label) == text


def test_iso_2022_jp_is_read_with_the_characters_that_its_standard_lacks() -> None:
    assert charsets.decode(b"\x1b$B-!F|K\\\x1b(B ok", "iso-2022-jp") == "①日本 ok"


def test_a_little_damage_does_not_change_the_charset() -> None:
    text = "Příliš žluťoučký kůň úpěl ďábelské ódy, a ještě jednou: příliš žluťoučký kůň"
    assert charsets.decode(text.encode() + b"\xff", "utf-8") == text + "\ufffd"


@pytest.mark.parametrize(
    "label", ["punycode", "idna", "zlib", "rot13", "unicode_escape", "base64", "hex", "undefined", "x" * 5000, "\0"]
)
def test_codecs_that_are_no_charsets_are_never_used(label: str) -> None:
    assert charsets.lookup(label) is None
    assert charsets.decode(b"xn--abc", label) == "xn--abc"


@pytest.mark.parametrize("label", [' "UTF-8" ', "utf8", "UTF_8", "'utf-8'", "utf-8;"])
def test_a_label_is_known_however_it_is_written(label: str) -> None:
    assert charsets.lookup(label) == "utf-8"


def test_no_nul_and_no_lone_surrogate_comes_through() -> None:
    assert charsets.decode(b"a\0b", "utf-8") == "ab"
    assert charsets.decode(b"+2D0- +3gA-", "utf-7").encode()
    assert charsets.scrub("a\ud83d\ude00\ud800b\0") == "a\U0001f600\ufffdb"


@given(st.binary(max_size=200), st.sampled_from([None, *GREETINGS, "utf-32", "johab", "cp437", "viscii", "x-mac-ce"]))
def test_any_octets_by_any_label_are_text_that_a_database_takes(data: bytes, label: str | None) -> None:
    text = charsets.decode(data, label)
    assert "\0" not in text
    text.encode("utf-8")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_scrubbing_changes_nothing_that_is_clean(text: str) -> None:
    assert charsets.scrub(text.replace("\0", "")) == text.replace("\0", "")
