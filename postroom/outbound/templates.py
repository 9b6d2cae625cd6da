"""The words of what we send: Jinja2 templates and catalogues of translations, ours and the operator's own in their place.

A template sees strings, numbers, times, lists and dicts, nothing else: no attribute of anything can be asked for,
and of the filters only those that neither blow up nor mark text as HTML; ours are in `phrases.py`. A variable that is
not given is an error, not a blank. An override that cannot be rendered is reported, and ours takes its place.

The files are `<purpose>/subject.j2`, `text.j2` and `html.j2`, in English, with their sentences marked for translation; what
they share lies beside the folders. The operator's folder (`templates.folder`) has the same, and for one language alone
`<language>/<purpose>/…`; its catalogues are in `locale/`. The variables of each purpose are those of `SAMPLES`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from postroom.outbound import catalogue
from postroom.outbound.catalogue import SOURCE, Catalogue, CatalogueError
from postroom.outbound.samples import SAMPLES, Data
from postroom.outbound.template_files import OURS, PARTS, SHARED, STYLE, name_of
from postroom.parsers.reply import read_reply

if TYPE_CHECKING:
    from jinja2 import Template

    from postroom.outbound.tongues import Tongue

ABOVE = "reply above this line"  # what a notice asks for, and what reading the answer looks for


@dataclass(frozen=True, slots=True)
class Rendered:
    """The words of one mail."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What of the operator's cannot be used, and why; ours is in its place."""

    path: Path
    why: str

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


class Templates:
    """The templates of every purpose in every language, compiled when they are first used."""

    def __init__(self, folder: Path | None = None, language: str = SOURCE) -> None:
        """`folder`: the operator's, if there is one. `language`: of those of whom nothing else is known."""
        self._folder = folder
        self._wanted = language
        self.languages = catalogue.available(folder)
        self.language = language if language in self.languages else SOURCE
        self._tongues: dict[str, Tongue] = {}
        self._compiled: dict[tuple[str, str], tuple[Template, ...]] = {}

    def choose(self, *wanted: str | None) -> str:
        """The first of these languages that we have (`de` for `de-AT` too), else the configured one."""
        for tag in wanted:
            language, _, region = (tag or "").replace("-", "_").partition("_")
            for one in (f"{language.lower()}_{region.upper()}", language.lower()):
                if one in self.languages:
                    return one
        return self.language

    def render(self, purpose: str, data: Data, language: str | None = None) -> Rendered:
        """The words of a mail of that purpose, in a language that we have, else in the configured one."""
        from postroom.outbound.sandbox import bounded  # noqa: PLC0415
        from postroom.outbound.tongues import FAULTS  # noqa: PLC0415

        chosen = language if language in self.languages else self.language
        key = (chosen, purpose)
        compiled = self._compiled.get(key)
        if compiled is None:
            compiled = self._compiled[key] = self._compile(chosen, purpose)
        try:
            subject, text, html = (bounded(template, data) for template in compiled)
        except FAULTS:
            ours = self._tongue(chosen).ours(purpose)
            if compiled == ours:
                raise
            self._compiled[key] = ours  # it stood the check, and fails on real data: never try it again
            subject, text, html = (bounded(template, data) for template in ours)
        return Rendered(" ".join(subject.split()), text.strip("\n"), html)

    def words(self, language: str | None = None) -> Catalogue:
        """The sentences of a language that we have, else of the configured one: for what no template says."""
        return self._tongue(language if language in self.languages else self.language).words

    def check(self) -> list[Problem]:
        """Whatever of the operator's folder cannot be used, and every template in it that is none of ours."""
        if self._folder is not None and not self._folder.is_dir():
            return [Problem(self._folder, "there is no such folder")]
        problems = []
        if self._wanted not in self.languages:
            there_are = ", ".join(self.languages)
            why = f"there is no catalogue of templates.language {self._wanted!r}, so {SOURCE} is used; there are: {there_are}"
            problems.append(Problem(self._folder or OURS, why))
        if self._folder is not None:
            problems += self._strange(self._folder)
            for language in self.languages:
                problems += self._check_language(self._folder, language)
        return list({problem.path: problem for problem in reversed(problems)}.values())[::-1]

    def source_of(self, purpose: str, part: str, language: str) -> Path:
        """The file that a part of a mail is made from: the operator's, where there is one that can be used."""
        name = name_of(purpose, part)
        theirs = next((path for path in self._overrides(language, name) if path.is_file()), None)
        return theirs if theirs and self._tongue(language).fault(name, purpose) is None else OURS / name

    def _strange(self, folder: Path) -> Iterator[Problem]:
        known = {name_of(purpose, part) for purpose in SAMPLES for part in PARTS} | set(SHARED)
        for path in sorted(path for path in folder.rglob("*.j2") if path.is_file()):
            name = path.relative_to(folder).as_posix()
            language, _, inner = name.partition("/")
            if name not in known and not (language in self.languages and inner in known):
                yield Problem(path, "no template of ours has this name")
        for path in sorted(folder.glob("locale/*/LC_MESSAGES/*.po")):
            if path.name != catalogue.PO.name or not catalogue.is_language(path.parent.parent.name):
                yield Problem(path, f"a catalogue has to be locale/LANGUAGE/{catalogue.PO.as_posix()}")

    def _check_language(self, folder: Path, language: str) -> Iterator[Problem]:
        path = folder / "locale" / language / catalogue.PO
        try:
            above = catalogue.load(language, folder).word(ABOVE)
            if read_reply(f"a\n\n-- {above} --\n\nb").reply_text.strip() != "a":
                yield Problem(
                    path, f"{above!r} is no sentence that we know in an answer; agents' answers may hold the notice"
                )
        except CatalogueError as error:
            yield Problem(path, str(error))
        tongue = self._tongue(language)
        for purpose in SAMPLES:
            for part in PARTS:
                name = name_of(purpose, part)
                if self._is_overridden(language, name) and (why := tongue.fault(name, purpose)):
                    yield Problem(next((p for p in self._overrides(language, name) if p.is_file()), folder / name), why)

    def _compile(self, language: str, purpose: str) -> tuple[Template, ...]:
        tongue = self._tongue(language)
        compiled = list(tongue.ours(purpose))
        for number, part in enumerate(PARTS):
            name = name_of(purpose, part)
            if self._is_overridden(language, name) and tongue.fault(name, purpose) is None:
                compiled[number] = tongue.theirs(name)
        return tuple(compiled)

    def _overrides(self, language: str, name: str) -> list[Path]:
        return [self._folder / language / name, self._folder / name] if self._folder else []

    def _is_overridden(self, language: str, name: str) -> bool:
        """By a template of that name, or because one that all share is, or the styles."""
        return any(path.is_file() for one in (name, *SHARED, STYLE) for path in self._overrides(language, one))

    def _tongue(self, language: str) -> Tongue:
        from postroom.outbound.tongues import Tongue  # noqa: PLC0415 - who writes no mail pays for no Jinja2

        tongue = self._tongues.get(language)
        if tongue is None:
            tongue = self._tongues[language] = Tongue(language, self._folder)
        return tongue
