"""The demo shows the main job, and fails where it did not happen."""

from __future__ import annotations

import subprocess
import sys

import pytest

from postroom.cli import demo_stage
from postroom.cli.demo import Story
from postroom.cli.demo_stage import Stage, StepFailed


def test_the_demo_runs_by_itself_and_leaves_nothing_behind(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-m", "postroom", "demo"], capture_output=True, text=True, timeout=60, check=False,
        cwd=tmp_path, env={"TMPDIR": str(tmp_path), "PATH": ""},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr
    for words in (
        "ticket T-1001 is new", "We have received your message", "the customer reads what Ann wrote", "it joined T-1001",
        "everything is as it was", "Why", "All of it happened",
    ):  # fmt: skip
        assert words.lower() in ran.stdout.lower()
    assert "\x1b" not in ran.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_demo_fails_at_the_step_that_does_not_happen(monkeypatch, capsys):
    monkeypatch.setattr(demo_stage, "CONFIG", demo_stage.CONFIG + "[notify]\nconfirmation = false\n")
    with Stage(keep=False) as stage:
        story = Story(stage)
        stage.wait_until_ready()
        monkeypatch.setattr(demo_stage, "STEP_SECONDS", 2.0)
        monkeypatch.setattr(stage, "wait_until_ready", lambda: stage.port)
        with pytest.raises(StepFailed, match="a confirmation to carla"):
            story.tell()
        folder = stage.folder
    assert (story.title, folder.exists()) == ("The customer gets a confirmation", False)


def test_a_daemon_that_dies_is_told_at_once(monkeypatch):
    monkeypatch.setattr(demo_stage, "CONFIG", "[smtp]\nlisten = 7\n")
    with Stage(keep=False) as stage, pytest.raises(StepFailed, match="ended with status 78"):
        stage.wait_until_ready()
