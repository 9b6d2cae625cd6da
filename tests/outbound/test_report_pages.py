"""The report on a month as people get it: no formula in it, no HTML of a name's, and a picture that is one."""

import csv
import io
import struct
import zlib
from pathlib import Path

import pytest

from postroom import config as settings
from postroom.desk.performance import Figures, Month, days_of
from postroom.outbound import chart
from postroom.outbound.report_pages import COLUMNS, Pages, harmless
from postroom.outbound.templates import Templates

ZONE = settings.parse({}, Path()).reports.time_zone


def pages(agent: str = "ann", language: str = "en") -> Pages:
    from zoneinfo import ZoneInfo

    config = settings.parse({}, Path())
    days = days_of("2026-10", ZoneInfo(ZONE))
    figures = Figures(
        opened=3, resolved=2, closed=1, first_responses=[3600.0, 7200.0], resolutions=[7200.0], sla_kept=1, ratings=[4]
    )
    month = Month("2026-10", days[0], days[-1], figures, {"support": figures}, {agent: figures}, [1], [2])
    return Pages(config, month, Templates().words(language))


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=x"])
def test_no_name_is_a_formula(name):
    rows = list(csv.reader(io.StringIO(pages(name).csv().decode("utf-8-sig"), newline="")))
    assert [row[2] for row in rows if row[1] == "agent"] == ["'" + name]
    assert harmless("ann") == "ann"


def test_no_name_is_html():
    html = pages("<script>alert(1)</script>").html('x" onerror="alert(1)')
    assert "<script" not in html
    assert 'onerror="' not in html


@pytest.mark.parametrize(
    ("language", "month", "median"), [("en", "October 2026", "1.5"), ("de", "Oktober 2026", "1,5")]
)
def test_a_report_says_all_of_it_in_each_language(language, month, median):
    report, words = pages(language=language), Templates().words(language)
    for text in (report.text(), report.html("cid:chart")):
        assert [words.word(called) for called in COLUMNS.values() if words.word(called) not in text] == []
        assert month in text
        assert median in text


def test_the_chart_is_a_picture_with_a_bar_for_each_number():
    png = chart.bars([0, 5, 10], [0, 0, 10])
    width, height = struct.unpack(">II", png[16:24])
    at = png.index(b"IDAT") + 4
    rows = zlib.decompress(png[at : at + struct.unpack(">I", png[at - 8 : at - 4])[0]])
    assert len(rows) == height * (1 + 3 * width)
    blue, orange = (rows.count(bytes(colour)) for colour in chart.COLOURS)
    assert blue > orange > 0
    assert chart.bars([], [])[:4] == b"\x89PNG"
    assert len(chart.bars([10**9] * 31, [0] * 31)) < 20_000
