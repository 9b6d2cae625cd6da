"""`postroom templates`: the words of what we send, where they come from, and how they look."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from postroom import config
from postroom.cli import output
from postroom.cli.opening import open_house
from postroom.errors import UserError

if TYPE_CHECKING:
    from postroom.outbound.templates import Rendered, Templates

PAGE = """\
<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>{title}</title>
<meta name="color-scheme" content="light dark">
<style>
body {{ margin: 16px; font-family: sans-serif }}
iframe {{ display: block; box-sizing: border-box; width: 100%; max-width: 720px; height: 460px; border: 1px solid #8b8f98 }}
</style></head>
<body>
{mails}
</body></html>
"""


@click.group("templates")
def command() -> None:
    """The words of what we send, where they come from, and how they look."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@click.pass_obj
def list_(config_path: str | None, as_json: bool) -> None:
    """List the kinds of mail, and which of their templates are your own."""
    from postroom.outbound.samples import SAMPLES
    from postroom.outbound.template_files import OURS, PARTS

    settings = config.load(config_path)
    templates = _templates(settings)
    rows: list[dict[str, Any]] = []
    for purpose in SAMPLES:
        sources = {
            templates.source_of(purpose, part, language) for part in PARTS for language in templates.languages
        }  # fmt: skip
        own = sorted(str(path) for path in sources if not path.is_relative_to(OURS))
        switch = getattr(settings.notify, purpose, None)
        rows.append({"purpose": purpose, "switchedOn": switch, "own": own})
    if as_json:
        for row in rows:
            output.print_json(row)
        return
    words = {True: "on", False: "off", None: output.NOTHING}
    shown = [(row["purpose"], words[row["switchedOn"]], ", ".join(row["own"]) or "ours") for row in rows]
    output.print_table(("PURPOSE", "NOTIFY", "TEMPLATES"), shown, "there are none")
    click.echo(f"languages: {', '.join(templates.languages)}; {templates.language} unless something else is known")


@command.command("show")
@click.argument("purpose")
@click.option("--language", metavar="TAG", help="Of templates that you have for one language alone.")
@click.option("--json", "as_json", is_flag=True, help="One object.")
@click.pass_obj
def show(config_path: str | None, purpose: str, language: str | None, as_json: bool) -> None:
    """Show the source of a mail's templates, and what they are told."""
    from postroom.outbound.samples import SAMPLES
    from postroom.outbound.template_files import PARTS

    templates = _templates(config.load(config_path))
    chosen = _known(purpose), _language(templates, language)
    files = {part: templates.source_of(*(chosen[0], part, chosen[1])) for part in PARTS}
    told = dict(_flat(SAMPLES[purpose]))
    if as_json:
        parts = {part: {"file": str(path), "source": path.read_text("utf-8")} for part, path in files.items()}
        output.print_json({"purpose": purpose, "parts": parts, "variables": {k: str(v) for k, v in told.items()}})
        return
    for path in files.values():
        click.echo(f"# {path}\n{output.shown(path.read_text('utf-8'))}")
    output.print_table(("VARIABLE", "FOR EXAMPLE"), list(told.items()), "it is told nothing")


@command.command("check")
@click.option("--json", "as_json", is_flag=True, help="One object a line, for each problem.")
@click.pass_obj
def check(config_path: str | None, as_json: bool) -> int:
    """Say what of your templates and catalogues cannot be used; ours is sent in its place. Exit 1 where there is any."""
    problems = _templates(config.load(config_path)).check()
    for problem in problems:
        if as_json:
            output.print_json({"file": str(problem.path), "problem": problem.why})
        else:
            click.echo(output.one_line(str(problem)), err=True)
    if not problems and not as_json:
        click.echo("every template and every catalogue can be used")
    return 1 if problems else 0


@command.command("preview")
@click.argument("what", nargs=-1, metavar="[REF] [PURPOSE]...")
@click.option("--language", metavar="TAG", help="Without it: the ticket's, or templates.language.")
@click.option("--html", "html_file", metavar="FILE", type=click.Path(dir_okay=False), help="Write the HTML there.")
@click.option("--json", "as_json", is_flag=True, help="One object a line, for each mail.")
@click.pass_obj
def preview(
    config_path: str | None, what: tuple[str, ...], language: str | None, html_file: str | None, as_json: bool
) -> None:
    """Show what mails about the ticket REF would say, or about an example; without a PURPOSE all of them.

    Nothing is sent. What a ticket does not tell (the reason of a refusal, say) is as in the example.
    """
    from postroom.outbound.samples import SAMPLES

    settings = config.load(config_path)
    templates = _templates(settings)
    purposes = [_known(one) for one in what if one in SAMPLES] or list(SAMPLES)
    refs = [one for one in what if one not in SAMPLES]
    if len(refs) > 1:
        raise UserError(f"{refs[1]!r} is no purpose: postroom templates list")
    data, tongue = _of_ticket(settings, refs[0], purposes) if refs else ({one: SAMPLES[one] for one in purposes}, None)
    chosen = _language(templates, language or tongue)
    mails = {purpose: templates.render(purpose, data[purpose], chosen) for purpose in purposes}
    if html_file is not None:
        _write(Path(html_file), _page(mails))
        click.echo(f"written: {html_file}")
        return
    for purpose, words in mails.items():
        if as_json:
            output.print_json({"purpose": purpose, "subject": words.subject, "text": words.text, "html": words.html})
            continue
        click.echo(f"# {purpose}\nSubject: {output.one_line(words.subject)}\n\n{output.shown(words.text)}\n")


@command.command("translate")
@click.argument("language")
@click.pass_obj
def translate(config_path: str | None, language: str) -> None:
    """Write the catalogue of a LANGUAGE into your folder, or bring it up to what there is to translate."""
    from postroom.outbound import catalogue
    from postroom.outbound.extracting import brought_up

    folder = _folder(config.load(config_path))
    if folder is None:
        raise UserError('templates.folder is empty: name a folder there, such as "templates"')
    if not catalogue.is_language(language):
        raise UserError(f"{language!r} is no language that is known: write it as de or pt_BR")
    path = folder / "locale" / language / catalogue.PO
    try:
        content, missing = brought_up(path, language)
    except catalogue.CatalogueError as error:
        raise UserError(f"{path}: {error}") from None
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, content.decode())
    click.echo(f"{path}: {missing} to translate" if missing else f"{path}: everything is translated")


def _folder(settings: config.Config) -> Path | None:
    return settings.resolve(settings.templates.folder) if settings.templates.folder else None


def _templates(settings: config.Config) -> Templates:
    from postroom.outbound.templates import Templates

    return Templates(_folder(settings), settings.templates.language)


def _known(purpose: str) -> str:
    from postroom.outbound.samples import SAMPLES

    if purpose not in SAMPLES:
        raise UserError(f"there is no mail {purpose!r}; there are: {', '.join(SAMPLES)}")
    return purpose


def _language(templates: Templates, wanted: str | None) -> str:
    if wanted and wanted not in templates.languages:
        raise UserError(f"there is no catalogue of {wanted!r}; there are: {', '.join(templates.languages)}")
    return wanted or templates.language


def _of_ticket(settings: config.Config, ref: str, purposes: list[str]) -> tuple[dict[str, dict[str, Any]], str]:
    """What the templates are told of a ticket, and the language that its customer is written to in."""
    from postroom.desk import actions
    from postroom.store import addressing

    with open_house(settings) as house, house.store.read() as connection:
        ticket = actions.find(connection, ref)
        case = addressing.case(connection, ticket.id)
        told = {purpose: house.notifier.preview(connection, ticket.id, purpose) for purpose in purposes}
        return told, house.templates.choose(case.language, case.opened_in)


def _flat(data: dict[str, Any], above: str = "") -> list[tuple[str, Any]]:
    """Each variable with its example: `ticket.ref`, `message.files[].size`."""
    rows: list[tuple[str, Any]] = []
    for name, value in data.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{above}{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            rows += _flat(value[0], f"{above}{name}[].")
        else:
            rows.append((above + name, value))
    return rows


def _page(mails: dict[str, Rendered]) -> str:
    """One mail as it is; several on one page, each in a frame of its own."""
    if len(mails) == 1:
        return next(iter(mails.values())).html
    frames = [
        f'<h2>{escape(purpose)}</h2>\n<p>{escape(words.subject)}</p>\n<iframe sandbox srcdoc="{escape(words.html)}"></iframe>'
        for purpose, words in mails.items()
    ]
    return PAGE.format(title="Postroom's mail", mails="\n".join(frames))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
