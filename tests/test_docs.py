"""The documentation keeps up: what it names exists."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from postroom import __version__, config
from postroom.cli.main import postroom
from postroom.daemon.vocabulary import EVENTS

ROOT = Path(__file__).parents[1]
HANDBOOK = sorted(ROOT.glob("docs/*.md"))
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *HANDBOOK]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def code_lines(text: str) -> Iterator[str]:
    """Each line of a Markdown text that is code: of fenced blocks (joined where they go on), and inline."""
    prose: list[str] = []
    block: list[str] | None = None
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            if block is not None:
                yield from "\n".join(block).replace("\\\n", " ").splitlines()
            block = None if block is not None else []
        elif block is not None:
            block.append(line)
        else:
            prose.append(line)
    yield from (" ".join(match.split()) for match in re.findall(r"`([^`]+)`", "\n".join(prose)))


def commands(text: str, program: str) -> list[list[str]]:
    """The arguments of each run of `program` in a text's code."""
    found = []
    for line in code_lines(text):
        for part in re.split(r"\||&&|;|\s#\s", line):
            words = _words(
                part.strip().removeprefix("$ ").removeprefix("sudo ").removeprefix("runuser -u postroom -- ")
            )
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words.pop(0)
            if words and words[0].rpartition("/")[2] == program:
                found.append(words[1:])
    return found


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:  # an apostrophe in a comment
        return line.split()


def what_is_wrong_with(arguments: list[str]) -> str | None:
    """Why `postroom ARGUMENTS` would be wrong usage; None where every command and option of it exists."""
    command: click.Command = postroom
    words = list(arguments)
    while words:
        word = words.pop(0)
        with click.Context(command) as context:
            if word.startswith("-") and word != "-":
                option, _, value = word.partition("=")
                known = {
                    name: param
                    for param in command.get_params(context)
                    for name in (*param.opts, *param.secondary_opts)
                }
                if option not in known:
                    return f"{command.name} has no option {option}"
                takes_value = not getattr(known[option], "is_flag", False) and not getattr(
                    known[option], "count", False
                )
                if takes_value and not value and words:
                    words.pop(0)
            elif isinstance(command, click.Group):
                if not re.fullmatch(r"[a-z][a-z-]*", word):  # `postroom COMMAND`
                    return None
                inner = command.get_command(context, word)
                if inner is None:
                    return f"{command.name} has no command {word}"
                command = inner
    return None


def test_what_is_code_is_found() -> None:
    text = "Run `postroom -c x run`, or\n`make\ntest`:\n\n```sh\n$ make demo && postroom \\\n  parse --json a.eml | jq . # it's\nPATH=x .venv/bin/postroom status\n```\nmake no\n"
    assert commands(text, "make") == [["demo"], ["test"]]
    assert commands(text, "postroom") == [["parse", "--json", "a.eml"], ["status"], ["-c", "x", "run"]]


def test_a_command_or_option_that_does_not_exist_is_found() -> None:
    assert what_is_wrong_with(["-c", "postroom.toml"]) is None
    assert what_is_wrong_with(["--config=postroom.toml", "--help"]) is None
    assert what_is_wrong_with(["--colour"]) == "postroom has no option --colour"
    assert what_is_wrong_with(["dance"]) == "postroom has no command dance"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_a_document_shows_exists(document: Path) -> None:
    shown = commands(document.read_text("utf-8"), "postroom")
    assert [wrong for arguments in shown if (wrong := what_is_wrong_with(arguments))] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_configuration_that_a_document_shows_is_right(document: Path) -> None:
    for block in re.findall(r"^```toml\n(.*?)^```", document.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        config.parse(tomllib.loads(block), ROOT)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_target_that_a_document_shows_exists(document: Path) -> None:
    shown = commands(document.read_text("utf-8"), "make")
    targets = {word for arguments in shown for word in arguments if re.fullmatch(r"[a-z-]+", word)}
    assert targets - TARGETS == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (document.parent / path) if path else document
        if not there.exists() or (anchor and anchor not in anchors(there)):
            dead.append(target)
    assert dead == []


def anchors(document: Path) -> set[str]:
    """The anchors that a page's headings get where Markdown is shown."""
    headings = re.findall(r"^#+ (.+)$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_document_names_exists(document: Path) -> None:
    named = re.findall(
        r"`([\w./-]+\.(?:py|md|toml|ini|mako|service)|[\w.-]+/)(?:: [^`]*)?`", document.read_text("utf-8")
    )
    made_by_users = {"postroom.toml", "config.toml"}
    made_by_users |= {"postroom.service"}  # where it is installed
    missing = [
        name
        for name in named
        if Path(name).name not in made_by_users
        and not (ROOT / name).exists()
        and not (ROOT / "postroom" / name).exists()
    ]
    assert missing == []


def example_keys() -> set[str]:
    """Each key of config.example.toml with its table, names of the operator's own left out: `mailbox.imap.host`."""
    found, table = set(), ""
    for line in (ROOT / "config.example.toml").read_text("utf-8").splitlines():
        if head := re.match(r"#?\[+([\w.]+)\]+$", line):
            parts = head[1].split(".")
            table = ".".join([parts[0], *parts[2:]] if parts[0] in NAMED else parts)
            found.add(table)
        elif key := re.match(r"#?(\w+) = ", line):
            found.add(f"{table}.{key[1]}")
    return found


NAMED = {"queue", "agent", "mailbox", "smarthost", "status", "dkim"}  # [queue.NAME]


@pytest.mark.parametrize("document", [ROOT / "README.md", *HANDBOOK], ids=lambda path: path.name)
def test_every_key_that_a_document_names_exists(document: Path) -> None:
    keys = example_keys()
    tables, last = {key.partition(".")[0] for key in keys}, {key.rpartition(".")[2] for key in keys}
    prose = re.sub(r"^```.*?^```", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    wrong = []
    for code in re.findall(r"`([^`\n]+)`", prose):
        dotted = code.replace("NAME.", "").removesuffix(".NAME")
        table = re.fullmatch(r"\[+([a-z.]+?)(\.NAME)?(\.imap)?\]+( .*)?", code)
        given = re.fullmatch(r"([a-z_]+) = [\[\"{\dtf].*", code)
        is_key = re.fullmatch(r"[a-z]+(\.[a-z_]+)+", dotted) and dotted.partition(".")[0] in tables
        if (
            (is_key and dotted not in keys and not dotted.endswith((".py", ".md", ".toml", ".service", ".socket")))
            or (table and table[1] not in tables | keys)
            or (given and given[1] not in last)
        ):
            wrong.append(code)
    assert wrong == []


def test_the_handbook_names_every_command() -> None:
    text = "\n".join(page.read_text("utf-8") for page in HANDBOOK)
    with click.Context(postroom) as context:
        named = {words[0] for words in commands(text, "postroom") if words}
        assert set(postroom.list_commands(context)) - named == set()


def test_the_handbook_says_what_each_event_of_the_log_means() -> None:
    page = ROOT / "docs" / "running.md"
    before, heading, _ = page.read_text("utf-8").partition("## What the log says\n")
    assert heading
    right = before + heading + what_the_log_says()
    if os.environ.get("POSTROOM_WRITE_DOCS") == "1":  # POSTROOM_WRITE_DOCS=1 pytest tests/test_docs.py
        page.write_text(right, "utf-8")
    assert page.read_text("utf-8") == right


def what_the_log_says() -> str:
    """The end of the page on running: each event of the log, as the vocabulary orders them."""
    tables = """
One line an event, in one vocabulary: text, or JSON with `[log] format = "json"`. `inbound` and `delivery` are the ids that
`postroom inbound show` and `postroom outbox show` take; both name the ticket (`ticket` is a number of the database, not the ref). No bodies, no subjects of strangers, no secrets.
"""
    for line in (ROOT / "postroom" / "daemon" / "vocabulary.py").read_text("utf-8").splitlines():
        if heading := re.fullmatch(r"    # (.+)", line):
            tables += f"\n### {heading[1].capitalize()}\n\n| event | what it means |\n|---|---|\n"
        elif event := re.match(r'    "([^"]+)":', line):
            tables += f"| `{event[1]}` | {EVENTS[event[1]]} |\n"
    return tables


def test_every_symptom_is_one_that_the_program_shows() -> None:
    source = "\n".join(file.read_text("utf-8") for file in sorted((ROOT / "postroom").rglob("*.py")))
    text = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+) \|$", text, re.MULTILINE)
    symptoms = [row for row in rows if row[0] != "you see"]
    assert len(symptoms) >= 50
    shown = [code for seen, _, _ in symptoms for code in re.findall(r"`([^`]+)`", seen)]
    ours = [code for code in shown if not code.startswith("postroom ") and code not in SAID_BY_THE_SYSTEM]
    assert [code for code in ours if code not in source] == []


SAID_BY_THE_SYSTEM = {"Permission denied"}


def test_every_metric_that_the_handbook_names_is_shown() -> None:
    source = "\n".join((ROOT / "postroom" / "daemon" / name).read_text("utf-8") for name in ("gauges.py", "metrics.py"))
    text = (ROOT / "docs" / "running.md").read_text("utf-8")
    names = {re.sub(r"_total$", "", name) for name in re.findall(r"`postroom_(\w+)", text)}
    assert len(names) > 8
    assert [name for name in names if f'"{name}"' not in source] == []


@pytest.mark.parametrize("page", HANDBOOK, ids=lambda path: path.name)
def test_every_shell_block_of_the_handbook_is_shell(page: Path) -> None:
    for block in re.findall(r"^```sh\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        done = subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True, check=False)
        assert done.stderr == ""


def test_every_page_of_the_handbook_is_in_its_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    assert [page.name for page in HANDBOOK if page.name != "README.md" and f"]({page.name})" not in index] == []


def test_the_configuration_that_the_package_installs_is_right_and_sends_nothing() -> None:
    path = ROOT / "contrib" / "debian" / "config.toml"
    given = tomllib.loads(path.read_text("utf-8"))
    settings = config.parse(given, path.parent)
    assert (settings.outgoing.courier, *settings.smtp.listen) == ("maildir", "127.0.0.1:2525")
    written = [settings.outgoing.maildir, settings.keys.file, settings.store.url.removeprefix("sqlite:///")]
    assert [one for one in written if not str(one).startswith("/var/lib/postroom/")] == []
    uncommented = re.sub(r"^#(?=\[|\w+ = )", "", path.read_text("utf-8"), flags=re.MULTILINE)
    config.parse(tomllib.loads(uncommented), path.parent)


def test_every_make_target_says_what_it_does() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert {"demo", "run", "test", "check", "bench", "fuzz", "clean"} <= TARGETS
    assert set(re.findall(r"^([a-z-]+):.*## .+", makefile, re.MULTILINE)) == TARGETS
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == TARGETS


def test_the_ci_installs_every_package_that_a_test_needs() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    packages = re.search(r"^PACKAGES=\(([^)]*)\)", script, re.MULTILINE)
    assert packages is not None
    sources = [path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)]
    needed = re.findall(r"need\(\"[a-z]+\", \"([a-z-]+)\"|^PACKAGE = \"([a-z-]+)\"", "\n".join(sources), re.MULTILINE)
    names = {name for pair in needed for name in pair if name} - {"sendmail-bin"}  # the tests' example of a missing one
    assert len(names) >= 6
    assert names - set(packages[1].split()) == set()


def test_the_changelog_knows_this_version() -> None:
    headings = re.findall(r"^## \[?([\w.]+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert "Unreleased" in headings or __version__ in headings


def test_the_architecture_gives_a_reason_for_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed = [
        *project["dependencies"],
        *(line for name, lines in extras.items() if name not in {"test", "dev"} for line in lines),
    ]
    names = [re.split(r"[\s<>=!~\[;]", line)[0] for line in needed]
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8").lower()
    assert [name for name in names if name.lower() not in text] == []
