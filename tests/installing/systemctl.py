#!/usr/bin/python3
"""Stands in for systemctl where no systemd is process 1: what the unit file says of program, user, folder and mask is done,
without its namespaces and limits. Anything else is an error, so that what the handbook says is not passed over."""

import os
import pwd
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

PLACES = (Path("/etc/systemd/system"), Path("/lib/systemd/system"))
PID = Path("/run/postroom.pid")
LOG = Path("/var/log/postroom.log")
PATIENCE = 60  # seconds until it says READY=1, and until it has ended


def setting(name: str) -> str:
    """The last word that the unit and its drop-ins say on `name`; an empty one takes back what was said."""
    words = []
    for place in PLACES:
        unit = place / "postroom.service"
        if unit.exists():
            for file in (unit, *sorted(place.glob("postroom.service.d/*.conf"))):
                words += re.findall(rf"^{name}=(.*)$", file.read_text(), re.MULTILINE)
            break
    else:
        sys.exit("Unit postroom.service could not be found.")
    return words[-1]


def start() -> None:
    if setting("DynamicUser") != "no":
        sys.exit("this stand-in makes no users")
    user = pwd.getpwnam(setting("User"))
    state = Path("/var/lib") / setting("StateDirectory")
    if not state.exists():
        state.mkdir(mode=0o700)
        os.chown(state, user.pw_uid, user.pw_gid)

    with LOG.open("ab") as log:
        daemon = subprocess.Popen(
            setting("ExecStart").split(), cwd=setting("WorkingDirectory"), env={"PATH": "/usr/bin:/bin"}, user=user.pw_uid,
            group=user.pw_gid, extra_groups=[], umask=int(setting("UMask"), 8),
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    PID.write_text(str(daemon.pid))
    deadline = time.monotonic() + PATIENCE
    while " ready" not in LOG.read_text():
        if daemon.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"Job for postroom.service failed: {daemon.returncode}\n{LOG.read_text()}")
        time.sleep(0.1)


def stop() -> None:
    pid = int(PID.read_text())
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    while Path(f"/proc/{pid}/stat").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text():
        if time.monotonic() > deadline:
            sys.exit("postroom.service did not end")
        time.sleep(0.1)
    LOG.unlink()


def main() -> None:
    match sys.argv[1:]:
        case ["daemon-reload"]:
            pass
        case ["enable", "--now", "postroom"]:
            start()
        case ["reload", "postroom"]:
            command = setting("ExecReload").replace("$MAINPID", PID.read_text())
            subprocess.run(command.split(), check=True)
        case ["restart", "postroom"]:
            stop()
            start()
        case ["disable", "--now", "postroom"]:
            stop()
        case arguments:
            sys.exit(f"systemctl {' '.join(arguments)}: this stand-in does not know it")


main()
