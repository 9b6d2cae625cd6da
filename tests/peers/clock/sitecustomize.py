"""For a program under test: its wall clock runs ahead by the seconds that stand in the file $TEST_CLOCK, whatever they become.

Python imports this at its start where the folder is on PYTHONPATH. What waits (monotonic time) waits as ever.
"""

import os
import threading
import time
from pathlib import Path

if os.environ.get("TEST_CLOCK"):
    import time_machine

    _file, _sleep = Path(os.environ["TEST_CLOCK"]), time.sleep
    _ahead = float(_file.read_text())
    _travel = time_machine.travel(time.time() + _ahead, tick=True)
    _traveller = _travel.start()

    def _follow() -> None:
        ahead = _ahead
        while True:
            _sleep(0.02)
            wanted = float(_file.read_text() or ahead)
            if wanted != ahead:
                _traveller.shift(wanted - ahead)
                ahead = wanted

    threading.Thread(target=_follow, name="clock", daemon=True).start()
