"""`postroom report`: how the desk did."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from postroom import config
from postroom.cli import output
from postroom.cli.opening import open_store


@click.group("report")
def command() -> None:
    """How the desk did."""


@command.command("monthly")
@click.option("--month", metavar="YYYY-MM", help="Which month; without it the one that ended last.")
@click.option("--json", "as_json", is_flag=True, help="One object.")
@click.option("--csv", "as_csv", is_flag=True, help="A table for a spreadsheet.")
@click.option("--html", "page", type=click.Path(dir_okay=False), metavar="FILE", help="Write a page with its chart.")
@click.pass_obj
def monthly(config_path: str | None, month: str | None, as_json: bool, as_csv: bool, page: str | None) -> None:
    """Print the report on a month, as it is sent on the first of the next one (`[reports] monthly_to`)."""
    from base64 import b64encode
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    from postroom.desk import performance
    from postroom.outbound import chart
    from postroom.outbound.report_pages import Pages
    from postroom.outbound.templates import Templates

    if sum((as_json, as_csv, page is not None)) > 1:
        raise click.UsageError("--json, --csv and --html exclude each other")
    settings = config.load(config_path)
    month = month or performance.month_before(datetime.now(UTC), ZoneInfo(settings.reports.time_zone))
    with open_store(settings) as store, store.read() as connection:
        report = performance.report_on(connection, settings, month)
    folder = settings.resolve(settings.templates.folder) if settings.templates.folder else None
    pages = Pages(settings, report, Templates(folder, settings.templates.language).words())
    if as_json:
        output.print_json(report.as_object())
    elif as_csv:
        sys.stdout.buffer.write(pages.csv())
        sys.stdout.buffer.flush()
    elif page is not None:
        picture = b64encode(chart.bars(report.opened_by_day, report.resolved_by_day)).decode()
        Path(page).write_text(pages.html(f"data:image/png;base64,{picture}"), "utf-8")
        click.echo(f"written to {page}")
    else:
        click.echo(output.clean(pages.text()), nl=False)
