"""A newcomer goes from a bare Debian to a running daemon that answers a mail, by what docs/ tells him to type, word by word."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from installing import bare_root, walk

pytestmark = pytest.mark.xdist_group("installing")


@pytest.fixture
def root(tmp_path: Path) -> bare_root.Root:
    bare_root.needed()
    made = bare_root.Root(tmp_path / "root")
    made.lay(Path(__file__).parent / "systemctl.py", "usr/local/bin/systemctl")
    (made.folder / "usr/local/bin/systemctl").chmod(0o755)
    (made.folder / "etc/systemd/system").mkdir(parents=True)
    return made


def assert_it_answers(said: str) -> None:
    assert re.search(r"^ok +smtp.listen 127.0.0.1:2525: in use, by Postroom itself$", said, re.MULTILINE)
    assert "NONE RUNS" not in said
    assert "It is on fire." in said
    assert "\nSubject: " in said
    assert "confirmation" in said


def test_the_debian_package(root: bare_root.Root) -> None:
    root.lay(bare_root.package(), f"root/{bare_root.package().name}")
    steps = walk.script("installing.md", "Install the Debian package", "Start it", "The first mail")
    assert_it_answers(root.run("cd /root\n" + steps))


def test_a_virtual_environment(root: bare_root.Root) -> None:
    shutil.copytree(bare_root.wheels(), root.folder / "wheels")
    source = root.folder / "usr/local/src/postroom"
    source.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=bare_root.SOURCE, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", source], input=archive, check=True)
    steps = walk.script("installing.md", "Install in a virtual environment", "Start it", "The first mail")
    assert_it_answers(root.run(steps))
