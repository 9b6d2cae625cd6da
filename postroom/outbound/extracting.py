"""Which sentences are there to translate? Those marked in our templates, those that the code says (`Saying`), those of links and
reports, and the words of our settings, as a catalogue.

python -m postroom.outbound.extracting      brings our own catalogues up to the templates
"""

from __future__ import annotations

import ast
import io
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import write_po
from jinja2.ext import babel_extract

from postroom.outbound import catalogue, links, report_pages
from postroom.outbound.phrases import WORDS
from postroom.outbound.template_files import OURS
from postroom.saying import Saying

PACKAGE = Path(__file__).parents[1]
ROOMS = ("desk", "outbound", "daemon")  # where sentences are made that a mail may say
KEYWORDS = ("gettext", "ngettext")
WIDTH = 120  # characters of a line
VOLATILE = ('"POT-Creation-Date', '"PO-Revision-Date', '"Generated-By', '"Last-Translator', '"Language-Team')
HEADER = """\
# Postroom's sentences in {name}.
# "%(ref)s" and its like stand for what is put in there, and have to be in the translation too. Text stays
# text: no HTML. Brought up to the templates by: postroom templates translate {language}
"""


def extract() -> Catalog:
    """Every sentence, with the files that it stands in; TemplateSyntaxError for a template that is broken."""
    catalog = Catalog(domain="postroom", project="postroom", charset="utf-8")
    options = {"trimmed": "yes", "silent": "no", "newstyle_gettext": "yes"}
    for path in sorted(OURS.rglob("*.j2")):
        name = path.relative_to(OURS).as_posix()
        with path.open("rb") as file:
            for _, _, found, _ in babel_extract(file, KEYWORDS, (), options):
                words = (found,) if isinstance(found, str) else tuple(part for part in found or () if part is not None)
                catalog.add(words[0] if len(words) == 1 else words, locations=[(name, None)])  # type: ignore[list-item]
    for name, sentence in sayings():
        catalog.add(sentence, locations=[(name, None)])  # type: ignore[list-item]
    beside = {"settings": WORDS, "links.py": links.SENTENCES, "report_pages.py": report_pages.SENTENCES}
    for place, sentences in beside.items():
        for sentence in sentences:
            catalog.add(sentence, locations=[(place, None)])  # type: ignore[list-item]
    return catalog


def sayings() -> Iterator[tuple[str, str]]:
    """The words of every `Saying` in our source, with the file; ValueError where they are no literal."""
    for path in sorted(path for room in ROOMS for path in (PACKAGE / room).glob("*.py")):
        source = path.read_text("utf-8")
        if f"{Saying.__name__}(" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == Saying.__name__:
                yield path.relative_to(PACKAGE).as_posix(), ast.literal_eval(node.args[0])


def brought_up(path: Path, language: str) -> tuple[bytes, int]:
    """The catalogue at `path`, or a new one, with every sentence that there is; and how many are to be translated.

    What no template says any more is dropped. CatalogueError where the file is broken.
    """
    known = catalogue.read(path) if path.is_file() else Catalog()
    fresh = Catalog(locale=language, domain="postroom", project="postroom", charset="utf-8", fuzzy=False)
    for message in extract():
        if not message.id:
            continue
        old = known.get(message.id if isinstance(message.id, str) else message.id[0])
        string = old.string if old is not None and not old.fuzzy else None
        fresh.add(message.id, string, locations=message.locations)
    name = fresh.locale.english_name if fresh.locale else language
    fresh.header_comment = HEADER.format(name=name, language=language)
    file = io.BytesIO()
    write_po(file, fresh, width=WIDTH, sort_output=True)
    written = "\n".join(line for line in file.getvalue().decode().split("\n") if not line.startswith(VOLATILE))
    return written.encode(), sum(1 for message in fresh if message.id and not _is_translated(message.string))


def _is_translated(string: object) -> bool:
    return all(string) if isinstance(string, tuple | list) else bool(string)


if __name__ == "__main__":
    for found in catalogue.available()[1:]:
        file_ = catalogue.LOCALE / found / catalogue.PO
        content, missing = brought_up(file_, found)
        file_.write_bytes(content)
        print(f"{file_}: {missing} to translate")
