"""Golden renderings in both languages, and what an operator's override may and may not do.

UPDATE_GOLDEN=1 pytest tests/outbound/test_templates.py   writes the golden files anew: look at the difference
"""

import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2 import TemplateError

from postroom.outbound.samples import SAMPLES
from postroom.outbound.template_files import OURS as OUR_FOLDER
from postroom.outbound.template_files import PARTS, SHARED, name_of
from postroom.outbound.templates import Templates
from postroom.saying import Saying

GOLDEN = Path(__file__).parent / "golden"
LANGUAGES = ("en", "de")
STATUSES = ("resolved", "closed", "pending_customer", "open")
CAUSES = ("unknown", "domain", "full", "disabled", "too-big", "refused", "expired", "")


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
        two = [*SAMPLES["command_error"]["wrong"], {"line": "#x", "why": "there is none", "right": "#help"}]
        yield language, "command_error", "command_error-two", {**SAMPLES["command_error"], "wrong": two}
        empty = {**SAMPLES["command_error"], "wrong": [], "lines": []}
        yield language, "command_error", "command_error-empty", empty
        sent_back = {**SAMPLES["solution_refused"], "reviewer": "Bob Agent"}
        yield language, "solution_refused", "solution_refused-sent_back", sent_back
        owned = {**SAMPLES["escalation"], "is_answered": True, "assigned_to": "Bob Agent"}
        yield language, "escalation", "escalation-owned", owned
        only_told = {**SAMPLES["new_ticket"], "may_answer": False}
        yield language, "new_ticket", "new_ticket-only_told", only_told
        nobody = {**SAMPLES["new_ticket"], "readers": []}
        yield language, "new_ticket", "new_ticket-without_requester", nobody
        silent = Saying("the server fell silent for %(seconds)s s", seconds="300")
        ours = Saying("gave up after %(count)s attempts: %(reason)s", count=24, reason=silent)
        given_up = {**SAMPLES["undeliverable"], "reason": ours, "is_ours": True, "held": "", "cause": "expired"}
        yield language, "undeliverable", "undeliverable-given_up", given_up


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


def lacking(data):
    """The data without one of its variables, and without one inside of one of them."""
    for variable, value in data.items():
        yield variable, {name: one for name, one in data.items() if name != variable}
        if isinstance(value, dict):
            for inner in value:
                yield f"{variable}.{inner}", {**data, variable: {k: v for k, v in value.items() if k != inner}}


# what is told beside what our own templates say, for those of the operator
SPARE = {
    "desk.address",
    "ticket.status",
    "ticket.priority",
    "ticket.queue",
    "ticket.requester",
    "ticket.requester_name",
    "ticket.subject",
}


@pytest.mark.parametrize("purpose", SAMPLES)
def test_no_variable_is_without_use_or_missing(purpose):
    """Each template can be rendered from its sample, and stumbles over a sample that lacks what it names."""
    templates = Templates()
    unused = set()
    for name, data in lacking(SAMPLES[purpose]):
        try:
            templates.render(purpose, data)
        except TemplateError:
            continue
        unused.add(name)
    assert (
        unused
        - SPARE
        - {
            "desk",
            "desk.name",
            "answer.files",
            "last_answer.files",
            "message.author",
            "message.date",
            "message.files",
            "may_answer",
        }
        == set()
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_agent_can_do_is_said_for_every_cause(language):
    said = {
        Templates().render("undeliverable", {**SAMPLES["undeliverable"], "cause": cause}, language).text
        for cause in CAUSES
    }
    assert len(said) == len(CAUSES)


@pytest.mark.parametrize(
    "purpose", [purpose for purpose, data in SAMPLES.items() if "subject" not in data.get("ticket", {"subject": ""})]
)
def test_what_a_customer_gets_by_itself_is_told_nothing_that_a_stranger_wrote(purpose):
    assert not {"requester", "requester_name"} & set(SAMPLES[purpose]["ticket"])
    assert not {"message", "readers", "quoted", "answer"} & set(SAMPLES[purpose])


def test_those_that_a_customer_gets_by_itself_are_these():
    ours = {purpose for purpose, data in SAMPLES.items() if "subject" not in data.get("ticket", {"subject": ""})}
    assert {"confirmation", "status", "reminder"} <= ours


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
    assert not tags.seen & {"img", "script", "link", "iframe", "form"}
    assert "http" not in html
    assert 'content="light dark"' in html
    assert f'<html lang="{language}"' in html


@pytest.mark.parametrize("purpose", SAMPLES)
def test_the_styles_are_in_the_elements(purpose):
    """Programs that drop `<style>` still show it as it is meant; what stands in `<style>` is for the dark alone."""
    html = Templates().render(purpose, SAMPLES[purpose]).html
    classes = re.findall(r"<(\w+) class=\"(\w+)\"([^>]*)>", html)
    assert classes
    assert [(tag, name) for tag, name, rest in classes if " style=" not in rest] == []
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1]
    assert style.split("@media (prefers-color-scheme: dark)")[0].split() == [
        ":root",
        "{",
        "color-scheme:",
        "light",
        "dark",
        "}",
    ]


def test_no_colour_stands_alone():
    """A background without a colour of its own would hide a reader's white text; a colour without one, his dark page."""
    css = (OUR_FOLDER / "style.css").read_text("utf-8") + (OUR_FOLDER / "layout.html.j2").read_text("utf-8")
    for rule in re.findall(r"\{([^{}]*)\}", css):
        properties = {part.partition(":")[0].strip() for part in rule.split(";")}
        assert ("background" in properties) == ("color" in properties), rule


def test_an_override_takes_the_place_of_ours(tmp_path):
    override(tmp_path, "confirmation/subject.j2", "Got it: {{ ticket.ref }}")
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
    override(tmp_path, "confirmation/text.j2", source)
    templates = Templates(tmp_path)
    problems = templates.check()
    assert [problem.path for problem in problems] == [tmp_path / "confirmation/text.j2"]
    assert why in problems[0].why
    assert templates.render("confirmation", SAMPLES["confirmation"]) == Templates().render(
        "confirmation", SAMPLES["confirmation"]
    )


def test_an_override_that_fails_on_real_data_gives_way_to_ours(tmp_path):
    override(tmp_path, "status/text.j2", "{% if ticket.status == 'closed' %}{{ nothing }}{% endif %}fine")
    templates = Templates(tmp_path)
    assert templates.check() == []
    closed = {**SAMPLES["status"], "ticket": {**SAMPLES["status"]["ticket"], "status": "closed"}}
    assert templates.render("status", closed).text == Templates().render("status", closed).text


def test_a_rendering_without_end_is_cut_off(tmp_path):
    line = "{% for a in t %}{% for b in t %}{% for c in t %}{% for d in t %}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{% endfor %}{% endfor %}{% endfor %}{% endfor %}"
    override(tmp_path, "confirmation/text.j2", "{% set t = 'x' * 100 %}" + line)
    problems = Templates(tmp_path).check()
    assert "more than" in problems[0].why


def test_a_file_that_is_none_of_ours_is_reported(tmp_path):
    override(tmp_path, "confirmation/subjekt.j2", "x")
    assert [problem.why for problem in Templates(tmp_path).check()] == ["no template of ours has this name"]


def test_a_folder_that_is_not_there_is_reported(tmp_path):
    assert "no such folder" in str(Templates(tmp_path / "nowhere").check()[0])


def test_every_purpose_has_its_folder():
    files = {path.relative_to(OUR_FOLDER).as_posix() for path in OUR_FOLDER.rglob("*.j2")} - set(SHARED)
    assert files == {name_of(purpose, part) for purpose in SAMPLES for part in PARTS}


def test_an_override_may_be_for_one_language(tmp_path):
    override(tmp_path, "de/confirmation/subject.j2", "Da: {{ ticket.ref }}")
    templates = Templates(tmp_path)
    assert templates.check() == []
    assert templates.render("confirmation", SAMPLES["confirmation"], "de").subject == "Da: T-1042"
    assert templates.render("confirmation", SAMPLES["confirmation"], "en").subject.startswith("We have")


def test_an_override_shares_our_catalogue(tmp_path):
    override(tmp_path, "reminder/text.j2", "{% trans %}To add something, just reply to this mail.{% endtrans %}")
    text = Templates(tmp_path).render("reminder", SAMPLES["reminder"], "de").text
    assert text == "Möchten Sie etwas ergänzen, antworten Sie einfach auf diese E-Mail."


def test_an_override_of_the_styles_is_in_every_html(tmp_path):
    override(tmp_path, "style.css", ".page { color: #123456; background: #fedcba }")
    templates = Templates(tmp_path)
    assert templates.check() == []
    html = templates.render("confirmation", SAMPLES["confirmation"]).html
    assert '<body class="page" style="color: #123456;background: #fedcba;">' in html


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("purpose", SAMPLES)
def test_putting_templates_together_beforehand_changes_nothing(monkeypatch, purpose, part):
    data = SAMPLES[purpose]
    flat = getattr(Templates().render(purpose, data, "de"), part)
    monkeypatch.setattr("postroom.outbound.sandbox.Sandbox.is_flat", False)
    assert flat == getattr(Templates().render(purpose, data, "de"), part)


@pytest.mark.parametrize(
    ("child", "shown"),
    [
        ("{% extends 'base.html.j2' %}{% block a %}1{{ super() }}{% endblock %}", "<1A-B>"),
        ("{% extends 'base.html.j2' %}{% block a %}{% set x = 2 %}{{ x }}{% endblock %}", "<2-B>"),
        ("{% set x = 'base.html.j2' %}{% extends x %}{% block b %}3{% endblock %}", "<A-3>"),
        ("{% include 'base.html.j2' %}!", "<A-B>!"),
        ("{% include 'nothing.html.j2' ignore missing %}!", "!"),
    ],
)
def test_what_cannot_be_put_together_beforehand_stays_as_jinja_has_it(tmp_path, child, shown):
    override(tmp_path, "base.html.j2", "<{% block a %}A{% endblock %}-{% block b %}B{% endblock %}>")
    override(tmp_path, "confirmation/text.j2", child)
    assert Templates(tmp_path).render("confirmation", SAMPLES["confirmation"]).text == shown


def test_templates_that_include_each_other_are_reported(tmp_path):
    override(tmp_path, "confirmation/text.j2", "{% include 'confirmation/text.j2' %}")
    (problem,) = Templates(tmp_path).check()
    assert "recursion" in problem.why
