"""`postroom report monthly`, as its operator types it."""

from datetime import UTC, datetime


def test_the_report_is_printed_for_people_machines_and_spreadsheets(desk):
    month = f"{datetime.now(UTC):%Y-%m}"
    [report] = desk("report", "monthly", "--month", month, "--json").objects
    assert (report["total"]["opened"], report["total"]["backlog"]) == (2, 2)
    assert {queue["queue"]: queue["opened"] for queue in report["queues"]} == {"support": 1, "sales": 1}
    assert "Opened:" in desk("report", "monthly", "--month", month).out
    assert desk("report", "monthly", "--month", month, "--csv").out.count("\n") == 5
    page = desk.folder / "report.html"
    assert desk("report", "monthly", "--month", month, "--html", str(page)).status == 0
    assert "data:image/png;base64," in page.read_text("utf-8")


def test_without_a_month_it_is_the_one_before(desk):
    [report] = desk("report", "monthly", "--json").objects
    assert report["end"] <= f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def test_what_is_no_month_is_one_line(desk):
    ran = desk("report", "monthly", "--month", "13/2026")
    assert ran.status == 1
    assert ran.err.count("\n") == 1
    assert desk("report", "monthly", "--json", "--csv").status == 2
