"""The report on a month as text, HTML and CSV. Its words are sentences of the catalogues; the table has none."""

from __future__ import annotations

import csv
import io
import textwrap
from datetime import date
from html import escape

from postroom.config import Config
from postroom.desk.performance import NOBODY, Figures, Month
from postroom.outbound.catalogue import Catalogue
from postroom.outbound.wording import queue_title

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a spreadsheet knows what it should compute (CWE-1236)
COLUMNS = {  # a figure, and what it is called
    "opened": "Opened", "resolved": "Resolved", "closed": "Closed", "reopened": "Reopened", "backlog": "Still open at the end",
    "firstResponseHoursMedian": "First response, median (h)", "firstResponseHoursP90": "First response, 90 % within (h)",
    "resolutionHoursMedian": "Resolution, median (h)", "resolutionHoursP90": "Resolution, 90 % within (h)",
    "slaKeptPercent": "Promised times kept (%)", "ratingMean": "Satisfaction (1–5)", "ratings": "Ratings",
}  # fmt: skip
TITLE, NOBODYS = "Report on %(month)s", "(nobody)"
PARTS = {"all": "All", "queues": "By queue", "agents": "By agent"}
PICTURE = "Opened (blue) and resolved (orange) by day"
NOTE = "Hours are working hours of the queue. While a ticket waits for its customer, its clock stands still."
SENTENCES = (TITLE, *PARTS.values(), NOBODYS, *COLUMNS.values(), PICTURE, NOTE)
CELL = 'style="padding:2px 10px;text-align:right;border-bottom:1px solid #8888"'
HEAD = 'style="padding:2px 10px 2px 0;text-align:left;font-weight:normal;border-bottom:1px solid #8888"'

TABLE, TITLED = 'style="border-collapse:collapse"', 'style="margin:16px 0 8px;font-size:18px;line-height:1.3"'
SCROLLS = 'style="overflow-x:auto"'  # many queues on a small screen
IMAGE = 'style="width:100%;max-width:640px;height:auto"'
LINE = 76  # characters of a line of text


class Pages:
    """One report in one language."""

    def __init__(self, config: Config, month: Month, words: Catalogue) -> None:
        self._words, self._month, self._config = words, month, config
        queues = [(queue_title(config, name), figures) for name, figures in sorted(month.queues.items())]
        agents = [(self._agent(name), figures) for name, figures in sorted(month.agents.items())]
        self._parts: list[tuple[str, list[tuple[str, Figures]]]] = [
            ("all", [(self._say(PARTS["all"]), month.total)]), ("queues", queues), ("agents", agents),
        ]  # fmt: skip

    @property
    def title(self) -> str:
        """The report's name, which is the mail's subject."""
        from babel.dates import format_skeleton  # noqa: PLC0415 - once a month

        first = date.fromisoformat(f"{self._month.name}-01")
        return self._say(TITLE).replace("%(month)s", format_skeleton("yMMMM", first, locale=self._words.locale))

    def text(self) -> str:
        """The report for a reader of text."""
        lines = [self.title, "=" * len(self.title)]
        for part, rows in self._parts:
            for name, figures in rows:
                heading = name if part == "all" else f"{self._say(PARTS[part])}: {name}"
                numbers = figures.as_numbers()
                lines += ["", heading, "-" * len(heading)]
                lines += [
                    f"{self._say(called) + ':':<34}{self._shown(numbers[column]):>10}"
                    for column, called in COLUMNS.items()
                    if numbers[column] is not None
                ]
        return "\n".join([*lines, "", *textwrap.wrap(self._say(NOTE), LINE), ""])

    def html(self, chart: str) -> str:
        """The report as a page; `chart` is the picture's URL."""
        picture = escape(self._say(PICTURE))
        body = [f"<h1 {TITLED}>{escape(self.title)}</h1>"]
        body.append(f'<p><img src="{escape(chart)}" width="640" height="220" {IMAGE} alt=""><br>{picture}</p>')
        for part, rows in self._parts:
            body.append(f"<h2 {TITLED}>{escape(self._say(PARTS[part]))}</h2>")
            body.append(f"<div {SCROLLS}><table {TABLE}>")
            names = "".join(f"<th {CELL}>{escape(name)}</th>" for name, _ in rows) if part != "all" else ""
            if names:
                body.append(f"<tr><th {HEAD}></th>{names}</tr>")
            numbers = [figures.as_numbers() for _, figures in rows]
            for column, called in COLUMNS.items():
                cells = "".join(f"<td {CELL}>{self._shown(row[column])}</td>" for row in numbers)
                body.append(f"<tr><th {HEAD}>{escape(self._say(called))}</th>{cells}</tr>")
            body.append("</table></div>")
        body.append(f"<p>{escape(self._say(NOTE))}</p>")
        style = "margin:0;padding:16px;font-family:Helvetica,Arial,sans-serif;font-size:14px;line-height:1.4"
        head = (
            f'<meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>{escape(self.title)}</title>'
        )
        rows_ = "\n".join(body)
        return f'<!DOCTYPE html>\n<html><head>{head}</head>\n<body style="{style}">\n{rows_}\n</body></html>\n'

    def csv(self) -> bytes:
        """Every figure, one row for all, each queue and each agent; no name in it is a spreadsheet's formula."""
        out = io.StringIO(newline="")
        writer = csv.writer(out)
        month = self._month
        writer.writerow(("month", "of", "name", *month.total.as_numbers()))
        rows: list[tuple[str, str, Figures]] = [("all", "", month.total)]
        rows += [("queue", name, figures) for name, figures in sorted(month.queues.items())]
        rows += [("agent", name, figures) for name, figures in sorted(month.agents.items())]
        for kind, name, figures in rows:
            values = ("" if value is None else value for value in figures.as_numbers().values())
            writer.writerow((month.name, kind, harmless(name), *values))
        return out.getvalue().encode("utf-8-sig")

    def _say(self, sentence: str) -> str:
        return self._words.word(sentence)

    def _shown(self, value: float | None) -> str:
        from babel.numbers import format_decimal  # noqa: PLC0415

        return "–" if value is None else str(format_decimal(value, "0.##", locale=self._words.locale))

    def _agent(self, name: str) -> str:
        settings = self._config.agent.get(name)
        return self._say(NOBODYS) if name == NOBODY else (settings.name if settings else "") or name


def harmless(text: str) -> str:
    """The text as a spreadsheet shows it, and never computes it."""
    return f"'{text}" if text.startswith(FORMULA) else text
