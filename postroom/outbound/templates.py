"""The words of what we send: Jinja2 templates, ours and the operator's own in their place.

A template sees strings, numbers, lists and dicts, nothing else: no attribute of anything can be asked for,
and of the filters only those that neither blow up nor mark text as HTML; `breaks` is ours (text as HTML lines). A variable that is not given is an
error, not a blank. An override that cannot be rendered is reported, and ours takes its place.

The files are `<language>/<purpose>/subject.j2`, `text.j2` and `html.j2`; the operator's folder
(`templates.folder`) has the same. The variables of each purpose are those of `SAMPLES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, ChoiceLoader, FileSystemLoader, StrictUndefined, Template, TemplateError
from jinja2.exceptions import SecurityError
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup, escape

LANGUAGES = ("en", "de")
PARTS = ("subject", "text", "html")
MAX_RENDERED = 1 << 20  # characters of one part
MAX_REPEATED = 10_000  # characters that "*" may make
OURS = Path(__file__).parent / "templates"
FILTERS = (
    "capitalize", "default", "escape", "e", "first", "items", "join", "last", "length", "lower", "replace", "title", "trim",
    "truncate", "upper",
)  # fmt: skip

Data = dict[str, Any]
DESK: Data = {"name": "Support", "address": "support@example.com"}
TICKET: Data = {"ref": "T-1042", "status": "resolved", "priority": "medium", "queue": "Support"}
PRIVATE: Data = {**TICKET, "subject": "Printer on fire", "requester": "ann@example.org", "requester_name": "Ann"}
MESSAGE: Data = {
    "author": "Ann <ann@example.org>", "date": "2026-11-24 12:00 UTC", "text": "It burns.\n\nPlease help. <b>Now!</b>",
    "files": [{"filename": "fire.png", "size": "12 KiB"}],
}  # fmt: skip
QUOTED: Data = {"author": "Ann", "date": "2026-11-24 12:00 UTC", "lines": ["It burns.", "", "Please help."]}
AGENT: Data = {"name": "Bob Agent"}
WRONG = [
    {
        "line": "#status gone",
        "why": "'gone' is no status; there are: new, open",
        "right": "#status STATUS, such as #status open",
    },
]

# What a customer gets by itself holds nothing that a stranger wrote: neither subject nor name nor text.
SAMPLES: dict[str, Data] = {
    "confirmation": {"desk": DESK, "ticket": TICKET},
    "status": {"desk": DESK, "ticket": TICKET, "resolution": "We changed the fuse."},
    "reply": {"desk": DESK, "ticket": PRIVATE, "agent": AGENT, "message": MESSAGE, "quoted": QUOTED},
    "new_ticket": {"desk": DESK, "ticket": PRIVATE, "message": MESSAGE},
    "assignment": {"desk": DESK, "ticket": PRIVATE, "message": MESSAGE, "actor": "bob"},
    "customer_reply": {"desk": DESK, "ticket": PRIVATE, "message": MESSAGE, "is_stranger": True},
    "undeliverable": {"desk": DESK, "ticket": PRIVATE, "recipient": "ann@example.org", "purpose": "reply", "reason": "550 no"},
    "held": {"desk": DESK, "ticket": PRIVATE, "recipient": "ann@example.org", "because": "bounces", "reason": "mail came back 3 times", "is_answered": True},
    "reminder": {"desk": DESK, "ticket": {**TICKET, "status": "pending_customer"}},
    "escalation": {"desk": DESK, "ticket": PRIVATE, "message": MESSAGE, "due": "2026-11-24 16:00 UTC", "is_answered": False},
    "follow_up": {"desk": DESK, "ticket": PRIVATE, "message": MESSAGE},
    "command_error": {"desk": DESK, "ticket": PRIVATE, "wrong": WRONG, "lines": ["#status gone", "#tag fuse", "", "Hello Ann,"]},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rendered:
    """The words of one mail."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Problem:
    """An override that ours takes the place of, and why."""

    path: Path
    why: str

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


class Templates:
    """The templates of every purpose, compiled when they are first used."""

    def __init__(self, folder: Path | None = None, language: str = "en") -> None:
        """`folder`: the operator's overrides, if there are any."""
        self._folder = folder
        self._language = language
        self._ours = _environment(FileSystemLoader(OURS))
        theirs: list[BaseLoader] = [] if folder is None else [FileSystemLoader(folder)]
        self._theirs = _environment(ChoiceLoader([*theirs, FileSystemLoader(OURS)]))
        self._compiled: dict[tuple[str, str, str], Template] = {}

    def render(self, purpose: str, data: Data, language: str | None = None) -> Rendered:
        """The words of a mail of that purpose, in a language that we have, else in the configured one."""
        chosen = language if language in LANGUAGES else self._language
        subject, text, html = (self._render(chosen, purpose, part, data) for part in PARTS)
        return Rendered(" ".join(subject.split()), text, html)

    def check(self) -> list[Problem]:
        """Every override that cannot be used, and every file of the folder that is none of ours."""
        if self._folder is None:
            return []
        if not self._folder.is_dir():
            return [Problem(self._folder, "there is no such folder")]
        known = {name_of(language, purpose, part) for language in LANGUAGES for purpose in SAMPLES for part in PARTS}
        files = sorted(path for path in self._folder.rglob("*.j2") if path.is_file())
        problems = []
        for path in files:
            name = path.relative_to(self._folder).as_posix()
            if name not in known and name != LAYOUT:
                problems.append(Problem(path, "no template of ours has this name"))
        for name in sorted(known):
            _, purpose, file = name.split("/")
            part = file.removesuffix(".j2")
            if self._is_overridden(name, part) and (why := self._fault(name, purpose)):
                problems.append(Problem(self._folder / name, why))
        return problems

    def _render(self, language: str, purpose: str, part: str, data: Data) -> str:
        key = (language, purpose, part)
        template = self._compiled.get(key)
        if template is None:
            template = self._compiled[key] = self._compile(language, purpose, part)
        try:
            return _bounded(template, data)
        except (TemplateError, TypeError, ValueError, ArithmeticError, RecursionError):
            ours = self._ours.get_template(name_of(*key))
            if template is ours:
                raise
            self._compiled[key] = ours  # it stood the check, and fails on real data: never try it again
            return _bounded(ours, data)

    def _compile(self, language: str, purpose: str, part: str) -> Template:
        name = name_of(language, purpose, part)
        if self._is_overridden(name, part) and self._fault(name, purpose) is None:
            return self._theirs.get_template(name)
        return self._ours.get_template(name)

    def _is_overridden(self, name: str, part: str) -> bool:
        """By a template of that name, or because its layout is."""
        if self._folder is None:
            return False
        return (self._folder / name).is_file() or (part == "html" and (self._folder / LAYOUT).is_file())

    def _fault(self, name: str, purpose: str) -> str | None:
        """Why an override cannot be used: it is rendered once, on sample data."""
        try:
            _bounded(self._theirs.get_template(name), SAMPLES[purpose])
        except TemplateError as error:
            line = getattr(error, "lineno", None)
            return f"line {line}: {error.message}" if line else error.message or type(error).__name__
        except (TypeError, ValueError, ArithmeticError, RecursionError, OSError) as error:
            return str(error) or type(error).__name__
        return None


LAYOUT = "layout.html.j2"  # what every HTML part extends


def name_of(language: str, purpose: str, part: str) -> str:
    """The path of a template within its folder."""
    return f"{language}/{purpose}/{part}.j2"


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja2's sandbox, drawn closer: plain data, no attributes, no large repeats."""

    intercepted_binops = frozenset(["*", "**", "%"])

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Only a loop's own attributes; a dict's items are found as items."""
        return isinstance(obj, LoopContext) and super().is_safe_attribute(obj, attr, value)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Numbers may be multiplied, text repeated a little; the rest can fill the memory."""
        if operator == "*":
            texts = [value for value in (left, right) if isinstance(value, str | list | tuple)]
            size = max((len(text) for text in texts), default=0) * max(
                (value for value in (left, right) if isinstance(value, int)), default=1
            )
            if size <= MAX_REPEATED:
                return super().call_binop(context, operator, left, right)
        elif operator == "%" and not isinstance(left, str):
            return super().call_binop(context, operator, left, right)
        raise SecurityError(f"{operator!r} is not allowed here")


def _environment(loader: BaseLoader) -> Sandbox:
    environment = Sandbox(
        loader=loader, undefined=StrictUndefined, autoescape=lambda name: name is not None and "html" in name.rpartition("/")[2],
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=False, auto_reload=False,
    )  # fmt: skip
    environment.filters = {name: environment.filters[name] for name in FILTERS} | {"breaks": _breaks}
    environment.globals = {}
    return environment


def _breaks(text: str) -> Markup:
    """Text as HTML that keeps its lines."""
    return Markup(escape(text).replace("\n", Markup("<br>\n")))  # noqa: S704 (escaped here)


def _bounded(template: Template, data: Data) -> str:
    """What the template makes of the data; SecurityError where it is too much, found before all of it is made."""
    pieces, size = [], 0
    for piece in template.generate(data):
        size += len(piece)
        if size > MAX_RENDERED:
            raise SecurityError(f"more than {MAX_RENDERED} characters")
        pieces.append(piece)
    return "".join(pieces)
