"""The templates in one language, compiled: Jinja2, Babel and the styles come in here, and only when a mail has to be written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jinja2 import FileSystemLoader, StrictUndefined, Template, TemplateError

from postroom.outbound import catalogue, phrases
from postroom.outbound.catalogue import Catalogue, CatalogueError
from postroom.outbound.flattening import NotFlat
from postroom.outbound.samples import SAMPLES
from postroom.outbound.sandbox import Sandbox, bounded, of_text
from postroom.outbound.styling import Styling
from postroom.outbound.template_files import OURS, PARTS, STYLE, name_of
from postroom.outbound.translating import PLURAL_FORM, Translating

# What random templates were seen to raise, in Jinja2's compiler and in what it compiles.
FAULTS = (
    TemplateError, TypeError, ValueError, AttributeError, ArithmeticError, AssertionError, LookupError, RecursionError,
    SyntaxError, RuntimeError,
)  # fmt: skip


class Tongue:
    """The templates in one language: ours, and those with the operator's in their place."""

    def __init__(self, language: str, folder: Path | None) -> None:
        try:
            words = catalogue.load(language, folder)
        except CatalogueError:  # it is reported
            words = catalogue.load(language)
        theirs = [folder / language, folder] if folder else []
        css = next((text for path in theirs if (text := _read(path / STYLE)) is not None), _read(OURS / STYLE))
        self.words = words
        self._ours = _environments([], words, _read(OURS / STYLE) or "")
        self._theirs = _environments(theirs, words, css or "")

    def ours(self, purpose: str) -> tuple[Template, ...]:
        """Our templates of a mail, compiled: subject, text, HTML."""
        return tuple(self._ours.get(name_of(purpose, part)) for part in PARTS)

    def theirs(self, name: str) -> Template:
        """A template with the operator's files before ours, compiled; raises one of FAULTS."""
        return self._theirs.get(name)

    def fault(self, name: str, purpose: str) -> str | None:
        """Why an override cannot be used: it is rendered once, from its example."""
        try:
            bounded(self.theirs(name), SAMPLES[purpose])
        except TemplateError as error:
            line = getattr(error, "lineno", None)
            return f"line {line}: {error.message}" if line else error.message or type(error).__name__
        except (*FAULTS, OSError) as error:
            return str(error) or type(error).__name__
        return None


@dataclass(frozen=True, slots=True)
class _Pair:
    """The environments for text and for HTML."""

    text: Sandbox
    html: Sandbox

    def get(self, name: str) -> Template:
        environment = self.html if "html" in name.rpartition("/")[2] else self.text
        try:
            return environment.get_template(name)
        except NotFlat:
            whole = environment.overlay()
            whole.is_flat = False
            return whole.get_template(name)


def _environments(folders: list[Path], words: Catalogue, css: str) -> _Pair:
    loader = FileSystemLoader([*folders, OURS])
    pair = []
    for is_html in (False, True):
        environment = Sandbox(
            loader=loader, undefined=StrictUndefined, autoescape=is_html, trim_blocks=True, lstrip_blocks=True,
            keep_trailing_newline=False, auto_reload=False, extensions=[Translating, Styling],
        )  # fmt: skip
        environment.policies["ext.i18n.trimmed"] = True
        environment.extend(catalogue=words, css=css if is_html else "")
        environment.filters |= {name: of_text(one) for name, one in phrases.filters(words).items()}
        environment.filters[PLURAL_FORM] = words.plural_form
        environment.globals = {"language": words.language.replace("_", "-")}
        pair.append(environment)
    return _Pair(*pair)


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except OSError:
        return None
