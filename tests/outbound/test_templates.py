"""Golden renderings in both languages, and what an operator's override may and may not do.

UPDATE_GOLDEN=1 pytest tests/outbound/test_templates.py   writes the golden files anew: look at the difference
"""

import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2 import TemplateError

from postroom.outbound.templates import LANGUAGES, PARTS, SAMPLES, Templates, name_of
from postroom.outbound.templates import OURS as OUR_FOLDER

GOLDEN = Path(__file__).parent / "golden"
STATUSES = ("resolved", "closed", "pending_customer", "open")


def override(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def samples():
    for language in LANGUAGES:
        for purpose, data in SAMPLES.items():
            yield language, purpose, purpose, data
        for status in STATUSES[1:]:
            yield (
                language,
                "status",
                f"status-{status}",
                {**SAMPLES["status"], "ticket": {**SAMPLES["status"]["ticket"], "status": status}},
            )


@pytest.mark.parametrize(
    ("language", "purpose", "name", "data"), list(samples()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_each_template_says_what_its_golden_rendering_says(language, purpose, name, data):
    rendered = Templates().render(purpose, data, language)
    shown = f"Subject: {rendered.subject}\n\n{rendered.text}\n\n{'=' * 72}\n{rendered.html}\n"
    path = GOLDEN / language / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(shown, "utf-8")
    assert path.read_text("utf-8") == shown


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("purpose", SAMPLES)
def test_no_variable_is_without_use_or_missing(language, purpose):
    """Each template can be rendered from its sample, and stumbles over a sample that lacks what it names."""
    text = (OUR_FOLDER / name_of(language, purpose, "text")).read_text("utf-8")
    named = set(re.findall(r"\b([a-z_]+)\.[a-z_]+", text)) & set(SAMPLES[purpose])
    assert named
    for variable in named:
        with pytest.raises(TemplateError):
            Templates().render(purpose, {k: v for k, v in SAMPLES[purpose].items() if k != variable}, language)


@pytest.mark.parametrize("purpose", ["confirmation", "status", "reminder"])
def test_what_a_customer_gets_by_itself_is_told_nothing_that_a_stranger_wrote(purpose):
    assert not {"subject", "requester", "requester_name"} & set(SAMPLES[purpose]["ticket"])
    assert "message" not in SAMPLES[purpose]


def test_text_in_html_stays_text():
    rendered = Templates().render("new_ticket", SAMPLES["new_ticket"])
    assert "&lt;b&gt;Now!&lt;/b&gt;" in rendered.html
    assert "<b>Now!</b>" in rendered.text


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.bad, self.seen = [], [], set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.bad.append(tag)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("purpose", SAMPLES)
def test_the_html_is_well_formed_and_needs_no_images_styles_or_scripts(language, purpose):
    html = Templates().render(purpose, SAMPLES[purpose], language).html
    tags = Tags()
    tags.feed(html)
    assert (tags.open, tags.bad) == ([], [])
    assert not tags.seen & {"img", "script", "style", "link", "table"}
    assert "background" not in html
    assert "color:" not in html.replace("border-left:2px solid", "")
    assert 'content="light dark"' in html
    assert f'<html lang="{language}">' in html


def test_an_override_takes_the_place_of_ours(tmp_path):
    override(tmp_path, "en/confirmation/subject.j2", "Got it: {{ ticket.ref }}")
    templates = Templates(tmp_path)
    assert templates.check() == []
    rendered = templates.render("confirmation", SAMPLES["confirmation"])
    assert rendered.subject == "Got it: T-1042"
    assert rendered.text == Templates().render("confirmation", SAMPLES["confirmation"]).text


def test_an_overridden_layout_is_around_every_html(tmp_path):
    override(tmp_path, "layout.html.j2", "<html><body><h1>ACME</h1>{% block body %}{% endblock %}</body></html>")
    templates = Templates(tmp_path)
    assert templates.check() == []
    assert "<h1>ACME</h1>" in templates.render("confirmation", SAMPLES["confirmation"]).html
    assert "ACME" not in templates.render("confirmation", SAMPLES["confirmation"]).text


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{{ ticket.ref", "end of print statement"),
        ("{{ ticket.subject }}", "subject"),  # of a stranger's: not told
        ("{{ nothing }}", "nothing"),
        ("{{ ''.__class__.__mro__ }}", "__class__"),
        ("{{ ticket.keys() }}", "keys"),
        ("{{ desk.name.upper() }}", "upper"),
        ("{{ 'a' * 1000000000 }}", "not allowed"),
        ("{{ '%1000000000d' % 1 }}", "not allowed"),
        ("{{ 2 ** 1000000 }}", "not allowed"),
        ("{{ 'a'|center(1000000000) }}", "center"),
        ("{{ desk.name|safe }}", "safe"),
        ("{% for i in range(1000000000) %}x{% endfor %}", "range"),
        ("{% include '/etc/passwd' %}", "passwd"),
        ("{{ ticket.ref / 0 }}", "unsupported operand"),
        ("{{ 1 / 0 }}", "division"),
    ],
)
def test_a_broken_override_is_reported_and_ours_is_used(tmp_path, source, why):
    override(tmp_path, "en/confirmation/text.j2", source)
    templates = Templates(tmp_path)
    problems = templates.check()
    assert [problem.path for problem in problems] == [tmp_path / "en/confirmation/text.j2"]
    assert why in problems[0].why
    assert templates.render("confirmation", SAMPLES["confirmation"]) == Templates().render(
        "confirmation", SAMPLES["confirmation"]
    )


def test_an_override_that_fails_on_real_data_gives_way_to_ours(tmp_path):
    override(tmp_path, "en/status/text.j2", "{% if ticket.status == 'closed' %}{{ nothing }}{% endif %}fine")
    templates = Templates(tmp_path)
    assert templates.check() == []
    closed = {**SAMPLES["status"], "ticket": {**SAMPLES["status"]["ticket"], "status": "closed"}}
    assert templates.render("status", closed).text == Templates().render("status", closed).text


def test_a_rendering_without_end_is_cut_off(tmp_path):
    line = "{% for a in t %}{% for b in t %}{% for c in t %}{% for d in t %}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{% endfor %}{% endfor %}{% endfor %}{% endfor %}"
    override(tmp_path, "en/confirmation/text.j2", "{% set t = 'x' * 100 %}" + line)
    problems = Templates(tmp_path).check()
    assert "more than" in problems[0].why


def test_a_file_that_is_none_of_ours_is_reported(tmp_path):
    override(tmp_path, "en/confirmation/subjekt.j2", "x")
    assert [problem.why for problem in Templates(tmp_path).check()] == ["no template of ours has this name"]


def test_a_folder_that_is_not_there_is_reported(tmp_path):
    assert "no such folder" in str(Templates(tmp_path / "nowhere").check()[0])


def test_every_purpose_is_there_in_every_language():
    files = {path.relative_to(OUR_FOLDER).as_posix() for path in OUR_FOLDER.rglob("*.j2")} - {"layout.html.j2"}
    assert files == {
        name_of(language, purpose, part) for language in LANGUAGES for purpose in SAMPLES for part in PARTS
    }
