"""The words of what we send, from the shell."""

import pytest
from click.testing import CliRunner

from postroom.cli.main import postroom


@pytest.fixture
def run(tmp_path):
    (tmp_path / "words").mkdir()
    (tmp_path / "postroom.toml").write_text("[templates]\nfolder = 'words'\n")

    def call(*words):
        return CliRunner().invoke(postroom, ["-c", str(tmp_path / "postroom.toml"), "templates", *words])

    return call


def test_an_example_is_previewed_as_text_and_as_html(run, tmp_path):
    assert (
        "Subject: Wir haben Ihre Nachricht erhalten [T-1042]"
        in run("preview", "confirmation", "--language", "de").output
    )
    assert run("preview", "--html", str(tmp_path / "all.html")).exit_code == 0
    page = (tmp_path / "all.html").read_text("utf-8")
    assert page.count("<iframe sandbox") > 10


def test_a_broken_template_is_named_and_the_status_says_so(run, tmp_path):
    assert run("check").exit_code == 0
    (tmp_path / "words/confirmation").mkdir()
    (tmp_path / "words/confirmation/text.j2").write_text("{{ nothing }}")
    checked = run("check")
    assert "confirmation/text.j2" in checked.output
    assert run("list").exit_code == 0


def test_a_catalogue_is_written_and_brought_up(run, tmp_path):
    assert "to translate" in run("translate", "fr").output
    assert (tmp_path / "words/locale/fr/LC_MESSAGES/postroom.po").is_file()
    assert "ticket.ref" in run("show", "new_ticket").output


def test_a_mail_about_a_real_ticket_is_previewed_and_nothing_is_sent(desk):
    shown = desk("templates", "preview", "T-1001", "confirmation", "new_ticket")
    assert shown.status == 0, shown.err
    assert "[T-1001]" in shown.out
    assert "customer.example.org" in shown.out
    assert "T-1042" not in shown.out
    before = desk("outbox", "list", "--json").out
    assert desk("templates", "preview", "T-1001").status == 0
    assert desk("outbox", "list", "--json").out == before
    assert desk("templates", "preview", "T-9999", "confirmation").status != 0
