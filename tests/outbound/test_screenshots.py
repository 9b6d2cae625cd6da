"""Every mail in a real browser, light and dark, wide and on a phone: it can be read, and nothing leaves its width.

`make screenshots` keeps the pictures in build/screenshots: look at them after a change of a template.
"""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from peers.sheets import SCHEMES, Frame, look

from postroom import config as settings
from postroom.desk.performance import Figures, Month
from postroom.outbound.report_pages import Pages
from postroom.outbound.samples import SAMPLES
from postroom.outbound.templates import Templates

pytestmark = [pytest.mark.servers, pytest.mark.xdist_group("chromium")]

LANGUAGES = ("en", "de")
WIDE, PHONE = 600, 320  # pixels
LONG = "https://example.com/" + "a-very-long-path/" * 12 + "x" * 120
KEPT = ("status", "priority", "cause", "because", "ref")  # what no stranger writes
FOLDER = os.environ.get("POSTROOM_SCREENSHOTS")


def lengthened(value):
    """Sample data whose texts end with a word that is wider than any phone."""
    if isinstance(value, dict):
        return {name: one if name in KEPT else lengthened(one) for name, one in value.items()}
    if isinstance(value, list):
        return [lengthened(one) for one in value]
    return f"{value} {LONG}" if isinstance(value, str) and not value.startswith("mailto:") else value


def report(language):
    figures = Figures(
        opened=1234, resolved=1200, closed=1100, first_responses=[3600.0], resolutions=[7200.0], ratings=[4]
    )
    queues = {f"queue_{number}": figures for number in range(6)}
    month = Month(
        "2026-10",
        datetime(2026, 10, 1, tzinfo=UTC),
        datetime(2026, 11, 1, tzinfo=UTC),
        figures,
        queues,
        {"ann": figures},
        [1],
        [2],
    )
    return Pages(settings.parse({}, Path()), month, Templates().words(language)).html("cid:chart")


def mails(language, long=False):
    for purpose, data in SAMPLES.items():
        yield purpose, Templates().render(purpose, lengthened(data) if long else data, language).html
    for status in ("closed", "pending_customer", "open"):
        data = {**SAMPLES["status"], "ticket": {**SAMPLES["status"]["ticket"], "status": status}}
        yield f"status-{status}", Templates().render("status", data, language).html
    yield "monthly_report", report(language)


def frames(language, scheme, width, long=False):
    made = f"{language} {scheme} {width}{' long' if long else ''}"
    return [Frame(f"{purpose} {made}", html, scheme, width) for purpose, html in mails(language, long)]


def test_every_mail_can_be_read_light_and_dark_wide_and_on_a_phone(tmp_path):
    every = [
        frame
        for language in LANGUAGES
        for scheme in SCHEMES
        for width in (WIDE, PHONE)
        for frame in frames(language, scheme, width)
    ]
    every += frames("en", "light", PHONE, long=True)
    seen = look(every, tmp_path)
    assert set(seen) == {frame.name for frame in every}
    assert {name: one.wrong for name, one in seen.items() if one.wrong} == {}
    assert min(one.characters for one in seen.values()) > 60


def test_what_cannot_be_read_is_seen(tmp_path):
    """The test above can fail."""
    bad = {
        "dim": '<p style="color:#999">x</p>', "faint": '<p style="opacity:0.4">x</p>', "dark": '<p style="background:#fdf3dc">x</p>',
        "wide": '<div style="width:700px">x</div>', "hidden": '<p style="visibility:hidden">x</p>', "none": '<p style="display:none">x</p>',
        "tiny": '<p style="font-size:8px">x</p>', "long": f"<p>{LONG}</p>", "fine": "<p>x</p>",
    }  # fmt: skip
    head = '<meta name="color-scheme" content="light dark"><style>:root{color-scheme:light dark}</style>'
    seen = look(
        [Frame(name, head + html, "dark" if name == "dark" else "light", WIDE) for name, html in bad.items()], tmp_path
    )
    assert [name for name, one in seen.items() if not one.wrong] == ["fine"]
    assert {one.wrong[0].partition(":")[0] for one in seen.values() if one.wrong} == {
        "too dim",
        "too wide",
        "not shown",
    }


@pytest.mark.skipif(not FOLDER, reason="pictures are for people: make screenshots")
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_pictures_are_kept(tmp_path, language, scheme):
    folder = Path(str(FOLDER)).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for width, columns in ((WIDE, 4), (PHONE, 7)):
        picture = folder / f"{language}-{scheme}-{width}.png"
        look(frames(language, scheme, width), tmp_path, picture, columns)
        assert picture.stat().st_size > 10_000
