"""Is every reason that a mail may give a sentence that can be translated? That each is translated, `test_catalogue.py` asks."""

import ast
from pathlib import Path

import pytest

import postroom
from postroom.outbound import catalogue
from postroom.outbound.extracting import extract, sayings
from postroom.outbound.templates import Templates
from postroom.saying import PLACEHOLDER, Saying

PACKAGE = Path(postroom.__file__).parent
# What is asked to do something with a ticket says no with an error, and commands by mail carry its words to the agent.
ASKED_BY_MAIL = sorted((PACKAGE / "desk").glob("*.py"))
TRANSLATED = catalogue.available()[1:]


def calls(source, name):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


@pytest.mark.parametrize("path", ASKED_BY_MAIL, ids=lambda path: path.name)
def test_each_error_of_the_desk_is_a_sentence_that_can_be_translated(path):
    for error in calls(path.read_text("utf-8"), "UserError"):
        [words] = error.args
        assert isinstance(words, ast.Call), f"line {error.lineno}: {ast.unparse(error)}"
        assert ast.unparse(words.func) == "Saying", f"line {error.lineno}: {ast.unparse(error)}"


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(PACKAGE.glob("*/*.py")) if "Saying(" in path.read_text("utf-8")],
    ids=lambda path: path.name,
)
def test_each_sentence_is_a_literal_and_gets_the_values_that_it_names(path):
    for call in calls(path.read_text("utf-8"), "Saying"):
        assert isinstance(call.args[0], ast.Constant), f"line {call.lineno}: its words have to be a literal"
        named = set(PLACEHOLDER.findall(call.args[0].value))
        assert named == {keyword.arg for keyword in call.keywords}, f"line {call.lineno}: {call.args[0].value}"


def test_every_sentence_of_the_code_is_in_the_catalogue():
    known = {message.id for message in extract()}
    found = {words: file for file, words in sayings()}
    assert len(found) > 100
    assert set(found) <= known
    assert found["there is no ticket '%(wanted)s'"] == "desk/command_table.py"


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_sentence_is_said_with_the_values_that_it_has_in_english(language):
    """A name, an address or a number that the English sentence tells is told in every language."""
    words = catalogue.load(language)
    for _, sentence in sayings():
        translated = words.forms(sentence)[0]
        assert set(PLACEHOLDER.findall(translated)) == set(PLACEHOLDER.findall(sentence)), sentence


def test_templates_say_it_in_the_readers_language():
    data = {"desk": {"name": "Support"}, "host": "mail", "title": Saying("alarm: %(name)s", name="disk"), "text": [
        Saying("%(host)s does not take our mail: %(why)s", host="mx", why="550 <b> no"), "the log says <so>",
    ]}  # fmt: skip
    english, german = (Templates().render("operator", data, language) for language in ("en", "de"))
    assert english.subject == "[Postroom] alarm: disk"
    assert german.subject == "[Postroom] Alarm: disk"
    assert "mx nimmt unsere E-Mail nicht an: 550 <b> no\n\nthe log says <so>" in german.text
    assert "mx nimmt unsere E-Mail nicht an: 550 &lt;b&gt; no" in german.html
