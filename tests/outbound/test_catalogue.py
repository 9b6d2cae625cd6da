"""Is everything that we say said in each language?"""

import re

import pytest

from postroom.outbound import catalogue
from postroom.outbound.extracting import brought_up, extract
from postroom.outbound.samples import SAMPLES
from postroom.outbound.templates import Templates
from postroom.parsers.reply import read_reply

TRANSLATED = catalogue.available()[1:]


def path_of(language):
    return catalogue.LOCALE / language / catalogue.PO


def entries(*pairs, header='msgid ""\nmsgstr "Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n'):
    return header + "".join(f'\nmsgid "{original}"\nmsgstr "{translation}"\n' for original, translation in pairs)


def put(folder, language, text):
    path = folder / "locale" / language / catalogue.PO
    path.parent.mkdir(parents=True)
    path.write_text(text, "utf-8")
    return path


def test_german_is_there():
    assert "de" in TRANSLATED


@pytest.mark.parametrize("language", TRANSLATED)
def test_no_sentence_is_untranslated_or_in_doubt(language):
    catalog = catalogue.read(path_of(language))
    doubtful = [m.id for m in catalog if m.fuzzy or not all(m.string if isinstance(m.string, tuple) else (m.string,))]
    assert doubtful == []
    assert not list(catalog.obsolete)


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_catalogue_is_what_the_templates_say(language):
    """python -m postroom.outbound.extracting brings it up to them."""
    content, missing = brought_up(path_of(language), language)
    assert (content.decode(), missing) == (path_of(language).read_text("utf-8"), 0)


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_translation_has_the_variables_of_its_original(language):
    for message in catalogue.read(path_of(language)):
        if isinstance(message.id, str):
            assert set(re.findall(r"%\(\w+\)s", message.string)) >= set(re.findall(r"%\(\w+\)s", message.id)), (
                message.id
            )


def test_sentences_are_plain_text():
    """Both parts share them; in HTML they are escaped."""
    for message in extract():
        for sentence in message.id if isinstance(message.id, tuple) else (message.id,):
            assert not set("<>&\xa0") & set(sentence), sentence


def test_the_operators_catalogue_adds_a_language_with_plurals_of_its_own(tmp_path):
    put(tmp_path, "pl", entries(("Hello,", "Dzień dobry,"), header=(
        'msgid ""\nmsgstr "Plural-Forms: nplurals=3; '
        'plural=(n==1 ? 0 : n%10>=2 && n%10<=4 && (n%100<12 || n%100>14) ? 1 : 2);\\n"\n'
    )) + (
        '\nmsgid "One line of your mail is no command that can be carried out, so none was:"\n'
        'msgid_plural "%(count)s lines of your mail are no commands that can be carried out, so none was:"\n'
        'msgstr[0] "jedna"\nmsgstr[1] "%(count)s kilka"\nmsgstr[2] "%(count)s wiele"\n'
    ))  # fmt: skip
    templates = Templates(tmp_path, "pl")
    assert templates.check() == []
    assert templates.render("confirmation", SAMPLES["confirmation"]).text.startswith("Dzień dobry,\n\nwe have received")
    wrong = SAMPLES["command_error"]["wrong"]
    texts = [
        templates.render("command_error", {**SAMPLES["command_error"], "wrong": wrong * n}).text for n in (1, 3, 5)
    ]
    assert ["jedna" in texts[0], "3 kilka" in texts[1], "5 wiele" in texts[2]] == [True] * 3


def test_the_operators_catalogue_changes_some_of_our_words(tmp_path):
    put(tmp_path, "de", entries(("Hello,", "Grüß Gott,")))
    text = Templates(tmp_path).render("confirmation", SAMPLES["confirmation"], "de").text
    assert text.startswith("Grüß Gott,\n\nwir haben Ihre Nachricht erhalten.")


def test_a_translation_is_escaped_in_html(tmp_path):
    put(tmp_path, "de", entries(("Hello,", "<b>Hallo</b> & willkommen,")))
    rendered = Templates(tmp_path).render("confirmation", SAMPLES["confirmation"], "de")
    assert "&lt;b&gt;Hallo&lt;/b&gt; &amp; willkommen," in rendered.html
    assert rendered.text.startswith("<b>Hallo</b> & willkommen,")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (entries(("Hello,", "Hallo %(name)s,")), "no %(name)s"),
        ('msgid "Hello,"\nmsgstr "a\nb"\n', ""),
        ('msgid ""\nmsgstr "Content-Type: text/plain; charset=gone\\n"\n\nmsgid "ä"\nmsgstr "ö"\n', ""),
        (entries(header='msgid ""\nmsgstr "Plural-Forms: nplurals=2; plural=(__import__);\\n"\n'), ""),
    ],
)
def test_a_broken_catalogue_is_reported_and_ours_is_used(tmp_path, text, why):
    path = put(tmp_path, "de", text)
    templates = Templates(tmp_path)
    (problem,) = templates.check()
    assert problem.path == path
    assert why in problem.why
    assert templates.render("confirmation", SAMPLES["confirmation"], "de").text.startswith("Guten Tag,")


def test_a_language_without_a_catalogue_is_reported_and_english_used(tmp_path):
    templates = Templates(None, "fr")
    assert "there is no catalogue of templates.language 'fr'" in str(templates.check()[0])
    assert templates.render("confirmation", SAMPLES["confirmation"]).text.startswith("Hello,")


def test_a_catalogue_in_the_wrong_place_is_reported(tmp_path):
    put(tmp_path, "klingon", entries(("Hello,", "nuqneH,")))
    assert "locale/LANGUAGE/LC_MESSAGES/postroom.po" in str(Templates(tmp_path).check()[0])


def test_a_line_to_write_above_that_reading_does_not_know_is_reported(tmp_path):
    put(tmp_path, "fr", entries(("reply above this line", "blah")))
    assert "'blah' is no sentence that we know" in str(Templates(tmp_path).check()[0])


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (("de",), "de"),
        (("de-AT",), "de"),
        (("DE_ch",), "de"),
        ((None, "", "fr", "de"), "de"),
        (("fr",), "en"),
        ((), "en"),
    ],
)
def test_the_first_language_that_there_is_is_chosen(wanted, chosen):
    assert Templates().choose(*wanted) == chosen


@pytest.mark.parametrize("language", catalogue.available())
@pytest.mark.parametrize("purpose", [purpose for purpose in SAMPLES if "readers" in SAMPLES[purpose]])
def test_what_an_agent_writes_above_a_notice_is_told_from_it(purpose, language):
    """The line that asks to write above it has to be one that reading mail knows."""
    text = Templates().render(purpose, SAMPLES[purpose], language).text
    assert read_reply(f"Turn it off.\n\n{text}").reply_text.strip() == "Turn it off."
