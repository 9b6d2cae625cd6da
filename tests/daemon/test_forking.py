"""Workers come from a fork of the command that needs them: with its modules, and with nothing else of its."""

import json
import os
import subprocess
import sys
from pathlib import Path

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
BEGIN = """
import json, os, sys, tempfile, threading
from peers import forked
from postroom.config import Processing
from postroom.daemon.forking import fork_early
from postroom.daemon.workers import Workers

forked.MARK = "set before the fork"
"""
ASK = """
with Workers(Processing(workers=1)) as workers:
    print(json.dumps(workers.run(forked.look, [], 20)))
"""


def output(program):
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program + ASK],
        env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def ran(program):
    return json.loads(output(program))


def test_a_worker_has_what_was_imported_and_set_before():
    assert ran("fork_early()")["mark"] == "set before the fork"


def test_with_threads_already_there_a_new_interpreter_is_started_instead():
    program = """
ends = threading.Event()
beside = threading.Thread(target=ends.wait)
beside.start()
fork_early()
ends.set()
beside.join()
"""
    assert ran(program)["mark"] == "as imported"


def test_a_worker_has_none_of_the_files_that_were_open():
    program = """
secret = tempfile.NamedTemporaryFile(prefix="open-before-")
os.set_inheritable(secret.fileno(), True)
fork_early()
"""
    assert not [name for name in ran(program)["open"] if "open-before-" in name]


def test_output_that_was_not_written_yet_is_written_once():
    assert output('sys.stdout.write("begun ")\nfork_early()').count("begun") == 1


def test_a_fork_server_that_dies_is_replaced():
    program = """
import signal
from multiprocessing import forkserver
fork_early()
os.kill(vars(forkserver._forkserver)["_forkserver_pid"], signal.SIGKILL)
os.waitid(os.P_PID, vars(forkserver._forkserver)["_forkserver_pid"], os.WEXITED | os.WNOWAIT)
"""
    assert ran(program)["mark"] == "as imported"
