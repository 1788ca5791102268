"""Runs a command so that it is told to end when whoever started it is gone: `python -m workers.stack.tied COMMAND …`.

The kernel remembers the wish when the command takes this process's place.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(command: list[str]) -> None:
    """Take the command's place."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
