"""What is a sentence of our templates in another language? Catalogues of gettext, ours and the operator's.

`locale/<language>/LC_MESSAGES/postroom.po`; English needs none, for the templates are written in it. The operator's
folder may hold the same path: for a further language, or with other words for some of our sentences.
"""

from __future__ import annotations

import gettext
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # who writes no mail has no use for Babel, and its start none for its price
    from babel import Locale
    from babel.messages.catalog import Catalog

SOURCE = "en"  # the language that the templates are written in
LOCALE = Path(__file__).parent / "locale"
PO = Path("LC_MESSAGES", "postroom.po")
TAG = re.compile(r"[a-z]{2,3}(_[A-Z][A-Za-z]{1,3})?")
PLACEHOLDER = re.compile(r"%\((\w+)\)s")
ENGLISH_PLURAL = "(n != 1)"


class CatalogueError(Exception):
    """A catalogue cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The sentences of one language."""

    language: str
    locale: Locale
    plural_form: Callable[[int], int]  # which form a number takes
    _sentences: dict[str, tuple[str, ...]] = field(repr=False)

    def forms(self, message: str, plural: str | None = None) -> tuple[str, ...]:
        """The translation, with `plural` one for each form; the original where there is none."""
        found = self._sentences.get(message)
        if found is not None and (plural is None or len(found) > 1):
            return found
        return (message,) if plural is None else (message, plural)

    def word(self, message: str) -> str:
        """A word's translation, or the word."""
        return self._sentences.get(message, (message,))[0]


def available(folder: Path | None = None) -> tuple[str, ...]:
    """The languages that there are: English, and those with a catalogue of ours or in the operator's `folder`."""
    ours = _named_in(LOCALE)
    theirs = _named_in(folder / "locale") - ours - {SOURCE} if folder else set()
    return (SOURCE, *sorted(ours | {language for language in theirs if is_language(language)}))


def _named_in(root: Path) -> set[str]:
    return {path.parent.parent.name for path in root.glob(f"*/{PO.as_posix()}")}


def is_language(tag: str) -> bool:
    """Whether it is a language that we could write: `de`, `pt_BR`."""
    from babel import Locale, UnknownLocaleError  # noqa: PLC0415

    if not TAG.fullmatch(tag):
        return False
    try:
        Locale.parse(tag)
    except (UnknownLocaleError, ValueError):
        return False
    return True


def load(language: str, folder: Path | None = None) -> Catalogue:
    """The catalogue of a language, the operator's words before ours; CatalogueError where one of them is broken."""
    from babel import Locale  # noqa: PLC0415

    sentences: dict[str, tuple[str, ...]] = {}
    plural = ENGLISH_PLURAL
    for root in (LOCALE, *([folder / "locale"] if folder else [])):
        path = root / language / PO
        if path.is_file():
            catalog = read(path)
            plural = catalog.plural_expr
            sentences |= _sentences(catalog)
    try:
        plural_form = gettext.c2py(plural)
    except ValueError as error:
        raise CatalogueError(f"Plural-Forms: {error}") from None
    return Catalogue(language, Locale.parse(language), plural_form, sentences)


def read(path: Path) -> Catalog:
    """A catalogue's file, as Babel reads it; CatalogueError where it is none."""
    from babel.messages.pofile import PoFileError, read_po  # noqa: PLC0415

    try:
        with path.open("rb") as file:
            return read_po(file, abort_invalid=True)
    except (PoFileError, LookupError, ValueError, OSError) as error:
        raise CatalogueError(str(error) or type(error).__name__) from None


def _sentences(catalog: Catalog) -> dict[str, tuple[str, ...]]:
    """What is translated and not in doubt. A translation with a placeholder that its original lacks is an error."""
    sentences = {}
    for message in catalog:
        if not message.id or message.fuzzy:
            continue
        originals = (message.id,) if isinstance(message.id, str) else message.id
        forms = (message.string,) if isinstance(message.string, str) else tuple(message.string or ())
        if not forms or not all(forms):
            continue
        known = {name for original in originals for name in PLACEHOLDER.findall(original)}
        for form in forms:
            if strange := set(PLACEHOLDER.findall(form)) - known:
                raise CatalogueError(f"line {message.lineno}: there is no %({strange.pop()})s in its original")
        sentences[originals[0]] = forms
    return sentences
