"""A bare Debian to install into: a folder made by debootstrap, entered by chroot in namespaces of its own (mounts, processes,
network, which has no way out). There is no process 1 that starts units: `systemctl.py` stands in, and does what the unit says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2]
BUILD = SOURCE / "build" / "installing"  # kept: making the root takes a minute, the package and the wheels another
INCLUDED = "python3,python3-venv,adduser,ca-certificates,tzdata,procps"  # so that installing needs no network
SCRIPT_SECONDS = 300
# $1 is the bare root, $2 what is to be laid over it, $3 the script. What is written goes into memory, and away with the namespace.
ENTER = """
room=$(mktemp -d)
mount -t tmpfs tmpfs "$room"
mkdir "$room/written" "$room/work" "$room/root"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$room/written,workdir=$room/work" "$room/root"
cp -a "$2/." "$room/root/"
mount -t proc proc "$room/root/proc"
mount -t tmpfs tmpfs "$room/root/dev/shm"
ip link set lo up
exec chroot "$room/root" /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels PIP_DISABLE_PIP_VERSION_CHECK=1 bash -euo pipefail -c "$3"
"""


def needed() -> None:
    """Skip where it was not asked for, or cannot be."""
    if os.environ.get("POSTROOM_DEB_TEST") != "1":
        pytest.skip("takes minutes: make deb-test")
    if os.geteuid() != 0 or not all(shutil.which(tool) for tool in ("debootstrap", "unshare", "ip", "dpkg-deb")):
        pytest.skip("needs root, and debootstrap, util-linux, iproute2, dpkg")


class Root:
    """The bare root, with what a test lays over it in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        refuse = folder / "usr/sbin/policy-rc.d"  # nothing is started by a package
        refuse.parent.mkdir(parents=True)
        refuse.write_text("#!/bin/sh\nexit 101\n")
        refuse.chmod(0o755)

    def lay(self, file: Path, where: str) -> None:
        """A copy of a file, its mode too, for the next `run`."""
        there = self.folder / where
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, there)

    def run(self, script: str) -> str:
        """What a bash script prints there. Every process that it started, and every file that it wrote, is gone afterwards.

        AssertionError where it fails.
        """
        done = subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--net", "--ipc", "--uts", "--propagation", "private",
             "sh", "-euc", ENTER, "sh", str(_base()), str(self.folder), script],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            timeout=SCRIPT_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, f"status {done.returncode}\n{done.stdout}"
        return done.stdout


def package(version: str | None = None) -> Path:
    """The Debian package; as if of another version, which it then only says."""
    built = sorted(BUILD.glob("new/*.deb"))
    if not built or _is_older(built[0], "postroom", "contrib", "docs", "pyproject.toml", "config.example.toml"):
        for folders in BUILD.glob("new"), BUILD.glob("as-*"):
            for old in folders:
                shutil.rmtree(old)
        subprocess.run(["contrib/debian/build", BUILD / "new"], cwd=SOURCE, check=True)
        built = sorted(BUILD.glob("new/*.deb"))
    if version is None:
        return built[0]
    folder = BUILD / f"as-{version}"
    made = folder / f"postroom_{version}.deb"
    if not made.exists():
        stage = folder / "stage"
        folder.mkdir(exist_ok=True)
        subprocess.run(["dpkg-deb", "--raw-extract", built[0], stage], check=True)
        control = stage / "DEBIAN" / "control"
        control.write_text(re.sub(r"^Version: .*$", f"Version: {version}", control.read_text(), flags=re.MULTILINE))
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", stage, made], check=True)
        shutil.rmtree(stage)
    return made


def wheels() -> Path:
    """Everything that `pip install` fetches, so that an environment can be made without a network."""
    folder = BUILD / "wheels"
    if not folder.exists() or _is_older(folder, "pyproject.toml"):
        shutil.rmtree(folder, ignore_errors=True)
        tools = BUILD / "tools"
        subprocess.run(["/usr/bin/python3", "-m", "venv", tools], check=True)
        subprocess.run(
            [tools / "bin" / "python", "-m", "pip", "--quiet", "wheel", "--wheel-dir", f"{folder}.part",
             f"{SOURCE}[postgresql]", "hatchling", "pip", "setuptools", "wheel"],
            check=True,
        )  # fmt: skip
        for own in Path(f"{folder}.part").glob("postroom-*"):
            own.unlink()
        Path(f"{folder}.part").rename(folder)
    return folder


def _is_older(made: Path, *sources: str) -> bool:
    """Whether one of these files, or one in these folders, is newer."""
    files = [file for source in sources for file in (SOURCE / source, *(SOURCE / source).rglob("*"))]
    return made.stat().st_mtime < max(
        file.stat().st_mtime for file in files if file.is_file() and file.suffix != ".pyc"
    )


def _base() -> Path:
    base = BUILD / f"base-{zlib.crc32(INCLUDED.encode()):08x}"
    if not base.exists():
        part = base.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        release = re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.MULTILINE)
        assert release is not None
        command = ["debootstrap", "--variant=minbase", f"--include={INCLUDED}", release[1], str(part), _mirror()]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        part.rename(base)
    return base


def _mirror() -> str:
    """The mirror that this machine is configured with."""
    files = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*.[ls][io][su]*"))]
    for text in (file.read_text() for file in files if file.exists()):
        found = re.search(r"^(?:URIs: *|deb (?:\[[^]]*\] *)?)(\S+/debian/?)(?:\s|$)", text, re.MULTILINE)
        if found:
            return found[1]
    pytest.skip("no Debian mirror is configured here")
