"""The report on a month as text, HTML and CSV, in English and German."""

from __future__ import annotations

import csv
import io
from html import escape
from typing import Any

from postroom.config import Config
from postroom.desk.performance import NOBODY, Figures, Month
from postroom.outbound.wording import queue_title

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a spreadsheet knows what it should compute (CWE-1236)
COLUMNS = (
    "opened", "resolved", "closed", "reopened", "backlog", "firstResponseHoursMedian", "firstResponseHoursP90",
    "resolutionHoursMedian", "resolutionHoursP90", "slaKeptPercent", "ratingMean", "ratings",
)  # fmt: skip
WORDS: dict[str, dict[str, str]] = {
    "en": {
        "title": "Report on {month}", "all": "All", "queues": "By queue", "agents": "By agent", "nobody": "(nobody)",
        "opened": "Opened", "resolved": "Resolved", "closed": "Closed", "reopened": "Reopened", "backlog": "Backlog at the end",
        "firstResponseHoursMedian": "First response, median (h)", "firstResponseHoursP90": "First response, 90 % within (h)",
        "resolutionHoursMedian": "Resolution, median (h)", "resolutionHoursP90": "Resolution, 90 % within (h)",
        "slaKeptPercent": "Promises kept (%)", "ratingMean": "Satisfaction (1–5)", "ratings": "Ratings",
        "chart": "Opened (blue) and resolved (orange) by day",
        "note": "Hours are working hours of the queue. While a ticket waits for its customer its clock stands still.",
    },
    "de": {
        "title": "Bericht über {month}", "all": "Alle", "queues": "Nach Abteilung", "agents": "Nach Bearbeiter",
        "nobody": "(niemand)", "opened": "Eröffnet", "resolved": "Gelöst", "closed": "Geschlossen", "reopened": "Wieder geöffnet",
        "backlog": "Offen am Ende", "firstResponseHoursMedian": "Erste Antwort, Median (h)",
        "firstResponseHoursP90": "Erste Antwort, 90 % binnen (h)", "resolutionHoursMedian": "Lösung, Median (h)",
        "resolutionHoursP90": "Lösung, 90 % binnen (h)", "slaKeptPercent": "Zusagen gehalten (%)",
        "ratingMean": "Zufriedenheit (1–5)", "ratings": "Bewertungen",
        "chart": "Eröffnet (blau) und gelöst (orange) nach Tagen",
        "note": "Stunden sind Arbeitsstunden der Abteilung. Solange ein Ticket auf den Kunden wartet, steht seine Uhr.",
    },
}  # fmt: skip
CELL = 'style="padding:2px 10px;text-align:right;border-bottom:1px solid #8888"'
HEAD = 'style="padding:2px 10px;text-align:left;border-bottom:1px solid #8888"'


class Pages:
    """One report in one language."""

    def __init__(self, config: Config, month: Month) -> None:
        self._words = WORDS.get(config.templates.language, WORDS["en"])
        self._month, self._config = month, config
        queues = [(queue_title(config, name), figures) for name, figures in sorted(month.queues.items())]
        agents = [(self._agent(name), figures) for name, figures in sorted(month.agents.items())]
        self._parts: list[tuple[str, list[tuple[str, Figures]]]] = [
            ("all", [(self._words["all"], month.total)]), ("queues", queues), ("agents", agents),
        ]  # fmt: skip

    @property
    def title(self) -> str:
        """The report's name, which is the mail's subject."""
        return self._words["title"].format(month=self._month.name)

    def text(self) -> str:
        """The report for a reader of text."""
        lines = [self.title, "=" * len(self.title)]
        for part, rows in self._parts:
            for name, figures in rows:
                heading = name if part == "all" else f"{self._words[part]}: {name}"
                numbers = figures.as_numbers()
                lines += ["", heading, "-" * len(heading)]
                lines += [
                    f"{self._words[column] + ':':<34}{_shown(numbers[column]):>10}"
                    for column in COLUMNS
                    if numbers[column] is not None
                ]
        return "\n".join([*lines, "", self._words["note"], ""])

    def html(self, chart: str) -> str:
        """The report as a page; `chart` is the picture's URL."""
        words = {name: escape(word) for name, word in self._words.items()}
        body = [f"<h1>{escape(self.title)}</h1>"]
        body.append(
            f'<p><img src="{escape(chart)}" width="640" height="220" alt="{words["chart"]}"><br>{words["chart"]}</p>'
        )
        for part, rows in self._parts:
            body.append(f'<h2>{words[part]}</h2><table style="border-collapse:collapse">')
            names = "".join(f"<th {CELL}>{escape(name)}</th>" for name, _ in rows)
            body.append(f"<tr><th {HEAD}></th>{names}</tr>")
            numbers = [figures.as_numbers() for _, figures in rows]
            for column in COLUMNS:
                cells = "".join(f"<td {CELL}>{_shown(row[column])}</td>" for row in numbers)
                body.append(f"<tr><th {HEAD}>{words[column]}</th>{cells}</tr>")
            body.append("</table>")
        body.append(f"<p>{words['note']}</p>")
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

    def _agent(self, name: str) -> str:
        settings = self._config.agent.get(name)
        return self._words["nobody"] if name == NOBODY else (settings.name if settings else "") or name


def harmless(text: str) -> str:
    """The text as a spreadsheet shows it, and never computes it."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _shown(value: Any) -> str:
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
