"""The Debian package in a bare Debian: what it installs, keeps, and takes away."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from installing import bare_root

pytestmark = pytest.mark.xdist_group("installing")
AS_USER = "setpriv --reuid postroom --regid postroom --clear-groups"


@pytest.fixture
def root(tmp_path: Path) -> bare_root.Root:
    bare_root.needed()
    made = bare_root.Root(tmp_path / "root")
    made.lay(bare_root.package(), "root/new.deb")
    return made


def test_a_bare_debian_gets_a_program_a_user_a_unit_and_a_configuration_that_sends_nothing(
    root: bare_root.Root,
) -> None:
    said = root.run(f"""
        dpkg -i /root/new.deb
        postroom --version
        cd /tmp
        {AS_USER} postroom check
        {AS_USER} postroom demo
        stat -c '%U %a %n' /var/lib/postroom /etc/postroom/config.toml
        test -f /lib/systemd/system/postroom.service -a -f /lib/systemd/system/postroom.socket
        test -z "$(ls -A /var/lib/postroom)"
        echo nothing runs
    """)
    assert "postroom, version " in said
    assert "failed" not in said
    assert "All of it happened" in said
    assert "postroom 700 /var/lib/postroom\nroot 644 /etc/postroom/config.toml\nnothing runs" in said


def test_removing_it_keeps_all_mail_and_purging_it_erases_it(root: bare_root.Root) -> None:
    said = root.run(f"""
        dpkg -i /root/new.deb
        printf 'From: cy@example.org\\nTo: support@localhost\\n\\nx\\n' | {AS_USER} postroom ingest --sender cy@example.org -
        echo secret >/etc/postroom/imap-password
        dpkg --remove postroom
        test -f /var/lib/postroom/postroom.db -a -f /var/lib/postroom/signing-keys -a -f /etc/postroom/config.toml
        test ! -e /usr/lib/postroom
        dpkg --purge postroom
        test ! -e /var/lib/postroom -a ! -e /etc/postroom/config.toml
        cat /etc/postroom/imap-password
    """)
    assert "kept, for you to remove: /etc/postroom" in said
    assert said.rstrip().endswith("secret")


def test_an_upgrade_keeps_mail_keys_and_the_configuration_that_was_edited(root: bare_root.Root) -> None:
    root.lay(bare_root.package("0.0.1"), "root/old.deb")
    said = root.run(f"""
        dpkg -i /root/old.deb
        sed -i 's/support@localhost/help@example.com/' /etc/postroom/config.toml
        printf 'From: cy@example.org\\nTo: help@example.com\\n\\nx\\n' | {AS_USER} postroom ingest --sender cy@example.org -
        sha256sum /etc/postroom/config.toml /var/lib/postroom/signing-keys >/root/before
        dpkg --force-confold -i /root/new.deb
        sha256sum -c /root/before
        {AS_USER} postroom check
        {AS_USER} postroom tickets show T-1001
    """)
    assert "T-1001" in said


def test_it_asks_for_the_python_that_its_libraries_were_built_for_and_checks_every_file() -> None:
    bare_root.needed()
    package = bare_root.package()
    depends = subprocess.run(
        ["dpkg-deb", "--field", package, "Depends"], capture_output=True, text=True, check=True
    ).stdout
    minor = int(
        subprocess.run(
            ["/usr/bin/python3", "-c", "import sys; print(sys.version_info.minor)"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
    assert f"python3 (>= 3.{minor}~), python3 (<< 3.{minor + 1})" in depends
    contents = subprocess.run(["dpkg-deb", "--contents", package], capture_output=True, text=True, check=True).stdout
    assert "./etc/postroom/config.toml" in contents
    assert "./usr/share/doc/postroom/installing.md" in contents
    assert [line for line in contents.splitlines() if " root/root " not in line] == []
    assert "direct_url.json" not in contents
