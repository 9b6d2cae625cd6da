"""The rooms stand where ARCHITECTURE.md draws them: imports point one way, and nothing hides the standard library."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "postroom"

# What each room may import, of the others. The package's root is "config", "errors", "saying" and "main".
MAY_IMPORT = {
    "parsers": set[str](),
    "threading": {"parsers"},
    "store": {"config", "errors"},
    "desk": {"threading", "parsers", "store", "config", "errors", "saying"},
    "outbound": {"desk", "threading", "parsers", "store", "config", "errors", "logger", "saying"},
    "daemon": {"outbound", "desk", "threading", "parsers", "store", "config", "errors", "logger", "saying"},
    "cli": {
        "daemon",
        "outbound",
        "desk",
        "threading",
        "parsers",
        "store",
        "config",
        "errors",
        "logger",
        "saying",
        "init",
    },
    "config": {"errors"},
    "logger": set[str](),
    "errors": set[str](),
    "saying": set[str](),
    "init": set[str](),
    "main": {"cli"},
}
ROOMS = sorted(set(MAY_IMPORT) - {"config", "errors", "logger", "saying", "init", "main"})
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers", "shared", "lib"}

# What a room that only reads bytes has no use for: network, disk, database, clock, chance.
OUTSIDE_WORLD = {
    "aiosmtpd", "aiosmtplib", "alembic", "asyncio", "glob", "http", "imapclient", "imaplib", "msgspec", "os", "pathlib", "psycopg",
    "random", "requests", "secrets", "shutil", "smtplib", "socket", "sqlalchemy", "sqlite3", "ssl", "structlog", "subprocess",
    "tempfile", "time", "urllib.request",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Import:
    """One import, wherever it stands in a file."""

    name: str  # "postroom.store.tables", "os.path"
    line: int
    for_types_only: bool  # under TYPE_CHECKING


def imports_of(source: str, module: str) -> list[Import]:
    """Every import of a module's source: in functions and under TYPE_CHECKING too, relative ones made absolute.

    `from a import b` gives both `a` and `a.b`, as `b` may be a module.
    """
    found: list[Import] = []

    def visit(node: ast.AST, for_types_only: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, node.lineno, for_types_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found.append(Import(base, node.lineno, for_types_only))
            found.extend(Import(f"{base}.{alias.name}", node.lineno, for_types_only) for alias in node.names)
        elif isinstance(node, ast.Constant) and re.fullmatch(r"postroom(\.[a-z_]+)+", str(node.value)):  # for importlib
            found.append(Import(str(node.value), node.lineno, for_types_only))
        for child in ast.iter_child_nodes(node):
            types_only = for_types_only or (
                isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and child in node.body
            )
            visit(child, types_only)

    visit(ast.parse(source), False)
    return found


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def room_of(module: str) -> str:
    """The room that a module of ours belongs to."""
    first = [*module.split("."), "init"][1]
    if first.startswith("config_"):  # the configuration is a few files at the root
        return "config"
    return "main" if first == "__main__" else first


def own_imports(module: str) -> Iterator[Import]:
    """A module's imports of modules of ours."""
    for found in imports_of(MODULES[module].read_text("utf-8"), module):
        if found.name in MODULES and found.name != module:
            yield found


def test_an_import_is_found_wherever_it_stands() -> None:
    source = """
from typing import TYPE_CHECKING
from . import tables
from ..desk import tickets as rows
if TYPE_CHECKING:
    from postroom.config import Config
else:
    import json
def late():
    import postroom.daemon.smtp
NAME = "postroom.cli.run"
"""
    found = {(found.name, found.for_types_only) for found in imports_of(source, "postroom.store.inbound")}
    assert found == {
        ("typing", False), ("typing.TYPE_CHECKING", False), ("postroom.store", False), ("postroom.store.tables", False),
        ("postroom.desk", False), ("postroom.desk.tickets", False), ("postroom.config", True), ("json", False),
        ("postroom.config.Config", True), ("postroom.daemon.smtp", False), ("postroom.cli.run", False),
    }  # fmt: skip


def test_every_room_stands() -> None:
    assert sorted({room_of(name) for name in MODULES}) == sorted(MAY_IMPORT)


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_a_room_imports_only_those_below_it(room: str) -> None:
    wrong = [
        f"{MODULES[module].relative_to(ROOT)}:{found.line} imports {found.name}"
        for module in MODULES
        if room_of(module) == room
        for found in own_imports(module)
        if room_of(found.name) not in MAY_IMPORT[room] | {room} and found.name != "postroom"
    ]
    assert wrong == []


def test_the_rooms_have_an_order_without_a_circle() -> None:
    assert circles(MAY_IMPORT) == []


def test_no_modules_of_a_room_import_each_other_in_a_circle() -> None:
    graph = {
        module: {
            found.name
            for found in own_imports(module)
            # `from postroom.store import tables` runs the room's __init__, which is a docstring: no edge.
            if not found.for_types_only and MODULES[found.name].name != "__init__.py"
        }
        for module in MODULES
    }
    assert circles(graph) == []


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c", "a"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """A circle for each way back that a walk from every node meets."""
    found: list[list[str]] = []
    done: set[str] = set()

    def walk(node: str, way: list[str]) -> None:
        if node in way:
            found.append([*way[way.index(node) :], node])
        elif node not in done:
            for after in sorted(graph.get(node, ())):
                walk(after, [*way, node])
            done.add(node)

    for node in sorted(graph):
        walk(node, [])
    return found


@pytest.mark.parametrize("room", ["parsers", "threading"])
def test_a_pure_room_has_no_use_for_the_outside_world(room: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{found.line} imports {found.name}"
        for module, path in MODULES.items()
        if room_of(module) == room
        for found in imports_of(path.read_text("utf-8"), module)
        if not found.for_types_only and any(f"{found.name}.".startswith(f"{name}.") for name in OUTSIDE_WORLD)
    ]
    assert wrong == []


@pytest.mark.parametrize("room", ROOMS)
def test_a_rooms_init_is_a_docstring_and_nothing_else(room: str) -> None:
    body = ast.parse((PACKAGE / room / "__init__.py").read_text("utf-8")).body
    assert len(body) == 1
    assert isinstance(body[0], ast.Expr)
    assert isinstance(body[0].value, ast.Constant)
    assert len(str(body[0].value.value)) > 40


def test_every_module_says_what_it_is_for() -> None:
    without = [name for name, path in MODULES.items() if not ast.get_docstring(ast.parse(path.read_text("utf-8")))]
    assert without == []


def test_no_file_has_a_name_that_says_nothing() -> None:
    files = [path for folder in ("postroom", "tests", "bench") for path in (ROOT / folder).rglob("*")]
    assert [str(path.relative_to(ROOT)) for path in files if path.stem in VAGUE] == []


def test_nothing_at_the_root_shadows_the_standard_library() -> None:
    assert [name for name in tracked_roots() if name.removesuffix(".py") in sys.stdlib_module_names] == []
    # Scripts run with their folder first on the path; a file would win there, a folder without __init__.py does not.
    scripts = [path for folder in ("tests", "bench", "tests/peers") for path in (ROOT / folder).glob("*.py")]
    assert [path.name for path in scripts if path.stem in sys.stdlib_module_names] == []
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def tracked_roots() -> list[str]:
    return sorted({path.relative_to(ROOT).parts[0] for path in tracked_files()})


def tracked_files() -> list[Path]:
    """The files that are committed or could be: not what .gitignore names."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if listed.returncode == 0:
        paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:  # a source archive
        paths = [path for path in ROOT.rglob("*") if not {".venv", "__pycache__"} & set(path.parts)]
    return [path for path in paths if path.is_file()]


def test_threading_is_the_standard_librarys_here() -> None:
    assert threading.Thread.__module__ == "threading"
    assert str(threading.__file__).startswith(str(Path(ast.__file__).parent))


@pytest.mark.parametrize("code", ["import postroom", "import postroom.cli.main", "from postroom import *"])
def test_importing_postroom_does_not_bind_threading(code: str) -> None:
    check = (
        f"{code}\n"
        "assert 'threading' not in vars(), 'the name is bound here'\n"
        "import sys, threading, postroom\n"
        "assert threading.Thread.__module__ == 'threading'\n"
        "assert 'threading' not in vars(postroom), 'the room is loaded'\n"
    )
    ran = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_command_starts_without_what_it_does_not_use() -> None:
    check = (
        "import sys\nfrom postroom.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'sqlalchemy', 'msgspec', 'structlog', 'rich', 'jinja2', 'aiosmtpd', 'asyncio', 'alembic', 'nh3'}\n"
        "sys.exit(str(sorted(heavy & set(sys.modules))) if heavy & set(sys.modules) else 0)\n"
    )
    ran = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_no_file_knows_where_this_working_copy_lies() -> None:
    """A path of the machine that a file was written on means nothing on any other."""
    anyones = {Path("/"), *map(Path, ("/tmp", "/var/tmp", "/home", "/root", "/srv", "/opt", "/mnt", "/usr", "/var"))}
    home = ROOT if ROOT.parent in anyones else ROOT.parent
    absolute = re.compile(rb"(?<![\w./-])" + re.escape(str(home).encode()) + rb"(?![\w-])")
    wrong = [str(path.relative_to(ROOT)) for path in tracked_files() if absolute.search(path.read_bytes())]
    assert wrong == []
