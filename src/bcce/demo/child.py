"""One process of the demonstration: runs a module, and ends soon after the demonstration has died, however that happened.

Standard input is a pipe whose other end only the demonstration holds. Its end means that the demonstration is gone; a byte in it means that
the process is to stay. Run as `python -m bcce.demo.child MODULE ARGUMENT...`.
"""

import os
import runpy
import signal
import sys
import threading
import time

#: What the demonstration writes to a process that is to outlive it.
STAY = b"s"
_LIFELINE = 0
#: Seconds that the process has for ending by itself.
_GRACE_S = 10.0


def main(argv: list[str]) -> None:
    """Runs the module that `argv` begins with, with the rest as its arguments."""
    threading.Thread(target=_watch, name="lifeline", daemon=True).start()
    sys.argv = argv
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)


def _watch() -> None:
    if os.read(_LIFELINE, len(STAY)):
        return
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    if os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
